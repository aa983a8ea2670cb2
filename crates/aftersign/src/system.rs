//! The operating system: its clock, its randomness, and what it may keep of our memory.

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

/// Keeps opened secrets out of core dumps, and other users' debuggers out of this process. The limit alone does not hold
/// where the kernel hands dumps to a program.
///
/// # Errors
/// What the operating system says; the process works all the same.
pub(crate) fn leave_no_dumps() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
