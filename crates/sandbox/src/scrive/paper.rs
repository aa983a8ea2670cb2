//! One document, whether it is an envelope of its own or one of several in a flow, as the platform knows it or as its API
//! shows it.

use std::sync::Arc;

use jiff::Timestamp;

use super::queue::Queue;
use super::{document_bytes, kind, number};
use crate::config::Vendor;
use crate::content::{Artifact, Source};
use crate::ledger::Outcome;
use crate::life::Step;
use crate::people::Caller;
use crate::rng::Rng;
use crate::script::FileScript;
use crate::world::{Envelope, SignerState, State};

/// What an envelope of Scrive has beyond the others'.
#[derive(Debug, Default)]
pub(crate) struct Papers {
    /// Whether the sealed files are replaced after a while, once it is closed.
    pub(super) to_be_extended: bool,
    pub(crate) sealed: bool,
    pub(crate) extended_at: Option<Timestamp>,
    pub(crate) trashed: bool,
    pub(crate) queue: Queue,
    /// What the witness missed when it was put into the trash.
    pub(super) missing_at_trash: usize,
    /// How many callbacks a client asked for.
    pub(super) callbacks_asked: u64,
    stamp: Stamp,
    before_end: Stamp,
}

/// How often and when the document was changed last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stamp {
    pub(super) object_version: u64,
    pub(super) mtime: Timestamp,
}

impl Stamp {
    /// Times have six digits at most: what a filter is given must be what it compares.
    fn next(self, now: Timestamp) -> Stamp {
        let mtime = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        Stamp { object_version: self.object_version + 1, mtime }
    }
}

impl Papers {
    pub(super) fn new(to_be_extended: bool) -> Papers {
        Papers { to_be_extended, ..Papers::default() }
    }

    /// A step was taken.
    pub(crate) fn advance(&mut self, step: Step, now: Timestamp) {
        match step {
            Step::InterimFiles | Step::FilesReady | Step::Settle => return,
            Step::End(_) => self.before_end = self.stamp,
            _ => {}
        }
        self.stamp = self.stamp.next(now);
    }

    /// A client changed it.
    pub(super) fn touch(&mut self) {
        self.stamp = self.stamp.next(Timestamp::now());
    }
}

/// One document.
#[derive(Clone)]
pub(super) struct Paper<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) id: String,
    /// Which one of a flow.
    position: usize,
    /// Whether it shows an end that the API does not show yet.
    knows_all: bool,
}

/// A file that the author or a signer has added.
pub(super) struct Attachment<'a> {
    pub(super) name: &'a str,
    pub(super) file_id: String,
    /// Who added it; the author if nobody else.
    pub(super) signer: Option<usize>,
    pub(super) add_to_sealed_file: bool,
    bytes: u64,
}

/// The documents of an envelope, as the API shows them.
pub(super) fn papers_of(envelope: &Envelope) -> impl Iterator<Item = Paper<'_>> {
    let count = if envelope.vendor == Vendor::ScriveFlow { envelope.script.documents.len() } else { 1 };
    (0..count).map(move |position| {
        let id = if envelope.vendor == Vendor::ScriveFlow {
            number(&mut Rng::keyed(envelope.seed, &format!("document/{position}")))
        } else {
            envelope.id.clone()
        };
        Paper { envelope, id, position, knows_all: false }
    })
}

/// The documents of an account.
pub(super) fn papers<'a>(state: &'a State, caller: &'a Caller) -> impl Iterator<Item = Paper<'a>> {
    state.seen_by(caller).flat_map(papers_of)
}

/// One document, if the account may see it and it is still there.
pub(super) fn find<'a>(state: &'a State, caller: &Caller, id: &str) -> Option<Paper<'a>> {
    let envelope = state.by_file.get(id).map_or(id, String::as_str);
    let envelope = state.visible(caller, envelope)?;
    papers_of(envelope).find(|paper| paper.id == id)
}

impl<'a> Paper<'a> {
    /// A document of its own, as the platform knows it.
    pub(super) fn of(envelope: &'a Envelope) -> Paper<'a> {
        Paper { envelope, id: envelope.id.clone(), position: 0, knows_all: true }
    }

    pub(super) fn is_of_flow(&self) -> bool {
        self.envelope.vendor == Vendor::ScriveFlow
    }

    pub(super) fn is_qualified(&self) -> bool {
        self.envelope.script.qualified && !self.is_of_flow()
    }

    pub(super) fn main(&self) -> &'a FileScript {
        &self.envelope.script.documents[self.position]
    }

    pub(super) fn title(&self) -> &'a str {
        if self.is_of_flow() {
            let name = self.main().name.as_str();
            name.strip_suffix(".pdf").unwrap_or(name)
        } else {
            &self.envelope.script.name
        }
    }

    /// The outcome as far as it shows.
    pub(super) fn outcome(&self) -> Outcome {
        if self.knows_all { self.envelope.outcome } else { self.envelope.visible_outcome() }
    }

    fn hides_end(&self) -> bool {
        self.outcome() != self.envelope.outcome
    }

    pub(super) fn stamp(&self) -> Stamp {
        if self.hides_end() { self.envelope.scrive.before_end } else { self.envelope.scrive.stamp }
    }

    pub(super) fn status(&self) -> &'static str {
        match self.outcome() {
            Outcome::InProgress => "pending",
            Outcome::Completed => "closed",
            // One rejected document cancels the others of its flow.
            Outcome::Declined if self.position > 0 => "canceled",
            Outcome::Declined => "rejected",
            Outcome::Cancelled => "canceled",
            Outcome::Expired => "timedout",
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.envelope.scrive.sealed && !self.hides_end()
    }

    /// Which version of the sealed file there is, or is going to be as soon as the seal is on; `None` if it is not closed.
    pub(super) fn sealed_version(&self) -> Option<u32> {
        let extended = self.envelope.scrive.extended_at.is_some();
        (self.outcome() == Outcome::Completed).then_some(if extended { 2 } else { 1 })
    }

    /// The sealed file as it is now.
    pub(super) fn sealed_file(&self) -> Option<&'a Arc<Artifact>> {
        if !self.is_sealed() {
            return None;
        }
        let version = self.sealed_version()?;
        let file_id = self.file_id(&format!("sealed/{version}"));
        self.envelope.artifacts.iter().find(|artifact| artifact.file_id == file_id)
    }

    /// The id of one of its files.
    pub(super) fn file_id(&self, what: &str) -> String {
        number(&mut Rng::keyed(self.envelope.seed, &format!("file/{}/{what}", self.position)))
    }

    /// A PDF of its own.
    pub(super) fn pdf(&self, what: &str, bytes: u64) -> Source {
        let seed = Rng::keyed(self.envelope.seed, &format!("pdf/{}/{what}", self.position)).next_u64();
        Source::Pdf { title: format!("{} {what}", self.title()), seed, bytes }
    }

    /// What the author and the signers added; a flow's documents have none.
    pub(super) fn attachments(&self) -> Vec<Attachment<'a>> {
        if self.is_of_flow() {
            return Vec::new();
        }
        let script = &self.envelope.script;
        let of_author = script.documents[1..].iter().map(|file| (file, None));
        let signers = script.signers.len();
        let of_signers = script.attachments.iter().enumerate().map(|(at, file)| (file, Some(at % signers)));
        let attachment = |(at, (file, signer)): (usize, (&'a FileScript, Option<usize>))| Attachment {
            name: &file.name,
            file_id: self.file_id(&format!("attachment/{at}")),
            signer,
            add_to_sealed_file: Rng::keyed(self.envelope.seed, &format!("added/{at}")).chance(0.4),
            bytes: document_bytes(file),
        };
        of_author.chain(of_signers).enumerate().map(attachment).collect()
    }

    /// Those that are not inside of the sealed file.
    pub(super) fn separate_attachments(&self) -> impl Iterator<Item = Attachment<'a>> {
        self.attachments().into_iter().filter(|attachment| !attachment.add_to_sealed_file)
    }

    /// Whether an attachment is there yet: a signer adds it when signing.
    pub(super) fn has(&self, attachment: &Attachment<'_>) -> bool {
        attachment
            .signer
            .and_then(|signer| self.envelope.signers.get(signer))
            .is_none_or(|signer| matches!(signer.state, SignerState::Signed(_)))
    }
}

impl Attachment<'_> {
    pub(super) fn source(&self, envelope: &Envelope) -> Source {
        let seed = Rng::keyed(envelope.seed, &format!("attachment/{}", self.file_id)).next_u64();
        Source::Pdf { title: self.name.to_owned(), seed, bytes: self.bytes }
    }

    pub(super) fn artifact(&self, envelope: &Envelope) -> Artifact {
        let name = self.name.to_owned();
        Artifact::new(name, kind::ATTACHMENT, self.file_id.clone(), self.source(envelope))
    }
}
