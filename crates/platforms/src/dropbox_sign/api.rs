//! API v3 of Dropbox Sign: requests and how their answers are read.
//!
//! The object has no status field; it is derived. Errors are told apart by `error_name` before the HTTP
//! status, because the vendor has moved some of them (`exceeded_rate` was 403 and is 429).

use std::time::Duration;

use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup, Signer};
use aftersign_core::error::NotBefore;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::limits::RETRY_AFTER_LONGEST;
use aftersign_core::platform::{ACCESS_TOKEN, Access, Call, Disposal, Identity, Next, Page, Window};
use aftersign_core::proof::TransferProof;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::wire::{OneAccount, OneRequest, RequestList, Signature, SignatureRequest, error_fields};
use crate::exchange::{
    Body, excerpt, misconfigured, own_status, read_json, refused_by_status, refused_by_stranger, request,
    retry_after, safe_id, secret_header, unintelligible, word,
};

/// What the ZIP of a completed request must contain (vendor's help page on separate audit trails).
const AUDIT_TRAIL_ENTRY: &str = "Audit Trail.pdf";

/// The artifacts we name, by the id under which a transfer remembers them.
const MERGED_PDF: &str = "pdf";
const SEPARATE_FILES: &str = "zip";
const RECORD: &str = "record";

/// How far before the window of changes creation may lie: lists filter by creation alone, and a request may
/// be signed weeks after it was made.
const CREATED_BEFORE: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Widening at both ends, because the list's dates have no zone and its index lags.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// Rows per page: the most that is allowed.
const PAGE_SIZE: usize = 100;
/// Pages read of one list: beyond this the list's own count is taken for broken.
const PAGES_MAX: u32 = 1_000;
/// What a sweep asks for, in turn. `from:me` keeps out what others sent to this account. There is no query
/// for cancelled or expired requests.
const SWEPT: [&str; 2] = ["complete:true", "declined:true"];

/// A request without a body.
pub(super) fn call(
    operation: &'static str,
    access: &Access,
    method: Method,
    path: &str,
) -> Result<Request<Bytes>, Error> {
    send(operation, access, method, path, Bytes::new())
}

/// A request; ids in `path` are checked before.
pub(super) fn send(
    operation: &'static str,
    access: &Access,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Request<Bytes>, Error> {
    let mut builder = Request::builder()
        .method(method)
        .uri(format!("{}/{path}", access.base_url.trim_end_matches('/')))
        .header(AUTHORIZATION, secret_header(operation, &authorization(operation, access)?)?)
        .header(ACCEPT, "*/*");
    if !body.is_empty() {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }
    request(operation, builder, body)
}

/// A sender's grant is a Bearer token. Of a key Basic is made: it is the user, and the password is empty.
fn authorization(operation: &'static str, access: &Access) -> Result<String, Error> {
    if is_granted(access) {
        return Ok(format!("Bearer {}", access.credential.field(ACCESS_TOKEN)));
    }
    let key = access.credential.field("api_key");
    match key.trim().is_empty() {
        true => Err(misconfigured(operation, "the account has no api_key in its credential")),
        false => Ok(format!("Basic {}", STANDARD.encode(format!("{key}:")))),
    }
}

/// Whether the access is a sender's consent. Such a token sees less than the account's API key: only what was sent with a
/// token of the same application (official description of `signature_request_access`).
fn is_granted(access: &Access) -> bool {
    !access.credential.field(ACCESS_TOKEN).is_empty()
}

fn one_request(operation: &'static str, access: &Access, id: &str) -> Result<Request<Bytes>, Error> {
    let id = safe_id(operation, id)?;
    call(operation, access, Method::GET, &format!("signature_request/{id}"))
}

pub(super) fn whoami(access: &Access) -> Result<Call<Identity>, Error> {
    const OPERATION: &str = "dropbox-sign whoami";
    let request = call(OPERATION, access, Method::GET, "account")?;
    Ok(Call::new(OPERATION, request, |response, now| {
        let answer: OneAccount = answer(OPERATION, &response, now)?;
        let account = answer.account;
        let (email, id) = (account.email_address, account.account_id);
        let name = email.clone().or_else(|| id.clone());
        let name = name.ok_or_else(|| unintelligible(OPERATION, "the account has neither e-mail nor id"))?;
        Ok(Next::Done(Identity { name, id, email }))
    }))
}

pub(super) fn fetch_envelope(access: &Access, id: &EnvelopeId) -> Result<Call<Lookup>, Error> {
    const OPERATION: &str = "dropbox-sign fetch envelope";
    let request = one_request(OPERATION, access, id.as_str())?;
    let asked = id.clone();
    let is_granted = is_granted(access);
    Ok(Call::new(OPERATION, request, move |response, now| {
        match own_status(&response) {
            Some(404) => return Ok(Next::Done(Lookup::NotFound)),
            // What was sent from the web pages is not for tokens; the account's own key sees it.
            Some(403)
                if is_granted && refused(OPERATION, &response, Some(now)).kind() == ErrorKind::Forbidden =>
            {
                return Ok(Next::Done(Lookup::NotFound));
            }
            Some(410) => return Ok(Next::Done(Lookup::Deleted { at: None })),
            _ => {}
        }
        let found = read_request(OPERATION, &asked, &response, now)?;
        Ok(Next::Done(Lookup::Found(Box::new(envelope(asked, found)))))
    }))
}

/// Asks again what the request is, because the list follows from its state.
pub(super) fn list_artifacts(access: &Access, known: &Envelope) -> Result<Call<Vec<ArtifactRef>>, Error> {
    const OPERATION: &str = "dropbox-sign list artifacts";
    let request = one_request(OPERATION, access, known.id.as_str())?;
    let asked = known.id.clone();
    Ok(Call::new(OPERATION, request, move |response, now| {
        let found = read_request(OPERATION, &asked, &response, now)?;
        let signed_by_sender_alone = signed_by_sender_alone(&found);
        let envelope = envelope(asked, found);
        if !envelope.status.is_final() {
            let message = "the request is no longer final, so its files are not either";
            return Err(Error::new(ErrorKind::NotReady, Remedy::Park, OPERATION, message)
                .with("status", &envelope.status_at_platform));
        }
        Ok(Next::Done(artifacts(&envelope, signed_by_sender_alone)))
    }))
}

/// The merged PDF is the legal copy, the ZIP has the audit trail as a file of its own, the JSON is the
/// metadata. A request that failed in processing has no files.
fn artifacts(envelope: &Envelope, signed_by_sender_alone: bool) -> Vec<ArtifactRef> {
    let artifact = |id: &str, kind, name: &str, content| ArtifactRef {
        id: id.to_owned(),
        kind,
        name: name.to_owned(),
        content,
    };
    let record = artifact(RECORD, ArtifactKind::PlatformRecord, "signature_request.json", Content::Json);
    if envelope.status == EnvelopeStatus::Failed {
        return vec![record];
    }
    let title = envelope.name.as_deref().unwrap_or("document");
    let stem = match title.to_ascii_lowercase().strip_suffix(".pdf") {
        Some(stem) if !stem.is_empty() => &title[..stem.len()],
        _ => title,
    };
    // Documents that the sender alone signs have no audit trail; of declined and expired ones it is not known.
    let audited = envelope.status == EnvelopeStatus::Completed && !signed_by_sender_alone;
    let entry_suffix = audited.then(|| AUDIT_TRAIL_ENTRY.to_owned());
    vec![
        artifact(MERGED_PDF, ArtifactKind::Document, stem, Content::Pdf),
        artifact(SEPARATE_FILES, ArtifactKind::Bundle, stem, Content::Zip { entry_suffix }),
        record,
    ]
}

fn signed_by_sender_alone(request: &SignatureRequest) -> bool {
    let Some(sender) = &request.requester_email_address else { return false };
    let is_sender = |signature: &Signature| {
        signature.signer_email_address.as_ref().is_some_and(|signer| signer.eq_ignore_ascii_case(sender))
    };
    !request.signatures.is_empty() && request.signatures.iter().all(is_sender)
}

/// The URL is built from the request's id: the one inside its `files_url` can be another.
pub(super) fn download(
    access: &Access,
    id: &EnvelopeId,
    artifact: &ArtifactRef,
) -> Result<Request<Bytes>, Error> {
    const OPERATION: &str = "dropbox-sign download";
    match artifact.id.as_str() {
        RECORD => one_request(OPERATION, access, id.as_str()),
        file_type @ (MERGED_PDF | SEPARATE_FILES) => {
            let id = safe_id(OPERATION, id.as_str())?;
            let path = format!("signature_request/files/{id}?file_type={file_type}");
            call(OPERATION, access, Method::GET, &path)
        }
        other => Err(Error::new(
            ErrorKind::Rejected,
            Remedy::AskPerson,
            OPERATION,
            "no artifact of this platform has such an id; list the artifacts again",
        )
        .with("artifact", excerpt(other))),
    }
}

pub(super) fn changed_since(access: &Access, window: &Window) -> Result<Call<Page<Envelope>>, Error> {
    const OPERATION: &str = "dropbox-sign list changes";
    let (query, page) = read_cursor(window.cursor.as_deref()).ok_or_else(|| {
        let message = "the sweep's cursor is none of ours; start the sweep again";
        Error::new(ErrorKind::Rejected, Remedy::Abandon, OPERATION, message)
    })?;
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let from = window.since.checked_sub(CREATED_BEFORE + OVERLAP).unwrap_or(Timestamp::UNIX_EPOCH);
    let to = window.until.checked_add(OVERLAP).unwrap_or(window.until);
    let text = format!("from:me AND {} AND created:[{} TO {}]", SWEPT[query], day(from), day(to));
    let text = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    let path = format!("signature_request/list?page={page}&page_size={PAGE_SIZE}&query={text}");
    let request = call(OPERATION, access, Method::GET, &path)?;
    Ok(Call::new(OPERATION, request, move |response, now| {
        let list: RequestList = answer(OPERATION, &response, now)?;
        let full = list.signature_requests.len() >= PAGE_SIZE;
        // A page past the end is answered with an empty list, not with an error.
        let more = match list.list_info.and_then(|info| info.num_pages) {
            Some(pages) => page < pages && !list.signature_requests.is_empty(),
            None => full,
        };
        // A row without an id names nothing; the others must not suffer for it.
        let items = list.signature_requests.into_iter().flatten().filter_map(|found| {
            let id = found.signature_request_id.clone()?;
            Some(envelope(EnvelopeId::new(id), found))
        });
        let next = if more && page < PAGES_MAX { Some((query, page + 1)) } else { after(query) };
        let next = next.map(|(query, page)| format!("{query}.{page}"));
        Ok(Next::Done(Page { items: items.collect(), next }))
    }))
}

/// The first page of the next query.
fn after(query: usize) -> Option<(usize, u32)> {
    (query + 1 < SWEPT.len()).then_some((query + 1, 1))
}

/// A cursor is `query.page`.
fn read_cursor(cursor: Option<&str>) -> Option<(usize, u32)> {
    let Some(cursor) = cursor else { return Some((0, 1)) };
    let (query, page) = cursor.split_once('.')?;
    let (query, page) = (query.parse().ok()?, page.parse().ok()?);
    (query < SWEPT.len() && (1..=PAGES_MAX).contains(&page)).then_some((query, page))
}

/// `remove` ends our own access only, at once and for ever; it is refused for anything but completed or
/// declined requests, and test requests are never removed automatically.
pub(super) fn dispose(access: &Access, proof: &TransferProof) -> Result<Call<Disposal>, Error> {
    const OPERATION: &str = "dropbox-sign remove";
    let status = proof.status();
    if !matches!(status, EnvelopeStatus::Completed | EnvelopeStatus::Declined) {
        let reason = format!(
            "Dropbox Sign removes completed and declined requests only; this one is {}",
            status.as_str()
        );
        return keep(OPERATION, access, proof.envelope_id(), reason);
    }
    if proof.envelope().test_mode {
        let reason = "requests in test mode are not removed automatically".to_owned();
        return keep(OPERATION, access, proof.envelope_id(), reason);
    }
    let id = safe_id(OPERATION, proof.envelope_id().as_str())?;
    let request = call(OPERATION, access, Method::POST, &format!("signature_request/remove/{id}"))?;
    let is_granted = is_granted(access);
    Ok(Call::new(OPERATION, request, move |response, now| {
        if response.status().is_success() {
            return match Body::of(response.body()) {
                // A success has an empty body; JSON would be warnings.
                Body::Empty | Body::Json(_) => Ok(Next::Done(Disposal::Removed)),
                Body::Foreign => Err(refused_by_stranger(OPERATION, response.status(), None)),
            };
        }
        let refusal = Refused::read(&response);
        let disposal = match (refusal.name.as_deref(), own_status(&response)) {
            // A stranger's 401 does not say that the grant is revoked either.
            (_, None) if is_granted && response.status() == StatusCode::UNAUTHORIZED => {
                return Err(unintelligible(
                    OPERATION,
                    "something other than the platform's API refused the removal",
                ));
            }
            (Some("exceeded_rate"), _) | (_, None) => return Err(refused(OPERATION, &response, Some(now))),
            (Some(_), Some(404 | 410)) => Disposal::AlreadyGone,
            // Whoever answers so without the platform's own word may be a proxy.
            (None, Some(404 | 410)) => return Err(refused_by_stranger(OPERATION, response.status(), None)),
            (Some("signature_request_remove_failed"), _) => {
                Disposal::Kept(format!("the platform refused to remove it: {}", refusal.message))
            }
            // No scope of a token is documented for removing, so its refusal does not say that the grant is revoked.
            (_, Some(status @ (401 | 403))) if is_granted => {
                let message = format!(
                    "a sender's consent does not allow to remove requests; remove it with the account's own API key: {}",
                    refusal.message
                );
                let error = Error::new(ErrorKind::Forbidden, Remedy::AskPerson, OPERATION, message);
                return Err(error.with("status", status));
            }
            (_, Some(401 | 403)) => Disposal::Kept(format!(
                "this access may not remove requests (only an account's own API key can): {}",
                refusal.message
            )),
            _ => return Err(refused(OPERATION, &response, Some(now))),
        };
        Ok(Next::Done(disposal))
    }))
}

/// Changes nothing: asks whether the request is still there and says why it stays.
fn keep(
    operation: &'static str,
    access: &Access,
    id: &EnvelopeId,
    reason: String,
) -> Result<Call<Disposal>, Error> {
    let request = one_request(operation, access, id.as_str())?;
    Ok(Call::new(operation, request, move |response, now| {
        if matches!(own_status(&response), Some(404 | 410)) && Refused::read(&response).name.is_some() {
            return Ok(Next::Done(Disposal::AlreadyGone));
        }
        answer::<OneRequest>(operation, &response, now)?;
        Ok(Next::Done(Disposal::Kept(reason)))
    }))
}

/// The JSON of a success, or what the refusal means.
pub(super) fn answer<T: serde::de::DeserializeOwned>(
    operation: &'static str,
    response: &Response<Bytes>,
    now: Timestamp,
) -> Result<T, Error> {
    if response.status().is_success() {
        return read_json(operation, response.body());
    }
    Err(refused(operation, response, Some(now)))
}

/// The signature request that was asked for, and no other.
fn read_request(
    operation: &'static str,
    asked: &EnvelopeId,
    response: &Response<Bytes>,
    now: Timestamp,
) -> Result<SignatureRequest, Error> {
    let found = answer::<OneRequest>(operation, response, now)?.signature_request;
    if found.signature_request_id.as_deref() != Some(asked.as_str()) {
        return Err(unintelligible(operation, "the answer is about another signature request"));
    }
    Ok(found)
}

fn envelope(id: EnvelopeId, request: SignatureRequest) -> Envelope {
    let (status, status_at_platform) = status(&request);
    let status_at_platform = word(&status_at_platform);
    let completed = status == EnvelopeStatus::Completed;
    let completed_at = request.signatures.iter().filter_map(|signature| signature.signed_at).max();
    let signer = |signature: Signature| Signer {
        id: signature.signature_id,
        name: signature.signer_name,
        email: signature.signer_email_address,
        status_at_platform: signature.status_code,
        signed_at: signature.signed_at,
    };
    Envelope {
        name: request.title,
        sender: request.requester_email_address,
        signers: request.signatures.into_iter().map(signer).collect(),
        created_at: request.created_at,
        completed_at: completed_at.filter(|_| completed),
        metadata: request.metadata.map(|raw| raw.get().to_owned()),
        test_mode: request.test_mode.unwrap_or(false),
        expires_at: request.expires_at,
        ..Envelope::new(id, status, status_at_platform)
    }
}

/// The object has three flags and a code per signer. Completion outranks a later expiry; a code that we do
/// not know is kept and never final.
fn status(request: &SignatureRequest) -> (EnvelopeStatus, String) {
    let flag = |flag: Option<bool>| flag == Some(true);
    let codes = || request.signatures.iter().filter_map(|signature| signature.status_code.as_deref());
    let touched = |signature: &Signature| {
        signature.signed_at.is_some()
            || signature.last_viewed_at.is_some()
            || signature.status_code.as_deref() == Some("signed")
    };
    if flag(request.has_error) {
        let code = codes().find(|code| code.starts_with("error")).unwrap_or("has_error");
        return (EnvelopeStatus::Failed, code.to_owned());
    }
    if flag(request.is_declined) {
        return (EnvelopeStatus::Declined, "declined".to_owned());
    }
    if flag(request.is_complete) {
        return (EnvelopeStatus::Completed, "complete".to_owned());
    }
    if codes().any(|code| code == "expired") {
        return (EnvelopeStatus::Expired, "expired".to_owned());
    }
    let open = codes().find(|code| *code != "signed").unwrap_or("awaiting_signature");
    let status = if open.starts_with("on_hold") || request.signatures.iter().any(touched) {
        EnvelopeStatus::InProgress
    } else {
        EnvelopeStatus::Sent
    };
    (status, open.to_owned())
}

/// `error_name` and `error_msg` of a refusal.
struct Refused {
    name: Option<String>,
    message: String,
    foreign: bool,
}

impl Refused {
    fn read(response: &Response<Bytes>) -> Self {
        let body = Body::of(response.body());
        let foreign = matches!(body, Body::Foreign);
        let (name, message) = match &body {
            Body::Json(value) => error_fields(value),
            _ => (None, None),
        };
        let message = message.map_or_else(|| "the platform gave no reason".to_owned(), excerpt);
        Self { name: name.map(excerpt), message, foreign }
    }
}

/// What a refusal means. `now` sharpens the rate limit's reset; without it the caller's clamp applies.
pub(super) fn refused(operation: &'static str, response: &Response<Bytes>, now: Option<Timestamp>) -> Error {
    let status = response.status();
    let not_before = rate_reset(response.headers(), now);
    let Refused { name, message, foreign } = Refused::read(response);
    if foreign {
        return refused_by_stranger(operation, status, not_before);
    }
    let retry = Remedy::Retry(not_before);
    let by_name = match name.as_deref() {
        Some("exceeded_rate") => Some((ErrorKind::RateLimited, retry)),
        Some("unauthorized") => Some((ErrorKind::AccessRefused, Remedy::RenewAccess)),
        Some("maintenance" | "unavailable" | "unknown") => Some((ErrorKind::Unavailable, retry)),
        Some("conflict") => Some((ErrorKind::NotReady, Remedy::Park)),
        Some("signature_request_expired") => Some((ErrorKind::Rejected, Remedy::AskPerson)),
        _ => None,
    };
    let error = match by_name {
        Some((kind, remedy)) => Error::new(kind, remedy, operation, message).with("status", status.as_u16()),
        None => refused_by_status(operation, status, not_before, message),
    };
    match name {
        Some(name) => error.with("error_name", name),
        None => error,
    }
}

/// When the rate limit is lifted. The description and the wire spell the header alike but for case; the
/// value was seen to equal "now", so it is kept between one second and the longest wait.
fn rate_reset(headers: &HeaderMap, now: Option<Timestamp>) -> Option<NotBefore> {
    let reset = headers.get("x-ratelimit-reset").and_then(|value| value.to_str().ok());
    let Some(reset) = reset.and_then(|text| Timestamp::from_second(text.trim().parse().ok()?).ok()) else {
        return retry_after(headers);
    };
    let Some(now) = now else { return Some(NotBefore::At(reset)) };
    let wait = Duration::try_from(reset.duration_since(now)).unwrap_or_default();
    Some(NotBefore::After(wait.clamp(Duration::from_secs(1), RETRY_AFTER_LONGEST)))
}
