//! A desk that says what it is told to, and a browser of the plainest kind.
#![expect(clippy::unwrap_used, reason = "test support")]

use std::sync::{Arc, Mutex, PoisonError};

use aftersign_core::consent::{Browser, ConsentDesk, Errand, Scene, Turn};
use aftersign_core::ids::AccountId;
use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use aftersign_web::{BeforeSendUrl, PageAccount, Pages, PagesConfig};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, Semaphore};

/// A browser's key that we gave out earlier: 32 zero bytes.
pub(crate) const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The key that the tests' entropy makes: 32 bytes of 7.
pub(crate) const NEW_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
pub(crate) const RETURN_PATH: &str = "/oauth/back";
pub(crate) const PLATFORM: &str = "Test Platform";
pub(crate) const BEFORE_SEND: &str = "/consent/hr/before-send?draft=d&user=u&org=o";
pub(crate) const BEFORE_SEND_URL: &str =
    "https://sign.example.com/consent/hr/before-send?draft=##Draft##&user=##User##&org=##Org##";

/// One call to the desk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Arrive(Errand),
    Depart,
    Returned(String),
    Key(Vec<(String, String)>, Option<String>),
}

/// One call, by whom and for which account.
pub(crate) struct Visit {
    pub(crate) account: String,
    pub(crate) asked: Asked,
    pub(crate) key: String,
    pub(crate) session: Option<String>,
}

type Script = Box<dyn Fn() -> Turn + Send + Sync>;

pub(crate) struct Desk {
    asked: Mutex<Vec<Visit>>,
    script: Mutex<Script>,
    pub(crate) arrived: Notify,
    pub(crate) done: Notify,
    /// A call is answered once it got a permit.
    pub(crate) gate: Semaphore,
}

impl Desk {
    async fn answer(&self, account: &AccountId, asked: Asked, browser: &Browser) -> Turn {
        let session = browser.session.as_ref().map(|session| session.expose().to_owned());
        let key = browser.key.expose().to_owned();
        self.asked.lock().unwrap().push(Visit { account: account.to_string(), asked, key, session });
        self.arrived.notify_one();
        self.gate.acquire().await.unwrap().forget();
        let turn = (self.script.lock().unwrap_or_else(PoisonError::into_inner))();
        self.done.notify_one();
        turn
    }

    pub(crate) fn says(&self, script: impl Fn() -> Scene + Send + Sync + 'static) {
        self.turns(move || script().into());
    }

    pub(crate) fn turns(&self, script: impl Fn() -> Turn + Send + Sync + 'static) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// What it was asked since it was last looked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.visits().into_iter().map(|visit| visit.asked).collect()
    }

    pub(crate) fn visits(&self) -> Vec<Visit> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl ConsentDesk for Desk {
    async fn arrive(&self, account: &AccountId, errand: Errand, browser: &Browser) -> Turn {
        self.answer(account, Asked::Arrive(errand), browser).await
    }
    async fn depart(&self, account: &AccountId, browser: &Browser) -> Turn {
        self.answer(account, Asked::Depart, browser).await
    }
    async fn returned(&self, account: &AccountId, query: &str, browser: &Browser) -> Turn {
        self.answer(account, Asked::Returned(query.to_owned()), browser).await
    }
    async fn key_typed(
        &self,
        account: &AccountId,
        fields: Vec<(String, Secret)>,
        link: Option<String>,
        browser: &Browser,
    ) -> Turn {
        let fields = fields.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect();
        self.answer(account, Asked::Key(fields, link), browser).await
    }
    fn account_of_return(&self, path: &str) -> Option<AccountId> {
        match path {
            RETURN_PATH => Some(AccountId::new("hr")),
            "/oauth/stray" => Some(AccountId::new("no-pages")),
            _ => None,
        }
    }
}

struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// Pages at a public URL, and the desk behind them.
pub(crate) struct Site {
    pub(crate) pages: Arc<Pages>,
    pub(crate) desk: Arc<Desk>,
    origin: String,
    registry: Registry,
}

impl Site {
    pub(crate) fn open() -> Self {
        Self::open_at("https://sign.example.com")
    }

    pub(crate) fn open_at(public_url: &str) -> Self {
        let script: Script =
            Box::new(|| Scene::Offer { consent: true, fields: &["api_key"], link: None }.into());
        let desk = Arc::new(Desk {
            asked: Mutex::default(),
            script: Mutex::new(script),
            arrived: Notify::new(),
            done: Notify::new(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let account = |id: &str| PageAccount {
            id: AccountId::new(id),
            platform: PLATFORM,
            before_send: Some(BeforeSendUrl {
                place: "Redirect before sending",
                url: BEFORE_SEND_URL.into(),
            }),
        };
        let config = PagesConfig {
            public_url: public_url.to_owned(),
            accounts: vec![account("hr"), account("assets")],
        };
        let pages = Arc::new(Pages::new(Arc::clone(&desk) as _, Arc::new(Sevens), config));
        let mut registry = Registry::default();
        pages.register(&mut registry);
        let origin: String = public_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        Self { pages, desk, origin, registry }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Seen {
        seen(self.pages.answer(request).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.send(get(path, &[])).await
    }

    /// Sends a form as a browser does from our own page.
    pub(crate) async fn post(&self, path: &str, form: &str) -> Seen {
        let request = post(path, &self.own(), form);
        self.send(request).await
    }

    /// The headers with which a browser sends our own form.
    pub(crate) fn own(&self) -> Vec<(&'static str, String)> {
        let prefix = if self.origin.starts_with("https") { "__Host-" } else { "" };
        vec![
            ("cookie", format!("{prefix}aftersign-browser={KEY}")),
            ("origin", self.origin.clone()),
            ("sec-fetch-site", "same-origin".to_owned()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ]
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&'static str, String)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

pub(crate) fn get(path: &str, headers: &[(&'static str, String)]) -> Request<Full<Bytes>> {
    request("GET", path, headers, "")
}

pub(crate) fn post(path: &str, headers: &[(&'static str, String)], form: &str) -> Request<Full<Bytes>> {
    request("POST", path, headers, form)
}

/// An answer, read to its end.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// Sorted `name: value` lines.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let start = format!("{name}: ");
        self.headers.iter().filter_map(|line| line.strip_prefix(&start)).collect()
    }

    /// The values of an attribute, still escaped.
    pub(crate) fn attributes(&self, name: &str) -> Vec<&str> {
        let start = format!(" {name}=\"");
        self.body.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    pub(crate) fn heading(&self) -> &str {
        self.body.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap()
    }
}

pub(crate) async fn seen(response: Response<Full<Bytes>>) -> Seen {
    let (head, body) = response.into_parts();
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}", value.to_str().unwrap())
    };
    let mut headers: Vec<String> = head.headers.iter().map(line).collect();
    headers.sort();
    let body = body.collect().await.unwrap().to_bytes();
    Seen { status: head.status.as_u16(), headers, body: String::from_utf8(body.to_vec()).unwrap() }
}
