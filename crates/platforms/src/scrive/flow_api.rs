//! Flow's API, and the documents of an instance one by one.
//!
//! The base path moved with the generations (`/flow`, before `/experimental/flow`); the newer one is tried
//! first, and only an answer that is not Flow's own leads to the older one; an account can name the older one or
//! none. Flow has no call that removes an instance, and may refuse to let go of its documents.

use aftersign_core::artifact::ArtifactRef;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension, Lookup, Signer};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call, Disposal, Next, OptionSpec, Page};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::Response;

use super::api::{Api, Cursor, Removal, changed_documents, ready, remove, with_extension};
use super::document::{
    self, add_artifacts, add_instance, author_email, awaits_sealing, sealed_file, signers,
};
use super::errors::{is_absent, is_flows_own, is_purged};
use super::flow::{document_ids, needs_documents, participants, status};
use super::flow_id;
use super::seal::extension_of_all;
use super::wire::{Document, Instance};
use crate::exchange::{misconfigured, without_mark};
use crate::listing::ArtifactList;

/// The artifact that is the instance's own record.
pub(super) const RECORD: &str = "record:flow";
/// Where Flow's API is, newest first (documentation of 2025, and of 2020 and 2021).
const BASES: [&str; 2] = ["flow", "experimental/flow"];
/// The value of the option with which no flow is ever asked for.
const OFF: &str = "off";
/// Where an account's flows are.
pub(super) const FLOW_BASE: OptionSpec = OptionSpec {
    name: "flow_base",
    values: &["/flow", "/experimental/flow", OFF],
    default: "/flow",
    about: "Where Flow is asked: at /flow, and where that is not known at /experimental/flow; at /experimental/flow only; \
            or not at all.",
};

/// Whether the account has no flows.
pub(super) fn is_off(access: &Access) -> bool {
    access.option(FLOW_BASE.name) == Some(OFF)
}

/// Which of [`BASES`] is asked first.
fn first_base(api: &Api, access: &Access) -> Result<usize, Error> {
    let value = access.option(FLOW_BASE.name).unwrap_or(FLOW_BASE.default);
    let message = match FLOW_BASE.values.iter().position(|known| *known == value) {
        Some(at) if at < BASES.len() => return Ok(at),
        Some(_) => "the account's option flow_base is off, so its flows cannot be asked for",
        None => "the account's option flow_base is none of /flow, /experimental/flow and off",
    };
    Err(misconfigured(api.operation, message))
}

/// The path of an instance, at the base where it was found.
pub(super) fn instance_path(route: Option<&str>, id: &str) -> String {
    let base = BASES.into_iter().find(|base| route == Some(*base)).unwrap_or(BASES[0]);
    format!("{base}/instances/{id}")
}

/// What is done with an answer of the base in use.
type Answered<T> = Box<dyn FnOnce(&'static str, Response<Bytes>) -> Result<Next<T>, Error> + Send>;

/// Asks Flow at each of its bases in turn, until one answers that knows the call.
fn ask<T: 'static>(api: &Api, at: usize, path: String, read: Answered<T>) -> Result<Call<T>, Error> {
    let base = BASES[at.min(BASES.len() - 1)];
    let request = api.get_below_host(&format!("{base}/{path}"))?;
    let api = api.clone();
    Ok(api.clone().then(request, move |response| {
        let is_elsewhere = is_page(&response) || (response.status() == 404 && !is_flows_own(&response));
        if is_elsewhere && at + 1 < BASES.len() {
            return ask(&api, at + 1, path, read).map(Next::Then);
        }
        read(base, response)
    }))
}

/// A page of the web site: it answers where an API is not.
fn is_page(response: &Response<Bytes>) -> bool {
    response.status().is_success() && without_mark(response.body()).trim_ascii_start().first() == Some(&b'<')
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
        first_base(&api, access)?,
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

    fn add(&mut self, document: &Document, extension: Extension) {
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
            return look(walk);
        }
        let document = walk.api.read_document(&id, &response)?;
        with_extension(&walk.api.clone(), &id, document, move |document, extension| {
            walk.documents.add(&document, extension);
            look(walk)
        })
    })))
}

fn envelope(id: &str, base: &str, instance: Instance, documents: Documents) -> Envelope {
    let word = instance.status.unwrap_or_default();
    let status = status(&word, &documents.statuses);
    let signed_at = documents.signers.iter().filter_map(|signer| signer.signed_at).max();
    Envelope {
        name: instance.title,
        revision: documents.revision(),
        extension: documents.extension(status),
        sender: documents.sender,
        signers: documents.signers,
        created_at: instance.started,
        completed_at: signed_at.or(instance.last_event).filter(|_| status == EnvelopeStatus::Completed),
        route: Some(base.to_owned()),
        ..Envelope::new(EnvelopeId::new(id), status, word)
    }
}

pub(super) fn list(access: &Access, id: String) -> Result<Call<Vec<ArtifactRef>>, Error> {
    let api = Api::new("scrive list artifacts", access)?;
    let path = format!("instances/{id}");
    ask(
        &api.clone(),
        first_base(&api, access)?,
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
/// without Flow, and accesses without `FULL_ACCESS`, have none to list; then documents are listed whether they are a
/// flow's or not, and known flows are looked at one by one. A credential that is no good is refused there too.
pub(super) fn changed_since(
    api: Api,
    access: &Access,
    since: Timestamp,
) -> Result<Call<Page<Envelope>>, Error> {
    ask(
        &api.clone(),
        first_base(&api, access)?,
        "instances".to_owned(),
        Box::new(move |base, response| {
            if is_page(&response) || matches!(response.status().as_u16(), 401 | 403 | 404 | 405 | 410) {
                return changed_documents(&api, Cursor::all(since)).map(Next::Then);
            }
            let rows: Vec<Instance> = api.list_answer(&response)?;
            let mut items = Vec::new();
            for row in rows {
                let id = row.id.as_deref().and_then(flow_id);
                let id = id.ok_or_else(|| api.unintelligible("a row of the list has no id"))?;
                // A row without a time may have changed.
                if row.last_event.or(row.started).is_none_or(|at| at >= since) {
                    let documents = Documents::of(&row);
                    items.push(envelope(&id, base, row, documents));
                }
            }
            Ok(Next::Done(Page { items, next: Some(Cursor::outside_flows(since).to_string()) }))
        }),
    )
}

/// Removes the documents one by one and stops where the platform refuses. The instance itself stays: there
/// is no call for it.
pub(super) fn dispose(access: &Access, id: String) -> Result<Call<Disposal>, Error> {
    let api = Api::new("scrive delete", access)?;
    let path = format!("instances/{id}");
    ask(
        &api.clone(),
        first_base(&api, access)?,
        path,
        Box::new(move |_base, response| {
            if is_absent(&response) {
                return Ok(Next::Done(Disposal::AlreadyGone));
            }
            let instance = read_instance(&api, &id, &response)?;
            let mut ids = named_documents(&api, &instance)?;
            ids.reverse();
            remove_documents(api, ids, 0)
        }),
    )
}

fn remove_documents(api: Api, mut ids: Vec<String>, removed: usize) -> Result<Next<Disposal>, Error> {
    let Some(id) = ids.pop() else {
        let reason = format!(
            "its {removed} documents are removed, and Flow has no call that removes the \
             instance itself; the retention of its folder decides"
        );
        return Ok(Next::Done(Disposal::Kept(reason)));
    };
    let left = api.clone();
    let call = remove(&api, id, None, move |removal| match removal {
        Removal::Removed | Removal::AlreadyGone => remove_documents(left, ids, removed + 1),
        Removal::Refused(reason) => {
            let before =
                if removed > 0 { format!(" ({removed} documents are removed)") } else { String::new() };
            Ok(Next::Done(Disposal::Kept(format!("{reason}{before}"))))
        }
    })?;
    Ok(Next::Then(call))
}
