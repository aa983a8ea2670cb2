//! The one place in which callbacks of a document wait: a newer one takes it from whoever waits there.

use tokio_util::sync::CancellationToken;

/// At most one waiting callback.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Tells it that its place is taken.
    replaced: CancellationToken,
    /// Whether it, or one whose place it took, was attempted before.
    attempted: bool,
}

impl Queue {
    /// A new callback waits from now on; whether another one lost its place to it.
    pub(crate) fn join(&mut self, replaced: CancellationToken) -> bool {
        let previous = self.waiting.take();
        let attempted = previous.as_ref().is_some_and(|previous| previous.attempted);
        if let Some(previous) = &previous {
            previous.replaced.cancel();
        }
        self.waiting = Some(Waiting { replaced, attempted });
        previous.is_some()
    }

    /// The waiting callback is attempted, or waits no more; whether it was attempted before.
    pub(crate) fn leave(&mut self) -> bool {
        self.waiting.take().is_some_and(|waiting| waiting.attempted)
    }

    /// A failed callback waits again; `false` if a newer one waits already, which then stands for both.
    pub(crate) fn join_again(&mut self, replaced: CancellationToken) -> bool {
        if let Some(newer) = &mut self.waiting {
            newer.attempted = true;
            return false;
        }
        self.waiting = Some(Waiting { replaced, attempted: true });
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::Queue;

    #[test]
    fn a_newer_callback_takes_the_place_of_the_waiting_one_and_counts_as_it() {
        let mut queue = Queue::default();
        let [first, second, third] = [(); 3].map(|()| CancellationToken::new());
        assert!(!queue.join(first.clone()));
        assert!(!queue.leave(), "never attempted");
        assert!(queue.join_again(first.clone()));
        assert!(queue.join(second.clone()));
        assert!(first.is_cancelled() && !second.is_cancelled());
        assert!(queue.leave(), "stands for the attempted one");
        assert!(!queue.join(third), "the one under way does not wait");
        assert!(!queue.join_again(second.clone()), "a newer one waits");
        assert!(!second.is_cancelled());
        assert!(queue.leave());
    }
}
