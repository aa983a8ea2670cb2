use aftersign_core::grant::{Grant, GrantKind, OauthApp};
use aftersign_core::platform::{Access, Next, Platform};
use aftersign_core::secret::Secret;

use super::ESignAnyWhere;
use crate::testing::{access, answer, app, nonces, now, play, result};

const PLACES: [(&str, &str); 5] = [
    ("https://h.example/api/v6", "https://h.example"),
    ("https://h.example/Api/V6/", "https://h.example"),
    ("https://h.example/esaw/api/v6.0", "https://h.example/esaw"),
    ("https://h.example:8443/api/v6/api/v6", "https://h.example:8443/api/v6"),
    ("https://h.example", "https://h.example"),
];

fn at(base_url: &str) -> Access {
    Access { base_url: base_url.into(), ..access(&ESignAnyWhere) }
}

fn departure_url(access: &Access, app: &OauthApp) -> String {
    match ESignAnyWhere.begin_grant(access, app, &nonces()).unwrap() {
        Next::Done(departure) => departure.url,
        Next::Then(call) => panic!("{call:?}"),
    }
}

#[test]
fn the_endpoints_are_the_tenants_own_above_the_api() {
    let state = Secret::new("s");
    for (base_url, place) in PLACES {
        let url = departure_url(&at(base_url), &app());
        assert!(url.starts_with(&format!("{place}/Auth/Authorize?response_type=code&client_id=")), "{url}");
        assert!(!url.contains("scope") && !url.contains("code_challenge"), "nothing that is not configured");
        let call =
            ESignAnyWhere.finish_grant(&at(base_url), &app(), &state, &state, &Secret::new("")).unwrap();
        assert_eq!(call.request.uri().to_string(), format!("{place}/ApiToken/Retrieve"));
    }
    let elsewhere = OauthApp {
        authorize_url: Some("https://id.example/a".into()),
        token_url: Some("https://id.example/t?x=1".into()),
        ..app()
    };
    assert!(departure_url(&at("https://h.example"), &elsewhere).starts_with("https://id.example/a?"));
    let call = ESignAnyWhere.finish_grant(&at("https://h"), &elsewhere, &state, &state, &state).unwrap();
    assert_eq!(call.request.uri(), "https://id.example/t?x=1");
}

#[test]
fn the_access_token_is_the_users_api_token_and_has_no_end_unless_one_is_told() {
    let secret = Secret::new("x");
    let finish = |body: &'static str| {
        let call = ESignAnyWhere.finish_grant(&at("https://h"), &app(), &secret, &secret, &Secret::new(""));
        result(call, [answer(200, body)]).unwrap()
    };
    let plain = finish(r#"{"access_token":"user-t0ken"}"#);
    assert!(plain.refresh_token.is_none() && plain.renew_at.is_none());
    assert!(ESignAnyWhere.renew_grant(&at("https://h"), &app(), &plain).is_none());
    let granted = ESignAnyWhere.granted(&access(&ESignAnyWhere), Some(&app()), &plain);
    let call = ESignAnyWhere.whoami(&granted).unwrap();
    assert_eq!(call.request.headers()["apitoken"], "user-t0ken");
    let ending = finish(r#"{"access_token":"user-t0ken","refresh_token":"r","expires_in":600}"#);
    assert_eq!(ending.renew_at.unwrap().duration_since(now()).as_secs(), 540);
    let renewal = ESignAnyWhere.renew_grant(&at("https://h"), &app(), &ending).unwrap().unwrap();
    assert_eq!(renewal.request.uri(), "https://h/ApiToken/Retrieve");
    assert!(renewal.request.body().starts_with(b"grant_type=refresh_token&refresh_token=r&client_id="));
    let typed = Grant { kind: GrantKind::Key, ..plain };
    assert_eq!(ESignAnyWhere.key_fields(), ["api_token"]);
    assert_eq!(
        ESignAnyWhere.granted(&at("https://h"), None, &typed).credential.field("api_token"),
        "user-t0ken"
    );
}

#[test]
fn whoami_and_the_placeholder_name_a_user_in_one_form() {
    let call = ESignAnyWhere.whoami(&access(&ESignAnyWhere)).unwrap();
    let body = r#"{"UserId":"9B2E0C1A-0000-4000-8000-00000000000A","Email":"Anna@Example.com"}"#;
    let user = play(call, [answer(200, body)]).0.unwrap();
    assert_eq!(user.id.as_deref(), Some("9b2e0c1a-0000-4000-8000-00000000000a"));
    assert_eq!((user.name.as_str(), user.email.as_deref()), ("Anna@Example.com", Some("Anna@Example.com")));
    for spelling in ["{9B2E0C1A-0000-4000-8000-00000000000A}", " 9b2e0c1a-0000-4000-8000-00000000000a "] {
        assert_eq!(Some(ESignAnyWhere.user_id(spelling)), user.id);
    }
}
