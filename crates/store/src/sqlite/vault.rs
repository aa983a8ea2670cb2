//! The vault: credentials at rest, sealed so that a copy of the file gives nothing away.
//!
//! Every record has its own random data key, which seals the secret and is itself wrapped by a key of the
//! ring. What is sealed is bound to its account, owner and purpose, and what is wrapped to the key's id as
//! well: a record copied over another, or under another name, does not open. Plaintext and data keys are
//! zeroed when they are dropped.

use aftersign_core::Timestamp;
use aftersign_core::ids::AccountId;
use aftersign_core::journal::{Action, Entry};
use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rusqlite::{OptionalExtension, Row, params};
use std::sync::Arc;
use zeroize::Zeroizing;

use super::fault::Fault;
use super::writer::Work;
use super::{SqliteStore, VaultKey, journal};
use crate::{StoreError, Vault};

/// The keys in order; the first one seals.
pub(super) struct Ring(Vec<VaultKey>);

impl Ring {
    pub(super) fn new(keys: Vec<VaultKey>) -> Self {
        Self(keys)
    }

    fn first(&self) -> Result<&VaultKey, StoreError> {
        self.0.first().ok_or_else(|| StoreError::KeyMissing { key: "(none is configured)".into() })
    }

    fn by_id(&self, id: &str) -> Result<&VaultKey, StoreError> {
        self.0.iter().find(|key| key.id == id).ok_or_else(|| StoreError::KeyMissing { key: id.into() })
    }
}

/// A record as it is kept.
struct Sealed {
    key_id: String,
    wrapped: Vec<u8>,
    sealed: Vec<u8>,
}

/// What ties a ciphertext to its place; each part is length-prefixed, so that borders count.
fn bind(parts: &[&str]) -> Vec<u8> {
    let mut bound = b"aftersign vault 1".to_vec();
    for part in parts {
        bound.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bound.extend_from_slice(part.as_bytes());
    }
    bound
}

fn bind_secret(account: &str, owner: &str) -> Vec<u8> {
    bind(&["secret", account, owner])
}

fn bind_data_key(account: &str, owner: &str, key_id: &str) -> Vec<u8> {
    bind(&["data key", account, owner, key_id])
}

fn damaged(reason: &str) -> StoreError {
    StoreError::Damaged { what: "credential", reason: reason.into() }
}

/// Nonce, ciphertext and tag in one.
fn encrypt(key: &[u8; 32], plain: &[u8], bound: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0u8; NONCE_LEN];
    entropy.fill(&mut nonce);
    let mut room = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
    room.extend_from_slice(plain);
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut *room)
        .map_err(|_| damaged("it cannot be sealed"))?;
    Ok([&nonce[..], &room].concat())
}

fn decrypt(key: &[u8; 32], sealed: &[u8], bound: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(|| damaged("it is cut off"))?;
    let mut room = Zeroizing::new(rest.to_vec());
    let length = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut room)
        .map_err(|_| damaged("it is not what was sealed here, or was sealed with another key of this id"))?
        .len();
    room.truncate(length);
    Ok(room)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, StoreError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| damaged("the key is not usable"))
}

fn seal(
    ring: &Ring,
    account: &str,
    owner: &str,
    secret: &[u8],
    entropy: &dyn Entropy,
) -> Result<Sealed, StoreError> {
    let mut data_key = Zeroizing::new([0u8; 32]);
    entropy.fill(&mut *data_key);
    let first = ring.first()?;
    let bound = bind_data_key(account, owner, &first.id);
    Ok(Sealed {
        key_id: first.id.clone(),
        wrapped: encrypt(&first.key, &*data_key, &bound, entropy)?,
        sealed: encrypt(&data_key, secret, &bind_secret(account, owner), entropy)?,
    })
}

fn unwrap_data_key(
    ring: &Ring,
    account: &str,
    owner: &str,
    record: &Sealed,
) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let key = ring.by_id(&record.key_id)?;
    let plain = decrypt(&key.key, &record.wrapped, &bind_data_key(account, owner, &record.key_id))?;
    let mut data_key = Zeroizing::new([0u8; 32]);
    if plain.len() != data_key.len() {
        return Err(damaged("its data key is of the wrong length"));
    }
    data_key.copy_from_slice(&plain);
    Ok(data_key)
}

fn open(ring: &Ring, account: &str, owner: &str, record: &Sealed) -> Result<Secret, StoreError> {
    let data_key = unwrap_data_key(ring, account, owner, record)?;
    let plain = decrypt(&data_key, &record.sealed, &bind_secret(account, owner))?;
    std::str::from_utf8(&plain).map(Secret::new).map_err(|_| damaged("it is no text"))
}

fn sealed_row(row: &Row<'_>, from: usize) -> rusqlite::Result<Sealed> {
    Ok(Sealed { key_id: row.get(from)?, wrapped: row.get(from + 1)?, sealed: row.get(from + 2)? })
}

fn journal_change(work: &Work<'_>, account: &str, what: &str, now: Timestamp) -> Result<(), Fault> {
    let entry = Entry {
        at: now,
        actor: "server".into(),
        action: Action::VaultChanged,
        account: account.into(),
        envelope: String::new(),
        detail: what.into(),
    };
    journal::append(work, &entry)
}

#[async_trait]
impl Vault for SqliteStore {
    async fn seal(
        &self,
        account: &AccountId,
        owner: &str,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (account, owner) = (account.as_str().to_string(), owner.to_string());
        let (ring, secret) = (Arc::clone(&self.ring), secret.clone());
        self.writer
            .run("seal a credential", move |work| {
                let record = seal(&ring, &account, &owner, secret.expose().as_bytes(), work.entropy)?;
                work.conn
                    .prepare_cached(
                        "INSERT INTO vault (account, owner, key_id, wrapped, sealed, sealed_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                         ON CONFLICT (account, owner) DO UPDATE
                             SET key_id = ?3, wrapped = ?4, sealed = ?5, sealed_at = ?6",
                    )?
                    .execute(params![
                        account,
                        owner,
                        record.key_id,
                        record.wrapped,
                        record.sealed,
                        now.as_microsecond()
                    ])?;
                journal_change(work, &account, "a credential was stored", now)
            })
            .await
    }

    async fn open(&self, account: &AccountId, owner: &str) -> Result<Option<Secret>, StoreError> {
        let (account, owner) = (account.as_str().to_string(), owner.to_string());
        let ring = Arc::clone(&self.ring);
        self.read("open a credential", move |conn| {
            let record = conn
                .prepare_cached(
                    "SELECT key_id, wrapped, sealed FROM vault WHERE account = ?1 AND owner = ?2",
                )?
                .query_row([&account, &owner], |row| sealed_row(row, 0))
                .optional()?;
            Ok(record.map(|record| open(&ring, &account, &owner, &record)).transpose()?)
        })
        .await
    }

    async fn forget(&self, account: &AccountId, owner: &str, now: Timestamp) -> Result<bool, StoreError> {
        let (account, owner) = (account.as_str().to_string(), owner.to_string());
        self.writer
            .run("forget a credential", move |work| {
                let gone = work
                    .conn
                    .prepare_cached("DELETE FROM vault WHERE account = ?1 AND owner = ?2")?
                    .execute([&account, &owner])?;
                if gone > 0 {
                    journal_change(work, &account, "a credential was forgotten", now)?;
                }
                Ok(gone > 0)
            })
            .await
    }

    async fn rekey(&self, limit: usize) -> Result<u64, StoreError> {
        let ring = Arc::clone(&self.ring);
        self.writer.run("wrap credentials anew", move |work| rekey(work, &ring, limit)).await
    }
}

fn rekey(work: &Work<'_>, ring: &Ring, limit: usize) -> Result<u64, Fault> {
    let first = ring.first()?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = work.conn.prepare_cached(
        "SELECT n, account, owner, key_id, wrapped, sealed FROM vault WHERE key_id <> ?1 ORDER BY n LIMIT ?2",
    )?;
    let records: Vec<(i64, String, String, Sealed)> = statement
        .query_map(params![first.id, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, sealed_row(row, 3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (n, account, owner, record) in records {
        let data_key = unwrap_data_key(ring, &account, &owner, &record)?;
        let bound = bind_data_key(&account, &owner, &first.id);
        let wrapped = encrypt(&first.key, &*data_key, &bound, work.entropy)?;
        work.conn
            .prepare_cached("UPDATE vault SET key_id = ?2, wrapped = ?3 WHERE n = ?1")?
            .execute(params![n, first.id, wrapped])?;
    }
    let left: i64 = work
        .conn
        .prepare_cached("SELECT count(*) FROM vault WHERE key_id <> ?1")?
        .query_row([&first.id], |row| row.get(0))?;
    Ok(u64::try_from(left).unwrap_or(0))
}
