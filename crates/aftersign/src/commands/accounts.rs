//! `accounts urls`: what to paste where, so that callbacks arrive and senders' browsers find our pages.

use std::io::Write;

use crate::cli::JsonArgs;
use crate::config::{AccountSettings, Settings};
use crate::json::{AccountUrl, AccountUrls, PlaceUrl};
use crate::output;

/// Where a redirect URI is registered.
const REDIRECT_URI: &str = "Redirect URI of the OAuth application";
/// For whom the connect page is.
const CONNECT: &str = "For senders: the page where they give access";

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
        for PlaceUrl { place, url } in account.urls.iter().chain(&account.pages) {
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
        urls: current.into_iter().map(PlaceUrl::from).collect(),
        pages: pages_of(settings, account),
    }
}

/// What browsers need: the way to us before sending, the way back after a consent, and the page that senders are told of.
fn pages_of(settings: &Settings, account: &AccountSettings) -> Vec<PlaceUrl> {
    let mut pages = Vec::new();
    pages.extend(account.before_send_url(&settings.public_url).map(PlaceUrl::from));
    if let Some(app) = &account.oauth {
        pages.push(PlaceUrl { place: REDIRECT_URI, url: app.redirect_uri.clone() });
    }
    if account.offers_connecting() {
        pages.push(PlaceUrl { place: CONNECT, url: account.consent_root(&settings.public_url) });
    }
    pages
}
