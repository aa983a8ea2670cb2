//! The store's own limits, with unit and reason.

use std::time::Duration;

/// Rows of one page of a list: more is a job for an export.
pub const PAGE_ROWS_MAX: usize = 500;
/// Timeline lines and attempts shown with one envelope or transfer.
pub const DETAIL_ROWS_MAX: usize = 200;

/// Timeline lines from which the concerns of an envelope are told; beyond this the oldest no longer count.
pub const HEARD_MAX: i64 = 2_000;

/// Writes that may wait for the writer. At 20,000 a second this is a fifth of a second; whoever comes later is
/// told to try again instead of waiting beyond the platform's patience.
pub const QUEUE_MAX: usize = 4_096;
/// Writes that share one commit. Beyond this the gain per write is small and the first one waits too long.
pub const BATCH_MAX: usize = 1_024;
/// Connections that read at the same time; SQLite readers are bound by the processor.
pub const READERS_MAX: usize = 4;
/// How long a write waits while another process (a command) writes.
pub const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Writes after which the write-ahead log is moved into the database, beside the writer: about 1,000 pages of it,
/// small and often, which keeps the tail short.
pub const CHECKPOINT_WRITES: usize = 256;
/// Pages of write-ahead log (64 MiB) at which the writer itself helps to move it: the bound of its size.
pub const WAL_PAGES_MAX: u32 = 16_384;
/// Page cache of the writer, in KiB: holds the hot right edges of all indexes.
pub const WRITER_CACHE_KIB: u32 = 65_536;
/// Page cache of one reader, in KiB.
pub const READER_CACHE_KIB: u32 = 8_192;
/// Prepared statements that a connection keeps.
pub const STATEMENTS_MAX: usize = 128;
/// Transfers that one commit wakes when the access to their account works again: intake waits meanwhile.
pub const ACCESS_RENEWALS_PER_COMMIT: usize = 500;
/// Rounds in which a claim looks for due transfers when wakes turned out to change nothing.
pub const CLAIM_ROUNDS_MAX: usize = 4;
/// Consents under way, each some hundred bytes. Anybody can begin one; beyond this the oldest go instead of the newest being
/// refused, because a flood must not lock honest senders out: theirs are done within a minute or two.
pub const CONSENTS_MAX: usize = 10_000;
/// Characters of a token: with a cookie's name and attributes it stays below the 4,096 bytes that browsers keep.
pub const TOKEN_CHARS_MAX: usize = 3_500;
/// Tasks told of one by one in a mail: more is no list that a person reads, the rest is counted.
pub const MAIL_TASKS_MAX: usize = 50;
/// Tasks that one commit puts into mails: a burst of a thousand is one, and intake waits no longer than some milliseconds.
pub const MAIL_TASKS_PER_COMMIT: usize = 2_000;

/// How long before a step a grant may have been given for the step to have missed it, in microseconds: a grant bears the time of
/// its asking, and waits for its commit. Short, so that a grant that is no good is not asked with again and again.
pub const GIVEN_SLACK_MICROS: i64 = 30_000_000;
