//! Each page asks the desk for its errand, and answers with exactly the headers that it should.

use std::sync::Arc;
use std::time::Duration;

use aftersign_core::consent::{Errand, Scene, Trouble, Turn};
use aftersign_core::secret::Secret;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Asked, BEFORE_SEND, KEY, NEW_KEY, RETURN_PATH, Site, get};

const CSP: &str = "content-security-policy: default-src 'none'; style-src 'self'; form-action 'self'; \
                   base-uri 'none'; frame-ancestors 'none'";

fn before_send(confirmed: bool) -> Asked {
    Asked::Arrive(Errand::BeforeSend {
        draft: "d".into(),
        user: "u".into(),
        organization: "o".into(),
        confirmed,
    })
}

#[tokio::test]
async fn each_page_asks_the_desk_for_its_errand() {
    let site = Site::open();
    for path in ["/consent/hr", "/consent/hr/", "/consent/h%72", "/consent/hr?draft=x"] {
        assert_eq!(site.get(path).await.status, 200);
        assert_eq!(site.desk.asked(), [Asked::Arrive(Errand::Connect)], "{path}");
    }
    let queries = [
        "draft=d&user=u&org=o",
        "ORG=o&User=+u%20&DRAFT=d&other=x&other=y",
        "EnvelopeId=d&SenderUserId=u&OrganizationId=o",
    ];
    for query in queries {
        site.get(&format!("/consent/hr/before-send?{query}")).await;
        assert_eq!(site.desk.asked(), [before_send(false)], "{query}");
    }
    site.post("/consent/hr/before-send?draft=other", queries[0]).await;
    assert_eq!(site.desk.asked(), [before_send(true)]);
    site.get("/consent/hr/before-send?draft=d&user=u").await;
    let without = Errand::BeforeSend {
        draft: "d".into(),
        user: "u".into(),
        organization: String::new(),
        confirmed: false,
    };
    assert_eq!(site.desk.asked(), [Asked::Arrive(without)]);
    site.get("/consent/hr/renew?link=a.b-c_d%3D").await;
    assert_eq!(site.desk.asked(), [Asked::Arrive(Errand::Renew("a.b-c_d=".into()))]);
    site.post("/consent/hr/depart", "").await;
    assert_eq!(site.desk.asked(), [Asked::Depart]);
    site.post("/consent/hr/key", "api_key=+a%2Bb%20&note=").await;
    let fields = vec![("api_key".to_owned(), "a+b".to_owned()), ("note".to_owned(), String::new())];
    assert_eq!(site.desk.asked(), [Asked::Key(fields, None)]);
    for query in ["?=&oauth_token=t%20&x", "code=c&state=s&state=t", ""] {
        site.get(&format!("{RETURN_PATH}?{query}")).await;
        assert_eq!(site.desk.asked(), [Asked::Returned(query.to_owned())]);
    }
    site.get(RETURN_PATH).await;
    assert_eq!(site.desk.asked(), [Asked::Returned(String::new())]);
    site.get("/consent/assets").await;
    assert_eq!(site.desk.visits()[0].account, "assets", "an account may be called so");
}

#[tokio::test]
async fn a_page_with_a_form_has_exactly_these_headers() {
    let site = Site::open();
    let cookie = format!(
        "set-cookie: __Host-aftersign-browser={NEW_KEY}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"
    );
    assert_eq!(
        site.get("/consent/hr").await.headers,
        [
            "cache-control: no-store",
            CSP,
            "content-type: text/html; charset=utf-8",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: same-origin",
            &cookie,
            "strict-transport-security: max-age=63072000",
            "vary: Cookie",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
}

#[tokio::test]
async fn a_redirect_over_http_has_exactly_these_headers() {
    let site = Site::open_at("http://127.0.0.1:8080");
    site.desk.says(|| Scene::Depart("http://127.0.0.1:9/authorize?state=s&x=%20".into()));
    let seen = site.get(BEFORE_SEND).await;
    let cookie =
        format!("set-cookie: aftersign-browser={NEW_KEY}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
    assert_eq!((seen.status, seen.body.as_str()), (303, ""));
    assert_eq!(
        seen.headers,
        [
            "cache-control: no-store",
            CSP,
            "cross-origin-resource-policy: same-origin",
            "location: http://127.0.0.1:9/authorize?state=s&x=%20",
            "referrer-policy: no-referrer",
            &cookie,
            "vary: Cookie",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
}

#[tokio::test]
async fn a_browser_keeps_its_key_and_gets_a_new_one_if_it_shows_none_that_is_well_formed() {
    let site = Site::open();
    let cookies = |line: String| vec![("cookie", line)];
    let kept = cookies(format!("x=y; __Host-aftersign-browser={KEY}"));
    site.desk.says(|| Scene::Sent { envelopes: 1 });
    let seen = site.send(get("/consent/hr", &kept)).await;
    assert!(seen.all("set-cookie").is_empty());
    assert_eq!(site.desk.visits()[0].key, KEY);
    for wrong in [
        format!("aftersign-browser={KEY}"),
        format!("__Host-aftersign-browser={KEY}; __Host-aftersign-browser={KEY}"),
        format!("__Host-aftersign-browser={KEY}A"),
        format!("__Host-aftersign-browser={}", &KEY[1..]),
        // The last character has bits that belong to no byte.
        format!("__Host-aftersign-browser={}B", &KEY[1..]),
        "__Host-aftersign-browser=".to_owned(),
        "__Host-aftersign-browser".to_owned(),
        ";;=;".to_owned(),
    ] {
        let seen = site.send(get("/consent/hr", &cookies(wrong.clone()))).await;
        let set = seen.header("set-cookie").unwrap();
        assert!(set.starts_with(&format!("__Host-aftersign-browser={NEW_KEY}; ")), "{wrong}");
        assert_eq!(site.desk.visits()[0].key, NEW_KEY, "{wrong}");
    }
}

#[tokio::test]
async fn a_key_gets_all_of_its_time_again_where_a_consent_begins_or_a_form_is_shown() {
    let site = Site::open();
    let own = site.own();
    let renewed =
        [format!("__Host-aftersign-browser={KEY}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure")];
    let confirmed = || Errand::BeforeSend {
        draft: "d".into(),
        user: "u".into(),
        organization: "o".into(),
        confirmed: true,
    };
    let scenes: [fn() -> Scene; 2] = [
        || Scene::Offer { consent: true, fields: &["api_key"], link: None },
        || Scene::Depart("https://platform.example/authorize".into()),
    ];
    for scene in scenes {
        site.desk.says(scene);
        let shown = [site.send(get(BEFORE_SEND, &own)).await, site.post("/consent/hr/depart", "").await];
        for seen in shown {
            assert_eq!(seen.all("set-cookie"), renewed, "{}", seen.body);
        }
    }
    site.desk.says(move || Scene::SendAgain { name: None, errand: confirmed() });
    assert_eq!(site.send(get(BEFORE_SEND, &own)).await.all("set-cookie"), renewed);
    site.desk.says(move || Scene::Trouble { trouble: Trouble::SendUnclear, again: Some(confirmed()) });
    assert_eq!(site.send(get(BEFORE_SEND, &own)).await.all("set-cookie"), renewed);
    site.desk.says(|| Scene::Inbox("https://platform.example/inbox".into()));
    assert!(site.send(get(BEFORE_SEND, &own)).await.all("set-cookie").is_empty());
}

#[tokio::test]
async fn a_session_is_set_for_its_account_and_shown_to_the_desk_later() {
    let site = Site::open();
    site.desk.turns(|| Turn {
        scene: Scene::Connected { name: "Anna".into() },
        session: Some((Secret::new("sealed.session_1"), Duration::from_secs(600))),
    });
    let seen = site.get(&format!("{RETURN_PATH}?code=c")).await;
    assert_eq!(
        seen.all("set-cookie"),
        [
            format!(
                "__Host-aftersign-browser={NEW_KEY}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"
            ),
            "__Host-aftersign-session-hr=sealed.session_1; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
                .to_owned(),
        ]
    );
    site.desk.visits();
    let cookies = [
        ("cookie", format!("__Host-aftersign-browser={KEY}; __Host-aftersign-session-hr=sealed.session_1")),
        ("cookie", "__Host-aftersign-session-assets=another".to_owned()),
    ];
    site.send(get("/consent/hr", &cookies)).await;
    assert_eq!(site.desk.visits()[0].session.as_deref(), Some("sealed.session_1"));
    site.send(get("/consent/assets", &cookies)).await;
    assert_eq!(site.desk.visits()[0].session.as_deref(), Some("another"));

    site.desk.turns(|| Turn {
        scene: Scene::Sending(Errand::Connect),
        session: Some((Secret::new("no; Path=/; value"), Duration::from_secs(600))),
    });
    let seen = site.post("/consent/hr/depart", "").await;
    assert!(seen.all("set-cookie").is_empty(), "what cannot be a cookie's value is not set");
}

#[tokio::test]
async fn the_stylesheet_is_cached_for_good_and_is_the_only_file() {
    let site = Site::open_at("https://example.com/sign");
    let page = site.get("/consent/hr").await;
    let links = page.attributes("href");
    let path = links[0].strip_prefix("/sign").unwrap();
    let style = site.get(path).await;
    assert_eq!(style.status, 200);
    assert_eq!(
        style.headers,
        [
            "cache-control: public, max-age=31536000, immutable",
            "content-type: text/css; charset=utf-8",
            "strict-transport-security: max-age=63072000",
            "x-content-type-options: nosniff",
        ]
    );
    assert!(!style.body.contains("http") && !style.body.contains("@import"));
    for path in
        ["/consent/assets/x.css", "/consent/assets/.css", "/consent/assets/../hr.css", "/consent/assets/x"]
    {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn links_and_forms_stand_below_the_path_of_the_public_url() {
    let site = Site::open_at("https://example.com/sign");
    let page = site.get("/consent/hr").await;
    assert_eq!(page.attributes("action"), ["/sign/consent/hr/depart", "/sign/consent/hr/key"]);
    assert!(page.attributes("href").iter().all(|href| href.starts_with("/sign/consent/assets/")));
    let seen = site.post("/consent/hr/depart", "").await;
    assert_eq!(seen.status, 200, "the origin has no path: {}", seen.heading());
}

#[tokio::test]
async fn pages_hold_no_script_and_no_style_and_load_nothing_from_elsewhere() {
    let site = Site::open();
    for path in ["/consent/hr", "/consent/hr/renew", "/consent/nobody", "/consent/hr/before-send"] {
        let page = site.get(path).await;
        assert!(page.body.starts_with("<!doctype html>\n<html lang=\"en\">"), "{path}");
        for banned in ["<script", "<style", " style=", " onclick", " onload", "javascript:", "<img", "src="] {
            assert!(!page.body.contains(banned), "{banned} in {path}");
        }
        assert_eq!(page.body.matches("<h1>").count(), 1);
        assert!(page.body.contains(&format!("<title>{} – Aftersign</title>", page.heading())));
    }
    let offer = site.get("/consent/hr").await;
    assert_eq!(offer.attributes("for"), ["key-api_key"]);
    assert!(offer.body.contains(">API key</label>"));
    assert!(
        offer.body.contains("type=\"password\" id=\"key-api_key\" name=\"api_key\" autocomplete=\"off\"")
    );
}

#[tokio::test]
async fn everything_else_is_not_found_as_the_front_door_says_it() {
    let site = Site::open();
    for path in
        ["/", "/consent", "/consent/", "/consent/hr/x", "/favicon.ico", "/oauth/back/", "//consent/hr"]
    {
        for method in ["GET", "POST", "PUT"] {
            let seen = site.send(crate::support::request(method, path, &site.own(), "")).await;
            assert_eq!((seen.status, seen.body.as_str()), (404, "not found\n"), "{path}");
            assert_eq!(
                seen.headers,
                [
                    "cache-control: no-store",
                    "content-type: text/plain; charset=utf-8",
                    "x-content-type-options: nosniff",
                ]
            );
        }
    }
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn what_is_answered_is_counted_by_page_and_outcome_with_bounded_labels() {
    let site = Site::open();
    site.get("/consent/hr").await;
    site.get("/consent/hr?again").await;
    site.get("/consent/somebody-elses").await;
    site.get("/consent/hr/renew").await;
    site.send(crate::support::post("/consent/hr/key", &[], "")).await;
    let metrics = site.metrics();
    for (page, outcome, count) in [
        ("connect", "offer", 2),
        ("connect", "no_such_page", 1),
        ("renew", "link_expired", 1),
        ("key", "cross_site", 1),
    ] {
        let line =
            format!("aftersign_consent_pages_total{{page=\"{page}\",outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("somebody"));
}

#[tokio::test]
async fn a_consent_works_over_a_socket_from_the_offer_to_the_page_that_leads_out() {
    let site = Arc::new(Site::open_at("http://127.0.0.1:8080"));
    let pages = Arc::clone(&site.pages);
    let answer = move |request: Request| {
        let pages = Arc::clone(&pages);
        async move { pages.answer(request).await.map(Body::new) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let exchange = |request: String| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let offer = exchange("GET /consent/hr HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned()).await;
    assert!(offer.starts_with("HTTP/1.1 200 OK\r\n"), "{offer}");
    let cookie = offer.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    site.desk.says(|| Scene::Depart("https://platform.example/authorize?a=b&state=s".into()));
    let form = "api_key=secret";
    let departed = exchange(format!(
        "POST /consent/hr/depart HTTP/1.1\r\nHost: h\r\nConnection: close\r\nOrigin: http://127.0.0.1:8080\r\n\
         Cookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ))
    .await;
    assert!(departed.starts_with("HTTP/1.1 200 OK\r\n"), "{departed}");
    assert!(departed.contains("content=\"0; url=https://platform.example/authorize?a=b&#38;state=s\""));
    assert_eq!(site.desk.asked(), [Asked::Arrive(Errand::Connect), Asked::Depart]);
    serving.abort();
}
