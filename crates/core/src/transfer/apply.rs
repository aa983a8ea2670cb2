//! How a transfer takes the outcome of a step in.

use jiff::Timestamp;

use super::{Change, Delivery, Item, Outcome, ParkReason, Parked, Phase, Staged, Transfer};
use crate::artifact::{ArtifactKind, ArtifactRef, Content};
use crate::backoff::Pace;
use crate::digest::Digest;
use crate::envelope::{Envelope, EnvelopeStatus, Extension};
use crate::error::{Error, ErrorKind, NotBefore, Remedy};
use crate::grant::Holder;
use crate::ids::DestinationId;
use crate::journal::Action;
use crate::limits::{
    ACCESS_PROBE_EVERY, ARTIFACTS_MAX, EXTENSION_FIRST_LOOK, EXTENSION_GIVEN_UP, EXTENSION_LATE_LOOK_EVERY,
    EXTENSION_LOOK_EVERY, EXTENSION_OVERDUE, NOT_FOUND_TRIES_MAX, PARK_LONGEST, RETRY_ATTEMPTS_MAX,
    RETRY_ATTEMPTS_STORAGE_MAX, VERIFICATION_FAILURES_MAX,
};
use crate::platform::Disposal;
use crate::rule::{DisposePolicy, Plan};
use crate::seams::{Receipt, Verification};
use crate::task::{TaskDraft, TaskKind};

/// File name of our record of an envelope; no artifact may take it.
pub(super) const MANIFEST_FILE_NAME: &str = "metadata.json";

impl Transfer {
    /// Takes the outcome of the step that [`next`](Transfer::next) gave, and says what to record with it.
    pub fn apply(&mut self, outcome: Outcome, now: Timestamp, pace: &Pace) -> Change {
        let mut change = Change::default();
        if let Outcome::Failed(error) = outcome {
            self.fail(&error, now, pace, &mut change);
            return change;
        }
        if let Outcome::StillRefused(holder) = outcome {
            if holder.sender().is_some() {
                // Whoever found out may not have carried a transfer.
                change.open_tasks.push(TaskDraft::access_needed(&self.account, &holder, String::new()));
            }
            self.park_for_access(holder, now, pace);
            return change;
        }
        let from_platform = !matches!(
            outcome,
            Outcome::Delivered(..)
                | Outcome::Verified(..)
                | Outcome::Composed(..)
                | Outcome::StagedFileGone(_)
        );
        if from_platform && self.parked.is_some_and(|parked| parked.reason == ParkReason::AccessNeeded) {
            self.parked = None;
            let holder = std::mem::take(&mut self.waits_for);
            change.close_tasks.push(TaskDraft::access_key(&self.account, &holder));
            change.access_works = Some(holder);
        }
        self.failures = 0;
        self.due_at = Some(now);
        match outcome {
            Outcome::Found(envelope, plan) => self.found(*envelope, plan, now, pace, &mut change),
            Outcome::Gone(announced) => self.deleted(announced, now, &mut change),
            Outcome::NotFound(announced) => self.not_found(announced, now, pace, &mut change),
            Outcome::Listed(artifacts) => self.listed(artifacts, now, pace, &mut change),
            Outcome::Staged(index, digest, bytes, began) => self.staged(index, digest, bytes, began),
            Outcome::StagedFileGone(index) => self.staged_file_gone(index, now, pace, &mut change),
            Outcome::Delivered(index, destination, receipt) => {
                self.delivered(index, &destination, receipt, now, pace, &mut change);
            }
            Outcome::Verified(index, destination, verification) => {
                self.verified(index, &destination, &verification, now, pace, &mut change);
            }
            Outcome::Composed(digest, bytes) => self.composed(digest, bytes, now),
            Outcome::Disposed(disposal) => self.disposed(disposal, now, &mut change),
            Outcome::Failed(_) | Outcome::StillRefused(_) => {}
        }
        self.finish_carry(now, pace, &mut change);
        change
    }

    fn found(
        &mut self,
        envelope: Envelope,
        plan: Option<Plan>,
        now: Timestamp,
        pace: &Pace,
        change: &mut Change,
    ) {
        let status = envelope.status;
        let changed = self.envelope.as_ref().is_none_or(|known| known.status != status);
        if changed {
            change.journal.push((Action::StatusConfirmed, status.as_str().into()));
        }
        if self.envelope.is_none() {
            change.close_tasks.push(self.task_key(TaskKind::NotVisible));
        }
        change.answer = Some(envelope.clone());
        self.envelope = Some(envelope);
        self.confirmed_at = Some(now);
        self.not_found = 0;
        self.disposal_asked_at = None;
        self.refresh_wanted |= self.is_outdated();
        if let Some(kept) = &mut self.plan {
            // Where its files go is settled; when it may be removed is not.
            kept.dispose = plan.as_ref().map_or(DisposePolicy::Never, |plan| plan.dispose);
        }
        if self.archived_at.is_some() && !changed && !self.refresh_wanted && self.is_all_verified() {
            return self.await_disposal(now, pace, change);
        }
        if changed {
            // What was begun or archived of an earlier form (expired, then restarted) is not this one.
            self.refresh_wanted |= !self.items.is_empty();
            self.archived_at = None;
            self.plan = None;
        }
        if !status.is_final() {
            self.not_final(now, pace);
        } else if let Some(plan) = self.plan.take().or(plan) {
            self.parked = None;
            self.plan = Some(plan);
            self.phase = Phase::List;
        } else {
            self.close(format!("no rule selects a {} envelope", status.as_str()));
        }
    }

    /// Everything is archived: it is looked at again when its seal may be extended, and removed when the plan says so.
    fn await_disposal(&mut self, now: Timestamp, pace: &Pace, change: &mut Change) {
        self.phase = Phase::Archived;
        self.parked = None;
        let delay = self.plan.as_ref().and_then(|plan| plan.dispose.delay());
        let archived_at = self.archived_at.unwrap_or(now);
        let dispose_at = delay.map(|delay| pace.after(archived_at, delay).max(now));
        self.dispose_at = dispose_at.filter(|_| !self.awaits_extension());
        change.close_tasks.push(self.task_key(TaskKind::DeadLetter));
        if !self.awaits_extension() {
            change.close_tasks.push(self.task_key(TaskKind::ExtensionOverdue));
        }
        let look_at = self.extension_look(now, pace, change);
        self.due_at = match (self.dispose_at, look_at) {
            (Some(dispose), Some(look)) => Some(dispose.min(look)),
            (dispose, look) => dispose.or(look),
        };
    }

    /// When to look whether the seal was extended; `None` if nothing is to come. Callbacks and sweeps tell of it; these
    /// looks are for what they miss. Where a removal waits for it, nothing is removed however long it takes.
    fn extension_look(&mut self, now: Timestamp, pace: &Pace, change: &mut Change) -> Option<Timestamp> {
        let extension = self.envelope.as_ref().map(|envelope| envelope.extension)?;
        if !extension.is_to_come() {
            return None;
        }
        let archived_at = self.archived_at.unwrap_or(now);
        let ended_at = self.envelope.as_ref().and_then(|envelope| envelope.completed_at);
        let since = ended_at.map_or(archived_at, |ended| ended.min(archived_at));
        let first = pace.after(since, EXTENSION_FIRST_LOOK);
        if now < first {
            // What could not be read, or was archived before the platform showed a revision, may have come already.
            let is_uncertain = extension == Extension::Unknown || self.archived_revision.is_none();
            let next = pace.after(now, EXTENSION_LOOK_EVERY);
            return Some(if is_uncertain { next.min(first) } else { first });
        }
        if now < pace.after(since, EXTENSION_OVERDUE) {
            return Some(pace.after(now, EXTENSION_LOOK_EVERY));
        }
        if !self.awaits_extension() {
            let given_up = now >= pace.after(since, EXTENSION_GIVEN_UP);
            return (!given_up).then(|| pace.after(now, EXTENSION_LATE_LOOK_EVERY));
        }
        if !std::mem::replace(&mut self.extension_overdue_told, true) {
            change.open_tasks.push(TaskDraft::for_envelope(
                TaskKind::ExtensionOverdue,
                &self.account,
                &self.envelope_id,
                "The envelope is archived and stays at the platform: its seal was not extended within 45 days, and \
                 removed now it could never be verified independently of the platform."
                    .into(),
                "Ask the platform whether the seal of this document will be extended. If it will not, remove the \
                 document by hand, or give the account a rule with `dispose = \"after-days:N\"`.",
            ));
        }
        Some(pace.after(now, EXTENSION_LATE_LOOK_EVERY))
    }

    fn task_key(&self, kind: TaskKind) -> String {
        TaskDraft::envelope_key(kind, &self.account, &self.envelope_id)
    }

    /// Not final: early callbacks precede the status, so look again for a while if one announced an end.
    fn not_final(&mut self, now: Timestamp, pace: &Pace) {
        self.not_found = 0;
        let announced = self.final_announced_at.is_some_and(|at| pace.after(at, PARK_LONGEST) > now);
        if announced {
            self.phase = Phase::Ask;
            self.park(ParkReason::NotFinalYet, now, pace);
        } else {
            self.phase = Phase::Watch;
            self.parked = None;
            self.due_at = None;
            self.final_announced_at = None;
        }
    }

    fn park(&mut self, reason: ParkReason, now: Timestamp, pace: &Pace) {
        let before = self.parked.filter(|parked| parked.reason == reason);
        let since = before.map_or(now, |parked| parked.since);
        let looks = before.map_or(0, |parked| parked.looks) + 1;
        self.parked = Some(Parked { reason, since, looks });
        self.due_at = Some(match reason {
            ParkReason::AccessNeeded => pace.after(now, ACCESS_PROBE_EVERY),
            ParkReason::NotFinalYet | ParkReason::NotReadyYet => pace.park_until(now, looks),
        });
    }

    fn park_for_access(&mut self, holder: Holder, now: Timestamp, pace: &Pace) {
        self.waits_for = holder;
        self.park(ParkReason::AccessNeeded, now, pace);
    }

    /// Some platforms show a cancelled envelope as deleted: what ended without all signatures and is wanted by
    /// no rule leaves nothing to archive.
    fn deleted(&mut self, announced: EnvelopeStatus, now: Timestamp, change: &mut Change) {
        use EnvelopeStatus::{Cancelled, Declined, Draft, Expired, Failed};
        change.gone = true;
        let confirmed = self.envelope.as_ref().map(|envelope| envelope.status);
        let unsigned = |status| matches!(status, Cancelled | Declined | Draft | Expired | Failed);
        let harmless = self.plan.is_none() && (confirmed.is_some_and(unsigned) || unsigned(announced));
        if self.archived_at.is_some() {
            let ours = self.disposal_asked_at.is_some();
            let owed = self.is_owed_something();
            self.end_disposed(if ours { "removed" } else { "removed by somebody else" }, now, change);
            if owed && !ours {
                self.newer_files_lost(change);
            }
        } else if harmless {
            change.close_tasks.push(self.task_key(TaskKind::DeletedBeforeArchived));
            self.close("deleted at the platform; there was nothing to archive".into());
        } else {
            self.lost(change);
        }
    }

    /// Its first form is archived; what the platform had to add to it is gone.
    fn newer_files_lost(&self, change: &mut Change) {
        let what = "The envelope was deleted at the platform after it was archived and before its newer files were \
                    (an extended seal, or what was added later): the archive holds the earlier ones.";
        change.journal.push((Action::EnvelopeLost, "the newer files, which were not archived".into()));
        change.open_tasks.push(TaskDraft::for_envelope(
            TaskKind::DeletedBeforeArchived,
            &self.account,
            &self.envelope_id,
            what.into(),
            "Find out who or which retention job deletes envelopes at the platform, and let it wait longer; ask the \
             signers for their copies if the newer files matter.",
        ));
    }

    fn lost(&mut self, change: &mut Change) {
        self.phase = Phase::Lost;
        self.due_at = None;
        self.parked = None;
        self.note = Some("deleted at the platform before it was archived".into());
        change.gone = true;
        change.journal.push((Action::EnvelopeLost, "deleted at the platform before it was archived".into()));
        change.open_tasks.push(TaskDraft::for_envelope(
            TaskKind::DeletedBeforeArchived,
            &self.account,
            &self.envelope_id,
            "The envelope was deleted at the platform before its documents were archived.".into(),
            "Ask the sender and the signers for their copies; find out who or which retention job deletes \
             envelopes at the platform, and let it wait longer.",
        ));
    }

    fn not_found(&mut self, announced: EnvelopeStatus, now: Timestamp, pace: &Pace, change: &mut Change) {
        self.not_found += 1;
        if self.archived_at.is_some() && self.disposal_asked_at.is_some() {
            change.gone = true;
            self.end_disposed("removed", now, change);
        } else if self.not_found < NOT_FOUND_TRIES_MAX {
            self.due_at = Some(pace.park_until(now, self.not_found));
        } else if self.envelope.is_some() || self.deletion_announced || announced == EnvelopeStatus::Cancelled
        {
            self.deleted(announced, now, change);
        } else {
            let what = "Nothing of that id is visible with this account's access: it never existed, was \
                        deleted, or belongs to a sender whose access we do not have.";
            self.phase = Phase::DeadLetter;
            self.due_at = None;
            self.note = Some(what.into());
            change.journal.push((Action::DeadLettered, "not visible with our access".into()));
            change.open_tasks.push(TaskDraft::for_envelope(
                TaskKind::NotVisible,
                &self.account,
                &self.envelope_id,
                what.into(),
                "Look the envelope up at the platform; give the account an access that sees it and redrive \
                 the transfer, or resolve it with a reason.",
            ));
        }
    }

    fn listed(&mut self, artifacts: Vec<ArtifactRef>, now: Timestamp, pace: &Pace, change: &mut Change) {
        let count = artifacts.len();
        if count == 0 || count > ARTIFACTS_MAX {
            let error = if count == 0 {
                Error::new(ErrorKind::NotReady, Remedy::Park, "list artifacts", "the platform lists none")
            } else {
                Error::new(
                    ErrorKind::Unintelligible,
                    Remedy::AskPerson,
                    "list artifacts",
                    format!("the platform lists {count} artifacts; at most {ARTIFACTS_MAX} are believed"),
                )
            };
            return self.fail(&error, now, pace, change);
        }
        self.parked = None;
        if std::mem::take(&mut self.refresh_wanted) {
            for item in &mut self.items {
                item.staged = None;
                item.deliveries.clear();
            }
        }
        self.listed_at.get_or_insert(now);
        self.forget_unlisted(&artifacts);
        let known = std::mem::take(&mut self.items);
        let mut taken = vec![MANIFEST_FILE_NAME.to_string()];
        taken.extend(known.iter().map(|item| item.file_name.clone()));
        let (mut known, manifest): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|item| item.artifact.kind != ArtifactKind::Manifest);
        let mut unchanged = known.iter().all(Item::is_verified);
        for artifact in artifacts {
            if known.iter().any(|item| item.artifact.id == artifact.id) {
                continue;
            }
            unchanged = false;
            let file_name = artifact.file_name(&taken);
            taken.push(file_name.clone());
            known.push(Item { artifact, file_name, staged: None, deliveries: Vec::new() });
        }
        // A manifest speaks of all the others: it is written anew as soon as one of them moves.
        self.items = known;
        if unchanged {
            self.items.extend(manifest);
        }
        self.complete_deliveries();
        self.phase = Phase::Carry;
    }

    /// What the platform lists no more and no destination has cannot be fetched any more. The others move up,
    /// away from their place in staging, so what is not delivered yet is fetched anew.
    fn forget_unlisted(&mut self, listed: &[ArtifactRef]) {
        let before = self.items.len();
        self.items.retain(|item| {
            item.artifact.kind == ArtifactKind::Manifest
                || listed.iter().any(|artifact| artifact.id == item.artifact.id)
                || item.deliveries.iter().any(|delivery| delivery.receipt.is_some())
        });
        if self.items.len() < before {
            for item in self.items.iter_mut().filter(|item| !item.is_verified()) {
                item.staged = None;
                item.deliveries.clear();
            }
        }
    }

    /// Every item owes a delivery to every destination of the plan.
    fn complete_deliveries(&mut self) {
        let destinations = self.plan.as_ref().map_or(&[][..], |plan| &plan.deliver_to);
        for item in &mut self.items {
            for destination in destinations {
                if !item.deliveries.iter().any(|delivery| delivery.destination == *destination) {
                    item.deliveries.push(Delivery {
                        destination: destination.clone(),
                        receipt: None,
                        verified_at: None,
                    });
                }
            }
        }
    }

    fn staged(&mut self, index: usize, digest: Digest, bytes: u64, at: Timestamp) {
        self.parked = None;
        self.not_found = 0;
        if let Some(item) = self.items.get_mut(index) {
            item.staged = Some(Staged { digest, bytes, at });
        }
    }

    /// Once is a crash or a tidy operator; again and again is a staging disk that cannot be trusted.
    fn staged_file_gone(&mut self, index: usize, now: Timestamp, pace: &Pace, change: &mut Change) {
        self.verification_failures += 1;
        if self.verification_failures >= VERIFICATION_FAILURES_MAX {
            let what = "the staging folder does not keep what is written to it";
            return self.dead_letter(what.into(), what.into(), change);
        }
        if self.verification_failures > 1 {
            self.due_at = Some(pace.retry_at(now, self.verification_failures, None));
        }
        if let Some(item) = self.items.get_mut(index) {
            item.staged = None;
            item.deliveries.clear();
        }
        self.complete_deliveries();
    }

    fn delivered(
        &mut self,
        index: usize,
        destination: &DestinationId,
        receipt: Receipt,
        now: Timestamp,
        pace: &Pace,
        change: &mut Change,
    ) {
        let expected = self.items.get(index).and_then(|item| item.staged);
        if expected.is_none_or(|staged| staged.digest != receipt.digest || staged.bytes != receipt.bytes) {
            return self.wrong_bytes(
                index,
                destination,
                "took other bytes than it was given",
                now,
                pace,
                change,
            );
        }
        if let Some(delivery) = self.delivery_mut(index, destination) {
            delivery.receipt = Some(receipt);
            delivery.verified_at = None;
        }
    }

    fn verified(
        &mut self,
        index: usize,
        destination: &DestinationId,
        verification: &Verification,
        now: Timestamp,
        pace: &Pace,
        change: &mut Change,
    ) {
        let staged = self.items.get(index).and_then(|item| item.staged);
        let right = match (verification, staged) {
            (Verification::Present { digest, bytes }, Some(staged)) => {
                *digest == staged.digest && *bytes == staged.bytes
            }
            _ => false,
        };
        if !right {
            let what = match verification {
                Verification::Missing => "has lost the file",
                Verification::Present { .. } => "holds other bytes than it was given",
            };
            return self.wrong_bytes(index, destination, what, now, pace, change);
        }
        let file_name = self.items[index].file_name.clone();
        if let Some(delivery) = self.delivery_mut(index, destination) {
            let first = delivery.verified_at.is_none();
            delivery.verified_at = Some(now);
            if let (true, Some(receipt)) = (first, &delivery.receipt) {
                let detail =
                    format!("{file_name} sha256:{} {destination}:{}", receipt.digest, receipt.location);
                change.journal.push((Action::ArtifactVerified, detail));
            }
        }
    }

    /// The destination does not hold what it should: deliver again, and ask a person when that does not help.
    fn wrong_bytes(
        &mut self,
        index: usize,
        destination: &DestinationId,
        what: &str,
        now: Timestamp,
        pace: &Pace,
        change: &mut Change,
    ) {
        self.verification_failures += 1;
        if let Some(delivery) = self.delivery_mut(index, destination) {
            delivery.receipt = None;
            delivery.verified_at = None;
        }
        self.phase = Phase::Carry;
        self.archived_at = None;
        let file_name = self.items.get(index).map_or("?", |item| &item.file_name);
        let note = format!("verify: destination {destination} {what} ({file_name})");
        if self.verification_failures >= VERIFICATION_FAILURES_MAX {
            return self.dead_letter(note.clone(), note, change);
        }
        self.note = Some(note);
        self.due_at = Some(pace.retry_at(now, self.verification_failures, None));
    }

    fn composed(&mut self, digest: Digest, bytes: u64, at: Timestamp) {
        self.items.retain(|item| item.artifact.kind != ArtifactKind::Manifest);
        self.items.push(Item {
            artifact: ArtifactRef {
                id: "manifest".into(),
                kind: ArtifactKind::Manifest,
                name: MANIFEST_FILE_NAME.into(),
                content: Content::Json,
            },
            file_name: MANIFEST_FILE_NAME.into(),
            staged: Some(Staged { digest, bytes, at }),
            deliveries: Vec::new(),
        });
        self.complete_deliveries();
    }

    /// After the last verification, the manifest's included, everything is archived.
    fn finish_carry(&mut self, now: Timestamp, pace: &Pace, change: &mut Change) {
        if self.phase != Phase::Carry || !self.is_all_verified() {
            return;
        }
        self.note = None;
        self.verification_failures = 0;
        self.files_missing = 0;
        let first = self.archived_at.is_none();
        let outdated = self.is_outdated();
        self.archived_at.get_or_insert(now);
        self.archived_revision = self.envelope.as_ref().and_then(|envelope| envelope.revision.clone());
        if outdated {
            let detail = "the platform's newer files archived and verified as a new version";
            change.journal.push((Action::EnvelopeArchived, detail.into()));
        }
        if first {
            let files = self.items.len();
            change.journal.push((Action::EnvelopeArchived, format!("{files} files archived and verified")));
            change.close_tasks.push(self.task_key(TaskKind::DeletedBeforeArchived));
        }
        self.await_disposal(now, pace, change);
        if self.refresh_wanted {
            self.phase = Phase::Ask;
            self.due_at = Some(now);
        }
    }

    fn disposed(&mut self, disposal: Disposal, now: Timestamp, change: &mut Change) {
        match disposal {
            Disposal::Removed => self.end_disposed("removed", now, change),
            Disposal::AlreadyGone => self.end_disposed("was gone already", now, change),
            Disposal::Kept(reason) => {
                self.due_at = None;
                self.note = Some(format!("kept at the platform: {reason}"));
                change.open_tasks.push(TaskDraft::for_envelope(
                    TaskKind::KeptAtPlatform,
                    &self.account,
                    &self.envelope_id,
                    format!("The envelope is archived, and the platform did not remove it: {reason}"),
                    "Remove it by hand at the platform, or give the account an access that may remove it \
                     and redrive the transfer.",
                ));
                return;
            }
        }
        change.gone = true;
    }

    fn end_disposed(&mut self, how: &str, now: Timestamp, change: &mut Change) {
        self.phase = Phase::Disposed;
        self.due_at = None;
        self.parked = None;
        self.note = None;
        self.disposed_at = Some(now);
        change.journal.push((Action::EnvelopeDisposed, how.into()));
        let settled = [TaskKind::KeptAtPlatform, TaskKind::ExtensionOverdue, TaskKind::DeadLetter];
        change.close_tasks.extend(settled.map(|kind| self.task_key(kind)));
    }

    fn close(&mut self, note: String) {
        self.phase = Phase::Closed;
        self.due_at = None;
        self.failures = 0;
        self.parked = None;
        self.note = Some(note);
    }

    fn fail(&mut self, error: &Error, now: Timestamp, pace: &Pace, change: &mut Change) {
        let what = error.chain();
        self.note = Some(what.clone());
        let is_gone = error.kind() == ErrorKind::NotFound && matches!(self.phase, Phase::List | Phase::Carry);
        if is_gone && self.files_missing < NOT_FOUND_TRIES_MAX {
            // Its files are gone: perhaps all of it is, which only the envelope itself can tell.
            self.files_missing += 1;
            self.phase = Phase::Ask;
            self.due_at = Some(pace.park_until(now, self.files_missing));
            return;
        }
        match error.remedy() {
            Remedy::Retry(not_before) => {
                let local = error.kind() == ErrorKind::Storage;
                let most = if local { RETRY_ATTEMPTS_STORAGE_MAX } else { RETRY_ATTEMPTS_MAX };
                self.retry(error, not_before, most, now, pace, change);
            }
            Remedy::Park => {
                self.park(ParkReason::NotReadyYet, now, pace);
                if self.parked.is_some_and(|parked| pace.after(parked.since, PARK_LONGEST) <= now) {
                    self.dead_letter(what, error.impersonal_chain(), change);
                }
            }
            Remedy::RenewAccess => {
                self.park_for_access(error.holder().clone(), now, pace);
                change.open_tasks.push(TaskDraft::access_needed(&self.account, error.holder(), what));
            }
            Remedy::Abandon => self.close(what),
            Remedy::AskPerson => self.dead_letter(what, error.impersonal_chain(), change),
        }
    }

    fn retry(
        &mut self,
        error: &Error,
        not_before: Option<NotBefore>,
        most: u32,
        now: Timestamp,
        pace: &Pace,
        change: &mut Change,
    ) {
        self.failures += 1;
        if self.failures >= most {
            let gave_up = format!("; gave up after {} attempts", self.failures);
            return self.dead_letter(error.chain() + &gave_up, error.impersonal_chain() + &gave_up, change);
        }
        self.due_at = Some(pace.retry_at(now, self.failures, not_before));
    }

    /// `for_ever` is what the journal keeps, `what` what people are told until it is settled.
    fn dead_letter(&mut self, what: String, for_ever: String, change: &mut Change) {
        self.phase = Phase::DeadLetter;
        self.due_at = None;
        self.parked = None;
        change.journal.push((Action::DeadLettered, for_ever));
        change.open_tasks.push(TaskDraft::for_envelope(
            TaskKind::DeadLetter,
            &self.account,
            &self.envelope_id,
            format!("The transfer gave up: {what}"),
            "Mend the cause and run `aftersign transfers redrive`, or close it with `aftersign transfers \
             resolve` and a reason.",
        ));
        self.note = Some(what);
    }

    fn delivery_mut(&mut self, index: usize, destination: &DestinationId) -> Option<&mut Delivery> {
        let item = self.items.get_mut(index)?;
        item.deliveries.iter_mut().find(|delivery| delivery.destination == *destination)
    }
}
