//! What a caller asks, how often, and with which token.

use super::*;
use crate::testing::{FakeClock, FakePlatform, FakeTransport, access, record};

use aftersign_core::artifact::Content;
use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::Identity;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn with_tokens() -> FakePlatform {
    FakePlatform { tokens: true, ..FakePlatform::default() }
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, body.into())
}

/// Tokens are numbered; of the platform's answers, `accepts` says with which number they are given.
fn numbered(accepts: impl Fn(u32) -> bool + Send + Sync + 'static) -> Arc<FakeTransport> {
    let given = AtomicU32::new(0);
    FakeTransport::new(move |line| match line.rsplit_once(" with t") {
        None => answer(200, &format!("t{} 60", given.fetch_add(1, Ordering::Relaxed) + 1)),
        Some((_, number)) if accepts(number.parse().unwrap()) => answer(200, "anna"),
        Some(_) => answer(401, ""),
    })
}

fn caller(transport: &Arc<FakeTransport>) -> (Caller, Arc<FakeClock>) {
    let clock = FakeClock::new();
    (Caller::new(Arc::clone(transport) as Arc<dyn Transport>, Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

async fn whoami(caller: &Caller, access: &Access) -> Result<Identity, Error> {
    let platform = with_tokens();
    caller.ask(&platform, access, |access| platform.whoami(access)).await
}

#[tokio::test]
async fn two_who_need_the_same_token_fetch_it_once() {
    let transport = numbered(|_| true);
    let (caller, _) = caller(&transport);
    let own = access();
    let (one, other) = tokio::join!(whoami(&caller, &own), whoami(&caller, &own));
    assert_eq!((one.unwrap().name, other.unwrap().name), ("anna".into(), "anna".into()));
    assert_eq!(transport.asked(), ["/token?of=account", "/whoami with t1", "/whoami with t1"]);
}

#[tokio::test]
async fn a_token_is_kept_until_it_must_be_renewed_and_each_sender_has_one_of_their_own() {
    let transport = numbered(|_| true);
    let (caller, clock) = caller(&transport);
    whoami(&caller, &access()).await.unwrap();
    clock.pass(Duration::from_secs(59));
    whoami(&caller, &access()).await.unwrap();
    whoami(&caller, &access().for_sender("sam")).await.unwrap();
    clock.pass(Duration::from_secs(1));
    whoami(&caller, &access()).await.unwrap();
    let asked = transport.asked();
    assert_eq!(asked[..3], ["/token?of=account", "/whoami with t1", "/whoami with t1"]);
    assert_eq!(asked[3..5], ["/token?of=sam", "/whoami with t2"]);
    assert_eq!(asked[5..], ["/token?of=account", "/whoami with t3"]);
}

#[tokio::test]
async fn a_kept_token_that_is_refused_is_fetched_anew_once() {
    let least = Arc::new(AtomicU32::new(1));
    let accepted = Arc::clone(&least);
    let transport = numbered(move |number| number >= accepted.load(Ordering::Relaxed));
    let (caller, _) = caller(&transport);
    whoami(&caller, &access()).await.unwrap();
    transport.asked();

    least.store(2, Ordering::Relaxed);
    assert_eq!(whoami(&caller, &access()).await.unwrap().name, "anna");
    assert_eq!(transport.asked(), ["/whoami with t1", "/token?of=account", "/whoami with t2"]);

    least.store(u32::MAX, Ordering::Relaxed);
    let error = whoami(&caller, &access()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessRefused);
    assert_eq!(transport.asked(), ["/whoami with t2", "/token?of=account", "/whoami with t3"]);
}

#[tokio::test]
async fn a_new_token_that_is_refused_is_the_answer_and_is_not_kept() {
    let transport = numbered(|_| false);
    let (caller, _) = caller(&transport);
    for number in 1..3 {
        let error = whoami(&caller, &access()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessRefused);
        assert_eq!(transport.asked(), ["/token?of=account".to_owned(), format!("/whoami with t{number}")]);
    }
}

#[tokio::test]
async fn a_refused_token_is_the_answer_and_of_a_sender_who_left_it_is_a_refusal_too() {
    let transport = FakeTransport::new(|_| answer(404, ""));
    let (caller, _) = caller(&transport);
    let own = whoami(&caller, &access()).await.unwrap_err();
    let of_sender = whoami(&caller, &access().for_sender("sam")).await.unwrap_err();
    assert_eq!((own.kind(), of_sender.kind()), (ErrorKind::NotFound, ErrorKind::AccessRefused));
    assert_eq!(transport.asked(), ["/token?of=account", "/token?of=sam"]);
}

#[tokio::test]
async fn a_download_renews_its_token_too_and_a_refusal_is_what_the_platform_takes_it_for() {
    let transport = numbered(|number| number == 2);
    let (caller, _) = caller(&transport);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("0");
    let envelope = Envelope::new(EnvelopeId::new("e1"), EnvelopeStatus::Completed, "completed");
    let artifact = record("f1", Content::Any);
    let (own, platform) = (access(), with_tokens());
    let download = async || {
        caller
            .download(&platform, &own, &into, |access| platform.download(access, &envelope, &artifact))
            .await
    };

    assert_eq!(download().await.unwrap_err().kind(), ErrorKind::AccessRefused, "the first token is new");
    assert_eq!(download().await.unwrap().bytes, 4);
    assert_eq!(std::fs::read(&into).unwrap(), b"anna");
    let asked = ["/token?of=account", "/file/f1 with t1", "/token?of=account", "/file/f1 with t2"];
    assert_eq!(transport.asked(), asked);
}

#[tokio::test]
async fn an_answer_that_leads_in_circles_is_given_up() {
    let transport = FakeTransport::new(|_| answer(200, ""));
    let (caller, _) = caller(&transport);
    fn round() -> Call<()> {
        let request = Request::builder().uri("https://platform.example/round").body(Bytes::new()).unwrap();
        Call::new("round", request, |_, _| Ok(Next::Then(round())))
    }
    let error = caller.ask(&FakePlatform::default(), &access(), |_| Ok(round())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unintelligible);
    assert_eq!(transport.asked().len(), CALL_HOPS_MAX);
}

#[test]
fn no_more_tokens_are_kept_than_may_be() {
    let transport = FakeTransport::new(|_| answer(200, ""));
    let (caller, _) = caller(&transport);
    for number in 0..=TOKENS_MAX {
        caller.slot(&access().for_sender(number.to_string()));
    }
    assert_eq!(caller.tokens.lock().unwrap().len(), 1);
}
