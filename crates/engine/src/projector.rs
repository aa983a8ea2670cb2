//! The projector: noted callbacks become news about envelopes.
//!
//! It interprets again what intake only keyed, so that a replay with a newer version understands more than the
//! version that took the callback in.

use std::sync::Arc;
use std::time::Instant;

use aftersign_core::callback::{Inbound, Meaning};
use aftersign_core::ids::AccountId;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_store::{News, NewsSource, StoreError, StoredCallback};
use tokio_util::sync::CancellationToken;

use crate::limits::{LOOK_EVERY, LOOK_PAUSE, PROJECTION_BATCH, STORE_PAUSE};
use crate::{Engine, rest};

impl Engine {
    pub(crate) async fn run_projector(self: Arc<Self>, shutdown: CancellationToken) {
        let mut commits = self.store.watch();
        while !shutdown.is_cancelled() {
            commits.mark_unchanged();
            let began = Instant::now();
            let wait = match self.project().await {
                Ok(0) => LOOK_EVERY,
                Ok(count) => {
                    // Under load the front door comes first: half of the writer's time is left to it.
                    if count == PROJECTION_BATCH && rest(began.elapsed(), &shutdown).await {
                        break;
                    }
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot project callbacks; they wait");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                changed = commits.changed() => {
                    if changed.is_err() || rest(LOOK_PAUSE, &shutdown).await {
                        break;
                    }
                }
            }
        }
    }

    /// Projects one batch. Gives how many callbacks it held.
    async fn project(&self) -> Result<usize, StoreError> {
        let callbacks = self.store.unprojected(PROJECTION_BATCH).await?;
        if callbacks.is_empty() {
            return Ok(0);
        }
        let count = callbacks.len();
        let news: Vec<News> = callbacks.into_iter().map(|callback| self.news_of(callback)).collect();
        match self.store.announce(news.clone(), self.now(), self.pace()).await {
            Err(StoreError::Damaged { .. }) => self.project_one_by_one(news).await?,
            announced => announced?,
        }
        Ok(count)
    }

    /// One row that cannot be read must not hold up the others: what is about it is set aside for a person.
    async fn project_one_by_one(&self, batch: Vec<News>) -> Result<(), StoreError> {
        for news in batch {
            match self.store.announce(vec![news.clone()], self.now(), self.pace()).await {
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(%error, account = %news.account, "a callback cannot be projected");
                    let what = format!("A callback was kept and not acted on: {error}");
                    let task = quarantine_task(&news.account, &what);
                    let aside = News { notifications: Vec::new(), open_tasks: vec![task], ..news };
                    self.store.announce(vec![aside], self.now(), self.pace()).await?;
                }
                announced => announced?,
            }
        }
        Ok(())
    }

    fn news_of(&self, callback: StoredCallback) -> News {
        let row = &callback.row;
        let mut news = News {
            source: NewsSource::Callback(row.id),
            account: row.account.clone(),
            platform: row.platform.clone(),
            notifications: Vec::new(),
            open_tasks: Vec::new(),
            close_tasks: Vec::new(),
        };
        let Some(account) = self.accounts.iter().find(|account| account.access.account == row.account) else {
            news.open_tasks.push(quarantine_task(
                &row.account,
                "Callbacks of an account wait that is no longer in the config.",
            ));
            return news;
        };
        let (kind, told) = (row.kind.clone(), row.quarantine_reason.clone());
        match account.platform.interpret(&inbound(callback)).meaning {
            Meaning::Understood(notifications) => news.notifications = notifications,
            Meaning::Quarantined(reason) => {
                let kind = kind.unwrap_or_else(|| "unknown kind".into());
                // The reason may quote the request; intake has taken the secrets out of the one that it kept.
                let reason = told.unwrap_or(reason);
                news.open_tasks.push(quarantine_task(
                    &news.account,
                    &format!("A callback ({kind}) was kept and not acted on: {reason}"),
                ));
            }
        }
        news
    }
}

fn quarantine_task(account: &AccountId, what: &str) -> TaskDraft {
    TaskDraft::for_account(
        TaskKind::Quarantined,
        account,
        what.into(),
        "Look at `aftersign callbacks list --quarantined`; mend the callback URL at the platform if it is \
         wrong, run `aftersign reconcile` so that nothing is missed, and resolve this task.",
    )
}

/// The request as it came, but for redacted secrets.
fn inbound(callback: StoredCallback) -> Inbound {
    let StoredCallback { row, method, query, headers, body, .. } = callback;
    Inbound::recorded(&method, row.channel, query, &headers, body)
}

#[cfg(test)]
mod tests {
    use crate::testing::{FakePlatform, FakeTransport, PLATFORM_SECRET, World};

    use aftersign_core::callback::{IdempotencyKey, RepeatMeans};
    use aftersign_core::ids::CallbackId;
    use aftersign_core::seams::Clock;
    use aftersign_store::{Inbox, NewCallback};

    #[tokio::test]
    async fn the_task_gives_the_reason_that_was_kept_without_secrets() {
        let world = World::new(FakePlatform::default(), FakeTransport::new(|_| (200, String::new())));
        let now = world.clock.now();
        let callback = NewCallback {
            id: CallbackId::make(now, &*world.engine.entropy),
            account: world.account.access.account.clone(),
            platform: "fake",
            channel: None,
            method: "POST".into(),
            query: String::new(),
            headers: Vec::new(),
            body: PLATFORM_SECRET.into(),
            remote: None,
            received_at: now,
            key: IdempotencyKey::new(None, &[b"1"]),
            repeat_means: RepeatMeans::Nothing,
            kind: None,
            envelope: None,
            quarantine_reason: Some("not understood: redacted".into()),
        };
        world.store.note_down(callback).await.unwrap();
        assert_eq!(world.engine.project().await.unwrap(), 1);
        let tasks = world.open_tasks().await;
        assert!(tasks[0].what.ends_with("not acted on: not understood: redacted"), "{}", tasks[0].what);
    }
}
