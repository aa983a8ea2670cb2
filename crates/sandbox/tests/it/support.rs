//! A receiver of callbacks that can be told what to answer, and small HTTP helpers.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftersign_sandbox::{AccountSpec, FaultProfile, Sandbox, SandboxConfig, Vendor};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Nothing in these tests takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const KEY: &str = "0123456789abcdef";
/// The parts of Scrive's credential.
pub(crate) const SECRETS: [(&str, &str); 4] = [
    ("api_token", "a1b2c3d4e5f60718_1"),
    ("api_secret", "1111aaaa2222bbbb"),
    ("access_token", "0f1e2d3c4b5a6978_2"),
    ("access_secret", "3333cccc4444dddd"),
];
/// The header that they make.
pub(crate) const OAUTH: &str = "oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"a1b2c3d4e5f60718_1\", \
    oauth_token=\"0f1e2d3c4b5a6978_2\", oauth_signature=\"1111aaaa2222bbbb&3333cccc4444dddd\"";
pub(crate) const ACKNOWLEDGEMENT: &str = "Hello API Event Received";

/// One callback as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// The field `json` of a multipart body, taken apart by hand.
    pub(crate) fn json_text(&self) -> String {
        let body = std::str::from_utf8(&self.body).unwrap();
        let content_type = self.headers["content-type"].to_str().unwrap();
        let boundary = content_type.split("boundary=").nth(1).unwrap();
        let part = body.split(&format!("--{boundary}")).nth(1).unwrap();
        let (head, rest) = part.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("form-data; name=\"json\""), "{head}");
        rest.strip_suffix("\r\n").unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.json_text()).unwrap()
    }

    pub(crate) fn event_type(&self) -> String {
        self.json()["event"]["event_type"].as_str().unwrap().to_owned()
    }

    /// A field of a form.
    pub(crate) fn field(&self, wanted: &str) -> Option<String> {
        let body = std::str::from_utf8(&self.body).unwrap();
        let value = body.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='))?;
        Some(percent_decode_str(value).decode_utf8().unwrap().into_owned())
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.uri.to_string().contains(text)
    }
}

/// A server that notes callbacks.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    noted: watch::Sender<Vec<Received>>,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        Receiver::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn on(listener: TcpListener) -> Receiver {
        let url = format!("http://{}/callbacks/hr/secret", listener.local_addr().unwrap());
        let receiver = Receiver {
            url,
            noted: watch::Sender::new(Vec::new()),
            answer: Arc::new(Mutex::new((200, ACKNOWLEDGEMENT.to_owned()))),
        };
        let shared = receiver.clone();
        let router = axum::Router::new().fallback(move |request: Request<Body>| {
            let shared = shared.clone();
            async move { shared.receive(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    async fn receive(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let received = Received { method: parts.method, uri: parts.uri, headers: parts.headers, body };
        let (status, text) = self.answer.lock().unwrap().clone();
        self.noted.send_modify(|noted| noted.push(received));
        Response::builder().status(status).body(Body::from(text)).unwrap()
    }

    pub(crate) fn answer_with(&self, status: u16, text: &str) {
        *self.answer.lock().unwrap() = (status, text.to_owned());
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.noted.borrow().clone()
    }

    /// The first callback that fits, as soon as it is there.
    pub(crate) async fn wait_for(&self, fits: impl Fn(&Received) -> bool) -> Received {
        self.wait_for_count(1, fits).await.remove(0)
    }

    pub(crate) async fn wait_for_count(
        &self,
        count: usize,
        fits: impl Fn(&Received) -> bool,
    ) -> Vec<Received> {
        let mut noted = self.noted.subscribe();
        patiently("a callback", async {
            let all = noted.wait_for(|all| all.iter().filter(|r| fits(r)).count() >= count).await.unwrap();
            all.iter().filter(|r| fits(r)).cloned().collect()
        })
        .await
    }
}

/// Fails instead of waiting for ever.
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until the world is as wanted.
pub(crate) async fn until(sandbox: &Sandbox, what: &str, wanted: impl Fn(&Sandbox) -> bool) {
    patiently(what, async {
        while !wanted(sandbox) {
            // The timeout covers a change between the look and the wait.
            drop(tokio::time::timeout(Duration::from_millis(20), sandbox.changed()).await);
        }
    })
    .await;
}

pub(crate) fn config(time_scale: f64) -> SandboxConfig {
    SandboxConfig { seed: 11, faults: FaultProfile::Off, time_scale, ..SandboxConfig::default() }
}

/// A world with one open account, `hr`.
pub(crate) async fn world(vendor: Vendor, config: SandboxConfig, callback_url: &str) -> Sandbox {
    let sandbox = Sandbox::start(config).await.unwrap();
    sandbox.open_account(AccountSpec {
        vendor,
        id: "hr".to_owned(),
        api_key: KEY.to_owned(),
        callback_url: callback_url.to_owned(),
        secrets: SECRETS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..AccountSpec::default()
    });
    sandbox
}

/// An answer, read completely.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// A client of one platform with a key.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    vendor: Vendor,
}

impl Client {
    pub(crate) fn new(sandbox: &Sandbox, vendor: Vendor) -> Client {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Client { http, base: sandbox.base_url(vendor), vendor }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Option<Value>) -> Got {
        self.send(Method::POST, path, body).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Got, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = match self.vendor {
            Vendor::DropboxSign => request.basic_auth(KEY, Some("")),
            Vendor::ESignAnyWhere => request.header("apiToken", KEY),
            Vendor::OneSpan => request.header("authorization", format!("Basic {KEY}")),
            Vendor::Scrive | Vendor::ScriveFlow => request.header("authorization", OAUTH),
        };
        if let Some(body) = body {
            let (content_type, body) = match self.vendor {
                Vendor::Scrive => ("application/x-www-form-urlencoded", as_form(&body)),
                _ => ("application/json", body.to_string()),
            };
            request = request.header("content-type", content_type).body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Got { status, headers, body: response.bytes().await?.to_vec() })
    }
}

/// The members of an object as a form.
fn as_form(body: &Value) -> String {
    let pairs = body.as_object().unwrap().iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
    });
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
