use aftersign_core::artifact::ArtifactKind;
use aftersign_core::callback::{Interpretation, Meaning, NotificationKind, RepeatMeans};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Disposal, Platform, Window};
use aftersign_core::{ErrorKind, Remedy};
use http::Method;

use super::ESignAnyWhere;
use crate::testing::{
    access, answer, envelope, inbound, keys, line, now, play, proof, recorded, result, understood,
};

const ID: &str = "765b904a-7c64-470f-bf63-0f312d1fc474";
const COMPLETED: &str = include_str!("fixtures/envelope_completed.json");
const CONFIGURATION: &str = include_str!("fixtures/configuration.json");
const FILES: &str = include_str!("fixtures/files.json");
const V5: &str = include_str!("fixtures/envelope_v5.json");
const DELETED: &str = include_str!("fixtures/history_deleted.json");
const PRESENT: &str = r#"{"Events":null,"EnvelopeHasBeenDeleted":false,"EnvelopeDeletionDate":null}"#;
const ERR0007: &str = include_str!("fixtures/error_err0007.json");
const ERR0063: &str = include_str!("fixtures/error_err0063.json");

fn interpret(channel: Option<&str>, query: &str) -> Interpretation {
    ESignAnyWhere.interpret(&inbound(Method::GET, channel, query, ""))
}

fn kind(channel: Option<&str>, query: &str) -> NotificationKind {
    understood(interpret(channel, query).meaning)[0].kind
}

fn reason(channel: Option<&str>, query: &str) -> String {
    match interpret(channel, query).meaning {
        Meaning::Quarantined(reason) => reason,
        Meaning::Understood(news) => panic!("understood: {news:?}"),
    }
}

#[test]
fn a_recorded_call_is_understood_by_get_and_by_post() {
    let request = include_bytes!("fixtures/recorded_workstep_finished.http");
    for method in [Method::GET, Method::POST] {
        let mut inbound = recorded(request);
        inbound.method = method;
        inbound.body = "envelopeId=ignored".into();
        assert_eq!(ESignAnyWhere.authenticate(&inbound, &keys(&[])), Ok(()));
        let meaning = ESignAnyWhere.interpret(&inbound);
        assert_eq!(meaning.envelope, Some(EnvelopeId::new(ID)));
        assert_eq!(meaning.kind.as_deref(), Some("workstepFinished"));
        assert_eq!(understood(meaning.meaning)[0].kind, NotificationKind::SignerFinished);
    }
    let reply = ESignAnyWhere.acknowledge(&recorded(request));
    assert_eq!((reply.status.as_u16(), reply.content_type, &reply.body[..]), (200, "text/plain", &b"OK"[..]));
}

#[test]
fn every_action_means_what_the_facts_say_in_any_case() {
    use NotificationKind as Kind;
    for (action, expected) in [
        ("envelopeFinished", Kind::Finished),
        ("ENVELOPEFINISHED", Kind::Finished),
        ("workstepFinished", Kind::SignerFinished),
        ("workstepRejected", Kind::Declined),
        ("workstepDelegated", Kind::Delegated),
        ("workstepOpened", Kind::Opened),
        ("sendSignNotification", Kind::Sent),
        ("envelopeExpired", Kind::Expired),
        ("evnelopeExipired", Kind::Expired),
        ("workstepDelegatedSenderActionRequired", Kind::SenderNeeded),
        ("fromTheFuture", Kind::Unknown),
    ] {
        for channel in [Some("envelope"), Some("status"), Some("workstep"), None] {
            assert_eq!(kind(channel, &format!("envelopeId={ID}&action={action}")), expected, "{action}");
        }
    }
    for (event, expected) in [
        ("WorkstepFinished", Kind::SignerFinished),
        ("WorkstepRejected", Kind::Declined),
        ("SignWorkstepDocument", Kind::Informed),
        ("PageViewChanged", Kind::Informed),
        ("FromTheFuture", Kind::Unknown),
    ] {
        for channel in [Some("workstep"), Some("envelope"), None] {
            assert_eq!(kind(channel, &format!("envelopeId={ID}&eventType={event}")), expected, "{event}");
        }
    }
}

#[test]
fn an_absent_action_is_the_envelopes_end_on_its_own_channel_only() {
    for query in [
        format!("envelopeId={ID}"),
        format!("envelopeId={ID}&action="),
        format!("envelopeId={ID}&action=%23%23Action%23%23"),
    ] {
        assert_eq!(kind(Some("envelope"), &query), NotificationKind::Finished);
        let key = interpret(Some("envelope"), &query).key;
        assert_eq!(key, interpret(None, &format!("envelopeId={ID}&action=envelopeFinished")).key);
    }
    let one_for_all =
        |action: &str, event: &str| format!("envelopeId={ID}&action={action}&eventType={event}");
    for channel in [Some("envelope"), Some("status"), Some("workstep"), None] {
        let event = one_for_all("%23%23Action%23%23", "CalledPage");
        assert_eq!(kind(channel, &event), NotificationKind::Informed);
        let action = one_for_all("workstepOpened", "%23%23EventType%23%23");
        assert_eq!(kind(channel, &action), NotificationKind::Opened);
    }
    let unnamed = interpret(Some("status"), &format!("envelopeId={ID}"));
    assert_eq!(unnamed.kind, None);
    assert_eq!(understood(unnamed.meaning)[0].kind, NotificationKind::Unknown);
    assert!(reason(Some("status"), &format!("envelopeId={ID}&action=##Action##")).contains("##Action##"));
    assert!(reason(Some("workstep"), &format!("envelopeId={ID}")).contains("no event type"));
}

#[test]
fn ids_are_taken_under_every_usual_name_and_in_every_spelling() {
    for query in [
        format!("envelope={ID}"),
        format!("EnvelopeId={}", ID.to_uppercase()),
        format!("envelopeid=%7B{ID}%7D"),
        format!("uid=1&amp;ENVELOPE_ID={{{ID}}}"),
        format!("envelopeId=&envelope=+{ID}").replace('+', "%20"),
    ] {
        assert_eq!(interpret(Some("envelope"), &query).envelope, Some(EnvelopeId::new(ID)), "{query}");
    }
    for (query, why) in [
        ("", "names no envelope"),
        ("envelopeId=", "names no envelope"),
        ("envelopeId=17", "not an envelope id"),
        ("envelopeId=../../etc/passwd", "not an envelope id"),
        ("envelopeId=765b904a-7c64-470f-bf63-0f312d1fc47g", "not an envelope id"),
        ("envelopeId=##EnvelopeId##&action=x", "placeholder `##EnvelopeId##`"),
        ("envelopeId=%23%23EnvelopeID%23%23", "placeholder"),
        ("workstepId=%23%23WorkstepId%23%23", "placeholder"),
    ] {
        assert!(
            reason(Some("envelope"), query).contains(why),
            "{query}: {}",
            reason(Some("envelope"), query)
        );
    }
}

#[test]
fn keys_name_what_is_announced() {
    let key = |channel, query: &str| interpret(Some(channel), query).key;
    let finished = key("envelope", &format!("envelopeId={ID}&action=envelopeFinished"));
    assert_eq!(
        finished,
        key("status", &format!("x=1&action=envelopefinished&envelope={}", ID.to_uppercase()))
    );
    assert_ne!(finished, key("envelope", &format!("envelopeId={ID}&action=workstepFinished")));
    let expired = key("status", &format!("envelopeId={ID}&action=envelopeExpired"));
    assert_eq!(expired, key("status", &format!("envelopeId={ID}&action=evnelopeExipired")));
    let repeat = |query: &str| interpret(Some("workstep"), query).repeat_means;
    let step = format!("envelopeId={ID}&workstepId=W&eventType=WorkstepFinished&recipientEmail=a%2Bb@x.org");
    let timed = format!("{step}&time=2026-07-02T10:00:00Z&recipientOrder=1");
    assert_eq!(repeat(&timed), RepeatMeans::Nothing);
    assert_eq!(repeat(&step), RepeatMeans::PerhapsNews);
    assert_eq!(
        interpret(Some("status"), &format!("envelopeId={ID}&action=x")).repeat_means,
        RepeatMeans::PerhapsNews
    );
    assert_eq!(key("workstep", &timed), key("workstep", &timed.replace("%2B", "+")));
    for (from, to) in
        [("=W&", "=V&"), ("10:00", "10:01"), ("Order=1", "Order=2"), ("a%2B", "c"), ("Finished", "Opened")]
    {
        assert_ne!(key("workstep", &timed), key("workstep", &timed.replace(from, to)), "{to}");
    }
    let news = understood(interpret(Some("workstep"), &timed).meaning);
    assert_eq!(news[0].signer.as_deref(), Some("a+b@x.org"));
    assert_eq!(news[0].occurred_at.unwrap().to_string(), "2026-07-02T10:00:00Z");
}

#[test]
fn the_draft_callback_is_a_hint() {
    let draft = "11111111-2222-4333-8444-555555555555";
    let noted = interpret(Some("draft"), &format!("draftId={draft}"));
    assert_eq!(noted.envelope, None);
    assert!(understood(noted.meaning).is_empty());
    assert_eq!(kind(Some("draft"), &format!("draftId={draft}&envelopeId={ID}")), NotificationKind::Sent);
    assert!(understood(interpret(None, &format!("draftId={draft}")).meaning).is_empty());
    assert!(reason(Some("draft"), "a=b").contains("neither"));
    assert!(reason(Some("draft"), "draftId=1").contains("GUID"));
    assert!(reason(Some("draft"), "draftId=##DraftId##").contains("placeholder"));
}

#[test]
fn the_urls_to_paste_are_those_of_the_facts() {
    let urls = ESignAnyWhere.callback_urls("https://h/callbacks/a/s");
    let urls: Vec<&str> = urls.iter().map(|url| url.url.as_str()).collect();
    assert_eq!(
        urls[..3],
        [
            "https://h/callbacks/a/s/envelope?envelopeId=##EnvelopeId##&action=##Action##",
            "https://h/callbacks/a/s/status?envelopeId=##EnvelopeId##&action=##Action##",
            "https://h/callbacks/a/s/workstep?envelopeId=##EnvelopeId##&workstepId=##WorkstepId##\
             &eventType=##EventType##&source=##Source##&time=##Time##&recipientEmail=##RecipientEmail##\
             &recipientOrder=##RecipientOrder##",
        ]
    );
    assert!(urls[3].starts_with("https://h/callbacks/a/s/draft?"));
}

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
fn an_envelope_comes_with_its_metadata_and_without_it_if_the_configuration_cannot_be_read() {
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
    for broken in [(404, ERR0007), (400, ERR0063), (403, ""), (200, "<html>"), (200, "{")] {
        assert_eq!(found(&[(200, COMPLETED), broken]).metadata, None);
    }
    for disturbed in [(503, ""), (429, ""), (401, "")] {
        assert!(fetch(&[(200, COMPLETED), disturbed]).0.is_err(), "metadata is not lost to a bad minute");
    }
}

#[test]
fn statuses_are_mapped_and_unknown_ones_are_kept() {
    let with = |word: &str| {
        let body = COMPLETED
            .replace("\"EnvelopeStatus\": \"Completed\"", &format!("\"EnvelopeStatus\": \"{word}\""));
        let envelope = found(&[(200, body.leak()), (404, "")]);
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
    assert!(fetch(&[(404, ERR0007), (404, ERR0007), (500, "")]).0.is_err());
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
    assert_eq!(list(None, &[(200, null), (404, "")]).unwrap_err().remedy(), Remedy::Park);
    let hostile = FILES.replace("11111111-0000-4000-8000-000000000001", "../../authorization/whoami");
    assert_eq!(list(None, &[(200, hostile.leak())]).unwrap_err().remedy(), Remedy::AskPerson);
    let rejected = envelope(ID, EnvelopeStatus::Declined);
    let call = ESignAnyWhere.list_artifacts(&access(&ESignAnyWhere), &rejected);
    let kinds = result(call, [answer(200, null), answer(404, "")]).unwrap();
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
    for gone in [(200, DELETED), (404, ERR0007)] {
        assert_eq!(dispose(completed(), &[(404, ERR0007), gone]).0.unwrap(), Disposal::AlreadyGone);
    }
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
        assert_eq!((identity.name.as_str(), identity.callback_url), ("a@x.org", None));
    }
}
