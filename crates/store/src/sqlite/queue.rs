//! The queue of transfers: claims by lease over a partial index of what is due.
//!
//! No transaction stays open while work is done. A lease bears a token that is new for every claim; whoever
//! records with an old one is refused, so a worker that was slow beyond its lease cannot undo what came after.
//! A person's redrive or resolve ends the lease too: the worker's record is then refused.

use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::grant::Holder;
use aftersign_core::ids::{AccountId, SenderId, TransferId};
use aftersign_core::journal::{Action, Entry};
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::transfer::{Change, ParkReason, Transfer};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::projection::by_server;
use super::rows::{account_number, signed};
use super::transfers::{self, Held, Hold};
use super::writer::Work;
use super::{SqliteStore, concerns, envelopes, journal, tasks, vault};
use crate::limits::{ACCESS_RENEWALS_PER_COMMIT, CLAIM_ROUNDS_MAX};
use crate::{Attempt, Claimed, Lease, Queue, StoreError, Worker};

#[async_trait]
impl Queue for SqliteStore {
    async fn claim(
        &self,
        account: &AccountId,
        worker: &Worker,
        limit: usize,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        // A look that finds nothing must not cost the writer anything.
        if limit == 0 || self.next_due(account).await?.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        let (account, worker) = (account.clone(), worker.clone());
        let until = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        self.writer
            .run("claim transfers", move |work| claim(work, &account, &worker, limit, until, now))
            .await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<Lease, StoreError> {
        let lease = lease.clone();
        self.writer
            .run("renew a lease", move |work| {
                let renewed = work
                    .conn
                    .prepare_cached(
                        "UPDATE transfers SET leased_until = ?3
                         WHERE id = ?1 AND lease_token = ?2 AND leased_until IS NOT NULL",
                    )?
                    .execute(params![
                        lease.transfer.as_bytes(),
                        signed(lease.token),
                        until.as_microsecond()
                    ])?;
                if renewed == 0 { Err(StoreError::LeaseLost.into()) } else { Ok(Lease { until, ..lease }) }
            })
            .await
    }

    async fn record(
        &self,
        lease: &Lease,
        transfer: Transfer,
        change: Change,
        attempt: Option<Attempt>,
        keep: bool,
        now: Timestamp,
    ) -> Result<Transfer, StoreError> {
        let (lease, account) = (lease.clone(), transfer.account.clone());
        let access_works = change.access_works.clone();
        let recorded = self
            .writer
            .run("record a step", move |work| {
                record(work, &lease, transfer, &change, attempt.as_ref(), keep, now)
            })
            .await?;
        if let Some(holder) = access_works {
            self.renew_access(&account, &holder, now).await?;
        }
        Ok(recorded)
    }

    async fn rescue(&self, worker: &Worker, now: Timestamp) -> Result<u64, StoreError> {
        let worker = worker.clone();
        self.writer.run("rescue leases", move |work| rescue(work, &worker, now)).await
    }

    async fn next_due(&self, account: &AccountId) -> Result<Option<Timestamp>, StoreError> {
        let account = account.clone();
        self.read("look for what is due", move |conn| {
            let Some(account) = account_number(conn, &account)? else { return Ok(None) };
            let due: Option<i64> = conn
                .prepare_cached(
                    "SELECT min(due_at) FROM transfers INDEXED BY transfers_due
                     WHERE account = ?1 AND leased_until IS NULL AND due_at IS NOT NULL",
                )?
                .query_row([account], |row| row.get(0))?;
            Ok(due.map(|due| Timestamp::from_microsecond(due).unwrap_or(Timestamp::MAX)))
        })
        .await
    }

    async fn redrive(&self, id: TransferId, actor: &str, now: Timestamp) -> Result<bool, StoreError> {
        let actor = actor.to_string();
        self.writer
            .run("redrive a transfer", move |work| {
                let Some(mut held) = transfers::by_id(work, id)?.map(Held::take_wake) else {
                    return Ok(false);
                };
                let before = held.transfer.phase;
                if !held.transfer.redrive(now) {
                    return Ok(false);
                }
                transfers::save(work, held.n, &held.transfer, &Hold::Free)?;
                let detail = format!("from {}", before.as_str());
                journal::append(work, &by_person(&held.transfer, Action::Redriven, actor, detail, now))?;
                Ok(true)
            })
            .await
    }

    async fn resolve(
        &self,
        id: TransferId,
        reason: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (reason, actor) = (reason.to_string(), actor.to_string());
        self.writer
            .run("resolve a transfer", move |work| {
                let Some(mut held) = transfers::by_id(work, id)?.map(Held::take_wake) else {
                    return Ok(false);
                };
                if !held.transfer.resolve(&reason) {
                    return Ok(false);
                }
                let transfer = &held.transfer;
                transfers::save(work, held.n, transfer, &Hold::Free)?;
                let resolution = format!("{actor}: {reason}");
                tasks::close_of_envelope(work, &transfer.account, &transfer.envelope_id, &resolution, now)?;
                journal::append(work, &by_person(transfer, Action::Resolved, actor, reason, now))?;
                Ok(true)
            })
            .await
    }
}

fn by_person(transfer: &Transfer, action: Action, actor: String, detail: String, now: Timestamp) -> Entry {
    Entry { actor, ..by_server(action, &transfer.account, &transfer.envelope_id, detail, now) }
}

fn claim(
    work: &Work<'_>,
    account: &AccountId,
    worker: &Worker,
    limit: usize,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<Claimed>, Fault> {
    let account = work.account(account)?;
    let mut claimed = Vec::new();
    for _ in 0..CLAIM_ROUNDS_MAX {
        let due = due_numbers(work, account, limit - claimed.len(), now)?;
        if due.is_empty() {
            break;
        }
        for n in due {
            let Some(held) = transfers::readable(work, n, now)?.map(Held::take_wake) else { continue };
            // The column says due and the state does not: put the column right and hand nothing out.
            if held.transfer.due_at.is_none_or(|due| due > now) {
                transfers::save(work, n, &held.transfer, &Hold::Keep)?;
                continue;
            }
            let token = next_token(work)?;
            transfers::save(work, n, &held.transfer, &Hold::Take { worker, token, until })?;
            let lease = Lease { transfer: held.transfer.id, token, until };
            claimed.push(Claimed { transfer: held.transfer, lease });
        }
        if claimed.len() >= limit {
            break;
        }
    }
    Ok(claimed)
}

fn due_numbers(work: &Work<'_>, account: i64, limit: usize, now: Timestamp) -> Result<Vec<i64>, Fault> {
    let mut statement = work.conn.prepare_cached(
        "SELECT n FROM transfers INDEXED BY transfers_due
         WHERE account = ?1 AND leased_until IS NULL AND due_at <= ?2 ORDER BY due_at LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![account, now.as_microsecond(), limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A number that was never given before.
pub(super) fn next_token(work: &Work<'_>) -> Result<u64, Fault> {
    let token: i64 = work
        .conn
        .prepare_cached("UPDATE meta SET lease_token = lease_token + 1 RETURNING lease_token")?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(token).unwrap_or(u64::MAX))
}

fn record(
    work: &Work<'_>,
    lease: &Lease,
    mut transfer: Transfer,
    change: &Change,
    attempt: Option<&Attempt>,
    keep: bool,
    now: Timestamp,
) -> Result<Transfer, Fault> {
    let held = transfers::by_id(work, lease.transfer)?;
    let Some(held) = held.filter(|held| held.token == Some(lease.token) && transfer.id == lease.transfer)
    else {
        return Err(StoreError::LeaseLost.into());
    };
    if let Some(wake) = held.pending_wake() {
        transfer.wake(&wake);
    }
    let answered = given_meanwhile(work, &transfer, attempt)?;
    if answered {
        transfer.access_renewed(now);
    }
    transfers::save(work, held.n, &transfer, if keep { &Hold::Keep } else { &Hold::Free })?;
    settle_unneeded(work, &held.transfer, &transfer, now)?;
    record_envelope(work, held.envelope, &transfer, change, now)?;
    tasks::close(work, &change.close_tasks, tasks::SETTLED_BY_ITSELF, now)?;
    let settled = |draft: &TaskDraft| answered && draft.kind == TaskKind::AccessRefused;
    let open: Vec<_> = change.open_tasks.iter().filter(|draft| !settled(draft)).cloned().collect();
    tasks::open(work, &open, now)?;
    for (action, detail) in &change.journal {
        let entry = by_server(*action, &transfer.account, &transfer.envelope_id, detail.clone(), now);
        journal::append(work, &entry)?;
    }
    if let Some(attempt) = attempt {
        insert_attempt(work, held.n, attempt)?;
    }
    Ok(transfer)
}

/// A transfer that waits for somebody else's access from now on: the task about the earlier one is settled when nothing waits
/// for that any more.
fn settle_unneeded(
    work: &Work<'_>,
    before: &Transfer,
    after: &Transfer,
    now: Timestamp,
) -> Result<(), Fault> {
    let waits =
        |transfer: &Transfer| transfer.parked.is_some_and(|parked| parked.reason == ParkReason::AccessNeeded);
    if !waits(before) || !waits(after) || before.waits_for == after.waits_for {
        return Ok(());
    }
    let account = work.account(&before.account)?;
    let sender = before.waits_for.sender().map(SenderId::as_str);
    let others = work
        .conn
        .prepare_cached(
            "SELECT 1 FROM transfers INDEXED BY transfers_parked
             WHERE account = ?1 AND parked = ?2 AND parked IS NOT NULL AND parked_for IS ?3 LIMIT 1",
        )?
        .query_row(params![account, ParkReason::AccessNeeded.as_str(), sender], |_| Ok(()))
        .optional()?;
    match others {
        Some(()) => Ok(()),
        None => {
            let key = TaskDraft::access_key(&before.account, &before.waits_for);
            tasks::close(work, &[key], tasks::SETTLED_BY_ITSELF, now)
        }
    }
}

/// Whether the access that a transfer waits for was given while the step ran that found it missing. Whoever gave it woke only
/// what nobody held.
fn given_meanwhile(work: &Work<'_>, transfer: &Transfer, attempt: Option<&Attempt>) -> Result<bool, Fault> {
    let waits = transfer.parked.is_some_and(|parked| parked.reason == ParkReason::AccessNeeded);
    match (transfer.waits_for.sender().filter(|_| waits), attempt) {
        (Some(sender), Some(attempt)) => {
            vault::was_given_since(work, &transfer.account, sender, attempt.started_at)
        }
        _ => Ok(false),
    }
}

fn record_envelope(
    work: &Work<'_>,
    n: i64,
    transfer: &Transfer,
    change: &Change,
    now: Timestamp,
) -> Result<(), Fault> {
    let before = envelopes::load(work.conn, n)?.known;
    let mut known = before.clone();
    if let Some(answer) = &change.answer {
        known.confirm(answer, now);
    }
    if change.gone {
        known.gone(now);
    }
    let to_the_micro =
        |at: Option<Timestamp>| at.map(|at| Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at));
    known.archived_at = to_the_micro(transfer.archived_at);
    known.disposed_at = to_the_micro(transfer.disposed_at);
    if known != before {
        known.updated_at = known.updated_at.max(now);
        envelopes::update(work, n, &known)?;
        concerns::after_answer(work, n, &known, now)?;
    }
    Ok(())
}

fn insert_attempt(work: &Work<'_>, transfer: i64, attempt: &Attempt) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "INSERT INTO attempts (transfer, step, subject, started_at, duration_ms, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            transfer,
            attempt.step,
            attempt.subject,
            attempt.started_at.as_microsecond(),
            signed(attempt.duration_ms),
            attempt.error,
        ])?;
    Ok(())
}

impl SqliteStore {
    /// Wakes all that waits for an access, in commits of [`ACCESS_RENEWALS_PER_COMMIT`]. Gives how many that were.
    pub(super) async fn renew_access(
        &self,
        account: &AccountId,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut renewed = 0;
        loop {
            let (account, holder) = (account.clone(), holder.clone());
            let (woken, more) = self
                .writer
                .run("wake what waited for access", move |work| renew_some(work, &account, &holder, now))
                .await?;
            renewed += woken;
            if !more {
                return Ok(renewed);
            }
        }
    }
}

/// Wakes some of what waits for an access; gives how many that were and whether there may be more.
///
/// What a worker holds right now is left alone: its record finds out ([`given_meanwhile`]).
fn renew_some(
    work: &Work<'_>,
    account: &AccountId,
    holder: &Holder,
    now: Timestamp,
) -> Result<(u64, bool), Fault> {
    let account = work.account(account)?;
    let sender = holder.sender().map(SenderId::as_str);
    let waiting: Vec<i64> = work
        .conn
        .prepare_cached(
            "SELECT n FROM transfers INDEXED BY transfers_parked
             WHERE account = ?1 AND parked = ?2 AND parked IS NOT NULL AND parked_for IS ?3
                 AND leased_until IS NULL LIMIT ?4",
        )?
        .query_map(
            params![
                account,
                ParkReason::AccessNeeded.as_str(),
                sender,
                signed(ACCESS_RENEWALS_PER_COMMIT as u64)
            ],
            |row| row.get(0),
        )?
        .collect::<Result<_, _>>()?;
    let mut woken = 0;
    for n in &waiting {
        if let Some(mut held) = transfers::readable(work, *n, now)?.map(Held::take_wake) {
            held.transfer.access_renewed(now);
            transfers::save(work, *n, &held.transfer, &Hold::Keep)?;
            woken += 1;
        }
    }
    Ok((woken, waiting.len() >= ACCESS_RENEWALS_PER_COMMIT))
}

fn rescue(work: &Work<'_>, worker: &Worker, now: Timestamp) -> Result<u64, Fault> {
    let lost: Vec<i64> = work
        .conn
        .prepare_cached(
            "SELECT n FROM transfers INDEXED BY transfers_leased WHERE leased_until IS NOT NULL
                 AND (leased_until <= ?1 OR (leased_node = ?2 AND leased_boot <> ?3))",
        )?
        .query_map(params![now.as_microsecond(), worker.node, worker.boot], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut rescued = 0;
    for n in lost {
        if let Some(held) = transfers::readable(work, n, now)?.map(Held::take_wake) {
            transfers::save(work, n, &held.transfer, &Hold::Free)?;
            rescued += 1;
        }
    }
    Ok(rescued)
}
