//! Care of the file as a whole: copies of a running store, and its end.
//!
//! A backup is taken in one read transaction, checked, made durable and only then given its name: a file of
//! that name is a whole copy or is not there. It is one file without a log beside it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::{Connection, backup};

use super::fault::{Fault, Shared};
use super::{SqliteStore, open};
use crate::{StoreError, Upkeep};

#[async_trait]
impl Upkeep for SqliteStore {
    async fn backup(&self, to: &Path) -> Result<u64, StoreError> {
        let (from, to) = (self.path.clone(), to.to_path_buf());
        let copied = tokio::task::spawn_blocking(move || copy_under_temporary_name(&from, &to)).await;
        copied.map_err(|error| Shared::new(error.to_string()).into_store("back up"))?
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.readers.close();
        self.writer.close().await
    }
}

fn copy_under_temporary_name(from: &Path, to: &Path) -> Result<u64, StoreError> {
    if to.symlink_metadata().is_ok() {
        return Err(cannot(to, "a file of that name exists, and a backup never overwrites: name a new one"));
    }
    let mut name = OsString::from(to);
    name.push(".partial");
    let partial = PathBuf::from(name);
    open::private_file(&partial).map_err(|error| {
        cannot(&partial, &format!("it cannot be made: {error}. Is there a left-over of an earlier backup?"))
    })?;
    let copied = copy(from, &partial).and_then(|()| {
        let file = File::open(&partial).and_then(|file| {
            file.sync_all()?;
            file.metadata()
        });
        // A link, unlike a rename, never replaces what came under that name meanwhile.
        file.and_then(|file| std::fs::hard_link(&partial, to).map(|()| file.len()))
            .map_err(|error| cannot(to, &error.to_string()))
    });
    if let Err(error) = std::fs::remove_file(&partial) {
        tracing::warn!(%error, path = %partial.display(), "a left-over of a backup cannot be removed");
    }
    let bytes = copied?;
    open::sync_folder(to).map_err(|error| cannot(to, &format!("its folder cannot be synced: {error}")))?;
    Ok(bytes)
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let copied = || -> Result<String, Fault> {
        let source = open::read_connection(from)?;
        let mut target = Connection::open(to)?;
        {
            let copy = backup::Backup::new(&source, &mut target)?;
            // All pages in one step: a second step would begin anew after every commit of the writer.
            copy.step(-1)?;
        }
        target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        let verdict = target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        target.close().map_err(|(_, error)| error)?;
        Ok(verdict)
    };
    match copied().map_err(|fault| fault.into_store("back up"))?.as_str() {
        "ok" => Ok(()),
        verdict => Err(StoreError::Damaged { what: "backup", reason: verdict.into() }),
    }
}

fn cannot(path: &Path, reason: &str) -> StoreError {
    StoreError::CannotOpen { path: path.into(), reason: reason.into() }
}
