use aftersign_core::platform::{Access, Platform};
use aftersign_core::secret::Secret;
use aftersign_core::{ErrorKind, Remedy};

use super::DropboxSign;
use crate::testing::{access, answer, line, play, result};

const ACCOUNT: &str = include_str!("fixtures/account.json");
const APP: &str = include_str!("fixtures/api_app.json");
const CLIENT: &str = "0dd3b823a682527788c4e40cb7b6f7e9";

fn of_app(client_id: &str) -> Access {
    let mut access = access(&DropboxSign);
    access.options.insert("client_id".into(), client_id.into());
    access
}

#[test]
fn whoami_tells_the_account() {
    let identity = result(DropboxSign.whoami(&access(&DropboxSign)), [answer(200, ACCOUNT)]).unwrap();
    assert_eq!(identity.name, "me@dropboxsign.com");
}

#[test]
fn the_accounts_callback_is_read_and_with_a_client_id_the_apps() {
    let read = |access: &Access, body: &'static str| {
        let (read, asked) = play(DropboxSign.registration(access).unwrap(), [answer(200, body)]);
        (read.map(|read| read.url), asked)
    };
    let (url, asked) = read(&access(&DropboxSign), ACCOUNT);
    assert_eq!(url.unwrap().as_deref(), Some("https://sign.example.com/callbacks/hr/secret"));
    assert_eq!(asked, ["GET /v3/account"]);
    let (url, asked) = read(&of_app(CLIENT), APP);
    assert_eq!(url.unwrap().as_deref(), Some("https://sign.example.com/callbacks/app/secret"));
    assert_eq!(asked, [format!("GET /v3/api_app/{CLIENT}")]);
    let (url, asked) = read(&of_app(" "), r#"{"account":{"callback_url":null}}"#);
    assert_eq!((url.unwrap(), &*asked[0]), (None, "GET /v3/account"), "what was cleared is nothing");
    assert!(read(&of_app(CLIENT), ACCOUNT).0.is_err() && read(&access(&DropboxSign), APP).0.is_err());
    for hostile in ["../account", "a/b", "a?b"] {
        let registered = DropboxSign.register(&of_app(hostile), "https://h/x", None).unwrap_err();
        for error in [DropboxSign.registration(&of_app(hostile)).unwrap_err(), registered] {
            assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson));
            assert!(error.to_string().contains("option `client_id`"), "{error}");
        }
    }
}

#[test]
fn registering_replaces_the_url_and_reads_it_back() {
    for (access, body, path) in [
        (access(&DropboxSign), ACCOUNT, "/v3/account".to_owned()),
        (of_app(CLIENT), APP, format!("/v3/api_app/{CLIENT}")),
    ] {
        let key = Secret::new("unsent");
        let call = DropboxSign.register(&access, " https://h/x", Some(&key)).unwrap();
        assert_eq!(call.request.body().as_ref(), br#"{"callback_url":"https://h/x"}"#);
        assert_eq!(call.request.headers()["content-type"], "application/json");
        assert_eq!(line(&call.request), format!("PUT {path}"));
        let (read, asked) = play(call, [answer(200, body), answer(200, body)]);
        assert!(
            read.unwrap().url.unwrap().starts_with("https://sign.example.com/"),
            "what is kept, not what was sent"
        );
        assert_eq!(asked[1], format!("GET {path}"));
    }
    let refused = |status, body: &'static str| {
        let call = DropboxSign.register(&access(&DropboxSign), "foo", None);
        result(call, [answer(status, body)]).unwrap_err()
    };
    let invalid =
        r#"{"error":{"error_msg":"Invalid url for callback_url : foo","error_name":"bad_request"}}"#;
    assert_eq!(refused(400, invalid).remedy(), Remedy::AskPerson);
    assert!(refused(400, invalid).to_string().contains("Invalid url for callback_url"));
    assert_eq!(refused(200, "<html>").kind(), ErrorKind::Unintelligible);
}
