//! OAuth 2.0 as RFC 6749 has it: the authorisation code grant of eSignAnyWhere, whose token is the user's API token without an
//! end, and that of Dropbox Sign, whose tokens end and are renewed. PKCE (RFC 7636) is checked where it is used.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;

use super::pages::{Gate, Wish, gate, refusal};
use super::{NewCode, NewToken, TokenTrouble};
use crate::config::{OauthApp, Vendor};
use crate::exchange::{Answer, HTML_PAGE, Inbound, Operation, perform};
use crate::faults::{Fault, OperationClass};
use crate::world::{State, World};

/// What stays as it is in a query value.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The life of a code.
const CODE_SECONDS: f64 = 60.0;
/// No code ends sooner, however fast the world runs: a browser and a client must be able to use it.
const CODE_REAL_MIN: Duration = Duration::from_secs(10);
/// The life of Dropbox Sign's access tokens.
const ACCESS_TOKEN_SECONDS: u64 = 86_400;
/// RFC 7636, 4.1.
const VERIFIER_LENGTH: RangeInclusive<usize> = 43..=128;

/// The account and the application of a client id.
pub(crate) fn app<'a>(state: &'a State, vendor: Vendor, client_id: &str) -> Option<(&'a str, &'a OauthApp)> {
    let at_vendor = state.accounts.values().filter(|a| a.spec.vendor.platform() == vendor.platform());
    at_vendor
        .filter_map(|account| Some((account.spec.id.as_str(), account.spec.oauth.as_ref()?)))
        .find(|(_, app)| app.client_id == client_id)
}

/// `url` with more parameters.
pub(crate) fn with_parameters(url: &str, parameters: &[(&str, &str)]) -> String {
    let mut separator = if url.contains('?') { '&' } else { '?' };
    parameters.iter().fold(url.to_owned(), |mut url, (name, value)| {
        url.push(separator);
        separator = '&';
        url.push_str(&format!("{name}={}", utf8_percent_encode(value, VALUE)));
        url
    })
}

/// A request of the front channel whose client and way back are known to be right.
struct Request {
    account_id: String,
    client_id: String,
    /// As the browser brought it.
    redirect_uri: Option<String>,
    back: String,
    state: Option<String>,
}

impl Request {
    /// A parameter that is given twice is not given; `Err` says what the person is to see.
    fn read(world: &World, inbound: &Inbound, vendor: Vendor) -> Result<Request, &'static str> {
        let once = |name: &str| once(&inbound.query, name).map(str::to_owned);
        let client_id = once("client_id").ok_or("The client_id is missing, or given twice.")?;
        let redirect_uri = once("redirect_uri");
        let found = world.look(|s| {
            let (account, app) = app(s, vendor, &client_id)?;
            Some((account.to_owned(), app.redirect_uri.clone()))
        });
        let (account_id, registered) = found.ok_or("No application has this client_id.")?;
        // Dropbox Sign falls back on the only URL that is registered.
        let left_out = vendor == Vendor::DropboxSign && inbound.query("redirect_uri").is_none();
        if !left_out && redirect_uri.as_ref() != Some(&registered) {
            return Err("The redirect_uri is not the one that the application was registered with.");
        }
        Ok(Request { account_id, client_id, redirect_uri, back: registered, state: once("state") })
    }

    fn back(&self, parameters: &[(&str, &str)]) -> Answer {
        let mut all = parameters.to_vec();
        all.extend(self.state.as_deref().map(|state| ("state", state)));
        Answer::empty(StatusCode::FOUND)
            .with_header("location", with_parameters(&self.back, &all))
            .with_header("cache-control", "no-store")
    }

    fn refuse(&self, error: &str, why: &str) -> Answer {
        self.back(&[("error", error), ("error_description", why)])
    }
}

/// The value of a parameter that is given exactly once.
fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    values.next().filter(|value| values.next().is_none() && !value.is_empty())
}

/// The authorisation endpoint, which a browser visits. No faults are injected: people see this.
pub(crate) fn authorize(world: &World, inbound: &Inbound, vendor: Vendor) -> Answer {
    let request = match Request::read(world, inbound, vendor) {
        Ok(request) => request,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, why),
    };
    if once(&inbound.query, "response_type") != Some("code") {
        return request.refuse("unsupported_response_type", "response_type must be code");
    }
    let challenge = match challenge(world, inbound, vendor, &request) {
        Ok(challenge) => challenge,
        Err(why) => return request.refuse("invalid_request", why),
    };
    let wish =
        Wish { vendor, account_id: &request.account_id, client_id: &request.client_id, remembers: true };
    match gate(world, inbound, &wish) {
        Gate::Page(answer) => answer,
        Gate::Denied => request.refuse("access_denied", "The user denied the request"),
        Gate::Allowed(user) => {
            let until = Instant::now() + world.pace.seconds(CODE_SECONDS).max(CODE_REAL_MIN);
            let bound = NewCode {
                user,
                client_id: request.client_id.clone(),
                redirect_uri: request.redirect_uri.clone(),
                challenge,
                until,
            };
            let code = world.change(|s| s.people.give_code(bound));
            request.back(&[("code", &code)])
        }
    }
}

/// PKCE's challenge, if one is sent.
fn challenge(
    world: &World,
    inbound: &Inbound,
    vendor: Vendor,
    request: &Request,
) -> Result<Option<String>, &'static str> {
    if inbound.query("code_challenge").is_none() && inbound.query("code_challenge_method").is_none() {
        let required =
            world.look(|s| app(s, vendor, &request.client_id).is_some_and(|(_, app)| app.pkce_required));
        return if required { Err("code_challenge is required") } else { Ok(None) };
    }
    if once(&inbound.query, "code_challenge_method") != Some("S256") {
        return Err("code_challenge_method must be S256");
    }
    let challenge = once(&inbound.query, "code_challenge").ok_or("code_challenge must not be empty")?;
    Ok(Some(challenge.to_owned()))
}

/// Why no token is given: status, RFC 6749's name, and a description.
struct TokenError(u16, &'static str, &'static str);

const INVALID_GRANT: TokenError =
    TokenError(400, "invalid_grant", "The code or the refresh token is invalid, used, expired or revoked");

const INVALID_CLIENT: TokenError =
    TokenError(401, "invalid_client", "The client id or the secret is missing, unreadable or wrong");

impl TokenError {
    fn answer(&self, vendor: Vendor) -> Answer {
        let status = StatusCode::from_u16(self.0).unwrap_or(StatusCode::BAD_REQUEST);
        let body = json!({ "error": self.1, "error_description": self.2 });
        match status {
            // Dropbox Sign's own table knows no 401 here.
            StatusCode::UNAUTHORIZED if vendor == Vendor::DropboxSign => {
                Answer::json(StatusCode::BAD_REQUEST, body)
            }
            StatusCode::UNAUTHORIZED => {
                Answer::json(status, body).with_header("www-authenticate", "Basic realm=\"sandbox\"")
            }
            _ => Answer::json(status, body),
        }
    }
}

/// The token endpoint. Faults come before anything is used up.
pub(crate) async fn token(
    world: &World,
    inbound: &Inbound,
    vendor: Vendor,
    spoiled: fn(Fault) -> Answer,
) -> Option<Answer> {
    if inbound.method != Method::POST {
        return Some(Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", "POST"));
    }
    let form = inbound.form().unwrap_or_default();
    let credential = once(&form, "code").or_else(|| once(&form, "refresh_token")).unwrap_or_default();
    let operation =
        Operation { vendor, class: OperationClass::Read, key: format!("{vendor}/token/{credential}") };
    let work = async { give(world, inbound, vendor, &form).unwrap_or_else(|error| error.answer(vendor)) };
    let answer = perform(world, &operation, spoiled, work).await?;
    Some(answer.with_header("cache-control", "no-store"))
}

fn give(
    world: &World,
    inbound: &Inbound,
    vendor: Vendor,
    form: &[(String, String)],
) -> Result<Answer, TokenError> {
    if form.is_empty() {
        let why = "The body must be application/x-www-form-urlencoded";
        return Err(TokenError(400, "invalid_request", why));
    }
    let (client_id, secret) = client(inbound, form)?;
    let found = world.look(|s| {
        let (account, app) = app(s, vendor, &client_id)?;
        (app.client_secret == secret).then(|| (account.to_owned(), app.clone()))
    });
    let (account, app) = found.ok_or(INVALID_CLIENT)?;
    if let Some(trouble) = world.change(|s| s.people.next_trouble(&account)) {
        return troubled(trouble);
    }
    let new = match (once(form, "grant_type"), inbound.query("refresh")) {
        (Some("authorization_code"), None) => by_code(world, vendor, form, &app)?,
        (Some("refresh_token"), Some(_)) if vendor == Vendor::DropboxSign => by_refresh(world, form, &app)?,
        (Some("refresh_token" | "authorization_code"), _) if vendor == Vendor::DropboxSign => {
            let why = "`?refresh` belongs to grant_type refresh_token, and to nothing else";
            return Err(TokenError(400, "invalid_request", why));
        }
        (None, _) => return Err(TokenError(400, "invalid_request", "grant_type is missing, or given twice")),
        _ => return Err(TokenError(400, "unsupported_grant_type", "This grant_type is not supported")),
    };
    let life =
        (vendor == Vendor::DropboxSign).then(|| app.access_token_seconds.unwrap_or(ACCESS_TOKEN_SECONDS));
    let new = NewToken { life: life.map(Duration::from_secs), ..new };
    Ok(world.change(|s| {
        let token = s.people.issue(new, Instant::now());
        let mut body = json!({ "access_token": token.value, "token_type": "Bearer" });
        if let Some(life) = life {
            body["refresh_token"] = json!(token.refresh);
            body["expires_in"] = json!(life);
            body["state"] = json!(once(form, "state"));
        }
        Answer::ok(body)
    }))
}

fn troubled(trouble: TokenTrouble) -> Result<Answer, TokenError> {
    match trouble {
        TokenTrouble::Html => Ok(Answer::page(StatusCode::OK, "text/html; charset=utf-8", HTML_PAGE)),
        TokenTrouble::ServerError => Err(TokenError(500, "server_error", "Something went wrong")),
        TokenTrouble::NoToken => Ok(Answer::ok(json!({ "token_type": "Bearer" }))),
    }
}

/// The client's name and password, from the body or from the header but not from both.
fn client(inbound: &Inbound, form: &[(String, String)]) -> Result<(String, String), TokenError> {
    let in_body = (once(form, "client_id"), once(form, "client_secret"));
    let Some(header) = inbound.header("authorization") else {
        let (Some(id), Some(secret)) = in_body else {
            return Err(INVALID_CLIENT);
        };
        return Ok((id.to_owned(), secret.to_owned()));
    };
    if in_body.1.is_some() {
        return Err(TokenError(400, "invalid_request", "The client must authenticate in one way only"));
    }
    let decoded = header
        .strip_prefix("Basic ")
        .and_then(|encoded| BASE64.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    // RFC 6749, 2.3.1: both halves are form-encoded before.
    let plain = |half: &str| percent_decode_str(&half.replace('+', " ")).decode_utf8_lossy().into_owned();
    let halves = decoded.as_deref().and_then(|text| text.split_once(':'));
    halves.map(|(id, secret)| (plain(id), plain(secret))).ok_or(INVALID_CLIENT)
}

fn by_code(
    world: &World,
    vendor: Vendor,
    form: &[(String, String)],
    app: &OauthApp,
) -> Result<NewToken, TokenError> {
    let value =
        once(form, "code").ok_or(TokenError(400, "invalid_request", "code is missing, or given twice"))?;
    let redirect_uri = once(form, "redirect_uri");
    // Dropbox Sign's walkthrough does not send it to the token endpoint.
    let may_lack_uri = vendor == Vendor::DropboxSign && redirect_uri.is_none();
    let verifier = once(form, "code_verifier");
    let fits = |code: &NewCode| {
        let way_back = code.redirect_uri.as_deref().unwrap_or(&app.redirect_uri);
        code.client_id == app.client_id
            && (may_lack_uri || redirect_uri == Some(way_back))
            && proves(verifier, code.challenge.as_deref())
    };
    let (code, grant) =
        world.change(|s| s.people.redeem(value, Instant::now(), fits)).ok_or(INVALID_GRANT)?;
    Ok(NewToken {
        user: code.user,
        client_id: code.client_id,
        privileges: BTreeSet::new(),
        life: None,
        grant,
    })
}

/// A verifier without a challenge is refused, too: somebody may have taken the challenge away.
fn proves(verifier: Option<&str>, challenge: Option<&str>) -> bool {
    match (verifier, challenge) {
        (None, None) => true,
        (Some(verifier), Some(challenge)) => {
            VERIFIER_LENGTH.contains(&verifier.len())
                && URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == challenge
        }
        _ => false,
    }
}

fn by_refresh(world: &World, form: &[(String, String)], app: &OauthApp) -> Result<NewToken, TokenError> {
    let missing = TokenError(400, "invalid_request", "refresh_token is missing, or given twice");
    let value = once(form, "refresh_token").ok_or(missing)?;
    world.change(|s| s.people.spend_refresh(value, &app.client_id)).ok_or(INVALID_GRANT)
}
