//! One error that knows its remedy.
//!
//! The place that understands a failure decides what is to be done about it; everything above only obeys the
//! [`Remedy`]. `Display` gives the operation and the message, never the source (the chain prints that), and
//! never a secret.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::grant::Holder;

/// What kind of failure it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The other side could not be reached, timed out or broke off.
    Unreachable,
    /// The other side is up and says that it cannot serve now (5xx, maintenance).
    Unavailable,
    /// The other side asks us to go slower.
    RateLimited,
    /// The thing exists and is not ready yet.
    NotReady,
    /// The credential was refused.
    AccessRefused,
    /// The credential is good and this right is missing.
    Forbidden,
    /// Nothing of that id is there for us.
    NotFound,
    /// The request was refused as wrong.
    Rejected,
    /// The answer was not what the platform's documentation promises.
    Unintelligible,
    /// The bytes are not those that were promised (truncated, not a PDF, another digest).
    Corrupt,
    /// The disk, the archive or the database failed us.
    Storage,
    /// Our own configuration lacks something.
    Misconfigured,
}

impl ErrorKind {
    /// The word under which it stands in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
            Self::RateLimited => "rate_limited",
            Self::NotReady => "not_ready",
            Self::AccessRefused => "access_refused",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Unintelligible => "unintelligible",
            Self::Corrupt => "corrupt",
            Self::Storage => "storage",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// The earliest time of the next attempt, as the other side put it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotBefore {
    /// So long from now.
    After(Duration),
    /// At this time (Unix reset headers).
    At(Timestamp),
}

/// What is to be done about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Try again after the back-off, and not before the given time.
    Retry(Option<NotBefore>),
    /// Not a failure: the platform is not ready. Wait without counting attempts.
    Park,
    /// Park until somebody renews the access.
    RenewAccess,
    /// Trying again cannot help, and nothing is lost by giving up.
    Abandon,
    /// A person must look: the transfer becomes a dead letter with a task.
    AskPerson,
}

/// The fact that names the sender in whose name a failure was met.
pub const SENDER: &str = "sender";

/// A failure with its kind, remedy, operation and context.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    remedy: Remedy,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    /// Boxed, because errors are moved about in results.
    holder: Option<Box<Holder>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure of `operation`, with a message that says what, where and what to do next.
    pub fn new(kind: ErrorKind, remedy: Remedy, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            remedy,
            operation,
            message: message.into(),
            context: Vec::new(),
            holder: None,
            source: None,
        }
    }

    /// Adds a fact for the log line (never a secret, never a body).
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    /// Adds the failure underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The remedy.
    pub fn remedy(&self) -> Remedy {
        self.remedy
    }

    /// The operation that failed.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The facts added on the way up.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.context
    }

    /// Says with whose access it was met.
    #[must_use]
    pub fn met_with(mut self, holder: Holder) -> Self {
        self.holder = Some(Box::new(holder));
        self
    }

    /// With whose access it was met.
    pub fn holder(&self) -> &Holder {
        self.holder.as_deref().unwrap_or(&Holder::Account)
    }

    /// Whether it names the sender in whose name it was met.
    pub fn names_sender(&self) -> bool {
        self.holder().sender().is_some() || self.context.iter().any(|(key, _)| *key == SENDER)
    }

    /// The chain for logs and for records that nobody erases: where it names a sender, it says only what failed and how,
    /// because its words and those underneath are about that person.
    pub fn impersonal_chain(&self) -> String {
        let mut parts = Vec::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = next {
            if let Some(personal) = error.downcast_ref::<Self>().filter(|error| error.names_sender()) {
                parts.push(format!("{}: {}", personal.operation, personal.kind.as_str()));
                break;
            }
            parts.push(error.to_string());
            next = error.source();
        }
        parts.join(": ")
    }

    /// Message and every source underneath, on one line, for records that people read.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            text.push_str(": ");
            text.push_str(&source.to_string());
            next = source.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)?;
        for (key, value) in &self.context {
            write!(f, " ({key}: {value})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_does_not_repeat_its_source_and_the_chain_has_both() {
        let error = Error::new(ErrorKind::Storage, Remedy::Retry(None), "deliver", "cannot write")
            .with("destination", "archive")
            .caused_by(std::io::Error::other("disk full"));
        assert_eq!(error.to_string(), "deliver: cannot write (destination: archive)");
        assert_eq!(error.chain(), "deliver: cannot write (destination: archive): disk full");
    }
}
