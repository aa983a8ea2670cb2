//! What a caller of the sandbox does in the place of people: adding them, signing them in, letting them send, and taking back
//! what they granted.

use super::{Owner, TokenTrouble, UserSpec, pages};
use crate::config::Vendor;
use crate::esignanywhere::{self, DraftSpec, SendTrouble};
use crate::life::Origin;
use crate::sandbox::{self, Sandbox};
use crate::script::EnvelopeScript;
use crate::world::World;

impl Sandbox {
    /// Adds a user to an account and gives the platform's id: a GUID at eSignAnyWhere. One whose e-mail address is known there
    /// is renamed.
    ///
    /// # Panics
    /// If the account was not opened.
    pub fn add_user(&self, account_id: &str, user: UserSpec) -> String {
        add_user(self.world(), account_id, user)
            .unwrap_or_else(|| panic!("the account `{account_id}` was not opened in the sandbox"))
    }

    /// Creates one envelope that this user sends; else like [`Sandbox::create_envelope`]. The user is its sender, whatever the
    /// script says. At eSignAnyWhere and Scrive only the user's tokens see it.
    ///
    /// # Panics
    /// If there is no such user, or the script has no signer or no document.
    pub fn create_envelope_of(&self, user_id: &str, script: EnvelopeScript) -> String {
        let (account, owner) = self.owner(user_id);
        let origin = Origin { owner: Some(owner), ..Origin::default() };
        sandbox::create_envelope(self.world(), &account, script, origin)
            .unwrap_or_else(|| panic!("the account `{account}` was not opened in the sandbox"))
    }

    /// Has this user send `count` envelopes; else like [`Sandbox::send_envelopes`].
    ///
    /// # Panics
    /// If there is no such user.
    pub fn send_envelopes_of(&self, user_id: &str, count: usize) {
        let (account, owner) = self.owner(user_id);
        sandbox::send_envelopes(self.world(), &account, count, Some(owner));
    }

    /// Signs the user in: the cookie, as `name=value`, that a browser then sends to the platform.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn sign_in(&self, user_id: &str) -> String {
        let cookie = self.world().look(|s| s.people.user(user_id).map(pages::cookie));
        cookie.unwrap_or_else(|| no_user(user_id))
    }

    /// The user takes the application's access back: every token dies, and the consent page is shown again.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn revoke(&self, user_id: &str) {
        if !self.world().change(|s| s.people.revoke(user_id)) {
            no_user(user_id)
        }
    }

    /// The user switches the tokens off: all are refused, as if they were revoked, until they are switched on again.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn disable_tokens(&self, user_id: &str) {
        if !self.world().change(|s| s.people.switch(user_id, false)) {
            no_user(user_id)
        }
    }

    /// The user switches the tokens on: those that were not revoked work again.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn enable_tokens(&self, user_id: &str) {
        if !self.world().change(|s| s.people.switch(user_id, true)) {
            no_user(user_id)
        }
    }

    /// The next answer of the token endpoint to this account's application is bad; several calls make several bad answers.
    pub fn spoil_token_answer(&self, account_id: &str, trouble: TokenTrouble) {
        self.world().change(|s| s.people.spoil(account_id, trouble));
    }

    /// Creates a draft in the web UI of eSignAnyWhere and gives its id.
    ///
    /// # Panics
    /// If there is no such user at eSignAnyWhere, or the script has no signer or no document.
    pub fn create_draft(&self, user_id: &str, draft: DraftSpec) -> String {
        assert!(
            !draft.script.signers.is_empty() && !draft.script.documents.is_empty(),
            "a script needs a signer and a document"
        );
        esignanywhere::create_draft(self.world(), user_id, draft).unwrap_or_else(|| no_user(user_id))
    }

    /// Where the web UI sends the browser when the user is done with the draft: the account's URL, filled in.
    ///
    /// # Panics
    /// If there is no such draft, or the account has no such URL.
    pub fn before_send_url(&self, draft_id: &str) -> String {
        esignanywhere::before_send_url(self.world(), draft_id)
            .unwrap_or_else(|| panic!("no draft `{draft_id}` whose account has a before_send_redirect_url"))
    }

    /// What happens to the next request to send this draft, instead of an injected fault.
    ///
    /// # Panics
    /// If there is no such draft.
    pub fn draft_send_trouble(&self, draft_id: &str, trouble: SendTrouble) {
        let found = self.world().change(|s| {
            let draft = s.drafts.iter_mut().find(|draft| draft.id == draft_id)?;
            draft.trouble = Some(trouble);
            Some(())
        });
        found.unwrap_or_else(|| panic!("there is no draft `{draft_id}` in the sandbox"));
    }

    /// The account of a user, and who they are.
    fn owner(&self, user_id: &str) -> (String, Owner) {
        let found =
            self.world().look(|s| s.people.user(user_id).map(|user| (user.account_id.clone(), user.owner())));
        found.unwrap_or_else(|| no_user(user_id))
    }
}

fn no_user(user_id: &str) -> ! {
    panic!("there is no user `{user_id}` in the sandbox, or not at a platform that can do this")
}

/// `None` if there is no such account.
pub(crate) fn add_user(world: &World, account_id: &str, user: UserSpec) -> Option<String> {
    world.change(|s| {
        let vendor: Vendor = s.accounts.get(account_id)?.spec.vendor;
        Some(s.people.add(vendor, account_id, user))
    })
}
