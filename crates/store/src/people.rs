//! The handles about people: their access, their consents, the drafts that they send, and the e-mail that reaches them.

use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::digest::Digest;
use aftersign_core::grant::{Grant, GrantKind, Holder};
use aftersign_core::ids::{AccountId, EnvelopeId, MailId, SenderId, TaskId};
use aftersign_core::secret::Secret;
use aftersign_core::task::TaskKind;
use async_trait::async_trait;

use crate::{Listing, PageRequest, StoreError};

/// What is known of a grant without opening it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantRow {
    /// The account.
    pub account: AccountId,
    /// Whose it is.
    pub sender: SenderId,
    /// The platform's id of that user, if it gives one.
    pub user_id: Option<String>,
    /// How it came about.
    pub kind: GrantKind,
    /// The vault key that wraps it.
    pub key_id: String,
    /// When the sender gave it.
    pub granted_at: Timestamp,
    /// When the next one must be fetched, if it ends.
    pub renew_at: Option<Timestamp>,
    /// Since when the platform refuses it; `None` if it does not.
    pub refused_at: Option<Timestamp>,
    /// Grows with every change of the sealed secret, and is never given twice: not even to a grant that is given anew after it
    /// was forgotten.
    pub version: u64,
}

/// A grant, opened.
#[derive(Clone, Debug)]
pub struct OpenGrant {
    /// The secrets.
    pub grant: Grant,
    /// The rest.
    pub row: GrantRow,
}

/// A grant to seal.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// The account.
    pub account: AccountId,
    /// Whose it is, by the platform's word.
    pub sender: SenderId,
    /// The platform's id of that user, in the form in which users are compared.
    pub user_id: Option<String>,
    /// The secrets.
    pub grant: Grant,
}

/// What a token of [`Vault::seal_token`] is for; one of another purpose does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The link of an e-mail by which access is given again.
    RenewalLink,
    /// Who a browser's user is.
    Session,
}

impl Purpose {
    /// The word that is bound into the token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RenewalLink => "renewal link",
            Self::Session => "session",
        }
    }
}

/// Where secrets are sealed: AES-256-GCM with a random data key per record, associated data that binds the ciphertext to its
/// row, wrapped by the key ring's first key. Every method that seals or opens fails with [`StoreError::KeyMissing`], which
/// names the key, where the ring lacks it.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Seals a grant in place of an older one of that sender. In the same commit the task about their access is settled;
    /// then all that waits for their access is made due. Gives how many transfers that were. `actor` is a word for a role
    /// (`sender`, `cli`), never an address: it stands in the journal, which is for ever.
    async fn seal_grant(&self, grant: NewGrant, actor: &str, now: Timestamp) -> Result<u64, StoreError>;
    /// Opens a sender's grant.
    async fn open_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
    ) -> Result<Option<OpenGrant>, StoreError>;
    /// Replaces the secrets of a grant by those fetched for it, if it is still at `version`. `false` if it is not: somebody
    /// else was quicker, and theirs counts. The right to fetch and a refusal end with it. No line in the journal: it is the
    /// same consent.
    async fn replace_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
        version: u64,
        grant: Grant,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Takes the right to fetch the next grant until `until`, if it is still at `version` and nobody has that right: a refresh
    /// token that is used twice kills the whole grant at some platforms.
    async fn claim_renewal(
        &self,
        account: &AccountId,
        sender: &SenderId,
        version: u64,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Notes whether the platform refuses a grant, if it is still at `version`. Ends the right to renew it, if that is the one
    /// until `renewal` ([`claim_renewal`](Self::claim_renewal)).
    async fn mark_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
        version: u64,
        refused_at: Option<Timestamp>,
        renewal: Option<Timestamp>,
    ) -> Result<(), StoreError>;
    /// All grants, of one account if given, by account and sender.
    async fn grants(&self, account: Option<&AccountId>) -> Result<Vec<GrantRow>, StoreError>;
    /// Forgets a sender's grant. `false` if there was none. `actor` as for [`seal_grant`](Self::seal_grant).
    async fn forget_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Wraps up to `limit` records (grants and consents) that the first key does not wrap yet with it, in one commit. Gives how
    /// many are left; whoever begins again goes on where the last one ended.
    async fn rekey(&self, limit: usize, now: Timestamp) -> Result<u64, StoreError>;
    /// How many records each key wraps, the ring's first key first, even where that is none.
    async fn key_uses(&self) -> Result<Vec<(String, u64)>, StoreError>;
    /// Seals a short text into a token for a URL or a cookie (base64url), at most [`crate::limits::TOKEN_CHARS_MAX`] characters.
    /// It holds neither who nor what in the clear. [`StoreError::Damaged`] if the text is too long for that.
    fn seal_token(&self, purpose: Purpose, text: &Secret) -> Result<Secret, StoreError>;
    /// Opens a token; `None` if it was not sealed here for this purpose.
    fn open_token(&self, purpose: Purpose, token: &str) -> Option<Secret>;
}

/// A consent that a browser began. What `keep` holds is sealed at rest.
#[derive(Clone, Debug)]
pub struct NewConsent {
    /// The account.
    pub account: AccountId,
    /// Digest of the state with which the browser comes back.
    pub state: Digest,
    /// Digest of the key in the browser's cookie.
    pub browser: Digest,
    /// What the exchange needs besides, and why the browser came, as the desk wrote it.
    pub keep: Secret,
    /// When it is worth nothing any more.
    pub expires_at: Timestamp,
}

/// Consents under way: bound to a browser, single use, short-lived.
#[async_trait]
pub trait Consents: Send + Sync {
    /// Keeps one. Those that expired are forgotten with it; beyond [`crate::limits::CONSENTS_MAX`] the oldest are.
    async fn begin_consent(&self, consent: NewConsent, now: Timestamp) -> Result<(), StoreError>;
    /// Takes one out, for good. `None` if there is none of that account, state and browser, or it expired: a wrong browser
    /// leaves it where it is.
    async fn take_consent(
        &self,
        account: &AccountId,
        state: Digest,
        browser: Digest,
        now: Timestamp,
    ) -> Result<Option<Secret>, StoreError>;
}

/// Where the sending of a draft stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DraftState {
    /// The platform was not asked to send it, or refused for certain.
    Unsent,
    /// The platform was asked, and what came of it is not known.
    Asked {
        /// When it was asked first.
        first: Timestamp,
        /// When it was asked last.
        last: Timestamp,
    },
    /// It was sent, as these.
    Sent(Vec<EnvelopeId>),
}

/// What claiming a draft found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DraftClaim {
    /// It is ours until the lease ends. The token fences those who come after that.
    Ours {
        /// Fencing number.
        token: u64,
        /// Where it stood.
        state: DraftState,
        /// With whose access the platform was asked to send it, if it was.
        asked_by: Option<SenderId>,
    },
    /// Somebody else is at it.
    Busy,
}

/// A draft of which is not known whether it was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnclearDraft {
    /// The account.
    pub account: AccountId,
    /// The draft.
    pub draft: String,
    /// Who sends it.
    pub sender: SenderId,
    /// When the platform was asked first.
    pub asked_at: Timestamp,
}

/// Drafts that pages of ours send, each exactly once: the intent is durable before the platform is asked.
#[async_trait]
pub trait Drafts: Send + Sync {
    /// Takes a draft, making its row if there is none. One that was sent is free for everybody to look at: it is never busy.
    async fn claim_draft(
        &self,
        account: &AccountId,
        draft: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<DraftClaim, StoreError>;
    /// Notes that the platform is about to be asked to send it with this sender's access, perhaps once more.
    /// [`StoreError::LeaseLost`] if somebody else has it, or if it is known to have been sent: then it must not be asked.
    async fn ask_draft(
        &self,
        account: &AccountId,
        draft: &str,
        sender: &SenderId,
        token: u64,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Notes what it was sent as, who sent each of these envelopes (as for [`crate::Senders::note_sender`]), the envelopes
    /// themselves (as for [`crate::Projection::announce`]) and the journal's line of each, in one commit, and ends the lease and
    /// the task about it ([`TaskDraft::draft_key`](aftersign_core::task::TaskDraft::draft_key)).
    /// Needs none itself: it is a fact. Twice has the effect of once.
    #[expect(clippy::too_many_arguments, reason = "one fact, in one commit")]
    async fn draft_sent(
        &self,
        account: &AccountId,
        platform: &str,
        draft: &str,
        sender: &SenderId,
        envelopes: &[EnvelopeId],
        now: Timestamp,
        pace: Pace,
    ) -> Result<(), StoreError>;
    /// Lets it go: `unsent` if it is certain that it was not sent. Changes nothing if somebody else has it, or if it was sent.
    async fn release_draft(
        &self,
        account: &AccountId,
        draft: &str,
        token: u64,
        unsent: bool,
    ) -> Result<(), StoreError>;
    /// Drafts asked for from `after` on and before `before` of which is not known what came of it, oldest first.
    async fn unclear_drafts(
        &self,
        after: Timestamp,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<UnclearDraft>, StoreError>;
}

/// Who sent what.
#[async_trait]
pub trait Senders: Send + Sync {
    /// Notes who sent an envelope. Of two notes the later counts.
    async fn note_sender(
        &self,
        account: &AccountId,
        envelope: &EnvelopeId,
        sender: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Who sent an envelope: by the platform's confirmed answer, else as noted, else as announced.
    async fn sender_of(
        &self,
        account: &AccountId,
        envelope: &EnvelopeId,
    ) -> Result<Option<String>, StoreError>;
    /// How many transfers wait for somebody's access.
    async fn parked_for(&self, account: &AccountId, holder: &Holder) -> Result<u64, StoreError>;
}

/// When which mail goes to whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailPolicy {
    /// Who is told what no sender can settle.
    pub admins: Vec<String>,
    /// A mail waits until nothing new came for the same person for so long …
    pub settle: Duration,
    /// … and at most so long after the first.
    pub settle_longest: Duration,
    /// Time between two mails to one person.
    pub every: Duration,
    /// The admins are told of open tasks that are overdue, and again after so long.
    pub escalate_every: Duration,
    /// A task without a due time of its own is overdue after so long.
    pub due_after: Duration,
}

/// Why a task stands in a mail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MailReason {
    /// It was opened.
    Opened,
    /// Nobody settled it in time.
    Overdue,
}

impl MailReason {
    const ALL: [Self; 2] = [Self::Opened, Self::Overdue];

    /// The word in JSON and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Overdue => "overdue",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// One e-mail of the queue. Its words are made when it is sent, from what is still open then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailRow {
    /// Its id: the same for every try, and another one once new tasks came into a mail that was tried before. That one may
    /// have arrived, and under its id what is new would be taken for a repeat.
    pub id: MailId,
    /// To whom.
    pub recipient: String,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// Tries so far, the one under way included.
    pub tries: u32,
    /// When the next one is; while one is under way, when it counts as lost; `None` at the end.
    pub next_at: Option<Timestamp>,
    /// When the mail server took it.
    pub sent_at: Option<Timestamp>,
    /// When it was given up, or found to have nothing left to say.
    pub dropped_at: Option<Timestamp>,
    /// Why the last try failed, or why it was dropped.
    pub error: Option<String>,
    /// Tasks in it, settled ones included.
    pub tasks: u64,
}

/// A task as it is told of in a mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToldTask {
    /// Its id.
    pub id: TaskId,
    /// Why it stands there.
    pub reason: MailReason,
    /// Its kind.
    pub kind: TaskKind,
    /// Its account.
    pub account: AccountId,
    /// Its envelope.
    pub envelope: Option<EnvelopeId>,
    /// Who should act.
    pub assignee: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it becomes urgent.
    pub due_at: Option<Timestamp>,
    /// What happened.
    pub what: String,
    /// What to do.
    pub todo: String,
    /// Transfers that wait for the access it is about; 0 for other kinds.
    pub waiting: u64,
}

/// A mail to be sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedMail {
    /// The row.
    pub row: MailRow,
    /// The open tasks in it, overdue ones first, then the oldest, at most [`crate::limits::MAIL_TASKS_MAX`].
    pub tasks: Vec<ToldTask>,
    /// How many open tasks are in it altogether.
    pub open: u64,
    /// Those by kind and account.
    pub counts: Vec<(TaskKind, AccountId, u64)>,
}

/// The durable queue of e-mail.
#[async_trait]
pub trait Post: Send + Sync {
    /// Queues what people must be told now: one mail per person, however many tasks. A mail to somebody that is not sent yet
    /// takes new tasks in; while it is under way they wait. A task is told once per person and reason. Gives when to look again
    /// though no task was opened and no mail sent, if anything is to come.
    async fn collect_mail(
        &self,
        policy: &MailPolicy,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;
    /// Takes the mail that is due first, until `lease` ends. One whose tasks are all settled is dropped and not given.
    async fn claim_mail(&self, lease: Duration, now: Timestamp) -> Result<Option<ClaimedMail>, StoreError>;
    /// The mail server took it. A task that mail to this person cannot be delivered is settled.
    async fn mail_sent(&self, id: MailId, now: Timestamp) -> Result<(), StoreError>;
    /// A try failed: the next one is at `next_at`; `None` gives it up, and opens a task for the admins, which is never mailed
    /// to the address that it is about.
    async fn mail_failed(
        &self,
        id: MailId,
        error: &str,
        next_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// When the next queued mail is due.
    async fn next_mail(&self) -> Result<Option<Timestamp>, StoreError>;
    /// The queue, newest first.
    async fn mails(&self, page: &PageRequest) -> Result<Listing<MailRow>, StoreError>;
}
