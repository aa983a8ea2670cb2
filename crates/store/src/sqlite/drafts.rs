//! Drafts that pages of ours send, each exactly once.
//!
//! The intent is durable before the platform is asked, and what came of it is a fact whoever brings it: the page that
//! asked, somebody who looked later, or the callback of an envelope that names its draft. Every envelope of a draft is
//! linked, and written to the journal, once.

use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::callback::{Notification, NotificationKind};
use aftersign_core::ids::{AccountId, EnvelopeId, SenderId};
use aftersign_core::journal::Action;
use aftersign_core::task::TaskDraft;
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::projection::{by_server, take_in};
use super::queue::next_token;
use super::rows::{maybe_time, signed, time, word};
use super::writer::Work;
use super::{SqliteStore, journal, senders, tasks};
use crate::{DraftClaim, DraftState, Drafts, News, NewsSource, StoreError, UnclearDraft};

#[async_trait]
impl Drafts for SqliteStore {
    async fn claim_draft(
        &self,
        account: &AccountId,
        draft: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<DraftClaim, StoreError> {
        let (account, draft) = (account.clone(), draft.to_string());
        let until = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        self.writer
            .run("claim a draft", move |work| {
                let account = work.account(&account)?;
                claim(work, account, &draft, until, now)
            })
            .await
    }

    async fn ask_draft(
        &self,
        account: &AccountId,
        draft: &str,
        sender: &SenderId,
        token: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (account, draft, sender) = (account.clone(), draft.to_string(), sender.clone());
        self.writer
            .run("note that a draft is to be sent", move |work| {
                let asked = work
                    .conn
                    .prepare_cached(
                        "UPDATE drafts SET sender = iif(asked_at IS NULL, ?5, sender),
                             asked_at = coalesce(asked_at, ?4), last_asked_at = ?4 WHERE account = ?1 AND draft = ?2
                             AND lease_token = ?3 AND leased_until IS NOT NULL AND sent_at IS NULL",
                    )?
                    .execute(params![
                        work.account(&account)?,
                        draft,
                        signed(token),
                        now.as_microsecond(),
                        sender.as_str()
                    ])?;
                if asked == 0 { Err(StoreError::LeaseLost.into()) } else { Ok(()) }
            })
            .await
    }

    async fn draft_sent(
        &self,
        account: &AccountId,
        platform: &str,
        draft: &str,
        sender: &SenderId,
        envelopes: &[EnvelopeId],
        now: Timestamp,
        pace: Pace,
    ) -> Result<(), StoreError> {
        let news = News {
            source: NewsSource::Watch,
            account: account.clone(),
            platform: platform.into(),
            notifications: envelopes.iter().map(|envelope| sent(envelope, draft, sender)).collect(),
            open_tasks: Vec::new(),
            close_tasks: Vec::new(),
        };
        let (draft, sender) = (draft.to_string(), sender.clone());
        self.writer
            .run("note that a draft was sent", move |work| note_sent(work, &draft, &sender, news, now, &pace))
            .await
    }

    async fn release_draft(
        &self,
        account: &AccountId,
        draft: &str,
        token: u64,
        unsent: bool,
    ) -> Result<(), StoreError> {
        let (account, draft) = (account.clone(), draft.to_string());
        self.writer
            .run("let a draft go", move |work| {
                work.conn
                    .prepare_cached(
                        "UPDATE drafts SET leased_until = NULL, asked_at = iif(?4, NULL, asked_at)
                         WHERE account = ?1 AND draft = ?2 AND lease_token = ?3
                             AND leased_until IS NOT NULL AND sent_at IS NULL",
                    )?
                    .execute(params![work.account(&account)?, draft, signed(token), unsent])?;
                Ok(())
            })
            .await
    }

    async fn unclear_drafts(
        &self,
        after: Timestamp,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<UnclearDraft>, StoreError> {
        self.read("read unclear drafts", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT a.id, d.draft, d.sender, d.asked_at
                 FROM drafts d INDEXED BY drafts_unclear JOIN accounts a ON a.n = d.account
                 WHERE d.asked_at IS NOT NULL AND d.sent_at IS NULL AND d.asked_at >= ?1
                     AND d.asked_at < ?2 AND d.sender IS NOT NULL
                 ORDER BY d.asked_at LIMIT ?3",
            )?;
            let rows = statement.query_map(
                params![after.as_microsecond(), before.as_microsecond(), signed(limit as u64)],
                |row| {
                    Ok(UnclearDraft {
                        account: AccountId::new(row.get::<_, String>(0)?),
                        draft: row.get(1)?,
                        sender: word(row, 2, SenderId::new)?,
                        asked_at: time(row, 3)?,
                    })
                },
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// What a draft that we sent tells of one of its envelopes.
fn sent(envelope: &EnvelopeId, draft: &str, sender: &SenderId) -> Notification {
    Notification {
        envelope: envelope.clone(),
        kind: NotificationKind::Sent,
        kind_at_platform: "draft sent".into(),
        occurred_at: None,
        signer: None,
        detail: None,
        sender: Some(sender.as_str().into()),
        name: None,
        draft: Some(draft.into()),
    }
}

/// A draft's row.
struct Row {
    n: i64,
    sender: Option<String>,
    asked_at: Option<Timestamp>,
    last_asked_at: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    leased_until: Option<Timestamp>,
}

fn find(work: &Work<'_>, account: i64, draft: &str) -> Result<Option<Row>, Fault> {
    Ok(work
        .conn
        .prepare_cached(
            "SELECT n, sender, asked_at, sent_at, leased_until, last_asked_at FROM drafts WHERE account = ?1 AND draft = ?2",
        )?
        .query_row(params![account, draft], |row| {
            Ok(Row {
                n: row.get(0)?,
                sender: row.get(1)?,
                asked_at: maybe_time(row, 2)?,
                sent_at: maybe_time(row, 3)?,
                leased_until: maybe_time(row, 4)?,
                last_asked_at: maybe_time(row, 5)?,
            })
        })
        .optional()?)
}

fn find_or_insert(work: &Work<'_>, account: i64, draft: &str) -> Result<Row, Fault> {
    if let Some(row) = find(work, account, draft)? {
        return Ok(row);
    }
    work.conn
        .prepare_cached("INSERT INTO drafts (account, draft, lease_token) VALUES (?1, ?2, 0)")?
        .execute(params![account, draft])?;
    let n = work.conn.last_insert_rowid();
    Ok(Row { n, sender: None, asked_at: None, last_asked_at: None, sent_at: None, leased_until: None })
}

fn claim(
    work: &Work<'_>,
    account: i64,
    draft: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<DraftClaim, Fault> {
    let row = find_or_insert(work, account, draft)?;
    let token = next_token(work)?;
    let asked_by = row.sender.as_deref().and_then(SenderId::new);
    if row.sent_at.is_some() {
        // Nothing is left to be done with it: it needs no lease, and nobody has to wait for one.
        return Ok(DraftClaim::Ours { token, state: DraftState::Sent(envelopes(work, row.n)?), asked_by });
    }
    if row.leased_until.is_some_and(|until| until > now) {
        return Ok(DraftClaim::Busy);
    }
    let state = row.asked_at.map_or(DraftState::Unsent, |first| DraftState::Asked {
        first,
        last: row.last_asked_at.unwrap_or(first),
    });
    work.conn
        .prepare_cached("UPDATE drafts SET lease_token = ?2, leased_until = ?3 WHERE n = ?1")?
        .execute(params![row.n, signed(token), until.as_microsecond()])?;
    let asked_by = asked_by.filter(|_| row.asked_at.is_some());
    Ok(DraftClaim::Ours { token, state, asked_by })
}

fn envelopes(work: &Work<'_>, draft: i64) -> Result<Vec<EnvelopeId>, Fault> {
    let mut statement = work
        .conn
        .prepare_cached("SELECT envelope FROM draft_envelopes WHERE draft = ?1 ORDER BY envelope")?;
    let rows = statement.query_map([draft], |row| row.get::<_, String>(0).map(EnvelopeId::new))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn note_sent(
    work: &Work<'_>,
    draft: &str,
    sender: &SenderId,
    mut news: News,
    now: Timestamp,
    pace: &Pace,
) -> Result<(), Fault> {
    let account = work.account(&news.account)?;
    let row = find_or_insert(work, account, draft)?;
    for notification in &news.notifications {
        senders::note(work, account, &notification.envelope, sender.as_str(), now)?;
    }
    if news.notifications.is_empty() {
        mark_sent(work, row.n, &news.account, draft, now)?;
    }
    // Of those that a callback announced before, everything is known already.
    let mut unheard = Vec::new();
    for notification in news.notifications {
        if link(work, &row, &news.account, draft, &notification.envelope, now)? {
            unheard.push(notification);
        }
    }
    news.notifications = unheard;
    take_in(work, &news, now, pace)
}

/// Takes in that a notification names the draft that its envelope came of.
pub(super) fn heard(
    work: &Work<'_>,
    account: i64,
    news: &News,
    notification: &Notification,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(draft) = &notification.draft else { return Ok(()) };
    let Some(row) = find(work, account, draft)? else { return Ok(()) };
    // Nobody asked for it here: its sender sent it at the platform, with our marks in it.
    if row.asked_at.is_none() && row.sent_at.is_none() {
        return Ok(());
    }
    // A callback proves nothing: an envelope that is somebody else's did not come of this draft.
    if senders::is_of_another(work, account, &notification.envelope, row.sender.as_deref())? {
        return Ok(());
    }
    if let Some(sender) = &row.sender {
        senders::note_if_none(work, account, &notification.envelope, sender, now)?;
    }
    link(work, &row, &news.account, draft, &notification.envelope, now)?;
    Ok(())
}

/// Notes that a draft was sent as this envelope, perhaps among others. `false` if that is known.
fn link(
    work: &Work<'_>,
    row: &Row,
    account: &AccountId,
    draft: &str,
    envelope: &EnvelopeId,
    now: Timestamp,
) -> Result<bool, Fault> {
    let linked = work
        .conn
        .prepare_cached(
            "INSERT INTO draft_envelopes (draft, envelope) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![row.n, envelope.as_str()])?;
    mark_sent(work, row.n, account, draft, now)?;
    if linked > 0 {
        let entry = by_server(Action::DraftSent, account, envelope, format!("draft {draft}"), now);
        journal::append(work, &entry)?;
    }
    Ok(linked > 0)
}

/// Whoever is at it has nothing left to do, nor whoever was asked to look.
fn mark_sent(work: &Work<'_>, n: i64, account: &AccountId, draft: &str, now: Timestamp) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "UPDATE drafts SET sent_at = ?2, leased_until = NULL WHERE n = ?1 AND sent_at IS NULL",
        )?
        .execute(params![n, now.as_microsecond()])?;
    tasks::close(work, &[TaskDraft::draft_key(account, draft)], tasks::SETTLED_BY_ITSELF, now)
}
