//! What is asked of the account itself: who we are, its senders, its registered callback, how long it keeps packages.

use std::collections::BTreeMap;

use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::platform::{Access, Call, Identity, Next, Page, Registration, Retention};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::{Method, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::access::{Api, JSON, json_body};
use super::api::ROWS_MAX;
use super::callback::{EVENTS, EVENTS_NOT_EVERYWHERE};
use super::wire::{RegisterCallback, RegisteredCallback, RetentionPolicy, SenderList, Session};
use crate::exchange::{Asking, misconfigured, own_status};

/// Senders per page: the most that is allowed.
const PAGE_SIZE: u64 = 100;

/// Asks for the session.
pub(super) fn whoami(access: &Access) -> Result<Call<Identity>, Error> {
    let api = Api::new("onespan whoami", access)?;
    let request = api.get("session")?;
    Ok(api.clone().then(request, move |response| {
        let session: Session = api.answer(&response)?;
        let of_account = session.account.and_then(|account| account.name.or(account.id));
        let (email, id) = session.user.map(|user| (user.email, user.id)).unwrap_or_default();
        let name = email.clone().or(of_account);
        let name = name.ok_or_else(|| api.unintelligible("the session names neither user nor account"))?;
        Ok(Next::Done(Identity { name, id, email }))
    }))
}

/// Asks for the senders, page by page; a cursor is the number of the row to go on with. Who was invited and has not
/// come yet has sent nothing.
pub(super) fn senders(access: &Access, cursor: Option<&str>) -> Result<Call<Page<String>>, Error> {
    let api = Api::new("onespan list senders", access)?;
    let from = cursor.map_or(Some(1), |text| text.parse().ok().filter(|from| (1..=ROWS_MAX).contains(from)));
    let from = from.ok_or_else(|| {
        let message = "the list's cursor is none of ours; start again";
        api.error(ErrorKind::Rejected, Remedy::Abandon, message)
    })?;
    let request = api.get(&senders_path(from, None))?;
    Ok(api.clone().then(request, move |response| {
        let list: SenderList = api.answer(&response)?;
        let next = next_row(&api, from, &list)?.map(|from| from.to_string());
        let is_invited = |status: &String| status.eq_ignore_ascii_case("INVITED");
        let come =
            list.results.into_iter().flatten().filter(|one| !one.status.as_ref().is_some_and(is_invited));
        Ok(Next::Done(Page { items: come.filter_map(|sender| sender.email).collect(), next }))
    }))
}

/// One page of the account's senders, or of those that a text is found in.
pub(super) fn senders_path(from: u64, search: Option<&str>) -> String {
    let to = from + PAGE_SIZE - 1;
    let search = search.map(|text| format!("search={}&", utf8_percent_encode(text, NON_ALPHANUMERIC)));
    format!("account/senders?{}from={from}&to={to}&dir=asc", search.unwrap_or_default())
}

/// The row to go on with: rows count from 1, and a page may be shorter than asked for.
pub(super) fn next_row(api: &Api, from: u64, list: &SenderList) -> Result<Option<u64>, Error> {
    let rows = u64::try_from(list.results.len()).unwrap_or(u64::MAX);
    let next = from.saturating_add(rows);
    let more = rows > 0 && list.count.map_or(rows >= PAGE_SIZE, |count| next <= count);
    match more {
        true if next > ROWS_MAX => Err(api.unintelligible("the list of senders has no end")),
        more => Ok(more.then_some(next)),
    }
}

/// Asks which callback is registered (`GET callback`: one object; the key in it is not read).
pub(super) fn registration(access: &Access) -> Result<Call<Registration>, Error> {
    read_registration(Api::new("onespan read registration", access)?)
}

fn read_registration(api: Api) -> Result<Call<Registration>, Error> {
    let request = api.get("callback")?;
    Ok(api.clone().then(request, move |response| {
        let registered: RegisteredCallback = api.answer(&response)?;
        Ok(Next::Done(Registration { url: registered.url, events: registered.events }))
    }))
}

/// Registers a callback in place of whatever was there (`POST callback`), and reads what is registered then: there is
/// one per account, and several integrations fight for it.
pub(super) fn register(
    access: &Access,
    url: &str,
    key: Option<&Secret>,
) -> Result<Call<Registration>, Error> {
    let api = Api::new("onespan register callback", access)?;
    // The platform sends the key after a space.
    if key.is_some_and(|key| key.is_empty() || !key.expose().bytes().all(|byte| byte.is_ascii_graphic())) {
        let message = "a callback key must not be empty nor hold spaces or characters outside ASCII";
        return Err(misconfigured(api.operation, message));
    }
    register_without(api, url.trim().to_owned(), key.cloned(), 0)
}

/// Registers all events but the first `left_out` of [`EVENTS_NOT_EVERYWHERE`]; refused, it leaves out one more.
fn register_without(
    api: Api,
    url: String,
    key: Option<Secret>,
    left_out: usize,
) -> Result<Call<Registration>, Error> {
    let events = EVENTS.iter().chain(&EVENTS_NOT_EVERYWHERE[left_out..]).copied().collect();
    let key_text = key.as_ref().map(Secret::expose);
    let body = json_body(api.operation, &RegisterCallback { url: &url, key: key_text, events })?;
    let request = api.send(Method::POST, "callback", JSON, body)?;
    Ok(api.clone().then(request, move |response| {
        if own_status(&response) == Some(400) && left_out < EVENTS_NOT_EVERYWHERE.len() {
            return Ok(Next::Then(register_without(api, url, key, left_out + 1)?));
        }
        // Its answer repeats what was sent; only a read shows what is kept.
        api.taken(&response)?;
        Ok(Next::Then(read_registration(api)?))
    }))
}

/// Which of the policy's terms bound each final status of ours, by the platform's names. Two of its states can be one
/// of ours. The lifetimes are newer: of all packages, and of those that are not completed.
const TERMS: [(EnvelopeStatus, &[&str]); 3] = [
    (EnvelopeStatus::Completed, &["completed", "archived", LIFETIME]),
    (EnvelopeStatus::Declined, &["declined", "optedOut", LIFETIME, LIFETIME_UNTIL_COMPLETION]),
    (EnvelopeStatus::Expired, &["expired", LIFETIME, LIFETIME_UNTIL_COMPLETION]),
];
const LIFETIME: &str = "lifetimeTotal";
const LIFETIME_UNTIL_COMPLETION: &str = "lifetimeUntilCompletion";
/// What else a policy may have: it bounds no final status.
const OTHER_TERMS: [&str; 3] = ["draft", "sent", "includeSent"];

/// Asks how long packages are kept; of several terms the shortest counts. A lifetime counts from the creation, so what
/// is left of it after the end is less.
pub(super) fn retention(access: &Access) -> Result<Call<Retention>, Error> {
    let api = Api::new("onespan read retention", access)?;
    let request = api.get("dataRetentionSettings/dataManagementPolicy")?;
    Ok(api.clone().then(request, move |response: Response<Bytes>| {
        let policy: RetentionPolicy = api.answer(&response)?;
        let Some(policy) = policy.transaction_retention else { return Ok(Next::Done(Retention::default())) };
        let is_known = |name: &String| {
            OTHER_TERMS.contains(&name.as_str())
                || TERMS.iter().any(|(_, terms)| terms.contains(&name.as_str()))
        };
        if !policy.keys().any(is_known) {
            return Err(api.unintelligible("the retention policy has none of the terms that we know"));
        }
        Ok(Next::Done(Retention { days: shortest_terms(&api, &policy)? }))
    }))
}

/// The shortest term of each final status. An odd one costs no other, unless it leaves none.
fn shortest_terms(api: &Api, policy: &BTreeMap<String, Value>) -> Result<Vec<(EnvelopeStatus, u32)>, Error> {
    let (mut days, mut is_there, mut is_readable) = (Vec::new(), false, false);
    for (status, terms) in TERMS {
        let terms: Vec<_> = terms.iter().filter_map(|name| policy.get(*name)).map(read_term).collect();
        is_there |= !terms.is_empty();
        is_readable |= terms.iter().any(Option::is_some);
        days.extend(terms.into_iter().flatten().flatten().min().map(|term| (status, term)));
    }
    match is_there && !is_readable {
        true => Err(api.unintelligible("no term of the retention policy is a number of days")),
        false => Ok(days),
    }
}

/// A term in days, `Some(None)` for "kept": `null`, also as text, nothing, and what is not above zero. `None` if it is no
/// whole number.
fn read_term(term: &Value) -> Option<Option<u32>> {
    let text = match term {
        Value::Null => return Some(None),
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    if text.is_empty() || text.eq_ignore_ascii_case("null") {
        return Some(None);
    }
    let whole = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
    let days: i64 = whole.map_or(text.as_str(), |(whole, _)| whole).parse().ok()?;
    Some(u32::try_from(days.max(0)).ok().filter(|days| *days > 0))
}
