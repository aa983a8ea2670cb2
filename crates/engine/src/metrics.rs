//! What the engine counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Labels of a step's counter.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct StepLabels {
    pub(crate) account: String,
    pub(crate) step: &'static str,
    pub(crate) outcome: &'static str,
}

/// Labels of a sweep's counters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct AccountLabels {
    pub(crate) account: String,
}

/// Labels of the counter of looks at a registered callback.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct WatchLabels {
    pub(crate) account: String,
    pub(crate) verdict: &'static str,
}

/// The engine's counters.
#[derive(Clone, Default)]
pub struct EngineMetrics {
    pub(crate) steps: Family<StepLabels, Counter>,
    pub(crate) downloaded_bytes: Family<AccountLabels, Counter>,
    pub(crate) sweeps: Family<AccountLabels, Counter>,
    pub(crate) swept_differences: Family<AccountLabels, Counter>,
    pub(crate) senders_refused: Family<AccountLabels, Counter>,
    pub(crate) callback_looks: Family<WatchLabels, Counter>,
}

impl EngineMetrics {
    /// Counters registered in `registry`.
    pub fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "aftersign_transfer_steps",
            "Steps of transfers by outcome (ok, still_refused, or the kind of failure)",
            metrics.steps.clone(),
        );
        registry.register(
            "aftersign_downloaded_bytes",
            "Bytes of artifacts downloaded from platforms",
            metrics.downloaded_bytes.clone(),
        );
        registry.register("aftersign_sweeps", "Sweeps that ended well", metrics.sweeps.clone());
        registry.register(
            "aftersign_swept_differences",
            "Envelopes that sweeps found otherwise than known",
            metrics.swept_differences.clone(),
        );
        registry.register(
            "aftersign_sweep_senders_refused",
            "Senders whose envelopes a sweep could not list because their access was refused",
            metrics.senders_refused.clone(),
        );
        registry.register(
            "aftersign_callback_registration_looks",
            "Looks at the registered callback by what was found (ours, cleared, changed, wrong_secret, events_missing, failed)",
            metrics.callback_looks.clone(),
        );
        metrics
    }
}
