//! Journal, sweeps, senders.

use aftersign_core::callback::NotificationKind;
use aftersign_core::digest::Digest;
use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::ids::{EnvelopeId, SweepId};
use aftersign_core::journal::{Action, Entry, GENESIS, chain};
use aftersign_core::transfer::{Change, Outcome, Phase};
use std::time::Duration;

use super::{Place, account, all, answer, at, hear, news, pace, worker};
use crate::{NewsSource, SweepRow, Verdict};

/// Each entry's digest covers the one before.
pub async fn the_journal_is_a_chain(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let genesis = Digest::from_bytes(GENESIS);
    assert_eq!(store.verify().await.unwrap(), Verdict::Intact { entries: 0, head: genesis });
    for second in 0..5 {
        let entry = Entry {
            at: at(second),
            actor: "server".into(),
            action: if second == 3 { Action::Swept } else { Action::ServerStarted },
            account: String::new(),
            envelope: String::new(),
            detail: format!("start {second}"),
        };
        store.append(entry).await.unwrap();
    }
    let mut rows = store.entries(None, &all()).await.unwrap().rows;
    rows.reverse();
    let mut head = genesis;
    for row in &rows {
        head = chain(&head, row.sequence, &row.entry);
        assert_eq!(row.digest, head);
    }
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(store.verify().await.unwrap(), Verdict::Intact { entries: 5, head });
    let swept = store.entries(Some(Action::Swept), &all()).await.unwrap().rows;
    assert_eq!(swept, [rows[3].clone()]);
    store.close().await.unwrap();
}

/// Failed ones do not count.
pub async fn sweeps_remember_the_last_that_ended_well(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let hr = account("hr");
    assert_eq!(store.last_finished(&hr).await.unwrap(), None);
    let sweep = |second: i64, finished: bool| SweepRow {
        id: SweepId::make(at(second), place.entropy().as_ref()),
        account: account("hr"),
        since: at(second - 100),
        until: at(second),
        started_at: at(second),
        finished_at: finished.then(|| at(second + 5)),
        seen: 10,
        found: 2,
        error: (!finished).then(|| "refused".into()),
    };
    let good = sweep(1_000, true);
    for row in [sweep(500, true), good.clone(), sweep(2_000, false)] {
        store.record_sweep(row).await.unwrap();
    }
    assert_eq!(store.last_finished(&hr).await.unwrap(), Some(good));
    assert_eq!(store.last_finished(&account("sales")).await.unwrap(), None);
    assert_eq!(store.entries(Some(Action::Swept), &all()).await.unwrap().rows.len(), 3);
    store.close().await.unwrap();
}

/// Those whose end the platform confirmed are left out.
pub async fn unsettled_envelopes_come_in_id_order(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let hr = account("hr");
    for (n, envelope) in ["c", "a", "b", "d"].into_iter().enumerate() {
        hear(store.as_ref(), place, envelope, NotificationKind::Finished, n as i64).await;
    }
    let lease = Duration::from_secs(60);
    for claimed in store.claim(&hr, &worker("a"), 9, lease, at(9)).await.unwrap() {
        if claimed.transfer.envelope_id.as_str() == "b" {
            let change = Change { answer: Some(answer("b", EnvelopeStatus::Completed)), ..Change::default() };
            store.record(&claimed.lease, claimed.transfer, change, None, false, at(9)).await.unwrap();
        }
    }
    let ids = |found: Vec<EnvelopeId>| found.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ids(store.unsettled(&hr, None, 2).await.unwrap()), ["a", "c"]);
    assert_eq!(ids(store.unsettled(&hr, Some(&EnvelopeId::new("a")), 9).await.unwrap()), ["c", "d"]);
    let known = store.known(&hr, &[EnvelopeId::new("b"), EnvelopeId::new("zzz")]).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].status, known[0].confirmed), (EnvelopeStatus::Completed, true));
    store.close().await.unwrap();
}

/// What the platform's own retention may remove before it is archived.
pub async fn what_is_not_archived_is_counted_from_the_oldest(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let hr = account("hr");
    for envelope in ["a", "b", "c", "d"] {
        hear(store.as_ref(), place, envelope, NotificationKind::Finished, 10).await;
    }
    let lease = Duration::from_secs(60);
    for claimed in store.claim(&hr, &worker("a"), 9, lease, at(10)).await.unwrap() {
        let mut transfer = claimed.transfer;
        let id = transfer.envelope_id.to_string();
        let mut shown = answer(&id, EnvelopeStatus::Completed);
        match id.as_str() {
            "a" => transfer.archived_at = Some(at(10)),
            "b" => shown.completed_at = Some(at(3)),
            "c" => shown.completed_at = Some(at(5)),
            _ => transfer.phase = Phase::Closed,
        }
        let change = Change { answer: Some(shown), ..Change::default() };
        store.record(&claimed.lease, transfer, change, None, false, at(10)).await.unwrap();
    }
    let oldest = Some((EnvelopeId::new("b"), at(3)));
    for (before, expected) in [(3, (0, None)), (4, (1, oldest.clone())), (9, (2, oldest))] {
        let found = store.unarchived(&hr, Some(EnvelopeStatus::Completed), at(before)).await.unwrap();
        assert_eq!((found.count, found.oldest), expected, "before {before}");
    }
    let declined = store.unarchived(&hr, Some(EnvelopeStatus::Declined), at(9)).await.unwrap();
    assert_eq!(declined.count, 0);
    hear(store.as_ref(), place, "never answered", NotificationKind::Finished, 20).await;
    let sweep = SweepId::make(at(20), place.entropy().as_ref());
    let swept = news(NewsSource::Sweep(sweep), "hr", "swept", NotificationKind::Swept);
    store.announce(vec![swept], at(20), pace()).await.unwrap();
    for (before, count) in [(20, 0), (21, 2)] {
        assert_eq!(store.unarchived(&hr, None, at(before)).await.unwrap().count, count, "before {before}");
    }
    store.close().await.unwrap();
}

/// The platform's answer, then a noted sender, then an announcement.
pub async fn the_best_source_names_the_sender(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let (hr, id) = (account("hr"), EnvelopeId::new("e1"));
    assert_eq!(store.sender_of(&hr, &id).await.unwrap(), None);
    hear(store.as_ref(), place, "e1", NotificationKind::Finished, 1).await;
    assert_eq!(store.sender_of(&hr, &id).await.unwrap().as_deref(), Some("sender@example.com"));
    store.note_sender(&hr, &id, "noted@example.com", at(5)).await.unwrap();
    store.note_sender(&hr, &id, "earlier@example.com", at(4)).await.unwrap();
    assert_eq!(store.sender_of(&hr, &id).await.unwrap().as_deref(), Some("noted@example.com"));
    for (second, shown, best) in
        [(9, None, "noted@example.com"), (20, Some("boss@example.com"), "boss@example.com")]
    {
        let lease = Duration::from_secs(60);
        let claimed = store.claim(&hr, &worker("a"), 1, lease, at(second)).await.unwrap().remove(0);
        let mut transfer = claimed.transfer;
        let found = Envelope { sender: shown.map(String::from), ..answer("e1", EnvelopeStatus::InProgress) };
        let change = transfer.apply(Outcome::Found(Box::new(found), None), at(second), &pace());
        store.record(&claimed.lease, transfer, change, None, false, at(second)).await.unwrap();
        assert_eq!(store.sender_of(&hr, &id).await.unwrap().as_deref(), Some(best));
        hear(store.as_ref(), place, "e1", NotificationKind::Finished, second + 1).await;
        assert_eq!(store.sender_of(&hr, &id).await.unwrap().as_deref(), Some(best), "news take nothing back");
    }
    store.close().await.unwrap();
}
