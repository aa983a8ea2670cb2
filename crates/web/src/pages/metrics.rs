//! What the consent pages count.
//!
//! Labels come from closed sets, never from a request: whoever guesses account names must not be able to grow the metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Labels {
    page: &'static str,
    outcome: &'static str,
}

/// The pages' counter.
#[derive(Default)]
pub(super) struct PagesMetrics {
    pages: Family<Labels, Counter>,
}

impl PagesMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Requests to the consent pages by page and by what the browser was answered";
        registry.register("aftersign_consent_pages", help, self.pages.clone());
    }

    pub(super) fn count(&self, page: &'static str, outcome: &'static str) {
        self.pages.get_or_create(&Labels { page, outcome }).inc();
    }
}
