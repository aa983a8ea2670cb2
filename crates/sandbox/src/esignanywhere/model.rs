//! The JSON shapes of API v6. Property names are in Pascal case; what is absent is `null`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{kind, templates};
use crate::content::Artifact;
use crate::ledger::Outcome;
use crate::sender::ESIGNANYWHERE_ATTEMPTS_MAX;
use crate::world::{Account, Envelope, Signer, SignerState};

/// The status as version 6 spells it.
pub(super) fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::InProgress => "Active",
        Outcome::Completed => "Completed",
        Outcome::Declined => "Rejected",
        Outcome::Cancelled => "Canceled",
        Outcome::Expired => "Expired",
    }
}

/// An instant as the API writes it.
pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
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

pub(super) fn overview(envelope: &Envelope) -> Value {
    let (given, surname) = match &envelope.owner {
        Some(owner) => {
            let (given, surname) = owner.name.split_once(' ').unwrap_or((&owner.name, ""));
            (given.to_owned(), surname.to_owned())
        }
        None => names(&envelope.script.sender),
    };
    json!({
        "Id": envelope.id,
        "EnvelopeStatus": status(envelope.visible_outcome()),
        "Name": envelope.script.name,
        "SentDate": date(envelope.created_at),
        "EnvelopeBulkParentId": envelope.script.bulk_parent,
        "SenderUserInformation": {
            "Email": envelope.script.sender, "GivenName": given, "Surname": surname,
        },
        "Activities": envelope.signers.iter().map(|signer| activity(envelope, signer)).collect::<Vec<_>>(),
    })
}

fn activity(envelope: &Envelope, signer: &Signer) -> Value {
    let (given, surname) = signer.name.split_once(' ').unwrap_or((&signer.name, ""));
    let (state, finished, reason) = match signer.state {
        SignerState::Waiting => ("Pending", None, None),
        SignerState::Signed(at) => ("Completed", Some(date(at)), None),
        SignerState::Declined(at) => ("Rejected", Some(date(at)), Some(&envelope.script.decline_reason)),
    };
    json!({
        "Id": signer.id,
        "Status": state,
        "StatusReason": reason,
        "FinishedDate": finished,
        "OpenedDate": signer.viewed_at.map(date),
        "Action": { "Sign": {
            "ContactInformation": {
                "Email": signer.email, "GivenName": given, "Surname": surname,
                "PhoneNumber": null, "LanguageCode": "en",
            },
            "LongLivedDisposableCertificateWarnings": null,
            "SigningGroup": 1,
        } },
    })
}

pub(super) fn configuration(account: &Account, envelope: &Envelope) -> Value {
    let [callback, status, workstep] = templates::templates(account, &envelope.own_urls);
    json!({
        "MetaData": envelope.script.metadata,
        "AddDocumentTimestamp": false,
        "ShareWithTeam": false,
        "LockFormFieldsOnFinish": false,
        "Activities": [],
        "EmailConfiguration": { "Subject": format!("Please sign {}", envelope.script.name), "Message": "" },
        "ReminderConfiguration": { "Enabled": false },
        "ExpirationConfiguration": { "ExpirationDate": null, "ExpirationInSecondsAfterSending": 2_419_200 },
        "CallbackConfiguration": {
            "CallbackUrl": callback,
            "StatusUpdateCallbackUrl": status,
            "ActivityActionCallbackConfiguration": workstep.map(|url| json!({
                "Url": url,
                "ActionCallbackSelection": {
                    "SignWorkstepDocument": true, "WorkstepFinished": true, "WorkstepRejected": true,
                },
            })),
        },
        "AgreementConfiguration": null,
        "SealingConfiguration": null,
    })
}

/// The finished files; nothing while the end does not show.
pub(super) fn files(envelope: &Envelope) -> Value {
    let shown = matches!(envelope.visible_outcome(), Outcome::Completed | Outcome::Declined);
    let all: &[_] = if shown { &envelope.artifacts } else { &[] };
    let of_kind = |wanted: &'static str| all.iter().filter(move |artifact| artifact.kind == wanted);
    let array = |values: Vec<Value>| {
        if values.is_empty() && envelope.script.null_arrays { Value::Null } else { Value::Array(values) }
    };
    let attachments: Vec<Value> =
        of_kind(kind::ATTACHMENT).map(|a| json!({ "FileId": a.file_id, "FileName": a.name })).collect();
    let audit_trails: Vec<&str> =
        of_kind(kind::DOCUMENT_AUDIT_TRAIL).map(|artifact| artifact.file_id.as_str()).collect();
    let documents = of_kind(kind::DOCUMENT)
        .enumerate()
        .map(|(index, document)| {
            // Attachments hang on the first document.
            let own = if index == 0 { attachments.clone() } else { Vec::new() };
            json!({
                "FileId": document.file_id,
                "FileName": document.name,
                "AuditTrailFileId": audit_trails.get(index),
                "PageCount": 1,
                "DocumentNumber": index + 1,
                "Attachments": array(own),
            })
        })
        .collect();
    let legal = of_kind(kind::LEGAL)
        .zip(envelope.signers.iter().cycle())
        .map(|(file, signer)| {
            json!({
                "FileId": file.file_id, "FileName": file.name,
                "ActivityId": signer.id, "Email": signer.email,
            })
        })
        .collect();
    let first_id = |wanted| of_kind(wanted).next().map(|artifact| artifact.file_id.clone());
    let audit_trail = match (first_id(kind::AUDIT_TRAIL), first_id(kind::AUDIT_TRAIL_XML)) {
        (None, None) if envelope.script.null_arrays => Value::Null,
        (pdf, xml) => json!({ "FileId": pdf, "XmlFileId": xml }),
    };
    json!({ "Documents": array(documents), "AuditTrail": audit_trail, "LegalDocuments": array(legal) })
}

/// The content type of a file.
pub(super) fn content_type(artifact: &Artifact) -> &'static str {
    if artifact.kind == kind::AUDIT_TRAIL_XML { "application/xml" } else { "application/pdf" }
}

pub(super) fn history(envelope: &Envelope) -> Value {
    let deleted = envelope.deleted.as_ref();
    let mut events: Vec<Value> = Vec::new();
    if deleted.is_none() {
        events.extend(envelope.history.iter().map(|event| {
            json!({
                "CreationDate": date(event.at), "Type": event.kind,
                "AffectedRecipient": event.signer.and_then(|s| envelope.signers.get(s)).map(recipient),
                "Completed": true, "CompletedOn": date(event.at), "IsInErrorState": false,
                "NextAttemptOn": null, "Attempt": null, "RemainingAttempts": null,
                "ContextInformation": null, "TraceId": null,
            })
        }));
        if envelope.final_attempts > 0 {
            events.push(callback_event(envelope));
        }
    }
    json!({
        "Events": events,
        "EnvelopeHasBeenDeleted": deleted.is_some(),
        "EnvelopeDeletionDate": deleted.map(|deletion| date(deletion.at)),
    })
}

fn recipient(signer: &Signer) -> Value {
    let (given, surname) = signer.name.split_once(' ').unwrap_or((&signer.name, ""));
    json!({ "Id": signer.id, "Email": signer.email, "GivenName": given, "Surname": surname })
}

/// How the delivery of the envelope callback stands.
fn callback_event(envelope: &Envelope) -> Value {
    let at = envelope.ended_at.unwrap_or(envelope.created_at);
    let remaining = ESIGNANYWHERE_ATTEMPTS_MAX.saturating_sub(envelope.final_attempts);
    json!({
        "CreationDate": date(at), "Type": "EnvelopeCallback", "AffectedRecipient": null,
        "Completed": envelope.announced, "CompletedOn": envelope.announced.then(|| date(at)),
        "IsInErrorState": !envelope.announced && remaining == 0, "NextAttemptOn": null,
        "Attempt": envelope.final_attempts, "RemainingAttempts": remaining,
        "ContextInformation": null, "TraceId": null,
    })
}

/// One line of a search.
pub(super) fn found(envelope: &Envelope) -> Value {
    json!({
        "Status": status(envelope.visible_outcome()),
        "Id": envelope.id,
        "Name": envelope.script.name,
        "MetaData": envelope.script.metadata,
        "EnvelopeBulkParentId": envelope.script.bulk_parent,
        "IsExpiringSoon": false,
    })
}
