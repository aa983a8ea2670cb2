//! Callbacks of eSignAnyWhere: a URL template with its placeholders filled in.
//!
//! The data is in the query alone, whatever the method; the body is ignored. Names of parameters are the
//! integrator's choice, so the usual ones are taken in any case. A call cannot be told from its retry, nor
//! from a second event of the same kind: the key names what is announced, and a repeat may be news.

use aftersign_core::Timestamp;
use aftersign_core::callback::{
    IdempotencyKey, Inbound, Interpretation, Meaning, Notification, NotificationKind, RepeatMeans,
};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::CallbackUrl;

use crate::exchange::excerpt;
use crate::form::{self, Plus};
use crate::lenient::parse_date;

/// The path segments that tell the kinds of callback apart.
pub(super) const CHANNELS: [&str; 4] = ["envelope", "status", "workstep", "draft"];
/// The one action of the envelope callback (vendor's organisation settings page).
const ENVELOPE_FINISHED: &str = "envelopeFinished";

/// A GUID in lower case; taken in any case and with braces. `None` for anything else.
pub(super) fn guid(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let fits = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_guid = bare.len() == 36 && bare.bytes().enumerate().all(fits);
    is_guid.then(|| bare.to_ascii_lowercase())
}

/// What to paste where. The draft callback's placeholders are those seen in a public integration; the other
/// three are documented.
pub(super) fn urls(base: &str) -> Vec<CallbackUrl> {
    let url =
        |place, channel: &str, query: &str| CallbackUrl { place, url: format!("{base}/{channel}?{query}") };
    let status = "envelopeId=##EnvelopeId##&action=##Action##";
    vec![
        url("Default Callback URLs > envelope; API: CallbackConfiguration.CallbackUrl", "envelope", status),
        url(
            "Default Callback URLs > status; API: CallbackConfiguration.StatusUpdateCallbackUrl",
            "status",
            status,
        ),
        url(
            "API only: CallbackConfiguration.ActivityActionCallbackConfiguration.Url",
            "workstep",
            "envelopeId=##EnvelopeId##&workstepId=##WorkstepId##&eventType=##EventType##&source=##Source##\
             &time=##Time##&recipientEmail=##RecipientEmail##&recipientOrder=##RecipientOrder##",
        ),
        url(
            "API only, drafts: CallbackConfiguration.AfterSendCallbackUrl",
            "draft",
            "draftId=##DraftId##&envelopeId=##EnvelopeId##",
        ),
    ]
}

/// The query's values by what they are; blank ones count as absent.
#[derive(Default)]
struct Said {
    envelope: Option<String>,
    action: Option<String>,
    workstep: Option<String>,
    event_type: Option<String>,
    time: Option<String>,
    description: Option<String>,
    recipient_email: Option<String>,
    recipient_order: Option<String>,
    draft: Option<String>,
}

impl Said {
    fn read(query: &str) -> Self {
        let mut said = Self::default();
        for (name, value) in form::pairs(query, Plus::Literal) {
            let Some(slot) = said.slot(&name) else { continue };
            let value = value.trim();
            if slot.is_none() && !value.is_empty() {
                *slot = Some(value.to_owned());
            }
        }
        said
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        let mut name = name.to_ascii_lowercase();
        name.retain(|c| !matches!(c, '_' | '-'));
        Some(match name.as_str() {
            "envelope" | "envelopeid" => &mut self.envelope,
            "action" => &mut self.action,
            "workstep" | "workstepid" => &mut self.workstep,
            "eventtype" | "event" => &mut self.event_type,
            "time" => &mut self.time,
            "description" => &mut self.description,
            "recipientemail" | "email" => &mut self.recipient_email,
            "recipientorder" | "order" => &mut self.recipient_order,
            "draft" | "draftid" => &mut self.draft,
            _ => return None,
        })
    }

    /// The first value in which a placeholder was left as it is.
    fn unreplaced(&self) -> Option<&str> {
        let values = [&self.envelope, &self.action, &self.workstep, &self.event_type, &self.draft];
        values.into_iter().flatten().map(String::as_str).find(|value| value.contains("##"))
    }
}

/// The kinds of callback.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    Envelope,
    Status,
    Workstep,
    Draft,
}

/// What the content says outranks the path: integrators give one URL to several kinds.
fn channel(inbound: &Inbound, said: &Said) -> Channel {
    // One template with all placeholders leaves those of the other kinds as they are.
    let filled = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.contains("##"));
    if filled(&said.event_type) && !filled(&said.action) {
        return Channel::Workstep;
    }
    match inbound.channel.as_deref() {
        Some("envelope") => Channel::Envelope,
        Some("draft") => Channel::Draft,
        Some("status") => Channel::Status,
        Some("workstep") if said.action.is_some() => Channel::Status,
        Some("workstep") => Channel::Workstep,
        _ if said.draft.is_some() && said.action.is_none() => Channel::Draft,
        _ if said.workstep.is_some() && said.action.is_none() => Channel::Workstep,
        _ => Channel::Envelope,
    }
}

/// What the callback means; quarantined with the reason if it names nothing that can be looked up.
pub(super) fn interpret(inbound: &Inbound) -> Interpretation {
    let said = Said::read(&inbound.query);
    let channel = channel(inbound, &said);
    if channel == Channel::Draft {
        return draft(inbound, &said);
    }
    let envelope = match envelope_id(&said) {
        Ok(envelope) => envelope,
        Err(reason) => return quarantined(inbound, &said, reason),
    };
    if channel == Channel::Workstep {
        return workstep(inbound, said, envelope);
    }
    match (&said.action, channel) {
        // Where the placeholder starts a fragment the client cuts the URL there; only one action exists here.
        (None, Channel::Envelope) => announced(envelope, Some(ENVELOPE_FINISHED)),
        (Some(action), Channel::Envelope) if action.contains("##") => {
            announced(envelope, Some(ENVELOPE_FINISHED))
        }
        (Some(action), _) if action.contains("##") => {
            let reason = unreplaced(action);
            quarantined(inbound, &said, reason)
        }
        (action, _) => announced(envelope, action.as_deref()),
    }
}

fn envelope_id(said: &Said) -> Result<EnvelopeId, String> {
    match &said.envelope {
        None if said.unreplaced().is_some() => Err(unreplaced(said.unreplaced().unwrap_or_default())),
        None => {
            Err("the query names no envelope: is the callback URL the one that `accounts urls` prints? A \
                     placeholder that was not replaced is cut off as a fragment"
                .to_owned())
        }
        Some(id) if id.contains("##") => Err(unreplaced(id)),
        Some(id) => guid(id)
            .map(EnvelopeId::new)
            .ok_or_else(|| format!("`{}` is not an envelope id (a GUID)", excerpt(id))),
    }
}

fn unreplaced(value: &str) -> String {
    format!(
        "the placeholder `{}` was not replaced: this kind of callback does not know it; paste the URL that \
         `accounts urls` prints",
        excerpt(value)
    )
}

fn quarantined(inbound: &Inbound, said: &Said, reason: String) -> Interpretation {
    let channel = inbound.channel.as_deref().unwrap_or_default();
    Interpretation {
        key: IdempotencyKey::new(None, &[b"quarantined", channel.as_bytes(), inbound.query.as_bytes()]),
        repeat_means: RepeatMeans::Nothing,
        kind: said.action.clone().or_else(|| said.event_type.clone()),
        envelope: None,
        meaning: Meaning::Quarantined(reason),
    }
}

/// A callback of the envelope or status kind: an id and an action, no time. `PerhapsNews`, because a second
/// signer's `workstepFinished` and an `envelopeFinished` triggered anew by hand look like retries.
fn announced(envelope: EnvelopeId, action: Option<&str>) -> Interpretation {
    let word = action.map(normalised).unwrap_or_default();
    let kind = kind_of_action(&word);
    let notification = notification(&envelope, kind, &excerpt(action.unwrap_or("unnamed")));
    Interpretation {
        key: IdempotencyKey::new(None, &[b"action", envelope.as_str().as_bytes(), word.as_bytes()]),
        repeat_means: RepeatMeans::PerhapsNews,
        kind: action.map(excerpt),
        envelope: Some(envelope),
        meaning: Meaning::Understood(vec![notification]),
    }
}

fn notification(envelope: &EnvelopeId, kind: NotificationKind, word: &str) -> Notification {
    Notification {
        envelope: envelope.clone(),
        kind,
        kind_at_platform: word.to_owned(),
        occurred_at: None,
        signer: None,
        detail: None,
        sender: None,
        name: None,
    }
}

/// Lower case; the documented misspelling of `envelopeExpired` becomes the right word.
fn normalised(action: &str) -> String {
    let word = action.to_ascii_lowercase();
    match word.as_str() {
        "evnelopeexipired" | "evnelopeexpired" | "envelopeexipired" => "envelopeexpired".to_owned(),
        _ => word,
    }
}

/// Every documented action code; future ones are announced by the vendor.
fn kind_of_action(word: &str) -> NotificationKind {
    match word {
        // Completed, rejected or cancelled: it never says which.
        "envelopefinished" => NotificationKind::Finished,
        "workstepfinished" => NotificationKind::SignerFinished,
        "worksteprejected" => NotificationKind::Declined,
        "workstepdelegated" => NotificationKind::Delegated,
        "workstepopened" => NotificationKind::Opened,
        "sendsignnotification" => NotificationKind::Sent,
        "envelopeexpired" => NotificationKind::Expired,
        "workstepdelegatedsenderactionrequired" => NotificationKind::SenderNeeded,
        _ => NotificationKind::Unknown,
    }
}

/// A workstep event: fired before the platform's own data is updated, so it never starts an archiving.
fn workstep(inbound: &Inbound, said: Said, envelope: EnvelopeId) -> Interpretation {
    let Some(event_type) = said.event_type.clone() else {
        return quarantined(inbound, &said, "the workstep callback names no event type".to_owned());
    };
    if event_type.contains("##") {
        return quarantined(inbound, &said, unreplaced(&event_type));
    }
    let word = event_type.to_ascii_lowercase();
    let occurred_at: Option<Timestamp> = said.time.as_deref().and_then(parse_date);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let parts = [
        "workstep".to_owned(),
        envelope.as_str().to_owned(),
        text(&said.workstep).to_ascii_lowercase(),
        word.clone(),
        text(&said.time),
        text(&said.recipient_email),
        text(&said.recipient_order),
    ];
    let news = Notification {
        occurred_at,
        signer: said.recipient_email.clone().filter(|email| !email.contains("##")),
        detail: said.description.as_deref().filter(|text| !text.contains("##")).map(excerpt),
        ..notification(&envelope, kind_of_event(&word), &event_type)
    };
    Interpretation {
        key: IdempotencyKey::new(occurred_at, &parts.each_ref().map(|part| part.as_bytes())),
        // Without its time a second event looks like a retry of the first.
        repeat_means: if occurred_at.is_some() { RepeatMeans::Nothing } else { RepeatMeans::PerhapsNews },
        kind: Some(event_type),
        envelope: Some(envelope),
        meaning: Meaning::Understood(vec![news]),
    }
}

/// The vendor's published event types, in lower case, without the two that mean more.
const INFORMING_EVENTS: [&str; 33] = [
    "confirmtransactioncode",
    "agreementaccepted",
    "agreementrejected",
    "prepareauthenticationsuccess",
    "authenticationfailed",
    "authenticationsuccess",
    "audittrailrequested",
    "audittrailxmlrequested",
    "calledpage",
    "documentdownloaded",
    "flatteneddocumentdownloaded",
    "addedannotation",
    "addedattachment",
    "appendeddocument",
    "formsfilled",
    "confirmreading",
    "sendtransactioncode",
    "preparesignworkstepdocument",
    "signworkstepdocument",
    "undoaction",
    "workstepcreated",
    "disablepolicyandvaliditychecks",
    "enablepolicyandvaliditychecks",
    "appendfiletoworkstep",
    "appendtaskstoworkstep",
    "setoptionaldocumentstate",
    "preparepayloadforbatch",
    // Version 5 only.
    "defaulteventtype",
    "requestprepareauthenticationinformationsuccess",
    "authenticationrejected",
    "reauthenticationfailed",
    "whoisinformation",
    "pageviewchanged",
];

fn kind_of_event(word: &str) -> NotificationKind {
    match word {
        "workstepfinished" => NotificationKind::SignerFinished,
        "worksteprejected" => NotificationKind::Declined,
        _ if INFORMING_EVENTS.contains(&word) => NotificationKind::Informed,
        _ => NotificationKind::Unknown,
    }
}

/// The draft callback: its parameters are not documented, so it is noted and taken as a hint.
fn draft(inbound: &Inbound, said: &Said) -> Interpretation {
    if let Some(value) = said.unreplaced() {
        return quarantined(inbound, said, unreplaced(value));
    }
    let read = |value: &Option<String>| match value {
        None => Ok(None),
        Some(text) => guid(text).map(Some).ok_or_else(|| format!("`{}` is not a GUID", excerpt(text))),
    };
    let (draft, envelope) = match (read(&said.draft), read(&said.envelope)) {
        (Ok(None), Ok(None)) => {
            return quarantined(inbound, said, "the query names neither a draft nor an envelope".to_owned());
        }
        (Ok(draft), Ok(envelope)) => (draft, envelope.map(EnvelopeId::new)),
        (Err(reason), _) | (_, Err(reason)) => return quarantined(inbound, said, reason),
    };
    let kind = said.action.clone().unwrap_or_else(|| "afterSend".to_owned());
    let id = |id: Option<&str>| id.unwrap_or_default().to_owned();
    let parts = [
        "draft".to_owned(),
        id(draft.as_deref()),
        id(envelope.as_ref().map(EnvelopeId::as_str)),
        kind.to_ascii_lowercase(),
    ];
    let news = envelope.as_ref().map(|envelope| notification(envelope, NotificationKind::Sent, &kind));
    Interpretation {
        key: IdempotencyKey::new(None, &parts.each_ref().map(|part| part.as_bytes())),
        repeat_means: RepeatMeans::PerhapsNews,
        kind: Some(kind),
        envelope,
        meaning: Meaning::Understood(news.into_iter().collect()),
    }
}
