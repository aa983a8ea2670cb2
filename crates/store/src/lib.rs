//! Everything that must outlive a crash, behind handles in domain words.
//!
//! The traits in `handles` are all that the rest of Aftersign sees; `sqlite` stands behind them. Nothing here
//! decides what an envelope or a transfer does next: that is core's, called within the commit.
#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod handles;
pub mod limits;
mod sqlite;

pub use error::StoreError;
pub use handles::{
    Attempt, Board, CallbackFilter, CallbackRow, Claimed, EnvelopeDetail, EnvelopeFilter, EnvelopeRow, Inbox,
    Journal, JournalRow, Lease, Listing, NewCallback, News, NewsSource, Noted, Overview, PageRequest,
    Projection, Queue, Senders, Store, StoredCallback, SweepRow, Sweeps, TaskRow, TimelineRow,
    TransferFilter, Unarchived, Upkeep, Vault, Verdict, Worker,
};
pub use sqlite::{Role, SqliteOptions, SqliteStore, VaultKey};
