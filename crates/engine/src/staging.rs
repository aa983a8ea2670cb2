//! The staging folder: downloads on their way to the archive.
//!
//! A file here is a copy that can be fetched again: what a crash tore or an operator removed is noticed by its
//! digest and downloaded anew. A transfer's folder goes when the transfer is archived.

use std::io;
use std::path::{Path, PathBuf};

use aftersign_core::ids::TransferId;
use aftersign_core::{Error, ErrorKind, Remedy};

/// The staging folder.
pub(crate) struct Staging {
    root: PathBuf,
}

impl Staging {
    pub(crate) fn open(root: PathBuf) -> Result<Self, Error> {
        std::fs::create_dir_all(&root).map_err(|error| failed(&root, error))?;
        Ok(Self { root })
    }

    /// Where item number `index` of a transfer lies; makes its folder.
    pub(crate) async fn place(&self, transfer: TransferId, index: usize) -> Result<PathBuf, Error> {
        let folder = self.folder(transfer);
        tokio::fs::create_dir_all(&folder).await.map_err(|error| failed(&folder, error))?;
        Ok(folder.join(index.to_string()))
    }

    /// Writes a small file of ours.
    pub(crate) async fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        tokio::fs::write(path, bytes).await.map_err(|error| failed(path, error))
    }

    /// Puts other bytes in the place of a file, all or nothing.
    pub(crate) async fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let aside = path.with_extension("new");
        self.write(&aside, bytes).await?;
        tokio::fs::rename(&aside, path).await.map_err(|error| failed(path, error))
    }

    /// Removes what is left of a transfer; that it was not there is fine.
    pub(crate) async fn clear(&self, transfer: TransferId) {
        let folder = self.folder(transfer);
        if let Err(error) = tokio::fs::remove_dir_all(&folder).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "cannot clear a staging folder");
        }
    }

    /// The transfers that have something here.
    pub(crate) async fn transfers(&self) -> io::Result<Vec<TransferId>> {
        let mut entries = tokio::fs::read_dir(&self.root).await?;
        let mut ids = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            ids.extend(entry.file_name().to_str().and_then(TransferId::parse));
        }
        Ok(ids)
    }

    fn folder(&self, transfer: TransferId) -> PathBuf {
        self.root.join(transfer.to_string())
    }
}

/// A failure of the staging disk: it may have room again later.
pub(crate) fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Storage, Remedy::Retry(None), "stage", "cannot write to the staging folder")
        .with("path", path.display())
        .caused_by(error)
}
