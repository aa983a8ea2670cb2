//! Scrive Flow's API. It can look at instances and cancel them; nothing removes one. Its documents are the document API's.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::auth::authenticate;
use super::json::{folder_id, user_id};
use super::paper::papers_of;
use crate::config::Vendor;
use crate::exchange::{Answer, Inbound, Operation, perform};
use crate::faults::{Fault, OperationClass};
use crate::ledger::Outcome;
use crate::life::{self, Step};
use crate::people::Caller;
use crate::rng::Rng;
use crate::world::{Account, Envelope, SignerState, World};

/// Which API an instance is shown by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// Below `/experimental/flow`: instances of templates.
    First,
    /// Below `/flow`: instances of processes.
    Second,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint<'a> {
    Version,
    Instances,
    Instance(&'a str),
    Cancel(&'a str),
}

impl<'a> Endpoint<'a> {
    fn parse(inbound: &Inbound, path: &[&'a str]) -> Option<Endpoint<'a>> {
        let get = inbound.method == Method::GET;
        match path {
            ["version"] if get => Some(Endpoint::Version),
            ["instances"] if get => Some(Endpoint::Instances),
            ["instances", id] if get => Some(Endpoint::Instance(id)),
            ["instances", id, "cancel"] if inbound.method == Method::POST => Some(Endpoint::Cancel(id)),
            _ => None,
        }
    }
}

/// Answers a request below one of Flow's base paths.
pub(super) async fn handle(
    world: &Arc<World>,
    inbound: &Inbound,
    generation: Generation,
    path: &[&str],
) -> Option<Answer> {
    let Some(endpoint) = Endpoint::parse(inbound, path) else {
        return Some(error(404, "Not Found", "There is no such endpoint."));
    };
    if endpoint == Endpoint::Version {
        return Some(Answer::ok(json!({
            "api_version": "0.11.0", "build_commit": "0000000", "build_date": "2021-03-01",
        })));
    }
    let Some(access) = authenticate(world, inbound) else {
        return Some(error(401, "Authentication Error", "No valid access credentials were provided."));
    };
    if !access.may("FULL_ACCESS") {
        let explanation = "The access credentials lack the privilege FULL_ACCESS.";
        return Some(error(403, "Insufficient Privileges", explanation));
    }
    let caller = access.caller;
    if let Endpoint::Instance(id) | Endpoint::Cancel(id) = endpoint {
        world.change(|s| s.count_api_call(id));
    }
    let operation = Operation {
        vendor: Vendor::ScriveFlow,
        class: match endpoint {
            Endpoint::Cancel(_) => OperationClass::Write,
            _ => OperationClass::Read,
        },
        key: format!("{caller}/{endpoint:?}"),
    };
    let with_wait = Rng::keyed(world.seed, &format!("retry-after/{}", operation.key)).chance(0.5);
    let work = async { answer(world, &caller, generation, endpoint) };
    perform(world, &operation, |fault| spoiled(fault, with_wait), work).await
}

fn error(status: u16, message: &str, explanation: &str) -> Answer {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::json(code, json!({ "code": status, "message": message, "explanation": explanation }))
}

fn not_found() -> Answer {
    error(404, "Not Found", "There is no such instance.")
}

fn spoiled(fault: Fault, with_wait: bool) -> Answer {
    match fault {
        Fault::TooMany => {
            let answer = error(429, "Too Many Requests", "Please wait.");
            if with_wait { answer.with_header("retry-after", "1") } else { answer }
        }
        Fault::Unavailable => error(503, "Service Unavailable", "Please try again later."),
        _ => error(500, "Internal Server Error", "Something went wrong."),
    }
}

fn answer(world: &Arc<World>, caller: &Caller, generation: Generation, endpoint: Endpoint<'_>) -> Answer {
    match endpoint {
        Endpoint::Version | Endpoint::Instances => world.look(|s| {
            let Some(owner) = s.accounts.get(&caller.account) else { return not_found() };
            let flows = s.seen_by(caller).filter(|envelope| envelope.vendor == Vendor::ScriveFlow);
            Answer::ok(flows.map(|flow| instance(world, owner, flow, generation)).collect())
        }),
        Endpoint::Instance(id) => {
            world.look(|s| match (s.accounts.get(&caller.account), flow(s, caller, id)) {
                (Some(owner), Some(flow)) => Answer::ok(instance(world, owner, flow, generation)),
                _ => not_found(),
            })
        }
        Endpoint::Cancel(id) => match world.look(|s| flow(s, caller, id).map(|flow| flow.outcome)) {
            None => not_found(),
            Some(Outcome::InProgress) => {
                life::act(world, id, Step::End(Outcome::Cancelled));
                Answer::empty(StatusCode::NO_CONTENT)
            }
            Some(_) => error(409, "Conflict", "The instance is not in progress."),
        },
    }
}

fn flow<'a>(state: &'a crate::world::State, caller: &Caller, id: &str) -> Option<&'a Envelope> {
    state.visible(caller, id).filter(|envelope| envelope.vendor == Vendor::ScriveFlow)
}

/// The variable that the process has for a document or a participant.
pub(super) fn variable(what: &str, position: usize) -> String {
    format!("{what}{}", position + 1)
}

fn instance(world: &World, account: &Account, flow: &Envelope, generation: Generation) -> Value {
    let documents: Map<String, Value> = papers_of(flow)
        .enumerate()
        .map(|(position, paper)| (variable("doc", position), json!(paper.id)))
        .collect();
    let in_progress = flow.visible_outcome() == Outcome::InProgress;
    let mut users = Map::new();
    let mut links = Map::new();
    let mut actions = Vec::new();
    for (position, signer) in flow.signers.iter().enumerate() {
        let name = variable("user", position);
        let secret = Rng::keyed(flow.seed, &format!("link/{position}")).hex(32);
        links.insert(
            name.clone(),
            json!(format!("{}/scrive/flow/overview/{}/{secret}", world.origin, flow.id)),
        );
        users.insert(name, json!({ "id_type": "email", "id": signer.email }));
        if in_progress && signer.state == SignerState::Waiting {
            let user = json!({ "id_type": "email", "id": signer.email });
            let action = |id: &Value| json!({ "type": "sign", "user": user, "document": id });
            actions.extend(documents.values().map(action));
        }
    }
    let last_event = papers_of(flow).next().map(|paper| paper.stamp().mtime);
    let mut shown = json!({
        "id": flow.id,
        "title": flow.script.name,
        "state": { "available_actions": actions },
        "access_links": links,
        "status": status(flow, generation),
        "started": flow.created_at,
        "last_event": last_event,
        "callback": (!account.spec.callback_url.is_empty())
            .then(|| json!({ "url": account.spec.callback_url, "version": 1 })),
        "author_id": user_id(world, account, flow),
        "folder_id": folder_id(world, account),
    });
    let parameters = json!({ "documents": documents, "users": users, "messages": {} });
    let template = Rng::keyed(flow.seed, "template").guid();
    match generation {
        Generation::First => {
            shown["template_id"] = json!(template);
            shown["template_parameters"] = parameters;
        }
        Generation::Second => {
            shown["process"] = json!("dsl-version: \"0.2.0\"\nstages: []\n");
            shown["process_parameters"] = parameters;
        }
    }
    shown
}

/// The first generation knows three words; of the second's it is not documented which it has.
fn status(flow: &Envelope, generation: Generation) -> &'static str {
    let plain = generation == Generation::First || Rng::keyed(flow.seed, "status").chance(0.5);
    match flow.visible_outcome() {
        Outcome::InProgress => "in_progress",
        Outcome::Completed => "completed",
        _ if plain || flow.script.fails => "failed",
        Outcome::Declined => "rejected",
        Outcome::Cancelled => "cancelled",
        Outcome::Expired => "timed_out",
    }
}
