//! Flow: what its callbacks mean, and what an instance is.
//!
//! One event per request, flat JSON, never signed. The vendor promises that types, fields and enum variants
//! may still be added; its own samples have impossible times and a trailing comma. `completed` is sent once
//! per document, before the documents are sealed: it never means that the files are ready.

use aftersign_core::callback::{
    IdempotencyKey, Inbound, Interpretation, Meaning, NotificationKind, RepeatMeans,
};
use aftersign_core::envelope::{EnvelopeStatus, Signer};
use aftersign_core::ids::EnvelopeId;
use serde_json::{Map, Value};

use super::callback::{news, quarantined};
use super::wire::{FlowUser, Instance, id_text};
use super::{flow_id, is_document_id, times};
use crate::exchange::{Body, excerpt};

/// The one version of the payload there is.
const VERSION: u64 = 1;
/// Documents of one flow: beyond this an answer is taken for broken, for each costs several calls.
pub(super) const DOCUMENTS_MAX: usize = 200;
/// Participants of one flow that are read: more than any has.
const PARTICIPANTS_MAX: usize = 200;

/// What the callback means. The repair of trailing commas serves this reading only; the record keeps the
/// bytes as they came.
pub(super) fn interpret(inbound: &Inbound, body: &[u8]) -> Interpretation {
    let Body::Json(Value::Object(event)) = Body::of(body) else {
        return quarantined(inbound, None, "the body begins like JSON and cannot be read".to_owned());
    };
    let text = |name: &str| event.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let word = text("type").map(excerpt);
    let Some(instance) = event.get("flow_instance_id") else {
        let reason = "the JSON names no flow instance; documents are announced by a form";
        return quarantined(inbound, word, reason.to_owned());
    };
    let Some(id) = instance.as_str().and_then(flow_id) else {
        let reason = format!("`{}` is not a flow instance id (a UUID)", excerpt(&instance.to_string()));
        return quarantined(inbound, word, reason);
    };
    if let Some(version) = event.get("version").filter(|version| !is_known_version(version)) {
        let reason = format!("version {} of Flow's callbacks is not known", excerpt(&version.to_string()));
        return quarantined(inbound, word, reason);
    }
    let Some(word) = word else {
        return quarantined(inbound, None, "the event names no type".to_owned());
    };
    event_of(&id, &word, &event)
}

/// Absent before Flow was released.
fn is_known_version(version: &Value) -> bool {
    match version {
        Value::Number(number) => number.as_u64() == Some(VERSION) || number.as_f64() == Some(1.0),
        Value::String(text) => text.trim() == "1",
        Value::Null => true,
        _ => false,
    }
}

/// An event of a known version about a known kind of id. A retry has the same content with its members in
/// another order, so the key is over the sorted members.
fn event_of(id: &str, word: &str, event: &Map<String, Value>) -> Interpretation {
    let raw_time = event.get("event_created").and_then(Value::as_str);
    let occurred_at = raw_time.and_then(times::parse);
    let kind = kind_of(word, event);
    let mut told = news(id, kind, word);
    told.occurred_at = occurred_at;
    // The process description's name of the participant; not a person's. `user` is an older spelling.
    let signer = event.get("user_name").or_else(|| event.get("user")).and_then(Value::as_str);
    told.signer = signer.map(excerpt);
    told.detail = detail(event, raw_time.filter(|_| occurred_at.is_none()));
    let canonical = sorted(event);
    // Two events without a time look like one.
    let repeat_means = if raw_time.is_some() { RepeatMeans::Nothing } else { RepeatMeans::PerhapsNews };
    Interpretation {
        key: IdempotencyKey::new(occurred_at, &[b"flow", id.as_bytes(), canonical.as_bytes()]),
        repeat_means,
        kind: Some(word.to_owned()),
        envelope: Some(EnvelopeId::new(id)),
        meaning: Meaning::Understood(vec![told]),
    }
}

fn sorted(event: &Map<String, Value>) -> String {
    let mut members: Vec<(&String, &Value)> = event.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    members.into_iter().map(|(name, value)| format!("{}:{value},", Value::from(name.as_str()))).collect()
}

/// What a person should read: the participant's message, the document it is about, the authentication, and a
/// time that is none.
fn detail(event: &Map<String, Value>, bad_time: Option<&str>) -> Option<String> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let mut parts = Vec::new();
    parts.extend(text("message").map(str::to_owned));
    parts.extend(text("document_name").map(|name| format!("document {name}")));
    parts.extend(text("provider").map(|provider| format!("authentication by {provider}")));
    parts.extend(text("result").map(|result| format!("result {result}")));
    parts.extend(text("callback_name").map(|name| format!("callback {name}")));
    parts.extend(bad_time.map(|time| format!("event_created is no time: {time}")));
    (!parts.is_empty()).then(|| excerpt(&parts.join("; ")))
}

/// The eight types of the vendor's article and the names of its drafts. Who was let in has it before them.
fn kind_of(word: &str, event: &Map<String, Value>) -> NotificationKind {
    let result = event.get("result").and_then(Value::as_str);
    let is_success = result.is_some_and(|result| result.trim().eq_ignore_ascii_case("success"));
    match word.to_ascii_lowercase().as_str() {
        "completed" | "finished" => NotificationKind::Finished,
        "failed" => NotificationKind::Failed,
        "cancelled" | "canceled" => NotificationKind::Cancelled,
        "flow_rejected" | "rejection" => NotificationKind::Declined,
        "timed_out" => NotificationKind::Expired,
        // After a failure the participant may try again; what became of it is in the detail.
        "authentication_attempted" | "authentication_attempt" if is_success => NotificationKind::Opened,
        "authentication_attempted" | "authentication_attempt" => NotificationKind::Informed,
        "authentication_max_failures_exceeded" => NotificationKind::SignerLocked,
        "custom" => NotificationKind::Informed,
        _ => NotificationKind::Unknown,
    }
}

/// The ids of an instance's documents, in the order of their names. `Err` if one is no document id.
pub(super) fn document_ids(instance: &Instance) -> Result<Vec<String>, &'static str> {
    let parameters = [&instance.process_parameters, &instance.template_parameters];
    let named = parameters.into_iter().flatten().find_map(|parameters| parameters.documents.as_ref());
    let mut ids = Vec::new();
    for value in named.into_iter().flat_map(|documents| documents.values()) {
        let id = id_text(value).filter(|id| is_document_id(id));
        let id = id.ok_or("the flow instance names a document by something that is no id")?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.len() > DOCUMENTS_MAX {
        return Err("the flow instance's list of documents has no end");
    }
    Ok(ids)
}

/// Those who take part and have an address. Callbacks name them by their names in the process description.
pub(super) fn participants(instance: &Instance) -> Vec<Signer> {
    let parameters = [&instance.process_parameters, &instance.template_parameters];
    let named = parameters.into_iter().flatten().find_map(|parameters| parameters.users.as_ref());
    let signer = |(name, user): (&String, &Value)| {
        let user: FlowUser = serde_json::from_value(user.clone()).ok()?;
        let email = Some(user.id.trim().to_owned()).filter(|_| user.id_type == "email");
        Some(Signer { id: Some(excerpt(name)), email: Some(email?), ..Signer::default() })
    };
    named.into_iter().flatten().take(PARTICIPANTS_MAX).filter_map(signer).collect()
}

/// What an instance's word and the statuses of its documents together mean. Flow 0.11.0 knows three words
/// and calls rejected and cancelled instances `failed`; what later ones say is not published, so an unknown
/// word is final only if every document is.
pub(super) fn status(word: &str, documents: &[EnvelopeStatus]) -> EnvelopeStatus {
    match word.to_ascii_lowercase().as_str() {
        "completed" => EnvelopeStatus::Completed,
        "in_progress" => EnvelopeStatus::InProgress,
        "cancelled" | "canceled" => EnvelopeStatus::Cancelled,
        "rejected" | "flow_rejected" => EnvelopeStatus::Declined,
        "timed_out" | "timedout" => EnvelopeStatus::Expired,
        "failed" => worst(documents).unwrap_or(EnvelopeStatus::Failed),
        _ if documents.is_empty() => EnvelopeStatus::Unknown,
        _ if !documents.iter().all(|status| status.is_final()) => EnvelopeStatus::InProgress,
        _ => worst(documents).unwrap_or(EnvelopeStatus::Completed),
    }
}

/// Why the flow ended early, if a document tells. The rejection of one cancels the others, so it comes first.
fn worst(documents: &[EnvelopeStatus]) -> Option<EnvelopeStatus> {
    let order = [
        EnvelopeStatus::Declined,
        EnvelopeStatus::Expired,
        EnvelopeStatus::Cancelled,
        EnvelopeStatus::Failed,
    ];
    order.into_iter().find(|status| documents.contains(status))
}

/// Whether more than the word is to be known of the instance: it may have ended.
pub(super) fn needs_documents(word: &str) -> bool {
    status(word, &[]) != EnvelopeStatus::InProgress
}

/// Whether the word alone leaves open how the instance ended, or whether it has.
pub(super) fn leaves_open(word: &str) -> bool {
    matches!(status(word, &[]), EnvelopeStatus::Failed | EnvelopeStatus::Unknown)
}
