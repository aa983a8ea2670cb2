//! One suite for every adapter: what must hold whatever the platform. It is the certification that
//! `docs/platforms.md` shows, so the checks here are those of [`CHECKS`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::callback::{Inbound, Meaning, Notification, NotificationKind, Refusal};
use aftersign_core::concern::{Concern, Heard, open_concerns};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension, Known, Lookup};
use aftersign_core::ids::{AccountId, EnvelopeId};
use aftersign_core::platform::{Access, Call, Credential, Next, Platform, Token, Window};
use aftersign_core::rule::DisposePolicy;
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::{HeaderValue, Response, Uri};
use proptest::prelude::{Strategy, prop, proptest};

use crate::capability_checks::{
    a_registration_is_read_back, an_extension_is_seen_by_its_revision,
    an_imported_callback_is_the_one_that_was_not_delivered, retention_is_told_for_final_statuses,
    senders_are_listed_to_the_end, the_registered_callback_is_read,
};
use crate::certificate::{ADAPTERS, CHECKS, document};
use crate::consent_checks::{
    a_consent_page_is_told_what_it_must_know_once, a_grant_is_renewed_where_it_can_be,
    a_grant_opens_the_api_and_shows_no_secret, a_way_back_is_read_and_never_guessed,
    an_exchange_that_fails_says_whose_turn_it_is,
};
use crate::draft_checks::{
    a_draft_that_was_perhaps_sent_is_found_again,
    a_mark_bears_the_drafts_id_and_spares_the_customers_metadata,
    a_refusal_of_a_draft_repeats_no_callback_url, an_archived_record_of_a_marked_draft_holds_no_callback_url,
    an_unclear_answer_to_sending_never_means_not_sent,
};
use crate::specimens::{Specimen, specimens};
use crate::testing::{
    access, access_by, answer, any_inbound, app, envelope, keys, line, nonces, now, proof, result, understood,
};
use crate::{consent_checks, draft_checks};

/// Makes a test of each check, and the list of those that are made.
macro_rules! certify {
    ($($check:ident)*) => {
        mod certified {
            $(#[test] fn $check() { super::certify(stringify!($check), super::$check) })*
        }
        const CERTIFIED: &[&str] = &[$(stringify!($check)),*];
    };
}

certify! {
    a_genuine_callback_is_let_in_understood_and_answered
    a_forged_callback_is_refused
    an_altered_callback_is_refused
    a_malformed_callback_is_quarantined_and_answered
    an_unknown_kind_is_noted_and_wakes_softly
    a_repeat_is_known_by_its_key
    order_and_repetition_do_not_matter
    an_early_callback_waits_for_the_platform
    pages_that_are_not_the_apis_are_errors_that_try_again
    every_reader_outlives_every_answer
    an_id_never_leaves_its_place_in_a_url
    a_hostile_file_name_stays_in_its_folder
    a_credential_or_base_url_that_cannot_be_used_asks_a_person
    a_secret_is_never_shown
    every_way_of_being_let_in_works
    options_have_defaults_and_refuse_other_words
    only_what_is_offered_can_be_called
    the_default_disposal_does_no_harm
    a_large_body_is_judged_quickly
    whatever_comes_in_is_judged_without_a_panic
    the_registered_callback_is_read
    a_registration_is_read_back
    an_imported_callback_is_the_one_that_was_not_delivered
    retention_is_told_for_final_statuses
    senders_are_listed_to_the_end
    an_extension_is_seen_by_its_revision
    a_consent_page_is_told_what_it_must_know_once
    a_way_back_is_read_and_never_guessed
    an_exchange_that_fails_says_whose_turn_it_is
    a_grant_opens_the_api_and_shows_no_secret
    a_grant_is_renewed_where_it_can_be
    a_mark_bears_the_drafts_id_and_spares_the_customers_metadata
    an_archived_record_of_a_marked_draft_holds_no_callback_url
    a_refusal_of_a_draft_repeats_no_callback_url
    an_unclear_answer_to_sending_never_means_not_sent
    a_draft_that_was_perhaps_sent_is_found_again
}

/// Runs a check over the adapters that it applies to.
fn certify(name: &str, run: fn(&Specimen)) {
    let check = CHECKS.iter().find(|check| check.name == name).expect("the certificate lists it");
    let mut certified = 0;
    for of in specimens().iter().filter(|of| check.missing(of.adapter).is_none()) {
        println!("{}", of.platform().name());
        run(of);
        certified += 1;
    }
    assert!(certified > 0, "no adapter is checked");
}

#[test]
fn the_certificate_lists_what_is_checked_for_every_platform() {
    let listed: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(listed, CERTIFIED);
    let names = |platforms: Vec<&dyn Platform>| platforms.iter().map(|it| it.name()).collect::<Vec<_>>();
    assert_eq!(
        names(ADAPTERS.iter().map(|adapter| adapter.platform).collect()),
        names(crate::all().to_vec())
    );
    let text = document();
    for row in text.lines().filter(|row| row.starts_with('|')) {
        assert!(row.ends_with('|') && row.matches('|').count() >= 4, "a cell breaks its table: {row}");
    }
    assert!(crate::by_name("nobody").is_none());
}

#[test]
fn every_platform_tells_where_it_calls_and_what_it_bears() {
    for platform in crate::all() {
        let fields: Vec<_> = platform.credential_shapes().iter().flat_map(|shape| shape.fields).collect();
        assert!(!fields.is_empty());
        assert!(platform.callback_key_field().is_none_or(|field| fields.contains(&&field)));
        let urls = platform.callback_urls("https://h/callbacks/a/s");
        assert_eq!(urls.len(), platform.channels().len().max(1));
        assert!(urls.iter().all(|url| url.url.starts_with("https://h/callbacks/a/s")));
        let quota = platform.quota();
        assert!(quota.calls_per_minute > 0 && quota.downloads_per_minute > 0 && quota.concurrency > 0);
    }
}

impl Specimen {
    pub(crate) fn platform(&self) -> &'static dyn Platform {
        self.adapter.platform
    }

    pub(crate) fn envelope_id(&self) -> EnvelopeId {
        EnvelopeId::new(self.id)
    }

    /// An access in each of the platform's ways, with its token where it needs one.
    fn accesses(&self) -> Vec<Access> {
        let token = Token { secret: Secret::new("t0ken"), renew_at: now() };
        let shapes = self.platform().credential_shapes().iter();
        let by_shape = shapes.map(|shape| access_by(self.platform(), shape));
        by_shape
            .map(|access| match self.platform().token(&access) {
                None => access,
                Some(_) => access.with_token(&token),
            })
            .collect()
    }
}

pub(crate) fn window() -> Window {
    Window { since: now(), until: now(), cursor: None }
}

fn a_genuine_callback_is_let_in_understood_and_answered(of: &Specimen) {
    let platform = of.platform();
    assert_eq!(platform.authenticate(&of.genuine, &of.secrets), Ok(()));
    let meaning = platform.interpret(&of.genuine);
    assert_eq!(meaning.envelope, Some(of.envelope_id()));
    assert!(understood(meaning.meaning)[0].kind.is_final());
    assert_eq!(platform.acknowledge(&of.genuine).status, 200);
}

fn a_forged_callback_is_refused(of: &Specimen) {
    let refused = |secrets: &[&str]| of.platform().authenticate(&of.genuine, &keys(secrets)).is_err();
    assert!(refused(&["another key"]) && refused(&[""]) && refused(&["another key", ""]));
    let mut bare = of.genuine.clone();
    bare.headers.remove("authorization");
    bare.body = Bytes::from_static(br#"{"event":{"event_time":"1","event_type":"x"}}"#);
    bare.headers.insert("content-type", HeaderValue::from_static("application/json"));
    assert!(of.platform().authenticate(&bare, &of.secrets).is_err(), "nothing vouches for it");
}

fn an_altered_callback_is_refused(of: &Specimen) {
    let altered = of.altered.as_ref().unwrap();
    assert_eq!(of.platform().authenticate(altered, &of.secrets), Err(Refusal::Altered));
    assert_eq!(of.platform().authenticate(&of.unknown, &of.secrets), Err(Refusal::Forged));
    assert_eq!(of.platform().authenticate(&of.genuine, &keys(&[])), Err(Refusal::Unsigned));
}

fn a_malformed_callback_is_quarantined_and_answered(of: &Specimen) {
    assert_eq!(of.platform().authenticate(&of.malformed, &of.secrets), Ok(()));
    let meaning = of.platform().interpret(&of.malformed);
    assert!(matches!(&meaning.meaning, Meaning::Quarantined(reason) if !reason.is_empty()));
    assert_eq!(meaning.key, of.platform().interpret(&of.malformed).key);
    assert_eq!(of.platform().acknowledge(&of.malformed).status, 200);
}

fn an_unknown_kind_is_noted_and_wakes_softly(of: &Specimen) {
    let news = understood(of.platform().interpret(&of.unknown).meaning);
    assert_eq!(news[0].kind, NotificationKind::Unknown);
    assert!(!news[0].kind.is_final() && news[0].kind.suggests().is_none());
    assert_eq!(of.platform().acknowledge(&of.unknown).status, 200);
}

fn a_repeat_is_known_by_its_key(of: &Specimen) {
    let key = |inbound: &Inbound| of.platform().interpret(inbound).key;
    assert_eq!(key(&of.genuine), key(&of.genuine.clone()));
    for story in &of.stories {
        let keys: BTreeSet<_> = story.iter().map(key).collect();
        assert_eq!(keys.len(), story.len(), "two of a story have one key");
    }
}

/// What is known and open after news of one envelope, whenever they were heard.
fn told<'a>(news: impl Iterator<Item = &'a Notification>) -> (EnvelopeStatus, bool, Vec<Concern>) {
    let mut known: Option<Known> = None;
    let mut heard = Vec::new();
    for news in news {
        let first = || Known::first_seen(AccountId::new("hr"), news.envelope.clone(), now());
        let known = known.get_or_insert_with(first);
        assert_eq!(known.id, news.envelope, "a story is about one envelope");
        known.announce(news, true, now());
        heard.push(Heard {
            kind: news.kind,
            at: news.occurred_at.unwrap_or(now()),
            heard_at: now(),
            signer: news.signer.clone(),
            detail: news.detail.clone(),
        });
    }
    let known = known.expect("a story tells something");
    let mut concerns = open_concerns(&known, &[], &heard);
    concerns.sort_by(|a, b| a.task.key.cmp(&b.task.key));
    (known.status, known.announced, concerns)
}

fn order_and_repetition_do_not_matter(of: &Specimen) {
    assert!(of.stories.iter().any(|story| !told(news_of(of, story).iter()).2.is_empty()), "no story worries");
    for story in &of.stories {
        let news = news_of(of, story);
        assert!(news.len() > 1);
        let expected = told(news.iter());
        let order = prop::sample::subsequence((0..news.len()).collect::<Vec<_>>(), news.len()).prop_shuffle();
        let repeats = prop::collection::vec(0..news.len(), 0..12);
        proptest!(|(order in order, repeats in repeats)| {
            let heard = repeats.iter().chain(&order).map(|index| &news[*index]);
            assert_eq!(told(heard), expected);
        });
    }
}

fn news_of(of: &Specimen, story: &[Inbound]) -> Vec<Notification> {
    story.iter().flat_map(|inbound| understood(of.platform().interpret(inbound).meaning)).collect()
}

fn an_early_callback_waits_for_the_platform(of: &Specimen) {
    let access = access(of.platform());
    let answered = result(of.platform().fetch_envelope(&access, &of.envelope_id()), of.open.clone());
    let Ok(Lookup::Found(open)) = answered else { panic!("{answered:?}") };
    let mut known = Known::first_seen(AccountId::new("hr"), of.envelope_id(), now());
    for news in understood(of.platform().interpret(&of.genuine).meaning) {
        known.announce(&news, true, now());
    }
    known.confirm(&open, now());
    assert!(!known.status.is_final(), "{:?}", known.status);
    let ended = envelope(of.id, EnvelopeStatus::Completed);
    let early = result(of.platform().list_artifacts(&access, &ended), of.not_ready.clone()).unwrap_err();
    assert_eq!(early.remedy(), Remedy::Park, "{early}");
}

/// Every reader of a platform in every way of being let in, with its value forgotten.
fn readers(of: &Specimen) -> Vec<Call<()>> {
    let mut readers = Vec::new();
    for access in of.accesses() {
        readers.extend(readers_by(of, &access));
        if of.platform().capabilities().per_sender {
            readers.extend(readers_by(of, &access.for_sender("anna@example.com")));
        }
    }
    readers
}

fn readers_by(of: &Specimen, access: &Access) -> Vec<Call<()>> {
    let (platform, can) = (of.platform(), of.platform().capabilities());
    let known = envelope(of.id, EnvelopeStatus::Completed);
    let mut readers = vec![
        forget(platform.whoami(access)),
        forget(platform.fetch_envelope(access, &known.id)),
        forget(platform.list_artifacts(access, &known)),
        forget(platform.changed_since(access, &window())),
        forget(platform.dispose(access, &proof(known))),
        forget(platform.dispose(access, &proof(envelope(of.id, EnvelopeStatus::Expired)))),
    ];
    readers.extend(platform.token(access).map(forget));
    if can.registered_callback {
        readers.push(forget(platform.registration(access)));
    }
    if can.register_callback {
        readers.push(forget(platform.register(access, "https://h/s3cret", Some(&Secret::new("s3cret")))));
    }
    if can.retention {
        readers.push(forget(platform.retention(access)));
    }
    if can.per_sender {
        readers.push(forget(platform.senders(access, None)));
    }
    if can.code_grant {
        readers.extend(consent_checks::readers(platform, access));
    }
    if can.before_send_redirect {
        readers.extend(draft_checks::readers(of, access));
    }
    readers
}

pub(crate) fn forget<T: 'static>(call: Result<Call<T>, Error>) -> Call<()> {
    let (operation, request, read) = call.unwrap().into_parts();
    Call::new(operation, request, move |response, now| {
        Ok(match read(response, now)? {
            Next::Done(_) => Next::Done(()),
            Next::Then(next) => Next::Then(forget(Ok(next))),
        })
    })
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

fn pages_that_are_not_the_apis_are_errors_that_try_again(of: &Specimen) {
    let html: &[u8] = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>";
    for (status, body) in [
        (200, html),
        (502, html),
        (503, b""),
        (404, html),
        (403, html),
        (410, html),
        (302, b""),
        (200, b"[1"),
        (200, b"\xff\xfe{\x00}\x00"),
        (404, b"\xff\xfe<\x00"),
    ] {
        for call in readers(of) {
            let operation = call.operation;
            let error = drive(call, &answer(status, body)).expect_err(operation);
            assert!(matches!(error.remedy(), Remedy::Retry(_)), "{operation} {status}: {error}");
        }
        let refused = of.platform().refused_download(&answer(status, body));
        assert!(matches!(refused.remedy(), Remedy::Retry(_)), "{status}");
    }
}

fn every_reader_outlives_every_answer(of: &Specimen) {
    let deep = ["[".repeat(100_000), "{\"error\":".repeat(1_000)].concat();
    let bodies: [&[u8]; 22] = [
        b"",
        b"null",
        b"true",
        b"17",
        b"\"x\"",
        b"{}",
        b"[]",
        b"<html>",
        b"{\"error\":5}",
        b"{\"error\":{\"error_name\":[]}}",
        b"{\"ErrorId\":5,\"Message\":{}}",
        b"{\"signature_request\":null}",
        b"{\"signature_request\":[]}",
        b"{\"signature_requests\":[{}]}",
        b"{\"Envelopes\":[{\"Id\":\"x\"}]}",
        b"{\"Documents\":5}",
        b"{\"results\":[{},5,null],\"count\":-1}",
        b"{\"access_token\":5,\"accessToken\":{},\"expiresAt\":[]}",
        b"{\"account\":[],\"callback_url\":5,\"url\":{},\"transactionRetention\":[]}",
        b"\xEF\xBB\xBF{}",
        b"{\"id\":\"\xff\xfe\"}",
        deep.as_bytes(),
    ];
    for status in [200, 204, 301, 400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 503] {
        for body in bodies {
            let answer = answer(status, Bytes::copy_from_slice(body));
            for call in readers(of) {
                let _ = drive(call, &answer);
            }
            let _ = of.platform().refused_download(&answer);
        }
    }
    assert_eq!(of.platform().refused_download(&answer(401, "")).remedy(), Remedy::RenewAccess);
}

const HOSTILE: [&str; 11] =
    ["", "..", "../account", "a/b", "a%2fb", "a?x=1", "a#f", "a b", "a\r\nHost: evil", "ü", "{}"];

fn an_id_never_leaves_its_place_in_a_url(of: &Specimen) {
    let platform = of.platform();
    let access = access(platform);
    for bad in HOSTILE {
        let known = envelope(bad, EnvelopeStatus::Completed);
        let refused = platform.fetch_envelope(&access, &known.id).unwrap_err();
        assert_eq!(refused.remedy(), Remedy::AskPerson, "{bad:?}");
        assert!(platform.list_artifacts(&access, &known).is_err());
        assert!(platform.dispose(&access, &proof(known)).is_err());
    }
    a_part_never_leaves_its_place_in_a_url(of, &access);
    let call = platform.fetch_envelope(&access, &of.envelope_id()).unwrap();
    // A `=` at an id's end is percent-encoded.
    assert!(line(&call.request).contains(of.id.trim_end_matches('=')));
    if platform.capabilities().per_sender {
        let target = |sender: &str| {
            let call = platform.changed_since(&access.clone().for_sender(sender), &window()).unwrap();
            let query = call.request.uri().query().unwrap_or_default().split('&').count();
            (call.request.uri().path().to_owned(), query)
        };
        for bad in HOSTILE {
            assert_eq!(target(bad), target("anna@example.com"), "{bad:?}");
        }
    }
}

/// Puts hostile text in place of every part of every id that the platform's own list gives: it is refused, or one
/// segment of the path, encoded.
fn a_part_never_leaves_its_place_in_a_url(of: &Specimen, access: &Access) {
    let platform = of.platform();
    let known = envelope(of.id, EnvelopeStatus::Completed);
    let listed = result(platform.list_artifacts(access, &known), (of.listing)("a.pdf")).unwrap();
    assert!(!listed.is_empty());
    for artifact in listed {
        let url = |id: &str| {
            let artifact = ArtifactRef { id: id.to_owned(), ..artifact.clone() };
            platform.download(access, &known, &artifact).map(|request| request.uri().clone())
        };
        let genuine = url(&artifact.id).unwrap();
        let around = |uri: &Uri| (uri.authority().cloned(), uri.query().map(str::to_owned));
        for hostile in HOSTILE.iter().flat_map(|bad| with_a_part_replaced(&artifact.id, bad)) {
            let reached = match url(&hostile) {
                Ok(reached) => reached,
                Err(refused) => {
                    assert_eq!(refused.remedy(), Remedy::AskPerson, "{hostile:?}");
                    continue;
                }
            };
            assert_eq!(around(&reached), around(&genuine), "{reached}");
            assert_eq!(path(&reached).count(), path(&genuine).count(), "{reached}");
            assert!(path(&reached).all(|segment| segment != ".."), "{reached}");
            assert!(path(&reached).zip(path(&genuine)).filter(|(a, b)| a != b).count() <= 1, "{reached}");
        }
    }
}

fn path(uri: &Uri) -> std::str::Split<'_, char> {
    uri.path().split('/')
}

/// The ids that come of one with `bad` in place of each of its parts but the first, which is our own name of the route;
/// with `bad` as one more part; and `bad` alone.
fn with_a_part_replaced(id: &str, bad: &str) -> Vec<String> {
    let parts: Vec<&str> = id.split(':').collect();
    let replaced = |at: usize| [&parts[..at], &[bad], &parts[at + 1..]].concat().join(":");
    (1..parts.len()).map(replaced).chain([format!("{id}:{bad}"), bad.to_owned()]).collect()
}

fn a_hostile_file_name_stays_in_its_folder(of: &Specimen) {
    let endless = "x".repeat(100_000);
    let names = [
        "../../etc/passwd",
        "..",
        "C:\\a\\b",
        "a\0b\r\nc",
        ".hidden",
        "CON",
        "\u{202E}fdp.exe",
        "/",
        &endless,
    ];
    for name in names {
        let known = envelope(of.id, EnvelopeStatus::Completed);
        let listed = of.platform().list_artifacts(&access(of.platform()), &known);
        let listed = result(listed, (of.listing)(name)).unwrap();
        assert!(!listed.is_empty());
        for artifact in listed {
            let file = artifact.file_name(&[]);
            let is_bad = |c: char| c.is_control() || matches!(c, '/' | '\\');
            assert!(!file.is_empty() && file.len() <= 255 && !file.starts_with('.'), "{file:?}");
            assert!(!file.contains(is_bad), "{file:?}");
        }
    }
}

fn a_credential_or_base_url_that_cannot_be_used_asks_a_person(of: &Specimen) {
    let mut empty = access(of.platform());
    empty.credential = Credential::default();
    let mut no_url = access(of.platform());
    no_url.base_url = "not a url".into();
    for bad in [empty, no_url] {
        assert!(of.platform().token(&bad).is_none_or(|call| call.is_err()));
        let error = of.platform().fetch_envelope(&bad, &of.envelope_id()).unwrap_err();
        assert_eq!(error.remedy(), Remedy::AskPerson);
    }
}

fn a_secret_is_never_shown(of: &Specimen) {
    for call in readers(of) {
        let shown = format!("{call:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
        let operation = call.operation;
        for (status, body) in [(400, "{}"), (401, ""), (500, "<html>"), (200, "{\"a\":\"t0ken s3cret\"")] {
            let readers = readers(of).into_iter().filter(|reader| reader.operation == operation);
            for error in readers.filter_map(|reader| drive(reader, &answer(status, body)).err()) {
                let chain = error.chain();
                assert!(!chain.contains("s3cret") && !chain.contains("t0ken"), "{chain}");
            }
        }
    }
    for access in of.accesses() {
        assert!(!format!("{access:?}").contains("s3cret") && !format!("{access:?}").contains("t0ken"));
    }
}

fn every_way_of_being_let_in_works(of: &Specimen) {
    for shape in of.platform().credential_shapes() {
        let bare = access_by(of.platform(), shape);
        let choices = shape.choice.map_or(1, |(_, values)| values.len());
        assert!(choices > 0);
        assert_eq!(of.platform().token(&bare).is_some(), of.platform().whoami(&bare).is_err());
        assert!(of.platform().token(&bare).is_none_or(|call| call.is_ok()));
    }
    for access in of.accesses() {
        let request = of.platform().whoami(&access).unwrap().request;
        let sent = request.headers().values().filter(|value| value.is_sensitive()).count();
        assert_eq!(sent, 1, "the credential is sent once, and marked");
    }
}

fn options_have_defaults_and_refuse_other_words(of: &Specimen) {
    let outcome = |access: &Access| {
        let known = envelope(of.id, EnvelopeStatus::Completed);
        let sweep = of.platform().changed_since(access, &window()).map(|call| line(&call.request));
        let removal = of.platform().dispose(access, &proof(known)).map(|call| line(&call.request));
        (sweep.map_err(|error| error.to_string()), removal.map_err(|error| error.to_string()))
    };
    let unset = access(of.platform());
    for option in of.platform().options() {
        assert!(option.values.is_empty() || option.values.contains(&option.default), "{}", option.name);
        assert!(option.about.ends_with('.'), "{}", option.about);
        let set = |value: &str| {
            let mut access = unset.clone();
            access.options.insert(option.name.into(), value.into());
            access
        };
        if option.values.is_empty() {
            continue;
        }
        for default in [option.default.to_owned(), format!(" {}\t", option.default)] {
            assert_eq!(outcome(&set(&default)), outcome(&unset), "{} = {default:?}", option.name);
        }
        let refused = outcome(&set("no such word"));
        let reasons = [refused.0.err(), refused.1.err()];
        let names_choices = |reason: &String| option.values.iter().all(|value| reason.contains(value));
        assert!(reasons.iter().flatten().any(names_choices), "{reasons:?}");
    }
}

fn only_what_is_offered_can_be_called(of: &Specimen) {
    let (platform, can) = (of.platform(), of.platform().capabilities());
    let access = access(platform);
    let known = || envelope(of.id, EnvelopeStatus::Completed);
    let calls = [
        (can.dispose, platform.dispose(&access, &proof(known())).err()),
        (can.list_changes, platform.changed_since(&access, &window()).err()),
        (can.registered_callback, platform.registration(&access).err()),
        (can.register_callback, platform.register(&access, "https://h/x", None).err()),
        (can.retention, platform.retention(&access).err()),
        (can.per_sender, platform.senders(&access, None).err()),
        (can.code_grant, platform.begin_grant(&access, &app(), &nonces()).err()),
        (can.before_send_redirect, platform.fetch_draft(&access, draft_checks::ID).err()),
        (can.before_send_redirect, platform.send_draft(&access, draft_checks::ID).err()),
        (can.before_send_redirect, platform.trace_draft(&access, draft_checks::ID, now()).err()),
    ];
    for (offered, refused) in calls {
        assert_eq!(offered, refused.is_none(), "{refused:?}");
        assert!(refused.is_none_or(|error| error.kind() == ErrorKind::Misconfigured));
    }
    let imported = platform.undelivered(&of.genuine.body);
    assert_eq!(can.import_callbacks, imported.is_ok());
    assert!(imported.err().is_none_or(|reason| !reason.is_empty()));
    assert!(can.register_callback || platform.wanted_events().is_empty());
    assert_eq!(can.before_send_redirect, platform.draft_id(draft_checks::ID).is_some());
    assert_eq!(can.before_send_redirect, platform.inbox_url(&access).is_some());
    assert!(can.code_grant || platform.read_return("code=c&state=s").is_none());
}

fn the_default_disposal_does_no_harm(of: &Specimen) {
    let extends_seals = of.platform().capabilities().extends_seals;
    for status in EnvelopeStatus::ALL {
        for extension in [Extension::NotAwaited, Extension::Awaited, Extension::Done, Extension::Unknown] {
            let known = Envelope { extension, ..envelope(of.id, status) };
            let is_extended = status == EnvelopeStatus::Completed && extension != Extension::NotAwaited;
            match of.platform().default_dispose(&known) {
                DisposePolicy::Never => {}
                DisposePolicy::AfterExtension => {
                    assert!(extends_seals && is_extended, "{status:?} {extension:?}");
                }
                harm => panic!("{harm} by default"),
            }
        }
    }
}

/// In how long a body must be judged: far more than it takes, far less than what is quadratic in its length takes.
const JUDGED_WITHIN: Duration = Duration::from_secs(20);

fn a_large_body_is_judged_quickly(of: &Specimen) {
    let size = 10 * 1024 * 1024;
    let boundary = "----------------------------cdbbc9813ec9";
    let multipart = &*format!("multipart/form-data; boundary={boundary}");
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    for (content_type, body) in [
        (multipart, vec![b'-'; size]),
        (multipart, vec![b'\n'; size]),
        (multipart, format!("--{boundary}\r\n").repeat(size / 44).into_bytes()),
        (json, format!("{{\"event\":{}", "[".repeat(size)).into_bytes()),
        (json, format!("{{\"event\":\"{}\"}}", "x".repeat(size)).into_bytes()),
        (json, "{\"name\":[".repeat(size / 9).into_bytes()),
        (form, "a=b&".repeat(size / 4).into_bytes()),
    ] {
        let mut large = Inbound { body: body.into(), ..of.genuine.clone() };
        large.headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
        let start = Instant::now();
        let _ = of.platform().authenticate(&large, &of.secrets);
        let _ = of.platform().interpret(&large);
        let _ = of.platform().undelivered(&large.body);
        assert!(start.elapsed() < JUDGED_WITHIN, "{:?}: {:?}", start.elapsed(), large.body.slice(..20));
    }
}

fn whatever_comes_in_is_judged_without_a_panic(of: &Specimen) {
    let platform = of.platform();
    let (kind, content) = (ArtifactKind::PlatformRecord, Content::Json);
    let record = ArtifactRef { id: "record".into(), kind, name: "record.json".into(), content };
    proptest!(|(inbound in any_inbound())| {
        let _ = platform.authenticate(&inbound, &of.secrets);
        let first = platform.interpret(&inbound);
        assert_eq!(first.key, platform.interpret(&inbound).key);
        if let Meaning::Quarantined(reason) = first.meaning {
            assert!(!reason.is_empty());
        }
        assert_eq!(platform.acknowledge(&inbound).status, 200);
        for imported in platform.undelivered(&inbound.body).unwrap_or_default() {
            let _ = understood(platform.interpret(&imported).meaning);
        }
        let _ = platform.redacted(&record, &inbound.body);
    });
}
