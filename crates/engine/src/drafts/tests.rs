//! Each draft is sent once, whatever happens on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aftersign_core::consent::{Errand, Scene, Trouble};
use aftersign_core::grant::{Grant, GrantKind};
use aftersign_core::ids::{EnvelopeId, SenderId};
use aftersign_core::platform::{Capabilities, Credential};
use aftersign_core::seams::Clock;
use aftersign_core::secret::Secret;
use aftersign_core::task::TaskKind;
use aftersign_store::{Board, NewGrant, Senders, Vault};

use crate::limits::{DRAFT_SETTLE, DRAFT_UNCLEAR};
use crate::testing::{FakePlatform, FakeTransport, World, oauth};

fn anna() -> SenderId {
    SenderId::new("anna@example.com").unwrap()
}

fn world(transport: &Arc<FakeTransport>) -> World {
    let capabilities = Capabilities { before_send_redirect: true, ..Capabilities::default() };
    let platform = FakePlatform { capabilities, ..FakePlatform::default() };
    World::with(platform, Arc::clone(transport), |account| account.oauth = Some(oauth()))
}

async fn send(world: &World, confirmed: bool) -> Scene {
    let errand =
        Errand::BeforeSend { draft: "d1".into(), user: "u1".into(), organization: String::new(), confirmed };
    let access = world.account.access.clone();
    world.engine.send(&world.account, access, anna(), "d1".into(), confirmed, errand).await
}

/// What anna gave, with which drafts are looked for when nobody waits.
async fn give_access(world: &World) {
    let grant = Grant {
        kind: GrantKind::Consent,
        credential: Credential::new([("grant".to_owned(), Secret::new("t1"))]),
        refresh_token: None,
        renew_at: None,
    };
    let account = world.account.access.account.clone();
    let new = NewGrant { account, sender: anna(), user_id: None, grant };
    world.store.seal_grant(new, "test", world.clock.now()).await.unwrap();
}

fn is_in_inbox(scene: &Scene) -> bool {
    matches!(scene, Scene::Inbox(url) if url == "https://platform.example/inbox")
}

fn sends(transport: &FakeTransport) -> usize {
    transport.asked().iter().filter(|line| line.starts_with("/send/")).count()
}

#[tokio::test]
async fn a_draft_is_marked_sent_once_and_its_envelopes_are_its_senders() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (200, "e1 e2".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    assert!(is_in_inbox(&send(&world, false).await));
    assert_eq!(transport.asked(), ["/draft/d1", "/mark/d1", "/send/d1"]);
    assert!(is_in_inbox(&send(&world, false).await), "a reload");
    assert!(transport.asked().is_empty());
    let hr = &world.account.access.account;
    for envelope in ["e1", "e2"].map(EnvelopeId::new) {
        let sender = world.store.sender_of(hr, &envelope).await.unwrap();
        assert_eq!(sender.as_deref(), Some("anna@example.com"));
        assert!(world.store.envelope(Some(hr), &envelope).await.unwrap().is_some(), "it is known at once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_came_is_resolved_by_looking() {
    let looks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&looks);
    let transport = FakeTransport::new(move |line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (503, String::new()),
        "/trace/d1" if counted.fetch_add(1, Ordering::Relaxed) == 0 => (200, "gone".into()),
        "/trace/d1" => (200, "e1".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    assert!(is_in_inbox(&send(&world, false).await));
    assert_eq!(sends(&transport), 1);
    let hr = &world.account.access.account;
    assert!(world.store.sender_of(hr, &EnvelopeId::new("e1")).await.unwrap().is_some());
    assert!(is_in_inbox(&send(&world, true).await));
    assert_eq!(sends(&transport), 0);
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_still_stands_is_sent_again_only_when_its_sender_says_so_and_not_at_once() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (503, String::new()),
        "/trace/d1" => (200, "draft".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    assert!(matches!(send(&world, false).await, Scene::Trouble { trouble: Trouble::SendUnclear, .. }));
    assert_eq!(sends(&transport), 1);
    assert!(matches!(send(&world, true).await, Scene::Sending(_)), "the platform may be at it");
    world.clock.pass(DRAFT_SETTLE);
    let Scene::SendAgain { errand, name } = send(&world, false).await else { panic!("not offered") };
    assert_eq!(name.as_deref(), Some("Contract"));
    assert!(matches!(errand, Errand::BeforeSend { confirmed: true, .. }));
    assert_eq!(sends(&transport), 0);
    for _ in 0..2 {
        send(&world, true).await;
        assert_eq!(sends(&transport), 1, "its sender said so, and again after this long");
        world.clock.pass(DRAFT_SETTLE);
    }
}

#[tokio::test]
async fn a_clear_refusal_is_told_and_can_be_tried_again() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (403, String::new()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    for _ in 0..2 {
        let scene = send(&world, false).await;
        assert!(
            matches!(scene, Scene::Trouble { trouble: Trouble::SendRefused(_), again: Some(_) }),
            "{scene:?}"
        );
    }
    assert_eq!(sends(&transport), 2);
}

#[tokio::test]
async fn a_foreign_draft_is_not_touched() {
    let transport = FakeTransport::new(|_| (200, "none".into()));
    let world = world(&transport);
    let scene = send(&world, false).await;
    assert!(matches!(scene, Scene::Trouble { trouble: Trouble::DraftNotVisible, again: None }));
    assert_eq!(transport.asked(), ["/draft/d1"]);
}

#[tokio::test]
async fn of_two_visits_at_once_one_sends() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (200, "e1".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    let (one, other) = tokio::join!(send(&world, false), send(&world, false));
    assert!(is_in_inbox(&one) || is_in_inbox(&other), "{one:?} {other:?}");
    assert_eq!(sends(&transport), 1);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_a_draft_is_found_out_when_nobody_waits_any_more() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (503, String::new()),
        line if line.starts_with("/trace/d1 by") => (200, "e7".into()),
        "/trace/d1" => (200, "draft".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    give_access(&world).await;
    send(&world, false).await;
    world.clock.pass(Duration::from_secs(120));
    world.engine.look_for_drafts().await.unwrap();
    let hr = &world.account.access.account;
    let sender = world.store.sender_of(hr, &EnvelopeId::new("e7")).await.unwrap();
    assert_eq!(sender.as_deref(), Some("anna@example.com"));
}

#[tokio::test(start_paused = true)]
async fn a_sending_that_stays_unclear_is_a_task_for_its_sender() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (503, String::new()),
        line if line.starts_with("/trace/d1") => (200, "gone".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    give_access(&world).await;
    assert!(is_in_inbox(&send(&world, false).await), "it is gone, so it was sent");
    world.clock.pass(DRAFT_UNCLEAR);
    world.engine.look_for_drafts().await.unwrap();
    let tasks = world.open_tasks().await;
    assert_eq!((tasks[0].kind, tasks[0].assignee.as_str()), (TaskKind::SendUnclear, "anna@example.com"));
}

#[tokio::test(start_paused = true)]
async fn nobody_elses_visit_touches_a_draft_that_was_asked_for() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (503, String::new()),
        "/trace/d1" => (200, "draft".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    send(&world, false).await;
    world.clock.pass(DRAFT_SETTLE);
    transport.asked();
    let errand = Errand::BeforeSend {
        draft: "d1".into(),
        user: "u2".into(),
        organization: String::new(),
        confirmed: true,
    };
    let (access, ben) = (world.account.access.clone(), SenderId::new("ben@example.com").unwrap());
    let scene = world.engine.send(&world.account, access, ben, "d1".into(), true, errand).await;
    assert!(matches!(scene, Scene::Trouble { trouble: Trouble::DraftNotVisible, .. }), "{scene:?}");
    assert!(transport.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_took_access_back_is_told_of_an_unclear_sending_too() {
    let transport = FakeTransport::new(|line| match line {
        "/draft/d1" => (200, "Contract".into()),
        "/send/d1" => (503, String::new()),
        "/trace/d1" => (200, "draft".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    send(&world, false).await;
    world.clock.pass(DRAFT_UNCLEAR);
    world.engine.look_for_drafts().await.unwrap();
    let tasks = world.open_tasks().await;
    assert_eq!((tasks.len(), tasks[0].kind), (1, TaskKind::SendUnclear), "nobody gave access to look with");
}

#[tokio::test(start_paused = true)]
async fn a_second_sending_that_is_refused_does_not_make_the_first_forgotten() {
    let sendings = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sendings);
    let transport = FakeTransport::new(move |line| match line {
        "/draft/d1" => (200, "Contract".into()),
        // The first took effect just before the second.
        "/send/d1" if counted.fetch_add(1, Ordering::Relaxed) == 0 => (503, String::new()),
        "/send/d1" => (404, String::new()),
        line if line.starts_with("/trace/d1 by") => (200, "e1".into()),
        "/trace/d1" => (200, "draft".into()),
        _ => (200, String::new()),
    });
    let world = world(&transport);
    send(&world, false).await;
    world.clock.pass(DRAFT_SETTLE);
    send(&world, true).await;
    assert_eq!(sends(&transport), 2);
    give_access(&world).await;
    world.clock.pass(Duration::from_secs(120));
    world.engine.look_for_drafts().await.unwrap();
    let hr = &world.account.access.account;
    let sender = world.store.sender_of(hr, &EnvelopeId::new("e1")).await.unwrap();
    assert_eq!(sender.as_deref(), Some("anna@example.com"));
}
