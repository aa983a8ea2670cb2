//! What a client changes: the state of a package, its place in the trash, its existence, and where callbacks go. The
//! platform tells of a client's own changes as of everybody's.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::events::{EVENTS, Event, told};
use super::{error, no_package, no_permission, package, readable, sender_id};
use crate::exchange::{Answer, Inbound};
use crate::ledger::{DeletedBy, Outcome};
use crate::life::{self, Step};
use crate::world::World;

/// Only on request: the documents name it, the SDKs do not.
const COBROWSE: &str = "COBROWSE_REQUEST";

/// `PUT` or `POST` of a package: its trash flag or its status.
pub(super) async fn change(world: &Arc<World>, access: &Access, id: &str, inbound: &Inbound) -> Answer {
    let Some(body) = inbound.json() else {
        return error(400, "error.validation.body", "The body must be a JSON object.");
    };
    if let Some(answer) = change_template(world, access, id, &body) {
        return answer;
    }
    match (body["trashed"].as_bool(), body["status"].as_str()) {
        (Some(true), _) => trash(world, access, id).await,
        (Some(false), _) => restore(world, access, id),
        (None, Some(wanted)) => change_status(world, access, id, wanted),
        (None, None) => {
            error(400, "error.validation.body", "Only `trashed` and `status` can be changed here.")
        }
    }
}

/// `None` if it is no template. Nobody should do this, so it is counted.
fn change_template(world: &World, access: &Access, id: &str, body: &Value) -> Option<Answer> {
    world.change(|s| {
        let mut templates = s.templates.iter_mut();
        let template =
            templates.find(|template| template.account_id == access.account && template.id == id)?;
        if let Some(trashed) = body["trashed"].as_bool() {
            template.trashed = trashed;
        }
        template.archived |= body["status"] == "ARCHIVED";
        s.templates_touched += 1;
        Some(Answer::ok(json!({})))
    })
}

async fn trash(world: &Arc<World>, access: &Access, id: &str) -> Answer {
    let known = world.change(|s| {
        readable(s, &access.account, id)?;
        let envelope = s.envelope_mut(id)?;
        // In the trash first: the package must not be out of sight in between.
        envelope.package.trashed = true;
        Some(())
    });
    if known.is_none() {
        return no_package();
    }
    // What is removed already, as by a repeated request, is not told again.
    if world.dispose(id).await {
        note_change(world, access, id, "PACKAGE_TRASH");
    }
    Answer::ok(json!({}))
}

fn restore(world: &Arc<World>, access: &Access, id: &str) -> Answer {
    let restored = world.change(|s| {
        readable(s, &access.account, id)?;
        let envelope = s.envelope_mut(id)?;
        let was_trashed = std::mem::take(&mut envelope.package.trashed);
        envelope.deleted.take_if(|deletion| deletion.by == DeletedBy::Client);
        // What was still to come when it went comes no more, but there may be new steps.
        envelope.gone = CancellationToken::new();
        if envelope.outcome == Outcome::Cancelled {
            envelope.outcome = Outcome::InProgress;
            envelope.ended_at = None;
        }
        Some(was_trashed)
    });
    match restored {
        None => return no_package(),
        Some(true) => note_change(world, access, id, "PACKAGE_RESTORE"),
        Some(false) => {}
    }
    Answer::ok(json!({}))
}

/// The ways between the statuses that a sender has.
fn change_status(world: &Arc<World>, access: &Access, id: &str, wanted: &str) -> Answer {
    let now = world.look(|s| {
        readable(s, &access.account, id)
            .map(|envelope| (package::status(envelope), package::all_signed(envelope)))
    });
    let Some((status, all_signed)) = now else { return no_package() };
    let set = |change: fn(&mut super::PackageState), name| {
        world.change(|s| s.envelope_mut(id).map(|envelope| change(&mut envelope.package)));
        note_change(world, access, id, name);
    };
    match (status, wanted) {
        (now, wanted) if now == wanted => {}
        ("COMPLETED", "ARCHIVED") => set(|package| package.archived = true, "PACKAGE_ARCHIVE"),
        ("SENT", "COMPLETED") if all_signed => life::act(world, id, Step::End(Outcome::Completed)),
        ("SENT", "DRAFT") => set(|package| package.active = false, "PACKAGE_DEACTIVATE"),
        ("DRAFT", "SENT") => life::act(world, id, Step::Activated),
        _ => {
            let why = format!("A package that is {status} cannot become {wanted}.");
            return error(400, "error.validation.status", &why);
        }
    }
    Answer::ok(json!({}))
}

/// `DELETE` of a package: for good.
pub(super) async fn delete(world: &Arc<World>, access: &Access, id: &str) -> Answer {
    let template = world.change(|s| {
        let count = s.templates.len();
        s.templates.retain(|template| template.account_id != access.account || template.id != id);
        let removed = s.templates.len() < count;
        s.templates_touched += u64::from(removed);
        removed
    });
    if template {
        return Answer::ok(json!({}));
    }
    if world.look(|s| readable(s, &access.account, id).is_none()) {
        return no_package();
    }
    // From the trash it is removed only once, as the ledger sees it.
    world.dispose(id).await;
    world.change(|s| s.envelope_mut(id).map(|envelope| envelope.package.purged = true));
    note_change(world, access, id, "PACKAGE_DELETE");
    Answer::ok(json!({}))
}

/// Tells of a client's change and moves the package's last change to now.
fn note_change(world: &Arc<World>, access: &Access, id: &str, name: &'static str) {
    world.change(|s| s.envelope_mut(id).map(|envelope| envelope.package.updated = Timestamp::now()));
    let user = sender_id(world, &access.account, access.email());
    life::tell(world, id, |_, account, envelope| told(account, envelope, Event::new(name, user)));
}

/// The one registration of the account.
pub(super) fn registration(world: &World, access: &Access) -> Answer {
    world.look(|s| match s.accounts.get(&access.account) {
        None => no_permission(),
        Some(account) => Answer::ok(json!({
            "url": account.callback_url,
            "key": account.spec.secrets.get("callback_key"),
            "events": account.events,
        })),
    })
}

/// Replaces the registration; from now on callbacks go there.
pub(super) fn register(world: &World, access: &Access, inbound: &Inbound) -> Answer {
    if access.sender.is_some() {
        return no_permission();
    }
    let body = inbound.json().unwrap_or_default();
    let url = body["url"].as_str().map(str::trim).unwrap_or_default();
    let key = body["key"].as_str().map(str::trim).unwrap_or_default();
    let names: Option<Vec<&str>> =
        body["events"].as_array().and_then(|names| names.iter().map(Value::as_str).collect());
    let Some(names) = names.filter(|_| url.starts_with("http://") || url.starts_with("https://")) else {
        return error(400, "error.validation.callback", "A callback has a URL and a list of events.");
    };
    if let Some(name) = names.iter().find(|&&name| name != COBROWSE && !EVENTS.contains(&name)) {
        return error(400, "error.validation.callback", &format!("The event {name} is not known."));
    }
    world.change(|s| {
        let Some(account) = s.accounts.get_mut(&access.account) else { return };
        url.clone_into(&mut account.spec.callback_url);
        account.callback_url = Some(url.to_owned());
        account.spec.secrets.remove("callback_key");
        if !key.is_empty() {
            account.spec.secrets.insert("callback_key".to_owned(), key.to_owned());
        }
        account.events = names.iter().map(|&name| name.to_owned()).collect();
    });
    registration(world, access)
}
