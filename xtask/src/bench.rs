//! `cargo xtask bench intake`: how many callbacks per second are durably acknowledged here, and how fast.
//!
//! Machines differ and neighbours are noisy, so what counts are ratios inside one run: the front door over
//! SQLite against the same front door without a store and against a bare HTTP service, measured in interleaved
//! rounds. The load is made in this process, of authentic callbacks, each of its own event; every answer is
//! checked to the byte, and in the end the rows in the database must be as many as the acknowledgements.

mod callbacks;
mod disk;
mod load;
mod report;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};

use callbacks::Callbacks;
use load::{Load, Measured};
use report::Report;
use server::{Ground, Server};

/// Connections of the runs at full load: one platform, a busy one, and all of them after an outage.
const CONNECTIONS: [usize; 3] = [1, 64, 256];
/// Connections of the saturated runs that others are compared with.
const SATURATED: usize = 256;
/// Distinct callbacks in the storm of repeats.
const STORM: usize = 1_000;
/// Share of saturation at which the open loop runs.
const OPEN_LOOP_SHARE: f64 = 0.5;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, clap::Subcommand)]
enum Subject {
    /// The front door: durable acknowledgements per second and their latency.
    Intake(IntakeArgs),
}

#[derive(Debug, clap::Args)]
struct IntakeArgs {
    /// Interleaved rounds; the report gives medians over them.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Seconds of each run.
    #[arg(long, value_name = "S", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// A release binary built before; else it is built.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Measures and prints.
///
/// # Errors
/// If a server cannot be started, answers anything but the exact acknowledgement, or holds other than it
/// acknowledged. A missed target is printed, not an error: the machine may be to blame.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Subject::Intake(args) = args.subject;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no folder above xtask")?;
    let target = root.join("target");
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => return again_in_release(root, &target),
    };
    // Beside the build, not in a temporary folder, which may be in memory and sync for free.
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&target)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(intake(&args, &binary, folder.path()))?;
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

/// Builds the server and this program for release and starts over: a load made by a debug build would cost more
/// than the server, and flatten every ratio.
fn again_in_release(root: &Path, target: &Path) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--package", "aftersign", "--package", "xtask", "--target-dir"];
    let status = Command::new(cargo).args(arguments).arg(target).current_dir(root).status()?;
    ensure!(status.success(), "the release binaries do not build");
    let release = target.join("release");
    let measuring = Command::new(release.join("xtask"))
        .args(std::env::args_os().skip(1))
        .arg("--binary")
        .arg(release.join("aftersign"))
        .status()?;
    ensure!(measuring.success(), "the measurement failed");
    Ok(())
}

/// What the SQLite server must hold in the end.
#[derive(Default)]
struct Acknowledged {
    firsts: u64,
    repeats: u64,
}

async fn intake(args: &IntakeArgs, binary: &Path, folder: &Path) -> anyhow::Result<Report> {
    let callbacks = Arc::new(Callbacks::new());
    let mut servers = Vec::new();
    for ground in Ground::ALL {
        servers.push(Server::start(binary, ground, folder, &callbacks)?);
    }
    let seconds = Duration::from_secs(u64::from(args.seconds));
    let mut report = Report::new(args.rounds, args.seconds);
    let mut acknowledged = Acknowledged::default();
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        for connections in CONNECTIONS {
            for server in &servers {
                let load = Load { connections, seconds, rate: None, storm: None };
                let measured = measured(server, load, &callbacks).await?;
                if server.ground == Ground::Sqlite {
                    acknowledged.firsts += measured.count();
                }
                report.saturated(server.ground, connections, measured);
            }
        }
        let sqlite = &servers[0];
        storm(sqlite, seconds, &callbacks, &mut report, &mut acknowledged).await?;
        let rate = report.last_rate(Ground::Sqlite, SATURATED) * OPEN_LOOP_SHARE;
        let load = Load { connections: SATURATED, seconds, rate: Some(rate), storm: None };
        let measured = measured(sqlite, load, &callbacks).await?;
        acknowledged.firsts += measured.count();
        report.open_loop(rate, measured);
        report.disk(disk::sync_latencies(folder, seconds / 2)?);
    }
    for server in servers {
        let ground = server.ground;
        let held = server.stop()?;
        if ground == Ground::Sqlite {
            let held = held.context("the SQLite server did not say what it holds")?;
            ensure!(
                (held.rows, held.callbacks, held.repeats)
                    == (acknowledged.firsts, acknowledged.firsts, acknowledged.repeats),
                "acknowledged {} callbacks and {} repeats, and the store holds {held:?}",
                acknowledged.firsts,
                acknowledged.repeats,
            );
            report.held(acknowledged.firsts, acknowledged.repeats);
        }
    }
    Ok(report)
}

/// A storm of repeats: the first ones are sent before the clock starts.
async fn storm(
    server: &Server,
    seconds: Duration,
    callbacks: &Arc<Callbacks>,
    report: &mut Report,
    acknowledged: &mut Acknowledged,
) -> anyhow::Result<()> {
    let storm: Arc<[Vec<u8>]> = (0..STORM).map(|_| callbacks.request()).collect();
    load::send_each(server.address, &storm).await?;
    acknowledged.firsts += u64::try_from(storm.len())?;
    let load = Load { connections: SATURATED, seconds, rate: None, storm: Some(storm) };
    let measured = measured(server, load, callbacks).await?;
    acknowledged.repeats += measured.count();
    report.repeats(measured);
    Ok(())
}

async fn measured(server: &Server, load: Load, callbacks: &Arc<Callbacks>) -> anyhow::Result<Measured> {
    let before = server.cpu_seconds();
    let mut measured = load::run(server.address, load, Arc::clone(callbacks)).await?;
    measured.cpu_seconds = before.zip(server.cpu_seconds()).map(|(before, after)| after - before);
    Ok(measured)
}
