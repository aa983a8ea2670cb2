//! What the front door counts.
//!
//! Labels come from the config and from closed sets, never from a request: whoever guesses account names must
//! not be able to grow the metrics.

use aftersign_core::callback::Refusal;
use aftersign_core::ids::AccountId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the acknowledgement's time, in seconds: half a millisecond is a quiet disk, a minute is our
/// own limit.
const ACKNOWLEDGEMENT_SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CallbackLabels {
    account: String,
    platform: &'static str,
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct AccountLabels {
    account: String,
    platform: &'static str,
}

/// The front door's metrics; cheap to clone, all clones count together.
#[derive(Clone, Debug)]
pub struct IntakeMetrics {
    callbacks: Family<CallbackLabels, Counter>,
    acknowledgement: Family<AccountLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Gauge,
}

impl IntakeMetrics {
    /// Registers `aftersign_callbacks_total`, `aftersign_acknowledgement_seconds`, `aftersign_intake_in_flight`
    /// and `aftersign_intake_connections`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            callbacks: Family::default(),
            acknowledgement: Family::new_with_constructor(|| Histogram::new(ACKNOWLEDGEMENT_SECONDS)),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
        };
        registry.register(
            "aftersign_callbacks",
            "Requests to callback URLs by what became of them",
            metrics.callbacks.clone(),
        );
        registry.register_with_unit(
            "aftersign_acknowledgement",
            "Time from a request's head to its acknowledgement",
            Unit::Seconds,
            metrics.acknowledgement.clone(),
        );
        registry.register(
            "aftersign_intake_in_flight",
            "Requests that the front door works on now",
            metrics.in_flight.clone(),
        );
        registry.register(
            "aftersign_intake_connections",
            "Open connections to the front door",
            metrics.connections.clone(),
        );
        metrics
    }

    /// The counters of one account, looked up once.
    pub(crate) fn of_account(&self, account: &AccountId, platform: &'static str) -> AccountMetrics {
        let labels = AccountLabels { account: account.as_str().to_owned(), platform };
        let counter = |result, reason| {
            let AccountLabels { account, platform } = labels.clone();
            self.callbacks.get_or_create_owned(&CallbackLabels { account, platform, result, reason })
        };
        AccountMetrics {
            noted: counter("noted", ""),
            repeat: counter("repeat", ""),
            quarantined: counter("quarantined", ""),
            not_found: counter("not_found", ""),
            acknowledgement: self.acknowledgement.get_or_create_owned(&labels),
            labels,
            callbacks: self.callbacks.clone(),
        }
    }

    /// The counter of requests that name no account of ours.
    pub(crate) fn of_nobody(&self) -> Counter {
        let labels = CallbackLabels { account: String::new(), platform: "", result: "not_found", reason: "" };
        self.callbacks.get_or_create_owned(&labels)
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(crate) fn request(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    /// Counts a connection as open until the guard is dropped.
    pub(crate) fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }
}

/// One more on a gauge, for as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The counters of one account: those of the hot path at hand, the rare ones looked up.
pub(crate) struct AccountMetrics {
    pub(crate) noted: Counter,
    pub(crate) repeat: Counter,
    pub(crate) quarantined: Counter,
    pub(crate) not_found: Counter,
    pub(crate) acknowledgement: Histogram,
    labels: AccountLabels,
    callbacks: Family<CallbackLabels, Counter>,
}

impl AccountMetrics {
    /// Counts what was not authentic.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.rare("refused", refusal.as_str());
    }

    /// Counts what is not on the hot path.
    pub(crate) fn rare(&self, result: &'static str, reason: &'static str) {
        let AccountLabels { account, platform } = self.labels.clone();
        self.callbacks.get_or_create(&CallbackLabels { account, platform, result, reason }).inc();
    }
}
