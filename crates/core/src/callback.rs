//! What comes in: one HTTP request as received, what it means, and what it is answered with.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;

use crate::digest::Digester;
use crate::envelope::EnvelopeStatus;
use crate::ids::EnvelopeId;
use crate::secret::Secret;

/// One HTTP request to a callback URL, raw. The path secret is already checked and not in here.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// `GET` or `POST`.
    pub method: Method,
    /// The path segment after the secret, for platforms with several kinds of callback.
    pub channel: Option<String>,
    /// The raw query string, without `?`; empty if there is none.
    pub query: String,
    /// All headers as received.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Inbound {
    /// The request out of its record. A method or header that is none was never received and is left out.
    pub fn recorded(
        method: &str,
        channel: Option<String>,
        query: String,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value))
            {
                map.append(name, value);
            }
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST);
        Self { method, channel, query, headers: map, body }
    }
}

/// What an account's callbacks are checked against, besides the path secret.
#[derive(Clone, Debug, Default)]
pub struct CallbackSecrets {
    /// What the platform signs or authenticates with; all are tried.
    pub keys: Vec<Secret>,
}

/// Keeps drafts' secrets apart from whatever else may ever be made with the same key.
const OF_DRAFT: &[u8] = b"aftersign draft\0";

/// The secret that stands for a path secret in the callback URLs of one draft: 43 characters of base64url.
///
/// Who may see a draft reads its callback URLs at the platform, so the path secret must not stand in them. This one opens
/// the door for this draft alone, and the path secret cannot be computed from it (HMAC-SHA-256). The case of `draft` makes no
/// difference.
pub fn draft_secret(path_secret: &Secret, draft: &str) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, path_secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(OF_DRAFT);
    context.update(draft.to_ascii_lowercase().as_bytes());
    Secret::new(URL_SAFE_NO_PAD.encode(context.sign()))
}

/// Why a callback is not authentic. Answered with 401; counted, never noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The platform signs its callbacks and this one bears no signature.
    Unsigned,
    /// A signature is there and does not fit.
    Forged,
    /// The signature fits and the body is not the one that was signed.
    Altered,
    /// HTTP Basic credentials are asked for and are missing or wrong.
    Unauthorized,
}

impl Refusal {
    /// The word under which it is counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Forged => "forged",
            Self::Altered => "altered",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// An exact answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Status code.
    pub status: StatusCode,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// The exact bytes.
    pub body: Bytes,
}

impl Reply {
    /// A 200 in plain text.
    pub fn ok(body: &'static str) -> Self {
        Self { status: StatusCode::OK, content_type: "text/plain", body: Bytes::from_static(body.as_bytes()) }
    }
}

/// What makes two callbacks of one account the same.
///
/// 24 bytes: the platform's own event time (seconds, big-endian; zero where it sends none) before 16 bytes of
/// a SHA-256 over the parts. The time in front keeps a unique index growing at its right edge; a bare hash
/// would touch a cold page for every callback and age with the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IdempotencyKey([u8; 24]);

impl IdempotencyKey {
    /// The key of `parts` (each is length-prefixed, so that borders count), ordered by `event_time`.
    pub fn new(event_time: Option<Timestamp>, parts: &[&[u8]]) -> Self {
        let mut digester = Digester::default();
        for part in parts {
            digester.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digester.update(part);
        }
        let mut key = [0u8; 24];
        let seconds = event_time.map_or(0, |at| u64::try_from(at.as_second()).unwrap_or(0));
        key[..8].copy_from_slice(&seconds.to_be_bytes());
        key[8..].copy_from_slice(&digester.finish().as_bytes()[..16]);
        Self(key)
    }

    /// The key from its stored bytes.
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        Self(bytes)
    }

    /// The bytes to store; they sort by event time.
    pub fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }
}

/// What another callback with the same key can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RepeatMeans {
    /// The key names one event: a repeat says nothing new.
    Nothing,
    /// The platform sends nothing that tells a retry from a second event: look again.
    PerhapsNews,
}

/// What a callback turned out to be.
#[derive(Clone, Debug)]
pub struct Interpretation {
    /// What makes it the same as another.
    pub key: IdempotencyKey,
    /// What a repeat of it can mean.
    pub repeat_means: RepeatMeans,
    /// The platform's word for it (`event_type`, action); `None` if there was none to read.
    pub kind: Option<String>,
    /// The envelope it names, if any.
    pub envelope: Option<EnvelopeId>,
    /// What it means, or why it is not understood.
    pub meaning: Meaning,
}

/// Understood or not.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// Notifications, perhaps none (a test callback).
    Understood(Vec<Notification>),
    /// Kept, never acted on; the text says why, for a person.
    Quarantined(String),
}

/// What a callback, or a row of a sweep, means in our words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// The envelope it is about.
    pub envelope: EnvelopeId,
    /// What happened.
    pub kind: NotificationKind,
    /// The platform's own word.
    pub kind_at_platform: String,
    /// When it happened, if the platform says so.
    pub occurred_at: Option<Timestamp>,
    /// The signer concerned, if the platform says so: by the id that the envelope's signers have in its answers, else by
    /// e-mail address or name; one person has one name in all news of an envelope.
    pub signer: Option<String>,
    /// The platform's text on it (decline reason, error).
    pub detail: Option<String>,
    /// Who sent the envelope, if the platform says so.
    pub sender: Option<String>,
    /// Name of the envelope, if the platform says so.
    pub name: Option<String>,
    /// The draft that became the envelope, if the platform says so.
    pub draft: Option<String>,
}

/// Every kind of news that we tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotificationKind {
    /// Made, not yet sent.
    Prepared,
    /// Sent to its signers.
    Sent,
    /// A signer opened it.
    Opened,
    /// One signer finished; others may follow.
    SignerFinished,
    /// All are done, or the platform calls it finished in whatever way: ask for its status.
    Finished,
    /// The platform says that (new) files can be fetched.
    ArtifactsReady,
    /// A signer declined.
    Declined,
    /// The sender withdrew it.
    Cancelled,
    /// Its time ran out.
    Expired,
    /// The platform could not process it.
    Failed,
    /// It was deleted at the platform.
    Deleted,
    /// A signer handed over to another.
    Delegated,
    /// A signer wants to hand over, and the sender must say to whom.
    DelegationPending,
    /// The platform's e-mail to a signer came back.
    EmailBounced,
    /// A signer was locked out after too many failures.
    SignerLocked,
    /// A signer could not be identified.
    AuthenticationFailed,
    /// All have signed, and the sender must complete it by hand.
    ReadyForCompletion,
    /// Anything that only informs (reminders, views of pages).
    Informed,
    /// A kind that our version does not know.
    Unknown,
    /// A sweep found the envelope changed.
    Swept,
}

/// How soon the platform must be asked because of a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Urgency {
    /// At once.
    Now,
    /// Together with what else comes within [`REFRESH_AFTER`](crate::limits::REFRESH_AFTER).
    Soon,
}

impl NotificationKind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Prepared,
        Self::Sent,
        Self::Opened,
        Self::SignerFinished,
        Self::Finished,
        Self::ArtifactsReady,
        Self::Declined,
        Self::Cancelled,
        Self::Expired,
        Self::Failed,
        Self::Deleted,
        Self::Delegated,
        Self::DelegationPending,
        Self::EmailBounced,
        Self::SignerLocked,
        Self::AuthenticationFailed,
        Self::ReadyForCompletion,
        Self::Informed,
        Self::Unknown,
        Self::Swept,
    ];

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word under which it stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Sent => "sent",
            Self::Opened => "opened",
            Self::SignerFinished => "signer_finished",
            Self::Finished => "finished",
            Self::ArtifactsReady => "artifacts_ready",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
            Self::Delegated => "delegated",
            Self::DelegationPending => "delegation_pending",
            Self::EmailBounced => "email_bounced",
            Self::SignerLocked => "signer_locked",
            Self::AuthenticationFailed => "authentication_failed",
            Self::ReadyForCompletion => "ready_for_completion",
            Self::Informed => "informed",
            Self::Unknown => "unknown",
            Self::Swept => "swept",
        }
    }

    /// The status that this news alone would suggest; the platform's answer outranks it.
    pub fn suggests(self) -> Option<EnvelopeStatus> {
        match self {
            Self::Prepared => Some(EnvelopeStatus::Draft),
            Self::Sent => Some(EnvelopeStatus::Sent),
            Self::Opened
            | Self::SignerFinished
            | Self::Delegated
            | Self::DelegationPending
            | Self::EmailBounced
            | Self::SignerLocked
            | Self::AuthenticationFailed
            | Self::ReadyForCompletion => Some(EnvelopeStatus::InProgress),
            Self::Declined => Some(EnvelopeStatus::Declined),
            Self::Cancelled => Some(EnvelopeStatus::Cancelled),
            Self::Expired => Some(EnvelopeStatus::Expired),
            Self::Failed => Some(EnvelopeStatus::Failed),
            Self::Finished
            | Self::ArtifactsReady
            | Self::Deleted
            | Self::Informed
            | Self::Unknown
            | Self::Swept => None,
        }
    }

    /// Whether it announces that the envelope reached a final status. New files alone do not: some platforms
    /// announce interim ones.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Finished
                | Self::Declined
                | Self::Cancelled
                | Self::Expired
                | Self::Failed
                | Self::Deleted
                | Self::Swept
        )
    }

    /// How soon the platform is asked.
    pub fn urgency(self) -> Urgency {
        if self.is_final() || self == Self::ArtifactsReady { Urgency::Now } else { Urgency::Soon }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_has_a_secret_of_its_own_that_does_not_change_from_version_to_version() {
        let path_secret = Secret::new("old-path-secret-0123456789");
        let of = |draft: &str| draft_secret(&path_secret, draft).expose().to_owned();
        // Drafts and their envelopes keep the URLs for months. Computed with Python's `hmac`.
        let expected = "i86uER1FWwbQ7wDb83zbDUiBQVnLU52-oXCKEmLvmuE";
        assert_eq!(of("765b904a-7c64-470f-bf63-0f311f2cc474"), expected);
        assert_eq!(of("765B904A-7C64-470F-BF63-0F311F2CC474"), expected);
        assert_ne!(of("765b904a-7c64-470f-bf63-0f311f2cc475"), expected);
        let other =
            draft_secret(&Secret::new("new-path-secret-0123456789"), "765b904a-7c64-470f-bf63-0f311f2cc474");
        assert!(!other.matches(expected.as_bytes()));
    }

    #[test]
    fn keys_sort_by_event_time_and_borders_between_parts_count() {
        let early = IdempotencyKey::new(Timestamp::from_second(10).ok(), &[b"z"]);
        let late = IdempotencyKey::new(Timestamp::from_second(11).ok(), &[b"a"]);
        assert!(early < late);
        assert_ne!(IdempotencyKey::new(None, &[b"ab", b"c"]), IdempotencyKey::new(None, &[b"a", b"bc"]));
    }
}
