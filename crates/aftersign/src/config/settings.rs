//! The configuration as the rest of the binary uses it: resolved, checked, in plain types.
//!
//! Whoever holds [`Settings`] need not check anything again: paths are absolute, secrets are read, references
//! between sections exist. `Debug` shows no secret.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aftersign_core::callback::CallbackSecrets;
use aftersign_core::grant::OauthApp;
use aftersign_core::ids::{AccountId, DestinationId};
use aftersign_core::platform::{Access, CallbackUrl, Platform};
use aftersign_core::rule::Rule;
use aftersign_core::secret::Secret;
use aftersign_intake::IntakeConfig;

use super::model::LogFormat;

/// Everything that was configured.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The config file.
    pub(crate) file: PathBuf,
    /// Address of the public listener.
    pub(crate) listen: SocketAddr,
    /// The URL under which platforms reach it, without trailing slash.
    pub(crate) public_url: String,
    /// Address of the inner listener.
    pub(crate) admin_listen: SocketAddr,
    /// Limits of the public listener.
    pub(crate) intake: IntakeConfig,
    /// The database file.
    pub(crate) store_path: PathBuf,
    /// Writes that may wait for the next commit.
    pub(crate) queue_max: usize,
    /// The staging folder.
    pub(crate) staging_dir: PathBuf,
    /// Keys of the vault: the first seals, all open.
    pub(crate) vault_keys: Vec<VaultKeySettings>,
    /// This node's name.
    pub(crate) node: String,
    /// Divides every wait of ours.
    pub(crate) time_scale: f64,
    /// Transfers worked on at once, per account.
    pub(crate) workers: usize,
    /// The log.
    pub(crate) log: LogSettings,
    /// The accounts, in the file's order.
    pub(crate) accounts: Vec<AccountSettings>,
    /// The destinations, in the file's order.
    pub(crate) destinations: Vec<DestinationSettings>,
    /// The rules; the first match wins.
    pub(crate) rules: Vec<Rule>,
    /// How people are written to; `None` if they are not.
    pub(crate) mail: Option<MailSettings>,
}

/// How people are written to.
#[derive(Clone, Debug)]
pub(crate) struct MailSettings {
    /// The mail server, perhaps with user and password.
    pub(crate) smtp_url: Secret,
    /// The sender's address.
    pub(crate) from: String,
    /// Who is told what no sender can settle.
    pub(crate) admins: Vec<String>,
    /// The folder with the operator's own templates.
    pub(crate) templates_dir: Option<PathBuf>,
    /// Further certificates to trust.
    pub(crate) ca_file: Option<PathBuf>,
    /// Time between two mails to one person.
    pub(crate) digest_every: Duration,
    /// Time after which the admins are told of what nobody settled, and again after that.
    pub(crate) escalate_every: Duration,
}

impl Settings {
    /// The account of that id.
    pub(crate) fn account(&self, id: &str) -> Option<&AccountSettings> {
        self.accounts.iter().find(|account| account.id().as_str() == id)
    }
}

/// One account.
#[derive(Clone)]
pub(crate) struct AccountSettings {
    /// Its platform.
    pub(crate) platform: &'static dyn Platform,
    /// With what and where the platform is called; holds the account's id.
    pub(crate) access: Access,
    /// The secrets in its callback URL, the current one first; one or two.
    pub(crate) path_secrets: Vec<Secret>,
    /// What its callbacks are checked against besides.
    pub(crate) callback_secrets: CallbackSecrets,
    /// `user:password` that callbacks must bear, if asked for.
    pub(crate) callback_basic: Option<Secret>,
    /// Time between two sweeps.
    pub(crate) reconcile_every: Duration,
    /// Days after which the platform removes envelopes of its own accord, where it does not tell itself.
    pub(crate) retention_days: Option<u32>,
    /// The application under which senders are asked for access.
    pub(crate) oauth: Option<OauthApp>,
    /// Whether envelopes of unknown senders are asked for with every grant in turn.
    pub(crate) search_senders: bool,
    /// From whom it takes access: addresses, or `*@` and a domain, in lower case; empty for everybody who can consent.
    pub(crate) senders: Vec<String>,
}

impl AccountSettings {
    /// Its id.
    pub(crate) fn id(&self) -> &AccountId {
        &self.access.account
    }

    /// User and password that callbacks must bear as HTTP Basic, if asked for.
    pub(crate) fn basic(&self) -> Option<(String, Secret)> {
        let (user, password) = self.callback_basic.as_ref()?.expose().split_once(':')?;
        Some((user.into(), Secret::new(password)))
    }

    /// What every callback URL of it begins with, whatever its path secret.
    pub(crate) fn callback_root(&self, public_url: &str) -> String {
        format!("{public_url}/callbacks/{}/", self.id())
    }

    /// What its pages' URLs begin with.
    pub(crate) fn consent_root(&self, public_url: &str) -> String {
        format!("{public_url}/consent/{}", self.id())
    }

    /// The URL to which the platform sends browsers before a draft is sent, if it can.
    pub(crate) fn before_send_url(&self, public_url: &str) -> Option<CallbackUrl> {
        self.platform.before_send_url(&format!("{}/before-send", self.consent_root(public_url)))
    }

    /// Whether it has a page on which anybody finds a way to give access, without a link that was made for them.
    pub(crate) fn offers_connecting(&self) -> bool {
        self.oauth.is_some() || (!self.senders.is_empty() && !self.platform.key_fields().is_empty())
    }

    /// Whether it asks senders for access, so that the vault must have a key.
    pub(crate) fn asks_senders(&self) -> bool {
        self.oauth.is_some() || !self.senders.is_empty() || self.access.credential.is_empty()
    }

    /// Its callback URLs: those with the current path secret first, then those with the one that it replaces.
    pub(crate) fn callback_urls(&self, public_url: &str) -> Vec<Vec<CallbackUrl>> {
        let root = self.callback_root(public_url);
        let bases = self.path_secrets.iter().map(|secret| format!("{root}{}", secret.expose()));
        bases.map(|base| self.platform.callback_urls(&base)).collect()
    }
}

impl fmt::Debug for AccountSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountSettings")
            .field("platform", &self.platform.name())
            .field("access", &self.access)
            .field("path_secrets", &self.path_secrets)
            .field("callback_secrets", &self.callback_secrets)
            .field("callback_basic", &self.callback_basic)
            .field("reconcile_every", &self.reconcile_every)
            .field("retention_days", &self.retention_days)
            .field("oauth", &self.oauth)
            .field("search_senders", &self.search_senders)
            .field("senders", &self.senders)
            .finish()
    }
}

/// One destination.
#[derive(Clone, Debug)]
pub(crate) struct DestinationSettings {
    /// Its id.
    pub(crate) id: DestinationId,
    /// Its kind and what that needs.
    pub(crate) kind: DestinationSettingsKind,
}

/// The kinds of destination.
#[derive(Clone, Debug)]
pub(crate) enum DestinationSettingsKind {
    /// A folder.
    Filesystem {
        /// Which one.
        root: PathBuf,
    },
}

/// One key of the vault.
#[derive(Clone, Debug)]
pub(crate) struct VaultKeySettings {
    /// Its name.
    pub(crate) id: String,
    /// 32 bytes in base64, checked.
    pub(crate) key: Secret,
}

/// The log.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// How a line looks.
    pub(crate) format: LogFormat,
    /// What is logged, as directives.
    pub(crate) level: String,
}
