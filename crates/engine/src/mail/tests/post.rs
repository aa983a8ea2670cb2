//! A queue that does as told and remembers what it was told.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::ids::{AccountId, MailId, TaskId};
use aftersign_core::task::TaskKind;
use aftersign_store::{
    ClaimedMail, Listing, MailPolicy, MailReason, MailRow, PageRequest, Post, StoreError, ToldTask,
};
use async_trait::async_trait;

/// One queued mail is due at its `next_at`; a claim counts a try.
#[derive(Default)]
pub(super) struct FakePost {
    queue: Mutex<VecDeque<ClaimedMail>>,
    /// What was reported: `sent`, `later` or `dropped`, with the mail's id and the error.
    pub(super) told: Mutex<Vec<(&'static str, MailId, String)>>,
    /// The policy of the last collection.
    pub(super) policy: Mutex<Option<MailPolicy>>,
    /// How many more reports of a sent mail fail.
    pub(super) faults: Mutex<u32>,
}

impl FakePost {
    pub(super) fn with(mails: impl IntoIterator<Item = ClaimedMail>) -> Self {
        Self { queue: Mutex::new(mails.into_iter().collect()), ..Self::default() }
    }

    /// The words of what was reported since the last time.
    pub(super) fn told(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.told.lock().unwrap()).into_iter().map(|(word, ..)| word).collect()
    }

    /// When the first mail is due.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.queue.lock().unwrap().iter().filter_map(|mail| mail.row.next_at).min()
    }

    fn tell(&self, word: &'static str, id: MailId, error: &str) {
        self.told.lock().unwrap().push((word, id, error.into()));
    }
}

/// A mail to `recipient` about their access.
pub(super) fn about_access(number: u8, recipient: &str) -> ClaimedMail {
    let now = Timestamp::UNIX_EPOCH;
    let task = ToldTask {
        id: TaskId::from_bytes([number; 16]),
        reason: MailReason::Opened,
        kind: TaskKind::AccessRefused,
        account: AccountId::new("hr"),
        envelope: None,
        assignee: "anna@example.com".into(),
        opened_at: now,
        due_at: None,
        what: "It is refused.".into(),
        todo: "Give it again.".into(),
        waiting: 3,
    };
    let row = MailRow {
        id: MailId::from_bytes([number; 16]),
        recipient: recipient.into(),
        queued_at: now,
        tries: 0,
        next_at: Some(now),
        sent_at: None,
        dropped_at: None,
        error: None,
        tasks: 1,
    };
    let counts = vec![(task.kind, task.account.clone(), 1)];
    ClaimedMail { row, tasks: vec![task], open: 1, counts }
}

#[async_trait]
impl Post for FakePost {
    async fn collect_mail(&self, policy: &MailPolicy, _: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        *self.policy.lock().unwrap() = Some(policy.clone());
        Ok(None)
    }

    async fn claim_mail(&self, lease: Duration, now: Timestamp) -> Result<Option<ClaimedMail>, StoreError> {
        let mut queue = self.queue.lock().unwrap();
        let due = queue.iter_mut().find(|mail| mail.row.next_at.is_some_and(|at| at <= now));
        Ok(due.map(|mail| {
            mail.row.tries += 1;
            mail.row.next_at = Some(now + lease);
            mail.clone()
        }))
    }

    async fn mail_sent(&self, id: MailId, _: Timestamp) -> Result<(), StoreError> {
        let mut faults = self.faults.lock().unwrap();
        if *faults > 0 {
            *faults -= 1;
            return Err(StoreError::Overloaded { waiting: 1 });
        }
        self.queue.lock().unwrap().retain(|mail| mail.row.id != id);
        self.tell("sent", id, "");
        Ok(())
    }

    async fn mail_failed(
        &self,
        id: MailId,
        error: &str,
        next_at: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        self.tell(if next_at.is_some() { "later" } else { "dropped" }, id, error);
        let mut queue = self.queue.lock().unwrap();
        queue.iter_mut().filter(|mail| mail.row.id == id).for_each(|mail| mail.row.next_at = next_at);
        Ok(())
    }

    async fn next_mail(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.due())
    }

    async fn mails(&self, _: &PageRequest) -> Result<Listing<MailRow>, StoreError> {
        Ok(Listing { rows: Vec::new(), next_cursor: None })
    }
}
