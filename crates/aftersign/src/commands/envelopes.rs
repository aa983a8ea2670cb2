//! `envelopes`: what we know of signing cases.

use std::io::Write;

use aftersign_core::envelope::Extension;
use aftersign_core::ids::{AccountId, EnvelopeId};
use aftersign_store::{Attempt, EnvelopeDetail, EnvelopeFilter, EnvelopeRow, Store, TimelineRow};

use super::{facts, gap, page, transfers, unknown};
use crate::cli::EnvelopesCommand;
use crate::json::{Envelope, EnvelopeWhole, Envelopes};
use crate::output::{self, Table, maybe, maybe_time, time};

/// Runs the command.
pub(super) async fn run(
    store: &dyn Store,
    command: EnvelopesCommand,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        EnvelopesCommand::List { account, status, gaps, list } => {
            let filter = EnvelopeFilter { account: account.map(AccountId::new), status, gaps };
            let found = store.envelopes(&filter, &page(&list)).await?;
            if list.json {
                let envelopes = found.rows.iter().map(Envelope::from).collect();
                return output::json(out, &Envelopes { envelopes, next_cursor: found.next_cursor });
            }
            table(&found.rows).write(out, output::width())?;
            Ok(output::more(out, found.next_cursor.as_deref())?)
        }
        EnvelopesCommand::Show { id, account, json } => {
            let account = account.map(AccountId::new);
            let found = store.envelope(account.as_ref(), &EnvelopeId::new(id.as_str())).await?;
            let detail = found.ok_or_else(|| unknown("envelope", &id, "envelopes"))?;
            let gap = gap::explanation(store, &detail).await?;
            if json {
                return output::json(out, &EnvelopeWhole::new(&detail, gap));
            }
            show(&detail, gap, out)
        }
    }
}

fn table(rows: &[EnvelopeRow]) -> Table {
    let mut table = Table::new(&["ACCOUNT", "ENVELOPE", "STATUS", "NAME", "SENDER", "ARCHIVED", "UPDATED"]);
    for EnvelopeRow { known, .. } in rows {
        table.row([
            known.account.to_string(),
            known.id.to_string(),
            known.status.as_str().into(),
            maybe(known.name.as_deref()),
            maybe(known.sender.as_deref()),
            maybe_time(known.archived_at),
            time(known.updated_at),
        ]);
    }
    table
}

fn show(detail: &EnvelopeDetail, gap: Option<String>, out: &mut dyn Write) -> anyhow::Result<()> {
    let known = &detail.row.known;
    let confirmed = if known.confirmed { "confirmed by the platform" } else { "announced, not confirmed" };
    let mut lines = vec![
        ("envelope", known.id.to_string()),
        ("account", format!("{} ({})", known.account, detail.row.platform)),
        ("name", maybe(known.name.as_deref())),
        ("status", format!("{} ({confirmed})", known.status.as_str())),
        ("at platform", maybe(known.status_at_platform.as_deref())),
        ("sender", maybe(known.sender.as_deref())),
        ("first seen", time(known.first_seen_at)),
        ("completed", maybe_time(known.completed_at)),
        ("archived", maybe_time(known.archived_at)),
        ("disposed", maybe_time(known.disposed_at)),
    ];
    lines.extend(extension(detail).map(|words| ("seal", words.into())));
    lines.extend(gap.map(|explanation| ("gap", explanation)));
    facts(out, &lines)?;
    if !detail.timeline.is_empty() {
        writeln!(out, "\nTimeline")?;
        timeline(&detail.timeline).write(out, output::width())?;
    }
    if let Some(transfer) = &detail.transfer {
        writeln!(out, "\nTransfer")?;
        transfers::show(transfer, out)?;
    }
    write_attempts(&detail.attempts, out)
}

/// How far the extension of its seal is, where the platform extends it.
fn extension(detail: &EnvelopeDetail) -> Option<&'static str> {
    match detail.transfer.as_ref()?.envelope.as_ref()?.extension {
        Extension::NotAwaited => None,
        Extension::Awaited => Some("awaits the extension of its seal"),
        Extension::Done => Some("its seal is extended"),
        Extension::Unknown => Some("may await the extension of its seal; the platform does not tell"),
    }
}

fn timeline(rows: &[TimelineRow]) -> Table {
    let mut table = Table::new(&["AT", "WHAT", "AT PLATFORM", "SOURCE", "SIGNER", "DETAIL"]);
    for row in rows {
        table.row([
            time(row.at),
            row.kind.clone(),
            row.kind_at_platform.clone(),
            row.source.clone(),
            maybe(row.signer.as_deref()),
            maybe(row.detail.as_deref()),
        ]);
    }
    table
}

/// The last attempts, if there are any.
pub(super) fn write_attempts(attempts: &[Attempt], out: &mut dyn Write) -> anyhow::Result<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["STARTED", "STEP", "ON", "MS", "RESULT"]);
    for attempt in attempts {
        table.row([
            time(attempt.started_at),
            attempt.step.clone(),
            attempt.subject.clone(),
            attempt.duration_ms.to_string(),
            attempt.error.clone().unwrap_or_else(|| "done".into()),
        ]);
    }
    writeln!(out, "\nLast attempts, newest first")?;
    Ok(table.write(out, output::width())?)
}
