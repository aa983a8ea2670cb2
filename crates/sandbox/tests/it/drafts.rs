//! Drafts of eSignAnyWhere: what a page before sending reads, changes and sends.

use aftersign_sandbox::{
    DraftRecord, DraftSpec, EnvelopeScript, FaultProfile, FileScript, Outcome, Sandbox, SandboxConfig,
    SendTrouble, SignerScript, Vendor,
};
use serde_json::{Value, json};

use crate::browser::{app, call, code_form, code_of, granting, token_of, try_token};
use crate::support::{Client, Got, Receiver, config, patiently, until};

const VENDOR: Vendor = Vendor::ESignAnyWhere;

fn spec() -> DraftSpec {
    DraftSpec {
        name: "Lease 7".to_owned(),
        metadata: Some("<MetaData><Case>7</Case></MetaData>".to_owned()),
        script: EnvelopeScript {
            hold: true,
            signers: vec![SignerScript::new("A B", "a@example.org")],
            documents: vec![FileScript::new("lease.pdf", 20_000)],
            ..EnvelopeScript::default()
        },
        bulk_recipients: Vec::new(),
    }
}

/// A draft of Anna's and how she reaches it.
struct Desk {
    sandbox: Sandbox,
    anna: String,
    token: String,
    draft: String,
}

impl Desk {
    async fn with(settings: SandboxConfig, callback_url: &str, spec: DraftSpec) -> Desk {
        let (sandbox, anna, _) = granting(VENDOR, settings, callback_url, app()).await;
        let token = token_of(&sandbox, VENDOR, &anna).await;
        let draft = sandbox.create_draft(&anna, spec);
        Desk { sandbox, anna, token, draft }
    }

    async fn get(&self, path: &str) -> Got {
        call(&self.sandbox, VENDOR, &self.token, path, None).await.unwrap()
    }

    async fn post(&self, path: &str, mut body: Value) -> Option<Got> {
        body["DraftId"] = json!(self.draft);
        call(&self.sandbox, VENDOR, &self.token, path, Some(body)).await
    }

    async fn configuration(&self) -> Value {
        self.get(&format!("/api/v6/draft/{}/configuration", self.draft)).await.json()
    }

    async fn send(&self) -> Option<Got> {
        self.post("/api/v6/draft/send", json!({})).await
    }

    fn record(&self) -> DraftRecord {
        self.sandbox.ledger().draft(&self.draft).unwrap().clone()
    }
}

fn is_missing(got: &Got) {
    assert_eq!((got.status, &got.json()["ErrorId"]), (404, &json!("ERR0250")));
}

#[tokio::test]
async fn a_draft_is_its_owners_alone() {
    let (sandbox, anna, ben) = granting(VENDOR, config(3600.0), "", app()).await;
    let draft = sandbox.create_draft(&anna, spec());
    let url = sandbox.before_send_url(&draft);
    let start = format!("https://sign.example.com/before-send/hr?draft={draft}&user={anna}&org=");
    let organisation = url.strip_prefix(&start).unwrap_or_else(|| panic!("{url}"));
    assert_eq!(organisation.len(), 36);

    let annas = token_of(&sandbox, VENDOR, &anna).await;
    let bens = token_of(&sandbox, VENDOR, &ben).await;
    let path = format!("/api/v6/draft/{draft}");
    let shown = call(&sandbox, VENDOR, &annas, &path, None).await.unwrap().json();
    assert_eq!((&shown["Id"], &shown["Name"]), (&json!(draft), &json!("Lease 7")));
    is_missing(&call(&sandbox, VENDOR, &bens, &path, None).await.unwrap());
    is_missing(&call(&sandbox, VENDOR, &bens, &format!("{path}/configuration"), None).await.unwrap());
    let body = json!({ "DraftId": draft });
    for call_path in ["/api/v6/draft/update", "/api/v6/draft/send"] {
        is_missing(&call(&sandbox, VENDOR, &bens, call_path, Some(body.clone())).await.unwrap());
        is_missing(&Client::new(&sandbox, VENDOR).post(call_path, Some(body.clone())).await);
        let empty = call(&sandbox, VENDOR, &annas, call_path, Some(json!({}))).await.unwrap();
        assert_eq!((empty.status, &empty.json()["ErrorId"]), (400, &json!("ERR0002")));
    }
    assert_eq!(sandbox.ledger().draft(&draft).unwrap().sends_done, 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_update_changes_what_it_gives_and_nothing_else() {
    let desk = Desk::with(config(3600.0), "", spec()).await;
    let before = desk.configuration().await;
    assert_eq!(
        (&before["Name"], &before["CallbackConfiguration"]["CallbackUrl"]),
        (&json!("Lease 7"), &Value::Null)
    );
    let redirect = before["RedirectConfiguration"]["BeforeSendRedirectUrl"].as_str().unwrap();
    assert!(redirect.contains("##EnvelopeId##"), "{redirect}");
    let update = |body: Value| desk.post("/api/v6/draft/update", body);
    assert_eq!(update(json!({ "MetaData": "case 8" })).await.unwrap().status, 200);
    let urls = json!({ "CallbackConfiguration": { "CallbackUrl": "http://a.example/?e=##EnvelopeId##" } });
    assert_eq!(update(urls).await.unwrap().status, 200);
    for wrong in [
        json!({ "MetaData": "lost", "Name": 7 }),
        json!({ "MetaData": "lost", "CallbackConfiguration": "x" }),
        json!({ "MetaData": "lost", "RedirectConfiguration": { "AfterSendRedirectUrl": [] } }),
        json!({ "MetaData": "lost", "Name": null }),
    ] {
        let got = update(wrong).await.unwrap();
        assert_eq!((got.status, &got.json()["ErrorId"]), (400, &json!("ERR0011")));
    }
    let mut expected = before.clone();
    expected["MetaData"] = json!("case 8");
    expected["CallbackConfiguration"]["CallbackUrl"] = json!("http://a.example/?e=##EnvelopeId##");
    assert_eq!(desk.configuration().await, expected);
    desk.sandbox.stop().await;
}

#[tokio::test]
async fn a_sent_draft_is_an_envelope_with_callbacks_of_its_own() {
    let receiver = Receiver::start().await;
    let account = Receiver::start().await;
    let desk = Desk::with(config(3600.0), &account.url, spec()).await;
    let base = &receiver.url;
    let urls = json!({
        "CallbackUrl": format!("{base}/own?secret=s&e=##EnvelopeId##&a=##Action##"),
        "AfterSendCallbackUrl": format!("{base}/draft?d=##DraftId##&e=##EnvelopeId##"),
    });
    let update = json!({ "MetaData": "case 8", "CallbackConfiguration": urls });
    desk.post("/api/v6/draft/update", update).await.unwrap();
    let sent = desk.send().await.unwrap().json();
    let id = sent["Envelope"]["EnvelopeId"].as_str().unwrap();
    assert_ne!(id, desk.draft);
    assert_eq!(sent["EnvelopeBulk"], Value::Null);
    is_missing(&desk.get(&format!("/api/v6/draft/{}", desk.draft)).await);
    is_missing(&desk.send().await.unwrap());

    let after = receiver.wait_for(|r| r.has("/draft?")).await;
    assert!(after.has(&format!("d={}&e={id}", desk.draft)), "{}", after.uri);
    account.wait_for(|r| r.has("/status?") && r.has("sendSignNotification")).await;
    desk.sandbox.complete(id);
    let finished = receiver.wait_for(|r| r.has("/own?")).await;
    assert!(finished.has(&format!("/own?secret=s&e={id}&a=envelopeFinished")), "{}", finished.uri);
    until(&desk.sandbox, "the acknowledgement", |s| s.ledger().envelope(id).unwrap().announced).await;
    assert!(account.all().iter().all(|r| !r.has("/envelope?")));

    let path = format!("/api/v6/envelope/{id}");
    assert_eq!(desk.get(&path).await.json()["EnvelopeStatus"], "Completed");
    let configuration = desk.get(&format!("{path}/configuration")).await.json();
    assert_eq!(configuration["MetaData"], "case 8");
    let callbacks = &configuration["CallbackConfiguration"];
    assert_eq!(callbacks["CallbackUrl"], urls["CallbackUrl"]);
    assert!(callbacks["StatusUpdateCallbackUrl"].as_str().unwrap().starts_with(&account.url));
    let search = json!({ "SenderEmail": "anna@example.com", "Status": "Completed" });
    let found =
        call(&desk.sandbox, VENDOR, &desk.token, "/api/v6/envelope/find", Some(search)).await.unwrap();
    assert_eq!(found.json()["Envelopes"][0]["Id"], id);
    let record = desk.record();
    assert_eq!((record.sends_asked, record.sends_done, record.envelopes), (2, 1, vec![id.to_owned()]));
    assert_eq!(record.user_id, desk.anna);
    desk.sandbox.stop().await;
}

#[tokio::test]
async fn own_callbacks_go_out_where_the_account_has_none() {
    let receiver = Receiver::start().await;
    let desk = Desk::with(config(3600.0), "", spec()).await;
    let url = format!("{}/own?e=##EnvelopeId##", receiver.url);
    desk.post("/api/v6/draft/update", json!({ "CallbackConfiguration": { "CallbackUrl": url } }))
        .await
        .unwrap();
    let id = desk.send().await.unwrap().json()["Envelope"]["EnvelopeId"].as_str().unwrap().to_owned();
    desk.sandbox.complete(&id);
    receiver.wait_for(|r| r.has(&format!("/own?e={id}"))).await;
    until(&desk.sandbox, "the acknowledgement", |s| s.ledger().envelope(&id).unwrap().announced).await;
    assert_eq!(receiver.all().len(), 1);
    assert_eq!(desk.sandbox.ledger().callbacks.withheld, 0);
    desk.sandbox.stop().await;
}

#[tokio::test]
async fn a_bulk_draft_becomes_one_envelope_per_recipient() {
    let recipients = ["x@example.org", "y@example.org"];
    let bulk = DraftSpec { bulk_recipients: recipients.map(str::to_owned).to_vec(), ..spec() };
    let desk = Desk::with(config(3600.0), "", bulk).await;
    let sent = desk.send().await.unwrap().json();
    assert_eq!(sent["Envelope"], Value::Null);
    let parent = sent["EnvelopeBulk"]["EnvelopeBulkParentId"].as_str().unwrap();
    let children = sent["EnvelopeBulk"]["EnvelopeBulkChildren"].as_array().unwrap();
    let emails: Vec<_> = children.iter().map(|child| child["BulkRecipientEmail"].as_str().unwrap()).collect();
    assert_eq!(emails, recipients);
    let ids: Vec<_> = children.iter().map(|child| child["EnvelopeId"].as_str().unwrap().to_owned()).collect();
    let record = desk.record();
    assert_eq!((record.sends_done, &record.envelopes), (1, &ids));
    let shown = desk.get(&format!("/api/v6/envelopebulk/{parent}")).await.json();
    assert_eq!(shown["Children"].as_array().unwrap().len(), 2);
    let first = desk.get(&format!("/api/v6/envelope/{}", ids[0])).await.json();
    assert_eq!(first["EnvelopeBulkParentId"], parent);
    assert_eq!(desk.sandbox.ledger().envelope(&ids[0]).unwrap().outcome, Outcome::InProgress);
    desk.sandbox.stop().await;
}

#[tokio::test]
async fn trouble_with_sending_comes_once_and_does_what_its_name_says() {
    for (trouble, status, done) in [
        (SendTrouble::AnswerLost, None, 1),
        (SendTrouble::SentAndServerError, Some(500), 1),
        (SendTrouble::NotSentAndServerError, Some(500), 0),
        (SendTrouble::Refused, Some(400), 0),
    ] {
        let desk = Desk::with(config(3600.0), "", spec()).await;
        desk.sandbox.draft_send_trouble(&desk.draft, trouble);
        assert_eq!(desk.send().await.map(|got| got.status), status, "{trouble:?}");
        let record = desk.record();
        assert_eq!((record.sends_asked, record.sends_done), (1, done), "{trouble:?}");
        assert_eq!(record.envelopes.len() as u64, done);
        let again = desk.send().await.unwrap();
        assert_eq!(again.status, if done == 1 { 404 } else { 200 }, "{trouble:?}");
        let record = desk.record();
        assert_eq!((record.sends_asked, record.sends_done, record.envelopes.len()), (2, 1, 1));
        desk.sandbox.stop().await;
    }
}

#[tokio::test]
async fn two_requests_at_once_send_a_draft_once() {
    let desk = Desk::with(config(3600.0), "", spec()).await;
    let (first, second) = tokio::join!(desk.send(), desk.send());
    let mut statuses = [first.unwrap().status, second.unwrap().status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    let record = desk.record();
    assert_eq!((record.sends_asked, record.sends_done, record.envelopes.len()), (2, 1, 1));
    desk.sandbox.stop().await;
}

#[tokio::test]
async fn faults_never_send_a_draft_twice() {
    let settings = SandboxConfig { faults: FaultProfile::Hard, ..config(36_000.0) };
    let (sandbox, anna, _) = granting(VENDOR, settings, "", app()).await;
    let token = patiently("a token", async {
        let code = code_of(&sandbox, VENDOR, &anna, "").await;
        loop {
            let form = code_form(&code);
            let got = try_token(&sandbox, VENDOR, "", &form).await;
            let body: Option<Value> = got.and_then(|got| serde_json::from_slice(&got.body).ok());
            if let Some(token) = body.and_then(|body| body["access_token"].as_str().map(str::to_owned)) {
                break token;
            }
        }
    })
    .await;
    for _ in 0..20 {
        let draft = sandbox.create_draft(&anna, spec());
        let body = json!({ "DraftId": draft });
        patiently("a draft that is gone", async {
            loop {
                let got = call(&sandbox, VENDOR, &token, "/api/v6/draft/send", Some(body.clone())).await;
                if got.is_some_and(|got| got.status == 200 || got.status == 404) {
                    break;
                }
            }
        })
        .await;
        assert_eq!(sandbox.ledger().draft(&draft).unwrap().sends_done, 1);
    }
    assert!(!sandbox.ledger().faults.is_empty());
    sandbox.stop().await;
}
