//! Takes secrets out of a request before it is noted down.
//!
//! What is noted is read by people and copied into backups, so nothing in it may open a door: neither what is
//! a secret by its name (`Authorization`, `?token=`) nor what holds one of the account's own secrets, wherever
//! a proxy may have copied it (`X-Original-URI`). The body stays as it was received.

use std::borrow::Cow;

use aftersign_core::secret::Secret;
use http::HeaderMap;
use memchr::memmem;
use percent_encoding::percent_decode_str;

use crate::limits::SECRET_WITHIN_BYTES_MIN;

/// What stands in the place of a secret.
const REDACTED: &str = "REDACTED";
/// Headers that are secrets by their name.
const SECRET_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-amz-security-token"];
/// Parts of the names of query parameters that are secrets.
const SECRET_PARAMETERS: [&str; 6] = ["token", "secret", "password", "passwd", "key", "signature"];

/// Knows an account's secrets.
pub(crate) struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    /// Takes out these secrets, besides what is one by its name.
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self { secrets: secrets.into_iter().filter(|secret| !secret.is_empty()).collect() }
    }

    /// The headers with names in lower case and secrets redacted.
    pub(crate) fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let mut kept = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let secret = SECRET_HEADERS.contains(&name.as_str()) || self.holds_secret(&value);
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
        self.secrets.iter().any(|secret| {
            let secret = secret.expose().as_bytes();
            if text.len() <= secret.len() || secret.len() < SECRET_WITHIN_BYTES_MIN {
                text == secret
            } else {
                memmem::find(text, secret).is_some()
            }
        })
    }
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

    fn redactor() -> Redactor {
        Redactor::new(["p@th&secret", "k3y-of-platform", "abc"].map(Secret::new))
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
        assert_eq!(query("a=x-k3y-of-platform-y&b=abc&c=abcd"), "a=REDACTED&b=REDACTED&c=abcd");
        assert_eq!(query("a=p%40th%26secret&k3y-of-platform=1&abc"), "a=REDACTED&REDACTED&REDACTED");
        assert_eq!(query("a=p@th&secret&b=1"), "REDACTED");
    }

    #[test]
    fn headers_are_redacted_by_name_and_by_content() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Authorization", "Basic x"),
            ("Cookie", "a=b"),
            ("X-Original-Uri", "/callbacks/hr/p%40th%26secret?x"),
            ("X-Key", "k3y-of-platform"),
            ("Content-Sha256", "NGI="),
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
        assert_eq!(of("content-sha256"), ["NGI=", "\u{fffd}"]);
    }
}
