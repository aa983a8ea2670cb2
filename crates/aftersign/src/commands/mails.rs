//! `mails`: what people are written, whether it arrives, and the templates to change it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use aftersign_core::ids::SenderId;
use aftersign_engine::{Templates, send_test};
use aftersign_store::{MailRow, Store};
use anyhow::Context;

use super::{open, page};
use crate::cli::{ListArgs, MailsCommand};
use crate::config::{self, Settings};
use crate::failure::Failure;
use crate::json::{Mail, Mails};
use crate::output::{self, Table, maybe, maybe_time, time};
use crate::wiring;

/// Runs the command.
pub(super) async fn run(
    command: MailsCommand,
    file: Option<&Path>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        MailsCommand::List(args) => list(&*open(file)?, &args, out).await,
        MailsCommand::Test { address } => test(&config::load(file)?, address.trim(), out).await,
        MailsCommand::Templates { folder, force } => templates(&folder, force, out),
    }
}

async fn list(store: &dyn Store, args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let found = store.mails(&page(args)).await?;
    if args.json {
        let mails = found.rows.iter().map(Mail::from).collect();
        return output::json(out, &Mails { mails, next_cursor: found.next_cursor });
    }
    table(&found.rows).write(out, output::width())?;
    Ok(output::more(out, found.next_cursor.as_deref())?)
}

fn table(rows: &[MailRow]) -> Table {
    let mut table =
        Table::new(&["MAIL", "QUEUED", "TO", "TASKS", "TRIES", "NEXT TRY", "SENT", "DROPPED", "ERROR"]);
    for row in rows {
        table.row([
            row.id.to_string(),
            time(row.queued_at),
            row.recipient.clone(),
            row.tasks.to_string(),
            row.tries.to_string(),
            maybe_time(row.next_at),
            maybe_time(row.sent_at),
            maybe_time(row.dropped_at),
            maybe(row.error.as_deref()),
        ]);
    }
    table
}

async fn test(settings: &Settings, address: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    if !SenderId::new(address).is_some_and(|address| address.is_address()) {
        let message = format!("`{}` is no e-mail address", output::printable(address));
        return Err(Failure::usage(message, "write it as in ops@example.com").into());
    }
    let Some(mail) = &settings.mail else {
        let message = format!("there is no [mail] in {}: nobody is written to", settings.file.display());
        let next = "write under [mail]: smtp_url = \"smtp://localhost:25\", from = \"aftersign@example.com\", admins = \
                    [\"ops@example.com\"]";
        return Err(Failure::new(message, next).into());
    };
    let failed = |error: aftersign_core::Error| {
        let next = "correct [mail] in the config, or ask those who run the mail server; see the message";
        anyhow::Error::from(Failure::new(output::printable(&error.chain()), next))
    };
    let mailer = wiring::mailer(mail).map_err(failed)?;
    let templates = Templates::load(mail.templates_dir.as_deref()).map_err(failed)?;
    mailer.probe().await.map_err(failed)?;
    send_test(&*mailer, &templates, address).await.map_err(failed)?;
    writeln!(out, "the mail server has taken a test message from {} to {address}", mail.from)?;
    writeln!(out, "See that it arrives, and not among the spam.")?;
    Ok(())
}

fn templates(folder: &Path, force: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = std::path::absolute(folder).with_context(|| format!("cannot use {}", folder.display()))?;
    let files: Vec<(PathBuf, &str)> =
        Templates::default_files().into_iter().map(|(name, text)| (folder.join(name), text)).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists() && !force) {
        let next = "edit it, name another folder, or write the built-in ones in its place with --force";
        return Err(Failure::new(format!("{} exists and is left as it is", path.display()), next).into());
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (path, text) in &files {
        let mut options = OpenOptions::new();
        // Somebody may have put a file there a moment ago.
        options.write(true).create_new(!force).create(force).truncate(force);
        let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(out, "wrote {}", path.display())?;
    }
    writeln!(
        out,
        "\nChange what you like, and remove what shall stay as it is. Then, under [mail] in the config:"
    )?;
    writeln!(out, "  templates_dir = {}", toml::Value::from(folder.display().to_string()))?;
    writeln!(out, "`aftersign check` tries them; `aftersign mails test` shows how they look.")?;
    Ok(())
}
