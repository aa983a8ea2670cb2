//! When to try again: exponential waits with jitter from a passed seed, and one pace for rehearsals.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::NotBefore;
use crate::limits::{PARK_WAITS, RETRY_AFTER_LONGEST, RETRY_FIRST, RETRY_LONGEST};

/// How fast our waits pass and where their jitter comes from.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Every wait of ours is divided by this; 1.0 outside rehearsals and tests.
    pub time_scale: f64,
    /// Seed of the jitter; the caller draws it anew for every decision.
    pub seed: u64,
}

impl Pace {
    /// Real time with the given seed.
    pub fn real(seed: u64) -> Self {
        Self { time_scale: 1.0, seed }
    }

    /// `wait` at this pace.
    pub fn scaled(&self, wait: Duration) -> Duration {
        if self.time_scale.is_finite() && self.time_scale > 0.0 {
            Duration::try_from_secs_f64(wait.as_secs_f64() / self.time_scale).unwrap_or(wait)
        } else {
            wait
        }
    }

    /// `wait` at this pace after `now`.
    pub fn after(&self, now: Timestamp, wait: Duration) -> Timestamp {
        now.checked_add(self.scaled(wait)).unwrap_or(Timestamp::MAX)
    }

    /// When to try again after `failures` failures in a row (1 = the first), not before `not_before`.
    ///
    /// The platform's own wish is obeyed up to [`RETRY_AFTER_LONGEST`], and never shortens our back-off.
    pub fn retry_at(&self, now: Timestamp, failures: u32, not_before: Option<NotBefore>) -> Timestamp {
        let ours = now.checked_add(self.scaled(self.jittered(failures))).unwrap_or(Timestamp::MAX);
        let theirs = match not_before {
            None => return ours,
            Some(NotBefore::After(wait)) => self.after(now, wait.min(RETRY_AFTER_LONGEST)),
            Some(NotBefore::At(at)) => at.min(self.after(now, RETRY_AFTER_LONGEST)),
        };
        ours.max(theirs)
    }

    /// When to look again after `looks` answers of "not yet" in a row (1 = the first).
    pub fn park_until(&self, now: Timestamp, looks: u32) -> Timestamp {
        let index = usize::try_from(looks.saturating_sub(1)).unwrap_or(usize::MAX);
        self.after(now, PARK_WAITS[index.min(PARK_WAITS.len() - 1)])
    }

    /// Between half and the whole of the doubled wait, so that failures of one moment do not return as one.
    fn jittered(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let whole = RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_LONGEST);
        let share = f64::from(u32::try_from(mix(self.seed) >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        whole.mul_f64(0.5 + share / 2.0)
    }
}

/// SplitMix64's finaliser: neighbouring seeds give unrelated numbers.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn waits_double_within_bounds_and_differ_by_seed() {
        for failures in 1..40 {
            for seed in 0..50 {
                let wait = Pace::real(seed).retry_at(at(0), failures, None).as_second();
                let whole = (5i64 << (failures - 1).min(20)).min(3600);
                assert!(wait >= whole / 2 && wait <= whole, "{failures} {seed} {wait}");
            }
        }
        let different: std::collections::BTreeSet<_> =
            (0..50).map(|seed| Pace::real(seed).retry_at(at(0), 9, None)).collect();
        assert!(different.len() > 40);
    }

    #[test]
    fn the_platforms_wish_is_obeyed_and_bounded() {
        let pace = Pace::real(1);
        assert_eq!(pace.retry_at(at(0), 1, Some(NotBefore::After(Duration::from_secs(120)))), at(120));
        assert_eq!(pace.retry_at(at(0), 1, Some(NotBefore::At(at(1_000_000)))), at(900));
        assert!(pace.retry_at(at(0), 3, Some(NotBefore::At(at(0)))) >= at(10));
    }

    #[test]
    fn a_rehearsal_divides_every_wait() {
        let pace = Pace { time_scale: 3600.0, seed: 0 };
        assert_eq!(pace.after(at(0), Duration::from_secs(7200)), at(2));
        assert_eq!(pace.park_until(at(0), 99), at(1));
    }
}
