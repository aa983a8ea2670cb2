//! The plainest visitor of web pages: HTTP/1.0, cookies as a browser keeps them (per host and path, whatever the
//! port), and forms.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Url;

/// Longest wait for an answer; only a failing test takes it.
const PATIENCE: Duration = Duration::from_secs(60);
/// More redirects than any way through pages needs.
const REDIRECTS_MAX: usize = 10;
const FORM: &str = "application/x-www-form-urlencoded";

/// A person with cookies.
#[derive(Default)]
pub(crate) struct Visitor {
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    path: String,
    value: String,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where it came from.
    pub(crate) url: String,
    pub(crate) status: u16,
    /// Where it sends the visitor, as a whole address.
    pub(crate) location: Option<Url>,
    pub(crate) body: String,
}

impl Visitor {
    /// One request and its answer.
    #[track_caller]
    pub(crate) fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.ask(method, url, headers, body).unwrap_or_else(|| panic!("{url} does not answer"))
    }

    /// The same of a server that may not be there.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Answer> {
        let url = Url::parse(url).expect("an address");
        let authority =
            format!("{}:{}", url.host_str().expect("a host"), url.port_or_known_default().expect("a port"));
        let target = url.query().map_or(url.path().to_string(), |query| format!("{}?{query}", url.path()));
        let mut request = format!("{method} {target} HTTP/1.0\r\nHost: {authority}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let of_page = |cookie: &&Cookie| url.path().starts_with(&cookie.path);
        let cookies =
            self.cookies.iter().filter(of_page).map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let cookies: Vec<String> = cookies.collect();
        if !cookies.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let answer = exchange(&authority, &request).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{url} said {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut location = None;
        for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "set-cookie" => self.keep(value),
                "location" => location = Some(url.join(value).expect("an address")),
                _ => {}
            }
        }
        Some(Answer { url: url.into(), status, location, body: body.into() })
    }

    /// The values of its cookies whose names begin so.
    pub(crate) fn cookies(&self, name: &str) -> Vec<String> {
        let found = self.cookies.iter().filter(|cookie| cookie.name.starts_with(name));
        found.map(|cookie| cookie.value.clone()).collect()
    }

    fn keep(&mut self, text: &str) {
        let mut parts = text.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
        let path = parts.find_map(|part| part.strip_prefix("path=").or(part.strip_prefix("Path=")));
        let path = path.unwrap_or("/");
        self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
        if !value.is_empty() {
            self.cookies.push(Cookie { name: name.into(), path: path.into(), value: value.into() });
        }
    }

    /// Opens an address and goes where it is sent, as long as that is on the same server.
    pub(crate) fn open(&mut self, url: &str) -> Answer {
        let answer = self.send("GET", url, &[], "");
        self.follow(answer)
    }

    /// Opens an address and goes where it is sent, to whatever server.
    #[track_caller]
    pub(crate) fn travel(&mut self, url: &str) -> Answer {
        let mut answer = self.open(url);
        for _ in 0..REDIRECTS_MAX {
            match &answer.location {
                Some(url) => answer = self.open(url.as_ref()),
                None => return answer,
            }
        }
        panic!("sent around in circles: {answer:?}")
    }

    /// Submits a form from a page of the same server and goes on in the same way.
    pub(crate) fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = Url::parse(url).expect("an address").origin().ascii_serialization();
        let headers = [("Content-Type", FORM), ("Origin", origin.as_str())];
        let answer = self.send("POST", url, &headers, &form(fields));
        self.follow(answer)
    }

    /// Presses the button with this label, in a form in which `typed` was filled in, and goes on in the same way.
    #[track_caller]
    pub(crate) fn press(&mut self, page: &Answer, label: &str, typed: &[(&str, &str)]) -> Answer {
        let button = format!(">{label}</button>");
        let forms = page.body.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next());
        let form = forms.into_iter().find(|form| form.contains(&button));
        let form = form.unwrap_or_else(|| panic!("no button `{label}`: {page:#?}"));
        let pressed = format!(">{label}");
        let is_sent = |tag: &&str| tag.starts_with("input type=\"hidden\"") || tag.ends_with(&pressed);
        let tags = form.split('<').filter(is_sent);
        let hidden: Vec<(String, String)> =
            tags.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?))).collect();
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<(&str, &str)> = hidden.chain(typed.iter().copied()).collect();
        let head = form.split('>').next().unwrap_or_default();
        let here = Url::parse(&page.url).expect("an address");
        let action =
            attribute(head, "action").map_or(here.clone(), |action| here.join(&action).expect("an address"));
        self.submit(action.as_str(), &fields)
    }

    /// Posts a form as a program does, and stays.
    #[track_caller]
    pub(crate) fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("POST", url, &[("Content-Type", FORM)], &form(fields))
    }

    fn follow(&mut self, mut answer: Answer) -> Answer {
        for _ in 0..REDIRECTS_MAX {
            let here = Url::parse(&answer.url).expect("an address").origin();
            match &answer.location {
                Some(url) if url.origin() == here => answer = self.send("GET", url.as_ref(), &[], ""),
                _ => return answer,
            }
        }
        panic!("sent around in circles: {answer:?}")
    }
}

impl Answer {
    /// Where the page's button leads that is a link, as a whole address.
    #[track_caller]
    pub(crate) fn button(&self) -> Url {
        let tag = self.body.split('<').find(|tag| tag.starts_with("a class=\"button\""));
        let link =
            tag.and_then(|tag| attribute(tag, "href")).unwrap_or_else(|| panic!("no button: {self:#?}"));
        Url::parse(&self.url).and_then(|here| here.join(&link)).expect("an address")
    }

    /// The page's heading, if it is one and a person can read it.
    #[track_caller]
    pub(crate) fn heading(&self) -> &str {
        let heading = self.body.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>"));
        heading.unwrap_or_else(|| panic!("no heading: {self:#?}")).0
    }
}

/// The value of a tag's attribute.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&#38;", "&").replace("&amp;", "&"))
}

/// Fields as a form or a query carries them.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form").expect("an address");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_string()
}

fn exchange(authority: &str, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    String::from_utf8(answer).map_err(io::Error::other)
}
