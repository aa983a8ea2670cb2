//! Callbacks' bodies as a person sees them: without capabilities, and otherwise as they came.

use aftersign_core::callback::Meaning;
use aftersign_core::platform::Platform;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use proptest::prelude::{any, prop, proptest};

use super::Scrive;
use super::tests::{
    CLOSED, DELIVERY_BOUNCED, DELIVERY_EXTENDED, DELIVERY_REJECTED, DELIVERY_SALESFORCE, DELIVERY_SEALED,
    DELIVERY_V1, INSTANCE, SAMPLES, form,
};
use crate::testing::{inbound, recorded, understood};

const SECRETS: [&str; 3] = ["d0cumentacc3ss", "s1gnl1nk", "p4thsecret"];

fn shown(body: impl Into<Vec<u8>>) -> Option<String> {
    let body = Scrive.redacted_body(&inbound(Method::POST, None, "", body.into()))?;
    Some(String::from_utf8(body).unwrap())
}

fn decoded(body: &str) -> String {
    percent_decode(body.as_bytes()).decode_utf8().unwrap().into_owned()
}

#[test]
fn a_documents_callback_is_shown_without_its_capabilities_and_means_the_same() {
    for delivery in [DELIVERY_SEALED, DELIVERY_EXTENDED, DELIVERY_BOUNCED, DELIVERY_REJECTED] {
        let mut callback = recorded(delivery);
        let before = decoded(std::str::from_utf8(&callback.body).unwrap());
        let after = shown(callback.body.to_vec()).unwrap();
        let parts = |text: &str| text.split('"').map(str::to_owned).collect::<Vec<_>>();
        let (before, plain) = (parts(&before), parts(&decoded(&after)));
        assert_eq!(before.len(), plain.len());
        for (came, told) in before.iter().zip(&plain) {
            let is_secret = SECRETS.iter().any(|secret| came.contains(secret));
            assert_eq!(told, if is_secret { "redacted" } else { came });
        }
        let news = understood(Scrive.interpret(&callback).meaning);
        callback.body = after.into();
        assert_eq!(understood(Scrive.interpret(&callback).meaning), news);
        assert_eq!(
            Scrive.redacted_body(&callback).as_deref(),
            Some(&*callback.body),
            "once more changes nothing"
        );
    }
    for harmless in [DELIVERY_V1, DELIVERY_SALESFORCE] {
        assert_eq!(Scrive.redacted_body(&recorded(harmless)), None);
    }
}

#[test]
fn only_the_fields_with_secrets_are_written_anew() {
    for (body, expected) in [
        (
            r#"a=%20x+y&document_json={"access_token":"x","b":"+"}&c"#,
            r#"a= x+y&document_json={"access_token":"redacted","b":" "}&c"#,
        ),
        (
            r#"amp;Document_JSON={"Api_Delivery_Url":1}"#,
            r#"amp;Document_JSON={"Api_Delivery_Url":"redacted"}"#,
        ),
        (r#"json={"accesstoken":"x"}"#, r#"json={"accesstoken":"redacted"}"#),
        (r#"json=%7B%22api%5Fcallback%5Furl%22:%22x%22}"#, r#"json={"api_callback_url":"redacted"}"#),
        (
            r#"document_json={}&document_json={"access_token":"x"}"#,
            r#"document_json={}&document_json={"access_token":"redacted"}"#,
        ),
        (r#"another=[{"access_token":"x"}"#, r#"another=[{"access_token":"redacted"}"#),
    ] {
        assert_eq!(decoded(&shown(body).unwrap()), expected, "{body}");
    }
    assert_eq!(
        shown(r#"x=%7e&json={"access_token":"x"}"#).as_deref(),
        Some("x=%7e&json=%7B%22access_token%22%3A%22redacted%22%7D")
    );
}

#[test]
fn a_document_that_is_no_json_is_left_out_as_a_whole() {
    let cut = &CLOSED[..CLOSED.find("p4thsecret").unwrap() + 4];
    for broken in [cut, "{'access_token':'x'}", "<html>", "x"] {
        for name in ["document_json", "json", "documentjson", "document%5Fjson", "amp;JSON"] {
            let text = utf8_percent_encode(broken, NON_ALPHANUMERIC);
            let body = format!("document_id=1&{name}={text}&z=1");
            assert_eq!(shown(body), Some(format!("document_id=1&{name}=redacted&z=1")), "{broken}");
        }
    }
    for kept in [
        "",
        "hello",
        "&&=&",
        "document_id=1&document_json=",
        "document_json",
        "json=+",
        "document_id=%zz&x=\"",
        &form("1", "true", "{}"),
    ] {
        assert_eq!(shown(kept), None, "{kept}");
    }
}

#[test]
fn a_flows_callback_is_shown_as_it_came_unless_it_holds_a_secret() {
    for (name, sample) in SAMPLES {
        assert_eq!(shown(sample), None, "{name}");
    }
    let whole = INSTANCE
        .replace("https://scrive.com/flow/overview/acc3ssl1nk", "redacted")
        .replace("https://sign.example.com/callbacks/legal/p4thsecret", "redacted");
    assert_eq!(shown(INSTANCE), Some(whole));
    for (broken, expected) in [
        (r#"{"callback":{"url":"https://x/p4thse"#, r#"{"callback":{"url":"redacted""#),
        (r#"{"access_token":"x",}"#, r#"{"access_token":"redacted",}"#),
        (r#"{"a":1 "access_token":"x" "b":2}}}"#, r#"{"a":1 "access_token":"redacted" "b":2}}}"#),
    ] {
        assert_eq!(shown(broken).as_deref(), Some(expected));
        let meaning = Scrive.interpret(&inbound(Method::POST, None, "", broken)).meaning;
        assert!(matches!(meaning, Meaning::Quarantined(_)), "{broken}");
    }
}

proptest! {
    #[test]
    fn whatever_came_is_shown_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(document_json=|json=|&|\\{|\\}|\"|access_token|:|,|%7B|%22|x){0,30}") {
        let _ = Scrive.redacted_body(&inbound(Method::POST, None, "", bytes));
        let _ = Scrive.redacted_body(&inbound(Method::POST, None, "", text));
    }
}
