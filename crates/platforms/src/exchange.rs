//! What every adapter needs around one HTTP exchange: safe paths going out, honest readings coming back.
//!
//! An answer is believed only if it is the API's own: a proxy's HTML page with status 404 does not say that an
//! envelope is gone, and one with status 200 does not say that all is well.

use std::time::Duration;

use aftersign_core::error::NotBefore;
use aftersign_core::limits::EXCERPT_CHARS_MAX;
use aftersign_core::platform::{Access, Call, Next, OptionSpec};
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, request};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

/// Characters of a platform's word for a kind or a status that are kept: the longest known one has 37.
const WORD_CHARS_MAX: usize = 100;
/// Longest id that is put into a path, in characters: the platforms' own stay below 64.
const ID_CHARS_MAX: usize = 128;

/// The id, if it can stand in a path as it is: letters, digits, `-` and `_` only.
pub(crate) fn safe_id<'a>(operation: &'static str, id: &'a str) -> Result<&'a str, Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !id.is_empty() && id.len() <= ID_CHARS_MAX && id.bytes().all(is_plain) {
        return Ok(id);
    }
    let message = "the id has characters that no id of this platform has, so it is not put into a URL; \
                   look up the envelope at the platform";
    Err(Error::new(ErrorKind::Rejected, Remedy::AskPerson, operation, message).with("id", excerpt(id)))
}

/// A header value that must not be logged; the error says that the credential is unusable.
pub(crate) fn secret_header(operation: &'static str, text: &str) -> Result<HeaderValue, Error> {
    match HeaderValue::from_str(text) {
        Ok(mut value) if !text.trim().is_empty() => {
            value.set_sensitive(true);
            Ok(value)
        }
        _ => Err(misconfigured(operation, "the account's credential is empty or has characters no key has")),
    }
}

/// Our own configuration lacks something: a person must mend it.
pub(crate) fn misconfigured(operation: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, operation, message)
}

/// An option's value: as it was set, else its default. A word that it cannot have must be mended by a person.
pub(crate) fn option<'a>(
    operation: &'static str,
    access: &'a Access,
    spec: &OptionSpec,
) -> Result<&'a str, Error> {
    let value = access.option(spec.name).map_or(spec.default, str::trim);
    if spec.values.is_empty() || spec.values.contains(&value) {
        return Ok(value);
    }
    let message = format!("the account's option `{}` must be one of: {}", spec.name, spec.values.join(", "));
    Err(misconfigured(operation, &message))
}

/// Finishes a request; only a base URL that is no URL can fail here.
pub(crate) fn request(
    operation: &'static str,
    builder: request::Builder,
    body: Bytes,
) -> Result<Request<Bytes>, Error> {
    builder
        .body(body)
        .map_err(|error| misconfigured(operation, "the account's base_url is not a URL").caused_by(error))
}

/// An answer that is not what the documentation promises; usually a proxy or a short disturbance.
pub(crate) fn unintelligible(operation: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Unintelligible, Remedy::Retry(None), operation, message)
}

/// The JSON of a good answer: an object, because every answer that we read is one. An array would be taken for
/// an object whose members are absent.
pub(crate) fn read_json<T: DeserializeOwned>(operation: &'static str, body: &[u8]) -> Result<T, Error> {
    let text = without_mark(body);
    if text.trim_ascii_start().first() == Some(&b'[') {
        return Err(unintelligible(operation, "the answer is a list where an object is documented"));
    }
    read_any(operation, body)
}

/// The JSON of a good answer that is documented as a list.
pub(crate) fn read_list<T: DeserializeOwned>(operation: &'static str, body: &[u8]) -> Result<Vec<T>, Error> {
    read_any(operation, body)
}

fn read_any<T: DeserializeOwned>(operation: &'static str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(without_mark(body)).map_err(|error| {
        let what = match Body::of(body) {
            Body::Empty => "the answer is empty",
            Body::Foreign if is_page(body) => "the answer is an HTML page: is base_url right?",
            Body::Foreign => "the answer is not JSON: is base_url right?",
            Body::Json(_) => "the answer's JSON has another shape than documented",
        };
        unintelligible(operation, what).caused_by(flaw(&error))
    })
}

/// What is wrong with a JSON text and where. The parser's own words would quote the text at any length.
pub(crate) fn flaw(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Io => "it cannot be read to its end",
        Category::Syntax => "it breaks JSON's grammar",
        Category::Data => "a value is not of the documented kind",
        Category::Eof => "it is cut off",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// A platform's API as it is asked for one operation: what all adapters do with its answers.
pub(crate) trait Asking {
    /// What calls and errors are named after.
    fn operation(&self) -> &'static str;

    /// What a refusal means.
    fn refused(&self, response: &Response<Bytes>) -> Error;

    /// Pairs a request with its reader.
    fn then<T>(
        &self,
        request: Request<Bytes>,
        read: impl FnOnce(Response<Bytes>) -> Result<Next<T>, Error> + Send + 'static,
    ) -> Call<T> {
        Call::new(self.operation(), request, move |response, _now| read(response))
    }

    /// The JSON of a success, or what the refusal means.
    fn answer<T: DeserializeOwned>(&self, response: &Response<Bytes>) -> Result<T, Error> {
        match response.status().is_success() {
            true => read_json(self.operation(), response.body()),
            false => Err(self.refused(response)),
        }
    }

    /// An answer that contradicts the documentation.
    fn unintelligible(&self, message: &str) -> Error {
        unintelligible(self.operation(), message)
    }

    /// An error of this operation.
    fn error(&self, kind: ErrorKind, remedy: Remedy, message: &str) -> Error {
        Error::new(kind, remedy, self.operation(), message)
    }
}

/// What the body of a refusing answer is.
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// A JSON object.
    Json(Value),
    /// Not from the API: an HTML page, a plain text, a cut answer.
    Foreign,
}

impl Body {
    /// Reads it; JSON with trailing commas (a published example has one) is read all the same.
    pub(crate) fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(without_mark(body));
        let text = text.trim();
        if text.is_empty() {
            return Self::Empty;
        }
        if !text.starts_with('{') {
            return Self::Foreign;
        }
        match serde_json::from_str(text).or_else(|_| serde_json::from_str(&without_trailing_commas(text))) {
            Ok(value) => Self::Json(value),
            Err(_) => Self::Foreign,
        }
    }
}

/// The bytes without a byte order mark.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// Whether it is a page (HTML) and no answer of an API.
pub(crate) fn is_page(body: &[u8]) -> bool {
    without_mark(body).trim_ascii_start().first() == Some(&b'<')
}

/// JSON as standards have it, of JSON with commas before a closing bracket. Never longer than the text, so it is written in one
/// place.
pub(crate) fn without_trailing_commas(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c == '"' {
            in_string = true;
        } else if matches!(c, '}' | ']') {
            let end = kept.trim_end().len();
            if kept[..end].ends_with(',') {
                kept.truncate(end - 1);
            }
        }
        kept.push(c);
    }
    kept
}

/// What a refusal by status alone means; adapters decide first by the platform's own error names.
pub(crate) fn refused_by_status(
    operation: &'static str,
    status: StatusCode,
    not_before: Option<NotBefore>,
    message: String,
) -> Error {
    let (kind, remedy) = match status.as_u16() {
        401 => (ErrorKind::AccessRefused, Remedy::RenewAccess),
        402 | 403 => (ErrorKind::Forbidden, Remedy::AskPerson),
        404 => (ErrorKind::NotFound, Remedy::Retry(None)),
        408 => (ErrorKind::Unavailable, Remedy::Retry(not_before)),
        409 => (ErrorKind::NotReady, Remedy::Park),
        410 => (ErrorKind::NotFound, Remedy::AskPerson),
        429 => (ErrorKind::RateLimited, Remedy::Retry(not_before)),
        400..=499 => (ErrorKind::Rejected, Remedy::AskPerson),
        500..=599 => (ErrorKind::Unavailable, Remedy::Retry(not_before)),
        _ => (ErrorKind::Unintelligible, Remedy::Retry(None)),
    };
    Error::new(kind, remedy, operation, message).with("status", status.as_u16())
}

/// A refusal whose body is not the API's own: only 401, 429 and 5xx keep their meaning.
pub(crate) fn refused_by_stranger(
    operation: &'static str,
    status: StatusCode,
    not_before: Option<NotBefore>,
) -> Error {
    let message = "something other than the platform's API answered (a proxy, a maintenance page); \
                   if it persists, check base_url";
    if matches!(status.as_u16(), 401 | 429 | 500..=599) {
        return refused_by_status(operation, status, not_before, message.to_owned());
    }
    unintelligible(operation, message).with("status", status.as_u16())
}

/// The status of a refusal, if it is the API's own word and not a proxy's page.
pub(crate) fn own_status(response: &Response<Bytes>) -> Option<u16> {
    let own = !response.status().is_success() && !matches!(Body::of(response.body()), Body::Foreign);
    own.then_some(response.status().as_u16())
}

/// A refusal by the API itself that neither repeating nor another access will change.
pub(crate) fn is_plain_refusal(response: &Response<Bytes>) -> bool {
    matches!(own_status(response), Some(400 | 404 | 405 | 409 | 410 | 415 | 422))
}

/// A refusal that says nothing about the thing asked for: the token, the rate or the platform's health.
pub(crate) fn is_disturbed(response: &Response<Bytes>) -> bool {
    matches!(response.status().as_u16(), 401 | 408 | 429 | 500..=599)
}

/// `Retry-After` in seconds; dates are not seen at these platforms and not read.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<NotBefore> {
    let seconds: u64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(NotBefore::After(Duration::from_secs(seconds)))
}

/// Foreign text, shortened and on one line, fit for an error or a timeline.
pub(crate) fn excerpt(text: &str) -> String {
    shortened(text, EXCERPT_CHARS_MAX)
}

/// A platform's word for a kind or a status; shortened like any foreign text, because it may be anything.
pub(crate) fn word(text: &str) -> String {
    shortened(text, WORD_CHARS_MAX)
}

/// At most `chars_max` characters; the last one tells that something was left out.
fn shortened(text: &str, chars_max: usize) -> String {
    let line = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut kept: String = line.take(chars_max + 1).collect();
    if kept.chars().count() > chars_max {
        let cut = kept.char_indices().nth(chars_max - 1).map_or(kept.len(), |(at, _)| at);
        kept.truncate(cut);
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_leave_its_path_segment_is_refused() {
        for id in ["", "..", "a/b", "a%2Fb", "a?b", "a#b", "a b", "ä", "a\r\nX: y", &"a".repeat(129)] {
            assert_eq!(safe_id("test", id).unwrap_err().remedy(), Remedy::AskPerson, "{id:?}");
        }
        assert!(safe_id("test", "fa5c8a0b0f492d768749333ad6fcc214c111e967").is_ok());
    }

    #[test]
    fn json_with_trailing_commas_is_read_and_commas_in_texts_stay() {
        let Body::Json(value) = Body::of(br#" {"error": {"error_msg": "a,} \",]", "error_name": "x", } , }"#)
        else {
            panic!("not read")
        };
        assert_eq!(value["error"]["error_msg"], "a,} \",]");
        assert!(matches!(Body::of(b"  "), Body::Empty));
        assert!(matches!(Body::of(b"<html>"), Body::Foreign));
        assert!(matches!(Body::of(b"{"), Body::Foreign));
    }

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        assert_eq!(excerpt(" a\r\nb "), "a  b");
        assert_eq!(excerpt(&"ü".repeat(1_000)).chars().count(), EXCERPT_CHARS_MAX);
        assert_eq!(word(&"ü".repeat(1_000)).chars().count(), WORD_CHARS_MAX);
        assert_eq!(word(&"ü".repeat(WORD_CHARS_MAX)), "ü".repeat(WORD_CHARS_MAX));
    }

    #[test]
    fn an_unreadable_answer_is_located_and_never_quoted() {
        let of = |body: &str| read_json::<std::collections::HashMap<String, u8>>("test", body.as_bytes());
        let long = "confidential ".repeat(100_000);
        let error = of(&format!("{{\"a\":\n\"{long}\"}}")).unwrap_err().chain();
        assert!(error.contains("line 2") && !error.contains("confidential"), "{error}");
        assert!(of("{\"a\":").unwrap_err().chain().contains("cut off"));
        assert!(of(" []").is_err(), "a list is no object without members");
    }
}
