//! Whether downloaded bytes are what they should be, whole.
//!
//! An error page or a cut file must never be archived as a contract, and a proxy can cut a body and correct its
//! length. Core checks both ends; here the whole of what has an inner structure is read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use aftersign_core::artifact::{Content, Utf16};
use aftersign_core::seams::Downloaded;
use aftersign_core::{Error, ErrorKind, Remedy};
use quick_xml::Reader;
use quick_xml::events::Event;

/// Bytes of an XML file in UTF-16 that is read whole: decoding holds it in memory, and audit trails have kilobytes.
/// Of a larger one only the ends are checked.
const UTF16_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Checks a staged file.
pub(crate) async fn check(content: &Content, staged: &Downloaded, path: &Path) -> Result<(), Error> {
    content.check(&staged.head, &staged.tail, staged.bytes).map_err(corrupt)?;
    if matches!(content, Content::Pdf | Content::Any) {
        return Ok(());
    }
    let (path, content) = (path.to_path_buf(), content.clone());
    tokio::task::spawn_blocking(move || check_whole(&content, &path))
        .await
        .map_err(|error| corrupt("the file cannot be read".into()).caused_by(error))?
        .map_err(corrupt)
}

fn check_whole(content: &Content, path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| format!("the staged file cannot be read: {error}"))?;
    let file = BufReader::new(file);
    match content {
        Content::Zip { entry_suffix } => check_zip(file, entry_suffix.as_deref()),
        Content::Xml => check_xml(file),
        Content::Json => serde_json::from_reader::<_, serde::de::IgnoredAny>(file)
            .map(|_| ())
            .map_err(|error| format!("the JSON is broken or cut off: {error}")),
        Content::Pdf | Content::Any => Ok(()),
    }
}

/// The archive has its directory, and the entry that completeness demands.
fn check_zip(file: BufReader<File>, entry_suffix: Option<&str>) -> Result<(), String> {
    let archive = zip::ZipArchive::new(file)
        .map_err(|error| format!("the ZIP archive is broken or cut off: {error}"))?;
    let is_wanted = |suffix| archive.file_names().any(|name| name.is_ok_and(|name| name.ends_with(suffix)));
    match entry_suffix {
        Some(suffix) if !is_wanted(suffix) => {
            Err(format!("the ZIP archive has no `{suffix}`: it is not complete yet"))
        }
        _ => Ok(()),
    }
}

/// The XML is whole, in UTF-8 or, by its byte order mark, in UTF-16, which the parser does not read itself.
fn check_xml(mut file: BufReader<File>) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("the staged file cannot be read: {error}");
    let Some(order) = Utf16::of(file.fill_buf().map_err(unreadable)?) else {
        return check_elements(file);
    };
    let mut bytes = Vec::new();
    file.take(UTF16_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > UTF16_BYTES_MAX {
        return Ok(());
    }
    let pairs = bytes[2..].chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err("the XML is cut off within a character".into());
    }
    let text: Result<String, _> =
        char::decode_utf16(pairs.map(|pair| order.unit([pair[0], pair[1]]))).collect();
    check_elements(text.map_err(|_| "the XML is broken: it is not UTF-16 throughout")?.as_bytes())
}

/// Every element that was opened is closed, the root last.
fn check_elements(text: impl BufRead) -> Result<(), String> {
    let mut reader = Reader::from_reader(text);
    let (mut depth, mut closed, mut buffer) = (0u64, false, Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::Empty(_)) => closed |= depth == 0,
            Ok(Event::End(_)) => {
                depth = depth.saturating_sub(1);
                closed |= depth == 0;
            }
            Ok(Event::Eof) if depth == 0 && closed => return Ok(()),
            Ok(Event::Eof) => return Err("the XML is cut off: an element is not closed".into()),
            Ok(_) => {}
            Err(error) => return Err(format!("the XML is broken or cut off: {error}")),
        }
    }
}

/// The bytes are not what they should be; another download may bring them whole.
pub(crate) fn corrupt(what: String) -> Error {
    Error::new(ErrorKind::Corrupt, Remedy::Retry(None), "download", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(content: &Content, bytes: &[u8]) -> Result<(), String> {
        let name = format!("aftersign-content-{}", aftersign_core::digest::Digest::of(bytes));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        let result = check_whole(content, &path);
        std::fs::remove_file(&path).unwrap();
        result
    }

    #[test]
    fn a_text_that_was_cut_at_an_innocent_place_is_noticed() {
        let xml = b"<?xml version=\"1.0\"?><trail><entry>a &amp; b</entry><entry/></trail>\n";
        assert_eq!(whole(&Content::Xml, xml), Ok(()));
        for end in 1..xml.len() - 1 {
            assert!(whole(&Content::Xml, &xml[..end]).is_err(), "cut at {end}");
        }
        let json = b"{\"a\":{\"b\":[1,2]},\"c\":{}}";
        assert_eq!(whole(&Content::Json, json), Ok(()));
        for end in 1..json.len() {
            assert!(whole(&Content::Json, &json[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn xml_in_utf_16_is_read_whole_in_either_byte_order() {
        let text = "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-16\"?><trail><entry>ü€😀</entry></trail>";
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let xml: Vec<u8> = text.encode_utf16().flat_map(order).collect();
            assert_eq!(whole(&Content::Xml, &xml), Ok(()));
            for end in 2..xml.len() {
                assert!(whole(&Content::Xml, &xml[..end]).is_err(), "cut at {end}");
            }
            let mut broken = xml.clone();
            let lone: [u8; 2] = order(0xD800);
            broken[100..102].copy_from_slice(&lone);
            assert!(whole(&Content::Xml, &broken).unwrap_err().contains("not UTF-16"));
        }
    }

    #[test]
    fn a_zip_without_its_directory_or_its_audit_trail_is_refused() {
        use std::io::Write;
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer.start_file("1_-_contract.pdf", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"%PDF").unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let plain = Content::Zip { entry_suffix: None };
        let with_trail = Content::Zip { entry_suffix: Some("Audit Trail.pdf".into()) };
        assert_eq!(whole(&plain, &bytes), Ok(()));
        assert!(whole(&plain, &bytes[..bytes.len() - 10]).unwrap_err().contains("cut off"));
        assert!(whole(&with_trail, &bytes).unwrap_err().contains("not complete"));
    }
}
