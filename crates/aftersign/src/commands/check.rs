//! `check`: whether what is configured works, asked of the real store, archive and platforms.
//!
//! Everything is tried, whatever failed before it. Nothing is changed, but for an archive's own folder, which is
//! made if only that is missing, and the files that a probe makes and removes again.

mod people;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::Error;
use aftersign_core::limits::EXTENSION_OVERDUE;
use aftersign_core::rule::{DisposePolicy, Rule};
use aftersign_engine::Caller;
use aftersign_store::Store;

use super::registered::Compared;
use crate::config::{AccountSettings, Settings};
use crate::failure::Failure;
use crate::json::{CheckRow, Checks};
use crate::output::{self, Table};
use crate::store::open_existing_vault;
use crate::system::SystemClock;
use crate::wiring;

/// Longest time for a destination or a platform to answer: a person waits.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// Runs the command.
pub(super) async fn run(settings: &Settings, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    configuration(settings, &mut findings);
    let store = store(settings, &mut findings).await;
    staging(&settings.staging_dir, &mut findings);
    destinations(settings, &mut findings).await;
    people::vault(settings, store.as_deref(), &mut findings).await;
    if let Some(mail) = &settings.mail {
        people::mail(mail, &mut findings).await;
    }
    if !settings.accounts.is_empty() {
        let caller = Caller::new(wiring::transport(settings)?, Arc::new(SystemClock));
        for account in &settings.accounts {
            if !people::lives_on_grants(account) {
                self::account(settings, account, &caller, &mut findings).await;
            }
            people::grants(account, store.as_deref(), &mut findings).await;
        }
    }
    if let Some(store) = store {
        people::left_behind(settings, &*store, &mut findings).await;
        store.close().await?;
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
        if account.platform.capabilities().extends_seals {
            for policy in hasty(&settings.rules, id.as_str()) {
                let detail = format!(
                    "`dispose = \"{policy}\"` removes envelopes of `{id}` before the platform has extended their seals, \
                     which it does after about 40 days and never for what is removed"
                );
                let next = "write \"after-extension\", or leave `dispose` out";
                findings.warn("config", "rule", detail, next);
            }
        }
    }
}

/// The policies of rules that apply to an account and remove before seals are extended.
fn hasty<'a>(rules: &'a [Rule], account: &'a str) -> impl Iterator<Item = DisposePolicy> + 'a {
    let is_for = move |rule: &&Rule| rule.account == "*" || rule.account == account;
    let hurries = |policy: &DisposePolicy| {
        *policy != DisposePolicy::AfterExtension
            && policy.delay().is_some_and(|delay| delay < EXTENSION_OVERDUE)
    };
    rules.iter().filter(is_for).filter_map(|rule| rule.dispose).filter(hurries)
}

/// Gives the store, if there is one and it works.
async fn store(settings: &Settings, findings: &mut Findings) -> Option<Arc<dyn Store>> {
    let path = settings.store_path.display();
    if !settings.store_path.exists() {
        match nearest_folder(&settings.store_path).and_then(writable) {
            Ok(()) => findings.ok("store", path, "is not there yet; `aftersign serve` makes it"),
            Err(error) => findings.fail("store", path, error, "make its folder, writable for this user"),
        }
        return None;
    }
    let probed: anyhow::Result<Arc<dyn Store>> = async {
        let store = open_existing_vault(settings)?;
        store.probe().await?;
        Ok(store)
    }
    .await;
    match probed {
        Ok(store) => {
            findings.ok("store", path, "opens, has our schema, and commits");
            Some(store)
        }
        Err(error) => {
            let next = "see the message; `aftersign serve` would stop here";
            findings.fail("store", path, format!("{error:#}"), next);
            None
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

async fn account(settings: &Settings, account: &AccountSettings, caller: &Caller, findings: &mut Findings) {
    let platform = account.platform;
    let next = "check base_url and credential of this account, and the way to the platform";
    let question = caller.ask(platform, &account.access, |access| platform.whoami(access));
    match answer(question, account).await {
        Ok(identity) => {
            let detail = format!("{} takes us for {}", platform.name(), identity.name);
            findings.ok("account", account.id(), detail);
        }
        Err(why) => return findings.fail("account", account.id(), why, next),
    }
    if platform.capabilities().registered_callback {
        let question = caller.ask(platform, &account.access, |access| platform.registration(access));
        match answer(question, account).await {
            Ok(found) => registered(account, &Compared::new(&found, account, &settings.public_url), findings),
            Err(why) => {
                let detail = format!("cannot read which callback is registered at the platform: {why}");
                findings.warn(
                    "callback",
                    account.id(),
                    detail,
                    "see the message; compare it at the platform",
                );
            }
        }
    }
}

/// A platform's answer in time, or why there is none.
async fn answer<T>(
    question: impl Future<Output = Result<T, Error>>,
    account: &AccountSettings,
) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_WAIT, question).await {
        Ok(answer) => answer.map_err(|error| error.chain()),
        Err(_) => Err(format!("no answer from {} within {ANSWER_WAIT:?}", account.access.base_url)),
    }
}

/// Tells whether the callback that the platform has registered is ours.
fn registered(account: &AccountSettings, compared: &Compared, findings: &mut Findings) {
    let next = if account.platform.capabilities().register_callback {
        format!("`aftersign accounts register {}` shows the difference and can mend it", account.id())
    } else {
        "paste the URL that `aftersign accounts urls` prints at the platform".into()
    };
    if !compared.leads_to.arrives() {
        findings.warn("callback", account.id(), compared.leads_to.in_words(), &next);
    } else if compared.lacks {
        let detail = format!(
            "{}, but the platform does not tell of {}",
            compared.leads_to.in_words(),
            compared.missing.join(", ")
        );
        findings.warn("callback", account.id(), detail, &next);
    } else {
        findings.ok("callback", account.id(), compared.leads_to.in_words());
    }
}
