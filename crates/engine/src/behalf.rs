//! In whose name a platform is asked about an envelope.
//!
//! Some platforms show an envelope to its sender alone. There the sender's name opens it, and the account's own access
//! is tried where that is refused: a sender may have left, or may never have let us in.

use aftersign_core::envelope::Known;
use aftersign_core::platform::{Access, Call};
use aftersign_core::transfer::Transfer;
use aftersign_core::{Error, ErrorKind, Remedy};

use crate::{Engine, EngineAccount};

impl Engine {
    /// Asks about a transfer's envelope.
    pub(crate) async fn ask_about<T>(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        make: impl Fn(&Access) -> Result<Call<T>, Error>,
    ) -> Result<Answer<T>, Error> {
        let make = &make;
        let ask = |access: Access| async move { self.caller.ask(account.platform, &access, make).await };
        let sender = self.sender_of(account, transfer).await?;
        in_turn(&account.access, sender, ask).await
    }

    /// Who sent a transfer's envelope, as far as anybody said; `None` where it makes no difference.
    pub(crate) async fn sender_of(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
    ) -> Result<Option<String>, Error> {
        if !account.platform.capabilities().per_sender {
            return Ok(None);
        }
        let answered = transfer.envelope.as_ref().and_then(|envelope| envelope.sender.clone());
        if answered.is_some() {
            return Ok(answered);
        }
        Ok(self.known(transfer).await?.and_then(|known| known.sender))
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
    /// Why it is the account's own access that got it and not the sender's name, if that was tried.
    pub(crate) refused: Option<Error>,
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
        return Ok(Answer { value: ask(own.clone()).await?, refused: None });
    };
    let refused = match ask(own.clone().for_sender(sender)).await {
        Err(error) if is_refusal(&error) => error,
        answer => return Ok(Answer { value: answer?, refused: None }),
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
