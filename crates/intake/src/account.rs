//! The accounts whose callbacks are taken, and who gets past their path secret.
//!
//! Whoever does not know a path secret must learn nothing: neither whether an account exists nor how much of a
//! guess was right. So every request is compared as a digest, in constant time, with at least two digests, and
//! where there is no account, with those of random bytes.

use std::collections::HashMap;
use std::sync::Arc;

use aftersign_core::callback::CallbackSecrets;
use aftersign_core::digest::Digest;
use aftersign_core::ids::AccountId;
use aftersign_core::platform::Platform;
use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, header};
use prometheus_client::metrics::counter::Counter;
use subtle::{Choice, ConstantTimeEq};

use crate::metrics::{AccountMetrics, IntakeMetrics};
use crate::record::Recorder;
use crate::route::Route;

/// One account as the front door sees it.
#[derive(Clone)]
pub struct IntakeAccount {
    /// Its id.
    pub id: AccountId,
    /// Its platform.
    pub platform: &'static dyn Platform,
    /// The path secrets that are valid now: one, or two while one replaces the other. Empty ones never match.
    pub path_secrets: Vec<Secret>,
    /// What the platform signs or authenticates with.
    pub secrets: CallbackSecrets,
    /// User and password of HTTP Basic, where the account asks for it.
    pub basic: Option<(String, Secret)>,
}

/// Secrets as digests: comparing takes the same time whatever they and the candidate are.
struct Digests(Vec<Digest>);

/// Digests that a candidate is compared with at the least.
const DIGESTS_MIN: usize = 2;

impl Digests {
    fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>, entropy: &dyn Entropy) -> Self {
        let given = secrets.into_iter().filter(|secret| !secret.is_empty());
        let mut digests: Vec<Digest> = given.map(|secret| Digest::of(secret.expose().as_bytes())).collect();
        while digests.len() < DIGESTS_MIN {
            let mut random = [0u8; 32];
            entropy.fill(&mut random);
            // The digest of a digest: no text that fits it can be known, whatever the entropy is worth.
            digests.push(Digest::of(Digest::of(&random).as_bytes()));
        }
        Self(digests)
    }

    fn contain(&self, candidate: &Digest) -> bool {
        let none = Choice::from(0);
        self.0.iter().fold(none, |found, digest| found | digest.as_bytes().ct_eq(candidate.as_bytes())).into()
    }
}

/// One account, ready for the hot path.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) platform: &'static dyn Platform,
    pub(crate) secrets: CallbackSecrets,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: AccountMetrics,
    path_secrets: Digests,
    basic: Option<Digest>,
}

impl Account {
    fn new(account: IntakeAccount, metrics: &IntakeMetrics, entropy: &dyn Entropy) -> Self {
        let recorder = Recorder::new(&account);
        let IntakeAccount { id, platform, path_secrets, secrets, basic } = account;
        Self {
            metrics: metrics.of_account(&id, platform.name()),
            path_secrets: Digests::new(&path_secrets, entropy),
            basic: basic.as_ref().map(|(user, password)| {
                let expected = Secret::new(format!("{user}:{}", password.expose()));
                Digest::of(expected.expose().as_bytes())
            }),
            recorder,
            id,
            platform,
            secrets,
        }
    }

    /// Whether the request bears the Basic credentials that the account asks for, if it does.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.basic else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| basic_credentials(value.as_bytes()));
        given.is_some_and(|given| Digest::of(&given).as_bytes().ct_eq(expected.as_bytes()).into())
    }

    fn channel(&self, claimed: Option<&[u8]>) -> Option<Option<&'static str>> {
        let Some(claimed) = claimed else { return Some(None) };
        let channels = self.platform.channels();
        channels.iter().find(|channel| channel.as_bytes() == claimed).map(|channel| Some(*channel))
    }
}

/// Base64 of clients that leave the padding away is read too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `user:password` of an `Authorization: Basic` header.
fn basic_credentials(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    BASE64.decode(rest.trim_ascii()).ok()
}

/// All accounts; replaced as a whole when the config is reloaded.
pub(crate) struct Accounts {
    by_id: HashMap<String, Arc<Account>>,
    /// What is compared with where there is no account.
    decoy: Digests,
    nobody: Counter,
}

impl Accounts {
    pub(crate) fn new(accounts: Vec<IntakeAccount>, metrics: &IntakeMetrics, entropy: &dyn Entropy) -> Self {
        let prepare = |account: IntakeAccount| {
            (account.id.as_str().to_owned(), Arc::new(Account::new(account, metrics, entropy)))
        };
        Self {
            by_id: accounts.into_iter().map(prepare).collect(),
            decoy: Digests::new([], entropy),
            nobody: metrics.of_nobody(),
        }
    }

    /// The account and channel of a path, if all of it is right. What is not is counted here, and all alike for
    /// the caller.
    pub(crate) fn find(&self, path: &str) -> Option<(Arc<Account>, Option<&'static str>)> {
        let Some(route) = Route::read(path) else {
            self.nobody.inc();
            return None;
        };
        let candidate = Digest::of(&route.path_secret);
        let account = self.by_id.get(route.account.as_ref());
        let digests = account.map_or(&self.decoy, |account| &account.path_secrets);
        let admitted = digests.contain(&candidate);
        let Some(account) = account else {
            self.nobody.inc();
            return None;
        };
        match account.channel(route.channel.as_deref()) {
            Some(channel) if admitted => Some((Arc::clone(account), channel)),
            _ => {
                account.metrics.not_found.inc();
                None
            }
        }
    }
}
