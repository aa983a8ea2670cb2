//! Checks and resolves accounts: their platform, their secrets, their access.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aftersign_core::callback::CallbackSecrets;
use aftersign_core::grant::{ClientAuth, OauthApp};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::platform::{Access, Credential, CredentialShape, Platform};
use aftersign_core::secret::Secret;

use super::check::Check;
use super::model::{Account, Oauth, SecretSource};
use super::problem::{element, member};
use super::settings::AccountSettings;
use super::shape::nearest;

/// Shortest path secret, in characters: 128 random bits in base64.
const PATH_SECRET_CHARS_MIN: usize = 22;

/// Every account that could be resolved.
pub(super) fn resolve(check: &mut Check<'_>, accounts: &[Account], public_url: &str) -> Vec<AccountSettings> {
    let mut ids = BTreeSet::new();
    let mut returns = BTreeSet::new();
    let mut resolved = Vec::new();
    for (index, account) in accounts.iter().enumerate() {
        let at = element("account", index);
        check.id(&member(&at, "id"), &account.id);
        if !ids.insert(&account.id) {
            let message = format!("the id `{}` is taken by an account above", account.id);
            check.problem(&member(&at, "id"), &message, "give every account an id of its own".into());
        }
        let account = one(check, &at, account, public_url);
        if let Some(app) = account.as_ref().and_then(|account| account.oauth.as_ref())
            && !returns.insert(app.redirect_uri.clone())
        {
            let next = "give every account a path of its own".into();
            check.problem(
                &member(&member(&at, "oauth"), "redirect_path"),
                "another account returns there",
                next,
            );
        }
        resolved.extend(account);
    }
    resolved
}

fn one(check: &mut Check<'_>, at: &str, account: &Account, public_url: &str) -> Option<AccountSettings> {
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
    let platform = platform?;
    let oauth = match &account.oauth {
        Some(oauth) => Some(application(check, &member(at, "oauth"), oauth, account, platform, public_url)?),
        None => None,
    };
    let credential = match &account.credential {
        Some(written) => credential(check, at, written, platform),
        None => Some(Credential::default()),
    };
    let senders = senders(check, &member(at, "senders"), account.senders.as_deref().unwrap_or_default());
    let options = options(check, &member(at, "options"), account, platform);
    let base_url = base_url(check, at, account, platform);
    let (credential, base_url) = (credential?, base_url?);
    let keys = match (callback_keys, platform.callback_key_field()) {
        (Some(keys), _) => keys,
        (None, Some(_)) if credential.is_empty() => {
            let next = "add `callback_keys`: what the platform signs its callbacks with".into();
            check.problem(
                &member(at, "callback_keys"),
                "this key is missing, and there is no credential",
                next,
            );
            return None;
        }
        (None, field) => field.map(|field| Secret::new(credential.field(field))).into_iter().collect(),
    };
    Some(AccountSettings {
        platform,
        access: Access {
            account: AccountId::new(account.id.clone()),
            base_url,
            credential,
            options,
            sender: None,
        },
        path_secrets: path_secrets?,
        callback_secrets: CallbackSecrets { keys },
        callback_basic,
        reconcile_every: Duration::from_secs(u64::from(account.reconcile_hours) * 60 * 60),
        retention_days: account.retention_days,
        oauth,
        search_senders: account.search_senders,
        senders,
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

/// From whom access is taken, in the form in which senders are compared.
fn senders(check: &mut Check<'_>, key: &str, written: &[String]) -> Vec<String> {
    let mut patterns = Vec::new();
    for (index, text) in written.iter().enumerate() {
        // A pattern has the form of an address when somebody stands in the place of everybody.
        let example = text.trim().strip_prefix("*@").map(|domain| format!("anybody@{domain}"));
        let example = SenderId::new(example.as_ref().unwrap_or(text));
        let is_plain = example.is_some_and(|id| id.is_address() && !id.as_str().contains('*'));
        match SenderId::new(text).filter(|_| is_plain) {
            Some(pattern) => patterns.push(pattern.as_str().to_owned()),
            None => {
                let message = format!("`{text}` is neither an address nor `*@` and a domain");
                let next = "write it as in \"anna@example.com\" or \"*@example.com\"".into();
                check.problem(&element(key, index), &message, next);
            }
        }
    }
    patterns
}

fn credential(
    check: &mut Check<'_>,
    at: &str,
    written: &BTreeMap<String, SecretSource>,
    platform: &'static dyn Platform,
) -> Option<Credential> {
    let key = member(at, "credential");
    let shapes = platform.credential_shapes();
    let all: Vec<String> = shapes.iter().map(in_words).collect();
    let next = format!("a credential at this platform is {}", all.join(" or "));
    if written.is_empty() {
        let next = format!("{next}; leave the key out where only senders' grants are used");
        check.problem(
            &member(&key, shapes.first().and_then(|shape| shape.fields.first()).unwrap_or(&"")),
            "this key is missing",
            next,
        );
        return None;
    }
    let shape = meant(shapes, written);
    for name in written.keys().filter(|name| !shape.fields.contains(&name.as_str())) {
        let nearest = nearest(name, shape.fields).map(|word| format!("; the nearest known key is `{word}`"));
        let message = format!("unknown key `{name}`{}", nearest.unwrap_or_default());
        check.problem(&member(&key, name), &message, next.clone());
    }
    for name in shape.fields.iter().filter(|name| !written.contains_key(**name)) {
        check.problem(&member(&key, name), "this key is missing", next.clone());
    }
    let mut fields = Vec::new();
    for (name, source) in written {
        let secret = check.secret(&member(&key, name), source)?;
        if let Some((choice, values)) = shape.choice
            && name == choice
            && !values.contains(&secret.expose())
        {
            // What stands there is not shown: it may be a secret on the wrong line.
            let message = format!("this is none of `{}`", values.join("`, `"));
            check.problem(&member(&key, name), &message, next.clone());
        }
        fields.push((name.clone(), secret));
    }
    Some(Credential::new(fields))
}

/// The shape that the given fields are nearest to; of equally near ones the usual.
fn meant(
    shapes: &'static [CredentialShape],
    given: &BTreeMap<String, SecretSource>,
) -> &'static CredentialShape {
    let distance = |shape: &&CredentialShape| {
        let missing = shape.fields.iter().filter(|name| !given.contains_key(**name)).count();
        let unknown = given.keys().filter(|name| !shape.fields.contains(&name.as_str())).count();
        // A key that a shape does not have speaks against it more than any that it lacks.
        (unknown, missing)
    };
    shapes.iter().min_by_key(distance).unwrap_or(&CredentialShape { fields: &[], choice: None })
}

fn in_words(shape: &CredentialShape) -> String {
    let field = |name: &&str| match shape.choice {
        Some((choice, values)) if choice == *name => format!("{name} = \"{}\"", values.join("\" | \"")),
        _ => (*name).to_owned(),
    };
    format!("{{ {} }}", shape.fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

fn options(
    check: &mut Check<'_>,
    key: &str,
    account: &Account,
    platform: &'static dyn Platform,
) -> BTreeMap<String, String> {
    let known = platform.options();
    let names: Vec<&str> = known.iter().map(|option| option.name).collect();
    for (name, value) in &account.options {
        let key = member(key, name);
        match known.iter().find(|option| option.name == name) {
            None => {
                let nearest = nearest(name, &names).map(|word| format!("; the nearest is `{word}`"));
                let message = format!("there is no option `{name}`{}", nearest.unwrap_or_default());
                let next = match names.is_empty() {
                    true => "remove it: accounts at this platform have no options".into(),
                    false => format!("correct or remove it; known here: {}", names.join(", ")),
                };
                check.problem(&key, &message, next);
            }
            Some(option) if !option.values.is_empty() && !option.values.contains(&value.as_str()) => {
                let values = option.values.join("`, `");
                let message = format!("`{value}` is none of `{values}` (left out: `{}`)", option.default);
                check.problem(&key, &message, format!("write one of `{values}`: {}", option.about));
            }
            Some(_) => {}
        }
    }
    account.options.clone()
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

/// The OAuth application of an account.
fn application(
    check: &mut Check<'_>,
    at: &str,
    oauth: &Oauth,
    account: &Account,
    platform: &'static dyn Platform,
    public_url: &str,
) -> Option<OauthApp> {
    if !platform.capabilities().code_grant {
        let next = "remove this table; let senders' keys be set with `aftersign grants set`".into();
        check.problem(at, "senders cannot consent at this platform", next);
        return None;
    }
    let client_secret = check.secret(&member(at, "client_secret"), &oauth.client_secret);
    let mut url = |name: &str, url: &Option<String>| {
        url.as_ref()
            .map(|url| check.url_with_query(&member(at, name), url))
            .map_or(Some(None), |url| url.map(Some))
    };
    let (authorize_url, token_url) =
        (url("authorize_url", &oauth.authorize_url), url("token_url", &oauth.token_url));
    if oauth.client_id.is_empty() {
        check.problem(&member(at, "client_id"), "this is empty", "write the application's client id".into());
    }
    let default = format!("/consent/{}/return", account.id);
    let path = oauth.redirect_path.as_ref().unwrap_or(&default);
    if !is_free(path, &account.id) {
        let next = format!(
            "write a path such as \"{default}\", which no page or callback of ours has, of letters, digits, `-`, `_` and `.`"
        );
        check.problem(&member(at, "redirect_path"), "expected a free path that begins with a slash", next);
    }
    let client_auth = ClientAuth::parse(&oauth.client_auth);
    if client_auth.is_none() {
        let next = format!("write one of `{}`", ClientAuth::WORDS.join("`, `"));
        check.problem(&member(at, "client_auth"), "there is no such way", next);
    }
    Some(OauthApp {
        client_id: oauth.client_id.clone(),
        client_secret: client_secret?,
        authorize_url: authorize_url?,
        token_url: token_url?,
        redirect_uri: format!("{public_url}{path}"),
        scope: oauth.scope.clone(),
        client_auth: client_auth?,
        pkce: oauth.pkce,
    })
}

/// Whether senders can return to a path: no page or callback of ours has it, no other account's pages lie around it, and
/// browsers leave it as it is.
fn is_free(path: &str, account: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let segments: Vec<&str> = rest.split('/').collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let stays = |segment: &&str| segment.chars().all(plain) && !matches!(*segment, "." | "..");
    // Stylesheets lie below /consent/assets, and an account may be called so.
    let is_page = |name: &str| {
        matches!(name, "" | "before-send" | "renew" | "depart" | "key") || name.ends_with(".css")
    };
    let is_ours = match segments.as_slice() {
        ["consent", id, name] => *id != account || is_page(name),
        ["callbacks" | "consent", ..] | ["", _, ..] => true,
        _ => false,
    };
    segments.iter().all(stays) && !is_ours
}
