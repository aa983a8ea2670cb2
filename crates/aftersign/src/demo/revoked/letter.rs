//! What stands in an e-mail: its subject, its text for people, and the link in it (RFC 5322, RFC 2045, RFC 2046).

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Headers and body of a message or of a part.
struct Part<'a> {
    headers: Vec<(String, String)>,
    body: &'a str,
}

impl<'a> Part<'a> {
    fn read(text: &'a str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        // A line that begins with a blank goes on with the line before.
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self { headers: unfolded.lines().filter_map(header).collect(), body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The parts between the boundaries; none where there is no boundary.
    fn parts(&self) -> Vec<Part<'a>> {
        let content_type = self.header("content-type");
        let boundary = content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="));
        let Some(boundary) = boundary else { return Vec::new() };
        let delimiter = format!("--{}", boundary.trim_matches('"'));
        let pieces = self.body.split(delimiter.as_str()).skip(1).take_while(|piece| !piece.starts_with("--"));
        pieces.map(|piece| Part::read(piece.strip_prefix("\r\n").unwrap_or(piece))).collect()
    }

    fn is(&self, content_type: &str) -> bool {
        self.header("content-type").to_ascii_lowercase().starts_with(content_type)
    }

    fn text(&self) -> anyhow::Result<String> {
        let encoding = self.header("content-transfer-encoding").to_ascii_lowercase();
        let bytes = match encoding.as_str() {
            "quoted-printable" => unquoted(self.body)?,
            "base64" => STANDARD.decode(self.body.split_whitespace().collect::<String>())?,
            "" | "7bit" | "8bit" | "binary" => self.body.as_bytes().to_vec(),
            other => bail!("the mail's text is encoded as {other}, which this demo cannot read"),
        };
        String::from_utf8(bytes).context("the mail's text is no UTF-8")
    }
}

/// The subject, as it stands in the header.
pub(super) fn subject(message: &str) -> String {
    Part::read(message).header("subject").to_owned()
}

/// The text for people: the first part of plain text.
///
/// # Errors
/// If there is none, or it cannot be read.
pub(super) fn text(message: &str) -> anyhow::Result<String> {
    let whole = Part::read(message);
    let parts = whole.parts();
    let plain = parts.iter().chain([&whole]).find(|part| part.is("text/plain"));
    plain.context("the mail has no part of plain text")?.text()
}

/// The first address in a text that begins with `root`, up to the next blank.
pub(super) fn link<'a>(text: &'a str, root: &str) -> Option<&'a str> {
    text.get(text.find(root)?..)?.split_whitespace().next()
}

/// RFC 2045, section 6.7.
fn unquoted(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('=');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        // A `=` at the end of a line: the line goes on.
        if let Some(rest) = piece.strip_prefix("\r\n") {
            bytes.extend(rest.bytes());
            continue;
        }
        let code = piece.get(..2).context("the mail's text breaks off in a quoted byte")?;
        let byte = u8::from_str_radix(code, 16).context("the mail's text holds what is no quoted byte")?;
        bytes.push(byte);
        bytes.extend(piece.get(2..).unwrap_or_default().bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "Subject: Access\r\n needed\r\nContent-Type: multipart/alternative;\r\n boundary=\"x1\"\r\n\r\n\
        --x1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Gr=C3=BC=C3=9Fe:\r\nhttp://h/consent/a/renew?link=3Dabc=\r\ndef-_ 1\r\n--x1\r\nContent-Type: text/html\r\n\r\n\
        <p>no</p>\r\n--x1--\r\n";

    #[test]
    fn the_link_is_read_over_soft_line_breaks() {
        assert_eq!(subject(MAIL), "Access needed");
        let text = text(MAIL).unwrap();
        assert!(text.starts_with("Grüße:\r\n"), "{text}");
        assert_eq!(link(&text, "http://h/consent/"), Some("http://h/consent/a/renew?link=abcdef-_"));
        assert_eq!(link(&text, "http://other/"), None);
    }

    #[test]
    fn what_is_no_mail_with_a_text_is_an_error() {
        for broken in ["", "Content-Type: text/html\r\n\r\n<p>"] {
            assert!(text(broken).is_err(), "{broken}");
        }
        for quoted in ["a=", "a=4", "a=zz"] {
            assert!(unquoted(quoted).is_err(), "{quoted}");
        }
    }
}
