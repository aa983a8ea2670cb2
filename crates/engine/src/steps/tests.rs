//! Steps against a platform that the tests play.

use super::*;
use crate::limits::ACCESS_REFUSED_QUIET;
use crate::testing::{FakePlatform, FakeTransport, PLATFORM_SECRET, World, record};

use aftersign_core::callback::{Notification, NotificationKind};
use aftersign_core::ids::{EnvelopeId, TransferId};
use aftersign_core::platform::Capabilities;
use aftersign_core::seams::Clock;
use aftersign_store::{News, NewsSource, Projection};
use std::sync::Arc;

fn transfer(world: &World, envelope: Option<Envelope>) -> Transfer {
    let id = TransferId::make(world.clock.now(), &*world.engine.entropy);
    let mut transfer = Transfer::new(id, world.account.access.account.clone(), EnvelopeId::new("e1"));
    transfer.envelope = envelope;
    transfer
}

fn completed(sender: Option<&str>) -> Envelope {
    let sender = sender.map(Into::into);
    Envelope { sender, ..Envelope::new(EnvelopeId::new("e1"), EnvelopeStatus::Completed, "completed") }
}

/// Downloads one record: what the outcome says of it, and what lies in staging.
async fn downloaded(content: Content, body: String) -> (Digest, u64, Vec<u8>) {
    let world = World::new(FakePlatform::default(), FakeTransport::new(move |_| (200, body.clone())));
    let mut transfer = transfer(&world, Some(completed(None)));
    let artifact = record("f1", content);
    transfer.items =
        vec![Item { file_name: "record.json".into(), artifact, staged: None, deliveries: Vec::new() }];
    let outcome = world.engine.perform(&world.account, &transfer, &Step::Download(0)).await;
    let Outcome::Staged(0, digest, bytes, _) = outcome else { panic!("{outcome:?}") };
    let folder = world.folder.path().join("staging").join(transfer.id.to_string());
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["0"], "nothing else is left");
    (digest, bytes, std::fs::read(folder.join("0")).unwrap())
}

#[tokio::test]
async fn the_platforms_secrets_in_a_record_are_not_archived() {
    let (digest, bytes, staged) =
        downloaded(Content::Json, format!("{{\"key\":\"{PLATFORM_SECRET}\",\"name\":\"x\"}}")).await;
    assert_eq!(staged, b"{\"key\":\"redacted\",\"name\":\"x\"}");
    assert_eq!((digest, bytes), (Digest::of(&staged), 29), "the digest is that of what will be archived");
}

#[tokio::test]
async fn a_secret_is_taken_out_of_a_large_record_too_and_one_that_is_too_large_is_a_case_for_a_person() {
    let filler = "x".repeat(17 * 1024 * 1024);
    let (_, _, staged) =
        downloaded(Content::Json, format!("{{\"key\":\"{PLATFORM_SECRET}\",\"name\":\"{filler}\"}}")).await;
    assert!(staged.starts_with(b"{\"key\":\"redacted\""));

    let world = World::new(FakePlatform::default(), FakeTransport::new(|_| (200, String::new())));
    let item = |content| Item {
        file_name: "record.json".into(),
        artifact: record("f1", content),
        staged: None,
        deliveries: Vec::new(),
    };
    let staged = Downloaded {
        digest: Digest::of(b""),
        bytes: RECORD_BYTES_MAX + 1,
        head: Vec::new(),
        tail: Vec::new(),
        headers: http::HeaderMap::new(),
    };
    let redact = async |content| {
        let nowhere = world.folder.path().join("nowhere");
        world.engine.redact(&world.account, &item(content), &nowhere, &staged).await
    };
    let error = redact(Content::Json).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::AskPerson);
    assert!(error.to_string().contains("too large"), "{error}");
    assert_eq!(redact(Content::Any).await.unwrap(), (staged.digest, staged.bytes), "there is no such limit");
}

#[tokio::test]
async fn what_holds_no_secret_or_is_no_record_in_json_is_archived_as_it_came() {
    let json = "{\"name\":\"x\"}".to_owned();
    assert_eq!(downloaded(Content::Json, json.clone()).await.2, json.as_bytes());
    let text = format!("a text about {PLATFORM_SECRET}");
    let (digest, _, staged) = downloaded(Content::Any, text.clone()).await;
    assert_eq!((digest, staged), (Digest::of(text.as_bytes()), text.into_bytes()));
}

#[tokio::test]
async fn where_no_rule_says_otherwise_an_envelope_is_removed_when_that_is_safe() {
    for (dispose, expected) in [(true, DisposePolicy::AfterExtension), (false, DisposePolicy::Never)] {
        let capabilities = Capabilities { dispose, ..Capabilities::default() };
        let platform = FakePlatform { capabilities, ..FakePlatform::default() };
        let world = World::new(platform, FakeTransport::new(|_| (200, "e1 completed".into())));
        let outcome = world.engine.perform(&world.account, &transfer(&world, None), &Step::Ask).await;
        let Outcome::Found(_, Some(plan)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(plan.dispose, expected);
    }
}

/// Asks for an envelope of which a notification told the sender.
async fn asked(
    platform: FakePlatform,
    answers: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
) -> (Outcome, Vec<String>) {
    let transport = FakeTransport::new(answers);
    let world = World::new(platform, Arc::clone(&transport));
    let heard = Notification {
        envelope: EnvelopeId::new("e1"),
        kind: NotificationKind::Finished,
        kind_at_platform: "finished".into(),
        occurred_at: None,
        signer: None,
        detail: None,
        sender: Some("sam".into()),
        name: None,
        draft: None,
    };
    let news = News {
        source: NewsSource::Sweep(aftersign_core::ids::SweepId::make(
            world.clock.now(),
            &*world.engine.entropy,
        )),
        account: world.account.access.account.clone(),
        platform: "fake".into(),
        notifications: vec![heard],
        open_tasks: Vec::new(),
        close_tasks: Vec::new(),
    };
    world.store.announce(vec![news], world.clock.now(), world.engine.pace()).await.unwrap();
    let outcome = world.engine.perform(&world.account, &transfer(&world, None), &Step::Ask).await;
    (outcome, transport.asked())
}

#[tokio::test]
async fn an_envelope_is_asked_for_in_the_name_of_the_sender_whom_a_notification_told() {
    let (outcome, lines) = asked(FakePlatform::per_sender(), |_| (200, "e1 completed".into())).await;
    assert!(matches!(outcome, Outcome::Found(..)), "{outcome:?}");
    assert_eq!(lines, ["/envelope/e1 as sam"]);

    let (_, lines) = asked(FakePlatform::default(), |_| (200, "e1 completed".into())).await;
    assert_eq!(lines, ["/envelope/e1"], "where senders make no difference");
}

#[tokio::test]
async fn an_envelope_that_its_sender_may_not_show_and_the_account_does_not_see_is_a_case_for_a_person() {
    let (outcome, lines) = asked(FakePlatform::per_sender(), |line| match line.ends_with("as sam") {
        true => (403, String::new()),
        false => (200, "none".into()),
    })
    .await;
    let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Forbidden, Remedy::AskPerson));
    assert_eq!(lines, ["/envelope/e1 as sam", "/envelope/e1"]);

    let (outcome, _) = asked(FakePlatform::per_sender(), |_| (200, "none".into())).await;
    assert!(matches!(outcome, Outcome::NotFound(_)), "the sender's own word: {outcome:?}");
}

#[tokio::test]
async fn listing_and_downloading_fall_back_to_the_accounts_own_access() {
    let transport = FakeTransport::new(|line| match line.ends_with("as sam") {
        true => (403, String::new()),
        false => (200, "{\"a\":1}".into()),
    });
    let world = World::new(FakePlatform::per_sender(), Arc::clone(&transport));
    let mut transfer = transfer(&world, Some(completed(Some("sam"))));
    let artifact = record("f1", Content::Json);
    transfer.items = vec![Item { file_name: "f1".into(), artifact, staged: None, deliveries: Vec::new() }];
    let listed = world.engine.perform(&world.account, &transfer, &Step::List).await;
    let staged = world.engine.perform(&world.account, &transfer, &Step::Download(0)).await;
    assert!(matches!((&listed, &staged), (Outcome::Listed(_), Outcome::Staged(..))), "{listed:?} {staged:?}");
    let asked = ["/artifacts/e1 as sam", "/artifacts/e1", "/file/f1 as sam", "/file/f1"];
    assert_eq!(transport.asked(), asked);
}

#[tokio::test]
async fn while_an_access_is_refused_one_transfer_asks_for_all() {
    let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let working = Arc::clone(&works);
    let transport = FakeTransport::new(move |_| match working.load(std::sync::atomic::Ordering::Relaxed) {
        true => (200, "e1 completed".to_owned()),
        false => (401, String::new()),
    });
    let world = World::new(FakePlatform::default(), Arc::clone(&transport));
    let transfer = transfer(&world, None);
    let ask = async || world.engine.perform(&world.account, &transfer, &Step::Ask).await;
    assert!(matches!(ask().await, Outcome::Failed(error) if error.kind() == ErrorKind::AccessRefused));
    assert!(matches!(ask().await, Outcome::StillRefused(_)));
    assert_eq!(transport.asked().len(), 1);
    world.clock.pass(ACCESS_REFUSED_QUIET);
    assert!(matches!(ask().await, Outcome::Failed(_)));
    works.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(ask().await, Outcome::StillRefused(_)));
    world.clock.pass(ACCESS_REFUSED_QUIET);
    for _ in 0..2 {
        assert!(matches!(ask().await, Outcome::Found(..)), "and all go on at once");
    }
}
