//! The endpoints of API v3 that an archiving client needs.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::payload::signature_request;
use super::search::Query;
use super::{account_guid, client_id, interim};
use crate::config::Vendor;
use crate::content::Artifact;
use crate::exchange::{Answer, Inbound, Operation, perform};
use crate::faults::{Fault, OperationClass};
use crate::ledger::Outcome;
use crate::life;
use crate::people::{Caller, oauth};
use crate::world::{State, World};

/// Calls per minute.
const GENERAL_PER_MINUTE: u32 = 100;
/// Calls per minute to the files endpoints.
const FILES_PER_MINUTE: u32 = 25;
const PAGE_SIZE_DEFAULT: usize = 20;
const PAGE_SIZE_MAX: usize = 100;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint<'a> {
    Account,
    SetCallbackUrl,
    App(&'a str),
    List,
    Request(&'a str),
    Files { id: &'a str, zip: bool },
    Cancel(&'a str),
    Remove(&'a str),
}

impl<'a> Endpoint<'a> {
    fn parse(inbound: &Inbound, path: &[&'a str]) -> Result<Endpoint<'a>, Answer> {
        let get = inbound.method == Method::GET;
        let post = inbound.method == Method::POST;
        match path {
            ["account"] if get => Ok(Endpoint::Account),
            ["account"] if inbound.method == Method::PUT => Ok(Endpoint::SetCallbackUrl),
            ["api_app", id] if get => Ok(Endpoint::App(id)),
            ["signature_request", "list"] if get => Ok(Endpoint::List),
            ["signature_request", "files", id] if get => match inbound.query("file_type") {
                None | Some("pdf") => Ok(Endpoint::Files { id, zip: false }),
                Some("zip") => Ok(Endpoint::Files { id, zip: true }),
                Some(_) => Err(error(400, "bad_request", "Invalid file_type, must be pdf or zip")),
            },
            ["signature_request", "cancel", id] if post => Ok(Endpoint::Cancel(id)),
            ["signature_request", "remove", id] if post => Ok(Endpoint::Remove(id)),
            ["signature_request", id] if get => Ok(Endpoint::Request(id)),
            ["account"] | ["api_app", _] | ["signature_request", ..] => {
                Err(error(405, "method_not_supported", "Method not supported"))
            }
            _ => Err(error(404, "not_found", "Not found")),
        }
    }

    fn class(self) -> OperationClass {
        match self {
            Endpoint::Files { .. } => OperationClass::Download,
            Endpoint::Cancel(_) | Endpoint::Remove(_) | Endpoint::SetCallbackUrl => OperationClass::Write,
            _ => OperationClass::Read,
        }
    }

    fn envelope(self) -> Option<&'a str> {
        match self {
            Endpoint::Request(id)
            | Endpoint::Files { id, .. }
            | Endpoint::Cancel(id)
            | Endpoint::Remove(id) => Some(id),
            _ => None,
        }
    }
}

/// Answers a request below `/dropbox-sign/v3`.
pub(crate) async fn handle(world: &Arc<World>, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    let caller = match authenticate(world, inbound) {
        Ok(caller) => caller,
        Err(message) => return Some(error(401, "unauthorized", message)),
    };
    let endpoint = match Endpoint::parse(inbound, path) {
        Ok(endpoint) => endpoint,
        Err(answer) => return Some(answer),
    };
    let limits = match count_call(world, &caller, endpoint) {
        Ok(headers) => headers,
        Err(answer) => return Some(answer),
    };
    let operation = Operation {
        vendor: Vendor::DropboxSign,
        class: endpoint.class(),
        key: format!("{caller}/{endpoint:?}/{}", inbound.query("page").unwrap_or_default()),
    };
    let work = answer(world, &caller, inbound, endpoint);
    let mut answer = perform(world, &operation, spoiled, work).await?;
    for (name, value) in limits {
        answer.headers.push((name, value));
    }
    Some(answer)
}

/// Answers a request below `/dropbox-sign/oauth`.
pub(crate) async fn handle_grant(world: &World, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    match path {
        ["authorize"] => Some(oauth::authorize(world, inbound, Vendor::DropboxSign)),
        ["token"] => oauth::token(world, inbound, Vendor::DropboxSign, spoiled).await,
        _ => Some(not_found()),
    }
}

fn error(status: u16, name: &str, message: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::json(status, json!({ "error": { "error_msg": message, "error_name": name } }))
}

fn not_found() -> Answer {
    error(404, "not_found", "Not found")
}

/// How Dropbox Sign says that something is wrong on its side.
fn spoiled(fault: Fault) -> Answer {
    match fault {
        Fault::Conflict => error(409, "conflict", "Files are still being processed. Please try again later."),
        Fault::TooMany => rate_headers(100, 0, Duration::ZERO).into_iter().fold(
            error(429, "exceeded_rate", "Your request has exceeded the allowed rate limit"),
            |answer, (name, value)| answer.with_header(name, value),
        ),
        Fault::Unavailable => error(503, "unavailable", "The service is temporarily unavailable"),
        _ => error(500, "unknown", "An unknown error has occurred"),
    }
}

/// Whose key or token was given.
fn authenticate(world: &World, inbound: &Inbound) -> Result<Caller, &'static str> {
    let Some(value) = inbound.header("authorization") else {
        return Err("Unauthorized user. No credentials supplied.");
    };
    if let Some(token) = value.strip_prefix("Bearer ") {
        let caller = world.change(|s| s.people.caller(Vendor::DropboxSign, token.trim()));
        return caller.ok_or("Unauthorized access token");
    }
    let decoded = value
        .strip_prefix("Basic ")
        .and_then(|encoded| BASE64.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(("", key)) =
        decoded.as_deref().and_then(|text| text.split_once(':')).map(|(key, rest)| (rest, key))
    else {
        return Err("Unauthorized api key");
    };
    world
        .look(|s| {
            s.accounts
                .values()
                .find(|account| account.spec.vendor == Vendor::DropboxSign && account.spec.api_key == key)
                .map(|account| Caller { account: account.spec.id.clone(), user: None })
        })
        .ok_or("Unauthorized api key")
}

fn rate_headers(limit: u32, remaining: u32, left: Duration) -> Vec<(&'static str, String)> {
    let reset = Timestamp::now().as_second() + i64::try_from(left.as_secs()).unwrap_or(0);
    // The spelling on the wire, which is not that of the description.
    vec![
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-limit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ]
}

fn count_call(
    world: &World,
    caller: &Caller,
    endpoint: Endpoint<'_>,
) -> Result<Vec<(&'static str, String)>, Answer> {
    let minute = world.pace.minutes(1.0);
    let files = endpoint.class() == OperationClass::Download;
    let limit = if files { FILES_PER_MINUTE } else { GENERAL_PER_MINUTE };
    let counted = world.change(|s| {
        if let Some(id) = endpoint.envelope() {
            s.count_api_call(id);
        }
        let account = s.accounts.get_mut(&caller.account)?;
        let window = if files { &mut account.files } else { &mut account.general };
        let counted = window.count(limit, minute);
        if counted.is_err() {
            s.count_fault("rate-limit-exceeded");
        }
        Some(counted)
    });
    match counted {
        Some(Ok((remaining, left))) => Ok(rate_headers(limit, remaining, left)),
        Some(Err(left)) => {
            let mut answer = error(429, "exceeded_rate", "Your request has exceeded the allowed rate limit");
            answer.headers = rate_headers(limit, 0, left);
            Err(answer)
        }
        None => Err(not_found()),
    }
}

async fn answer(world: &Arc<World>, caller: &Caller, inbound: &Inbound, endpoint: Endpoint<'_>) -> Answer {
    match endpoint {
        Endpoint::Account => account_answer(world, caller),
        Endpoint::SetCallbackUrl => set_callback_url(world, caller, inbound),
        Endpoint::App(id) => app_answer(world, caller, id),
        Endpoint::List => list(world, caller, inbound),
        Endpoint::Request(id) => request(world, caller, id),
        Endpoint::Files { id, zip } => files(world, caller, id, zip),
        Endpoint::Cancel(id) => cancel(world, caller, id),
        Endpoint::Remove(id) => remove(world, caller, id).await,
    }
}

fn account_answer(world: &World, caller: &Caller) -> Answer {
    world.look(|s| {
        let Some(account) = s.accounts.get(&caller.account) else { return not_found() };
        let user = caller.user.as_ref().and_then(|user| s.people.user(user));
        let (id, email) = match user {
            Some(user) => (user.id.clone(), user.email.clone()),
            None => (account_guid(world.seed, account), format!("{}@example.com", account.spec.id)),
        };
        Answer::ok(json!({ "account": {
            "account_id": id,
            "email_address": email,
            "is_locked": false,
            "is_paid_hs": true,
            "is_paid_hf": false,
            "quotas": {
                "api_signature_requests_left": 1250, "documents_left": null, "templates_total": null,
                "templates_left": null, "sms_verifications_left": null, "num_fax_pages_left": null,
            },
            "callback_url": account.callback_url,
            "role_code": null,
            "team_id": null,
            "locale": "en-US",
        } }))
    })
}

fn set_callback_url(world: &World, caller: &Caller, inbound: &Inbound) -> Answer {
    let Some(url) = inbound.json().and_then(|body| body["callback_url"].as_str().map(str::to_owned)) else {
        return error(400, "bad_request", "Nothing to update");
    };
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return error(400, "bad_request", &format!("Invalid url for callback_url : {url}"));
    }
    world.change(|s| {
        if let Some(account) = s.accounts.get_mut(&caller.account) {
            account.spec.callback_url.clone_from(&url);
            account.callback_url = Some(url);
            account.consecutive_failures = 0;
        }
    });
    account_answer(world, caller)
}

fn app_answer(world: &World, caller: &Caller, id: &str) -> Answer {
    world.look(|s| match s.accounts.get(&caller.account) {
        Some(account) if client_id(world.seed, account) == id => Answer::ok(json!({ "api_app": {
            "client_id": id,
            "name": account.spec.id,
            "is_approved": true,
            "callback_url": account.callback_url,
            "domains": ["example.com"],
            "oauth": null,
            "owner_account": {
                "account_id": account_guid(world.seed, account),
                "email_address": format!("{}@example.com", account.spec.id),
            },
        } })),
        _ => not_found(),
    })
}

fn request(world: &World, caller: &Caller, id: &str) -> Answer {
    world.look(|s| match (s.visible(caller, id), s.accounts.get(&caller.account)) {
        (Some(envelope), Some(account)) => match envelope.visible_outcome() {
            Outcome::Cancelled => gone(),
            outcome => Answer::ok(json!({
                "signature_request": signature_request(world, account, envelope, outcome),
            })),
        },
        _ => not_found(),
    })
}

fn gone() -> Answer {
    error(410, "deleted", "This resource has been deleted")
}

fn list(world: &World, caller: &Caller, inbound: &Inbound) -> Answer {
    let number = |name: &str, default: usize| match inbound.query(name) {
        None => Some(default),
        Some(text) => text.parse().ok().filter(|&value: &usize| value >= 1),
    };
    let Some(page) = number("page", 1) else { return error(400, "bad_request", "Invalid page") };
    let Some(size) = number("page_size", PAGE_SIZE_DEFAULT).filter(|&size| size <= PAGE_SIZE_MAX) else {
        return error(400, "bad_request", "Invalid page_size, must be between 1 and 100");
    };
    let Some(query) = Query::parse(inbound.query("query").unwrap_or_default()) else {
        return error(400, "bad_request", "Invalid query");
    };
    world.look(|s| {
        let all = found(world, s, caller, &query);
        let pages = all.len().div_ceil(size).max(1);
        let items: Vec<Value> = all.iter().skip((page - 1) * size).take(size).cloned().collect();
        Answer::ok(json!({
            "list_info": { "page": page, "num_pages": pages, "num_results": all.len(), "page_size": size },
            "signature_requests": items,
        }))
    })
}

/// The matching requests, the newest first; the index lags behind.
fn found(world: &World, state: &State, caller: &Caller, query: &Query) -> Vec<Value> {
    let Some(account) = state.accounts.get(&caller.account) else { return Vec::new() };
    let now = std::time::Instant::now();
    let mut all: Vec<Value> = state
        .seen_by(caller)
        .filter(|envelope| envelope.listed_from <= now && envelope.visible_outcome() != Outcome::Cancelled)
        .filter(|envelope| query.matches(envelope))
        .map(|envelope| signature_request(world, account, envelope, envelope.visible_outcome()))
        .collect();
    all.reverse();
    all
}

fn files(world: &World, caller: &Caller, id: &str, zip: bool) -> Answer {
    enum Found {
        Answer(Answer),
        Artifact(Arc<Artifact>),
    }
    let found = world.look(|s| {
        let Some(envelope) = s.visible(caller, id) else { return Found::Answer(not_found()) };
        match envelope.visible_outcome() {
            Outcome::Cancelled => Found::Answer(gone()),
            Outcome::Expired => {
                Found::Answer(error(403, "signature_request_expired", "This signature request has expired"))
            }
            Outcome::InProgress => Found::Artifact(Arc::new(interim(envelope, zip))),
            Outcome::Completed | Outcome::Declined if !envelope.files_ready => Found::Answer(error(
                409,
                "conflict",
                "Files are still being processed. Please try again later.",
            )),
            Outcome::Completed | Outcome::Declined => match envelope.artifacts.get(usize::from(zip)) {
                Some(artifact) => Found::Artifact(Arc::clone(artifact)),
                None => Found::Answer(not_found()),
            },
        }
    });
    let content_type = if zip { "application/zip" } else { "application/pdf" };
    match found {
        Found::Answer(answer) => answer,
        Found::Artifact(artifact) => {
            let name = if zip { "files.zip" } else { "files.pdf" };
            Answer::file(artifact, content_type)
                .with_header("content-disposition", format!("attachment; filename=\"{name}\""))
        }
    }
}

fn cancel(world: &Arc<World>, caller: &Caller, id: &str) -> Answer {
    let refusal = world.change(|s| {
        if s.visible(caller, id).is_none() {
            return Some(not_found());
        }
        let envelope = s.envelope_mut(id)?;
        if envelope.outcome == Outcome::Cancelled {
            return Some(gone());
        }
        if envelope.outcome != Outcome::InProgress || envelope.cancel_queued {
            return Some(error(
                400,
                "signature_request_cancel_failed",
                "This signature request cannot be canceled",
            ));
        }
        envelope.cancel_queued = true;
        None
    });
    refusal.unwrap_or_else(|| {
        life::cancel_later(world, id);
        Answer::empty(StatusCode::OK)
    })
}

async fn remove(world: &World, caller: &Caller, id: &str) -> Answer {
    let outcome = world.look(|s| s.visible(caller, id).map(|envelope| envelope.visible_outcome()));
    match outcome {
        None => not_found(),
        Some(Outcome::Completed | Outcome::Declined) => {
            if world.dispose(id).await {
                Answer::empty(StatusCode::OK)
            } else {
                not_found()
            }
        }
        Some(Outcome::Cancelled) => gone(),
        Some(Outcome::Expired | Outcome::InProgress) => error(
            400,
            "signature_request_remove_failed",
            "This signature request cannot be removed: it is not complete",
        ),
    }
}
