//! The code grant of OAuth 2.0, as far as it is the same everywhere (RFC 6749, sections 4.1, 5 and 6; RFC 7636).
//!
//! Adapters say where their platform has its endpoints and what it adds. A token endpoint is no API: what it refuses is
//! either the code or the refresh token, which the sender can renew, or our application, which only a person can mend.
//! What was sent and what comes back is secret: nothing of it is repeated in an error, and every copy that is ours is zeroed
//! when dropped. Not ours to zero are the body and the headers of the request and the body of its answer (`Bytes`), with what
//! HTTP's client and the JSON parser hold meanwhile.

use aftersign_core::digest::Digest;
use aftersign_core::grant::{
    ClientAuth, Departure, Grant, GrantKind, Nonces, OauthApp, Return, ReturnAnswer,
};
use aftersign_core::platform::{Call, Credential, Next};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode, Uri};
use jiff::SignedDuration;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::exchange::{
    excerpt, is_page, misconfigured, request, retry_after, secret_header, unintelligible, without_mark,
    without_trailing_commas, word,
};
use crate::form;
use crate::wire::TokenAnswer;

/// Longest token, code or state that is taken, in characters: what is longer fits no header of common servers.
const SECRET_CHARS_MAX: usize = 8 * 1024;
/// Longest query with which a browser may come back, in bytes: twice a longest code.
const RETURN_BYTES_MAX: usize = 2 * SECRET_CHARS_MAX;
/// Longest life of a token that is believed, in seconds: ten years, so that no number leaves the calendar.
const LIFE_SECONDS_LONGEST: f64 = 10.0 * 366.0 * 86_400.0;
/// A token is renewed so long before its end: time for a slow answer.
const RENEW_AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// Of a short life at most this part is given up for that.
const RENEW_AHEAD_PART: i32 = 10;
/// What an error is called that has no name, or one that must not be shown.
const NAMELESS: &str = "an error without a name";

/// The way to a page of consent (section 4.1.1). Of a query that the configured URL has, all stays but what is ours to say.
pub(crate) fn departure(
    operation: &'static str,
    authorize_url: &str,
    app: &OauthApp,
    nonces: &Nonces,
) -> Result<Departure, Error> {
    check_app(operation, app)?;
    let mut ours = vec![
        ("response_type", "code"),
        ("client_id", app.client_id.as_str()),
        ("redirect_uri", app.redirect_uri.as_str()),
        ("state", nonces.state.expose()),
    ];
    ours.extend(app.scope.as_deref().map(|scope| ("scope", scope)));
    let challenge = challenge(&nonces.verifier);
    if app.pkce {
        ours.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
    }
    let url = with_query(operation, "authorize_url", authorize_url, &ours)?;
    let keep = if app.pkce { nonces.verifier.clone() } else { Secret::new("") };
    Ok(Departure { url, state: nonces.state.clone(), keep })
}

/// RFC 7636, section 4.2, by S256.
fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(verifier.expose().as_bytes()).as_bytes())
}

/// The URL with these parameters in place of those of the same names.
pub(crate) fn with_query(
    operation: &'static str,
    key: &str,
    url: &str,
    parameters: &[(&str, &str)],
) -> Result<String, Error> {
    let url = checked_url(operation, key, url)?;
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let is_theirs = |pair: &&str| {
        let name = form::pairs(pair).next().map(|(name, _)| name);
        name.is_some_and(|name| parameters.iter().all(|(ours, _)| *ours != name))
    };
    let written = form::written(parameters);
    let all: Vec<&str> = query.split('&').filter(is_theirs).chain([written.as_str()]).collect();
    Ok(format!("{base}?{}", all.join("&")))
}

/// A URL to which a browser or a request can be sent. Endpoints have no fragment (section 3.1).
pub(crate) fn checked_url<'a>(operation: &'static str, key: &str, url: &'a str) -> Result<&'a str, Error> {
    let url = url.trim();
    let uri: Option<Uri> = url.parse().ok();
    let fits = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if fits && !url.contains('#') {
        return Ok(url);
    }
    let message =
        format!("the account's `oauth.{key}`, or the base_url of which it is made, is no URL of the web");
    Err(misconfigured(operation, &message))
}

/// An application without its names can ask nobody.
pub(crate) fn check_app(operation: &'static str, app: &OauthApp) -> Result<(), Error> {
    if app.client_id.trim().is_empty() || app.client_secret.expose().trim().is_empty() {
        let message = "the account's `oauth.client_id` or `oauth.client_secret` is empty";
        return Err(misconfigured(operation, message));
    }
    checked_url(operation, "redirect_uri", &app.redirect_uri).map(|_| ())
}

/// The query with which a browser comes back (section 4.1.2), if it is one: with a state, and either a code or an error,
/// each once. Names that are nobody's do not matter.
pub(crate) fn read_return(query: &str) -> Option<Return> {
    let [state, code, error, description] =
        return_parameters(query, ["state", "code", "error", "error_description"])?;
    let answer = match (code, error.as_deref()) {
        (Some(code), None) => ReturnAnswer::Granted(return_secret(code)?),
        (None, Some("")) => return None,
        (None, Some("access_denied")) => ReturnAnswer::Denied,
        (None, Some(error)) => ReturnAnswer::Failed(reason(error, description.as_deref())),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    Some(Return { state: return_secret(state?)?, answer })
}

/// The values of a query's parameters; `None` if it is oversize or one of them comes twice (section 3.1 forbids that).
pub(crate) fn return_parameters<const N: usize>(
    query: &str,
    names: [&str; N],
) -> Option<[Option<String>; N]> {
    if query.len() > RETURN_BYTES_MAX {
        return None;
    }
    form::unique(query, names)
}

/// What a browser brought, if it can be a secret of a platform.
pub(crate) fn return_secret(text: String) -> Option<Secret> {
    is_secret(&text).then(|| Secret::new(text))
}

/// Whether the text can be a token: visible ASCII (appendix A), fit for a header.
fn is_secret(text: &str) -> bool {
    (1..=SECRET_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The words of a refusal as a page can show them.
fn reason(error: &str, description: Option<&str>) -> String {
    let plain = |text: &str| -> String {
        let is_markup = |c: char| matches!(c, '<' | '>' | '&' | '"' | '\'' | '`' | '+');
        text.chars().map(|c| if is_markup(c) { ' ' } else { c }).collect()
    };
    let description = description.map(plain).filter(|text| !text.trim().is_empty());
    let error = match plain(error) {
        error if error.trim().is_empty() => NAMELESS.to_owned(),
        error => word(&error),
    };
    match description {
        Some(description) => excerpt(&format!("{error}: {}", description.trim())),
        None => error,
    }
}

/// Where codes and refresh tokens become access, and what this platform adds to the standard.
pub(crate) struct TokenEndpoint<'a> {
    /// What calls and errors are named after.
    pub(crate) operation: &'static str,
    /// Where it is.
    pub(crate) url: String,
    /// Who asks.
    pub(crate) app: &'a OauthApp,
    /// The field of a credential that the access token becomes.
    pub(crate) field: &'static str,
    /// The life of a token whose answer does not tell it; `None` if it does not end.
    pub(crate) life: Option<SignedDuration>,
}

impl<'a> TokenEndpoint<'a> {
    /// Exchanges a code (section 4.1.3). `keep` is the verifier, if the code is bound to one; `more` is what the platform
    /// wants besides.
    pub(crate) fn redeem(
        &self,
        code: &'a Secret,
        keep: &'a Secret,
        more: &[(&'a str, &'a Secret)],
    ) -> Result<Call<Grant>, Error> {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", self.app.redirect_uri.as_str()),
        ];
        if !keep.is_empty() {
            pairs.push(("code_verifier", keep.expose()));
        }
        pairs.extend(more.iter().map(|(name, value)| (*name, value.expose())));
        let mut sent = vec![code.clone(), keep.clone()];
        sent.extend(more.iter().map(|(_, value)| (*value).clone()));
        self.ask(pairs, None, sent)
    }

    /// Fetches the token that follows (section 6). Where the answer has no new refresh token the old one stays.
    pub(crate) fn renew(&self, refresh_token: &'a Secret) -> Result<Call<Grant>, Error> {
        let pairs = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        self.ask(pairs, Some(refresh_token.clone()), vec![refresh_token.clone()])
    }

    fn ask(
        &self,
        mut pairs: Vec<(&'a str, &'a str)>,
        refresh_token: Option<Secret>,
        mut sent: Vec<Secret>,
    ) -> Result<Call<Grant>, Error> {
        check_app(self.operation, self.app)?;
        let url = checked_url(self.operation, "token_url", &self.url)?;
        let mut builder = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (id, secret) = (self.app.client_id.as_str(), self.app.client_secret.expose());
        match self.app.client_auth {
            ClientAuth::Post => pairs.extend([("client_id", id), ("client_secret", secret)]),
            ClientAuth::Basic => {
                builder = builder.header(AUTHORIZATION, secret_header(self.operation, &basic(id, secret))?);
            }
        }
        let form = Bytes::copy_from_slice(form::written(&pairs).as_bytes());
        let request = request(self.operation, builder, form)?;
        sent.push(self.app.client_secret.clone());
        let (operation, field, life) = (self.operation, self.field, self.life);
        Ok(Call::new(operation, request, move |response, now| {
            let answer = tokens(operation, &response, &sent)?;
            let life = life_of(answer.expires_in.as_ref()).or(life);
            let token = answer.access_token.filter(can_be_sent).ok_or_else(|| {
                unintelligible(
                    operation,
                    "the answer has no access_token that could be sent: is `oauth.token_url` right?",
                )
            })?;
            Ok(Next::Done(Grant {
                kind: GrantKind::Consent,
                credential: Credential::default().with(field, token),
                refresh_token: answer.refresh_token.filter(can_be_sent).or(refresh_token),
                renew_at: life.map(|life| renew_at(now, life)),
            }))
        }))
    }
}

/// The application as HTTP Basic (section 2.3.1), in two texts that never grow out of their places.
fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    const SCHEME: &str = "Basic ";
    let mut client = Zeroizing::new(String::with_capacity(form::encoded_bytes_max(&[id, secret])));
    form::append_encoded(&mut client, id);
    client.push(':');
    form::append_encoded(&mut client, secret);
    // Four characters for three bytes (RFC 4648, section 4).
    let mut header = Zeroizing::new(String::with_capacity(SCHEME.len() + client.len().div_ceil(3) * 4));
    header.push_str(SCHEME);
    STANDARD.encode_string(client.as_bytes(), &mut header);
    header
}

/// What the body of an answer is.
enum Told {
    Empty,
    Object(TokenAnswer),
    /// An HTML page, a plain text, a cut answer.
    Foreign,
}

impl Told {
    /// Reads it as any answer of an API is read: not all keep to UTF-8, and some write commas too many.
    fn of(body: &[u8]) -> Self {
        let text = lossy(without_mark(body));
        let text = text.trim();
        if text.is_empty() {
            return Self::Empty;
        }
        if !text.starts_with('{') {
            return Self::Foreign;
        }
        let mended = || serde_json::from_str(&Zeroizing::new(without_trailing_commas(text)));
        serde_json::from_str(text).or_else(|_| mended()).map_or(Self::Foreign, Self::Object)
    }
}

/// The bytes as text, in one place from the start; each sequence that is no UTF-8 becomes a replacement character.
fn lossy(bytes: &[u8]) -> Zeroizing<String> {
    let marks = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    let bytes_max = bytes.len() + marks * char::REPLACEMENT_CHARACTER.len_utf8();
    let mut text = Zeroizing::new(String::with_capacity(bytes_max));
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// The object of a good answer (section 5.1).
fn tokens(
    operation: &'static str,
    response: &Response<Bytes>,
    sent: &[Secret],
) -> Result<TokenAnswer, Error> {
    let status = response.status();
    let told = Told::of(response.body());
    if let Told::Object(answer) = &told
        && let Some(name) = error_name(answer)
    {
        let name = if repeats(name, sent) { NAMELESS } else { name };
        let said = answer.error_description.as_ref().and_then(Value::as_str);
        return Err(refused(operation, response, name, said.filter(|said| !repeats(said, sent))));
    }
    match told {
        Told::Object(answer) if status.is_success() => match &answer.token_type {
            None => Ok(answer),
            Some(Value::String(kind)) if kind.trim().eq_ignore_ascii_case("bearer") => Ok(answer),
            Some(_) => Err(unintelligible(operation, "the token is of a kind other than Bearer")),
        },
        told => Err(no_answer(operation, response, &told)),
    }
}

/// The name of a refusal (section 5.2), whatever the status; some platforms wrap it as their API does.
fn error_name(answer: &TokenAnswer) -> Option<&str> {
    let error = answer.error.as_ref()?;
    let name = error.as_str().or_else(|| error.get("error_name")?.as_str());
    match name.map(str::trim) {
        Some(name) => (!name.is_empty()).then_some(name),
        None => matches!(error, Value::Object(_)).then_some(NAMELESS),
    }
}

/// Whether a text holds something that was sent.
pub(crate) fn repeats(text: &str, sent: &[Secret]) -> bool {
    sent.iter().any(|secret| !secret.is_empty() && text.contains(secret.expose()))
}

fn refused(operation: &'static str, response: &Response<Bytes>, name: &str, said: Option<&str>) -> Error {
    let status = response.status();
    let (kind, remedy, advice) = match (status.as_u16(), name) {
        (429, _) => (
            ErrorKind::RateLimited,
            Remedy::Retry(retry_after(response.headers())),
            "it is tried again later",
        ),
        (408 | 500..=599, _) | (_, "server_error" | "temporarily_unavailable" | "temporary_unavailable") => (
            ErrorKind::Unavailable,
            Remedy::Retry(retry_after(response.headers())),
            "it is tried again later",
        ),
        (_, "invalid_grant") => {
            (ErrorKind::AccessRefused, Remedy::RenewAccess, "the sender must give access again")
        }
        (402, _) | (_, "payment_required" | "addon_required" | "quota_reached") => (
            ErrorKind::Forbidden,
            Remedy::AskPerson,
            "the account's plan at the platform does not include it",
        ),
        (_, name) => (ErrorKind::Misconfigured, Remedy::AskPerson, mend(name)),
    };
    let said = said.map(|said| format!(" ({})", excerpt(said))).unwrap_or_default();
    let message = format!("the authorisation server says `{}`{said}; {advice}", word(name));
    Error::new(kind, remedy, operation, message).with("status", status.as_u16())
}

/// What of the account's configuration an error is about.
fn mend(name: &str) -> &'static str {
    match name {
        "invalid_client" => {
            "check `client_id`, `client_secret` and `client_auth` in the account's `oauth` against the application as it is \
             registered at the platform"
        }
        "invalid_scope" => "check `scope` in the account's `oauth` against what the application may ask for",
        "unauthorized_client" => {
            "the application `client_id` in the account's `oauth` may not use this grant: approve it at \
                                  the platform"
        }
        _ => "check `redirect_uri`, `token_url`, `scope` and `pkce` in the account's `oauth`",
    }
}

/// An answer that is neither a token nor a refusal by the standard.
fn no_answer(operation: &'static str, response: &Response<Bytes>, told: &Told) -> Error {
    let status = response.status();
    let not_before = retry_after(response.headers());
    let retry = Remedy::Retry(not_before);
    let is_own = !matches!(told, Told::Foreign);
    let (kind, remedy, message) = match status.as_u16() {
        429 => (ErrorKind::RateLimited, retry, "the authorisation server asks us to go slower"),
        408 | 500..=599 => (ErrorKind::Unavailable, retry, "the authorisation server does not serve now"),
        401 | 403 if is_own => (ErrorKind::Misconfigured, Remedy::AskPerson, mend("invalid_client")),
        402 if is_own => (
            ErrorKind::Forbidden,
            Remedy::AskPerson,
            "the account's plan at the platform does not include it",
        ),
        300..=399 => (
            ErrorKind::Unintelligible,
            retry,
            "the authorisation server sends us elsewhere, and a request with secrets follows nobody: set \
             `oauth.token_url` to the final place",
        ),
        _ => (ErrorKind::Unintelligible, retry, shape(told, response.body(), status)),
    };
    Error::new(kind, remedy, operation, message).with("status", status.as_u16())
}

fn shape(told: &Told, body: &[u8], status: StatusCode) -> &'static str {
    match told {
        _ if !status.is_success() => {
            "the authorisation server refuses without a reason that the standard knows: is `oauth.token_url` right?"
        }
        Told::Empty => "the answer is empty: is `oauth.token_url` right?",
        Told::Foreign if is_page(body) => "the answer is an HTML page: is `oauth.token_url` right?",
        _ => "the answer is no JSON object, or cut off: is `oauth.token_url` right?",
    }
}

/// Whether a token is one.
fn can_be_sent(token: &Secret) -> bool {
    is_secret(token.expose())
}

/// How long the token lives: a number of seconds, also in quotes. What cannot be read is not said.
fn life_of(expires_in: Option<&Value>) -> Option<SignedDuration> {
    let seconds = match expires_in? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| !seconds.is_nan())?.clamp(0.0, LIFE_SECONDS_LONGEST);
    SignedDuration::try_from_secs_f64(seconds).ok()
}

fn renew_at(now: Timestamp, life: SignedDuration) -> Timestamp {
    let ahead = RENEW_AHEAD.min(life / RENEW_AHEAD_PART);
    now.checked_add(life.saturating_sub(ahead)).unwrap_or(now)
}

#[cfg(test)]
#[path = "oauth_tests.rs"]
mod tests;
