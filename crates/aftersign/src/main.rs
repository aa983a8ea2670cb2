//! The binary: reads the command line, sets up the log, and hands over to the command.
//!
//! This crate is the only one that knows every name: it wires configuration, store, platforms, destinations and
//! listeners together and decides nothing that they could decide.
#![forbid(unsafe_code)]

mod bench_server;
mod cli;
mod commands;
mod config;
mod demo;
mod failure;
mod json;
mod logging;
mod output;
mod reconcile;
mod sandbox_command;
mod serve;
mod store;
mod system;
mod wiring;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::runtime::Runtime;

use cli::{Cli, Command};
use config::LogFormat;
use failure::Failure;

fn main() -> ExitCode {
    if let Err(error) = system::leave_no_dumps() {
        eprintln!(
            "aftersign: core dumps cannot be switched off, so a crash may leave secrets on the disk: {error}"
        );
    }
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Serve => {
            let settings = config::load(file)?;
            logging::start(settings.log.format, &settings.log.level)?;
            let runtime = runtime()?;
            let served = runtime.block_on(serve::run(&settings));
            // A blocking call that hangs (a share that went away) must not keep the process.
            runtime.shutdown_timeout(BLOCKING_WAIT);
            served
        }
        Command::Demo(args) => {
            logging::start(LogFormat::Text, logging::QUIET)?;
            verdict(runtime()?.block_on(demo::run(args))?)
        }
        Command::Sandbox(args) => {
            logging::start(LogFormat::Text, "info")?;
            runtime()?.block_on(sandbox_command::run(args))
        }
        Command::BenchServer(args) => {
            logging::start(LogFormat::Text, logging::QUIET)?;
            runtime()?.block_on(bench_server::run(args))
        }
        Command::Reconcile(args) => {
            let settings = config::load(file)?;
            logging::start(settings.log.format, logging::QUIET)?;
            verdict(runtime()?.block_on(reconcile::run(&settings, args))?)
        }
        command => {
            logging::start(LogFormat::Text, logging::QUIET)?;
            let mut out = Vec::new();
            let result = runtime()?.block_on(commands::run(command, file, &mut out));
            // What a failing command found out before it failed is told as well.
            let written = std::io::stdout().lock().write_all(&out);
            result.and(written.context("cannot write the output"))
        }
    }
}

/// How long blocking calls may take to end after everything else has ended.
const BLOCKING_WAIT: Duration = Duration::from_secs(5);

fn runtime() -> anyhow::Result<Runtime> {
    Runtime::new().context("cannot start the async runtime")
}

fn verdict(clean: bool) -> anyhow::Result<()> {
    if clean { Ok(()) } else { Err(Failure::reported().into()) }
}
