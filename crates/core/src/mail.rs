//! E-mail to people: one message, and the seam that hands it to a mail server.

use async_trait::async_trait;

use crate::error::Error;
use crate::ids::MailId;

/// One message to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its id; the same for every try, so that what was taken twice can be recognised (`Message-ID`).
    pub id: MailId,
    /// The recipient's address.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// The body for everybody.
    pub text: String,
    /// The same for those who like it better.
    pub html: String,
}

impl std::fmt::Debug for Mail {
    /// The bodies hold links that let their bearer in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Hands messages to a mail server.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands one message over. When this returns `Ok`, the server has taken it.
    ///
    /// # Errors
    /// [`crate::Remedy::Retry`] when it may help to try again, [`crate::Remedy::AskPerson`] when the server refuses this
    /// message or its recipient for good.
    async fn send(&self, mail: &Mail) -> Result<(), Error>;
    /// Whether the server lets us in; the error says what to mend.
    async fn probe(&self) -> Result<(), Error>;
}
