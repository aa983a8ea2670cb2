//! Mails that nobody waits for: templates are checked with them, and one can be sent to see how it looks.

use aftersign_core::Timestamp;
use aftersign_core::ids::{AccountId, EnvelopeId, MailId, TaskId};
use aftersign_core::task::{ADMINS, TaskKind};
use aftersign_store::{ClaimedMail, MailReason, MailRow, ToldTask};

use super::words::MailWords;

const SENDER: &str = "sender@example.com";
const ACCOUNT: &str = "example";

/// One to a sender and one to an admin: with everything that a task can have, and with everything missing.
pub(super) fn all() -> [ClaimedMail; 2] {
    [to_sender(SENDER, Timestamp::UNIX_EPOCH), to_admin()]
}

/// A mail to a sender whose access is refused.
pub(super) fn to_sender(recipient: &str, now: Timestamp) -> ClaimedMail {
    let task = ToldTask {
        opened_at: now,
        assignee: recipient.into(),
        waiting: 12,
        what: "This is a sample: the platform refuses your access, and your signed envelopes wait to be archived.".into(),
        todo: "Nothing: nobody waits for you. In a real mail the button gives access again.".into(),
        ..task(TaskKind::AccessRefused, MailReason::Opened)
    };
    let counts = vec![(TaskKind::AccessRefused, AccountId::new(ACCOUNT), 1)];
    ClaimedMail { row: row(recipient), tasks: vec![task], open: 1, counts }
}

fn to_admin() -> ClaimedMail {
    let account = AccountId::new(ACCOUNT);
    let late = ToldTask {
        assignee: SENDER.into(),
        envelope: Some(EnvelopeId::new("3f2a-77")),
        due_at: Some(Timestamp::UNIX_EPOCH),
        ..task(TaskKind::EmailBounced, MailReason::Overdue)
    };
    ClaimedMail {
        row: row("admin@example.com"),
        tasks: vec![late, task(TaskKind::DeadLetter, MailReason::Opened)],
        open: 1_000,
        counts: vec![(TaskKind::EmailBounced, account.clone(), 1), (TaskKind::DeadLetter, account, 999)],
    }
}

/// What the templates are told of a sample.
pub(super) fn words(mail: &ClaimedMail) -> MailWords<'_> {
    MailWords {
        mail,
        is_admin: mail.tasks.iter().all(|task| task.assignee != mail.row.recipient),
        public_url: "https://sign.example.com",
        now: Timestamp::UNIX_EPOCH,
        link: &|_| Some("https://sign.example.com/sample".into()),
    }
}

fn task(kind: TaskKind, reason: MailReason) -> ToldTask {
    ToldTask {
        id: TaskId::from_bytes([0; 16]),
        reason,
        kind,
        account: AccountId::new(ACCOUNT),
        envelope: None,
        assignee: ADMINS.into(),
        opened_at: Timestamp::UNIX_EPOCH,
        due_at: None,
        what: "This is a sample.".into(),
        todo: "Nothing.".into(),
        waiting: 0,
    }
}

fn row(recipient: &str) -> MailRow {
    MailRow {
        id: MailId::from_bytes([0; 16]),
        recipient: recipient.into(),
        queued_at: Timestamp::UNIX_EPOCH,
        tries: 0,
        next_at: None,
        sent_at: None,
        dropped_at: None,
        error: None,
        tasks: 1,
    }
}
