//! Each peer alone does what the tests of the product rely on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::peers::{Browser, OauthConfig, OauthPeer, Script, SmtpConfig, SmtpPeer, Starttls, python};
use crate::visitor::{Answer, Visitor, form};

const REDIRECT: &str = "http://127.0.0.1:9/consent/back";

/// An OAuth server with a client that posts its secret, one that sends it as Basic, and one that must use PKCE.
fn oauth() -> OauthPeer {
    let client = |id: &str, method: &str, pkce_required: bool| {
        json!({
            "client_id": id, "client_secret": "secret-of-client", "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": method, "pkce_required": pkce_required,
        })
    };
    OauthPeer::start(&OauthConfig {
        clients: vec![
            client("post", "client_secret_post", false),
            client("basic", "client_secret_basic", false),
            client("pkce", "client_secret_post", true),
        ],
        routes: json!({ "/api/v6/draft/7": { "status": 200, "json": { "Id": "7" } } }),
        ..OauthConfig::default()
    })
}

fn authorize_url(peer: &OauthPeer, client: &str, more: &[(&str, &str)]) -> String {
    let fields =
        [("response_type", "code"), ("client_id", client), ("redirect_uri", REDIRECT), ("state", "s1")];
    format!("{}/auth?{}", peer.base_url, form(&[&fields, more].concat()))
}

/// What the server sent the visitor back with.
#[track_caller]
fn sent_back(answer: &Answer) -> BTreeMap<String, String> {
    let url = answer.location.as_ref().unwrap_or_else(|| panic!("it stays: {answer:?}"));
    assert!(url.as_str().starts_with(REDIRECT), "{url}");
    let fields: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(fields["state"], "s1");
    fields
}

/// Logs in and decides.
fn consent(visitor: &mut Visitor, url: &str, login: &str, decision: &str) -> BTreeMap<String, String> {
    let page = visitor.open(url);
    assert!(page.body.contains("<h1>Log in</h1>"), "{page:?}");
    let page = visitor.submit(&page.url, &[("login", login)]);
    assert!(page.body.contains("asks for api of"), "{page:?}");
    sent_back(&visitor.submit(&page.url, &[("decision", decision)]))
}

/// Status and JSON of the token endpoint.
fn token(peer: &OauthPeer, client: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let (status, body) = ask(peer, "/token", client, fields);
    (status, serde_json::from_str(&body).expect("JSON"))
}

/// Status and body of an endpoint that wants the client's secret.
fn ask(peer: &OauthPeer, path: &str, client: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let url = format!("{}{path}", peer.base_url);
    let answer = if client == "basic" {
        let basic = format!("Basic {}", STANDARD.encode("basic:secret-of-client"));
        let headers =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", basic.as_str())];
        Visitor::default().send("POST", &url, &headers, &form(fields))
    } else {
        let own = [("client_id", client), ("client_secret", "secret-of-client")];
        Visitor::default().post(&url, &[&own, fields].concat())
    };
    (answer.status, answer.body)
}

fn exchange(peer: &OauthPeer, client: &str, code: &str) -> Value {
    let fields = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)];
    let (status, tokens) = token(peer, client, &fields);
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn refresh(peer: &OauthPeer, client: &str, tokens: &Value) -> (u16, Value) {
    let refresh_token = tokens["refresh_token"].as_str().expect("a refresh token");
    token(peer, client, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
}

fn ask_api(peer: &OauthPeer, path: &str, header: &str, tokens: &Value) -> Answer {
    let access_token = tokens["access_token"].as_str().expect("an access token");
    let value =
        if header == "apiToken" { access_token.to_string() } else { format!("Bearer {access_token}") };
    Visitor::default().send("GET", &format!("{}{path}", peer.base_url), &[(header, &value)], "")
}

#[test]
fn the_oauth_server_gives_tokens_after_consent_and_rotates_them() {
    let peer = oauth();
    let mut anna = Visitor::default();
    let url = authorize_url(&peer, "post", &[]);
    let tokens = exchange(&peer, "post", &consent(&mut anna, &url, "anna@example.com", "allow")["code"]);
    assert_eq!(tokens["expires_in"], 3600);
    let whoami = ask_api(&peer, "/api/v6/authorization/whoami", "apiToken", &tokens);
    let whoami: Value = serde_json::from_str(&whoami.body).expect("JSON");
    assert_eq!(
        whoami,
        json!({ "UserId": "user-anna", "Email": "anna@example.com", "GivenName": "Anna", "Surname": "Berg",
                "UserName": "anna@example.com" })
    );
    let account = ask_api(&peer, "/v3/account", "Authorization", &tokens);
    assert!(account.body.contains(r#""email_address":"anna@example.com""#), "{account:?}");
    assert_eq!(ask_api(&peer, "/api/v6/draft/7", "Authorization", &tokens).body, r#"{"Id":"7"}"#);

    let (status, renewed) = refresh(&peer, "post", &tokens);
    assert_eq!(status, 200, "{renewed}");
    assert_ne!(renewed["refresh_token"], tokens["refresh_token"]);
    let again = sent_back(&anna.open(&url));
    assert!(again.contains_key("code"), "the session makes a second authorisation silent: {again:?}");

    let (status, reused) = refresh(&peer, "post", &tokens);
    assert_eq!((status, &reused["error"]), (400, &json!("invalid_grant")), "a rotated token is used twice");
    let (status, also) = refresh(&peer, "post", &renewed);
    assert_eq!((status, &also["error"]), (400, &json!("invalid_grant")), "so its successor is void too");
    assert_eq!(ask_api(&peer, "/api/v6/authorization/whoami", "apiToken", &renewed).status, 401);

    let log: Vec<String> = peer
        .log()
        .iter()
        .map(|entry| format!("{} {} {}", entry["grant_type"], entry["error"], entry["tokens"]))
        .collect();
    assert_eq!(
        log,
        [
            r#""authorization_code" null 2"#,
            r#""refresh_token" null 2"#,
            r#""refresh_token" "invalid_grant" 0"#,
            r#""refresh_token" "invalid_grant" 0"#,
        ]
    );
    let calls: Vec<u64> = peer.calls().iter().filter_map(|call| call["status"].as_u64()).collect();
    assert_eq!(calls, [200, 200, 200, 401]);
}

#[test]
fn the_oauth_server_takes_a_grant_back_and_asks_again() {
    let peer = oauth();
    let mut bert = Visitor::default();
    let url = authorize_url(&peer, "basic", &[]);
    let tokens = exchange(&peer, "basic", &consent(&mut bert, &url, "user-bert", "allow")["code"]);
    peer.expire("user-bert");
    assert_eq!(ask_api(&peer, "/v3/account", "Authorization", &tokens).status, 401);
    peer.revoke("user-anna");
    let (status, renewed) = refresh(&peer, "basic", &tokens);
    assert_eq!(status, 200, "neither time nor another's grant ends a refresh token: {renewed}");
    peer.revoke("user-bert");
    let (status, refused) = refresh(&peer, "basic", &renewed);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    let whoami = ask_api(&peer, "/api/v6/authorization/whoami", "Authorization", &renewed);
    assert_eq!((whoami.status, whoami.body.as_str()), (401, ""));
    let account = ask_api(&peer, "/v3/account", "Authorization", &renewed);
    assert!(account.status == 401 && account.body.contains(r#""error_name":"unauthorized""#), "{account:?}");
    let page = bert.open(&url);
    assert!(page.status == 200 && page.body.contains("<h1>Allow access</h1>"), "{page:?}");
    let back = sent_back(&bert.submit(&page.url, &[("decision", "allow")]));
    let tokens = exchange(&peer, "basic", &back["code"]);
    let (status, renewed) = refresh(&peer, "basic", &tokens);
    assert_eq!(status, 200, "{renewed}");

    let refresh_token = renewed["refresh_token"].as_str().expect("a refresh token");
    let (status, _) = ask(&peer, "/token/revocation", "basic", &[("token", refresh_token)]);
    assert_eq!(status, 200);
    let (status, refused) = refresh(&peer, "basic", &renewed);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")), "the client took it back itself");
    let denied = consent(&mut Visitor::default(), &url, "user-anna", "deny");
    assert_eq!(denied["error"], "access_denied");
}

#[test]
fn the_oauth_server_wants_pkce_where_the_client_must_and_checks_it_where_the_client_may() {
    let peer = oauth();
    let mut anna = Visitor::default();
    let without = sent_back(&anna.open(&authorize_url(&peer, "pkce", &[])));
    assert_eq!(without["error"], "invalid_request", "{without:?}");
    // Verifier and challenge of RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let pkce = [("code_challenge", challenge), ("code_challenge_method", "S256")];
    for client in ["pkce", "post"] {
        let code = &consent(
            &mut Visitor::default(),
            &authorize_url(&peer, client, &pkce),
            "user-anna",
            "allow",
        )["code"];
        let fields = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)];
        let wrong = "w".repeat(43);
        let (status, refused) = token(&peer, client, &[&fields[..], &[("code_verifier", &wrong)]].concat());
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")), "{refused}");
        let code = &consent(
            &mut Visitor::default(),
            &authorize_url(&peer, client, &pkce),
            "user-anna",
            "allow",
        )["code"];
        let fields = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)];
        let (status, tokens) = token(&peer, client, &[&fields[..], &[("code_verifier", verifier)]].concat());
        assert_eq!(status, 200, "{tokens}");
    }
}

/// A page that a script changes, below a policy or not.
fn pages() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base_url = format!("http://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
            let line = head.next().unwrap_or_default();
            // The rest of the head, so that nothing unread resets the connection.
            head.find(String::is_empty);
            let policy =
                if line.starts_with("GET /strict ") { "default-src 'none'; form-action 'self'" } else { "" };
            let body = r#"<!doctype html><title>A page</title><link rel="icon" href="data:,"><p id="p">as sent</p>
                <form action="/done"><input name="word"><button>Go</button></form>
                <script>document.getElementById("p").textContent = "changed by a script"</script>"#;
            // A browser that goes away is its own business.
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Security-Policy: {policy}\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    base_url
}

#[test]
fn the_browser_tells_what_a_person_sees_with_and_without_scripts() {
    let base_url = pages();
    let picture = tempfile::tempdir().expect("a temporary folder");
    let picture = picture.path().join("page.png");
    for (javascript, text) in [(true, "changed by a script"), (false, "as sent")] {
        let steps = vec![
            json!({ "goto": base_url }),
            json!({ "expectText": text }),
            json!({ "fill": ["input", "hello"] }),
            json!({ "click": "button" }),
            json!({ "wait": "/done?word=hello" }),
            json!({ "screenshot": picture }),
        ];
        let reports = Browser::run(&Script { javascript, steps });
        let last = reports.last().expect("a report");
        assert_eq!((last.title.as_str(), last.status), ("A page", Some(200)));
        assert!(last.text.contains(text) && last.url.ends_with("/done?word=hello"), "{last:?}");
        reports.iter().for_each(|report| report.assert_clean());
        assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"));
    }
}

#[test]
fn the_browser_tells_what_a_page_may_not_do() {
    let url = format!("{}/strict", pages());
    let reports = Browser::run(&Script { javascript: true, steps: vec![json!({ "goto": url })] });
    let report = &reports[0];
    assert!(report.violations.iter().any(|what| what == "script-src-elem: inline"), "{report:?}");
    assert!(report.console.iter().any(|what| what.contains("Content Security Policy")), "{report:?}");
    assert!(report.text.contains("as sent"), "{report:?}");
}

/// Sends a mail with another client than ours, and tells whether STARTTLS was offered and what the answer was.
const MAIL_CLIENT: &str = r#"
import json, smtplib, ssl, sys
ask = json.loads(sys.argv[1])
with smtplib.SMTP("127.0.0.1", ask["port"], timeout=60) as client:
    client.ehlo()
    offered = client.has_extn("starttls")
    try:
        if ask["ca"]:
            client.starttls(context=ssl.create_default_context(cafile=ask["ca"]))
        if ask["login"]:
            client.login(*ask["login"])
        client.sendmail("aftersign@example.com", [ask["to"]], "Subject: Hello\r\n\r\nA task.\r\n")
        code = 250
    except smtplib.SMTPRecipientsRefused as error:
        code = error.recipients[ask["to"]][0]
    except smtplib.SMTPResponseException as error:
        code = error.smtp_code
print(json.dumps([offered, code]))
"#;

/// What the mail client saw, from a server and with what it brings along.
fn mail(peer: &SmtpPeer, tls: bool, login: Option<(&str, &str)>, to: &str) -> (bool, u64) {
    let ask = json!({ "port": peer.port, "ca": tls.then(|| peer.ca_file()), "login": login, "to": to });
    let output = Command::new(python())
        .args(["-c", MAIL_CLIENT])
        .arg(ask.to_string())
        .output()
        .expect("the client runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("what it saw")
}

fn mail_server(starttls: Starttls) -> SmtpConfig {
    SmtpConfig { starttls, ..SmtpConfig::default() }
}

#[test]
fn the_mail_server_takes_mail_over_starttls_from_who_logged_in() {
    let login = ("aftersign", "password-of-mail");
    let peer = SmtpPeer::start(&SmtpConfig { login: Some(login), ..mail_server(Starttls::Required) });
    assert_eq!(mail(&peer, false, None, "anna@example.com"), (true, 530), "not in the clear");
    assert_eq!(mail(&peer, true, None, "anna@example.com"), (true, 530), "not without a login");
    assert_eq!(mail(&peer, true, Some(("aftersign", "wrong")), "anna@example.com"), (true, 535));
    assert!(peer.messages().is_empty());
    assert_eq!(mail(&peer, true, Some(login), "anna@example.com"), (true, 250));
    let message = &peer.wait_for(1)[0];
    assert_eq!(
        (message.from.as_str(), &message.to[..]),
        ("aftersign@example.com", &["anna@example.com".to_string()][..])
    );
    assert_eq!(message.data, "Subject: Hello\r\n\r\nA task.\r\n");
    assert!(message.tls && message.user.as_deref() == Some("aftersign"), "{message:?}");
}

#[test]
fn the_mail_server_may_want_starttls_and_no_login() {
    let peer = SmtpPeer::start(&mail_server(Starttls::Required));
    assert_eq!(mail(&peer, false, None, "anna@example.com"), (true, 530));
    assert_eq!(mail(&peer, true, None, "anna@example.com"), (true, 250));
    assert_eq!(peer.messages().len(), 1);
}

#[test]
fn the_mail_server_refuses_addresses_and_is_busy_as_told() {
    for starttls in [Starttls::Offered, Starttls::None] {
        let config = SmtpConfig { refuse: vec!["gone@example.com"], busy: 1, ..mail_server(starttls) };
        let peer = SmtpPeer::start(&config);
        let offered = starttls == Starttls::Offered;
        assert_eq!(mail(&peer, false, None, "gone@example.com"), (offered, 550));
        assert_eq!(mail(&peer, false, None, "anna@example.com"), (offered, 451));
        assert_eq!(mail(&peer, offered, None, "anna@example.com"), (offered, 250));
        let messages = peer.messages();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].tls, offered);
    }
}
