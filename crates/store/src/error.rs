//! What can go wrong with the store, as the caller's branches.

use std::path::PathBuf;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bounded queue of the writer is full: try again soon.
    #[error("the store is overloaded: {waiting} writes are waiting")]
    Overloaded {
        /// How many.
        waiting: usize,
    },
    /// The disk or the database failed: nothing was recorded.
    #[error("the store cannot {operation}; nothing was recorded")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// The failure underneath.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else holds the lease.
    #[error("the lease was lost: somebody else goes on with it")]
    LeaseLost,
    /// The database was written by a newer version.
    #[error(
        "{} has schema version {found}, and this version of Aftersign knows up to {known}: it was written by \
         a newer version. Start that one, or restore a backup from before the upgrade", path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Another server works on the same database file.
    #[error("{} is in use by another Aftersign server: stop that one first", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error("cannot open {}: {reason}", path.display())]
    CannotOpen {
        /// The database.
        path: PathBuf,
        /// Why and what to do.
        reason: String,
    },
    /// A record was sealed with a key that is not on the ring.
    #[error("the vault key `{key}` is not among the configured keys: add its file to [vault] keys")]
    KeyMissing {
        /// Its id.
        key: String,
    },
    /// A stored value cannot be read.
    #[error("a stored {what} cannot be read: {reason}")]
    Damaged {
        /// What it is.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A cursor that no list gave out.
    #[error("`{0}` is no cursor of this list: begin without one")]
    BadCursor(String),
}
