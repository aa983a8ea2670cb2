//! Turns a request into what is noted down, the same way whoever brings it: the front door, or a person with what
//! a platform could not deliver.
//!
//! It keeps nothing itself, and it decides nothing about authenticity: who calls it has vouched for the request.

use std::panic::{AssertUnwindSafe, catch_unwind};

use aftersign_core::Timestamp;
use aftersign_core::callback::{IdempotencyKey, Inbound, Interpretation, Meaning, RepeatMeans};
use aftersign_core::ids::{AccountId, CallbackId};
use aftersign_core::platform::Platform;
use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use aftersign_store::NewCallback;
use tracing::error;

use crate::account::IntakeAccount;
use crate::redact::Redactor;

/// Why an adapter's panic put a callback into quarantine, for the person who looks at it.
const ADAPTER_FAILED: &str = "the platform's adapter failed on this callback; this is a defect of Aftersign";

/// Makes one account's callbacks ready to be noted down.
pub struct Recorder {
    account: AccountId,
    platform: &'static dyn Platform,
    redactor: Redactor,
}

impl Recorder {
    /// For this account, whose secrets it takes out of everything that it records.
    pub fn new(account: &IntakeAccount) -> Self {
        let password = account.basic.iter().map(|(_, password)| password);
        let redacted = account.path_secrets.iter().chain(&account.secrets.keys).chain(password);
        let redactor = Redactor::new(redacted.map(Secret::clone));
        Self { account: account.id.clone(), platform: account.platform, redactor }
    }

    /// The same, which takes this secret out as well.
    pub(crate) fn without(&self, secret: Secret) -> Self {
        Self {
            account: self.account.clone(),
            platform: self.platform,
            redactor: self.redactor.clone().and(secret),
        }
    }

    /// The callback to note down: interpreted, without secrets, in quarantine if it is not understood. `remote` says
    /// where the request came from.
    pub fn record(
        &self,
        inbound: &Inbound,
        remote: &str,
        received_at: Timestamp,
        entropy: &dyn Entropy,
    ) -> NewCallback {
        let interpretation = self
            .guarded("interpret", || self.platform.interpret(inbound))
            .unwrap_or_else(|| kept_for_a_person(inbound));
        NewCallback {
            id: CallbackId::make(received_at, entropy),
            account: self.account.clone(),
            platform: self.platform.name(),
            channel: inbound.channel.clone(),
            method: inbound.method.as_str().to_owned(),
            query: self.redactor.query(&inbound.query),
            headers: self.redactor.headers(&inbound.headers),
            body: inbound.body.clone(),
            remote: Some(remote.to_owned()),
            received_at,
            key: interpretation.key,
            repeat_means: interpretation.repeat_means,
            kind: interpretation.kind.map(|kind| self.redactor.text(kind)),
            envelope: interpretation.envelope,
            quarantine_reason: match interpretation.meaning {
                Meaning::Understood(_) => None,
                Meaning::Quarantined(reason) => Some(self.redactor.text(reason)),
            },
        }
    }

    /// Runs one of the adapter's pure functions. `None` if it panicked, which is logged.
    pub(crate) fn guarded<T>(&self, operation: &'static str, run: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(run)).ok();
        if result.is_none() {
            error!(account = %self.account, platform = self.platform.name(), operation, "the adapter panicked");
        }
        result
    }
}

/// What an authentic callback means that the adapter could not read: only that it must be kept.
fn kept_for_a_person(inbound: &Inbound) -> Interpretation {
    let channel = inbound.channel.as_deref().unwrap_or_default().as_bytes();
    Interpretation {
        key: IdempotencyKey::new(None, &[channel, inbound.query.as_bytes(), &inbound.body]),
        repeat_means: RepeatMeans::Nothing,
        kind: None,
        envelope: None,
        meaning: Meaning::Quarantined(ADAPTER_FAILED.to_owned()),
    }
}
