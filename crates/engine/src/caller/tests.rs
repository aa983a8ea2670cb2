//! What a caller asks, how often, and with which token.

use super::*;
use crate::testing::{FakeClock, FakePlatform, FakeTransport, access, record};

use aftersign_core::artifact::Content;
use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::Identity;
use std::sync::atomic::{AtomicU32, Ordering};

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

#[tokio::test]
async fn an_envelope_of_200_documents_may_be_asked_about_twice_for_each() {
    let transport = FakeTransport::new(|_| answer(200, ""));
    let (caller, _) = caller(&transport);
    fn chain(left: usize) -> Call<&'static str> {
        let request = Request::builder().uri("https://platform.example/chain").body(Bytes::new()).unwrap();
        Call::new("chain", request, move |_, _| {
            Ok(if left == 1 { Next::Done("the end") } else { Next::Then(chain(left - 1)) })
        })
    }
    let asked = caller.ask(&FakePlatform::default(), &access(), |_| Ok(chain(402))).await;
    assert_eq!((asked.unwrap(), transport.asked().len()), ("the end", 402));
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

/// A question of three requests; the second is made by `method`.
fn three(method: Method) -> Call<u16> {
    fn hop(path: &str, method: Method, then: Option<Call<u16>>) -> Call<u16> {
        let uri = format!("https://platform.example/{path}");
        let request = Request::builder().method(method).uri(uri).body(Bytes::new()).unwrap();
        Call::new("three", request, move |response, _| {
            let status = response.status().as_u16();
            match then {
                Some(next) if status == 200 => Ok(Next::Then(next)),
                _ => Ok(Next::Done(status)),
            }
        })
    }
    hop("one", Method::GET, Some(hop("two", method, Some(hop("three", Method::GET, None)))))
}

#[tokio::test(start_paused = true)]
async fn a_disturbance_in_the_middle_of_a_question_is_asked_again_in_its_place() {
    let failures = Arc::new(AtomicU32::new(0));
    let failed = Arc::clone(&failures);
    let transport = FakeTransport::new(move |line| match line {
        "/two" if failed.fetch_add(1, Ordering::Relaxed) < 2 => answer(502, "<html>"),
        _ => answer(200, ""),
    });
    let (caller, _) = caller(&transport);
    let ask = async |method: Method| {
        let asked = caller.ask(&FakePlatform::default(), &access(), |_| Ok(three(method.clone()))).await;
        (asked.unwrap(), transport.asked())
    };
    let (status, asked) = ask(Method::GET).await;
    assert_eq!(
        (status, &asked[..]),
        (200, &["/one", "/two", "/two", "/two", "/three"].map(String::from)[..])
    );
    failures.store(0, Ordering::Relaxed);
    let (status, asked) = ask(Method::POST).await;
    assert_eq!((status, asked.len()), (502, 2), "what changes something is not sent twice unasked");
}

#[tokio::test(start_paused = true)]
async fn a_disturbance_that_lasts_is_the_answer() {
    let transport = FakeTransport::new(|line| if line == "/two" { answer(503, "") } else { answer(200, "") });
    let (caller, _) = caller(&transport);
    let asked = caller.ask(&FakePlatform::default(), &access(), |_| Ok(three(Method::GET))).await;
    assert_eq!((asked.unwrap(), transport.asked().len()), (503, 1 + HOP_TRIES_MAX as usize));
}

#[test]
fn a_disturbance_is_told_from_an_answer_and_its_wish_is_obeyed_while_it_is_short() {
    let waits = |status: u16, header: Option<(&str, &str)>| {
        let mut response = Response::builder().status(status);
        if let Some((name, value)) = header {
            response = response.header(name, value);
        }
        disturbance(&response.body(Bytes::new()).unwrap())
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!((waits(200, None), waits(404, None), waits(401, None)), (None, None, None));
    assert_eq!((waits(502, None), waits(429, None)), (seconds(0), seconds(0)));
    assert_eq!(waits(200, Some(("content-type", "Text/HTML; charset=utf-8"))), seconds(0));
    assert_eq!(waits(429, Some(("retry-after", "3"))), seconds(3));
    assert_eq!(waits(503, Some(("retry-after", "3600"))), None);
    assert_eq!(waits(503, Some(("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"))), None);
}
