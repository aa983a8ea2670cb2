mod extension;

use std::time::Duration;

use super::*;
use crate::artifact::Content;
use crate::envelope::{EnvelopeStatus, Extension};
use crate::error::{ErrorKind, NotBefore, Remedy};
use crate::ids::SenderId;
use crate::limits::{RETRY_ATTEMPTS_MAX, VERIFICATION_FAILURES_MAX};
use crate::rule::DisposePolicy;
use crate::task::TaskKind;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn pace() -> Pace {
    Pace::real(7)
}

fn envelope(status: EnvelopeStatus) -> Envelope {
    Envelope {
        name: Some("Contract".into()),
        ..Envelope::new(EnvelopeId::new("e1"), status, status.as_str())
    }
}

fn plan(dispose: DisposePolicy) -> Plan {
    Plan { deliver_to: vec![DestinationId::new("archive")], folder: "f".into(), dispose }
}

fn answered(status: EnvelopeStatus, dispose: DisposePolicy) -> Outcome {
    let wanted = status == EnvelopeStatus::Completed;
    Outcome::Found(Box::new(envelope(status)), wanted.then(|| plan(dispose)))
}

fn artifact(id: &str) -> ArtifactRef {
    ArtifactRef {
        id: id.into(),
        kind: ArtifactKind::Document,
        name: "contract.pdf".into(),
        content: Content::Pdf,
    }
}

fn woken(final_announced: bool) -> Transfer {
    let mut transfer =
        Transfer::new(TransferId::from_bytes([1; 16]), AccountId::new("hr"), EnvelopeId::new("e1"));
    transfer.wake(&Wake { at: at(0), final_announced, artifacts_at: None, deletion_announced: false });
    transfer
}

fn receipt(digest: Digest, bytes: u64) -> Receipt {
    Receipt { location: "f/x".into(), version: 1, digest, bytes, already_there: false }
}

/// Does every step of a well-behaved world until none is due, and gives the steps' names.
fn run(transfer: &mut Transfer, dispose: DisposePolicy, now: Timestamp) -> Vec<&'static str> {
    run_in(transfer, &envelope(EnvelopeStatus::Completed), dispose, now)
}

/// The same where the platform shows `shown`.
fn run_in(
    transfer: &mut Transfer,
    shown: &Envelope,
    dispose: DisposePolicy,
    now: Timestamp,
) -> Vec<&'static str> {
    let mut steps = Vec::new();
    while let Some((step, _)) = step_in(transfer, shown, dispose, now) {
        steps.push(step);
        assert!(steps.len() < 50, "{steps:?}");
    }
    steps
}

/// Does the step that is due, as a well-behaved world does it.
fn step_in(
    transfer: &mut Transfer,
    shown: &Envelope,
    dispose: DisposePolicy,
    now: Timestamp,
) -> Option<(&'static str, Change)> {
    let step = transfer.next(now);
    let outcome = match step.clone() {
        Step::Wait(_) => return None,
        Step::Ask => Outcome::Found(Box::new(shown.clone()), Some(plan(dispose))),
        Step::List => Outcome::Listed(vec![artifact("1"), artifact("2")]),
        Step::Download(index) => Outcome::Staged(index, Digest::of(&[index as u8]), 10, now),
        Step::Compose => Outcome::Composed(Digest::of(b"manifest"), 20),
        Step::Deliver(index, destination) => {
            let staged = transfer.items[index].staged.unwrap();
            Outcome::Delivered(index, destination, receipt(staged.digest, staged.bytes))
        }
        Step::Verify(index, destination) => {
            let staged = transfer.items[index].staged.unwrap();
            let found = Verification::Present { digest: staged.digest, bytes: staged.bytes };
            Outcome::Verified(index, destination, found)
        }
        Step::Dispose(proof) => {
            assert_eq!(proof.verified().len(), 3);
            Outcome::Disposed(Disposal::Removed)
        }
        Step::Stuck(why) => panic!("stuck: {why}"),
    };
    Some((step.as_str(), transfer.apply(outcome, now, &pace())))
}

#[test]
fn a_completed_envelope_is_listed_carried_verified_and_only_then_disposed_of() {
    let mut transfer = woken(true);
    let steps = run(&mut transfer, DisposePolicy::AfterTransfer, at(1));
    let carry = ["download", "deliver", "verify", "download", "deliver", "verify"];
    let end = ["compose", "deliver", "verify", "dispose"];
    assert_eq!(steps, [&["ask", "list"], &carry[..], &end[..]].concat());
    assert_eq!(transfer.phase, Phase::Disposed);
    assert_eq!(transfer.items[1].file_name, "contract (2).pdf");
}

#[test]
fn never_means_never_and_days_are_waited_for_with_a_new_look_before_disposal() {
    let mut never = woken(true);
    run(&mut never, DisposePolicy::Never, at(1));
    assert_eq!((never.phase, never.due_at), (Phase::Archived, None));

    let mut later = woken(true);
    run(&mut later, DisposePolicy::AfterDays(2), at(1));
    assert_eq!(later.due_at, Some(at(1 + 2 * 86_400)));
    let steps = run(&mut later, DisposePolicy::AfterDays(2), at(1 + 2 * 86_400));
    assert_eq!(steps, ["verify", "verify", "verify", "ask", "dispose"]);
}

#[test]
fn an_early_announcement_parks_without_counting_failures_and_returns_to_watching_after_a_day() {
    let mut transfer = woken(true);
    let mut now = at(0);
    let mut waits = Vec::new();
    while transfer.phase == Phase::Ask {
        transfer.apply(answered(EnvelopeStatus::InProgress, DisposePolicy::Never), now, &pace());
        assert_eq!(transfer.failures, 0);
        let Some(due) = transfer.due_at else { break };
        waits.push(due.as_second() - now.as_second());
        now = due;
    }
    assert_eq!(&waits[..6], [5, 15, 60, 300, 900, 3600]);
    assert_eq!(transfer.phase, Phase::Watch);
    assert!(now.as_second() - at(0).as_second() <= 25 * 3600);
}

#[test]
fn an_envelope_in_progress_is_watched_and_a_sweep_wakes_it() {
    let mut transfer = woken(false);
    transfer.apply(answered(EnvelopeStatus::InProgress, DisposePolicy::Never), at(0), &pace());
    assert_eq!(transfer.next(at(99_999)), Step::Wait(None));
    transfer.wake(&Wake { at: at(5), final_announced: true, artifacts_at: None, deletion_announced: false });
    assert_eq!(transfer.next(at(5)), Step::Ask);
}

#[test]
fn a_refused_access_parks_and_opens_one_task_per_account_and_goes_on_when_it_works() {
    let mut transfer = woken(true);
    let refused = || Outcome::Failed(Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", "401"));
    let change = transfer.apply(refused(), at(0), &pace());
    assert_eq!(change.open_tasks[0].key, "access_refused/hr");
    assert_eq!(transfer.failures, 0);
    transfer.wake(&Wake { at: at(1), final_announced: true, artifacts_at: None, deletion_announced: false });
    assert_eq!(transfer.next(at(2)), Step::Wait(Some(at(900))), "a wake does not spin");
    let change = transfer.apply(Outcome::StillRefused(Holder::Account), at(900), &pace());
    assert_eq!((change, transfer.next(at(901))), (Change::default(), Step::Wait(Some(at(1800)))));
    let change = transfer.apply(answered(EnvelopeStatus::Completed, DisposePolicy::Never), at(1800), &pace());
    assert_eq!(change.access_works, Some(Holder::Account));
    assert!(change.close_tasks.contains(&"access_refused/hr".to_string()));
}

#[test]
fn a_senders_refused_access_parks_for_that_sender_and_asks_them() {
    let anna = Holder::Sender(SenderId::new("Anna@Example.com").unwrap());
    let mut transfer = woken(true);
    let refused =
        Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", "401").met_with(anna.clone());
    let change = transfer.apply(Outcome::Failed(refused), at(0), &pace());
    let task = &change.open_tasks[0];
    assert_eq!(
        (task.key.as_str(), task.assignee.as_str()),
        ("access_refused/hr/anna@example.com", "anna@example.com")
    );
    assert_eq!((&transfer.waits_for, transfer.parked.unwrap().reason), (&anna, ParkReason::AccessNeeded));
    transfer.access_renewed(at(5));
    assert_eq!(transfer.next(at(5)), Step::Ask);
    let again =
        Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", "401").met_with(anna.clone());
    transfer.apply(Outcome::Failed(again), at(5), &pace());
    let change = transfer.apply(answered(EnvelopeStatus::Completed, DisposePolicy::Never), at(905), &pace());
    assert_eq!(change.access_works, Some(anna));
    assert!(change.close_tasks.contains(&"access_refused/hr/anna@example.com".to_string()));
    assert_eq!(transfer.waits_for, Holder::Account);
}

#[test]
fn retries_are_counted_bounded_and_end_as_a_dead_letter_that_a_person_can_redrive() {
    let mut transfer = woken(true);
    let mut now = at(0);
    let failed = || Outcome::Failed(Error::new(ErrorKind::Unavailable, Remedy::Retry(None), "ask", "503"));
    for _ in 1..RETRY_ATTEMPTS_MAX {
        transfer.apply(failed(), now, &pace());
        assert_eq!(transfer.phase, Phase::Ask);
        now = transfer.due_at.unwrap();
    }
    let change = transfer.apply(failed(), now, &pace());
    assert_eq!(transfer.phase, Phase::DeadLetter);
    assert_eq!(change.open_tasks[0].kind, TaskKind::DeadLetter);
    assert!(transfer.redrive(now));
    run(&mut transfer, DisposePolicy::Never, now);
    assert_eq!(transfer.phase, Phase::Archived);
}

#[test]
fn a_rate_limit_is_waited_out() {
    let mut transfer = woken(true);
    let wait = Remedy::Retry(Some(NotBefore::After(Duration::from_secs(100))));
    transfer.apply(Outcome::Failed(Error::new(ErrorKind::RateLimited, wait, "ask", "429")), at(0), &pace());
    assert_eq!(transfer.due_at, Some(at(100)));
}

#[test]
fn deletion_before_archiving_is_a_loss_that_a_person_hears_of() {
    let mut transfer = woken(true);
    let change = transfer.apply(Outcome::Gone(EnvelopeStatus::Unknown), at(0), &pace());
    assert_eq!(transfer.phase, Phase::Lost);
    assert_eq!(change.open_tasks[0].kind, TaskKind::DeletedBeforeArchived);
}

#[test]
fn an_announced_cancellation_that_the_platform_shows_as_gone_needs_nobody() {
    let mut transfer = woken(true);
    let change = transfer.apply(Outcome::Gone(EnvelopeStatus::Cancelled), at(0), &pace());
    assert_eq!(transfer.phase, Phase::Closed);
    assert!(change.open_tasks.is_empty() && change.gone);
}

#[test]
fn not_found_is_believed_only_after_several_looks() {
    let mut transfer = woken(true);
    let mut now = at(0);
    let mut tasks = Vec::new();
    while let Some(due) = transfer.due_at {
        now = now.max(due);
        tasks = transfer.apply(Outcome::NotFound(EnvelopeStatus::Unknown), now, &pace()).open_tasks;
    }
    assert_eq!((transfer.phase, transfer.not_found), (Phase::DeadLetter, 5));
    assert_eq!(tasks[0].kind, TaskKind::NotVisible);
}

#[test]
fn wrong_bytes_in_the_archive_are_delivered_again_and_never_make_a_proof() {
    let mut transfer = woken(true);
    run(&mut transfer, DisposePolicy::AfterDays(1), at(1));
    let mut now = at(1 + 86_400);
    for failure in 1..=VERIFICATION_FAILURES_MAX {
        let Step::Verify(0, destination) = transfer.next(now) else { panic!("{transfer:?}") };
        let other = Verification::Present { digest: Digest::of(b"other"), bytes: 10 };
        transfer.apply(Outcome::Verified(0, destination.clone(), other), now, &pace());
        assert!(TransferProof::of(&transfer).is_err());
        assert_eq!(transfer.verification_failures, failure);
        if failure < VERIFICATION_FAILURES_MAX {
            now = transfer.due_at.unwrap();
            assert_eq!(transfer.next(now), Step::Deliver(0, destination.clone()));
            let staged = transfer.items[0].staged.unwrap();
            transfer.apply(
                Outcome::Delivered(0, destination, receipt(staged.digest, staged.bytes)),
                now,
                &pace(),
            );
        }
    }
    assert_eq!(transfer.phase, Phase::DeadLetter);
}

#[test]
fn newer_artifacts_are_fetched_again_and_older_announcements_are_not() {
    let mut transfer = woken(true);
    run(&mut transfer, DisposePolicy::Never, at(10));
    transfer.wake(&Wake {
        at: at(20),
        final_announced: true,
        artifacts_at: Some(at(7)),
        deletion_announced: false,
    });
    assert_eq!(transfer.next(at(30)), Step::Wait(None));
    transfer.wake(&Wake {
        at: at(20),
        final_announced: true,
        artifacts_at: Some(at(19)),
        deletion_announced: false,
    });
    let steps = run(&mut transfer, DisposePolicy::Never, at(30));
    assert_eq!(steps.iter().filter(|step| **step == "download").count(), 2);
    assert_eq!(transfer.phase, Phase::Archived);
}

#[test]
fn newer_artifacts_that_are_announced_while_a_removal_is_retried_are_fetched_before_it() {
    let mut transfer = woken(true);
    run(&mut transfer, DisposePolicy::AfterDays(1), at(10));
    let due = transfer.due_at.unwrap();
    transfer.disposal_asked_at = Some(due);
    transfer.wake(&Wake {
        at: due,
        final_announced: false,
        artifacts_at: Some(at(90)),
        deletion_announced: false,
    });
    assert!(TransferProof::of(&transfer).is_err());
    let steps = run(&mut transfer, DisposePolicy::AfterDays(1), due);
    assert_eq!((steps[0], steps[1], steps[2]), ("ask", "list", "download"));
    assert_eq!(transfer.phase, Phase::Disposed);
}

#[test]
fn an_expired_envelope_that_was_archived_and_then_restarted_is_archived_anew_when_it_completes() {
    let mut transfer = woken(true);
    let expired =
        || Outcome::Found(Box::new(envelope(EnvelopeStatus::Expired)), Some(plan(DisposePolicy::Never)));
    transfer.apply(expired(), at(1), &pace());
    transfer.apply(Outcome::Listed(vec![artifact("1")]), at(1), &pace());
    run(&mut transfer, DisposePolicy::Never, at(1));
    assert_eq!(transfer.phase, Phase::Archived);
    transfer.wake(&Wake { at: at(50), final_announced: true, artifacts_at: None, deletion_announced: false });
    let steps = run(&mut transfer, DisposePolicy::Never, at(50));
    assert_eq!(&steps[..3], ["ask", "list", "download"]);
    assert_eq!(transfer.phase, Phase::Archived);
}

#[test]
fn a_late_cancellation_explains_what_looked_lost_and_settles_its_task() {
    let mut transfer = woken(false);
    transfer.apply(Outcome::Gone(EnvelopeStatus::Sent), at(0), &pace());
    assert_eq!(transfer.phase, Phase::Lost);
    transfer.wake(&Wake { at: at(9), final_announced: true, artifacts_at: None, deletion_announced: false });
    assert_eq!(transfer.next(at(9)), Step::Ask);
    let change = transfer.apply(Outcome::Gone(EnvelopeStatus::Cancelled), at(9), &pace());
    assert_eq!(transfer.phase, Phase::Closed);
    assert_eq!(change.close_tasks, ["deleted_before_archived/hr/e1"]);
}

#[test]
fn files_that_are_gone_make_us_ask_for_the_envelope_again() {
    let mut transfer = woken(true);
    transfer.apply(answered(EnvelopeStatus::Completed, DisposePolicy::Never), at(0), &pace());
    transfer.apply(Outcome::Listed(vec![artifact("1")]), at(0), &pace());
    let gone = Error::new(ErrorKind::NotFound, Remedy::AskPerson, "download", "410");
    transfer.apply(Outcome::Failed(gone), at(0), &pace());
    assert_eq!(transfer.next(transfer.due_at.unwrap()), Step::Ask);
    transfer.apply(Outcome::Gone(EnvelopeStatus::Unknown), at(9), &pace());
    assert_eq!(transfer.phase, Phase::Lost);
}

#[test]
fn an_archive_that_is_down_over_a_weekend_makes_no_dead_letters() {
    let mut transfer = woken(true);
    let mut now = at(0);
    while now < at(3 * 86_400) {
        let down = Error::new(ErrorKind::Storage, Remedy::Retry(None), "deliver", "not mounted");
        transfer.apply(Outcome::Failed(down), now, &pace());
        now = transfer.due_at.expect("it is tried again");
    }
}

#[test]
fn a_staging_folder_that_keeps_nothing_ends_as_a_dead_letter_and_does_not_spin() {
    let mut transfer = woken(true);
    transfer.apply(answered(EnvelopeStatus::Completed, DisposePolicy::Never), at(0), &pace());
    transfer.apply(Outcome::Listed(vec![artifact("1")]), at(0), &pace());
    let mut now = at(0);
    while let Some(due) = transfer.due_at {
        now = now.max(due);
        transfer.apply(Outcome::Staged(0, Digest::of(b"x"), 1, now), now, &pace());
        transfer.apply(Outcome::StagedFileGone(0), now, &pace());
    }
    assert_eq!(transfer.phase, Phase::DeadLetter);
    assert!(now > at(10));
}

#[test]
fn what_is_listed_no_more_and_was_never_fetched_is_let_go() {
    let mut transfer = woken(true);
    transfer.apply(answered(EnvelopeStatus::Completed, DisposePolicy::Never), at(0), &pace());
    transfer.apply(Outcome::Listed(vec![artifact("old"), artifact("1"), artifact("2")]), at(0), &pace());
    transfer.redrive(at(1));
    run(&mut transfer, DisposePolicy::Never, at(1));
    assert_eq!(transfer.phase, Phase::Archived);
    assert!(transfer.items.iter().all(|item| item.artifact.id != "old"));
}

#[test]
fn a_lost_staged_file_is_downloaded_again() {
    let mut transfer = woken(true);
    transfer.apply(answered(EnvelopeStatus::Completed, DisposePolicy::Never), at(0), &pace());
    transfer.apply(Outcome::Listed(vec![artifact("1")]), at(0), &pace());
    transfer.apply(Outcome::Staged(0, Digest::of(b"x"), 1, at(0)), at(0), &pace());
    assert!(matches!(transfer.next(at(0)), Step::Deliver(0, _)));
    transfer.apply(Outcome::StagedFileGone(0), at(0), &pace());
    assert_eq!(transfer.next(at(0)), Step::Download(0));
}

#[test]
fn a_proof_needs_every_artifact_in_every_destination_and_a_final_status() {
    let mut transfer = woken(true);
    run(&mut transfer, DisposePolicy::Never, at(1));
    assert!(TransferProof::of(&transfer).is_ok());
    let broken: [fn(&mut Transfer); 6] = [
        |t| t.items[1].deliveries[0].verified_at = None,
        |t| t.items[1].deliveries[0].receipt = None,
        |t| t.items[0].staged = None,
        |t| t.items.clear(),
        |t| t.envelope.as_mut().unwrap().status = EnvelopeStatus::InProgress,
        |t| t.plan.as_mut().unwrap().deliver_to.push(DestinationId::new("second")),
    ];
    for (number, breaks) in broken.iter().enumerate() {
        let mut transfer = transfer.clone();
        breaks(&mut transfer);
        assert!(TransferProof::of(&transfer).is_err(), "{number}");
    }
}

#[test]
fn a_disposal_whose_answer_was_lost_is_found_done() {
    let mut transfer = woken(true);
    run(&mut transfer, DisposePolicy::AfterDays(1), at(1));
    transfer.disposal_asked_at = Some(at(86_401));
    let change = transfer.apply(Outcome::NotFound(EnvelopeStatus::Unknown), at(86_402), &pace());
    assert_eq!(transfer.phase, Phase::Disposed);
    assert!(change.gone);
}

#[test]
fn what_no_rule_wants_is_closed_and_looked_at_again_when_it_changes() {
    let mut transfer = woken(true);
    transfer.apply(answered(EnvelopeStatus::Expired, DisposePolicy::Never), at(0), &pace());
    assert_eq!((transfer.phase, transfer.due_at), (Phase::Closed, None));
    transfer.wake(&Wake { at: at(5), final_announced: false, artifacts_at: None, deletion_announced: false });
    assert_eq!(transfer.next(at(5)), Step::Ask);
}

/// A sealed envelope with the given signed file.
fn sealed(file: &str, extension: Extension) -> Envelope {
    Envelope { revision: Some(file.into()), extension, ..envelope(EnvelopeStatus::Completed) }
}

const DAY: i64 = 24 * 60 * 60;

#[test]
fn what_is_not_visible_and_was_announced_as_deleted_is_a_loss() {
    let mut transfer = woken(false);
    transfer.wake(&Wake { at: at(0), final_announced: true, artifacts_at: None, deletion_announced: true });
    let mut kinds = Vec::new();
    for second in 0..i64::from(NOT_FOUND_TRIES_MAX) {
        let change = transfer.apply(Outcome::NotFound(EnvelopeStatus::InProgress), at(second), &pace());
        kinds.extend(change.open_tasks.into_iter().map(|task| task.kind));
    }
    assert_eq!((transfer.phase, &kinds[..]), (Phase::Lost, &[TaskKind::DeletedBeforeArchived][..]));
}

/// Archived, then told of newer files, then listed again.
fn refetching(policy: DisposePolicy) -> Transfer {
    let mut transfer = woken(true);
    run(&mut transfer, policy, at(0));
    transfer.phase = Phase::Archived;
    transfer.disposed_at = None;
    transfer.wake(&Wake {
        at: at(50),
        final_announced: false,
        artifacts_at: Some(at(50)),
        deletion_announced: false,
    });
    transfer.apply(answered(EnvelopeStatus::Completed, policy), at(50), &pace());
    transfer.apply(Outcome::Listed(vec![artifact("1"), artifact("2")]), at(50), &pace());
    assert_eq!(transfer.phase, Phase::Carry);
    transfer
}

#[test]
fn a_refetch_that_is_interrupted_goes_on() {
    let mut transfer = refetching(DisposePolicy::Never);
    let gone = Error::new(ErrorKind::NotFound, Remedy::Retry(None), "download", "404");
    transfer.apply(Outcome::Failed(gone), at(51), &pace());
    assert_eq!(transfer.phase, Phase::Ask);
    let due = transfer.due_at.unwrap();
    let steps = run(&mut transfer, DisposePolicy::Never, due);
    assert!(steps.contains(&"download") && steps.last() == Some(&"verify"), "{steps:?}");
    assert_eq!(transfer.phase, Phase::Archived);
}

#[test]
fn a_deletion_by_somebody_else_while_something_is_owed_is_told() {
    let mut refetching = refetching(DisposePolicy::Never);
    let mut awaiting = woken(true);
    let policy = DisposePolicy::AfterExtension;
    run_in(&mut awaiting, &sealed("f1", Extension::Awaited), policy, at(0));
    let mut whole = woken(true);
    run(&mut whole, DisposePolicy::Never, at(0));
    for (transfer, told) in [(&mut refetching, 1), (&mut awaiting, 1), (&mut whole, 0)] {
        let change = transfer.apply(Outcome::Gone(EnvelopeStatus::Completed), at(60), &pace());
        assert_eq!((transfer.phase, change.open_tasks.len()), (Phase::Disposed, told));
    }
}

#[test]
fn a_dead_letter_that_a_redrive_mended_is_settled_also_after_archiving() {
    let mut transfer = refetching(DisposePolicy::Never);
    let broken = Error::new(ErrorKind::Corrupt, Remedy::AskPerson, "download", "broken");
    let change = transfer.apply(Outcome::Failed(broken), at(51), &pace());
    assert_eq!(change.open_tasks[0].kind, TaskKind::DeadLetter);
    assert!(transfer.redrive(at(60)));
    let shown = envelope(EnvelopeStatus::Completed);
    let mut closed = Vec::new();
    while let Some((_, change)) = step_in(&mut transfer, &shown, DisposePolicy::Never, at(60)) {
        closed.extend(change.close_tasks);
    }
    assert_eq!(transfer.phase, Phase::Archived);
    assert!(closed.contains(&change.open_tasks[0].key), "{closed:?}");
}

#[test]
fn a_rule_that_was_edited_moves_no_files_and_decides_on_the_removal() {
    let mut transfer = woken(true);
    run(&mut transfer, DisposePolicy::AfterDays(30), at(0));
    assert!(transfer.redrive(at(5)));
    transfer.apply(answered(EnvelopeStatus::Completed, DisposePolicy::Never), at(5), &pace());
    assert_eq!((transfer.phase, transfer.due_at), (Phase::Archived, None));

    let mut half = woken(true);
    half.apply(answered(EnvelopeStatus::Completed, DisposePolicy::AfterTransfer), at(0), &pace());
    half.phase = Phase::Ask;
    half.apply(Outcome::Found(Box::new(envelope(EnvelopeStatus::Completed)), None), at(1), &pace());
    assert_eq!(half.phase, Phase::List, "what was begun is finished, though no rule selects it any more");
    assert_eq!(half.plan.unwrap().dispose, DisposePolicy::Never, "and nothing is removed without a rule");
}

#[test]
fn a_file_that_stays_missing_is_told_to_a_person() {
    let mut transfer = woken(true);
    let missing = || Outcome::Failed(Error::new(ErrorKind::NotFound, Remedy::AskPerson, "download", "404"));
    let mut now = at(0);
    let mut told = Vec::new();
    for _ in 0..50 {
        let outcome = match transfer.next(now) {
            Step::Wait(Some(due)) => {
                now = due;
                continue;
            }
            Step::Wait(None) => break,
            Step::Ask => answered(EnvelopeStatus::Completed, DisposePolicy::Never),
            Step::List => Outcome::Listed(vec![artifact("1"), artifact("2")]),
            Step::Download(0) => Outcome::Staged(0, Digest::of(b"1"), 10, now),
            Step::Download(_) => missing(),
            Step::Deliver(index, to) => {
                let staged = transfer.items[index].staged.unwrap();
                Outcome::Delivered(index, to, receipt(staged.digest, staged.bytes))
            }
            Step::Verify(index, to) => {
                let staged = transfer.items[index].staged.unwrap();
                let there = Verification::Present { digest: staged.digest, bytes: staged.bytes };
                Outcome::Verified(index, to, there)
            }
            other => panic!("{other:?}"),
        };
        told.extend(transfer.apply(outcome, now, &pace()).open_tasks.into_iter().map(|task| task.kind));
    }
    assert_eq!((transfer.phase, &told[..]), (Phase::DeadLetter, &[TaskKind::DeadLetter][..]));
}

#[test]
fn nothing_counts_as_archived_again_without_our_own_record() {
    let mut transfer = refetching(DisposePolicy::AfterTransfer);
    let shown = envelope(EnvelopeStatus::Completed);
    while transfer.next(at(51)) != Step::Compose {
        step_in(&mut transfer, &shown, DisposePolicy::AfterTransfer, at(51)).unwrap();
    }
    assert!(transfer.redrive(at(52)));
    let steps = run(&mut transfer, DisposePolicy::AfterTransfer, at(52));
    let place = |name| steps.iter().position(|step| *step == name).unwrap();
    assert!(place("compose") < place("dispose"), "{steps:?}");
}

#[test]
fn what_was_begun_under_an_earlier_status_is_not_the_end_of_the_next() {
    let mut transfer = woken(true);
    let expired = Plan { folder: "misc".into(), ..plan(DisposePolicy::AfterTransfer) };
    let shown = envelope(EnvelopeStatus::Expired);
    transfer.apply(Outcome::Found(Box::new(shown), Some(expired)), at(0), &pace());
    transfer.apply(Outcome::Listed(vec![artifact("1")]), at(0), &pace());
    transfer.apply(Outcome::Staged(0, Digest::of(b"expired"), 9, at(0)), at(0), &pace());
    transfer.phase = Phase::Ask;
    let steps = run(&mut transfer, DisposePolicy::Never, at(1));
    assert_eq!(steps.iter().filter(|step| **step == "download").count(), 2, "{steps:?}");
    let plan = transfer.plan.unwrap();
    assert_eq!((plan.folder.as_str(), plan.dispose), ("f", DisposePolicy::Never));
}

#[test]
fn the_journal_keeps_no_senders_address() {
    let mut transfer = woken(true);
    let refused =
        Error::new(ErrorKind::Forbidden, Remedy::AskPerson, "get token", "no token for sam@example.com")
            .with(crate::error::SENDER, "sam@example.com");
    let change = transfer.apply(Outcome::Failed(refused), at(0), &pace());
    assert_eq!(change.journal[0].1, "get token: forbidden");
    assert!(change.open_tasks[0].what.contains("sam@example.com"));
}
