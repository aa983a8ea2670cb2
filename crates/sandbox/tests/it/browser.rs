//! A person's browser that has no cookie jar and no script: it follows what a page says, one step at a time.

use aftersign_sandbox::{AccountSpec, OauthApp, Sandbox, SandboxConfig, UserSpec, Vendor};
use axum::http::Method;
use serde_json::Value;

use crate::support::{Got, KEY, SECRETS};

pub(crate) const CLIENT_ID: &str = "archive-app";
pub(crate) const CLIENT_SECRET: &str = "s3cret/with+signs";
pub(crate) const REDIRECT_URI: &str = "https://sign.example.com/grants/hr";
pub(crate) const BEFORE_SEND: &str = "https://sign.example.com/before-send/hr?draft=##EnvelopeId##\
    &user=##SenderUserId##&org=##OrganizationId##";

pub(crate) fn app() -> OauthApp {
    OauthApp {
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.to_owned(),
        redirect_uri: REDIRECT_URI.to_owned(),
        access_token_seconds: None,
        pkce_required: false,
    }
}

/// A world with one account, `hr`, that has an application and the users Anna and Ben; gives their ids.
pub(crate) async fn granting(
    vendor: Vendor,
    config: SandboxConfig,
    callback_url: &str,
    app: OauthApp,
) -> (Sandbox, String, String) {
    let sandbox = Sandbox::start(config).await.unwrap();
    sandbox.open_account(AccountSpec {
        vendor,
        id: "hr".to_owned(),
        api_key: KEY.to_owned(),
        callback_url: callback_url.to_owned(),
        secrets: SECRETS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        oauth: Some(app),
        before_send_redirect_url: Some(BEFORE_SEND.to_owned()),
    });
    let add = |email: &str, name: &str| {
        sandbox.add_user("hr", UserSpec { email: email.to_owned(), name: name.to_owned() })
    };
    let (anna, ben) = (add("anna@example.com", "Anna Sender"), add("ben@example.com", "Ben Sender"));
    (sandbox, anna, ben)
}

pub(crate) struct Browser {
    http: reqwest::Client,
    origin: String,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new(sandbox: &Sandbox, cookie: Option<String>) -> Browser {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Browser { http, origin: format!("http://{}", sandbox.local_addr()), cookie }
    }

    async fn go(&mut self, method: Method, url: &str, form: Option<String>) -> Got {
        self.try_to_go(method, url, form).await.unwrap()
    }

    /// `None` if the connection ends without an answer.
    async fn try_to_go(&mut self, method: Method, url: &str, form: Option<String>) -> Option<Got> {
        let url = if url.starts_with('/') { format!("{}{url}", self.origin) } else { url.to_owned() };
        let mut request = self.http.request(method, url);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(form) = form {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if let Some(set) = headers.get("set-cookie") {
            self.cookie = set.to_str().unwrap().split(';').next().map(str::to_owned);
        }
        Some(Got { status, headers, body: response.bytes().await.ok()?.to_vec() })
    }

    pub(crate) async fn open(&mut self, url: &str) -> Got {
        self.go(Method::GET, url, None).await
    }

    /// Presses the button with this text.
    pub(crate) async fn press(&mut self, page: &Got, button: &str) -> Got {
        let (action, form) = form_of(&text(page), button);
        self.go(Method::POST, &action, Some(form)).await
    }

    pub(crate) async fn post(&mut self, url: &str, form: &str) -> Got {
        self.go(Method::POST, url, Some(form.to_owned())).await
    }
}

/// Where the form with this button posts, and what.
pub(crate) fn form_of(page: &str, button: &str) -> (String, String) {
    let form = page
        .split("<form ")
        .skip(1)
        .map(|rest| rest.split("</form>").next().unwrap())
        .find(|form| form.contains(&format!(">{button}<")))
        .unwrap_or_else(|| panic!("no button {button} in {page}"));
    let action = attribute(form.split('>').next().unwrap(), "action").unwrap().replace("&amp;", "&");
    let pressed = form.split("<button ").skip(1).find(|rest| rest.contains(&format!(">{button}<"))).unwrap();
    let inputs = form.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap());
    let fields = inputs.chain([pressed.split('>').next().unwrap()]).filter_map(|tag| {
        Some(format!("{}={}", attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
    });
    (action, fields.collect::<Vec<_>>().join("&"))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    Some(tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.to_owned())
}

pub(crate) fn text(page: &Got) -> String {
    String::from_utf8(page.body.clone()).unwrap()
}

pub(crate) fn location(got: &Got) -> String {
    assert_eq!(got.status, 302, "{}", text(got));
    got.headers["location"].to_str().unwrap().to_owned()
}

/// A parameter of a URL, as it stands there.
pub(crate) fn parameter(url: &str, wanted: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    query.split('&').find_map(|pair| Some(pair.strip_prefix(wanted)?.strip_prefix('=')?.to_owned()))
}

/// What the application asks a browser to open.
pub(crate) fn authorize_url(sandbox: &Sandbox, vendor: Vendor, more: &str) -> String {
    let redirect = "https%3A%2F%2Fsign.example.com%2Fgrants%2Fhr";
    format!(
        "{}?response_type=code&client_id={CLIENT_ID}&redirect_uri={redirect}&state=st%2Fate{more}",
        sandbox.authorize_url(vendor)
    )
}

/// What a person who is signed in and allows everything brings back.
pub(crate) async fn code_of(sandbox: &Sandbox, vendor: Vendor, user: &str, more: &str) -> String {
    let mut browser = Browser::new(sandbox, Some(sandbox.sign_in(user)));
    let mut got = browser.open(&authorize_url(sandbox, vendor, more)).await;
    if got.status == 200 {
        got = browser.press(&got, "Allow").await;
    }
    parameter(&location(&got), "code").unwrap()
}

/// Asks the token endpoint, the client in the body.
pub(crate) async fn ask_token(sandbox: &Sandbox, vendor: Vendor, query: &str, form: &str) -> Got {
    try_token(sandbox, vendor, query, form).await.unwrap()
}

/// The same; `None` if the connection ends without an answer.
pub(crate) async fn try_token(sandbox: &Sandbox, vendor: Vendor, query: &str, form: &str) -> Option<Got> {
    let client = "client_id=archive-app&client_secret=s3cret%2Fwith%2Bsigns";
    let url = format!("{}{query}", sandbox.token_url(vendor));
    Browser::new(sandbox, None).try_to_go(Method::POST, &url, Some(format!("{client}&{form}"))).await
}

pub(crate) fn code_form(code: &str) -> String {
    let redirect = "https%3A%2F%2Fsign.example.com%2Fgrants%2Fhr";
    format!("grant_type=authorization_code&code={code}&redirect_uri={redirect}")
}

/// A token of a person who allows it.
pub(crate) async fn token_of(sandbox: &Sandbox, vendor: Vendor, user: &str) -> String {
    let code = code_of(sandbox, vendor, user, "").await;
    let got = ask_token(sandbox, vendor, "", &code_form(&code)).await;
    assert_eq!(got.status, 200, "{}", text(&got));
    got.json()["access_token"].as_str().unwrap().to_owned()
}

/// Calls an API with a user's token; `None` if the connection ends without an answer.
pub(crate) async fn call(
    sandbox: &Sandbox,
    vendor: Vendor,
    token: &str,
    path: &str,
    body: Option<Value>,
) -> Option<Got> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{path}", sandbox.base_url(vendor));
    let request = match body {
        None => http.get(url),
        Some(body) => http.post(url).header("content-type", "application/json").body(body.to_string()),
    };
    let response = request.bearer_auth(token).send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Some(Got { status, headers, body: response.bytes().await.ok()?.to_vec() })
}
