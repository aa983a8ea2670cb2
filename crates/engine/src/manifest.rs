//! `metadata.json`: our record of an envelope beside its artifacts.
//!
//! It holds stable facts only, so that composing it twice gives the same bytes, and a later version of it means
//! that something really changed.

use aftersign_core::Timestamp;
use aftersign_core::artifact::ArtifactKind;
use aftersign_core::envelope::Signer;
use aftersign_core::transfer::Transfer;
use serde::Serialize;

#[derive(Serialize)]
struct Manifest<'a> {
    format: &'static str,
    platform: &'a str,
    account: &'a str,
    envelope_id: &'a str,
    name: Option<&'a str>,
    status: &'static str,
    status_at_platform: &'a str,
    test_mode: bool,
    sender: Option<&'a str>,
    signers: Vec<ManifestSigner<'a>>,
    created_at: Option<String>,
    completed_at: Option<String>,
    collected_at: Option<String>,
    platform_metadata: Option<serde_json::Value>,
    artifacts: Vec<ManifestArtifact<'a>>,
}

#[derive(Serialize)]
struct ManifestSigner<'a> {
    name: Option<&'a str>,
    email: Option<&'a str>,
    status_at_platform: Option<&'a str>,
    signed_at: Option<String>,
}

#[derive(Serialize)]
struct ManifestArtifact<'a> {
    file_name: &'a str,
    kind: &'static str,
    name_at_platform: &'a str,
    sha256: String,
    bytes: u64,
    locations: Vec<ManifestLocation<'a>>,
}

#[derive(Serialize)]
struct ManifestLocation<'a> {
    destination: &'a str,
    location: &'a str,
    version: u32,
}

/// The bytes of `metadata.json` for a transfer whose artifacts are all verified; `None` before.
pub(crate) fn compose(transfer: &Transfer, platform: &str) -> Option<Vec<u8>> {
    let envelope = transfer.envelope.as_ref()?;
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let mut artifacts = Vec::new();
    for item in transfer.items.iter().filter(|item| item.artifact.kind != ArtifactKind::Manifest) {
        let staged = item.staged?;
        let receipts =
            item.deliveries.iter().filter_map(|delivery| Some((delivery, delivery.receipt.as_ref()?)));
        artifacts.push(ManifestArtifact {
            file_name: &item.file_name,
            kind: item.artifact.kind.as_str(),
            name_at_platform: &item.artifact.name,
            sha256: staged.digest.to_string(),
            bytes: staged.bytes,
            locations: receipts
                .map(|(delivery, receipt)| ManifestLocation {
                    destination: delivery.destination.as_str(),
                    location: &receipt.location,
                    version: receipt.version,
                })
                .collect(),
        });
    }
    let manifest = Manifest {
        format: "aftersign/1",
        platform,
        account: transfer.account.as_str(),
        envelope_id: envelope.id.as_str(),
        name: envelope.name.as_deref(),
        status: envelope.status.as_str(),
        status_at_platform: &envelope.status_at_platform,
        test_mode: envelope.test_mode,
        sender: envelope.sender.as_deref(),
        signers: envelope.signers.iter().map(signer).collect(),
        created_at: time(envelope.created_at),
        completed_at: time(envelope.completed_at),
        collected_at: time(transfer.listed_at),
        platform_metadata: envelope.metadata.as_deref().map(metadata),
        artifacts,
    };
    let mut bytes = serde_json::to_vec_pretty(&manifest).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

fn signer(signer: &Signer) -> ManifestSigner<'_> {
    ManifestSigner {
        name: signer.name.as_deref(),
        email: signer.email.as_deref(),
        status_at_platform: signer.status_at_platform.as_deref(),
        signed_at: signer.signed_at.map(|at| at.to_string()),
    }
}

/// JSON objects and arrays as such; anything else (XML, plain text, broken JSON) verbatim as a string.
fn metadata(text: &str) -> serde_json::Value {
    match serde_json::from_str(text) {
        Ok(value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => value,
        _ => serde_json::Value::String(text.into()),
    }
}
