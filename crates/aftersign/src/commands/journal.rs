//! `journal`: the append-only record, and the proof that it is whole.

use std::io::Write;

use aftersign_store::{JournalRow, Store, Verdict};

use super::page;
use crate::cli::JournalCommand;
use crate::failure::Failure;
use crate::json::{Journal, JournalEntry, JournalVerdict};
use crate::output::{self, Table, time};

/// Runs the command.
pub(super) async fn run(
    store: &dyn Store,
    command: JournalCommand,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        JournalCommand::List { action, list } => {
            let found = store.entries(action, &page(&list)).await?;
            if list.json {
                let entries = found.rows.iter().map(JournalEntry::from).collect();
                return output::json(out, &Journal { entries, next_cursor: found.next_cursor });
            }
            table(&found.rows).write(out, output::width())?;
            Ok(output::more(out, found.next_cursor.as_deref())?)
        }
        JournalCommand::Verify(args) => {
            let verdict = store.verify().await?;
            if args.json {
                output::json(out, &JournalVerdict::from(&verdict))?;
            }
            judge(&verdict, args.json, out)
        }
    }
}

fn judge(verdict: &Verdict, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    match verdict {
        Verdict::Intact { .. } if json => Ok(()),
        Verdict::Intact { entries, head } => {
            writeln!(out, "intact: {entries} entries, each fits the one before")?;
            writeln!(out, "head: {head}")?;
            writeln!(out, "Keep the head elsewhere: it also shows later that no end was cut off.")?;
            Ok(())
        }
        Verdict::Broken { sequence, reason } => {
            let message = format!("the journal is broken at entry {sequence}: {reason}");
            let next =
                "somebody or something changed the database: keep it as evidence, compare it with a backup";
            Err(Failure::new(message, next).into())
        }
    }
}

fn table(rows: &[JournalRow]) -> Table {
    let mut table = Table::new(&["NUMBER", "AT", "ACTOR", "ACTION", "ACCOUNT", "ENVELOPE", "DETAIL"]);
    for JournalRow { sequence, entry, .. } in rows {
        table.row([
            sequence.to_string(),
            time(entry.at),
            entry.actor.clone(),
            entry.action.as_str().into(),
            entry.account.clone(),
            entry.envelope.clone(),
            entry.detail.clone(),
        ]);
    }
    table
}
