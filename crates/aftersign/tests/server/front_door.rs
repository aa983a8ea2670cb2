//! The front door of the real server, from the platform's side: what it answers and what it keeps.

use crate::common::{DROPBOX_KEY, SECRET, Site, dropbox_json, dropbox_request, exchange_with_expect};

const MAGIC: &str = "Hello API Event Received";

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn an_authentic_callback_is_noted_once_and_answered_with_the_exact_words_however_often_it_comes() {
    let mut site = Site::new(None);
    site.serve();
    let json = dropbox_json(
        "signature_request_viewed",
        "1348177752",
        "fa5c8a0b0f492d768749333ad6fcc214c111e967",
        DROPBOX_KEY,
    );
    for _ in 0..3 {
        let answer = site.post_dropbox(&json);
        assert_eq!((status(&answer), body(&answer)), ("200", MAGIC), "{answer}");
        assert!(answer.to_lowercase().contains("content-type: text/plain"), "{answer}");
    }
    let (interim, answer) =
        exchange_with_expect(&site.listen, &dropbox_request(&site.listen, SECRET, &json, true));
    assert!(interim.starts_with("HTTP/1.1 100"), "{interim}");
    assert_eq!((status(&answer), body(&answer)), ("200", MAGIC), "{answer}");

    let list = site.json(&["callbacks", "list", "--json"]);
    let rows = list["callbacks"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["repeats"], 3);
    assert_eq!(rows[0]["disposition"], "noted");
    assert_eq!(rows[0]["kind"], "signature_request_viewed");
    assert_eq!(rows[0]["envelope_id"], "fa5c8a0b0f492d768749333ad6fcc214c111e967");
    assert!(rows[0]["last_repeat_at"].as_str().unwrap().ends_with('Z'));
    assert!(list["next_cursor"].is_null());
}

#[test]
fn forged_unsigned_altered_and_misdirected_callbacks_are_refused_and_not_noted() {
    let mut site = Site::new(None);
    site.serve();
    let good = dropbox_json(
        "signature_request_sent",
        "1348177752",
        "fa5c8a0b0f492d768749333ad6fcc214c111e967",
        DROPBOX_KEY,
    );
    let forged = dropbox_json(
        "signature_request_sent",
        "1348177752",
        "fa5c8a0b0f492d768749333ad6fcc214c111e967",
        "another key",
    );
    let unsigned = good.replace("event_hash", "event_dash");
    let moved = good.replace("1348177752", "1348177753");
    for json in [&forged, &unsigned, &moved] {
        assert_eq!(status(&site.post_dropbox(json)), "401");
    }
    let wrong_digest = String::from_utf8(dropbox_request(&site.listen, SECRET, &good, true))
        .unwrap()
        .replace("Accept: */*\r\n", "Content-Sha256: bm8gZGlnZXN0IG9mIHRoaXMgYm9keSBhdCBhbGwh\r\n");
    assert_eq!(status(&site.send(wrong_digest.as_bytes())), "401");

    let wrong_secret = site.send(&dropbox_request(&site.listen, "wrong", &good, true));
    let wrong_account = String::from_utf8(dropbox_request(&site.listen, SECRET, &good, true))
        .unwrap()
        .replace("/callbacks/hr/", "/callbacks/nobody/");
    let without_date = |answer: String| {
        answer.lines().filter(|line| !line.to_lowercase().starts_with("date:")).collect::<Vec<_>>().join("\n")
    };
    let wrong_account = site.send(wrong_account.as_bytes());
    assert_eq!(status(&wrong_secret), "404");
    assert_eq!(without_date(wrong_secret), without_date(wrong_account), "the 404 is no oracle");
    assert_eq!(site.json(&["callbacks", "list", "--json"])["callbacks"].as_array().unwrap().len(), 0);
}

#[test]
fn what_is_not_understood_is_kept_acknowledged_and_told_to_a_person() {
    let mut site = Site::new(None);
    site.serve();
    for json in ["{\"event\":", "{\"error\":{\"error_msg\":\"x\",\"error_name\":\"y\"}}", ""] {
        let answer = site.post_dropbox(json);
        assert_eq!((status(&answer), body(&answer)), ("200", MAGIC), "{json}: {answer}");
    }
    assert_eq!(status(&site.get_esaw("envelope", "envelopeId=not-a-guid&action=envelopeFinished")), "200");
    let unknown = dropbox_json("signature_request_teleported", "1348177752", "abcdef0123", DROPBOX_KEY);
    assert_eq!(status(&site.post_dropbox(&unknown)), "200");
    let list = site.json(&["callbacks", "list", "--json"]);
    let rows = list["callbacks"].as_array().unwrap();
    let quarantined = rows.iter().filter(|row| row["disposition"] == "quarantined").count();
    assert_eq!((rows.len(), quarantined), (5, 4), "{list}");
    site.wait_for("a task tells of it", |site| {
        site.json(&["tasks", "list", "--json"])["tasks"].as_array().is_some_and(|tasks| tasks.len() == 2)
    });
}

#[test]
fn a_query_callback_is_taken_by_get_and_post_under_every_name_its_parameters_have() {
    let mut site = Site::new(None);
    site.serve();
    let guid = "765b904a-7c64-470f-bf63-0f312d1fc474";
    for query in [
        format!("envelope={guid}&action=workstepFinished&uid=1&token=hidden-value"),
        format!("EnvelopeId=%7B{}%7D&Action=workstepFinished", guid.to_uppercase()),
    ] {
        let answer = site.get_esaw("status", &query);
        assert_eq!((status(&answer), body(&answer)), ("200", "OK"), "{answer}");
    }
    let post = format!(
        "POST /callbacks/sales/{SECRET}/envelope?envelopeId={guid} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\
         Connection: close\r\n\r\nbody"
    );
    assert_eq!(status(&site.send(post.as_bytes())), "200");
    let list = site.json(&["callbacks", "list", "--json"]);
    let rows = list["callbacks"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{list}");
    assert!(rows.iter().all(|row| row["envelope_id"] == guid));
    let shown = site.json(&["callbacks", "show", rows[1]["id"].as_str().unwrap(), "--json"]).to_string();
    assert!(!shown.contains("hidden-value") && !shown.contains(SECRET), "{shown}");
}
