//! `transfers`: envelopes on their way into the archive, and a person's word on those that gave up.

use std::io::Write;

use aftersign_core::ids::{AccountId, EnvelopeId, SenderId, TransferId};
use aftersign_core::seams::Clock;
use aftersign_core::transfer::{Phase, Transfer};
use aftersign_store::limits::PAGE_ROWS_MAX;
use aftersign_store::{Attempt, PageRequest, Store, TransferFilter};

use super::{ACTOR, envelopes, facts, page, unknown};
use crate::cli::TransfersCommand;
use crate::failure::Failure;
use crate::json::{AttemptRow, TransferRow, TransferWhole, Transfers, waits_for};
use crate::output::{self, Table, maybe, maybe_time};
use crate::system::SystemClock;

/// Runs the command.
pub(super) async fn run(
    store: &dyn Store,
    command: TransfersCommand,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        TransfersCommand::List { account, phase, list } => {
            let filter = TransferFilter { account: account.map(AccountId::new), phase };
            let found = store.transfers(&filter, &page(&list)).await?;
            if list.json {
                let transfers = found.rows.iter().map(TransferRow::from).collect();
                return output::json(out, &Transfers { transfers, next_cursor: found.next_cursor });
            }
            table(&found.rows).write(out, output::width())?;
            Ok(output::more(out, found.next_cursor.as_deref())?)
        }
        TransfersCommand::Show { id, json } => {
            let (transfer, attempts) = find(store, &id).await?;
            if json {
                let attempts = attempts.iter().map(AttemptRow::from).collect();
                let transfer = TransferRow::from(&transfer);
                return output::json(out, &TransferWhole { transfer, attempts });
            }
            show(&transfer, out)?;
            envelopes::write_attempts(&attempts, out)
        }
        TransfersCommand::Redrive { dead_letters: true, account, .. } => {
            let count = redrive_dead_letters(store, account.map(AccountId::new)).await?;
            writeln!(out, "{count} dead letters will be tried again")?;
            Ok(())
        }
        TransfersCommand::Redrive { ids, .. } => {
            for id in ids {
                let (transfer, _) = find(store, &id).await?;
                if !store.redrive(transfer.id, ACTOR, SystemClock.now()).await? {
                    return Err(ended(&transfer));
                }
                writeln!(out, "transfer {} will be tried again", transfer.id)?;
            }
            Ok(())
        }
        TransfersCommand::Resolve { id, reason } => {
            let (transfer, _) = find(store, &id).await?;
            if !store.resolve(transfer.id, &reason, ACTOR, SystemClock.now()).await? {
                return Err(ended(&transfer));
            }
            writeln!(out, "transfer {} is closed", transfer.id)?;
            Ok(())
        }
    }
}

async fn redrive_dead_letters(store: &dyn Store, account: Option<AccountId>) -> anyhow::Result<u64> {
    let filter = TransferFilter { account, phase: Some(Phase::DeadLetter) };
    let mut page = PageRequest { cursor: None, limit: PAGE_ROWS_MAX };
    let mut count = 0;
    loop {
        let found = store.transfers(&filter, &page).await?;
        for transfer in found.rows {
            count += u64::from(store.redrive(transfer.id, ACTOR, SystemClock.now()).await?);
        }
        match found.next_cursor {
            Some(next) => page.cursor = Some(next),
            None => return Ok(count),
        }
    }
}

/// The transfer of that id, or of the envelope of that id.
async fn find(store: &dyn Store, id: &str) -> anyhow::Result<(Transfer, Vec<Attempt>)> {
    if let Some(parsed) = TransferId::parse(id)
        && let Some(found) = store.transfer(parsed).await?
    {
        return Ok(found);
    }
    let envelope = store.envelope(None, &EnvelopeId::new(id)).await?;
    envelope
        .and_then(|detail| Some((detail.transfer?, detail.attempts)))
        .ok_or_else(|| unknown("transfer", id, "transfers"))
}

fn ended(transfer: &Transfer) -> anyhow::Error {
    let message =
        format!("transfer {} has come to its end already: {}", transfer.id, transfer.phase.as_str());
    Failure::new(message, format!("`aftersign transfers show {}` tells its story", transfer.id)).into()
}

fn table(rows: &[Transfer]) -> Table {
    let mut table = Table::new(&[
        "TRANSFER",
        "ACCOUNT",
        "ENVELOPE",
        "PHASE",
        "TRIES",
        "NEXT TRY",
        "PARKED",
        "WAITS FOR",
        "NOTE",
    ]);
    for transfer in rows {
        table.row([
            transfer.id.to_string(),
            transfer.account.to_string(),
            transfer.envelope_id.to_string(),
            transfer.phase.as_str().into(),
            transfer.failures.to_string(),
            maybe_time(transfer.due_at),
            maybe(transfer.parked.map(|parked| parked.reason.as_str())),
            maybe(waits_for(transfer).map(SenderId::as_str)),
            maybe(transfer.note.as_deref()),
        ]);
    }
    table
}

/// Prints one transfer with its files.
pub(super) fn show(transfer: &Transfer, out: &mut dyn Write) -> anyhow::Result<()> {
    facts(
        out,
        &[
            ("transfer", transfer.id.to_string()),
            ("account", transfer.account.to_string()),
            ("envelope", transfer.envelope_id.to_string()),
            ("phase", transfer.phase.as_str().into()),
            ("tries", transfer.failures.to_string()),
            ("next try", maybe_time(transfer.due_at)),
            ("parked", maybe(transfer.parked.map(|parked| parked.reason.as_str()))),
            ("waits for", maybe(waits_for(transfer).map(SenderId::as_str))),
            ("note", maybe(transfer.note.as_deref())),
            ("archived", maybe_time(transfer.archived_at)),
            ("disposed", maybe_time(transfer.disposed_at)),
        ],
    )?;
    let mut table = Table::new(&["FILE", "KIND", "BYTES", "DESTINATION", "LOCATION", "VERIFIED", "SHA-256"]);
    for item in &transfer.items {
        for delivery in &item.deliveries {
            table.row([
                item.file_name.clone(),
                item.artifact.kind.as_str().into(),
                maybe(item.staged.map(|staged| staged.bytes.to_string()).as_deref()),
                delivery.destination.to_string(),
                maybe(delivery.receipt.as_ref().map(|receipt| receipt.location.as_str())),
                maybe_time(delivery.verified_at),
                maybe(item.staged.map(|staged| staged.digest.to_string()).as_deref()),
            ]);
        }
    }
    if !transfer.items.is_empty() {
        writeln!(out)?;
        table.write(out, output::width())?;
    }
    Ok(())
}
