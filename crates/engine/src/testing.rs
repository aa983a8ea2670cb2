//! A platform, a transport and a clock for this crate's tests: answers are plain text, and every request is remembered.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::callback::{
    CallbackSecrets, IdempotencyKey, Inbound, Interpretation, Meaning, Refusal, RepeatMeans, Reply,
};
use aftersign_core::digest::Digest;
use aftersign_core::draft::{Draft, DraftMarks, DraftTrace, SentAs};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup};
use aftersign_core::grant::{
    ClientAuth, Departure, Grant, GrantKind, Nonces, OauthApp, Return, ReturnAnswer,
};
use aftersign_core::ids::{AccountId, EnvelopeId};
use aftersign_core::platform::{
    ACCESS_TOKEN, Access, Call, CallbackUrl, Capabilities, Credential, CredentialShape, Disposal, Identity,
    Next, Page, Platform, Quota, Registration, Retention, Token, Window,
};
use aftersign_core::proof::TransferProof;
use aftersign_core::rule::{DisposePolicy, PathTemplate, Rule};
use aftersign_core::seams::{Clock, Download, Downloaded, Entropy, Transport};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{PageRequest, SqliteOptions, SqliteStore, Store, TaskRow, VaultKey};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::{Engine, EngineAccount, EngineMetrics, EngineParts};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What stands in files and must not be archived.
pub(crate) const PLATFORM_SECRET: &str = "hunter2";

/// A clock that stands still until it is set.
pub(crate) struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-11-22T12:00:00Z".parse().unwrap())))
    }

    pub(crate) fn pass(&self, span: Duration) {
        let mut now = self.0.lock().unwrap();
        *now += span;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Different bytes every time.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        let digest = Digest::of(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        for (byte, drawn) in buffer.iter_mut().zip(digest.as_bytes().iter().cycle()) {
            *byte = *drawn;
        }
    }
}

type Answers = Box<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// Answers by a function of the line that [`FakeTransport::asked`] shows.
pub(crate) struct FakeTransport {
    answers: Answers,
    asked: Mutex<Vec<String>>,
}

impl FakeTransport {
    pub(crate) fn new(answers: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answers: Box::new(answers), asked: Mutex::default() })
    }

    /// What was asked since the last time, in order: path and query, then who asks (`as SENDER`), with which token (`with TOKEN`)
    /// and by which grant (`by GRANT`), where that is known.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    async fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let mut line = request.uri().path_and_query().unwrap().to_string();
        for (word, name) in [("as", "sender"), ("with", "token"), ("by", "grant")] {
            if let Some(value) = header(name) {
                line.push_str(&format!(" {word} {value}"));
            }
        }
        let (status, body) = (self.answers)(&line);
        self.asked.lock().unwrap().push(line);
        // Others get their turn while a request is under way.
        tokio::task::yield_now().await;
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }
}

#[async_trait]
impl Transport for FakeTransport {
    async fn exchange(&self, _: &AccountId, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        Ok(self.answer(&request).await)
    }

    async fn download(&self, _: &AccountId, request: Request<Bytes>, into: &Path) -> Result<Download, Error> {
        let response = self.answer(&request).await;
        if !response.status().is_success() {
            return Ok(Download::Refused(response));
        }
        let body = response.body().to_vec();
        std::fs::write(into, &body).unwrap();
        Ok(Download::Staged(Downloaded {
            digest: Digest::of(&body),
            bytes: u64::try_from(body.len()).unwrap(),
            head: body.clone(),
            tail: body,
            headers: http::HeaderMap::new(),
        }))
    }
}

/// What a platform can be, for these tests.
#[derive(Clone, Copy, Default)]
pub(crate) struct FakePlatform {
    pub(crate) capabilities: Capabilities,
    /// A token is asked for first.
    pub(crate) tokens: bool,
    /// A sender is named in the request itself.
    pub(crate) names_senders: bool,
}

impl FakePlatform {
    /// One that shows envelopes to their senders alone.
    pub(crate) fn per_sender() -> Self {
        let capabilities = Capabilities { per_sender: true, ..Capabilities::default() };
        Self { capabilities, names_senders: true, ..Self::default() }
    }

    fn request(&self, access: &Access, path: &str) -> Result<Request<Bytes>, Error> {
        let mut builder = Request::builder().uri(format!("{}/{path}", access.base_url));
        if let Some(sender) = access.sender.as_ref().filter(|_| self.names_senders) {
            builder = builder.header("sender", sender);
        }
        match access.credential.field(ACCESS_TOKEN) {
            "" => {}
            token => builder = builder.header("token", token),
        }
        match access.credential.field("grant") {
            "" => {}
            grant => builder = builder.header("grant", grant),
        }
        Ok(builder.body(Bytes::new()).unwrap())
    }

    /// The answer is `GRANT REFRESH SECONDS`; `-` is none.
    fn grant(&self, access: &Access, path: &str) -> Result<Call<Grant>, Error> {
        let read = |response: Response<Bytes>, now: Timestamp| {
            if !response.status().is_success() {
                return Err(refused(&response));
            }
            let text = std::str::from_utf8(response.body()).unwrap();
            let words: Vec<&str> = text.split(' ').collect();
            let word = |index: usize| words.get(index).copied().filter(|word| *word != "-");
            Ok(Next::Done(Grant {
                kind: GrantKind::Consent,
                credential: Credential::new([("grant".to_owned(), Secret::new(words[0]))]),
                refresh_token: word(1).map(Secret::new),
                renew_at: word(2).map(|seconds| now + Duration::from_secs(seconds.parse().unwrap())),
            }))
        };
        Ok(Call::new("fake grant", self.request(access, path)?, read))
    }

    fn call<T>(
        &self,
        access: &Access,
        path: &str,
        read: impl FnOnce(&str) -> T + Send + 'static,
    ) -> Result<Call<T>, Error> {
        let read = |response: Response<Bytes>, _| match response.status().is_success() {
            true => Ok(Next::Done(read(std::str::from_utf8(response.body()).unwrap()))),
            false => Err(refused(&response)),
        };
        Ok(Call::new("fake call", self.request(access, path)?, read))
    }
}

fn refused(response: &Response<Bytes>) -> Error {
    let (kind, remedy) = match response.status().as_u16() {
        401 => (ErrorKind::AccessRefused, Remedy::RenewAccess),
        403 => (ErrorKind::Forbidden, Remedy::AskPerson),
        404 => (ErrorKind::NotFound, Remedy::AskPerson),
        503 => (ErrorKind::Unavailable, Remedy::Retry(None)),
        _ => (ErrorKind::Unavailable, Remedy::AskPerson),
    };
    Error::new(kind, remedy, "fake call", "refused")
}

/// A row `ID STATUS REVISION SENDER`; `-` is none.
fn row(line: &str) -> Envelope {
    let words: Vec<&str> = line.split(' ').collect();
    let word = |index: usize| words.get(index).filter(|word| **word != "-").map(ToString::to_string);
    let status = EnvelopeStatus::parse(words[1]).unwrap();
    Envelope {
        revision: word(2),
        sender: word(3),
        completed_at: Some("2026-11-20T12:00:00Z".parse().unwrap()),
        ..Envelope::new(EnvelopeId::new(words[0]), status, words[1])
    }
}

impl Platform for FakePlatform {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
    fn default_base_url(&self) -> Option<&'static str> {
        None
    }
    fn credential_shapes(&self) -> &'static [CredentialShape] {
        const { &[CredentialShape::of(&[])] }
    }
    fn callback_key_field(&self) -> Option<&'static str> {
        None
    }
    fn channels(&self) -> &'static [&'static str] {
        &[]
    }
    fn callback_urls(&self, _: &str) -> Vec<CallbackUrl> {
        Vec::new()
    }
    fn body_bytes_max(&self) -> usize {
        1
    }
    fn quota(&self) -> Quota {
        Quota { calls_per_minute: 1, downloads_per_minute: 1, concurrency: 1 }
    }
    fn authenticate(&self, _: &Inbound, _: &CallbackSecrets) -> Result<(), Refusal> {
        Ok(())
    }
    /// What holds the platform's secret is not understood, and the reason quotes it.
    fn interpret(&self, inbound: &Inbound) -> Interpretation {
        Interpretation {
            key: IdempotencyKey::new(None, &[&inbound.body]),
            repeat_means: RepeatMeans::Nothing,
            kind: None,
            envelope: None,
            meaning: match std::str::from_utf8(&inbound.body) {
                Ok(text) if text.contains(PLATFORM_SECRET) => {
                    Meaning::Quarantined(format!("not understood: {text}"))
                }
                _ => Meaning::Understood(Vec::new()),
            },
        }
    }
    fn acknowledge(&self, _: &Inbound) -> Reply {
        Reply::ok("ok")
    }
    /// The answer is `TOKEN SECONDS`: how long it may be used.
    fn token(&self, access: &Access) -> Option<Result<Call<Token>, Error>> {
        let path = format!("token?of={}", access.sender.as_deref().unwrap_or("account"));
        let request = self.request(access, &path);
        let read = |response: Response<Bytes>, now: Timestamp| {
            if !response.status().is_success() {
                return Err(refused(&response));
            }
            let (token, seconds) = std::str::from_utf8(response.body()).unwrap().split_once(' ').unwrap();
            let renew_at = now + Duration::from_secs(seconds.parse().unwrap());
            Ok(Next::Done(Token { secret: Secret::new(token), renew_at }))
        };
        self.tokens.then(|| Ok(Call::new("fake token", request?, read)))
    }
    /// The answer has a sender per line; `more` says that there is another page.
    fn senders(&self, access: &Access, cursor: Option<&str>) -> Result<Call<Page<String>>, Error> {
        let path = cursor.map_or_else(|| "senders".into(), |cursor| format!("senders?from={cursor}"));
        self.call(access, &path, |text| {
            let (more, items): (Vec<_>, Vec<_>) = text.lines().partition(|line| *line == "more");
            let next = more.first().map(|line| (*line).to_owned());
            Page { items: items.into_iter().map(Into::into).collect(), next }
        })
    }
    /// The answer's first line is the URL; events follow.
    fn registration(&self, access: &Access) -> Result<Call<Registration>, Error> {
        self.call(access, "registration", |text| {
            let mut lines = text.lines().map(ToOwned::to_owned);
            Registration { url: lines.next(), events: lines.collect() }
        })
    }
    fn wanted_events(&self) -> &'static [&'static str] {
        &["COMPLETE", "DECLINE"]
    }
    /// The answer is the number of days for completed envelopes.
    fn retention(&self, access: &Access) -> Result<Call<Retention>, Error> {
        self.call(access, "retention", |text| Retention {
            days: vec![(EnvelopeStatus::Completed, text.parse().unwrap())],
        })
    }
    fn default_dispose(&self, _: &Envelope) -> DisposePolicy {
        DisposePolicy::AfterExtension
    }
    fn redacted(&self, artifact: &ArtifactRef, bytes: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let holds_secret = artifact.kind == ArtifactKind::PlatformRecord && text.contains(PLATFORM_SECRET);
        holds_secret.then(|| text.replace(PLATFORM_SECRET, "redacted").into_bytes())
    }
    fn key_fields(&self) -> &'static [&'static str] {
        &["grant"]
    }
    fn begin_grant(&self, _: &Access, _: &OauthApp, nonces: &Nonces) -> Result<Next<Departure>, Error> {
        let url = format!("https://platform.example/consent?state={}", nonces.state.expose());
        Ok(Next::Done(Departure { url, state: nonces.state.clone(), keep: nonces.verifier.clone() }))
    }
    /// `state=STATE&code=CODE`, or `state=STATE&denied=`.
    fn read_return(&self, query: &str) -> Option<Return> {
        let (state, answer) = query.strip_prefix("state=")?.split_once('&')?;
        let answer = match answer.split_once('=')? {
            ("code", code) => ReturnAnswer::Granted(Secret::new(code)),
            _ => ReturnAnswer::Denied,
        };
        Some(Return { state: Secret::new(state), answer })
    }
    fn finish_grant(
        &self,
        access: &Access,
        _: &OauthApp,
        _: &Secret,
        code: &Secret,
        keep: &Secret,
    ) -> Result<Call<Grant>, Error> {
        assert!(!keep.is_empty(), "the verifier was kept");
        self.grant(access, &format!("exchange?code={}", code.expose()))
    }
    fn renew_grant(
        &self,
        access: &Access,
        _: &OauthApp,
        grant: &Grant,
    ) -> Option<Result<Call<Grant>, Error>> {
        let refresh = grant.refresh_token.as_ref()?;
        Some(self.grant(access, &format!("renew?refresh={}", refresh.expose())))
    }
    fn draft_id(&self, text: &str) -> Option<String> {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric())
            .then(|| text.to_lowercase())
            .filter(|id| !id.is_empty())
    }
    /// The answer is its name, or `none`.
    fn fetch_draft(&self, access: &Access, draft: &str) -> Result<Call<Option<Draft>>, Error> {
        let id = draft.to_owned();
        self.call(access, &format!("draft/{draft}"), |text| {
            (text != "none").then(|| Draft { id, name: Some(text.into()), metadata: None })
        })
    }
    fn mark_draft(&self, access: &Access, draft: &Draft, marks: &DraftMarks) -> Result<Call<()>, Error> {
        let secret = aftersign_core::callback::draft_secret(&Secret::new("secret"), &draft.id);
        let root = "https://sign.example.com/callbacks/hr/";
        assert_eq!(marks.callback_base, format!("{root}{}", secret.expose()));
        self.call(access, &format!("mark/{}", draft.id), |_| ())
    }
    /// The answer has an envelope per word.
    fn send_draft(&self, access: &Access, draft: &str) -> Result<Call<SentAs>, Error> {
        self.call(access, &format!("send/{draft}"), |text| text.split(' ').map(EnvelopeId::new).collect())
    }
    /// The answer is `draft`, `gone`, or what it was sent as.
    fn trace_draft(&self, access: &Access, draft: &str, _: Timestamp) -> Result<Call<DraftTrace>, Error> {
        self.call(access, &format!("trace/{draft}"), |text| match text {
            "draft" => DraftTrace::StillDraft,
            "gone" => DraftTrace::Gone,
            sent => DraftTrace::Sent(sent.split(' ').map(EnvelopeId::new).collect()),
        })
    }
    fn inbox_url(&self, access: &Access) -> Option<String> {
        Some(format!("{}/inbox", access.base_url))
    }
    /// The answer is `ID EMAIL`, or a name.
    fn whoami(&self, access: &Access) -> Result<Call<Identity>, Error> {
        self.call(access, "whoami", |text| match text.split_once(' ') {
            Some((id, email)) => {
                Identity { name: email.into(), id: Some(id.into()), email: Some(email.into()) }
            }
            None => Identity::named(text),
        })
    }
    /// The answer is a row, or `none`.
    fn fetch_envelope(&self, access: &Access, id: &EnvelopeId) -> Result<Call<Lookup>, Error> {
        self.call(access, &format!("envelope/{id}"), |text| match text {
            "none" => Lookup::NotFound,
            line => Lookup::Found(Box::new(row(line))),
        })
    }
    fn list_artifacts(&self, access: &Access, envelope: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
        self.call(access, &format!("artifacts/{}", envelope.id), |text| vec![record(text, Content::Json)])
    }
    fn download(
        &self,
        access: &Access,
        _: &Envelope,
        artifact: &ArtifactRef,
    ) -> Result<Request<Bytes>, Error> {
        self.request(access, &format!("file/{}", artifact.id))
    }
    fn refused_download(&self, response: &Response<Bytes>) -> Error {
        refused(response)
    }
    /// The answer has a row per line.
    fn changed_since(&self, access: &Access, _: &Window) -> Result<Call<Page<Envelope>>, Error> {
        self.call(access, "list", |text| Page { items: text.lines().map(row).collect(), next: None })
    }
    fn dispose(&self, access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
        self.call(access, &format!("dispose/{}", proof.envelope_id()), |_| Disposal::Removed)
    }
}

/// A record of the platform's own.
pub(crate) fn record(id: &str, content: Content) -> ArtifactRef {
    ArtifactRef { id: id.into(), kind: ArtifactKind::PlatformRecord, name: id.into(), content }
}

/// The access of the one account.
pub(crate) fn access() -> Access {
    Access {
        account: AccountId::new("hr"),
        base_url: "https://platform.example".into(),
        credential: Credential::new([("key".to_owned(), Secret::new("own"))]),
        options: BTreeMap::new(),
        sender: None,
    }
}

/// The application under which senders of the one account consent.
pub(crate) fn oauth() -> OauthApp {
    OauthApp {
        client_id: "client".into(),
        client_secret: Secret::new("client secret"),
        authorize_url: None,
        token_url: None,
        redirect_uri: "https://sign.example.com/consent/hr/return".into(),
        scope: None,
        client_auth: ClientAuth::Post,
        pkce: false,
    }
}

/// An engine with one account, over a real store in a folder of its own.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) account: EngineAccount,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(platform: FakePlatform, transport: Arc<FakeTransport>) -> Self {
        Self::with(platform, transport, |_| {})
    }

    /// With what else the account is told.
    pub(crate) fn with(
        platform: FakePlatform,
        transport: Arc<FakeTransport>,
        tell: impl FnOnce(&mut EngineAccount),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, entropy) = (FakeClock::new(), Arc::new(Counter(AtomicU64::new(0))));
        let key = VaultKey { id: "first".into(), key: [7; 32].into() };
        let options = SqliteOptions::new(folder.path().join("store.db"), entropy.clone());
        let store = SqliteStore::open(SqliteOptions { vault_keys: vec![key], ..options }).unwrap();
        let mut account = EngineAccount {
            platform: Box::leak(Box::new(platform)),
            access: access(),
            reconcile_every: DAY,
            callback_urls: Vec::new(),
            callback_root: "https://sign.example.com/callbacks/hr/".into(),
            path_secret: Secret::new("secret"),
            retention_days: None,
            oauth: None,
            search_senders: false,
            senders: Vec::new(),
        };
        tell(&mut account);
        let everything = Rule {
            account: "*".into(),
            when: EnvelopeStatus::ALL.into(),
            deliver_to: Vec::new(),
            path: PathTemplate::parse("{envelope_id}").unwrap(),
            dispose: None,
        };
        let engine = Engine::new(EngineParts {
            accounts: vec![account.clone()],
            rules: vec![everything],
            destinations: Vec::new(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            transport,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy,
            staging_dir: folder.path().join("staging"),
            node: "node".into(),
            time_scale: 1.0,
            workers_per_account: 1,
            metrics: EngineMetrics::default(),
            public_url: "https://sign.example.com".into(),
            mail: None,
        });
        Self { engine: engine.unwrap(), account, store, clock, folder }
    }

    pub(crate) async fn open_tasks(&self) -> Vec<TaskRow> {
        use aftersign_store::Board;
        let page = PageRequest { cursor: None, limit: 10 };
        self.store.tasks(Some(true), &page).await.unwrap().rows
    }
}
