//! What a caller says to get a world: where it listens, how fast it runs, how unkind it is, and who looks on.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ledger::EnvelopeRecord;

/// What integrators observed at Scrive; the documentation of 2021 says 15 to 30 days.
const EXTENSION_AFTER_DAYS: f64 = 40.0;

/// How often the sandbox misbehaves beyond what the platforms do anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultProfile {
    /// Only what is inherent to the platforms: files still being prepared, a status that waits for an acknowledgement.
    Off,
    /// About one operation in ten goes wrong.
    #[default]
    Normal,
    /// About three operations in ten go wrong.
    Hard,
}

impl FaultProfile {
    /// The share of operations that go wrong.
    pub(crate) fn rate(self) -> f64 {
        match self {
            FaultProfile::Off => 0.0,
            FaultProfile::Normal => 0.10,
            FaultProfile::Hard => 0.30,
        }
    }

    /// How often in a row one operation may fail: a correct client always succeeds in the end.
    pub(crate) fn consecutive_max(self) -> u32 {
        match self {
            FaultProfile::Off => 0,
            FaultProfile::Normal => 3,
            FaultProfile::Hard => 6,
        }
    }
}

impl fmt::Display for FaultProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultProfile::Off => "off",
            FaultProfile::Normal => "normal",
            FaultProfile::Hard => "hard",
        })
    }
}

impl FromStr for FaultProfile {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<FaultProfile, UnknownName> {
        match text {
            "off" => Ok(FaultProfile::Off),
            "normal" => Ok(FaultProfile::Normal),
            "hard" => Ok(FaultProfile::Hard),
            _ => Err(UnknownName { given: text.to_owned(), expected: "off, normal or hard" }),
        }
    }
}

/// A platform that the sandbox imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Vendor {
    /// Dropbox Sign, API v3.
    #[serde(rename = "dropbox-sign")]
    DropboxSign,
    /// eSignAnyWhere, API v6 with the needed part of v5.
    #[serde(rename = "esignanywhere")]
    ESignAnyWhere,
    /// OneSpan Sign, API 11.
    #[serde(rename = "onespan")]
    OneSpan,
    /// Scrive, document API v2: every document is an envelope.
    #[serde(rename = "scrive")]
    Scrive,
    /// Scrive Flow: every instance is an envelope, whose documents the document API shows.
    #[serde(rename = "scrive-flow")]
    ScriveFlow,
}

impl Vendor {
    /// Every platform there is.
    pub const ALL: [Vendor; 5] =
        [Vendor::DropboxSign, Vendor::ESignAnyWhere, Vendor::OneSpan, Vendor::Scrive, Vendor::ScriveFlow];

    /// The name used by the sandbox's own controls and in its ledger.
    pub fn name(self) -> &'static str {
        match self {
            Vendor::DropboxSign => "dropbox-sign",
            Vendor::ESignAnyWhere => "esignanywhere",
            Vendor::OneSpan => "onespan",
            Vendor::Scrive => "scrive",
            Vendor::ScriveFlow => "scrive-flow",
        }
    }

    /// The name of the platform in an account of the product: Scrive's two worlds are one platform.
    pub fn platform(self) -> &'static str {
        match self {
            Vendor::ScriveFlow => Vendor::Scrive.name(),
            other => other.name(),
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Vendor {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Vendor, UnknownName> {
        Vendor::ALL.into_iter().find(|vendor| vendor.name() == text).ok_or_else(|| UnknownName {
            given: text.to_owned(),
            expected: "dropbox-sign, esignanywhere, onespan, scrive or scrive-flow",
        })
    }
}

/// A name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not known here; expected {expected}")]
pub struct UnknownName {
    /// What was given.
    pub given: String,
    /// What would have been understood.
    pub expected: &'static str,
}

/// Called on a blocking thread when a client asks to remove an envelope, **before** it is removed. It gets the ledger's
/// record of that envelope and returns how many of its artifacts it cannot find in the archive. Where there is a trash that
/// ends by itself (Scrive), it is called before that, too.
pub type DisposalWitness = Arc<dyn Fn(&EnvelopeRecord) -> usize + Send + Sync>;

/// How a world is to be.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where to listen; port 0 takes any free port. Nothing here is protected: keep it on loopback.
    pub listen: SocketAddr,
    /// Decides everything that looks like chance.
    pub seed: u64,
    /// How unkind the world is.
    pub faults: FaultProfile,
    /// Divides every wait of the world; 1.0 is real time, 3600 makes an hour last a second.
    pub time_scale: f64,
    /// Asked before a client's removal of an envelope takes effect.
    pub disposal_witness: Option<DisposalWitness>,
    /// Dropbox Sign forgets a callback URL after 10 consecutive failures. Off by default, so that a demo whose server is
    /// killed does not go silent; with it on, the rest of the callbacks count as withheld.
    pub clear_callback_url: bool,
    /// Scrive extends the seal of a closed document that is still there so many days of the world after its end: the document
    /// gets other bytes and is announced again.
    pub extension_after_days: f64,
    /// Whether the same happens to the documents of a flow, which no callback tells of: only a client that looks again finds
    /// it.
    pub extend_flows: bool,
}

impl Default for SandboxConfig {
    fn default() -> SandboxConfig {
        SandboxConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            faults: FaultProfile::Off,
            time_scale: 1.0,
            disposal_witness: None,
            clear_callback_url: false,
            extension_after_days: EXTENSION_AFTER_DAYS,
            extend_flows: true,
        }
    }
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxConfig")
            .field("listen", &self.listen)
            .field("seed", &self.seed)
            .field("faults", &self.faults)
            .field("time_scale", &self.time_scale)
            .field("clear_callback_url", &self.clear_callback_url)
            .field("extension_after_days", &self.extension_after_days)
            .field("extend_flows", &self.extend_flows)
            .finish_non_exhaustive()
    }
}

/// An account at one of the platforms.
#[derive(Clone)]
pub struct AccountSpec {
    /// The platform it is at.
    pub vendor: Vendor,
    /// The name by which the caller knows it; unique in a sandbox.
    pub id: String,
    /// Dropbox Sign: the API key, which also keys the callbacks' HMAC. eSignAnyWhere: the `apiToken`. OneSpan Sign: the API
    /// key of the account's owner, who is `sender@example.com`. Scrive does not use it.
    pub api_key: String,
    /// Where callbacks go: the base URL `{public_url}/callbacks/{account}/{path_secret}`. For eSignAnyWhere the channel and
    /// the placeholders are appended. Empty: no callbacks at all, unless a client registers a URL through the API.
    pub callback_url: String,
    /// Further secrets of the account by their name. OneSpan Sign: `callback_key`, the key of `Authorization: Basic <key>` on
    /// callbacks as it is (absent: no such header), and `client_id` and `client_secret` of its tokens. Scrive: `api_token`,
    /// `api_secret`, `access_token` and `access_secret`.
    pub secrets: BTreeMap<String, String>,
    /// The application by which users let a client act for them; `None`: there is no such thing. Not for OneSpan Sign.
    pub oauth: Option<OauthApp>,
    /// eSignAnyWhere: where the web UI sends a browser instead of sending a draft, with `##EnvelopeId##`, `##SenderUserId##`
    /// and `##OrganizationId##`.
    pub before_send_redirect_url: Option<String>,
}

/// An account at Dropbox Sign without a name, a key or a callback URL: for `..AccountSpec::default()`.
impl Default for AccountSpec {
    fn default() -> AccountSpec {
        AccountSpec {
            vendor: Vendor::DropboxSign,
            id: String::new(),
            api_key: String::new(),
            callback_url: String::new(),
            secrets: BTreeMap::new(),
            oauth: None,
            before_send_redirect_url: None,
        }
    }
}

impl fmt::Debug for AccountSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key and the URL's path are secrets of the product under rehearsal.
        f.debug_struct("AccountSpec")
            .field("vendor", &self.vendor)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An application registered with an account: what a client shows to get users' tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct OauthApp {
    /// Its public name. Scrive: the consumer key.
    pub client_id: String,
    /// Its password.
    pub client_secret: String,
    /// Where browsers are sent back to: compared as a whole. Scrive names the URL with every request; there it must begin
    /// with this.
    pub redirect_uri: String,
    /// The life of an access token in real seconds, however fast the world runs, so that `expires_in` is true. Dropbox Sign
    /// only, where it is 86,400 if absent.
    pub access_token_seconds: Option<u64>,
    /// Whether a request without a PKCE challenge is refused. One that is sent is always checked; Scrive knows none.
    pub pkce_required: bool,
}

impl fmt::Debug for OauthApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthApp")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("access_token_seconds", &self.access_token_seconds)
            .field("pkce_required", &self.pkce_required)
            .finish_non_exhaustive()
    }
}

/// Why a world could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// Somebody listens there already.
    #[error(
        "the sandbox cannot listen on {addr}: the address is in use; stop what runs there or choose another port"
    )]
    AddressInUse {
        /// The wanted address.
        addr: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error("the sandbox cannot listen on {addr}")]
    Listen {
        /// The wanted address.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The scale is zero, negative or not a number.
    #[error("time_scale must be a positive number, not {given}")]
    TimeScale {
        /// What was given.
        given: f64,
    },
    /// The HTTP client of the callback sender could not be made.
    #[error("the sandbox's callback sender cannot be set up")]
    Client {
        /// The client's reason.
        source: reqwest::Error,
    },
}
