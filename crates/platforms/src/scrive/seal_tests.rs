//! Seals, their extension, and what must not be kept or lost: retention, redaction.

use aftersign_core::Remedy;
use aftersign_core::artifact::{ArtifactKind, ArtifactRef};
use aftersign_core::envelope::{EnvelopeStatus, Extension};
use aftersign_core::error::ErrorKind;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::Platform;
use proptest::prelude::{Strategy, any, prop, proptest};
use serde_json::{Value, json};

use super::Scrive;
use super::tests::{
    CLOSED, EXTENDED_HISTORY, FLOW, ID, INSTANCE, SEALED_HISTORY, completed_flow, document, found, instance,
    list, second,
};
use crate::testing::{access, answer, play, result};

const FILE: &str = "8222115557375075501";

#[test]
fn the_history_tells_whether_the_seal_is_extended_and_never_stops_the_archiving() {
    let extension =
        |history: &'static str| found(ID, vec![answer(200, CLOSED), answer(200, history)]).extension;
    assert_eq!(extension(SEALED_HISTORY), Extension::Awaited);
    assert_eq!(extension(EXTENDED_HISTORY), Extension::Done);
    assert_eq!(extension(r#"{"events":[5,{"status":null},{"status":"extended"}]}"#), Extension::Done);
    for unreadable in [answer(403, "{}"), answer(404, "{}"), answer(200, "<html>"), answer(200, "{")] {
        assert_eq!(found(ID, vec![answer(200, CLOSED), unreadable]).extension, Extension::Unknown);
    }
    let call = Scrive.fetch_envelope(&access(&Scrive), &EnvelopeId::new(ID));
    let error = result(call, [answer(200, CLOSED), answer(503, "")]).unwrap_err();
    assert!(matches!(error.remedy(), Remedy::Retry(_)));
}

#[test]
fn what_is_not_closed_awaits_nothing_and_what_is_not_sealed_or_qualified_awaits_without_being_asked() {
    let of = |more: Value| {
        let envelope = found(ID, vec![answer(200, document(more))]);
        (envelope.extension, envelope.revision)
    };
    for status in ["pending", "rejected", "canceled", "timedout", "document_error", "frobbed"] {
        assert_eq!(of(json!({ "status": status, "sealed_file": null })), (Extension::NotAwaited, None));
    }
    assert_eq!(of(json!({ "sealed_file": null })), (Extension::Awaited, None), "its sealing still runs");
    let qualified = json!({ "parties": [{ "authentications": { "sign": { "name": "se_bankid_qes" } } }] });
    assert_eq!(of(qualified), (Extension::Awaited, Some(FILE.into())));
}

#[test]
fn an_extension_that_no_callback_told_is_seen_in_the_list_by_its_revision() {
    let archived = found(ID, vec![answer(200, CLOSED), answer(200, SEALED_HISTORY)]);
    assert_eq!((archived.revision.as_deref(), archived.extension), (Some(FILE), Extension::Awaited));
    let extended = document(json!({
        "sealed_file": { "id": "8222115557375075599" }, "mtime": "2026-11-12T03:00:00Z", "object_version": 19
    }));
    let row: Value = serde_json::from_str(&extended).unwrap();
    let rows = json!({ "total_matching": 1, "documents": [row] }).to_string();
    let window = super::sweep_tests::window(Some("2026-11-12T00:00:00Z/0/all"));
    let (page, _) = play(Scrive.changed_since(&access(&Scrive), &window).unwrap(), [answer(200, rows)]);
    let row = page.unwrap().items.remove(0);
    assert_eq!((&row.status, row.extension), (&archived.status, Extension::Unknown));
    assert_ne!(row.revision, archived.revision);
    let now = found(ID, vec![answer(200, extended), answer(200, EXTENDED_HISTORY)]);
    assert_eq!((now.revision, now.extension), (row.revision, Extension::Done));
}

#[test]
fn a_flow_is_extended_when_all_its_documents_are() {
    let both = |more: Value, history| {
        let envelope = completed_flow(more, history);
        (envelope.extension, envelope.revision.unwrap_or_default())
    };
    let two = format!("{FILE},{FILE}");
    assert_eq!(both(json!({}), EXTENDED_HISTORY), (Extension::Done, two.clone()));
    assert_eq!(both(json!({}), SEALED_HISTORY), (Extension::Awaited, two.clone()));
    assert_eq!(both(json!({}), "{"), (Extension::Unknown, two));
    let other = json!({ "sealed_file": { "id": "9" } });
    assert_eq!(both(other, EXTENDED_HISTORY).1, format!("{FILE},9"));
    let gone = || answer(404, json!({ "error_type": "resource_not_found" }).to_string());
    let half = vec![instance("completed"), answer(200, CLOSED), answer(200, EXTENDED_HISTORY), gone()];
    assert_eq!(found(FLOW, half).revision, None, "a loss is no newer file");
    let none = found(FLOW, vec![instance("completed"), gone(), gone()]);
    assert_eq!(none.extension, Extension::Unknown);
    let unasked = found(FLOW, vec![instance("in_progress")]);
    assert_eq!((unasked.extension, unasked.revision), (Extension::NotAwaited, None));
    let rejected = json!({ "status": "rejected", "sealed_file": null });
    let ended = [instance("failed"), second(rejected.clone())];
    let [failed, _] = ended;
    let of_one = vec![failed, answer(200, CLOSED), answer(200, SEALED_HISTORY), second(rejected)];
    assert_eq!(found(FLOW, of_one).extension, Extension::Awaited, "one of them is sealed");
}

#[test]
fn the_stricter_retention_holds_and_an_answer_without_one_is_no_all_clear() {
    let read = |body: Value| result(Scrive.retention(&access(&Scrive)), [answer(200, body.to_string())]);
    let own = json!({
        "idle_doc_timeout_preparation": 3, "idle_doc_timeout_closed": 90, "idle_doc_timeout_canceled": null,
        "idle_doc_timeout_timedout": "14", "idle_doc_timeout_rejected": -1, "immediate_trash": true
    });
    let company = json!({ "idle_doc_timeout_closed": 60, "idle_doc_timeout_error": 7 });
    let both = json!({ "data_retention_policy": own, "company_data_retention_policy": company });
    let days = |answer: Value| read(answer).unwrap().days;
    let (completed, expired, failed) =
        (EnvelopeStatus::Completed, EnvelopeStatus::Expired, EnvelopeStatus::Failed);
    assert_eq!(days(both), [(completed, 60), (expired, 14), (failed, 7)]);
    assert_eq!(days(json!({ "data_retention_policy": own })), [(completed, 90), (expired, 14)]);
    assert_eq!(days(own), [(completed, 90), (expired, 14)], "without the wrapping");
    assert_eq!(days(json!({ "idle_doc_timeout_closed": null })), [], "kept");
    for nothing in [json!({}), json!({ "data_retention_policy": {} }), json!({ "days": 30 })] {
        assert_eq!(read(nothing).unwrap_err().kind(), ErrorKind::Unintelligible);
    }
    let (_, asked) = play(Scrive.retention(&access(&Scrive)).unwrap(), [answer(200, "{}")]);
    assert_eq!(asked, ["GET /api/v2/dataretentionpolicy"]);
    let refused = json!({ "error_type": "insufficient_privileges" }).to_string();
    let error = result(Scrive.retention(&access(&Scrive)), [answer(403, refused)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
}

fn redacted(record: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let artifacts = list(ID, vec![answer(200, CLOSED)]).unwrap();
    let record_of = |artifact: &&ArtifactRef| artifact.kind == ArtifactKind::PlatformRecord;
    Scrive.redacted(artifacts.iter().find(record_of).unwrap(), record.as_ref())
}

fn redacted_text(record: &str) -> Option<String> {
    redacted(record).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn archived_records_keep_every_byte_but_the_capabilities() {
    let kept = redacted_text(CLOSED).unwrap();
    let secret = [
        "\"d0cumentacc3ss\"",
        "\"https://sign.example.com/callbacks/legal/p4thsecret\"",
        "\"https://scrive.com/s/8222115557375075439/10/s1gnl1nk\"",
        "\"https://scrive.com/s/8222115557375075439/11/s1gnl1nk\"",
        "\"https://scrive.com/s/8222115557375075439/12/s1gnl1nk\"",
    ];
    let expected = secret.iter().fold(CLOSED.to_owned(), |text, secret| {
        assert!(text.contains(secret), "{secret}");
        text.replace(secret, "\"redacted\"")
    });
    assert_eq!(kept, expected);
    assert_eq!(redacted_text(&kept).as_deref(), Some(kept.as_str()), "once more changes nothing");
    let flow = redacted_text(INSTANCE).unwrap();
    let expected = INSTANCE
        .replace("https://scrive.com/flow/overview/acc3ssl1nk", "redacted")
        .replace("https://sign.example.com/callbacks/legal/p4thsecret", "redacted");
    assert_eq!(flow, expected);
    let artifacts = list(ID, vec![answer(200, CLOSED)]).unwrap();
    let others = artifacts.iter().filter(|artifact| artifact.kind != ArtifactKind::PlatformRecord);
    assert!(others.into_iter().all(|artifact| Scrive.redacted(artifact, CLOSED.as_bytes()).is_none()));
}

#[test]
fn secrets_are_found_in_every_shape_and_depth_and_nothing_else_is_touched() {
    for (record, kept) in [
        (r#"{"access_token":"x"}"#, r#"{"access_token":"redacted"}"#),
        (r#"{"access\u005ftoken" : "a\"}\\" , "b":1}"#, r#"{"access\u005ftoken" : "redacted" , "b":1}"#),
        (r#"[[{"Access_Token":17}],"x"]"#, r#"[[{"Access_Token":"redacted"}],"x"]"#),
        (
            r#"{"access_token":1,"access_token":"y"}"#,
            r#"{"access_token":"redacted","access_token":"redacted"}"#,
        ),
        (
            r#"{"access_links":{"u":["l",{"v":"m","w":null}],"x":{}},"n":"o"}"#,
            r#"{"access_links":{"u":["redacted",{"v":"redacted","w":null}],"x":{}},"n":"o"}"#,
        ),
        (
            r#"{"callback":{"version":1.0e2,"url":"u"},"url":"v"}"#,
            r#"{"callback":{"version":1.0e2,"url":"redacted"},"url":"v"}"#,
        ),
        ("\u{FEFF} {\"api_delivery_url\":\ttrue}\n", "\u{FEFF} {\"api_delivery_url\":\t\"redacted\"}\n"),
    ] {
        assert_eq!(redacted_text(record).as_deref(), Some(kept), "{record}");
    }
    for untouched in [
        r#"{"access_token":null}"#,
        r#"{"title":"access_token","x":"\"access_token\":\"y\""}"#,
        r#"{"url":"u","callback":null}"#,
        r#""access_token""#,
        "[]",
        "17",
    ] {
        assert_eq!(redacted_text(untouched), None, "{untouched}");
    }
    for no_json in
        ["", "<html>", r#"{"access_token":"x""#, r#"{"access_token":"x"} more"#, "{'access_token':1}"]
    {
        assert_eq!(redacted(no_json), None, "{no_json}");
    }
    let deep = format!("{}{{\"access_token\":\"s3cret\"}}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(redacted_text(&deep).unwrap(), deep.replace("s3cret", "redacted"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = proptest::prop_oneof![
        proptest::prelude::Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let name = "access_token|access_links|accesstoken|callback|url|.{0,6}";
        proptest::prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same by way of a tree, which may reorder.
fn redacted_tree(value: &mut Value, is_secret: bool, in_callback: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| redacted_tree(item, is_secret, in_callback)),
        Value::Object(members) => {
            for (name, value) in members {
                let secret = matches!(name.as_str(), "access_token" | "access_links" | "accesstoken");
                let secret = is_secret || secret || (in_callback && name == "url");
                redacted_tree(value, secret, name == "callback");
            }
        }
        Value::Null => {}
        _ if is_secret => *value = json!("redacted"),
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_bytes_that_are_kept_say_the_same_as_a_tree_without_its_secrets(record in any_json(), pretty in any::<bool>()) {
        let text = |value: &Value| if pretty { format!("{value:#}") } else { value.to_string() };
        let mut expected = record.clone();
        redacted_tree(&mut expected, false, false);
        let kept = redacted_text(&text(&record));
        assert_eq!(kept.is_none(), record == expected);
        assert_eq!(kept.unwrap_or_else(|| text(&record)), text(&expected));
    }

    #[test]
    fn redaction_outlives_any_bytes(record in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,\"\\\\a-z0-9 ]{0,60}") {
        let _ = redacted(record);
        let _ = redacted(text);
    }
}
