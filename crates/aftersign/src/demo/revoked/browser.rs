//! A browser without a window: cookies, redirects and the forms of plain pages. No script is run.

use anyhow::{Context, bail};
use reqwest::{Method, Url, header};

use super::html;
use super::secrets::Secrets;

/// More redirects than any way through pages needs.
const REDIRECTS_MAX: usize = 10;
/// The largest page, in bytes; ours and the platform's have a few thousand.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// The kind of what stands in the link of an e-mail.
pub(super) const LINK: &str = "link of an e-mail";
/// Parameters of addresses that are secrets, by their names.
const SECRET_PARAMETERS: [(&str, &str); 3] =
    [("code", "authorisation code"), ("state", "state of a consent"), ("link", LINK)];

/// One person's browser.
pub(super) struct Browser {
    client: reqwest::Client,
    cookies: Vec<Cookie>,
    /// Where it stays without asking for the page.
    home: Url,
    secrets: Secrets,
}

/// RFC 6265: bound to host and path; ports do not keep cookies apart.
struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

/// What the browser shows.
pub(super) struct Page {
    pub(super) url: Url,
    /// It is the place where the person is at home.
    pub(super) is_home: bool,
    pub(super) body: String,
}

/// A request before it is sent.
struct Order {
    method: Method,
    url: Url,
    /// The page whose form is sent, and the form's fields.
    form: Option<(Url, String)>,
}

impl Browser {
    /// A browser without cookies whose person is at home at `home`.
    pub(super) fn new(home: Url, secrets: Secrets) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make a browser")?;
        Ok(Self { client, cookies: Vec::new(), home, secrets })
    }

    /// Opens an address and goes where it is sent.
    pub(super) async fn open(&mut self, url: &str) -> anyhow::Result<Page> {
        let url = Url::parse(url).context("this is no address")?;
        self.go(Order { method: Method::GET, url, form: None }).await
    }

    /// Follows a link of a page.
    pub(super) async fn follow(&mut self, page: &Page, link: &str) -> anyhow::Result<Page> {
        let url = page.url.join(link).context("a link leads nowhere")?;
        self.go(Order { method: Method::GET, url, form: None }).await
    }

    /// Presses a button of a form of a page.
    pub(super) async fn press(
        &mut self,
        page: &Page,
        form: &html::Form,
        button: &html::Button,
    ) -> anyhow::Result<Page> {
        let url = page.url.join(&form.action).context("a form leads nowhere")?;
        let mut fields = page.url.clone();
        fields.query_pairs_mut().clear().extend_pairs(form.fields.iter().chain(&button.field));
        let body = fields.query().unwrap_or_default().to_owned();
        self.go(Order { method: Method::POST, url, form: Some((page.url.clone(), body)) }).await
    }

    async fn go(&mut self, mut order: Order) -> anyhow::Result<Page> {
        for _ in 0..REDIRECTS_MAX {
            for (name, kind) in SECRET_PARAMETERS {
                let values = order.url.query_pairs().filter(|(key, value)| key == name && !value.is_empty());
                values.for_each(|(_, value)| self.secrets.note(kind, &value));
            }
            if order.url == self.home {
                return Ok(Page { url: order.url, is_home: true, body: String::new() });
            }
            let answer = self.send(&order).await?;
            let location = answer.headers().get(header::LOCATION).cloned();
            let Some(location) = location.filter(|_| answer.status().is_redirection()) else {
                let body = answer.bytes().await.context("a page broke off")?;
                if body.len() > PAGE_BYTES_MAX {
                    bail!("a page has more than {PAGE_BYTES_MAX} bytes");
                }
                let body = String::from_utf8_lossy(&body).into_owned();
                return Ok(Page { url: order.url, is_home: false, body });
            };
            let location = location.to_str().context("a redirect is no text")?;
            let url = order.url.join(location).context("a redirect leads nowhere")?;
            order = Order { method: Method::GET, url, form: None };
        }
        bail!("the browser is sent around in circles")
    }

    async fn send(&mut self, order: &Order) -> anyhow::Result<reqwest::Response> {
        let url = &order.url;
        let mut request = self.client.request(order.method.clone(), url.clone());
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.goes_to(url))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if let Some((page, body)) = &order.form {
            let site = if page.origin() == url.origin() { "same-origin" } else { "cross-site" };
            request = request
                .header("sec-fetch-site", site)
                .header(header::ORIGIN, page.origin().ascii_serialization())
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.clone());
        }
        // The address may hold a code: it is no part of the error.
        let answer =
            request.send().await.map_err(reqwest::Error::without_url).context("a page was not answered")?;
        for line in answer.headers().get_all(header::SET_COOKIE) {
            self.keep(url, line.to_str().context("a cookie is no text")?);
        }
        Ok(answer)
    }

    fn keep(&mut self, url: &Url, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let attributes: Vec<(&str, &str)> =
            parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
        let attribute = |wanted: &str| {
            attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let path = attribute("path").filter(|path| path.starts_with('/')).unwrap_or("/").to_owned();
        self.cookies
            .retain(|cookie| (&cookie.host, &cookie.path, cookie.name.as_str()) != (&host, &path, name));
        if attribute("max-age") != Some("0") {
            self.secrets.note("cookie", value);
            self.cookies.push(Cookie { host, path, name: name.to_owned(), value: value.to_owned() });
        }
    }
}

impl Cookie {
    fn goes_to(&self, url: &Url) -> bool {
        let below = url.path().strip_prefix(self.path.trim_end_matches('/'));
        url.host_str() == Some(self.host.as_str())
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
