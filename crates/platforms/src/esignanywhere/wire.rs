//! The vendor's JSON in Pascal case, as far as we read it (published API schemas v6 and v5).
//!
//! Arrays and objects may be `null` anywhere; everything is read leniently. In version 6 the metadata is not
//! in the envelope but in its configuration.

use aftersign_core::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Map;
use serde_json::Value;

use crate::lenient;

/// Body of every refusal but 401, which has none.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ErrorAnswer {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) error_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) message: Option<String>,
    /// Version 5 calls it `SupportId`.
    #[serde(alias = "SupportId", deserialize_with = "lenient::text")]
    pub(super) trace_id: Option<String>,
}

/// `GET authorization/whoami`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WhoAmI {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) email: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) user_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) user_id: Option<String>,
}

/// `GET envelope/{id}`, version 6.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct EnvelopeV6 {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) envelope_status: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) sent_date: Option<Timestamp>,
    /// The same by the name of version 5 and of one guide.
    #[serde(deserialize_with = "lenient::date")]
    pub(super) send_date: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) sender_user_information: Option<Person>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) activities: Vec<Activity>,
}

/// A name with an address.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Person {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) email: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) given_name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) surname: Option<String>,
}

/// One recipient's part.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Activity {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) finished_date: Option<Timestamp>,
    /// Exactly one member is set; its name is the kind of the activity.
    #[serde(deserialize_with = "lenient::value")]
    pub(super) action: Option<Map<String, Value>>,
}

/// The one set member of an activity's action.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ActionDetail {
    #[serde(deserialize_with = "lenient::value")]
    pub(super) contact_information: Option<Person>,
}

/// `GET envelope/{id}/configuration`.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Configuration {
    /// One free text: XML by convention, anything in fact.
    #[serde(deserialize_with = "lenient::text")]
    pub(super) meta_data: Option<String>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) expiration_configuration: Option<Expiration>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) callback_configuration: Option<CallbackConfiguration>,
}

/// Where an envelope's callbacks go, as far as it is ours to know.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct CallbackConfiguration {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) callback_url: Option<String>,
}

/// When an envelope expires: one of the two is set.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Expiration {
    #[serde(deserialize_with = "lenient::date")]
    pub(super) expiration_date: Option<Timestamp>,
    #[serde(rename = "ExpirationInSecondsAfterSending", deserialize_with = "lenient::value")]
    pub(super) seconds_after_sending: Option<i64>,
}

/// `GET envelope/{id}/history`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct History {
    /// Absent is "no": only the platform's own yes counts.
    #[serde(default, deserialize_with = "lenient::flag")]
    pub(super) envelope_has_been_deleted: Option<bool>,
    #[serde(default, deserialize_with = "lenient::date")]
    pub(super) envelope_deletion_date: Option<Timestamp>,
}

impl History {
    /// Whether the platform says that the envelope was deleted.
    pub(super) fn says_deleted(&self) -> bool {
        self.envelope_has_been_deleted == Some(true)
    }
}

/// `GET envelopebulk/{id}`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Bulk {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) bulk_status: Option<String>,
}

/// `GET envelope/{id}/files`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Files {
    #[serde(default)]
    pub(super) documents: Option<Vec<FileEntry>>,
    #[serde(default)]
    pub(super) audit_trail: Option<AuditTrail>,
    #[serde(default)]
    pub(super) legal_documents: Option<Vec<FileEntry>>,
}

/// A document, attachment or legal document. Strict: a file that cannot be read must not be forgotten.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FileEntry {
    pub(super) file_id: String,
    #[serde(default)]
    pub(super) file_name: Option<String>,
    #[serde(default)]
    pub(super) audit_trail_file_id: Option<String>,
    #[serde(default)]
    pub(super) attachments: Option<Vec<FileEntry>>,
}

/// The envelope's own audit trail; organisations can switch it off.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AuditTrail {
    #[serde(default)]
    pub(super) file_id: Option<String>,
    #[serde(default)]
    pub(super) xml_file_id: Option<String>,
}

/// `POST envelope/find`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Find<'a> {
    pub(super) start_date: String,
    pub(super) end_date: String,
    /// Absent for all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'a str>,
}

/// Its answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Found {
    /// Must be there: an answer without it is not this list.
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) envelopes: Vec<Option<FoundEnvelope>>,
}

/// One row of a find.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FoundEnvelope {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) meta_data: Option<String>,
    /// The same of all envelopes that came of one bulk; absent for all others.
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) envelope_bulk_parent_id: Option<String>,
}

/// `POST envelope/delete`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete<'a> {
    pub(super) envelope_id: &'a str,
}

/// `GET draft/{id}`: an overview whose published schema was not readable, so it may name its id in either way. Its
/// `configuration` is read for the metadata alone.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct DraftOverview {
    #[serde(alias = "DraftId", deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    /// The outer level tells whether it is said at all.
    #[serde(deserialize_with = "said")]
    pub(super) meta_data: Option<Option<String>>,
    pub(super) documents: Option<IgnoredAny>,
    pub(super) activities: Option<IgnoredAny>,
}

/// A text or its absence, where the member itself is there. What is no text is there all the same.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Ok(Some(match Value::deserialize(from)? {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
        other => Some(other.to_string()),
    }))
}

/// `POST draft/update`. What is left out stays as it is.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateDraft<'a> {
    pub(super) draft_id: &'a str,
    pub(super) callback_configuration: DraftCallbacks,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meta_data: Option<String>,
}

/// The callbacks of an envelope to be. `ActivityActionCallbackConfiguration` is left out: it wants a choice of event types, and
/// its callbacks come before the platform's own data is complete.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DraftCallbacks {
    pub(super) callback_url: String,
    pub(super) status_update_callback_url: String,
    pub(super) after_send_callback_url: String,
}

/// The free text that we put into a draft without one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnMetadata {
    pub(super) aftersign: Origin,
}

/// Where an envelope came from.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    pub(super) account: String,
    pub(super) draft: String,
}

/// `POST draft/send`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendDraft<'a> {
    pub(super) draft_id: &'a str,
}

/// Its answer: one of the two is there.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct DraftSent {
    #[serde(deserialize_with = "lenient::value")]
    pub(super) envelope: Option<SentEnvelope>,
    pub(super) envelope_bulk: Option<SentBulk>,
}

/// One envelope that a draft became.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SentEnvelope {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) envelope_id: Option<String>,
}

/// The envelopes of a bulk.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SentBulk {
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) envelope_bulk_children: Vec<Option<SentEnvelope>>,
}

/// `GET envelope/{id}`, version 5.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct EnvelopeV5 {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) send_date: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) expiration_date: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::value")]
    pub(super) basic_options: Option<BasicOptions>,
    /// One entry, unless it is a bulk.
    pub(super) bulks: Option<Vec<BulkV5>>,
}

/// The envelope's own settings.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct BasicOptions {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) meta_data_xml: Option<String>,
}

/// The files and steps of one envelope.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct BulkV5 {
    pub(super) log_document_id: Option<String>,
    pub(super) log_xml_document_id: Option<String>,
    pub(super) finished_documents: Option<Vec<FinishedDocument>>,
    pub(super) steps: Option<Vec<Step>>,
}

/// One signed document.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct FinishedDocument {
    pub(super) flow_document_id: Option<String>,
    pub(super) log_document_id: Option<String>,
    pub(super) file_name: Option<String>,
    pub(super) attachments: Option<Vec<AttachmentV5>>,
}

/// A file that a signer added.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct AttachmentV5 {
    pub(super) name: Option<String>,
    pub(super) document_id: Option<String>,
}

/// One recipient's step.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Step {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) email: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) first_name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) last_name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) recipient_type: Option<String>,
    #[serde(deserialize_with = "lenient::date")]
    pub(super) signed_date: Option<Timestamp>,
    pub(super) disclaimer_documents: Option<Vec<DisclaimerDocument>>,
}

/// Legal evidence, such as a certificate request form.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct DisclaimerDocument {
    pub(super) document_id: Option<String>,
    pub(super) disclaimer_type: Option<String>,
}
