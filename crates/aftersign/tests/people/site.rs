//! A server of our own per test: the real binary, a config in a temporary folder, free ports. All that it ever told is kept,
//! so that a test can look whether a secret is among it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::visitor::{Visitor, form};

/// The secret in every account's callback URL.
pub(crate) const PATH_SECRET: &str = "cGF0aC1zZWNyZXQtb2YtdGVzdHM";
const BINARY: &str = env!("CARGO_BIN_EXE_aftersign");
/// Longest wait for anything in a test; only a failing test takes it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a config, and perhaps a running server.
pub(crate) struct Site {
    dir: tempfile::TempDir,
    pub(crate) listen: String,
    admin: String,
    child: Option<Child>,
    /// What commands printed.
    told: Mutex<Vec<u8>>,
}

impl Site {
    /// A folder and two free ports; [`configure`](Self::configure) comes next.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("vault.key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
            .expect("a key");
        fs::create_dir(dir.path().join("archive")).expect("the archive");
        Self { dir, listen: free_address(), admin: free_address(), child: None, told: Mutex::default() }
    }

    /// Writes the config: `more` are the accounts, and whatever else the test is about.
    pub(crate) fn configure(&self, time_scale: f64, more: &str) {
        let text = format!(
            r#"
[server]
listen = "{listen}"
public_url = "http://{listen}"
[admin]
listen = "{admin}"
[store]
url = "sqlite:aftersign.db"
staging_dir = "staging"
[vault]
keys = [{{ id = "test", file = "vault.key" }}]
[engine]
time_scale = {time_scale:?}
[[destination]]
id = "archive"
type = "filesystem"
root = "archive"
[[rule]]
deliver_to = ["archive"]
path = "{{account}}/{{envelope_id}}"
dispose = "never"
{more}"#,
            listen = self.listen,
            admin = self.admin,
        );
        fs::write(self.path("aftersign.toml"), text).expect("the config");
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The address of one of our pages.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// The callback URL of an account.
    pub(crate) fn callback_url(&self, account: &str) -> String {
        self.page(&format!("/callbacks/{account}/{PATH_SECRET}"))
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn serve(&mut self) {
        let log =
            fs::File::options().create(true).append(true).open(self.path("server.log")).expect("the log");
        let child = self
            .command(&["serve"])
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        let ready = format!("http://{}/readyz", self.admin);
        self.wait_for("the server is ready", |site| {
            if let Some(status) = site.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                panic!("the server ended with {status}: {}", site.log());
            }
            Visitor::default().ask("GET", &ready, &[], "").is_some_and(|answer| answer.status == 200)
        });
    }

    /// Ends the server as a machine that loses its power would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(args).env("AFTERSIGN_CONFIG", self.path("aftersign.toml")).stdin(Stdio::null());
        command
    }

    /// Runs a command of the binary on this site's config.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().expect("the command runs");
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend_from_slice(&output.stdout);
        told.extend_from_slice(&output.stderr);
        output
    }

    /// The JSON that a command prints, whatever its exit code.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {errors}"))
    }

    /// The rows of a list, such as those of `grants list`.
    #[track_caller]
    pub(crate) fn list(&self, name: &str, more: &[&str]) -> Vec<Value> {
        let answer = self.json(&[&[name, "list"], more].concat());
        answer[name].as_array().unwrap_or_else(|| panic!("no {name}: {answer}")).clone()
    }

    /// Those open tasks that are of this kind.
    #[track_caller]
    pub(crate) fn tasks(&self, kind: &str) -> Vec<Value> {
        self.list("tasks", &["--open"]).into_iter().filter(|task| task["kind"] == kind).collect()
    }

    /// An envelope as `envelopes list` has it; null if it is not there.
    #[track_caller]
    pub(crate) fn envelope(&self, id: &str) -> Value {
        let rows = self.list("envelopes", &[]);
        rows.into_iter().find(|row| row["id"] == id).unwrap_or_default()
    }

    /// Waits until `happened`, looking often; fails loudly after [`PATIENCE`].
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, mut happened: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !happened(self) {
            assert!(began.elapsed() < PATIENCE, "in vain: {what}; the log: {}", self.log());
            thread::yield_now();
        }
    }

    /// Nothing that the server or a command tells or wrote down holds one of the secrets: plain, in base64, or as an
    /// address or a form carries it.
    #[track_caller]
    pub(crate) fn holds_none_of(&self, secrets: &[String]) {
        assert!(self.run(&["backup", &self.path("backup.db").display().to_string()]).status.success());
        for list in ["grants", "mails", "tasks", "transfers", "envelopes", "callbacks", "accounts"] {
            self.run(&[list, "list"]);
        }
        for args in [
            ["journal", "list"],
            ["journal", "verify"],
            ["keys", "list"],
            ["accounts", "urls"],
            ["config", "show"],
        ] {
            self.run(&args);
        }
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files =
            vec![("what commands print".to_string(), String::from_utf8_lossy(&told).into_owned())];
        for page in ["/metrics", "/", "/healthz"] {
            let answer = Visitor::default().send("GET", &format!("http://{}{page}", self.admin), &[], "");
            files.push((page.to_string(), answer.body));
        }
        for path in files_of(self.dir.path()).into_iter().filter(|path| !path.ends_with("aftersign.toml")) {
            let bytes = fs::read(&path).expect("a readable file");
            files.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
        let names: Vec<&str> =
            files.iter().map(|(name, _)| name.rsplit('/').next().unwrap_or_default()).collect();
        for name in ["aftersign.db", "backup.db", "server.log"] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            let encoded = form(&[("x", secret)]).split_off(2);
            for form in [secret.clone(), STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret), encoded] {
                for (name, text) in &files {
                    assert!(!text.contains(&form), "{name} holds {form}");
                }
            }
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// A port on which nobody listens at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// All files below a folder.
pub(crate) fn files_of(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] }).collect()
}
