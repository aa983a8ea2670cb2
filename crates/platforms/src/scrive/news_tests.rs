//! What callbacks tell of single signers, and that neither order nor repetition changes what is known in the end.

use aftersign_core::backoff::Pace;
use aftersign_core::callback::{Inbound, Notification, NotificationKind};
use aftersign_core::concern::{Concern, Heard, open_concerns};
use aftersign_core::envelope::{Known, Signer};
use aftersign_core::ids::{AccountId, EnvelopeId};
use aftersign_core::platform::Platform;
use aftersign_core::task::TaskKind;
use aftersign_core::transfer::Wake;
use http::Method;
use proptest::prelude::{Just, Strategy, any, prop, proptest};
use serde_json::{Value, json};

use super::Scrive;
use super::tests::{
    CLOSED, DELIVERY_BOUNCED, DELIVERY_EXTENDED, DELIVERY_REJECTED, DELIVERY_SEALED, ID, SAMPLES,
    SEALED_HISTORY, document, form, found,
};

use crate::testing::{answer, inbound, now, recorded, understood};

fn news_of(inbound: &Inbound) -> Vec<Notification> {
    understood(Scrive.interpret(inbound).meaning)
}

/// The signers of the recorded callbacks, by their ids.
const GEORGE: &str = "8222115557375075511";
const JILL: &str = "8222115557375075512";

fn pending(parties: &Value, mtime: &str) -> Inbound {
    let json = document(json!({ "status": "pending", "parties": parties, "mtime": mtime }));
    inbound(Method::POST, None, "", form(ID, "false", &json))
}

fn party(id: &str, email: &str, more: Value) -> Value {
    let mut party = json!({ "id": id, "fields": [{ "type": "email", "value": email }] });
    party.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    party
}

/// What is known after these callbacks, with all they heard and wanted.
fn after<'a>(callbacks: impl IntoIterator<Item = &'a Inbound>) -> (Known, Vec<Concern>, Option<Wake>) {
    let mut known = Known::first_seen(AccountId::new("hr"), EnvelopeId::new(ID), now());
    let (mut heard, mut wake) = (Vec::new(), None::<Wake>);
    // A flow's callbacks name participants, of whom this document's signers are none.
    let mut shown = Vec::new();
    for callback in callbacks {
        for news in news_of(callback) {
            known.announce(&news, true, now());
            if news.envelope.as_str() == ID {
                shown = signers();
            }
            let wants = Wake::of(&news, now(), &Pace::real(0));
            wake = Some(wake.map_or(wants, |earlier| earlier.and(wants)));
            let Notification { kind, occurred_at, signer, detail, .. } = news;
            heard.push(Heard { kind, at: occurred_at.unwrap_or(now()), heard_at: now(), signer, detail });
        }
    }
    let concerns = open_concerns(&known, &shown, &heard);
    (known, concerns, wake)
}

/// The signers by the platform's last word on the document.
fn signers() -> Vec<Signer> {
    found(ID, vec![answer(200, CLOSED), answer(200, SEALED_HISTORY)]).signers
}

fn open(callbacks: &[Inbound]) -> Vec<(TaskKind, String)> {
    let (_, concerns, _) = after(callbacks);
    concerns.into_iter().map(|concern| (concern.task.kind, concern.task.what)).collect()
}

#[test]
fn an_invitation_that_came_back_is_told_of_its_signer() {
    let news = news_of(&recorded(DELIVERY_BOUNCED));
    let kinds: Vec<_> = news.iter().map(|news| news.kind).collect();
    assert_eq!(kinds, [NotificationKind::Sent, NotificationKind::EmailBounced]);
    assert_eq!(news[1].signer.as_deref(), Some(JILL));
    assert_eq!(news[1].sender.as_deref(), Some("me@example.com"));
    assert!(news[1].detail.as_deref().unwrap().contains("e-mail address"));
    let sms = json!([party("77", "", json!({ "mobile_delivery_status": "not_delivered" }))]);
    let news = news_of(&pending(&sms, "2026-10-01T09:00:00Z"));
    assert_eq!(news[1].signer.as_deref(), Some("77"));
    assert!(news[1].detail.as_deref().unwrap().contains("SMS"));
    for (more, named) in [
        (json!({ "signatory_role": "viewer" }), "a@b"),
        (json!({ "id": null }), "a@b"),
        (json!({ "signatory_role": "viewer", "fields": [] }), "77"),
    ] {
        let mut back = party("77", "a@b", json!({ "email_delivery_status": "not_delivered" }));
        back.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let news = news_of(&pending(&json!([back]), "2026-10-01T09:00:00Z"));
        assert_eq!(news[1].signer.as_deref(), Some(named), "core finds signers alone by their ids");
    }
    for more in [
        json!({ "email_delivery_status": "not_delivered", "mobile_delivery_status": "delivered" }),
        json!({ "email_delivery_status": "not_delivered", "rejected_time": "2026-10-01T10:00:00Z" }),
        json!({ "email_delivery_status": "deferred" }),
    ] {
        assert_eq!(news_of(&pending(&json!([party("77", "a@b", more)]), "2026-10-01T09:00:00Z")).len(), 1);
    }
}

#[test]
fn the_parties_are_told_one_by_one_at_their_own_times_and_never_without_end() {
    let news = news_of(&recorded(DELIVERY_REJECTED));
    let told: Vec<_> = news.iter().map(|news| (news.kind, news.signer.as_deref().unwrap())).collect();
    assert_eq!(
        told,
        [
            (NotificationKind::Declined, JILL),
            (NotificationKind::SignerFinished, GEORGE),
            (NotificationKind::Opened, JILL),
        ]
    );
    assert_eq!(news[1].occurred_at.unwrap().to_string(), "2026-10-02T10:00:00.29649Z");
    assert_eq!(news[2].occurred_at.unwrap().to_string(), "2026-10-03T09:00:00Z");
    let crowd: Vec<Value> = (0..1_000)
        .map(|n| {
            party(&n.to_string(), &format!("{n}@example.com"), json!({ "sign_time": "2026-10-01T10:00:00Z" }))
        })
        .collect();
    assert_eq!(news_of(&pending(&json!(crowd), "2026-10-01T09:00:00Z")).len(), 51);
}

#[test]
fn a_bounce_is_settled_by_the_same_signer_and_by_nobody_else() {
    let bounced = recorded(DELIVERY_BOUNCED);
    let jill = |more: Value| party(JILL, "jill@example.com", more);
    let george = party(GEORGE, "george@example.com", json!({ "sign_time": "2026-10-01T12:00:00Z" }));
    let still = json!([george, jill(json!({ "email_delivery_status": "not_delivered" }))]);
    let others = pending(&still, "2026-10-01T12:00:00Z");
    let tasks = open(&[bounced.clone(), others.clone()]);
    assert_eq!((tasks.len(), tasks[0].0), (1, TaskKind::EmailBounced));
    assert!(tasks[0].1.contains("jill@example.com"), "{}", tasks[0].1);
    let seen = jill(json!({ "seen_time": "2026-10-01T13:00:00Z" }));
    let opened = pending(&json!([george, seen]), "2026-10-01T13:00:00Z");
    assert_eq!(open(&[opened, others, bounced.clone()]), []);
    assert_eq!(open(&[recorded(DELIVERY_SEALED), bounced]), []);
}

#[test]
fn a_bounce_is_one_fact_in_every_snapshot() {
    let still = |mtime: &str| {
        let back = party(JILL, "jill@example.com", json!({ "email_delivery_status": "not_delivered" }));
        let bounced = |news: &Notification| news.kind == NotificationKind::EmailBounced;
        news_of(&pending(&json!([back]), mtime)).into_iter().find(bounced).unwrap()
    };
    let first = still("2026-10-01T09:00:00Z");
    assert_eq!(first.occurred_at.unwrap().to_string(), "2026-10-01T07:59:00Z", "when the document was made");
    for later in ["2026-10-01T12:00:00Z", "2026-10-09T12:00:00Z"] {
        assert_eq!(first.occurred_at, still(later).occurred_at);
        assert_eq!((&first.signer, &first.detail), (&still(later).signer, &still(later).detail));
    }
}

#[test]
fn an_invitation_that_comes_back_after_a_correction_or_a_prolongation_is_another_fact() {
    let until = "2026-12-30T22:59:59Z";
    let told = |party: Value, until: Option<&str>| {
        let state = json!({ "status": "pending", "parties": [party], "timeout_time": until });
        let callback = inbound(Method::POST, None, "", form(ID, "false", &document(state)));
        news_of(&callback).remove(1)
    };
    let by_email = |address: &str| party(JILL, address, json!({ "email_delivery_status": "not_delivered" }));
    let by_sms = |number: &str| {
        let fields = json!([{ "type": "mobile", "value": number }]);
        party(JILL, "", json!({ "mobile_delivery_status": "not_delivered", "fields": fields }))
    };
    let first = told(by_email("jill@example.com"), Some(until));
    let says = "the invitation to jill@example.com could not be delivered: check the e-mail address; \
                it can be signed until 2026-12-30T22:59:59Z";
    assert_eq!(first.detail.as_deref(), Some(says));
    let corrected = told(by_email("jill.berg@example.com"), Some(until));
    let prolonged = told(by_email("jill@example.com"), Some("2027-01-30T22:59:59Z"));
    for other in [&corrected, &prolonged] {
        assert_eq!((&other.signer, other.occurred_at), (&first.signer, first.occurred_at));
        assert_ne!(other.detail, first.detail);
    }
    let (number, other) = (told(by_sms("+4670"), None), told(by_sms("+4671"), None));
    let says = "the invitation by SMS to +4670 could not be delivered: check the number";
    assert_eq!(number.detail.as_deref(), Some(says));
    assert_ne!(number.detail, other.detail);
    let hostile = told(by_email(&"ü\n".repeat(100_000)), None).detail.unwrap();
    assert!(hostile.len() < 1_000 && !hostile.contains('\n'), "{}", hostile.len());
}

#[test]
fn a_bounce_is_settled_by_the_same_signer_at_a_corrected_address() {
    let bounced = recorded(DELIVERY_BOUNCED);
    let seen = json!({ "seen_time": "2026-10-01T13:00:00Z", "email_delivery_status": "delivered" });
    let opened = pending(&json!([party(JILL, "jill.berg@example.com", seen)]), "2026-10-01T13:00:00Z");
    assert_eq!(open(&[bounced.clone(), opened.clone()]), []);
    assert_eq!(open(&[opened, bounced]), []);
}

#[test]
fn a_locked_participant_of_a_flow_is_a_concern_until_the_flow_ends() {
    let sample = |name: &str| {
        let (_, body) = SAMPLES.into_iter().find(|(known, _)| *known == name).unwrap();
        inbound(Method::POST, None, "", body)
    };
    let locked = sample("authentication_max_failures_exceeded");
    let let_in = sample("authentication_attempted");
    assert_eq!(open(&[locked.clone(), let_in])[0].0, TaskKind::SignerLocked);
    assert_eq!(open(&[sample("completed"), locked]), []);
    assert_eq!(open(&[sample("failed")])[0].0, TaskKind::ProcessingFailed);
}

/// A document's callbacks from its bounce to its extension, as recorded and in between.
fn life() -> Vec<Inbound> {
    let jill = |more: Value| party(JILL, "jill@example.com", more);
    let seen = jill(json!({ "seen_time": "2026-10-03T09:00:00Z" }));
    vec![
        recorded(DELIVERY_BOUNCED),
        pending(&json!([seen]), "2026-10-03T09:00:00Z"),
        pending(&json!([jill(json!({ "sign_time": "2026-10-03T09:30:00Z" }))]), "2026-10-03T09:30:00Z"),
        recorded(DELIVERY_SEALED),
        recorded(DELIVERY_EXTENDED),
    ]
}

/// The first `count` callbacks, each at least once, in any order.
fn any_order(count: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
        .prop_map(move |more| (0..count).chain(more.into_iter().map(|index| index.index(count))).collect())
        .prop_flat_map(|order: Vec<usize>| Just(order).prop_shuffle())
}

proptest! {
    #[test]
    fn any_order_and_repetition_of_callbacks_ends_in_the_same_state(
        (count, order) in (1..=5_usize).prop_flat_map(|count| (Just(count), any_order(count)))
    ) {
        let life = life();
        let (known, concerns, wake) = after(&life[..count]);
        assert_eq!(concerns.is_empty(), count > 1, "only the bounce alone needs a person");
        assert_eq!(after(order.iter().map(|at| &life[*at])), (known, concerns, wake));
    }
}
