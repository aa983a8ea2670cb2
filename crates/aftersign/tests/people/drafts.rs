//! A sender presses "send" at eSignAnyWhere and comes by our page: in a browser, with scripts and without.

use aftersign_sandbox::{
    AccountSpec, DraftSpec, EnvelopeScript, OauthApp, Sandbox, SandboxConfig, SendTrouble, UserSpec, Vendor,
};
use serde_json::{Value, json};

use crate::peers::{Browser, Script, StepReport};
use crate::site::{PATH_SECRET, Site};
use crate::visitor::{Answer, Visitor};

const CLIENT_SECRET: &str = "secret-of-the-application-0123456789";
const ALLOW: &str = "button[value=allow]";
const DENY: &str = "button[value=deny]";
/// How the address ends to which our page sends a browser after the sending: a page of the platform.
const INBOX: &str = "/?inbox";

/// A site and a world in which Anna and Bert send.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) world: Sandbox,
    pub(crate) anna: String,
    bert: String,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let mut site = Site::new();
        let world = Sandbox::start(SandboxConfig { time_scale: 3600.0, ..SandboxConfig::default() });
        let world = world.await.expect("the sandbox starts");
        world.open_account(AccountSpec {
            vendor: Vendor::ESignAnyWhere,
            id: "sales".into(),
            api_key: "token-of-the-account-0123456789".into(),
            callback_url: site.callback_url("sales"),
            oauth: Some(OauthApp {
                client_id: "aftersign".into(),
                client_secret: CLIENT_SECRET.into(),
                redirect_uri: site.page("/consent/sales/return"),
                access_token_seconds: None,
                pkce_required: false,
            }),
            before_send_redirect_url: Some(site.page(
                "/consent/sales/before-send?draft=##EnvelopeId##&user=##SenderUserId##&org=##OrganizationId##",
            )),
            ..AccountSpec::default()
        });
        let [anna, bert] = [("anna@example.com", "Anna Berg"), ("bert@example.com", "Bert Tal")]
            .map(|(email, name)| UserSpec { email: email.into(), name: name.into() })
            .map(|user| world.add_user("sales", user));
        site.configure(
            600.0,
            &format!(
                r#"
[[account]]
id = "sales"
platform = "esignanywhere"
base_url = "{base_url}"
path_secrets = ["{PATH_SECRET}"]
options = {{ inbox_url = "{inbox}" }}
[account.oauth]
client_id = "aftersign"
client_secret = "{CLIENT_SECRET}"
"#,
                base_url = world.base_url(Vendor::ESignAnyWhere),
                inbox = format_args!("http://{}{INBOX}", world.local_addr()),
            ),
        );
        site.serve();
        Self { site, world, anna, bert }
    }

    /// A draft that nobody signs for now.
    pub(crate) fn draft(&self, user: &str, bulk: &[&str]) -> String {
        let draft = DraftSpec {
            name: "Offer <b>12</b> & more".into(),
            metadata: Some("order 4711".into()),
            script: EnvelopeScript { hold: true, ..EnvelopeScript::default() },
            bulk_recipients: bulk.iter().map(ToString::to_string).collect(),
        };
        self.world.create_draft(user, draft)
    }

    /// Where the platform sends the browser of the draft's owner.
    pub(crate) fn visit(&self, draft: &str) -> Value {
        json!({ "goto": self.world.before_send_url(draft) })
    }

    /// The button of the platform's log-in page.
    pub(crate) fn log_in(&self, user: &str) -> Value {
        json!({ "click": format!("form:has(input[value='{user}']) button") })
    }

    /// The draft was sent once, and its sender is known for each envelope that it became.
    #[track_caller]
    fn assert_sent_once(&mut self, draft: &str, envelopes: usize, sender: &str) {
        let record = self.world.ledger().draft(draft).expect("the draft").clone();
        assert_eq!((record.sends_done, record.envelopes.len()), (1, envelopes), "{record:?}");
        for id in &record.envelopes {
            self.site.wait_for("its sender is noted", |site| site.envelope(id)["sender"] == sender);
        }
    }
}

fn run(javascript: bool, steps: Vec<Value>) -> Vec<StepReport> {
    Browser::run(&Script { javascript, steps })
}

/// The page is one of ours, whole, and nothing went wrong in it.
#[track_caller]
pub(crate) fn assert_ours(report: &StepReport, status: u16, heading: &str) {
    assert_eq!(
        (report.status, &report.headings[..]),
        (Some(status), &[heading.to_string()][..]),
        "{report:#?}"
    );
    assert_eq!(
        (report.title.as_str(), report.lang.as_deref()),
        (&*format!("{heading} – Aftersign"), Some("en"))
    );
    report.assert_clean();
}

#[track_caller]
fn assert_inbox(report: &StepReport) {
    assert!(report.url.ends_with(INBOX) && report.status == Some(200), "{report:#?}");
    report.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_sent_after_one_consent_and_the_next_one_without_any_with_scripts_and_without() {
    for javascript in [true, false] {
        let mut stage = Stage::new().await;
        let (first, second) = (stage.draft(&stage.anna, &[]), stage.draft(&stage.anna, &[]));
        let reports = run(
            javascript,
            vec![
                stage.visit(&first),
                stage.log_in(&stage.anna),
                json!({ "click": DENY }),
                json!({ "click": "a.button" }),
                json!({ "click": ALLOW }),
                stage.visit(&second),
                // Back by the browser's history, or by a bookmark.
                stage.visit(&first),
            ],
        );
        assert_eq!(reports[0].headings, ["Log in"], "{:#?}", reports[0]);
        assert_eq!(reports[1].headings, ["aftersign asks for access"], "{:#?}", reports[1]);
        assert_ours(&reports[2], 403, "You did not give access");
        assert_eq!(reports[3].headings, ["aftersign asks for access"], "{:#?}", reports[3]);
        reports[4..].iter().for_each(|report| assert_inbox(report));
        for draft in [&first, &second] {
            stage.assert_sent_once(draft, 1, "anna@example.com");
            assert_eq!(stage.world.ledger().draft(draft).expect("the draft").sends_asked, 1);
        }
        let record = stage.world.ledger().user(&stage.anna).expect("Anna").clone();
        assert_eq!(
            (record.consents_shown, record.consents_allowed, record.tokens_issued),
            (2, 1, 1),
            "{record:?}"
        );
        stage.site.holds_none_of(&[CLIENT_SECRET.into()]);
        stage.world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_what_is_anothers_and_an_incomplete_link_says_what_to_set_up() {
    let stage = Stage::new().await;
    let (of_anna, of_bert) = (stage.draft(&stage.anna, &[]), stage.draft(&stage.bert, &[]));
    let foreign = stage.world.before_send_url(&of_anna).replace(&of_anna, &of_bert);
    let reports = run(
        true,
        vec![
            // Bert, at the address of Anna's draft.
            stage.visit(&of_anna),
            stage.log_in(&stage.bert),
            json!({ "click": ALLOW }),
            json!({ "goto": stage.site.page("/consent/sales/before-send?draft=1") }),
        ],
    );
    assert_ours(&reports[2], 403, "You are signed in as somebody else");
    assert_ours(&reports[3], 400, "This link is not complete");
    assert!(reports[3].text.contains("##SenderUserId##"), "{:#?}", reports[3]);
    assert!(stage.site.list("grants", &[]).is_empty(), "what Bert gave was given for nothing");

    // Anna, at the address of Bert's draft, and then at a draft that was never made. At last another website has the
    // browser, which may send for her by now, send one.
    let (action, user) = (stage.site.page("/consent/sales/before-send"), &stage.anna);
    let fields = [("draft", &of_anna), ("user", user), ("org", user)]
        .map(|(name, value)| format!("<input name={name} value={value}>"))
        .concat();
    let website =
        format!("data:text/html,<form method=post action={action}>{fields}<button>Win</button></form>");
    let own = stage.draft(&stage.anna, &[]);
    let reports = run(
        false,
        vec![
            json!({ "goto": foreign }),
            stage.log_in(&stage.anna),
            json!({ "click": ALLOW }),
            json!({ "goto": foreign.replace(&of_bert, "00000000-0000-4000-8000-000000000000") }),
            stage.visit(&own),
            json!({ "goto": website }),
            json!({ "click": "button" }),
        ],
    );
    assert_ours(&reports[2], 404, "We do not find this draft");
    assert_ours(&reports[3], 404, "We do not find this draft");
    assert_inbox(&reports[4]);
    assert_ours(&reports[6], 403, "This did not come from our page");
    for draft in [of_anna, of_bert] {
        assert_eq!(stage.world.ledger().draft(&draft).expect("the draft").sends_asked, 0);
    }
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_sends_nothing_twice_and_every_child_of_a_bulk_has_its_sender() {
    let mut stage = Stage::new().await;
    let troubled = [SendTrouble::AnswerLost, SendTrouble::SentAndServerError];
    let drafts = troubled.map(|trouble| {
        let draft = stage.draft(&stage.anna, &[]);
        stage.world.draft_send_trouble(&draft, trouble);
        draft
    });
    let bulk = stage.draft(&stage.anna, &["sue@example.com", "tom@example.com", "udo@example.com"]);
    stage.world.draft_send_trouble(&bulk, SendTrouble::AnswerLost);
    let mut steps = vec![stage.visit(&drafts[0]), stage.log_in(&stage.anna), json!({ "click": ALLOW })];
    steps.extend([stage.visit(&drafts[1]), stage.visit(&bulk)]);
    let reports = run(true, steps);
    reports[2..].iter().for_each(|report| assert_inbox(report));
    for (draft, envelopes) in drafts.iter().chain([&bulk]).zip([1, 1, 3]) {
        stage.assert_sent_once(draft, envelopes, "anna@example.com");
        let record = stage.world.ledger().draft(draft).expect("the draft").clone();
        assert_eq!(record.sends_asked, 1);
        // Only Anna's access sees them: the account has none of its own.
        for id in record.envelopes {
            stage.world.complete(&id);
            stage.site.wait_for("it is archived", |site| !site.envelope(&id)["archived_at"].is_null());
        }
    }
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_sent_again_only_when_its_sender_says_so() {
    let mut stage = Stage::new().await;
    let (unclear, refused) = (stage.draft(&stage.anna, &[]), stage.draft(&stage.anna, &[]));
    stage.world.draft_send_trouble(&unclear, SendTrouble::NotSentAndServerError);
    stage.world.draft_send_trouble(&refused, SendTrouble::Refused);
    let reports = run(
        false,
        vec![
            stage.visit(&refused),
            stage.log_in(&stage.anna),
            json!({ "click": ALLOW }),
            json!({ "click": "a.button" }),
            stage.visit(&unclear),
            json!({ "click": "a.button" }),
            json!({ "expectText": "Please look before we send this draft" }),
            json!({ "click": "button" }),
            json!({ "wait": INBOX }),
        ],
    );
    assert_ours(&reports[2], 409, "eSignAnyWhere did not send the draft");
    assert_inbox(&reports[3]);
    assert_ours(&reports[4], 502, "We do not know yet whether the draft was sent");
    assert_ours(&reports[6], 200, "Please look before we send this draft");
    assert_inbox(&reports[8]);
    for draft in [&unclear, &refused] {
        stage.assert_sent_once(draft, 1, "anna@example.com");
        assert_eq!(stage.world.ledger().draft(draft).expect("the draft").sends_asked, 2);
    }
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_was_taken_back_is_asked_for_again_before_a_draft_is_sent() {
    let mut stage = Stage::new().await;
    let drafts: Vec<String> = (0..4).map(|_| stage.draft(&stage.anna, &[])).collect();
    let urls: Vec<String> = drafts.iter().map(|draft| stage.world.before_send_url(draft)).collect();
    let mut anna = Visitor::default();
    let page = anna.travel(&urls[0]);
    let page = anna.press(&page, "Continue as anna@example.com", &[]);
    let inbox = |anna: &mut Visitor, page: &Answer| {
        let page = anna.press(page, "Allow", &[]);
        let page = anna.travel(page.location.expect("back to us").as_str());
        assert!(page.status == 200 && page.url.ends_with(INBOX), "{page:?}");
    };
    inbox(&mut anna, &page);

    // We know whose browser it is, and what they gave is worth nothing.
    stage.world.revoke(&stage.anna);
    let page = anna.travel(&urls[1]);
    assert_eq!(page.heading(), "aftersign asks for access");
    inbox(&mut anna, &page);

    // Consent is remembered there, and the token that it gives is refused: the browser is not sent around for ever.
    stage.world.disable_tokens(&stage.anna);
    let page = anna.travel(&urls[2]);
    assert_eq!((page.status, page.heading()), (502, "eSignAnyWhere did not give us access"));
    stage.world.enable_tokens(&stage.anna);
    let page = anna.travel(page.button().as_str());
    assert!(page.status == 200 && page.url.ends_with(INBOX), "{page:?}");
    assert!(anna.travel(&urls[3]).url.ends_with(INBOX));
    for draft in &drafts {
        stage.assert_sent_once(draft, 1, "anna@example.com");
        assert_eq!(stage.world.ledger().draft(draft).expect("the draft").sends_asked, 1);
    }
    let record = stage.world.ledger().user(&stage.anna).expect("Anna").clone();
    assert_eq!((record.consents_shown, record.consents_allowed), (2, 2), "{record:?}");
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_at_once_send_one_draft_once_and_two_drafts_each() {
    let mut stage = Stage::new().await;
    let drafts: Vec<String> = (0..5).map(|_| stage.draft(&stage.anna, &[])).collect();
    let url = |draft: usize| stage.world.before_send_url(&drafts[draft]);
    let reports = run(
        true,
        vec![
            // Two consents at once, given in the other order.
            json!({ "goto": url(0) }),
            stage.log_in(&stage.anna),
            json!({ "tab": 1 }),
            json!({ "goto": url(1) }),
            json!({ "click": ALLOW }),
            json!({ "tab": 0 }),
            json!({ "click": ALLOW }),
            json!({ "together": [url(2), url(3)] }),
            json!({ "wait": INBOX }),
            json!({ "tab": 0 }),
            json!({ "wait": INBOX }),
            json!({ "together": [url(4), url(4)] }),
            json!({ "wait": INBOX }),
            json!({ "tab": 0 }),
            json!({ "wait": INBOX }),
        ],
    );
    for step in [4, 6, 8, 10, 12, 14] {
        assert_inbox(&reports[step]);
    }
    for draft in &drafts {
        stage.assert_sent_once(draft, 1, "anna@example.com");
        assert_eq!(stage.world.ledger().draft(draft).expect("the draft").sends_asked, 1);
    }
    stage.world.stop().await;
}
