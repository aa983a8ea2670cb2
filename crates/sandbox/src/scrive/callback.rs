//! Callbacks of documents: a form that says how the document is at the moment of sending, and not what has happened.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::is_removed;
use super::json::document;
use super::paper::Paper;
use crate::config::Vendor;
use crate::life::Step;
use crate::rng::Rng;
use crate::sender::{Outgoing, Wire};
use crate::world::{Account, Envelope, World};

/// What stays as it is in a form.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a document's callbacks name their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Current,
    /// Documents of the first API.
    First,
    Salesforce,
}

/// The callback of a step, if it has one.
pub(super) fn of_step(account: &Account, envelope: &Envelope, step: Step) -> Option<Outgoing> {
    let is_final = match step {
        Step::Created | Step::Trouble(_) | Step::Delivered(_) | Step::Viewed(_) | Step::Signed(_) => false,
        Step::End(_) | Step::Sealed | Step::Extended => true,
        _ => return None,
    };
    (!is_removed(envelope)).then(|| outgoing(account, envelope, &format!("{step:?}"), is_final))
}

/// The callback that a client asked for.
pub(super) fn asked_for(account: &Account, envelope: &Envelope) -> Outgoing {
    let what = format!("asked/{}", envelope.scrive.callbacks_asked);
    outgoing(account, envelope, &what, envelope.ended_at.is_some())
}

fn outgoing(account: &Account, envelope: &Envelope, what: &str, is_final: bool) -> Outgoing {
    Outgoing {
        vendor: Vendor::Scrive,
        account_id: envelope.account_id.clone(),
        envelope_id: envelope.id.clone(),
        key: format!("{}/{what}", envelope.id),
        is_final,
        settles: false,
        wire: Wire::ScriveDocument { url: account.spec.callback_url.clone() },
    }
}

/// The form as the document is now; `None` if it is removed.
pub(crate) fn document_form(world: &World, id: &str) -> Option<String> {
    world.look(|s| {
        let envelope = s.envelope(id).filter(|envelope| !is_removed(envelope))?;
        let account = s.accounts.get(&envelope.account_id)?;
        Some(form(&fields(world, account, &Paper::of(envelope))))
    })
}

fn fields(world: &World, account: &Account, paper: &Paper<'_>) -> Vec<(&'static str, String)> {
    let id = paper.id.clone();
    let sealed = paper.is_sealed().to_string();
    match scheme(world, paper.envelope) {
        Scheme::Current => vec![
            ("document_id", id),
            ("document_signed_and_sealed", sealed),
            ("document_json", document(world, account, paper).to_string()),
        ],
        Scheme::First => {
            let mut status = paper.status().to_owned();
            status[..1].make_ascii_uppercase();
            let json = json!({ "id": id, "title": paper.title(), "status": status });
            vec![("documentid", id), ("signedAndSealed", sealed), ("json", json.to_string())]
        }
        Scheme::Salesforce => vec![("documentid", id), ("signedAndSealed", sealed)],
    }
}

/// In a world with faults, some documents come from old integrations.
fn scheme(world: &World, envelope: &Envelope) -> Scheme {
    let mut rng = Rng::keyed(envelope.seed, "scheme");
    if !rng.chance(world.lossy) {
        return Scheme::Current;
    }
    *rng.pick(&[Scheme::First, Scheme::Salesforce])
}

fn form(fields: &[(&str, String)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED)))
        .collect();
    pairs.join("&")
}
