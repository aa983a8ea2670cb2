use aftersign_core::grant::{ClientAuth, Grant, GrantKind, OauthApp, ReturnAnswer};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::header::AUTHORIZATION;
use zeroize::ZeroizeOnDrop;

use super::{NAMELESS, SECRET_CHARS_MAX, TokenEndpoint, basic, departure, lossy, read_return};
use crate::form::encoded;
use crate::testing::{answer, app, nonces, now, play};
use crate::wire::TokenAnswer;

fn endpoint(app: &OauthApp) -> TokenEndpoint<'_> {
    let url = "https://id.example.com/token".to_owned();
    TokenEndpoint { operation: "test", url, app, field: "api_token", life: None }
}

/// The body and headers of the exchange of a code.
fn asked(app: &OauthApp, keep: &str) -> (String, http::HeaderMap) {
    let (code, keep) = (Secret::new("c/o+d e"), Secret::new(keep));
    let call = endpoint(app).redeem(&code, &keep, &[]).unwrap();
    assert_eq!(call.request.method(), Method::POST);
    assert_eq!(call.request.uri(), "https://id.example.com/token", "no secret stands in the URL");
    let headers = call.request.headers().clone();
    (String::from_utf8(call.request.into_body().to_vec()).unwrap(), headers)
}

fn exchange(status: u16, body: &str) -> Result<Grant, Error> {
    let (app, code, keep) = (app(), Secret::new("c0de"), Secret::new("v3rifier"));
    play(endpoint(&app).redeem(&code, &keep, &[]).unwrap(), [answer(status, body.to_owned())]).0
}

/// In how many seconds the grant of this answer is renewed.
fn renewed_in(expires_in: &str) -> Option<i64> {
    let grant = exchange(200, &format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#)).unwrap();
    grant.renew_at.map(|at| at.duration_since(now()).as_secs())
}

#[test]
fn the_page_of_consent_has_our_parameters_and_keeps_those_of_its_url() {
    let url = |app: &OauthApp, place: &str| departure("test", place, app, &nonces()).unwrap().url;
    let back = "https%3A%2F%2Fus.example.com%2Fback%2Fhr%3Fa%3D1%26b%3D%C3%BC";
    let ours = format!("response_type=code&client_id=cl1ent-id&redirect_uri={back}&state=t0ken-state");
    assert_eq!(url(&app(), "https://h/Auth/Authorize"), format!("https://h/Auth/Authorize?{ours}"));
    assert_eq!(
        url(&app(), " https://h/a?realm=x%20y&client_id=old&state "),
        format!("https://h/a?realm=x%20y&{ours}"),
        "nothing is said twice (section 3.1)"
    );
    let app = OauthApp { pkce: true, scope: Some("a b".into()), ..app() };
    let challenge = "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    assert_eq!(url(&app, "https://h/a"), format!("https://h/a?{ours}&scope=a%20b{challenge}"), "RFC 7636, B");
    assert_eq!(departure("test", "https://h/a", &app, &nonces()).unwrap().keep.expose().len(), 43);
    for wrong in
        ["", "h/a", "ftp://h/a", "javascript:alert(1)", "https://h/a#f", "https:///a", "https://h /a"]
    {
        let error = departure("test", wrong, &app, &nonces()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{wrong}");
        assert!(error.to_string().contains("oauth.authorize_url"), "{error}");
    }
}

#[test]
fn the_application_is_named_in_the_form_or_as_basic_and_never_in_both() {
    let back = "https%3A%2F%2Fus.example.com%2Fback%2Fhr%3Fa%3D1%26b%3D%C3%BC";
    let start = format!("grant_type=authorization_code&code=c%2Fo%2Bd%20e&redirect_uri={back}");
    let (form, headers) = asked(&app(), "");
    assert_eq!(form, format!("{start}&client_id=cl1ent-id&client_secret=app-s3cret%26%2B"));
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!headers.contains_key(AUTHORIZATION));
    let basic = OauthApp { client_auth: ClientAuth::Basic, client_id: "a:b".into(), ..app() };
    let (form, headers) = asked(&basic, "v3rifier");
    assert_eq!(form, format!("{start}&code_verifier=v3rifier"));
    assert!(headers[AUTHORIZATION].is_sensitive());
    let encoded = headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap();
    assert_eq!(STANDARD.decode(encoded).unwrap(), b"a%3Ab:app-s3cret%26%2B", "section 2.3.1");
    let nobody = OauthApp { client_secret: Secret::new(" "), ..app() };
    let (code, keep) = (Secret::new("c"), Secret::new(""));
    assert_eq!(endpoint(&nobody).redeem(&code, &keep, &[]).unwrap_err().kind(), ErrorKind::Misconfigured);
}

#[test]
fn a_token_is_read_in_every_spelling_that_can_be_sent() {
    for kind in ["", r#","token_type":null"#, r#","token_type":"bearer""#, r#","token_type":" BEARER ""#] {
        let grant = exchange(200, &format!("\u{FEFF}{{\"access_token\":\"a.b-c~d+e/f==\"{kind}}}")).unwrap();
        assert_eq!(grant.credential.field("api_token"), "a.b-c~d+e/f==");
        assert!(
            grant.refresh_token.is_none() && grant.renew_at.is_none() && grant.kind == GrantKind::Consent
        );
    }
    for none in ["null", "\"\"", "\" \"", "5", "{}"] {
        let body = format!(r#"{{"access_token":"t","refresh_token":{none},"expires_in":null,"error":null}}"#);
        assert!(exchange(200, &body).unwrap().refresh_token.is_none(), "{none}");
        let body = format!(r#"{{"access_token":{none}}}"#);
        assert_eq!(exchange(200, &body).unwrap_err().kind(), ErrorKind::Unintelligible, "{none}");
    }
    let endless = "x".repeat(SECRET_CHARS_MAX + 1);
    for odd in [&*endless, "a b", "a\\nb", "ü", "\\u0000"] {
        assert!(exchange(200, &format!(r#"{{"access_token":"{odd}"}}"#)).is_err(), "{odd:?}");
    }
    for kind in ["\"mac\"", "5", "\"\"", "[]"] {
        assert!(exchange(200, &format!(r#"{{"access_token":"t","token_type":{kind}}}"#)).is_err(), "{kind}");
    }
}

#[test]
fn an_answer_is_read_whatever_its_writer_did_to_it() {
    let cases: [&[u8]; 4] = [
        br#" {"access_token":"t0k\u0065n","refresh_token":"r","expires_in":60,} "#,
        b"\xEF\xBB\xBF{\"note\":\"\xE9t\xE9\",\"refresh_token\":\"r\",\"access_token\":\"token\",\"expires_in\":60}",
        br#"{"access_token":"token","scope":["a",{"access_token":"other"}],"refresh_token":"r","expires_in":60}"#,
        br#"{"refresh_token":"r","expires_in":"60","access_token":"token","token_type":null,"error":null}"#,
    ];
    for body in cases {
        let (app, code, keep) = (app(), Secret::new("c0de"), Secret::new(""));
        let call = endpoint(&app).redeem(&code, &keep, &[]).unwrap();
        let grant = play(call, [answer(200, body)]).0.unwrap();
        assert!(matches!(grant.credential.field("api_token"), "token" | "t0ken"));
        assert_eq!(grant.refresh_token.unwrap().expose(), "r");
        assert!(grant.renew_at.is_some());
    }
    let refused = b"{\"error\":\"invalid_grant\",\"error_description\":\"expir\xE9\",\"access_token\":[{\"a\":[1]},true]}";
    let (app, code, keep) = (app(), Secret::new("c0de"), Secret::new(""));
    let call = endpoint(&app).redeem(&code, &keep, &[]).unwrap();
    assert_eq!(play(call, [answer(400, &refused[..])]).0.unwrap_err().kind(), ErrorKind::AccessRefused);
}

#[test]
fn copies_of_secrets_are_zeroed_and_never_left_behind_by_growing() {
    fn is_zeroed_when_dropped<T: ZeroizeOnDrop>(text: T) -> T {
        text
    }
    for secret in ["", "x", &"ü".repeat(5_000), &"+".repeat(9_998)] {
        let header = is_zeroed_when_dropped(basic("a:b", secret));
        let client = format!("a%3Ab:{}", encoded(secret));
        assert_eq!(header.as_str(), format!("Basic {}", STANDARD.encode(client)));
        assert_eq!(header.capacity(), header.len(), "it is where it was from the start");
        let text = is_zeroed_when_dropped(lossy(secret.as_bytes()));
        assert_eq!((text.as_str(), text.capacity()), (secret, secret.len()));
    }
    let odd = b"\xFFa\xE9\xE9\xF0\x9F\x98b\xC3";
    let text = lossy(odd);
    assert_eq!(text.as_str(), String::from_utf8_lossy(odd));
    assert_eq!(text.capacity(), odd.len() + 5 * 3, "enough for each replacement");
    let read: TokenAnswer = serde_json::from_str(r#"{"access_token":"a","refresh_token":"r"}"#).unwrap();
    let kept: [Option<Secret>; 2] = [read.access_token, read.refresh_token];
    assert_eq!(kept.map(|secret| secret.unwrap().expose().to_owned()), ["a", "r"]);
}

#[test]
fn a_token_is_renewed_a_little_before_its_end_whatever_the_number() {
    for (expires_in, expected) in [
        ("3600", Some(3540)),
        ("\" 3600 \"", Some(3540)),
        ("3600.9", Some(3540)),
        ("300", Some(270)),
        ("10", Some(9)),
        ("0", Some(0)),
        ("-5", Some(0)),
        ("-1e300", Some(0)),
        ("\"NaN\"", None),
        ("\"soon\"", None),
        ("true", None),
        ("null", None),
    ] {
        assert_eq!(renewed_in(expires_in), expected, "{expires_in}");
    }
    for endless in ["1e300", "18446744073709551615", "\"inf\""] {
        let years = renewed_in(endless).unwrap() / (365 * 86_400);
        assert_eq!(years, 10, "{endless}");
    }
}

#[test]
fn a_refusal_says_whose_turn_it_is() {
    use ErrorKind::{AccessRefused, Forbidden, Misconfigured, RateLimited, Unavailable, Unintelligible};
    let named = |name: &str| format!(r#"{{"error":"{name}","error_description":"so it is"}}"#);
    for (status, name, kind, remedy) in [
        (400, "invalid_grant", AccessRefused, Remedy::RenewAccess),
        (401, "invalid_grant", AccessRefused, Remedy::RenewAccess),
        (200, "invalid_grant", AccessRefused, Remedy::RenewAccess),
        (500, "invalid_grant", Unavailable, Remedy::Retry(None)),
        (429, "invalid_grant", RateLimited, Remedy::Retry(None)),
        (400, "invalid_client", Misconfigured, Remedy::AskPerson),
        (401, "invalid_client", Misconfigured, Remedy::AskPerson),
        (403, "unauthorized_client", Misconfigured, Remedy::AskPerson),
        (400, "invalid_scope", Misconfigured, Remedy::AskPerson),
        (400, "unsupported_grant_type", Misconfigured, Remedy::AskPerson),
        (400, "from_the_future", Misconfigured, Remedy::AskPerson),
        (402, "addon_required", Forbidden, Remedy::AskPerson),
        (503, "temporary_unavailable", Unavailable, Remedy::Retry(None)),
        (400, "server_error", Unavailable, Remedy::Retry(None)),
    ] {
        let error = exchange(status, &named(name)).unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (kind, remedy), "{status} {name}");
        assert!(error.to_string().contains(name) && error.to_string().contains("so it is"), "{error}");
    }
    for (status, body, kind) in [
        (401, "", Misconfigured),
        (403, "{}", Misconfigured),
        (401, "<html>", Unintelligible),
        (404, "", Unintelligible),
        (302, "", Unintelligible),
        (429, "<html>", RateLimited),
        (502, "<html>", Unavailable),
        (200, "<html>", Unintelligible),
        (200, "[{}]", Unintelligible),
        (200, r#"{"access_token":"t0k"#, Unintelligible),
    ] {
        let error = exchange(status, body).unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {body}: {error}");
        assert!(!error.chain().contains("t0k"), "{error}");
    }
    assert!(exchange(302, "").unwrap_err().to_string().contains("oauth.token_url"));
    assert!(
        exchange(400, r#"{"error":{"error_name":"invalid_grant"}}"#).unwrap_err().kind() == AccessRefused
    );
    assert!(exchange(400, r#"{"error":{}}"#).unwrap_err().kind() == Misconfigured);
}

#[test]
fn a_refusal_repeats_nothing_that_was_sent_and_stays_short() {
    for echo in ["c0de", "v3rifier", "app-s3cret&+"] {
        for body in [
            format!(r#"{{"error":"invalid_grant","error_description":"the value {echo} is used"}}"#),
            format!(r#"{{"error":"bad {echo}"}}"#),
        ] {
            let chain = exchange(400, &body).unwrap_err().chain();
            assert!(!chain.contains(echo), "{chain}");
        }
    }
    let long = "x".repeat(100_000);
    let body = format!(r#"{{"error":"{long}","error_description":"{long}"}}"#);
    assert!(exchange(400, &body).unwrap_err().chain().len() < 1_000);
}

#[test]
fn the_reason_of_a_refused_consent_is_bounded_and_free_of_markup() {
    let reason = |query: &str| match read_return(query).unwrap().answer {
        ReturnAnswer::Failed(reason) => reason,
        other => panic!("{other:?}"),
    };
    let read = reason("error=invalid_scope&error_description=No+such%20scope&state=s&error_uri=x");
    assert_eq!(read, "invalid_scope: No such scope");
    assert_eq!(reason("error=%3Cb%3E&state=s"), "b", "markup is taken away");
    assert_eq!(reason("error=%3C%20&state=s"), NAMELESS);
    let long = "x".repeat(5_000);
    assert!(reason(&format!("error={long}&error_description={long}&state=s")).chars().count() <= 300);
    assert!(read_return("code=c&error=e&state=s").is_none(), "both is neither");
    assert!(read_return("code=c+d&state=s").is_some(), "a plus stands for itself");
    assert!(read_return("code=c%20d&state=s").is_none() && read_return("code=c&state=%0A").is_none());
}
