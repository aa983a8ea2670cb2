//! What a person with `curl` needs: an explanation, the ledger, and the means to make things happen. Not part of any platform,
//! never spoiled by faults, and not protected.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::config::{AccountSpec, OauthApp, Vendor};
use crate::esignanywhere::{self, DraftSpec};
use crate::exchange::{Answer, Inbound};
use crate::ledger::Outcome;
use crate::life;
use crate::people::{self, User, UserSpec, pages};
use crate::sandbox;
use crate::script::EnvelopeScript;
use crate::world::World;

/// More envelopes are not created by one request.
const ENVELOPES_MAX: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    platform: Vendor,
    id: String,
    #[serde(default)]
    api_key: String,
    callback_url: String,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    oauth: Option<NewOauth>,
    before_send_redirect_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOauth {
    client_id: String,
    client_secret: String,
    redirect_uri: String,
    access_token_seconds: Option<u64>,
    #[serde(default)]
    pkce_required: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    account: String,
    email: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDraft {
    user: String,
    name: String,
    metadata: Option<String>,
    #[serde(default)]
    bulk_recipients: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TokenChange {
    Revoke,
    Disable,
    Enable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeTokens {
    user: String,
    change: TokenChange,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEnvelopes {
    account: String,
    /// The id of the user who sends them; `None`: nobody in particular.
    user: Option<String>,
    count: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Complete,
    Decline,
    Cancel,
    Expire,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndEnvelope {
    envelope: String,
    end: End,
}

/// Answers what belongs to no platform.
pub(crate) async fn handle(world: &Arc<World>, inbound: &Inbound, path: &[&str]) -> Answer {
    match (&inbound.method, path) {
        (&Method::GET, []) => {
            Answer::page(StatusCode::OK, "text/plain; charset=utf-8", explanation(&world.origin))
        }
        (&Method::GET, ["ledger"]) => ledger(world).await,
        (&Method::GET, ["mails"]) => Answer::ok(json!({ "mails": world.look(|s| s.mails.clone()) })),
        (&Method::GET, ["progress"]) => Answer::ok(json!(sandbox::progress(world))),
        (&Method::POST, ["control", "accounts"]) => match serde_json::from_slice(&inbound.body) {
            Ok(account) => open_account(world, account),
            Err(error) => refused(&error.to_string()),
        },
        (&Method::POST, ["control", "envelopes"]) => match serde_json::from_slice(&inbound.body) {
            Ok(envelopes) => send_envelopes(world, &envelopes),
            Err(error) => refused(&error.to_string()),
        },
        (&Method::POST, ["control", "users"]) => match serde_json::from_slice(&inbound.body) {
            Ok(user) => add_user(world, user),
            Err(error) => refused(&error.to_string()),
        },
        (&Method::POST, ["control", "tokens"]) => match serde_json::from_slice(&inbound.body) {
            Ok(wanted) => change_tokens(world, &wanted),
            Err(error) => refused(&error.to_string()),
        },
        (&Method::POST, ["control", "drafts"]) => match serde_json::from_slice(&inbound.body) {
            Ok(draft) => create_draft(world, draft),
            Err(error) => refused(&error.to_string()),
        },
        (&Method::POST, ["control", "end"]) => match serde_json::from_slice(&inbound.body) {
            Ok(wanted) => end_envelope(world, &wanted),
            Err(error) => refused(&error.to_string()),
        },
        _ => Answer::json(StatusCode::NOT_FOUND, json!({ "error": "GET / explains what there is" })),
    }
}

fn refused(why: &str) -> Answer {
    Answer::json(StatusCode::BAD_REQUEST, json!({ "error": why }))
}

async fn ledger(world: &Arc<World>) -> Answer {
    let shared = Arc::clone(world);
    let ledger = tokio::task::spawn_blocking(move || json!(sandbox::ledger(&shared))).await;
    ledger.map_or_else(|_| Answer::empty(StatusCode::INTERNAL_SERVER_ERROR), Answer::ok)
}

fn open_account(world: &World, account: NewAccount) -> Answer {
    if account.id.is_empty() || (account.api_key.is_empty() && account.secrets.is_empty()) {
        return refused("`id` and `api_key` (or `secrets`) must not be empty");
    }
    let id = account.id.clone();
    sandbox::open_account(
        world,
        AccountSpec {
            vendor: account.platform,
            id: account.id,
            api_key: account.api_key,
            callback_url: account.callback_url,
            secrets: account.secrets,
            oauth: account.oauth.map(|oauth| OauthApp {
                client_id: oauth.client_id,
                client_secret: oauth.client_secret,
                redirect_uri: oauth.redirect_uri,
                access_token_seconds: oauth.access_token_seconds,
                pkce_required: oauth.pkce_required,
            }),
            before_send_redirect_url: account.before_send_redirect_url,
        },
    );
    Answer::json(StatusCode::CREATED, json!({ "account": id }))
}

fn send_envelopes(world: &Arc<World>, wanted: &NewEnvelopes) -> Answer {
    if wanted.count > ENVELOPES_MAX {
        return refused(&format!("`count` must be at most {ENVELOPES_MAX}"));
    }
    let owner = match &wanted.user {
        None => None,
        Some(id) => {
            let of_account = |user: &&User| user.account_id == wanted.account;
            let Some(owner) = world.look(|s| s.people.user(id).filter(of_account).map(User::owner)) else {
                return refused("the account has no such user; add them with POST /control/users");
            };
            Some(owner)
        }
    };
    if sandbox::send_envelopes(world, &wanted.account, wanted.count, owner) {
        Answer::json(StatusCode::ACCEPTED, json!({ "account": wanted.account, "count": wanted.count }))
    } else {
        refused("there is no such account; open it with POST /control/accounts")
    }
}

fn add_user(world: &World, wanted: NewUser) -> Answer {
    if wanted.email.is_empty() {
        return refused("`email` must not be empty");
    }
    let spec = UserSpec { email: wanted.email, name: wanted.name };
    let id = people::add_user(world, &wanted.account, spec);
    let cookie = id.as_ref().and_then(|id| world.look(|s| s.people.user(id).map(pages::cookie)));
    match id {
        Some(id) => Answer::json(StatusCode::CREATED, json!({ "user": id, "cookie": cookie })),
        None => refused("there is no such account; open it with POST /control/accounts"),
    }
}

fn change_tokens(world: &World, wanted: &ChangeTokens) -> Answer {
    let found = world.change(|s| match wanted.change {
        TokenChange::Revoke => s.people.revoke(&wanted.user),
        TokenChange::Disable => s.people.switch(&wanted.user, false),
        TokenChange::Enable => s.people.switch(&wanted.user, true),
    });
    if found { Answer::ok(json!({ "user": wanted.user })) } else { refused("there is no such user") }
}

fn create_draft(world: &World, wanted: NewDraft) -> Answer {
    let spec = DraftSpec {
        name: wanted.name,
        metadata: wanted.metadata,
        script: EnvelopeScript::default(),
        bulk_recipients: wanted.bulk_recipients,
    };
    let Some(id) = esignanywhere::create_draft(world, &wanted.user, spec) else {
        return refused("there is no such user at esignanywhere");
    };
    let url = esignanywhere::before_send_url(world, &id);
    Answer::json(StatusCode::CREATED, json!({ "draft": id, "before_send_url": url }))
}

fn end_envelope(world: &Arc<World>, wanted: &EndEnvelope) -> Answer {
    if world.look(|s| s.envelope(&wanted.envelope).is_none()) {
        return refused("there is no such envelope");
    }
    let outcome = match wanted.end {
        End::Complete => Outcome::Completed,
        End::Decline => Outcome::Declined,
        End::Cancel => Outcome::Cancelled,
        End::Expire => Outcome::Expired,
    };
    life::finish(world, &wanted.envelope, outcome);
    Answer::ok(json!({ "envelope": wanted.envelope, "outcome": outcome }))
}

fn explanation(origin: &str) -> String {
    format!(
        "Aftersign sandbox: a world of e-signature platforms, for rehearsals. Nothing here is real or protected.\n\
         \n\
         Platforms (use as base_url of an account)\n\
         \x20 dropbox-sign    {origin}/dropbox-sign/v3   (HTTP Basic: the API key, empty password)\n\
         \x20 esignanywhere   {origin}/esignanywhere     (header apiToken; API below /api/v6, /api/v5)\n\
         \x20 onespan         {origin}/onespan           (Authorization: Basic, the API key as it is; API below /api)\n\
         \x20 scrive          {origin}/scrive            (OAuth 1.0 PLAINTEXT; API below /api/v2, /flow)\n\
         \x20 scrive-flow     {origin}/scrive            (the same, for accounts whose envelopes are flows)\n\
         \n\
         Grants (for an account with an OAuth application)\n\
         \x20 dropbox-sign    {origin}/dropbox-sign/oauth/authorize, and /token\n\
         \x20 esignanywhere   {origin}/esignanywhere/Auth/Authorize, and /ApiToken/Retrieve\n\
         \x20 scrive          {origin}/scrive/oauth/temporarycredentials, then /authorization, then /tokencredentials\n\
         \n\
         Look\n\
         \x20 GET  {origin}/ledger      what was promised, served, announced and lost\n\
         \x20 GET  {origin}/progress    counts\n\
         \x20 GET  {origin}/mails       what onespan mailed to senders instead of sending callbacks again\n\
         \n\
         Act\n\
         \x20 curl {origin}/control/accounts -d '{{\"platform\":\"dropbox-sign\",\"id\":\"hr\",\"api_key\":\"KEY\",\
         \"callback_url\":\"http://127.0.0.1:8080/callbacks/hr/SECRET\"}}'\n\
         \x20 curl {origin}/control/envelopes -d '{{\"account\":\"hr\",\"count\":20}}'\n\
         \x20 curl {origin}/control/end -d '{{\"envelope\":\"ID\",\"end\":\"complete\"}}'   \
         (or decline, cancel, expire)\n\
         \n\
         Act as the people who send (accounts take `oauth` with client_id, client_secret and redirect_uri, and\n\
         `before_send_redirect_url`; envelopes take `user`)\n\
         \x20 curl {origin}/control/users -d '{{\"account\":\"hr\",\"email\":\"anna@example.com\",\"name\":\"Anna Sender\"}}'\n\
         \x20 curl {origin}/control/drafts -d '{{\"user\":\"ID\",\"name\":\"Lease\"}}'   (esignanywhere)\n\
         \x20 curl {origin}/control/tokens -d '{{\"user\":\"ID\",\"change\":\"revoke\"}}'   (or disable, enable)\n"
    )
}
