//! What each command does, one module per group.
//!
//! A command gets what it works on as arguments (a store, settings, a place to write to), so that it can be tried
//! without a process.

mod accounts;
mod backup;
mod callbacks;
mod check;
mod envelopes;
mod gap;
mod grants;
mod import;
mod init;
mod journal;
mod key_input;
mod keys;
mod mails;
mod register;
mod registered;
mod tasks;
mod transfers;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftersign_store::{PageRequest, Store};
use clap::CommandFactory;

use crate::cli::{AccountsCommand, CallbacksCommand, Cli, Command, ConfigCommand, ListArgs};
use crate::config::{self, AccountSettings, Environment, Registry, Settings};
use crate::failure::Failure;
use crate::{output, store};

/// Who acts, in the journal.
const ACTOR: &str = "cli";

/// Runs a command that ends by itself and prints its result.
pub(crate) async fn run(command: Command, file: Option<&Path>, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => init::run(&args, out),
        Command::Check(args) => check::run(&config::load(file)?, args.json, out).await,
        Command::Config(command) => show_config(&command, file, out),
        Command::Accounts(AccountsCommand::Urls(args)) => accounts::urls(&config::load(file)?, &args, out),
        Command::Accounts(AccountsCommand::Register(args)) => {
            register::run(&config::load(file)?, &args, out).await
        }
        Command::Envelopes(command) => envelopes::run(&*open(file)?, command, out).await,
        Command::Callbacks(CallbacksCommand::Import(args)) => {
            import::run(&config::load(file)?, &args, out).await
        }
        Command::Callbacks(command) => callbacks::run(&*open(file)?, command, out).await,
        Command::Transfers(command) => transfers::run(&*open(file)?, command, out).await,
        Command::Tasks(command) => tasks::run(&*open(file)?, command, out).await,
        Command::Grants(command) => grants::run(command, file, out).await,
        Command::Keys(command) => keys::run(&config::load(file)?, command, out).await,
        Command::Mails(command) => mails::run(command, file, out).await,
        Command::Journal(command) => journal::run(&*open(file)?, command, out).await,
        Command::Backup(args) => backup::run(&*open(file)?, &args.file, out).await,
        Command::Completions(args) => {
            clap_complete::generate(args.shell, &mut Cli::command(), "aftersign", &mut Writer(out));
            Ok(())
        }
        Command::Man => man(out),
        Command::Serve
        | Command::Demo(_)
        | Command::Sandbox(_)
        | Command::Reconcile(_)
        | Command::BenchServer(_) => {
            unreachable!("main runs what does not end by itself")
        }
    }
}

fn man(out: &mut dyn Write) -> anyhow::Result<()> {
    // Sized, because the renderer is generic over its writer.
    Ok(clap_mangen::Man::new(Cli::command()).render(&mut Writer(out))?)
}

struct Writer<'a>(&'a mut dyn Write);

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn show_config(command: &ConfigCommand, file: Option<&Path>, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Schema => output::json(out, &config::json_schema()),
        ConfigCommand::Show(args) => {
            let (file, environment) = config_file(file);
            let written = config::read(&file, &environment)?;
            if args.json {
                output::json(out, &written.config)
            } else {
                out.write_all(config::show_toml(&written.config)?.as_bytes())?;
                Ok(())
            }
        }
    }
}

fn config_file(named: Option<&Path>) -> (PathBuf, Environment) {
    let environment = Environment::of_process();
    (config::file(named, &environment), environment)
}

/// Opens the configured store, which must be there already.
fn open(file: Option<&Path>) -> anyhow::Result<Arc<dyn Store>> {
    let (file, environment) = config_file(file);
    let path = config::read(&file, &environment)?.store_path(&environment, &Registry::COMPILED_IN)?;
    store::open_existing(&path)
}

/// The part of a list that is asked for.
fn page(list: &ListArgs) -> PageRequest {
    PageRequest { cursor: list.cursor.clone(), limit: usize::from(list.limit) }
}

/// Nothing of that id is there.
fn unknown(what: &str, id: &str, list: &str) -> anyhow::Error {
    let next = format!("`aftersign {list} list` shows what is there");
    Failure::new(format!("there is no {what} `{}`", output::printable(id)), next).into()
}

/// The configured account of that id.
fn configured<'a>(settings: &'a Settings, id: &str) -> anyhow::Result<&'a AccountSettings> {
    settings.account(id).ok_or_else(|| {
        let ids: Vec<_> = settings.accounts.iter().map(|account| account.id().as_str()).collect();
        let message =
            format!("there is no account `{}` in {}", output::printable(id), settings.file.display());
        let next = match ids.is_empty() {
            true => "add an [[account]] with this id".into(),
            false => format!("name one of: {}", ids.join(", ")),
        };
        Failure::usage(message, next).into()
    })
}

/// Lines of `name: value` with aligned values.
fn facts(out: &mut dyn Write, facts: &[(&str, String)]) -> std::io::Result<()> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    for (name, value) in facts {
        let name = format!("{name}:");
        writeln!(out, "{name:<width$}  {}", output::printable(value))?;
    }
    Ok(())
}
