//! Drafts that our page sends, each exactly once.
//!
//! The intent is durable before the platform is asked to send, and an answer that never came is resolved by looking: at the
//! draft, and for an envelope that bears its mark. Nothing here sends a draft a second time on its own; where the platform
//! shows it unsent long after, only its sender may say so.

use std::sync::Arc;

use aftersign_core::callback::draft_secret;
use aftersign_core::consent::{Errand, Scene, Trouble};
use aftersign_core::draft::{DraftMarks, DraftTrace, SentAs};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::limits::EXCERPT_CHARS_MAX;
use aftersign_core::platform::Access;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{DraftClaim, DraftState, StoreError, UnclearDraft};
use tokio_util::sync::CancellationToken;

use crate::consent::closed;
use crate::limits::{
    DRAFT_FRESH, DRAFT_GIVEN_UP, DRAFT_LATE_EVERY, DRAFT_LEASE, DRAFT_LOOK_PAUSE, DRAFT_LOOKS,
    DRAFT_SEND_TIMEOUT, DRAFT_SETTLE, DRAFT_UNCLEAR, DRAFTS_BATCH, DRAFTS_EVERY, LOOK_EVERY,
};
use crate::{Engine, EngineAccount, rest};

/// One sending under way.
struct Sending<'a> {
    account: &'a EngineAccount,
    access: Access,
    sender: SenderId,
    draft: String,
    /// Fences it from whoever takes the draft over.
    token: u64,
    errand: Errand,
}

impl Engine {
    /// Sends a draft with its sender's access, unless that was done. A browser that goes away does not end it half-way.
    pub(crate) async fn send(
        self: &Arc<Self>,
        account: &EngineAccount,
        access: Access,
        sender: SenderId,
        draft: String,
        confirmed: bool,
        errand: Errand,
    ) -> Scene {
        // A word counts once: whoever looks again says nothing by that.
        let errand = with_word(&errand, false);
        let (engine, account, again) = (Arc::clone(self), account.clone(), errand.clone());
        let sending = self.tasks.spawn(async move {
            let outcome = engine.send_claimed(&account, access, sender, draft, confirmed, errand).await;
            outcome.or_else(|error| engine.in_the_way(&account, error, Some(again)).map(|turn| turn.scene))
        });
        match sending.await {
            Ok(Ok(scene)) => scene,
            _ => trouble(Trouble::OurFault, None),
        }
    }

    async fn send_claimed(
        &self,
        account: &EngineAccount,
        access: Access,
        sender: SenderId,
        draft: String,
        confirmed: bool,
        errand: Errand,
    ) -> Result<Scene, Error> {
        let id = &account.access.account;
        let claim = self.store.claim_draft(id, &draft, DRAFT_LEASE, self.now()).await;
        let (token, state, asked_by) = match claim.map_err(closed)? {
            DraftClaim::Busy => return Ok(Scene::Sending(errand)),
            DraftClaim::Ours { token, state, asked_by } => (token, state, asked_by),
        };
        let sending = Sending { account, access, sender, draft, token, errand };
        let scene = match state {
            DraftState::Sent(envelopes) => Ok(sent(account, envelopes.len())),
            // What came of it is its sender's business.
            DraftState::Asked { .. } if asked_by.as_ref() != Some(&sending.sender) => {
                Ok(trouble(Trouble::DraftNotVisible, None))
            }
            DraftState::Asked { first, last } => self.resume(&sending, first, last, confirmed).await,
            DraftState::Unsent => self.mark_and_send(&sending, None).await,
        };
        self.leave_draft(&sending).await;
        scene
    }

    /// What is known of the draft was recorded; the lease must not outlive the visit.
    async fn leave_draft(&self, sending: &Sending<'_>) {
        let id = &sending.account.access.account;
        if let Err(error) = self.store.release_draft(id, &sending.draft, sending.token, false).await {
            tracing::warn!(%error, account = %id, "cannot release a draft; its lease ends by itself");
        }
    }

    /// The platform was asked before, and nobody knows what came of it.
    async fn resume(
        &self,
        sending: &Sending<'_>,
        first: Timestamp,
        last: Timestamp,
        confirmed: bool,
    ) -> Result<Scene, Error> {
        match self.trace(sending, first).await? {
            DraftTrace::Sent(envelopes) => self.note_sent(sending, &envelopes).await,
            // It was sent: the envelope shows itself later, to us too.
            DraftTrace::Gone => Ok(sent(sending.account, 0)),
            DraftTrace::StillDraft if self.pace().after(last, DRAFT_SETTLE) > self.now() => {
                Ok(Scene::Sending(sending.errand.clone()))
            }
            DraftTrace::StillDraft if confirmed => self.mark_and_send(sending, Some(first)).await,
            DraftTrace::StillDraft => {
                let platform = sending.account.platform;
                let make = |access: &Access| platform.fetch_draft(access, &sending.draft);
                let name =
                    self.caller.ask(platform, &sending.access, make).await?.and_then(|draft| draft.name);
                Ok(Scene::SendAgain { name, errand: with_word(&sending.errand, true) })
            }
        }
    }

    /// `asked_before`: when the platform was first asked to send it, if it was; then it may be sent by that any time.
    async fn mark_and_send(
        &self,
        sending: &Sending<'_>,
        asked_before: Option<Timestamp>,
    ) -> Result<Scene, Error> {
        let Sending { account, access, draft: id, .. } = sending;
        let platform = account.platform;
        let again = || Some(sending.errand.clone());
        let fetched = self.caller.ask(platform, access, |access| platform.fetch_draft(access, id)).await?;
        let Some(draft) = fetched else {
            return Ok(match asked_before {
                Some(_) => sent(account, 0),
                None => trouble(Trouble::DraftNotVisible, None),
            });
        };
        // Every sender can read a draft's URLs at the platform, so the account's own path secret does not stand in them.
        let secret = draft_secret(&account.path_secret, id);
        let marks = DraftMarks {
            callback_base: format!("{}{}", account.callback_root, secret.expose()),
            account: account.access.account.as_str().into(),
        };
        let marked =
            self.caller.ask(platform, access, |access| platform.mark_draft(access, &draft, &marks)).await;
        if let Err(error) = marked {
            return self.not_sent(sending, &error);
        }
        let owner = &account.access.account;
        match self.store.ask_draft(owner, id, &sending.sender, sending.token, self.now()).await {
            Ok(()) => {}
            Err(StoreError::LeaseLost) => return Ok(Scene::Sending(sending.errand.clone())),
            Err(error) => return Err(closed(error)),
        }
        let asked_at = asked_before.unwrap_or_else(|| self.now());
        let ask = self.caller.ask(platform, access, |access| platform.send_draft(access, id));
        let answer = tokio::time::timeout(DRAFT_SEND_TIMEOUT, ask).await;
        match answer.unwrap_or_else(|_| Err(no_answer())) {
            Ok(envelopes) => self.note_sent(sending, &envelopes).await,
            Err(error) if is_certainly_unsent(&error) && asked_before.is_none() => {
                let released = self.store.release_draft(owner, id, sending.token, true).await;
                released.map_err(closed)?;
                self.not_sent(sending, &error)
            }
            Err(error) => {
                let text = error.impersonal_chain();
                tracing::warn!(account = %owner, error = text, "a draft's sending was not answered; it is looked for");
                self.look_for(sending, asked_at)
                    .await
                    .map(|found| found.unwrap_or_else(|| trouble(Trouble::SendUnclear, again())))
            }
        }
    }

    /// Looks a few times what came of a sending, while its sender waits; `None` if it cannot be told yet.
    async fn look_for(&self, sending: &Sending<'_>, asked_at: Timestamp) -> Result<Option<Scene>, Error> {
        for look in 0..DRAFT_LOOKS {
            if look > 0 {
                tokio::time::sleep(self.pace().scaled(DRAFT_LOOK_PAUSE)).await;
            }
            match self.trace(sending, asked_at).await {
                Ok(DraftTrace::Sent(envelopes)) => {
                    return self.note_sent(sending, &envelopes).await.map(Some);
                }
                Ok(DraftTrace::Gone) if look + 1 == DRAFT_LOOKS => return Ok(Some(sent(sending.account, 0))),
                Ok(_) => {}
                Err(error) => {
                    let text = error.impersonal_chain();
                    tracing::info!(account = %sending.account.access.account, error = text, "cannot look for a draft yet");
                }
            }
        }
        Ok(None)
    }

    async fn trace(&self, sending: &Sending<'_>, asked_at: Timestamp) -> Result<DraftTrace, Error> {
        let platform = sending.account.platform;
        let make = |access: &Access| platform.trace_draft(access, &sending.draft, asked_at);
        self.caller.ask(platform, &sending.access, make).await
    }

    async fn note_sent(&self, sending: &Sending<'_>, envelopes: &SentAs) -> Result<Scene, Error> {
        let Sending { account, sender, draft, .. } = sending;
        self.note_draft_sent(account, draft, sender, envelopes).await?;
        Ok(sent(account, envelopes.len()))
    }

    async fn note_draft_sent(
        &self,
        account: &EngineAccount,
        draft: &str,
        sender: &SenderId,
        envelopes: &SentAs,
    ) -> Result<(), Error> {
        let (id, platform) = (&account.access.account, account.platform.name());
        let noted =
            self.store.draft_sent(id, platform, draft, sender, envelopes, self.now(), self.pace()).await;
        noted.map_err(closed)?;
        tracing::info!(account = %id, envelopes = envelopes.len(), "a draft was sent");
        Ok(())
    }

    /// The platform refuses, for certain: its sender may mend it and come again.
    fn not_sent(&self, sending: &Sending<'_>, error: &Error) -> Result<Scene, Error> {
        let (id, text) = (&sending.account.access.account, error.impersonal_chain());
        tracing::warn!(account = %id, error = text, "a draft was not sent");
        let again = Some(sending.errand.clone());
        Ok(match error.kind() {
            ErrorKind::NotFound => trouble(Trouble::DraftNotVisible, None),
            ErrorKind::Rejected | ErrorKind::Forbidden | ErrorKind::AccessRefused => {
                let words: String = error.to_string().chars().take(EXCERPT_CHARS_MAX).collect();
                trouble(Trouble::SendRefused(words), again)
            }
            ErrorKind::Misconfigured => trouble(Trouble::OurFault, again),
            _ => trouble(Trouble::PlatformSilent, again),
        })
    }

    /// Finds out what came of drafts whose sender's browser went away.
    pub(crate) async fn run_drafts(self: Arc<Self>, shutdown: CancellationToken) {
        while !rest(self.pace().scaled(DRAFTS_EVERY).max(LOOK_EVERY), &shutdown).await {
            let look = shutdown.run_until_cancelled(self.look_for_drafts()).await;
            if let Some(Err(error)) = look {
                tracing::warn!(%error, "cannot read which drafts are unclear");
            }
        }
    }

    /// One look at every draft of which is not known what came of it.
    async fn look_for_drafts(&self) -> Result<(), StoreError> {
        let ago = |span| self.now().checked_sub(self.pace().scaled(span)).unwrap_or(Timestamp::MIN);
        let unclear = self.store.unclear_drafts(ago(DRAFT_GIVEN_UP), ago(DRAFTS_EVERY), DRAFTS_BATCH).await?;
        for draft in unclear.into_iter().filter(|draft| self.is_looked_for(draft)) {
            if let Err(error) = self.find_out(&draft).await {
                let text = error.impersonal_chain();
                tracing::info!(account = %draft.account, error = text, "cannot find out yet whether a draft was sent");
            }
        }
        Ok(())
    }

    fn is_looked_for(&self, draft: &UnclearDraft) -> bool {
        let (pace, now) = (self.pace(), self.now());
        if pace.after(draft.asked_at, DRAFT_FRESH) > now {
            return true;
        }
        // Once in a while: in the two rounds after each full span of its age, because a round takes its time.
        let age = (now - draft.asked_at).get_seconds().max(0).unsigned_abs();
        let (span, round) =
            (pace.scaled(DRAFT_LATE_EVERY).as_secs().max(1), pace.scaled(DRAFTS_EVERY).as_secs().max(1));
        age % span < 2 * round
    }

    async fn find_out(&self, unclear: &UnclearDraft) -> Result<(), Error> {
        let UnclearDraft { account: id, draft, sender, asked_at } = unclear;
        let Some(account) = self.accounts.iter().find(|account| account.access.account == *id) else {
            return Ok(());
        };
        let key = TaskDraft::draft_key(id, draft);
        let traced = self.traced(account, unclear).await;
        if let Ok(Some(DraftTrace::Sent(envelopes))) = &traced {
            return self.note_draft_sent(account, draft, sender, envelopes).await;
        }
        if self.pace().after(*asked_at, DRAFT_UNCLEAR) <= self.now() {
            // Whatever keeps us from knowing, the sender can look.
            let task = unclear_task(key.clone(), id, sender);
            self.tell_of(account, key, Some(task)).await.map_err(closed)?;
        }
        traced.map(drop)
    }

    /// What came of a draft, asked with its sender's access; `None` if they took that back.
    async fn traced(
        &self,
        account: &EngineAccount,
        unclear: &UnclearDraft,
    ) -> Result<Option<DraftTrace>, Error> {
        let platform = account.platform;
        let Some(granted) = self.granted(account, &unclear.sender).await? else { return Ok(None) };
        let make = |access: &Access| platform.trace_draft(access, &unclear.draft, unclear.asked_at);
        let ask = |access: Access| async move { self.caller.ask(platform, &access, make).await };
        self.with_grant(account, granted, ask).await.map(Some)
    }
}

fn unclear_task(key: String, id: &AccountId, sender: &SenderId) -> TaskDraft {
    let what = "The platform never answered whether it sent a draft, and it cannot be found out: the draft still stands, or it is \
                gone and no envelope that came of it shows itself.";
    let todo = "Look at the platform whether the envelope is among those that were sent. If the draft still stands there, send it \
                from there; otherwise nothing is to be done, and its documents are archived when a callback or a sweep finds it.";
    TaskDraft {
        key,
        assignee: TaskDraft::assignee_of(sender),
        standing: true,
        ..TaskDraft::for_account(TaskKind::SendUnclear, id, what.into(), todo)
    }
}

fn no_answer() -> Error {
    let what = "the platform did not answer in time, or its other questions took too long";
    Error::new(ErrorKind::Unreachable, Remedy::Retry(None), "send draft", what)
}

/// Whether an error proves that nothing was sent.
fn is_certainly_unsent(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Rejected
            | ErrorKind::Forbidden
            | ErrorKind::AccessRefused
            | ErrorKind::NotFound
            | ErrorKind::Misconfigured
    )
}

fn sent(account: &EngineAccount, envelopes: usize) -> Scene {
    match account.platform.inbox_url(&account.access) {
        Some(inbox) => Scene::Inbox(inbox),
        None => Scene::Sent { envelopes },
    }
}

fn trouble(trouble: Trouble, again: Option<Errand>) -> Scene {
    Scene::Trouble { trouble, again }
}

/// The same errand, with its sender's word that the draft is to be sent, or without it.
fn with_word(errand: &Errand, confirmed: bool) -> Errand {
    match errand {
        Errand::BeforeSend { draft, user, organization, .. } => Errand::BeforeSend {
            draft: draft.clone(),
            user: user.clone(),
            organization: organization.clone(),
            confirmed,
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
