//! The watchdog: whether the callback that a platform has registered is still ours.
//!
//! There is one registration per account, a platform clears it after failed deliveries, and whoever registers another
//! replaces it. No callback tells of that. It only looks and tells: registering again is a person's decision.

use std::sync::Arc;

use aftersign_core::Error;
use aftersign_core::ids::AccountId;
use aftersign_core::platform::Registration;
use aftersign_core::task::{TaskDraft, TaskKind};
use tokio_util::sync::CancellationToken;

use crate::limits::{CALLBACK_WATCH_EVERY, CALLBACK_WATCH_FIRST, LOOK_EVERY};
use crate::metrics::WatchLabels;
use crate::sweep::stored;
use crate::{Engine, EngineAccount, rest};

/// What a look at the registration found.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Verdict {
    /// It is ours and whole.
    Ours,
    /// Nothing is registered.
    Cleared,
    /// It leads to this account, with a path secret that is not valid.
    WrongSecret,
    /// Another URL is, on this host if it has one.
    Changed(Option<String>),
    /// It is ours, and of these events it does not tell.
    Missing(Vec<&'static str>),
}

impl EngineAccount {
    /// Whether its registration can be watched.
    pub(crate) fn is_watched(&self) -> bool {
        let is_shown = self.platform.capabilities().registered_callback && self.has_own_access();
        is_shown && !self.callback_urls.is_empty()
    }
}

impl Engine {
    pub(crate) async fn run_watchdog(self: Arc<Self>, account: EngineAccount, shutdown: CancellationToken) {
        let mut wait = CALLBACK_WATCH_FIRST;
        // A rehearsal's pace must not make it a flood of questions.
        while !rest(self.pace().scaled(wait).max(LOOK_EVERY), &shutdown).await {
            wait = CALLBACK_WATCH_EVERY;
            let look = shutdown.run_until_cancelled(self.watch_callback(&account)).await;
            if let Some(Err(error)) = look {
                let id = &account.access.account;
                // Sweeps tell a person of an access that is refused.
                tracing::warn!(error = error.chain(), account = %id, "cannot read which callback is registered");
            }
        }
    }

    /// One look: a task is opened or closed.
    async fn watch_callback(&self, account: &EngineAccount) -> Result<(), Error> {
        let platform = account.platform;
        let asked = self.caller.ask(platform, &account.access, |access| platform.registration(access)).await;
        let verdict = asked.map(|found| judge(&found, account, platform.wanted_events()));
        let labels = WatchLabels {
            account: account.access.account.as_str().into(),
            verdict: verdict.as_ref().map_or("failed", Verdict::as_str),
        };
        self.metrics.callback_looks.get_or_create(&labels).inc();
        let task = task(&account.access.account, &verdict?, platform.capabilities().register_callback);
        self.tell_of(
            account,
            TaskDraft::account_key(TaskKind::CallbackUnregistered, &account.access.account),
            task,
        )
        .await
        .map_err(stored)
    }
}

impl Verdict {
    /// The word under which it is counted.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Cleared => "cleared",
            Self::WrongSecret => "wrong_secret",
            Self::Changed(_) => "changed",
            Self::Missing(_) => "events_missing",
        }
    }
}

/// Compares what is registered with what is ours.
fn judge(found: &Registration, account: &EngineAccount, wanted: &[&'static str]) -> Verdict {
    let Some(url) = found.bare_url() else { return Verdict::Cleared };
    if !account.callback_urls.iter().any(|ours| found.calls(ours)) {
        // The bare URL lacks its last slash, which may be all that follows the account.
        let is_rooted = format!("{url}/").starts_with(&account.callback_root);
        return if is_rooted { Verdict::WrongSecret } else { Verdict::Changed(found.host()) };
    }
    let missing = found.missing(wanted);
    if missing.is_empty() { Verdict::Ours } else { Verdict::Missing(missing) }
}

/// The task that a verdict asks for; `None` closes it. The foreign URL itself may hold somebody's secret.
fn task(account: &AccountId, verdict: &Verdict, by_command: bool) -> Option<TaskDraft> {
    let what = match verdict {
        Verdict::Ours => return None,
        Verdict::Cleared => {
            "No callback URL is registered for this account any more: platforms clear it after deliveries that \
             failed. Callbacks are missed from now on, and only the sweeps find what happens."
                .to_owned()
        }
        Verdict::WrongSecret => {
            "The callback URL registered for this account is its own, with a path secret that is not valid: callbacks \
             are answered 404. They are missed from now on, and only the sweeps find what happens."
                .to_owned()
        }
        Verdict::Changed(host) => {
            let place = host.as_deref().map_or_else(|| "nowhere that is known".into(), |host| format!("to {host}"));
            format!(
                "The callback URL registered for this account was changed and is none of ours; it leads {place}. \
                 Callbacks are missed from now on, and only the sweeps find what happens."
            )
        }
        Verdict::Missing(events) => format!(
            "The callback registered for this account does not tell of all that we need. Missing: {}.",
            events.join(", ")
        ),
    };
    let register = if by_command {
        format!("register it with `aftersign accounts register {account}`")
    } else {
        "paste what `aftersign accounts urls` prints at the platform".into()
    };
    let todo = format!(
        "Make sure that the platform reaches the callback URL and that nobody else needs the registration; then \
         {register}, and run `aftersign reconcile` for what was missed. The task closes by itself."
    );
    Some(TaskDraft::for_account(TaskKind::CallbackUnregistered, account, what, &todo))
}

#[cfg(test)]
mod tests;
