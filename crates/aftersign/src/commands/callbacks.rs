//! `callbacks`: requests as they were received, and working on one again.

use std::io::Write;

use aftersign_core::callback::Inbound;
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId};
use aftersign_core::seams::Clock;
use aftersign_store::{CallbackFilter, CallbackRow, Store, StoredCallback};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{ACTOR, facts, page, unknown};
use crate::cli::CallbacksCommand;
use crate::failure::Failure;
use crate::json::{Callback, CallbackDetail, Callbacks, disposition};
use crate::output::{self, Table, maybe, maybe_time, printable, time};
use crate::system::SystemClock;

/// Runs the command.
pub(super) async fn run(
    store: &dyn Store,
    command: CallbacksCommand,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        CallbacksCommand::List { account, envelope, quarantined, noted, list } => {
            let quarantined = (quarantined || noted).then_some(quarantined);
            let account = account.map(AccountId::new);
            let filter = CallbackFilter { account, envelope: envelope.map(EnvelopeId::new), quarantined };
            let found = store.callbacks(&filter, &page(&list)).await?;
            if list.json {
                let callbacks = found.rows.iter().map(Callback::from).collect();
                return output::json(out, &Callbacks { callbacks, next_cursor: found.next_cursor });
            }
            table(&found.rows).write(out, output::width())?;
            Ok(output::more(out, found.next_cursor.as_deref())?)
        }
        CallbacksCommand::Show { id, json } => {
            let stored = find(store, &id).await?;
            let shown = without_secrets(&stored);
            if json {
                return output::json(out, &CallbackDetail::new(&stored, &shown));
            }
            show(&stored, &shown, out)
        }
        CallbacksCommand::Replay { ids } => {
            for id in ids {
                let stored = find(store, &id).await?;
                if !store.replay(stored.row.id, ACTOR, SystemClock.now()).await? {
                    let message =
                        format!("callback {} cannot be replayed: it names no envelope", stored.row.id);
                    let next = format!("`aftersign callbacks show {}` shows why", stored.row.id);
                    return Err(Failure::new(message, next).into());
                }
                writeln!(out, "callback {} will be worked on again", stored.row.id)?;
            }
            Ok(())
        }
        CallbacksCommand::Import(_) => unreachable!("an import is run with the whole configuration"),
    }
}

async fn find(store: &dyn Store, id: &str) -> anyhow::Result<StoredCallback> {
    let found = match CallbackId::parse(id) {
        Some(parsed) => store.callback(parsed).await?,
        None => None,
    };
    found.ok_or_else(|| unknown("callback", id, "callbacks"))
}

/// The body for a person to see: what it holds of the platform's secrets opens documents to whoever reads it.
fn without_secrets(stored: &StoredCallback) -> Bytes {
    let platform = aftersign_platforms::by_name(&stored.row.platform);
    let redacted = platform.and_then(|platform| {
        platform.redacted_body(&Inbound::recorded(
            &stored.method,
            stored.row.channel.clone(),
            stored.query.clone(),
            &stored.headers,
            stored.body.clone(),
        ))
    });
    redacted.map_or_else(|| stored.body.clone(), Bytes::from)
}

fn table(rows: &[CallbackRow]) -> Table {
    let mut table =
        Table::new(&["CALLBACK", "RECEIVED", "ACCOUNT", "KIND", "ENVELOPE", "REPEATS", "DISPOSITION"]);
    for row in rows {
        table.row([
            row.id.to_string(),
            time(row.received_at),
            row.account.to_string(),
            maybe(row.kind.as_deref()),
            maybe(row.envelope.as_ref().map(EnvelopeId::as_str)),
            row.repeats.to_string(),
            row.quarantine_reason
                .as_ref()
                .map_or_else(|| disposition(row).into(), |reason| format!("{}: {reason}", disposition(row))),
        ]);
    }
    table
}

fn show(stored: &StoredCallback, body: &[u8], out: &mut dyn Write) -> anyhow::Result<()> {
    let row = &stored.row;
    facts(
        out,
        &[
            ("callback", row.id.to_string()),
            ("account", format!("{} ({})", row.account, row.platform)),
            ("channel", maybe(row.channel.as_deref())),
            ("received", time(row.received_at)),
            ("from", maybe(stored.remote.as_deref())),
            ("repeats", row.repeats.to_string()),
            ("last repeat", maybe_time(row.last_repeat_at)),
            ("kind", maybe(row.kind.as_deref())),
            ("envelope", maybe(row.envelope.as_ref().map(EnvelopeId::as_str))),
            ("disposition", disposition(row).into()),
            ("reason", maybe(row.quarantine_reason.as_deref())),
        ],
    )?;
    let mark = if stored.query.is_empty() { "" } else { "?" };
    writeln!(out, "\n{} …{mark}{}", printable(&stored.method), printable(&stored.query))?;
    for (name, value) in &stored.headers {
        writeln!(out, "{}: {}", printable(name), printable(value))?;
    }
    writeln!(out)?;
    match std::str::from_utf8(body) {
        Ok(text) => {
            for line in text.lines() {
                writeln!(out, "{}", printable(line))?;
            }
        }
        Err(_) => {
            writeln!(out, "({} bytes, not a text; base64)", body.len())?;
            writeln!(out, "{}", STANDARD.encode(body))?;
        }
    }
    Ok(())
}
