//! Takes secrets out of a request before it is noted down.
//!
//! What is noted is read by people and copied into backups, so nothing in it may open a door: neither what is
//! a secret by its name (`Authorization`, `?token=`) nor what holds one of the account's own secrets, wherever
//! a proxy may have copied it (`X-Original-URI`), nor what an adapter quotes from it. The body stays as it was
//! received, and so do the headers without which nobody could read or verify it later.

use std::borrow::Cow;

use aftersign_core::secret::Secret;
use http::HeaderMap;
use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;

use crate::limits::SECRET_WITHIN_BYTES_MIN;

/// What stands in the place of a secret.
const REDACTED: &str = "REDACTED";
/// Headers that are secrets by their name.
const SECRET_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-amz-security-token"];
/// Parts of the names of query parameters that are secrets.
const SECRET_PARAMETERS: [&str; 6] = ["token", "secret", "password", "passwd", "key", "signature"];

/// Headers that say what the body is; without them a kept callback could not be read again.
const KEPT_HEADERS: [&str; 3] = ["content-type", "content-length", "content-sha256"];
/// What an adapter puts where it left out the rest of a text.
const ELLIPSIS: char = '…';

/// Knows an account's secrets.
#[derive(Clone)]
pub(crate) struct Redactor {
    /// Long enough to be looked for within a value; prepared once, because every request looks for all.
    long: Vec<Finder<'static>>,
    /// Only ever compared with a whole value.
    short: Vec<Secret>,
}

impl Redactor {
    /// Takes out these secrets, besides what is one by its name.
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let none = Self { long: Vec::new(), short: Vec::new() };
        secrets.into_iter().filter(|secret| !secret.is_empty()).fold(none, Self::and)
    }

    /// The same with one secret more, which is not empty.
    pub(crate) fn and(mut self, secret: Secret) -> Self {
        if secret.expose().len() >= SECRET_WITHIN_BYTES_MIN {
            self.long.push(Finder::new(secret.expose()).into_owned());
        } else {
            self.short.push(secret);
        }
        self
    }

    /// A text of ours that may quote the request, with what is secret in it redacted.
    pub(crate) fn text(&self, text: String) -> String {
        let mut kept = text;
        for secret in &self.long {
            if let Ok(secret) = std::str::from_utf8(secret.needle()) {
                kept = without_cut(&kept.replace(secret, REDACTED), secret);
            }
        }
        // Adapters put what they quote between backticks; there it is the whole value.
        let parts = kept.split('`').map(|part| if self.holds_secret(part) { REDACTED } else { part });
        kept = parts.collect::<Vec<_>>().join("`");
        if self.holds_secret(&kept) { REDACTED.to_owned() } else { kept }
    }

    /// The headers with names in lower case and secrets redacted.
    pub(crate) fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let mut kept = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let secret = SECRET_HEADERS.contains(&name.as_str())
                || (!KEPT_HEADERS.contains(&name.as_str()) && self.holds_secret(&value));
            let value = if secret { REDACTED.to_owned() } else { value.into_owned() };
            kept.push((name.as_str().to_owned(), value));
        }
        kept
    }

    /// The query string with secrets redacted.
    pub(crate) fn query(&self, query: &str) -> String {
        let mut kept = String::with_capacity(query.len());
        for (index, pair) in query.split('&').enumerate() {
            if index > 0 {
                kept.push('&');
            }
            match pair.split_once('=') {
                Some((name, value)) if !self.holds_secret(name) => {
                    kept.push_str(name);
                    kept.push('=');
                    let secret = !value.is_empty() && (names_secret(name) || self.holds_secret(value));
                    kept.push_str(if secret { REDACTED } else { value });
                }
                None if !self.holds_secret(pair) => kept.push_str(pair),
                _ => kept.push_str(REDACTED),
            }
        }
        // A secret may hold `&` or `=` and stand unencoded.
        if self.holds_secret(&kept) { REDACTED.to_owned() } else { kept }
    }

    /// Whether a text is or contains one of the secrets, as it stands or percent-decoded.
    fn holds_secret(&self, text: &str) -> bool {
        if self.contains(text.as_bytes()) {
            return true;
        }
        if !text.contains(['%', '+']) {
            return false;
        }
        let spaced: Cow<'_, str> =
            if text.contains('+') { text.replace('+', " ").into() } else { Cow::Borrowed(text) };
        self.contains(&Cow::from(percent_decode_str(&spaced)))
            || self.contains(&Cow::from(percent_decode_str(text)))
    }

    fn contains(&self, text: &[u8]) -> bool {
        self.long.iter().any(|secret| secret.find(text).is_some())
            || self.short.iter().any(|secret| secret.expose().as_bytes() == text)
    }
}

/// The text without the beginning of a secret that an adapter cut off.
fn without_cut(text: &str, secret: &str) -> String {
    let mut pieces: Vec<&str> = text.split(ELLIPSIS).collect();
    let cuts = pieces.len() - 1;
    for piece in &mut pieces[..cuts] {
        let beginnings = secret.char_indices().rev().map(|(end, _)| &secret[..end]);
        let told = beginnings.take_while(|beginning| beginning.len() >= SECRET_WITHIN_BYTES_MIN / 2);
        if let Some(rest) = told.into_iter().find_map(|beginning| piece.strip_suffix(beginning)) {
            *piece = rest;
        }
    }
    pieces.join("…")
}

fn names_secret(name: &str) -> bool {
    let name = Cow::from(percent_decode_str(name));
    SECRET_PARAMETERS
        .iter()
        .any(|word| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [&str; 4] = ["path-secret&of=22-bytes", "k3y-of-the-platform", "p@th&s", "1f2c"];

    fn redactor() -> Redactor {
        Redactor::new(WHOLE.map(Secret::new))
    }

    #[test]
    fn query_parameters_that_are_or_hold_secrets_are_redacted_and_others_stay_as_they_were() {
        let query = |text: &str| redactor().query(text);
        assert_eq!(query(""), "");
        assert_eq!(query("envelope=1%20a&action=x+y&&b"), "envelope=1%20a&action=x+y&&b");
        assert_eq!(
            query("token=t&Api%4Bey=u&to%6Ben=v&d="),
            "token=REDACTED&Api%4Bey=REDACTED&to%6Ben=REDACTED&d="
        );
        assert_eq!(query("a=x-k3y-of-the-platform-y&b=1f2c&c=1f2cd"), "a=REDACTED&b=REDACTED&c=1f2cd");
        assert_eq!(query("a=p%40th%26s&k3y-of-the-platform=1&1f2c"), "a=REDACTED&REDACTED&REDACTED");
        assert_eq!(query("a=path-secret&of=22-bytes&b=1"), "REDACTED");
    }

    #[test]
    fn a_short_secret_never_mangles_what_merely_contains_it() {
        let id = "envelopeId=765b904a-7c64-470f-bf63-0f311f2cc474&action=x";
        assert_eq!(redactor().query(id), id);
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "a1f2cb".parse().unwrap());
        headers.insert("x-whole", "1f2c".parse().unwrap());
        let kept = redactor().headers(&headers);
        assert!(kept.contains(&("x-request-id".to_owned(), "a1f2cb".to_owned())), "{kept:?}");
        assert!(kept.contains(&("x-whole".to_owned(), REDACTED.to_owned())), "{kept:?}");
    }

    #[test]
    fn headers_are_redacted_by_name_and_by_content_but_never_those_that_explain_the_body() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Authorization", "Basic x"),
            ("Cookie", "a=b"),
            ("X-Original-Uri", "/callbacks/hr/path-secret%26of%3D22-bytes?x"),
            ("X-Key", "k3y-of-the-platform"),
            ("Content-Type", "multipart/form-data; boundary=k3y-of-the-platform"),
            ("Content-Length", "1f2c"),
            ("Content-Sha256", "1f2c"),
        ] {
            headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        headers.append("content-sha256", http::HeaderValue::from_bytes(b"\xff").unwrap());
        let kept = redactor().headers(&headers);
        let of =
            |name: &str| kept.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        for name in ["authorization", "cookie", "x-original-uri", "x-key"] {
            assert_eq!(of(name), [REDACTED], "{name}");
        }
        assert_eq!(of("content-sha256"), ["1f2c", "\u{fffd}"]);
        assert_eq!(of("content-type"), ["multipart/form-data; boundary=k3y-of-the-platform"]);
        assert_eq!(of("content-length"), ["1f2c"]);
    }

    #[test]
    fn what_a_text_of_ours_quotes_is_redacted_and_the_rest_stays() {
        let text = |text: &str| redactor().text(text.to_owned());
        assert_eq!(text("`7` is not an id (1f2cd)"), "`7` is not an id (1f2cd)");
        assert_eq!(text("`1f2c` is not an id"), "`REDACTED` is not an id");
        assert_eq!(text("`a k3y-of-the-platform b` is no id"), "`a REDACTED b` is no id");
        assert_eq!(text("`path-secret%26of%3D22-bytes` is no id"), "`REDACTED` is no id");
        assert_eq!(text("`x k3y-of-the-pl…` is no id"), "`x …` is no id", "cut within the secret");
        assert_eq!(text("1f2c"), "REDACTED");
    }
}
