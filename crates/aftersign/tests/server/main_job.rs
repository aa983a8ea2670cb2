//! The main job, whole: the demo, judged by the sandbox's ledger, also with the server killed meanwhile; and the
//! traits of single envelopes.

use std::process::Command;

use crate::common::{BINARY, Site, connect, files, world};
use aftersign_sandbox::{EnvelopeScript, FaultProfile, Outcome, SandboxConfig};

fn demo(args: &[&str]) -> serde_json::Value {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(BINARY)
        .args(["demo", "--once", "--json", "--dir"])
        .arg(dir.path().join("demo"))
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let log = std::fs::read_to_string(dir.path().join("demo/server.log")).unwrap_or_default();
    assert!(output.status.success(), "{text}\n{errors}\n{log}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn assert_clean(report: &serde_json::Value) {
    for figure in ["lost", "duplicates", "premature_disposals"] {
        assert_eq!(report[figure], 0, "{report}");
    }
    let envelopes = &report["envelopes"];
    assert!(envelopes["completed"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(envelopes["archived"], envelopes["completed"], "{report}");
    let left = envelopes["disposed"].as_u64().unwrap() + envelopes["kept"].as_u64().unwrap();
    assert_eq!(left, envelopes["completed"].as_u64().unwrap(), "{report}");
    assert_eq!(report["artifacts"]["verified"], report["artifacts"]["delivered"], "{report}");
}

#[test]
fn nothing_is_lost_doubled_or_removed_too_early_in_a_hard_world() {
    let report = demo(&["--envelopes", "10", "--faults", "hard", "--seed", "11"]);
    assert_clean(&report);
    assert_eq!(report["envelopes"]["created"], 50);
    assert!(
        report["envelopes"]["disposed"].as_u64().unwrap() > report["envelopes"]["kept"].as_u64().unwrap()
    );
    assert!(report["callbacks"]["withheld"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn nothing_is_lost_doubled_or_removed_too_early_while_the_server_is_killed() {
    let report = demo(&["--envelopes", "6", "--faults", "normal", "--seed", "12", "--kill-every", "700"]);
    assert_clean(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_is_archived_with_its_metadata_and_stays_at_the_platform_where_no_rule_removes_it() {
    let sandbox =
        world(SandboxConfig { faults: FaultProfile::Off, seed: 5, ..SandboxConfig::default() }).await;
    let mut site = Site::new(Some(&sandbox));
    site.write_config(
        &sandbox.base_url(aftersign_sandbox::Vendor::DropboxSign),
        &sandbox.base_url(aftersign_sandbox::Vendor::ESignAnyWhere),
        "never",
    );
    site.serve();
    connect(&sandbox, &site);
    let script = || EnvelopeScript { outcome: Outcome::Completed, ..EnvelopeScript::default() };
    let ids = [sandbox.create_envelope("hr", script()), sandbox.create_envelope("sales", script())];
    for id in &ids {
        site.wait_for("the envelope is archived", |site| {
            let list = site.json(&["envelopes", "list", "--json"]);
            list["envelopes"]
                .as_array()
                .unwrap()
                .iter()
                .any(|row| row["id"] == **id && !row["archived_at"].is_null())
        });
    }
    for record in sandbox.ledger().envelopes {
        assert!(record.deleted.is_none());
        let folder = site.path("archive").join(record.vendor.name()).join(&record.id);
        let metadata: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("metadata.json")).unwrap()).unwrap();
        assert_eq!(metadata["envelope_id"], *record.id);
        assert_eq!(metadata["name"], *record.name);
        assert_eq!(metadata["status"], "completed");
        let listed = metadata["artifacts"].as_array().unwrap();
        for artifact in &record.artifacts {
            let entry = listed.iter().find(|entry| entry["sha256"] == *artifact.sha256).unwrap();
            assert_eq!(entry["bytes"], artifact.bytes);
            let file = folder.join(entry["file_name"].as_str().unwrap());
            assert_eq!(std::fs::metadata(file).unwrap().len(), artifact.bytes);
        }
        assert_eq!(files(&folder).len(), listed.len() + 1, "nothing but the artifacts and metadata.json");
    }
    let journal = site.json(&["journal", "verify", "--json"]);
    assert_eq!(journal["intact"], true, "{journal}");
    assert_eq!(site.stop(), Some(0));
    sandbox.stop().await;
}
