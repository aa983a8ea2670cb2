//! `GET /api/packages`: what sweeps ask. Both sets of names of the date range are understood, because official sources
//! disagree about them.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::access::Access;
use super::{error, is_readable, no_permission, package, sender_id, senders};
use crate::exchange::{Answer, Inbound};
use crate::rng::Rng;
use crate::world::{Envelope, State, World};

/// More than this is not given at once.
const PAGE_MAX: usize = 100;
const PAGE_DEFAULT: usize = 100;

const STATUSES: [&str; 7] = ["DRAFT", "SENT", "COMPLETED", "ARCHIVED", "DECLINED", "OPTED_OUT", "EXPIRED"];
const PREDEFINED: [&str; 5] = ["all", "awaitingSignature", "sent", "completed", "expiringSoon"];
const SORTS: [&str; 6] = ["created", "completed", "updated", "due", "name", "status"];

/// What `query` names: a folder or a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folder {
    AllButTrash,
    Drafts,
    Inbox,
    Trashed,
    Status(&'static str),
}

impl Folder {
    fn parse(text: &str) -> Option<Folder> {
        match text.to_ascii_lowercase().as_str() {
            "" => Some(Folder::AllButTrash),
            "drafts" => Some(Folder::Drafts),
            "inbox" => Some(Folder::Inbox),
            "trashed" => Some(Folder::Trashed),
            other => STATUSES.into_iter().find(|s| s.eq_ignore_ascii_case(other)).map(Folder::Status),
        }
    }

    fn holds(self, status: &str, trashed: bool) -> bool {
        let drafts = ["DRAFT", "DECLINED", "EXPIRED", "OPTED_OUT"];
        match self {
            Folder::Trashed => trashed,
            Folder::AllButTrash => !trashed,
            Folder::Drafts => !trashed && drafts.contains(&status),
            Folder::Inbox => !trashed && !drafts.contains(&status),
            Folder::Status(wanted) => !trashed && status == wanted,
        }
    }
}

/// A parsed question.
struct Query<'a> {
    folder: Folder,
    predefined: Option<&'a str>,
    templates: bool,
    search: String,
    owner: String,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    first: usize,
    size: usize,
    sort: &'a str,
    descending: bool,
    only_ids: bool,
}

impl<'a> Query<'a> {
    fn parse(inbound: &'a Inbound, owner: String) -> Result<Query<'a>, String> {
        let get = |name: &str| inbound.query(name).filter(|value| !value.is_empty());
        let known = |name: &str, all: &[&str]| match get(name) {
            Some(value) if !all.contains(&value) => Err(format!("`{name}` is not known: {value}")),
            value => Ok(value),
        };
        let number = |name: &str, default: usize| match get(name) {
            Some(text) => text.parse::<usize>().map_err(|_| format!("`{name}` is no number")),
            None => Ok(default),
        };
        let day = |names: [&str; 2], time| match names.into_iter().find_map(get) {
            Some(text) => point(text, time).map(Some).ok_or_else(|| format!("`{}` is no date", names[0])),
            None => Ok(None),
        };
        // The first is 1; 0 is taken for it.
        let first = number("from", 1)?.max(1);
        let last = number("to", first.saturating_add(PAGE_DEFAULT - 1))?;
        let size = last.saturating_add(1).saturating_sub(first);
        if size > PAGE_MAX {
            return Err(format!("a page has at most {PAGE_MAX} packages"));
        }
        let folder = get("query").unwrap_or_default();
        Ok(Query {
            folder: Folder::parse(folder).ok_or_else(|| format!("`query` is not known: {folder}"))?,
            predefined: known("predefined", &PREDEFINED)?,
            templates: get("type").is_some_and(|kind| kind.eq_ignore_ascii_case("TEMPLATE")),
            search: get("search").unwrap_or_default().to_lowercase(),
            owner,
            from: day(["startDate", "lastUpdatedStartDate"], Time::MIN)?,
            to: day(["endDate", "lastUpdatedEndDate"], Time::MAX)?,
            first,
            size,
            sort: known("sort", &SORTS)?.unwrap_or("updated"),
            descending: !get("dir").is_some_and(|dir| dir.eq_ignore_ascii_case("asc")),
            only_ids: get("fields") == Some("id"),
        })
    }

    fn matches(&self, world: &World, envelope: &Envelope) -> bool {
        let status = package::status(envelope);
        let predefined = match self.predefined {
            Some("awaitingSignature" | "sent") => status == "SENT",
            Some("completed") => matches!(status, "COMPLETED" | "ARCHIVED"),
            Some("expiringSoon") => status == "SENT" && package::due(world, envelope).is_some(),
            _ => true,
        };
        predefined
            && self.folder.holds(status, envelope.package.trashed)
            && envelope.script.sender.eq_ignore_ascii_case(&self.owner)
            && envelope.script.name.to_lowercase().contains(&self.search)
    }

    /// By the last change, which the API shows in whole seconds.
    fn is_in_range(&self, envelope: &Envelope) -> bool {
        let updated = envelope.package.updated.as_second();
        self.from.is_none_or(|from| updated >= from.as_second())
            && self.to.is_none_or(|to| updated <= to.as_second())
    }
}

/// `2018-12-12Z`, or a date with a time and a zone.
fn point(text: &str, time: Time) -> Option<Timestamp> {
    match text.strip_suffix('Z').filter(|day| day.len() == 10) {
        Some(day) => TimeZone::UTC.to_timestamp(day.parse::<Date>().ok()?.to_datetime(time)).ok(),
        None => text.parse().ok(),
    }
}

/// Answers a list of packages: the caller's own, or those of another sender whom the owner names.
pub(super) fn answer(world: &World, access: &Access, inbound: &Inbound) -> Answer {
    let owner = match world.look(|s| owner_of(world, s, access, inbound)) {
        Ok(owner) => owner,
        Err(answer) => return answer,
    };
    let query = match Query::parse(inbound, owner) {
        Ok(query) => query,
        Err(why) => return error(400, "error.validation.parameter", &why),
    };
    let mut all = world.change(|s| found(world, s, access, &query));
    let member = |value: &Value| value[query.sort].as_str().unwrap_or_default().to_owned();
    all.sort_by_cached_key(member);
    if query.descending {
        all.reverse();
    }
    let count = all.len();
    let page = all.into_iter().skip(query.first - 1).take(query.size);
    let results: Vec<Value> =
        page.map(|found| if query.only_ids { json!({ "id": found["id"] }) } else { found }).collect();
    Answer::ok(json!({ "count": count, "results": results }))
}

fn owner_of(world: &World, state: &State, access: &Access, inbound: &Inbound) -> Result<String, Answer> {
    let (email, id) = (inbound.query("ownerEmail"), inbound.query("ownerUserId"));
    if email.is_none() && id.is_none() {
        return Ok(access.email().to_owned());
    }
    let named = senders(state, &access.account).into_iter().find(|known| {
        email.is_none_or(|email| known.eq_ignore_ascii_case(email))
            && id.is_none_or(|id| sender_id(world, &access.account, known) == id)
    });
    match named {
        None => Err(error(404, "error.notFound.userNotFound", "There is no such sender.")),
        Some(named) if access.may_see(&named) => Ok(named),
        Some(_) => Err(no_permission()),
    }
}

fn found(world: &World, state: &mut State, access: &Access, query: &Query<'_>) -> Vec<Value> {
    if query.templates {
        let own = state.templates.iter().filter(|t| t.account_id == access.account);
        let shown = own.filter(|t| t.trashed == (query.folder == Folder::Trashed));
        return shown.map(|template| package::template(world, template)).collect();
    }
    let mut strays = 0;
    let mut all = Vec::new();
    let here = |e: &&Envelope| e.account_id == access.account && is_readable(e);
    for envelope in state.envelopes.iter().filter(here).filter(|e| query.matches(world, e)) {
        if !query.is_in_range(envelope) {
            // A version of the platform gave rows beyond the range.
            if !Rng::keyed(envelope.seed, "stray row").chance(world.lossy) {
                continue;
            }
            strays += 1;
        }
        all.push(package::package(world, envelope));
    }
    for _ in 0..strays {
        state.count_fault("list-beyond-range");
    }
    all
}

#[cfg(test)]
mod tests {
    use jiff::civil::Time;

    use super::{Folder, point};

    #[test]
    fn dates_are_understood_in_the_documented_forms_only() {
        let at = |text: &str| point(text, Time::MIN).map(|at| at.to_string());
        assert_eq!(at("2018-12-12Z").unwrap(), "2018-12-12T00:00:00Z");
        assert_eq!(at("2018-01-01T12:30:00Z").unwrap(), "2018-01-01T12:30:00Z");
        assert_eq!(at("2018-01-01T12:30:00+01:30").unwrap(), "2018-01-01T11:00:00Z");
        // An offset whose `+` was not encoded arrives with a space.
        assert!(at("2018-01-01T12:30:00 01:30").is_none() && at("2018-12-12").is_none());
    }

    #[test]
    fn a_query_is_a_folder_or_a_status() {
        assert!(Folder::parse("INBOX").unwrap().holds("COMPLETED", false));
        assert!(Folder::parse("drafts").unwrap().holds("DECLINED", false));
        assert!(!Folder::parse("COMPLETED").unwrap().holds("COMPLETED", true));
        assert!(Folder::parse("trashed").unwrap().holds("SENT", true));
        assert!(Folder::parse("unheard").is_none());
    }
}
