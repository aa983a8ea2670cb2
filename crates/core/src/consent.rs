//! The consent desk: the seam between the pages that a sender's browser sees and the engine that asks the platform.
//!
//! A page knows routes, cookies and words; the desk knows grants, drafts and what may be done for whom. What a browser
//! claims (a user, a draft, a state) is believed only where the platform says so with the sender's own access.

use std::time::Duration;

use async_trait::async_trait;

use crate::ids::AccountId;
use crate::secret::Secret;

/// Why a browser comes to us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Errand {
    /// The platform sent it here before a draft is sent. Nothing of it is proven.
    BeforeSend {
        /// The draft, as claimed.
        draft: String,
        /// The platform's id of the user who wants to send it, as claimed.
        user: String,
        /// The platform's id of their organisation, as claimed; perhaps empty.
        organization: String,
        /// The sender looked at a draft whose first sending has an unknown end, and says: send it.
        confirmed: bool,
    },
    /// Somebody wants to give us access.
    Connect,
    /// Somebody follows the link of an e-mail to give access again. The text is the link's sealed part.
    Renew(String),
}

/// What a browser showed of itself.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Binds a consent to the browser that began it: 256 random bit in base64url, in a cookie of ours.
    pub key: Secret,
    /// The session that [`Turn::session`] gave it earlier, if it has one.
    pub session: Option<Secret>,
}

/// What a browser is to be answered.
#[derive(Debug)]
pub struct Turn {
    /// What it is shown, or where it goes.
    pub scene: Scene,
    /// A session to set, and for how long. Proof of who the browser's user is at this account's platform.
    pub session: Option<(Secret, Duration)>,
}

impl From<Scene> for Turn {
    fn from(scene: Scene) -> Self {
        Self { scene, session: None }
    }
}

/// What a browser is shown.
#[derive(Debug)]
pub enum Scene {
    /// It goes to the platform's consent page.
    Depart(String),
    /// It goes back to the platform: the draft was sent, now or by an earlier visit.
    Inbox(String),
    /// It is offered to connect: by consent, by typing a key in, or both.
    Offer {
        /// Consent is possible.
        consent: bool,
        /// The fields of a key that can be typed in; empty if none can.
        fields: &'static [&'static str],
        /// The link by which the sender came, to be given back with what they type in.
        link: Option<String>,
    },
    /// The sender's access is in the vault.
    Connected {
        /// Who it is, by the platform's word.
        name: String,
    },
    /// The draft was sent, and the platform has no place to go back to.
    Sent {
        /// How many envelopes came of it.
        envelopes: usize,
    },
    /// It is being sent at this moment, or the platform may be at it; what to come back with soon.
    Sending(Errand),
    /// A first sending has an unknown end and the draft still stands; only the sender may say "send it".
    SendAgain {
        /// The draft's name.
        name: Option<String>,
        /// What to ask for when they do.
        errand: Errand,
    },
    /// Something is in the way.
    Trouble {
        /// What.
        trouble: Trouble,
        /// What can be tried again, if that can help.
        again: Option<Errand>,
    },
}

/// What can be in the way. Nothing in it is a secret; texts of the platform are bounded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// There is no such account, or it offers nothing of that kind.
    NoSuchPage,
    /// Parameters are missing or have no valid form: the URL configured at the platform is wrong. In a clause ("the draft is
    /// missing").
    BadParameters(&'static str),
    /// The way back fits no consent that this browser began: forged, replayed, too late, or begun in another browser.
    UnknownReturn,
    /// The link of an e-mail is not ours or too old.
    LinkExpired,
    /// The sender said no at the platform.
    Declined,
    /// The authorisation server refuses, for this reason.
    ConsentFailed(String),
    /// The platform says that the browser's user is somebody else than the one it is about.
    SomebodyElse,
    /// The draft is not visible to this sender: foreign, sent already, or deleted.
    DraftNotVisible,
    /// The platform refuses to send the draft, for this reason; it was not sent.
    SendRefused(String),
    /// The platform gave no clear answer to the sending; it is being looked for.
    SendUnclear,
    /// The typed key is refused by the platform.
    KeyRefused,
    /// The platform's user is none of those from whom this account takes access, or another user of the same address gave it
    /// before.
    NotWelcome,
    /// Too many come at once; nothing was done.
    Busy,
    /// The platform does not answer, or not sensibly; nothing was done.
    PlatformSilent,
    /// Our own side is not set up or fails; the operator finds the reason in the log.
    OurFault,
}

/// Answers browsers. Every method may be called any number of times by anybody.
#[async_trait]
pub trait ConsentDesk: Send + Sync {
    /// A browser comes with an errand.
    async fn arrive(&self, account: &AccountId, errand: Errand, browser: &Browser) -> Turn;
    /// The sender pressed the button of [`Scene::Offer`].
    async fn depart(&self, account: &AccountId, browser: &Browser) -> Turn;
    /// A browser comes back from the platform, with this query.
    async fn returned(&self, account: &AccountId, query: &str, browser: &Browser) -> Turn;
    /// A sender typed a key in, on the page that a link led to if there is one ([`Scene::Offer`]).
    async fn key_typed(
        &self,
        account: &AccountId,
        fields: Vec<(String, Secret)>,
        link: Option<String>,
        browser: &Browser,
    ) -> Turn;
    /// The account whose way back leads to this path of ours, if there is one.
    fn account_of_return(&self, path: &str) -> Option<AccountId>;
}
