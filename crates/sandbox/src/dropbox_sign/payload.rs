//! What Dropbox Sign says: the JSON of a signature request, and events as its PHP code sends them (`\/` in JSON, multipart
//! with one field, two digests under the API key).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{account_guid, client_id};
use crate::config::Vendor;
use crate::content::hex;
use crate::ledger::Outcome;
use crate::life::Step;
use crate::rng::Rng;
use crate::sender::{Outgoing, Wire};
use crate::world::{Account, Envelope, Signer, SignerState, World};

/// One event of the vendor's list.
struct Event {
    kind: &'static str,
    signer: Option<usize>,
    message: Option<String>,
    is_final: bool,
}

/// The events of a step.
fn event_of(envelope: &Envelope, step: Step) -> Option<Event> {
    let plain = |kind| Event { kind, signer: None, message: None, is_final: false };
    let of_signer = |kind, signer| Event { signer: Some(signer), ..plain(kind) };
    let last = |kind| Event { is_final: true, ..plain(kind) };
    match step {
        Step::Created => Some(plain("signature_request_sent")),
        Step::Viewed(signer) => Some(of_signer("signature_request_viewed", signer)),
        Step::Signed(signer) => Some(of_signer("signature_request_signed", signer)),
        Step::InterimFiles => Some(plain("signature_request_downloadable")),
        Step::End(Outcome::Completed) => Some(last("signature_request_all_signed")),
        Step::End(Outcome::Declined) => Some(Event {
            signer: envelope.signers.iter().position(|s| matches!(s.state, SignerState::Declined(_))),
            message: Some(envelope.script.decline_reason.clone()),
            ..last("signature_request_declined")
        }),
        Step::End(Outcome::Cancelled) => Some(last("signature_request_canceled")),
        Step::End(Outcome::Expired) => Some(last("signature_request_expired")),
        Step::FilesReady if envelope.outcome == Outcome::Completed => {
            Some(last("signature_request_downloadable"))
        }
        Step::End(Outcome::InProgress)
        | Step::Trouble(_)
        | Step::Delivered(_)
        | Step::Activated
        | Step::FilesReady
        | Step::Settle
        | Step::Shown
        | Step::Sealed
        | Step::Extended => None,
    }
}

/// The callbacks of a step: one per scope.
pub(crate) fn callbacks(world: &World, account: &Account, envelope: &Envelope, step: Step) -> Vec<Outgoing> {
    let Some(event) = event_of(envelope, step) else { return Vec::new() };
    let scopes: &[bool] = if envelope.script.both_scopes { &[false, true] } else { &[false] };
    let time = Timestamp::now().as_second().to_string();
    scopes
        .iter()
        .map(|&for_app| {
            let app = for_app.then(|| client_id(world.seed, account));
            let payload = event_payload(world, account, envelope, &event, &time, app.as_deref());
            let position = event.signer.map_or_else(|| format!("{step:?}"), |signer| signer.to_string());
            let scope = if for_app { "app" } else { "account" };
            let key = format!("{}/{}/{position}/{scope}", envelope.id, event.kind);
            Outgoing {
                vendor: Vendor::DropboxSign,
                account_id: envelope.account_id.clone(),
                envelope_id: envelope.id.clone(),
                is_final: event.is_final,
                settles: false,
                wire: form(world.seed, account, &key, &payload),
                key,
            }
        })
        .collect()
}

/// The callback of the test button: an event without a subject.
pub(crate) fn callback_test(world: &World, account: &Account) -> Outgoing {
    let time = Timestamp::now().as_second().to_string();
    let kind = "callback_test";
    let guid = account_guid(world.seed, account);
    let payload = json!({
        "event": {
            "event_time": time,
            "event_type": kind,
            "event_hash": hex(&sign(&account.spec.api_key, format!("{time}{kind}").as_bytes())),
            "event_metadata": {
                "related_signature_id": null,
                "reported_for_account_id": guid,
                "reported_for_app_id": null,
                "event_message": null,
            },
        },
        "account_guid": guid,
    });
    let key = format!("{}/{kind}/{time}", account.spec.id);
    Outgoing {
        vendor: Vendor::DropboxSign,
        account_id: account.spec.id.clone(),
        envelope_id: String::new(),
        is_final: false,
        settles: false,
        wire: form(world.seed, account, &key, &payload),
        key,
    }
}

fn event_payload(
    world: &World,
    account: &Account,
    envelope: &Envelope,
    event: &Event,
    time: &str,
    app: Option<&str>,
) -> Value {
    let signature = event.signer.and_then(|signer| envelope.signers.get(signer)).map(|s| s.id.clone());
    let guid = account_guid(world.seed, account);
    json!({
        "event": {
            "event_time": time,
            "event_type": event.kind,
            "event_hash": hex(&sign(&account.spec.api_key, format!("{time}{}", event.kind).as_bytes())),
            "event_metadata": {
                "related_signature_id": signature,
                "reported_for_account_id": guid,
                "reported_for_app_id": app,
                "event_message": event.message,
            },
        },
        "account_guid": guid,
        "client_id": app,
        "signature_request": signature_request(world, account, envelope, envelope.outcome),
    })
}

fn sign(key: &str, message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}

fn form(seed: u64, account: &Account, key: &str, payload: &Value) -> Wire {
    let mut rng = Rng::keyed(seed, &format!("form/{key}"));
    let text = as_php_writes(payload);
    let digest = sign(&account.spec.api_key, text.as_bytes());
    // The documentation's example is the base64 of hexadecimal text; some read it as the base64 of the bytes.
    let content_sha256 =
        if rng.chance(0.2) { BASE64.encode(digest) } else { BASE64.encode(hex(&digest).as_bytes()) };
    let boundary = format!("------------------------{}", rng.hex(16));
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{text}\r\n--{boundary}--\r\n"
    );
    Wire::Form { url: account.spec.callback_url.clone(), boundary, body: Bytes::from(body), content_sha256 }
}

/// JSON as PHP's `json_encode` writes it: slashes escaped, nothing beyond ASCII.
pub(super) fn as_php_writes(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '/' => text.push_str("\\/"),
            c if c.is_ascii() => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text
}

/// A signature request as it looks with the given outcome.
pub(super) fn signature_request(
    world: &World,
    account: &Account,
    envelope: &Envelope,
    outcome: Outcome,
) -> Value {
    let script = &envelope.script;
    let id = &envelope.id;
    let base = format!("{}/dropbox-sign/v3", world.origin);
    let ended = envelope.ended_at.map(Timestamp::as_second);
    let attachments: Vec<Value> = script
        .attachments
        .iter()
        .map(|file| {
            json!({
                "id": Rng::keyed(envelope.seed, &file.name).hex(10), "signer": "1", "name": file.name,
                "required": false, "instructions": null, "uploaded_at": ended,
            })
        })
        .collect();
    json!({
        "test_mode": script.test_mode,
        "signature_request_id": id,
        "requester_email_address": script.sender,
        "title": script.name,
        "original_title": script.name,
        "subject": format!("Please sign: {}", script.name),
        "message": "Please sign at your convenience.\nThank you.",
        "metadata": metadata(&script.metadata),
        "created_at": envelope.created_at.as_second(),
        "expires_at": expires_at(envelope),
        "is_complete": outcome == Outcome::Completed,
        "is_declined": outcome == Outcome::Declined,
        "has_error": false,
        "files_url": format!("{base}/signature_request/files/{id}"),
        "signing_url": null,
        "details_url": format!("https://app.hellosign.com/home/manage?guid={id}"),
        "cc_email_addresses": [],
        "signing_redirect_url": null,
        "final_copy_uri": format!("/v3/signature_request/final_copy/{id}"),
        "template_ids": null,
        "client_id": client_id(world.seed, account),
        "custom_fields": [],
        "attachments": attachments,
        "response_data": response_data(envelope),
        "signatures": signatures(envelope, outcome),
        "bulk_send_job_id": null,
    })
}

fn expires_at(envelope: &Envelope) -> Option<i64> {
    // Only senders who set it have one; it is rounded down to the hour.
    let hour = 3600;
    (envelope.script.outcome == Outcome::Expired).then(|| {
        envelope.ended_at.map_or(envelope.created_at.as_second() + 86_400, Timestamp::as_second) / hour * hour
    })
}

fn metadata(text: &str) -> Value {
    if text.is_empty() {
        return Value::Object(Map::new());
    }
    serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or_else(|| json!({ "reference": text }))
}

fn response_data(envelope: &Envelope) -> Vec<Value> {
    let answer = |signer: &Signer| {
        let SignerState::Signed(at) = signer.state else { return None };
        Some(json!({
            "api_id": format!("sig_{}", &signer.id[..8]), "signature_id": signer.id, "name": "Signed on",
            "value": at.as_second().to_string(), "required": true, "type": "date_signed",
        }))
    };
    envelope.signers.iter().filter_map(answer).collect()
}

fn signatures(envelope: &Envelope, outcome: Outcome) -> Vec<Value> {
    // While the end does not show yet, neither does the signature that brought it.
    let hides_last = envelope.outcome != outcome && outcome == Outcome::InProgress;
    let last = envelope.signers.len().saturating_sub(1);
    let one = |(index, signer): (usize, &Signer)| {
        let state = if hides_last && index == last { SignerState::Waiting } else { signer.state };
        let (code, signed_at) = match state {
            SignerState::Signed(at) => ("signed", Some(at.as_second())),
            SignerState::Declined(_) => ("declined", None),
            SignerState::Waiting if outcome == Outcome::Expired => ("expired", None),
            SignerState::Waiting => ("awaiting_signature", None),
        };
        json!({
            "signature_id": signer.id,
            "signer_group_guid": null,
            "signer_email_address": signer.email,
            "signer_name": signer.name,
            "signer_role": null,
            "order": index,
            "status_code": code,
            "decline_reason": (code == "declined").then_some(&envelope.script.decline_reason),
            "signed_at": signed_at,
            "last_viewed_at": signer.viewed_at.map(Timestamp::as_second),
            "last_reminded_at": null,
            "has_pin": false,
            "has_sms_auth": false,
            "has_sms_delivery": false,
            "sms_phone_number": null,
            "reassigned_by": null,
            "reassignment_reason": null,
            "reassigned_from": null,
            "error": null,
        })
    };
    envelope.signers.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{as_php_writes, hex, sign};

    #[test]
    fn json_is_written_as_php_writes_it() {
        let value = serde_json::json!({ "url": "https://a/b", "name": "Würde 🖊" });
        let text = as_php_writes(&value);
        assert_eq!(text, r#"{"name":"W\u00fcrde \ud83d\udd8a","url":"https:\/\/a\/b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn the_hash_is_that_of_the_published_algorithm() {
        // RFC 4231, test case 2.
        assert_eq!(
            hex(&sign("Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
