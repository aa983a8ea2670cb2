//! Every wait, size, count and retry that core decides, by name, with unit and reason.
//!
//! Limits of a crate's own machinery (queues, pools) stand in that crate's `limits.rs`.

use std::time::Duration;

/// Largest callback body taken unless the adapter says otherwise: the platforms' payloads stay far below.
pub const CALLBACK_BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// First wait after a failed attempt.
pub const RETRY_FIRST: Duration = Duration::from_secs(5);
/// Longest wait between two attempts.
pub const RETRY_LONGEST: Duration = Duration::from_secs(60 * 60);
/// Attempts in a row that may fail before a transfer becomes a dead letter: 10 to 20 hours of jittered waits.
pub const RETRY_ATTEMPTS_MAX: u32 = 30;
/// The same for our own disks and archives, which may be down over a long weekend: about five days.
pub const RETRY_ATTEMPTS_STORAGE_MAX: u32 = 160;
/// Longest wait that a platform's own answer (`Retry-After`, rate-limit reset) may ask of us.
pub const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(15 * 60);

/// Waits while a platform says "not yet": early callbacks precede the final status by seconds to minutes.
/// The last one repeats.
pub const PARK_WAITS: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
];
/// After this long "not yet", the sweeps watch on (status) or a person is asked (artifacts).
pub const PARK_LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a transfer that waits for renewed access looks whether the access works again.
pub const ACCESS_PROBE_EVERY: Duration = Duration::from_secs(15 * 60);

/// Tries before "not found" is believed, over six minutes: search indexes lag and rights spread slowly.
pub const NOT_FOUND_TRIES_MAX: u32 = 5;
/// Verifications that may find the wrong bytes before a person is asked.
pub const VERIFICATION_FAILURES_MAX: u32 = 5;

/// How long notifications that only inform are gathered before the platform is asked once.
pub const REFRESH_AFTER: Duration = Duration::from_secs(60);

/// Age at which the platform's word on an envelope must be asked for again before disposal.
pub const CONFIRMATION_FRESH: Duration = Duration::from_secs(5 * 60);
/// Age at which a verification must be repeated before disposal: an archive can lose a file.
pub const VERIFICATION_FRESH: Duration = Duration::from_secs(60 * 60);

/// When a seal's extension is first looked for, after the end of the envelope: it comes after about 40 days.
pub const EXTENSION_FIRST_LOOK: Duration = Duration::from_secs(41 * 24 * 60 * 60);
/// How often it is looked for from then on.
pub const EXTENSION_LOOK_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Age at which a person is told that it has not come.
pub const EXTENSION_OVERDUE: Duration = Duration::from_secs(45 * 24 * 60 * 60);
/// Age at which it is no longer looked for where no removal waits for it.
pub const EXTENSION_GIVEN_UP: Duration = Duration::from_secs(120 * 24 * 60 * 60);
/// How often it is looked for after a person was told.
pub const EXTENSION_LATE_LOOK_EVERY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a person has for what a notification asks of them before it counts as urgent.
pub const CONCERN_DUE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How much later than its stamp an announcement of new artifacts may really be: platforms stamp whole seconds.
pub const ANNOUNCEMENT_CLOCK_ALLOWANCE: Duration = Duration::from_secs(2);

/// Downloads that must agree on a file that looks cut before it is believed to be so at the platform: two cut at the same
/// place were seen in rehearsals.
pub const DOWNLOADS_OF_WHAT_LOOKS_CUT: usize = 5;

/// Longest file or folder name, in bytes, on the file systems in use.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Room kept in a file name for ` (12).v345` and a temporary suffix.
pub const FILE_NAME_BYTES_RESERVED: usize = 55;
/// Versions of one artifact that may lie side by side before a person is asked.
pub const VERSIONS_MAX: u32 = 1000;
/// Artifacts of one envelope: beyond this an answer is taken for broken.
pub const ARTIFACTS_MAX: usize = 2_000;
/// Characters of foreign text kept in an error or a timeline entry.
pub const EXCERPT_CHARS_MAX: usize = 300;

/// How long a sender has to give access again before their envelopes count as urgent.
pub const ACCESS_DUE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
