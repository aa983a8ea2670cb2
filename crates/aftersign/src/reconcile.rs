//! `aftersign reconcile`: a sweep now, beside a running server or before it.
//!
//! The differences go into the store; the server's workers carry what they find there.

use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::ids::AccountId;
use aftersign_engine::{EngineMetrics, SweepReport};
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde_json::json;

use crate::config::Settings;
use crate::store::{Role, open_store};
use crate::wiring;

/// What to sweep.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReconcileArgs {
    /// Only this account; all of them otherwise.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// From this time on (RFC 3339, or a date); from the last sweep on otherwise.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse::<Timestamp>()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| format!("`{text}` is no time; write 2026-11-22 or 2026-11-22T10:00:00Z"))
}

/// Sweeps; `Ok(false)` if an account's sweep failed.
pub(crate) async fn run(settings: &Settings, args: ReconcileArgs) -> anyhow::Result<bool> {
    let accounts: Vec<AccountId> = match &args.account {
        None => settings.accounts.iter().map(|account| account.id().clone()).collect(),
        Some(id) => match settings.account(id) {
            Some(account) => vec![account.id().clone()],
            None => bail!("there is no account `{id}` in {}", settings.file.display()),
        },
    };
    let store = open_store(settings, Role::Tool)?;
    let engine = wiring::engine(settings, store.clone(), EngineMetrics::default(), None)?;
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    for account in accounts {
        let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.enable_steady_tick(Duration::from_millis(100));
        let progress = |report: &SweepReport| bar.set_message(line(report));
        let result = engine.reconcile(&account, args.since, &progress).await;
        bar.finish_and_clear();
        match result {
            Ok(report) => {
                if !args.json {
                    println!("{}", line(&report));
                }
                reports.push(report);
            }
            Err(error) => {
                eprintln!("aftersign: {account}: {}", error.chain());
                failures.push(json!({ "account": account.as_str(), "error": error.chain() }));
            }
        }
    }
    let clean = failures.is_empty();
    if args.json {
        let sweeps: Vec<_> = reports.iter().map(|report| json!({
            "account": report.account.as_str(), "since": report.since.to_string(), "seen": report.seen,
            "found": report.found, "looked_at": report.looked_at, "senders": report.senders,
            "senders_refused": report.senders_refused, "removed_soon": report.removed_soon,
        })).collect();
        println!("{}", json!({ "sweeps": sweeps, "failures": failures }));
    }
    store.close().await.context("cannot close the store")?;
    Ok(clean)
}

fn line(report: &SweepReport) -> String {
    let mut line = format!(
        "{}: since {:.19}Z {} listed, {} differ and were announced, {} unfinished will be looked at",
        report.account,
        report.since.to_string(),
        report.seen,
        report.found,
        report.looked_at
    );
    if report.senders > 0 {
        line.push_str(&format!(", asked for {} senders besides", report.senders));
    }
    if report.senders_refused > 0 {
        line.push_str(&format!(
            ", {} senders skipped: the platform refuses us access in their names",
            report.senders_refused
        ));
    }
    if report.removed_soon > 0 {
        line.push_str(&format!(", {} not archived that the platform will soon remove", report.removed_soon));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_date() {
        assert_eq!(time("2026-11-22"), time("2026-11-22T00:00:00Z"));
        assert_eq!(time("2026-11-22T10:00:00+01:00"), time("2026-11-22T09:00:00Z"));
        for wrong in ["", "yesterday", "2026-11-31", "2026-11-22T10:00"] {
            assert!(time(wrong).is_err_and(|why| why.contains("2026-11-22T10:00:00Z")), "{wrong}");
        }
    }

    #[test]
    fn a_report_tells_of_senders_and_of_haste_only_where_there_is_something_to_tell() {
        let mut report = SweepReport {
            account: AccountId::new("hr"),
            since: Timestamp::UNIX_EPOCH,
            seen: 3,
            found: 2,
            looked_at: 1,
            senders: 0,
            senders_refused: 0,
            removed_soon: 0,
        };
        assert!(line(&report).ends_with("1 unfinished will be looked at"), "{}", line(&report));
        (report.senders, report.senders_refused, report.removed_soon) = (4, 2, 1);
        let told = line(&report);
        for words in
            ["asked for 4 senders", "2 senders skipped", "1 not archived that the platform will soon"]
        {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
