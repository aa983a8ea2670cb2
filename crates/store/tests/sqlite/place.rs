//! A place for one SQLite store.

use std::path::PathBuf;
use std::sync::Arc;

use aftersign_core::seams::Entropy;
use aftersign_store::conformance::Place;
use aftersign_store::{Role, SqliteOptions, SqliteStore, Store, StoreError, VaultKey};
use async_trait::async_trait;
use tempfile::TempDir;

/// The operating system's randomness.
pub(crate) struct Random;

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) {
        aws_lc_rs::rand::fill(buffer).unwrap();
    }
}

/// A temporary folder with one database.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("data").join("aftersign.db")
    }

    pub(crate) fn options(&self, role: Role) -> SqliteOptions {
        SqliteOptions { role, ..SqliteOptions::new(self.path(), Arc::new(Random)) }
    }

    pub(crate) fn try_open(&self, role: Role) -> Result<Arc<SqliteStore>, StoreError> {
        SqliteStore::open(self.options(role))
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self, vault_keys: Vec<VaultKey>) -> Arc<dyn Store> {
        SqliteStore::open(SqliteOptions { vault_keys, ..self.options(Role::Server) }).unwrap()
    }

    fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::new(Random)
    }
}

pub(crate) fn place() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}
