//! Transfer workers: claim what is due, do its steps, record each with its outcome.
//!
//! One loop per account keeps a slow or rate-limited platform from holding up the others. A claimed transfer
//! runs until it has to wait; every step is recorded durably before the next begins, under a lease that is
//! renewed meanwhile. Whoever loses the lease stops without a word: somebody else goes on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use aftersign_core::transfer::{Change, Outcome, Phase, Step, Transfer};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{Attempt, Claimed, Lease, StoreError};
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::limits::{LEASE, LEASE_RENEW_EVERY, LOOK_EVERY, LOOK_PAUSE, SHUTDOWN_WAIT, STORE_PAUSE};
use crate::metrics::StepLabels;
use crate::{Engine, EngineAccount, rest};

impl Engine {
    /// Carries the transfers of one account until shutdown.
    pub(crate) async fn run_account(self: Arc<Self>, account: EngineAccount, shutdown: CancellationToken) {
        let slots = self.workers_per_account;
        let mut commits = self.store.watch();
        let mut running: JoinSet<()> = JoinSet::new();
        while !shutdown.is_cancelled() {
            commits.mark_unchanged();
            let wait = match self.fill(&account, &mut running, slots, &shutdown).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, account = %account.access.account, "cannot claim transfers");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = running.join_next() => report(ended),
                changed = commits.changed(), if running.len() < slots => {
                    if changed.is_err() || rest(LOOK_PAUSE, &shutdown).await {
                        break;
                    }
                }
            }
        }
        let ended = tokio::time::timeout(SHUTDOWN_WAIT, async {
            while let Some(ended) = running.join_next().await {
                report(ended);
            }
        });
        if ended.await.is_err() {
            tracing::warn!(account = %account.access.account, "steps still run at shutdown; their leases end");
        }
    }

    /// Claims as many due transfers as there are free slots. Gives how long nothing else can be due.
    async fn fill(
        self: &Arc<Self>,
        account: &EngineAccount,
        running: &mut JoinSet<()>,
        slots: usize,
        shutdown: &CancellationToken,
    ) -> Result<std::time::Duration, StoreError> {
        let id = &account.access.account;
        while running.len() < slots {
            let now = self.now();
            match self.store.next_due(id).await? {
                Some(due) if due <= now => {}
                Some(due) => return Ok(until(now, due).min(LOOK_EVERY)),
                None => return Ok(LOOK_EVERY),
            }
            let free = slots - running.len();
            let claimed = self.store.claim(id, &self.worker, free, LEASE, now).await?;
            if claimed.is_empty() {
                return Ok(LOOK_PAUSE);
            }
            for claimed in claimed {
                let engine = Arc::clone(self);
                running.spawn(engine.carry(account.clone(), claimed, shutdown.clone()));
            }
        }
        Ok(LOOK_EVERY)
    }

    /// Does a claimed transfer's steps until it has to wait.
    async fn carry(self: Arc<Self>, account: EngineAccount, claimed: Claimed, shutdown: CancellationToken) {
        let Claimed { mut transfer, mut lease } = claimed;
        let id = transfer.id;
        loop {
            let step = transfer.next(self.now());
            let result = match step {
                Step::Wait(_) => self.let_go(&lease, transfer).await.map(|_| None),
                _ if shutdown.is_cancelled() => self.let_go(&lease, transfer).await.map(|_| None),
                step => self.step(&account, &mut lease, transfer, step).await.map(Some),
            };
            match result {
                Ok(Some(next)) => transfer = next,
                Ok(None) => return,
                Err(StoreError::LeaseLost) => {
                    tracing::info!(transfer = %id, "another worker goes on with this transfer");
                    return;
                }
                Err(error) => {
                    tracing::warn!(transfer = %id, %error, "cannot record a step; it will run again");
                    rest(STORE_PAUSE, &shutdown).await;
                    return;
                }
            }
        }
    }

    async fn let_go(&self, lease: &Lease, transfer: Transfer) -> Result<Transfer, StoreError> {
        self.store.record(lease, transfer, Change::default(), None, false, self.now()).await
    }

    /// Does one step and records it.
    async fn step(
        &self,
        account: &EngineAccount,
        lease: &mut Lease,
        mut transfer: Transfer,
        step: Step,
    ) -> Result<Transfer, StoreError> {
        if matches!(step, Step::Dispose(_)) && transfer.disposal_asked_at.is_none() {
            // Whoever comes after a crash must know that "not found" can be our own doing.
            transfer.disposal_asked_at = Some(self.now());
            // What woke the transfer meanwhile may have something against it: decide again.
            return self.store.record(lease, transfer, Change::default(), None, true, self.now()).await;
        }
        let started_at = self.now();
        let outcome = self.perform_under_lease(account, lease, &transfer, &step).await?;
        let attempt = self.attempt(account, &transfer, &step, &outcome, started_at);
        let change = transfer.apply(outcome, self.now(), &self.pace());
        let transfer = self.store.record(lease, transfer, change, Some(attempt), true, self.now()).await?;
        if !matches!(transfer.phase, Phase::Ask | Phase::List | Phase::Carry) {
            self.staging.clear(transfer.id).await;
        }
        Ok(transfer)
    }

    /// Does a step while its lease is renewed.
    async fn perform_under_lease(
        &self,
        account: &EngineAccount,
        lease: &mut Lease,
        transfer: &Transfer,
        step: &Step,
    ) -> Result<Outcome, StoreError> {
        let performing = AssertUnwindSafe(self.perform(account, transfer, step)).catch_unwind();
        let mut performing = std::pin::pin!(performing);
        loop {
            tokio::select! {
                outcome = &mut performing => return Ok(outcome.unwrap_or_else(|_| broke_off(step))),
                () = tokio::time::sleep(LEASE_RENEW_EVERY) => {
                    let until = self.now().checked_add(LEASE).unwrap_or(Timestamp::MAX);
                    *lease = self.store.renew(lease, until).await?;
                }
            }
        }
    }

    fn attempt(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        step: &Step,
        outcome: &Outcome,
        started_at: Timestamp,
    ) -> Attempt {
        let duration_ms = u64::try_from((self.now() - started_at).get_milliseconds()).unwrap_or(0);
        let failure = if let Outcome::Failed(error) = outcome { Some(error) } else { None };
        let labels = StepLabels {
            account: account.access.account.as_str().into(),
            step: step.as_str(),
            outcome: match outcome {
                Outcome::StillRefused(_) => "still_refused",
                _ => failure.map_or("ok", |error| error.kind().as_str()),
            },
        };
        self.metrics.steps.get_or_create(&labels).inc();
        let subject = subject(transfer, step);
        match failure {
            Some(error) => tracing::info!(
                account = %transfer.account, envelope.id = %transfer.envelope_id, step = step.as_str(),
                subject, duration_ms, failures = transfer.failures, error = error.impersonal_chain(), "step failed"
            ),
            None => tracing::debug!(
                account = %transfer.account, envelope.id = %transfer.envelope_id, step = step.as_str(),
                subject, duration_ms, "step done"
            ),
        }
        Attempt {
            step: step.as_str().into(),
            subject,
            started_at,
            duration_ms,
            error: failure.map(Error::chain),
        }
    }

    /// Removes what transfers that ended, or are unknown, left in staging.
    pub(crate) async fn sweep_staging(&self) {
        let transfers = match self.staging.transfers().await {
            Ok(transfers) => transfers,
            Err(error) => return tracing::warn!(%error, "cannot read the staging folder"),
        };
        for id in transfers {
            let keep = match self.store.transfer(id).await {
                Ok(found) => found.is_some_and(|(transfer, _)| {
                    matches!(transfer.phase, Phase::Ask | Phase::List | Phase::Carry)
                }),
                Err(_) => true,
            };
            if !keep {
                self.staging.clear(id).await;
            }
        }
    }
}

/// A step that panics would do so again and again: a person must look.
fn broke_off(step: &Step) -> Outcome {
    let what = format!("the step `{}` broke off; the log says where", step.as_str());
    Outcome::Failed(Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, "step", what))
}

fn subject(transfer: &Transfer, step: &Step) -> String {
    let name = |index: &usize| transfer.items.get(*index).map_or("?", |item| &item.file_name).to_string();
    match step {
        Step::Download(index) => name(index),
        Step::Deliver(index, destination) | Step::Verify(index, destination) => {
            format!("{} → {destination}", name(index))
        }
        Step::Wait(_) | Step::Ask | Step::List | Step::Compose | Step::Dispose(_) | Step::Stuck(_) => {
            String::new()
        }
    }
}

fn until(now: Timestamp, due: Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(due - now).unwrap_or(LOOK_PAUSE).max(std::time::Duration::from_millis(1))
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a worker broke off; the lease of its transfer ends and another goes on");
    }
}
