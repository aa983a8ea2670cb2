use aftersign_core::callback::{Interpretation, Meaning, NotificationKind};
use aftersign_core::draft::{Draft, DraftMarks, DraftTrace};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Next, Platform};
use aftersign_core::{Error, ErrorKind, Remedy};
use http::Method;
use serde_json::{Value, json};

use super::ESignAnyWhere;
use crate::testing::{access, answer, inbound, now, play, understood};

const ID: &str = "0a1b2c3d-1111-4222-8333-444455556666";
const ENVELOPE: &str = "765b904a-7c64-470f-bf63-0f312d1fc474";
const OTHER: &str = "22222222-0000-4000-8000-000000000001";
const OVERVIEW: &str = include_str!("fixtures/draft.json");
const CONFIGURATION: &str = include_str!("fixtures/draft_configuration.json");
const BULK: &str = include_str!("fixtures/draft_sent_bulk.json");
const MISSING: &str = include_str!("fixtures/error_err0250.json");
const ERR0007: &str = include_str!("fixtures/error_err0007.json");

fn fetch(answers: &[(u16, &'static str)]) -> (Result<Option<Draft>, Error>, Vec<String>) {
    let call =
        ESignAnyWhere.fetch_draft(&access(&ESignAnyWhere), &format!("{{{}}}", ID.to_uppercase())).unwrap();
    play(call, answers.iter().map(|(status, body)| answer(*status, *body)))
}

/// The body of the update that marks a draft with this metadata.
fn mark(metadata: Option<&str>) -> Value {
    let draft = Draft { id: ID.into(), name: None, metadata: metadata.map(str::to_owned) };
    let marks = DraftMarks { callback_base: "https://us/callbacks/hr/s3cret".into(), account: "hr".into() };
    let call = ESignAnyWhere.mark_draft(&access(&ESignAnyWhere), &draft, &marks).unwrap();
    assert_eq!(call.request.uri().path(), "/api/v6/draft/update");
    serde_json::from_slice(call.request.body()).unwrap()
}

fn trace(answers: &[(u16, &str)]) -> (Result<DraftTrace, Error>, Vec<String>) {
    let call = ESignAnyWhere.trace_draft(&access(&ESignAnyWhere), ID, now()).unwrap();
    play(call, answers.iter().map(|(status, body)| answer(*status, (*body).to_owned())))
}

fn found(rows: &[Value]) -> String {
    json!({ "Envelopes": rows }).to_string()
}

fn interpret(channel: &str, query: &str) -> Interpretation {
    ESignAnyWhere.interpret(&inbound(Method::GET, Some(channel), query, ""))
}

#[test]
fn a_draft_comes_with_the_metadata_of_its_configuration() {
    let (draft, asked) = fetch(&[(200, OVERVIEW), (200, CONFIGURATION)]);
    let draft = draft.unwrap().unwrap();
    assert_eq!(asked, [format!("GET /api/v6/draft/{ID}"), format!("GET /api/v6/draft/{ID}/configuration")]);
    assert_eq!((draft.id.as_str(), draft.name.as_deref()), (ID, Some("Lease / Flat 4")));
    assert_eq!(draft.metadata.as_deref(), Some("<md><client>42</client>"));
    let told = OVERVIEW.replace("\"Name\"", "\"MetaData\":null,\"Name\"").leak();
    assert_eq!(
        fetch(&[(200, told)]).0.unwrap().unwrap().metadata,
        None,
        "the platform says that there is none"
    );
    let nameless = r#"{"Documents":[],"Name":null}"#;
    assert!(fetch(&[(200, nameless), (200, r#"{"MetaData":""}"#)]).0.unwrap().unwrap().metadata.is_none());
    for untold in [(404, ""), (403, ""), (400, ERR0007), (200, "{}"), (200, r#"{"MetaData":{"a":1}}"#)] {
        let draft = fetch(&[(200, OVERVIEW), untold]).0.unwrap().unwrap();
        assert!(draft.metadata.is_some(), "{untold:?}: what nobody knows is not overwritten");
    }
    for strange in [(200, "<html>"), (404, "<html>"), (500, ""), (401, ""), (302, "")] {
        assert!(fetch(&[(200, OVERVIEW), strange]).0.is_err(), "{strange:?}");
    }
}

#[test]
fn a_draft_that_is_not_ours_to_see_is_none_and_a_page_says_nothing() {
    for missing in [MISSING, ERR0007] {
        assert_eq!(fetch(&[(404, missing)]).0.unwrap(), None);
    }
    assert_eq!(fetch(&[(200, OVERVIEW), (404, MISSING)]).0.unwrap(), None, "sent between two questions");
    assert_eq!(fetch(&[(404, "<html>")]).0.unwrap_err().kind(), ErrorKind::Unintelligible);
    assert_eq!(fetch(&[(404, "")]).0.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fetch(&[(401, "")]).0.unwrap_err().remedy(), Remedy::RenewAccess);
    let not_allowed = r#"{"ErrorId":"ERR0010","Message":"ERR0010 - Not allowed."}"#;
    assert_eq!(fetch(&[(400, not_allowed)]).0.unwrap_err().kind(), ErrorKind::Forbidden);
    let other = OVERVIEW.replace("0A1B", "1A1B").leak();
    for odd in [other, "{}", r#"{"Id":"x"}"#] {
        assert_eq!(fetch(&[(200, odd)]).0.unwrap_err().kind(), ErrorKind::Unintelligible, "{odd}");
    }
}

#[test]
fn a_mark_sets_three_urls_and_our_metadata_where_there_is_none() {
    let base = "https://us/callbacks/hr/s3cret";
    let status = format!("status?draft={ID}&envelopeId=##EnvelopeId##&action=##Action##");
    let expected = json!({
        "DraftId": ID,
        "CallbackConfiguration": {
            "CallbackUrl": format!("{base}/envelope?draft={ID}&envelopeId=##EnvelopeId##&action=##Action##"),
            "StatusUpdateCallbackUrl": format!("{base}/{status}"),
            "AfterSendCallbackUrl": format!("{base}/draft?draft={ID}&draftId=##DraftId##&envelopeId=##EnvelopeId##"),
        },
    });
    assert_eq!(mark(Some("<md/>")), expected);
    assert_eq!(mark(Some("")), expected);
    assert_eq!(mark(Some(r#"{"aftersign":{"account":"a","draft":"b","theirs":1}}"#)), expected);
    let mut with_ours = expected.clone();
    with_ours["MetaData"] = json!(format!(r#"{{"aftersign":{{"account":"hr","draft":"{ID}"}}}}"#));
    assert_eq!(mark(None), with_ours);
    let copied = r#"{"aftersign":{"account":"hr","draft":"of-the-draft-it-was-copied-from"}}"#;
    assert_eq!(mark(Some(copied)), with_ours, "our own mark of another draft is none of the customer's");
    let draft = Draft { id: ID.into(), name: None, metadata: None };
    let marks = DraftMarks { callback_base: base.into(), account: "hr".into() };
    let marked = |status, body: &'static str| {
        let call = ESignAnyWhere.mark_draft(&access(&ESignAnyWhere), &draft, &marks).unwrap();
        play(call, [answer(status, body)]).0
    };
    assert!(marked(200, "").is_ok() && marked(204, "").is_ok() && marked(200, "{}").is_ok());
    for strange in [(200, "<html>"), (302, ""), (404, MISSING), (401, ""), (500, "")] {
        assert!(marked(strange.0, strange.1).is_err(), "{strange:?}");
    }
}

#[test]
fn the_drafts_id_in_a_callback_changes_neither_its_kind_nor_its_key() {
    for (channel, query, kind) in [
        ("envelope", format!("envelopeId={ENVELOPE}&action=envelopeFinished"), NotificationKind::Finished),
        ("envelope", format!("envelopeId={ENVELOPE}&action="), NotificationKind::Finished),
        (
            "status",
            format!("envelopeId={ENVELOPE}&action=workstepFinished"),
            NotificationKind::SignerFinished,
        ),
        ("status", format!("envelopeId={ENVELOPE}&action=fromTheFuture"), NotificationKind::Unknown),
        ("workstep", format!("envelopeId={ENVELOPE}&eventType=CalledPage"), NotificationKind::Informed),
        ("draft", format!("draftId={ID}&envelopeId={ENVELOPE}"), NotificationKind::Sent),
    ] {
        let marked = interpret(channel, &format!("draft={ID}&{query}"));
        assert_eq!(marked.key, interpret(channel, &query).key, "{channel} {query}");
        let news = understood(marked.meaning);
        assert_eq!((news[0].kind, news[0].draft.as_deref()), (kind, Some(ID)), "{channel} {query}");
        let last = understood(interpret(channel, &format!("{query}&draft={ID}")).meaning);
        assert_eq!(last, news, "whatever the order");
    }
    assert!(
        understood(interpret("status", &format!("envelopeId={ENVELOPE}&action=x")).meaning)[0]
            .draft
            .is_none()
    );
    for channel in ["envelope", "status"] {
        for cut in ["envelopeId=", "envelopeId=%23%23EnvelopeId%23%23&action=envelopeFinished"] {
            let meaning = interpret(channel, &format!("draft={ID}&{cut}")).meaning;
            assert!(matches!(meaning, Meaning::Quarantined(_)), "{channel} {cut}: {meaning:?}");
        }
    }
    let unreplaced =
        interpret("draft", &format!("draft={ID}&draftId=%23%23DraftId%23%23&envelopeId={ENVELOPE}"));
    assert_eq!(understood(unreplaced.meaning)[0].draft.as_deref(), Some(ID));
}

#[test]
fn a_draft_becomes_one_envelope_or_all_of_a_bulk() {
    let send = |status, body: &'static str| {
        let call = ESignAnyWhere.send_draft(&access(&ESignAnyWhere), ID).unwrap();
        assert_eq!(call.request.body().as_ref(), format!(r#"{{"DraftId":"{ID}"}}"#).as_bytes());
        let (sent, asked) = play(call, [answer(status, body)]);
        assert_eq!(asked, ["POST /api/v6/draft/send"], "never a second time by itself");
        sent
    };
    assert_eq!(send(200, include_str!("fixtures/draft_sent.json")).unwrap(), [EnvelopeId::new(ENVELOPE)]);
    let children = ["22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"];
    assert_eq!(send(200, BULK).unwrap(), children.map(EnvelopeId::new));
    let half = BULK.replace("\"22222222-0000-4000-8000-000000000002\"", "null").leak();
    for unclear in
        ["", "{}", r#"{"Envelope":null,"EnvelopeBulk":null}"#, r#"{"Envelope":{"EnvelopeId":"7"}}"#, half]
    {
        let error = send(200, unclear).unwrap_err();
        assert_eq!(
            (error.kind(), error.remedy()),
            (ErrorKind::Unintelligible, Remedy::Retry(None)),
            "{unclear}"
        );
    }
    for (status, id, kind) in [
        (400, "ERR0012", ErrorKind::Rejected),
        (403, "ERR0014", ErrorKind::Forbidden),
        (404, "ERR0250", ErrorKind::NotFound),
        (400, "ERR0013", ErrorKind::NotReady),
        (500, "ERR0001", ErrorKind::Unavailable),
    ] {
        let body = format!(r#"{{"ErrorId":"{id}","Message":"{id} - why"}}"#).leak();
        assert_eq!(send(status, body).unwrap_err().kind(), kind, "{id}");
    }
    assert!(
        send(400, r#"{"ErrorId":"ERR0012","Message":"no signer"}"#)
            .unwrap_err()
            .to_string()
            .contains("no signer")
    );
}

#[test]
fn a_lost_sending_is_found_by_the_drafts_id_alone() {
    let by_metadata =
        json!({ "Id": OTHER, "Status": "Active", "MetaData": format!("{{\"draft\":\"{ID}\"}}") });
    let by_url = json!({ "Id": ENVELOPE, "Status": "Active" });
    let marked = json!({ "CallbackConfiguration": { "CallbackUrl": format!("https://h/x?draft={}", ID.to_uppercase()) } });
    let marked = marked.to_string();
    let (trace_of, asked) =
        trace(&[(404, MISSING), (200, &found(&[by_metadata.clone(), by_url.clone()])), (200, &marked)]);
    assert_eq!(trace_of.unwrap(), DraftTrace::Sent(vec![EnvelopeId::new(OTHER), EnvelopeId::new(ENVELOPE)]));
    assert_eq!(
        asked[1..],
        ["POST /api/v6/envelope/find".to_owned(), format!("GET /api/v6/envelope/{ENVELOPE}/configuration")]
    );
    assert_eq!(trace(&[(404, MISSING), (200, &found(&[]))]).0.unwrap(), DraftTrace::Gone);
    for hidden in [(403, ""), (404, ERR0007)] {
        assert_eq!(
            trace(&[(404, MISSING), (200, &found(std::slice::from_ref(&by_url))), hidden]).0.unwrap(),
            DraftTrace::Gone
        );
    }
    for strange in [(200, "<html>"), (500, ""), (401, "")] {
        assert!(
            trace(&[(404, MISSING), (200, &found(std::slice::from_ref(&by_url))), strange]).0.is_err(),
            "{strange:?}"
        );
        assert!(trace(&[(404, MISSING), strange]).0.is_err() && trace(&[strange]).0.is_err());
    }
}

/// An id of an envelope by its number.
fn numbered(n: usize) -> String {
    format!("22222222-0000-4000-8000-{n:012}")
}

/// The rows of that many envelopes, which bear the customer's own metadata.
fn crowd(count: usize, parent: Option<&str>) -> Vec<Value> {
    let row = |n| json!({ "Id": numbered(n), "MetaData": "<md>theirs</md>", "EnvelopeBulkParentId": parent });
    (0..count).map(row).collect()
}

/// A search in these rows, where the configurations of those that `marked` knows bear the draft's id and those that `hidden`
/// knows are refused. With the number of configurations that were asked for.
fn search(
    rows: &[Value],
    marked: impl Fn(&str) -> bool,
    hidden: impl Fn(&str) -> bool,
) -> (Result<DraftTrace, Error>, usize) {
    let mut call = ESignAnyWhere.trace_draft(&access(&ESignAnyWhere), ID, now()).unwrap();
    let mut asked = 0;
    loop {
        let (_, request, read) = call.into_parts();
        let answer = match request.uri().path() {
            path if path.ends_with("/envelope/find") => answer(200, found(rows)),
            path if path.contains("/draft/") => answer(404, MISSING),
            path => {
                asked += 1;
                let id = path.split('/').nth(4).unwrap();
                let draft = if marked(id) { ID } else { "none" };
                let url = format!("https://h/x?draft={draft}");
                let configuration = json!({ "CallbackConfiguration": { "CallbackUrl": url } });
                if hidden(id) { answer(404, ERR0007) } else { answer(200, configuration.to_string()) }
            }
        };
        match read(answer, now()) {
            Ok(Next::Then(next)) => call = next,
            Ok(Next::Done(trace)) => return (Ok(trace), asked),
            Err(error) => return (Err(error), asked),
        }
    }
}

#[test]
fn one_child_tells_for_all_of_a_bulk() {
    let parent = "{33333333-0000-4000-8000-00000000000A}";
    let bulk = crowd(60, Some(parent));
    let all = DraftTrace::Sent((0..60).map(|n| EnvelopeId::new(numbered(n))).collect());
    let (trace, asked) = search(&bulk, |_| true, |_| false);
    assert_eq!((trace.unwrap(), asked), (all.clone(), 1));
    let (trace, asked) = search(&bulk, |_| false, |_| false);
    assert_eq!((trace.unwrap(), asked), (DraftTrace::Gone, 1), "another draft's");
    let first_two = |id: &str| id == numbered(0) || id == numbered(1);
    let (trace, asked) = search(&bulk, |_| true, first_two);
    assert_eq!(
        (trace.unwrap(), asked),
        (all.clone(), 3),
        "a child that was deleted does not hide the others"
    );
    let (trace, asked) = search(&bulk, |_| true, |_| true);
    assert_eq!(
        (trace.unwrap(), asked),
        (DraftTrace::Gone, 3),
        "what is hidden from us is not asked for on and on"
    );
    let mut told = bulk.clone();
    told[7]["MetaData"] = json!(format!("<md>{ID}</md>"));
    let (trace, asked) = search(&told, |_| false, |_| false);
    assert_eq!((trace.unwrap(), asked), (all, 0), "a row's metadata may tell");
    let mut beside = bulk;
    beside.push(json!({ "Id": ENVELOPE, "EnvelopeBulkParentId": null }));
    let (trace, asked) = search(&beside, |id| id == ENVELOPE, |_| false);
    assert_eq!((trace.unwrap(), asked), (DraftTrace::Sent(vec![EnvelopeId::new(ENVELOPE)]), 2));
}

#[test]
fn a_busy_hour_is_searched_to_its_end_and_one_beyond_all_measure_is_tried_again() {
    for (count, wanted) in [(60, 0), (60, 59), (400, 0), (400, 399)] {
        let (trace, asked) = search(&crowd(count, None), |id| id == numbered(wanted), |_| false);
        let sent = DraftTrace::Sent(vec![EnvelopeId::new(numbered(wanted))]);
        assert_eq!((trace.unwrap(), asked), (sent, count), "{count} {wanted}");
    }
    let (trace, asked) = search(&crowd(401, None), |_| true, |_| false);
    let error = trace.unwrap_err();
    assert_eq!((error.kind(), error.remedy(), asked), (ErrorKind::NotReady, Remedy::Retry(None), 0));
    assert!(error.to_string().contains("400") && error.to_string().contains("401"), "{error}");
    assert!(!error.to_string().contains("  "), "{error}");
    let pairs: Vec<Value> = (0..800)
        .map(|n| json!({ "Id": numbered(n), "EnvelopeBulkParentId": numbered(10_000 + n / 2) }))
        .collect();
    let (trace, asked) = search(&pairs, |_| false, |_| true);
    assert_eq!((trace.unwrap_err().kind(), asked), (ErrorKind::NotReady, 400), "also on the way");
}

#[test]
fn what_was_sent_is_looked_for_around_the_time_of_asking() {
    let call = ESignAnyWhere.trace_draft(&access(&ESignAnyWhere), ID, now()).unwrap();
    let (_, _, read) = call.into_parts();
    let Ok(Next::Then(find)) = read(answer(404, MISSING), now()) else { panic!() };
    let body: Value = serde_json::from_slice(find.request.body()).unwrap();
    assert_eq!(body, json!({ "StartDate": "2026-11-20T09:50:00Z", "EndDate": "2026-11-20T11:00:00Z" }));
}

#[test]
fn browsers_go_back_to_the_tenants_start_page_or_where_the_option_says() {
    let mut own = access(&ESignAnyWhere);
    own.base_url = "https://h.example/esaw/api/v6".into();
    assert_eq!(ESignAnyWhere.inbox_url(&own).as_deref(), Some("https://h.example/esaw/"));
    for (option, expected) in [
        ("https://h.example/Documents?tab=inbox", "https://h.example/Documents?tab=inbox"),
        ("javascript:alert(1)", "https://h.example/esaw/"),
        ("  ", "https://h.example/esaw/"),
    ] {
        own.options.insert("inbox_url".into(), option.into());
        assert_eq!(ESignAnyWhere.inbox_url(&own).as_deref(), Some(expected), "{option}");
    }
    own.base_url = "no url".into();
    assert_eq!(ESignAnyWhere.inbox_url(&own), None);
}
