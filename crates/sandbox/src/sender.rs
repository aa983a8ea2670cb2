//! Sends callbacks as the platforms do: each with its own idea of an acknowledgement and its own schedule of retries, which
//! runs on the world's clock. A receiver that is restarted meets the retries that a real one would.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Vendor;
use crate::onespan;
use crate::rng::Rng;
use crate::scrive;
use crate::world::{State, World};

/// Dropbox Sign's waits before the second to the seventh attempt, in minutes.
const DROPBOX_SIGN_RETRY_MINUTES: [f64; 6] = [5.0, 15.0, 45.0, 135.0, 405.0, 1215.0];
/// What an acknowledgement contains there.
const DROPBOX_SIGN_ACKNOWLEDGEMENT: &[u8] = b"Hello API Event Received";
/// After so many failures in a row Dropbox Sign forgets the URL.
const CLEARING_FAILURES: u32 = 10;
/// eSignAnyWhere makes so many attempts, the wait growing by 5 minutes each time.
pub(crate) const ESIGNANYWHERE_ATTEMPTS_MAX: u32 = 30;
const ESIGNANYWHERE_RETRY_STEP_MINUTES: f64 = 5.0;
/// Scrive's waits before the second to the tenth attempt, in minutes.
const SCRIVE_RETRY_MINUTES: [f64; 9] = [5.0, 10.0, 30.0, 60.0, 120.0, 240.0, 240.0, 240.0, 480.0];
/// OneSpan Sign waits this long for an answer and never tries again.
const ONESPAN_TIMEOUT_SECONDS: f64 = 20.0;
/// All wait this long for an answer (eSignAnyWhere's own limit is not known), but Scrive's documents and
/// OneSpan Sign.
const ANSWER_TIMEOUT_SECONDS: f64 = 30.0;
const SCRIVE_DOCUMENT_TIMEOUT_SECONDS: f64 = 60.0;
/// No receiver is expected to be faster than this, however fast the world runs.
const ANSWER_TIMEOUT_REAL_MIN: Duration = Duration::from_secs(5);
/// More of an answer is not read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Attempts under way at the same time.
const CONCURRENT_ATTEMPTS_MAX: usize = 64;

static ATTEMPTS: Semaphore = Semaphore::const_new(CONCURRENT_ATTEMPTS_MAX);

/// A callback to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) vendor: Vendor,
    pub(crate) account_id: String,
    pub(crate) envelope_id: String,
    /// Names the callback among all others: the choices about it depend on this.
    pub(crate) key: String,
    /// Whether it announces the end.
    pub(crate) is_final: bool,
    /// Whether the envelope's status waits for it.
    pub(crate) settles: bool,
    pub(crate) wire: Wire,
}

impl Outgoing {
    /// Whether it goes out although the account has no callback URL.
    pub(crate) fn has_own_url(&self) -> bool {
        matches!(self.wire, Wire::Get { from_draft: true, .. })
    }

    /// Whether it is one of those of a Scrive document, of which only the newest waits.
    fn is_of_document(&self) -> bool {
        matches!(self.wire, Wire::ScriveDocument { .. })
    }
}

/// The HTTP request of a callback.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    Get {
        url: String,
        /// Whether the URL is the envelope's own, which a change of the account does not take away.
        from_draft: bool,
    },
    Form {
        url: String,
        boundary: String,
        body: Bytes,
        content_sha256: String,
    },
    /// What a Scrive document says of itself when the callback goes out; no two of one document wait at the same time.
    ScriveDocument {
        url: String,
    },
    ScriveFlow {
        url: String,
        body: Bytes,
    },
    /// OneSpan Sign's: the key stands in the header as it is.
    OneSpan {
        url: String,
        key: Option<String>,
        body: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Acknowledged,
    /// With this status.
    Refused(u16),
    Unreachable,
}

/// The wait after the `failed`-th failed attempt; `None` if that was the last.
fn retry_after_minutes(vendor: Vendor, failed: u32) -> Option<f64> {
    match vendor {
        Vendor::DropboxSign => {
            DROPBOX_SIGN_RETRY_MINUTES.get(usize::try_from(failed).ok()?.checked_sub(1)?).copied()
        }
        Vendor::ESignAnyWhere => (failed < ESIGNANYWHERE_ATTEMPTS_MAX)
            .then(|| ESIGNANYWHERE_RETRY_STEP_MINUTES * f64::from(failed)),
        Vendor::OneSpan => None,
        Vendor::Scrive | Vendor::ScriveFlow => {
            SCRIVE_RETRY_MINUTES.get(usize::try_from(failed).ok()?.checked_sub(1)?).copied()
        }
    }
}

/// Hands callbacks over; they are pending from now on.
pub(crate) fn dispatch(world: &Arc<World>, outgoing: Vec<Outgoing>) {
    for callback in outgoing {
        let pending = PendingGuard::new(Arc::clone(world));
        let shared = Arc::clone(world);
        let replaced = join(world, &callback);
        world.spawn_job(async move {
            tokio::select! {
                () = deliver(&shared, &callback, &replaced) => {}
                () = replaced.cancelled() => {}
            }
            drop(pending);
        });
    }
}

async fn deliver(world: &World, callback: &Outgoing, replaced: &CancellationToken) {
    let mut rng = Rng::keyed(world.seed, &format!("send/{}", callback.key));
    if !world.pace_pause_seconds(rng.between_f64(2.0, 30.0)).await {
        return;
    }
    if rng.chance(world.lossy) {
        if !world.pace_pause_seconds(60.0 * rng.between_f64(10.0, 90.0)).await {
            return;
        }
        world.change(|s| s.count_fault("callback-delayed"));
    }
    let repeated = rng.chance(world.lossy) && callback.vendor != Vendor::OneSpan;
    let repeats = if repeated { rng.between(1, 2) } else { 0 };
    if !until_acknowledged(world, callback, replaced).await {
        return;
    }
    for _ in 0..repeats {
        if !world.pace_pause_seconds(60.0 * rng.between_f64(0.1, 30.0)).await {
            return;
        }
        if is_silenced(world, callback) {
            return;
        }
        let answer = attempt(world, callback).await;
        world.change(|s| {
            s.count_fault("callback-repeated");
            match answer {
                Answer::Unreachable => s.tally.unreachable += 1,
                Answer::Refused(_) => {
                    s.tally.repeats += 1;
                    s.tally.refused += 1;
                }
                Answer::Acknowledged => s.tally.repeats += 1,
            }
        });
    }
}

/// Tries by the platform's schedule; `true` if it was acknowledged in the end.
async fn until_acknowledged(world: &World, callback: &Outgoing, replaced: &CancellationToken) -> bool {
    let mut failed = 0;
    let mut answered_before = false;
    loop {
        if is_silenced(world, callback) {
            world.change(|s| {
                s.tally.withheld += 1;
                conclude(s, callback, false);
                if let Some(envelope) = s.envelope_mut(&callback.envelope_id) {
                    envelope.withheld |= callback.is_final && !scrive::removed_by_client(envelope);
                    envelope.scrive.queue.leave();
                }
            });
            return false;
        }
        if !world.change(|s| begin_attempt(s, callback, failed, replaced)) {
            return false;
        }
        let answer = attempt(world, callback).await;
        note_attempt(world, callback, answer, answered_before);
        if answer == Answer::Acknowledged {
            world.change(|s| conclude(s, callback, true));
            return true;
        }
        answered_before |= matches!(answer, Answer::Refused(_));
        failed += 1;
        let Some(minutes) = retry_after_minutes(callback.vendor, failed) else {
            world.change(|s| {
                s.tally.given_up += 1;
                if callback.vendor == Vendor::OneSpan {
                    onespan::mail(s, callback, &failure(answer));
                }
                conclude(s, callback, false);
            });
            return false;
        };
        if !world.change(|s| wait_again(s, callback, replaced)) {
            return false;
        }
        if !world.pace_pause_seconds(60.0 * minutes).await {
            return false;
        }
    }
}

/// Whether nothing is sent any more: the URL is cleared, or the document that would speak is removed.
fn is_silenced(world: &World, callback: &Outgoing) -> bool {
    world.look(|s| {
        let cleared = !callback.has_own_url()
            && s.accounts.get(&callback.account_id).is_none_or(|account| account.callback_url.is_none());
        let removed =
            callback.is_of_document() && s.envelope(&callback.envelope_id).is_none_or(scrive::is_removed);
        cleared || removed
    })
}

/// A callback of a document takes the place of the one that waits; the token says when the same happens to it.
fn join(world: &World, callback: &Outgoing) -> CancellationToken {
    let replaced = CancellationToken::new();
    if callback.is_of_document() {
        world.change(|s| {
            let Some(envelope) = s.envelope_mut(&callback.envelope_id) else { return };
            if envelope.scrive.queue.join(replaced.clone()) {
                s.tally.replaced += 1;
            }
        });
    }
    replaced
}

/// Counts a callback as sent with its first attempt; `false` if another one has taken its place.
fn begin_attempt(state: &mut State, callback: &Outgoing, failed: u32, replaced: &CancellationToken) -> bool {
    if replaced.is_cancelled() {
        return false;
    }
    let attempted_before = match state.envelope_mut(&callback.envelope_id) {
        Some(envelope) if callback.is_of_document() => envelope.scrive.queue.leave(),
        _ => failed > 0,
    };
    state.tally.sent += u64::from(!attempted_before);
    true
}

/// After a failed attempt; `false` if another one waits in this one's place.
fn wait_again(state: &mut State, callback: &Outgoing, replaced: &CancellationToken) -> bool {
    if !callback.is_of_document() {
        return true;
    }
    let Some(envelope) = state.envelope_mut(&callback.envelope_id) else { return false };
    let waits = envelope.scrive.queue.join_again(replaced.clone());
    state.tally.replaced += u64::from(!waits);
    waits
}

/// Counts an attempt and what it does to the account's URL.
fn note_attempt(world: &World, callback: &Outgoing, answer: Answer, answered_before: bool) {
    world.change(|s| {
        match answer {
            Answer::Acknowledged => s.tally.acknowledged += 1,
            Answer::Refused(_) => s.tally.refused += 1,
            Answer::Unreachable => s.tally.unreachable += 1,
        }
        if answered_before && answer != Answer::Unreachable {
            s.tally.repeats += 1;
        }
        if callback.settles
            && let Some(envelope) = s.envelope_mut(&callback.envelope_id)
        {
            envelope.final_attempts += 1;
        }
        let Some(account) = s.accounts.get_mut(&callback.account_id) else { return };
        if answer == Answer::Acknowledged {
            account.consecutive_failures = 0;
            return;
        }
        account.consecutive_failures += 1;
        let forgets = world.clear_callback_url && callback.vendor == Vendor::DropboxSign;
        if forgets && account.consecutive_failures >= CLEARING_FAILURES {
            account.callback_url = None;
        }
    });
}

/// The callback is through: acknowledged, given up or silenced.
fn conclude(state: &mut State, callback: &Outgoing, acknowledged: bool) {
    if let Some(envelope) = state.envelope_mut(&callback.envelope_id) {
        let told = acknowledged && callback.is_final;
        envelope.announced |= told;
        envelope.announced_before_extension |= told && envelope.scrive.extended_at.is_none();
        envelope.settled |= callback.settles;
    }
}

/// One attempt; the end of the world interrupts it.
async fn attempt(world: &World, callback: &Outgoing) -> Answer {
    tokio::select! {
        answer = exchange(world, callback) => answer,
        () = world.stopping.cancelled() => Answer::Unreachable,
    }
}

async fn exchange(world: &World, callback: &Outgoing) -> Answer {
    let Ok(_permit) = ATTEMPTS.acquire().await else { return Answer::Unreachable };
    let Some(request) = request(world, callback) else { return Answer::Unreachable };
    let timeout = world.pace.seconds(answer_timeout_seconds(callback)).max(ANSWER_TIMEOUT_REAL_MIN);
    let Ok(mut response) = request.timeout(timeout).send().await else { return Answer::Unreachable };
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    let acknowledged = match callback.vendor {
        Vendor::DropboxSign => {
            status == reqwest::StatusCode::OK
                && body
                    .windows(DROPBOX_SIGN_ACKNOWLEDGEMENT.len())
                    .any(|window| window == DROPBOX_SIGN_ACKNOWLEDGEMENT)
        }
        Vendor::ESignAnyWhere | Vendor::OneSpan | Vendor::Scrive | Vendor::ScriveFlow => status.is_success(),
    };
    if acknowledged { Answer::Acknowledged } else { Answer::Refused(status.as_u16()) }
}

/// `None` if what would speak is gone.
fn request(world: &World, callback: &Outgoing) -> Option<reqwest::RequestBuilder> {
    Some(match &callback.wire {
        Wire::Get { url, .. } => world.http.get(url),
        Wire::Form { url, boundary, body, content_sha256 } => world
            .http
            .post(url)
            .header("accept", "*/*")
            .header("user-agent", "Dropbox Sign API")
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .header("content-sha256", content_sha256)
            .body(body.clone()),
        Wire::ScriveDocument { url } => world
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
            .body(scrive::document_form(world, &callback.envelope_id)?),
        Wire::ScriveFlow { url, body } => {
            world.http.post(url).header("content-type", "application/json").body(body.clone())
        }
        Wire::OneSpan { url, key, body } => {
            let request = world
                .http
                .post(url)
                .header("accept-encoding", "gzip,deflate")
                .header("user-agent", "")
                .header("content-type", "application/json; charset=utf-8")
                .body(body.clone());
            match key {
                Some(key) => request.header("authorization", format!("Basic {key}")),
                None => request,
            }
        }
    })
}

fn answer_timeout_seconds(callback: &Outgoing) -> f64 {
    match callback.wire {
        Wire::ScriveDocument { .. } => SCRIVE_DOCUMENT_TIMEOUT_SECONDS,
        Wire::OneSpan { .. } => ONESPAN_TIMEOUT_SECONDS,
        _ => ANSWER_TIMEOUT_SECONDS,
    }
}

/// Why a callback failed, as a person reads it.
fn failure(answer: Answer) -> String {
    match answer {
        Answer::Refused(status) => format!("The server answered with HTTP status {status}"),
        _ => format!(
            "The server could not be reached or did not answer within {ONESPAN_TIMEOUT_SECONDS} seconds"
        ),
    }
}

impl World {
    async fn pace_pause_seconds(&self, seconds: f64) -> bool {
        self.pause(self.pace.seconds(seconds)).await
    }
}

/// Counts a callback as pending for as long as it lives.
struct PendingGuard {
    world: Arc<World>,
}

impl PendingGuard {
    fn new(world: Arc<World>) -> PendingGuard {
        world.change(|s| s.pending_callbacks += 1);
        PendingGuard { world }
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.world.change(|s| s.pending_callbacks -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::retry_after_minutes;
    use crate::config::Vendor;

    fn schedule(vendor: Vendor) -> Vec<f64> {
        (1..).map_while(|failed| retry_after_minutes(vendor, failed)).collect()
    }

    #[test]
    fn the_schedules_add_up_to_what_the_platforms_say() {
        let dropbox = schedule(Vendor::DropboxSign);
        assert_eq!((dropbox.len(), dropbox.iter().sum::<f64>()), (6, 1820.0));
        assert!(schedule(Vendor::OneSpan).is_empty());
        let esaw = schedule(Vendor::ESignAnyWhere);
        assert_eq!((esaw.len(), esaw.iter().sum::<f64>()), (29, 2175.0));
        for vendor in [Vendor::Scrive, Vendor::ScriveFlow] {
            let scrive = schedule(vendor);
            assert_eq!((scrive.len(), scrive.iter().sum::<f64>()), (9, 1425.0));
        }
    }
}
