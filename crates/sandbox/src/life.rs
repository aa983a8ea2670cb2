//! The life of an envelope: which steps a script leads to and what one step does. Steps taken by a script and steps taken
//! by hand are the same steps; a step that no longer applies does nothing.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config::Vendor;
use crate::content::Artifact;
use crate::esignanywhere::OwnUrls;
use crate::ledger::{DeletedBy, Outcome};
use crate::onespan::PackageState;
use crate::people::Owner;
use crate::rng::Rng;
use crate::script::{ApiVersion, EnvelopeScript, SignerScript, Trouble};
use crate::scrive;
use crate::sender::{self, Outgoing};
use crate::world::{Account, Envelope, HistoryEvent, Signer, SignerState, State, World};
use crate::{dropbox_sign, esignanywhere, onespan};

/// A status that waits for an acknowledgement of a callback that is never sent changes after this long.
const SETTLE_UNANNOUNCED_MINUTES: f64 = 30.0;
/// How long Dropbox Sign prepares the final files.
const FILES_PREPARATION_MINUTES: (f64, f64) = (1.0, 10.0);
/// How far the API may be behind a callback that is early.
const EARLY_MINUTES: (f64, f64) = (5.0, 30.0);
/// How far the list's index lags behind.
const INDEX_LAG_MINUTES: (f64, f64) = (1.0, 5.0);
/// From a request to cancel to its effect at Dropbox Sign.
const CANCEL_MINUTES: f64 = 1.0;

/// When trouble begins, in shares of the signer's time.
const TROUBLE_AT: f64 = 0.05;
/// When a bounced invitation arrives after all, in shares of the time until the signer comes.
const DELIVERED_AFTER: f64 = 0.9;

/// One step of a life.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    Created,
    /// OneSpan Sign, Scrive: something gets in the way of a signer, until they act.
    Trouble(usize),
    /// Scrive: the invitation that bounced arrives after all.
    Delivered(usize),
    /// OneSpan Sign: a package that was taken back is sent again.
    Activated,
    Viewed(usize),
    Signed(usize),
    /// Dropbox Sign has an interim version of the document.
    InterimFiles,
    End(Outcome),
    FilesReady,
    /// The status changes although nobody acknowledged the end.
    Settle,
    /// The API has caught up with an end that was announced early.
    Shown,
    /// Scrive has put its seal on the closed documents.
    Sealed,
    /// Scrive has made the seal verifiable without Scrive.
    Extended,
}

/// What a step leads to.
#[derive(Default)]
struct Effects {
    outgoing: Vec<Outgoing>,
    later: Vec<(f64, Step)>,
    digest: Vec<Arc<Artifact>>,
}

/// The steps of a script with their minutes after creation.
fn plan(script: &EnvelopeScript, seed: u64) -> Vec<(f64, Step)> {
    let mut rng = Rng::keyed(seed, "plan");
    let signers = script.signers.len();
    let (acting, signing) = match script.outcome {
        Outcome::Completed => (signers, signers),
        Outcome::InProgress => (signers, signers - 1),
        Outcome::Declined => (signers, signers - 1),
        Outcome::Cancelled | Outcome::Expired => (signers, (signers - 1).min(1)),
    };
    let slot = script.life_minutes * 0.95 / acting.max(1) as f64;
    let mut steps = Vec::new();
    for signer in 0..acting {
        let start = slot * signer as f64;
        if signer > signing {
            break;
        }
        let viewed = rng.between_f64(0.1, 0.6);
        if script.signers[signer].trouble.is_some() {
            steps.push((start + slot * TROUBLE_AT, Step::Trouble(signer)));
            steps.push((start + slot * viewed * DELIVERED_AFTER, Step::Delivered(signer)));
        }
        steps.push((start + slot * viewed, Step::Viewed(signer)));
        if signer < signing {
            steps.push((start + slot * rng.between_f64(0.7, 0.95), Step::Signed(signer)));
            if signer + 1 < signing && rng.chance(0.4) {
                steps.push((start + slot, Step::InterimFiles));
            }
        }
    }
    if script.outcome != Outcome::InProgress {
        steps.push((script.life_minutes, Step::End(script.outcome)));
    }
    steps
}

/// What an envelope has of who sent it: the user, and the callback URLs of the draft that it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) owner: Option<Owner>,
    pub(crate) own_urls: OwnUrls,
}

/// Lives a script from its start to its end.
pub(crate) async fn live(
    world: Arc<World>,
    account_id: String,
    index: u64,
    script: EnvelopeScript,
    origin: Origin,
) {
    if world.pause(world.pace.minutes(script.start_after_minutes)).await
        && let Some(id) = create(&world, &account_id, index, script, origin)
    {
        unfold(world, id).await;
    }
}

/// Creates an envelope now and lets its life unfold by itself. `None` if there is no such account.
pub(crate) fn begin(
    world: &Arc<World>,
    account_id: &str,
    index: u64,
    script: EnvelopeScript,
    origin: Origin,
) -> Option<String> {
    let hold = script.hold;
    let id = create(world, account_id, index, script, origin)?;
    if !hold {
        world.spawn_job(unfold(Arc::clone(world), id.clone()));
    }
    Some(id)
}

async fn unfold(world: Arc<World>, id: String) {
    let begun = Instant::now();
    let steps = world.look(|s| s.envelope(&id).map(|envelope| plan(&envelope.script, envelope.seed)));
    for (minutes, step) in steps.unwrap_or_default() {
        let wait = world.pace.minutes(minutes).saturating_sub(begun.elapsed());
        if !world.pause(wait).await {
            return;
        }
        act(&world, &id, step);
    }
}

fn envelope_seed(world: &World, account_id: &str, index: u64) -> u64 {
    Rng::keyed(world.seed, &format!("{account_id}/{index}/envelope")).next_u64()
}

/// `None` if there is no such account.
fn create(
    world: &Arc<World>,
    account_id: &str,
    index: u64,
    script: EnvelopeScript,
    origin: Origin,
) -> Option<String> {
    let vendor = world.look(|s| s.accounts.get(account_id).map(|account| account.spec.vendor))?;
    let seed = envelope_seed(world, account_id, index);
    let mut rng = Rng::keyed(seed, "ids");
    let id = match vendor {
        Vendor::DropboxSign => rng.hex(40),
        Vendor::Scrive => scrive::number(&mut rng),
        Vendor::OneSpan => onespan::package_id(&mut rng),
        Vendor::ESignAnyWhere | Vendor::ScriveFlow => rng.guid(),
    };
    let signers = script.signers.iter().map(|signer| new_signer(vendor, &mut rng, signer)).collect();
    let lag = world.pace.minutes(rng.between_f64(INDEX_LAG_MINUTES.0, INDEX_LAG_MINUTES.1));
    let papers = scrive::papers(world, vendor, &script);
    let envelope = Envelope {
        vendor,
        account_id: account_id.to_owned(),
        id: id.clone(),
        owner: origin.owner,
        own_urls: origin.own_urls,
        seed,
        script,
        signers,
        created_at: Timestamp::now(),
        listed_from: Instant::now() + lag,
        outcome: Outcome::InProgress,
        ended_at: None,
        end_visible_from: Instant::now(),
        settled: vendor != Vendor::ESignAnyWhere,
        files_ready: false,
        cancel_queued: false,
        artifacts: Vec::new(),
        deleted: None,
        announced: false,
        announced_before_extension: false,
        withheld: false,
        api_calls: 0,
        history: Vec::new(),
        final_attempts: 0,
        package: PackageState::new(Timestamp::now()),
        extras: Vec::new(),
        gone: CancellationToken::new(),
        scrive: papers,
    };
    let documents = scrive::flow_documents(&envelope);
    world.change(|s| {
        s.by_file.extend(documents.into_iter().map(|document| (document, id.clone())));
        s.by_id.insert(id.clone(), s.envelopes.len());
        s.envelopes.push(envelope);
    });
    act(world, &id, Step::Created);
    Some(id)
}

fn new_signer(vendor: Vendor, rng: &mut Rng, signer: &SignerScript) -> Signer {
    Signer {
        id: match vendor {
            Vendor::DropboxSign => rng.hex(32),
            Vendor::Scrive | Vendor::ScriveFlow => scrive::number(rng),
            Vendor::ESignAnyWhere | Vendor::OneSpan => rng.guid(),
        },
        name: signer.name.clone(),
        email: signer.email.clone(),
        state: SignerState::Waiting,
        viewed_at: None,
        trouble: None,
    }
}

/// Takes one step and everything it leads to.
pub(crate) fn act(world: &Arc<World>, id: &str, step: Step) {
    let goes_on = matches!(step, Step::Viewed(_) | Step::Signed(_) | Step::End(_));
    if goes_on && world.look(|s| s.envelope(id).is_some_and(|envelope| !envelope.package.active)) {
        act(world, id, Step::Activated);
    }
    let effects = world.change(|s| apply(world, s, id, step));
    for artifact in effects.digest {
        // Digesting ahead keeps the first download and the ledger quick; both would do it themselves.
        drop(world.runtime.spawn_blocking(move || {
            artifact.prepared();
        }));
    }
    sender::dispatch(world, effects.outgoing);
    for (minutes, step) in effects.later {
        act_later(world, id, minutes, step);
    }
}

/// Takes a step after a while, if the envelope is still there; the world's jobs include it.
pub(crate) fn act_later(world: &Arc<World>, id: &str, minutes: f64, step: Step) {
    let Some(gone) = world.look(|s| s.envelope(id).map(|envelope| envelope.gone.clone())) else { return };
    let (shared, id) = (Arc::clone(world), id.to_owned());
    world.spawn_job(async move {
        let in_time = tokio::select! {
            in_time = shared.pause(shared.pace.minutes(minutes)) => in_time,
            () = gone.cancelled() => false,
        };
        if in_time {
            act(&shared, &id, step);
        }
    });
}

/// Brings the envelope to its end by hand: missing signatures first.
pub(crate) fn finish(world: &Arc<World>, id: &str, outcome: Outcome) {
    let signers = world.look(|s| s.envelope(id).map_or(0, |envelope| envelope.signers.len()));
    if outcome == Outcome::Completed {
        for signer in 0..signers {
            act(world, id, Step::Viewed(signer));
            act(world, id, Step::Signed(signer));
        }
    }
    act(world, id, Step::End(outcome));
}

/// The first signer who has not signed does.
pub(crate) fn sign_next(world: &Arc<World>, id: &str) {
    let next = world
        .look(|s| s.envelope(id)?.signers.iter().position(|signer| signer.state == SignerState::Waiting));
    if let Some(signer) = next {
        act(world, id, Step::Viewed(signer));
        act(world, id, Step::Signed(signer));
    }
}

/// A client's cancellation at Dropbox Sign is queued.
pub(crate) fn cancel_later(world: &Arc<World>, id: &str) {
    act_later(world, id, CANCEL_MINUTES, Step::End(Outcome::Cancelled));
}

fn apply(world: &World, state: &mut State, id: &str, step: Step) -> Effects {
    let mut effects = Effects::default();
    let Some(envelope) = state.envelope_mut(id) else { return effects };
    // Steps after the end are those that the end itself leads to.
    let after_end =
        matches!(step, Step::FilesReady | Step::Settle | Step::Shown | Step::Sealed | Step::Extended);
    if envelope.deleted.is_some() || (envelope.outcome != Outcome::InProgress) != after_end {
        return effects;
    }
    if !transition(world, envelope, step, &mut effects) {
        return effects;
    }
    effects.outgoing = announce(world, state, id, step, &mut effects.later);
    let Some(envelope) = state.envelope_mut(id) else { return effects };
    if let Step::End(outcome) = step {
        let files: Vec<String> = envelope.artifacts.iter().map(|artifact| artifact.file_id.clone()).collect();
        let awaited = effects.outgoing.iter().any(|outgoing| outgoing.settles);
        let withheld = effects.later.iter().any(|(_, later)| *later == Step::Settle);
        envelope.settled |= !awaited && !withheld;
        let early = outcome == Outcome::Completed && envelope.script.early_final;
        state.by_file.extend(files.into_iter().map(|file| (file, id.to_owned())));
        if early {
            state.count_fault("callback-early");
        }
        if outcome == Outcome::Completed && state.envelope(id).is_some_and(|e| e.script.deleted_by_other) {
            state.count_fault("deleted-by-other");
            state.delete(id, DeletedBy::Other, 0);
            effects.outgoing.extend(told(world, state, id, onespan::removed_by_other));
        }
    }
    effects
}

/// Changes the envelope; `false` if the step does not apply.
fn transition(world: &World, envelope: &mut Envelope, step: Step, effects: &mut Effects) -> bool {
    let now = Timestamp::now();
    match step {
        Step::Created => note(envelope, "EnvelopeSent", now, None),
        Step::InterimFiles | Step::Shown => {}
        Step::Trouble(index) if scrive::bounce(envelope, index) => {
            note(envelope, "DeliveryProblem", now, Some(index));
        }
        Step::Trouble(index) if !onespan::trouble(envelope, index) => return false,
        Step::Trouble(_) => {}
        Step::Delivered(index) if !scrive::deliver(envelope, index) => return false,
        Step::Delivered(index) => note(envelope, "Delivered", now, Some(index)),
        Step::Activated => envelope.package.active = true,
        Step::Viewed(index) => {
            let Some(signer) = envelope.signers.get_mut(index) else { return false };
            if signer.viewed_at.is_some() || signer.state != SignerState::Waiting {
                return false;
            }
            signer.viewed_at = Some(now);
            signer.trouble = None;
            note(envelope, "WorkstepOpened", now, Some(index));
        }
        Step::Signed(index) => {
            let Some(signer) = envelope.signers.get_mut(index) else { return false };
            if signer.state != SignerState::Waiting {
                return false;
            }
            signer.state = SignerState::Signed(now);
            signer.trouble = None;
            note(envelope, "WorkstepFinished", now, Some(index));
        }
        Step::End(outcome) => end(world, envelope, outcome, effects),
        Step::FilesReady => {
            if envelope.files_ready {
                return false;
            }
            envelope.files_ready = true;
        }
        Step::Settle => envelope.settled = true,
        Step::Sealed => {
            envelope.scrive.sealed = true;
            note(envelope, "DocumentSealed", now, None);
            effects.later.extend(scrive::after_seal(world, envelope));
        }
        Step::Extended => {
            effects.digest = scrive::extend(envelope, now);
            if effects.digest.is_empty() {
                return false;
            }
            note(envelope, "DocumentExtended", now, None);
        }
    }
    envelope.scrive.advance(step, now);
    envelope.package.updated = now;
    true
}

fn note(envelope: &mut Envelope, kind: &'static str, at: Timestamp, signer: Option<usize>) {
    envelope.history.push(HistoryEvent { kind, at, signer });
}

fn end(world: &World, envelope: &mut Envelope, outcome: Outcome, effects: &mut Effects) {
    let now = Timestamp::now();
    let mut rng = Rng::keyed(envelope.seed, "end");
    envelope.outcome = outcome;
    envelope.ended_at = Some(now);
    if outcome == Outcome::Declined {
        let refusing =
            envelope.signers.iter().position(|signer| signer.state == SignerState::Waiting).unwrap_or(0);
        envelope.signers[refusing].state = SignerState::Declined(now);
        note(envelope, "WorkstepRejected", now, Some(refusing));
    }
    let kind = match outcome {
        Outcome::Completed => "EnvelopeFinished",
        Outcome::Declined => "EnvelopeRejected",
        Outcome::Cancelled => "EnvelopeCanceled",
        Outcome::Expired | Outcome::InProgress => "EnvelopeExpired",
    };
    note(envelope, kind, now, None);
    if envelope.script.early_final && outcome == Outcome::Completed {
        let minutes = rng.between_f64(EARLY_MINUTES.0, EARLY_MINUTES.1);
        envelope.end_visible_from = Instant::now() + world.pace.minutes(minutes);
        effects.later.push((minutes, Step::Shown));
    }
    if envelope.vendor == Vendor::DropboxSign {
        if outcome == Outcome::Completed {
            let (low, high) = FILES_PREPARATION_MINUTES;
            effects.later.push((rng.between_f64(low, high), Step::FilesReady));
        } else {
            envelope.files_ready = true;
        }
    }
    envelope.artifacts = match envelope.vendor {
        Vendor::DropboxSign => dropbox_sign::artifacts(envelope),
        Vendor::ESignAnyWhere => esignanywhere::artifacts(envelope),
        Vendor::OneSpan => onespan::artifacts(envelope),
        Vendor::Scrive | Vendor::ScriveFlow => scrive::artifacts(envelope),
    };
    if envelope.vendor == Vendor::OneSpan {
        envelope.package.trashed |= outcome == Outcome::Cancelled;
        envelope.extras = onespan::extras(envelope);
    }
    effects.later.extend(scrive::after_end(world, envelope));
    effects.digest = envelope.artifacts.clone();
}

/// The callbacks of a step that are really sent; those lost on purpose are counted.
fn announce(
    world: &World,
    state: &mut State,
    id: &str,
    step: Step,
    later: &mut Vec<(f64, Step)>,
) -> Vec<Outgoing> {
    let (all, silenced) = {
        let Some(envelope) = state.envelope(id) else { return Vec::new() };
        let Some(account) = state.accounts.get(&envelope.account_id) else { return Vec::new() };
        if account.spec.callback_url.is_empty() && envelope.own_urls.is_empty() {
            return Vec::new();
        }
        (callbacks(world, account, envelope, step), account.callback_url.is_none())
    };
    sift(world, state, id, all, silenced, later)
}

/// What a platform sends at a step.
fn callbacks(world: &World, account: &Account, envelope: &Envelope, step: Step) -> Vec<Outgoing> {
    match envelope.vendor {
        Vendor::DropboxSign => dropbox_sign::callbacks(world, account, envelope, step),
        Vendor::ESignAnyWhere => esignanywhere::callbacks(account, envelope, step),
        Vendor::OneSpan => onespan::callbacks(world, account, envelope, step),
        Vendor::Scrive | Vendor::ScriveFlow => scrive::callbacks(world, account, envelope, step),
    }
}

/// Takes away what is lost on purpose.
fn sift(
    world: &World,
    state: &mut State,
    id: &str,
    all: Vec<Outgoing>,
    silenced: bool,
    later: &mut Vec<(f64, Step)>,
) -> Vec<Outgoing> {
    let scripted = state.envelope(id).is_some_and(|envelope| envelope.script.withhold_final);
    let mut sent = Vec::new();
    for outgoing in all {
        let mut rng = Rng::keyed(world.seed, &format!("lost/{}", outgoing.key));
        let lost = if outgoing.is_final { scripted } else { rng.chance(world.lossy / 2.0) };
        if !lost && (!silenced || outgoing.has_own_url()) {
            sent.push(outgoing);
            continue;
        }
        state.tally.withheld += 1;
        if lost {
            state.count_fault(if outgoing.is_final { "end-withheld" } else { "callback-lost" });
        }
        if outgoing.settles {
            later.push((SETTLE_UNANNOUNCED_MINUTES, Step::Settle));
        }
        if let Some(envelope) = state.envelope_mut(id) {
            envelope.withheld |= outgoing.is_final;
        }
    }
    sent
}

/// Tells what happened outside of an envelope's steps.
pub(crate) fn tell(
    world: &Arc<World>,
    id: &str,
    what: impl FnOnce(&World, &Account, &Envelope) -> Vec<Outgoing>,
) {
    let outgoing = world.change(|s| told(world, s, id, what));
    sender::dispatch(world, outgoing);
}

fn told(
    world: &World,
    state: &mut State,
    id: &str,
    what: impl FnOnce(&World, &Account, &Envelope) -> Vec<Outgoing>,
) -> Vec<Outgoing> {
    let found = state.envelope(id).and_then(|envelope| {
        let account = state.accounts.get(&envelope.account_id)?;
        is_heard(account, envelope).then(|| what(world, account, envelope))
    });
    sift(world, state, id, found.unwrap_or_default(), false, &mut Vec::new())
}

/// Whether there is anybody to tell.
fn is_heard(account: &Account, envelope: &Envelope) -> bool {
    account.callback_url.is_some() || !envelope.own_urls.is_empty()
}

/// Something gets in the way of the first signer who has not signed.
pub(crate) fn trouble(world: &Arc<World>, id: &str, trouble: Trouble) {
    let signer = world.change(|s| {
        let envelope = s.envelope_mut(id)?;
        let next = envelope.signers.iter().position(|signer| signer.state == SignerState::Waiting)?;
        envelope.script.signers[next].trouble = Some(trouble);
        Some(next)
    });
    if let Some(signer) = signer {
        act(world, id, Step::Trouble(signer));
    }
}

/// Somebody else removes the envelope.
pub(crate) fn delete_as_other(world: &Arc<World>, id: &str) {
    let gone = world.change(|s| {
        // What is deleted counts as gone, so the package is looked at first; both are done whatever the other says.
        let purged = onespan::purge(s, id);
        let removed = s.delete(id, DeletedBy::Other, 0);
        purged || removed
    });
    if gone {
        tell(world, id, onespan::removed_by_other);
    }
}

/// An expired envelope is open again; `false` if it has not expired. What follows is done by hand.
pub(crate) fn restart(world: &World, id: &str) -> bool {
    world.change(|s| {
        let expired = |envelope: &&mut Envelope| envelope.outcome == Outcome::Expired;
        let Some(envelope) = s.envelope_mut(id).filter(expired) else { return false };
        envelope.outcome = Outcome::InProgress;
        envelope.ended_at = None;
        envelope.settled = false;
        note(envelope, "EnvelopeRestarted", Timestamp::now(), None);
        true
    })
}

/// The callbacks of an end once more, whatever became of the first ones.
pub(crate) fn announce_again(world: &Arc<World>, id: &str) {
    let callbacks = world.look(|s| {
        let envelope = s.envelope(id).filter(|envelope| envelope.outcome != Outcome::InProgress)?;
        let account = s.accounts.get(&envelope.account_id).filter(|a| is_heard(a, envelope))?;
        // OneSpan Sign has no such means.
        (envelope.vendor != Vendor::OneSpan)
            .then(|| callbacks(world, account, envelope, Step::End(envelope.outcome)))
    });
    let mut callbacks = callbacks.unwrap_or_default();
    callbacks.retain(|callback| callback.is_final);
    sender::dispatch(world, callbacks);
}

/// Whether version 6 refuses to show this envelope.
pub(crate) fn is_v5(envelope: &Envelope) -> bool {
    envelope.script.api_version == ApiVersion::V5
}
