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
    let engine = wiring::engine(settings, store.clone(), EngineMetrics::default())?;
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
            "found": report.found, "looked_at": report.looked_at,
        })).collect();
        println!("{}", json!({ "sweeps": sweeps, "failures": failures }));
    }
    store.close().await.context("cannot close the store")?;
    Ok(clean)
}

fn line(report: &SweepReport) -> String {
    format!(
        "{}: since {:.19}Z {} listed, {} differ and were announced, {} unfinished will be looked at",
        report.account,
        report.since.to_string(),
        report.seen,
        report.found,
        report.looked_at
    )
}
