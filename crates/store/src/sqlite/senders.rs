//! Who sent what, and how much waits for whose access.

use aftersign_core::Timestamp;
use aftersign_core::grant::Holder;
use aftersign_core::ids::{AccountId, EnvelopeId, SenderId};
use aftersign_core::transfer::ParkReason;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::rows::{account_number, number};
use super::writer::Work;
use super::{SqliteStore, envelopes, json_transfer};
use crate::{Senders, StoreError};

#[async_trait]
impl Senders for SqliteStore {
    async fn note_sender(
        &self,
        account: &AccountId,
        envelope: &EnvelopeId,
        sender: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (account, envelope, sender) = (account.clone(), envelope.clone(), sender.to_string());
        self.writer
            .run("note a sender", move |work| note(work, work.account(&account)?, &envelope, &sender, now))
            .await
    }

    /// The last answer is read from the transfer: the envelope's row does not say whether its sender was answered or
    /// announced, and news that are not confirmed yet make no answer worse.
    async fn sender_of(
        &self,
        account: &AccountId,
        envelope: &EnvelopeId,
    ) -> Result<Option<String>, StoreError> {
        let (account, envelope) = (account.clone(), envelope.clone());
        self.read("read a sender", move |conn| {
            let Some(account) = account_number(conn, &account)? else { return Ok(None) };
            let found = envelopes::find(conn, account, &envelope)?;
            if let Some((n, _)) = &found
                && let Some(answered) = answered(conn, *n)?
            {
                return Ok(Some(answered));
            }
            let noted = conn
                .prepare_cached("SELECT sender FROM senders WHERE account = ?1 AND envelope = ?2")?
                .query_row(params![account, envelope.as_str()], |row| row.get(0))
                .optional()?;
            Ok(noted.or(found.and_then(|(_, row)| row.known.sender)))
        })
        .await
    }

    async fn parked_for(&self, account: &AccountId, holder: &Holder) -> Result<u64, StoreError> {
        let (account, holder) = (account.clone(), holder.clone());
        self.read("count what waits for access", move |conn| {
            let Some(account) = account_number(conn, &account)? else { return Ok(0) };
            parked_for(conn, account, holder.sender().map(SenderId::as_str))
        })
        .await
    }
}

/// The sender in the platform's last answer about the envelope of row `envelope`.
fn answered(conn: &Connection, envelope: i64) -> Result<Option<String>, Fault> {
    let state: Option<String> = conn
        .prepare_cached("SELECT state FROM transfers WHERE envelope = ?1")?
        .query_row([envelope], |row| row.get(0))
        .optional()?;
    // A record that cannot be read is told of where it is worked on.
    let transfer = state.and_then(|state| json_transfer::from_text(&state).ok());
    Ok(transfer.and_then(|transfer| transfer.envelope?.sender))
}

/// How many transfers of an account wait for the access of `sender`, or for the account's own.
pub(super) fn parked_for(conn: &Connection, account: i64, sender: Option<&str>) -> Result<u64, Fault> {
    Ok(conn
        .prepare_cached(
            "SELECT count(*) FROM transfers INDEXED BY transfers_parked
             WHERE account = ?1 AND parked = ?2 AND parked IS NOT NULL AND parked_for IS ?3",
        )?
        .query_row(params![account, ParkReason::AccessNeeded.as_str(), sender], |row| number(row, 0))?)
}

/// Notes who sent an envelope; of two notes the later counts.
pub(super) fn note(
    work: &Work<'_>,
    account: i64,
    envelope: &EnvelopeId,
    sender: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "INSERT INTO senders (account, envelope, sender, noted_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET sender = ?3, noted_at = ?4 WHERE noted_at <= ?4",
        )?
        .execute(params![account, envelope.as_str(), sender, now.as_microsecond()])?;
    Ok(())
}

/// Notes who sent an envelope of which nobody noted that before.
pub(super) fn note_if_none(
    work: &Work<'_>,
    account: i64,
    envelope: &EnvelopeId,
    sender: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "INSERT INTO senders (account, envelope, sender, noted_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![account, envelope.as_str(), sender, now.as_microsecond()])?;
    Ok(())
}

/// Whether an envelope is known to be somebody else's than this sender's: by the platform's answer, or as noted.
pub(super) fn is_of_another(
    work: &Work<'_>,
    account: i64,
    envelope: &EnvelopeId,
    sender: Option<&str>,
) -> Result<bool, Fault> {
    let answer = match envelopes::find(work.conn, account, envelope)? {
        Some((n, _)) => answered(work.conn, n)?,
        None => None,
    };
    let known = match answer {
        Some(answer) => Some(answer),
        None => work
            .conn
            .prepare_cached("SELECT sender FROM senders WHERE account = ?1 AND envelope = ?2")?
            .query_row(params![account, envelope.as_str()], |row| row.get(0))
            .optional()?,
    };
    Ok(known.as_deref().and_then(SenderId::new).is_some_and(|known| Some(known.as_str()) != sender))
}
