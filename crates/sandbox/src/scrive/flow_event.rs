//! Callbacks of Scrive Flow: one event as one flat JSON object, written once and repeated as it is. Their times are those of
//! the vendor's samples, which no strict parser reads.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::flow::variable;
use crate::config::Vendor;
use crate::ledger::Outcome;
use crate::life::Step;
use crate::rng::Rng;
use crate::sender::{Outgoing, Wire};
use crate::world::{Account, Envelope, SignerState, World};

/// How often a participant is locked out before signing.
const LOCKED_OUT: f64 = 0.12;
/// How often a type comes that nobody knows yet.
const UNKNOWN: f64 = 0.08;

/// One event.
struct Event {
    kind: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Event {
    fn new(kind: &'static str) -> Event {
        Event { kind, fields: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Event {
        self.fields.push((name, value.into()));
        self
    }

    fn is_final(&self) -> bool {
        matches!(self.kind, "completed" | "failed" | "cancelled" | "flow_rejected" | "timed_out")
    }

    /// The samples have nine digits for some types and ten for others.
    fn has_ten_digits(&self) -> bool {
        matches!(self.kind, "failed" | "cancelled" | "flow_rejected" | "timed_out")
    }
}

/// The callbacks of a step.
pub(super) fn callbacks(world: &World, account: &Account, envelope: &Envelope, step: Step) -> Vec<Outgoing> {
    let now = Timestamp::now();
    events(envelope, step)
        .into_iter()
        .enumerate()
        .map(|(position, event)| {
            let key = format!("{}/{step:?}/{position}/{}", envelope.id, event.kind);
            let mut rng = Rng::keyed(envelope.seed, &key);
            // No two events are of the same time.
            let at = now.saturating_add(SignedDuration::from_micros(i64::try_from(position).unwrap_or(0)));
            let time = time_text(&mut rng, at.unwrap_or(now), event.has_ten_digits(), world.lossy);
            Outgoing {
                vendor: Vendor::ScriveFlow,
                account_id: envelope.account_id.clone(),
                envelope_id: envelope.id.clone(),
                key,
                is_final: event.is_final(),
                settles: false,
                wire: Wire::ScriveFlow {
                    url: account.spec.callback_url.clone(),
                    body: Bytes::from(body(&envelope.id, &time, &event)),
                },
            }
        })
        .collect()
}

fn events(envelope: &Envelope, step: Step) -> Vec<Event> {
    let mut rng = Rng::keyed(envelope.seed, &format!("events/{step:?}"));
    match step {
        Step::Created => vec![stage(0)],
        Step::Viewed(signer) if is_locked_out(envelope, signer) => vec![
            authentication(&mut rng, signer, "failure"),
            Event::new("authentication_max_failures_exceeded").with("user_name", variable("user", signer)),
        ],
        Step::Viewed(signer) => vec![authentication(&mut rng, signer, "success")],
        Step::Signed(signer) => {
            let mut events = Vec::new();
            if is_locked_out(envelope, signer) {
                // The author let the participant in again.
                events.push(authentication(&mut rng, signer, "success"));
            }
            if rng.chance(UNKNOWN) {
                events.push(Event::new("participant_finished").with("user_name", variable("user", signer)));
            }
            if signer + 1 < envelope.signers.len() {
                events.push(stage(signer + 1));
            }
            events
        }
        // It goes out while the flow's documents are gone through, before any of them is sealed.
        Step::End(Outcome::Completed) => {
            envelope.script.documents.iter().map(|_| Event::new("completed")).collect()
        }
        Step::End(Outcome::Declined) => vec![rejection(&mut rng, envelope)],
        Step::End(Outcome::Cancelled) if envelope.script.fails => vec![Event::new("failed")],
        Step::End(Outcome::Cancelled) => vec![Event::new("cancelled")],
        Step::End(Outcome::Expired) => vec![Event::new("timed_out")],
        _ => Vec::new(),
    }
}

fn is_locked_out(envelope: &Envelope, signer: usize) -> bool {
    Rng::keyed(envelope.seed, &format!("locked-out/{signer}")).chance(LOCKED_OUT)
}

/// The process calls back when it enters a stage.
fn stage(position: usize) -> Event {
    Event::new("custom").with("callback_name", format!("stage-{}", position + 1))
}

fn authentication(rng: &mut Rng, signer: usize, result: &str) -> Event {
    let event = Event::new("authentication_attempted")
        .with("user_name", variable("user", signer))
        .with("result", result);
    match rng.below(10) {
        0 => event.with("provider", "sms_pin"),
        1..3 => event.with("provider", "onfido").with("provider_data", json!({ "applicant_id": rng.guid() })),
        _ => event.with("provider", "sms_otp").with("eid_transaction_id", rng.guid()),
    }
}

fn rejection(rng: &mut Rng, envelope: &Envelope) -> Event {
    let refusing = envelope.signers.iter().position(|s| matches!(s.state, SignerState::Declined(_)));
    let mut event = Event::new("flow_rejected").with("user_name", variable("user", refusing.unwrap_or(0)));
    // Absent fields are left out. Without a document, the whole flow was rejected.
    if !envelope.script.decline_reason.is_empty() {
        event = event.with("message", envelope.script.decline_reason.as_str());
    }
    if rng.chance(0.5) { event.with("document_name", variable("doc", 0)) } else { event }
}

/// The object as the database behind Flow prints it: shorter names first, then by their bytes.
fn body(id: &str, time: &str, event: &Event) -> String {
    let mut members = vec![
        ("type", json!(event.kind)),
        ("version", json!(1)),
        ("event_created", json!(time)),
        ("flow_instance_id", json!(id)),
    ];
    members.extend(event.fields.iter().cloned());
    members.sort_by_key(|(name, _)| (name.len(), *name));
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

/// The time of an event; `odd` is how often it is one that the samples have and that does not exist.
fn time_text(rng: &mut Rng, at: Timestamp, ten_digits: bool, odd: f64) -> String {
    let seconds = at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let nanos = format!("{:09}", at.subsec_nanosecond());
    if rng.chance(odd) {
        return match rng.below(3) {
            0 => format!("{}:67.{nanos}4Z", &seconds[..16]),
            1 => format!("{seconds}.{}.00000Z", &nanos[..2]),
            _ => format!("{seconds}Z"),
        };
    }
    let tenth = if ten_digits { rng.below(10).to_string() } else { String::new() };
    format!("{seconds}.{nanos}{tenth}Z")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Event, body, time_text};
    use crate::rng::Rng;

    #[test]
    fn an_event_is_written_in_the_order_of_the_samples() {
        let event = Event::new("authentication_attempted")
            .with("user_name", "user1")
            .with("result", "success")
            .with("provider", "sms_otp")
            .with("eid_transaction_id", "9268dcea");
        assert_eq!(
            body("49235955", "2021-04-12T15:47:06.537487773Z", &event),
            r#"{"type": "authentication_attempted", "result": "success", "version": 1, "provider": "sms_otp", "user_name": "user1", "event_created": "2021-04-12T15:47:06.537487773Z", "flow_instance_id": "49235955", "eid_transaction_id": "9268dcea"}"#
        );
    }

    #[test]
    fn times_have_the_digits_of_the_samples_and_sometimes_their_oddities() {
        let at: Timestamp = "2021-03-15T13:43:07.008925489Z".parse().unwrap();
        let text = |key: &str, ten, odd| time_text(&mut Rng::keyed(1, key), at, ten, odd);
        assert_eq!(text("a", false, 0.0), "2021-03-15T13:43:07.008925489Z");
        assert_eq!(text("a", true, 0.0).len(), "2021-03-15T13:43:07.0089254890Z".len());
        let odd: Vec<String> = (0..20).map(|key| text(&key.to_string(), false, 1.0)).collect();
        for wanted in
            ["2021-03-15T13:43:67.0089254894Z", "2021-03-15T13:43:07.00.00000Z", "2021-03-15T13:43:07Z"]
        {
            assert!(odd.iter().any(|text| text == wanted), "{wanted}");
        }
    }
}
