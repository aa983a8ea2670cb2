//! What goes into which mail, and when that mail goes.

use std::collections::BTreeSet;
use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::ids::{MailId, SenderId};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::fault::Fault;
use super::post::undeliverable_key;
use super::rows::{maybe_time, number, signed, time};
use super::writer::Work;
use crate::limits::MAIL_TASKS_PER_COMMIT;
use crate::{MailPolicy, MailReason, StoreError};

/// Tasks that the same people are to be told of for the same reason.
struct Batch {
    recipients: Vec<String>,
    tasks: Vec<i64>,
    reason: MailReason,
}

/// What one commit does, at most [`MAIL_TASKS_PER_COMMIT`] tasks.
#[derive(Default)]
pub(super) struct Plan {
    batches: Vec<Batch>,
    next: Option<Timestamp>,
    room: usize,
}

impl Plan {
    pub(super) fn make(conn: &Connection, policy: &MailPolicy, now: Timestamp) -> Result<Self, Fault> {
        let mut plan = Self { room: MAIL_TASKS_PER_COMMIT, ..Self::default() };
        let admins = admins(policy);
        let mut after = None;
        while let Some(assignee) = next_untold_assignee(conn, after.as_deref())? {
            let own = SenderId::new(&assignee).filter(SenderId::is_address);
            let recipients = own.map_or_else(|| admins.clone(), |own| vec![own.as_str().into()]);
            if plan.are_free(conn, &recipients, now)? {
                let tasks = untold(conn, &assignee, plan.room)?;
                plan.add(Batch { recipients, tasks, reason: MailReason::Opened });
            }
            after = Some(assignee);
        }
        if !admins.is_empty() {
            plan.look_for_overdue(conn, admins, policy, now)?;
        }
        Ok(plan)
    }

    /// Whether there is nothing to do now.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// When there may be something to do that is not to be done now.
    pub(super) fn look_again_at(&self) -> Option<Timestamp> {
        self.next
    }

    fn add(&mut self, batch: Batch) {
        self.room = self.room.saturating_sub(batch.tasks.len());
        if !batch.tasks.is_empty() {
            self.batches.push(batch);
        }
    }

    fn no_later_than(&mut self, at: Option<Timestamp>) {
        self.next = [self.next, at].into_iter().flatten().min();
    }

    /// Whether there is somebody to tell and no mail to any of them is on its way.
    fn are_free(&mut self, conn: &Connection, recipients: &[String], now: Timestamp) -> Result<bool, Fault> {
        let mut free = !recipients.is_empty();
        for recipient in recipients {
            let until = conn
                .prepare_cached(
                    "SELECT leased_until FROM mails INDEXED BY mails_open
                     WHERE recipient = ?1 AND sent_at IS NULL AND dropped_at IS NULL AND leased_until > ?2",
                )?
                .query_row(params![recipient, now.as_microsecond()], |row| time(row, 0))
                .optional()?;
            free &= until.is_none();
            self.no_later_than(until);
        }
        Ok(free)
    }

    fn look_for_overdue(
        &mut self,
        conn: &Connection,
        admins: Vec<String>,
        policy: &MailPolicy,
        now: Timestamp,
    ) -> Result<(), Fault> {
        // What was told in this very moment is not told again in it.
        let again = policy.escalate_every.max(Duration::from_micros(1));
        let free = self.are_free(conn, &admins, now)?;
        for (watch, wait) in [(DUE, Duration::ZERO), (AGING, policy.due_after), (TOLD, again)] {
            let until = now.checked_sub(wait).unwrap_or(Timestamp::MIN).as_microsecond();
            let Watch { index, at, which } = watch;
            let rows = format!("tasks INDEXED BY {index} WHERE resolved_at IS NULL AND {which}");
            if free {
                let sql = format!("SELECT n FROM {rows} AND {at} <= ?1 ORDER BY {at} LIMIT ?2");
                let tasks = numbers(conn, &sql, params![until, signed(self.room as u64)])?;
                self.add(Batch { recipients: admins.clone(), tasks, reason: MailReason::Overdue });
            }
            let first = conn
                .prepare_cached(&format!("SELECT min({at}) FROM {rows} AND {at} > ?1"))?
                .query_row([until], |row| maybe_time(row, 0))?;
            self.no_later_than(first.map(|at| at.checked_add(wait).unwrap_or(Timestamp::MAX)));
        }
        Ok(())
    }
}

/// By which column of which tasks a task is overdue.
#[derive(Clone, Copy)]
struct Watch {
    index: &'static str,
    at: &'static str,
    which: &'static str,
}

/// Those with a due time of their own.
const DUE: Watch =
    Watch { index: "tasks_due", at: "due_at", which: "overdue_told_at IS NULL AND due_at IS NOT NULL" };
/// Those without.
const AGING: Watch =
    Watch { index: "tasks_aging", at: "opened_at", which: "overdue_told_at IS NULL AND due_at IS NULL" };
/// Those that the admins were told of before.
const TOLD: Watch =
    Watch { index: "tasks_overdue", at: "overdue_told_at", which: "overdue_told_at IS NOT NULL" };

/// The admins, each once, in the form in which senders are compared: an admin who is a sender too gets one mail.
fn admins(policy: &MailPolicy) -> Vec<String> {
    let admins: BTreeSet<SenderId> = policy.admins.iter().filter_map(|admin| SenderId::new(admin)).collect();
    admins.iter().filter(|admin| admin.is_address()).map(|admin| admin.as_str().into()).collect()
}

/// The assignees of what nobody was told yet, one after the other: a step costs one look into the index, however many tasks
/// one of them has.
fn next_untold_assignee(conn: &Connection, after: Option<&str>) -> Result<Option<String>, Fault> {
    const FIRST: &str = "SELECT min(assignee) FROM tasks INDEXED BY tasks_untold
         WHERE resolved_at IS NULL AND mail_queued_at IS NULL";
    Ok(match after {
        None => conn.prepare_cached(FIRST)?.query_row([], |row| row.get(0))?,
        Some(after) => conn
            .prepare_cached(&format!("{FIRST} AND assignee > ?1"))?
            .query_row([after], |row| row.get(0))?,
    })
}

fn untold(conn: &Connection, assignee: &str, room: usize) -> Result<Vec<i64>, Fault> {
    numbers(
        conn,
        "SELECT n FROM tasks INDEXED BY tasks_untold
         WHERE resolved_at IS NULL AND mail_queued_at IS NULL AND assignee = ?1 ORDER BY n LIMIT ?2",
        params![assignee, signed(room as u64)],
    )
}

fn numbers(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<i64>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts what is to be told now into mails.
pub(super) fn collect(work: &Work<'_>, policy: &MailPolicy, now: Timestamp) -> Result<(), Fault> {
    for batch in Plan::make(work.conn, policy, now)?.batches {
        let tasks = serde_json::to_string(&batch.tasks)
            .map_err(|error| StoreError::Damaged { what: "list of tasks", reason: error.to_string() })?;
        for recipient in &batch.recipients {
            tell(work, recipient, &tasks, batch.reason, policy, now)?;
        }
        let told = match batch.reason {
            MailReason::Opened => "mail_queued_at",
            MailReason::Overdue => "overdue_told_at",
        };
        work.conn
            .prepare_cached(&format!(
                "UPDATE tasks SET {told} = ?2 WHERE n IN (SELECT value FROM json_each(?1))"
            ))?
            .execute(params![tasks, now.as_microsecond()])?;
    }
    Ok(())
}

/// Puts tasks into a person's mail, but for the one about their own address. What they are told for two reasons is overdue.
fn tell(
    work: &Work<'_>,
    recipient: &str,
    tasks: &str,
    reason: MailReason,
    policy: &MailPolicy,
    now: Timestamp,
) -> Result<(), Fault> {
    const CHOSEN: &str = "FROM json_each(?1) j JOIN tasks t ON t.n = j.value WHERE t.key <> ?2";
    let own = undeliverable_key(recipient);
    let chosen = work
        .conn
        .prepare_cached(&format!("SELECT count(*) {CHOSEN}"))?
        .query_row(params![tasks, own], |row| number(row, 0))?;
    if chosen == 0 {
        return Ok(());
    }
    let mail = open_mail(work, recipient, policy, now)?;
    work.conn
        .prepare_cached(&format!(
            "INSERT INTO mail_tasks (mail, task, reason) SELECT ?3, t.n, ?4 {CHOSEN}
             ON CONFLICT (mail, task) DO UPDATE SET reason = excluded.reason"
        ))?
        .execute(params![tasks, own, mail, reason.as_str()])?;
    work.conn
        .prepare_cached(
            "UPDATE mails SET tasks = (SELECT count(*) FROM mail_tasks WHERE mail = ?1) WHERE n = ?1",
        )?
        .execute([mail])?;
    Ok(())
}

/// The person's mail that is not sent yet, with its next time set as if something new came into it, else a new one.
fn open_mail(work: &Work<'_>, recipient: &str, policy: &MailPolicy, now: Timestamp) -> Result<i64, Fault> {
    let found = work
        .conn
        .prepare_cached(
            "SELECT n, queued_at, tries FROM mails INDEXED BY mails_open
             WHERE recipient = ?1 AND sent_at IS NULL AND dropped_at IS NULL",
        )?
        .query_row([recipient], |row| Ok((row.get::<_, i64>(0)?, time(row, 1)?, row.get::<_, u32>(2)?)))
        .optional()?;
    let id = MailId::make(now, work.entropy);
    match found {
        Some((n, _, tries)) if tries > 0 => {
            // It may have arrived all the same, and what is in it now did not: under the old id, mailboxes would hide it.
            // Its back-off stays.
            work.conn
                .prepare_cached("UPDATE mails SET id = ?2 WHERE n = ?1")?
                .execute(params![n, id.as_bytes()])?;
            Ok(n)
        }
        Some((n, queued_at, _)) => {
            let next_at = quiet_at(work, recipient, policy, queued_at, now)?;
            work.conn
                .prepare_cached("UPDATE mails SET next_at = ?2 WHERE n = ?1")?
                .execute(params![n, next_at.as_microsecond()])?;
            Ok(n)
        }
        None => {
            let next_at = quiet_at(work, recipient, policy, now, now)?;
            work.conn
                .prepare_cached(
                    "INSERT INTO mails (id, recipient, queued_at, tasks, tries, next_at)
                     VALUES (?1, ?2, ?3, 0, 0, ?4)",
                )?
                .execute(params![id.as_bytes(), recipient, now.as_microsecond(), next_at.as_microsecond()])?;
            Ok(work.conn.last_insert_rowid())
        }
    }
}

/// When a mail that was begun at `queued_at` and got something new at `now` goes.
fn quiet_at(
    work: &Work<'_>,
    recipient: &str,
    policy: &MailPolicy,
    queued_at: Timestamp,
    now: Timestamp,
) -> Result<Timestamp, Fault> {
    let after = |at: Timestamp, wait: Duration| at.checked_add(wait).unwrap_or(Timestamp::MAX);
    let quiet = after(now, policy.settle).min(after(queued_at, policy.settle_longest));
    let last = work
        .conn
        .prepare_cached(
            "SELECT max(sent_at) FROM mails INDEXED BY mails_sent WHERE recipient = ?1 AND sent_at IS NOT NULL",
        )?
        .query_row([recipient], |row| maybe_time(row, 0))?;
    Ok(quiet.max(last.map_or(Timestamp::MIN, |last| after(last, policy.every))))
}
