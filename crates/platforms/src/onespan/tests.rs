use aftersign_core::artifact::ArtifactKind;
use aftersign_core::callback::{
    Inbound, Interpretation, Meaning, NotificationKind, Refusal, RepeatMeans, Urgency,
};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup};
use aftersign_core::error::ErrorKind;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Platform, Window};
use aftersign_core::{Error, Remedy};
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::OneSpan;
use crate::testing::{
    access, answer, envelope, inbound, keys, line, play, proof, recorded, result, understood,
};

const KEY: &str = "test-callback-key";
pub(super) const ID: &str = "5n4obeO8jYoPp126Cm-Y3fxdfbo=";
pub(super) const PATH: &str = "/api/packages/5n4obeO8jYoPp126Cm-Y3fxdfbo%3D";
const CAPTURED: &[u8] = include_bytes!("fixtures/delivery_complete.http");
const SEEDS: &[u8] = include_bytes!("fixtures/seed_payloads.txt");
pub(super) const COMPLETED: &str = include_str!("fixtures/package_completed.json");
pub(super) const NO_RIGHT: &str = include_str!("fixtures/error_403.json");
pub(super) const NOT_FOUND: &str =
    r#"{"code":404,"messageKey":"error.notFound.packageNotFound","message":"gone"}"#;

fn interpret(body: &Value) -> Interpretation {
    OneSpan.interpret(&inbound(Method::POST, None, "", body.to_string()))
}

fn authorized(values: &[&str]) -> Inbound {
    let mut inbound = recorded(CAPTURED);
    inbound.headers.remove("authorization");
    for value in values {
        inbound.headers.append("authorization", HeaderValue::from_str(value).unwrap());
    }
    inbound
}

pub(super) fn with(changes: Value) -> &'static str {
    let mut package: Value = serde_json::from_str(COMPLETED).unwrap();
    package.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    package.to_string().leak()
}

#[test]
fn the_key_is_compared_raw_and_several_are_tried() {
    let check = |values: &[&str], secrets: &[&str]| {
        OneSpan.authenticate(&authorized(values), &keys(secrets)).map_err(|refusal| refusal.as_str())
    };
    let captured = recorded(CAPTURED);
    assert_eq!(captured.headers["user-agent"], "", "an empty User-Agent is genuine");
    assert_eq!(OneSpan.authenticate(&captured, &keys(&["old", KEY])), Ok(()));
    for good in ["Basic test-callback-key", "basic  test-callback-key", "BASIC\ttest-callback-key "] {
        assert_eq!(check(&[good], &[KEY, "new"]), Ok(()), "{good}");
    }
    for bad in [
        "Basic dGVzdC1jYWxsYmFjay1rZXk=",
        "Basic OnRlc3QtY2FsbGJhY2sta2V5",
        "test-callback-key",
        "Bearer test-callback-key",
        "Basic test-callback-key more",
        "Basic test-callback-ke",
        "Basic test-callback-keys",
        "Basic TEST-CALLBACK-KEY",
        "Basic",
        "Basic ",
        "",
    ] {
        assert_eq!(check(&[bad], &[KEY]), Err("unauthorized"), "{bad}");
    }
    assert_eq!(check(&[], &[KEY]), Err("unauthorized"));
    assert_eq!(check(&["Basic test-callback-key", "Basic other"], &[KEY]), Err("unauthorized"));
    assert_eq!(check(&["Basic x"], &[""]), Err("unauthorized"), "an empty key is everybody's");
    assert_eq!(check(&["Basic "], &[""]), Err("unauthorized"));
    assert_eq!(check(&[], &[]), Ok(()), "without a key registered, none is sent");
    let mut raw = authorized(&[]);
    raw.headers.insert("authorization", HeaderValue::from_bytes(b"Basic \xff\xfe").unwrap());
    assert_eq!(OneSpan.authenticate(&raw, &keys(&[KEY])), Err(Refusal::Unauthorized));
}

#[test]
fn the_payloads_of_the_seed_are_understood() {
    use NotificationKind::{Declined, Finished, Opened, Prepared, Sent, SignerFinished};
    let payloads = OneSpan.undelivered(SEEDS).unwrap();
    let read = payloads.iter().map(|payload| {
        let meaning = OneSpan.interpret(payload);
        let news = understood(meaning.meaning).remove(0);
        assert_eq!((meaning.envelope, meaning.repeat_means), (Some(news.envelope), RepeatMeans::Nothing));
        assert_eq!(OneSpan.acknowledge(payload).status, 200);
        (meaning.kind.unwrap(), news.kind, news.detail.unwrap_or_default())
    });
    let expected = [
        ("PACKAGE_CREATE", Prepared, ""),
        ("PACKAGE_ACTIVATE", Sent, ""),
        ("DOCUMENT_SIGNED", Opened, "consent to sign electronically"),
        ("DOCUMENT_SIGNED", Opened, "document 7caf46cdd75f7a411bf8c22793b84fa79d8d180becc40691"),
        ("SIGNER_COMPLETE", SignerFinished, ""),
        ("PACKAGE_COMPLETE", Finished, ""),
        ("PACKAGE_OPT_OUT", Declined, "the personal info is not correct"),
    ];
    let expected = expected.map(|(name, kind, detail)| (name.to_owned(), kind, detail.to_owned()));
    assert_eq!(read.collect::<Vec<_>>(), expected);
    let last = understood(OneSpan.interpret(&payloads[6]).meaning).remove(0);
    assert_eq!(last.envelope.as_str(), "J5tyJalzG49hmDho5b9JdG61T7M=");
    assert_eq!(last.signer.as_deref(), Some("b5381b13-991e-4179-9f9b-d4e1ec9d06bb"));
    assert_eq!(last.occurred_at.unwrap().to_string(), "2018-06-30T20:16:29.763Z");
}

#[test]
fn all_22_names_are_known_and_both_spellings_of_ready_are_one() {
    use NotificationKind as Kind;
    let of = |name: &str, message: Value| {
        let body = json!({ "name": name, "packageId": ID, "message": message, "sessionUser": "s" });
        understood(interpret(&body).meaning).into_iter().map(|news| news.kind).next()
    };
    let expected = [
        ("PACKAGE_DEACTIVATE", Kind::Informed),
        ("PACKAGE_READY_FOR_COMPLETE", Kind::ReadyForCompletion),
        ("PACKAGE_READY_FOR_COMPLETION", Kind::ReadyForCompletion),
        ("PACKAGE_DECLINE", Kind::Declined),
        ("PACKAGE_EXPIRE", Kind::Expired),
        ("PACKAGE_ARCHIVE", Kind::Finished),
        ("PACKAGE_TRASH", Kind::ArtifactsReady),
        ("PACKAGE_RESTORE", Kind::Informed),
        ("PACKAGE_DELETE", Kind::Deleted),
        ("DOCUMENT_VIEWED", Kind::Opened),
        ("SIGNER_LOCKED", Kind::SignerLocked),
        ("KBA_FAILURE", Kind::AuthenticationFailed),
        ("ROLE_REASSIGN", Kind::Delegated),
        ("PACKAGE_ATTACHMENT", Kind::ArtifactsReady),
        ("COBROWSE_REQUEST", Kind::Informed),
        ("package_complete", Kind::Finished),
        ("PACKAGE_FROBBED", Kind::Unknown),
    ];
    for (name, kind) in expected {
        assert_eq!(of(name, Value::Null), Some(kind), "{name}");
    }
    for message in ["BOUNCE", "COMPLAINT", "UNKNOWN", "null", "from the future"] {
        assert_eq!(of("EMAIL_BOUNCE", message.into()), Some(Kind::EmailBounced), "{message}");
    }
    assert_eq!(of("EMAIL_BOUNCE", "OOTO".into()), Some(Kind::Informed));
    assert_eq!(of("TEMPLATE_CREATE", Value::Null), None);
    let names = OneSpan.wanted_events().iter().chain(OneSpan.optional_events());
    for name in names.filter(|name| **name != "TEMPLATE_CREATE") {
        assert!(of(name, Value::Null).is_some_and(|kind| kind != Kind::Unknown), "{name}");
    }
    let key = |name: &str| interpret(&json!({ "name": name, "packageId": ID })).key;
    assert_eq!(key("PACKAGE_READY_FOR_COMPLETION"), key("PACKAGE_READY_FOR_COMPLETE"));
}

#[test]
fn a_signer_has_one_name_in_all_news_and_it_is_the_id_in_the_answer() {
    let signer_of = |name: &str, session_user: &str| {
        let body = json!({ "name": name, "packageId": ID, "sessionUser": session_user });
        understood(interpret(&body).meaning).remove(0).signer
    };
    let envelope = found(COMPLETED);
    let anna = envelope.signers[0].id.as_deref().unwrap();
    for name in [
        "EMAIL_BOUNCE",
        "SIGNER_LOCKED",
        "KBA_FAILURE",
        "DOCUMENT_VIEWED",
        "SIGNER_COMPLETE",
        "ROLE_REASSIGN",
    ] {
        assert_eq!(signer_of(name, anna).as_deref(), Some(anna), "{name}");
    }
    assert_eq!(signer_of("EMAIL_BOUNCE", "18EZDL44xgsX"), None, "a sender is no signer");
    assert_eq!(signer_of("PACKAGE_READY_FOR_COMPLETE", anna), None, "the last signer has nothing to do");
}

#[test]
fn a_template_is_noted_and_is_no_envelope() {
    for name in ["TEMPLATE_CREATE", "TEMPLATE_FROBBED"] {
        let meaning = interpret(&json!({ "name": name, "packageId": ID }));
        assert!(matches!(meaning.meaning, Meaning::Understood(news) if news.is_empty()));
        assert_eq!((meaning.envelope, meaning.kind.as_deref()), (None, Some(name)));
    }
}

#[test]
fn all_four_spellings_of_nothing_are_one() {
    let base =
        json!({ "name": "PACKAGE_COMPLETE", "packageId": ID, "createdDate": "2018-06-30T20:15:01.038Z" });
    let absent = interpret(&base);
    for nothing in [Value::Null, "".into(), "null".into(), " ".into()] {
        let mut body = base.clone();
        for field in ["message", "documentId", "sessionUser", "newRoleId"] {
            body[field] = nothing.clone();
        }
        let meaning = interpret(&body);
        assert_eq!(meaning.key, absent.key, "{nothing}");
        let news = understood(meaning.meaning).remove(0);
        assert_eq!((news.detail, news.signer), (None, None));
    }
    for odd in [json!(5), json!([]), json!({ "a": 1 })] {
        let mut body = base.clone();
        body["message"] = odd;
        assert_eq!(interpret(&body).key, absent.key);
    }
}

#[test]
fn what_cannot_be_looked_up_is_quarantined_with_the_reason() {
    let reason = |body: &str| match OneSpan.interpret(&inbound(Method::POST, None, "", body.to_owned())) {
        Interpretation { meaning: Meaning::Quarantined(reason), envelope: None, .. } => reason,
        other => panic!("{body}: {other:?}"),
    };
    assert!(reason("").contains("no body"));
    assert!(reason("[{}]").contains("callbacks import"));
    assert!(reason("name=PACKAGE_COMPLETE").contains("not a JSON object"));
    assert!(reason("{\"name\":").contains("cannot be read"));
    assert!(reason("{\"name\":\"A\",\"name\":\"B\"}").contains("cannot be read"));
    assert!(reason("{}").contains("names no event"));
    assert!(reason(r#"{"name":"PACKAGE_COMPLETE"}"#).contains("no package"));
    for id in ["../x", "a/b", "a b", "%2e", "ä", "=", "a===", "a=b", &"a".repeat(256)] {
        let text = reason(&json!({ "name": "PACKAGE_COMPLETE", "packageId": id }).to_string());
        assert!(text.contains("not a package's id") && text.len() < 700, "{text}");
    }
    let account = interpret(&json!({ "name": "ACCOUNT_FROBBED" }));
    assert!(matches!(account.meaning, Meaning::Understood(news) if news.is_empty()));
    for field in ["event", "type", "eventName", "eventType"] {
        assert_eq!(
            interpret(&json!({ field: "PACKAGE_COMPLETE", "packageId": ID })).kind.as_deref(),
            Some("PACKAGE_COMPLETE")
        );
    }
    let long = json!({ "name": "X".repeat(9_999), "packageId": ID, "message": "m".repeat(9_999) });
    let news = understood(interpret(&long).meaning).remove(0);
    assert!(news.kind_at_platform.len() < 1_000 && news.detail.unwrap().len() < 1_000);
}

fn fetch(answers: &[(u16, &'static str)]) -> (Result<Lookup, Error>, Vec<String>) {
    let call = OneSpan.fetch_envelope(&access(&OneSpan), &EnvelopeId::new(ID)).unwrap();
    play(call, answers.iter().map(|(status, body)| answer(*status, *body)))
}

pub(super) fn found(body: &'static str) -> Envelope {
    match fetch(&[(200, body)]).0.unwrap() {
        Lookup::Found(envelope) => *envelope,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_package_is_read_with_its_sender_signers_and_metadata() {
    let (_, asked) = fetch(&[(200, COMPLETED)]);
    assert_eq!(asked, [format!("GET {PATH}")]);
    let envelope = found(COMPLETED);
    assert_eq!(
        (envelope.status, envelope.status_at_platform.as_str()),
        (EnvelopeStatus::Completed, "COMPLETED")
    );
    assert_eq!(envelope.sender.as_deref(), Some("sender@example.com"));
    assert_eq!(envelope.completed_at.unwrap().to_string(), "2026-11-19T12:29:58Z");
    assert!(envelope.metadata.unwrap().contains("\"4711\""));
    assert_eq!(envelope.expires_at, None);
    let due = found(with(json!({ "due": "2026-12-01T00:00:00Z" })));
    assert_eq!(due.expires_at.unwrap().to_string(), "2026-12-01T00:00:00Z");
    let signers: Vec<_> =
        envelope.signers.iter().map(|it| (it.name.as_deref(), it.signed_at.is_some())).collect();
    assert_eq!(signers, [(Some("Anna Signer"), true), (Some("Ben"), true)], "the sender signs nothing");
    assert_eq!(envelope.signers[0].status_at_platform.as_deref(), Some("signed"));
    let is = |word: &str| found(with(json!({ "status": word, "data": null }))).status;
    for (word, status) in [
        ("DRAFT", EnvelopeStatus::Draft),
        ("SENT", EnvelopeStatus::InProgress),
        ("ARCHIVED", EnvelopeStatus::Completed),
        ("DECLINED", EnvelopeStatus::Declined),
        ("OPTED_OUT", EnvelopeStatus::Declined),
        ("EXPIRED", EnvelopeStatus::Expired),
        ("OVERVIEW", EnvelopeStatus::Unknown),
    ] {
        assert_eq!(is(word), status, "{word}");
    }
    assert_eq!(found(with(json!({ "status": "SENT", "documents": [] }))).status, EnvelopeStatus::Sent);
    let trashed = found(with(json!({ "trashed": true })));
    assert_eq!(
        (trashed.status, trashed.status_at_platform.as_str()),
        (EnvelopeStatus::Completed, "COMPLETED, TRASHED")
    );
    assert_eq!(found(with(json!({ "data": null }))).metadata, None);
}

#[test]
fn what_lies_in_the_trash_is_looked_at_at_once_and_has_not_ended() {
    let news = understood(interpret(&json!({ "name": "PACKAGE_TRASH", "packageId": ID })).meaning).remove(0);
    assert_eq!(
        (news.kind.urgency(), news.kind.is_final(), news.kind.suggests()),
        (Urgency::Now, false, None)
    );
    let trashed = |status: &str| found(with(json!({ "status": status, "trashed": true })));
    let sent = trashed("SENT");
    assert_eq!(
        (sent.status, sent.status_at_platform.as_str()),
        (EnvelopeStatus::InProgress, "SENT, TRASHED")
    );
    assert_eq!(trashed("DRAFT").status, EnvelopeStatus::Draft);
    assert!(
        list(&[(200, with(json!({ "status": "SENT", "trashed": true })))]).is_err(),
        "nothing is fetched early"
    );
    let files = list(&[(200, with(json!({ "trashed": true }))), (404, "")]).unwrap();
    assert_eq!(files, list(&[(200, COMPLETED), (404, "")]).unwrap(), "the trash is archived like any other");
}

/// The package with other files for its first requirement.
pub(super) fn attached(files: Value, status: &str) -> &'static str {
    let mut package: Value = serde_json::from_str(COMPLETED).unwrap();
    let requirement = &mut package["roles"][1]["attachmentRequirements"][0];
    requirement["files"] = files;
    requirement["status"] = status.into();
    package.to_string().leak()
}

#[test]
fn what_is_attached_later_is_another_revision_and_a_removal_is_none() {
    let revision = |body| found(body).revision;
    let files = json!([{ "id": 3, "name": "licence.jpg" }, { "id": 4 }]);
    let first = revision(COMPLETED);
    assert!(first.as_ref().is_some_and(|revision| revision.len() == 16), "{first:?}");
    for same in [
        attached(files.clone(), "COMPLETE"),
        attached(json!([{ "id": "4" }, { "id": 3 }]), "COMPLETE"),
        with(json!({ "updated": "2026-12-01T00:00:00Z", "trashed": true, "status": "ARCHIVED" })),
    ] {
        assert_eq!(revision(same), first, "{same}");
    }
    let more = json!([{ "id": 3 }, { "id": 4 }, { "id": 5 }]);
    let document = json!([{ "id": "default-consent" }, { "id": "7caf" }]);
    for other in [
        attached(more, "COMPLETE"),
        attached(json!([{ "id": 3 }, { "id": 9 }]), "COMPLETE"),
        attached(files, "REJECTED"),
        with(json!({ "documents": document })),
    ] {
        assert_ne!(revision(other), first, "{other}");
    }
    assert_eq!(revision(with(json!({ "status": "SENT" }))), None, "before the end nothing is archived");
}

#[test]
fn a_row_has_the_revision_of_the_package_or_none() {
    let row = |package: &str| {
        let body = format!(r#"{{"count":1,"results":[{package}]}}"#);
        let page = result(OneSpan.changed_since(&access(&OneSpan), &window(None)), [answer(200, body)]);
        page.unwrap().items.remove(0).revision
    };
    for whole in [COMPLETED, attached(json!([{ "id": 7 }]), "COMPLETE")] {
        assert_eq!(row(whole), found(whole).revision);
        assert!(row(whole).is_some());
    }
    for part in [
        attached(json!(null), "COMPLETE"),
        with(json!({ "documents": null })),
        with(json!({ "roles": [] })),
        with(json!({ "status": "SENT" })),
    ] {
        assert_eq!(row(part), None, "{part}");
    }
}

#[test]
fn gone_unknown_and_template_are_told_apart() {
    let (read, asked) = fetch(&[(404, NOT_FOUND), (200, r#"{"status":"DELETED"}"#)]);
    assert_eq!(read.unwrap(), Lookup::Deleted { at: None });
    assert_eq!(asked[1], format!("GET {PATH}/signingStatus"));
    assert_eq!(fetch(&[(404, NOT_FOUND), (404, NOT_FOUND)]).0.unwrap(), Lookup::NotFound);
    assert_eq!(fetch(&[(404, ""), (403, NO_RIGHT)]).0.unwrap(), Lookup::NotFound);
    assert_eq!(fetch(&[(404, ""), (503, "")]).0.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fetch(&[(404, "<html>")]).0.unwrap_err().kind(), ErrorKind::Unintelligible);
    for kind in ["TEMPLATE", "LAYOUT"] {
        let error = fetch(&[(200, with(json!({ "type": kind })))]).0.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Abandon);
    }
    let other = with(json!({ "id": ID.to_lowercase() }));
    assert_eq!(fetch(&[(200, other)]).0.unwrap_err().kind(), ErrorKind::Unintelligible);
}

fn list(answers: &[(u16, &'static str)]) -> Result<Vec<String>, Error> {
    let known = envelope(ID, EnvelopeStatus::Completed);
    let call = OneSpan.list_artifacts(&access(&OneSpan), &known);
    let list = result(call, answers.iter().map(|(status, body)| answer(*status, *body)))?;
    Ok(list
        .iter()
        .map(|item| {
            let request = OneSpan.download(&access(&OneSpan), &known, item).unwrap();
            assert_eq!(request.headers()["authorization"], "Basic s3cret");
            let accept = request.headers()["accept"].to_str().unwrap().split(';').next().unwrap().to_owned();
            format!("{} {} <- {} {accept}", item.kind.as_str(), item.file_name(&[]), line(&request))
        })
        .collect())
}

#[test]
fn documents_come_one_by_one_with_evidence_audit_fields_and_attachments() {
    let get = |rest: &str| format!("GET {PATH}{rest}");
    let consent = format!(
        "document Electronic Disclosures and Signatures Consent.pdf <- {} application/octet-stream",
        get("/documents/default-consent/pdf")
    );
    let rest = [
        format!(
            "document Lease.pdf <- {} application/octet-stream",
            get("/documents/7caf46cdd75f7a411bf8c22793b84fa79d8d180becc40691/pdf")
        ),
        format!("document _Annex.pdf <- {} application/octet-stream", get("/documents/Annex%201.b/pdf")),
        format!("attachment licence.jpg <- {} application/octet-stream", get("/attachment/req-1/file/3")),
        format!("attachment back.jpg <- {} application/octet-stream", get("/attachment/req-1/file/4")),
        format!("legal_evidence evidence-summary.pdf <- {} application/pdf", get("/evidence/summary")),
        format!("audit_trail audit-trail.json <- {} application/json", get("/audit")),
        format!("platform_record field-summary.json <- {} application/json", get("/fieldSummary")),
        format!("platform_record package.json <- {} application/json", get("")),
    ];
    let with_consent = list(&[(200, COMPLETED), (200, "%PDF-1.7")]).unwrap();
    assert_eq!((&with_consent[0], &with_consent[1..]), (&consent, &rest[..]));
    for without in [(404, NOT_FOUND), (403, NO_RIGHT), (200, "<html>")] {
        assert_eq!(list(&[(200, COMPLETED), without]).unwrap(), rest);
    }
    assert!(list(&[(200, COMPLETED), (503, "")]).is_err(), "a bad minute loses no file");
}

#[test]
fn no_document_is_named_before_completion() {
    for word in ["SENT", "DRAFT", "SIGNING_PENDING", ""] {
        let error = list(&[(200, with(json!({ "status": word })))]).unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::NotReady, Remedy::Park), "{word}");
    }
    for word in ["DECLINED", "OPTED_OUT", "EXPIRED"] {
        let listed = list(&[(200, with(json!({ "status": word })))]).unwrap();
        assert!(listed.len() == 3 && listed.iter().all(|item| !item.starts_with("document")), "{word}");
    }
    let open = envelope(ID, EnvelopeStatus::InProgress);
    let call = OneSpan.list_artifacts(&access(&OneSpan), &envelope(ID, EnvelopeStatus::Completed));
    let mut items = result(call, [answer(200, COMPLETED), answer(404, "")]).unwrap();
    let document = items.remove(0);
    assert_eq!(document.kind, ArtifactKind::Document);
    let early = OneSpan.download(&access(&OneSpan), &open, &document).unwrap_err();
    assert_eq!(early.remedy(), Remedy::Park);
    for none in [json!([]), json!([{ "id": "default-consent" }])] {
        assert_eq!(list(&[(200, with(json!({ "documents": none })))]).unwrap_err().remedy(), Remedy::Park);
    }
    assert_eq!(list(&[(200, with(json!({ "type": "TEMPLATE" })))]).unwrap_err().remedy(), Remedy::Abandon);
}

#[test]
fn hostile_ids_of_parts_never_reach_a_url() {
    for id in ["..", ".", "", "a/../b", "a\\b", "a%2fb", "a\r\nb", &"x".repeat(257)] {
        let documents = json!([{ "id": "good" }, { "id": id }]);
        let error = list(&[(200, with(json!({ "documents": documents })))]).unwrap_err();
        assert_eq!(error.remedy(), Remedy::AskPerson, "{id:?}");
        assert!(error.to_string().len() < 900);
        for part in [format!("document:{id}"), format!("attachment:3:{id}"), format!("attachment:{id}:r")] {
            let mut artifact = items().remove(0);
            artifact.id = part;
            let known = envelope(ID, EnvelopeStatus::Completed);
            assert!(OneSpan.download(&access(&OneSpan), &known, &artifact).is_err(), "{}", artifact.id);
        }
    }
    let mut artifact = items().remove(0);
    artifact.id = "document:ü?x#y&z:1".into();
    let known = envelope(ID, EnvelopeStatus::Completed);
    let request = OneSpan.download(&access(&OneSpan), &known, &artifact).unwrap();
    assert_eq!(line(&request), format!("GET {PATH}/documents/%C3%BC%3Fx%23y%26z%3A1/pdf"));
    let roles = json!([{ "attachmentRequirements": [{ "id": "r", "files": [{ "id": "../x" }] }] }]);
    let error = list(&[(200, with(json!({ "roles": roles })))]).unwrap_err();
    assert_eq!(error.remedy(), Remedy::AskPerson);
}

fn items() -> Vec<aftersign_core::artifact::ArtifactRef> {
    let call = OneSpan.list_artifacts(&access(&OneSpan), &envelope(ID, EnvelopeStatus::Completed));
    result(call, [answer(200, COMPLETED), answer(404, "")]).unwrap()
}

#[test]
fn errors_have_the_remedy_of_the_facts_and_show_no_technical_text() {
    let body = r#"{"code":1,"messageKey":"error.unprocessableEntity.x","message":"m","technical":"t0p"}"#;
    for (status, body, kind, remedy) in [
        (401, "", ErrorKind::AccessRefused, Remedy::RenewAccess),
        (403, NO_RIGHT, ErrorKind::Forbidden, Remedy::AskPerson),
        (403, "<html>", ErrorKind::Unintelligible, Remedy::Retry(None)),
        (404, NOT_FOUND, ErrorKind::NotFound, Remedy::Retry(None)),
        (400, body, ErrorKind::Rejected, Remedy::AskPerson),
        (406, body, ErrorKind::Rejected, Remedy::AskPerson),
        (409, body, ErrorKind::NotReady, Remedy::Park),
        (422, body, ErrorKind::NotReady, Remedy::Retry(None)),
        (408, "", ErrorKind::Unavailable, Remedy::Retry(None)),
        (425, "<html>", ErrorKind::Unintelligible, Remedy::Retry(None)),
        (429, "<html>", ErrorKind::RateLimited, Remedy::Retry(None)),
        (522, "<html>", ErrorKind::Unavailable, Remedy::Retry(None)),
    ] {
        let error = OneSpan.refused_download(&answer(status, body));
        assert_eq!((error.kind(), error.remedy()), (kind, remedy), "{status} {body}");
        assert!(!error.chain().contains("t0p") && !error.chain().contains("10.1.2.3"));
    }
    let error = OneSpan.refused_download(&answer(403, NO_RIGHT)).to_string();
    assert!(error.contains("error.forbidden.noPermission") && error.contains("You do not have permission"));
}

/// An access with one option set.
pub(super) fn told(name: &str, value: &str) -> Access {
    let mut access = access(&OneSpan);
    access.options.insert(name.to_owned(), value.to_owned());
    access
}

fn window(cursor: Option<&str>) -> Window {
    Window {
        since: "2026-11-19T10:00:00Z".parse().unwrap(),
        until: "2026-11-20T10:00:00Z".parse().unwrap(),
        cursor: cursor.map(str::to_owned),
    }
}

#[test]
fn a_sweep_asks_status_by_status_and_filters_again() {
    let page = include_str!("fixtures/package_list.json");
    let (mut asked, mut cursor) = (Vec::new(), None);
    loop {
        let call = OneSpan.changed_since(&access(&OneSpan), &window(cursor.as_deref())).unwrap();
        let (read, lines) = play(call, [answer(200, page)]);
        let read = read.unwrap();
        asked.extend(lines);
        let ids: Vec<&str> = read.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, [ID, "J5tyJalzG49hmDho5b9JdG61T7M="], "neither old rows nor templates");
        let Some(next) = read.next else { break };
        cursor = Some(next);
    }
    let line = |query: &str| {
        format!(
            "GET /api/packages?query={query}&type=PACKAGE&from=1&to=25&startDate=2026-11-19T10:00:00Z\
             &endDate=2026-11-20T10:05:00Z&sort=updated&dir=desc"
        )
    };
    let queries = ["DRAFT", "SENT", "COMPLETED", "DECLINED", "OPTED_OUT", "EXPIRED", "ARCHIVED", "trashed"];
    assert_eq!(asked, queries.map(line));
}

#[test]
fn pages_go_on_by_what_came_and_the_other_dialect_is_tried() {
    let next = |cursor: Option<&str>, body: &'static str| {
        result(OneSpan.changed_since(&access(&OneSpan), &window(cursor)), [answer(200, body)])
            .map(|page| page.next)
    };
    let rows = |rows: usize, count: u64| -> &'static str {
        json!({ "count": count, "results": vec![json!({ "id": ID }); rows] }).to_string().leak()
    };
    assert_eq!(next(None, rows(25, 60)).unwrap().as_deref(), Some("s.0.26.60"));
    let shorter = next(Some("s.0.26.60"), rows(10, 60)).unwrap();
    assert_eq!(shorter.as_deref(), Some("s.0.36.60"), "a shorter page");
    assert_eq!(next(Some("s.0.36.60"), rows(25, 60)).unwrap().as_deref(), Some("s.1.1.0"));
    assert_eq!(next(Some("s.0.26.60"), rows(0, 60)).unwrap().as_deref(), Some("s.1.1.0"));
    assert_eq!(next(Some("s.7.1.0"), rows(1, 1)).unwrap(), None);
    assert!(next(Some("s.0.99999.9"), rows(25, 999_999)).is_err(), "a list without end");
    let uncounted = |rows: usize| json!({ "results": vec![json!({ "id": ID }); rows] }).to_string().leak();
    assert_eq!(next(None, uncounted(25)).unwrap().as_deref(), Some("s.0.26.0"), "a full page may not be all");
    assert_eq!(next(None, uncounted(24)).unwrap().as_deref(), Some("s.1.1.0"));
    assert!(next(None, r#"{"count":1,"results":[{}]}"#).is_err());
    let refused = r#"{"code":400,"messageKey":"error.badRequest","message":"startDate"}"#;
    let call = OneSpan.changed_since(&access(&OneSpan), &window(None)).unwrap();
    let (page, asked) = play(call, [answer(400, refused), answer(200, rows(1, 1))]);
    assert_eq!(page.unwrap().next.as_deref(), Some("o.1.1.0"));
    assert_eq!(
        asked[1],
        "GET /api/packages?type=PACKAGE&from=1&to=25&lastUpdatedStartDate=2026-11-19T10:00:00Z\
         &lastUpdatedEndDate=2026-11-20T10:05:00Z&sort=updated&dir=desc"
    );
    let call = OneSpan.changed_since(&told("list_dialect", "spec1151"), &window(None)).unwrap();
    assert_eq!(play(call, [answer(400, refused)]).0.unwrap_err().remedy(), Remedy::AskPerson);
    for cursor in
        ["", "x.0.1.0", "s.8.1.0", "o.2.1.0", "s.0.0.0", "s.0.100001.0", "s.0.1", "s.0.1.1.1", "s.-1.1.0"]
    {
        let error = OneSpan.changed_since(&access(&OneSpan), &window(Some(cursor))).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Abandon, "{cursor}");
    }
}

#[test]
fn no_row_is_skipped_while_rows_vanish() {
    let mut left: Vec<String> = (0..250).map(|n| format!("{n:027}=")).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut cursor: Option<String> = Some("s.2.1.0".into());
    let mut pages = 0;
    while let Some(at) = cursor.filter(|at| at.starts_with("s.2.")) {
        let call = OneSpan.changed_since(&access(&OneSpan), &window(Some(&at))).unwrap();
        let from: usize = at.split('.').nth(2).unwrap().parse().unwrap();
        let rows = left.iter().skip(from - 1).take(25).map(|id| json!({ "id": id })).collect::<Vec<_>>();
        let body = json!({ "count": left.len(), "results": rows });
        let page = play(call, [answer(200, body.to_string())]).0.unwrap();
        seen.extend(page.items.into_iter().map(|item| item.id.as_str().to_owned()));
        // What was read goes away while the sweep reads on: archived and removed, or in another state.
        left.drain(..left.len().min(10));
        cursor = page.next;
        pages += 1;
        assert!(pages < 40, "the sweep has no end");
    }
    let all: Vec<String> = (0..250).map(|n| format!("{n:027}=")).collect();
    let gone_unread: Vec<_> = all.iter().filter(|id| !seen.contains(*id) && left.contains(*id)).collect();
    assert!(gone_unread.is_empty(), "{gone_unread:?}");
}

#[test]
fn with_a_key_the_lists_of_a_sender_name_the_owner() {
    let access = access(&OneSpan).for_sender("anna+1@example.com");
    let call = OneSpan.changed_since(&access, &window(None)).unwrap();
    assert!(line(&call.request).contains("&ownerEmail=anna%2B1%40example%2Ecom&type=PACKAGE"), "{call:?}");
    assert_eq!(call.request.headers()["authorization"], "Basic s3cret");
    let fetch = OneSpan.fetch_envelope(&access, &EnvelopeId::new(ID)).unwrap();
    assert_eq!(line(&fetch.request), format!("GET {PATH}"));
}

#[test]
fn an_option_that_is_no_choice_asks_a_person_and_names_the_choices() {
    let sweep = OneSpan.changed_since(&told("list_dialect", "sdk2023"), &window(None)).unwrap_err();
    let proof = proof(envelope(ID, EnvelopeStatus::Completed));
    let removal = OneSpan.dispose(&told("dispose_mode", "shred"), &proof).unwrap_err();
    for (error, choices) in [(sweep, "sdk2024, spec1151"), (removal, "trash, delete")] {
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson));
        assert!(error.to_string().contains(choices), "{error}");
    }
}
