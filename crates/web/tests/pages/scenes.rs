//! What a browser is shown for each word of the desk. A new scene or trouble does not compile until it stands here.

use aftersign_core::consent::{Errand, Scene, Trouble};

use crate::support::{BEFORE_SEND, PLATFORM, RETURN_PATH, Seen, Site};

const HOSTILE: &str = "\"><script>alert('1')</script>{p}{x}";

fn draft(confirmed: bool) -> Errand {
    Errand::BeforeSend { draft: "d/1".into(), user: "u&2".into(), organization: "ö".into(), confirmed }
}

/// Every trouble, with its status and a part of its heading.
fn troubles() -> Vec<(Trouble, u16, &'static str)> {
    let all = [
        Trouble::NoSuchPage,
        Trouble::BadParameters("the draft is odd"),
        Trouble::UnknownReturn,
        Trouble::LinkExpired,
        Trouble::Declined,
        Trouble::ConsentFailed(HOSTILE.to_owned()),
        Trouble::SomebodyElse,
        Trouble::DraftNotVisible,
        Trouble::SendRefused(HOSTILE.to_owned()),
        Trouble::SendUnclear,
        Trouble::KeyRefused,
        Trouble::NotWelcome,
        Trouble::Busy,
        Trouble::PlatformSilent,
        Trouble::OurFault,
    ];
    let expected = |trouble: &Trouble| match trouble {
        Trouble::NoSuchPage => (0, 404, "There is no such page"),
        Trouble::BadParameters(_) => (1, 400, "This link is not complete"),
        Trouble::UnknownReturn => (2, 403, "We cannot tell where this visit began"),
        Trouble::LinkExpired => (3, 410, "This link no longer works"),
        Trouble::Declined => (4, 403, "You did not give access"),
        Trouble::ConsentFailed(_) => (5, 502, "Test Platform did not give us access"),
        Trouble::SomebodyElse => (6, 403, "You are signed in as somebody else"),
        Trouble::DraftNotVisible => (7, 404, "We do not find this draft"),
        Trouble::SendRefused(_) => (8, 409, "Test Platform did not send the draft"),
        Trouble::SendUnclear => (9, 502, "We do not know yet whether the draft was sent"),
        Trouble::KeyRefused => (10, 403, "Test Platform does not accept this key"),
        Trouble::NotWelcome => (11, 403, "This account does not take your access"),
        Trouble::Busy => (12, 503, "Too many visitors at once"),
        Trouble::PlatformSilent => (13, 503, "Test Platform does not answer"),
        Trouble::OurFault => (14, 500, "Something is wrong on our side"),
    };
    let numbers: Vec<i32> = all.iter().map(|trouble| expected(trouble).0).collect();
    assert_eq!(numbers, Vec::from_iter(0..15), "each trouble stands here once");
    all.map(|trouble| {
        let (_, status, heading) = expected(&trouble);
        (trouble, status, heading)
    })
    .into()
}

fn is_clean(seen: &Seen) {
    assert!(!seen.body.contains("<script") && !seen.body.contains("alert('"), "{}", seen.body);
    let ours = seen.body.replace("{p}{x}", "");
    assert!(!ours.contains('{') && !ours.contains('}'), "a placeholder is left: {}", seen.body);
}

#[tokio::test]
async fn every_trouble_has_its_own_words_and_leads_where_it_can_be_tried_again() {
    let site = Site::open();
    for (trouble, status, heading) in troubles() {
        for (again, path) in [
            (None, matches!(trouble, Trouble::UnknownReturn).then_some("/consent/hr")),
            (Some(Errand::Connect), Some("/consent/hr")),
            (Some(Errand::Renew("a/b=".into())), Some("/consent/hr/renew?link=a%2Fb%3D")),
            (Some(draft(false)), Some("/consent/hr/before-send?draft=d%2F1&#38;user=u%262&#38;org=%C3%B6")),
        ] {
            let says = (trouble.clone(), again.clone());
            site.desk.says(move || Scene::Trouble { trouble: says.0.clone(), again: says.1.clone() });
            let seen = site.get("/consent/hr").await;
            assert_eq!((seen.status, seen.heading()), (status, heading));
            assert_eq!(seen.attributes("href").get(1).copied(), path, "{trouble:?}");
            assert!(seen.attributes("action").is_empty());
            assert_eq!(seen.header("referrer-policy"), Some("no-referrer"));
            assert_eq!(seen.header("retry-after"), (status == 503).then_some("60"));
            let quoted = matches!(trouble, Trouble::ConsentFailed(_) | Trouble::SendRefused(_));
            assert_eq!(seen.body.contains("<blockquote>&#34;&#62;&#60;script&#62;alert("), quoted);
            is_clean(&seen);
        }
        let says = trouble.clone();
        site.desk.says(move || Scene::Trouble { trouble: says.clone(), again: Some(draft(true)) });
        let seen = site.get("/consent/hr").await;
        assert_eq!(seen.attributes("action"), ["/consent/hr/before-send"], "{trouble:?}");
        assert_eq!(seen.attributes("value"), ["d/1", "u&#38;2", "ö"]);
        assert_eq!(seen.attributes("name")[2..], ["draft", "user", "org"]);
        assert_eq!(seen.header("referrer-policy"), Some("same-origin"));
    }
}

type Maker = fn() -> Scene;

/// Every scene, with its outcome in the metrics.
fn scenes() -> Vec<(Maker, &'static str)> {
    let all: [Maker; 10] = [
        || Scene::Depart("https://platform.example/authorize?state=s".into()),
        || Scene::Inbox("https://platform.example/inbox".into()),
        || Scene::Offer { consent: true, fields: &["api_key"], link: Some(HOSTILE.to_owned()) },
        || Scene::Connected { name: HOSTILE.to_owned() },
        || Scene::Sent { envelopes: 3 },
        || Scene::Sent { envelopes: 0 },
        || Scene::Sending(Errand::Connect),
        || Scene::SendAgain { name: Some(HOSTILE.to_owned()), errand: draft(true) },
        || Scene::SendAgain { name: None, errand: draft(true) },
        || Scene::Trouble { trouble: Trouble::OurFault, again: None },
    ];
    let outcome = |scene: &Scene| match scene {
        Scene::Depart(_) => (0, "depart"),
        Scene::Inbox(_) => (1, "inbox"),
        Scene::Offer { .. } => (2, "offer"),
        Scene::Connected { .. } => (3, "connected"),
        Scene::Sent { envelopes: 0 } => (4, "sent_unseen"),
        Scene::Sent { .. } => (4, "sent"),
        Scene::Sending(_) => (5, "sending"),
        Scene::SendAgain { .. } => (6, "send_again"),
        Scene::Trouble { .. } => (7, "our_fault"),
    };
    let numbers: Vec<i32> = all.iter().map(|scene| outcome(&scene()).0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 4, 5, 6, 6, 7], "each scene stands here");
    all.into_iter().map(|scene| (scene, outcome(&scene()).1)).collect()
}

#[tokio::test]
async fn every_scene_is_shown_and_counted_after_a_get_and_after_a_form() {
    let site = Site::open();
    for (scene, outcome) in scenes() {
        site.desk.says(scene);
        let got = site.get(BEFORE_SEND).await;
        let posted = site.post("/consent/hr/before-send", "draft=d&user=u&org=o").await;
        let leaves = matches!(outcome, "depart" | "inbox");
        let status = if outcome == "our_fault" { 500 } else { 200 };
        assert_eq!((got.status, posted.status), (if leaves { 303 } else { status }, status), "{outcome}");
        is_clean(&got);
        is_clean(&posted);
        let line = format!("page=\"before_send\",outcome=\"{outcome}\"}} ");
        assert!(site.metrics().contains(&line), "{line}");
        if !leaves {
            assert!(got.body.contains(&format!("<footer>Aftersign, account hr at {PLATFORM}</footer>")));
        }
    }
}

#[tokio::test]
async fn a_draft_s_hostile_name_is_shown_as_text() {
    let site = Site::open();
    site.desk.says(|| Scene::SendAgain { name: Some(HOSTILE.to_owned()), errand: draft(true) });
    let seen = site.get(BEFORE_SEND).await;
    assert!(
        seen.body.contains("“&#34;&#62;&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;{p}{x}”"),
        "{}",
        seen.body
    );
    assert_eq!(seen.attributes("action"), ["/consent/hr/before-send"]);
    assert_eq!(seen.attributes("value"), ["d/1", "u&#38;2", "ö"]);
    assert!(seen.body.contains("<button type=\"submit\">It is not there: send it</button>"));
}

#[tokio::test]
async fn after_a_form_a_page_leads_out_and_after_a_get_a_redirect() {
    let site = Site::open();
    site.desk.says(|| Scene::Inbox("https://platform.example/?a=\"b\"&c='d';e".into()));
    for path in ["/consent/hr/depart", "/consent/hr/key"] {
        let seen = site.post(path, "").await;
        assert_eq!((seen.status, seen.heading()), (200, "On to Test Platform"));
        assert!(seen.header("location").is_none() && seen.header("refresh").is_none());
        let url = "https://platform.example/?a=&#34;b&#34;&#38;c=&#39;d&#39;;e";
        assert_eq!(seen.attributes("content").last(), Some(&format!("0; url={url}").as_str()));
        assert_eq!(seen.attributes("href")[1], url);
        assert_eq!(seen.header("referrer-policy"), Some("no-referrer"));
    }
    let seen = site.get(&format!("{RETURN_PATH}?code=c")).await;
    assert_eq!(
        (seen.status, seen.header("location")),
        (303, Some("https://platform.example/?a=\"b\"&c='d';e"))
    );
}

#[tokio::test]
async fn a_browser_is_only_ever_sent_to_a_web_address() {
    let site = Site::open();
    for target in [
        "",
        "/consent/hr",
        "//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://platform.example/",
        "https:/platform.example",
        "https://platform.example/\r\nSet-Cookie: a=b",
        "https://platform.example/a b",
        "https://plätform.example/",
    ] {
        site.desk.says(move || Scene::Depart(target.to_owned()));
        for seen in [site.get("/consent/hr").await, site.post("/consent/hr/depart", "").await] {
            assert_eq!((seen.status, seen.heading()), (500, "Something is wrong on our side"), "{target:?}");
            assert!(seen.header("location").is_none());
        }
    }
    site.desk.says(|| Scene::Depart("HTTPS://platform.example".to_owned()));
    assert_eq!(site.get("/consent/hr").await.status, 303);
}

#[tokio::test]
async fn a_page_that_waits_looks_again_by_itself_where_it_can() {
    let site = Site::open();
    let errand = || Errand::BeforeSend {
        draft: "d".into(),
        user: "u".into(),
        organization: "o".into(),
        confirmed: true,
    };
    site.desk.says(move || Scene::Sending(errand()));
    let form = "draft=d&user=u&org=o";
    let expected = format!("3; url={}", BEFORE_SEND.replace('&', "&#38;"));
    let back = format!("{RETURN_PATH}?code=c");
    for seen in [site.get(&back).await, site.post("/consent/hr/before-send", form).await] {
        assert!(seen.body.contains("<meta http-equiv=\"refresh\""));
        assert_eq!(
            seen.attributes("content").last(),
            Some(&expected.as_str()),
            "nothing is confirmed by waiting"
        );
    }
}

#[tokio::test]
async fn an_offer_shows_what_is_possible_and_nothing_else() {
    let site = Site::open();
    site.desk.says(|| Scene::Offer { consent: true, fields: &[], link: Some("l".into()) });
    assert_eq!(site.get("/consent/hr").await.attributes("action"), ["/consent/hr/depart"]);
    site.desk.says(|| Scene::Offer {
        consent: false,
        fields: &["access_token", "access_secret"],
        link: Some("a\"b".into()),
    });
    let seen = site.get("/consent/hr").await;
    assert!(seen.body.contains("<input type=\"hidden\" name=\"link\" value=\"a&#34;b\">"), "{}", seen.body);
    assert_eq!(seen.attributes("action"), ["/consent/hr/key"]);
    assert_eq!(seen.body.matches("type=\"password\"").count(), 2);
    assert!(seen.body.contains(">Access secret</label>"));
    site.desk.says(|| Scene::Offer { consent: false, fields: &[], link: None });
    let seen = site.get("/consent/hr").await;
    assert_eq!((seen.status, seen.heading()), (404, "There is no such page"));
}

#[tokio::test]
async fn one_envelope_and_several_are_told_apart() {
    let site = Site::open();
    for (envelopes, words) in
        [(1, "as 1 envelope."), (12, "as 12 envelopes."), (0, "it seems to have been sent.")]
    {
        site.desk.says(move || Scene::Sent { envelopes });
        assert!(site.get(BEFORE_SEND).await.body.contains(words));
    }
}
