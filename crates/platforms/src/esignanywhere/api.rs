//! API v6 of eSignAnyWhere, and v5 for envelopes that v6 refuses with ERR0063.
//!
//! "404" means "unknown, deleted or not visible to this token" alike; the history tells the first from the
//! second, and what stays 404 everywhere is not found. Files are in `artifacts.rs`, deleting in `disposal.rs`.

use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup, Signer};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call, Identity, Next, Page, Window};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use jiff::SignedDuration;

use super::callback::guid;
use super::wire::{
    ActionDetail, Activity, Bulk, Configuration, EnvelopeV5, EnvelopeV6, ErrorAnswer, Expiration, Find,
    Found, FoundEnvelope, History, Person, Step, WhoAmI,
};
use crate::exchange::{
    Asking, Body, excerpt, is_plain_refusal, misconfigured, own_status, refused_by_status,
    refused_by_stranger, request, retry_after, safe_id, secret_header, word,
};

/// The route of an envelope that only version 5 reads.
pub(super) const V5: &str = "v5";
/// The envelope belongs to another generation of the API (vendor's migration guide).
const OTHER_GENERATION: &str = "ERR0063";

/// How far before the window of changes sending may lie: `find` filters by sent date alone, and envelopes
/// live up to 28 days by default, more where a tenant allows it.
const SENT_BEFORE: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Width of one `find`: it has neither pages nor a documented cap.
const SLICE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Slices of one sweep: twenty years, so that a wrong date ends.
const SLICES_MAX: i32 = 1_044;
/// What a sweep asks for, in turn; only one status can be asked at a time.
const SWEPT: [&str; 4] = ["Completed", "Rejected", "Canceled", "Expired"];

/// Where and with what an account's API is called; cloned into the readers that go on asking.
#[derive(Clone)]
pub(super) struct Api {
    root: String,
    token: HeaderValue,
    /// What errors are named after.
    pub(super) operation: &'static str,
}

impl Api {
    pub(super) fn new(operation: &'static str, access: &Access) -> Result<Self, Error> {
        let root = root(operation, access)?;
        let token = secret_header(operation, access.credential.field("api_token").trim())?;
        Ok(Self { root, token, operation })
    }

    /// A request to either generation.
    pub(super) fn send(
        &self,
        method: Method,
        generation: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Bytes>, Error> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}/api/{generation}/{path}", self.root))
            .header("apiToken", self.token.clone())
            .header(ACCEPT, "*/*");
        if !body.is_empty() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        request(self.operation, builder, body)
    }

    /// A read from version 6. Ids in `path` are checked before.
    pub(super) fn get(&self, path: &str) -> Result<Request<Bytes>, Error> {
        self.send(Method::GET, "v6", path, Bytes::new())
    }

    /// A read from version 5.
    pub(super) fn get_v5(&self, path: &str) -> Result<Request<Bytes>, Error> {
        self.send(Method::GET, "v5", path, Bytes::new())
    }

    /// A write to version 6.
    pub(super) fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<Request<Bytes>, Error> {
        let body = serde_json::to_vec(body).map_err(|error| {
            misconfigured(self.operation, "the request has no JSON form").caused_by(error)
        })?;
        self.send(Method::POST, "v6", path, Bytes::from(body))
    }
}

impl Asking for Api {
    fn operation(&self) -> &'static str {
        self.operation
    }

    fn refused(&self, response: &Response<Bytes>) -> Error {
        refused(self.operation, response)
    }
}

/// The tenant's place, above the API: `base_url` may be that, or end in the API's path, in any case and with or without
/// `.0`.
pub(super) fn root(operation: &'static str, access: &Access) -> Result<String, Error> {
    let mut root = access.base_url.trim().trim_end_matches('/');
    for suffix in ["/api/v6.0", "/api/v6", "/api/v5.0", "/api/v5", "/api"] {
        let start = root.len().saturating_sub(suffix.len());
        if root.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix)) {
            root = root[..start].trim_end_matches('/');
            break;
        }
    }
    if root.is_empty() {
        return Err(misconfigured(operation, "the account has no base_url; every tenant has its own"));
    }
    Ok(root.to_owned())
}

/// A GUID that may stand in a path.
pub(super) fn envelope_guid(operation: &'static str, id: &EnvelopeId) -> Result<String, Error> {
    guid(id.as_str()).ok_or_else(|| match safe_id(operation, id.as_str()) {
        Err(error) => error,
        Ok(id) => {
            let message = "the id is not a GUID, and every envelope id of this platform is one";
            Error::new(ErrorKind::Rejected, Remedy::AskPerson, operation, message).with("id", id)
        }
    })
}

pub(super) fn whoami(access: &Access) -> Result<Call<Identity>, Error> {
    let api = Api::new("esignanywhere whoami", access)?;
    let request = api.get("authorization/whoami")?;
    Ok(api.clone().then(request, move |response| {
        let user: WhoAmI = api.answer(&response)?;
        let id = user.user_id.as_deref().map(user_id);
        let name = user.email.clone().or(user.user_name).or(user.user_id);
        let name = name.ok_or_else(|| api.unintelligible("the answer names no user"))?;
        Ok(Next::Done(Identity { name, id, email: user.email }))
    }))
}

/// A user's id as it is compared: `whoami` and the placeholder `##SenderUserId##` may write it differently.
pub(super) fn user_id(text: &str) -> String {
    guid(text).unwrap_or_else(|| text.trim().to_lowercase())
}

pub(super) fn fetch_envelope(access: &Access, id: &EnvelopeId) -> Result<Call<Lookup>, Error> {
    let api = Api::new("esignanywhere fetch envelope", access)?;
    let guid = envelope_guid(api.operation, id)?;
    let asked = EnvelopeId::new(guid.as_str());
    let request = api.get(&format!("envelope/{guid}"))?;
    Ok(api.clone().then(request, move |response| {
        if is_other_generation(&response) {
            return fetch_v5(&api, asked);
        }
        if own_status(&response) == Some(404) {
            return is_it_gone(&api, asked);
        }
        let found: EnvelopeV6 = api.answer(&response)?;
        same_envelope(&api, &asked, found.id.as_deref())?;
        fetch_metadata(&api, envelope_v6(asked, found))
    }))
}

/// Version 6 keeps the metadata in the configuration. Without it the archiving goes on only if the platform
/// itself refuses it: metadata must not be lost for good to somebody else's page.
fn fetch_metadata(api: &Api, mut envelope: Envelope) -> Result<Next<Lookup>, Error> {
    let request = api.get(&format!("envelope/{}/configuration", envelope.id))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if let Some(configuration) = configuration(&api, &response)? {
            envelope.metadata = configuration.meta_data;
            let expiration = configuration.expiration_configuration.unwrap_or_default();
            envelope.expires_at = expires_at(&expiration, envelope.created_at);
        }
        Ok(Next::Done(Lookup::Found(Box::new(envelope))))
    })))
}

/// A date, or a span from the sending on.
fn expires_at(expiration: &Expiration, sent_at: Option<Timestamp>) -> Option<Timestamp> {
    let after = || sent_at?.checked_add(SignedDuration::from_secs(expiration.seconds_after_sending?)).ok();
    expiration.expiration_date.or_else(after)
}

/// The configuration; `None` if the platform refuses it in its own words. Whatever else is not the configuration
/// (a proxy's page, a cut answer, a refusal of the token) is an error to try again.
pub(super) fn configuration(api: &Api, response: &Response<Bytes>) -> Result<Option<Configuration>, Error> {
    let status = response.status();
    let about_us = matches!(status.as_u16(), 401 | 408 | 429);
    let in_its_words = own_status(response) == Some(403) || names_error(response);
    if is_other_generation(response) || (status.is_client_error() && !about_us && in_its_words) {
        return Ok(None);
    }
    api.answer(response).map(Some)
}

fn fetch_v5(api: &Api, asked: EnvelopeId) -> Result<Next<Lookup>, Error> {
    let request = api.get_v5(&format!("envelope/{asked}"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if own_status(&response) == Some(404) {
            return is_it_gone(&api, asked);
        }
        let found: EnvelopeV5 = api.answer(&response)?;
        same_envelope(&api, &asked, found.id.as_deref())?;
        Ok(Next::Done(Lookup::Found(Box::new(envelope_v5(asked, found)))))
    })))
}

/// The envelope is not there for us: deleted, or never seen, or the parent of a bulk.
fn is_it_gone(api: &Api, asked: EnvelopeId) -> Result<Next<Lookup>, Error> {
    let request = api.get(&format!("envelope/{asked}/history"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if own_status(&response) == Some(404) {
            return is_it_a_bulk(&api, &asked);
        }
        let history: History = api.answer(&response)?;
        if history.says_deleted() {
            return Ok(Next::Done(Lookup::Deleted { at: history.envelope_deletion_date }));
        }
        let message = "the platform hides the envelope and its history says that it is not deleted";
        Err(api.error(ErrorKind::NotFound, Remedy::Retry(None), message))
    })))
}

fn is_it_a_bulk(api: &Api, asked: &EnvelopeId) -> Result<Next<Lookup>, Error> {
    let request = api.get(&format!("envelopebulk/{asked}"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_plain_refusal(&response) || own_status(&response) == Some(403) {
            return Ok(Next::Done(Lookup::NotFound));
        }
        let bulk: Bulk = api.answer(&response)?;
        if bulk.bulk_status.is_some() {
            let message = "this is the parent of a bulk; its children are envelopes of their own";
            return Err(api.error(ErrorKind::Rejected, Remedy::Abandon, message));
        }
        Ok(Next::Done(Lookup::NotFound))
    })))
}

fn same_envelope(api: &Api, asked: &EnvelopeId, answered: Option<&str>) -> Result<(), Error> {
    match answered.and_then(guid) {
        Some(id) if id == asked.as_str() => Ok(()),
        _ => Err(api.unintelligible("the answer is about another envelope")),
    }
}

fn envelope_v6(id: EnvelopeId, found: EnvelopeV6) -> Envelope {
    let word = word(found.envelope_status.as_deref().unwrap_or_default());
    let status = status(&word);
    let finished = found.activities.iter().filter_map(|activity| activity.finished_date).max();
    Envelope {
        name: found.name,
        sender: found.sender_user_information.and_then(|sender| sender.email),
        signers: found.activities.into_iter().filter_map(signer_v6).collect(),
        created_at: found.sent_date.or(found.send_date),
        completed_at: finished.filter(|_| status == EnvelopeStatus::Completed),
        ..Envelope::new(id, status, word)
    }
}

/// Exactly one member of the action is set. Who only gets a copy is no signer.
fn signer_v6(activity: Activity) -> Option<Signer> {
    let action = activity.action.unwrap_or_default();
    let (kind, detail) = action.into_iter().find(|(_, detail)| detail.is_object())?;
    if kind == "SendCopy" {
        return None;
    }
    let detail: ActionDetail = serde_json::from_value(detail).unwrap_or_default();
    let person = detail.contact_information.unwrap_or_default();
    Some(Signer {
        id: activity.id,
        name: full_name(&person),
        email: person.email,
        signed_at: activity.finished_date.filter(|_| activity.status.as_deref() == Some("Completed")),
        status_at_platform: activity.status,
    })
}

fn full_name(person: &Person) -> Option<String> {
    join_names(person.given_name.as_deref(), person.surname.as_deref())
}

fn join_names(first: Option<&str>, last: Option<&str>) -> Option<String> {
    let name = [first, last].into_iter().flatten().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

/// Version 5 does not name the sender.
fn envelope_v5(id: EnvelopeId, found: EnvelopeV5) -> Envelope {
    let word = word(found.status.as_deref().unwrap_or_default());
    let status = status(&word);
    let options = found.basic_options.unwrap_or_default();
    let steps: Vec<Step> =
        found.bulks.into_iter().flatten().flat_map(|bulk| bulk.steps.unwrap_or_default()).collect();
    let finished = steps.iter().filter_map(|step| step.signed_date).max();
    let is_signer = |step: &Step| step.recipient_type.as_deref() != Some("Cc");
    Envelope {
        name: options.name,
        signers: steps.into_iter().filter(is_signer).map(signer_v5).collect(),
        created_at: found.send_date,
        completed_at: finished.filter(|_| status == EnvelopeStatus::Completed),
        metadata: options.meta_data_xml,
        expires_at: found.expiration_date,
        route: Some(V5.to_owned()),
        ..Envelope::new(id, status, word)
    }
}

fn signer_v5(step: Step) -> Signer {
    Signer {
        id: step.id,
        name: join_names(step.first_name.as_deref(), step.last_name.as_deref()),
        email: step.email,
        status_at_platform: step.status,
        signed_at: step.signed_date,
    }
}

/// Both generations' words; spelling of case aside. An unknown one is kept beside `Unknown`, which is never final.
fn status(word: &str) -> EnvelopeStatus {
    match word.to_ascii_lowercase().as_str() {
        "active"
        | "started"
        | "inprogress"
        | "actionrequired"
        | "waitingforothers"
        | "expiringsoon"
        | "bulkpartlycompleted" => EnvelopeStatus::InProgress,
        "completed" | "completedwithwarnings" => EnvelopeStatus::Completed,
        "canceled" | "cancelled" => EnvelopeStatus::Cancelled,
        "rejected" => EnvelopeStatus::Declined,
        "expired" => EnvelopeStatus::Expired,
        "draft" => EnvelopeStatus::Draft,
        _ => EnvelopeStatus::Unknown,
    }
}

/// A point in time as `find` takes it.
pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// One `find` per status and week, because it has no pages, no "changed since" and no documented cap.
pub(super) fn changed_since(access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
    let api = Api::new("esignanywhere list changes", access)?;
    let (index, slice) = read_cursor(window.cursor.as_deref()).ok_or_else(|| {
        api.error(ErrorKind::Rejected, Remedy::Abandon, "the sweep's cursor is none of ours; start again")
    })?;
    let first = window.since.checked_sub(SENT_BEFORE).unwrap_or(Timestamp::UNIX_EPOCH);
    let start = first.checked_add(SLICE.saturating_mul(slice)).unwrap_or(window.until).min(window.until);
    let end = start.checked_add(SLICE).unwrap_or(window.until).min(window.until);
    let asked = SWEPT[index];
    // A second more, because the end may be exclusive and we write whole seconds.
    let until = end.checked_add(SignedDuration::from_secs(1)).unwrap_or(end);
    let find = Find { start_date: day(start), end_date: day(until), status: Some(asked) };
    let request = api.post("envelope/find", &find)?;
    let next = if index + 1 < SWEPT.len() {
        Some(format!("{}.{slice}", index + 1))
    } else {
        (end < window.until && slice < SLICES_MAX).then(|| format!("0.{}", slice + 1))
    };
    Ok(api.clone().then(request, move |response| {
        let found: Found = api.answer(&response)?;
        // A row without an id names nothing; the others must not suffer for it.
        let rows = found.envelopes.into_iter().flatten();
        let items = rows.filter_map(|row| found_envelope(row, asked)).collect();
        Ok(Next::Done(Page { items, next }))
    }))
}

fn found_envelope(row: FoundEnvelope, asked: &str) -> Option<Envelope> {
    let id = row.id.as_deref().and_then(guid)?;
    let word = word(row.status.as_deref().unwrap_or(asked));
    Some(Envelope {
        name: row.name,
        metadata: row.meta_data,
        ..Envelope::new(EnvelopeId::new(id), status(&word), word)
    })
}

/// A cursor is `status.slice`.
fn read_cursor(cursor: Option<&str>) -> Option<(usize, i32)> {
    let Some(cursor) = cursor else { return Some((0, 0)) };
    let (index, slice) = cursor.split_once('.')?;
    let (index, slice) = (index.parse().ok()?, slice.parse().ok()?);
    (index < SWEPT.len() && (0..=SLICES_MAX).contains(&slice)).then_some((index, slice))
}

/// The platform's own error object, if the body is one.
pub(super) fn error_of(response: &Response<Bytes>) -> Option<ErrorAnswer> {
    match Body::of(response.body()) {
        Body::Json(value) if !response.status().is_success() => serde_json::from_value(value).ok(),
        _ => None,
    }
}

/// Whether a refusal bears the platform's own name for it.
pub(super) fn names_error(response: &Response<Bytes>) -> bool {
    error_of(response).is_some_and(|error| error.error_id.is_some())
}

/// Whether version 6 says that the envelope was made by version 5.
pub(super) fn is_other_generation(response: &Response<Bytes>) -> bool {
    error_of(response).is_some_and(|error| error.error_id.as_deref() == Some(OTHER_GENERATION))
}

/// What a refusal means. The body may be absent (always with 401) and is not always JSON.
pub(super) fn refused(operation: &'static str, response: &Response<Bytes>) -> Error {
    refused_hiding(operation, response, |_| false)
}

/// The same without the platform's words that `hides` is true of.
pub(super) fn refused_hiding(
    operation: &'static str,
    response: &Response<Bytes>,
    hides: impl Fn(&str) -> bool,
) -> Error {
    let status = response.status();
    let not_before = retry_after(response.headers());
    if matches!(Body::of(response.body()), Body::Foreign) {
        return refused_by_stranger(operation, status, not_before);
    }
    let answer = error_of(response).unwrap_or_default();
    let message = match answer.message.as_deref() {
        None => "the platform gave no reason".to_owned(),
        Some(said) if hides(said) => {
            "the platform's reason holds a URL, so it is not repeated here".to_owned()
        }
        Some(said) => excerpt(said),
    };
    let by_name = match answer.error_id.as_deref() {
        Some("ERR0010" | "ERR0014") => Some((ErrorKind::Forbidden, Remedy::AskPerson)),
        Some("ERR0007") => Some((ErrorKind::NotFound, Remedy::Retry(None))),
        Some("ERR0008") => Some((ErrorKind::NotReady, Remedy::Retry(not_before))),
        // The state is another one than we thought: look again.
        Some("ERR0013") => Some((ErrorKind::NotReady, Remedy::Park)),
        _ => None,
    };
    let mut error = match by_name {
        Some((kind, remedy)) if status.is_client_error() && status != 401 && status != 429 => {
            Error::new(kind, remedy, operation, message).with("status", status.as_u16())
        }
        _ => refused_by_status(operation, status, not_before, message),
    };
    let shown = |text: &String| !hides(text);
    if let Some(id) = answer.error_id.filter(shown) {
        error = error.with("error_id", excerpt(&id));
    }
    match answer.trace_id.filter(shown) {
        Some(trace) => error.with("trace_id", excerpt(&trace)),
        None => error,
    }
}
