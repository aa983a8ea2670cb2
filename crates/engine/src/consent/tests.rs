//! What browsers bring is believed only where the platform says so.

use std::sync::Arc;
use std::time::Duration;

use aftersign_core::consent::{Browser, ConsentDesk, Errand, Scene, Trouble, Turn};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::platform::Capabilities;
use aftersign_core::secret::Secret;
use aftersign_store::Vault;

use super::Desk;
use crate::EngineAccount;
use crate::limits::{
    CONSENT_LIFE, CONSENTS_PER_MINUTE, RENEWAL_LINK_LIFE, SESSION_LIFE, STRANGERS_PER_MINUTE,
};
use crate::testing::{FakePlatform, FakeTransport, World, oauth};

fn hr() -> AccountId {
    AccountId::new("hr")
}

fn browser(key: &str) -> Browser {
    Browser { key: Secret::new(key), session: None }
}

fn before_send(draft: &str, user: &str) -> Errand {
    Errand::BeforeSend { draft: draft.into(), user: user.into(), organization: "o1".into(), confirmed: false }
}

fn world(transport: &Arc<FakeTransport>) -> (World, Desk) {
    told(transport, |_| {})
}

fn told(transport: &Arc<FakeTransport>, tell: impl FnOnce(&mut EngineAccount)) -> (World, Desk) {
    let capabilities =
        Capabilities { before_send_redirect: true, code_grant: true, ..Capabilities::default() };
    let platform = FakePlatform { capabilities, ..FakePlatform::default() };
    let world = World::with(platform, Arc::clone(transport), |account| {
        account.oauth = Some(oauth());
        tell(account);
    });
    let desk = Desk::new(Arc::clone(&world.engine));
    (world, desk)
}

/// A platform at which everything goes well and whose user is u1.
fn kind() -> Arc<FakeTransport> {
    FakeTransport::new(|line| match line {
        line if line.starts_with("/exchange") => (200, "t1 - -".into()),
        line if line.starts_with("/whoami") => (200, "U1 Anna@example.com".into()),
        line if line.starts_with("/draft/") => (200, "Contract".into()),
        line if line.starts_with("/send/") => (200, "e1".into()),
        _ => (200, String::new()),
    })
}

fn state_of(turn: &Turn) -> String {
    let Scene::Depart(url) = &turn.scene else { panic!("{turn:?}") };
    url.split_once("state=").unwrap().1.to_owned()
}

fn trouble_of(turn: &Turn) -> &Trouble {
    match &turn.scene {
        Scene::Trouble { trouble, .. } => trouble,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sender_consents_once_and_the_draft_is_sent() {
    let transport = kind();
    let (world, desk) = world(&transport);
    let away = desk.arrive(&hr(), before_send("D1", "U1"), &browser("b")).await;
    let back = format!("state={}&code=c", state_of(&away));
    let home = desk.returned(&hr(), &back, &browser("b")).await;
    assert!(matches!(home.scene, Scene::Inbox(_)), "{home:?}");
    let asked = ["/exchange?code=c", "/whoami by t1", "/draft/d1 by t1", "/mark/d1 by t1", "/send/d1 by t1"];
    assert_eq!(transport.asked(), asked);
    let row = &world.store.grants(None).await.unwrap()[0];
    assert_eq!((row.sender.as_str(), row.user_id.as_deref()), ("anna@example.com", Some("u1")));

    let (session, life) = home.session.unwrap();
    assert_eq!(life, SESSION_LIFE);
    let known = Browser { key: Secret::new("b"), session: Some(session) };
    let next = desk.arrive(&hr(), before_send("D2", "u1"), &known).await;
    assert!(matches!(next.scene, Scene::Inbox(_)), "no consent is asked for: {next:?}");
    assert_eq!(transport.asked(), ["/whoami by t1", "/draft/d2 by t1", "/mark/d2 by t1", "/send/d2 by t1"]);

    let other = desk.arrive(&hr(), before_send("D3", "u2"), &known).await;
    assert!(matches!(other.scene, Scene::Depart(_)), "the session is somebody else's");
    world.clock.pass(SESSION_LIFE);
    let late = desk.arrive(&hr(), before_send("D4", "u1"), &known).await;
    assert!(matches!(late.scene, Scene::Depart(_)));
}

#[tokio::test]
async fn a_way_back_is_good_once_in_one_browser_for_ten_minutes() {
    let transport = kind();
    let (world, desk) = world(&transport);
    let back = async |state: &str, who: &str| {
        desk.returned(&hr(), &format!("state={state}&code=c"), &browser(who)).await
    };
    assert_eq!(trouble_of(&back("forged", "b").await), &Trouble::UnknownReturn);
    let state = state_of(&desk.depart(&hr(), &browser("b")).await);
    assert_eq!(trouble_of(&back(&state, "another").await), &Trouble::UnknownReturn);
    assert!(transport.asked().is_empty(), "nothing was exchanged");
    assert!(matches!(back(&state, "b").await.scene, Scene::Connected { .. }), "a foreign try spoils nothing");
    assert_eq!(trouble_of(&back(&state, "b").await), &Trouble::UnknownReturn, "a replay");
    let state = state_of(&desk.depart(&hr(), &browser("b")).await);
    world.clock.pass(CONSENT_LIFE + Duration::from_secs(1));
    assert_eq!(trouble_of(&back(&state, "b").await), &Trouble::UnknownReturn, "too late");
    assert_eq!(trouble_of(&desk.returned(&hr(), "nonsense", &browser("b")).await), &Trouble::UnknownReturn);
}

#[tokio::test]
async fn a_user_who_is_not_the_sender_gives_us_nothing() {
    let transport = kind();
    let (world, desk) = world(&transport);
    let away = desk.arrive(&hr(), before_send("D1", "u2"), &browser("b")).await;
    let home = desk.returned(&hr(), &format!("state={}&code=c", state_of(&away)), &browser("b")).await;
    assert_eq!(trouble_of(&home), &Trouble::SomebodyElse);
    assert!(world.store.grants(None).await.unwrap().is_empty());
    assert_eq!(transport.asked(), ["/exchange?code=c", "/whoami by t1"], "the draft was not touched");
}

#[tokio::test]
async fn who_says_no_can_think_again() {
    let transport = kind();
    let (_world, desk) = world(&transport);
    let away = desk.arrive(&hr(), before_send("D1", "u1"), &browser("b")).await;
    let home = desk.returned(&hr(), &format!("state={}&denied=", state_of(&away)), &browser("b")).await;
    let Scene::Trouble { trouble: Trouble::Declined, again: Some(Errand::BeforeSend { draft, .. }) } =
        home.scene
    else {
        panic!("{home:?}")
    };
    assert_eq!(draft, "d1");
    assert!(transport.asked().is_empty());
}

#[tokio::test]
async fn answers_of_the_token_endpoint_are_not_believed_blindly() {
    for (status, expected) in [
        (401, Trouble::ConsentFailed("the platform did not accept its own code".into())),
        (503, Trouble::PlatformSilent),
    ] {
        let transport = FakeTransport::new(move |_| (status, "<html>".into()));
        let (world, desk) = world(&transport);
        let state = state_of(&desk.depart(&hr(), &browser("b")).await);
        let home = desk.returned(&hr(), &format!("state={state}&code=c"), &browser("b")).await;
        assert_eq!(trouble_of(&home), &expected);
        assert!(world.store.grants(None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn claims_without_form_are_refused_before_anything_is_asked() {
    let transport = kind();
    let (_world, desk) = world(&transport);
    for (draft, user, parameter) in [
        ("", "u1", super::NO_DRAFT),
        ("d/../1", "u1", super::NO_DRAFT),
        ("d1", " ", super::NO_USER),
        ("d1", "u\u{1f}1", super::NO_USER),
    ] {
        let turn = desk.arrive(&hr(), before_send(draft, user), &browser("b")).await;
        assert_eq!(trouble_of(&turn), &Trouble::BadParameters(parameter));
    }
    let turn = desk.arrive(&AccountId::new("other"), Errand::Connect, &browser("b")).await;
    assert_eq!(trouble_of(&turn), &Trouble::NoSuchPage);
}

#[tokio::test]
async fn the_link_of_a_mail_is_for_one_sender_and_ends() {
    let transport = kind();
    let (world, desk) = world(&transport);
    let follow = async |sender: &str| {
        let link = world.engine.link_for(&hr(), &SenderId::new(sender).unwrap()).unwrap();
        assert!(!link.contains("example.com/consent/hr/renew?link=anna") && !link.contains("anna@"));
        let token = link.strip_prefix("https://sign.example.com/consent/hr/renew?link=").unwrap().to_owned();
        (desk.arrive(&hr(), Errand::Renew(token.clone()), &browser("b")).await, token)
    };
    let (away, token) = follow("anna@example.com").await;
    let (twice, _) = (desk.arrive(&hr(), Errand::Renew(token.clone()), &browser("c")).await, ());
    assert!(matches!(twice.scene, Scene::Depart(_)), "a scanner's GET consumes nothing");
    let home = desk.returned(&hr(), &format!("state={}&code=c", state_of(&away)), &browser("b")).await;
    assert!(matches!(home.scene, Scene::Connected { ref name } if name == "Anna@example.com"), "{home:?}");
    let (away, _) = follow("ben@example.com").await;
    let home = desk.returned(&hr(), &format!("state={}&code=c", state_of(&away)), &browser("b")).await;
    assert_eq!(trouble_of(&home), &Trouble::SomebodyElse, "anna followed ben's link");
    for broken in [&token[1..], "", "abc"] {
        let turn = desk.arrive(&hr(), Errand::Renew(broken.into()), &browser("b")).await;
        assert_eq!(trouble_of(&turn), &Trouble::LinkExpired);
    }
    world.clock.pass(RENEWAL_LINK_LIFE + Duration::from_secs(1));
    let turn = desk.arrive(&hr(), Errand::Renew(token), &browser("b")).await;
    assert_eq!(trouble_of(&turn), &Trouble::LinkExpired);
}

#[tokio::test]
async fn a_typed_key_is_proven_before_it_is_kept_and_strangers_cannot_flood_the_platform() {
    let transport = FakeTransport::new(|line| match line {
        "/whoami by good" => (200, "u1 anna@example.com".into()),
        _ => (401, String::new()),
    });
    let (world, desk) = told(&transport, |account| account.senders = vec!["*@example.com".into()]);
    let typed = async |key: &str| {
        desk.key_typed(&hr(), vec![("grant".into(), Secret::new(key))], None, &browser("b")).await
    };
    assert_eq!(trouble_of(&typed("bad").await), &Trouble::KeyRefused);
    assert_eq!(trouble_of(&typed("  ").await), &Trouble::KeyRefused);
    assert!(world.store.grants(None).await.unwrap().is_empty());
    assert!(matches!(typed(" good\n").await.scene, Scene::Connected { .. }));
    assert_eq!(world.store.grants(None).await.unwrap().len(), 1);
    transport.asked();
    for _ in 0..STRANGERS_PER_MINUTE {
        typed("bad").await;
    }
    assert_eq!(trouble_of(&typed("good").await), &Trouble::Busy);
    assert!(transport.asked().len() < 60);
    world.clock.pass(Duration::from_secs(60));
    assert!(matches!(typed("good").await.scene, Scene::Connected { .. }));
}

#[tokio::test]
async fn the_way_back_is_known_by_its_path_alone() {
    let (_world, desk) = world(&kind());
    assert_eq!(desk.account_of_return("/consent/hr/return"), Some(hr()));
    for path in ["/consent/hr/return/", "/consent/hr", "/", "", "//consent/hr/return"] {
        assert_eq!(desk.account_of_return(path), None, "{path}");
    }
}

#[tokio::test]
async fn a_flood_of_consents_is_turned_away_before_it_puts_out_anybodys() {
    let (world, desk) = world(&kind());
    let honest = state_of(&desk.depart(&hr(), &browser("b")).await);
    for _ in 1..CONSENTS_PER_MINUTE {
        assert!(matches!(desk.depart(&hr(), &browser("x")).await.scene, Scene::Depart(_)));
    }
    assert_eq!(trouble_of(&desk.depart(&hr(), &browser("x")).await), &Trouble::Busy);
    let home = desk.returned(&hr(), &format!("state={honest}&code=c"), &browser("b")).await;
    assert!(matches!(home.scene, Scene::Connected { .. }));
    world.clock.pass(Duration::from_secs(60));
    assert!(matches!(desk.depart(&hr(), &browser("x")).await.scene, Scene::Depart(_)));
}

#[tokio::test]
async fn an_account_takes_access_from_those_whom_it_names_and_from_one_user_per_address() {
    let transport = FakeTransport::new(|line| match line {
        line if line.starts_with("/exchange?code=stranger") => (200, "ts - -".into()),
        line if line.starts_with("/exchange?code=other") => (200, "to - -".into()),
        line if line.starts_with("/exchange") => (200, "t1 - -".into()),
        "/whoami by ts" => (200, "u9 eve@evil.example".into()),
        "/whoami by to" => (200, "u2 anna@example.com".into()),
        _ => (200, "u1 Anna@Example.com".into()),
    });
    let (world, desk) = told(&transport, |account| account.senders = vec!["*@example.com".into()]);
    let come = async |code: &str| {
        let state = state_of(&desk.depart(&hr(), &browser("b")).await);
        desk.returned(&hr(), &format!("state={state}&code={code}"), &browser("b")).await
    };
    assert_eq!(trouble_of(&come("stranger").await), &Trouble::NotWelcome);
    assert!(matches!(come("c").await.scene, Scene::Connected { .. }));
    assert_eq!(trouble_of(&come("other").await), &Trouble::NotWelcome, "another user of the same address");
    assert!(matches!(come("c").await.scene, Scene::Connected { .. }));
    let rows = world.store.grants(None).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.user_id.as_deref()).collect::<Vec<_>>(), [Some("u1")]);
}

#[tokio::test]
async fn keys_are_typed_in_by_a_link_or_where_the_account_names_its_senders() {
    let transport = FakeTransport::new(|_| (200, "u1 anna@example.com".into()));
    let (world, desk) = world(&transport);
    let Scene::Offer { consent: true, fields: [], link: None } =
        desk.arrive(&hr(), Errand::Connect, &browser("b")).await.scene
    else {
        panic!("a page for everybody takes no keys of strangers")
    };
    let key = || vec![("grant".to_owned(), Secret::new("good"))];
    let typed = desk.key_typed(&hr(), key(), None, &browser("b")).await;
    assert_eq!(trouble_of(&typed), &Trouble::NoSuchPage);
    let link_of = |who: &str| {
        let link = world.engine.link_for(&hr(), &SenderId::new(who).unwrap()).unwrap();
        link.rsplit_once('=').unwrap().1.to_owned()
    };
    let typed = desk.key_typed(&hr(), key(), Some(link_of("ben@example.com")), &browser("b")).await;
    assert_eq!(trouble_of(&typed), &Trouble::KeyRefused, "ben's link, anna's key");
    let typed = desk.key_typed(&hr(), key(), Some(link_of("anna@example.com")), &browser("b")).await;
    assert!(matches!(typed.scene, Scene::Connected { .. }));
}

#[tokio::test]
async fn who_took_access_back_is_asked_again_before_sending() {
    let transport = FakeTransport::new(|line| match line {
        line if line.starts_with("/exchange") => (200, "t1 r1 60".into()),
        line if line.starts_with("/renew") => (401, String::new()),
        line if line.starts_with("/whoami") => (200, "u1 anna@example.com".into()),
        line if line.starts_with("/send/") => (200, "e1".into()),
        _ => (200, "Contract".into()),
    });
    let (world, desk) = world(&transport);
    let away = desk.arrive(&hr(), before_send("D1", "u1"), &browser("b")).await;
    let home = desk.returned(&hr(), &format!("state={}&code=c", state_of(&away)), &browser("b")).await;
    let known = Browser { key: Secret::new("b"), session: home.session.map(|(session, _)| session) };
    world.clock.pass(Duration::from_secs(60));
    for _ in 0..2 {
        let away = desk.arrive(&hr(), before_send("D2", "u1"), &known).await;
        assert!(matches!(away.scene, Scene::Depart(_)), "the refresh token is dead: {away:?}");
    }
    let renewals = transport.asked().iter().filter(|line| line.starts_with("/renew")).count();
    assert_eq!(renewals, 1, "it is not tried again");
}
