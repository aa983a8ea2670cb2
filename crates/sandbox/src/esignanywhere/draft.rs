//! Drafts: what a user has prepared in the web UI and not sent. With a page of the integrator before sending, the web UI
//! leaves the sending to that page, which does it by API with the user's own token.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::error;
use super::templates::{self, OwnUrls};
use crate::config::Vendor;
use crate::exchange::{Answer, Inbound};
use crate::ledger::DraftRecord;
use crate::life::{self, Origin};
use crate::people::{Caller, Owner};
use crate::rng::Rng;
use crate::sandbox::create_envelope;
use crate::script::{EnvelopeScript, SignerScript};
use crate::world::{State, World};

/// What a user has prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftSpec {
    /// Its title, and that of the envelope, whatever the script says.
    pub name: String,
    /// The free text, which the envelope has, too; `None`: empty.
    pub metadata: Option<String>,
    /// The life of the envelope that it becomes.
    pub script: EnvelopeScript,
    /// E-mail addresses: each gets an envelope of their own, in which they are the only signer. None: one envelope with the
    /// signers of the script.
    pub bulk_recipients: Vec<String>,
}

/// What goes wrong with a request to send a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendTrouble {
    /// The draft is sent, and the connection ends without an answer.
    AnswerLost,
    /// The draft is sent, and the answer is status 500.
    SentAndServerError,
    /// The draft is not sent, and the answer is status 500.
    NotSentAndServerError,
    /// The draft is not sent: status 400 with ERR0012.
    Refused,
}

/// A draft and what became of it.
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) trouble: Option<SendTrouble>,
    user: String,
    account_id: String,
    spec: DraftSpec,
    own_urls: OwnUrls,
    activity_selection: Value,
    before_send_redirect: Option<String>,
    after_send_redirect: Option<String>,
    is_sent: bool,
    sends_asked: u64,
    sends_done: u64,
    envelopes: Vec<String>,
}

impl Draft {
    pub(crate) fn record(&self) -> DraftRecord {
        DraftRecord {
            id: self.id.clone(),
            user_id: self.user.clone(),
            sends_asked: self.sends_asked,
            sends_done: self.sends_done,
            envelopes: self.envelopes.clone(),
        }
    }
}

/// `None` if there is no such user at eSignAnyWhere.
pub(crate) fn create(world: &World, user_id: &str, spec: DraftSpec) -> Option<String> {
    world.change(|s| {
        let user = s.people.user(user_id).filter(|user| user.vendor == Vendor::ESignAnyWhere)?;
        let account = s.accounts.get(&user.account_id)?;
        let id = Rng::keyed(world.seed, &format!("{}/draft/{}", user.account_id, s.drafts.len())).guid();
        s.drafts.push(Draft {
            id: id.clone(),
            trouble: None,
            user: user.id.clone(),
            account_id: user.account_id.clone(),
            spec,
            own_urls: OwnUrls::default(),
            activity_selection: Value::Null,
            before_send_redirect: account.spec.before_send_redirect_url.clone(),
            after_send_redirect: None,
            is_sent: false,
            sends_asked: 0,
            sends_done: 0,
            envelopes: Vec::new(),
        });
        Some(id)
    })
}

/// `None` if there is no such draft, or no URL to fill in.
pub(crate) fn before_send_url(world: &World, draft_id: &str) -> Option<String> {
    world.look(|s| {
        let draft = s.drafts.iter().find(|draft| draft.id == draft_id)?;
        let organisation = Rng::keyed(world.seed, &format!("{}/organisation", draft.account_id)).guid();
        let values =
            [("EnvelopeId", draft_id), ("SenderUserId", &draft.user), ("OrganizationId", &organisation)];
        Some(templates::fill(draft.before_send_redirect.as_ref()?, &values))
    })
}

/// The draft, if it is the caller's and was not sent.
fn own<'a>(state: &'a mut State, caller: &Caller, id: &str) -> Option<&'a mut Draft> {
    state.drafts.iter_mut().find(|draft| {
        draft.id == id
            && draft.account_id == caller.account
            && caller.user.as_ref() == Some(&draft.user)
            && !draft.is_sent
    })
}

fn missing() -> Answer {
    error(404, "ERR0250", "The draft could not be found.")
}

pub(super) fn get(world: &World, caller: &Caller, id: &str) -> Answer {
    world.change(|s| {
        let Some(draft) = own(s, caller, id) else { return missing() };
        let script = &draft.spec.script;
        let documents = script.documents.iter().enumerate();
        Answer::ok(json!({
            "Id": draft.id,
            "Name": draft.spec.name,
            "Documents": documents.map(|(index, document)| json!({
                "DocumentNumber": index + 1, "FileName": document.name,
            })).collect::<Vec<_>>(),
            "Activities": script.signers.iter().map(|signer| {
                let (given, surname) = signer.name.split_once(' ').unwrap_or((&signer.name, ""));
                json!({ "Action": { "Sign": { "RecipientConfiguration": { "ContactInformation": {
                    "Email": signer.email, "GivenName": given, "Surname": surname,
                } } } } })
            }).collect::<Vec<_>>(),
        }))
    })
}

pub(super) fn configuration(world: &World, caller: &Caller, id: &str) -> Answer {
    world.change(|s| {
        let Some(draft) = own(s, caller, id) else { return missing() };
        Answer::ok(json!({
            "Name": draft.spec.name,
            "MetaData": draft.spec.metadata,
            "CallbackConfiguration": {
                "CallbackUrl": draft.own_urls.envelope,
                "StatusUpdateCallbackUrl": draft.own_urls.status,
                "AfterSendCallbackUrl": draft.own_urls.after_send,
                "ActivityActionCallbackConfiguration": draft.own_urls.workstep.as_ref().map(|url| json!({
                    "Url": url, "ActionCallbackSelection": draft.activity_selection,
                })),
            },
            "RedirectConfiguration": {
                "BeforeSendRedirectUrl": draft.before_send_redirect,
                "AfterSendRedirectUrl": draft.after_send_redirect,
            },
        }))
    })
}

/// Changes what is given; a member that is `null` is cleared. Nothing changes if anything is wrong.
pub(super) fn update(world: &World, caller: &Caller, id: &str, inbound: &Inbound) -> Answer {
    let body = inbound.json().unwrap_or_default();
    world.change(|s| {
        let Some(draft) = own(s, caller, id) else { return missing() };
        match Changes::read(draft, &body) {
            Some(changes) => {
                changes.apply(draft);
                Answer::empty(StatusCode::OK)
            }
            None => error(400, "ERR0011", "A parameter has an invalid format."),
        }
    })
}

/// What a draft is to be like after an update.
struct Changes {
    name: String,
    metadata: Option<String>,
    own_urls: OwnUrls,
    activity_selection: Value,
    before_send_redirect: Option<String>,
    after_send_redirect: Option<String>,
}

impl Changes {
    /// `None` if a member has another type than it should.
    fn read(draft: &Draft, body: &Value) -> Option<Changes> {
        let callbacks = members(body, "CallbackConfiguration")?;
        let redirects = members(body, "RedirectConfiguration")?;
        let activity = members(callbacks, "ActivityActionCallbackConfiguration")?;
        let urls = &draft.own_urls;
        Some(Changes {
            name: changed(body, "Name", &Some(draft.spec.name.clone()))??,
            metadata: changed(body, "MetaData", &draft.spec.metadata)?,
            own_urls: OwnUrls {
                envelope: changed(callbacks, "CallbackUrl", &urls.envelope)?,
                status: changed(callbacks, "StatusUpdateCallbackUrl", &urls.status)?,
                workstep: changed(activity, "Url", &urls.workstep)?,
                after_send: changed(callbacks, "AfterSendCallbackUrl", &urls.after_send)?,
            },
            activity_selection: activity
                .get("ActionCallbackSelection")
                .unwrap_or(&draft.activity_selection)
                .clone(),
            before_send_redirect: changed(redirects, "BeforeSendRedirectUrl", &draft.before_send_redirect)?,
            after_send_redirect: changed(redirects, "AfterSendRedirectUrl", &draft.after_send_redirect)?,
        })
    }

    fn apply(self, draft: &mut Draft) {
        draft.spec.name = self.name;
        draft.spec.metadata = self.metadata;
        draft.own_urls = self.own_urls;
        draft.activity_selection = self.activity_selection;
        draft.before_send_redirect = self.before_send_redirect;
        draft.after_send_redirect = self.after_send_redirect;
    }
}

/// An object of the body; an empty one if it is absent.
fn members<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    match body.get(name) {
        None | Some(Value::Null) => Some(&Value::Null),
        Some(object) => object.is_object().then_some(object),
    }
}

/// The value after the update; the outer `None` says that it is no text.
fn changed(body: &Value, name: &str, before: &Option<String>) -> Option<Option<String>> {
    match body.get(name) {
        None => Some(before.clone()),
        Some(Value::Null) => Some(None),
        Some(text) => text.as_str().map(|text| Some(text.to_owned())),
    }
}

/// Counts a request to send, and answers it if it is one that was told to go wrong.
pub(super) fn ask_to_send(world: &Arc<World>, caller: &Caller, id: &str) -> ControlFlow<Option<Answer>> {
    let trouble = world.change(|s| {
        if let Some(draft) = s.drafts.iter_mut().find(|draft| draft.id == id) {
            draft.sends_asked += 1;
        }
        own(s, caller, id)?.trouble.take()
    });
    let failure = || Some(error(500, "ERR0001", "A general error occurred."));
    match trouble {
        None => ControlFlow::Continue(()),
        Some(SendTrouble::AnswerLost) => {
            drop(send(world, caller, id));
            ControlFlow::Break(None)
        }
        Some(SendTrouble::SentAndServerError) => {
            drop(send(world, caller, id));
            ControlFlow::Break(failure())
        }
        Some(SendTrouble::NotSentAndServerError) => ControlFlow::Break(failure()),
        Some(SendTrouble::Refused) => {
            let refused = error(400, "ERR0012", "The workstep configuration is not valid.");
            ControlFlow::Break(Some(refused))
        }
    }
}

/// What a draft turns into, taken out of it under the lock: whoever comes second finds no draft.
struct Sending {
    owner: Owner,
    account_id: String,
    own_urls: OwnUrls,
    /// With several recipients: the bulk, and one script for each of them with the address.
    bulk: Option<String>,
    scripts: Vec<EnvelopeScript>,
}

fn take(state: &mut State, caller: &Caller, id: &str, seed: u64) -> Option<Sending> {
    let owner = state.people.user(caller.user.as_deref()?)?.owner();
    let draft = own(state, caller, id)?;
    draft.is_sent = true;
    draft.sends_done += 1;
    let recipients = &draft.spec.bulk_recipients;
    let bulk = (!recipients.is_empty()).then(|| Rng::keyed(seed, &format!("bulk/{id}")).guid());
    let script = EnvelopeScript {
        name: draft.spec.name.clone(),
        metadata: draft.spec.metadata.clone().unwrap_or_default(),
        bulk_parent: bulk.clone(),
        ..draft.spec.script.clone()
    };
    let scripts = if recipients.is_empty() {
        vec![script]
    } else {
        let alone = |email: &String| {
            let name = email.split('@').next().unwrap_or_default();
            EnvelopeScript { signers: vec![SignerScript::new(name, email)], ..script.clone() }
        };
        recipients.iter().map(alone).collect()
    };
    Some(Sending {
        owner,
        account_id: draft.account_id.clone(),
        own_urls: draft.own_urls.clone(),
        bulk,
        scripts,
    })
}

/// Sends the draft: it is gone, and one envelope or a bulk is there.
pub(super) fn send(world: &Arc<World>, caller: &Caller, id: &str) -> Answer {
    let Some(sending) = world.change(|s| take(s, caller, id, world.seed)) else { return missing() };
    let mut children = Vec::new();
    for script in sending.scripts {
        let email = script.signers.first().map(|signer| signer.email.clone());
        let origin = Origin { owner: Some(sending.owner.clone()), own_urls: sending.own_urls.clone() };
        let Some(envelope) = create_envelope(world, &sending.account_id, script, origin) else { continue };
        world.change(|s| {
            if let Some(draft) = s.drafts.iter_mut().find(|draft| draft.id == id) {
                draft.envelopes.push(envelope.clone());
            }
        });
        life::tell(world, &envelope, |_, _, sent| templates::after_send(id, sent).into_iter().collect());
        children.push((envelope, email));
    }
    let bulk = sending.bulk.map(|parent| {
        let children: Vec<Value> = children
            .iter()
            .map(|(envelope, email)| json!({ "EnvelopeId": envelope, "BulkRecipientEmail": email }))
            .collect();
        json!({ "EnvelopeBulkParentId": parent, "EnvelopeBulkChildren": children })
    });
    let single = children.first().filter(|_| bulk.is_none());
    Answer::ok(json!({
        "Envelope": single.map(|(envelope, _)| json!({ "EnvelopeId": envelope })),
        "EnvelopeBulk": bulk,
    }))
}
