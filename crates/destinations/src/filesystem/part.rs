//! The unfinished file: hidden, in the folder of its target, gone unless it is published.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;

use aftersign_core::digest::Digest;
use aftersign_core::{Error, ErrorKind, Remedy};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, linkat, openat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use super::Staged;
use super::copy::{CopyError, copy};
use super::folder::Folder;

/// How our unfinished files begin; no artifact may.
pub(super) const PART_PREFIX: &str = ".aftersign-";
const PART_ENDING: &str = ".part";

/// Mode of new files: the owner writes, the group reads.
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
/// An unfinished file that nobody has written to for so long is left over from a crash: no transfer stalls
/// for a day and goes on.
const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Directory entries looked at in search of left-overs: a folder holds one envelope, so this is generous.
const ENTRIES_MAX: usize = 10_000;
/// Names tried: 64 random bits collide only if randomness is broken.
const NAME_TRIES_MAX: u32 = 16;

/// Whether a name was free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Published {
    /// The file stands under its name now.
    Now,
    /// Something else has that name.
    Taken,
}

/// An unfinished file.
pub(super) struct Part<'a> {
    folder: &'a Folder<'a>,
    /// `.aftersign-<digest of the target's name>-`: finds the left-overs of the same target.
    prefix: String,
    /// `None` once it is gone from this name.
    name: Option<String>,
    file: File,
}

impl<'a> Part<'a> {
    /// Copies the staged file into a new part and makes its bytes durable; refuses other bytes than expected.
    pub(super) fn write(folder: &'a Folder<'a>, target: &str, staged: &Staged) -> Result<Self, Error> {
        let corrupt = |message: String| {
            Error::new(ErrorKind::Corrupt, Remedy::Retry(None), folder.site.operation, message)
        };
        let mut from = File::open(&staged.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                corrupt("the staged file is gone: it is downloaded again".into()).caused_by(error)
            }
            _ => staging_failed(folder, staged, error),
        })?;
        let mut part = Self::create(folder, target)?;
        let (digest, bytes) =
            copy(&mut from, &mut part.file, staged.bytes).map_err(|failure| match failure {
                CopyError::Read(error) => staging_failed(folder, staged, error),
                CopyError::Write(error) => folder.failed("cannot write", target, &error),
            })?;
        if bytes != staged.bytes || digest != staged.digest {
            let message = "the staged file has other bytes than those downloaded: it is downloaded again";
            return Err(corrupt(message.into()).with("bytes_expected", staged.bytes).with(
                "bytes_found",
                if bytes > staged.bytes { "more".to_string() } else { bytes.to_string() },
            ));
        }
        folder.sync_file(&part.file, target)?;
        Ok(part)
    }

    /// A few bytes written durably, as a delivery would.
    pub(super) fn probe(folder: &'a Folder<'a>) -> Result<Self, Error> {
        let mut part = Self::create(folder, "")?;
        io::Write::write_all(&mut part.file, b"aftersign was here to see whether it can write\n")
            .map_err(|error| folder.failed("cannot write to the archive folder", "", &error))?;
        folder.sync_file(&part.file, "")?;
        Ok(part)
    }

    fn create(folder: &'a Folder<'a>, target: &str) -> Result<Self, Error> {
        let prefix = format!("{PART_PREFIX}{}-", &Digest::of(target.as_bytes()).to_string()[..16]);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut refusal = Errno::EXIST;
        for _ in 0..NAME_TRIES_MAX {
            let unique = RandomState::new().build_hasher().finish();
            let name = format!("{prefix}{unique:016x}{PART_ENDING}");
            match openat(folder.handle(), name.as_str(), flags, FILE_MODE) {
                Ok(file) => return Ok(Self { folder, prefix, name: Some(name), file: file.into() }),
                Err(Errno::EXIST) => {}
                Err(errno) => {
                    refusal = errno;
                    break;
                }
            }
        }
        Err(folder.failed("cannot write to the archive folder", "", &refusal.into()))
    }

    /// Gives the file its name, if nothing has that name. Never replaces anything.
    pub(super) fn publish(&mut self, target: &str) -> Result<Published, Error> {
        let Some(name) = self.name.as_deref() else {
            return Ok(Published::Taken);
        };
        let folder = self.folder.handle();
        let outcome = match renameat_with(folder, name, folder, target, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return self.publish_by_link(target);
            }
            outcome => outcome,
        };
        match outcome {
            Ok(()) => {
                self.name = None;
                Ok(Published::Now)
            }
            Err(Errno::EXIST) => Ok(Published::Taken),
            Err(errno) => Err(self.folder.failed("cannot name", target, &errno.into())),
        }
    }

    /// The same where the file system has no rename that refuses to replace: a link refuses too.
    pub(super) fn publish_by_link(&mut self, target: &str) -> Result<Published, Error> {
        let Some(name) = self.name.as_deref() else {
            return Ok(Published::Taken);
        };
        let folder = self.folder.handle();
        match linkat(folder, name, folder, target, AtFlags::empty()) {
            Ok(()) => {
                self.discard()?;
                Ok(Published::Now)
            }
            Err(Errno::EXIST) => Ok(Published::Taken),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                let message = format!(
                    "the file system of {} can neither rename without replacing nor link, so it cannot promise \
                     that nothing is overwritten: use another file system",
                    self.folder.site.root.display()
                );
                Err(self.folder.site.ask(ErrorKind::Storage, message))
            }
            Err(errno) => Err(self.folder.failed("cannot name", target, &errno.into())),
        }
    }

    /// Takes the unfinished name away.
    pub(super) fn discard(&mut self) -> Result<(), Error> {
        match self.name.take() {
            Some(name) => unlinkat(self.folder.handle(), name.as_str(), AtFlags::empty())
                .map_err(|errno| self.folder.failed("cannot remove", &name, &errno.into())),
            None => Ok(()),
        }
    }

    /// Removes what a crash left of the same target. Its age is taken against this part's own time of
    /// writing, so that only the file system's clock counts. A failure here harms nothing.
    pub(super) fn remove_stale_siblings(&self) {
        if let Err(errno) = self.try_remove_stale_siblings() {
            tracing::debug!(%errno, "left-over parts could not be looked for");
        }
    }

    fn try_remove_stale_siblings(&self) -> rustix::io::Result<()> {
        let folder = self.folder.handle();
        let now = rustix::fs::fstat(&self.file)?.st_mtime;
        for entry in Dir::read_from(folder)?.take(ENTRIES_MAX) {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if !bytes.starts_with(self.prefix.as_bytes()) || !bytes.ends_with(PART_ENDING.as_bytes()) {
                continue;
            }
            // Gone already: its writer finished or failed.
            let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let age = now.saturating_sub(stat.st_mtime);
            if u64::try_from(age).is_ok_and(|seconds| seconds > STALE_AFTER.as_secs()) {
                unlinkat(folder, name, AtFlags::empty())?;
                tracing::info!("removed an unfinished file that a crash left behind");
            }
        }
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.discard() {
            tracing::debug!(error = error.chain(), "an unfinished file stays until it is stale");
        }
    }
}

fn staging_failed(folder: &Folder<'_>, staged: &Staged, error: io::Error) -> Error {
    let message = format!(
        "cannot read the staged file {}: see that the staging folder belongs to the user that runs aftersign \
         and that its disk is sound",
        staged.path.display()
    );
    Error::new(ErrorKind::Storage, Remedy::Retry(None), folder.site.operation, message).caused_by(error)
}
