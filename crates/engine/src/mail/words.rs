//! What a mail says, as the templates get it: tasks, counts and times in words, every foreign text bounded and on one line.

use aftersign_core::Timestamp;
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::task::{ADMINS, TaskKind};
use aftersign_store::{ClaimedMail, MailReason, ToldTask};
use minijinja::{Value, context};

use super::limits::{COUNTS_MAX, NAME_CHARS_MAX, TEXT_CHARS_MAX};

/// What a mail is made of.
pub(super) struct MailWords<'a> {
    /// The mail with its tasks.
    pub(super) mail: &'a ClaimedMail,
    /// Its recipient is one of the admins.
    pub(super) is_admin: bool,
    /// The URL under which browsers reach our pages, without trailing slash.
    pub(super) public_url: &'a str,
    /// Now: what is due is overdue from then on.
    pub(super) now: Timestamp,
    /// The one-click link of a task by which access is given again. Asked only for tasks that are the recipient's own.
    pub(super) link: &'a dyn Fn(&ToldTask) -> Option<String>,
}

impl MailWords<'_> {
    /// The context of the templates; described at the head of `digest.txt`.
    pub(super) fn context(&self) -> Value {
        let ClaimedMail { row, tasks, open, counts } = self.mail;
        let shown: Vec<Value> = tasks.iter().map(|task| self.task(task)).collect();
        let overdue = tasks.iter().filter(|task| self.is_overdue(task)).count();
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        context! {
            recipient => one_line(&row.recipient, NAME_CHARS_MAX),
            is_admin => self.is_admin,
            tasks => shown,
            counts => counts.into_iter().take(COUNTS_MAX).map(count).collect::<Vec<Value>>(),
            open => *open,
            more => open.saturating_sub(u64::try_from(tasks.len()).unwrap_or(u64::MAX)),
            overdue => overdue,
            public_url => self.public_url,
        }
    }

    fn task(&self, task: &ToldTask) -> Value {
        let is_own = self.is_own(task);
        let link = (is_own && task.kind == TaskKind::AccessRefused).then(|| (self.link)(task)).flatten();
        let assignee = Some(&task.assignee).filter(|assignee| !is_own && *assignee != ADMINS);
        context! {
            kind => task.kind.as_str(),
            title => title(task.kind),
            reason => task.reason.as_str(),
            overdue => self.is_overdue(task),
            account => one_line(task.account.as_str(), NAME_CHARS_MAX),
            envelope => task.envelope.as_ref().map(|id| one_line(id.as_str(), NAME_CHARS_MAX)),
            assignee => assignee.map(|assignee| one_line(assignee, NAME_CHARS_MAX)),
            what => one_line(&task.what, TEXT_CHARS_MAX),
            todo => one_line(&task.todo, TEXT_CHARS_MAX),
            opened_at => time(task.opened_at),
            due_at => task.due_at.map(time),
            waiting => task.waiting,
            link => link,
        }
    }

    /// Whether its recipient is the one who should act.
    fn is_own(&self, task: &ToldTask) -> bool {
        let recipient = SenderId::new(&self.mail.row.recipient);
        recipient.is_some() && recipient == SenderId::new(&task.assignee)
    }

    fn is_overdue(&self, task: &ToldTask) -> bool {
        task.reason == MailReason::Overdue || task.due_at.is_some_and(|due_at| due_at <= self.now)
    }
}

fn count((kind, account, count): &(TaskKind, AccountId, u64)) -> Value {
    let (one, many) = phrases(*kind);
    let words = if *count == 1 { one } else { many };
    context! {
        kind => kind.as_str(),
        account => one_line(account.as_str(), NAME_CHARS_MAX),
        count => *count,
        words => format!("{} {words}", grouped(*count)),
    }
}

/// The heading of one task.
fn title(kind: TaskKind) -> String {
    let (one, _) = phrases(kind);
    let mut letters = one.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What stands behind a number: of one, of several.
fn phrases(kind: TaskKind) -> (&'static str, &'static str) {
    match kind {
        TaskKind::AccessRefused => ("access refused", "accesses refused"),
        TaskKind::DeletedBeforeArchived => {
            ("envelope deleted before it was archived", "envelopes deleted before they were archived")
        }
        TaskKind::DeadLetter => ("transfer gave up", "transfers gave up"),
        TaskKind::NotVisible => ("envelope not visible to us", "envelopes not visible to us"),
        TaskKind::KeptAtPlatform => ("envelope kept by the platform", "envelopes kept by the platform"),
        TaskKind::SweepFailed => ("sweep that fails", "sweeps that fail"),
        TaskKind::Quarantined => ("callback not understood", "callbacks not understood"),
        TaskKind::EmailBounced => ("e-mail to a signer came back", "e-mails to signers came back"),
        TaskKind::SignerLocked => ("signer locked out", "signers locked out"),
        TaskKind::AuthenticationFailed => ("signer not identified", "signers not identified"),
        TaskKind::ReadyForCompletion => ("envelope ready for completion", "envelopes ready for completion"),
        TaskKind::DelegationPending => ("delegation waits", "delegations wait"),
        TaskKind::ProcessingFailed => {
            ("envelope that the platform could not process", "envelopes that the platform could not process")
        }
        TaskKind::ExtensionOverdue => ("seal not extended", "seals not extended"),
        TaskKind::CallbackUnregistered => ("callback URL not registered", "callback URLs not registered"),
        TaskKind::RetentionNear => ("removal by the platform is near", "removals by the platform are near"),
        TaskKind::SendUnclear => ("sending with an unknown end", "sendings with an unknown end"),
        TaskKind::MailUndeliverable => ("person whom no mail reaches", "persons whom no mail reaches"),
    }
}

/// A number as people read it: `1,000`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Foreign text on one line of at most `chars_max` characters: nothing in it can begin a line, ring a bell or turn the
/// direction of what follows.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(chars_max * 4));
    let mut length = 0;
    let mut is_gap = false;
    for c in text.chars() {
        if c.is_whitespace() || is_invisible(c) {
            is_gap = true;
            continue;
        }
        let gap = usize::from(is_gap && length > 0);
        if length + gap + 1 > chars_max {
            line.pop();
            line.push('…');
            break;
        }
        if gap == 1 {
            line.push(' ');
        }
        line.push(c);
        length += gap + 1;
        is_gap = false;
    }
    line
}

/// Controls, and what turns the direction of writing.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_bounded_line() {
        let cases = [
            ("plain", 10, "plain"),
            ("  a\r\n\tb \u{7}c  ", 10, "a b c"),
            ("Bcc:\r\nx\u{202E}y\u{2028}z", 20, "Bcc: x y z"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcde…"),
            ("äöü äöü", 5, "äöü …"),
            ("", 5, ""),
        ];
        for (text, max, expected) in cases {
            assert_eq!(one_line(text, max), expected, "{text:?}");
        }
        assert!(one_line(&"x\n".repeat(1_000_000), 100).chars().count() <= 100);
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
