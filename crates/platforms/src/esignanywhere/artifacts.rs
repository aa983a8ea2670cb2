//! Which files an envelope has, and where each is fetched from.
//!
//! An artifact's id is `route:file`, so that a transfer that goes on tomorrow still knows by which generation of
//! the API a file was listed.

use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content, split_extension};
use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call, Next};
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::Request;

use super::api::{Api, V5, configuration, envelope_guid, is_other_generation};
use super::wire::{BulkV5, EnvelopeV5, Files};
use crate::exchange::{Asking, excerpt, is_plain_refusal, safe_id};
use crate::listing::ArtifactList;

/// Prefixes of artifact ids: a file of either generation, or one of the platform's own records.
const FILE: &str = "file";
const FILE_V5: &str = "v5";
const RECORD: &str = "record";
/// The records.
const ENVELOPE: &str = "envelope";
const ENVELOPE_V5: &str = "envelope-v5";
const CONFIGURATION: &str = "configuration";

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

/// The configuration is archived if there is one for us; its refusal never stops the rest.
fn list_configuration(
    api: &Api,
    guid: &str,
    completed: bool,
    mut list: ArtifactList,
) -> Result<Next<Vec<ArtifactRef>>, Error> {
    let request = api.get(&format!("envelope/{guid}/configuration"))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if configuration(&api, &response)?.is_some() {
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
