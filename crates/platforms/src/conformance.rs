//! One suite for every adapter: what must hold whatever the platform.

use aftersign_core::callback::{CallbackSecrets, Inbound, Meaning, Refusal};
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Call, Next, Platform, Window};
use aftersign_core::{Error, Remedy};
use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use proptest::prelude::{Strategy, any, prop, proptest};

use crate::testing::{access, answer, envelope, inbound, keys, line, now, proof, recorded, understood};

/// What the suite needs to know of a platform.
struct Specimen {
    platform: &'static dyn Platform,
    id: &'static str,
    secrets: CallbackSecrets,
    genuine: Inbound,
    /// Whether callbacks are signed at all.
    signed: bool,
    /// The genuine callback with a kind of the future, not signed anew.
    unknown: Inbound,
    malformed: Inbound,
}

fn specimens() -> Vec<Specimen> {
    let dropbox = recorded(include_bytes!("dropbox_sign/fixtures/delivery_all_signed.http"));
    let mut dropbox_unknown = dropbox.clone();
    dropbox_unknown.body =
        replaced(&dropbox.body, "signature_request_all_signed", "signature_request_frobbed");
    let id = "765b904a-7c64-470f-bf63-0f312d1fc474";
    let get = |query: &str| inbound(Method::GET, Some("envelope"), query, "");
    let onespan = recorded(include_bytes!("onespan/fixtures/delivery_complete.http"));
    let onespan_with = |body: Bytes| Inbound { body, ..onespan.clone() };
    let onespan_unknown = onespan_with(replaced(&onespan.body, "PACKAGE_COMPLETE", "PACKAGE_FROBBED"));
    let scrive = recorded(include_bytes!("scrive/fixtures/delivery_sealed.http"));
    let mut scrive_unknown = scrive.clone();
    scrive_unknown.body = replaced(&scrive.body, "%22closed%22", "%22frobbed%22");
    scrive_unknown.body = replaced(&scrive_unknown.body, "and_sealed=true", "and_sealed=false");
    vec![
        Specimen {
            platform: crate::by_name("dropbox-sign").unwrap(),
            id: "fa5c8a0b0f492d768749333ad6fcc214c111e967",
            secrets: keys(&["fixture-key-of-the-first-account"]),
            genuine: dropbox,
            signed: true,
            unknown: dropbox_unknown,
            malformed: inbound(Method::POST, None, "", "no json"),
        },
        Specimen {
            platform: crate::by_name("esignanywhere").unwrap(),
            id,
            secrets: keys(&[]),
            genuine: get(&format!("envelopeId={id}&action=envelopeFinished")),
            signed: false,
            unknown: get(&format!("envelopeId={id}&action=envelopeFrobbed")),
            malformed: get("envelopeId=1"),
        },
        Specimen {
            platform: crate::by_name("onespan").unwrap(),
            id: "LWsUTvGgE4WpOvaQPT16idnxNj8=",
            secrets: keys(&["an-older-key", "test-callback-key"]),
            genuine: onespan.clone(),
            // A key in the open vouches for the sender, not for the body.
            signed: false,
            unknown: onespan_unknown,
            malformed: onespan_with("no json".into()),
        },
        Specimen {
            platform: crate::by_name("scrive").unwrap(),
            id: "8222115557375075439",
            secrets: keys(&[]),
            genuine: scrive,
            signed: false,
            unknown: scrive_unknown,
            malformed: inbound(Method::POST, None, "", "document_id=../1"),
        },
    ]
}

fn replaced(body: &Bytes, from: &str, to: &str) -> Bytes {
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains(from));
    text.replace(from, to).into()
}

#[test]
fn every_platform_is_in_the_suite_and_known_by_its_name() {
    let specimens = specimens();
    assert_eq!(specimens.len(), crate::all().len());
    for (specimen, platform) in specimens.iter().zip(crate::all()) {
        assert_eq!(specimen.platform.name(), platform.name());
        assert!(!platform.credential_fields().is_empty());
        assert!(platform.callback_key_field().is_none_or(|f| platform.credential_fields().contains(&f)));
        let urls = platform.callback_urls("https://h/callbacks/a/s");
        assert_eq!(urls.len(), platform.channels().len().max(1));
        assert!(urls.iter().all(|url| url.url.starts_with("https://h/callbacks/a/s")));
        let quota = platform.quota();
        assert!(quota.calls_per_minute > 0 && quota.downloads_per_minute > 0 && quota.concurrency > 0);
    }
    assert!(crate::by_name("nobody").is_none());
}

#[test]
fn a_genuine_callback_is_let_in_understood_and_answered() {
    for Specimen { platform, id, secrets, genuine, .. } in specimens() {
        assert_eq!(platform.authenticate(&genuine, &secrets), Ok(()));
        let meaning = platform.interpret(&genuine);
        assert_eq!(meaning.envelope, Some(EnvelopeId::new(id)));
        assert!(understood(meaning.meaning)[0].kind.is_final());
        assert_eq!(platform.interpret(&genuine).key, platform.interpret(&genuine.clone()).key);
        assert_eq!(platform.acknowledge(&genuine).status, 200);
    }
}

#[test]
fn forged_and_altered_callbacks_are_refused_where_they_are_signed() {
    for Specimen { platform, genuine, secrets, unknown, .. } in specimens().into_iter().filter(|s| s.signed) {
        assert_eq!(platform.authenticate(&genuine, &keys(&["another key"])), Err(Refusal::Forged));
        assert_eq!(platform.authenticate(&genuine, &keys(&[])), Err(Refusal::Unsigned));
        assert_eq!(platform.authenticate(&unknown, &secrets), Err(Refusal::Forged));
        let mut altered = genuine.clone();
        altered.body = replaced(&genuine.body, "George", "Gregor");
        assert_eq!(platform.authenticate(&altered, &secrets), Err(Refusal::Altered));
    }
}

#[test]
fn unknown_kinds_wake_softly_and_malformed_ones_are_quarantined_and_both_are_answered() {
    for Specimen { platform, unknown, malformed, secrets, .. } in specimens() {
        let news = understood(platform.interpret(&unknown).meaning);
        assert_eq!(news[0].kind, aftersign_core::callback::NotificationKind::Unknown);
        assert_eq!(platform.authenticate(&malformed, &secrets), Ok(()));
        let meaning = platform.interpret(&malformed);
        assert!(matches!(&meaning.meaning, Meaning::Quarantined(reason) if !reason.is_empty()));
        assert_eq!(meaning.key, platform.interpret(&malformed).key);
        for inbound in [&unknown, &malformed] {
            assert_eq!(platform.acknowledge(inbound).status, 200);
        }
    }
}

#[test]
fn an_id_can_never_leave_its_place_in_a_url() {
    let hostile =
        ["", "..", "../account", "a/b", "a%2fb", "a?x=1", "a#f", "a b", "a\r\nHost: evil", "ü", "{}"];
    for Specimen { platform, id, .. } in specimens() {
        let access = access(platform);
        for bad in hostile {
            let known = envelope(bad, EnvelopeStatus::Completed);
            let refused = platform.fetch_envelope(&access, &known.id).unwrap_err();
            assert_eq!(refused.remedy(), Remedy::AskPerson, "{bad:?}");
            assert!(platform.list_artifacts(&access, &known).is_err());
            assert!(platform.dispose(&access, &proof(known)).is_err());
            let known = envelope(id, EnvelopeStatus::Completed);
            for prefix in ["", "file:", "v5:", "record:"] {
                let mut artifact = proof_artifact();
                artifact.id = format!("{prefix}{bad}");
                assert!(platform.download(&access, &known, &artifact).is_err(), "{prefix}{bad:?}");
            }
        }
        let call = platform.fetch_envelope(&access, &EnvelopeId::new(id)).unwrap();
        // A `=` at an id's end is percent-encoded.
        assert!(
            line(&call.request).contains(id.trim_end_matches('=')) && !format!("{call:?}").contains("s3cret")
        );
    }
}

fn proof_artifact() -> aftersign_core::artifact::ArtifactRef {
    aftersign_core::artifact::ArtifactRef {
        id: String::new(),
        kind: aftersign_core::artifact::ArtifactKind::Document,
        name: "../a\0b".into(),
        content: aftersign_core::artifact::Content::Pdf,
    }
}

#[test]
fn a_credential_or_base_url_that_cannot_be_used_asks_a_person() {
    for Specimen { platform, id, .. } in specimens() {
        let good = access(platform);
        let mut empty = good.clone();
        empty.credential = aftersign_core::platform::Credential::default();
        let mut no_url = good.clone();
        no_url.base_url = "not a url".into();
        for bad in [empty, no_url] {
            let error = platform.fetch_envelope(&bad, &EnvelopeId::new(id)).unwrap_err();
            assert_eq!(error.remedy(), Remedy::AskPerson);
        }
    }
}

/// Every reader of a platform, with its value forgotten.
fn readers(specimen: &Specimen) -> Vec<Call<()>> {
    fn forget<T: 'static>(call: Result<Call<T>, Error>) -> Call<()> {
        let (operation, request, read) = call.unwrap().into_parts();
        Call::new(operation, request, move |response, now| {
            Ok(match read(response, now)? {
                Next::Done(_) => Next::Done(()),
                Next::Then(next) => Next::Then(forget(Ok(next))),
            })
        })
    }
    let Specimen { platform, id, .. } = specimen;
    let access = access(*platform);
    let known = envelope(id, EnvelopeStatus::Completed);
    let window = Window { since: now(), until: now(), cursor: None };
    vec![
        forget(platform.whoami(&access)),
        forget(platform.fetch_envelope(&access, &known.id)),
        forget(platform.list_artifacts(&access, &known)),
        forget(platform.changed_since(&access, &window)),
        forget(platform.dispose(&access, &proof(known))),
        forget(platform.dispose(&access, &proof(envelope(id, EnvelopeStatus::Expired)))),
    ]
}

/// Gives the same answer to whatever is asked, at most as often as any chain is long.
fn drive(call: Call<()>, response: &Response<Bytes>) -> Result<(), Error> {
    let mut call = call;
    for _ in 0..8 {
        let (_, _, read) = call.into_parts();
        match read(response.clone(), now())? {
            Next::Done(()) => return Ok(()),
            Next::Then(next) => call = next,
        }
    }
    panic!("the chain of calls has no end");
}

#[test]
fn pages_that_are_not_the_apis_are_errors_that_try_again() {
    let html = "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>";
    for specimen in specimens() {
        for (status, body) in [
            (200, html),
            (502, html),
            (503, ""),
            (404, html),
            (403, html),
            (410, html),
            (302, ""),
            (200, "[1"),
        ] {
            for call in readers(&specimen) {
                let operation = call.operation;
                let error = drive(call, &answer(status, body)).expect_err(operation);
                assert!(matches!(error.remedy(), Remedy::Retry(_)), "{operation} {status}: {error}");
            }
            let refused = specimen.platform.refused_download(&answer(status, body));
            assert!(matches!(refused.remedy(), Remedy::Retry(_)), "{status}");
        }
    }
}

#[test]
fn every_reader_outlives_every_answer() {
    let deep = "[".repeat(100_000) + &"{\"error\":".repeat(1_000);
    let bodies = [
        "",
        "null",
        "true",
        "17",
        "\"x\"",
        "{}",
        "[]",
        "{\"error\":5}",
        "{\"error\":{\"error_name\":[]}}",
        "{\"ErrorId\":5,\"Message\":{}}",
        "{\"signature_request\":null}",
        "{\"signature_request\":[]}",
        "{\"signature_requests\":[{}]}",
        "{\"Envelopes\":[{\"Id\":\"x\"}]}",
        "{\"Documents\":5}",
        "\u{FEFF}{}",
        &deep,
    ];
    for specimen in specimens() {
        for status in [200, 204, 301, 400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 503] {
            for body in bodies {
                for call in readers(&specimen) {
                    let _ = drive(call, &answer(status, body.to_owned()));
                }
                let _ = specimen.platform.refused_download(&answer(status, body.to_owned()));
            }
        }
        let refused = specimen.platform.refused_download(&answer(401, ""));
        assert_eq!(refused.remedy(), Remedy::RenewAccess);
    }
}

#[test]
fn large_bodies_are_read_or_refused_without_harm() {
    let size = 10 * 1024 * 1024;
    let boundary = "----------------------------cdbbc9813ec9";
    let bodies = [
        vec![b'-'; size],
        vec![b'\n'; size],
        format!("--{boundary}\r\n").repeat(size / 44).into_bytes(),
        format!("{{\"event\":{}", "[".repeat(size)).into_bytes(),
        format!("{{\"event\":\"{}\"}}", "x".repeat(size)).into_bytes(),
    ];
    for Specimen { platform, secrets, genuine, .. } in specimens() {
        for body in &bodies {
            for content_type in
                [format!("multipart/form-data; boundary={boundary}"), "application/json".into()]
            {
                let mut large = genuine.clone();
                large.headers.insert("content-type", HeaderValue::from_str(&content_type).unwrap());
                large.body = body.clone().into();
                let _ = platform.authenticate(&large, &secrets);
                let _ = platform.interpret(&large);
            }
        }
    }
}

fn any_inbound() -> impl Strategy<Value = Inbound> {
    let body = proptest::prop_oneof![
        prop::collection::vec(any::<u8>(), 0..512),
        "\\{\"event\":\\{(\"event_(time|type|hash)\":(\"[a-z0-9]{0,70}\"|[0-9]{0,20}|null),?){0,4}\\}(,\"signature_request\":[a-z{}\":]{0,20})?\\}"
            .prop_map(String::into_bytes),
        "(--X(--)?[ \r\n]{0,3}|Content-Disposition: form-data; name=\"?json\"?|[\r\n]{1,4}|\\{\\}|[a-z:;=\"]{0,9}){0,20}"
            .prop_map(String::into_bytes),
    ];
    let content_type = proptest::prop_oneof![
        "multipart/form-data; boundary=\"?X\"?",
        "application/(json|x-www-form-urlencoded)",
        "[ -~]{0,60}",
    ];
    let channel = prop::option::of("envelope|status|workstep|draft|[a-z]{0,5}");
    let query = "(([eE]nvelope(Id)?|action|eventType|draftId|[a-z]{0,4})=([0-9a-f-]{0,36}|##[A-Z][a-z]+##|%[0-9A-Z]{2}|.{0,9})&?){0,5}";
    (body, content_type, channel, query, "[ -~]{0,90}").prop_map(
        |(body, content_type, channel, query, digest)| {
            let mut inbound = inbound(Method::POST, channel.as_deref(), &query, body);
            inbound.headers.insert("content-type", HeaderValue::from_str(&content_type).unwrap());
            inbound.headers.insert("content-sha256", HeaderValue::from_str(&digest).unwrap());
            inbound
        },
    )
}

proptest! {
    #[test]
    fn whatever_comes_in_is_judged_without_a_panic(inbound in any_inbound()) {
        for Specimen { platform, secrets, .. } in specimens() {
            let _ = platform.authenticate(&inbound, &secrets);
            let first = platform.interpret(&inbound);
            assert_eq!(first.key, platform.interpret(&inbound).key);
            if let Meaning::Quarantined(reason) = first.meaning {
                assert!(!reason.is_empty());
            }
            assert_eq!(platform.acknowledge(&inbound).status, 200);
        }
    }
}
