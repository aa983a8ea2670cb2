//! The journal's chain: each entry's digest covers the one before, so that nothing can be changed, removed or
//! slipped in unnoticed.

use jiff::Timestamp;

use crate::digest::{Digest, Digester};

/// Every act that is recorded for an auditor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A server began to work on this store.
    ServerStarted,
    /// An envelope was heard of for the first time.
    EnvelopeSeen,
    /// The platform confirmed a status.
    StatusConfirmed,
    /// An artifact lies in a destination, and its bytes were read back and found right.
    ArtifactVerified,
    /// All artifacts of an envelope are archived and verified.
    EnvelopeArchived,
    /// An envelope was removed at the platform.
    EnvelopeDisposed,
    /// An envelope vanished at the platform before it was archived.
    EnvelopeLost,
    /// A transfer gave up.
    DeadLettered,
    /// A person asked to try again.
    Redriven,
    /// A person closed a transfer or task by hand.
    Resolved,
    /// A person had a callback worked on again.
    Replayed,
    /// A sweep ended.
    Swept,
    /// A sealed credential was stored, opened for good or forgotten.
    VaultChanged,
    /// A page of ours sent a draft.
    DraftSent,
}

impl Action {
    const ALL: [Self; 14] = [
        Self::ServerStarted,
        Self::EnvelopeSeen,
        Self::StatusConfirmed,
        Self::ArtifactVerified,
        Self::EnvelopeArchived,
        Self::EnvelopeDisposed,
        Self::EnvelopeLost,
        Self::DeadLettered,
        Self::Redriven,
        Self::Resolved,
        Self::Replayed,
        Self::Swept,
        Self::VaultChanged,
        Self::DraftSent,
    ];

    /// The word in JSON and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerStarted => "server_started",
            Self::EnvelopeSeen => "envelope_seen",
            Self::StatusConfirmed => "status_confirmed",
            Self::ArtifactVerified => "artifact_verified",
            Self::EnvelopeArchived => "envelope_archived",
            Self::EnvelopeDisposed => "envelope_disposed",
            Self::EnvelopeLost => "envelope_lost",
            Self::DeadLettered => "dead_lettered",
            Self::Redriven => "redriven",
            Self::Resolved => "resolved",
            Self::Replayed => "replayed",
            Self::Swept => "swept",
            Self::VaultChanged => "vault_changed",
            Self::DraftSent => "draft_sent",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// One act, before it has its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who: `server`, `cli`, a sender.
    pub actor: String,
    /// What.
    pub action: Action,
    /// Account id; empty if none.
    pub account: String,
    /// Envelope id; empty if none.
    pub envelope: String,
    /// The rest, in one line.
    pub detail: String,
}

/// The digest before the first entry.
pub const GENESIS: [u8; 32] = [0; 32];

/// The digest of `entry` at place `sequence` (from 1) after the entry with digest `previous`.
pub fn chain(previous: &Digest, sequence: u64, entry: &Entry) -> Digest {
    let mut digester = Digester::default();
    digester.update(previous.as_bytes());
    digester.update(&sequence.to_be_bytes());
    digester.update(&entry.at.as_microsecond().to_be_bytes());
    for field in [&entry.actor, entry.action.as_str(), &entry.account, &entry.envelope, &entry.detail] {
        digester.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        digester.update(field.as_bytes());
    }
    digester.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_and_the_place_are_covered() {
        let entry = Entry {
            at: Timestamp::UNIX_EPOCH,
            actor: "server".into(),
            action: Action::Swept,
            account: "hr".into(),
            envelope: "e".into(),
            detail: "d".into(),
        };
        let start = Digest::from_bytes(GENESIS);
        let whole = chain(&start, 1, &entry);
        let others = [
            chain(&start, 2, &entry),
            chain(&whole, 1, &entry),
            chain(&start, 1, &Entry { actor: "serverh".into(), account: "r".into(), ..entry.clone() }),
            chain(&start, 1, &Entry { action: Action::Resolved, ..entry.clone() }),
            chain(&start, 1, &Entry { detail: String::new(), ..entry.clone() }),
        ];
        assert!(others.iter().all(|other| *other != whole));
    }
}
