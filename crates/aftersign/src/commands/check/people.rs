//! What `check` finds out about people: whether their access is there and opens, and whether mail reaches them.

use std::collections::BTreeMap;

use aftersign_core::ids::AccountId;
use aftersign_engine::Templates;
use aftersign_store::{GrantRow, Store, StoreError};

use super::{ANSWER_WAIT, Findings};
use crate::commands::grants::DRAW_A_KEY;
use crate::commands::keys::keys;
use crate::config::{AccountSettings, MailSettings, Settings};
use crate::wiring;

/// Whether the ring has the keys that are needed.
pub(super) async fn vault(settings: &Settings, store: Option<&dyn Store>, findings: &mut Findings) {
    let subject = settings.file.display();
    let sealing = settings.accounts.iter().filter(|account| account.asks_senders());
    let sealing: Vec<String> = sealing.map(|account| format!("`{}`", account.id())).collect();
    if settings.vault_keys.is_empty() && !sealing.is_empty() {
        let detail = format!(
            "no vault key is configured, and what senders of {} give could not be sealed",
            sealing.join(", ")
        );
        findings.fail("vault", &subject, detail, DRAW_A_KEY);
    }
    let missing = match store {
        Some(store) => keys(settings, store).await.map(|keys| {
            let missing = keys.into_iter().filter(|key| !key.on_ring && key.records > 0);
            missing.map(|key| format!("`{}` ({} records)", key.id, key.records)).collect::<Vec<_>>()
        }),
        None => Ok(Vec::new()),
    };
    match missing {
        Err(error) => findings.fail("vault", subject, reason(&error), "see the message"),
        Ok(missing) if !missing.is_empty() => {
            let detail = format!("records need keys that are not configured: {}", missing.join(", "));
            let next = "add them to [vault] keys, behind the first one; if they are lost, forget those grants (`aftersign \
                        grants list` names each one's key) and have them given again";
            findings.fail("vault", subject, detail, next);
        }
        Ok(_) => {
            if let Some(first) = settings.vault_keys.first() {
                let count = settings.vault_keys.len();
                findings.ok(
                    "vault",
                    subject,
                    format!("every record's key is among the {count} configured; `{}` seals", first.id),
                );
            }
        }
    }
}

/// Whether an account has nothing of its own to ask its platform with.
pub(super) fn lives_on_grants(account: &AccountSettings) -> bool {
    account.access.credential.is_empty()
}

/// What senders of an account gave: how many, whether it opens, whether the platform takes it.
pub(super) async fn grants(account: &AccountSettings, store: Option<&dyn Store>, findings: &mut Findings) {
    let id = account.id();
    let rows = match store {
        Some(store) => store.grants(Some(id)).await,
        None => Ok(Vec::new()),
    };
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return findings.fail("grants", id, reason(&error), "see the message"),
    };
    if lives_on_grants(account) {
        let next = "send your senders the page that `aftersign accounts urls` prints, or set a credential";
        match rows.len() {
            0 => findings.warn(
                "account",
                id,
                "it has no credential, and nobody gave access yet: nothing can be archived",
                next,
            ),
            count => {
                findings.ok("account", id, format!("it has no credential; senders who gave access: {count}"))
            }
        }
    }
    if let Some(app) = &account.oauth {
        let detail =
            format!("the redirect URI to register at {} is {}", account.platform.name(), app.redirect_uri);
        findings.ok("oauth", id, detail);
        if account.senders.is_empty() {
            findings.warn(
                "senders",
                id,
                "everybody who can consent to the OAuth application may give access, and what they sent is archived too",
                "name those from whom access is taken: `senders = [\"*@your-domain\"]`",
            );
        }
    }
    if let Some(store) = store.filter(|_| !rows.is_empty()) {
        opened(id, store, &rows, findings).await;
    }
}

/// Whether what senders gave opens where their account is configured no more: it is wrapped anew with all others.
pub(super) async fn left_behind(settings: &Settings, store: &dyn Store, findings: &mut Findings) {
    // What keeps the list from being read is told for each account.
    let Ok(rows) = store.grants(None).await else { return };
    let mut accounts: BTreeMap<AccountId, Vec<GrantRow>> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| settings.account(row.account.as_str()).is_none()) {
        accounts.entry(row.account.clone()).or_default().push(row);
    }
    for (id, rows) in &accounts {
        all_open(id, store, rows, findings).await;
    }
}

async fn opened(id: &AccountId, store: &dyn Store, rows: &[GrantRow], findings: &mut Findings) {
    let count = rows.len();
    let all_open = all_open(id, store, rows, findings).await;
    let refused = rows.iter().filter(|row| row.refused_at.is_some()).count();
    if refused > 0 {
        let next = format!(
            "what these senders sent waits for them: `aftersign grants list --account {id}` names them, `aftersign grants link` \
             makes the link by which they give access again"
        );
        findings.warn(
            "grants",
            id,
            format!("{refused} of {count} grants are refused by the platform"),
            &next,
        );
    } else if all_open {
        findings.ok(
            "grants",
            id,
            format!("what senders gave opens ({count}), and the platform refuses none of it"),
        );
    }
}

/// Whether all of an account's grants open. Those that do not are told by name.
async fn all_open(id: &AccountId, store: &dyn Store, rows: &[GrantRow], findings: &mut Findings) -> bool {
    let mut closed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in rows {
        if let Err(error) = store.open_grant(id, &row.sender).await {
            closed.entry(reason(&error)).or_default().push(row.sender.as_str());
        }
    }
    for (why, senders) in &closed {
        let (few, count) = (senders.len(), rows.len());
        let detail = format!("{few} of {count} grants do not open ({}): {why}", senders.join(", "));
        let forget = match senders.as_slice() {
            [sender] => format!("`aftersign grants forget {id} {sender}`"),
            _ => format!("`aftersign grants forget {id} SENDER` for each of them"),
        };
        let next = format!(
            "add the missing vault key, or restore the database; else {forget}, and have access given again"
        );
        findings.fail("grants", id, detail, &next);
    }
    closed.is_empty()
}

/// Whether mail can be written and the server takes us in.
pub(super) async fn mail(mail: &MailSettings, findings: &mut Findings) {
    let templates = mail.templates_dir.as_deref();
    let shown = templates.map_or_else(|| "built-in".into(), |folder| folder.display().to_string());
    match Templates::load(templates) {
        Ok(_) => findings.ok("mail", shown, "the templates give mails"),
        Err(error) => {
            let next =
                "correct the template; `aftersign mails templates` writes the built-in ones to begin with";
            findings.fail("mail", shown, error.chain(), next);
        }
    }
    let next = "correct [mail] smtp_url or from, or ask those who run the mail server; `aftersign mails test` tries again";
    let probe = async { wiring::mailer(mail)?.probe().await };
    match tokio::time::timeout(ANSWER_WAIT, probe).await {
        Ok(Ok(())) => findings.ok("mail", &mail.from, "the mail server lets us in"),
        Ok(Err(error)) => findings.fail("mail", &mail.from, error.chain(), next),
        Err(_) => findings.fail("mail", &mail.from, "the mail server does not answer", next),
    }
}

fn reason(error: &StoreError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}
