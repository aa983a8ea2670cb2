//! The archive as a folder: a local disk, or whatever is mounted there.
//!
//! A file appears under its name whole or not at all, durable before the receipt is given, and never in place
//! of other bytes. The kernel decides between writers (a rename that refuses to replace), so any number of
//! tasks, processes and machines may deliver at once without a lock of ours. The work runs on blocking
//! threads. What is deliberately absent: deleting, replacing, following links, and writing metadata beside
//! the file (the engine delivers `metadata.json` as an artifact).

use std::fs::File;
use std::path::{Path, PathBuf};

use aftersign_core::artifact::split_extension;
use aftersign_core::digest::Digest;
use aftersign_core::ids::DestinationId;
use aftersign_core::limits::{FILE_NAME_BYTES_MAX, VERSIONS_MAX};
use aftersign_core::seams::{ArchiveKey, Destination, Metadata, Receipt, StagedFile, Verification};
use aftersign_core::{Error, ErrorKind, Remedy};
use async_trait::async_trait;

use self::copy::digest_of;
use self::folder::{Folder, Site};
use self::part::{Part, Published};

mod copy;
mod folder;
mod part;
#[cfg(test)]
mod tests;

/// An archive in a folder.
#[derive(Clone, Debug)]
pub struct Filesystem {
    id: DestinationId,
    root: PathBuf,
}

impl Filesystem {
    /// The archive under `root`, which is made if only the last folder of its path is missing.
    ///
    /// Whether it can be written to is for [`probe`](Destination::probe) to say: a disk that is not mounted
    /// yet must not keep callbacks from being received.
    pub fn open(id: DestinationId, root: PathBuf) -> Result<Self, Error> {
        let root = std::path::absolute(&root).map_err(|error| {
            let message = format!("`{}` is no path for an archive: set `root` to a folder", root.display());
            Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, "open", message)
                .with("destination", &id)
                .caused_by(error)
        })?;
        if let Err(error) = Site::new("open", &root).make_root() {
            tracing::warn!(destination = %id, error = error.chain(), "the archive cannot be reached yet");
        }
        Ok(Self { id, root })
    }

    /// Runs `work` on a thread that may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Site<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let root = self.root.clone();
        let done = tokio::task::spawn_blocking(move || work(&Site::new(operation, &root))).await;
        let done = done.unwrap_or_else(|error| {
            let message = "the work was cut short; it is tried again";
            Err(Error::new(ErrorKind::Storage, Remedy::Retry(None), operation, message).caused_by(error))
        });
        done.map_err(|error| error.with("destination", &self.id))
    }
}

#[async_trait]
impl Destination for Filesystem {
    fn id(&self) -> &DestinationId {
        &self.id
    }

    async fn put(
        &self,
        key: &ArchiveKey,
        file: StagedFile<'_>,
        _metadata: &Metadata,
    ) -> Result<Receipt, Error> {
        let key = key.clone();
        let staged = Staged { path: file.path.into(), digest: file.digest, bytes: file.bytes };
        self.blocking("store", move |site| put(site, &key, &staged)).await
    }

    async fn verify(&self, receipt: &Receipt) -> Result<Verification, Error> {
        let location = receipt.location.clone();
        self.blocking("verify", move |site| verify(site, &location)).await
    }

    async fn probe(&self) -> Result<(), Error> {
        self.blocking("probe", probe).await
    }
}

/// A [`StagedFile`] that may move to another thread.
struct Staged {
    path: PathBuf,
    digest: Digest,
    bytes: u64,
}

fn put(site: &Site<'_>, key: &ArchiveKey, staged: &Staged) -> Result<Receipt, Error> {
    site.check_folder(&key.folder)?;
    site.check_name(&key.file_name)?;
    let folder = Folder::open_or_create(site, &key.folder)?;
    let mut version = match search(&folder, key, staged, 1)? {
        Search::Held(version) => return held(&folder, key, staged, version),
        Search::Free(version) => version,
    };
    let mut part = Part::write(&folder, &key.file_name, staged)?;
    part.remove_stale_siblings();
    // Each round that finds a name taken goes on behind it, so there are no more rounds than versions.
    for _ in 0..VERSIONS_MAX {
        if part.publish(&version_name(site, key, version)?)? == Published::Now {
            folder.sync()?;
            return receipt(site, key, staged, version, false);
        }
        version = match search(&folder, key, staged, version)? {
            Search::Held(version) => return held(&folder, key, staged, version),
            Search::Free(version) => version,
        };
    }
    Err(too_many_versions(site, key))
}

/// The same bytes lie there already. Whoever put them may not have synced them (a crash, a copy by hand), and
/// the receipt promises that they are durable.
fn held(folder: &Folder<'_>, key: &ArchiveKey, staged: &Staged, version: u32) -> Result<Receipt, Error> {
    let name = version_name(folder.site, key, version)?;
    if let Some(file) = folder.open_file(&name)? {
        folder.sync_file(&file, &name)?;
    }
    folder.sync()?;
    receipt(folder.site, key, staged, version, true)
}

fn receipt(
    site: &Site<'_>,
    key: &ArchiveKey,
    staged: &Staged,
    version: u32,
    already_there: bool,
) -> Result<Receipt, Error> {
    let location = format!("{}/{}", key.folder, version_name(site, key, version)?);
    Ok(Receipt { location, version, digest: staged.digest, bytes: staged.bytes, already_there })
}

enum Search {
    /// This version has the same bytes.
    Held(u32),
    /// No version has, and this is the first free one.
    Free(u32),
}

fn search(folder: &Folder<'_>, key: &ArchiveKey, staged: &Staged, from: u32) -> Result<Search, Error> {
    for version in from..=VERSIONS_MAX {
        let name = version_name(folder.site, key, version)?;
        let Some(file) = folder.open_file(&name)? else {
            return Ok(Search::Free(version));
        };
        if has_bytes(folder, file, &name, staged)? {
            return Ok(Search::Held(version));
        }
    }
    Err(too_many_versions(folder.site, key))
}

fn has_bytes(folder: &Folder<'_>, mut file: File, name: &str, staged: &Staged) -> Result<bool, Error> {
    let unreadable = |error| folder.failed("cannot read", name, &error);
    if file.metadata().map_err(unreadable)?.len() != staged.bytes {
        return Ok(false);
    }
    let (digest, bytes) = digest_of(&mut file).map_err(unreadable)?;
    Ok(digest == staged.digest && bytes == staged.bytes)
}

/// `contract.pdf`, `contract.v2.pdf`, …
fn version_name(site: &Site<'_>, key: &ArchiveKey, version: u32) -> Result<String, Error> {
    if version == 1 {
        return Ok(key.file_name.clone());
    }
    let (stem, ending) = split_extension(&key.file_name);
    let name = format!("{stem}.v{version}{ending}");
    if name.len() <= FILE_NAME_BYTES_MAX {
        return Ok(name);
    }
    let message = format!(
        "`{}/{}` is there with other bytes, and its name is too long for a version number: rename it in the \
         archive or give the artifact a shorter name",
        key.folder, key.file_name
    );
    Err(site.ask(ErrorKind::Rejected, message))
}

fn too_many_versions(site: &Site<'_>, key: &ArchiveKey) -> Error {
    let message = format!(
        "`{}/{}` has {VERSIONS_MAX} versions with different bytes: find out what keeps changing it, then move \
         old versions elsewhere",
        key.folder, key.file_name
    );
    site.ask(ErrorKind::Storage, message)
}

fn verify(site: &Site<'_>, location: &str) -> Result<Verification, Error> {
    let Some((path, name)) = location.rsplit_once('/') else {
        let message = format!("the receipt's location `{location}` is not of this archive");
        return Err(site.ask(ErrorKind::Rejected, message));
    };
    site.check_folder(path)?;
    site.check_name(name)?;
    let Some(folder) = Folder::open(site, path)? else {
        return Ok(Verification::Missing);
    };
    let Some(mut file) = folder.open_file(name)? else {
        return Ok(Verification::Missing);
    };
    let (digest, bytes) =
        digest_of(&mut file).map_err(|error| folder.failed("cannot read back", name, &error))?;
    Ok(Verification::Present { digest, bytes })
}

fn probe(site: &Site<'_>) -> Result<(), Error> {
    site.make_root()?;
    let root = Folder::open_root(site)?;
    let mut part = Part::probe(&root)?;
    part.remove_stale_siblings();
    part.discard()?;
    root.sync()
}

/// A path for messages; nothing is opened by it.
fn shown(root: &Path, folder: &str, name: &str) -> String {
    let mut path = root.to_path_buf();
    path.extend(folder.split('/').chain([name]).filter(|component| !component.is_empty()));
    path.display().to_string()
}
