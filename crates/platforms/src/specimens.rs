//! What the conformance suite needs to know of each platform: recorded callbacks, and the answers that its checks play.

use aftersign_core::callback::{CallbackSecrets, Inbound};
use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use serde_json::{Value, json};

use crate::certificate::{ADAPTERS, Adapter};
use crate::testing::{answer, inbound, keys, recorded};

/// What [`Specimen::registered`] says is registered.
pub(crate) const REGISTERED_URL: &str = "https://sign.example.com/callbacks/hr/secret";

/// One platform's part of the suite. What its adapter is not capable of stays empty.
pub(crate) struct Specimen {
    pub(crate) adapter: &'static Adapter,
    /// The envelope that the genuine callback and all answers are about.
    pub(crate) id: &'static str,
    pub(crate) secrets: CallbackSecrets,
    /// A recorded callback that announces an end.
    pub(crate) genuine: Inbound,
    /// The genuine callback with another body, not signed anew.
    pub(crate) altered: Option<Inbound>,
    /// The genuine callback with a kind of the future, not signed anew.
    pub(crate) unknown: Inbound,
    pub(crate) malformed: Inbound,
    /// Callbacks of one envelope each, in the order of their sending.
    pub(crate) stories: Vec<Vec<Inbound>>,
    /// Answers by which the envelope is not final.
    pub(crate) open: Vec<Response<Bytes>>,
    /// Answers by which the files of an envelope that ended are not there yet.
    pub(crate) not_ready: Vec<Response<Bytes>>,
    /// Answers that list files of the given name.
    pub(crate) listing: fn(&str) -> Vec<Response<Bytes>>,
    /// The answer with [`REGISTERED_URL`], and the one without any.
    pub(crate) registered: [&'static str; 2],
    /// Texts that hold the genuine callback.
    pub(crate) undelivered: Vec<Vec<u8>>,
    pub(crate) retention: &'static str,
    /// The pages of `anna@example.com` and `ben@example.com`.
    pub(crate) senders: [&'static str; 2],
    /// The answers before and after the seal was extended.
    pub(crate) extension: [Vec<Response<Bytes>>; 2],
    pub(crate) consent: Option<Consent>,
    pub(crate) drafts: Option<Drafts>,
}

/// How a sender's consent goes.
pub(crate) struct Consent {
    /// The answers until the browser is sent away.
    pub(crate) departure: Vec<Response<Bytes>>,
    /// The query with the state `st-1` and the code `c0de-1`.
    pub(crate) granted: &'static str,
    /// The one with the same state and a no.
    pub(crate) denied: &'static str,
    /// The answer to the exchange.
    pub(crate) token: &'static str,
    /// The one if the code is not good.
    pub(crate) lapsed: (u16, &'static str),
    /// The refusal of our application, where it is first known.
    pub(crate) wrong_app: (u16, &'static str),
    /// Who it is: `sender@example.com`.
    pub(crate) whoami: &'static str,
    /// Whether a grant with a refresh token is renewed.
    pub(crate) renews: bool,
}

/// How the sending of a draft goes.
pub(crate) struct Drafts {
    /// Callback URLs that a draft is given.
    pub(crate) urls: usize,
    /// Answers by which the customer has metadata, or may have.
    pub(crate) customers: Vec<Vec<Response<Bytes>>>,
    /// The answer that names the specimen's envelope.
    pub(crate) sent: &'static str,
    /// The platform's own refusal to send.
    pub(crate) refused: (u16, &'static str),
    /// Its own refusal in these words, as the body of the same status.
    pub(crate) refused_saying: fn(&str) -> String,
    /// The JSON records of envelopes whose callbacks go to these URLs, one of them for each.
    pub(crate) records: fn(&[String]) -> Vec<String>,
    /// Its word for a draft that is not there.
    pub(crate) missing: (u16, &'static str),
    /// Answers by which the draft still stands; was sent as the specimen's envelope; is gone and nothing of it is seen.
    pub(crate) still: Vec<Response<Bytes>>,
    pub(crate) found: Vec<Response<Bytes>>,
    pub(crate) gone: Vec<Response<Bytes>>,
}

/// One for each adapter, in their order.
pub(crate) fn specimens() -> Vec<Specimen> {
    let [dropbox_sign, esignanywhere, onespan, scrive] = &ADAPTERS;
    vec![
        of_dropbox_sign(dropbox_sign),
        of_esignanywhere(esignanywhere),
        of_onespan(onespan),
        of_scrive(scrive),
    ]
}

/// A specimen of an adapter that is capable of nothing more than all are.
fn plain(adapter: &'static Adapter, id: &'static str, genuine: Inbound) -> Specimen {
    Specimen {
        adapter,
        id,
        secrets: keys(&[]),
        altered: None,
        unknown: genuine.clone(),
        malformed: genuine.clone(),
        genuine,
        stories: Vec::new(),
        open: Vec::new(),
        not_ready: Vec::new(),
        listing: |_| Vec::new(),
        registered: ["", ""],
        undelivered: Vec::new(),
        retention: "",
        senders: ["", ""],
        extension: [Vec::new(), Vec::new()],
        consent: None,
        drafts: None,
    }
}

fn of_dropbox_sign(adapter: &'static Adapter) -> Specimen {
    const COMPLETE: &str = include_str!("dropbox_sign/fixtures/signature_request_complete.json");
    const ID: &str = "fa5c8a0b0f492d768749333ad6fcc214c111e967";
    let genuine = recorded(include_bytes!("dropbox_sign/fixtures/delivery_all_signed.http"));
    let with = |from: &str, to: &str| Inbound { body: replaced(&genuine.body, from, to), ..genuine.clone() };
    let open = ok(&COMPLETE.replace("\"is_complete\": true", "\"is_complete\": false"));
    let news = |time: i64, kind: &str, related: Option<&str>| {
        let signatures = json!([
            { "signature_id": "s1", "signer_email_address": "jill@example.com" },
            { "signature_id": "s2", "signer_email_address": "george@example.com" },
        ]);
        posted(&json!({
            "event": {
                "event_time": time.to_string(), "event_type": kind,
                "event_metadata": { "related_signature_id": related },
            },
            "signature_request": { "signature_request_id": ID, "title": "Lease", "signatures": signatures },
        }))
    };
    Specimen {
        secrets: keys(&["fixture-key-of-the-first-account"]),
        altered: Some(with("George", "Gregor")),
        unknown: with("signature_request_all_signed", "signature_request_frobbed"),
        malformed: inbound(Method::POST, None, "", "no json"),
        stories: vec![
            vec![
                recorded(include_bytes!("dropbox_sign/fixtures/delivery_2017_sent.http")),
                with("signature_request_all_signed", "signature_request_viewed"),
                with("signature_request_all_signed", "signature_request_signed"),
                genuine.clone(),
                with("signature_request_all_signed", "signature_request_downloadable"),
            ],
            vec![
                news(1, "signature_request_sent", None),
                news(2, "signature_request_email_bounce", Some("s1")),
                news(3, "signature_request_viewed", Some("s1")),
                news(4, "signature_request_email_bounce", Some("s2")),
                news(5, "signature_request_signed", Some("s1")),
                news(6, "signature_request_incomplete_qes", Some("s2")),
            ],
        ],
        open: vec![open.clone()],
        not_ready: vec![open],
        listing: |name| vec![ok(&named(COMPLETE, "\"Lease / Flat 4\"", name))],
        registered: [
            include_str!("dropbox_sign/fixtures/account.json"),
            r#"{"account":{"callback_url":null}}"#,
        ],
        consent: Some(Consent {
            token: include_str!("dropbox_sign/fixtures/token.json"),
            wrong_app: (
                400,
                r#"{"error":"invalid_client","error_description":"The client id or secret is wrong"}"#,
            ),
            whoami: r#"{"account":{"account_id":"5008b25c7f67153e57d5a357b1687968068fb465","email_address":"sender@example.com"}}"#,
            ..consent()
        }),
        ..plain(adapter, ID, genuine.clone())
    }
}

fn of_esignanywhere(adapter: &'static Adapter) -> Specimen {
    const COMPLETED: &str = include_str!("esignanywhere/fixtures/envelope_completed.json");
    const CONFIGURATION: &str = include_str!("esignanywhere/fixtures/configuration.json");
    const REFUSED: &str = include_str!("esignanywhere/fixtures/error_err0007.json");
    const ID: &str = "765b904a-7c64-470f-bf63-0f312d1fc474";
    let get = |query: &str| inbound(Method::GET, Some("status"), query, "");
    let action = |action: &str| get(&format!("envelopeId={ID}&action={action}"));
    let event = |event: &str, minute: u32, email: &str| {
        let query = format!("envelopeId={ID}&eventType={event}&time=2026-11-19T10:{minute:02}:00Z");
        inbound(Method::GET, Some("workstep"), &format!("{query}&recipientEmail={email}@example.com"), "")
    };
    let recorded = recorded(include_bytes!("esignanywhere/fixtures/recorded_workstep_finished.http"));
    let pending = action("workstepDelegatedSenderActionRequired");
    let signed = vec![
        action("sendSignNotification"),
        recorded,
        event("WorkstepFinished", 1, "anna"),
        event("AuthenticationFailed", 2, "ben"),
        pending.clone(),
    ];
    let waiting = vec![action("sendSignNotification"), action("workstepOpened"), pending.clone()];
    let ended = vec![pending, action("envelopeExpired")];
    Specimen {
        unknown: action("envelopeFrobbed"),
        malformed: get("envelopeId=1"),
        stories: vec![signed, waiting, ended],
        open: vec![
            ok(&COMPLETED.replace("\"Completed\",\n  \"Name\"", "\"Active\",\n  \"Name\"")),
            ok(CONFIGURATION),
        ],
        not_ready: vec![ok(include_str!("esignanywhere/fixtures/files_null.json")), answer(404, REFUSED)],
        listing: |name| {
            let files = include_str!("esignanywhere/fixtures/files.json");
            vec![ok(&named(files, "\"contract.pdf\"", name)), ok(CONFIGURATION)]
        },
        consent: Some(Consent {
            whoami: r#"{"UserId":"9B2E0C1A-0000-4000-8000-00000000000A","Email":"sender@example.com","Roles":[]}"#,
            ..consent()
        }),
        drafts: Some(drafts_of_esignanywhere(ID)),
        ..plain(adapter, ID, action("envelopeFinished"))
    }
}

/// A consent by RFC 6749.
fn consent() -> Consent {
    Consent {
        departure: Vec::new(),
        granted: "code=c0de-1&state=st-1",
        denied: "error=access_denied&state=st-1",
        token: r#"{"access_token":"t0ken-of-a-sender"}"#,
        lapsed: (400, r#"{"error":"invalid_grant","error_description":"The code c0de is used"}"#),
        wrong_app: (401, r#"{"error":"invalid_client"}"#),
        whoami: "",
        renews: true,
    }
}

fn drafts_of_esignanywhere(id: &str) -> Drafts {
    const OVERVIEW: &str = include_str!("esignanywhere/fixtures/draft.json");
    const CONFIGURATION: &str = include_str!("esignanywhere/fixtures/draft_configuration.json");
    const MISSING: &str = include_str!("esignanywhere/fixtures/error_err0250.json");
    let missing = || answer(404, MISSING);
    let row = format!(r#"{{"Envelopes":[{{"Status":"Active","Id":"{id}","MetaData":null}}]}}"#);
    let marked = CONFIGURATION.replace(
        "\"CallbackUrl\": null",
        "\"CallbackUrl\": \"https://h/x?draft=0a1b2c3d-1111-4222-8333-444455556666\"",
    );
    assert_ne!(marked, CONFIGURATION);
    Drafts {
        urls: 3,
        customers: vec![
            vec![ok(OVERVIEW), ok(CONFIGURATION)],
            vec![ok(&OVERVIEW.replace("\"Name\"", "\"MetaData\":\"theirs\",\"Name\""))],
            vec![ok(OVERVIEW), answer(404, "")],
            vec![ok(OVERVIEW), answer(403, "")],
        ],
        sent: include_str!("esignanywhere/fixtures/draft_sent.json"),
        refused: (
            400,
            r#"{"ErrorId":"ERR0012","Message":"ERR0012 - The workstep configuration is not valid.","TraceId":"1"}"#,
        ),
        refused_saying: |words| {
            json!({ "ErrorId": "ERR0011", "Message": words, "TraceId": words }).to_string()
        },
        records: records_of_esignanywhere,
        missing: (404, MISSING),
        still: vec![ok(OVERVIEW)],
        found: vec![missing(), ok(&row), ok(&marked)],
        gone: vec![missing(), ok(&row), ok(CONFIGURATION)],
    }
}

/// The configuration of version 6, and the envelope of version 5.
fn records_of_esignanywhere(urls: &[String]) -> Vec<String> {
    const CONFIGURATION: &str = include_str!("esignanywhere/fixtures/configuration.json");
    const V5: &str = include_str!("esignanywhere/fixtures/envelope_v5.json");
    let written = |text: &str, from: &str, to: String| {
        assert!(text.contains(from), "{from}");
        text.replace(from, &to)
    };
    let of_url = |url: &String| {
        let plain = json!(url).to_string();
        let with_events = format!("{{ \"Url\": {plain}, \"CalledPage\": true }}");
        let places = [
            (CONFIGURATION, "\"CallbackUrl\": null", "CallbackUrl", &plain),
            (CONFIGURATION, "\"StatusUpdateCallbackUrl\": null", "StatusUpdateCallbackUrl", &plain),
            (CONFIGURATION, "\"StatusUpdateCallbackUrl\": null", "AfterSendCallbackUrl", &plain),
            (
                CONFIGURATION,
                "\"ActivityActionCallbackConfiguration\": null",
                "ActivityActionCallbackConfiguration",
                &with_events,
            ),
            (V5, "\"CallbackUrl\": \"\"", "CallbackUrl", &plain),
            (V5, "\"CallbackUrl\": \"\"", "StatusUpdateCallbackUrl", &plain),
            (V5, "\"CallbackUrl\": \"\"", "WorkstepEventCallback", &with_events),
            (V5, "\"CallbackUrl\": \"\"", "WorkstepEventCallback", &plain),
        ];
        places.map(|(record, from, name, value)| written(record, from, format!("\"{name}\": {value}")))
    };
    urls.iter().flat_map(of_url).collect()
}

fn of_onespan(adapter: &'static Adapter) -> Specimen {
    const COMPLETED: &str = include_str!("onespan/fixtures/package_completed.json");
    const ID: &str = "LWsUTvGgE4WpOvaQPT16idnxNj8=";
    let genuine = recorded(include_bytes!("onespan/fixtures/delivery_complete.http"));
    let with = |body: Bytes| Inbound { body, ..genuine.clone() };
    let package = COMPLETED.replace("5n4obeO8jYoPp126Cm-Y3fxdfbo=", ID);
    let open =
        ok(&package.replace("\"status\": \"COMPLETED\",\n  \"type\"", "\"status\": \"SENT\",\n  \"type\""));
    let news = |minute: u32, name: &str, signer: &str, message: Option<&str>| {
        posted(&json!({
            "name": name, "packageId": ID, "message": message,
            "sessionUser": format!("44aafb7c-97b9-40e1-bb59-eb76c7d2a48{signer}"),
            "createdDate": format!("2026-11-19T10:{minute:02}:00.000Z"),
        }))
    };
    let seeds = adapter.platform.undelivered(include_bytes!("onespan/fixtures/seed_payloads.txt")).unwrap();
    let mut mail_of_windows = b"\xEF\xBB\xBF[ ".to_vec();
    mail_of_windows.extend_from_slice(&genuine.body);
    mail_of_windows.extend_from_slice(b" ]\r\n");
    Specimen {
        secrets: keys(&["an-older-key", "test-callback-key"]),
        unknown: with(replaced(&genuine.body, "PACKAGE_COMPLETE", "PACKAGE_FROBBED")),
        malformed: with("no json".into()),
        stories: vec![
            seeds[1..6].to_vec(),
            vec![
                news(1, "PACKAGE_ACTIVATE", "0", None),
                news(2, "EMAIL_BOUNCE", "1", Some("BOUNCE")),
                news(3, "DOCUMENT_VIEWED", "1", None),
                news(4, "EMAIL_BOUNCE", "2", Some("UNKNOWN")),
                news(5, "SIGNER_LOCKED", "1", None),
                news(6, "KBA_FAILURE", "2", None),
                news(7, "SIGNER_COMPLETE", "1", None),
                news(8, "PACKAGE_READY_FOR_COMPLETE", "1", None),
            ],
        ],
        open: vec![open.clone()],
        not_ready: vec![open],
        listing: |name| {
            let package = COMPLETED.replace("5n4obeO8jYoPp126Cm-Y3fxdfbo=", ID);
            vec![ok(&named(&package, "\"../Annex\"", name)), answer(404, "")]
        },
        registered: [
            include_str!("onespan/fixtures/callback_registration.json"),
            r#"{"url":"","key":null,"events":[]}"#,
        ],
        undelivered: vec![
            include_bytes!("onespan/fixtures/failure_mail.txt").to_vec(),
            genuine.body.to_vec(),
            mail_of_windows,
        ],
        retention: r#"{"transactionRetention":{"draft":5,"sent":9,"completed":90,"archived":0,"expired":30}}"#,
        senders: [
            r#"{"count":2,"results":[{"id":"1","email":"anna@example.com","status":"ACTIVE"}]}"#,
            r#"{"count":2,"results":[{"id":"2","email":"ben@example.com","status":"ACTIVE"}]}"#,
        ],
        ..plain(adapter, ID, genuine.clone())
    }
}

fn of_scrive(adapter: &'static Adapter) -> Specimen {
    const CLOSED: &str = include_str!("scrive/fixtures/document_closed.json");
    const SEALED_FILE: &str = "8222115557375075501";
    let genuine = recorded(include_bytes!("scrive/fixtures/delivery_sealed.http"));
    let with = |from: &str, to: &str| Inbound { body: replaced(&genuine.body, from, to), ..genuine.clone() };
    let unsealed = with("and_sealed=true", "and_sealed=false");
    let open = ok(&CLOSED.replace("\n \"status\": \"closed\"", "\n \"status\": \"pending\""));
    let flow = |json: &'static str| inbound(Method::POST, None, "", json);
    let extended = CLOSED.replace(SEALED_FILE, "9000000000000000001");
    Specimen {
        unknown: Inbound { body: replaced(&unsealed.body, "%22closed%22", "%22frobbed%22"), ..unsealed },
        malformed: inbound(Method::POST, None, "", "document_id=../1"),
        stories: vec![
            vec![
                recorded(include_bytes!("scrive/fixtures/delivery_pending_bounced.http")),
                genuine.clone(),
                recorded(include_bytes!("scrive/fixtures/delivery_extended.http")),
            ],
            vec![
                recorded(include_bytes!("scrive/fixtures/delivery_pending_bounced.http")),
                recorded(include_bytes!("scrive/fixtures/delivery_rejected.http")),
            ],
            vec![
                flow(include_str!("scrive/fixtures/flow_authentication_attempted.json")),
                flow(include_str!("scrive/fixtures/flow_authentication_max_failures_exceeded.json")),
            ],
        ],
        open: vec![open.clone()],
        not_ready: vec![open],
        listing: |name| vec![ok(&named(CLOSED, "\"House rules\"", name))],
        retention: r#"{"idle_doc_timeout_closed":90,"idle_doc_timeout_rejected":null}"#,
        extension: [
            vec![ok(CLOSED), ok(include_str!("scrive/fixtures/history_sealed.json"))],
            vec![ok(&extended), ok(include_str!("scrive/fixtures/history_extended.json"))],
        ],
        consent: Some(Consent {
            departure: vec![ok(
                "oauth_token=4aeab7ac2f0e8bbe_77&oauth_token_secret=s3cret-of-it&oauth_callback_confirmed=true",
            )],
            granted: "=&oauth_token=st-1&oauth_verifier=c0de-1",
            denied: "=&oauth_token=st-1&denied=true",
            token: "oauth_token=t0ken_78&oauth_token_secret=s3cret-of-user",
            lapsed: (401, include_str!("scrive/fixtures/error_unauthorised.json")),
            wrong_app: (401, include_str!("scrive/fixtures/error_unauthorised.json")),
            whoami: include_str!("scrive/fixtures/profile.json"),
            renews: false,
        }),
        ..plain(adapter, "8222115557375075439", genuine.clone())
    }
}

fn ok(body: &str) -> Response<Bytes> {
    answer(200, body.to_owned())
}

/// A callback that is posted as JSON.
fn posted(body: &Value) -> Inbound {
    let mut inbound = inbound(Method::POST, None, "", body.to_string());
    inbound.headers.insert("content-type", HeaderValue::from_static("application/json"));
    inbound
}

/// An answer in which a text is replaced by a name.
fn named(answer: &str, from: &str, name: &str) -> String {
    assert!(answer.contains(from), "{from}");
    answer.replace(from, &Value::from(name).to_string())
}

fn replaced(body: &Bytes, from: &str, to: &str) -> Bytes {
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replace(from, to).into()
}
