//! Commands that look into the store, and the JSON that scripts rely on: names, order, nulls.
#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed as a test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::callback::{IdempotencyKey, Notification, NotificationKind, RepeatMeans};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension};
use aftersign_core::grant::Holder;
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId, SenderId, SweepId};
use aftersign_core::seams::Entropy;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::transfer::{Change, ParkReason, Parked};
use aftersign_store::{
    Inbox, MailPolicy, NewCallback, News, NewsSource, Post, Projection, Queue, SqliteOptions, SqliteStore,
    Upkeep, Worker,
};
use serde_json::Value;

/// Entropy that never repeats and is the same in every run.
struct Counting(std::sync::atomic::AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let count = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            *byte = u8::try_from(count.wrapping_mul(167) % 251).unwrap();
        }
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn callback(id: CallbackId, key: &[u8], reason: Option<&str>) -> NewCallback {
    NewCallback {
        id,
        account: AccountId::new("hr"),
        platform: "dropbox-sign",
        channel: None,
        method: "POST".into(),
        query: String::new(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: bytes::Bytes::from_static(b"{\"event\":1}"),
        remote: Some("192.0.2.1".into()),
        received_at: at(1),
        key: IdempotencyKey::new(None, &[key]),
        repeat_means: RepeatMeans::Nothing,
        kind: Some("signature_request_all_signed".into()),
        envelope: reason.is_none().then(|| EnvelopeId::new("e-1")),
        quarantine_reason: reason.map(Into::into),
    }
}

/// A folder with a config and a store that holds one understood callback, one quarantined one, an envelope and
/// a task.
async fn site() -> (tempfile::TempDir, CallbackId) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("aftersign.toml"), "[store]\nurl = \"sqlite:a.db\"\n").unwrap();
    let entropy: Arc<dyn Entropy> = Arc::new(Counting(0.into()));
    let options = SqliteOptions::new(dir.path().join("a.db"), Arc::clone(&entropy));
    let store = SqliteStore::open(options).unwrap();
    let id = CallbackId::make(at(1), &*entropy);
    store.note_down(callback(id, b"1", None)).await.unwrap();
    let second = CallbackId::make(at(2), &*entropy);
    store.note_down(callback(second, b"2", Some("not understood"))).await.unwrap();
    let account = AccountId::new("hr");
    let notification = Notification {
        envelope: EnvelopeId::new("e-1"),
        kind: NotificationKind::Finished,
        kind_at_platform: "signature_request_all_signed".into(),
        occurred_at: Some(at(0)),
        signer: None,
        detail: None,
        sender: Some("anna@example.com".into()),
        name: Some("Contract \u{1b}[2J".into()),
        draft: None,
    };
    let what = "refused".to_owned();
    let news = News {
        source: NewsSource::Callback(id),
        account: account.clone(),
        platform: "dropbox-sign".into(),
        notifications: vec![notification],
        open_tasks: vec![TaskDraft::for_account(TaskKind::AccessRefused, &account, what, "renew it")],
        close_tasks: Vec::new(),
    };
    store.announce(vec![news], at(3), Pace::real(1)).await.unwrap();
    store.close().await.unwrap();
    (dir, id)
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aftersign"));
    let output = command.current_dir(dir).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn ok(dir: &Path, args: &[&str]) -> String {
    let (code, out, err) = run(dir, args);
    assert_eq!(code, Some(0), "{args:?}: {err}");
    out
}

fn json(dir: &Path, args: &[&str]) -> (Value, String) {
    let out = ok(dir, &[args, &["--json"]].concat());
    (serde_json::from_str(&out).unwrap(), out)
}

/// The keys stand in `text` in this order, and `object` has no others.
fn keys(object: &Value, text: &str, names: &[&str]) {
    let object = object.as_object().unwrap();
    assert_eq!(object.len(), names.len(), "{object:?}");
    let mut from = 0;
    for name in names {
        assert!(object.contains_key(*name), "{name}: {object:?}");
        let found = text[from..].find(&format!("\"{name}\":"));
        from += found.unwrap_or_else(|| panic!("{name} is out of order in {text}")) + 1;
    }
}

#[tokio::test]
async fn the_json_of_lists_has_the_promised_names_order_and_nulls() {
    let (dir, id) = site().await;
    let (callbacks, text) = json(dir.path(), &["callbacks", "list"]);
    let rows = callbacks["callbacks"].as_array().unwrap();
    let names = [
        "id",
        "account",
        "platform",
        "channel",
        "received_at",
        "disposition",
        "repeats",
        "last_repeat_at",
        "kind",
        "envelope_id",
        "quarantine_reason",
    ];
    keys(&rows[0], &text, &names);
    assert_eq!((&rows[0]["disposition"], &rows[1]["disposition"]), (&"quarantined".into(), &"noted".into()));
    assert_eq!(rows[1]["id"], id.to_string());
    assert!(callbacks["next_cursor"].is_null() && rows[1]["last_repeat_at"].is_null());
    assert!(rows[1]["received_at"].as_str().unwrap().ends_with('Z'));

    let (envelopes, text) = json(dir.path(), &["envelopes", "list"]);
    let names = [
        "account",
        "platform",
        "id",
        "name",
        "status",
        "status_at_platform",
        "sender",
        "archived_at",
        "disposed_at",
        "updated_at",
    ];
    keys(&envelopes["envelopes"][0], &text, &names);
    assert!(envelopes["envelopes"][0]["archived_at"].is_null());

    let (transfers, text) = json(dir.path(), &["transfers", "list"]);
    let names = [
        "id",
        "account",
        "envelope_id",
        "phase",
        "due_at",
        "failures",
        "tries",
        "next_try_at",
        "parked",
        "waits_for",
        "note",
        "archived_at",
        "disposed_at",
        "items",
    ];
    keys(&transfers["transfers"][0], &text, &names);
}

#[tokio::test]
async fn the_json_of_tasks_has_the_promised_names_order_and_nulls() {
    let (dir, _) = site().await;
    let (tasks, text) = json(dir.path(), &["tasks", "list"]);
    let names = [
        "id",
        "kind",
        "account",
        "envelope_id",
        "opened_at",
        "due_at",
        "for",
        "what",
        "todo",
        "resolved_at",
        "mailed_at",
    ];
    keys(&tasks["tasks"][0], &text, &names);
    assert_eq!(tasks["tasks"][0]["for"], "admins");
    assert!(tasks["tasks"][0]["mailed_at"].is_null());
}

#[tokio::test]
async fn a_mail_is_listed_with_its_tries_and_a_task_tells_when_it_was_mailed() {
    let (dir, _) = site().await;
    let entropy: Arc<dyn Entropy> = Arc::new(Counting(7.into()));
    let store = SqliteStore::open(SqliteOptions::new(dir.path().join("a.db"), entropy)).unwrap();
    let policy = MailPolicy {
        admins: vec!["ops@example.com".into()],
        settle: Duration::ZERO,
        settle_longest: Duration::ZERO,
        every: Duration::from_secs(60),
        escalate_every: Duration::from_secs(3_600),
        due_after: Duration::from_secs(3_600),
    };
    store.collect_mail(&policy, at(10)).await.unwrap();
    let mail = store.claim_mail(Duration::from_secs(60), at(20)).await.unwrap().unwrap();
    store.mail_failed(mail.row.id, "connect: \u{1b}[2J down", Some(at(80)), at(21)).await.unwrap();

    let (mails, text) = json(dir.path(), &["mails", "list"]);
    let names =
        ["id", "recipient", "queued_at", "tries", "next_try_at", "sent_at", "dropped_at", "error", "tasks"];
    let row = &mails["mails"][0];
    keys(row, &text, &names);
    assert_eq!((&row["recipient"], &row["tries"]), (&"ops@example.com".into(), &1.into()));
    assert_eq!(row["next_try_at"], at(80).to_string());
    assert!(mails["next_cursor"].is_null() && row["sent_at"].is_null());
    let text = ok(dir.path(), &["mails", "list"]);
    assert!(text.contains("connect:") && text.contains("NEXT TRY") && !text.contains('\u{1b}'), "{text}");

    let tasks = json(dir.path(), &["tasks", "list"]).0;
    assert!(tasks["tasks"][0]["mailed_at"].is_null(), "nobody was sent it yet: {tasks}");
    store.mail_sent(mail.row.id, at(90)).await.unwrap();
    store.close().await.unwrap();
    let mails = json(dir.path(), &["mails", "list"]).0;
    assert_eq!(mails["mails"][0]["sent_at"], at(90).to_string());
    let told = json(dir.path(), &["tasks", "list"]).0;
    let told =
        told["tasks"].as_array().unwrap().iter().filter(|task| task["mailed_at"] == at(90).to_string());
    assert!(told.count() > 0);
}

#[tokio::test]
async fn tries_the_next_one_and_whom_a_transfer_waits_for_are_shown_everywhere() {
    let (dir, _) = site().await;
    let entropy: Arc<dyn Entropy> = Arc::new(Counting(7.into()));
    let store = SqliteStore::open(SqliteOptions::new(dir.path().join("a.db"), entropy)).unwrap();
    let worker = Worker { node: "n".into(), boot: "b".into() };
    let now = at(1_000_000);
    let account = AccountId::new("hr");
    let claimed = store.claim(&account, &worker, 1, Duration::from_secs(60), now).await.unwrap().remove(0);
    let mut transfer = claimed.transfer;
    transfer.failures = 3;
    transfer.due_at = Some(at(2_000_000));
    transfer.parked = Some(Parked { reason: ParkReason::AccessNeeded, since: now, looks: 0 });
    transfer.waits_for = Holder::Sender(SenderId::new("Anna@example.com").unwrap());
    let draft = TaskDraft::for_envelope(
        TaskKind::DeadLetter,
        &account,
        &transfer.envelope_id,
        "it gave up".into(),
        "redrive it",
    );
    let change = Change { open_tasks: vec![draft], ..Change::default() };
    store.record(&claimed.lease, transfer, change, None, false, now).await.unwrap();
    store.close().await.unwrap();

    let next = at(2_000_000).to_string();
    let listed = json(dir.path(), &["transfers", "list"]).0["transfers"][0].clone();
    let shown = json(dir.path(), &["transfers", "show", "e-1"]).0;
    let envelope = json(dir.path(), &["envelopes", "show", "e-1"]).0["transfer"].clone();
    for row in [&listed, &shown, &envelope] {
        assert_eq!((&row["tries"], &row["failures"]), (&3.into(), &3.into()), "{row}");
        assert_eq!((&row["next_try_at"], &row["due_at"]), (&next.clone().into(), &next.clone().into()));
        assert_eq!(row["waits_for"], "anna@example.com", "{row}");
    }
    let tasks = json(dir.path(), &["tasks", "list", "--open"]).0;
    let tasks = tasks["tasks"].as_array().unwrap();
    let id = |kind: &str| {
        let task = tasks.iter().find(|task| task["kind"] == kind).unwrap();
        task["id"].as_str().unwrap().to_owned()
    };
    let about_envelope = json(dir.path(), &["tasks", "show", &id("dead_letter")]).0;
    assert_eq!((&about_envelope["tries"], &about_envelope["next_try_at"]), (&3.into(), &next.clone().into()));
    let about_account = json(dir.path(), &["tasks", "show", &id("access_refused")]).0;
    assert_eq!(
        (&about_account["tries"], &about_account["next_try_at"]),
        (&Value::Null, &Value::Null),
        "no envelope, no tries"
    );
    let next = &next[..19];
    for args in [
        vec!["transfers", "list"],
        vec!["transfers", "show", "e-1"],
        vec!["envelopes", "show", "e-1"],
        vec!["tasks", "show", &id("dead_letter")],
    ] {
        let text = ok(dir.path(), &args).to_lowercase();
        for words in ["tries", "next try", &next.to_lowercase()] {
            assert!(text.contains(words), "{args:?}: {words}: {text}");
        }
        assert!(args[0] == "tasks" || text.contains("anna@example.com"), "{text}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let (dir, id) = site().await;
    let quarantined = json(dir.path(), &["callbacks", "list", "--quarantined"]).0;
    assert_eq!(quarantined["callbacks"].as_array().unwrap().len(), 1);
    let first = json(dir.path(), &["callbacks", "list", "--limit", "1"]).0;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = json(dir.path(), &["callbacks", "list", "--limit", "1", "--cursor", cursor]).0;
    assert_eq!(second["callbacks"][0]["id"], id.to_string());
    let none = json(dir.path(), &["envelopes", "list", "--account", "it"]).0;
    assert_eq!(none["envelopes"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn one_thing_is_shown_whole() {
    let (dir, id) = site().await;
    let (shown, _) = json(dir.path(), &["callbacks", "show", &id.to_string()]);
    assert_eq!(shown["body"], "{\"event\":1}");
    assert!(shown["body_base64"].is_null());
    assert_eq!(shown["headers"][0]["name"], "content-type");
    let text = ok(dir.path(), &["callbacks", "show", &id.to_string()]);
    assert!(text.contains("content-type: application/json\n\n{\"event\":1}\n"), "{text}");
    let (envelope, _) = json(dir.path(), &["envelopes", "show", "e-1"]);
    assert_eq!(envelope["timeline"][0]["kind"], "finished");
    assert_eq!(envelope["transfer"]["envelope_id"], "e-1");
    assert_eq!((&envelope["gap"], &envelope["gap_explanation"]), (&false.into(), &Value::Null));
    assert!(envelope.as_object().unwrap().contains_key("extension"));
    let text = ok(dir.path(), &["envelopes", "show", "e-1"]);
    assert!(!text.contains("gap:") && !text.contains("seal:"), "{text}");
    assert!(text.contains("Timeline") && !text.contains('\u{1b}'), "{text}");
    let (code, _, err) = run(dir.path(), &["envelopes", "show", "e-2"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "aftersign: there is no envelope `e-2`\n  next: `aftersign envelopes list` shows what is there\n"
    );
}

/// The end of `e-2` was found by looking: by a sweep that announced it, or by the transfer's own question.
async fn a_gap(dir: &Path, by_sweep: bool, open_tasks: Vec<TaskDraft>) {
    let entropy: Arc<dyn Entropy> = Arc::new(Counting(7.into()));
    let store = SqliteStore::open(SqliteOptions::new(dir.join("a.db"), Arc::clone(&entropy))).unwrap();
    let account = AccountId::new("hr");
    let kind = if by_sweep { NotificationKind::Swept } else { NotificationKind::Informed };
    let news = News {
        source: NewsSource::Sweep(SweepId::make(at(4), &*entropy)),
        account: account.clone(),
        platform: "scrive".into(),
        notifications: vec![Notification {
            envelope: EnvelopeId::new("e-2"),
            kind,
            kind_at_platform: "closed".into(),
            occurred_at: None,
            signer: None,
            detail: None,
            sender: None,
            name: None,
            draft: None,
        }],
        open_tasks,
        close_tasks: Vec::new(),
    };
    store.announce(vec![news], at(4), Pace::real(1)).await.unwrap();
    let worker = Worker { node: "n".into(), boot: "b".into() };
    let due = at(1_000_000);
    let claimed = store.claim(&account, &worker, 10, Duration::from_secs(60), due).await.unwrap();
    let claimed = claimed.into_iter().find(|one| one.transfer.envelope_id.as_str() == "e-2").unwrap();
    let answer = Envelope {
        extension: Extension::Awaited,
        ..Envelope::new(EnvelopeId::new("e-2"), EnvelopeStatus::Completed, "closed")
    };
    let mut transfer = claimed.transfer;
    transfer.envelope = Some(answer.clone());
    let change = Change { answer: Some(answer), ..Change::default() };
    store.record(&claimed.lease, transfer, change, None, false, due).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_gap_is_explained_and_so_is_what_an_envelope_awaits() {
    let (dir, _) = site().await;
    a_gap(dir.path(), true, Vec::new()).await;
    let (envelope, _) = json(dir.path(), &["envelopes", "show", "e-2"]);
    assert_eq!((&envelope["gap"], &envelope["extension"]), (&true.into(), &"awaited".into()));
    let text = ok(dir.path(), &["envelopes", "show", "e-2"]);
    for words in
        ["A sweep found its end", "no callback announced it", "aftersign check", "awaits the extension"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains(envelope["gap_explanation"].as_str().unwrap()), "{text}");

    let (dir, _) = site().await;
    let what = "registered elsewhere".to_owned();
    let task =
        TaskDraft::for_account(TaskKind::CallbackUnregistered, &AccountId::new("hr"), what, "register");
    a_gap(dir.path(), false, vec![task]).await;
    let (envelope, _) = json(dir.path(), &["envelopes", "show", "e-2"]);
    let tasks = json(dir.path(), &["tasks", "list", "--open"]).0;
    let tasks = tasks["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|task| task["kind"] == "callback_unregistered").unwrap();
    let explanation = envelope["gap_explanation"].as_str().unwrap();
    assert!(explanation.starts_with("Our own look at the platform found its end"), "{explanation}");
    assert!(explanation.contains(task["id"].as_str().unwrap()), "{explanation}");
}

#[tokio::test]
async fn a_persons_word_is_recorded() {
    let (dir, id) = site().await;
    ok(dir.path(), &["callbacks", "replay", &id.to_string()]);
    ok(dir.path(), &["transfers", "redrive", "e-1"]);
    ok(dir.path(), &["transfers", "resolve", "e-1", "--reason", "kept on paper"]);
    let (code, _, err) = run(dir.path(), &["transfers", "redrive", "e-1"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("come to its end") && err.contains("resolved"), "{err}");
    let tasks = json(dir.path(), &["tasks", "list", "--open"]).0;
    let task = tasks["tasks"][0]["id"].as_str().unwrap();
    ok(dir.path(), &["tasks", "resolve", task, "--reason", "renewed"]);
    assert_eq!(run(dir.path(), &["tasks", "resolve", task, "--reason", "again"]).0, Some(1));
    let settled = json(dir.path(), &["tasks", "show", task]).0;
    assert!(settled["resolved_at"].is_string() && settled["resolution"].is_string(), "{settled}");
    let journal = json(dir.path(), &["journal", "list", "--action", "resolved"]).0;
    assert!(journal["entries"].as_array().unwrap().len() >= 2, "{journal}");
    let verdict = json(dir.path(), &["journal", "verify"]).0;
    assert_eq!((&verdict["intact"], &verdict["broken_at"]), (&true.into(), &Value::Null));
}

#[tokio::test]
async fn a_backup_is_a_store_and_replaces_nothing() {
    let (dir, _) = site().await;
    ok(dir.path(), &["backup", "copy.db"]);
    let (code, _, err) = run(dir.path(), &["backup", "copy.db"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("exists") && err.contains("next:"), "{err}");
    fs::write(dir.path().join("copy.toml"), "[store]\nurl = \"sqlite:copy.db\"\n").unwrap();
    let copied = json(dir.path(), &["--config", "copy.toml", "envelopes", "list"]).0;
    assert_eq!(copied["envelopes"][0]["id"], "e-1");
}
