//! Every wait and size of the admin listener, by name, with unit and reason.

use std::time::Duration;

/// How long the answer of one readiness probe holds: a probe is a real commit, and balancers ask in bursts.
pub const READINESS_CACHED: Duration = Duration::from_secs(1);
/// How long a probe or the counts may take before the store counts as unavailable: monitors give up after
/// seconds.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests in flight may go on when the server stops: an answer here takes milliseconds.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
