//! Checks what a configuration means, section by section, and resolves it into [`Settings`].
//!
//! Every function goes on after a mistake, so that one run names them all; what could not be resolved is left out
//! and the settings are given only if there was no mistake at all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aftersign_core::secret::Secret;
use aftersign_intake::{IntakeConfig, IntakeLimits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::load::Environment;
use super::model::{Config, Intake, SecretSource, Vault};
use super::problem::{Origins, Problem, element, member};
use super::registry::Registry;
use super::settings::{LogSettings, Settings, VaultKeySettings};
use super::{accounts, routes};

/// Longest id, in characters: it is part of URLs, paths and metric labels.
const ID_CHARS_MAX: usize = 63;

/// What a check looks at and what it found.
pub(super) struct Check<'a> {
    pub(super) origins: &'a Origins,
    pub(super) environment: &'a Environment,
    pub(super) folder: &'a Path,
    pub(super) registry: &'a Registry,
    pub(super) problems: Vec<Problem>,
}

/// Resolves `config`, whose file lies at `file`.
pub(super) fn resolve(check: &mut Check<'_>, config: &Config, file: &Path) -> Option<Settings> {
    let public_url = check.url("server.public_url", &config.server.public_url);
    if config.server.public_url.ends_with('/') {
        let next = format!("write \"{}\"", config.server.public_url.trim_end_matches('/'));
        check.problem("server.public_url", "this URL must not end with a slash", next);
    }
    let listen = check.address("server.listen", &config.server.listen);
    let admin_listen = check.address("admin.listen", &config.admin.listen);
    if let (Some(public), Some(admin)) = (listen, admin_listen) {
        differ(check, public, admin);
    }
    if !(config.engine.time_scale.is_finite() && config.engine.time_scale > 0.0) {
        check.problem("engine.time_scale", "expected a number above 0", "write 1.0".into());
    }
    check.id("engine.node", &config.engine.node);
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        let next = "write error, warn, info, debug or trace".into();
        check.problem("log.level", &format!("this is no log level: {error}"), next);
    }
    let vault_keys = vault(check, &config.vault);
    let store_path = store(check, &config.store.url);
    let accounts = accounts::resolve(check, &config.account, public_url.as_deref().unwrap_or_default());
    let destinations = routes::destinations(check, &config.destination);
    let rules = routes::rules(check, config);
    let mail = config.mail.as_ref().and_then(|mail| routes::mail(check, mail));
    routes::later(check, config);
    if !check.problems.is_empty() {
        return None;
    }
    Some(Settings {
        file: file.into(),
        listen: listen?,
        public_url: public_url?,
        admin_listen: admin_listen?,
        intake: IntakeConfig { limits: intake(&config.intake) },
        store_path: store_path?,
        queue_max: size(u64::from(config.store.queue_max)),
        staging_dir: check.path(&config.store.staging_dir),
        vault_keys,
        node: config.engine.node.clone(),
        time_scale: config.engine.time_scale,
        workers: size(u64::from(config.engine.workers)),
        log: LogSettings { format: config.log.format, level: config.log.level.clone() },
        accounts,
        destinations,
        rules,
        mail,
    })
}

fn differ(check: &mut Check<'_>, public: SocketAddr, admin: SocketAddr) {
    let same_host = public.ip() == admin.ip() || public.ip().is_unspecified() || admin.ip().is_unspecified();
    // Port 0 asks the operating system for a free one each time.
    if same_host && public.port() == admin.port() && public.port() != 0 {
        let message = "the public and the inner listener would share one address";
        check.problem("admin.listen", message, "give `admin.listen` another port".into());
    }
}

/// The database file that `store.url` names.
pub(super) fn store(check: &mut Check<'_>, url: &str) -> Option<PathBuf> {
    let next = || "write \"sqlite:\" and the path of the database file".to_owned();
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    match (scheme, url.strip_prefix("sqlite:")) {
        (_, Some(path)) if !path.trim_start_matches('/').is_empty() => {
            Some(check.path(path.strip_prefix("//").unwrap_or(path)))
        }
        (Some("postgres" | "postgresql"), _) => {
            check.problem("store.url", "PostgreSQL is not available in this version", next());
            None
        }
        (_, _) => {
            check.problem("store.url", "expected \"sqlite:\" and a path", next());
            None
        }
    }
}

fn vault(check: &mut Check<'_>, vault: &Vault) -> Vec<VaultKeySettings> {
    let mut keys: Vec<VaultKeySettings> = Vec::new();
    for (index, written) in vault.keys.iter().enumerate() {
        let at = element("vault.keys", index);
        if written.id.is_empty() || keys.iter().any(|other| other.id == written.id) {
            let message = format!("`{}` names no key, or two", written.id);
            check.problem(&member(&at, "id"), &message, "give every key an id of its own".into());
        }
        let (source, key) = match (&written.file, &written.env) {
            (Some(path), None) => (SecretSource::File(path.clone()), member(&at, "file")),
            (None, Some(name)) => (SecretSource::Env(name.clone()), member(&at, "env")),
            (_, _) => {
                let next = "write { id = \"…\", file = \"path\" } or { id = \"…\", env = \"NAME\" }";
                check.problem(&at, "expected exactly one of `file` and `env`", next.into());
                continue;
            }
        };
        let Some(secret) = check.secret(&key, &source) else { continue };
        let secret = Secret::new(secret.expose().trim());
        if STANDARD.decode(secret.expose()).is_ok_and(|bytes| bytes.len() == 32) {
            keys.push(VaultKeySettings { id: written.id.clone(), key: secret });
        } else {
            let next = "draw one with: openssl rand -base64 32";
            check.problem(&key, "a vault key is 32 random bytes in base64; this is not", next.into());
        }
    }
    keys
}

fn intake(intake: &Intake) -> IntakeLimits {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    IntakeLimits {
        header_timeout: seconds(intake.header_seconds_max),
        body_timeout: seconds(intake.body_seconds_max),
        request_timeout: seconds(intake.request_seconds_max),
        drain_timeout: seconds(intake.drain_seconds_max),
        header_bytes_max: size(u64::from(intake.header_bytes_max)),
        connections_max: size(u64::from(intake.connections_max)),
        requests_max: size(u64::from(intake.requests_max)),
        bodies_bytes_max: size(intake.bodies_bytes_max),
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Check<'_> {
    /// Notes a mistake.
    pub(super) fn problem(&mut self, key: &str, message: &str, next: String) {
        let place = self.origins.of(key);
        self.problems.push(Problem { place, key: key.into(), message: message.into(), next });
    }

    /// A path, relative to the config file's folder.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    /// Reads a secret. Its text appears in no message.
    pub(super) fn secret(&mut self, key: &str, source: &SecretSource) -> Option<Secret> {
        let (found, next) = match source {
            SecretSource::Inline(secret) => (Ok(secret.clone()), "write the secret".into()),
            SecretSource::Env(name) => {
                let value = self.environment.get(name).ok_or("is not set".to_owned());
                let found = value.map(Secret::new).map_err(|why| format!("the variable {name} {why}"));
                (found, format!("set the environment variable {name}"))
            }
            SecretSource::File(path) => {
                let path = self.path(path);
                let found = std::fs::read_to_string(&path)
                    .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
                    .map_err(|error| format!("cannot read {}: {error}", path.display()));
                (found, format!("put the secret into {}", path.display()))
            }
        };
        match found {
            Ok(secret) if !secret.is_empty() => return Some(secret),
            Ok(_) => self.problem(key, "this secret is empty", next),
            Err(why) => self.problem(key, &why, next),
        }
        None
    }

    /// An id of ours.
    pub(super) fn id(&mut self, key: &str, id: &str) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let starts = id.chars().next().is_some_and(allowed);
        let rest = id.chars().all(|c| allowed(c) || c == '-' || c == '_');
        if !starts || !rest || id.len() > ID_CHARS_MAX {
            let message = format!("`{id}` is no id");
            let next = format!(
                "use lower-case letters, digits, `-` and `_`, beginning with a letter or digit; at most \
                 {ID_CHARS_MAX}"
            );
            self.problem(key, &message, next);
        }
    }

    /// An http or https URL as it is; it may have a query.
    pub(super) fn url_with_query(&mut self, key: &str, text: &str) -> Option<String> {
        let bare = text.split('?').next().unwrap_or(text);
        self.url(key, bare).map(|_| text.into())
    }

    /// An http or https URL, without a trailing slash.
    pub(super) fn url(&mut self, key: &str, text: &str) -> Option<String> {
        let next = || "write a URL such as \"https://sign.example.com\"".to_owned();
        let wrong = match text.parse::<http::Uri>() {
            Ok(uri) => {
                let scheme = uri.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
                let host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
                match (scheme, host && uri.host().is_some_and(|host| !host.is_empty())) {
                    (false, _) => Some("expected an http or https URL"),
                    (_, false) => Some("expected a URL with a host and without user or password"),
                    _ if uri.query().is_some() || text.contains('#') => {
                        Some("expected a URL without query and fragment")
                    }
                    _ => None,
                }
            }
            Err(_) => Some("this is not a URL"),
        };
        if let Some(message) = wrong {
            self.problem(key, message, next());
            return None;
        }
        Some(text.trim_end_matches('/').into())
    }

    fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let parsed = text.parse();
        if parsed.is_err() {
            let message = format!("`{text}` is not an IP address with a port");
            self.problem(key, &message, "write it as in \"127.0.0.1:8080\" or \"[::]:8080\"".into());
        }
        parsed.ok()
    }
}
