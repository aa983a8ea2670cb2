//! Flow's API, and the documents of an instance one by one.
//!
//! The base path moved with the generations (`/flow`, before `/experimental/flow`); the newer one is tried
//! first, and only an answer that is not Flow's own leads to the older one. Flow has no call that removes an
//! instance, and may refuse to let go of its documents.

use aftersign_core::artifact::ArtifactRef;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup, Signer};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call, Disposal, Next, Page};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::Response;

use super::api::{Api, Removal, ready, remove};
use super::document::{self, add_artifacts, add_instance, author_email, awaits_sealing, signers};
use super::errors::{is_absent, is_flows_own, is_purged};
use super::flow::{document_ids, needs_documents, status};
use super::flow_id;
use super::wire::Instance;
use crate::listing::ArtifactList;

/// The artifact that is the instance's own record.
pub(super) const RECORD: &str = "record:flow";
/// Where Flow's API is, newest first (documentation of 2025, and of 2020 and 2021).
const BASES: [&str; 2] = ["flow", "experimental/flow"];

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
        let is_elsewhere = response.status() == 404 && !is_flows_own(&response);
        if is_elsewhere && at + 1 < BASES.len() {
            return ask(&api, at + 1, path, read).map(Next::Then);
        }
        read(base, response)
    }))
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
        0,
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
            look(Look { api, base, id, instance, ids, documents: Documents::default() })
        }),
    )
}

/// What the documents of an instance say together.
#[derive(Default)]
struct Documents {
    statuses: Vec<EnvelopeStatus>,
    sender: Option<String>,
    signers: Vec<Signer>,
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
        if !is_absent(&response) && !is_purged(&response) {
            let document = walk.api.read_document(&id, &response)?;
            let seen = &mut walk.documents;
            seen.statuses.push(document::status(&document));
            if seen.sender.is_none() {
                seen.sender = author_email(&document);
            }
            for signer in signers(&document) {
                match seen.signers.iter_mut().find(|known| is_same(known, &signer)) {
                    Some(known) => known.signed_at = known.signed_at.max(signer.signed_at),
                    None => seen.signers.push(signer),
                }
            }
        }
        look(walk)
    })))
}

fn is_same(one: &Signer, other: &Signer) -> bool {
    one.email == other.email && one.name == other.name
}

fn envelope(id: &str, base: &str, instance: Instance, documents: Documents) -> Envelope {
    let word = instance.status.unwrap_or_default();
    let status = status(&word, &documents.statuses);
    let signed_at = documents.signers.iter().filter_map(|signer| signer.signed_at).max();
    Envelope {
        id: EnvelopeId::new(id),
        name: instance.title,
        status,
        status_at_platform: word,
        sender: documents.sender,
        signers: documents.signers,
        created_at: instance.started,
        completed_at: signed_at.or(instance.last_event).filter(|_| status == EnvelopeStatus::Completed),
        metadata: None,
        test_mode: false,
        route: Some(base.to_owned()),
    }
}

pub(super) fn list(access: &Access, id: String) -> Result<Call<Vec<ArtifactRef>>, Error> {
    let api = Api::new("scrive list artifacts", access)?;
    let path = format!("instances/{id}");
    ask(
        &api.clone(),
        0,
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
/// without Flow, and accesses without `FULL_ACCESS`, have none to list; known flows are looked at one by one.
pub(super) fn changed_since(api: Api, since: Timestamp) -> Result<Call<Page<Envelope>>, Error> {
    ask(
        &api.clone(),
        0,
        "instances".to_owned(),
        Box::new(move |base, response| {
            if matches!(response.status().as_u16(), 403 | 404 | 405 | 410) {
                return Ok(Next::Done(Page { items: Vec::new(), next: None }));
            }
            let rows: Vec<Instance> = api.list_answer(&response)?;
            let mut items = Vec::new();
            for row in rows {
                let id = row.id.as_deref().and_then(flow_id);
                let id = id.ok_or_else(|| api.unintelligible("a row of the list has no id"))?;
                // A row without a time may have changed.
                if row.last_event.or(row.started).is_none_or(|at| at >= since) {
                    items.push(envelope(&id, base, row, Documents::default()));
                }
            }
            Ok(Next::Done(Page { items, next: None }))
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
        0,
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
