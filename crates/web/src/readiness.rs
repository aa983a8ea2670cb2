//! Whether a callback could be noted durably now.

use std::sync::Arc;

use aftersign_store::{Inbox, StoreError};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::limits::{READINESS_CACHED, STORE_TIMEOUT};

/// Why callbacks cannot be noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unready {
    /// The store's queue is full.
    Overloaded,
    /// The disk or the database fails.
    Unavailable,
    /// The store does not answer.
    Timeout,
}

impl Unready {
    /// The word that `/readyz` answers with.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
        }
    }
}

/// Probes the inbox, at most once in [`READINESS_CACHED`] however many ask.
pub(crate) struct Readiness {
    inbox: Arc<dyn Inbox>,
    last: Mutex<Option<(Instant, Result<(), Unready>)>>,
}

impl Readiness {
    pub(crate) fn new(inbox: Arc<dyn Inbox>) -> Self {
        Self { inbox, last: Mutex::new(None) }
    }

    /// The last probe's result, or a new one's. Those who ask meanwhile wait for the same probe.
    pub(crate) async fn now(&self) -> Result<(), Unready> {
        let mut last = self.last.lock().await;
        if let Some((at, result)) = *last
            && at.elapsed() < READINESS_CACHED
        {
            return result;
        }
        let result = match timeout(STORE_TIMEOUT, self.inbox.probe()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                let source = std::error::Error::source(&failure).map(ToString::to_string);
                warn!(error = %failure, source, "not ready: callbacks cannot be noted");
                Err(if matches!(failure, StoreError::Overloaded { .. }) {
                    Unready::Overloaded
                } else {
                    Unready::Unavailable
                })
            }
            Err(_) => {
                warn!("not ready: the store does not answer");
                Err(Unready::Timeout)
            }
        };
        *last = Some((Instant::now(), result));
        result
    }
}
