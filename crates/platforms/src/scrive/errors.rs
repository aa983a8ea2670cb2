//! What Scrive's refusals mean.
//!
//! The Document API and Flow have different error objects. The Document API's `error_type` decides before the
//! status, except where the status is about the request itself (401, 429).

use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::Response;

use super::wire::ErrorAnswer;
use crate::exchange::{Body, excerpt, own_status, refused_by_status, refused_by_stranger, retry_after};

/// The document is in another state than the call needs: not sealed yet, in the trash, purged, pending.
pub(super) const STATE: &str = "document_state_error";
/// Somebody acted on the document in between.
const VERSION: &str = "document_object_version_mismatch";
/// A document of a flow cannot be removed alone (observed in 2020).
pub(super) const NOT_PERMITTED: &str = "action_not_permitted";

/// The API's own error object, if the answer is a refusal that has one.
pub(super) fn error_of(response: &Response<Bytes>) -> ErrorAnswer {
    match Body::of(response.body()) {
        Body::Json(value) if !response.status().is_success() => {
            serde_json::from_value(value).unwrap_or_default()
        }
        _ => ErrorAnswer::default(),
    }
}

/// Whether the API itself says with 404 that there is no such thing, and not that there is no such call.
pub(super) fn is_absent(response: &Response<Bytes>) -> bool {
    own_status(response) == Some(404)
        && error_of(response).error_type.as_deref() != Some("endpoint_not_found")
}

/// Whether Flow itself refused: its errors have a numeric `code`.
pub(super) fn is_flows_own(response: &Response<Bytes>) -> bool {
    own_status(response).is_some() && error_of(response).code.is_some()
}

/// Whether the document is gone for good though its id is still known.
pub(super) fn is_purged(response: &Response<Bytes>) -> bool {
    let error = error_of(response);
    error.error_type.as_deref() == Some(STATE)
        && error.error_message.is_some_and(|message| message.to_ascii_lowercase().contains("purged"))
}

/// Whether the call itself was understood and one of its parameters was not: an older server than the parameter.
pub(super) fn is_parameter_refused(response: &Response<Bytes>) -> bool {
    let kind = error_of(response).error_type;
    own_status(response) == Some(400) && kind.is_some_and(|kind| kind.starts_with("request_parameters_"))
}

/// What the platform says, for a person.
pub(super) fn reason(error: &ErrorAnswer) -> String {
    let said = error.error_message.as_ref().or(error.explanation.as_ref()).or(error.message.as_ref());
    said.map_or_else(|| "the platform gave no reason".to_owned(), |text| excerpt(text))
}

/// What a refusal means.
pub(super) fn refused(operation: &'static str, response: &Response<Bytes>) -> Error {
    let status = response.status();
    let not_before = retry_after(response.headers());
    if own_status(response).is_none() {
        return refused_by_stranger(operation, status, not_before);
    }
    let answer = error_of(response);
    let message = reason(&answer);
    let by_type = match (status.as_u16(), answer.error_type.as_deref()) {
        (401 | 429, _) => None,
        // 503 while the PDF is being sealed (about ten seconds), 409 for any other state: look again.
        (_, Some(STATE)) => Some((ErrorKind::NotReady, Remedy::Park)),
        (_, Some(VERSION | "conflict_error")) => Some((ErrorKind::NotReady, Remedy::Park)),
        (_, Some("invalid_authorisation")) => Some((ErrorKind::AccessRefused, Remedy::RenewAccess)),
        (_, Some("insufficient_privileges" | "document_action_forbidden" | NOT_PERMITTED)) => {
            Some((ErrorKind::Forbidden, Remedy::AskPerson))
        }
        (400..=499, Some("resource_not_found")) => Some((ErrorKind::NotFound, Remedy::Retry(None))),
        (400..=499, Some("endpoint_not_found" | "signatory_state_error")) => {
            Some((ErrorKind::Rejected, Remedy::AskPerson))
        }
        (_, Some("server_error")) => Some((ErrorKind::Unavailable, Remedy::Retry(not_before))),
        _ => None,
    };
    let error = match by_type {
        Some((kind, remedy)) => Error::new(kind, remedy, operation, message).with("status", status.as_u16()),
        None => refused_by_status(operation, status, not_before, message),
    };
    match (answer.error_type, answer.code) {
        (Some(name), _) => error.with("error_type", excerpt(&name)),
        (None, Some(code)) => error.with("code", code),
        (None, None) => error,
    }
}
