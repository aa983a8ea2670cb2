use std::collections::BTreeSet;

use aftersign_sandbox::{EnvelopeScript, FaultProfile, FileScript, Outcome, Sandbox, SandboxConfig, Vendor};
use serde_json::{Value, json};

use crate::support::{Client, Received, Receiver, config, patiently, sha256, until, world};

const VENDOR: Vendor = Vendor::ScriveFlow;

fn held() -> EnvelopeScript {
    EnvelopeScript {
        hold: true,
        documents: vec![FileScript::new("lease.pdf", 20_000), FileScript::new("annex.pdf", 30_000)],
        ..EnvelopeScript::default()
    }
}

/// A world in which nothing happens after the seals.
fn unextended(time_scale: f64) -> SandboxConfig {
    SandboxConfig { extend_flows: false, ..config(time_scale) }
}

fn event(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

fn is_of_type(kind: &'static str) -> impl Fn(&Received) -> bool {
    move |received| event(received)["type"] == kind
}

#[tokio::test]
async fn all_kinds_of_events_come_with_the_fields_and_the_times_of_the_samples() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, unextended(1_000_000.0), &receiver.url).await;
    sandbox.send_envelopes("hr", 100);
    let fails = EnvelopeScript { fails: true, ..held() };
    let failed = sandbox.create_envelope("hr", fails);
    sandbox.cancel(&failed);
    patiently("the end of the lives", sandbox.lives_ended()).await;
    let mut types = BTreeSet::new();
    let ledger = sandbox.ledger();
    for received in receiver.all() {
        assert_eq!(received.headers["content-type"], "application/json");
        let event = event(&received);
        let kind = event["type"].as_str().unwrap().to_owned();
        assert_eq!(event["version"], 1);
        assert!(ledger.envelope(event["flow_instance_id"].as_str().unwrap()).is_some());
        let fraction = event["event_created"].as_str().unwrap().split_once('.').unwrap().1;
        let digits = match kind.as_str() {
            "failed" | "cancelled" | "flow_rejected" | "timed_out" => 10,
            _ => 9,
        };
        assert_eq!(fraction.len(), digits + 1, "{event}");
        let needs = match kind.as_str() {
            "flow_rejected" | "authentication_max_failures_exceeded" => "user_name",
            "authentication_attempted" => "result",
            "custom" => "callback_name",
            _ => "type",
        };
        assert!(event[needs].is_string(), "{event}");
        types.insert(kind);
    }
    let documented = [
        "authentication_attempted",
        "authentication_max_failures_exceeded",
        "cancelled",
        "completed",
        "custom",
        "failed",
        "flow_rejected",
        "timed_out",
    ];
    assert!(documented.iter().all(|kind| types.contains(*kind)), "{types:?}");
    assert_eq!(types.len(), documented.len() + 1, "and one that nobody knows: {types:?}");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_completed_flow_says_so_once_per_document_before_its_documents_are_sealed() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, unextended(30.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    let instance = client.get(&format!("/flow/instances/{id}")).await.json();
    assert_eq!(
        (&instance["status"], &instance["callback"]["url"]),
        (&json!("completed"), &json!(receiver.url))
    );
    let documents = instance["process_parameters"]["documents"].as_object().unwrap();
    let ids: Vec<&str> = documents.values().map(|id| id.as_str().unwrap()).collect();
    assert!(documents.keys().eq(["doc1", "doc2"]));
    let early = client.get(&format!("/api/v2/documents/{}/files/main", ids[0])).await;
    assert_eq!((early.status, early.json()["error_type"].as_str()), (503, Some("document_state_error")));

    let completed = receiver.wait_for_count(2, is_of_type("completed")).await;
    assert_ne!(event(&completed[0])["event_created"], event(&completed[1])["event_created"]);
    until(&sandbox, "the callbacks", |s| s.pending_callbacks() == 0).await;
    patiently("the seals", sandbox.lives_ended()).await;
    assert!(receiver.all().iter().all(|r| event(r)["flow_instance_id"] == id.as_str()), "none of a document");
    let mut digests = BTreeSet::new();
    for document in &ids {
        let got = client.get(&format!("/api/v2/documents/{document}/get")).await.json();
        assert_eq!((&got["status"], &got["api_callback_url"]), (&json!("closed"), &Value::Null));
        digests.insert(sha256(&client.get(&format!("/api/v2/documents/{document}/files/main")).await.body));
    }
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    assert_eq!(record.artifacts.iter().map(|a| a.sha256.clone()).collect::<BTreeSet<_>>(), digests);
    assert_eq!((record.outcome, record.extends, record.announced), (Outcome::Completed, false, true));
    assert!(record.api_calls >= 6);
    sandbox.stop().await;
}

#[tokio::test]
async fn all_documents_of_a_flow_are_extended_after_a_while_and_nobody_tells_of_it() {
    let receiver = Receiver::start().await;
    // The seals take some ten seconds of the world, the extension comes three minutes later.
    let settings = SandboxConfig { extension_after_days: 0.002, ..config(60.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    let instance = client.get(&format!("/flow/instances/{id}")).await.json();
    let documents = instance["process_parameters"]["documents"].as_object().unwrap();
    let ids: Vec<String> = documents.values().map(|id| id.as_str().unwrap().to_owned()).collect();
    let mut first = Vec::new();
    for document in &ids {
        first.push(sealed(&sandbox, &client, document).await);
    }
    receiver.wait_for_count(2, is_of_type("completed")).await;
    let before = sandbox.ledger().envelope(&id).unwrap().clone();
    assert_eq!((before.extends, before.extended_at, before.artifacts.len()), (true, None, 2));
    patiently("the extension", sandbox.lives_ended()).await;

    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    let versions: Vec<_> = record.artifacts.iter().map(|a| (a.kind, a.version)).collect();
    assert_eq!(versions, [1, 1, 2, 2].map(|version| ("signed-pdf", version)));
    assert!(record.extended_at.is_some() && record.announced_before_extension);
    for (position, document) in ids.iter().enumerate() {
        let (old, digest) = &first[position];
        let got = client.get(&format!("/api/v2/documents/{document}/get")).await.json();
        assert_ne!(got["sealed_file"]["id"], old["sealed_file"]["id"]);
        assert!(got["object_version"].as_u64() > old["object_version"].as_u64());
        let main = client.get(&format!("/api/v2/documents/{document}/files/main")).await;
        let served = [digest.clone(), sha256(&main.body)];
        assert_eq!(served, [position, position + 2].map(|at| record.artifacts[at].sha256.clone()));
    }
    let told: BTreeSet<String> =
        receiver.all().iter().map(|r| event(r)["type"].as_str().unwrap().to_owned()).collect();
    assert!(told.iter().all(|kind| !kind.contains("extend") && !kind.contains("seal")), "{told:?}");
    assert_eq!(receiver.all().iter().filter(|r| is_of_type("completed")(r)).count(), 2);
    sandbox.stop().await;
}

/// A sealed document and the digest of its file.
async fn sealed(sandbox: &Sandbox, client: &Client, document: &str) -> (Value, String) {
    let path = |what: &str| format!("/api/v2/documents/{document}/{what}");
    patiently("the seal", async {
        loop {
            let shown = client.get(&path("get")).await.json();
            if !shown["sealed_file"].is_null() {
                return (shown, sha256(&client.get(&path("files/main")).await.body));
            }
            sandbox.changed().await;
        }
    })
    .await
}

#[tokio::test]
async fn documents_of_a_flow_are_listed_and_cannot_be_removed_alone() {
    let sandbox = world(VENDOR, unextended(36_000.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    patiently("the seals", sandbox.lives_ended()).await;
    let list = |filter: &str| format!("/api/v2/documents/list?filter=[{{\"filter_by\":\"{filter}\"}}]");
    let listed = client.get(&list("is_part_of_a_flow")).await.json();
    assert_eq!(listed["total_matching"], 2);
    assert_eq!(client.get("/api/v2/documents/list").await.json(), listed);
    assert_eq!(client.get(&list("is_not_part_of_a_flow")).await.json()["total_matching"], 0);
    let document = listed["documents"][0]["id"].as_str().unwrap();
    for what in ["trash", "delete", "cancel"] {
        let got = client.post(&format!("/api/v2/documents/{document}/{what}"), None).await;
        assert_eq!((got.status, got.json()["error_type"].as_str()), (403, Some("action_not_permitted")));
        assert!(got.json()["error_message"].as_str().unwrap().contains("managed by Scrive Flow"));
    }
    assert!(sandbox.ledger().envelope(&id).unwrap().deleted.is_none());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_refused_event_is_repeated_as_it_was_for_ten_attempts() {
    let receiver = Receiver::start().await;
    receiver.answer_with(404, "");
    let sandbox = world(VENDOR, unextended(1_000_000.0), &receiver.url).await;
    let id = sandbox.create_envelope("hr", held());
    sandbox.cancel(&id);
    patiently("giving up", sandbox.lives_ended()).await;
    let all = receiver.all();
    for kind in ["custom", "cancelled"] {
        let attempts: Vec<&Received> = all.iter().filter(|r| is_of_type(kind)(r)).collect();
        assert_eq!(attempts.len(), 10);
        assert!(attempts.iter().all(|attempt| attempt.body == attempts[0].body));
    }
    assert_eq!(all.len(), 20);
    let tally = sandbox.ledger().callbacks;
    assert_eq!((tally.given_up, tally.replaced), (2, 0));
    sandbox.stop().await;
}

#[tokio::test]
async fn the_two_generations_of_the_api_look_different_and_share_their_instances() {
    let sandbox = world(VENDOR, unextended(36_000.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    let instances = client.get("/experimental/flow/instances").await.json();
    assert_eq!(instances.as_array().unwrap().len(), 1);
    assert!(instances[0]["template_parameters"].is_object() && instances[0].get("process").is_none());
    assert_eq!(instances[0]["state"]["available_actions"].as_array().unwrap().len(), 2);
    let instance = client.get(&format!("/flow/instances/{id}")).await.json();
    assert!(instance["process_parameters"].is_object() && instance.get("template_id").is_none());
    assert_eq!((&instance["id"], &instance["status"]), (&json!(id), &json!("in_progress")));
    assert_eq!((VENDOR.name(), VENDOR.platform()), ("scrive-flow", "scrive"));
    let version = reqwest::get(format!("{}/flow/version", sandbox.base_url(VENDOR))).await.unwrap();
    assert!(version.text().await.unwrap().contains("api_version"));

    let cancel = format!("/flow/instances/{id}/cancel");
    assert_eq!(client.post(&cancel, None).await.status, 204);
    let again = client.post(&cancel, None).await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!(409)));
    assert!(again.json()["explanation"].is_string());
    let instance = client.get(&format!("/experimental/flow/instances/{id}")).await.json();
    assert_eq!(instance["status"], "failed");
    let document = instance["template_parameters"]["documents"]["doc1"].as_str().unwrap();
    let document = client.get(&format!("/api/v2/documents/{document}/get")).await.json();
    assert_eq!(document["status"], "canceled");
    assert_eq!(client.get("/flow/instances/none").await.json()["code"], 404);
    assert_eq!(client.get(&format!("/api/v2/documents/{id}/get")).await.status, 404);
    sandbox.stop().await;
}

#[tokio::test]
async fn in_a_world_with_faults_some_times_do_not_exist() {
    let receiver = Receiver::start().await;
    let settings = SandboxConfig { faults: FaultProfile::Hard, ..unextended(1_000_000.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    sandbox.send_envelopes("hr", 30);
    patiently("the end of the lives", sandbox.lives_ended()).await;
    let times: Vec<String> =
        receiver.all().iter().map(|r| event(r)["event_created"].as_str().unwrap().to_owned()).collect();
    assert!(times.iter().any(|time| time.contains(":67.")));
    assert!(times.iter().any(|time| time.ends_with(".00000Z")));
    assert!(times.iter().any(|time| !time.contains('.')));
    sandbox.stop().await;
}
