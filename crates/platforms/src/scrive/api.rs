//! The Document API v2: requests and how their answers are read.
//!
//! Bodies are forms, never JSON. A document's files exist only after sealing, some seconds after it is
//! closed: until then the answer is "wait". Removing is `trash`, then `delete`; both are refused with the
//! state as the reason, so the state is read again before anything is concluded.

use std::fmt;

use aftersign_core::artifact::ArtifactRef;
use aftersign_core::envelope::{Envelope, Extension, Lookup};
use aftersign_core::platform::{Access, Call, Disposal, Identity, Next, Page, Window};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use jiff::SignedDuration;

use super::document::{self, FILE, HISTORY, MAIN, RECORD, ZIP, add_artifacts, author_email, awaits_sealing};
use super::errors::{NOT_PERMITTED, error_of, is_absent, is_parameter_refused, is_purged, reason, refused};
use super::flow_api::Flows;
use super::seal::{extension_by_document, extension_by_history};
use super::wire::{Document, DocumentList, Filter, History, Profile, Sorting};
use super::{Subject, flow_api, is_document_id};
use crate::exchange::{
    Asking, excerpt, is_disturbed, misconfigured, own_status, read_list, request, safe_id, secret_header,
};
use crate::form::encoded;
use crate::listing::ArtifactList;

/// Rows per page (the server may send fewer). Each is a whole document, of hundreds of kilobytes with many parties; the
/// documented default of 100 could exceed for ever what an answer may have.
const PAGE_SIZE: usize = 25;
/// The cursor of a sweep's last page, the list of flows.
const FLOWS: &str = "flows";
/// How far before the window is asked: `mtime` is set inside transactions that may end later.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// Documents changed at one and the same moment: beyond this the list is taken for broken.
const OFFSET_MAX: usize = 100_000;

/// Where and with what an account's API is called; cloned into the readers that go on asking.
#[derive(Clone)]
pub(super) struct Api {
    root: String,
    authorization: HeaderValue,
    pub(super) operation: &'static str,
}

impl Api {
    pub(super) fn new(operation: &'static str, access: &Access) -> Result<Self, Error> {
        Ok(Self {
            root: root(operation, access)?,
            authorization: authorization(operation, access)?,
            operation,
        })
    }

    fn send(&self, method: Method, path: &str, form: Option<String>) -> Result<Request<Bytes>, Error> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.root))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "*/*");
        if form.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request(self.operation, builder, Bytes::from(form.unwrap_or_default()))
    }

    /// A read from the Document API. Ids in `path` are checked before.
    pub(super) fn get(&self, path: &str) -> Result<Request<Bytes>, Error> {
        self.send(Method::GET, &format!("api/v2/{path}"), None)
    }

    /// A read from below the host.
    pub(super) fn get_below_host(&self, path: &str) -> Result<Request<Bytes>, Error> {
        self.send(Method::GET, path, None)
    }

    /// The rows of a success, or what the refusal means.
    pub(super) fn list_answer<T: serde::de::DeserializeOwned>(
        &self,
        response: &Response<Bytes>,
    ) -> Result<Vec<T>, Error> {
        match response.status().is_success() {
            true => read_list(self.operation, response.body()),
            false => Err(self.refused(response)),
        }
    }

    fn host(&self) -> &str {
        let rest = self.root.split_once("://").map_or(self.root.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    /// Asks for a document.
    pub(super) fn get_document(&self, id: &str) -> Result<Request<Bytes>, Error> {
        self.get(&format!("documents/{id}/get"))
    }

    /// The document that was asked for, and no other.
    pub(super) fn read_document(&self, id: &str, response: &Response<Bytes>) -> Result<Document, Error> {
        let document: Document = self.answer(response)?;
        match document.id.as_deref() == Some(id) {
            true => Ok(document),
            false => Err(self.unintelligible("the answer is about another document")),
        }
    }
}

/// The host's URL: `base_url` may be that, or end in the API's path.
pub(super) fn root(operation: &'static str, access: &Access) -> Result<String, Error> {
    let mut root = access.base_url.trim().trim_end_matches('/');
    for suffix in ["/api/v2", "/api", "/experimental/flow", "/flow"] {
        if let Some(host) = root.strip_suffix(suffix) {
            root = host.trim_end_matches('/');
            break;
        }
    }
    match root.is_empty() {
        true => Err(misconfigured(operation, "the account has no base_url")),
        false => Ok(root.to_owned()),
    }
}

impl Asking for Api {
    fn operation(&self) -> &'static str {
        self.operation
    }

    /// A key of production used on the test bed is refused like a mistyped one, so the host is named.
    fn refused(&self, response: &Response<Bytes>) -> Error {
        refused(self.operation, response).with("host", self.host())
    }
}

/// OAuth 1.0 PLAINTEXT, as the API documentation writes it: no nonce, no time, every value in double quotes.
/// The server splits at commas and URL-decodes the signature.
fn authorization(operation: &'static str, access: &Access) -> Result<HeaderValue, Error> {
    let field = |name| {
        let value = access.credential.field(name).trim();
        match is_plain(value) {
            true => Ok(value),
            false => Err(misconfigured(operation, "a field of the account's credential is empty or has characters \
                                                   no key has; all of api_token, api_secret, access_token and \
                                                   access_secret are needed")
                .with("field", name)),
        }
    };
    let secrets = (field("api_secret")?, field("access_secret")?);
    let more = [("oauth_token", field("access_token")?)];
    plaintext(operation, field("api_token")?, &more, secrets)
}

/// Whether a text can stand in the header: nothing that the server would cut at.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b','))
}

/// The header of one request. Names and values are plain; of the secrets, the first is the application's.
pub(super) fn plaintext(
    operation: &'static str,
    key: &str,
    more: &[(&str, &str)],
    (first, second): (&str, &str),
) -> Result<HeaderValue, Error> {
    let mut text = format!("oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{key}\"");
    for (name, value) in more {
        text.push_str(&format!(", {name}=\"{value}\""));
    }
    text.push_str(&format!(", oauth_signature=\"{}&{}\"", encoded(first), encoded(second)));
    secret_header(operation, &text)
}

/// The user's profile (seen at the vendor's test site by a public integration; not in the documentation). Where it is not there
/// or not allowed, or a success is no profile, the author of a document of one's own is the user.
pub(super) fn whoami(access: &Access) -> Result<Call<Identity>, Error> {
    let api = Api::new("scrive whoami", access)?;
    let request = api.get("getprofile")?;
    let path = list_path(&api, &[Filter::IsAuthor], 1, 0)?;
    let own_documents = api.get(&path)?;
    Ok(api.clone().then(request, move |response| {
        if matches!(response.status().as_u16(), 400 | 403 | 404 | 405) {
            return Ok(Next::Then(by_own_document(&api, own_documents)));
        }
        let profile: Profile = match api.answer(&response) {
            Err(refusal) if !response.status().is_success() => return Err(refusal),
            answer => answer.unwrap_or_default(),
        };
        match profile.email {
            Some(email) => {
                Ok(Next::Done(Identity { name: email.clone(), id: profile.id, email: Some(email) }))
            }
            None => Ok(Next::Then(by_own_document(&api, own_documents))),
        }
    }))
}

fn by_own_document(api: &Api, request: Request<Bytes>) -> Call<Identity> {
    let api = api.clone();
    api.clone().then(request, move |response| {
        let list: DocumentList = api.answer(&response)?;
        let email = list.documents.iter().flatten().find_map(author_email);
        let nameless = || format!("a user of {} who has no documents yet", api.host());
        Ok(Next::Done(Identity { name: email.clone().unwrap_or_else(nameless), id: None, email }))
    })
}

fn list_path(api: &Api, filter: &[Filter], max: usize, offset: usize) -> Result<String, Error> {
    let json = |text: Result<String, serde_json::Error>| {
        let text = text
            .map_err(|error| misconfigured(api.operation, "the request has no JSON form").caused_by(error))?;
        Ok::<_, Error>(encoded(&text).to_string())
    };
    let filter = json(serde_json::to_string(filter))?;
    let sorting = json(serde_json::to_string(&[Sorting { sort_by: "mtime", order: "ascending" }]))?;
    Ok(format!("documents/list?max={max}&offset={offset}&filter={filter}&sorting={sorting}"))
}

pub(super) fn fetch_document(access: &Access, id: String) -> Result<Call<Lookup>, Error> {
    let api = Api::new("scrive fetch envelope", access)?;
    let is_told_apart = Flows::of(&api, access)? != Flows::Unasked;
    let request = api.get_document(&id)?;
    Ok(api.clone().then(request, move |response| {
        if is_absent(&response) {
            return Ok(Next::Done(Lookup::NotFound));
        }
        if is_purged(&response) {
            return Ok(Next::Done(Lookup::Deleted { at: None }));
        }
        let document = api.read_document(&id, &response)?;
        if document.is_deleted == Some(true) {
            return Ok(Next::Done(Lookup::Deleted { at: None }));
        }
        with_extension(&api, &id.clone(), document, move |document, extension| {
            let envelope = own_envelope(&id, document, extension, is_told_apart);
            Ok(Next::Done(Lookup::Found(Box::new(envelope))))
        })
    }))
}

/// A document as an envelope. Where flows are not told apart, it may be one of theirs.
fn own_envelope(id: &str, document: Document, extension: Extension, is_told_apart: bool) -> Envelope {
    let envelope = document::envelope(id, document, extension);
    if is_told_apart { envelope } else { document::perhaps_in_flow(envelope) }
}

/// Goes on with how far the extension of a document's seal is. The history alone says whether it was extended; one that
/// cannot be read never stops the archiving, and a disturbance is tried again.
pub(super) fn with_extension<T: 'static>(
    api: &Api,
    id: &str,
    document: Document,
    then: impl FnOnce(Document, Extension) -> Result<Next<T>, Error> + Send + 'static,
) -> Result<Next<T>, Error> {
    let extension = extension_by_document(&document);
    if extension != Extension::Unknown {
        return then(document, extension);
    }
    let request = api.get(&format!("documents/{id}/history?lang=en"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_disturbed(&response) {
            return Err(api.refused(&response));
        }
        let history: Option<History> = api.answer(&response).ok();
        let extension = history.map_or(Extension::Unknown, |history| extension_by_history(&history));
        then(document, extension)
    })))
}

/// Asks again what the document is, because the list follows from its state.
pub(super) fn list_document(access: &Access, id: String) -> Result<Call<Vec<ArtifactRef>>, Error> {
    let api = Api::new("scrive list artifacts", access)?;
    let request = api.get_document(&id)?;
    Ok(api.clone().then(request, move |response| {
        let document = api.read_document(&id, &response)?;
        ready(&api, &document)?;
        let mut list = ArtifactList::new(api.operation);
        add_artifacts(&mut list, &id, &document)?;
        Ok(Next::Done(list.finish()))
    }))
}

/// Whether a document's files are those that stay.
pub(super) fn ready(api: &Api, document: &Document) -> Result<(), Error> {
    let word = document.status.as_deref().unwrap_or("unnamed");
    let message = if !document::status(document).is_final() {
        "the document is not final, so its files are not either"
    } else if awaits_sealing(document) {
        "the document is closed and not sealed yet"
    } else {
        return Ok(());
    };
    Err(api.error(ErrorKind::NotReady, Remedy::Park, message).with("status", excerpt(word)))
}

/// The main file is asked for by its role, not its id: so the answer is 503 until it is sealed, and always
/// the newest one.
pub(super) fn download(
    access: &Access,
    envelope: &Envelope,
    artifact: &ArtifactRef,
) -> Result<Request<Bytes>, Error> {
    let api = Api::new("scrive download", access)?;
    let subject = Subject::of(api.operation, &envelope.id)?;
    let foreign = || {
        let message = "no artifact of this envelope has such an id; list the artifacts again";
        api.error(ErrorKind::Rejected, Remedy::AskPerson, message).with("artifact", excerpt(&artifact.id))
    };
    if let Subject::Flow(id) = &subject
        && artifact.id == flow_api::RECORD
    {
        return api.get_below_host(&flow_api::instance_path(envelope.route.as_deref(), id));
    }
    let (route, rest) = artifact.id.split_once(':').ok_or_else(foreign)?;
    let (id, file) = match rest.split_once('_') {
        Some((id, file)) if route == FILE => (id, Some(safe_id(api.operation, file)?)),
        _ => (rest, None),
    };
    // A flow's documents have ids of their own; an envelope that is a document has its own only.
    let is_own = match &subject {
        Subject::Document(own) => id == own,
        Subject::Flow(_) => is_document_id(id),
    };
    match (route, file) {
        _ if !is_own => Err(foreign()),
        (MAIN, None) => api.get(&format!("documents/{id}/files/main")),
        (ZIP, None) => api.get(&format!("documents/{id}/files/zip")),
        (FILE, Some(file)) => api.get(&format!("documents/{id}/files/{file}")),
        (HISTORY, None) => api.get(&format!("documents/{id}/history?lang=en")),
        (RECORD, None) => api.get_document(id),
        _ => Err(foreign()),
    }
}

/// Where a sweep's list of documents goes on, as `time/offset/which`.
#[derive(Clone, Copy)]
struct Cursor {
    start: Timestamp,
    offset: usize,
    which: Which,
}

/// Which documents a sweep lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those that are envelopes of their own; the others come with their flow.
    OutsideFlows,
    /// A flow's too, because the account says that no flow is asked for, or because the filter is not known.
    All,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (start, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let which = match (parts.next()?, parts.next()) {
            ("outside-flows", None) => Which::OutsideFlows,
            ("all", None) => Which::All,
            _ => return None,
        };
        (offset <= OFFSET_MAX).then_some(Self { start, offset, which })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.which {
            Which::OutsideFlows => "outside-flows",
            Which::All => "all",
        };
        write!(f, "{}/{}/{which}", self.start, self.offset)
    }
}

/// Flows last, because their list has no pages and may be too large for ever: the documents are told before it fails.
pub(super) fn changed_since(access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
    let api = Api::new("scrive list changes", access)?;
    let first = window.since.checked_sub(OVERLAP).unwrap_or(Timestamp::UNIX_EPOCH);
    let flows = Flows::of(&api, access)?;
    let cursor = match (window.cursor.as_deref(), flows) {
        (Some(FLOWS), Flows::Asked(base)) => return flow_api::changed_since(api, base, first),
        (None, Flows::Asked(_) | Flows::Absent) => {
            Some(Cursor { start: first, offset: 0, which: Which::OutsideFlows })
        }
        (None, Flows::Unasked) => Some(Cursor { start: first, offset: 0, which: Which::All }),
        (Some(cursor), _) => Cursor::read(cursor),
    };
    let cursor = cursor.ok_or_else(|| {
        api.error(ErrorKind::Rejected, Remedy::Abandon, "the sweep's cursor is none of ours; start again")
    })?;
    changed_documents(&api, cursor, flows)
}

/// Pages go on from the last change seen, not by a growing offset: a document that changes while we read
/// moves to the end, and everything behind it would slip by one unseen. Only documents of one and the same
/// moment are counted through. After the last page the sweep goes on with the flows, where they are asked for.
fn changed_documents(api: &Api, cursor: Cursor, flows: Flows) -> Result<Call<Page<Envelope>>, Error> {
    // No end: what changes while we read is found now rather than next time.
    let mut filter = vec![
        Filter::Mtime { start_time: cursor.start.to_string() },
        Filter::IsAuthor,
        Filter::IsNotTemplate,
        Filter::IsNotInTrash,
    ];
    if cursor.which == Which::OutsideFlows {
        filter.push(Filter::IsNotPartOfAFlow);
    }
    let request = api.get(&list_path(api, &filter, PAGE_SIZE, cursor.offset)?)?;
    let api = api.clone();
    Ok(api.clone().then(request, move |response| {
        if cursor.which == Which::OutsideFlows && is_parameter_refused(&response) {
            let all = Cursor { which: Which::All, ..cursor };
            return changed_documents(&api, all, flows).map(Next::Then);
        }
        let list: DocumentList = api.answer(&response)?;
        let next = next_page(cursor, &list).map(|next| next.to_string());
        let rows = list.documents.into_iter().flatten().filter(|row| row.is_template != Some(true));
        let is_told_apart = cursor.which == Which::OutsideFlows || flows == Flows::Absent;
        let items = rows.filter_map(|row| listed(row, is_told_apart)).collect();
        let flows_are_next = matches!(flows, Flows::Asked(_));
        Ok(Next::Done(Page { items, next: next.or_else(|| flows_are_next.then(|| FLOWS.to_owned())) }))
    }))
}

/// Where to go on; `None` at the end.
fn next_page(cursor: Cursor, list: &DocumentList) -> Option<Cursor> {
    let rows = list.documents.len();
    let offset = cursor.offset + rows;
    // The server may send fewer rows than asked for; its count is right up to 1,000 beyond the offset.
    let more = match list.total_matching {
        Some(total) => rows > 0 && total > u64::try_from(offset).unwrap_or(u64::MAX),
        None => rows >= PAGE_SIZE,
    };
    // A list that is not in order is counted through: its last row says nothing about the others.
    let times: Vec<_> = list.documents.iter().map(|row| row.as_ref().and_then(|row| row.mtime)).collect();
    let in_order = times.is_sorted();
    let last = times.last().copied().flatten();
    let next = match last.filter(|last| in_order && *last > cursor.start) {
        Some(start) => Cursor { start, offset: 0, ..cursor },
        None => Cursor { offset, ..cursor },
    };
    more.then_some(next)
}

/// A row has no history, so it cannot tell whether the seal is extended; but its revision differs then. `None` for a row
/// without a document's id: nothing could be asked about it, and failing would lose all the others for ever.
fn listed(row: Document, is_told_apart: bool) -> Option<Envelope> {
    let id = row.id.clone().filter(|id| is_document_id(id))?;
    let extension = extension_by_document(&row);
    Some(own_envelope(&id, row, extension, is_told_apart))
}

/// What removing one document led to.
pub(super) enum Removal {
    Removed,
    AlreadyGone,
    /// The platform refuses, and says why.
    Refused(String),
}

/// Puts the document into the trash and deletes it there. With the version that was confirmed the platform
/// refuses if anybody acted on the document since (the extension of its seal included).
pub(super) fn dispose_document(
    access: &Access,
    id: String,
    version: Option<u64>,
) -> Result<Call<Disposal>, Error> {
    let api = Api::new("scrive delete", access)?;
    remove(&api, id, version, |removal| {
        Ok(Next::Done(match removal {
            Removal::Removed => Disposal::Removed,
            Removal::AlreadyGone => Disposal::AlreadyGone,
            Removal::Refused(reason) => Disposal::Kept(reason),
        }))
    })
}

/// What is done when a document is removed, or cannot be.
type Then<T> = Box<dyn FnOnce(Removal) -> Result<Next<T>, Error> + Send>;

pub(super) fn remove<T: 'static>(
    api: &Api,
    id: String,
    version: Option<u64>,
    then: impl FnOnce(Removal) -> Result<Next<T>, Error> + Send + 'static,
) -> Result<Call<T>, Error> {
    let form = version.map_or_else(String::new, |version| format!("object_version={version}"));
    let request = api.send(Method::POST, &format!("api/v2/documents/{id}/trash"), Some(form))?;
    let api = api.clone();
    let then: Then<T> = Box::new(then);
    Ok(api.clone().then(request, move |response| {
        if response.status().is_success() {
            let document = api.read_document(&id, &response)?;
            if document.is_trashed != Some(true) {
                return Err(api.unintelligible("the document was put into the trash and is not in it"));
            }
            return delete(&api, id, then);
        }
        match own_status(&response) {
            _ if is_absent(&response) || is_purged(&response) => then(Removal::AlreadyGone),
            Some(403) => then(kept(&response)),
            // Most often it lies in the trash already, from a try whose answer was lost.
            Some(409) => look_into_trash(&api, id, response, then),
            _ => Err(api.refused(&response)),
        }
    }))
}

/// The refusal to let go of a document; core puts "kept at the platform" before the reason.
fn kept(response: &Response<Bytes>) -> Removal {
    let error = error_of(response);
    let said = reason(&error);
    Removal::Refused(match error.error_type.as_deref() {
        Some(NOT_PERMITTED) => format!(
            "a document of a flow cannot be removed alone; the retention of its Flow \
             folder decides ({said})"
        ),
        _ => format!("this access may not remove the document ({said})"),
    })
}

fn look_into_trash<T: 'static>(
    api: &Api,
    id: String,
    refusal: Response<Bytes>,
    then: Then<T>,
) -> Result<Next<T>, Error> {
    let request = api.get_document(&id)?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_absent(&response) || is_purged(&response) {
            return then(Removal::AlreadyGone);
        }
        let document = api.read_document(&id, &response)?;
        match (document.is_deleted, document.is_trashed) {
            (Some(true), _) => then(Removal::AlreadyGone),
            (_, Some(true)) => delete(&api, id, then),
            _ => Err(api.refused(&refusal)),
        }
    })))
}

fn delete<T: 'static>(api: &Api, id: String, then: Then<T>) -> Result<Next<T>, Error> {
    let request = api.send(Method::POST, &format!("api/v2/documents/{id}/delete"), Some(String::new()))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_absent(&response) || is_purged(&response) {
            return then(Removal::Removed);
        }
        if own_status(&response) == Some(403) {
            return then(kept(&response));
        }
        let document = api.read_document(&id, &response)?;
        match document.is_deleted {
            Some(true) => then(Removal::Removed),
            _ => Err(api.unintelligible("the platform took the deletion and the document is not deleted")),
        }
    })))
}
