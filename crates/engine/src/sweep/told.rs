//! What sweeps tell a person: that they fail, and what they leave out where access in senders' names is refused.
//!
//! A sweep's record moves on from what was left out. Since when that is so stands in the open task alone, in its advice,
//! from where it is read back.

use aftersign_core::callback::Notification;
use aftersign_core::ids::AccountId;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::{Error, Timestamp};
use aftersign_store::limits::PAGE_ROWS_MAX;
use aftersign_store::{News, NewsSource, PageRequest, StoreError};

use super::SweepReport;
use crate::limits::SWEEP_FAILURES_TOLD;
use crate::{Engine, EngineAccount};

/// What stands before the time from which a person should sweep again.
const SINCE: &str = " --since ";

impl Engine {
    /// A person is told when sweeps keep failing.
    pub(super) async fn tell_of_failures(
        &self,
        account: &EngineAccount,
        failures: u32,
        error: &Error,
    ) -> Result<(), StoreError> {
        if failures < SWEEP_FAILURES_TOLD {
            return Ok(());
        }
        let task = TaskDraft::for_account(
            TaskKind::SweepFailed,
            &account.access.account,
            format!(
                "Sweeps of this account fail, so what no callback announces is not found: {}",
                error.chain()
            ),
            "Run `aftersign check`; mend the access or the base_url. The task closes when a sweep ends well.",
        );
        self.tell_of(account, task.key.clone(), Some(task)).await
    }

    /// A sweep that ends well settles that sweeps fail. What it left out is told of until another one covers that.
    pub(super) async fn tell_of_good_end(
        &self,
        account: &EngineAccount,
        report: &SweepReport,
        refusal: Option<&Error>,
    ) -> Result<(), StoreError> {
        let mut news = self.news(account, NewsSource::Watch, Vec::new());
        news.close_tasks.push(TaskDraft::account_key(TaskKind::SweepFailed, &report.account));
        let since = self.left_out_since(&report.account).await?;
        match refusal {
            Some(refusal) => {
                let earliest = since.map_or(report.since, |since| since.min(report.since));
                news.open_tasks.push(left_out(report, earliest, refusal));
            }
            None if since.is_some_and(|since| report.since <= since) => {
                news.close_tasks.push(left_out_key(&report.account));
            }
            None => {}
        }
        self.store.announce(vec![news], self.now(), self.pace()).await
    }

    /// Since when the open task says that something is left out; `None` if there is no such task.
    async fn left_out_since(&self, account: &AccountId) -> Result<Option<Timestamp>, StoreError> {
        let mut page = PageRequest { cursor: None, limit: PAGE_ROWS_MAX };
        loop {
            let tasks = self.store.tasks(Some(true), &page).await?;
            let of_account = tasks
                .rows
                .iter()
                .filter(|task| task.kind == TaskKind::SweepFailed && task.account == *account);
            let since = of_account.filter_map(|task| since_in(&task.todo)).min();
            if since.is_some() || tasks.next_cursor.is_none() {
                return Ok(since);
            }
            page.cursor = tasks.next_cursor;
        }
    }

    /// Opens, or rewrites, the task of a key; closes it if there is nothing to tell.
    pub(crate) async fn tell_of(
        &self,
        account: &EngineAccount,
        key: String,
        task: Option<TaskDraft>,
    ) -> Result<(), StoreError> {
        let mut news = self.news(account, NewsSource::Watch, Vec::new());
        if task.is_none() {
            news.close_tasks.push(key);
        }
        news.open_tasks.extend(task);
        self.store.announce(vec![news], self.now(), self.pace()).await
    }

    pub(super) fn news(
        &self,
        account: &EngineAccount,
        source: NewsSource,
        notifications: Vec<Notification>,
    ) -> News {
        News {
            source,
            account: account.access.account.clone(),
            platform: account.platform.name().into(),
            notifications,
            open_tasks: Vec::new(),
            close_tasks: Vec::new(),
        }
    }
}

/// The key of the task about what is left out: beside that about sweeps that fail.
fn left_out_key(account: &AccountId) -> String {
    format!("{}/senders", TaskDraft::account_key(TaskKind::SweepFailed, account))
}

/// The task about what a sweep left out.
fn left_out(report: &SweepReport, since: Timestamp, refusal: &Error) -> TaskDraft {
    let account = &report.account;
    // Whole seconds, rounded down, can be typed.
    let since = format!("{since:.0}");
    let what = format!(
        "What only certain senders see has not been looked for since {since}: access in their names is refused ({} \
         refused in the last sweep; the first: {}).",
        report.senders_refused,
        refusal.chain()
    );
    let todo = format!(
        "Let the account list its senders and act in their names again, or remove those who left; then run `aftersign \
         reconcile --account {account}{SINCE}{since}` for what was missed. The task closes when a sweep from that time on \
         meets no refusal."
    );
    let task = TaskDraft::for_account(TaskKind::SweepFailed, account, what, &todo);
    TaskDraft { key: left_out_key(account), ..task }
}

/// The time from which [`left_out`]'s advice sweeps again.
fn since_in(todo: &str) -> Option<Timestamp> {
    let (_, since) = todo.split_once(SINCE)?;
    since.split('`').next()?.parse().ok()
}
