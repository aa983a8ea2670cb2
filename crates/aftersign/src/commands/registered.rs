//! Compares the callback that a platform has registered with ours.
//!
//! Path secrets make URLs secret, those of other integrations too: what is told of a URL is whom it leads to and its
//! host, never more.

use aftersign_core::platform::Registration;

use crate::config::AccountSettings;

/// Whom a registered callback leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum LeadsTo {
    /// To us, with the current path secret.
    Us,
    /// To us, with the path secret that is being replaced.
    UsByFormerSecret,
    /// To this account's URL, with a path secret that is not valid: callbacks are answered 404.
    UsByWrongSecret,
    /// To somebody else, at this host.
    Another {
        /// The host.
        host: String,
    },
    /// To nobody: nothing is registered.
    Nobody,
}

impl LeadsTo {
    /// The word in JSON.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::UsByFormerSecret => "us_by_former_secret",
            Self::UsByWrongSecret => "us_by_wrong_secret",
            Self::Another { .. } => "another",
            Self::Nobody => "nobody",
        }
    }

    /// The whole sentence for a person.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Us => "the URL registered at the platform is ours".into(),
            Self::UsByFormerSecret => {
                "the URL registered at the platform is ours, with the path secret that is being replaced"
                    .into()
            }
            Self::UsByWrongSecret => {
                "the URL registered at the platform is this account's, with a path secret that is not valid"
                    .into()
            }
            Self::Another { host } => {
                format!("the URL registered at the platform is not ours; it leads to {host}")
            }
            Self::Nobody => "no callback URL is registered for the account at the platform".into(),
        }
    }

    /// Whether callbacks arrive.
    pub(super) fn arrives(&self) -> bool {
        matches!(self, Self::Us | Self::UsByFormerSecret)
    }
}

/// What is registered, compared with what should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Compared {
    /// Whom it leads to.
    pub(super) leads_to: LeadsTo,
    /// What the platform tells, in its words.
    pub(super) events: Vec<String>,
    /// What it should tell and does not, with what it may not know.
    pub(super) missing: Vec<&'static str>,
    /// Whether something is missing that cannot be done without.
    pub(super) lacks: bool,
    /// What it tells without being asked.
    pub(super) surplus: Vec<String>,
}

impl Compared {
    /// Compares a registration with what the account should have.
    pub(super) fn new(registration: &Registration, account: &AccountSettings, public_url: &str) -> Self {
        let (wanted, optional) = (account.platform.wanted_events(), account.platform.optional_events());
        let is_asked = |event: &str| wanted.contains(&event) || optional.contains(&event);
        let unasked = |event: &&String| !wanted.is_empty() && !is_asked(event);
        Self {
            leads_to: leads_to(registration, account, public_url),
            missing: registration.missing(&[wanted, optional].concat()),
            lacks: !registration.missing(wanted).is_empty(),
            surplus: registration.events.iter().filter(unasked).cloned().collect(),
            events: registration.events.clone(),
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_in_order(&self) -> bool {
        self.leads_to == LeadsTo::Us && !self.lacks && self.surplus.is_empty()
    }
}

fn leads_to(registration: &Registration, account: &AccountSettings, public_url: &str) -> LeadsTo {
    let Some(url) = registration.bare_url() else { return LeadsTo::Nobody };
    let by_secret = account.callback_urls(public_url);
    match by_secret.iter().position(|urls| urls.iter().any(|ours| registration.calls(&ours.url))) {
        Some(0) => return LeadsTo::Us,
        Some(_) => return LeadsTo::UsByFormerSecret,
        None => {}
    }
    if url.starts_with(&account.callback_root(public_url)) {
        return LeadsTo::UsByWrongSecret;
    }
    let host = registration.host().unwrap_or_else(|| "something that is no URL".into());
    LeadsTo::Another { host }
}
