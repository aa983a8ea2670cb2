//! Drafts: what a sender prepared in the web pages and a page of ours sends (vendor's page "Custom Page before Sending").
//!
//! The platform leaves the sending to that page. A draft's id is not the envelope's, and sending twice is not the same as
//! once; so every draft is marked before: its id stands in the callback URLs and, where the customer has no metadata, in
//! the metadata. By that the envelope is found again when an answer was lost.

use std::collections::BTreeMap;

use aftersign_core::draft::{Draft, DraftMarks, DraftTrace, SentAs};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call, CallbackUrl, Next, OptionSpec};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use bytes::Bytes;
use http::Response;
use jiff::SignedDuration;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::api::{Api, configuration, day, error_of, names_error, refused_hiding, root};
use super::callback::{guid, marked_urls};
use super::wire::{
    Configuration, DraftCallbacks, DraftOverview, DraftSent, Find, Found, Origin, OwnMetadata, SendDraft,
    UpdateDraft,
};
use crate::exchange::{Asking, Body, own_status, refused_by_stranger, safe_id, unintelligible};
use crate::oauth::checked_url;

/// Where browsers go after their draft was sent.
pub(super) const INBOX_URL: OptionSpec = OptionSpec {
    name: "inbox_url",
    values: &[],
    default: "",
    about: "Where a browser goes after our page has sent its draft; without it, the start page of the tenant.",
};

/// The draft is not there for us: foreign, sent, deleted or never made (live tests of a public client).
const NO_DRAFT: [&str; 2] = ["ERR0250", "ERR0007"];
/// The metadata of a draft whose metadata the platform does not tell: it counts as the customer's.
const UNTOLD: &str = "";
/// How long before we asked for the sending an envelope may seem to be sent: clocks differ.
const SENT_BEFORE: SignedDuration = SignedDuration::from_mins(10);
/// How long after: the platform may take its time.
const SENT_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Configurations that are asked for in one search, one for each envelope and each bulk sent about then whose row does not tell
/// enough. The engine takes 512 answers to one question; two come before these, and the rest is margin.
const ASKED_MAX: usize = 400;
/// Children of one bulk that are asked for as long as the platform hides them: one or two may have been deleted.
const CHILDREN_ASKED_MAX: usize = 3;
/// How many bytes of the path secret in a row are a part of it, and no chance.
const PART_BYTES: usize = 5;

/// What an administrator sets so that browsers come to our page (vendor's page "Custom Page before Sending"). At this time the
/// draft's id is what the platform calls the envelope's.
pub(super) fn before_send_url(base: &str) -> CallbackUrl {
    CallbackUrl {
        place: "Settings, Organization, Default redirect url before sending a draft",
        url: format!("{base}?draft=##EnvelopeId##&user=##SenderUserId##&org=##OrganizationId##"),
    }
}

/// A draft's id in the form in which it stands in a path.
fn draft_guid(operation: &'static str, draft: &str) -> Result<String, Error> {
    guid(draft).ok_or_else(|| match safe_id(operation, draft) {
        Err(error) => error,
        Ok(id) => {
            let message = "the id is not a GUID, and every draft's id of this platform is one";
            Error::new(ErrorKind::Rejected, Remedy::AskPerson, operation, message).with("id", id)
        }
    })
}

/// Whether the platform itself says that there is no such draft for us.
fn is_missing(response: &Response<Bytes>) -> bool {
    let name = error_of(response).and_then(|error| error.error_id);
    own_status(response) == Some(404) && name.is_some_and(|name| NO_DRAFT.contains(&name.as_str()))
}

pub(super) fn fetch(access: &Access, draft: &str) -> Result<Call<Option<Draft>>, Error> {
    let api = Api::new("esignanywhere fetch draft", access)?;
    let id = draft_guid(api.operation, draft)?;
    let request = api.get(&format!("draft/{id}"))?;
    Ok(api.clone().then(request, move |response| {
        if is_missing(&response) {
            return Ok(Next::Done(None));
        }
        let overview = read_overview(&api, &id, &response)?;
        let draft = |metadata| Draft { id: id.clone(), name: overview.name.clone(), metadata };
        match overview.meta_data.clone() {
            Some(metadata) => Ok(Next::Done(Some(draft(metadata)))),
            None => fetch_metadata(&api, draft(None)),
        }
    }))
}

/// The draft that was asked for. Its answer may name no id; then it must at least look like a draft.
fn read_overview(api: &Api, id: &str, response: &Response<Bytes>) -> Result<DraftOverview, Error> {
    let overview: DraftOverview = api.answer(response)?;
    let is_it = match &overview.id {
        Some(answered) => guid(answered).as_deref() == Some(id),
        None => overview.documents.is_some() || overview.activities.is_some() || overview.name.is_some(),
    };
    match is_it {
        true => Ok(overview),
        false => Err(api.unintelligible("the answer is not about the draft that was asked for")),
    }
}

/// The metadata stands in the configuration, like an envelope's. Where the platform refuses that in its own words, or leaves
/// the metadata out, nobody knows whether the customer has any, so we write none.
fn fetch_metadata(api: &Api, draft: Draft) -> Result<Next<Option<Draft>>, Error> {
    let request = api.get(&format!("draft/{}/configuration", draft.id))?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        if is_missing(&response) {
            return Ok(Next::Done(None));
        }
        let is_told = own_status(&response) != Some(404) && configuration(&api, &response)?.is_some();
        let told = if is_told { api.answer::<DraftOverview>(&response)?.meta_data } else { None };
        let metadata = told.unwrap_or_else(|| Some(UNTOLD.to_owned()));
        Ok(Next::Done(Some(Draft { metadata, ..draft })))
    })))
}

pub(super) fn mark(access: &Access, draft: &Draft, marks: &DraftMarks) -> Result<Call<()>, Error> {
    let api = Api::new("esignanywhere mark draft", access)?;
    let id = draft_guid(api.operation, &draft.id)?;
    let urls = marked_urls(&marks.callback_base, &id);
    let update = UpdateDraft {
        draft_id: &id,
        callback_configuration: DraftCallbacks {
            callback_url: urls.envelope,
            status_update_callback_url: urls.status,
            after_send_callback_url: urls.draft,
        },
        meta_data: own_metadata(&api, &id, draft, marks)?,
    };
    let request = api.post("draft/update", &update)?;
    let base = Secret::new(marks.callback_base.as_str());
    Ok(api.clone().then(request, move |response| {
        if !response.status().is_success() {
            let hides = |said: &str| shows_url(said, &id) || repeats(said, &base);
            return Err(refused_hiding(api.operation, &response, hides));
        }
        match Body::of(response.body()) {
            Body::Empty | Body::Json(_) => Ok(Next::Done(())),
            Body::Foreign => Err(refused_by_stranger(api.operation, response.status(), None)),
        }
    }))
}

/// Our metadata, where there is none, or our own of the draft that this one was copied from.
fn own_metadata(api: &Api, id: &str, draft: &Draft, marks: &DraftMarks) -> Result<Option<String>, Error> {
    let is_ours = |text: &String| serde_json::from_str::<OwnMetadata>(text).is_ok();
    if !draft.metadata.as_ref().is_none_or(is_ours) {
        return Ok(None);
    }
    let own = OwnMetadata { aftersign: Origin { account: marks.account.clone(), draft: id.to_owned() } };
    let text = serde_json::to_string(&own).map_err(|error| {
        api.error(ErrorKind::Misconfigured, Remedy::AskPerson, "the metadata has no JSON form")
            .caused_by(error)
    })?;
    Ok(Some(text))
}

/// Whether words of the platform hold a URL, or what is left of one of ours where its beginning was cut off. A platform that
/// takes offence at a callback's URL may quote it, and the path secret stands in it.
fn shows_url(said: &str, draft: &str) -> bool {
    let said = plain(said);
    ["://", "/callbacks/", &format!("draft={draft}")].iter().any(|part| said.contains(part))
}

/// Whether words of the platform repeat anything of the path secret, with which the base of the callback URLs ends.
fn repeats(said: &str, base: &Secret) -> bool {
    let (said, base) = (plain(said), plain(base.expose()));
    let secret = base.trim_end_matches('/').rsplit('/').next().unwrap_or_default().as_bytes();
    let part = PART_BYTES.min(secret.len()).max(1);
    secret.windows(part).any(|part| said.as_bytes().windows(part.len()).any(|said| said == part))
}

/// In lower case, without percent-encoding and backslashes: a quotation may differ in these.
fn plain(text: &str) -> Zeroizing<String> {
    let text = percent_decode_str(text).decode_utf8_lossy();
    Zeroizing::new(text.to_lowercase().replace('\\', ""))
}

pub(super) fn send(access: &Access, draft: &str) -> Result<Call<SentAs>, Error> {
    let api = Api::new("esignanywhere send draft", access)?;
    let id = draft_guid(api.operation, draft)?;
    let request = api.post("draft/send", &SendDraft { draft_id: &id })?;
    Ok(api.clone().then(request, move |response| {
        if !response.status().is_success() {
            return Err(not_sent(&api, &id, &response));
        }
        let sent: DraftSent = api.answer(&response)?;
        sent_as(sent).map(Next::Done).ok_or_else(|| {
            api.unintelligible(
                "the draft was taken, and the answer does not name what it became; look for it",
            )
        })
    }))
}

/// What a draft became; `None` unless all of it is named.
fn sent_as(sent: DraftSent) -> Option<SentAs> {
    let children = sent.envelope_bulk.unwrap_or_default().envelope_bulk_children;
    let all = sent.envelope.map(Some).into_iter().chain(children);
    let ids: Option<SentAs> =
        all.map(|one| one?.envelope_id.as_deref().and_then(guid).map(EnvelopeId::new)).collect();
    ids.filter(|ids| !ids.is_empty())
}

/// What a refusal of the sending means. For certain it was not sent only where the platform itself says so: its refusals
/// bear a name, but for that of the token. Whatever else comes may be the answer of somebody in between.
fn not_sent(api: &Api, draft: &str, response: &Response<Bytes>) -> Error {
    let refusal = refused_hiding(api.operation, response, |said| shows_url(said, draft));
    let is_certain = match own_status(response) {
        Some(401) => true,
        Some(404) => is_missing(response),
        Some(400..=499) => names_error(response),
        _ => false,
    };
    let says_not = matches!(
        refusal.kind(),
        ErrorKind::Rejected
            | ErrorKind::Forbidden
            | ErrorKind::AccessRefused
            | ErrorKind::NotFound
            | ErrorKind::Misconfigured
    );
    if is_missing(response) {
        let message = "the platform knows no such draft for this sender: it was sent or deleted meanwhile";
        return api.error(ErrorKind::NotFound, Remedy::AskPerson, message);
    }
    if is_certain || !says_not {
        return refusal;
    }
    unintelligible(
        api.operation,
        "whether the draft was sent is not known: the refusal is not the platform's own",
    )
    .with("status", response.status().as_u16())
}

pub(super) fn trace(access: &Access, draft: &str, asked_at: Timestamp) -> Result<Call<DraftTrace>, Error> {
    let api = Api::new("esignanywhere trace draft", access)?;
    let id = draft_guid(api.operation, draft)?;
    let request = api.get(&format!("draft/{id}"))?;
    Ok(api.clone().then(request, move |response| {
        if is_missing(&response) {
            return find_sent(&api, id, asked_at);
        }
        read_overview(&api, &id, &response)?;
        Ok(Next::Done(DraftTrace::StillDraft))
    }))
}

/// The draft is gone: what was sent about then, and bears its id?
fn find_sent(api: &Api, id: String, asked_at: Timestamp) -> Result<Next<DraftTrace>, Error> {
    let from = asked_at.checked_sub(SENT_BEFORE).unwrap_or(asked_at);
    let until = asked_at.checked_add(SENT_AFTER).unwrap_or(asked_at);
    let find = Find { start_date: day(from), end_date: day(until), status: None };
    let request = api.post("envelope/find", &find)?;
    let api = api.clone();
    Ok(Next::Then(api.clone().then(request, move |response| {
        let found: Found = api.answer(&response)?;
        let search = Search::of(api, id, found);
        if search.to_ask.len() > ASKED_MAX {
            return Err(search.too_many());
        }
        search.go_on()
    })))
}

/// A search for the envelopes that bear a draft's id.
struct Search {
    api: Api,
    id: String,
    sent: SentAs,
    /// What is not decided yet.
    to_ask: Vec<Alike>,
    /// Configurations asked for so far.
    asked: usize,
}

/// The children of a bulk that were found, or an envelope of its own: one of them tells for all.
#[derive(Default)]
struct Alike {
    envelopes: Vec<EnvelopeId>,
    /// Whether the metadata of one of them bears the draft's id.
    is_it: bool,
    /// How many of them, from the first on, the platform hides from us.
    hidden: usize,
}

impl Search {
    /// A row may tell by its metadata; else a configuration must be asked for. A row without an id names nothing.
    fn of(api: Api, id: String, found: Found) -> Self {
        let mut all: BTreeMap<String, Alike> = BTreeMap::new();
        for row in found.envelopes.into_iter().flatten() {
            let Some(envelope) = row.id.as_deref().and_then(guid) else { continue };
            let parent = row.envelope_bulk_parent_id.as_deref().and_then(guid);
            let alike = all.entry(parent.unwrap_or_else(|| envelope.clone())).or_default();
            alike.is_it |= bears(row.meta_data.as_deref(), &id);
            alike.envelopes.push(EnvelopeId::new(envelope));
        }
        let (sent, to_ask): (Vec<_>, Vec<_>) = all.into_values().partition(|alike| alike.is_it);
        let sent = sent.into_iter().flat_map(|alike| alike.envelopes).collect();
        Self { api, id, sent, to_ask, asked: 0 }
    }

    fn go_on(mut self) -> Result<Next<DraftTrace>, Error> {
        let Some(alike) = self.to_ask.pop() else {
            let trace = if self.sent.is_empty() { DraftTrace::Gone } else { DraftTrace::Sent(self.sent) };
            return Ok(Next::Done(trace));
        };
        // Of what the platform hides from us nothing is known; it is not ours.
        let Some(envelope) = alike.envelopes.iter().take(CHILDREN_ASKED_MAX).nth(alike.hidden) else {
            return self.go_on();
        };
        if self.asked == ASKED_MAX {
            self.to_ask.push(alike);
            return Err(self.too_many());
        }
        self.asked += 1;
        let request = self.api.get(&format!("envelope/{envelope}/configuration"))?;
        Ok(Next::Then(self.api.clone().then(request, move |response| {
            match configuration(&self.api, &response)? {
                Some(configuration) if self.is_it(&configuration) => self.sent.extend(alike.envelopes),
                Some(_) => {}
                None => self.to_ask.push(Alike { hidden: alike.hidden + 1, ..alike }),
            }
            self.go_on()
        })))
    }

    fn is_it(&self, configuration: &Configuration) -> bool {
        let url = configuration.callback_configuration.as_ref().and_then(|it| it.callback_url.as_deref());
        bears(url, &self.id) || bears(configuration.meta_data.as_deref(), &self.id)
    }

    fn too_many(&self) -> Error {
        let message = format!(
            "so many envelopes were sent about then that one search does not tell which of them the draft became: more than \
             {ASKED_MAX} configurations would have to be asked for"
        );
        let error = self.api.error(ErrorKind::NotReady, Remedy::Retry(None), &message);
        error.with("undecided", self.to_ask.len())
    }
}

fn bears(text: Option<&str>, id: &str) -> bool {
    text.is_some_and(|text| text.to_ascii_lowercase().contains(id))
}

/// The document inbox has no documented place, so it is the start page unless an option says better.
pub(super) fn inbox_url(access: &Access) -> Option<String> {
    const OPERATION: &str = "esignanywhere inbox";
    let usable = |url: &str| checked_url(OPERATION, INBOX_URL.name, url).map(str::to_owned).ok();
    let start = || usable(&format!("{}/", root(OPERATION, access).ok()?));
    access.option(INBOX_URL.name).and_then(usable).or_else(start)
}
