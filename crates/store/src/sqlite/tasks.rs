//! Tasks: opened once per key, closed by key or by a person.

use aftersign_core::Timestamp;
use aftersign_core::ids::{AccountId, EnvelopeId, TaskId};
use aftersign_core::task::{TaskDraft, TaskKind};
use rusqlite::{OptionalExtension, Row, params};

use super::fault::Fault;
use super::rows::{maybe_time, micros, time, word};
use super::writer::Work;
use crate::TaskRow;

/// The columns of [`task_row`].
pub(super) const TASK_COLUMNS: &str = "n, id, kind, account, envelope, opened_at, due_at, assignee, what, \
     todo, resolved_at, resolution, mailed_at";

/// Reads [`TASK_COLUMNS`].
pub(super) fn task_row(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    Ok(TaskRow {
        id: TaskId::from_bytes(row.get(1)?),
        kind: word(row, 2, TaskKind::parse)?,
        account: AccountId::new(row.get::<_, String>(3)?),
        envelope: row.get::<_, Option<String>>(4)?.map(EnvelopeId::new),
        opened_at: time(row, 5)?,
        due_at: maybe_time(row, 6)?,
        assignee: row.get(7)?,
        what: row.get(8)?,
        todo: row.get(9)?,
        resolved_at: maybe_time(row, 10)?,
        resolution: row.get(11)?,
        mailed_at: maybe_time(row, 12)?,
    })
}

/// The resolution of a task that no person settled.
pub(super) const SETTLED_BY_ITSELF: &str = "settled by itself";

/// Opens tasks; one that is open already says from now on what the newer one says.
pub(super) fn open(work: &Work<'_>, drafts: &[TaskDraft], now: Timestamp) -> Result<(), Fault> {
    for draft in drafts {
        if draft.standing && was_settled_in_these_words(work, draft)? {
            continue;
        }
        let due_at = draft.due_after.map(|wait| now.checked_add(wait).unwrap_or(Timestamp::MAX));
        work.conn
            .prepare_cached(
                "INSERT INTO tasks (id, key, kind, account, envelope, opened_at, due_at, assignee, what, todo)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (key) WHERE resolved_at IS NULL
                 DO UPDATE SET mail_queued_at = iif(assignee = excluded.assignee, mail_queued_at, NULL),
                     assignee = excluded.assignee, what = excluded.what, todo = excluded.todo,
                     due_at = coalesce(min(due_at, excluded.due_at), due_at, excluded.due_at)
                     WHERE (assignee, what, todo) <> (excluded.assignee, excluded.what, excluded.todo)",
            )?
            .execute(params![
                TaskId::make(now, work.entropy).as_bytes(),
                draft.key,
                draft.kind.as_str(),
                draft.account.as_str(),
                draft.envelope.as_ref().map(EnvelopeId::as_str),
                now.as_microsecond(),
                micros(due_at),
                draft.assignee,
                draft.what,
                draft.todo,
            ])?;
    }
    Ok(())
}

fn was_settled_in_these_words(work: &Work<'_>, draft: &TaskDraft) -> Result<bool, Fault> {
    let settled = work
        .conn
        .prepare_cached(
            "SELECT 1 FROM tasks INDEXED BY tasks_key_settled
             WHERE key = ?1 AND resolved_at IS NOT NULL AND what = ?2 AND resolution <> ?3 LIMIT 1",
        )?
        .query_row(params![draft.key, draft.what, SETTLED_BY_ITSELF], |_| Ok(()))
        .optional()?;
    Ok(settled.is_some())
}

/// Closes the open tasks of these keys.
pub(super) fn close(work: &Work<'_>, keys: &[String], resolution: &str, now: Timestamp) -> Result<(), Fault> {
    for key in keys {
        work.conn
            .prepare_cached(
                "UPDATE tasks SET resolved_at = ?2, resolution = ?3 WHERE key = ?1 AND resolved_at IS NULL",
            )?
            .execute(params![key, now.as_microsecond(), resolution])?;
    }
    Ok(())
}

/// Closes all open tasks about an envelope.
pub(super) fn close_of_envelope(
    work: &Work<'_>,
    account: &AccountId,
    envelope: &EnvelopeId,
    resolution: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "UPDATE tasks SET resolved_at = ?3, resolution = ?4
             WHERE envelope = ?1 AND account = ?2 AND resolved_at IS NULL",
        )?
        .execute(params![envelope.as_str(), account.as_str(), now.as_microsecond(), resolution])?;
    Ok(())
}
