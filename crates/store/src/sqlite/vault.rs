//! The vault: what senders gave us, sealed at rest ([`super::seal`]).
//!
//! A grant's version is drawn from the store's one counter and never used twice: what was fetched for a grant that was
//! forgotten and given anew meanwhile does not replace the new one.

use aftersign_core::Timestamp;
use aftersign_core::grant::{Grant, GrantKind, Holder};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::journal::{Action, Entry};
use aftersign_core::secret::Secret;
use aftersign_core::task::TaskDraft;
use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, params};
use std::sync::Arc;

use super::fault::Fault;
use super::queue::next_token;
use super::rows::{maybe_time, micros, number, signed, time, word};
use super::seal::{self, Place, Ring, Sealed};
use super::writer::Work;
use super::{SqliteStore, consents, grant_bytes, journal, tasks};
use crate::limits::GIVEN_SLACK_MICROS;
use crate::{GrantRow, NewGrant, OpenGrant, Purpose, StoreError, Vault};

const COLUMNS: &str = "account, sender, user_id, kind, key_id, granted_at, renew_at, refused_at, version";

fn grant_row(row: &Row<'_>) -> rusqlite::Result<GrantRow> {
    Ok(GrantRow {
        account: AccountId::new(row.get::<_, String>(0)?),
        sender: word(row, 1, SenderId::new)?,
        user_id: row.get(2)?,
        kind: word(row, 3, GrantKind::parse)?,
        key_id: row.get(4)?,
        granted_at: time(row, 5)?,
        renew_at: maybe_time(row, 6)?,
        refused_at: maybe_time(row, 7)?,
        version: number(row, 8)?,
    })
}

fn place<'a>(account: &'a AccountId, sender: &'a SenderId) -> Place<'a> {
    Place { purpose: "grant", account: account.as_str(), owner: sender.as_str() }
}

fn seal_secrets(work: &Work<'_>, ring: &Ring, place: Place<'_>, grant: &Grant) -> Result<Sealed, StoreError> {
    let bytes = grant_bytes::write(&grant.credential, grant.refresh_token.as_ref()).ok_or_else(|| {
        StoreError::Damaged { what: "grant", reason: "one of its secrets is longer than 4 GiB".into() }
    })?;
    seal::seal(ring, place, &bytes, work.entropy)
}

#[async_trait]
impl Vault for SqliteStore {
    async fn seal_grant(&self, grant: NewGrant, actor: &str, now: Timestamp) -> Result<u64, StoreError> {
        let (ring, actor) = (Arc::clone(&self.ring), actor.to_string());
        let (account, holder) = (grant.account.clone(), Holder::Sender(grant.sender.clone()));
        self.writer.run("seal a grant", move |work| seal_grant(work, &ring, &grant, actor, now)).await?;
        self.renew_access(&account, &holder, now).await
    }

    async fn open_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
    ) -> Result<Option<OpenGrant>, StoreError> {
        let (ring, account, sender) = (Arc::clone(&self.ring), account.clone(), sender.clone());
        self.read("open a grant", move |conn| {
            let found = conn
                .prepare_cached(&format!(
                    "SELECT {COLUMNS}, wrapped, sealed FROM vault WHERE account = ?1 AND sender = ?2"
                ))?
                .query_row([account.as_str(), sender.as_str()], |row| {
                    let grant = grant_row(row)?;
                    let (wrapped, sealed) = (row.get(9)?, row.get(10)?);
                    Ok((Sealed { key_id: grant.key_id.clone(), wrapped, sealed }, grant))
                })
                .optional()?;
            let Some((record, row)) = found else { return Ok(None) };
            let bytes = seal::open(&ring, place(&account, &sender), &record)?;
            let secrets = grant_bytes::read(&bytes).ok_or_else(|| StoreError::Damaged {
                what: "grant",
                reason: format!("it is of a form that this version does not know, in account {account}"),
            })?;
            let grant = Grant {
                kind: row.kind,
                credential: secrets.credential,
                refresh_token: secrets.refresh_token,
                renew_at: row.renew_at,
            };
            Ok(Some(OpenGrant { grant, row }))
        })
        .await
    }

    async fn replace_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
        version: u64,
        grant: Grant,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (ring, account, sender) = (Arc::clone(&self.ring), account.clone(), sender.clone());
        self.writer
            .run("renew a grant", move |work| {
                let record = seal_secrets(work, &ring, place(&account, &sender), &grant)?;
                let replaced = work
                    .conn
                    .prepare_cached(
                        "UPDATE vault SET kind = ?4, key_id = ?5, wrapped = ?6, sealed = ?7, renew_at = ?8,
                             refused_at = NULL, renewing_until = NULL, version = ?9
                         WHERE account = ?1 AND sender = ?2 AND version = ?3",
                    )?
                    .execute(params![
                        account.as_str(),
                        sender.as_str(),
                        signed(version),
                        grant.kind.as_str(),
                        record.key_id,
                        record.wrapped,
                        record.sealed,
                        micros(grant.renew_at),
                        signed(next_token(work)?),
                    ])?;
                Ok(replaced > 0)
            })
            .await
    }

    async fn claim_renewal(
        &self,
        account: &AccountId,
        sender: &SenderId,
        version: u64,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (account, sender) = (account.clone(), sender.clone());
        self.writer
            .run("claim a grant's renewal", move |work| {
                let claimed = work
                    .conn
                    .prepare_cached(
                        "UPDATE vault SET renewing_until = ?4 WHERE account = ?1 AND sender = ?2
                             AND version = ?3 AND (renewing_until IS NULL OR renewing_until <= ?5)",
                    )?
                    .execute(params![
                        account.as_str(),
                        sender.as_str(),
                        signed(version),
                        until.as_microsecond(),
                        now.as_microsecond(),
                    ])?;
                Ok(claimed > 0)
            })
            .await
    }

    async fn mark_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
        version: u64,
        refused_at: Option<Timestamp>,
        renewal: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let (account, sender) = (account.clone(), sender.clone());
        self.writer
            .run("mark a grant", move |work| {
                work.conn
                    .prepare_cached(
                        "UPDATE vault SET refused_at = ?4,
                             renewing_until = iif(renewing_until IS ?5, NULL, renewing_until)
                         WHERE account = ?1 AND sender = ?2 AND version = ?3",
                    )?
                    .execute(params![
                        account.as_str(),
                        sender.as_str(),
                        signed(version),
                        micros(refused_at),
                        micros(renewal)
                    ])?;
                Ok(())
            })
            .await
    }

    async fn grants(&self, account: Option<&AccountId>) -> Result<Vec<GrantRow>, StoreError> {
        let account = account.cloned();
        self.read("list grants", move |conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM vault WHERE ?1 IS NULL OR account = ?1 ORDER BY account, sender"
            ))?;
            let rows = statement.query_map([account.as_ref().map(AccountId::as_str)], grant_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn forget_grant(
        &self,
        account: &AccountId,
        sender: &SenderId,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (account, sender, actor) = (account.clone(), sender.clone(), actor.to_string());
        self.writer
            .run("forget a grant", move |work| {
                let gone = work
                    .conn
                    .prepare_cached("DELETE FROM vault WHERE account = ?1 AND sender = ?2")?
                    .execute([account.as_str(), sender.as_str()])?;
                if gone > 0 {
                    journal_change(work, &account, actor, "a sender's grant was forgotten", now)?;
                }
                Ok(gone > 0)
            })
            .await
    }

    async fn rekey(&self, limit: usize, now: Timestamp) -> Result<u64, StoreError> {
        let ring = Arc::clone(&self.ring);
        self.writer.run("wrap secrets anew", move |work| rekey(work, &ring, limit, now)).await
    }

    async fn key_uses(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let first = self.ring.first()?.id.clone();
        self.read("count the uses of keys", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT key_id, sum(uses) FROM (
                     SELECT key_id, count(*) AS uses FROM vault GROUP BY key_id
                     UNION ALL SELECT key_id, count(*) FROM consents GROUP BY key_id
                     UNION ALL SELECT ?1, 0)
                 GROUP BY key_id ORDER BY key_id <> ?1, key_id",
            )?;
            let uses = statement.query_map([&first], |row| Ok((row.get(0)?, number(row, 1)?)))?;
            Ok(uses.collect::<Result<_, _>>()?)
        })
        .await
    }

    fn seal_token(&self, purpose: Purpose, text: &Secret) -> Result<Secret, StoreError> {
        seal::seal_token(&self.ring, purpose, text, self.entropy.as_ref())
    }

    fn open_token(&self, purpose: Purpose, token: &str) -> Option<Secret> {
        seal::open_token(&self.ring, purpose, token)
    }
}

fn seal_grant(
    work: &Work<'_>,
    ring: &Ring,
    new: &NewGrant,
    actor: String,
    now: Timestamp,
) -> Result<(), Fault> {
    let record = seal_secrets(work, ring, place(&new.account, &new.sender), &new.grant)?;
    work.conn
        .prepare_cached(
            "INSERT INTO vault (account, sender, user_id, kind, key_id, wrapped, sealed, granted_at, renew_at,
                 version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (account, sender) DO UPDATE SET user_id = ?3, kind = ?4, key_id = ?5, wrapped = ?6,
                 sealed = ?7, granted_at = ?8, renew_at = ?9, version = ?10, refused_at = NULL,
                 renewing_until = NULL",
        )?
        .execute(params![
            new.account.as_str(),
            new.sender.as_str(),
            new.user_id,
            new.grant.kind.as_str(),
            record.key_id,
            record.wrapped,
            record.sealed,
            now.as_microsecond(),
            micros(new.grant.renew_at),
            signed(next_token(work)?),
        ])?;
    let what = format!("a sender's grant was stored ({})", new.grant.kind.as_str());
    journal_change(work, &new.account, actor, &what, now)?;
    let task = TaskDraft::access_key(&new.account, &Holder::Sender(new.sender.clone()));
    tasks::close(work, &[task], tasks::SETTLED_BY_ITSELF, now)
}

/// Never says whose: the journal is for ever, and keeps no personal data.
fn journal_change(
    work: &Work<'_>,
    account: &AccountId,
    actor: String,
    what: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let entry = Entry {
        at: now,
        actor,
        action: Action::VaultChanged,
        account: account.as_str().into(),
        envelope: String::new(),
        detail: what.into(),
    };
    journal::append(work, &entry)
}

/// Whether a sender gave access at this time or later, or a moment before it, and the platform has not refused it since.
pub(super) fn was_given_since(
    work: &Work<'_>,
    account: &AccountId,
    sender: &SenderId,
    since: Timestamp,
) -> Result<bool, Fault> {
    let given = work
        .conn
        .prepare_cached(
            "SELECT 1 FROM vault WHERE account = ?1 AND sender = ?2 AND granted_at >= ?3 AND refused_at IS NULL",
        )?
        .query_row(params![account.as_str(), sender.as_str(), since.as_microsecond() - GIVEN_SLACK_MICROS], |_| {
            Ok(())
        })
        .optional()?;
    Ok(given.is_some())
}

/// What is wrapped anew is found by its key's id no more, so that whoever begins again goes on where the last one ended.
fn rekey(work: &Work<'_>, ring: &Ring, limit: usize, now: Timestamp) -> Result<u64, Fault> {
    consents::forget_expired(work, now)?;
    let first = &ring.first()?.id;
    let mut statement = work.conn.prepare_cached(
        "SELECT n, account, sender, key_id, wrapped, sealed FROM vault WHERE key_id <> ?1 ORDER BY n LIMIT ?2",
    )?;
    let records: Vec<(i64, AccountId, SenderId, Sealed)> = statement
        .query_map(params![first, signed(limit as u64)], |row| {
            let account = AccountId::new(row.get::<_, String>(1)?);
            Ok((row.get(0)?, account, word(row, 2, SenderId::new)?, Sealed::read(row, 3)?))
        })?
        .collect::<Result<_, _>>()?;
    let room = limit.saturating_sub(records.len());
    for (n, account, sender, record) in records {
        let wrapped = match seal::wrap_anew(ring, place(&account, &sender), &record, work.entropy) {
            // It stays as it is and counts as left; the others go on.
            Err(StoreError::Damaged { .. }) => continue,
            wrapped => wrapped?,
        };
        work.conn
            .prepare_cached("UPDATE vault SET key_id = ?2, wrapped = ?3 WHERE n = ?1")?
            .execute(params![n, first, wrapped])?;
    }
    consents::rekey(work, ring, room)?;
    Ok(work
        .conn
        .prepare_cached(
            "SELECT (SELECT count(*) FROM vault WHERE key_id <> ?1)
                 + (SELECT count(*) FROM consents WHERE key_id <> ?1)",
        )?
        .query_row([first], |row| number(row, 0))?)
}
