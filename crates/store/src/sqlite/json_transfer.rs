//! The stored form of a transfer: its `state` column, and the wake that waits beside it.
//!
//! Core's types are not wire types; these are, and they hold every field exactly (times to the nanosecond, as
//! RFC 3339 text), so that what is read is what was recorded.

use std::fmt;

use aftersign_core::Timestamp;
use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::digest::Digest;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension, Signer};
use aftersign_core::grant::Holder;
use aftersign_core::ids::{AccountId, DestinationId, EnvelopeId, SenderId, TransferId};
use aftersign_core::rule::{DisposePolicy, Plan};
use aftersign_core::seams::Receipt;
use aftersign_core::transfer::{Delivery, Item, ParkReason, Parked, Phase, Staged, Transfer, Wake};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::StoreError;

/// The transfer as text.
pub(super) fn to_text(transfer: &Transfer) -> Result<String, StoreError> {
    serde_json::to_string(&TransferRow::from(transfer)).map_err(|error| damaged(&error))
}

/// The transfer out of its text.
pub(super) fn from_text(text: &str) -> Result<Transfer, StoreError> {
    let row: TransferRow = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    Ok(row.into())
}

/// The wake as text.
pub(super) fn wake_to_text(wake: &Wake) -> Result<String, StoreError> {
    let row = WakeRow {
        at: At(wake.at),
        final_announced: wake.final_announced,
        artifacts_at: wake.artifacts_at.map(At),
        deletion_announced: wake.deletion_announced,
    };
    serde_json::to_string(&row).map_err(|error| damaged(&error))
}

/// The wake out of its text.
pub(super) fn wake_from_text(text: &str) -> Result<Wake, StoreError> {
    let row: WakeRow = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    Ok(Wake {
        at: row.at.0,
        final_announced: row.final_announced,
        artifacts_at: row.artifacts_at.map(|at| at.0),
        deletion_announced: row.deletion_announced,
    })
}

fn damaged(error: &dyn fmt::Display) -> StoreError {
    StoreError::Damaged { what: "transfer", reason: error.to_string() }
}

/// A time to the nanosecond.
#[derive(Clone, Copy)]
struct At(Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(At).map_err(de::Error::custom)
    }
}

/// A value that stands as one word.
#[derive(Default)]
struct Word<T>(T);

/// Values that have a word.
trait Worded: Sized {
    fn to_word(&self) -> String;
    fn from_word(word: &str) -> Option<Self>;
}

impl<T: Worded> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_word())
    }
}

impl<'de, T: Worded> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let value = T::from_word(&word).map(Word);
        value.ok_or_else(|| de::Error::custom(format!("the word `{word}` is not known")))
    }
}

macro_rules! worded {
    ($($name:ty),+) => {$(
        impl Worded for $name {
            fn to_word(&self) -> String {
                self.as_str().into()
            }
            fn from_word(word: &str) -> Option<Self> {
                Self::parse(word)
            }
        }
    )+};
}
worded!(Phase, ParkReason, EnvelopeStatus, ArtifactKind, Extension);

impl Worded for DisposePolicy {
    fn to_word(&self) -> String {
        self.to_string()
    }
    fn from_word(word: &str) -> Option<Self> {
        Self::parse(word).ok()
    }
}

impl Worded for Digest {
    fn to_word(&self) -> String {
        self.to_string()
    }
    fn from_word(word: &str) -> Option<Self> {
        Self::parse(word)
    }
}

impl Worded for SenderId {
    fn to_word(&self) -> String {
        self.as_str().into()
    }
    fn from_word(word: &str) -> Option<Self> {
        Self::new(word)
    }
}

impl Worded for TransferId {
    fn to_word(&self) -> String {
        self.to_string()
    }
    fn from_word(word: &str) -> Option<Self> {
        Self::parse(word)
    }
}

#[derive(Serialize, Deserialize)]
struct WakeRow {
    at: At,
    final_announced: bool,
    artifacts_at: Option<At>,
    #[serde(default)]
    deletion_announced: bool,
}

#[derive(Serialize, Deserialize)]
struct TransferRow {
    id: Word<TransferId>,
    account: String,
    envelope_id: String,
    phase: Word<Phase>,
    due_at: Option<At>,
    failures: u32,
    parked: Option<ParkedRow>,
    /// The sender whose access it waits for; `None` for the account's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_for: Option<Word<SenderId>>,
    note: Option<String>,
    final_announced_at: Option<At>,
    refresh_wanted: bool,
    #[serde(default)]
    deletion_announced: bool,
    envelope: Option<EnvelopeJson>,
    confirmed_at: Option<At>,
    plan: Option<PlanRow>,
    listed_at: Option<At>,
    items: Vec<ItemRow>,
    not_found: u32,
    #[serde(default)]
    files_missing: u32,
    verification_failures: u32,
    dispose_at: Option<At>,
    #[serde(default)]
    extension_overdue_told: bool,
    disposal_asked_at: Option<At>,
    archived_at: Option<At>,
    archived_revision: Option<String>,
    disposed_at: Option<At>,
}

impl From<&Transfer> for TransferRow {
    fn from(transfer: &Transfer) -> Self {
        Self {
            id: Word(transfer.id),
            account: transfer.account.as_str().into(),
            envelope_id: transfer.envelope_id.as_str().into(),
            phase: Word(transfer.phase),
            due_at: transfer.due_at.map(At),
            failures: transfer.failures,
            parked: transfer.parked.map(|parked| ParkedRow {
                reason: Word(parked.reason),
                since: At(parked.since),
                looks: parked.looks,
            }),
            waits_for: transfer.waits_for.sender().cloned().map(Word),
            note: transfer.note.clone(),
            final_announced_at: transfer.final_announced_at.map(At),
            refresh_wanted: transfer.refresh_wanted,
            deletion_announced: transfer.deletion_announced,
            envelope: transfer.envelope.as_ref().map(EnvelopeJson::from),
            confirmed_at: transfer.confirmed_at.map(At),
            plan: transfer.plan.as_ref().map(PlanRow::from),
            listed_at: transfer.listed_at.map(At),
            items: transfer.items.iter().map(ItemRow::from).collect(),
            not_found: transfer.not_found,
            files_missing: transfer.files_missing,
            verification_failures: transfer.verification_failures,
            dispose_at: transfer.dispose_at.map(At),
            extension_overdue_told: transfer.extension_overdue_told,
            disposal_asked_at: transfer.disposal_asked_at.map(At),
            archived_at: transfer.archived_at.map(At),
            archived_revision: transfer.archived_revision.clone(),
            disposed_at: transfer.disposed_at.map(At),
        }
    }
}

impl From<TransferRow> for Transfer {
    fn from(row: TransferRow) -> Self {
        Self {
            id: row.id.0,
            account: AccountId::new(row.account),
            envelope_id: EnvelopeId::new(row.envelope_id),
            phase: row.phase.0,
            due_at: row.due_at.map(|at| at.0),
            failures: row.failures,
            parked: row.parked.map(|parked| Parked {
                reason: parked.reason.0,
                since: parked.since.0,
                looks: parked.looks,
            }),
            waits_for: row.waits_for.map_or(Holder::Account, |sender| Holder::Sender(sender.0)),
            note: row.note,
            final_announced_at: row.final_announced_at.map(|at| at.0),
            refresh_wanted: row.refresh_wanted,
            deletion_announced: row.deletion_announced,
            envelope: row.envelope.map(Envelope::from),
            confirmed_at: row.confirmed_at.map(|at| at.0),
            plan: row.plan.map(Plan::from),
            listed_at: row.listed_at.map(|at| at.0),
            items: row.items.into_iter().map(Item::from).collect(),
            not_found: row.not_found,
            files_missing: row.files_missing,
            verification_failures: row.verification_failures,
            dispose_at: row.dispose_at.map(|at| at.0),
            extension_overdue_told: row.extension_overdue_told,
            disposal_asked_at: row.disposal_asked_at.map(|at| at.0),
            archived_at: row.archived_at.map(|at| at.0),
            archived_revision: row.archived_revision,
            disposed_at: row.disposed_at.map(|at| at.0),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ParkedRow {
    reason: Word<ParkReason>,
    since: At,
    looks: u32,
}

#[derive(Serialize, Deserialize)]
struct PlanRow {
    deliver_to: Vec<String>,
    folder: String,
    dispose: Word<DisposePolicy>,
}

impl From<&Plan> for PlanRow {
    fn from(plan: &Plan) -> Self {
        Self {
            deliver_to: plan.deliver_to.iter().map(|id| id.as_str().into()).collect(),
            folder: plan.folder.clone(),
            dispose: Word(plan.dispose),
        }
    }
}

impl From<PlanRow> for Plan {
    fn from(row: PlanRow) -> Self {
        Self {
            deliver_to: row.deliver_to.into_iter().map(DestinationId::new).collect(),
            folder: row.folder,
            dispose: row.dispose.0,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct EnvelopeJson {
    id: String,
    name: Option<String>,
    status: Word<EnvelopeStatus>,
    status_at_platform: String,
    sender: Option<String>,
    signers: Vec<SignerRow>,
    created_at: Option<At>,
    completed_at: Option<At>,
    metadata: Option<String>,
    test_mode: bool,
    expires_at: Option<At>,
    revision: Option<String>,
    #[serde(default)]
    extension: Word<Extension>,
    route: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SignerRow {
    id: Option<String>,
    name: Option<String>,
    email: Option<String>,
    status_at_platform: Option<String>,
    signed_at: Option<At>,
}

impl From<&Envelope> for EnvelopeJson {
    fn from(envelope: &Envelope) -> Self {
        Self {
            id: envelope.id.as_str().into(),
            name: envelope.name.clone(),
            status: Word(envelope.status),
            status_at_platform: envelope.status_at_platform.clone(),
            sender: envelope.sender.clone(),
            signers: envelope.signers.iter().map(SignerRow::from).collect(),
            created_at: envelope.created_at.map(At),
            completed_at: envelope.completed_at.map(At),
            metadata: envelope.metadata.clone(),
            test_mode: envelope.test_mode,
            expires_at: envelope.expires_at.map(At),
            revision: envelope.revision.clone(),
            extension: Word(envelope.extension),
            route: envelope.route.clone(),
        }
    }
}

impl From<EnvelopeJson> for Envelope {
    fn from(row: EnvelopeJson) -> Self {
        Self {
            id: EnvelopeId::new(row.id),
            name: row.name,
            status: row.status.0,
            status_at_platform: row.status_at_platform,
            sender: row.sender,
            signers: row.signers.into_iter().map(Signer::from).collect(),
            created_at: row.created_at.map(|at| at.0),
            completed_at: row.completed_at.map(|at| at.0),
            metadata: row.metadata,
            test_mode: row.test_mode,
            expires_at: row.expires_at.map(|at| at.0),
            revision: row.revision,
            extension: row.extension.0,
            route: row.route,
        }
    }
}

impl From<&Signer> for SignerRow {
    fn from(signer: &Signer) -> Self {
        Self {
            id: signer.id.clone(),
            name: signer.name.clone(),
            email: signer.email.clone(),
            status_at_platform: signer.status_at_platform.clone(),
            signed_at: signer.signed_at.map(At),
        }
    }
}

impl From<SignerRow> for Signer {
    fn from(row: SignerRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            email: row.email,
            status_at_platform: row.status_at_platform,
            signed_at: row.signed_at.map(|at| at.0),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ItemRow {
    id: String,
    kind: Word<ArtifactKind>,
    name: String,
    content: ContentRow,
    file_name: String,
    staged: Option<StagedRow>,
    deliveries: Vec<DeliveryRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ContentRow {
    Pdf,
    Zip { entry_suffix: Option<String> },
    Xml,
    Json,
    Any,
}

#[derive(Serialize, Deserialize)]
struct StagedRow {
    digest: Word<Digest>,
    bytes: u64,
    at: At,
}

#[derive(Serialize, Deserialize)]
struct DeliveryRow {
    destination: String,
    receipt: Option<ReceiptRow>,
    verified_at: Option<At>,
}

#[derive(Serialize, Deserialize)]
struct ReceiptRow {
    location: String,
    version: u32,
    digest: Word<Digest>,
    bytes: u64,
    already_there: bool,
}

impl From<&Item> for ItemRow {
    fn from(item: &Item) -> Self {
        Self {
            id: item.artifact.id.clone(),
            kind: Word(item.artifact.kind),
            name: item.artifact.name.clone(),
            content: match &item.artifact.content {
                Content::Pdf => ContentRow::Pdf,
                Content::Zip { entry_suffix } => ContentRow::Zip { entry_suffix: entry_suffix.clone() },
                Content::Xml => ContentRow::Xml,
                Content::Json => ContentRow::Json,
                Content::Any => ContentRow::Any,
            },
            file_name: item.file_name.clone(),
            staged: item.staged.map(|staged| StagedRow {
                digest: Word(staged.digest),
                bytes: staged.bytes,
                at: At(staged.at),
            }),
            deliveries: item.deliveries.iter().map(DeliveryRow::from).collect(),
        }
    }
}

impl From<ItemRow> for Item {
    fn from(row: ItemRow) -> Self {
        Self {
            artifact: ArtifactRef {
                id: row.id,
                kind: row.kind.0,
                name: row.name,
                content: match row.content {
                    ContentRow::Pdf => Content::Pdf,
                    ContentRow::Zip { entry_suffix } => Content::Zip { entry_suffix },
                    ContentRow::Xml => Content::Xml,
                    ContentRow::Json => Content::Json,
                    ContentRow::Any => Content::Any,
                },
            },
            file_name: row.file_name,
            staged: row.staged.map(|staged| Staged {
                digest: staged.digest.0,
                bytes: staged.bytes,
                at: staged.at.0,
            }),
            deliveries: row.deliveries.into_iter().map(Delivery::from).collect(),
        }
    }
}

impl From<&Delivery> for DeliveryRow {
    fn from(delivery: &Delivery) -> Self {
        Self {
            destination: delivery.destination.as_str().into(),
            receipt: delivery.receipt.as_ref().map(|receipt| ReceiptRow {
                location: receipt.location.clone(),
                version: receipt.version,
                digest: Word(receipt.digest),
                bytes: receipt.bytes,
                already_there: receipt.already_there,
            }),
            verified_at: delivery.verified_at.map(At),
        }
    }
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            destination: DestinationId::new(row.destination),
            receipt: row.receipt.map(|receipt| Receipt {
                location: receipt.location,
                version: receipt.version,
                digest: receipt.digest.0,
                bytes: receipt.bytes,
                already_there: receipt.already_there,
            }),
            verified_at: row.verified_at.map(|at| at.0),
        }
    }
}

#[cfg(test)]
#[path = "json_transfer_tests.rs"]
mod tests;
