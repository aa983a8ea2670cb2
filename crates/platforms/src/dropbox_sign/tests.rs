use aftersign_core::Remedy;
use aftersign_core::artifact::Content;
use aftersign_core::callback::{Inbound, Interpretation, Meaning, NotificationKind, Refusal};
use aftersign_core::envelope::{EnvelopeStatus, Lookup};
use aftersign_core::error::{ErrorKind, NotBefore};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Disposal, Platform, Window};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method};
use serde_json::json;

use super::DropboxSign;
use crate::testing::{
    access, answer, envelope, inbound, keys, line, now, play, proof, recorded, result, understood,
};

const KEY: &str = "fixture-key-of-the-first-account";
pub(super) const ID: &str = "fa5c8a0b0f492d768749333ad6fcc214c111e967";
const SENT_2017: &[u8] = include_bytes!("fixtures/delivery_2017_sent.http");
const ALL_SIGNED: &[u8] = include_bytes!("fixtures/delivery_all_signed.http");
const APP_DECLINED: &[u8] = include_bytes!("fixtures/delivery_app_declined.http");
const CALLBACK_TEST: &[u8] = include_bytes!("fixtures/delivery_callback_test.http");
const COMPLETE: &str = include_str!("fixtures/signature_request_complete.json");

fn mac(text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), text.as_bytes()).as_ref().to_vec()
}

fn hex_mac(text: &str) -> String {
    aftersign_core::digest::encode_hex(&mac(text))
}

fn json_callback(body: &str) -> Inbound {
    let mut inbound = inbound(Method::POST, None, "", body.to_owned());
    inbound.headers.insert("content-type", HeaderValue::from_static("application/json"));
    inbound
}

/// An event with a right hash, plus what `more` adds to the top level.
pub(super) fn event(kind: &str, more: serde_json::Value) -> serde_json::Value {
    let mut value = json!({ "event": {
        "event_time": "1348177752", "event_type": kind, "event_hash": hex_mac(&format!("1348177752{kind}")),
    } });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

pub(super) fn interpret(value: &serde_json::Value) -> Interpretation {
    DropboxSign.interpret(&json_callback(&value.to_string()))
}

fn authenticate(body: &str) -> Result<(), Refusal> {
    DropboxSign.authenticate(&json_callback(body), &keys(&["an older key", KEY]))
}

#[test]
fn recorded_deliveries_are_genuine_and_understood() {
    let cases = [
        (SENT_2017, NotificationKind::Sent, None, None),
        (ALL_SIGNED, NotificationKind::Finished, None, None),
        (
            APP_DECLINED,
            NotificationKind::Declined,
            Some("78caf2a1d01cd39cea2bc1cbb340dac3"),
            Some("Wrong rent please correct"),
        ),
    ];
    for (request, kind, signer, detail) in cases {
        let inbound = recorded(request);
        assert_eq!(DropboxSign.authenticate(&inbound, &keys(&["old", KEY])), Ok(()));
        let meaning = DropboxSign.interpret(&inbound);
        assert_eq!(meaning.envelope, Some(EnvelopeId::new(ID)));
        let news = understood(meaning.meaning);
        assert_eq!((news.len(), news[0].kind), (1, kind));
        assert_eq!(news[0].signer.as_deref(), signer);
        assert_eq!(news[0].detail.as_deref(), detail);
        assert_eq!(news[0].sender.as_deref(), Some("me@dropboxsign.com"));
        assert_eq!(news[0].name.as_deref(), Some("Lease / Flat 4"));
        assert_eq!(news[0].occurred_at.unwrap().as_second(), 1_348_177_752);
    }
    let test = DropboxSign.interpret(&recorded(CALLBACK_TEST));
    assert_eq!(test.kind.as_deref(), Some("callback_test"));
    assert!(understood(test.meaning).is_empty());
}

#[test]
fn the_vendors_published_example_verifies_under_its_published_key() {
    let body = json!({ "event": {
        "event_type": "account_confirmed", "event_time": "1669926463",
        "event_hash": "ff8b03439122f9160500c3fb855bdee5a9ccba5fff27d3b258745d8f3074832f",
        "event_metadata": { "reported_for_account_id": "6421d70b9bd45059fa207d03ab8d1b96515b472c" },
    } });
    let key = "324e3b0840f065eb51f3fd63231d0d33daa35d4ed10d27718839e81737065782";
    let reversed: String = key.chars().rev().collect();
    let inbound = json_callback(&body.to_string());
    assert_eq!(DropboxSign.authenticate(&inbound, &keys(&[key])), Ok(()));
    assert_eq!(DropboxSign.authenticate(&inbound, &keys(&[&reversed])), Err(Refusal::Forged));
    assert!(understood(interpret(&body).meaning).is_empty());
}

#[test]
fn a_changed_body_is_altered_and_a_wrong_hash_is_forged() {
    let altered = |from: &str, to: &str| {
        let mut inbound = recorded(ALL_SIGNED);
        let text = String::from_utf8(inbound.body.to_vec()).unwrap();
        inbound.body = text.replacen(from, to, 1).into();
        DropboxSign.authenticate(&inbound, &keys(&[KEY]))
    };
    assert_eq!(altered("Lease", "Leash"), Err(Refusal::Altered));
    assert_eq!(altered("\\/", "/"), Err(Refusal::Altered), "the exact bytes count");
    assert_eq!(altered("\"json\"", "\"json\"; filename=\"e.json\""), Ok(()), "the form around them does not");
    assert_eq!(altered("all_signed", "declined!!"), Err(Refusal::Forged));
    assert_eq!(altered("1348177752", "1348177753"), Err(Refusal::Forged));
    let mut garbage = recorded(ALL_SIGNED);
    garbage.headers.insert("content-sha256", HeaderValue::from_static("Zm9v"));
    assert_eq!(DropboxSign.authenticate(&garbage, &keys(&[KEY])), Err(Refusal::Altered));
}

#[test]
fn the_hash_is_taken_in_every_spelling_and_missing_fields_are_unsigned() {
    let signed = |time: &str, kind: &str, hash: &str| {
        authenticate(&format!(
            r#"{{"event":{{"event_time":{time},"event_type":{kind},"event_hash":{hash}}}}}"#
        ))
    };
    let hash = hex_mac("1348177752x");
    let quoted = format!("\"{hash}\"");
    assert_eq!(signed("\"1348177752\"", "\"x\"", &quoted), Ok(()));
    assert_eq!(signed("1348177752", "\"x\"", &quoted), Ok(()), "a number counts by its digits");
    assert_eq!(signed("\"1348177752\"", "\"\\u0078\"", &quoted.to_uppercase()), Ok(()));
    assert_eq!(signed("\"1348177752\"", "\"x\"", "\"zz\""), Err(Refusal::Forged));
    let cut = format!("\"{}\"", &hash[..62]);
    assert_eq!(signed("\"1348177752\"", "\"x\"", &cut), Err(Refusal::Forged));
    for absent in ["null", "\"\"", "\" \"", "[]", "{}", "true"] {
        assert_eq!(signed(absent, "\"x\"", &quoted), Err(Refusal::Unsigned), "{absent}");
        assert_eq!(signed("\"1\"", absent, &quoted), Err(Refusal::Unsigned), "{absent}");
        assert_eq!(signed("\"1\"", "\"x\"", absent), Err(Refusal::Unsigned), "{absent}");
    }
    assert_eq!(authenticate(r#"{"event":{}}"#), Err(Refusal::Unsigned));
    assert_eq!(authenticate(r#"{"event":"x"}"#), Err(Refusal::Unsigned));
}

#[test]
fn without_any_key_only_the_test_button_gets_through_and_an_empty_key_is_none() {
    for none in [keys(&[]), keys(&[""])] {
        assert_eq!(DropboxSign.authenticate(&recorded(ALL_SIGNED), &none), Err(Refusal::Unsigned));
        assert_eq!(DropboxSign.authenticate(&json_callback("{}"), &none), Err(Refusal::Unsigned));
        assert_eq!(DropboxSign.authenticate(&recorded(CALLBACK_TEST), &none), Ok(()));
    }
    assert_eq!(DropboxSign.authenticate(&recorded(CALLBACK_TEST), &keys(&["wrong"])), Err(Refusal::Forged));
}

#[test]
fn bodies_without_an_event_are_let_in_and_quarantined_with_the_reason() {
    let form = |body: &'static str| {
        let mut inbound = inbound(Method::POST, None, "", body);
        let content_type = HeaderValue::from_static("multipart/form-data; boundary=X");
        inbound.headers.insert("content-type", content_type);
        inbound
    };
    let cases = [
        (json_callback(""), "no body"),
        (json_callback("{"), "cannot be read"),
        (json_callback("[]"), "neither"),
        (json_callback("{}"), "no event"),
        (json_callback(r#"{"event":null}"#), "no event"),
        (json_callback(r#"{"error":{"error_msg":"m","error_name":"n"}}"#), "error instead"),
        (form("--X\r\nContent-Disposition: form-data; name=\"jason\"\r\n\r\n{}\r\n--X--"), "lacks the field"),
        (form("hello"), "boundary"),
    ];
    for (inbound, reason) in cases {
        assert_eq!(DropboxSign.authenticate(&inbound, &keys(&[KEY])), Ok(()), "{reason}");
        let meaning = DropboxSign.interpret(&inbound);
        let Meaning::Quarantined(why) = meaning.meaning else { panic!("understood: {reason}") };
        assert!(why.contains(reason), "{why}");
        assert_eq!(meaning.key, DropboxSign.interpret(&inbound).key);
    }
    let mut altered = json_callback("{}");
    altered.headers.insert("content-sha256", HeaderValue::from_str(&STANDARD.encode(mac("{} "))).unwrap());
    assert_eq!(DropboxSign.authenticate(&altered, &keys(&[KEY])), Err(Refusal::Altered));
    altered.headers.insert("content-sha256", HeaderValue::from_str(&STANDARD.encode(mac("{}"))).unwrap());
    assert_eq!(DropboxSign.authenticate(&altered, &keys(&[KEY])), Ok(()));
}

#[test]
fn an_urlencoded_form_is_read_like_a_multipart_one() {
    let value =
        event("signature_request_viewed", json!({ "signature_request": { "signature_request_id": ID } }));
    let text = value.to_string();
    let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
    let mut inbound = inbound(Method::POST, None, "", format!("a=b&json={encoded}"));
    let content_type = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
    inbound.headers.insert("content-type", content_type);
    let digest = STANDARD.encode(hex_mac(&text));
    inbound.headers.insert("content-sha256", HeaderValue::from_str(&digest).unwrap());
    assert_eq!(DropboxSign.authenticate(&inbound, &keys(&[KEY])), Ok(()));
    assert_eq!(understood(DropboxSign.interpret(&inbound).meaning)[0].kind, NotificationKind::Opened);
}

#[test]
fn an_urlencoded_field_counts_once_and_by_its_exact_bytes() {
    let form = |body: &[u8]| {
        let mut inbound = inbound(Method::POST, None, "", body.to_vec());
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        inbound.headers.insert("content-type", content_type);
        inbound
    };
    let twice = form(b"json=%7B%7D&json=%7B%7D");
    let Meaning::Quarantined(reason) = DropboxSign.interpret(&twice).meaning else { panic!("understood") };
    assert!(reason.contains("twice"), "{reason}");
    let mut latin = form(b"json=%7B%22a%22%3A%22%FF%22%7D");
    let exact = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), b"{\"a\":\"\xFF\"}");
    let digest = HeaderValue::from_str(&STANDARD.encode(exact.as_ref())).unwrap();
    latin.headers.insert("content-sha256", digest);
    assert_eq!(DropboxSign.authenticate(&latin, &keys(&[KEY])), Ok(()));
}

#[test]
fn a_visit_to_the_url_is_not_a_callback() {
    let visit = inbound(Method::GET, None, "", "");
    assert_eq!(DropboxSign.authenticate(&visit, &keys(&[KEY])), Err(Refusal::Unsigned));
    let empty_post = inbound(Method::POST, None, "", "");
    assert_eq!(DropboxSign.authenticate(&empty_post, &keys(&[KEY])), Ok(()), "kept, in quarantine");
}

#[test]
fn what_is_said_beside_the_hash_stays_unread_until_the_hash_is_checked() {
    // Too deep for any parser: whoever reads it before the check would refuse the callback.
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let hash = hex_mac("1348177752signature_request_sent");
    let body = format!(
        r#"{{"event":{{"event_time":"1348177752","event_type":"signature_request_sent","event_hash":"{hash}",
        "event_metadata":{{"related_signature_id":{deep}}}}},
        "signature_request":{{"signature_request_id":"{ID}"}}}}"#
    );
    assert_eq!(authenticate(&body), Ok(()));
    let news = understood(DropboxSign.interpret(&json_callback(&body)).meaning);
    assert_eq!(news[0].kind, NotificationKind::Sent);
}

#[test]
fn a_quarantined_repeat_is_recognised_whatever_boundary_is_around_it() {
    let form = |boundary: &str, content: &str| {
        let head = "Content-Disposition: form-data; name=\"json\"";
        let body = format!("--{boundary}\r\n{head}\r\n\r\n{content}\r\n--{boundary}--\r\n");
        let mut inbound = inbound(Method::POST, None, "", body);
        let content_type = format!("multipart/form-data; boundary={boundary}");
        inbound.headers.insert("content-type", HeaderValue::from_str(&content_type).unwrap());
        DropboxSign.interpret(&inbound)
    };
    for content in ["{}", "{", r#"{"error":{}}"#, r#"{"event":{"event_type":"signature_request_sent"}}"#] {
        let first = form("a", content);
        assert!(matches!(first.meaning, Meaning::Quarantined(_)), "{content}");
        assert_eq!(first.key, form("b", content).key, "{content}");
        assert_ne!(first.key, form("a", "{ }").key);
    }
}

#[test]
fn foreign_text_of_any_length_is_kept_short_and_never_quoted_by_the_parser() {
    let long = "confidential ".repeat(100_000);
    let subject = json!({ "signature_request_id": ID, "title": long, "requester_email_address": long,
        "signatures": [{ "status_code": "declined", "signer_name": long, "decline_reason": long }] });
    for body in [
        json!(long).to_string(),
        json!({ "error": long }).to_string(),
        format!(r#"{{"event":{{}},"event":"{long}"}}"#),
        format!(r#"{{"{long}":"{long}" {long}"#),
        event(&long, json!({})).to_string(),
        event(&long, json!({ "signature_request": subject })).to_string(),
        event(&long, json!({ "signature_request": { "title": long } })).to_string(),
        event("signature_request_declined", json!({ "signature_request": subject })).to_string(),
    ] {
        let noted = DropboxSign.interpret(&json_callback(&body));
        let mut texts = vec![noted.kind];
        match noted.meaning {
            Meaning::Quarantined(reason) => texts.push(Some(reason)),
            Meaning::Understood(news) => texts.extend(news.into_iter().flat_map(|news| {
                [Some(news.kind_at_platform), news.signer, news.detail, news.sender, news.name]
            })),
        }
        for text in texts.into_iter().flatten() {
            assert!(text.chars().count() <= 400, "{} characters", text.chars().count());
        }
    }
    let Meaning::Quarantined(reason) =
        DropboxSign.interpret(&json_callback("{\"a\":\n \"x\" secret")).meaning
    else {
        panic!("understood")
    };
    assert!(reason.contains("line 2") && !reason.contains("secret"), "{reason}");
}

#[test]
fn every_event_type_means_what_the_facts_say() {
    use NotificationKind as Kind;
    let about = [
        ("signature_request_sent", Kind::Sent),
        ("signature_request_viewed", Kind::Opened),
        ("signature_request_signed", Kind::SignerFinished),
        ("signature_request_all_signed", Kind::Finished),
        ("signature_request_downloadable", Kind::ArtifactsReady),
        ("signature_request_declined", Kind::Declined),
        ("signature_request_reassigned", Kind::Delegated),
        ("signature_request_delegated", Kind::Delegated),
        ("signature_request_signer_removed", Kind::Informed),
        ("signature_request_remind", Kind::Informed),
        ("signature_request_email_bounce", Kind::EmailBounced),
        ("signature_request_incomplete_qes", Kind::AuthenticationFailed),
        ("signature_request_prepared", Kind::Prepared),
        ("signature_request_canceled", Kind::Cancelled),
        ("signature_request_expired", Kind::Expired),
        ("signature_request_destroyed", Kind::Deleted),
        ("signature_request_invalid", Kind::Failed),
        ("file_error", Kind::Failed),
        ("unknown_error", Kind::Failed),
        ("sign_url_invalid", Kind::Informed),
        ("signature_request_from_the_future", Kind::Unknown),
    ];
    for (kind, expected) in about {
        let value = event(kind, json!({ "signature_request": { "signature_request_id": ID } }));
        assert_eq!(authenticate(&value.to_string()), Ok(()));
        let news = understood(interpret(&value).meaning);
        assert_eq!((news[0].kind, news[0].kind_at_platform.as_str()), (expected, kind));
    }
    let aside = [
        ("template_created", "template"),
        ("template_error", "template"),
        ("account_confirmed", "account"),
        ("callback_test", "none"),
        ("fax_received", "transmission"),
        ("fax_blacklisted", "transmission"),
        ("something_new", "thing"),
    ];
    for (kind, subject) in aside {
        let value = event(kind, json!({ subject: { "template_id": "t", "title": "x" } }));
        assert!(understood(interpret(&value).meaning).is_empty(), "{kind}");
    }
    let lost = interpret(&event("signature_request_sent", json!({})));
    assert!(matches!(lost.meaning, Meaning::Quarantined(_)));
    let nameless =
        interpret(&event("signature_request_sent", json!({ "signature_request": { "title": "t" } })));
    assert!(matches!(nameless.meaning, Meaning::Quarantined(reason) if reason.contains("no id")));
}

#[test]
fn the_key_tells_events_apart_and_neither_the_hash_nor_the_snapshot_is_in_it() {
    let with = |time: &str, kind: &str, id: &str, related: Option<&str>, app: Option<&str>, title: &str| {
        interpret(&json!({
            "event": { "event_time": time, "event_type": kind, "event_hash": hex_mac(title),
                "event_metadata": { "related_signature_id": related, "reported_for_app_id": app } },
            "signature_request": { "signature_request_id": id, "title": title },
        }))
        .key
    };
    let key = with("100", "signature_request_signed", "a", Some("s"), None, "first");
    assert_eq!(key, with("100", "signature_request_signed", "a", Some("s"), None, "a fresh snapshot"));
    for other in [
        with("101", "signature_request_signed", "a", Some("s"), None, "first"),
        with("100", "signature_request_viewed", "a", Some("s"), None, "first"),
        with("100", "signature_request_signed", "b", Some("s"), None, "first"),
        with("100", "signature_request_signed", "a", Some("t"), None, "first"),
        with("100", "signature_request_signed", "a", Some("s"), Some("app"), "first"),
    ] {
        assert_ne!(key, other);
    }
    assert_eq!(&key.as_bytes()[..8], &100u64.to_be_bytes());
    let unreadable = |time| with(time, "signature_request_signed", "a", None, None, "t");
    assert_ne!(unreadable("soon"), unreadable("later"));
}

#[test]
fn the_answer_is_the_exact_text() {
    let reply = DropboxSign.acknowledge(&recorded(ALL_SIGNED));
    assert_eq!((reply.status.as_u16(), reply.content_type), (200, "text/plain"));
    assert_eq!(&reply.body[..], b"Hello API Event Received");
    assert_eq!(DropboxSign.callback_urls("https://h/callbacks/a/s")[0].url, "https://h/callbacks/a/s");
}

fn fetch(status: u16, body: &str) -> Result<Lookup, aftersign_core::Error> {
    let call = DropboxSign.fetch_envelope(&access(&DropboxSign), &EnvelopeId::new(ID));
    result(call, [answer(status, body.to_owned())])
}

pub(super) fn found(request: serde_json::Value) -> aftersign_core::envelope::Envelope {
    let mut request = request;
    request["signature_request_id"] = json!(ID);
    let Lookup::Found(envelope) = fetch(200, &json!({ "signature_request": request }).to_string()).unwrap()
    else {
        panic!("not found")
    };
    *envelope
}

#[test]
fn a_request_is_read_with_its_status_signers_and_metadata() {
    let call = DropboxSign.fetch_envelope(&access(&DropboxSign), &EnvelopeId::new(ID)).unwrap();
    assert_eq!(call.request.headers()["authorization"], format!("Basic {}", STANDARD.encode("s3cret:")));
    assert!(call.request.headers()["authorization"].is_sensitive());
    assert_eq!(line(&call.request), format!("GET /v3/signature_request/{ID}"));
    let Lookup::Found(envelope) = fetch(200, COMPLETE).unwrap() else { panic!("not found") };
    assert_eq!(envelope.status, EnvelopeStatus::Completed);
    assert_eq!(envelope.completed_at.unwrap().as_second(), 1_348_177_750);
    assert_eq!(envelope.signers.len(), 2);
    assert_eq!(envelope.signers[0].id.as_deref(), Some("10ab1cd037d9b6cba7975d61ff428c8d"));
    assert_eq!(envelope.expires_at, None, "0 is no date");
    let expiring = found(json!({ "expires_at": 1_348_200_000 }));
    assert_eq!(expiring.expires_at.unwrap().as_second(), 1_348_200_000);
    assert!(envelope.metadata.unwrap().contains("\"matter\": \"2026/117\""));
    let nothing = found(json!({}));
    assert_eq!((nothing.status, nothing.metadata, nothing.test_mode), (EnvelopeStatus::Sent, None, false));
}

#[test]
fn the_status_is_derived_from_flags_and_signers() {
    let signed = json!({ "status_code": "signed", "signed_at": 5 });
    let with = |code: &str| json!({ "signatures": [signed, { "status_code": code }] });
    for (request, status, word) in [
        (json!({ "has_error": true, "is_complete": true }), EnvelopeStatus::Failed, "has_error"),
        (
            json!({ "is_declined": true, "signatures": [{ "status_code": "expired" }] }),
            EnvelopeStatus::Declined,
            "declined",
        ),
        (
            json!({ "is_complete": true, "expires_at": 5, "signatures": [signed] }),
            EnvelopeStatus::Completed,
            "complete",
        ),
        (with("expired"), EnvelopeStatus::Expired, "expired"),
        (with("on_hold_by_requester"), EnvelopeStatus::InProgress, "on_hold_by_requester"),
        (with("from_the_future"), EnvelopeStatus::InProgress, "from_the_future"),
        (
            json!({ "signatures": [{ "status_code": "awaiting_signature" }] }),
            EnvelopeStatus::Sent,
            "awaiting_signature",
        ),
        (
            json!({ "signatures": null, "is_complete": "yes", "title": 5 }),
            EnvelopeStatus::Sent,
            "awaiting_signature",
        ),
    ] {
        let envelope = found(request.clone());
        assert_eq!((envelope.status, envelope.status_at_platform.as_str()), (status, word), "{request}");
        assert_eq!(envelope.completed_at.is_some(), status == EnvelopeStatus::Completed);
    }
    for yes in [json!(true), json!(1), json!("true"), json!("1")] {
        assert!(found(json!({ "test_mode": yes })).test_mode, "{yes}");
        assert_eq!(found(json!({ "is_complete": yes })).status, EnvelopeStatus::Completed, "{yes}");
        assert_eq!(found(json!({ "is_declined": yes })).status, EnvelopeStatus::Declined, "{yes}");
        assert_eq!(found(json!({ "has_error": yes })).status, EnvelopeStatus::Failed, "{yes}");
    }
    assert!(!found(json!({ "test_mode": "0" })).test_mode);
}

#[test]
fn gone_unknown_and_strange_answers_are_told_apart() {
    let error = |name: &str| json!({ "error": { "error_msg": "m", "error_name": name } }).to_string();
    assert_eq!(fetch(404, &error("not_found")).unwrap(), Lookup::NotFound);
    assert_eq!(fetch(410, &error("deleted")).unwrap(), Lookup::Deleted { at: None });
    assert_eq!(fetch(404, "<html>nginx</html>").unwrap_err().kind(), ErrorKind::Unintelligible);
    assert_eq!(fetch(410, "gone").unwrap_err().remedy(), Remedy::Retry(None));
    let other = COMPLETE.replace(ID, "17d163069282df5eb63857d31ff4a3bffa9e46c0");
    assert_eq!(fetch(200, &other).unwrap_err().kind(), ErrorKind::Unintelligible);
    for (status, name, kind, remedy) in [
        (400, "bad_request", ErrorKind::Rejected, Remedy::AskPerson),
        (400, "signature_request_expired", ErrorKind::Rejected, Remedy::AskPerson),
        (403, "signature_request_expired", ErrorKind::Rejected, Remedy::AskPerson),
        (401, "unauthorized", ErrorKind::AccessRefused, Remedy::RenewAccess),
        (402, "payment_required", ErrorKind::Forbidden, Remedy::AskPerson),
        (403, "forbidden", ErrorKind::Forbidden, Remedy::AskPerson),
        (403, "exceeded_rate", ErrorKind::RateLimited, Remedy::Retry(None)),
        (409, "conflict", ErrorKind::NotReady, Remedy::Park),
        (500, "unknown", ErrorKind::Unavailable, Remedy::Retry(None)),
        (503, "maintenance", ErrorKind::Unavailable, Remedy::Retry(None)),
        (599, "from_the_future", ErrorKind::Unavailable, Remedy::Retry(None)),
    ] {
        let refused = fetch(status, &error(name)).unwrap_err();
        assert_eq!((refused.kind(), refused.remedy()), (kind, remedy), "{status} {name}");
        assert!(refused.to_string().contains(name) && !refused.to_string().contains("s3cret"));
    }
    let comma = fetch(400, include_str!("fixtures/error_400_trailing_comma.json")).unwrap_err();
    assert!(comma.to_string().contains("bad_request"), "{comma}");
}

#[test]
fn the_rate_limits_reset_is_read_and_clamped() {
    let wait = |reset: i64, now_known: bool| {
        let mut response = answer(429, r#"{"error":{"error_msg":"m","error_name":"exceeded_rate"}}"#);
        let value = HeaderValue::from_str(&(now().as_second() + reset).to_string()).unwrap();
        response
            .headers_mut()
            .insert("X-Ratelimit-Reset".to_ascii_lowercase().parse::<http::HeaderName>().unwrap(), value);
        match super::api::refused("test", &response, now_known.then(now)).remedy() {
            Remedy::Retry(Some(NotBefore::After(wait))) => wait.as_secs(),
            Remedy::Retry(Some(NotBefore::At(at))) => {
                u64::try_from(at.as_second() - now().as_second()).unwrap()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((wait(30, true), wait(-5, true), wait(90_000, true)), (30, 1, 900));
    assert_eq!(wait(30, false), 30);
}

#[test]
fn artifacts_follow_from_the_state() {
    let list = |request: serde_json::Value| {
        let mut request = request;
        request["signature_request_id"] = json!(ID);
        let known = envelope(ID, EnvelopeStatus::Completed);
        let call = DropboxSign.list_artifacts(&access(&DropboxSign), &known);
        result(call, [answer(200, json!({ "signature_request": request }).to_string())])
    };
    let names = |request| {
        let items = list(request).unwrap();
        items.iter().map(|item| item.file_name(&[])).collect::<Vec<_>>()
    };
    let all = ["Lease.pdf", "Lease.zip", "signature_request.json"];
    assert_eq!(names(json!({ "is_complete": true, "title": "Lease.PDF" })), all);
    assert_eq!(names(json!({ "is_declined": true, "title": "Lease" })), all);
    assert_eq!(names(json!({ "has_error": true })), ["signature_request.json"]);
    assert_eq!(list(json!({})).unwrap_err().remedy(), Remedy::Park);
    let suffix = |request| match &list(request).unwrap()[1].content {
        Content::Zip { entry_suffix } => entry_suffix.clone(),
        other => panic!("{other:?}"),
    };
    let signed_by = |email: &str| {
        json!({ "is_complete": true, "requester_email_address": "me@x.org",
            "signatures": [{ "signer_email_address": email }] })
    };
    assert_eq!(suffix(signed_by("you@x.org")).as_deref(), Some("Audit Trail.pdf"));
    assert_eq!(suffix(signed_by("ME@x.org")), None, "the sender alone signs without an audit trail");
    for artifact in list(json!({ "is_complete": true })).unwrap() {
        let known = envelope(ID, EnvelopeStatus::Completed);
        let request = DropboxSign.download(&access(&DropboxSign), &known, &artifact).unwrap();
        let expected = match artifact.id.as_str() {
            "record" => format!("GET /v3/signature_request/{ID}"),
            id => format!("GET /v3/signature_request/files/{ID}?file_type={id}"),
        };
        assert_eq!(line(&request), expected);
    }
}

#[test]
fn a_sweep_asks_for_completed_then_declined_page_by_page() {
    let page = include_str!("fixtures/signature_request_list.json");
    let mut window = Window {
        since: "2026-11-19T10:00:00Z".parse().unwrap(),
        until: "2026-11-20T10:00:00Z".parse().unwrap(),
        cursor: None,
    };
    let mut asked = Vec::new();
    let mut ids = Vec::new();
    for body in [page, r#"{"list_info":{"page":2,"num_pages":2},"signature_requests":[]}"#, page, page] {
        let call = DropboxSign.changed_since(&access(&DropboxSign), &window).unwrap();
        let (read, lines) = play(call, [answer(200, body)]);
        let read = read.unwrap();
        asked.extend(lines);
        ids.extend(read.items.into_iter().map(|item| item.id.to_string()));
        window.cursor = read.next;
    }
    assert_eq!((window.cursor, ids.len()), (None, 6));
    let query = |page: u32, what: &str| {
        format!(
            "GET /v3/signature_request/list?page={page}&page_size=100&query=from%3Ame%20AND%20{what}%3Atrue\
             %20AND%20created%3A%5B2026%2D09%2D19%20TO%202026%2D11%2D21%5D"
        )
    };
    let expected = [query(1, "complete"), query(2, "complete"), query(1, "declined"), query(2, "declined")];
    assert_eq!(asked, expected);
    for cursor in ["", "x", "9.1", "0.0", "0.99999", "0"] {
        let window = Window { cursor: Some(cursor.into()), ..window_of(&window.since) };
        let error = DropboxSign.changed_since(&access(&DropboxSign), &window).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Abandon, "{cursor}");
    }
}

#[test]
fn an_odd_row_is_skipped_and_an_answer_without_the_list_is_none() {
    let read = |body: String| {
        let call = DropboxSign.changed_since(&access(&DropboxSign), &window_of(&now()));
        result(call, [answer(200, body)])
    };
    let rows = json!([null, 5, {}, { "signature_request_id": null }, { "signature_request_id": ID }]);
    let page =
        read(json!({ "signature_requests": rows, "list_info": { "num_pages": 1 } }).to_string()).unwrap();
    assert_eq!(page.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), [ID]);
    let full = vec![json!({}); 100];
    assert_eq!(read(json!({ "signature_requests": full }).to_string()).unwrap().next.as_deref(), Some("0.2"));
    let null = read(r#"{"signature_requests":null}"#.to_owned()).unwrap();
    assert_eq!((null.items.len(), null.next.as_deref()), (0, Some("1.1")));
    let raw = r#"{"signature_requests":[{"signature_request_id":"a","metadata":{"b": 1.50}}]}"#;
    assert_eq!(read(raw.to_owned()).unwrap().items[0].metadata.as_deref(), Some(r#"{"b": 1.50}"#));
    for foreign in ["{}", r#"{"signature_requests":{}}"#, r#"{"ok":true}"#] {
        assert_eq!(read(foreign.to_owned()).unwrap_err().kind(), ErrorKind::Unintelligible, "{foreign}");
    }
}

fn window_of(since: &aftersign_core::Timestamp) -> Window {
    Window { since: *since, until: now(), cursor: None }
}

#[test]
fn removal_is_asked_only_for_what_may_be_removed() {
    let dispose = |envelope, status: u16, body: &'static str| {
        let call = DropboxSign.dispose(&access(&DropboxSign), &proof(envelope)).unwrap();
        play(call, [answer(status, body)])
    };
    let done = |status, body| dispose(envelope(ID, EnvelopeStatus::Completed), status, body).0;
    let (removed, asked) = dispose(envelope(ID, EnvelopeStatus::Declined), 200, "");
    assert_eq!(
        (removed.unwrap(), asked),
        (Disposal::Removed, vec![format!("POST /v3/signature_request/remove/{ID}")])
    );
    assert_eq!(done(404, r#"{"error":{"error_name":"not_found"}}"#).unwrap(), Disposal::AlreadyGone);
    assert_eq!(done(410, r#"{"error":{"error_name":"deleted"}}"#).unwrap(), Disposal::AlreadyGone);
    for mute in ["", "{}", r#"{"error":{"error_msg":"m"}}"#] {
        for status in [404, 410] {
            let refused = done(status, mute).unwrap_err();
            assert_eq!(refused.remedy(), Remedy::Retry(None), "{status} {mute}: not the platform's own word");
            assert!(dispose(envelope(ID, EnvelopeStatus::Expired), status, mute).0.is_err());
        }
    }
    let gone = r#"{"error":{"error_name":"deleted"}}"#;
    let expired = dispose(envelope(ID, EnvelopeStatus::Expired), 410, gone).0.unwrap();
    assert_eq!(expired, Disposal::AlreadyGone);
    for (status, name) in
        [(400, "signature_request_remove_failed"), (401, "unauthorized"), (403, "forbidden")]
    {
        let body = format!(r#"{{"error":{{"error_name":"{name}","error_msg":"m"}}}}"#);
        assert!(matches!(done(status, body.leak()).unwrap(), Disposal::Kept(_)), "{name}");
    }
    assert!(done(200, "<html>").is_err());
    assert!(done(404, "<html>").is_err());
    assert_eq!(
        done(403, r#"{"error":{"error_name":"exceeded_rate"}}"#).unwrap_err().kind(),
        ErrorKind::RateLimited
    );
    assert_eq!(done(503, "").unwrap_err().remedy(), Remedy::Retry(None));
    let mut test = envelope(ID, EnvelopeStatus::Completed);
    test.test_mode = true;
    for kept in [test, envelope(ID, EnvelopeStatus::Expired)] {
        let (disposal, asked) = dispose(kept, 200, COMPLETE);
        assert!(matches!(disposal.unwrap(), Disposal::Kept(_)));
        assert_eq!(asked, [format!("GET /v3/signature_request/{ID}")], "nothing is changed");
    }
}
