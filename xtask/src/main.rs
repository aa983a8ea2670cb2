//! The chores of this repository, written in Rust so that they run wherever it builds.
//!
//! `cargo xtask ci` checks everything that a change must pass; `cargo xtask tidy` checks the rules that no
//! compiler knows: layers, file sets, lengths, banned names.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod peers;
mod tidy;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets this machine up and checks everything: format, rules, lints, tests, documents.
    Ci,
    /// Sets up the programs and packages that tests talk to, and nothing else.
    Peers,
    /// Checks layers, file sets, lengths and banned names.
    Tidy,
    /// Measures, side by side in one run.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Ci => ci::run(&root()),
        Command::Peers => peers::run(&root()),
        Command::Tidy => tidy::run(&root()),
        Command::Bench(args) => bench::run(args).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

/// The repository: the folder above this crate's.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
