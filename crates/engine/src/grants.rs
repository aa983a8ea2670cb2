//! Senders' grants at work: opened for one question, renewed before they end, and marked where the platform refuses them.
//!
//! What a refresh token gives replaces the grant in the vault before it is used, and only one of all processes fetches it:
//! many platforms take a refresh token that comes twice for a stolen one, and end everything that came of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aftersign_core::grant::{Grant, Holder};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::platform::{Access, Call};
use aftersign_core::seams::Clock;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{OpenGrant, Store, StoreError};

use crate::limits::{
    ACCESS_REFUSED_QUIET, GRANT_REFUSED_QUIET, RENEWAL_KEEP_TRIES_MAX, RENEWAL_LEASE, RENEWAL_TIMEOUT,
    STORE_PAUSE,
};
use crate::{Caller, Engine, EngineAccount};

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
}

/// What a sender's access is worth now.
#[derive(Clone, Debug)]
pub(crate) enum Means {
    /// Nobody gave one.
    Nothing,
    /// It can be asked with.
    Granted(Box<Granted>),
    /// The platform refused it a moment ago, here or in another process.
    Refused,
}

impl Engine {
    /// The grant of a sender, renewed if it is about to end.
    ///
    /// # Errors
    /// [`ErrorKind::AccessRefused`], met with this sender's access, if it ended and cannot be renewed.
    pub(crate) async fn means(&self, account: &EngineAccount, sender: &SenderId) -> Result<Means, Error> {
        let id = &account.access.account;
        let opened = self.store.open_grant(id, sender).await.map_err(|error| unopened(sender, error))?;
        let Some(open) = opened else { return Ok(Means::Nothing) };
        // Who is not among the account's senders any more gave nothing.
        if !account.names(sender) {
            return Ok(Means::Nothing);
        }
        let quiet = |refused_at| self.pace().after(refused_at, GRANT_REFUSED_QUIET) > self.now();
        if open.row.refused_at.is_some_and(quiet) {
            return Ok(Means::Refused);
        }
        let ends = open.grant.renew_at.is_some_and(|at| at <= self.now());
        let open = if ends { self.renewed(account, open).await? } else { open };
        Ok(Means::Granted(Box::new(ready(account, open))))
    }

    /// The same for those to whom a refusal of a moment ago is as good as one now.
    pub(crate) async fn granted(
        &self,
        account: &EngineAccount,
        sender: &SenderId,
    ) -> Result<Option<Granted>, Error> {
        match self.means(account, sender).await? {
            Means::Granted(granted) => Ok(Some(*granted)),
            Means::Nothing => Ok(None),
            Means::Refused => Err(gave_no_more(sender)),
        }
    }

    /// Does `work` with a grant. One that is refused before its end is renewed once, if it can be; one that was given anew
    /// meanwhile is used instead.
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
            answer => return self.answered(account, &granted, answer).await,
        };
        let sender = granted.open.row.sender.clone();
        let Some(next) = self.next_grant(account, granted.open).await? else {
            return Err(gave_no_more(&sender).caused_by(refused));
        };
        let again = ready(account, next);
        match work(again.access.clone()).await {
            Err(error) if error.kind() == ErrorKind::AccessRefused => {
                self.mark(account, &again.open, Some(self.now())).await;
                Err(gave_no_more(&sender).caused_by(error))
            }
            answer => self.answered(account, &again, answer).await,
        }
    }

    /// An answer that says nothing against the grant.
    async fn answered<T>(
        &self,
        account: &EngineAccount,
        granted: &Granted,
        answer: Result<T, Error>,
    ) -> Result<T, Error> {
        if answer.is_ok() && granted.open.row.refused_at.is_some() {
            self.mark(account, &granted.open, None).await;
        }
        answer.map_err(|error| error.met_with(granted.holder()))
    }

    /// What to go on with after a grant was refused; `None`, with the refusal marked, if there is nothing.
    async fn next_grant(
        &self,
        account: &EngineAccount,
        refused: OpenGrant,
    ) -> Result<Option<OpenGrant>, Error> {
        let sender = refused.row.sender.clone();
        let newest = self.store.open_grant(&account.access.account, &sender).await;
        let newest = newest.map_err(|error| unopened(&sender, error))?;
        if newest.as_ref().is_some_and(|newest| newest.row.version != refused.row.version) {
            return Ok(newest);
        }
        if is_renewable(account, &refused.grant) {
            return self.renewed(account, refused).await.map(Some);
        }
        self.mark(account, &refused, Some(self.now())).await;
        Ok(None)
    }

    /// The grant that follows `open`: fetched, sealed, and only then given out. Whoever asked may go away meanwhile.
    async fn renewed(&self, account: &EngineAccount, open: OpenGrant) -> Result<OpenGrant, Error> {
        let sender = open.row.sender.clone();
        let renewal = account
            .oauth
            .as_ref()
            .and_then(|app| account.platform.renew_grant(&account.bare_access(), app, &open.grant));
        let Some(call) = renewal else { return Ok(open) };
        let call = call.map_err(|error| of_application(&sender, error))?;
        let id = &account.access.account;
        // An application that does not work is no better for the next sender.
        let quiet = |failed_at| self.pace().after(failed_at, ACCESS_REFUSED_QUIET) > self.now();
        if self.applications.last(id).is_some_and(quiet) {
            return Err(application_broken());
        }
        let turn = self.renewals.turn(&account.access.account, &sender).lock_owned().await;
        let renewal = Renewal {
            _turn: turn,
            caller: Arc::clone(&self.caller),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            account: account.access.account.clone(),
            open,
        };
        let renewed = self.tasks.spawn(renewal.run(call)).await;
        let renewed =
            renewed.unwrap_or_else(|_| Err(broke_off())).map_err(|error| of_application(&sender, error));
        if let Err(error) = &renewed
            && error.remedy() == Remedy::RenewAccess
            && *error.holder() == Holder::Account
        {
            self.applications.failed(id, self.now());
        }
        renewed
    }

    /// Notes whether the platform refuses a grant. For the others, so a failure is no reason to stop.
    async fn mark(&self, account: &EngineAccount, open: &OpenGrant, refused_at: Option<Timestamp>) {
        mark(&*self.store, &account.access.account, open, refused_at, None).await;
    }
}

async fn mark(
    store: &dyn Store,
    account: &AccountId,
    open: &OpenGrant,
    refused_at: Option<Timestamp>,
    renewal: Option<Timestamp>,
) {
    let row = &open.row;
    if let Err(error) = store.mark_grant(account, &row.sender, row.version, refused_at, renewal).await {
        tracing::warn!(%error, account = %account, "cannot note whether a grant is refused");
    }
}

/// One renewal under way.
struct Renewal {
    /// Nobody else of this process renews it meanwhile, whoever asked for it.
    _turn: tokio::sync::OwnedMutexGuard<()>,
    caller: Arc<Caller>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    account: AccountId,
    open: OpenGrant,
}

impl Renewal {
    async fn run(self, call: Call<Grant>) -> Result<OpenGrant, Error> {
        let (id, row) = (&self.account, &self.open.row);
        let unopened = |error| unopened(&row.sender, error);
        // Those who waited for their turn find out what came of it.
        let newest = self.store.open_grant(id, &row.sender).await.map_err(unopened)?;
        let newest = newest.ok_or_else(|| no_access(Some(&row.sender)))?;
        if newest.row.version != row.version {
            return Ok(newest);
        }
        if newest.row.refused_at.is_some() && newest.row.refused_at != row.refused_at {
            return Err(gave_no_more(&row.sender));
        }
        let now = self.clock.now();
        let until = now.checked_add(RENEWAL_LEASE).unwrap_or(now);
        let claimed = self.store.claim_renewal(id, &row.sender, row.version, until, now).await;
        if !claimed.map_err(unopened)? {
            return self.by_another().await;
        }
        let answer = tokio::time::timeout(RENEWAL_TIMEOUT, self.caller.follow(id, call)).await;
        let fetched = match answer.unwrap_or_else(|_| Err(no_answer())) {
            Ok(fetched) => fetched,
            Err(error) => {
                // Either way the right to renew ends here.
                let refused = error.kind() == ErrorKind::AccessRefused;
                let refused_at = if refused { Some(self.clock.now()) } else { row.refused_at };
                mark(&*self.store, id, &self.open, refused_at, Some(until)).await;
                return Err(match refused {
                    true => gave_no_more(&row.sender).caused_by(error),
                    false => error.met_with(Holder::Sender(row.sender.clone())),
                });
            }
        };
        // A server that does not rotate gives no new refresh token: the old one stays good (RFC 6749, section 6).
        let refresh_token = fetched.refresh_token.clone().or_else(|| self.open.grant.refresh_token.clone());
        self.keep(Grant { refresh_token, ..fetched }).await?;
        let newest = self.store.open_grant(id, &row.sender).await.map_err(unopened)?;
        newest.ok_or_else(|| no_access(Some(&row.sender)))
    }

    /// What was fetched exists once: a store in trouble is asked again before it is given up.
    async fn keep(&self, grant: Grant) -> Result<(), Error> {
        let (id, row) = (&self.account, &self.open.row);
        let mut tries = 0;
        loop {
            tries += 1;
            let replaced =
                self.store.replace_grant(id, &row.sender, row.version, grant.clone(), self.clock.now()).await;
            match replaced {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    tracing::info!(account = %id, "a grant was given anew while it was renewed; the newer one counts");
                    return Ok(());
                }
                Err(error) if tries < RENEWAL_KEEP_TRIES_MAX => {
                    tracing::warn!(account = %id, %error, tries, "a renewed grant is not kept yet");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
                Err(error) => return Err(unopened(&row.sender, error)),
            }
        }
    }

    /// Somebody else has renewed it, or is about to.
    async fn by_another(&self) -> Result<OpenGrant, Error> {
        let row = &self.open.row;
        let newest = self.store.open_grant(&self.account, &row.sender).await;
        match newest.map_err(|error| unopened(&row.sender, error))? {
            Some(newest) if newest.row.version != row.version => Ok(newest),
            Some(newest) if newest.row.refused_at.is_some() => Err(gave_no_more(&row.sender)),
            Some(_) => Err(Error::new(
                ErrorKind::NotReady,
                Remedy::Park,
                "renew grant",
                "another process is renewing this sender's grant",
            )
            .met_with(Holder::Sender(row.sender.clone()))),
            None => Err(no_access(Some(&row.sender))),
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
fn gave_no_more(sender: &SenderId) -> Error {
    let what = "the platform refuses the access that this sender gave: it was revoked, or has ended";
    Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", what)
        .met_with(Holder::Sender(sender.clone()))
}

/// What no sender can mend (a wrong client secret, say) waits for the operator, as a wrong credential of the account does.
fn of_application(sender: &SenderId, error: Error) -> Error {
    match error.remedy() {
        Remedy::AskPerson | Remedy::Abandon => application_broken().caused_by(error),
        _ if error.holder().sender().is_none() && error.kind() != ErrorKind::Misconfigured => {
            error.met_with(Holder::Sender(sender.clone()))
        }
        _ => error,
    }
}

fn application_broken() -> Error {
    let what = "senders' access cannot be renewed: the account's OAuth application does not work";
    Error::new(ErrorKind::Misconfigured, Remedy::RenewAccess, "renew grant", what)
}

fn no_answer() -> Error {
    let what = "the token endpoint did not answer in time, or the platform's other questions took too long";
    Error::new(ErrorKind::Unreachable, Remedy::Retry(None), "renew grant", what)
}

fn broke_off() -> Error {
    let what = "the renewal of a grant broke off; the log says where";
    Error::new(ErrorKind::Unintelligible, Remedy::Retry(None), "renew grant", what)
}

/// Nobody gave the access that it takes.
pub(crate) fn no_access(sender: Option<&SenderId>) -> Error {
    let (holder, what) = match sender {
        Some(sender) => (Holder::Sender(sender.clone()), "this sender has not given access yet"),
        None => (
            Holder::Account,
            "the account has no credential of its own, and no sender has given access yet: set a credential, or let the \
             senders connect",
        ),
    };
    Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", what).met_with(holder)
}

/// A key that is missing is the operator's business, and everything waits until it is there; a record that is damaged can be
/// given anew by its sender.
pub(crate) fn unopened(sender: &SenderId, error: StoreError) -> Error {
    let failed =
        |kind, remedy| Error::new(kind, remedy, "open grant", "the vault does not give the sender's grant");
    match &error {
        StoreError::KeyMissing { .. } => failed(ErrorKind::Misconfigured, Remedy::RenewAccess),
        StoreError::Damaged { .. } => {
            failed(ErrorKind::Corrupt, Remedy::RenewAccess).met_with(Holder::Sender(sender.clone()))
        }
        _ => failed(ErrorKind::Storage, Remedy::Retry(None)),
    }
    .caused_by(error)
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
