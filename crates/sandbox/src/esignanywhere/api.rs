//! The endpoints of API v6 that an archiving client needs. Only GET, with parameters in the path, and POST, with everything in
//! the body.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{draft, error, missing_envelope, model, spoiled};
use crate::config::Vendor;
use crate::exchange::{Answer, Inbound, Operation, perform};
use crate::faults::OperationClass;
use crate::ledger::Outcome;
use crate::life::{self, Step};
use crate::people::Caller;
use crate::rng::Rng;
use crate::world::{Envelope, World};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint {
    Validate,
    WhoAmI,
    Version,
    Get(String),
    Configuration(String),
    Elements(String),
    ViewerLinks(String),
    Files(String),
    History(String),
    File(String),
    Find,
    Delete(String),
    Cancel(String),
    Remind(String),
    RestartExpired(String),
    Unlock(String),
    Bulk(String),
    BulkFind,
    BulkDelete(String),
    Draft(String),
    DraftConfiguration(String),
    DraftUpdate(String),
    DraftSend(String),
}

impl Endpoint {
    /// Paths are matched without regard to case; ids are lower-case.
    fn parse(inbound: &Inbound, path: &[&str]) -> Result<Endpoint, Answer> {
        let lower: Vec<String> = path.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let id = |text: &str| text.trim_matches(['{', '}']).to_owned();
        if inbound.method == Method::GET {
            return match lower.as_slice() {
                ["authorization", "validate"] => Ok(Endpoint::Validate),
                ["authorization", "whoami"] => Ok(Endpoint::WhoAmI),
                ["system", "version"] => Ok(Endpoint::Version),
                ["envelope", envelope] => Ok(Endpoint::Get(id(envelope))),
                ["envelope", envelope, "configuration"] => Ok(Endpoint::Configuration(id(envelope))),
                ["envelope", envelope, "elements"] => Ok(Endpoint::Elements(id(envelope))),
                ["envelope", envelope, "viewerlinks"] => Ok(Endpoint::ViewerLinks(id(envelope))),
                ["envelope", envelope, "files"] => Ok(Endpoint::Files(id(envelope))),
                ["envelope", envelope, "history"] => Ok(Endpoint::History(id(envelope))),
                ["file", file] => Ok(Endpoint::File(id(file))),
                ["envelopebulk", bulk] => Ok(Endpoint::Bulk(id(bulk))),
                ["draft", draft] => Ok(Endpoint::Draft(id(draft))),
                ["draft", draft, "configuration"] => Ok(Endpoint::DraftConfiguration(id(draft))),
                _ => Err(Answer::empty(StatusCode::NOT_FOUND)),
            };
        }
        if inbound.method != Method::POST {
            return Err(Answer::empty(StatusCode::METHOD_NOT_ALLOWED));
        }
        match lower.as_slice() {
            ["envelope", "find"] => Ok(Endpoint::Find),
            ["envelope", "delete"] => body_id(inbound, "EnvelopeId").map(Endpoint::Delete),
            ["envelope", "cancel"] => body_id(inbound, "EnvelopeId").map(Endpoint::Cancel),
            ["envelope", "remind"] => body_id(inbound, "EnvelopeId").map(Endpoint::Remind),
            ["envelope", "restartexpired"] => body_id(inbound, "EnvelopeId").map(Endpoint::RestartExpired),
            ["envelope", "unlock"] => body_id(inbound, "EnvelopeId").map(Endpoint::Unlock),
            ["envelopebulk", "find"] => Ok(Endpoint::BulkFind),
            ["envelopebulk", "delete"] => body_id(inbound, "EnvelopeBulkId").map(Endpoint::BulkDelete),
            ["draft", "update"] => body_id(inbound, "DraftId").map(Endpoint::DraftUpdate),
            ["draft", "send"] => body_id(inbound, "DraftId").map(Endpoint::DraftSend),
            _ => Err(Answer::empty(StatusCode::NOT_FOUND)),
        }
    }

    fn class(&self) -> OperationClass {
        match self {
            Endpoint::File(_) => OperationClass::Download,
            Endpoint::Delete(_)
            | Endpoint::Cancel(_)
            | Endpoint::Remind(_)
            | Endpoint::RestartExpired(_)
            | Endpoint::Unlock(_)
            | Endpoint::BulkDelete(_)
            | Endpoint::DraftUpdate(_)
            | Endpoint::DraftSend(_) => OperationClass::Write,
            _ => OperationClass::Read,
        }
    }

    fn envelope(&self) -> Option<&str> {
        match self {
            Endpoint::Get(id)
            | Endpoint::Configuration(id)
            | Endpoint::Elements(id)
            | Endpoint::ViewerLinks(id)
            | Endpoint::Files(id)
            | Endpoint::History(id)
            | Endpoint::Delete(id)
            | Endpoint::Cancel(id)
            | Endpoint::Remind(id)
            | Endpoint::RestartExpired(id)
            | Endpoint::Unlock(id) => Some(id),
            _ => None,
        }
    }
}

fn body_id(inbound: &Inbound, name: &str) -> Result<String, Answer> {
    inbound
        .json()
        .and_then(|body| body[name].as_str().map(str::to_ascii_lowercase))
        .filter(|id| !id.is_empty())
        .ok_or_else(|| error(400, "ERR0002", &format!("The parameter {name} must not be empty.")))
}

/// Answers a request below `/esignanywhere/api/v6`.
pub(super) async fn handle(
    world: &Arc<World>,
    inbound: &Inbound,
    caller: &Caller,
    path: &[&str],
) -> Option<Answer> {
    let endpoint = match Endpoint::parse(inbound, path) {
        Ok(endpoint) => endpoint,
        Err(answer) => return Some(answer),
    };
    if let Some(id) = endpoint.envelope() {
        world.change(|s| s.count_api_call(id));
    }
    let operation = Operation {
        vendor: Vendor::ESignAnyWhere,
        class: endpoint.class(),
        key: format!("{caller}/v6/{endpoint:?}"),
    };
    if let Endpoint::DraftSend(id) = &endpoint
        && let ControlFlow::Break(answer) = draft::ask_to_send(world, caller, id)
    {
        return answer;
    }
    perform(world, &operation, spoiled, answer(world, caller, inbound, &endpoint)).await
}

async fn answer(world: &Arc<World>, caller: &Caller, inbound: &Inbound, endpoint: &Endpoint) -> Answer {
    match endpoint {
        Endpoint::Validate => Answer::empty(StatusCode::OK),
        Endpoint::WhoAmI => who_am_i(world, caller),
        Endpoint::Version => Answer::ok(json!({ "Version": "24.2.0.0" })),
        Endpoint::Get(id) => of_v6(world, caller, id, model::overview),
        Endpoint::Configuration(id) => world.look(|s| match s.accounts.get(&caller.account) {
            Some(spec) => shown(s.visible(caller, id), |envelope| model::configuration(spec, envelope)),
            None => missing_envelope(),
        }),
        Endpoint::Elements(id) => of_v6(world, caller, id, |_| json!({ "Elements": null })),
        Endpoint::ViewerLinks(id) => world.look(|s| {
            s.visible(caller, id).map_or_else(missing_envelope, |_| Answer::ok(json!({ "ViewerLinks": [] })))
        }),
        Endpoint::Files(id) => world.look(|s| {
            s.visible(caller, id).map_or_else(missing_envelope, |envelope| Answer::ok(model::files(envelope)))
        }),
        Endpoint::History(id) => world.look(|s| {
            // A deleted envelope still has a history.
            let envelope = s.envelope(id).filter(|envelope| caller.sees(envelope));
            envelope.map_or_else(missing_envelope, |envelope| Answer::ok(model::history(envelope)))
        }),
        Endpoint::File(id) => file(world, caller, id),
        Endpoint::Find => find(world, caller, inbound),
        Endpoint::Delete(id) => delete(world, caller, id).await,
        Endpoint::Cancel(id) => cancel(world, caller, id),
        Endpoint::Remind(id) => remind(world, caller, id),
        Endpoint::RestartExpired(id) => restart(world, caller, id),
        Endpoint::Unlock(id) => world.look(|s| match s.visible(caller, id) {
            None => missing_envelope(),
            Some(_) => error(400, "ERR0061", "The envelope is not locked."),
        }),
        Endpoint::Bulk(id) => bulk(world, caller, id),
        Endpoint::BulkFind => bulk_find(world, caller),
        Endpoint::BulkDelete(id) => bulk_delete(world, caller, id).await,
        Endpoint::Draft(id) => draft::get(world, caller, id),
        Endpoint::DraftConfiguration(id) => draft::configuration(world, caller, id),
        Endpoint::DraftUpdate(id) => draft::update(world, caller, id, inbound),
        Endpoint::DraftSend(id) => draft::send(world, caller, id),
    }
}

/// What version 6 says of an envelope that it may refuse to show.
fn of_v6(world: &World, caller: &Caller, id: &str, show: fn(&Envelope) -> Value) -> Answer {
    world.look(|s| shown(s.visible(caller, id), show))
}

fn shown(envelope: Option<&Envelope>, show: impl FnOnce(&Envelope) -> Value) -> Answer {
    match envelope {
        None => missing_envelope(),
        Some(envelope) if life::is_v5(envelope) => {
            error(400, "ERR0063", "The envelope was created with another API version.")
        }
        Some(envelope) => Answer::ok(show(envelope)),
    }
}

fn who_am_i(world: &World, caller: &Caller) -> Answer {
    let account = &caller.account;
    let (id, email, given, surname) = world
        .look(|s| {
            let user = s.people.user(caller.user.as_ref()?)?;
            let (given, surname) = user.names();
            Some((user.id.clone(), user.email.clone(), given.to_owned(), surname.to_owned()))
        })
        .unwrap_or_else(|| {
            let id = Rng::keyed(world.seed, &format!("{account}/user")).guid();
            (id, format!("{account}@example.com"), "Anna".to_owned(), "Sender".to_owned())
        });
    let name = if caller.user.is_some() { &email } else { account };
    Answer::ok(json!({
        "UserId": id, "Email": email, "GivenName": given, "Surname": surname, "UserName": name,
        "Sid": null, "SamlAssignments": [], "OAuthAssignments": [], "Roles": ["PowerUser"],
    }))
}

/// A file of an envelope whose end shows.
pub(super) fn file(world: &World, caller: &Caller, id: &str) -> Answer {
    let found = world.change(|s| {
        let envelope_id = s.by_file.get(id).cloned()?;
        s.count_api_call(&envelope_id);
        let envelope = s.visible(caller, &envelope_id)?;
        let shown = matches!(envelope.visible_outcome(), Outcome::Completed | Outcome::Declined);
        envelope.artifacts.iter().find(|artifact| shown && artifact.file_id == id).cloned()
    });
    let Some(artifact) = found else { return error(404, "ERR0008", "The file could not be found.") };
    let content_type = model::content_type(&artifact);
    let name: String =
        artifact.name.chars().map(|c| if c.is_ascii() && c != '"' { c } else { '_' }).collect();
    Answer::file(artifact, content_type)
        .with_header("content-disposition", format!("attachment; filename=\"{name}\""))
}

/// The filters of a search.
pub(super) struct Filter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    status: Option<String>,
    text: Option<String>,
    sender: Option<String>,
    bulk: Option<String>,
}

impl Filter {
    /// `None` if a filter is malformed. An empty body filters nothing.
    pub(super) fn parse(inbound: &Inbound, v5: bool) -> Option<Filter> {
        let body = if inbound.body.is_empty() { json!({}) } else { inbound.json()? };
        let date = |name: &str| match &body[name] {
            Value::Null => Some(None),
            // A date without a zone is refused.
            value => value.as_str()?.parse::<Timestamp>().ok().map(Some),
        };
        let text = |name: &str| match &body[name] {
            Value::Null => Some(None),
            Value::Array(values) if v5 => Some(values.first().and_then(Value::as_str).map(str::to_owned)),
            value => value.as_str().map(|text| Some(text.to_owned())),
        };
        let status = text("Status")?;
        let known = [
            "Canceled",
            "Completed",
            "Expired",
            "Rejected",
            "ActionRequired",
            "WaitingForOthers",
            "ExpiringSoon",
            "Active",
            "InProgress",
            "Started",
            "CompletedWithWarnings",
        ];
        if status.as_deref().is_some_and(|status| !known.contains(&status)) {
            return None;
        }
        Some(Filter {
            from: date("StartDate")?,
            to: date("EndDate")?,
            status,
            text: text("SearchText")?.map(|text| text.to_lowercase()),
            sender: text("SenderEmail")?,
            bulk: text("EnvelopeBulkParentId")?,
        })
    }

    pub(super) fn matches(&self, envelope: &Envelope) -> bool {
        let outcome = envelope.visible_outcome();
        let status = match self.status.as_deref() {
            None => true,
            Some("WaitingForOthers" | "InProgress") => outcome == Outcome::InProgress,
            Some(wanted) => model::status(outcome) == wanted,
        };
        status
            && self.from.is_none_or(|from| envelope.created_at >= from)
            && self.to.is_none_or(|to| envelope.created_at <= to)
            && self.text.as_ref().is_none_or(|text| envelope.script.name.to_lowercase().contains(text))
            && self.sender.as_ref().is_none_or(|sender| envelope.script.sender.eq_ignore_ascii_case(sender))
            && self.bulk.as_ref().is_none_or(|bulk| envelope.script.bulk_parent.as_ref() == Some(bulk))
    }
}

fn find(world: &World, caller: &Caller, inbound: &Inbound) -> Answer {
    let Some(filter) = Filter::parse(inbound, false) else {
        return error(400, "ERR0011", "A parameter has an invalid format.");
    };
    world.look(|s| {
        let envelopes: Vec<Value> =
            s.seen_by(caller).filter(|envelope| filter.matches(envelope)).map(model::found).collect();
        Answer::ok(json!({ "Envelopes": envelopes }))
    })
}

/// Deletes whatever state the envelope is in: the platform does not ask.
async fn delete(world: &World, caller: &Caller, id: &str) -> Answer {
    if world.look(|s| s.visible(caller, id).is_some()) && world.dispose(id).await {
        Answer::empty(StatusCode::OK)
    } else {
        missing_envelope()
    }
}

fn cancel(world: &Arc<World>, caller: &Caller, id: &str) -> Answer {
    match world.look(|s| s.visible(caller, id).map(|envelope| envelope.outcome)) {
        None => missing_envelope(),
        Some(Outcome::InProgress) => {
            life::act(world, id, Step::End(Outcome::Cancelled));
            Answer::empty(StatusCode::OK)
        }
        Some(_) => not_in_this_state(),
    }
}

fn remind(world: &World, caller: &Caller, id: &str) -> Answer {
    match world.look(|s| s.visible(caller, id).map(Envelope::visible_outcome)) {
        None => missing_envelope(),
        Some(Outcome::InProgress) => Answer::ok(json!({ "TotalSent": 1, "TotalBlockedByRateLimit": 0 })),
        Some(_) => not_in_this_state(),
    }
}

fn restart(world: &World, caller: &Caller, id: &str) -> Answer {
    if world.look(|s| s.visible(caller, id).is_none()) {
        return missing_envelope();
    }
    if life::restart(world, id) { Answer::empty(StatusCode::OK) } else { not_in_this_state() }
}

fn not_in_this_state() -> Answer {
    error(400, "ERR0013", "The action is not allowed for the state of the envelope.")
}

/// The children of a bulk that are still there: id, sent date, status, e-mail.
fn children(world: &World, caller: &Caller, bulk: &str) -> Vec<(String, Outcome, Value)> {
    world.look(|s| {
        s.seen_by(caller)
            .filter(|envelope| envelope.script.bulk_parent.as_deref() == Some(bulk))
            .map(|envelope| {
                let outcome = envelope.visible_outcome();
                let child = json!({
                    "EnvelopeId": envelope.id,
                    "SentDate": model::date(envelope.created_at),
                    "Status": model::status(outcome),
                    "Email": envelope.signers.first().map(|signer| &signer.email),
                });
                (envelope.id.clone(), outcome, child)
            })
            .collect()
    })
}

fn bulk(world: &World, caller: &Caller, id: &str) -> Answer {
    let children = children(world, caller, id);
    if children.is_empty() {
        return missing_envelope();
    }
    let completed = children.iter().filter(|(_, outcome, _)| *outcome == Outcome::Completed).count();
    let status = match completed {
        0 => "Active",
        some if some == children.len() => "Completed",
        _ => "PartlyCompleted",
    };
    let children: Vec<Value> = children.into_iter().map(|(_, _, child)| child).collect();
    Answer::ok(json!({ "BulkStatus": status, "Children": children }))
}

fn bulk_find(world: &World, caller: &Caller) -> Answer {
    let mut parents: Vec<Value> = Vec::new();
    world.look(|s| {
        for envelope in s.seen_by(caller) {
            let Some(parent) = envelope.script.bulk_parent.as_deref() else { continue };
            if parents.iter().all(|known| known["Id"] != parent) {
                parents.push(json!({
                    "Id": parent, "Name": envelope.script.name, "MetaData": envelope.script.metadata,
                }));
            }
        }
    });
    Answer::ok(json!({ "BulkParentEnvelopes": parents }))
}

async fn bulk_delete(world: &World, caller: &Caller, id: &str) -> Answer {
    let children = children(world, caller, id);
    if children.is_empty() {
        return missing_envelope();
    }
    for (child, _, _) in children {
        world.dispose(&child).await;
    }
    Answer::empty(StatusCode::OK)
}
