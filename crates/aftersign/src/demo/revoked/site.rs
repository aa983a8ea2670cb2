//! The account that the senders share, at the sandbox and in the config file; and the server's own commands.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use aftersign_core::callback::draft_secret;
use aftersign_core::secret::Secret;
use aftersign_sandbox::{AccountSpec, MailSink, OauthApp, Sandbox, Vendor};
use anyhow::{Context, bail};
use reqwest::Url;
use tokio::process::Command;

use super::secrets::{Secrets, VAULT_KEY};
use super::witness::Witness;
use crate::demo::accounts::draw;
use crate::demo::stage::Stage;
use crate::demo::{ADMIN, TIME_SCALE};

/// The account's id.
pub(super) const ACCOUNT: &str = "demo-senders";
/// The application's public name, which the platform's consent page shows.
const CLIENT_ID: &str = "aftersign-demo";
/// Where browsers come back to: a path of the operator's own choice.
const REDIRECT_PATH: &str = "/back-from-consent";
/// The platform whose senders prepare drafts and grant access in a browser.
const VENDOR: Vendor = Vendor::ESignAnyWhere;

/// The account with its secrets.
pub(super) struct Site {
    client_secret: String,
    path_secret: String,
}

impl Site {
    pub(super) fn new() -> Self {
        Self { client_secret: draw(), path_secret: draw() }
    }

    /// Opens the account at the platform. No callback URL is set there: the drafts bring their own.
    pub(super) fn open(&self, sandbox: &Sandbox, stage: &Stage) {
        let public = stage.public_url();
        sandbox.open_account(AccountSpec {
            vendor: VENDOR,
            id: ACCOUNT.to_owned(),
            // Nobody has it: only what senders granted opens anything.
            api_key: draw(),
            oauth: Some(OauthApp {
                client_id: CLIENT_ID.to_owned(),
                client_secret: self.client_secret.clone(),
                redirect_uri: format!("{public}{REDIRECT_PATH}"),
                access_token_seconds: None,
                pkce_required: true,
            }),
            before_send_redirect_url: Some(format!(
                "{public}/consent/{ACCOUNT}/before-send\
                 ?draft=##EnvelopeId##&user=##SenderUserId##&org=##OrganizationId##"
            )),
            ..AccountSpec::default()
        });
    }

    /// Where a sender is at home: the inbox at the platform.
    pub(super) fn inbox(&self, sandbox: &Sandbox) -> anyhow::Result<Url> {
        Ok(Url::parse(&format!("{}/Inbox", sandbox.base_url(VENDOR)))?)
    }

    /// Where the platform gives tokens out.
    pub(super) fn token_url(&self, sandbox: &Sandbox) -> String {
        sandbox.token_url(VENDOR)
    }

    /// Writes the config file. The log says more than it usually does: the more it says, the more a secret could show itself.
    pub(super) fn write_config(
        &self,
        stage: &Stage,
        sandbox: &Sandbox,
        witness: &Witness,
        sink: &MailSink,
    ) -> anyhow::Result<()> {
        let mut tables = format!(
            "[log]\nlevel = \"debug\"\n\n\
             [mail]\nsmtp_url = \"smtp://{}\"\nfrom = \"Aftersign <aftersign@example.com>\"\nadmins = [\"{ADMIN}\"]\n\n",
            sink.addr(),
        );
        write!(
            tables,
            "[[account]]\nid = \"{ACCOUNT}\"\nplatform = \"{platform}\"\nbase_url = \"{base}\"\n\
             path_secrets = [\"{secret}\"]\noptions = {{ inbox_url = \"{inbox}\" }}\nreconcile_hours = 6\n\n\
             [account.oauth]\nclient_id = \"{CLIENT_ID}\"\nclient_secret = \"{client_secret}\"\n\
             token_url = \"{token_url}\"\nredirect_path = \"{REDIRECT_PATH}\"\npkce = true\n\n",
            platform = VENDOR.platform(),
            base = sandbox.base_url(VENDOR),
            secret = self.path_secret,
            inbox = self.inbox(sandbox)?,
            client_secret = self.client_secret,
            token_url = witness.url(),
        )?;
        let rule = format!(
            "[[rule]]\naccount = \"{ACCOUNT}\"\nwhen = [\"completed\"]\ndeliver_to = [\"archive\"]\n\
             path = \"{{platform}}/{{account}}/{{completed_at:%Y/%m}}/{{envelope_id}}\"\n\
             dispose = \"after-transfer\"\n\n"
        );
        stage.write_config_of(TIME_SCALE, &tables, &rule)
    }

    /// Notes the secrets that the config and key files hold.
    pub(super) fn tell(&self, stage: &Stage, secrets: &Secrets) -> anyhow::Result<()> {
        secrets.note("client secret", &self.client_secret);
        secrets.note("path secret", &self.path_secret);
        let key = std::fs::read_to_string(stage.vault_key()).context("cannot read the vault key")?;
        secrets.note(VAULT_KEY, key.trim());
        Ok(())
    }

    /// Notes the secret that stands for the path secret in a draft's callback URLs.
    pub(super) fn tell_draft(&self, draft: &str, secrets: &Secrets) {
        let secret = draft_secret(&Secret::new(self.path_secret.as_str()), draft);
        secrets.note("callback secret of a draft", secret.expose());
    }
}

/// What the demo itself wrote with secrets in it.
pub(super) fn spared(stage: &Stage) -> Vec<PathBuf> {
    vec![stage.config(), stage.vault_key()]
}

/// Runs a command of this program on the demo's config, beside the server, and gives what it printed.
///
/// # Errors
/// If it fails; with its own words.
pub(super) async fn command(stage: &Stage, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(std::env::current_exe()?)
        .arg("--config")
        .arg(stage.config())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run `aftersign {}`", args.join(" ")))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("`aftersign {}` failed: {}", args.join(" "), words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same for a command that prints JSON.
pub(super) async fn asked(stage: &Stage, args: &[&str]) -> anyhow::Result<serde_json::Value> {
    let printed = command(stage, args).await?;
    serde_json::from_str(&printed).with_context(|| format!("`aftersign {}` prints no JSON", args.join(" ")))
}
