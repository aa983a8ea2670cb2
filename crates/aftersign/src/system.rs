//! The real clock and the real randomness. Everything else takes them as arguments.

use aftersign_core::Timestamp;
use aftersign_core::seams::{Clock, Entropy};

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The operating system's randomness, by way of the cryptographic library.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        // Going on with predictable secrets would be worse than stopping.
        aws_lc_rs::rand::fill(buffer).expect("the operating system gives random bytes");
    }
}
