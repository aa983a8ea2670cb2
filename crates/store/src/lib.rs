//! Everything that must outlive a crash, behind handles in domain words.
#![forbid(unsafe_code)]

mod error;
mod handles;
pub mod limits;

pub use error::StoreError;
pub use handles::{
    Attempt, Board, CallbackFilter, CallbackRow, Claimed, EnvelopeDetail, EnvelopeFilter, EnvelopeRow, Inbox,
    Journal, JournalRow, Lease, Listing, NewCallback, News, NewsSource, Noted, Overview, PageRequest,
    Projection, Queue, Senders, Store, StoredCallback, SweepRow, Sweeps, TaskRow, TimelineRow,
    TransferFilter, Upkeep, Vault, Verdict, Worker,
};
