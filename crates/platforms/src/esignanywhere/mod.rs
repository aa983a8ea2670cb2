//! eSignAnyWhere (Namirial), API v6 with v5 for old envelopes.
//!
//! Its callbacks bear no signature and no time: they only say "look". They also arrive before the state they
//! announce, because the platform may be waiting for our very answer. Deleting works on running envelopes
//! too, so the refusal to do that is ours. The facts and their confidence are in this folder's `README.md`.

mod api;
mod artifacts;
mod callback;
mod disposal;
mod drafts;
pub(crate) mod facts;
mod grant;
mod redaction;
mod wire;

#[cfg(test)]
mod callback_tests;
#[cfg(test)]
mod drafts_tests;
#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod tests;

use aftersign_core::artifact::{ArtifactKind, ArtifactRef};
use aftersign_core::callback::{CallbackSecrets, Inbound, Interpretation, Refusal, Reply};
use aftersign_core::draft::{Draft, DraftMarks, DraftTrace, SentAs};
use aftersign_core::envelope::{Envelope, Lookup};
use aftersign_core::grant::{Departure, Grant, Nonces, OauthApp, Return};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::limits::CALLBACK_BODY_BYTES_MAX;
use aftersign_core::platform::{
    Access, Call, CallbackUrl, Capabilities, CredentialShape, Disposal, Identity, Next, OptionSpec, Page,
    Platform, Quota, Window,
};
use aftersign_core::proof::TransferProof;
use aftersign_core::secret::Secret;
use aftersign_core::{Error, Timestamp};
use bytes::Bytes;
use http::{Request, Response};

use crate::oauth;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct ESignAnyWhere;

impl Platform for ESignAnyWhere {
    fn name(&self) -> &'static str {
        "esignanywhere"
    }

    fn title(&self) -> &'static str {
        "eSignAnyWhere"
    }

    fn capabilities(&self) -> Capabilities {
        // Callback URLs are set per envelope or in the organisation's pages: no call reads or registers an account's.
        Capabilities {
            dispose: true,
            list_changes: true,
            code_grant: true,
            before_send_redirect: true,
            ..Capabilities::default()
        }
    }

    /// Every customer has a host of their own (demo, SaaS, private).
    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn credential_shapes(&self) -> &'static [CredentialShape] {
        const SHAPES: [CredentialShape; 1] = [CredentialShape::of(&["api_token"])];
        &SHAPES
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[drafts::INBOX_URL]
    }

    fn callback_key_field(&self) -> Option<&'static str> {
        None
    }

    fn channels(&self) -> &'static [&'static str] {
        &callback::CHANNELS
    }

    fn callback_urls(&self, base: &str) -> Vec<CallbackUrl> {
        callback::urls(base)
    }

    /// Nothing is read from a body, so its size is no reason to refuse what the query says in full.
    fn body_bytes_max(&self) -> usize {
        CALLBACK_BODY_BYTES_MAX
    }

    /// No limit is documented; 5 calls per second and 2 at once keep large teams' tenants usable.
    fn quota(&self) -> Quota {
        Quota { calls_per_minute: 300, downloads_per_minute: 300, concurrency: 2 }
    }

    /// There is nothing to check: no signature exists. The path secret and HTTP Basic are the front door's.
    fn authenticate(&self, _inbound: &Inbound, _secrets: &CallbackSecrets) -> Result<(), Refusal> {
        Ok(())
    }

    fn interpret(&self, inbound: &Inbound) -> Interpretation {
        callback::interpret(inbound)
    }

    fn acknowledge(&self, _inbound: &Inbound) -> Reply {
        Reply::ok("OK")
    }

    fn redacted(&self, artifact: &ArtifactRef, bytes: &[u8]) -> Option<Vec<u8>> {
        if artifact.kind != ArtifactKind::PlatformRecord {
            return None;
        }
        redaction::redacted(bytes)
    }

    fn begin_grant(
        &self,
        access: &Access,
        app: &OauthApp,
        nonces: &Nonces,
    ) -> Result<Next<Departure>, Error> {
        grant::begin(access, app, nonces)
    }

    fn read_return(&self, query: &str) -> Option<Return> {
        oauth::read_return(query)
    }

    fn finish_grant(
        &self,
        access: &Access,
        app: &OauthApp,
        _state: &Secret,
        code: &Secret,
        keep: &Secret,
    ) -> Result<Call<Grant>, Error> {
        grant::finish(access, app, code, keep)
    }

    fn renew_grant(
        &self,
        access: &Access,
        app: &OauthApp,
        grant: &Grant,
    ) -> Option<Result<Call<Grant>, Error>> {
        grant::renew(access, app, grant)
    }

    fn draft_id(&self, text: &str) -> Option<String> {
        callback::guid(text)
    }

    fn before_send_url(&self, base: &str) -> Option<CallbackUrl> {
        Some(drafts::before_send_url(base))
    }

    fn user_id(&self, text: &str) -> String {
        api::user_id(text)
    }

    fn fetch_draft(&self, access: &Access, draft: &str) -> Result<Call<Option<Draft>>, Error> {
        drafts::fetch(access, draft)
    }

    fn mark_draft(&self, access: &Access, draft: &Draft, marks: &DraftMarks) -> Result<Call<()>, Error> {
        drafts::mark(access, draft, marks)
    }

    fn send_draft(&self, access: &Access, draft: &str) -> Result<Call<SentAs>, Error> {
        drafts::send(access, draft)
    }

    fn trace_draft(
        &self,
        access: &Access,
        draft: &str,
        asked_at: Timestamp,
    ) -> Result<Call<DraftTrace>, Error> {
        drafts::trace(access, draft, asked_at)
    }

    fn inbox_url(&self, access: &Access) -> Option<String> {
        drafts::inbox_url(access)
    }

    fn whoami(&self, access: &Access) -> Result<Call<Identity>, Error> {
        api::whoami(access)
    }

    fn fetch_envelope(&self, access: &Access, id: &EnvelopeId) -> Result<Call<Lookup>, Error> {
        api::fetch_envelope(access, id)
    }

    fn list_artifacts(&self, access: &Access, envelope: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
        artifacts::list_artifacts(access, envelope)
    }

    fn download(
        &self,
        access: &Access,
        envelope: &Envelope,
        artifact: &ArtifactRef,
    ) -> Result<Request<Bytes>, Error> {
        artifacts::download(access, &envelope.id, artifact)
    }

    fn refused_download(&self, response: &Response<Bytes>) -> Error {
        api::refused("download", response)
    }

    fn changed_since(&self, access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
        api::changed_since(access, window)
    }

    fn dispose(&self, access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
        disposal::dispose(access, proof)
    }
}
