//! `accounts urls`: what to paste where, so that callbacks arrive.

use std::io::Write;

use crate::cli::JsonArgs;
use crate::config::{AccountSettings, Settings};
use crate::json::{AccountUrl, AccountUrls, PlaceUrl};
use crate::output;

/// Prints the URLs.
pub(super) fn urls(settings: &Settings, args: &JsonArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let accounts = settings.accounts.iter().map(|account| urls_of(settings, account)).collect();
    let all = AccountUrls { accounts };
    if args.json {
        return output::json(out, &all);
    }
    if all.accounts.is_empty() {
        writeln!(out, "No account is configured in {}.", settings.file.display())?;
    }
    for (index, account) in all.accounts.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{} ({})", account.account, account.platform)?;
        for PlaceUrl { place, url } in &account.urls {
            writeln!(out, "  {place}\n    {url}")?;
        }
    }
    Ok(())
}

fn urls_of(settings: &Settings, account: &AccountSettings) -> AccountUrl {
    let current = account.callback_urls(&settings.public_url).into_iter().next().unwrap_or_default();
    AccountUrl {
        account: account.id().to_string(),
        platform: account.platform.name(),
        urls: current.into_iter().map(|url| PlaceUrl { place: url.place, url: url.url }).collect(),
    }
}
