//! Callbacks of OneSpan Sign: is it theirs, and what does it say?
//!
//! They bear the registered key in the open and nothing that vouches for the body, and they hold ids only:
//! no status, no address, no title. So a callback says "look", and every state is read from the API.
//! OneSpan sends each one once. What it could not deliver it mails to the sender, and [`undelivered`] reads
//! that mail's payload back into the same door.

use aftersign_core::Timestamp;
use aftersign_core::callback::{
    CallbackSecrets, IdempotencyKey, Inbound, Interpretation, Meaning, Notification, NotificationKind,
    Refusal, RepeatMeans,
};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::secret::Secret;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::value::RawValue;

use super::wire::Callback;
use crate::exchange::{excerpt, flaw, without_mark};
use crate::lenient::parse_date;

/// Longest package id (vendor's documentation of callbacks).
pub(super) const PACKAGE_ID_CHARS_MAX: usize = 255;
/// Largest text of failure e-mails that is taken at once, in bytes: some ten thousand callbacks.
const IMPORT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What the Java and .NET SDKs call [`READY`]; the seed's article prints it too.
const READY_IN_SDK: &str = "PACKAGE_READY_FOR_COMPLETION";
/// What is sent.
const READY: &str = "PACKAGE_READY_FOR_COMPLETE";
/// The document of which a signature is the signer's consent to sign electronically.
pub(super) const CONSENT: &str = "default-consent";

/// The event names to register, as they are on the wire: with [`EVENTS_NOT_EVERYWHERE`] the 21 of the Java SDK 11.68.
/// `COBROWSE_REQUEST` is documented, but whether the API takes it is not known; it is understood when it comes.
pub(super) const EVENTS: [&str; 19] = [
    "PACKAGE_CREATE",
    "TEMPLATE_CREATE",
    "PACKAGE_ACTIVATE",
    "PACKAGE_DEACTIVATE",
    READY,
    "PACKAGE_COMPLETE",
    "PACKAGE_DECLINE",
    "PACKAGE_EXPIRE",
    "PACKAGE_ARCHIVE",
    "PACKAGE_TRASH",
    "PACKAGE_RESTORE",
    "PACKAGE_DELETE",
    "DOCUMENT_SIGNED",
    "SIGNER_COMPLETE",
    "SIGNER_LOCKED",
    "KBA_FAILURE",
    "EMAIL_BOUNCE",
    "ROLE_REASSIGN",
    "PACKAGE_ATTACHMENT",
];

/// Event names that not every instance takes, in the order in which they are left out when it refuses all: the one
/// is said to be removed, the other is younger than some instances.
pub(super) const EVENTS_NOT_EVERYWHERE: [&str; 2] = ["PACKAGE_OPT_OUT", "DOCUMENT_VIEWED"];

/// Compares the key in `Authorization: Basic <key>` as it stands: it is **not** base64 (captured request,
/// seed, vendor's KB). Without a key registered the platform sends no such header, so an account without
/// `callback_keys` rests on its path secret alone.
pub(super) fn authenticate(inbound: &Inbound, secrets: &CallbackSecrets) -> Result<(), Refusal> {
    if secrets.keys.is_empty() {
        return Ok(());
    }
    let sent = sent_key(&inbound.headers).ok_or(Refusal::Unauthorized)?;
    // Every key is compared, so that the time does not tell which one fits; an empty one is everybody's.
    let fits = |any: bool, key: &Secret| (!key.is_empty() & key.matches(sent)) | any;
    if secrets.keys.iter().fold(false, fits) { Ok(()) } else { Err(Refusal::Unauthorized) }
}

/// The second of exactly two words, the first being `Basic` in any case.
fn sent_key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut words = value.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (Some(scheme), Some(key), None) = (words.next(), words.next(), words.next()) else { return None };
    scheme.eq_ignore_ascii_case(b"basic").then_some(key)
}

/// Whether a text can be a package's id: URL-safe base64 (28 characters, `=` at the end) was seen, UUIDs on
/// old ones; a white label may have others of these letters. Case counts.
pub(super) fn is_package_id(text: &str) -> bool {
    let bare = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !bare.is_empty() && text.len() <= PACKAGE_ID_CHARS_MAX && bare.bytes().all(is_plain)
}

/// What the callback means; quarantined with the reason if it is none or names nothing to look up.
pub(super) fn interpret(inbound: &Inbound) -> Interpretation {
    let body = without_mark(&inbound.body).trim_ascii();
    match read(body) {
        Ok((kind, callback)) => understood(&kind, &callback).unwrap_or_else(|reason| Interpretation {
            kind: Some(excerpt(&kind)),
            ..quarantined(body, reason)
        }),
        Err(reason) => quarantined(body, reason),
    }
}

fn quarantined(body: &[u8], reason: String) -> Interpretation {
    Interpretation {
        key: IdempotencyKey::new(None, &[b"quarantined", body]),
        repeat_means: RepeatMeans::Nothing,
        kind: None,
        envelope: None,
        meaning: Meaning::Quarantined(reason),
    }
}

fn read(body: &[u8]) -> Result<(String, Callback), String> {
    match body.first() {
        None => return Err("the request has no body".to_owned()),
        Some(b'{') => {}
        Some(b'[') => {
            let reason = "the body is a list of callbacks; give it to `aftersign callbacks import`";
            return Err(reason.to_owned());
        }
        Some(_) => return Err("the body is not a JSON object".to_owned()),
    }
    let callback: Callback = serde_json::from_slice(body).map_err(|error| {
        // The parser's own words may repeat the body; its position says enough.
        format!("the body's JSON cannot be read (line {}, column {})", error.line(), error.column())
    })?;
    match event_name(&callback) {
        Some(kind) => Ok((kind, callback)),
        None => Err("the body names no event".to_owned()),
    }
}

/// The name on the wire. White labels are said to use other fields, in this order; case does not count.
fn event_name(callback: &Callback) -> Option<String> {
    let fields =
        [&callback.name, &callback.event, &callback.kind, &callback.event_name, &callback.event_type];
    let name = fields.into_iter().flatten().next()?.trim().to_ascii_uppercase();
    Some(if name == READY_IN_SDK { READY.to_owned() } else { name })
}

fn understood(kind: &str, callback: &Callback) -> Result<Interpretation, String> {
    let occurred_at = callback.created_date.as_deref().and_then(parse_date);
    let about = About::of(kind, callback);
    let envelope = match callback.package_id.as_deref().map(str::trim) {
        _ if about.is_none() => None,
        Some(id) if is_package_id(id) => Some(EnvelopeId::new(id)),
        Some(id) => return Err(format!("`{}` is not a package's id", excerpt(id))),
        None if matches!(about, Some(About { kind: NotificationKind::Unknown, .. })) => None,
        None => return Err("the body names no package".to_owned()),
    };
    let notification = envelope.clone().zip(about).map(|(envelope, about)| Notification {
        envelope,
        kind: about.kind,
        kind_at_platform: excerpt(kind),
        occurred_at,
        signer: about.signer,
        detail: about.detail,
        sender: None,
        name: None,
        draft: None,
    });
    Ok(Interpretation {
        key: key(kind, callback, occurred_at),
        // Without its date, a replay made by hand looks like the callback that it repeats, and like the next.
        repeat_means: if occurred_at.is_some() { RepeatMeans::Nothing } else { RepeatMeans::PerhapsNews },
        kind: Some(excerpt(kind)),
        envelope,
        meaning: Meaning::Understood(notification.into_iter().collect()),
    })
}

/// There is no event id; a payload copied from the failure e-mail has the same date, so the same key.
fn key(kind: &str, callback: &Callback, occurred_at: Option<Timestamp>) -> IdempotencyKey {
    let fields = [
        &callback.package_id,
        &callback.session_user,
        &callback.document_id,
        &callback.new_role_id,
        &callback.message,
        &callback.created_date,
    ];
    let mut parts: Vec<&[u8]> = vec![b"event", kind.as_bytes()];
    parts.extend(fields.map(|field| field.as_deref().unwrap_or_default().trim().as_bytes()));
    IdempotencyKey::new(occurred_at, &parts)
}

/// What an event says of a package.
struct About {
    kind: NotificationKind,
    signer: Option<String>,
    detail: Option<String>,
}

impl About {
    /// `None` for what is about no package: a template has an id like one and must never be taken for one.
    fn of(kind: &str, callback: &Callback) -> Option<Self> {
        if kind.starts_with("TEMPLATE_") {
            return None;
        }
        let text = |field: &Option<String>| field.as_deref().map(excerpt);
        // The only name there is: the signer's id at the platform, where a signer triggers the event.
        let signer = text(&callback.session_user);
        let message = text(&callback.message);
        let document = callback.document_id.as_deref().map(|id| match id {
            CONSENT => "consent to sign electronically".to_owned(),
            id => format!("document {}", excerpt(id)),
        });
        let bounced = callback.session_user.as_deref().filter(|id| looks_like_uuid(id)).map(excerpt);
        let kind = notification_kind(kind, callback.message.as_deref());
        let (signer, detail) = match kind {
            (kind, Trigger::Sender) => return Some(Self { kind, signer: None, detail: message }),
            (_, Trigger::Document) => (signer, document.or(message)),
            (_, Trigger::Signer) => (signer, message),
            (_, Trigger::Role) => (signer, text(&callback.new_role_id).map(|role| format!("to role {role}"))),
            (_, Trigger::Bounce) => (bounced, message),
            (_, Trigger::Cobrowse) => (signer, text(&callback.comment)),
        };
        Some(Self { kind: kind.0, signer, detail })
    }
}

/// Whose id `sessionUser` is, and which field says more.
enum Trigger {
    Sender,
    Signer,
    Document,
    Role,
    Bounce,
    Cobrowse,
}

/// All 22 names. What is not among them wakes softly: the vendor adds names without notice.
fn notification_kind(name: &str, message: Option<&str>) -> (NotificationKind, Trigger) {
    use NotificationKind as Kind;
    match name {
        "PACKAGE_CREATE" => (Kind::Prepared, Trigger::Sender),
        "PACKAGE_ACTIVATE" => (Kind::Sent, Trigger::Sender),
        // Legal steps back: only the answer of the API can tell where they led.
        "PACKAGE_DEACTIVATE" | "PACKAGE_RESTORE" => (Kind::Informed, Trigger::Sender),
        // The signer is the last one, not the one who must act.
        "PACKAGE_COMPLETE" => (Kind::Finished, Trigger::Signer),
        // It was completed before; archiving starts if it has not.
        "PACKAGE_ARCHIVE" => (Kind::Finished, Trigger::Sender),
        "PACKAGE_DECLINE" | "PACKAGE_OPT_OUT" => (Kind::Declined, Trigger::Signer),
        "PACKAGE_EXPIRE" => (Kind::Expired, Trigger::Sender),
        // Its files can still be fetched, but perhaps not for long: look at once. It is no end, because what lies in
        // the trash is often restored.
        "PACKAGE_TRASH" => (Kind::ArtifactsReady, Trigger::Sender),
        "PACKAGE_DELETE" => (Kind::Deleted, Trigger::Sender),
        "DOCUMENT_SIGNED" | "DOCUMENT_VIEWED" => (Kind::Opened, Trigger::Document),
        "SIGNER_COMPLETE" => (Kind::SignerFinished, Trigger::Signer),
        // The signer is the last one, and it is the sender who must act.
        READY => (Kind::ReadyForCompletion, Trigger::Sender),
        "SIGNER_LOCKED" => (Kind::SignerLocked, Trigger::Signer),
        "KBA_FAILURE" => (Kind::AuthenticationFailed, Trigger::Signer),
        // An out-of-office note needs nobody.
        "EMAIL_BOUNCE" if message.is_some_and(|word| word.trim().eq_ignore_ascii_case("OOTO")) => {
            (Kind::Informed, Trigger::Bounce)
        }
        "EMAIL_BOUNCE" => (Kind::EmailBounced, Trigger::Bounce),
        "ROLE_REASSIGN" => (Kind::Delegated, Trigger::Role),
        // It may come after the package was archived.
        "PACKAGE_ATTACHMENT" => (Kind::ArtifactsReady, Trigger::Signer),
        "COBROWSE_REQUEST" => (Kind::Informed, Trigger::Cobrowse),
        _ => (Kind::Unknown, Trigger::Sender),
    }
}

/// Signers' ids are UUIDs and senders' are not, as far as was seen; nobody says whose id a bounce bears.
fn looks_like_uuid(id: &str) -> bool {
    id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Reads the payload of OneSpan's failure e-mail: one object, an array of them, several one after another,
/// or such objects within the mail's text. Each becomes a callback for the one door, as if it had arrived.
///
/// OneSpan does not send a failed callback again; it mails its payload to the sender (vendor's KB, seed).
/// Integrators keep such payloads as a JSON array, often without `@class` and `createdDate`. It is all or
/// nothing: what cannot be read is named with its place, not skipped.
pub(super) fn undelivered(text: &[u8]) -> Result<Vec<Inbound>, String> {
    if text.len() > IMPORT_BYTES_MAX {
        return Err(format!("the text is larger than {IMPORT_BYTES_MAX} bytes; import it in parts"));
    }
    let text = std::str::from_utf8(without_mark(text))
        .map_err(|error| format!("the text is not UTF-8 (byte {})", error.valid_up_to() + 1))?;
    let mut objects = Vec::new();
    let (mut at, mut lists) = (0, true);
    while let Some(start) = text[at..].find(['{', '[']).map(|offset| at + offset) {
        let rest = &text[start..];
        let is_list = rest.starts_with('[');
        let is_json = if is_list { lists && is_list_of_objects(rest) } else { is_object(rest) };
        if !is_json {
            at = start + 1;
            continue;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(value)) => {
                objects.extend(members(value).map_err(|reason| format!("{}: {reason}", place(text, start)))?);
                at = start + values.byte_offset();
            }
            // A list that is cut off is read object by object; the one that is cut will say so.
            _ if is_list => (at, lists) = (start + 1, false),
            Some(Err(error)) => return Err(format!("{}: {}", place(text, start), unreadable(&error))),
            None => break,
        }
    }
    if objects.is_empty() {
        return Err("there is no JSON object in the text".to_owned());
    }
    objects.into_iter().enumerate().map(|(index, object)| imported(index, object)).collect()
}

/// Where in a text a byte stands, for a person.
fn place(text: &str, at: usize) -> String {
    let before = &text[..at];
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {}, column {column}", before.matches('\n').count() + 1)
}

/// What is wrong with the JSON that starts at that place; lines are counted from there.
fn unreadable(error: &serde_json::Error) -> String {
    format!("the JSON object that starts here cannot be read: {}", flaw(error))
}

/// Whether a brace opens a payload and not, say, `{name}` in the mail's own text.
fn is_object(text: &str) -> bool {
    text[1..].trim_start().starts_with('"')
}

/// Whether a bracket opens a list of payloads and not, say, `[Ticket 7]` in the mail's own text.
fn is_list_of_objects(text: &str) -> bool {
    text[1..].trim_start().starts_with('{')
}

/// The objects of a list, or the one object itself.
fn members(value: &RawValue) -> Result<Vec<&str>, String> {
    if !value.get().starts_with('[') {
        return Ok(vec![value.get()]);
    }
    let members: Vec<&RawValue> =
        serde_json::from_str(value.get()).map_err(|_| "the list cannot be read".to_owned())?;
    match members.iter().position(|member| !member.get().starts_with('{')) {
        Some(index) => Err(format!("member {} of the list is not a JSON object", index + 1)),
        None => Ok(members.into_iter().map(RawValue::get).collect()),
    }
}

fn imported(index: usize, object: &str) -> Result<Inbound, String> {
    let body = Bytes::copy_from_slice(object.as_bytes());
    let (_, callback) = read(&body).map_err(|reason| format!("callback {}: {reason}", index + 1))?;
    if callback.package_id.is_none() {
        return Err(format!("callback {}: the body names no package", index + 1));
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Inbound { method: Method::POST, channel: None, query: String::new(), headers, body })
}
