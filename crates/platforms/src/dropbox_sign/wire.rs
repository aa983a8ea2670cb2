//! The vendor's JSON, as far as we read it.
//!
//! Every field is optional and read leniently: the official schema marks nearly nothing as required, and the
//! official SDK fails on the vendor's own examples. Where bytes or number spellings matter, they stay raw.

use aftersign_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lenient;

/// A callback's JSON text (OpenAPI `EventCallbackRequest`, and the legacy error object).
#[derive(Deserialize)]
pub(super) struct Callback<'a> {
    #[serde(borrow, default)]
    pub(super) event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) signature_request: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) template: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) account: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) transmission: Option<&'a RawValue>,
}

/// An event: the three fields that its hash is about, as they are written, and what else is said of it.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default)]
    pub(super) event_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) event_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) event_hash: Option<&'a RawValue>,
    /// Unread until the hash is checked: a parsed value takes many times the room of its text.
    #[serde(borrow, default)]
    pub(super) event_metadata: Option<&'a RawValue>,
}

/// `event_metadata`; may be absent.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct EventMetadata {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) related_signature_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) reported_for_account_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) reported_for_app_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) event_message: Option<String>,
}

/// The ids of subjects that are not signature requests.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct OtherSubject {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) template_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) account_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) fax_id: Option<String>,
}

/// A signature request, in callbacks and in API answers (`SignatureRequestResponse`).
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SignatureRequest {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) signature_request_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) requester_email_address: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) title: Option<String>,
    /// Verbatim, because it is the customer's own.
    pub(super) metadata: Option<Box<RawValue>>,
    #[serde(deserialize_with = "lenient::seconds")]
    pub(super) created_at: Option<Timestamp>,
    /// Only if the sender set it; 0 is "not set".
    #[serde(deserialize_with = "lenient::seconds")]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::flag")]
    pub(super) test_mode: Option<bool>,
    #[serde(deserialize_with = "lenient::flag")]
    pub(super) is_complete: Option<bool>,
    #[serde(deserialize_with = "lenient::flag")]
    pub(super) is_declined: Option<bool>,
    #[serde(deserialize_with = "lenient::flag")]
    pub(super) has_error: Option<bool>,
    #[serde(deserialize_with = "lenient::list")]
    pub(super) signatures: Vec<Signature>,
}

/// One signer's part in a signature request.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Signature {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) signature_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) signer_email_address: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) signer_name: Option<String>,
    /// A free text in the schema, with about a dozen known values.
    #[serde(deserialize_with = "lenient::text")]
    pub(super) status_code: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) decline_reason: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) error: Option<String>,
    #[serde(deserialize_with = "lenient::seconds")]
    pub(super) signed_at: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::seconds")]
    pub(super) last_viewed_at: Option<Timestamp>,
}

/// Answer of `GET signature_request/{id}`.
#[derive(Deserialize)]
pub(super) struct OneRequest {
    pub(super) signature_request: SignatureRequest,
}

/// Answer of `GET signature_request/list`.
#[derive(Deserialize)]
pub(super) struct RequestList {
    #[serde(default, deserialize_with = "lenient::value")]
    pub(super) list_info: Option<ListInfo>,
    /// Must be there: an answer without it is not this list.
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) signature_requests: Vec<Option<SignatureRequest>>,
}

/// `list_info` of a list.
#[derive(Deserialize)]
pub(super) struct ListInfo {
    #[serde(default)]
    pub(super) num_pages: Option<u32>,
}

/// Answer of `GET account`.
#[derive(Deserialize)]
pub(super) struct OneAccount {
    pub(super) account: Account,
}

/// The account that the key belongs to.
#[derive(Deserialize)]
pub(super) struct Account {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) account_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) email_address: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) callback_url: Option<String>,
}

/// Answer of `GET api_app/{client_id}`.
#[derive(Deserialize)]
pub(super) struct OneApp {
    pub(super) api_app: App,
}

/// An API app of the account.
#[derive(Deserialize)]
pub(super) struct App {
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) callback_url: Option<String>,
}

/// `PUT account` and `PUT api_app/{client_id}`.
#[derive(Serialize)]
pub(super) struct RegisterCallback<'a> {
    pub(super) callback_url: &'a str,
}

/// `error_name` and `error_msg` of a refusing answer.
pub(super) fn error_fields(answer: &Value) -> (Option<&str>, Option<&str>) {
    let field = |name| answer.get("error")?.get(name)?.as_str();
    (field("error_name"), field("error_msg"))
}
