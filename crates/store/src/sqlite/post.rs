//! The durable queue of e-mail: one mail per person, however many tasks.
//!
//! Tasks are found by partial indexes of what nobody was told yet, so that a look costs what is new and not what is open.
//! Collecting plans on a reader first and writes only if there is something; a mail gathers tasks until it is claimed, and
//! while it is on its way it takes none in: they would be lost if the mail server took it.
//!
//! A mail that cannot be delivered becomes a task for the admins, and that task is never mailed to the very address that it
//! is about. As it is one per address and told once per person and reason, admins whose addresses all fail get no more mails
//! than there are pairs of them, and then one more with every escalation.

use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::grant::Holder;
use aftersign_core::ids::{AccountId, EnvelopeId, MailId, SenderId, TaskId};
use aftersign_core::limits::EXCERPT_CHARS_MAX;
use aftersign_core::task::{TaskDraft, TaskKind};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::mailing::{self, Plan};
use super::rows::{account_number, maybe_time, micros, number, signed, time, word};
use super::writer::Work;
use super::{SqliteStore, cursor, senders, tasks};
use crate::limits::MAIL_TASKS_MAX;
use crate::{ClaimedMail, Listing, MailPolicy, MailReason, MailRow, PageRequest, Post, StoreError, ToldTask};

const COLUMNS: &str = "n, id, recipient, queued_at, tries, next_at, sent_at, dropped_at, error, tasks";

fn mail_row(row: &Row<'_>) -> rusqlite::Result<MailRow> {
    Ok(MailRow {
        id: MailId::from_bytes(row.get(1)?),
        recipient: row.get(2)?,
        queued_at: time(row, 3)?,
        tries: row.get(4)?,
        next_at: maybe_time(row, 5)?,
        sent_at: maybe_time(row, 6)?,
        dropped_at: maybe_time(row, 7)?,
        error: row.get(8)?,
        tasks: number(row, 9)?,
    })
}

/// The key of the task about an address that cannot be written to.
pub(super) fn undeliverable_key(recipient: &str) -> String {
    format!("{}/{recipient}", TaskKind::MailUndeliverable.as_str())
}

#[async_trait]
impl Post for SqliteStore {
    async fn collect_mail(
        &self,
        policy: &MailPolicy,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let asked = policy.clone();
            let plan = self.read("look for what to tell", move |conn| Plan::make(conn, &asked, now)).await?;
            if plan.is_empty() {
                return Ok(plan.look_again_at());
            }
            let policy = policy.clone();
            self.writer.run("put tasks into mails", move |work| mailing::collect(work, &policy, now)).await?;
        }
    }

    async fn claim_mail(&self, lease: Duration, now: Timestamp) -> Result<Option<ClaimedMail>, StoreError> {
        // A look that finds nothing must not cost the writer anything.
        if self.next_mail().await?.is_none_or(|due| due > now) {
            return Ok(None);
        }
        let until = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        self.writer.run("claim a mail", move |work| claim(work, until, now)).await
    }

    async fn mail_sent(&self, id: MailId, now: Timestamp) -> Result<(), StoreError> {
        self.writer.run("note that a mail was sent", move |work| note_sent(work, id, now)).await
    }

    async fn mail_failed(
        &self,
        id: MailId,
        error: &str,
        next_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let error: String = error.chars().take(EXCERPT_CHARS_MAX).collect();
        self.writer
            .run("note that a mail failed", move |work| note_failed(work, id, &error, next_at, now))
            .await
    }

    async fn next_mail(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("look for the next mail", |conn| {
            Ok(conn
                .prepare_cached(
                    "SELECT min(next_at) FROM mails INDEXED BY mails_due WHERE next_at IS NOT NULL",
                )?
                .query_row([], |row| maybe_time(row, 0))?)
        })
        .await
    }

    async fn mails(&self, page: &PageRequest) -> Result<Listing<MailRow>, StoreError> {
        let (place, rows) = cursor::begin(cursor::List::Mails, page)?;
        self.read("list mails", move |conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM mails NOT INDEXED WHERE n < ?1 ORDER BY n DESC LIMIT ?2"
            ))?;
            let found = statement
                .query_map([place.1, cursor::ask(rows)], |row| Ok(((0, row.get(0)?), mail_row(row)?)))?;
            Ok(cursor::page(cursor::List::Mails, rows, found.collect::<Result<_, _>>()?))
        })
        .await
    }
}

/// Passes over mails that have nothing left to say; as there is one per person at most, these are few.
fn claim(work: &Work<'_>, until: Timestamp, now: Timestamp) -> Result<Option<ClaimedMail>, Fault> {
    while let Some(n) = first_due(work.conn, now)? {
        let counts = counts(work.conn, n)?;
        if counts.is_empty() {
            give_up(work, n, "everything in it was settled before it was sent", now)?;
            continue;
        }
        let row = work
            .conn
            .prepare_cached(&format!(
                "UPDATE mails SET tries = tries + 1, claimed_at = ?2, leased_until = ?3, next_at = ?3
                 WHERE n = ?1 RETURNING {COLUMNS}"
            ))?
            .query_row(params![n, now.as_microsecond(), until.as_microsecond()], mail_row)?;
        let open = counts.iter().map(|(_, _, count)| count).sum();
        return Ok(Some(ClaimedMail { row, tasks: told_tasks(work.conn, n)?, open, counts }));
    }
    Ok(None)
}

fn first_due(conn: &Connection, now: Timestamp) -> Result<Option<i64>, Fault> {
    Ok(conn
        .prepare_cached(
            "SELECT n FROM mails INDEXED BY mails_due WHERE next_at IS NOT NULL AND next_at <= ?1
             ORDER BY next_at, n LIMIT 1",
        )?
        .query_row([now.as_microsecond()], |row| row.get(0))
        .optional()?)
}

/// The open tasks of a mail by kind and account.
fn counts(conn: &Connection, mail: i64) -> Result<Vec<(TaskKind, AccountId, u64)>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT t.kind, t.account, count(*) FROM mail_tasks m JOIN tasks t ON t.n = m.task
         WHERE m.mail = ?1 AND t.resolved_at IS NULL GROUP BY t.kind, t.account ORDER BY t.kind, t.account",
    )?;
    let rows = statement.query_map([mail], |row| {
        Ok((word(row, 0, TaskKind::parse)?, AccountId::new(row.get::<_, String>(1)?), number(row, 2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn told_tasks(conn: &Connection, mail: i64) -> Result<Vec<ToldTask>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT t.id, m.reason, t.kind, t.account, t.envelope, t.assignee, t.opened_at, t.due_at, t.what,
             t.todo, t.key
         FROM mail_tasks m JOIN tasks t ON t.n = m.task WHERE m.mail = ?1 AND t.resolved_at IS NULL
         ORDER BY m.reason = ?2 DESC, t.opened_at, t.n LIMIT ?3",
    )?;
    let limit = signed(MAIL_TASKS_MAX as u64);
    let rows = statement.query_map(params![mail, MailReason::Overdue.as_str(), limit], |row| {
        let task = ToldTask {
            id: TaskId::from_bytes(row.get(0)?),
            reason: word(row, 1, MailReason::parse)?,
            kind: word(row, 2, TaskKind::parse)?,
            account: AccountId::new(row.get::<_, String>(3)?),
            envelope: row.get::<_, Option<String>>(4)?.map(EnvelopeId::new),
            assignee: row.get(5)?,
            opened_at: time(row, 6)?,
            due_at: maybe_time(row, 7)?,
            what: row.get(8)?,
            todo: row.get(9)?,
            waiting: 0,
        };
        Ok((task, row.get::<_, String>(10)?))
    })?;
    let mut told = Vec::new();
    for row in rows {
        let (mut task, key) = row?;
        task.waiting = waiting(conn, &task, &key)?;
        told.push(task);
    }
    Ok(told)
}

/// How many transfers wait for the access that a task is about.
fn waiting(conn: &Connection, task: &ToldTask, key: &str) -> Result<u64, Fault> {
    if task.kind != TaskKind::AccessRefused {
        return Ok(0);
    }
    let of_account = TaskDraft::access_key(&task.account, &Holder::Account);
    let Some(rest) = key.strip_prefix(&of_account) else { return Ok(0) };
    let sender = rest.strip_prefix('/').and_then(SenderId::new);
    let Some(account) = account_number(conn, &task.account)? else { return Ok(0) };
    senders::parked_for(conn, account, sender.as_ref().map(SenderId::as_str))
}

fn give_up(work: &Work<'_>, n: i64, why: &str, now: Timestamp) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "UPDATE mails SET dropped_at = ?2, error = ?3, next_at = NULL, leased_until = NULL WHERE n = ?1",
        )?
        .execute(params![n, now.as_microsecond(), why])?;
    Ok(())
}

fn note_sent(work: &Work<'_>, id: MailId, now: Timestamp) -> Result<(), Fault> {
    let sent: Option<(i64, String, Option<i64>)> = work
        .conn
        .prepare_cached(
            "UPDATE mails SET sent_at = ?2, dropped_at = NULL, error = NULL, next_at = NULL, leased_until = NULL
             WHERE id = ?1 AND sent_at IS NULL RETURNING n, recipient, claimed_at",
        )?
        .query_row(params![id.as_bytes(), now.as_microsecond()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((n, recipient, claimed_at)) = sent else { return Ok(()) };
    // What was settled before it was claimed did not stand in it.
    work.conn
        .prepare_cached(
            "UPDATE tasks SET mailed_at = ?2 WHERE n IN (SELECT task FROM mail_tasks WHERE mail = ?1)
                 AND mailed_at IS NULL AND (resolved_at IS NULL OR resolved_at > ?3)",
        )?
        .execute(params![n, now.as_microsecond(), claimed_at])?;
    tasks::close(work, &[undeliverable_key(&recipient)], tasks::SETTLED_BY_ITSELF, now)
}

fn note_failed(
    work: &Work<'_>,
    id: MailId,
    error: &str,
    next_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Fault> {
    let found: Option<(i64, String)> = work
        .conn
        .prepare_cached(
            "SELECT n, recipient FROM mails WHERE id = ?1 AND sent_at IS NULL AND dropped_at IS NULL",
        )?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((n, recipient)) = found else { return Ok(()) };
    if next_at.is_some() {
        work.conn
            .prepare_cached("UPDATE mails SET next_at = ?2, error = ?3, leased_until = NULL WHERE n = ?1")?
            .execute(params![n, micros(next_at), error])?;
        return Ok(());
    }
    give_up(work, n, error, now)?;
    let account: Option<String> = work
        .conn
        .prepare_cached(
            "SELECT t.account FROM mail_tasks m JOIN tasks t ON t.n = m.task WHERE m.mail = ?1
             ORDER BY t.n LIMIT 1",
        )?
        .query_row([n], |row| row.get(0))
        .optional()?;
    let account = AccountId::new(account.unwrap_or_default());
    let task = TaskDraft {
        key: undeliverable_key(&recipient),
        ..TaskDraft::for_account(
            TaskKind::MailUndeliverable,
            &account,
            format!("E-mail to {recipient} cannot be delivered: {error}"),
            "See that the address is right and takes mail, and tell this person of their tasks by another way; the tasks \
             are in the list. The next mail that arrives there settles this.",
        )
    };
    tasks::open(work, &[task], now)
}
