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
mod people;
mod sqlite;

pub use error::StoreError;
pub use handles::{
    Attempt, Board, CallbackFilter, CallbackRow, Claimed, EnvelopeDetail, EnvelopeFilter, EnvelopeRow, Inbox,
    Journal, JournalRow, Lease, Listing, NewCallback, News, NewsSource, Noted, Overview, PageRequest,
    Projection, Queue, Store, StoredCallback, SweepRow, Sweeps, TaskRow, TimelineRow, TransferFilter,
    Unarchived, Upkeep, Verdict, Worker,
};
pub use people::{
    ClaimedMail, Consents, DraftClaim, DraftState, Drafts, GrantRow, MailPolicy, MailReason, MailRow,
    NewConsent, NewGrant, OpenGrant, Post, Purpose, Senders, ToldTask, UnclearDraft, Vault,
};
pub use sqlite::{Role, SqliteOptions, SqliteStore, VaultKey};
