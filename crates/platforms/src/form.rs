//! `name=value&…`, as query strings and form bodies carry it.
//!
//! Kept apart from any URL library because the senders are sloppy: raw `+` in e-mail addresses, unescaped
//! non-ASCII bytes, `&amp;` where a template was pasted through XML. Nothing here fails.

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode, percent_decode_str, utf8_percent_encode,
};
use zeroize::Zeroizing;

/// What is encoded in a value: all that is not unreserved (RFC 3986, section 2.3).
pub(crate) const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Pairs looked at in one query: more than any sender has, few enough to bound the work.
const PAIRS_MAX: usize = 256;

/// The decoded pairs of a query in order. A pair without `=` has an empty value. A `+` stands for itself: URL
/// templates are filled in without encoding.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).take(PAIRS_MAX).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // `&amp;` of an XML-escaped template leaves `amp;` before the next name.
        let name = name.strip_prefix("amp;").unwrap_or(name);
        (decode(name), decode(value))
    })
}

/// The values of these names, each of which can come once; `None` if one comes twice, or if there are more pairs than are
/// looked at.
pub(crate) fn unique<const N: usize>(text: &str, names: [&str; N]) -> Option<[Option<String>; N]> {
    if text.split('&').count() > PAIRS_MAX {
        return None;
    }
    let mut values = [const { None }; N];
    for (name, value) in pairs(text) {
        let Some(at) = names.iter().position(|known| *known == name) else { continue };
        if values[at].replace(value).is_some() {
            return None;
        }
    }
    Some(values)
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A value as a query or a form carries it; a space becomes `%20`, which readers of both take.
pub(crate) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &RESERVED)
}

/// Appends a value as a query or a form carries it, without a copy in between.
pub(crate) fn append_encoded(out: &mut Zeroizing<String>, text: &str) {
    out.extend(encoded(text));
}

/// Longest text that these become when each is encoded, in bytes, with one more for what stands between them.
pub(crate) fn encoded_bytes_max(texts: &[&str]) -> usize {
    /// A byte becomes `%XX` at most.
    const ENCODED_BYTE: usize = 3;
    texts.iter().map(|text| text.len() * ENCODED_BYTE + 1).sum()
}

/// The pairs as a query or a form carries them. They may be secret: the text never grows out of its first place, and is zeroed
/// when dropped.
pub(crate) fn written(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let bytes_max = pairs.iter().map(|(name, value)| encoded_bytes_max(&[name, value])).sum();
    let mut out = Zeroizing::new(String::with_capacity(bytes_max));
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push('&');
        }
        append_encoded(&mut out, name);
        out.push('=');
        append_encoded(&mut out, value);
    }
    out
}

/// The exact bytes of field `name` in a form's body, or why there are none. A `+` stands for a space. Refuses a
/// field that occurs twice, because two readers would disagree on which one counts.
pub(crate) fn field(body: &[u8], name: &str) -> Result<Vec<u8>, &'static str> {
    let mut found = None;
    for pair in body.split(|&byte| byte == b'&') {
        let border = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(border);
        if !percent_decode(key).eq(name.bytes()) {
            continue;
        }
        let value = value.get(1..).unwrap_or_default();
        let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        if found.replace(percent_decode(&spaced).collect()).is_some() {
            return Err("the form has the field twice");
        }
    }
    found.ok_or("the form lacks the field")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_decoded_and_a_plus_stays() {
        let read = |text| pairs(text).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("a=x+y%2Bz"), [pair("a", "x+y+z")]);
        assert_eq!(read("a=1&amp;b=%7B2%7D&&c"), [pair("a", "1"), pair("b", "{2}"), pair("c", "")]);
        assert_eq!(read("a=%FF%zz"), [pair("a", "\u{FFFD}%zz")]);
    }

    #[test]
    fn unique_values_are_taken_once_each() {
        let read = |text: &str| unique(text, ["a", "b"]);
        assert_eq!(read("=&a=1&c=2&c=3"), Some([Some("1".to_owned()), None]));
        assert_eq!(read("a=1&b=2&%61=1"), None, "a name twice, in whatever spelling");
        assert_eq!(read(&"c&".repeat(PAIRS_MAX)), None, "a second `a` could stand where nobody looks");
        assert_eq!(written(&[("a b", "x+y"), ("c", "")]).as_str(), "a%20b=x%2By&c=");
    }

    #[test]
    fn a_written_text_is_zeroed_and_never_leaves_a_copy_by_growing() {
        fn is_zeroed_when_dropped(_: &impl zeroize::ZeroizeOnDrop) {}
        for value in ["", "x", &"ü".repeat(5_000), &"+".repeat(9_999)] {
            let pairs = [("grant type", "a"), ("code", value), ("ü", value)];
            let text = written(&pairs);
            is_zeroed_when_dropped(&text);
            let first: usize = pairs.iter().map(|(name, value)| encoded_bytes_max(&[name, value])).sum();
            assert_eq!(text.capacity(), first, "it is where it was from the start");
        }
    }

    #[test]
    fn a_forms_field_is_decoded_to_its_exact_bytes_and_must_be_the_only_one() {
        assert_eq!(field(b"a=b&j%73on=x+y%2Bz%FF\xFE&json2", "json"), Ok(b"x y+z\xFF\xFE".to_vec()));
        assert_eq!(field(b"json", "json"), Ok(Vec::new()));
        assert_eq!(field(b"json=1&json=1", "json"), Err("the form has the field twice"));
        assert_eq!(field(b"jason=1", "json"), Err("the form lacks the field"));
    }
}
