//! Drafts: envelopes that a sender has prepared at the platform and that a page of ours sends.

use std::fmt;

use crate::ids::EnvelopeId;

/// A draft as the platform shows it to its sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Its id, normalised by the adapter. Not the id of the envelope that it becomes.
    pub id: String,
    /// Its name or title.
    pub name: Option<String>,
    /// The customer's own metadata on it, as it is; `None` if there is none.
    pub metadata: Option<String>,
}

/// What we put into a draft before it is sent.
#[derive(Clone)]
pub struct DraftMarks {
    /// What the callback URLs begin with: `{public_url}/callbacks/{account}/{path_secret}`. Holds the path secret.
    pub callback_base: String,
    /// The account's id.
    pub account: String,
}

impl fmt::Debug for DraftMarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DraftMarks").field("account", &self.account).finish_non_exhaustive()
    }
}

/// What a draft became: one envelope, or one for each recipient of a bulk.
pub type SentAs = Vec<EnvelopeId>;

/// What looking for a draft that may have been sent found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DraftTrace {
    /// It was sent, as these.
    Sent(SentAs),
    /// It is still a draft.
    StillDraft,
    /// It is no draft any more, and no envelope that came of it is visible (yet).
    Gone,
}
