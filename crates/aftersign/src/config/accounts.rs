//! Checks and resolves accounts: their platform, their secrets, their access.

use std::collections::BTreeSet;
use std::time::Duration;

use aftersign_core::callback::CallbackSecrets;
use aftersign_core::ids::AccountId;
use aftersign_core::platform::{Access, Credential, Platform};
use aftersign_core::secret::Secret;

use super::check::Check;
use super::model::{Account, Oauth, SecretSource};
use super::problem::{element, member};
use super::settings::AccountSettings;
use super::shape::nearest;

/// Shortest path secret, in characters: 128 random bits in base64.
const PATH_SECRET_CHARS_MIN: usize = 22;

/// Every account that could be resolved.
pub(super) fn resolve(check: &mut Check<'_>, accounts: &[Account]) -> Vec<AccountSettings> {
    let mut ids = BTreeSet::new();
    let mut resolved = Vec::new();
    for (index, account) in accounts.iter().enumerate() {
        let at = element("account", index);
        check.id(&member(&at, "id"), &account.id);
        if !ids.insert(&account.id) {
            let message = format!("the id `{}` is taken by an account above", account.id);
            check.problem(&member(&at, "id"), &message, "give every account an id of its own".into());
        }
        resolved.extend(one(check, &at, account));
    }
    resolved
}

fn one(check: &mut Check<'_>, at: &str, account: &Account) -> Option<AccountSettings> {
    let platform = platform(check, &member(at, "platform"), &account.platform);
    let path_secrets = path_secrets(check, &member(at, "path_secrets"), &account.path_secrets);
    let callback_keys = account
        .callback_keys
        .as_ref()
        .map(|sources| secrets(check, &member(at, "callback_keys"), sources).unwrap_or_default());
    let callback_basic = account.callback_basic.as_ref().and_then(|source| {
        let key = member(at, "callback_basic");
        let secret = check.secret(&key, source)?;
        if !secret.expose().contains(':') {
            check.problem(&key, "expected \"user:password\"", "put a colon between user and password".into());
        }
        Some(secret)
    });
    if let Some(oauth) = &account.oauth {
        check_oauth(check, &member(at, "oauth"), oauth);
    }
    let platform = platform?;
    let credential = credential(check, at, account, platform);
    let base_url = base_url(check, at, account, platform);
    let (credential, base_url) = (credential?, base_url?);
    let keys = callback_keys.unwrap_or_else(|| {
        let field = platform.callback_key_field();
        field.map(|field| Secret::new(credential.field(field))).into_iter().collect()
    });
    Some(AccountSettings {
        platform,
        access: Access { account: AccountId::new(account.id.clone()), base_url, credential },
        path_secrets: path_secrets?,
        callback_secrets: CallbackSecrets { keys },
        callback_basic,
        reconcile_every: Duration::from_secs(u64::from(account.reconcile_hours) * 60 * 60),
    })
}

fn platform(check: &mut Check<'_>, key: &str, name: &str) -> Option<&'static dyn Platform> {
    let known = (check.registry.by_name)(name);
    if known.is_none() {
        let names = (check.registry.names)();
        let message = match nearest(name, &names) {
            Some(nearest) => format!("there is no platform `{name}`; the nearest is `{nearest}`"),
            None => format!("there is no platform `{name}`"),
        };
        check.problem(key, &message, format!("write one of: {}", names.join(", ")));
    }
    known
}

fn secrets(check: &mut Check<'_>, key: &str, sources: &[SecretSource]) -> Option<Vec<Secret>> {
    let read: Vec<_> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| check.secret(&element(key, index), source))
        .collect();
    read.into_iter().collect()
}

fn path_secrets(check: &mut Check<'_>, key: &str, sources: &[SecretSource]) -> Option<Vec<Secret>> {
    let secrets = secrets(check, key, sources)?;
    for (index, secret) in secrets.iter().enumerate() {
        let text = secret.expose();
        let message = if text.chars().count() < PATH_SECRET_CHARS_MIN {
            format!("this path secret is shorter than {PATH_SECRET_CHARS_MIN} characters (128 bit)")
        } else if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            "this path secret holds characters besides letters, digits, `-` and `_`".into()
        } else {
            continue;
        };
        check.problem(&element(key, index), &message, "draw one with: openssl rand -hex 32".into());
    }
    Some(secrets)
}

fn credential(
    check: &mut Check<'_>,
    at: &str,
    account: &Account,
    platform: &'static dyn Platform,
) -> Option<Credential> {
    let key = member(at, "credential");
    let wanted = platform.credential_fields();
    let shape = format!("{{ {} }}", wanted.join(", "));
    for name in account.credential.keys().filter(|name| !wanted.contains(&name.as_str())) {
        let nearest = nearest(name, wanted).map(|word| format!("; the nearest known key is `{word}`"));
        let message = format!("unknown key `{name}`{}", nearest.unwrap_or_default());
        check.problem(&member(&key, name), &message, format!("a credential at this platform is {shape}"));
    }
    for name in wanted.iter().filter(|name| !account.credential.contains_key(**name)) {
        let next = format!("a credential at this platform is {shape}");
        check.problem(&member(&key, name), "this key is missing", next);
    }
    let mut fields = Vec::new();
    for (name, source) in &account.credential {
        fields.push((name.clone(), check.secret(&member(&key, name), source)?));
    }
    Some(Credential::new(fields))
}

fn base_url(
    check: &mut Check<'_>,
    at: &str,
    account: &Account,
    platform: &'static dyn Platform,
) -> Option<String> {
    let key = member(at, "base_url");
    match (&account.base_url, platform.default_base_url()) {
        (Some(url), _) => check.url(&key, url),
        (None, Some(url)) => Some(url.trim_end_matches('/').into()),
        (None, None) => {
            let next = "add `base_url`: the address of your tenant's API".into();
            check.problem(&key, "this key is missing, and the platform has no address for all", next);
            None
        }
    }
}

fn check_oauth(check: &mut Check<'_>, at: &str, oauth: &Oauth) {
    check.secret(&member(at, "client_secret"), &oauth.client_secret);
    check.url(&member(at, "authorize_url"), &oauth.authorize_url);
    check.url(&member(at, "token_url"), &oauth.token_url);
    if oauth.client_id.is_empty() {
        check.problem(&member(at, "client_id"), "this is empty", "write the application's client id".into());
    }
    if !oauth.redirect_path.starts_with('/') {
        let next = "write a path such as \"/grants/hr\"".into();
        check.problem(&member(at, "redirect_path"), "expected a path that begins with a slash", next);
    }
}
