//! The JSON of a package, as far as an archiving client reads it, and of who sends it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    CONSENT, OWNER, Template, attachment_file_id, attachment_id, document_id, metadata, role_id, sender_id,
};
use crate::ledger::Outcome;
use crate::rng::Rng;
use crate::script::Trouble;
use crate::world::{Envelope, SignerState, World};

/// Whole seconds in UTC, as the API writes dates.
pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether the API shows the package as completed.
pub(super) fn is_complete(envelope: &Envelope) -> bool {
    envelope.visible_outcome() == Outcome::Completed
}

/// The first signer uploads them when signing.
pub(super) fn has_attachments(envelope: &Envelope) -> bool {
    let uploaded = matches!(state_of(envelope, 0), SignerState::Signed(_));
    uploaded && !envelope.script.attachments.is_empty()
}

/// The status of a package; the trash is a flag beside it.
pub(super) fn status(envelope: &Envelope) -> &'static str {
    match envelope.visible_outcome() {
        Outcome::InProgress if !envelope.package.active => "DRAFT",
        // Moved to the trash by the sender: what it was before stays.
        Outcome::InProgress | Outcome::Cancelled => "SENT",
        Outcome::Completed if envelope.package.archived => "ARCHIVED",
        Outcome::Completed => "COMPLETED",
        Outcome::Declined if envelope.script.opts_out => "OPTED_OUT",
        Outcome::Declined => "DECLINED",
        Outcome::Expired => "EXPIRED",
    }
}

/// The status as the signing process counts it.
pub(super) fn signing_status(envelope: &Envelope) -> &'static str {
    match status(envelope) {
        "SENT" if all_signed(envelope) => "SIGNING_COMPLETED",
        "SENT" => "SIGNING_PENDING",
        other => other,
    }
}

/// Whether nobody is left to sign, as the API shows it.
pub(super) fn all_signed(envelope: &Envelope) -> bool {
    (0..envelope.signers.len()).all(|index| matches!(state_of(envelope, index), SignerState::Signed(_)))
}

/// A signer's state: while the end does not show yet, neither does the signature that brought it.
fn state_of(envelope: &Envelope, index: usize) -> SignerState {
    let hidden = envelope.outcome != envelope.visible_outcome() && index + 1 == envelope.signers.len();
    match envelope.signers.get(index) {
        Some(signer) if !hidden => signer.state,
        _ => SignerState::Waiting,
    }
}

pub(super) fn package(world: &World, envelope: &Envelope) -> Value {
    let script = &envelope.script;
    let account = &envelope.account_id;
    let completed = envelope.ended_at.filter(|_| is_complete(envelope));
    json!({
        "id": envelope.id,
        "name": script.name,
        "type": "PACKAGE",
        "status": status(envelope),
        "trashed": envelope.package.trashed,
        "autocomplete": script.autocomplete,
        "created": date(envelope.created_at),
        "updated": date(envelope.package.updated),
        "completed": completed.map(date),
        "due": due(world, envelope).map(date),
        "description": "",
        "emailMessage": "",
        "language": "en",
        "timezoneId": "GMT",
        "visibility": "ACCOUNT",
        "consent": null,
        "notarized": false,
        "notaryRoleId": null,
        "data": metadata(&script.metadata),
        "sender": sender(world, account, &script.sender),
        "documents": documents(envelope),
        "roles": roles(world, envelope),
        "messages": messages(envelope),
        "settings": null,
        "limits": null,
        "signedDocumentDelivery": null,
        "bulkSendable": false,
    })
}

/// When time runs out; only packages that expire have a date.
pub(super) fn due(world: &World, envelope: &Envelope) -> Option<Timestamp> {
    if envelope.script.outcome != Outcome::Expired && envelope.outcome != Outcome::Expired {
        return None;
    }
    let life = SignedDuration::try_from(world.pace.minutes(envelope.script.life_minutes)).ok()?;
    envelope.ended_at.or_else(|| envelope.created_at.checked_add(life).ok())
}

pub(super) fn template(world: &World, template: &Template) -> Value {
    json!({
        "id": template.id,
        "name": template.name,
        "type": "TEMPLATE",
        "status": if template.archived { "ARCHIVED" } else { "DRAFT" },
        "trashed": template.trashed,
        "autocomplete": true,
        "created": date(template.created),
        "updated": date(template.created),
        "completed": null,
        "due": null,
        "visibility": "ACCOUNT",
        "data": {},
        "sender": sender(world, &template.account_id, OWNER),
        "documents": [],
        "roles": [],
        "messages": [],
    })
}

/// `Anna` and `Sender` of `anna.sender@…`.
fn names(email: &str) -> (String, String) {
    let local = email.split('@').next().unwrap_or_default();
    let mut parts = local.split('.').map(|part| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// A sender of the account.
pub(super) fn sender(world: &World, account: &str, email: &str) -> Value {
    let (first, last) = names(email);
    let owns = email.eq_ignore_ascii_case(OWNER);
    json!({
        "id": sender_id(world, account, email),
        "email": email,
        "name": format!("{first} {last}").trim(),
        "firstName": first,
        "lastName": last,
        "company": "Example Ltd",
        "title": "",
        "phone": "",
        "language": "en",
        "type": if owns { "MANAGER" } else { "REGULAR" },
        "status": "ACTIVE",
        "account": { "id": account_id(world, account), "name": account },
    })
}

/// The platform's own id of the account.
pub(super) fn account_id(world: &World, account: &str) -> String {
    Rng::keyed(world.seed, &format!("{account}/account_id")).hex(12)
}

/// The consent document and those that are signed.
fn documents(envelope: &Envelope) -> Vec<Value> {
    let consent = document(envelope, CONSENT, "Electronic Disclosures and Signatures Consent", 0);
    let named = envelope.script.documents.iter().enumerate();
    let others =
        named.map(|(index, file)| document(envelope, &document_id(envelope, index), &file.name, index + 1));
    std::iter::once(consent).chain(others).collect()
}

/// What the package says of one document.
pub(super) fn document(envelope: &Envelope, id: &str, name: &str, index: usize) -> Value {
    let approval = |(position, signer): (usize, &crate::world::Signer)| {
        let signed = match state_of(envelope, position) {
            SignerState::Signed(at) => Some(date(at)),
            // The consent is accepted before anything is seen.
            _ if id == CONSENT => signer.viewed_at.map(date),
            _ => None,
        };
        json!({
            "id": Rng::keyed(envelope.seed, &format!("approval/{id}/{}", signer.id)).hex(24),
            "role": role_id(envelope, &signer.id), "signed": signed, "accepted": signed, "optional": false,
            "fields": [],
        })
    };
    let bytes = envelope.script.documents.get(index.wrapping_sub(1)).map(|file| file.bytes);
    json!({
        "id": id,
        "name": name,
        "index": index,
        "size": bytes.unwrap_or(0),
        "description": "",
        "status": "",
        "signedHash": null,
        "data": null,
        "external": null,
        "extract": false,
        "approvals": envelope.signers.iter().enumerate().map(approval).collect::<Vec<_>>(),
        "fields": [],
        "pages": [{ "index": 0, "width": 595, "height": 842 }],
    })
}

/// The sender's role and one for every signer.
fn roles(world: &World, envelope: &Envelope) -> Vec<Value> {
    let email = &envelope.script.sender;
    let own = sender_id(world, &envelope.account_id, email);
    let (first, last) = names(email);
    let mut roles = vec![json!({
        "id": own, "name": "Owner", "index": 0, "type": "SENDER", "reassign": false, "locked": false,
        "specialTypes": [], "attachmentRequirements": [],
        "signers": [{
            "id": own, "email": email, "firstName": first, "lastName": last, "company": "Example Ltd",
        }],
    })];
    for (index, signer) in envelope.signers.iter().enumerate() {
        let (first, last) = signer.name.split_once(' ').unwrap_or((&signer.name, ""));
        let id = role_id(envelope, &signer.id);
        roles.push(json!({
            "id": id, "name": format!("Signer {}", index + 1), "index": index + 1, "type": "SIGNER",
            "reassign": true, "locked": signer.trouble == Some(Trouble::Locked), "specialTypes": [],
            "attachmentRequirements": requirements(envelope, index),
            "signers": [{
                "id": signer.id, "email": signer.email, "firstName": first, "lastName": last, "company": "",
                "phone": "", "language": "en", "signerType": "EXTERNAL_SIGNER",
                "auth": { "scheme": "NONE", "challenges": [] },
                "delivery": { "email": true, "provider": false, "download": true },
            }],
        }));
    }
    roles
}

/// What the first signer has to upload.
fn requirements(envelope: &Envelope, signer: usize) -> Vec<Value> {
    if signer != 0 {
        return Vec::new();
    }
    let SignerState::Signed(at) = state_of(envelope, 0) else {
        return requirements_with(envelope, "INCOMPLETE", None);
    };
    requirements_with(envelope, "COMPLETE", Some(at))
}

fn requirements_with(envelope: &Envelope, status: &str, uploaded: Option<Timestamp>) -> Vec<Value> {
    let one = |(index, file): (usize, &crate::script::FileScript)| {
        let files: Vec<Value> = uploaded
            .map(|at| {
                json!({
                    "id": attachment_file_id(envelope, index), "name": file.name, "insertDate": date(at),
                    "preview": false,
                })
            })
            .into_iter()
            .collect();
        json!({
            "id": attachment_id(envelope, index), "name": format!("Attachment {}", index + 1),
            "description": "", "required": true, "status": status, "comment": "", "files": files,
        })
    };
    envelope.script.attachments.iter().enumerate().map(one).collect()
}

/// What a signer said when declining.
fn messages(envelope: &Envelope) -> Vec<Value> {
    let refusing = envelope.signers.iter().find_map(|signer| match signer.state {
        SignerState::Declined(at) if envelope.visible_outcome() == Outcome::Declined => Some((signer, at)),
        _ => None,
    });
    let Some((signer, at)) = refusing else { return Vec::new() };
    vec![json!({
        "status": if envelope.script.opts_out { "OPT_OUT" } else { "DECLINE" },
        "content": envelope.script.decline_reason,
        "created": date(at),
        "from": { "id": signer.id, "email": signer.email },
        "to": [],
        "documents": [],
    })]
}
