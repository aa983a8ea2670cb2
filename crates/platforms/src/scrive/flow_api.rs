//! Flow's API, and the documents of an instance one by one.
//!
//! The base path moved with the generations (`/flow`, before `/experimental/flow`); the newer one is tried
//! first, and only an answer that is not Flow's own leads to the older one; an account can name the older one, or say
//! that none is asked or that it has no flows. Flow has no call that removes an instance, and may refuse to let go of its documents.

use std::collections::BTreeMap;
use std::fmt;

use aftersign_core::artifact::ArtifactRef;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension, Lookup, Signer};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call, Disposal, Next, OptionSpec, Page};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::Response;
use serde_json::value::RawValue;

use super::api::{Api, Removal, ready, remove, with_extension};
use super::document::{
    self, MARKS, add_artifacts, add_instance, author_email, awaits_sealing, sealed_file, signers,
};
use super::errors::{is_absent, is_flows_own, is_purged};
use super::flow::{document_ids, leaves_open, needs_documents, participants, status};
use super::flow_id;
use super::seal::extension_of_all;
use super::wire::{Document, Instance};
use crate::exchange::{Asking, is_disturbed, misconfigured, option, own_status, without_mark};
use crate::listing::ArtifactList;

/// The artifact that is the instance's own record.
pub(super) const RECORD: &str = "record:flow";
/// Where Flow's API is, newest first (documentation of 2025, and of 2020 and 2021).
const BASES: [&str; 2] = ["flow", "experimental/flow"];
/// The value of the option with which no flow is ever asked for.
const OFF: &str = "off";
/// The value of the option of accounts that have no flows.
const NONE: &str = "none";
/// Where an account's flows are.
pub(super) const FLOW_BASE: OptionSpec = OptionSpec {
    name: "flow_base",
    values: &["/flow", "/experimental/flow", OFF, NONE],
    default: "/flow",
    about: "Where Flow is asked: at /flow, and where that is not known at /experimental/flow; at /experimental/flow only; \
            or not at all: with off no document is removed by default, because it may be one of a flow; \
            none says that the account has no flows.",
};
/// Documents asked in one page of a sweep: one call each, and all calls of a page must stay far below what the engine
/// follows in a row.
const ROW_DOCUMENTS_MAX: usize = 100;

/// What an account says of its flows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flows {
    /// They are asked for, at this of [`BASES`] first.
    Asked(usize),
    /// Nobody asks for them, though there may be some.
    Unasked,
    /// There are none.
    Absent,
}

impl Flows {
    /// Reads the account's option.
    pub(super) fn of(api: &Api, access: &Access) -> Result<Self, Error> {
        let value = option(api.operation, access, &FLOW_BASE)?;
        let base = BASES.iter().position(|base| value.strip_prefix('/') == Some(*base));
        Ok(match base {
            Some(at) => Self::Asked(at),
            None if value == NONE => Self::Absent,
            None => Self::Unasked,
        })
    }
}

/// Which of [`BASES`] is asked first about a flow.
fn base(api: &Api, access: &Access) -> Result<usize, Error> {
    let value = match Flows::of(api, access)? {
        Flows::Asked(at) => return Ok(at),
        Flows::Unasked => OFF,
        Flows::Absent => NONE,
    };
    let message = format!("the account's option `flow_base` is {value}, so its flows cannot be asked for");
    Err(misconfigured(api.operation, &message))
}

/// The path of an instance, at the base where it was found.
pub(super) fn instance_path(route: Option<&str>, id: &str) -> String {
    let found = route.and_then(|route| route.split(MARKS).next());
    let base = BASES.into_iter().find(|base| found == Some(*base)).unwrap_or(BASES[0]);
    format!("{base}/instances/{id}")
}

/// What the route remembers of one document of a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Version(u64),
    /// It was there, and named no version.
    Versionless,
    /// It was gone.
    Gone,
}

impl Mark {
    const VERSIONLESS: &str = "versionless";
    const GONE: &str = "gone";

    fn read(text: &str) -> Option<Self> {
        match text {
            Self::VERSIONLESS => Some(Self::Versionless),
            Self::GONE => Some(Self::Gone),
            version => version.parse().ok().map(Self::Version),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Versionless => f.write_str(Self::VERSIONLESS),
            Self::Gone => f.write_str(Self::GONE),
        }
    }
}

/// What a flow's envelope remembers of its documents, by their ids.
fn confirmed_marks(route: Option<&str>) -> BTreeMap<&str, Mark> {
    let marks = route.unwrap_or_default().split(MARKS).skip(1);
    marks
        .filter_map(|mark| mark.split_once('='))
        .filter_map(|(id, mark)| Some((id, Mark::read(mark)?)))
        .collect()
}

/// What is done with an answer of the base in use.
type Answered<T> = Box<dyn FnOnce(&'static str, Response<Bytes>) -> Result<Next<T>, Error> + Send>;

/// Asks Flow at each of its bases in turn, until one answers that knows the call.
fn ask<T: 'static>(api: &Api, at: usize, path: String, read: Answered<T>) -> Result<Call<T>, Error> {
    let base = BASES[at.min(BASES.len() - 1)];
    let request = api.get_below_host(&format!("{base}/{path}"))?;
    let api = api.clone();
    Ok(api.clone().then(request, move |response| {
        if !is_elsewhere(&response) || at + 1 >= BASES.len() {
            return if is_page(&response) { Err(page_for_flow(&api)) } else { read(base, response) };
        }
        // A page says that something is in the way, or that Flow is elsewhere; only Flow's own answer tells which.
        let on = api.clone();
        let read: Answered<T> =
            Box::new(move |older, answer| match is_page(&response) && is_elsewhere(&answer) {
                true => Err(page_for_flow(&on)),
                false => read(older, answer),
            });
        ask(&api, at + 1, path, read).map(Next::Then)
    }))
}

fn is_elsewhere(response: &Response<Bytes>) -> bool {
    is_page(response) || (response.status() == 404 && !is_flows_own(response))
}

/// A page of the web site: it answers where an API is not.
fn is_page(response: &Response<Bytes>) -> bool {
    response.status().is_success() && without_mark(response.body()).trim_ascii_start().first() == Some(&b'<')
}

/// The host's web site answers where Flow is asked: something is in the way, or the host has no Flow.
fn page_for_flow(api: &Api) -> Error {
    api.unintelligible(
        "a web page answers where Flow is asked: if it persists, check base_url, or set the account's option \
         `flow_base` to none if the account has no flows",
    )
}

/// The instance that was asked for, and no other.
fn read_instance(api: &Api, id: &str, response: &Response<Bytes>) -> Result<Instance, Error> {
    let instance: Instance = api.answer(response)?;
    match instance.id.as_deref().and_then(flow_id).as_deref() == Some(id) {
        true => Ok(instance),
        false => Err(api.unintelligible("the answer is about another flow instance")),
    }
}

fn named_documents(api: &Api, instance: &Instance) -> Result<Vec<String>, Error> {
    document_ids(instance).map_err(|message| api.unintelligible(message))
}

pub(super) fn fetch(access: &Access, id: String) -> Result<Call<Lookup>, Error> {
    let api = Api::new("scrive fetch envelope", access)?;
    let path = format!("instances/{id}");
    ask(
        &api.clone(),
        base(&api, access)?,
        path,
        Box::new(move |base, response| {
            if is_absent(&response) {
                return Ok(Next::Done(Lookup::NotFound));
            }
            let instance = read_instance(&api, &id, &response)?;
            let mut ids = named_documents(&api, &instance)?;
            if !needs_documents(instance.status.as_deref().unwrap_or_default()) {
                ids.clear();
            }
            ids.reverse();
            let documents = Documents::of(&instance);
            look(Look { api, base, id, instance, ids, documents })
        }),
    )
}

/// What the documents of an instance say together.
#[derive(Default)]
struct Documents {
    statuses: Vec<EnvelopeStatus>,
    extensions: Vec<Extension>,
    sealed_files: Vec<String>,
    /// For the route: `id=` and the [`Mark`] of each.
    marks: Vec<String>,
    /// One cannot be asked any more.
    incomplete: bool,
    sender: Option<String>,
    signers: Vec<Signer>,
}

impl Documents {
    /// None of them yet: only those who take part.
    fn of(instance: &Instance) -> Self {
        Self { signers: participants(instance), ..Self::default() }
    }

    fn add(&mut self, id: &str, document: &Document, extension: Extension) {
        let mark = document.object_version.map_or(Mark::Versionless, Mark::Version);
        self.marks.push(format!("{id}={mark}"));
        self.statuses.push(document::status(document));
        self.extensions.push(extension);
        self.sealed_files.extend(sealed_file(document).map(str::to_owned));
        if self.sender.is_none() {
            self.sender = author_email(document);
        }
        for signer in signers(document) {
            match self.signers.iter_mut().find(|known| is_same(known, &signer)) {
                Some(known) => {
                    known.name = known.name.take().or(signer.name);
                    known.status_at_platform = known.status_at_platform.take().or(signer.status_at_platform);
                    known.signed_at = known.signed_at.max(signer.signed_at);
                }
                // The id of a document's party names nobody in a flow.
                None => self.signers.push(Signer { id: None, ..signer }),
            }
        }
    }

    /// The sealed files together; none if one is missing, which is no newer file but a loss.
    fn revision(&self) -> Option<String> {
        let is_known = !self.incomplete && !self.sealed_files.is_empty();
        is_known.then(|| self.sealed_files.join(","))
    }

    fn extension(&self, status: EnvelopeStatus) -> Extension {
        match self.extensions.is_empty() && status == EnvelopeStatus::Completed {
            true => Extension::Unknown,
            false => extension_of_all(&self.extensions),
        }
    }
}

/// One person, whom the flow knows by address and a document by name too.
fn is_same(known: &Signer, other: &Signer) -> bool {
    let text = |text: &Option<String>| text.as_deref().map(str::to_lowercase);
    text(&known.email) == text(&other.email) && (known.name.is_none() || known.name == other.name)
}

/// A walk over an instance's documents.
struct Look {
    api: Api,
    base: &'static str,
    id: String,
    instance: Instance,
    /// Those to come, last first.
    ids: Vec<String>,
    documents: Documents,
}

fn look(mut walk: Look) -> Result<Next<Lookup>, Error> {
    let Some(id) = walk.ids.pop() else {
        let envelope = envelope(&walk.id, walk.base, walk.instance, walk.documents);
        return Ok(Next::Done(Lookup::Found(Box::new(envelope))));
    };
    let request = walk.api.get_document(&id)?;
    Ok(Next::Then(walk.api.clone().then(request, move |response| {
        // One that is gone tells nothing; what that means for the archiving is the list's to say.
        if is_absent(&response) || is_purged(&response) {
            walk.documents.incomplete = true;
            walk.documents.marks.push(format!("{id}={}", Mark::Gone));
            return look(walk);
        }
        let document = walk.api.read_document(&id, &response)?;
        with_extension(&walk.api.clone(), &id.clone(), document, move |document, extension| {
            walk.documents.add(&id, &document, extension);
            look(walk)
        })
    })))
}

fn envelope(id: &str, base: &str, instance: Instance, documents: Documents) -> Envelope {
    let word = instance.status.unwrap_or_default();
    let status = status(&word, &documents.statuses);
    let route: Vec<&str> = [base].into_iter().chain(documents.marks.iter().map(String::as_str)).collect();
    let route = route.join(&MARKS.to_string());
    let signed_at = documents.signers.iter().filter_map(|signer| signer.signed_at).max();
    Envelope {
        name: instance.title,
        revision: documents.revision(),
        extension: documents.extension(status),
        sender: documents.sender,
        signers: documents.signers,
        created_at: instance.started,
        completed_at: signed_at.or(instance.last_event).filter(|_| status == EnvelopeStatus::Completed),
        route: Some(route),
        ..Envelope::new(EnvelopeId::new(id), status, word)
    }
}

pub(super) fn list(access: &Access, id: String) -> Result<Call<Vec<ArtifactRef>>, Error> {
    let api = Api::new("scrive list artifacts", access)?;
    let path = format!("instances/{id}");
    ask(
        &api.clone(),
        base(&api, access)?,
        path,
        Box::new(move |_base, response| {
            let instance = read_instance(&api, &id, &response)?;
            let word = instance.status.as_deref().unwrap_or_default();
            if status(word, &[]) == EnvelopeStatus::InProgress {
                let message = "the flow is in progress, so its files are not final";
                return Err(api.error(ErrorKind::NotReady, Remedy::Park, message));
            }
            let mut ids = named_documents(&api, &instance)?;
            ids.reverse();
            let list = ArtifactList::new(api.operation);
            // A flow that ended early leaves documents that nobody will finish.
            let ended_early = matches!(
                status(word, &[]),
                EnvelopeStatus::Failed
                    | EnvelopeStatus::Cancelled
                    | EnvelopeStatus::Declined
                    | EnvelopeStatus::Expired
            );
            add_documents(api, ids, ended_early, list)
        }),
    )
}

/// `completed` is said before the documents are sealed, so each of them is waited for. One that is gone is a
/// loss that a person must know of.
fn add_documents(
    api: Api,
    mut ids: Vec<String>,
    ended_early: bool,
    mut list: ArtifactList,
) -> Result<Next<Vec<ArtifactRef>>, Error> {
    let Some(id) = ids.pop() else {
        let mut artifacts = list.finish();
        add_instance(&mut artifacts, RECORD);
        return Ok(Next::Done(artifacts));
    };
    let request = api.get_document(&id)?;
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_absent(&response) || is_purged(&response) {
            let message = "a document of the flow is gone at the platform before it was archived; ask the \
                           sender for a copy";
            return Err(api.error(ErrorKind::NotFound, Remedy::AskPerson, message).with("document", id));
        }
        let document = api.read_document(&id, &response)?;
        if awaits_sealing(&document) || !ended_early {
            ready(&api, &document).map_err(|error| error.with("document", &id))?;
        }
        add_artifacts(&mut list, &id, &document)?;
        add_documents(api, ids, ended_early, list)
    })))
}

/// `GET instances` is the whole list of the user's instances in one array: no filter, no pages. Accounts
/// without Flow, and accesses without `FULL_ACCESS`, have none to list; known flows are looked at one by one all the same.
/// A page says nothing of that, and is a failure; only the 404 of a host that knows neither base is taken for an answer.
pub(super) fn changed_since(api: Api, base: usize, since: Timestamp) -> Result<Call<Page<Envelope>>, Error> {
    ask(
        &api.clone(),
        base,
        "instances".to_owned(),
        Box::new(move |base, response| {
            if response.status() == 404 || matches!(own_status(&response), Some(401 | 403 | 405 | 410)) {
                return Ok(Next::Done(Page { items: Vec::new(), next: None }));
            }
            let rows: Vec<Box<RawValue>> = api.list_answer(&response)?;
            // What is no instance, or has no id that can be asked for (as before Flow's release), is passed over: nothing
            // could be fetched of it, and failing would lose all the others for ever.
            let rows = rows.iter().rev().filter_map(|row| serde_json::from_str::<Instance>(row.get()).ok());
            let rows = rows.filter_map(|row| Some((row.id.as_deref().and_then(flow_id)?, row)));
            // A row without a time may have changed.
            let rows = rows.filter(|(_, row)| row.last_event.or(row.started).is_none_or(|at| at >= since));
            list_rows(Rows {
                api,
                base,
                rows: rows.collect(),
                items: Vec::new(),
                asks_left: ROW_DOCUMENTS_MAX,
            })
        }),
    )
}

/// A walk over the rows of the list.
struct Rows {
    api: Api,
    base: &'static str,
    /// Those to come, last first.
    rows: Vec<(String, Instance)>,
    items: Vec<Envelope>,
    /// Of [`ROW_DOCUMENTS_MAX`].
    asks_left: usize,
}

/// A row has no documents. Where the word alone would make another status of it than a look at the flow does, each sweep
/// would report a difference; so its documents are asked for theirs: all of them, or none if they are too many for what is
/// left of the page's calls, and then the word stands until a look at the flow.
fn list_rows(mut walk: Rows) -> Result<Next<Page<Envelope>>, Error> {
    while let Some((id, instance)) = walk.rows.pop() {
        let mut ids = match leaves_open(instance.status.as_deref().unwrap_or_default()) {
            true => document_ids(&instance).unwrap_or_default(),
            false => Vec::new(),
        };
        let documents = Documents::of(&instance);
        if let Some(asks_left) = walk.asks_left.checked_sub(ids.len())
            && let Some(first) = ids.pop()
        {
            walk.asks_left = asks_left;
            return settle_row(walk, OpenRow { id, instance, documents, ids }, first);
        }
        walk.items.push(envelope(&id, walk.base, instance, documents));
    }
    Ok(Next::Done(Page { items: walk.items, next: None }))
}

/// A row whose word leaves open how the flow ended.
struct OpenRow {
    id: String,
    instance: Instance,
    documents: Documents,
    /// Of its documents those to come.
    ids: Vec<String>,
}

/// Asks for the document `id` of a row, and goes on.
fn settle_row(mut walk: Rows, mut row: OpenRow, id: String) -> Result<Next<Page<Envelope>>, Error> {
    let api = walk.api.clone();
    Ok(Next::Then(api.clone().then(api.get_document(&id)?, move |response| {
        // One that is refused tells nothing, and must not end every sweep.
        if own_status(&response).is_none() || is_disturbed(&response) {
            row.documents.statuses.push(document::status(&api.read_document(&id, &response)?));
        }
        if let Some(next) = row.ids.pop() {
            return settle_row(walk, row, next);
        }
        walk.items.push(envelope(&row.id, walk.base, row.instance, row.documents));
        list_rows(walk)
    })))
}

/// Removes the documents one by one, each in the version that was confirmed, and stops where the platform refuses. The
/// instance itself stays: there is no call for it.
pub(super) fn dispose(access: &Access, id: String, proven: &Envelope) -> Result<Call<Disposal>, Error> {
    let api = Api::new("scrive delete", access)?;
    let path = format!("instances/{id}");
    let route = proven.route.clone();
    ask(
        &api.clone(),
        base(&api, access)?,
        path,
        Box::new(move |_base, response| {
            if is_absent(&response) {
                return Ok(Next::Done(Disposal::AlreadyGone));
            }
            let instance = read_instance(&api, &id, &response)?;
            let named = named_documents(&api, &instance)?;
            match removable(&api, named, route.as_deref())? {
                Removable::None(reason) => Ok(Next::Done(Disposal::Kept(reason.to_owned()))),
                Removable::These { mut left, gone } => {
                    left.reverse();
                    remove_documents(api, left, gone)
                }
            }
        }),
    )
}

/// What may be removed of a flow's documents.
enum Removable {
    /// These, each in its version; so many others are gone.
    These { left: Vec<(String, u64)>, gone: usize },
    /// None of them, for this reason.
    None(&'static str),
}

/// A document that was not there when the flow was confirmed was not archived with it, so nothing is removed then; nor where
/// one was gone, because the flow has no revision then, and so no change of the others would have been seen.
fn removable(api: &Api, named: Vec<String>, route: Option<&str>) -> Result<Removable, Error> {
    let confirmed = confirmed_marks(route);
    let (mut left, mut gone, mut is_versionless) = (Vec::new(), 0, false);
    for id in named {
        match confirmed.get(id.as_str()) {
            Some(Mark::Version(version)) => left.push((id, *version)),
            Some(Mark::Versionless) => is_versionless = true,
            Some(Mark::Gone) => gone += 1,
            None => {
                let message = "the flow names a document that was not confirmed with it, so none is removed";
                return Err(api.error(ErrorKind::Rejected, Remedy::AskPerson, message).with("document", id));
            }
        }
    }
    if is_versionless {
        return Ok(Removable::None("a document has no version, so none is removed"));
    }
    if !left.is_empty() && confirmed.values().any(|mark| *mark == Mark::Gone) {
        return Ok(Removable::None(
            "one of its documents is gone, so whether the others changed cannot be told",
        ));
    }
    Ok(Removable::These { left, gone })
}

fn remove_documents(api: Api, mut left: Vec<(String, u64)>, removed: usize) -> Result<Next<Disposal>, Error> {
    let Some((id, version)) = left.pop() else {
        let reason = format!(
            "its {removed} documents are removed, and Flow has no call that removes the \
             instance itself; the retention of its folder decides"
        );
        return Ok(Next::Done(Disposal::Kept(reason)));
    };
    let on = api.clone();
    let call = remove(&api, id, Some(version), move |removal| match removal {
        Removal::Removed | Removal::AlreadyGone => remove_documents(on, left, removed + 1),
        Removal::Refused(reason) => {
            let before =
                if removed > 0 { format!(" ({removed} documents are removed)") } else { String::new() };
            Ok(Next::Done(Disposal::Kept(format!("{reason}{before}"))))
        }
    })?;
    Ok(Next::Then(call))
}
