//! What a sender gave is renewed while it can be, and asked for again when it was taken back: a certified OAuth server stands
//! before the platform, a mail server carries the link, and what waited goes on by itself.

use aftersign_sandbox::{AccountSpec, EnvelopeScript, Sandbox, SandboxConfig, Vendor};
use reqwest::Url;
use serde_json::{Value, json};

use crate::connect::{CLIENT_SECRET, assert_page, decide, leave};
use crate::peers::{Message, OauthConfig, OauthPeer, SmtpConfig, SmtpPeer, Starttls};
use crate::site::{PATH_SECRET, Site, files_of};
use crate::visitor::Visitor;

/// What the platform signs its callbacks with. The site never calls the API with it.
const KEY: &str = "key-of-the-account-0123456789abcdef";
/// A wait of an hour takes six seconds.
const TIME_SCALE: f64 = 600.0;
const MAIL_USER: &str = "aftersign";
const MAIL_PASSWORD: &str = "password-of-mail";

/// A site whose account at Dropbox Sign has no key: all that it may do is what senders grant.
struct Stage {
    site: Site,
    world: Sandbox,
    peer: OauthPeer,
}

impl Stage {
    async fn new(access_token_seconds: u32, mail: Option<&SmtpPeer>) -> Self {
        let mut site = Site::new();
        let config = SandboxConfig { time_scale: 3600.0, ..SandboxConfig::default() };
        let world = Sandbox::start(config).await.expect("the sandbox starts");
        world.open_account(AccountSpec {
            vendor: Vendor::DropboxSign,
            id: "hr".into(),
            api_key: KEY.into(),
            callback_url: site.callback_url("hr"),
            ..AccountSpec::default()
        });
        let peer = OauthPeer::start(&OauthConfig {
            clients: vec![json!({
                "client_id": "hr", "client_secret": CLIENT_SECRET,
                "redirect_uris": [site.page("/back/from/dropbox-sign")],
                "token_endpoint_auth_method": "client_secret_post",
            })],
            access_token_seconds,
            upstream: json!({ "base_url": world.base_url(Vendor::DropboxSign), "api_key": KEY }),
            ..OauthConfig::default()
        });
        let mail = mail.map(|peer| {
            format!(
                r#"
[mail]
smtp_url = "smtp://{MAIL_USER}:{MAIL_PASSWORD}@localhost:{}"
ca_file = "{}"
from = "aftersign@example.com"
admins = ["ops@example.com"]
"#,
                peer.port,
                peer.ca_file().display(),
            )
        });
        let account = format!(
            r#"
[[account]]
id = "hr"
platform = "dropbox-sign"
base_url = "{base_url}/v3"
path_secrets = ["{PATH_SECRET}"]
callback_keys = ["{KEY}"]
[account.oauth]
client_id = "hr"
client_secret = "{CLIENT_SECRET}"
authorize_url = "{base_url}/auth"
token_url = "{base_url}/token"
redirect_path = "/back/from/dropbox-sign"
scope = "api"
"#,
            base_url = peer.base_url,
        );
        site.configure(TIME_SCALE, &(account + mail.as_deref().unwrap_or_default()));
        site.serve();
        Self { site, world, peer }
    }

    /// Anna gives access on the connect page; what the browser brought back.
    #[track_caller]
    fn consent(&self, anna: &mut Visitor) -> String {
        let away = leave(anna, &self.site, "hr", "Dropbox Sign");
        let back = decide(anna, &away, "anna@example.com", "Allow");
        assert_page(&anna.open(&back), 200, "You are connected");
        back
    }

    /// Anna sends so many envelopes, which all signers sign.
    fn send(&self, count: usize) -> Vec<String> {
        let script =
            EnvelopeScript { sender: "anna@example.com".into(), hold: true, ..EnvelopeScript::default() };
        let ids: Vec<String> = (0..count).map(|_| self.world.create_envelope("hr", script.clone())).collect();
        ids.iter().for_each(|id| self.world.complete(id));
        ids
    }

    #[track_caller]
    fn wait_until_archived(&mut self, ids: &[String]) {
        self.site.wait_for("all are archived", |site| {
            let rows = site.list("envelopes", &[]);
            let archived = rows.iter().filter(|row| !row["archived_at"].is_null());
            let archived: Vec<&str> = archived.filter_map(|row| row["id"].as_str()).collect();
            ids.iter().all(|id| archived.contains(&id.as_str()))
        });
        for id in ids {
            let files = files_of(&self.site.path("archive").join("hr").join(id));
            assert!(files.iter().any(|file| file.extension().is_some_and(|kind| kind == "pdf")), "{files:?}");
        }
    }

    fn refreshes(&self) -> Vec<Value> {
        self.peer.log().into_iter().filter(|entry| entry["grant_type"] == "refresh_token").collect()
    }
}

/// What a visitor's way back held.
fn values(back: &str) -> Vec<String> {
    let url = Url::parse(back).expect("an address");
    url.query_pairs().filter(|(name, _)| name != "iss").map(|(_, value)| value.into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_live_for_a_second_are_renewed_and_no_refresh_token_is_used_twice() {
    let mut stage = Stage::new(1, None).await;
    let mut anna = Visitor::default();
    let mut secrets = values(&stage.consent(&mut anna));
    let mut sent = 0;
    while stage.refreshes().len() < 2 {
        assert!(sent < 300, "{:#?}", stage.peer.log());
        // Several at once find the token's end at the same time.
        let ids = stage.send(3);
        sent += ids.len();
        stage.wait_until_archived(&ids);
    }
    let log = stage.peer.log();
    assert!(log.iter().all(|entry| entry["status"] == 200 && entry["tokens"] == 2), "{log:#?}");
    assert!(stage.peer.calls().iter().all(|call| call["user"].is_null() || call["user"] == "user-anna"));
    assert!(stage.site.tasks("access_refused").is_empty());
    let grants = stage.site.list("grants", &[]);
    assert!(
        grants.len() == 1 && grants[0]["refused_at"].is_null() && !grants[0]["renew_at"].is_null(),
        "{grants:?}"
    );
    secrets.extend(stage.peer.secrets());
    assert!(secrets.len() >= 7, "{secrets:?}");
    stage.site.holds_none_of(&secrets);
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_is_asked_for_once_by_one_mail_and_its_link_lets_everything_go_on() {
    let smtp = SmtpPeer::start(&SmtpConfig {
        starttls: Starttls::Required,
        login: Some((MAIL_USER, MAIL_PASSWORD)),
        ..SmtpConfig::default()
    });
    let mut stage = Stage::new(3600, Some(&smtp)).await;
    let mut anna = Visitor::default();
    let mut secrets = values(&stage.consent(&mut anna));
    let ids = stage.send(2);
    stage.wait_until_archived(&ids);
    assert!(stage.refreshes().is_empty());

    stage.peer.expire("user-anna");
    let ids = stage.send(4);
    stage.wait_until_archived(&ids);
    let refreshes = stage.refreshes();
    assert_eq!(refreshes.len(), 1, "many find it ended, one fetches the next: {refreshes:#?}");

    stage.peer.revoke("user-anna");
    let waiting = stage.send(5);
    stage.site.wait_for("all wait for Anna", |site| {
        // A late callback may have an archived one fetched anew, which waits for her too.
        let rows = site.list("transfers", &[]);
        let parked = |id: &String| {
            rows.iter().any(|row| row["envelope_id"] == id.as_str() && row["waits_for"] == "anna@example.com")
        };
        waiting.iter().all(parked)
    });
    let tasks = stage.site.tasks("access_refused");
    assert_eq!((tasks.len(), &tasks[0]["for"]), (1, &json!("anna@example.com")), "{tasks:#?}");
    assert!(stage.site.list("grants", &[])[0]["waiting"].as_u64() >= Some(5));
    // The admins may have been told of something else before.
    let mail = (1..).find_map(|count| to_anna(&smtp.wait_for(count)).pop()).expect("a mail to Anna");
    let link = link_of(&stage, &mail);
    secrets.push(Url::parse(&link).expect("an address").query().expect("a query").replace("link=", ""));

    // A scanner of e-mail looks first, and somebody else opens the link.
    assert_eq!(Visitor::default().send("HEAD", &link, &[], "").status, 200);
    let mut bert = Visitor::default();
    let away = bert.open(&link).location.expect("to the consent page");
    let back = decide(&mut bert, away.as_str(), "user-bert", "Allow");
    assert_page(&bert.open(&back), 403, "You are signed in as somebody else");
    assert_eq!(stage.site.list("grants", &[]).len(), 1);

    let mut anna = Visitor::default();
    let away = anna.open(&link).location.expect("to the consent page");
    let back = decide(&mut anna, away.as_str(), "user-anna", "Allow");
    assert_page(&anna.open(&back), 200, "You are connected");
    secrets.extend(values(&back));
    stage.wait_until_archived(&waiting);
    let settled = |site: &mut Site| site.tasks("access_refused").is_empty();
    stage.site.wait_for("the task is settled", settled);
    stage.site.wait_for("nothing waits for Anna", |site| {
        let grants = site.list("grants", &[]);
        (&grants[0]["waiting"], &grants[0]["refused_at"]) == (&json!(0), &json!(null))
    });
    assert_eq!(to_anna(&smtp.messages()).len(), 1, "one thing to tell is one mail");

    secrets.extend(stage.peer.secrets());
    secrets.extend(anna.cookies("aftersign-"));
    secrets.extend([CLIENT_SECRET.into(), MAIL_PASSWORD.into(), KEY.into()]);
    stage.site.holds_none_of(&secrets);
    stage.world.stop().await;
}

fn to_anna(messages: &[Message]) -> Vec<Message> {
    messages.iter().filter(|mail| mail.to == ["anna@example.com"]).cloned().collect()
}

/// The one link of a mail that asks for access again, which came over the way that the config says.
#[track_caller]
fn link_of(stage: &Stage, mail: &Message) -> String {
    assert!(mail.tls && mail.user.as_deref() == Some(MAIL_USER), "{mail:?}");
    let subject = mail.subject.as_deref().unwrap_or_default();
    assert!(subject.starts_with("Aftersign: your access to hr is needed"), "{subject}");
    let (text, html) = (mail.text.as_deref().unwrap_or_default(), mail.html.as_deref().unwrap_or_default());
    let begin = stage.site.page("/consent/hr/renew?link=");
    let links: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with(&begin)).collect();
    assert!(links.len() == 1, "{mail:#?}");
    // As in any page, slashes may be escaped.
    let token = links[0].strip_prefix(&begin).unwrap_or_default();
    assert!(html.contains(token) && html.contains("href="), "{mail:#?}");
    links[0].into()
}
