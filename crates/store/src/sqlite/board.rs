//! What lists and pages show.
//!
//! Every list walks one index from where the last page ended; the index is named in the query, so that a page
//! costs its rows and not the table, whatever the planner thinks. Counts are read, never counted.

use aftersign_core::Timestamp;
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId, TaskId, TransferId};
use aftersign_core::journal::{Action, Entry};
use aftersign_core::transfer::{Phase, Transfer};
use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use tokio::sync::watch;

use super::cursor::{self, List, Place};
use super::envelopes::{ENVELOPE_COLUMNS, envelope_row};
use super::fault::Fault;
use super::rows::{
    CALLBACK_COLUMNS, REQUEST_COLUMNS, account_number, attempts, callback_row, number, stored_callback, time,
    unreadable, word,
};
use super::tasks::{TASK_COLUMNS, task_row};
use super::{SqliteStore, journal, json_transfer};
use crate::limits::DETAIL_ROWS_MAX;
use crate::{
    Attempt, Board, CallbackFilter, CallbackRow, EnvelopeDetail, EnvelopeFilter, EnvelopeRow, Listing,
    Overview, PageRequest, StoreError, StoredCallback, TaskRow, TimelineRow, TransferFilter,
};

const DETAIL_ROWS: i64 = DETAIL_ROWS_MAX as i64;

#[async_trait]
impl Board for SqliteStore {
    async fn overview(&self) -> Result<Overview, StoreError> {
        self.read("read the counts", overview).await
    }

    async fn callbacks(
        &self,
        filter: &CallbackFilter,
        page: &PageRequest,
    ) -> Result<Listing<CallbackRow>, StoreError> {
        let filter = filter.clone();
        let (place, rows) = cursor::begin(List::Callbacks, page)?;
        self.read("list callbacks", move |conn| callbacks(conn, &filter, place, rows)).await
    }

    async fn callback(&self, id: CallbackId) -> Result<Option<StoredCallback>, StoreError> {
        self.read("read a callback", move |conn| {
            let sql = format!(
                "SELECT {CALLBACK_COLUMNS}, {REQUEST_COLUMNS}
                 FROM callbacks c CROSS JOIN requests r ON r.n = c.n WHERE c.id = ?1"
            );
            Ok(conn.prepare_cached(&sql)?.query_row([id.as_bytes()], stored_callback).optional()?)
        })
        .await
    }

    async fn envelopes(
        &self,
        filter: &EnvelopeFilter,
        page: &PageRequest,
    ) -> Result<Listing<EnvelopeRow>, StoreError> {
        let filter = filter.clone();
        let (place, rows) = cursor::begin(List::Envelopes, page)?;
        self.read("list envelopes", move |conn| envelopes(conn, &filter, place, rows)).await
    }

    async fn envelope(
        &self,
        account: Option<&AccountId>,
        id: &EnvelopeId,
    ) -> Result<Option<EnvelopeDetail>, StoreError> {
        let (account, id) = (account.cloned(), id.clone());
        self.read("read an envelope", move |conn| envelope(conn, account.as_ref(), &id)).await
    }

    async fn transfers(
        &self,
        filter: &TransferFilter,
        page: &PageRequest,
    ) -> Result<Listing<Transfer>, StoreError> {
        let filter = filter.clone();
        let (place, rows) = cursor::begin(List::Transfers, page)?;
        self.read("list transfers", move |conn| transfers(conn, &filter, place, rows)).await
    }

    async fn transfer(&self, id: TransferId) -> Result<Option<(Transfer, Vec<Attempt>)>, StoreError> {
        self.read("read a transfer", move |conn| {
            let found = conn
                .prepare_cached("SELECT n, state FROM transfers WHERE id = ?1")?
                .query_row([id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, state(row, 1)?)))
                .optional()?;
            let Some((n, transfer)) = found else { return Ok(None) };
            Ok(Some((transfer, attempts(conn, n, DETAIL_ROWS)?)))
        })
        .await
    }

    async fn tasks(&self, open: Option<bool>, page: &PageRequest) -> Result<Listing<TaskRow>, StoreError> {
        let (place, rows) = cursor::begin(List::Tasks, page)?;
        self.read("list tasks", move |conn| tasks(conn, open, place, rows)).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<TaskRow>, StoreError> {
        self.read("read a task", move |conn| {
            let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?1");
            Ok(conn.prepare_cached(&sql)?.query_row([id.as_bytes()], task_row).optional()?)
        })
        .await
    }

    async fn resolve_task(
        &self,
        id: TaskId,
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (reason, actor) = (reason.to_string(), actor.to_string());
        self.writer
            .run("resolve a task", move |work| {
                let settled: Option<(String, Option<String>, String)> = work
                    .conn
                    .prepare_cached(
                        "UPDATE tasks SET resolved_at = ?2, resolution = ?3
                         WHERE id = ?1 AND resolved_at IS NULL RETURNING account, envelope, kind",
                    )?
                    .query_row(
                        params![id.as_bytes(), now.as_microsecond(), format!("{actor}: {reason}")],
                        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                    )
                    .optional()?;
                let Some((account, envelope, kind)) = settled else { return Ok(false) };
                let entry = Entry {
                    at: now,
                    actor,
                    action: Action::Resolved,
                    account,
                    envelope: envelope.unwrap_or_default(),
                    detail: format!("task {kind}: {reason}"),
                };
                journal::append(work, &entry)?;
                Ok(true)
            })
            .await
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }
}

fn overview(conn: &Connection) -> Result<Overview, Fault> {
    let mut overview = Overview::default();
    let mut statement = conn.prepare_cached(
        "SELECT kind, (SELECT id FROM accounts WHERE n = account), word, count FROM counters WHERE count <> 0",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let account = || row.get::<_, String>(1).map(AccountId::new);
        let count = number(row, 3)?;
        match kind.as_str() {
            "callbacks" => overview.callbacks = count,
            "quarantined" => overview.quarantined = count,
            "repeats" => overview.repeats = count,
            "open_tasks" => overview.open_tasks = count,
            "gaps" => overview.gaps = count,
            "envelopes" => {
                overview.envelopes.push((account()?, word(row, 2, EnvelopeStatus::parse)?, count));
            }
            "transfers" => overview.transfers.push((account()?, word(row, 2, Phase::parse)?, count)),
            _ => return Err(unreadable(0, format!("the counter `{kind}` is not known")).into()),
        }
    }
    Ok(overview)
}

/// Conditions and their values, put together as filters ask.
#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition with `?` for its one value.
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.and_all(condition, [value.into()]);
    }

    fn and_all<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.text.push_str(if self.text.is_empty() { "WHERE " } else { " AND " });
        self.text.push_str(condition);
        self.values.extend(values);
    }

    /// The place before which the page begins, over two columns.
    fn before(&mut self, place: Place) {
        self.and_all("(e.updated_at, e.n) < (?, ?)", [place.0.into(), place.1.into()]);
    }
}

fn list<T>(
    conn: &Connection,
    sql: &str,
    conditions: Conditions,
    which: List,
    rows: usize,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<(Place, T)>,
) -> Result<Listing<T>, Fault> {
    let sql = sql.replace("{where}", &conditions.text);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut values = conditions.values;
    values.push(cursor::ask(rows).into());
    let found = statement.query_map(params_from_iter(values), |row| read(row))?;
    Ok(cursor::page(which, rows, found.collect::<Result<_, _>>()?))
}

/// The number that a filter's account has; `Err(())` if no row can match.
fn filtered_account(
    conn: &Connection,
    account: Option<&AccountId>,
) -> Result<Result<Option<i64>, ()>, Fault> {
    match account {
        None => Ok(Ok(None)),
        Some(account) => Ok(account_number(conn, account)?.map(Some).ok_or(())),
    }
}

fn nothing<T>() -> Listing<T> {
    Listing { rows: Vec::new(), next_cursor: None }
}

fn callbacks(
    conn: &Connection,
    filter: &CallbackFilter,
    place: Place,
    rows: usize,
) -> Result<Listing<CallbackRow>, Fault> {
    let Ok(account) = filtered_account(conn, filter.account.as_ref())? else { return Ok(nothing()) };
    let mut conditions = Conditions::default();
    let index = match (&filter.envelope, filter.quarantined, account) {
        (Some(_), _, _) => "",
        (None, Some(true), _) => "INDEXED BY callbacks_quarantined",
        (None, _, Some(_)) => "INDEXED BY callbacks_account",
        (None, _, None) => "NOT INDEXED",
    };
    conditions.and("c.n < ?", place.1);
    if let Some(envelope) = &filter.envelope {
        // Linked ones, those the projector has not seen yet, and those it could not link.
        conditions.and_all(
            "c.n IN (SELECT n FROM callbacks INDEXED BY callbacks_envelope WHERE envelope_n IN
                         (SELECT n FROM envelopes INDEXED BY envelopes_id WHERE id = ?)
                     UNION SELECT n FROM callbacks INDEXED BY callbacks_unprojected
                         WHERE unprojected = 1 AND envelope = ?
                     UNION SELECT n FROM callbacks INDEXED BY callbacks_quarantined_envelope
                         WHERE quarantine_reason IS NOT NULL AND envelope = ?)",
            [(); 3].map(|()| Value::from(envelope.as_str().to_string())),
        );
    }
    if let Some(account) = account {
        conditions.and("c.account = ?", account);
    }
    if let Some(quarantined) = filter.quarantined {
        let condition = if quarantined { "IS NOT NULL" } else { "IS NULL" };
        conditions.and_all(&format!("c.quarantine_reason {condition}"), []);
    }
    let sql =
        format!("SELECT {CALLBACK_COLUMNS} FROM callbacks c {index} {{where}} ORDER BY c.n DESC LIMIT ?");
    list(conn, &sql, conditions, List::Callbacks, rows, |row| Ok(((0, row.get(0)?), callback_row(row)?)))
}

fn envelopes(
    conn: &Connection,
    filter: &EnvelopeFilter,
    place: Place,
    rows: usize,
) -> Result<Listing<EnvelopeRow>, Fault> {
    let Ok(account) = filtered_account(conn, filter.account.as_ref())? else { return Ok(nothing()) };
    let mut conditions = Conditions::default();
    let index = match (filter.gaps, account, filter.status) {
        (true, _, _) => "envelopes_gaps",
        (false, Some(_), Some(_)) => "envelopes_account_status",
        (false, Some(_), None) => "envelopes_account",
        (false, None, Some(_)) => "envelopes_status",
        (false, None, None) => "envelopes_updated",
    };
    if filter.gaps {
        conditions.and_all("e.gap = 1", []);
    }
    if let Some(account) = account {
        conditions.and("e.account = ?", account);
    }
    if let Some(status) = filter.status {
        conditions.and("e.status = ?", status.as_str().to_string());
    }
    conditions.before(place);
    let sql = format!(
        "SELECT {ENVELOPE_COLUMNS} FROM envelopes e INDEXED BY {index} {{where}}
         ORDER BY e.updated_at DESC, e.n DESC LIMIT ?"
    );
    list(conn, &sql, conditions, List::Envelopes, rows, |row| {
        Ok(((row.get(15)?, row.get(0)?), envelope_row(row)?))
    })
}

fn envelope(
    conn: &Connection,
    account: Option<&AccountId>,
    id: &EnvelopeId,
) -> Result<Option<EnvelopeDetail>, Fault> {
    let Ok(account) = filtered_account(conn, account)? else { return Ok(None) };
    let found = conn
        .prepare_cached(&format!(
            "SELECT {ENVELOPE_COLUMNS} FROM envelopes e INDEXED BY envelopes_id
             WHERE e.id = ?1 AND (?2 IS NULL OR e.account = ?2) ORDER BY e.n LIMIT 1"
        ))?
        .query_row(params![id.as_str(), account], |row| Ok((row.get::<_, i64>(0)?, envelope_row(row)?)))
        .optional()?;
    let Some((n, row)) = found else { return Ok(None) };
    let transfer = conn
        .prepare_cached("SELECT n, state FROM transfers WHERE envelope = ?1")?
        .query_row([n], |row| Ok((row.get::<_, i64>(0)?, state(row, 1)?)))
        .optional()?;
    let attempts = match &transfer {
        Some((transfer, _)) => attempts(conn, *transfer, DETAIL_ROWS)?,
        None => Vec::new(),
    };
    let transfer = transfer.map(|(_, transfer)| transfer);
    Ok(Some(EnvelopeDetail { row, transfer, timeline: timeline(conn, n)?, attempts }))
}

/// The last lines, oldest first.
fn timeline(conn: &Connection, envelope: i64) -> Result<Vec<TimelineRow>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT at, heard_at, kind, kind_at_platform,
             CASE WHEN callback IS NOT NULL THEN 'callback' WHEN by_us = 1 THEN 'server' ELSE 'sweep' END,
             signer, detail
         FROM timeline INDEXED BY timeline_envelope
         WHERE envelope = ?1 ORDER BY at DESC, n DESC LIMIT ?2",
    )?;
    let rows = statement.query_map([envelope, DETAIL_ROWS], |row| {
        Ok(TimelineRow {
            at: time(row, 0)?,
            heard_at: time(row, 1)?,
            kind: row.get(2)?,
            kind_at_platform: row.get(3)?,
            source: row.get(4)?,
            signer: row.get(5)?,
            detail: row.get(6)?,
        })
    })?;
    let mut lines: Vec<TimelineRow> = rows.collect::<Result<_, _>>()?;
    lines.reverse();
    Ok(lines)
}

fn state(row: &Row<'_>, index: usize) -> rusqlite::Result<Transfer> {
    let text: String = row.get(index)?;
    json_transfer::from_text(&text).map_err(|error| unreadable(index, error))
}

fn transfers(
    conn: &Connection,
    filter: &TransferFilter,
    place: Place,
    rows: usize,
) -> Result<Listing<Transfer>, Fault> {
    let Ok(account) = filtered_account(conn, filter.account.as_ref())? else { return Ok(nothing()) };
    let mut conditions = Conditions::default();
    let index = match (account, filter.phase) {
        (Some(_), Some(_)) => "INDEXED BY transfers_account_phase",
        (Some(_), None) => "INDEXED BY transfers_account",
        (None, Some(_)) => "INDEXED BY transfers_phase",
        (None, None) => "NOT INDEXED",
    };
    conditions.and("n < ?", place.1);
    if let Some(account) = account {
        conditions.and("account = ?", account);
    }
    if let Some(phase) = filter.phase {
        conditions.and("phase = ?", phase.as_str().to_string());
    }
    let sql = format!("SELECT n, state FROM transfers {index} {{where}} ORDER BY n DESC LIMIT ?");
    list(conn, &sql, conditions, List::Transfers, rows, |row| Ok(((0, row.get(0)?), state(row, 1)?)))
}

fn tasks(
    conn: &Connection,
    open: Option<bool>,
    place: Place,
    rows: usize,
) -> Result<Listing<TaskRow>, Fault> {
    let mut conditions = Conditions::default();
    conditions.and("n < ?", place.1);
    let index = match open {
        Some(true) => {
            conditions.and_all("resolved_at IS NULL", []);
            "INDEXED BY tasks_open"
        }
        Some(false) => {
            conditions.and_all("resolved_at IS NOT NULL", []);
            "INDEXED BY tasks_settled"
        }
        None => "NOT INDEXED",
    };
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks {index} {{where}} ORDER BY n DESC LIMIT ?");
    list(conn, &sql, conditions, List::Tasks, rows, |row| Ok(((0, row.get(0)?), task_row(row)?)))
}
