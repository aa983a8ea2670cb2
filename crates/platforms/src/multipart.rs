//! Takes one field out of a `multipart/form-data` body, byte for byte.
//!
//! Written here because the bytes matter more than the form: a digest covers exactly what stands between the
//! part's header and the next delimiter, so nothing may be decoded, trimmed or copied. Tolerant of bare line
//! feeds, preambles, folded case, any order of fields, file names and a missing last delimiter (a cut body
//! fails its digest or its JSON); refuses a field that occurs twice, because two readers would disagree on
//! which one counts. Work is linear in the body.

/// Longest boundary taken, in bytes: RFC 2046 allows 70.
const BOUNDARY_BYTES_MAX: usize = 200;
/// Parts looked at: the one sender we read has one.
const PARTS_MAX: usize = 64;
/// Header lines looked at in one part.
const HEADER_LINES_MAX: usize = 32;

/// The value of parameter `name` in a header value such as `form-data; name="json"`.
pub(crate) fn parameter(header: &str, name: &str) -> Option<String> {
    let (_, mut rest) = header.split_once(';')?;
    loop {
        let (key, after) = rest.split_once('=')?;
        // A parameter without a value may stand before the next one.
        let key = key.rsplit(';').next().unwrap_or(key).trim();
        let (value, after) = parameter_value(after.trim_start());
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}

/// Splits a token or quoted string from what follows its `;`.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = &quoted[at + 1..];
                return (value, rest.split_once(';').map_or("", |(_, rest)| rest));
            }
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

/// The exact bytes of field `name`, or why there are none.
pub(crate) fn field<'a>(content_type: &str, body: &'a [u8], name: &str) -> Result<&'a [u8], &'static str> {
    let boundary = parameter(content_type, "boundary").unwrap_or_default();
    if boundary.is_empty() {
        return Err("the multipart body names no boundary");
    }
    if boundary.len() > BOUNDARY_BYTES_MAX {
        return Err("the multipart boundary is too long");
    }
    let delimiters = delimiters(body, &format!("--{boundary}"));
    if delimiters.is_empty() {
        return Err("the multipart body never uses its boundary");
    }
    let mut found = None;
    for (index, delimiter) in delimiters.iter().enumerate().take(PARTS_MAX) {
        if delimiter.last {
            break;
        }
        let end = delimiters.get(index + 1).map_or(body.len(), |next| next.start);
        let Some(content) = named_content(&body[delimiter.end..end.max(delimiter.end)], name) else {
            continue;
        };
        if found.replace(strip_line_end(content)).is_some() {
            return Err("the multipart body has the field twice");
        }
    }
    found.ok_or("the multipart body lacks the field")
}

/// One line `--boundary` or `--boundary--`.
struct Delimiter {
    start: usize,
    end: usize,
    last: bool,
}

fn delimiters(body: &[u8], mark: &str) -> Vec<Delimiter> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < body.len() && found.len() <= PARTS_MAX {
        let end = line_end(body, start);
        if let Some(rest) = body[start..end].strip_prefix(mark.as_bytes()) {
            let (rest, last) = rest.strip_prefix(b"--").map_or((rest, false), |rest| (rest, true));
            // Anything but padding means that the content merely starts like the boundary.
            if rest.trim_ascii().is_empty() {
                found.push(Delimiter { start, end, last });
            }
        }
        start = end;
    }
    found
}

/// The index after the line feed that ends the line at `start`.
fn line_end(body: &[u8], start: usize) -> usize {
    body[start..].iter().position(|&byte| byte == b'\n').map_or(body.len(), |at| start + at + 1)
}

/// The content of a part if it is the field `name`; its last line end still belongs to the delimiter.
fn named_content<'a>(part: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut start = 0;
    let mut named = false;
    for _ in 0..HEADER_LINES_MAX {
        let end = line_end(part, start);
        if end == start {
            return None;
        }
        let line = String::from_utf8_lossy(part[start..end].trim_ascii());
        start = end;
        if line.is_empty() {
            return named.then_some(&part[start..]);
        }
        if let Some((key, value)) = line.split_once(':')
            && key.trim().eq_ignore_ascii_case("content-disposition")
        {
            named |= parameter(value, "name").as_deref() == Some(name);
        }
    }
    None
}

fn strip_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=X";

    #[test]
    fn parameters_are_read_quoted_escaped_and_in_any_case_and_order() {
        assert_eq!(parameter("form-data; NAME=\"a\\\"b;c\"; filename=x", "name").as_deref(), Some("a\"b;c"));
        assert_eq!(parameter("form-data; filename=\"x;name=y\"; name=json", "name").as_deref(), Some("json"));
        assert_eq!(
            parameter("multipart/form-data;charset=utf-8;Boundary=a=b", "boundary").as_deref(),
            Some("a=b")
        );
        for broken in ["form-data", "form-data; name", "form-data; name=\"", ";", "a;=;=", "a;b\"=\"c"] {
            let _ = parameter(broken, "name");
        }
    }

    #[test]
    fn the_field_is_found_in_every_usual_form_and_its_bytes_are_exact() {
        for body in [
            "--X\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{\"a\": 1}\r\n--X--\r\n",
            "--X\nContent-Disposition: form-data; name=\"json\"\n\n{\"a\": 1}\n--X--\n",
            "a preamble\r\n--X  \r\ncontent-disposition:form-data;name=json;filename=\"e.json\"\r\n\
             Content-Type: application/json\r\n\r\n{\"a\": 1}\r\n--X--",
            "--X\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nname=\"json\"\r\n--X\r\n\
             Content-Disposition: form-data; name=\"json\"\r\n\r\n{\"a\": 1}\r\n--X--\r\nepilogue",
            "--X\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{\"a\": 1}\r\n",
        ] {
            assert_eq!(field(TYPE, body.as_bytes(), "json"), Ok(&b"{\"a\": 1}"[..]), "{body}");
        }
        let inner =
            "--X\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n\r\n--Xtra\n --X\r\n\r\n--X--";
        assert_eq!(field(TYPE, inner.as_bytes(), "json"), Ok(&b"\r\n--Xtra\n --X\r\n"[..]));
    }

    #[test]
    fn hostile_bodies_are_refused_with_the_reason() {
        let twice = "--X\r\nContent-Disposition: form-data; name=json\r\n\r\n1\r\n".repeat(2) + "--X--";
        assert_eq!(field(TYPE, twice.as_bytes(), "json"), Err("the multipart body has the field twice"));
        assert!(field("multipart/form-data", b"--X", "json").is_err());
        assert!(field("multipart/form-data; boundary=\"\"", b"--", "json").is_err());
        assert!(field(&format!("multipart/form-data; boundary={}", "x".repeat(201)), b"", "json").is_err());
        assert!(field(TYPE, b"--X\r\n", "json").is_err());
        assert!(field(TYPE, b"--X--", "json").is_err());
        assert!(field(TYPE, "--X\n\n".repeat(100_000).as_bytes(), "json").is_err());
    }
}
