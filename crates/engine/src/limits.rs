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
/// Tries of one sender's lists where their access ends in the middle of them.
pub const SWEEP_GRANT_TRIES_MAX: u32 = 2;
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
/// The same for a sender's grant, which mostly works again only when the sender gives it anew, and that wakes what waits: just
/// less than the time between two looks of one transfer, for grants that were merely switched off and on.
pub const GRANT_REFUSED_QUIET: Duration = Duration::from_secs(14 * 60);

/// How long a renewal may take, the wait for the platform's other questions included.
pub const RENEWAL_TIMEOUT: Duration = Duration::from_secs(100);
/// How long one process has the sole right to renew a grant: longer than a renewal may take.
pub const RENEWAL_LEASE: Duration = Duration::from_secs(180);
/// Tries to keep what a token endpoint gave, a pause of the store's apart: a refresh token that is lost cannot be had again.
pub const RENEWAL_KEEP_TRIES_MAX: u32 = 20;
/// Grants that are asked in turn for an envelope of which nobody knows who sent it.
pub const SEARCH_SENDERS_MAX: usize = 100;

/// How long a sender has to consent at the platform before they must begin anew (the vendors' advice for a pending draft).
pub const CONSENT_LIFE: Duration = Duration::from_secs(10 * 60);
/// How long a browser is known after its user proved who they are: a working day.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// How long the link of an e-mail works: a sender may come back from a holiday.
pub const RENEWAL_LINK_LIFE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Longest parameter of a page, in characters: ids at platforms stay far below.
pub const PAGE_PARAMETER_CHARS_MAX: usize = 200;
/// Questions to a platform per minute that visitors of whom nobody knows who they are may cause, per account, and ways back:
/// transfers must not be held up by a flood of them.
pub const STRANGERS_PER_MINUTE: u32 = 60;

/// How long a sending may take, the wait for the platform's other questions included: after that it is not begun any more.
pub const DRAFT_SEND_TIMEOUT: Duration = Duration::from_secs(100);
/// How long one visit has a draft to itself unless it lets it go; what guards against a second sending is [`DRAFT_SETTLE`].
pub const DRAFT_LEASE: Duration = Duration::from_secs(5 * 60);
/// How long after an unanswered sending a draft that still stands may yet be sent by the platform: nobody may send it again
/// before. Longer than the sending itself may take.
pub const DRAFT_SETTLE: Duration = Duration::from_secs(4 * 60);
/// Looks for a draft right after an unanswered sending, while its sender waits.
pub const DRAFT_LOOKS: u32 = 3;
/// Pause between them.
pub const DRAFT_LOOK_PAUSE: Duration = Duration::from_secs(2);
/// How often drafts are looked for of which is not known what came of them.
pub const DRAFTS_EVERY: Duration = Duration::from_secs(60);
/// Age up to which such a draft is looked for every time; later, every so often.
pub const DRAFT_FRESH: Duration = Duration::from_secs(10 * 60);
/// Time between two looks at an older one.
pub const DRAFT_LATE_EVERY: Duration = Duration::from_secs(60 * 60);
/// Age at which a person is told.
pub const DRAFT_UNCLEAR: Duration = Duration::from_secs(60 * 60);
/// Age at which it is no longer looked for.
pub const DRAFT_GIVEN_UP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Consents that browsers may begin per minute: more than any company's senders need at nine in the morning, and
/// fewer in the life of a consent than are kept at once, so that a flood puts out nobody's.
pub const CONSENTS_PER_MINUTE: u32 = 600;

/// Drafts looked for in one round.
pub const DRAFTS_BATCH: usize = 1_000;

/// How long a mail waits for more of the same: what fails together is told of together.
pub const MAIL_SETTLE: Duration = Duration::from_secs(10);
/// How long at most, while ever more comes.
pub const MAIL_SETTLE_LONGEST: Duration = Duration::from_secs(120);
