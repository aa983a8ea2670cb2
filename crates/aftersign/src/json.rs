//! The JSON that scripts rely on: names, order and nulls are a contract.
//!
//! Domain types never become JSON by themselves; each shape is written down here, once. An absent value is null,
//! never left out. Times are RFC 3339 with `Z`.

use aftersign_core::Timestamp;
use aftersign_core::ids::SenderId;
use aftersign_core::platform::CallbackUrl;
use aftersign_core::transfer::{ParkReason, Transfer};
use aftersign_store::{
    Attempt, CallbackRow, EnvelopeDetail, EnvelopeRow, GrantRow, JournalRow, MailRow, StoredCallback,
    TaskRow, TimelineRow, Verdict,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

fn maybe(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// One page of `callbacks list`.
#[derive(Serialize)]
pub(crate) struct Callbacks {
    pub(crate) callbacks: Vec<Callback>,
    pub(crate) next_cursor: Option<String>,
}

/// One distinct callback.
#[derive(Serialize)]
pub(crate) struct Callback {
    id: String,
    account: String,
    platform: String,
    channel: Option<String>,
    received_at: String,
    disposition: &'static str,
    repeats: u64,
    last_repeat_at: Option<String>,
    kind: Option<String>,
    envelope_id: Option<String>,
    quarantine_reason: Option<String>,
}

/// The word for what became of a callback.
pub(crate) fn disposition(row: &CallbackRow) -> &'static str {
    if row.quarantine_reason.is_some() { "quarantined" } else { "noted" }
}

impl From<&CallbackRow> for Callback {
    fn from(row: &CallbackRow) -> Self {
        Self {
            id: row.id.to_string(),
            account: row.account.to_string(),
            platform: row.platform.clone(),
            channel: row.channel.clone(),
            received_at: row.received_at.to_string(),
            disposition: disposition(row),
            repeats: row.repeats,
            last_repeat_at: maybe(row.last_repeat_at),
            kind: row.kind.clone(),
            envelope_id: row.envelope.as_ref().map(ToString::to_string),
            quarantine_reason: row.quarantine_reason.clone(),
        }
    }
}

/// `callbacks show`: the row and the request, the platform's secrets redacted. The body is a text where it is UTF-8, else
/// base64; `body_bytes` is the size of what came.
#[derive(Serialize)]
pub(crate) struct CallbackDetail {
    #[serde(flatten)]
    row: Callback,
    method: String,
    query: String,
    remote: Option<String>,
    headers: Vec<Header>,
    body_bytes: usize,
    body: Option<String>,
    body_base64: Option<String>,
}

#[derive(Serialize)]
struct Header {
    name: String,
    value: String,
}

impl CallbackDetail {
    /// A callback with its body as a person may see it.
    pub(crate) fn new(stored: &StoredCallback, body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).ok();
        let header = |(name, value): &(String, String)| Header { name: name.clone(), value: value.clone() };
        Self {
            row: Callback::from(&stored.row),
            method: stored.method.clone(),
            query: stored.query.clone(),
            remote: stored.remote.clone(),
            headers: stored.headers.iter().map(header).collect(),
            body_bytes: stored.body.len(),
            body: text.map(Into::into),
            body_base64: text.is_none().then(|| STANDARD.encode(body)),
        }
    }
}

/// `callbacks import`.
#[derive(Serialize)]
pub(crate) struct Imported {
    pub(crate) account: String,
    pub(crate) imported: Vec<ImportedCallback>,
}

/// What became of one imported callback. The id is null where its like was noted before.
#[derive(Serialize)]
pub(crate) struct ImportedCallback {
    pub(crate) id: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) envelope_id: Option<String>,
    pub(crate) disposition: &'static str,
    pub(crate) quarantine_reason: Option<String>,
}

/// One page of `envelopes list`.
#[derive(Serialize)]
pub(crate) struct Envelopes {
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) next_cursor: Option<String>,
}

/// One envelope.
#[derive(Serialize)]
pub(crate) struct Envelope {
    account: String,
    platform: String,
    id: String,
    name: Option<String>,
    status: &'static str,
    status_at_platform: Option<String>,
    sender: Option<String>,
    archived_at: Option<String>,
    disposed_at: Option<String>,
    updated_at: String,
}

impl From<&EnvelopeRow> for Envelope {
    fn from(row: &EnvelopeRow) -> Self {
        let known = &row.known;
        Self {
            account: known.account.to_string(),
            platform: row.platform.clone(),
            id: known.id.to_string(),
            name: known.name.clone(),
            status: known.status.as_str(),
            status_at_platform: known.status_at_platform.clone(),
            sender: known.sender.clone(),
            archived_at: maybe(known.archived_at),
            disposed_at: maybe(known.disposed_at),
            updated_at: known.updated_at.to_string(),
        }
    }
}

/// `envelopes show`.
#[derive(Serialize)]
pub(crate) struct EnvelopeWhole {
    #[serde(flatten)]
    envelope: Envelope,
    gap: bool,
    gap_explanation: Option<String>,
    extension: Option<&'static str>,
    timeline: Vec<TimelineLine>,
    transfer: Option<TransferRow>,
    attempts: Vec<AttemptRow>,
}

impl EnvelopeWhole {
    /// Everything about an envelope, with the explanation of its gap if it is one.
    pub(crate) fn new(detail: &EnvelopeDetail, gap_explanation: Option<String>) -> Self {
        let answer = detail.transfer.as_ref().and_then(|transfer| transfer.envelope.as_ref());
        Self {
            envelope: Envelope::from(&detail.row),
            gap: detail.row.known.is_gap(),
            gap_explanation,
            extension: answer.map(|envelope| envelope.extension.as_str()),
            timeline: detail.timeline.iter().map(TimelineLine::from).collect(),
            transfer: detail.transfer.as_ref().map(TransferRow::from),
            attempts: detail.attempts.iter().map(AttemptRow::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct TimelineLine {
    at: String,
    heard_at: String,
    kind: String,
    kind_at_platform: String,
    source: String,
    signer: Option<String>,
    detail: Option<String>,
}

impl From<&TimelineRow> for TimelineLine {
    fn from(row: &TimelineRow) -> Self {
        Self {
            at: row.at.to_string(),
            heard_at: row.heard_at.to_string(),
            kind: row.kind.clone(),
            kind_at_platform: row.kind_at_platform.clone(),
            source: row.source.clone(),
            signer: row.signer.clone(),
            detail: row.detail.clone(),
        }
    }
}

/// One try of one step.
#[derive(Serialize)]
pub(crate) struct AttemptRow {
    step: String,
    subject: String,
    started_at: String,
    duration_ms: u64,
    error: Option<String>,
}

impl From<&Attempt> for AttemptRow {
    fn from(attempt: &Attempt) -> Self {
        Self {
            step: attempt.step.clone(),
            subject: attempt.subject.clone(),
            started_at: attempt.started_at.to_string(),
            duration_ms: attempt.duration_ms,
            error: attempt.error.clone(),
        }
    }
}

/// One page of `transfers list`.
#[derive(Serialize)]
pub(crate) struct Transfers {
    pub(crate) transfers: Vec<TransferRow>,
    pub(crate) next_cursor: Option<String>,
}

/// The sender whose access a transfer waits for; `None` if it waits for nobody's.
pub(crate) fn waits_for(transfer: &Transfer) -> Option<&SenderId> {
    let waits = transfer.parked.is_some_and(|parked| parked.reason == ParkReason::AccessNeeded);
    transfer.waits_for.sender().filter(|_| waits)
}

/// One transfer. `tries` counts failures in a row, as `failures` does, and `next_try_at` is `due_at`: what mails and tasks
/// call them.
#[derive(Serialize)]
pub(crate) struct TransferRow {
    id: String,
    account: String,
    envelope_id: String,
    phase: &'static str,
    due_at: Option<String>,
    failures: u32,
    tries: u32,
    next_try_at: Option<String>,
    parked: Option<&'static str>,
    waits_for: Option<String>,
    note: Option<String>,
    archived_at: Option<String>,
    disposed_at: Option<String>,
    items: Vec<ItemRow>,
}

/// `transfers show`.
#[derive(Serialize)]
pub(crate) struct TransferWhole {
    #[serde(flatten)]
    pub(crate) transfer: TransferRow,
    pub(crate) attempts: Vec<AttemptRow>,
}

#[derive(Serialize)]
struct ItemRow {
    file_name: String,
    kind: &'static str,
    sha256: Option<String>,
    bytes: Option<u64>,
    deliveries: Vec<DeliveryRow>,
}

#[derive(Serialize)]
struct DeliveryRow {
    destination: String,
    location: Option<String>,
    version: Option<u32>,
    verified_at: Option<String>,
}

impl From<&Transfer> for TransferRow {
    fn from(transfer: &Transfer) -> Self {
        let items = transfer.items.iter().map(|item| ItemRow {
            file_name: item.file_name.clone(),
            kind: item.artifact.kind.as_str(),
            sha256: item.staged.map(|staged| staged.digest.to_string()),
            bytes: item.staged.map(|staged| staged.bytes),
            deliveries: item
                .deliveries
                .iter()
                .map(|delivery| DeliveryRow {
                    destination: delivery.destination.to_string(),
                    location: delivery.receipt.as_ref().map(|receipt| receipt.location.clone()),
                    version: delivery.receipt.as_ref().map(|receipt| receipt.version),
                    verified_at: maybe(delivery.verified_at),
                })
                .collect(),
        });
        Self {
            id: transfer.id.to_string(),
            account: transfer.account.to_string(),
            envelope_id: transfer.envelope_id.to_string(),
            phase: transfer.phase.as_str(),
            due_at: maybe(transfer.due_at),
            failures: transfer.failures,
            tries: transfer.failures,
            next_try_at: maybe(transfer.due_at),
            waits_for: waits_for(transfer).map(ToString::to_string),
            parked: transfer.parked.map(|parked| parked.reason.as_str()),
            note: transfer.note.clone(),
            archived_at: maybe(transfer.archived_at),
            disposed_at: maybe(transfer.disposed_at),
            items: items.collect(),
        }
    }
}

/// One page of `tasks list`.
#[derive(Serialize)]
pub(crate) struct Tasks {
    pub(crate) tasks: Vec<Task>,
    pub(crate) next_cursor: Option<String>,
}

/// One task.
#[derive(Serialize)]
pub(crate) struct Task {
    id: String,
    kind: &'static str,
    account: String,
    envelope_id: Option<String>,
    opened_at: String,
    due_at: Option<String>,
    r#for: String,
    what: String,
    todo: String,
    resolved_at: Option<String>,
    mailed_at: Option<String>,
}

impl From<&TaskRow> for Task {
    fn from(row: &TaskRow) -> Self {
        Self {
            id: row.id.to_string(),
            kind: row.kind.as_str(),
            account: row.account.to_string(),
            envelope_id: row.envelope.as_ref().map(ToString::to_string),
            opened_at: row.opened_at.to_string(),
            due_at: maybe(row.due_at),
            r#for: row.assignee.clone(),
            what: row.what.clone(),
            todo: row.todo.clone(),
            resolved_at: maybe(row.resolved_at),
            mailed_at: maybe(row.mailed_at),
        }
    }
}

/// `tasks show`, with the tries of the transfer of its envelope.
#[derive(Serialize)]
pub(crate) struct TaskWhole {
    #[serde(flatten)]
    task: Task,
    resolution: Option<String>,
    tries: Option<u32>,
    next_try_at: Option<String>,
}

impl TaskWhole {
    /// A task, and the transfer of the envelope that it is about.
    pub(crate) fn new(row: &TaskRow, transfer: Option<&Transfer>) -> Self {
        Self {
            task: Task::from(row),
            resolution: row.resolution.clone(),
            tries: transfer.map(|transfer| transfer.failures),
            next_try_at: maybe(transfer.and_then(|transfer| transfer.due_at)),
        }
    }
}

/// `grants list`.
#[derive(Serialize)]
pub(crate) struct Grants {
    pub(crate) grants: Vec<Grant>,
}

/// What is known of a sender's access without opening it. `platform` is null where the config has the account no more.
#[derive(Serialize)]
pub(crate) struct Grant {
    pub(crate) account: String,
    pub(crate) platform: Option<String>,
    pub(crate) sender: String,
    user_id: Option<String>,
    pub(crate) kind: &'static str,
    pub(crate) key_id: String,
    granted_at: String,
    renew_at: Option<String>,
    refused_at: Option<String>,
    pub(crate) waiting: u64,
}

impl Grant {
    /// A grant, its account's platform, and how many transfers wait for it.
    pub(crate) fn new(row: &GrantRow, platform: Option<String>, waiting: u64) -> Self {
        Self {
            account: row.account.to_string(),
            platform,
            sender: row.sender.to_string(),
            user_id: row.user_id.clone(),
            kind: row.kind.as_str(),
            key_id: row.key_id.clone(),
            granted_at: row.granted_at.to_string(),
            renew_at: maybe(row.renew_at),
            refused_at: maybe(row.refused_at),
            waiting,
        }
    }
}

/// `grants set`: whose key it was, and how many transfers go on.
#[derive(Serialize)]
pub(crate) struct GrantSet {
    pub(crate) account: String,
    pub(crate) platform: &'static str,
    pub(crate) sender: Option<String>,
    pub(crate) name: String,
    pub(crate) user_id: Option<String>,
    pub(crate) woken: u64,
}

/// `keys list`.
#[derive(Serialize)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<Key>,
}

/// One vault key: configured, or needed by a record.
#[derive(Serialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) on_ring: bool,
    pub(crate) first: bool,
    pub(crate) records: u64,
}

/// `keys rotate`: the key that wraps everything now, how many records were wrapped anew, and the keys that nothing needs.
#[derive(Serialize)]
pub(crate) struct Rotated {
    pub(crate) first: String,
    pub(crate) rewrapped: u64,
    pub(crate) removable: Vec<String>,
}

/// One page of `mails list`.
#[derive(Serialize)]
pub(crate) struct Mails {
    pub(crate) mails: Vec<Mail>,
    pub(crate) next_cursor: Option<String>,
}

/// One e-mail.
#[derive(Serialize)]
pub(crate) struct Mail {
    id: String,
    recipient: String,
    queued_at: String,
    tries: u32,
    next_try_at: Option<String>,
    sent_at: Option<String>,
    dropped_at: Option<String>,
    error: Option<String>,
    tasks: u64,
}

impl From<&MailRow> for Mail {
    fn from(row: &MailRow) -> Self {
        Self {
            id: row.id.to_string(),
            recipient: row.recipient.clone(),
            queued_at: row.queued_at.to_string(),
            tries: row.tries,
            next_try_at: maybe(row.next_at),
            sent_at: maybe(row.sent_at),
            dropped_at: maybe(row.dropped_at),
            error: row.error.clone(),
            tasks: row.tasks,
        }
    }
}

/// One page of `journal list`.
#[derive(Serialize)]
pub(crate) struct Journal {
    pub(crate) entries: Vec<JournalEntry>,
    pub(crate) next_cursor: Option<String>,
}

/// One entry of the journal.
#[derive(Serialize)]
pub(crate) struct JournalEntry {
    sequence: u64,
    at: String,
    actor: String,
    action: &'static str,
    account: Option<String>,
    envelope_id: Option<String>,
    detail: String,
    digest: String,
}

impl From<&JournalRow> for JournalEntry {
    fn from(row: &JournalRow) -> Self {
        let entry = &row.entry;
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            sequence: row.sequence,
            at: entry.at.to_string(),
            actor: entry.actor.clone(),
            action: entry.action.as_str(),
            account: given(&entry.account),
            envelope_id: given(&entry.envelope),
            detail: entry.detail.clone(),
            digest: row.digest.to_string(),
        }
    }
}

/// `journal verify`.
#[derive(Serialize)]
pub(crate) struct JournalVerdict {
    intact: bool,
    entries: Option<u64>,
    head: Option<String>,
    broken_at: Option<u64>,
    reason: Option<String>,
}

impl From<&Verdict> for JournalVerdict {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Intact { entries, head } => Self {
                intact: true,
                entries: Some(*entries),
                head: Some(head.to_string()),
                broken_at: None,
                reason: None,
            },
            Verdict::Broken { sequence, reason } => Self {
                intact: false,
                entries: None,
                head: None,
                broken_at: Some(*sequence),
                reason: Some(reason.clone()),
            },
        }
    }
}

/// `accounts urls`.
#[derive(Serialize)]
pub(crate) struct AccountUrls {
    pub(crate) accounts: Vec<AccountUrl>,
}

/// What to paste where, for one account: callback URLs, and what browsers need.
#[derive(Serialize)]
pub(crate) struct AccountUrl {
    pub(crate) account: String,
    pub(crate) platform: &'static str,
    pub(crate) urls: Vec<PlaceUrl>,
    pub(crate) pages: Vec<PlaceUrl>,
}

/// One URL and its place.
#[derive(Serialize)]
pub(crate) struct PlaceUrl {
    pub(crate) place: &'static str,
    pub(crate) url: String,
}

impl From<CallbackUrl> for PlaceUrl {
    fn from(CallbackUrl { place, url }: CallbackUrl) -> Self {
        Self { place, url }
    }
}

/// `accounts register`: what is registered now.
#[derive(Serialize)]
pub(crate) struct RegisteredCallback {
    pub(crate) account: String,
    pub(crate) platform: &'static str,
    pub(crate) in_order: bool,
    pub(crate) applied: bool,
    pub(crate) leads_to: &'static str,
    pub(crate) host: Option<String>,
    pub(crate) events: Vec<String>,
    pub(crate) missing_events: Vec<&'static str>,
    pub(crate) surplus_events: Vec<String>,
}

/// `check`.
#[derive(Serialize)]
pub(crate) struct Checks {
    pub(crate) ok: bool,
    pub(crate) checks: Vec<CheckRow>,
}

/// One thing that was checked.
#[derive(Serialize)]
pub(crate) struct CheckRow {
    pub(crate) check: &'static str,
    pub(crate) subject: String,
    pub(crate) result: &'static str,
    pub(crate) detail: String,
    pub(crate) next: Option<String>,
}
