//! Checks and resolves where envelopes go: destinations and rules; and how people are written to.

use std::collections::BTreeSet;
use std::time::Duration;

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::DestinationId;
use aftersign_core::rule::{DisposePolicy, PathTemplate, Rule};

use super::check::Check;
use super::model::{self, Config, DestinationKind, Mail};
use super::problem::{element, member};
use super::settings::{DestinationSettings, DestinationSettingsKind, MailSettings};
use super::shape::nearest;

/// Every destination.
pub(super) fn destinations(
    check: &mut Check<'_>,
    destinations: &[model::Destination],
) -> Vec<DestinationSettings> {
    let mut ids = BTreeSet::new();
    let mut resolved = Vec::new();
    for (index, destination) in destinations.iter().enumerate() {
        let at = element("destination", index);
        check.id(&member(&at, "id"), &destination.id);
        if !ids.insert(&destination.id) {
            let message = format!("the id `{}` is taken by a destination above", destination.id);
            check.problem(&member(&at, "id"), &message, "give every destination an id of its own".into());
        }
        if destination.root.is_empty() {
            check.problem(&member(&at, "root"), "this is empty", "write the folder's path".into());
        }
        let kind = match destination.kind {
            DestinationKind::Filesystem => {
                DestinationSettingsKind::Filesystem { root: check.path(&destination.root) }
            }
        };
        resolved.push(DestinationSettings { id: DestinationId::new(destination.id.clone()), kind });
    }
    resolved
}

/// Every rule that could be resolved.
pub(super) fn rules(check: &mut Check<'_>, config: &Config) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (index, rule) in config.rule.iter().enumerate() {
        let at = element("rule", index);
        let accounts: Vec<_> = config.account.iter().map(|account| account.id.as_str()).collect();
        if rule.account != "*" {
            refers(check, &member(&at, "account"), "account", &rule.account, &accounts);
        }
        let when = statuses(check, &member(&at, "when"), &rule.when);
        deliver_to(check, &member(&at, "deliver_to"), rule, config);
        let path = PathTemplate::parse(&rule.path).map_err(|message| {
            let next = "see `path` under [[rule]] in config/default.toml".into();
            check.problem(&member(&at, "path"), &message, next);
        });
        let dispose = dispose(check, &member(&at, "dispose"), rule, config);
        if let (Ok(path), Ok(dispose)) = (path, dispose) {
            rules.push(Rule {
                account: rule.account.clone(),
                when,
                deliver_to: rule.deliver_to.iter().map(DestinationId::new).collect(),
                path,
                dispose,
            });
        }
    }
    rules
}

fn refers(check: &mut Check<'_>, key: &str, what: &str, name: &str, known: &[&str]) {
    if known.contains(&name) {
        return;
    }
    let hint = nearest(name, known).map(|word| format!("; the nearest is `{word}`")).unwrap_or_default();
    let message = format!("there is no {what} `{name}`{hint}");
    let next = if known.is_empty() {
        format!("add a [[{what}]] with this id")
    } else {
        format!("write one of: {}", known.join(", "))
    };
    check.problem(key, &message, next);
}

fn statuses(check: &mut Check<'_>, key: &str, words: &[String]) -> Vec<EnvelopeStatus> {
    let known = EnvelopeStatus::ALL.map(EnvelopeStatus::as_str);
    if words.is_empty() {
        check.problem(
            key,
            "this list is empty: the rule would match nothing",
            "write [\"completed\"]".into(),
        );
    }
    let mut statuses = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match EnvelopeStatus::parse(word) {
            Some(status) => statuses.push(status),
            None => refers(check, &element(key, index), "status", word, &known),
        }
    }
    statuses
}

fn deliver_to(check: &mut Check<'_>, key: &str, rule: &model::Rule, config: &Config) {
    let known: Vec<_> = config.destination.iter().map(|destination| destination.id.as_str()).collect();
    if rule.deliver_to.is_empty() {
        let next = "name one destination or more".into();
        check.problem(key, "this list is empty: nothing would be archived", next);
    }
    let mut seen = BTreeSet::new();
    for (index, id) in rule.deliver_to.iter().enumerate() {
        refers(check, &element(key, index), "destination", id, &known);
        if !seen.insert(id) {
            let message = format!("the destination `{id}` is named twice");
            check.problem(&element(key, index), &message, "name it once".into());
        }
    }
}

fn dispose(
    check: &mut Check<'_>,
    key: &str,
    rule: &model::Rule,
    config: &Config,
) -> Result<Option<DisposePolicy>, ()> {
    let Some(text) = &rule.dispose else { return Ok(None) };
    let policy = DisposePolicy::parse(text).map_err(|message| {
        let next = "write never, after-transfer, after-days:N or after-extension, or leave it out";
        check.problem(key, &message, next.into());
    })?;
    if policy == DisposePolicy::AfterExtension {
        let chosen = config.account.iter().filter(|one| rule.account == "*" || rule.account == one.id);
        let without = chosen.filter(|account| {
            (check.registry.by_name)(&account.platform)
                .is_some_and(|platform| !platform.capabilities().extends_seals)
        });
        let without: Vec<String> = without.map(|account| format!("`{}`", account.id)).collect();
        if !without.is_empty() {
            let message = format!(
                "the platform of the account {} extends no seals, so this would wait for ever",
                without.join(", ")
            );
            let next = "leave `dispose` out, which is safe at every platform, or make a rule per account";
            check.problem(key, &message, next.into());
        }
    }
    Ok(Some(policy))
}

/// How people are written to.
pub(super) fn mail(check: &mut Check<'_>, mail: &Mail) -> Option<MailSettings> {
    let url = check.secret("mail.smtp_url", &mail.smtp_url);
    let schemes = ["smtp://", "smtps://"];
    if url.as_ref().is_some_and(|url| !schemes.iter().any(|scheme| url.expose().starts_with(scheme))) {
        let next = "write it as in \"smtp://localhost:25\"".into();
        check.problem("mail.smtp_url", "expected an smtp or smtps URL", next);
    }
    address(check, "mail.from", &mail.from);
    for (index, admin) in mail.admins.iter().enumerate() {
        address(check, &element("mail.admins", index), admin);
    }
    let templates_dir = mail.templates_dir.as_ref().map(|folder| check.path(folder));
    let ca_file = mail.ca_file.as_ref().map(|file| check.path(file));
    for (key, path) in [("mail.templates_dir", &templates_dir), ("mail.ca_file", &ca_file)] {
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            let message = format!("there is nothing at {}", path.display());
            check.problem(key, &message, "correct the path, or leave the key out".into());
        }
    }
    Some(MailSettings {
        smtp_url: url?,
        from: mail.from.clone(),
        admins: mail.admins.clone(),
        templates_dir,
        ca_file,
        digest_every: Duration::from_secs(u64::from(mail.digest_minutes) * 60),
        escalate_every: Duration::from_secs(u64::from(mail.escalate_hours) * 60 * 60),
    })
}

/// What this version only checks: handlers.
pub(super) fn later(check: &mut Check<'_>, config: &Config) {
    for (index, handler) in config.handler.iter().enumerate() {
        let at = element("handler", index);
        check.url(&member(&at, "url"), &handler.url);
        check.secret(&member(&at, "secret"), &handler.secret);
        let known = EnvelopeStatus::ALL.map(|status| format!("envelope.{}", status.as_str()));
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        for (index, event) in handler.events.iter().enumerate() {
            refers(check, &element(&member(&at, "events"), index), "outgoing event", event, &known);
        }
    }
}

fn address(check: &mut Check<'_>, key: &str, text: &str) {
    let (user, host) = text.split_once('@').unwrap_or_default();
    if user.is_empty() || host.is_empty() {
        let message = format!("`{text}` is no e-mail address");
        check.problem(key, &message, "write it as in \"ops@example.com\"".into());
    }
}
