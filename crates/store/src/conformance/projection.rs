//! News on their way to envelopes.

use std::time::Duration;

use aftersign_core::callback::NotificationKind;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Signer};
use aftersign_core::ids::{CallbackId, EnvelopeId, SweepId};
use aftersign_core::journal::Action;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::transfer::{Change, Phase};

use super::{Place, account, all, answer, at, callback, hear, news, pace, worker};
use crate::{CallbackFilter, EnvelopeFilter, NewsSource, Store, TaskRow, TransferFilter};

/// A crash between doing and answering repeats an announcement.
pub async fn announcing_twice_has_the_effect_of_once(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let callback = callback(place, "e1", "event", 1);
    store.note_down(callback.clone()).await.unwrap();
    assert_eq!(store.unprojected(10).await.unwrap().len(), 1);
    let mut heard = news(NewsSource::Callback(callback.id), "hr", "e1", NotificationKind::Declined);
    heard.notifications.push(super::notification("e1", NotificationKind::Finished));
    for second in [2, 2] {
        store.announce(vec![heard.clone()], at(second), pace()).await.unwrap();
    }
    assert_eq!(store.unprojected(10).await.unwrap().len(), 0);
    let detail = store.envelope(None, &EnvelopeId::new("e1")).await.unwrap().unwrap();
    assert_eq!(detail.timeline.len(), 2);
    assert_eq!(detail.timeline[0].source, "callback");
    assert_eq!((detail.row.known.status, detail.row.known.announced), (EnvelopeStatus::Declined, true));
    assert_eq!(detail.row.known.sender.as_deref(), Some("sender@example.com"));
    let transfer = detail.transfer.unwrap();
    assert_eq!((transfer.phase, transfer.due_at), (Phase::Ask, Some(at(2))));
    assert_eq!(store.transfers(&TransferFilter::default(), &all()).await.unwrap().rows.len(), 1);
    let seen = store.entries(Some(Action::EnvelopeSeen), &all()).await.unwrap();
    assert_eq!(seen.rows.len(), 1);
    let about = CallbackFilter { envelope: Some(EnvelopeId::new("e1")), ..CallbackFilter::default() };
    assert_eq!(store.callbacks(&about, &all()).await.unwrap().rows.len(), 1);
    store.close().await.unwrap();
}

/// A gap is a missed callback.
pub async fn an_end_that_only_a_sweep_found_is_a_gap_until_a_callback_announces_it(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let sweep = SweepId::make(at(1), place.entropy().as_ref());
    let swept = news(NewsSource::Sweep(sweep), "hr", "e1", NotificationKind::Swept);
    store.announce(vec![swept], at(1), pace()).await.unwrap();
    let gaps = EnvelopeFilter { gaps: true, ..EnvelopeFilter::default() };
    assert_eq!(store.overview().await.unwrap().gaps, 1);
    assert_eq!(store.envelopes(&gaps, &all()).await.unwrap().rows.len(), 1);
    hear(store.as_ref(), place, "e1", NotificationKind::Finished, 2).await;
    assert_eq!(store.overview().await.unwrap().gaps, 0);
    assert_eq!(store.envelopes(&gaps, &all()).await.unwrap().rows.len(), 0);
    store.close().await.unwrap();
}

/// A person asks for it.
pub async fn a_replayed_callback_is_handed_to_the_projector_again(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    hear(store.as_ref(), place, "e1", NotificationKind::Finished, 1).await;
    let id = store.callbacks(&CallbackFilter::default(), &all()).await.unwrap().rows[0].id;
    assert!(store.replay(id, "cli", at(2)).await.unwrap());
    assert_eq!(store.unprojected(10).await.unwrap()[0].row.id, id);
    let entries = store.entries(Some(Action::Replayed), &all()).await.unwrap();
    assert_eq!(entries.rows[0].entry.actor, "cli");
    let unknown = CallbackId::make(at(3), place.entropy().as_ref());
    assert!(!store.replay(unknown, "cli", at(3)).await.unwrap());
    let mut hopeless = callback(place, "e1", "hopeless", 4);
    hopeless.quarantine_reason = Some("not JSON".into());
    hopeless.envelope = None;
    store.note_down(hopeless.clone()).await.unwrap();
    assert!(!store.replay(hopeless.id, "cli", at(4)).await.unwrap());
    store.close().await.unwrap();
}

/// A later version may understand what this one does not.
pub async fn a_quarantined_callback_that_is_understood_later_leaves_quarantine(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let mut callback = callback(place, "e1", "odd", 1);
    callback.quarantine_reason = Some("no status".into());
    store.note_down(callback.clone()).await.unwrap();
    let source = NewsSource::Callback(callback.id);
    let mut nothing = news(source, "hr", "e1", NotificationKind::Finished);
    nothing.notifications.clear();
    store.announce(vec![nothing], at(2), pace()).await.unwrap();
    assert_eq!(store.overview().await.unwrap().quarantined, 1);
    let quarantined = CallbackFilter { quarantined: Some(true), ..CallbackFilter::default() };
    assert_eq!(store.callbacks(&quarantined, &all()).await.unwrap().rows.len(), 1);
    let about = CallbackFilter { envelope: Some(EnvelopeId::new("e1")), ..quarantined.clone() };
    assert_eq!(store.callbacks(&about, &all()).await.unwrap().rows.len(), 1);

    assert!(store.replay(callback.id, "cli", at(3)).await.unwrap());
    let understood = news(source, "hr", "e1", NotificationKind::Finished);
    store.announce(vec![understood], at(3), pace()).await.unwrap();
    assert_eq!(store.overview().await.unwrap().quarantined, 0);
    assert_eq!(store.callbacks(&quarantined, &all()).await.unwrap().rows.len(), 0);
    store.close().await.unwrap();
}

/// One reason, one task; after it is settled the reason may come again.
pub async fn tasks_are_opened_once_per_key(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let draft = TaskDraft::for_account(TaskKind::Quarantined, &account("hr"), "odd".into(), "look");
    for second in 1..4 {
        let callback = callback(place, "e1", &format!("odd {second}"), second);
        store.note_down(callback.clone()).await.unwrap();
        let mut odd = news(NewsSource::Callback(callback.id), "hr", "e1", NotificationKind::Unknown);
        odd.open_tasks.push(draft.clone());
        store.announce(vec![odd], at(second), pace()).await.unwrap();
    }
    let open = store.tasks(Some(true), &all()).await.unwrap().rows;
    assert_eq!((open.len(), store.overview().await.unwrap().open_tasks), (1, 1));
    assert!(store.resolve_task(open[0].id, "seen", "cli", at(5)).await.unwrap());
    assert!(!store.resolve_task(open[0].id, "seen", "cli", at(5)).await.unwrap());
    let settled = store.task(open[0].id).await.unwrap().unwrap();
    assert_eq!((settled.resolved_at, settled.resolution.as_deref()), (Some(at(5)), Some("cli: seen")));
    assert_eq!(store.tasks(Some(true), &all()).await.unwrap().rows.len(), 0);
    assert_eq!(store.tasks(Some(false), &all()).await.unwrap().rows.len(), 1);
    assert_eq!(store.overview().await.unwrap().open_tasks, 0);
    let callback = callback(place, "e1", "odd again", 9);
    store.note_down(callback.clone()).await.unwrap();
    let mut odd = news(NewsSource::Callback(callback.id), "hr", "e1", NotificationKind::Unknown);
    odd.open_tasks.push(draft.clone());
    odd.open_tasks.push(TaskDraft { standing: true, key: "standing".into(), ..draft });
    store.announce(vec![odd.clone()], at(9), pace()).await.unwrap();
    assert_eq!(store.tasks(None, &all()).await.unwrap().rows.len(), 3);
    for task in store.tasks(Some(true), &all()).await.unwrap().rows {
        assert!(store.resolve_task(task.id, "seen", "cli", at(10)).await.unwrap());
    }
    store.announce(vec![odd.clone()], at(11), pace()).await.unwrap();
    assert_eq!(store.tasks(Some(true), &all()).await.unwrap().rows.len(), 1, "what stands was seen");
    odd.open_tasks[1].what = "something else".into();
    store.announce(vec![odd], at(12), pace()).await.unwrap();
    assert_eq!(store.tasks(Some(true), &all()).await.unwrap().rows.len(), 2);
    store.close().await.unwrap();
}

async fn open_tasks(store: &dyn Store) -> Vec<TaskRow> {
    store.tasks(Some(true), &all()).await.unwrap().rows
}

/// Callback after callback, in two orders.
pub async fn a_concern_is_a_task_until_what_settles_it_was_heard(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    hear(store.as_ref(), place, "e1", NotificationKind::EmailBounced, 1).await;
    let open = open_tasks(store.as_ref()).await;
    assert_eq!((open.len(), open[0].kind), (1, TaskKind::EmailBounced));
    assert_eq!(open[0].assignee, "sender@example.com");
    assert!(open[0].what.contains("sam@example.com") && open[0].due_at.is_some());
    hear(store.as_ref(), place, "e1", NotificationKind::Sent, 2).await;
    assert_eq!(open_tasks(store.as_ref()).await.len(), 1);
    hear(store.as_ref(), place, "e1", NotificationKind::SignerFinished, 3).await;
    assert_eq!(open_tasks(store.as_ref()).await.len(), 0);

    hear(store.as_ref(), place, "e2", NotificationKind::SignerFinished, 4).await;
    hear(store.as_ref(), place, "e2", NotificationKind::EmailBounced, 5).await;
    assert_eq!(open_tasks(store.as_ref()).await.len(), 0, "it came late and was settled before");
    store.close().await.unwrap();
}

/// A replay is no news.
pub async fn a_concern_that_a_person_settled_comes_back_with_news_only(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    hear(store.as_ref(), place, "e1", NotificationKind::SignerLocked, 1).await;
    let task = open_tasks(store.as_ref()).await.remove(0);
    assert!(store.resolve_task(task.id, "unlocked", "cli", at(2)).await.unwrap());
    let first = store.callbacks(&CallbackFilter::default(), &all()).await.unwrap().rows[0].id;
    let again = news(NewsSource::Callback(first), "hr", "e1", NotificationKind::SignerLocked);
    store.announce(vec![again], at(3), pace()).await.unwrap();
    assert_eq!(open_tasks(store.as_ref()).await.len(), 0);
    hear(store.as_ref(), place, "e1", NotificationKind::SignerLocked, 4).await;
    assert_eq!(open_tasks(store.as_ref()).await.len(), 0, "another callback tells the same");
    let detail = store.envelope(None, &EnvelopeId::new("e1")).await.unwrap().unwrap();
    assert_eq!(detail.timeline.len(), 1);
    let once_more = callback(place, "e1", "once more", 5);
    store.note_down(once_more.clone()).await.unwrap();
    let mut locked = news(NewsSource::Callback(once_more.id), "hr", "e1", NotificationKind::SignerLocked);
    locked.notifications[0].occurred_at = Some(at(5));
    store.announce(vec![locked], at(6), pace()).await.unwrap();
    assert_eq!(open_tasks(store.as_ref()).await.len(), 1, "locked once more");
    store.close().await.unwrap();
}

/// A callback may name a signer by an id.
pub async fn the_platforms_answer_names_the_signer_and_settles_concerns(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    hear(store.as_ref(), place, "e1", NotificationKind::AuthenticationFailed, 1).await;
    let signer = Signer { id: Some("sam@example.com".into()), name: Some("Sam".into()), ..Signer::default() };
    for (second, status) in [(100, EnvelopeStatus::InProgress), (200, EnvelopeStatus::Completed)] {
        store.redrive(transfer_of(store.as_ref()).await, "cli", at(second)).await.unwrap();
        let lease = Duration::from_secs(60);
        let claimed =
            store.claim(&account("hr"), &worker("a"), 1, lease, at(second)).await.unwrap().remove(0);
        let shown = Envelope { signers: vec![signer.clone()], ..answer("e1", status) };
        let mut transfer = claimed.transfer;
        transfer.envelope = Some(shown.clone());
        let change = Change { answer: Some(shown), ..Change::default() };
        store.record(&claimed.lease, transfer, change, None, false, at(second)).await.unwrap();
        let open = open_tasks(store.as_ref()).await;
        if status == EnvelopeStatus::Completed {
            assert_eq!(open.len(), 0);
        } else {
            assert!(open[0].what.contains("Sam "), "{}", open[0].what);
            assert_eq!(open[0].assignee, "boss@example.com");
        }
    }
    store.close().await.unwrap();
}

async fn transfer_of(store: &dyn Store) -> aftersign_core::ids::TransferId {
    store.transfers(&TransferFilter::default(), &all()).await.unwrap().rows[0].id
}

/// Where nothing tells a retry from a second event, a repeat may be one.
pub async fn a_repeat_that_may_be_news_opens_what_was_settled(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let mut asks = callback(place, "e1", "delegation", 1);
    asks.repeat_means = aftersign_core::callback::RepeatMeans::PerhapsNews;
    let announce = async |second: i64| {
        let mut pending =
            news(NewsSource::Callback(asks.id), "hr", "e1", NotificationKind::DelegationPending);
        pending.notifications[0].occurred_at = None;
        store.announce(vec![pending], at(second), pace()).await.unwrap();
    };
    store.note_down(asks.clone()).await.unwrap();
    announce(2).await;
    assert_eq!(open_tasks(store.as_ref()).await.len(), 1);
    let settles = callback(place, "e1", "delegated", 3);
    store.note_down(settles.clone()).await.unwrap();
    let mut delegated = news(NewsSource::Callback(settles.id), "hr", "e1", NotificationKind::Delegated);
    delegated.notifications[0].occurred_at = None;
    store.announce(vec![delegated], at(4), pace()).await.unwrap();
    assert_eq!(open_tasks(store.as_ref()).await.len(), 0);
    assert!(store.replay(asks.id, "cli", at(5)).await.unwrap());
    announce(5).await;
    assert_eq!(open_tasks(store.as_ref()).await.len(), 0, "a replay is no news");
    let mut again = callback(place, "e1", "delegation", 6);
    again.key = asks.key;
    again.repeat_means = asks.repeat_means;
    store.note_down(again).await.unwrap();
    announce(7).await;
    assert_eq!(open_tasks(store.as_ref()).await.len(), 1, "another signer asks");
    store.close().await.unwrap();
}
