//! `name=value&…`, as query strings and form bodies carry it.
//!
//! Kept apart from any URL library because the senders are sloppy: raw `+` in e-mail addresses, unescaped
//! non-ASCII bytes, `&amp;` where a template was pasted through XML. Nothing here fails.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Pairs looked at in one query or form: more than any sender has, few enough to bound the work.
const PAIRS_MAX: usize = 256;

/// What a `+` in a value stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    /// A space: HTML forms.
    Space,
    /// Itself: URL templates filled in without encoding.
    Literal,
}

/// The decoded pairs of `text` in order. A pair without `=` has an empty value.
pub(crate) fn pairs(text: &str, plus: Plus) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).take(PAIRS_MAX).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // `&amp;` of an XML-escaped template leaves `amp;` before the next name.
        let name = name.strip_prefix("amp;").unwrap_or(name);
        (decode(name, plus), decode(value, plus))
    })
}

fn decode(text: &str, plus: Plus) -> String {
    let text = match plus {
        Plus::Space => Cow::Owned(text.replace('+', " ")),
        Plus::Literal => Cow::Borrowed(text),
    };
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_a_plus_stays_what_the_sender_meant() {
        let read = |text, plus| pairs(text, plus).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("a=x+y%2Bz", Plus::Space), [pair("a", "x y+z")]);
        assert_eq!(read("a=x+y%2Bz", Plus::Literal), [pair("a", "x+y+z")]);
        assert_eq!(
            read("a=1&amp;b=%7B2%7D&&c", Plus::Literal),
            [pair("a", "1"), pair("b", "{2}"), pair("c", "")]
        );
        assert_eq!(read("a=%FF%zz", Plus::Literal), [pair("a", "\u{FFFD}%zz")]);
    }
}
