//! Callback URLs in the platform's records, taken out before a record is archived: they hold the path secret, ours or another
//! integration's, so it does not matter which host they name.
//!
//! The configuration (version 6) and the envelope (version 5) bear them. All else in the records stays byte for byte.

use crate::redaction;

/// Members that are callback URLs.
const URLS: [&str; 3] = ["CallbackUrl", "StatusUpdateCallbackUrl", "AfterSendCallbackUrl"];
/// Members that are callbacks with a choice of events, in version 6 and in version 5.
const CALLBACKS: [&str; 2] = ["ActivityActionCallbackConfiguration", "WorkstepEventCallback"];
/// The URL of such a callback.
const URL: &str = "Url";

/// What version 5 writes where there is none.
const NO_URL: &[u8] = b"\"\"";

/// Where in a record a value stands.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Elsewhere,
    /// Directly in a callback: version 5 does not say in all answers whether that is an object or the URL itself.
    Callback,
    /// In the URL, whatever that is made of.
    Url,
}

impl redaction::Place for Place {
    fn member(self, name: &str) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if self == Self::Url || URLS.into_iter().any(is) || (self == Self::Callback && is(URL)) {
            return Self::Url;
        }
        if CALLBACKS.into_iter().any(is) { Self::Callback } else { Self::Elsewhere }
    }

    fn is_secret(self, value: &[u8]) -> bool {
        self != Self::Elsewhere && value != NO_URL
    }
}

/// The record without its callback URLs; `None` if it has none, or is no JSON.
pub(super) fn redacted(record: &[u8]) -> Option<Vec<u8>> {
    redaction::redacted::<Place>(record)
}
