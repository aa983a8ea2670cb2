//! `accounts urls`: what to paste where, so that callbacks arrive.

use std::io::Write;

use crate::cli::AccountsCommand;
use crate::config::{AccountSettings, Settings};
use crate::json::{AccountUrl, AccountUrls, PlaceUrl};
use crate::output;

/// Runs the command.
pub(super) fn run(settings: &Settings, command: &AccountsCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    let AccountsCommand::Urls(args) = command;
    let accounts = settings.accounts.iter().map(|account| urls(settings, account)).collect();
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

fn urls(settings: &Settings, account: &AccountSettings) -> AccountUrl {
    let urls = account.platform.callback_urls(&account.callback_base(&settings.public_url));
    AccountUrl {
        account: account.id().to_string(),
        platform: account.platform.name(),
        urls: urls.into_iter().map(|url| PlaceUrl { place: url.place, url: url.url }).collect(),
    }
}
