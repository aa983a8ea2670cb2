//! Opens the store that is configured.

use std::path::Path;
use std::sync::Arc;

use aftersign_store::{SqliteOptions, SqliteStore, Store, StoreError, VaultKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(crate) use aftersign_store::Role;

use crate::config::{Settings, VaultKeySettings};
use crate::failure::Failure;
use crate::system::SystemEntropy;

/// Opens the store for the server or for a command that works on envelopes. Makes it if it is missing.
pub(crate) fn open_store(settings: &Settings, role: Role) -> Result<Arc<dyn Store>, StoreError> {
    let store = SqliteStore::open(SqliteOptions {
        vault_keys: settings.vault_keys.iter().map(vault_key).collect(),
        queue_max: settings.queue_max,
        role,
        ..SqliteOptions::new(settings.store_path.clone(), Arc::new(SystemEntropy))
    })?;
    Ok(store)
}

/// Opens a store that is there already, for a command that looks into it or notes a person's word. Without the vault's keys:
/// it opens no secret.
pub(crate) fn open_existing(path: &Path) -> anyhow::Result<Arc<dyn Store>> {
    must_exist(path)?;
    let options = SqliteOptions { role: Role::Tool, ..SqliteOptions::new(path, Arc::new(SystemEntropy)) };
    Ok(SqliteStore::open(options)?)
}

/// Opens the configured store, which must be there already, with the vault's keys.
pub(crate) fn open_existing_vault(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    must_exist(&settings.store_path)?;
    Ok(open_store(settings, Role::Tool)?)
}

fn must_exist(path: &Path) -> anyhow::Result<()> {
    if !path.exists() {
        let message = format!("there is no database at {} yet", path.display());
        let next = "start `aftersign serve` once, or correct `store.url` in the config file";
        return Err(Failure::new(message, next).into());
    }
    Ok(())
}

fn vault_key(settings: &VaultKeySettings) -> VaultKey {
    let mut key = VaultKey { id: settings.id.clone(), key: [0u8; 32].into() };
    let decoded = STANDARD.decode_slice(settings.key.expose(), key.key.as_mut_slice());
    // The check of the configuration has decoded it before.
    decoded.expect("a checked vault key is 32 bytes in base64");
    key
}
