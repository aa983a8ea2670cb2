//! OneSpan Sign (formerly eSignLive, also as ValidSign), its packages and its account's one callback.
//!
//! Its callbacks bear a key in the open, no event id and no state: they only say "look". Each is sent once,
//! so what was missed comes back by sweeps or by the failure e-mail ([`failed_callbacks`]). Files can be
//! fetched too early and are then silently incomplete, so the status is read before anything is named. The
//! facts and their confidence are in this folder's `README.md`.

mod access;
mod api;
mod callback;
mod wire;

#[cfg(test)]
mod tests;

use aftersign_core::Error;
use aftersign_core::artifact::ArtifactRef;
use aftersign_core::callback::{CallbackSecrets, Inbound, Interpretation, Refusal, Reply};
use aftersign_core::envelope::{Envelope, Lookup};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{
    Access, Call, CallbackUrl, Capabilities, Disposal, Identity, Page, Platform, Quota, Window,
};
use aftersign_core::proof::TransferProof;
use bytes::Bytes;
use http::{Request, Response, StatusCode};

pub use access::{
    OnBehalf, REGIONS, Registration, Token, client_app_token, oauth_token, region_base_url, register,
    registration,
};
pub use api::{DisposeMode, ListDialect};
pub use callback::{EVENTS, failed_callbacks};

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct OneSpan;

/// Largest callback body: real ones stay below 1 KiB.
const BODY_BYTES_MAX: usize = 64 * 1024;

impl OneSpan {
    /// Like [`Platform::dispose`], into the trash or for good. `DELETE` is permanent (vendor's manual), so
    /// the trait's method takes the trash.
    ///
    /// # Errors
    /// A credential, base URL or id that cannot be used.
    pub fn dispose_by(
        &self,
        access: &Access,
        proof: &TransferProof,
        mode: DisposeMode,
    ) -> Result<Call<Disposal>, Error> {
        api::dispose(access, proof, mode)
    }

    /// Like [`Platform::changed_since`], beginning in the given dialect. The trait's method begins as the
    /// SDKs do and turns to the OpenAPI's where that is refused.
    ///
    /// # Errors
    /// A credential, base URL or cursor that cannot be used.
    pub fn changed_since_in(
        &self,
        access: &Access,
        window: &Window,
        dialect: ListDialect,
    ) -> Result<Call<Page<Envelope>>, Error> {
        api::changed_since(access, window, dialect)
    }
}

impl Platform for OneSpan {
    fn name(&self) -> &'static str {
        "onespan"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dispose: true,
            list_changes: true,
            registered_callback: true,
            code_grant: false,
            before_send_redirect: false,
        }
    }

    /// Every region has a host of its own ([`REGIONS`]), and a good key is refused by the others.
    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn credential_fields(&self) -> &'static [&'static str] {
        &["api_key"]
    }

    /// The callback key is chosen at registration and is not the API key.
    fn callback_key_field(&self) -> Option<&'static str> {
        None
    }

    fn channels(&self) -> &'static [&'static str] {
        &[]
    }

    fn callback_urls(&self, base: &str) -> Vec<CallbackUrl> {
        vec![CallbackUrl {
            place: "Admin > Integration > Event Notifications (one URL per account; key: letters and digits)",
            url: base.to_owned(),
        }]
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    /// No limit is documented; together five requests per second, four at once (sheet section 2.6).
    fn quota(&self) -> Quota {
        Quota { calls_per_minute: 180, downloads_per_minute: 120, concurrency: 4 }
    }

    fn authenticate(&self, inbound: &Inbound, secrets: &CallbackSecrets) -> Result<(), Refusal> {
        callback::authenticate(inbound, secrets)
    }

    fn interpret(&self, inbound: &Inbound) -> Interpretation {
        callback::interpret(inbound)
    }

    /// Status 200 is what the vendor asks for; nobody reads the body.
    fn acknowledge(&self, _inbound: &Inbound) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type: "application/json",
            body: Bytes::from_static(br#"{"status":"noted"}"#),
        }
    }

    fn whoami(&self, access: &Access) -> Result<Call<Identity>, Error> {
        access::whoami(access)
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
        api::download(access, envelope, artifact)
    }

    fn refused_download(&self, response: &Response<Bytes>) -> Error {
        api::refused_download(response)
    }

    fn changed_since(&self, access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
        self.changed_since_in(access, window, ListDialect::Sdk2024)
    }

    fn dispose(&self, access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
        self.dispose_by(access, proof, DisposeMode::Trash)
    }
}
