//! The sandbox's own account of what it promised, served, announced and lost: what a rehearsal is judged by.
//! It is kept apart from everything the product records about itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Vendor;

/// A snapshot of everything that happened.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ledger {
    /// Every envelope ever created, in the order of creation.
    pub envelopes: Vec<EnvelopeRecord>,
    /// What became of the callbacks.
    pub callbacks: CallbackTally,
    /// How often each injected fault really happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often a client trashed, archived or deleted a template (OneSpan Sign): nobody should.
    pub templates_touched: u64,
    /// The users, in the order in which they were added.
    pub users: Vec<UserRecord>,
    /// The drafts, in the order of creation (eSignAnyWhere).
    pub drafts: Vec<DraftRecord>,
}

impl Ledger {
    /// The record of one user.
    pub fn user(&self, id: &str) -> Option<&UserRecord> {
        self.users.iter().find(|record| record.id == id)
    }

    /// The record of one draft.
    pub fn draft(&self, id: &str) -> Option<&DraftRecord> {
        self.drafts.iter().find(|record| record.id == id)
    }

    /// The record of one envelope.
    pub fn envelope(&self, id: &str) -> Option<&EnvelopeRecord> {
        self.envelopes.iter().find(|record| record.id == id)
    }
}

/// What became of the callbacks. A callback is one fact for one URL; an attempt is one HTTP request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CallbackTally {
    /// Callbacks that were attempted at least once. One that takes the place of an attempted one counts as that one.
    pub sent: u64,
    /// Callbacks that were acknowledged.
    pub acknowledged: u64,
    /// Attempts that got an answer although an earlier attempt of the same callback had got one, plus injected repeats.
    pub repeats: u64,
    /// Attempts answered with a wrong status or a wrong body.
    pub refused: u64,
    /// Callbacks never sent because an injected fault lost them, and those not sent or no longer tried because the callback
    /// URL was cleared or (Scrive) the document was removed.
    pub withheld: u64,
    /// Waiting callbacks whose place a newer one of the same document took (Scrive).
    pub replaced: u64,
    /// Attempts without an answer: connection refused or broken, or no answer in time.
    pub unreachable: u64,
    /// Callbacks given up after the platform's last attempt.
    pub given_up: u64,
}

/// How an envelope ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everybody signed.
    Completed,
    /// A signer declined (eSignAnyWhere: rejected).
    Declined,
    /// The sender cancelled it.
    Cancelled,
    /// Its time ran out.
    Expired,
    /// It has not ended.
    InProgress,
}

/// One envelope, as the sandbox knows it to be.
#[derive(Debug, Clone, Serialize)]
pub struct EnvelopeRecord {
    /// The platform.
    pub vendor: Vendor,
    /// The account it belongs to.
    pub account_id: String,
    /// Its id at the platform.
    pub id: String,
    /// Its title.
    pub name: String,
    /// How it ended. This is the truth; the API may show it later.
    pub outcome: Outcome,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether at least one callback of its end was acknowledged.
    pub announced: bool,
    /// Whether one was before the platform replaced the signed file: a client was told in time of a first version that nobody
    /// can fetch any more. The same as `announced` where nothing was replaced.
    pub announced_before_extension: bool,
    /// Whether the callbacks of its end were withheld by a fault, so that only a sweep finds it.
    pub withheld: bool,
    /// Whether it is a test request.
    pub test_mode: bool,
    /// What can be downloaded of it now that it has ended; empty while in progress, when cancelled and when expired. Scrive:
    /// of an extended document, alone or in a flow, both the first sealed version and the extended one, each of which belongs
    /// in the archive.
    pub artifacts: Vec<ArtifactRecord>,
    /// What can be downloaded besides but is not promised: an archive may have it or not. OneSpan Sign: the consent document
    /// and the archives of all documents and of all attachments.
    pub extras: Vec<ArtifactRecord>,
    /// When and by whom it was removed.
    pub deleted: Option<Deletion>,
    /// Whether the platform is to replace its signed files after a while (Scrive: a closed document with a keyless seal, and
    /// the documents of a completed flow).
    pub extends: bool,
    /// When that happened.
    pub extended_at: Option<Timestamp>,
    /// How many API calls named this envelope.
    pub api_calls: u64,
}

/// One file that the platform serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactRecord {
    /// The name under which it is served.
    pub name: String,
    /// The digest of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// `signed-pdf`, `zip`, `document`, `audit-trail`, `audit-trail-xml`, `attachment`, `legal` or `evidence`; at
    /// OneSpan Sign also `audit-trail-json`, `field-summary`, `consent`, `documents-zip` and `attachments-zip`.
    pub kind: &'static str,
    /// How often it was downloaded completely.
    pub served: u64,
    /// 1; 2 for what replaced the first version (Scrive: the extended document).
    pub version: u32,
}

/// A user, and what an application asked of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserRecord {
    /// The platform.
    pub vendor: Vendor,
    /// The account.
    pub account_id: String,
    /// The id at the platform.
    pub id: String,
    /// The e-mail address.
    pub email: String,
    /// How often the consent page was shown.
    pub consents_shown: u64,
    /// How often it was answered with Allow.
    pub consents_allowed: u64,
    /// How often it was answered with Deny.
    pub consents_denied: u64,
    /// How many tokens were given out, renewed ones included.
    pub tokens_issued: u64,
    /// How often a refresh token was used (Dropbox Sign).
    pub refreshes: u64,
    /// How often one of the user's tokens was used although it was revoked.
    pub asked_with_revoked_token: u64,
    /// The same per token, in the order of issue; the tokens themselves are in no ledger.
    pub tokens: Vec<TokenRecord>,
}

/// A token that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRecord {
    /// When.
    pub issued_at: Timestamp,
    /// Whether the user took it back, or a replayed code did.
    pub revoked: bool,
    /// How often it, or the refresh token that belongs to it, was used after that.
    pub asked_with_revoked_token: u64,
}

/// A draft of a user (eSignAnyWhere).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DraftRecord {
    /// Its id: no envelope's.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// How often a client asked to send it, whatever the answer was.
    pub sends_asked: u64,
    /// How often that took effect.
    pub sends_done: u64,
    /// The envelopes it became.
    pub envelopes: Vec<String>,
}

/// An e-mail that a platform sent because a callback failed (OneSpan Sign, which never sends the callback again).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// The envelope's sender.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// Why the callback failed.
    pub reason: String,
    /// The body of the callback as it was sent: whoever posts it again repairs the loss.
    pub payload: String,
}

/// The removal of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deletion {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub by: DeletedBy,
    /// How many of its artifacts the witness could not find in the archive; 0 without a witness.
    pub missing_at_disposal: usize,
    /// Whether the API showed it as completed at that moment. Dropbox Sign also lets a declined one be removed: then this is
    /// false and `outcome` says why.
    pub was_complete: bool,
    /// Whether the client removed what the platform still had to extend (Scrive): its seal can now never be verified without
    /// the platform.
    pub before_extension: bool,
}

/// Who removed an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletedBy {
    /// The client, through the API.
    Client,
    /// Somebody else: a user, a retention job.
    Other,
}

/// Where the world stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Envelopes asked for by `send_envelopes` or created by hand.
    pub planned: u64,
    /// Envelopes created so far.
    pub created: u64,
    /// Envelopes whose life has ended.
    pub finished: u64,
    /// Callbacks attempted at least once.
    pub callbacks_sent: u64,
    /// Callbacks acknowledged.
    pub callbacks_acknowledged: u64,
    /// Callbacks still to be sent or to be tried again.
    pub callbacks_pending: u64,
    /// Complete downloads.
    pub downloads_served: u64,
    /// Envelopes removed by the client.
    pub disposed: u64,
}
