//! Gathers the artifacts of one envelope from a platform's answer.
//!
//! Ids from an answer become part of later URLs, so they are checked here, once for all; a file that is named
//! twice is listed once, and an answer without end is taken for broken.

use aftersign_core::Error;
use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::limits::ARTIFACTS_MAX;

use crate::exchange::{safe_id, unintelligible};

/// The artifacts found so far.
pub(crate) struct ArtifactList {
    operation: &'static str,
    items: Vec<ArtifactRef>,
}

impl ArtifactList {
    /// None yet; errors name the operation.
    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, items: Vec::new() }
    }

    /// Adds the file `route:id`, unless its id is absent or listed already.
    pub(crate) fn add(
        &mut self,
        route: &str,
        id: Option<String>,
        kind: ArtifactKind,
        name: &str,
        content: Content,
    ) -> Result<(), Error> {
        let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(()) };
        let id = format!("{route}:{}", safe_id(self.operation, &id)?);
        if self.items.len() >= ARTIFACTS_MAX {
            return Err(unintelligible(self.operation, "the list of files has no end"));
        }
        if self.items.iter().all(|item| item.id != id) {
            self.items.push(ArtifactRef { id, kind, name: name.to_owned(), content });
        }
        Ok(())
    }

    /// Adds one of the platform's own records.
    pub(crate) fn add_record(&mut self, id: &str, name: &str) {
        self.items.push(ArtifactRef {
            id: id.to_owned(),
            kind: ArtifactKind::PlatformRecord,
            name: name.to_owned(),
            content: Content::Json,
        });
    }

    /// All of them, in the answer's order.
    pub(crate) fn finish(self) -> Vec<ArtifactRef> {
        self.items
    }
}
