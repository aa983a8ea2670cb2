use aftersign_core::callback::{NotificationKind, RepeatMeans};
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::error::ErrorKind;
use aftersign_core::platform::{ACCESS_TOKEN, Access, Credential, Platform, Retention, Token};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, Remedy};
use http::{Method, Response};
use proptest::prelude::{any, prop, proptest};
use serde_json::{Value, json};

use super::OneSpan;
use crate::testing::{access, answer, inbound, line, now, play, recorded, result, understood};

const KEY: &str = "test-callback-key";
const ID: &str = "5n4obeO8jYoPp126Cm-Y3fxdfbo=";
const CAPTURED: &[u8] = include_bytes!("fixtures/delivery_complete.http");
const REGISTERED: &str = include_str!("fixtures/callback_registration.json");
const NO_RIGHT: &str = include_str!("fixtures/error_403.json");
const REFUSED: &str = r#"{"code":400,"messageKey":"error.badRequest","message":"unknown event"}"#;
const OAUTH_TOKEN: &str = r#"{"access_token":"t0ken","token_type":"bearer","expires_in":120}"#;

/// An access with the fields of a client.
fn client(flow: &str) -> Access {
    let fields = [("client_id", "id"), ("client_secret", "s3cret"), ("flow", flow)];
    let fields = fields.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    Access { credential: Credential::new(fields), ..access(&OneSpan) }
}

fn interpret(body: &Value) -> aftersign_core::callback::Interpretation {
    OneSpan.interpret(&inbound(Method::POST, None, "", body.to_string()))
}

fn token(access: &Access, answers: &[(u16, &'static str)]) -> (Result<Token, Error>, Vec<String>) {
    let call = OneSpan.token(access).unwrap().unwrap();
    play(call, answers.iter().map(|(status, body)| answer(*status, *body)))
}

#[test]
fn a_key_needs_no_token_and_a_client_is_useless_without_one() {
    assert!(OneSpan.token(&access(&OneSpan)).is_none());
    let error = OneSpan.token(&client("password")).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson));
    assert!(error.to_string().contains("`client-app` or `oauth2`"), "{error}");
    let unasked = OneSpan.whoami(&client("oauth2")).unwrap_err();
    assert_eq!((unasked.kind(), unasked.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson));
    let (fetched, _) = token(&client("oauth2"), &[(200, OAUTH_TOKEN)]);
    let call = OneSpan.whoami(&client("oauth2").with_token(&fetched.unwrap())).unwrap();
    assert_eq!(call.request.headers()["authorization"], "Bearer t0ken");
}

#[test]
fn client_app_tokens_end_in_milliseconds() {
    for body in [
        r#"{"accessToken":"t0ken","expiresAt":1795168800000}"#,
        r#"{"accessToken":"t0ken","expiresAt":"1795168800000"}"#,
        r#"{"accessToken":"t0ken","expiresAt":1795168800}"#,
    ] {
        let (token, asked) = token(&client("client-app"), &[(200, body)]);
        let token = token.unwrap();
        assert_eq!(asked, ["POST /apitoken/clientApp/accessToken"]);
        assert_eq!((token.renew_at.as_second(), token.secret.expose()), (1_795_168_740, "t0ken"));
        assert!(!format!("{token:?}").contains("t0ken"));
    }
    for bad in
        ["\"t0ken\"", r#"{"accessToken":["t0ken"]}"#, r#"{"accessToken":" ","expiresAt":1}"#, "<html>", ""]
    {
        assert!(!token(&client("client-app"), &[(200, bad)]).0.unwrap_err().chain().contains("t0ken"));
    }
    assert_eq!(token(&client("client-app"), &[(401, "")]).0.unwrap_err().remedy(), Remedy::RenewAccess);
}

#[test]
fn a_client_app_asks_for_a_sender_by_e_mail() {
    let body = |access: &Access| -> Value {
        let call = OneSpan.token(access).unwrap().unwrap();
        assert!(!format!("{call:?}").contains("s3cret"));
        serde_json::from_slice(call.request.body()).unwrap()
    };
    let owner = json!({ "clientId": "id", "secret": "s3cret", "type": "OWNER" });
    assert_eq!(body(&client("client-app")), owner);
    let sender = json!({ "clientId": "id", "secret": "s3cret", "type": "SENDER", "email": "a@x.org" });
    assert_eq!(body(&client("client-app").for_sender("a@x.org")), sender);
}

#[test]
fn oauth_tokens_are_asked_with_a_form_and_end_in_seconds() {
    let call = OneSpan.token(&client("oauth2")).unwrap().unwrap();
    assert_eq!(line(&call.request), "POST /oauth2/token");
    assert_eq!(call.request.headers()["authorization"], "Basic aWQ6czNjcmV0");
    assert_eq!(call.request.body().as_ref(), b"grant_type=client_credentials");
    let ask = |status, body: &'static str| token(&client("oauth2"), &[(status, body)]).0;
    assert_eq!((ask(200, OAUTH_TOKEN).unwrap().renew_at - now()).get_seconds(), 110);
    let token = ask(200, r#"{"access_token":"t"}"#).unwrap();
    assert_eq!((token.renew_at - now()).get_seconds(), 289);
    assert!(ask(200, r#"{"access_token":"t","token_type":"mac"}"#).is_err());
    let refused = ask(400, r#"{"error":"invalid_client","error_description":"no"}"#).unwrap_err();
    assert_eq!(refused.remedy(), Remedy::RenewAccess);
    let mut half = client("oauth2");
    half.credential =
        Credential::new([("client_id".into(), Secret::new("id")), ("flow".into(), Secret::new("oauth2"))]);
    assert!(OneSpan.token(&half).unwrap().is_err());
}

/// The bodies of all requests of a chain.
fn bodies<T>(
    call: aftersign_core::platform::Call<T>,
    answers: impl IntoIterator<Item = Response<bytes::Bytes>>,
) -> Vec<String> {
    let (mut call, mut sent) = (call, Vec::new());
    for answer in answers {
        let (_, request, read) = call.into_parts();
        sent.push(String::from_utf8(request.body().to_vec()).unwrap());
        match read(answer, now()) {
            Ok(aftersign_core::platform::Next::Then(next)) => call = next,
            _ => break,
        }
    }
    sent
}

#[test]
fn oauth_looks_a_senders_id_up_and_takes_the_very_address_only() {
    let access = client("oauth2").for_sender("Anna+1@example.com");
    let near = r#"{"count":2,"results":[{"id":"s0","email":"anna+1@example.com.evil"},{"id":"s/1","email":"ANNA+1@example.com"}]}"#;
    let answers = [(200, OAUTH_TOKEN), (200, near), (200, r#"{"access_token":"of-anna"}"#)];
    let (read, asked) = token(&access, &answers);
    assert_eq!(read.unwrap().secret.expose(), "of-anna");
    let search = "GET /api/account/senders?search=Anna%2B1%40example%2Ecom&from=1&to=100&dir=asc";
    assert_eq!(asked, ["POST /oauth2/token", search, "POST /oauth2/token"]);
    let call = OneSpan.token(&access).unwrap().unwrap();
    let sent = bodies(call, answers.map(|(status, body)| answer(status, body)));
    assert_eq!(sent[2], "grant_type=client_credentials&sender_id=s%2F1");
    let nobody = r#"{"count":1,"results":[{"id":"s0","email":"anna@example.com"}]}"#;
    let error = token(&access, &[(200, OAUTH_TOKEN), (200, nobody)]).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessRefused);
    assert!(error.to_string().contains("no sender of this e-mail address"), "{error}");
    assert!(token(&access, &[(200, OAUTH_TOKEN), (403, NO_RIGHT)]).0.is_err());
    assert!(token(&access, &[(200, OAUTH_TOKEN), (200, "{}")]).0.is_err());
    let no_id = r#"{"results":[{"email":"anna+1@example.com"}]}"#;
    assert!(token(&access, &[(200, OAUTH_TOKEN), (200, no_id)]).0.is_err());
    let more = r#"{"count":2,"results":[{"id":"s0","email":"b@example.com"}]}"#;
    let (read, asked) = token(&access, &[(200, OAUTH_TOKEN), (200, more), (200, near), (200, OAUTH_TOKEN)]);
    assert!(read.is_ok() && asked[2].contains("&from=2&to=101&"), "{asked:?}");
}

#[test]
fn the_lists_of_a_senders_own_token_name_no_owner() {
    let token = token(&client("client-app"), &[(200, r#"{"accessToken":"t","expiresAt":1795168800000}"#)]).0;
    let access = client("client-app").for_sender("a@x.org").with_token(&token.unwrap());
    assert_eq!(access.credential.field(ACCESS_TOKEN), "t");
    let window = aftersign_core::platform::Window { since: now(), until: now(), cursor: None };
    let call = OneSpan.changed_since(&access, &window).unwrap();
    assert!(!line(&call.request).contains("owner"));
}

#[test]
fn senders_are_listed_page_by_page_and_invited_ones_are_none_yet() {
    let ask = |cursor: Option<&str>, body: &'static str| {
        let call = OneSpan.senders(&access(&OneSpan), cursor).unwrap();
        let asked = line(&call.request);
        (asked, play(call, [answer(200, body)]).0)
    };
    let (asked, page) = ask(
        None,
        r#"{"count":5,"results":[{"id":"1","email":"a@x.org","status":"ACTIVE"},{"email":"b@x.org","status":"LOCKED"},
            {"email":"c@x.org","status":"INVITED"},{"id":"4"},7]}"#,
    );
    let page = page.unwrap();
    assert_eq!(asked, "GET /api/account/senders?from=1&to=100&dir=asc");
    assert_eq!((page.items, page.next), (vec!["a@x.org".to_owned(), "b@x.org".to_owned()], None));
    let (_, page) = ask(None, r#"{"count":2,"results":[{"email":"a@x.org"}]}"#);
    assert_eq!(page.unwrap().next.as_deref(), Some("2"));
    let (asked, page) = ask(Some("2"), r#"{"count":2,"results":[{"email":"b@x.org"}]}"#);
    assert!(asked.contains("from=2&to=101") && page.unwrap().next.is_none());
    assert!(ask(None, "{}").1.is_err(), "a list that is not there is not an empty one");
    assert!(ask(Some("100000"), r#"{"count":200000,"results":[{},{}]}"#).1.is_err(), "a list without end");
    for cursor in ["", "0", "-1", "x", "100001"] {
        let error = OneSpan.senders(&access(&OneSpan), Some(cursor)).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Abandon, "{cursor}");
    }
}

#[test]
fn the_base_url_may_name_the_host_or_the_api_and_without_one_the_regions_are_named() {
    for base in ["https://h.example", "https://h.example/", "https://h.example/api/", "https://h.example/API"]
    {
        let mut access = access(&OneSpan);
        access.base_url = base.into();
        let call = OneSpan.whoami(&access).unwrap();
        assert_eq!(call.request.uri(), "https://h.example/api/session");
        assert_eq!(call.request.headers()["accept"], "application/json; esl-api-version=11");
        access.credential = client("client-app").credential;
        let call = OneSpan.token(&access).unwrap().unwrap();
        assert_eq!(call.request.uri(), "https://h.example/apitoken/clientApp/accessToken");
    }
    let mut nowhere = access(&OneSpan);
    nowhere.base_url = String::new();
    let error = OneSpan.whoami(&nowhere).unwrap_err();
    assert!(error.to_string().contains("eu: https://apps.esignlive.eu"), "{error}");
}

#[test]
fn the_registered_callback_is_read_without_its_secrets() {
    let session = include_str!("fixtures/session.json");
    let identity = result(OneSpan.whoami(&access(&OneSpan)), [answer(200, session)]).unwrap();
    assert_eq!(identity.name, "sender@example.com");
    assert_eq!(identity.email.as_deref(), Some("sender@example.com"));
    assert_eq!(identity.id.as_deref(), Some("18EZDL44xgsX"));
    assert_eq!(OneSpan.key_fields(), ["api_key"]);
    let read =
        |status, body: &'static str| result(OneSpan.registration(&access(&OneSpan)), [answer(status, body)]);
    let registered = read(200, REGISTERED).unwrap();
    assert_eq!(registered.url.as_deref(), Some("https://sign.example.com/callbacks/hr/secret"));
    assert_eq!(registered.events, ["PACKAGE_COMPLETE", "PACKAGE_DECLINE"]);
    assert!(!format!("{registered:?}").contains("secret") && !format!("{registered:?}").contains(KEY));
    let nothing = read(200, r#"{"url":null,"events":null}"#).unwrap();
    assert_eq!((nothing.url, nothing.events.len()), (None, 0));
    assert_eq!(read(403, NO_RIGHT).unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn registering_overwrites_leaves_out_what_is_refused_and_reads_back() {
    let register = |key: Option<&str>, answers: &[(u16, &'static str)]| {
        let key = key.map(Secret::new);
        let call = || OneSpan.register(&access(&OneSpan), "https://h/x ", key.as_ref()).unwrap();
        let answers = || answers.iter().map(|(status, body)| answer(*status, *body));
        let sent = bodies(call(), answers());
        let (read, asked) = play(call(), answers());
        (read, asked, sent)
    };
    let events = |sent: &str| -> Vec<String> {
        let sent: Value = serde_json::from_str(sent).unwrap();
        serde_json::from_value(sent["events"].clone()).unwrap()
    };
    let (read, asked, sent) = register(Some(KEY), &[(200, REGISTERED), (200, REGISTERED)]);
    assert_eq!(
        read.unwrap().events,
        ["PACKAGE_COMPLETE", "PACKAGE_DECLINE"],
        "what is kept, not what was sent"
    );
    assert_eq!(asked, ["POST /api/callback", "GET /api/callback"]);
    let body: Value = serde_json::from_str(&sent[0]).unwrap();
    assert_eq!((&body["url"], &body["key"]), (&json!("https://h/x"), &json!(KEY)));
    assert_eq!(events(&sent[0]), [OneSpan.wanted_events(), OneSpan.optional_events()].concat());
    assert!(events(&sent[0]).contains(&"PACKAGE_READY_FOR_COMPLETE".to_owned()), "as it is on the wire");
    let (read, asked, sent) = register(None, &[(400, REFUSED), (400, REFUSED), (200, ""), (200, REGISTERED)]);
    assert!(read.is_ok() && asked.len() == 4 && !sent[0].contains("key"));
    let counts: Vec<usize> = sent[..3].iter().map(|sent| events(sent).len()).collect();
    assert_eq!(counts, [21, 20, 19]);
    assert!(!sent[1].contains("PACKAGE_OPT_OUT") && sent[1].contains("DOCUMENT_VIEWED"));
    assert!(!sent[2].contains("PACKAGE_OPT_OUT") && !sent[2].contains("DOCUMENT_VIEWED"));
    let (read, asked, _) = register(None, &[(400, REFUSED), (400, REFUSED), (400, REFUSED)]);
    assert_eq!((read.unwrap_err().remedy(), asked.len()), (Remedy::AskPerson, 3));
    let (read, asked, _) = register(None, &[(400, "<html>")]);
    assert_eq!((read.unwrap_err().remedy(), asked.len()), (Remedy::Retry(None), 1), "a stranger's page");
    for taken in ["OK", "\"OK\"", "[]", "{}", ""] {
        assert!(register(None, &[(200, taken), (200, REGISTERED)]).0.is_ok(), "{taken}");
    }
    for page in ["<html>", "\u{FEFF} <!DOCTYPE html>"] {
        assert!(register(None, &[(200, page)]).0.is_err(), "{page}");
    }
    for bad in ["", "two words", "ü"] {
        assert!(OneSpan.register(&access(&OneSpan), "https://h/x", Some(&Secret::new(bad))).is_err());
    }
}

#[test]
fn retention_is_read_by_our_statuses_and_the_shorter_term_counts() {
    let read = |body: &'static str| result(OneSpan.retention(&access(&OneSpan)), [answer(200, body)]);
    let call = OneSpan.retention(&access(&OneSpan)).unwrap();
    assert_eq!(line(&call.request), "GET /api/dataRetentionSettings/dataManagementPolicy");
    let policy = r#"{"transactionRetention":{"draft":1,"sent":2,"completed":90,"archived":30,"declined":0,
        "optedOut":7,"expired":null}}"#;
    let days = vec![(EnvelopeStatus::Completed, 30), (EnvelopeStatus::Declined, 7)];
    assert_eq!(read(policy).unwrap(), Retention { days });
    for kept in [
        r#"{"transactionRetention":null}"#,
        r#"{"transactionRetention":{"completed":-1}}"#,
        r#"{"transactionRetention":{"draft":9,"includeSent":true}}"#,
        r#"{"transactionRetention":{"lifetimeTotal":null,"lifetimeUntilCompletion":0}}"#,
        r#"{"transactionRetention":{"completed":"","declined":" null "}}"#,
    ] {
        assert_eq!(read(kept).unwrap(), Retention::default(), "{kept}");
    }
    for strange in [
        "{}",
        "[]",
        r#"{"transactionRetention":5}"#,
        r#"{"transactionRetention":{}}"#,
        r#"{"transactionRetention":{"lifetimeFrobbed":90}}"#,
        r#"{"transactionRetention":{"completed":{"days":90}}}"#,
        r#"{"transactionRetention":{"completed":"soon"}}"#,
        r#"{"transactionRetention":{"completed":30.5,"expired":true,"draft":9}}"#,
    ] {
        assert_eq!(read(strange).unwrap_err().kind(), ErrorKind::Unintelligible, "{strange}");
    }
}

#[test]
fn an_odd_term_of_the_retention_costs_no_other() {
    let policy = r#"{"transactionRetention":{"completed":"soon","archived":30.0,"declined":"","optedOut":"7.0",
        "expired":[],"lifetimeUntilCompletion":1e300}}"#;
    let read = result(OneSpan.retention(&access(&OneSpan)), [answer(200, policy)]).unwrap();
    assert_eq!(read.days, [(EnvelopeStatus::Completed, 30), (EnvelopeStatus::Declined, 7)]);
}

#[test]
fn a_lifetime_bounds_every_final_status() {
    use EnvelopeStatus::{Completed, Declined, Expired};
    let read = |terms: &str| {
        let body = format!(r#"{{"transactionRetention":{{{terms}}}}}"#);
        result(OneSpan.retention(&access(&OneSpan)), [answer(200, body)]).unwrap().days
    };
    assert_eq!(read(r#""lifetimeTotal":120"#), [(Completed, 120), (Declined, 120), (Expired, 120)]);
    assert_eq!(read(r#""lifetimeUntilCompletion":60"#), [(Declined, 60), (Expired, 60)]);
    let all = read(r#""completed":"90","expired":200,"lifetimeTotal":120,"lifetimeUntilCompletion":150"#);
    assert_eq!(all, [(Completed, 90), (Declined, 120), (Expired, 120)]);
}

#[test]
fn a_replay_has_the_key_of_the_callback_and_one_without_date_may_be_news() {
    let captured = recorded(CAPTURED);
    let original = OneSpan.interpret(&captured);
    let mail = OneSpan.undelivered(include_bytes!("fixtures/failure_mail.txt")).unwrap();
    assert_eq!(mail.len(), 1);
    assert_eq!((OneSpan.interpret(&mail[0]).key, &mail[0].body), (original.key, &captured.body));
    let body = String::from_utf8(captured.body.to_vec()).unwrap();
    let untagged = body.replace(r#""@class":"com.silanis.esl.packages.event.ESLProcessEvent","#, "");
    let untagged = OneSpan.interpret(&inbound(Method::POST, None, "", untagged));
    assert_eq!((untagged.key, untagged.repeat_means), (original.key, RepeatMeans::Nothing));
    for replay in OneSpan.undelivered(include_bytes!("fixtures/replays.json")).unwrap() {
        let meaning = OneSpan.interpret(&replay);
        assert_eq!(meaning.repeat_means, RepeatMeans::PerhapsNews);
        assert_eq!(understood(meaning.meaning)[0].kind, NotificationKind::Finished);
    }
    let other = interpret(&json!({ "name": "PACKAGE_COMPLETE", "packageId": ID.to_lowercase() }));
    let this = interpret(&json!({ "name": "PACKAGE_COMPLETE", "packageId": ID }));
    assert!(other.key != this.key && other.envelope != this.envelope, "the case of ids counts");
}

#[test]
fn a_failure_mail_is_read_whole_or_not_at_all() {
    let count = |text: &str| OneSpan.undelivered(text.as_bytes()).map(|found| found.len());
    let one = format!(r#"{{"name":"PACKAGE_COMPLETE","packageId":"{ID}"}}"#);
    assert_eq!(count(&one), Ok(1));
    assert_eq!(count(&format!("\u{FEFF}[{one},\n {one}]")), Ok(2));
    assert_eq!(count(&format!("{one}\n{one} {one}")), Ok(3));
    assert_eq!(count(&format!("[Ticket 7] see [ {one} ], regards [1]")), Ok(1));
    assert_eq!(count(&format!("Dear {{name}},\npayload:\n{one}\n{{{{signature}}}}")), Ok(1));
    for (bad, why) in [
        (String::new(), "no JSON object"),
        ("[]".to_owned(), "no JSON object"),
        (
            format!("{one}\n  {{\"name\":"),
            "line 2, column 3: the JSON object that starts here cannot be read: it is cut off",
        ),
        (format!("[{one},{{\"name\":1"), "line 1, column "),
        (format!("see\n[{one}, 5]"), "line 2, column 1: member 2"),
        (format!("[{one}, {{}}]"), "callback 2: the body names no event"),
        (format!("[{one}, null]"), "member 2"),
        (
            r#"{"name":"PACKAGE_COMPLETE","packageId":null}"#.to_owned(),
            "callback 1: the body names no package",
        ),
        (r#"{"name":"PACKAGE_COMPLETE"}"#.to_owned(), "callback 1: the body names no package"),
    ] {
        let reason = count(&bad).unwrap_err();
        assert!(reason.contains(why), "{bad}: {reason}");
    }
    assert!(OneSpan.undelivered(b"a\xff{}").unwrap_err().contains("UTF-8 (byte 2)"));
    assert!(OneSpan.undelivered(&vec![b' '; 17 * 1024 * 1024]).unwrap_err().contains("in parts"));
    assert!(OneSpan.undelivered("[{".repeat(1_000_000).as_bytes()).is_err());
    assert!(OneSpan.undelivered("[{},".repeat(1_000_000).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn any_mail_is_read_or_refused_without_a_panic(
        text in "([\\[\\]{},:ü \n]|\"name\"|\"packageId\"|\"PACKAGE_COMPLETE\"|null|\\{\"name\":\"A\",\"packageId\":\"b\"\\}){0,24}",
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = OneSpan.undelivered(&bytes);
        for payload in OneSpan.undelivered(text.as_bytes()).unwrap_or_default() {
            let _ = understood(OneSpan.interpret(&payload).meaning);
        }
    }
}
