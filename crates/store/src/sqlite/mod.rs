//! The SQLite store: one file, one writer, a few readers.
//!
//! SQLite stands for an installation on one machine. All writes go through the [`writer`], which lets what
//! waits share one durable commit; reads have their own read-only connections and never wait for it. What the
//! process remembers between two calls is only what can be read again: state is in the file, so that commands
//! may work on it beside a running server.

mod board;
mod checkpointer;
mod concerns;
mod consents;
mod cursor;
mod drafts;
mod envelopes;
mod fault;
mod grant_bytes;
mod inbox;
mod journal;
mod json_transfer;
mod mailing;
mod open;
mod post;
mod projection;
mod queue;
mod readers;
mod rows;
mod seal;
mod senders;
mod sweeps;
mod tasks;
mod transfers;
mod upkeep;
mod vault;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aftersign_core::seams::Entropy;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::StoreError;
use crate::limits::QUEUE_MAX;

/// One key of the vault's ring. The first one seals, all of them open.
#[derive(Clone)]
pub struct VaultKey {
    /// Its id, kept beside every record that it wraps.
    pub id: String,
    /// Its bytes.
    pub key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Who opens the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The server: only one may work on a database file.
    Server,
    /// A command: any number, also beside the server.
    Tool,
}

/// How to open the store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The database file. It and its folder are made if they are missing.
    pub path: PathBuf,
    /// Where ids and nonces come from.
    pub entropy: Arc<dyn Entropy>,
    /// The vault's ring; may be empty where no credential is touched.
    pub vault_keys: Vec<VaultKey>,
    /// Writes that may wait.
    pub queue_max: usize,
    /// Server or command.
    pub role: Role,
}

impl SqliteOptions {
    /// A server's store without vault keys and with the default limits.
    pub fn new(path: impl Into<PathBuf>, entropy: Arc<dyn Entropy>) -> Self {
        let path = path.into();
        Self { path, entropy, vault_keys: Vec::new(), queue_max: QUEUE_MAX, role: Role::Server }
    }
}

/// The store in one SQLite file.
pub struct SqliteStore {
    writer: writer::Writer,
    readers: Arc<readers::Readers>,
    commits: watch::Sender<u64>,
    ring: Arc<seal::Ring>,
    entropy: Arc<dyn Entropy>,
    path: PathBuf,
    /// Held as long as the store lives; released last.
    _lock: Option<std::fs::File>,
}

impl SqliteStore {
    /// Opens the store, making or migrating the database first.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another server works on the file, [`StoreError::NewerSchema`] if a newer version
    /// wrote it, [`StoreError::CannotOpen`] for everything else, with what to do.
    pub fn open(options: SqliteOptions) -> Result<Arc<Self>, StoreError> {
        let opened = open::open(&options.path, options.role)?;
        let commits = watch::Sender::new(0);
        let writer = writer::Writer::start(
            opened.conn,
            options.path.clone(),
            Arc::clone(&options.entropy),
            options.queue_max,
            commits.clone(),
        )
        .map_err(|error| StoreError::CannotOpen {
            path: options.path.clone(),
            reason: format!("no thread for the writer: {error}"),
        })?;
        Ok(Arc::new(Self {
            writer,
            readers: Arc::new(readers::Readers::new(options.path.clone())),
            commits,
            ring: Arc::new(seal::Ring::new(options.vault_keys)),
            entropy: options.entropy,
            path: options.path,
            _lock: opened.lock,
        }))
    }
}
