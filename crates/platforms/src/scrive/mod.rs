//! Scrive: documents (eSign API v2) and Flow, on one account and one callback URL.
//!
//! A document's callback carries its whole state and no event name; a Flow instance's carries one event.
//! Neither is signed, so every act follows a `GET`. Ids are told apart by their shape: up to 19 digits for a
//! document, a UUID for a flow. A document deleted before its seal is extended can never be verified
//! independently again: `seal.rs` tells. The facts and their confidence are in this folder's `README.md`.

mod api;
mod callback;
mod document;
mod errors;
pub(crate) mod facts;
mod flow;
mod flow_api;
mod grant;
mod redaction;
mod retention;
mod seal;
mod times;
mod wire;

#[cfg(test)]
mod disposal_tests;
#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod news_tests;
#[cfg(test)]
mod redaction_tests;
#[cfg(test)]
mod seal_tests;
#[cfg(test)]
mod sweep_tests;
#[cfg(test)]
mod tests;

use aftersign_core::artifact::{ArtifactKind, ArtifactRef};
use aftersign_core::callback::{CallbackSecrets, Inbound, Interpretation, Refusal, Reply};
use aftersign_core::envelope::{Envelope, Lookup};
use aftersign_core::grant::{Departure, Grant, Nonces, OauthApp, Return};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::limits::CALLBACK_BODY_BYTES_MAX;
use aftersign_core::platform::{
    Access, Call, CallbackUrl, Capabilities, CredentialShape, Disposal, Identity, Next, OptionSpec, Page,
    Platform, Quota, Retention, Window,
};
use aftersign_core::proof::TransferProof;
use aftersign_core::rule::DisposePolicy;
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::{Request, Response};

use crate::exchange::safe_id;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct Scrive;

/// How the account is let in.
static CREDENTIAL_SHAPES: [CredentialShape; 1] =
    [CredentialShape::of(&["api_token", "api_secret", "access_token", "access_secret"])];
/// What only accounts here can be told.
static OPTIONS: [OptionSpec; 1] = [flow_api::FLOW_BASE];
/// Digits of the largest 64-bit id.
const DOCUMENT_ID_DIGITS_MAX: usize = 19;

/// Whether the text is a document's id: digits, without the leading zeros that would make two names of one.
fn is_document_id(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (1..=DOCUMENT_ID_DIGITS_MAX).contains(&text.len()) && digits && !text.starts_with('0')
}

/// A flow instance's id (a UUID) in lower case. `None` for anything else.
fn flow_id(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_uuid = text.len() == 36 && text.bytes().enumerate().all(fits);
    is_uuid.then(|| text.to_ascii_lowercase())
}

/// What an envelope id names, safe to stand in a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Subject {
    Document(String),
    Flow(String),
}

impl Subject {
    fn of(operation: &'static str, id: &EnvelopeId) -> Result<Self, Error> {
        let text = safe_id(operation, id.as_str())?;
        if is_document_id(text) {
            return Ok(Self::Document(text.to_owned()));
        }
        flow_id(text).map(Self::Flow).ok_or_else(|| {
            let message = "the id is neither a document's (up to 19 digits) nor a flow's (a UUID)";
            Error::new(ErrorKind::Rejected, Remedy::AskPerson, operation, message).with("id", text)
        })
    }
}

impl Platform for Scrive {
    fn name(&self) -> &'static str {
        "scrive"
    }

    fn title(&self) -> &'static str {
        "Scrive"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dispose: true,
            list_changes: true,
            extends_seals: true,
            retention: true,
            code_grant: true,
            // Callbacks are set per document and flow: no account-wide one can be read or registered.
            ..Capabilities::default()
        }
    }

    /// Production; the test bed is `https://api-testbed.scrive.com` (API documentation, "Environments").
    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://scrive.com")
    }

    /// Personal access credentials and OAuth 1.0 tokens alike.
    fn credential_shapes(&self) -> &'static [CredentialShape] {
        &CREDENTIAL_SHAPES
    }

    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
    }

    fn callback_key_field(&self) -> Option<&'static str> {
        None
    }

    fn channels(&self) -> &'static [&'static str] {
        &[]
    }

    fn callback_urls(&self, base: &str) -> Vec<CallbackUrl> {
        callback::urls(base)
    }

    /// The form carries the whole document: usually 8 kB, with many parties hundreds.
    fn body_bytes_max(&self) -> usize {
        CALLBACK_BODY_BYTES_MAX
    }

    /// No limit is documented but that limits will come; a weak summary speaks of 20,000 calls an hour for
    /// all users together. This stays below half of it.
    fn quota(&self) -> Quota {
        Quota { calls_per_minute: 120, downloads_per_minute: 40, concurrency: 4 }
    }

    /// There is nothing to check: no signature exists. The path secret and HTTP Basic are the front door's.
    fn authenticate(&self, _inbound: &Inbound, _secrets: &CallbackSecrets) -> Result<(), Refusal> {
        Ok(())
    }

    fn interpret(&self, inbound: &Inbound) -> Interpretation {
        callback::interpret(inbound)
    }

    /// Any 2xx ends the retries; the body is ignored, and shown to Scrive's administrators.
    fn acknowledge(&self, _inbound: &Inbound) -> Reply {
        Reply::ok("OK")
    }

    fn retention(&self, access: &Access) -> Result<Call<Retention>, Error> {
        retention::retention(access)
    }

    /// A document that is removed before its seal is extended can never be verified independently again. Whatever else
    /// there is stays: one that timed out can be prolonged, of a qualified signature the evidence has a seal of its own,
    /// and a flow needs its documents.
    fn default_dispose(&self, envelope: &Envelope) -> DisposePolicy {
        match is_document_id(envelope.id.as_str()) && document::is_done_when_extended(envelope) {
            true => DisposePolicy::AfterExtension,
            false => DisposePolicy::Never,
        }
    }

    fn redacted(&self, artifact: &ArtifactRef, bytes: &[u8]) -> Option<Vec<u8>> {
        if artifact.kind != ArtifactKind::PlatformRecord {
            return None;
        }
        redaction::redacted(bytes)
    }

    fn redacted_body(&self, inbound: &Inbound) -> Option<Vec<u8>> {
        redaction::redacted_body(&inbound.body)
    }

    /// By OAuth 1.0: the application must be given a temporary token first.
    fn begin_grant(
        &self,
        access: &Access,
        app: &OauthApp,
        _nonces: &Nonces,
    ) -> Result<Next<Departure>, Error> {
        grant::begin(access, app).map(Next::Then)
    }

    fn read_return(&self, query: &str) -> Option<Return> {
        grant::read_return(query)
    }

    fn finish_grant(
        &self,
        access: &Access,
        app: &OauthApp,
        state: &Secret,
        code: &Secret,
        keep: &Secret,
    ) -> Result<Call<Grant>, Error> {
        grant::finish(access, app, state, code, keep)
    }

    fn granted(&self, access: &Access, app: Option<&OauthApp>, grant: &Grant) -> Access {
        access.clone().with_credential(grant::credential(app, grant))
    }

    fn whoami(&self, access: &Access) -> Result<Call<Identity>, Error> {
        api::whoami(access)
    }

    fn fetch_envelope(&self, access: &Access, id: &EnvelopeId) -> Result<Call<Lookup>, Error> {
        match Subject::of("scrive fetch envelope", id)? {
            Subject::Document(id) => api::fetch_document(access, id),
            Subject::Flow(id) => flow_api::fetch(access, id),
        }
    }

    fn list_artifacts(&self, access: &Access, envelope: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
        match Subject::of("scrive list artifacts", &envelope.id)? {
            Subject::Document(id) => api::list_document(access, id),
            Subject::Flow(id) => flow_api::list(access, id),
        }
    }

    fn download(
        &self,
        access: &Access,
        envelope: &Envelope,
        artifact: &ArtifactRef,
    ) -> Result<Request<Bytes>, Error> {
        api::download(access, envelope, artifact)
    }

    fn refused_download(&self, response: &Response<Bytes>) -> Error {
        errors::refused("scrive download", response)
    }

    fn changed_since(&self, access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
        api::changed_since(access, window)
    }

    fn dispose(&self, access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
        match Subject::of("scrive delete", proof.envelope_id())? {
            Subject::Document(id) => {
                api::dispose_document(access, id, document::confirmed_version(proof.envelope()))
            }
            Subject::Flow(id) => flow_api::dispose(access, id, proof.envelope()),
        }
    }
}
