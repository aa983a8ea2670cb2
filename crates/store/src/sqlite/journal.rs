//! The journal: a chain of digests over rows that nothing updates or deletes.
//!
//! Each entry takes its place inside the transaction of what it records. The number of entries and the last
//! digest stand in `meta` too, so that rows cut off at the end are missed as well.

use aftersign_core::Timestamp;
use aftersign_core::digest::Digest;
use aftersign_core::journal::{Action, Entry, GENESIS, chain};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::cursor::{self, List};
use super::fault::Fault;
use super::rows::{number, signed, time, word};
use super::writer::Work;
use crate::{Journal, JournalRow, Listing, PageRequest, StoreError, Verdict};

/// Appends an entry inside the running transaction.
pub(super) fn append(work: &Work<'_>, entry: &Entry) -> Result<(), Fault> {
    let (entries, head): (i64, [u8; 32]) = work
        .conn
        .prepare_cached("SELECT journal_entries, journal_head FROM meta")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sequence = entries + 1;
    let digest =
        chain(&Digest::from_bytes(head), u64::try_from(sequence).unwrap_or(u64::MAX), &to_the_micro(entry));
    work.conn
        .prepare_cached(
            "INSERT INTO journal (sequence, at, actor, action, account, envelope, detail, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            sequence,
            entry.at.as_microsecond(),
            entry.actor,
            entry.action.as_str(),
            entry.account,
            entry.envelope,
            entry.detail,
            digest.as_bytes(),
        ])?;
    work.conn
        .prepare_cached("UPDATE meta SET journal_entries = ?1, journal_head = ?2")?
        .execute(params![sequence, digest.as_bytes()])?;
    Ok(())
}

/// The entry as it can be read again.
fn to_the_micro(entry: &Entry) -> Entry {
    let at = Timestamp::from_microsecond(entry.at.as_microsecond()).unwrap_or(entry.at);
    Entry { at, ..entry.clone() }
}

const COLUMNS: &str = "sequence, at, actor, action, account, envelope, detail, digest";

fn journal_row(row: &Row<'_>) -> rusqlite::Result<JournalRow> {
    Ok(JournalRow {
        sequence: number(row, 0)?,
        entry: Entry {
            at: time(row, 1)?,
            actor: row.get(2)?,
            action: word(row, 3, Action::parse)?,
            account: row.get(4)?,
            envelope: row.get(5)?,
            detail: row.get(6)?,
        },
        digest: Digest::from_bytes(row.get(7)?),
    })
}

fn verify(conn: &Connection) -> Result<Verdict, Fault> {
    let (entries, kept_head): (i64, [u8; 32]) =
        conn.query_row("SELECT journal_entries, journal_head FROM meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let entries = u64::try_from(entries).unwrap_or(0);
    let mut head = Digest::from_bytes(GENESIS);
    let mut sequence = 0;
    let broken = |sequence, reason: &str| Ok(Verdict::Broken { sequence, reason: reason.into() });
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM journal ORDER BY sequence"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        sequence += 1;
        let found = match journal_row(row) {
            Ok(found) => found,
            Err(error) => return broken(sequence, &format!("the entry cannot be read: {error}")),
        };
        if found.sequence != sequence {
            return broken(sequence, "the entry is missing");
        }
        head = chain(&head, sequence, &found.entry);
        if head != found.digest {
            return broken(sequence, "the entry or one before it is not the one that was recorded");
        }
    }
    if sequence < entries {
        return broken(sequence + 1, "the entry is missing");
    }
    if sequence > entries || head != Digest::from_bytes(kept_head) {
        return broken(sequence, "the last digest is not the one that was kept");
    }
    Ok(Verdict::Intact { entries, head })
}

fn entries(
    conn: &Connection,
    action: Option<Action>,
    before: i64,
    rows: usize,
) -> Result<Listing<JournalRow>, Fault> {
    let condition = if action.is_some() { "action = ?3 AND" } else { "?3 IS NULL AND" };
    let sql = format!(
        "SELECT {COLUMNS} FROM journal WHERE {condition} sequence < ?1 ORDER BY sequence DESC LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found =
        statement.query_map(params![before, cursor::ask(rows), action.map(Action::as_str)], |row| {
            let found = journal_row(row)?;
            Ok(((0, signed(found.sequence)), found))
        })?;
    Ok(cursor::page(List::Journal, rows, found.collect::<Result<_, _>>()?))
}

#[async_trait]
impl Journal for SqliteStore {
    async fn append(&self, entry: Entry) -> Result<(), StoreError> {
        self.writer.run("append to the journal", move |work| append(work, &entry)).await
    }

    async fn entries(
        &self,
        action: Option<Action>,
        page: &PageRequest,
    ) -> Result<Listing<JournalRow>, StoreError> {
        let ((_, before), rows) = cursor::begin(List::Journal, page)?;
        self.read("list the journal", move |conn| entries(conn, action, before, rows)).await
    }

    async fn verify(&self) -> Result<Verdict, StoreError> {
        self.read("verify the journal", verify).await
    }
}
