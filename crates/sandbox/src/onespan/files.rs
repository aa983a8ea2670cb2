//! The files of a package. Before completion documents can be downloaded as well, but without what is still to be filled in:
//! such bytes are never those that the ledger promises.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CONSENT, attachment_id, document_id, package};
use crate::content::{Artifact, Source};
use crate::ledger::Outcome;
use crate::rng::Rng;
use crate::script::DOCUMENT_BYTES_MAX;
use crate::world::{Envelope, SignerState};

const EVIDENCE_BYTES: u64 = 25_000;
const CONSENT_BYTES: u64 = 40_000;

/// The share of packages whose consent document can be downloaded.
const CONSENT_SHARE: f64 = 0.7;

/// Artifact kinds as they stand in the ledger.
pub(super) mod kind {
    pub(in super::super) const DOCUMENT: &str = "document";
    pub(in super::super) const EVIDENCE: &str = "audit-trail";
    pub(in super::super) const AUDIT: &str = "audit-trail-json";
    pub(in super::super) const FIELDS: &str = "field-summary";
    pub(in super::super) const ATTACHMENT: &str = "attachment";
    pub(in super::super) const CONSENT: &str = "consent";
    pub(in super::super) const DOCUMENTS_ZIP: &str = "documents-zip";
    pub(in super::super) const ATTACHMENTS_ZIP: &str = "attachments-zip";
}

/// What is promised after the end: everything if completed, what proves the refusal if declined.
pub(crate) fn artifacts(envelope: &Envelope) -> Vec<Arc<Artifact>> {
    let mut made = Vec::new();
    if envelope.outcome == Outcome::Completed {
        for (index, document) in envelope.script.documents.iter().enumerate() {
            let source = document_source(envelope, index, "signed");
            made.push(artifact(&document.name, kind::DOCUMENT, document_id(envelope, index), source));
        }
    }
    if matches!(envelope.outcome, Outcome::Completed | Outcome::Declined) {
        made.push(evidence(envelope, "final"));
        made.push(audit(envelope, envelope.outcome));
    }
    if envelope.outcome == Outcome::Completed {
        made.push(fields(envelope));
        for (index, file) in envelope.script.attachments.iter().enumerate() {
            let source = attachment_source(envelope, index);
            made.push(artifact(&file.name, kind::ATTACHMENT, attachment_id(envelope, index), source));
        }
    }
    made.into_iter().map(Arc::new).collect()
}

/// What is served after completion without being promised.
pub(crate) fn extras(envelope: &Envelope) -> Vec<Arc<Artifact>> {
    if envelope.outcome != Outcome::Completed {
        return Vec::new();
    }
    let mut made = vec![documents_zip(envelope, "signed")];
    if Rng::keyed(envelope.seed, "consent").chance(CONSENT_SHARE) {
        made.push(consent(envelope, "signed"));
    }
    if !envelope.script.attachments.is_empty() {
        made.push(attachments_zip(envelope));
    }
    made.into_iter().map(Arc::new).collect()
}

/// A signed document, or as it is before completion; `None` if there is no such document.
pub(super) fn document(envelope: &Envelope, id: &str) -> Option<Arc<Artifact>> {
    if package::is_complete(envelope) {
        let mut all = envelope.artifacts.iter().chain(&envelope.extras);
        return all.find(|a| matches!(a.kind, kind::DOCUMENT | kind::CONSENT) && a.file_id == id).cloned();
    }
    if id == CONSENT {
        return Some(Arc::new(consent(envelope, "pending")));
    }
    let index = index_of(envelope, id)?;
    let name = &envelope.script.documents.get(index)?.name;
    let source = document_source(envelope, index, &stripped(envelope));
    Some(Arc::new(artifact(name, kind::DOCUMENT, id.to_owned(), source)))
}

/// A document as it was sent.
pub(super) fn original(envelope: &Envelope, id: &str) -> Option<Arc<Artifact>> {
    let index = index_of(envelope, id)?;
    let name = &envelope.script.documents.get(index)?.name;
    let source = document_source(envelope, index, "original");
    Some(Arc::new(artifact(name, kind::DOCUMENT, id.to_owned(), source)))
}

/// The archive of all documents.
pub(super) fn zip(envelope: &Envelope) -> Arc<Artifact> {
    final_one(envelope, kind::DOCUMENTS_ZIP)
        .unwrap_or_else(|| Arc::new(documents_zip(envelope, &stripped(envelope))))
}

/// The evidence summary, audit trail or field summary as it stands.
pub(super) fn record(envelope: &Envelope, wanted: &'static str) -> Arc<Artifact> {
    final_one(envelope, wanted).unwrap_or_else(|| {
        Arc::new(match wanted {
            kind::EVIDENCE => evidence(envelope, &stripped(envelope)),
            kind::AUDIT => audit(envelope, envelope.visible_outcome()),
            _ => fields(envelope),
        })
    })
}

/// The attachments' archive, if any was uploaded.
pub(super) fn attachments(envelope: &Envelope) -> Option<Arc<Artifact>> {
    package::has_attachments(envelope).then(|| {
        final_one(envelope, kind::ATTACHMENTS_ZIP).unwrap_or_else(|| Arc::new(attachments_zip(envelope)))
    })
}

/// The file of one attachment, if it was uploaded.
pub(super) fn attachment(envelope: &Envelope, id: &str) -> Option<Arc<Artifact>> {
    if !package::has_attachments(envelope) {
        return None;
    }
    let index = (0..envelope.script.attachments.len()).find(|&index| attachment_id(envelope, index) == id)?;
    let kept = envelope.artifacts.iter().find(|a| a.kind == kind::ATTACHMENT && a.file_id == id);
    Some(kept.cloned().unwrap_or_else(|| {
        let name = &envelope.script.attachments[index].name;
        let source = attachment_source(envelope, index);
        Arc::new(artifact(name, kind::ATTACHMENT, id.to_owned(), source))
    }))
}

/// The place of a document in the package, without the consent.
pub(super) fn index_of(envelope: &Envelope, id: &str) -> Option<usize> {
    (0..envelope.script.documents.len()).find(|&index| document_id(envelope, index) == id)
}

/// What was made at the end, if the API shows the end.
fn final_one(envelope: &Envelope, wanted: &str) -> Option<Arc<Artifact>> {
    let shown = matches!(envelope.visible_outcome(), Outcome::Completed | Outcome::Declined);
    let mut all = envelope.artifacts.iter().chain(&envelope.extras);
    all.find(|artifact| shown && artifact.kind == wanted).cloned()
}

/// Names the state of a package that has not been completed: other bytes after every signature.
fn stripped(envelope: &Envelope) -> String {
    let signed = envelope.signers.iter().filter(|signer| signer.state != SignerState::Waiting).count();
    format!("stripped {signed}")
}

fn artifact(name: &str, kind: &'static str, id: String, source: Source) -> Artifact {
    Artifact::new(name.to_owned(), kind, id, source)
}

fn pdf(envelope: &Envelope, title: &str, key: &str, bytes: u64) -> Source {
    let seed = Rng::keyed(envelope.seed, &format!("pdf/{key}")).next_u64();
    Source::Pdf { title: title.to_owned(), seed, bytes: bytes.min(DOCUMENT_BYTES_MAX) }
}

fn document_source(envelope: &Envelope, index: usize, version: &str) -> Source {
    let document = &envelope.script.documents[index];
    let title = format!("{} {version}", document.name);
    pdf(envelope, &title, &format!("document/{index}/{version}"), document.bytes)
}

fn attachment_source(envelope: &Envelope, index: usize) -> Source {
    let file = &envelope.script.attachments[index];
    pdf(envelope, &file.name, &format!("attachment/{index}"), file.bytes)
}

fn evidence(envelope: &Envelope, version: &str) -> Artifact {
    let source = pdf(envelope, "Evidence Summary", &format!("evidence/{version}"), EVIDENCE_BYTES);
    artifact("Evidence Summary.pdf", kind::EVIDENCE, String::new(), source)
}

fn consent(envelope: &Envelope, version: &str) -> Artifact {
    let source = pdf(envelope, "Consent", &format!("consent/{version}"), CONSENT_BYTES);
    artifact("Electronic Disclosures and Signatures Consent.pdf", kind::CONSENT, CONSENT.to_owned(), source)
}

fn documents_zip(envelope: &Envelope, version: &str) -> Artifact {
    let documents = envelope.script.documents.iter().enumerate();
    let entries = documents.map(|(index, document)| {
        (format!("{}-{}", index + 1, document.name), document_source(envelope, index, version))
    });
    let name = format!("{}.zip", envelope.script.name);
    artifact(&name, kind::DOCUMENTS_ZIP, String::new(), Source::Zip(entries.collect()))
}

fn attachments_zip(envelope: &Envelope) -> Artifact {
    let files = envelope.script.attachments.iter().enumerate();
    let entries = files.map(|(index, file)| (file.name.clone(), attachment_source(envelope, index)));
    let name = format!("{}-attachments.zip", envelope.script.name);
    artifact(&name, kind::ATTACHMENTS_ZIP, String::new(), Source::Zip(entries.collect()))
}

fn fields(envelope: &Envelope) -> Artifact {
    let mut fields = Vec::new();
    for signer in &envelope.signers {
        let SignerState::Signed(at) = signer.state else { continue };
        for index in 0..envelope.script.documents.len() {
            fields.push(json!({
                "signerId": signer.id,
                "documentId": document_id(envelope, index),
                "fieldId": Rng::keyed(envelope.seed, &format!("field/{}/{index}", signer.id)).hex(24),
                "fieldName": "date",
                "fieldValue": package::date(at),
            }));
        }
    }
    let text = Value::Array(fields).to_string();
    artifact("field-summary.json", kind::FIELDS, String::new(), Source::Text(text))
}

fn audit(envelope: &Envelope, outcome: Outcome) -> Artifact {
    let line = |what: &str, at: Timestamp, user: &str, email: &str| {
        json!({
            "type": what, "date-time": package::date(at), "target": envelope.script.name,
            "target-type": "Package", "user": user, "user-email": email, "user-ip": "192.0.2.7", "data": "",
        })
    };
    let script = &envelope.script;
    let mut events = vec![line("Package Created", envelope.created_at, "Sender", &script.sender)];
    for signer in &envelope.signers {
        if let Some(at) = signer.viewed_at {
            events.push(line("Document Viewed", at, &signer.name, &signer.email));
        }
        match signer.state {
            SignerState::Signed(at) => events.push(line("Click To Sign", at, &signer.name, &signer.email)),
            SignerState::Declined(at) => events.push(line("Declined", at, &signer.name, &signer.email)),
            SignerState::Waiting => {}
        }
    }
    if let (Outcome::Completed, Some(at)) = (outcome, envelope.ended_at) {
        events.push(line("Package Completed", at, "System", ""));
    }
    let text = json!({ "package-id": envelope.id, "audit-events": events }).to_string();
    artifact("audit.json", kind::AUDIT, String::new(), Source::Text(text))
}
