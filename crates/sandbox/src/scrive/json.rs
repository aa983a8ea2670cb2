//! What the document API says of a document: the Document JSON, its history, and the user who sent it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::number;
use super::paper::{Attachment, Paper};
use crate::ledger::Outcome;
use crate::rng::Rng;
use crate::script::Trouble;
use crate::world::{Account, Envelope, HistoryEvent, Signer, SignerState, World};

const DAYS_TO_SIGN: i64 = 90;

/// The id of the user who sent it: if nobody in particular, the one whose credential the account has.
pub(super) fn user_id(world: &World, account: &Account, envelope: &Envelope) -> String {
    if let Some(owner) = &envelope.owner {
        return owner.user.clone();
    }
    number(&mut Rng::keyed(world.seed, &format!("{}/user", account.spec.id)))
}

/// The id of the folder in which everything of an account lies.
pub(super) fn folder_id(world: &World, account: &Account) -> String {
    number(&mut Rng::keyed(world.seed, &format!("{}/folder", account.spec.id)))
}

/// The Document JSON as the author sees it.
pub(super) fn document(world: &World, account: &Account, paper: &Paper<'_>) -> Value {
    let envelope = paper.envelope;
    let stamp = paper.stamp();
    let timeout = envelope.created_at.saturating_add(SignedDuration::from_hours(24 * DAYS_TO_SIGN)).ok();
    let sealed = paper.sealed_file().map(|file| json!({ "id": file.file_id, "name": file.name }));
    let attachments = paper.attachments();
    let callback_url = Some(&account.spec.callback_url).filter(|url| !url.is_empty() && !paper.is_of_flow());
    json!({
        "id": paper.id,
        "title": paper.title(),
        "parties": parties(world, account, paper, &attachments),
        "file": { "id": paper.file_id("original"), "name": paper.main().name },
        "sealed_file": sealed,
        "author_attachments": attachments.iter().filter(|a| a.signer.is_none()).map(|attachment| json!({
            "name": attachment.name, "required": false,
            "add_to_sealed_file": attachment.add_to_sealed_file, "file_id": attachment.file_id,
        })).collect::<Vec<_>>(),
        "ctime": micros(envelope.created_at),
        "mtime": stamp.mtime,
        "timeout_time": timeout.map(micros),
        "auto_remind_time": null,
        "status": paper.status(),
        "days_to_sign": DAYS_TO_SIGN,
        "days_to_remind": null,
        "display_options": {
            "show_header": true, "show_pdf_download": true, "show_reject_option": true,
            "allow_reject_reason": true, "show_footer": true, "document_is_receipt": false,
            "show_arrow": true,
        },
        "invitation_message": "",
        "confirmation_message": "",
        "lang": "en",
        "api_callback_url": callback_url,
        "object_version": stamp.object_version,
        "access_token": Rng::keyed(envelope.seed, &format!("access/{}", paper.id)).hex(16),
        "timezone": "Europe/Berlin",
        "tags": tags(&envelope.script.metadata),
        "is_template": false,
        "is_saved": true,
        "is_shared": false,
        "is_trashed": envelope.scrive.trashed,
        "is_deleted": envelope.deleted.is_some(),
        "viewer": { "role": "signatory", "signatory_id": author_party_id(paper) },
        "folder_id": folder_id(world, account),
        "template_id": null,
        "experimental_features": {
            "pades_evidence_file_type": "bundled", "process_management": "esign",
        },
    })
}

/// Times have six digits at most.
fn micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// The pairs of an object; of any other text one pair.
pub(super) fn tags(metadata: &str) -> Vec<Value> {
    let tag = |name: &str, value: &Value| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        json!({ "name": name, "value": value })
    };
    match serde_json::from_str(metadata) {
        Ok(Value::Object(members)) => members.iter().map(|(name, value)| tag(name, value)).collect(),
        _ if metadata.is_empty() => Vec::new(),
        _ => vec![json!({ "name": "reference", "value": metadata })],
    }
}

fn author_party_id(paper: &Paper<'_>) -> String {
    number(&mut Rng::keyed(paper.envelope.seed, &format!("author/{}", paper.id)))
}

/// The author, who only looks on, and the signers.
fn parties(
    world: &World,
    account: &Account,
    paper: &Paper<'_>,
    attachments: &[Attachment<'_>],
) -> Vec<Value> {
    let envelope = paper.envelope;
    let author = party(&Party {
        id: author_party_id(paper),
        user_id: Some(user_id(world, account, envelope)),
        name: envelope.owner.as_ref().map_or("Anna Sender", |owner| &owner.name),
        email: &envelope.script.sender,
        role: "viewer",
        sign_method: "standard",
        order: 1,
        signer: None,
        reason: None,
        attachments: Vec::new(),
        sign_url: None,
    });
    let signer = |(index, signer): (usize, &Signer)| {
        let own = attachments.iter().filter(|attachment| attachment.signer == Some(index));
        let own = own.map(|attachment| {
            let has = paper.has(attachment);
            json!({
                "name": attachment.name, "description": "", "required": true,
                "file_id": has.then_some(&attachment.file_id), "file_name": has.then_some(attachment.name),
                "add_to_sealed_file": attachment.add_to_sealed_file,
            })
        });
        let mut rng = Rng::keyed(envelope.seed, &format!("party/{}/{index}", paper.id));
        let id = if paper.is_of_flow() { number(&mut rng) } else { signer.id.clone() };
        let link = format!("/s/{}/{id}/{}", paper.id, rng.hex(16));
        // Only who is invited by e-mail can have an invitation that bounces.
        let by_api =
            rng.chance(0.5) && envelope.script.signers.get(index).is_none_or(|s| s.trouble.is_none());
        party(&Party {
            user_id: None,
            name: &signer.name,
            email: &signer.email,
            role: "signing_party",
            sign_method: if paper.is_qualified() { "verimi_qes" } else { "standard" },
            order: index + 1,
            signer: Some(signer),
            reason: Some(&envelope.script.decline_reason),
            attachments: own.collect(),
            sign_url: by_api.then_some(link),
            id,
        })
    };
    std::iter::once(author).chain(envelope.signers.iter().enumerate().map(signer)).collect()
}

struct Party<'a> {
    id: String,
    user_id: Option<String>,
    name: &'a str,
    email: &'a str,
    role: &'static str,
    sign_method: &'static str,
    order: usize,
    signer: Option<&'a Signer>,
    reason: Option<&'a str>,
    attachments: Vec<Value>,
    /// Present if the author's own software delivers the document.
    sign_url: Option<String>,
}

fn party(party: &Party<'_>) -> Value {
    let (given, family) = party.name.split_once(' ').unwrap_or((party.name, ""));
    let state = party.signer.map_or(SignerState::Waiting, |signer| signer.state);
    let (signed, rejected) = match state {
        SignerState::Waiting => (None, None),
        SignerState::Signed(at) => (Some(micros(at)), None),
        SignerState::Declined(at) => (None, Some(micros(at))),
    };
    let has_bounced = party.signer.is_some_and(|signer| signer.trouble == Some(Trouble::EmailBounce));
    let seen = party.signer.and_then(|signer| signer.viewed_at).map(micros);
    json!({
        "id": party.id,
        "user_id": party.user_id,
        "is_author": party.signer.is_none(),
        "is_signatory": party.signer.is_some(),
        "signatory_role": party.role,
        "fields": [
            { "type": "name", "order": 1, "value": given, "is_obligatory": true },
            { "type": "name", "order": 2, "value": family, "is_obligatory": true },
            { "type": "email", "value": party.email, "is_obligatory": true },
            { "type": "mobile", "value": "", "is_obligatory": false },
        ],
        "consent_module": null,
        "sign_order": party.order,
        "sign_time": signed,
        "seen_time": seen,
        "read_invitation_time": seen,
        "rejected_time": rejected,
        "rejection_reason": rejected.and(party.reason),
        "sign_success_redirect_url": null,
        "rejection_redirect_url": null,
        "email_delivery_status": if has_bounced { "not_delivered" } else { "delivered" },
        "mobile_delivery_status": "unknown",
        "confirmation_email_delivery_status": "unknown",
        "delivery_method": if party.sign_url.is_some() { "api" } else { "email" },
        "authentications": {
            "view": { "name": "standard" },
            "sign": { "name": party.sign_method },
            "view_archived": { "name": "standard" },
        },
        "authentication_method_to_sign": party.sign_method,
        "attachments": party.attachments,
        "api_delivery_url": party.sign_url,
    })
}

/// The readable audit trail, the newest first.
pub(super) fn history(paper: &Paper<'_>) -> Value {
    let author = &paper.envelope.script.sender;
    // An end that does not show is not history yet.
    let hides_end = paper.outcome() == Outcome::InProgress && paper.envelope.outcome != Outcome::InProgress;
    let mut events: Vec<Value> = Vec::new();
    for event in &paper.envelope.history {
        let party = event.signer.and_then(|signer| paper.envelope.signers.get(signer));
        let line = |status: &str, text: &str| {
            json!({
                "status": status, "time": micros(event.at),
                "party": party.map_or(author, |signer| &signer.email), "text": text,
            })
        };
        let is_end = event.signer.is_none() && event.kind != "EnvelopeSent";
        if is_end && hides_end {
            continue;
        }
        events.extend(lines(event).iter().map(|(status, text)| line(status, text)));
    }
    events.reverse();
    json!({ "events": events })
}

/// What Scrive says of an event, the oldest first.
fn lines(event: &HistoryEvent) -> &'static [(&'static str, &'static str)] {
    match event.kind {
        "EnvelopeSent" => &[
            ("initiated", "The document was initiated."),
            ("sent", "An invitation to sign the document was sent."),
        ],
        "DeliveryProblem" => &[("deliveryproblem", "The invitation could not be delivered.")],
        "Delivered" => &[("delivered", "The invitation was delivered.")],
        "WorkstepOpened" => &[("opened", "The document was opened.")],
        "WorkstepFinished" => &[("signed", "The document was signed.")],
        "WorkstepRejected" => &[("rejected", "The document was rejected.")],
        "EnvelopeCanceled" => &[("cancelled", "The document was cancelled.")],
        "EnvelopeExpired" => &[("timeouted", "The time to sign the document ran out.")],
        "DocumentSealed" => &[("sealed", "The document was sealed.")],
        "DocumentExtended" => &[("extended", "The seal of the document was extended.")],
        _ => &[],
    }
}
