//! How fast the world runs. Every wait of the world is written in the platform's own time and divided here by the
//! configured scale, so that a rehearsal of a day takes seconds. Timestamps in payloads stay real ones.

use std::time::Duration;

/// The longest real wait: keeps a tiny scale from overflowing a `Duration`, and is longer than any wait of a platform.
const REAL_WAIT_SECONDS_MAX: f64 = 365.0 * 24.0 * 3600.0;

/// The divisor of all waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    scale: f64,
}

impl Pace {
    /// `None` unless the scale is a positive finite number.
    pub(crate) fn new(scale: f64) -> Option<Pace> {
        (scale.is_finite() && scale > 0.0).then_some(Pace { scale })
    }

    /// The real time that `seconds` of the world take.
    pub(crate) fn seconds(self, seconds: f64) -> Duration {
        Duration::from_secs_f64((seconds.max(0.0) / self.scale).min(REAL_WAIT_SECONDS_MAX))
    }

    /// The real time that `minutes` of the world take.
    pub(crate) fn minutes(self, minutes: f64) -> Duration {
        self.seconds(minutes * 60.0)
    }
}
