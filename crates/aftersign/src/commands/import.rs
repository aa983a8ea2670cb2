//! `callbacks import`: takes in what a platform could not deliver and sent to a person instead.
//!
//! A person vouches for the text, as the path secret and the platform's key vouch for a callback at the front door.
//! From there on it is the same way: the same key tells what was noted before, the same adapter says what it means, and
//! the platform is asked before anything is done. All of the text is understood before the first callback is noted.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use aftersign_core::callback::Inbound;
use aftersign_core::journal::{Action, Entry};
use aftersign_core::seams::Clock;
use aftersign_intake::Recorder;
use aftersign_store::{Noted, Store};
use anyhow::Context;

use super::{ACTOR, configured};
use crate::cli::ImportArgs;
use crate::config::{AccountSettings, Settings};
use crate::failure::Failure;
use crate::json::{Imported, ImportedCallback};
use crate::output::{self, Table, maybe, printable};
use crate::store::{Role, open_store};
use crate::system::{SystemClock, SystemEntropy};
use crate::wiring;

/// Largest text that is taken, in bytes: some ten thousand callbacks.
const TEXT_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Where an imported callback came from, in its record.
const REMOTE: &str = "import";

/// Runs the command.
pub(super) async fn run(settings: &Settings, args: &ImportArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let account = account(settings, args.account.as_deref())?;
    let text = text(&args.file)?;
    let undelivered = undelivered(account, &args.file, &text)?;
    let store = open_store(settings, Role::Tool)?;
    let imported = note_down(&*store, account, &undelivered).await;
    store.close().await.context("cannot close the store")?;
    let imported = Imported { account: account.id().to_string(), imported: imported? };
    if args.json {
        output::json(out, &imported)?;
    } else {
        for_people(&imported, out)?;
    }
    let quarantined = imported.imported.iter().any(|callback| callback.disposition == QUARANTINED);
    if quarantined { Err(Failure::reported().into()) } else { Ok(()) }
}

/// Understood, and not seen before.
const NOTED: &str = "noted";
/// Understood, and noted before.
const REPEAT: &str = "repeat";
/// Not understood, now or before.
const QUARANTINED: &str = "quarantined";

/// The account that is meant: the named one, else the only one whose platform sends such texts.
fn account<'a>(settings: &'a Settings, named: Option<&str>) -> anyhow::Result<&'a AccountSettings> {
    let takes = |account: &&AccountSettings| account.platform.capabilities().import_callbacks;
    let able: Vec<&AccountSettings> = settings.accounts.iter().filter(takes).collect();
    let ids: Vec<&str> = able.iter().map(|account| account.id().as_str()).collect();
    let next = match ids.is_empty() {
        true => "no configured account's platform does; a missed callback of theirs is found by `aftersign reconcile`"
            .to_owned(),
        false => format!("name one of: --account {}", ids.join(", --account ")),
    };
    let message = match named {
        Some(id) => {
            let account = configured(settings, id)?;
            if takes(&account) {
                return Ok(account);
            }
            let name = account.platform.name();
            format!("{name}, the platform of `{id}`, sends no texts with what it could not deliver")
        }
        None if able.len() == 1 => return Ok(able[0]),
        None if able.is_empty() => {
            "there is no account whose platform sends texts with what it could not deliver".into()
        }
        None => "it cannot be told which account these callbacks are for".into(),
    };
    Err(Failure::usage(message, next).into())
}

/// The whole text, if it is not too large.
fn text(file: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = || format!("cannot read {}", file.display());
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(file).with_context(unreadable)?)
    };
    let mut text = Vec::new();
    source.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text).with_context(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > TEXT_BYTES_MAX {
        let message = format!("{} is larger than {TEXT_BYTES_MAX} bytes", file.display());
        return Err(Failure::new(message, "import it in parts").into());
    }
    Ok(text)
}

/// The callbacks in the text. None is noted if one of them cannot be.
fn undelivered(account: &AccountSettings, file: &Path, text: &[u8]) -> anyhow::Result<Vec<Inbound>> {
    let next = "nothing was noted; correct the text, or give the payloads alone as a JSON array";
    let broken = |why: String| {
        let message = format!("{} cannot be imported: {}", file.display(), printable(&why));
        anyhow::Error::from(Failure::new(message, next))
    };
    let callbacks = account.platform.undelivered(text).map_err(broken)?;
    if callbacks.is_empty() {
        return Err(broken("there is no callback in it".into()));
    }
    let bytes_max = account.platform.body_bytes_max();
    match callbacks.iter().position(|callback| callback.body.len() > bytes_max) {
        Some(index) => Err(broken(format!("callback {} is larger than {bytes_max} bytes", index + 1))),
        None => Ok(callbacks),
    }
}

async fn note_down(
    store: &dyn Store,
    account: &AccountSettings,
    callbacks: &[Inbound],
) -> anyhow::Result<Vec<ImportedCallback>> {
    let recorder = Recorder::new(&wiring::intake_account(account));
    let entry = Entry {
        at: SystemClock.now(),
        actor: ACTOR.into(),
        action: Action::Replayed,
        account: account.id().to_string(),
        envelope: String::new(),
        detail: format!("import of {} callbacks that the platform could not deliver", callbacks.len()),
    };
    store.append(entry).await.context("cannot write the journal")?;
    let mut imported = Vec::with_capacity(callbacks.len());
    for inbound in callbacks {
        let callback = recorder.record(inbound, REMOTE, SystemClock.now(), &SystemEntropy);
        let id = callback.id;
        let mut row = ImportedCallback {
            id: None,
            kind: callback.kind.clone(),
            envelope_id: callback.envelope.as_ref().map(ToString::to_string),
            disposition: NOTED,
            quarantine_reason: callback.quarantine_reason.clone(),
        };
        let noted = store.note_down(callback).await.with_context(|| {
            format!("{} of {} callbacks were noted; import the text again", imported.len(), callbacks.len())
        })?;
        match noted {
            Noted::First => row.id = Some(id.to_string()),
            Noted::Repeat => row.disposition = REPEAT,
        }
        if row.quarantine_reason.is_some() {
            row.disposition = QUARANTINED;
        }
        imported.push(row);
    }
    Ok(imported)
}

fn for_people(imported: &Imported, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new(&["CALLBACK", "KIND", "ENVELOPE", "DISPOSITION"]);
    for row in &imported.imported {
        let disposition = match &row.quarantine_reason {
            Some(reason) => format!("{}: {reason}", row.disposition),
            None => row.disposition.into(),
        };
        table.row([
            maybe(row.id.as_deref()),
            maybe(row.kind.as_deref()),
            maybe(row.envelope_id.as_deref()),
            disposition,
        ]);
    }
    table.write(out, output::width())?;
    let count = |word| imported.imported.iter().filter(|row| row.disposition == word).count();
    writeln!(
        out,
        "\n{}: {} noted, {} repeats, {} quarantined",
        imported.account,
        count(NOTED),
        count(REPEAT),
        count(QUARANTINED)
    )?;
    Ok(())
}
