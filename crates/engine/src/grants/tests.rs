//! Senders' grants at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use aftersign_core::callback::NotificationKind;
use aftersign_core::grant::{Grant, GrantKind, Holder};
use aftersign_core::ids::{EnvelopeId, SenderId, TransferId};
use aftersign_core::limits::NOT_FOUND_TRIES_MAX;
use aftersign_core::platform::Credential;
use aftersign_core::seams::Clock;
use aftersign_core::secret::Secret;
use aftersign_core::transfer::{Outcome, Step, Transfer};
use aftersign_core::{ErrorKind, Remedy};
use aftersign_store::{NewGrant, Senders, Vault};

use crate::limits::GRANT_REFUSED_QUIET;
use crate::testing::{FakePlatform, FakeTransport, World, oauth};

fn anna() -> SenderId {
    SenderId::new("anna@example.com").unwrap()
}

/// A world whose account has an OAuth application, and to which anna gave `token`.
async fn granted(
    transport: &Arc<FakeTransport>,
    own: bool,
    token: &str,
    refresh: Option<&str>,
    lives: Option<Duration>,
) -> World {
    let world = World::with(FakePlatform::default(), Arc::clone(transport), |account| {
        account.oauth = Some(oauth());
        if !own {
            account.access.credential = Credential::default();
        }
    });
    give(&world, token, refresh, lives).await;
    world
        .store
        .note_sender(
            &world.account.access.account,
            &EnvelopeId::new("e1"),
            "Anna@example.com",
            world.clock.now(),
        )
        .await
        .unwrap();
    world
}

async fn give(world: &World, token: &str, refresh: Option<&str>, lives: Option<Duration>) {
    let grant = Grant {
        kind: GrantKind::Consent,
        credential: Credential::new([("grant".to_owned(), Secret::new(token))]),
        refresh_token: refresh.map(Secret::new),
        renew_at: lives.map(|span| world.clock.now() + span),
    };
    let new = NewGrant {
        account: world.account.access.account.clone(),
        sender: anna(),
        user_id: Some("u1".into()),
        grant,
    };
    world.store.seal_grant(new, "test", world.clock.now()).await.unwrap();
}

async fn ask(world: &World) -> Outcome {
    let id = TransferId::make(world.clock.now(), &*world.engine.entropy);
    let transfer = Transfer::new(id, world.account.access.account.clone(), EnvelopeId::new("e1"));
    world.engine.perform(&world.account, &transfer, &Step::Ask).await
}

fn refusal(outcome: Outcome) -> aftersign_core::Error {
    match outcome {
        Outcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_sender_gave_is_asked_with_before_the_accounts_own_access() {
    let transport = FakeTransport::new(|_| (200, "e1 completed".into()));
    let world = granted(&transport, true, "t1", None, None).await;
    assert!(matches!(ask(&world).await, Outcome::Found(..)));
    assert_eq!(transport.asked(), ["/envelope/e1 by t1"]);
}

#[tokio::test]
async fn a_refused_grant_waits_for_its_sender_and_nobody_elses_access_is_used() {
    let transport = FakeTransport::new(|line| match line.contains("by t1") {
        true => (401, String::new()),
        false => (200, "e1 completed".into()),
    });
    let world = granted(&transport, true, "t1", None, None).await;
    let error = refusal(ask(&world).await);
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::AccessRefused, Remedy::RenewAccess));
    assert_eq!(*error.holder(), Holder::Sender(anna()));
    assert!(!error.impersonal_chain().contains("anna"), "{}", error.impersonal_chain());
    assert!(matches!(ask(&world).await, Outcome::StillRefused(Holder::Sender(sender)) if sender == anna()));
    assert_eq!(transport.asked(), ["/envelope/e1 by t1"], "asked once for all");
    let row = &world.store.grants(None).await.unwrap()[0];
    assert!(row.refused_at.is_some());

    give(&world, "t2", None, None).await;
    assert!(matches!(ask(&world).await, Outcome::Found(..)), "what was given anew is asked with at once");
    assert!(world.store.grants(None).await.unwrap()[0].refused_at.is_none());
}

#[tokio::test]
async fn a_grant_that_was_switched_off_and_on_again_works_by_itself() {
    let on = Arc::new(AtomicBool::new(false));
    let switched = Arc::clone(&on);
    let transport = FakeTransport::new(move |_| match switched.load(Ordering::Relaxed) {
        true => (200, "e1 completed".into()),
        false => (401, String::new()),
    });
    let world = granted(&transport, false, "t1", None, None).await;
    refusal(ask(&world).await);
    on.store(true, Ordering::Relaxed);
    world.clock.pass(GRANT_REFUSED_QUIET);
    assert!(matches!(ask(&world).await, Outcome::Found(..)));
    assert!(world.store.grants(None).await.unwrap()[0].refused_at.is_none());
}

#[tokio::test]
async fn a_grant_that_ends_is_renewed_first_and_the_next_one_is_kept() {
    let transport = FakeTransport::new(|line| match line {
        line if line.starts_with("/renew?refresh=r1") => (200, "t2 r2 3600".into()),
        line if line.starts_with("/renew?refresh=r2") => (200, "t3 - 3600".into()),
        _ => (200, "e1 completed".into()),
    });
    let world = granted(&transport, false, "t1", Some("r1"), Some(Duration::from_secs(60))).await;
    ask(&world).await;
    world.clock.pass(Duration::from_secs(60));
    ask(&world).await;
    ask(&world).await;
    let asked = ["/envelope/e1 by t1", "/renew?refresh=r1", "/envelope/e1 by t2", "/envelope/e1 by t2"];
    assert_eq!(transport.asked(), asked);
    world.clock.pass(Duration::from_secs(3600));
    ask(&world).await;
    assert_eq!(transport.asked(), ["/renew?refresh=r2", "/envelope/e1 by t3"]);
    let open = world.store.open_grant(&world.account.access.account, &anna()).await.unwrap().unwrap();
    let kept = open.grant.refresh_token.unwrap();
    assert_eq!(kept.expose(), "r2", "a server that gives no new one keeps the old one good");
}

#[tokio::test]
async fn many_who_need_it_renew_a_grant_once() {
    let renewals = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&renewals);
    let transport = FakeTransport::new(move |line| match line.starts_with("/renew") {
        true => (200, format!("t{} r2 3600", counted.fetch_add(1, Ordering::Relaxed) + 2)),
        false => (200, "e1 completed".into()),
    });
    let world = granted(&transport, false, "t1", Some("r1"), Some(Duration::ZERO)).await;
    let (a, b, c) = tokio::join!(ask(&world), ask(&world), ask(&world));
    for outcome in [a, b, c] {
        assert!(matches!(outcome, Outcome::Found(..)), "{outcome:?}");
    }
    assert_eq!(renewals.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_early_is_renewed_and_a_dead_refresh_token_asks_the_sender() {
    let transport = FakeTransport::new(|line| match line {
        line if line.starts_with("/renew?refresh=r1") => (200, "t2 r2 3600".into()),
        line if line.starts_with("/renew?refresh=r2") => (401, String::new()),
        line if line.contains("by t1") => (401, String::new()),
        _ => (200, "e1 completed".into()),
    });
    let world = granted(&transport, false, "t1", Some("r1"), None).await;
    assert!(matches!(ask(&world).await, Outcome::Found(..)));
    world.clock.pass(Duration::from_secs(3600));
    let error = refusal(ask(&world).await);
    assert_eq!((error.kind(), error.holder()), (ErrorKind::AccessRefused, &Holder::Sender(anna())));
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_costs_nobody_their_grant() {
    let transport = FakeTransport::new(|_| (503, String::new()));
    let world = granted(&transport, false, "t1", Some("r1"), Some(Duration::ZERO)).await;
    let error = refusal(ask(&world).await);
    assert_eq!(error.remedy(), Remedy::Retry(None));
    assert!(world.store.grants(None).await.unwrap()[0].refused_at.is_none());
}

#[tokio::test]
async fn an_account_without_a_credential_asks_the_sender_who_gave_nothing() {
    let transport = FakeTransport::new(|_| (200, "e1 completed".into()));
    let world = granted(&transport, false, "t1", None, None).await;
    world
        .store
        .forget_grant(&world.account.access.account, &anna(), "test", world.clock.now())
        .await
        .unwrap();
    let error = refusal(ask(&world).await);
    assert_eq!((error.remedy(), error.holder()), (Remedy::RenewAccess, &Holder::Sender(anna())));
    assert!(transport.asked().is_empty());
}

#[tokio::test]
async fn a_wrong_mapping_is_told_apart_from_a_deletion_and_mended() {
    let transport = FakeTransport::new(|line| match line {
        line if line.contains("by t1") => (200, "none".into()),
        _ => (200, "e1 completed - ben@example.com".into()),
    });
    let world = granted(&transport, true, "t1", None, None).await;
    let Outcome::Found(envelope, _) = ask(&world).await else { panic!("taken for gone") };
    assert_eq!(envelope.sender.as_deref(), Some("ben@example.com"));
    assert_eq!(transport.asked(), ["/envelope/e1 by t1", "/envelope/e1"]);
}

#[tokio::test]
async fn where_the_admin_allows_it_everybody_is_asked_in_turn_and_who_sees_it_is_noted() {
    let transport = FakeTransport::new(|line| match line.contains("by t1") {
        true => (200, "e2 completed".into()),
        false => (200, "none".into()),
    });
    let world = World::with(FakePlatform::default(), Arc::clone(&transport), |account| {
        account.search_senders = true;
    });
    give(&world, "t1", None, None).await;
    let id = TransferId::make(world.clock.now(), &*world.engine.entropy);
    let hr = world.account.access.account.clone();
    let transfer = Transfer::new(id, hr.clone(), EnvelopeId::new("e2"));
    let outcome = world.engine.perform(&world.account, &transfer, &Step::Ask).await;
    assert!(matches!(outcome, Outcome::Found(..)), "{outcome:?}");
    assert_eq!(transport.asked(), ["/envelope/e2", "/envelope/e2 by t1"]);
    let noted = world.store.sender_of(&hr, &EnvelopeId::new("e2")).await.unwrap();
    assert_eq!(noted.as_deref(), Some("anna@example.com"));
}

#[tokio::test]
async fn a_sweep_asks_with_every_grant_and_a_refused_one_ends_nobody_elses() {
    let transport = FakeTransport::new(|line| match line {
        line if line.contains("by t1") => (401, String::new()),
        line if line.starts_with("/list by t2") => (200, "e9 completed".into()),
        _ => (200, "u2 ben@example.com".into()),
    });
    let world = granted(&transport, false, "t1", None, None).await;
    let ben = NewGrant {
        account: world.account.access.account.clone(),
        sender: SenderId::new("ben@example.com").unwrap(),
        user_id: None,
        grant: Grant {
            kind: GrantKind::Key,
            credential: Credential::new([("grant".to_owned(), Secret::new("t2"))]),
            refresh_token: None,
            renew_at: None,
        },
    };
    world.store.seal_grant(ben, "test", world.clock.now()).await.unwrap();
    let report = world.engine.reconcile(&world.account.access.account, None, &|_| {}).await.unwrap();
    assert_eq!((report.senders, report.senders_refused, report.found), (1, 1, 1));
    let tasks = world.open_tasks().await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!(tasks[0].assignee, "anna@example.com");
    let hr = &world.account.access.account;
    let sender = world.store.sender_of(hr, &EnvelopeId::new("e9")).await.unwrap();
    assert_eq!(sender.as_deref(), Some("ben@example.com"), "{:?}", NotificationKind::Swept);
}

#[tokio::test]
async fn a_dead_refresh_token_is_asked_once_for_all_who_wait() {
    let transport = FakeTransport::new(|line| match line.starts_with("/renew") {
        true => (401, String::new()),
        false => (200, "e1 completed".into()),
    });
    let world = granted(&transport, true, "t1", Some("r1"), Some(Duration::ZERO)).await;
    let (a, b, c) = tokio::join!(ask(&world), ask(&world), ask(&world));
    for outcome in [a, b, c] {
        match outcome {
            Outcome::Failed(error) => assert_eq!(
                (error.remedy(), error.holder()),
                (Remedy::RenewAccess, &Holder::Sender(anna())),
                "parked, not failed: {error}"
            ),
            other => assert!(matches!(other, Outcome::StillRefused(Holder::Sender(_))), "{other:?}"),
        }
    }
    assert!(matches!(ask(&world).await, Outcome::StillRefused(Holder::Sender(_))));
    assert_eq!(transport.asked(), ["/renew?refresh=r1"]);
}

#[tokio::test]
async fn an_api_that_refuses_whatever_was_renewed_does_not_make_renewals_spin() {
    let transport = FakeTransport::new(|line| match line.starts_with("/renew") {
        true => (200, "t2 r2 3600".into()),
        false => (401, String::new()),
    });
    let world = granted(&transport, false, "t1", Some("r1"), None).await;
    refusal(ask(&world).await);
    assert_eq!(transport.asked(), ["/envelope/e1 by t1", "/renew?refresh=r1", "/envelope/e1 by t2"]);
    for _ in 0..3 {
        assert!(matches!(ask(&world).await, Outcome::StillRefused(_)));
    }
    assert!(transport.asked().is_empty());
}

#[tokio::test]
async fn the_right_to_renew_ends_with_a_failure() {
    let works = Arc::new(AtomicBool::new(false));
    let working = Arc::clone(&works);
    let transport = FakeTransport::new(move |line| match working.load(Ordering::Relaxed) {
        true if line.starts_with("/renew") => (200, "t2 r2 3600".into()),
        true => (200, "e1 completed".into()),
        false => (503, String::new()),
    });
    let world = granted(&transport, false, "t1", Some("r1"), Some(Duration::ZERO)).await;
    assert_eq!(refusal(ask(&world).await).remedy(), Remedy::Retry(None));
    works.store(true, Ordering::Relaxed);
    assert!(matches!(ask(&world).await, Outcome::Found(..)));
}

#[tokio::test]
async fn an_envelope_that_a_forgotten_grant_showed_is_not_taken_for_deleted() {
    let transport = FakeTransport::new(|_| (200, "none".into()));
    let world = granted(&transport, true, "t1", None, None).await;
    world
        .store
        .forget_grant(&world.account.access.account, &anna(), "test", world.clock.now())
        .await
        .unwrap();
    let hr = world.account.access.account.clone();
    let id = TransferId::make(world.clock.now(), &*world.engine.entropy);
    let mut transfer = Transfer::new(id, hr, EnvelopeId::new("e1"));
    let look = async |transfer: &Transfer| world.engine.perform(&world.account, transfer, &Step::Ask).await;
    assert!(matches!(look(&transfer).await, Outcome::NotFound(_)), "lists lag: no reason to ask anybody yet");
    transfer.not_found = NOT_FOUND_TRIES_MAX - 1;
    let error = refusal(look(&transfer).await);
    assert_eq!((error.remedy(), error.holder()), (Remedy::RenewAccess, &Holder::Sender(anna())));
    transfer.disposal_asked_at = Some(world.clock.now());
    assert!(matches!(look(&transfer).await, Outcome::NotFound(_)), "our own removal");
    assert_eq!(transport.asked(), ["/envelope/e1"; 3]);
}

#[tokio::test]
async fn who_cannot_be_asked_is_not_taken_for_one_who_sees_nothing() {
    let transport = FakeTransport::new(|line| match line.contains("by t1") {
        true => (401, String::new()),
        false => (200, "none".into()),
    });
    let world = World::with(FakePlatform::default(), Arc::clone(&transport), |account| {
        account.search_senders = true;
        account.access.credential = Credential::default();
    });
    give(&world, "t1", None, None).await;
    for _ in 0..2 {
        let error = refusal(ask(&world).await);
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::NotReady, Remedy::Park));
    }
    assert_eq!(transport.asked(), ["/envelope/e1 by t1"], "refused once, and not asked again");
}

#[tokio::test]
async fn an_application_that_does_not_work_is_asked_once_for_all_senders() {
    let transport = FakeTransport::new(|_| (418, String::new()));
    let world = granted(&transport, false, "t1", Some("r1"), Some(Duration::ZERO)).await;
    for _ in 0..3 {
        let error = refusal(ask(&world).await);
        assert_eq!((error.remedy(), error.holder()), (Remedy::RenewAccess, &Holder::Account));
    }
    assert_eq!(transport.asked(), ["/renew?refresh=r1"]);
}

#[tokio::test]
async fn what_nobody_sees_holds_up_no_other_envelope_of_an_unknown_sender() {
    let transport = FakeTransport::new(|line| match line {
        "/envelope/e2 by t1" => (200, "e2 completed".into()),
        _ => (200, "none".into()),
    });
    let world = World::with(FakePlatform::default(), Arc::clone(&transport), |account| {
        account.search_senders = true;
        account.access.credential = Credential::default();
    });
    let hr = world.account.access.account.clone();
    let look = async |envelope: &str| {
        let id = TransferId::make(world.clock.now(), &*world.engine.entropy);
        let transfer = Transfer::new(id, hr.clone(), EnvelopeId::new(envelope));
        world.engine.perform(&world.account, &transfer, &Step::Ask).await
    };
    assert_eq!(*refusal(look("e1").await).holder(), Holder::Account, "nobody has given access at all");
    give(&world, "t1", None, None).await;
    assert!(matches!(look("e1").await, Outcome::NotFound(_)));
    assert!(matches!(look("e2").await, Outcome::Found(..)));
}
