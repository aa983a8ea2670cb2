//! `aftersign check` against platforms that answer: what works, what does not, and what it says.
#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed as a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use aftersign_core::Timestamp;
use aftersign_core::grant::{Grant, GrantKind};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::platform::Credential;
use aftersign_core::seams::Entropy;
use aftersign_sandbox::{AccountSpec, MailSink, Sandbox, SandboxConfig, Vendor};
use aftersign_store::{NewGrant, SqliteOptions, SqliteStore, Upkeep, Vault, VaultKey};
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
        ..AccountSpec::default()
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

/// The rows of one check with their results.
fn rows(report: &Value, check: &str) -> Vec<(String, String)> {
    let rows = report["checks"].as_array().unwrap().iter().filter(|row| row["check"] == check);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.map(|row| (text(&row["result"]), text(&row["detail"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_lives_on_grants_tells_who_gave_access_and_what_to_register() {
    let dir = tempfile::tempdir().unwrap();
    let config = |keys: &str| {
        let config = format!(
            "[server]\npublic_url = \"{PUBLIC}\"\n\n[vault]\nkeys = [{keys}]\n[[account]]\nid = \"hr\"\n\
             platform = \"dropbox-sign\"\npath_secrets = [\"{SECRET}\"]\ncallback_keys = [\"{KEY}\"]\n\
             base_url = \"http://127.0.0.1:9\"\n[account.oauth]\nclient_id = \"i\"\nclient_secret = \"{KEY}\"\n"
        );
        fs::write(dir.path().join("aftersign.toml"), config).unwrap();
    };
    config("");
    let (code, report, text) = check(dir.path(), &[]).await;
    assert_eq!((code, result(&report, "vault")), (Some(1), "failed"), "{text}");
    assert!(text.contains("openssl rand -base64 32"), "{text}");

    config("{ id = \"first\", file = \"vault.key\" }");
    fs::write(dir.path().join("vault.key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let (code, report, text) = check(dir.path(), &[]).await;
    assert_eq!((code, result(&report, "vault")), (Some(0), "ok"), "{text}");
    let account = rows(&report, "account");
    let [(result, detail)] = account.as_slice() else { panic!("nobody is asked: {account:?}") };
    assert!(result == "warning" && detail.contains("nobody gave access yet"), "{detail}");
    let uri = format!("{PUBLIC}/consent/hr/return");
    assert!(rows(&report, "oauth").iter().any(|(_, detail)| detail.contains(&uri)), "{text}");
    assert!(!text.contains(KEY), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_grant_is_warned_of() {
    let (dir, _sandbox) = world(&format!("{PUBLIC}/callbacks/hr/{SECRET}")).await;
    fs::write(dir.path().join("vault.key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let ring = [("AFTERSIGN__VAULT__KEYS", "[{ id = \"first\", file = \"vault.key\" }]")];
    let entropy: Arc<dyn Entropy> = Arc::new(Same);
    let key = VaultKey { id: "first".into(), key: std::array::from_fn(|n| u8::try_from(n).unwrap()).into() };
    let store = SqliteStore::open(SqliteOptions {
        vault_keys: vec![key],
        ..SqliteOptions::new(dir.path().join("data/aftersign.db"), entropy)
    });
    let store = store.unwrap();
    let (account, now) = (AccountId::new("hr"), Timestamp::UNIX_EPOCH);
    for who in ["anna@example.com", "ben@example.com"] {
        let grant = NewGrant {
            account: account.clone(),
            sender: SenderId::new(who).unwrap(),
            user_id: None,
            grant: Grant {
                kind: GrantKind::Consent,
                credential: Credential::default(),
                refresh_token: None,
                renew_at: None,
            },
        };
        store.seal_grant(grant, "test", now).await.unwrap();
    }
    let (code, report, text) = check(dir.path(), &ring).await;
    assert_eq!((code, result(&report, "grants")), (Some(0), "ok"), "{text}");
    let row = store.grants(None).await.unwrap().remove(0);
    store.mark_grant(&account, &row.sender, row.version, Some(now), None).await.unwrap();
    store.close().await.unwrap();
    let (code, report, text) = check(dir.path(), &ring).await;
    assert_eq!((code, result(&report, "grants")), (Some(0), "warning"), "{text}");
    assert!(
        text.contains("1 of 2 grants are refused") && text.contains("grants list --account hr"),
        "{text}"
    );
    assert_eq!(result(&report, "account"), "ok", "its own credential is asked for as well: {text}");
}

/// Entropy of which nothing depends here.
struct Same;

impl Entropy for Same {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_tried_up_to_being_let_in_and_so_are_templates() {
    let (dir, _sandbox) = world(&format!("{PUBLIC}/callbacks/hr/{SECRET}")).await;
    let sink = MailSink::start().unwrap();
    let file = dir.path().join("aftersign.toml");
    let config = fs::read_to_string(&file).unwrap();
    let mail = format!(
        "[mail]\nsmtp_url = \"smtp://{}\"\nfrom = \"aftersign@example.com\"\nadmins = [\"ops@example.com\"]\n\
         templates_dir = \"mail\"\n",
        sink.addr()
    );
    fs::write(&file, format!("{config}\n{mail}")).unwrap();
    fs::create_dir(dir.path().join("mail")).unwrap();
    fs::write(dir.path().join("mail/digest.subject.txt"), "{{ open }} open").unwrap();
    let (code, report, text) = check(dir.path(), &[]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(rows(&report, "mail").iter().all(|(result, _)| result == "ok"), "{text}");
    assert!(sink.messages().is_empty(), "nobody is written to");
    fs::write(dir.path().join("mail/digest.subject.txt"), "{{ opne }}").unwrap();
    sink.refuse(true);
    let (code, report, text) = check(dir.path(), &[]).await;
    assert_eq!(code, Some(1), "{text}");
    let results = rows(&report, "mail");
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|(result, _)| result == "failed"), "{text}");
    assert!(text.contains("digest.subject.txt") && text.contains("421"), "{text}");
}
