//! Callbacks in the shape of captured requests, the key raw in the `Authorization` header. Nothing is ever sent again: what
//! fails is mailed to the package's sender with the payload.

use jiff::Timestamp;
use serde::Serialize;

use super::{CONSENT, OWNER, document_id, role_id, sender_id};
use crate::config::Vendor;
use crate::ledger::{Mail, Outcome};
use crate::life::Step;
use crate::rng::Rng;
use crate::script::Trouble;
use crate::sender::{Outgoing, Wire};
use crate::world::{Account, Envelope, SignerState, State, World};

/// The names that the newest SDK can register.
pub(crate) const EVENTS: [&str; 21] = [
    "PACKAGE_CREATE",
    "TEMPLATE_CREATE",
    "PACKAGE_ACTIVATE",
    "PACKAGE_DEACTIVATE",
    "PACKAGE_READY_FOR_COMPLETE",
    "PACKAGE_COMPLETE",
    "PACKAGE_DECLINE",
    "PACKAGE_OPT_OUT",
    "PACKAGE_EXPIRE",
    "PACKAGE_ARCHIVE",
    "PACKAGE_TRASH",
    "PACKAGE_RESTORE",
    "PACKAGE_DELETE",
    "DOCUMENT_SIGNED",
    "DOCUMENT_VIEWED",
    "SIGNER_COMPLETE",
    "SIGNER_LOCKED",
    "KBA_FAILURE",
    "EMAIL_BOUNCE",
    "ROLE_REASSIGN",
    "PACKAGE_ATTACHMENT",
];

/// A name that nobody knows yet: the platform adds some without notice.
const UNKNOWN_EVENT: &str = "TRANSACTION_SNAPSHOT";

/// What is told of a package.
#[derive(Debug, Clone)]
pub(super) struct Event {
    name: &'static str,
    /// Who brought it about: the id of a sender or of a signer.
    user: String,
    message: Option<String>,
    document: Option<String>,
    new_role: Option<String>,
    is_final: bool,
}

impl Event {
    pub(super) fn new(name: &'static str, user: impl Into<String>) -> Event {
        Event { name, user: user.into(), message: None, document: None, new_role: None, is_final: false }
    }

    fn of_document(self, document: impl Into<String>) -> Event {
        Event { document: Some(document.into()), ..self }
    }

    fn saying(self, message: impl Into<String>) -> Event {
        Event { message: Some(message.into()), ..self }
    }

    fn last(self) -> Event {
        Event { is_final: true, ..self }
    }
}

/// The body of a callback, its members in the order of a captured one.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "@class")]
    class: &'static str,
    name: &'static str,
    #[serde(rename = "sessionUser")]
    session_user: &'a str,
    #[serde(rename = "packageId")]
    package_id: &'a str,
    message: Option<&'a str>,
    #[serde(rename = "documentId")]
    document_id: Option<&'a str>,
    #[serde(rename = "newRoleId", skip_serializing_if = "Option::is_none")]
    new_role_id: Option<&'a str>,
    #[serde(rename = "createdDate")]
    created_date: String,
}

/// The callbacks of a step.
pub(crate) fn callbacks(world: &World, account: &Account, envelope: &Envelope, step: Step) -> Vec<Outgoing> {
    let mut events = events_of(world, envelope, step);
    let mut rng = Rng::keyed(envelope.seed, &format!("unknown/{step:?}"));
    if matches!(step, Step::Signed(_)) && rng.chance(world.lossy) {
        events.push(Event::new(UNKNOWN_EVENT, sender_of(world, envelope)));
    }
    outgoing(account, &envelope.id, &format!("{step:?}"), &events)
}

/// What is told when somebody else deletes a package.
pub(crate) fn removed_by_other(world: &World, account: &Account, envelope: &Envelope) -> Vec<Outgoing> {
    // The other platforms do not tell of it.
    if envelope.vendor != Vendor::OneSpan {
        return Vec::new();
    }
    told(account, envelope, Event::new("PACKAGE_DELETE", sender_of(world, envelope)))
}

/// The callback of something that a client did to a package.
pub(super) fn told(account: &Account, envelope: &Envelope, event: Event) -> Vec<Outgoing> {
    outgoing(account, &envelope.id, "told", &[event])
}

/// The callback of a new template.
pub(super) fn template_created(world: &World, account: &Account, id: &str) -> Option<Outgoing> {
    account.callback_url.as_ref()?;
    let event = Event::new("TEMPLATE_CREATE", sender_id(world, &account.spec.id, OWNER));
    outgoing(account, id, "template", &[event]).pop()
}

fn sender_of(world: &World, envelope: &Envelope) -> String {
    sender_id(world, &envelope.account_id, &envelope.script.sender)
}

/// Those of the events that are registered, ready to be sent. A new name is sent although nobody could register it.
fn outgoing(account: &Account, id: &str, occasion: &str, events: &[Event]) -> Vec<Outgoing> {
    events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.name == UNKNOWN_EVENT || account.events.contains(event.name))
        .map(|(position, event)| Outgoing {
            vendor: Vendor::OneSpan,
            account_id: account.spec.id.clone(),
            envelope_id: id.to_owned(),
            key: format!("{id}/{occasion}/{position}/{}", event.name),
            is_final: event.is_final,
            settles: false,
            wire: Wire::OneSpan {
                url: account.spec.callback_url.clone(),
                key: account.spec.secrets.get("callback_key").cloned(),
                body: body(id, event),
            },
        })
        .collect()
}

fn body(id: &str, event: &Event) -> String {
    let payload = Payload {
        class: "com.silanis.esl.packages.event.ESLProcessEvent",
        name: event.name,
        session_user: &event.user,
        package_id: id,
        message: event.message.as_deref(),
        document_id: event.document.as_deref(),
        new_role_id: event.new_role.as_deref(),
        created_date: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    };
    serde_json::to_string(&payload).unwrap_or_default()
}

fn events_of(world: &World, envelope: &Envelope, step: Step) -> Vec<Event> {
    let sender = sender_of(world, envelope);
    let signer_id = |index: usize| envelope.signers.get(index).map_or("", |signer| signer.id.as_str());
    match step {
        Step::Created => {
            vec![Event::new("PACKAGE_CREATE", &*sender), Event::new("PACKAGE_ACTIVATE", &*sender)]
        }
        Step::Activated => vec![Event::new("PACKAGE_ACTIVATE", sender)],
        Step::Trouble(index) => of_trouble(envelope, index, sender).into_iter().collect(),
        Step::Viewed(index) => {
            let user = signer_id(index);
            let mut events = vec![Event::new("DOCUMENT_SIGNED", user).of_document(CONSENT)];
            events.extend(of_documents(envelope, "DOCUMENT_VIEWED", user));
            events
        }
        Step::Signed(index) => of_signature(envelope, index, signer_id(index)),
        Step::End(outcome) => of_end(envelope, outcome, sender).into_iter().collect(),
        // Nothing is announced twice or afterwards; the rest does not exist here.
        Step::Delivered(_)
        | Step::InterimFiles
        | Step::FilesReady
        | Step::Settle
        | Step::Shown
        | Step::Sealed
        | Step::Extended => Vec::new(),
    }
}

fn of_documents<'a>(
    envelope: &'a Envelope,
    name: &'static str,
    user: &'a str,
) -> impl Iterator<Item = Event> + 'a {
    (0..envelope.script.documents.len())
        .map(move |index| Event::new(name, user).of_document(document_id(envelope, index)))
}

fn of_signature(envelope: &Envelope, index: usize, user: &str) -> Vec<Event> {
    let mut events = Vec::new();
    if index == 0 {
        let attachments = envelope.script.attachments.iter();
        events.extend(attachments.map(|file| Event::new("PACKAGE_ATTACHMENT", user).saying(&file.name)));
    }
    events.extend(of_documents(envelope, "DOCUMENT_SIGNED", user));
    events.push(Event::new("SIGNER_COMPLETE", user));
    let everybody = envelope.signers.iter().all(|s| matches!(s.state, SignerState::Signed(_)));
    if everybody && !envelope.script.autocomplete {
        events.push(Event::new("PACKAGE_READY_FOR_COMPLETE", user));
    }
    events
}

fn of_trouble(envelope: &Envelope, index: usize, sender: String) -> Option<Event> {
    let signer = envelope.signers.get(index)?;
    Some(match signer.trouble? {
        Trouble::EmailBounce => {
            let mut rng = Rng::keyed(envelope.seed, &format!("bounce/{index}"));
            let kind = *rng.pick(&["BOUNCE", "COMPLAINT", "OOTO", "UNKNOWN"]);
            Event::new("EMAIL_BOUNCE", &signer.id).saying(kind)
        }
        Trouble::Locked => Event::new("SIGNER_LOCKED", &signer.id),
        Trouble::KbaFailure => Event::new("KBA_FAILURE", &signer.id),
        Trouble::Reassigned => Event {
            new_role: Some(role_id(envelope, &signer.id)),
            ..Event::new("ROLE_REASSIGN", envelope.package.reassigned_from.clone().unwrap_or_default())
        },
        Trouble::Withdrawn => Event::new("PACKAGE_DEACTIVATE", sender),
    })
}

fn of_end(envelope: &Envelope, outcome: Outcome, sender: String) -> Option<Event> {
    let refusing = || {
        let declined = |state| matches!(state, SignerState::Declined(_));
        let signer = envelope.signers.iter().find(|signer| declined(signer.state));
        signer.map_or_else(String::new, |signer| signer.id.clone())
    };
    Some(
        match outcome {
            Outcome::Completed => {
                // Who completed it: the last signer, unless it is left to the sender.
                let last = envelope.signers.last().filter(|_| envelope.script.autocomplete);
                Event::new("PACKAGE_COMPLETE", last.map_or(sender, |signer| signer.id.clone()))
            }
            Outcome::Declined => {
                let name = if envelope.script.opts_out { "PACKAGE_OPT_OUT" } else { "PACKAGE_DECLINE" };
                Event::new(name, refusing()).saying(&envelope.script.decline_reason)
            }
            Outcome::Cancelled => Event::new("PACKAGE_TRASH", sender),
            Outcome::Expired => {
                // Nobody documents whose id it is when time runs out.
                let named = Rng::keyed(envelope.seed, "expiry").chance(0.5);
                Event::new("PACKAGE_EXPIRE", if named { sender } else { String::new() })
            }
            Outcome::InProgress => return None,
        }
        .last(),
    )
}

/// Writes to the sender that a callback failed.
pub(crate) fn mail(state: &mut State, callback: &Outgoing, reason: &str) {
    let Wire::OneSpan { body, .. } = &callback.wire else { return };
    let envelope = state.envelope(&callback.envelope_id);
    let (to, what) = match envelope {
        Some(envelope) => (envelope.script.sender.clone(), envelope.script.name.clone()),
        None => (OWNER.to_owned(), "a template".to_owned()),
    };
    state.mails.push(Mail {
        to,
        subject: format!("Callback notification failed for {what}"),
        reason: reason.to_owned(),
        payload: body.clone(),
    });
}
