//! eSignAnyWhere's API v6, the part of v5 that v5 envelopes need, and its callbacks, as its documentation and its
//! integrators describe them.

mod api;
mod draft;
mod model;
mod templates;
mod v5;

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

pub(crate) use draft::{Draft, before_send_url, create as create_draft};
pub use draft::{DraftSpec, SendTrouble};
pub(crate) use templates::{OwnUrls, callbacks};

use crate::config::Vendor;
use crate::content::{Artifact, Source};
use crate::exchange::{Answer, Inbound};
use crate::faults::Fault;
use crate::ledger::Outcome;
use crate::people::{Caller, oauth};
use crate::rng::Rng;
use crate::script::{AuditTrail, DOCUMENT_BYTES_MAX};
use crate::world::{Envelope, SignerState, World};

const AUDIT_TRAIL_BYTES: u64 = 15_000;
const LEGAL_DOCUMENT_BYTES: u64 = 30_000;

/// Artifact kinds as they stand in the ledger.
mod kind {
    pub(super) const DOCUMENT: &str = "document";
    pub(super) const ATTACHMENT: &str = "attachment";
    pub(super) const AUDIT_TRAIL: &str = "audit-trail";
    pub(super) const AUDIT_TRAIL_XML: &str = "audit-trail-xml";
    pub(super) const DOCUMENT_AUDIT_TRAIL: &str = "document-audit-trail";
    pub(super) const LEGAL: &str = "legal";
}

/// Answers a request below `/esignanywhere/api/{version}`.
pub(crate) async fn handle(
    world: &Arc<World>,
    inbound: &Inbound,
    version: &str,
    path: &[&str],
) -> Option<Answer> {
    let Some(caller) = authenticate(world, inbound) else {
        // No body: that is how it is there.
        return Some(Answer::empty(StatusCode::UNAUTHORIZED));
    };
    match version.to_ascii_lowercase().as_str() {
        "v6" | "v6.0" => api::handle(world, inbound, &caller, path).await,
        "v5" | "v5.0" | "v4" | "v4.0" => v5::handle(world, inbound, &caller, path).await,
        _ => Some(Answer::empty(StatusCode::NOT_FOUND)),
    }
}

/// Answers a request below `/esignanywhere` that is not the API's: the two endpoints of the code grant.
pub(crate) async fn handle_grant(world: &World, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    let lower: Vec<String> = path.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    match lower.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["auth", "authorize"] => Some(oauth::authorize(world, inbound, Vendor::ESignAnyWhere)),
        ["apitoken", "retrieve"] => oauth::token(world, inbound, Vendor::ESignAnyWhere, spoiled).await,
        _ => Some(Answer::empty(StatusCode::NOT_FOUND)),
    }
}

/// Whose token was given as `apiToken` or as a bearer token: the account's own, or a user's.
fn authenticate(world: &World, inbound: &Inbound) -> Option<Caller> {
    let bearer = inbound.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let token = inbound.header("apitoken").or(bearer)?;
    let account = world.look(|s| {
        s.accounts
            .values()
            .find(|account| account.spec.vendor == Vendor::ESignAnyWhere && account.spec.api_key == token)
            .map(|account| account.spec.id.clone())
    });
    match account {
        Some(account) => Some(Caller { account, user: None }),
        None => world.change(|s| s.people.caller(Vendor::ESignAnyWhere, token)),
    }
}

fn error(status: u16, id: &str, message: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let trace = Rng::keyed(0, &format!("{id}/{message}")).guid();
    Answer::json(status, json!({ "ErrorId": id, "Message": format!("{id} - {message}"), "TraceId": trace }))
}

fn missing_envelope() -> Answer {
    error(404, "ERR0007", "The envelope could not be found.")
}

/// How eSignAnyWhere says that something is wrong on its side.
fn spoiled(fault: Fault) -> Answer {
    match fault {
        Fault::TooMany => Answer::empty(StatusCode::TOO_MANY_REQUESTS).with_header("retry-after", "1"),
        Fault::Unavailable => {
            Answer::page(StatusCode::SERVICE_UNAVAILABLE, "text/html", "<h2>Service Unavailable</h2>\n")
        }
        _ => error(500, "ERR0001", "A general error occurred."),
    }
}

/// What can be downloaded after the end: everything if completed, the audit trail if rejected.
pub(crate) fn artifacts(envelope: &Envelope) -> Vec<Arc<Artifact>> {
    let mut maker = Maker { envelope, made: Vec::new() };
    let script = &envelope.script;
    if envelope.outcome == Outcome::Completed {
        for document in &script.documents {
            maker.pdf(&document.name, kind::DOCUMENT, document.bytes);
            if script.audit_trail == AuditTrail::PerDocument {
                let name = format!("AuditTrail_{}", document.name);
                maker.pdf(&name, kind::DOCUMENT_AUDIT_TRAIL, AUDIT_TRAIL_BYTES);
            }
        }
        for attachment in &script.attachments {
            maker.pdf(&attachment.name, kind::ATTACHMENT, attachment.bytes);
        }
        for index in 0..script.legal_documents {
            maker.pdf(&format!("CA22D-{}.pdf", index + 1), kind::LEGAL, LEGAL_DOCUMENT_BYTES);
        }
    }
    let ended = matches!(envelope.outcome, Outcome::Completed | Outcome::Declined);
    if ended && script.audit_trail != AuditTrail::Off {
        maker.pdf("AuditTrail.pdf", kind::AUDIT_TRAIL, AUDIT_TRAIL_BYTES);
        maker.add("AuditTrail.xml", kind::AUDIT_TRAIL_XML, Source::Text(audit_trail_xml(envelope)));
    }
    maker.made
}

struct Maker<'a> {
    envelope: &'a Envelope,
    made: Vec<Arc<Artifact>>,
}

impl Maker<'_> {
    fn pdf(&mut self, name: &str, kind: &'static str, bytes: u64) {
        let seed = Rng::keyed(self.envelope.seed, &format!("pdf/{}/{name}", self.made.len())).next_u64();
        let bytes = bytes.min(DOCUMENT_BYTES_MAX);
        self.add(name, kind, Source::Pdf { title: name.to_owned(), seed, bytes });
    }

    fn add(&mut self, name: &str, kind: &'static str, source: Source) {
        let key = format!("file/{}/{}", self.envelope.id, self.made.len());
        let file_id = Rng::keyed(self.envelope.seed, &key).guid();
        self.made.push(Arc::new(Artifact::new(name.to_owned(), kind, file_id, source)));
    }
}

fn audit_trail_xml(envelope: &Envelope) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<AuditTrail>\n  <Envelope id=\"{}\" created=\"{}\" />\n",
        envelope.id, envelope.created_at
    );
    for signer in &envelope.signers {
        let (action, at) = match signer.state {
            SignerState::Signed(at) => ("Signed", at),
            SignerState::Declined(at) => ("Rejected", at),
            SignerState::Waiting => continue,
        };
        text.push_str(&format!("  <Entry action=\"{action}\" by=\"{}\" at=\"{at}\" />\n", signer.email));
    }
    text.push_str("</AuditTrail>\n");
    text
}
