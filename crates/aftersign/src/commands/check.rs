//! `check`: whether what is configured works, asked of the real store, archive and platforms.
//!
//! Everything is tried, whatever failed before it. Nothing is changed, but for an archive's own folder, which is
//! made if only that is missing, and the files that a probe makes and removes again.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use aftersign_core::platform::{Access, Call, Identity, Next};
use aftersign_core::seams::{Clock, Transport};
use aftersign_core::{Error, ErrorKind, Remedy};
use aftersign_engine::limits::CALL_HOPS_MAX;

use crate::config::{AccountSettings, Settings};
use crate::failure::Failure;
use crate::json::{CheckRow, Checks};
use crate::output::{self, Table};
use crate::store::open_existing;
use crate::system::SystemClock;
use crate::wiring;

/// Longest time for a destination or a platform to answer: a person waits.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// Runs the command.
pub(super) async fn run(settings: &Settings, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    configuration(settings, &mut findings);
    store(settings, &mut findings).await;
    staging(&settings.staging_dir, &mut findings);
    destinations(settings, &mut findings).await;
    if !settings.accounts.is_empty() {
        let transport = wiring::transport(settings)?;
        for account in &settings.accounts {
            self::account(settings, account, &*transport, &mut findings).await;
        }
    }
    let checks = Checks { ok: !findings.failed, checks: findings.rows };
    if json {
        output::json(out, &checks)?;
    } else {
        for_people(&checks, out)?;
    }
    if checks.ok { Ok(()) } else { Err(Failure::reported().into()) }
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    rows: Vec<CheckRow>,
    failed: bool,
}

impl Findings {
    fn ok(&mut self, check: &'static str, subject: impl ToString, detail: impl Into<String>) {
        self.push(check, subject.to_string(), "ok", detail.into(), None);
    }

    fn warn(&mut self, check: &'static str, subject: impl ToString, detail: impl Into<String>, next: &str) {
        self.push(check, subject.to_string(), "warning", detail.into(), Some(next.into()));
    }

    fn fail(&mut self, check: &'static str, subject: impl ToString, detail: impl Into<String>, next: &str) {
        self.failed = true;
        self.push(check, subject.to_string(), "failed", detail.into(), Some(next.into()));
    }

    fn push(
        &mut self,
        check: &'static str,
        subject: String,
        result: &'static str,
        detail: String,
        next: Option<String>,
    ) {
        self.rows.push(CheckRow { check, subject, result, detail, next });
    }
}

fn for_people(checks: &Checks, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new(&["RESULT", "CHECK", "SUBJECT", "DETAIL"]);
    for row in &checks.checks {
        table.row([row.result.into(), row.check.into(), row.subject.clone(), row.detail.clone()]);
    }
    table.write(out, output::width())?;
    for row in &checks.checks {
        if let Some(next) = &row.next {
            writeln!(
                out,
                "\n{}: {} {}: {}\n  next: {next}",
                row.result,
                row.check,
                row.subject,
                output::printable(&row.detail)
            )?;
        }
    }
    Ok(())
}

fn configuration(settings: &Settings, findings: &mut Findings) {
    findings.ok("config", settings.file.display(), "is read and makes sense");
    if settings.time_scale != 1.0 {
        let detail = format!("every wait is divided by {}", settings.time_scale);
        findings.warn("config", "engine.time_scale", detail, "set it to 1.0 outside rehearsals");
    }
    let uri: Option<http::Uri> = settings.public_url.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    if host == "localhost" || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified()) {
        let detail = format!("{} is this machine itself: no platform can reach it", settings.public_url);
        findings.warn("config", "server.public_url", detail, "set it to the URL that platforms reach");
    } else if settings.public_url.starts_with("http:") {
        let detail = "callbacks and their path secrets would travel unencrypted";
        findings.warn("config", "server.public_url", detail, "use https");
    }
    if settings.accounts.is_empty() {
        findings.warn("config", "account", "no account is configured", "add an [[account]]");
    }
    for account in &settings.accounts {
        let id = account.id();
        if !settings.rules.iter().any(|rule| rule.account == "*" || rule.account == id.as_str()) {
            let detail = format!("no rule is for the account `{id}`: nothing of it is archived");
            findings.warn("config", "rule", detail, "add a [[rule]] for it, or one for \"*\"");
        }
    }
}

async fn store(settings: &Settings, findings: &mut Findings) {
    let path = settings.store_path.display();
    if !settings.store_path.exists() {
        match nearest_folder(&settings.store_path).and_then(writable) {
            Ok(()) => findings.ok("store", path, "is not there yet; `aftersign serve` makes it"),
            Err(error) => findings.fail("store", path, error, "make its folder, writable for this user"),
        }
        return;
    }
    let probed: anyhow::Result<()> = async {
        let store = open_existing(&settings.store_path)?;
        store.probe().await?;
        Ok(store.close().await?)
    }
    .await;
    match probed {
        Ok(()) => findings.ok("store", path, "opens, has our schema, and commits"),
        Err(error) => {
            findings.fail(
                "store",
                path,
                format!("{error:#}"),
                "see the message; `aftersign serve` would stop here",
            );
        }
    }
}

fn staging(folder: &Path, findings: &mut Findings) {
    let subject = folder.display();
    let checked = if folder.exists() {
        writable(folder.to_path_buf()).map(|()| "can be written to")
    } else {
        nearest_folder(folder).and_then(writable).map(|()| "is not there yet; `aftersign serve` makes it")
    };
    match checked {
        Ok(detail) => findings.ok("staging", subject, detail),
        Err(error) => findings.fail("staging", subject, error, "make the folder, writable for this user"),
    }
}

/// The nearest folder above a path that exists.
fn nearest_folder(path: &Path) -> Result<std::path::PathBuf, String> {
    let found = path.ancestors().skip(1).find(|folder| folder.exists());
    found.map(Path::to_path_buf).ok_or_else(|| format!("there is no folder above {}", path.display()))
}

/// Makes and removes a file in a folder.
fn writable(folder: std::path::PathBuf) -> Result<(), String> {
    let probe = folder.join(format!(".aftersign-check-{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    let tried = made.and_then(|mut file| file.write_all(b"probe").and_then(|()| file.sync_all()));
    let removed = std::fs::remove_file(&probe);
    tried.and(removed).map_err(|error| format!("{} cannot be written to: {error}", folder.display()))
}

async fn destinations(settings: &Settings, findings: &mut Findings) {
    for configured in &settings.destinations {
        let probe = async { wiring::destination(configured)?.probe().await };
        let next = "mend it, or correct [[destination]]; until then its transfers wait";
        match tokio::time::timeout(ANSWER_WAIT, probe).await {
            Ok(Ok(())) => findings.ok("destination", &configured.id, "can be written to"),
            Ok(Err(error)) => findings.fail("destination", &configured.id, error.chain(), next),
            Err(_) => findings.fail("destination", &configured.id, "does not answer", next),
        }
    }
}

async fn account(
    settings: &Settings,
    account: &AccountSettings,
    transport: &dyn Transport,
    findings: &mut Findings,
) {
    let question = ask(&account.access, account.platform.whoami(&account.access), transport);
    let next = "check base_url and credential of this account, and the way to the platform";
    match tokio::time::timeout(ANSWER_WAIT, question).await {
        Ok(Ok(identity)) => {
            let detail = format!("{} takes us for {}", account.platform.name(), identity.name);
            findings.ok("account", account.id(), detail);
            if account.platform.capabilities().registered_callback {
                registered(settings, account, &identity, findings);
            }
        }
        Ok(Err(error)) => findings.fail("account", account.id(), error.chain(), next),
        Err(_) => {
            let detail = format!("no answer from {} within {ANSWER_WAIT:?}", account.access.base_url);
            findings.fail("account", account.id(), detail, next);
        }
    }
}

/// Compares the URL that the platform calls with ours. Neither is printed: they hold secrets.
fn registered(settings: &Settings, account: &AccountSettings, identity: &Identity, findings: &mut Findings) {
    let next = "paste the URL that `aftersign accounts urls` prints at the platform";
    let is_ours = |url: &str| {
        let bases = account
            .path_secrets
            .iter()
            .map(|secret| format!("{}/callbacks/{}/{}", settings.public_url, account.id(), secret.expose()));
        let mut urls = bases.flat_map(|base| account.platform.callback_urls(&base));
        urls.any(|ours| ours.url.trim_end_matches('/') == url.trim_end_matches('/'))
    };
    match &identity.callback_url {
        Some(url) if is_ours(url) => {
            findings.ok("callback", account.id(), "the URL registered at the platform is ours");
        }
        Some(url) => {
            let uri: Option<http::Uri> = url.parse().ok();
            let host = uri.as_ref().and_then(http::Uri::host).unwrap_or("something else");
            let detail = format!("the URL registered at the platform is not ours; it leads to {host}");
            findings.warn("callback", account.id(), detail, next);
        }
        None => {
            let detail = "no callback URL is registered for the account at the platform";
            findings.warn("callback", account.id(), detail, next);
        }
    }
}

/// Asks a platform a question, following it over as many requests as it takes.
async fn ask<T: Send>(
    access: &Access,
    call: Result<Call<T>, Error>,
    transport: &dyn Transport,
) -> Result<T, Error> {
    let mut call = call?;
    for _ in 0..CALL_HOPS_MAX {
        let (operation, request, read) = call.into_parts();
        let response = transport.exchange(&access.account, request).await;
        let response = response.map_err(|error| error.with("asked", operation))?;
        match read(response, SystemClock.now())? {
            Next::Done(value) => return Ok(value),
            Next::Then(next) => call = next,
        }
    }
    let message = "the platform's answers lead in circles";
    Err(Error::new(ErrorKind::Unintelligible, Remedy::AskPerson, "check", message))
}
