//! The shape of the config file: one struct per section, as written and before anything is resolved.
//!
//! The JSON Schema, the check for unknown keys and `config show` are all derived from these types. A doc comment
//! here is the description in the schema; the manual for people is `config/default.toml`, which also holds the
//! defaults of all sections. Only the members of lists have their defaults here, because a file of defaults
//! cannot hold a list's missing members.

use std::collections::BTreeMap;
use std::fmt;

use aftersign_core::secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in the place of an inline secret wherever the configuration is shown.
pub(crate) const REDACTED: &str = "<redacted>";

/// The configuration of Aftersign.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The public listener: callbacks.
    pub(crate) server: Server,
    /// The inner listener: health, readiness, metrics, JSON API.
    pub(crate) admin: Admin,
    /// Where the state is kept.
    pub(crate) store: Store,
    /// Keys that seal credentials in the store.
    pub(crate) vault: Vault,
    /// Limits of the public listener.
    pub(crate) intake: Intake,
    /// The pace and the name of the work behind the listeners.
    pub(crate) engine: Engine,
    /// The log on standard error.
    pub(crate) log: Log,
    /// How people are written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<Mail>,
    /// Tenants at e-signature platforms.
    #[serde(default)]
    pub(crate) account: Vec<Account>,
    /// Archives.
    #[serde(default)]
    pub(crate) destination: Vec<Destination>,
    /// Which envelopes go where; the first match wins.
    #[serde(default)]
    pub(crate) rule: Vec<Rule>,
    /// The customer's own business logic. Read and checked; used from a later version.
    #[serde(default)]
    pub(crate) handler: Vec<Handler>,
}

/// The public listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Address and port of the public listener.
    pub(crate) listen: String,
    /// The URL under which platforms reach the public listener, without trailing slash.
    pub(crate) public_url: String,
}

/// The inner listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Address and port of the inner listener; keep it inside.
    pub(crate) listen: String,
}

/// Where the state is kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// `sqlite:` and the path of the database file.
    pub(crate) url: String,
    /// Folder in which files lie between download and verified delivery.
    pub(crate) staging_dir: String,
    /// Writes that may wait for the next commit; a callback beyond it is answered 503.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) queue_max: u32,
}

/// Keys that seal credentials in the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vault {
    /// The first seals, all open.
    pub(crate) keys: Vec<VaultKey>,
}

/// One key of the vault: 32 random bytes in base64, from a file or an environment variable.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VaultKey {
    /// Its name, kept with everything that it seals.
    pub(crate) id: String,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// The environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<String>,
}

/// Limits of the public listener.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intake {
    /// Connections open at once; more wait in the operating system's queue.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) connections_max: u32,
    /// Requests in flight at once; the next ones are answered 503.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) requests_max: u32,
    /// Bytes of a request's head.
    #[schemars(range(min = 8_192, max = 1_048_576))]
    pub(crate) header_bytes_max: u32,
    /// Bytes of all bodies in memory at once; what goes beyond is answered 503.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(crate) bodies_bytes_max: u64,
    /// Seconds for the whole head of a request, and for a kept-alive connection to idle.
    #[schemars(range(min = 1, max = 3_600))]
    pub(crate) header_seconds_max: u32,
    /// Seconds for the whole body.
    #[schemars(range(min = 1, max = 3_600))]
    pub(crate) body_seconds_max: u32,
    /// Seconds for a request as a whole, the store included.
    #[schemars(range(min = 1, max = 3_600))]
    pub(crate) request_seconds_max: u32,
    /// Seconds that requests in flight may go on when the server stops.
    #[schemars(range(min = 1, max = 3_600))]
    pub(crate) drain_seconds_max: u32,
}

/// The pace and the name of the work behind the listeners.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    /// Divides every wait of ours: 1.0 outside rehearsals and tests.
    pub(crate) time_scale: f64,
    /// This node's name, unique among the nodes on one store.
    pub(crate) node: String,
    /// Transfers worked on at once, per account.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) workers: u32,
}

/// The log on standard error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// For people or for machines.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,aftersign_engine=debug`.
    pub(crate) level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object per line.
    Json,
}

/// How people are written to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// `smtp://` or `smtps://`, with user and password where the server asks for them.
    pub(crate) smtp_url: SecretSource,
    /// The sender's address.
    pub(crate) from: String,
    /// Who is told when a person is needed.
    pub(crate) admins: Vec<String>,
    /// The folder with templates of your own; those that it lacks are the built-in ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) templates_dir: Option<String>,
    /// A file with certificates (PEM) that the mail server's is checked against besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<String>,
    /// Minutes between two e-mails to one person; what comes meanwhile stands in the next one.
    #[serde(default = "digest_minutes")]
    #[schemars(range(min = 1, max = 1_440))]
    pub(crate) digest_minutes: u32,
    /// Hours after which the admins are told, again and again, of what nobody settled.
    #[serde(default = "escalate_hours")]
    #[schemars(range(min = 1, max = 720))]
    pub(crate) escalate_hours: u32,
}

fn digest_minutes() -> u32 {
    15
}

fn escalate_hours() -> u32 {
    24
}

/// One tenant at an e-signature platform.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// Its name: part of the callback URL, of archive paths and of every record.
    pub(crate) id: String,
    /// The platform's name.
    pub(crate) platform: String,
    /// The platform's address for this tenant; the platform's own default if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_url: Option<String>,
    /// The secrets in the callback URL, one, or two while one replaces the other.
    #[schemars(length(min = 1, max = 2))]
    pub(crate) path_secrets: Vec<SecretSource>,
    /// What the platform signs or authenticates its callbacks with, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) callback_keys: Option<Vec<SecretSource>>,
    /// `user:password` that callbacks must bear as HTTP Basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) callback_basic: Option<SecretSource>,
    /// With what the platform's API is called; the fields differ by platform. Left out, only what senders granted is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<BTreeMap<String, SecretSource>>,
    /// What only this platform's accounts can be told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, String>,
    /// Hours between two sweeps that look for what no callback announced.
    #[serde(default = "reconcile_hours")]
    #[schemars(range(min = 1, max = 168))]
    pub(crate) reconcile_hours: u32,
    /// Days after which the platform's own retention job removes envelopes, where the platform does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub(crate) retention_days: Option<u32>,
    /// Whether an envelope of which nobody knows who sent it is asked for with every sender's grant in turn.
    #[serde(default)]
    pub(crate) search_senders: bool,
    /// From whom access is taken: addresses, or `*@` and a domain. Left out, from everybody who can consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) senders: Option<Vec<String>>,
    /// The OAuth application under which senders are asked for access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) oauth: Option<Oauth>,
}

fn reconcile_hours() -> u32 {
    6
}

/// An OAuth application.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oauth {
    /// The application's public name.
    pub(crate) client_id: String,
    /// Its secret.
    pub(crate) client_secret: SecretSource,
    /// Where senders are sent to consent; the platform's own place if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorize_url: Option<String>,
    /// Where codes and refresh tokens are exchanged; the platform's own place if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_url: Option<String>,
    /// The path below `public_url` to which senders return; `/consent/{account}/return` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_path: Option<String>,
    /// What is asked for; the platform's usual scope if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// How the token endpoint is told who asks: `post` (in the form) or `basic`.
    #[serde(default = "client_auth")]
    pub(crate) client_auth: String,
    /// Whether codes are bound to the one who asked for them (PKCE, S256), where the server offers that.
    #[serde(default)]
    pub(crate) pkce: bool,
}

fn client_auth() -> String {
    "post".into()
}

/// One archive.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Destination {
    /// Its name.
    pub(crate) id: String,
    /// What kind it is.
    #[serde(rename = "type")]
    pub(crate) kind: DestinationKind,
    /// The folder that it writes to.
    pub(crate) root: String,
}

/// The kinds of destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DestinationKind {
    /// A folder on this machine or a mounted share.
    Filesystem,
}

/// Which envelopes go where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// An account's id, or `*` for all.
    #[serde(default = "any_account")]
    pub(crate) account: String,
    /// The statuses that it takes.
    #[serde(default = "completed_only")]
    pub(crate) when: Vec<String>,
    /// Ids of destinations; every one of them is required.
    pub(crate) deliver_to: Vec<String>,
    /// The folder below each destination's root.
    #[serde(default = "archive_path")]
    pub(crate) path: String,
    /// When the envelope is removed at the platform: `never`, `after-transfer`, `after-days:N` or `after-extension`;
    /// what is safe at the platform if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dispose: Option<String>,
}

fn any_account() -> String {
    "*".into()
}

fn completed_only() -> Vec<String> {
    vec!["completed".into()]
}

fn archive_path() -> String {
    "{platform}/{account}/{completed_at:%Y/%m}/{envelope_id}".into()
}

/// The customer's own business logic.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Handler {
    /// Where it listens.
    pub(crate) url: String,
    /// What it wants to hear of.
    pub(crate) events: Vec<String>,
    /// What our requests to it are signed with.
    pub(crate) secret: SecretSource,
}

/// Where a secret comes from.
#[derive(Clone)]
pub(crate) enum SecretSource {
    /// It stands in the file itself.
    Inline(Secret),
    /// An environment variable.
    Env(String),
    /// A file, relative to the config file's folder.
    File(String),
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str(REDACTED),
            Self::Env(name) => write!(f, "{{ env = {name:?} }}"),
            Self::File(path) => write!(f, "{{ file = {path:?} }}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Inline(String),
    Reference(Reference),
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Inline(text) => Ok(Self::Inline(Secret::new(text))),
            Written::Reference(Reference { env: Some(name), file: None }) => Ok(Self::Env(name)),
            Written::Reference(Reference { env: None, file: Some(path) }) => Ok(Self::File(path)),
            Written::Reference(_) => {
                Err(serde::de::Error::custom("expected exactly one of `env` and `file`"))
            }
        }
    }
}

impl Serialize for SecretSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(_) => serializer.serialize_str(REDACTED),
            Self::Env(name) => Reference { env: Some(name.clone()), file: None }.serialize(serializer),
            Self::File(path) => Reference { env: None, file: Some(path.clone()) }.serialize(serializer),
        }
    }
}

impl JsonSchema for SecretSource {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: the text itself, or { env = \"NAME\" }, or { file = \"path\" }.",
            "type": ["string", "object"],
            "properties": {
                "env": { "type": "string", "description": "The environment variable that holds it." },
                "file": { "type": "string", "description": "The file that holds it." },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}
