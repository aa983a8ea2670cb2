//! Retention: platforms remove envelopes of their own accord, archived or not.
//!
//! Nothing is hurried here: a transfer that could go on goes on already. A person is told in time of those that cannot.

use std::time::Duration;

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::AccountId;
use aftersign_core::platform::Retention;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::{Error, Timestamp};
use aftersign_store::Unarchived;

use crate::limits::{RETENTION_MARGIN, RETENTION_MARGIN_SHARE};
use crate::sweep::stored;
use crate::{Engine, EngineAccount};

impl Engine {
    /// Opens or closes the account's task about what the platform will soon remove. Gives how many envelopes it is.
    pub(crate) async fn watch_retention(&self, account: &EngineAccount) -> Result<u64, Error> {
        let id = &account.access.account;
        let now = self.now();
        let mut waiting = Vec::new();
        for (status, days) in days(account.retention_days, self.told(account).await?) {
            let found = self.store.unarchived(id, status, warned_before(days, now)).await.map_err(stored)?;
            waiting.push((days, found));
        }
        let task = task(id, &waiting, now);
        self.tell_of(account, TaskKind::RetentionNear, task).await.map_err(stored)?;
        Ok(waiting.iter().map(|(_, found)| found.count).sum())
    }

    /// What the platform says of its retention, where it says something and nobody knows better.
    async fn told(&self, account: &EngineAccount) -> Result<Retention, Error> {
        let platform = account.platform;
        if account.retention_days.is_some() || !platform.capabilities().retention {
            return Ok(Retention::default());
        }
        self.caller.ask(platform, &account.access, |access| platform.retention(access)).await
    }
}

/// The days that envelopes of each final status are kept: as configured, else as the platform tells.
fn days(configured: Option<u32>, told: Retention) -> Vec<(EnvelopeStatus, u32)> {
    // What is deleted already needs no warning.
    let is_kept = |status: EnvelopeStatus| status.is_final() && status != EnvelopeStatus::Deleted;
    match configured {
        Some(days) => EnvelopeStatus::ALL
            .into_iter()
            .filter(|status| is_kept(*status))
            .map(|status| (status, days))
            .collect(),
        None => told.days.into_iter().filter(|(status, _)| is_kept(*status)).collect(),
    }
}

fn retention(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 60 * 60)
}

/// What ended before this is to be told of now. Real days on purpose: the platform's clock knows no rehearsal.
fn warned_before(days: u32, now: Timestamp) -> Timestamp {
    let kept = retention(days);
    let margin = RETENTION_MARGIN.min(kept / RETENTION_MARGIN_SHARE);
    now.checked_sub(kept - margin).unwrap_or(Timestamp::MIN)
}

/// The task about what waits, by the days that it is kept; `None` if nothing does.
fn task(account: &AccountId, waiting: &[(u32, Unarchived)], now: Timestamp) -> Option<TaskDraft> {
    let ends = waiting.iter().filter_map(|(days, found)| {
        let (envelope, ended_at) = found.oldest.as_ref()?;
        Some((ended_at.checked_add(retention(*days)).unwrap_or(Timestamp::MAX), envelope))
    });
    let (removed_at, envelope) = ends.min()?;
    let count: u64 = waiting.iter().map(|(_, found)| found.count).sum();
    let envelopes = if count == 1 { "1 ended envelope is" } else { &format!("{count} ended envelopes are") };
    let when = if removed_at > now { "will be removed on" } else { "was to be removed on" };
    let what = format!(
        "{envelopes} not archived, and the platform removes them by itself: {envelope} {when} {}.",
        removed_at.strftime("%Y-%m-%d")
    );
    let todo = "Look at `aftersign tasks list` and `aftersign transfers list` for what holds them up, mend it and \
                redrive them; lengthen the retention at the platform if that takes longer.";
    let left = Duration::try_from(removed_at.duration_since(now)).unwrap_or(Duration::ZERO);
    let draft = TaskDraft::for_account(TaskKind::RetentionNear, account, what, todo);
    Some(TaskDraft { due_after: Some(left), ..draft })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aftersign_core::ids::EnvelopeId;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn waiting(days: u32, count: u64, oldest: &str, age_days: u32) -> (u32, Unarchived) {
        let oldest = (EnvelopeId::new(oldest), now() - DAY * age_days);
        (days, Unarchived { count, oldest: Some(oldest) })
    }

    #[test]
    fn a_person_is_told_three_days_before_or_a_quarter_of_a_short_retention() {
        assert_eq!(warned_before(30, now()), now() - DAY * 27);
        assert_eq!(warned_before(4, now()), now() - DAY * 3);
        assert_eq!(warned_before(0, now()), now());
        assert_eq!(warned_before(u32::MAX, now()), Timestamp::MIN, "kept longer than there are dates");
    }

    #[test]
    fn what_is_configured_outranks_the_platform_and_deleted_ones_are_nobodys_worry() {
        use EnvelopeStatus::{Cancelled, Completed, Declined, Deleted, Draft, Expired, Failed};
        let told = Retention { days: vec![(Draft, 7), (Completed, 90), (Deleted, 1)] };
        assert_eq!(days(None, told.clone()), [(Completed, 90)]);
        let configured: Vec<_> =
            [Expired, Declined, Cancelled, Failed, Completed].map(|status| (status, 14)).into();
        assert_eq!(days(Some(14), told), configured);
        assert_eq!(days(None, Retention::default()), []);
    }

    #[test]
    fn the_task_tells_the_number_and_what_goes_first() {
        let account = AccountId::new("hr");
        let none = (30, Unarchived::default());
        assert_eq!(task(&account, std::slice::from_ref(&none), now()), None);

        // The younger one of a shorter retention goes first.
        let found = [waiting(30, 2, "old", 28), none, waiting(10, 1, "young", 9)];
        let draft = task(&account, &found, now()).unwrap();
        assert!(draft.what.starts_with("3 ended envelopes are"), "{}", draft.what);
        assert!(draft.what.contains("young will be removed on 2026-11-23"), "{}", draft.what);
        assert_eq!((draft.due_after, draft.key.as_str()), (Some(DAY), "retention_near/hr"));

        let late = task(&account, &[waiting(10, 1, "late", 11)], now()).unwrap();
        assert!(late.what.starts_with("1 ended envelope is"), "{}", late.what);
        assert!(late.what.contains("late was to be removed on 2026-11-21"), "{}", late.what);
        assert_eq!(late.due_after, Some(Duration::ZERO));
    }
}
