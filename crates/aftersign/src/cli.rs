//! The command line: what can be asked, and the words of `--help`.
//!
//! Only shapes stand here; what a command does is in `commands`.

use std::path::PathBuf;

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::journal::Action;
use aftersign_core::transfer::Phase;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Brings signed documents home and proves it.
///
/// Aftersign receives the callbacks of e-signature platforms, brings signed documents and their evidence into your
/// archive, verifies that they arrived, and only then cleans up at the platform.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "aftersign", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The config file; else AFTERSIGN_CONFIG, else aftersign.toml in the working directory.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server: receive callbacks, archive, verify, dispose.
    Serve,
    /// See it work: a server, a sandbox of platforms and a few signing cases, all on this machine.
    Demo(crate::demo::DemoArgs),
    /// Run the sandbox: every platform's API and its callbacks, without any real platform.
    Sandbox(crate::sandbox_command::SandboxArgs),
    /// Write a commented aftersign.toml with fresh secrets, to begin with.
    Init(InitArgs),
    /// Check the configuration, the store, the destinations and each account's access.
    Check(JsonArgs),
    /// Show the configuration or its schema.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Accounts at platforms.
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Envelopes: signing cases that were heard of.
    #[command(subcommand)]
    Envelopes(EnvelopesCommand),
    /// Callbacks as they were received.
    #[command(subcommand)]
    Callbacks(CallbacksCommand),
    /// Transfers: envelopes on their way into the archive.
    #[command(subcommand)]
    Transfers(TransfersCommand),
    /// Tasks: what needs a person.
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Access that senders gave us.
    #[command(subcommand)]
    Grants(GrantsCommand),
    /// Vault keys: what senders gave us is sealed with them.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// E-mail to people: the queue, and whether mail arrives.
    #[command(subcommand)]
    Mails(MailsCommand),
    /// Sweep now: look at the platform for what no callback announced.
    Reconcile(crate::reconcile::ReconcileArgs),
    /// The append-only record of what happened.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Write a consistent copy of the database while the server works on.
    Backup(BackupArgs),
    /// Print a shell's completions to standard output.
    Completions(CompletionsArgs),
    /// Print the manual page (roff) to standard output.
    Man,
    /// The front door alone, for `cargo xtask bench`.
    #[command(hide = true)]
    BenchServer(crate::bench_server::BenchServerArgs),
}

/// Output for machines.
#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which part of a list, and for whom.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Rows, at most 500.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) limit: u16,
    /// Go on where a list ended: the `next_cursor` that it gave.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder to write to; made if it is missing.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Replace an aftersign.toml that is there. Key files are never replaced.
    #[arg(long)]
    pub(crate) force: bool,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the JSON Schema of the config file.
    Schema,
    /// Print the effective configuration (defaults, file, environment) without secrets.
    Show(JsonArgs),
}

/// `accounts`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// Print what to paste where at each platform, and where senders give access. Callback URLs hold path secrets.
    Urls(JsonArgs),
    /// Compare the callback that an account's platform has registered with ours, and register ours.
    ///
    /// Without --apply nothing is changed. Exit codes: 0 ours is registered, 1 it is not (or the platform refused), 2
    /// wrong usage.
    Register(RegisterArgs),
}

/// `accounts register`.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The account's id.
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: String,
    /// Register ours, with the first path secret and the first callback key. Done even where the URL is ours already,
    /// because no platform shows which key it has.
    #[arg(long)]
    pub(crate) apply: bool,
    /// With --apply: also where another integration's URL is registered, which then hears nothing any more.
    #[arg(long, requires = "apply")]
    pub(crate) replace: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `envelopes`.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvelopesCommand {
    /// List envelopes, last updated first.
    List {
        /// Of this account only.
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// In this status only.
        #[arg(long, value_name = "STATUS", value_parser = status)]
        status: Option<EnvelopeStatus>,
        /// Only those whose end a sweep found and no callback announced.
        #[arg(long)]
        gaps: bool,
        /// Page and form.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one envelope with its timeline, its transfer and the last attempts.
    Show {
        /// The envelope's id at its platform.
        id: String,
        /// Its account, where two have an envelope of this id.
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `callbacks`.
#[derive(Debug, Subcommand)]
pub(crate) enum CallbacksCommand {
    /// List distinct callbacks, newest first; repeats are counted on their row.
    List {
        /// Of this account only.
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// About this envelope only.
        #[arg(long, value_name = "ID")]
        envelope: Option<String>,
        /// Only those that were not understood.
        #[arg(long, conflicts_with = "noted")]
        quarantined: bool,
        /// Only those that were understood.
        #[arg(long)]
        noted: bool,
        /// Page and form.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one callback as received: headers and body, secrets redacted.
    Show {
        /// The callback's id.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have a callback worked on again, as if it came now.
    Replay {
        /// Ids of callbacks.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Take in callbacks that a platform could not deliver and mailed to a sender instead.
    ///
    /// All of the text is read before anything is noted: a broken one changes nothing. Works beside a running server
    /// and without one. Exit codes: 0 all were noted (perhaps before), 1 the text is broken or one was quarantined, 2
    /// wrong usage.
    Import(ImportArgs),
}

/// `callbacks import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file with the e-mail's text, its payload, or a JSON array of payloads; `-` reads standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The account that the callbacks are for; may be left out where only one account's platform sends such texts.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `transfers`.
#[derive(Debug, Subcommand)]
pub(crate) enum TransfersCommand {
    /// List transfers, newest first.
    List {
        /// Of this account only.
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// In this phase only.
        #[arg(long, value_name = "PHASE", value_parser = phase)]
        phase: Option<Phase>,
        /// Page and form.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one transfer with its files, deliveries and last attempts.
    Show {
        /// The transfer's id, or its envelope's.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try again: ask the platform anew and go on from there.
    Redrive {
        /// Ids of transfers, or of their envelopes.
        #[arg(required_unless_present = "dead_letters", conflicts_with = "dead_letters")]
        ids: Vec<String>,
        /// All dead letters, once their common cause is mended.
        #[arg(long)]
        dead_letters: bool,
        /// With --dead-letters: of this account only.
        #[arg(long, value_name = "ACCOUNT", requires = "dead_letters")]
        account: Option<String>,
    },
    /// Close a transfer by hand, with its tasks.
    Resolve {
        /// The transfer's id, or its envelope's.
        id: String,
        /// Why; kept in the journal.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// `tasks`.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// List tasks, newest first.
    List {
        /// Only open ones.
        #[arg(long, conflicts_with = "settled")]
        open: bool,
        /// Only settled ones.
        #[arg(long)]
        settled: bool,
        /// Page and form.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one task.
    Show {
        /// The task's id.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Settle a task by hand.
    Resolve {
        /// The task's id.
        id: String,
        /// Why; kept in the journal.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// `grants`.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantsCommand {
    /// List who gave access, and how much waits for whom. Opens no secret.
    List {
        /// Of this account only.
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Seal a sender's key that is read from standard input.
    ///
    /// The platform says whose key it is. A key of one part is given as it is, one of several parts as a JSON object
    /// with the names that the account's `credential` has. At a terminal it is asked for and not shown. What waits for
    /// this sender goes on.
    Set(GrantSetArgs),
    /// Forget what a sender gave. What the sender allowed at the platform is revoked there.
    Forget {
        /// The account's id.
        account: String,
        /// The sender's e-mail address, as `grants list` shows it.
        sender: String,
    },
    /// Print the link by which a sender gives access with one click: for them alone, where no mail is set up.
    Link {
        /// The account's id.
        account: String,
        /// The sender's e-mail address.
        sender: String,
    },
}

/// `grants set`.
#[derive(Debug, Args)]
pub(crate) struct GrantSetArgs {
    /// The account's id.
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: String,
    /// Whose key it must be; another sender's is not kept.
    #[arg(long, value_name = "EMAIL")]
    pub(crate) sender: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the vault keys, and how many records each wraps.
    List(JsonArgs),
    /// Wrap everything with the first vault key, so that the others can be taken away.
    ///
    /// Put the new key in front of the others in the config and restart the server first: one that does not know the new
    /// key could open nothing any more. Works beside the running server, and goes on where it was broken off.
    Rotate(JsonArgs),
}

/// `mails`.
#[derive(Debug, Subcommand)]
pub(crate) enum MailsCommand {
    /// List e-mails, newest first: what waits, what was sent, what was given up.
    List(ListArgs),
    /// Send a test message, to see that mail arrives and how it looks.
    Test {
        /// To whom.
        #[arg(value_name = "ADDRESS")]
        address: String,
    },
    /// Write the built-in templates into a folder, to change them.
    Templates {
        /// The folder to write to; made if it is missing.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Replace templates that are there.
        #[arg(long)]
        force: bool,
    },
}

/// `journal`.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// List entries, newest first.
    List {
        /// Of this action only.
        #[arg(long, value_name = "ACTION", value_parser = action)]
        action: Option<Action>,
        /// Page and form.
        #[command(flatten)]
        list: ListArgs,
    },
    /// Recompute the whole chain: nothing was changed, removed or slipped in.
    Verify(JsonArgs),
}

/// `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it must not exist.
    pub(crate) file: PathBuf,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell.
    pub(crate) shell: Shell,
}

fn status(word: &str) -> Result<EnvelopeStatus, String> {
    let known = EnvelopeStatus::ALL.map(EnvelopeStatus::as_str);
    EnvelopeStatus::parse(word).ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

fn phase(word: &str) -> Result<Phase, String> {
    let known = Phase::ALL.map(Phase::as_str);
    Phase::parse(word).ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

fn action(word: &str) -> Result<Action, String> {
    Action::parse(word).ok_or_else(|| "expected an action as `journal list` prints it".into())
}
