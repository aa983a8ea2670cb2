//! What is not taken, and that the desk is not asked for it.

use std::sync::Arc;

use aftersign_core::consent::{Errand, Scene, Trouble};
use aftersign_web::limits::{
    DESK_CALLS_MAX, DESK_TIMEOUT, DISCARD_BYTES_MAX, FORM_BYTES_MAX, FORM_TIMEOUT, PARAMETERS_MAX,
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::Request;

use crate::support::{Asked, BEFORE_SEND, BEFORE_SEND_URL, KEY, RETURN_PATH, Site, get, post, request, seen};

const POSTS: [&str; 3] = ["/consent/hr/before-send", "/consent/hr/depart", "/consent/hr/key"];
const FORM: &str = "draft=d&user=u&org=o";

#[tokio::test]
async fn a_form_that_our_own_page_did_not_send_is_not_taken() {
    let site = Site::open();
    let same = "https://sign.example.com";
    let cases: [(Option<&str>, Option<&str>, bool); 12] = [
        (Some("same-origin"), Some(same), true),
        (Some("same-origin"), Some("null"), true),
        (Some("same-origin"), None, true),
        (None, Some(same), true),
        (Some("cross-site"), Some(same), false),
        (Some("same-site"), Some(same), false),
        (Some("none"), Some(same), false),
        (Some(""), Some(same), false),
        (None, Some("https://evil.example"), false),
        (None, Some("http://sign.example.com"), false),
        (None, Some("null"), false),
        (None, None, false),
    ];
    for path in POSTS {
        for (fetch_site, origin, taken) in cases {
            let mut headers = site.own();
            headers.retain(|(name, _)| !matches!(*name, "origin" | "sec-fetch-site"));
            headers.extend(fetch_site.map(|value| ("sec-fetch-site", value.to_owned())));
            headers.extend(origin.map(|value| ("origin", value.to_owned())));
            let seen = site.send(post(path, &headers, FORM)).await;
            assert_eq!(seen.status, if taken { 200 } else { 403 }, "{path} {fetch_site:?} {origin:?}");
            assert_eq!(site.desk.asked().len(), usize::from(taken), "{path} {fetch_site:?} {origin:?}");
            assert_eq!(seen.heading() == "This did not come from our page", !taken);
            assert!(taken || seen.all("set-cookie").is_empty());
        }
    }
}

#[tokio::test]
async fn a_form_from_a_browser_without_our_cookie_is_not_taken() {
    let site = Site::open();
    for path in POSTS {
        let mut headers = site.own();
        headers[0].1 = format!("aftersign-browser={KEY}");
        let seen = site.send(post(path, &headers, FORM)).await;
        assert_eq!((seen.status, seen.heading()), (403, "Your browser does not know this page any more"));
        assert_eq!(seen.attributes("href")[1], "/consent/hr");
    }
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn parameters_that_are_missing_doubled_or_too_long_are_told_with_what_to_set_where() {
    let site = Site::open();
    let long = format!("draft={}&user=u", "x".repeat(257));
    let many = format!("draft=d&user=u{}", "&x=y".repeat(PARAMETERS_MAX));
    for (query, what) in [
        ("", "the draft and the user are missing"),
        ("draft=&user=", "the draft and the user are missing"),
        ("user=u&org=o", "the draft is missing"),
        ("draft=+&user=u", "the draft is missing"),
        ("draft=d", "the user is missing"),
        ("draft=d&draft=d&user=u", "a parameter occurs twice"),
        ("draft=d&DRAFT=e&user=u", "a parameter occurs twice"),
        ("draft=d&envelopeid=e&user=u", "a parameter occurs twice"),
        ("draft=d&user=u&user=u", "a parameter occurs twice"),
        ("draft=d&user=u&org=&org=o", "a parameter occurs twice"),
        ("draft=d%00&user=u", "a parameter is too long or is no plain text"),
        ("draft=d&user=u%0d%0aSet-Cookie:x", "a parameter is too long or is no plain text"),
        (&long, "a parameter is too long or is no plain text"),
        ("draft=%ff&user=u", "the parameters cannot be read"),
        (&many, "the parameters cannot be read"),
    ] {
        let seen = site.get(&format!("/consent/hr/before-send?{query}")).await;
        assert_eq!((seen.status, seen.heading()), (400, "This link is not complete"), "{query}");
        assert!(seen.body.contains(what), "{what} for {query}: {}", seen.body);
        assert!(seen.body.contains("under Redirect before sending:"));
        assert!(seen.body.contains(&BEFORE_SEND_URL.replace('&', "&#38;")));
    }
    let posted = site.post("/consent/hr/before-send", "draft=d&draft=e&user=u").await;
    assert_eq!(posted.status, 400);
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn a_link_that_is_missing_doubled_or_too_long_is_no_link_of_ours() {
    let site = Site::open();
    let long = format!("?link={}", "x".repeat(4 * 1024 + 1));
    for query in ["", "?link=", "?link=a&link=a", "?link=a&LINK=b", "?link=%ff", &long] {
        let seen = site.get(&format!("/consent/hr/renew{query}")).await;
        assert_eq!((seen.status, seen.heading()), (410, "This link no longer works"));
    }
    let seen = site.get(&format!("{RETURN_PATH}?code={}", "x".repeat(16 * 1024))).await;
    assert_eq!((seen.status, seen.heading()), (403, "We cannot tell where this visit began"));
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_form_or_broken_is_not_taken() {
    let site = Site::open();
    let typed = |content_type: &str| {
        let mut headers = site.own();
        headers[3].1 = content_type.to_owned();
        headers
    };
    let form = "application/x-www-form-urlencoded";
    let largest = format!("api_key={}", "x".repeat(FORM_BYTES_MAX - 8));
    let beyond = format!("{largest}x");
    for path in POSTS {
        let seen = site.send(post(path, &typed(form), &beyond)).await;
        assert_eq!((seen.status, seen.heading()), (413, "That was too much"), "{path}");
        for other in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
            let seen = site.send(post(path, &typed(other), FORM)).await;
            assert_eq!((seen.status, seen.heading()), (415, "This is not what our page sends"), "{path}");
        }
        let seen = site.send(post(path, &typed(form), "api_key=%ff")).await;
        assert_eq!((seen.status, seen.heading()), (400, "We could not read this"), "{path}");
    }
    let seen = site.post("/consent/hr/key", "api_key=a&api_key=b").await;
    assert_eq!(seen.status, 400, "no field twice");
    assert!(site.desk.asked().is_empty());
    let charset = typed("Application/X-WWW-Form-URLencoded; charset=utf-8");
    assert_eq!(site.send(post("/consent/hr/key", &charset, &largest)).await.status, 200);
    assert_eq!(site.desk.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_is_cut_off_by_size_and_by_time() {
    let site = Site::open();
    let streamed = |body: Body| {
        let mut request = Request::builder().method("POST").uri("/consent/hr/key");
        for (name, value) in site.own() {
            request = request.header(name, value);
        }
        request.body(body).unwrap()
    };
    let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 * 1024]));
    let endless = Body::from_stream(stream::repeat_with(chunk));
    assert_eq!(seen(site.pages.answer(streamed(endless)).await).await.status, 413);
    let announced = Body::from(vec![b'x'; DISCARD_BYTES_MAX + 1]);
    assert_eq!(seen(site.pages.answer(streamed(announced)).await).await.status, 413);
    let broken = Body::from_stream(stream::iter([chunk(), Err(std::io::Error::other("reset"))]));
    assert_eq!(seen(site.pages.answer(streamed(broken)).await).await.status, 400);
    let begun = tokio::time::Instant::now();
    let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let slow = seen(site.pages.answer(streamed(silent)).await).await;
    assert_eq!((slow.status, slow.heading()), (408, "This took too long"));
    assert_eq!(begun.elapsed(), FORM_TIMEOUT);
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn scanners_and_browsers_that_fetch_ahead_use_nothing_up() {
    let site = Site::open();
    let gets = ["/consent/hr", BEFORE_SEND, "/consent/hr/renew?link=l", "/oauth/back?code=c&state=s"];
    for path in gets {
        let seen = site.send(request("HEAD", path, &[], "")).await;
        assert_eq!((seen.status, seen.body.as_str()), (200, ""), "{path}");
        assert!(seen.all("set-cookie").is_empty());
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("purpose", "Prefetch"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ] {
            let seen = site.send(get(path, &[(name, value.to_owned())])).await;
            assert_eq!(seen.status, 503, "{path} {name}");
            assert_eq!(seen.header("cache-control"), Some("no-store"));
        }
    }
    assert_eq!(site.send(request("HEAD", "/consent/nobody", &[], "")).await.status, 404);
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn methods_that_a_page_does_not_take_are_not_allowed() {
    let site = Site::open();
    for (path, methods, allow) in [
        ("/consent/hr", ["POST", "PUT"], "GET, HEAD"),
        ("/consent/hr/renew?link=l", ["POST", "OPTIONS"], "GET, HEAD"),
        ("/oauth/back?code=c", ["POST", "DELETE"], "GET, HEAD"),
        (BEFORE_SEND, ["PUT", "PATCH"], "GET, HEAD, POST"),
        ("/consent/hr/depart", ["GET", "HEAD"], "POST"),
        ("/consent/hr/key", ["GET", "HEAD"], "POST"),
    ] {
        for method in methods {
            let seen = site.send(request(method, path, &site.own(), FORM)).await;
            assert_eq!((seen.status, seen.header("allow")), (405, Some(allow)), "{method} {path}");
        }
    }
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn unknown_accounts_have_no_pages_whatever_their_id() {
    let site = Site::open();
    for id in ["nobody", "HR", "hr%00", "%2e%2e%2fhr", "hr%2F", "%3Cscript%3E", "%F0%9F%92%A9", "hr'--", "."]
    {
        for page in ["", "/before-send?draft=d&user=u", "/renew?link=l"] {
            let seen = site.get(&format!("/consent/{id}{page}")).await;
            assert_eq!((seen.status, seen.heading()), (404, "There is no such page"), "{id}");
            assert!(!seen.body.contains("script") && seen.all("set-cookie").is_empty());
        }
        for page in ["/depart", "/key"] {
            assert_eq!(site.post(&format!("/consent/{id}{page}"), FORM).await.status, 404, "{id}");
        }
    }
    assert_eq!(
        site.get("/oauth/stray?code=c").await.status,
        404,
        "the desk knows an account that has no pages"
    );
    assert!(site.desk.asked().is_empty());
}

#[tokio::test]
async fn no_parameter_decides_where_a_browser_goes_or_what_it_is_shown() {
    let site = Site::open();
    let evil = "//evil.example/%3Cb%3E";
    let query = ["draft", "user", "org", "link", "code", "state", "url", "next", "redirect_uri", "returnTo"]
        .map(|name| format!("{name}={evil}"))
        .join("&");
    for scene in [
        || Scene::Offer { consent: true, fields: &["api_key"], link: None },
        || Scene::Sending(Errand::Connect),
        || Scene::Trouble { trouble: Trouble::UnknownReturn, again: None },
    ] {
        site.desk.says(scene);
        let mut answers = Vec::new();
        for path in ["/consent/hr", "/consent/hr/before-send", "/consent/hr/renew", RETURN_PATH] {
            answers.push(site.get(&format!("{path}?{query}")).await);
        }
        for path in POSTS {
            answers.push(site.post(&format!("{path}?{query}"), &query).await);
        }
        for seen in answers {
            assert!(seen.header("location").is_none());
            assert!(!seen.body.contains("//evil") && !seen.body.contains("<b>"), "{}", seen.body);
            let links = seen.attributes("href").into_iter().chain(seen.attributes("action"));
            assert!(links.into_iter().all(|link| link.starts_with("/consent/")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_hangs_keeps_nobody_waiting_and_goes_on() {
    let site = Site::open();
    site.desk.gate.forget_permits(usize::MAX);
    let begun = tokio::time::Instant::now();
    let seen = site.get(BEFORE_SEND).await;
    assert_eq!((seen.status, seen.heading()), (503, "This takes longer than usual"));
    assert_eq!(seen.attributes("href")[1], BEFORE_SEND.replace('&', "&#38;"));
    assert_eq!(seen.header("retry-after"), Some("60"));
    assert_eq!(begun.elapsed(), DESK_TIMEOUT);
    site.desk.gate.add_permits(1);
    site.desk.done.notified().await;
    site.desk.gate.add_permits(1);
    assert_eq!(site.get(BEFORE_SEND).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_takes_long_leads_to_no_second_consent() {
    let site = Site::open();
    site.desk.gate.forget_permits(usize::MAX);
    let seen = site.get(&format!("{RETURN_PATH}?code=c&state=s")).await;
    assert_eq!((seen.status, seen.heading()), (503, "This takes longer than usual"));
    assert!(seen.body.contains("look among your documents at Test Platform"), "{}", seen.body);
    assert_eq!(seen.attributes("href").len(), 1, "the stylesheet alone: {}", seen.body);
    assert!(seen.attributes("action").is_empty() && !seen.body.contains("refresh"));
    assert_eq!(seen.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn a_link_beside_a_key_goes_to_the_desk_only_if_it_may_be_one_of_ours() {
    let site = Site::open();
    let long = "x".repeat(4 * 1024 + 1);
    for (link, expected) in [
        ("a.b-c_d%3D", Some("a.b-c_d=")),
        ("", None),
        ("a%20b", None),
        ("%C3%A4", None),
        ("a%0D%0Ab", None),
        (&long, None),
    ] {
        let seen = site.post("/consent/hr/key", &format!("api_key=k&link={link}")).await;
        assert_eq!(seen.status, 200, "{link}");
        let fields = vec![("api_key".to_owned(), "k".to_owned())];
        assert_eq!(site.desk.asked(), [Asked::Key(fields, expected.map(str::to_owned))], "{link}");
    }
    assert_eq!(site.post("/consent/hr/key", "api_key=k&link=a&link=b").await.status, 400);
    assert!(site.desk.asked().is_empty());
    let seen = site.get("/consent/hr/renew?link=a%00b").await;
    assert_eq!(seen.heading(), "This link no longer works");
}

#[tokio::test]
async fn a_browser_that_goes_away_breaks_nothing_off_but_keeps_its_place() {
    let site = Site::open();
    site.desk.gate.forget_permits(usize::MAX);
    for _ in 0..DESK_CALLS_MAX {
        let pages = Arc::clone(&site.pages);
        let visit = tokio::spawn(async move { pages.answer(get(BEFORE_SEND, &[])).await });
        site.desk.arrived.notified().await;
        visit.abort();
        assert!(visit.await.unwrap_err().is_cancelled());
    }
    let seen = site.get("/consent/hr").await;
    assert_eq!((seen.status, seen.heading()), (503, "Too many visitors at once"));
    site.desk.gate.add_permits(1);
    site.desk.done.notified().await;
    site.desk.gate.add_permits(DESK_CALLS_MAX);
    while site.get("/consent/hr").await.status == 503 {
        tokio::task::yield_now().await;
    }
    assert!(
        site.desk.asked().iter().filter(|asked| matches!(asked, Asked::Arrive(_))).count() > DESK_CALLS_MAX
    );
}

#[tokio::test]
async fn a_desk_that_panics_is_our_fault_and_the_next_visit_works() {
    let site = Site::open();
    site.desk.says(|| panic!("the desk is made to fail"));
    let failed = site.post("/consent/hr/depart", "").await;
    assert_eq!((failed.status, failed.heading()), (500, "Something is wrong on our side"));
    site.desk.says(|| Scene::Sending(Errand::Connect));
    assert_eq!(site.post("/consent/hr/depart", "").await.status, 200);
}
