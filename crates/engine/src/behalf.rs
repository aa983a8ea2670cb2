//! With whose access an envelope is asked about.
//!
//! Its sender's grant comes first: what a sender gave is what their envelopes are asked with, and where the platform refuses
//! it, the sender is asked and nobody else's access is used in its place. Who gave none is asked for through the account's
//! own access, in the sender's name where the platform offers that. "Not found" is believed only if nobody else should see
//! the envelope: at many platforms a wrong mapping looks exactly like a deletion.

use aftersign_core::envelope::{Known, Lookup};
use aftersign_core::grant::Holder;
use aftersign_core::ids::SenderId;
use aftersign_core::limits::NOT_FOUND_TRIES_MAX;
use aftersign_core::platform::{Access, Call};
use aftersign_core::transfer::Transfer;
use aftersign_core::{Error, ErrorKind, Remedy};

use crate::grants::{Granted, Means, no_access};
use crate::limits::SEARCH_SENDERS_MAX;
use crate::sweep::stored;
use crate::{Engine, EngineAccount};

/// On whose behalf one step of a transfer asks.
#[derive(Clone, Debug)]
pub(crate) struct Behalf {
    /// Who sent the envelope, as far as anybody said.
    sender: Option<String>,
    /// What they gave.
    means: Means,
}

impl Behalf {
    /// Whose access was refused a moment ago, so that asking again can wait.
    pub(crate) fn refused(&self) -> Option<Holder> {
        match self.means {
            Means::Refused => self.sender_id().map(Holder::Sender),
            Means::Nothing | Means::Granted(_) => None,
        }
    }

    /// Whether the account's own access is asked with first.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.means, Means::Nothing)
    }

    fn sender_id(&self) -> Option<SenderId> {
        self.sender.as_deref().and_then(SenderId::new)
    }

    fn no_access(&self) -> Error {
        no_access(self.sender_id().as_ref())
    }
}

impl Engine {
    /// On whose behalf a transfer's envelope is asked about now.
    pub(crate) async fn behalf(&self, account: &EngineAccount, transfer: &Transfer) -> Result<Behalf, Error> {
        let answered = transfer.envelope.as_ref().and_then(|envelope| envelope.sender.clone());
        let sender = match answered {
            Some(sender) => Some(sender),
            None => self.noted_sender(transfer).await?,
        };
        let means = match sender.as_deref().and_then(SenderId::new) {
            Some(sender) => self.means(account, &sender).await?,
            None => Means::Nothing,
        };
        Ok(Behalf { sender, means })
    }

    async fn noted_sender(&self, transfer: &Transfer) -> Result<Option<String>, Error> {
        self.store.sender_of(&transfer.account, &transfer.envelope_id).await.map_err(stored)
    }

    /// Asks about a transfer's envelope.
    pub(crate) async fn ask_about<T>(
        &self,
        account: &EngineAccount,
        behalf: &Behalf,
        make: impl Fn(&Access) -> Result<Call<T>, Error>,
    ) -> Result<Answer<T>, Error> {
        let make = &make;
        self.on_behalf(account, behalf, |access| async move {
            self.caller.ask(account.platform, &access, make).await
        })
        .await
    }

    /// Does something that asks the platform about an envelope.
    pub(crate) async fn on_behalf<T, F>(
        &self,
        account: &EngineAccount,
        behalf: &Behalf,
        ask: impl Fn(Access) -> F,
    ) -> Result<Answer<T>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let granted = match &behalf.means {
            Means::Granted(granted) => granted,
            Means::Nothing => return in_own_turn(account, behalf, ask).await,
            Means::Refused => return Err(behalf.no_access()),
        };
        match self.with_grant(account, Granted::clone(granted), &ask).await {
            // Some grants reach only what was sent through them; the account's own access reaches more.
            Err(unseen) if is_unseen(&unseen) && account.has_own_access() => {
                match ask(account.access.clone()).await {
                    Err(error) if is_unseen(&error) || error.kind() == ErrorKind::AccessRefused => {
                        Err(unseen)
                    }
                    answer => answer.map(Answer::plain),
                }
            }
            answer => answer.map(Answer::plain),
        }
    }

    /// Asks what a transfer's envelope is, and those who may see it too where the first do not.
    pub(crate) async fn look_up(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        behalf: &Behalf,
    ) -> Result<Answer<Lookup>, Error> {
        let platform = account.platform;
        let make = |access: &Access| platform.fetch_envelope(access, &transfer.envelope_id);
        let nobody = behalf.is_own() && !account.has_own_access();
        let mut first = None;
        if !(nobody && account.search_senders) {
            let answer = self.ask_about(account, behalf, make).await?;
            if !matches!(answer.value, Lookup::NotFound) {
                return Ok(answer);
            }
            first = Some(answer);
        }
        if account.has_own_access() && !behalf.is_own() {
            let own = self.caller.ask(platform, &account.access, make).await?;
            if !matches!(own, Lookup::NotFound) {
                return Ok(Answer::plain(own));
            }
        }
        let found =
            if account.search_senders { self.search(account, transfer, behalf).await? } else { Search::Off };
        match (found, first) {
            (Search::Seen(answer), _) => Ok(answer),
            (Search::Nobody, None) => Err(behalf.no_access()),
            (Search::Incomplete, _) => Err(not_all_asked()),
            // Only its sender may see it, and they can still give us access.
            (_, Some(_)) if is_to_be_given(account, transfer, behalf) => Err(behalf.no_access()),
            (_, Some(first)) => Ok(first),
            (Search::Unseen | Search::Off, None) => Ok(Answer::plain(Lookup::NotFound)),
        }
    }

    /// Asks with everybody's grant in turn, reading only: the admin allowed it. Who sees the envelope is noted as its sender,
    /// unless the platform names another.
    async fn search(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        behalf: &Behalf,
    ) -> Result<Search, Error> {
        let platform = account.platform;
        let id = &account.access.account;
        let tried = behalf.sender_id();
        let rows = self.store.grants(Some(id)).await.map_err(stored)?;
        if rows.is_empty() {
            return Ok(Search::Nobody);
        }
        let others: Vec<_> = rows.into_iter().filter(|row| Some(&row.sender) != tried.as_ref()).collect();
        // Of very many, others are asked at every look.
        let looks = transfer.parked.map_or(transfer.not_found, |parked| parked.looks);
        let before = usize::try_from(looks).unwrap_or(0).saturating_mul(SEARCH_SENDERS_MAX);
        let from = if before < others.len() { before } else { 0 };
        let mut all_asked = from + SEARCH_SENDERS_MAX >= others.len();
        for row in others.into_iter().skip(from).take(SEARCH_SENDERS_MAX) {
            let granted = match self.means(account, &row.sender).await {
                Ok(Means::Granted(granted)) => granted,
                Err(error) if error.kind() == ErrorKind::Storage => return Err(error),
                Ok(Means::Nothing) => continue,
                Ok(Means::Refused) | Err(_) => {
                    all_asked = false;
                    continue;
                }
            };
            let make = |access: &Access| platform.fetch_envelope(access, &transfer.envelope_id);
            let ask = |access: Access| async move { self.caller.ask(platform, &access, make).await };
            match self.with_grant(account, *granted, ask).await {
                Ok(Lookup::NotFound) => {}
                Ok(found) => {
                    let sender = row.sender.as_str();
                    let noted = self.store.note_sender(id, &transfer.envelope_id, sender, self.now()).await;
                    noted.map_err(stored)?;
                    return Ok(Search::Seen(Answer::plain(found)));
                }
                Err(error) if is_refusal(&error) || error.remedy() == Remedy::RenewAccess => {
                    all_asked = false
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if all_asked { Search::Unseen } else { Search::Incomplete })
    }

    /// What notifications said of a transfer's envelope.
    pub(crate) async fn known(&self, transfer: &Transfer) -> Result<Option<Known>, Error> {
        let ids = std::slice::from_ref(&transfer.envelope_id);
        let known = self.store.known(&transfer.account, ids).await.map_err(|error| {
            Error::new(ErrorKind::Storage, Remedy::Retry(None), "ask", "the store failed").caused_by(error)
        })?;
        Ok(known.into_iter().next())
    }
}

/// What asking everybody found.
enum Search {
    /// The admin does not allow it.
    Off,
    /// Nobody has given access.
    Nobody,
    /// Nobody who gave access sees it.
    Unseen,
    /// Nobody of those who could be asked sees it, and some could not.
    Incomplete,
    /// Somebody sees it.
    Seen(Answer<Lookup>),
}

/// Whether "not found" with the account's own access says only that its sender must give us theirs: it lasts, and nothing says
/// that the envelope went away.
fn is_to_be_given(account: &EngineAccount, transfer: &Transfer, behalf: &Behalf) -> bool {
    let can_be_given = behalf.is_own() && behalf.sender.is_some() && account.oauth.is_some();
    let lasts = transfer.not_found + 1 >= NOT_FOUND_TRIES_MAX;
    let may_be_gone =
        transfer.archived_at.is_some() || transfer.disposal_asked_at.is_some() || transfer.deletion_announced;
    can_be_given && lasts && !may_be_gone
}

/// "Not found" by those who could be asked says nothing while others cannot.
fn not_all_asked() -> Error {
    let what = "nobody knows who sent the envelope, and some of those who gave access cannot be asked now";
    Error::new(ErrorKind::NotReady, Remedy::Park, "ask", what)
}

/// Asks with the account's own access, in the sender's name first where the platform offers that.
async fn in_own_turn<T, F>(
    account: &EngineAccount,
    behalf: &Behalf,
    ask: impl Fn(Access) -> F,
) -> Result<Answer<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    if !account.has_own_access() {
        return Err(behalf.no_access());
    }
    let named = behalf.sender.clone().filter(|_| account.platform.capabilities().per_sender);
    in_turn(&account.access, named, ask).await
}

/// The fact of an error that says in whose name was asked. Adapters name it so too.
const SENDER: &str = "sender";

/// The error with the sender in whose name it was met.
pub(crate) fn in_name_of(sender: Option<&str>, error: Error) -> Error {
    match sender {
        Some(sender) if !error.names_sender() => error.with(SENDER, sender),
        _ => error,
    }
}

/// What the platform answered, and how.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    /// The answer.
    pub(crate) value: T,
    /// Why it is not the answer to whoever should see the envelope, if that was tried.
    pub(crate) refused: Option<Error>,
}

impl<T> Answer<T> {
    fn plain(value: T) -> Self {
        Self { value, refused: None }
    }
}

/// Asks in the sender's name, if one is given, and with the account's own access where that is refused. The account's
/// answer counts then; only that it sees nothing says nothing about an envelope of somebody else.
pub(crate) async fn in_turn<T, F>(
    own: &Access,
    sender: Option<String>,
    ask: impl Fn(Access) -> F,
) -> Result<Answer<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let Some(sender) = sender else {
        return Ok(Answer::plain(ask(own.clone()).await?));
    };
    let refused = match ask(own.clone().for_sender(sender)).await {
        Err(error) if is_refusal(&error) => error,
        answer => return Ok(Answer::plain(answer?)),
    };
    match ask(own.clone()).await {
        Ok(value) => Ok(Answer { value, refused: Some(refused) }),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(hidden(refused)),
        Err(error) => Err(error.with("in the sender's name", refused.kind().as_str())),
    }
}

/// Whether somebody else's access may open what this one did not.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AccessRefused | ErrorKind::Forbidden)
}

/// Whether the access is good and does not reach the envelope.
fn is_unseen(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden)
}

/// Neither of them sees the envelope, and only one of them should: it must not be taken for deleted. A token is refused in
/// passing too, so a person is asked only when that lasts; a missing right does not come back by itself.
pub(crate) fn hidden(refused: Error) -> Error {
    let remedy = match refused.kind() {
        ErrorKind::AccessRefused => Remedy::Retry(None),
        _ => Remedy::AskPerson,
    };
    Error::new(
        ErrorKind::Forbidden,
        remedy,
        "ask",
        "the platform refuses to be asked in the sender's name, and the account's own access does not see the \
         envelope: let the account act for this sender again, or give it an access that sees all, and redrive",
    )
    .caused_by(refused)
}

#[cfg(test)]
mod tests;
