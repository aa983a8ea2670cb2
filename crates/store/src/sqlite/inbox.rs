//! Noting callbacks down: the hot path.
//!
//! Callbacks of one batch are folded by key, so that a storm of repeats costs one row update per distinct
//! callback, and one statement tells first from repeat by the unique index. Nothing else is read.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::params;
use tokio::sync::oneshot;

use super::SqliteStore;
use super::fault::Fault;
use super::writer::Work;
use crate::{Inbox, NewCallback, Noted, StoreError};
use aftersign_core::callback::RepeatMeans;

/// A callback on its way to the writer.
pub(super) struct Note {
    callback: NewCallback,
    headers: String,
    pub(super) answer: oneshot::Sender<Result<Noted, StoreError>>,
}

impl Note {
    /// Does on the caller's side what need not be done by the writer.
    pub(super) fn new(callback: NewCallback, answer: oneshot::Sender<Result<Noted, StoreError>>) -> Self {
        let headers = super::rows::headers_to_json(&callback.headers);
        Self { callback, headers, answer }
    }
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn note_down(&self, callback: NewCallback) -> Result<Noted, StoreError> {
        self.writer.note(callback).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.writer
            .run("commit a probe", |work| {
                work.conn.prepare_cached("UPDATE meta SET probes = probes + 1")?.execute([])?;
                Ok(())
            })
            .await
    }
}

/// All callbacks of one batch with one key.
struct Group<'a> {
    first: &'a Note,
    members: Vec<usize>,
    last_received_at: i64,
    last_repeat_at: Option<i64>,
    again: bool,
}

/// Notes a batch down and says of each, in order, what it was.
pub(super) fn note_all(work: &Work<'_>, notes: &[Note]) -> Result<Vec<Noted>, Fault> {
    let mut outcomes = vec![Noted::Repeat; notes.len()];
    let (mut firsts, mut quarantined) = (0i64, 0i64);
    for group in fold(notes) {
        if let Some(n) = note_group(work, &group)? {
            insert_request(work, n, group.first)?;
            outcomes[group.members[0]] = Noted::First;
            firsts += 1;
            quarantined += i64::from(group.first.callback.quarantine_reason.is_some());
        }
    }
    let repeats = i64::try_from(notes.len()).unwrap_or(i64::MAX) - firsts;
    count(work, "callbacks", firsts)?;
    count(work, "quarantined", quarantined)?;
    count(work, "repeats", repeats)?;
    Ok(outcomes)
}

fn fold(notes: &[Note]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::with_capacity(notes.len());
    let mut by_key = HashMap::with_capacity(notes.len());
    for (index, note) in notes.iter().enumerate() {
        let callback = &note.callback;
        let at = callback.received_at.as_microsecond();
        let place = *by_key.entry((callback.account.as_str(), callback.key)).or_insert(groups.len());
        let again = callback.repeat_means == RepeatMeans::PerhapsNews;
        match groups.get_mut(place) {
            Some(group) => {
                group.members.push(index);
                group.last_received_at = group.last_received_at.max(at);
                group.last_repeat_at = group.last_repeat_at.max(Some(at));
                group.again |= again;
            }
            None => groups.push(Group {
                first: note,
                members: vec![index],
                last_received_at: at,
                last_repeat_at: None,
                again,
            }),
        }
    }
    groups
}

/// The new row's number if the key was not there yet: only then the row has just the repeats given here.
fn note_group(work: &Work<'_>, group: &Group<'_>) -> Result<Option<i64>, Fault> {
    let callback = &group.first.callback;
    let repeats = i64::try_from(group.members.len()).unwrap_or(i64::MAX) - 1;
    let mut statement = work.conn.prepare_cached(
        "INSERT INTO callbacks (id, account, platform, key, received_at, repeats, last_repeat_at, unprojected,
             channel, kind, envelope, quarantine_reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?10, ?11)
         ON CONFLICT (account, key) DO UPDATE SET
             repeats = repeats + ?6 + 1,
             last_repeat_at = max(coalesce(last_repeat_at, ?12), ?12),
             unprojected = CASE WHEN ?13 THEN 1 ELSE unprojected END
         RETURNING n, repeats = ?6",
    )?;
    let (n, is_first): (i64, bool) = statement.query_row(
        params![
            callback.id.as_bytes(),
            work.account(&callback.account)?,
            work.platform(callback.platform)?,
            callback.key.as_bytes(),
            callback.received_at.as_microsecond(),
            repeats,
            group.last_repeat_at,
            callback.channel,
            callback.kind,
            callback.envelope.as_ref().map(|envelope| envelope.as_str()),
            callback.quarantine_reason,
            group.last_received_at,
            group.again,
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(is_first.then_some(n))
}

fn insert_request(work: &Work<'_>, n: i64, note: &Note) -> Result<(), Fault> {
    let callback = &note.callback;
    work.conn
        .prepare_cached(
            "INSERT INTO requests (n, method, query, headers, remote, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            n,
            callback.method,
            callback.query,
            note.headers,
            callback.remote,
            callback.body.as_ref()
        ])?;
    Ok(())
}

/// Adds to one of the counts that belong to no account.
pub(super) fn count(work: &Work<'_>, kind: &str, more: i64) -> Result<(), Fault> {
    if more != 0 {
        work.conn
            .prepare_cached(
                "INSERT INTO counters VALUES (?1, 0, '', ?2) ON CONFLICT DO UPDATE SET count = count + ?2",
            )?
            .execute(params![kind, more])?;
    }
    Ok(())
}
