//! Where and with what OneSpan's API is called: regions, the three kinds of access, refusals, and the
//! registration of the callback.
//!
//! No authorization-code grant exists. An account takes either API keys and Client App tokens, or OAuth 2.0
//! client credentials, never both (vendor's documentation). "For a sender" is a token asked for in that
//! sender's name. Adapters keep nothing, so a token is asked for here and kept by the caller.

use std::fmt;

use aftersign_core::platform::{Access, Call, Identity, Next};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{
    ClientAppRequest, ClientAppToken, ErrorAnswer, OAuthToken, RegisterCallback, RegisteredCallback, Session,
};
use crate::exchange::{
    Body, excerpt, is_disturbed, misconfigured, read_json, refused_by_status, refused_by_stranger, request,
    retry_after, secret_header, unintelligible, without_mark,
};

/// JSON as the API versions it (official OpenAPI).
pub(super) const JSON: &str = "application/json; esl-api-version=11";

/// A Client App token is renewed so long before its end, as the Java SDK does.
const CLIENT_APP_AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// An OAuth token is renewed so long before its end, as the Java SDK does.
const OAUTH_AHEAD: SignedDuration = SignedDuration::from_secs(10);
/// Life of an OAuth token whose answer does not say it: "five minutes" (vendor's blog: 299 seconds).
const OAUTH_SECONDS: u32 = 299;
/// Below this, `expiresAt` cannot be milliseconds (it would lie in 1973): such a value is taken for seconds.
const MILLISECONDS_MIN: i64 = 100_000_000_000;

/// The vendor's hosts, and those of a white label. Others exist, so `base_url` stays free text and there is
/// no default: the wrong region answers 401 to a good key (public SDKs and tools; sheet section 2.1).
pub const REGIONS: [(&str, &str); 13] = [
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

/// The base URL of a region by its short name.
pub fn region_base_url(region: &str) -> Option<&'static str> {
    REGIONS.iter().find(|(name, _)| *name == region).map(|(_, url)| *url)
}

/// One account's API for one operation; cloned into the readers that go on asking.
#[derive(Clone)]
pub(super) struct Api {
    root: String,
    authorization: HeaderValue,
    pub(super) operation: &'static str,
}

impl Api {
    /// With an API key (sent as it was given: it looks like base64 and is not to be encoded again), or with
    /// the token that [`client_app_token`] or [`oauth_token`] fetched, as field `access_token`.
    pub(super) fn new(operation: &'static str, access: &Access) -> Result<Self, Error> {
        let field = |name| access.credential.field(name).trim();
        let (key, token) = (field("api_key"), field("access_token"));
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
        Ok(Self { root: root(operation, &access.base_url)?, authorization, operation })
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

    /// Pairs a request with its reader.
    pub(super) fn then<T>(
        &self,
        request: Request<Bytes>,
        read: impl FnOnce(Response<Bytes>) -> Result<Next<T>, Error> + Send + 'static,
    ) -> Call<T> {
        Call::new(self.operation, request, move |response, _now| read(response))
    }

    /// The JSON of a success, or what the refusal means.
    pub(super) fn answer<T: DeserializeOwned>(&self, response: &Response<Bytes>) -> Result<T, Error> {
        answer(self.operation, response)
    }

    /// Whether a change was taken. Its body may be empty, JSON or a plain word; a page says nothing.
    pub(super) fn taken(&self, response: &Response<Bytes>) -> Result<(), Error> {
        if !response.status().is_success() {
            return Err(self.refused(response));
        }
        match Body::of(response.body()) {
            Body::Foreign => Err(refused_by_stranger(self.operation, response.status(), None)),
            Body::Empty | Body::Json(_) => Ok(()),
        }
    }

    /// What a refusal means.
    pub(super) fn refused(&self, response: &Response<Bytes>) -> Error {
        refused(self.operation, response)
    }

    /// An answer that contradicts the documentation.
    pub(super) fn unintelligible(&self, message: &str) -> Error {
        unintelligible(self.operation, message)
    }

    /// An error of this operation.
    pub(super) fn error(&self, kind: ErrorKind, remedy: Remedy, message: &str) -> Error {
        Error::new(kind, remedy, self.operation, message)
    }
}

/// The host's URL, whether or not it was given with `/api` as some tools do.
fn root(operation: &'static str, base_url: &str) -> Result<String, Error> {
    let mut root = base_url.trim().trim_end_matches('/');
    let start = root.len().saturating_sub("/api".len());
    if root.get(start..).is_some_and(|end| end.eq_ignore_ascii_case("/api")) {
        root = root[..start].trim_end_matches('/');
    }
    if root.is_empty() {
        let message = "the account has no base_url; every region of OneSpan Sign has a host of its own";
        return Err(misconfigured(operation, message));
    }
    Ok(root.to_owned())
}

fn json_body(operation: &'static str, body: &impl Serialize) -> Result<Bytes, Error> {
    let body = serde_json::to_vec(body)
        .map_err(|error| misconfigured(operation, "the request has no JSON form").caused_by(error))?;
    Ok(Bytes::from(body))
}

/// A change's JSON body.
pub(super) fn change(api: &Api, body: &impl Serialize) -> Result<Bytes, Error> {
    json_body(api.operation, body)
}

fn answer<T: DeserializeOwned>(operation: &'static str, response: &Response<Bytes>) -> Result<T, Error> {
    match response.status().is_success() {
        true => read_json(operation, response.body()),
        false => Err(refused(operation, response)),
    }
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

/// Whose access a token is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OnBehalf {
    /// The account's owner (Client App), or the client itself (OAuth).
    Owner,
    /// One sender: by e-mail address with a Client App, by sender id with OAuth.
    Sender(String),
}

/// An access token to put into the credential as `access_token`.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub access_token: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When the next one is due: a little before.
    pub renew_at: Timestamp,
}

impl Token {
    fn new(
        operation: &'static str,
        token: String,
        expires_at: Timestamp,
        ahead: SignedDuration,
    ) -> Result<Self, Error> {
        if token.trim().is_empty() {
            return Err(unintelligible(operation, "the answer holds an empty token"));
        }
        let renew_at = expires_at.checked_sub(ahead).unwrap_or(expires_at);
        Ok(Self { access_token: Secret::new(token), expires_at, renew_at })
    }
}

/// Asks for a Client App token (credential `{ client_id, client_secret, flow = "client-app" }`).
///
/// `POST {base}/apitoken/clientApp/accessToken`, beside `/api`; its `expiresAt` is in milliseconds (Java SDK;
/// a public client that compared it with seconds never renewed).
///
/// # Errors
/// A credential or base URL that cannot be used.
pub fn client_app_token(access: &Access, on_behalf: &OnBehalf) -> Result<Call<Token>, Error> {
    const OPERATION: &str = "onespan client-app token";
    let (client_id, secret) = client(OPERATION, access)?;
    let (owner, email) = match on_behalf {
        OnBehalf::Owner => ("OWNER", None),
        OnBehalf::Sender(email) => ("SENDER", Some(email.as_str())),
    };
    let body = json_body(OPERATION, &ClientAppRequest { client_id, secret, owner, email })?;
    let builder = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/apitoken/clientApp/accessToken", root(OPERATION, &access.base_url)?))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json");
    Ok(Call::new(OPERATION, request(OPERATION, builder, body)?, |response, _now| {
        let token: ClientAppToken = token_answer(OPERATION, &response)?;
        let expires_at = token.expires_at.and_then(|text| text.trim().parse().ok()).and_then(point_in_time);
        let expires_at =
            expires_at.ok_or_else(|| unintelligible(OPERATION, "the token's end is no point in time"))?;
        Ok(Next::Done(Token::new(OPERATION, token.access_token, expires_at, CLIENT_APP_AHEAD)?))
    }))
}

/// Asks for a token by OAuth 2.0 client credentials (`{ client_id, client_secret, flow = "oauth2" }`).
///
/// `POST {base}/oauth2/token`, beside `/api`, with the client in HTTP Basic (here base64 is right) and a form;
/// `expires_in` is in seconds (Java SDK, vendor's documentation).
///
/// # Errors
/// A credential or base URL that cannot be used.
pub fn oauth_token(access: &Access, on_behalf: &OnBehalf) -> Result<Call<Token>, Error> {
    const OPERATION: &str = "onespan oauth token";
    let (client_id, secret) = client(OPERATION, access)?;
    let mut form = "grant_type=client_credentials".to_owned();
    if let OnBehalf::Sender(id) = on_behalf {
        form.push_str("&sender_id=");
        form.extend(utf8_percent_encode(id, NON_ALPHANUMERIC));
    }
    let basic = format!("Basic {}", STANDARD.encode(format!("{client_id}:{secret}")));
    let builder = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/oauth2/token", root(OPERATION, &access.base_url)?))
        .header(AUTHORIZATION, secret_header(OPERATION, &basic)?)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    Ok(Call::new(OPERATION, request(OPERATION, builder, form.into())?, |response, now| {
        let token: OAuthToken = token_answer(OPERATION, &response)?;
        if token.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(unintelligible(OPERATION, "the token is of a kind other than Bearer"));
        }
        let life = SignedDuration::from_secs(token.expires_in.unwrap_or(OAUTH_SECONDS).into());
        let expires_at = now.checked_add(life).unwrap_or(now);
        Ok(Next::Done(Token::new(OPERATION, token.access_token, expires_at, OAUTH_AHEAD)?))
    }))
}

/// Milliseconds since 1970; what is too small for that is taken for seconds.
fn point_in_time(expires_at: i64) -> Option<Timestamp> {
    match expires_at {
        ..MILLISECONDS_MIN => Timestamp::from_second(expires_at).ok(),
        _ => Timestamp::from_millisecond(expires_at).ok(),
    }
}

/// Like [`answer`], but for the parser's words, which may repeat a token.
fn token_answer<T: DeserializeOwned>(
    operation: &'static str,
    response: &Response<Bytes>,
) -> Result<T, Error> {
    if !response.status().is_success() {
        return Err(refused(operation, response));
    }
    let message = "the answer is not a token as documented: is base_url right?";
    serde_json::from_slice(without_mark(response.body())).map_err(|_| unintelligible(operation, message))
}

fn client<'a>(operation: &'static str, access: &'a Access) -> Result<(&'a str, &'a str), Error> {
    let field = |name| access.credential.field(name).trim();
    match (field("client_id"), field("client_secret")) {
        ("", _) | (_, "") => {
            Err(misconfigured(operation, "the account's credential lacks client_id or client_secret"))
        }
        client => Ok(client),
    }
}

/// Asks for the session, then for the registered callback, which may be hidden from this access.
pub(super) fn whoami(access: &Access) -> Result<Call<Identity>, Error> {
    let api = Api::new("onespan whoami", access)?;
    let request = api.get("session")?;
    Ok(api.clone().then(request, move |response| {
        let session: Session = api.answer(&response)?;
        let of_account = session.account.and_then(|account| account.name.or(account.id));
        let name = session.user.and_then(|user| user.email).or(of_account);
        let name = name.ok_or_else(|| api.unintelligible("the session names neither user nor account"))?;
        let request = api.get("callback")?;
        Ok(Next::Then(api.clone().then(request, move |response| {
            if is_disturbed(&response) {
                return Err(api.refused(&response));
            }
            let registered: Option<RegisteredCallback> = api.answer(&response).ok();
            let callback_url = registered.and_then(|registered| registered.url);
            Ok(Next::Done(Identity { name, callback_url }))
        })))
    }))
}

/// The callback of an account as OneSpan has it. There is one per account, and registering overwrites: other
/// integrations may hold it, so compare before you change it.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// Where callbacks go; `None` if none is registered.
    pub url: Option<String>,
    /// The event names that are sent.
    pub events: Vec<String>,
}

impl fmt::Debug for Registration {
    /// The URL bears the path secret, so it is not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("url", &self.url.as_ref().map(|_| "redacted"))
            .field("events", &self.events)
            .finish()
    }
}

/// Asks which callback is registered (`GET callback`: one object; the key in it is not read).
///
/// # Errors
/// A credential or base URL that cannot be used.
pub fn registration(access: &Access) -> Result<Call<Registration>, Error> {
    let api = Api::new("onespan read registration", access)?;
    let request = api.get("callback")?;
    Ok(api.clone().then(request, move |response| read_registration(&api, &response)))
}

/// Registers a callback in place of whatever was there (`POST callback`), and gives back what is registered
/// then. `key` must be of letters and digits: the platform sends it after a space.
///
/// # Errors
/// A credential, base URL, URL or key that cannot be used.
pub fn register(
    access: &Access,
    url: &str,
    key: Option<&Secret>,
    events: &[String],
) -> Result<Call<Registration>, Error> {
    let api = Api::new("onespan register callback", access)?;
    let key = key.map(Secret::expose);
    if key.is_some_and(|key| key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        let message = "a callback key must not be empty nor hold spaces or characters outside ASCII";
        return Err(misconfigured(api.operation, message));
    }
    let body = change(&api, &RegisterCallback { url: url.trim(), key, events })?;
    let request = api.send(Method::POST, "callback", JSON, body)?;
    Ok(api.clone().then(request, move |response| {
        // Its answer repeats what was sent; only a read shows what is kept.
        api.taken(&response)?;
        let request = api.get("callback")?;
        Ok(Next::Then(api.clone().then(request, move |response| read_registration(&api, &response))))
    }))
}

fn read_registration(api: &Api, response: &Response<Bytes>) -> Result<Next<Registration>, Error> {
    let registered: RegisteredCallback = api.answer(response)?;
    Ok(Next::Done(Registration { url: registered.url, events: registered.events }))
}
