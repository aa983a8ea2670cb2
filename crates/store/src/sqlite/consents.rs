//! Consents under way, sealed at rest like grants ([`super::seal`]).
//!
//! Anybody may begin one, so their number is bounded by their order: what was begun [`CONSENTS_MAX`] consents ago goes.

use aftersign_core::Timestamp;
use aftersign_core::digest::{Digest, encode_hex};
use aftersign_core::ids::AccountId;
use aftersign_core::secret::Secret;
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

use super::SqliteStore;
use super::fault::Fault;
use super::rows::{signed, time};
use super::seal::{self, Place, Ring, Sealed};
use super::writer::Work;
use crate::limits::CONSENTS_MAX;
use crate::{Consents, NewConsent, StoreError};

/// Bound to both digests: put under another state or another browser, it does not open.
fn owner(state: &[u8], browser: &[u8]) -> String {
    format!("{}/{}", encode_hex(state), encode_hex(browser))
}

fn place<'a>(account: &'a str, owner: &'a str) -> Place<'a> {
    Place { purpose: "consent", account, owner }
}

#[async_trait]
impl Consents for SqliteStore {
    async fn begin_consent(&self, consent: NewConsent, now: Timestamp) -> Result<(), StoreError> {
        let ring = Arc::clone(&self.ring);
        self.writer.run("keep a consent", move |work| begin(work, &ring, &consent, now)).await
    }

    async fn take_consent(
        &self,
        account: &AccountId,
        state: Digest,
        browser: Digest,
        now: Timestamp,
    ) -> Result<Option<Secret>, StoreError> {
        let (ring, account) = (Arc::clone(&self.ring), account.clone());
        self.writer
            .run("take a consent", move |work| take(work, &ring, &account, &state, &browser, now))
            .await
    }
}

fn begin(work: &Work<'_>, ring: &Ring, consent: &NewConsent, now: Timestamp) -> Result<(), Fault> {
    forget_expired(work, now)?;
    let (state, browser) = (consent.state.as_bytes(), consent.browser.as_bytes());
    let owner = owner(state, browser);
    let place = place(consent.account.as_str(), &owner);
    let record = seal::seal(ring, place, consent.keep.expose().as_bytes(), work.entropy)?;
    work.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO consents (account, state, browser, key_id, wrapped, sealed, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            consent.account.as_str(),
            state,
            browser,
            record.key_id,
            record.wrapped,
            record.sealed,
            consent.expires_at.as_microsecond(),
        ])?;
    let oldest = work.conn.last_insert_rowid() - signed(CONSENTS_MAX as u64);
    work.conn.prepare_cached("DELETE FROM consents WHERE n <= ?1")?.execute([oldest])?;
    Ok(())
}

/// What expired is worth nothing, and its key may be gone.
pub(super) fn forget_expired(work: &Work<'_>, now: Timestamp) -> Result<(), Fault> {
    work.conn
        .prepare_cached("DELETE FROM consents WHERE expires_at <= ?1")?
        .execute([now.as_microsecond()])?;
    Ok(())
}

/// Gone with the commit, and only if it opens: a ring that lacks its key loses nothing.
fn take(
    work: &Work<'_>,
    ring: &Ring,
    account: &AccountId,
    state: &Digest,
    browser: &Digest,
    now: Timestamp,
) -> Result<Option<Secret>, Fault> {
    let (state, browser) = (state.as_bytes(), browser.as_bytes());
    let taken = work
        .conn
        .prepare_cached(
            "DELETE FROM consents WHERE account = ?1 AND state = ?2 AND browser = ?3
             RETURNING expires_at, key_id, wrapped, sealed",
        )?
        .query_row(params![account.as_str(), state, browser], |row| {
            Ok((time(row, 0)?, Sealed::read(row, 1)?))
        })
        .optional()?;
    let Some((expires_at, record)) = taken else { return Ok(None) };
    if expires_at <= now {
        return Ok(None);
    }
    let owner = owner(state, browser);
    let place = place(account.as_str(), &owner);
    let keep = seal::open(ring, place, &record)?;
    let text = std::str::from_utf8(&keep).map_err(|_| place.damaged("it is no text"))?;
    Ok(Some(Secret::new(text)))
}

/// Wraps up to `limit` consents that the first key does not wrap yet with it.
pub(super) fn rekey(work: &Work<'_>, ring: &Ring, limit: usize) -> Result<(), Fault> {
    let first = &ring.first()?.id;
    let mut statement = work.conn.prepare_cached(
        "SELECT n, account, state, browser, key_id, wrapped, sealed FROM consents
         WHERE key_id <> ?1 ORDER BY n LIMIT ?2",
    )?;
    let records: Vec<(i64, String, String, Sealed)> = statement
        .query_map(params![first, signed(limit as u64)], |row| {
            let (state, browser): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, row.get(1)?, owner(&state, &browser), Sealed::read(row, 4)?))
        })?
        .collect::<Result<_, _>>()?;
    for (n, account, owner, record) in records {
        let wrapped = match seal::wrap_anew(ring, place(&account, &owner), &record, work.entropy) {
            Err(StoreError::Damaged { .. }) => continue,
            wrapped => wrapped?,
        };
        work.conn
            .prepare_cached("UPDATE consents SET key_id = ?2, wrapped = ?3 WHERE n = ?1")?
            .execute(params![n, first, wrapped])?;
    }
    Ok(())
}
