//! `grants`: access that senders gave us. No secret ever comes out again.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use aftersign_core::Error;
use aftersign_core::error::ErrorKind;
use aftersign_core::grant::{GrantKind, Holder};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::seams::Clock;
use aftersign_core::secret::Secret;
use aftersign_engine::limits::RENEWAL_LINK_LIFE;
use aftersign_engine::{EngineMetrics, SealedKey};
use aftersign_store::Store;
use anyhow::Context;

use super::{ACTOR, config_file, configured, key_input, open, unknown};
use crate::cli::{GrantSetArgs, GrantsCommand};
use crate::config::{self, AccountSettings, Registry, Settings};
use crate::failure::Failure;
use crate::json::{Grant, GrantSet, Grants};
use crate::output::{self, Table, maybe, printable};
use crate::store::{self, Role, open_existing_vault, open_store};
use crate::system::SystemClock;
use crate::wiring;

/// Shortest text that is taken for a secret when a message is searched for it, in characters: no platform has shorter keys.
const SECRET_CHARS_MIN: usize = 6;

/// Runs the command.
pub(super) async fn run(
    command: GrantsCommand,
    file: Option<&Path>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match command {
        GrantsCommand::List { account, json } => list(file, account, json, out).await,
        GrantsCommand::Set(args) => set(&config::load(file)?, &args, out).await,
        GrantsCommand::Forget { account, sender } => {
            forget(&*open(file)?, &AccountId::new(account), &self::sender(&sender)?, out).await
        }
        GrantsCommand::Link { account, sender } => {
            link(&config::load(file)?, &account, &self::sender(&sender)?, out).await
        }
    }
}

async fn list(
    file: Option<&Path>,
    account: Option<String>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (file, environment) = config_file(file);
    let written = config::read(&file, &environment)?;
    let store = store::open_existing(&written.store_path(&environment, &Registry::COMPILED_IN)?)?;
    let accounts = written.config.account.iter();
    let platforms: BTreeMap<&str, &String> =
        accounts.map(|account| (account.id.as_str(), &account.platform)).collect();
    let mut grants = Vec::new();
    for row in store.grants(account.map(AccountId::new).as_ref()).await? {
        let waiting = store.parked_for(&row.account, &Holder::Sender(row.sender.clone())).await?;
        let platform = platforms.get(row.account.as_str()).map(ToString::to_string);
        grants.push((Grant::new(&row, platform, waiting), row));
    }
    if json {
        return output::json(out, &Grants { grants: grants.into_iter().map(|(grant, _)| grant).collect() });
    }
    let mut table = Table::new(&[
        "ACCOUNT", "PLATFORM", "SENDER", "KIND", "GRANTED", "RENEW BY", "REFUSED", "WAITING", "KEY",
    ]);
    for (grant, row) in grants {
        table.row([
            grant.account,
            maybe(grant.platform.as_deref()),
            grant.sender,
            grant.kind.into(),
            output::time(row.granted_at),
            output::maybe_time(row.renew_at),
            output::maybe_time(row.refused_at),
            grant.waiting.to_string(),
            grant.key_id,
        ]);
    }
    Ok(table.write(out, output::width())?)
}

async fn set(settings: &Settings, args: &GrantSetArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let account = configured(settings, &args.account)?;
    must_seal(settings)?;
    let expected = args.sender.as_deref().map(sender).transpose()?;
    let fields = key_input::read(account.platform)?;
    let store = open_store(settings, Role::Tool)?;
    let engine = wiring::engine(settings, store.clone(), EngineMetrics::default(), None)?;
    let sealed = engine.seal_key(account.id(), fields.clone(), expected.as_ref(), ACTOR).await;
    store.close().await.context("cannot close the store")?;
    let SealedKey { identity, woken } = sealed.map_err(|error| not_kept(account, &error, &fields))?;
    if args.json {
        return output::json(
            out,
            &GrantSet {
                account: account.id().to_string(),
                platform: account.platform.name(),
                sender: identity.sender().map(|sender| sender.to_string()),
                name: identity.name,
                user_id: identity.id,
                woken,
            },
        );
    }
    let (name, platform) = (printable(&identity.name), account.platform.name());
    writeln!(out, "{platform} takes the key for {name}'s; it is sealed for the account `{}`", account.id())?;
    match woken {
        0 => writeln!(out, "nothing waited for it")?,
        1 => writeln!(out, "1 transfer that waited for it goes on")?,
        many => writeln!(out, "{many} transfers that waited for it go on")?,
    }
    Ok(())
}

/// Why a key was not kept, without the key: platforms may quote what they do not understand.
fn not_kept(account: &AccountSettings, error: &Error, fields: &[(String, Secret)]) -> anyhow::Error {
    let platform = account.platform.name();
    let next = match error.kind() {
        ErrorKind::AccessRefused | ErrorKind::Forbidden => {
            format!(
                "nothing was stored; copy the sender's key anew at {platform}, and see that it is switched on there"
            )
        }
        ErrorKind::Rejected if error.names_sender() => {
            "nothing was stored; ask the sender for their own key, or leave --sender out".into()
        }
        ErrorKind::Rejected | ErrorKind::Misconfigured | ErrorKind::Storage => {
            "nothing was stored; `aftersign check` tells whether the account and the store are in order"
                .into()
        }
        _ => format!("nothing was stored; try again when {platform} answers"),
    };
    let message = format!("{}: {}", account.id(), printable(&without_secrets(error.chain(), fields)));
    Failure::new(message, next).into()
}

fn without_secrets(text: String, fields: &[(String, Secret)]) -> String {
    let secrets = fields.iter().map(|(_, secret)| secret.expose().trim());
    secrets
        .filter(|secret| secret.chars().count() >= SECRET_CHARS_MIN)
        .fold(text, |text, secret| text.replace(secret, "(the key)"))
}

async fn forget(
    store: &dyn Store,
    account: &AccountId,
    sender: &SenderId,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let rows = store.grants(Some(account)).await?;
    let kind = rows.iter().find(|row| row.sender == *sender).map(|row| row.kind);
    let forgotten = store.forget_grant(account, sender, ACTOR, SystemClock.now()).await?;
    let Some(kind) = kind.filter(|_| forgotten) else {
        return Err(unknown("grant for this account by", sender.as_str(), "grants"));
    };
    writeln!(out, "what {} gave for the account `{account}` is forgotten", printable(sender.as_str()))?;
    let left = match kind {
        GrantKind::Consent => {
            "Their consent still stands at the platform: they revoke it there, in their settings."
        }
        GrantKind::Key => "Their key still works at the platform: they revoke it there, in their settings.",
    };
    writeln!(out, "{left}")?;
    Ok(())
}

async fn link(
    settings: &Settings,
    account: &str,
    sender: &SenderId,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let account = configured(settings, account)?;
    must_seal(settings)?;
    if account.oauth.is_none() && account.platform.key_fields().is_empty() {
        let message = format!("senders of the account `{}` have no way to give access", account.id());
        return Err(Failure::new(message, "add [account.oauth] to it in the config").into());
    }
    let store = open_existing_vault(settings)?;
    let engine = wiring::engine(settings, store.clone(), EngineMetrics::default(), None)?;
    let link = engine.link_for(account.id(), sender);
    store.close().await.context("cannot close the store")?;
    let next = "`aftersign check` tells whether the vault is in order";
    let link = link.map_err(|error| Failure::new(error.chain(), next))?;
    let days = RENEWAL_LINK_LIFE.as_secs() / (24 * 60 * 60);
    // Beside the output, so that a script has the link alone.
    eprintln!("This link is for {} alone and works for {days} days.", printable(sender.as_str()));
    writeln!(out, "{link}")?;
    Ok(())
}

/// Without a vault key nothing can be sealed.
fn must_seal(settings: &Settings) -> anyhow::Result<()> {
    if !settings.vault_keys.is_empty() {
        return Ok(());
    }
    let message =
        format!("no vault key is configured in {}, so nothing can be sealed", settings.file.display());
    Err(Failure::new(message, DRAW_A_KEY).into())
}

/// What to do where there is no vault key.
pub(super) const DRAW_A_KEY: &str = "draw a key with `openssl rand -base64 32 > vault.key`, keep a copy of it elsewhere, and \
                                     write under [vault]: keys = [{ id = \"first\", file = \"vault.key\" }]";

fn sender(text: &str) -> anyhow::Result<SenderId> {
    let wrong = || Failure::usage("the sender is empty", "name their e-mail address at the platform");
    Ok(SenderId::new(text).ok_or_else(wrong)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_platform_quotes_of_a_key_is_left_out() {
        let fields = [("a".into(), Secret::new(" key-of-anna\n")), ("b".into(), Secret::new("no"))];
        let text = without_secrets("refused: no such token `key-of-anna`".into(), &fields);
        assert_eq!(text, "refused: no such token `(the key)`");
    }
}
