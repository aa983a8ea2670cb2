//! A folder with a config, and the binary run in it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::platform::{API_KEY, CLIENT_SECRET};

pub(crate) const SECRET: &str = "current-path-secret-0123456789";
pub(crate) const FORMER: &str = "former-path-secret-0123456789";
pub(crate) const CALLBACK_KEY: &str = "callback-key-0123456789";
pub(crate) const PUBLIC: &str = "https://sign.example.com";

/// The credential of an account with an API key.
pub(crate) fn api_key() -> String {
    format!("{{ api_key = \"{API_KEY}\" }}")
}

/// The credential of an account with tokens.
pub(crate) fn tokens(flow: &str) -> String {
    format!("{{ client_id = \"client-of-legal\", client_secret = \"{CLIENT_SECRET}\", flow = \"{flow}\" }}")
}

/// How a run of the binary ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Its JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    /// Ended with this code, and told no secret.
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for secret in
            [SECRET, FORMER, CALLBACK_KEY, API_KEY, CLIENT_SECRET, "secret-of-another", "key-of-another"]
        {
            assert!(!self.out.contains(secret) && !self.err.contains(secret), "{} {}", self.out, self.err);
        }
        self
    }
}

pub(crate) struct Site(tempfile::TempDir);

impl Site {
    /// A folder whose config has these accounts.
    pub(crate) fn new(accounts: &[String]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "[server]\npublic_url = \"{PUBLIC}\"\n[store]\nurl = \"sqlite:data/a.db\"\n{}",
            accounts.concat()
        );
        fs::write(dir.path().join("aftersign.toml"), text).expect("the config");
        Self(dir)
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, b"")
    }

    /// Runs the binary with a text on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aftersign"))
            .current_dir(self.0.path())
            .args(args)
            .env_remove("AFTERSIGN_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // A run that ends early does not read it.
        let _ = child.stdin.take().expect("its input").write_all(input);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("a text");
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// An account at the platform.
pub(crate) fn account(id: &str, base_url: &str, credential: &str) -> String {
    format!(
        "[[account]]\nid = \"{id}\"\nplatform = \"onespan\"\nbase_url = \"{base_url}\"\n\
         path_secrets = [\"{SECRET}\", \"{FORMER}\"]\ncallback_keys = [\"{CALLBACK_KEY}\"]\n\
         credential = {credential}\n"
    )
}

/// An account at a platform that offers none of this.
pub(crate) fn another_account() -> String {
    format!(
        "[[account]]\nid = \"sales\"\nplatform = \"esignanywhere\"\nbase_url = \"http://127.0.0.1:9\"\n\
         path_secrets = [\"{SECRET}\"]\ncredential = {{ api_token = \"t\" }}\n"
    )
}
