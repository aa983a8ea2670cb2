//! API v6 of eSignAnyWhere, and v5 for envelopes that v6 refuses with ERR0063.
//!
//! "404" means "unknown, deleted or not visible to this token" alike; the history tells the first from the
//! second, and what stays 404 everywhere is not found. Deleting is confirmed by the history too.

use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content, split_extension};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup, Signer};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call, Disposal, Identity, Next, Page, Window};
use aftersign_core::proof::TransferProof;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use jiff::SignedDuration;

use super::callback::guid;
use super::wire::{
    ActionDetail, Activity, Bulk, BulkV5, Configuration, Delete, EnvelopeV5, EnvelopeV6, ErrorAnswer, Files,
    Find, Found, FoundEnvelope, History, Person, Step, WhoAmI,
};
use crate::exchange::{
    Body, excerpt, is_disturbed, is_plain_refusal, misconfigured, own_status, read_json, refused_by_status,
    refused_by_stranger, request, retry_after, safe_id, secret_header, unintelligible,
};
use crate::listing::ArtifactList;

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

/// Prefixes of artifact ids: a file of either generation, or one of the platform's own records.
const FILE: &str = "file";
const FILE_V5: &str = "v5";
const RECORD: &str = "record";
/// The records.
const ENVELOPE: &str = "envelope";
const ENVELOPE_V5: &str = "envelope-v5";
const CONFIGURATION: &str = "configuration";

/// Where and with what an account's API is called; cloned into the readers that go on asking.
#[derive(Clone)]
pub(super) struct Api {
    root: String,
    token: HeaderValue,
    operation: &'static str,
}

impl Api {
    /// `base_url` may be the host or end in the API's path, in any case and with or without `.0`.
    pub(super) fn new(operation: &'static str, access: &Access) -> Result<Self, Error> {
        let mut root = access.base_url.trim_end_matches('/');
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
        let token = secret_header(operation, access.credential.field("api_token").trim())?;
        Ok(Self { root: root.to_owned(), token, operation })
    }

    fn send(
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

    fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<Request<Bytes>, Error> {
        let body = serde_json::to_vec(body).map_err(|error| {
            misconfigured(self.operation, "the request has no JSON form").caused_by(error)
        })?;
        self.send(Method::POST, "v6", path, Bytes::from(body))
    }

    /// Pairs a request with its reader.
    pub(super) fn then<T>(
        &self,
        request: Request<Bytes>,
        read: impl FnOnce(Response<Bytes>) -> Result<Next<T>, Error> + Send + 'static,
    ) -> Call<T> {
        Call::new(self.operation, request, move |response, _now| read(response))
    }

    /// The JSON of a success, or what the refusal means.
    pub(super) fn answer<T: serde::de::DeserializeOwned>(
        &self,
        response: &Response<Bytes>,
    ) -> Result<T, Error> {
        match response.status().is_success() {
            true => read_json(self.operation, response.body()),
            false => Err(self.refused(response)),
        }
    }

    /// What a refusal means.
    pub(super) fn refused(&self, response: &Response<Bytes>) -> Error {
        refused(self.operation, response)
    }

    /// An answer that contradicts the documentation.
    pub(super) fn unintelligible(&self, message: &str) -> Error {
        unintelligible(self.operation, message)
    }

    /// An error of this operation.
    pub(super) fn error(&self, kind: ErrorKind, remedy: Remedy, message: &str) -> Error {
        Error::new(kind, remedy, self.operation, message)
    }
}

/// A GUID that may stand in a path.
fn envelope_guid(operation: &'static str, id: &EnvelopeId) -> Result<String, Error> {
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
        let name = user.email.or(user.user_name).or(user.user_id);
        let name = name.ok_or_else(|| api.unintelligible("the answer names no user"))?;
        Ok(Next::Done(Identity { name, callback_url: None }))
    }))
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

/// Version 6 keeps the metadata in the configuration. An unreadable one never stops the archiving; a
/// disturbance is tried again, so that metadata is not lost to a bad minute.
fn fetch_metadata(api: &Api, mut envelope: Envelope) -> Result<Next<Lookup>, Error> {
    let request = api.get(&format!("envelope/{}/configuration", envelope.id))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_disturbed(&response) {
            return Err(api.refused(&response));
        }
        let configuration: Option<Configuration> = api.answer(&response).ok();
        envelope.metadata = configuration.and_then(|configuration| configuration.meta_data);
        Ok(Next::Done(Lookup::Found(Box::new(envelope))))
    })))
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
        if history.envelope_has_been_deleted {
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
        if is_disturbed(&response) {
            return Err(api.refused(&response));
        }
        let bulk: Option<Bulk> = api.answer(&response).ok();
        if bulk.is_some_and(|bulk| bulk.bulk_status.is_some()) {
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
    let word = found.envelope_status.unwrap_or_default();
    let status = status(&word);
    let finished = found.activities.iter().filter_map(|activity| activity.finished_date).max();
    Envelope {
        id,
        name: found.name,
        status,
        status_at_platform: word,
        sender: found.sender_user_information.and_then(|sender| sender.email),
        signers: found.activities.into_iter().filter_map(signer_v6).collect(),
        created_at: found.sent_date.or(found.send_date),
        completed_at: finished.filter(|_| status == EnvelopeStatus::Completed),
        metadata: None,
        test_mode: false,
        route: None,
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
    let word = found.status.unwrap_or_default();
    let status = status(&word);
    let options = found.basic_options.unwrap_or_default();
    let steps: Vec<Step> =
        found.bulks.into_iter().flatten().flat_map(|bulk| bulk.steps.unwrap_or_default()).collect();
    let finished = steps.iter().filter_map(|step| step.signed_date).max();
    let is_signer = |step: &Step| step.recipient_type.as_deref() != Some("Cc");
    Envelope {
        id,
        name: options.name,
        status,
        status_at_platform: word,
        sender: None,
        signers: steps.into_iter().filter(is_signer).map(signer_v5).collect(),
        created_at: found.send_date,
        completed_at: finished.filter(|_| status == EnvelopeStatus::Completed),
        metadata: options.meta_data_xml,
        test_mode: false,
        route: Some(V5.to_owned()),
    }
}

fn signer_v5(step: Step) -> Signer {
    Signer {
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

/// Asks version 6 for the files, also for envelopes of version 5; where it refuses those, version 5's own
/// answer has the ids.
pub(super) fn list_artifacts(access: &Access, known: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
    let api = Api::new("esignanywhere list artifacts", access)?;
    let guid = envelope_guid(api.operation, &known.id)?;
    if !known.status.is_final() {
        let message = "the envelope is not final, so its files are not either";
        return Err(api.error(ErrorKind::NotReady, Remedy::Park, message));
    }
    let by_v5 = known.route.as_deref() == Some(V5);
    let completed = known.status == EnvelopeStatus::Completed;
    let request = api.get(&format!("envelope/{guid}/files"))?;
    Ok(api.clone().then(request, move |response| {
        if is_other_generation(&response) || (by_v5 && is_plain_refusal(&response)) {
            return list_v5(&api, &guid, completed);
        }
        let mut list = ArtifactList::new(api.operation);
        add_files(&mut list, api.answer(&response)?)?;
        if by_v5 {
            add_record(&mut list, ENVELOPE_V5);
            return finished(&api, completed, list);
        }
        add_record(&mut list, ENVELOPE);
        list_configuration(&api, &guid, completed, list)
    }))
}

/// The configuration is archived if it can be read; one that cannot be never stops the rest.
fn list_configuration(
    api: &Api,
    guid: &str,
    completed: bool,
    mut list: ArtifactList,
) -> Result<Next<Vec<ArtifactRef>>, Error> {
    let request = api.get(&format!("envelope/{guid}/configuration"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_disturbed(&response) {
            return Err(api.refused(&response));
        }
        if api.answer::<Configuration>(&response).is_ok() {
            add_record(&mut list, CONFIGURATION);
        }
        finished(&api, completed, list)
    })))
}

fn list_v5(api: &Api, guid: &str, completed: bool) -> Result<Next<Vec<ArtifactRef>>, Error> {
    let request = api.get_v5(&format!("envelope/{guid}"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        let found: EnvelopeV5 = api.answer(&response)?;
        let mut list = ArtifactList::new(api.operation);
        for bulk in found.bulks.into_iter().flatten() {
            add_v5(&mut list, bulk)?;
        }
        add_record(&mut list, ENVELOPE_V5);
        finished(&api, completed, list)
    })))
}

fn add_files(list: &mut ArtifactList, files: Files) -> Result<(), Error> {
    for document in files.documents.into_iter().flatten() {
        let name = document.file_name.unwrap_or_else(|| "document".to_owned());
        let trail = document.audit_trail_file_id;
        list.add(FILE, Some(document.file_id), ArtifactKind::Document, &name, signed_content(&name))?;
        list.add(FILE, trail, ArtifactKind::AuditTrail, &audit_trail_of(&name), Content::Pdf)?;
        for file in document.attachments.into_iter().flatten() {
            let name = file.file_name.as_deref().unwrap_or("attachment");
            list.add(FILE, Some(file.file_id), ArtifactKind::Attachment, name, Content::Any)?;
        }
    }
    if let Some(trail) = files.audit_trail {
        list.add(FILE, trail.file_id, ArtifactKind::AuditTrail, "audit-trail.pdf", Content::Pdf)?;
        list.add(FILE, trail.xml_file_id, ArtifactKind::AuditTrail, "audit-trail.xml", Content::Xml)?;
    }
    for file in files.legal_documents.into_iter().flatten() {
        let name = file.file_name.as_deref().unwrap_or("legal-document");
        list.add(FILE, Some(file.file_id), ArtifactKind::LegalEvidence, name, Content::Any)?;
    }
    Ok(())
}

/// The ids that version 5 has inside the envelope itself.
fn add_v5(list: &mut ArtifactList, bulk: BulkV5) -> Result<(), Error> {
    for document in bulk.finished_documents.into_iter().flatten() {
        let name = document.file_name.unwrap_or_else(|| "document".to_owned());
        let content = signed_content(&name);
        list.add(FILE_V5, document.flow_document_id, ArtifactKind::Document, &name, content)?;
        let trail = document.log_document_id;
        list.add(FILE_V5, trail, ArtifactKind::AuditTrail, &audit_trail_of(&name), Content::Pdf)?;
        for file in document.attachments.into_iter().flatten() {
            let name = file.name.as_deref().unwrap_or("attachment");
            list.add(FILE_V5, file.document_id, ArtifactKind::Attachment, name, Content::Any)?;
        }
    }
    let (pdf, xml) = (bulk.log_document_id, bulk.log_xml_document_id);
    list.add(FILE_V5, pdf, ArtifactKind::AuditTrail, "audit-trail.pdf", Content::Pdf)?;
    list.add(FILE_V5, xml, ArtifactKind::AuditTrail, "audit-trail.xml", Content::Xml)?;
    let steps = bulk.steps.into_iter().flatten();
    for file in steps.flat_map(|step| step.disclaimer_documents.unwrap_or_default()) {
        let name = file.disclaimer_type.as_deref().unwrap_or("legal-document");
        list.add(FILE_V5, file.document_id, ArtifactKind::LegalEvidence, name, Content::Any)?;
    }
    Ok(())
}
/// A completed envelope without documents is one whose post-processing still runs.
fn finished(api: &Api, completed: bool, list: ArtifactList) -> Result<Next<Vec<ArtifactRef>>, Error> {
    let artifacts = list.finish();
    if completed && artifacts.iter().all(|artifact| artifact.kind != ArtifactKind::Document) {
        let message = "the envelope is completed and its documents are not listed yet";
        return Err(api.error(ErrorKind::NotReady, Remedy::Park, message));
    }
    Ok(Next::Done(artifacts))
}

fn add_record(list: &mut ArtifactList, record: &str) {
    list.add_record(&format!("{RECORD}:{record}"), &format!("{record}.json"));
}

/// Signed documents are PDFs, but for those signed as PKCS #7 containers.
fn signed_content(name: &str) -> Content {
    if name.to_ascii_lowercase().ends_with(".p7m") { Content::Any } else { Content::Pdf }
}

fn audit_trail_of(document: &str) -> String {
    let stem = split_extension(document).0;
    format!("{stem} audit trail.pdf")
}

pub(super) fn download(
    access: &Access,
    id: &EnvelopeId,
    artifact: &ArtifactRef,
) -> Result<Request<Bytes>, Error> {
    let api = Api::new("esignanywhere download", access)?;
    let guid = envelope_guid(api.operation, id)?;
    let (route, file) = artifact.id.split_once(':').unwrap_or_default();
    match (route, file) {
        (RECORD, ENVELOPE) => api.get(&format!("envelope/{guid}")),
        (RECORD, ENVELOPE_V5) => api.get_v5(&format!("envelope/{guid}")),
        (RECORD, CONFIGURATION) => api.get(&format!("envelope/{guid}/configuration")),
        (FILE, file) => api.get(&format!("file/{}", safe_id(api.operation, file)?)),
        (FILE_V5, file) => {
            api.get_v5(&format!("envelope/downloadCompletedDocument/{}", safe_id(api.operation, file)?))
        }
        _ => {
            let message = "no artifact of this platform has such an id; list the artifacts again";
            Err(api
                .error(ErrorKind::Rejected, Remedy::AskPerson, message)
                .with("artifact", excerpt(&artifact.id)))
        }
    }
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
    let day = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let asked = SWEPT[index];
    // A second more, because the end may be exclusive and we write whole seconds.
    let until = end.checked_add(SignedDuration::from_secs(1)).unwrap_or(end);
    let find = Find { start_date: day(start), end_date: day(until), status: asked };
    let request = api.post("envelope/find", &find)?;
    let next = if index + 1 < SWEPT.len() {
        Some(format!("{}.{slice}", index + 1))
    } else {
        (end < window.until && slice < SLICES_MAX).then(|| format!("0.{}", slice + 1))
    };
    Ok(api.clone().then(request, move |response| {
        let found: Found = api.answer(&response)?;
        let rows = found.envelopes.unwrap_or_default().into_iter();
        let items = rows.map(|row| found_envelope(&api, row, asked)).collect::<Result<_, Error>>()?;
        Ok(Next::Done(Page { items, next }))
    }))
}

fn found_envelope(api: &Api, row: FoundEnvelope, asked: &str) -> Result<Envelope, Error> {
    let id =
        guid(&row.id).ok_or_else(|| api.unintelligible("a row of the list has an id that is no GUID"))?;
    let word = row.status.unwrap_or_else(|| asked.to_owned());
    Ok(Envelope {
        id: EnvelopeId::new(id),
        name: row.name,
        status: status(&word),
        status_at_platform: word,
        sender: None,
        signers: Vec::new(),
        created_at: None,
        completed_at: None,
        metadata: row.meta_data,
        test_mode: false,
        route: None,
    })
}

/// A cursor is `status.slice`.
fn read_cursor(cursor: Option<&str>) -> Option<(usize, i32)> {
    let Some(cursor) = cursor else { return Some((0, 0)) };
    let (index, slice) = cursor.split_once('.')?;
    let (index, slice) = (index.parse().ok()?, slice.parse().ok()?);
    (index < SWEPT.len() && (0..=SLICES_MAX).contains(&slice)).then_some((index, slice))
}

/// The platform deletes running envelopes too, so only a completed one is ever deleted here.
pub(super) fn dispose(access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
    let api = Api::new("esignanywhere delete", access)?;
    let guid = envelope_guid(api.operation, proof.envelope_id())?;
    if proof.status() != EnvelopeStatus::Completed {
        let reason = format!("only completed envelopes are deleted; this one is {}", proof.status().as_str());
        return confirm(&api, &guid, None, Disposal::Kept(reason));
    }
    let request = api.post("envelope/delete", &Delete { envelope_id: &guid })?;
    let by_v5 = proof.envelope().route.as_deref() == Some(V5);
    Ok(api.clone().then(request, move |response| {
        if response.status().is_success() {
            return deleted(&api, &guid);
        }
        let other_generation = is_other_generation(&response);
        if own_status(&response) == Some(404) {
            let kept = "the platform does not find it for deleting, and says that it is not deleted";
            return confirm(&api, &guid, Some(Disposal::AlreadyGone), Disposal::Kept(kept.to_owned()))
                .map(Next::Then);
        }
        if other_generation || (by_v5 && is_plain_refusal(&response)) {
            return delete_v5(&api, guid);
        }
        match error_of(&response) {
            Some(ErrorAnswer { error_id: Some(id), message, .. }) if id == "ERR0013" || id == "ERR0010" => {
                Ok(Next::Done(Disposal::Kept(excerpt(&message.unwrap_or(id)))))
            }
            _ if own_status(&response) == Some(403) => {
                Ok(Next::Done(Disposal::Kept("this access may not delete envelopes".to_owned())))
            }
            _ => Err(api.refused(&response)),
        }
    }))
}

fn delete_v5(api: &Api, guid: String) -> Result<Next<Disposal>, Error> {
    let request = api.send(Method::DELETE, V5, &format!("envelope/{guid}"), Bytes::new())?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        match response.status().is_success() || own_status(&response) == Some(404) {
            true => deleted(&api, &guid),
            false => Err(api.refused(&response)),
        }
    })))
}

/// The platform took the deletion; its history must say so too.
fn deleted(api: &Api, guid: &str) -> Result<Next<Disposal>, Error> {
    let request = api.get(&format!("envelope/{guid}/history"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if own_status(&response) == Some(404) {
            return Ok(Next::Done(Disposal::Removed));
        }
        let history: History = api.answer(&response)?;
        if history.envelope_has_been_deleted {
            return Ok(Next::Done(Disposal::Removed));
        }
        let message = "the platform took the deletion and its history does not show it yet";
        Err(api.error(ErrorKind::NotReady, Remedy::Retry(None), message))
    })))
}

/// Asks the history whether the envelope is gone; changes nothing.
fn confirm(
    api: &Api,
    guid: &str,
    if_unknown: Option<Disposal>,
    if_there: Disposal,
) -> Result<Call<Disposal>, Error> {
    let request = api.get(&format!("envelope/{guid}/history"))?;
    let api = api.clone();
    Ok(api.clone().then(request, move |response| {
        if let (Some(404), Some(disposal)) = (own_status(&response), if_unknown) {
            return Ok(Next::Done(disposal));
        }
        let history: History = api.answer(&response)?;
        let gone = history.envelope_has_been_deleted;
        Ok(Next::Done(if gone { Disposal::AlreadyGone } else { if_there }))
    }))
}

/// The platform's own error object, if the body is one.
fn error_of(response: &Response<Bytes>) -> Option<ErrorAnswer> {
    match Body::of(response.body()) {
        Body::Json(value) if !response.status().is_success() => serde_json::from_value(value).ok(),
        _ => None,
    }
}

/// Whether version 6 says that the envelope was made by version 5.
fn is_other_generation(response: &Response<Bytes>) -> bool {
    error_of(response).is_some_and(|error| error.error_id.as_deref() == Some(OTHER_GENERATION))
}

/// What a refusal means. The body may be absent (always with 401) and is not always JSON.
pub(super) fn refused(operation: &'static str, response: &Response<Bytes>) -> Error {
    let status = response.status();
    let not_before = retry_after(response.headers());
    if matches!(Body::of(response.body()), Body::Foreign) {
        return refused_by_stranger(operation, status, not_before);
    }
    let answer = error_of(response).unwrap_or_default();
    let message = answer.message.as_deref().map_or_else(|| "the platform gave no reason".to_owned(), excerpt);
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
    if let Some(id) = answer.error_id {
        error = error.with("error_id", excerpt(&id));
    }
    match answer.trace_id {
        Some(trace) => error.with("trace_id", excerpt(&trace)),
        None => error,
    }
}
