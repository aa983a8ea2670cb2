//! Secrets in JSON of a platform, replaced before a record is archived or a body is shown.
//!
//! Only their values change; the rest stays byte for byte, which a reader that builds a tree and writes it again could not
//! promise. Which members are secret is each platform's own to say.

use serde::de::IgnoredAny;

use crate::exchange::without_mark;

/// What stands in place of a secret.
const REDACTED: &[u8] = b"\"redacted\"";

/// What is known of a value by the members it stands in. The outermost value's is the default.
pub(crate) trait Place: Copy + Default {
    /// The place of the member `name` of an object at this place. The elements of a list are at the list's own place.
    fn member(self, name: &str) -> Self;

    /// Whether a value at this place is a secret: a text with its quotes, a number or a word, as it is written, but for `null`.
    fn is_secret(self, value: &[u8]) -> bool;
}

/// The record with its secrets replaced; `None` if it has none, or is no JSON.
pub(crate) fn redacted<P: Place>(record: &[u8]) -> Option<Vec<u8>> {
    if is_json(record) { searched::<P>(record) } else { None }
}

/// Whether a text is JSON, with or without a byte order mark.
pub(crate) fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(without_mark(text)).is_ok()
}

/// The text with the secrets in its objects replaced; `None` if it has none. Reads every depth without recursion, and broken
/// JSON as far as it goes.
pub(crate) fn searched<P: Place>(text: &[u8]) -> Option<Vec<u8>> {
    let json = without_mark(text);
    let mut kept = text.get(..text.len() - json.len())?.to_vec();
    // The places of the arrays and objects that are not closed yet.
    let mut open: Vec<P> = Vec::new();
    let mut place = P::default();
    let mut found = false;
    let mut rest = json;
    while let Some(&first) = rest.first() {
        let (token, after) = rest.split_at(token_length(rest));
        rest = after;
        let mut shown = token;
        let around = open.last().copied().unwrap_or_default();
        match first {
            b'{' | b'[' => open.push(place),
            b'}' | b']' => {
                open.pop();
            }
            b',' => place = around,
            b'"' if after.trim_ascii_start().starts_with(b":") => {
                let name: String = serde_json::from_slice(token).unwrap_or_default();
                place = around.member(&name);
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if token != b"null" && place.is_secret(token) => {
                found = true;
                shown = REDACTED;
            }
            _ => {}
        }
        kept.extend_from_slice(shown);
    }
    found.then_some(kept)
}

/// The bytes of the first token of a JSON text: a whole string, number or word, else one byte.
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
            // One that is cut off goes to the end.
            end.map_or(text.len(), |end| end + 2)
        }
        [first, ..] if is_mark(first) => 1,
        _ => text.iter().position(is_mark).unwrap_or(text.len()),
    }
}
