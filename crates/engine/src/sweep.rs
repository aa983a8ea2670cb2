//! Sweeps: what no callback announced is found by asking the platform for its list.
//!
//! A sweep makes no decisions of its own. Where the platform's list differs from what we know, it announces the
//! difference through the projector's door, and looks once at every envelope that we hold as unfinished. Where a
//! platform shows envelopes to their senders alone, it asks in the name of each of them too.

mod told;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::callback::{Notification, NotificationKind};
use aftersign_core::envelope::{Envelope, Known};
use aftersign_core::grant::Holder;
use aftersign_core::ids::{AccountId, EnvelopeId, SenderId, SweepId};
use aftersign_core::platform::{Access, Call, Page, Platform, Window};
use aftersign_core::task::TaskDraft;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{NewsSource, StoreError, SweepRow};
use tokio_util::sync::CancellationToken;

use crate::behalf::{in_name_of, is_refusal};
use crate::limits::{
    FIRST_SWEEP_BACK, LOOK_EVERY, SENDER_PAGES_MAX, SWEEP_BATCH, SWEEP_GRANT_TRIES_MAX, SWEEP_OVERLAP,
    SWEEP_PAGE_TRIES_MAX, SWEEP_PAGES_MAX,
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
    /// Senders in whose names it asked too.
    pub senders: u64,
    /// Senders who were skipped because access in their names was refused: what only they see was not looked for. A list
    /// of senders that is refused counts as one.
    pub senders_refused: u64,
    /// Ended envelopes, not archived yet, that the platform will soon remove by itself.
    pub removed_soon: u64,
}

impl SweepReport {
    fn new(account: AccountId, since: Timestamp) -> Self {
        Self {
            account,
            since,
            seen: 0,
            found: 0,
            looked_at: 0,
            senders: 0,
            senders_refused: 0,
            removed_soon: 0,
        }
    }
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
            let sweep = self.sweep(&account, None, failures == 0, &|_| {});
            let Some(result) = shutdown.run_until_cancelled(sweep).await else {
                return;
            };
            failures = if result.is_ok() { 0 } else { failures + 1 };
            let Err(error) = result else { continue };
            let text = error.impersonal_chain();
            tracing::warn!(error = text, account = %id, failures, "a sweep failed; it is tried again");
            not_before = pace.retry_at(self.now(), failures + 4, None);
            if let Err(error) = self.tell_of_failures(&account, failures, &error).await {
                tracing::warn!(%error, account = %id, "cannot tell that the sweeps fail");
            }
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
        self.sweep(account, since, true, progress).await
    }

    /// `looks_anyway`: whether to look at what is unfinished also when a list fails. Once is enough: a sweep that fails is
    /// soon tried again, and the platform may be in trouble.
    async fn sweep(
        &self,
        account: &EngineAccount,
        since: Option<Timestamp>,
        looks_anyway: bool,
        progress: SweepProgress<'_>,
    ) -> Result<SweepReport, Error> {
        let id = SweepId::make(self.now(), &*self.entropy);
        let started_at = self.now();
        let last = self.store.last_finished(&account.access.account).await.map_err(stored)?;
        let back = |from: Timestamp, span| from.checked_sub(span).unwrap_or(Timestamp::MIN);
        let seamless = last.as_ref().map_or(back(started_at, FIRST_SWEEP_BACK), |last| last.until);
        let since = since.unwrap_or_else(|| match &last {
            Some(last) => back(last.until, SWEEP_OVERLAP),
            None => back(started_at, FIRST_SWEEP_BACK),
        });
        let mut report = SweepReport::new(account.access.account.clone(), since);
        let last_began_at = last.as_ref().map(|last| last.started_at);
        let sweep = Sweep { account, id, until: started_at, last_began_at, tries_max: SWEEP_PAGE_TRIES_MAX };
        let mut result = self.sweep_all(sweep, looks_anyway, &mut report, progress).await;
        if let Ok(refusal) = &result {
            // Before the record: it moves on from what was left out, and only the task remembers that.
            let told = self.tell_of_good_end(account, &report, refusal.as_ref()).await;
            result = told.map_err(stored).and(result);
        }
        let row = SweepRow {
            id,
            account: report.account.clone(),
            since,
            // A look at recent times only leaves a hole before it, where the next sweep must go on.
            until: if seamless < since { seamless } else { started_at },
            started_at,
            finished_at: result.is_ok().then(|| self.now()),
            seen: report.seen,
            found: report.found,
            error: result.as_ref().err().map(Error::impersonal_chain),
        };
        self.store.record_sweep(row).await.map_err(stored)?;
        result?;
        let labels = AccountLabels { account: report.account.as_str().into() };
        self.metrics.sweeps.get_or_create(&labels).inc();
        self.metrics.swept_differences.get_or_create(&labels).inc_by(report.found);
        self.metrics.senders_refused.get_or_create(&labels).inc_by(report.senders_refused);
        match self.watch_retention(account).await {
            Ok(count) => report.removed_soon = count,
            Err(error) => {
                let what = "cannot tell what the platform's retention will remove";
                tracing::warn!(error = error.chain(), account = %report.account, "{what}");
            }
        }
        Ok(report)
    }

    /// The account's own list, those of its senders, and a look at what is unfinished. Gives the first refusal of access in
    /// a sender's name, which does not fail the sweep.
    async fn sweep_all(
        &self,
        mut sweep: Sweep<'_>,
        looks_anyway: bool,
        report: &mut SweepReport,
        progress: SweepProgress<'_>,
    ) -> Result<Option<Error>, Error> {
        let Sweep { account, id, .. } = sweep;
        let own = match account.has_own_access() {
            true => self.sweep_pages(&sweep, &account.access, None, report, progress).await,
            false => Ok(()),
        };
        let mishaps = match own {
            Ok(()) => {
                let mut mishaps = self.sweep_senders(&mut sweep, report, progress).await;
                self.sweep_grants(&mut sweep, report, &mut mishaps, progress).await;
                mishaps
            }
            // Whoever cannot be asked for the account's own list is not asked for anybody's.
            Err(error) => Mishaps { failure: Some(error), refusal: None },
        };
        let looked = match mishaps.failure {
            Some(_) if !looks_anyway => Ok(()),
            _ => self.look_at_unsettled(account, id, report, progress).await.map_err(stored),
        };
        mishaps.failure.map_or(Ok(()), Err).and(looked).map(|()| mishaps.refusal)
    }

    /// The lists of the account's senders. What goes wrong for one does not end it for the others.
    async fn sweep_senders(
        &self,
        sweep: &mut Sweep<'_>,
        report: &mut SweepReport,
        progress: SweepProgress<'_>,
    ) -> Mishaps {
        let mut mishaps = Mishaps::default();
        let accesses = self.accesses_of_senders(sweep, report.since).await.unwrap_or_else(|error| {
            mishaps.note(error, report);
            Vec::new()
        });
        for access in accesses {
            match self.sweep_pages(sweep, &access, access.sender.as_deref(), report, progress).await {
                Ok(()) => report.senders += 1,
                Err(error) => mishaps.note(in_name_of(access.sender.as_deref(), error), report),
            }
            if mishaps.failure.is_some() {
                // A platform that is down is not waited for once per sender.
                sweep.tries_max = 1;
            }
        }
        mishaps
    }

    /// The lists of those who gave access. Who refuses it now is asked to give it again; that ends nobody else's.
    async fn sweep_grants(
        &self,
        sweep: &mut Sweep<'_>,
        report: &mut SweepReport,
        mishaps: &mut Mishaps,
        progress: SweepProgress<'_>,
    ) {
        let account = sweep.account;
        let rows = match self.store.grants(Some(&account.access.account)).await {
            Ok(rows) => rows,
            Err(error) => return mishaps.note(stored(error), report),
        };
        for row in rows {
            let since = report.since;
            // Who gave access just now may have sent much before that no callback told us of.
            let back = |from: Timestamp, span| from.checked_sub(span).unwrap_or(Timestamp::MIN);
            if sweep.last_began_at.is_none_or(|last| row.granted_at > last) {
                report.since = since.min(back(sweep.until, FIRST_SWEEP_BACK));
            }
            // Nor of what a grant that works again was refused for.
            if let Some(refused_at) = row.refused_at {
                report.since = report.since.min(back(refused_at, SWEEP_OVERLAP));
            }
            let swept = self.sweep_grant(sweep, &row.sender, report, progress).await;
            report.since = since;
            let holder = Holder::Sender(row.sender.clone());
            let key = TaskDraft::access_key(&report.account, &holder);
            let told = match swept {
                Ok(()) => {
                    report.senders += 1;
                    self.tell_of(account, key, None).await
                }
                Err(error) if error.kind() == ErrorKind::AccessRefused && *error.holder() == holder => {
                    report.senders_refused += 1;
                    let task = TaskDraft::access_needed(&report.account, &holder, String::new());
                    // Who gave it anew meanwhile is not asked again.
                    let is_refused = self.is_refused(account, &row.sender).await;
                    self.tell_of(account, key, is_refused.then_some(task)).await
                }
                Err(error) => {
                    mishaps.note(error, report);
                    Ok(())
                }
            };
            told.unwrap_or_else(|error| mishaps.note(stored(error), report));
            if mishaps.failure.is_some() {
                sweep.tries_max = 1;
            }
        }
    }

    async fn is_refused(&self, account: &EngineAccount, sender: &SenderId) -> bool {
        let rows = self.store.grants(Some(&account.access.account)).await.unwrap_or_default();
        rows.iter().any(|row| row.sender == *sender && row.refused_at.is_some())
    }

    async fn sweep_grant(
        &self,
        sweep: &Sweep<'_>,
        sender: &SenderId,
        report: &mut SweepReport,
        progress: SweepProgress<'_>,
    ) -> Result<(), Error> {
        let account = sweep.account;
        let platform = account.platform;
        let mut tries = 0;
        loop {
            tries += 1;
            let Some(granted) = self.granted(account, sender).await? else { return Ok(()) };
            // One cheap question first: it renews what can be renewed, and marks what is refused.
            let whoami = |access: Access| async move {
                self.caller.ask(platform, &access, |access| platform.whoami(access)).await
            };
            self.with_grant(account, granted, whoami).await?;
            let Some(granted) = self.granted(account, sender).await? else { return Ok(()) };
            let whose = Some(sender.as_str());
            match self.sweep_pages(sweep, &granted.access, whose, report, progress).await {
                // It ended in the middle: the question before a second try tells whether that is for good.
                Err(error) if error.kind() == ErrorKind::AccessRefused && tries < SWEEP_GRANT_TRIES_MAX => {}
                swept => return swept.map_err(|error| error.met_with(Holder::Sender(sender.clone()))),
            }
        }
    }

    /// The access of each sender in whose name something else may be seen than with the account's own.
    async fn accesses_of_senders(&self, sweep: &Sweep<'_>, since: Timestamp) -> Result<Vec<Access>, Error> {
        let platform = sweep.account.platform;
        if !platform.capabilities().per_sender || !sweep.account.has_own_access() {
            return Ok(Vec::new());
        }
        let senders = self.senders(sweep).await.map_err(|error| {
            let what = "the account's senders cannot be listed, so nothing is swept in their names";
            Error::new(error.kind(), error.remedy(), "sweep", what).caused_by(error)
        })?;
        let own = &sweep.account.access;
        let window = Window { since, until: sweep.until, cursor: None };
        let accesses = senders.into_iter().map(|sender| own.clone().for_sender(sender));
        Ok(accesses.filter(|access| !is_same_question(platform, own, access, &window)).collect())
    }

    /// The account's senders.
    async fn senders(&self, sweep: &Sweep<'_>) -> Result<BTreeSet<String>, Error> {
        let EngineAccount { platform, access, .. } = sweep.account;
        let (mut senders, mut cursor) = (BTreeSet::new(), None);
        for _ in 0..SENDER_PAGES_MAX {
            let ask = |access: &Access| platform.senders(access, cursor.as_deref());
            let page = self.patiently(sweep, access, ask).await?;
            senders.extend(page.items);
            match page.next {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                Some(_) => break,
                None => return Ok(senders),
            }
        }
        Err(in_circles("the platform's list of senders goes in circles"))
    }

    async fn sweep_pages(
        &self,
        sweep: &Sweep<'_>,
        access: &Access,
        whose: Option<&str>,
        report: &mut SweepReport,
        progress: SweepProgress<'_>,
    ) -> Result<(), Error> {
        let &Sweep { account, id, until, .. } = sweep;
        let mut window = Window { since: report.since, until, cursor: None };
        for _ in 0..SWEEP_PAGES_MAX {
            let ask = |access: &Access| account.platform.changed_since(access, &window);
            let mut page = self.patiently(sweep, access, ask).await?;
            for row in &mut page.items {
                // What is seen in a sender's name is theirs, unless the platform names another.
                row.sender = row.sender.take().or_else(|| whose.map(str::to_owned));
            }
            for rows in page.items.chunks(SWEEP_BATCH) {
                report.seen += u64::try_from(rows.len()).unwrap_or(0);
                report.found += self.announce_differences(account, id, rows).await.map_err(stored)?;
            }
            progress(report);
            match page.next {
                Some(next) if window.cursor.as_ref() != Some(&next) => window.cursor = Some(next),
                Some(_) => break,
                None => return Ok(()),
            }
        }
        Err(in_circles("the platform's list goes in circles"))
    }

    /// One page, tried again while the failure says that this can help.
    async fn patiently<T>(
        &self,
        sweep: &Sweep<'_>,
        access: &Access,
        make: impl Fn(&Access) -> Result<Call<Page<T>>, Error>,
    ) -> Result<Page<T>, Error> {
        let mut tries = 0;
        loop {
            let error = match self.caller.ask(sweep.account.platform, access, &make).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            tries += 1;
            let not_before = match error.remedy() {
                Remedy::Retry(not_before) if tries < sweep.tries_max => not_before,
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
            .filter_map(|row| news_of(row, known.iter().find(|known| known.id == row.id)))
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
                draft: None,
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
        let news = self.news(account, NewsSource::Sweep(sweep), notifications);
        self.store.announce(vec![news], self.now(), self.pace()).await
    }
}

/// One sweep.
struct Sweep<'a> {
    account: &'a EngineAccount,
    id: SweepId,
    /// To which time it asks.
    until: Timestamp,
    /// When the last one that ended well began.
    last_began_at: Option<Timestamp>,
    /// Tries of one page.
    tries_max: u32,
}

/// What went wrong in senders' names: the first of each kind.
#[derive(Default)]
struct Mishaps {
    /// Access was refused.
    refusal: Option<Error>,
    /// Anything else.
    failure: Option<Error>,
}

impl Mishaps {
    fn note(&mut self, error: Error, report: &mut SweepReport) {
        let what = "what only a sender sees is not swept";
        tracing::warn!(error = error.impersonal_chain(), account = %report.account, "{what}");
        let first = if is_refusal(&error) {
            report.senders_refused += 1;
            &mut self.refusal
        } else {
            &mut self.failure
        };
        first.get_or_insert(error);
    }
}

/// Whether a question in a sender's name is the account's own once more, as with credentials that can name nobody.
fn is_same_question(platform: &dyn Platform, own: &Access, sender: &Access, window: &Window) -> bool {
    if platform.token(sender).is_some() {
        return false;
    }
    let request = |access| platform.changed_since(access, window).map(|call| call.request);
    let (Ok(own), Ok(sender)) = (request(own), request(sender)) else { return false };
    own.uri() == sender.uri() && own.headers() == sender.headers() && own.body() == sender.body()
}

/// The news that a row of the platform's list is; `None` if it says what we know. What we archived and removed
/// ourselves is no news.
fn news_of(row: &Envelope, known: Option<&Known>) -> Option<Notification> {
    let ended = if row.status.is_final() { NotificationKind::Swept } else { NotificationKind::Informed };
    let kind = match known {
        None => ended,
        Some(known) if known.disposed_at.is_some() => return None,
        Some(known) if !known.confirmed || known.status != row.status => ended,
        Some(known) if is_revised(row, known) => NotificationKind::ArtifactsReady,
        Some(_) => return None,
    };
    let is_revision = kind == NotificationKind::ArtifactsReady;
    Some(Notification {
        envelope: row.id.clone(),
        kind,
        kind_at_platform: row.status_at_platform.clone(),
        // When the envelope ended says nothing of when its files were replaced.
        occurred_at: row.completed_at.filter(|_| !is_revision),
        signer: None,
        detail: None,
        sender: row.sender.clone(),
        name: row.name.clone(),
        draft: None,
    })
}

/// Whether the platform has replaced the files since its last answer.
fn is_revised(row: &Envelope, known: &Known) -> bool {
    match (&row.revision, &known.revision) {
        (Some(listed), Some(known)) => listed != known,
        // What was archived before the platform showed one may be any.
        (Some(_), None) => known.archived_at.is_some(),
        (None, _) => false,
    }
}

fn in_circles(what: &str) -> Error {
    Error::new(ErrorKind::Unintelligible, Remedy::Retry(None), "sweep", what)
}

pub(crate) fn stored(error: StoreError) -> Error {
    Error::new(ErrorKind::Storage, Remedy::Retry(None), "sweep", "the store failed").caused_by(error)
}

#[cfg(test)]
mod tests;
