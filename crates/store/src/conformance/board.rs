//! Lists, filters, counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aftersign_core::callback::NotificationKind;
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::error::{Error, ErrorKind, Remedy};
use aftersign_core::ids::{EnvelopeId, SweepId};
use aftersign_core::transfer::{Outcome, Phase};

use super::{Place, account, all, answer, at, callback, hear, news, pace, worker};
use crate::{
    CallbackFilter, EnvelopeFilter, Listing, NewsSource, Overview, PageRequest, Store, StoreError,
    TransferFilter,
};

fn next<T>(listing: &Listing<T>, limit: usize) -> Option<PageRequest> {
    listing.next_cursor.clone().map(|cursor| PageRequest { cursor: Some(cursor), limit })
}

/// What is there when the first page is read is read exactly once, whatever comes meanwhile.
pub async fn pages_neither_repeat_nor_skip_while_rows_come(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    for n in 0..7 {
        hear(store.as_ref(), place, &format!("e{n}"), NotificationKind::Finished, n).await;
    }
    let mut page = Some(PageRequest { cursor: None, limit: 2 });
    let (mut envelopes, mut callbacks, mut transfers) = (Vec::new(), Vec::new(), Vec::new());
    let mut second = 100;
    while let Some(request) = page {
        let listing = store.envelopes(&EnvelopeFilter::default(), &request).await.unwrap();
        page = next(&listing, 2);
        envelopes.extend(listing.rows.into_iter().map(|row| row.known.id.to_string()));
        hear(store.as_ref(), place, &format!("new{second}"), NotificationKind::Finished, second).await;
        second += 1;
    }
    assert_eq!(envelopes, ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]);
    let mut page = Some(PageRequest { cursor: None, limit: 3 });
    while let Some(request) = page {
        let listing = store.callbacks(&CallbackFilter::default(), &request).await.unwrap();
        page = next(&listing, 3);
        callbacks.extend(listing.rows.into_iter().map(|row| row.id));
    }
    let mut page = Some(PageRequest { cursor: None, limit: 3 });
    while let Some(request) = page {
        let listing = store.transfers(&TransferFilter::default(), &request).await.unwrap();
        page = next(&listing, 3);
        transfers.extend(listing.rows.into_iter().map(|row| row.id));
    }
    assert_eq!((callbacks.len(), transfers.len()), (11, 11));
    assert!(callbacks.is_sorted_by(|a, b| a > b), "newest first");
    assert_eq!(transfers.iter().collect::<BTreeSet<_>>().len(), 11);
    let mut page = Some(PageRequest { cursor: None, limit: 4 });
    let mut sequences = Vec::new();
    while let Some(request) = page {
        let listing = store.entries(None, &request).await.unwrap();
        page = next(&listing, 4);
        sequences.extend(listing.rows.into_iter().map(|row| row.sequence));
    }
    assert_eq!(sequences, (1..=11).rev().collect::<Vec<_>>());
    store.close().await.unwrap();
}

/// Alone and together.
pub async fn filters_give_what_they_name(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    hear(store.as_ref(), place, "e1", NotificationKind::Sent, 1).await;
    hear(store.as_ref(), place, "e2", NotificationKind::Declined, 2).await;
    let sweep = NewsSource::Sweep(SweepId::make(at(3), place.entropy().as_ref()));
    let swept = news(sweep, "sales", "e1", NotificationKind::Swept);
    store.announce(vec![swept], at(3), pace()).await.unwrap();
    let mut waiting = callback(place, "e2", "not projected yet", 4);
    waiting.quarantine_reason = Some("odd".into());
    store.note_down(waiting).await.unwrap();

    for (account_name, status, gaps, expected) in [
        (None, None, false, 3),
        (Some("hr"), None, false, 2),
        (None, Some(EnvelopeStatus::Declined), false, 1),
        (Some("hr"), Some(EnvelopeStatus::Sent), false, 1),
        (Some("sales"), Some(EnvelopeStatus::Sent), false, 0),
        (None, None, true, 1),
        (Some("hr"), None, true, 0),
        (Some("nobody"), None, false, 0),
    ] {
        let filter = EnvelopeFilter { account: account_name.map(account), status, gaps };
        assert_eq!(store.envelopes(&filter, &all()).await.unwrap().rows.len(), expected, "{filter:?}");
    }
    for (account_name, envelope, quarantined, expected) in [
        (None, None, None, 3),
        (Some("hr"), None, Some(false), 2),
        (None, None, Some(true), 1),
        (Some("hr"), None, Some(true), 1),
        (None, Some("e2"), None, 2),
        (Some("hr"), Some("e2"), Some(false), 1),
        (Some("sales"), Some("e2"), None, 0),
    ] {
        let envelope = envelope.map(EnvelopeId::new);
        let filter = CallbackFilter { account: account_name.map(account), envelope, quarantined };
        assert_eq!(store.callbacks(&filter, &all()).await.unwrap().rows.len(), expected, "{filter:?}");
    }
    for (account_name, phase, expected) in [
        (None, None, 3),
        (Some("hr"), None, 2),
        (None, Some(Phase::Ask), 3),
        (Some("sales"), Some(Phase::Ask), 1),
        (Some("sales"), Some(Phase::Lost), 0),
    ] {
        let filter = TransferFilter { account: account_name.map(account), phase };
        assert_eq!(store.transfers(&filter, &all()).await.unwrap().rows.len(), expected, "{filter:?}");
    }
    let sales = store.envelope(Some(&account("sales")), &EnvelopeId::new("e1")).await.unwrap().unwrap();
    assert_eq!((sales.timeline.len(), sales.timeline[0].source.as_str()), (1, "sweep"));
    let first = store.envelope(None, &EnvelopeId::new("e1")).await.unwrap().unwrap();
    assert_eq!(first.row.known.account, account("hr"));
    store.close().await.unwrap();
}

/// A cursor belongs to the list that gave it.
pub async fn a_foreign_cursor_is_refused(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    for n in 0..3 {
        hear(store.as_ref(), place, &format!("e{n}"), NotificationKind::Sent, n).await;
    }
    let short = PageRequest { cursor: None, limit: 1 };
    let listing = store.envelopes(&EnvelopeFilter::default(), &short).await.unwrap();
    let foreign = next(&listing, 1).unwrap();
    let refused = store.callbacks(&CallbackFilter::default(), &foreign).await;
    assert!(matches!(refused, Err(StoreError::BadCursor(_))));
    let nonsense = PageRequest { cursor: Some("nonsense".into()), limit: 1 };
    assert!(matches!(store.tasks(None, &nonsense).await, Err(StoreError::BadCursor(_))));
    store.close().await.unwrap();
}

/// Seeded histories of everything that moves a count.
pub async fn counts_equal_the_rows_after_any_history(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    for seed in 1..=3u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for step in 0..120i64 {
            let second = i64::try_from(seed).unwrap() * 1_000_000 + step * 1_000;
            let envelope = format!("e{}", draw(12));
            act(store.as_ref(), place, &mut draw, &envelope, second).await;
        }
        compare_with_a_recount(store.as_ref()).await;
    }
    store.close().await.unwrap();
}

async fn act(
    store: &dyn Store,
    place: &dyn Place,
    draw: &mut impl FnMut(u64) -> u64,
    envelope: &str,
    second: i64,
) {
    use NotificationKind as Kind;
    let kinds = [Kind::Sent, Kind::Opened, Kind::Finished, Kind::Declined, Kind::Expired, Kind::Deleted];
    let kind = kinds[usize::try_from(draw(6)).unwrap()];
    match draw(8) {
        0 => {
            let mut odd = callback(place, envelope, "odd", 0);
            odd.quarantine_reason = Some("odd".into());
            store.note_down(odd).await.unwrap();
        }
        1 => {
            let sweep = NewsSource::Sweep(SweepId::make(at(second), place.entropy().as_ref()));
            let swept = news(sweep, "sales", envelope, Kind::Swept);
            store.announce(vec![swept], at(second), pace()).await.unwrap();
        }
        2 => {
            let again = callback(place, envelope, envelope, 0);
            store.note_down(again).await.unwrap();
        }
        3 | 4 => step(store, draw, second).await,
        5 => {
            let open = store.tasks(Some(true), &all()).await.unwrap().rows;
            if let Some(task) = open.first() {
                store.resolve_task(task.id, "done", "cli", at(second)).await.unwrap();
            }
        }
        6 => {
            let dead = TransferFilter { phase: Some(Phase::DeadLetter), ..TransferFilter::default() };
            for transfer in store.transfers(&dead, &all()).await.unwrap().rows {
                if draw(2) == 0 {
                    store.redrive(transfer.id, "cli", at(second)).await.unwrap();
                } else {
                    store.resolve(transfer.id, "done", "cli", at(second)).await.unwrap();
                }
            }
        }
        _ => hear(store, place, envelope, kind, second).await,
    }
}

/// One step of whatever is due, with some outcome.
async fn step(store: &dyn Store, draw: &mut impl FnMut(u64) -> u64, second: i64) {
    let lease = Duration::from_secs(60);
    for claimed in store.claim(&account("hr"), &worker("a"), 3, lease, at(second)).await.unwrap() {
        let mut transfer = claimed.transfer;
        let id = transfer.envelope_id.to_string();
        let found = |status| Box::new(answer(&id, status));
        let failed = |remedy| Outcome::Failed(Error::new(ErrorKind::Unavailable, remedy, "ask", "no"));
        let outcome = match draw(6) {
            0 => Outcome::Found(found(EnvelopeStatus::InProgress), None),
            1 => Outcome::Found(found(EnvelopeStatus::Cancelled), None),
            2 => Outcome::Gone(EnvelopeStatus::Unknown),
            3 => failed(Remedy::RenewAccess),
            4 => failed(Remedy::AskPerson),
            _ => failed(Remedy::Retry(None)),
        };
        let change = transfer.apply(outcome, at(second), &pace());
        let keep = draw(4) == 0;
        store.record(&claimed.lease, transfer, change, None, keep, at(second)).await.unwrap();
    }
    store.rescue(&worker("a"), at(second + 500)).await.unwrap();
}

/// The truth, from the lists; the order of the counts is free.
async fn compare_with_a_recount(store: &dyn Store) {
    let callbacks = store.callbacks(&CallbackFilter::default(), &all()).await.unwrap().rows;
    let envelopes = store.envelopes(&EnvelopeFilter::default(), &all()).await.unwrap().rows;
    let transfers = store.transfers(&TransferFilter::default(), &all()).await.unwrap().rows;
    let open = store.tasks(Some(true), &all()).await.unwrap().rows;
    let mut by_status = BTreeMap::new();
    for row in &envelopes {
        *by_status.entry((row.known.account.clone(), row.known.status)).or_insert(0) += 1;
    }
    let mut by_phase = BTreeMap::new();
    for transfer in &transfers {
        *by_phase.entry((transfer.account.clone(), transfer.phase.as_str())).or_insert(0) += 1;
    }
    let mut kept = store.overview().await.unwrap();
    kept.envelopes.sort();
    kept.transfers.sort_by_key(|(account, phase, _)| (account.clone(), phase.as_str()));
    let counted = Overview {
        callbacks: callbacks.len() as u64,
        quarantined: callbacks.iter().filter(|row| row.quarantine_reason.is_some()).count() as u64,
        repeats: callbacks.iter().map(|row| row.repeats).sum(),
        envelopes: by_status.into_iter().map(|((account, status), n)| (account, status, n)).collect(),
        transfers: by_phase
            .into_iter()
            .map(|((account, phase), n)| (account, Phase::parse(phase).unwrap(), n))
            .collect(),
        open_tasks: open.len() as u64,
        gaps: envelopes.iter().filter(|row| row.known.is_gap()).count() as u64,
    };
    assert_eq!(kept, counted);
}
