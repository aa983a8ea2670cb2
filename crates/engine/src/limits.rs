//! The engine's limits, with unit and reason.

use std::time::Duration;

/// How long a claimed transfer is ours without a word; renewed while a step runs.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often a running step renews its lease: three chances before it ends.
pub const LEASE_RENEW_EVERY: Duration = Duration::from_secs(20);
/// How often leases of dead workers are looked for.
pub const RESCUE_EVERY: Duration = Duration::from_secs(15);
/// How often the queue and the inbox are looked at without a hint: other processes give none.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pause between two looks that hints ask for, so that a flood of commits is not a flood of looks.
pub const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Pause after the store failed us.
pub const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Callbacks taken into one projection: few enough that acknowledgements behind them wait for milliseconds.
pub const PROJECTION_BATCH: usize = 64;
/// How long running steps may take to end at shutdown; then their leases tell others.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(20);

/// Time to connect to a platform.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence on a connection before it counts as dead.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Whole exchange of a request and a small answer.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(90);
/// Whole download of one artifact: a peer that drips must not hold a worker for ever.
pub const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Largest answer read into memory, in bytes; lists of a year stay below.
pub const EXCHANGE_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest body kept of a refused download, in bytes.
pub const REFUSAL_BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest artifact, in bytes: beyond this a download is taken for broken.
pub const ARTIFACT_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Bytes kept from each end of a download for the content check.
pub const EDGE_BYTES: usize = 1024;
/// Largest record in JSON, in bytes, out of which a platform's secrets can be taken: it is held in memory for that.
pub const RECORD_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Requests that one question may lead to: some platforms are asked twice for each document of an envelope, and one holds up
/// to 200.
pub const CALL_HOPS_MAX: usize = 512;
/// Tries of one request in the middle of a question: with hundreds of them, one that fails must not undo the others.
pub const HOP_TRIES_MAX: u32 = 8;
/// Wait before the second of them; it doubles. Longer troubles are the transfer's back-off's business.
pub const HOP_RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest wait of the platform's own wish that is obeyed in the middle of a question; a longer one ends it for now.
pub const HOP_RETRY_AFTER_LONGEST: Duration = Duration::from_secs(10);
/// Tokens kept at once, one per account and sender; beyond this all are fetched anew.
pub const TOKENS_MAX: usize = 10_000;

/// How far the first sweep of an account looks back.
pub const FIRST_SWEEP_BACK: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How far a sweep reaches back before the one before: indexes lag and clocks differ.
pub const SWEEP_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// Pages of one sweep: beyond this the listing goes in circles.
pub const SWEEP_PAGES_MAX: usize = 10_000;
/// Pages of an account's list of senders: beyond this the listing goes in circles.
pub const SENDER_PAGES_MAX: usize = 1_000;
/// Tries of one page before the sweep is given up until its next time.
pub const SWEEP_PAGE_TRIES_MAX: u32 = 8;
/// Sweeps of an account that may fail in a row before a person is told.
pub const SWEEP_FAILURES_TOLD: u32 = 3;
/// Envelopes looked up or woken in one commit of a sweep.
pub const SWEEP_BATCH: usize = 200;

/// Time from a start to the first look at the registered callback: soon, and behind the first sweep's first calls.
pub const CALLBACK_WATCH_FIRST: Duration = Duration::from_secs(10);
/// How often the registered callback is looked at: platforms clear it without a word, and each look is one cheap call.
pub const CALLBACK_WATCH_EVERY: Duration = Duration::from_secs(15 * 60);

/// How long before the platform removes an envelope a person is told that it is not archived: a weekend and a day.
pub const RETENTION_MARGIN: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// The share of a short retention that is the margin instead: most envelopes are archived before anybody need be told.
pub const RETENTION_MARGIN_SHARE: u32 = 4;

/// How long after a refusal of an account's access nobody asks again: thousands of transfers may wait for it, and the first
/// that is let in wakes all.
pub const ACCESS_REFUSED_QUIET: Duration = Duration::from_secs(60);
