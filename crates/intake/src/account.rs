//! The accounts whose callbacks are taken, and who gets past their path secret.
//!
//! Whoever does not know a path secret must learn nothing: neither whether an account exists nor how much of a
//! guess was right. So every request is compared as a digest, in constant time, with at least two digests, and
//! where there is no account, with those of random bytes. A request that names a draft is compared with as many secrets of
//! that draft, whatever the account and its platform are; it costs that much more than others, and so tells nothing either.

use std::collections::HashMap;
use std::sync::Arc;

use aftersign_core::callback::{CallbackSecrets, draft_secret};
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

use crate::draft::claimed_draft;
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

/// Secrets that a candidate is compared with at the least.
const SECRETS_MIN: usize = 2;

/// The path secrets of an account, or what stands for them where there is none.
struct Gate {
    /// As digests: comparing takes the same time whatever they and the candidate are.
    digests: Vec<Digest>,
    /// What the secrets of drafts are made from; at random where the platform lets no page of ours send drafts.
    draft_keys: Vec<Secret>,
}

/// How a request got past the path secret.
enum Admission {
    /// With a path secret.
    Account,
    /// With this secret of the draft that it names.
    Draft(Secret),
}

impl Gate {
    fn new(path_secrets: &[Secret], sends_drafts: bool, entropy: &dyn Entropy) -> Self {
        let given: Vec<&Secret> = path_secrets.iter().filter(|secret| !secret.is_empty()).collect();
        let mut digests: Vec<Digest> =
            given.iter().map(|secret| Digest::of(secret.expose().as_bytes())).collect();
        while digests.len() < SECRETS_MIN {
            digests.push(unknowable(entropy));
        }
        let mut draft_keys: Vec<Secret> =
            given.into_iter().filter(|_| sends_drafts).map(Secret::clone).collect();
        while draft_keys.len() < digests.len() {
            draft_keys.push(Secret::new(unknowable(entropy).to_string()));
        }
        Self { digests, draft_keys }
    }

    fn admits(&self, path_secret: &[u8], query: &str) -> Option<Admission> {
        let candidate = Digest::of(path_secret);
        if among(&candidate, self.digests.iter().copied()) {
            return Some(Admission::Account);
        }
        let draft = claimed_draft(query)?;
        let of_draft = self.draft_keys.iter().map(|key| draft_secret(key, &draft));
        let fits = among(&candidate, of_draft.map(|secret| Digest::of(secret.expose().as_bytes())));
        // What fits is one of ours, so it is a text.
        let secret = std::str::from_utf8(path_secret).ok().filter(|_| fits)?;
        Some(Admission::Draft(Secret::new(secret)))
    }
}

/// Looks at all of them, whichever fits.
fn among(candidate: &Digest, digests: impl Iterator<Item = Digest>) -> bool {
    let none = Choice::from(0);
    digests.fold(none, |found, digest| found | digest.as_bytes().ct_eq(candidate.as_bytes())).into()
}

/// The digest of a digest: no text that fits it can be known, whatever the entropy is worth.
fn unknowable(entropy: &dyn Entropy) -> Digest {
    let mut random = [0u8; 32];
    entropy.fill(&mut random);
    Digest::of(Digest::of(&random).as_bytes())
}

/// One account, ready for the hot path.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) platform: &'static dyn Platform,
    pub(crate) secrets: CallbackSecrets,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: AccountMetrics,
    gate: Gate,
    basic: Option<Digest>,
}

impl Account {
    fn new(account: IntakeAccount, metrics: &IntakeMetrics, entropy: &dyn Entropy) -> Self {
        let recorder = Recorder::new(&account);
        let IntakeAccount { id, platform, path_secrets, secrets, basic } = account;
        Self {
            metrics: metrics.of_account(&id, platform.name()),
            gate: Gate::new(&path_secrets, platform.capabilities().before_send_redirect, entropy),
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

/// Where a request leads.
pub(crate) struct Found {
    /// The account.
    pub(crate) account: Arc<Account>,
    /// The channel.
    pub(crate) channel: Option<&'static str>,
    /// What stood in the place of the path secret, if it was a draft's.
    pub(crate) draft_secret: Option<Secret>,
}

/// All accounts; replaced as a whole when the config is reloaded.
pub(crate) struct Accounts {
    by_id: HashMap<String, Arc<Account>>,
    /// What is compared with where there is no account.
    decoy: Gate,
    nobody: Counter,
}

impl Accounts {
    pub(crate) fn new(accounts: Vec<IntakeAccount>, metrics: &IntakeMetrics, entropy: &dyn Entropy) -> Self {
        let prepare = |account: IntakeAccount| {
            (account.id.as_str().to_owned(), Arc::new(Account::new(account, metrics, entropy)))
        };
        Self {
            by_id: accounts.into_iter().map(prepare).collect(),
            decoy: Gate::new(&[], false, entropy),
            nobody: metrics.of_nobody(),
        }
    }

    /// Where a request leads, if its path is right, or its path and the draft that its query names. What is not is
    /// counted here, and all alike for the caller.
    pub(crate) fn find(&self, path: &str, query: &str) -> Option<Found> {
        let Some(route) = Route::read(path) else {
            self.nobody.inc();
            return None;
        };
        let account = self.by_id.get(route.account.as_ref());
        let gate = account.map_or(&self.decoy, |account| &account.gate);
        let admission = gate.admits(&route.path_secret, query);
        let Some(account) = account else {
            self.nobody.inc();
            return None;
        };
        match (account.channel(route.channel.as_deref()), admission) {
            (Some(channel), Some(admission)) => {
                let draft_secret = match admission {
                    Admission::Account => None,
                    Admission::Draft(secret) => Some(secret),
                };
                Some(Found { account: Arc::clone(account), channel, draft_secret })
            }
            _ => {
                account.metrics.not_found.inc();
                None
            }
        }
    }
}
