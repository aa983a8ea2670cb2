//! A platform that signs with its key as it is, and whose adapter panics when a body asks it to.

use aftersign_core::artifact::ArtifactRef;
use aftersign_core::callback::{
    CallbackSecrets, IdempotencyKey, Inbound, Interpretation, Meaning, Refusal, RepeatMeans, Reply,
};
use aftersign_core::envelope::{Envelope, Lookup};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{
    Access, Call, CallbackUrl, Capabilities, CredentialShape, Disposal, Identity, Page, Platform, Quota,
    Window,
};
use aftersign_core::proof::TransferProof;
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::{Request, Response};

pub(crate) const ACKNOWLEDGEMENT: &str = "Hello API Event Received";
pub(crate) const BODY_BYTES_MAX: usize = 4_096;

pub(crate) struct TestPlatform {
    /// Pages of ours send drafts there.
    sends_drafts: bool,
}
pub(crate) static PLATFORM: TestPlatform = TestPlatform { sends_drafts: false };
pub(crate) static WITH_DRAFTS: TestPlatform = TestPlatform { sends_drafts: true };

fn not_here() -> Error {
    Error::new(ErrorKind::Misconfigured, Remedy::Abandon, "test", "the front door calls no platform")
}

fn says(inbound: &Inbound, word: &str) -> bool {
    inbound.body.starts_with(word.as_bytes())
}

impl Platform for TestPlatform {
    fn name(&self) -> &'static str {
        "test-platform"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { before_send_redirect: self.sends_drafts, ..Capabilities::default() }
    }
    fn default_base_url(&self) -> Option<&'static str> {
        None
    }
    fn credential_shapes(&self) -> &'static [CredentialShape] {
        const SHAPES: [CredentialShape; 1] = [CredentialShape::of(&[])];
        &SHAPES
    }
    fn callback_key_field(&self) -> Option<&'static str> {
        None
    }
    fn channels(&self) -> &'static [&'static str] {
        &["envelope", "status"]
    }
    fn callback_urls(&self, _: &str) -> Vec<CallbackUrl> {
        Vec::new()
    }
    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
    fn quota(&self) -> Quota {
        Quota { calls_per_minute: 1, downloads_per_minute: 1, concurrency: 1 }
    }

    fn authenticate(&self, inbound: &Inbound, secrets: &CallbackSecrets) -> Result<(), Refusal> {
        assert!(!says(inbound, "panic in authenticate"), "as asked");
        let signature = inbound.headers.get("x-signature").ok_or(Refusal::Unsigned)?;
        let fits = secrets.keys.iter().any(|key| key.matches(signature.as_bytes()));
        if fits { Ok(()) } else { Err(Refusal::Forged) }
    }

    fn interpret(&self, inbound: &Inbound) -> Interpretation {
        assert!(!says(inbound, "panic in interpret"), "as asked");
        let quoted = inbound.query.strip_prefix("echo=");
        let meaning = if let Some(quoted) = quoted {
            Meaning::Quarantined(format!("`{quoted}` is not an id"))
        } else if says(inbound, "quarantine") {
            Meaning::Quarantined("asked to".to_owned())
        } else {
            Meaning::Understood(Vec::new())
        };
        Interpretation {
            key: IdempotencyKey::new(None, &[inbound.query.as_bytes(), &inbound.body]),
            repeat_means: RepeatMeans::Nothing,
            kind: Some(quoted.unwrap_or("test").to_owned()),
            envelope: Some(EnvelopeId::new("e-1")),
            meaning,
        }
    }

    fn acknowledge(&self, inbound: &Inbound) -> Reply {
        assert!(!says(inbound, "panic in acknowledge"), "as asked");
        Reply::ok(ACKNOWLEDGEMENT)
    }

    fn whoami(&self, _: &Access) -> Result<Call<Identity>, Error> {
        Err(not_here())
    }
    fn fetch_envelope(&self, _: &Access, _: &EnvelopeId) -> Result<Call<Lookup>, Error> {
        Err(not_here())
    }
    fn list_artifacts(&self, _: &Access, _: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
        Err(not_here())
    }
    fn download(&self, _: &Access, _: &Envelope, _: &ArtifactRef) -> Result<Request<Bytes>, Error> {
        Err(not_here())
    }
    fn refused_download(&self, _: &Response<Bytes>) -> Error {
        not_here()
    }
    fn changed_since(&self, _: &Access, _: &Window) -> Result<Call<Page<Envelope>>, Error> {
        Err(not_here())
    }
    fn dispose(&self, _: &Access, _: &TransferProof) -> Result<Call<Disposal>, Error> {
        Err(not_here())
    }
}
