use aftersign_core::grant::{Departure, Grant, GrantKind, OauthApp, ReturnAnswer};
use aftersign_core::platform::{Access, Call, Credential, Next, Platform};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use http::Method;

use super::Scrive;
use crate::testing::{access, answer, app, line, nonces, play, result};

const TEMPORARY: &str =
    "oauth_token=4aeab7ac2f0e8bbe_77&oauth_token_secret=d0c9f3a1%2B&oauth_callback_confirmed=true";
const REFUSED: &str = include_str!("fixtures/error_unauthorised.json");

fn at(base_url: &str) -> Access {
    Access { base_url: base_url.into(), ..access(&Scrive) }.with_credential(Credential::default())
}

fn first_step(access: &Access, app: &OauthApp) -> Call<Departure> {
    match Scrive.begin_grant(access, app, &nonces()).unwrap() {
        Next::Then(call) => call,
        Next::Done(departure) => panic!("{departure:?}"),
    }
}

fn depart(app: &OauthApp, status: u16, body: &'static str) -> Result<Departure, Error> {
    play(first_step(&at("https://scrive.com/api/v2"), app), [answer(status, body)]).0
}

fn finish(app: &OauthApp) -> Result<Call<Grant>, Error> {
    let secret = |text: &str| Secret::new(text);
    Scrive.finish_grant(
        &at("https://scrive.com"),
        app,
        &secret("4aeab_77"),
        &secret("v3rifier"),
        &secret("d0c9+"),
    )
}

#[test]
fn the_three_steps_are_those_of_the_documentation() {
    let call = first_step(&at("https://scrive.com/api/v2"), &app());
    assert_eq!((call.request.method(), call.request.body().len()), (&Method::GET, 0));
    assert_eq!(
        call.request.uri(),
        "https://scrive.com/oauth/temporarycredentials?privileges=DOC_CHECK%2BDOC_SEND"
    );
    let header = &call.request.headers()["authorization"];
    assert!(header.is_sensitive());
    assert_eq!(
        header,
        "oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"cl1ent-id\", \
         oauth_callback=\"https%3A%2F%2Fus.example.com%2Fback%2Fhr%3Fa%3D1%26b%3D%C3%BC\", \
         oauth_signature=\"app-s3cret%26%2B&aaaaaa\""
    );
    let departure = depart(&app(), 200, TEMPORARY).unwrap();
    assert_eq!(departure.url, "https://scrive.com/oauth/authorization?oauth_token=4aeab7ac2f0e8bbe_77");
    assert_eq!((departure.state.expose(), departure.keep.expose()), ("4aeab7ac2f0e8bbe_77", "d0c9f3a1+"));
    let call = finish(&app()).unwrap();
    assert_eq!(line(&call.request), "GET /oauth/tokencredentials");
    assert_eq!(
        call.request.headers()["authorization"],
        "oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"cl1ent-id\", oauth_token=\"4aeab_77\", \
         oauth_verifier=\"v3rifier\", oauth_signature=\"app-s3cret%26%2B&d0c9%2B\""
    );
}

#[test]
fn privileges_and_places_can_be_configured() {
    for (scope, expected) in [
        ("DOC_CHECK+DOC_SEND+FULL_ACCESS", "DOC_CHECK%2BDOC_SEND%2BFULL_ACCESS"),
        (" FULL_ACCESS  DOC_SEND ", "FULL_ACCESS%2BDOC_SEND"),
        (" ", "DOC_CHECK%2BDOC_SEND"),
    ] {
        let app = OauthApp { scope: Some(scope.into()), ..app() };
        let uri = first_step(&at("https://scrive.com"), &app).request.uri().to_string();
        assert!(uri.ends_with(&format!("?privileges={expected}")), "{uri}");
    }
    let elsewhere = OauthApp {
        authorize_url: Some("https://id.example/ask?lang=sv".into()),
        token_url: Some("https://id.example/tokens".into()),
        ..app()
    };
    let departure = depart(&elsewhere, 200, TEMPORARY).unwrap();
    assert_eq!(departure.url, "https://id.example/ask?lang=sv&oauth_token=4aeab7ac2f0e8bbe_77");
    assert_eq!(finish(&elsewhere).unwrap().request.uri(), "https://id.example/tokens");
    let odd = OauthApp { client_id: "a\"b".into(), ..app() };
    let error = Scrive.begin_grant(&at("https://scrive.com"), &odd, &nonces()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
}

#[test]
fn a_temporary_token_must_be_whole_and_confirmed() {
    for body in [
        "",
        "oauth_token=a_1",
        "oauth_token=a_1&oauth_token_secret=&oauth_callback_confirmed=true",
        "oauth_token=a_1&oauth_token=a_2&oauth_token_secret=b&oauth_callback_confirmed=true",
        "oauth_token=a%22_1&oauth_token_secret=b&oauth_callback_confirmed=true",
        "<html>",
        "{\"oauth_token\":\"a\"}",
    ] {
        let error = depart(&app(), 200, body).unwrap_err();
        assert!(matches!(error.remedy(), Remedy::Retry(_) | Remedy::AskPerson), "{body}: {error}");
    }
    let long = format!("{TEMPORARY}&x={}", "x".repeat(5_000)).leak();
    assert_eq!(depart(&app(), 200, long).unwrap_err().kind(), ErrorKind::Unintelligible);
    let unconfirmed = "oauth_token=a_1&oauth_token_secret=b&oauth_callback_confirmed=false";
    let error = depart(&app(), 200, unconfirmed).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Misconfigured && error.to_string().contains("redirect_uri"),
        "{error}"
    );
    assert_eq!(depart(&app(), 401, REFUSED).unwrap_err().kind(), ErrorKind::Misconfigured);
    for (status, body) in [(401, "<html>"), (503, ""), (302, ""), (429, "")] {
        assert!(matches!(depart(&app(), status, body).unwrap_err().remedy(), Remedy::Retry(_)), "{status}");
    }
}

#[test]
fn the_odd_empty_parameter_of_the_way_back_does_not_matter() {
    let granted = Scrive.read_return("=&oauth_token=a_1&oauth_verifier=v").unwrap();
    assert_eq!(granted.state.expose(), "a_1");
    assert!(matches!(granted.answer, ReturnAnswer::Granted(verifier) if verifier.expose() == "v"));
    let denied = Scrive.read_return("=&oauth_token=a_1&denied=true").unwrap();
    assert!(matches!(denied.answer, ReturnAnswer::Denied));
    for other in [
        "=&oauth_token=a_1",
        "oauth_token=a_1&denied=false",
        "oauth_token=a_1&oauth_verifier=v&denied=true",
        "oauth_token=a%22&oauth_verifier=v",
        "oauth_token=a&oauth_verifier=v%2Cw",
        "code=c&state=s",
    ] {
        assert!(Scrive.read_return(other).is_none(), "{other}");
    }
}

#[test]
fn a_consent_is_half_of_the_access_and_a_typed_key_all_of_it() {
    let token = "oauth_token=acc_9&oauth_token_secret=acc-s3cret";
    let grant = result(finish(&app()), [answer(200, token)]).unwrap();
    assert!(grant.refresh_token.is_none() && grant.renew_at.is_none());
    assert!(Scrive.renew_grant(&at("https://scrive.com"), &app(), &grant).is_none());
    let header = |app: Option<&OauthApp>, grant: &Grant| {
        let call = Scrive.whoami(&Scrive.granted(&access(&Scrive), app, grant))?;
        Ok::<_, Error>(call.request.headers()["authorization"].to_str().unwrap().to_owned())
    };
    let plain = OauthApp { client_id: "app_1".into(), client_secret: Secret::new("app-s3cret"), ..app() };
    assert_eq!(
        header(Some(&plain), &grant).unwrap(),
        "oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"app_1\", oauth_token=\"acc_9\", \
         oauth_signature=\"app-s3cret&acc-s3cret\""
    );
    assert_eq!(header(None, &grant).unwrap_err().kind(), ErrorKind::Misconfigured);
    let fields =
        Scrive.key_fields().iter().map(|name| ((*name).to_owned(), Secret::new(format!("k_{name}"))));
    let typed = Grant { kind: GrantKind::Key, credential: Credential::new(fields), ..grant };
    let sent = header(Some(&plain), &typed).unwrap();
    assert!(sent.contains("k_api_token") && sent.contains("k_api_secret&k_access_secret"), "{sent}");
    let lapsed = result(finish(&app()), [answer(401, REFUSED)]).unwrap_err();
    assert_eq!((lapsed.kind(), lapsed.remedy()), (ErrorKind::AccessRefused, Remedy::RenewAccess));
    let echo = r#"{"error_type":"invalid_authorisation","error_message":"v3rifier is used"}"#;
    let echoed = result(finish(&app()), [answer(401, echo)]).unwrap_err();
    assert!(echoed.kind() == ErrorKind::AccessRefused && !echoed.chain().contains("v3rifier"), "{echoed}");
    let revoked = play(Scrive.whoami(&access(&Scrive)).unwrap(), [answer(401, REFUSED)]).0.unwrap_err();
    assert_eq!((revoked.kind(), revoked.remedy()), (ErrorKind::AccessRefused, Remedy::RenewAccess));
}
