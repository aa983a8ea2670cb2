//! Puts the parts together: the only place where config, store, destinations, platforms and engine meet.

use std::sync::Arc;

use aftersign_core::Error;
use aftersign_core::ids::AccountId;
use aftersign_core::mail::Mailer;
use aftersign_core::seams::{Destination, Transport};
use aftersign_core::secret::Secret;
use aftersign_destinations::Filesystem;
use aftersign_engine::limits::{MAIL_SETTLE, MAIL_SETTLE_LONGEST};
use aftersign_engine::{
    Desk, Engine, EngineAccount, EngineMetrics, EngineParts, HttpTransport, MailDesk, MailMetrics,
    SmtpConfig, SmtpMailer, Templates,
};
use aftersign_intake::IntakeAccount;
use aftersign_store::{MailPolicy, Store};
use aftersign_web::{BeforeSendUrl, PageAccount, Pages, PagesConfig};

use crate::config::{AccountSettings, DestinationSettings, DestinationSettingsKind, MailSettings, Settings};
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

/// How people are written to, if they are.
pub(crate) fn mail_desk(settings: &Settings, metrics: MailMetrics) -> Result<Option<MailDesk>, Error> {
    let Some(mail) = &settings.mail else { return Ok(None) };
    Ok(Some(MailDesk {
        mailer: mailer(mail)?,
        templates: Templates::load(mail.templates_dir.as_deref())?,
        policy: MailPolicy {
            admins: mail.admins.clone(),
            settle: MAIL_SETTLE,
            settle_longest: MAIL_SETTLE_LONGEST,
            every: mail.digest_every,
            escalate_every: mail.escalate_every,
            due_after: mail.escalate_every,
        },
        public_url: settings.public_url.clone(),
        metrics,
    }))
}

/// The way to the mail server.
pub(crate) fn mailer(mail: &MailSettings) -> Result<Arc<dyn Mailer>, Error> {
    Ok(Arc::new(SmtpMailer::new(SmtpConfig {
        url: mail.smtp_url.clone(),
        from: mail.from.clone(),
        ca_file: mail.ca_file.clone(),
    })?))
}

/// The pages that senders' browsers see.
pub(crate) fn pages(settings: &Settings, engine: &Arc<Engine>) -> Pages {
    let accounts = settings.accounts.iter().map(|account| PageAccount {
        id: account.id().clone(),
        platform: account.platform.title(),
        before_send: account
            .before_send_url(&settings.public_url)
            .map(|redirect| BeforeSendUrl { place: redirect.place, url: redirect.url }),
    });
    let config = PagesConfig { public_url: settings.public_url.clone(), accounts: accounts.collect() };
    Pages::new(Arc::new(Desk::new(Arc::clone(engine))), Arc::new(SystemEntropy), config)
}

/// The engine over an open store. Without `mail` nobody is written to.
pub(crate) fn engine(
    settings: &Settings,
    store: Arc<dyn Store>,
    metrics: EngineMetrics,
    mail: Option<MailDesk>,
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
        path_secret: account.path_secrets.first().cloned().unwrap_or_else(|| Secret::new("")),
        retention_days: account.retention_days,
        oauth: account.oauth.clone(),
        search_senders: account.search_senders,
        senders: account.senders.clone(),
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
        public_url: settings.public_url.clone(),
        mail,
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
