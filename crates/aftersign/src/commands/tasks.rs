//! `tasks`: what needs a person.

use std::io::Write;

use aftersign_core::ids::{EnvelopeId, TaskId};
use aftersign_core::seams::Clock;
use aftersign_core::transfer::Transfer;
use aftersign_store::{Store, StoreError, TaskRow};

use super::{ACTOR, facts, page, unknown};
use crate::cli::TasksCommand;
use crate::failure::Failure;
use crate::json::{Task, TaskWhole, Tasks};
use crate::output::{self, Table, maybe, maybe_time, time};
use crate::system::SystemClock;

/// Runs the command.
pub(super) async fn run(store: &dyn Store, command: TasksCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        TasksCommand::List { open, settled, list } => {
            let open = (open || settled).then_some(open);
            let found = store.tasks(open, &page(&list)).await?;
            if list.json {
                let tasks = found.rows.iter().map(Task::from).collect();
                return output::json(out, &Tasks { tasks, next_cursor: found.next_cursor });
            }
            table(&found.rows).write(out, output::width())?;
            Ok(output::more(out, found.next_cursor.as_deref())?)
        }
        TasksCommand::Show { id, json } => {
            let row = find(store, &id).await?;
            let transfer = transfer(store, &row).await?;
            if json {
                return output::json(out, &TaskWhole::new(&row, transfer.as_ref()));
            }
            Ok(show(&row, transfer.as_ref(), out)?)
        }
        TasksCommand::Resolve { id, reason } => {
            let row = find(store, &id).await?;
            if !store.resolve_task(row.id, &reason, ACTOR, SystemClock.now()).await? {
                let next = format!("`aftersign tasks show {}` tells by whom", row.id);
                return Err(Failure::new(format!("task {} is settled already", row.id), next).into());
            }
            writeln!(out, "task {} is settled", row.id)?;
            Ok(())
        }
    }
}

async fn find(store: &dyn Store, id: &str) -> anyhow::Result<TaskRow> {
    let found = match TaskId::parse(id) {
        Some(parsed) => store.task(parsed).await?,
        None => None,
    };
    found.ok_or_else(|| unknown("task", id, "tasks"))
}

/// The transfer of the envelope that a task is about.
async fn transfer(store: &dyn Store, row: &TaskRow) -> Result<Option<Transfer>, StoreError> {
    let Some(envelope) = &row.envelope else { return Ok(None) };
    let detail = store.envelope(Some(&row.account), envelope).await?;
    Ok(detail.and_then(|detail| detail.transfer))
}

fn table(rows: &[TaskRow]) -> Table {
    let mut table = Table::new(&["TASK", "OPENED", "KIND", "ACCOUNT", "ENVELOPE", "FOR", "WHAT", "SETTLED"]);
    for row in rows {
        table.row([
            row.id.to_string(),
            time(row.opened_at),
            row.kind.as_str().into(),
            row.account.to_string(),
            maybe(row.envelope.as_ref().map(EnvelopeId::as_str)),
            row.assignee.clone(),
            row.what.clone(),
            maybe_time(row.resolved_at),
        ]);
    }
    table
}

fn show(row: &TaskRow, transfer: Option<&Transfer>, out: &mut dyn Write) -> std::io::Result<()> {
    let mut lines = vec![
        ("task", row.id.to_string()),
        ("kind", row.kind.as_str().into()),
        ("account", row.account.to_string()),
        ("envelope", maybe(row.envelope.as_ref().map(EnvelopeId::as_str))),
        ("for", row.assignee.clone()),
        ("opened", time(row.opened_at)),
        ("mailed", maybe_time(row.mailed_at)),
        ("urgent from", maybe_time(row.due_at)),
        ("what", row.what.clone()),
        ("todo", row.todo.clone()),
        ("settled", maybe_time(row.resolved_at)),
        ("resolution", maybe(row.resolution.as_deref())),
    ];
    if let Some(transfer) = transfer {
        lines.push(("tries", transfer.failures.to_string()));
        lines.push(("next try", maybe_time(transfer.due_at)));
    }
    facts(out, &lines)
}
