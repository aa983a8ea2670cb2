//! Moves the write-ahead log into the database beside the writer, not in its way.
//!
//! A checkpoint costs two syncs and many writes. Done by the commit that happens to cross a threshold, it makes a
//! whole batch of callers wait; done here, on a connection and thread of its own, the writer goes on meanwhile.
//! Should this fall behind, SQLite's own threshold ([`WAL_PAGES_MAX`](crate::limits::WAL_PAGES_MAX)) makes the
//! writer help, so the log stays bounded.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::open;
use crate::limits::CHECKPOINT_WRITES;

/// The writer's side; dropping it ends the thread.
pub(super) struct Checkpointer {
    bell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    writes: usize,
}

impl Checkpointer {
    /// Starts the thread; it opens its connection when it is first needed.
    pub(super) fn start(path: PathBuf) -> io::Result<Self> {
        let (bell, rings) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-checkpointer".into())
            .spawn(move || work(&path, &rings))?;
        Ok(Self { bell: Some(bell), thread: Some(thread), writes: 0 })
    }

    /// Counts the writes of a commit, and has the log moved when enough have gathered. Never waits.
    pub(super) fn committed(&mut self, writes: usize) {
        self.writes += writes;
        if self.writes >= CHECKPOINT_WRITES {
            self.writes = 0;
            // A full channel means that it is at it, or will be.
            let _ = self.bell.as_ref().map(|bell| bell.try_send(()));
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.bell = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's checkpointer ended by a fault of the program");
        }
    }
}

fn work(path: &std::path::Path, rings: &Receiver<()>) {
    let mut conn: Option<Connection> = None;
    while rings.recv().is_ok() {
        let done = match conn.take() {
            Some(open) => Ok(open),
            None => open::write_connection(path),
        }
        .and_then(|open| {
            open.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            Ok(open)
        });
        match done {
            Ok(open) => conn = Some(open),
            Err(error) => tracing::warn!(%error, "the store's log cannot be moved into the database yet"),
        }
    }
}
