//! The transfer: one envelope on its way home, as a pure state machine.
//!
//! [`Transfer::next`] says which step is due, the engine does it, [`Transfer::apply`] takes the outcome in and
//! says what else must be recorded with it. Every step may run twice: a crash between doing and recording
//! repeats it, and content digests make twice the same as once. What a notification wants is a [`Wake`], never
//! a new state: the platform is asked again before anything is done.

mod apply;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::artifact::{ArtifactKind, ArtifactRef};
use crate::backoff::Pace;
use crate::callback::{Notification, NotificationKind, Urgency};
use crate::digest::Digest;
use crate::envelope::{Envelope, EnvelopeStatus};
use crate::error::Error;
use crate::grant::Holder;
use crate::ids::{AccountId, DestinationId, EnvelopeId, TransferId};
use crate::journal::Action;
use crate::limits::{
    ANNOUNCEMENT_CLOCK_ALLOWANCE, CONFIRMATION_FRESH, NOT_FOUND_TRIES_MAX, REFRESH_AFTER, VERIFICATION_FRESH,
};
use crate::platform::Disposal;
use crate::proof::TransferProof;
use crate::rule::{DisposePolicy, Plan};
use crate::seams::{Receipt, Verification};
use crate::task::TaskDraft;

/// Where a transfer stands. One sentence each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// The platform must be asked what the envelope is.
    Ask,
    /// The platform said "not final"; nothing to do until a notification or a sweep wakes it.
    Watch,
    /// Final and chosen by a rule: its artifacts must be listed.
    List,
    /// Artifacts are being downloaded, delivered and verified.
    Carry,
    /// Everything is archived and verified; disposal, if any, waits for its time.
    Archived,
    /// Removed at the platform after archiving. The end.
    Disposed,
    /// No rule wants this envelope; a later change of it is looked at again.
    Closed,
    /// It vanished at the platform before it was archived; a person was told.
    Lost,
    /// It gave up; a person was told and can redrive or resolve it.
    DeadLetter,
    /// Closed by a person, with a reason. The end.
    Resolved,
}

impl Phase {
    /// All of them, for counts and filters.
    pub const ALL: [Self; 10] = [
        Self::Ask,
        Self::Watch,
        Self::List,
        Self::Carry,
        Self::Archived,
        Self::Disposed,
        Self::Closed,
        Self::Lost,
        Self::DeadLetter,
        Self::Resolved,
    ];

    /// The word in JSON and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Watch => "watch",
            Self::List => "list",
            Self::Carry => "carry",
            Self::Archived => "archived",
            Self::Disposed => "disposed",
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::DeadLetter => "dead_letter",
            Self::Resolved => "resolved",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == word)
    }
}

/// Why a transfer waits without counting failures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParkReason {
    /// A final notification came before the platform's own status was final.
    NotFinalYet,
    /// The platform is still preparing the files.
    NotReadyYet,
    /// The platform refuses our access.
    AccessNeeded,
}

impl ParkReason {
    /// The word in JSON and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFinalYet => "not_final_yet",
            Self::NotReadyYet => "not_ready_yet",
            Self::AccessNeeded => "access_needed",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::NotFinalYet, Self::NotReadyYet, Self::AccessNeeded]
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }
}

/// A wait without failures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parked {
    /// Why.
    pub reason: ParkReason,
    /// Since when.
    pub since: Timestamp,
    /// How often we looked.
    pub looks: u32,
}

/// What was downloaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Staged {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Their number.
    pub bytes: u64,
    /// When the download began: what the platform announces later than that is newer.
    pub at: Timestamp,
}

/// One artifact to one destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Where to.
    pub destination: DestinationId,
    /// The destination's word.
    pub receipt: Option<Receipt>,
    /// When our own check found the right bytes there.
    pub verified_at: Option<Timestamp>,
}

/// One artifact with its deliveries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What it is at the platform.
    pub artifact: ArtifactRef,
    /// Its safe file name, unique in the envelope's folder.
    pub file_name: String,
    /// What was downloaded, once it was.
    pub staged: Option<Staged>,
    /// One per destination of the plan.
    pub deliveries: Vec<Delivery>,
}

impl Item {
    fn is_verified(&self) -> bool {
        self.staged.is_some() && self.deliveries.iter().all(|delivery| delivery.verified_at.is_some())
    }
}

/// One envelope on its way home.
#[derive(Clone, PartialEq, Debug)]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// The account of the envelope.
    pub account: AccountId,
    /// The envelope.
    pub envelope_id: EnvelopeId,
    /// Where it stands.
    pub phase: Phase,
    /// When its next step is due; `None` if only a wake moves it.
    pub due_at: Option<Timestamp>,
    /// Failed attempts in a row.
    pub failures: u32,
    /// Whether it waits without failing.
    pub parked: Option<Parked>,
    /// Whose access it waits for, where it is parked for that.
    pub waits_for: Holder,
    /// The last failure or the reason of an end, for people.
    pub note: Option<String>,
    /// When a notification first said that the envelope is final.
    pub final_announced_at: Option<Timestamp>,
    /// The artifacts must be fetched again: the platform announced newer ones.
    pub refresh_wanted: bool,
    /// A notification said that the platform deleted it; believed when nothing of that id is visible.
    pub deletion_announced: bool,
    /// The platform's last answer.
    pub envelope: Option<Envelope>,
    /// When it gave that answer.
    pub confirmed_at: Option<Timestamp>,
    /// What the rules decided.
    pub plan: Option<Plan>,
    /// When its artifacts were first listed.
    pub listed_at: Option<Timestamp>,
    /// The artifacts.
    pub items: Vec<Item>,
    /// Answers of "not found" in a row.
    pub not_found: u32,
    /// How often since the last good end the envelope was there and one of its files was not.
    pub files_missing: u32,
    /// Verifications that found wrong bytes.
    pub verification_failures: u32,
    /// When the plan lets it be removed at the platform; `None` for never, or as long as an extension is waited for.
    pub dispose_at: Option<Timestamp>,
    /// A person was told that its seal was not extended in time.
    pub extension_overdue_told: bool,
    /// When a removal was first asked for and nothing since showed that it did not happen.
    pub disposal_asked_at: Option<Timestamp>,
    /// When everything was archived and verified.
    pub archived_at: Option<Timestamp>,
    /// [`Envelope::revision`] of what was archived.
    pub archived_revision: Option<String>,
    /// When it was removed at the platform.
    pub disposed_at: Option<Timestamp>,
}

/// What is to be done now.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Nothing before this time; `None`: nothing until a wake.
    Wait(Option<Timestamp>),
    /// Ask the platform for the envelope.
    Ask,
    /// List its artifacts.
    List,
    /// Download item number `0..`.
    Download(usize),
    /// Put an item into a destination.
    Deliver(usize, DestinationId),
    /// Read an item back from a destination.
    Verify(usize, DestinationId),
    /// Write `metadata.json` into staging.
    Compose,
    /// Remove the envelope at the platform.
    Dispose(Box<TransferProof>),
    /// The proof that disposal needs cannot be made; the text says what is missing.
    Stuck(String),
}

impl Step {
    /// The word in attempts, logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::Ask => "ask",
            Self::List => "list",
            Self::Download(_) => "download",
            Self::Deliver(..) => "deliver",
            Self::Verify(..) => "verify",
            Self::Compose => "compose",
            Self::Dispose(_) => "dispose",
            Self::Stuck(_) => "stuck",
        }
    }
}

/// How a step ended.
#[derive(Debug)]
pub enum Outcome {
    /// The platform showed the envelope; with what the rules say about it.
    Found(Box<Envelope>, Option<Plan>),
    /// The platform says that it was deleted; with the status that notifications announced.
    Gone(EnvelopeStatus),
    /// The platform shows nothing of that id; with the status that notifications announced.
    NotFound(EnvelopeStatus),
    /// The artifacts.
    Listed(Vec<ArtifactRef>),
    /// An item lies in staging; its download began at the given time.
    Staged(usize, Digest, u64, Timestamp),
    /// An item's staged file is no longer there or no longer right.
    StagedFileGone(usize),
    /// A destination took an item.
    Delivered(usize, DestinationId, Receipt),
    /// A destination was read back.
    Verified(usize, DestinationId, Verification),
    /// `metadata.json` lies in staging.
    Composed(Digest, u64),
    /// The platform answered the removal.
    Disposed(Disposal),
    /// The step failed.
    Failed(Error),
    /// The platform was not asked: a moment ago it refused this access to another transfer.
    StillRefused(Holder),
}

/// What must be recorded together with the transfer.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Change {
    /// Lines for the journal.
    pub journal: Vec<(Action, String)>,
    /// Tasks to open (once per key).
    pub open_tasks: Vec<TaskDraft>,
    /// Keys of tasks that are settled.
    pub close_tasks: Vec<String>,
    /// The platform's answer on the envelope.
    pub answer: Option<Envelope>,
    /// The platform says that the envelope is gone.
    pub gone: bool,
    /// This access works: what is parked for it in this account may run again.
    pub access_works: Option<Holder>,
}

/// What a notification or sweep wants of a transfer. Wakes merge in any order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wake {
    /// When to look.
    pub at: Timestamp,
    /// The envelope was announced as final.
    pub final_announced: bool,
    /// The platform announced new artifacts at this time.
    pub artifacts_at: Option<Timestamp>,
    /// The platform announced that it was deleted.
    pub deletion_announced: bool,
}

impl Wake {
    /// What `news` wants at `now`.
    pub fn of(news: &Notification, now: Timestamp, pace: &Pace) -> Self {
        let at = match news.kind.urgency() {
            Urgency::Now => now,
            Urgency::Soon => pace.after(now, REFRESH_AFTER),
        };
        let artifacts_at =
            (news.kind == NotificationKind::ArtifactsReady).then(|| news.occurred_at.unwrap_or(now));
        Self {
            at,
            final_announced: news.kind.is_final(),
            artifacts_at,
            deletion_announced: news.kind == NotificationKind::Deleted,
        }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            at: self.at.min(other.at),
            final_announced: self.final_announced || other.final_announced,
            artifacts_at: self.artifacts_at.max(other.artifacts_at),
            deletion_announced: self.deletion_announced || other.deletion_announced,
        }
    }
}

impl Transfer {
    /// A transfer of an envelope heard of for the first time. A wake makes it due.
    pub fn new(id: TransferId, account: AccountId, envelope_id: EnvelopeId) -> Self {
        Self {
            id,
            account,
            envelope_id,
            phase: Phase::Watch,
            due_at: None,
            failures: 0,
            parked: None,
            waits_for: Holder::Account,
            note: None,
            final_announced_at: None,
            refresh_wanted: false,
            deletion_announced: false,
            envelope: None,
            confirmed_at: None,
            plan: None,
            listed_at: None,
            items: Vec::new(),
            not_found: 0,
            files_missing: 0,
            verification_failures: 0,
            dispose_at: None,
            extension_overdue_told: false,
            disposal_asked_at: None,
            archived_at: None,
            archived_revision: None,
            disposed_at: None,
        }
    }

    /// The step that is due at `now`.
    pub fn next(&self, now: Timestamp) -> Step {
        match self.due_at {
            None => return Step::Wait(None),
            Some(due) if due > now => return Step::Wait(Some(due)),
            Some(_) => {}
        }
        match self.phase {
            Phase::Ask | Phase::Watch | Phase::Closed => Step::Ask,
            Phase::List => Step::List,
            Phase::Carry => self.next_of_carry(),
            Phase::Archived => self.next_of_disposal(now),
            Phase::Disposed | Phase::Lost | Phase::DeadLetter | Phase::Resolved => Step::Wait(None),
        }
    }

    fn next_of_carry(&self) -> Step {
        for (index, item) in self.items.iter().enumerate() {
            let Some(delivery) = item.deliveries.iter().find(|delivery| delivery.verified_at.is_none())
            else {
                continue;
            };
            let destination = delivery.destination.clone();
            return match (&item.staged, &delivery.receipt) {
                (None, _) if item.artifact.kind == ArtifactKind::Manifest => Step::Compose,
                (None, _) => Step::Download(index),
                (Some(_), None) => Step::Deliver(index, destination),
                (Some(_), Some(_)) => Step::Verify(index, destination),
            };
        }
        Step::Compose
    }

    fn next_of_disposal(&self, now: Timestamp) -> Step {
        if self.refresh_wanted {
            return Step::Ask;
        }
        // What is due and is no removal is a look for an extension.
        if self.dispose_at.is_none_or(|at| at > now) {
            return Step::Ask;
        }
        // Real ages on purpose: they guard, they do not wait, and a rehearsal's pace must not wear them down.
        let is_fresh = |at: Option<Timestamp>, span| at.is_some_and(|at| Pace::real(0).after(at, span) > now);
        for (index, item) in self.items.iter().enumerate() {
            for delivery in &item.deliveries {
                if !is_fresh(delivery.verified_at, VERIFICATION_FRESH) {
                    return Step::Verify(index, delivery.destination.clone());
                }
            }
        }
        if !is_fresh(self.confirmed_at, CONFIRMATION_FRESH) {
            return Step::Ask;
        }
        match TransferProof::of(self) {
            Ok(proof) => Step::Dispose(Box::new(proof)),
            Err(missing) => Step::Stuck(missing),
        }
    }

    /// The item number that `metadata.json` has or will have: it follows the artifacts.
    pub fn manifest_index(&self) -> usize {
        self.items.iter().filter(|item| item.artifact.kind != ArtifactKind::Manifest).count()
    }

    /// Takes a wake in. Back-offs, parked access and ends that are certain are not disturbed.
    pub fn wake(&mut self, wake: &Wake) {
        self.deletion_announced |= wake.deletion_announced;
        if wake.final_announced {
            self.final_announced_at = self.final_announced_at.max(Some(wake.at));
            if self.parked.is_some_and(|parked| parked.reason == ParkReason::NotFinalYet) {
                self.parked = None;
            }
        }
        let fetched_at = self.items.iter().filter_map(|item| item.staged.map(|staged| staged.at)).min();
        // Where the platform shows a revision, that tells whether the files are newer.
        if let (Some(fetched), Some(announced), None) =
            (fetched_at, wake.artifacts_at, &self.archived_revision)
        {
            self.refresh_wanted |= Pace::real(0).after(announced, ANNOUNCEMENT_CLOCK_ALLOWANCE) > fetched;
        }
        match self.phase {
            Phase::Ask | Phase::Watch | Phase::Closed => {
                let backing_off = self.failures > 0
                    || self.parked.is_some_and(|parked| parked.reason == ParkReason::AccessNeeded);
                if !backing_off {
                    self.ask_at(wake.at);
                }
            }
            Phase::List | Phase::Carry => {
                let waits_for_files =
                    self.parked.is_some_and(|parked| parked.reason == ParkReason::NotReadyYet);
                if waits_for_files && (wake.final_announced || wake.artifacts_at.is_some()) {
                    self.due_at = self.due_at.map(|due| due.min(wake.at));
                }
            }
            // An expired envelope can be restarted after its expired form was archived.
            Phase::Archived
                if self.refresh_wanted
                    || (wake.artifacts_at.is_some() && self.archived_revision.is_some())
                    || (wake.final_announced && !self.is_completed()) =>
            {
                self.ask_at(wake.at);
            }
            // What looked lost may have been cancelled; what was not visible may be by now.
            Phase::Lost if wake.final_announced => self.ask_at(wake.at),
            Phase::DeadLetter if wake.final_announced && self.not_found >= NOT_FOUND_TRIES_MAX => {
                self.not_found = 0;
                self.ask_at(wake.at);
            }
            Phase::Archived | Phase::Disposed | Phase::Lost | Phase::DeadLetter | Phase::Resolved => {}
        }
    }

    fn ask_at(&mut self, at: Timestamp) {
        let pending = if self.phase == Phase::Archived { None } else { self.due_at };
        self.phase = Phase::Ask;
        self.due_at = Some(pending.map_or(at, |due| due.min(at)));
    }

    /// Whether its removal waits for an extension that has not come.
    pub(crate) fn awaits_extension(&self) -> bool {
        let waits = self.plan.as_ref().is_some_and(|plan| plan.dispose == DisposePolicy::AfterExtension);
        waits && self.envelope.as_ref().is_none_or(|envelope| envelope.extension.is_to_come())
    }

    /// Whether the platform shows other signed files than those that were archived.
    pub(crate) fn is_outdated(&self) -> bool {
        let shown = self.envelope.as_ref().and_then(|envelope| envelope.revision.as_ref());
        self.archived_at.is_some() && shown.is_some() && shown != self.archived_revision.as_ref()
    }

    /// Whether something that the platform had or was to have is not in every destination.
    fn is_owed_something(&self) -> bool {
        let is_to_be_extended =
            self.envelope.as_ref().is_some_and(|envelope| envelope.extension.is_to_come());
        // Whoever was told that it does not come may have removed the envelope by hand, as we advised.
        let is_expected = is_to_be_extended && !self.extension_overdue_told;
        self.refresh_wanted || is_expected || self.is_outdated() || !self.is_all_verified()
    }

    /// Whether everything, our own record of it included, lies verified in every destination.
    fn is_all_verified(&self) -> bool {
        self.has_manifest() && self.items.iter().all(Item::is_verified)
    }

    /// Whether our own record was written since something last moved.
    pub(crate) fn has_manifest(&self) -> bool {
        self.items.iter().any(|item| item.artifact.kind == ArtifactKind::Manifest)
    }

    fn is_completed(&self) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.status == EnvelopeStatus::Completed)
    }

    /// A person says: try again. `false` if there is nothing to try.
    pub fn redrive(&mut self, now: Timestamp) -> bool {
        if matches!(self.phase, Phase::Disposed | Phase::Resolved) {
            return false;
        }
        self.phase = Phase::Ask;
        self.due_at = Some(now);
        self.failures = 0;
        self.parked = None;
        self.not_found = 0;
        self.files_missing = 0;
        self.verification_failures = 0;
        true
    }

    /// A person closes it by hand. `false` if it already came to its end.
    pub fn resolve(&mut self, reason: &str) -> bool {
        if matches!(self.phase, Phase::Disposed | Phase::Resolved) {
            return false;
        }
        self.phase = Phase::Resolved;
        self.due_at = None;
        self.parked = None;
        self.note = Some(reason.into());
        true
    }

    /// The access to its account works again.
    pub fn access_renewed(&mut self, now: Timestamp) {
        if self.parked.is_some_and(|parked| parked.reason == ParkReason::AccessNeeded) {
            self.parked = None;
            self.due_at = Some(now);
        }
    }
}
