//! The bytes of artifacts, made from a seed while they are sent. A file of 50 MB costs no memory: it is a short head, a
//! filler that can be computed at any place, and a short tail. Equal seeds give equal bytes, and every artifact has its own seed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};

use crate::rng::word_at;

/// What one step of a stream carries; a multiple of 8, the filler's word.
const CHUNK_BYTES: u64 = 64 * 1024;

/// The smallest PDF made here: head and tail need this much.
pub(crate) const PDF_BYTES_MIN: u64 = 2 * 1024;

#[derive(Debug, Clone)]
enum Segment {
    Bytes(Bytes),
    Filler { seed: u64, bytes: u64 },
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::Filler { bytes, .. } => *bytes,
        }
    }

    /// Up to one chunk from `offset`, which is a multiple of the chunk.
    fn chunk(&self, offset: u64) -> Bytes {
        let wanted = (self.len() - offset).min(CHUNK_BYTES);
        let wanted_len = usize::try_from(wanted).unwrap_or(0);
        match self {
            Segment::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(0);
                bytes.slice(start..start + wanted_len)
            }
            Segment::Filler { seed, .. } => {
                let mut chunk = BytesMut::with_capacity(wanted_len + 8);
                let mut index = offset / 8;
                while chunk.len() < wanted_len {
                    chunk.extend_from_slice(&word_at(*seed, index).to_le_bytes());
                    index += 1;
                }
                chunk.truncate(wanted_len);
                chunk.freeze()
            }
        }
    }
}

/// A file that is not there until somebody reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    segments: Vec<Segment>,
}

impl Content {
    pub(crate) fn text(text: String) -> Content {
        Content { segments: vec![Segment::Bytes(Bytes::from(text))] }
    }

    pub(crate) fn len(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum()
    }

    pub(crate) fn push_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.segments.push(Segment::Bytes(bytes.into()));
    }

    pub(crate) fn append(&mut self, other: Content) {
        self.segments.extend(other.segments);
    }

    /// The bytes in order, in chunks of bounded size.
    pub(crate) fn chunks(self) -> Chunks {
        Chunks { content: self, segment: 0, offset: 0 }
    }

    /// A PDF of exactly `bytes` bytes (at least [`PDF_BYTES_MIN`]): one page of text and a stream of noise.
    pub(crate) fn pdf(title: &str, seed: u64, bytes: u64) -> Content {
        let bytes = bytes.max(PDF_BYTES_MIN);
        let printable: String = title
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || " .-_".contains(c) { c } else { '?' })
            .take(80)
            .collect();
        let page = format!("BT /F1 18 Tf 72 720 Td ({printable}) Tj ET\n% {seed:016x}\n");
        // The filler's length is written with a fixed width, so head and tail have the same size for every filler.
        let (head, tail) = pdf_frame(&page, 0);
        let filler = bytes.saturating_sub((head.len() + tail.len()) as u64);
        let (head, tail) = pdf_frame(&page, filler);
        Content {
            segments: vec![
                Segment::Bytes(head.into()),
                Segment::Filler { seed, bytes: filler },
                Segment::Bytes(tail.into()),
            ],
        }
    }
}

fn pdf_frame(page: &str, filler: u64) -> (Vec<u8>, Vec<u8>) {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 << /Type /Font \
         /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{page}endstream", page.len()),
    ];
    let mut head = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(head.len() as u64);
        head.extend_from_slice(format!("{} 0 obj\n{object}\nendobj\n", index + 1).as_bytes());
    }
    offsets.push(head.len() as u64);
    head.extend_from_slice(format!("5 0 obj\n<< /Length {filler:010} >>\nstream\n").as_bytes());

    let mut tail = "\nendstream\nendobj\n".to_owned();
    let xref = head.len() as u64 + filler + tail.len() as u64;
    tail.push_str("xref\n0 6\n0000000000 65535 f \n");
    for offset in offsets {
        tail.push_str(&format!("{offset:010} 00000 n \n"));
    }
    tail.push_str(&format!("trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{xref:010}\n%%EOF\n"));
    (head, tail.into_bytes())
}

/// The chunks of a [`Content`], in order.
pub(crate) struct Chunks {
    content: Content,
    segment: usize,
    offset: u64,
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let segment = self.content.segments.get(self.segment)?;
            if self.offset >= segment.len() {
                self.segment += 1;
                self.offset = 0;
                continue;
            }
            let chunk = segment.chunk(self.offset);
            self.offset += chunk.len() as u64;
            return Some(chunk);
        }
    }
}

/// How an artifact's bytes come about.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A PDF of the given size.
    Pdf { title: String, seed: u64, bytes: u64 },
    /// A short text, as it is.
    Text(String),
    /// A zip archive of named files.
    Zip(Vec<(String, Source)>),
}

impl Source {
    fn content(&self) -> Content {
        match self {
            Source::Pdf { title, seed, bytes } => Content::pdf(title, *seed, *bytes),
            Source::Text(text) => Content::text(text.clone()),
            Source::Zip(entries) => {
                let entries = entries.iter().map(|(name, source)| (name.clone(), source.content())).collect();
                crate::archive::zip_stored(entries)
            }
        }
    }
}

/// What is known of an artifact's bytes once they were gone through.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) content: Content,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// One file that a platform serves.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// Its id at the platform, where files have ids.
    pub(crate) file_id: String,
    /// 1, or what number the file has among those that replaced each other.
    pub(crate) version: u32,
    source: Source,
    prepared: OnceLock<Prepared>,
    served: AtomicU64,
}

impl Artifact {
    pub(crate) fn new(name: String, kind: &'static str, file_id: String, source: Source) -> Artifact {
        Artifact {
            name,
            kind,
            file_id,
            version: 1,
            source,
            prepared: OnceLock::new(),
            served: AtomicU64::new(0),
        }
    }

    /// The file as another version of an earlier one.
    pub(crate) fn with_version(self, version: u32) -> Artifact {
        Artifact { version, ..self }
    }

    /// Goes through the bytes once to digest them; costs time in proportion to the size the first time.
    pub(crate) fn prepared(&self) -> &Prepared {
        self.prepared.get_or_init(|| {
            let content = self.source.content();
            let mut context = digest::Context::new(&digest::SHA256);
            for chunk in content.clone().chunks() {
                context.update(&chunk);
            }
            let bytes = content.len();
            Prepared { content, sha256: hex(context.finish().as_ref()), bytes }
        })
    }

    pub(crate) fn count_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

/// Lower-case hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Artifact, Content, Source};

    fn collect(content: Content) -> Vec<u8> {
        content.chunks().flat_map(|chunk| chunk.to_vec()).collect()
    }

    #[test]
    fn a_pdf_has_the_wanted_size_and_a_true_cross_reference() {
        for bytes in [2_048, 20_000, 65_536, 300_001] {
            let pdf = collect(Content::pdf("Contract", 3, bytes));
            assert_eq!(pdf.len() as u64, bytes);
            assert!(pdf.starts_with(b"%PDF-1.7\n") && pdf.ends_with(b"%%EOF\n"));
            let tail = String::from_utf8_lossy(&pdf[pdf.len() - 40..]).into_owned();
            let xref: usize = tail.split("startxref\n").nth(1).unwrap()[..10].parse().unwrap();
            assert!(pdf[xref..].starts_with(b"xref\n"));
        }
    }

    #[test]
    fn a_zip_can_be_read_by_another_implementation() {
        let source = Source::Zip(vec![
            ("1_-_A.pdf".to_owned(), Source::Pdf { title: "A".to_owned(), seed: 1, bytes: 100_000 }),
            ("note.txt".to_owned(), Source::Text("hello".to_owned())),
        ]);
        let artifact = Artifact::new("files.zip".to_owned(), "zip", String::new(), source);
        let bytes = collect(artifact.prepared().content.clone());
        assert_eq!(bytes.len() as u64, artifact.prepared().bytes);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), 2);
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_index(0).unwrap(), &mut text).unwrap();
        assert_eq!(text, collect(Content::pdf("A", 1, 100_000)));
    }
}
