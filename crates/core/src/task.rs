//! Tasks: what needs a person, opened once and closed when settled.

use std::time::Duration;

use crate::grant::Holder;
use crate::ids::{AccountId, EnvelopeId, SenderId};
use crate::limits::ACCESS_DUE_AFTER;

/// The assignee of what no sender can settle.
pub const ADMINS: &str = "admins";

/// Every reason for which we ask a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskKind {
    /// The platform refuses an account's credential, or a sender's.
    AccessRefused,
    /// An envelope vanished at the platform before it was archived.
    DeletedBeforeArchived,
    /// A transfer gave up.
    DeadLetter,
    /// Nothing of that id is visible with our access.
    NotVisible,
    /// The platform keeps an envelope that a rule wanted removed.
    KeptAtPlatform,
    /// Sweeps of an account fail: what no callback announces is not found.
    SweepFailed,
    /// A callback was authentic and could not be understood.
    Quarantined,
    /// The platform's e-mail to a signer came back.
    EmailBounced,
    /// A signer is locked out.
    SignerLocked,
    /// A signer could not be identified.
    AuthenticationFailed,
    /// All have signed, and the sender must complete it.
    ReadyForCompletion,
    /// A delegation waits for the sender.
    DelegationPending,
    /// The platform could not process an envelope.
    ProcessingFailed,
    /// A seal was not extended in time.
    ExtensionOverdue,
    /// The callback URL registered at the platform is not ours any more.
    CallbackUnregistered,
    /// The platform's own retention will soon remove envelopes that are not archived.
    RetentionNear,
    /// A draft may have been sent, and nobody could find out.
    SendUnclear,
    /// E-mail to somebody cannot be delivered.
    MailUndeliverable,
}

impl TaskKind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::AccessRefused,
        Self::DeletedBeforeArchived,
        Self::DeadLetter,
        Self::NotVisible,
        Self::KeptAtPlatform,
        Self::SweepFailed,
        Self::Quarantined,
        Self::EmailBounced,
        Self::SignerLocked,
        Self::AuthenticationFailed,
        Self::ReadyForCompletion,
        Self::DelegationPending,
        Self::ProcessingFailed,
        Self::ExtensionOverdue,
        Self::CallbackUnregistered,
        Self::RetentionNear,
        Self::SendUnclear,
        Self::MailUndeliverable,
    ];

    /// The word in JSON and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessRefused => "access_refused",
            Self::DeletedBeforeArchived => "deleted_before_archived",
            Self::DeadLetter => "dead_letter",
            Self::NotVisible => "not_visible",
            Self::KeptAtPlatform => "kept_at_platform",
            Self::SweepFailed => "sweep_failed",
            Self::Quarantined => "quarantined",
            Self::EmailBounced => "email_bounced",
            Self::SignerLocked => "signer_locked",
            Self::AuthenticationFailed => "authentication_failed",
            Self::ReadyForCompletion => "ready_for_completion",
            Self::DelegationPending => "delegation_pending",
            Self::ProcessingFailed => "processing_failed",
            Self::ExtensionOverdue => "extension_overdue",
            Self::CallbackUnregistered => "callback_unregistered",
            Self::RetentionNear => "retention_near",
            Self::SendUnclear => "send_unclear",
            Self::MailUndeliverable => "mail_undeliverable",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A task to open. Of two with the same key only one is open at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskDraft {
    /// What makes it the same task (`access_refused/hr`).
    pub key: String,
    /// Why.
    pub kind: TaskKind,
    /// The account concerned.
    pub account: AccountId,
    /// The envelope concerned, if it is one.
    pub envelope: Option<EnvelopeId>,
    /// Time left until it becomes urgent.
    pub due_after: Option<Duration>,
    /// Who should act: a sender's e-mail, or [`ADMINS`].
    pub assignee: String,
    /// What happened.
    pub what: String,
    /// What to do.
    pub todo: String,
    /// It is about a state that lasts and not about an event: a person who settled it has seen it, and it is not opened
    /// again with the same words.
    pub standing: bool,
}

impl TaskDraft {
    /// A task about a whole account, for the admins.
    pub fn for_account(kind: TaskKind, account: &AccountId, what: String, todo: &str) -> Self {
        Self {
            key: Self::account_key(kind, account),
            kind,
            account: account.clone(),
            envelope: None,
            due_after: None,
            assignee: ADMINS.into(),
            what,
            todo: todo.into(),
            standing: false,
        }
    }

    /// The task about an access that does not work: the admins' if it is the account's own, else the sender's. However many
    /// envelopes wait for it, it is one. `why` is for the admins alone.
    pub fn access_needed(account: &AccountId, holder: &Holder, why: String) -> Self {
        let Holder::Sender(sender) = holder else {
            return Self::for_account(
                TaskKind::AccessRefused,
                account,
                format!("The access of this account does not work: {why}"),
                "Mend what it says (mostly the credential) in the config and restart the server; what waits goes on by itself.",
            );
        };
        // The same words whoever finds out, so that the open task stays as it is.
        let what = format!(
            "The envelopes that {sender} sent cannot be archived: the platform does not let us act for them, because they \
             have not given access or took it back."
        );
        let todo = "Give access again: follow the link in the e-mail, or ask those who run Aftersign for a new one; what waits \
                    goes on by itself.";
        Self {
            key: Self::access_key(account, holder),
            assignee: Self::assignee_of(sender),
            due_after: Some(ACCESS_DUE_AFTER),
            ..Self::for_account(TaskKind::AccessRefused, account, what, todo)
        }
    }

    /// Who acts on what is a sender's: they themselves, or the admins where they cannot be written to.
    pub fn assignee_of(sender: &SenderId) -> String {
        if sender.is_address() { sender.as_str().into() } else { ADMINS.into() }
    }

    /// The key of the task about a draft of which nobody knows whether it was sent.
    pub fn draft_key(account: &AccountId, draft: &str) -> String {
        format!("{}/{draft}", Self::account_key(TaskKind::SendUnclear, account))
    }

    /// The key of [`access_needed`](Self::access_needed)'s task.
    pub fn access_key(account: &AccountId, holder: &Holder) -> String {
        let of_account = Self::account_key(TaskKind::AccessRefused, account);
        match holder {
            Holder::Account => of_account,
            Holder::Sender(sender) => format!("{of_account}/{sender}"),
        }
    }

    /// A task about one envelope, for the admins.
    pub fn for_envelope(
        kind: TaskKind,
        account: &AccountId,
        envelope: &EnvelopeId,
        what: String,
        todo: &str,
    ) -> Self {
        Self {
            key: Self::envelope_key(kind, account, envelope),
            envelope: Some(envelope.clone()),
            ..Self::for_account(kind, account, what, todo)
        }
    }

    /// The key of [`for_account`](Self::for_account)'s task.
    pub fn account_key(kind: TaskKind, account: &AccountId) -> String {
        format!("{}/{account}", kind.as_str())
    }

    /// The key of [`for_envelope`](Self::for_envelope)'s task.
    pub fn envelope_key(kind: TaskKind, account: &AccountId, envelope: &EnvelopeId) -> String {
        format!("{}/{account}/{envelope}", kind.as_str())
    }
}
