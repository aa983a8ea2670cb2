//! What is removed, and what must not be: by default, and when a rule wants it.

use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension, Lookup};
use aftersign_core::error::ErrorKind;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Disposal, Next, Platform};
use aftersign_core::rule::DisposePolicy;
use aftersign_core::{Error, Remedy};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::Scrive;
use super::sweep_tests::with_flow_base;
use super::tests::{
    CLOSED, EXTENDED_HISTORY, FLOW, FLOW_ERROR, ID, MANAGED, OTHER, SEALED_HISTORY, completed_flow, document,
    found, instance, second,
};
use crate::testing::{access, answer, envelope, line, now, play, proof, result};

fn by_default(envelope: &Envelope) -> DisposePolicy {
    Scrive.default_dispose(envelope)
}

fn closed(more: Value, history: &'static str) -> Envelope {
    found(ID, vec![answer(200, document(more)), answer(200, history)])
}

#[test]
fn only_a_completed_document_whose_seal_is_extended_is_removed_by_default() {
    for history in [SEALED_HISTORY, EXTENDED_HISTORY, "{"] {
        let envelope = closed(json!({}), history);
        assert_eq!(by_default(&envelope), DisposePolicy::AfterExtension, "{:?}", envelope.extension);
    }
    let unsealed = found(ID, vec![answer(200, document(json!({ "sealed_file": null })))]);
    assert_eq!(
        (unsealed.extension, by_default(&unsealed)),
        (Extension::Awaited, DisposePolicy::AfterExtension)
    );
    for status in ["pending", "rejected", "canceled", "timedout", "document_error", "frobbed"] {
        let other = found(ID, vec![answer(200, document(json!({ "status": status, "sealed_file": null })))]);
        assert_eq!(by_default(&other), DisposePolicy::Never, "{status}");
    }
    let nothing_to_come = envelope(ID, EnvelopeStatus::Completed);
    assert_eq!(by_default(&nothing_to_come), DisposePolicy::Never);
    let capabilities = Scrive.capabilities();
    assert!(capabilities.dispose && capabilities.extends_seals && capabilities.retention);
}

#[test]
fn qualified_signatures_and_flows_stay_by_default() {
    let method = json!({ "parties": [{ "authentications": { "sign": { "name": "se_bankid_qes" } } }] });
    let qualified = found(ID, vec![answer(200, document(method))]);
    assert_eq!((qualified.extension, by_default(&qualified)), (Extension::Awaited, DisposePolicy::Never));
    assert_eq!(by_default(&completed_flow(json!({}), EXTENDED_HISTORY)), DisposePolicy::Never);
    let managed = |by: Value| {
        by_default(&closed(
            json!({ "experimental_features": { "process_management": by } }),
            EXTENDED_HISTORY,
        ))
    };
    assert_eq!(managed(json!("flow")), DisposePolicy::Never);
    for told_nothing in [json!(null), json!(5), json!("eSign")] {
        assert_eq!(managed(told_nothing.clone()), DisposePolicy::AfterExtension, "{told_nothing}");
    }
    assert_eq!(
        by_default(&closed(json!({ "experimental_features": [] }), EXTENDED_HISTORY)),
        DisposePolicy::AfterExtension
    );
}

#[test]
fn a_document_stays_by_default_where_flows_are_not_told_apart() {
    let (off, none) = (with_flow_base("off"), with_flow_base("none"));
    let fetched = |access: &Access, body: String| {
        let call = Scrive.fetch_envelope(access, &EnvelopeId::new(ID));
        match result(call, [answer(200, body), answer(200, EXTENDED_HISTORY)]).unwrap() {
            Lookup::Found(envelope) => *envelope,
            other => panic!("{other:?}"),
        }
    };
    for body in [CLOSED.to_owned(), document(json!({ "object_version": null }))] {
        assert_eq!(by_default(&fetched(&access(&Scrive), body.clone())), DisposePolicy::AfterExtension);
        assert_eq!(by_default(&fetched(&none, body.clone())), DisposePolicy::AfterExtension);
        assert_eq!(by_default(&fetched(&off, body)), DisposePolicy::Never);
    }
    let call = Scrive.dispose(&off, &proof(fetched(&off, CLOSED.to_owned()))).unwrap();
    assert_eq!(call.request.body(), "object_version=17", "a rule that wants it is bound all the same");
}

fn removed(answers: Vec<Response<Bytes>>) -> (Disposal, Vec<String>) {
    let call = Scrive.dispose(&access(&Scrive), &proof(envelope(ID, EnvelopeStatus::Completed))).unwrap();
    let (result, asked) = play(call, answers);
    (result.unwrap(), asked)
}

#[test]
fn removing_is_trash_then_delete_and_twice_is_once() {
    let trashed = || answer(200, document(json!({ "is_trashed": true })));
    let deleted = || answer(200, document(json!({ "is_trashed": true, "is_deleted": true })));
    let conflict = || answer(409, json!({ "error_type": "document_state_error" }).to_string());
    let (disposal, asked) = removed(vec![trashed(), deleted()]);
    assert_eq!(disposal, Disposal::Removed);
    assert_eq!(asked, ["trash", "delete"].map(|verb| format!("POST /api/v2/documents/{ID}/{verb}")));
    assert_eq!(removed(vec![conflict(), trashed(), deleted()]).0, Disposal::Removed);
    assert_eq!(removed(vec![conflict(), deleted()]).0, Disposal::AlreadyGone);
    assert_eq!(removed(vec![absent()]).0, Disposal::AlreadyGone);
    assert_eq!(removed(vec![trashed(), absent()]).0, Disposal::Removed);
    let (Disposal::Kept(reason), _) = removed(vec![answer(403, MANAGED)]) else { panic!("removed") };
    assert!(reason.contains("cannot be removed alone"), "{reason}");
    let pending = answer(200, document(json!({ "status": "pending" })));
    let call = Scrive.dispose(&access(&Scrive), &proof(envelope(ID, EnvelopeStatus::Completed)));
    assert_eq!(result(call, [conflict(), pending]).unwrap_err().remedy(), Remedy::Park);
    let call = Scrive.dispose(&access(&Scrive), &proof(envelope(ID, EnvelopeStatus::Completed)));
    let error = result(call, [answer(200, CLOSED)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unintelligible, "not in the trash");
}

#[test]
fn the_version_that_was_confirmed_goes_with_the_removal() {
    let confirmed = found(ID, vec![answer(200, CLOSED), answer(200, EXTENDED_HISTORY)]);
    let call = Scrive.dispose(&access(&Scrive), &proof(confirmed)).unwrap();
    assert_eq!(call.request.body(), "object_version=17");
    assert_eq!(call.request.headers()["content-type"], "application/x-www-form-urlencoded");
    let mismatch = json!({ "error_type": "document_object_version_mismatch" }).to_string();
    let (error, _) = play(call, [answer(409, mismatch), answer(200, CLOSED)]);
    assert_eq!(error.unwrap_err().remedy(), Remedy::Park);
}

/// A completed flow of both documents, the second one in version 23.
fn confirmed_flow() -> Envelope {
    completed_flow(json!({ "object_version": 23 }), EXTENDED_HISTORY)
}

/// What became of a removal, and what was sent for it, each with its body.
fn dispose_flow(
    confirmed: Envelope,
    answers: Vec<Response<Bytes>>,
) -> (Result<Disposal, Error>, Vec<String>) {
    let mut call = Scrive.dispose(&access(&Scrive), &proof(confirmed)).unwrap();
    let mut sent = Vec::new();
    for answer in answers {
        let (_, request, read) = call.into_parts();
        sent.push(format!("{} {}", line(&request), String::from_utf8_lossy(request.body())));
        match read(answer, now()) {
            Ok(Next::Then(next)) => call = next,
            Ok(Next::Done(disposal)) => return (Ok(disposal), sent),
            Err(error) => return (Err(error), sent),
        }
    }
    panic!("no answer is left for {}", line(&call.request));
}

fn step(id: &str, more: Value) -> Response<Bytes> {
    let mut body: Value = serde_json::from_str(&document(json!({ "id": id, "is_trashed": true }))).unwrap();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer(200, body.to_string())
}

fn absent() -> Response<Bytes> {
    answer(404, json!({ "error_type": "resource_not_found" }).to_string())
}

#[test]
fn a_flows_documents_are_removed_in_the_versions_that_were_confirmed() {
    let deleted = || json!({ "is_deleted": true });
    let all = vec![
        instance("completed"),
        step(ID, json!({})),
        step(ID, deleted()),
        step(OTHER, json!({})),
        step(OTHER, deleted()),
    ];
    let (disposal, sent) = dispose_flow(confirmed_flow(), all);
    let Disposal::Kept(reason) = disposal.unwrap() else { panic!("the instance stays") };
    assert!(reason.contains("2 documents are removed"), "{reason}");
    let post = |id: &str, verb: &str| format!("POST /api/v2/documents/{id}/{verb}");
    assert_eq!(
        sent[1..],
        [
            format!("{} object_version=17", post(ID, "trash")),
            format!("{} ", post(ID, "delete")),
            format!("{} object_version=23", post(OTHER, "trash")),
            format!("{} ", post(OTHER, "delete")),
        ]
    );
    let mismatch = answer(409, json!({ "error_type": "document_object_version_mismatch" }).to_string());
    let (refused, _) =
        dispose_flow(confirmed_flow(), vec![instance("completed"), mismatch, answer(200, CLOSED)]);
    assert_eq!(refused.unwrap_err().remedy(), Remedy::Park, "somebody acted on it");
    let (gone, _) = dispose_flow(confirmed_flow(), vec![answer(404, FLOW_ERROR)]);
    assert_eq!(gone.unwrap(), Disposal::AlreadyGone);
}

#[test]
fn a_flows_document_that_was_not_confirmed_is_never_removed_nor_the_others() {
    let named_before = |route: Option<&str>| Envelope {
        route: route.map(str::to_owned),
        ..envelope(FLOW, EnvelopeStatus::Completed)
    };
    let first_alone = format!("flow;{ID}=17");
    let unread = format!("flow;{ID}=17;{OTHER}=soon");
    for route in
        [None, Some("flow"), Some(&*first_alone), Some(&*unread), Some("version=17"), Some(";;=;x=1")]
    {
        let (error, sent) = dispose_flow(named_before(route), vec![instance("completed")]);
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Rejected, Remedy::AskPerson), "{route:?}");
        assert_eq!(sent.len(), 1, "nothing was removed");
    }
}

#[test]
fn a_flow_of_which_a_document_is_gone_or_versionless_keeps_all_the_others() {
    let half =
        found(FLOW, vec![instance("completed"), absent(), second(json!({})), answer(200, EXTENDED_HISTORY)]);
    assert_eq!(half.revision, None, "an extension of the other would not be seen");
    let renamed = Envelope {
        route: Some(format!("flow;{ID}=17;{OTHER}=23;8222115557375079999=gone")),
        ..envelope(FLOW, EnvelopeStatus::Completed)
    };
    let versionless = completed_flow(json!({ "object_version": null }), EXTENDED_HISTORY);
    for (confirmed, says) in [
        (half, "one of its documents is gone, so whether the others changed cannot be told"),
        (renamed, "one of its documents is gone, so whether the others changed cannot be told"),
        (versionless, "a document has no version, so none is removed"),
    ] {
        let (disposal, sent) = dispose_flow(confirmed, vec![instance("completed")]);
        assert_eq!(disposal.unwrap(), Disposal::Kept(says.to_owned()));
        assert_eq!(sent.len(), 1, "nothing was removed");
    }
    let all_gone = found(FLOW, vec![instance("completed"), absent(), absent()]);
    let (disposal, _) = dispose_flow(all_gone, vec![instance("completed")]);
    assert!(
        matches!(disposal.unwrap(), Disposal::Kept(reason) if reason.contains("2 documents are removed"))
    );
}

#[test]
fn a_document_that_flow_manages_is_kept_at_the_platform() {
    let (kept, _) = dispose_flow(confirmed_flow(), vec![instance("completed"), answer(403, MANAGED)]);
    let Disposal::Kept(reason) = kept.unwrap() else { panic!("removed") };
    assert!(reason.contains("cannot be removed alone") && reason.contains("managed by Scrive Flow"));
}
