//! What a person with `curl` needs: an explanation, the ledger, and the means to make things happen. Not part of any platform,
//! never spoiled by faults, and not protected.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::config::{AccountSpec, Vendor};
use crate::exchange::{Answer, Inbound};
use crate::ledger::Outcome;
use crate::life;
use crate::sandbox;
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEnvelopes {
    account: String,
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
        },
    );
    Answer::json(StatusCode::CREATED, json!({ "account": id }))
}

fn send_envelopes(world: &Arc<World>, wanted: &NewEnvelopes) -> Answer {
    if wanted.count > ENVELOPES_MAX {
        return refused(&format!("`count` must be at most {ENVELOPES_MAX}"));
    }
    if sandbox::send_envelopes(world, &wanted.account, wanted.count) {
        Answer::json(StatusCode::ACCEPTED, json!({ "account": wanted.account, "count": wanted.count }))
    } else {
        refused("there is no such account; open it with POST /control/accounts")
    }
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
         (or decline, cancel, expire)\n"
    )
}
