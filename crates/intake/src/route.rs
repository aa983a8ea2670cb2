//! Reads `/callbacks/{account}/{path_secret}[/{channel}]`.
//!
//! One trailing slash is tolerated, because people paste `…/{path_secret}/?envelope=…`. Nothing else is: no
//! double slashes, no dot segments, no other case.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::limits::SEGMENT_BYTES_MAX;

/// What every callback URL begins with.
pub(crate) const CALLBACKS: &str = "/callbacks/";

/// The decoded segments of a callback URL.
#[derive(PartialEq, Eq)]
pub(crate) struct Route<'a> {
    /// The account's id as claimed.
    pub(crate) account: Cow<'a, str>,
    /// The path secret as claimed.
    pub(crate) path_secret: Cow<'a, [u8]>,
    /// The channel as claimed.
    pub(crate) channel: Option<Cow<'a, [u8]>>,
}

impl<'a> Route<'a> {
    /// Reads a request's path. `None` if it is no callback URL.
    pub(crate) fn read(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(CALLBACKS)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut segments = rest.split('/');
        let account = match decoded(segments.next()?)? {
            Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).ok()?),
        };
        let path_secret = decoded(segments.next()?)?;
        let channel = match segments.next() {
            Some(segment) => Some(decoded(segment)?),
            None => None,
        };
        segments.next().is_none().then_some(Self { account, path_secret, channel })
    }
}

fn decoded(segment: &str) -> Option<Cow<'_, [u8]>> {
    (!segment.is_empty() && segment.len() <= SEGMENT_BYTES_MAX).then(|| percent_decode_str(segment).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(String, String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Route::read(path).map(|route| {
            (route.account.to_string(), text(&route.path_secret), route.channel.as_deref().map(text))
        })
    }

    #[test]
    fn a_callback_url_has_two_or_three_segments_and_perhaps_a_trailing_slash() {
        let two = Some(("hr".to_owned(), "s".to_owned(), None));
        assert_eq!(read("/callbacks/hr/s"), two);
        assert_eq!(read("/callbacks/hr/s/"), two);
        assert_eq!(read("/callbacks/h%72/%73"), two);
        assert_eq!(read("/callbacks/hr/s/status").unwrap().2.as_deref(), Some("status"));
        for path in ["/", "/callbacks", "/callbacks/", "/callbacks/hr", "/callbacks/hr/", "/callbacks//s"] {
            assert_eq!(read(path), None, "{path}");
        }
        for path in ["/callbacks/hr/s//", "/callbacks/hr/s/status/x", "/Callbacks/hr/s", "/callbacks/%ff/s"] {
            assert_eq!(read(path), None, "{path}");
        }
        assert_eq!(read(&format!("/callbacks/hr/{}", "a".repeat(SEGMENT_BYTES_MAX + 1))), None);
    }
}
