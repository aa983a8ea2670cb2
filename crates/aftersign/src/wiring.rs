//! Puts the parts together: the only place where config, store, destinations, platforms and engine meet.

use std::sync::Arc;

use aftersign_core::Error;
use aftersign_core::ids::AccountId;
use aftersign_core::seams::{Destination, Transport};
use aftersign_destinations::Filesystem;
use aftersign_engine::{Engine, EngineAccount, EngineMetrics, EngineParts, HttpTransport};
use aftersign_intake::IntakeAccount;
use aftersign_store::Store;

use crate::config::{AccountSettings, DestinationSettings, DestinationSettingsKind, Settings};
use crate::system::{SystemClock, SystemEntropy};

/// The HTTP client towards the platforms of the configured accounts.
pub(crate) fn transport(settings: &Settings) -> Result<Arc<dyn Transport>, Error> {
    let quotas = settings.accounts.iter().map(|account| (account.id().clone(), account.platform.quota()));
    Ok(HttpTransport::new(quotas, settings.time_scale)?)
}

/// One configured destination.
pub(crate) fn destination(settings: &DestinationSettings) -> Result<Arc<dyn Destination>, Error> {
    match &settings.kind {
        DestinationSettingsKind::Filesystem { root } => {
            Ok(Arc::new(Filesystem::open(settings.id.clone(), root.clone())?))
        }
    }
}

/// The engine over an open store.
pub(crate) fn engine(
    settings: &Settings,
    store: Arc<dyn Store>,
    metrics: EngineMetrics,
) -> Result<Arc<Engine>, Error> {
    let accounts = settings.accounts.iter().map(|account| EngineAccount {
        platform: account.platform,
        access: account.access.clone(),
        reconcile_every: account.reconcile_every,
        callback_urls: account
            .callback_urls(&settings.public_url)
            .into_iter()
            .flatten()
            .map(|callback| callback.url)
            .collect(),
        callback_root: account.callback_root(&settings.public_url),
        retention_days: account.retention_days,
    });
    Engine::new(EngineParts {
        accounts: accounts.collect(),
        rules: settings.rules.clone(),
        destinations: settings.destinations.iter().map(destination).collect::<Result<_, _>>()?,
        store,
        transport: transport(settings)?,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        staging_dir: settings.staging_dir.clone(),
        node: settings.node.clone(),
        time_scale: settings.time_scale,
        workers_per_account: settings.workers,
        metrics,
    })
}

/// The accounts as the front door sees them.
pub(crate) fn intake_accounts(settings: &Settings) -> Vec<IntakeAccount> {
    settings.accounts.iter().map(intake_account).collect()
}

/// One account as the front door sees it.
pub(crate) fn intake_account(account: &AccountSettings) -> IntakeAccount {
    IntakeAccount {
        id: AccountId::clone(account.id()),
        platform: account.platform,
        path_secrets: account.path_secrets.clone(),
        secrets: account.callback_secrets.clone(),
        basic: account.basic(),
    }
}
