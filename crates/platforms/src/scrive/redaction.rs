//! Capabilities in the platform's records, taken out before the records are archived.
//!
//! The record of a document reads and signs it without a login (`access_token`, `api_delivery_url`), that of a flow holds
//! its participants' links, and both hold the URL of our callback with its path secret. Only those values change; the
//! rest stays byte for byte, which a reader that builds a tree and writes it again could not promise.

use serde::de::IgnoredAny;

use crate::exchange::without_mark;

/// Members whose values are capabilities, with all that is inside them.
const SECRETS: [&str; 4] = ["access_token", "access_links", "api_callback_url", "api_delivery_url"];
/// The member of a flow that holds the URL of our callback.
const CALLBACK: &str = "callback";
/// That URL.
const CALLBACK_URL: &str = "url";
/// What stands in place of a secret.
const REDACTED: &[u8] = b"\"redacted\"";

/// What is known of a value by the members it stands in.
#[derive(Clone, Copy, Default)]
struct Place {
    is_secret: bool,
    is_callback: bool,
}

impl Place {
    /// The place of the member `name` of an object at this place.
    fn member(self, name: &str) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        Self {
            is_secret: self.is_secret
                || SECRETS.into_iter().any(is)
                || (self.is_callback && is(CALLBACK_URL)),
            is_callback: is(CALLBACK),
        }
    }
}

/// An array or object that is not closed yet.
#[derive(Clone, Copy)]
struct Open {
    is_object: bool,
    place: Place,
}

/// The record with its secrets replaced; `None` if it has none, or is no JSON. Reads every depth without recursion.
pub(super) fn redacted(record: &[u8]) -> Option<Vec<u8>> {
    let json = without_mark(record);
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let mut kept = record.get(..record.len() - json.len())?.to_vec();
    let mut open: Vec<Open> = Vec::new();
    let mut place = Place::default();
    let (mut is_name, mut found) = (false, false);
    let mut rest = json;
    while let Some(&first) = rest.first() {
        let (token, after) = rest.split_at(token_length(rest));
        rest = after;
        let mut shown = token;
        match first {
            b'{' | b'[' => {
                is_name = first == b'{';
                open.push(Open { is_object: is_name, place });
            }
            b'}' | b']' => {
                open.pop();
            }
            b',' => {
                let around = open.last().copied();
                is_name = around.is_some_and(|around| around.is_object);
                place = around.map_or_else(Place::default, |around| around.place);
            }
            b'"' if is_name => {
                let around = open.last().map_or_else(Place::default, |around| around.place);
                let name: String = serde_json::from_slice(token).unwrap_or_default();
                place = around.member(&name);
                is_name = false;
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if place.is_secret && token != b"null" => {
                found = true;
                shown = REDACTED;
            }
            _ => {}
        }
        kept.extend_from_slice(shown);
    }
    found.then_some(kept)
}

/// The bytes of the first token of a valid JSON text: a whole string, number or word, else one byte.
fn token_length(text: &[u8]) -> usize {
    let is_mark = |byte: &u8| b"{}[],:\" \t\r\n".contains(byte);
    match text {
        [b'"', inner @ ..] => {
            let mut escaped = false;
            let end = inner.iter().position(|&byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |end| end + 2)
        }
        [first, ..] if is_mark(first) => 1,
        _ => text.iter().position(is_mark).unwrap_or(text.len()),
    }
}
