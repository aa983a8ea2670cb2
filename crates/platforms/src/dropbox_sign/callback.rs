//! Callbacks of Dropbox Sign: is it theirs, and what does it say?
//!
//! Verification reads as little as it can, from a tolerant parse: the official strict models refuse the
//! vendor's own examples, and a type unknown to us must still verify, be kept and be answered.
//! `event_hash` proves that somebody with the key announced this type at this second; it says nothing about
//! the body and is equal for two envelopes of the same second, so it is never part of an idempotency key.

use std::borrow::Cow;

use aftersign_core::Timestamp;
use aftersign_core::callback::{
    CallbackSecrets, IdempotencyKey, Inbound, Interpretation, Meaning, Notification, NotificationKind,
    Refusal, RepeatMeans,
};
use aftersign_core::digest::decode_hex;
use aftersign_core::ids::EnvelopeId;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::value::RawValue;

use super::wire::{Callback, Event, EventMetadata, OtherSubject, Signature, SignatureRequest};
use crate::exchange::{excerpt, flaw, without_mark, word};
use crate::{form, multipart};

/// The form field that holds the JSON (OpenAPI description of callbacks).
const FIELD: &str = "json";
/// Base64 of a SHA-256 over the body; may be absent on old senders.
const CONTENT_SHA256: &str = "content-sha256";

/// Refuses what the account's keys do not vouch for.
pub(super) fn authenticate(inbound: &Inbound, secrets: &CallbackSecrets) -> Result<(), Refusal> {
    // A browser or a monitor that was given the URL: nothing was sent, so there is nothing to keep.
    if inbound.method == Method::GET && inbound.body.trim_ascii().is_empty() {
        return Err(Refusal::Unsigned);
    }
    // An empty key would be one that everybody knows.
    let keys: Vec<hmac::Key> = secrets
        .keys
        .iter()
        .filter(|key| !key.is_empty())
        .map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()))
        .collect();
    let text = json_text(inbound);
    let event = text.as_deref().ok().and_then(signed_fields);
    if keys.is_empty() {
        // While an account is being set up, the vendor's test button must find an answer.
        let is_test = matches!(&event, Some(Ok(fields)) if is_test(&fields.kind));
        return if is_test { Ok(()) } else { Err(Refusal::Unsigned) };
    }
    match event {
        Some(Ok(fields)) => fields.verify(&keys)?,
        Some(Err(refusal)) => return Err(refusal),
        // Nothing to check it by: it will be quarantined, never acted on.
        None => {}
    }
    match text {
        Ok(text) => verify_content(inbound, &text, &keys),
        Err(_) => Ok(()),
    }
}

/// What `event_hash` is about.
struct SignedFields {
    time: String,
    kind: String,
    hash: String,
}

impl SignedFields {
    /// `event_hash` = hex of HMAC-SHA256 under the key's text over time and type, without separator
    /// (the helpers of all official SDKs).
    fn verify(&self, keys: &[hmac::Key]) -> Result<(), Refusal> {
        let claimed = decode_hex(&self.hash).ok_or(Refusal::Forged)?;
        let message = format!("{}{}", self.time, self.kind);
        match keys.iter().any(|key| hmac::verify(key, message.as_bytes(), &claimed).is_ok()) {
            true => Ok(()),
            false => Err(Refusal::Forged),
        }
    }
}

/// The signed fields; `None` if the text has no event at all, `Unsigned` if it has one that bears no hash.
fn signed_fields(text: &[u8]) -> Option<Result<SignedFields, Refusal>> {
    let callback = parse(text).ok()?;
    let fields = |event: &Event<'_>| {
        let time = event.event_time.and_then(time_text)?;
        let kind = event.event_type.and_then(plain_text)?;
        let hash = event.event_hash.and_then(plain_text)?;
        Some(SignedFields { time, kind, hash })
    };
    let event = read_object::<Event<'_>>(callback.event?);
    Some(event.as_ref().and_then(fields).ok_or(Refusal::Unsigned))
}

/// Checks every `Content-Sha256` there is. The published example is base64 of hexadecimal text; some read the
/// documentation as base64 of the 32 bytes: both are taken.
fn verify_content(inbound: &Inbound, text: &[u8], keys: &[hmac::Key]) -> Result<(), Refusal> {
    for value in inbound.headers.get_all(CONTENT_SHA256) {
        let claimed = claimed_digest(value.as_bytes().trim_ascii()).ok_or(Refusal::Altered)?;
        if !keys.iter().any(|key| hmac::verify(key, text, &claimed).is_ok()) {
            return Err(Refusal::Altered);
        }
    }
    Ok(())
}

fn claimed_digest(value: &[u8]) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(value).or_else(|_| STANDARD_NO_PAD.decode(value)).ok()?;
    match decoded.len() {
        32 => Some(decoded),
        64 => decode_hex(std::str::from_utf8(&decoded).ok()?),
        _ => None,
    }
}

/// The exact JSON text, wherever the content type says that it is.
fn json_text(inbound: &Inbound) -> Result<Cow<'_, [u8]>, &'static str> {
    if inbound.body.trim_ascii().is_empty() {
        return Err("the request has no body");
    }
    let content_type = inbound.headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let content_type = String::from_utf8_lossy(content_type);
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "multipart/form-data" => multipart::field(&content_type, &inbound.body, FIELD).map(Cow::Borrowed),
        "application/x-www-form-urlencoded" => form::field(&inbound.body, FIELD).map(Cow::Owned),
        _ if without_mark(&inbound.body).trim_ascii_start().first() == Some(&b'{') => {
            Ok(Cow::Borrowed(&inbound.body))
        }
        _ => Err("the body is neither a multipart form with a field `json` nor JSON"),
    }
}

fn parse(text: &[u8]) -> Result<Callback<'_>, serde_json::Error> {
    serde_json::from_slice(without_mark(text))
}

/// A raw value as an object; an array is none, though serde would read a struct from it.
fn read_object<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// A JSON string that is not blank.
fn plain_text(raw: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(raw.get()).ok().filter(|text| !text.trim().is_empty())
}

/// A JSON string, or a number by its digits as they are written.
fn time_text(raw: &RawValue) -> Option<String> {
    let is_number = raw.get().bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    if is_number { Some(raw.get().to_owned()) } else { plain_text(raw) }
}

fn is_test(event_type: &str) -> bool {
    // `test` is the older name (Java SDK).
    matches!(event_type, "callback_test" | "test")
}

/// What the callback means; quarantined with the reason if it cannot be read.
pub(super) fn interpret(inbound: &Inbound) -> Interpretation {
    let text = match json_text(inbound) {
        Ok(text) => text,
        Err(reason) => return quarantined(&inbound.body, None, reason.to_owned()),
    };
    let callback = match parse(&text) {
        Ok(callback) => callback,
        Err(error) => {
            let reason = format!("the field `json` cannot be read: {}", flaw(&error));
            return quarantined(&text, None, reason);
        }
    };
    let Some(event) = callback.event else {
        return quarantined(&text, None, without_event(&callback));
    };
    let fields = read_object::<Event<'_>>(event).and_then(|event| {
        let kind = event.event_type.and_then(plain_text)?;
        let metadata = event.event_metadata.and_then(read_object::<EventMetadata>).unwrap_or_default();
        Some((kind, event.event_time.and_then(time_text), metadata))
    });
    let Some((kind, time, metadata)) = fields else {
        return quarantined(&text, None, "the event names no type".to_owned());
    };
    let news = News { at: time.as_deref().and_then(event_time), time, kind, metadata };
    news.interpret(&text, &callback)
}

fn without_event(callback: &Callback<'_>) -> String {
    match callback.error {
        Some(error) => format!("the platform reports an error instead of an event: {}", excerpt(error.get())),
        None => "the JSON has no event".to_owned(),
    }
}

fn event_time(text: &str) -> Option<Timestamp> {
    Timestamp::from_second(text.trim().parse().ok()?).ok()
}

/// The key is over the `json` text where it could be taken out (a retry may have another boundary around it),
/// else over the body: whatever it is, the same bytes again are the same callback.
fn quarantined(content: &[u8], kind: Option<&str>, reason: String) -> Interpretation {
    Interpretation {
        key: IdempotencyKey::new(None, &[b"quarantined", content]),
        repeat_means: RepeatMeans::Nothing,
        kind: kind.map(word),
        envelope: None,
        meaning: Meaning::Quarantined(reason),
    }
}

/// An event whose type could be read.
struct News {
    kind: String,
    time: Option<String>,
    at: Option<Timestamp>,
    metadata: EventMetadata,
}

impl News {
    fn interpret(self, text: &[u8], callback: &Callback<'_>) -> Interpretation {
        let known = kind_of(&self.kind);
        let Some(raw) = callback.signature_request else {
            if matches!(known, Known::AboutRequest(_)) {
                let reason = format!("{} comes without a signature request", word(&self.kind));
                return quarantined(text, Some(&self.kind), reason);
            }
            return self.understood(other_subject(callback), None);
        };
        let request = read_object::<SignatureRequest>(raw);
        let Some((id, request)) = request.and_then(|r| Some((r.signature_request_id.clone()?, r))) else {
            let reason = format!("the signature request of {} has no id", word(&self.kind));
            return quarantined(text, Some(&self.kind), reason);
        };
        let notification = match known {
            Known::Aside => None,
            Known::AboutRequest(kind) => Some(self.notification(kind, &id, request)),
            Known::No => Some(self.notification(NotificationKind::Unknown, &id, request)),
        };
        self.understood(("signature_request", id), notification)
    }

    /// No event id exists, so the key is made of what names the event; not of its hash, which two envelopes
    /// share, and not of the body, which may be a fresh snapshot at every retry.
    fn understood(self, subject: (&str, String), news: Option<Notification>) -> Interpretation {
        let bytes = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
        let metadata = &self.metadata;
        let mut parts = vec![
            self.kind.clone().into_bytes(),
            subject.0.as_bytes().to_vec(),
            subject.1.into_bytes(),
            bytes(&metadata.related_signature_id),
            bytes(&metadata.reported_for_account_id),
            bytes(&metadata.reported_for_app_id),
        ];
        if self.at.is_none() {
            parts.push(bytes(&self.time));
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Interpretation {
            key: IdempotencyKey::new(self.at, &parts),
            repeat_means: RepeatMeans::Nothing,
            kind: Some(word(&self.kind)),
            envelope: news.as_ref().map(|news| news.envelope.clone()),
            meaning: Meaning::Understood(news.into_iter().collect()),
        }
    }

    fn notification(&self, kind: NotificationKind, id: &str, request: SignatureRequest) -> Notification {
        let signature = self.related(kind, &request.signatures);
        let said = |signature: &Signature| signature.decline_reason.clone().or(signature.error.clone());
        let said = self.metadata.event_message.clone().or_else(|| signature.and_then(said));
        // Once it is corrected, no answer names the address that an e-mail came back from.
        let address = signature
            .filter(|_| kind == NotificationKind::EmailBounced)
            .and_then(|signature| signature.signer_email_address.as_deref().map(word));
        let parts: Vec<String> = address.into_iter().chain(said).collect();
        let detail = (!parts.is_empty()).then(|| parts.join(": "));
        Notification {
            envelope: EnvelopeId::new(id),
            kind,
            kind_at_platform: word(&self.kind),
            occurred_at: self.at,
            signer: self.signer(signature).map(excerpt),
            detail: detail.as_deref().map(excerpt),
            sender: request.requester_email_address.as_deref().map(excerpt),
            name: request.title.as_deref().map(excerpt),
            draft: None,
        }
    }

    /// Whom the event is about, by the id in the platform's answers where there is one. A signer whose address is
    /// corrected gets a new id (reference of `POST signature_request/update`), so a concern about the old one is known
    /// to be over by its absence from the answer.
    fn signer<'s>(&'s self, signature: Option<&'s Signature>) -> Option<&'s str> {
        let related = self.metadata.related_signature_id.as_deref();
        let id = related.or_else(|| signature?.signature_id.as_deref());
        id.or_else(|| signature?.signer_email_address.as_deref().or(signature?.signer_name.as_deref()))
    }

    /// The signature the event is about. It is documented for views and signatures only; else it is the one whose
    /// code says so, or the only one there is.
    fn related<'s>(&self, kind: NotificationKind, signatures: &'s [Signature]) -> Option<&'s Signature> {
        if let Some(id) = &self.metadata.related_signature_id {
            return signatures.iter().find(|signature| signature.signature_id.as_ref() == Some(id));
        }
        let of_code = |code| signatures.iter().find(|one| one.status_code.as_deref() == Some(code));
        let only = || if let [one] = signatures { Some(one) } else { None };
        match kind {
            NotificationKind::Declined => of_code("declined"),
            NotificationKind::EmailBounced => of_code("error_invalid_email").or_else(only),
            NotificationKind::AuthenticationFailed => only(),
            _ => None,
        }
    }
}

/// The subject of an event that is not about a signature request: its kind and id.
fn other_subject(callback: &Callback<'_>) -> (&'static str, String) {
    let subjects = [
        ("template", callback.template),
        ("account", callback.account),
        ("transmission", callback.transmission),
    ];
    let Some((kind, raw)) = subjects.into_iter().find_map(|(kind, raw)| Some((kind, raw?))) else {
        return ("", String::new());
    };
    let subject = read_object::<OtherSubject>(raw).unwrap_or_default();
    let id = subject.template_id.or(subject.fax_id).or(subject.account_id);
    (kind, id.unwrap_or_else(|| raw.get().to_owned()))
}

/// What we know about an event type.
enum Known {
    /// It is about a signature request and means this.
    AboutRequest(NotificationKind),
    /// It concerns no envelope (templates, accounts, faxes, the test button).
    Aside,
    /// It is newer than we are.
    No,
}

/// Every type of the official enumeration of 2026 and the older names still seen.
fn kind_of(event_type: &str) -> Known {
    use NotificationKind as Kind;
    let kind = match event_type {
        "signature_request_prepared" => Kind::Prepared,
        "signature_request_sent" => Kind::Sent,
        "signature_request_viewed" => Kind::Opened,
        "signature_request_signed" => Kind::SignerFinished,
        "signature_request_all_signed" => Kind::Finished,
        // May come before completion and more than once; the platform is asked each time.
        "signature_request_downloadable" => Kind::ArtifactsReady,
        "signature_request_declined" => Kind::Declined,
        "signature_request_canceled" => Kind::Cancelled,
        "signature_request_expired" => Kind::Expired,
        "signature_request_destroyed" => Kind::Deleted,
        "signature_request_invalid" | "file_error" | "unknown_error" => Kind::Failed,
        "signature_request_reassigned" | "signature_request_delegated" => Kind::Delegated,
        "signature_request_email_bounce" => Kind::EmailBounced,
        // A qualified signature asks for an identification, and it was not brought to its end.
        "signature_request_incomplete_qes" => Kind::AuthenticationFailed,
        "signature_request_remind" | "signature_request_signer_removed" | "sign_url_invalid" => {
            Kind::Informed
        }
        "template_created" | "template_error" | "account_confirmed" => return Known::Aside,
        other if is_test(other) || other.starts_with("fax_") => return Known::Aside,
        _ => return Known::No,
    };
    Known::AboutRequest(kind)
}
