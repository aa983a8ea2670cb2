//! Packages of OneSpan Sign: what they are, what they leave behind, which changed, and how they go.
//!
//! A document can be downloaded before completion and then lacks its pending fields without a word (vendor's
//! documentation), so the status is read again before any file is named. A template has an id like a
//! package's and is never archived nor removed.

use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::digest::Digest;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup, Signer};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::limits::ARTIFACTS_MAX;
use aftersign_core::platform::{Access, Call, Disposal, Next, OptionSpec, Page, Window};
use aftersign_core::proof::TransferProof;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use jiff::SignedDuration;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::access::{Api, JSON, json_body, refused};
use super::callback::{CONSENT, is_package_id};
use super::wire::{Approval, AttachedFile, Package, PackageList, Person, Role, SigningStatus, Trash};
use crate::exchange::{Asking, excerpt, is_disturbed, option, own_status, safe_id};

/// What stands in a path segment as it is (RFC 3986, unreserved); `=` at the end of ids does not.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Longest id of a document or an attachment, in characters (vendor's documentation: 256).
const PART_ID_CHARS_MAX: usize = 256;
/// What the SDKs accept for files.
const BYTES: &str = "application/octet-stream; esl-api-version=11";
/// What the evidence summary is asked with (official OpenAPI).
const PDF: &str = "application/pdf; esl-api-version=11";
/// What the audit is asked with; it would come as XML else.
const PLAIN_JSON: &str = "application/json";

/// The artifacts we name, by the id under which a transfer remembers them; the first two are prefixes.
const DOCUMENT: &str = "document";
const ATTACHMENT: &str = "attachment";
const EVIDENCE: &str = "evidence-summary";
const AUDIT: &str = "audit";
const FIELDS: &str = "field-summary";
const RECORD: &str = "package";

/// Packages per page. 100 are allowed; but each is told in full, with all fields of all documents, and a page that
/// outgrows what is taken as one answer (16 MiB) would do so at every sweep.
const PAGE_SIZE: u64 = 25;
/// Characters of the digest that is a revision: enough to tell the few states of one package apart.
const REVISION_CHARS: usize = 16;
/// Highest row asked for: beyond this the list's own count is taken for broken.
pub(super) const ROWS_MAX: u64 = 100_000;
/// Widening of a window's end, because our clock and theirs differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// How lists are asked: official sources disagree.
pub(super) const LIST_DIALECT: OptionSpec = OptionSpec {
    name: "list_dialect",
    values: &["sdk2024", "spec1151"],
    default: "sdk2024",
    about: "How lists are asked for a span of time: as the SDKs do since January 2024 (and as the OpenAPI 11.51 says \
            where that is refused), or as the OpenAPI says from the start.",
};

/// How an envelope is removed.
pub(super) const DISPOSE_MODE: OptionSpec = OptionSpec {
    name: "dispose_mode",
    values: &["trash", "delete"],
    default: "trash",
    about: "How an envelope is removed: into the trash, from which a person can take it back, or for good (completed \
            ones only).",
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListDialect {
    /// As the SDKs do since January 2024: a status in `query`, `startDate` and `endDate`.
    Sdk2024,
    /// As OpenAPI 11.51 says: a folder in `query`, `lastUpdatedStartDate` and `lastUpdatedEndDate`.
    Spec1151,
}

impl ListDialect {
    fn of(operation: &'static str, access: &Access) -> Result<Self, Error> {
        Ok(match option(operation, access, &LIST_DIALECT)? {
            "spec1151" => Self::Spec1151,
            _ => Self::Sdk2024,
        })
    }

    /// What a sweep asks for, in turn: in the order of a package's life, so that one which goes on from one state
    /// to the next meanwhile is met there. Without a `query` all folders but the trash are listed.
    fn queries(self) -> &'static [&'static str] {
        match self {
            Self::Sdk2024 => {
                &["DRAFT", "SENT", "COMPLETED", "DECLINED", "OPTED_OUT", "EXPIRED", "ARCHIVED", "trashed"]
            }
            Self::Spec1151 => &["", "trashed"],
        }
    }

    fn dates(self) -> (&'static str, &'static str) {
        match self {
            Self::Sdk2024 => ("startDate", "endDate"),
            Self::Spec1151 => ("lastUpdatedStartDate", "lastUpdatedEndDate"),
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Sdk2024 => 's',
            Self::Spec1151 => 'o',
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DisposeMode {
    /// Into the trash. The default: `DELETE` cannot be undone.
    Trash,
    /// For good. Of completed packages alone, since of others not all is archived.
    Delete,
}

impl DisposeMode {
    fn of(operation: &'static str, access: &Access) -> Result<Self, Error> {
        Ok(match option(operation, access, &DISPOSE_MODE)? {
            "delete" => Self::Delete,
            _ => Self::Trash,
        })
    }
}

/// A package's path, for an id that can stand in one.
fn package_path(api: &Api, id: &EnvelopeId) -> Result<String, Error> {
    if !is_package_id(id.as_str()) {
        let message = "the id has characters that no package id has, so it is not put into a URL; look up \
                       the package at the platform";
        return Err(api
            .error(ErrorKind::Rejected, Remedy::AskPerson, message)
            .with("id", excerpt(id.as_str())));
    }
    Ok(format!("packages/{}", utf8_percent_encode(id.as_str(), IN_SEGMENT)))
}

/// A document's or attachment's id as a path segment. Integrators choose document ids, so more than letters
/// is encoded; what a proxy could decode into another path is refused.
fn segment(api: &Api, id: &str) -> Result<String, Error> {
    let is_hostile = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%');
    let is_dots = id.chars().all(|c| c == '.');
    if is_dots || id.len() > PART_ID_CHARS_MAX || id.chars().any(is_hostile) {
        let message = "a part of the package has an id that cannot be put into a URL safely; fetch this \
                       package by hand";
        return Err(api.error(ErrorKind::Rejected, Remedy::AskPerson, message).with("id", excerpt(id)));
    }
    Ok(utf8_percent_encode(id, IN_SEGMENT).to_string())
}

pub(super) fn fetch_envelope(access: &Access, id: &EnvelopeId) -> Result<Call<Lookup>, Error> {
    let api = Api::new("onespan fetch envelope", access)?;
    let path = package_path(&api, id)?;
    let request = api.get(&path)?;
    let asked = id.clone();
    Ok(api.clone().then(request, move |response| {
        if own_status(&response) == Some(404) {
            return is_it_gone(&api, &path);
        }
        let found = read_package(&api, &asked, &response)?;
        let revision = status(&found).is_final().then(|| revision(&found));
        Ok(Next::Done(Lookup::Found(Box::new(Envelope { revision, ..envelope(asked, found) }))))
    }))
}

/// 404 means deleted, unknown or not ours alike; the signing status has a word for the first (Java SDK).
fn is_it_gone(api: &Api, path: &str) -> Result<Next<Lookup>, Error> {
    let request = api.get(&format!("{path}/signingStatus"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_disturbed(&response) {
            return Err(api.refused(&response));
        }
        let said: Option<SigningStatus> = api.answer(&response).ok();
        let word = said.and_then(|said| said.status);
        let deleted = word.is_some_and(|word| word.eq_ignore_ascii_case("DELETED"));
        Ok(Next::Done(if deleted { Lookup::Deleted { at: None } } else { Lookup::NotFound }))
    })))
}

/// The package that was asked for, no other, and no template or layout.
fn read_package(api: &Api, asked: &EnvelopeId, response: &Response<Bytes>) -> Result<Package, Error> {
    let found: Package = api.answer(response)?;
    if found.id.as_deref() != Some(asked.as_str()) {
        return Err(api.unintelligible("the answer is about another package"));
    }
    match found.kind.as_deref() {
        Some(kind) if !kind.eq_ignore_ascii_case("PACKAGE") => {
            let message = "this is no package but a template or layout, and those are never archived";
            Err(api.error(ErrorKind::Rejected, Remedy::Abandon, message).with("type", excerpt(kind)))
        }
        _ => Ok(found),
    }
}

fn envelope(id: EnvelopeId, found: Package) -> Envelope {
    let status = status(&found);
    let mut word = found.status.unwrap_or_default();
    if found.trashed == Some(true) {
        // The trash is a flag beside the status, which only reports call a status.
        word.push_str(", TRASHED");
    }
    let approvals: Vec<&Approval> = found.documents.iter().flat_map(|document| &document.approvals).collect();
    let metadata = found.data.map(|data| data.get().to_owned());
    Envelope {
        name: found.name,
        sender: found.sender.and_then(|sender| sender.email),
        signers: found.roles.iter().flat_map(|role| signers(role, &approvals)).collect(),
        created_at: found.created,
        completed_at: found.completed.filter(|_| status == EnvelopeStatus::Completed),
        metadata: metadata.filter(|text| text != "null" && text != "{}"),
        expires_at: found.due,
        ..Envelope::new(id, status, word)
    }
}

/// What of the package is kept by us: its documents, and the files that signers attached, which may come after its
/// end. Not `updated`, which our own removal moves.
fn revision(found: &Package) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let documents = found.documents.iter();
    let mut parts: Vec<[String; 3]> =
        documents.map(|document| [text(&document.id), String::new(), String::new()]).collect();
    for requirement in found.roles.iter().flat_map(|role| &role.attachment_requirements) {
        let id = text(&requirement.id);
        let file = |file: &AttachedFile| [id.clone(), text(&file.id), text(&requirement.status)];
        parts.extend(requirement.files.iter().map(file));
    }
    parts.sort();
    let mut revision = Digest::of(json!(parts).to_string().as_bytes()).to_string();
    revision.truncate(REVISION_CHARS);
    revision
}

/// Nobody says whether the rows of a list have all parts of a package. One that tells of attached files has; any other
/// says nothing, or the same package would seem to change with every question.
fn has_all_parts(row: &Package) -> bool {
    let mut requirements = row.roles.iter().flat_map(|role| &role.attachment_requirements);
    !row.documents.is_empty() && requirements.any(|requirement| !requirement.files.is_empty())
}

/// The sender has a role too; who has nothing to sign is a signer only if the role says so.
fn signers(role: &Role, approvals: &[&Approval]) -> Vec<Signer> {
    let own: Vec<&&Approval> =
        approvals.iter().filter(|approval| role.id.is_some() && approval.role == role.id).collect();
    let is_signer = role.kind.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("SIGNER"));
    if own.is_empty() && !is_signer {
        return Vec::new();
    }
    let signed_at = own.iter().filter_map(|approval| approval.signed).max();
    let open = own.iter().any(|approval| approval.signed.is_none() && approval.optional != Some(true));
    let word = match signed_at {
        _ if role.locked == Some(true) => Some("locked"),
        Some(_) if !open => Some("signed"),
        _ => None,
    };
    let signer = |person: &Person| Signer {
        id: person.id.clone(),
        name: full_name(person),
        email: person.email.clone(),
        status_at_platform: word.map(str::to_owned),
        signed_at: signed_at.filter(|_| !open),
    };
    role.signers.iter().map(signer).collect()
}

fn full_name(person: &Person) -> Option<String> {
    let parts = [person.first_name.as_deref(), person.last_name.as_deref()];
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

/// An archived package was completed before; an opt-out is a refusal to sign. Unknown words are kept beside
/// `Unknown`, which is never final.
fn status(found: &Package) -> EnvelopeStatus {
    let touched =
        || found.documents.iter().flat_map(|document| &document.approvals).any(|part| part.signed.is_some());
    match found.status.as_deref().unwrap_or_default().to_ascii_uppercase().as_str() {
        "DRAFT" => EnvelopeStatus::Draft,
        "SENT" if touched() => EnvelopeStatus::InProgress,
        "SENT" => EnvelopeStatus::Sent,
        "COMPLETED" | "ARCHIVED" => EnvelopeStatus::Completed,
        "DECLINED" | "OPTED_OUT" => EnvelopeStatus::Declined,
        "EXPIRED" => EnvelopeStatus::Expired,
        _ => EnvelopeStatus::Unknown,
    }
}

/// Reads the status again: whatever is fetched before completion silently lacks its pending fields.
pub(super) fn list_artifacts(access: &Access, known: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
    let api = Api::new("onespan list artifacts", access)?;
    let path = package_path(&api, &known.id)?;
    let request = api.get(&path)?;
    let asked = known.id.clone();
    Ok(api.clone().then(request, move |response| {
        let found = read_package(&api, &asked, &response)?;
        let status = status(&found);
        if !status.is_final() {
            let message = "the package is not final, and what is fetched now would lack its pending fields";
            let word = excerpt(found.status.as_deref().unwrap_or("none"));
            return Err(api.error(ErrorKind::NotReady, Remedy::Park, message).with("status", word));
        }
        let mut list =
            if status == EnvelopeStatus::Completed { documents(&api, &found)? } else { Vec::new() };
        list.push(artifact(EVIDENCE, ArtifactKind::LegalEvidence, EVIDENCE, Content::Pdf));
        list.push(artifact(AUDIT, ArtifactKind::AuditTrail, "audit-trail", Content::Json));
        if status == EnvelopeStatus::Completed {
            list.push(artifact(FIELDS, ArtifactKind::PlatformRecord, FIELDS, Content::Json));
        }
        list.push(artifact(RECORD, ArtifactKind::PlatformRecord, RECORD, Content::Json));
        if list.len() > ARTIFACTS_MAX {
            return Err(api.unintelligible("the list of files has no end"));
        }
        match list.iter().position(|item| item.id == format!("{DOCUMENT}:{CONSENT}")) {
            Some(consent) => has_consent(&api, &path, list, consent),
            None => Ok(Next::Done(list)),
        }
    }))
}

fn artifact(id: &str, kind: ArtifactKind, name: &str, content: Content) -> ArtifactRef {
    ArtifactRef { id: id.to_owned(), kind, name: name.to_owned(), content }
}

/// The signed documents one by one, and the files that signers attached. One without a usable id is an error:
/// left out, it would be lost in silence.
fn documents(api: &Api, found: &Package) -> Result<Vec<ArtifactRef>, Error> {
    let mut list: Vec<ArtifactRef> = Vec::new();
    let mut add = |item: ArtifactRef| {
        if list.iter().all(|other| other.id != item.id) {
            list.push(item);
        }
    };
    let mut signed = false;
    for document in &found.documents {
        let id = document.id.as_deref().unwrap_or_default();
        segment(api, id)?;
        signed |= id != CONSENT;
        let name = document.name.as_deref().unwrap_or(id);
        add(artifact(&format!("{DOCUMENT}:{id}"), ArtifactKind::Document, name, Content::Pdf));
    }
    for requirement in found.roles.iter().flat_map(|role| &role.attachment_requirements) {
        let id = requirement.id.as_deref().unwrap_or_default();
        for file in &requirement.files {
            segment(api, id)?;
            let number = safe_id(api.operation, file.id.as_deref().unwrap_or_default())?;
            let name = file.name.as_deref().or(requirement.name.as_deref()).unwrap_or(ATTACHMENT);
            let id = format!("{ATTACHMENT}:{number}:{id}");
            add(artifact(&id, ArtifactKind::Attachment, name, Content::Any));
        }
    }
    if !signed {
        let message = "the package is completed and its documents are not listed yet";
        return Err(api.error(ErrorKind::NotReady, Remedy::Park, message));
    }
    Ok(list)
}

/// The consent is in the list of documents, but whether it can be fetched is not known: asked before, it
/// never stops the rest.
fn has_consent(
    api: &Api,
    path: &str,
    mut list: Vec<ArtifactRef>,
    consent: usize,
) -> Result<Next<Vec<ArtifactRef>>, Error> {
    let path = format!("{path}/documents/{CONSENT}/pdf");
    let request = api.send(Method::GET, &path, BYTES, Bytes::new())?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_disturbed(&response) {
            return Err(api.refused(&response));
        }
        if !(response.status().is_success() && response.body().starts_with(b"%PDF-")) {
            list.remove(consent);
        }
        Ok(Next::Done(list))
    })))
}

pub(super) fn download(
    access: &Access,
    known: &Envelope,
    artifact: &ArtifactRef,
) -> Result<Request<Bytes>, Error> {
    let api = Api::new("onespan download", access)?;
    let path = package_path(&api, &known.id)?;
    let get = |rest: &str, accept| api.send(Method::GET, &format!("{path}{rest}"), accept, Bytes::new());
    let (route, part) = artifact.id.split_once(':').unwrap_or((artifact.id.as_str(), ""));
    match (route, part) {
        (DOCUMENT, _) if known.status != EnvelopeStatus::Completed => {
            let message = "the package is not completed, so its documents would lack their pending fields";
            Err(api.error(ErrorKind::NotReady, Remedy::Park, message))
        }
        (DOCUMENT, id) => get(&format!("/documents/{}/pdf", segment(&api, id)?), BYTES),
        (ATTACHMENT, part) => {
            let (file, id) = part.split_once(':').unwrap_or_default();
            let (file, id) = (safe_id(api.operation, file)?, segment(&api, id)?);
            get(&format!("/attachment/{id}/file/{file}"), BYTES)
        }
        (EVIDENCE, "") => get("/evidence/summary", PDF),
        (AUDIT, "") => get("/audit", PLAIN_JSON),
        (FIELDS, "") => get("/fieldSummary", JSON),
        (RECORD, "") => get("", JSON),
        _ => {
            let message = "no artifact of this platform has such an id; list the artifacts again";
            let error = api.error(ErrorKind::Rejected, Remedy::AskPerson, message);
            Err(error.with("artifact", excerpt(&artifact.id)))
        }
    }
}

/// Right after completion a file may not be there yet: 404, 409 and 422 pass.
pub(super) fn refused_download(response: &Response<Bytes>) -> Error {
    const OPERATION: &str = "download";
    let error = refused(OPERATION, response);
    match own_status(response) {
        Some(422) => {
            let message = "the platform cannot make the file now";
            Error::new(ErrorKind::NotReady, Remedy::Retry(None), OPERATION, message)
                .with("status", 422)
                .caused_by(error)
        }
        _ => error,
    }
}

/// Where a sweep is: in which dialect, at which of its queries, from which row.
#[derive(Clone, Copy)]
struct Cursor {
    dialect: ListDialect,
    query: usize,
    from: u64,
    /// How many rows the query had when its last page was read; 0 before the first.
    count: u64,
}

impl Cursor {
    fn first(dialect: ListDialect) -> Self {
        Self { dialect, query: 0, from: 1, count: 0 }
    }

    /// A cursor is `dialect.query.from.count`.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let dialect = match parts.next()? {
            "s" => ListDialect::Sdk2024,
            "o" => ListDialect::Spec1151,
            _ => return None,
        };
        let (query, from) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let count = parts.next()?.parse().ok()?;
        let fits = query < dialect.queries().len() && (1..=ROWS_MAX).contains(&from);
        (fits && parts.next().is_none()).then_some(Self { dialect, query, from, count })
    }

    fn write(self) -> String {
        format!("{}.{}.{}.{}", self.dialect.letter(), self.query, self.from, self.count)
    }

    fn next_query(self) -> Option<Self> {
        let query = self.query + 1;
        (query < self.dialect.queries().len()).then_some(Self { query, from: 1, count: 0, ..self })
    }
}

/// One page of one query. The list's date filter had a bug that gave wrong rows (PB-103413) and may be
/// spelt otherwise than the instance reads it, so rows are filtered by us too.
pub(super) fn changed_since(access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
    let api = Api::new("onespan list changes", access)?;
    let dialect = ListDialect::of(api.operation, access)?;
    let cursor = match window.cursor.as_deref() {
        None => Some(Cursor::first(dialect)),
        Some(text) => Cursor::read(text),
    };
    let cursor = cursor.ok_or_else(|| {
        api.error(ErrorKind::Rejected, Remedy::Abandon, "the sweep's cursor is none of ours; start again")
    })?;
    list(&api, window, cursor)
}

fn list(api: &Api, window: &Window, cursor: Cursor) -> Result<Call<Page<Envelope>>, Error> {
    let request = api.get(&list_path(window, cursor, api.owner.as_deref()))?;
    let (api, window) = (api.clone(), window.clone());
    Ok(api.clone().then(request, move |response| {
        let at_start = cursor.query == 0 && cursor.from == 1;
        // An instance that refuses one dialect outright is asked in the other, for the whole sweep.
        if own_status(&response) == Some(400) && at_start && cursor.dialect == ListDialect::Sdk2024 {
            return Ok(Next::Then(list(&api, &window, Cursor::first(ListDialect::Spec1151))?));
        }
        let list: PackageList = api.answer(&response)?;
        let rows = u64::try_from(list.results.len()).unwrap_or(u64::MAX);
        let next = next_cursor(&api, cursor, rows, list.count)?;
        let mut items = Vec::new();
        for row in list.results {
            let row: Package = serde_json::from_str(row.get())
                .map_err(|_| api.unintelligible("a row of the list is no package"))?;
            let id = row.id.clone().ok_or_else(|| api.unintelligible("a row of the list has no id"))?;
            if is_wanted(&row, &window) {
                let is_told = status(&row).is_final() && has_all_parts(&row);
                let revision = is_told.then(|| revision(&row));
                items.push(Envelope { revision, ..envelope(EnvelopeId::new(id), row) });
            }
        }
        Ok(Next::Done(Page { items, next: next.map(Cursor::write) }))
    }))
}

/// Newest first: a package that changes while pages are read moves to the front and pushes others back,
/// which repeats rows. In the other order it would pull them forward, which skips some.
fn list_path(window: &Window, cursor: Cursor, owner: Option<&str>) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let until = window.until.checked_add(CLOCKS_DIFFER).unwrap_or(window.until);
    let (start, end) = cursor.dialect.dates();
    let query = match cursor.dialect.queries().get(cursor.query) {
        None | Some(&"") => String::new(),
        Some(query) => format!("query={query}&"),
    };
    let owner = owner.map(|email| format!("ownerEmail={}&", utf8_percent_encode(email, NON_ALPHANUMERIC)));
    let owner = owner.unwrap_or_default();
    let to = cursor.from + PAGE_SIZE - 1;
    format!(
        "packages?{query}{owner}type=PACKAGE&from={}&to={to}&{start}={}&{end}={}&sort=updated&dir=desc",
        cursor.from,
        day(window.since),
        day(until)
    )
}

/// `from` counts from 1 and includes; a page may be shorter than asked for. Where rows have gone since the last page
/// (removed, or in another state now), as many may have slipped over the border unread, so it steps back by that.
fn next_cursor(api: &Api, cursor: Cursor, rows: u64, count: Option<u64>) -> Result<Option<Cursor>, Error> {
    let gone = count.map_or(0, |count| cursor.count.saturating_sub(count));
    let cursor = Cursor { count: count.unwrap_or(0), ..cursor };
    if gone > 0 {
        return Ok(Some(Cursor { from: cursor.from.saturating_sub(gone).max(1), ..cursor }));
    }
    let from = cursor.from.saturating_add(rows);
    let more = rows > 0 && count.map_or(rows >= PAGE_SIZE, |count| from <= count);
    match more {
        false => Ok(cursor.next_query()),
        true if from <= ROWS_MAX => Ok(Some(Cursor { from, ..cursor })),
        true => Err(api.unintelligible("the list of packages has no end: sweep a shorter span")),
    }
}

/// A package, changed in the window or without a date that says otherwise.
fn is_wanted(row: &Package, window: &Window) -> bool {
    let is_package = row.kind.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("PACKAGE"));
    is_package && row.updated.max(row.completed).is_none_or(|changed| changed >= window.since)
}

/// Asks once more what the package is, removes it, and asks whether it is gone: our own removal comes back
/// as `PACKAGE_TRASH` or `PACKAGE_DELETE`, which is no news of a disposed envelope.
pub(super) fn dispose(access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
    let api = Api::new("onespan remove", access)?;
    let mode = DisposeMode::of(api.operation, access)?;
    let path = package_path(&api, proof.envelope_id())?;
    let request = api.get(&path)?;
    let (asked, proven) = (proof.envelope_id().clone(), proof.status());
    let archived = proof.envelope().revision.clone();
    Ok(api.clone().then(request, move |response| {
        if own_status(&response) == Some(404) {
            return Ok(Next::Done(Disposal::AlreadyGone));
        }
        let found = read_package(&api, &asked, &response)?;
        if let Some(reason) = reason_to_keep(&found, proven, mode) {
            return Ok(Next::Done(Disposal::Kept(reason)));
        }
        if archived.is_some_and(|archived| archived != revision(&found)) {
            let message = "the package has other files than when it was archived";
            return Err(api.error(ErrorKind::NotReady, Remedy::Retry(None), message));
        }
        match mode {
            DisposeMode::Trash if found.trashed == Some(true) => Ok(Next::Done(Disposal::AlreadyGone)),
            DisposeMode::Trash => trash(&api, path, Method::PUT),
            DisposeMode::Delete => delete(&api, path),
        }
    }))
}

fn reason_to_keep(found: &Package, proven: EnvelopeStatus, mode: DisposeMode) -> Option<String> {
    let word = excerpt(found.status.as_deref().unwrap_or("without a status"));
    if found.kind.is_none() {
        return Some("the platform does not say that it is a package and no template".to_owned());
    }
    if status(found) != proven {
        return Some(format!("it was {} when it was archived and is {word} now", proven.as_str()));
    }
    (mode == DisposeMode::Delete && proven != EnvelopeStatus::Completed)
        .then(|| format!("only completed packages are deleted for good; this one is {word}"))
}

/// The OpenAPI says `PUT`, the SDKs send `POST`: where there is no such call as the first, there is the second.
fn trash(api: &Api, path: String, method: Method) -> Result<Next<Disposal>, Error> {
    let body = json_body(api.operation, &Trash { trashed: true })?;
    let first = method == Method::PUT;
    let request = api.send(method, &path, JSON, body)?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| match own_status(&response) {
        Some(404 | 405) if first => trash(&api, path, Method::POST),
        _ => removed(&api, path, &response, DisposeMode::Trash),
    })))
}

fn delete(api: &Api, path: String) -> Result<Next<Disposal>, Error> {
    let request = api.send(Method::DELETE, &path, JSON, Bytes::new())?;
    let api = api.clone();
    Ok(Next::Then(
        api.clone().then(request, move |response| removed(&api, path, &response, DisposeMode::Delete)),
    ))
}

/// Reads the answer to a removal, and then the package, which must be gone or in the trash. A 404 to the removal says
/// nothing of that: there may be no such call.
fn removed(
    api: &Api,
    path: String,
    response: &Response<Bytes>,
    mode: DisposeMode,
) -> Result<Next<Disposal>, Error> {
    let refusal = match own_status(response) {
        Some(404 | 405) => Some(api.refused(response)),
        Some(403) => {
            let reason = "this access may not remove the package".to_owned();
            return Ok(Next::Done(Disposal::Kept(reason)));
        }
        _ => {
            api.taken(response)?;
            None
        }
    };
    let request = api.get(&path)?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if own_status(&response) == Some(StatusCode::NOT_FOUND.as_u16()) {
            let gone = if refusal.is_some() { Disposal::AlreadyGone } else { Disposal::Removed };
            return Ok(Next::Done(gone));
        }
        let found: Package = api.answer(&response)?;
        if mode == DisposeMode::Trash && found.trashed == Some(true) {
            return Ok(Next::Done(Disposal::Removed));
        }
        let message = "the platform took the removal and still shows the package";
        Err(refusal.unwrap_or_else(|| api.error(ErrorKind::NotReady, Remedy::Retry(None), message)))
    })))
}
