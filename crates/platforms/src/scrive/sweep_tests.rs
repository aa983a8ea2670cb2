//! Sweeps: the documents that no flow brings first, then the flows.

use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::error::ErrorKind;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Page, Platform, Window};
use aftersign_core::rule::DisposePolicy;
use aftersign_core::{Error, Remedy};
use bytes::Bytes;
use http::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::Scrive;
use super::tests::{CLOSED, FLOW, FLOW_ERROR, ID, INSTANCE, document, found, instance, second};
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

pub(super) fn with_flow_base(value: &str) -> Access {
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
    assert_eq!(next.as_deref(), Some("flows"), "an empty page is the end whatever the count says");
}

#[test]
fn pages_are_small_because_their_rows_are_whole_documents() {
    let at = "2026-11-20T09:00:00Z";
    let rows = |count: u32| (1..=count).map(|n| row(&n.to_string(), at)).collect::<Vec<_>>();
    let next_of = |cursor: &str, body: Value| {
        let (_, next, asked) = page(cursor, &body);
        assert!(asked.contains("max=25&"), "{asked}");
        next.unwrap()
    };
    let full = next_of("2026-11-20T07:00:00Z/0/outside-flows", json!({ "documents": rows(25) }));
    assert_eq!(full, "2026-11-20T09:00:00Z/0/outside-flows");
    // More than a page of one moment is counted through to its end.
    let counted = next_of(&full, json!({ "total_matching": 60, "documents": rows(25) }));
    assert_eq!(counted, "2026-11-20T09:00:00Z/25/outside-flows");
    let counted = next_of(&counted, json!({ "documents": rows(25) }));
    assert_eq!(counted, "2026-11-20T09:00:00Z/50/outside-flows");
    assert_eq!(next_of(&counted, json!({ "total_matching": 60, "documents": rows(10) })), "flows");
    assert_eq!(
        next_of(&counted, json!({ "documents": rows(24) })),
        "flows",
        "a page that is not full is the last"
    );
}

#[test]
fn a_row_without_an_id_is_passed_over_and_counted() {
    let rows = json!([row("1", "2026-11-20T09:00:00Z"), 5, null, { "id": "../2" }, { "id": "" }, row("3", "2026-11-20T10:00:00Z")]);
    let (items, next, _) =
        page("2026-11-20T07:00:00Z/0/outside-flows", &json!({ "total_matching": 9, "documents": rows }));
    assert_eq!(items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(next.as_deref(), Some("2026-11-20T07:00:00Z/6/outside-flows"), "nothing slips by");
    let (list, _) = ask(&access(&Scrive), None, vec![answer(200, r#"{"total_matching":0}"#)]);
    assert_eq!(list.unwrap_err().kind(), ErrorKind::Unintelligible, "no list is not an empty one");
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

fn flows(answers: Vec<Response<Bytes>>) -> (Result<Page<Envelope>, Error>, Vec<String>) {
    ask(&access(&Scrive), Some("flows"), answers)
}

/// The flow of the fixture as a row, within the window, with other members.
fn flow_row(more: &Value) -> Value {
    let mut row: Value = serde_json::from_str(INSTANCE).unwrap();
    row["last_event"] = json!("2026-11-20T09:00:00.12.0000Z");
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

#[test]
fn documents_come_first_without_those_of_flows_and_flows_last() {
    let none = || answer(200, json!({ "total_matching": 0, "documents": [] }).to_string());
    let (page, asked) = ask(&access(&Scrive), None, vec![none()]);
    assert_eq!(page.unwrap(), Page { items: Vec::new(), next: Some("flows".into()) });
    assert!(asked[0].starts_with("GET /api/v2/documents/list") && asked[0].contains(OUTSIDE), "{}", asked[0]);
    assert!(asked[0].contains("2026-11-20T07:00:00Z"), "an hour of overlap: {}", asked[0]);
    let old = serde_json::from_str::<Value>(INSTANCE).unwrap();
    let new = flow_row(&json!({ "id": FLOW.to_uppercase() }));
    let (page, asked) = flows(vec![answer(200, json!([old, new]).to_string())]);
    let page = page.unwrap();
    assert_eq!((page.items.len(), page.items[0].id.as_str(), page.next), (1, FLOW, None));
    assert_eq!((page.items[0].status, page.items[0].revision.as_deref()), (EnvelopeStatus::Completed, None));
    assert_eq!(asked, ["GET /flow/instances"]);
}

#[test]
fn where_no_flows_can_be_listed_there_are_none() {
    let elsewhere = || answer(404, "<html>");
    for refusals in [
        vec![elsewhere(), elsewhere()],
        vec![answer(404, FLOW_ERROR)],
        vec![answer(403, FLOW_ERROR)],
        vec![answer(401, FLOW_ERROR)],
        vec![answer(405, "")],
        vec![answer(410, "")],
    ] {
        let count = refusals.len();
        let (page, asked) = flows(refusals);
        assert_eq!(page.unwrap(), Page { items: Vec::new(), next: None });
        assert_eq!(asked.len(), count);
    }
    for status in [401, 403, 405, 410] {
        let (page, _) = flows(vec![answer(status, "<html>Request blocked</html>")]);
        let error = page.unwrap_err();
        assert_ne!(error.remedy(), Remedy::AskPerson, "{status} of a firewall says nothing of flows");
    }
    let refused = answer(401, json!({ "error_type": "invalid_authorisation" }).to_string());
    let (page, _) = ask(&access(&Scrive), None, vec![refused]);
    assert_eq!(page.unwrap_err().remedy(), Remedy::RenewAccess, "a bad key is no good for documents either");
}

#[test]
fn a_page_or_a_failure_in_place_of_the_flows_is_tried_again() {
    let web_page = || answer(200, " <!DOCTYPE html>");
    for answers in [
        vec![web_page(), web_page()],
        vec![web_page(), answer(404, "<html>")],
        vec![answer(404, "<html>"), web_page()],
        vec![web_page(), answer(502, "<html>")],
        vec![answer(500, "")],
        vec![answer(200, "{}")],
    ] {
        let (page, _) = flows(answers.clone());
        assert!(matches!(page.unwrap_err().remedy(), Remedy::Retry(_)), "{answers:?}");
    }
    for answers in [
        vec![web_page(), web_page()],
        vec![web_page(), answer(404, "<html>")],
        vec![answer(404, "<html>"), web_page()],
    ] {
        let error = flows(answers.clone()).0.unwrap_err();
        assert!(error.to_string().contains("`flow_base` to none"), "{error}");
        let looked = Scrive.fetch_envelope(&access(&Scrive), &EnvelopeId::new(FLOW)).unwrap();
        assert!(play(looked, answers).0.unwrap_err().to_string().contains("`flow_base` to none"));
    }
    let (page, asked) = flows(vec![web_page(), answer(200, "[]")]);
    assert_eq!(page.unwrap(), Page { items: Vec::new(), next: None });
    assert_eq!(asked[1], "GET /experimental/flow/instances");
}

#[test]
fn an_odd_row_among_the_flows_costs_no_other() {
    let rows = json!([17, null, [], {}, { "id": 17, "status": "completed" }, { "id": "../x" }, flow_row(&json!({}))]);
    let (page, _) = flows(vec![answer(200, rows.to_string())]);
    let ids: Vec<_> = page.unwrap().items.into_iter().map(|item| item.id).collect();
    assert_eq!(ids, [EnvelopeId::new(FLOW)]);
}

#[test]
fn a_row_of_a_flow_says_what_a_look_at_it_says() {
    let gone = || answer(404, json!({ "error_type": "resource_not_found" }).to_string());
    let history = || answer(200, super::tests::EXTENDED_HISTORY);
    for (word, other) in [
        ("failed", "rejected"),
        ("failed", "canceled"),
        ("failed", "closed"),
        ("frobbed", "timedout"),
        ("frobbed", "pending"),
    ] {
        let [first, last] = [answer(200, CLOSED), second(json!({ "status": other }))];
        let documents = [last.clone(), first.clone()];
        let mut answers = vec![instance(word), first, history(), last];
        answers.extend((other == "closed").then(history));
        let confirmed = found(FLOW, answers);
        let row = answer(200, json!([flow_row(&json!({ "status": word }))]).to_string());
        let (page, asked) = flows([row].into_iter().chain(documents).collect());
        let row = page.unwrap().items.remove(0);
        assert_eq!((row.status, row.revision), (confirmed.status, None), "{word} {other}");
        assert_eq!(asked[2], format!("GET /api/v2/documents/{ID}/get"));
    }
    for word in ["completed", "in_progress", "cancelled", "rejected", "timed_out"] {
        let (page, asked) =
            flows(vec![answer(200, json!([flow_row(&json!({ "status": word }))]).to_string())]);
        let refusal = || [gone(), gone()];
        let mut answers = vec![instance(word)];
        answers.extend((word != "in_progress").then(refusal).into_iter().flatten());
        assert_eq!(page.unwrap().items[0].status, found(FLOW, answers).status, "{word}");
        assert_eq!(asked.len(), 1, "the word is enough");
    }
}

#[test]
fn a_document_that_is_refused_never_ends_the_walk_over_the_flows() {
    let ended = |id: &str| flow_row(&json!({ "id": id, "status": "failed" }));
    let other = "08b9e7d4-d424-4e66-baa4-06ab6635aad6";
    let rows = || answer(200, json!([ended(other), ended(FLOW)]).to_string());
    let forbidden = || answer(403, json!({ "error_type": "insufficient_privileges" }).to_string());
    let rejected = || answer(200, document(json!({ "status": "rejected" })));
    let (page, asked) = flows(vec![rows(), forbidden(), rejected(), forbidden(), forbidden()]);
    let told: Vec<_> = page.unwrap().items.into_iter().map(|row| (row.id, row.status)).collect();
    assert_eq!(
        told,
        [(EnvelopeId::new(other), EnvelopeStatus::Declined), (EnvelopeId::new(FLOW), EnvelopeStatus::Failed)]
    );
    assert_eq!(asked.len(), 5);
    for disturbance in [answer(503, ""), answer(429, "{}"), answer(404, "<html>"), answer(200, "<html>")] {
        let (page, _) = flows(vec![rows(), disturbance]);
        assert!(matches!(page.unwrap_err().remedy(), Remedy::Retry(_)));
    }
    let hostile =
        flow_row(&json!({ "status": "failed", "process_parameters": { "documents": { "d": "../x" } } }));
    let (page, asked) = flows(vec![answer(200, json!([hostile]).to_string())]);
    assert_eq!((page.unwrap().items[0].status, asked.len()), (EnvelopeStatus::Failed, 1));
}

#[test]
fn a_sweep_asks_a_bounded_number_of_documents_and_leaves_the_other_rows_their_word() {
    let row = |number: usize, documents: usize| {
        let ids = (0..documents).map(|at| (format!("d{at:03}"), json!((number * 1_000 + at).to_string())));
        flow_row(&json!({
            "id": format!("08b9e7d4-d424-4e66-baa4-{number:012}"),
            "status": "failed",
            "process_parameters": { "documents": ids.collect::<serde_json::Map<_, _>>() },
        }))
    };
    let rows = json!([row(1, 60), row(2, 41), row(3, 40), row(4, 1), row(5, 0), row(6, 200)]);
    let rejected = |id: usize| answer(200, document(json!({ "id": id.to_string(), "status": "rejected" })));
    let asked_for = (1_000..1_060).rev().chain((3_000..3_040).rev());
    let answers = [answer(200, rows.to_string())].into_iter().chain(asked_for.map(rejected));
    let (page, asked) = flows(answers.collect());
    assert_eq!(asked.len(), 101);
    let told: Vec<_> = page.unwrap().items.into_iter().map(|row| row.status).collect();
    let (settled, by_word) = (EnvelopeStatus::Declined, EnvelopeStatus::Failed);
    assert_eq!(told, [settled, by_word, settled, by_word, by_word, by_word]);
}

#[test]
fn an_account_without_flows_lists_documents_alone_and_removes_them_as_usual() {
    let none = with_flow_base("none");
    let rows = || answer(200, json!({ "documents": [row("1", "2026-11-20T09:00:00Z")] }).to_string());
    let refused = || answer(400, json!({ "error_type": "request_parameters_invalid" }).to_string());
    for answers in [vec![rows()], vec![refused(), rows()]] {
        let (page, asked) = ask(&none, None, answers);
        let page = page.unwrap();
        assert_eq!((page.next, asked[0].contains(OUTSIDE)), (None, true));
        assert_eq!(Scrive.default_dispose(&page.items[0]), DisposePolicy::AfterExtension);
    }
    let error = Scrive.changed_since(&none, &window(Some("flows"))).unwrap_err();
    assert_eq!(error.remedy(), Remedy::Abandon);
}

#[test]
fn a_server_that_does_not_know_the_filter_is_asked_without_it() {
    let cursor = Some("2026-11-20T07:00:00Z/0/outside-flows");
    for kind in ["request_parameters_invalid", "request_parameters_parse_error"] {
        let refused = || answer(400, json!({ "error_type": kind }).to_string());
        let rows = json!({ "total_matching": 2, "documents": [row("1", "2026-11-20T09:00:00Z")] });
        let (page, asked) = ask(&access(&Scrive), cursor, vec![refused(), answer(200, rows.to_string())]);
        let page = page.unwrap();
        assert_eq!(page.next.as_deref(), Some("2026-11-20T09:00:00Z/0/all"), "and so it goes on");
        assert_eq!(Scrive.default_dispose(&page.items[0]), DisposePolicy::Never, "it may be one of a flow");
        assert_eq!((asked[0].contains(OUTSIDE), asked[1].contains(OUTSIDE)), (true, false));
        let (page, _) = ask(&access(&Scrive), cursor, vec![refused(), refused()]);
        assert_eq!(page.unwrap_err().remedy(), Remedy::AskPerson, "something else is wrong with it");
    }
    let (page, _) = ask(&access(&Scrive), cursor, vec![answer(403, "{}")]);
    assert_eq!(page.unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn an_account_can_name_the_older_base_of_flow_or_none() {
    let (page, asked) = ask(&with_flow_base("/experimental/flow"), Some("flows"), vec![answer(200, "[]")]);
    assert_eq!(page.unwrap(), Page { items: Vec::new(), next: None });
    assert_eq!(asked, ["GET /experimental/flow/instances"]);
    let error = Scrive.changed_since(&with_flow_base("off"), &window(Some("flows"))).unwrap_err();
    assert_eq!(error.remedy(), Remedy::Abandon);
    let none = answer(200, json!({ "total_matching": 0, "documents": [] }).to_string());
    let (page, asked) = ask(&with_flow_base("off"), None, vec![none]);
    assert_eq!(page.unwrap(), Page { items: Vec::new(), next: None });
    assert!(asked[0].starts_with("GET /api/v2/documents/list") && !asked[0].contains(OUTSIDE));
    let rows = json!({ "documents": [row("1", "2026-11-20T09:00:00Z")] });
    let (page, _) = ask(&with_flow_base("off"), None, vec![answer(200, rows.to_string())]);
    assert_eq!(Scrive.default_dispose(&page.unwrap().items[0]), DisposePolicy::Never);
    let (page, _) = ask(&access(&Scrive), None, vec![answer(200, rows.to_string())]);
    assert_eq!(Scrive.default_dispose(&page.unwrap().items[0]), DisposePolicy::AfterExtension);
    for (value, says) in [("off", "is off"), ("none", "is none"), ("/flows", "must be one of")] {
        let error = Scrive.fetch_envelope(&with_flow_base(value), &EnvelopeId::new(FLOW)).unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson));
        assert!(error.to_string().contains(says), "{error}");
    }
    let spec = Scrive.options()[0];
    assert_eq!((spec.name, spec.values.contains(&spec.default)), ("flow_base", true));
}
