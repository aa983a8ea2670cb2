//! Where and with what OneSpan's API is called: regions, the kinds of access, and what refusals mean.

use aftersign_core::platform::{ACCESS_TOKEN, Access};
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use serde::Serialize;

use super::wire::ErrorAnswer;
use crate::exchange::{
    Asking, Body, excerpt, is_page, misconfigured, refused_by_status, refused_by_stranger, request,
    retry_after, secret_header,
};

/// JSON as the API versions it (official OpenAPI).
pub(super) const JSON: &str = "application/json; esl-api-version=11";

/// The vendor's hosts, and those of a white label. Others exist, so `base_url` stays free text and there is
/// no default: the wrong region answers 401 to a good key (public SDKs and tools).
const REGIONS: [(&str, &str); 13] = [
    ("us2", "https://apps.esignlive.com"),
    ("us2-sandbox", "https://sandbox.esignlive.com"),
    ("us1", "https://apps.e-signlive.com"),
    ("us1-sandbox", "https://sandbox.e-signlive.com"),
    ("ca", "https://apps.e-signlive.ca"),
    ("ca-sandbox", "https://sandbox.e-signlive.ca"),
    ("eu", "https://apps.esignlive.eu"),
    ("au", "https://apps.esignlive.com.au"),
    ("us-gov", "https://signer-gov.esignlive.com"),
    ("us-gov-sandbox", "https://signer-sandbox-gov.esignlive.com"),
    ("preview", "https://preview.esignlive.com"),
    ("validsign", "https://my.validsign.nl"),
    ("validsign-sandbox", "https://try.validsign.nl"),
];

/// One account's API for one operation; cloned into the readers that go on asking.
#[derive(Clone)]
pub(super) struct Api {
    root: String,
    authorization: HeaderValue,
    /// Whose packages lists ask for, where the access is not the sender's own.
    pub(super) owner: Option<String>,
    pub(super) operation: &'static str,
}

impl Api {
    /// With an API key (sent as it was given: it looks like base64 and is not to be encoded again), or with
    /// the token that was fetched for the credential. A token asked for in a sender's name is that sender's
    /// own access; with a key, lists must say whose packages they are about (official OpenAPI).
    pub(super) fn new(operation: &'static str, access: &Access) -> Result<Self, Error> {
        let field = |name| access.credential.field(name).trim();
        let (key, token) = (field("api_key"), field(ACCESS_TOKEN));
        let authorization = match (key, token) {
            ("", "") if !field("client_id").is_empty() => {
                let message = "the account's token was not fetched; its client_id alone opens nothing";
                return Err(misconfigured(operation, message));
            }
            ("", "") => return Err(misconfigured(operation, "the account has no api_key in its credential")),
            ("", token) => format!("Bearer {token}"),
            (key, _) => format!("Basic {key}"),
        };
        let authorization = secret_header(operation, &authorization)?;
        let owner = access.sender.clone().filter(|_| !key.is_empty());
        Ok(Self { root: root(operation, &access.base_url)?, authorization, owner, operation })
    }

    /// A request to `{base}/api/{path}`; ids in `path` are checked before.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Bytes,
    ) -> Result<Request<Bytes>, Error> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}/api/{path}", self.root))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, accept);
        if !body.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        request(self.operation, builder, body)
    }

    /// A read of JSON.
    pub(super) fn get(&self, path: &str) -> Result<Request<Bytes>, Error> {
        self.send(Method::GET, path, JSON, Bytes::new())
    }

    /// Whether a change was taken. Its body may be empty, JSON or a plain word; a stranger's page says nothing.
    pub(super) fn taken(&self, response: &Response<Bytes>) -> Result<(), Error> {
        if !response.status().is_success() {
            return Err(self.refused(response));
        }
        match is_page(response.body()) {
            true => Err(refused_by_stranger(self.operation, response.status(), None)),
            false => Ok(()),
        }
    }
}

impl Asking for Api {
    fn operation(&self) -> &'static str {
        self.operation
    }

    fn refused(&self, response: &Response<Bytes>) -> Error {
        refused(self.operation, response)
    }
}

/// The host's URL, whether or not it was given with `/api` as some tools do.
pub(super) fn root(operation: &'static str, base_url: &str) -> Result<String, Error> {
    let mut root = base_url.trim().trim_end_matches('/');
    let start = root.len().saturating_sub("/api".len());
    if root.get(start..).is_some_and(|end| end.eq_ignore_ascii_case("/api")) {
        root = root[..start].trim_end_matches('/');
    }
    if root.is_empty() {
        let hosts = REGIONS.map(|(region, host)| format!("{region}: {host}")).join(", ");
        let message =
            format!("the account has no base_url, and every region has a host of its own ({hosts})");
        return Err(misconfigured(operation, &message));
    }
    Ok(root.to_owned())
}

/// A change's JSON body.
pub(super) fn json_body(operation: &'static str, body: &impl Serialize) -> Result<Bytes, Error> {
    let body = serde_json::to_vec(body)
        .map_err(|error| misconfigured(operation, "the request has no JSON form").caused_by(error))?;
    Ok(Bytes::from(body))
}

/// What a refusal means: decided by status, as the vendor's keys (`error.<class>.<detail>`) follow it. The
/// body may be HTML of the gateway before the API. `technical` is not shown: it repeats what was sent.
pub(super) fn refused(operation: &'static str, response: &Response<Bytes>) -> Error {
    let status = response.status();
    let not_before = retry_after(response.headers());
    let value = match Body::of(response.body()) {
        Body::Foreign => return refused_by_stranger(operation, status, not_before),
        Body::Empty => None,
        Body::Json(value) => Some(value),
    };
    let said: ErrorAnswer = value.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let message = excerpt(&said.text());
    let error = match said.key() {
        // RFC 6749 answers a wrong client with 400 or 401.
        Some("invalid_client" | "unauthorized_client" | "invalid_token") => {
            Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, operation, message)
                .with("status", status.as_u16())
        }
        _ => refused_by_status(operation, status, not_before, message),
    };
    match said.key() {
        Some(key) => error.with("error", excerpt(key)),
        None => error,
    }
}
