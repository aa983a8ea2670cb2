//! A sender gives access on our pages: against a certified OAuth server, and against the world of platforms.

use std::collections::BTreeMap;

use aftersign_sandbox::{AccountSpec, OauthApp, Sandbox, SandboxConfig, UserSpec, Vendor};
use serde_json::json;

use crate::peers::{OauthConfig, OauthPeer};
use crate::site::{PATH_SECRET, Site};
use crate::visitor::{Answer, Visitor};

pub(crate) const CLIENT_SECRET: &str = "secret/of the+application:0123456789";

/// The config of an eSignAnyWhere account that is nothing but an OAuth server's client of the same name.
fn account(id: &str, base_url: &str, more: &str) -> String {
    format!(
        r#"
[[account]]
id = "{id}"
platform = "esignanywhere"
base_url = "{base_url}"
path_secrets = ["{PATH_SECRET}"]
[account.oauth]
client_id = "client of {id}"
client_secret = "{CLIENT_SECRET}"
authorize_url = "{base_url}/auth"
scope = "api"
{more}
"#
    )
}

/// The same client as the OAuth server knows it.
fn client(site: &Site, id: &str, method: &str, pkce_required: bool) -> serde_json::Value {
    json!({
        "client_id": format!("client of {id}"), "client_secret": CLIENT_SECRET,
        "redirect_uris": [site.page(&format!("/consent/{id}/return"))],
        "token_endpoint_auth_method": method, "pkce_required": pkce_required,
    })
}

/// From our page to the platform's address.
#[track_caller]
pub(crate) fn leave(visitor: &mut Visitor, site: &Site, id: &str, platform: &str) -> String {
    let offer = visitor.open(&site.page(&format!("/consent/{id}")));
    assert_eq!((offer.status, offer.heading()), (200, &*format!("Connect your account at {platform}")));
    let away = visitor.press(&offer, &format!("Give access at {platform}"), &[]);
    assert_eq!((away.status, away.heading()), (200, &*format!("On to {platform}")));
    away.button().into()
}

/// Says who it is if asked, decides if asked, and gives where the OAuth server sends the visitor back to.
#[track_caller]
pub(crate) fn decide(visitor: &mut Visitor, url: &str, login: &str, decision: &str) -> String {
    let mut page = visitor.open(url);
    for (heading, button, typed) in
        [("Log in", "Log in", vec![("login", login)]), ("Allow access", decision, Vec::new())]
    {
        if page.location.is_none() && page.heading() == heading {
            page = visitor.press(&page, button, &typed);
        }
    }
    page.location.unwrap_or_else(|| panic!("it stays: {page:#?}", page = page.body)).into()
}

#[track_caller]
pub(crate) fn assert_page(answer: &Answer, status: u16, heading: &str) {
    assert_eq!((answer.status, answer.heading()), (status, heading), "{answer:#?}");
}

#[test]
fn consent_at_an_oauth_server_gives_access_once_however_the_application_shows_itself() {
    let mut site = Site::new();
    let posts = client(&site, "posts", "client_secret_post", false);
    let basic = client(&site, "basic", "client_secret_basic", false);
    let pkce = client(&site, "pkce", "client_secret_post", true);
    let clients = vec![posts, basic, pkce];
    let peer = OauthPeer::start(&OauthConfig { clients, ..OauthConfig::default() });
    let token_url = format!("token_url = \"{}/token\"", peer.base_url);
    let more = ["", "client_auth = \"basic\"", "pkce = true"].map(|way| format!("{token_url}\n{way}"));
    let accounts = ["posts", "basic", "pkce"].iter().zip(more);
    let accounts: String = accounts.map(|(id, more)| account(id, &peer.base_url, &more)).collect();
    site.configure(60.0, &accounts);
    site.serve();

    let mut anna = Visitor::default();
    let mut secrets = vec![CLIENT_SECRET.to_string()];
    for (index, id) in ["posts", "basic", "pkce"].into_iter().enumerate() {
        let away = leave(&mut anna, &site, id, "eSignAnyWhere");
        assert_eq!(away.contains("code_challenge_method=S256"), id == "pkce", "{away}");
        let back = decide(&mut anna, &away, "anna@example.com", "Allow");
        let connected = anna.open(&back);
        assert_page(&connected, 200, "You are connected");
        assert!(connected.body.contains("anna@example.com"), "{connected:?}");
        let given = site.list("grants", &["--account", id]);
        assert_eq!(
            (&given[0]["sender"], &given[0]["user_id"], &given[0]["kind"], &given[0]["refused_at"]),
            (&json!("anna@example.com"), &json!("user-anna"), &json!("consent"), &json!(null))
        );

        assert_page(&anna.open(&back), 403, "We cannot tell where this visit began");
        let log = peer.log();
        assert_eq!(log.len(), index + 1, "a way back is good for one exchange: {log:#?}");
        let shows_in_form = log[index]["fields"].as_array().expect("names").contains(&json!("client_secret"));
        assert_eq!(shows_in_form, id != "basic", "{log:#?}");
        assert_eq!((&log[index]["status"], &log[index]["tokens"]), (&json!(200), &json!(2)), "{log:#?}");
        let url = reqwest::Url::parse(&back).expect("an address");
        secrets
            .extend(url.query_pairs().filter(|(name, _)| name != "iss").map(|(_, value)| value.into_owned()));
    }
    assert_eq!(site.list("grants", &[]).len(), 3);
    secrets.extend(peer.secrets());
    secrets.extend(anna.cookies("aftersign-"));
    assert!(secrets.len() >= 3 * 5, "{secrets:?}");
    site.holds_none_of(&secrets);
}

#[test]
fn a_way_back_that_nobody_began_is_worth_nothing_and_who_says_no_can_say_yes_later() {
    let mut site = Site::new();
    let clients = vec![client(&site, "hr", "client_secret_post", false)];
    let peer = OauthPeer::start(&OauthConfig { clients, ..OauthConfig::default() });
    site.configure(60.0, &account("hr", &peer.base_url, &format!("token_url = \"{}/token\"", peer.base_url)));
    site.serve();

    let (mut anna, mut mallory) = (Visitor::default(), Visitor::default());
    let forged = site.page("/consent/hr/return?code=a-code-of-mallory&state=a-state-of-mallory");
    assert_page(&anna.open(&forged), 403, "We cannot tell where this visit began");

    let away = leave(&mut anna, &site, "hr", "eSignAnyWhere");
    let back = decide(&mut anna, &away, "user-anna", "Deny");
    let declined = anna.open(&back);
    assert_page(&declined, 403, "You did not give access");
    assert_eq!(anna.open(declined.button().as_str()).status, 200);

    // Mallory has Anna finish what he began, so that she would be known by his account.
    let away = leave(&mut mallory, &site, "hr", "eSignAnyWhere");
    let back = decide(&mut mallory, &away, "user-bert", "Allow");
    assert_page(&anna.open(&back), 403, "We cannot tell where this visit began");
    assert!(site.list("grants", &[]).is_empty() && peer.log().is_empty());

    let away = leave(&mut anna, &site, "hr", "eSignAnyWhere");
    let back = decide(&mut anna, &away, "user-anna", "Allow");
    assert_page(&anna.open(&back), 200, "You are connected");
    assert_eq!(site.list("grants", &[])[0]["sender"], "anna@example.com");
}

#[test]
fn an_oauth_server_that_is_set_up_wrongly_gives_a_page_for_the_sender_and_a_reason_for_the_operator() {
    let mut site = Site::new();
    let mut secret = client(&site, "secret", "client_secret_post", false);
    secret["client_secret"] = json!("another secret than the one in the config");
    let page = client(&site, "page", "client_secret_post", false);
    let pkce = client(&site, "pkce", "client_secret_post", true);
    let peer = OauthPeer::start(&OauthConfig {
        clients: vec![secret, page, pkce],
        pages: json!({ "/broken": "<!doctype html><title>Sign in to the gateway</title>" }),
        ..OauthConfig::default()
    });
    let accounts = [("secret", "/token"), ("page", "/broken"), ("pkce", "/token")];
    let accounts = accounts
        .map(|(id, path)| account(id, &peer.base_url, &format!("token_url = \"{}{path}\"", peer.base_url)));
    site.configure(60.0, &accounts.concat());
    site.serve();

    let mut anna = Visitor::default();
    for (id, status, heading, reason) in [
        ("secret", 500, "Something is wrong on our side", "check `client_id`, `client_secret`"),
        (
            "page",
            503,
            "eSignAnyWhere does not answer",
            "the answer is an HTML page: is `oauth.token_url` right?",
        ),
        ("pkce", 502, "eSignAnyWhere did not give us access", "PKCE"),
    ] {
        let away = leave(&mut anna, &site, id, "eSignAnyWhere");
        let back = decide(&mut anna, &away, "user-anna", "Allow");
        let answer = anna.open(&back);
        assert_page(&answer, status, heading);
        assert_eq!(answer.button().as_str(), site.page(&format!("/consent/{id}")), "it can be tried again");
        let log = site.log();
        assert!(log.lines().any(|line| line.contains(id) && line.contains(reason)), "{reason}: {log}");
    }
    assert!(site.list("grants", &[]).is_empty());
    site.holds_none_of(&[vec![CLIENT_SECRET.to_string()], peer.secrets()].concat());
}

/// A world with one account and its application, and a site that is connected with it.
async fn world(vendor: Vendor, site: &Site, more: &str) -> Sandbox {
    let world = Sandbox::start(SandboxConfig::default()).await.expect("the sandbox starts");
    world.open_account(AccountSpec {
        vendor,
        id: "lab".into(),
        api_key: "key-of-the-account-0123456789".into(),
        secrets: BTreeMap::from(
            ["api_token", "api_secret", "access_token", "access_secret"]
                .map(|name| (name.to_string(), format!("{name} of the account").replace(' ', "-"))),
        ),
        oauth: Some(OauthApp {
            client_id: "client-0123456789abcdef".into(),
            client_secret: "secret-0123456789abcdef".into(),
            redirect_uri: site.page("/consent/lab/return"),
            access_token_seconds: None,
            pkce_required: false,
        }),
        ..AccountSpec::default()
    });
    site.configure(
        60.0,
        &format!(
            r#"
[[account]]
id = "lab"
platform = "{platform}"
base_url = "{base_url}"
path_secrets = ["{PATH_SECRET}"]
{more}
[account.oauth]
client_id = "client-0123456789abcdef"
client_secret = "secret-0123456789abcdef"
authorize_url = "{authorize_url}"
token_url = "{token_url}"
"#,
            authorize_url = world.authorize_url(vendor),
            token_url = world.token_url(vendor),
            platform = vendor.platform(),
            base_url = world.base_url(vendor),
        ),
    );
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_connects_at_scrive_by_oauth_1_and_at_dropbox_sign_by_oauth_2() {
    for (vendor, platform, more) in [
        (Vendor::Scrive, "Scrive", ""),
        (Vendor::DropboxSign, "Dropbox Sign", "callback_keys = [\"key-of-the-account-0123456789\"]"),
    ] {
        let mut site = Site::new();
        let world = world(vendor, &site, more).await;
        let user = UserSpec { email: "anna@example.com".into(), name: "Anna Berg".into() };
        let user = world.add_user("lab", user);
        site.serve();
        let mut anna = Visitor::default();
        let mut back = String::new();
        for decision in ["Deny", "Allow"] {
            let away = leave(&mut anna, &site, "lab", platform);
            let mut page = anna.open(&away);
            if page.heading() == "Log in" {
                page = anna.press(&page, "Continue as anna@example.com", &[]);
            }
            page = anna.press(&page, decision, &[]);
            back = page.location.as_ref().unwrap_or_else(|| panic!("it stays: {page:?}")).to_string();
            let answer = anna.open(&back);
            match decision {
                "Deny" => assert_page(&answer, 403, "You did not give access"),
                _ => assert_page(&answer, 200, "You are connected"),
            }
        }
        // Its own clients have met this way back: an empty parameter stands before the others.
        assert_eq!(back.contains("?=&oauth_token="), vendor == Vendor::Scrive, "{back}");
        assert_page(&anna.open(&back), 403, "We cannot tell where this visit began");
        let grants = site.list("grants", &[]);
        assert_eq!((grants.len(), &grants[0]["sender"]), (1, &json!("anna@example.com")), "{grants:?}");
        let ledger = world.ledger();
        let record = ledger.user(&user).expect("Anna");
        assert_eq!(
            (record.consents_allowed, record.consents_denied, record.tokens_issued),
            (1, 1, 1),
            "{record:?}"
        );
        let url = reqwest::Url::parse(&back).expect("an address");
        let mut secrets: Vec<String> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
        secrets.extend(anna.cookies("aftersign-"));
        secrets.push("secret-0123456789abcdef".into());
        site.holds_none_of(&secrets);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_welcome_can_type_a_key_in_or_consent_and_nobody_else_can() {
    let key = "key-of-the-account-0123456789";
    let more = format!("callback_keys = [\"{key}\"]");
    let mut site = Site::new();
    let world = world(Vendor::DropboxSign, &site, &more).await;
    site.serve();
    let mut visitor = Visitor::default();
    let offer = visitor.open(&site.page("/consent/lab"));
    assert!(!offer.body.contains("Save the key"), "a page for everybody takes no keys: {offer:?}");
    let forged = visitor.submit(&site.page("/consent/lab/key"), &[("api_key", key)]);
    assert_page(&forged, 404, "There is no such page");
    site.kill();

    let config = std::fs::read_to_string(site.path("aftersign.toml")).expect("the config");
    let welcome = config.replace(&more, &format!("{more}\nsenders = [\"*@example.com\"]"));
    std::fs::write(site.path("aftersign.toml"), welcome).expect("the config");
    site.serve();
    let offer = visitor.open(&site.page("/consent/lab"));
    let refused = visitor.press(&offer, "Save the key", &[("api_key", "key-of-nobody-0123456789")]);
    assert_page(&refused, 403, "Dropbox Sign does not accept this key");
    world.add_user("lab", UserSpec { email: "eve@elsewhere.example".into(), name: "Eve Fern".into() });
    let mut eve = Visitor::default();
    let away = leave(&mut eve, &site, "lab", "Dropbox Sign");
    let page = eve.open(&away);
    let page = eve.press(&page, "Continue as eve@elsewhere.example", &[]);
    let page = eve.press(&page, "Allow", &[]);
    let unwelcome = eve.open(page.location.as_ref().expect("back to us").as_str());
    assert_page(&unwelcome, 403, "This account does not take your access");
    assert!(site.list("grants", &[]).is_empty());

    let offer = visitor.open(refused.button().as_str());
    let connected = visitor.press(&offer, "Save the key", &[("api_key", &format!(" {key}\r\n"))]);
    assert_page(&connected, 200, "You are connected");
    let grants = site.list("grants", &[]);
    assert_eq!((grants.len(), &grants[0]["kind"]), (1, &json!("key")), "{grants:?}");
    assert!(
        grants[0]["sender"].as_str().is_some_and(|sender| sender.ends_with("@example.com")),
        "{grants:?}"
    );
    for page in [&forged, &refused, &connected] {
        assert!(!page.body.contains("0123456789"), "{page:?}");
    }
    site.holds_none_of(&[key.into(), "key-of-nobody-0123456789".into()]);
    world.stop().await;
}
