//! The seal of a document and its extension.
//!
//! A document sealed with Guardtime's KSI is *extended* about 40 days after it was closed, if it still is in
//! Scrive's archive then; one deleted before can never be verified independently of Scrive and Guardtime
//! (help centre, "sealing and verifying"). The extension replaces the sealed file: another `sealed_file.id`,
//! other bytes, a higher `object_version`, the event `extended` in the history, and a second callback with
//! `document_signed_and_sealed=true`. The id of the sealed file is the envelope's revision; the document alone
//! does not say whether that file is the extended one, the history does.

use aftersign_core::envelope::{EnvelopeStatus, Extension};

use super::document::{awaits_sealing, is_qualified, status};
use super::wire::{Document, History};

/// What the history calls it.
const EXTENDED: &str = "extended";

/// How far the extension is, as far as the document alone tells: [`Extension::Unknown`] where the history must be asked.
///
/// With a qualified signature the PDF is PAdES and never extended, but the evidence beside it has a KSI seal of its own,
/// so when it is removed stays a person's decision.
pub(super) fn extension_by_document(document: &Document) -> Extension {
    if status(document) != EnvelopeStatus::Completed {
        Extension::NotAwaited
    } else if awaits_sealing(document) || is_qualified(document) {
        Extension::Awaited
    } else {
        Extension::Unknown
    }
}

/// How far the extension of a sealed document is, by its history.
pub(super) fn extension_by_history(history: &History) -> Extension {
    let is_extended = |status: &str| status.eq_ignore_ascii_case(EXTENDED);
    let mut events = history.events.iter().flatten();
    match events.any(|event| event.status.as_deref().is_some_and(is_extended)) {
        true => Extension::Done,
        false => Extension::Awaited,
    }
}

/// The extension of several documents that are removed together: it is done when nothing of it is to come.
pub(super) fn extension_of_all(documents: &[Extension]) -> Extension {
    let order = [Extension::Unknown, Extension::Awaited, Extension::Done];
    let found = order.into_iter().find(|extension| documents.contains(extension));
    found.unwrap_or(Extension::NotAwaited)
}
