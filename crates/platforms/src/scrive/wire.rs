//! The vendor's JSON, as far as we read it (Document API v2 of 2021, Flow API 0.11.0, later answers seen).
//!
//! Everything is read leniently: fields are missing, `null` or of an older generation's type. Ids are 64-bit
//! numbers in text and must never pass through a floating-point number.

use std::collections::BTreeMap;

use aftersign_core::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::times;
use crate::lenient;

/// A 64-bit id as text, also where it comes as a number; a fraction or exponent is no id.
fn id<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(id_text(&Value::deserialize(from)?))
}

/// The digits of an id in text or number; the empty text counts as absent.
pub(super) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        _ => None,
    }
}

/// A time with Scrive's oddities.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(lenient::text(from)?.as_deref().and_then(times::parse))
}

/// A document, in callbacks and in API answers. Its `access_token` and the parties' `api_delivery_url` are
/// secrets and are not read. The same type reads what little we need of a V1 document.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Document {
    #[serde(deserialize_with = "id")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) title: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) parties: Vec<Party>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) file: Option<File>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) sealed_file: Option<File>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) author_attachments: Vec<Attachment>,
    #[serde(deserialize_with = "time")]
    pub(super) ctime: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    pub(super) mtime: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    pub(super) timeout_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) object_version: Option<u64>,
    /// Verbatim, because they are the customer's own.
    pub(super) tags: Option<Box<RawValue>>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) experimental_features: Option<Features>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) is_template: Option<bool>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) is_trashed: Option<bool>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) is_deleted: Option<bool>,
}

/// What newer answers tell of a document besides.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Features {
    /// By what the document is managed.
    #[serde(deserialize_with = "lenient::text")]
    pub(super) process_management: Option<String>,
}

/// A file named in a document.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct File {
    #[serde(deserialize_with = "id")]
    pub(super) id: Option<String>,
}

/// A file of the author or of a signer besides the main one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Attachment {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "id")]
    pub(super) file_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) file_name: Option<String>,
    /// Inside the sealed PDF already.
    #[serde(deserialize_with = "lenient::value")]
    pub(super) add_to_sealed_file: Option<bool>,
}

/// One party of a document.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Party {
    #[serde(deserialize_with = "id")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) is_author: Option<bool>,
    /// Before `signatory_role` existed.
    #[serde(deserialize_with = "lenient::value")]
    pub(super) is_signatory: Option<bool>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) signatory_role: Option<String>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) fields: Vec<Field>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) attachments: Vec<Attachment>,
    #[serde(deserialize_with = "time")]
    pub(super) sign_time: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    pub(super) seen_time: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    pub(super) rejected_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) rejection_reason: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) email_delivery_status: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) mobile_delivery_status: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) authentication_method_to_sign: Option<String>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) authentications: Option<Authentications>,
}

/// How a party proves who it is.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Authentications {
    #[serde(deserialize_with = "lenient::value")]
    pub(super) sign: Option<Method>,
}

/// One way of proving it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Method {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
}

/// One field of a party; names and the e-mail address are fields.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Field {
    #[serde(rename = "type", deserialize_with = "lenient::text")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) order: Option<u64>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) value: Option<String>,
}

/// `GET getprofile`, as far as it is of use.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Profile {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) email: Option<String>,
}

/// `GET documents/list`.
#[derive(Deserialize)]
pub(super) struct DocumentList {
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) total_matching: Option<u64>,
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) documents: Vec<Option<Document>>,
}

/// `GET documents/{id}/history`.
#[derive(Deserialize)]
pub(super) struct History {
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) events: Vec<Option<HistoryEvent>>,
}

/// One line of a document's history.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct HistoryEvent {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
}

/// A member of `filter` in `documents/list`.
#[derive(Serialize)]
#[serde(tag = "filter_by", rename_all = "snake_case")]
pub(super) enum Filter {
    Mtime { start_time: String },
    IsAuthor,
    IsNotTemplate,
    IsNotInTrash,
    IsNotPartOfAFlow,
}

/// A member of `sorting` in `documents/list`.
#[derive(Serialize)]
pub(super) struct Sorting {
    pub(super) sort_by: &'static str,
    pub(super) order: &'static str,
}

/// A refusal, by the Document API (`error_type`, `error_message`) or by Flow (`code`, `message`).
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ErrorAnswer {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) error_type: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) error_message: Option<String>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) code: Option<i64>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) message: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) explanation: Option<String>,
}

/// `GET instances/{id}` of Flow. Its `access_links` are signing capabilities and are not read.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Instance {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) title: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "time")]
    pub(super) started: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    pub(super) last_event: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) process_parameters: Option<Parameters>,
    /// The same in Flow 0.11.0.
    #[serde(deserialize_with = "lenient::value")]
    pub(super) template_parameters: Option<Parameters>,
}

/// What an instance was started with.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Parameters {
    /// Name in the process description → document id.
    #[serde(deserialize_with = "lenient::value")]
    pub(super) documents: Option<BTreeMap<String, Value>>,
    /// Name in the process description, by which callbacks name participants → who that is.
    #[serde(deserialize_with = "lenient::value")]
    pub(super) users: Option<BTreeMap<String, Value>>,
}

/// A participant of a flow.
#[derive(Deserialize)]
pub(super) struct FlowUser {
    pub(super) id_type: String,
    pub(super) id: String,
}
