//! What mails say, and what becomes of an operator's own words.

use std::fs;

use aftersign_core::Timestamp;
use aftersign_core::ids::{AccountId, EnvelopeId, TaskId};
use aftersign_core::task::{ADMINS, TaskKind};
use aftersign_store::{ClaimedMail, MailReason, ToldTask};

use super::*;

const NOW: &str = "2026-11-22T12:00:00Z";
const LINK: &str = "https://sign.example.com/consent/hr/renew?link=sealed-and-long";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn task(kind: TaskKind, assignee: &str) -> ToldTask {
    ToldTask {
        id: TaskId::from_bytes([1; 16]),
        reason: MailReason::Opened,
        kind,
        account: AccountId::new("hr"),
        envelope: None,
        assignee: assignee.into(),
        opened_at: now(),
        due_at: None,
        what: "It went wrong.".into(),
        todo: "Mend it.".into(),
        waiting: 0,
    }
}

fn access_of_anna() -> ToldTask {
    ToldTask {
        waiting: 12,
        what: "The envelopes that anna@example.com sent cannot be archived.".into(),
        todo: "Follow the link in the e-mail.".into(),
        ..task(TaskKind::AccessRefused, "anna@example.com")
    }
}

fn mail(recipient: &str, tasks: Vec<ToldTask>, open: u64) -> ClaimedMail {
    let mut counts: Vec<(TaskKind, AccountId, u64)> = Vec::new();
    for task in &tasks {
        match counts.iter_mut().find(|(kind, account, _)| *kind == task.kind && *account == task.account) {
            Some((_, _, count)) => *count += 1,
            None => counts.push((task.kind, task.account.clone(), 1)),
        }
    }
    if let Some((_, _, count)) = counts.first_mut() {
        *count += open - u64::try_from(tasks.len()).unwrap();
    }
    let row = sample::to_sender(recipient, now()).row;
    ClaimedMail { row, tasks, open, counts }
}

fn render_with(templates: &Templates, mail: &ClaimedMail) -> Rendered {
    let words = MailWords {
        mail,
        is_admin: mail.row.recipient == "ops@example.com",
        public_url: "https://sign.example.com",
        now: now(),
        link: &|_| Some(LINK.into()),
    };
    templates.render(&words).unwrap()
}

fn rendered(mail: &ClaimedMail) -> Rendered {
    render_with(&Templates::load(None).unwrap(), mail)
}

#[test]
fn a_sender_is_told_what_happened_and_gets_the_link_once() {
    let mail = mail("Anna@Example.com", vec![access_of_anna()], 1);
    let Rendered { subject, text, html } = rendered(&mail);
    assert_eq!(subject, "Aftersign: your access to hr is needed, 12 envelopes wait");
    assert_eq!(text.matches(LINK).count(), 1, "{text}");
    assert_eq!(html.matches("href=").count(), 1, "{html}");
    assert!(html.contains("Give access again</a>"), "{html}");
    assert!(!text.contains("Asked to act") && !text.contains("tasks list"), "{text}");
    for body in [&text, &html] {
        assert!(!body.contains("\n\n\n"), "gaps: {body}");
        assert!(!body.contains("{#") && !body.contains(">none") && !body.contains(" none"), "{body}");
    }
    assert!(text.starts_with("Hello,\n"), "{text}");
    assert!(html.trim_start().starts_with("<!DOCTYPE html>"), "{html}");
}

#[test]
fn no_link_is_made_for_what_is_not_the_recipients_own() {
    let late = ToldTask { reason: MailReason::Overdue, ..access_of_anna() };
    let cases = [
        mail("ops@example.com", vec![late, task(TaskKind::AccessRefused, ADMINS)], 2),
        mail("berta@example.com", vec![access_of_anna()], 1),
        mail("anna@example.com", vec![task(TaskKind::EmailBounced, "anna@example.com")], 1),
    ];
    for mail in cases {
        let Rendered { subject, text, html } = rendered(&mail);
        for part in [&subject, &text, &html] {
            assert!(!part.contains("renew?link") && !part.contains("sealed"), "{part}");
        }
        assert!(!html.contains("href="), "{html}");
    }
}

#[test]
fn an_admin_is_told_who_did_not_act() {
    let late = ToldTask {
        reason: MailReason::Overdue,
        due_at: Some("2026-11-22T11:00:00Z".parse().unwrap()),
        envelope: Some(EnvelopeId::new("3f2a-77")),
        ..access_of_anna()
    };
    let Rendered { subject, text, .. } = rendered(&mail("ops@example.com", vec![late], 1));
    assert_eq!(subject, "Aftersign: 1 task is overdue (hr: 1 access refused)");
    for part in [
        "Access refused – hr (OVERDUE)",
        "Asked to act: anna@example.com",
        "Envelope: 3f2a-77",
        "Since 2026-11-22 12:00 UTC, due 2026-11-22 11:00 UTC",
        "`aftersign tasks list`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_thousand_tasks_are_one_mail_that_counts_the_rest() {
    let listed = (0..100).map(|index| ToldTask {
        envelope: Some(EnvelopeId::new(format!("envelope-{index:03}"))),
        ..task(TaskKind::DeadLetter, ADMINS)
    });
    let mut mail = mail("ops@example.com", listed.collect(), 1_000);
    mail.counts = vec![
        (TaskKind::EmailBounced, AccountId::new("hr"), 1),
        (TaskKind::DeadLetter, AccountId::new("hr"), 990),
        (TaskKind::SignerLocked, AccountId::new("law"), 9),
    ];
    let Rendered { subject, text, html } = rendered(&mail);
    assert_eq!(
        subject,
        "Aftersign: 1,000 tasks wait (hr: 990 transfers gave up, law: 9 signers locked out, …)"
    );
    for body in [&text, &html] {
        assert_eq!(body.matches("envelope-").count(), 100);
        assert!(body.contains("hr: 1 e-mail to a signer came back"), "{body}");
    }
    assert!(text.contains("And 900 more tasks, not shown here."), "{text}");
    assert!(html.contains("<strong>900</strong> more tasks"), "{html}");
}

#[test]
fn subjects_of_all_kinds_are_short() {
    for kind in TaskKind::ALL {
        let one = rendered(&mail("ops@example.com", vec![task(kind, ADMINS)], 1)).subject;
        let many = rendered(&mail("ops@example.com", vec![task(kind, ADMINS)], 2)).subject;
        assert!(one.starts_with("Aftersign: 1 task waits (hr: 1 ") && one.len() < 90, "{one}");
        assert!(many.starts_with("Aftersign: 2 tasks wait (hr: 2 ") && many.len() < 90, "{many}");
    }
    let own = |waiting, open| {
        let task = ToldTask { waiting, ..access_of_anna() };
        rendered(&mail("anna@example.com", vec![task], open)).subject
    };
    assert_eq!(own(0, 1), "Aftersign: your access to hr is needed");
    assert_eq!(own(1, 1), "Aftersign: your access to hr is needed, 1 envelope waits");
    assert_eq!(own(1_200, 4), "Aftersign: your access to hr is needed, 1,200 envelopes wait (and 3 more)");
}

#[test]
fn hostile_texts_stay_texts_and_stay_short() {
    let evil = "</p><script>alert(1)</script>\r\nBcc: victim@example.com\r\n\r\n{{ 7 * 7 }}\u{202E}";
    let hostile = ToldTask {
        account: AccountId::new(evil),
        envelope: Some(EnvelopeId::new(evil)),
        assignee: evil.into(),
        what: format!("{evil}{}", "x".repeat(1_000_000)),
        todo: "/".repeat(1_000_000),
        ..task(TaskKind::DeadLetter, ADMINS)
    };
    let mail = mail("ops@example.com", vec![hostile; 100], 100);
    let Rendered { subject, text, html } = rendered(&mail);
    assert!(!subject.contains(['\r', '\n']) && subject.chars().count() <= SUBJECT_CHARS_MAX, "{subject}");
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
    for body in [&text, &html] {
        assert!(body.contains("{{ 7 * 7 }}") && !body.contains("\u{202E}") && !body.contains('\r'));
        assert!(!body.lines().any(|line| line.starts_with("Bcc")));
        assert!(body.len() < BODY_BYTES_MAX, "{}", body.len());
    }
}

/// A folder with one template of the operator's.
fn folder(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    folder
}

#[test]
fn an_operators_templates_win_and_ours_stand_in_for_the_others() {
    let folder = folder(TEXT, "{{ open }} for {{ recipient }}: {{ tasks[0].what }} <b>");
    let templates = Templates::load(Some(folder.path())).unwrap();
    let Rendered { subject, text, html } =
        render_with(&templates, &mail("anna@example.com", vec![access_of_anna()], 1));
    assert_eq!(
        text,
        "1 for anna@example.com: The envelopes that anna@example.com sent cannot be archived. <b>"
    );
    assert!(subject.contains("your access to hr") && html.contains("href="));
}

#[test]
fn the_files_that_are_written_out_can_be_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in Templates::default_files() {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let templates = Templates::load(Some(folder.path())).unwrap();
    let mail = mail("anna@example.com", vec![access_of_anna()], 1);
    assert!(render_with(&templates, &mail) == rendered(&mail));
}

#[test]
fn an_operators_template_that_cannot_work_is_refused_with_file_line_and_cause() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
    let huge = "{% set s = 'x' * 1 %}{% set s = recipient|center(99999) %}{% for a in range(999) %}{{ s }}{% endfor %}";
    let recursive = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}";
    let cases = [
        (TEXT, "Hello\n{% if %}", "line 2", "syntax error"),
        (TEXT, "Hello\n\n{{ tasks[0].nothing }}", "line 3", "undefined"),
        (HTML, "{{ nothing }}", "line 1", "undefined"),
        (TEXT, endless, "line 1", "fuel"),
        (TEXT, huge, "", ""),
        (HTML, recursive, "line 1", ""),
        (SUBJECT, "{{ tasks | nothing }}", "line 1", "filter"),
        (SUBJECT, " \n ", "", "empty"),
        (TEXT, "{% include 'other.txt' %}", "line 1", ""),
    ];
    for (name, text, line, cause) in cases {
        let folder = folder(name, text);
        let error =
            Templates::load(Some(folder.path())).err().unwrap_or_else(|| panic!("{text} was taken")).chain();
        let file = folder.path().join(name).display().to_string();
        for part in [file.as_str(), line, cause] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn a_folder_without_templates_is_refused() {
    let cases = [
        (folder("digets.txt", "x"), "holds none of digest.subject.txt"),
        (folder(TEXT, &"x".repeat(100_000)), "larger than"),
    ];
    for (folder, part) in cases {
        let error = Templates::load(Some(folder.path())).err().unwrap().chain();
        assert!(error.contains(part), "{error}");
    }
    let missing = tempfile::tempdir().unwrap().path().join("gone");
    assert!(Templates::load(Some(&missing)).err().unwrap().chain().contains("is not there"));
    let not_utf8 = tempfile::tempdir().unwrap();
    fs::write(not_utf8.path().join(HTML), [0xff, 0xfe]).unwrap();
    assert!(Templates::load(Some(not_utf8.path())).err().unwrap().chain().contains("UTF-8"));
}

#[test]
fn an_operators_template_that_breaks_off_later_is_replaced_by_ours() {
    let trap = "{% if tasks[0].kind == 'sweep_failed' %}{{ nothing }}{% endif %}mine";
    let folder = folder(TEXT, trap);
    let templates = Templates::load(Some(folder.path())).unwrap();
    let fine = mail("ops@example.com", vec![task(TaskKind::DeadLetter, ADMINS)], 1);
    assert_eq!(render_with(&templates, &fine).text, "mine");
    let trapped = mail("ops@example.com", vec![task(TaskKind::SweepFailed, ADMINS)], 1);
    assert!(render_with(&templates, &trapped) == rendered(&trapped));
}
