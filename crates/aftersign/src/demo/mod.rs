//! `aftersign demo`: a rehearsal of the main job that judges itself.
//!
//! The sandbox plays the platforms inside this process; the server under test is a process of its own, started
//! from a config file as an operator would, so that it can be killed for real. What was lost, doubled or removed
//! too early is judged by the sandbox's ledger against the bytes found in the archive, never by what the server
//! says of itself.

mod accounts;
mod audit;
mod progress;
mod report;
mod revoked;
mod server;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aftersign_sandbox::{FaultProfile, Sandbox, SandboxConfig, Vendor};
use anyhow::Context;

use audit::Archive;
use progress::Display;
use report::Report;
use server::Server;
use stage::Stage;

/// Simulated seconds in a real one: an hour of retries and sweeps passes in a second.
const TIME_SCALE: f64 = 3600.0;
/// Days of the world until a seal is extended: half a day, twelve seconds here. At Scrive it is about 40, which nobody waits for
/// in a demo; what is rehearsed is that nothing is removed before.
const EXTENSION_AFTER_DAYS: f64 = 0.5;
/// How long the world may take to come to rest after its last envelope ended.
const SETTLE_MAX: Duration = Duration::from_secs(180);
/// How long after that the server is still killed with `--kill-every`; then it may finish in peace.
const KILL_AFTER_END: Duration = Duration::from_secs(20);
/// How often the archive is compared with the ledger.
const AUDIT_EVERY: Duration = Duration::from_millis(500);

/// Who is told what no sender can settle, where people are written to.
const ADMIN: &str = "ops@example.com";

/// The stories that the demo can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// A sender takes our access back: transfers wait, one e-mail is sent, its link is followed, nothing is lost.
    Revoked,
}

/// How the demo is to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End when everything is archived, instead of serving until Ctrl-C.
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one JSON object with the result on standard output, and nothing else.
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Tell one story instead of playing the main job.
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["platforms", "envelopes", "kill_every"])]
    pub(crate) scenario: Option<Scenario>,
    /// Write the secrets that the scenario saw to this file, for a search by somebody else.
    #[arg(long, value_name = "FILE", hide = true, requires = "scenario")]
    pub(crate) reveal: Option<PathBuf>,
    /// Play this platform only; may be given more than once. All of them by default.
    #[arg(long = "platform", value_name = "NAME")]
    pub(crate) platforms: Vec<Vendor>,
    /// Envelopes per platform.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) envelopes: u32,
    /// Seed of everything that is left to chance; the same seed plays the same lives.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How badly the platforms and the network behave: off, normal or hard.
    #[arg(long, value_name = "PROFILE", default_value_t = FaultProfile::Normal)]
    pub(crate) faults: FaultProfile,
    /// Folder of the demo; emptied first if an earlier demo made it.
    #[arg(long, value_name = "DIR", default_value = "aftersign-demo")]
    pub(crate) dir: PathBuf,
    /// Kill the server (SIGKILL) every so many milliseconds and start it again.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) kill_every: Option<u64>,
}

/// Runs the demo. `Ok(true)` if nothing was lost, doubled or removed too early.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    match args.scenario {
        Some(Scenario::Revoked) => revoked::run(args).await,
        None => main_job(args).await,
    }
}

/// Plays the main job: envelopes of every platform, on their way into the archive.
async fn main_job(args: DemoArgs) -> anyhow::Result<bool> {
    let began = Instant::now();
    let stage = Stage::set(&args)?;
    let archive = Arc::new(Archive::new(stage.archive()));
    let witness = Arc::clone(&archive);
    let sandbox = Sandbox::start(SandboxConfig {
        seed: args.seed,
        faults: args.faults,
        time_scale: TIME_SCALE,
        extension_after_days: EXTENSION_AFTER_DAYS,
        // The product looks for it weeks later only, by design, and no callback tells of it.
        extend_flows: false,
        disposal_witness: Some(Arc::new(move |envelope| witness.missing(envelope))),
        ..SandboxConfig::default()
    })
    .await
    .context("cannot start the sandbox")?;
    stage.write_config(&sandbox, TIME_SCALE)?;
    for account in stage.accounts() {
        sandbox.open_account(account.spec(&stage.public_url()));
    }
    let server = Server::start(&stage).await?;
    for account in stage.accounts() {
        sandbox.send_envelopes(account.id(), usize::try_from(args.envelopes)?);
    }

    let killer = args.kill_every.map(|every| server.kill_every(Duration::from_millis(every)));
    let mut display = Display::new(&args, &stage);
    let settled = tokio::select! {
        settled = settle(&sandbox, &archive, &mut display, killer.as_ref()) => Some(settled),
        () = interrupted() => None,
    };
    let kills = match killer {
        Some(killer) => Some(killer.stop().await),
        None => None,
    };
    display.finish();
    // The last word is spoken when nobody can add to the archive or take from the platform any more.
    let server = if args.once || settled.is_none() {
        server.stop().await;
        None
    } else {
        Some(server)
    };
    let counts = stage.counts().await?;
    let ledger = sandbox.ledger();
    stage.write_ledger(&ledger)?;
    let settled = settled.unwrap_or(false);
    let report = Report::new(&args, &ledger, &archive, &counts, kills, began.elapsed());
    if args.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.text(&stage, settled));
    }
    if let Some(server) = server {
        println!("\nStill serving. Ctrl-C ends the demo.");
        interrupted().await;
        server.stop().await;
    }
    sandbox.stop().await;
    Ok(settled && report.is_clean())
}

/// Waits until the world has come to rest and everything it completed is archived and removed, or time is up.
async fn settle(
    sandbox: &Sandbox,
    archive: &Archive,
    display: &mut Display,
    killer: Option<&server::Killer>,
) -> bool {
    let mut lives = std::pin::pin!(sandbox.lives_ended());
    let mut ended: Option<Instant> = None;
    loop {
        tokio::select! {
            () = &mut lives, if ended.is_none() => ended = Some(Instant::now()),
            () = tokio::time::sleep(AUDIT_EVERY) => {}
        }
        let progress = sandbox.progress();
        let ledger = sandbox.ledger();
        let state = tokio::task::block_in_place(|| archive.state(&ledger));
        display.show(&progress, &state).await;
        let Some(ended) = ended else { continue };
        if state.is_complete() && sandbox.pending_callbacks() == 0 {
            return true;
        }
        if let Some(killer) = killer
            && ended.elapsed() > KILL_AFTER_END
        {
            killer.rest();
        }
        if ended.elapsed() > SETTLE_MAX {
            return false;
        }
    }
}

/// Resolves at Ctrl-C. Without a signal handler there is nothing to wait for.
async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "cannot listen for Ctrl-C");
        std::future::pending::<()>().await;
    }
}
