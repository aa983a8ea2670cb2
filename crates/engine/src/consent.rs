//! The consent desk: what happens when a sender's browser comes to us.
//!
//! Whatever a browser brings is a claim. Who its user is, the platform says (`whoami`, asked with the very access that the
//! consent gave); which draft is theirs, the platform says too. A consent fits one browser, once, for ten minutes; a way
//! back that fits none is worth nothing, whoever made it.

mod kept;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aftersign_core::consent::{Browser, ConsentDesk, Errand, Scene, Trouble, Turn};
use aftersign_core::digest::Digest;
use aftersign_core::error::SENDER;
use aftersign_core::grant::{Grant, GrantKind, Nonces, OauthApp, ReturnAnswer};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::platform::{Access, Credential, Identity, Next};
use aftersign_core::secret::Secret;
use aftersign_core::task::TaskKind;
use aftersign_core::{Error, ErrorKind, Remedy, Timestamp};
use aftersign_store::{NewConsent, NewGrant, Purpose, StoreError, ToldTask};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::limits::{
    CONSENT_LIFE, CONSENTS_PER_MINUTE, PAGE_PARAMETER_CHARS_MAX, RENEWAL_LINK_LIFE, SESSION_LIFE,
    STRANGERS_PER_MINUTE,
};
use crate::{Engine, EngineAccount};
use kept::{Kept, Pass};

/// Answers browsers with the engine's means.
#[derive(Clone)]
pub struct Desk(Arc<Engine>);

impl Desk {
    /// The desk of an engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }
}

/// A key that was sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedKey {
    /// Whose it is, by the platform's word.
    pub identity: Identity,
    /// How many transfers waited for it, and go on.
    pub woken: u64,
}

#[async_trait]
impl ConsentDesk for Desk {
    async fn arrive(&self, account: &AccountId, errand: Errand, browser: &Browser) -> Turn {
        let Some(account) = self.0.account(account) else { return trouble(Trouble::NoSuchPage) };
        let again = Some(errand.clone());
        let answer = match errand {
            Errand::Connect => Ok(self.0.offer(account, None)),
            Errand::Renew(link) => self.0.renew_by(account, link, browser).await,
            Errand::BeforeSend { draft, user, organization, confirmed } => {
                let errand = match before_send(account, &draft, &user, &organization, confirmed) {
                    Ok(errand) => errand,
                    Err(turn) => return turn,
                };
                self.0.before_send(account, errand, browser).await
            }
        };
        self.0.turned(account, answer, again)
    }

    async fn depart(&self, account: &AccountId, browser: &Browser) -> Turn {
        let Some(account) = self.0.account(account) else { return trouble(Trouble::NoSuchPage) };
        let answer = self.0.ask_consent(account, Errand::Connect, browser).await;
        self.0.turned(account, answer, Some(Errand::Connect))
    }

    async fn returned(&self, account: &AccountId, query: &str, browser: &Browser) -> Turn {
        let Some(account) = self.0.account(account) else { return trouble(Trouble::NoSuchPage) };
        let answer = self.0.returned(account, query, browser).await;
        self.0.turned(account, answer, None)
    }

    async fn key_typed(
        &self,
        account: &AccountId,
        fields: Vec<(String, Secret)>,
        link: Option<String>,
        _: &Browser,
    ) -> Turn {
        let Some(account) = self.0.account(account) else { return trouble(Trouble::NoSuchPage) };
        let again = link.clone().map_or(Errand::Connect, Errand::Renew);
        let answer = self.0.key_typed(account, fields, link).await;
        self.0.turned(account, answer, Some(again))
    }

    fn account_of_return(&self, path: &str) -> Option<AccountId> {
        // Requests come without the path that the public URL may have.
        let here = format!("{}{path}", self.0.public_url);
        let leads_here = |app: &OauthApp| app.redirect_uri == here;
        let account = self.0.accounts.iter().find(|account| account.oauth.as_ref().is_some_and(leads_here));
        account.map(|account| account.access.account.clone())
    }
}

impl Engine {
    fn account(&self, id: &AccountId) -> Option<&EngineAccount> {
        self.accounts.iter().find(|account| account.access.account == *id)
    }

    /// Proves whose a typed key is, and seals it; one that is not the `expected` sender's is not kept.
    ///
    /// # Errors
    /// [`ErrorKind::AccessRefused`] or [`ErrorKind::Forbidden`] if the platform refuses it, [`ErrorKind::Rejected`] if it lacks
    /// a field, is somebody else's, or the platform does not say whose it is.
    pub async fn seal_key(
        &self,
        account: &AccountId,
        fields: Vec<(String, Secret)>,
        expected: Option<&SenderId>,
        actor: &str,
    ) -> Result<SealedKey, Error> {
        let account = self.account(account).ok_or_else(|| rejected("there is no such account"))?;
        let (identity, grant) = self.prove_key(account, fields, expected).await?;
        let (_, woken) = self.seal(account, &identity, grant, actor).await?;
        Ok(SealedKey { identity, woken })
    }

    /// Whose a typed key is.
    async fn prove_key(
        &self,
        account: &EngineAccount,
        fields: Vec<(String, Secret)>,
        expected: Option<&SenderId>,
    ) -> Result<(Identity, Grant), Error> {
        let wanted = account.platform.key_fields();
        let kept = fields
            .into_iter()
            .filter(|(name, secret)| wanted.contains(&name.as_str()) && !secret.expose().trim().is_empty());
        // Keys are pasted, often with the blank or line break beside them.
        let credential =
            Credential::new(kept.map(|(name, secret)| (name, Secret::new(secret.expose().trim()))));
        if wanted.is_empty() || credential.field_names().count() != wanted.len() {
            return Err(rejected("a field of the key is missing")
                .with("needed", wanted.join(", "))
                .with("account", &account.access.account));
        }
        let grant = Grant { kind: GrantKind::Key, credential, refresh_token: None, renew_at: None };
        let identity = self.whose(account, &grant).await?;
        if expected.is_some_and(|expected| identity.sender().as_ref() != Some(expected)) {
            return Err(rejected("the key is another sender's").with(SENDER, &identity.name));
        }
        Ok((identity, grant))
    }

    /// A key that a sender typed into a page: by a link, which says whose it must be, or where the account says from whom it
    /// takes access.
    async fn key_typed(
        &self,
        account: &EngineAccount,
        fields: Vec<(String, Secret)>,
        link: Option<String>,
    ) -> Result<Turn, Error> {
        let expected = match &link {
            Some(link) => match self.open_pass(account, Purpose::RenewalLink, link) {
                Some(pass) => Some(pass.sender),
                None => return Ok(trouble_again(Trouble::LinkExpired, Errand::Connect)),
            },
            None if account.senders.is_empty() => return Ok(trouble(Trouble::NoSuchPage)),
            None => None,
        };
        let again = link.map_or(Errand::Connect, Errand::Renew);
        if !self.can_keep() {
            return Ok(trouble(Trouble::OurFault));
        }
        if !self.strangers.admit(&account.access.account, Budget::Questions, self.now()) {
            return Ok(trouble_again(Trouble::Busy, again));
        }
        let (identity, grant) = match self.prove_key(account, fields, expected.as_ref()).await {
            Ok(proven) => proven,
            Err(error) if is_refusal(&error) => return Ok(trouble_again(Trouble::KeyRefused, again)),
            Err(error) => return Err(error),
        };
        if !self.is_welcome(account, &identity).await? {
            return Ok(trouble(Trouble::NotWelcome));
        }
        self.seal(account, &identity, grant, "sender").await?;
        Ok(self.connected(account, &identity))
    }

    /// Whether an account takes access from somebody: they are among those whom it names, if it names any, and no other user
    /// of the platform gave access under their address before (an operator can forget that one).
    async fn is_welcome(&self, account: &EngineAccount, identity: &Identity) -> Result<bool, Error> {
        let Some(sender) = identity.sender() else { return Ok(false) };
        if !account.names(&sender) {
            tracing::warn!(account = %account.access.account, "somebody who is not among the account's `senders` wants to give access");
            return Ok(false);
        }
        let user_id = identity.id.as_deref().map(|id| account.platform.user_id(id));
        let rows = self.store.grants(Some(&account.access.account)).await.map_err(closed)?;
        let before = rows.into_iter().find(|row| row.sender == sender).and_then(|row| row.user_id);
        let is_same = before.is_none() || before == user_id;
        if !is_same {
            tracing::warn!(account = %account.access.account, "another user of the same address gave access before; `aftersign grants forget` makes room");
        }
        Ok(is_same)
    }

    /// Whether what a sender gives can be sealed at all.
    fn can_keep(&self) -> bool {
        self.store.seal_token(Purpose::Session, &Secret::new("probe")).is_ok()
    }

    fn offer(&self, account: &EngineAccount, link: Option<String>) -> Turn {
        let consent = account.oauth.is_some();
        // A page for everybody would take keys of strangers.
        let typed = link.is_some() || !account.senders.is_empty();
        let fields = if typed { account.platform.key_fields() } else { &[] };
        if !consent && fields.is_empty() {
            return trouble(Trouble::NoSuchPage);
        }
        if !self.can_keep() {
            tracing::error!(account = %account.access.account, "senders cannot give access: the vault has no key, see `[vault] keys`");
            return trouble(Trouble::OurFault);
        }
        Scene::Offer { consent, fields, link }.into()
    }

    /// The one-click link by which a sender gives an account access (again).
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] if there is no such account, [`ErrorKind::Misconfigured`] if the vault has no key.
    pub fn link_for(&self, account: &AccountId, sender: &SenderId) -> Result<String, Error> {
        let account = self.account(account).ok_or_else(|| rejected("there is no such account"))?;
        let id = &account.access.account;
        let expires_at = self.now().checked_add(RENEWAL_LINK_LIFE).unwrap_or(Timestamp::MAX);
        let pass = Pass { account: id.clone(), sender: sender.clone(), user_id: None, expires_at };
        let link = self.store.seal_token(Purpose::RenewalLink, &pass.to_secret()).map_err(closed)?;
        Ok(format!("{}/consent/{id}/renew?link={}", self.public_url, link.expose()))
    }

    /// The link for the sender to whom a task is assigned; `None` for tasks of another kind.
    pub(crate) fn renewal_link(&self, task: &ToldTask) -> Option<String> {
        let sender = SenderId::new(&task.assignee).filter(SenderId::is_address)?;
        if task.kind != TaskKind::AccessRefused {
            return None;
        }
        let link = self.link_for(&task.account, &sender);
        link.inspect_err(|error| tracing::warn!(error = error.impersonal_chain(), "cannot make a link")).ok()
    }

    async fn renew_by(
        &self,
        account: &EngineAccount,
        link: String,
        browser: &Browser,
    ) -> Result<Turn, Error> {
        if self.open_pass(account, Purpose::RenewalLink, &link).is_none() {
            return Ok(trouble_again(Trouble::LinkExpired, Errand::Connect));
        }
        match account.oauth {
            Some(_) => self.ask_consent(account, Errand::Renew(link), browser).await,
            None => Ok(self.offer(account, Some(link))),
        }
    }

    fn open_pass(&self, account: &EngineAccount, purpose: Purpose, token: &str) -> Option<Pass> {
        let pass = Pass::read(&self.store.open_token(purpose, token)?)?;
        (pass.account == account.access.account && pass.expires_at > self.now()).then_some(pass)
    }

    async fn before_send(
        self: &Arc<Self>,
        account: &EngineAccount,
        errand: Errand,
        browser: &Browser,
    ) -> Result<Turn, Error> {
        let Errand::BeforeSend { draft, user, confirmed, .. } = &errand else {
            return Ok(self.offer(account, None));
        };
        let session = browser.session.as_ref().map(Secret::expose);
        let pass = session.and_then(|session| self.open_pass(account, Purpose::Session, session));
        let known = pass.filter(|pass| pass.user_id.as_deref() == Some(user));
        let granted = match &known {
            Some(pass) => self.granted(account, &pass.sender).await,
            None => Ok(None),
        };
        let granted = match granted {
            Err(error) if error.kind() == ErrorKind::AccessRefused => None,
            granted => granted?,
        };
        let (Some(pass), Some(granted)) = (known, granted) else {
            return self.ask_consent(account, errand, browser).await;
        };
        let access = granted.access.clone();
        let whoami = |access: Access| async move {
            self.caller.ask(account.platform, &access, |access| account.platform.whoami(access)).await
        };
        match self.with_grant(account, granted, whoami).await {
            Ok(identity) if !self.is_user(account, &identity, user) => {
                return Ok(trouble(Trouble::SomebodyElse));
            }
            Ok(identity) if identity.sender().as_ref() == Some(&pass.sender) => {}
            // The same user under another address: their grant is kept under the earlier one.
            Ok(_) => return self.ask_consent(account, errand, browser).await,
            Err(error) if error.kind() == ErrorKind::AccessRefused => {
                return self.ask_consent(account, errand, browser).await;
            }
            Err(error) => return Err(error),
        }
        // A grant that was renewed on the way is another by now.
        let granted = self.granted(account, &pass.sender).await?;
        let access = granted.map_or(access, |granted| granted.access);
        Ok(self.send(account, access, pass.sender, draft.clone(), *confirmed, errand.clone()).await.into())
    }

    fn is_user(&self, account: &EngineAccount, identity: &Identity, user: &str) -> bool {
        identity.id.as_deref().is_some_and(|id| account.platform.user_id(id) == user)
    }

    /// Sends a browser to the platform's consent page; where there is none, a key can be typed in.
    async fn ask_consent(
        &self,
        account: &EngineAccount,
        errand: Errand,
        browser: &Browser,
    ) -> Result<Turn, Error> {
        let Some(app) = &account.oauth else { return Ok(self.offer(account, None)) };
        let id = &account.access.account;
        let nonces = Nonces { state: self.nonce(), verifier: self.nonce() };
        let begun = account.platform.begin_grant(&account.bare_access(), app, &nonces)?;
        let budget = if matches!(begun, Next::Then(_)) { Budget::Questions } else { Budget::Consents };
        if !self.strangers.admit(id, budget, self.now()) {
            return Ok(trouble_again(Trouble::Busy, errand));
        }
        let departure = self.caller.settle(id, begun).await?;
        let now = self.now();
        let consent = NewConsent {
            account: id.clone(),
            state: Digest::of(departure.state.expose().as_bytes()),
            browser: Digest::of(browser.key.expose().as_bytes()),
            keep: Kept { errand, keep: departure.keep }.to_secret(),
            expires_at: now.checked_add(CONSENT_LIFE).unwrap_or(Timestamp::MAX),
        };
        self.store.begin_consent(consent, now).await.map_err(closed)?;
        Ok(Scene::Depart(departure.url).into())
    }

    async fn returned(
        self: &Arc<Self>,
        account: &EngineAccount,
        query: &str,
        browser: &Browser,
    ) -> Result<Turn, Error> {
        let Some(back) = account.platform.read_return(query) else {
            return Ok(trouble(Trouble::UnknownReturn));
        };
        let id = &account.access.account;
        // Before the consent is taken: who is turned away can come again.
        if !self.strangers.admit(id, Budget::Exchanges, self.now()) {
            return Ok(trouble(Trouble::Busy));
        }
        let state = Digest::of(back.state.expose().as_bytes());
        let key = Digest::of(browser.key.expose().as_bytes());
        let taken = self.store.take_consent(id, state, key, self.now()).await.map_err(closed)?;
        let Some(kept) = taken.as_ref().and_then(Kept::read) else {
            return Ok(trouble(Trouble::UnknownReturn));
        };
        let again = |trouble| Ok(trouble_again(trouble, kept.errand.clone()));
        let code = match back.answer {
            ReturnAnswer::Granted(code) => code,
            ReturnAnswer::Denied => return again(Trouble::Declined),
            ReturnAnswer::Failed(why) => {
                tracing::warn!(account = %id, why, "the authorisation server refuses a consent");
                return again(Trouble::ConsentFailed(why));
            }
        };
        let Some(app) = &account.oauth else { return Ok(trouble(Trouble::UnknownReturn)) };
        let call =
            account.platform.finish_grant(&account.bare_access(), app, &back.state, &code, &kept.keep)?;
        let grant = match self.caller.follow(id, call).await {
            Ok(grant) => grant,
            Err(error) if is_refusal(&error) => {
                tracing::warn!(account = %id, error = error.impersonal_chain(), "a code was not exchanged");
                return again(Trouble::ConsentFailed("the platform did not accept its own code".into()));
            }
            Err(error) => return self.in_the_way(account, error, Some(kept.errand)),
        };
        match self.whose(account, &grant).await {
            Ok(identity) => self.consented(account, kept.errand, identity, grant).await,
            Err(error) => self.in_the_way(account, error, Some(kept.errand)),
        }
    }

    /// A consent came to its end: it counts if its user is the one it is about.
    async fn consented(
        self: &Arc<Self>,
        account: &EngineAccount,
        errand: Errand,
        identity: Identity,
        grant: Grant,
    ) -> Result<Turn, Error> {
        let is_meant = match &errand {
            Errand::Connect => true,
            Errand::BeforeSend { user, .. } => self.is_user(account, &identity, user),
            Errand::Renew(link) => {
                let pass = self.open_pass(account, Purpose::RenewalLink, link);
                pass.is_some_and(|pass| identity.sender() == Some(pass.sender))
            }
        };
        if !is_meant {
            return Ok(trouble_again(Trouble::SomebodyElse, errand));
        }
        if !self.is_welcome(account, &identity).await? {
            return Ok(trouble(Trouble::NotWelcome));
        }
        let access = account.platform.granted(&account.access, account.oauth.as_ref(), &grant);
        let (sender, _) = self.seal(account, &identity, grant, "sender").await?;
        let mut turn = self.connected(account, &identity);
        if let Errand::BeforeSend { draft, confirmed, .. } = &errand {
            turn.scene = self.send(account, access, sender, draft.clone(), *confirmed, errand.clone()).await;
        }
        Ok(turn)
    }

    /// Whose a grant is, by the platform's own word.
    async fn whose(&self, account: &EngineAccount, grant: &Grant) -> Result<Identity, Error> {
        let access = account.platform.granted(&account.access, account.oauth.as_ref(), grant);
        let identity =
            self.caller.ask(account.platform, &access, |access| account.platform.whoami(access)).await?;
        match identity.sender() {
            Some(_) => Ok(identity),
            None => Err(rejected("the platform does not say whose access it is")),
        }
    }

    /// Gives whose it is now, and how many transfers go on.
    async fn seal(
        &self,
        account: &EngineAccount,
        identity: &Identity,
        grant: Grant,
        actor: &str,
    ) -> Result<(SenderId, u64), Error> {
        let sender =
            identity.sender().ok_or_else(|| rejected("the platform does not say whose access it is"))?;
        let new = NewGrant {
            account: account.access.account.clone(),
            sender: sender.clone(),
            user_id: identity.id.as_deref().map(|id| account.platform.user_id(id)),
            grant,
        };
        let woken = self.store.seal_grant(new, actor, self.now()).await.map_err(closed)?;
        tracing::info!(account = %account.access.account, woken, "a sender gave access");
        Ok((sender, woken))
    }

    /// The page at the end, with a session that proves to later visits who the browser's user is.
    fn connected(&self, account: &EngineAccount, identity: &Identity) -> Turn {
        let scene = Scene::Connected { name: identity.name.clone() };
        let pass =
            identity.sender().zip(self.now().checked_add(SESSION_LIFE).ok()).map(|(sender, expires_at)| {
                Pass {
                    account: account.access.account.clone(),
                    sender,
                    user_id: identity.id.as_deref().map(|id| account.platform.user_id(id)),
                    expires_at,
                }
            });
        let sealed = pass.and_then(|pass| self.store.seal_token(Purpose::Session, &pass.to_secret()).ok());
        Turn { scene, session: sealed.map(|session| (session, SESSION_LIFE)) }
    }

    fn nonce(&self) -> Secret {
        let mut bytes = zeroize::Zeroizing::new([0u8; 32]);
        self.entropy.fill(&mut *bytes);
        Secret::new(URL_SAFE_NO_PAD.encode(*bytes))
    }

    fn turned(&self, account: &EngineAccount, answer: Result<Turn, Error>, again: Option<Errand>) -> Turn {
        let answer = answer.or_else(|error| self.in_the_way(account, error, again));
        answer.unwrap_or_else(|_| trouble(Trouble::OurFault))
    }

    /// What a failure looks like from outside. The reason goes to the log.
    pub(crate) fn in_the_way(
        &self,
        account: &EngineAccount,
        error: Error,
        again: Option<Errand>,
    ) -> Result<Turn, Error> {
        let what = match error.kind() {
            ErrorKind::Storage | ErrorKind::Misconfigured | ErrorKind::Corrupt => Trouble::OurFault,
            ErrorKind::AccessRefused | ErrorKind::Forbidden | ErrorKind::Rejected => {
                Trouble::ConsentFailed("the platform refuses to be asked with this access".into())
            }
            _ => Trouble::PlatformSilent,
        };
        let (id, text) = (&account.access.account, error.impersonal_chain());
        tracing::warn!(account = %id, error = text, "a browser could not be served");
        Ok(Scene::Trouble { trouble: what, again }.into())
    }
}

const NO_DRAFT: &str = "the draft is missing or is none of this platform";
const NO_USER: &str = "the user is missing";
const NO_ORGANIZATION: &str = "the organisation has no valid form";

/// Checks what a browser claims about a draft.
#[expect(clippy::result_large_err, reason = "the error is the page")]
fn before_send(
    account: &EngineAccount,
    draft: &str,
    user: &str,
    organization: &str,
    confirmed: bool,
) -> Result<Errand, Turn> {
    if !account.platform.capabilities().before_send_redirect {
        return Err(trouble(Trouble::NoSuchPage));
    }
    let is_plain =
        |text: &str| text.chars().count() <= PAGE_PARAMETER_CHARS_MAX && !text.chars().any(char::is_control);
    let draft = account.platform.draft_id(draft).filter(|id| is_plain(id));
    let user = Some(account.platform.user_id(user)).filter(|id| !id.is_empty() && is_plain(id));
    let organization = Some(organization.trim()).filter(|text| is_plain(text));
    match (draft, user, organization) {
        (None, _, _) => Err(trouble(Trouble::BadParameters(NO_DRAFT))),
        (_, None, _) => Err(trouble(Trouble::BadParameters(NO_USER))),
        (_, _, None) => Err(trouble(Trouble::BadParameters(NO_ORGANIZATION))),
        (Some(draft), Some(user), Some(organization)) => {
            Ok(Errand::BeforeSend { draft, user, organization: organization.into(), confirmed })
        }
    }
}

fn trouble(trouble: Trouble) -> Turn {
    Scene::Trouble { trouble, again: None }.into()
}

fn trouble_again(trouble: Trouble, errand: Errand) -> Turn {
    Scene::Trouble { trouble, again: Some(errand) }.into()
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AccessRefused | ErrorKind::Forbidden | ErrorKind::Rejected)
}

fn rejected(what: &'static str) -> Error {
    Error::new(ErrorKind::Rejected, Remedy::AskPerson, "seal grant", what)
}

/// The store or the vault fails a browser.
pub(crate) fn closed(error: StoreError) -> Error {
    let kind = match error {
        StoreError::KeyMissing { .. } => ErrorKind::Misconfigured,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, Remedy::Retry(None), "serve a browser", "the store failed").caused_by(error)
}

/// What visitors of whom nobody knows who they are may cause.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Budget {
    /// Questions to the platform.
    Questions,
    /// Ways back: two questions or more each.
    Exchanges,
    /// Consents that are begun, of all accounts together: one commit each, and one room for all.
    Consents,
}

/// What strangers caused in the minute under way.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<HashMap<(AccountId, Budget), (i64, u32)>>);

impl Strangers {
    /// Whether one more is allowed.
    fn admit(&self, account: &AccountId, budget: Budget, now: Timestamp) -> bool {
        let minute = now.as_second().div_euclid(60);
        let most = match budget {
            Budget::Questions | Budget::Exchanges => STRANGERS_PER_MINUTE,
            Budget::Consents => CONSENTS_PER_MINUTE,
        };
        let account = if budget == Budget::Consents { AccountId::new("") } else { account.clone() };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, count) = counts.entry((account, budget)).or_insert((minute, 0));
        if *of != minute {
            (*of, *count) = (minute, 0);
        }
        *count = count.saturating_add(1);
        *count <= most
    }
}

#[cfg(test)]
mod tests;
