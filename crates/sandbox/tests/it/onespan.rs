use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aftersign_sandbox::{
    AccountSpec, DeletedBy, EnvelopeScript, FaultProfile, FileScript, Outcome, Sandbox, SandboxConfig,
    SignerScript, Trouble, Vendor,
};
use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Client, Got, KEY, Received, Receiver, config, patiently, sha256, until};

pub(crate) const VENDOR: Vendor = Vendor::OneSpan;
const CALLBACK_KEY: &str = "AbCdEf0123456789AbCdEf0123456789";
pub(crate) const OWNER: &str = "sender@example.com";
pub(crate) const ANNA: &str = "anna.sender@example.com";

pub(crate) async fn world(settings: SandboxConfig, callback_url: &str) -> Sandbox {
    let sandbox = Sandbox::start(settings).await.unwrap();
    let secrets = [("callback_key", CALLBACK_KEY), ("client_id", "app"), ("client_secret", "s3cret")];
    sandbox.open_account(AccountSpec {
        vendor: VENDOR,
        id: "hr".to_owned(),
        api_key: KEY.to_owned(),
        callback_url: callback_url.to_owned(),
        secrets: secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..AccountSpec::default()
    });
    sandbox
}

fn held() -> EnvelopeScript {
    EnvelopeScript {
        name: "Lease 7".to_owned(),
        hold: true,
        metadata: r#"{"case":"7"}"#.to_owned(),
        ..EnvelopeScript::default()
    }
}

pub(crate) fn held_by(sender: &str) -> EnvelopeScript {
    EnvelopeScript { sender: sender.to_owned(), ..held() }
}

fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

fn is(received: &Received, name: &str) -> bool {
    body(received)["name"] == name
}

fn names(receiver: &Receiver, package: &str) -> Vec<String> {
    let all = receiver.all().into_iter().map(|received| body(&received));
    let own = all.filter(|event| event["packageId"] == package);
    let mut names: Vec<String> = own.map(|event| event["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

pub(crate) async fn with(sandbox: &Sandbox, authorization: &str, path: &str) -> Got {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{path}", sandbox.base_url(VENDOR));
    let response = http.get(url).header("authorization", authorization).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

async fn listed(client: &Client, query: &str) -> Vec<String> {
    let got = client.get(&format!("/api/packages?{query}")).await;
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
    let results = got.json()["results"].as_array().unwrap().clone();
    results.iter().map(|package| package["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_api_key_is_taken_as_it_is_and_errors_have_the_platforms_shape() {
    let sandbox = world(config(3600.0), "").await;
    let session = with(&sandbox, &format!("Basic {KEY}"), "/api/session").await;
    assert_eq!((session.status, session.json()["user"]["email"].as_str()), (200, Some(OWNER)));
    let encoded = STANDARD.encode(format!("{KEY}:"));
    for wrong in [format!("Basic {encoded}"), format!("Bearer {KEY}"), KEY.to_owned()] {
        let refused = with(&sandbox, &wrong, "/api/session").await;
        let error = refused.json();
        assert_eq!((refused.status, error["code"].as_u64()), (401, Some(401)));
        assert_eq!((error["name"].as_str(), error["entity"].is_null()), (Some("Unauthorized"), true));
    }
    let client = Client::new(&sandbox, VENDOR);
    let missing = client.get("/api/packages/AAAAAAAAAAAAAAAAAAAAAAAAAAA=").await;
    assert_eq!(missing.status, 404);
    assert!(missing.json()["messageKey"].as_str().unwrap().starts_with("error.notFound."));
    sandbox.stop().await;
}

#[tokio::test]
async fn callbacks_look_like_captured_ones_and_tell_a_whole_life() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(36_000.0), &receiver.url).await;
    let script = EnvelopeScript {
        attachments: vec![FileScript::new("passport.pdf", 20_000)],
        signers: vec![SignerScript::new("A B", "a@example.org"), SignerScript::new("C D", "c@example.org")],
        ..held()
    };
    let id = sandbox.create_envelope("hr", script);
    assert!(id.len() == 28 && id.ends_with('='));
    sandbox.complete(&id);
    patiently("all callbacks", sandbox.lives_ended()).await;
    let mut expected = vec!["PACKAGE_CREATE", "PACKAGE_ACTIVATE", "PACKAGE_ATTACHMENT", "PACKAGE_COMPLETE"];
    // For each signer: the consent and the document.
    expected.extend(["DOCUMENT_SIGNED"; 4]);
    expected.extend(["DOCUMENT_VIEWED", "SIGNER_COMPLETE"].repeat(2));
    expected.sort_unstable();
    assert_eq!(names(&receiver, &id), expected);

    let package = Client::new(&sandbox, VENDOR).get(&format!("/api/packages/{id}")).await.json();
    let last = receiver.wait_for(|r| is(r, "PACKAGE_COMPLETE")).await;
    let event = body(&last);
    let created = event["createdDate"].as_str().unwrap();
    assert!(created.len() == 24 && created.parse::<jiff::Timestamp>().is_ok(), "{created}");
    let user = package["roles"][2]["signers"][0]["id"].as_str().unwrap();
    let captured = format!(
        "{{\"@class\":\"com.silanis.esl.packages.event.ESLProcessEvent\",\"name\":\"PACKAGE_COMPLETE\",\
         \"sessionUser\":\"{user}\",\"packageId\":\"{id}\",\"message\":null,\"documentId\":null,\
         \"createdDate\":\"{created}\"}}"
    );
    assert_eq!(std::str::from_utf8(&last.body).unwrap(), captured);
    assert_eq!((last.method.as_str(), last.headers["user-agent"].to_str().unwrap()), ("POST", ""));
    assert_eq!(last.headers["authorization"], format!("Basic {CALLBACK_KEY}"));
    assert_eq!(last.headers["content-type"], "application/json; charset=utf-8");
    let attached = body(&receiver.wait_for(|r| is(r, "PACKAGE_ATTACHMENT")).await);
    assert_eq!(attached["message"], "passport.pdf");
    let sent = body(&receiver.wait_for(|r| is(r, "PACKAGE_CREATE")).await);
    assert_eq!(sent["sessionUser"], package["sender"]["id"]);
    let consents = receiver.all().iter().filter(|r| body(r)["documentId"] == "default-consent").count();
    assert_eq!(consents, 2);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_failed_callback_is_mailed_to_the_sender_and_never_sent_again() {
    let receiver = Receiver::start().await;
    receiver.answer_with(500, "");
    let sandbox = world(config(1_000_000.0), &receiver.url).await;
    let id = sandbox.create_envelope("hr", held_by(ANNA));
    sandbox.complete(&id);
    patiently("the end of the attempts", sandbox.lives_ended()).await;
    let sent = receiver.all();
    let tally = sandbox.ledger().callbacks;
    assert_eq!((tally.sent, tally.given_up, tally.repeats), (sent.len() as u64, sent.len() as u64, 0));
    assert!(!sandbox.ledger().envelope(&id).unwrap().announced);
    let mails = sandbox.mails();
    let payloads: BTreeSet<&str> = mails.iter().map(|mail| mail.payload.as_str()).collect();
    let bodies: BTreeSet<&str> = sent.iter().map(|r| std::str::from_utf8(&r.body).unwrap()).collect();
    assert_eq!(payloads, bodies);
    assert!(mails.iter().all(|mail| mail.to == ANNA && mail.reason.contains("500")));
    let outbox = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/mails", sandbox.local_addr());
    let outbox = outbox.get(url).send().await.unwrap().text().await.unwrap();
    let outbox: Value = serde_json::from_str(&outbox).unwrap();
    assert_eq!(outbox["mails"].as_array().unwrap().len(), mails.len());

    receiver.answer_with(204, "");
    sandbox.announce_again(&id);
    let next = sandbox.create_envelope("hr", held());
    receiver.wait_for(|r| body(r)["packageId"] == next.as_str()).await;
    patiently("the rest", sandbox.lives_ended()).await;
    assert_eq!(names(&receiver, &id).len(), sent.len());
    assert_eq!(sandbox.ledger().callbacks.acknowledged, 2);
    sandbox.stop().await;
}

#[tokio::test]
async fn before_completion_documents_come_stripped_and_afterwards_as_promised() {
    let sandbox = world(config(3600.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let script = EnvelopeScript {
        documents: vec![FileScript::new("Würde.pdf", 30_000), FileScript::new("b.pdf", 700_000)],
        attachments: vec![FileScript::new("passport.pdf", 20_000)],
        ..held()
    };
    let id = sandbox.create_envelope("hr", script);
    let of = |part: &str| format!("/api/packages/{id}{part}");
    let package = client.get(&of("")).await.json();
    assert_eq!((package["status"].as_str(), package["completed"].is_null()), (Some("SENT"), true));
    let document = package["documents"][1]["id"].as_str().unwrap().to_owned();
    assert!(document.len() == 48 && package["documents"][0]["id"] == "default-consent");
    let pdf = of(&format!("/documents/{document}/pdf"));
    let stripped = client.get(&pdf).await;
    assert_eq!(stripped.status, 200);
    assert!(stripped.body.starts_with(b"%PDF-"));
    let early: Vec<String> =
        ["/documents/zip", "/evidence/summary", "/audit", "/fieldSummary"].map(of).to_vec();
    let mut before = vec![sha256(&stripped.body)];
    for path in &early {
        before.push(sha256(&client.get(path).await.body));
    }
    assert_eq!(client.get(&of("/attachment/zip")).await.status, 404);

    sandbox.complete(&id);
    let package = client.get(&of("")).await.json();
    assert_eq!(
        (package["status"].as_str(), package["data"]["case"].as_str()),
        (Some("COMPLETED"), Some("7"))
    );
    assert_eq!(client.get(&of("/signingStatus")).await.json()["status"], "COMPLETED");
    let requirement = &package["roles"][1]["attachmentRequirements"][0];
    let (attachment, file) =
        (requirement["id"].as_str().unwrap(), requirement["files"][0]["id"].as_u64().unwrap());
    let mut paths = vec![of("/evidence/summary"), of("/audit"), of("/fieldSummary")];
    paths.push(of(&format!("/attachment/{attachment}/file/{file}")));
    for document in package["documents"].as_array().unwrap().iter().skip(1) {
        paths.push(of(&format!("/documents/{}/pdf", document["id"].as_str().unwrap())));
    }
    let mut got = BTreeSet::new();
    for path in &paths {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        got.insert(sha256(&answer.body));
    }
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    let promised: BTreeSet<String> = record.artifacts.iter().map(|a| a.sha256.clone()).collect();
    assert_eq!(got, promised);
    assert!(record.artifacts.iter().all(|artifact| artifact.served == 1));
    assert!(before.iter().all(|digest| !promised.contains(digest)));
    let disposition = client.get(&pdf).await.headers["content-disposition"].clone();
    assert!(disposition.to_str().unwrap().contains("filename*=UTF-8''W%C3%BCrde"));
    let zip = sha256(&client.get(&of("/documents/zip")).await.body);
    assert!(record.extras.iter().any(|extra| extra.sha256 == zip) && !promised.contains(&zip));
    let audit = client.get(&of("/audit")).await.json();
    assert_eq!(audit["package-id"], id.as_str());
    assert!(audit["audit-events"].as_array().unwrap().len() >= 3);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_consent_document_is_best_effort_and_never_promised() {
    let sandbox = world(config(3600.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let mut answers = BTreeSet::new();
    for _ in 0..20 {
        let id = sandbox.create_envelope("hr", held());
        sandbox.complete(&id);
        let got = client.get(&format!("/api/packages/{id}/documents/default-consent/pdf")).await;
        answers.insert(got.status);
        let record = sandbox.ledger().envelope(&id).unwrap().clone();
        assert!(record.artifacts.iter().all(|artifact| artifact.kind != "consent"));
        let extra = record.extras.iter().find(|extra| extra.kind == "consent");
        assert_eq!(extra.map(|extra| extra.sha256.clone()), (got.status == 200).then(|| sha256(&got.body)));
    }
    assert_eq!(answers, BTreeSet::from([200, 404]));
    sandbox.stop().await;
}

#[tokio::test]
async fn lists_understand_both_dialects_and_show_the_owners_own_unless_another_is_named() {
    let sandbox = world(config(3600.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let own: Vec<String> = (0..5).map(|_| sandbox.create_envelope("hr", held())).collect();
    let annas = sandbox.create_envelope("hr", held_by(ANNA));
    for id in &own[..3] {
        sandbox.complete(id);
    }
    sandbox.decline(&own[3]);
    assert_eq!(listed(&client, "").await.len(), 5);
    assert_eq!(listed(&client, &format!("ownerEmail={ANNA}")).await, [annas.as_str()]);
    assert_eq!(listed(&client, "query=COMPLETED").await.len(), 3);
    assert_eq!(listed(&client, "query=inbox&predefined=completed").await.len(), 3);
    assert_eq!(listed(&client, "query=drafts").await, [own[3].as_str()]);
    let today = jiff::Timestamp::now().strftime("%Y-%m-%dZ").to_string();
    for dialect in ["startDate", "lastUpdatedStartDate"] {
        assert_eq!(listed(&client, &format!("{dialect}={today}")).await.len(), 5);
        assert!(listed(&client, &format!("{dialect}=2999-01-01T00:00:00Z")).await.is_empty());
    }
    for dialect in ["endDate", "lastUpdatedEndDate"] {
        assert!(listed(&client, &format!("{dialect}=2018-12-12Z")).await.is_empty());
    }
    let page = client.get("/api/packages?from=4&to=5&sort=created&dir=asc&fields=id").await.json();
    assert_eq!((page["count"].as_u64(), page["results"].as_array().unwrap().len()), (Some(5), 2));
    assert!(page["results"][0].get("status").is_none());
    for wrong in ["from=1&to=101", "startDate=yesterday", "query=unheard", "sort=size"] {
        assert_eq!(client.get(&format!("/api/packages?{wrong}")).await.status, 400, "{wrong}");
    }
    assert_eq!(client.get("/api/packages?ownerEmail=nobody@example.com").await.status, 404);
    let senders = client.get("/api/account/senders?from=1&to=100").await.json();
    assert_eq!(senders["results"][0]["email"], OWNER);
    assert_eq!(senders["count"].as_u64().unwrap(), senders["results"].as_array().unwrap().len() as u64);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_trashed_package_stays_readable_can_be_restored_and_a_deleted_one_is_gone() {
    let receiver = Receiver::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let witnessed = Arc::clone(&asked);
    let settings = SandboxConfig {
        disposal_witness: Some(Arc::new(move |record| {
            witnessed.fetch_add(1, Ordering::SeqCst);
            record.artifacts.len()
        })),
        ..config(3600.0)
    };
    let sandbox = world(settings, &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    let path = format!("/api/packages/{id}");
    let put = |body: Value| client.send(Method::PUT, &path, Some(body));
    assert_eq!(put(json!({"trashed": true})).await.unwrap().status, 200);
    // A repetition is neither a second removal nor a second callback.
    assert_eq!(client.post(&path, Some(json!({"trashed": true}))).await.status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let deletion = sandbox.ledger().envelope(&id).unwrap().deleted.clone().unwrap();
    assert_eq!(
        (deletion.by, deletion.missing_at_disposal > 0, deletion.was_complete),
        (DeletedBy::Client, true, true)
    );
    let package = client.get(&path).await.json();
    assert_eq!((package["trashed"].as_bool(), package["status"].as_str()), (Some(true), Some("COMPLETED")));
    assert!(listed(&client, "query=COMPLETED").await.is_empty());
    assert_eq!(listed(&client, "query=trashed").await, [id.as_str()]);

    assert_eq!(put(json!({"trashed": false})).await.unwrap().status, 200);
    assert!(sandbox.ledger().envelope(&id).unwrap().deleted.is_none());
    let wrong = put(json!({"status": "DRAFT"})).await.unwrap();
    assert_eq!((wrong.status, wrong.json()["code"].as_u64()), (400, Some(400)));
    assert_eq!(put(json!({"status": "ARCHIVED"})).await.unwrap().status, 200);
    assert_eq!(client.get(&path).await.json()["status"], "ARCHIVED");
    assert_eq!(client.send(Method::DELETE, &path, None).await.unwrap().status, 200);
    assert_eq!(client.get(&path).await.status, 404);
    assert_eq!(client.send(Method::DELETE, &path, None).await.unwrap().status, 404);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    patiently("all callbacks", sandbox.lives_ended()).await;
    let told = names(&receiver, &id);
    for name in ["PACKAGE_TRASH", "PACKAGE_RESTORE", "PACKAGE_ARCHIVE", "PACKAGE_DELETE"] {
        assert_eq!(told.iter().filter(|told| *told == name).count(), 1, "{name}");
    }
    let lost = sandbox.create_envelope("hr", held());
    sandbox.delete_as_other(&lost);
    receiver.wait_for(|r| is(r, "PACKAGE_DELETE") && body(r)["packageId"] == lost.as_str()).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn what_lies_in_the_trash_can_be_deleted_by_others() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(3600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let [cancelled, trashed] = [(); 2].map(|()| sandbox.create_envelope("hr", held()));
    sandbox.cancel(&cancelled);
    sandbox.complete(&trashed);
    let path = |id: &str| format!("/api/packages/{id}");
    assert_eq!(client.post(&path(&trashed), Some(json!({"trashed": true}))).await.status, 200);
    for (id, by) in [(&cancelled, DeletedBy::Other), (&trashed, DeletedBy::Client)] {
        assert_eq!(client.get(&path(id)).await.json()["trashed"], true);
        sandbox.delete_as_other(id);
        sandbox.delete_as_other(id);
        assert_eq!(client.get(&path(id)).await.status, 404);
        assert_eq!(client.post(&path(id), Some(json!({"trashed": false}))).await.status, 404);
        assert!(!listed(&client, "query=trashed").await.contains(id));
        assert_eq!(sandbox.ledger().envelope(id).unwrap().deleted.as_ref().unwrap().by, by);
    }
    patiently("all callbacks", sandbox.lives_ended()).await;
    for id in [&cancelled, &trashed] {
        let told = names(&receiver, id);
        assert_eq!(told.iter().filter(|name| *name == "PACKAGE_DELETE").count(), 1);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn what_others_have_deleted_already_is_told_of_once() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(3600.0), &receiver.url).await;
    let script = EnvelopeScript { deleted_by_other: true, ..held() };
    let deleted = sandbox.create_envelope("hr", script);
    sandbox.complete(&deleted);
    receiver.wait_for(|r| is(r, "PACKAGE_DELETE")).await;
    sandbox.delete_as_other(&deleted);
    patiently("all callbacks", sandbox.lives_ended()).await;
    assert_eq!(names(&receiver, &deleted).iter().filter(|name| *name == "PACKAGE_DELETE").count(), 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_template_is_announced_and_shown_but_is_no_envelope() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(3600.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_template("hr", "Standard lease");
    receiver.wait_for(|r| is(r, "TEMPLATE_CREATE") && body(r)["packageId"] == id.as_str()).await;
    let path = format!("/api/packages/{id}");
    let template = client.get(&path).await.json();
    assert_eq!((template["type"].as_str(), template["status"].as_str()), (Some("TEMPLATE"), Some("DRAFT")));
    assert!(listed(&client, "").await.is_empty());
    assert_eq!(listed(&client, "type=TEMPLATE").await, [id.as_str()]);
    let ledger = sandbox.ledger();
    assert_eq!((ledger.envelopes.len(), ledger.templates_touched), (0, 0));
    assert_eq!(client.post(&path, Some(json!({"trashed": true}))).await.status, 200);
    assert_eq!(client.send(Method::DELETE, &path, None).await.unwrap().status, 200);
    assert_eq!(client.get(&path).await.status, 404);
    assert_eq!(sandbox.ledger().templates_touched, 2);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_registration_decides_where_callbacks_go_which_and_with_what_key() {
    let first = Receiver::start().await;
    let second = Receiver::start().await;
    let sandbox = world(config(36_000.0), &first.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let now = client.get("/api/callback").await.json();
    assert_eq!((now["url"].as_str(), now["key"].as_str()), (Some(first.url.as_str()), Some(CALLBACK_KEY)));
    assert_eq!(now["events"].as_array().unwrap().len(), 21);
    // The SDK's name of this event is not the one on the wire.
    let wrong = json!({"url": second.url, "events": ["PACKAGE_READY_FOR_COMPLETION"]});
    assert_eq!(client.post("/api/callback", Some(wrong)).await.status, 400);
    let wanted = json!({"url": second.url, "key": "", "events": ["PACKAGE_COMPLETE"]});
    assert_eq!(client.post("/api/callback", Some(wanted)).await.status, 200);
    let id = sandbox.create_envelope("hr", held());
    sandbox.complete(&id);
    let got = second.wait_for(|r| is(r, "PACKAGE_COMPLETE")).await;
    assert!(!got.headers.contains_key("authorization"));
    patiently("the rest", sandbox.lives_ended()).await;
    assert_eq!((first.all().len(), second.all().len()), (0, 1));
    sandbox.stop().await;
}

#[tokio::test]
async fn what_gets_in_the_way_is_told_and_settled_by_the_time_the_signer_acts() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(36_000.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let expected = [
        (Trouble::EmailBounce, "EMAIL_BOUNCE"),
        (Trouble::Locked, "SIGNER_LOCKED"),
        (Trouble::KbaFailure, "KBA_FAILURE"),
        (Trouble::Reassigned, "ROLE_REASSIGN"),
        (Trouble::Withdrawn, "PACKAGE_DEACTIVATE"),
    ];
    for (trouble, name) in expected {
        let id = sandbox.create_envelope("hr", held());
        sandbox.trouble(&id, trouble);
        let event = body(&receiver.wait_for(|r| is(r, name)).await);
        assert_eq!(event["packageId"], id.as_str());
        let package = client.get(&format!("/api/packages/{id}")).await.json();
        let role = &package["roles"][1];
        match trouble {
            Trouble::EmailBounce => {
                let kinds = ["BOUNCE", "COMPLAINT", "OOTO", "UNKNOWN"];
                assert!(kinds.contains(&event["message"].as_str().unwrap()));
            }
            Trouble::Locked => assert_eq!(role["locked"], true),
            Trouble::KbaFailure => assert_eq!(event["sessionUser"], role["signers"][0]["id"]),
            Trouble::Reassigned => {
                assert_eq!(event["newRoleId"], role["id"]);
                assert_ne!(event["sessionUser"], role["signers"][0]["id"]);
                assert_ne!(role["signers"][0]["email"], "sam.signer@example.com");
            }
            Trouble::Withdrawn => assert_eq!(package["status"], "DRAFT"),
        }
        sandbox.complete(&id);
        let package = client.get(&format!("/api/packages/{id}")).await.json();
        assert_eq!(
            (package["status"].as_str(), &package["roles"][1]["locked"]),
            (Some("COMPLETED"), &json!(false))
        );
        patiently("all callbacks", sandbox.lives_ended()).await;
        let activations = names(&receiver, &id).iter().filter(|name| *name == "PACKAGE_ACTIVATE").count();
        assert_eq!(activations, 1 + usize::from(trouble == Trouble::Withdrawn));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_package_without_autocompletion_waits_for_its_sender() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(36_000.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", EnvelopeScript { autocomplete: false, ..held() });
    let path = format!("/api/packages/{id}");
    let complete = json!({"status": "COMPLETED"});
    assert_eq!(client.post(&path, Some(complete.clone())).await.status, 400);
    sandbox.sign_next(&id);
    receiver.wait_for(|r| is(r, "PACKAGE_READY_FOR_COMPLETE")).await;
    let package = client.get(&path).await.json();
    assert_eq!((package["status"].as_str(), package["autocomplete"].as_bool()), (Some("SENT"), Some(false)));
    let signing = client.get(&format!("{path}/signingStatus")).await.json();
    assert_eq!(signing["status"], "SIGNING_COMPLETED");
    assert_eq!(client.post(&path, Some(complete)).await.status, 200);
    let event = body(&receiver.wait_for(|r| is(r, "PACKAGE_COMPLETE")).await);
    assert_eq!(event["sessionUser"], package["sender"]["id"]);
    assert_eq!(client.get(&path).await.json()["status"], "COMPLETED");
    sandbox.stop().await;
}

#[tokio::test]
async fn an_early_end_is_announced_while_the_package_is_still_sent_and_its_documents_stripped() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(60.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", EnvelopeScript { early_final: true, ..held() });
    sandbox.complete(&id);
    receiver.wait_for(|r| is(r, "PACKAGE_COMPLETE")).await;
    let package = client.get(&format!("/api/packages/{id}")).await.json();
    assert_eq!((package["status"].as_str(), package["completed"].is_null()), (Some("SENT"), true));
    let document = package["documents"][1]["id"].as_str().unwrap();
    let pdf = client.get(&format!("/api/packages/{id}/documents/{document}/pdf")).await;
    assert_eq!(pdf.status, 200);
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    assert!(record.artifacts.iter().all(|artifact| artifact.sha256 != sha256(&pdf.body)));
    assert!(record.outcome == Outcome::Completed && record.artifacts.iter().all(|a| a.served == 0));
    sandbox.stop().await;
}

#[tokio::test]
async fn the_other_ends_look_as_documented() {
    let receiver = Receiver::start().await;
    let sandbox = world(config(36_000.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let [declined, cancelled, expired] = [(); 3].map(|()| sandbox.create_envelope("hr", held()));
    let opted_out = sandbox.create_envelope("hr", EnvelopeScript { opts_out: true, ..held() });
    sandbox.decline(&declined);
    sandbox.decline(&opted_out);
    sandbox.cancel(&cancelled);
    sandbox.expire(&expired);
    for (id, name, status, trashed) in [
        (&declined, "PACKAGE_DECLINE", "DECLINED", false),
        (&opted_out, "PACKAGE_OPT_OUT", "OPTED_OUT", false),
        (&cancelled, "PACKAGE_TRASH", "SENT", true),
        (&expired, "PACKAGE_EXPIRE", "EXPIRED", false),
    ] {
        let event = body(&receiver.wait_for(|r| is(r, name)).await);
        assert_eq!(event["packageId"], id.as_str());
        assert_eq!(event["message"] == "The price is wrong", matches!(status, "DECLINED" | "OPTED_OUT"));
        let package = client.get(&format!("/api/packages/{id}")).await.json();
        assert_eq!((package["status"].as_str(), package["trashed"].as_bool()), (Some(status), Some(trashed)));
    }
    let ledger = sandbox.ledger();
    let record = ledger.envelope(&declined).unwrap();
    assert_eq!(
        record.artifacts.iter().map(|a| a.kind).collect::<Vec<_>>(),
        ["audit-trail", "audit-trail-json"]
    );
    assert_eq!(ledger.envelope(&cancelled).unwrap().outcome, Outcome::Cancelled);
    until(&sandbox, "the acknowledgements", |s| s.ledger().envelope(&cancelled).unwrap().announced).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_batch_of_an_unkind_world_tells_unknown_names_and_all_troubles_and_repeats_nothing() {
    let receiver = Receiver::start().await;
    let settings = SandboxConfig { faults: FaultProfile::Hard, ..config(36_000.0) };
    let sandbox = world(settings, &receiver.url).await;
    sandbox.send_envelopes("hr", 60);
    patiently("the end of the lives", sandbox.lives_ended()).await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut bodies = BTreeSet::new();
    for received in receiver.all() {
        *seen.entry(body(&received)["name"].as_str().unwrap().to_owned()).or_default() += 1;
        assert!(bodies.insert(received.body), "a callback came twice");
    }
    let wanted = [
        "EMAIL_BOUNCE",
        "SIGNER_LOCKED",
        "KBA_FAILURE",
        "ROLE_REASSIGN",
        "PACKAGE_DEACTIVATE",
        "PACKAGE_READY_FOR_COMPLETE",
        "PACKAGE_ATTACHMENT",
        "PACKAGE_TRASH",
        "TEMPLATE_CREATE",
    ];
    for name in wanted {
        assert!(seen.contains_key(name), "{name} is missing: {seen:?}");
    }
    let now = Client::new(&sandbox, VENDOR);
    let known = patiently("the registration", async {
        loop {
            if let Ok(got) = now.send(Method::GET, "/api/callback", None).await
                && let Ok(registered) = serde_json::from_slice::<Value>(&got.body)
                && registered["events"].is_array()
            {
                return registered["events"].clone();
            }
        }
    })
    .await;
    let known: BTreeSet<&str> = known.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(seen.keys().any(|name| !known.contains(name.as_str())), "an unknown name: {seen:?}");
    assert_eq!(sandbox.ledger().envelopes.len(), 60);
    sandbox.stop().await;
}
