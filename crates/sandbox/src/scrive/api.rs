//! The endpoints of document API v2 that an archiving client needs. Parameters come as a form, never as JSON.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::auth::authenticate;
use super::filter::{Filter, Sorting};
use super::paper::{Paper, find, papers};
use super::{callback, json as shape, kind, original_source, zip_entries};
use crate::config::Vendor;
use crate::content::{Artifact, Source};
use crate::exchange::{Answer, Inbound, Operation, parse_form, perform};
use crate::faults::{Fault, OperationClass};
use crate::ledger::{DeletedBy, Outcome};
use crate::life::{self, Step};
use crate::people::Caller;
use crate::rng::Rng;
use crate::sender;
use crate::world::World;

/// No list has more on a page.
const PAGE_MAX: usize = 100;
/// Matches beyond the offset are counted up to this number.
const MATCHING_MAX: usize = 1_000;
/// As many documents may be removed by one request.
const REMOVAL_MAX: usize = 100;

const NGINX_UNAVAILABLE: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n\
    <body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n\
    </body>\r\n</html>\r\n";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint<'a> {
    Profile,
    List,
    Get(&'a str),
    Main(&'a str),
    Zip(&'a str),
    File(&'a str, &'a str),
    History(&'a str),
    Trash(&'a str),
    Delete(&'a str),
    TrashMany,
    DeleteMany,
    Cancel(&'a str),
    Callback(&'a str),
    Retention,
}

impl<'a> Endpoint<'a> {
    fn parse(inbound: &Inbound, path: &[&'a str]) -> Option<Endpoint<'a>> {
        let get = inbound.method == Method::GET;
        let post = inbound.method == Method::POST;
        match path {
            ["getprofile"] if get => Some(Endpoint::Profile),
            ["documents", "list"] if get => Some(Endpoint::List),
            ["documents", "trash"] if post => Some(Endpoint::TrashMany),
            ["documents", "delete"] if post => Some(Endpoint::DeleteMany),
            ["dataretentionpolicy"] if get => Some(Endpoint::Retention),
            ["documents", id, "get"] if get => Some(Endpoint::Get(id)),
            ["documents", id, "files", "main"] | ["documents", id, "files", "main", _] if get => {
                Some(Endpoint::Main(id))
            }
            ["documents", id, "files", "zip"] | ["documents", id, "files", "zip", _] if get => {
                Some(Endpoint::Zip(id))
            }
            ["documents", id, "files", file] | ["documents", id, "files", file, _] if get => {
                Some(Endpoint::File(id, file))
            }
            ["documents", id, "history"] if get => Some(Endpoint::History(id)),
            ["documents", id, "trash"] if post => Some(Endpoint::Trash(id)),
            ["documents", id, "delete"] if post => Some(Endpoint::Delete(id)),
            ["documents", id, "cancel"] if post => Some(Endpoint::Cancel(id)),
            ["documents", id, "callback"] if post => Some(Endpoint::Callback(id)),
            _ => None,
        }
    }

    fn class(self) -> OperationClass {
        match self {
            Endpoint::Main(_) | Endpoint::Zip(_) | Endpoint::File(..) => OperationClass::Download,
            Endpoint::Trash(_)
            | Endpoint::Delete(_)
            | Endpoint::TrashMany
            | Endpoint::DeleteMany
            | Endpoint::Cancel(_)
            | Endpoint::Callback(_) => OperationClass::Write,
            _ => OperationClass::Read,
        }
    }

    fn document(self) -> Option<&'a str> {
        match self {
            Endpoint::Get(id)
            | Endpoint::Main(id)
            | Endpoint::Zip(id)
            | Endpoint::File(id, _)
            | Endpoint::History(id)
            | Endpoint::Trash(id)
            | Endpoint::Delete(id)
            | Endpoint::Cancel(id)
            | Endpoint::Callback(id) => Some(id),
            Endpoint::Profile
            | Endpoint::List
            | Endpoint::TrashMany
            | Endpoint::DeleteMany
            | Endpoint::Retention => None,
        }
    }
}

/// Answers a request below `/scrive/api/v2`.
pub(super) async fn handle(world: &Arc<World>, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    let Some(access) = authenticate(world, inbound) else {
        return Some(error(401, "invalid_authorisation", "No valid access credentials were provided."));
    };
    let Some(endpoint) = Endpoint::parse(inbound, path) else {
        return Some(error(404, "endpoint_not_found", "The endpoint was not found."));
    };
    let needed = if endpoint.class() == OperationClass::Write { "DOC_SEND" } else { "DOC_CHECK" };
    if !access.may(needed) {
        let message = format!("The access credentials lack the privilege {needed}.");
        return Some(error(403, "insufficient_privileges", &message));
    }
    let caller = access.caller;
    if let Some(id) = endpoint.document() {
        world.change(|s| {
            let envelope = s.by_file.get(id).cloned();
            s.count_api_call(envelope.as_deref().unwrap_or(id));
        });
    }
    let operation = Operation {
        vendor: Vendor::Scrive,
        class: endpoint.class(),
        key: format!("{caller}/{endpoint:?}/{}", inbound.query("offset").unwrap_or_default()),
    };
    let with_wait = Rng::keyed(world.seed, &format!("retry-after/{}", operation.key)).chance(0.5);
    let work = answer(world, &caller, inbound, endpoint);
    perform(world, &operation, |fault| spoiled(fault, with_wait), work).await
}

pub(super) fn error(status: u16, kind: &str, message: &str) -> Answer {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::json(code, json!({ "error_type": kind, "error_message": message, "http_code": status }))
}

fn not_found() -> Answer {
    error(404, "resource_not_found", "The document was not found.")
}

fn wrong_state(message: &str) -> Answer {
    error(409, "document_state_error", message)
}

fn malformed(parameter: &str) -> Answer {
    let message = format!("The parameter '{parameter}' could not be parsed.");
    error(400, "request_parameters_parse_error", &message)
}

fn managed_by_flow() -> Answer {
    let message = "The document cannot be changed: it is managed by Scrive Flow.";
    error(403, "action_not_permitted", message)
}

/// How Scrive says that something is wrong on its side.
pub(super) fn spoiled(fault: Fault, with_wait: bool) -> Answer {
    match fault {
        Fault::TooMany => {
            let answer = error(429, "request_failed", "Too many requests.");
            if with_wait { answer.with_header("retry-after", "1") } else { answer }
        }
        Fault::Unavailable => Answer::page(StatusCode::SERVICE_UNAVAILABLE, "text/html", NGINX_UNAVAILABLE),
        _ => error(500, "server_error", "The server has failed."),
    }
}

async fn answer(world: &Arc<World>, caller: &Caller, inbound: &Inbound, endpoint: Endpoint<'_>) -> Answer {
    match endpoint {
        Endpoint::Profile => profile(world, caller),
        Endpoint::List => list(world, caller, inbound),
        Endpoint::Get(id) => shown(world, caller, id),
        Endpoint::Main(id) => main_file(world, caller, id),
        Endpoint::Zip(id) => zip(world, caller, id),
        Endpoint::File(id, file) => named_file(world, caller, id, file),
        Endpoint::History(id) => world
            .look(|s| find(s, caller, id).map(|paper| Answer::ok(shape::history(&paper))))
            .unwrap_or_else(not_found),
        Endpoint::Trash(id) => one(remove(world, caller, inbound, Removal::Trash, &[id.to_owned()]).await),
        Endpoint::Delete(id) => one(remove(world, caller, inbound, Removal::Delete, &[id.to_owned()]).await),
        Endpoint::TrashMany => remove_many(world, caller, inbound, Removal::Trash).await,
        Endpoint::DeleteMany => remove_many(world, caller, inbound, Removal::Delete).await,
        Endpoint::Cancel(id) => cancel(world, caller, inbound, id),
        Endpoint::Callback(id) => send_callback(world, caller, id),
        Endpoint::Retention => Answer::ok(json!({
            "idle_doc_timeout_preparation": null, "idle_doc_timeout_closed": null,
            "idle_doc_timeout_canceled": null, "idle_doc_timeout_timedout": null,
            "idle_doc_timeout_rejected": null, "idle_doc_timeout_error": null, "immediate_trash": false,
        })),
    }
}

/// Who calls; a public integration has seen these fields at the vendor's own test site.
fn profile(world: &World, caller: &Caller) -> Answer {
    let (name, email) = world.look(|s| {
        let user = caller.user.as_deref().and_then(|id| s.people.user(id));
        user.map_or_else(
            || ("Anna Sender".to_owned(), "sender@example.com".to_owned()),
            |user| (user.name.clone(), user.email.clone()),
        )
    });
    let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
    let number_of =
        |what: &str| super::number(&mut Rng::keyed(world.seed, &format!("{}/{what}", caller.account)));
    Answer::ok(json!({
        "id": caller.user.clone().unwrap_or_else(|| number_of("user")), "fstname": first, "sndname": last, "email": email, "role": "role_account_member",
        "company": { "companyid": number_of("company"), "companyname": caller.account },
    }))
}

fn list(world: &World, caller: &Caller, inbound: &Inbound) -> Answer {
    let number = |name: &str, default: usize| inbound.query(name).map_or(Some(default), |n| n.parse().ok());
    let Some(offset) = number("offset", 0) else { return malformed("offset") };
    let Some(max) = number("max", PAGE_MAX) else { return malformed("max") };
    let Some(filters) = Filter::parse_all(inbound.query("filter").unwrap_or_default()) else {
        return malformed("filter");
    };
    let Some(sorting) = Sorting::parse(inbound.query("sorting").unwrap_or_default()) else {
        return malformed("sorting");
    };
    world.look(|s| {
        let Some(owner) = s.accounts.get(&caller.account) else { return not_found() };
        let mut all: Vec<Paper<'_>> = papers(s, caller)
            .filter(|paper| filters.iter().all(|filter| filter.matches(world, owner, paper)))
            .collect();
        sorting.sort(&mut all);
        let matching = all.len().min(offset.saturating_add(MATCHING_MAX));
        let page = all[..matching].iter().skip(offset).take(max.min(PAGE_MAX));
        let documents: Vec<Value> = page.map(|paper| shape::document(world, owner, paper)).collect();
        Answer::ok(json!({ "total_matching": matching, "documents": documents }))
    })
}

/// The document as it is now, also when it was just deleted.
fn document(world: &World, caller: &Caller, id: &str) -> Option<Value> {
    world.look(|s| {
        let owner = s.accounts.get(&caller.account)?;
        let paper = find(s, caller, id).or_else(|| s.envelope(id).map(Paper::of))?;
        Some(shape::document(world, owner, &paper))
    })
}

fn shown(world: &World, caller: &Caller, id: &str) -> Answer {
    let found = world.look(|s| find(s, caller, id).is_some());
    found.then(|| document(world, caller, id)).flatten().map_or_else(not_found, Answer::ok)
}

/// A file, or why there is none.
enum Found {
    Answer(Answer),
    File(Arc<Artifact>),
}

fn served(found: Found) -> Answer {
    let artifact = match found {
        Found::Answer(answer) => return answer,
        Found::File(artifact) => artifact,
    };
    let is_zip = artifact.name.to_ascii_lowercase().ends_with(".zip");
    Answer::file(artifact, if is_zip { "application/zip" } else { "application/pdf" })
}

/// Whether the document is closed and waits for its seal.
fn is_being_sealed(paper: &Paper<'_>) -> bool {
    paper.outcome() == Outcome::Completed && !paper.is_sealed()
}

fn not_sealed_yet() -> Answer {
    let message = "The sealed PDF for the document is not ready yet, please wait and try again.";
    error(503, "document_state_error", message)
}

fn main_file(world: &World, caller: &Caller, id: &str) -> Answer {
    served(world.look(|s| match find(s, caller, id) {
        None => Found::Answer(not_found()),
        Some(paper) if is_being_sealed(&paper) => Found::Answer(not_sealed_yet()),
        Some(paper) => Found::File(paper.sealed_file().map_or_else(|| original(&paper), Arc::clone)),
    }))
}

/// The document without a seal; it is not in the ledger.
fn original(paper: &Paper<'_>) -> Arc<Artifact> {
    let name = format!("{}.pdf", paper.title());
    Arc::new(Artifact::new(name, "original", paper.file_id("original"), original_source(paper)))
}

fn zip(world: &World, caller: &Caller, id: &str) -> Answer {
    served(world.look(|s| {
        let Some(paper) = find(s, caller, id) else { return Found::Answer(not_found()) };
        if is_being_sealed(&paper) {
            return Found::Answer(not_sealed_yet());
        }
        let promised = paper.envelope.artifacts.iter().find(|artifact| artifact.kind == kind::EVIDENCE);
        if let Some(promised) = promised.filter(|_| paper.is_sealed()) {
            return Found::File(Arc::clone(promised));
        }
        let name = format!("{}.zip", paper.title());
        Found::File(Arc::new(Artifact::new(name, "zip", String::new(), Source::Zip(zip_entries(&paper)))))
    }))
}

/// Any file that the Document JSON names.
fn named_file(world: &World, caller: &Caller, id: &str, file: &str) -> Answer {
    served(world.look(|s| {
        let Some(paper) = find(s, caller, id) else { return Found::Answer(not_found()) };
        if paper.file_id("original") == file {
            return Found::File(original(&paper));
        }
        if let Some(sealed) = paper.sealed_file().filter(|sealed| sealed.file_id == file) {
            return Found::File(Arc::clone(sealed));
        }
        let attachments = paper.attachments();
        let named = attachments.iter().find(|attachment| attachment.file_id == file && paper.has(attachment));
        let Some(attachment) = named else {
            return Found::Answer(error(404, "resource_not_found", "The file was not found."));
        };
        let promised = paper.envelope.artifacts.iter().find(|artifact| artifact.file_id == file);
        Found::File(promised.map_or_else(|| Arc::new(attachment.artifact(paper.envelope)), Arc::clone))
    }))
}

/// The form of a request.
fn form(inbound: &Inbound) -> Result<Vec<(String, String)>, Answer> {
    if inbound.body.is_empty() {
        return Ok(Vec::new());
    }
    let content_type = inbound.header("content-type").unwrap_or_default();
    let text = std::str::from_utf8(&inbound.body).ok();
    text.filter(|_| content_type.starts_with("application/x-www-form-urlencoded"))
        .map(parse_form)
        .ok_or_else(|| error(400, "request_failed", "The body must be application/x-www-form-urlencoded."))
}

fn value_of<'a>(form: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    form.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

/// A change may be bound to the version that the client has seen.
fn expect_version(form: &[(String, String)], paper: &Paper<'_>) -> Result<(), Answer> {
    let Some(wanted) = value_of(form, "object_version") else { return Ok(()) };
    let wanted: u64 = wanted.parse().map_err(|_| malformed("object_version"))?;
    let actual = paper.stamp().object_version;
    if wanted == actual {
        return Ok(());
    }
    let message = format!("The document has object version {actual}, not {wanted}.");
    Err(error(409, "document_object_version_mismatch", &message))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    Trash,
    Delete,
}

impl Removal {
    /// Why the document cannot be removed this way.
    fn check(self, form: &[(String, String)], paper: &Paper<'_>) -> Result<(), Answer> {
        if paper.is_of_flow() {
            return Err(managed_by_flow());
        }
        expect_version(form, paper)?;
        let trashed = paper.envelope.scrive.trashed;
        match self {
            Removal::Trash if paper.outcome() == Outcome::InProgress => {
                Err(wrong_state("The document is pending and cannot be moved to Trash."))
            }
            Removal::Trash if trashed => Err(wrong_state("The document is already in Trash.")),
            Removal::Delete if !trashed => Err(wrong_state("The document is not in Trash.")),
            Removal::Trash | Removal::Delete => Ok(()),
        }
    }

    /// The witness looks before each: what is in the trash is not extended any more, and goes by itself after a while.
    async fn perform(self, world: &World, id: &str) {
        let missing = world.missing_by_witness(id).await.unwrap_or(0);
        world.change(|s| {
            let Some(envelope) = s.envelope_mut(id) else { return };
            envelope.scrive.touch();
            match self {
                Removal::Trash => {
                    envelope.scrive.trashed = true;
                    envelope.scrive.missing_at_trash = missing;
                }
                Removal::Delete => {
                    let missing = missing.max(envelope.scrive.missing_at_trash);
                    s.delete(id, DeletedBy::Client, missing);
                }
            }
        });
    }
}

/// Removes all of the documents, or none.
async fn remove(
    world: &World,
    caller: &Caller,
    inbound: &Inbound,
    removal: Removal,
    ids: &[String],
) -> Result<Vec<Value>, Answer> {
    let form = form(inbound)?;
    world.look(|s| {
        ids.iter().try_for_each(|id| {
            find(s, caller, id).ok_or_else(not_found).and_then(|paper| removal.check(&form, &paper))
        })
    })?;
    let mut documents = Vec::new();
    for id in ids {
        removal.perform(world, id).await;
        documents.extend(document(world, caller, id));
    }
    Ok(documents)
}

fn one(removed: Result<Vec<Value>, Answer>) -> Answer {
    match removed {
        Ok(mut documents) => documents.pop().map_or_else(not_found, Answer::ok),
        Err(answer) => answer,
    }
}

async fn remove_many(world: &World, caller: &Caller, inbound: &Inbound, removal: Removal) -> Answer {
    let ids = match form(inbound) {
        Err(answer) => return answer,
        Ok(form) => match value_of(&form, "document_ids") {
            None => {
                let message = "The parameter 'document_ids' is missing.";
                return error(400, "request_parameters_missing", message);
            }
            Some(text) => serde_json::from_str::<Vec<String>>(text),
        },
    };
    let Ok(ids) = ids else { return malformed("document_ids") };
    let distinct: BTreeSet<&String> = ids.iter().collect();
    if ids.is_empty() || ids.len() > REMOVAL_MAX || distinct.len() < ids.len() {
        let message = "The parameter 'document_ids' must have 1 to 100 ids, each of them once.";
        return error(400, "request_parameters_invalid", message);
    }
    match remove(world, caller, inbound, removal, &ids).await {
        Ok(documents) => Answer::ok(json!({ "total_matching": documents.len(), "documents": documents })),
        Err(answer) => answer,
    }
}

fn cancel(world: &Arc<World>, caller: &Caller, inbound: &Inbound, id: &str) -> Answer {
    let form = match form(inbound) {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let checked = world.look(|s| {
        let paper = find(s, caller, id).ok_or_else(not_found)?;
        if paper.is_of_flow() {
            return Err(managed_by_flow());
        }
        expect_version(&form, &paper)?;
        match paper.envelope.outcome {
            Outcome::InProgress => Ok(()),
            _ => Err(wrong_state("The document is not pending.")),
        }
    });
    match checked {
        Err(answer) => answer,
        Ok(()) => {
            life::act(world, id, Step::End(Outcome::Cancelled));
            shown(world, caller, id)
        }
    }
}

/// Sends the document's callback at once, if it has a URL.
fn send_callback(world: &Arc<World>, caller: &Caller, id: &str) -> Answer {
    let asked = world.change(|s| {
        let paper = find(s, caller, id)?;
        let (is_of_flow, envelope) = (paper.is_of_flow(), paper.envelope.id.clone());
        s.envelope_mut(&envelope)?.scrive.callbacks_asked += 1;
        let owner = s.accounts.get(&caller.account)?;
        let has_url = owner.callback_url.is_some() && !is_of_flow;
        let outgoing = s.envelope(&envelope).map(|envelope| callback::asked_for(owner, envelope));
        Some(outgoing.filter(|_| has_url))
    });
    match asked {
        None => not_found(),
        Some(outgoing) => {
            sender::dispatch(world, outgoing.into_iter().collect());
            Answer::empty(StatusCode::ACCEPTED)
        }
    }
}
