//! Sweeps: flows first, then the documents that no flow brings.

use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::error::ErrorKind;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Page, Platform, Window};
use aftersign_core::{Error, Remedy};
use bytes::Bytes;
use http::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::Scrive;
use super::tests::{FLOW, FLOW_ERROR, INSTANCE};
use crate::testing::{access, answer, now, play};

const OUTSIDE: &str = r#"{"filter_by":"is_not_part_of_a_flow"}"#;

pub(super) fn window(cursor: Option<&str>) -> Window {
    let since = "2026-11-20T08:00:00Z".parse().unwrap();
    Window { since, until: now(), cursor: cursor.map(str::to_owned) }
}

fn ask(
    access: &Access,
    cursor: Option<&str>,
    answers: Vec<Response<Bytes>>,
) -> (Result<Page<Envelope>, Error>, Vec<String>) {
    let (page, asked) = play(Scrive.changed_since(access, &window(cursor)).unwrap(), answers);
    let readable = |line: &String| percent_decode_str(line).decode_utf8_lossy().into_owned();
    (page, asked.iter().map(readable).collect())
}

fn page(cursor: &str, body: &Value) -> (Vec<Envelope>, Option<String>, String) {
    let (page, asked) = ask(&access(&Scrive), Some(cursor), vec![answer(200, body.to_string())]);
    let page = page.unwrap();
    (page.items, page.next, asked[0].clone())
}

fn row(id: &str, mtime: &str) -> Value {
    json!({ "id": id, "status": "closed", "mtime": mtime, "sealed_file": { "id": format!("5{id}") } })
}

fn with_flow_base(value: &str) -> Access {
    let mut access = access(&Scrive);
    access.options.insert("flow_base".into(), value.into());
    access
}

#[test]
fn a_sweep_goes_on_from_the_last_change_and_not_by_offset() {
    let rows = json!([row("1", "2026-11-20T07:30:00Z"), row("2", "2026-11-20T09:00:00.5Z")]);
    let (items, next, asked) =
        page("2026-11-20T07:00:00Z/0/outside-flows", &json!({ "total_matching": 3, "documents": rows }));
    let from = r#"{"filter_by":"mtime","start_time":"2026-11-20T07:00:00Z"},{"filter_by":"is_author"}"#;
    assert!(asked.contains(from) && asked.contains(OUTSIDE), "{asked}");
    assert!(asked.contains(r#"sorting=[{"sort_by":"mtime","order":"ascending"}]"#), "{asked}");
    assert_eq!((items.len(), items[1].id.as_str()), (2, "2"));
    assert_eq!(items[1].revision.as_deref(), Some("52"));
    assert_eq!(next.as_deref(), Some("2026-11-20T09:00:00.5Z/0/outside-flows"));
    // A whole page of one moment is counted through.
    let same = json!({ "total_matching": 9, "documents": [row("2", "2026-11-20T09:00:00.5Z")] });
    let (_, next, asked) = page(&next.unwrap(), &same);
    assert!(asked.contains("offset=0") && asked.contains("2026-11-20T09:00:00.5Z"));
    assert_eq!(next.as_deref(), Some("2026-11-20T09:00:00.5Z/1/outside-flows"));
    let (_, next, asked) = page(&next.unwrap(), &same);
    assert!(asked.contains("offset=1"));
    assert_eq!(next.as_deref(), Some("2026-11-20T09:00:00.5Z/2/outside-flows"));
    let (_, next, _) = page(&next.unwrap(), &json!({ "total_matching": 1_000, "documents": [] }));
    assert_eq!(next, None, "an empty page is the end whatever the count says");
}

#[test]
fn the_capped_count_and_a_list_out_of_order_lose_no_document() {
    // The count is never more than 1,000 beyond the offset.
    let at_offset = json!({ "total_matching": 2_000, "documents": [row("1", "2026-11-20T09:00:00Z")] });
    let (_, next, _) = page("2026-11-20T09:00:00Z/1000/all", &at_offset);
    assert_eq!(next.as_deref(), Some("2026-11-20T09:00:00Z/1001/all"));
    let rows = json!([row("1", "2026-11-20T09:30:00Z"), row("2", "2026-11-20T09:00:00Z")]);
    let (_, next, _) = page("2026-11-20T07:00:00Z/0/all", &json!({ "total_matching": 9, "documents": rows }));
    assert_eq!(next.as_deref(), Some("2026-11-20T07:00:00Z/2/all"));
    let uncounted: Vec<_> = (1..=100).map(|n| row(&n.to_string(), "2026-11-20T09:00:00Z")).collect();
    let (_, next, _) = page("2026-11-20T07:00:00Z/0/all", &json!({ "documents": uncounted }));
    assert_eq!(next.as_deref(), Some("2026-11-20T09:00:00Z/0/all"));
    let endless = "2026-11-20T07:00:00Z/100001/all";
    let soon = "soon/0/all";
    for bad in ["no cursor", "", soon, "2026-11-20T07:00:00Z/0", "2026-11-20T07:00:00Z/0/all/x", endless] {
        let error = Scrive.changed_since(&access(&Scrive), &window(Some(bad))).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Abandon, "{bad}");
    }
}

#[test]
fn flows_come_first_and_their_documents_are_left_out_then() {
    let mut old: Value = serde_json::from_str(INSTANCE).unwrap();
    let mut new = old.clone();
    new["last_event"] = json!("2026-11-20T09:00:00.12.0000Z");
    old["id"] = json!("08b9e7d4-d424-4e66-baa4-06ab6635aad6");
    let (page, asked) = ask(&access(&Scrive), None, vec![answer(200, json!([old, new]).to_string())]);
    let page = page.unwrap();
    assert_eq!((page.items.len(), page.items[0].id.as_str()), (1, FLOW));
    assert_eq!((page.items[0].status, page.items[0].revision.as_deref()), (EnvelopeStatus::Completed, None));
    assert_eq!(asked, ["GET /flow/instances"]);
    assert_eq!(page.next.as_deref(), Some("2026-11-20T07:00:00Z/0/outside-flows"), "an hour of overlap");
}

#[test]
fn where_no_flows_can_be_listed_all_documents_are() {
    let rows = || {
        answer(
            200,
            json!({ "total_matching": 2, "documents": [row("1", "2026-11-20T09:00:00Z")] }).to_string(),
        )
    };
    let elsewhere = || answer(404, "<html>");
    let web_page = || answer(200, "<!DOCTYPE html>");
    for refusals in [
        vec![elsewhere(), elsewhere()],
        vec![web_page(), web_page()],
        vec![answer(403, FLOW_ERROR)],
        vec![answer(401, FLOW_ERROR)],
    ] {
        let count = refusals.len();
        let answers = refusals.into_iter().chain([rows()]).collect();
        let (page, asked) = ask(&access(&Scrive), None, answers);
        assert_eq!(page.unwrap().next.as_deref(), Some("2026-11-20T09:00:00Z/0/all"));
        assert!(!asked[count].contains("flow"), "{}", asked[count]);
        assert_eq!(
            asked.get(1).filter(|_| count == 2).is_some_and(|line| line.contains("/experimental/flow/")),
            count == 2
        );
    }
    let refused = answer(401, json!({ "error_type": "invalid_authorisation" }).to_string());
    let (page, _) = ask(&access(&Scrive), None, vec![answer(401, ""), refused]);
    assert_eq!(page.unwrap_err().remedy(), Remedy::RenewAccess, "a bad key is no good for documents either");
    let (page, _) = ask(&access(&Scrive), None, vec![answer(500, "")]);
    assert!(matches!(page.unwrap_err().remedy(), Remedy::Retry(_)));
}

#[test]
fn a_server_that_does_not_know_the_filter_is_asked_without_it() {
    let cursor = Some("2026-11-20T07:00:00Z/0/outside-flows");
    for kind in ["request_parameters_invalid", "request_parameters_parse_error"] {
        let refused = || answer(400, json!({ "error_type": kind }).to_string());
        let rows = json!({ "total_matching": 2, "documents": [row("1", "2026-11-20T09:00:00Z")] });
        let (page, asked) = ask(&access(&Scrive), cursor, vec![refused(), answer(200, rows.to_string())]);
        assert_eq!(page.unwrap().next.as_deref(), Some("2026-11-20T09:00:00Z/0/all"), "and so it goes on");
        assert_eq!((asked[0].contains(OUTSIDE), asked[1].contains(OUTSIDE)), (true, false));
        let (page, _) = ask(&access(&Scrive), cursor, vec![refused(), refused()]);
        assert_eq!(page.unwrap_err().remedy(), Remedy::AskPerson, "something else is wrong with it");
    }
    let (page, _) = ask(&access(&Scrive), cursor, vec![answer(403, "{}")]);
    assert_eq!(page.unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn an_account_can_name_the_older_base_of_flow_or_none() {
    let (page, asked) = ask(&with_flow_base("/experimental/flow"), None, vec![answer(200, "[]")]);
    assert!(page.unwrap().next.is_some());
    assert_eq!(asked, ["GET /experimental/flow/instances"]);
    let none = answer(200, json!({ "total_matching": 0, "documents": [] }).to_string());
    let (page, asked) = ask(&with_flow_base("off"), None, vec![none]);
    assert_eq!(page.unwrap(), Page { items: Vec::new(), next: None });
    assert!(asked[0].starts_with("GET /api/v2/documents/list") && !asked[0].contains(OUTSIDE));
    for (value, says) in [("off", "is off"), ("/flows", "none of")] {
        let error = Scrive.fetch_envelope(&with_flow_base(value), &EnvelopeId::new(FLOW)).unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson));
        assert!(error.to_string().contains(says), "{error}");
    }
    let spec = Scrive.options()[0];
    assert_eq!((spec.name, spec.values.contains(&spec.default)), ("flow_base", true));
}
