//! Concerns: notifications for which a person is needed, and what settles them.
//!
//! Which concerns are open is a function of everything that was heard about an envelope, not of the order in which it
//! was heard: a bounce that comes after the signature it preceded opens nothing.

use jiff::Timestamp;

use crate::callback::NotificationKind;
use crate::envelope::{EnvelopeStatus, Known, Signer};
use crate::limits::CONCERN_DUE_AFTER;
use crate::task::{TaskDraft, TaskKind};

/// One thing heard about an envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// What happened.
    pub kind: NotificationKind,
    /// When it happened at the platform, else when we heard of it.
    pub at: Timestamp,
    /// When we heard of it.
    pub heard_at: Timestamp,
    /// The signer concerned, as the platform named them.
    pub signer: Option<String>,
    /// The platform's text on it.
    pub detail: Option<String>,
}

/// A concern that is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Concern {
    /// The task for it.
    pub task: TaskDraft,
    /// When we heard of it last: a person who settled it later has settled it.
    pub heard_at: Timestamp,
}

/// The task that a kind of news asks for, if it needs a person.
pub fn task_kind(kind: NotificationKind) -> Option<TaskKind> {
    use NotificationKind as News;
    match kind {
        News::EmailBounced => Some(TaskKind::EmailBounced),
        News::SignerLocked => Some(TaskKind::SignerLocked),
        News::AuthenticationFailed => Some(TaskKind::AuthenticationFailed),
        News::ReadyForCompletion => Some(TaskKind::ReadyForCompletion),
        News::DelegationPending => Some(TaskKind::DelegationPending),
        News::Failed => Some(TaskKind::ProcessingFailed),
        News::Prepared
        | News::Sent
        | News::Opened
        | News::SignerFinished
        | News::Finished
        | News::ArtifactsReady
        | News::Declined
        | News::Cancelled
        | News::Expired
        | News::Deleted
        | News::Delegated
        | News::Informed
        | News::Unknown
        | News::Swept => None,
    }
}

/// The kinds of task that notifications open.
pub fn task_kinds() -> impl Iterator<Item = TaskKind> {
    NotificationKind::ALL.into_iter().filter_map(task_kind)
}

/// Whether news of this kind can settle a concern.
pub fn may_settle(kind: NotificationKind) -> bool {
    use NotificationKind as News;
    kind.is_final() || matches!(kind, News::Opened | News::SignerFinished | News::Delegated)
}

/// The concerns that are open, the oldest first; one per kind and signer. `signers` are the platform's last answer.
pub fn open_concerns(known: &Known, signers: &[Signer], heard: &[Heard]) -> Vec<Concern> {
    let mut open: Vec<Concern> = Vec::new();
    let mut by_time: Vec<&Heard> = heard.iter().collect();
    by_time.sort_by(|a, b| (a.at, &a.signer, &a.detail).cmp(&(b.at, &b.signer, &b.detail)));
    for news in by_time {
        let Some(kind) = task_kind(news.kind) else { continue };
        if is_settled(kind, news, known, signers, heard) {
            continue;
        }
        let concern = Concern { task: draft(kind, news, known, signers), heard_at: news.heard_at };
        match open.iter_mut().find(|other| other.task.key == concern.task.key) {
            Some(earlier) => {
                let heard_at = earlier.heard_at.max(concern.heard_at);
                *earlier = Concern { heard_at, ..concern };
            }
            None => open.push(concern),
        }
    }
    open
}

fn is_settled(kind: TaskKind, concern: &Heard, known: &Known, signers: &[Signer], heard: &[Heard]) -> bool {
    if kind == TaskKind::ProcessingFailed {
        // Only another end, by the platform's own word, takes a failure back.
        return known.confirmed && known.status.is_final() && known.status != EnvelopeStatus::Failed;
    }
    if known.confirmed && known.status.is_final() {
        return true;
    }
    is_replaced(concern, signers)
        || heard.iter().any(|news| ends(news, concern) || settles_for_signer(kind, concern, news))
}

/// Whether the platform's answer no longer knows the signer: one whose address was corrected has another id at some
/// platforms, and one who was replaced is gone.
fn is_replaced(concern: &Heard, signers: &[Signer]) -> bool {
    let Some(named) = &concern.signer else { return false };
    let is_known = |signer: &Signer| {
        [&signer.id, &signer.email, &signer.name]
            .into_iter()
            .flatten()
            .any(|text| text.eq_ignore_ascii_case(named))
    };
    !signers.is_empty() && signers.iter().all(|signer| signer.id.is_some() && !is_known(signer))
}

/// Whether the envelope ended for good, or later than the concern: what expired or was deleted can be restored.
fn ends(news: &Heard, concern: &Heard) -> bool {
    use NotificationKind as News;
    match news.kind {
        News::Finished | News::Declined | News::Cancelled => true,
        kind => kind.is_final() && news.at >= concern.at,
    }
}

/// Whether the signer got further later on. News that name nobody are taken to be about anybody.
fn settles_for_signer(kind: TaskKind, concern: &Heard, news: &Heard) -> bool {
    use NotificationKind as News;
    let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
    let about_them = match (&concern.signer, &news.signer) {
        (Some(concerned), Some(named)) => same(concerned, named),
        (_, _) => true,
    };
    let got_on = match kind {
        TaskKind::EmailBounced => {
            matches!(news.kind, News::Opened | News::SignerFinished | News::Delegated)
        }
        TaskKind::SignerLocked | TaskKind::AuthenticationFailed | TaskKind::DelegationPending => {
            matches!(news.kind, News::SignerFinished | News::Delegated)
        }
        TaskKind::ReadyForCompletion
        | TaskKind::ProcessingFailed
        | TaskKind::AccessRefused
        | TaskKind::DeletedBeforeArchived
        | TaskKind::DeadLetter
        | TaskKind::NotVisible
        | TaskKind::KeptAtPlatform
        | TaskKind::SweepFailed
        | TaskKind::Quarantined
        | TaskKind::ExtensionOverdue
        | TaskKind::CallbackUnregistered
        | TaskKind::RetentionNear
        | TaskKind::SendUnclear
        | TaskKind::MailUndeliverable => false,
    };
    about_them && got_on && news.at >= concern.at
}

fn draft(kind: TaskKind, news: &Heard, known: &Known, signers: &[Signer]) -> TaskDraft {
    let title = known.name.as_deref().map_or_else(|| "the envelope".into(), |name| format!("\"{name}\""));
    let who = news.signer.as_deref().map(|named| name_of(named, signers));
    let signer = who.as_deref().unwrap_or("a signer");
    let (mut what, todo) = match kind {
        TaskKind::EmailBounced => (
            format!("The e-mail about {title} to {signer} came back."),
            "Ask the signer for a working address and correct it at the platform, or send the link another way.",
        ),
        TaskKind::SignerLocked => (
            format!("{} is locked out of {title} after too many failures.", capital(signer)),
            "Make sure that it is the right person, and unlock or replace the signer at the platform.",
        ),
        TaskKind::AuthenticationFailed => (
            format!("{} could not be identified for {title}.", capital(signer)),
            "Check the data by which the platform identifies the signer, and let them try again or replace them.",
        ),
        TaskKind::ReadyForCompletion => (
            format!("All have signed {title}; it waits for its sender to complete it."),
            "Look it through and complete it at the platform; it is archived afterwards.",
        ),
        TaskKind::DelegationPending => (
            format!("{} wants to hand {title} over, and only the sender can say to whom.", capital(signer)),
            "Accept or refuse the delegation at the platform.",
        ),
        _ => (
            format!("The platform could not process {title}."),
            "Read the platform's message, mend the cause and send it again; resolve this task when that is done.",
        ),
    };
    if let Some(detail) = &news.detail {
        what.push_str(" The platform says: ");
        what.push_str(detail);
    }
    let mut key = TaskDraft::envelope_key(kind, &known.account, &known.id);
    if let Some(signer) = &news.signer {
        key.push('/');
        key.push_str(&signer.to_lowercase());
    }
    TaskDraft {
        key,
        due_after: Some(CONCERN_DUE_AFTER),
        assignee: known.sender.clone().unwrap_or_else(|| "admins".into()),
        ..TaskDraft::for_envelope(kind, &known.account, &known.id, what, todo)
    }
}

/// The signer's address or name, where the platform named an id.
fn name_of(named: &str, signers: &[Signer]) -> String {
    let found = signers.iter().find(|signer| signer.id.as_deref() == Some(named));
    let name = found.and_then(|signer| signer.email.as_ref().or(signer.name.as_ref()));
    name.map_or_else(|| named.to_owned(), Clone::clone)
}

/// The same text for the beginning of a sentence, where it is our own words.
fn capital(text: &str) -> String {
    text.strip_prefix("a signer").map_or_else(|| text.to_owned(), |rest| format!("A signer{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::NotificationKind as News;
    use crate::envelope::Envelope;
    use crate::ids::{AccountId, EnvelopeId};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn heard(kind: News, second: i64, signer: Option<&str>) -> Heard {
        Heard { kind, at: at(second), heard_at: at(100), signer: signer.map(Into::into), detail: None }
    }

    fn known() -> Known {
        let mut known = Known::first_seen(AccountId::new("hr"), EnvelopeId::new("e1"), at(0));
        known.sender = Some("anna@example.com".into());
        known
    }

    fn open(known: &Known, heard: &[Heard]) -> Vec<TaskKind> {
        open_concerns(known, &[], heard).into_iter().map(|concern| concern.task.kind).collect()
    }

    #[test]
    fn a_concern_says_what_happened_for_whom_by_when_and_what_to_do() {
        let mut bounce = heard(News::EmailBounced, 1, Some("id-7"));
        bounce.detail = Some("mailbox full".into());
        let signers =
            [Signer { id: Some("id-7".into()), email: Some("sam@example.com".into()), ..Signer::default() }];
        let concerns = open_concerns(&known(), &signers, &[bounce]);
        let task = &concerns[0].task;
        assert!(task.what.contains("sam@example.com") && task.what.contains("mailbox full"), "{}", task.what);
        assert_eq!((task.assignee.as_str(), task.due_after), ("anna@example.com", Some(CONCERN_DUE_AFTER)));
        assert!(!task.todo.is_empty());
        assert_eq!(task.key, "email_bounced/hr/e1/id-7");
    }

    #[test]
    fn what_settles_a_concern_settles_it_in_any_order() {
        let sam = Some("sam@example.com");
        let cases: [(&[Heard], &[TaskKind]); 10] = [
            (&[heard(News::Expired, 4, None), heard(News::SignerLocked, 5, sam)], &[TaskKind::SignerLocked]),
            (&[heard(News::Deleted, 6, None), heard(News::SignerLocked, 5, sam)], &[]),
            (&[heard(News::EmailBounced, 5, sam)], &[TaskKind::EmailBounced]),
            (&[heard(News::EmailBounced, 5, sam), heard(News::Opened, 6, sam)], &[]),
            (&[heard(News::EmailBounced, 5, sam), heard(News::Opened, 4, sam)], &[TaskKind::EmailBounced]),
            (
                &[heard(News::SignerLocked, 5, sam), heard(News::SignerFinished, 6, Some("eve@example.com"))],
                &[TaskKind::SignerLocked],
            ),
            (&[heard(News::SignerLocked, 5, sam), heard(News::SignerFinished, 6, sam)], &[]),
            (&[heard(News::AuthenticationFailed, 5, sam), heard(News::Delegated, 6, None)], &[]),
            (&[heard(News::ReadyForCompletion, 5, None), heard(News::Finished, 4, None)], &[]),
            (&[heard(News::Failed, 5, None), heard(News::Finished, 6, None)], &[TaskKind::ProcessingFailed]),
        ];
        for (lines, expected) in cases {
            let mut backwards = lines.to_vec();
            backwards.reverse();
            backwards.extend_from_slice(lines);
            assert_eq!(open(&known(), lines), expected, "{lines:?}");
            assert_eq!(open(&known(), &backwards), expected, "{lines:?} backwards and twice");
        }
    }

    #[test]
    fn a_signer_whom_the_platform_no_longer_knows_concerns_nobody() {
        let signer = |id: Option<&str>| Signer { id: id.map(Into::into), ..Signer::default() };
        let bounce = [heard(News::EmailBounced, 5, Some("s1"))];
        for (signers, open) in [
            (vec![], 1),
            (vec![signer(Some("s1")), signer(Some("s2"))], 1),
            (vec![signer(Some("s2"))], 0),
            (vec![signer(Some("s2")), signer(None)], 1),
        ] {
            assert_eq!(open_concerns(&known(), &signers, &bounce).len(), open, "{signers:?}");
        }
    }

    #[test]
    fn the_platforms_own_word_settles_all() {
        let mut known = known();
        let lines = [heard(News::Failed, 5, None), heard(News::SignerLocked, 6, None)];
        known.confirm(&Envelope::new(known.id.clone(), EnvelopeStatus::Failed, "failed"), at(9));
        assert_eq!(open(&known, &lines), [TaskKind::ProcessingFailed]);
        known.confirm(&Envelope::new(known.id.clone(), EnvelopeStatus::Completed, "closed"), at(9));
        assert_eq!(open(&known, &lines), []);
    }
}
