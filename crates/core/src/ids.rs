//! Identifiers as newtypes, so that an account can never be passed where an envelope is meant.
//!
//! Ids that we make (callbacks, transfers, tasks) are UUID v7: time-ordered, so that rows stay in time order
//! on disk, and made without coordination between nodes. Ids that platforms make are opaque text.

use std::fmt;

use jiff::Timestamp;
use uuid::{Builder, Uuid};

use crate::seams::Entropy;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, ordered by `now` (milliseconds) and unique by 74 random bits.
            pub fn make(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let mut random = [0u8; 10];
                entropy.fill(&mut random);
                let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
                Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// The id from its 16 stored bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes to store; they sort by time.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads the hyphenated form. `None` if it is not a UUID.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::parse_str(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

text_id!(
    /// One configured tenant at a platform, as named in the config (`[[account]] id`).
    AccountId
);
text_id!(
    /// The platform's own id of an envelope: opaque, never built upon, normalised by the adapter.
    EnvelopeId
);
text_id!(
    /// One configured destination, as named in the config (`[[destination]] id`).
    DestinationId
);
own_id!(
    /// One distinct callback as received.
    CallbackId
);
own_id!(
    /// One transfer: one envelope on its way home.
    TransferId
);
own_id!(
    /// One task for a person.
    TaskId
);
own_id!(
    /// One sweep of one account.
    SweepId
);
own_id!(
    /// One e-mail to one person.
    MailId
);

/// A sender as accounts know them: their e-mail address at the platform (its own id of them where it has no address),
/// without regard to case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SenderId(String);

impl SenderId {
    /// Brings the text into the one form in which senders are compared. `None` if nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        (!text.is_empty()).then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has the form of an address that can be written to.
    pub fn is_address(&self) -> bool {
        let parts = self.0.split_once('@');
        let plain = !self.0.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c));
        plain && parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
    }
}

impl fmt::Display for SenderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_the_same_in_any_case() {
        assert_eq!(SenderId::new(" Anna@Example.com "), SenderId::new("anna@example.com"));
        assert_eq!(SenderId::new("  "), None);
        for (text, expected) in
            [("a@b", true), ("a", false), ("@b", false), ("a b@c", false), ("a@b@c", false)]
        {
            assert_eq!(SenderId::new(text).unwrap().is_address(), expected, "{text}");
        }
    }

    struct Zeros;
    impl Entropy for Zeros {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made_and_round_trip() {
        let early = CallbackId::make(Timestamp::from_millisecond(1_000).unwrap(), &Zeros);
        let late = CallbackId::make(Timestamp::from_millisecond(2_000).unwrap(), &Zeros);
        assert!(early < late && early.as_bytes() < late.as_bytes());
        assert_eq!(CallbackId::parse(&early.to_string()), Some(early));
        assert_eq!(CallbackId::from_bytes(*late.as_bytes()), late);
        assert_eq!(CallbackId::parse("no id"), None);
    }
}
