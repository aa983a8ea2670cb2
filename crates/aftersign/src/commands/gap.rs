//! Why an envelope is a gap, for the person who asks.

use aftersign_core::callback::NotificationKind;
use aftersign_core::ids::AccountId;
use aftersign_core::task::TaskKind;
use aftersign_store::limits::PAGE_ROWS_MAX;
use aftersign_store::{EnvelopeDetail, PageRequest, Store, StoreError, TaskRow};

use crate::output::time;

/// How the end of a gap was found and what may be the cause; `None` if the envelope is no gap.
pub(super) async fn explanation(
    store: &dyn Store,
    detail: &EnvelopeDetail,
) -> Result<Option<String>, StoreError> {
    let known = &detail.row.known;
    if !known.is_gap() {
        return Ok(None);
    }
    let swept = detail.timeline.iter().any(|line| {
        line.source == "sweep" && NotificationKind::parse(&line.kind).is_some_and(NotificationKind::is_final)
    });
    let found = if swept { "A sweep" } else { "Our own look at the platform" };
    let cause = match unregistered(store, &known.account).await? {
        Some(task) => format!(
            "Something is wrong with the registered callback since {}: `aftersign tasks show {}` tells what.",
            time(task.opened_at),
            task.id
        ),
        None => {
            "Perhaps the callback was lost on its way or is registered elsewhere: `aftersign check` compares \
                 what is registered."
                .into()
        }
    };
    Ok(Some(format!("{found} found its end, and no callback announced it. {cause}")))
}

/// The watchdog's open task for an account.
async fn unregistered(store: &dyn Store, account: &AccountId) -> Result<Option<TaskRow>, StoreError> {
    let mut page = PageRequest { cursor: None, limit: PAGE_ROWS_MAX };
    loop {
        let tasks = store.tasks(Some(true), &page).await?;
        let wanted = |task: &TaskRow| task.kind == TaskKind::CallbackUnregistered && task.account == *account;
        if let Some(task) = tasks.rows.into_iter().find(wanted) {
            return Ok(Some(task));
        }
        match tasks.next_cursor {
            Some(next) => page.cursor = Some(next),
            None => return Ok(None),
        }
    }
}
