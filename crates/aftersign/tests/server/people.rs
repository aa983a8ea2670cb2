//! What needs a person, and what a person's word does.

use std::collections::BTreeMap;

use aftersign_sandbox::{AccountSpec, EnvelopeScript, FaultProfile, Outcome, SandboxConfig, Vendor};

use crate::common::{DROPBOX_KEY, SECRET, Site, connect, dropbox_json, world};

fn tasks(site: &Site) -> Vec<serde_json::Value> {
    site.json(&["tasks", "list", "--open", "--json"])["tasks"].as_array().unwrap().clone()
}

fn envelope(site: &Site, id: &str) -> serde_json::Value {
    let list = site.json(&["envelopes", "list", "--json"]);
    let rows = list["envelopes"].as_array().unwrap();
    rows.iter().find(|row| row["id"] == id).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_access_makes_one_task_and_what_waited_goes_on_by_itself_when_it_works_again() {
    let sandbox =
        world(SandboxConfig { faults: FaultProfile::Off, seed: 21, ..SandboxConfig::default() }).await;
    let mut site = Site::new(Some(&sandbox));
    site.serve();
    connect(&sandbox, &site);
    let account = |api_key: &str| AccountSpec {
        vendor: Vendor::DropboxSign,
        id: "hr".into(),
        api_key: api_key.into(),
        callback_url: String::new(),
        secrets: BTreeMap::new(),
        ..AccountSpec::default()
    };
    sandbox.open_account(account("a key that we do not have"));
    let script = || EnvelopeScript { outcome: Outcome::Completed, ..EnvelopeScript::default() };
    let ids = [sandbox.create_envelope("hr", script()), sandbox.create_envelope("hr", script())];
    for (number, id) in ids.iter().enumerate() {
        let json =
            dropbox_json("signature_request_all_signed", &format!("134817775{number}"), id, DROPBOX_KEY);
        assert!(site.post_dropbox(&json).contains("200 OK"));
    }
    site.wait_for("both are parked", |site| {
        let list = site.json(&["transfers", "list", "--json"]);
        let rows = list["transfers"].as_array().unwrap();
        rows.iter().filter(|row| row["parked"].to_string().contains("access_needed")).count() == 2
    });
    let open = tasks(&site);
    let refused: Vec<_> = open.iter().filter(|task| task["kind"] == "access_refused").collect();
    assert_eq!(refused.len(), 1, "{open:?}");
    assert_eq!(refused[0]["account"], "hr");

    sandbox.open_account(account(DROPBOX_KEY));
    for id in &ids {
        site.wait_for("what waited is archived", |site| !envelope(site, id)["archived_at"].is_null());
    }
    site.wait_for("the task is settled", |site| {
        tasks(site).iter().all(|task| task["kind"] != "access_refused")
    });
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_deleted_by_somebody_else_is_told_and_a_cancelled_one_is_not() {
    let sandbox =
        world(SandboxConfig { faults: FaultProfile::Off, seed: 22, ..SandboxConfig::default() }).await;
    let mut site = Site::new(Some(&sandbox));
    site.serve();
    connect(&sandbox, &site);
    let held = || EnvelopeScript { hold: true, ..EnvelopeScript::default() };
    let deleted = sandbox.create_envelope("sales", held());
    let cancelled = sandbox.create_envelope("hr", held());
    for id in [&deleted, &cancelled] {
        site.wait_for("the platform was asked", |site| !envelope(site, id)["status_at_platform"].is_null());
    }
    sandbox.delete_as_other(&deleted);
    sandbox.cancel(&cancelled);
    site.get_esaw("envelope", &format!("envelopeId={deleted}&action=envelopeFinished"));
    site.wait_for("the loss is told", |site| {
        tasks(site)
            .iter()
            .any(|task| task["kind"] == "deleted_before_archived" && task["envelope_id"] == *deleted)
    });
    site.wait_for("the cancelled one is settled", |site| envelope(site, &cancelled)["status"] == "cancelled");
    assert!(tasks(&site).iter().all(|task| task["envelope_id"] != *cancelled));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_callback_announced_is_found_by_a_sweep_and_counted_as_a_gap() {
    let sandbox =
        world(SandboxConfig { faults: FaultProfile::Off, seed: 23, ..SandboxConfig::default() }).await;
    let mut site = Site::new(Some(&sandbox));
    site.serve();
    connect(&sandbox, &site);
    let script =
        EnvelopeScript { outcome: Outcome::Completed, withhold_final: true, ..EnvelopeScript::default() };
    let id = sandbox.create_envelope("sales", script);
    site.wait_for("the sweep finds and archives it", |site| {
        site.run(&["reconcile", "--account", "sales"]);
        !envelope(site, &id)["archived_at"].is_null()
    });
    let shown = site.json(&["envelopes", "show", &id, "--json"]);
    let explanation = shown["gap_explanation"].as_str().unwrap_or_default();
    assert!(shown["gap"] == true && explanation.contains("no callback announced it"), "{shown}");
    let metrics = crate::common::exchange(
        &site.admin,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let metrics = String::from_utf8(metrics.unwrap()).unwrap();
    assert!(
        metrics.lines().any(|line| line.starts_with("aftersign_gaps") && line.ends_with(" 1")),
        "{metrics}"
    );
    sandbox.stop().await;
}

#[test]
fn what_a_platform_could_not_deliver_is_imported_beside_the_server_which_goes_on_with_it() {
    let mut site = Site::new(None);
    site.serve();
    let package = "LWsUTvGgE4WpOvaQPT16idnxNj8=";
    let payload = format!("{{\"name\":\"PACKAGE_COMPLETE\",\"packageId\":\"{package}\"}}");
    std::fs::write(site.path("mail.txt"), format!("It was not delivered.\n{payload}\n")).unwrap();
    let mail = site.path("mail.txt").display().to_string();
    let imported = site.json(&["callbacks", "import", &mail, "--json"]);
    assert_eq!(
        (&imported["account"], &imported["imported"][0]["disposition"]),
        (&"legal".into(), &"noted".into())
    );
    site.wait_for("the server goes on with it", |site| !envelope(site, package)["id"].is_null());
    let callbacks = site.json(&["callbacks", "list", "--json"]);
    assert_eq!(callbacks["callbacks"].as_array().unwrap().len(), 1, "{callbacks}");
}

#[test]
fn a_replayed_callback_is_worked_on_again_and_the_journal_tells_who_asked() {
    let mut site = Site::new(None);
    site.serve();
    let json = dropbox_json("signature_request_viewed", "1348177752", "abcdef0123456789", DROPBOX_KEY);
    assert!(site.post_dropbox(&json).contains("200 OK"));
    site.wait_for("it is projected", |site| !envelope(site, "abcdef0123456789")["id"].is_null());
    let list = site.json(&["callbacks", "list", "--json"]);
    let id = list["callbacks"][0]["id"].as_str().unwrap().to_string();
    assert!(site.run(&["callbacks", "replay", &id]).status.success());
    let journal = site.json(&["journal", "list", "--json"]).to_string();
    assert!(journal.contains("replayed") && !journal.contains(SECRET), "{journal}");
    let shown = site.json(&["envelopes", "show", "abcdef0123456789", "--json"]);
    assert_eq!(shown["timeline"].as_array().unwrap().len(), 1, "a replay doubles no line");
}
