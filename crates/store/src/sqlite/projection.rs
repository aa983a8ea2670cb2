//! The one door by which news reach envelopes.
//!
//! Everything that one announcement means is written in one transaction: the callback's mark, the envelope,
//! its timeline, its transfer's wake, tasks, the journal. Twice has the effect of once: the timeline's lines of
//! a callback are unique by its place, the rest are core's order-insensitive functions.

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::callback::{Notification, NotificationKind};
use aftersign_core::envelope::Known;
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId, TransferId};
use aftersign_core::journal::{Action, Entry};
use aftersign_core::transfer::{Transfer, Wake};
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::rows::{CALLBACK_COLUMNS, REQUEST_COLUMNS, stored_callback};
use super::writer::Work;
use super::{SqliteStore, concerns, drafts, envelopes, inbox, journal, tasks, transfers};
use crate::{News, NewsSource, Projection, StoreError, StoredCallback};

#[async_trait]
impl Projection for SqliteStore {
    async fn unprojected(&self, limit: usize) -> Result<Vec<StoredCallback>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read("read what is not projected", move |conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {CALLBACK_COLUMNS}, {REQUEST_COLUMNS}
                 FROM callbacks c INDEXED BY callbacks_unprojected CROSS JOIN requests r ON r.n = c.n
                 WHERE c.unprojected = 1 ORDER BY c.n LIMIT ?1"
            ))?;
            let rows = statement.query_map([limit], stored_callback)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn announce(&self, news: Vec<News>, now: Timestamp, pace: Pace) -> Result<(), StoreError> {
        self.writer
            .run("take news in", move |work| news.iter().try_for_each(|news| take_in(work, news, now, &pace)))
            .await
    }

    async fn replay(&self, id: CallbackId, actor: &str, now: Timestamp) -> Result<bool, StoreError> {
        let actor = actor.to_string();
        self.writer.run("replay a callback", move |work| replay(work, id, actor, now)).await
    }
}

/// The callback that news came from.
struct Source {
    n: i64,
    envelope: Option<String>,
    quarantined: bool,
    /// When it came last, in microseconds since 1970, if it came more than once.
    last_repeat_at: Option<i64>,
}

/// Writes all that one announcement means.
pub(super) fn take_in(work: &Work<'_>, news: &News, now: Timestamp, pace: &Pace) -> Result<(), Fault> {
    let account = work.account(&news.account)?;
    let platform = work.platform(&news.platform)?;
    let source = match news.source {
        NewsSource::Callback(id) => find_source(work, id)?,
        NewsSource::Sweep(_) | NewsSource::Watch => None,
    };
    let by_callback = matches!(news.source, NewsSource::Callback(_));
    let mut link = None;
    for (part, notification) in news.notifications.iter().enumerate() {
        drafts::heard(work, account, news, notification, now)?;
        let (envelope, known) = hear(work, news, account, platform, notification, by_callback, now)?;
        if by_callback || notification.kind != NotificationKind::Informed {
            let line =
                Line { envelope, source: source.as_ref(), by_us: news.source == NewsSource::Watch, part };
            add_to_timeline(work, &line, notification, now)?;
            concerns::after_news(work, envelope, &known, notification.kind, now)?;
        }
        let wake = Wake::of(notification, now, pace);
        transfers::wake(work, account, envelope, &wake, now, || {
            let id = TransferId::make(now, work.entropy);
            Transfer::new(id, news.account.clone(), notification.envelope.clone())
        })?;
        let named = source.as_ref().and_then(|source| source.envelope.as_deref());
        if link.is_none() || named == Some(notification.envelope.as_str()) {
            link = Some(envelope);
        }
    }
    if let Some(source) = source {
        settle(work, &source, account, link, !news.notifications.is_empty())?;
    }
    tasks::close(work, &news.close_tasks, tasks::SETTLED_BY_ITSELF, now)?;
    tasks::open(work, &news.open_tasks, now)
}

fn find_source(work: &Work<'_>, id: CallbackId) -> Result<Option<Source>, Fault> {
    Ok(work
        .conn
        .prepare_cached(
            "SELECT n, envelope, quarantine_reason IS NOT NULL, last_repeat_at FROM callbacks WHERE id = ?1",
        )?
        .query_row([id.as_bytes()], |row| {
            Ok(Source {
                n: row.get(0)?,
                envelope: row.get(1)?,
                quarantined: row.get(2)?,
                last_repeat_at: row.get(3)?,
            })
        })
        .optional()?)
}

/// Puts a notification together with what we know, and gives the envelope's number and what we know now.
fn hear(
    work: &Work<'_>,
    news: &News,
    account: i64,
    platform: i64,
    notification: &Notification,
    by_callback: bool,
    now: Timestamp,
) -> Result<(i64, Known), Fault> {
    if let Some((n, row)) = envelopes::find(work.conn, account, &notification.envelope)? {
        let mut known = row.known.clone();
        known.announce(notification, by_callback, now);
        if known != row.known {
            envelopes::update(work, n, &known)?;
        }
        return Ok((n, known));
    }
    let mut known = Known::first_seen(news.account.clone(), notification.envelope.clone(), now);
    known.announce(notification, by_callback, now);
    let n = envelopes::insert(work, account, platform, &known)?;
    let detail = format!(
        "{} by {}: {}",
        news.platform,
        match news.source {
            NewsSource::Callback(_) => "callback",
            NewsSource::Sweep(_) => "sweep",
            NewsSource::Watch => "server",
        },
        notification.kind_at_platform
    );
    journal::append(
        work,
        &by_server(Action::EnvelopeSeen, &news.account, &notification.envelope, detail, now),
    )?;
    Ok((n, known))
}

/// An entry of the server about one envelope.
pub(super) fn by_server(
    action: Action,
    account: &AccountId,
    envelope: &EnvelopeId,
    detail: String,
    now: Timestamp,
) -> Entry {
    Entry {
        at: now,
        actor: "server".into(),
        action,
        account: account.as_str().into(),
        envelope: envelope.as_str().into(),
        detail,
    }
}

/// Where a line of a timeline stands and where it came from.
struct Line<'a> {
    envelope: i64,
    source: Option<&'a Source>,
    by_us: bool,
    part: usize,
}

/// A line per fact: platforms that send the whole state with every callback tell the same ones again and again. A repeat
/// of what bears no time may be news, and moves its line; a replay by a person is none.
fn add_to_timeline(
    work: &Work<'_>,
    line: &Line<'_>,
    notification: &Notification,
    now: Timestamp,
) -> Result<(), Fault> {
    work.conn
        .prepare_cached(
            "INSERT INTO timeline (envelope, callback, part, at, heard_at, kind, kind_at_platform, signer,
                 detail, by_us)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?12
             WHERE NOT ?10 OR NOT EXISTS (
                 SELECT 1 FROM timeline INDEXED BY timeline_envelope WHERE envelope = ?1 AND at = ?4
                     AND kind = ?6 AND kind_at_platform = ?7 AND signer IS ?8 AND detail IS ?9)
             ON CONFLICT (callback, part) WHERE callback IS NOT NULL
             DO UPDATE SET at = ?11, heard_at = ?11 WHERE NOT ?10 AND at < ?11",
        )?
        .execute(params![
            line.envelope,
            line.source.map(|source| source.n),
            i64::try_from(line.part).unwrap_or(i64::MAX),
            notification.occurred_at.unwrap_or(now).as_microsecond(),
            now.as_microsecond(),
            notification.kind.as_str(),
            notification.kind_at_platform,
            notification.signer,
            notification.detail,
            notification.occurred_at.is_some(),
            line.source.and_then(|source| source.last_repeat_at),
            line.by_us,
        ])?;
    Ok(())
}

/// Marks the callback as projected, links it with its envelope, and takes it out of quarantine if a later
/// version of ours understood it.
fn settle(
    work: &Work<'_>,
    source: &Source,
    account: i64,
    link: Option<i64>,
    understood: bool,
) -> Result<(), Fault> {
    let link = match (link, &source.envelope) {
        (None, Some(id)) => {
            envelopes::find(work.conn, account, &EnvelopeId::new(id.as_str()))?.map(|(n, _)| n)
        }
        (link, _) => link,
    };
    work.conn
        .prepare_cached(
            "UPDATE callbacks SET unprojected = NULL, envelope_n = coalesce(?2, envelope_n) WHERE n = ?1",
        )?
        .execute(params![source.n, link])?;
    if understood && source.quarantined {
        work.conn
            .prepare_cached("UPDATE callbacks SET quarantine_reason = NULL WHERE n = ?1")?
            .execute([source.n])?;
        inbox::count(work, "quarantined", -1)?;
    }
    Ok(())
}

fn replay(work: &Work<'_>, id: CallbackId, actor: String, now: Timestamp) -> Result<bool, Fault> {
    let Some(source) = find_source(work, id)? else { return Ok(false) };
    if source.quarantined && source.envelope.is_none() {
        return Ok(false);
    }
    work.conn.prepare_cached("UPDATE callbacks SET unprojected = 1 WHERE n = ?1")?.execute([source.n])?;
    let account: String = work
        .conn
        .prepare_cached("SELECT a.id FROM callbacks c JOIN accounts a ON a.n = c.account WHERE c.n = ?1")?
        .query_row([source.n], |row| row.get(0))?;
    let entry = Entry {
        at: now,
        actor,
        action: Action::Replayed,
        account,
        envelope: source.envelope.unwrap_or_default(),
        detail: format!("callback {id}"),
    };
    journal::append(work, &entry)?;
    Ok(true)
}
