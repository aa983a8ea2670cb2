//! Sealing: what makes a copy of the file give nothing away.
//!
//! Every record has its own random data key, which seals the secret and is itself wrapped by a key of the ring. What is
//! sealed is bound to its purpose, account and owner, and what is wrapped to the key's id as well: a record copied over
//! another, or under another name, does not open. Plaintext and data keys are zeroed when they are dropped.
//!
//! A version is not bound: whoever can put an old row back puts its version back with it, so binding would notice only a
//! row that was put back by half. Nothing inside the file helps against a file that is set back; what such a row gives is
//! an older secret of the same sender, never another's.

use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Row;
use zeroize::Zeroizing;

use super::VaultKey;
use crate::limits::TOKEN_CHARS_MAX;
use crate::{Purpose, StoreError};

/// The keys in order; the first one seals.
pub(super) struct Ring(Vec<VaultKey>);

impl Ring {
    pub(super) fn new(keys: Vec<VaultKey>) -> Self {
        Self(keys)
    }

    pub(super) fn first(&self) -> Result<&VaultKey, StoreError> {
        self.0.first().ok_or_else(|| StoreError::KeyMissing { key: "(none is configured)".into() })
    }

    fn by_id(&self, id: &str) -> Result<&VaultKey, StoreError> {
        self.0.iter().find(|key| key.id == id).ok_or_else(|| StoreError::KeyMissing { key: id.into() })
    }
}

/// A record as it is kept.
pub(super) struct Sealed {
    pub(super) key_id: String,
    pub(super) wrapped: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

impl Sealed {
    /// Reads `key_id, wrapped, sealed` from column `from` on.
    pub(super) fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Self> {
        Ok(Self { key_id: row.get(from)?, wrapped: row.get(from + 1)?, sealed: row.get(from + 2)? })
    }
}

/// The one place where a record opens.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// What it is for: a word of ours.
    pub(super) purpose: &'static str,
    /// Its account.
    pub(super) account: &'a str,
    /// Whose it is within the account.
    pub(super) owner: &'a str,
}

impl Place<'_> {
    fn of_secret(&self) -> Vec<u8> {
        bind(&["secret", self.purpose, self.account, self.owner])
    }

    fn of_data_key(&self, key_id: &str) -> Vec<u8> {
        bind(&["data key", self.purpose, self.account, self.owner, key_id])
    }

    pub(super) fn damaged(&self, reason: &str) -> StoreError {
        let reason = format!("the {} of account {}: {reason}", self.purpose, self.account);
        StoreError::Damaged { what: "secret", reason }
    }
}

/// Seals a secret with a data key of its own, wrapped by the ring's first key.
pub(super) fn seal(
    ring: &Ring,
    place: Place<'_>,
    secret: &[u8],
    entropy: &dyn Entropy,
) -> Result<Sealed, StoreError> {
    let mut data_key = Zeroizing::new([0u8; 32]);
    entropy.fill(&mut *data_key);
    let wrapped = wrap(ring.first()?, place, &data_key, entropy)?;
    let sealed = encrypt(cipher(&data_key), secret, &place.of_secret(), entropy)
        .ok_or_else(|| place.damaged("it cannot be sealed"))?;
    Ok(Sealed { key_id: ring.first()?.id.clone(), wrapped, sealed })
}

/// Opens what was sealed at that place.
pub(super) fn open(ring: &Ring, place: Place<'_>, record: &Sealed) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let data_key = unwrap(ring, place, record)?;
    decrypt(cipher(&data_key), &record.sealed, &place.of_secret()).ok_or_else(|| place.damaged(NOT_OURS))
}

/// The record's data key, wrapped by the ring's first key instead of its own; the secret is not touched.
pub(super) fn wrap_anew(
    ring: &Ring,
    place: Place<'_>,
    record: &Sealed,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, StoreError> {
    wrap(ring.first()?, place, &*unwrap(ring, place, record)?, entropy)
}

const NOT_OURS: &str = "it is not what was sealed here, or was sealed with another key of this id: forget it and have it given again";

fn wrap(
    key: &VaultKey,
    place: Place<'_>,
    data_key: &[u8; 32],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, StoreError> {
    encrypt(cipher(&key.key), data_key, &place.of_data_key(&key.id), entropy)
        .ok_or_else(|| place.damaged("its data key cannot be wrapped"))
}

fn unwrap(ring: &Ring, place: Place<'_>, record: &Sealed) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let key = ring.by_id(&record.key_id)?;
    let plain = decrypt(cipher(&key.key), &record.wrapped, &place.of_data_key(&record.key_id))
        .ok_or_else(|| place.damaged(NOT_OURS))?;
    let mut data_key = Zeroizing::new([0u8; 32]);
    if plain.len() != data_key.len() {
        return Err(place.damaged("its data key is of the wrong length"));
    }
    data_key.copy_from_slice(&plain);
    Ok(data_key)
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

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).ok()
}

/// Nonce, ciphertext and tag in one; `None` if the key or the length is not usable.
fn encrypt(key: Option<LessSafeKey>, plain: &[u8], bound: &[u8], entropy: &dyn Entropy) -> Option<Vec<u8>> {
    let mut nonce = [0u8; NONCE_LEN];
    entropy.fill(&mut nonce);
    // Room for the tag from the start: growing would leave a copy of the plaintext behind.
    let mut room = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
    room.extend_from_slice(plain);
    key?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut *room).ok()?;
    Some([&nonce[..], &room].concat())
}

/// `None` if it is cut, altered, bound to something else or sealed with another key.
fn decrypt(key: Option<LessSafeKey>, sealed: &[u8], bound: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut room = Zeroizing::new(rest.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key?.open_in_place(nonce, Aad::from(bound), &mut room).ok()?.len();
    room.truncate(length);
    Some(room)
}

/// The form of a token: this byte, the length of the key's id in one byte, the id, nonce, ciphertext, tag; in base64url.
const TOKEN_VERSION: u8 = 1;

/// The key of a purpose's tokens, out of one of the ring. It is another one for every purpose and none that wraps records,
/// so that random nonces collide no sooner because of the other uses: 2^32 tokens per key and purpose are safe.
fn token_cipher(key: &VaultKey, purpose: Purpose) -> Option<LessSafeKey> {
    let extracted = Salt::new(HKDF_SHA256, b"aftersign token 1").extract(&*key.key);
    let info = [purpose.as_str().as_bytes()];
    let expanded = extracted.expand(&info, &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(expanded)))
}

fn bind_token(purpose: Purpose, key_id: &str) -> Vec<u8> {
    bind(&["token", purpose.as_str(), key_id])
}

/// Seals a text into a token.
pub(super) fn seal_token(
    ring: &Ring,
    purpose: Purpose,
    text: &Secret,
    entropy: &dyn Entropy,
) -> Result<Secret, StoreError> {
    let cannot = |reason: &str| StoreError::Damaged { what: "token", reason: reason.into() };
    let key = ring.first()?;
    let length = u8::try_from(key.id.len())
        .map_err(|_| cannot("the id of the vault key that seals it has more than 255 bytes: shorten it"))?;
    let bound = bind_token(purpose, &key.id);
    let sealed = encrypt(token_cipher(key, purpose), text.expose().as_bytes(), &bound, entropy)
        .ok_or_else(|| cannot("it cannot be sealed"))?;
    let token = [&[TOKEN_VERSION, length], key.id.as_bytes(), &sealed].concat();
    let token = URL_SAFE_NO_PAD.encode(token);
    if token.len() > TOKEN_CHARS_MAX {
        return Err(cannot("its text is too long for a URL or a cookie"));
    }
    Ok(Secret::new(token))
}

/// Opens a token of this purpose. Hostile input.
pub(super) fn open_token(ring: &Ring, purpose: Purpose, token: &str) -> Option<Secret> {
    if token.len() > TOKEN_CHARS_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (&[version, length], rest) = bytes.split_first_chunk::<2>()?;
    let (key_id, sealed) = rest.split_at_checked(usize::from(length))?;
    if version != TOKEN_VERSION {
        return None;
    }
    let key_id = std::str::from_utf8(key_id).ok()?;
    let key = ring.by_id(key_id).ok()?;
    let plain = decrypt(token_cipher(key, purpose), sealed, &bind_token(purpose, key_id))?;
    std::str::from_utf8(&plain).map(Secret::new).ok()
}
