//! E-mail to people: who is told what is the store's decision, what it says is made when it is sent.
//!
//! One mail at a time: collect what people must be told, claim what is due, put it into words from what is still open, hand
//! it over, record that. A crash between the last two sends it again under the same `Message-ID`. A mail server that is down
//! costs nothing but time; only what is about one mail, or lasts for days, gives a mail up, and that opens a task.

mod limits;
mod metrics;
mod sample;
mod smtp;
mod smtp_url;
mod templates;
#[cfg(test)]
mod tests;
mod words;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::backoff::Pace;
use aftersign_core::ids::{MailId, SenderId};
use aftersign_core::mail::{Mail, Mailer};
use aftersign_core::seams::Clock;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{ClaimedMail, MailPolicy, Post, StoreError, ToldTask};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

pub use metrics::MailMetrics;
pub use smtp::{SmtpConfig, SmtpMailer};
pub use templates::Templates;

use crate::limits::STORE_PAUSE;
use crate::{Engine, rest};
use limits::{
    LOGGED_ACCOUNTS_MAX, MAIL_FAILURE_PAUSE, MAIL_LEASE, MAIL_LOOK_EVERY, MAIL_LOOK_PAUSE,
    MAIL_RECORD_TRIES_MAX, MAIL_SHUTDOWN_WAIT, MAIL_TRIES_MAX,
};
use templates::Rendered;
use words::MailWords;

/// How people are written to.
pub struct MailDesk {
    /// The mail server.
    pub mailer: Arc<dyn Mailer>,
    /// The words.
    pub templates: Templates,
    /// When which mail goes to whom, in real time; the engine's `time_scale` divides its waits.
    pub policy: MailPolicy,
    /// The URL under which browsers reach our pages, without trailing slash.
    pub public_url: String,
    /// Where mails are counted.
    pub metrics: MailMetrics,
}

/// Sends a sample mail to `to`, marked as a test: a person sees that mail arrives, and how it looks.
///
/// # Errors
/// Those of the templates and of [`Mailer::send`].
pub async fn send_test(mailer: &dyn Mailer, templates: &Templates, to: &str) -> Result<(), Error> {
    let now = Timestamp::now();
    let sample = sample::to_sender(to, now);
    let Rendered { subject, text, html } = templates.render(&sample::words(&sample))?;
    // Every test is a mail of its own, which no mail program takes for one that it has.
    let id = MailId::from_bytes(uuid::Uuid::now_v7().into_bytes());
    mailer.send(&Mail { id, to: to.into(), subject: format!("[Test] {subject}"), text, html }).await
}

impl Engine {
    /// Sends mail until shutdown; then lets the one under way end.
    pub(crate) async fn run_mail(self: Arc<Self>, desk: Arc<MailDesk>, shutdown: CancellationToken) {
        let link = |task: &ToldTask| self.renewal_link(task);
        let pace = || self.pace();
        let postman =
            Postman { post: &*self.store, desk: &desk, clock: &*self.clock, pace: &pace, link: &link };
        let mut commits = self.store.watch();
        while !shutdown.is_cancelled() {
            commits.mark_unchanged();
            let wait = match postman.round(&shutdown).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "cannot look after mail; it waits");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                changed = commits.changed() => {
                    if changed.is_err() || rest(MAIL_LOOK_PAUSE, &shutdown).await {
                        break;
                    }
                }
            }
        }
    }
}

/// Carries mail from the queue to the mail server.
struct Postman<'a> {
    post: &'a dyn Post,
    desk: &'a MailDesk,
    clock: &'a dyn Clock,
    pace: &'a (dyn Fn() -> Pace + Sync),
    link: &'a (dyn Fn(&ToldTask) -> Option<String> + Sync),
}

impl Postman<'_> {
    /// Collects and sends what is due. Gives how long nothing else can be due.
    async fn round(&self, shutdown: &CancellationToken) -> Result<Duration, StoreError> {
        let more = self.post.collect_mail(&self.policy(), self.clock.now()).await?;
        while !shutdown.is_cancelled() {
            let Some(mail) = self.post.claim_mail(MAIL_LEASE, self.clock.now()).await? else { break };
            if !self.deliver(&mail, shutdown).await? && rest(MAIL_FAILURE_PAUSE, shutdown).await {
                break;
            }
        }
        let due = [more, self.post.next_mail().await?];
        let now = self.clock.now();
        let waits = due.into_iter().flatten().map(|due| Duration::try_from(due - now).unwrap_or_default());
        // What is due and not given is leased by another process: there is no hurry.
        Ok(waits.min().unwrap_or(MAIL_LOOK_EVERY).clamp(MAIL_LOOK_PAUSE, MAIL_LOOK_EVERY))
    }

    /// The policy at our pace.
    fn policy(&self) -> MailPolicy {
        let pace = (self.pace)();
        let MailPolicy { admins, settle, settle_longest, every, escalate_every, due_after } =
            &self.desk.policy;
        MailPolicy {
            admins: admins.clone(),
            settle: pace.scaled(*settle),
            settle_longest: pace.scaled(*settle_longest),
            every: pace.scaled(*every),
            escalate_every: pace.scaled(*escalate_every),
            due_after: pace.scaled(*due_after),
        }
    }

    /// Sends one mail and records what came of it. Gives whether the next one may follow at once.
    async fn deliver(&self, mail: &ClaimedMail, shutdown: &CancellationToken) -> Result<bool, StoreError> {
        let sending = AssertUnwindSafe(self.send(mail)).catch_unwind();
        let sent = tokio::select! {
            biased;
            sent = sending => sent.unwrap_or_else(|_| Err(broke_off())),
            () = late(shutdown) => Err(interrupted()),
        };
        let (id, accounts, tasks) = (mail.row.id, accounts(mail), mail.open);
        match sent {
            Ok(()) => {
                self.record_sent(id, shutdown).await?;
                self.desk.metrics.sent.inc();
                tracing::info!(mail.id = %id, accounts, tasks, "mail sent");
                Ok(true)
            }
            Err(error) => {
                let next_at = self.next_try(mail, &error);
                self.post.mail_failed(id, &error.chain(), next_at, self.clock.now()).await?;
                self.desk.metrics.failed.inc();
                let (tries, error) = (mail.row.tries, error.impersonal_chain());
                let Some(next_at) = next_at else {
                    self.desk.metrics.dropped.inc();
                    tracing::error!(mail.id = %id, accounts, tasks, tries, error, "mail given up; a task tells of it");
                    return Ok(true);
                };
                tracing::warn!(mail.id = %id, accounts, tasks, tries, error, %next_at, "mail waits");
                Ok(false)
            }
        }
    }

    async fn send(&self, mail: &ClaimedMail) -> Result<(), Error> {
        let Rendered { subject, text, html } = self.put_into_words(mail)?;
        let mail = Mail { id: mail.row.id, to: mail.row.recipient.clone(), subject, text, html };
        self.desk.mailer.send(&mail).await
    }

    fn put_into_words(&self, mail: &ClaimedMail) -> Result<Rendered, Error> {
        let recipient = SenderId::new(&mail.row.recipient);
        let is_admin = self.desk.policy.admins.iter().any(|admin| SenderId::new(admin) == recipient);
        self.desk.templates.render(&MailWords {
            mail,
            is_admin,
            public_url: &self.desk.public_url,
            now: self.clock.now(),
            link: self.link,
        })
    }

    /// When a mail that failed is tried again; `None` if it is given up.
    fn next_try(&self, mail: &ClaimedMail, error: &Error) -> Option<Timestamp> {
        // A claim counts as a try: one that ended in a crash is among them.
        let failures = mail.row.tries.max(1);
        match error.remedy() {
            Remedy::Retry(not_before) if failures < MAIL_TRIES_MAX => {
                Some((self.pace)().retry_at(self.clock.now(), failures, not_before))
            }
            _ => None,
        }
    }

    /// Records that the mail server took it; what is not recorded is sent again when its lease ends.
    async fn record_sent(&self, id: MailId, shutdown: &CancellationToken) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            match self.post.mail_sent(id, self.clock.now()).await {
                Err(error) if tries < MAIL_RECORD_TRIES_MAX && !shutdown.is_cancelled() => {
                    tracing::warn!(mail.id = %id, %error, "cannot record that a mail was sent; trying again");
                    tries += 1;
                    rest(STORE_PAUSE, shutdown).await;
                }
                recorded => return recorded,
            }
        }
    }
}

/// Waits until a mail under way has had its time after the shutdown.
async fn late(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(MAIL_SHUTDOWN_WAIT).await;
}

fn interrupted() -> Error {
    let what = "the server was shut down while the mail server took its time";
    Error::new(ErrorKind::Unreachable, Remedy::Retry(None), "mail", what)
}

fn broke_off() -> Error {
    let what = "the sending broke off; the log says where";
    Error::new(ErrorKind::Misconfigured, Remedy::Retry(None), "mail", what)
}

/// The accounts that a mail is about, for the log.
fn accounts(mail: &ClaimedMail) -> String {
    let mut accounts: Vec<&str> = mail.counts.iter().map(|(_, account, _)| account.as_str()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts.truncate(LOGGED_ACCOUNTS_MAX);
    accounts.join(",")
}
