//! A witness in front of the platform's token endpoint.
//!
//! The sandbox tells nobody which tokens it gave out, and the server must not. So the server is told that tokens are to be had
//! here: every request goes on to the platform as it is, and whatever secret passes is noted for the search. A request that
//! the platform does not answer is not answered here either.

use std::net::Ipv4Addr;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use super::secrets::{ACCESS_TOKEN, Secrets};

/// The largest request, in bytes: a form with a code.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The fields of a request that are secrets.
const SECRET_FIELDS: [(&str, &str); 3] =
    [("code", "authorisation code"), ("code_verifier", "PKCE verifier"), ("client_secret", "client secret")];

/// A running witness; it ends when it is dropped.
pub(super) struct Witness {
    url: String,
    _stop: DropGuard,
}

/// What one exchange needs.
#[derive(Clone)]
struct Passage {
    client: reqwest::Client,
    token_url: String,
    secrets: Secrets,
}

impl Witness {
    /// Stands in front of `token_url`, on a free port of loopback.
    pub(super) async fn start(token_url: String, secrets: Secrets) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on loopback")?;
        let url = format!("http://{}/token", listener.local_addr()?);
        let client = reqwest::Client::builder().no_proxy().build().context("cannot make an HTTP client")?;
        let stop = CancellationToken::new();
        let passage = Passage { client, token_url, secrets };
        tokio::spawn(stop.clone().run_until_cancelled_owned(listen(listener, passage)));
        Ok(Self { url, _stop: stop.drop_guard() })
    }

    /// Where the server is to get tokens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

async fn listen(listener: TcpListener, passage: Passage) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let passage = passage.clone();
        let service = service_fn(move |request| pass(passage.clone(), request));
        // A failed passage ends the connection without an answer, as the platform did.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Why a request was not answered; the connection ends then.
type Broken = Box<dyn std::error::Error + Send + Sync>;

async fn pass(passage: Passage, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_BYTES_MAX).collect().await?.to_bytes();
    passage.note_request(&body);
    let mut onward = passage.client.request(head.method, &passage.token_url).body(body);
    for name in [header::CONTENT_TYPE, header::ACCEPT, header::AUTHORIZATION] {
        if let Some(value) = head.headers.get(&name) {
            onward = onward.header(name, value);
        }
    }
    let answer = onward.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await?;
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(token) = json["access_token"].as_str() {
        passage.secrets.note(ACCESS_TOKEN, token);
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    for name in [header::CONTENT_TYPE, header::CACHE_CONTROL, header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

impl Passage {
    fn note_request(&self, body: &[u8]) {
        let Ok(mut form) = Url::parse("http://form") else { return };
        form.set_query(std::str::from_utf8(body).ok());
        for (name, kind) in SECRET_FIELDS {
            let values = form.query_pairs().filter(|(key, value)| key == name && !value.is_empty());
            values.for_each(|(_, value)| self.secrets.note(kind, &value));
        }
    }
}
