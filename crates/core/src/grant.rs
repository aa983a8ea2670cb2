//! Grants: what a sender gave us so that we may act in their name and see what they see.
//!
//! How a grant comes about differs by platform (a code grant, a three-step grant, a key that somebody types in); what
//! comes of it does not. Adapters say what to ask, the engine asks, the vault keeps it sealed.

use std::fmt;

use jiff::Timestamp;

use crate::ids::SenderId;
use crate::platform::Credential;
use crate::secret::Secret;

/// Whose access it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Holder {
    /// The account's own, from the config.
    #[default]
    Account,
    /// That of one of its senders, from the vault.
    Sender(SenderId),
}

impl Holder {
    /// The sender, if it is one's.
    pub fn sender(&self) -> Option<&SenderId> {
        match self {
            Self::Account => None,
            Self::Sender(sender) => Some(sender),
        }
    }
}

/// How a grant came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantKind {
    /// The sender consented at the platform.
    Consent,
    /// Somebody typed a key in.
    Key,
}

impl GrantKind {
    const ALL: [Self; 2] = [Self::Consent, Self::Key];

    /// The word in JSON and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Key => "key",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A sender's access as the vault keeps it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// How it came about.
    pub kind: GrantKind,
    /// The secrets with which the platform is called, by field name.
    pub credential: Credential,
    /// With what the next one is fetched, where the platform gives such a token.
    pub refresh_token: Option<Secret>,
    /// When the next one must be fetched: a little before the end of this one. `None` if it does not end by itself.
    pub renew_at: Option<Timestamp>,
}

/// How a token endpoint is told which application asks (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientAuth {
    /// Id and secret in the form.
    #[default]
    Post,
    /// Id and secret as HTTP Basic.
    Basic,
}

impl ClientAuth {
    /// The words in the config.
    pub const WORDS: [&'static str; 2] = ["post", "basic"];

    /// Reads the config's word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "post" => Some(Self::Post),
            "basic" => Some(Self::Basic),
            _ => None,
        }
    }
}

/// The application under which an account asks its senders for consent.
#[derive(Clone, Debug)]
pub struct OauthApp {
    /// The application's public name.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Where senders consent; the platform's own place if `None`.
    pub authorize_url: Option<String>,
    /// Where codes and refresh tokens are exchanged; the platform's own place if `None`.
    pub token_url: Option<String>,
    /// Where browsers come back to: exactly as it is registered at the platform.
    pub redirect_uri: String,
    /// What is asked for; the platform's usual scope if `None`.
    pub scope: Option<String>,
    /// How the token endpoint is told who asks.
    pub client_auth: ClientAuth,
    /// Whether a code is bound to the one who asked for it (RFC 7636, S256).
    pub pkce: bool,
}

/// Fresh randomness for one consent.
#[derive(Clone, Debug)]
pub struct Nonces {
    /// What comes back with the browser: 256 bit in base64url. Platforms whose grant has no such parameter have their own.
    pub state: Secret,
    /// The code verifier: 256 bit in base64url (RFC 7636, section 4.1).
    pub verifier: Secret,
}

/// Where a browser is sent to consent, and what must be remembered until it comes back.
#[derive(Clone)]
pub struct Departure {
    /// The platform's page; holds the state.
    pub url: String,
    /// What the browser brings back, by which the consent is found again.
    pub state: Secret,
    /// What the exchange needs besides: a verifier, the secret of a temporary token. Perhaps empty.
    pub keep: Secret,
}

impl fmt::Debug for Departure {
    /// The URL holds the state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure").finish_non_exhaustive()
    }
}

/// With what a browser comes back.
#[derive(Clone, Debug)]
pub struct Return {
    /// By which the consent is found again.
    pub state: Secret,
    /// What the platform says.
    pub answer: ReturnAnswer,
}

/// What the platform says through the browser.
#[derive(Clone, Debug)]
pub enum ReturnAnswer {
    /// The code (OAuth 2.0) or the verifier (OAuth 1.0) to be exchanged.
    Granted(Secret),
    /// The sender said no.
    Denied,
    /// The authorisation server refuses, for this reason (its error word, bounded and free of markup).
    Failed(String),
}
