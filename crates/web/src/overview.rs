//! The store's counts as gauges, read when somebody scrapes.
//!
//! The store keeps these counts, so a scrape reads a few rows whatever is stored. They are gauges and not
//! counters because they outlive the process.

use std::sync::atomic::AtomicU64;

use aftersign_store::Overview;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Count = Gauge<u64, AtomicU64>;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct EnvelopeLabels {
    account: String,
    status: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TransferLabels {
    account: String,
    phase: &'static str,
}

/// A registry with the counts; without them, if the store did not give them, but for the sign of that.
pub(crate) fn registry(overview: Option<&Overview>) -> Registry {
    let mut registry = Registry::default();
    let readable = Count::default();
    readable.set(u64::from(overview.is_some()));
    registry.register(
        "aftersign_store_readable",
        "Whether the store gave the counts of this scrape",
        readable,
    );
    let Some(overview) = overview else { return registry };

    let singles = [
        (
            "aftersign_callbacks_kept",
            "Distinct callbacks kept, quarantined ones included",
            overview.callbacks,
        ),
        ("aftersign_callbacks_quarantined", "Callbacks kept that were not understood", overview.quarantined),
        ("aftersign_callbacks_repeats", "Repeats of callbacks kept", overview.repeats),
        ("aftersign_tasks_open", "Open tasks, each waiting for a person", overview.open_tasks),
        ("aftersign_gaps", "Ends that sweeps found and no callback announced", overview.gaps),
    ];
    for (name, help, value) in singles {
        let gauge = Count::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }

    let envelopes = Family::<EnvelopeLabels, Count>::default();
    for (account, status, count) in &overview.envelopes {
        let labels = EnvelopeLabels { account: account.as_str().to_owned(), status: status.as_str() };
        envelopes.get_or_create(&labels).set(*count);
    }
    registry.register("aftersign_envelopes", "Envelopes by account and status", envelopes);
    let transfers = Family::<TransferLabels, Count>::default();
    for (account, phase, count) in &overview.transfers {
        let labels = TransferLabels { account: account.as_str().to_owned(), phase: phase.as_str() };
        transfers.get_or_create(&labels).set(*count);
    }
    registry.register("aftersign_transfers", "Transfers by account and phase", transfers);
    registry
}
