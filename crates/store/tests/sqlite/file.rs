//! What is SQLite's own: the file, its lock and version, tampering with it, copies of it.

use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::callback::{Notification, NotificationKind};
use aftersign_core::ids::{AccountId, EnvelopeId, SenderId};
use aftersign_core::journal::{Action, Entry};
use aftersign_core::task::TaskKind;
use aftersign_store::conformance::Place;
use aftersign_store::{
    Inbox, Journal, News, NewsSource, PageRequest, Role, Store, StoreError, Upkeep, VaultKey, Verdict, Worker,
};
use rusqlite::Connection;
use zeroize::Zeroizing;

use crate::place::{Folder, place};
use crate::secrets::give;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key() -> Vec<VaultKey> {
    vec![VaultKey { id: "one".into(), key: Zeroizing::new([7; 32]) }]
}

fn reason(result: Result<impl Sized, StoreError>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it should have been refused"),
    }
}

async fn journal_of_five(store: &dyn Store) {
    for second in 0..5 {
        let entry = Entry {
            at: at(second),
            actor: "server".into(),
            action: Action::ServerStarted,
            account: String::new(),
            envelope: String::new(),
            detail: format!("start {second}"),
        };
        store.append(entry).await.unwrap();
    }
}

#[tokio::test]
async fn one_server_works_on_a_file_and_commands_work_beside_it() {
    let place = place();
    let server = place.try_open(Role::Server).unwrap();
    assert!(matches!(place.try_open(Role::Server), Err(StoreError::InUse { .. })));
    let tool = place.try_open(Role::Tool).unwrap();
    journal_of_five(tool.as_ref()).await;
    assert!(matches!(server.verify().await.unwrap(), Verdict::Intact { entries: 5, .. }));
    server.probe().await.unwrap();
    drop(server);
    assert!(place.try_open(Role::Server).is_ok(), "the lock ends with its server");
}

#[tokio::test]
async fn a_fresh_file_is_migrated_and_opening_it_again_changes_nothing() {
    let place = place();
    let store = place.try_open(Role::Server).unwrap();
    journal_of_five(store.as_ref()).await;
    store.close().await.unwrap();
    drop(store);
    let version = || -> (i64, String) {
        let conn = Connection::open(place.path()).unwrap();
        let sql = "SELECT max(version), max(applied_on) FROM refinery_schema_history";
        conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let first = version();
    assert_eq!(first.0, 3);
    let store = place.try_open(Role::Server).unwrap();
    assert!(matches!(store.verify().await.unwrap(), Verdict::Intact { entries: 5, .. }));
    drop(store);
    assert_eq!(version(), first);
}

#[test]
fn a_database_of_a_newer_version_is_refused_untouched() {
    let place = place();
    drop(place.try_open(Role::Server).unwrap());
    let conn = Connection::open(place.path()).unwrap();
    conn.execute("INSERT INTO refinery_schema_history VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')", [])
        .unwrap();
    for role in [Role::Server, Role::Tool] {
        let refused = place.try_open(role);
        assert!(matches!(refused, Err(StoreError::NewerSchema { found: 99, known: 3, .. })));
    }
}

#[test]
fn a_file_that_is_not_ours_is_refused_with_what_to_do() {
    let place = place();
    std::fs::create_dir_all(place.path().parent().unwrap()).unwrap();
    std::fs::write(
        place.path(),
        "This is a letter, and it is long enough to be read as a header. ".repeat(99),
    )
    .unwrap();
    assert!(reason(place.try_open(Role::Server)).contains("not an SQLite database"));
    std::fs::remove_file(place.path()).unwrap();
    Connection::open(place.path()).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert!(reason(place.try_open(Role::Server)).contains("another program's database"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = place();
    std::fs::write(place.0.path().join("data"), "a file where the folder should be").unwrap();
    let said = reason(place.try_open(Role::Server));
    assert!(said.contains("its folder") && said.contains("data"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let store = place.try_open(Role::Server).unwrap();
    store.probe().await.unwrap();
    let copy = place.0.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    let folder = place.path().parent().unwrap().to_path_buf();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).chain([copy]);
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
}

/// Changes the file behind the store's back, as somebody with access to the disk would.
fn tamper(place: &Folder, sql: &str) {
    let conn = Connection::open(place.path()).unwrap();
    conn.execute_batch("DROP TRIGGER IF EXISTS journal_keeps; DROP TRIGGER IF EXISTS journal_holds;")
        .unwrap();
    conn.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn whatever_is_changed_in_the_journal_is_found() {
    for (sql, place_of_break) in [
        ("UPDATE journal SET detail = 'start 9' WHERE sequence = 3", 3),
        ("UPDATE journal SET at = at + 1 WHERE sequence = 1", 1),
        ("UPDATE journal SET actor = 'cli' WHERE sequence = 5", 5),
        ("UPDATE journal SET action = 'resolved' WHERE sequence = 2", 2),
        ("UPDATE journal SET action = 'invented' WHERE sequence = 2", 2),
        ("UPDATE journal SET digest = zeroblob(32) WHERE sequence = 4", 4),
        ("DELETE FROM journal WHERE sequence = 2", 2),
        ("DELETE FROM journal WHERE sequence = 5", 5),
        (
            "DELETE FROM journal WHERE sequence = 2;
             UPDATE journal SET sequence = sequence - 1 WHERE sequence > 2",
            2,
        ),
        (
            "UPDATE journal SET sequence = 20 WHERE sequence = 2;
             UPDATE journal SET sequence = 2 WHERE sequence = 3;
             UPDATE journal SET sequence = 3 WHERE sequence = 20;",
            2,
        ),
        (
            "INSERT INTO journal SELECT 6, at, actor, action, account, envelope, detail, digest
             FROM journal WHERE sequence = 5",
            6,
        ),
    ] {
        let place = place();
        let store = place.open(Vec::new()).await;
        journal_of_five(store.as_ref()).await;
        tamper(&place, sql);
        match store.verify().await.unwrap() {
            Verdict::Broken { sequence, .. } => assert_eq!(sequence, place_of_break, "{sql}"),
            Verdict::Intact { .. } => panic!("not found: {sql}"),
        }
    }
}

#[test]
fn the_journal_refuses_changes_by_accident() {
    let place = place();
    let store = place.try_open(Role::Server).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(journal_of_five(store.as_ref()));
    let conn = Connection::open(place.path()).unwrap();
    for sql in ["UPDATE journal SET detail = ''", "DELETE FROM journal"] {
        assert!(conn.execute(sql, []).unwrap_err().to_string().contains("append-only"));
    }
}

#[tokio::test]
async fn a_backup_is_a_whole_store_and_never_overwrites() {
    let place = place();
    let store = place.open(key()).await;
    journal_of_five(store.as_ref()).await;
    give(store.as_ref(), "sam", "s").await;
    let copied = Folder(tempfile::tempdir().unwrap());
    std::fs::create_dir(copied.path().parent().unwrap()).unwrap();
    let bytes = store.backup(&copied.path()).await.unwrap();
    assert_eq!(bytes, copied.path().metadata().unwrap().len());
    let files = std::fs::read_dir(copied.path().parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "one file, and no left-over");
    assert!(reason(store.backup(&copied.path()).await).contains("never overwrites"));

    let copy = copied.open(key()).await;
    assert_eq!(copy.verify().await.unwrap(), store.verify().await.unwrap());
    let sam = SenderId::new("sam").unwrap();
    let opened = copy.open_grant(&AccountId::new("hr"), &sam).await.unwrap().unwrap();
    assert_eq!(opened.grant.credential.field("access_token"), "s");
    assert_eq!(copy.overview().await.unwrap(), store.overview().await.unwrap());
    assert!(
        reason(store.backup(&place.0.path().join("no such folder/copy.db")).await).contains("cannot be made")
    );
}

#[tokio::test]
async fn a_transfer_whose_record_is_damaged_holds_up_no_other_and_is_told() {
    let place = place();
    let store = place.open(Vec::new()).await;
    let hr = AccountId::new("hr");
    let heard = ["e1", "e2", "e3"].map(|envelope| Notification {
        envelope: EnvelopeId::new(envelope),
        kind: NotificationKind::Finished,
        kind_at_platform: "finished".into(),
        occurred_at: None,
        signer: None,
        detail: None,
        sender: None,
        name: None,
        draft: None,
    });
    let news = |notifications: &[Notification]| News {
        source: NewsSource::Watch,
        account: hr.clone(),
        platform: "test-sign".into(),
        notifications: notifications.to_vec(),
        open_tasks: Vec::new(),
        close_tasks: Vec::new(),
    };
    store.announce(vec![news(&heard[..2])], at(1), Pace::real(7)).await.unwrap();
    tamper(&place, "UPDATE transfers SET state = '{\"half\":' WHERE n = 1");
    let worker = Worker { node: "node".into(), boot: "boot".into() };
    let claimed = store.claim(&hr, &worker, 9, Duration::from_secs(60), at(2)).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|claimed| claimed.transfer.envelope_id.as_str()).collect();
    assert_eq!(ids, ["e2"]);
    assert_eq!(store.next_due(&hr).await.unwrap(), None, "nobody runs into it again and again");
    let all = PageRequest { cursor: None, limit: 9 };
    let tasks = store.tasks(Some(true), &all).await.unwrap().rows;
    assert_eq!(tasks.len(), 1);
    assert_eq!((tasks[0].kind, tasks[0].envelope.as_ref().unwrap().as_str()), (TaskKind::DeadLetter, "e1"));

    // One that a worker held when the machine went down, and news about all of them.
    tamper(&place, "UPDATE transfers SET state = '' WHERE n = 2");
    let reborn = Worker { boot: "next boot".into(), ..worker };
    assert_eq!(store.rescue(&reborn, at(3)).await.unwrap(), 0);
    store.announce(vec![news(&heard)], at(4), Pace::real(7)).await.unwrap();
    let claimed = store.claim(&hr, &reborn, 9, Duration::from_secs(60), at(5)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].transfer.envelope_id.as_str(), "e3");
    assert_eq!(store.tasks(Some(true), &all).await.unwrap().rows.len(), 2);
}
