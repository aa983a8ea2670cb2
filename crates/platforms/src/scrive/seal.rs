//! The seal of a document and its extension.
//!
//! A document sealed with Guardtime's KSI is *extended* about 40 days after it was closed, if it still is in
//! Scrive's archive then; one deleted before can never be verified independently of Scrive and Guardtime
//! (help centre, "sealing and verifying"). The extension replaces the sealed file: another `sealed_file.id`,
//! other bytes, a higher `object_version`, the event `extended` in the history, and a second callback with
//! `document_signed_and_sealed=true`. The document JSON alone does not say that it happened; the history
//! does, and so does a comparison with what was archived. Sealed with PAdES it is not extended.

use aftersign_core::envelope::{Envelope, EnvelopeStatus};

use super::document::{awaits_sealing, is_qualified, sealed_file, status};
use super::wire::{Document, History};

/// What the history calls it.
const EXTENDED: &str = "extended";

/// How far the extension of a seal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extension {
    /// There is no seal: the document did not end closed, or its sealing still runs.
    NotSealed,
    /// Sealed and not extended: deleting now would end independent verification for ever.
    Awaited,
    /// The extended file is there.
    Done,
    /// Sealed in a way that is never extended (a qualified signature: PAdES).
    NeverComes,
    /// Not known: the history was not asked or could not be read, or it is a flow.
    Unknown,
}

impl Extension {
    const ALL: [Self; 5] = [Self::NotSealed, Self::Awaited, Self::Done, Self::NeverComes, Self::Unknown];

    /// The word under which an envelope remembers it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSealed => "not_sealed",
            Self::Awaited => "awaited",
            Self::Done => "done",
            Self::NeverComes => "never_comes",
            Self::Unknown => "unknown",
        }
    }
}

/// The seal of one document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    /// How far its extension is.
    pub extension: Extension,
    /// The id of the sealed file; the extension changes it.
    pub file_id: Option<String>,
    /// The document's version; every action raises it.
    pub object_version: Option<u64>,
}

impl Seal {
    /// The seal, from the answers of `GET documents/{id}/get` and `GET documents/{id}/history`; without the
    /// latter a sealed document's extension stays [`Extension::Unknown`]. `None` if the document is no JSON.
    pub fn read(document: &[u8], history: Option<&[u8]>) -> Option<Self> {
        let document = serde_json::from_slice(document).ok()?;
        let history = history.and_then(|history| serde_json::from_slice(history).ok());
        Some(Self::of_document(&document, history.as_ref()))
    }

    /// What an envelope remembers of its seal; [`Extension::Unknown`] for a flow and for another platform's.
    pub fn of(envelope: &Envelope) -> Self {
        let mut seal = Self { extension: Extension::Unknown, file_id: None, object_version: None };
        for part in envelope.route.as_deref().unwrap_or_default().split(';') {
            match part.split_once('=') {
                Some(("seal", word)) => {
                    let known = Extension::ALL.into_iter().find(|extension| extension.as_str() == word);
                    seal.extension = known.unwrap_or(Extension::Unknown);
                }
                Some(("file", id)) => seal.file_id = Some(id.to_owned()),
                Some(("version", version)) => seal.object_version = version.parse().ok(),
                _ => {}
            }
        }
        seal
    }

    /// Whether the platform has another sealed file than the one that was archived under `archived`.
    pub fn replaces(&self, archived: &Self) -> bool {
        match (&self.file_id, &archived.file_id) {
            (Some(now), Some(then)) => now != then,
            _ => false,
        }
    }

    pub(super) fn of_document(document: &Document, history: Option<&History>) -> Self {
        let extended =
            |history: &History| history.events.iter().any(|event| event.status.as_deref() == Some(EXTENDED));
        let extension = if status(document) != EnvelopeStatus::Completed || awaits_sealing(document) {
            Extension::NotSealed
        } else if is_qualified(document) {
            Extension::NeverComes
        } else {
            match history.map(extended) {
                Some(true) => Extension::Done,
                Some(false) => Extension::Awaited,
                None => Extension::Unknown,
            }
        };
        // An id comes back from a record as text between other fields: only digits are kept.
        let is_plain = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Self {
            extension,
            file_id: sealed_file(document).filter(is_plain).map(str::to_owned),
            object_version: document.object_version,
        }
    }

    /// The text in [`Envelope::route`].
    pub(super) fn to_route(&self) -> String {
        let mut route = format!("seal={}", self.extension.as_str());
        if let Some(id) = &self.file_id {
            route.push_str(";file=");
            route.push_str(id);
        }
        if let Some(version) = self.object_version {
            route.push_str(&format!(";version={version}"));
        }
        route
    }
}
