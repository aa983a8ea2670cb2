//! The handle that callers hold: starting and ending a world, opening accounts, writing lives, and reading the ledger.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Pace;
use crate::config::{AccountSpec, SandboxConfig, SandboxError, Vendor};
use crate::dropbox_sign;
use crate::esignanywhere::Draft;
use crate::faults::FaultPlan;
use crate::ledger::{CallbackTally, DeletedBy, Ledger, Mail, Outcome, Progress};
use crate::life::{self, Origin};
use crate::onespan;
use crate::people::{Owner, People};
use crate::script::{EnvelopeScript, Trouble, batch};
use crate::sender;
use crate::server;
use crate::world::{Account, Envelope, RecordDraft, State, World};

/// The end of a world takes at most this long.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// A running world. Clones are handles to the same world; it ends with [`Sandbox::stop`].
#[derive(Clone)]
pub struct Sandbox {
    world: Arc<World>,
    addr: SocketAddr,
    config: Arc<SandboxConfig>,
}

impl Sandbox {
    /// Starts a world: it listens when this returns. Must be called within a tokio runtime, which the world then uses.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the configuration makes no sense.
    pub async fn start(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
        let pace =
            Pace::new(config.time_scale).ok_or(SandboxError::TimeScale { given: config.time_scale })?;
        let listener = TcpListener::bind(config.listen).await.map_err(|source| {
            if source.kind() == std::io::ErrorKind::AddrInUse {
                SandboxError::AddressInUse { addr: config.listen }
            } else {
                SandboxError::Listen { addr: config.listen, source }
            }
        })?;
        let addr =
            listener.local_addr().map_err(|source| SandboxError::Listen { addr: config.listen, source })?;
        // Callbacks go where they are told: no proxy from the environment, no redirects.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| SandboxError::Client { source })?;
        let world = Arc::new(World {
            seed: config.seed,
            lossy: config.faults.rate(),
            pace,
            origin: origin(addr),
            clear_callback_url: config.clear_callback_url,
            extension_after_days: config.extension_after_days,
            extend_flows: config.extend_flows,
            witness: config.disposal_witness.clone(),
            http,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            changed: watch::Sender::new(()),
            state: Mutex::new(State::new(config.seed, FaultPlan::new(config.seed, config.faults))),
        });
        world.tasks.spawn(server::serve(Arc::clone(&world), listener));
        Ok(Sandbox { world, addr, config: Arc::new(config) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL of a platform, as an account's `base_url`.
    pub fn base_url(&self, vendor: Vendor) -> String {
        match vendor {
            Vendor::DropboxSign => format!("{}/dropbox-sign/v3", self.world.origin),
            Vendor::ESignAnyWhere => format!("{}/esignanywhere", self.world.origin),
            Vendor::OneSpan => format!("{}/onespan", self.world.origin),
            Vendor::Scrive | Vendor::ScriveFlow => format!("{}/scrive", self.world.origin),
        }
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// How this world was configured.
    pub fn config(&self) -> &SandboxConfig {
        &self.config
    }

    /// Where a browser is sent to grant an application access: below the same origin as the API. Nothing answers there for
    /// OneSpan Sign.
    pub fn authorize_url(&self, vendor: Vendor) -> String {
        format!("{}{}", self.world.origin, oauth_paths(vendor)[0])
    }

    /// Where an application gets tokens. Scrive's temporary credentials are beside it, at `temporarycredentials`.
    pub fn token_url(&self, vendor: Vendor) -> String {
        format!("{}{}", self.world.origin, oauth_paths(vendor)[1])
    }

    /// Opens an account, or changes the key and the callback URL of an open one.
    pub fn open_account(&self, account: AccountSpec) {
        open_account(&self.world, account);
    }

    /// Has `count` envelopes sent from an account: their lives are written from the seed and unfold by themselves.
    ///
    /// # Panics
    /// If the account was not opened.
    pub fn send_envelopes(&self, account_id: &str, count: usize) {
        assert!(
            send_envelopes(&self.world, account_id, count, None),
            "the account `{account_id}` was not opened in the sandbox"
        );
    }

    /// Creates one envelope at once and gives its id. Unless it is on hold, its life unfolds by itself;
    /// `start_after_minutes` is ignored.
    ///
    /// # Panics
    /// If the account was not opened, or the script has no signer or no document.
    pub fn create_envelope(&self, account_id: &str, script: EnvelopeScript) -> String {
        let created = create_envelope(&self.world, account_id, script, Origin::default());
        created.unwrap_or_else(|| panic!("the account `{account_id}` was not opened in the sandbox"))
    }

    /// The missing signers sign, and the envelope is completed.
    pub fn complete(&self, id: &str) {
        life::finish(&self.world, id, Outcome::Completed);
    }

    /// The next signer signs; the last signature does not complete the envelope by itself.
    pub fn sign_next(&self, id: &str) {
        life::sign_next(&self.world, id);
    }

    /// Something gets in the way of the next signer (OneSpan Sign; Scrive knows the bounce only); it is settled by the time
    /// they act.
    pub fn trouble(&self, id: &str, trouble: Trouble) {
        life::trouble(&self.world, id, trouble);
    }

    /// Creates a template (OneSpan Sign) and gives its id. It is no envelope: the ledger does not list it.
    ///
    /// # Panics
    /// If the account was not opened.
    pub fn create_template(&self, account_id: &str, name: &str) -> String {
        onespan::create_template(&self.world, account_id, name)
            .unwrap_or_else(|| panic!("the account `{account_id}` was not opened in the sandbox"))
    }

    /// The next signer declines.
    pub fn decline(&self, id: &str) {
        life::finish(&self.world, id, Outcome::Declined);
    }

    /// The sender cancels. OneSpan Sign has no such thing: there the sender moves the sent package to the trash.
    pub fn cancel(&self, id: &str) {
        life::finish(&self.world, id, Outcome::Cancelled);
    }

    /// The envelope's time runs out.
    pub fn expire(&self, id: &str) {
        life::finish(&self.world, id, Outcome::Expired);
    }

    /// Somebody else removes the envelope: a user, a retention job. Only OneSpan Sign announces it. There it also ends what
    /// lies in the trash; what a client has put there stays the client's removal in the ledger.
    pub fn delete_as_other(&self, id: &str) {
        life::delete_as_other(&self.world, id);
    }

    /// Sends the callbacks of an envelope's end once more, as a person can do at eSignAnyWhere. Nothing at OneSpan Sign,
    /// which only mails what it could not deliver.
    pub fn announce_again(&self, id: &str) {
        life::announce_again(&self.world, id);
    }

    /// Sends the callback of Dropbox Sign's test button; nothing for other platforms' accounts.
    pub fn send_callback_test(&self, account_id: &str) {
        let callback = self.world.look(|s| {
            s.accounts
                .get(account_id)
                .filter(|account| {
                    account.spec.vendor == Vendor::DropboxSign && account.callback_url.is_some()
                })
                .map(|account| dropbox_sign::callback_test(&self.world, account))
        });
        sender::dispatch(&self.world, callback.into_iter().collect());
    }

    /// The e-mails sent so far because a callback failed, in the order of failure (OneSpan Sign).
    pub fn mails(&self) -> Vec<Mail> {
        self.world.look(|s| s.mails.clone())
    }

    /// Where the world stands.
    pub fn progress(&self) -> Progress {
        progress(&self.world)
    }

    /// How many callbacks are still to be sent or to be tried again; given-up ones are not.
    pub fn pending_callbacks(&self) -> usize {
        self.world.look(|s| s.pending_callbacks)
    }

    /// Resolves when every life that unfolds by itself has ended, nothing that follows from it is under way or still to come
    /// (as the extension of a seal), and no callback is pending. Envelopes on hold are not waited for.
    pub async fn lives_ended(&self) {
        let mut changed = self.world.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if self.world.look(|s| s.jobs == 0 && s.pending_callbacks == 0) {
                return;
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Resolves when something has changed since the call; for waiting on the ledger without asking all the time.
    pub async fn changed(&self) {
        let mut changed = self.world.changed.subscribe();
        drop(changed.changed().await);
    }

    /// A snapshot of the ledger. The first call after an envelope's end may digest its files: off an async thread if large.
    pub fn ledger(&self) -> Ledger {
        ledger(&self.world)
    }

    /// Ends the world: no more callbacks, no more answers. Bounded; open exchanges get a moment to finish.
    pub async fn stop(self) {
        self.world.stopping.cancel();
        self.world.tasks.close();
        if tokio::time::timeout(STOP_WAIT_MAX, self.world.tasks.wait()).await.is_err() {
            tracing::warn!("the sandbox did not end in time; what remains is left behind");
        }
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl State {
    fn new(seed: u64, plan: FaultPlan) -> State {
        State {
            accounts: std::collections::BTreeMap::new(),
            envelopes: Vec::new(),
            by_id: std::collections::HashMap::new(),
            by_file: std::collections::HashMap::new(),
            tally: CallbackTally::default(),
            faults: std::collections::BTreeMap::new(),
            plan,
            jobs: 0,
            pending_callbacks: 0,
            planned: 0,
            downloads: 0,
            templates: Vec::new(),
            templates_touched: 0,
            mails: Vec::new(),
            people: People::new(seed),
            drafts: Vec::new(),
        }
    }
}

/// The paths of the authorisation and of the token endpoint.
fn oauth_paths(vendor: Vendor) -> [&'static str; 2] {
    match vendor {
        Vendor::DropboxSign => ["/dropbox-sign/oauth/authorize", "/dropbox-sign/oauth/token"],
        Vendor::ESignAnyWhere => ["/esignanywhere/Auth/Authorize", "/esignanywhere/ApiToken/Retrieve"],
        Vendor::OneSpan => ["/onespan/oauth2/authorize", "/onespan/oauth2/token"],
        Vendor::Scrive | Vendor::ScriveFlow => {
            ["/scrive/oauth/authorization", "/scrive/oauth/tokencredentials"]
        }
    }
}

/// Where clients on this machine reach the world.
fn origin(addr: SocketAddr) -> String {
    if addr.ip().is_unspecified() {
        return format!("http://127.0.0.1:{}", addr.port());
    }
    format!("http://{addr}")
}

pub(crate) fn open_account(world: &World, spec: AccountSpec) {
    world.change(|s| {
        let next_index = s.accounts.get(&spec.id).map_or(0, |account| account.next_index);
        let account = Account { next_index, ..Account::new(spec) };
        s.accounts.insert(account.spec.id.clone(), account);
    });
}

/// Reserves numbers for envelopes; `None` if there is no such account.
fn reserve(world: &World, account_id: &str, count: usize) -> Option<(Vendor, u64)> {
    world.change(|s| {
        let account = s.accounts.get_mut(account_id)?;
        let first = account.next_index;
        account.next_index += count as u64;
        let vendor = account.spec.vendor;
        s.planned += count as u64;
        Some((vendor, first))
    })
}

/// Creates one envelope; `None` if there is no such account. An owner is its sender.
///
/// # Panics
/// If the script has no signer or no document.
pub(crate) fn create_envelope(
    world: &Arc<World>,
    account_id: &str,
    script: EnvelopeScript,
    origin: Origin,
) -> Option<String> {
    assert!(
        !script.signers.is_empty() && !script.documents.is_empty(),
        "a script needs a signer and a document"
    );
    let script = sent_by(script, origin.owner.as_ref());
    let (_, index) = reserve(world, account_id, 1)?;
    life::begin(world, account_id, index, script, origin)
}

fn sent_by(script: EnvelopeScript, owner: Option<&Owner>) -> EnvelopeScript {
    let sender = owner.map_or_else(|| script.sender.clone(), |owner| owner.email.clone());
    EnvelopeScript { sender, ..script }
}

/// `false` if there is no such account.
pub(crate) fn send_envelopes(
    world: &Arc<World>,
    account_id: &str,
    count: usize,
    owner: Option<Owner>,
) -> bool {
    let Some((vendor, first)) = reserve(world, account_id, count) else { return false };
    let profile = world.look(|s| s.plan.profile());
    for (index, script) in (first..).zip(batch(world.seed, profile, vendor, account_id, first, count)) {
        let origin = Origin { owner: owner.clone(), ..Origin::default() };
        let script = sent_by(script, owner.as_ref());
        let life = life::live(Arc::clone(world), account_id.to_owned(), index, script, origin);
        world.spawn_job(life);
    }
    if vendor == Vendor::OneSpan {
        onespan::create_template(world, account_id, "Standard contract");
    }
    true
}

pub(crate) fn progress(world: &World) -> Progress {
    world.look(|s| Progress {
        planned: s.planned,
        created: s.envelopes.len() as u64,
        finished: s.envelopes.iter().filter(|e| e.outcome != Outcome::InProgress).count() as u64,
        callbacks_sent: s.tally.sent,
        callbacks_acknowledged: s.tally.acknowledged,
        callbacks_pending: s.pending_callbacks as u64,
        downloads_served: s.downloads,
        disposed: s
            .envelopes
            .iter()
            .filter(|e| e.deleted.as_ref().is_some_and(|deletion| deletion.by == DeletedBy::Client))
            .count() as u64,
    })
}

/// Blocking work if artifacts were not digested yet.
pub(crate) fn ledger(world: &World) -> Ledger {
    let (envelopes, rest) = world.look(|s| {
        let envelopes: Vec<RecordDraft> = s.envelopes.iter().map(Envelope::record).collect();
        let rest = Ledger {
            envelopes: Vec::new(),
            callbacks: s.tally,
            faults: s.faults.clone(),
            templates_touched: s.templates_touched,
            users: s.people.records(),
            drafts: s.drafts.iter().map(Draft::record).collect(),
        };
        (envelopes, rest)
    });
    Ledger { envelopes: envelopes.into_iter().map(RecordDraft::finish).collect(), ..rest }
}
