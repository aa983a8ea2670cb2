//! Sweeps against a platform that the tests play.

use super::*;
use crate::limits::SWEEP_FAILURES_TOLD;
use crate::testing::{DAY, FakePlatform, FakeTransport, World};

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::CallbackId;
use aftersign_core::platform::Capabilities;
use aftersign_core::seams::Clock;
use aftersign_core::task::TaskKind;
use aftersign_core::transfer::Step;
use aftersign_store::{Journal, PageRequest, Projection, Queue, Sweeps};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn ok(text: &str) -> (u16, String) {
    (200, text.into())
}

async fn sweep(world: &World) -> Result<SweepReport, Error> {
    world.engine.reconcile(&world.account.access.account, None, &|_| {}).await
}

async fn known(world: &World, id: &str) -> Option<Known> {
    let ids = [EnvelopeId::new(id)];
    world.store.known(&world.account.access.account, &ids).await.unwrap().pop()
}

/// Carries what is due as far as the platform's answer.
async fn confirm_all(world: &World) {
    let (account, now) = (&world.account.access.account, world.clock.now());
    for claimed in world.store.claim(account, &world.engine.worker, 10, DAY, now).await.unwrap() {
        let mut transfer = claimed.transfer;
        let outcome = world.engine.perform(&world.account, &transfer, &Step::Ask).await;
        let change = transfer.apply(outcome, now, &world.engine.pace());
        world.store.record(&claimed.lease, transfer, change, None, false, now).await.unwrap();
    }
}

#[tokio::test]
async fn a_sweep_asks_in_each_senders_name_and_a_refused_sender_does_not_fail_it() {
    let transport = FakeTransport::new(|line| match line {
        "/senders" => ok("anna\neve\nmore"),
        "/senders?from=more" => ok("sam"),
        "/list" => ok("own completed - boss"),
        "/list as anna" => ok("hers completed\nlent completed - boss"),
        "/list as eve" => (403, String::new()),
        "/list as sam" => (401, String::new()),
        _ => (500, String::new()),
    });
    let world = World::new(FakePlatform::per_sender(), Arc::clone(&transport));
    let report = sweep(&world).await.unwrap();
    assert_eq!((report.seen, report.found, report.senders, report.senders_refused), (3, 3, 1, 2));
    let asked = ["/list", "/senders", "/senders?from=more", "/list as anna", "/list as eve", "/list as sam"];
    assert_eq!(transport.asked(), asked);
    let senders = [("own", "boss"), ("hers", "anna"), ("lent", "boss")];
    for (envelope, sender) in senders {
        let known = known(&world, envelope).await.unwrap();
        assert_eq!(known.sender.as_deref(), Some(sender), "{envelope}");
    }
    assert!(world.store.last_finished(&report.account).await.unwrap().is_some());
    assert!(world.open_tasks().await[0].what.contains("2 refused"));
}

#[tokio::test]
async fn any_other_failure_in_a_senders_name_fails_the_sweep_after_the_others_and_the_look() {
    let transport = FakeTransport::new(|line| match line {
        "/senders" => ok("anna\neve\nsam"),
        "/list" => ok("own sent"),
        "/list as anna" => (500, String::new()),
        "/list as eve" => (404, String::new()),
        _ => ok("hers completed"),
    });
    let world = World::new(FakePlatform::per_sender(), Arc::clone(&transport));
    let looked_at = AtomicU64::new(0);
    let progress = |report: &SweepReport| looked_at.store(report.looked_at, Ordering::Relaxed);
    let swept = world.engine.reconcile(&world.account.access.account, None, &progress).await;
    assert_eq!(swept.unwrap_err().kind(), ErrorKind::Unavailable, "the first failure");
    let asked = ["/list", "/senders", "/list as anna", "/list as eve", "/list as sam"];
    assert_eq!(transport.asked(), asked);
    assert_eq!(known(&world, "hers").await.unwrap().sender.as_deref(), Some("sam"));
    assert_eq!(looked_at.load(Ordering::Relaxed), 2);
    assert!(world.store.last_finished(&world.account.access.account).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_does_not_keep_us_from_looking_at_what_is_unfinished() {
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let world = World::new(
        FakePlatform::default(),
        FakeTransport::new(move |_| match failing.load(Ordering::Relaxed) {
            false => ok("own sent"),
            true => (503, String::new()),
        }),
    );
    sweep(&world).await.unwrap();
    fails.store(true, Ordering::Relaxed);
    let looked_at = AtomicU64::new(0);
    let progress = |report: &SweepReport| looked_at.store(report.looked_at, Ordering::Relaxed);
    assert!(world.engine.reconcile(&world.account.access.account, None, &progress).await.is_err());
    assert_eq!(looked_at.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_down_is_not_waited_for_once_per_sender() {
    let transport = FakeTransport::new(|line| match line {
        "/senders" => ok("anna\neve\nsam"),
        "/list" => ok(""),
        _ => (503, String::new()),
    });
    let world = World::new(FakePlatform::per_sender(), Arc::clone(&transport));
    assert_eq!(sweep(&world).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let asked = transport.asked();
    let tries = |sender: &str| asked.iter().filter(|line| line.ends_with(sender)).count();
    assert_eq!((tries("as anna"), tries("as eve"), tries("as sam")), (8, 1, 1));
}

#[tokio::test]
async fn what_refused_senders_see_is_a_task_until_a_sweep_covers_all_that_was_left_out() {
    let is_refused = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&is_refused);
    let transport = FakeTransport::new(move |line| match line {
        "/senders" => ok("anna\nsam"),
        "/list as sam" if refuses.load(Ordering::Relaxed) => (401, String::new()),
        _ => ok(""),
    });
    let world = World::new(FakePlatform::per_sender(), transport);
    let account = &world.account.access.account;
    let first = sweep(&world).await.unwrap();
    let tasks = world.open_tasks().await;
    let (id, since) = (tasks[0].id, format!("{:.0}", first.since));
    assert!(tasks[0].what.contains(&since) && tasks[0].what.contains("1 refused"), "{}", tasks[0].what);
    assert!(tasks[0].what.contains("sender: sam"), "{}", tasks[0].what);
    let advice = format!("`aftersign reconcile --account hr --since {since}`");
    assert!(tasks[0].todo.contains(&advice), "{}", tasks[0].todo);

    let open = async || world.open_tasks().await.iter().map(|task| task.id).collect::<Vec<_>>();
    world.clock.pass(DAY);
    assert!(sweep(&world).await.unwrap().since > first.since);
    assert_eq!(open().await, [id]);
    assert_eq!(world.open_tasks().await[0].what, tasks[0].what, "since the first refusal");

    let earlier = first.since - DAY;
    world.engine.reconcile(account, Some(earlier), &|_| {}).await.unwrap();
    let told = world.open_tasks().await;
    assert!(told[0].todo.contains(&format!("--since {earlier:.0}`")), "{}", told[0].todo);

    is_refused.store(false, Ordering::Relaxed);
    world.clock.pass(DAY);
    sweep(&world).await.unwrap();
    assert_eq!(open().await, [id], "what was left out before is still not found");
    world.engine.reconcile(account, Some(earlier), &|_| {}).await.unwrap();
    assert_eq!(open().await, [], "all is covered");
}

#[tokio::test]
async fn a_senders_name_is_told_to_a_person_and_not_to_a_sweeps_record() {
    let transport = FakeTransport::new(|line| match line {
        "/senders" => ok("sam@example.com"),
        "/list" => ok(""),
        _ => (500, String::new()),
    });
    let world = World::new(FakePlatform::per_sender(), transport);
    assert!(sweep(&world).await.unwrap_err().chain().contains("sam@example.com"));
    let page = PageRequest { cursor: None, limit: 10 };
    let journal = world.store.entries(None, &page).await.unwrap().rows;
    let details: Vec<_> = journal.iter().map(|row| row.entry.detail.as_str()).collect();
    assert!(details.iter().any(|detail| detail.contains("failed: fake call: unavailable")), "{details:?}");
    assert!(!details.concat().contains("example.com"), "{details:?}");
}

#[tokio::test]
async fn a_first_sweep_of_recent_times_does_not_replace_the_first_look_back() {
    let transport = FakeTransport::new(|_| ok(""));
    let world = World::new(FakePlatform::default(), transport);
    let (account, now) = (&world.account.access.account, world.clock.now());
    world.engine.reconcile(account, Some(now - DAY), &|_| {}).await.unwrap();
    let next = sweep(&world).await.unwrap();
    assert_eq!(next.since, now - FIRST_SWEEP_BACK - SWEEP_OVERLAP);
    assert_eq!(sweep(&world).await.unwrap().since, now - SWEEP_OVERLAP, "now that is done");
}

#[tokio::test]
async fn failing_sweeps_are_a_task_that_any_good_sweep_closes() {
    let world = World::new(FakePlatform::default(), FakeTransport::new(|_| ok("")));
    let error = in_circles("the list goes in circles");
    for failures in 1..=SWEEP_FAILURES_TOLD {
        assert_eq!(world.open_tasks().await, [], "not told too soon");
        world.engine.tell_of_failures(&world.account, failures, &error).await.unwrap();
    }
    let tasks = world.open_tasks().await;
    assert_eq!((tasks.len(), tasks[0].kind), (1, TaskKind::SweepFailed));
    sweep(&world).await.unwrap();
    assert_eq!(world.open_tasks().await, []);
}

#[tokio::test]
async fn the_same_question_is_not_asked_once_more_for_every_sender() {
    let names_nobody = FakePlatform { names_senders: false, ..FakePlatform::per_sender() };
    let by_token = FakePlatform { tokens: true, ..names_nobody };
    for (platform, lists) in [(names_nobody, 1), (by_token, 3), (FakePlatform::per_sender(), 3)] {
        let transport = FakeTransport::new(|line| match line.split([' ', '?']).next().unwrap() {
            "/senders" => ok("anna\nsam"),
            "/token" => ok("t 60"),
            _ => ok(""),
        });
        sweep(&World::new(platform, Arc::clone(&transport))).await.unwrap();
        let asked = transport.asked();
        assert_eq!(asked.iter().filter(|line| line.starts_with("/list")).count(), lists, "{asked:?}");
    }
}

#[tokio::test]
async fn where_nobody_may_see_the_senders_the_accounts_own_list_is_swept() {
    let transport = FakeTransport::new(|line| match line {
        "/senders" => (403, String::new()),
        _ => ok("own completed"),
    });
    let world = World::new(FakePlatform::per_sender(), transport);
    let report = sweep(&world).await.unwrap();
    assert_eq!((report.found, report.senders, report.senders_refused), (1, 0, 1));
    let tasks = world.open_tasks().await;
    assert_eq!((tasks.len(), tasks[0].kind), (1, TaskKind::SweepFailed));
    assert!(tasks[0].what.contains("senders cannot be listed"), "{}", tasks[0].what);
}

#[tokio::test]
async fn a_list_of_senders_without_end_is_given_up() {
    let transport = FakeTransport::new(|line| match line {
        "/list" => ok(""),
        _ => ok("anna\nmore"),
    });
    let world = World::new(FakePlatform::per_sender(), Arc::clone(&transport));
    assert_eq!(sweep(&world).await.unwrap_err().kind(), ErrorKind::Unintelligible);
    assert_eq!(transport.asked(), ["/list", "/senders", "/senders?from=more"]);
}

#[test]
fn a_row_is_news_if_it_differs_from_the_platforms_last_answer() {
    let row = |status, revision: Option<&str>| {
        let completed_at = Some(Timestamp::UNIX_EPOCH);
        let revision = revision.map(Into::into);
        Envelope { revision, completed_at, ..Envelope::new(EnvelopeId::new("e1"), status, "word") }
    };
    let confirmed = |revision| {
        let mut known = Known::first_seen(AccountId::new("hr"), EnvelopeId::new("e1"), Timestamp::UNIX_EPOCH);
        known.confirm(&row(EnvelopeStatus::Completed, revision), Timestamp::UNIX_EPOCH);
        known
    };
    let kind = |row: &Envelope, known: &Known| news_of(row, Some(known)).map(|news| news.kind);
    let completed = |revision| row(EnvelopeStatus::Completed, revision);

    assert_eq!(kind(&completed(Some("1")), &confirmed(Some("1"))), None);
    assert_eq!(kind(&completed(Some("2")), &confirmed(Some("1"))), Some(NotificationKind::ArtifactsReady));
    assert_eq!(kind(&completed(Some("2")), &confirmed(None)), None, "no answer of ours had one yet");
    let archived = Known { archived_at: Some(Timestamp::UNIX_EPOCH), ..confirmed(None) };
    assert_eq!(kind(&completed(Some("2")), &archived), Some(NotificationKind::ArtifactsReady));
    assert_eq!(kind(&completed(None), &confirmed(Some("1"))), None, "the list does not show them");
    let expired = row(EnvelopeStatus::Expired, Some("2"));
    assert_eq!(kind(&expired, &confirmed(Some("1"))), Some(NotificationKind::Swept));
    let removed = Known { disposed_at: Some(Timestamp::UNIX_EPOCH), ..confirmed(Some("1")) };
    assert_eq!(kind(&completed(Some("2")), &removed), None);
    let announced = Known { confirmed: false, ..confirmed(Some("1")) };
    assert_eq!(kind(&completed(Some("2")), &announced), Some(NotificationKind::Swept));

    let revised = news_of(&completed(Some("2")), Some(&confirmed(Some("1")))).unwrap();
    assert_eq!(revised.occurred_at, None, "its end is not when its files were replaced");
    let news = news_of(&completed(None), None).unwrap();
    assert_eq!((news.kind, news.occurred_at), (NotificationKind::Swept, Some(Timestamp::UNIX_EPOCH)));
}

#[tokio::test]
async fn a_sweep_tells_of_what_the_platform_will_remove_before_it_is_archived() {
    let transport = FakeTransport::new(|line| match line {
        "/retention" => ok("30"),
        _ => ok("e1 completed"),
    });
    let capabilities = Capabilities { retention: true, ..Capabilities::default() };
    let world = World::new(FakePlatform { capabilities, ..FakePlatform::default() }, transport);
    assert_eq!(sweep(&world).await.unwrap().removed_soon, 0);
    confirm_all(&world).await;
    assert_eq!(world.open_tasks().await, []);

    // It ended two days before the first sweep.
    world.clock.pass(DAY * 26);
    assert_eq!(sweep(&world).await.unwrap().removed_soon, 1);
    let tasks = world.open_tasks().await;
    assert_eq!((tasks.len(), tasks[0].kind), (1, TaskKind::RetentionNear));
    assert!(tasks[0].what.contains("e1 will be removed on 2026-12-20"), "{}", tasks[0].what);
    assert_eq!(tasks[0].due_at, Some("2026-12-20T12:00:00Z".parse().unwrap()));

    let claimed =
        world.store.claim(&tasks[0].account, &world.engine.worker, 1, DAY, world.clock.now()).await.unwrap();
    let id = claimed[0].transfer.id;
    assert!(world.store.resolve(id, "kept elsewhere", "anna", world.clock.now()).await.unwrap());
    assert_eq!(sweep(&world).await.unwrap().removed_soon, 0);
    assert_eq!(world.open_tasks().await, [], "it closes by itself");
}

#[tokio::test]
async fn configured_days_outrank_the_platforms_and_a_retention_that_cannot_be_read_fails_no_sweep() {
    let capabilities = Capabilities { retention: true, ..Capabilities::default() };
    let platform = FakePlatform { capabilities, ..FakePlatform::default() };
    let answers = |line: &str| match line {
        "/retention" => (403, String::new()),
        _ => ok("e1 declined"),
    };
    let world = World::new(platform, FakeTransport::new(answers));
    assert_eq!(sweep(&world).await.unwrap().found, 1);

    let transport = FakeTransport::new(answers);
    let world = World::with(platform, Arc::clone(&transport), |account| account.retention_days = Some(4));
    sweep(&world).await.unwrap();
    confirm_all(&world).await;
    world.clock.pass(DAY * 2);
    assert_eq!(sweep(&world).await.unwrap().removed_soon, 1);
    assert!(transport.asked().iter().all(|line| line != "/retention"));
}

#[tokio::test]
async fn what_only_a_notification_ended_is_told_of_under_the_shortest_term() {
    let capabilities = Capabilities { retention: true, ..Capabilities::default() };
    let transport = FakeTransport::new(|line| match line {
        "/retention" => ok("4"),
        _ => ok(""),
    });
    let world = World::new(FakePlatform { capabilities, ..FakePlatform::default() }, transport);
    let ended = Notification {
        envelope: EnvelopeId::new("e1"),
        kind: NotificationKind::Finished,
        kind_at_platform: "finished".into(),
        occurred_at: None,
        signer: None,
        detail: None,
        sender: None,
        name: None,
        draft: None,
    };
    let source = NewsSource::Callback(CallbackId::make(world.clock.now(), &*world.engine.entropy));
    let news = world.engine.news(&world.account, source, vec![ended]);
    world.store.announce(vec![news], world.clock.now(), world.engine.pace()).await.unwrap();
    assert_eq!(sweep(&world).await.unwrap().removed_soon, 0);
    world.clock.pass(DAY * 4);
    assert_eq!(sweep(&world).await.unwrap().removed_soon, 1, "the platform was not asked what it is");
}

#[tokio::test]
async fn a_retention_too_short_for_seals_is_told_of_where_the_platform_extends_them() {
    for (extends_seals, days, tasks) in [(true, "30", 1), (true, "90", 0), (false, "30", 0)] {
        let capabilities = Capabilities { retention: true, extends_seals, ..Capabilities::default() };
        let transport = FakeTransport::new(move |line| match line {
            "/retention" => ok(days),
            _ => ok(""),
        });
        let world = World::new(FakePlatform { capabilities, ..FakePlatform::default() }, transport);
        sweep(&world).await.unwrap();
        assert_eq!(world.open_tasks().await.len(), tasks, "{extends_seals} {days}");
    }
}
