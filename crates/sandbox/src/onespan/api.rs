//! The endpoints below `/api` that an archiving client needs.

use std::sync::Arc;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::access::Access;
use super::files::{self, kind};
use super::{
    CONSENT, attachment_file_id, attachment_id, changes, error, list, no_package, no_permission, package,
    readable, role_id, senders, spoiled,
};
use crate::config::Vendor;
use crate::content::Artifact;
use crate::exchange::{Answer, Inbound, Operation, perform};
use crate::faults::OperationClass;
use crate::world::{Envelope, World};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint<'a> {
    Session,
    Callback,
    SetCallback,
    Senders,
    Retention,
    List,
    Change(&'a str),
    Delete(&'a str),
    Of(&'a str, Part<'a>),
}

/// What of a package is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Package,
    SigningStatus,
    Document(&'a str),
    DocumentPdf(&'a str),
    DocumentOriginal(&'a str),
    DocumentsZip,
    Evidence,
    Audit,
    Fields,
    AttachmentsExist,
    AttachmentsZip { role: Option<&'a str> },
    Attachment { id: &'a str, file: Option<&'a str> },
}

impl<'a> Endpoint<'a> {
    fn parse(inbound: &Inbound, path: &[&'a str]) -> Result<Endpoint<'a>, Answer> {
        let get = inbound.method == Method::GET;
        let changes = inbound.method == Method::PUT || inbound.method == Method::POST;
        match path {
            ["session"] if get => Ok(Endpoint::Session),
            ["callback"] if get => Ok(Endpoint::Callback),
            ["callback"] if inbound.method == Method::POST => Ok(Endpoint::SetCallback),
            ["account", "senders"] if get => Ok(Endpoint::Senders),
            ["dataRetentionSettings", "dataManagementPolicy"] if get => Ok(Endpoint::Retention),
            ["packages"] if get => Ok(Endpoint::List),
            ["packages", id] if changes => Ok(Endpoint::Change(id)),
            ["packages", id] if inbound.method == Method::DELETE => Ok(Endpoint::Delete(id)),
            ["packages", id, rest @ ..] if get => match Part::parse(rest) {
                Some(part) => Ok(Endpoint::Of(id, part)),
                None => Err(error(404, "error.notFound.resource", "The resource was not found.")),
            },
            ["session" | "callback"] | ["packages", ..] => {
                Err(error(405, "error.methodNotAllowed.default", "Method not allowed"))
            }
            _ => Err(error(404, "error.notFound.resource", "The resource was not found.")),
        }
    }

    fn class(self) -> OperationClass {
        match self {
            Endpoint::SetCallback | Endpoint::Change(_) | Endpoint::Delete(_) => OperationClass::Write,
            Endpoint::Of(_, part) => part.class(),
            _ => OperationClass::Read,
        }
    }

    fn package(self) -> Option<&'a str> {
        match self {
            Endpoint::Change(id) | Endpoint::Delete(id) | Endpoint::Of(id, _) => Some(id),
            _ => None,
        }
    }
}

impl<'a> Part<'a> {
    fn parse(rest: &[&'a str]) -> Option<Part<'a>> {
        Some(match rest {
            [] => Part::Package,
            ["signingStatus"] => Part::SigningStatus,
            ["documents", "zip"] => Part::DocumentsZip,
            ["documents", id] => Part::Document(id),
            ["documents", id, "pdf"] => Part::DocumentPdf(id),
            ["documents", id, "original"] => Part::DocumentOriginal(id),
            ["evidence", "summary"] => Part::Evidence,
            ["audit"] => Part::Audit,
            ["fieldSummary"] => Part::Fields,
            ["attachment", "exists"] => Part::AttachmentsExist,
            ["attachment", "zip"] => Part::AttachmentsZip { role: None },
            ["attachment", "zip", role] => Part::AttachmentsZip { role: Some(role) },
            ["attachment", id] => Part::Attachment { id, file: None },
            ["attachment", id, "file", file] => Part::Attachment { id, file: Some(file) },
            _ => return None,
        })
    }

    fn class(self) -> OperationClass {
        match self {
            Part::Package | Part::SigningStatus | Part::Document(_) | Part::AttachmentsExist => {
                OperationClass::Read
            }
            _ => OperationClass::Download,
        }
    }
}

/// Answers a request of somebody who is known. `None`: the connection is to be dropped.
pub(super) async fn handle(
    world: &Arc<World>,
    inbound: &Inbound,
    access: &Access,
    path: &[&str],
) -> Option<Answer> {
    let endpoint = match Endpoint::parse(inbound, path) {
        Ok(endpoint) => endpoint,
        Err(answer) => return Some(answer),
    };
    if let Some(id) = endpoint.package() {
        world.change(|s| s.count_api_call(id));
    }
    let page = inbound.query("from").unwrap_or_default();
    let folder = inbound.query("query").unwrap_or_default();
    let key = format!("{}/{endpoint:?}/{folder}/{page}", access.account);
    let operation = Operation { vendor: Vendor::OneSpan, class: endpoint.class(), key };
    perform(world, &operation, spoiled, answer(world, inbound, access, endpoint)).await
}

async fn answer(world: &Arc<World>, inbound: &Inbound, access: &Access, endpoint: Endpoint<'_>) -> Answer {
    let hidden = endpoint.package().is_some_and(|id| {
        world.look(|s| s.envelope(id).is_some_and(|envelope| !access.may_see(&envelope.script.sender)))
    });
    if hidden {
        return no_permission();
    }
    match endpoint {
        Endpoint::Session => session(world, access),
        Endpoint::Callback => changes::registration(world, access),
        Endpoint::SetCallback => changes::register(world, access, inbound),
        Endpoint::Senders => senders_page(world, access, inbound),
        Endpoint::Retention => Answer::ok(json!({ "transactionRetention": {
            "draft": 120, "sent": 120, "completed": 120, "archived": 120, "declined": 120, "optedOut": 120,
            "expired": 120,
        } })),
        Endpoint::List => list::answer(world, access, inbound),
        Endpoint::Change(id) => changes::change(world, access, id, inbound).await,
        Endpoint::Delete(id) => changes::delete(world, access, id).await,
        Endpoint::Of(id, part) => world.look(|s| {
            if let Some(envelope) = readable(s, &access.account, id) {
                return read(world, envelope, part);
            }
            let mut own = s.templates.iter().filter(|template| template.account_id == access.account);
            match own.find(|template| template.id == id) {
                Some(template) if part == Part::Package => Answer::ok(package::template(world, template)),
                _ => no_package(),
            }
        }),
    }
}

fn session(world: &World, access: &Access) -> Answer {
    let user = package::sender(world, &access.account, access.email());
    let account = json!({
        "id": package::account_id(world, &access.account), "name": access.account,
        "owner": package::sender(world, &access.account, super::OWNER)["id"],
    });
    Answer::ok(json!({ "account": account, "user": user }))
}

fn senders_page(world: &World, access: &Access, inbound: &Inbound) -> Answer {
    let search = inbound.query("search").unwrap_or_default().to_lowercase();
    let number = |name: &str| inbound.query(name).and_then(|text| text.parse::<usize>().ok());
    let first = number("from").unwrap_or(1).max(1);
    let size = number("to").unwrap_or(usize::MAX).saturating_sub(first - 1);
    let mut all = world.look(|s| senders(s, &access.account));
    all.retain(|email| access.may_see(email) && email.to_lowercase().contains(&search));
    if inbound.query("dir").is_some_and(|dir| dir.eq_ignore_ascii_case("desc")) {
        all.reverse();
    }
    let page = all.iter().skip(first - 1).take(size);
    let results: Vec<Value> = page.map(|email| package::sender(world, &access.account, email)).collect();
    Answer::ok(json!({ "count": all.len(), "results": results }))
}

fn read(world: &World, envelope: &Envelope, part: Part<'_>) -> Answer {
    const BYTES: &str = "application/octet-stream";
    let file = |found: Option<Arc<Artifact>>, content_type| {
        found.map_or_else(no_file, |artifact| download(artifact, content_type))
    };
    match part {
        Part::Package => Answer::ok(package::package(world, envelope)),
        Part::SigningStatus => Answer::ok(json!({ "status": package::signing_status(envelope) })),
        Part::Document(id) => document(envelope, id),
        Part::DocumentPdf(id) => file(files::document(envelope, id), BYTES),
        Part::DocumentOriginal(id) => file(files::original(envelope, id), BYTES),
        Part::DocumentsZip => file(Some(files::zip(envelope)), "application/zip"),
        Part::Evidence => file(Some(files::record(envelope, kind::EVIDENCE)), "application/pdf"),
        Part::Audit => file(Some(files::record(envelope, kind::AUDIT)), "application/json"),
        Part::Fields => file(Some(files::record(envelope, kind::FIELDS)), "application/json"),
        Part::AttachmentsExist => Answer::ok(json!({ "exists": package::has_attachments(envelope) })),
        Part::AttachmentsZip { role } => {
            let uploads = |id: &str| envelope.signers.first().is_some_and(|s| role_id(envelope, &s.id) == id);
            let found = if role.is_none_or(uploads) { files::attachments(envelope) } else { None };
            file(found, "application/zip")
        }
        Part::Attachment { id, file: number } => {
            let mut all = 0..envelope.script.attachments.len();
            let index = all.find(|&index| attachment_id(envelope, index) == id);
            let fits = |number: &str| {
                index.is_some_and(|index| attachment_file_id(envelope, index).to_string() == number)
            };
            let found = if number.is_none_or(fits) { files::attachment(envelope, id) } else { None };
            file(found, BYTES)
        }
    }
}

fn no_file() -> Answer {
    error(404, "error.notFound.documentNotFound", "The specified document could not be found.")
}

/// What is known of a document: not its bytes, whatever some clients expect.
fn document(envelope: &Envelope, id: &str) -> Answer {
    if id == CONSENT {
        return Answer::ok(package::document(envelope, id, "Consent", 0));
    }
    match files::index_of(envelope, id) {
        Some(index) => {
            let name = &envelope.script.documents[index].name;
            Answer::ok(package::document(envelope, id, name, index + 1))
        }
        None => no_file(),
    }
}

fn download(artifact: Arc<Artifact>, content_type: &'static str) -> Answer {
    let name = utf8_percent_encode(&artifact.name, NON_ALPHANUMERIC).to_string();
    Answer::file(artifact, content_type)
        .with_header("content-disposition", format!("attachment; filename*=UTF-8''{name}"))
}
