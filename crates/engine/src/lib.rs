//! The engine: what happens after a callback was noted.
//!
//! The projector turns noted callbacks into news about envelopes; workers carry each envelope's transfer step by
//! step; sweeps find what no callback announced, and a watchdog looks whether callbacks still come to us. Projector,
//! workers and sweeps look at the store's state and act; the store's commit signal only makes them look sooner. What
//! a step decides is core's; what is done is here: the only HTTP client towards platforms, the staging folder, the
//! archive.
#![forbid(unsafe_code)]

mod behalf;
mod caller;
mod consent;
mod content;
mod drafts;
mod grants;
pub mod limits;
mod mail;
mod manifest;
mod metrics;
mod projector;
mod refusals;
mod retention;
mod staging;
mod steps;
mod sweep;
#[cfg(test)]
mod testing;
mod transport;
mod watchdog;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::backoff::Pace;
use aftersign_core::grant::OauthApp;
use aftersign_core::ids::SenderId;
use aftersign_core::platform::{Access, Credential, Platform};
use aftersign_core::rule::Rule;
use aftersign_core::seams::{Clock, Destination, Entropy, Transport};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, Timestamp};
use aftersign_store::{Store, Worker};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use caller::Caller;
pub use consent::{Desk, SealedKey};
pub use mail::{MailDesk, MailMetrics, SmtpConfig, SmtpMailer, Templates, send_test};
pub use metrics::EngineMetrics;
pub use sweep::{SweepProgress, SweepReport};
pub use transport::HttpTransport;

use consent::Strangers;
use grants::Renewals;
use refusals::Refusals;
use staging::Staging;

/// One account as the engine needs it.
#[derive(Clone)]
pub struct EngineAccount {
    /// Its platform.
    pub platform: &'static dyn Platform,
    /// With what and where the platform is called.
    pub access: Access,
    /// Time between two sweeps.
    pub reconcile_every: Duration,
    /// The URLs of ours that may be registered at the platform: those of every path secret. They hold it.
    pub callback_urls: Vec<String>,
    /// What each of them begins with, up to the path secret: `{public_url}/callbacks/{account}/`.
    pub callback_root: String,
    /// The current path secret: what those that we put into drafts are derived from.
    pub path_secret: Secret,
    /// Days after which the platform removes what has ended; outranks what the platform itself tells.
    pub retention_days: Option<u32>,
    /// The application under which senders are asked for consent.
    pub oauth: Option<OauthApp>,
    /// Envelopes of which nobody knows who sent them are asked for with every sender's grant in turn.
    pub search_senders: bool,
    /// From whom it takes access: addresses, or `*@` and a domain, in lower case; empty for everybody who can consent.
    pub senders: Vec<String>,
}

impl EngineAccount {
    /// Whether it has a credential of its own, and not only what senders granted.
    fn has_own_access(&self) -> bool {
        !self.access.credential.is_empty()
    }

    /// Whether it takes access from this sender.
    fn names(&self, sender: &SenderId) -> bool {
        let fits = |pattern: &String| match pattern.strip_prefix('*') {
            Some(domain) => sender.as_str().ends_with(domain),
            None => sender.as_str() == pattern,
        };
        self.senders.is_empty() || self.senders.iter().any(fits)
    }

    /// Where the platform is, without any secret.
    fn bare_access(&self) -> Access {
        self.access.clone().with_credential(Credential::default())
    }
}

/// What the engine works with.
pub struct EngineParts {
    /// The accounts.
    pub accounts: Vec<EngineAccount>,
    /// The rules, first match wins.
    pub rules: Vec<Rule>,
    /// The destinations that rules name.
    pub destinations: Vec<Arc<dyn Destination>>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The HTTP client towards platforms.
    pub transport: Arc<dyn Transport>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Folder for downloads on their way.
    pub staging_dir: PathBuf,
    /// This node's name, unique among nodes on one store.
    pub node: String,
    /// Divides every wait of ours.
    pub time_scale: f64,
    /// Transfers carried at once, per account; requests at once are bounded by the platform's quota.
    pub workers_per_account: usize,
    /// Where steps are counted.
    pub metrics: EngineMetrics,
    /// The URL under which browsers reach our pages, without trailing slash.
    pub public_url: String,
    /// How people are written to; `None` if they are not.
    pub mail: Option<MailDesk>,
}

/// The engine of one process.
pub struct Engine {
    accounts: Vec<EngineAccount>,
    rules: Vec<Rule>,
    destinations: Vec<Arc<dyn Destination>>,
    store: Arc<dyn Store>,
    caller: Arc<Caller>,
    refusals: Refusals,
    /// OAuth applications that do not work.
    applications: Refusals,
    /// What must not be broken off when whoever asked for it goes away.
    tasks: TaskTracker,
    renewals: Renewals,
    strangers: Strangers,
    public_url: String,
    mail: Option<Arc<MailDesk>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    staging: Staging,
    worker: Worker,
    time_scale: f64,
    workers_per_account: usize,
    metrics: EngineMetrics,
}

impl Engine {
    /// Puts the parts together. Makes the staging folder.
    ///
    /// # Errors
    /// [`aftersign_core::ErrorKind::Storage`] if the staging folder cannot be made.
    pub fn new(parts: EngineParts) -> Result<Arc<Self>, Error> {
        let mut boot = [0u8; 8];
        parts.entropy.fill(&mut boot);
        let boot = aftersign_core::digest::encode_hex(&boot);
        Ok(Arc::new(Self {
            accounts: parts.accounts,
            rules: parts.rules,
            destinations: parts.destinations,
            store: parts.store,
            caller: Arc::new(Caller::new(parts.transport, Arc::clone(&parts.clock))),
            refusals: Refusals::default(),
            applications: Refusals::default(),
            tasks: TaskTracker::new(),
            renewals: Renewals::default(),
            strangers: Strangers::default(),
            public_url: parts.public_url,
            mail: parts.mail.map(Arc::new),
            clock: parts.clock,
            entropy: parts.entropy,
            staging: Staging::open(parts.staging_dir)?,
            worker: Worker { node: parts.node, boot },
            time_scale: parts.time_scale,
            workers_per_account: parts.workers_per_account.max(1),
            metrics: parts.metrics,
        }))
    }

    /// Works until `shutdown`; then lets running steps end, within [`limits::SHUTDOWN_WAIT`].
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        self.rescue().await;
        self.sweep_staging().await;
        let mut loops = JoinSet::new();
        self.supervise(&mut loops, &shutdown, |engine, stop| engine.run_projector(stop));
        self.supervise(&mut loops, &shutdown, |engine, stop| engine.run_rescue(stop));
        self.supervise(&mut loops, &shutdown, |engine, stop| engine.run_drafts(stop));
        if let Some(desk) = self.mail.clone() {
            self.supervise(&mut loops, &shutdown, move |engine, stop| {
                engine.run_mail(Arc::clone(&desk), stop)
            });
        }
        for account in self.accounts.clone() {
            let sweeps = account.platform.capabilities().list_changes.then(|| account.clone());
            let watched = account.is_watched().then(|| account.clone());
            self.supervise(&mut loops, &shutdown, move |engine, stop| {
                engine.run_account(account.clone(), stop)
            });
            if let Some(account) = sweeps {
                self.supervise(&mut loops, &shutdown, move |engine, stop| {
                    engine.run_sweeps(account.clone(), stop)
                });
            }
            if let Some(account) = watched {
                self.supervise(&mut loops, &shutdown, move |engine, stop| {
                    engine.run_watchdog(account.clone(), stop)
                });
            }
        }
        shutdown.cancelled().await;
        self.tasks.close();
        let ended = tokio::time::timeout(limits::SHUTDOWN_WAIT, async {
            loops.join_all().await;
            self.tasks.wait().await;
        })
        .await;
        if ended.is_err() {
            tracing::warn!("the engine did not come to rest in time; leases tell others where to go on");
        }
    }

    /// Runs a loop until shutdown, and starts it again when it breaks off: a server that acknowledges and no
    /// longer works would be worse than none.
    fn supervise<F>(
        self: &Arc<Self>,
        loops: &mut JoinSet<()>,
        shutdown: &CancellationToken,
        start: impl Fn(Arc<Self>, CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (engine, shutdown) = (Arc::clone(self), shutdown.clone());
        loops.spawn(async move {
            while !shutdown.is_cancelled() {
                let run = tokio::spawn(start(Arc::clone(&engine), shutdown.clone()));
                if let Err(error) = run.await {
                    tracing::error!(%error, "a loop of the engine broke off and is started again");
                    rest(limits::STORE_PAUSE, &shutdown).await;
                }
            }
        });
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Our pace with fresh jitter.
    fn pace(&self) -> Pace {
        let mut seed = [0u8; 8];
        self.entropy.fill(&mut seed);
        Pace { time_scale: self.time_scale, seed: u64::from_le_bytes(seed) }
    }

    async fn run_rescue(self: Arc<Self>, shutdown: CancellationToken) {
        while !rest(limits::RESCUE_EVERY, &shutdown).await {
            self.rescue().await;
        }
    }

    async fn rescue(&self) {
        match self.store.rescue(&self.worker, self.now()).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "rescued transfers whose worker was gone"),
            Err(error) => tracing::warn!(%error, "cannot look for leases of dead workers"),
        }
    }
}

/// Waits; `true` when it is time to stop.
async fn rest(wait: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => true,
        () = tokio::time::sleep(wait) => shutdown.is_cancelled(),
    }
}
