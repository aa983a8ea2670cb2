//! Deleting an envelope at the platform, and being sure of it.
//!
//! The platform deletes running envelopes too, and its "404" also means "not visible to this token": so the
//! refusals here are ours, and nothing counts as gone without the platform's own word.

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::platform::{Access, Call, Disposal, Next};
use aftersign_core::proof::TransferProof;
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::{Method, Response};

use super::api::{Api, V5, envelope_guid, error_of, is_other_generation, names_error};
use super::wire::{Delete, ErrorAnswer, History};
use crate::exchange::{Asking, excerpt, is_plain_refusal, own_status};

/// The platform deletes running envelopes too, so only a completed one is ever deleted here.
pub(super) fn dispose(access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
    let api = Api::new("esignanywhere delete", access)?;
    let guid = envelope_guid(api.operation, proof.envelope_id())?;
    if proof.status() != EnvelopeStatus::Completed {
        let reason = format!("only completed envelopes are deleted; this one is {}", proof.status().as_str());
        return keep(&api, &guid, reason);
    }
    let request = api.post("envelope/delete", &Delete { envelope_id: &guid })?;
    let by_v5 = proof.envelope().route.as_deref() == Some(V5);
    Ok(api.clone().then(request, move |response| {
        if response.status().is_success() {
            return deleted(&api, &guid);
        }
        let other_generation = is_other_generation(&response);
        if !other_generation && own_status(&response) == Some(404) && names_error(&response) {
            return is_it_gone(&api, &guid);
        }
        if other_generation || (by_v5 && is_plain_refusal(&response)) {
            return delete_v5(&api, guid);
        }
        match error_of(&response) {
            Some(ErrorAnswer { error_id: Some(id), message, .. }) if id == "ERR0013" || id == "ERR0010" => {
                Ok(Next::Done(Disposal::Kept(excerpt(&message.unwrap_or(id)))))
            }
            _ if own_status(&response) == Some(403) => {
                Ok(Next::Done(Disposal::Kept("this access may not delete envelopes".to_owned())))
            }
            _ => Err(api.refused(&response)),
        }
    }))
}

fn delete_v5(api: &Api, guid: String) -> Result<Next<Disposal>, Error> {
    let request = api.send(Method::DELETE, V5, &format!("envelope/{guid}"), Bytes::new())?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if response.status().is_success() {
            return deleted(&api, &guid);
        }
        match own_status(&response) == Some(404) && names_error(&response) {
            true => is_it_gone(&api, &guid),
            false => Err(api.refused(&response)),
        }
    })))
}

/// The platform took the deletion; its history must say so too, or no longer know the envelope.
fn deleted(api: &Api, guid: &str) -> Result<Next<Disposal>, Error> {
    let request = api.get(&format!("envelope/{guid}/history"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_missing(&response) {
            return Ok(Next::Done(Disposal::Removed));
        }
        let history: History = api.answer(&response)?;
        if history.says_deleted() {
            return Ok(Next::Done(Disposal::Removed));
        }
        let message = "the platform took the deletion and its history does not show it yet";
        Err(api.error(ErrorKind::NotReady, Remedy::Retry(None), message))
    })))
}

/// The platform does not find the envelope for deleting: only its history tells "gone" from "not yours".
fn is_it_gone(api: &Api, guid: &str) -> Result<Next<Disposal>, Error> {
    let request = api.get(&format!("envelope/{guid}/history"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_missing(&response) {
            let reason = "not visible to this access, neither for deleting nor in the history";
            return Ok(Next::Done(Disposal::Kept(reason.to_owned())));
        }
        let history: History = api.answer(&response)?;
        let there = "the platform does not find it for deleting, and says that it is not deleted";
        Ok(Next::Done(gone_or_kept(&history, there)))
    })))
}

/// Asks the history whether the envelope is gone; changes nothing.
fn keep(api: &Api, guid: &str, reason: String) -> Result<Call<Disposal>, Error> {
    let request = api.get(&format!("envelope/{guid}/history"))?;
    let api = api.clone();
    Ok(api.clone().then(request, move |response| {
        let history: History = api.answer(&response)?;
        Ok(Next::Done(gone_or_kept(&history, &reason)))
    }))
}

fn gone_or_kept(history: &History, reason: &str) -> Disposal {
    if history.says_deleted() { Disposal::AlreadyGone } else { Disposal::Kept(reason.to_owned()) }
}

/// Whether the platform says, in its own words, that there is no such envelope for us.
fn is_missing(response: &Response<Bytes>) -> bool {
    let by_name = error_of(response).is_some_and(|error| error.error_id.as_deref() == Some("ERR0007"));
    by_name && own_status(response) == Some(404)
}
