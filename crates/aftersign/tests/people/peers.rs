//! The real peers: a certified OAuth server, a mail server, and a browser.
//!
//! `cargo xtask peers` brings their packages below `target/`; a test without them fails and says so, because a
//! skipped test would look like a passed one. Every peer is a process group of its own with a folder of its own,
//! and ends with its value, or with this process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::visitor::Visitor;

/// Longest wait for a line of a peer; only a failing test takes it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait of one step in the browser, shorter than [`PATIENCE`] so that the browser says what it missed.
const STEP_MILLISECONDS: u64 = 20_000;
const SET_UP: &str = "run `cargo xtask peers` in the repository";
const CHROMIUM: &str = "/usr/bin/chromium";

/// A running peer. It tells one JSON line per fact on its standard output.
struct Peer {
    name: &'static str,
    /// Its home and temporary folder, and what it complained about.
    folder: tempfile::TempDir,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Peer {
    fn start(name: &'static str, folder: tempfile::TempDir, command: &mut Command) -> Self {
        let complaints = fs::File::create(folder.path().join("complaints")).expect("a file for complaints");
        let mut child = command
            .current_dir(packages())
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}; {SET_UP}"));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                // Nobody listens once the test is over.
                let _ = sender.send(value);
            }
        });
        Self { name, folder, child, stdin, lines }
    }

    /// Its next line.
    fn line(&self) -> Value {
        self.next().unwrap_or_else(|| panic!("{} ended; its complaints:\n{}", self.name, self.complaints()))
    }

    /// Its next line, if it does not end before.
    fn next(&self) -> Option<Value> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} says nothing; its complaints:\n{}", self.name, self.complaints())
            }
        }
    }

    fn complaints(&self) -> String {
        fs::read_to_string(self.folder.path().join("complaints")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A peer that ended by itself has no group any more.
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

/// Where the packages of Node.js are, as the lock file has them.
fn packages() -> PathBuf {
    let packages = target().join("peers");
    let stamp = fs::read_to_string(packages.join("node_modules/aftersign-stamp")).unwrap_or_default();
    assert!(stamp == include_str!("peers/package-lock.json"), "the peers are missing or old: {SET_UP}");
    packages
}

/// The interpreter that has the mail server.
pub(crate) fn python() -> PathBuf {
    let venv = target().join("oracle-venv");
    let stamp = fs::read_to_string(venv.join("aftersign-stamp")).unwrap_or_default();
    assert!(
        stamp.ends_with(include_str!("peers/requirements.txt")),
        "the peers are missing or old: {SET_UP}"
    );
    venv.join("bin/python")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/people/peers").join(name)
}

/// What the OAuth server knows. `peers/oauth.mjs` tells the shapes.
pub(crate) struct OauthConfig {
    pub(crate) clients: Vec<Value>,
    pub(crate) users: Vec<Value>,
    pub(crate) access_token_seconds: u32,
    /// The first is what a request without a scope gets.
    pub(crate) scopes: Vec<&'static str>,
    /// What else the API answers to a good token: paths with `status` and `json`.
    pub(crate) routes: Value,
    /// HTML by path, for everybody.
    pub(crate) pages: Value,
    /// The platform that answers everything else to a good token: `base_url` and the account's `api_key`.
    pub(crate) upstream: Value,
}

impl Default for OauthConfig {
    /// Anna and Bert, an hour per token, and no client.
    fn default() -> Self {
        Self {
            clients: Vec::new(),
            users: vec![
                json!({ "sub": "user-anna", "email": "anna@example.com", "name": "Anna Berg" }),
                json!({ "sub": "user-bert", "email": "bert@example.com", "name": "Bert Tal" }),
            ],
            access_token_seconds: 3600,
            scopes: vec!["api"],
            routes: json!({}),
            pages: json!({}),
            upstream: Value::Null,
        }
    }
}

/// An OAuth server whose endpoints are `/auth`, `/token` and `/token/revocation`.
pub(crate) struct OauthPeer {
    pub(crate) base_url: String,
    _peer: Peer,
}

impl OauthPeer {
    pub(crate) fn start(config: &OauthConfig) -> Self {
        let argument = json!({
            "clients": config.clients,
            "users": config.users,
            "access_token_seconds": config.access_token_seconds,
            "scopes": config.scopes,
            "routes": config.routes,
            "pages": config.pages,
            "upstream": config.upstream,
        });
        let mut command = Command::new("node");
        command.arg(script("oauth.mjs")).arg(argument.to_string());
        let peer = Peer::start("the OAuth server", folder(), &mut command);
        let base_url = peer.line()["base_url"].as_str().expect("its address").to_string();
        Self { base_url, _peer: peer }
    }

    /// Takes back all that a user granted, as an administrator of the platform would.
    pub(crate) fn revoke(&self, sub: &str) {
        self.act("revoke", sub);
    }

    /// Ends a user's access tokens, as time would; the refresh tokens stay.
    pub(crate) fn expire(&self, sub: &str) {
        self.act("expire", sub);
    }

    fn act(&self, name: &str, sub: &str) {
        let url = format!("{}/control/{name}?user={sub}", self.base_url);
        assert_eq!(Visitor::default().send("POST", &url, &[], "").status, 204, "no user {sub}");
    }

    /// What came to the token endpoint: `grant_type`, `client_id`, names of `fields`, `status`, `error`, and the
    /// number of `tokens` that it gave.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.list("log")
    }

    /// What came to the API: `method`, `path`, `user` of the token, `status`.
    pub(crate) fn calls(&self) -> Vec<Value> {
        self.list("calls")
    }

    /// Every code and token that it ever gave out.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let secrets = self.list("secrets");
        secrets.iter().map(|secret| secret.as_str().expect("a text").to_string()).collect()
    }

    fn list(&self, name: &str) -> Vec<Value> {
        let answer = Visitor::default().send("GET", &format!("{}/control/{name}", self.base_url), &[], "");
        serde_json::from_str(&answer.body).expect("a list")
    }
}

/// Whether a mail server wants STARTTLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Starttls {
    Required,
    Offered,
    None,
}

/// The moods of a mail server.
#[derive(Clone)]
pub(crate) struct SmtpConfig {
    /// Where it listens; 0 for any free port.
    pub(crate) port: u16,
    pub(crate) starttls: Starttls,
    /// User and password without which it takes nothing.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// Addresses that it answers with 550.
    pub(crate) refuse: Vec<&'static str>,
    /// How many messages it first answers with 451.
    pub(crate) busy: u32,
}

impl Default for SmtpConfig {
    /// Takes everything from everybody, in the clear.
    fn default() -> Self {
        Self { port: 0, starttls: Starttls::None, login: None, refuse: Vec::new(), busy: 0 }
    }
}

/// A message as the mail server took it.
#[derive(Clone, Deserialize, Debug)]
pub(crate) struct Message {
    /// Of the envelope.
    pub(crate) from: String,
    /// Of the envelope.
    pub(crate) to: Vec<String>,
    /// Headers and body.
    pub(crate) data: String,
    /// As a mail program shows it.
    pub(crate) subject: Option<String>,
    /// The same of the plain text.
    pub(crate) text: Option<String>,
    /// The same of the page.
    pub(crate) html: Option<String>,
    pub(crate) tls: bool,
    /// Who logged in.
    pub(crate) user: Option<String>,
}

/// A mail server on 127.0.0.1.
pub(crate) struct SmtpPeer {
    pub(crate) port: u16,
    peer: Mutex<Peer>,
    taken: Mutex<Vec<Message>>,
}

impl SmtpPeer {
    pub(crate) fn start(config: &SmtpConfig) -> Self {
        let folder = folder();
        if config.starttls != Starttls::None {
            make_certificate(folder.path());
        }
        let argument = json!({
            "port": config.port,
            "starttls": match config.starttls {
                Starttls::Required => "required",
                Starttls::Offered => "offered",
                Starttls::None => "none",
            },
            "certificate": folder.path().join("server.pem"),
            "key": folder.path().join("server.key"),
            "user": config.login.map(|login| login.0),
            "password": config.login.map(|login| login.1),
            "refuse": config.refuse,
            "busy": config.busy,
        });
        let mut command = Command::new(python());
        command.arg(script("smtp.py")).arg(argument.to_string());
        let peer = Peer::start("the mail server", folder, &mut command);
        let port = peer.line()["port"].as_u64().and_then(|port| port.try_into().ok()).expect("its port");
        Self { port, peer: Mutex::new(peer), taken: Mutex::default() }
    }

    /// The authority that vouches for the server's certificate, in PEM.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner).folder.path().join("ca.pem")
    }

    /// All messages that it has taken up to now.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(peer.stdin.as_mut().expect("its input is open")).expect("it listens");
        loop {
            let line = peer.line();
            if line.get("seen").is_some() {
                return taken.clone();
            }
            taken.push(serde_json::from_value(line).expect("a message"));
        }
    }

    /// Waits until it has taken so many messages, and gives all.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Message> {
        let peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while taken.len() < count {
            taken.push(serde_json::from_value(peer.line()).expect("a message"));
        }
        taken.clone()
    }
}

/// An authority (`ca.pem`) and what it vouches for (`server.pem`, `server.key`): this machine by name and number.
fn make_certificate(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .current_dir(folder)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("openssl does not start: {error}; {SET_UP}"));
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(&[
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=authority of a test",
        "-addext",
        "keyUsage=critical,keyCertSign",
    ]);
    openssl(&[
        "-keyout",
        "server.key",
        "-out",
        "server.pem",
        "-subj",
        "/CN=localhost",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-addext",
        "extendedKeyUsage=serverAuth",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ]);
}

/// What a person does in a browser.
pub(crate) struct Script {
    pub(crate) javascript: bool,
    /// `{ "goto": url }`, `{ "click": selector }` and so on: `peers/browser.mjs` has them all.
    pub(crate) steps: Vec<Value>,
}

/// The page after a step, and what went wrong in it during the step.
#[derive(Deserialize, Debug)]
pub(crate) struct StepReport {
    pub(crate) url: String,
    /// The answer to the last page that was asked for.
    pub(crate) status: Option<u16>,
    pub(crate) title: String,
    /// Its language.
    pub(crate) lang: Option<String>,
    /// Its headings of the first rank.
    pub(crate) headings: Vec<String>,
    /// Whether it is wider than the window.
    pub(crate) overflow: bool,
    /// What is visible.
    pub(crate) text: String,
    /// Errors and warnings.
    pub(crate) console: Vec<String>,
    /// What the page's Content-Security-Policy forbade: directive and address.
    pub(crate) violations: Vec<String>,
    /// Requests of the page without an answer, or with one of 400 and more.
    pub(crate) failed: Vec<String>,
    error: Option<String>,
}

impl StepReport {
    /// Nothing went wrong in the page.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert!(self.console.is_empty() && self.violations.is_empty() && self.failed.is_empty(), "{self:#?}");
    }
}

/// Chromium with a fresh profile for every run.
pub(crate) struct Browser;

impl Browser {
    /// Does all steps; panics at the first that cannot be done, and tells where it stood.
    #[track_caller]
    pub(crate) fn run(script_of_steps: &Script) -> Vec<StepReport> {
        assert!(Path::new(CHROMIUM).exists(), "{CHROMIUM} is missing: {SET_UP}");
        let mut peer = Peer::start(
            "the browser",
            folder(),
            Command::new("node").arg(script("browser.mjs")).arg(CHROMIUM),
        );
        let text = json!({
            "javascript": script_of_steps.javascript,
            "step_milliseconds": STEP_MILLISECONDS,
            "steps": script_of_steps.steps,
        });
        let mut stdin = peer.stdin.take().expect("its input is piped");
        stdin.write_all(text.to_string().as_bytes()).expect("it listens");
        drop(stdin);
        // To its end, so that the browser has taken its profile away.
        let lines = std::iter::from_fn(|| peer.next());
        let reports: Vec<StepReport> =
            lines.map(|line| serde_json::from_value(line).expect("a report")).collect();
        let last = reports.last();
        assert!(last.is_none_or(|report| report.error.is_none()), "step {}: {last:#?}", reports.len());
        assert_eq!(
            reports.len(),
            script_of_steps.steps.len(),
            "the browser complains:\n{}",
            peer.complaints()
        );
        reports
    }
}
