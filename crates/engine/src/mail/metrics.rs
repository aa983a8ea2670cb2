//! What is counted of e-mail.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The counters of e-mail.
#[derive(Clone, Default)]
pub struct MailMetrics {
    pub(super) sent: Counter,
    pub(super) failed: Counter,
    pub(super) dropped: Counter,
}

impl MailMetrics {
    /// Counters registered in `registry`.
    pub fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("aftersign_mails_sent", "Mails that the mail server took", metrics.sent.clone());
        registry.register(
            "aftersign_mail_failures",
            "Tries to send a mail that failed",
            metrics.failed.clone(),
        );
        registry.register(
            "aftersign_mails_dropped",
            "Mails given up: refused for good, or tried too often; each is a task",
            metrics.dropped.clone(),
        );
        metrics
    }
}
