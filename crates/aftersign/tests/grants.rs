//! Senders' access at the command line: given by standard input, listed, forgotten, sealed with another key. Whatever is
//! printed, and whatever lies in the folder, holds no secret.
#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed as a test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::callback::{Notification, NotificationKind};
use aftersign_core::grant::{Grant, GrantKind, Holder};
use aftersign_core::ids::{AccountId, EnvelopeId, SenderId, SweepId};
use aftersign_core::platform::Credential;
use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use aftersign_core::transfer::{Change, ParkReason, Parked};
use aftersign_sandbox::{AccountSpec, EnvelopeScript, Sandbox, SandboxConfig, Vendor};
use aftersign_store::{
    NewGrant, News, NewsSource, Projection, Queue, Role, SqliteOptions, SqliteStore, Upkeep, Vault, VaultKey,
    Worker,
};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::{Value, json};

const ANNA: &str = "key-of-anna-0123456789";
const BEN: &str = "key-of-ben-0123456789";
/// As the world knows the author of what the account `carl` sends.
const CARL: &str = "sender@example.com";
const SCRIVE: [(&str, &str); 4] = [
    ("api_token", "api-token-of-carl"),
    ("api_secret", "api-secret-of-carl"),
    ("access_token", "access-token-of-carl"),
    ("access_secret", "access-secret-of-carl"),
];
/// Vault keys by id: 32 bytes in base64.
const KEYS: [(&str, &str); 2] = [
    ("old", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("new", "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="),
];

/// Entropy that never repeats and is the same in every run.
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            *byte = u8::try_from((count ^ (count >> 8)).wrapping_mul(167) % 251).unwrap();
        }
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// A folder with a config, beside a world in which Anna, Ben and Carl have keys of their own.
struct Site {
    dir: tempfile::TempDir,
    world: Sandbox,
}

impl Site {
    async fn new(ring: &[&str]) -> Self {
        let world = Sandbox::start(SandboxConfig::default()).await.unwrap();
        for (id, key) in [("anna", ANNA), ("ben", BEN)] {
            world.open_account(AccountSpec { id: id.into(), api_key: key.into(), ..AccountSpec::default() });
        }
        let secrets = SCRIVE.map(|(name, value)| (name.to_owned(), value.to_owned()));
        world.open_account(AccountSpec {
            vendor: Vendor::Scrive,
            id: "carl".into(),
            secrets: BTreeMap::from(secrets),
            ..AccountSpec::default()
        });
        let site = Self { dir: tempfile::tempdir().unwrap(), world };
        site.configure(ring);
        site
    }

    /// Two accounts that live on what senders give, and these vault keys.
    fn configure(&self, ring: &[&str]) {
        for (id, key) in KEYS {
            fs::write(self.path().join(format!("{id}.key")), key).unwrap();
        }
        let ring: Vec<String> =
            ring.iter().map(|id| format!("{{ id = \"{id}\", file = \"{id}.key\" }}")).collect();
        let account = |id: &str, platform: &str, vendor, more: &str| {
            format!(
                "[[account]]\nid = \"{id}\"\nplatform = \"{platform}\"\nbase_url = \"{}\"\n\
                 path_secrets = [\"path-secret-0123456789abcdef\"]\n{more}\n",
                self.world.base_url(vendor)
            )
        };
        let text = format!(
            "[server]\npublic_url = \"https://sign.example.com\"\n[store]\nurl = \"sqlite:a.db\"\n\
             [vault]\nkeys = [{}]\n{}{}",
            ring.join(", "),
            account("hr", "dropbox-sign", Vendor::DropboxSign, "callback_keys = [\"a-callback-key\"]"),
            account("lab", "scrive", Vendor::Scrive, ""),
        );
        fs::write(self.path().join("aftersign.toml"), text).unwrap();
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a command with something on its standard input. Nothing it prints holds a secret.
    fn run(&self, args: &[&str], input: &str) -> (Option<i32>, String, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aftersign"))
            .current_dir(self.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its input before it is all written closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        for secret in secrets() {
            assert!(!out.contains(secret) && !err.contains(secret), "{args:?} prints {secret}: {out}{err}");
        }
        (output.status.code(), out, err)
    }

    /// Runs a command at a terminal and types this in when it asks. Gives its code, what it printed, and what the terminal
    /// showed.
    fn at_a_terminal(&self, args: &[&str], typed: &str) -> (Option<i32>, String, String) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let mut keyboard = fs::File::from(openpt(flags).unwrap());
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let no_control = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let open = fs::OpenOptions::new().read(true).write(true).custom_flags(no_control).open(name);
        let terminal = open.unwrap();
        let modes = || tcgetattr(&terminal).unwrap().local_modes;
        let before = modes();
        let mut child = Command::new(env!("CARGO_BIN_EXE_aftersign"))
            .current_dir(self.path())
            .args(args)
            .stdin(terminal.try_clone().unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut asks, mut asked) = (child.stderr.take().unwrap(), Vec::new());
        while !asked.ends_with(b"(not shown): ") {
            let mut byte = [0];
            asks.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        assert!(!modes().intersects(LocalModes::ECHO | LocalModes::ISIG));
        keyboard.write_all(typed.as_bytes()).unwrap();
        asks.read_to_end(&mut asked).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(modes(), before, "the terminal is as it was");
        drop(terminal);
        let mut shown = Vec::new();
        // A terminal that nobody has open any more ends with a failure.
        let _ = keyboard.read_to_end(&mut shown);
        let printed = String::from_utf8([asked, output.stdout].concat()).unwrap();
        (output.status.code(), printed, String::from_utf8(shown).unwrap())
    }

    fn ok(&self, args: &[&str], input: &str) -> String {
        let (code, out, err) = self.run(args, input);
        assert_eq!(code, Some(0), "{args:?}: {out}{err}");
        out
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat(), "")).unwrap()
    }

    fn grants(&self) -> Vec<Value> {
        self.json(&["grants", "list"])["grants"].as_array().unwrap().clone()
    }

    /// The message of a command that fails with this code.
    fn fails(&self, code: i32, args: &[&str], input: &str) -> String {
        let (found, out, err) = self.run(args, input);
        assert_eq!((found, out.as_str()), (Some(code), ""), "{args:?}: {err}");
        assert!(err.contains("\n  next: "), "{args:?}: {err}");
        err
    }

    /// No file of the folder, the database and its log among them, holds a secret of a sender.
    fn nothing_lies_open(&self) {
        for entry in fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = if path.is_file() { fs::read(&path).unwrap() } else { continue };
            for secret in secrets() {
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{} holds {secret}", path.display());
            }
        }
    }

    fn store(&self, ring: &[&str], role: Role) -> Arc<SqliteStore> {
        use base64::Engine as _;
        let key = |id: &&str| {
            let text = KEYS.iter().find(|(known, _)| known == id).unwrap().1;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            let mut key = VaultKey { id: (*id).into(), key: [0u8; 32].into() };
            key.key.copy_from_slice(&bytes);
            key
        };
        let entropy = Arc::new(Counting(AtomicU64::new(u64::from(std::process::id()))));
        SqliteStore::open(SqliteOptions {
            vault_keys: ring.iter().map(key).collect(),
            role,
            ..SqliteOptions::new(self.path().join("a.db"), entropy)
        })
        .unwrap()
    }
}

fn secrets() -> impl Iterator<Item = &'static str> {
    [ANNA, BEN].into_iter().chain(SCRIVE.map(|(_, value)| value))
}

fn sender(text: &str) -> SenderId {
    SenderId::new(text).unwrap()
}

/// Has `count` transfers of `hr` wait for a sender's access.
async fn park(store: &SqliteStore, count: usize, waits_for: &str) {
    let (account, entropy) = (AccountId::new("hr"), Counting(AtomicU64::new(7)));
    for number in 0..count {
        let news = News {
            source: NewsSource::Sweep(SweepId::make(at(1), &entropy)),
            account: account.clone(),
            platform: "dropbox-sign".into(),
            notifications: vec![Notification {
                envelope: EnvelopeId::new(format!("e-{number}")),
                kind: NotificationKind::Finished,
                kind_at_platform: "closed".into(),
                occurred_at: None,
                signer: None,
                detail: None,
                sender: None,
                name: None,
                draft: None,
            }],
            open_tasks: Vec::new(),
            close_tasks: Vec::new(),
        };
        store.announce(vec![news], at(2), Pace::real(1)).await.unwrap();
    }
    let worker = Worker { node: "n".into(), boot: "b".into() };
    let (lease, now) = (Duration::from_secs(60), at(1_000));
    let claimed = store.claim(&account, &worker, count, lease, now).await.unwrap();
    assert_eq!(claimed.len(), count);
    for one in claimed {
        let mut transfer = one.transfer;
        transfer.parked = Some(Parked { reason: ParkReason::AccessNeeded, since: now, looks: 0 });
        transfer.waits_for = Holder::Sender(sender(waits_for));
        transfer.due_at = Some(at(100_000_000));
        store.record(&one.lease, transfer, Change::default(), None, false, now).await.unwrap();
    }
}

async fn give(store: &SqliteStore, who: &str) {
    let grant = NewGrant {
        account: AccountId::new("hr"),
        sender: sender(who),
        user_id: None,
        grant: Grant {
            kind: GrantKind::Key,
            credential: Credential::new([("api_key".to_owned(), Secret::new(ANNA))]),
            refresh_token: None,
            renew_at: None,
        },
    };
    store.seal_grant(grant, "test", at(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_standard_input_is_sealed_and_what_waited_goes_on() {
    let site = Site::new(&["new"]).await;
    let store = site.store(&["new"], Role::Tool);
    park(&store, 2, "anna@example.com").await;
    store.close().await.unwrap();
    assert!(site.grants().is_empty());
    let told = site.ok(&["grants", "set", "hr"], &format!(" {ANNA}\r\n"));
    assert!(
        told.contains("anna@example.com") && told.contains("2 transfers that waited for it go on"),
        "{told}"
    );
    for row in site.json(&["transfers", "list"])["transfers"].as_array().unwrap() {
        assert!(row["waits_for"].is_null() && row["parked"].is_null(), "{row}");
    }

    let sent = EnvelopeScript { hold: true, sender: CARL.into(), ..EnvelopeScript::default() };
    site.world.create_envelope("carl", sent);
    let object = json!(BTreeMap::from(SCRIVE)).to_string();
    let set = site.ok(&["grants", "set", "lab", "--sender", " Sender@example.com ", "--json"], &object);
    let set: Value = serde_json::from_str(&set).unwrap();
    assert_eq!((&set["account"], &set["woken"]), (&"lab".into(), &0.into()), "{set}");

    let listed = site.grants();
    let [hr, lab] = listed.as_slice() else { panic!("{listed:?}") };
    let names = [
        "account",
        "platform",
        "sender",
        "user_id",
        "kind",
        "key_id",
        "granted_at",
        "renew_at",
        "refused_at",
        "waiting",
    ];
    assert_eq!(hr.as_object().unwrap().len(), names.len(), "{hr}");
    assert!(names.iter().all(|name| hr.as_object().unwrap().contains_key(*name)), "{hr}");
    assert_eq!((&hr["account"], &hr["platform"]), (&"hr".into(), &"dropbox-sign".into()));
    assert_eq!(
        (&hr["sender"], &hr["kind"], &hr["key_id"]),
        (&"anna@example.com".into(), &"key".into(), &"new".into())
    );
    assert!(hr["granted_at"].as_str().unwrap().ends_with('Z') && hr["renew_at"].is_null(), "{hr}");
    assert_eq!((&lab["sender"], &set["sender"], &lab["waiting"]), (&CARL.into(), &CARL.into(), &0.into()));
    let of_lab = site.json(&["grants", "list", "--account", "lab"]);
    assert_eq!(of_lab["grants"].as_array().unwrap().len(), 1);
    assert!(site.ok(&["grants", "list"], "").contains("SENDER"));
    site.nothing_lies_open();
    let journal = site.ok(&["journal", "list"], "");
    assert!(journal.contains("vault_changed") && !journal.contains("anna@example.com"), "{journal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_counted_without_any_vault_key() {
    let site = Site::new(&["new"]).await;
    let store = site.store(&["new"], Role::Tool);
    give(&store, "anna@example.com").await;
    park(&store, 3, "anna@example.com").await;
    store.close().await.unwrap();
    site.configure(&[]);
    assert_eq!(site.grants()[0]["waiting"], 3);
    // An account that is configured no more still shows what it left behind.
    fs::write(site.path().join("aftersign.toml"), "[store]\nurl = \"sqlite:a.db\"\n").unwrap();
    assert_eq!(site.grants()[0]["platform"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_anothers_refused_or_none_at_all_is_not_kept() {
    let site = Site::new(&["new"]).await;
    let err = site.fails(1, &["grants", "set", "hr", "--sender", "ben@example.com"], ANNA);
    assert!(err.contains("another sender's") && err.contains("anna@example.com"), "{err}");
    let err = site.fails(1, &["grants", "set", "hr"], "no-key-of-anybody-at-all");
    assert!(err.contains("hr: ") && !err.contains("no-key-of-anybody"), "{err}");
    assert!(err.contains("401") || err.to_lowercase().contains("unauthorized"), "its words: {err}");
    for input in ["", "\n", "{\"api_key\": 7}", "{\"token\": \"x\"}", "{\"api_key\": \"", &"x".repeat(20_000)]
    {
        let err = site.fails(1, &["grants", "set", "hr"], input);
        assert!(err.contains("standard input") && err.contains("\"api_key\""), "{input:.30}: {err}");
    }
    let err = site.fails(1, &["grants", "set", "lab"], "a text");
    assert!(err.contains("JSON object") && err.contains("access_secret"), "{err}");
    let err = site.fails(2, &["grants", "set", "sales"], ANNA);
    assert!(err.contains("no account `sales`") && err.contains("hr, lab"), "{err}");
    assert_eq!(site.run(&["grants", "set", "hr", "--sender", " "], ANNA).0, Some(2));
    site.configure(&[]);
    let err = site.fails(1, &["grants", "set", "hr"], ANNA);
    assert!(err.contains("no vault key") && err.contains("openssl rand -base64 32"), "{err}");
    site.configure(&["new"]);
    assert!(site.grants().is_empty());
    site.nothing_lies_open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_typed_in_is_not_shown_and_ctrl_c_leaves_the_terminal_as_it_was() {
    let site = Site::new(&["new"]).await;
    let (code, printed, shown) = site.at_a_terminal(&["grants", "set", "hr"], "half-of-a-key\x03");
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("broken off; nothing was stored"), "{printed}");
    assert!(!shown.contains("half") && !printed.contains("half"), "{shown}{printed}");
    assert!(!site.path().join("a.db").exists());
    let (code, printed, shown) = site.at_a_terminal(&["grants", "set", "hr"], &format!("{ANNA}x\x7f\r"));
    assert_eq!(code, Some(0), "{printed}");
    assert!(!shown.contains(ANNA) && !printed.contains(ANNA), "{shown}{printed}");
    assert_eq!(site.grants()[0]["sender"], "anna@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_seal_what_senders_give_says_so_at_its_start() {
    let site = Site::new(&["new"]).await;
    for (ring, warns) in [(&["new"][..], false), (&[], true)] {
        site.configure(ring);
        let mut server = Command::new(env!("CARGO_BIN_EXE_aftersign"))
            .current_dir(site.path())
            .arg("serve")
            .env("AFTERSIGN__SERVER__LISTEN", "127.0.0.1:0")
            .env("AFTERSIGN__ADMIN__LISTEN", "127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        for line in BufReader::new(server.stderr.take().unwrap()).lines() {
            told += &line.unwrap();
            told.push('\n');
            if told.contains("aftersign serves") {
                break;
            }
        }
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(told.contains("aftersign serves"), "{told}");
        assert_eq!(told.contains("no vault key is configured"), warns, "{told}");
        assert_eq!(told.contains("hr, lab"), warns, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_does_not_answer_is_told_and_nothing_is_kept() {
    let site = Site::new(&["new"]).await;
    let config = fs::read_to_string(site.path().join("aftersign.toml")).unwrap();
    let nowhere = config.replace(&site.world.base_url(Vendor::DropboxSign), "http://127.0.0.1:9");
    fs::write(site.path().join("aftersign.toml"), nowhere).unwrap();
    let err = site.fails(1, &["grants", "set", "hr"], ANNA);
    assert!(err.contains("nothing was stored; try again"), "{err}");
    assert!(site.grants().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_is_gone_and_what_remains_at_the_platform_is_said() {
    let site = Site::new(&["new"]).await;
    site.ok(&["grants", "set", "hr"], ANNA);
    let told = site.ok(&["grants", "forget", "hr", "Anna@Example.com"], "");
    assert!(told.contains("is forgotten") && told.contains("still works at the platform"), "{told}");
    assert!(site.grants().is_empty());
    let err = site.fails(1, &["grants", "forget", "hr", "anna@example.com"], "");
    assert!(err.contains("anna@example.com") && err.contains("grants list"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_one_sender_is_printed_alone_and_names_nobody() {
    let site = Site::new(&["new"]).await;
    let err = site.fails(1, &["grants", "link", "hr", "anna@example.com"], "");
    assert!(err.contains("no database at"), "{err}");
    site.ok(&["grants", "set", "hr"], ANNA);
    let (code, out, err) = site.run(&["grants", "link", "hr", "anna@example.com"], "");
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("https://sign.example.com/consent/hr/renew?link=") && out.lines().count() == 1,
        "{out}"
    );
    assert!(!out.contains("anna") && err.contains("14 days"), "{out}{err}");
    assert_eq!(site.run(&["grants", "link", "sales", "anna@example.com"], "").0, Some(2));
    site.configure(&[]);
    assert!(site.fails(1, &["grants", "link", "hr", "anna@example.com"], "").contains("no vault key"));
}

fn records(site: &Site) -> Vec<(String, bool, bool, u64)> {
    let keys = site.json(&["keys", "list"]);
    let row = |key: &Value| {
        assert_eq!(key.as_object().unwrap().len(), 4, "{key}");
        let yes = |name: &str| key[name].as_bool().unwrap();
        (
            key["id"].as_str().unwrap().to_owned(),
            yes("on_ring"),
            yes("first"),
            key["records"].as_u64().unwrap(),
        )
    };
    keys["keys"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_wrapped_with_the_first_key_beside_a_running_server_and_the_old_one_can_go() {
    /// More than two batches.
    const SENDERS: u64 = 450;
    let site = Site::new(&["old"]).await;
    let store = site.store(&["old"], Role::Tool);
    for number in 0..SENDERS {
        give(&store, &format!("sender-{number}@example.com")).await;
    }
    store.close().await.unwrap();
    site.configure(&["new", "old"]);
    assert_eq!(records(&site), [("new".into(), true, true, 0), ("old".into(), true, false, SENDERS)]);
    let server = site.store(&["new", "old"], Role::Server);
    let rotated = site.json(&["keys", "rotate"]);
    assert_eq!(rotated, json!({ "first": "new", "rewrapped": SENDERS, "removable": ["old"] }));
    let opened = server.open_grant(&AccountId::new("hr"), &sender("sender-7@example.com")).await.unwrap();
    assert_eq!(opened.unwrap().grant.credential.field("api_key"), ANNA);
    let told = site.ok(&["keys", "rotate"], "");
    assert!(told.contains("0 records were wrapped anew") && told.contains("now: old"), "{told}");
    server.close().await.unwrap();
    site.configure(&["new"]);
    assert_eq!(records(&site), [("new".into(), true, true, SENDERS)]);
    let (_, report, _) = site.run(&["check", "--json"], "");
    let report: Value = serde_json::from_str(&report).unwrap();
    let rows = report["checks"].as_array().unwrap();
    let grants = rows.iter().find(|row| row["check"] == "grants").unwrap();
    assert!(grants["result"] == "ok" && grants["detail"].to_string().contains("opens (450)"), "{grants}");
    assert!(rows.iter().any(|row| row["check"] == "vault" && row["result"] == "ok"), "{report}");
    site.nothing_lies_open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_named_and_nothing_is_wrapped_anew() {
    let site = Site::new(&["old"]).await;
    assert!(site.fails(1, &["keys", "rotate"], "").contains("no database at"));
    site.ok(&["grants", "set", "hr"], ANNA);
    site.configure(&["new"]);
    let err = site.fails(1, &["keys", "rotate"], "");
    assert!(err.contains("`old`") && err.contains("[vault] keys"), "{err}");
    assert_eq!(records(&site), [("new".into(), true, true, 0), ("old".into(), false, false, 1)]);
    assert_eq!(site.grants()[0]["key_id"], "old");
    let told = site.ok(&["keys", "list"], "");
    assert!(told.contains("CONFIGURED") && told.contains("RECORDS"), "{told}");
    site.configure(&[]);
    assert_eq!(records(&site), [("old".into(), false, false, 1)]);
    assert!(site.fails(1, &["keys", "rotate"], "").contains("openssl rand"));
    for ring in [&["new"][..], &[]] {
        site.configure(ring);
        let (code, report, _) = site.run(&["check", "--json"], "");
        let report: Value = serde_json::from_str(&report).unwrap();
        let failed = |check: &str, words: &str| {
            let rows = report["checks"].as_array().unwrap().iter();
            let mut rows = rows.filter(|row| row["check"] == check && row["result"] == "failed");
            rows.any(|row| row["detail"].to_string().contains(words))
        };
        assert_eq!(code, Some(1));
        assert!(failed("vault", "`old` (1 records)") && failed("grants", "anna@example.com"), "{report}");
        assert_eq!(failed("vault", "no vault key is configured"), ring.is_empty(), "{report}");
    }
    // The key is found again: nothing was lost.
    site.configure(&["new", "old"]);
    assert_eq!(site.json(&["keys", "rotate"])["rewrapped"], 1);
    assert_eq!(site.grants()[0]["key_id"], "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_grant_holds_up_no_other_and_is_named_with_how_it_is_forgotten() {
    let site = Site::new(&["old"]).await;
    let store = site.store(&["old"], Role::Tool);
    for who in ["anna@example.com", "ben@example.com", "carl@example.com"] {
        give(&store, who).await;
    }
    store.close().await.unwrap();
    let database = rusqlite::Connection::open(site.path().join("a.db")).unwrap();
    let damage = "UPDATE vault SET wrapped = zeroblob(length(wrapped)) WHERE sender = 'ben@example.com'";
    assert_eq!(database.execute(damage, []).unwrap(), 1);
    drop(database);
    site.configure(&["new", "old"]);
    let err = site.fails(1, &["keys", "rotate"], "");
    assert!(err.contains("1 records are still left") && err.contains("do not open"), "{err}");
    assert!(err.contains("`aftersign check`"), "{err}");
    assert_eq!(records(&site), [("new".into(), true, true, 2), ("old".into(), true, false, 1)]);

    let checked = || {
        let (_, report, _) = site.run(&["check", "--json"], "");
        let report: Value = serde_json::from_str(&report).unwrap();
        let rows = report["checks"].as_array().unwrap().iter();
        rows.filter(|row| row["check"] == "grants" && row["result"] == "failed").cloned().collect::<Vec<_>>()
    };
    let forget = "`aftersign grants forget hr ben@example.com`";
    let whole = fs::read_to_string(site.path().join("aftersign.toml")).unwrap();
    // The same where the account is configured no more.
    for config in [whole.replace("id = \"hr\"", "id = \"other\""), whole] {
        fs::write(site.path().join("aftersign.toml"), config).unwrap();
        let rows = checked();
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row["subject"], "hr");
        assert!(
            row["detail"].as_str().unwrap().contains("1 of 3 grants do not open (ben@example.com)"),
            "{row}"
        );
        assert!(row["next"].as_str().unwrap().contains(forget), "{row}");
    }
    site.ok(&["grants", "forget", "hr", "ben@example.com"], "");
    assert!(checked().is_empty());
    assert_eq!(site.json(&["keys", "rotate"])["removable"], json!(["old"]));
}
