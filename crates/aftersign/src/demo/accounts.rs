//! The demo's accounts: one per platform, as the sandbox and as the server's config see it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aftersign_core::seams::Entropy;
use aftersign_sandbox::{AccountSpec, Sandbox, Vendor};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::system::SystemEntropy;

/// One account of the demo, with secrets of its own.
pub(super) struct Account {
    vendor: Vendor,
    id: String,
    path_secret: String,
    api_key: String,
    secrets: BTreeMap<String, String>,
}

impl Account {
    pub(super) fn new(vendor: Vendor) -> Self {
        let secrets = secret_names(vendor).iter().map(|name| ((*name).to_owned(), draw()));
        Self {
            vendor,
            id: format!("demo-{}", vendor.name()),
            path_secret: draw(),
            api_key: draw(),
            secrets: secrets.collect(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The account at the sandbox, which calls below `public_url`.
    pub(super) fn spec(&self, public_url: &str) -> AccountSpec {
        AccountSpec {
            vendor: self.vendor,
            id: self.id.clone(),
            api_key: self.api_key.clone(),
            callback_url: format!("{public_url}/callbacks/{}/{}", self.id, self.path_secret),
            secrets: self.secrets.clone(),
            ..AccountSpec::default()
        }
    }

    /// Its part of the config file.
    pub(super) fn write_config(&self, sandbox: &Sandbox, text: &mut String) -> std::fmt::Result {
        write!(
            text,
            "[[account]]\nid = \"{id}\"\nplatform = \"{platform}\"\nbase_url = \"{base}\"\n\
             path_secrets = [\"{secret}\"]\ncredential = {{ {credential} }}\nreconcile_hours = 6\n",
            id = self.id,
            platform = self.vendor.platform(),
            base = sandbox.base_url(self.vendor),
            secret = self.path_secret,
            credential = self.credential(),
        )?;
        if let Some(key) = self.secrets.get("callback_key") {
            writeln!(text, "callback_keys = [\"{key}\"]")?;
        }
        text.push('\n');
        Ok(())
    }

    fn credential(&self) -> String {
        let own = |name: &str| format!("{name} = \"{}\"", self.secrets.get(name).map_or("", String::as_str));
        match self.vendor {
            Vendor::DropboxSign => format!("api_key = \"{}\"", self.api_key),
            Vendor::ESignAnyWhere => format!("api_token = \"{}\"", self.api_key),
            Vendor::OneSpan => {
                format!("{}, {}, flow = \"client-app\"", own("client_id"), own("client_secret"))
            }
            Vendor::Scrive | Vendor::ScriveFlow => {
                secret_names(self.vendor).iter().map(|name| own(name)).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// The rule for what it completes. Only what the default would keep is told to be removed: a sealed document goes
    /// after its extension by itself, and a flow stays.
    pub(super) fn write_rule(&self, text: &mut String) -> std::fmt::Result {
        let dispose = match self.vendor {
            Vendor::Scrive | Vendor::ScriveFlow => "",
            Vendor::DropboxSign | Vendor::ESignAnyWhere | Vendor::OneSpan => "dispose = \"after-transfer\"\n",
        };
        write!(
            text,
            "[[rule]]\naccount = \"{}\"\nwhen = [\"completed\"]\ndeliver_to = [\"archive\"]\n\
             path = \"{{platform}}/{{account}}/{{completed_at:%Y/%m}}/{{envelope_id}}\"\n{dispose}\n",
            self.id
        )
    }
}

/// What an account has besides an API key, by the names of the config's fields.
fn secret_names(vendor: Vendor) -> &'static [&'static str] {
    match vendor {
        Vendor::DropboxSign | Vendor::ESignAnyWhere => &[],
        Vendor::OneSpan => &["callback_key", "client_id", "client_secret"],
        Vendor::Scrive | Vendor::ScriveFlow => &["api_token", "api_secret", "access_token", "access_secret"],
    }
}

/// A secret of letters, digits, `-` and `_`.
pub(super) fn draw() -> String {
    let mut bytes = [0u8; 24];
    SystemEntropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
