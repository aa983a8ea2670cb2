//! The code grant of eSignAnyWhere, and what a user's token shows.

use aftersign_sandbox::{EnvelopeScript, OauthApp, Sandbox, TokenTrouble, Vendor};
use serde_json::{Value, json};

use crate::browser::{
    Browser, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, app, ask_token, authorize_url, call, code_form, code_of,
    form_of, granting, location, parameter, text, token_of,
};
use crate::support::{Client, Got, KEY, config};

const VENDOR: Vendor = Vendor::ESignAnyWhere;
const WHO_AM_I: &str = "/api/v6/authorization/whoami";

async fn who(sandbox: &Sandbox, token: &str) -> Got {
    call(sandbox, VENDOR, token, WHO_AM_I, None).await.unwrap()
}

#[test]
fn an_application_does_not_show_its_secret() {
    assert!(!format!("{:?}", app()).contains("s3cret"));
}

#[tokio::test]
async fn a_person_with_curl_can_act_for_the_people_who_send() {
    let sandbox = Sandbox::start(config(1_000_000.0)).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let origin = format!("http://{}", sandbox.local_addr());
    let post = async |path: &str, body: Value, status: u16| {
        let sent = http.post(format!("{origin}/control/{path}")).body(body.to_string()).send().await.unwrap();
        assert_eq!(sent.status(), status, "{path}");
        serde_json::from_str::<Value>(&sent.text().await.unwrap()).unwrap()
    };
    let oauth =
        json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": REDIRECT_URI });
    let account = json!({
        "platform": "esignanywhere", "id": "hr", "api_key": KEY, "callback_url": "", "oauth": oauth,
        "before_send_redirect_url": "http://page.example/?d=##EnvelopeId##",
    });
    let anna = json!({ "account": "hr", "email": "anna@example.com", "name": "Anna Sender" });
    post("users", anna.clone(), 400).await;
    post("accounts", account, 201).await;
    let added = post("users", anna, 201).await;
    let user = added["user"].as_str().unwrap();
    assert_eq!(added["cookie"], sandbox.sign_in(user));
    let draft = post("drafts", json!({ "user": user, "name": "Lease" }), 201).await;
    let url = format!("http://page.example/?d={}", draft["draft"].as_str().unwrap());
    assert_eq!(draft["before_send_url"], url);
    post("drafts", json!({ "user": "nobody", "name": "Lease" }), 400).await;
    post("envelopes", json!({ "account": "hr", "user": "nobody", "count": 1 }), 400).await;
    post("envelopes", json!({ "account": "hr", "user": user, "count": 1 }), 202).await;
    let token = token_of(&sandbox, VENDOR, user).await;
    for (change, status) in [("disable", 401), ("enable", 200), ("revoke", 401)] {
        post("tokens", json!({ "user": user, "change": change }), 200).await;
        assert_eq!(who(&sandbox, &token).await.status, status, "{change}");
    }
    post("tokens", json!({ "user": "nobody", "change": "revoke" }), 400).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_person_logs_in_and_consents_once_and_is_not_asked_again() {
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", app()).await;
    let url = authorize_url(&sandbox, VENDOR, "");
    assert!(url.contains("/esignanywhere/Auth/Authorize?"), "{url}");
    let mut browser = Browser::new(&sandbox, None);
    let log_in = browser.open(&url).await;
    assert_eq!((log_in.status, log_in.headers["cache-control"].to_str().unwrap()), (200, "no-store"));
    assert!(text(&log_in).contains("Continue as ben@example.com"), "{}", text(&log_in));
    let signed_in = browser.press(&log_in, "Continue as anna@example.com").await;
    assert_eq!(signed_in.status, 303);
    assert_eq!(browser.cookie, Some(sandbox.sign_in(&anna)));
    let consent = browser.open(signed_in.headers["location"].to_str().unwrap()).await;
    assert!(text(&consent).contains(CLIENT_ID) && text(&consent).contains("anna@example.com"));
    let back = location(&browser.press(&consent, "Allow").await);
    assert!(back.starts_with(&format!("{REDIRECT_URI}?code=")), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("st%2Fate"));

    let got = ask_token(&sandbox, VENDOR, "", &code_form(&parameter(&back, "code").unwrap())).await;
    assert_eq!((got.status, got.headers["cache-control"].to_str().unwrap()), (200, "no-store"));
    let answer = got.json();
    let token = answer["access_token"].as_str().unwrap();
    assert!(token.len() == 66 && token.chars().all(|c| c.is_ascii_alphanumeric()), "{token}");
    assert_eq!(answer, json!({ "access_token": token, "token_type": "Bearer" }));
    let me = who(&sandbox, token).await.json();
    assert_eq!((&me["UserId"], &me["Email"]), (&json!(anna), &json!("anna@example.com")));
    assert_eq!((&me["GivenName"], &me["Surname"]), (&json!("Anna"), &json!("Sender")));

    let silent = location(&browser.open(&url).await);
    assert_ne!(parameter(&silent, "code"), parameter(&back, "code"));
    let record = sandbox.ledger().user(&anna).unwrap().clone();
    assert_eq!((record.consents_shown, record.consents_allowed, record.tokens_issued), (1, 1, 1));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_person_who_denies_is_sent_back_and_asked_again() {
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", app()).await;
    let mut browser = Browser::new(&sandbox, Some(sandbox.sign_in(&anna)));
    let url = authorize_url(&sandbox, VENDOR, "");
    let consent = browser.open(&url).await;
    let back = location(&browser.press(&consent, "Deny").await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!((parameter(&back, "state").as_deref(), parameter(&back, "code")), (Some("st%2Fate"), None));
    assert_eq!(browser.open(&url).await.status, 200);
    let record = sandbox.ledger().user(&anna).unwrap().clone();
    assert_eq!((record.consents_shown, record.consents_allowed, record.consents_denied), (2, 0, 1));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wrong_client_or_way_back_ends_at_an_error_page() {
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", app()).await;
    let mut browser = Browser::new(&sandbox, Some(sandbox.sign_in(&anna)));
    let right = authorize_url(&sandbox, VENDOR, "");
    for wrong in [
        right.replace(CLIENT_ID, "other-app"),
        right.replace("%2Fhr&", "%2Fhr%2F&"),
        right.replace("%2Fhr&", "%2FHR&"),
        right.replace("redirect_uri=", "redirect="),
        format!("{right}&redirect_uri=https%3A%2F%2Fevil.example"),
        format!("{right}&client_id={CLIENT_ID}"),
    ] {
        let got = browser.open(&wrong).await;
        assert_eq!((got.status, got.headers.get("location")), (400, None), "{wrong}");
        assert!(text(&got).starts_with("<!DOCTYPE html>"));
    }
    let back = location(&browser.open(&right.replace("=code", "=token")).await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("unsupported_response_type"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("st%2Fate"));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_forged_or_repeated_consent_is_refused() {
    let (sandbox, anna, ben) = granting(VENDOR, config(1.0), "", app()).await;
    let url = authorize_url(&sandbox, VENDOR, "");
    let mut browser = Browser::new(&sandbox, Some(sandbox.sign_in(&anna)));
    assert_eq!(browser.post(&url, "decision=allow").await.status, 403);
    let page = browser.open(&url).await;
    let (action, form) = form_of(&text(&page), "Allow");
    // Somebody else's form, and a form for another request.
    assert_eq!(Browser::new(&sandbox, Some(sandbox.sign_in(&ben))).post(&action, &form).await.status, 403);
    assert_eq!(browser.post(&action.replace("st%2Fate", "other"), &form).await.status, 403);
    assert_eq!(browser.post(&action, &form).await.status, 302);
    assert_eq!(browser.post(&action, &form).await.status, 403);
    assert_eq!(sandbox.ledger().user(&ben).unwrap().consents_allowed, 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_replayed_code_gives_nothing_and_takes_back_what_it_gave() {
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", app()).await;
    let code = code_of(&sandbox, VENDOR, &anna, "").await;
    let token = ask_token(&sandbox, VENDOR, "", &code_form(&code)).await.json();
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(who(&sandbox, token).await.status, 200);
    let other = token_of(&sandbox, VENDOR, &anna).await;
    let replayed = ask_token(&sandbox, VENDOR, "", &code_form(&code)).await;
    assert_eq!((replayed.status, &replayed.json()["error"]), (400, &json!("invalid_grant")));
    let refused = who(&sandbox, token).await;
    assert_eq!((refused.status, refused.body.len()), (401, 0));
    assert_eq!(who(&sandbox, &other).await.status, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_token_endpoint_refuses_by_the_standard() {
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", app()).await;
    let code = code_of(&sandbox, VENDOR, &anna, "").await;
    let form = code_form(&code);
    let expect = |got: &Got, status: u16, error: &str| {
        assert_eq!((got.status, &got.json()["error"]), (status, &json!(error)));
    };
    expect(&ask_token(&sandbox, VENDOR, "", &form.replace("%2Fhr", "%2Fit")).await, 400, "invalid_grant");
    expect(&ask_token(&sandbox, VENDOR, "", &code_form("unknown")).await, 400, "invalid_grant");
    expect(&ask_token(&sandbox, VENDOR, "", "grant_type=authorization_code").await, 400, "invalid_request");
    expect(&ask_token(&sandbox, VENDOR, "", "code=1").await, 400, "invalid_request");
    let refresh = "grant_type=refresh_token&refresh_token=1";
    expect(&ask_token(&sandbox, VENDOR, "", refresh).await, 400, "unsupported_grant_type");
    let mut client = Browser::new(&sandbox, None);
    let url = sandbox.token_url(VENDOR);
    expect(&client.post(&url, &form).await, 401, "invalid_client");
    let wrong = format!("client_id={CLIENT_ID}&client_secret=wrong&{form}");
    let refused = client.post(&url, &wrong).await;
    assert!(refused.headers.contains_key("www-authenticate"));
    expect(&refused, 401, "invalid_client");
    assert_eq!(client.open(&url).await.status, 405);
    // None of this used the code up.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let basic = http
        .post(&url)
        .basic_auth(CLIENT_ID, Some("s3cret%2Fwith%2Bsigns"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    assert_eq!(basic.send().await.unwrap().status(), 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn pkce_is_checked_if_sent_and_demanded_if_required() {
    let with_pkce = OauthApp { pkce_required: true, ..app() };
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", with_pkce).await;
    let mut browser = Browser::new(&sandbox, Some(sandbox.sign_in(&anna)));
    // The pair of RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for bad in
        ["", challenge, &format!("{challenge}&code_challenge_method=plain"), "&code_challenge_method=S256"]
    {
        let back = location(&browser.open(&authorize_url(&sandbox, VENDOR, bad)).await);
        assert_eq!(parameter(&back, "error").as_deref(), Some("invalid_request"), "{bad}");
    }
    let more = format!("{challenge}&code_challenge_method=S256");
    let code = code_of(&sandbox, VENDOR, &anna, &more).await;
    let form = code_form(&code);
    assert_eq!(ask_token(&sandbox, VENDOR, "", &form).await.status, 400);
    let other = verifier.replace('d', "e");
    assert_eq!(ask_token(&sandbox, VENDOR, "", &format!("{form}&code_verifier={other}")).await.status, 400);
    let right = format!("{form}&code_verifier={verifier}");
    assert_eq!(ask_token(&sandbox, VENDOR, "", &right).await.status, 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn bad_answers_come_once_each_and_leave_the_code_alone() {
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", app()).await;
    for trouble in [TokenTrouble::Html, TokenTrouble::ServerError, TokenTrouble::NoToken] {
        sandbox.spoil_token_answer("hr", trouble);
    }
    let form = code_form(&code_of(&sandbox, VENDOR, &anna, "").await);
    let html = ask_token(&sandbox, VENDOR, "", &form).await;
    assert!(html.status == 200 && text(&html).starts_with("<!DOCTYPE html>"));
    assert_eq!(ask_token(&sandbox, VENDOR, "", &form).await.status, 500);
    let empty = ask_token(&sandbox, VENDOR, "", &form).await;
    assert_eq!((empty.status, empty.json()), (200, json!({ "token_type": "Bearer" })));
    assert!(ask_token(&sandbox, VENDOR, "", &form).await.json()["access_token"].is_string());
    sandbox.stop().await;
}

#[tokio::test]
async fn revoked_tokens_are_refused_and_counted_and_the_consent_is_asked_again() {
    let (sandbox, anna, ben) = granting(VENDOR, config(1.0), "", app()).await;
    let token = token_of(&sandbox, VENDOR, &anna).await;
    let bens = token_of(&sandbox, VENDOR, &ben).await;
    let under_way = code_of(&sandbox, VENDOR, &anna, "").await;
    sandbox.revoke(&anna);
    for _ in 0..2 {
        let refused = who(&sandbox, &token).await;
        assert_eq!((refused.status, refused.body.len()), (401, 0));
    }
    assert_eq!(ask_token(&sandbox, VENDOR, "", &code_form(&under_way)).await.status, 400);
    assert_eq!(who(&sandbox, &bens).await.status, 200);
    let mut browser = Browser::new(&sandbox, Some(sandbox.sign_in(&anna)));
    assert_eq!(browser.open(&authorize_url(&sandbox, VENDOR, "")).await.status, 200);
    let again = token_of(&sandbox, VENDOR, &anna).await;
    assert_eq!(who(&sandbox, &again).await.status, 200);
    let ledger = sandbox.ledger();
    let record = ledger.user(&anna).unwrap();
    assert_eq!((record.consents_shown, record.consents_allowed, record.tokens_issued), (3, 2, 2));
    let asked: Vec<_> = record.tokens.iter().map(|t| (t.revoked, t.asked_with_revoked_token)).collect();
    assert_eq!(asked, [(true, 2), (false, 0)]);
    assert_eq!(record.asked_with_revoked_token, 2);
    assert!(!serde_json::to_string(&ledger).unwrap().contains(&token));
    sandbox.stop().await;
}

#[tokio::test]
async fn switched_off_tokens_are_the_same_when_they_are_on_again() {
    let (sandbox, anna, _) = granting(VENDOR, config(1.0), "", app()).await;
    let token = token_of(&sandbox, VENDOR, &anna).await;
    sandbox.disable_tokens(&anna);
    assert_eq!(who(&sandbox, &token).await.status, 401);
    sandbox.enable_tokens(&anna);
    assert_eq!(who(&sandbox, &token).await.status, 200);
    assert_eq!(sandbox.ledger().user(&anna).unwrap().consents_shown, 1);
    sandbox.stop().await;
}

#[tokio::test]
async fn what_a_user_sent_is_seen_with_that_users_token_only() {
    let (sandbox, anna, ben) = granting(VENDOR, config(360_000.0), "", app()).await;
    let held = || EnvelopeScript { hold: true, ..EnvelopeScript::default() };
    let of_anna = sandbox.create_envelope_of(&anna, held());
    let of_nobody = sandbox.create_envelope("hr", held());
    let (annas, bens) = (token_of(&sandbox, VENDOR, &anna).await, token_of(&sandbox, VENDOR, &ben).await);
    let key = Client::new(&sandbox, VENDOR);
    let path = |id: &str| format!("/api/v6/envelope/{id}");

    let mine = call(&sandbox, VENDOR, &annas, &path(&of_anna), None).await.unwrap().json();
    let sender = &mine["SenderUserInformation"];
    assert_eq!(sender, &json!({ "Email": "anna@example.com", "GivenName": "Anna", "Surname": "Sender" }));
    for part in ["", "/files", "/history", "/configuration"] {
        let path = format!("{}{part}", path(&of_anna));
        let by_key = key.get(&path).await;
        let by_ben = call(&sandbox, VENDOR, &bens, &path, None).await.unwrap();
        for hidden in [by_key, by_ben] {
            assert_eq!((hidden.status, &hidden.json()["ErrorId"]), (404, &json!("ERR0007")), "{path}");
        }
    }
    assert_eq!(key.get(&path(&of_nobody)).await.status, 200);
    assert_eq!(call(&sandbox, VENDOR, &annas, &path(&of_nobody), None).await.unwrap().status, 404);
    let found =
        call(&sandbox, VENDOR, &annas, "/api/v6/envelope/find", Some(json!({}))).await.unwrap().json();
    let ids: Vec<_> = found["Envelopes"].as_array().unwrap().iter().map(|e| e["Id"].clone()).collect();
    assert_eq!(ids, [json!(of_anna)]);
    sandbox.send_envelopes_of(&ben, 3);
    sandbox.lives_ended().await;
    let found = call(&sandbox, VENDOR, &bens, "/api/v6/envelope/find", Some(json!({}))).await.unwrap().json();
    assert_eq!(found["Envelopes"].as_array().unwrap().len(), 3);
    sandbox.stop().await;
}
