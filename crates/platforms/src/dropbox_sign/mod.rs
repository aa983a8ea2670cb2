//! Dropbox Sign (formerly HelloSign), API v3.
//!
//! Its callbacks are signed twice: `event_hash` covers time and type only, `Content-Sha256` covers the body.
//! Neither makes the content true for long, so every act follows a `GET` of the signature request. The facts
//! and their confidence are in this folder's `README.md`.

mod api;
mod callback;
pub(crate) mod facts;
mod grant;
mod registration;
mod wire;

#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod news_tests;
#[cfg(test)]
mod registration_tests;
#[cfg(test)]
mod tests;

use aftersign_core::Error;
use aftersign_core::artifact::ArtifactRef;
use aftersign_core::callback::{CallbackSecrets, Inbound, Interpretation, Refusal, Reply};
use aftersign_core::envelope::{Envelope, Lookup};
use aftersign_core::grant::{Departure, Grant, Nonces, OauthApp, Return};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::limits::CALLBACK_BODY_BYTES_MAX;
use aftersign_core::platform::{
    Access, Call, CallbackUrl, Capabilities, CredentialShape, Disposal, Identity, Next, OptionSpec, Page,
    Platform, Quota, Registration, Window,
};
use aftersign_core::proof::TransferProof;
use aftersign_core::secret::Secret;
use bytes::Bytes;
use http::{Request, Response};

use crate::oauth;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct DropboxSign;

/// The text that stops the retries, exactly: 24 bytes, no full stop, no line end (vendor's walkthrough and
/// glossary).
const ACKNOWLEDGEMENT: &str = "Hello API Event Received";

/// Callbacks are registered for the whole account, or for one API app.
const CLIENT_ID: OptionSpec = OptionSpec {
    name: "client_id",
    values: &[],
    default: "",
    about: "The API app whose event callback is read and registered; without it, the account's callback is.",
};

impl Platform for DropboxSign {
    fn name(&self) -> &'static str {
        "dropbox-sign"
    }

    fn title(&self) -> &'static str {
        "Dropbox Sign"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dispose: true,
            list_changes: true,
            registered_callback: true,
            register_callback: true,
            code_grant: true,
            ..Capabilities::default()
        }
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.hellosign.com/v3")
    }

    fn credential_shapes(&self) -> &'static [CredentialShape] {
        const SHAPES: [CredentialShape; 1] = [CredentialShape::of(&["api_key"])];
        &SHAPES
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[CLIENT_ID]
    }

    /// The account's primary API key makes `event_hash` (vendor's authentication page).
    fn callback_key_field(&self) -> Option<&'static str> {
        Some("api_key")
    }

    fn channels(&self) -> &'static [&'static str] {
        &[]
    }

    fn callback_urls(&self, base: &str) -> Vec<CallbackUrl> {
        vec![CallbackUrl {
            place: "Settings > API > Account callback, or the event callback of an API app (https only)",
            url: base.to_owned(),
        }]
    }

    fn body_bytes_max(&self) -> usize {
        CALLBACK_BODY_BYTES_MAX
    }

    /// Below the documented 100 and 25 per minute (vendor's help page on limits).
    fn quota(&self) -> Quota {
        Quota { calls_per_minute: 80, downloads_per_minute: 20, concurrency: 4 }
    }

    fn authenticate(&self, inbound: &Inbound, secrets: &CallbackSecrets) -> Result<(), Refusal> {
        callback::authenticate(inbound, secrets)
    }

    fn interpret(&self, inbound: &Inbound) -> Interpretation {
        callback::interpret(inbound)
    }

    fn acknowledge(&self, _inbound: &Inbound) -> Reply {
        Reply::ok(ACKNOWLEDGEMENT)
    }

    fn registration(&self, access: &Access) -> Result<Call<Registration>, Error> {
        registration::read(access)
    }

    /// The key is not sent: the platform signs with the account's own API key.
    fn register(
        &self,
        access: &Access,
        url: &str,
        _key: Option<&Secret>,
    ) -> Result<Call<Registration>, Error> {
        registration::register(access, url)
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
        state: &Secret,
        code: &Secret,
        keep: &Secret,
    ) -> Result<Call<Grant>, Error> {
        grant::finish(access, app, state, code, keep)
    }

    fn renew_grant(
        &self,
        access: &Access,
        app: &OauthApp,
        grant: &Grant,
    ) -> Option<Result<Call<Grant>, Error>> {
        grant::renew(access, app, grant)
    }

    fn whoami(&self, access: &Access) -> Result<Call<Identity>, Error> {
        api::whoami(access)
    }

    fn fetch_envelope(&self, access: &Access, id: &EnvelopeId) -> Result<Call<Lookup>, Error> {
        api::fetch_envelope(access, id)
    }

    fn list_artifacts(&self, access: &Access, envelope: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
        api::list_artifacts(access, envelope)
    }

    fn download(
        &self,
        access: &Access,
        envelope: &Envelope,
        artifact: &ArtifactRef,
    ) -> Result<Request<Bytes>, Error> {
        api::download(access, &envelope.id, artifact)
    }

    fn refused_download(&self, response: &Response<Bytes>) -> Error {
        api::refused("download", response, None)
    }

    fn changed_since(&self, access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
        api::changed_since(access, window)
    }

    fn dispose(&self, access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
        api::dispose(access, proof)
    }
}
