//! Tokens, for accounts that have no API key: of a Client App, or by OAuth 2.0 client credentials.
//!
//! No authorization-code grant exists. An account takes either API keys and Client App tokens, or OAuth 2.0,
//! never both (vendor's documentation). "For a sender" is a token asked for in that sender's name: by e-mail
//! address with a Client App, by id with OAuth.

use aftersign_core::platform::{Access, Call, Next, Token};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::access::{Api, json_body, refused, root};
use super::account::{next_row, senders_path};
use super::wire::{ClientAppRequest, ClientAppToken, OAuthToken, SenderList};
use crate::exchange::{Asking, misconfigured, request, secret_header, unintelligible, without_mark};

/// The credential's field that says which of the two it is for, and its values.
pub(super) const FLOW: &str = "flow";
/// Client App tokens.
pub(super) const CLIENT_APP: &str = "client-app";
/// OAuth 2.0 client credentials.
pub(super) const OAUTH2: &str = "oauth2";

/// A Client App token is renewed so long before its end, as the Java SDK does.
const CLIENT_APP_AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// An OAuth token is renewed so long before its end, as the Java SDK does.
const OAUTH_AHEAD: SignedDuration = SignedDuration::from_secs(10);
/// Life of an OAuth token whose answer does not say it: "five minutes" (vendor's blog: 299 seconds).
const OAUTH_SECONDS: u32 = 299;
/// Below this, `expiresAt` cannot be milliseconds (it would lie in 1973): such a value is taken for seconds.
const MILLISECONDS_MIN: i64 = 100_000_000_000;

/// Asks for the token of the account's owner, or of the sender in whose name the access is; `None` where there is
/// an API key, or nothing at all to ask with.
pub(super) fn token(access: &Access) -> Option<Result<Call<Token>, Error>> {
    let field = |name| access.credential.field(name).trim();
    if !field("api_key").is_empty() || field("client_id").is_empty() {
        return None;
    }
    Some(match (field(FLOW), &access.sender) {
        (CLIENT_APP, _) => client_app(access),
        (OAUTH2, None) => oauth(access, None, |token| Ok(Next::Done(token))),
        (OAUTH2, Some(email)) => oauth_for_sender(access, email),
        _ => {
            let message = "the credential's flow must be `client-app` or `oauth2`";
            Err(misconfigured("onespan token", message))
        }
    })
}

/// `POST {base}/apitoken/clientApp/accessToken`, beside `/api`; its `expiresAt` is in milliseconds (Java SDK;
/// a public client that compared it with seconds never renewed).
fn client_app(access: &Access) -> Result<Call<Token>, Error> {
    const OPERATION: &str = "onespan client-app token";
    let (client_id, secret) = client(OPERATION, access)?;
    let email = access.sender.as_deref();
    let owner = if email.is_some() { "SENDER" } else { "OWNER" };
    let body = json_body(OPERATION, &ClientAppRequest { client_id, secret, owner, email })?;
    let builder = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/apitoken/clientApp/accessToken", root(OPERATION, &access.base_url)?))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json");
    Ok(Call::new(OPERATION, request(OPERATION, builder, body)?, |response, _now| {
        let token: ClientAppToken = token_answer(OPERATION, &response)?;
        let ends_at = token.expires_at.and_then(|text| text.trim().parse().ok()).and_then(point_in_time);
        let ends_at =
            ends_at.ok_or_else(|| unintelligible(OPERATION, "the token's end is no point in time"))?;
        Ok(Next::Done(new_token(OPERATION, token.access_token, ends_at, CLIENT_APP_AHEAD)?))
    }))
}

/// `POST {base}/oauth2/token`, beside `/api`, with the client in HTTP Basic (here base64 is right) and a form;
/// `expires_in` is in seconds (Java SDK, vendor's documentation).
fn oauth(
    access: &Access,
    sender_id: Option<&str>,
    then: impl FnOnce(Token) -> Result<Next<Token>, Error> + Send + 'static,
) -> Result<Call<Token>, Error> {
    const OPERATION: &str = "onespan oauth token";
    let (client_id, secret) = client(OPERATION, access)?;
    let mut form = "grant_type=client_credentials".to_owned();
    if let Some(id) = sender_id {
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
        let ends_at = now.checked_add(life).unwrap_or(now);
        then(new_token(OPERATION, token.access_token, ends_at, OAUTH_AHEAD)?)
    }))
}

/// With the owner's token the sender's id is looked up, and with that the sender's token is asked for.
fn oauth_for_sender(access: &Access, email: &str) -> Result<Call<Token>, Error> {
    let (access, email) = (access.clone(), email.to_owned());
    let (as_owner, with_id) = (access.clone(), access.clone());
    oauth(&access, None, move |token| {
        let api = Api::new("onespan find sender", &as_owner.with_token(&token))?;
        Ok(Next::Then(find_sender(api, with_id, email, 1)?))
    })
}

/// The search is the platform's, so only the very address counts; it may stand on a later page.
fn find_sender(api: Api, access: Access, email: String, from: u64) -> Result<Call<Token>, Error> {
    let request = api.get(&senders_path(from, Some(&email)))?;
    Ok(api.clone().then(request, move |response| {
        let list: SenderList = api.answer(&response)?;
        let next = next_row(&api, from, &list)?;
        let is_they = |address: &String| address.trim().eq_ignore_ascii_case(email.trim());
        let found = list.results.into_iter().flatten().find(|sender| sender.email.as_ref().is_some_and(is_they));
        match (found.map(|sender| sender.id), next) {
            (Some(Some(id)), _) => {
                Ok(Next::Then(oauth(&access, Some(&id), |token| Ok(Next::Done(token)))?))
            }
            (Some(None), _) => Err(api.unintelligible("the sender was found and has no id")),
            (None, Some(from)) => Ok(Next::Then(find_sender(api, access, email, from)?)),
            (None, None) => {
                let message = "the account has no sender of this e-mail address, so no token can be asked for \
                               in that name; add the sender at the platform again";
                Err(api.error(ErrorKind::AccessRefused, Remedy::RenewAccess, message).with("sender", email))
            }
        }
    }))
}

fn new_token(
    operation: &'static str,
    token: String,
    ends_at: Timestamp,
    ahead: SignedDuration,
) -> Result<Token, Error> {
    if token.trim().is_empty() {
        return Err(unintelligible(operation, "the answer holds an empty token"));
    }
    let renew_at = ends_at.checked_sub(ahead).unwrap_or(ends_at);
    Ok(Token { secret: Secret::new(token), renew_at })
}

/// Milliseconds since 1970; what is too small for that is taken for seconds.
fn point_in_time(expires_at: i64) -> Option<Timestamp> {
    match expires_at {
        ..MILLISECONDS_MIN => Timestamp::from_second(expires_at).ok(),
        _ => Timestamp::from_millisecond(expires_at).ok(),
    }
}

/// Like other answers, but for the parser's words, which may repeat a token.
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
