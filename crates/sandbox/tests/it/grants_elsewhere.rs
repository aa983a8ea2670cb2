//! The grants of Dropbox Sign, whose tokens end and are renewed, and of Scrive, by OAuth 1.0.

use aftersign_sandbox::{EnvelopeScript, OauthApp, Sandbox, TokenTrouble, Vendor};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::browser::{
    Browser, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, app, ask_token, authorize_url, call, code_form, code_of,
    granting, location, parameter, text, token_of,
};
use crate::support::{Client, Got, config};

const DROPBOX: Vendor = Vendor::DropboxSign;

fn held() -> EnvelopeScript {
    EnvelopeScript { hold: true, ..EnvelopeScript::default() }
}

async fn account(sandbox: &Sandbox, token: &Value) -> Got {
    call(sandbox, DROPBOX, token.as_str().unwrap(), "/account", None).await.unwrap()
}

async fn refresh(sandbox: &Sandbox, token: &Value) -> Got {
    let form = format!("grant_type=refresh_token&refresh_token={}", token.as_str().unwrap());
    ask_token(sandbox, DROPBOX, "?refresh", &form).await
}

#[tokio::test]
async fn a_dropbox_sign_token_is_renewed_once_per_refresh_token() {
    let (sandbox, anna, _) = granting(DROPBOX, config(1.0), "", app()).await;
    // Neither the request nor the exchange has to name the only way back there is.
    let redirect = "&redirect_uri=https%3A%2F%2Fsign.example.com%2Fgrants%2Fhr";
    let url = authorize_url(&sandbox, DROPBOX, "").replace(redirect, "");
    let mut browser = Browser::new(&sandbox, Some(sandbox.sign_in(&anna)));
    let consent = browser.open(&url).await;
    let back = location(&browser.press(&consent, "Allow").await);
    assert!(back.starts_with(REDIRECT_URI), "{back}");
    let form = format!("grant_type=authorization_code&state=st&code={}", parameter(&back, "code").unwrap());
    let first = ask_token(&sandbox, DROPBOX, "", &form).await.json();
    assert_eq!((&first["token_type"], &first["expires_in"]), (&json!("Bearer"), &json!(86_400)));
    assert_eq!(first["state"], "st");
    let me = account(&sandbox, &first["access_token"]).await.json();
    assert_eq!(me["account"]["email_address"], "anna@example.com");
    assert_eq!(me["account"]["account_id"], anna.as_str());

    let second = refresh(&sandbox, &first["refresh_token"]).await.json();
    assert_eq!(account(&sandbox, &second["access_token"]).await.status, 200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let spent = refresh(&sandbox, &first["refresh_token"]).await;
    assert_eq!((spent.status, &spent.json()["error"]), (400, &json!("invalid_grant")));
    let form =
        format!("grant_type=refresh_token&refresh_token={}", second["refresh_token"].as_str().unwrap());
    let wrong_place = ask_token(&sandbox, DROPBOX, "", &form).await;
    assert_eq!((wrong_place.status, &wrong_place.json()["error"]), (400, &json!("invalid_request")));
    let wrong_client = Browser::new(&sandbox, None)
        .post(
            &format!("{}?refresh", sandbox.token_url(DROPBOX)),
            &format!("client_id=x&client_secret=y&{form}"),
        )
        .await;
    assert_eq!((wrong_client.status, &wrong_client.json()["error"]), (400, &json!("invalid_client")));

    sandbox.revoke(&anna);
    assert_eq!(account(&sandbox, &second["access_token"]).await.status, 401);
    let revoked = refresh(&sandbox, &second["refresh_token"]).await;
    assert_eq!((revoked.status, &revoked.json()["error"]), (400, &json!("invalid_grant")));
    let record = sandbox.ledger().user(&anna).unwrap().clone();
    assert_eq!((record.tokens_issued, record.refreshes, record.asked_with_revoked_token), (2, 1, 2));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_dropbox_sign_token_ends_when_its_answer_says() {
    let brief = OauthApp { access_token_seconds: Some(0), ..app() };
    let (sandbox, anna, _) = granting(DROPBOX, config(1.0), "", brief).await;
    let code = code_of(&sandbox, DROPBOX, &anna, "").await;
    let token = ask_token(&sandbox, DROPBOX, "", &code_form(&code)).await.json();
    assert_eq!(token["expires_in"], 0);
    assert_eq!(account(&sandbox, &token["access_token"]).await.status, 401);
    assert_eq!(refresh(&sandbox, &token["refresh_token"]).await.status, 200);
    assert_eq!(sandbox.ledger().user(&anna).unwrap().asked_with_revoked_token, 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn dropbox_signs_key_sees_all_and_a_token_its_users_own() {
    let (sandbox, anna, ben) = granting(DROPBOX, config(3600.0), "", app()).await;
    let id = sandbox.create_envelope_of(&anna, held());
    let path = format!("/signature_request/{id}");
    let by_key = Client::new(&sandbox, DROPBOX).get(&path).await.json();
    assert_eq!(by_key["signature_request"]["requester_email_address"], "anna@example.com");
    let (annas, bens) = (token_of(&sandbox, DROPBOX, &anna).await, token_of(&sandbox, DROPBOX, &ben).await);
    assert_eq!(call(&sandbox, DROPBOX, &annas, &path, None).await.unwrap().status, 200);
    assert_eq!(call(&sandbox, DROPBOX, &bens, &path, None).await.unwrap().status, 404);
    sandbox.stop().await;
}

/// The header of a Scrive request.
fn header(fields: &[(&str, &str)], secrets: [&str; 2]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let signature = encode(&secrets.join("&"));
    let mut all = vec![
        "oauth_signature_method=\"PLAINTEXT\"".to_owned(),
        format!("oauth_consumer_key=\"{CLIENT_ID}\""),
        format!("oauth_signature=\"{signature}\""),
    ];
    all.extend(fields.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))));
    all.join(", ")
}

async fn scrive(sandbox: &Sandbox, path: &str, header: String) -> Got {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{path}", sandbox.base_url(Vendor::Scrive));
    let response = http.get(url).header("authorization", header).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

fn field(got: &Got, name: &str) -> String {
    assert_eq!(got.status, 200, "{}", text(got));
    assert_eq!(got.headers["content-type"], "application/x-www-form-urlencoded");
    parameter(&format!("?{}", text(got)), name).unwrap()
}

async fn temporary(sandbox: &Sandbox, privileges: &str) -> Got {
    let header = header(&[("oauth_callback", REDIRECT_URI)], [CLIENT_SECRET, "aaaaaa"]);
    scrive(sandbox, &format!("/oauth/temporarycredentials?privileges={privileges}"), header).await
}

async fn lasting(sandbox: &Sandbox, temporary: &Got, verifier: &str) -> Got {
    let fields = [("oauth_token", &*field(temporary, "oauth_token")), ("oauth_verifier", verifier)];
    let header = header(&fields, [CLIENT_SECRET, &field(temporary, "oauth_token_secret")]);
    scrive(sandbox, "/oauth/tokencredentials", header).await
}

/// Where the user comes back after pressing this button.
async fn answer(sandbox: &Sandbox, user: &str, temporary: &Got, button: &str) -> String {
    let url =
        format!("{}?oauth_token={}", sandbox.authorize_url(Vendor::Scrive), field(temporary, "oauth_token"));
    let mut browser = Browser::new(sandbox, Some(sandbox.sign_in(user)));
    let consent = browser.open(&url).await;
    let back = location(&browser.press(&consent, button).await);
    assert_eq!(browser.open(&url).await.status, 400);
    back
}

/// A user's credential as a header.
async fn credential(sandbox: &Sandbox, user: &str, privileges: &str) -> String {
    let temporary = temporary(sandbox, privileges).await;
    let back = answer(sandbox, user, &temporary, "Allow").await;
    let token = lasting(sandbox, &temporary, &parameter(&back, "oauth_verifier").unwrap()).await;
    let fields = [("oauth_token", &*field(&token, "oauth_token"))];
    header(&fields, [CLIENT_SECRET, &field(&token, "oauth_token_secret")])
}

#[tokio::test]
async fn a_scrive_grant_goes_through_three_steps_with_their_oddities() {
    let (sandbox, anna, _) = granting(Vendor::Scrive, config(1.0), "", app()).await;
    let dance = temporary(&sandbox, "DOC_CHECK%2BDOC_SEND").await;
    assert_eq!(field(&dance, "oauth_callback_confirmed"), "true");
    let token = field(&dance, "oauth_token");
    assert_eq!(lasting(&sandbox, &dance, "").await.status, 401);
    let back = answer(&sandbox, &anna, &dance, "Allow").await;
    assert!(back.starts_with(&format!("{REDIRECT_URI}?=&oauth_token={token}&oauth_verifier=")), "{back}");
    let verifier = parameter(&back, "oauth_verifier").unwrap();
    assert_eq!(lasting(&sandbox, &dance, "wrong").await.status, 401);
    sandbox.spoil_token_answer("hr", TokenTrouble::ServerError);
    assert_eq!(lasting(&sandbox, &dance, &verifier).await.status, 500);
    let got = lasting(&sandbox, &dance, &verifier).await;
    assert_eq!((field(&got, "oauth_token_secret").len(), &field(&got, "oauth_token")[16..17]), (16, "_"));
    assert_eq!(lasting(&sandbox, &dance, &verifier).await.status, 401);

    let dance = temporary(&sandbox, "DOC_CHECK").await;
    let token = field(&dance, "oauth_token");
    let back = answer(&sandbox, &anna, &dance, "Deny").await;
    assert_eq!(back, format!("{REDIRECT_URI}?=&oauth_token={token}&denied=true"));
    assert_eq!(lasting(&sandbox, &dance, "").await.status, 401);

    assert_eq!(temporary(&sandbox, "DOC_CHECK+DOC_SEND").await.status, 400);
    assert_eq!(temporary(&sandbox, "EVERYTHING").await.status, 400);
    let path = "/oauth/temporarycredentials?privileges=DOC_CHECK";
    let here = [("oauth_callback", REDIRECT_URI)];
    for secrets in [[CLIENT_SECRET, ""], ["wrong", "aaaaaa"]] {
        let refused = scrive(&sandbox, path, header(&here, secrets)).await;
        assert_eq!((refused.status, &refused.json()["error_type"]), (401, &json!("invalid_authorisation")));
    }
    let elsewhere = [("oauth_callback", "https://evil.example/")];
    assert_eq!(scrive(&sandbox, path, header(&elsewhere, [CLIENT_SECRET, "aaaaaa"])).await.status, 400);
    let record = sandbox.ledger().user(&anna).unwrap().clone();
    assert_eq!((record.consents_allowed, record.consents_denied, record.tokens_issued), (1, 1, 1));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_scrive_users_credential_shows_their_own_until_it_is_revoked() {
    let (sandbox, anna, ben) = granting(Vendor::Scrive, config(1.0), "", app()).await;
    let id = sandbox.create_envelope_of(&anna, held());
    let annas = credential(&sandbox, &anna, "DOC_CHECK%2BDOC_SEND").await;
    let bens = credential(&sandbox, &ben, "FULL_ACCESS").await;
    let path = format!("/api/v2/documents/{id}/get");
    let shown = scrive(&sandbox, &path, annas.clone()).await.json();
    let author = &shown["parties"][0];
    assert_eq!((&author["is_author"], &author["user_id"]), (&json!(true), &json!(anna)));
    assert!(author["fields"].to_string().contains("anna@example.com"), "{author}");
    let whose = scrive(&sandbox, "/api/v2/getprofile", annas.clone()).await.json();
    assert_eq!((&whose["id"], &whose["email"]), (&json!(anna), &json!("anna@example.com")));
    assert_eq!(scrive(&sandbox, &path, bens.clone()).await.status, 404);
    assert_eq!(Client::new(&sandbox, Vendor::Scrive).get(&path).await.status, 404);
    let flows = scrive(&sandbox, "/flow/instances", annas.clone()).await;
    assert_eq!(flows.status, 403);
    assert_eq!(scrive(&sandbox, "/flow/instances", bens.clone()).await.status, 200);
    let creating = credential(&sandbox, &anna, "DOC_CREATE").await;
    let refused = scrive(&sandbox, &path, creating).await;
    assert_eq!((refused.status, &refused.json()["error_type"]), (403, &json!("insufficient_privileges")));

    sandbox.revoke(&anna);
    let refused = scrive(&sandbox, &path, annas).await;
    assert_eq!((refused.status, &refused.json()["error_type"]), (401, &json!("invalid_authorisation")));
    assert_eq!(scrive(&sandbox, "/api/v2/documents/list", bens).await.status, 200);
    assert_eq!(sandbox.ledger().user(&anna).unwrap().asked_with_revoked_token, 1);
    sandbox.stop().await;
}
