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
use crate::draft::{Draft, DraftMarks, DraftTrace, SentAs};
use crate::envelope::{Envelope, EnvelopeStatus, Lookup};
use crate::error::{Error, ErrorKind, Remedy};
use crate::grant::{Departure, Grant, Nonces, OauthApp, Return};
use crate::ids::{AccountId, SenderId};
use crate::proof::TransferProof;
use crate::rule::DisposePolicy;
use crate::secret::Secret;

/// What an adapter can do beyond receiving and fetching.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// Envelopes can be removed at the platform.
    pub dispose: bool,
    /// Changes can be listed for sweeps.
    pub list_changes: bool,
    /// The registered callback URL can be read back ([`Platform::registration`]).
    pub registered_callback: bool,
    /// It can be registered by a call ([`Platform::register`]).
    pub register_callback: bool,
    /// What the platform could not deliver can be given to us as a text ([`Platform::undelivered`]).
    pub import_callbacks: bool,
    /// Seals are extended after a while ([`DisposePolicy::AfterExtension`]).
    pub extends_seals: bool,
    /// The platform tells after how long it removes envelopes by itself ([`Platform::retention`]).
    pub retention: bool,
    /// A call can be made in the name of one of the account's senders ([`Access::sender`]).
    pub per_sender: bool,
    /// Senders can consent at the platform that we act for them ([`Platform::begin_grant`]).
    pub code_grant: bool,
    /// A page of ours can stand before sending, and sends the draft itself ([`Platform::send_draft`]).
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

    /// The same with a field set anew.
    #[must_use]
    pub fn with(mut self, name: &str, secret: Secret) -> Self {
        self.0.insert(name.into(), secret);
        self
    }

    /// The fields and their secrets, for the vault.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, secret)| (name.as_str(), secret))
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
    /// What only this platform's accounts can be told, by [`OptionSpec::name`]; what is absent has its default.
    pub options: BTreeMap<String, String>,
    /// The sender (e-mail address) in whose name the call is made; `None` for the account itself.
    pub sender: Option<String>,
}

impl Access {
    /// An option's value, if it was set.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The same access with the token that [`Platform::token`] fetched.
    #[must_use]
    pub fn with_token(mut self, token: &Token) -> Self {
        self.credential.0.insert(ACCESS_TOKEN.into(), token.secret.clone());
        self
    }

    /// The same access with other secrets.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// The same access in a sender's name.
    #[must_use]
    pub fn for_sender(mut self, sender: impl Into<String>) -> Self {
        self.sender = Some(sender.into());
        self
    }
}

/// The field of a [`Credential`] that holds a [`Token`].
pub const ACCESS_TOKEN: &str = "access_token";

/// A short-lived secret that a platform gives for the credential.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub secret: Secret,
    /// When the next one must be asked for: a little before its end.
    pub renew_at: Timestamp,
}

/// One way to be let in by a platform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CredentialShape {
    /// The fields that the credential has.
    pub fields: &'static [&'static str],
    /// A field with a closed set of values, and those.
    pub choice: Option<(&'static str, &'static [&'static str])>,
}

impl CredentialShape {
    /// A shape of free fields.
    pub const fn of(fields: &'static [&'static str]) -> Self {
        Self { fields, choice: None }
    }
}

/// Something that only accounts at one platform can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionSpec {
    /// Its key below `account.options`.
    pub name: &'static str,
    /// The values that it can have; empty if any text.
    pub values: &'static [&'static str],
    /// What holds if it is not set.
    pub default: &'static str,
    /// What it is for, in one sentence.
    pub about: &'static str,
}

/// The callback that a platform has registered for an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// Where it calls; `None` if nothing is registered.
    pub url: Option<String>,
    /// Of what it tells, in the platform's words; empty where there is no choice.
    pub events: Vec<String>,
}

impl Registration {
    /// Where it calls, without the slash at the end that platforms add or drop; `None` if nothing is registered.
    pub fn bare_url(&self) -> Option<&str> {
        self.url.as_deref().map(bare).filter(|url| !url.is_empty())
    }

    /// Whether it calls `ours`.
    pub fn calls(&self, ours: &str) -> bool {
        self.bare_url() == Some(bare(ours))
    }

    /// The host that it calls. The rest of a URL that is not ours may be somebody's secret.
    pub fn host(&self) -> Option<String> {
        let uri: http::Uri = self.bare_url()?.parse().ok()?;
        uri.host().map(str::to_owned)
    }

    /// What it does not tell of `wanted`. One that tells of nothing lacks all.
    pub fn missing(&self, wanted: &[&'static str]) -> Vec<&'static str> {
        wanted.iter().copied().filter(|event| !self.events.iter().any(|told| told == event)).collect()
    }
}

fn bare(url: &str) -> &str {
    url.trim().trim_end_matches('/')
}

impl fmt::Debug for Registration {
    /// The URL holds the path secret, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("url", &self.url.as_ref().map(|_| "redacted"))
            .field("events", &self.events)
            .finish()
    }
}

/// After how many days of its own accord a platform removes envelopes of a status; a status that is absent is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// Status and days since it was reached.
    pub days: Vec<(EnvelopeStatus, u32)>,
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
    /// E-mail address, else name, for people.
    pub name: String,
    /// The platform's id of the user, if it gives one.
    pub id: Option<String>,
    /// Their e-mail address, if it gives one.
    pub email: Option<String>,
}

impl Identity {
    /// Somebody of whom only the name is known.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), id: None, email: None }
    }

    /// The sender that it is: by e-mail address, else by the platform's id. `None` where there is neither.
    pub fn sender(&self) -> Option<SenderId> {
        self.email.as_deref().and_then(SenderId::new).or_else(|| self.id.as_deref().and_then(SenderId::new))
    }
}

/// What to paste where so that callbacks, or browsers, come to us.
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
    /// Its name for people.
    fn title(&self) -> &'static str {
        self.name()
    }
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// The vendor's own base URL; `None` where every customer has one of their own.
    fn default_base_url(&self) -> Option<&'static str>;
    /// The ways to be let in, the usual one first.
    fn credential_shapes(&self) -> &'static [CredentialShape];
    /// What only accounts at this platform can be told.
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }
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

    /// Asks for the token that the credential must be exchanged for first; `None` where the credential is sent as it is.
    /// Calls in [`Access::sender`]'s name need a token of their own.
    fn token(&self, _access: &Access) -> Option<Result<Call<Token>, Error>> {
        None
    }
    /// Asks which senders the account has whose envelopes its own access may not see (`per_sender`). Gives their e-mail
    /// addresses; `cursor` is [`Page::next`].
    fn senders(&self, _access: &Access, _cursor: Option<&str>) -> Result<Call<Page<String>>, Error> {
        Err(not_offered("senders"))
    }
    /// Asks which callback is registered (`registered_callback`).
    fn registration(&self, _access: &Access) -> Result<Call<Registration>, Error> {
        Err(not_offered("read registration"))
    }
    /// Of what the platform must tell us, in its words; empty where there is no choice.
    fn wanted_events(&self) -> &'static [&'static str] {
        &[]
    }
    /// What we ask for besides and can do without: not every instance of the platform knows it.
    fn optional_events(&self) -> &'static [&'static str] {
        &[]
    }
    /// Registers our callback in place of whatever is there (`register_callback`), and gives what is registered then.
    fn register(
        &self,
        _access: &Access,
        _url: &str,
        _key: Option<&Secret>,
    ) -> Result<Call<Registration>, Error> {
        Err(not_offered("register callback"))
    }
    /// The callbacks in a text that the platform sent to a person because it could not call us (`import_callbacks`). The
    /// error says what is wrong with the text.
    fn undelivered(&self, _text: &[u8]) -> Result<Vec<Inbound>, String> {
        Err("this platform tells nobody what it could not deliver".into())
    }
    /// Asks after how long the platform removes envelopes by itself (`retention`).
    fn retention(&self, _access: &Access) -> Result<Call<Retention>, Error> {
        Err(not_offered("read retention"))
    }
    /// When this envelope is removed after archiving if no rule says so: what can do no harm.
    fn default_dispose(&self, _envelope: &Envelope) -> DisposePolicy {
        DisposePolicy::Never
    }
    /// The bytes to archive in place of a downloaded record, where that holds secrets of the platform; `None` for all else.
    fn redacted(&self, _artifact: &ArtifactRef, _bytes: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// A callback's body for a person to see, where the one that came holds secrets of the platform; `None` for all else.
    fn redacted_body(&self, _inbound: &Inbound) -> Option<Vec<u8>> {
        None
    }

    /// The field of a sender's grant that stands for them alone, if a key can be typed in: the fields to ask for.
    fn key_fields(&self) -> &'static [&'static str] {
        self.credential_shapes().first().map_or(&[], |shape| shape.fields)
    }
    /// Says where a sender consents (`code_grant`); some platforms must be asked for a temporary token first. `access` holds
    /// no secrets.
    fn begin_grant(
        &self,
        _access: &Access,
        _app: &OauthApp,
        _nonces: &Nonces,
    ) -> Result<Next<Departure>, Error> {
        Err(not_offered("begin grant"))
    }
    /// Reads the query with which a browser comes back; `None` if it is nothing of the kind. Hostile input.
    fn read_return(&self, _query: &str) -> Option<Return> {
        None
    }
    /// Exchanges what the browser brought. `state` and `keep` are those of [`Departure`].
    ///
    /// # Errors
    /// [`ErrorKind::AccessRefused`] if the code is not (or no longer) good.
    fn finish_grant(
        &self,
        _access: &Access,
        _app: &OauthApp,
        _state: &Secret,
        _code: &Secret,
        _keep: &Secret,
    ) -> Result<Call<Grant>, Error> {
        Err(not_offered("finish grant"))
    }
    /// Fetches the grant that follows one that ends; `None` where none can. What it gives replaces the whole grant.
    ///
    /// # Errors
    /// [`ErrorKind::AccessRefused`] if the sender must consent again.
    fn renew_grant(
        &self,
        _access: &Access,
        _app: &OauthApp,
        _grant: &Grant,
    ) -> Option<Result<Call<Grant>, Error>> {
        None
    }
    /// The access that a sender's grant gives.
    fn granted(&self, access: &Access, _app: Option<&OauthApp>, grant: &Grant) -> Access {
        access.clone().with_credential(grant.credential.clone())
    }

    /// A draft's id in the one form in which it is asked for; `None` if it cannot be one (`before_send_redirect`).
    fn draft_id(&self, _text: &str) -> Option<String> {
        None
    }
    /// What to set so that browsers come to the page `base` before a draft is sent (`before_send_redirect`): `base` with the
    /// platform's placeholders in the parameters `draft`, `user` and `org`.
    fn before_send_url(&self, _base: &str) -> Option<CallbackUrl> {
        None
    }
    /// A user's id in the one form in which users are compared.
    fn user_id(&self, text: &str) -> String {
        text.trim().to_lowercase()
    }
    /// Asks for a draft; `None` if this access does not see it: foreign, sent, deleted.
    fn fetch_draft(&self, _access: &Access, _draft: &str) -> Result<Call<Option<Draft>>, Error> {
        Err(not_offered("fetch draft"))
    }
    /// Puts our callback URLs into a draft, with the draft's id in each, and our metadata where the customer has none. Twice is
    /// the same as once.
    fn mark_draft(&self, _access: &Access, _draft: &Draft, _marks: &DraftMarks) -> Result<Call<()>, Error> {
        Err(not_offered("mark draft"))
    }
    /// Sends a draft. Twice is **not** the same as once: an error says by its kind whether it was sent for certain not
    /// ([`ErrorKind::Rejected`], [`ErrorKind::Forbidden`], [`ErrorKind::AccessRefused`], [`ErrorKind::NotFound`],
    /// [`ErrorKind::Misconfigured`]) or perhaps (all others).
    fn send_draft(&self, _access: &Access, _draft: &str) -> Result<Call<SentAs>, Error> {
        Err(not_offered("send draft"))
    }
    /// Looks whether a draft was sent, since about `asked_at`, and as what. Changes nothing.
    fn trace_draft(
        &self,
        _access: &Access,
        _draft: &str,
        _asked_at: Timestamp,
    ) -> Result<Call<DraftTrace>, Error> {
        Err(not_offered("trace draft"))
    }
    /// Where a browser goes after its draft was sent; `None` if the platform has no such place.
    fn inbox_url(&self, _access: &Access) -> Option<String> {
        None
    }

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

/// The error of a method that this platform has not.
fn not_offered(operation: &'static str) -> Error {
    Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, operation, "this platform does not offer it")
}
