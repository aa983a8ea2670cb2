//! Sweeps: what reconciliation compares with.

use aftersign_core::Timestamp;
use aftersign_core::envelope::{EnvelopeStatus, Known};
use aftersign_core::ids::{AccountId, EnvelopeId, SweepId};
use aftersign_core::journal::{Action, Entry};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params};

use super::fault::Fault;
use super::rows::{account_number, maybe_time, micros, number, signed, time};
use super::writer::Work;
use super::{SqliteStore, envelopes, journal};
use crate::{StoreError, SweepRow, Sweeps, Unarchived};

fn sweep_row(row: &Row<'_>, account: &AccountId) -> rusqlite::Result<SweepRow> {
    Ok(SweepRow {
        id: SweepId::from_bytes(row.get(0)?),
        account: account.clone(),
        since: time(row, 1)?,
        until: time(row, 2)?,
        started_at: time(row, 3)?,
        finished_at: maybe_time(row, 4)?,
        seen: number(row, 5)?,
        found: number(row, 6)?,
        error: row.get(7)?,
    })
}

#[async_trait]
impl Sweeps for SqliteStore {
    async fn last_finished(&self, account: &AccountId) -> Result<Option<SweepRow>, StoreError> {
        let account = account.clone();
        self.read("read the last sweep", move |conn| {
            let Some(number) = account_number(conn, &account)? else { return Ok(None) };
            Ok(conn
                .prepare_cached(
                    "SELECT id, since, until, started_at, finished_at, seen, found, error
                     FROM sweeps INDEXED BY sweeps_finished
                     WHERE account = ?1 AND finished_at IS NOT NULL ORDER BY finished_at DESC, n DESC LIMIT 1",
                )?
                .query_row([number], |row| sweep_row(row, &account))
                .optional()?)
        })
        .await
    }

    async fn record_sweep(&self, sweep: SweepRow) -> Result<(), StoreError> {
        self.writer.run("record a sweep", move |work| record_sweep(work, &sweep)).await
    }

    async fn known(&self, account: &AccountId, ids: &[EnvelopeId]) -> Result<Vec<Known>, StoreError> {
        let (account, ids) = (account.clone(), ids.to_vec());
        self.read("read envelopes", move |conn| {
            let Some(account) = account_number(conn, &account)? else { return Ok(Vec::new()) };
            let mut known = Vec::with_capacity(ids.len());
            for id in &ids {
                known.extend(envelopes::find(conn, account, id)?.map(|(_, row)| row.known));
            }
            Ok(known)
        })
        .await
    }

    async fn unsettled(
        &self,
        account: &AccountId,
        after: Option<&EnvelopeId>,
        limit: usize,
    ) -> Result<Vec<EnvelopeId>, StoreError> {
        let account = account.clone();
        let after = after.map_or_else(String::new, |id| id.as_str().to_string());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read("read unsettled envelopes", move |conn| {
            let Some(account) = account_number(conn, &account)? else { return Ok(Vec::new()) };
            let mut statement = conn.prepare_cached(
                "SELECT id FROM envelopes INDEXED BY envelopes_unsettled
                 WHERE account = ?1 AND settled = 0 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let rows = statement.query_map(params![account, after, limit], |row| {
                row.get(0).map(|id: String| EnvelopeId::new(id))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn unarchived(
        &self,
        account: &AccountId,
        status: Option<EnvelopeStatus>,
        before: Timestamp,
    ) -> Result<Unarchived, StoreError> {
        let account = account.clone();
        self.read("read what is not archived", move |conn| {
            let Some(account) = account_number(conn, &account)? else { return Ok(Unarchived::default()) };
            let (index, chosen) = match status {
                Some(_) => ("envelopes_unarchived", "e.settled = 1 AND e.status = ?2"),
                None => (
                    "envelopes_unsettled",
                    "e.settled = 0 AND (e.announced = 1 OR e.swept = 1) AND ?2 IS NULL",
                ),
            };
            // With min(), SQLite takes the other columns from the row that holds it.
            let mut statement = conn.prepare_cached(&format!(
                "SELECT count(*), min(coalesce(e.completed_at, e.first_seen_at)), e.id
                 FROM envelopes e INDEXED BY {index} JOIN transfers t ON t.envelope = e.n
                 WHERE e.account = ?1 AND {chosen} AND e.archived_at IS NULL
                     AND coalesce(e.completed_at, e.first_seen_at) < ?3
                     AND t.phase IN ('ask', 'list', 'carry', 'dead_letter')"
            ))?;
            let params = params![account, status.map(EnvelopeStatus::as_str), before.as_microsecond()];
            Ok(statement.query_row(params, |row| {
                let oldest = row.get::<_, Option<String>>(2)?.map(EnvelopeId::new).zip(maybe_time(row, 1)?);
                Ok(Unarchived { count: number(row, 0)?, oldest })
            })?)
        })
        .await
    }
}

fn record_sweep(work: &Work<'_>, sweep: &SweepRow) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "INSERT INTO sweeps (id, account, since, until, started_at, finished_at, seen, found, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET since = ?3, until = ?4, started_at = ?5, finished_at = ?6,
                 seen = ?7, found = ?8, error = ?9",
        )?
        .execute(params![
            sweep.id.as_bytes(),
            work.account(&sweep.account)?,
            sweep.since.as_microsecond(),
            sweep.until.as_microsecond(),
            sweep.started_at.as_microsecond(),
            micros(sweep.finished_at),
            signed(sweep.seen),
            signed(sweep.found),
            sweep.error,
        ])?;
    let what = sweep.error.as_ref().map_or(String::new(), |error| format!("; failed: {error}"));
    let entry = Entry {
        at: sweep.finished_at.unwrap_or(sweep.started_at),
        actor: "server".into(),
        action: Action::Swept,
        account: sweep.account.as_str().into(),
        envelope: String::new(),
        detail: format!(
            "{} to {}: {} looked at, {} differences{what}",
            sweep.since, sweep.until, sweep.seen, sweep.found
        ),
    };
    journal::append(work, &entry)
}
