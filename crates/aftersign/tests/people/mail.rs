//! E-mail at a real mail server: nothing is lost while it is busy, down or strict, and nothing is told twice.

use aftersign_sandbox::{AccountSpec, EnvelopeScript, Sandbox, SandboxConfig, Vendor};
use aws_lc_rs::hmac;
use serde_json::Value;

use crate::peers::{SmtpConfig, SmtpPeer, Starttls};
use crate::site::{PATH_SECRET, Site, free_port};
use crate::visitor::Visitor;

const KEY: &str = "key-of-the-account-0123456789abcdef";
/// A wait of an hour takes six seconds.
const TIME_SCALE: f64 = 600.0;

/// A world with one account at Dropbox Sign, whose callbacks are the test's business.
async fn world() -> Sandbox {
    let config = SandboxConfig { time_scale: 3600.0, ..SandboxConfig::default() };
    let world = Sandbox::start(config).await.expect("the sandbox starts");
    world.open_account(at_platform(String::new()));
    world
}

fn at_platform(callback_url: String) -> AccountSpec {
    let vendor = Vendor::DropboxSign;
    AccountSpec { vendor, id: "hr".into(), api_key: KEY.into(), callback_url, ..AccountSpec::default() }
}

/// The account's config; without a key only senders' grants count.
fn account(world: &Sandbox, api_key: Option<&str>) -> String {
    let credential = api_key.map(|key| format!("credential = {{ api_key = \"{key}\" }}")).unwrap_or_default();
    format!(
        r#"
[[account]]
id = "hr"
platform = "dropbox-sign"
base_url = "{base_url}"
path_secrets = ["{PATH_SECRET}"]
callback_keys = ["{KEY}"]
{credential}
[account.oauth]
client_id = "hr"
client_secret = "secret-of-the-application"
authorize_url = "{authorize_url}"
token_url = "{token_url}"
"#,
        base_url = world.base_url(Vendor::DropboxSign),
        authorize_url = world.authorize_url(Vendor::DropboxSign),
        token_url = world.token_url(Vendor::DropboxSign),
    )
}

fn mail(smtp_url: &str, more: &str) -> String {
    format!(
        r#"
[mail]
smtp_url = "{smtp_url}"
from = "aftersign@example.com"
admins = ["ops@example.com"]
{more}
"#
    )
}

/// Announces an envelope as completed, as the platform would.
#[track_caller]
fn announce(site: &Site, envelope: &str, sender: &str) {
    let (kind, time) = ("signature_request_all_signed", "1790000000");
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
    let hash = hmac::sign(&key, format!("{time}{kind}").as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let json = serde_json::json!({
        "event": {
            "event_time": time, "event_type": kind, "event_hash": hash,
            "event_metadata": {
                "related_signature_id": null, "reported_for_account_id": "acc", "reported_for_app_id": null,
                "event_message": null,
            },
        },
        "account_guid": "acc", "client_id": null,
        "signature_request": {
            "signature_request_id": envelope, "title": "Contract", "requester_email_address": sender,
        },
    });
    let boundary = "----------------------------cdbbc9813ec9";
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--{boundary}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={boundary}");
    let answer = Visitor::default().send("POST", &site.callback_url("hr"), &[("Content-Type", &kind)], &body);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn mails_to(site: &Site, recipient: &str) -> Vec<Value> {
    site.list("mails", &[]).into_iter().filter(|mail| mail["recipient"] == recipient).collect()
}

fn script(sender: &str) -> EnvelopeScript {
    EnvelopeScript { sender: sender.into(), hold: true, ..EnvelopeScript::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_failures_while_the_mail_server_is_down_are_one_mail_when_it_is_back() {
    const FAILURES: usize = 300;
    let mut site = Site::new();
    let world = world().await;
    let ids: Vec<String> =
        (0..FAILURES).map(|_| world.create_envelope("hr", script("anna@example.com"))).collect();
    // They are gone at the platform by the time that they are asked for.
    ids.iter().for_each(|id| world.cancel(id));
    world.open_account(at_platform(site.callback_url("hr")));
    let port = free_port();
    let smtp_url = format!("smtp://127.0.0.1:{port}");
    site.configure(TIME_SCALE, &(account(&world, Some(KEY)) + &mail(&smtp_url, "")));
    site.serve();
    ids.iter().for_each(|id| announce(&site, id, "anna@example.com"));
    site.wait_for("one mail tells of all, and was tried", |site| {
        let mails = site.list("mails", &[]);
        assert!(mails.len() <= 1, "{mails:#?}");
        mails.first().is_some_and(|mail| mail["tasks"] == FAILURES && mail["tries"].as_u64() >= Some(1))
    });
    site.wait_for("its next try is told", |site| {
        !mails_to(site, "ops@example.com")[0]["next_try_at"].is_null()
    });
    let waiting = &mails_to(&site, "ops@example.com")[0];
    assert!(waiting["sent_at"].is_null() && waiting["dropped_at"].is_null(), "{waiting}");
    assert!(waiting["error"].as_str().is_some_and(|error| error.contains("127.0.0.1")), "{waiting}");

    let smtp = SmtpPeer::start(&SmtpConfig { port, ..SmtpConfig::default() });
    let message = smtp.wait_for(1).remove(0);
    assert_eq!(message.to, ["ops@example.com"]);
    let (subject, text) = (message.subject.unwrap_or_default(), message.text.unwrap_or_default());
    assert!(subject.starts_with("Aftersign: 300 tasks wait"), "{subject}");
    assert_eq!(text.matches("Envelope: ").count(), 50, "{text}");
    assert!(text.contains("And 250 more tasks, not shown here."), "{text}");
    site.wait_for("it is noted as sent", |site| !mails_to(site, "ops@example.com")[0]["sent_at"].is_null());
    assert_eq!((smtp.messages().len(), site.list("mails", &[]).len()), (1, 1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_a_busy_server_turns_away_arrives_later_and_once() {
    let smtp = SmtpPeer::start(&SmtpConfig { busy: 3, starttls: Starttls::Offered, ..SmtpConfig::default() });
    let mut site = Site::new();
    let world = world().await;
    let smtp_url = format!("smtp://127.0.0.1:{}", smtp.port);
    site.configure(TIME_SCALE, &(account(&world, Some("a key of somebody else")) + &mail(&smtp_url, "")));
    site.serve();
    let id = world.create_envelope("hr", script("anna@example.com"));
    world.complete(&id);
    announce(&site, &id, "anna@example.com");
    let message = smtp.wait_for(1).remove(0);
    assert_eq!(
        (message.from.as_str(), &message.to[..]),
        ("aftersign@example.com", &["ops@example.com".to_string()][..])
    );
    assert!(message.tls, "what is offered is used, whoever vouches for it: {message:?}");
    site.wait_for("it is noted as sent", |site| {
        mails_to(site, "ops@example.com").iter().any(|mail| !mail["sent_at"].is_null())
    });
    let mails = mails_to(&site, "ops@example.com");
    assert!(mails.iter().any(|mail| mail["tries"].as_u64() >= Some(4)), "{mails:#?}");
    let ids: Vec<Option<&str>> = message_ids(&message.data);
    assert_eq!(ids.len(), 1, "{}", message.data);
    let all = smtp.messages();
    let again = all.iter().filter(|other| message_ids(&other.data) == ids);
    assert_eq!(again.count(), 1, "{all:#?}");
    world.stop().await;
}

fn message_ids(data: &str) -> Vec<Option<&str>> {
    data.lines()
        .filter(|line| line.starts_with("Message-ID: "))
        .map(|line| line.split_once(": ").map(|id| id.1))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_address_is_refused_becomes_a_task_and_a_mail_for_the_admins() {
    let smtp = SmtpPeer::start(&SmtpConfig { refuse: vec!["gone@example.com"], ..SmtpConfig::default() });
    let mut site = Site::new();
    let world = world().await;
    let smtp_url = format!("smtp://127.0.0.1:{}", smtp.port);
    site.configure(TIME_SCALE, &(account(&world, None) + &mail(&smtp_url, "")));
    site.serve();
    let id = world.create_envelope("hr", script("gone@example.com"));
    world.complete(&id);
    announce(&site, &id, "gone@example.com");
    site.wait_for("the mail is given up", |site| {
        mails_to(site, "gone@example.com").iter().any(|mail| !mail["dropped_at"].is_null())
    });
    let given_up = mails_to(&site, "gone@example.com");
    assert!(given_up[0]["error"].as_str().is_some_and(|error| error.contains("550")), "{given_up:#?}");
    let tasks = site.tasks("mail_undeliverable");
    assert_eq!(tasks.len(), 1, "{tasks:#?}");
    let told =
        |site: &mut Site| site.tasks("mail_undeliverable").iter().all(|task| !task["mailed_at"].is_null());
    site.wait_for("the admins are told", told);
    let messages = smtp.messages();
    assert!(messages.iter().all(|message| message.to == ["ops@example.com"]), "{messages:#?}");
    let tells = |text: &String| text.contains("gone@example.com") && !text.contains("renew?link=");
    assert!(messages.iter().filter_map(|message| message.text.as_ref()).any(tells), "{messages:#?}");
    world.stop().await;
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_with_what_to_do_and_taken_once_that_is_done() {
    let login = ("aftersign", "password/of mail");
    let smtp = SmtpPeer::start(&SmtpConfig {
        starttls: Starttls::Required,
        login: Some(login),
        ..SmtpConfig::default()
    });
    let site = Site::new();
    let smtp_url = |password: &str| format!("smtp://aftersign:{password}@127.0.0.1:{}", smtp.port);
    let ca_file = format!("ca_file = \"{}\"", smtp.ca_file().display());
    let right = smtp_url("password%2Fof%20mail");
    for (smtp_url, more, result, words) in [
        (right.as_str(), "", "failed", "`ca_file`"),
        (&smtp_url("wrong"), &ca_file, "failed", "535"),
        (&right, &ca_file, "ok", "lets us in"),
    ] {
        site.configure(1.0, &mail(smtp_url, more));
        let report = site.json(&["check"]);
        let rows = report["checks"].as_array().expect("a list").iter();
        let found = rows.filter(|row| row["check"] == "mail" && row["result"] == result);
        let found: Vec<String> = found.map(Value::to_string).collect();
        assert!(found.iter().any(|row| row.contains(words)), "{words}: {report:#}");
    }
    assert!(smtp.messages().is_empty(), "to look is not to send");
    assert!(site.run(&["mails", "test", "anna@example.com"]).status.success());
    let message = &smtp.wait_for(1)[0];
    assert!(message.tls && message.user.as_deref() == Some("aftersign"), "{message:?}");
    assert!(message.subject.as_deref().is_some_and(|subject| subject.starts_with("[Test] ")), "{message:?}");
}
