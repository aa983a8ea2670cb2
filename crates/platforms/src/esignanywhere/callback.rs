//! Callbacks of eSignAnyWhere: a URL template with its placeholders filled in.
//!
//! The data is in the query alone, whatever the method; the body is ignored. Names of parameters are the
//! integrator's choice, so the usual ones are taken in any case, and where none of them is used the values are
//! known by what they look like. A placeholder that was not replaced says nothing. A call cannot be told from
//! its retry, nor from a second event of the same kind: the key names what is announced, and a repeat may be
//! news.

use aftersign_core::Timestamp;
use aftersign_core::callback::{
    IdempotencyKey, Inbound, Interpretation, Meaning, Notification, NotificationKind, RepeatMeans,
};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::CallbackUrl;

use crate::exchange::{excerpt, word};
use crate::form;
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
    vec![
        url("Default Callback URLs > envelope; API: CallbackConfiguration.CallbackUrl", "envelope", ACTION),
        url(
            "Default Callback URLs > status; API: CallbackConfiguration.StatusUpdateCallbackUrl",
            "status",
            ACTION,
        ),
        url(
            "API only: CallbackConfiguration.ActivityActionCallbackConfiguration.Url",
            "workstep",
            "envelopeId=##EnvelopeId##&workstepId=##WorkstepId##&eventType=##EventType##&source=##Source##\
             &time=##Time##&recipientEmail=##RecipientEmail##&recipientOrder=##RecipientOrder##",
        ),
        url("API only, drafts: CallbackConfiguration.AfterSendCallbackUrl", "draft", AFTER_SEND),
    ]
}

/// The queries of the callbacks that a draft can be given.
const ACTION: &str = "envelopeId=##EnvelopeId##&action=##Action##";
const AFTER_SEND: &str = "draftId=##DraftId##&envelopeId=##EnvelopeId##";

/// The URLs that a draft is given, with its id in each.
pub(super) struct MarkedUrls {
    pub(super) envelope: String,
    pub(super) status: String,
    pub(super) draft: String,
}

/// The id stands first, so that it stays where a placeholder cuts the URL.
pub(super) fn marked_urls(base: &str, draft: &str) -> MarkedUrls {
    let url = |channel: &str, query: &str| format!("{base}/{channel}?draft={draft}&{query}");
    MarkedUrls {
        envelope: url("envelope", ACTION),
        status: url("status", ACTION),
        draft: url("draft", AFTER_SEND),
    }
}

/// The query's values by what they are; blank ones and placeholders that were not replaced count as absent.
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
    /// A parameter for the envelope is there, whatever its value.
    names_envelope: bool,
    /// The first placeholder that was left as it is, for whoever wonders what is missing.
    unreplaced: Option<String>,
}

impl Said {
    fn read(query: &str) -> Self {
        let mut said = Self::default();
        let mut names_action = false;
        let mut unnamed = Vec::new();
        for (name, value) in form::pairs(query) {
            let name = folded(&name);
            said.names_envelope |= NAMES_OF_ENVELOPE.contains(&name.as_str());
            names_action |= name == NAME_OF_ACTION;
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match said.slot(&name) {
                Some(_) if value.contains("##") => {
                    said.unreplaced.get_or_insert_with(|| value.to_owned());
                }
                Some(slot) => {
                    slot.get_or_insert_with(|| value.to_owned());
                }
                None if !names_secret(&name) => unnamed.push(value.to_owned()),
                None => {}
            }
        }
        if !said.names_envelope {
            said.envelope = only(unnamed.iter().filter_map(|value| guid(value)));
        }
        if !names_action && said.event_type.is_none() {
            let is_action = |value: &&String| kind_of_action(&normalised(value)) != NotificationKind::Unknown;
            said.action = only(unnamed.iter().filter(is_action).cloned());
        }
        // Who calls the action's parameter `event` means the action all the same.
        if said.action.is_none() && said.event_type.as_deref().is_some_and(is_action_alone) {
            said.action = said.event_type.take();
        }
        said
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            NAME_OF_ACTION => &mut self.action,
            "workstep" | "workstepid" => &mut self.workstep,
            "eventtype" | "event" => &mut self.event_type,
            "time" => &mut self.time,
            "description" => &mut self.description,
            "recipientemail" | "email" => &mut self.recipient_email,
            "recipientorder" | "order" => &mut self.recipient_order,
            "draft" | "draftid" => &mut self.draft,
            name if NAMES_OF_ENVELOPE.contains(&name) => &mut self.envelope,
            _ => return None,
        })
    }

    fn envelope_id(&self) -> Option<EnvelopeId> {
        self.envelope.as_deref().and_then(guid).map(EnvelopeId::new)
    }

    fn draft_id(&self) -> Option<String> {
        self.draft.as_deref().and_then(guid)
    }

    /// Why the query names no envelope.
    fn without_envelope(&self) -> String {
        match (&self.envelope, &self.unreplaced) {
            (Some(id), _) => format!("`{}` is not an envelope id (a GUID)", excerpt(id)),
            (None, Some(value)) => unreplaced(value),
            (None, None) => "the query names no envelope: is the callback URL the one that `accounts urls` \
                             prints? A placeholder that was not replaced is cut off as a fragment"
                .to_owned(),
        }
    }
}

/// What the parameter for the envelope is usually called, folded.
const NAMES_OF_ENVELOPE: [&str; 2] = ["envelope", "envelopeid"];
/// What the one for the action is called, folded.
const NAME_OF_ACTION: &str = "action";

/// A parameter's name without what people spell differently.
fn folded(name: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    name.retain(|c| !matches!(c, '_' | '-'));
    name
}

/// Whether a parameter of that name is a secret, which must never be taken for an id.
fn names_secret(name: &str) -> bool {
    ["token", "secret", "pass", "key", "auth"].iter().any(|word| name.contains(word))
}

/// The one value that occurs, perhaps repeatedly; `None` if there is none or another besides.
fn only(mut values: impl Iterator<Item = String>) -> Option<String> {
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
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
    let path = inbound.channel.as_deref();
    // A draft's id stands in the callbacks of its envelope too; one whose envelope cannot be read is no draft's for that.
    let is_of_envelope = said.names_envelope && matches!(path, Some("envelope" | "status" | "workstep"));
    if said.draft_id().is_some() && said.envelope_id().is_none() && !is_of_envelope {
        return Channel::Draft;
    }
    if said.event_type.is_some() && said.action.is_none() {
        return Channel::Workstep;
    }
    // The draft callback's own words are not documented, so only a known one says that it is another kind.
    let known = |action: &String| {
        said.draft.is_none() || kind_of_action(&normalised(action)) != NotificationKind::Unknown
    };
    match path {
        Some("envelope") => Channel::Envelope,
        Some("draft") if said.action.as_ref().is_some_and(known) => Channel::Status,
        Some("draft") => Channel::Draft,
        Some("status") => Channel::Status,
        Some("workstep") if said.action.is_some() => Channel::Status,
        Some("workstep") => Channel::Workstep,
        _ if said.draft.is_some() && said.action.is_none() => Channel::Draft,
        _ if said.workstep.is_some() && said.action.is_none() => Channel::Workstep,
        _ => Channel::Envelope,
    }
}

/// What the callback means; quarantined with the reason if it names nothing that can be looked up. One that
/// names an envelope and nothing else that can be read still says "look".
pub(super) fn interpret(inbound: &Inbound) -> Interpretation {
    let said = Said::read(&inbound.query);
    let channel = channel(inbound, &said);
    if channel == Channel::Draft {
        return draft(inbound, &said);
    }
    let Some(envelope) = said.envelope_id() else {
        return quarantined(inbound, &said, said.without_envelope());
    };
    match (channel, &said.event_type, &said.action) {
        (Channel::Workstep, Some(event_type), _) => workstep(&said, event_type, envelope),
        (Channel::Workstep, None, _) => announced(&said, envelope, None),
        // Where the placeholder starts a fragment the client cuts the URL there; only one action exists here.
        (Channel::Envelope, _, None) => announced(&said, envelope, Some(ENVELOPE_FINISHED)),
        (_, _, action) => announced(&said, envelope, action.as_deref()),
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
        kind: said.action.as_deref().or(said.event_type.as_deref()).map(word),
        envelope: None,
        meaning: Meaning::Quarantined(reason),
    }
}

/// A callback of the envelope or status kind: an id and an action, no time. `PerhapsNews`, because a second
/// signer's `workstepFinished` and an `envelopeFinished` triggered anew by hand look like retries.
fn announced(said: &Said, envelope: EnvelopeId, action: Option<&str>) -> Interpretation {
    let name = action.map(normalised).unwrap_or_default();
    let notification = notification(said, &envelope, kind_of_action(&name), action.unwrap_or("unnamed"));
    Interpretation {
        key: IdempotencyKey::new(None, &[b"action", envelope.as_str().as_bytes(), name.as_bytes()]),
        repeat_means: RepeatMeans::PerhapsNews,
        kind: action.map(word),
        envelope: Some(envelope),
        meaning: Meaning::Understood(vec![notification]),
    }
}

fn notification(said: &Said, envelope: &EnvelopeId, kind: NotificationKind, name: &str) -> Notification {
    Notification {
        envelope: envelope.clone(),
        kind,
        kind_at_platform: word(name),
        occurred_at: None,
        signer: None,
        detail: None,
        sender: None,
        name: None,
        draft: said.draft_id(),
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
        "workstepdelegatedsenderactionrequired" => NotificationKind::DelegationPending,
        _ => NotificationKind::Unknown,
    }
}

/// Whether a word is an action that no workstep event is called. `WorkstepFinished` and `WorkstepRejected` are
/// both, and stay events.
fn is_action_alone(text: &str) -> bool {
    let name = normalised(text);
    kind_of_action(&name) != NotificationKind::Unknown && kind_of_event(&name) == NotificationKind::Unknown
}

/// A workstep event: fired before the platform's own data is updated, so it never starts an archiving.
fn workstep(said: &Said, event_type: &str, envelope: EnvelopeId) -> Interpretation {
    let name = event_type.to_ascii_lowercase();
    let occurred_at: Option<Timestamp> = said.time.as_deref().and_then(parse_date);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let parts = [
        "workstep".to_owned(),
        envelope.as_str().to_owned(),
        text(&said.workstep).to_ascii_lowercase(),
        name.clone(),
        text(&said.time),
        text(&said.recipient_email),
        text(&said.recipient_order),
    ];
    let news = Notification {
        occurred_at,
        signer: said.recipient_email.as_deref().map(excerpt),
        detail: said.description.as_deref().map(excerpt),
        ..notification(said, &envelope, kind_of_event(&name), event_type)
    };
    Interpretation {
        key: IdempotencyKey::new(occurred_at, &parts.each_ref().map(|part| part.as_bytes())),
        // Without its time a second event looks like a retry of the first.
        repeat_means: if occurred_at.is_some() { RepeatMeans::Nothing } else { RepeatMeans::PerhapsNews },
        kind: Some(word(event_type)),
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

/// The draft callback: its parameters are not documented, so it is noted and taken as a hint. What of it cannot
/// be read is left out.
fn draft(inbound: &Inbound, said: &Said) -> Interpretation {
    let (draft, envelope) = (said.draft_id(), said.envelope_id());
    if draft.is_none() && envelope.is_none() {
        let reason = match (&said.draft, &said.envelope, &said.unreplaced) {
            (Some(text), _, _) | (None, Some(text), _) => format!("`{}` is not a GUID", excerpt(text)),
            (None, None, Some(value)) => unreplaced(value),
            (None, None, None) => "the query names neither a draft nor an envelope".to_owned(),
        };
        return quarantined(inbound, said, reason);
    }
    let name = said.action.as_deref().unwrap_or("afterSend");
    let parts = [
        "draft".to_owned(),
        draft.unwrap_or_default(),
        envelope.as_ref().map(EnvelopeId::as_str).unwrap_or_default().to_owned(),
        name.to_ascii_lowercase(),
    ];
    let news = envelope.as_ref().map(|envelope| notification(said, envelope, NotificationKind::Sent, name));
    Interpretation {
        key: IdempotencyKey::new(None, &parts.each_ref().map(|part| part.as_bytes())),
        repeat_means: RepeatMeans::PerhapsNews,
        kind: Some(word(name)),
        envelope,
        meaning: Meaning::Understood(news.into_iter().collect()),
    }
}
