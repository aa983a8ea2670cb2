//! OneSpan Sign (formerly eSignLive, also as ValidSign), its packages and its account's one callback.
//!
//! Its callbacks bear a key in the open, no event id and no state: they only say "look". Each is sent once,
//! so what was missed comes back by sweeps or by the failure e-mail that a person imports. Files can be
//! fetched too early and are then silently incomplete, so the status is read before anything is named. The
//! facts and their confidence are in this folder's `README.md`.

mod access;
mod account;
mod api;
mod callback;
pub(crate) mod facts;
mod token;
mod wire;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod disposal_tests;
#[cfg(test)]
mod tests;

use aftersign_core::Error;
use aftersign_core::artifact::ArtifactRef;
use aftersign_core::callback::{CallbackSecrets, Inbound, Interpretation, Refusal, Reply};
use aftersign_core::envelope::{Envelope, Lookup};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{
    Access, Call, CallbackUrl, Capabilities, CredentialShape, Disposal, Identity, OptionSpec, Page, Platform,
    Quota, Registration, Retention, Token, Window,
};
use aftersign_core::proof::TransferProof;
use aftersign_core::secret::Secret;
use bytes::Bytes;
use http::{Request, Response, StatusCode};

/// A key, or what a token is asked for with.
const CREDENTIAL_SHAPES: [CredentialShape; 2] = [
    CredentialShape::of(&["api_key"]),
    CredentialShape {
        fields: &["client_id", "client_secret", token::FLOW],
        choice: Some((token::FLOW, &[token::CLIENT_APP, token::OAUTH2])),
    },
];
const OPTIONS: [OptionSpec; 2] = [api::LIST_DIALECT, api::DISPOSE_MODE];

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct OneSpan;

/// Largest callback body: real ones stay below 1 KiB.
const BODY_BYTES_MAX: usize = 64 * 1024;

impl Platform for OneSpan {
    fn name(&self) -> &'static str {
        "onespan"
    }

    fn title(&self) -> &'static str {
        "OneSpan Sign"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dispose: true,
            list_changes: true,
            registered_callback: true,
            register_callback: true,
            import_callbacks: true,
            retention: true,
            per_sender: true,
            ..Capabilities::default()
        }
    }

    /// Every region has a host of its own, and a good key is refused by the others.
    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn credential_shapes(&self) -> &'static [CredentialShape] {
        &CREDENTIAL_SHAPES
    }

    fn options(&self) -> &'static [OptionSpec] {
        &OPTIONS
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

    /// No limit is documented; together five requests per second, four at once.
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

    fn token(&self, access: &Access) -> Option<Result<Call<Token>, Error>> {
        token::token(access)
    }

    fn senders(&self, access: &Access, cursor: Option<&str>) -> Result<Call<Page<String>>, Error> {
        account::senders(access, cursor)
    }

    fn registration(&self, access: &Access) -> Result<Call<Registration>, Error> {
        account::registration(access)
    }

    fn wanted_events(&self) -> &'static [&'static str] {
        &callback::EVENTS
    }

    fn optional_events(&self) -> &'static [&'static str] {
        &callback::EVENTS_NOT_EVERYWHERE
    }

    fn register(
        &self,
        access: &Access,
        url: &str,
        key: Option<&Secret>,
    ) -> Result<Call<Registration>, Error> {
        account::register(access, url, key)
    }

    fn undelivered(&self, text: &[u8]) -> Result<Vec<Inbound>, String> {
        callback::undelivered(text)
    }

    fn retention(&self, access: &Access) -> Result<Call<Retention>, Error> {
        account::retention(access)
    }

    fn whoami(&self, access: &Access) -> Result<Call<Identity>, Error> {
        account::whoami(access)
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
        api::changed_since(access, window)
    }

    fn dispose(&self, access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
        api::dispose(access, proof)
    }
}
