use std::collections::BTreeSet;
use std::sync::Arc;

use aftersign_sandbox::{
    DeletedBy, EnvelopeScript, FaultProfile, FileScript, Sandbox, SandboxConfig, SignerScript, Trouble,
    Vendor,
};
use serde_json::{Value, json};

use crate::support::{Client, OAUTH, Received, Receiver, config, patiently, sha256, until, world};

const VENDOR: Vendor = Vendor::Scrive;

fn held() -> EnvelopeScript {
    EnvelopeScript {
        name: "Lease 7".to_owned(),
        hold: true,
        metadata: r#"{"case":"7","unit":3}"#.to_owned(),
        ..EnvelopeScript::default()
    }
}

fn path(id: &str, rest: &str) -> String {
    format!("/api/v2/documents/{id}/{rest}")
}

fn document_json(received: &Received) -> Value {
    serde_json::from_str(&received.field("document_json").unwrap()).unwrap()
}

fn is_sealed(received: &Received) -> bool {
    received.field("document_signed_and_sealed").as_deref() == Some("true")
}

async fn sealed(sandbox: &Sandbox, client: &Client, id: &str) -> Value {
    until(sandbox, "the end", |s| s.ledger().envelope(id).unwrap().ended_at.is_some()).await;
    patiently("the seal", async {
        loop {
            let document = client.get(&path(id, "get")).await.json();
            if !document["sealed_file"].is_null() {
                return document;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_credential_is_read_as_scrive_reads_it_and_a_wrong_one_is_refused() {
    let sandbox = world(VENDOR, config(3600.0), "").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = sandbox.base_url(VENDOR);
    let url = format!("{base}/api/v2/documents/list?max=1");
    let missing = http.get(&url).send().await.unwrap();
    assert_eq!(missing.status(), 401);
    let answers = [
        (OAUTH.to_owned(), 200),
        (format!("OAuth {OAUTH}"), 200),
        (OAUTH.replace('&', "%26"), 200),
        (OAUTH.replace("PLAINTEXT", "HMAC-SHA1"), 401),
        (OAUTH.replace("\"PLAINTEXT\"", "PLAINTEXT"), 401),
        (OAUTH.replace("3333cccc", "4444cccc"), 401),
        (OAUTH.replace("a1b2", "b1b2"), 401),
        (OAUTH.replace("0f1e", "1f1e"), 401),
    ];
    for (header, expected) in answers {
        let got = http.get(&url).header("authorization", &header).send().await.unwrap();
        assert_eq!(got.status(), expected, "{header}");
        if expected == 401 {
            let error: Value = serde_json::from_str(&got.text().await.unwrap()).unwrap();
            assert_eq!(
                (&error["error_type"], &error["http_code"]),
                (&json!("invalid_authorisation"), &json!(401))
            );
        }
    }
    let status = http.get(format!("{base}/api/v2/monitor/status")).send().await.unwrap();
    assert_eq!(status.text().await.unwrap(), r#"{"status":"ok"}"#);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_newer_callback_takes_the_place_of_a_waiting_one_and_says_how_the_document_is_now() {
    let receiver = Receiver::start().await;
    receiver.answer_with(503, "");
    let sandbox = world(VENDOR, config(600.0), &receiver.url).await;
    let id = sandbox.create_envelope("hr", held());
    let first = receiver.wait_for(|_| true).await;
    receiver.answer_with(204, "");
    sandbox.complete(&id);
    receiver.wait_for(is_sealed).await;
    until(&sandbox, "the acknowledgement", |s| s.pending_callbacks() == 0).await;

    assert_eq!(first.headers["content-type"], "application/x-www-form-urlencoded; charset=UTF-8");
    let fields: Vec<&str> = std::str::from_utf8(&first.body)
        .unwrap()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap().0)
        .collect();
    assert_eq!(fields, ["document_id", "document_signed_and_sealed", "document_json"]);
    assert!(!std::str::from_utf8(&first.body).unwrap().contains('+'));
    assert_eq!(first.field("document_id").unwrap(), id);
    assert!(id.parse::<u64>().unwrap() > 1 << 53);

    let all = receiver.all();
    // Viewed, signed, closed and sealed are four; at least the first two never went out.
    assert!(all.len() <= 3, "{}", all.len());
    let states: Vec<(Value, bool)> =
        all.iter().map(|r| (document_json(r)["status"].clone(), is_sealed(r))).collect();
    assert_eq!((&states[0], states.last().unwrap()), (&(json!("pending"), false), &(json!("closed"), true)));
    let versions: Vec<u64> =
        all.iter().map(|r| document_json(r)["object_version"].as_u64().unwrap()).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    let tally = sandbox.ledger().callbacks;
    assert!(tally.replaced >= 3, "{tally:?}");
    assert_eq!(tally.sent, tally.acknowledged, "{tally:?}");
    assert!(sandbox.ledger().envelope(&id).unwrap().announced);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_refused_callback_is_given_up_after_ten_attempts_and_can_be_asked_for() {
    let receiver = Receiver::start().await;
    receiver.answer_with(500, "");
    let sandbox = world(VENDOR, config(1_000_000.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    patiently("giving up", sandbox.lives_ended()).await;
    assert_eq!(receiver.all().len(), 10);
    assert_eq!(sandbox.ledger().callbacks.given_up, 1);
    receiver.answer_with(201, "what is said here is not read");
    assert_eq!(client.post(&path(&id, "callback"), None).await.status, 202);
    receiver.wait_for_count(11, |_| true).await;
    patiently("the acknowledgement", sandbox.lives_ended()).await;
    assert_eq!(sandbox.ledger().callbacks.acknowledged, 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_closed_document_is_sealed_after_a_moment_and_extended_after_a_while() {
    let receiver = Receiver::start().await;
    let settings = SandboxConfig { extension_after_days: 0.001, ..config(40.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    let early = client.get(&path(&id, "files/main")).await;
    assert_eq!((early.status, early.json()["error_type"].as_str()), (503, Some("document_state_error")));
    let closed = client.get(&path(&id, "get")).await.json();
    assert_eq!((&closed["status"], &closed["sealed_file"]), (&json!("closed"), &Value::Null));

    let first = document_json(&receiver.wait_for(is_sealed).await);
    let main = client.get(&path(&id, "files/main/Lease%207.pdf")).await;
    assert!(main.body.starts_with(b"%PDF-1.7") && main.headers["content-type"] == "application/pdf");
    let of = |file: &Value| path(&id, &format!("files/{}", file["id"].as_str().unwrap()));
    assert_eq!(client.get(&of(&first["sealed_file"])).await.body, main.body);
    assert_ne!(client.get(&of(&first["file"])).await.body, main.body);

    patiently("the extension", sandbox.lives_ended()).await;
    let last = document_json(receiver.all().last().unwrap());
    assert_ne!(last["sealed_file"]["id"], first["sealed_file"]["id"]);
    assert!(last["object_version"].as_u64() > first["object_version"].as_u64());
    let mtime = |document: &Value| document["mtime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(mtime(&last) > mtime(&first));
    let extended = client.get(&path(&id, "files/main")).await;
    assert_ne!(extended.body, main.body);
    assert_eq!(client.get(&of(&first["sealed_file"])).await.status, 404);
    let history = client.get(&path(&id, "history?lang=en")).await.json();
    let statuses: Vec<&Value> = history["events"].as_array().unwrap().iter().map(|e| &e["status"]).collect();
    assert_eq!(statuses, ["extended", "sealed", "signed", "opened", "sent", "initiated"]);

    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    assert!(record.extends && record.extended_at.is_some());
    let versions: Vec<_> =
        record.artifacts.iter().map(|a| (a.kind, a.version, a.sha256.clone(), a.bytes)).collect();
    let expected = |version, body: &[u8]| ("signed-pdf", version, sha256(body), body.len() as u64);
    assert_eq!(versions, [expected(1, &main.body), expected(2, &extended.body)]);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_first_version_is_told_of_in_time_only_if_an_end_was_acknowledged_before_the_extension() {
    let receiver = Receiver::start().await;
    receiver.answer_with(503, "");
    let settings = SandboxConfig { extension_after_days: 0.01, ..config(3600.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    let record = |sandbox: &Sandbox| sandbox.ledger().envelope(&id).unwrap().clone();
    until(&sandbox, "the extension", |s| record(s).extended_at.is_some()).await;
    receiver.answer_with(200, "");
    until(&sandbox, "the acknowledgement", |s| record(s).announced).await;
    assert!(!record(&sandbox).announced_before_extension);
    sandbox.stop().await;

    let settings = SandboxConfig { extension_after_days: 0.5, ..config(36_000.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    patiently("the extension", sandbox.lives_ended()).await;
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    assert!(record.announced && record.announced_before_extension && record.extended_at.is_some());
    sandbox.stop().await;
}

#[tokio::test]
async fn an_invitation_that_bounced_arrives_in_the_end_at_the_same_or_at_a_corrected_address() {
    const ADDRESS: &str = "sam.signer@example.com";
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let mut signer = SignerScript::new("Sam Signer", ADDRESS);
    signer.trouble = Some(Trouble::EmailBounce);
    let script = EnvelopeScript { hold: false, life_minutes: 60.0, signers: vec![signer], ..held() };
    let ids: Vec<String> = (0..6).map(|_| sandbox.create_envelope("hr", script.clone())).collect();
    let status = |document: &Value| document["parties"][1]["email_delivery_status"].clone();
    let mut addresses = BTreeSet::new();
    for id in &ids {
        let bounced = receiver
            .wait_for(|r| {
                let document = document_json(r);
                document["id"] == id.as_str() && status(&document) == "not_delivered"
            })
            .await;
        assert_eq!(document_json(&bounced)["parties"][1]["delivery_method"], "email");
        let document = sealed(&sandbox, &client, id).await;
        assert_eq!(status(&document), "delivered");
        let fields = document["parties"][1]["fields"].as_array().unwrap();
        addresses.insert(fields[2]["value"].as_str().unwrap().to_owned());
        let history = client.get(&path(id, "history")).await.json();
        let lines: Vec<&str> = history["events"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|event| event["status"].as_str().unwrap())
            .collect();
        assert_eq!(lines[..6], ["initiated", "sent", "deliveryproblem", "delivered", "opened", "signed"]);
    }
    let corrected = format!("corrected.{ADDRESS}");
    assert_eq!(addresses, BTreeSet::from([ADDRESS.to_owned(), corrected]));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_document_is_trashed_before_it_is_deleted_and_the_ledger_knows_that_it_was_too_early() {
    let receiver = Receiver::start().await;
    let settings = SandboxConfig {
        disposal_witness: Some(Arc::new(|record| record.artifacts.len())),
        ..config(36_000.0)
    };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    let act = |what: &str, body: Option<Value>| {
        let (client, target) = (client.clone(), path(&id, what));
        async move { client.post(&target, body).await }
    };
    let refusal = |got: crate::support::Got| {
        let error = got.json();
        (got.status, error["error_type"].as_str().unwrap().to_owned())
    };
    let state_error = (409, "document_state_error".to_owned());
    assert_eq!(refusal(act("trash", None).await), state_error);
    sandbox.complete(&id);
    let document = sealed(&sandbox, &client, &id).await;
    let version = document["object_version"].as_u64().unwrap();
    assert_eq!(refusal(act("delete", None).await), state_error);
    let stale = act("trash", Some(json!({ "object_version": version - 1 }))).await;
    assert_eq!(refusal(stale), (409, "document_object_version_mismatch".to_owned()));
    let trashed = act("trash", Some(json!({ "object_version": version }))).await;
    assert_eq!((trashed.status, &trashed.json()["is_trashed"]), (200, &json!(true)));
    assert_eq!(refusal(act("trash", None).await), state_error);
    assert_eq!(client.get(&path(&id, "get")).await.json()["is_trashed"], true);
    let deleted = act("delete", None).await;
    assert_eq!((deleted.status, &deleted.json()["is_deleted"]), (200, &json!(true)));
    assert_eq!(refusal(act("delete", None).await), (404, "resource_not_found".to_owned()));
    assert_eq!(client.get(&path(&id, "get")).await.status, 404);
    assert_eq!(client.get(&path(&id, "files/main")).await.status, 404);

    // Nothing waits for an extension that is not to come.
    patiently("the end of the lives", sandbox.lives_ended()).await;
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    let deletion = record.deleted.unwrap();
    assert_eq!(
        (deletion.by, deletion.was_complete, deletion.before_extension),
        (DeletedBy::Client, true, true)
    );
    assert_eq!((deletion.missing_at_disposal, record.extends, record.extended_at), (1, true, None));
    sandbox.stop().await;
}

#[tokio::test]
async fn many_documents_are_removed_together_or_not_at_all() {
    let sandbox = world(VENDOR, SandboxConfig { extension_after_days: 0.0, ..config(36_000.0) }, "").await;
    let client = Client::new(&sandbox, VENDOR);
    let [done, other, open] = [(); 3].map(|()| sandbox.create_envelope("hr", held()));
    sandbox.complete(&done);
    sandbox.cancel(&other);
    patiently("the extension", sandbox.lives_ended()).await;
    let many = |what: &str, ids: Value| {
        let (client, target) = (client.clone(), format!("/api/v2/documents/{what}"));
        async move { client.post(&target, Some(json!({ "document_ids": ids.to_string() }))).await }
    };
    assert_eq!(many("trash", json!([done, open])).await.status, 409);
    assert_eq!(many("trash", json!([done, done])).await.status, 400);
    assert_eq!(many("trash", json!([])).await.status, 400);
    assert_eq!(many("trash", json!("x")).await.status, 400);
    let trashed = many("trash", json!([done, other])).await.json();
    assert_eq!(trashed["total_matching"], 2);
    assert!(trashed["documents"].as_array().unwrap().iter().all(|document| document["is_trashed"] == true));
    assert_eq!(many("delete", json!([done, other])).await.status, 200);
    for id in [&done, &other] {
        let deletion = sandbox.ledger().envelope(id).unwrap().deleted.clone().unwrap();
        assert!(!deletion.before_extension);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_list_is_filtered_sorted_and_paged_as_documented() {
    let sandbox = world(VENDOR, config(36_000.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let named = |name: &str| EnvelopeScript { name: name.to_owned(), ..held() };
    let [a, b, c] = ["Alpha", "Beta", "Gamma"].map(|name| sandbox.create_envelope("hr", named(name)));
    sandbox.complete(&b);
    sandbox.cancel(&c);
    let document = sealed(&sandbox, &client, &b).await;
    assert_eq!(client.post(&path(&c, "trash"), None).await.status, 200);
    let list = async |filter: Value, more: &str| {
        let got = client.get(&format!("/api/v2/documents/list?filter={filter}{more}")).await;
        assert_eq!(got.status, 200, "{filter}");
        let list = got.json();
        let ids = list["documents"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap().to_owned());
        (list["total_matching"].as_u64().unwrap(), ids.collect::<Vec<_>>())
    };
    let by = |name: &str| json!([{ "filter_by": name }]);
    assert_eq!(list(json!([]), "").await.1, [c.as_str(), &b, &a]);
    assert_eq!(list(by("is_not_in_trash"), "").await.1, [b.as_str(), &a]);
    assert_eq!(list(by("is_in_trash"), "").await.1, [c.as_str()]);
    assert_eq!(list(by("is_not_part_of_a_flow"), "").await.0, 3);
    for none in ["is_part_of_a_flow", "is_template", "is_signable_on_pad"] {
        assert_eq!(list(by(none), "").await, (0, Vec::new()));
    }
    let closed =
        json!([{ "filter_by": "status", "statuses": ["closed", "rejected"] }, { "filter_by": "is_author" }]);
    assert_eq!(list(closed, "").await.1, [b.as_str()]);
    let (from, to) = (&document["mtime"], &document["mtime"]);
    let at = json!([{ "filter_by": "mtime", "start_time": from, "end_time": to }]);
    assert_eq!(list(at, "").await.1, [b.as_str()], "both ends are included");
    assert_eq!(list(json!([{ "filter_by": "text", "text": "alph" }]), "").await.1, [a.as_str()]);
    assert_eq!(list(json!([{ "filter_by": "tag", "name": "unit", "value": "3" }]), "").await.0, 3);
    assert_eq!(list(json!([{ "filter_by": "tag", "name": "unit", "value": "4" }]), "").await.0, 0);
    let folder = json!([{ "filter_by": "folder_id", "folder_id": document["folder_id"] }]);
    assert_eq!(list(folder, "").await.0, 3);
    let author = document["parties"][0]["user_id"].as_str().unwrap();
    assert_eq!(list(json!([{ "filter_by": "author", "user_id": author }]), "").await.0, 3);
    let sorted = format!("&offset=1&max=1&sorting={}", json!([{ "sort_by": "title" }]));
    assert_eq!(list(json!([]), &sorted).await, (3, vec![b.clone()]));
    for broken in ["filter=[", "filter=[{}]", "sorting=[{}]", "offset=x", "max=-1"] {
        let got = client.get(&format!("/api/v2/documents/list?{broken}")).await;
        assert_eq!((got.status, &got.json()["error_type"]), (400, &json!("request_parameters_parse_error")));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_qualified_document_has_its_evidence_in_the_zip_and_is_never_extended() {
    let receiver = Receiver::start().await;
    let settings = SandboxConfig { extension_after_days: 0.001, ..config(36_000.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let file = |name: &str| FileScript::new(name, 20_000);
    let script = EnvelopeScript {
        qualified: true,
        documents: ["contract.pdf", "a.pdf", "b.pdf", "c.pdf", "d.pdf", "e.pdf"].map(file).to_vec(),
        attachments: vec![file("passport.pdf"), file("licence.pdf")],
        signers: vec![SignerScript::new("A B", "a@example.org"), SignerScript::new("C D", "c@example.org")],
        ..held()
    };
    let id = sandbox.create_envelope("hr", script);
    sandbox.complete(&id);
    patiently("the end of the lives", sandbox.lives_ended()).await;
    let document = client.get(&path(&id, "get")).await.json();
    assert!(document["parties"][1]["authentications"]["sign"]["name"].as_str().unwrap().ends_with("_qes"));
    assert_eq!(receiver.all().iter().filter(|r| is_sealed(r)).count(), 1);

    let parties = document["parties"].as_array().unwrap().iter().map(|party| &party["attachments"]);
    let separate: Vec<&Value> = std::iter::once(&document["author_attachments"])
        .chain(parties)
        .flat_map(|attachments| attachments.as_array().unwrap())
        .filter(|attachment| attachment["add_to_sealed_file"] == false)
        .collect();
    assert!(!separate.is_empty() && separate.len() < 7);
    let mut paths: Vec<String> = separate
        .iter()
        .map(|attachment| path(&id, &format!("files/{}", attachment["file_id"].as_str().unwrap())))
        .collect();
    paths.extend([path(&id, "files/main"), path(&id, "files/zip")]);
    let mut digests = BTreeSet::new();
    for target in &paths {
        digests.insert(sha256(&client.get(target).await.body));
    }
    let zip = client.get(&path(&id, "files/zip/all.zip")).await;
    assert_eq!(zip.headers["content-type"], "application/zip");
    let archive = zip::ZipArchive::new(std::io::Cursor::new(zip.body)).unwrap();
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names[..2], ["Lease 7.pdf", "Lease 7_evidence.pdf"]);
    assert_eq!(names.len(), 2 + separate.len());

    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    assert_eq!(record.artifacts.iter().map(|a| a.sha256.clone()).collect::<BTreeSet<_>>(), digests);
    assert!(!record.extends && record.extended_at.is_none());
    assert_eq!(client.post(&path(&id, "trash"), None).await.status, 200);
    assert_eq!(client.post(&path(&id, "delete"), None).await.status, 200);
    assert!(!sandbox.ledger().envelope(&id).unwrap().deleted.clone().unwrap().before_extension);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_rejected_a_cancelled_and_an_expired_document_look_as_documented() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(36_000.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let [rejected, cancelled, expired] = [(); 3].map(|()| sandbox.create_envelope("hr", held()));
    sandbox.decline(&rejected);
    sandbox.expire(&expired);
    assert_eq!(client.post(&path(&cancelled, "cancel"), None).await.json()["status"], "canceled");
    assert_eq!(client.post(&path(&cancelled, "cancel"), None).await.status, 409);
    for (id, status) in [(&rejected, "rejected"), (&cancelled, "canceled"), (&expired, "timedout")] {
        let received = receiver
            .wait_for(|r| r.field("document_id").as_ref() == Some(id) && document_json(r)["status"] == status)
            .await;
        let document = document_json(&received);
        assert!(!is_sealed(&received) && document["access_token"].is_string());
        let rejection = &document["parties"][1]["rejection_reason"];
        assert_eq!(rejection.is_null(), status != "rejected");
        assert!(client.get(&path(id, "files/main")).await.body.starts_with(b"%PDF"), "the unsealed one");
    }
    patiently("the end of the lives", sandbox.lives_ended()).await;
    assert!(sandbox.ledger().envelopes.iter().all(|e| e.artifacts.is_empty() && !e.extends && e.announced));
    assert_eq!(client.get(&path("12", "get")).await.json()["error_type"], "resource_not_found");
    assert_eq!(client.get("/api/v2/dataretentionpolicy").await.json()["immediate_trash"], false);
    assert_eq!(client.get("/api/v2/nothing").await.json()["error_type"], "endpoint_not_found");
    sandbox.stop().await;
}

#[tokio::test]
async fn in_a_world_with_faults_some_documents_speak_as_older_integrations_do() {
    let receiver = Receiver::start().await;
    let settings = SandboxConfig { faults: FaultProfile::Hard, ..config(1_000_000.0) };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    for _ in 0..40 {
        sandbox.create_envelope("hr", held());
    }
    patiently("the callbacks", sandbox.lives_ended()).await;
    let all = receiver.all();
    let old: Vec<_> = all.iter().filter(|r| r.field("documentid").is_some()).collect();
    assert!(!old.is_empty() && old.len() < all.len());
    assert!(old.iter().all(|r| r.field("signedAndSealed").as_deref() == Some("false")));
    assert!(old.iter().any(|r| r.field("json").is_none()));
    let first = old.iter().find_map(|r| r.field("json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["status"], "Pending");
    sandbox.stop().await;
}

#[tokio::test]
async fn an_early_end_is_hidden_with_its_version_until_the_api_has_caught_up() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", EnvelopeScript { early_final: true, ..held() });
    sandbox.complete(&id);
    let told = document_json(&receiver.wait_for(is_sealed).await);
    assert_eq!(told["status"], "closed");
    let shown = client.get(&path(&id, "get")).await.json();
    assert_eq!((&shown["status"], &shown["sealed_file"]), (&json!("pending"), &Value::Null));
    assert!(shown["object_version"].as_u64() < told["object_version"].as_u64());
    assert_eq!(client.post(&path(&id, "trash"), None).await.status, 409);
    let history = client.get(&path(&id, "history")).await.json();
    assert_eq!(history["events"][0]["status"], "signed");
    let mtime = |document: &Value| document["mtime"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    patiently("a change that a sweep finds", async {
        while mtime(&client.get(&path(&id, "get")).await.json()) <= mtime(&told) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(sealed(&sandbox, &client, &id).await["status"], "closed");
    sandbox.stop().await;
}

#[tokio::test]
async fn a_document_that_somebody_removed_says_nothing_any_more() {
    let receiver = Receiver::start().await;
    receiver.answer_with(503, "");
    let sandbox = world(VENDOR, config(3600.0), &receiver.url).await;
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    receiver.wait_for(|_| true).await;
    sandbox.delete_as_other(&id);
    patiently("the end of the lives", sandbox.lives_ended()).await;
    let tally = sandbox.ledger().callbacks;
    assert_eq!((tally.acknowledged, tally.given_up, tally.withheld), (0, 0, 1));
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    assert!(record.withheld && !record.announced);
    assert_eq!(record.deleted.map(|deletion| deletion.before_extension), Some(false));
    sandbox.stop().await;
}
