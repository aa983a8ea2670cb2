use aftersign_core::Remedy;
use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::callback::{
    Inbound, Interpretation, Meaning, Notification, NotificationKind, RepeatMeans,
};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup};
use aftersign_core::error::ErrorKind;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Credential, Platform};
use aftersign_core::secret::Secret;
use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use super::Scrive;
use crate::testing::{access, answer, envelope, inbound, line, play, recorded, result, understood};

pub(super) const ID: &str = "8222115557375075439";
pub(super) const OTHER: &str = "8222115557375075440";
pub(super) const FLOW: &str = "1e3a60ea-80b8-44bb-9e59-c64d8697b959";
pub(super) const CLOSED: &str = include_str!("fixtures/document_closed.json");
pub(super) const SEALED_HISTORY: &str = include_str!("fixtures/history_sealed.json");
pub(super) const EXTENDED_HISTORY: &str = include_str!("fixtures/history_extended.json");
pub(super) const INSTANCE: &str = include_str!("fixtures/flow_instance.json");
const NOT_SEALED: &str = include_str!("fixtures/error_not_sealed.json");
pub(super) const MANAGED: &str = include_str!("fixtures/error_managed_by_flow.json");
pub(super) const FLOW_ERROR: &str = include_str!("fixtures/error_flow.json");
pub(super) const DELIVERY_SEALED: &[u8] = include_bytes!("fixtures/delivery_sealed.http");
pub(super) const DELIVERY_EXTENDED: &[u8] = include_bytes!("fixtures/delivery_extended.http");
pub(super) const DELIVERY_BOUNCED: &[u8] = include_bytes!("fixtures/delivery_pending_bounced.http");
pub(super) const DELIVERY_REJECTED: &[u8] = include_bytes!("fixtures/delivery_rejected.http");
pub(super) const DELIVERY_V1: &[u8] = include_bytes!("fixtures/delivery_v1.http");
pub(super) const DELIVERY_SALESFORCE: &[u8] = include_bytes!("fixtures/delivery_salesforce.http");

/// The article's samples, verbatim.
pub(super) const SAMPLES: [(&str, &str); 8] = [
    ("completed", include_str!("fixtures/flow_completed.json")),
    ("failed", include_str!("fixtures/flow_failed.json")),
    ("cancelled", include_str!("fixtures/flow_cancelled.json")),
    ("flow_rejected", include_str!("fixtures/flow_flow_rejected.json")),
    ("authentication_attempted", include_str!("fixtures/flow_authentication_attempted.json")),
    (
        "authentication_max_failures_exceeded",
        include_str!("fixtures/flow_authentication_max_failures_exceeded.json"),
    ),
    ("timed_out", include_str!("fixtures/flow_timed_out.json")),
    ("custom", include_str!("fixtures/flow_custom.json")),
];

pub(super) fn read(body: impl Into<Bytes>) -> Interpretation {
    Scrive.interpret(&inbound(Method::POST, None, "", body))
}

fn quarantine(body: impl Into<Bytes>) -> String {
    match read(body).meaning {
        Meaning::Quarantined(reason) => reason,
        Meaning::Understood(news) => panic!("understood: {news:?}"),
    }
}

pub(super) fn only(body: impl Into<Bytes>) -> Notification {
    let mut news = understood(read(body).meaning);
    assert_eq!(news.len(), 1);
    news.remove(0)
}

/// The closed document with other members.
pub(super) fn document(more: Value) -> String {
    let mut value: Value = serde_json::from_str(CLOSED).unwrap();
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value.to_string()
}

pub(super) fn form(id: &str, sealed: &str, json: &str) -> String {
    let json = percent_encoding::utf8_percent_encode(json, percent_encoding::NON_ALPHANUMERIC);
    format!("document_id={id}&document_signed_and_sealed={sealed}&document_json={json}")
}

pub(super) fn fetch(id: &str, answers: Vec<Response<Bytes>>) -> Lookup {
    result(Scrive.fetch_envelope(&access(&Scrive), &EnvelopeId::new(id)), answers).unwrap()
}

pub(super) fn found(id: &str, answers: Vec<Response<Bytes>>) -> Envelope {
    match fetch(id, answers) {
        Lookup::Found(envelope) => *envelope,
        other => panic!("{other:?}"),
    }
}

pub(super) fn list(
    id: &str,
    answers: Vec<Response<Bytes>>,
) -> Result<Vec<ArtifactRef>, aftersign_core::Error> {
    result(Scrive.list_artifacts(&access(&Scrive), &envelope(id, EnvelopeStatus::Completed)), answers)
}

fn ids(artifacts: &[ArtifactRef]) -> Vec<&str> {
    artifacts.iter().map(|artifact| artifact.id.as_str()).collect()
}

fn download(envelope: &Envelope, id: &str) -> Result<String, aftersign_core::Error> {
    let artifact =
        ArtifactRef { id: id.into(), kind: ArtifactKind::Document, name: "x".into(), content: Content::Pdf };
    Scrive.download(&access(&Scrive), envelope, &artifact).map(|request| line(&request))
}

#[test]
fn recorded_document_callbacks_are_understood_and_the_id_keeps_every_digit() {
    let sealed = Scrive.interpret(&recorded(DELIVERY_SEALED));
    assert_eq!(sealed.envelope, Some(EnvelopeId::new(ID)));
    assert_eq!((sealed.kind.as_deref(), sealed.repeat_means), (Some("closed"), RepeatMeans::Nothing));
    let news = understood(sealed.meaning);
    let signed = NotificationKind::SignerFinished;
    assert_eq!(
        news.iter().map(|told| told.kind).collect::<Vec<_>>(),
        [NotificationKind::Finished, NotificationKind::ArtifactsReady, signed, signed]
    );
    assert_eq!(news[1].occurred_at, news[0].occurred_at);
    assert_eq!(news[0].sender.as_deref(), Some("me@example.com"));
    assert_eq!(news[0].name.as_deref(), Some("Lease / Flat 4"));
    assert_eq!(news[0].occurred_at.unwrap().to_string(), "2026-10-03T10:00:08.4Z");

    let rejected = understood(Scrive.interpret(&recorded(DELIVERY_REJECTED)).meaning);
    assert_eq!(rejected[0].kind, NotificationKind::Declined);
    assert_eq!(rejected[0].signer.as_deref(), Some("8222115557375075512"));
    assert_eq!(rejected[0].detail.as_deref(), Some("Wrong rent please correct"));
    assert_eq!(rejected[0].occurred_at.unwrap().to_string(), "2026-10-02T12:00:00Z");
}

#[test]
fn the_extension_is_news_and_a_retry_of_the_same_state_is_not() {
    let sealed = Scrive.interpret(&recorded(DELIVERY_SEALED));
    let extended = Scrive.interpret(&recorded(DELIVERY_EXTENDED));
    assert_ne!(sealed.key, extended.key);
    assert_eq!(understood(extended.meaning)[1].kind, NotificationKind::ArtifactsReady);
    // The JSON is rendered at each try: another access token, the same state.
    let retry = read(form(ID, "true", &document(json!({ "access_token": "another" }))));
    assert_eq!(retry.key, sealed.key);
    let unsealed = read(form(ID, "false", &document(json!({}))));
    assert_ne!(unsealed.key, sealed.key);
    assert_eq!(understood(unsealed.meaning)[0].kind, NotificationKind::Finished);
    let later = read(form(ID, "true", &document(json!({ "object_version": 18 }))));
    assert_ne!(later.key, sealed.key);
}

#[test]
fn older_names_are_understood_and_cannot_tell_a_retry_from_news() {
    let v1 = Scrive.interpret(&recorded(DELIVERY_V1));
    assert_eq!((v1.envelope, v1.repeat_means), (Some(EnvelopeId::new("1234")), RepeatMeans::PerhapsNews));
    assert_eq!(understood(v1.meaning)[1].kind, NotificationKind::ArtifactsReady);
    let salesforce = Scrive.interpret(&recorded(DELIVERY_SALESFORCE));
    assert_eq!(salesforce.envelope, Some(EnvelopeId::new(ID)));
    assert_eq!(salesforce.repeat_means, RepeatMeans::PerhapsNews);
    assert_eq!(understood(salesforce.meaning)[1].kind, NotificationKind::ArtifactsReady);
    assert_eq!(only(format!("documentid={ID}&signedAndSealed=false")).kind, NotificationKind::Informed);
    assert_eq!(only(format!("documentid={ID}")).kind, NotificationKind::Unknown);
}

#[test]
fn every_status_has_its_meaning_and_an_unknown_one_wakes_softly() {
    let open = json!([{ "is_author": true, "seen_time": "2026-01-01T00:00:00Z" }, {}]);
    for (status, kind) in [
        ("preparation", NotificationKind::Prepared),
        ("awaiting_start", NotificationKind::Prepared),
        ("pending", NotificationKind::Sent),
        ("Closed", NotificationKind::Finished),
        ("canceled", NotificationKind::Cancelled),
        ("timedout", NotificationKind::Expired),
        ("rejected", NotificationKind::Declined),
        ("document_error", NotificationKind::Failed),
        ("DocumentError", NotificationKind::Failed),
        ("frobbed", NotificationKind::Unknown),
    ] {
        let news = only(form(ID, "false", &document(json!({ "status": status, "parties": open }))));
        assert_eq!((news.kind, news.kind_at_platform.as_str()), (kind, status));
    }
    let pending = |party: Value| {
        let body = form(ID, "false", &document(json!({ "status": "pending", "parties": [party, {}] })));
        let news = understood(read(body).meaning);
        assert_eq!((news.len(), news[0].kind), (2, NotificationKind::Sent));
        news[1].kind
    };
    assert_eq!(pending(json!({ "sign_time": "2026-01-01T00:00:00Z" })), NotificationKind::SignerFinished);
    assert_eq!(pending(json!({ "seen_time": "2026-01-01T00:00:00.1Z" })), NotificationKind::Opened);
}

#[test]
fn a_broken_or_foreign_document_json_still_wakes_the_document_it_came_for() {
    for json in ["", "{", "[]", "null", "{\"id\":\"1\",\"status\":\"closed\"}"] {
        let meaning = read(form(ID, "false", json));
        assert_eq!(meaning.envelope, Some(EnvelopeId::new(ID)), "{json}");
        assert!(!understood(meaning.meaning)[0].kind.is_final(), "{json}");
    }
    // A number beyond 2^53 keeps its digits, and the JSON's id stands in for an absent one.
    let number = format!("document_json=%7B%22id%22%3A{ID}%2C%22status%22%3A%22rejected%22%7D");
    assert_eq!(read(number).envelope, Some(EnvelopeId::new(ID)));
}

#[test]
fn bodies_that_name_nothing_are_quarantined_with_the_reason_and_answered() {
    for (body, reason) in [
        ("", "no body"),
        ("hello", "neither"),
        ("document_id=&x=1", "neither"),
        ("document_id=1.0e3", "not a document id"),
        ("document_id=../2", "not a document id"),
        ("document_id=0123", "not a document id"),
        ("document_id=12345678901234567890", "not a document id"),
        ("document_id=1&documentid=2", "two documents"),
        ("{", "cannot be read"),
        ("{}", "no flow instance"),
        (r#"{"type":"completed","flow_instance_id":17}"#, "not a flow instance id"),
        (r#"{"type":"completed","flow_instance_id":"../x"}"#, "not a flow instance id"),
    ] {
        let why = quarantine(body);
        assert!(why.contains(reason), "{body}: {why}");
        assert_eq!(read(body).key, read(body).key);
        assert_eq!(Scrive.acknowledge(&inbound(Method::POST, None, "", body)).status, 200);
    }
    let long = quarantine(format!("document_id={}", "9".repeat(10_000)));
    assert!(long.chars().count() < 500);
}

#[test]
fn every_sample_of_the_article_is_understood_the_broken_one_too() {
    let kinds = [
        NotificationKind::Finished,
        NotificationKind::Failed,
        NotificationKind::Cancelled,
        NotificationKind::Declined,
        NotificationKind::Opened,
        NotificationKind::SignerLocked,
        NotificationKind::Expired,
        NotificationKind::Informed,
    ];
    for ((name, body), kind) in SAMPLES.into_iter().zip(kinds) {
        let meaning = read(body);
        assert_eq!((meaning.kind.as_deref(), meaning.repeat_means), (Some(name), RepeatMeans::Nothing));
        let news = only(body);
        assert_eq!((news.kind, news.kind_at_platform.as_str()), (kind, name));
        assert_eq!(meaning.envelope, Some(news.envelope));
        assert_eq!(news.occurred_at.is_none(), name == "failed", "second 67 is no time");
    }
    assert_eq!(
        only(SAMPLES[1].1).detail.as_deref(),
        Some("event_created is no time: 2021-03-15T13:43:67.4589254893Z")
    );
    let rejected = only(SAMPLES[3].1);
    assert_eq!(rejected.signer.as_deref(), Some("user1"));
    assert_eq!(rejected.detail.as_deref(), Some("Sorry, I don't want to sign this; document doc3"));
    assert_eq!(rejected.occurred_at.unwrap().to_string(), "2021-04-05T10:23:59.578445135Z");
    let attempted = only(SAMPLES[4].1);
    assert_eq!(attempted.detail.as_deref(), Some("authentication by sms_otp; result success"));
    assert!(attempted.signer.is_some(), "who was let in");
    assert_eq!(only(SAMPLES[4].1.replace("success", "failure")).kind, NotificationKind::Informed);
    assert_eq!(only(SAMPLES[7].1).detail.as_deref(), Some("callback my-callback"));
}

#[test]
fn a_flow_retry_in_another_order_is_the_same_and_a_second_completed_is_not() {
    let body = |order: bool, time: &str| {
        let time = format!("\"event_created\": \"{time}\"");
        let rest = format!("\"type\":\"completed\",\"flow_instance_id\":\"{FLOW}\",\"version\":1");
        if order { format!("{{{time},{rest}}}") } else { format!("{{ {rest} , {time} , }}") }
    };
    let first = read(body(true, "2021-03-10T16:40:17.1Z"));
    assert_eq!(first.key, read(body(false, "2021-03-10T16:40:17.1Z")).key);
    assert_ne!(first.key, read(body(true, "2021-03-10T16:40:17.2Z")).key);
    let timeless = read(format!("{{\"type\":\"completed\",\"flow_instance_id\":\"{FLOW}\"}}"));
    assert_eq!(timeless.repeat_means, RepeatMeans::PerhapsNews);
}

#[test]
fn flow_events_of_the_future_and_of_the_drafts_are_kept_in_the_right_way() {
    let event = |more: &str| format!("{{\"flow_instance_id\":\"{}\",{more}}}", FLOW.to_uppercase());
    let news = only(event("\"type\":\"frobbed\",\"version\":1"));
    assert_eq!((news.kind, news.envelope.as_str()), (NotificationKind::Unknown, FLOW));
    assert_eq!(only(event("\"type\":\"finished\"")).kind, NotificationKind::Finished);
    let old = only(event("\"type\":\"rejection\",\"user\":\"u\",\"version\":\"1\""));
    assert_eq!((old.kind, old.signer.as_deref()), (NotificationKind::Declined, Some("u")));
    assert!(quarantine(event("\"type\":\"completed\",\"version\":2")).contains("version 2"));
    assert!(quarantine(event("\"version\":1")).contains("names no type"));
    let long = only(event(&format!("\"type\":\"flow_rejected\",\"message\":\"{}\"", "x".repeat(9_999))));
    assert!(long.detail.unwrap().chars().count() <= 301);
}

#[test]
fn the_credential_makes_the_documented_header_and_never_shows() {
    let mut good = access(&Scrive);
    let fields =
        [("api_token", "8a3f_1"), ("api_secret", "a&b"), ("access_token", "9c_2"), ("access_secret", "d4")];
    let credential = |fields: &[(&str, &str)]| {
        Credential::new(fields.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text))))
    };
    good.credential = credential(&fields);
    for base in ["https://scrive.com", "https://scrive.com/api/v2/", "https://scrive.com/flow"] {
        good.base_url = base.into();
        let call = Scrive.fetch_envelope(&good, &EnvelopeId::new(ID)).unwrap();
        let header = &call.request.headers()["authorization"];
        assert_eq!(
            header.to_str().unwrap(),
            "oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"8a3f_1\", oauth_token=\"9c_2\", \
             oauth_signature=\"a%26b&d4\""
        );
        assert!(header.is_sensitive());
        assert_eq!(call.request.uri().to_string(), format!("https://scrive.com/api/v2/documents/{ID}/get"));
    }
    for bad in ["", " ", "x\"y", "x,y", "x\r\ny", "x y", "ü"] {
        for index in 0..fields.len() {
            let mut fields = fields;
            fields[index].1 = bad;
            let mut access = good.clone();
            access.credential = credential(&fields);
            let error = Scrive.whoami(&access).unwrap_err();
            assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson));
            assert!(bad.trim().is_empty() || !error.chain().contains(bad));
        }
    }
}

#[test]
fn a_document_is_read_with_its_people_tags_and_seal() {
    let envelope = found(ID, vec![answer(200, CLOSED), answer(200, SEALED_HISTORY)]);
    assert_eq!(
        (envelope.status, envelope.status_at_platform.as_str()),
        (EnvelopeStatus::Completed, "closed")
    );
    assert_eq!(envelope.sender.as_deref(), Some("me@example.com"));
    let signers: Vec<_> = envelope.signers.iter().map(|signer| signer.name.as_deref().unwrap()).collect();
    assert_eq!(signers, ["George Åberg", "Jill Berg"]);
    assert_eq!(envelope.completed_at.unwrap().to_string(), "2026-10-03T10:00:00Z");
    assert_eq!(
        serde_json::from_str::<Value>(envelope.metadata.as_deref().unwrap()).unwrap()[0]["name"],
        "matter"
    );
    assert_eq!(envelope.signers[1].id.as_deref(), Some("8222115557375075512"));
    assert_eq!(envelope.expires_at.unwrap().to_string(), "2026-12-30T22:59:59Z");
    assert!(
        !format!("{envelope:?}").contains("d0cumentacc3ss") && !format!("{envelope:?}").contains("s1gnl1nk")
    );

    let pending = document(json!({ "status": "pending", "sealed_file": null }));
    let envelope = found(ID, vec![answer(200, pending)]);
    assert_eq!((envelope.status, envelope.revision), (EnvelopeStatus::InProgress, None));
}

#[test]
fn absent_deleted_and_purged_documents_are_told_apart() {
    let error =
        |kind: &str, message: &str| json!({ "error_type": kind, "error_message": message }).to_string();
    let absent = answer(404, error("resource_not_found", "no"));
    assert_eq!(fetch(ID, vec![absent]), Lookup::NotFound);
    let purged = answer(409, error("document_state_error", "Document has been purged"));
    assert_eq!(fetch(ID, vec![purged]), Lookup::Deleted { at: None });
    let deleted = answer(200, document(json!({ "is_deleted": true })));
    assert_eq!(fetch(ID, vec![deleted]), Lookup::Deleted { at: None });
    let call = || Scrive.fetch_envelope(&access(&Scrive), &EnvelopeId::new(ID));
    let elsewhere = result(call(), [answer(404, error("endpoint_not_found", "no"))]).unwrap_err();
    assert_eq!(elsewhere.remedy(), Remedy::AskPerson);
    let other = result(call(), [answer(200, document(json!({ "id": OTHER })))]).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Unintelligible);
}

#[test]
fn the_artifacts_are_the_pdf_the_loose_attachments_the_history_and_the_record() {
    let artifacts = list(ID, vec![answer(200, CLOSED)]).unwrap();
    let own = |route: &str| format!("{route}:{ID}");
    assert_eq!(
        ids(&artifacts),
        [
            own("main"),
            format!("file:{ID}_8222115557375075520"),
            format!("file:{ID}_8222115557375075522"),
            own("history"),
            own("document"),
        ]
    );
    assert_eq!(artifacts[2].name, "passport.png");
    assert_eq!(artifacts[3].kind, ArtifactKind::AuditTrail);
    let known = envelope(ID, EnvelopeStatus::Completed);
    let paths: Vec<_> = artifacts.iter().map(|artifact| download(&known, &artifact.id).unwrap()).collect();
    let get = |path: &str| format!("GET /api/v2/documents/{ID}/{path}");
    assert_eq!(
        paths,
        [
            get("files/main"),
            get("files/8222115557375075520"),
            get("files/8222115557375075522"),
            get("history?lang=en"),
            get("get"),
        ]
    );
    let qualified = document(json!({ "parties": [{ "authentication_method_to_sign": "no_bankid_QES" }] }));
    let artifacts = list(ID, vec![answer(200, qualified)]).unwrap();
    assert_eq!(artifacts[1].kind, ArtifactKind::Bundle);
    assert_eq!(download(&known, &artifacts[1].id).unwrap(), get("files/zip"));
    let hostile = json!({ "author_attachments": [{ "file_id": "../../oauth" }] });
    assert_eq!(list(ID, vec![answer(200, document(hostile))]).unwrap_err().remedy(), Remedy::AskPerson);
    assert!(download(&known, &format!("main:{OTHER}")).is_err(), "another document's file");
    assert!(download(&known, &format!("file:{ID}_../x")).is_err());
}

#[test]
fn what_is_not_sealed_yet_is_waited_for() {
    for more in [json!({ "sealed_file": null }), json!({ "status": "pending" }), json!({ "status": "odd" })] {
        let error = list(ID, vec![answer(200, document(more))]).unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::NotReady, Remedy::Park));
    }
    let error = Scrive.refused_download(&answer(503, NOT_SEALED));
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::NotReady, Remedy::Park));
    let error = Scrive.refused_download(&answer(503, "<html>down</html>"));
    assert_eq!(error.remedy(), Remedy::Retry(None));
}

#[test]
fn every_error_type_has_its_remedy() {
    for (status, kind, remedy) in [
        (401, "invalid_authorisation", Remedy::RenewAccess),
        (403, "insufficient_privileges", Remedy::AskPerson),
        (403, "document_action_forbidden", Remedy::AskPerson),
        (403, "action_not_permitted", Remedy::AskPerson),
        (404, "resource_not_found", Remedy::Retry(None)),
        (404, "endpoint_not_found", Remedy::AskPerson),
        (400, "request_parameters_invalid", Remedy::AskPerson),
        (409, "document_object_version_mismatch", Remedy::Park),
        (409, "document_state_error", Remedy::Park),
        (409, "conflict_error", Remedy::Park),
        (500, "server_error", Remedy::Retry(None)),
        (603, "request_failed", Remedy::Retry(None)),
        (429, "document_state_error", Remedy::Retry(None)),
    ] {
        let body = json!({ "error_type": kind, "error_message": "m", "http_code": status }).to_string();
        assert_eq!(Scrive.refused_download(&answer(status, body)).remedy(), remedy, "{status} {kind}");
    }
    let error = Scrive.refused_download(&answer(404, FLOW_ERROR));
    assert!(error.to_string().contains("Flow instance not found") && error.to_string().contains("code: 404"));
    let error = result(Scrive.whoami(&access(&Scrive)), [answer(401, "{}")]).unwrap_err();
    assert!(error.to_string().contains("host: scrive.com"), "{error}");
}

pub(super) fn second(more: Value) -> Response<Bytes> {
    let mut value: Value = serde_json::from_str(&document(json!({ "id": OTHER }))).unwrap();
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer(200, value.to_string())
}

pub(super) fn instance(status: &str) -> Response<Bytes> {
    answer(200, INSTANCE.replace("\"completed\"", &format!("\"{status}\"")))
}

/// A completed flow of the closed document, extended, and of the second one with the history given.
pub(super) fn completed_flow(more: Value, history: &'static str) -> Envelope {
    let first = [instance("completed"), answer(200, CLOSED), answer(200, EXTENDED_HISTORY)];
    let second = [second(more), answer(200, history)];
    found(FLOW, first.into_iter().chain(second).collect())
}

#[test]
fn a_flow_is_put_together_from_its_documents() {
    let envelope = completed_flow(json!({}), EXTENDED_HISTORY);
    assert_eq!((envelope.status, envelope.name.as_deref()), (EnvelopeStatus::Completed, Some("Onboarding")));
    assert_eq!((envelope.sender.as_deref(), envelope.signers.len()), (Some("me@example.com"), 2));
    let named = (envelope.signers[0].id.as_deref(), envelope.signers[0].name.as_deref());
    assert_eq!(named, (Some("user1"), Some("George Åberg")), "as callbacks name him");
    assert_eq!(envelope.signers[1].id, None);
    assert!(!format!("{envelope:?}").contains("acc3ssl1nk"));
    for (word, other, status) in [
        ("in_progress", None, EnvelopeStatus::InProgress),
        ("failed", Some("rejected"), EnvelopeStatus::Declined),
        ("failed", Some("canceled"), EnvelopeStatus::Cancelled),
        ("failed", Some("closed"), EnvelopeStatus::Failed),
        ("cancelled", Some("canceled"), EnvelopeStatus::Cancelled),
        ("timed_out", Some("timedout"), EnvelopeStatus::Expired),
        ("frobbed", Some("pending"), EnvelopeStatus::InProgress),
        ("frobbed", Some("timedout"), EnvelopeStatus::Expired),
        ("frobbed", Some("closed"), EnvelopeStatus::Completed),
    ] {
        let mut answers = vec![instance(word)];
        if let Some(other) = other {
            answers.extend([answer(200, CLOSED), answer(200, EXTENDED_HISTORY)]);
            answers.extend([second(json!({ "status": other })), answer(200, EXTENDED_HISTORY)]);
        }
        let envelope = found(FLOW, answers);
        assert_eq!((envelope.status, envelope.status_at_platform.as_str()), (status, word), "{other:?}");
    }
}

#[test]
fn flow_is_asked_at_its_older_base_where_the_newer_one_is_not_known() {
    let old =
        INSTANCE.replace("process_parameters", "template_parameters").replace("completed", "in_progress");
    let call = Scrive.fetch_envelope(&access(&Scrive), &EnvelopeId::new(FLOW)).unwrap();
    let (lookup, asked) = play(call, [answer(404, "<html>"), answer(200, old)]);
    assert_eq!(asked[1], format!("GET /experimental/flow/instances/{FLOW}"));
    let Lookup::Found(envelope) = lookup.unwrap() else { panic!("not found") };
    assert_eq!(download(&envelope, "record:flow").unwrap(), asked[1]);
    assert_eq!(fetch(FLOW, vec![answer(404, FLOW_ERROR)]), Lookup::NotFound);
    let call = Scrive.fetch_envelope(&access(&Scrive), &EnvelopeId::new(FLOW));
    let error = result(call, [answer(404, "<html>"), answer(404, "<html>")]).unwrap_err();
    assert!(matches!(error.remedy(), Remedy::Retry(_)));
}

#[test]
fn the_documents_of_a_flow_are_fetched_one_by_one_and_waited_for() {
    let artifacts = list(FLOW, vec![instance("completed"), answer(200, CLOSED), second(json!({}))]).unwrap();
    let known = envelope(FLOW, EnvelopeStatus::Completed);
    assert_eq!(artifacts.len(), 11);
    assert_eq!(artifacts.last().unwrap().id, "record:flow");
    for artifact in &artifacts {
        assert!(download(&known, &artifact.id).is_ok(), "{}", artifact.id);
    }
    assert_eq!(
        download(&known, &format!("main:{OTHER}")).unwrap(),
        format!("GET /api/v2/documents/{OTHER}/files/main")
    );
    for unready in [json!({ "sealed_file": null }), json!({ "status": "pending" })] {
        let error =
            list(FLOW, vec![instance("completed"), answer(200, CLOSED), second(unready)]).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Park);
    }
    let left =
        list(FLOW, vec![instance("failed"), answer(200, CLOSED), second(json!({ "status": "pending" }))]);
    assert!(left.is_ok(), "nobody will finish it");
    let gone = answer(404, json!({ "error_type": "resource_not_found" }).to_string());
    let error = list(FLOW, vec![instance("completed"), gone]).unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::NotFound, Remedy::AskPerson));
    let hostile = INSTANCE.replace(OTHER, "../../oauth");
    assert!(list(FLOW, vec![answer(200, hostile)]).is_err());
}

#[test]
fn whoami_is_the_profile_or_else_the_author_of_a_document_of_ones_own() {
    let user = |answers: Vec<Response<Bytes>>| result(Scrive.whoami(&access(&Scrive)), answers).unwrap();
    let known = user(vec![answer(200, include_str!("fixtures/profile.json"))]);
    assert_eq!((known.id.as_deref(), known.email.as_deref()), (Some("211338"), Some("sender@example.com")));

    let list = include_str!("fixtures/own_documents.json");
    let nothing = json!({ "total_matching": 0, "documents": [] });
    for (status, body) in [
        (404, "{}"),
        (404, "<html>"),
        (403, "{}"),
        (200, r#"{"email":""}"#),
        (200, "<html>"),
        (200, "[]"),
        (200, "null"),
        (200, "{\"email\":"),
        (204, ""),
    ] {
        let other = answer(status, body);
        let known = user(vec![other.clone(), answer(200, list)]);
        let email = "sender@example.com";
        assert_eq!((known.name.as_str(), known.email.as_deref()), (email, Some(email)), "{status} {body}");
        let unknown = user(vec![other, answer(200, nothing.to_string())]);
        assert!(unknown.name.contains("scrive.com") && unknown.sender().is_none());
    }
    for (status, body) in [(401, "{}"), (503, "{}"), (302, "")] {
        let refused = result(Scrive.whoami(&access(&Scrive)), [answer(status, body)]);
        assert!(refused.is_err(), "{status}: it says nothing about the profile");
    }
}

#[test]
fn a_callback_keeps_no_secret_of_the_document_in_its_meaning() {
    let inbound: Inbound = recorded(DELIVERY_SEALED);
    let meaning = format!("{:?}", Scrive.interpret(&inbound));
    for secret in ["d0cumentacc3ss", "s1gnl1nk", "p4thsecret"] {
        assert!(!meaning.contains(secret), "{secret}");
    }
}
