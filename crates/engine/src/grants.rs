//! Senders' grants at work: opened for one question, renewed before they end, and marked where the platform refuses them.
//!
//! What a refresh token gives replaces the grant in the vault before it is used, and only one of all processes fetches it:
//! many platforms take a refresh token that comes twice for a stolen one, and end everything that came of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aftersign_core::error::NotBefore;
use aftersign_core::grant::{Grant, Holder};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::platform::Access;
use aftersign_core::{Error, ErrorKind, Remedy};
use aftersign_store::{OpenGrant, StoreError};

use crate::limits::{RENEWAL_BUSY_WAIT, RENEWAL_LEASE};
use crate::refusals::Asker;
use crate::{Engine, EngineAccount};

/// A sender's grant, ready to be asked with.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    /// The access that it gives.
    pub(crate) access: Access,
    open: OpenGrant,
}

impl Granted {
    fn holder(&self) -> Holder {
        Holder::Sender(self.open.row.sender.clone())
    }

    /// Whose refusal would end a question asked with it.
    pub(crate) fn asker(&self) -> Asker {
        Asker { holder: self.holder(), version: self.open.row.version }
    }
}

impl Engine {
    /// The grant of a sender, renewed if it is about to end; `None` if nobody gave one.
    pub(crate) async fn granted(
        &self,
        account: &EngineAccount,
        sender: &SenderId,
    ) -> Result<Option<Granted>, Error> {
        let id = &account.access.account;
        let Some(open) = self.store.open_grant(id, sender).await.map_err(unopened)? else { return Ok(None) };
        let ends = open.grant.renew_at.is_some_and(|at| at <= self.now());
        let open = if ends { self.renewed(account, open).await? } else { open };
        Ok(Some(ready(account, open)))
    }

    /// Does `work` with a grant. One that is refused before its end is renewed once, if it can be.
    ///
    /// # Errors
    /// Those of `work`; a refusal of the grant is [`ErrorKind::AccessRefused`], met with this sender's access.
    pub(crate) async fn with_grant<T, F>(
        &self,
        account: &EngineAccount,
        granted: Granted,
        work: impl Fn(Access) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let refused = match work(granted.access.clone()).await {
            Err(error) if error.kind() == ErrorKind::AccessRefused => error,
            Err(error) => return Err(error.met_with(granted.holder())),
            Ok(value) => {
                if granted.open.row.refused_at.is_some() {
                    self.mark(account, &granted.open, false).await;
                }
                return Ok(value);
            }
        };
        if !is_renewable(account, &granted.open.grant) {
            self.mark(account, &granted.open, true).await;
            return Err(gave_no_more(&granted.open.row.sender, refused));
        }
        let open = self.renewed(account, granted.open).await?;
        let again = ready(account, open);
        match work(again.access.clone()).await {
            Err(error) if error.kind() == ErrorKind::AccessRefused => {
                self.mark(account, &again.open, true).await;
                Err(gave_no_more(&again.open.row.sender, error))
            }
            answer => answer.map_err(|error| error.met_with(again.holder())),
        }
    }

    /// The grant that follows `open`: fetched, sealed, and only then given out.
    async fn renewed(&self, account: &EngineAccount, open: OpenGrant) -> Result<OpenGrant, Error> {
        let (id, sender, version) = (&account.access.account, open.row.sender.clone(), open.row.version);
        let renewal = account
            .oauth
            .as_ref()
            .and_then(|app| account.platform.renew_grant(&account.bare_access(), app, &open.grant));
        let Some(call) = renewal else { return Ok(open) };
        let turn = self.renewals.turn(id, &sender);
        let _ours = turn.lock().await;
        let until = self.now().checked_add(RENEWAL_LEASE).unwrap_or(self.now());
        let claimed = self.store.claim_renewal(id, &sender, version, until, self.now()).await;
        if !claimed.map_err(unopened)? {
            return self.renewed_by_another(account, open).await;
        }
        let fetched = match self.caller.follow(id, call?).await {
            Ok(fetched) => fetched,
            Err(error) if error.kind() == ErrorKind::AccessRefused => {
                self.mark(account, &open, true).await;
                return Err(gave_no_more(&sender, error));
            }
            Err(error) => return Err(error.met_with(Holder::Sender(sender))),
        };
        // A server that does not rotate gives no new refresh token: the old one stays good (RFC 6749, section 6).
        let grant = Grant { refresh_token: fetched.refresh_token.or(open.grant.refresh_token), ..fetched };
        let replaced = self.store.replace_grant(id, &sender, version, grant, self.now()).await;
        if !replaced.map_err(unopened)? {
            tracing::info!(account = %id, "a grant changed while it was renewed; the newer one counts");
        }
        let newest = self.store.open_grant(id, &sender).await.map_err(unopened)?;
        newest.ok_or_else(|| no_access(Some(&sender)))
    }

    /// Somebody else has renewed it, or is about to.
    async fn renewed_by_another(&self, account: &EngineAccount, open: OpenGrant) -> Result<OpenGrant, Error> {
        let sender = &open.row.sender;
        let newest = self.store.open_grant(&account.access.account, sender).await.map_err(unopened)?;
        match newest {
            Some(newest) if newest.row.version != open.row.version => Ok(newest),
            Some(_) => Err(Error::new(
                ErrorKind::NotReady,
                Remedy::Retry(Some(NotBefore::After(RENEWAL_BUSY_WAIT))),
                "renew grant",
                "another process is renewing this sender's grant",
            )
            .met_with(Holder::Sender(sender.clone()))),
            None => Err(no_access(Some(sender))),
        }
    }

    /// Notes whether the platform refuses a grant. For people only, so a failure is no reason to stop.
    async fn mark(&self, account: &EngineAccount, open: &OpenGrant, refused: bool) {
        let refused_at = refused.then(|| self.now());
        let id = &account.access.account;
        if let Err(error) = self.store.mark_grant(id, &open.row.sender, open.row.version, refused_at).await {
            tracing::warn!(%error, account = %id, "cannot note whether a grant is refused");
        }
    }
}

fn ready(account: &EngineAccount, open: OpenGrant) -> Granted {
    let access = account.platform.granted(&account.access, account.oauth.as_ref(), &open.grant);
    Granted { access, open }
}

fn is_renewable(account: &EngineAccount, grant: &Grant) -> bool {
    let app = account.oauth.as_ref();
    app.and_then(|app| account.platform.renew_grant(&account.bare_access(), app, grant)).is_some()
}

/// The platform refuses what the sender gave.
fn gave_no_more(sender: &SenderId, refused: Error) -> Error {
    let what = "the platform refuses the access that this sender gave: it was revoked, or has ended";
    Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", what)
        .caused_by(refused)
        .met_with(Holder::Sender(sender.clone()))
}

/// Nobody gave the access that it takes.
pub(crate) fn no_access(sender: Option<&SenderId>) -> Error {
    let (holder, what) = match sender {
        Some(sender) => (Holder::Sender(sender.clone()), "this sender has not given access yet"),
        None => (
            Holder::Account,
            "the account has no credential of its own, and nobody knows who sent the envelope: set a credential, or \
             `search_senders = true` so that those who gave access are asked in turn",
        ),
    };
    Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", what).met_with(holder)
}

/// A vault that does not open is the operator's business, never the sender's: everything waits until it does.
pub(crate) fn unopened(error: StoreError) -> Error {
    let (kind, remedy) = match error {
        StoreError::KeyMissing { .. } => (ErrorKind::Misconfigured, Remedy::RenewAccess),
        _ => (ErrorKind::Storage, Remedy::Retry(None)),
    };
    Error::new(kind, remedy, "open grant", "the vault does not give the sender's grant").caused_by(error)
}

/// One renewal of a grant at a time in this process; others wait for it instead of failing.
#[derive(Default)]
pub(crate) struct Renewals(Mutex<HashMap<(AccountId, SenderId), Turn>>);

type Turn = Arc<tokio::sync::Mutex<()>>;

impl Renewals {
    fn turn(&self, account: &AccountId, sender: &SenderId) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits holds a copy.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry((account.clone(), sender.clone())).or_default())
    }
}

#[cfg(test)]
mod tests;
