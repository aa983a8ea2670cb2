//! One request from its head to its answer.
//!
//! The order is the point: path secret before anything else is looked at, size before the body is read,
//! authentication before anything is kept, durable before acknowledged. An adapter that panics cannot lose a
//! callback: what passed authentication is then kept in quarantine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use aftersign_core::callback::{Inbound, Refusal, Reply};
use aftersign_core::seams::{Clock, Entropy};
use aftersign_core::secret::Secret;
use aftersign_store::{Inbox, Noted, StoreError};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use hyper::body::{Body, Incoming};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::account::{Account, Accounts, Found, IntakeAccount};
use crate::answer::{self, Answer, Obstacle};
use crate::body::{self, BodyError, Budget};
use crate::fallback::{Beside, Fallback};
use crate::limits::{FAILURE_LOG_EVERY, IntakeConfig, NOTE_DOWN_TIMEOUT};
use crate::metrics::IntakeMetrics;
use crate::route::CALLBACKS;

/// The front door.
pub struct Intake {
    accounts: RwLock<Arc<Accounts>>,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pub(crate) metrics: IntakeMetrics,
    pub(crate) config: IntakeConfig,
    places: Semaphore,
    bodies: Arc<Budget>,
    beside: Option<Beside>,
    begun: Instant,
    failure_logged: AtomicU64,
}

/// Where a request ended, if not with an acknowledgement.
enum End {
    Refused(Refusal),
    TooLarge,
    BodyTimeout,
    BodyBroken,
    Unavailable(Obstacle),
}

impl From<Obstacle> for End {
    fn from(obstacle: Obstacle) -> Self {
        Self::Unavailable(obstacle)
    }
}

impl Intake {
    /// A front door for these accounts.
    pub fn new(
        accounts: Vec<IntakeAccount>,
        inbox: Arc<dyn Inbox>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: IntakeMetrics,
        config: IntakeConfig,
    ) -> Self {
        let accounts = Accounts::new(accounts, &metrics, &*entropy);
        Self {
            accounts: RwLock::new(Arc::new(accounts)),
            inbox,
            clock,
            entropy,
            metrics,
            config,
            places: Semaphore::new(config.limits.requests_max),
            bodies: Budget::new(config.limits.bodies_bytes_max),
            beside: None,
            begun: Instant::now(),
            failure_logged: AtomicU64::new(0),
        }
    }

    /// The same door, which hands what is no callback to `fallback` instead of answering 404.
    #[must_use]
    pub fn with_fallback(self, fallback: Fallback) -> Self {
        Self { beside: Some(Beside::new(fallback)), ..self }
    }

    /// Replaces all accounts. Requests under way finish with those they began with.
    pub fn set_accounts(&self, accounts: Vec<IntakeAccount>) {
        let accounts = Arc::new(Accounts::new(accounts, &self.metrics, &*self.entropy));
        *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>, remote: &str) -> Answer {
        let begun = Instant::now();
        let _counted = self.metrics.request();
        if let Some(beside) = &self.beside
            && !request.uri().path().starts_with(CALLBACKS)
        {
            return beside.answer(request).await;
        }
        let (head, mut body) = request.into_parts();
        let accounts = Arc::clone(&self.accounts.read().unwrap_or_else(PoisonError::into_inner));
        let query = head.uri.query().unwrap_or_default();
        let Some(Found { account, channel, draft_secret }) = accounts.find(head.uri.path(), query) else {
            linger(body, &head.headers);
            return answer::not_found();
        };
        let quick = match head.method {
            // A password does not stand in URLs that every sender can read, so a draft's have their own secret alone.
            Method::GET | Method::POST | Method::HEAD
                if draft_secret.is_none() && !account.admits(&head.headers) =>
            {
                account.metrics.refused(Refusal::Unauthorized);
                Some(answer::refused(Refusal::Unauthorized))
            }
            Method::GET | Method::POST => None,
            Method::HEAD => {
                account.metrics.rare("probed", "");
                Some(answer::probed())
            }
            _ => {
                account.metrics.rare("method_not_allowed", "");
                Some(answer::method_not_allowed())
            }
        };
        if let Some(answer) = quick {
            linger(body, &head.headers);
            return answer;
        }
        let inbound = Inbound {
            method: head.method,
            channel: channel.map(str::to_owned),
            query: query.to_owned(),
            headers: head.headers,
            body: Bytes::new(),
        };
        let expects = inbound.headers.contains_key(header::EXPECT);
        let taken = tokio::time::timeout(
            self.config.limits.request_timeout,
            self.take(&account, draft_secret, inbound, &mut body, remote),
        );
        let end = match taken.await {
            Ok(Ok(reply)) => {
                account.metrics.acknowledgement.observe(begun.elapsed().as_secs_f64());
                return answer::acknowledgement(reply);
            }
            Ok(Err(end)) => end,
            Err(_) => End::Unavailable(Obstacle::Timeout),
        };
        if !expects && matches!(end, End::TooLarge | End::Unavailable(_)) && !body.is_end_stream() {
            tokio::spawn(body::discard(body));
        }
        debug!(account = %account.id, duration_ms = begun.elapsed().as_millis(), "a callback was not taken");
        self.turn_away(&account, end)
    }

    /// Takes a callback whose path secret is right: reads, authenticates, interprets, notes down.
    async fn take(
        &self,
        account: &Account,
        draft_secret: Option<Secret>,
        mut inbound: Inbound,
        body: &mut Incoming,
        remote: &str,
    ) -> Result<Reply, End> {
        let _place = self.places.try_acquire().map_err(|_| Obstacle::Busy)?;
        let bytes_max = account.platform.body_bytes_max();
        let read = body::read(body, bytes_max, &self.bodies);
        let (bytes, _share) = match tokio::time::timeout(self.config.limits.body_timeout, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(BodyError::TooLarge)) => return Err(End::TooLarge),
            Ok(Err(BodyError::NoRoom)) => return Err(Obstacle::NoRoom.into()),
            Ok(Err(BodyError::Broken)) => return Err(End::BodyBroken),
            Err(_) => return Err(End::BodyTimeout),
        };
        inbound.body = bytes;
        let recorder = &account.recorder;
        recorder
            .guarded("authenticate", || account.platform.authenticate(&inbound, &account.secrets))
            .ok_or(Obstacle::AdapterFailed)?
            .map_err(End::Refused)?;
        let without = draft_secret.map(|secret| recorder.without(secret));
        let recorder = without.as_ref().unwrap_or(recorder);
        let callback = recorder.record(&inbound, remote, self.clock.now(), &*self.entropy);
        let quarantined = callback.quarantine_reason.is_some();
        let id = callback.id;
        let noted = tokio::time::timeout(NOTE_DOWN_TIMEOUT, self.inbox.note_down(callback))
            .await
            .map_err(|_| Obstacle::StoreTimeout)?
            .map_err(|failure| self.obstacle(account, &failure))?;
        match noted {
            Noted::Repeat => account.metrics.repeat.inc(),
            Noted::First if quarantined => account.metrics.quarantined.inc(),
            Noted::First => account.metrics.noted.inc(),
        };
        debug!(account = %account.id, callback.id = %id, ?noted, quarantined, "a callback was noted down");
        let reply = recorder.guarded("acknowledge", || account.platform.acknowledge(&inbound));
        Ok(reply.ok_or(Obstacle::AdapterFailed)?)
    }

    fn turn_away(&self, account: &Account, end: End) -> Answer {
        match end {
            End::Refused(refusal) => {
                account.metrics.refused(refusal);
                answer::refused(refusal)
            }
            End::TooLarge => {
                account.metrics.rare("too_large", "");
                answer::too_large()
            }
            End::BodyTimeout => {
                account.metrics.rare("timeout", "body");
                answer::too_slow()
            }
            End::BodyBroken => {
                account.metrics.rare("broken", "body");
                answer::broken()
            }
            End::Unavailable(obstacle) => {
                account.metrics.rare("unavailable", obstacle.as_str());
                answer::unavailable()
            }
        }
    }

    fn obstacle(&self, account: &Account, failure: &StoreError) -> Obstacle {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.failure_logged.load(Ordering::Relaxed);
        let every = u64::try_from(FAILURE_LOG_EVERY.as_millis()).unwrap_or(u64::MAX);
        let due = last == 0 || now.saturating_sub(last) >= every;
        let swapped =
            self.failure_logged.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        if due && swapped.is_ok() {
            let source = std::error::Error::source(failure).map(ToString::to_string);
            warn!(account = %account.id, error = %failure, source, "callbacks are answered 503");
        }
        match failure {
            StoreError::Overloaded { .. } => Obstacle::StoreOverloaded,
            _ => Obstacle::StoreUnavailable,
        }
    }
}

/// After an early answer, reads on what the client may still be writing. Not if it waits for `100 Continue`:
/// reading would invite it to send.
pub(crate) fn linger(body: Incoming, headers: &HeaderMap) {
    if !body.is_end_stream() && !headers.contains_key(header::EXPECT) {
        tokio::spawn(body::discard(body));
    }
}
