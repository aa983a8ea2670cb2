//! The value without which nothing is ever removed at a platform.

use crate::digest::Digest;
use crate::envelope::{Envelope, EnvelopeStatus};
use crate::ids::{DestinationId, EnvelopeId};
use crate::transfer::Transfer;

/// Proof that every artifact of an envelope lies, read back and found right, in every required destination,
/// and that the platform has just confirmed that the envelope is final.
///
/// Its fields are private and its one constructor is seen by this crate's transfer alone: nobody else can make one.
///
/// ```compile_fail
/// use aftersign_core::proof::TransferProof;
/// let forged = TransferProof { envelope: todo!(), verified: vec![] };
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferProof {
    envelope: Envelope,
    verified: Vec<Verified>,
}

/// One artifact that was found right in one destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The artifact's file name in the archive.
    pub file_name: String,
    /// Where it was found.
    pub destination: DestinationId,
    /// Digest of what was downloaded and of what was read back.
    pub digest: Digest,
}

impl TransferProof {
    /// The proof, if the transfer holds every part of it; else what is missing.
    pub(crate) fn of(transfer: &Transfer) -> Result<Self, String> {
        let envelope = transfer.envelope.as_ref().ok_or("the platform was not asked")?;
        if transfer.refresh_wanted {
            return Err("the platform announced newer artifacts".into());
        }
        if transfer.awaits_extension() {
            return Err("the seal is not extended yet: removed now, it could never be verified again".into());
        }
        if transfer.is_outdated() {
            return Err("the platform shows newer files than those that were archived".into());
        }
        if !envelope.status.is_final() {
            return Err(format!("the envelope is {}", envelope.status.as_str()));
        }
        let plan = transfer.plan.as_ref().ok_or("no rule chose destinations")?;
        if plan.deliver_to.is_empty() || transfer.items.is_empty() {
            return Err("nothing was archived".into());
        }
        if !transfer.has_manifest() {
            return Err("metadata.json was not written".into());
        }
        let mut verified = Vec::new();
        for item in &transfer.items {
            let staged = item.staged.as_ref().ok_or_else(|| format!("{} was not fetched", item.file_name))?;
            for destination in &plan.deliver_to {
                let right = item.deliveries.iter().any(|delivery| {
                    delivery.destination == *destination
                        && delivery.verified_at.is_some()
                        && delivery.receipt.as_ref().is_some_and(|receipt| receipt.digest == staged.digest)
                });
                if !right {
                    return Err(format!("{} is not verified in {destination}", item.file_name));
                }
                verified.push(Verified {
                    file_name: item.file_name.clone(),
                    destination: destination.clone(),
                    digest: staged.digest,
                });
            }
        }
        Ok(Self { envelope: envelope.clone(), verified })
    }

    /// The id of the envelope that may be removed.
    pub fn envelope_id(&self) -> &EnvelopeId {
        &self.envelope.id
    }

    /// The envelope as the platform confirmed it just before.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Its confirmed status.
    pub fn status(&self) -> EnvelopeStatus {
        self.envelope.status
    }

    /// What was verified where.
    pub fn verified(&self) -> &[Verified] {
        &self.verified
    }
}
