//! Every wait, size and count of the admin listener and of the consent pages, by name, with unit and reason.

use std::time::Duration;

/// How long the answer of one readiness probe holds: a probe is a real commit, and balancers ask in bursts.
pub const READINESS_CACHED: Duration = Duration::from_secs(1);
/// How long a probe or the counts may take before the store counts as unavailable: monitors give up after
/// seconds.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests in flight may go on when the server stops: an answer here takes milliseconds.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a form: a few keys of a few hundred bytes each.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a form that is too large which are read and thrown away, so that the browser reads our answer instead of seeing
/// its connection reset.
pub const DISCARD_BYTES_MAX: usize = 1024 * 1024;
/// Time for a form to come: it is a few packets.
pub const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a browser is kept waiting for the desk, which asks the platform: with the form less than proxies wait (60
/// seconds). What the desk began goes on.
pub const DESK_TIMEOUT: Duration = Duration::from_secs(45);
/// Calls to the desk at once, those included whose browser has gone: each may keep a connection to a platform busy.
pub const DESK_CALLS_MAX: usize = 64;
/// `Retry-After` of every page that is answered 503, in seconds: the minute of which its text speaks.
pub const RETRY_AFTER_SECONDS: u32 = 60;
/// Parameters of a query or form: ours have four at most.
pub const PARAMETERS_MAX: usize = 32;
/// Bytes of what a browser claims in one parameter (a draft, a user, an organisation): platforms use UUIDs and short numbers.
pub const CLAIM_BYTES_MAX: usize = 256;
/// Bytes of the sealed part of an e-mail's link: ours are far shorter.
pub const LINK_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the query with which a browser comes back: codes of some servers are signed tokens of a few kilobytes.
pub const RETURN_QUERY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a session in a cookie: ours are far shorter, and browsers keep 4,096 with name and attributes.
pub const SESSION_BYTES_MAX: usize = 3 * 1024;
/// How long a browser keeps its key after the last form of ours that it was shown: a consent takes minutes, and a page that
/// stood open for longer than a day is opened again.
pub const BROWSER_COOKIE_SECONDS: u64 = 24 * 60 * 60;
/// Seconds after which a page that waits for another visit asks again.
pub const REFRESH_SECONDS: u32 = 3;
/// How long browsers keep a stylesheet, in seconds: a year, the longest that is of use; another text has another name.
pub const ASSET_CACHED_SECONDS: u32 = 365 * 24 * 60 * 60;
/// How long browsers insist on https, in seconds: two years, as OWASP recommends.
pub const HSTS_SECONDS: u32 = 2 * 365 * 24 * 60 * 60;
/// Form, desk and what lies around them end before a proxy gives up.
const _: () = assert!(FORM_TIMEOUT.as_secs() + DESK_TIMEOUT.as_secs() < 60);
