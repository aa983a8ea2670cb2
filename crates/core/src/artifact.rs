//! Artifacts: the files that an envelope leaves behind, and what their bytes must look like.

use crate::limits::DOWNLOADS_OF_WHAT_LOOKS_CUT;
use crate::names::safe_file_name;

/// What an artifact is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArtifactKind {
    /// A signed document.
    Document,
    /// All documents in one container, as the platform packs them.
    Bundle,
    /// The platform's audit trail.
    AuditTrail,
    /// Legal evidence besides the audit trail (certificate request forms, evidence summaries).
    LegalEvidence,
    /// A file that a signer added.
    Attachment,
    /// The platform's own record of the envelope (JSON).
    PlatformRecord,
    /// Our `metadata.json`, which lists all the others with their digests.
    Manifest,
}

impl ArtifactKind {
    const ALL: [Self; 7] = [
        Self::Document,
        Self::Bundle,
        Self::AuditTrail,
        Self::LegalEvidence,
        Self::Attachment,
        Self::PlatformRecord,
        Self::Manifest,
    ];

    /// The word in JSON and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Bundle => "bundle",
            Self::AuditTrail => "audit_trail",
            Self::LegalEvidence => "legal_evidence",
            Self::Attachment => "attachment",
            Self::PlatformRecord => "platform_record",
            Self::Manifest => "manifest",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What the bytes must be, so that an error page is never archived as a contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Starts with `%PDF-` and ends with `%%EOF`.
    Pdf,
    /// A whole ZIP archive; one entry's name ends with the given text, if any.
    Zip {
        /// The entry that completeness demands.
        entry_suffix: Option<String>,
    },
    /// An XML text.
    Xml,
    /// A JSON text.
    Json,
    /// Any non-HTML bytes.
    Any,
}

impl Content {
    /// The usual file name extension, without dot; empty for [`Content::Any`].
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Zip { .. } => "zip",
            Self::Xml => "xml",
            Self::Json => "json",
            Self::Any => "",
        }
    }

    /// Checks the first and last bytes of a file of `bytes` bytes (each slice at most 1,024 bytes).
    /// The error says what was found instead.
    pub fn check(&self, head: &[u8], tail: &[u8], bytes: u64) -> Result<(), String> {
        if let (Self::Xml, Some(order)) = (self, Utf16::of(head)) {
            if !bytes.is_multiple_of(2) {
                return Err("the text ends within a character: it is cut off".into());
            }
            // The mark itself is no text.
            let head = order.narrowed(&head[2..]);
            let skipped = usize::from(!tail.len().is_multiple_of(2));
            return self.check_ends(&head, &order.narrowed(&tail[skipped..]), bytes);
        }
        self.check_ends(head, tail, bytes)
    }

    fn check_ends(&self, head: &[u8], tail: &[u8], bytes: u64) -> Result<(), String> {
        if bytes == 0 && *self != Self::Any {
            return Err("the file is empty".into());
        }
        let starts = |mark: &[u8]| head.starts_with(mark);
        let text = head.trim_ascii_start();
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let ok = match self {
            Self::Pdf if !starts(b"%PDF-") => return Err(found("a PDF", text)),
            Self::Pdf => tail.windows(5).any(|window| window == b"%%EOF"),
            Self::Zip { .. } if !starts(b"PK") => return Err(found("a ZIP archive", text)),
            Self::Zip { .. } => true,
            Self::Xml if !text.starts_with(b"<") || looks_like_html(text) => return Err(found("XML", text)),
            Self::Xml => tail.trim_ascii_end().ends_with(b">"),
            Self::Json if !text.starts_with(b"{") && !text.starts_with(b"[") => {
                return Err(found("JSON", text));
            }
            Self::Json => matches!(tail.trim_ascii_end().last(), Some(b'}' | b']')),
            Self::Any => !looks_like_html(text),
        };
        match (ok, self) {
            (true, _) => Ok(()),
            (false, Self::Pdf) => Err("the PDF has no %%EOF at its end: it is cut off".into()),
            (false, Self::Xml | Self::Json) => Err("the text does not end as it must: it is cut off".into()),
            (false, _) => Err(found("a file", text)),
        }
    }
}

impl Content {
    /// How many downloads must bring the same bytes before they are believed to be whole: no platform tells a
    /// checksum, and a proxy can cut a body and correct its length. One if the last bytes prove that nothing is missing
    /// behind them; a signed PDF has an `%%EOF` for every revision, so only one with nothing but white space behind it
    /// counts. Two if nothing tells. More if it looks cut, as a signer's attachment may have been from the start.
    pub fn downloads_to_agree(&self, head: &[u8], tail: &[u8]) -> usize {
        let is_pdf = *self == Self::Pdf || (*self == Self::Any && head.starts_with(b"%PDF-"));
        match self {
            Self::Zip { .. } | Self::Xml | Self::Json => 1,
            Self::Pdf | Self::Any if is_pdf => {
                let end = tail.iter().rposition(|byte| !byte.is_ascii_whitespace() && *byte != 0);
                match end {
                    Some(end) if tail[..=end].ends_with(b"%%EOF") => 1,
                    _ if tail.windows(5).any(|window| window == b"%%EOF") => 2,
                    _ => DOWNLOADS_OF_WHAT_LOOKS_CUT,
                }
            }
            Self::Pdf | Self::Any => 2,
        }
    }
}

/// The byte orders of UTF-16, as a file's byte order mark tells them. Platforms on .NET write XML so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Utf16 {
    /// `FF FE`.
    LittleEndian,
    /// `FE FF`.
    BigEndian,
}

impl Utf16 {
    /// What the mark at the start of a text says; `None` if it is no mark of UTF-16.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            // Four bytes per character: no platform was seen to write that.
            [0xFF, 0xFE, 0, 0, ..] => None,
            [0xFF, 0xFE, ..] => Some(Self::LittleEndian),
            [0xFE, 0xFF, ..] => Some(Self::BigEndian),
            _ => None,
        }
    }

    /// The code unit in two bytes of the text.
    pub fn unit(self, pair: [u8; 2]) -> u16 {
        match self {
            Self::LittleEndian => u16::from_le_bytes(pair),
            Self::BigEndian => u16::from_be_bytes(pair),
        }
    }

    /// One byte per code unit, `?` for all that is not ASCII: enough to look at a text's ends.
    fn narrowed(self, text: &[u8]) -> Vec<u8> {
        let units = text.chunks_exact(2).map(|pair| self.unit([pair[0], pair[1]]));
        units.map(|unit| u8::try_from(unit).ok().filter(u8::is_ascii).unwrap_or(b'?')).collect()
    }
}

fn looks_like_html(text: &[u8]) -> bool {
    let start = text[..text.len().min(15)].to_ascii_lowercase();
    start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
}

fn found(expected: &str, text: &[u8]) -> String {
    let instead = if looks_like_html(text) { "an HTML page" } else { "something else" };
    format!("expected {expected} and got {instead}")
}

/// One artifact as the adapter lists it, before it is fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArtifactRef {
    /// The adapter's own way of naming it; stable over repeated lists.
    pub id: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// The platform's name for it, not yet safe.
    pub name: String,
    /// What its bytes must be.
    pub content: Content,
}

impl ArtifactRef {
    /// A safe file name with the extension its content demands, not taken by any of `taken`
    /// (compared without case: some archives fold it).
    pub fn file_name(&self, taken: &[String]) -> String {
        let mut base = self.name.clone();
        let extension = self.content.extension();
        if !extension.is_empty() && !base.to_lowercase().ends_with(&format!(".{extension}")) {
            base = format!("{base}.{extension}");
        }
        let base = safe_file_name(&base);
        let is_taken = |name: &str| taken.iter().any(|other| other.to_lowercase() == name.to_lowercase());
        let (stem, ending) = split_extension(&base);
        let mut name = base.clone();
        let mut number = 2;
        while is_taken(&name) {
            name = format!("{stem} ({number}){ending}");
            number += 1;
        }
        name
    }
}

/// Splits `contract.pdf` into `contract` and `.pdf`; a name without extension keeps an empty ending.
pub fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= 16 => name.split_at(dot),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, content: Content) -> ArtifactRef {
        ArtifactRef { id: "1".into(), kind: ArtifactKind::Document, name: name.into(), content }
    }

    #[test]
    fn file_names_get_their_extension_and_never_collide() {
        let taken = vec!["Contract.PDF".to_string(), "contract (2).pdf".to_string()];
        assert_eq!(named("contract", Content::Pdf).file_name(&taken), "contract (3).pdf");
        assert_eq!(named("a.xml", Content::Xml).file_name(&[]), "a.xml");
        assert!(!named("../../etc/passwd", Content::Any).file_name(&[]).contains('/'));
    }

    #[test]
    fn error_pages_and_cut_files_are_not_taken_for_documents() {
        assert!(Content::Pdf.check(b"%PDF-1.7\n", b"...\n%%EOF\n", 99).is_ok());
        assert!(Content::Pdf.check(b"%PDF-1.7\n", b"stream", 99).unwrap_err().contains("cut off"));
        assert!(Content::Pdf.check(b"<html>", b"</html>", 99).unwrap_err().contains("HTML"));
        for (content, head, tail, downloads) in [
            (Content::Pdf, &b"%PDF-1.7"[..], &b"%%EOF\r\n\0"[..], 1),
            (Content::Pdf, b"%PDF-1.7", b"%%EOF 1 0 obj", 2),
            (Content::Any, b"%PDF-1.7", b"%%EOF", 1),
            (Content::Any, b"%PDF-1.7", b"%%EOF 1 0 obj", 2),
            (Content::Any, b"%PDF-1.7", b"1 0 obj", DOWNLOADS_OF_WHAT_LOOKS_CUT),
            (Content::Any, b"\x89PNG", b"IEND", 2),
            (Content::Json, b"{", b"}", 1),
        ] {
            assert_eq!(content.downloads_to_agree(head, tail), downloads, "{content:?} {tail:?}");
        }
        assert!(Content::Any.check(b" <!DOCTYPE html><html>", b"", 99).is_err());
        assert!(Content::Json.check(b"", b"", 0).unwrap_err().contains("empty"));
        assert!(Content::Xml.check(b"\xEF\xBB\xBF<?xml?><a/>", b"<a/>\n", 9).is_ok());
        assert!(Content::Xml.check(b"<a><b>", b"<a><b", 9).unwrap_err().contains("cut off"));
        assert!(Content::Json.check(b"{", b"{\"a\":1", 9).unwrap_err().contains("cut off"));
    }

    #[test]
    fn xml_in_utf_16_is_xml_and_html_or_a_cut_file_in_it_is_not() {
        let bytes = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("\u{FEFF}{text}").encode_utf16().flat_map(order).collect()
        };
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let check = |file: &[u8]| Content::Xml.check(file, &file[file.len() / 2..], file.len() as u64);
            let whole = bytes("<?xml version=\"1.0\" encoding=\"utf-16\"?><a>ü€</a>\r\n", order);
            assert_eq!(check(&whole), Ok(()));
            assert!(check(&whole[..whole.len() - 1]).unwrap_err().contains("cut off"));
            assert!(check(&whole[..whole.len() - 6]).unwrap_err().contains("cut off"));
            assert!(check(&bytes("<html></html>", order)).unwrap_err().contains("HTML"));
            assert!(check(&bytes("plain", order)).unwrap_err().contains("something else"));
            assert!(Content::Pdf.check(&whole, &whole, 9).is_err());
        }
        assert!(Content::Xml.check(b"\xFF\xFE<a/>", b"<a/>", 6).is_err(), "the mark alone does not do");
    }
}
