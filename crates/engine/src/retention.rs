//! Retention: platforms remove envelopes of their own accord, archived or not.
//!
//! Nothing is hurried here: a transfer that could go on goes on already. A person is told in time of those that cannot, and
//! of a retention too short for what the platform itself does later.

use std::time::Duration;

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::AccountId;
use aftersign_core::limits::EXTENSION_OVERDUE;
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
        let terms = days(account.retention_days, self.told(account).await?);
        // Of what only notifications say that it ended the status may be another, so the shortest term counts.
        let unconfirmed = terms.iter().map(|(_, days)| (None, *days)).min();
        let confirmed = terms.iter().map(|(status, days)| (Some(*status), *days));
        for (status, days) in confirmed.chain(unconfirmed) {
            let found = self.store.unarchived(id, status, warned_before(days, now)).await.map_err(stored)?;
            waiting.push((days, found));
        }
        let unextended = account.platform.capabilities().extends_seals.then(|| too_short(&terms)).flatten();
        let near = near(id, &waiting, now);
        self.tell_of(account, TaskDraft::account_key(TaskKind::RetentionNear, id), near)
            .await
            .map_err(stored)?;
        let seals = unextended.map(|days| seals(id, days));
        self.tell_of(account, seals_key(id), seals).await.map_err(stored)?;
        Ok(waiting.iter().map(|(_, found)| found.count).sum())
    }

    /// What the platform says of its retention, where it says something and nobody knows better.
    async fn told(&self, account: &EngineAccount) -> Result<Retention, Error> {
        let platform = account.platform;
        let is_told = platform.capabilities().retention && account.has_own_access();
        if account.retention_days.is_some() || !is_told {
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

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn retention(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * DAY.as_secs())
}

/// The days that completed envelopes are kept, if their seals are extended only after they are gone.
fn too_short(terms: &[(EnvelopeStatus, u32)]) -> Option<u32> {
    let completed = terms.iter().filter(|(status, _)| *status == EnvelopeStatus::Completed);
    completed.map(|(_, days)| *days).find(|days| retention(*days) < EXTENSION_OVERDUE)
}

/// What ended before this is to be told of now. Real days on purpose: the platform's clock knows no rehearsal.
fn warned_before(days: u32, now: Timestamp) -> Timestamp {
    let kept = retention(days);
    let margin = RETENTION_MARGIN.min(kept / RETENTION_MARGIN_SHARE);
    now.checked_sub(kept - margin).unwrap_or(Timestamp::MIN)
}

/// The task about what waits, by the days that it is kept; `None` if nothing does.
fn near(account: &AccountId, waiting: &[(u32, Unarchived)], now: Timestamp) -> Option<TaskDraft> {
    let removal = removal(waiting, now)?;
    let todo = "Look at `aftersign tasks list` and `aftersign transfers list` for what holds them up, mend it and redrive \
                them; lengthen the retention at the platform if that takes longer.";
    let draft = TaskDraft::for_account(TaskKind::RetentionNear, account, removal.what, todo);
    Some(TaskDraft { due_after: Some(removal.left), ..draft })
}

/// Two tasks of one kind: what is urgent today must not hide behind what holds for years.
fn seals_key(account: &AccountId) -> String {
    TaskDraft::account_key(TaskKind::RetentionNear, account) + "/seals"
}

/// The task about completed envelopes that go after so many days, before their seals are extended.
fn seals(account: &AccountId, days: u32) -> TaskDraft {
    let what = format!(
        "The platform removes completed envelopes after {days} days, and it extends their seals only after about 40: what is \
         gone by then is never archived with the extended seal."
    );
    let todo = format!(
        "Lengthen the retention of completed envelopes at the platform to more than {} days.",
        EXTENSION_OVERDUE.as_secs() / DAY.as_secs()
    );
    let draft = TaskDraft::for_account(TaskKind::RetentionNear, account, what, &todo);
    TaskDraft { key: seals_key(account), standing: true, ..draft }
}

/// What the platform will soon remove.
struct Removal {
    /// In words.
    what: String,
    /// Time until the first one goes.
    left: Duration,
}

fn removal(waiting: &[(u32, Unarchived)], now: Timestamp) -> Option<Removal> {
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
    let left = Duration::try_from(removed_at.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(Removal { what, left })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aftersign_core::ids::EnvelopeId;

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
        assert_eq!(near(&account, std::slice::from_ref(&none), now()), None);

        // The younger one of a shorter retention goes first.
        let found = [waiting(30, 2, "old", 28), none, waiting(10, 1, "young", 9)];
        let draft = near(&account, &found, now()).unwrap();
        assert!(draft.what.starts_with("3 ended envelopes are"), "{}", draft.what);
        assert!(draft.what.contains("young will be removed on 2026-11-23"), "{}", draft.what);
        assert_eq!((draft.due_after, draft.key.as_str()), (Some(DAY), "retention_near/hr"));

        let late = near(&account, &[waiting(10, 1, "late", 11)], now()).unwrap();
        assert!(late.what.starts_with("1 ended envelope is"), "{}", late.what);
        assert!(late.what.contains("late was to be removed on 2026-11-21"), "{}", late.what);
        assert_eq!(late.due_after, Some(Duration::ZERO));
    }

    #[test]
    fn seals_are_extended_in_time_only_where_completed_envelopes_are_kept_for_long() {
        use EnvelopeStatus::{Completed, Declined};
        assert_eq!(too_short(&[(Declined, 3), (Completed, 44)]), Some(44));
        assert_eq!(too_short(&[(Declined, 3), (Completed, 45)]), None);
        assert_eq!(too_short(&[]), None);

        let seals = seals(&AccountId::new("hr"), 30);
        assert!(seals.what.contains("after 30 days"), "{}", seals.what);
        assert!(seals.todo.contains("more than 45 days"), "{}", seals.todo);
        assert_eq!((seals.due_after, seals.key.as_str()), (None, "retention_near/hr/seals"));
        assert!(seals.standing, "whoever has seen it is not told at every sweep");
    }
}
