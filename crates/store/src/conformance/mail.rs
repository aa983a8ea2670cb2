//! The queue of e-mail.

use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::callback::NotificationKind;
use aftersign_core::error::{Error, ErrorKind, Remedy};
use aftersign_core::grant::Holder;
use aftersign_core::ids::MailId;
use aftersign_core::task::{ADMINS, TaskDraft, TaskKind};
use aftersign_core::transfer::Outcome;

use super::{Place, account, all, at, hear, pace, sender, worker};
use crate::limits::MAIL_TASKS_MAX;
use crate::{ClaimedMail, MailPolicy, MailReason, News, NewsSource, PageRequest, Store, TaskRow};

const LEASE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400;

fn policy(admins: &[&str]) -> MailPolicy {
    MailPolicy {
        admins: admins.iter().map(|admin| (*admin).to_string()).collect(),
        settle: Duration::from_secs(60),
        settle_longest: Duration::from_secs(600),
        every: Duration::from_secs(3_600),
        escalate_every: Duration::from_secs(7 * 86_400),
        due_after: Duration::from_secs(2 * 86_400),
    }
}

fn task(key: &str, assignee: &str) -> TaskDraft {
    TaskDraft {
        key: key.into(),
        assignee: assignee.into(),
        ..TaskDraft::for_account(TaskKind::Quarantined, &account("hr"), format!("{key} happened"), "look")
    }
}

async fn announce(store: &dyn Store, open_tasks: Vec<TaskDraft>, close_tasks: &[&str], second: i64) {
    let news = News {
        source: NewsSource::Watch,
        account: account("hr"),
        platform: "test-sign".into(),
        notifications: Vec::new(),
        open_tasks,
        close_tasks: close_tasks.iter().map(|key| (*key).to_string()).collect(),
    };
    store.announce(vec![news], at(second), pace()).await.unwrap();
}

async fn open(store: &dyn Store, tasks: Vec<TaskDraft>, second: i64) {
    announce(store, tasks, &[], second).await;
}

async fn collect(store: &dyn Store, admins: &[&str], second: i64) -> Option<Timestamp> {
    store.collect_mail(&policy(admins), at(second)).await.unwrap()
}

async fn claim(store: &dyn Store, second: i64) -> Option<ClaimedMail> {
    store.claim_mail(LEASE, at(second)).await.unwrap()
}

/// All mails that are due, each taken by the mail server: to whom, and of what.
async fn send_all(store: &dyn Store, second: i64) -> Vec<(String, Vec<String>)> {
    let mut sent = Vec::new();
    while let Some(mail) = claim(store, second).await {
        store.mail_sent(mail.row.id, at(second)).await.unwrap();
        let told = mail.tasks.iter().map(|task| format!("{} {}", task.reason.as_str(), task.what));
        sent.push((mail.row.recipient, told.collect()));
    }
    sent.sort();
    sent
}

/// What [`send_all`] gives of one mail.
fn mail(to: &str, told: &[&str]) -> (String, Vec<String>) {
    (to.into(), told.iter().map(|told| (*told).to_string()).collect())
}

async fn tasks(store: &dyn Store) -> Vec<TaskRow> {
    store.tasks(None, &all()).await.unwrap().rows
}

/// Which lists some and counts all.
pub async fn a_thousand_tasks_are_one_commit_and_one_mail(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let watch = store.watch();
    let commits = || *watch.borrow();
    assert_eq!(collect(store.as_ref(), &["boss@example.com"], 0).await, None);
    assert_eq!((commits(), store.next_mail().await.unwrap()), (0, None), "a look costs nothing");
    let burst = (0..1_000).map(|n| task(&format!("t{n}"), "anna@example.com")).collect();
    open(store.as_ref(), burst, 1).await;
    let before = commits();
    collect(store.as_ref(), &["boss@example.com"], 1).await;
    assert_eq!(commits(), before + 1);
    collect(store.as_ref(), &["boss@example.com"], 2).await;
    assert!(claim(store.as_ref(), 60).await.is_none(), "it settles first");
    assert_eq!(commits(), before + 1, "what finds nothing writes nothing");

    let mail = claim(store.as_ref(), 61).await.unwrap();
    assert_eq!((mail.row.recipient.as_str(), mail.row.tasks, mail.open), ("anna@example.com", 1_000, 1_000));
    assert_eq!((mail.row.queued_at, mail.row.tries), (at(1), 1));
    assert_eq!(mail.tasks.len(), MAIL_TASKS_MAX);
    assert_eq!(mail.counts, [(TaskKind::Quarantined, account("hr"), 1_000)]);
    let first = &mail.tasks[0];
    assert_eq!(
        (first.what.as_str(), first.todo.as_str(), first.reason),
        ("t0 happened", "look", MailReason::Opened)
    );
    assert_eq!((first.opened_at, first.waiting), (at(1), 0));
    assert!(tasks(store.as_ref()).await.iter().all(|task| task.mailed_at.is_none()));
    store.mail_sent(mail.row.id, at(62)).await.unwrap();
    store.mail_sent(mail.row.id, at(63)).await.unwrap();
    assert!(tasks(store.as_ref()).await.iter().all(|task| task.mailed_at == Some(at(62))));
    assert!(claim(store.as_ref(), DAY).await.is_none());
    let rows = store.mails(&all()).await.unwrap().rows;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].sent_at, rows[0].next_at, rows[0].dropped_at), (Some(at(62)), None, None));
    store.close().await.unwrap();
}

/// But not for ever, and not every minute.
pub async fn a_mail_waits_until_it_is_quiet(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let due = async || store.next_mail().await.unwrap();
    for (second, expected) in [(0, 60), (50, 110), (100, 160), (560, 600), (590, 600)] {
        open(store.as_ref(), vec![task(&format!("t{second}"), "anna@example.com")], second).await;
        collect(store.as_ref(), &[], second).await;
        assert_eq!(due().await, Some(at(expected)), "after one at {second}");
    }
    open(store.as_ref(), vec![task("bobs", "bob@example.com")], 599).await;
    collect(store.as_ref(), &[], 599).await;
    let told = [
        "opened t0 happened",
        "opened t50 happened",
        "opened t100 happened",
        "opened t560 happened",
        "opened t590 happened",
    ];
    assert_eq!(send_all(store.as_ref(), 600).await, [mail("anna@example.com", &told)]);
    open(store.as_ref(), vec![task("later", "anna@example.com")], 700).await;
    collect(store.as_ref(), &[], 700).await;
    assert_eq!(send_all(store.as_ref(), 4_199).await, [mail("bob@example.com", &["opened bobs happened"])]);
    assert_eq!(due().await, Some(at(4_200)), "an hour after the last one to her");

    let page = PageRequest { cursor: None, limit: 2 };
    let newest = store.mails(&page).await.unwrap();
    let rest = store.mails(&PageRequest { cursor: newest.next_cursor.clone(), limit: 2 }).await.unwrap();
    let people: Vec<_> = newest.rows.iter().chain(&rest.rows).map(|row| row.recipient.as_str()).collect();
    assert_eq!(people, ["anna@example.com", "bob@example.com", "anna@example.com"]);
    assert_eq!(rest.next_cursor, None);
    store.close().await.unwrap();
}

/// Tasks of no address are the admins', and wait for the first of them.
pub async fn everybody_is_told_what_is_theirs(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let drafts = [
        ("t1", "Anna@Example.com"),
        ("t2", ADMINS),
        ("t3", "user 17"),
        ("t4", "boss@example.com"),
        ("t5", ""),
    ];
    open(store.as_ref(), drafts.map(|(key, assignee)| task(key, assignee)).into(), 0).await;
    assert_eq!(collect(store.as_ref(), &[], 0).await, None);
    assert_eq!(store.mails(&all()).await.unwrap().rows.len(), 2);
    let admins = ["Boss@Example.com", "ops@example.com", "boss@example.com", "no address"];
    collect(store.as_ref(), &admins, 10).await;
    let of_admins = ["opened t2 happened", "opened t3 happened", "opened t5 happened"];
    let of_boss = ["opened t2 happened", "opened t3 happened", "opened t4 happened", "opened t5 happened"];
    assert_eq!(
        send_all(store.as_ref(), 70).await,
        [
            mail("anna@example.com", &["opened t1 happened"]),
            mail("boss@example.com", &of_boss),
            mail("ops@example.com", &of_admins)
        ]
    );
    collect(store.as_ref(), &admins, 5_000).await;
    assert!(send_all(store.as_ref(), DAY).await.is_empty(), "each once");
    store.close().await.unwrap();
}

/// One mail per task, however often its words change.
pub async fn what_is_settled_is_not_told_and_what_is_opened_anew_is(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let anna = "anna@example.com";
    open(store.as_ref(), vec![task("t1", anna), task("t2", anna), task("t3", "bob@example.com")], 0).await;
    collect(store.as_ref(), &[], 0).await;
    announce(store.as_ref(), Vec::new(), &["t1", "t3"], 10).await;
    let told = claim(store.as_ref(), 100).await.unwrap();
    assert_eq!((told.open, told.row.tasks, told.tasks[0].what.as_str()), (1, 2, "t2 happened"));
    assert!(claim(store.as_ref(), 100).await.is_none(), "bob's has nothing to say");
    store.mail_sent(told.row.id, at(100)).await.unwrap();
    let dropped = &store.mails(&all()).await.unwrap().rows[0];
    assert_eq!(
        (dropped.recipient.as_str(), dropped.dropped_at, dropped.tries),
        ("bob@example.com", Some(at(100)), 0)
    );
    assert!(dropped.error.as_ref().unwrap().contains("settled"));
    let mailed: Vec<_> = tasks(store.as_ref()).await.into_iter().rev().map(|task| task.mailed_at).collect();
    assert_eq!(mailed, [None, Some(at(100)), None]);

    let reworded = TaskDraft { what: "in other words".into(), ..task("t2", anna) };
    open(store.as_ref(), vec![reworded], 5_000).await;
    collect(store.as_ref(), &[], 5_000).await;
    assert!(send_all(store.as_ref(), 9_000).await.is_empty());
    announce(store.as_ref(), Vec::new(), &["t2"], 9_001).await;
    open(store.as_ref(), vec![task("t2", anna), task("t3", "bob@example.com")], 9_002).await;
    collect(store.as_ref(), &[], 9_002).await;
    assert_eq!(
        send_all(store.as_ref(), 10_000).await,
        [mail(anna, &["opened t2 happened"]), mail("bob@example.com", &["opened t3 happened"])]
    );
    store.close().await.unwrap();
}

/// Everybody's, and again while they stay so.
pub async fn the_admins_are_told_of_what_is_overdue(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let (boss, admins) = ("boss@example.com", ["boss@example.com"]);
    let dated =
        TaskDraft { due_after: Some(Duration::from_secs(86_400)), ..task("dated", "anna@example.com") };
    open(store.as_ref(), vec![dated, task("undated", "anna@example.com"), task("own", ADMINS)], 0).await;
    assert_eq!(collect(store.as_ref(), &admins, 5).await, Some(at(DAY)));
    send_all(store.as_ref(), 4_000).await;
    assert_eq!(collect(store.as_ref(), &admins, DAY - 1).await, Some(at(DAY)));
    assert!(send_all(store.as_ref(), DAY + 99).await.is_empty());
    assert_eq!(collect(store.as_ref(), &admins, DAY).await, Some(at(2 * DAY)));
    assert_eq!(send_all(store.as_ref(), DAY + 60).await, [mail(boss, &["overdue dated happened"])]);
    assert_eq!(collect(store.as_ref(), &admins, 2 * DAY).await, Some(at(8 * DAY)));
    let both = ["overdue undated happened", "overdue own happened"];
    assert_eq!(send_all(store.as_ref(), 2 * DAY + 60).await, [mail(boss, &both)]);

    announce(store.as_ref(), Vec::new(), &["undated"], 3 * DAY).await;
    open(store.as_ref(), vec![task("new", ADMINS)], 8 * DAY).await;
    assert_eq!(collect(store.as_ref(), &admins, 8 * DAY).await, Some(at(9 * DAY)));
    let again = ["overdue dated happened", "opened new happened"];
    assert_eq!(send_all(store.as_ref(), 8 * DAY + 60).await, [mail(boss, &again)], "overdue ones first");

    // What is told of at once and is overdue already stands there once.
    open(store.as_ref(), vec![task("late", ADMINS)], 9 * DAY).await;
    announce(store.as_ref(), Vec::new(), &["dated", "own", "new"], 9 * DAY).await;
    assert_eq!(collect(store.as_ref(), &[], 20 * DAY).await, None, "nobody to tell");
    collect(store.as_ref(), &admins, 20 * DAY).await;
    assert_eq!(send_all(store.as_ref(), 21 * DAY).await, [mail(boss, &["overdue late happened"])]);
    store.close().await.unwrap();
}

/// The recipient's mailbox can tell that it is the same.
pub async fn a_mail_that_was_not_noted_as_sent_is_sent_again_under_its_id(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    open(store.as_ref(), vec![task("t1", "anna@example.com")], 0).await;
    collect(store.as_ref(), &[], 0).await;
    let first = claim(store.as_ref(), 60).await.unwrap();
    assert!(claim(store.as_ref(), 119).await.is_none(), "one at a time");
    assert_eq!(store.next_mail().await.unwrap(), Some(at(120)));
    store.close().await.unwrap();
    drop(store);
    let store = place.open(Vec::new()).await;
    let again = claim(store.as_ref(), 120).await.unwrap();
    assert_eq!((again.row.id, again.row.tries, &again.tasks), (first.row.id, 2, &first.tasks));
    store.mail_failed(again.row.id, "451 try later", Some(at(500)), at(121)).await.unwrap();
    assert!(claim(store.as_ref(), 499).await.is_none());
    let waiting = &store.mails(&all()).await.unwrap().rows[0];
    assert_eq!((waiting.error.as_deref(), waiting.next_at), (Some("451 try later"), Some(at(500))));
    let last = claim(store.as_ref(), 500).await.unwrap();
    assert_eq!((last.row.id, last.row.tries), (first.row.id, 3));
    store.mail_sent(last.row.id, at(501)).await.unwrap();
    store.mail_failed(last.row.id, "late word of another try", None, at(502)).await.unwrap();
    assert_eq!(store.overview().await.unwrap().open_tasks, 1, "what was sent has not failed");
    assert_eq!(store.mails(&all()).await.unwrap().rows[0].error, None);
    store.close().await.unwrap();
}

/// Nor hidden as a repeat of what may have arrived.
pub async fn what_comes_while_a_mail_is_on_its_way_is_not_lost(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let anna = "anna@example.com";
    open(store.as_ref(), vec![task("t1", anna)], 0).await;
    collect(store.as_ref(), &[], 0).await;
    let first = claim(store.as_ref(), 60).await.unwrap();
    open(store.as_ref(), vec![task("t2", anna), task("b1", "bob@example.com")], 61).await;
    assert_eq!(collect(store.as_ref(), &[], 61).await, Some(at(120)), "when the mail is back, at the latest");
    store.mail_sent(first.row.id, at(62)).await.unwrap();
    collect(store.as_ref(), &[], 63).await;
    assert_eq!(send_all(store.as_ref(), 200).await, [mail("bob@example.com", &["opened b1 happened"])]);
    let second = claim(store.as_ref(), 4_000).await.unwrap();
    assert_eq!(second.tasks.iter().map(|task| task.what.as_str()).collect::<Vec<_>>(), ["t2 happened"]);

    store.mail_failed(second.row.id, "the connection broke", Some(at(4_100)), at(4_001)).await.unwrap();
    open(store.as_ref(), vec![task("t3", anna)], 4_002).await;
    collect(store.as_ref(), &[], 4_002).await;
    assert!(claim(store.as_ref(), 4_099).await.is_none(), "its back-off stays");
    let third = claim(store.as_ref(), 4_100).await.unwrap();
    assert_ne!(third.row.id, second.row.id);
    assert_eq!((third.row.tries, third.open), (2, 2));
    assert_eq!(
        store.mails(&all()).await.unwrap().rows.iter().filter(|mail| mail.sent_at.is_none()).count(),
        1
    );
    store.close().await.unwrap();
}

async fn fail_for_good(store: &dyn Store, second: i64) -> Vec<String> {
    let mut failed = Vec::new();
    while let Some(mail) = claim(store, second).await {
        store.mail_failed(mail.row.id, "550 no such user", None, at(second)).await.unwrap();
        failed.push(mail.row.recipient);
    }
    failed.sort();
    failed
}

/// However many addresses fail, it comes to rest.
pub async fn an_address_that_takes_no_mail_becomes_a_task_that_is_not_mailed_to_it(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let admins = ["boss@example.com", "ops@example.com"];
    open(store.as_ref(), vec![task("t1", "anna@example.com")], 0).await;
    collect(store.as_ref(), &admins, 0).await;
    assert_eq!(fail_for_good(store.as_ref(), 60).await, ["anna@example.com"]);
    let row = &store.mails(&all()).await.unwrap().rows[0];
    assert_eq!(
        (row.dropped_at, row.next_at, row.error.as_deref()),
        (Some(at(60)), None, Some("550 no such user"))
    );
    let task_about_it = &tasks(store.as_ref()).await[0];
    assert_eq!((task_about_it.kind, task_about_it.assignee.as_str()), (TaskKind::MailUndeliverable, ADMINS));
    assert_eq!(task_about_it.account, account("hr"));
    assert!(task_about_it.what.contains("anna@example.com") && task_about_it.what.contains("550"));

    let mut second = 100;
    let mut failed = Vec::new();
    for _ in 0..10 {
        collect(store.as_ref(), &admins, second).await;
        failed.push(fail_for_good(store.as_ref(), second + 60).await);
        second += 4_000;
    }
    let both: Vec<String> = admins.map(String::from).into();
    assert_eq!(failed[..2], [both.clone(), both], "each of Anna, then each of the other");
    assert!(failed[2..].iter().all(Vec::is_empty), "{failed:?}");
    assert_eq!(store.overview().await.unwrap().open_tasks, 4);

    // The only admin is never told of their own address, and a mail that arrives settles it.
    let store_of_one = store;
    open(store_of_one.as_ref(), vec![task("t2", "boss@example.com")], 50_000).await;
    collect(store_of_one.as_ref(), &admins[..1], 50_000).await;
    assert_eq!(
        send_all(store_of_one.as_ref(), 60_000).await,
        [mail("boss@example.com", &["opened t2 happened"])]
    );
    let open_now = store_of_one.tasks(Some(true), &all()).await.unwrap().rows;
    assert!(open_now.iter().all(|task| !task.what.contains("to boss@example.com")));
    assert_eq!(open_now.len(), 4);
    let unknown = MailId::make(at(1), place.entropy().as_ref());
    store_of_one.mail_failed(unknown, "nobody", None, at(60_001)).await.unwrap();
    assert_eq!(store_of_one.overview().await.unwrap().open_tasks, 4);
    store_of_one.close().await.unwrap();
}

/// So that a sender sees why it matters.
pub async fn a_mail_says_how_much_waits_for_access(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let anna = Holder::Sender(sender("anna@example.com"));
    for envelope in ["a1", "a2", "own"] {
        hear(store.as_ref(), place, envelope, NotificationKind::Finished, 1).await;
    }
    for claimed in store.claim(&account("hr"), &worker("a"), 9, LEASE, at(1)).await.unwrap() {
        let mut transfer = claimed.transfer;
        let holder = if transfer.envelope_id.as_str() == "own" { Holder::Account } else { anna.clone() };
        let refused = Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", "401");
        let change = transfer.apply(Outcome::Failed(refused.met_with(holder)), at(1), &pace());
        store.record(&claimed.lease, transfer, change, None, false, at(1)).await.unwrap();
    }
    collect(store.as_ref(), &["boss@example.com"], 2).await;
    let mut waiting = Vec::new();
    while let Some(mail) = claim(store.as_ref(), 100).await {
        waiting.push((mail.row.recipient, mail.tasks[0].waiting, mail.tasks.len()));
    }
    waiting.sort();
    assert_eq!(waiting, [("anna@example.com".into(), 2, 1), ("boss@example.com".into(), 1, 1)]);
    store.close().await.unwrap();
}
