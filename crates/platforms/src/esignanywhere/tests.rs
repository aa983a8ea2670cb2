use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Disposal, Platform, Window};
use aftersign_core::{ErrorKind, Remedy};

use super::ESignAnyWhere;
use crate::testing::{access, answer, envelope, line, now, play, proof, result};

const ID: &str = "765b904a-7c64-470f-bf63-0f312d1fc474";
const COMPLETED: &str = include_str!("fixtures/envelope_completed.json");
const CONFIGURATION: &str = include_str!("fixtures/configuration.json");
const FILES: &str = include_str!("fixtures/files.json");
const V5: &str = include_str!("fixtures/envelope_v5.json");
const DELETED: &str = include_str!("fixtures/history_deleted.json");
const PRESENT: &str = r#"{"Events":null,"EnvelopeHasBeenDeleted":false,"EnvelopeDeletionDate":null}"#;
const ERR0007: &str = include_str!("fixtures/error_err0007.json");
const ERR0063: &str = include_str!("fixtures/error_err0063.json");

/// Answers that are not the API's own word on a configuration.
const STRANGE: [(u16, &str); 11] = [
    (503, ""),
    (429, ""),
    (401, ""),
    (200, "<html>"),
    (200, "{"),
    (200, "[]"),
    (200, ""),
    (302, ""),
    (302, "<html>"),
    (403, "<html>"),
    (404, "<html>"),
];

fn fetch(answers: &[(u16, &'static str)]) -> (Result<Lookup, aftersign_core::Error>, Vec<String>) {
    let id = EnvelopeId::new(format!("{{{}}}", ID.to_uppercase()));
    let call = ESignAnyWhere.fetch_envelope(&access(&ESignAnyWhere), &id).unwrap();
    play(call, answers.iter().map(|(status, body)| answer(*status, *body)))
}

fn found(answers: &[(u16, &'static str)]) -> Envelope {
    match fetch(answers).0.unwrap() {
        Lookup::Found(envelope) => *envelope,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_envelope_comes_without_its_metadata_only_if_the_platform_itself_refuses_it() {
    let (read, asked) = fetch(&[(200, COMPLETED), (200, CONFIGURATION)]);
    let Lookup::Found(envelope) = read.unwrap() else { panic!("not found") };
    let expected = [format!("GET /api/v6/envelope/{ID}"), format!("GET /api/v6/envelope/{ID}/configuration")];
    assert_eq!(asked, expected);
    assert_eq!((envelope.status, envelope.id.as_str()), (EnvelopeStatus::Completed, ID));
    assert_eq!(envelope.sender.as_deref(), Some("sender@example.com"));
    assert_eq!(envelope.metadata.as_deref(), Some("<md><client>42</client>"));
    assert_eq!(envelope.completed_at.unwrap().to_string(), "2026-07-02T12:30:00Z");
    let signers: Vec<_> = envelope.signers.iter().filter_map(|signer| signer.name.as_deref()).collect();
    assert_eq!(signers, ["Anna Signer", "Ben"]);
    assert_eq!(envelope.signers[0].id.as_deref(), Some("a1"));
    assert_eq!(envelope.expires_at.unwrap().to_string(), "2026-07-30T10:00:00Z", "28 days after the sending");
    let dated =
        CONFIGURATION.replace("\"ExpirationDate\": null", "\"ExpirationDate\": \"2026-08-01T00:00:00Z\"");
    let dated = found(&[(200, COMPLETED), (200, dated.leak())]);
    assert_eq!(dated.expires_at.unwrap().to_string(), "2026-08-01T00:00:00Z");
    for refusal in [(404, ERR0007), (400, ERR0063), (500, ERR0063), (403, "")] {
        assert_eq!(found(&[(200, COMPLETED), refusal]).metadata, None);
    }
    for disturbed in STRANGE {
        let error =
            fetch(&[(200, COMPLETED), disturbed]).0.expect_err("metadata is not lost to a bad minute");
        assert_ne!(error.remedy(), Remedy::AskPerson, "{disturbed:?}");
        assert!(list(None, &[(200, FILES), disturbed]).is_err(), "{disturbed:?}");
    }
}

#[test]
fn statuses_are_mapped_and_unknown_ones_are_kept() {
    let with = |word: &str| {
        let body = COMPLETED
            .replace("\"EnvelopeStatus\": \"Completed\"", &format!("\"EnvelopeStatus\": \"{word}\""));
        let envelope = found(&[(200, body.leak()), (404, ERR0007)]);
        assert_eq!(envelope.status_at_platform, word);
        (envelope.status, envelope.completed_at.is_some())
    };
    assert_eq!(with("Active"), (EnvelopeStatus::InProgress, false));
    assert_eq!(with("Rejected"), (EnvelopeStatus::Declined, false));
    assert_eq!(with("Canceled"), (EnvelopeStatus::Cancelled, false));
    assert_eq!(with("Expired"), (EnvelopeStatus::Expired, false));
    assert_eq!(with("FromTheFuture"), (EnvelopeStatus::Unknown, false));
    assert!(!EnvelopeStatus::Unknown.is_final());
}

#[test]
fn gone_unknown_and_bulk_parents_are_told_apart() {
    let (read, asked) = fetch(&[(404, ERR0007), (200, DELETED)]);
    assert_eq!(read.unwrap(), Lookup::Deleted { at: "2026-07-03T08:00:00Z".parse().ok() });
    assert_eq!(asked[1], format!("GET /api/v6/envelope/{ID}/history"));
    let (read, asked) = fetch(&[(404, ERR0007), (404, ERR0007), (404, ERR0007)]);
    assert_eq!(
        (read.unwrap(), asked[2].as_str()),
        (Lookup::NotFound, &*format!("GET /api/v6/envelopebulk/{ID}"))
    );
    assert_eq!(fetch(&[(404, ""), (404, ""), (404, "")]).0.unwrap(), Lookup::NotFound);
    let bulk =
        fetch(&[(404, ERR0007), (404, ERR0007), (200, r#"{"BulkStatus":"Active","Children":null}"#)]).0;
    assert_eq!(bulk.unwrap_err().remedy(), Remedy::Abandon);
    assert_eq!(fetch(&[(404, ERR0007), (200, PRESENT)]).0.unwrap_err().remedy(), Remedy::Retry(None));
    assert_eq!(fetch(&[(404, "<html>")]).0.unwrap_err().kind(), ErrorKind::Unintelligible);
    for strange in [(500, ""), (200, "<html>"), (302, "")] {
        assert!(fetch(&[(404, ERR0007), (404, ERR0007), strange]).0.is_err(), "{strange:?}");
    }
    let other = COMPLETED.replace("765B904A", "865B904A");
    assert_eq!(fetch(&[(200, other.leak())]).0.unwrap_err().kind(), ErrorKind::Unintelligible);
}

#[test]
fn envelopes_of_version_5_are_read_by_version_5() {
    for status in [400, 409, 500] {
        let (read, asked) = fetch(&[(status, ERR0063), (200, V5)]);
        let Lookup::Found(envelope) = read.unwrap() else { panic!("not found") };
        assert_eq!(asked[1], format!("GET /api/v5/envelope/{ID}"));
        assert_eq!((envelope.status, envelope.route.as_deref()), (EnvelopeStatus::Completed, Some("v5")));
        assert_eq!(envelope.metadata.as_deref(), Some("<md/>"));
        assert_eq!(envelope.expires_at.unwrap().to_string(), "2026-07-30T10:00:00Z");
        assert_eq!(envelope.signers[0].id.as_deref(), Some("s1"));
        assert_eq!((envelope.signers.len(), envelope.sender.as_deref()), (1, None));
        assert_eq!(envelope.completed_at.unwrap().to_string(), "2026-07-02T11:00:00Z");
    }
    assert_eq!(
        fetch(&[(400, ERR0063), (404, ""), (200, DELETED)]).0.unwrap(),
        Lookup::Deleted { at: "2026-07-03T08:00:00Z".parse().ok() }
    );
}

fn list(route: Option<&str>, answers: &[(u16, &'static str)]) -> Result<Vec<String>, aftersign_core::Error> {
    let mut known = envelope(ID, EnvelopeStatus::Completed);
    known.route = route.map(str::to_owned);
    let call = ESignAnyWhere.list_artifacts(&access(&ESignAnyWhere), &known);
    let list = result(call, answers.iter().map(|(status, body)| answer(*status, *body)))?;
    Ok(list
        .iter()
        .map(|item| {
            let request = ESignAnyWhere.download(&access(&ESignAnyWhere), &known, item).unwrap();
            format!("{} {} <- {}", item.kind.as_str(), item.file_name(&[]), line(&request))
        })
        .collect())
}

#[test]
fn all_files_and_records_of_an_envelope_are_listed() {
    let file = |n: u32| format!("GET /api/v6/file/11111111-0000-4000-8000-00000000000{n}");
    let expected = [
        format!("document contract.pdf <- {}", file(1)),
        format!("audit_trail contract audit trail.pdf <- {}", file(2)),
        format!("attachment _id card.jpg <- {}", file(3)),
        format!("document annex.p7m <- {}", file(4)),
        format!("audit_trail audit-trail.pdf <- {}", file(5)),
        format!("audit_trail audit-trail.xml <- {}", file(6)),
        format!("legal_evidence CA22D.pdf <- {}", file(7)),
        format!("platform_record envelope.json <- GET /api/v6/envelope/{ID}"),
        format!("platform_record configuration.json <- GET /api/v6/envelope/{ID}/configuration"),
    ];
    assert_eq!(list(None, &[(200, FILES), (200, CONFIGURATION)]).unwrap(), expected);
    assert_eq!(list(None, &[(200, FILES), (404, ERR0007)]).unwrap(), expected[..8]);
    assert!(list(None, &[(200, FILES), (503, "")]).is_err());
    let null = include_str!("fixtures/files_null.json");
    assert_eq!(list(None, &[(200, null), (404, ERR0007)]).unwrap_err().remedy(), Remedy::Park);
    let hostile = FILES.replace("11111111-0000-4000-8000-000000000001", "../../authorization/whoami");
    assert_eq!(list(None, &[(200, hostile.leak())]).unwrap_err().remedy(), Remedy::AskPerson);
    let rejected = envelope(ID, EnvelopeStatus::Declined);
    let call = ESignAnyWhere.list_artifacts(&access(&ESignAnyWhere), &rejected);
    let kinds = result(call, [answer(200, null), answer(404, ERR0007)]).unwrap();
    assert_eq!(kinds.iter().map(|item| item.kind).collect::<Vec<_>>(), [ArtifactKind::PlatformRecord]);
    let open = envelope(ID, EnvelopeStatus::InProgress);
    let refused = ESignAnyWhere.list_artifacts(&access(&ESignAnyWhere), &open).unwrap_err();
    assert_eq!(refused.remedy(), Remedy::Park);
}

#[test]
fn files_of_version_5_are_tried_by_version_6_first() {
    let by_v6 = list(Some("v5"), &[(200, FILES)]).unwrap();
    assert_eq!(
        by_v6.last().unwrap(),
        &format!("platform_record envelope-v5.json <- GET /api/v5/envelope/{ID}")
    );
    let get = |id: &str| format!("GET /api/v5/envelope/downloadCompletedDocument/{id}");
    let expected = [
        format!("document old.pdf <- {}", get("flow-1")),
        format!("attachment photo <- {}", get("att-1")),
        format!("audit_trail audit-trail.pdf <- {}", get("log-1")),
        format!("audit_trail audit-trail.xml <- {}", get("log-2")),
        format!("legal_evidence DisposableDisclaimer <- {}", get("dis-1")),
        format!("platform_record envelope-v5.json <- GET /api/v5/envelope/{ID}"),
    ];
    for refusal in [(400, ERR0063), (404, ERR0007)] {
        assert_eq!(list(Some("v5"), &[refusal, (200, V5)]).unwrap(), expected);
    }
    assert_eq!(list(None, &[(400, ERR0063), (200, V5)]).unwrap(), expected);
    assert!(list(Some("v5"), &[(503, "")]).is_err());
}

#[test]
fn errors_have_the_remedy_of_the_facts() {
    let body = |id: &str| format!(r#"{{"ErrorId":"{id}","Message":"{id} - m","TraceId":"t-1"}}"#);
    for (status, body, kind, remedy) in [
        (401, String::new(), ErrorKind::AccessRefused, Remedy::RenewAccess),
        (403, String::new(), ErrorKind::Forbidden, Remedy::AskPerson),
        (400, body("ERR0010"), ErrorKind::Forbidden, Remedy::AskPerson),
        (400, body("ERR0014"), ErrorKind::Forbidden, Remedy::AskPerson),
        (400, body("ERR0013"), ErrorKind::NotReady, Remedy::Park),
        (400, body("ERR0011"), ErrorKind::Rejected, Remedy::AskPerson),
        (404, body("ERR0008"), ErrorKind::NotReady, Remedy::Retry(None)),
        (404, String::new(), ErrorKind::NotFound, Remedy::Retry(None)),
        (408, String::new(), ErrorKind::Unavailable, Remedy::Retry(None)),
        (429, String::new(), ErrorKind::RateLimited, Remedy::Retry(None)),
        (500, body("ERR0001"), ErrorKind::Unavailable, Remedy::Retry(None)),
        (502, "<html>".to_owned(), ErrorKind::Unavailable, Remedy::Retry(None)),
        (403, "<html>".to_owned(), ErrorKind::Unintelligible, Remedy::Retry(None)),
    ] {
        let has_trace = body.contains("t-1");
        let error = ESignAnyWhere.refused_download(&answer(status, body.clone()));
        assert_eq!((error.kind(), error.remedy()), (kind, remedy), "{status} {body}");
        assert_eq!(error.to_string().contains("trace_id: t-1"), has_trace);
    }
}

fn dispose(
    known: Envelope,
    answers: &[(u16, &'static str)],
) -> (Result<Disposal, aftersign_core::Error>, Vec<String>) {
    let call = ESignAnyWhere.dispose(&access(&ESignAnyWhere), &proof(known)).unwrap();
    play(call, answers.iter().map(|(status, body)| answer(*status, *body)))
}

#[test]
fn a_deletion_is_asked_for_completed_envelopes_only_and_confirmed_by_the_history() {
    let completed = || envelope(ID, EnvelopeStatus::Completed);
    let (disposal, asked) = dispose(completed(), &[(200, ""), (200, DELETED)]);
    assert_eq!(disposal.unwrap(), Disposal::Removed);
    assert_eq!(
        asked,
        ["POST /api/v6/envelope/delete".to_owned(), format!("GET /api/v6/envelope/{ID}/history")]
    );
    assert_eq!(dispose(completed(), &[(200, ""), (404, ERR0007)]).0.unwrap(), Disposal::Removed);
    assert_eq!(
        dispose(completed(), &[(200, ""), (200, PRESENT)]).0.unwrap_err().remedy(),
        Remedy::Retry(None)
    );
    assert_eq!(dispose(completed(), &[(404, ERR0007), (200, DELETED)]).0.unwrap(), Disposal::AlreadyGone);
    let invisible = dispose(completed(), &[(404, ERR0007), (404, ERR0007)]).0.unwrap();
    assert!(matches!(invisible, Disposal::Kept(reason) if reason.starts_with("not visible")));
    assert!(matches!(dispose(completed(), &[(404, ERR0007), (200, PRESENT)]).0.unwrap(), Disposal::Kept(_)));
    assert!(matches!(dispose(completed(), &[(403, "")]).0.unwrap(), Disposal::Kept(_)));
    assert_eq!(dispose(completed(), &[(401, "")]).0.unwrap_err().remedy(), Remedy::RenewAccess);
    for status in [EnvelopeStatus::Declined, EnvelopeStatus::Cancelled, EnvelopeStatus::Expired] {
        let (disposal, asked) = dispose(envelope(ID, status), &[(200, PRESENT)]);
        assert!(matches!(disposal.unwrap(), Disposal::Kept(_)));
        assert_eq!(asked, [format!("GET /api/v6/envelope/{ID}/history")], "nothing is changed");
    }
    let mut old = completed();
    old.route = Some("v5".into());
    let (disposal, asked) = dispose(old, &[(400, ERR0063), (204, ""), (200, DELETED)]);
    assert_eq!(
        (disposal.unwrap(), asked[1].as_str()),
        (Disposal::Removed, &*format!("DELETE /api/v5/envelope/{ID}"))
    );
}

#[test]
fn nothing_counts_as_gone_without_the_platforms_own_word() {
    let completed = || envelope(ID, EnvelopeStatus::Completed);
    for mute in ["", "{}", r#"{"Message":"no"}"#] {
        for answers in [vec![(404, mute)], vec![(404, ERR0007), (404, mute)], vec![(200, ""), (404, mute)]] {
            let (disposal, asked) = dispose(completed(), &answers);
            assert!(matches!(disposal.unwrap_err().remedy(), Remedy::Retry(_)), "{answers:?}");
            assert_eq!(asked.len(), answers.len());
        }
        let mut old = completed();
        old.route = Some("v5".into());
        assert!(dispose(old, &[(404, mute), (404, mute)]).0.is_err());
        let expired = envelope(ID, EnvelopeStatus::Expired);
        assert!(dispose(expired, &[(404, mute)]).0.is_err());
    }
    let mut old = completed();
    old.route = Some("v5".into());
    let gone = dispose(old, &[(400, ERR0063), (404, ERR0007), (200, DELETED)]).0.unwrap();
    assert_eq!(gone, Disposal::AlreadyGone);
}

#[test]
fn a_deletion_in_the_history_is_read_in_every_spelling_and_absent_is_no() {
    for (flag, deleted) in
        [("true", true), ("\"True\"", true), ("1", true), ("false", false), ("null", false)]
    {
        let history = format!(r#"{{"Events":[],"EnvelopeHasBeenDeleted":{flag}}}"#);
        let read = fetch(&[(404, ERR0007), (200, history.leak())]).0;
        assert_eq!(matches!(read, Ok(Lookup::Deleted { .. })), deleted, "{flag}");
        assert!(deleted || read.unwrap_err().kind() == ErrorKind::NotFound, "{flag}");
    }
    assert_eq!(
        fetch(&[(404, ERR0007), (200, r#"{"Events":[]}"#)]).0.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_sweep_asks_for_each_final_status_week_by_week() {
    let mut window = Window { since: "2026-11-19T10:00:00Z".parse().unwrap(), until: now(), cursor: None };
    let mut asked = Vec::new();
    loop {
        let call = ESignAnyWhere.changed_since(&access(&ESignAnyWhere), &window).unwrap();
        asked.push(String::from_utf8(call.request.body().to_vec()).unwrap());
        let page = play(call, [answer(200, include_str!("fixtures/found.json"))]).0.unwrap();
        assert_eq!((page.items[0].id.as_str(), page.items[0].status), (ID, EnvelopeStatus::Completed));
        let Some(next) = page.next else { break };
        window.cursor = Some(next);
    }
    assert_eq!(asked.len(), 9 * 4);
    assert_eq!(
        asked[0],
        r#"{"StartDate":"2026-09-20T10:00:00Z","EndDate":"2026-09-27T10:00:01Z","Status":"Completed"}"#
    );
    assert!(asked[35].contains(r#""EndDate":"2026-11-20T10:00:01Z","Status":"Expired""#), "{}", asked[35]);
    let call = ESignAnyWhere.changed_since(&access(&ESignAnyWhere), &Window { cursor: None, ..window });
    assert!(result(call, [answer(200, r#"{"Envelopes":null}"#)]).unwrap().items.is_empty());
}

#[test]
fn an_odd_row_is_skipped_and_an_answer_without_the_list_is_none() {
    let find = |body: &str| {
        let window = Window { since: now(), until: now(), cursor: None };
        let call = ESignAnyWhere.changed_since(&access(&ESignAnyWhere), &window);
        result(call, [answer(200, body.to_owned())])
    };
    let rows = format!(r#"[null,5,{{"Id":null}},{{}},{{"Id":"x"}},{{"Id":"{ID}","Status":7}}]"#);
    let page = find(&format!(r#"{{"Envelopes":{rows}}}"#)).unwrap();
    assert_eq!(page.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), [ID]);
    assert!(page.next.is_some(), "the sweep goes on");
    for foreign in ["{}", r#"{"Envelopes":{}}"#, r#"{"status":"ok"}"#, "[]"] {
        assert_eq!(find(foreign).unwrap_err().kind(), ErrorKind::Unintelligible, "{foreign}");
    }
}

#[test]
fn the_base_url_may_name_the_host_or_the_api() {
    for base in [
        "https://h.example",
        "https://h.example/",
        "https://h.example/Api/v6",
        "https://h.example/api/v6.0/",
        "https://h.example/API",
    ] {
        let mut access = access(&ESignAnyWhere);
        access.base_url = base.into();
        let call = ESignAnyWhere.whoami(&access).unwrap();
        assert_eq!(call.request.uri(), "https://h.example/api/v6/authorization/whoami");
        assert_eq!(call.request.headers()["apitoken"], "s3cret");
        let identity = play(call, [answer(200, r#"{"UserId":"u","Email":"a@x.org","Roles":[]}"#)]).0.unwrap();
        assert_eq!(identity.name, "a@x.org");
    }
}

#[test]
fn archived_records_keep_every_byte_but_callback_urls() {
    let record = |kind| ArtifactRef {
        id: "record:configuration".into(),
        kind,
        name: "configuration.json".into(),
        content: Content::Json,
    };
    let kept = |text: &str| {
        let bytes = ESignAnyWhere.redacted(&record(ArtifactKind::PlatformRecord), text.as_bytes())?;
        Some(String::from_utf8(bytes).unwrap())
    };
    for nothing in
        [COMPLETED, CONFIGURATION, FILES, V5, "", "x", "[]", "null", "{\"CallbackUrl\":\"https://h"]
    {
        assert_eq!(kept(nothing), None, "{nothing}");
    }
    for (text, expected) in [
        (
            "\u{FEFF}{ \"callbackURL\" : \"https:\\/\\/h\" ,\t\"MetaData\": \"{\\\"Url\\\":1}\" }\r\n",
            "\u{FEFF}{ \"callbackURL\" : \"redacted\" ,\t\"MetaData\": \"{\\\"Url\\\":1}\" }\r\n",
        ),
        (
            r#"{"A":[{"StatusUpdateCallbackUrl":["x","y"]},{"AfterSendCallbackUrl":{"a":"x","n":1e400}}]}"#,
            r#"{"A":[{"StatusUpdateCallbackUrl":["redacted","redacted"]},{"AfterSendCallbackUrl":{"a":"redacted","n":"redacted"}}]}"#,
        ),
        (
            r#"{"ActivityActionCallbackConfiguration":{"Url":"x","ActionCallbackSelection":{"CalledPage":true,"Url":"y"}},"Url":"z"}"#,
            r#"{"ActivityActionCallbackConfiguration":{"Url":"redacted","ActionCallbackSelection":{"CalledPage":true,"Url":"y"}},"Url":"z"}"#,
        ),
        (
            r#"{"BasicOptions":{"WorkstepEventCallback":{"WhiteList":["a"],"Url":"x","Blacklist":null}},"\u0043allbackUrl":"x"}"#,
            r#"{"BasicOptions":{"WorkstepEventCallback":{"WhiteList":["a"],"Url":"redacted","Blacklist":null}},"\u0043allbackUrl":"redacted"}"#,
        ),
        (r#"{"WorkstepEventCallback":"x","b":"y"}"#, r#"{"WorkstepEventCallback":"redacted","b":"y"}"#),
    ] {
        assert_eq!(kept(text).as_deref(), Some(expected));
        assert_eq!(kept(expected).as_deref(), Some(expected), "once more changes nothing");
        assert_eq!(ESignAnyWhere.redacted(&record(ArtifactKind::Attachment), text.as_bytes()), None);
    }
}
