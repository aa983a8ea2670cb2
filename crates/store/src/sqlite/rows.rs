//! Columns to values and back, with errors that say which column could not be read.

use std::error::Error;

use aftersign_core::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use crate::{Attempt, CallbackRow, StoredCallback};
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId};

/// A column that cannot be read.
pub(super) fn unreadable(index: usize, reason: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Null, reason.into())
}

/// A point in time.
pub(super) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(index)?).map_err(|error| unreadable(index, error))
}

/// A point in time or none.
pub(super) fn maybe_time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    let micros: Option<i64> = row.get(index)?;
    micros.map(|_| time(row, index)).transpose()
}

/// A count.
pub(super) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(index)?).map_err(|error| unreadable(index, error))
}

/// A closed set's word.
pub(super) fn word<T>(row: &Row<'_>, index: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(index)?;
    parse(&text).ok_or_else(|| unreadable(index, format!("the word `{text}` is not known")))
}

/// Microseconds of a time that is only there sometimes.
pub(super) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_microsecond)
}

/// Microseconds, rounded up: what is due is never claimed before its time.
pub(super) fn micros_up(at: Timestamp) -> i64 {
    let floor = at.as_microsecond();
    let exact = Timestamp::from_microsecond(floor).is_ok_and(|floor| floor >= at);
    if exact || at == Timestamp::MAX { floor } else { floor.saturating_add(1) }
}

/// A count for a column.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Headers as they are kept.
pub(super) fn headers_to_json(headers: &[(String, String)]) -> String {
    serde_json::to_string(headers).unwrap_or_else(|_| "[]".into())
}

/// The columns of [`callback_row`], from `callbacks c`.
pub(super) const CALLBACK_COLUMNS: &str = "c.n, c.id, (SELECT id FROM accounts WHERE n = c.account), \
     (SELECT id FROM platforms WHERE n = c.platform), c.channel, c.received_at, c.repeats, c.last_repeat_at, \
     c.kind, c.envelope, c.quarantine_reason";

/// Reads [`CALLBACK_COLUMNS`].
pub(super) fn callback_row(row: &Row<'_>) -> rusqlite::Result<CallbackRow> {
    Ok(CallbackRow {
        id: CallbackId::from_bytes(row.get(1)?),
        account: AccountId::new(row.get::<_, String>(2)?),
        platform: row.get(3)?,
        channel: row.get(4)?,
        received_at: time(row, 5)?,
        repeats: number(row, 6)?,
        last_repeat_at: maybe_time(row, 7)?,
        kind: row.get(8)?,
        envelope: row.get::<_, Option<String>>(9)?.map(EnvelopeId::new),
        quarantine_reason: row.get(10)?,
    })
}

/// The columns of [`stored_callback`], from `callbacks c` and `requests r`.
pub(super) const REQUEST_COLUMNS: &str = "r.method, r.query, r.headers, r.remote, r.body";

/// Reads [`CALLBACK_COLUMNS`] with [`REQUEST_COLUMNS`] after them.
pub(super) fn stored_callback(row: &Row<'_>) -> rusqlite::Result<StoredCallback> {
    let headers: String = row.get(13)?;
    Ok(StoredCallback {
        row: callback_row(row)?,
        method: row.get(11)?,
        query: row.get(12)?,
        headers: serde_json::from_str(&headers).map_err(|error| unreadable(13, error))?,
        remote: row.get(14)?,
        body: row.get::<_, Vec<u8>>(15)?.into(),
    })
}

/// The last attempts of a transfer, newest first.
pub(super) fn attempts(conn: &Connection, transfer: i64, limit: i64) -> rusqlite::Result<Vec<Attempt>> {
    let mut statement = conn.prepare_cached(
        "SELECT step, subject, started_at, duration_ms, error FROM attempts WHERE transfer = ?1
         ORDER BY n DESC LIMIT ?2",
    )?;
    let rows = statement.query_map([transfer, limit], |row| {
        Ok(Attempt {
            step: row.get(0)?,
            subject: row.get(1)?,
            started_at: time(row, 2)?,
            duration_ms: number(row, 3)?,
            error: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// The number of an account that has one.
pub(super) fn account_number(conn: &Connection, account: &AccountId) -> rusqlite::Result<Option<i64>> {
    use rusqlite::OptionalExtension;
    conn.prepare_cached("SELECT n FROM accounts WHERE id = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()
}
