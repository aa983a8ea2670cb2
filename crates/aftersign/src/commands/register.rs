//! `accounts register`: what a platform has registered as an account's callback, and putting ours there.
//!
//! A platform holds one callback per account and overwrites it, so nothing is changed unasked, and another
//! integration's is replaced only on an explicit word.

use std::io::Write;
use std::sync::Arc;

use aftersign_core::Error;
use aftersign_core::platform::Registration;
use aftersign_engine::Caller;

use super::configured;
use super::registered::{Compared, LeadsTo};
use crate::cli::RegisterArgs;
use crate::config::{AccountSettings, Settings};
use crate::failure::Failure;
use crate::json::RegisteredCallback;
use crate::output::{self, printable};
use crate::system::SystemClock;
use crate::wiring;

/// Runs the command.
pub(super) async fn run(settings: &Settings, args: &RegisterArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let account = configured(settings, &args.account)?;
    if !account.platform.capabilities().register_callback {
        return Err(by_hand(settings, account));
    }
    let caller = Caller::new(wiring::transport(settings)?, Arc::new(SystemClock));
    let asked =
        caller.ask(account.platform, &account.access, |access| account.platform.registration(access)).await;
    let found = asked.map_err(|error| refused(account, &error))?;
    let mut compared = Compared::new(&found, account, &settings.public_url);
    let foreign = matches!(compared.leads_to, LeadsTo::Another { .. });
    let apply = args.apply && (args.replace || !foreign);
    let before = compared.clone();
    if apply {
        let registered = register(settings, account, &caller).await?;
        compared = Compared::new(&registered, account, &settings.public_url);
    }
    if args.json {
        output::json(out, &report(settings, account, &compared, apply))?;
    } else {
        for_people(settings, account, &before, apply.then_some(&compared), out)?;
    }
    // A platform may not know all events; what it did not take is told above.
    let done = if apply { compared.leads_to == LeadsTo::Us } else { compared.is_in_order() };
    if done { Ok(()) } else { Err(left_to_do(args, &compared, foreign)) }
}

async fn register(
    settings: &Settings,
    account: &AccountSettings,
    caller: &Caller,
) -> anyhow::Result<Registration> {
    let url = account.callback_urls(&settings.public_url).into_iter().flatten().next();
    let url = url.map(|url| url.url).unwrap_or_default();
    let key = own_key(account);
    let registered = caller
        .ask(account.platform, &account.access, |access| account.platform.register(access, &url, key))
        .await;
    registered.map_err(|error| refused(account, &error))
}

/// The key that the platform is told to show us, where it takes one.
fn own_key(account: &AccountSettings) -> Option<&aftersign_core::secret::Secret> {
    account.callback_secrets.keys.first().filter(|_| account.platform.callback_key_field().is_none())
}

fn by_hand(settings: &Settings, account: &AccountSettings) -> anyhow::Error {
    let name = account.platform.name();
    let urls = account.callback_urls(&settings.public_url).into_iter().next().unwrap_or_default();
    let places: Vec<_> = urls.iter().map(|url| url.place).collect();
    let message = format!("{name} offers no way to register the callback of `{}` from here", account.id());
    let next =
        format!("paste what `aftersign accounts urls` prints by hand; the place: {}", places.join("; or: "));
    Failure::new(message, next).into()
}

fn refused(account: &AccountSettings, error: &Error) -> anyhow::Error {
    let message = format!("{}: {}", account.id(), printable(&error.chain()));
    Failure::new(message, "`aftersign check` tells whether the account's access works").into()
}

/// Why the exit code is not 0.
fn left_to_do(args: &RegisterArgs, compared: &Compared, foreign: bool) -> anyhow::Error {
    let account = &args.account;
    match (args.apply, &compared.leads_to) {
        (true, LeadsTo::Another { host }) if !args.replace => {
            let message = format!("nothing was changed: the callback at {host} is another integration's");
            let next = format!(
                "make sure that nobody needs it, then: aftersign accounts register {account} --apply --replace"
            );
            Failure::new(message, next).into()
        }
        (true, _) => {
            let message = "the platform took the registration and shows something else";
            let next = "look at the account's callback settings at the platform, and try again";
            Failure::new(message, next).into()
        }
        (false, _) => {
            let replace = if foreign { " --replace" } else { "" };
            let next = format!("aftersign accounts register {account} --apply{replace}");
            Failure::new("what is registered differs from what it should be", next).into()
        }
    }
}

fn report(
    settings: &Settings,
    account: &AccountSettings,
    compared: &Compared,
    applied: bool,
) -> RegisteredCallback {
    let host = match &compared.leads_to {
        LeadsTo::Another { host } => Some(host.clone()),
        LeadsTo::Nobody => None,
        _ => Some(our_host(settings)),
    };
    RegisteredCallback {
        account: account.id().to_string(),
        platform: account.platform.name(),
        in_order: compared.is_in_order(),
        applied,
        leads_to: compared.leads_to.as_str(),
        host,
        events: compared.events.clone(),
        missing_events: compared.missing.clone(),
        surplus_events: compared.surplus.clone(),
    }
}

fn for_people(
    settings: &Settings,
    account: &AccountSettings,
    before: &Compared,
    after: Option<&Compared>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out, "{} ({}): {}", account.id(), account.platform.name(), sentence(before))?;
    events(before, out)?;
    if let Some(after) = after {
        writeln!(out, "registered; now {}", sentence(after))?;
        events(after, out)?;
        return Ok(());
    }
    if before.is_in_order() {
        writeln!(out, "nothing to do")?;
        return Ok(());
    }
    let key = match own_key(account) {
        Some(_) => ", with the first of `callback_keys`",
        None => "",
    };
    writeln!(out, "would register our URL at {}{key}", our_host(settings))?;
    let asked = account.platform.wanted_events().len() + account.platform.optional_events().len();
    if asked > 0 {
        writeln!(out, "would ask for {asked} events")?;
    }
    Ok(())
}

fn sentence(compared: &Compared) -> String {
    match &compared.leads_to {
        LeadsTo::Another { host } => {
            format!("the registered URL is another integration's, at {}", printable(host))
        }
        other => other.in_words(),
    }
}

fn events(compared: &Compared, out: &mut dyn Write) -> std::io::Result<()> {
    if !compared.missing.is_empty() {
        writeln!(out, "  events missing:   {}", compared.missing.join(", "))?;
    }
    if !compared.surplus.is_empty() {
        writeln!(out, "  events too many:  {}", printable(&compared.surplus.join(", ")))?;
    }
    Ok(())
}

fn our_host(settings: &Settings) -> String {
    let uri: Option<http::Uri> = settings.public_url.parse().ok();
    uri.as_ref().and_then(http::Uri::host).unwrap_or(&settings.public_url).into()
}
