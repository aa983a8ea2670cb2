//! The one writer: a thread that owns the write connection and lets what waits share one commit.
//!
//! A commit costs a sync of the disk, whoever takes part; so the writer takes everything that waits (it never
//! waits for more), does it in one transaction and answers all callers after the one commit. Callbacks to note
//! down are folded by key first; every other write runs inside its own savepoint, so that one that fails does
//! not spoil the rest. Nobody is ever told `Ok` before the commit, and nobody waits for ever: when the thread
//! ends, in whatever way, the channels close and callers are told so.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use aftersign_core::ids::AccountId;
use aftersign_core::seams::Entropy;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpointer::Checkpointer;
use super::fault::{Fault, Shared};
use super::inbox::{self, Note};
use super::open;
use crate::handles::Noted;
use crate::limits::BATCH_MAX;
use crate::{NewCallback, StoreError};

/// What a write may use: the connection inside the transaction, the names' numbers, randomness.
pub(super) struct Work<'a> {
    pub(super) conn: &'a Connection,
    pub(super) entropy: &'a dyn Entropy,
    names: &'a RefCell<Names>,
}

/// Numbers of accounts and platforms, remembered until something is rolled back.
#[derive(Default)]
struct Names {
    accounts: HashMap<String, i64>,
    platforms: HashMap<String, i64>,
}

impl Work<'_> {
    /// The number of an account, given to it if it has none.
    pub(super) fn account(&self, account: &AccountId) -> Result<i64, Fault> {
        let names = &mut self.names.borrow_mut().accounts;
        self.number(names, account.as_str(), "accounts")
    }

    /// The number of a platform, given to it if it has none.
    pub(super) fn platform(&self, platform: &str) -> Result<i64, Fault> {
        let names = &mut self.names.borrow_mut().platforms;
        self.number(names, platform, "platforms")
    }

    fn number(&self, known: &mut HashMap<String, i64>, id: &str, table: &str) -> Result<i64, Fault> {
        if let Some(n) = known.get(id) {
            return Ok(*n);
        }
        let found = self
            .conn
            .query_row(&format!("SELECT n FROM {table} WHERE id = ?1"), [id], |row| row.get(0))
            .optional()?;
        let n = match found {
            Some(n) => n,
            None => {
                self.conn.execute(&format!("INSERT INTO {table} (id) VALUES (?1)"), [id])?;
                self.conn.last_insert_rowid()
            }
        };
        known.insert(id.to_string(), n);
        Ok(n)
    }
}

/// A write other than noting down.
trait Act: Send {
    /// Does it inside the open savepoint; `false` if it failed and must be undone.
    fn run(&mut self, work: &Work<'_>) -> bool;
    /// Tells the caller, after the commit.
    fn answer(self: Box<Self>, commit: Result<(), Shared>);
}

struct Closure<T, F> {
    operation: &'static str,
    act: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Act for Closure<T, F>
where
    T: Send,
    F: FnOnce(&Work<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, work: &Work<'_>) -> bool {
        let Some(act) = self.act.take() else { return false };
        let operation = self.operation;
        let result = match catch_unwind(AssertUnwindSafe(|| act(work))) {
            Ok(result) => result.map_err(|fault| fault.into_store(operation)),
            Err(_) => Err(Shared::new("the writer met a fault of the program").into_store(operation)),
        };
        let done = result.is_ok();
        self.result = Some(result);
        done
    }

    fn answer(self: Box<Self>, commit: Result<(), Shared>) {
        let operation = self.operation;
        let result = match (commit, self.result) {
            // Its own failure says more than the commit's.
            (_, Some(Err(error))) => Err(error),
            (Err(failure), _) => Err(failure.into_store(operation)),
            (Ok(()), Some(Ok(value))) => Ok(value),
            (Ok(()), None) => Err(Shared::new("the writer passed it over").into_store(operation)),
        };
        // Nobody listens if the caller was cancelled: what it asked for is done all the same.
        let _ = self.answer.send(result);
    }
}

enum Job {
    Note(Box<Note>),
    Act(Box<dyn Act>),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// The way to the writer.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread with its open connection.
    pub(super) fn start(
        conn: Connection,
        path: PathBuf,
        entropy: Arc<dyn Entropy>,
        queue_max: usize,
        commits: watch::Sender<u64>,
    ) -> Result<Self, std::io::Error> {
        let (queue, jobs) = mpsc::channel(queue_max.max(1));
        let checkpointer = Some(Checkpointer::start(path.clone())?);
        let mut desk =
            Desk { conn: Some(conn), path, entropy, names: RefCell::default(), commits, checkpointer };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || desk.work_until_closed(jobs))?;
        Ok(Self { queue: Some(queue), thread: Mutex::new(Some(thread)) })
    }

    /// Notes a callback down; never waits for room in the queue.
    pub(super) async fn note(&self, callback: NewCallback) -> Result<Noted, StoreError> {
        const OPERATION: &str = "note a callback down";
        let (answer, outcome) = oneshot::channel();
        let note = Note::new(callback, answer);
        let queue = self.queue.as_ref().ok_or_else(|| closed(OPERATION))?;
        queue.try_send(Job::Note(Box::new(note))).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded { waiting: queue.max_capacity() },
            mpsc::error::TrySendError::Closed(_) => closed(OPERATION),
        })?;
        outcome.await.unwrap_or_else(|_| Err(closed(OPERATION)))
    }

    /// Does a write together with what else waits, and gives its result once it is durable.
    pub(super) async fn run<T, F>(&self, operation: &'static str, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Work<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job = Job::Act(Box::new(Closure { operation, act: Some(act), result: None, answer }));
        let queue = self.queue.as_ref().ok_or_else(|| closed(operation))?;
        queue.send(job).await.map_err(|_| closed(operation))?;
        outcome.await.unwrap_or_else(|_| Err(closed(operation)))
    }

    /// Does what waits, moves the log into the database and ends the thread.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        const OPERATION: &str = "close";
        let (answer, outcome) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(|| closed(OPERATION))?;
        queue.send(Job::Close(answer)).await.map_err(|_| closed(OPERATION))?;
        let outcome = outcome.await.unwrap_or_else(|_| Err(closed(OPERATION)));
        self.join();
        outcome
    }

    /// The thread answers before it ends; what is left of it takes no time.
    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer ended by a fault of the program");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        self.join();
    }
}

fn closed(operation: &'static str) -> StoreError {
    Shared::new("the store is closed").into_store(operation)
}

/// The thread's side.
struct Desk {
    conn: Option<Connection>,
    path: PathBuf,
    entropy: Arc<dyn Entropy>,
    names: RefCell<Names>,
    commits: watch::Sender<u64>,
    checkpointer: Option<Checkpointer>,
}

impl Desk {
    fn work_until_closed(&mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut closers = Vec::new();
        while let Some(first) = jobs.blocking_recv() {
            let begun = self.begin();
            let (mut notes, mut acts) = (Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Note(note) => notes.push(*note),
                    Job::Act(act) => acts.push(act),
                    Job::Close(answer) => {
                        jobs.close();
                        closers.push(answer);
                    }
                }
                if notes.len() + acts.len() < BATCH_MAX {
                    next = jobs.try_recv().ok();
                }
            }
            self.commit_together(begun, notes, acts);
        }
        let outcome = self.finish();
        for closer in closers {
            let outcome = outcome.clone().map_err(|failure| failure.into_store("close"));
            let _ = closer.send(outcome);
        }
    }

    /// Opens the transaction, on a fresh connection if the last one was given up.
    fn begin(&mut self) -> Result<(), Shared> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => open::write_connection(&self.path).map_err(|error| Shared::new(error.to_string()))?,
        };
        let begun = conn.execute_batch("BEGIN IMMEDIATE").map_err(Shared::from);
        self.conn = Some(conn);
        begun
    }

    fn commit_together(&mut self, begun: Result<(), Shared>, notes: Vec<Note>, mut acts: Vec<Box<dyn Act>>) {
        let has_begun = begun.is_ok();
        let writes = notes.len() + acts.len();
        let work_done = begun.and_then(|()| self.work(&notes, &mut acts));
        let committed = work_done.and_then(|noted| {
            let conn = self.conn.as_ref().ok_or_else(|| Shared::new("the connection is lost"))?;
            conn.execute_batch("COMMIT").map_err(Shared::from)?;
            Ok(noted)
        });
        let outcome = match committed {
            Ok(noted) => {
                self.commits.send_modify(|commits| *commits += 1);
                for (note, noted) in notes.into_iter().zip(noted) {
                    let _ = note.answer.send(Ok(noted));
                }
                Ok(())
            }
            Err(failure) => {
                tracing::error!(error = %failure, "the store could not commit");
                if has_begun {
                    self.mend();
                }
                for note in notes {
                    let _ = note.answer.send(Err(failure.clone().into_store("note a callback down")));
                }
                Err(failure)
            }
        };
        for act in acts {
            act.answer(outcome.clone());
        }
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.committed(writes);
        }
    }

    fn work(&self, notes: &[Note], acts: &mut [Box<dyn Act>]) -> Result<Vec<Noted>, Shared> {
        let conn = self.conn.as_ref().ok_or_else(|| Shared::new("the connection is lost"))?;
        let work = Work { conn, entropy: self.entropy.as_ref(), names: &self.names };
        let noted = catch_unwind(AssertUnwindSafe(|| inbox::note_all(&work, notes)))
            .map_err(|_| Shared::new("the writer met a fault of the program"))??;
        for act in acts {
            conn.execute_batch("SAVEPOINT act")?;
            if !act.run(&work) {
                self.forget_names();
                // A failing disk makes SQLite undo everything by itself: then there is nothing left to commit.
                if conn.is_autocommit() {
                    return Err(Shared::new("the transaction was undone by a failure of the disk"));
                }
                conn.execute_batch("ROLLBACK TO act")?;
            }
            conn.execute_batch("RELEASE act")?;
        }
        Ok(noted)
    }

    fn forget_names(&self) {
        if let Ok(mut names) = self.names.try_borrow_mut() {
            *names = Names::default();
        }
    }

    /// After a failure nothing of the batch may be seen later.
    ///
    /// A commit whose sync failed has left whole frames in the log that no reader counts. The next commit
    /// overwrites them; a crash before it would bring them back to life. So a small commit follows at once,
    /// and a connection that cannot even roll back is given up.
    fn mend(&mut self) {
        self.forget_names();
        let Some(conn) = self.conn.take() else { return };
        if !conn.is_autocommit() && conn.execute_batch("ROLLBACK").is_err() && !conn.is_autocommit() {
            return;
        }
        if let Err(error) = conn.execute_batch("UPDATE meta SET probes = probes + 1") {
            tracing::warn!(%error, "the store's disk does not take writes");
        }
        if conn.is_autocommit() || conn.execute_batch("ROLLBACK").is_ok() {
            self.conn = Some(conn);
        }
    }

    fn finish(&mut self) -> Result<(), Shared> {
        self.checkpointer = None;
        let Some(conn) = self.conn.take() else { return Ok(()) };
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        conn.close().map_err(|(_, error)| Shared::from(error))
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
