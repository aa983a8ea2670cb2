use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aftersign_sandbox::{
    DeletedBy, EnvelopeScript, FileScript, Outcome, SandboxConfig, SignerScript, Vendor,
};
use aws_lc_rs::hmac;
use base64::Engine;

use crate::support::{Client, KEY, Received, Receiver, config, sha256, until, world};

const VENDOR: Vendor = Vendor::DropboxSign;

fn held() -> EnvelopeScript {
    EnvelopeScript {
        name: "Lease 7".to_owned(),
        hold: true,
        metadata: r#"{"case":"7","unit":{"id":3}}"#.to_owned(),
        ..EnvelopeScript::default()
    }
}

fn hmac_hex(message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    hmac::sign(&key, message.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn assert_authentic(received: &Received) {
    let text = received.json_text();
    let event = &received.json()["event"];
    let message =
        format!("{}{}", event["event_time"].as_str().unwrap(), event["event_type"].as_str().unwrap());
    assert_eq!(event["event_hash"], hmac_hex(&message));
    let header = received.headers["content-sha256"].to_str().unwrap();
    let decoded = base64::engine::general_purpose::STANDARD.decode(header).unwrap();
    let hex = match decoded.len() {
        64 => String::from_utf8(decoded).unwrap(),
        32 => decoded.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => panic!("{other} bytes in Content-Sha256"),
    };
    assert_eq!(hex, hmac_hex(&text));
    assert_eq!(received.headers["user-agent"], "Dropbox Sign API");
    assert!(text.contains("\\/"), "slashes are escaped as PHP does");
}

#[tokio::test]
async fn a_wrong_key_and_a_missing_one_are_refused_differently() {
    let sandbox = world(VENDOR, config(3600.0), "").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/account", sandbox.base_url(VENDOR));
    let missing = http.get(&url).send().await.unwrap();
    assert_eq!(missing.status(), 401);
    assert!(missing.text().await.unwrap().contains("No credentials supplied"));
    let wrong = http.get(&url).basic_auth("wrong", Some("")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(wrong.text().await.unwrap().contains("Unauthorized api key"));
    assert_eq!(Client::new(&sandbox, VENDOR).get("/account").await.status, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn callbacks_are_authentic_and_tried_again_until_the_exact_words_come_back() {
    let receiver = Receiver::start().await;
    receiver.answer_with(503, "busy");
    let sandbox = world(VENDOR, config(3600.0), &receiver.url).await;
    let id = sandbox.create_envelope("hr", held());
    receiver.wait_for(|_| true).await;
    // 200 is not enough.
    receiver.answer_with(200, "OK");
    receiver.wait_for_count(2, |_| true).await;
    receiver.answer_with(200, "Hello API Event Received");
    until(&sandbox, "the acknowledgement", |s| s.ledger().callbacks.acknowledged == 1).await;
    let sent = receiver.all();
    assert!(sent.len() >= 3);
    for received in &sent {
        assert_authentic(received);
        assert_eq!(received.event_type(), "signature_request_sent");
        assert_eq!(received.body, sent[0].body);
    }
    let json = sent[0].json();
    assert_eq!(json["signature_request"]["signature_request_id"], id);
    assert_eq!(json["signature_request"]["metadata"]["unit"]["id"], 3);
    let tally = sandbox.ledger().callbacks;
    assert_eq!((tally.sent, tally.refused, tally.repeats), (1, sent.len() as u64 - 1, sent.len() as u64 - 1));
    assert_eq!(sandbox.pending_callbacks(), 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn files_are_prepared_first_and_then_match_the_ledger_and_only_then_can_be_removed() {
    let receiver = Receiver::start().await;
    let missing = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&missing);
    let settings = SandboxConfig {
        disposal_witness: Some(Arc::new(move |record| {
            asked.store(record.artifacts.len(), Ordering::SeqCst);
            record.artifacts.iter().filter(|artifact| artifact.served == 0).count()
        })),
        ..config(600.0)
    };
    let sandbox = world(VENDOR, settings, &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let script = EnvelopeScript {
        documents: vec![FileScript::new("a.pdf", 30_000), FileScript::new("b.pdf", 900_000)],
        attachments: vec![FileScript::new("passport.pdf", 20_000)],
        signers: vec![SignerScript::new("A B", "a@example.org"), SignerScript::new("C D", "c@example.org")],
        ..held()
    };
    let id = sandbox.create_envelope("hr", script);
    let files = format!("/signature_request/files/{id}");

    let refused = client.post(&format!("/signature_request/remove/{id}"), None).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["error_name"], "signature_request_remove_failed");
    let interim = client.get(&files).await;
    assert_eq!(interim.status, 200);

    sandbox.complete(&id);
    let got = client.get(&format!("/signature_request/{id}")).await.json();
    assert_eq!(got["signature_request"]["is_complete"], true);
    assert_eq!(client.get(&files).await.status, 409);
    receiver.wait_for(|r| r.event_type() == "signature_request_downloadable").await;

    let pdf = client.get(&files).await;
    let zip = client.get(&format!("{files}?file_type=zip")).await;
    assert_eq!((pdf.status, zip.status), (200, 200));
    assert_ne!(pdf.body, interim.body);
    let record = sandbox.ledger().envelope(&id).unwrap().clone();
    for (got, kind) in [(&pdf, "signed-pdf"), (&zip, "zip")] {
        let artifact = record.artifacts.iter().find(|artifact| artifact.kind == kind).unwrap();
        assert_eq!((sha256(&got.body), got.body.len() as u64), (artifact.sha256.clone(), artifact.bytes));
        assert_eq!(artifact.served, 1);
    }
    assert!(pdf.body.starts_with(b"%PDF-1.7") && pdf.body.ends_with(b"%%EOF\n"));
    let archive = zip::ZipArchive::new(std::io::Cursor::new(zip.body)).unwrap();
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["1_-_a.pdf", "2_-_b.pdf", "passport.pdf", "Audit Trail.pdf"]);

    let removed = client.post(&format!("/signature_request/remove/{id}"), None).await;
    assert_eq!((removed.status, removed.body.len()), (200, 0));
    assert_eq!(missing.load(Ordering::SeqCst), 2);
    assert_eq!(client.get(&format!("/signature_request/{id}")).await.status, 404);
    let deletion = sandbox.ledger().envelope(&id).unwrap().deleted.clone().unwrap();
    assert_eq!(
        (deletion.by, deletion.missing_at_disposal, deletion.was_complete),
        (DeletedBy::Client, 0, true)
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_declined_a_cancelled_and_an_expired_request_look_as_documented() {
    let receiver = Receiver::start().await;
    let sandbox = world(VENDOR, config(36_000.0), &receiver.url).await;
    let client = Client::new(&sandbox, VENDOR);
    let [declined, cancelled, expired] = [(); 3].map(|()| sandbox.create_envelope("hr", held()));
    sandbox.decline(&declined);
    sandbox.expire(&expired);
    assert_eq!(client.post(&format!("/signature_request/cancel/{cancelled}"), None).await.status, 200);

    let event = receiver.wait_for(|r| r.event_type() == "signature_request_declined").await.json();
    assert_eq!(event["event"]["event_metadata"]["event_message"], "The price is wrong");
    receiver.wait_for(|r| r.event_type() == "signature_request_canceled").await;
    receiver.wait_for(|r| r.event_type() == "signature_request_expired").await;

    let request = |id: &str| format!("/signature_request/{id}");
    let got = client.get(&request(&declined)).await.json();
    assert_eq!(got["signature_request"]["signatures"][0]["status_code"], "declined");
    let got = client.get(&request(&cancelled)).await;
    assert_eq!((got.status, got.json()["error"]["error_name"].as_str()), (410, Some("deleted")));
    let got = client.get(&request(&expired)).await.json();
    assert_eq!(got["signature_request"]["signatures"][0]["status_code"], "expired");
    let files = client.get(&format!("/signature_request/files/{expired}")).await;
    assert_eq!(files.json()["error"]["error_name"], "signature_request_expired");
    assert_eq!(client.post(&format!("/signature_request/remove/{declined}"), None).await.status, 200);
    let again = client.post(&format!("/signature_request/cancel/{declined}"), None).await;
    assert_eq!(again.status, 404);
    sandbox.lives_ended().await;
    assert_eq!(sandbox.ledger().envelope(&cancelled).unwrap().outcome, Outcome::Cancelled);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_sweep_finds_completed_requests_page_by_page_after_the_index_caught_up() {
    let sandbox = world(VENDOR, config(36_000.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let ids: Vec<String> = (0..5).map(|_| sandbox.create_envelope("hr", held())).collect();
    for id in &ids[..3] {
        sandbox.complete(id);
    }
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let query = format!("from:me+AND+complete:true+AND+created:%5B{today}+TO+*%5D");
    let list = |page: usize| format!("/signature_request/list?page={page}&page_size=2&query={query}");
    crate::support::patiently("the index", async {
        while client.get(&list(1)).await.json()["list_info"]["num_results"] != 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let first = client.get(&list(1)).await.json();
    let second = client.get(&list(2)).await.json();
    let beyond = client.get(&list(9)).await.json();
    assert_eq!(first["list_info"]["num_pages"], 2);
    let count = |page: &serde_json::Value| page["signature_requests"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), count(&beyond)), (2, 1, 0));
    assert_eq!(client.get("/signature_request/list?page_size=101").await.status, 400);
    assert_eq!(client.get("/signature_request/list?query=updated:x").await.status, 400);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_files_limit_is_twenty_five_a_minute_and_speaks_the_spelling_of_the_wire() {
    let sandbox = world(VENDOR, config(1.0), "").await;
    let client = Client::new(&sandbox, VENDOR);
    let id = sandbox.create_envelope("hr", held());
    let files = format!("/signature_request/files/{id}");
    for remaining in (0..25).rev() {
        let got = client.get(&files).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.headers["x-ratelimit-limit-remaining"], remaining.to_string());
    }
    let got = client.get(&files).await;
    assert_eq!(got.status, 429);
    assert_eq!(got.json()["error"]["error_name"], "exceeded_rate");
    assert!(got.headers.contains_key("x-ratelimit-reset") && !got.headers.contains_key("retry-after"));
    assert_eq!(client.get(&format!("/signature_request/{id}")).await.status, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_url_is_forgotten_after_ten_failures_only_if_asked_for() {
    let receiver = Receiver::start().await;
    receiver.answer_with(500, "");
    for (clear, forgotten) in [(true, true), (false, false)] {
        let settings = SandboxConfig { clear_callback_url: clear, ..config(1_000_000.0) };
        let sandbox = world(VENDOR, settings, &receiver.url).await;
        for _ in 0..3 {
            sandbox.create_envelope("hr", held());
        }
        crate::support::patiently("the end of the attempts", sandbox.lives_ended()).await;
        let account = Client::new(&sandbox, VENDOR).get("/account").await.json();
        assert_eq!(account["account"]["callback_url"].is_null(), forgotten);
        let tally = sandbox.ledger().callbacks;
        assert_eq!(tally.given_up + tally.withheld, 3);
        assert_eq!(tally.withheld > 0, forgotten);
        sandbox.stop().await;
    }
}
