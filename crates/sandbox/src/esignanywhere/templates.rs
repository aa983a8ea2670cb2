//! Callbacks as URL templates: the integrator writes the URL, eSignAnyWhere replaces `##Placeholders##` and calls it with GET.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::Vendor;
use crate::ledger::Outcome;
use crate::life::Step;
use crate::rng::Rng;
use crate::sender::{Outgoing, Wire};
use crate::world::{Account, Envelope, Signer};

/// What stays as it is in a query value.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const ENVELOPE_TEMPLATE: &str = "/envelope?envelopeId=##EnvelopeId##&action=##Action##";
const STATUS_TEMPLATE: &str = "/status?envelopeId=##EnvelopeId##&action=##Action##";
const WORKSTEP_TEMPLATE: &str = "/workstep?envelopeId=##EnvelopeId##&workstepId=##WorkstepId##\
    &eventType=##EventType##&source=##Source##&time=##Time##&recipientEmail=##RecipientEmail##\
    &recipientOrder=##RecipientOrder##";

/// URLs that one envelope has instead of the account's: its draft was given them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnUrls {
    pub(super) envelope: Option<String>,
    pub(super) status: Option<String>,
    pub(super) workstep: Option<String>,
    /// Called once the draft is sent.
    pub(super) after_send: Option<String>,
}

impl OwnUrls {
    pub(crate) fn is_empty(&self) -> bool {
        *self == OwnUrls::default()
    }
}

/// The templates of the three kinds, as they are configured for an envelope.
pub(super) fn templates(account: &Account, own: &OwnUrls) -> [Option<String>; 3] {
    let base = account.spec.callback_url.trim_end_matches('/');
    let of_account = |template: &str| (!base.is_empty()).then(|| format!("{base}{template}"));
    [
        own.envelope.clone().or_else(|| of_account(ENVELOPE_TEMPLATE)),
        own.status.clone().or_else(|| of_account(STATUS_TEMPLATE)),
        own.workstep.clone().or_else(|| of_account(WORKSTEP_TEMPLATE)),
    ]
}

/// The kind of a callback.
enum Call {
    Envelope,
    Status(&'static str),
    Workstep { event: &'static str, signer: usize, time: Timestamp },
}

/// The callbacks of a step; none of a kind that has no URL.
pub(crate) fn callbacks(account: &Account, envelope: &Envelope, step: Step) -> Vec<Outgoing> {
    let own = &envelope.own_urls;
    let [envelope_url, status_url, workstep_url] = templates(account, own);
    let id = envelope.id.as_str();
    let outgoing = |(position, call): (usize, Call)| {
        let (url, from_draft, what) = match &call {
            Call::Envelope => {
                let url = fill(envelope_url.as_ref()?, &[("EnvelopeId", id), ("Action", "envelopeFinished")]);
                (url, own.envelope.is_some(), "finished")
            }
            Call::Status(action) => {
                let url = fill(status_url.as_ref()?, &[("EnvelopeId", id), ("Action", action)]);
                (url, own.status.is_some(), *action)
            }
            Call::Workstep { event, signer, time } => {
                let url = workstep(workstep_url.as_ref()?, envelope, event, *signer, *time);
                (url, own.workstep.is_some(), *event)
            }
        };
        Some(Outgoing {
            vendor: Vendor::ESignAnyWhere,
            account_id: envelope.account_id.clone(),
            envelope_id: envelope.id.clone(),
            key: format!("{id}/{step:?}/{position}/{what}"),
            is_final: matches!(call, Call::Envelope) || step == Step::End(Outcome::Expired),
            settles: matches!(call, Call::Envelope),
            wire: Wire::Get { url, from_draft },
        })
    };
    calls(envelope, step).into_iter().enumerate().filter_map(outgoing).collect()
}

/// The callback of a draft that was sent and became this envelope, if it has one.
pub(super) fn after_send(draft_id: &str, envelope: &Envelope) -> Option<Outgoing> {
    let template = envelope.own_urls.after_send.as_ref()?;
    Some(Outgoing {
        vendor: Vendor::ESignAnyWhere,
        account_id: envelope.account_id.clone(),
        envelope_id: envelope.id.clone(),
        key: format!("{}/after-send", envelope.id),
        is_final: false,
        settles: false,
        wire: Wire::Get {
            url: fill(template, &[("DraftId", draft_id), ("EnvelopeId", &envelope.id)]),
            from_draft: true,
        },
    })
}

fn calls(envelope: &Envelope, step: Step) -> Vec<Call> {
    let mut rng = Rng::keyed(envelope.seed, &format!("calls/{step:?}"));
    let time = Timestamp::now();
    match step {
        Step::Created => vec![Call::Status("sendSignNotification")],
        Step::Viewed(_) => vec![Call::Status("workstepOpened")],
        Step::Signed(signer) => {
            let mut calls = vec![
                Call::Workstep { event: "SignWorkstepDocument", signer, time },
                Call::Workstep { event: "WorkstepFinished", signer, time },
                Call::Status("workstepFinished"),
            ];
            if signer + 1 < envelope.signers.len() {
                calls.push(Call::Status("sendSignNotification"));
            }
            if rng.chance(0.08) {
                // Future versions may send actions that nobody knows yet.
                calls.push(Call::Status("workstepForwardedToVault"));
            }
            calls
        }
        Step::End(Outcome::Completed) => vec![Call::Envelope],
        Step::End(Outcome::Declined) => {
            let signer = envelope
                .signers
                .iter()
                .position(|signer| matches!(signer.state, crate::world::SignerState::Declined(_)))
                .unwrap_or(0);
            vec![
                Call::Workstep { event: "WorkstepRejected", signer, time },
                Call::Status("workstepRejected"),
                Call::Envelope,
            ]
        }
        // The misspelling is in some versions of the documentation.
        Step::End(Outcome::Expired) if rng.chance(0.3) => vec![Call::Status("evnelopeExipired")],
        Step::End(Outcome::Expired) => vec![Call::Status("envelopeExpired")],
        // A cancellation is not announced; the rest does not exist here.
        Step::End(Outcome::Cancelled | Outcome::InProgress)
        | Step::Trouble(_)
        | Step::Delivered(_)
        | Step::Activated
        | Step::InterimFiles
        | Step::FilesReady
        | Step::Settle
        | Step::Shown
        | Step::Sealed
        | Step::Extended => Vec::new(),
    }
}

fn workstep(template: &str, envelope: &Envelope, event: &str, signer: usize, time: Timestamp) -> String {
    let order = (signer + 1).to_string();
    let time = time.to_string();
    let of = |read: fn(&Signer) -> &str| envelope.signers.get(signer).map_or("", read);
    let workstep_id = of(|signer| &signer.id);
    fill(
        template,
        &[
            ("EnvelopeId", &envelope.id),
            ("WorkstepId", workstep_id),
            ("EventType", event),
            ("Source", "internal"),
            ("Time", &time),
            ("RecipientEmail", of(|signer| &signer.email)),
            ("RecipientOrder", &order),
        ],
    )
}

pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |url, (name, value)| {
        url.replace(&format!("##{name}##"), &utf8_percent_encode(value, VALUE).to_string())
    })
}
