//! Every wait, size and count of the front door, by name, with unit and reason.

use std::time::Duration;

/// Time for the whole head of a request, and how long a kept-alive connection may idle: platforms send a head
/// in one packet, and an idle connection must not hold a place for long.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the whole body: the largest callbacks over a slow line need seconds.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// Time to note a callback down: less than the patience of any platform (30 seconds where one says it), so that
/// it is told to come again instead of counting us as dead. A commit takes milliseconds.
pub const NOTE_DOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a request as a whole: body and store together, and still less than a platform waits.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(25);
/// A slow body and a hanging store together fit into a request, a request into a platform's patience (30 seconds),
/// and what is in flight into the drain.
const _: () = assert!(
    BODY_TIMEOUT.as_secs() + NOTE_DOWN_TIMEOUT.as_secs() <= REQUEST_TIMEOUT.as_secs()
        && REQUEST_TIMEOUT.as_secs() < 30
        && REQUEST_TIMEOUT.as_secs() <= DRAIN_TIMEOUT.as_secs()
);
/// How long requests in flight may go on when the server stops: less than service managers wait (30 seconds
/// and more) before they kill.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
/// Bytes of a request's head: proxies add much, no platform comes near.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Connections at once; the next ones wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 2_048;
/// Requests in flight at once; the next ones are answered 503. Above the connections that saturate the store.
pub const REQUESTS_MAX: usize = 1_024;
/// Bytes of all bodies in memory at once; what goes beyond is answered 503.
pub const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Pages in progress at once, beside the callbacks; the next ones are answered 503. Far more than people open at a time,
/// far fewer than would be felt.
pub const FALLBACK_PLACES_MAX: usize = 64;
/// Time for a page as a whole: a backstop above the pages' own limits, and as long as proxies wait (60 seconds).
pub const FALLBACK_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a body that are read and thrown away after an early answer: a client that writes before it reads
/// would otherwise see a reset connection instead of the answer.
pub const DISCARD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long such a body is read.
pub const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of one path segment as sent, percent-encoded: an account id or a path secret is far shorter.
pub const SEGMENT_BYTES_MAX: usize = 512;
/// Bytes of the draft that a query names, as sent: platforms use UUIDs. A longer one is none.
pub const DRAFT_BYTES_MAX: usize = 128;
/// Secrets shorter than this are redacted only where they are the whole value: they occur by chance elsewhere, in
/// an envelope's id say. A path secret has 22 bytes at least.
pub const SECRET_WITHIN_BYTES_MIN: usize = 16;
/// `Retry-After` of every 503, in seconds: an overload or a full disk is rarely over sooner.
pub const RETRY_AFTER_SECONDS: u32 = 5;
/// Wait after a failed `accept` (no file descriptors left, say), so that it does not spin.
pub const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(100);
/// Shortest time between two log lines about a failing store: every refused request would repeat it.
pub const FAILURE_LOG_EVERY: Duration = Duration::from_secs(5);

/// The limits that can be configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntakeLimits {
    /// See [`HEADER_TIMEOUT`].
    pub header_timeout: Duration,
    /// See [`BODY_TIMEOUT`].
    pub body_timeout: Duration,
    /// See [`REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// See [`DRAIN_TIMEOUT`].
    pub drain_timeout: Duration,
    /// See [`HEADER_BYTES_MAX`]; 8 KiB at least.
    pub header_bytes_max: usize,
    /// See [`CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// See [`REQUESTS_MAX`].
    pub requests_max: usize,
    /// See [`BODIES_BYTES_MAX`].
    pub bodies_bytes_max: usize,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            header_bytes_max: HEADER_BYTES_MAX,
            connections_max: CONNECTIONS_MAX,
            requests_max: REQUESTS_MAX,
            bodies_bytes_max: BODIES_BYTES_MAX,
        }
    }
}

/// How the front door is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IntakeConfig {
    /// Its limits.
    pub limits: IntakeLimits,
}
