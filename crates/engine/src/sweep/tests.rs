//! Sweeps against a platform that the tests play.

use super::*;
use crate::testing::{DAY, FakePlatform, FakeTransport, World};

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::platform::Capabilities;
use aftersign_core::seams::Clock;
use aftersign_core::transfer::Step;
use aftersign_store::{Queue, Sweeps};

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
}

#[tokio::test]
async fn any_other_failure_in_a_senders_name_fails_the_sweep() {
    let transport = FakeTransport::new(|line| match line {
        "/senders" => ok("anna"),
        "/list" => ok(""),
        _ => (500, String::new()),
    });
    let world = World::new(FakePlatform::per_sender(), transport);
    assert_eq!(sweep(&world).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(world.store.last_finished(&world.account.access.account).await.unwrap().is_none());
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
    let report = sweep(&World::new(FakePlatform::per_sender(), transport)).await.unwrap();
    assert_eq!((report.found, report.senders), (1, 0));
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
