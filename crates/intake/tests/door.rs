//! The front door as a platform, or somebody who only plays one, sees it: bytes over TCP.

mod support;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::callback::draft_secret;
use aftersign_core::secret::Secret;
use aftersign_intake::limits::{FALLBACK_PLACES_MAX, FALLBACK_TIMEOUT};
use aftersign_intake::{Fallback, IntakeConfig, IntakeLimits};
use bytes::Bytes;
use http::Response as HttpResponse;
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use support::{
    ACKNOWLEDGEMENT, BODY_BYTES_MAX, Door, KEY, Mood, NEXT_PATH_SECRET, PASSWORD, PATH, PATH_SECRET,
    WITH_DRAFTS, accounts, post, post_to,
};

#[tokio::test]
async fn an_authentic_callback_is_noted_and_acknowledged_to_the_byte() {
    let door = Door::open().await;
    let answer = door.send(post("one")).await;
    assert_eq!(
        answer.head,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\ncontent-length: 24\r\n\r\n"
    );
    assert_eq!(answer.body, ACKNOWLEDGEMENT.as_bytes());
    let signed = format!("X-Signature: {KEY}");
    let answer = door
        .send(format!("GET {PATH}/status/?envelope=1%202&action=x HTTP/1.1\r\nHost: h\r\n{signed}\r\n\r\n"))
        .await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, ACKNOWLEDGEMENT.as_bytes()));

    let noted = door.noted();
    assert_eq!(noted.len(), 2);
    assert_eq!((noted[0].method.as_str(), noted[0].body.as_ref()), ("POST", &b"one"[..]));
    assert_eq!((noted[0].account.as_str(), noted[0].platform), ("hr", "test-platform"));
    assert_eq!((noted[0].channel.as_deref(), noted[0].query.as_str()), (None, ""));
    assert!(noted[0].headers.contains(&("content-length".to_owned(), "3".to_owned())));
    assert!(noted[0].remote.as_deref().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(noted[0].quarantine_reason, None);
    assert_eq!(
        (noted[1].channel.as_deref(), noted[1].query.as_str()),
        (Some("status"), "envelope=1%202&action=x")
    );
}

#[tokio::test]
async fn a_repeat_is_acknowledged_like_the_first() {
    let door = Door::open().await;
    let first = door.send(post("same")).await;
    let second = door.send(post("same")).await;
    assert_eq!((&first.head, &first.body), (&second.head, &second.body));
    assert_eq!(door.noted().len(), 1);
    let metrics = door.metrics();
    for (result, count) in [("noted", 1), ("repeat", 1)] {
        let line = format!(
            "aftersign_callbacks_total{{account=\"hr\",platform=\"test-platform\",result=\"{result}\",reason=\"\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(
        metrics
            .contains("aftersign_acknowledgement_seconds_count{account=\"hr\",platform=\"test-platform\"} 2")
    );
}

#[tokio::test]
async fn a_forged_callback_is_refused_and_not_noted() {
    let door = Door::open().await;
    for (headers, reason) in [(vec![], "unsigned"), (vec!["X-Signature: wrong"], "forged")] {
        let answer = door.send(post_to(PATH, &headers, "x")).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(door.metrics().contains(&format!("result=\"refused\",reason=\"{reason}\"}} 1")));
    }
    assert!(door.noted().is_empty());
}

#[tokio::test]
async fn whatever_is_no_callback_url_is_answered_the_same_to_the_byte() {
    let door = Door::open().await;
    let paths = [
        "/callbacks/hr/wrong".to_owned(),
        format!("/callbacks/nobody/{PATH_SECRET}"),
        format!("{PATH}/no-such-channel"),
        format!("{PATH}/status/more"),
        format!("{PATH}x"),
        "/callbacks/hr/wrong/status".to_owned(),
        "/callbacks/hr/".to_owned(),
        "/callbacks/hr//".to_owned(),
        "/".to_owned(),
        "/healthz".to_owned(),
        format!("/callbacks/hr/{}", "a".repeat(5_000)),
    ];
    let signed = format!("X-Signature: {KEY}");
    let first = door.send(post_to(&paths[0], &[&signed], "x")).await;
    assert_eq!((first.status, first.body.as_slice()), (404, &b"not found\n"[..]));
    for path in &paths {
        for request in [
            post_to(path, &[&signed], "x"),
            post_to(path, &["Authorization: Basic !"], "x"),
            format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"),
            format!("DELETE {path} HTTP/1.1\r\nHost: h\r\n\r\n"),
        ] {
            let answer = door.send(request).await;
            assert_eq!((&answer.head, &answer.body), (&first.head, &first.body), "{path}");
        }
    }
    assert!(door.noted().is_empty());
    assert!(!door.metrics().contains("nobody"), "an unknown account is no label");
}

#[tokio::test]
async fn two_path_secrets_are_valid_at_once_and_a_reload_takes_one_away() {
    let door = Door::open().await;
    let signed = format!("X-Signature: {KEY}");
    let encoded = NEXT_PATH_SECRET.replace('-', "%2D");
    for secret in [PATH_SECRET, NEXT_PATH_SECRET, &encoded] {
        let answer = door.send(post_to(&format!("/callbacks/hr/{secret}"), &[&signed], secret)).await;
        assert_eq!(answer.status, 200, "{secret}");
    }
    let mut accounts = accounts();
    accounts[0].path_secrets.remove(0);
    door.intake.set_accounts(accounts);
    assert_eq!(door.send(post("later")).await.status, 404);
    let path = format!("/callbacks/hr/{NEXT_PATH_SECRET}");
    assert_eq!(door.send(post_to(&path, &[&signed], "later")).await.status, 200);
}

const DRAFT: &str = "765b904a-7c64-470f-bf63-0f311f2cc474";

/// A door whose first account is at a platform where our page sends drafts.
async fn door_for_drafts() -> Door {
    let door = Door::open().await;
    let mut accounts = accounts();
    accounts[0].platform = &WITH_DRAFTS;
    door.intake.set_accounts(accounts);
    door
}

/// The path that callbacks of a draft have, made from this path secret.
fn path_of_draft(account: &str, path_secret: &str, draft: &str) -> String {
    let secret = draft_secret(&Secret::new(path_secret), draft);
    format!("/callbacks/{account}/{}", secret.expose())
}

#[tokio::test]
async fn a_secret_of_a_draft_opens_the_door_for_that_draft_alone() {
    let door = door_for_drafts().await;
    let signed = format!("X-Signature: {KEY}");
    let taken = async |path: &str, query: &str| {
        door.send(post_to(&format!("{path}{query}"), &[&signed], query)).await.status
    };
    let current = path_of_draft("hr", PATH_SECRET, DRAFT);
    let replaced = path_of_draft("hr", NEXT_PATH_SECRET, DRAFT);
    let upper = DRAFT.to_uppercase();
    assert_eq!(taken(&current, &format!("/status?draft={DRAFT}&action=x")).await, 200);
    assert_eq!(
        taken(&replaced, &format!("?draft={upper}&a=b")).await,
        200,
        "made from the second path secret"
    );
    assert_eq!(door.noted().len(), 2);

    let first = door.send(post_to("/callbacks/hr/wrong", &[&signed], "x")).await;
    let other = DRAFT.replace('7', "8");
    let empty = path_of_draft("hr", "", DRAFT);
    for (path, query) in [
        (&current, String::new()),
        (&current, format!("?draft={other}")),
        (&current, format!("?draft={other}&draft={DRAFT}")),
        (&current, format!("?draftId={DRAFT}")),
        (&current, format!("?draft={}", "a".repeat(5_000))),
        (&current, format!("/no-such-channel?draft={DRAFT}")),
        (&path_of_draft("hr", "guessed-path-secret-01234567", DRAFT), format!("?draft={DRAFT}")),
        (&empty, format!("?draft={DRAFT}")),
        (&path_of_draft("nobody", PATH_SECRET, DRAFT), format!("?draft={DRAFT}")),
        (&path_of_draft("finance", PATH_SECRET, DRAFT), format!("?draft={DRAFT}")),
    ] {
        let answer = door.send(post_to(&format!("{path}{query}"), &[&signed], "x")).await;
        assert_eq!((&answer.head, &answer.body), (&first.head, &first.body), "{path}{query}");
    }
    assert_eq!(door.send(post_to(&format!("{current}?draft={DRAFT}"), &[], "x")).await.status, 401);
    assert_eq!(door.noted().len(), 2);
}

#[tokio::test]
async fn the_secret_of_a_draft_is_noted_nowhere() {
    let door = door_for_drafts().await;
    let path = path_of_draft("hr", PATH_SECRET, DRAFT);
    let secret = path.rsplit('/').next().unwrap();
    let headers = [
        format!("X-Signature: {KEY}"),
        format!("X-Original-URI: {path}?draft={DRAFT}"),
        format!("X-Was: /{}", secret.replace('-', "%2d")),
    ];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = door.send(post_to(&format!("{path}?draft={DRAFT}&back={secret}"), &headers, "x")).await;
    assert_eq!(answer.status, 200);
    let quoting = format!("{path}?draft={DRAFT}&echo={secret}");
    assert_eq!(door.send(post_to(&quoting, &headers, "y")).await.status, 200);
    let noted = door.noted();
    assert_eq!(noted.len(), 2);
    assert_eq!(noted[0].query, format!("draft={DRAFT}&back=REDACTED"));
    for callback in noted {
        let told = format!(
            "{} {:?} {:?} {:?}",
            callback.query, callback.headers, callback.quarantine_reason, callback.kind
        );
        assert!(!told.contains(secret) && told.contains("REDACTED"), "{told}");
        assert!(!told.contains(&secret.replace('-', "%2d")), "{told}");
    }
}

#[tokio::test]
async fn head_has_no_effect_and_other_methods_are_not_allowed() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.write(format!("HEAD {PATH} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    client.write(format!("PUT {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")).await;
    let answer = client.response().await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, POST")));
    assert!(door.noted().is_empty());
}

#[tokio::test]
async fn basic_credentials_are_asked_for_where_the_account_wants_them() {
    let door = Door::open().await;
    let path = format!("/callbacks/finance/{PATH_SECRET}");
    let signed = format!("X-Signature: {KEY}");
    // user:basic-password-xyz, user:wrong, and no base64 at all.
    let right = "Authorization: Basic dXNlcjpiYXNpYy1wYXNzd29yZC14eXo=";
    for wrong in
        ["X: y", "Authorization: Basic dXNlcjp3cm9uZw==", "Authorization: Basic !", "Authorization: x"]
    {
        for request in [
            post_to(&path, &[&signed, wrong], "x"),
            format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n{wrong}\r\n\r\n"),
        ] {
            let mut client = door.client().await;
            client.write(&request).await;
            client.stream.shutdown().await.unwrap();
            let answer = if request.starts_with("HEAD") {
                // A response to HEAD announces a body that does not follow.
                let (status, challenge) = client.head().await;
                assert_eq!(challenge.as_deref(), Some("Basic realm=\"callbacks\""));
                status
            } else {
                let answer = client.response().await;
                assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"callbacks\""));
                answer.status
            };
            assert_eq!(answer, 401, "{request}");
        }
    }
    assert!(door.noted().is_empty());
    assert_eq!(door.send(post_to(&path, &[&signed, right], "x")).await.status, 200);
    let unpadded = right.trim_end_matches('=').replace("Basic", "bAsIc");
    assert_eq!(door.send(post_to(&path, &[&signed, &unpadded], "y")).await.status, 200);
    assert_eq!(door.send(post_to(&path, &[right], "z")).await.status, 401, "the signature is checked too");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_by_its_length_and_while_it_comes() {
    let door = Door::open().await;
    let signed = format!("X-Signature: {KEY}");
    let largest = "x".repeat(BODY_BYTES_MAX);
    assert_eq!(door.send(post(&largest)).await.status, 200);
    // Far beyond, by a client that writes all before it reads.
    assert_eq!(door.send(post(&"x".repeat(3_000_000))).await.status, 413);
    let chunked = |bytes: usize| {
        let head =
            format!("POST {PATH} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n{signed}\r\n\r\n");
        head + &format!("400\r\n{}\r\n", "y".repeat(0x400)).repeat(bytes / 0x400) + "0\r\n\r\n"
    };
    assert_eq!(door.send(chunked(BODY_BYTES_MAX)).await.status, 200);
    assert_eq!(door.send(chunked(BODY_BYTES_MAX + 0x400)).await.status, 413);
    assert_eq!(door.send(chunked(2_000_000)).await.status, 413);
    assert_eq!(door.noted().len(), 2);
    assert_eq!(door.noted()[1].body.len(), BODY_BYTES_MAX);
    assert!(door.metrics().contains("result=\"too_large\",reason=\"\"} 3"));
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_only_if_its_body_is_wanted() {
    let door = Door::open().await;
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\
             X-Signature: {KEY}\r\n\r\n"
        )
    };
    let mut client = door.client().await;
    client.write(head(PATH, 4)).await;
    let interim = client.response().await;
    assert_eq!((interim.status, interim.head.as_str()), (100, "HTTP/1.1 100 Continue\r\n\r\n"));
    client.write("body").await;
    assert_eq!(client.response().await.status, 200);

    for (path, length, status) in [(PATH, BODY_BYTES_MAX + 1, 413), ("/callbacks/hr/wrong", 4, 404)] {
        let mut client = door.client().await;
        client.write(head(path, length)).await;
        assert_eq!(client.response().await.status, status);
        assert!(client.ended().await);
    }
    assert_eq!(door.noted().len(), 1);
}

#[tokio::test]
async fn pipelined_callbacks_are_answered_in_order() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.write(post("a") + &post_to(PATH, &[], "b") + &post("c")).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(client.response().await.status);
    }
    assert_eq!(statuses, [200, 401, 200]);
    assert_eq!(door.noted().len(), 2);
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_the_request_is_answered() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.write(post("last words")).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.response().await.status, 200);
    assert!(client.ended().await);
}

#[tokio::test(start_paused = true)]
async fn slow_heads_and_slow_bodies_are_cut_off() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.write("POST /callbacks/hr/x HTTP/1.1\r\nHo").await;
    assert!(client.ended().await);

    let mut client = door.client().await;
    let whole = post("a body that stops in the middle");
    client.write(&whole[..whole.len() - 5]).await;
    assert_eq!(client.response().await.status, 408);
    assert!(client.ended().await);
    assert!(door.noted().is_empty());
    assert!(door.metrics().contains("result=\"timeout\",reason=\"body\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_answered_503_in_the_end() {
    let door = Door::open().await;
    door.close_gate();
    let begun = tokio::time::Instant::now();
    let answer = door.send(post("x")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(begun.elapsed().as_secs(), 10, "before the platform loses its patience");
    assert!(door.metrics().contains("result=\"unavailable\",reason=\"store_timeout\"} 1"));
}

#[tokio::test]
async fn what_is_not_durable_is_never_acknowledged() {
    let door = Door::open().await;
    for (mood, reason) in [(Mood::Overloaded, "store_overloaded"), (Mood::Unavailable, "store_unavailable")] {
        door.set_mood(mood);
        let answer = door.send(post("x")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
        assert!(door.metrics().contains(&format!("result=\"unavailable\",reason=\"{reason}\"}} 1")));
    }
    door.set_mood(Mood::Willing);
    assert_eq!(door.send(post("x")).await.status, 200);
}

#[tokio::test]
async fn more_requests_in_flight_than_we_take_are_answered_503_at_once() {
    let limits = IntakeLimits { requests_max: 1, ..IntakeLimits::default() };
    let door = Door::open_with(IntakeConfig { limits }).await;
    door.close_gate();
    let mut first = door.client().await;
    first.write(post("first")).await;
    door.inbox.arrived.notified().await;
    let second = door.send(post("second")).await;
    assert_eq!((second.status, second.header("retry-after")), (503, Some("5")));
    door.inbox.gate.add_permits(1);
    assert_eq!(first.response().await.status, 200);
    assert_eq!(door.noted().len(), 1);
}

#[tokio::test]
async fn bodies_that_would_not_fit_into_memory_together_are_answered_503() {
    let limits = IntakeLimits { bodies_bytes_max: 100, ..IntakeLimits::default() };
    let door = Door::open_with(IntakeConfig { limits }).await;
    door.close_gate();
    let mut first = door.client().await;
    first.write(post(&"x".repeat(80))).await;
    door.inbox.arrived.notified().await;
    assert_eq!(door.send(post(&"y".repeat(80))).await.status, 503);
    door.inbox.gate.add_permits(2);
    assert_eq!(first.response().await.status, 200);
    assert_eq!(door.send(post(&"y".repeat(80))).await.status, 200, "the room was given back");
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let limits = IntakeLimits { connections_max: 1, ..IntakeLimits::default() };
    let door = Door::open_with(IntakeConfig { limits }).await;
    let mut idle = door.client().await;
    idle.write("P").await;
    let answer = door.send(post("x")).await;
    assert_eq!(answer.status, 200, "the idle connection ran out of time and made room");
    assert!(idle.ended().await);
}

#[tokio::test]
async fn a_shutdown_lets_requests_in_flight_finish_and_takes_no_more() {
    let door = Door::open().await;
    door.close_gate();
    let mut busy = door.client().await;
    busy.write(post("in flight")).await;
    door.inbox.arrived.notified().await;
    let mut idle = door.client().await;
    door.shutdown.cancel();
    assert!(idle.ended().await);
    door.inbox.gate.add_permits(1);
    let answer = busy.response().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(busy.ended().await);
    door.served.await.unwrap().unwrap();
    assert_eq!(door.inbox.noted.lock().unwrap().len(), 1);
    assert!(tokio::net::TcpStream::connect(door.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever() {
    let limits = IntakeLimits { drain_timeout: Duration::from_secs(3), ..IntakeLimits::default() };
    let door = Door::open_with(IntakeConfig { limits }).await;
    door.close_gate();
    let mut stuck = door.client().await;
    stuck.write(post("stuck")).await;
    door.inbox.arrived.notified().await;
    let begun = tokio::time::Instant::now();
    door.shutdown.cancel();
    door.served.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert!(stuck.ended().await);
}

#[tokio::test]
async fn nothing_that_is_noted_holds_a_secret() {
    let door = Door::open().await;
    let headers = [
        "Authorization: Basic dXNlcjpiYXNpYy1wYXNzd29yZC14eXo=",
        "Cookie: session=cookie-value",
        "X-Api-Key: api-key-value",
        &format!("X-Signature: {KEY}"),
        &format!("X-Original-URI: /callbacks/finance/{PATH_SECRET}?x"),
        &format!("Referer: https://h/{}", NEXT_PATH_SECRET.replace('-', "%2d")),
        "X-Forwarded-For: 203.0.113.7",
    ];
    let path = format!(
        "/callbacks/finance/{PATH_SECRET}/status?envelope=7&token=token-value&a={KEY}&b=x{PASSWORD}x&{PATH_SECRET}"
    );
    assert_eq!(door.send(post_to(&path, &headers, "body")).await.status, 200);
    let noted = door.noted();
    let everything = format!("{:?}", noted[0]);
    for secret in [
        PATH_SECRET,
        NEXT_PATH_SECRET,
        KEY,
        PASSWORD,
        "dXNlcjpiYXNpYy1wYXNzd29yZC14eXo=",
        "cookie-value",
        "api-key-value",
        "token-value",
        "%2dpath",
    ] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
    assert_eq!(noted[0].query, "envelope=7&token=REDACTED&a=REDACTED&b=REDACTED&REDACTED");
    assert!(noted[0].headers.contains(&("x-forwarded-for".to_owned(), "203.0.113.7".to_owned())));
    assert!(noted[0].headers.contains(&("authorization".to_owned(), "REDACTED".to_owned())));
}

#[tokio::test]
async fn what_an_adapter_quotes_from_the_request_is_redacted_too() {
    let door = Door::open().await;
    let signed = format!("X-Signature: {KEY}");
    let basic = "Authorization: Basic dXNlcjpiYXNpYy1wYXNzd29yZC14eXo=";
    for quoted in [PATH_SECRET, KEY, PASSWORD, &format!("/callbacks/finance/{PATH_SECRET}/status")] {
        let path = format!("/callbacks/finance/{PATH_SECRET}/status?echo={quoted}");
        assert_eq!(door.send(post_to(&path, &[&signed, basic], quoted)).await.status, 200);
    }
    for noted in door.noted() {
        let told = format!("{:?} {:?} {}", noted.kind, noted.quarantine_reason, noted.query);
        for secret in [PATH_SECRET, KEY, PASSWORD] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(noted.quarantine_reason.as_deref().unwrap().ends_with("` is not an id"), "{told}");
    }
    assert_eq!(door.noted().len(), 4);
}

#[tokio::test]
async fn garbage_on_the_socket_does_not_harm_others() {
    let door = Door::open().await;
    let mut good = door.client().await;
    good.write(post("before")).await;
    assert_eq!(good.response().await.status, 200);
    let long_head = format!("GET {PATH} HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    let bad_chunk =
        format!("POST {PATH} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n");
    let garbage: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\xff\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /callbacks/hr/x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        long_head.as_bytes(),
        bad_chunk.as_bytes(),
    ];
    for bytes in garbage {
        let mut bad = door.client().await;
        // The server may close while we write.
        let _: std::io::Result<()> = bad.stream.write_all(bytes).await;
        let _: std::io::Result<()> = bad.stream.shutdown().await;
        assert!(bad.ended().await);
    }
    good.write(post("after")).await;
    assert_eq!(good.response().await.status, 200);
    assert_eq!(door.noted().len(), 2);
}

#[tokio::test]
async fn what_an_adapter_panics_on_is_kept_in_quarantine() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.write(post("quarantine this")).await;
    assert_eq!(client.response().await.body, ACKNOWLEDGEMENT.as_bytes());
    client.write(post("panic in interpret")).await;
    assert_eq!(client.response().await.status, 200);
    client.write(post("panic in authenticate")).await;
    assert_eq!(client.response().await.status, 503, "nobody knows whether it is authentic");
    client.write(post("panic in acknowledge")).await;
    assert_eq!(client.response().await.status, 503, "it is noted, and the platform will ask again");
    let reasons: Vec<_> = door.noted().into_iter().map(|noted| noted.quarantine_reason).collect();
    assert_eq!(reasons[0].as_deref(), Some("asked to"));
    assert!(reasons[1].as_deref().unwrap().contains("defect of Aftersign"));
    assert_eq!(reasons[2..], [None]);
    assert!(door.metrics().contains("result=\"quarantined\",reason=\"\"} 2"));
}

/// A page for people: `/echo` says what it was asked, `/hang` never ends, `/panic` panics, `/broken` before its first await.
fn beside(arrived: &Arc<Notify>) -> Fallback {
    let arrived = Arc::clone(arrived);
    Arc::new(move |request| {
        assert_ne!(request.uri().path(), "/broken", "the page is made to fail here");
        let arrived = Arc::clone(&arrived);
        Box::pin(async move {
            arrived.notify_one();
            let (head, body) = request.into_parts();
            match head.uri.path() {
                "/hang" => pending().await,
                "/panic" => panic!("the page is made to fail"),
                _ => {}
            }
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let text = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
            HttpResponse::new(Full::new(Bytes::from(text)))
        })
    })
}

#[tokio::test]
async fn what_is_no_callback_goes_to_the_fallback_and_a_callback_never_does() {
    let arrived = Arc::new(Notify::new());
    let door = Door::open_beside(beside(&arrived)).await;
    let answer = door.send(post_to("/echo?a=b%20c&=", &[], "body")).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"POST /echo?a=b%20c&= body"[..]));
    for path in ["/", "/callbacks", "/Callbacks/hr/x", "//callbacks/hr/x", "/consent/hr"] {
        let answer = door.send(format!("DELETE {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        assert_eq!(String::from_utf8(answer.body).unwrap(), format!("DELETE {path} "));
    }
    assert_eq!(door.send(post("one")).await.body, ACKNOWLEDGEMENT.as_bytes());
    let answer = door.send(post_to("/callbacks/hr/wrong", &[], "x")).await;
    assert_eq!((answer.status, answer.body.as_slice()), (404, &b"not found\n"[..]));
    assert_eq!(door.noted().len(), 1);
    let nobody = "account=\"\",platform=\"\",result=\"not_found\",reason=\"\"} 0";
    assert!(door.metrics().contains(nobody), "a page is no callback to nobody");
}

#[tokio::test]
async fn a_fallback_that_panics_is_answered_500_and_the_connection_lives_on() {
    let door = Door::open_beside(beside(&Arc::new(Notify::new()))).await;
    let mut client = door.client().await;
    for path in ["/panic", "/broken"] {
        client.write(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.body.as_slice()), (500, &b"internal error\n"[..]), "{path}");
    }
    client.write(post("after")).await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(door.noted().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_hangs_takes_no_place_from_callbacks_and_ends() {
    let arrived = Arc::new(Notify::new());
    let door = Door::open_beside(beside(&arrived)).await;
    let begun = tokio::time::Instant::now();
    let mut hanging = Vec::new();
    for _ in 0..FALLBACK_PLACES_MAX {
        let mut client = door.client().await;
        client.write("GET /hang HTTP/1.1\r\nHost: h\r\n\r\n").await;
        arrived.notified().await;
        hanging.push(client);
    }
    let refused = door.send(post_to("/echo", &[], "x")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(door.send(post("a callback")).await.status, 200);
    for client in &mut hanging {
        assert_eq!(client.response().await.status, 503);
    }
    assert!(begun.elapsed() >= FALLBACK_TIMEOUT);
    assert_eq!(door.send(post_to("/echo", &[], "x")).await.status, 200, "the places were given back");
}
