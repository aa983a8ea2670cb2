//! Concerns: tasks that follow from what was heard about an envelope.
//!
//! Core says which are open, from all that was heard; here the tasks are made to say the same. That happens only when
//! something came that can open or settle one.

use aftersign_core::Timestamp;
use aftersign_core::callback::NotificationKind;
use aftersign_core::concern::{self, Concern, Heard, open_concerns};
use aftersign_core::envelope::Known;
use aftersign_core::task::TaskKind;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::rows::{time, word};
use super::tasks::{self, SETTLED_BY_ITSELF};
use super::transfers;
use super::writer::Work;
use crate::limits::HEARD_MAX;

/// After news of `kind` about the envelope of row `n`.
pub(super) fn after_news(
    work: &Work<'_>,
    n: i64,
    known: &Known,
    kind: NotificationKind,
    now: Timestamp,
) -> Result<(), Fault> {
    if concern::task_kind(kind).is_some() {
        return review(work, n, known, &open_keys(work.conn, known)?, now);
    }
    if concern::may_settle(kind) { after_answer(work, n, known, now) } else { Ok(()) }
}

/// After the platform's answer about the envelope of row `n`.
pub(super) fn after_answer(work: &Work<'_>, n: i64, known: &Known, now: Timestamp) -> Result<(), Fault> {
    let open = open_keys(work.conn, known)?;
    if open.is_empty() { Ok(()) } else { review(work, n, known, &open, now) }
}

/// Makes the tasks say what core says; `open` are the keys of the tasks that are open.
fn review(work: &Work<'_>, n: i64, known: &Known, open: &[String], now: Timestamp) -> Result<(), Fault> {
    let heard = heard(work.conn, n)?;
    let signers = transfers::envelope_of(work, n)?.map(|envelope| envelope.signers).unwrap_or_default();
    let concerns = open_concerns(known, &signers, &heard);
    let settled: Vec<String> = open
        .iter()
        .filter(|key| !concerns.iter().any(|concern| concern.task.key == **key))
        .cloned()
        .collect();
    tasks::close(work, &settled, SETTLED_BY_ITSELF, now)?;
    for concern in concerns {
        if !was_settled_by_a_person(work.conn, &concern)? {
            tasks::open(work, &[concern.task], now)?;
        }
    }
    Ok(())
}

/// Keys of an envelope's open tasks that notifications opened.
fn open_keys(conn: &Connection, known: &Known) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT key, kind FROM tasks INDEXED BY tasks_envelope
         WHERE envelope = ?1 AND account = ?2 AND resolved_at IS NULL",
    )?;
    let rows = statement.query_map(params![known.id.as_str(), known.account.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, word(row, 1, TaskKind::parse)?))
    })?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let ours = |kind: TaskKind| concern::task_kinds().any(|of_news| of_news == kind);
    Ok(rows.into_iter().filter(|(_, kind)| ours(*kind)).map(|(key, _)| key).collect())
}

/// What was heard of an envelope and bears on concerns, the latest at most.
fn heard(conn: &Connection, n: i64) -> Result<Vec<Heard>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT kind, at, heard_at, signer, detail FROM timeline INDEXED BY timeline_envelope
         WHERE envelope = ?1 ORDER BY at DESC, n DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![n, HEARD_MAX], |row| {
        Ok(Heard {
            // A kind of a version to come bears on nothing here.
            kind: NotificationKind::parse(&row.get::<_, String>(0)?).unwrap_or(NotificationKind::Unknown),
            at: time(row, 1)?,
            heard_at: time(row, 2)?,
            signer: row.get(3)?,
            detail: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn was_settled_by_a_person(conn: &Connection, concern: &Concern) -> Result<bool, Fault> {
    let settled = conn
        .prepare_cached(
            "SELECT 1 FROM tasks INDEXED BY tasks_key_settled
             WHERE key = ?1 AND resolved_at IS NOT NULL AND resolved_at >= ?2 AND resolution <> ?3 LIMIT 1",
        )?
        .query_row(
            params![concern.task.key, concern.heard_at.as_microsecond(), SETTLED_BY_ITSELF],
            |_| Ok(()),
        )
        .optional()?;
    Ok(settled.is_some())
}
