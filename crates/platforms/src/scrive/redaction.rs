//! Capabilities in the platform's records and callbacks, taken out before a record is archived or a body is shown.
//!
//! The record of a document reads and signs it without a login (`access_token`, `api_delivery_url`), that of a flow holds
//! its participants' links, and both hold the URL of our callback with its path secret. Only those values change; the
//! rest stays byte for byte, which a reader that builds a tree and writes it again could not promise.

use percent_encoding::{percent_decode, percent_encode};

use crate::exchange::without_mark;
use crate::form::{self, RESERVED};
use crate::redaction::{self, is_json, searched};

/// Members whose values are capabilities, with all that is inside them; without underscores, as the first API writes.
const SECRETS: [&str; 4] = ["accesstoken", "accesslinks", "apicallbackurl", "apideliveryurl"];
/// The member of a flow that holds the URL of our callback.
const CALLBACK: &str = "callback";
/// That URL.
const CALLBACK_URL: &str = "url";
/// What stands in place of a form's field that cannot be searched for secrets.
const REDACTED_FIELD: &[u8] = b"redacted";
/// The fields of a form that hold the document, without their underscores.
const DOCUMENT_FIELDS: [&str; 2] = ["documentjson", "json"];

/// What is known of a value by the members it stands in.
#[derive(Clone, Copy, Default)]
struct Place {
    is_secret: bool,
    is_callback: bool,
}

impl redaction::Place for Place {
    fn member(self, name: &str) -> Self {
        let name = name.replace('_', "");
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        Self {
            is_secret: self.is_secret
                || SECRETS.into_iter().any(is)
                || (self.is_callback && is(CALLBACK_URL)),
            is_callback: is(CALLBACK),
        }
    }

    fn is_secret(self, _value: &[u8]) -> bool {
        self.is_secret
    }
}

/// The record with its secrets replaced; `None` if it has none, or is no JSON.
pub(super) fn redacted(record: &[u8]) -> Option<Vec<u8>> {
    redaction::redacted::<Place>(record)
}

/// A callback's body with its secrets replaced; `None` if it has none. Broken JSON of a flow is searched as far as it goes.
/// Of a form, the fields with secrets alone are written anew, and a document that is no JSON is left out as a whole.
pub(super) fn redacted_body(body: &[u8]) -> Option<Vec<u8>> {
    if without_mark(body).trim_ascii_start().starts_with(b"{") {
        return searched::<Place>(body);
    }
    let mut found = false;
    let mut kept = Vec::with_capacity(body.len());
    for (index, pair) in body.split(|&byte| byte == b'&').enumerate() {
        if index > 0 {
            kept.push(b'&');
        }
        let shown = redacted_pair(pair);
        found |= shown.is_some();
        kept.extend_from_slice(shown.as_deref().unwrap_or(pair));
    }
    found.then_some(kept)
}

fn redacted_pair(pair: &[u8]) -> Option<Vec<u8>> {
    let border = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = pair.split_at_checked(border + 1)?;
    let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    let text: Vec<u8> = percent_decode(&spaced).collect();
    let shown = match is_document_field(name) && !is_json(&text) {
        true => Some(REDACTED_FIELD.to_vec()).filter(|_| !text.trim_ascii().is_empty())?,
        false => searched::<Place>(&text)?,
    };
    Some([name, percent_encode(&shown, &RESERVED).to_string().as_bytes()].concat())
}

/// Whether a field, by its name with the `=`, holds the document, as the reader of callbacks sees it.
fn is_document_field(name: &[u8]) -> bool {
    let name = form::pairs(&String::from_utf8_lossy(name)).next().map(|(name, _)| name);
    name.is_some_and(|name| DOCUMENT_FIELDS.contains(&name.replace('_', "").to_ascii_lowercase().as_str()))
}
