//! Whom callbacks are about, and what becomes of a bounce when the address is corrected.

use aftersign_core::concern::{Heard, open_concerns};
use aftersign_core::envelope::Known;
use aftersign_core::ids::{AccountId, EnvelopeId};
use serde_json::json;

use super::tests::{ID, event, found, interpret};
use crate::testing::{now, understood};

#[test]
fn the_signer_of_a_concern_is_named_as_in_all_other_news() {
    let signers = json!([
        { "signature_id": "s1", "signer_email_address": "jill@example.com", "status_code": "error_invalid_email" },
        { "signature_id": "s2", "signer_email_address": "george@example.com", "status_code": "awaiting_signature" },
    ]);
    let signer = |kind: &str, related: Option<&str>, signers: &serde_json::Value| {
        let request = json!({ "signature_request_id": ID, "signatures": signers });
        let mut value = event(kind, json!({ "signature_request": request }));
        value["event"]["event_metadata"] = json!({ "related_signature_id": related });
        understood(interpret(&value).meaning).remove(0).signer
    };
    let (jill, george) = (Some("s1".to_owned()), Some("s2".to_owned()));
    assert_eq!(signer("signature_request_viewed", Some("s1"), &signers), jill);
    assert_eq!(signer("signature_request_email_bounce", Some("s1"), &signers), jill);
    assert_eq!(signer("signature_request_email_bounce", Some("s2"), &signers), george);
    assert_eq!(signer("signature_request_email_bounce", None, &signers), jill, "its code says so");
    assert_eq!(signer("signature_request_incomplete_qes", None, &signers), None, "it may be either");
    let george_alone = json!([signers[1]]);
    assert_eq!(signer("signature_request_incomplete_qes", None, &george_alone), george);
    assert_eq!(signer("signature_request_email_bounce", None, &george_alone), george);
    assert_eq!(signer("signature_request_viewed", None, &george_alone), None);
    let listed_no_more = signer("signature_request_email_bounce", Some("s3"), &signers);
    assert_eq!(listed_no_more.as_deref(), Some("s3"));
    let unnumbered = json!([{ "signer_email_address": "george@example.com", "signer_name": "George" }]);
    let bounced = |signers| signer("signature_request_email_bounce", None, signers);
    assert_eq!(bounced(&unnumbered).as_deref(), Some("george@example.com"));
    assert_eq!(bounced(&json!([{ "signer_name": "George" }])).as_deref(), Some("George"));
}

#[test]
fn a_corrected_address_makes_another_signer_and_settles_the_bounce_of_the_old_one() {
    let bounced = json!({ "signature_id": "s1", "signer_email_address": "jill@example.com",
        "status_code": "error_invalid_email" });
    let of = |signature: &serde_json::Value, said: Option<&str>| {
        let request = json!({ "signature_request_id": ID, "signatures": [signature] });
        let mut value = event("signature_request_email_bounce", json!({ "signature_request": request }));
        value["event"]["event_metadata"] = json!({ "event_message": said });
        understood(interpret(&value).meaning).remove(0)
    };
    let news = of(&bounced, Some("mailbox full"));
    assert_eq!(news.detail.as_deref(), Some("jill@example.com: mailbox full"));
    assert_eq!(of(&bounced, None).detail.as_deref(), Some("jill@example.com"));
    assert_eq!(of(&json!({ "signature_id": "s1" }), None).detail, None);
    let open = |signature: &serde_json::Value| {
        let envelope = found(json!({ "signatures": [signature] }));
        let known = Known::first_seen(AccountId::new("hr"), EnvelopeId::new(ID), now());
        let (signer, detail) = (news.signer.clone(), news.detail.clone());
        let heard = Heard { kind: news.kind, at: now(), heard_at: now(), signer, detail };
        open_concerns(&known, &envelope.signers, &[heard]).len()
    };
    let corrected = json!({ "signature_id": "s2", "signer_email_address": "jill.right@example.com",
        "status_code": "awaiting_signature" });
    assert_eq!((open(&bounced), open(&corrected)), (1, 0));
}
