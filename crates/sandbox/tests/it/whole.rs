use std::collections::BTreeSet;

use aftersign_sandbox::{
    ArtifactRecord, DeletedBy, EnvelopeRecord, EnvelopeScript, FaultProfile, Ledger, Outcome, Sandbox,
    SandboxConfig, SandboxError, Vendor,
};
use axum::http::Method;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{Client, KEY, Receiver, config, patiently, sha256, until, world};

async fn json_of(client: &Client, path: &str) -> Value {
    patiently(path, async {
        loop {
            if let Ok(got) = client.send(Method::GET, path, None).await
                && got.status == 200
                && let Ok(json) = serde_json::from_slice(&got.body)
            {
                return json;
            }
        }
    })
    .await
}

async fn file_of(client: &Client, path: &str, wanted: &BTreeSet<String>) -> String {
    patiently(path, async {
        loop {
            if let Ok(got) = client.send(Method::GET, path, None).await {
                let digest = sha256(&got.body);
                if got.status == 200 && wanted.contains(&digest) {
                    return digest;
                }
            }
        }
    })
    .await
}

fn paths_of(record: &EnvelopeRecord, files: &Value) -> Vec<String> {
    match record.vendor {
        Vendor::DropboxSign => ["pdf", "zip"]
            .map(|kind| format!("/signature_request/files/{}?file_type={kind}", record.id))
            .to_vec(),
        Vendor::OneSpan => onespan_paths(&record.id, files),
        Vendor::ESignAnyWhere => {
            let mut ids = BTreeSet::new();
            collect_ids(files, &mut ids);
            ids.into_iter().map(|id| format!("/api/v6/file/{id}")).collect()
        }
        Vendor::Scrive => scrive_paths(record, files),
        Vendor::ScriveFlow => {
            let documents = files["process_parameters"]["documents"].as_object().unwrap().values();
            documents.map(|id| format!("/api/v2/documents/{}/files/main", id.as_str().unwrap())).collect()
        }
    }
}

fn scrive_paths(record: &EnvelopeRecord, document: &Value) -> Vec<String> {
    let base = format!("/api/v2/documents/{}/files", record.id);
    let parties = document["parties"].as_array().unwrap().iter().map(|party| &party["attachments"]);
    let attachments = std::iter::once(&document["author_attachments"]).chain(parties);
    let separate = attachments
        .flat_map(|attachments| attachments.as_array().unwrap())
        .filter(|attachment| attachment["add_to_sealed_file"] == false);
    let mut paths: Vec<String> =
        separate.map(|file| format!("{base}/{}", file["file_id"].as_str().unwrap())).collect();
    paths.push(format!("{base}/main"));
    if record.artifacts.iter().any(|artifact| artifact.kind == "evidence") {
        paths.push(format!("{base}/zip"));
    }
    paths
}

/// Whether it was not replaced by another version.
fn is_current(record: &EnvelopeRecord, artifact: &ArtifactRecord) -> bool {
    record.extended_at.is_none() || artifact.kind != "signed-pdf" || artifact.version == 2
}

fn onespan_paths(id: &str, package: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut parts: Vec<String> = ["evidence/summary", "audit", "fieldSummary"].map(str::to_owned).to_vec();
    let documents = package["documents"].as_array().unwrap().iter().map(|document| text(&document["id"]));
    let signed = documents.filter(|document| document != "default-consent");
    parts.extend(signed.map(|document| format!("documents/{document}/pdf")));
    let roles = package["roles"].as_array().unwrap();
    let required = roles.iter().flat_map(|role| role["attachmentRequirements"].as_array().unwrap());
    parts.extend(required.map(|attachment| format!("attachment/{}", text(&attachment["id"]))));
    parts.into_iter().map(|part| format!("/api/packages/{id}/{part}")).collect()
}

fn collect_ids(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(id) if name.ends_with("FileId") => drop(into.insert(id.to_owned())),
                    _ => collect_ids(member, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_ids(item, into)),
        _ => {}
    }
}

async fn rehearse(vendor: Vendor) -> Ledger {
    let receiver = Receiver::start().await;
    let settings =
        SandboxConfig { seed: 4, faults: FaultProfile::Hard, extension_after_days: 0.5, ..config(36_000.0) };
    let sandbox = world(vendor, settings, &receiver.url).await;
    sandbox.send_envelopes("hr", 14);
    patiently("the end of the lives", sandbox.lives_ended()).await;
    assert_eq!(sandbox.progress().finished, 14);
    let client = Client::new(&sandbox, vendor);
    for record in sandbox.ledger().envelopes {
        if record.outcome != Outcome::Completed || record.deleted.is_some() {
            continue;
        }
        let files = match vendor {
            Vendor::DropboxSign => Value::Null,
            Vendor::ESignAnyWhere => json_of(&client, &format!("/api/v6/envelope/{}/files", record.id)).await,
            Vendor::OneSpan => json_of(&client, &format!("/api/packages/{}", record.id)).await,
            Vendor::Scrive => json_of(&client, &format!("/api/v2/documents/{}/get", record.id)).await,
            Vendor::ScriveFlow => json_of(&client, &format!("/flow/instances/{}", record.id)).await,
        };
        let wanted: BTreeSet<String> = record
            .artifacts
            .iter()
            .filter(|artifact| is_current(&record, artifact))
            .map(|a| a.sha256.clone())
            .collect();
        let mut got = BTreeSet::new();
        for path in paths_of(&record, &files) {
            got.insert(file_of(&client, &path, &wanted).await);
        }
        assert_eq!(got, wanted);
    }
    let ledger = sandbox.ledger();
    sandbox.stop().await;
    ledger
}

async fn judge(vendor: Vendor) {
    let ledger = rehearse(vendor).await;
    let completed: Vec<_> = ledger.envelopes.iter().filter(|e| e.outcome == Outcome::Completed).collect();
    assert!(!completed.is_empty());
    for record in &completed {
        assert_ne!(record.announced, record.withheld, "{}", record.id);
        let gone = record.deleted.as_ref().is_some_and(|deletion| deletion.by == DeletedBy::Other);
        assert!(gone || record.artifacts.iter().all(|a| a.served >= 1 || !is_current(record, a)));
    }
    assert!(ledger.envelopes.iter().any(|e| e.withheld));
    assert_eq!(ledger.callbacks.sent, ledger.callbacks.acknowledged);
    // OneSpan Sign sends nothing twice.
    assert_eq!(ledger.callbacks.repeats > 0, vendor != Vendor::OneSpan);
    assert!(ledger.faults.len() >= 6, "{:?}", ledger.faults);
}

#[tokio::test]
async fn a_hard_world_of_dropbox_sign_lets_a_correct_client_succeed() {
    judge(Vendor::DropboxSign).await;
}

#[tokio::test]
async fn a_hard_world_of_esignanywhere_lets_a_correct_client_succeed() {
    judge(Vendor::ESignAnyWhere).await;
}

#[tokio::test]
async fn a_hard_world_of_scrive_lets_a_correct_client_succeed() {
    judge(Vendor::Scrive).await;
}

#[tokio::test]
async fn a_hard_world_of_scrive_flow_lets_a_correct_client_succeed() {
    judge(Vendor::ScriveFlow).await;
}

#[tokio::test]
async fn a_hard_world_of_onespan_lets_a_correct_client_succeed() {
    judge(Vendor::OneSpan).await;
}

#[tokio::test]
async fn the_same_seed_makes_the_same_envelopes_with_the_same_bytes() {
    let mut worlds = Vec::new();
    for _ in 0..2 {
        let settings = SandboxConfig { faults: FaultProfile::Normal, ..config(1_000_000.0) };
        let sandbox = world(Vendor::ESignAnyWhere, settings, "").await;
        sandbox.send_envelopes("hr", 8);
        patiently("the end of the lives", sandbox.lives_ended()).await;
        let mut all: Vec<_> = sandbox
            .ledger()
            .envelopes
            .into_iter()
            .map(|e| {
                // Only the XML audit trail holds the time.
                let files = e.artifacts.into_iter().filter(|a| a.kind != "audit-trail-xml");
                (e.id, e.name, e.outcome as u8, files.map(|a| a.sha256).collect::<Vec<_>>())
            })
            .collect();
        all.sort();
        worlds.push(all);
        sandbox.stop().await;
    }
    assert_eq!(worlds[0].len(), 8);
    assert_eq!(worlds[0], worlds[1]);
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_the_callbacks_by_the_schedule() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let sandbox =
        world(Vendor::ESignAnyWhere, config(3600.0), &format!("http://{addr}/callbacks/hr/secret")).await;
    let id = sandbox.create_envelope("hr", EnvelopeScript { hold: true, ..EnvelopeScript::default() });
    until(&sandbox, "two failures", |s| s.ledger().callbacks.unreachable >= 2).await;
    let receiver = Receiver::on(TcpListener::bind(addr).await.unwrap());
    receiver.wait_for(|r| r.has(&id)).await;
    patiently("the acknowledgement", sandbox.lives_ended()).await;
    let tally = sandbox.ledger().callbacks;
    assert_eq!((tally.acknowledged, tally.repeats), (1, 0));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_given_up_callback_can_be_sent_again_and_the_test_button_sends_an_event_without_a_subject() {
    let receiver = Receiver::start().await;
    receiver.answer_with(500, "");
    let sandbox = world(Vendor::ESignAnyWhere, config(1_000_000.0), &receiver.url).await;
    let script = EnvelopeScript { hold: true, ..EnvelopeScript::default() };
    let id = sandbox.create_envelope("hr", script);
    sandbox.complete(&id);
    patiently("giving up", sandbox.lives_ended()).await;
    let finished = |receiver: &Receiver| receiver.all().iter().filter(|r| r.has("envelopeFinished")).count();
    assert_eq!(finished(&receiver), 30);
    receiver.answer_with(200, "OK");
    sandbox.announce_again(&id);
    patiently("the repetition", sandbox.lives_ended()).await;
    assert_eq!(finished(&receiver), 31);
    assert!(sandbox.ledger().envelope(&id).unwrap().announced);
    sandbox.stop().await;

    receiver.answer_with(200, crate::support::ACKNOWLEDGEMENT);
    let sandbox = world(Vendor::DropboxSign, config(1_000_000.0), &receiver.url).await;
    sandbox.send_callback_test("hr");
    let test = receiver.wait_for(|r| r.method == Method::POST).await;
    assert_eq!(test.event_type(), "callback_test");
    assert!(test.json().get("signature_request").is_none());
    sandbox.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_said_clearly() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = SandboxConfig { listen: taken.local_addr().unwrap(), ..config(1.0) };
    let error = Sandbox::start(settings).await.unwrap_err();
    assert!(matches!(error, SandboxError::AddressInUse { .. }));
    assert!(error.to_string().contains("in use"));
}

#[tokio::test]
async fn a_person_with_curl_can_open_an_account_send_envelopes_and_read_the_ledger() {
    let sandbox = Sandbox::start(config(1_000_000.0)).await.unwrap();
    let origin = format!("http://{}", sandbox.local_addr());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |path: &str, body: String| http.post(format!("{origin}{path}")).body(body).send();
    let about = http.get(&origin).send().await.unwrap().text().await.unwrap();
    assert!(about.contains("/dropbox-sign/v3") && about.contains("/control/envelopes"));
    let refused = post("/control/envelopes", r#"{"account":"hr","count":2}"#.to_owned()).await.unwrap();
    assert_eq!(refused.status(), 400);
    let account = format!(r#"{{"platform":"dropbox-sign","id":"hr","api_key":"{KEY}","callback_url":""}}"#);
    assert_eq!(post("/control/accounts", account).await.unwrap().status(), 201);
    let sent = post("/control/envelopes", r#"{"account":"hr","count":2}"#.to_owned()).await.unwrap();
    assert_eq!(sent.status(), 202);
    patiently("the end of the lives", sandbox.lives_ended()).await;
    let ledger = http.get(format!("{origin}/ledger")).send().await.unwrap().text().await.unwrap();
    let ledger: Value = serde_json::from_str(&ledger).unwrap();
    assert_eq!(ledger["envelopes"].as_array().unwrap().len(), 2);
    assert_eq!(ledger["envelopes"][0]["vendor"], "dropbox-sign");
    sandbox.stop().await;
}
