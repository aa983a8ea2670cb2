use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::platform::{Disposal, Platform};
use aftersign_core::{Error, Remedy};
use serde_json::json;

use super::OneSpan;
use super::tests::{COMPLETED, ID, NO_RIGHT, NOT_FOUND, PATH, attached, found, told, with};
use crate::testing::{access, answer, envelope, play, proof};

fn dispose(
    mode: &str,
    status: EnvelopeStatus,
    answers: &[(u16, &'static str)],
) -> (Result<Disposal, Error>, Vec<String>) {
    let call = OneSpan.dispose(&told("dispose_mode", mode), &proof(envelope(ID, status))).unwrap();
    play(call, answers.iter().map(|(status, body)| answer(*status, *body)))
}

#[test]
fn the_trash_is_the_default_and_is_read_back() {
    let trashed = with(json!({ "trashed": true }));
    let proof = proof(envelope(ID, EnvelopeStatus::Completed));
    let call = OneSpan.dispose(&access(&OneSpan), &proof).unwrap();
    let (disposal, asked) = play(call, [answer(200, COMPLETED), answer(200, ""), answer(200, trashed)]);
    assert_eq!(disposal.unwrap(), Disposal::Removed);
    assert_eq!(asked, [format!("GET {PATH}"), format!("PUT {PATH}"), format!("GET {PATH}")]);
    let trash = |answers: &[(u16, &'static str)]| dispose("trash", EnvelopeStatus::Completed, answers);
    let (disposal, asked) = trash(&[(200, COMPLETED), (405, ""), (200, "{}"), (200, trashed)]);
    assert_eq!((disposal.unwrap(), asked[2].as_str()), (Disposal::Removed, &*format!("POST {PATH}")));
    assert_eq!(trash(&[(200, trashed)]).0.unwrap(), Disposal::AlreadyGone);
    assert_eq!(trash(&[(404, NOT_FOUND)]).0.unwrap(), Disposal::AlreadyGone);
    let kept = trash(&[(200, COMPLETED), (403, NO_RIGHT)]).0.unwrap();
    assert!(matches!(kept, Disposal::Kept(_)));
    let still = trash(&[(200, COMPLETED), (200, ""), (200, COMPLETED)]).0.unwrap_err();
    assert_eq!(still.remedy(), Remedy::Retry(None));
    assert!(trash(&[(200, COMPLETED), (200, "<html>")]).0.is_err());
    assert_eq!(trash(&[(200, with(json!({ "type": "TEMPLATE" })))]).0.unwrap_err().remedy(), Remedy::Abandon);
    for changed in [json!({ "type": null }), json!({ "status": "SENT" }), json!({ "status": "DECLINED" })] {
        let (disposal, asked) = trash(&[(200, with(changed))]);
        assert!(matches!(disposal.unwrap(), Disposal::Kept(_)) && asked.len() == 1, "nothing is changed");
    }
}

#[test]
fn what_was_attached_after_the_archiving_is_not_removed() {
    let later = attached(json!([{ "id": 3 }, { "id": 4 }, { "id": 5 }]), "COMPLETE");
    let removal = |package, answers: &[(u16, &'static str)]| {
        let call = OneSpan.dispose(&access(&OneSpan), &proof(found(package))).unwrap();
        play(call, answers.iter().map(|(status, body)| answer(*status, *body)))
    };
    let (disposal, asked) = removal(COMPLETED, &[(200, later)]);
    assert_eq!((disposal.unwrap_err().remedy(), asked.len()), (Remedy::Retry(None), 1));
    let (disposal, _) = removal(later, &[(200, later), (200, ""), (404, NOT_FOUND)]);
    assert_eq!(disposal.unwrap(), Disposal::Removed);
}

#[test]
fn only_a_404_of_the_package_itself_says_that_it_is_gone() {
    let trashed = with(json!({ "trashed": true }));
    let trash = |answers: &[(u16, &'static str)]| dispose("trash", EnvelopeStatus::Completed, answers);
    let (disposal, asked) = trash(&[(200, COMPLETED), (404, NOT_FOUND), (200, ""), (200, trashed)]);
    assert_eq!(disposal.unwrap(), Disposal::Removed, "this instance has no `PUT`");
    assert_eq!(asked[1..], [format!("PUT {PATH}"), format!("POST {PATH}"), format!("GET {PATH}")]);
    for no_call in [404, 405] {
        let both = [(200, COMPLETED), (404, ""), (no_call, "")];
        let then = |status, body| trash(&[&both[..], &[(status, body)]].concat()).0;
        assert_eq!(then(404, NOT_FOUND).unwrap(), Disposal::AlreadyGone);
        assert_eq!(then(200, trashed).unwrap(), Disposal::Removed);
        assert!(then(200, COMPLETED).unwrap_err().to_string().contains(&no_call.to_string()));
        assert!(then(404, "<html>").is_err() && then(503, "").is_err());
    }
    let delete = |answers: &[(u16, &'static str)]| dispose("delete", EnvelopeStatus::Completed, answers).0;
    assert_eq!(delete(&[(200, COMPLETED), (404, ""), (404, "")]).unwrap(), Disposal::AlreadyGone);
    let there = delete(&[(200, COMPLETED), (404, ""), (200, COMPLETED)]).unwrap_err();
    assert_eq!(there.remedy(), Remedy::Retry(None));
}

#[test]
fn for_good_go_completed_packages_alone_and_404_is_the_proof() {
    let delete = |answers: &[(u16, &'static str)]| dispose("delete", EnvelopeStatus::Completed, answers);
    for success in [200, 204] {
        let (disposal, asked) = delete(&[(200, COMPLETED), (success, ""), (404, NOT_FOUND)]);
        assert_eq!((disposal.unwrap(), asked[1].as_str()), (Disposal::Removed, &*format!("DELETE {PATH}")));
    }
    let trashed = with(json!({ "trashed": true }));
    let (disposal, _) = delete(&[(200, trashed), (200, ""), (200, trashed)]);
    assert_eq!(disposal.unwrap_err().remedy(), Remedy::Retry(None), "the trash is not gone");
    assert!(delete(&[(200, COMPLETED), (200, ""), (404, "<html>")]).0.is_err());
    assert_eq!(delete(&[(200, COMPLETED), (401, "")]).0.unwrap_err().remedy(), Remedy::RenewAccess);
    let declined = with(json!({ "status": "DECLINED" }));
    let (disposal, asked) = dispose("delete", EnvelopeStatus::Declined, &[(200, declined)]);
    assert!(matches!(disposal.unwrap(), Disposal::Kept(_)) && asked.len() == 1);
}
