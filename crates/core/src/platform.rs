//! The seam to e-signature platforms: pure in both directions.
//!
//! An adapter reads an inbound request and says what it means; it writes an outbound request and reads its
//! response. It never sends anything: one [`Transport`](crate::seams::Transport) does.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;

use crate::artifact::ArtifactRef;
use crate::callback::{CallbackSecrets, Inbound, Interpretation, Refusal, Reply};
use crate::envelope::{Envelope, Lookup};
use crate::error::Error;
use crate::ids::AccountId;
use crate::proof::TransferProof;
use crate::secret::Secret;

/// What an adapter can do beyond receiving and fetching.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// Envelopes can be removed at the platform.
    pub dispose: bool,
    /// Changes can be listed for sweeps.
    pub list_changes: bool,
    /// The registered callback URL can be read back.
    pub registered_callback: bool,
    /// The OAuth 2.0 code grant is offered.
    pub code_grant: bool,
    /// A page of ours can stand before sending.
    pub before_send_redirect: bool,
}

/// The secrets with which we call a platform, by field name (`api_key`, `api_token`).
#[derive(Clone, Debug, Default)]
pub struct Credential(BTreeMap<String, Secret>);

impl Credential {
    /// The credential from its fields.
    pub fn new(fields: impl IntoIterator<Item = (String, Secret)>) -> Self {
        Self(fields.into_iter().collect())
    }

    /// One field; the empty text if it is absent (config validation reports that before).
    pub fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", Secret::expose)
    }

    /// The names of the fields present.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// With what and where a platform is called.
#[derive(Clone, Debug)]
pub struct Access {
    /// The account it is done for.
    pub account: AccountId,
    /// Base URL as configured, without trailing slash.
    pub base_url: String,
    /// The secrets.
    pub credential: Credential,
}

/// How one response is read.
pub type Read<T> = Box<dyn FnOnce(Response<Bytes>, Timestamp) -> Result<Next<T>, Error> + Send>;

/// What a response led to.
#[expect(clippy::large_enum_variant, reason = "lives for a moment on the stack; a box would be dearer")]
pub enum Next<T> {
    /// The value.
    Done(T),
    /// One more request is needed.
    Then(Call<T>),
}

/// One outbound request paired with the function that reads its response.
pub struct Call<T> {
    /// Its name in logs, metrics and errors.
    pub operation: &'static str,
    /// The request; carries credentials, so it is never logged.
    pub request: Request<Bytes>,
    read: Read<T>,
}

impl<T> Call<T> {
    /// Pairs a request with its reader.
    pub fn new(
        operation: &'static str,
        request: Request<Bytes>,
        read: impl FnOnce(Response<Bytes>, Timestamp) -> Result<Next<T>, Error> + Send + 'static,
    ) -> Self {
        Self { operation, request, read: Box::new(read) }
    }

    /// Splits into the request to send and the reader of its response (given the time it arrived).
    pub fn into_parts(self) -> (&'static str, Request<Bytes>, Read<T>) {
        (self.operation, self.request, self.read)
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .finish_non_exhaustive()
    }
}

/// The span of time a sweep asks about, and where it goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// From (inclusive).
    pub since: Timestamp,
    /// To (exclusive).
    pub until: Timestamp,
    /// What [`Page::next`] said; `None` at the start.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// How a disposal ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Disposal {
    /// Removed now.
    Removed,
    /// It was gone already.
    AlreadyGone,
    /// The platform keeps it, for the given reason; a person may look.
    Kept(String),
}

/// Whose access it is, by the platform's own word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// E-mail address or name.
    pub name: String,
    /// The callback URL registered for the account, where the same answer shows it.
    pub callback_url: Option<String>,
}

/// What to paste where so that callbacks arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackUrl {
    /// Where the platform wants it.
    pub place: &'static str,
    /// The URL with the platform's placeholders.
    pub url: String,
}

/// Limits that a platform sets to its callers, per account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Calls per minute, downloads excluded.
    pub calls_per_minute: u32,
    /// Downloads per minute.
    pub downloads_per_minute: u32,
    /// Requests under way at once.
    pub concurrency: usize,
}

/// One platform. All methods are pure and quick.
pub trait Platform: Send + Sync {
    /// Its name in config, records and metrics.
    fn name(&self) -> &'static str;
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// The vendor's own base URL; `None` where every customer has one of their own.
    fn default_base_url(&self) -> Option<&'static str>;
    /// The fields that a credential must have.
    fn credential_fields(&self) -> &'static [&'static str];
    /// The credential field that also checks callbacks when no `callback_keys` are configured.
    fn callback_key_field(&self) -> Option<&'static str>;
    /// The channels its callback URLs may have; empty if it has one kind only.
    fn channels(&self) -> &'static [&'static str];
    /// The URLs to paste, built on `{public_url}/callbacks/{account}/{path_secret}`.
    fn callback_urls(&self, base: &str) -> Vec<CallbackUrl>;
    /// Largest body of a callback, in bytes.
    fn body_bytes_max(&self) -> usize;
    /// What it asks of its callers.
    fn quota(&self) -> Quota;

    /// Whether the platform sent this (the path secret was right already).
    fn authenticate(&self, inbound: &Inbound, secrets: &CallbackSecrets) -> Result<(), Refusal>;
    /// What it means. Never fails, never panics: what is not understood is quarantined.
    fn interpret(&self, inbound: &Inbound) -> Interpretation;
    /// The exact answer that makes the platform stop.
    fn acknowledge(&self, inbound: &Inbound) -> Reply;

    /// Asks whose access this is.
    fn whoami(&self, access: &Access) -> Result<Call<Identity>, Error>;
    /// Asks what an envelope is now. An id that cannot be put into a URL safely is an error.
    fn fetch_envelope(&self, access: &Access, id: &crate::ids::EnvelopeId) -> Result<Call<Lookup>, Error>;
    /// Asks which artifacts a final envelope has.
    fn list_artifacts(&self, access: &Access, envelope: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error>;
    /// The request that downloads one artifact; its body is streamed.
    fn download(
        &self,
        access: &Access,
        envelope: &Envelope,
        artifact: &ArtifactRef,
    ) -> Result<Request<Bytes>, Error>;
    /// What a refused download (any status but 2xx) means.
    fn refused_download(&self, response: &Response<Bytes>) -> Error;
    /// Asks which envelopes changed in a window; final ones at least.
    fn changed_since(&self, access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error>;
    /// Removes an envelope. Only a [`TransferProof`] makes this callable.
    fn dispose(&self, access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error>;
}
