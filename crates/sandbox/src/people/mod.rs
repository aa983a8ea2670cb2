//! The people who send: users of an account, the tokens they let an application have, and how they take them back. What is
//! decided here takes `now` and gives values; the endpoints of OAuth 2.0 are in `oauth`, those of Scrive's OAuth 1.0 in
//! `scrive::grant`, and what a browser sees in `pages`.

mod controls;
pub(crate) mod oauth;
pub(crate) mod pages;

pub(crate) use controls::add_user;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::Vendor;
use crate::ledger::{TokenRecord, UserRecord};
use crate::rng::Rng;
use crate::world::Envelope;

/// A user of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// The e-mail address: names the user within the account.
    pub email: String,
    /// The full name.
    pub name: String,
}

/// How the next answer of a token endpoint is bad. The code of that request stays unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenTrouble {
    /// An HTML page with status 200.
    Html,
    /// Status 500.
    ServerError,
    /// Status 200 and an object without a token.
    NoToken,
}

/// Who calls an API: an account with its own credential, or one of its users with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) user: Option<String>,
}

impl Caller {
    /// Dropbox Sign shows everything to the account's key. Elsewhere, what a user sent is seen by that user only; what nobody
    /// in particular sent is the account's.
    pub(crate) fn sees(&self, envelope: &Envelope) -> bool {
        let everything = self.user.is_none() && envelope.vendor == Vendor::DropboxSign;
        let owner = envelope.owner.as_ref().map(|owner| owner.user.as_str());
        envelope.account_id == self.account && (everything || self.user.as_deref() == owner)
    }
}

/// Names the caller in the keys of faults.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            None => f.write_str(&self.account),
            Some(user) => write!(f, "{}/{user}", self.account),
        }
    }
}

/// The user who sent an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) email: String,
}

/// A user and what was asked of them.
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) vendor: Vendor,
    pub(crate) email: String,
    pub(crate) name: String,
    /// What the cookie of a signed-in browser says.
    session: String,
    /// The application that may have tokens without asking again.
    consented_to: Option<String>,
    disabled: bool,
    consents_shown: u64,
    consents_allowed: u64,
    consents_denied: u64,
    refreshes: u64,
}

impl User {
    pub(crate) fn owner(&self) -> Owner {
        Owner { user: self.id.clone(), name: self.name.clone(), email: self.email.clone() }
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller { account: self.account_id.clone(), user: Some(self.id.clone()) }
    }

    /// Given name and surname.
    pub(crate) fn names(&self) -> (&str, &str) {
        self.name.split_once(' ').unwrap_or((&self.name, ""))
    }
}

/// What an application got for a user.
pub(crate) struct Token {
    pub(crate) value: String,
    /// Scrive: the second half.
    pub(crate) secret: String,
    /// Dropbox Sign: what another one is got with, once.
    pub(crate) refresh: Option<String>,
    pub(crate) user: String,
    pub(crate) client_id: String,
    /// Scrive: what it may be used for.
    pub(crate) privileges: BTreeSet<String>,
    /// `None`: until it is revoked.
    pub(crate) until: Option<Instant>,
    /// The consent it goes back to.
    pub(crate) grant: u64,
    issued_at: Timestamp,
    revoked: bool,
    asked_when_revoked: u64,
}

/// What a new token is to be like.
pub(crate) struct NewToken {
    pub(crate) user: String,
    pub(crate) client_id: String,
    pub(crate) privileges: BTreeSet<String>,
    /// For how long, with a refresh token; `None`: until it is revoked, and without one.
    pub(crate) life: Option<Duration>,
    pub(crate) grant: u64,
}

/// What an authorisation code is bound to.
#[derive(Clone)]
pub(crate) struct NewCode {
    pub(crate) user: String,
    pub(crate) client_id: String,
    /// As the browser brought it.
    pub(crate) redirect_uri: Option<String>,
    /// PKCE, S256.
    pub(crate) challenge: Option<String>,
    pub(crate) until: Instant,
}

/// An authorisation code that was given out; a used one is kept, to be known when it comes again.
struct Code {
    value: String,
    grant: u64,
    is_used: bool,
    bound: NewCode,
}

/// Scrive: a request for a token on its way through the browser.
pub(crate) struct Temporary {
    pub(crate) token: String,
    pub(crate) secret: String,
    pub(crate) client_id: String,
    pub(crate) callback: String,
    pub(crate) privileges: BTreeSet<String>,
    /// Who allowed it, and the verifier they got.
    pub(crate) allowed: Option<(String, String)>,
}

/// A consent page that was shown and not answered yet.
struct Form {
    token: String,
    user: String,
    /// The request it was shown for.
    target: String,
}

/// The present length of an eSignAnyWhere token.
const ESIGNANYWHERE_TOKEN_LENGTH: usize = 66;
/// More consent pages are not open at a time; the oldest go first.
const FORMS_MAX: usize = 1_000;

/// All users and what they granted.
pub(crate) struct People {
    seed: u64,
    drawn: u64,
    users: Vec<User>,
    tokens: Vec<Token>,
    codes: Vec<Code>,
    forms: VecDeque<Form>,
    pub(crate) temporary: Vec<Temporary>,
    spoiled: BTreeMap<String, VecDeque<TokenTrouble>>,
}

impl People {
    pub(crate) fn new(seed: u64) -> People {
        People {
            seed,
            drawn: 0,
            users: Vec::new(),
            tokens: Vec::new(),
            codes: Vec::new(),
            forms: VecDeque::new(),
            temporary: Vec::new(),
            spoiled: BTreeMap::new(),
        }
    }

    /// A generator for something that was never drawn before.
    pub(crate) fn draw(&mut self) -> Rng {
        self.drawn += 1;
        Rng::keyed(self.seed, &format!("people/{}", self.drawn))
    }

    /// Adds a user, or renames the one with this address; gives the id.
    pub(crate) fn add(&mut self, vendor: Vendor, account_id: &str, spec: UserSpec) -> String {
        let same =
            |user: &&mut User| user.account_id == account_id && user.email.eq_ignore_ascii_case(&spec.email);
        if let Some(known) = self.users.iter_mut().find(same) {
            known.name = spec.name;
            return known.id.clone();
        }
        let mut rng = Rng::keyed(self.seed, &format!("user/{account_id}/{}", spec.email.to_lowercase()));
        let id = match vendor {
            Vendor::ESignAnyWhere => rng.guid(),
            Vendor::DropboxSign => rng.hex(40),
            Vendor::OneSpan => rng.alphanumeric(12),
            Vendor::Scrive | Vendor::ScriveFlow => crate::scrive::number(&mut rng),
        };
        let session = self.draw().hex(32);
        self.users.push(User {
            id: id.clone(),
            account_id: account_id.to_owned(),
            vendor,
            email: spec.email,
            name: spec.name,
            session,
            consented_to: None,
            disabled: false,
            consents_shown: 0,
            consents_allowed: 0,
            consents_denied: 0,
            refreshes: 0,
        });
        id
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    pub(crate) fn of_account<'a>(&'a self, account_id: &'a str) -> impl Iterator<Item = &'a User> {
        self.users.iter().filter(move |user| user.account_id == account_id)
    }

    /// Who calls with this token, if it works. Uses of a revoked one are counted.
    pub(crate) fn by_token(&mut self, platform: &str, value: &str, now: Instant) -> Option<&Token> {
        let users = &self.users;
        let user_of = |token: &Token| users.iter().find(|user| user.id == token.user);
        let position = self.tokens.iter().position(|token| {
            token.value == value && user_of(token).is_some_and(|user| user.vendor.platform() == platform)
        })?;
        let disabled = user_of(&self.tokens[position]).is_none_or(|user| user.disabled);
        let token = &mut self.tokens[position];
        if token.revoked {
            token.asked_when_revoked += 1;
            return None;
        }
        let ended = token.until.is_some_and(|until| now >= until);
        (!disabled && !ended).then_some(token)
    }

    /// The same for platforms where the value alone is the credential.
    pub(crate) fn caller(&mut self, vendor: Vendor, value: &str) -> Option<Caller> {
        let user = self.by_token(vendor.platform(), value, Instant::now())?.user.clone();
        self.user(&user).map(User::caller)
    }

    /// The value of a new code.
    pub(crate) fn give_code(&mut self, bound: NewCode) -> String {
        let value = self.draw().hex(40);
        self.codes.push(Code { value: value.clone(), grant: self.drawn, is_used: false, bound });
        value
    }

    /// Uses a code up, if it fits: what it was bound to, and the grant. A second use takes back what the first one gave.
    pub(crate) fn redeem(
        &mut self,
        value: &str,
        now: Instant,
        fits: impl Fn(&NewCode) -> bool,
    ) -> Option<(NewCode, u64)> {
        let code = self.codes.iter_mut().find(|code| code.value == value)?;
        let grant = code.grant;
        if code.is_used {
            self.take_back(|token| token.grant == grant);
            return None;
        }
        if now >= code.bound.until || !fits(&code.bound) {
            return None;
        }
        code.is_used = true;
        Some((code.bound.clone(), grant))
    }

    /// Gives a token out. eSignAnyWhere's are long; the others' have the shapes that clients have seen.
    pub(crate) fn issue(&mut self, new: NewToken, now: Instant) -> &Token {
        let mut rng = self.draw();
        let vendor = self.user(&new.user).map(|user| user.vendor);
        let value = match vendor {
            Some(Vendor::Scrive | Vendor::ScriveFlow) => format!("{}_{}", rng.hex(16), self.drawn),
            Some(Vendor::ESignAnyWhere) => rng.alphanumeric(ESIGNANYWHERE_TOKEN_LENGTH),
            _ => rng.hex(64),
        };
        let at = self.tokens.len();
        self.tokens.push(Token {
            value,
            secret: rng.hex(16),
            refresh: new.life.map(|_| rng.hex(64)),
            user: new.user,
            client_id: new.client_id,
            privileges: new.privileges,
            until: new.life.map(|life| now + life),
            grant: new.grant,
            issued_at: Timestamp::now(),
            revoked: false,
            asked_when_revoked: 0,
        });
        &self.tokens[at]
    }

    /// Uses a refresh token up: what the next token goes back to.
    pub(crate) fn spend_refresh(&mut self, value: &str, client_id: &str) -> Option<NewToken> {
        let fits =
            |token: &&mut Token| token.refresh.as_deref() == Some(value) && token.client_id == client_id;
        let token = self.tokens.iter_mut().find(fits)?;
        if token.revoked {
            token.asked_when_revoked += 1;
            return None;
        }
        token.refresh = None;
        let next = NewToken {
            user: token.user.clone(),
            client_id: token.client_id.clone(),
            privileges: token.privileges.clone(),
            life: None,
            grant: token.grant,
        };
        if let Some(user) = self.user_mut(&next.user) {
            user.refreshes += 1;
        }
        Some(next)
    }

    fn take_back(&mut self, which: impl Fn(&Token) -> bool) {
        for token in self.tokens.iter_mut().filter(|token| which(token)) {
            token.revoked = true;
        }
    }

    /// The user takes everything back: tokens, codes under way and the consent. `false` if there is no such user.
    pub(crate) fn revoke(&mut self, id: &str) -> bool {
        let Some(user) = self.user_mut(id) else { return false };
        user.consented_to = None;
        self.take_back(|token| token.user == id);
        self.codes.retain(|code| code.bound.user != id || code.is_used);
        self.temporary.retain(|temporary| temporary.allowed.as_ref().is_none_or(|(user, _)| user != id));
        true
    }

    /// The slider: tokens are refused while it is off. `false` if there is no such user.
    pub(crate) fn switch(&mut self, id: &str, on: bool) -> bool {
        let found = self.user_mut(id);
        found.map(|user| user.disabled = !on).is_some()
    }

    pub(crate) fn spoil(&mut self, account_id: &str, trouble: TokenTrouble) {
        self.spoiled.entry(account_id.to_owned()).or_default().push_back(trouble);
    }

    pub(crate) fn next_trouble(&mut self, account_id: &str) -> Option<TokenTrouble> {
        self.spoiled.get_mut(account_id)?.pop_front()
    }

    pub(crate) fn records(&self) -> Vec<UserRecord> {
        self.users.iter().map(|user| self.record(user)).collect()
    }

    fn record(&self, user: &User) -> UserRecord {
        let tokens = self.tokens.iter().filter(|token| token.user == user.id);
        let tokens: Vec<_> = tokens
            .map(|token| TokenRecord {
                issued_at: token.issued_at,
                revoked: token.revoked,
                asked_with_revoked_token: token.asked_when_revoked,
            })
            .collect();
        UserRecord {
            vendor: user.vendor,
            account_id: user.account_id.clone(),
            id: user.id.clone(),
            email: user.email.clone(),
            consents_shown: user.consents_shown,
            consents_allowed: user.consents_allowed,
            consents_denied: user.consents_denied,
            tokens_issued: tokens.len() as u64,
            refreshes: user.refreshes,
            asked_with_revoked_token: tokens.iter().map(|token| token.asked_with_revoked_token).sum(),
            tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{NewCode, People, UserSpec};
    use crate::config::Vendor;

    #[test]
    fn a_code_ends_with_its_time_and_is_bound_to_what_it_was_given_for() {
        let mut people = People::new(1);
        let spec = UserSpec { email: "anna@example.com".to_owned(), name: "Anna Sender".to_owned() };
        let user = people.add(Vendor::ESignAnyWhere, "hr", spec);
        let now = Instant::now();
        let until = now + Duration::from_secs(60);
        let code = people.give_code(NewCode {
            user,
            client_id: "app".to_owned(),
            redirect_uri: None,
            challenge: None,
            until,
        });
        assert!(people.redeem(&code, until, |_| true).is_none());
        assert!(people.redeem(&code, now, |code| code.client_id == "other").is_none());
        assert!(people.redeem(&code, until - Duration::from_millis(1), |_| true).is_some());
        assert!(people.redeem(&code, now, |_| true).is_none());
    }
}
