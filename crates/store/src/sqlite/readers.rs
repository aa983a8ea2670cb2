//! A few read-only connections, used on blocking threads.
//!
//! Every read runs in a transaction of its own, so that what it sees is of one moment, and ends it at once: an
//! old transaction would keep the log from being taken back.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::{Fault, Shared};
use super::{SqliteStore, open};
use crate::StoreError;
use crate::limits::READERS_MAX;

/// The pool.
pub(super) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// An empty pool; connections are made when first needed.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, permits: Arc::new(Semaphore::new(READERS_MAX)), idle: Mutex::default() }
    }

    /// Ends all idle connections and lets nobody read again.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Result<Connection, rusqlite::Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open::read_connection(&self.path), Ok)
    }

    fn give_back(&self, conn: Connection) {
        if !self.permits.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
    }
}

impl SqliteStore {
    /// Reads in one transaction, off the async threads.
    pub(super) async fn read<T, F>(&self, operation: &'static str, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let permit = Arc::clone(&self.readers.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Shared::new("the store is closed").into_store(operation))?;
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || {
            let conn = readers.take()?;
            let value = {
                let transaction = conn.unchecked_transaction()?;
                read(&transaction)?
            };
            readers.give_back(conn);
            drop(permit);
            Ok::<T, Fault>(value)
        });
        let result = task.await.map_err(|error| Shared::new(error.to_string()).into_store(operation))?;
        result.map_err(|fault| fault.into_store(operation))
    }
}
