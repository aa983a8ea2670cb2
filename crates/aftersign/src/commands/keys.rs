//! `keys`: the vault's ring, and wrapping everything with its first key.
//!
//! Only the small key of each record is wrapped anew, never what it seals; a batch is one commit, so that the server goes on
//! beside it and a rotation that broke off goes on where it was.

use std::io::Write;

use aftersign_core::seams::Clock;
use aftersign_store::{Store, StoreError};
use anyhow::Context;
use indicatif::ProgressBar;

use super::grants::DRAW_A_KEY;
use crate::cli::KeysCommand;
use crate::config::Settings;
use crate::failure::Failure;
use crate::json::{Key, Keys, Rotated};
use crate::output::{self, Table};
use crate::store::open_existing_vault;
use crate::system::SystemClock;

/// Records wrapped anew in one commit: some milliseconds, for which callbacks wait.
const KEYS_BATCH: usize = 200;
/// Batches in a row that may leave as much to do as there was: records that do not open, and another process that still seals
/// with another key, are told of instead of being chased.
const VAIN_BATCHES_MAX: u32 = 20;

/// Runs the command.
pub(super) async fn run(
    settings: &Settings,
    command: KeysCommand,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let store = open_existing_vault(settings)?;
    let done = match command {
        KeysCommand::List(args) => list(settings, &*store, args.json, out).await,
        KeysCommand::Rotate(args) => rotate(settings, &*store, args.json, out).await,
    };
    store.close().await.context("cannot close the store")?;
    done
}

/// How many records each key wraps, configured keys first; known without any key, too.
pub(super) async fn keys(settings: &Settings, store: &dyn Store) -> Result<Vec<Key>, StoreError> {
    let ring = &settings.vault_keys;
    let mut keys: Vec<Key> = ring
        .iter()
        .enumerate()
        .map(|(index, key)| Key { id: key.id.clone(), on_ring: true, first: index == 0, records: 0 })
        .collect();
    let uses = match ring.is_empty() {
        // What consents under way need is not counted without a ring; it is gone within minutes.
        true => store.grants(None).await?.into_iter().map(|row| (row.key_id, 1)).collect(),
        false => store.key_uses().await?,
    };
    for (id, records) in uses {
        match keys.iter_mut().find(|key| key.id == id) {
            Some(key) => key.records += records,
            None => keys.push(Key { id, on_ring: false, first: false, records }),
        }
    }
    Ok(keys)
}

async fn list(settings: &Settings, store: &dyn Store, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let keys = keys(settings, store).await?;
    if json {
        return output::json(out, &Keys { keys });
    }
    let mut table = Table::new(&["KEY", "CONFIGURED", "SEALS", "RECORDS"]);
    let word = |yes: bool| if yes { "yes" } else { "no" };
    for key in keys {
        table.row([key.id, word(key.on_ring).into(), word(key.first).into(), key.records.to_string()]);
    }
    Ok(table.write(out, output::width())?)
}

async fn rotate(
    settings: &Settings,
    store: &dyn Store,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Some(first) = settings.vault_keys.first() else {
        let message = format!("no vault key is configured in {}", settings.file.display());
        return Err(Failure::new(message, DRAW_A_KEY).into());
    };
    let before = keys(settings, store).await?;
    if let Some(missing) = before.iter().find(|key| !key.on_ring && key.records > 0) {
        return Err(key_missing(&missing.id, missing.records));
    }
    let total = before.iter().filter(|key| !key.first).map(|key| key.records).sum();
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(total) };
    let wrapped = wrap_all(store, total, &bar).await;
    bar.finish_and_clear();
    wrapped?;
    let after = keys(settings, store).await?;
    let removable = after.into_iter().filter(|key| key.on_ring && !key.first && key.records == 0);
    let rotated = Rotated {
        first: first.id.clone(),
        rewrapped: total,
        removable: removable.map(|key| key.id).collect(),
    };
    if json { output::json(out, &rotated) } else { Ok(for_people(&rotated, out)?) }
}

/// Wraps batch after batch until nothing is left.
async fn wrap_all(store: &dyn Store, total: u64, bar: &ProgressBar) -> anyhow::Result<()> {
    let (mut left, mut vain) = (total, 0);
    loop {
        let now_left = match store.rekey(KEYS_BATCH, SystemClock.now()).await {
            Ok(0) => return Ok(()),
            Ok(now_left) => now_left,
            Err(StoreError::KeyMissing { key }) => return Err(key_missing(&key, left)),
            Err(error) => return Err(error.into()),
        };
        bar.set_position(total.saturating_sub(now_left));
        vain = if now_left < left { 0 } else { vain + 1 };
        if vain > VAIN_BATCHES_MAX {
            let message = format!(
                "{now_left} records are still left: they do not open (they are damaged), or somebody seals with another key \
                 meanwhile"
            );
            let next = "`aftersign check` names each grant that does not open, and how it is forgotten; if all of them open, \
                        restart the server, so that it seals with the key that is first now, and begin again";
            return Err(Failure::new(message, next).into());
        }
        left = now_left;
    }
}

fn key_missing(key: &str, records: u64) -> anyhow::Error {
    let message = format!(
        "the vault key `{}` is not among the configured ones, and records need it ({records} are left)",
        output::printable(key)
    );
    let next = "add it to [vault] keys, behind the first one, and begin again; if it is lost, forget what it wraps (`aftersign \
                grants list` names each grant's key) and have it given again";
    Failure::new(message, next).into()
}

fn for_people(rotated: &Rotated, out: &mut dyn Write) -> std::io::Result<()> {
    let Rotated { first, rewrapped, removable } = rotated;
    writeln!(out, "{rewrapped} records were wrapped anew; all are wrapped by `{first}` now")?;
    if removable.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nMay be taken out of [vault] keys now: {}", removable.join(", "))?;
    writeln!(out, "Links in e-mails and sessions in browsers that were sealed with them end with that.")?;
    writeln!(out, "Keep them with the backups of the database that were made before.")
}
