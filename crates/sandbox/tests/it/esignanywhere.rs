use aftersign_sandbox::{
    ApiVersion, AuditTrail, DeletedBy, EnvelopeScript, FileScript, Outcome, SandboxConfig, SignerScript,
    Vendor,
};
use axum::http::Method;
use serde_json::json;
use std::sync::Arc;

use crate::support::{Client, KEY, Receiver, config, sha256, until, world};

const VENDOR: Vendor = Vendor::ESignAnyWhere;

fn held() -> EnvelopeScript {
    EnvelopeScript {
        hold: true,
        metadata: "<MetaData><Case>7</Cas".to_owned(),
        signers: vec![SignerScript::new("A B", "a+b@example.org")],
        ..EnvelopeScript::default()
    }
}

#[tokio::test]
async fn a_wrong_token_gets_401_without_a_body_and_both_headers_and_cases_work() {
    let sandbox = world(VENDOR, config(3600.0), "").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/Api/v6/authorization/whoami", sandbox.base_url(VENDOR));
    let refused = http.get(&url).header("apiToken", "wrong").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(refused.bytes().await.unwrap().is_empty());
    let bearer = http.get(&url).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(bearer.status(), 200);
    let client = Client::new(&sandbox, VENDOR);
    assert!(client.get("/api/v6/authorization/whoami").await.json()["UserId"].is_string());
    assert_eq!(client.get("/api/v6.0/authorization/validate").await.status, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_envelope_stays_active_until_its_callback_is_acknowledged() {
    let receiver = Receiver::start().await;
    receiver.answer_with(503, "");
    let sandbox = world(VENDOR, config(3600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    let finished = receiver.wait_for(|r| r.has("/envelope?")).await;
    assert_eq!(finished.method, Method::GET);
    assert_eq!(
        finished.uri.to_string(),
        format!("/callbacks/hr/secret/envelope?envelopeId={id}&action=envelopeFinished")
    );
    receiver.wait_for(|r| r.has("recipientEmail=a%2Bb%40example.org")).await;

    let path = format!("/api/v6/envelope/{id}");
    assert_eq!(client.get(&path).await.json()["EnvelopeStatus"], "Active");
    assert!(
        client.get(&format!("{path}/files")).await.json()["Documents"].as_array().is_none_or(Vec::is_empty)
    );
    let history = client.get(&format!("{path}/history")).await.json();
    let callback = history["Events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["Type"] == "EnvelopeCallback")
        .unwrap()
        .clone();
    assert!(callback["Attempt"].as_u64().unwrap() >= 1);

    receiver.answer_with(204, "");
    until(&sandbox, "the acknowledgement", |s| s.ledger().envelope(&id).unwrap().announced).await;
    assert_eq!(client.get(&path).await.json()["EnvelopeStatus"], "Completed");
    let configuration = client.get(&format!("{path}/configuration")).await.json();
    assert_eq!(configuration["MetaData"], "<MetaData><Case>7</Cas");
    assert!(
        configuration["CallbackConfiguration"]["CallbackUrl"].as_str().unwrap().contains("##EnvelopeId##")
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn deleting_an_active_envelope_works_and_the_ledger_says_that_it_was_premature() {
    let receiver = Receiver::start().await;
    let settings =
        SandboxConfig { disposal_witness: Some(Arc::new(|record| record.artifacts.len())), ..config(3600.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let delete = |id: &str| client.post("/api/v6/envelope/delete", Some(json!({ "EnvelopeId": id })));

    let id = sandbox.create_envelope("hr", held());
    assert_eq!(delete(&id).await.status, 200);
    let gone = client.get(&format!("/api/v6/envelope/{id}")).await;
    assert_eq!((gone.status, gone.json()["ErrorId"].as_str()), (404, Some("ERR0007")));
    let history = client.get(&format!("/api/v6/envelope/{id}/history")).await.json();
    assert_eq!((&history["EnvelopeHasBeenDeleted"], &history["Events"]), (&json!(true), &json!([])));
    assert_eq!(delete(&id).await.status, 404);
    let deletion = sandbox.ledger().envelope(&id).unwrap().deleted.clone().unwrap();
    assert_eq!((deletion.by, deletion.was_complete), (DeletedBy::Client, false));

    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    until(&sandbox, "the acknowledgement", |s| s.ledger().envelope(&id).unwrap().announced).await;
    assert_eq!(delete(&id).await.status, 200);
    let deletion = sandbox.ledger().envelope(&id).unwrap().deleted.clone().unwrap();
    assert_eq!((deletion.was_complete, deletion.missing_at_disposal), (true, 3));

    let id = sandbox.create_envelope("hr", held());
    sandbox.delete_as_other(&id);
    assert_eq!(delete(&id).await.status, 404);
    assert_eq!(sandbox.ledger().envelope(&id).unwrap().deleted.clone().unwrap().by, DeletedBy::Other);
    assert_eq!(client.get("/api/v6/envelope/00000000-0000-4000-8000-000000000000/history").await.status, 404);
    sandbox.stop().await;
}

#[tokio::test]
async fn every_file_of_a_completed_envelope_matches_the_ledger() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(3600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope(
        "hr",
        EnvelopeScript {
            documents: vec![FileScript::new("a.pdf", 30_000), FileScript::new("b.pdf", 70_000)],
            attachments: vec![FileScript::new("passport.pdf", 20_000)],
            legal_documents: 1,
            audit_trail: AuditTrail::PerDocument,
            ..held()
        },
    );
    sandbox.complete(&id);
    until(&sandbox, "the acknowledgement", |s| s.ledger().envelope(&id).unwrap().announced).await;
    let files = client.get(&format!("/api/v6/envelope/{id}/files")).await.json();
    let mut ids = vec![files["AuditTrail"]["FileId"].clone(), files["AuditTrail"]["XmlFileId"].clone()];
    for document in files["Documents"].as_array().unwrap() {
        ids.extend([document["FileId"].clone(), document["AuditTrailFileId"].clone()]);
        ids.extend(document["Attachments"].as_array().unwrap().iter().map(|a| a["FileId"].clone()));
    }
    ids.extend(files["LegalDocuments"].as_array().unwrap().iter().map(|l| l["FileId"].clone()));
    assert_eq!(ids.len(), 8);
    let mut digests = Vec::new();
    for file in &ids {
        let got = client.get(&format!("/api/v6/file/{}", file.as_str().unwrap())).await;
        assert!(got.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
        digests.push(sha256(&got.body));
    }
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    let mut expected: Vec<String> = record.artifacts.iter().map(|a| a.sha256.clone()).collect();
    assert!(record.artifacts.iter().all(|artifact| artifact.served == 1));
    digests.sort();
    expected.sort();
    assert_eq!(digests, expected);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_envelope_of_version_5_needs_version_5_to_be_read() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(3600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", EnvelopeScript { api_version: ApiVersion::V5, ..held() });
    sandbox.complete(&id);
    until(&sandbox, "the acknowledgement", |s| s.ledger().envelope(&id).unwrap().announced).await;
    for path in ["", "/configuration"] {
        let got = client.get(&format!("/api/v6/envelope/{id}{path}")).await;
        assert_eq!((got.status, got.json()["ErrorId"].as_str()), (400, Some("ERR0063")));
    }
    for path in ["/files", "/history"] {
        assert_eq!(client.get(&format!("/api/v6/envelope/{id}{path}")).await.status, 200);
    }
    let envelope = client.get(&format!("/api/v5/envelope/{id}")).await.json();
    assert_eq!(envelope["Status"], "Completed");
    let file = envelope["Bulks"][0]["FinishedDocuments"][0]["FlowDocumentId"].as_str().unwrap().to_owned();
    for version in ["v4", "v5"] {
        let path = format!("/api/{version}/envelope/downloadCompletedDocument/{file}");
        assert!(client.get(&path).await.body.starts_with(b"%PDF-"));
    }
    let deleted = client.send(Method::DELETE, &format!("/api/v5/envelope/{id}"), None).await.unwrap();
    assert_eq!(deleted.status, 204);
    sandbox.stop().await;
}

#[tokio::test]
async fn find_filters_by_status_and_sent_date_and_a_bulk_lists_its_children() {
    let sandbox = world(VENDOR, config(3600.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let parent = "11111111-2222-4333-8444-555555555555";
    let child = || EnvelopeScript { bulk_parent: Some(parent.to_owned()), ..held() };
    let (done, open) = (sandbox.create_envelope("hr", child()), sandbox.create_envelope("hr", child()));
    sandbox.complete(&done);
    let find = |body| client.post("/api/v6/envelope/find", Some(body));
    let found = find(json!({ "Status": "Completed", "StartDate": "2020-01-01T00:00:00Z" })).await.json();
    let ids: Vec<_> = found["Envelopes"].as_array().unwrap().iter().map(|e| e["Id"].clone()).collect();
    assert_eq!(ids, [json!(done)]);
    let found = find(json!({ "EndDate": "2020-01-01T00:00:00Z" })).await.json();
    assert_eq!(found["Envelopes"], json!([]));
    assert_eq!(find(json!({ "StartDate": "2020-01-01T00:00:00" })).await.status, 400);
    let bulk = client.get(&format!("/api/v6/envelopebulk/{parent}")).await.json();
    assert_eq!(bulk["BulkStatus"], "PartlyCompleted");
    assert_eq!(bulk["Children"].as_array().unwrap().len(), 2);
    assert_eq!(client.get(&format!("/api/v6/envelope/{parent}")).await.status, 404);
    sandbox.cancel(&open);
    assert_eq!(sandbox.ledger().envelope(&open).unwrap().outcome, Outcome::Cancelled);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_expired_envelope_can_be_restarted_and_only_an_expired_one() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(3600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    let restart = || client.post("/api/v6/envelope/restartexpired", Some(json!({ "EnvelopeId": id })));
    assert_eq!(restart().await.json()["ErrorId"], "ERR0013");
    sandbox.expire(&id);
    let path = format!("/api/v6/envelope/{id}");
    assert_eq!(client.get(&path).await.json()["EnvelopeStatus"], "Expired");
    receiver.wait_for(|r| r.has("envelopeExpired") || r.has("evnelopeExipired")).await;
    assert_eq!(restart().await.status, 200);
    sandbox.complete(&id);
    receiver.wait_for(|r| r.has("envelopeFinished")).await;
    until(&sandbox, "the end", |s| s.pending_callbacks() == 0).await;
    assert_eq!(client.get(&path).await.json()["EnvelopeStatus"], "Completed");
    sandbox.stop().await;
}

#[tokio::test]
async fn the_end_shows_after_a_while_although_its_callback_was_withheld() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(3600.0), &receiver.url).await;
    let script = EnvelopeScript { withhold_final: true, ..held() };
    let id = sandbox.create_envelope("hr", script);
    sandbox.complete(&id);
    let path = format!("/api/v6/envelope/{id}");
    let client = Client::new(&sandbox, VENDOR);
    assert_eq!(client.get(&path).await.json()["EnvelopeStatus"], "Active");
    crate::support::patiently("the end of the lives", sandbox.lives_ended()).await;
    assert_eq!(client.get(&path).await.json()["EnvelopeStatus"], "Completed");
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    assert!(record.withheld && !record.announced);
    assert!(receiver.all().iter().all(|r| !r.has("envelopeFinished")));
    sandbox.stop().await;
}
