//! What every implementation of the handles must do, as one suite.
//!
//! Only the handles are used, so that the same cases run on every database. Time is passed in; nothing waits.
//! [`conformance_tests!`](crate::conformance_tests) makes one test per case out of a function that gives a
//! fresh [`Place`].
#![expect(clippy::unwrap_used, reason = "a test suite: a failure is a failed test")]

pub mod board;
pub mod inbox;
pub mod keeping;
pub mod mail;
pub mod people;
pub mod projection;
pub mod queue;

use std::sync::Arc;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::callback::{IdempotencyKey, Notification, NotificationKind, RepeatMeans};
use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId, SenderId};
use aftersign_core::seams::Entropy;
use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{NewCallback, News, NewsSource, PageRequest, Store, VaultKey, Worker};

/// A place that holds one store's data, empty at first.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens a store on the data; the one before was closed.
    async fn open(&self, keys: Vec<VaultKey>) -> Arc<dyn Store>;
    /// Randomness for ids.
    fn entropy(&self) -> Arc<dyn Entropy>;
}

/// Makes a test of every case. `$place` is a function that gives a fresh [`Place`].
#[macro_export]
macro_rules! conformance_tests {
    ($place:path) => {
        $crate::conformance_tests!(@ $place;
            inbox: a_repeat_is_counted_on_the_first_ones_row,
                concurrent_notes_of_one_key_give_exactly_one_first,
                what_was_noted_survives_reopening,
                only_a_repeat_that_may_be_news_is_handed_to_the_projector_again,
                a_probe_commits_and_every_commit_is_watched;
            projection: announcing_twice_has_the_effect_of_once,
                an_end_that_only_a_sweep_found_is_a_gap_until_a_callback_announces_it,
                a_replayed_callback_is_handed_to_the_projector_again,
                a_quarantined_callback_that_is_understood_later_leaves_quarantine,
                tasks_are_opened_once_per_key,
                a_concern_is_a_task_until_what_settles_it_was_heard,
                a_concern_that_a_person_settled_comes_back_with_news_only,
                the_platforms_answer_names_the_signer_and_settles_concerns,
                a_repeat_that_may_be_news_opens_what_was_settled;
            queue: a_transfer_is_leased_to_one_worker_and_fenced,
                those_that_wait_longest_are_claimed_first,
                a_wake_during_a_lease_is_not_lost,
                wakes_of_a_lost_lease_are_taken_in_by_its_rescue,
                leases_of_the_past_are_rescued_and_no_others,
                recording_writes_envelope_tasks_journal_and_attempt,
                renewed_access_wakes_what_waits_for_it,
                a_dead_letter_stays_until_a_person_redrives_it,
                resolving_ends_a_transfer_its_lease_and_its_tasks;
            board: pages_neither_repeat_nor_skip_while_rows_come,
                filters_give_what_they_name,
                a_foreign_cursor_is_refused,
                counts_equal_the_rows_after_any_history;
            keeping: the_journal_is_a_chain,
                sweeps_remember_the_last_that_ended_well,
                unsettled_envelopes_come_in_id_order,
                what_is_not_archived_is_counted_from_the_oldest,
                the_best_source_names_the_sender;
            people: a_grant_opens_for_its_sender_only,
                keys_rotate_and_a_missing_key_is_named,
                a_grant_is_renewed_by_one_and_only_from_its_newest_version,
                a_given_grant_settles_its_task_and_wakes_that_senders_transfers_only,
                a_given_grant_wakes_more_than_one_commit_does,
                access_that_is_given_while_a_worker_finds_it_missing_parks_nothing,
                an_access_that_works_wakes_what_waits_for_it_and_nothing_else,
                a_token_opens_for_its_purpose_with_a_key_of_the_ring_only,
                a_consent_is_taken_once_by_the_browser_that_began_it,
                a_flood_of_consents_puts_out_the_oldest,
                a_draft_is_claimed_by_one_and_fenced,
                a_draft_that_may_have_been_sent_stays_so_until_it_is_known,
                a_sent_draft_is_known_with_its_envelopes_in_one_commit,
                a_callback_tells_that_a_draft_was_sent;
            mail: a_thousand_tasks_are_one_commit_and_one_mail,
                a_mail_waits_until_it_is_quiet,
                everybody_is_told_what_is_theirs,
                what_is_settled_is_not_told_and_what_is_opened_anew_is,
                the_admins_are_told_of_what_is_overdue,
                a_mail_that_was_not_noted_as_sent_is_sent_again_under_its_id,
                what_comes_while_a_mail_is_on_its_way_is_not_lost,
                an_address_that_takes_no_mail_becomes_a_task_that_is_not_mailed_to_it,
                a_mail_says_how_much_waits_for_access;
        );
    };
    (@ $place:path; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $case() {
                $crate::conformance::$module::$case(&$place()).await;
            })+
        })+
    };
}

/// A moment of the suite's day.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn pace() -> Pace {
    Pace::real(7)
}

fn account(name: &str) -> AccountId {
    AccountId::new(name)
}

fn worker(boot: &str) -> Worker {
    Worker { node: "node".into(), boot: boot.into() }
}

fn all() -> PageRequest {
    PageRequest { cursor: None, limit: 500 }
}

/// A callback of account `hr` about envelope `envelope`, whose key is `event`.
fn callback(place: &dyn Place, envelope: &str, event: &str, second: i64) -> NewCallback {
    NewCallback {
        id: CallbackId::make(at(second), place.entropy().as_ref()),
        account: account("hr"),
        platform: "test-sign",
        channel: Some("envelope".into()),
        method: "POST".into(),
        query: "a=b".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: bytes::Bytes::from_static(b"{\"kind\":\"x\"}"),
        remote: Some("192.0.2.1".into()),
        received_at: at(second),
        key: IdempotencyKey::new(Some(at(second / 10)), &[event.as_bytes()]),
        repeat_means: RepeatMeans::Nothing,
        kind: Some("finished".into()),
        envelope: Some(EnvelopeId::new(envelope)),
        quarantine_reason: None,
    }
}

fn notification(envelope: &str, kind: NotificationKind) -> Notification {
    Notification {
        envelope: EnvelopeId::new(envelope),
        kind,
        kind_at_platform: format!("their {}", kind.as_str()),
        occurred_at: Some(at(0)),
        signer: Some("sam@example.com".into()),
        detail: None,
        sender: Some("sender@example.com".into()),
        name: Some("Contract".into()),
        draft: None,
    }
}

fn news(source: NewsSource, account_name: &str, envelope: &str, kind: NotificationKind) -> News {
    News {
        source,
        account: account(account_name),
        platform: "test-sign".into(),
        notifications: vec![notification(envelope, kind)],
        open_tasks: Vec::new(),
        close_tasks: Vec::new(),
    }
}

/// Notes a callback down and announces it as `kind`.
async fn hear(store: &dyn Store, place: &dyn Place, envelope: &str, kind: NotificationKind, second: i64) {
    let event = format!("{envelope}/{}/{second}", kind.as_str());
    let callback = callback(place, envelope, &event, second);
    let source = NewsSource::Callback(callback.id);
    store.note_down(callback).await.unwrap();
    store.announce(vec![news(source, "hr", envelope, kind)], at(second), pace()).await.unwrap();
}

fn sender(text: &str) -> SenderId {
    SenderId::new(text).unwrap()
}

fn key(id: &str, byte: u8) -> VaultKey {
    VaultKey { id: id.into(), key: Zeroizing::new([byte; 32]) }
}

fn answer(envelope: &str, status: EnvelopeStatus) -> Envelope {
    Envelope {
        name: Some("Contract".into()),
        sender: Some("boss@example.com".into()),
        completed_at: Some(at(1)),
        ..Envelope::new(EnvelopeId::new(envelope), status, status.as_str())
    }
}
