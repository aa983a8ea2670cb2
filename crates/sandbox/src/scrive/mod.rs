//! Scrive: its document API v2, Scrive Flow, and the callbacks of both, as the vendor's documentation and its integrators
//! describe them. A document is an envelope of its own, or one of several of a flow; [`paper`] is what both kinds share.

mod api;
mod auth;
mod callback;
mod filter;
mod flow;
mod flow_event;
mod grant;
mod json;
mod paper;
mod queue;

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

pub(crate) use callback::document_form;
pub(crate) use paper::Papers;

use crate::config::Vendor;
use crate::content::{Artifact, Source};
use crate::exchange::{Answer, Inbound};
use crate::ledger::{DeletedBy, Outcome};
use crate::life::Step;
use crate::rng::Rng;
use crate::script::{DOCUMENT_BYTES_MAX, EnvelopeScript, FileScript, Trouble};
use crate::sender::Outgoing;
use crate::world::{Account, Envelope, SignerState, World};
use paper::Paper;

/// What sealing adds to a document: the evidence package is inside.
const EVIDENCE_BYTES: u64 = 25_000;
/// What an extension adds to a seal.
const EXTENSION_BYTES: u64 = 3_000;
/// How long sealing takes.
const SEALING_SECONDS: (f64, f64) = (8.0, 12.0);
/// How long it takes on a bad day.
const SLOW_SEALING_SECONDS: (f64, f64) = (30.0, 120.0);
const MINUTES_OF_A_DAY: f64 = 24.0 * 60.0;

/// Artifact kinds as they stand in the ledger.
mod kind {
    pub(super) const SIGNED_PDF: &str = "signed-pdf";
    pub(super) const ATTACHMENT: &str = "attachment";
    pub(super) const EVIDENCE: &str = "evidence";
}

/// Answers a request below `/scrive`.
pub(crate) async fn handle(world: &Arc<World>, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    match path {
        ["api", "v2", "monitor", "status"] => Some(Answer::ok(json!({ "status": "ok" }))),
        ["api", "v2", rest @ ..] => api::handle(world, inbound, rest).await,
        ["oauth", rest @ ..] => grant::handle(world, inbound, rest).await,
        ["flow", rest @ ..] => flow::handle(world, inbound, flow::Generation::Second, rest).await,
        ["experimental", "flow", rest @ ..] => {
            flow::handle(world, inbound, flow::Generation::First, rest).await
        }
        _ => Some(Answer::empty(StatusCode::NOT_FOUND)),
    }
}

/// An id as Scrive gives them: digits of a number that no double holds.
pub(crate) fn number(rng: &mut Rng) -> String {
    rng.between(1 << 60, (1 << 63) - 1).to_string()
}

/// The ids of the documents of a flow.
pub(crate) fn flow_documents(envelope: &Envelope) -> Vec<String> {
    if envelope.vendor == Vendor::ScriveFlow {
        paper::papers_of(envelope).map(|paper| paper.id).collect()
    } else {
        Vec::new()
    }
}

/// The callbacks of a step. A removed document says nothing.
pub(crate) fn callbacks(world: &World, account: &Account, envelope: &Envelope, step: Step) -> Vec<Outgoing> {
    match envelope.vendor {
        Vendor::ScriveFlow => flow_event::callbacks(world, account, envelope, step),
        _ => callback::of_step(account, envelope, step).into_iter().collect(),
    }
}

/// What can be downloaded after the end, and only if everybody signed: the sealed files, the attachments that are not inside
/// of them, and the archive with the evidence of a qualified signature.
pub(crate) fn artifacts(envelope: &Envelope) -> Vec<Arc<Artifact>> {
    if envelope.outcome != Outcome::Completed {
        return Vec::new();
    }
    let mut made = Vec::new();
    for paper in paper::papers_of(envelope) {
        made.push(Arc::new(sealed_pdf(&paper, 1)));
        made.extend(paper.separate_attachments().map(|attachment| Arc::new(attachment.artifact(envelope))));
        if paper.is_qualified() {
            let name = format!("{}.zip", paper.title());
            let source = Source::Zip(zip_entries(&paper));
            made.push(Arc::new(Artifact::new(name, kind::EVIDENCE, String::new(), source)));
        }
    }
    made
}

/// The steps that the end leads to.
pub(crate) fn after_end(world: &World, envelope: &Envelope) -> Option<(f64, Step)> {
    let is_scrive = matches!(envelope.vendor, Vendor::Scrive | Vendor::ScriveFlow);
    if !is_scrive || envelope.outcome != Outcome::Completed {
        return None;
    }
    let mut rng = Rng::keyed(envelope.seed, "sealing");
    let slow = rng.chance(world.lossy);
    let (low, high) = if slow { SLOW_SEALING_SECONDS } else { SEALING_SECONDS };
    Some((rng.between_f64(low, high) / 60.0, Step::Sealed))
}

/// The steps that the seal leads to.
pub(crate) fn after_seal(world: &World, envelope: &Envelope) -> Option<(f64, Step)> {
    extends(envelope).then_some((world.extension_after_days * MINUTES_OF_A_DAY, Step::Extended))
}

/// How the document or the documents of a new envelope start. Qualified signatures are not extended; of a flow's seals
/// nothing documented tells a client, so a world may go without their extension.
pub(crate) fn papers(world: &World, vendor: Vendor, script: &EnvelopeScript) -> Papers {
    let to_be_extended = match vendor {
        Vendor::Scrive => !script.qualified,
        Vendor::ScriveFlow => world.extend_flows,
        Vendor::DropboxSign | Vendor::ESignAnyWhere | Vendor::OneSpan => false,
    };
    Papers::new(to_be_extended)
}

/// The invitation of a signer bounces; `false` if it does not. A flow's participants are not the document API's to invite.
pub(crate) fn bounce(envelope: &mut Envelope, index: usize) -> bool {
    let trouble = envelope.script.signers.get(index).and_then(|signer| signer.trouble);
    let bounces = envelope.vendor == Vendor::Scrive && trouble == Some(Trouble::EmailBounce);
    let waiting = envelope.signers.get_mut(index).filter(|signer| signer.state == SignerState::Waiting);
    let Some(signer) = waiting.filter(|_| bounces) else { return false };
    signer.trouble = trouble;
    true
}

/// The invitation that bounced arrives: at the same address, or at the one that the author has corrected. `false` if none
/// had bounced.
pub(crate) fn deliver(envelope: &mut Envelope, index: usize) -> bool {
    let is_corrected = Rng::keyed(envelope.seed, &format!("corrected/{index}")).chance(0.5);
    let is_scrive = envelope.vendor == Vendor::Scrive;
    let bounced = envelope.signers.get_mut(index).filter(|signer| is_scrive && signer.trouble.is_some());
    let Some(signer) = bounced else { return false };
    signer.trouble = None;
    if is_corrected {
        signer.email = format!("corrected.{}", signer.email);
    }
    true
}

/// Whether the platform replaces the sealed files after a while.
pub(crate) fn extends(envelope: &Envelope) -> bool {
    envelope.scrive.to_be_extended && envelope.outcome == Outcome::Completed
}

/// Whether that is still to come.
pub(crate) fn awaits_extension(envelope: &Envelope) -> bool {
    extends(envelope) && envelope.scrive.extended_at.is_none()
}

/// Extends the seals and gives the new files; none if the envelope is not there any more.
pub(crate) fn extend(envelope: &mut Envelope, now: Timestamp) -> Vec<Arc<Artifact>> {
    if !awaits_extension(envelope) || is_removed(envelope) {
        return Vec::new();
    }
    let extended: Vec<_> = paper::papers_of(envelope).map(|paper| Arc::new(sealed_pdf(&paper, 2))).collect();
    envelope.scrive.extended_at = Some(now);
    envelope.artifacts.extend(extended.iter().map(Arc::clone));
    extended
}

/// Whether it is deleted or in the trash.
pub(crate) fn is_removed(envelope: &Envelope) -> bool {
    envelope.deleted.is_some() || envelope.scrive.trashed
}

/// Whether the client did that.
pub(crate) fn removed_by_client(envelope: &Envelope) -> bool {
    let deleted = envelope.deleted.as_ref().is_some_and(|deletion| deletion.by == DeletedBy::Client);
    deleted || envelope.scrive.trashed
}

/// A version of the sealed file.
fn sealed_pdf(paper: &Paper<'_>, version: u32) -> Artifact {
    let file_id = paper.file_id(&format!("sealed/{version}"));
    let name = format!("{}.pdf", paper.title());
    Artifact::new(name, kind::SIGNED_PDF, file_id, sealed_source(paper, version)).with_version(version)
}

fn sealed_source(paper: &Paper<'_>, version: u32) -> Source {
    // The evidence of a qualified signature is a file of its own.
    let evidence = if paper.is_qualified() { 0 } else { EVIDENCE_BYTES };
    let added = evidence + EXTENSION_BYTES * u64::from(version - 1);
    paper.pdf(&format!("sealed {version}"), document_bytes(paper.main()) + added)
}

/// The document as it was sent, or as it stands before everybody signed.
fn original_source(paper: &Paper<'_>) -> Source {
    paper.pdf("original", document_bytes(paper.main()))
}

/// What `files/zip` has in it.
fn zip_entries(paper: &Paper<'_>) -> Vec<(String, Source)> {
    let main = match paper.sealed_version() {
        Some(version) => sealed_source(paper, version),
        None => original_source(paper),
    };
    let mut entries = vec![(format!("{}.pdf", paper.title()), main)];
    if paper.is_qualified() && paper.outcome() == Outcome::Completed {
        entries.push((format!("{}_evidence.pdf", paper.title()), paper.pdf("evidence", EVIDENCE_BYTES)));
    }
    entries.extend(paper.separate_attachments().map(|a| (a.name.to_owned(), a.source(paper.envelope))));
    entries
}

fn document_bytes(file: &FileScript) -> u64 {
    file.bytes.min(DOCUMENT_BYTES_MAX)
}
