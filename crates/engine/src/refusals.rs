//! Refused access, remembered for a moment: what waits for one access by the thousand asks once for all.
//!
//! A memory of this process only. Nothing is decided by it but who asks: everybody else waits as if they had asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aftersign_core::grant::Holder;
use aftersign_core::ids::AccountId;
use aftersign_core::transfer::{Outcome, Step};
use aftersign_core::{ErrorKind, Timestamp};

use crate::limits::{ACCESS_REFUSED_QUIET, GRANT_REFUSED_QUIET, REFUSALS_MAX};

/// One access: whose, and in which version, because what a sender gave anew may be asked with at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Asker {
    /// Whose it is.
    pub(crate) holder: Holder,
    /// The version of the sender's grant; 0 where there is none.
    pub(crate) version: u64,
}

/// When each access was last refused, if it has not worked since.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<(AccountId, Asker), Timestamp>>);

impl Refusals {
    /// When an access was last refused.
    pub(crate) fn last(&self, account: &AccountId, asker: &Asker) -> Option<Timestamp> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(&(account.clone(), asker.clone())).copied()
    }

    /// Takes in how a step that asks the platform with this access ended.
    pub(crate) fn note(&self, account: &AccountId, asker: &Asker, outcome: &Outcome, now: Timestamp) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.clone(), asker.clone());
        match outcome {
            Outcome::Failed(error) if error.kind() == ErrorKind::AccessRefused => {
                if refused.len() >= REFUSALS_MAX {
                    refused.clear();
                }
                refused.insert(key, now);
            }
            // A failure of another kind says nothing about the access.
            Outcome::Failed(_) | Outcome::StillRefused(_) => {}
            _ => {
                refused.remove(&key);
            }
        }
    }
}

/// How long after a refusal nobody asks again with that access.
pub(crate) fn quiet(holder: &Holder) -> Duration {
    match holder {
        Holder::Account => ACCESS_REFUSED_QUIET,
        Holder::Sender(_) => GRANT_REFUSED_QUIET,
    }
}

/// Whether the step asks the platform.
pub(crate) fn asks(step: &Step) -> bool {
    matches!(step, Step::Ask | Step::List | Step::Download(_) | Step::Dispose(_))
}
