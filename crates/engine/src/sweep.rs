//! Sweeps: what no callback announced is found by asking the platform for its list.
//!
//! A sweep makes no decisions of its own. Where the platform's list differs from what we know, it announces the
//! difference through the projector's door, and looks once at every envelope that we hold as unfinished.

use std::sync::Arc;
use std::time::Duration;

use aftersign_core::callback::{Notification, NotificationKind};
use aftersign_core::envelope::{Envelope, Known};
use aftersign_core::ids::{AccountId, EnvelopeId, SweepId};
use aftersign_core::platform::{Page, Window};
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{News, NewsSource, StoreError, SweepRow};
use tokio_util::sync::CancellationToken;

use crate::limits::{
    FIRST_SWEEP_BACK, LOOK_EVERY, SWEEP_BATCH, SWEEP_FAILURES_TOLD, SWEEP_OVERLAP, SWEEP_PAGE_TRIES_MAX,
    SWEEP_PAGES_MAX,
};
use crate::metrics::AccountLabels;
use crate::{Engine, EngineAccount, rest};

/// What a sweep did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SweepReport {
    /// The account.
    pub account: AccountId,
    /// From which time it asked.
    pub since: Timestamp,
    /// Rows of the platform's list.
    pub seen: u64,
    /// Rows that differ from what we knew, now announced.
    pub found: u64,
    /// Unfinished envelopes that will be looked at.
    pub looked_at: u64,
}

/// Called with the counts so far, for a progress bar.
pub type SweepProgress<'a> = &'a (dyn Fn(&SweepReport) + Send + Sync);

impl Engine {
    pub(crate) async fn run_sweeps(self: Arc<Self>, account: EngineAccount, shutdown: CancellationToken) {
        let id = account.access.account.clone();
        let pace = self.pace();
        let mut not_before = self.now();
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let last = match self.store.last_finished(&id).await {
                Ok(last) => last,
                Err(error) => {
                    tracing::warn!(%error, account = %id, "cannot read when the last sweep was");
                    if rest(LOOK_EVERY, &shutdown).await {
                        return;
                    }
                    continue;
                }
            };
            let due = last.map_or(self.now(), |last| pace.after(last.started_at, account.reconcile_every));
            let wait = Duration::try_from(due.max(not_before) - self.now()).unwrap_or(Duration::ZERO);
            if rest(wait, &shutdown).await {
                return;
            }
            // A sweep that is broken off is simply done again: it only announces.
            let Some(result) = shutdown.run_until_cancelled(self.sweep(&account, None, &|_| {})).await else {
                return;
            };
            failures = if result.is_ok() { 0 } else { failures + 1 };
            if let Err(error) = &result {
                tracing::warn!(error = error.chain(), account = %id, failures, "a sweep failed; it is tried again");
                not_before = pace.retry_at(self.now(), failures + 4, None);
            }
            if let Err(error) = self.tell_of_sweeps(&account, failures, result.err()).await {
                tracing::warn!(%error, account = %id, "cannot record how the sweeps go");
            }
        }
    }

    /// A person is told when sweeps keep failing, and the task is settled by one that ends well.
    async fn tell_of_sweeps(
        &self,
        account: &EngineAccount,
        failures: u32,
        error: Option<Error>,
    ) -> Result<(), StoreError> {
        let id = &account.access.account;
        let mut news = self.news(account, SweepId::make(self.now(), &*self.entropy), Vec::new());
        match error {
            None => news.close_tasks.push(TaskDraft::account_key(TaskKind::SweepFailed, id)),
            Some(error) if failures >= SWEEP_FAILURES_TOLD => news.open_tasks.push(TaskDraft::for_account(
                TaskKind::SweepFailed,
                id,
                format!("Sweeps of this account fail, so what no callback announces is not found: {}", error.chain()),
                "Run `aftersign check`; mend the access or the base_url. The task closes when a sweep ends well.",
            )),
            Some(_) => return Ok(()),
        }
        self.store.announce(vec![news], self.now(), self.pace()).await
    }

    fn news(&self, account: &EngineAccount, sweep: SweepId, notifications: Vec<Notification>) -> News {
        News {
            source: NewsSource::Sweep(sweep),
            account: account.access.account.clone(),
            platform: account.platform.name().into(),
            notifications,
            open_tasks: Vec::new(),
            close_tasks: Vec::new(),
        }
    }

    /// Sweeps one account now, from `since` or from the last sweep on.
    ///
    /// # Errors
    /// The platform's or the store's failure, after bounded tries; the sweep's record says so too.
    pub async fn reconcile(
        &self,
        account: &AccountId,
        since: Option<Timestamp>,
        progress: SweepProgress<'_>,
    ) -> Result<SweepReport, Error> {
        let account =
            self.accounts.iter().find(|known| known.access.account == *account).ok_or_else(|| {
                Error::new(
                    ErrorKind::Misconfigured,
                    Remedy::AskPerson,
                    "reconcile",
                    "there is no such account",
                )
                .with("account", account)
            })?;
        self.sweep(account, since, progress).await
    }

    async fn sweep(
        &self,
        account: &EngineAccount,
        since: Option<Timestamp>,
        progress: SweepProgress<'_>,
    ) -> Result<SweepReport, Error> {
        let id = SweepId::make(self.now(), &*self.entropy);
        let started_at = self.now();
        let last = self.store.last_finished(&account.access.account).await.map_err(stored)?;
        let back = |from: Timestamp, span| from.checked_sub(span).unwrap_or(Timestamp::MIN);
        let seamless = last.as_ref().map(|last| last.until);
        let since = since.unwrap_or_else(|| match &last {
            Some(last) => back(last.until, SWEEP_OVERLAP),
            None => back(started_at, FIRST_SWEEP_BACK),
        });
        let mut report =
            SweepReport { account: account.access.account.clone(), since, seen: 0, found: 0, looked_at: 0 };
        let result = self.sweep_pages(account, id, started_at, &mut report, progress).await;
        let row = SweepRow {
            id,
            account: report.account.clone(),
            since,
            // A look at recent times only leaves a hole before it, where the next sweep must go on.
            until: seamless.filter(|until| *until < since).unwrap_or(started_at),
            started_at,
            finished_at: result.is_ok().then(|| self.now()),
            seen: report.seen,
            found: report.found,
            error: result.as_ref().err().map(Error::chain),
        };
        self.store.record_sweep(row).await.map_err(stored)?;
        result?;
        let labels = AccountLabels { account: report.account.as_str().into() };
        self.metrics.sweeps.get_or_create(&labels).inc();
        self.metrics.swept_differences.get_or_create(&labels).inc_by(report.found);
        Ok(report)
    }

    async fn sweep_pages(
        &self,
        account: &EngineAccount,
        id: SweepId,
        until: Timestamp,
        report: &mut SweepReport,
        progress: SweepProgress<'_>,
    ) -> Result<(), Error> {
        let mut window = Window { since: report.since, until, cursor: None };
        for _ in 0..SWEEP_PAGES_MAX {
            let page = self.page(account, &window).await?;
            for rows in page.items.chunks(SWEEP_BATCH) {
                report.seen += u64::try_from(rows.len()).unwrap_or(0);
                report.found += self.announce_differences(account, id, rows).await.map_err(stored)?;
            }
            progress(report);
            match page.next {
                Some(next) if window.cursor.as_ref() != Some(&next) => window.cursor = Some(next),
                Some(_) => break,
                None => return self.look_at_unsettled(account, id, report, progress).await.map_err(stored),
            }
        }
        Err(Error::new(
            ErrorKind::Unintelligible,
            Remedy::Retry(None),
            "sweep",
            "the platform's list goes in circles",
        ))
    }

    /// One page, tried again while the failure says that this can help.
    async fn page(&self, account: &EngineAccount, window: &Window) -> Result<Page<Envelope>, Error> {
        let mut tries = 0;
        loop {
            let call = account.platform.changed_since(&account.access, window);
            let error = match self.ask(&account.access, call).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            tries += 1;
            let not_before = match error.remedy() {
                Remedy::Retry(not_before) if tries < SWEEP_PAGE_TRIES_MAX => not_before,
                _ => return Err(error),
            };
            let at = self.pace().retry_at(self.now(), tries, not_before);
            tokio::time::sleep(Duration::try_from(at - self.now()).unwrap_or(Duration::ZERO)).await;
        }
    }

    async fn announce_differences(
        &self,
        account: &EngineAccount,
        sweep: SweepId,
        rows: &[Envelope],
    ) -> Result<u64, StoreError> {
        let ids: Vec<EnvelopeId> = rows.iter().map(|row| row.id.clone()).collect();
        let known = self.store.known(&account.access.account, &ids).await?;
        let different: Vec<Notification> = rows
            .iter()
            .filter(|row| differs(row, known.iter().find(|known| known.id == row.id)))
            .map(notification)
            .collect();
        let count = u64::try_from(different.len()).unwrap_or(0);
        self.announce_swept(account, sweep, different).await?;
        Ok(count)
    }

    /// A direct look at what lists may miss: indexes lag, and some lists cannot be asked for changes.
    async fn look_at_unsettled(
        &self,
        account: &EngineAccount,
        sweep: SweepId,
        report: &mut SweepReport,
        progress: SweepProgress<'_>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let ids = self.store.unsettled(&account.access.account, after.as_ref(), SWEEP_BATCH).await?;
            let Some(last) = ids.last().cloned() else { return Ok(()) };
            report.looked_at += u64::try_from(ids.len()).unwrap_or(0);
            let looks = ids.into_iter().map(|envelope| Notification {
                envelope,
                kind: NotificationKind::Informed,
                kind_at_platform: "look".into(),
                occurred_at: None,
                signer: None,
                detail: None,
                sender: None,
                name: None,
            });
            self.announce_swept(account, sweep, looks.collect()).await?;
            progress(report);
            after = Some(last);
        }
    }

    async fn announce_swept(
        &self,
        account: &EngineAccount,
        sweep: SweepId,
        notifications: Vec<Notification>,
    ) -> Result<(), StoreError> {
        if notifications.is_empty() {
            return Ok(());
        }
        let news = self.news(account, sweep, notifications);
        self.store.announce(vec![news], self.now(), self.pace()).await
    }
}

/// Whether a row of the platform's list is news. What we archived and removed ourselves is not.
fn differs(row: &Envelope, known: Option<&Known>) -> bool {
    match known {
        None => true,
        Some(known) if known.disposed_at.is_some() => false,
        Some(known) => !known.confirmed || known.status != row.status,
    }
}

fn notification(row: &Envelope) -> Notification {
    Notification {
        envelope: row.id.clone(),
        kind: if row.status.is_final() { NotificationKind::Swept } else { NotificationKind::Informed },
        kind_at_platform: row.status_at_platform.clone(),
        occurred_at: row.completed_at,
        signer: None,
        detail: None,
        sender: row.sender.clone(),
        name: row.name.clone(),
    }
}

fn stored(error: StoreError) -> Error {
    Error::new(ErrorKind::Storage, Remedy::Retry(None), "sweep", "the store failed").caused_by(error)
}
