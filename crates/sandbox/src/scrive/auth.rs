//! OAuth 1.0 with PLAINTEXT, in the way in which Scrive's server reads it: no nonce, no time, every value in double quotes, the
//! scheme's name optional.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use percent_encoding::percent_decode_str;

use crate::config::Vendor;
use crate::exchange::Inbound;
use crate::people::{Caller, User, oauth};
use crate::world::World;

/// Who calls, and what they may do.
pub(super) struct Access {
    pub(super) caller: Caller,
    /// `None`: a personal credential may do everything.
    privileges: Option<BTreeSet<String>>,
}

impl Access {
    pub(super) fn may(&self, privilege: &str) -> bool {
        let has = |all: &BTreeSet<String>| all.contains(privilege) || all.contains("FULL_ACCESS");
        self.privileges.as_ref().is_none_or(has)
    }
}

/// The fields of an OAuth header, decoded.
pub(super) struct Header(BTreeMap<String, String>);

impl Header {
    /// `None` if it is malformed, or signed in another way than PLAINTEXT.
    pub(super) fn parse(text: &str) -> Option<Header> {
        let parameters = text.strip_prefix("OAuth ").unwrap_or(text);
        let pairs = parameters.split(',').map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            Some((name.to_owned(), percent_decode_str(value).decode_utf8().ok()?.into_owned()))
        });
        let header = Header(pairs.collect::<Option<_>>()?);
        (header.get("oauth_signature_method")? == "PLAINTEXT").then_some(header)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Whose credential was given: the account's own, or one that a user granted.
pub(super) fn authenticate(world: &World, inbound: &Inbound) -> Option<Access> {
    let header = Header::parse(inbound.header("authorization")?)?;
    let (consumer, token) = (header.get("oauth_consumer_key")?, header.get("oauth_token")?);
    let signature = header.get("oauth_signature")?;
    let account = world.look(|s| {
        let fits = |secrets: &BTreeMap<String, String>| {
            let of = |name: &str| secrets.get(name).map(String::as_str).filter(|secret| !secret.is_empty());
            let parts = (of("api_token"), of("access_token"), of("api_secret"), of("access_secret"));
            let (Some(api_token), Some(access_token), Some(api_secret), Some(access_secret)) = parts else {
                return false;
            };
            api_token == consumer
                && access_token == token
                && format!("{api_secret}&{access_secret}") == signature
        };
        s.accounts
            .values()
            .filter(|account| matches!(account.spec.vendor, Vendor::Scrive | Vendor::ScriveFlow))
            .find(|account| fits(&account.spec.secrets))
            .map(|account| account.spec.id.clone())
    });
    if let Some(account) = account {
        return Some(Access { caller: Caller { account, user: None }, privileges: None });
    }
    world.change(|s| {
        let secret = oauth::app(s, Vendor::Scrive, consumer)?.1.client_secret.clone();
        let granted = s.people.by_token(Vendor::Scrive.platform(), token, Instant::now())?;
        if granted.client_id != consumer || format!("{secret}&{}", granted.secret) != signature {
            return None;
        }
        let (user, privileges) = (granted.user.clone(), granted.privileges.clone());
        let caller = s.people.user(&user).map(User::caller)?;
        Some(Access { caller, privileges: Some(privileges) })
    })
}

#[cfg(test)]
mod tests {
    use super::Header;

    fn signature(header: &str) -> Option<String> {
        Header::parse(header)?.get("oauth_signature").map(str::to_owned)
    }

    #[test]
    fn the_signature_may_be_encoded_and_every_value_must_be_quoted() {
        let header = |prefix: &str, method: &str, signature: &str| {
            format!(
                "{prefix}oauth_signature_method={method}, oauth_consumer_key=\"a_1\", oauth_token=\"b_2\", \
                 oauth_signature={signature}"
            )
        };
        let plain = "\"PLAINTEXT\"";
        for prefix in ["", "OAuth "] {
            for written in ["\"c&d\"", "\"c%26d\""] {
                assert_eq!(signature(&header(prefix, plain, written)).as_deref(), Some("c&d"));
            }
        }
        assert!(Header::parse(&header("", plain, "c&d")).is_none());
        assert!(Header::parse(&header("", "\"HMAC-SHA1\"", "\"c&d\"")).is_none());
        assert!(Header::parse("").is_none());
    }
}
