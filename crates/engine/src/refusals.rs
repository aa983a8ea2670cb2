//! Refused access, remembered for a moment: what waits for one account by the thousand asks once for all.
//!
//! A memory of this process only, for accounts' own access; of senders' grants the vault remembers it. Nothing is decided by
//! it but who asks: everybody else waits as if they had asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aftersign_core::grant::Holder;
use aftersign_core::ids::AccountId;
use aftersign_core::transfer::{Outcome, Step};
use aftersign_core::{Remedy, Timestamp};

/// When each account's access was last refused, if it has not worked since.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<HashMap<AccountId, Timestamp>>);

impl Refusals {
    /// When the account's access was last refused.
    pub(crate) fn last(&self, account: &AccountId) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(account).copied()
    }

    /// It does not work now.
    pub(crate) fn failed(&self, account: &AccountId, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account.clone(), now);
    }

    /// Takes in how a step that asks the platform with the account's own access ended.
    pub(crate) fn note(&self, account: &AccountId, outcome: &Outcome, now: Timestamp) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Failed(error)
                if error.remedy() == Remedy::RenewAccess && *error.holder() == Holder::Account =>
            {
                refused.insert(account.clone(), now);
            }
            // A failure of another kind says nothing about the access.
            Outcome::Failed(_) | Outcome::StillRefused(_) => {}
            _ => {
                refused.remove(account);
            }
        }
    }
}

/// Whether the step asks the platform.
pub(crate) fn asks(step: &Step) -> bool {
    matches!(step, Step::Ask | Step::List | Step::Download(_) | Step::Dispose(_))
}
