//! Every payload sample of the vendors' articles, byte for byte, the broken ones too: each is acknowledged with the exact
//! words, kept as it came, and told truthfully.

use crate::common::{SECRET, Site};

/// OneSpan Sign, "Callback Event Notification, part 2".
const ONESPAN: [&str; 7] = [
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_CREATE","sessionUser":"18EZDL44xgsX","packageId":"wVdZEaPD2igwUnFGJBjDD0dpO7k=","message":null,"documentId":null,"createdDate":"2018-06-30T20:04:55.384Z"}"#,
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_ACTIVATE","sessionUser":"18EZDL44xgsX","packageId":"5n4obeO8jYoPp126Cm-Y3fxdfbo=","message":null,"documentId":null,"createdDate":"2018-06-30T20:09:50.425Z"}"#,
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"DOCUMENT_SIGNED","sessionUser":"44aafb7c-97b9-40e1-bb59-eb76c7d2a484","packageId":"5n4obeO8jYoPp126Cm-Y3fxdfbo=","message":null,"documentId":"default-consent","createdDate":"2018-06-30T20:10:51.002Z"}"#,
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"DOCUMENT_SIGNED","sessionUser":"44aafb7c-97b9-40e1-bb59-eb76c7d2a484","packageId":"5n4obeO8jYoPp126Cm-Y3fxdfbo=","message":null,"documentId":"7caf46cdd75f7a411bf8c22793b84fa79d8d180becc40691","createdDate":"2018-06-30T20:12:12.256Z"}"#,
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"SIGNER_COMPLETE","sessionUser":"44aafb7c-97b9-40e1-bb59-eb76c7d2a484","packageId":"5n4obeO8jYoPp126Cm-Y3fxdfbo=","message":null,"documentId":null,"createdDate":"2018-06-30T20:12:12.272Z"}"#,
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_COMPLETE","sessionUser":"e00696ec-d6f5-4feb-89c5-a5ce002a6c66","packageId":"5n4obeO8jYoPp126Cm-Y3fxdfbo=","message":null,"documentId":null,"createdDate":"2018-06-30T20:15:01.038Z"}"#,
    r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_OPT_OUT","sessionUser":"b5381b13-991e-4179-9f9b-d4e1ec9d06bb","packageId":"J5tyJalzG49hmDho5b9JdG61T7M=","message":"the personal info is not correct","documentId":null,"createdDate":"2018-06-30T20:16:29.763Z"}"#,
];

/// Scrive Flow, "Callbacks". The second has a second 67, the seventh a trailing comma.
const FLOW: [&str; 8] = [
    r#"{
"type": "completed",
"version": 1,
"event_created": "2021-03-10T16:40:17.332350921Z",
"flow_instance_id": "1e3a60ea-80b8-44bb-9e59-c64d8697b959"
}"#,
    r#"{
"type": "failed",
"version": 1,
"event_created": "2021-03-15T13:43:67.4589254893Z",
"flow_instance_id": "e98d5743-9d1a-4e65-bb77-4e117a5451b1"
}"#,
    r#"{
"type": "cancelled",
"version": 1,
"event_created": "2021-06-15T09:38:28.8361469582Z",
"flow_instance_id": "21dd7deb-3483-4fdd-bff9-05843a63df57"
}"#,
    r#"{
"type": "flow_rejected",
"version": 1,
"event_created": "2021-04-05T10:23:59.5784451354Z",
"flow_instance_id": "08b9e7d4-d424-4e66-baa4-06ab6635aad6",
"message": "Sorry, I don't want to sign this",
"user_name": "user1",
"document_name": "doc3"
}"#,
    r#"{
"type": "authentication_attempted",
"result": "success",
"version": 1,
"provider": "sms_otp",
"user_name": "user1",
"event_created": "2021-04-12T15:47:06.537487773Z",
"flow_instance_id": "49235955-29fd-4411-81c3-3222f5c9df30",
"eid_transaction_id": "9268dcea-24c7-49e5-874b-49da4ed77b16"
}"#,
    r#"{
"type": "authentication_max_failures_exceeded",
"version": 1,
"user_name": "user1",
"event_created": "2021-04-12T15:47:06.537487773Z",
"flow_instance_id": "49235955-29fd-4411-81c3-3222f5c9df30"
}"#,
    r#"{
"type": "timed_out",
"version": 1,
"event_created": "2021-04-05T10:23:59.5784451354Z",
"flow_instance_id": "08b9e7d4-d424-4e66-baa4-06ab6635aad6",
}"#,
    r#"{
"type": "custom",
"version": 1,
"callback_name": "my-callback",
"event_created": "2021-04-12T15:47:06.537487773Z",
"flow_instance_id": "49235955-29fd-4411-81c3-3222f5c9df30"
}"#,
];

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A member's text by its name, read without a JSON parser: one of the samples is none.
fn member<'a>(sample: &'a str, name: &str) -> &'a str {
    let (_, rest) = sample.split_once(&format!("\"{name}\"")).expect("the member");
    rest.trim_start_matches([':', ' ', '"']).split('"').next().expect("its text")
}

/// The kept rows of an account must be the samples, each once, with the repeats counted.
fn check_rows(site: &Site, account: &str, samples: &[&str], kind: &str, id: &str) {
    let list = site.json(&["callbacks", "list", "--account", account, "--json"]);
    let rows = list["callbacks"].as_array().unwrap();
    assert_eq!(rows.len(), samples.len(), "{list}");
    // Newest first.
    for (row, sample) in rows.iter().rev().zip(samples) {
        assert_eq!(row["kind"], member(sample, kind), "{row}");
        assert_eq!(row["envelope_id"], member(sample, id), "{row}");
        assert_eq!((&row["disposition"], &row["repeats"]), (&"noted".into(), &1.into()), "{row}");
        let shown = site.json(&["callbacks", "show", row["id"].as_str().unwrap(), "--json"]);
        assert_eq!(shown["body"], **sample, "kept as it came");
    }
}

#[test]
fn the_samples_of_onespan_sign_are_taken_and_truthfully_noted() {
    let mut site = Site::new(None);
    site.serve();
    let key = "Authorization: Basic a-callback-key\r\nUser-Agent:\r\nContent-Type: application/json; charset=utf-8\r\n";
    for sample in ONESPAN.iter().chain(&ONESPAN) {
        let answer = site.post("legal", key, sample);
        assert_eq!((status(&answer), body(&answer)), ("200", r#"{"status":"noted"}"#), "{sample}: {answer}");
    }
    assert_eq!(status(&site.post("legal", "Authorization: Basic another-key\r\n", ONESPAN[5])), "401");
    assert_eq!(status(&site.post("legal", "", ONESPAN[5])), "401");
    check_rows(&site, "legal", &ONESPAN, "name", "packageId");
    site.wait_for("all envelopes are known", |site| {
        site.json(&["envelopes", "list", "--account", "legal", "--json"])["envelopes"]
            .as_array()
            .is_some_and(|rows| rows.len() == 3)
    });
    let list = site.json(&["envelopes", "list", "--account", "legal", "--json"]);
    let rows = list["envelopes"].as_array().unwrap();
    let opted_out =
        rows.iter().find(|row| row["id"] == "J5tyJalzG49hmDho5b9JdG61T7M=").expect("the envelope");
    assert_eq!(opted_out["status"], "declined");
    assert!(opted_out["archived_at"].is_null());
}

#[test]
fn the_samples_of_scrive_flow_are_taken_and_truthfully_noted() {
    let mut site = Site::new(None);
    site.serve();
    for sample in FLOW.iter().chain(&FLOW) {
        let answer = site.post("lab", "Content-Type: application/json\r\n", sample);
        assert_eq!((status(&answer), body(&answer)), ("200", "OK"), "{sample}: {answer}");
    }
    let wrong = format!("POST /callbacks/lab/{SECRET}x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&site.send(wrong.as_bytes())), "404");
    check_rows(&site, "lab", &FLOW, "type", "flow_instance_id");
    site.wait_for("tasks tell of what needs a person", |site| {
        let list = site.json(&["tasks", "list", "--json"]);
        let rows = list["tasks"].as_array().unwrap();
        let has = |kind: &str, envelope: &str| {
            rows.iter().any(|task| task["kind"] == kind && task["envelope_id"] == envelope)
        };
        has("signer_locked", "49235955-29fd-4411-81c3-3222f5c9df30")
            && has("processing_failed", "e98d5743-9d1a-4e65-bb77-4e117a5451b1")
    });
    let list = site.json(&["tasks", "list", "--json"]);
    let locked = list["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["kind"] == "signer_locked")
        .unwrap()
        .clone();
    assert!(locked["what"].as_str().unwrap().contains("user1"), "{locked}");
    assert!(!locked["due_at"].is_null() && !locked["todo"].as_str().unwrap().is_empty());
}
