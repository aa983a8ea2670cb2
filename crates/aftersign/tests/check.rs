//! `aftersign check` against platforms that answer: what works, what does not, and what it says.
#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed as a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aftersign_sandbox::{AccountSpec, Sandbox, SandboxConfig, Vendor};
use serde_json::Value;

const KEY: &str = "api-key-of-hr";
const SECRET: &str = "path-secret-0123456789abcdef";
const PUBLIC: &str = "https://sign.example.com";

async fn world(callback_url: &str) -> (tempfile::TempDir, Sandbox) {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    sandbox.open_account(AccountSpec {
        vendor: Vendor::DropboxSign,
        id: "hr".into(),
        api_key: KEY.into(),
        callback_url: callback_url.into(),
        secrets: BTreeMap::new(),
    });
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "[server]\npublic_url = \"{PUBLIC}\"\n\n[[account]]\nid = \"hr\"\nplatform = \"dropbox-sign\"\n\
         base_url = \"{}\"\npath_secrets = [\"{SECRET}\"]\ncredential = {{ api_key = \"{KEY}\" }}\n\n\
         [[destination]]\nid = \"archive\"\ntype = \"filesystem\"\nroot = \"archive\"\n\n\
         [[rule]]\ndeliver_to = [\"archive\"]\n",
        sandbox.base_url(Vendor::DropboxSign)
    );
    fs::write(dir.path().join("aftersign.toml"), config).unwrap();
    (dir, sandbox)
}

async fn check(dir: &Path, variables: &[(&str, &str)]) -> (Option<i32>, Value, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_aftersign"));
    command.current_dir(dir).args(["check", "--json"]).envs(variables.iter().copied());
    let output = command.output().await.unwrap();
    let text = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code(), report, text)
}

fn result<'a>(report: &'a Value, check: &str) -> &'a str {
    let rows = report["checks"].as_array().unwrap();
    let row = rows.iter().rev().find(|row| row["check"] == check);
    row.unwrap_or_else(|| panic!("no {check} in {report}"))["result"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_is_told_so() {
    let (dir, _sandbox) = world(&format!("{PUBLIC}/callbacks/hr/{SECRET}")).await;
    let (code, report, text) = check(dir.path(), &[]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(report["ok"], true);
    for part in ["config", "store", "staging", "destination", "account", "callback"] {
        assert_eq!(result(&report, part), "ok", "{part}: {text}");
    }
    assert!(!text.contains(KEY) && !text.contains(SECRET), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_fails_and_the_rest_is_still_checked() {
    let (dir, _sandbox) = world("").await;
    let wrong = [("AFTERSIGN__ACCOUNT__0__CREDENTIAL__API_KEY", "another-key")];
    let (code, report, text) = check(dir.path(), &wrong).await;
    assert_eq!(code, Some(1), "{text}");
    assert_eq!((result(&report, "account"), result(&report, "destination")), ("failed", "ok"), "{text}");
    assert!(!text.contains("another-key"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_callback_url_and_a_rehearsals_pace_are_warned_of() {
    let (dir, _sandbox) = world("https://old.example.com/callbacks/hr/an-old-secret").await;
    let (code, report, text) = check(dir.path(), &[("AFTERSIGN__ENGINE__TIME_SCALE", "60")]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((result(&report, "callback"), result(&report, "config")), ("warning", "warning"), "{text}");
    assert!(text.contains("old.example.com") && !text.contains("an-old-secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_remove_before_a_seal_is_extended_are_warned_of() {
    for (dispose, warned) in [
        ("dispose = \"after-transfer\"", true),
        ("dispose = \"after-days:44\"", true),
        ("dispose = \"after-days:45\"", false),
        ("dispose = \"after-extension\"", false),
        ("dispose = \"never\"", false),
        ("", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "[server]\npublic_url = \"{PUBLIC}\"\n\n[[account]]\nid = \"lab\"\nplatform = \"scrive\"\n\
             base_url = \"http://127.0.0.1:9\"\npath_secrets = [\"{SECRET}\"]\n\
             credential = {{ api_token = \"a\", api_secret = \"b\", access_token = \"c\", access_secret = \"d\" }}\n\
             [[destination]]\nid = \"archive\"\ntype = \"filesystem\"\nroot = \"archive\"\n\
             [[rule]]\naccount = \"lab\"\ndeliver_to = [\"archive\"]\n{dispose}\n"
        );
        fs::write(dir.path().join("aftersign.toml"), config).unwrap();
        let (_, report, text) = check(dir.path(), &[]).await;
        let rows = report["checks"].as_array().unwrap();
        let found = rows.iter().any(|row| row["check"] == "config" && row["subject"] == "rule");
        assert_eq!(found, warned, "{dispose}: {text}");
        assert_eq!(
            text.contains("before the platform has extended their seals"),
            warned,
            "{dispose}: {text}"
        );
    }
}
