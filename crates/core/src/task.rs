//! Tasks: what needs a person, opened once and closed when settled.

use std::time::Duration;

use crate::ids::{AccountId, EnvelopeId};

/// Every reason for which we ask a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskKind {
    /// The platform refuses an account's credential.
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
}

impl TaskKind {
    /// All of them.
    pub const ALL: [Self; 16] = [
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
    /// Who should act: a sender's e-mail, or `admins`.
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
            assignee: "admins".into(),
            what,
            todo: todo.into(),
            standing: false,
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
