//! Dropbox Sign's API v3 and its callbacks, as its documentation and its integrators describe them. One thing is called a
//! signature request here, as there.

mod api;
mod payload;
mod search;

use std::sync::Arc;

pub(crate) use api::{handle, handle_grant};
pub(crate) use payload::{callback_test, callbacks};

use crate::content::{Artifact, Source};
use crate::ledger::Outcome;
use crate::rng::Rng;
use crate::world::{Account, Envelope};

/// The size of an audit trail.
const AUDIT_TRAIL_BYTES: u64 = 12_000;

/// The account's own id, which events carry.
fn account_guid(seed: u64, account: &Account) -> String {
    Rng::keyed(seed, &format!("{}/account_guid", account.spec.id)).hex(40)
}

/// The id of the account's API app.
fn client_id(seed: u64, account: &Account) -> String {
    Rng::keyed(seed, &format!("{}/client_id", account.spec.id)).hex(32)
}

/// What can be downloaded after the end: the merged PDF and the zip of the parts.
pub(crate) fn artifacts(envelope: &Envelope) -> Vec<Arc<Artifact>> {
    match envelope.outcome {
        Outcome::Completed | Outcome::Declined => vec![
            Arc::new(merged(envelope, "final", AUDIT_TRAIL_BYTES)),
            Arc::new(zipped(envelope, "final", true)),
        ],
        _ => Vec::new(),
    }
}

/// What is served before the end: the document as it stands, without an audit trail. It is not in the ledger.
fn interim(envelope: &Envelope, zip: bool) -> Artifact {
    let signed = envelope.signers.iter().filter(|s| s.state != crate::world::SignerState::Waiting).count();
    let version = format!("interim-{signed}");
    if zip { zipped(envelope, &version, false) } else { merged(envelope, &version, 0) }
}

fn merged(envelope: &Envelope, version: &str, audit_bytes: u64) -> Artifact {
    let bytes: u64 = envelope.script.documents.iter().map(|document| document_bytes(document.bytes)).sum();
    let source = Source::Pdf {
        title: format!("{} {version}", envelope.script.name),
        seed: Rng::keyed(envelope.seed, &format!("merged/{version}")).next_u64(),
        bytes: bytes + audit_bytes,
    };
    Artifact::new(format!("{}.pdf", envelope.script.name), "signed-pdf", String::new(), source)
}

fn zipped(envelope: &Envelope, version: &str, audit_trail: bool) -> Artifact {
    let pdf = |title: &str, bytes: u64| Source::Pdf {
        title: title.to_owned(),
        seed: Rng::keyed(envelope.seed, &format!("zip/{version}/{title}")).next_u64(),
        bytes: document_bytes(bytes),
    };
    // With a single signer, the signer's e-mail is part of the name.
    let suffix = match envelope.signers.as_slice() {
        [only] => format!("_-_{}", only.email),
        _ => String::new(),
    };
    let mut entries: Vec<(String, Source)> = Vec::new();
    for (index, document) in envelope.script.documents.iter().enumerate() {
        let title = document.name.strip_suffix(".pdf").unwrap_or(&document.name);
        let name = format!("{}_-_{title}{suffix}.pdf", index + 1);
        entries.push((name.clone(), pdf(&name, document.bytes)));
    }
    if audit_trail {
        for attachment in &envelope.script.attachments {
            entries.push((attachment.name.clone(), pdf(&attachment.name, attachment.bytes)));
        }
        entries.push(("Audit Trail.pdf".to_owned(), pdf("Audit Trail", AUDIT_TRAIL_BYTES)));
    }
    Artifact::new(format!("{}.zip", envelope.script.name), "zip", String::new(), Source::Zip(entries))
}

fn document_bytes(bytes: u64) -> u64 {
    bytes.min(crate::script::DOCUMENT_BYTES_MAX)
}
