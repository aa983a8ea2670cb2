//! The vendor's JSON, as far as we read it (official OpenAPI 11.51, Java SDK 11.68, captured callbacks).
//!
//! Everything is read leniently: bodies of several generations and of white labels are about, and the vendor
//! adds fields without notice. "Nothing" has four spellings: absent, `null`, `""` and the text `"null"`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aftersign_core::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lenient;

/// A text, with all four spellings of nothing read as `None`.
fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(lenient::text(from)?.filter(|text| !text.trim().eq_ignore_ascii_case("null")))
}

/// A whole number, bare or in quotes.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// One callback body, also as it stands in a failure e-mail.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Callback {
    /// Java's type tag; in every captured body, absent in replays. Never decided upon.
    #[serde(rename = "@class", deserialize_with = "word")]
    pub(super) class: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) name: Option<String>,
    /// The four that some white-label tenants are said to send instead of `name`.
    #[serde(deserialize_with = "word")]
    pub(super) event: Option<String>,
    #[serde(rename = "type", deserialize_with = "word")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) event_name: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) event_type: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) session_user: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) package_id: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) message: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) document_id: Option<String>,
    #[serde(deserialize_with = "word")]
    pub(super) new_role_id: Option<String>,
    /// Kept as text: the key needs it as it was written.
    #[serde(deserialize_with = "word")]
    pub(super) created_date: Option<String>,
    /// `COBROWSE_REQUEST` only.
    #[serde(deserialize_with = "word")]
    pub(super) comment: Option<String>,
}

/// A package, from `GET packages/{id}` and in lists.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Package {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    /// `PACKAGE`, `TEMPLATE` or `LAYOUT`.
    #[serde(rename = "type", deserialize_with = "lenient::text")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) created: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) updated: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) completed: Option<Timestamp>,
    /// When it expires if it is not completed.
    #[serde(deserialize_with = "lenient::date")]
    pub(super) due: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) trashed: Option<bool>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) sender: Option<Person>,
    /// Verbatim, because it is the customer's own.
    pub(super) data: Option<Box<RawValue>>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) documents: Vec<Document>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) roles: Vec<Role>,
}

/// A sender, a signer or an account user.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Person {
    /// What callbacks call `sessionUser`.
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) email: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) first_name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) last_name: Option<String>,
}

/// One document of a package.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Document {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) approvals: Vec<Approval>,
}

/// One signature wanted on a document.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Approval {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) role: Option<String>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) signed: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) optional: Option<bool>,
}

/// Who takes part, and what they must attach.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Role {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    /// `SIGNER`, `SENDER`; `OWNER` was seen too.
    #[serde(rename = "type", deserialize_with = "lenient::text")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) locked: Option<bool>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) signers: Vec<Person>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) attachment_requirements: Vec<AttachmentRequirement>,
}

/// One attachment asked for.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct AttachmentRequirement {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    /// `INCOMPLETE`, `REJECTED` or `COMPLETE`.
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) files: Vec<AttachedFile>,
}

/// One file that came for it; its id is a number.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct AttachedFile {
    #[serde(deserialize_with = "number")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
}

/// `GET packages`: rows stay raw, so that pages can be counted whatever the rows are.
#[derive(Deserialize)]
pub(super) struct PackageList {
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) count: Option<u64>,
    pub(super) results: Vec<Box<RawValue>>,
}

/// `GET packages/{id}/signingStatus`.
#[derive(Deserialize)]
pub(super) struct SigningStatus {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
}

/// `GET session`.
#[derive(Deserialize)]
pub(super) struct Session {
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) user: Option<Person>,
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) account: Option<Account>,
}

/// The account of a session.
#[derive(Deserialize)]
pub(super) struct Account {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
}

/// `GET callback`. Its `key` is a secret and is not read.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RegisteredCallback {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) url: Option<String>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) events: Vec<String>,
}

/// `POST callback`.
#[derive(Serialize)]
pub(super) struct RegisterCallback<'a> {
    pub(super) url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<&'a str>,
    pub(super) events: Vec<&'a str>,
}

/// `GET account/senders`.
#[derive(Deserialize)]
pub(super) struct SenderList {
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) count: Option<u64>,
    /// Must be there: an answer without it is not this list.
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) results: Vec<Option<Sender>>,
}

/// One of the account's users.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Sender {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) email: Option<String>,
    /// `INVITED`, `ACTIVE` or `LOCKED`.
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
}

/// `GET dataRetentionSettings/dataManagementPolicy`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetentionPolicy {
    /// Must be there, if only as `null`: an answer without it is not this policy. Its members are days, and differ by
    /// version.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) transaction_retention: Option<BTreeMap<String, Value>>,
}

/// `PUT packages/{id}`: into the trash.
#[derive(Serialize)]
pub(super) struct Trash {
    pub(super) trashed: bool,
}

/// `POST apitoken/clientApp/accessToken`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientAppRequest<'a> {
    pub(super) client_id: &'a str,
    pub(super) secret: &'a str,
    #[serde(rename = "type")]
    pub(super) owner: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<&'a str>,
}

/// Its answer; `expiresAt` is in **milliseconds** since 1970.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientAppToken {
    pub(super) access_token: String,
    #[serde(deserialize_with = "number")]
    pub(super) expires_at: Option<String>,
}

/// Answer of `POST oauth2/token`; `expires_in` is in seconds.
#[derive(Deserialize)]
pub(super) struct OAuthToken {
    pub(super) access_token: String,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) token_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) expires_in: Option<u32>,
}

/// Body of a refusal (Java SDK `ServerError`), or RFC 6749's from the token endpoint.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ErrorAnswer {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) message_key: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) message: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) error: Option<String>,
    #[serde(rename = "error_description", deserialize_with = "lenient::text")]
    pub(super) error_description: Option<String>,
}

impl ErrorAnswer {
    /// The name by which the platform tells refusals apart.
    pub(super) fn key(&self) -> Option<&str> {
        self.message_key.as_deref().or(self.error.as_deref())
    }

    /// The text for people.
    pub(super) fn text(&self) -> Cow<'_, str> {
        let text = self.message.as_deref().or(self.error_description.as_deref());
        text.map_or(Cow::Borrowed("the platform gave no reason"), Cow::Borrowed)
    }
}
