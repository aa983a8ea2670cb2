//! How a user gives us access: OAuth 1.0 in three steps, all `GET`, with the PLAINTEXT signature (API documentation and the
//! vendor's own client).
//!
//! The application asks for a temporary token, the user consents to that at the platform, and the verifier which the
//! browser brings back makes access credentials of it. These do not end; the user can revoke them.

use aftersign_core::grant::{Departure, Grant, GrantKind, OauthApp, Return, ReturnAnswer};
use aftersign_core::platform::{ACCESS_TOKEN, Access, Call, Credential, Next};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, Response, StatusCode};

use super::api::{is_plain, plaintext, root};
use super::errors::{error_of, reason, refused};
use crate::exchange::{is_page, misconfigured, own_status, refused_by_stranger, request, unintelligible};
use crate::form::{self, encoded};
use crate::oauth::{check_app, checked_url, repeats, return_parameters, return_secret, with_query};

/// The second secret of a request for a temporary token, which has none yet: some text must stand there.
const DUMMY_SECRET: &str = "aaaaaa";
/// What is asked for: to read documents, and to remove them. Flows need `FULL_ACCESS` besides, which only the configured
/// scope asks for.
const PRIVILEGES: &str = "DOC_CHECK+DOC_SEND";
/// Longest answer of the first and the third step, in bytes: two short ids and a flag.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// The field of a credential that holds the secret beside the access token.
const ACCESS_SECRET: &str = "access_secret";

/// The first step; its answer says where the user consents.
pub(super) fn begin(access: &Access, app: &OauthApp) -> Result<Call<Departure>, Error> {
    const OPERATION: &str = "scrive begin grant";
    let root = root(OPERATION, access)?;
    let privileges = app.scope.as_deref().map(|scope| scope.split_whitespace().collect::<Vec<_>>().join("+"));
    let privileges = privileges.filter(|scope| !scope.is_empty()).unwrap_or_else(|| PRIVILEGES.to_owned());
    let url = format!("{root}/oauth/temporarycredentials?privileges={}", encoded(&privileges));
    let callback = encoded(&app.redirect_uri).to_string();
    let header = header(OPERATION, app, &[("oauth_callback", &callback)], DUMMY_SECRET)?;
    let consent = app.authorize_url.clone().unwrap_or_else(|| format!("{root}/oauth/authorization"));
    checked_url(OPERATION, "authorize_url", &consent)?;
    Ok(Call::new(OPERATION, get(OPERATION, &url, header)?, move |response, _now| {
        if matches!(own_status(&response), Some(400 | 401 | 403)) {
            let message = format!(
                "the platform refuses our application ({}); check `client_id`, `client_secret`, `redirect_uri` and `scope` in \
                 the account's `oauth`",
                reason(&error_of(&response))
            );
            let error = Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, OPERATION, message);
            return Err(error.with("status", response.status().as_u16()));
        }
        let [token, secret, confirmed] =
            answer(OPERATION, &response, ["oauth_token", "oauth_token_secret", "oauth_callback_confirmed"])?;
        let (token, secret) = (plain(OPERATION, token)?, plain(OPERATION, secret)?);
        if !confirmed.is_some_and(|word| word.eq_ignore_ascii_case("true")) {
            let message = "the platform does not confirm where browsers come back to: is `oauth.redirect_uri` in the \
                           account's configuration right?";
            return Err(misconfigured(OPERATION, message));
        }
        let url = with_query(OPERATION, "authorize_url", &consent, &[("oauth_token", token.expose())])?;
        Ok(Next::Done(Departure { url, state: token, keep: secret }))
    }))
}

/// The query with which a browser comes back: `?=&oauth_token=…&oauth_verifier=…`, or `denied=true` in place of the
/// verifier.
pub(super) fn read_return(query: &str) -> Option<Return> {
    let [token, verifier, denied] = return_parameters(query, ["oauth_token", "oauth_verifier", "denied"])?;
    let is_denied = denied.is_some_and(|word| word.eq_ignore_ascii_case("true"));
    let answer = match (verifier, is_denied) {
        (Some(verifier), false) => ReturnAnswer::Granted(plain_return(verifier)?),
        (None, true) => ReturnAnswer::Denied,
        (Some(_), true) | (None, false) => return None,
    };
    Some(Return { state: plain_return(token?)?, answer })
}

fn plain_return(text: String) -> Option<Secret> {
    return_secret(text).filter(|secret| is_plain(secret.expose()))
}

/// The third step.
pub(super) fn finish(
    access: &Access,
    app: &OauthApp,
    state: &Secret,
    code: &Secret,
    keep: &Secret,
) -> Result<Call<Grant>, Error> {
    const OPERATION: &str = "scrive finish grant";
    let own = || root(OPERATION, access).map(|root| format!("{root}/oauth/tokencredentials"));
    let url = app.token_url.clone().map_or_else(own, Ok)?;
    let url = checked_url(OPERATION, "token_url", &url)?;
    if ![state, code].iter().all(|secret| is_plain(secret.expose())) {
        return Err(lapsed(OPERATION, "what the browser brought back is no token of this platform"));
    }
    let more = [("oauth_token", state.expose()), ("oauth_verifier", code.expose())];
    let header = header(OPERATION, app, &more, keep.expose())?;
    let sent = [state, code, keep, &app.client_secret].map(Secret::clone);
    Ok(Call::new(OPERATION, get(OPERATION, url, header)?, move |response, _now| {
        if matches!(own_status(&response), Some(400 | 401 | 403)) {
            let said = reason(&error_of(&response));
            let said = if repeats(&said, &sent) { "the reason it gave repeats a secret" } else { &said };
            let message = format!(
                "the platform does not take the consent ({said}), or no longer; the user must give access again"
            );
            return Err(lapsed(OPERATION, &message).with("status", response.status().as_u16()));
        }
        let [token, secret] = answer(OPERATION, &response, ["oauth_token", "oauth_token_secret"])?;
        let (token, secret) = (plain(OPERATION, token)?, plain(OPERATION, secret)?);
        Ok(Next::Done(Grant {
            kind: GrantKind::Consent,
            credential: Credential::default().with(ACCESS_TOKEN, token).with(ACCESS_SECRET, secret),
            refresh_token: None,
            renew_at: None,
        }))
    }))
}

/// What the API is called with: a consent is half of it, the application the other half; a key that was typed in is whole.
pub(super) fn credential(app: Option<&OauthApp>, grant: &Grant) -> Credential {
    let own = grant.credential.clone();
    match (grant.kind, app) {
        (GrantKind::Consent, Some(app)) => own
            .with("api_token", Secret::new(app.client_id.trim()))
            .with("api_secret", app.client_secret.clone()),
        (GrantKind::Consent, None) | (GrantKind::Key, _) => own,
    }
}

fn lapsed(operation: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, operation, message)
}

fn header(
    operation: &'static str,
    app: &OauthApp,
    more: &[(&str, &str)],
    secret: &str,
) -> Result<HeaderValue, Error> {
    check_app(operation, app)?;
    let (key, own_secret) = (app.client_id.trim(), app.client_secret.expose().trim());
    if !is_plain(key) || !is_plain(own_secret) {
        let message = "the account's `oauth.client_id` or `oauth.client_secret` has characters that no key of this platform \
                       has";
        return Err(misconfigured(operation, message));
    }
    plaintext(operation, key, more, (own_secret, secret))
}

fn get(operation: &'static str, url: &str, header: HeaderValue) -> Result<Request<Bytes>, Error> {
    let builder = Request::builder().uri(url).header(AUTHORIZATION, header).header(ACCEPT, "*/*");
    request(operation, builder, Bytes::new())
}

/// The values of a good answer, which is a form. Each can come once.
fn answer<const N: usize>(
    operation: &'static str,
    response: &Response<Bytes>,
    names: [&str; N],
) -> Result<[Option<String>; N], Error> {
    let odd = || unintelligible(operation, "the answer is not a form with a token: is the host right?");
    let status = response.status();
    // A stranger's 401 says nothing about the consent.
    if own_status(response).is_none() && status == StatusCode::UNAUTHORIZED {
        return Err(odd().with("status", status.as_u16()));
    }
    if status.is_client_error() || status.is_server_error() {
        return Err(refused(operation, response));
    }
    if !status.is_success() || is_page(response.body()) {
        return Err(refused_by_stranger(operation, status, None));
    }
    let body = response.body();
    if body.len() > ANSWER_BYTES_MAX {
        return Err(odd());
    }
    let text = std::str::from_utf8(body).map_err(|_| odd())?.trim();
    form::unique(text, names).ok_or_else(odd)
}

fn plain(operation: &'static str, value: Option<String>) -> Result<Secret, Error> {
    let odd = || unintelligible(operation, "the answer has no token that could be sent: is the host right?");
    value.filter(|value| is_plain(value)).map(Secret::new).ok_or_else(odd)
}
