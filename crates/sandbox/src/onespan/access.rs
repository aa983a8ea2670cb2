//! Who may do what: the API key, sent as it is, and tokens of two kinds, which end.
//!
//! A token's life is the platform's on the world's clock, but never shorter than a client needs that renews ahead of the end;
//! what the answer says of its end is true, unless a fault revokes the token before. An account of the real platform chooses
//! one of the families (key and client app, or OAuth 2.0); here all of them work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{OWNER, error, sender_id, senders, spoiled};
use crate::clock::Pace;
use crate::config::Vendor;
use crate::exchange::{Answer, Inbound, Operation, parse_form, perform};
use crate::faults::OperationClass;
use crate::rng::Rng;
use crate::world::{State, World};

/// The life of a client app's token.
const CLIENT_APP_SECONDS: f64 = 1800.0;
/// The life of an OAuth 2.0 token.
const OAUTH_SECONDS: f64 = 299.0;
/// No client app's token ends sooner, however fast the world runs: clients renew up to a minute ahead, and must be able to use
/// one again before.
const CLIENT_APP_REAL_MIN: Duration = Duration::from_secs(90);
/// The same for OAuth 2.0, where ten seconds ahead are documented.
const OAUTH_REAL_MIN: Duration = Duration::from_secs(30);
/// After which share of its life a revoked token is refused: never while it is new, which would look like a wrong credential.
const REVOKED_AFTER: (f64, f64) = (0.1, 0.5);

/// An access token that was given out.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    value: String,
    /// `None`: the account's owner.
    sender: Option<String>,
    until: Instant,
    /// When a fault takes it back, although its answer promised more.
    revoked_from: Option<Instant>,
}

impl Token {
    fn lives_at(&self, now: Instant) -> bool {
        now < self.until
    }

    fn is_revoked_at(&self, now: Instant) -> bool {
        self.revoked_from.is_some_and(|from| now >= from)
    }
}

/// What a caller has shown to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) account: String,
    /// The only sender whose packages it shows; `None` for the owner, who can open everybody's.
    pub(super) sender: Option<String>,
}

impl Access {
    /// Whose own packages are meant when nobody is named.
    pub(super) fn email(&self) -> &str {
        self.sender.as_deref().unwrap_or(OWNER)
    }

    pub(super) fn may_see(&self, sender: &str) -> bool {
        self.sender.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(sender))
    }
}

/// Who calls, by `Authorization: Basic <API key as it is>` or `Bearer <token>`.
pub(super) fn authenticate(world: &World, inbound: &Inbound) -> Option<Access> {
    let (scheme, credential) = inbound.header("authorization")?.split_once(' ')?;
    let now = Instant::now();
    world.change(|s| {
        let mut accounts = s.accounts.values_mut().filter(|account| account.spec.vendor == Vendor::OneSpan);
        if scheme.eq_ignore_ascii_case("basic") {
            let account = accounts.find(|account| account.spec.api_key == credential)?;
            return Some(Access { account: account.spec.id.clone(), sender: None });
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (access, revoked) = accounts.find_map(|account| {
            let fits = |token: &Token| token.value == credential && token.lives_at(now);
            let position = account.tokens.iter().position(fits)?;
            let revoked = account.tokens[position].is_revoked_at(now);
            let sender = account.tokens[position].sender.clone();
            if revoked {
                account.tokens.remove(position);
            }
            Some((Access { account: account.spec.id.clone(), sender }, revoked))
        })?;
        if revoked {
            s.count_fault("token-revoked");
        }
        (!revoked).then_some(access)
    })
}

/// Answers the two token endpoints, which are not below `/api`.
pub(super) async fn give_token(world: &Arc<World>, inbound: &Inbound, path: &[&str]) -> Option<Answer> {
    if inbound.method != Method::POST {
        return Some(error(405, "error.methodNotAllowed.default", "Method not allowed"));
    }
    let by_oauth = path.first() == Some(&"oauth2");
    let key = format!("token/{}", path.join("/"));
    let operation = Operation { vendor: Vendor::OneSpan, class: OperationClass::Read, key };
    let work = async { if by_oauth { oauth(world, inbound) } else { client_app(world, inbound) } };
    perform(world, &operation, spoiled, work).await
}

fn client_app(world: &World, inbound: &Inbound) -> Answer {
    let Some(body) = inbound.json() else {
        return error(400, "error.validation.body", "The body must be a JSON object.");
    };
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    world.change(|s| {
        let Some(account) = by_secret(s, text("clientId"), text("secret")) else {
            return error(401, "error.unauthorised.clientApp", "The client id or the secret is wrong.");
        };
        let sender = match text("type") {
            "OWNER" => None,
            "SENDER" => {
                let all = senders(s, &account);
                match all.into_iter().find(|known| known.eq_ignore_ascii_case(text("email"))) {
                    Some(sender) => Some(sender),
                    None => return error(404, "error.notFound.userNotFound", "There is no such sender."),
                }
            }
            _ => return error(400, "error.validation.type", "The type must be OWNER or SENDER."),
        };
        let real = life(world.pace, CLIENT_APP_SECONDS, CLIENT_APP_REAL_MIN);
        let value = add_token(world, s, &account, sender, real, None);
        let ends = Timestamp::now().as_millisecond() + i64::try_from(real.as_millis()).unwrap_or(0);
        Answer::ok(json!({ "accessToken": value, "expiresAt": ends }))
    })
}

fn oauth(world: &World, inbound: &Inbound) -> Answer {
    let refuse = |status, name: &str| Answer::json(status, json!({ "error": name }));
    let form = parse_form(&String::from_utf8_lossy(&inbound.body));
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let given = inbound.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let given = given.and_then(|encoded| BASE64.decode(encoded).ok());
    let given = given.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (id, secret) = given.split_once(':').unwrap_or_default();
    world.change(|s| {
        let Some(account) = by_secret(s, id, secret) else {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        };
        if field("grant_type") != Some("client_credentials") {
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
        }
        let sender = match field("sender_id") {
            None => None,
            Some(id) => {
                let all = senders(s, &account);
                match all.into_iter().find(|known| sender_id(world, &account, known) == id) {
                    Some(sender) => Some(sender),
                    None => return refuse(StatusCode::BAD_REQUEST, "invalid_request"),
                }
            }
        };
        let real = life(world.pace, OAUTH_SECONDS, OAUTH_REAL_MIN);
        let expiry = Timestamp::now().as_second() + i64::try_from(real.as_secs()).unwrap_or(0);
        let claims = json!({ "sub": account, "exp": expiry });
        let value = add_token(world, s, &account, sender, real, Some(&claims));
        Answer::ok(json!({
            "access_token": value, "token_type": "Bearer", "scope": "account",
            "expires_in": real.as_secs(),
        }))
    })
}

/// How long a token really lives.
fn life(pace: Pace, seconds: f64, real_min: Duration) -> Duration {
    pace.seconds(seconds).max(real_min)
}

/// The account that has both secrets.
fn by_secret(state: &State, id: &str, secret: &str) -> Option<String> {
    let is = |account: &crate::world::Account, name: &str, given: &str| {
        account.spec.secrets.get(name).is_some_and(|known| known == given)
    };
    let fits = |account: &&crate::world::Account| {
        account.spec.vendor == Vendor::OneSpan
            && is(account, "client_id", id)
            && is(account, "client_secret", secret)
    };
    state.accounts.values().find(fits).map(|account| account.spec.id.clone())
}

/// Notes a token, with claims one that looks like a JWT, and forgets those that have ended.
fn add_token(
    world: &World,
    state: &mut State,
    account: &str,
    sender: Option<String>,
    real: Duration,
    claims: Option<&Value>,
) -> String {
    let now = Instant::now();
    let Some(account) = state.accounts.get_mut(account) else { return String::new() };
    account.tokens.retain(|token| token.lives_at(now));
    account.tokens_given += 1;
    let mut rng = Rng::keyed(world.seed, &format!("{}/token/{}", account.spec.id, account.tokens_given));
    let value = match claims {
        None => BASE64.encode(rng.hex(48)),
        Some(claims) => {
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let head = part(r#"{"alg":"RS256","typ":"JWT"}"#);
            format!("{head}.{}.{}", part(&claims.to_string()), part(&rng.hex(32)))
        }
    };
    let revoked_from = rng.chance(world.lossy).then(|| {
        let (low, high) = REVOKED_AFTER;
        now + real.mul_f64(rng.between_f64(low, high))
    });
    account.tokens.push(Token { value: value.clone(), sender, until: now + real, revoked_from });
    value
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{
        CLIENT_APP_REAL_MIN, CLIENT_APP_SECONDS, OAUTH_REAL_MIN, OAUTH_SECONDS, REVOKED_AFTER, Token, life,
    };
    use crate::clock::Pace;

    #[test]
    fn a_token_lives_as_long_as_the_platform_says_but_long_enough_to_be_used_again() {
        let lives = |scale: f64| {
            let pace = Pace::new(scale).unwrap();
            let seconds = [(CLIENT_APP_SECONDS, CLIENT_APP_REAL_MIN), (OAUTH_SECONDS, OAUTH_REAL_MIN)];
            seconds.map(|(seconds, real_min)| life(pace, seconds, real_min).as_secs())
        };
        assert_eq!(lives(1.0), [1800, 299]);
        assert_eq!(lives(3600.0), [90, 30]);
        // The shortest a client can have used one before it is revoked.
        assert!(OAUTH_REAL_MIN.mul_f64(REVOKED_AFTER.0) >= Duration::from_secs(3));
    }

    #[test]
    fn a_token_ends_when_it_said_and_a_revoked_one_sooner() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let kept = Token { value: "t".to_owned(), sender: None, until: after(30), revoked_from: None };
        let revoked = Token { revoked_from: Some(after(3)), ..kept.clone() };
        assert!(kept.lives_at(after(29)) && !kept.lives_at(after(30)));
        assert!(!kept.is_revoked_at(after(29)));
        assert!(!revoked.is_revoked_at(after(2)) && revoked.is_revoked_at(after(3)));
    }
}
