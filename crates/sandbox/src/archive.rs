//! Zip archives without compression, made of streamed parts: the same entries always give the same bytes, which the
//! ledger's digests rely on. Nothing here is limited to memory; an archive must stay below 4 GiB.

use crate::content::Content;

/// 1980-01-01, the format's first day: archives must not depend on the time.
const DOS_DATE: u16 = 0x0021;
/// Names are UTF-8.
const FLAG_UTF8: u16 = 0x0800;
const VERSION: u16 = 20;

struct Entry {
    name: String,
    crc32: u32,
    bytes: u32,
    offset: u32,
}

/// Puts the entries into one archive; goes through every entry once for its checksum.
pub(crate) fn zip_stored(files: Vec<(String, Content)>) -> Content {
    let mut archive = Content::default();
    let mut entries = Vec::with_capacity(files.len());
    for (name, content) in files {
        let mut crc = crc32fast::Hasher::new();
        for chunk in content.clone().chunks() {
            crc.update(&chunk);
        }
        let entry =
            Entry { name, crc32: crc.finalize(), bytes: small(content.len()), offset: small(archive.len()) };
        let mut head = Vec::new();
        head.extend_from_slice(&0x0403_4b50_u32.to_le_bytes());
        common_fields(&mut head, &entry);
        head.extend_from_slice(entry.name.as_bytes());
        archive.push_bytes(head);
        archive.append(content);
        entries.push(entry);
    }
    let directory_at = small(archive.len());
    let mut directory = Vec::new();
    for entry in &entries {
        directory.extend_from_slice(&0x0201_4b50_u32.to_le_bytes());
        directory.extend_from_slice(&VERSION.to_le_bytes());
        common_fields(&mut directory, entry);
        // Comment length, disk number, internal attributes, external attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&entry.offset.to_le_bytes());
        directory.extend_from_slice(entry.name.as_bytes());
    }
    let directory_bytes = small(directory.len() as u64);
    let count = u16::try_from(entries.len()).unwrap_or(u16::MAX);
    directory.extend_from_slice(&0x0605_4b50_u32.to_le_bytes());
    directory.extend_from_slice(&[0; 4]);
    directory.extend_from_slice(&count.to_le_bytes());
    directory.extend_from_slice(&count.to_le_bytes());
    directory.extend_from_slice(&directory_bytes.to_le_bytes());
    directory.extend_from_slice(&directory_at.to_le_bytes());
    directory.extend_from_slice(&[0; 2]);
    archive.push_bytes(directory);
    archive
}

/// What a local header and a directory entry have in common: from the needed version to the extra field's length.
fn common_fields(into: &mut Vec<u8>, entry: &Entry) {
    into.extend_from_slice(&VERSION.to_le_bytes());
    into.extend_from_slice(&FLAG_UTF8.to_le_bytes());
    into.extend_from_slice(&0_u16.to_le_bytes());
    into.extend_from_slice(&0_u16.to_le_bytes());
    into.extend_from_slice(&DOS_DATE.to_le_bytes());
    into.extend_from_slice(&entry.crc32.to_le_bytes());
    into.extend_from_slice(&entry.bytes.to_le_bytes());
    into.extend_from_slice(&entry.bytes.to_le_bytes());
    into.extend_from_slice(&u16::try_from(entry.name.len()).unwrap_or(0).to_le_bytes());
    into.extend_from_slice(&0_u16.to_le_bytes());
}

/// Sizes and offsets of the classic format; the script's size limit keeps archives far below.
fn small(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
