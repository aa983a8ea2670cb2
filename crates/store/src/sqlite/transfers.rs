//! Transfers' rows: one way to load and one to save, so that no wake is lost between two writers.
//!
//! A wake for a transfer that nobody holds is taken in at once. While a worker holds the lease, its state
//! will overwrite the row's, so wakes gather in the `wake` column; whoever loads the row next (the worker's
//! own record, a rescue, a person) takes them in with [`Held::take_wake`], and saving clears them.

use aftersign_core::Timestamp;
use aftersign_core::envelope::Envelope;
use aftersign_core::ids::{AccountId, EnvelopeId, SenderId, TransferId};
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::transfer::{ParkReason, Transfer, Wake};
use rusqlite::{OptionalExtension, Params, Row, params};

use super::fault::Fault;
use super::rows::{micros_up, signed, unreadable};
use super::writer::Work;
use super::{json_transfer, tasks};
use crate::Worker;

/// A transfer's row.
pub(super) struct Held {
    pub(super) n: i64,
    pub(super) envelope: i64,
    pub(super) transfer: Transfer,
    /// The token of the lease that is on it; `None` if nobody holds it.
    pub(super) token: Option<u64>,
    wake: Option<Wake>,
}

impl Held {
    /// The transfer with the wakes that came while it was held.
    pub(super) fn take_wake(mut self) -> Self {
        if let Some(wake) = self.wake.take() {
            self.transfer.wake(&wake);
        }
        self
    }

    /// The wakes that came while it was held.
    pub(super) fn pending_wake(&self) -> Option<Wake> {
        self.wake
    }
}

/// What becomes of the lease when a transfer is saved.
pub(super) enum Hold<'a> {
    /// It stays as it is.
    Keep,
    /// Nobody holds it from now on.
    Free,
    /// This worker holds it from now on.
    Take { worker: &'a Worker, token: u64, until: Timestamp },
}

const COLUMNS: &str = "n, envelope, state, leased_until, lease_token, wake";

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    let state: String = row.get(2)?;
    let wake: Option<String> = row.get(5)?;
    let leased_until: Option<i64> = row.get(3)?;
    let token = u64::try_from(row.get::<_, i64>(4)?).map_err(|error| unreadable(4, error))?;
    Ok(Held {
        n: row.get(0)?,
        envelope: row.get(1)?,
        transfer: json_transfer::from_text(&state).map_err(|error| unreadable(2, error))?,
        token: leased_until.map(|_| token),
        wake: wake
            .map(|text| json_transfer::wake_from_text(&text))
            .transpose()
            .map_err(|error| unreadable(5, error))?,
    })
}

fn find(work: &Work<'_>, condition: &str, params: impl Params) -> Result<Option<Held>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM transfers WHERE {condition}");
    Ok(work.conn.prepare_cached(&sql)?.query_row(params, held).optional()?)
}

/// By its id.
pub(super) fn by_id(work: &Work<'_>, id: TransferId) -> Result<Option<Held>, Fault> {
    find(work, "id = ?1", [id.as_bytes()])
}

/// By its row's number, if it can be read.
pub(super) fn readable(work: &Work<'_>, n: i64, now: Timestamp) -> Result<Option<Held>, Fault> {
    match find(work, "n = ?1", [n]) {
        Err(fault) if fault.is_unreadable_row() => set_aside(work, n, fault, now).map(|()| None),
        held => held,
    }
}

/// A transfer whose record cannot be read must not hold up the others: nobody holds it, it is due no more and waits for
/// nothing, and a person is told.
fn set_aside(work: &Work<'_>, n: i64, fault: Fault, now: Timestamp) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "UPDATE transfers SET due_at = NULL, parked = NULL, parked_for = NULL, wake = NULL, leased_node = NULL,
                 leased_boot = NULL, leased_until = NULL WHERE n = ?1",
        )?
        .execute([n])?;
    let (account, envelope): (String, String) = work
        .conn
        .prepare_cached(
            "SELECT a.id, e.id FROM transfers t JOIN accounts a ON a.n = t.account
                 JOIN envelopes e ON e.n = t.envelope WHERE t.n = ?1",
        )?
        .query_row([n], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let what = format!("The record of this transfer is damaged: {}", fault.into_store("read a transfer"));
    let task = TaskDraft::for_envelope(
        TaskKind::DeadLetter,
        &AccountId::new(account),
        &EnvelopeId::new(envelope),
        what,
        "Restore the database from a backup, or archive this envelope by hand; the others go on.",
    );
    tasks::open(work, &[task], now)
}

/// What the platform last answered about the envelope of row `envelope`.
pub(super) fn envelope_of(work: &Work<'_>, envelope: i64) -> Result<Option<Envelope>, Fault> {
    Ok(find(work, "envelope = ?1", [envelope])?.and_then(|held| held.transfer.envelope))
}

/// The sender for whose access it is parked; `None` for the account's own, and where it is not parked for access.
fn parked_for(transfer: &Transfer) -> Option<&str> {
    let for_access = transfer.parked.is_some_and(|parked| parked.reason == ParkReason::AccessNeeded);
    transfer.waits_for.sender().filter(|_| for_access).map(SenderId::as_str)
}

/// Writes a new transfer.
pub(super) fn insert(work: &Work<'_>, account: i64, envelope: i64, transfer: &Transfer) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "INSERT INTO transfers (id, account, envelope, phase, due_at, parked, parked_for, lease_token, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
        )?
        .execute(params![
            transfer.id.as_bytes(),
            account,
            envelope,
            transfer.phase.as_str(),
            transfer.due_at.map(micros_up),
            transfer.parked.map(|parked| parked.reason.as_str()),
            parked_for(transfer),
            json_transfer::to_text(transfer)?,
        ])?;
    Ok(())
}

/// Writes a transfer with all wakes taken in.
pub(super) fn save(work: &Work<'_>, n: i64, transfer: &Transfer, hold: &Hold<'_>) -> Result<(), Fault> {
    let phase = transfer.phase.as_str();
    let due_at = transfer.due_at.map(micros_up);
    let parked = transfer.parked.map(|parked| parked.reason.as_str());
    let parked_for = parked_for(transfer);
    let state = json_transfer::to_text(transfer)?;
    const STATE: &str = "phase = ?2, due_at = ?3, parked = ?4, parked_for = ?5, state = ?6, wake = NULL";
    match hold {
        Hold::Keep => work
            .conn
            .prepare_cached(&format!("UPDATE transfers SET {STATE} WHERE n = ?1"))?
            .execute(params![n, phase, due_at, parked, parked_for, state])?,
        Hold::Free => work
            .conn
            .prepare_cached(&format!(
                "UPDATE transfers SET {STATE}, leased_node = NULL, leased_boot = NULL, leased_until = NULL
                 WHERE n = ?1"
            ))?
            .execute(params![n, phase, due_at, parked, parked_for, state])?,
        Hold::Take { worker, token, until } => work
            .conn
            .prepare_cached(&format!(
                "UPDATE transfers SET {STATE}, leased_node = ?7, leased_boot = ?8, lease_token = ?9,
                     leased_until = ?10 WHERE n = ?1"
            ))?
            .execute(params![
                n,
                phase,
                due_at,
                parked,
                parked_for,
                state,
                worker.node,
                worker.boot,
                signed(*token),
                until.as_microsecond()
            ])?,
    };
    Ok(())
}

/// Takes a wake to the transfer of an envelope, which is made if there is none.
pub(super) fn wake(
    work: &Work<'_>,
    account: i64,
    envelope: i64,
    wake: &Wake,
    now: Timestamp,
    make: impl FnOnce() -> Transfer,
) -> Result<(), Fault> {
    let n: Option<i64> = work
        .conn
        .prepare_cached("SELECT n FROM transfers WHERE envelope = ?1")?
        .query_row([envelope], |row| row.get(0))
        .optional()?;
    let Some(n) = n else {
        let mut transfer = make();
        transfer.wake(wake);
        return insert(work, account, envelope, &transfer);
    };
    let Some(mut held) = readable(work, n, now)? else { return Ok(()) };
    if held.token.is_some() {
        let merged = held.pending_wake().map_or(*wake, |pending| pending.and(*wake));
        work.conn
            .prepare_cached("UPDATE transfers SET wake = ?2 WHERE n = ?1")?
            .execute(params![held.n, json_transfer::wake_to_text(&merged)?])?;
        return Ok(());
    }
    let before = held.transfer.clone();
    held = held.take_wake();
    held.transfer.wake(wake);
    if held.transfer != before {
        save(work, held.n, &held.transfer, &Hold::Keep)?;
    }
    Ok(())
}
