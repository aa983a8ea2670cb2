//! The writer when things fail: commits, single writes, the program itself.

use std::sync::Arc;

use aftersign_core::Timestamp;
use aftersign_core::callback::{IdempotencyKey, RepeatMeans};
use aftersign_core::ids::{AccountId, CallbackId};
use aftersign_core::seams::Entropy;

use super::super::fault::Fault;
use super::Work;
use crate::{
    Board, CallbackFilter, Inbox, NewCallback, Noted, PageRequest, SqliteOptions, SqliteStore, StoreError,
};

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn store() -> (Arc<SqliteStore>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"), Arc::new(Zeros))).unwrap(), folder)
}

fn callback(account: &str, number: u8) -> NewCallback {
    NewCallback {
        id: CallbackId::from_bytes([number; 16]),
        account: AccountId::new(account),
        platform: "test-sign",
        channel: None,
        method: "POST".into(),
        query: String::new(),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
        remote: None,
        received_at: Timestamp::UNIX_EPOCH,
        key: IdempotencyKey::new(None, &[&[number]]),
        repeat_means: RepeatMeans::Nothing,
        kind: None,
        envelope: None,
        quarantine_reason: None,
    }
}

/// Passes inside the transaction and fails at its commit.
fn spoil_the_commit(work: &Work<'_>) -> Result<(), Fault> {
    work.conn.execute_batch(
        "PRAGMA defer_foreign_keys = ON;
         INSERT INTO attempts (transfer, step, subject, started_at, duration_ms) VALUES (99, '', '', 0, 0);",
    )?;
    Ok(())
}

async fn count(store: &SqliteStore) -> usize {
    let page = PageRequest { cursor: None, limit: 500 };
    store.callbacks(&CallbackFilter::default(), &page).await.unwrap().rows.len()
}

/// Holds the writer while `writes` are queued, so that they share the next batch.
async fn together<W: Future>(store: &SqliteStore, writes: W) -> W::Output {
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let hold = store.writer.run("hold", move |_| {
        started.send(()).ok();
        wait.recv().ok();
        Ok(())
    });
    let queued = async {
        has_started.await.unwrap();
        let release = async move { go.send(()).unwrap() };
        tokio::join!(biased; writes, release).0
    };
    let (held, output) = tokio::join!(hold, queued);
    held.unwrap();
    output
}

#[tokio::test]
async fn a_failed_commit_fails_all_of_its_batch_and_leaves_nothing_behind() {
    let (store, _folder) = store();
    let (spoiled, noted) = together(&store, async {
        let spoil = store.writer.run("spoil", spoil_the_commit);
        tokio::join!(biased; spoil, store.note_down(callback("hr", 1)))
    })
    .await;
    assert!(matches!(spoiled, Err(StoreError::Unavailable { operation: "spoil", .. })), "{spoiled:?}");
    assert!(matches!(noted, Err(StoreError::Unavailable { .. })), "{noted:?}");
    assert_eq!(count(&store).await, 0);
    assert_eq!(store.note_down(callback("hr", 1)).await.unwrap(), Noted::First);
    assert_eq!(store.note_down(callback("hr", 1)).await.unwrap(), Noted::Repeat);
    let counts = store.overview().await.unwrap();
    assert_eq!((counts.callbacks, counts.repeats), (1, 1));
}

#[tokio::test]
async fn a_write_that_fails_does_not_spoil_the_others_of_its_batch() {
    let (store, _folder) = store();
    let (failed, panicked, worked, noted) = together(&store, async {
        let fails = store.writer.run("fail", |work| -> Result<(), Fault> {
            work.account(&AccountId::new("sales"))?;
            Err(StoreError::LeaseLost.into())
        });
        let panics = store.writer.run("panic", |_| -> Result<(), Fault> { panic!("a fault of the program") });
        let works = store.writer.run("work", |work| work.account(&AccountId::new("legal")));
        tokio::join!(biased; fails, panics, works, store.note_down(callback("hr", 1)))
    })
    .await;
    assert!(matches!(failed, Err(StoreError::LeaseLost)));
    assert!(matches!(panicked, Err(StoreError::Unavailable { operation: "panic", .. })));
    assert_eq!(noted.unwrap(), Noted::First);
    let again = store.writer.run("look", |work| work.account(&AccountId::new("legal"))).await;
    assert_eq!(worked.unwrap(), again.unwrap());
    // What was undone is not remembered: a callback of that account still finds its number.
    assert_eq!(store.note_down(callback("sales", 2)).await.unwrap(), Noted::First);
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn a_full_queue_says_so_at_once_and_what_waited_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SqliteOptions { queue_max: 2, ..SqliteOptions::new(folder.path().join("a.db"), Arc::new(Zeros)) };
    let store = SqliteStore::open(options).unwrap();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let hold = store.writer.run("hold", move |_| {
        started.send(()).ok();
        wait.recv().ok();
        Ok(())
    });
    let flood = async {
        has_started.await.unwrap();
        let (one, two) = (store.note_down(callback("hr", 1)), store.note_down(callback("hr", 2)));
        let full = async {
            let refused = store.note_down(callback("hr", 3)).await;
            go.send(()).unwrap();
            refused
        };
        tokio::join!(biased; one, two, full)
    };
    let (held, (one, two, refused)) = tokio::join!(hold, flood);
    held.unwrap();
    assert_eq!((one.unwrap(), two.unwrap()), (Noted::First, Noted::First));
    assert!(matches!(refused, Err(StoreError::Overloaded { waiting: 2 })), "{refused:?}");
    assert_eq!(store.note_down(callback("hr", 3)).await.unwrap(), Noted::First);
}

#[tokio::test]
async fn a_lost_connection_is_opened_again() {
    let (store, folder) = store();
    store.note_down(callback("hr", 1)).await.unwrap();
    let conn = super::super::open::write_connection(&folder.path().join("a.db")).unwrap();
    let mut desk = super::Desk {
        conn: Some(conn),
        path: folder.path().join("a.db"),
        entropy: Arc::new(Zeros),
        names: std::cell::RefCell::default(),
        commits: tokio::sync::watch::Sender::new(0),
        checkpointer: None,
    };
    desk.begin().unwrap();
    desk.mend();
    desk.conn = None;
    desk.begin().unwrap();
    desk.commit_together(Ok(()), Vec::new(), Vec::new());
    assert!(desk.finish().is_ok());
    assert_eq!(store.note_down(callback("hr", 1)).await.unwrap(), Noted::Repeat);
}
