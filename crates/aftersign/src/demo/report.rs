//! The result of the demo, for people and for machines.

use std::time::Duration;

use aftersign_sandbox::{DeletedBy, EnvelopeRecord, Ledger, Outcome};
use serde_json::json;

use super::DemoArgs;
use super::audit::{Archive, Verdict, is_disposable, is_due};
use super::stage::{Counts, Stage};

/// Everything that is reported.
pub(super) struct Report {
    seed: u64,
    faults: String,
    envelopes: Envelopes,
    ledger: Ledger,
    verdict: Verdict,
    counts: Counts,
    kills: Option<u64>,
    elapsed: Duration,
}

struct Envelopes {
    created: usize,
    completed: usize,
    archived: usize,
    disposed: usize,
    kept: usize,
    declined: usize,
    cancelled: usize,
    expired: usize,
    deleted_elsewhere: usize,
}

impl Report {
    pub(super) fn new(
        args: &DemoArgs,
        ledger: &Ledger,
        archive: &Archive,
        counts: &Counts,
        kills: Option<u64>,
        elapsed: Duration,
    ) -> Self {
        let count = |matches: &dyn Fn(&EnvelopeRecord) -> bool| {
            ledger.envelopes.iter().filter(|envelope| matches(envelope)).count()
        };
        let ended = |outcome| count(&|envelope| envelope.outcome == outcome);
        let deleted_by =
            |who| count(&|envelope| envelope.deleted.as_ref().is_some_and(|deletion| deletion.by == who));
        Self {
            seed: args.seed,
            faults: args.faults.to_string(),
            envelopes: Envelopes {
                created: ledger.envelopes.len(),
                completed: count(&is_due),
                archived: count(&|envelope| is_due(envelope) && archive.missing(envelope) == 0),
                disposed: deleted_by(DeletedBy::Client),
                kept: count(&|envelope| is_due(envelope) && !is_disposable(envelope)),
                declined: ended(Outcome::Declined),
                cancelled: ended(Outcome::Cancelled),
                expired: ended(Outcome::Expired),
                deleted_elsewhere: deleted_by(DeletedBy::Other),
            },
            verdict: archive.judge(ledger),
            ledger: ledger.clone(),
            counts: *counts,
            kills,
            elapsed,
        }
    }

    /// Whether the judge found nothing.
    pub(super) fn is_clean(&self) -> bool {
        let Verdict { lost, duplicates, premature_disposals, strays, delivered, verified, .. } = self.verdict;
        let killed_as_asked = self.kills != Some(0);
        [lost, duplicates, premature_disposals, strays, delivered - verified] == [0; 5] && killed_as_asked
    }

    /// One JSON object on one line.
    pub(super) fn json(&self) -> String {
        let (envelopes, callbacks, verdict) = (&self.envelopes, &self.ledger.callbacks, &self.verdict);
        json!({
            "seed": self.seed,
            "faults": self.faults,
            "envelopes": {
                "created": envelopes.created,
                "completed": envelopes.completed,
                "archived": envelopes.archived,
                "disposed": envelopes.disposed,
                "kept": envelopes.kept,
                "declined": envelopes.declined,
                "cancelled": envelopes.cancelled,
                "expired": envelopes.expired,
                "deleted_elsewhere": envelopes.deleted_elsewhere,
            },
            "callbacks": {
                "sent": callbacks.sent,
                "acknowledged": callbacks.acknowledged,
                "repeats": callbacks.repeats,
                "refused": callbacks.refused,
                "withheld": callbacks.withheld,
            },
            "gaps_found_by_sweep": self.counts.gaps,
            "artifacts": {
                "delivered": verdict.delivered,
                "verified": verdict.verified,
                "bytes": verdict.bytes,
            },
            "lost": verdict.lost,
            "duplicates": verdict.duplicates,
            "premature_disposals": verdict.premature_disposals,
            "strays": verdict.strays,
            "dead_letters": self.counts.dead_letters,
            "kills": self.kills.unwrap_or(0),
            "seconds": (self.elapsed.as_secs_f64() * 10.0).round() / 10.0,
        })
        .to_string()
    }

    /// The summary for people.
    pub(super) fn text(&self, stage: &Stage, settled: bool) -> String {
        let (e, c, v) = (&self.envelopes, &self.ledger.callbacks, &self.verdict);
        let faults: u64 = self.ledger.faults.values().sum();
        let mut text = format!(
            "{created} envelopes: {completed} completed, {declined} declined, {cancelled} cancelled, {expired} \
             expired, {elsewhere} deleted by somebody else first.\n\
             {sent} callbacks: {acknowledged} acknowledged, {repeats} repeats, {withheld} never sent; {faults} \
             faults were played.\n\
             {gaps} envelopes were found by a sweep, {archived} archived, {disposed} removed at the platform \
             afterwards, {kept} kept there by their rules.\n\
             {delivered} artifacts ({mib:.1} MiB) lie in the archive, {verified} of them listed with the right \
             digest.\n\n  lost {lost}   duplicates {duplicates}   premature disposals {premature}   strays {strays}   dead \
             letters {dead}   in {seconds:.1} s\n",
            created = e.created,
            completed = e.completed,
            declined = e.declined,
            cancelled = e.cancelled,
            expired = e.expired,
            elsewhere = e.deleted_elsewhere,
            sent = c.sent,
            acknowledged = c.acknowledged,
            repeats = c.repeats,
            withheld = c.withheld,
            gaps = self.counts.gaps,
            archived = e.archived,
            disposed = e.disposed,
            kept = e.kept,
            delivered = v.delivered,
            verified = v.verified,
            mib = mebibytes(v.bytes),
            lost = v.lost,
            duplicates = v.duplicates,
            premature = v.premature_disposals,
            strays = v.strays,
            dead = self.counts.dead_letters,
            seconds = self.elapsed.as_secs_f64(),
        );
        if !settled {
            text.push_str("\nThe world did not come to rest: it was interrupted or something hangs.\n");
        }
        text.push_str(&format!(
            "\nThe archive:   {}\nThe config:    {}\nThe ledger:    {}\nThe log:       {}\nThe metrics:   {}/metrics\n\
             Look around:   aftersign --config {} envelopes list\n",
            stage.archive().display(),
            stage.config().display(),
            stage.ledger().display(),
            stage.log().display(),
            stage.admin_url(),
            stage.config().display(),
        ));
        if self.counts.open_tasks > 0 {
            text.push_str(&format!(
                "Tasks for a person: {}; aftersign --config {} tasks list\n",
                self.counts.open_tasks,
                stage.config().display()
            ));
        }
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
