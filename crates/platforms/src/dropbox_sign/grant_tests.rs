use aftersign_core::envelope::{EnvelopeStatus, Lookup};
use aftersign_core::grant::{Grant, OauthApp};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{ACCESS_TOKEN, Access, Credential, Disposal, Next, Platform};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};

use super::DropboxSign;
use super::tests::ID;
use crate::testing::{access, answer, app, envelope, nonces, now, play, proof, result};

const TOKEN: &str = include_str!("fixtures/token.json");
const UNAUTHORIZED: &str = r#"{"error":{"error_msg":"Unauthorized user.","error_name":"unauthorized"}}"#;
const FORBIDDEN: &str = r#"{"error":{"error_msg":"Not yours.","error_name":"forbidden"}}"#;

fn at(base_url: &str) -> Access {
    Access { base_url: base_url.into(), ..access(&DropboxSign) }
}

fn departure_url(access: &Access, app: &OauthApp) -> String {
    match DropboxSign.begin_grant(access, app, &nonces()).unwrap() {
        Next::Done(departure) => departure.url,
        Next::Then(call) => panic!("{call:?}"),
    }
}

fn granted() -> Access {
    access(&DropboxSign)
        .with_credential(Credential::default().with(ACCESS_TOKEN, Secret::new("t0ken-of-anna")))
}

fn grant() -> Grant {
    let state = nonces().state;
    let call =
        DropboxSign.finish_grant(&at("https://h/v3"), &app(), &state, &Secret::new("c"), &Secret::new(""));
    result(call, [answer(200, TOKEN)]).unwrap()
}

#[test]
fn the_vendors_endpoints_are_on_a_host_of_their_own_and_others_on_their_origin() {
    for (base_url, place) in [
        ("https://api.hellosign.com/v3", "https://app.hellosign.com"),
        ("https://API.hellosign.com/v3/", "https://app.hellosign.com"),
        ("http://127.0.0.1:4010/v3", "http://127.0.0.1:4010"),
    ] {
        let url = departure_url(&at(base_url), &app());
        assert!(url.starts_with(&format!("{place}/oauth/authorize?response_type=code")), "{url}");
        let state = nonces().state;
        let call = DropboxSign
            .finish_grant(&at(base_url), &app(), &state, &Secret::new("c"), &Secret::new(""))
            .unwrap();
        assert_eq!(call.request.uri().to_string(), format!("{place}/oauth/token"));
        let body = String::from_utf8(call.request.body().to_vec()).unwrap();
        assert!(body.contains("&state=t0ken-state&") && body.contains("&client_secret="), "{body}");
        let renewal = DropboxSign.renew_grant(&at(base_url), &app(), &grant()).unwrap().unwrap();
        assert_eq!(renewal.request.uri().to_string(), format!("{place}/oauth/token?refresh"));
        let body = String::from_utf8(renewal.request.body().to_vec()).unwrap();
        assert!(
            body.starts_with("grant_type=refresh_token&refresh_token=r3fresh-t0ken&client_id="),
            "{body}"
        );
    }
    let app = OauthApp { token_url: Some("https://id.example/t?x=1".into()), ..app() };
    let renewal = DropboxSign.renew_grant(&at("https://h"), &app, &grant()).unwrap().unwrap();
    assert_eq!(renewal.request.uri(), "https://id.example/t?x=1&refresh");
    let error = DropboxSign.begin_grant(&at("nowhere"), &crate::testing::app(), &nonces()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
}

#[test]
fn a_token_ends_and_is_renewed_before_that() {
    let grant = grant();
    assert_eq!(grant.renew_at.unwrap().duration_since(now()).as_secs(), 86_340);
    assert_eq!(grant.refresh_token.as_ref().unwrap().expose(), "r3fresh-t0ken");
    let renewed = |body: &'static str| {
        let call = DropboxSign.renew_grant(&at("https://h"), &app(), &grant).unwrap();
        result(call, [answer(200, body)])
    };
    let untold = renewed(r#"{"access_token":"next"}"#).unwrap();
    assert_eq!(
        untold.renew_at.unwrap().duration_since(now()).as_secs(),
        3_540,
        "an hour where nothing is told"
    );
    let wrapped = r#"{"error":{"error_msg":"r3fresh-t0ken?","error_name":"invalid_grant"}}"#;
    assert_eq!(renewed(wrapped).unwrap_err().remedy(), Remedy::RenewAccess);
}

#[test]
fn a_grant_is_sent_as_bearer_and_a_key_as_basic() {
    let header = |access: &Access| {
        let call = DropboxSign.whoami(access).unwrap();
        call.request.headers()["authorization"].to_str().unwrap().to_owned()
    };
    assert_eq!(header(&granted()), "Bearer t0ken-of-anna");
    assert_eq!(header(&access(&DropboxSign)), "Basic czNjcmV0Og==");
    let user =
        play(DropboxSign.whoami(&granted()).unwrap(), [answer(200, include_str!("fixtures/account.json"))]);
    let user = user.0.unwrap();
    assert_eq!(user.email.as_deref(), Some("me@dropboxsign.com"));
    assert_eq!(user.id.as_deref(), Some("5008b25c7f67153e57d5a357b1687968068fb465"));
    assert_eq!(DropboxSign.key_fields(), ["api_key"]);
}

#[test]
fn what_a_token_does_not_see_is_not_taken_for_deleted() {
    let fetch = |access: &Access, status, body: &'static str| {
        let call = DropboxSign.fetch_envelope(access, &EnvelopeId::new(ID));
        result(call, [answer(status, body)])
    };
    for (status, body) in [(404, FORBIDDEN), (403, FORBIDDEN), (403, "")] {
        assert_eq!(fetch(&granted(), status, body).unwrap(), Lookup::NotFound, "{status}");
    }
    assert_eq!(fetch(&access(&DropboxSign), 403, FORBIDDEN).unwrap_err().kind(), ErrorKind::Forbidden);
    let slower = r#"{"error":{"error_msg":"slow","error_name":"exceeded_rate"}}"#;
    assert_eq!(fetch(&granted(), 403, slower).unwrap_err().kind(), ErrorKind::RateLimited);
    assert_eq!(fetch(&granted(), 403, "<html>").unwrap_err().kind(), ErrorKind::Unintelligible);
    assert_eq!(fetch(&granted(), 401, UNAUTHORIZED).unwrap_err().remedy(), Remedy::RenewAccess);
}

#[test]
fn a_removal_refused_to_a_token_asks_for_the_accounts_key_and_is_no_revoked_grant() {
    let dispose = |access: &Access, status, body: &'static str| -> Result<Disposal, Error> {
        result(
            DropboxSign.dispose(access, &proof(envelope(ID, EnvelopeStatus::Completed))),
            [answer(status, body)],
        )
    };
    for (status, body) in [(401, UNAUTHORIZED), (401, ""), (403, FORBIDDEN)] {
        let error = dispose(&granted(), status, body).unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Forbidden, Remedy::AskPerson), "{status}");
        assert!(error.to_string().contains("API key"), "{error}");
        assert!(matches!(dispose(&access(&DropboxSign), status, body), Ok(Disposal::Kept(_))));
    }
    let stranger = dispose(&granted(), 401, "<html>").unwrap_err();
    assert!(matches!(stranger.remedy(), Remedy::Retry(_)), "{stranger}");
    assert_eq!(dispose(&granted(), 200, "").unwrap(), Disposal::Removed);
}
