//! Seals that the platform extends after weeks: what waits for them, and what does not.

use super::*;

#[test]
fn nothing_is_removed_before_the_seal_is_extended_and_the_extended_file_archived() {
    let policy = DisposePolicy::AfterExtension;
    for early in [Extension::Awaited, Extension::Unknown] {
        let mut transfer = woken(true);
        let steps = run_in(&mut transfer, &sealed("f1", early), policy, at(0));
        assert!(!steps.contains(&"dispose"), "{steps:?}");
        assert_eq!(transfer.phase, Phase::Archived);
        // The second callback comes: the platform shows another file.
        let told = Wake {
            at: at(40 * DAY),
            final_announced: false,
            artifacts_at: Some(at(40 * DAY)),
            deletion_announced: false,
        };
        transfer.wake(&told);
        let steps = run_in(&mut transfer, &sealed("f2", Extension::Done), policy, at(40 * DAY));
        let place = |name| steps.iter().position(|step| *step == name).unwrap();
        assert!(place("download") < place("dispose"), "{steps:?}");
        assert_eq!((transfer.phase, transfer.archived_revision.as_deref()), (Phase::Disposed, Some("f2")));
    }
}

#[test]
fn a_seal_that_is_never_extended_asks_a_person_and_removes_nothing() {
    let policy = DisposePolicy::AfterExtension;
    let mut transfer = woken(true);
    run_in(&mut transfer, &sealed("f1", Extension::Awaited), policy, at(0));
    assert_eq!(transfer.due_at, Some(at(41 * DAY)), "a look of our own, in case nothing tells of it");
    let mut told = Vec::new();
    for day in 41..120 {
        while !matches!(transfer.next(at(day * DAY)), Step::Wait(_)) {
            assert_eq!(transfer.next(at(day * DAY)), Step::Ask, "day {day}");
            let answer = Outcome::Found(Box::new(sealed("f1", Extension::Awaited)), Some(plan(policy)));
            let change = transfer.apply(answer, at(day * DAY), &pace());
            told.extend(change.open_tasks.into_iter().map(|task| (day, task.kind)));
        }
    }
    assert_eq!(told, [(45, TaskKind::ExtensionOverdue)], "once: a person who settled it is not asked again");
    // It comes after all.
    let day = 130;
    let steps = run_in(&mut transfer, &sealed("f2", Extension::Done), policy, at(day * DAY));
    assert_eq!(steps.last(), Some(&"dispose"), "{steps:?}");
}

#[test]
fn a_removal_that_was_due_is_off_when_the_platform_shows_newer_files() {
    let mut transfer = woken(true);
    let policy = DisposePolicy::AfterDays(3);
    run_in(&mut transfer, &sealed("f1", Extension::Done), policy, at(0));
    let steps = run_in(&mut transfer, &sealed("f2", Extension::Done), policy, at(3 * DAY));
    let downloads = steps.iter().filter(|step| **step == "download").count();
    assert_eq!((downloads, steps.last()), (2, Some(&"dispose")), "{steps:?}");
}

#[test]
fn a_seal_whose_state_could_not_be_read_is_looked_at_the_next_day() {
    let mut transfer = woken(true);
    let policy = DisposePolicy::AfterExtension;
    run_in(&mut transfer, &sealed("f1", Extension::Unknown), policy, at(0));
    assert_eq!(transfer.due_at, Some(at(DAY)));
    let steps = run_in(&mut transfer, &sealed("f1", Extension::Done), policy, at(DAY));
    assert_eq!(steps.last(), Some(&"dispose"), "{steps:?}");
}

#[test]
fn an_extended_file_is_archived_where_nothing_is_ever_removed() {
    let mut transfer = woken(true);
    run_in(&mut transfer, &sealed("f1", Extension::Awaited), DisposePolicy::Never, at(0));
    assert_eq!((transfer.phase, transfer.due_at), (Phase::Archived, Some(at(41 * DAY))));
    let steps = run_in(&mut transfer, &sealed("f2", Extension::Done), DisposePolicy::Never, at(41 * DAY));
    assert_eq!(steps.iter().filter(|step| **step == "download").count(), 2, "{steps:?}");
    assert!(!steps.contains(&"dispose"), "{steps:?}");
    assert_eq!((transfer.phase, transfer.due_at), (Phase::Archived, None));
    assert_eq!(transfer.archived_revision.as_deref(), Some("f2"));
}

#[test]
fn a_look_for_an_extension_ends_one_day_where_no_removal_waits_for_it() {
    let mut transfer = woken(true);
    let shown = sealed("f1", Extension::Awaited);
    run_in(&mut transfer, &shown, DisposePolicy::Never, at(0));
    let mut looks = 0;
    while let Some(due) = transfer.due_at {
        let change = transfer.apply(Outcome::Found(Box::new(shown.clone()), None), due, &pace());
        assert!(change.open_tasks.is_empty());
        looks += 1;
        assert!(looks < 50);
    }
    assert!(looks > 5);
}

#[test]
fn single_looks_that_find_nothing_do_not_add_up() {
    let mut transfer = woken(true);
    let (policy, shown) = (DisposePolicy::AfterExtension, sealed("f1", Extension::Awaited));
    run_in(&mut transfer, &shown, policy, at(0));
    for day in 1..i64::from(NOT_FOUND_TRIES_MAX) * 3 {
        transfer.phase = Phase::Ask;
        transfer.apply(Outcome::NotFound(EnvelopeStatus::Completed), at(day * DAY), &pace());
        transfer.phase = Phase::Ask;
        transfer.apply(
            Outcome::Found(Box::new(shown.clone()), Some(plan(policy))),
            at(day * DAY + 9),
            &pace(),
        );
    }
    assert_eq!(transfer.phase, Phase::Archived);
}

#[test]
fn whoever_removes_by_hand_what_is_never_extended_causes_no_alarm() {
    let mut transfer = woken(true);
    let (policy, shown) = (DisposePolicy::AfterExtension, sealed("f1", Extension::Awaited));
    run_in(&mut transfer, &shown, policy, at(0));
    transfer.apply(Outcome::Found(Box::new(shown), Some(plan(policy))), at(46 * DAY), &pace());
    assert!(transfer.extension_overdue_told);
    let change = transfer.apply(Outcome::Gone(EnvelopeStatus::Completed), at(53 * DAY), &pace());
    assert_eq!((transfer.phase, change.open_tasks.len()), (Phase::Disposed, 0));
}

#[test]
fn what_was_archived_before_the_platform_showed_a_revision_is_looked_at_the_next_day() {
    let mut transfer = woken(true);
    let policy = DisposePolicy::AfterExtension;
    let sealing = Envelope { revision: None, ..sealed("", Extension::Awaited) };
    run_in(&mut transfer, &sealing, policy, at(0));
    assert_eq!(transfer.due_at, Some(at(DAY)));
    let steps = run_in(&mut transfer, &sealed("f2", Extension::Done), policy, at(DAY));
    let downloads = steps.iter().filter(|step| **step == "download").count();
    assert_eq!((downloads, steps.last()), (2, Some(&"dispose")), "{steps:?}");
}

/// The schedule keeps a removal back; this is what holds if the schedule were wrong.
#[test]
fn no_proof_can_be_made_before_the_extension_with_newer_files_or_without_our_own_record() {
    let policy = DisposePolicy::AfterExtension;
    let due = |extension, file: &str| {
        let mut transfer = woken(true);
        run_in(&mut transfer, &sealed("f1", Extension::Awaited), policy, at(0));
        transfer.envelope = Some(sealed(file, extension));
        transfer.dispose_at = Some(at(1));
        transfer.due_at = Some(at(1));
        transfer
    };
    assert!(matches!(due(Extension::Done, "f1").next(at(1)), Step::Dispose(_)), "all is well");
    assert!(matches!(due(Extension::Awaited, "f1").next(at(1)), Step::Stuck(_)));
    assert!(matches!(due(Extension::Unknown, "f1").next(at(1)), Step::Stuck(_)));
    assert!(matches!(due(Extension::Done, "f2").next(at(1)), Step::Stuck(_)));
    let mut unrecorded = due(Extension::Done, "f1");
    unrecorded.items.retain(|item| item.artifact.kind != ArtifactKind::Manifest);
    assert!(matches!(unrecorded.next(at(1)), Step::Stuck(_)));
}
