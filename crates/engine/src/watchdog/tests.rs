//! Verdicts on registrations, and the tasks that come of them.

use super::*;
use crate::limits::CALLBACK_WATCH_EVERY;
use crate::testing::{FakePlatform, FakeTransport, World};

use aftersign_core::platform::Capabilities;
use std::sync::Mutex;

const OURS: &str = "https://sign.example.com/callbacks/hr/our-path-secret";

fn found(url: Option<&str>, events: &[&str]) -> Registration {
    Registration {
        url: url.map(Into::into),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
    }
}

#[test]
fn a_registration_is_ours_whole_changed_or_cleared() {
    let ours = [format!("{OURS}/"), "https://sign.example.com/callbacks/hr/the-secret-before".into()];
    let world = World::with(watched(), FakeTransport::new(|_| (200, String::new())), |account| {
        account.callback_urls = ours.clone().into();
    });
    let changed = |host: &str| Verdict::Changed(Some(host.into()));
    let cases = [
        (found(Some(OURS), &["COMPLETE", "DECLINE", "OPEN"]), Verdict::Ours),
        (found(Some(&format!(" {OURS}/ ")), &["DECLINE", "COMPLETE"]), Verdict::Ours),
        (found(Some(&ours[1]), &["COMPLETE", "DECLINE"]), Verdict::Ours),
        (found(Some(OURS), &[]), Verdict::Missing(vec!["COMPLETE", "DECLINE"])),
        (found(Some(OURS), &["COMPLETE"]), Verdict::Missing(vec!["DECLINE"])),
        (found(None, &["COMPLETE", "DECLINE"]), Verdict::Cleared),
        (found(Some(" "), &[]), Verdict::Cleared),
        (found(Some("/"), &[]), Verdict::Cleared),
        (found(Some(&OURS[..OURS.len() - 1]), &["COMPLETE"]), Verdict::WrongSecret),
        (found(Some("https://sign.example.com/callbacks/hr/"), &[]), Verdict::WrongSecret),
        (
            found(Some("https://sign.example.com/callbacks/hr2/our-path-secret"), &[]),
            changed("sign.example.com"),
        ),
        (found(Some("https://user:pass@erp.example.com:8443/hook?key=k"), &[]), changed("erp.example.com")),
        (found(Some("no url at all"), &[]), Verdict::Changed(None)),
    ];
    for (found, verdict) in cases {
        assert_eq!(judge(&found, &world.account, &["COMPLETE", "DECLINE"]), verdict, "{:?}", found.url);
    }
    let other = found(Some(OURS), &["SOMETHING"]);
    assert_eq!(judge(&other, &world.account, &[]), Verdict::Ours, "where there is no choice none is missing");
}

#[test]
fn a_task_says_what_is_missed_and_how_to_register_again() {
    let account = AccountId::new("hr");
    let cleared = task(&account, &Verdict::Cleared, true).unwrap();
    assert!(cleared.what.contains("missed"), "{}", cleared.what);
    assert!(cleared.todo.contains("aftersign accounts register hr"), "{}", cleared.todo);
    let by_hand = task(&account, &Verdict::Cleared, false).unwrap();
    assert!(by_hand.todo.contains("aftersign accounts urls"), "{}", by_hand.todo);
    assert!(!by_hand.todo.contains("accounts register"), "{}", by_hand.todo);
    let changed = task(&account, &Verdict::Changed(Some("erp.example.com".into())), true).unwrap();
    assert!(changed.what.contains("erp.example.com"), "{}", changed.what);
    let wrong = task(&account, &Verdict::WrongSecret, true).unwrap();
    assert!(wrong.what.contains("path secret that is not valid"), "{}", wrong.what);
    assert!(!wrong.what.contains("none of ours"), "{}", wrong.what);
    let missing = task(&account, &Verdict::Missing(vec!["DECLINE"]), true).unwrap();
    assert!(missing.what.contains("DECLINE"), "{}", missing.what);
    assert_eq!(task(&account, &Verdict::Ours, true), None);
}

fn watched() -> FakePlatform {
    let capabilities = Capabilities { registered_callback: true, ..Capabilities::default() };
    FakePlatform { capabilities, ..FakePlatform::default() }
}

#[tokio::test]
async fn a_lost_registration_opens_one_task_and_its_return_closes_it() {
    let answer = Arc::new(Mutex::new((200, "https://erp.example.com/hook?key=foreign-secret".to_owned())));
    let answers = Arc::clone(&answer);
    let transport = FakeTransport::new(move |_| answers.lock().unwrap().clone());
    let world = World::with(watched(), transport, |account| account.callback_urls = vec![OURS.into()]);
    let look = async || world.engine.watch_callback(&world.account).await;

    look().await.unwrap();
    look().await.unwrap();
    let tasks = world.open_tasks().await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].kind, TaskKind::CallbackUnregistered);
    let text = format!("{} {}", tasks[0].what, tasks[0].todo);
    assert!(text.contains("erp.example.com") && !text.contains("secret"), "{text}");

    *answer.lock().unwrap() = (200, String::new());
    look().await.unwrap();
    let cleared = world.open_tasks().await;
    assert_eq!((cleared.len(), cleared[0].id), (1, tasks[0].id), "the same task says what is true now");
    assert!(cleared[0].what.contains("No callback URL"), "{}", cleared[0].what);

    *answer.lock().unwrap() = (403, String::new());
    assert!(look().await.is_err());
    assert_eq!(world.open_tasks().await.len(), 1, "what cannot be read settles nothing");

    *answer.lock().unwrap() = (200, format!("{OURS}/\nCOMPLETE\nDECLINE"));
    look().await.unwrap();
    assert_eq!(world.open_tasks().await, []);
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_looks_again_after_a_look_that_failed_until_shutdown() {
    let shutdown = CancellationToken::new();
    let (stop, looks) = (shutdown.clone(), Mutex::new(0));
    let transport = FakeTransport::new(move |_| {
        let mut looks = looks.lock().unwrap();
        *looks += 1;
        if *looks == 3 {
            stop.cancel();
        }
        (500, String::new())
    });
    let world =
        World::with(watched(), Arc::clone(&transport), |account| account.callback_urls = vec![OURS.into()]);
    let began = tokio::time::Instant::now();
    Arc::clone(&world.engine).run_watchdog(world.account.clone(), shutdown).await;
    assert_eq!(transport.asked(), ["/registration"; 3]);
    assert!(began.elapsed() >= CALLBACK_WATCH_FIRST + CALLBACK_WATCH_EVERY * 2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_running_engine_watches_its_accounts() {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let transport = FakeTransport::new(move |_| {
        stop.cancel();
        (500, String::new())
    });
    let world =
        World::with(watched(), Arc::clone(&transport), |account| account.callback_urls = vec![OURS.into()]);
    Arc::clone(&world.engine).run(shutdown).await;
    assert_eq!(transport.asked(), ["/registration"]);
}

#[test]
fn only_what_can_be_read_back_and_compared_is_watched() {
    let account = |platform, urls: &[&str]| {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        World::with(platform, FakeTransport::new(|_| (200, String::new())), |account| {
            account.callback_urls = urls
        })
        .account
    };
    assert!(account(watched(), &[OURS]).is_watched());
    assert!(!account(watched(), &[]).is_watched());
    assert!(!account(FakePlatform::default(), &[OURS]).is_watched());
}
