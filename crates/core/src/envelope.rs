//! Envelopes: what the platform said when asked, and what we know by putting its words together.

use jiff::Timestamp;

use crate::callback::Notification;
use crate::ids::{AccountId, EnvelopeId};

/// The normalised status. The order is the order in which notifications may raise it: of two contradicting
/// announcements the later variant wins, whichever came first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EnvelopeStatus {
    /// Nothing is known yet.
    Unknown,
    /// Made, not sent.
    Draft,
    /// Sent, untouched.
    Sent,
    /// Signers are at it.
    InProgress,
    /// Its time ran out.
    Expired,
    /// A signer declined.
    Declined,
    /// The sender withdrew it.
    Cancelled,
    /// The platform could not process it.
    Failed,
    /// Everybody signed.
    Completed,
    /// Gone from the platform.
    Deleted,
}

impl EnvelopeStatus {
    /// All of them, for counts and filters.
    pub const ALL: [Self; 10] = [
        Self::Unknown,
        Self::Draft,
        Self::Sent,
        Self::InProgress,
        Self::Expired,
        Self::Declined,
        Self::Cancelled,
        Self::Failed,
        Self::Completed,
        Self::Deleted,
    ];

    /// The word in JSON, config and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Draft => "draft",
            Self::Sent => "sent",
            Self::InProgress => "in_progress",
            Self::Expired => "expired",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Deleted => "deleted",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the signing case has ended. An expired one can be restarted at some platforms; a notification
    /// or sweep that says so reopens it.
    pub fn is_final(self) -> bool {
        self > Self::InProgress
    }
}

/// Whether the platform will replace the signed files by ones that can be verified for longer, as it does when a
/// seal is extended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Extension {
    /// Nothing will replace them.
    #[default]
    NotAwaited,
    /// It has not happened yet: an envelope that is removed now misses it for ever.
    Awaited,
    /// It has happened.
    Done,
    /// The platform does not tell; taken for [`Awaited`](Self::Awaited).
    Unknown,
}

impl Extension {
    const ALL: [Self; 4] = [Self::NotAwaited, Self::Awaited, Self::Done, Self::Unknown];

    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAwaited => "not_awaited",
            Self::Awaited => "awaited",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.as_str() == word)
    }

    /// Whether a removal would come too early.
    pub fn is_to_come(self) -> bool {
        matches!(self, Self::Awaited | Self::Unknown)
    }
}

/// One signer as the platform tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Signer {
    /// The platform's id, by which some callbacks name signers.
    pub id: Option<String>,
    /// Name, if given.
    pub name: Option<String>,
    /// E-mail address, if given.
    pub email: Option<String>,
    /// The platform's word for how far they are.
    pub status_at_platform: Option<String>,
    /// When they signed.
    pub signed_at: Option<Timestamp>,
}

/// An envelope as the platform answered when asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Its id, normalised by the adapter.
    pub id: EnvelopeId,
    /// Its name or title.
    pub name: Option<String>,
    /// Our status.
    pub status: EnvelopeStatus,
    /// The platform's own word.
    pub status_at_platform: String,
    /// Who sent it (e-mail), whose access we use.
    pub sender: Option<String>,
    /// Its signers in order.
    pub signers: Vec<Signer>,
    /// When it was made or sent.
    pub created_at: Option<Timestamp>,
    /// When the last signer finished.
    pub completed_at: Option<Timestamp>,
    /// The customer's own metadata, verbatim (JSON text, XML, anything).
    pub metadata: Option<String>,
    /// Not binding: the platform's test mode.
    pub test_mode: bool,
    /// When the platform lets it expire if it is not completed.
    pub expires_at: Option<Timestamp>,
    /// Changes when the platform replaces the signed files of a final envelope; `None` where it never does.
    pub revision: Option<String>,
    /// Whether such a replacement is still to come.
    pub extension: Extension,
    /// What the adapter needs to remember about how this envelope is reached (an API generation).
    pub route: Option<String>,
}

impl Envelope {
    /// An envelope of which only this much is known.
    pub fn new(id: EnvelopeId, status: EnvelopeStatus, status_at_platform: impl Into<String>) -> Self {
        Self {
            id,
            name: None,
            status,
            status_at_platform: status_at_platform.into(),
            sender: None,
            signers: Vec::new(),
            created_at: None,
            completed_at: None,
            metadata: None,
            test_mode: false,
            expires_at: None,
            revision: None,
            extension: Extension::NotAwaited,
            route: None,
        }
    }
}

/// The platform's answer to "what is this envelope now?".
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Here it is.
    Found(Box<Envelope>),
    /// It was there and has been deleted.
    Deleted {
        /// When, if the platform says so.
        at: Option<Timestamp>,
    },
    /// Nothing of that id is visible to this access: unknown, forged, or somebody else's.
    NotFound,
}

/// What we know about one envelope: announcements first, the platform's answer above them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// The account it belongs to.
    pub account: AccountId,
    /// Its id.
    pub id: EnvelopeId,
    /// Its name.
    pub name: Option<String>,
    /// Our status.
    pub status: EnvelopeStatus,
    /// Whether `status` is the platform's answer (`true`) or only announced.
    pub confirmed: bool,
    /// The platform's own word.
    pub status_at_platform: Option<String>,
    /// Who sent it.
    pub sender: Option<String>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// [`Envelope::revision`] of the platform's last answer.
    pub revision: Option<String>,
    /// Whether a final notification came by callback.
    pub announced: bool,
    /// Whether a sweep, or a look of ours, found its end before any callback announced it; a gap as long as
    /// none does.
    pub swept: bool,
    /// When everything was archived and verified.
    pub archived_at: Option<Timestamp>,
    /// When it was removed at the platform after archiving.
    pub disposed_at: Option<Timestamp>,
    /// When we first heard of it.
    pub first_seen_at: Timestamp,
    /// When anything here last changed.
    pub updated_at: Timestamp,
}

impl Known {
    /// An envelope heard of for the first time.
    pub fn first_seen(account: AccountId, id: EnvelopeId, now: Timestamp) -> Self {
        Self {
            account,
            id,
            name: None,
            status: EnvelopeStatus::Unknown,
            confirmed: false,
            status_at_platform: None,
            sender: None,
            completed_at: None,
            revision: None,
            announced: false,
            swept: false,
            archived_at: None,
            disposed_at: None,
            first_seen_at: now,
            updated_at: now,
        }
    }

    /// Takes in a notification. Order and repetition do not matter: a status is only ever raised, and never
    /// above one that the platform itself confirmed as final.
    pub fn announce(&mut self, news: &Notification, by_callback: bool, now: Timestamp) {
        // A platform that shows a cancelled envelope as deleted is explained by the late announcement.
        if news.kind.suggests() == Some(EnvelopeStatus::Cancelled)
            && self.status == EnvelopeStatus::Deleted
            && self.archived_at.is_none()
        {
            self.status = EnvelopeStatus::Cancelled;
        }
        let settled = self.confirmed && self.status.is_final();
        if let Some(status) = news.kind.suggests()
            && status > self.status
            && !settled
        {
            self.status = status;
            self.confirmed = false;
        }
        self.announced |= by_callback && news.kind.is_final();
        self.swept |= !by_callback && news.kind.is_final() && !settled;
        fill(&mut self.name, &news.name);
        fill(&mut self.sender, &news.sender);
        self.updated_at = self.updated_at.max(now);
    }

    /// Takes in the platform's answer, which outranks every announcement.
    pub fn confirm(&mut self, answer: &Envelope, now: Timestamp) {
        self.status = answer.status;
        self.confirmed = true;
        self.swept |= answer.status.is_final() && !self.announced;
        self.status_at_platform = Some(answer.status_at_platform.clone());
        replace(&mut self.name, &answer.name);
        replace(&mut self.sender, &answer.sender);
        replace(&mut self.completed_at, &answer.completed_at);
        replace(&mut self.revision, &answer.revision);
        self.updated_at = self.updated_at.max(now);
    }

    /// An envelope whose end was found by looking and announced by no callback.
    pub fn is_gap(&self) -> bool {
        self.swept && !self.announced
    }

    /// The platform says that it is gone. An archived one keeps the status in which it was archived, and of a
    /// cancelled one that is another word for the same.
    pub fn gone(&mut self, now: Timestamp) {
        if self.archived_at.is_none() && self.status != EnvelopeStatus::Cancelled {
            self.status = EnvelopeStatus::Deleted;
        }
        self.confirmed = true;
        self.updated_at = self.updated_at.max(now);
    }
}

fn fill<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
    if slot.is_none() {
        slot.clone_from(value);
    }
}

fn replace<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
    if value.is_some() {
        slot.clone_from(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::NotificationKind;

    fn news(kind: NotificationKind) -> Notification {
        Notification {
            envelope: EnvelopeId::new("e"),
            kind,
            kind_at_platform: kind.as_str().into(),
            occurred_at: None,
            signer: None,
            detail: None,
            sender: None,
            name: None,
            draft: None,
        }
    }

    fn known() -> Known {
        Known::first_seen(AccountId::new("a"), EnvelopeId::new("e"), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn any_order_and_repetition_of_notifications_ends_in_the_same_state() {
        use NotificationKind::{Cancelled, Declined, Expired, Finished, Opened, Sent};
        let kinds = [Sent, Opened, Declined, Cancelled, Expired, Finished];
        let mut ends = std::collections::HashSet::new();
        for start in 0..kinds.len() {
            for step in [1, 5] {
                let mut known = known();
                for i in 0..kinds.len() * 2 {
                    let kind = kinds[(start + i * step) % kinds.len()];
                    known.announce(&news(kind), true, Timestamp::UNIX_EPOCH);
                }
                ends.insert((known.status, known.announced));
            }
        }
        assert_eq!(ends.into_iter().collect::<Vec<_>>(), [(EnvelopeStatus::Cancelled, true)]);
    }

    #[test]
    fn a_late_notification_never_moves_a_confirmed_final_status() {
        let mut known = known();
        let declined = Envelope::new(EnvelopeId::new("e"), EnvelopeStatus::Declined, "declined");
        let answer = Envelope { name: Some("Contract".into()), ..declined };
        known.confirm(&answer, Timestamp::UNIX_EPOCH);
        for kind in [NotificationKind::Sent, NotificationKind::Cancelled, NotificationKind::Failed] {
            known.announce(&news(kind), true, Timestamp::UNIX_EPOCH);
        }
        assert_eq!((known.status, known.confirmed), (EnvelopeStatus::Declined, true));
        assert_eq!(known.name.as_deref(), Some("Contract"));
        known.archived_at = Some(Timestamp::UNIX_EPOCH);
        known.gone(Timestamp::UNIX_EPOCH);
        assert_eq!(known.status, EnvelopeStatus::Declined, "what was archived keeps its status");
    }
}
