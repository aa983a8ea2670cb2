//! Leases, wakes, records.

use std::time::Duration;

use aftersign_core::callback::NotificationKind;
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::error::{Error, ErrorKind, Remedy};
use aftersign_core::ids::{EnvelopeId, TransferId};
use aftersign_core::journal::Action;
use aftersign_core::task::TaskKind;
use aftersign_core::transfer::{Change, Outcome, Phase};

use super::{Place, account, all, answer, at, hear, pace, worker};
use crate::{Attempt, Claimed, Store, StoreError, TransferFilter};

const LEASE: Duration = Duration::from_secs(60);

async fn claim(store: &dyn Store, boot: &str, limit: usize, second: i64) -> Vec<Claimed> {
    store.claim(&account("hr"), &worker(boot), limit, LEASE, at(second)).await.unwrap()
}

async fn finish(store: &dyn Store, place: &dyn Place, envelope: &str, second: i64) {
    hear(store, place, envelope, NotificationKind::Finished, second).await;
}

/// Lets a step of a claimed transfer end in `outcome` and records it without keeping the lease.
async fn end(store: &dyn Store, claimed: Claimed, outcome: Outcome, second: i64) {
    let mut transfer = claimed.transfer;
    let change = transfer.apply(outcome, at(second), &pace());
    store.record(&claimed.lease, transfer, change, None, false, at(second)).await.unwrap();
}

fn failed(remedy: Remedy) -> Outcome {
    Outcome::Failed(Error::new(ErrorKind::Unavailable, remedy, "ask", "no"))
}

/// Whoever has lost the lease cannot record.
pub async fn a_transfer_is_leased_to_one_worker_and_fenced(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    finish(store.as_ref(), place, "e1", 1).await;
    assert_eq!(store.next_due(&account("hr")).await.unwrap(), Some(at(1)));
    assert!(claim(store.as_ref(), "a", 9, 0).await.is_empty(), "nothing is claimed before it is due");
    let mine = claim(store.as_ref(), "a", 9, 1).await.remove(0);
    assert_eq!(mine.lease.until, at(61));
    assert!(claim(store.as_ref(), "b", 9, 1).await.is_empty());
    assert_eq!(store.next_due(&account("hr")).await.unwrap(), None);
    let renewed = store.renew(&mine.lease, at(90)).await.unwrap();
    assert_eq!((renewed.until, renewed.token), (at(90), mine.lease.token));

    assert_eq!(store.rescue(&worker("a"), at(90)).await.unwrap(), 1);
    let theirs = claim(store.as_ref(), "b", 9, 90).await.remove(0);
    assert_ne!(theirs.lease.token, mine.lease.token);
    assert!(matches!(store.renew(&renewed, at(99)).await, Err(StoreError::LeaseLost)));
    let late = store.record(&mine.lease, mine.transfer, Change::default(), None, true, at(91)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)));
    let kept = store
        .record(&theirs.lease, theirs.transfer.clone(), Change::default(), None, true, at(91))
        .await
        .unwrap();
    assert_eq!(kept, theirs.transfer);
    assert!(claim(store.as_ref(), "c", 9, 91).await.is_empty(), "a kept lease stays");
    store.record(&theirs.lease, kept, Change::default(), None, false, at(92)).await.unwrap();
    assert_eq!(claim(store.as_ref(), "c", 9, 92).await.len(), 1, "a released one is free");
    store.close().await.unwrap();
}

/// In order of their due times, up to the limit, each account by itself.
pub async fn those_that_wait_longest_are_claimed_first(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    for (envelope, second) in [("e3", 3), ("e1", 1), ("e2", 2)] {
        finish(store.as_ref(), place, envelope, second).await;
    }
    let first = claim(store.as_ref(), "a", 2, 9).await;
    let ids: Vec<_> = first.iter().map(|claimed| claimed.transfer.envelope_id.as_str()).collect();
    assert_eq!(ids, ["e1", "e2"]);
    assert_eq!(claim(store.as_ref(), "a", 2, 9).await[0].transfer.envelope_id.as_str(), "e3");
    let other = store.claim(&account("sales"), &worker("a"), 9, LEASE, at(9)).await.unwrap();
    assert!(other.is_empty());
    store.close().await.unwrap();
}

/// The worker's record must not overwrite what came meanwhile.
pub async fn a_wake_during_a_lease_is_not_lost(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    hear(store.as_ref(), place, "e1", NotificationKind::Sent, 1).await;
    let claimed = claim(store.as_ref(), "a", 1, 100).await.remove(0);
    hear(store.as_ref(), place, "e1", NotificationKind::Opened, 101).await;
    finish(store.as_ref(), place, "e1", 102).await;
    assert_eq!(store.next_due(&account("hr")).await.unwrap(), None, "it is still leased");

    let mut transfer = claimed.transfer;
    let found = Box::new(answer("e1", EnvelopeStatus::Sent));
    let change = transfer.apply(Outcome::Found(found, None), at(103), &pace());
    assert_eq!((transfer.phase, transfer.due_at), (Phase::Watch, None));
    let recorded = store.record(&claimed.lease, transfer, change, None, false, at(103)).await.unwrap();
    assert_eq!(recorded.phase, Phase::Ask);
    assert_eq!(recorded.due_at, Some(at(102)), "the earlier of the two wakes");
    assert!(recorded.final_announced_at.is_some());
    assert_eq!(claim(store.as_ref(), "a", 1, 103).await[0].transfer, recorded);
    store.close().await.unwrap();
}

/// The worker died with the lease; the wake did not.
pub async fn wakes_of_a_lost_lease_are_taken_in_by_its_rescue(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    hear(store.as_ref(), place, "e1", NotificationKind::Sent, 1).await;
    let claimed = claim(store.as_ref(), "a", 1, 100).await.remove(0);
    assert_eq!(claimed.transfer.final_announced_at, None);
    finish(store.as_ref(), place, "e1", 102).await;
    assert_eq!(store.rescue(&worker("b"), at(103)).await.unwrap(), 1);
    let again = claim(store.as_ref(), "b", 1, 103).await.remove(0);
    assert_eq!(again.transfer.final_announced_at, Some(at(102)));
    store.close().await.unwrap();
}

/// Expired ones, and those of this node's earlier boots.
pub async fn leases_of_the_past_are_rescued_and_no_others(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    for envelope in ["e1", "e2"] {
        finish(store.as_ref(), place, envelope, 1).await;
    }
    assert_eq!(claim(store.as_ref(), "a", 1, 1).await.len(), 1);
    let mut elsewhere = worker("x");
    elsewhere.node = "other".into();
    let other = store.claim(&account("hr"), &elsewhere, 1, LEASE, at(1)).await.unwrap();
    assert_eq!(other.len(), 1);
    assert_eq!(store.rescue(&worker("a"), at(60)).await.unwrap(), 0, "both are valid");
    assert_eq!(store.rescue(&worker("b"), at(2)).await.unwrap(), 1, "the node's earlier boot");
    assert_eq!(claim(store.as_ref(), "b", 9, 2).await.len(), 1);
    assert_eq!(store.rescue(&worker("b"), at(61)).await.unwrap(), 1, "the other node's expired one");
    store.close().await.unwrap();
}

/// All that a step changed is in one commit.
pub async fn recording_writes_envelope_tasks_journal_and_attempt(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    finish(store.as_ref(), place, "e1", 1).await;
    let claimed = claim(store.as_ref(), "a", 1, 1).await.remove(0);
    let id = claimed.transfer.id;
    let mut transfer = claimed.transfer;
    let found = Box::new(answer("e1", EnvelopeStatus::Completed));
    let change = transfer.apply(Outcome::Found(found, None), at(2), &pace());
    transfer.archived_at = Some(at(2));
    let attempt = Attempt {
        step: "ask".into(),
        subject: String::new(),
        started_at: at(1),
        duration_ms: 12,
        error: None,
    };
    store
        .record(&claimed.lease, transfer.clone(), change, Some(attempt.clone()), false, at(2))
        .await
        .unwrap();
    let detail = store.envelope(Some(&account("hr")), &EnvelopeId::new("e1")).await.unwrap().unwrap();
    let known = &detail.row.known;
    assert_eq!((known.status, known.confirmed), (EnvelopeStatus::Completed, true));
    assert_eq!((known.archived_at, known.completed_at), (Some(at(2)), Some(at(1))));
    assert_eq!((known.sender.as_deref(), known.updated_at), (Some("boss@example.com"), at(2)));
    assert_eq!((detail.transfer.as_ref(), &detail.attempts), (Some(&transfer), &vec![attempt.clone()]));
    assert_eq!(store.transfer(id).await.unwrap(), Some((transfer, vec![attempt])));
    let confirmed = store.entries(Some(Action::StatusConfirmed), &all()).await.unwrap();
    assert_eq!(confirmed.rows.len(), 1);
    store.close().await.unwrap();
}

/// One success wakes all that wait.
pub async fn renewed_access_wakes_what_waits_for_it(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    for envelope in ["e1", "e2", "e3"] {
        finish(store.as_ref(), place, envelope, 1).await;
    }
    for claimed in claim(store.as_ref(), "a", 9, 1).await {
        end(store.as_ref(), claimed, failed(Remedy::RenewAccess), 1).await;
    }
    let open = store.tasks(Some(true), &all()).await.unwrap().rows;
    assert_eq!(open.iter().map(|task| task.kind).collect::<Vec<_>>(), [TaskKind::AccessRefused]);
    assert!(claim(store.as_ref(), "a", 9, 2).await.is_empty());

    let probe = claim(store.as_ref(), "a", 1, 2_000).await.remove(0);
    let found = Box::new(answer("e1", EnvelopeStatus::Sent));
    end(store.as_ref(), probe, Outcome::Found(found, None), 2_001).await;
    let woken = claim(store.as_ref(), "a", 9, 2_001).await;
    assert_eq!(woken.len(), 2);
    assert!(woken.iter().all(|claimed| claimed.transfer.parked.is_none()));
    assert_eq!(store.overview().await.unwrap().open_tasks, 0);
    store.close().await.unwrap();
}

/// Nothing that waits for a person goes away by age.
pub async fn a_dead_letter_stays_until_a_person_redrives_it(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    finish(store.as_ref(), place, "e1", 1).await;
    let claimed = claim(store.as_ref(), "a", 1, 1).await.remove(0);
    let id = claimed.transfer.id;
    end(store.as_ref(), claimed, failed(Remedy::AskPerson), 1).await;
    finish(store.as_ref(), place, "e1", 5).await;
    let years = 10 * 365 * 24 * 3_600;
    assert!(claim(store.as_ref(), "a", 9, years).await.is_empty());
    assert_eq!(store.rescue(&worker("b"), at(years)).await.unwrap(), 0);
    let dead = TransferFilter { phase: Some(Phase::DeadLetter), ..TransferFilter::default() };
    assert_eq!(store.transfers(&dead, &all()).await.unwrap().rows.len(), 1);
    assert_eq!(store.tasks(Some(true), &all()).await.unwrap().rows.len(), 1);

    assert!(store.redrive(id, "cli", at(years)).await.unwrap());
    assert_eq!(claim(store.as_ref(), "a", 9, years).await.len(), 1);
    let redriven = store.entries(Some(Action::Redriven), &all()).await.unwrap();
    assert_eq!(redriven.rows[0].entry.actor, "cli");
    let unknown = TransferId::make(at(1), place.entropy().as_ref());
    assert!(!store.redrive(unknown, "cli", at(1)).await.unwrap());
    store.close().await.unwrap();
}

/// A person's word outranks a worker's lease.
pub async fn resolving_ends_a_transfer_its_lease_and_its_tasks(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    finish(store.as_ref(), place, "e1", 1).await;
    let claimed = claim(store.as_ref(), "a", 1, 1).await.remove(0);
    let id = claimed.transfer.id;
    end(store.as_ref(), claimed, failed(Remedy::AskPerson), 1).await;
    assert!(store.redrive(id, "cli", at(2)).await.unwrap());
    let claimed = claim(store.as_ref(), "a", 1, 2).await.remove(0);
    assert!(store.resolve(id, "paper copy filed", "cli", at(3)).await.unwrap());
    assert!(!store.resolve(id, "again", "cli", at(3)).await.unwrap());
    assert!(!store.redrive(id, "cli", at(3)).await.unwrap());
    let late = store.record(&claimed.lease, claimed.transfer, Change::default(), None, true, at(4)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)));
    assert_eq!(store.transfer(id).await.unwrap().unwrap().0.phase, Phase::Resolved);
    assert_eq!(store.overview().await.unwrap().open_tasks, 0);
    store.close().await.unwrap();
}
