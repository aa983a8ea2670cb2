//! The state of the world, behind one lock that is never held across a wait, and the means that everything in it shares:
//! the pace, the callback client, the tasks. What happens to an envelope is decided in `life`, what goes out in `sender`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Pace;
use crate::config::{AccountSpec, DisposalWitness, Vendor};
use crate::content::Artifact;
use crate::esignanywhere::{Draft, OwnUrls};
use crate::faults::FaultPlan;
use crate::ledger::{ArtifactRecord, CallbackTally, DeletedBy, Deletion, EnvelopeRecord, Mail, Outcome};
use crate::onespan::{self, PackageState, Template, Token};
use crate::people::{Caller, Owner, People};
use crate::script::{EnvelopeScript, Trouble};
use crate::scrive::{self, Papers};

/// Everything that the parts of the sandbox share.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) lossy: f64,
    pub(crate) pace: Pace,
    /// `http://address:port`
    pub(crate) origin: String,
    pub(crate) clear_callback_url: bool,
    pub(crate) extension_after_days: f64,
    pub(crate) extend_flows: bool,
    pub(crate) witness: Option<DisposalWitness>,
    pub(crate) http: reqwest::Client,
    pub(crate) stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) runtime: Handle,
    pub(crate) changed: watch::Sender<()>,
    pub(crate) state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) by_id: HashMap<String, usize>,
    /// From the id of a file, or of a document in a Scrive flow, to its envelope's id.
    pub(crate) by_file: HashMap<String, String>,
    pub(crate) tally: CallbackTally,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) plan: FaultPlan,
    /// Lives, callbacks and follow-ups under way.
    pub(crate) jobs: usize,
    pub(crate) pending_callbacks: usize,
    pub(crate) planned: u64,
    pub(crate) downloads: u64,
    /// OneSpan Sign's templates: packages that nobody signs.
    pub(crate) templates: Vec<Template>,
    pub(crate) templates_touched: u64,
    /// E-mails sent because a callback failed.
    pub(crate) mails: Vec<Mail>,
    pub(crate) people: People,
    /// eSignAnyWhere's drafts, also those that were sent.
    pub(crate) drafts: Vec<Draft>,
}

/// An account and how its callbacks and its rate limit stand.
pub(crate) struct Account {
    pub(crate) spec: AccountSpec,
    /// `None` if never set or cleared after too many failures.
    pub(crate) callback_url: Option<String>,
    pub(crate) next_index: u64,
    pub(crate) consecutive_failures: u32,
    pub(crate) general: RateWindow,
    pub(crate) files: RateWindow,
    /// OneSpan Sign: the names of the events that are sent.
    pub(crate) events: BTreeSet<String>,
    /// OneSpan Sign: access tokens given out.
    pub(crate) tokens: Vec<Token>,
    pub(crate) tokens_given: u64,
}

/// Calls counted in the current minute of the world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateWindow {
    pub(crate) since: Instant,
    pub(crate) calls: u32,
}

impl RateWindow {
    fn new() -> RateWindow {
        RateWindow { since: Instant::now(), calls: 0 }
    }

    /// Counts one call; gives what remains and how long the window still lasts, or `Err` with the latter.
    pub(crate) fn count(&mut self, limit: u32, minute: Duration) -> Result<(u32, Duration), Duration> {
        let now = Instant::now();
        if now.duration_since(self.since) >= minute {
            *self = RateWindow { since: now, calls: 0 };
        }
        let left = minute.saturating_sub(now.duration_since(self.since));
        if self.calls >= limit {
            return Err(left);
        }
        self.calls += 1;
        Ok((limit - self.calls, left))
    }
}

impl Account {
    pub(crate) fn new(spec: AccountSpec) -> Account {
        let callback_url = Some(spec.callback_url.clone()).filter(|url| !url.is_empty());
        Account {
            spec,
            callback_url,
            next_index: 0,
            consecutive_failures: 0,
            general: RateWindow::new(),
            files: RateWindow::new(),
            events: onespan::EVENTS.iter().map(|&name| name.to_owned()).collect(),
            tokens: Vec::new(),
            tokens_given: 0,
        }
    }
}

/// Where a signer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignerState {
    Waiting,
    Signed(Timestamp),
    Declined(Timestamp),
}

/// A signer of an envelope.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) state: SignerState,
    pub(crate) viewed_at: Option<Timestamp>,
    /// OneSpan Sign, Scrive: what is in the way now.
    pub(crate) trouble: Option<Trouble>,
}

/// One line of an eSignAnyWhere history.
#[derive(Debug, Clone)]
pub(crate) struct HistoryEvent {
    pub(crate) kind: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) signer: Option<usize>,
}

/// One envelope.
pub(crate) struct Envelope {
    pub(crate) vendor: Vendor,
    pub(crate) account_id: String,
    pub(crate) id: String,
    /// The user who sent it; `None`: nobody in particular.
    pub(crate) owner: Option<Owner>,
    /// eSignAnyWhere: callback URLs of its own.
    pub(crate) own_urls: OwnUrls,
    pub(crate) seed: u64,
    pub(crate) script: EnvelopeScript,
    pub(crate) signers: Vec<Signer>,
    pub(crate) created_at: Timestamp,
    /// Before this, a list does not show it: the index lags.
    pub(crate) listed_from: Instant,
    pub(crate) outcome: Outcome,
    pub(crate) ended_at: Option<Timestamp>,
    /// Before this, the API does not show the end.
    pub(crate) end_visible_from: Instant,
    /// eSignAnyWhere: whether the envelope callback is through, one way or the other.
    pub(crate) settled: bool,
    /// Dropbox Sign: whether the final files are prepared.
    pub(crate) files_ready: bool,
    pub(crate) cancel_queued: bool,
    pub(crate) artifacts: Vec<Arc<Artifact>>,
    pub(crate) deleted: Option<Deletion>,
    pub(crate) announced: bool,
    pub(crate) announced_before_extension: bool,
    pub(crate) withheld: bool,
    pub(crate) api_calls: u64,
    pub(crate) history: Vec<HistoryEvent>,
    /// Attempts made at the envelope callback.
    pub(crate) final_attempts: u32,
    /// OneSpan Sign: how the package stands besides its outcome.
    pub(crate) package: PackageState,
    /// What is served after the end without being promised.
    pub(crate) extras: Vec<Arc<Artifact>>,
    /// Cancelled when it is removed: what was to happen to it later happens no more.
    pub(crate) gone: CancellationToken,
    /// Scrive: what its document has beyond the others' envelopes.
    pub(crate) scrive: Papers,
}

impl Envelope {
    /// The outcome as the API shows it now.
    pub(crate) fn visible_outcome(&self) -> Outcome {
        let shown = self.settled && Instant::now() >= self.end_visible_from;
        match self.outcome {
            Outcome::Completed | Outcome::Declined if !shown => Outcome::InProgress,
            outcome => outcome,
        }
    }

    /// The ledger's record; digests artifacts that nobody has digested yet, which takes time for large ones.
    pub(crate) fn record(&self) -> RecordDraft {
        let record = EnvelopeRecord {
            vendor: self.vendor,
            account_id: self.account_id.clone(),
            id: self.id.clone(),
            name: self.script.name.clone(),
            outcome: self.outcome,
            created_at: self.created_at,
            ended_at: self.ended_at,
            announced: self.announced,
            announced_before_extension: self.announced_before_extension,
            withheld: self.withheld,
            test_mode: self.script.test_mode,
            artifacts: Vec::new(),
            extras: Vec::new(),
            deleted: self.deleted.clone(),
            extends: scrive::extends(self),
            extended_at: self.scrive.extended_at,
            api_calls: self.api_calls,
        };
        RecordDraft { record, artifacts: self.artifacts.clone(), extras: self.extras.clone() }
    }
}

/// A record whose artifacts are yet to be digested, which must not happen under the lock.
pub(crate) struct RecordDraft {
    record: EnvelopeRecord,
    artifacts: Vec<Arc<Artifact>>,
    extras: Vec<Arc<Artifact>>,
}

impl RecordDraft {
    /// Blocking work for large artifacts that were not digested before.
    pub(crate) fn finish(self) -> EnvelopeRecord {
        let records = |artifacts: &[Arc<Artifact>]| artifacts.iter().map(|a| artifact_record(a)).collect();
        EnvelopeRecord { artifacts: records(&self.artifacts), extras: records(&self.extras), ..self.record }
    }
}

fn artifact_record(artifact: &Artifact) -> ArtifactRecord {
    let prepared = artifact.prepared();
    ArtifactRecord {
        name: artifact.name.clone(),
        sha256: prepared.sha256.clone(),
        bytes: prepared.bytes,
        kind: artifact.kind,
        served: artifact.served(),
        version: artifact.version,
    }
}

impl State {
    pub(crate) fn envelope(&self, id: &str) -> Option<&Envelope> {
        self.by_id.get(id).and_then(|&index| self.envelopes.get(index))
    }

    pub(crate) fn envelope_mut(&mut self, id: &str) -> Option<&mut Envelope> {
        self.by_id.get(id).and_then(|&index| self.envelopes.get_mut(index))
    }

    /// The envelope, if the caller may see it and it is still there.
    pub(crate) fn visible(&self, caller: &Caller, id: &str) -> Option<&Envelope> {
        self.envelope(id).filter(|envelope| caller.sees(envelope) && envelope.deleted.is_none())
    }

    /// What the caller may see and is still there, in the order of creation.
    pub(crate) fn seen_by<'a>(&'a self, caller: &'a Caller) -> impl Iterator<Item = &'a Envelope> {
        self.envelopes.iter().filter(move |envelope| caller.sees(envelope) && envelope.deleted.is_none())
    }

    pub(crate) fn count_fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub(crate) fn count_api_call(&mut self, id: &str) {
        if let Some(envelope) = self.envelope_mut(id) {
            envelope.api_calls += 1;
        }
    }

    /// Removes an envelope unless it is gone already.
    pub(crate) fn delete(&mut self, id: &str, by: DeletedBy, missing_at_disposal: usize) -> bool {
        let Some(envelope) = self.envelope_mut(id).filter(|envelope| envelope.deleted.is_none()) else {
            return false;
        };
        let outcome = match by {
            DeletedBy::Client => envelope.visible_outcome(),
            DeletedBy::Other => envelope.outcome,
        };
        let was_complete = outcome == Outcome::Completed;
        let before_extension = by == DeletedBy::Client && scrive::awaits_extension(envelope);
        envelope.deleted =
            Some(Deletion { at: Timestamp::now(), by, missing_at_disposal, was_complete, before_extension });
        envelope.gone.cancel();
        true
    }
}

impl World {
    /// Reads the state.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state and wakes who waits for changes.
    pub(crate) fn change<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let result = write(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
        result
    }

    /// Waits; `false` if the world ends meanwhile.
    pub(crate) async fn pause(&self, real: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(real) => true,
            () = self.stopping.cancelled() => false,
        }
    }

    /// Starts something that `lives_ended` waits for.
    pub(crate) fn spawn_job(self: &Arc<World>, work: impl Future<Output = ()> + Send + 'static) {
        let guard = JobGuard::new(Arc::clone(self));
        self.tasks.spawn_on(
            async move {
                work.await;
                drop(guard);
            },
            &self.runtime,
        );
    }

    /// A client's removal: the witness looks first. `false` if there was nothing to remove.
    pub(crate) async fn dispose(&self, id: &str) -> bool {
        let Some(missing) = self.missing_by_witness(id).await else { return false };
        self.change(|s| s.delete(id, DeletedBy::Client, missing))
    }

    /// How many artifacts the witness misses, who looks on a blocking thread. `None` if the envelope is gone.
    pub(crate) async fn missing_by_witness(&self, id: &str) -> Option<usize> {
        let draft = self.look(|s| s.envelope(id).filter(|e| e.deleted.is_none()).map(Envelope::record))?;
        let witness = self.witness.clone();
        let artifacts = draft.artifacts.len();
        let looked =
            tokio::task::spawn_blocking(move || witness.map_or(0, |witness| witness(&draft.finish())));
        Some(looked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the disposal witness failed; every artifact counts as missing");
            artifacts
        }))
    }
}

/// Counts a job for as long as it lives, however it ends.
struct JobGuard {
    world: Arc<World>,
}

impl JobGuard {
    fn new(world: Arc<World>) -> JobGuard {
        world.change(|s| s.jobs += 1);
        JobGuard { world }
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        self.world.change(|s| s.jobs -= 1);
    }
}
