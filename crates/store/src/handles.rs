//! The handles: what the rest of Aftersign may ask of its store, in domain verbs and types.
//!
//! No SQL, row type or database error passes through here, so that SQLite and PostgreSQL can stand behind the
//! same traits and one conformance suite. No handle assumes one process: work is shared by leases, state is
//! read from the database, and every decision inside a commit is one of core's pure functions.

use std::path::Path;
use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::callback::{IdempotencyKey, Notification, RepeatMeans};
use aftersign_core::digest::Digest;
use aftersign_core::envelope::{EnvelopeStatus, Known};
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId, SweepId, TaskId, TransferId};
use aftersign_core::journal::{Action, Entry};
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::transfer::{Change, Phase, Transfer};
use async_trait::async_trait;
use tokio::sync::watch;

use crate::StoreError;
use crate::people::{Consents, Drafts, Post, Senders, Vault};

/// A callback to note down. Headers and query are already free of secrets.
#[derive(Clone, Debug)]
pub struct NewCallback {
    /// Its id, made by intake.
    pub id: CallbackId,
    /// The account whose URL was called.
    pub account: AccountId,
    /// The platform's name.
    pub platform: &'static str,
    /// The channel of the URL, if any.
    pub channel: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Query string with secrets redacted.
    pub query: String,
    /// Headers with secrets redacted, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: bytes::Bytes,
    /// Where it came from.
    pub remote: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// What makes it the same as another of this account.
    pub key: IdempotencyKey,
    /// What a repeat of it can mean.
    pub repeat_means: RepeatMeans,
    /// The platform's word for it.
    pub kind: Option<String>,
    /// The envelope it names.
    pub envelope: Option<EnvelopeId>,
    /// Why it is not understood; `None` if it is.
    pub quarantine_reason: Option<String>,
}

/// What noting down found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// Not seen before.
    First,
    /// Noted before; counted on the first one's row.
    Repeat,
}

/// One distinct callback as it is kept, without the raw request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackRow {
    /// Its id.
    pub id: CallbackId,
    /// Its account.
    pub account: AccountId,
    /// Its platform.
    pub platform: String,
    /// Its channel.
    pub channel: Option<String>,
    /// When the first one came.
    pub received_at: Timestamp,
    /// How many more came.
    pub repeats: u64,
    /// When the last of them came.
    pub last_repeat_at: Option<Timestamp>,
    /// The platform's word for it.
    pub kind: Option<String>,
    /// The envelope it names.
    pub envelope: Option<EnvelopeId>,
    /// Why it is quarantined, if it is.
    pub quarantine_reason: Option<String>,
}

/// A callback with its raw request.
#[derive(Clone, Debug)]
pub struct StoredCallback {
    /// The row.
    pub row: CallbackRow,
    /// HTTP method.
    pub method: String,
    /// Query string, secrets redacted.
    pub query: String,
    /// Headers, secrets redacted.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: bytes::Bytes,
    /// Where it came from.
    pub remote: Option<String>,
}

/// Intake's whole view of the store.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Notes a callback down. When this returns `Ok`, it is durable. A repeat is counted on the first one's row
    /// and, where a repeat may be news, handed to the projector again.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when the bounded queue is full, [`StoreError::Unavailable`] when the disk or
    /// database fails: then nothing may be acknowledged.
    async fn note_down(&self, callback: NewCallback) -> Result<Noted, StoreError>;
    /// Whether a callback could be noted down durably now (a real commit).
    async fn probe(&self) -> Result<(), StoreError>;
}

/// Where news came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewsSource {
    /// A callback, which counts as projected with this commit.
    Callback(CallbackId),
    /// A sweep.
    Sweep(SweepId),
    /// A watch of our own (the registered callback, the platform's retention) or a draft that we sent.
    Watch,
}

/// What one callback or one row of a sweep means; recorded in one commit.
#[derive(Clone, Debug)]
pub struct News {
    /// Where it came from.
    pub source: NewsSource,
    /// The account.
    pub account: AccountId,
    /// The platform's name.
    pub platform: String,
    /// What happened, perhaps nothing.
    pub notifications: Vec<Notification>,
    /// Tasks to open with it.
    pub open_tasks: Vec<TaskDraft>,
    /// Keys of tasks that it settles.
    pub close_tasks: Vec<String>,
}

/// The one door by which callbacks, sweeps and replays reach envelopes.
#[async_trait]
pub trait Projection: Send + Sync {
    /// Callbacks that wait for the projector, oldest first.
    async fn unprojected(&self, limit: usize) -> Result<Vec<StoredCallback>, StoreError>;
    /// Takes news in, in one commit: envelopes ([`Known::announce`]), timeline, a transfer per envelope with its
    /// wake ([`aftersign_core::transfer::Wake::of`]), tasks (also those of
    /// [`aftersign_core::concern::open_concerns`]), journal ([`Action::EnvelopeSeen`] for a first).
    /// Twice has the effect of once, but for the timeline's line of a sweep. A sweep that merely looks
    /// ([`aftersign_core::callback::NotificationKind::Informed`]) leaves no line.
    async fn announce(&self, news: Vec<News>, now: Timestamp, pace: Pace) -> Result<(), StoreError>;
    /// Hands a callback to the projector again. `false` if there is none of that id or it is quarantined
    /// for good (its envelope cannot be told).
    async fn replay(&self, id: CallbackId, actor: &str, now: Timestamp) -> Result<bool, StoreError>;
}

/// Who works: a node's name, which stays, and its boot, which does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Worker {
    /// The node's name, unique among nodes on one store.
    pub node: String,
    /// Drawn anew at every start.
    pub boot: String,
}

/// A lease on one transfer. Recording with a lost lease fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The transfer.
    pub transfer: TransferId,
    /// Fencing number, different for every claim.
    pub token: u64,
    /// When it ends unless renewed.
    pub until: Timestamp,
}

/// A claimed transfer.
#[derive(Clone, PartialEq, Debug)]
pub struct Claimed {
    /// With all wakes taken in.
    pub transfer: Transfer,
    /// The lease.
    pub lease: Lease,
}

/// One try of one step, kept for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The step's word.
    pub step: String,
    /// What it was done on (file name, destination); empty if the whole envelope.
    pub subject: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why it failed; `None` if it did not.
    pub error: Option<String>,
}

/// The queue of transfers.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Leases up to `limit` due transfers of an account, those that wait longest first. Pending wakes are taken
    /// in ([`Transfer::wake`]). Never waits on an open transaction.
    async fn claim(
        &self,
        account: &AccountId,
        worker: &Worker,
        limit: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError>;
    /// Prolongs a lease. [`StoreError::LeaseLost`] if somebody else has it.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<Lease, StoreError>;
    /// Records a transfer after a step, with all that changed, in one commit: the transfer, the envelope
    /// (`answer`, `gone`, `archived_at`, `disposed_at`), tasks, journal, attempt. `keep` keeps the lease for the
    /// next step, else it is released. Wakes that came meanwhile are taken in; gives the transfer as recorded.
    /// With `change.access_works`, what is parked for that access in this account becomes due.
    async fn record(
        &self,
        lease: &Lease,
        transfer: Transfer,
        change: Change,
        attempt: Option<Attempt>,
        keep: bool,
        now: Timestamp,
    ) -> Result<Transfer, StoreError>;
    /// Frees expired leases, and those of earlier boots of this node. Gives how many.
    async fn rescue(&self, worker: &Worker, now: Timestamp) -> Result<u64, StoreError>;
    /// When the next unleased transfer of an account is due.
    async fn next_due(&self, account: &AccountId) -> Result<Option<Timestamp>, StoreError>;
    /// Makes a transfer try again from the platform's word on. `false` if there is nothing to try.
    async fn redrive(&self, id: TransferId, actor: &str, now: Timestamp) -> Result<bool, StoreError>;
    /// Closes a transfer by hand, with its tasks. `false` if it came to its end already.
    async fn resolve(
        &self,
        id: TransferId,
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
}

/// One page of a list and where the next begins.
#[derive(Clone, PartialEq, Debug)]
pub struct Listing<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Opaque; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Where a list begins and how long it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// [`Listing::next_cursor`] of the page before.
    pub cursor: Option<String>,
    /// Rows, at most [`crate::limits::PAGE_ROWS_MAX`].
    pub limit: usize,
}

/// Which callbacks to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CallbackFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// About this envelope.
    pub envelope: Option<EnvelopeId>,
    /// Only quarantined (`true`) or only noted (`false`).
    pub quarantined: Option<bool>,
}

/// Which envelopes to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EnvelopeFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// In this status.
    pub status: Option<EnvelopeStatus>,
    /// Only gaps.
    pub gaps: bool,
}

/// Which transfers to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransferFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// In this phase.
    pub phase: Option<Phase>,
}

/// An envelope with its platform's name.
#[derive(Clone, PartialEq, Debug)]
pub struct EnvelopeRow {
    /// The platform's name.
    pub platform: String,
    /// What we know.
    pub known: Known,
}

/// One line of an envelope's timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimelineRow {
    /// When it happened at the platform, else when we heard of it.
    pub at: Timestamp,
    /// When we heard of it.
    pub heard_at: Timestamp,
    /// Our word.
    pub kind: String,
    /// The platform's word.
    pub kind_at_platform: String,
    /// `callback`, `sweep` or, of what we did ourselves, `server`.
    pub source: String,
    /// Signer concerned.
    pub signer: Option<String>,
    /// The platform's text.
    pub detail: Option<String>,
}

/// Everything about one envelope.
#[derive(Clone, PartialEq, Debug)]
pub struct EnvelopeDetail {
    /// The envelope.
    pub row: EnvelopeRow,
    /// Its transfer.
    pub transfer: Option<Transfer>,
    /// Its timeline, oldest first, at most [`crate::limits::DETAIL_ROWS_MAX`] lines.
    pub timeline: Vec<TimelineRow>,
    /// The last attempts, newest first, at most [`crate::limits::DETAIL_ROWS_MAX`].
    pub attempts: Vec<Attempt>,
}

/// A task as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// Why.
    pub kind: TaskKind,
    /// The account.
    pub account: AccountId,
    /// The envelope.
    pub envelope: Option<EnvelopeId>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it becomes urgent.
    pub due_at: Option<Timestamp>,
    /// Who should act.
    pub assignee: String,
    /// What happened.
    pub what: String,
    /// What to do.
    pub todo: String,
    /// When it was settled.
    pub resolved_at: Option<Timestamp>,
    /// By whom and why.
    pub resolution: Option<String>,
    /// When somebody was first sent a mail about it; `None` if nobody was yet.
    pub mailed_at: Option<Timestamp>,
}

/// Counts that are kept, not counted: reading them costs the same whatever the number of rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overview {
    /// Distinct callbacks noted, quarantined ones included.
    pub callbacks: u64,
    /// Of them quarantined.
    pub quarantined: u64,
    /// Repeats of any of them.
    pub repeats: u64,
    /// Envelopes by account and status, without zeros.
    pub envelopes: Vec<(AccountId, EnvelopeStatus, u64)>,
    /// Transfers by account and phase, without zeros.
    pub transfers: Vec<(AccountId, Phase, u64)>,
    /// Open tasks.
    pub open_tasks: u64,
    /// Gaps: ends that sweeps found and no callback announced.
    pub gaps: u64,
}

/// What lists and pages show.
#[async_trait]
pub trait Board: Send + Sync {
    /// The counts.
    async fn overview(&self) -> Result<Overview, StoreError>;
    /// Callbacks, newest first.
    async fn callbacks(
        &self,
        filter: &CallbackFilter,
        page: &PageRequest,
    ) -> Result<Listing<CallbackRow>, StoreError>;
    /// One callback with its raw request.
    async fn callback(&self, id: CallbackId) -> Result<Option<StoredCallback>, StoreError>;
    /// Envelopes, last updated first.
    async fn envelopes(
        &self,
        filter: &EnvelopeFilter,
        page: &PageRequest,
    ) -> Result<Listing<EnvelopeRow>, StoreError>;
    /// One envelope. Without `account`, the first of that id.
    async fn envelope(
        &self,
        account: Option<&AccountId>,
        id: &EnvelopeId,
    ) -> Result<Option<EnvelopeDetail>, StoreError>;
    /// Transfers, newest first.
    async fn transfers(
        &self,
        filter: &TransferFilter,
        page: &PageRequest,
    ) -> Result<Listing<Transfer>, StoreError>;
    /// One transfer with its last attempts, newest first.
    async fn transfer(&self, id: TransferId) -> Result<Option<(Transfer, Vec<Attempt>)>, StoreError>;
    /// Tasks, newest first; `open` only open (`true`) or only settled ones (`false`).
    async fn tasks(&self, open: Option<bool>, page: &PageRequest) -> Result<Listing<TaskRow>, StoreError>;
    /// One task.
    async fn task(&self, id: TaskId) -> Result<Option<TaskRow>, StoreError>;
    /// A person settles a task. `false` if there is no open one of that id.
    async fn resolve_task(
        &self,
        id: TaskId,
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Changes with every commit of this process; a hint to look, never the news itself.
    fn watch(&self) -> watch::Receiver<u64>;
}

/// One sweep as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SweepRow {
    /// Its id.
    pub id: SweepId,
    /// The account.
    pub account: AccountId,
    /// From which time it asked.
    pub since: Timestamp,
    /// To which.
    pub until: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended well; `None` if it failed.
    pub finished_at: Option<Timestamp>,
    /// Envelopes looked at.
    pub seen: u64,
    /// Differences found and announced.
    pub found: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// Ended envelopes that a rule wants and that are not archived.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unarchived {
    /// How many.
    pub count: u64,
    /// The one that ended first, and when.
    pub oldest: Option<(EnvelopeId, Timestamp)>,
}

/// What sweeps need.
#[async_trait]
pub trait Sweeps: Send + Sync {
    /// The last sweep of an account that ended well.
    async fn last_finished(&self, account: &AccountId) -> Result<Option<SweepRow>, StoreError>;
    /// Keeps a sweep's record (journal: [`Action::Swept`]).
    async fn record_sweep(&self, sweep: SweepRow) -> Result<(), StoreError>;
    /// What we know about these envelopes of an account; unknown ones are left out.
    async fn known(&self, account: &AccountId, ids: &[EnvelopeId]) -> Result<Vec<Known>, StoreError>;
    /// Ids of an account's envelopes whose confirmed status is not final, in id order after `after`.
    async fn unsettled(
        &self,
        account: &AccountId,
        after: Option<&EnvelopeId>,
        limit: usize,
    ) -> Result<Vec<EnvelopeId>, StoreError>;
    /// An account's envelopes that ended before `before` (were completed, else first heard of) and whose transfer is still
    /// on its way or a dead letter: those that the platform confirmed to be in `status`, or, without one, those of which only
    /// a callback or a sweep says that they ended.
    async fn unarchived(
        &self,
        account: &AccountId,
        status: Option<EnvelopeStatus>,
        before: Timestamp,
    ) -> Result<Unarchived, StoreError>;
}

/// A journal entry in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalRow {
    /// Its place, from 1.
    pub sequence: u64,
    /// The entry.
    pub entry: Entry,
    /// Its digest, which covers the one before.
    pub digest: Digest,
}

/// What a check of the whole journal found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Every entry fits the one before.
    Intact {
        /// Number of entries.
        entries: u64,
        /// Digest of the last one, to be kept elsewhere.
        head: Digest,
    },
    /// The chain breaks here.
    Broken {
        /// At which place.
        sequence: u64,
        /// In which way.
        reason: String,
    },
}

/// The append-only record.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends an entry.
    async fn append(&self, entry: Entry) -> Result<(), StoreError>;
    /// Entries, newest first, of one action if given.
    async fn entries(
        &self,
        action: Option<Action>,
        page: &PageRequest,
    ) -> Result<Listing<JournalRow>, StoreError>;
    /// Recomputes the whole chain.
    async fn verify(&self) -> Result<Verdict, StoreError>;
}

/// Care of the store as a whole.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Writes a consistent copy while work goes on, to a file that must not exist.
    async fn backup(&self, to: &Path) -> Result<u64, StoreError>;
    /// Flushes and closes; nothing may be asked afterwards.
    async fn close(&self) -> Result<(), StoreError>;
}

/// All handles in one.
pub trait Store:
    Inbox
    + Projection
    + Queue
    + Board
    + Sweeps
    + Journal
    + Senders
    + Vault
    + Consents
    + Drafts
    + Post
    + Upkeep
    + 'static
{
}

impl<T> Store for T where
    T: Inbox
        + Projection
        + Queue
        + Board
        + Sweeps
        + Journal
        + Senders
        + Vault
        + Consents
        + Drafts
        + Post
        + Upkeep
        + 'static
{
}
