//! One document: its status in our words, its people, its files, and what is known of its seal.

use aftersign_core::Error;
use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension, Signer};
use aftersign_core::ids::EnvelopeId;

use super::wire::{Attachment, Document, Party};
use crate::listing::ArtifactList;

/// Prefixes of artifact ids. What follows is the document's id, for a file with `_` and the file's id.
pub(super) const MAIN: &str = "main";
pub(super) const ZIP: &str = "zip";
pub(super) const FILE: &str = "file";
pub(super) const HISTORY: &str = "history";
pub(super) const RECORD: &str = "document";

/// What stands between the marks of an envelope's route.
pub(super) const MARKS: char = ';';
/// The mark of the document's version, which a removal must name.
const VERSION: &str = "version=";
/// The mark of a document that bears a qualified signature.
const QUALIFIED: &str = "qualified";
/// The mark of a document that belongs to a flow, or of which that cannot be told.
const PERHAPS_IN_FLOW: &str = "perhaps-in-flow";
/// How documents that belong to no flow are managed, where the platform tells (seen in an answer of 2024).
const MANAGED_ALONE: &str = "esign";

fn marks(envelope: &Envelope) -> impl Iterator<Item = &str> {
    envelope.route.as_deref().unwrap_or_default().split(MARKS)
}

/// The version of a document that its envelope remembers.
pub(super) fn confirmed_version(envelope: &Envelope) -> Option<u64> {
    marks(envelope).find_map(|mark| mark.strip_prefix(VERSION))?.parse().ok()
}

/// Whether removing a document after the extension of its seal takes nothing from anybody: it is completed, its seal is
/// one that is extended, and as far as it can be told no flow needs it.
pub(super) fn is_done_when_extended(envelope: &Envelope) -> bool {
    envelope.status == EnvelopeStatus::Completed
        && envelope.extension != Extension::NotAwaited
        && marks(envelope).all(|mark| mark != QUALIFIED && mark != PERHAPS_IN_FLOW)
}

/// Remembers that nothing tells the document from those of flows.
pub(super) fn perhaps_in_flow(mut envelope: Envelope) -> Envelope {
    if marks(&envelope).all(|mark| mark != PERHAPS_IN_FLOW) {
        let before = envelope.route.map(|route| format!("{route}{MARKS}")).unwrap_or_default();
        envelope.route = Some(before + PERHAPS_IN_FLOW);
    }
    envelope
}

/// What a removal, now or later, must know of the document.
fn route(document: &Document) -> Option<String> {
    let managed = document.experimental_features.as_ref().and_then(|all| all.process_management.as_deref());
    let is_alone = managed.is_none_or(|managed| managed.trim().eq_ignore_ascii_case(MANAGED_ALONE));
    let marks = [
        document.object_version.map(|version| format!("{VERSION}{version}")),
        is_qualified(document).then(|| QUALIFIED.to_owned()),
        (!is_alone).then(|| PERHAPS_IN_FLOW.to_owned()),
    ];
    let marks: Vec<String> = marks.into_iter().flatten().collect();
    (!marks.is_empty()).then(|| marks.join(&MARKS.to_string()))
}

/// The document as an envelope of its own.
pub(super) fn envelope(id: &str, document: Document, extension: Extension) -> Envelope {
    let status = status(&document);
    let sender = author_email(&document);
    let completed_at = document.parties.iter().filter_map(|party| party.sign_time).max();
    let signers = signers(&document);
    let revision = sealed_file(&document).map(str::to_owned);
    let route = route(&document);
    let tags = document.tags.filter(|tags| tags.get().trim() != "[]");
    Envelope {
        name: document.title,
        sender,
        signers,
        created_at: document.ctime,
        completed_at: completed_at.filter(|_| status == EnvelopeStatus::Completed),
        metadata: tags.map(|tags| tags.get().to_owned()),
        expires_at: document.timeout_time,
        revision,
        extension,
        route,
        ..Envelope::new(EnvelopeId::new(id), status, document.status.unwrap_or_default())
    }
}

/// The documented words, V1's capitals and the prose's second `l`. An unknown one is kept and never final.
pub(super) fn status(document: &Document) -> EnvelopeStatus {
    let touched = |party: &Party| {
        party.sign_time.is_some() || (party.seen_time.is_some() && party.is_author != Some(true))
    };
    match document.status.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
        "preparation" | "awaiting_start" => EnvelopeStatus::Draft,
        "pending" if document.parties.iter().any(touched) => EnvelopeStatus::InProgress,
        "pending" => EnvelopeStatus::Sent,
        "closed" => EnvelopeStatus::Completed,
        "canceled" | "cancelled" => EnvelopeStatus::Cancelled,
        "timedout" | "timed_out" => EnvelopeStatus::Expired,
        "rejected" => EnvelopeStatus::Declined,
        "document_error" | "documenterror" => EnvelopeStatus::Failed,
        _ => EnvelopeStatus::Unknown,
    }
}

/// Those who act in it; viewers do not.
pub(super) fn signers(document: &Document) -> Vec<Signer> {
    document.parties.iter().filter(|party| acts(party)).map(signer).collect()
}

fn acts(party: &Party) -> bool {
    match party.signatory_role.as_deref() {
        Some(role) => role != "viewer",
        None => party.is_signatory != Some(false),
    }
}

fn signer(party: &Party) -> Signer {
    let status = if party.sign_time.is_some() {
        "signed"
    } else if party.rejected_time.is_some() {
        "rejected"
    } else if party.seen_time.is_some() {
        "seen"
    } else {
        "waiting"
    };
    Signer {
        id: party.id.clone(),
        name: party_name(party),
        email: party_email(party),
        status_at_platform: Some(status.to_owned()),
        signed_at: party.sign_time,
    }
}

/// `full_name`, or the parts of `name` in their order.
fn party_name(party: &Party) -> Option<String> {
    if let Some(name) = field(party, "full_name") {
        return Some(name);
    }
    let mut parts: Vec<(u64, &str)> = Vec::new();
    for field in party.fields.iter().filter(|field| field.kind.as_deref() == Some("name")) {
        parts.extend(field.value.as_deref().map(|value| (field.order.unwrap_or(1), value.trim())));
    }
    parts.sort_by_key(|(order, _)| *order);
    let name = parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

fn field(party: &Party, kind: &str) -> Option<String> {
    let found = party.fields.iter().find(|field| field.kind.as_deref() == Some(kind))?;
    found.value.as_deref().map(|value| value.trim().to_owned())
}

/// The party's e-mail address: the field of type `email`.
pub(super) fn party_email(party: &Party) -> Option<String> {
    field(party, "email")
}

/// The number to which a party's invitation by SMS goes.
pub(super) fn party_mobile(party: &Party) -> Option<String> {
    field(party, "mobile")
}

/// Who a party is in notifications: a signer by the platform's id, which stays when the address is corrected and which
/// core looks up among the signers; others, who are not among them, by their address.
pub(super) fn party_in_news(party: &Party) -> Option<String> {
    let (id, email) = (party.id.clone(), party_email(party));
    if acts(party) { id.or(email) } else { email.or(id) }
}

/// The sender: the party with `is_author`.
pub(super) fn author_email(document: &Document) -> Option<String> {
    document.parties.iter().find(|party| party.is_author == Some(true)).and_then(party_email)
}

/// Whether a party signs with a qualified signature: then there are two files, delivered as a ZIP.
pub(super) fn is_qualified(document: &Document) -> bool {
    document.parties.iter().any(|party| {
        let newer = party.authentications.as_ref().and_then(|all| all.sign.as_ref()?.name.as_deref());
        let older = party.authentication_method_to_sign.as_deref();
        [newer, older].into_iter().flatten().any(|name| name.to_ascii_lowercase().ends_with("_qes"))
    })
}

/// Closed without its sealed file: sealing still runs.
pub(super) fn awaits_sealing(document: &Document) -> bool {
    status(document) == EnvelopeStatus::Completed && sealed_file(document).is_none()
}

/// The id of the sealed file.
pub(super) fn sealed_file(document: &Document) -> Option<&str> {
    document.sealed_file.as_ref()?.id.as_deref()
}

/// Adds what is fetched of one final document: the main PDF, the ZIP where a qualified signature makes two
/// files of it, attachments that are not inside the PDF, and the records.
pub(super) fn add_artifacts(list: &mut ArtifactList, id: &str, document: &Document) -> Result<(), Error> {
    let title = document.title.as_deref().unwrap_or("document");
    let stem = match title.to_ascii_lowercase().strip_suffix(".pdf") {
        Some(stem) if !stem.is_empty() => title.get(..stem.len()).unwrap_or(title),
        _ => title,
    };
    let own = || Some(id.to_owned());
    let status = status(document);
    let closed = status == EnvelopeStatus::Completed;
    let has_file = document.file.as_ref().is_some_and(|file| file.id.is_some());
    if closed || (has_file && status != EnvelopeStatus::Failed) {
        list.add(MAIN, own(), ArtifactKind::Document, stem, Content::Pdf)?;
    }
    if closed && is_qualified(document) {
        list.add(ZIP, own(), ArtifactKind::Bundle, stem, Content::Zip { entry_suffix: None })?;
    }
    let attachments = document.parties.iter().flat_map(|party| &party.attachments);
    for attachment in document.author_attachments.iter().chain(attachments) {
        add_attachment(list, id, attachment)?;
    }
    list.add(HISTORY, own(), ArtifactKind::AuditTrail, &format!("{stem} history.json"), Content::Json)?;
    list.add(RECORD, own(), ArtifactKind::PlatformRecord, &format!("{stem} document.json"), Content::Json)
}

fn add_attachment(list: &mut ArtifactList, id: &str, attachment: &Attachment) -> Result<(), Error> {
    if attachment.add_to_sealed_file == Some(true) {
        return Ok(());
    }
    let name = attachment.file_name.as_ref().or(attachment.name.as_ref());
    let name = name.map_or("attachment", String::as_str);
    let file = attachment.file_id.as_ref().map(|file| format!("{id}_{file}"));
    list.add(FILE, file, ArtifactKind::Attachment, name, Content::Any)
}

/// Adds Flow's own record.
pub(super) fn add_instance(artifacts: &mut Vec<ArtifactRef>, id: &str) {
    artifacts.push(ArtifactRef {
        id: id.to_owned(),
        kind: ArtifactKind::PlatformRecord,
        name: "flow.json".to_owned(),
        content: Content::Json,
    });
}
