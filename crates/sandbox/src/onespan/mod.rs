//! OneSpan Sign's API 11 and its callbacks, as its documentation, its SDKs and captured requests describe them. One thing is
//! called a package here, as there.
//!
//! How the world's outcomes look there, and so what a client can know of them:
//!
//! | outcome | status | callback |
//! |---|---|---|
//! | completed | `COMPLETED`, `ARCHIVED` after a client archived it | `PACKAGE_COMPLETE` |
//! | declined | `DECLINED`; `OPTED_OUT` if the script says so | `PACKAGE_DECLINE`, `PACKAGE_OPT_OUT` |
//! | expired | `EXPIRED` | `PACKAGE_EXPIRE` |
//! | cancelled | `SENT` with `trashed: true`: the sender moved it to the trash | `PACKAGE_TRASH` |
//!
//! The platform knows no cancelling: a sender who does not want a signature any more takes the package back (a draft again,
//! which may be sent again and so is no end), moves it to the trash or deletes it.
//! A client's trashing or deleting counts as its removal in the ledger; a trashed package stays readable.

mod access;
mod api;
mod changes;
mod events;
mod files;
mod list;
mod package;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use access::Token;
pub(crate) use events::{EVENTS, callbacks, mail, removed_by_other};
pub(crate) use files::{artifacts, extras};

use crate::config::Vendor;
use crate::exchange::{Answer, Inbound};
use crate::faults::Fault;
use crate::rng::Rng;
use crate::script::Trouble;
use crate::sender;
use crate::world::{Envelope, SignerState, State, World};

/// Who owns every account: the API key is theirs.
const OWNER: &str = "sender@example.com";

/// Who sends from an account; the first is its owner.
pub(crate) const SENDERS: [&str; 3] = [OWNER, "anna.sender@example.com", "ben.sender@example.com"];

/// The id of the consent document, which every package has.
const CONSENT: &str = "default-consent";

/// How a package stands besides its outcome.
#[derive(Debug, Clone)]
pub(crate) struct PackageState {
    /// Sent; otherwise a draft.
    pub(crate) active: bool,
    /// In the trash, by whomever.
    pub(crate) trashed: bool,
    /// Deleted for good, also from the trash: not readable any more.
    purged: bool,
    archived: bool,
    /// When it last changed.
    pub(crate) updated: Timestamp,
    /// Whose place the last reassignment took: a signer's id.
    reassigned_from: Option<String>,
}

impl PackageState {
    pub(crate) fn new(now: Timestamp) -> PackageState {
        PackageState {
            active: true,
            trashed: false,
            purged: false,
            archived: false,
            updated: now,
            reassigned_from: None,
        }
    }
}

/// A template: looks like a package and is none.
pub(crate) struct Template {
    account_id: String,
    id: String,
    name: String,
    created: Timestamp,
    trashed: bool,
    archived: bool,
}

/// Answers a request below `/onespan`. `None`: the connection is to be dropped.
pub(crate) async fn handle(world: &Arc<World>, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    match path {
        ["apitoken", "clientApp", "accessToken"] | ["oauth2", "token"] => {
            access::give_token(world, inbound, path).await
        }
        ["api", rest @ ..] => match access::authenticate(world, inbound) {
            Some(access) => api::handle(world, inbound, &access, rest).await,
            None => Some(error(401, "error.unauthorised.authentication", "Unauthorised")),
        },
        _ => Some(error(404, "error.notFound.resource", "The resource was not found.")),
    }
}

/// An error in the platform's own shape.
fn error(status: u16, key: &str, message: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::json(
        status,
        json!({
            "code": status.as_u16(),
            "messageKey": key,
            "message": message,
            "name": status.canonical_reason(),
            "technical": format!("{key}: {message}"),
            "entity": null,
        }),
    )
}

fn no_package() -> Answer {
    error(404, "error.notFound.packageNotFound", "The specified package could not be found.")
}

fn no_permission() -> Answer {
    error(403, "error.forbidden.noPermission", "You do not have the permission to do this.")
}

/// How the platform, or the gateway in front of it, says that something is wrong.
fn spoiled(fault: Fault) -> Answer {
    let page = |status, title: &str| {
        let text = format!(
            "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>{title}</body></html>\n"
        );
        Answer::page(status, "text/html; charset=UTF-8", text)
    };
    match fault {
        Fault::TooMany => {
            page(StatusCode::TOO_MANY_REQUESTS, "Too many requests").with_header("retry-after", "1")
        }
        Fault::Unavailable => page(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"),
        _ => error(500, "error.internal.default", "Unexpected error. We apologise for any inconvenience."),
    }
}

/// 20 bytes as URL-safe base64: 28 characters that end with `=`.
pub(crate) fn package_id(rng: &mut Rng) -> String {
    let bytes: Vec<u8> = (0..3).flat_map(|_| rng.next_u64().to_le_bytes()).take(20).collect();
    URL_SAFE.encode(bytes)
}

/// A sender's id: 12 letters and digits.
fn sender_id(world: &World, account: &str, email: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rng = Rng::keyed(world.seed, &format!("{account}/sender/{}", email.to_lowercase()));
    (0..12).map(|_| char::from(*rng.pick(LETTERS))).collect()
}

/// The addresses of everybody who may send from the account; the owner is the first.
fn senders(state: &State, account: &str) -> Vec<String> {
    let mut all: Vec<String> = SENDERS.map(str::to_owned).to_vec();
    for envelope in state.envelopes.iter().filter(|envelope| envelope.account_id == account) {
        if all.iter().all(|known| !known.eq_ignore_ascii_case(&envelope.script.sender)) {
            all.push(envelope.script.sender.clone());
        }
    }
    all
}

/// A document's id: 48 hexadecimal digits.
fn document_id(envelope: &Envelope, index: usize) -> String {
    Rng::keyed(envelope.seed, &format!("document/{index}")).hex(48)
}

/// A role's id; a signer who takes over gets a new one.
fn role_id(envelope: &Envelope, signer: &str) -> String {
    Rng::keyed(envelope.seed, &format!("role/{signer}")).guid()
}

fn attachment_id(envelope: &Envelope, index: usize) -> String {
    Rng::keyed(envelope.seed, &format!("attachment/{index}")).guid()
}

/// The only file of an attachment.
fn attachment_file_id(envelope: &Envelope, index: usize) -> u64 {
    Rng::keyed(envelope.seed, &format!("attachment-file/{index}")).between(1000, 9_999_999)
}

/// The package, unless it is deleted: what is in the trash is still there.
fn readable<'a>(state: &'a State, account: &str, id: &str) -> Option<&'a Envelope> {
    state.envelope(id).filter(|envelope| envelope.account_id == account && is_readable(envelope))
}

fn is_readable(envelope: &Envelope) -> bool {
    !envelope.package.purged && (envelope.deleted.is_none() || envelope.package.trashed)
}

/// Somebody else deletes the package for good, wherever it lies; `false` if it is gone already or no package.
pub(crate) fn purge(state: &mut State, id: &str) -> bool {
    let is_there = |envelope: &&mut Envelope| envelope.vendor == Vendor::OneSpan && is_readable(envelope);
    let package = state.envelope_mut(id).filter(is_there);
    package.map(|envelope| envelope.package.purged = true).is_some()
}

/// What stands in the signer's way begins; `false` if there is nothing or they have signed.
pub(crate) fn trouble(envelope: &mut Envelope, index: usize) -> bool {
    let trouble = envelope.script.signers.get(index).and_then(|signer| signer.trouble);
    let waits = envelope.signers.get(index).is_some_and(|signer| signer.state == SignerState::Waiting);
    let Some(trouble) = trouble.filter(|_| waits && envelope.vendor == Vendor::OneSpan) else { return false };
    let mut rng = Rng::keyed(envelope.seed, &format!("reassigned/{}", envelope.signers[index].id));
    let signer = &mut envelope.signers[index];
    signer.trouble = Some(trouble);
    match trouble {
        Trouble::Withdrawn => envelope.package.active = false,
        Trouble::Reassigned => {
            envelope.package.reassigned_from = Some(std::mem::replace(&mut signer.id, rng.guid()));
            signer.name = "Dora Deputy".to_owned();
            signer.email = format!("dora.deputy+{index}@example.org");
            signer.viewed_at = None;
        }
        Trouble::EmailBounce | Trouble::Locked | Trouble::KbaFailure => {}
    }
    true
}

/// Creates a template and announces it; `None` if there is no such account.
pub(crate) fn create_template(world: &Arc<World>, account_id: &str, name: &str) -> Option<String> {
    let (id, callback) = world.change(|s| {
        let number = s.templates.iter().filter(|template| template.account_id == account_id).count();
        let account = s.accounts.get(account_id)?;
        let id = package_id(&mut Rng::keyed(world.seed, &format!("{account_id}/template/{number}")));
        let callback = events::template_created(world, account, &id);
        s.templates.push(Template {
            account_id: account_id.to_owned(),
            id: id.clone(),
            name: name.to_owned(),
            created: Timestamp::now(),
            trashed: false,
            archived: false,
        });
        Some((id, callback))
    })?;
    sender::dispatch(world, callback.into_iter().collect());
    Some(id)
}

/// What an object of the sender's application looks like in the package.
fn metadata(text: &str) -> Value {
    if text.is_empty() {
        return json!({});
    }
    serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or_else(|| json!({ "reference": text }))
}

#[cfg(test)]
mod tests {
    use super::{error, package_id, spoiled};
    use crate::exchange::AnswerBody;
    use crate::faults::Fault;
    use crate::rng::Rng;

    #[test]
    fn a_package_id_has_the_observed_form() {
        let id = package_id(&mut Rng::keyed(1, "id"));
        let (last, rest) = id.as_bytes().split_last().unwrap_or((&0, &[]));
        assert_eq!((*last, rest.len()), (b'=', 27));
        assert!(rest.iter().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(c)));
    }

    #[test]
    fn the_gateway_speaks_html_and_the_platform_json() {
        for (fault, status) in [(Fault::TooMany, 429), (Fault::Unavailable, 503)] {
            let answer = spoiled(fault);
            assert_eq!(answer.status.as_u16(), status);
            assert!(
                matches!(answer.body, AnswerBody::Page { content_type, .. } if content_type.starts_with("text/html"))
            );
        }
        let AnswerBody::Json(body) = error(403, "error.forbidden.noPermission", "No").body else {
            panic!("an error is JSON");
        };
        let code = (body["code"].as_u64(), body["name"].as_str());
        assert_eq!(code, (Some(403), Some("Forbidden")));
    }
}
