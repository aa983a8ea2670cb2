//! Envelopes' rows: loading, saving, and the columns that queries need beside what we know.

use aftersign_core::envelope::{EnvelopeStatus, Known};
use aftersign_core::ids::{AccountId, EnvelopeId};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::fault::Fault;
use super::rows::{maybe_time, micros, time, word};
use super::writer::Work;
use crate::EnvelopeRow;

/// The columns of [`envelope_row`], from `envelopes e`.
pub(super) const ENVELOPE_COLUMNS: &str = "e.n, (SELECT id FROM accounts WHERE n = e.account), \
     (SELECT id FROM platforms WHERE n = e.platform), e.id, e.name, e.status, e.confirmed, \
     e.status_at_platform, e.sender, e.completed_at, e.announced, e.swept, e.archived_at, e.disposed_at, \
     e.first_seen_at, e.updated_at, e.revision";

/// Reads [`ENVELOPE_COLUMNS`].
pub(super) fn envelope_row(row: &Row<'_>) -> rusqlite::Result<EnvelopeRow> {
    Ok(EnvelopeRow {
        platform: row.get(2)?,
        known: Known {
            account: AccountId::new(row.get::<_, String>(1)?),
            id: EnvelopeId::new(row.get::<_, String>(3)?),
            name: row.get(4)?,
            status: word(row, 5, EnvelopeStatus::parse)?,
            confirmed: row.get(6)?,
            status_at_platform: row.get(7)?,
            sender: row.get(8)?,
            completed_at: maybe_time(row, 9)?,
            announced: row.get(10)?,
            swept: row.get(11)?,
            archived_at: maybe_time(row, 12)?,
            disposed_at: maybe_time(row, 13)?,
            first_seen_at: time(row, 14)?,
            updated_at: time(row, 15)?,
            revision: row.get(16)?,
        },
    })
}

/// An envelope of an account, with its row's number.
pub(super) fn find(
    conn: &Connection,
    account: i64,
    id: &EnvelopeId,
) -> rusqlite::Result<Option<(i64, EnvelopeRow)>> {
    conn.prepare_cached(&format!(
        "SELECT {ENVELOPE_COLUMNS} FROM envelopes e WHERE e.id = ?1 AND e.account = ?2"
    ))?
    .query_row(rusqlite::params![id.as_str(), account], |row| Ok((row.get(0)?, envelope_row(row)?)))
    .optional()
}

/// An envelope by its row's number.
pub(super) fn load(conn: &Connection, n: i64) -> rusqlite::Result<EnvelopeRow> {
    conn.prepare_cached(&format!("SELECT {ENVELOPE_COLUMNS} FROM envelopes e WHERE e.n = ?1"))?
        .query_row([n], envelope_row)
}

/// Writes an envelope heard of for the first time and gives its row's number.
pub(super) fn insert(work: &Work<'_>, account: i64, platform: i64, known: &Known) -> Result<i64, Fault> {
    work.conn
        .prepare_cached(
            "INSERT INTO envelopes (id, account, platform, name, status, confirmed, settled,
                 status_at_platform, sender, completed_at, announced, swept, gap, archived_at, disposed_at,
                 first_seen_at, updated_at, revision)
             VALUES (:id, :account, :platform, :name, :status, :confirmed, :settled, :status_at_platform,
                 :sender, :completed_at, :announced, :swept, :gap, :archived_at, :disposed_at,
                 :first_seen_at, :updated_at, :revision)",
        )?
        .execute(named_params! {
            ":id": known.id.as_str(),
            ":account": account,
            ":platform": platform,
            ":name": known.name,
            ":status": known.status.as_str(),
            ":confirmed": known.confirmed,
            ":settled": is_settled(known),
            ":status_at_platform": known.status_at_platform,
            ":sender": known.sender,
            ":completed_at": micros(known.completed_at),
            ":announced": known.announced,
            ":swept": known.swept,
            ":gap": known.is_gap(),
            ":archived_at": micros(known.archived_at),
            ":disposed_at": micros(known.disposed_at),
            ":first_seen_at": known.first_seen_at.as_microsecond(),
            ":updated_at": known.updated_at.as_microsecond(),
            ":revision": known.revision,
        })?;
    Ok(work.conn.last_insert_rowid())
}

/// Writes what we know now.
pub(super) fn update(work: &Work<'_>, n: i64, known: &Known) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "UPDATE envelopes SET name = :name, status = :status, confirmed = :confirmed, settled = :settled,
                 status_at_platform = :status_at_platform, sender = :sender, completed_at = :completed_at,
                 announced = :announced, swept = :swept, gap = :gap, archived_at = :archived_at,
                 disposed_at = :disposed_at, updated_at = :updated_at, revision = :revision
             WHERE n = :n",
        )?
        .execute(named_params! {
            ":n": n,
            ":name": known.name,
            ":status": known.status.as_str(),
            ":confirmed": known.confirmed,
            ":settled": is_settled(known),
            ":status_at_platform": known.status_at_platform,
            ":sender": known.sender,
            ":completed_at": micros(known.completed_at),
            ":announced": known.announced,
            ":swept": known.swept,
            ":gap": known.is_gap(),
            ":archived_at": micros(known.archived_at),
            ":disposed_at": micros(known.disposed_at),
            ":updated_at": known.updated_at.as_microsecond(),
            ":revision": known.revision,
        })?;
    Ok(())
}

/// Whether the platform confirmed an end: sweeps need not ask for it again.
fn is_settled(known: &Known) -> bool {
    known.confirmed && known.status.is_final()
}
