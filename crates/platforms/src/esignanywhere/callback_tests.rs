use aftersign_core::callback::{Interpretation, Meaning, NotificationKind, RepeatMeans, Urgency};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::limits::{CALLBACK_BODY_BYTES_MAX, EXCERPT_CHARS_MAX};
use aftersign_core::platform::Platform;
use http::Method;

use super::ESignAnyWhere;
use crate::testing::{inbound, keys, recorded, understood};

const ID: &str = "765b904a-7c64-470f-bf63-0f312d1fc474";

fn interpret(channel: Option<&str>, query: &str) -> Interpretation {
    ESignAnyWhere.interpret(&inbound(Method::GET, channel, query, ""))
}

fn kind(channel: Option<&str>, query: &str) -> NotificationKind {
    understood(interpret(channel, query).meaning)[0].kind
}

fn reason(channel: Option<&str>, query: &str) -> String {
    match interpret(channel, query).meaning {
        Meaning::Quarantined(reason) => reason,
        Meaning::Understood(news) => panic!("understood: {news:?}"),
    }
}

#[test]
fn a_recorded_call_is_understood_by_get_and_by_post() {
    let request = include_bytes!("fixtures/recorded_workstep_finished.http");
    for method in [Method::GET, Method::POST] {
        let mut inbound = recorded(request);
        inbound.method = method;
        inbound.body = "envelopeId=ignored".into();
        assert_eq!(ESignAnyWhere.authenticate(&inbound, &keys(&[])), Ok(()));
        let meaning = ESignAnyWhere.interpret(&inbound);
        assert_eq!(meaning.envelope, Some(EnvelopeId::new(ID)));
        assert_eq!(meaning.kind.as_deref(), Some("workstepFinished"));
        assert_eq!(understood(meaning.meaning)[0].kind, NotificationKind::SignerFinished);
    }
    assert!(ESignAnyWhere.body_bytes_max() >= CALLBACK_BODY_BYTES_MAX, "no body costs us a callback");
    let reply = ESignAnyWhere.acknowledge(&recorded(request));
    assert_eq!((reply.status.as_u16(), reply.content_type, &reply.body[..]), (200, "text/plain", &b"OK"[..]));
}

#[test]
fn every_action_means_what_the_facts_say_in_any_case() {
    use NotificationKind as Kind;
    for (action, expected) in [
        ("envelopeFinished", Kind::Finished),
        ("ENVELOPEFINISHED", Kind::Finished),
        ("workstepFinished", Kind::SignerFinished),
        ("workstepRejected", Kind::Declined),
        ("workstepDelegated", Kind::Delegated),
        ("workstepOpened", Kind::Opened),
        ("sendSignNotification", Kind::Sent),
        ("envelopeExpired", Kind::Expired),
        ("evnelopeExipired", Kind::Expired),
        ("workstepDelegatedSenderActionRequired", Kind::DelegationPending),
        ("fromTheFuture", Kind::Unknown),
    ] {
        for channel in [Some("envelope"), Some("status"), Some("workstep"), Some("draft"), None] {
            assert_eq!(kind(channel, &format!("envelopeId={ID}&action={action}")), expected, "{action}");
        }
    }
    for (event, expected) in [
        ("WorkstepFinished", Kind::SignerFinished),
        ("WorkstepRejected", Kind::Declined),
        ("SignWorkstepDocument", Kind::Informed),
        ("PageViewChanged", Kind::Informed),
        ("FromTheFuture", Kind::Unknown),
    ] {
        for channel in [Some("workstep"), Some("envelope"), Some("draft"), None] {
            assert_eq!(kind(channel, &format!("envelopeId={ID}&eventType={event}")), expected, "{event}");
        }
    }
}

#[test]
fn an_absent_action_is_the_envelopes_end_on_its_own_channel_only() {
    for query in [
        format!("envelopeId={ID}"),
        format!("envelopeId={ID}&action="),
        format!("envelopeId={ID}&action=%23%23Action%23%23"),
    ] {
        assert_eq!(kind(Some("envelope"), &query), NotificationKind::Finished);
        let key = interpret(Some("envelope"), &query).key;
        assert_eq!(key, interpret(None, &format!("envelopeId={ID}&action=envelopeFinished")).key);
    }
    let one_for_all =
        |action: &str, event: &str| format!("envelopeId={ID}&action={action}&eventType={event}");
    for channel in [Some("envelope"), Some("status"), Some("workstep"), Some("draft"), None] {
        let event = one_for_all("%23%23Action%23%23", "CalledPage");
        assert_eq!(kind(channel, &event), NotificationKind::Informed);
        let action = one_for_all("workstepOpened", "%23%23EventType%23%23");
        assert_eq!(kind(channel, &action), NotificationKind::Opened);
    }
    let unnamed = interpret(Some("status"), &format!("envelopeId={ID}"));
    assert_eq!(unnamed.kind, None);
    assert_eq!(understood(unnamed.meaning)[0].kind, NotificationKind::Unknown);
}

#[test]
fn a_callback_that_names_an_envelope_and_nothing_else_wakes_softly() {
    for (channel, query) in [
        ("status", format!("envelopeId={ID}")),
        ("status", format!("envelopeId={ID}&action=##Action##")),
        ("status", format!("envelopeId={ID}&action=%23%23Action%23%23")),
        ("workstep", format!("envelopeId={ID}")),
        ("workstep", format!("envelopeId={ID}&workstepId=")),
        ("workstep", format!("envelopeId={ID}&workstepId=W&eventType=%23%23EventType%23%23")),
    ] {
        let noted = interpret(Some(channel), &query);
        assert_eq!((noted.kind, noted.envelope), (None, Some(EnvelopeId::new(ID))), "{query}");
        assert_eq!(understood(noted.meaning)[0].kind, NotificationKind::Unknown, "{query}");
    }
    let step = format!("envelopeId={ID}&eventType=CalledPage&recipientEmail=%23%23RecipientEmail%23%23");
    let bare = interpret(Some("workstep"), &format!("envelopeId={ID}&eventType=CalledPage"));
    assert_eq!(interpret(Some("workstep"), &step).key, bare.key, "a placeholder says nothing");
}

#[test]
fn an_action_under_the_events_name_is_the_action() {
    for (word, expected) in [
        ("envelopeFinished", NotificationKind::Finished),
        ("ENVELOPEEXPIRED", NotificationKind::Expired),
        ("evnelopeExipired", NotificationKind::Expired),
        ("sendSignNotification", NotificationKind::Sent),
        ("workstepOpened", NotificationKind::Opened),
        ("workstepDelegated", NotificationKind::Delegated),
        ("workstepDelegatedSenderActionRequired", NotificationKind::DelegationPending),
    ] {
        let real = interpret(Some("status"), &format!("envelopeId={ID}&action={word}")).key;
        for channel in [Some("envelope"), Some("status"), Some("workstep"), Some("draft"), None] {
            for name in ["event", "eventType"] {
                let query = format!("envelope={ID}&{name}={word}");
                assert_eq!(kind(channel, &query), expected, "{query}");
                assert_eq!(interpret(channel, &query).key, real, "{query}");
            }
        }
    }
    for event in ["WorkstepFinished", "WorkstepRejected"] {
        let query = format!("envelopeId={ID}&workstepId=W&eventType={event}&recipientEmail=a@x.org");
        let news = understood(interpret(Some("workstep"), &query).meaning);
        assert_eq!(news[0].signer.as_deref(), Some("a@x.org"), "it stays an event");
    }
}

#[test]
fn values_without_a_known_name_are_known_by_their_look() {
    let other = "11111111-2222-4333-8444-555555555555";
    let real = interpret(Some("envelope"), &format!("envelopeId={ID}&action=envelopeFinished"));
    for query in [
        format!("id={ID}&what=envelopeFinished"),
        format!("envelopeId={ID}&what=envelopefinished&x=1"),
        format!("doc={ID}&doc2={ID}&action=envelopeFinished"),
        format!("doc={ID}&token={other}&action=envelopeFinished"),
    ] {
        for channel in ["envelope", "status", "draft"] {
            let noted = interpret(Some(channel), &query);
            assert_eq!((noted.key, noted.envelope), (real.key, real.envelope.clone()), "{channel} {query}");
        }
    }
    for query in [
        format!("a={ID}&b={other}"),
        format!("token={ID}"),
        format!("envelopeId=&id={ID}"),
        format!("envelopeId=%23%23EnvelopeId%23%23&id={ID}"),
        format!("workstepId={ID}"),
    ] {
        assert!(!reason(Some("status"), &query).is_empty(), "{query}");
    }
    let two = interpret(Some("status"), &format!("envelopeId={ID}&a=workstepOpened&b=workstepFinished"));
    assert_eq!(two.kind, None, "which of the two is not to be guessed");
}

#[test]
fn foreign_text_of_any_length_is_kept_short() {
    let long = "ü".repeat(50_000);
    for channel in [Some("envelope"), Some("status"), Some("workstep"), Some("draft"), None] {
        for query in [
            format!("envelopeId={long}&action={long}"),
            format!("envelopeId=%23%23{long}"),
            format!("draftId={long}"),
            format!("envelopeId={ID}&action={long}"),
            format!("envelopeId={ID}&draftId={ID}&action={long}"),
            format!("envelopeId={ID}&eventType={long}&recipientEmail={long}&description={long}"),
        ] {
            let noted = interpret(channel, &query);
            let mut texts = vec![(noted.kind.unwrap_or_default(), 100)];
            match noted.meaning {
                Meaning::Quarantined(reason) => texts.push((reason, 2 * EXCERPT_CHARS_MAX)),
                Meaning::Understood(news) => {
                    for news in news {
                        texts.push((news.kind_at_platform, 100));
                        texts.push((news.signer.unwrap_or_default(), EXCERPT_CHARS_MAX));
                        texts.push((news.detail.unwrap_or_default(), EXCERPT_CHARS_MAX));
                    }
                }
            }
            for (text, chars_max) in texts {
                assert!(text.chars().count() <= chars_max, "{text}");
            }
        }
    }
}

#[test]
fn ids_are_taken_under_every_usual_name_and_in_every_spelling() {
    for query in [
        format!("envelope={ID}"),
        format!("EnvelopeId={}", ID.to_uppercase()),
        format!("envelopeid=%7B{ID}%7D"),
        format!("uid=1&amp;ENVELOPE_ID={{{ID}}}"),
        format!("envelopeId=&envelope=+{ID}").replace('+', "%20"),
    ] {
        assert_eq!(interpret(Some("envelope"), &query).envelope, Some(EnvelopeId::new(ID)), "{query}");
    }
    for (query, why) in [
        ("", "names no envelope"),
        ("envelopeId=", "names no envelope"),
        ("envelopeId=17", "not an envelope id"),
        ("envelopeId=../../etc/passwd", "not an envelope id"),
        ("envelopeId=765b904a-7c64-470f-bf63-0f312d1fc47g", "not an envelope id"),
        ("envelopeId=##EnvelopeId##&action=x", "placeholder `##EnvelopeId##`"),
        ("envelopeId=%23%23EnvelopeID%23%23", "placeholder"),
        ("workstepId=%23%23WorkstepId%23%23", "placeholder"),
    ] {
        assert!(
            reason(Some("envelope"), query).contains(why),
            "{query}: {}",
            reason(Some("envelope"), query)
        );
    }
}

#[test]
fn keys_name_what_is_announced() {
    let key = |channel, query: &str| interpret(Some(channel), query).key;
    let finished = key("envelope", &format!("envelopeId={ID}&action=envelopeFinished"));
    assert_eq!(
        finished,
        key("status", &format!("x=1&action=envelopefinished&envelope={}", ID.to_uppercase()))
    );
    assert_ne!(finished, key("envelope", &format!("envelopeId={ID}&action=workstepFinished")));
    let expired = key("status", &format!("envelopeId={ID}&action=envelopeExpired"));
    assert_eq!(expired, key("status", &format!("envelopeId={ID}&action=evnelopeExipired")));
    let repeat = |query: &str| interpret(Some("workstep"), query).repeat_means;
    let step = format!("envelopeId={ID}&workstepId=W&eventType=WorkstepFinished&recipientEmail=a%2Bb@x.org");
    let timed = format!("{step}&time=2026-07-02T10:00:00Z&recipientOrder=1");
    assert_eq!(repeat(&timed), RepeatMeans::Nothing);
    assert_eq!(repeat(&step), RepeatMeans::PerhapsNews);
    assert_eq!(
        interpret(Some("status"), &format!("envelopeId={ID}&action=x")).repeat_means,
        RepeatMeans::PerhapsNews
    );
    assert_eq!(key("workstep", &timed), key("workstep", &timed.replace("%2B", "+")));
    for (from, to) in
        [("=W&", "=V&"), ("10:00", "10:01"), ("Order=1", "Order=2"), ("a%2B", "c"), ("Finished", "Opened")]
    {
        assert_ne!(key("workstep", &timed), key("workstep", &timed.replace(from, to)), "{to}");
    }
    let news = understood(interpret(Some("workstep"), &timed).meaning);
    assert_eq!(news[0].signer.as_deref(), Some("a+b@x.org"));
    assert_eq!(news[0].occurred_at.unwrap().to_string(), "2026-07-02T10:00:00Z");
}

#[test]
fn an_expiry_after_a_restart_and_a_second_delegation_look_like_retries_and_may_be_news() {
    for (action, expected) in [
        ("envelopeExpired", NotificationKind::Expired),
        ("workstepDelegated", NotificationKind::Delegated),
        ("workstepDelegatedSenderActionRequired", NotificationKind::DelegationPending),
        ("sendSignNotification", NotificationKind::Sent),
    ] {
        for channel in ["status", "envelope", "workstep"] {
            let query = format!("envelopeId={ID}&action={action}");
            let (first, again) = (interpret(Some(channel), &query), interpret(Some(channel), &query));
            assert_eq!(first.key, again.key, "nothing in it tells the two apart");
            assert_eq!(again.repeat_means, RepeatMeans::PerhapsNews, "{action}");
            let news = understood(again.meaning).remove(0);
            assert_eq!((news.kind, news.occurred_at), (expected, None), "{action}");
        }
    }
    let expired = interpret(Some("status"), &format!("envelopeId={ID}&action=envelopeExpired"));
    assert_eq!(understood(expired.meaning)[0].kind.urgency(), Urgency::Now);
}

#[test]
fn the_draft_callback_is_a_hint() {
    let draft = "11111111-2222-4333-8444-555555555555";
    let noted = interpret(Some("draft"), &format!("draftId={draft}"));
    assert_eq!(noted.envelope, None);
    assert!(understood(noted.meaning).is_empty());
    assert_eq!(kind(Some("draft"), &format!("draftId={draft}&envelopeId={ID}")), NotificationKind::Sent);
    assert!(understood(interpret(None, &format!("draftId={draft}")).meaning).is_empty());
    assert!(reason(Some("draft"), "a=b").contains("neither"));
    for (query, same) in [
        (format!("draftId={draft}&envelopeId=%23%23EnvelopeId%23%23"), format!("draftId={draft}")),
        (format!("draftId={draft}&envelopeId=7"), format!("draftId={draft}")),
        (format!("draftId=1&envelopeId={ID}"), format!("envelopeId={ID}")),
        (format!("draftId=%23%23DraftId%23%23&envelopeId={ID}"), format!("envelopeId={ID}")),
    ] {
        let (noted, same) = (interpret(Some("draft"), &query), interpret(Some("draft"), &same));
        assert_eq!((noted.key, noted.kind.as_deref()), (same.key, Some("afterSend")), "{query}");
        assert!(matches!(noted.meaning, Meaning::Understood(_)), "{query}");
    }
    let by_action = interpret(Some("draft"), &format!("envelopeId={ID}&action=envelopeFinished"));
    let real = interpret(Some("envelope"), &format!("envelopeId={ID}&action=envelopeFinished"));
    assert_eq!(by_action.key, real.key, "one URL for all kinds");
    let own_word = interpret(Some("draft"), &format!("draftId={draft}&envelopeId={ID}&action=draftUsed"));
    assert_eq!(understood(own_word.meaning)[0].kind, NotificationKind::Sent);
    assert!(reason(Some("draft"), "draftId=1").contains("GUID"));
    assert!(reason(Some("draft"), "draftId=##DraftId##").contains("placeholder"));
}

#[test]
fn the_urls_to_paste_are_those_of_the_facts() {
    let urls = ESignAnyWhere.callback_urls("https://h/callbacks/a/s");
    let urls: Vec<&str> = urls.iter().map(|url| url.url.as_str()).collect();
    assert_eq!(
        urls[..3],
        [
            "https://h/callbacks/a/s/envelope?envelopeId=##EnvelopeId##&action=##Action##",
            "https://h/callbacks/a/s/status?envelopeId=##EnvelopeId##&action=##Action##",
            "https://h/callbacks/a/s/workstep?envelopeId=##EnvelopeId##&workstepId=##WorkstepId##\
             &eventType=##EventType##&source=##Source##&time=##Time##&recipientEmail=##RecipientEmail##\
             &recipientOrder=##RecipientOrder##",
        ]
    );
    assert!(urls[3].starts_with("https://h/callbacks/a/s/draft?"));
}
