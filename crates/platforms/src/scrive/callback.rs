//! Callbacks of Scrive: a document's (form-encoded, the whole state and no event name) or a Flow instance's
//! (JSON, one event), on one URL and told apart by their content.
//!
//! Neither is signed, so nothing here is more than a hint. A document's callback is a snapshot taken when it
//! is sent: states are skipped when several wait (the newest replaces the others), and the same state comes
//! again. Flow's callbacks are in `flow.rs`.

use aftersign_core::callback::{
    IdempotencyKey, Inbound, Interpretation, Meaning, Notification, NotificationKind, RepeatMeans,
};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::CallbackUrl;

use super::document::{author_email, party_email, party_in_news, party_mobile};
use super::wire::{Document, Party};
use super::{flow, is_document_id};
use crate::exchange::{excerpt, without_mark, word as short};
use crate::form;

/// Parties told of from one callback: more than any document has that people sign.
const PARTIES_MAX: usize = 50;

/// What a party's delivery status says of an invitation that came back.
const NOT_DELIVERED: &str = "not_delivered";

/// One URL takes both kinds (this adapter tells them apart).
pub(super) fn urls(base: &str) -> Vec<CallbackUrl> {
    vec![CallbackUrl {
        place: "API: `api_callback_url` of each document and `callback.url` (version 1) of each Flow; for \
                documents sent from the web page ask Scrive's support for a user callback scheme with a \
                constant URL (V2)",
        url: base.to_owned(),
    }]
}

/// What the callback means; quarantined with the reason if it names nothing that can be looked up.
pub(super) fn interpret(inbound: &Inbound) -> Interpretation {
    let body = without_mark(&inbound.body).trim_ascii_start();
    match body.first() {
        None => quarantined(inbound, None, "the request has no body".to_owned()),
        Some(b'{') => flow::interpret(inbound, body),
        Some(_) => document(inbound, body),
    }
}

/// The key is over the body: whatever it is, the same bytes again are the same callback.
pub(super) fn quarantined(inbound: &Inbound, kind: Option<String>, reason: String) -> Interpretation {
    Interpretation {
        key: IdempotencyKey::new(None, &[b"quarantined", &inbound.body]),
        repeat_means: RepeatMeans::Nothing,
        kind,
        envelope: None,
        meaning: Meaning::Quarantined(reason),
    }
}

/// The fields of the form under all their names: V2, V1 (`documentid`, `signedAndSealed`, `json`) and the
/// Salesforce scheme's (V1 without the JSON).
#[derive(Default)]
struct Form {
    id: Option<String>,
    sealed: Option<bool>,
    json: Option<String>,
    ambiguous: bool,
}

impl Form {
    fn read(body: &str) -> Self {
        let mut form = Self::default();
        for (name, value) in form::pairs(&body.replace('+', " ")) {
            match name.replace('_', "").to_ascii_lowercase().as_str() {
                "documentid" => {
                    let id = value.trim().to_owned();
                    form.ambiguous |= form.id.as_ref().is_some_and(|first| *first != id);
                    form.id.get_or_insert(id);
                }
                "documentsignedandsealed" | "signedandsealed" => {
                    form.sealed = match value.trim().to_ascii_lowercase().as_str() {
                        "true" => Some(true),
                        "false" => Some(false),
                        _ => form.sealed,
                    };
                }
                "documentjson" | "json" if form.json.is_none() => form.json = Some(value),
                _ => {}
            }
        }
        form
    }
}

/// What the JSON in a form is good for.
enum Snapshot {
    /// The document it names.
    Read(Box<Document>),
    /// None was sent (Salesforce scheme).
    Absent,
    /// It cannot be read, or is about another document.
    Broken,
}

fn document(inbound: &Inbound, body: &[u8]) -> Interpretation {
    let text = String::from_utf8_lossy(body);
    let form = Form::read(&text);
    if form.ambiguous {
        return quarantined(inbound, None, "the form names two documents".to_owned());
    }
    let parsed = form.json.as_deref().map(serde_json::from_str::<Document>);
    let id = match (&form.id, &parsed) {
        (Some(id), _) if !id.is_empty() => Some(id.clone()),
        (_, Some(Ok(document))) => document.id.clone(),
        _ => None,
    };
    let Some(id) = id else {
        let reason = "the body is neither Flow's JSON nor a form that names a document";
        return quarantined(inbound, None, reason.to_owned());
    };
    if !is_document_id(&id) {
        let reason = format!("`{}` is not a document id (up to 19 digits)", excerpt(&id));
        return quarantined(inbound, None, reason);
    }
    let snapshot = match parsed {
        None => Snapshot::Absent,
        Some(Ok(document)) if document.id.as_ref().is_none_or(|named| *named == id) => {
            Snapshot::Read(Box::new(document))
        }
        Some(_) => Snapshot::Broken,
    };
    match snapshot {
        Snapshot::Read(document) => known_state(&id, form.sealed, *document, inbound),
        Snapshot::Absent => bare(&id, form.sealed, "no document JSON was sent", inbound),
        Snapshot::Broken => bare(&id, form.sealed, "the document JSON cannot be read", inbound),
    }
}

/// The form names a document and says nothing more that can be read: look at it.
fn bare(id: &str, sealed: Option<bool>, detail: &str, inbound: &Inbound) -> Interpretation {
    let (kind, word) = match sealed {
        Some(true) => (NotificationKind::ArtifactsReady, "document_signed_and_sealed"),
        Some(false) => (NotificationKind::Informed, "document_changed"),
        None => (NotificationKind::Unknown, "document_changed"),
    };
    let mut told = news(id, kind, word);
    told.detail = Some(detail.to_owned());
    let told = with_end(told);
    Interpretation {
        key: IdempotencyKey::new(None, &[b"document body", id.as_bytes(), &inbound.body]),
        // The same bytes can announce the sealing and, weeks later, the extension of the seal.
        repeat_means: RepeatMeans::PerhapsNews,
        kind: Some(word.to_owned()),
        envelope: Some(EnvelopeId::new(id)),
        meaning: Meaning::Understood(told),
    }
}

/// The sealed file is there: everybody has signed, and it may be newer than the one we have.
fn with_end(told: Notification) -> Vec<Notification> {
    if told.kind != NotificationKind::ArtifactsReady {
        return vec![told];
    }
    vec![Notification { kind: NotificationKind::Finished, ..told.clone() }, told]
}

/// A snapshot that could be read. With `object_version`, which grows with each action, a repeat of the same
/// state says nothing new; without it (V1) nothing tells a retry from a second event.
fn known_state(id: &str, sealed: Option<bool>, document: Document, inbound: &Inbound) -> Interpretation {
    let word = document.status.clone().unwrap_or_else(|| "unnamed".to_owned());
    let status = word.to_ascii_lowercase();
    let flag = match sealed {
        Some(true) => "sealed",
        Some(false) => "not sealed",
        None => "",
    };
    let sealed_file = document.sealed_file.as_ref().and_then(|file| file.id.as_deref()).unwrap_or_default();
    let (key, repeat_means) = match document.object_version {
        Some(version) => {
            let version = version.to_be_bytes();
            let parts: [&[u8]; 6] = [
                b"document",
                id.as_bytes(),
                &version,
                status.as_bytes(),
                flag.as_bytes(),
                sealed_file.as_bytes(),
            ];
            (IdempotencyKey::new(document.mtime, &parts), RepeatMeans::Nothing)
        }
        None => {
            let parts: [&[u8]; 3] = [b"document body", id.as_bytes(), &inbound.body];
            (IdempotencyKey::new(document.mtime, &parts), RepeatMeans::PerhapsNews)
        }
    };
    let mut news = with_end(state(id, &status, &word, sealed, &document));
    let told = document.parties.iter().filter_map(|party| party_news(id, &status, &document, party));
    news.extend(told.take(PARTIES_MAX));
    Interpretation {
        key,
        repeat_means,
        kind: Some(excerpt(&word)),
        envelope: Some(EnvelopeId::new(id)),
        meaning: Meaning::Understood(news),
    }
}

fn state(id: &str, status: &str, word: &str, sealed: Option<bool>, document: &Document) -> Notification {
    let parties = &document.parties;
    let kind = match status {
        "preparation" | "awaiting_start" => NotificationKind::Prepared,
        // How far each party is follows with their names: news of nobody would settle everybody's concerns.
        "pending" => NotificationKind::Sent,
        // The flag is true only when the sealed file bears its digital signature.
        "closed" if sealed == Some(true) => NotificationKind::ArtifactsReady,
        "closed" => NotificationKind::Finished,
        "canceled" | "cancelled" => NotificationKind::Cancelled,
        "timedout" | "timed_out" => NotificationKind::Expired,
        "rejected" => NotificationKind::Declined,
        "document_error" | "documenterror" => NotificationKind::Failed,
        _ if sealed == Some(true) => NotificationKind::ArtifactsReady,
        _ => NotificationKind::Unknown,
    };
    let mut told = news(id, kind, word);
    told.occurred_at = document.mtime;
    told.name.clone_from(&document.title);
    told.sender = author_email(document);
    if kind == NotificationKind::Declined
        && let Some(party) = parties.iter().find(|party| party.rejected_time.is_some())
    {
        told.occurred_at = party.rejected_time;
        told.signer = party_in_news(party);
        told.detail = party.rejection_reason.as_deref().map(excerpt);
    }
    told
}

/// How far a party is, at the time it got there, under the same name in all news: signed, else opened, else not reached.
/// The author sees the document while preparing it; only others open it. When an invitation came back nothing tells, and
/// every snapshot says it again: it gets a time that does not move, before all that settles it, and only its detail tells
/// one that came back anew.
fn party_news(id: &str, status: &str, document: &Document, party: &Party) -> Option<Notification> {
    let opened_at = party.seen_time.filter(|_| party.is_author != Some(true));
    let (kind, word, at) = match (party.sign_time, opened_at) {
        (Some(at), _) => (NotificationKind::SignerFinished, "signed", Some(at)),
        (None, Some(at)) => (NotificationKind::Opened, "seen", Some(at)),
        (None, None) if status == "pending" && is_undelivered(party) => {
            (NotificationKind::EmailBounced, NOT_DELIVERED, document.ctime)
        }
        (None, None) => return None,
    };
    let mut told = news(id, kind, word);
    told.occurred_at = at;
    told.signer = party_in_news(party);
    if kind == NotificationKind::EmailBounced {
        told.detail = Some(bounce(document, party));
        told.sender = author_email(document);
    }
    Some(told)
}

/// What came back of a party's invitations, with what a correction or a prolongation changes: where each went, and until
/// when the document can be signed.
fn bounce(document: &Document, party: &Party) -> String {
    let came_back = |what: &str, to: Option<String>, check: &str| {
        let to = to.filter(|to| !to.is_empty()).map(|to| format!(" to {}", short(&to)));
        format!("{what}{} could not be delivered: check {check}", to.unwrap_or_default())
    };
    let by_email = was_bounced(&party.email_delivery_status)
        .then(|| came_back("the invitation", party_email(party), "the e-mail address"));
    let by_sms = was_bounced(&party.mobile_delivery_status)
        .then(|| came_back("the invitation by SMS", party_mobile(party), "the number"));
    let until = document.timeout_time.map(|at| format!("it can be signed until {at}"));
    let told: Vec<String> = [by_email, by_sms, until].into_iter().flatten().collect();
    told.join("; ")
}

/// Whether the invitation of a party that still has to act came back.
fn is_undelivered(party: &Party) -> bool {
    let has_arrived = |status: &Option<String>| status.as_deref() == Some("delivered");
    let (email, mobile) = (&party.email_delivery_status, &party.mobile_delivery_status);
    let is_done = party.rejected_time.or(party.seen_time).is_some();
    let has_bounced = was_bounced(email) || was_bounced(mobile);
    !is_done && has_bounced && !has_arrived(email) && !has_arrived(mobile)
}

fn was_bounced(delivery_status: &Option<String>) -> bool {
    delivery_status.as_deref() == Some(NOT_DELIVERED)
}

/// News of an envelope, with nothing but the platform's word for it.
pub(super) fn news(id: &str, kind: NotificationKind, word: &str) -> Notification {
    Notification {
        envelope: EnvelopeId::new(id),
        kind,
        kind_at_platform: excerpt(word),
        occurred_at: None,
        signer: None,
        detail: None,
        sender: None,
        name: None,
        draft: None,
    }
}
