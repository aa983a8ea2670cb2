//! The tokens of OneSpan Sign.

use aftersign_sandbox::{FaultProfile, Sandbox, SandboxConfig};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::onespan::{ANNA, OWNER, VENDOR, held_by, with, world};
use crate::support::{Client, Got, config, patiently};

async fn client_app_token(sandbox: &Sandbox, body: Value) -> Got {
    Client::new(sandbox, VENDOR).post("/apitoken/clientApp/accessToken", Some(body)).await
}

async fn oauth_token(sandbox: &Sandbox, secret: &str, form: &str) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http
        .post(format!("{}/oauth2/token", sandbox.base_url(VENDOR)))
        .basic_auth("app", Some(secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

/// What a session is answered with; `None` if the connection was dropped.
async fn session(sandbox: &Sandbox, authorization: &str) -> Option<u16> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.get(format!("{}/api/session", sandbox.base_url(VENDOR)));
    let answer = request.header("authorization", authorization).send().await.ok()?;
    Some(answer.status().as_u16())
}

/// A token, as soon as no fault comes instead.
async fn some_oauth_token(sandbox: &Sandbox) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    patiently("a token", async {
        loop {
            let request = http
                .post(format!("{}/oauth2/token", sandbox.base_url(VENDOR)))
                .basic_auth("app", Some("s3cret"))
                .header("content-type", "application/x-www-form-urlencoded")
                .body("grant_type=client_credentials");
            let Ok(answer) = request.send().await else { continue };
            let answer = serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap_or_default();
            if let Some(token) = answer["access_token"].as_str() {
                return format!("Bearer {token}");
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_client_app_token_says_when_it_ends_and_a_senders_shows_only_their_packages() {
    let sandbox = world(config(1.0), "").await;
    let own = sandbox.create_envelope("hr", held_by(ANNA));
    let others = sandbox.create_envelope("hr", held_by(OWNER));
    let ask = |kind: &str, email: &str| json!({"clientId":"app","secret":"s3cret","type":kind,"email":email});
    let wrong = client_app_token(&sandbox, json!({"clientId":"app","secret":"no","type":"OWNER"})).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(client_app_token(&sandbox, ask("SENDER", "nobody@example.com")).await.status, 404);

    let answer = client_app_token(&sandbox, ask("SENDER", ANNA)).await.json();
    let left = answer["expiresAt"].as_i64().unwrap() - jiff::Timestamp::now().as_millisecond();
    assert!((1_790_000..=1_800_000).contains(&left), "milliseconds until the end: {left}");
    let bearer = format!("Bearer {}", answer["accessToken"].as_str().unwrap());
    let list = with(&sandbox, &bearer, "/api/packages").await.json();
    assert_eq!((list["count"].as_u64(), list["results"][0]["id"].as_str()), (Some(1), Some(own.as_str())));
    assert_eq!(with(&sandbox, &bearer, &format!("/api/packages/{own}")).await.status, 200);
    let refused = with(&sandbox, &bearer, &format!("/api/packages/{others}")).await;
    assert_eq!(
        (refused.status, refused.json()["messageKey"].as_str()),
        (403, Some("error.forbidden.noPermission"))
    );
    assert_eq!(with(&sandbox, &bearer, &format!("/api/packages?ownerEmail={OWNER}")).await.status, 403);

    let owner = client_app_token(&sandbox, json!({"clientId":"app","secret":"s3cret","type":"OWNER"})).await;
    let bearer = format!("Bearer {}", owner.json()["accessToken"].as_str().unwrap());
    for id in [&own, &others] {
        assert_eq!(with(&sandbox, &bearer, &format!("/api/packages/{id}")).await.status, 200);
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn an_oauth_token_lives_299_seconds_of_the_world_and_in_a_fast_one_no_token_is_too_short_to_be_used_again()
 {
    let sandbox = world(config(1.0), "").await;
    let own = sandbox.create_envelope("hr", held_by(ANNA));
    assert_eq!(oauth_token(&sandbox, "no", "grant_type=client_credentials").await.0, 401);
    let (status, refused) = oauth_token(&sandbox, "s3cret", "grant_type=authorization_code").await;
    assert_eq!((status, refused["error"].as_str()), (400, Some("unsupported_grant_type")));
    let anna = Client::new(&sandbox, VENDOR).get("/api/account/senders?search=anna").await.json();
    let id = anna["results"][0]["id"].as_str().unwrap();
    assert!(id.len() == 12 && id.chars().all(|c| c.is_ascii_alphanumeric()));
    let form = format!("grant_type=client_credentials&sender_id={id}");
    let (_, answer) = oauth_token(&sandbox, "s3cret", &form).await;
    assert_eq!((answer["expires_in"].as_u64(), answer["token_type"].as_str()), (Some(299), Some("Bearer")));
    let token = answer["access_token"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let expiry = serde_json::from_slice::<Value>(&claims).unwrap()["exp"].as_i64().unwrap();
    assert!((290..=299).contains(&(expiry - jiff::Timestamp::now().as_second())));
    let list = with(&sandbox, &format!("Bearer {token}"), "/api/packages").await.json();
    assert_eq!(list["results"][0]["id"], own.as_str());
    sandbox.stop().await;

    let fast = world(config(1_000_000.0), "").await;
    let (_, answer) = oauth_token(&fast, "s3cret", "grant_type=client_credentials").await;
    assert_eq!(answer["expires_in"], 30);
    let body = json!({"clientId":"app","secret":"s3cret","type":"OWNER"});
    let answer = client_app_token(&fast, body).await.json();
    let left = answer["expiresAt"].as_i64().unwrap() - jiff::Timestamp::now().as_millisecond();
    assert!((80_000..=90_000).contains(&left), "milliseconds until the end: {left}");
    fast.stop().await;
}

#[tokio::test]
async fn in_a_world_with_faults_some_tokens_are_revoked_after_a_while_and_another_is_given() {
    let settings = SandboxConfig { faults: FaultProfile::Hard, ..config(1_000_000.0) };
    let sandbox = world(settings, "").await;
    let mut bearers = Vec::new();
    for _ in 0..30 {
        bearers.push(some_oauth_token(&sandbox).await);
    }
    patiently("a revoked token", async {
        for bearer in bearers.iter().cycle() {
            if session(&sandbox, bearer).await == Some(401) {
                return;
            }
        }
    })
    .await;
    assert_eq!(sandbox.ledger().faults["token-revoked"], 1);
    let next = some_oauth_token(&sandbox).await;
    patiently("an answer", async { while session(&sandbox, &next).await != Some(200) {} }).await;
    assert_eq!(sandbox.ledger().faults["token-revoked"], 1);
    sandbox.stop().await;
}
