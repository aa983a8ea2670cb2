//! The part of API v5 that envelopes created with it need. "v5" is a mixed set: what did not change lives under v4, so both
//! versions lead here.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{api, error, kind, missing_envelope, model, spoiled};
use crate::config::Vendor;
use crate::exchange::{Answer, Inbound, Operation, perform};
use crate::faults::OperationClass;
use crate::ledger::Outcome;
use crate::people::Caller;
use crate::world::{Envelope, Signer, SignerState, World};

/// Answers a request below `/esignanywhere/api/v5` or `/v4`.
pub(super) async fn handle(
    world: &Arc<World>,
    inbound: &Inbound,
    caller: &Caller,
    path: &[&str],
) -> Option<Answer> {
    let lower: Vec<String> = path.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let operation = |class, key: &str| Operation {
        vendor: Vendor::ESignAnyWhere,
        class,
        key: format!("{caller}/v5/{}/{key}", inbound.method),
    };
    match (&inbound.method, lower.as_slice()) {
        (&Method::GET, ["envelope", "downloadcompleteddocument", id]) => {
            let operation = operation(OperationClass::Download, id);
            perform(world, &operation, spoiled, async { api::file(world, caller, id) }).await
        }
        (&Method::POST, ["envelope", "find"]) => {
            let operation = operation(OperationClass::Read, "find");
            perform(world, &operation, spoiled, async { find(world, caller, inbound) }).await
        }
        (&Method::GET, ["envelope", id]) => {
            world.change(|s| s.count_api_call(id));
            let operation = operation(OperationClass::Read, id);
            perform(world, &operation, spoiled, async { get(world, caller, id) }).await
        }
        (&Method::DELETE, ["envelope", id]) => {
            world.change(|s| s.count_api_call(id));
            let operation = operation(OperationClass::Write, id);
            perform(world, &operation, spoiled, delete(world, caller, id)).await
        }
        _ => Some(Answer::empty(StatusCode::NOT_FOUND)),
    }
}

fn get(world: &World, caller: &Caller, id: &str) -> Answer {
    world.look(|s| {
        s.visible(caller, id).map_or_else(missing_envelope, |envelope| Answer::ok(status(envelope)))
    })
}

async fn delete(world: &World, caller: &Caller, id: &str) -> Answer {
    if world.look(|s| s.visible(caller, id).is_some()) && world.dispose(id).await {
        Answer::empty(StatusCode::NO_CONTENT)
    } else {
        missing_envelope()
    }
}

fn find(world: &World, caller: &Caller, inbound: &Inbound) -> Answer {
    let Some(filter) = api::Filter::parse(inbound, true) else {
        return error(400, "ERR0011", "A parameter has an invalid format.");
    };
    world.look(|s| {
        let envelopes: Vec<Value> = s
            .seen_by(caller)
            .filter(|envelope| filter.matches(envelope))
            .map(|envelope| {
                json!({
                    "Status": status_name(envelope), "Id": envelope.id, "Name": envelope.script.name,
                    "MetaDataXml": envelope.script.metadata, "Bulk": envelope.script.bulk_parent.is_some(),
                })
            })
            .collect();
        Answer::ok(json!({ "Envelopes": envelopes }))
    })
}

/// The status as version 5 spells it.
fn status_name(envelope: &Envelope) -> &'static str {
    match envelope.visible_outcome() {
        Outcome::InProgress => "InProgress",
        outcome => model::status(outcome),
    }
}

fn status(envelope: &Envelope) -> Value {
    let shown = matches!(envelope.visible_outcome(), Outcome::Completed | Outcome::Declined);
    let all: &[_] = if shown { &envelope.artifacts } else { &[] };
    let of_kind = |wanted: &'static str| all.iter().filter(move |artifact| artifact.kind == wanted);
    let first_id = |wanted| of_kind(wanted).next().map(|artifact| artifact.file_id.clone());
    let attachments: Vec<Value> =
        of_kind(kind::ATTACHMENT).map(|a| json!({ "Name": a.name, "DocumentId": a.file_id })).collect();
    let audit_trails: Vec<&str> = of_kind(kind::DOCUMENT_AUDIT_TRAIL).map(|a| a.file_id.as_str()).collect();
    let finished: Vec<Value> = of_kind(kind::DOCUMENT)
        .enumerate()
        .map(|(index, document)| {
            json!({
                "FlowDocumentId": document.file_id,
                "LogDocumentId": audit_trails.get(index),
                "DocRefNumber": index + 1,
                "FileName": document.name,
                "Attachments": if index == 0 { attachments.clone() } else { Vec::new() },
            })
        })
        .collect();
    let disclaimers: Vec<Value> = of_kind(kind::LEGAL)
        .map(|file| json!({ "DocumentId": file.file_id, "DisclaimerType": "DisposableDisclaimer" }))
        .collect();
    let steps: Vec<Value> = envelope
        .signers
        .iter()
        .enumerate()
        .map(|(index, signer)| step(envelope, signer, if index == 0 { &disclaimers } else { &[] }))
        .collect();
    let documents: Vec<Value> = envelope
        .script
        .documents
        .iter()
        .enumerate()
        .map(|(index, document)| json!({ "DocRefNumber": index + 1, "FileName": document.name }))
        .collect();
    json!({
        "Status": status_name(envelope),
        "SendDate": model::date(envelope.created_at),
        "ExpirationDate": null,
        "Id": envelope.id,
        "Bulk": false,
        "BasicOptions": { "Name": envelope.script.name, "MetaDataXml": envelope.script.metadata },
        "Documents": documents,
        "Bulks": [{
            "Id": envelope.id,
            "Email": envelope.signers.first().map(|signer| &signer.email),
            "Status": status_name(envelope),
            "LogDocumentId": first_id(kind::AUDIT_TRAIL),
            "LogXmlDocumentId": first_id(kind::AUDIT_TRAIL_XML),
            "FinishedDocuments": finished,
            "Steps": steps,
        }],
    })
}

fn step(envelope: &Envelope, signer: &Signer, disclaimers: &[Value]) -> Value {
    let (given, surname) = signer.name.split_once(' ').unwrap_or((&signer.name, ""));
    let (state, signed, reason) = match signer.state {
        SignerState::Waiting => ("NotSigned", None, None),
        SignerState::Signed(at) => ("Signed", Some(model::date(at)), None),
        SignerState::Declined(_) => ("Rejected", None, Some(&envelope.script.decline_reason)),
    };
    json!({
        "Id": signer.id,
        "Email": signer.email,
        "FirstName": given,
        "LastName": surname,
        "Status": state,
        "StatusReason": reason,
        "RecipientType": "Signer",
        "SignedDate": signed,
        "OpenedDate": signer.viewed_at.map(model::date),
        "WorkstepRedirectionUrl": "",
        "DisclaimerDocuments": disclaimers,
    })
}
