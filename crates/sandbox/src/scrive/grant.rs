//! How a client gets a user's credential by OAuth 1.0: temporary credentials, the user's word, and the lasting ones, all by
//! GET, with PLAINTEXT signatures and the oddities that Scrive's clients have met. Every grant is asked for; nothing ends
//! before the user takes it back.

use std::collections::BTreeSet;
use std::time::Instant;

use http::{Method, StatusCode};

use super::api::{error, spoiled};
use super::auth::Header;
use crate::config::Vendor;
use crate::exchange::{Answer, HTML_PAGE, Inbound, Operation, perform};
use crate::faults::OperationClass;
use crate::people::oauth::{app, with_parameters};
use crate::people::pages::{Gate, Wish, gate, refusal};
use crate::people::{NewToken, Temporary, TokenTrouble};
use crate::world::{State, World};

/// What stands for the second half of the signature before there is one.
const DUMMY_SECRET: &str = "aaaaaa";
const PRIVILEGES: [&str; 4] = ["DOC_CREATE", "DOC_CHECK", "DOC_SEND", "FULL_ACCESS"];
/// More requests are not kept on their way; the oldest go first.
const TEMPORARY_MAX: usize = 1_000;
const FORM: &str = "application/x-www-form-urlencoded";

/// Answers a request below `/scrive/oauth`. Faults come before anything is used up, and never in a browser.
pub(super) async fn handle(world: &World, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    let work: fn(&World, &Inbound) -> Result<Answer, Answer> = match path {
        ["authorization"] => return Some(authorization(world, inbound)),
        ["temporarycredentials"] => temporary_credentials,
        ["tokencredentials"] => token_credentials,
        _ => return Some(Answer::empty(StatusCode::NOT_FOUND)),
    };
    if inbound.method != Method::GET {
        return Some(Answer::empty(StatusCode::METHOD_NOT_ALLOWED).with_header("allow", "GET"));
    }
    let header = inbound.header("authorization").unwrap_or_default();
    let operation = Operation {
        vendor: Vendor::Scrive,
        class: OperationClass::Read,
        key: format!("scrive/oauth/{path:?}/{header}"),
    };
    let work = async { work(world, inbound).unwrap_or_else(|refused| refused) };
    perform(world, &operation, |fault| spoiled(fault, false), work).await
}

fn unauthorised() -> Answer {
    error(401, "invalid_authorisation", "No valid access credentials were provided.")
}

fn invalid(parameter: &str) -> Answer {
    let message = format!("The parameter '{parameter}' had invalid value.");
    error(400, "request_parameters_invalid", &message)
}

/// The header and the secret of the application that it names.
fn client(state: &State, inbound: &Inbound) -> Option<(Header, String)> {
    let header = Header::parse(inbound.header("authorization")?)?;
    let (_, app) = app(state, Vendor::Scrive, header.get("oauth_consumer_key")?)?;
    Some((header, app.client_secret.clone()))
}

fn temporary_credentials(world: &World, inbound: &Inbound) -> Result<Answer, Answer> {
    world.change(|s| {
        let (header, secret) = client(s, inbound).ok_or_else(unauthorised)?;
        if header.get("oauth_signature") != Some(&format!("{secret}&{DUMMY_SECRET}")) {
            return Err(unauthorised());
        }
        let client_id = header.get("oauth_consumer_key").unwrap_or_default().to_owned();
        let callback = header.get("oauth_callback").unwrap_or_default().to_owned();
        let registered = app(s, Vendor::Scrive, &client_id).map(|(_, app)| app.redirect_uri.as_str());
        let is_web = callback.starts_with("https://") || callback.starts_with("http://");
        if !is_web || !registered.is_some_and(|registered| callback.starts_with(registered)) {
            return Err(invalid("oauth_callback"));
        }
        let wanted = inbound.query("privileges").unwrap_or_default().split('+');
        let privileges: BTreeSet<String> = wanted.map(str::to_owned).collect();
        if !privileges.iter().all(|privilege| PRIVILEGES.contains(&privilege.as_str())) {
            return Err(invalid("privileges"));
        }
        let mut rng = s.people.draw();
        let token = format!("{}_{}", rng.hex(16), rng.between(1, 99_999));
        let secret = rng.hex(16);
        let body = format!("oauth_token={token}&oauth_token_secret={secret}&oauth_callback_confirmed=true");
        let temporary = &mut s.people.temporary;
        if temporary.len() >= TEMPORARY_MAX {
            temporary.remove(0);
        }
        temporary.push(Temporary { token, secret, client_id, callback, privileges, allowed: None });
        Ok(Answer::page(StatusCode::OK, FORM, body))
    })
}

/// What the user sees, who comes back to the callback with an empty parameter first.
fn authorization(world: &World, inbound: &Inbound) -> Answer {
    let token = inbound.query("oauth_token").unwrap_or_default();
    let asked = world.look(|s| {
        let open = |temporary: &&Temporary| temporary.token == token && temporary.allowed.is_none();
        let temporary = s.people.temporary.iter().find(open)?;
        let (account, _) = app(s, Vendor::Scrive, &temporary.client_id)?;
        Some((account.to_owned(), temporary.client_id.clone(), temporary.callback.clone()))
    });
    let Some((account_id, client_id, callback)) = asked else {
        return refusal(StatusCode::BAD_REQUEST, "Nobody asks for this, or it was answered already.");
    };
    let wish =
        Wish { vendor: Vendor::Scrive, account_id: &account_id, client_id: &client_id, remembers: false };
    let (name, value) = match gate(world, inbound, &wish) {
        Gate::Page(answer) => return answer,
        Gate::Denied => {
            world.change(|s| s.people.temporary.retain(|temporary| temporary.token != token));
            ("denied", "true".to_owned())
        }
        Gate::Allowed(user) => {
            let verifier = world.change(|s| {
                let verifier = s.people.draw().hex(16);
                let mut all = s.people.temporary.iter_mut();
                if let Some(temporary) = all.find(|temporary| temporary.token == token) {
                    temporary.allowed = Some((user, verifier.clone()));
                }
                verifier
            });
            ("oauth_verifier", verifier)
        }
    };
    let back = with_parameters(&callback, &[("", ""), ("oauth_token", token), (name, &value)]);
    Answer::empty(StatusCode::FOUND).with_header("location", back).with_header("cache-control", "no-store")
}

fn token_credentials(world: &World, inbound: &Inbound) -> Result<Answer, Answer> {
    world.change(|s| {
        let (header, secret) = client(s, inbound).ok_or_else(unauthorised)?;
        let client_id = header.get("oauth_consumer_key");
        let account =
            client_id.and_then(|id| app(s, Vendor::Scrive, id)).map(|(account, _)| account.to_owned());
        if let Some(trouble) = account.and_then(|account| s.people.next_trouble(&account)) {
            return Ok(troubled(trouble));
        }
        let position = s.people.temporary.iter().position(|temporary| {
            let verifier = temporary.allowed.as_ref().map(|(_, verifier)| verifier.as_str());
            header.get("oauth_token") == Some(&temporary.token)
                && client_id == Some(&temporary.client_id)
                && verifier.is_some()
                && header.get("oauth_verifier") == verifier
                && header.get("oauth_signature") == Some(&format!("{secret}&{}", temporary.secret))
        });
        let temporary = position.map(|position| s.people.temporary.remove(position));
        let temporary = temporary.ok_or_else(unauthorised)?;
        let (user, _) = temporary.allowed.ok_or_else(unauthorised)?;
        let new = NewToken {
            user,
            client_id: temporary.client_id,
            privileges: temporary.privileges,
            life: None,
            grant: 0,
        };
        let token = s.people.issue(new, Instant::now());
        let body = format!("oauth_token={}&oauth_token_secret={}", token.value, token.secret);
        Ok(Answer::page(StatusCode::OK, FORM, body))
    })
}

fn troubled(trouble: TokenTrouble) -> Answer {
    match trouble {
        TokenTrouble::Html => Answer::page(StatusCode::OK, "text/html; charset=utf-8", HTML_PAGE),
        TokenTrouble::ServerError => error(500, "server_error", "The server has failed."),
        TokenTrouble::NoToken => Answer::page(StatusCode::OK, FORM, "oauth_token_secret="),
    }
}
