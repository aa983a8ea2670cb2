//! A server of our own per test: the real binary, a real config file, a temporary folder, free ports; and the
//! sandbox's world beside it where a test needs platforms.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use aftersign_sandbox::{AccountSpec, Sandbox, SandboxConfig, Vendor};
use aws_lc_rs::hmac;

pub(crate) const DROPBOX_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub(crate) const ESAW_TOKEN: &str = "esawtoken0123456789esawtoken0123456789esawtoken0123456789esawtoken";
pub(crate) const SECRET: &str = "cGF0aC1zZWNyZXQtb2YtdGVzdHM";
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_aftersign");
/// Longest wait for anything in a test; only a failing test takes it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a config, and perhaps a running server.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) listen: String,
    pub(crate) admin: String,
    child: Option<Child>,
}

impl Site {
    /// A config with an account per platform whose API is at `sandbox`, or nowhere.
    pub(crate) fn new(sandbox: Option<&Sandbox>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let site = Self { dir, listen: free_address(), admin: free_address(), child: None };
        let base = |vendor| match sandbox {
            Some(sandbox) => sandbox.base_url(vendor),
            None => "http://127.0.0.1:9".to_string(),
        };
        site.write_config(&base(Vendor::DropboxSign), &base(Vendor::ESignAnyWhere), "after-transfer");
        site
    }

    pub(crate) fn write_config(&self, dropbox: &str, esaw: &str, dispose: &str) {
        let text = format!(
            r#"
[server]
listen = "{listen}"
public_url = "http://{listen}"
[admin]
listen = "{admin}"
[store]
url = "sqlite:data/aftersign.db"
staging_dir = "data/staging"
[vault]
keys = [{{ id = "test", file = "vault.key" }}]
[engine]
time_scale = 3600.0
[[account]]
id = "hr"
platform = "dropbox-sign"
base_url = "{dropbox}"
path_secrets = ["{SECRET}"]
credential = {{ api_key = "{DROPBOX_KEY}" }}
[[account]]
id = "sales"
platform = "esignanywhere"
base_url = "{esaw}"
path_secrets = ["{SECRET}"]
credential = {{ api_token = "{ESAW_TOKEN}" }}
[[account]]
id = "legal"
platform = "onespan"
base_url = "http://127.0.0.1:9"
path_secrets = ["{SECRET}"]
callback_keys = ["a-callback-key"]
credential = {{ api_key = "unused" }}
[[account]]
id = "lab"
platform = "scrive"
base_url = "http://127.0.0.1:9"
path_secrets = ["{SECRET}"]
credential = {{ api_token = "a", api_secret = "b", access_token = "c", access_secret = "d" }}
[[destination]]
id = "archive"
type = "filesystem"
root = "archive"
[[rule]]
account = "*"
when = ["completed"]
deliver_to = ["archive"]
path = "{{platform}}/{{envelope_id}}"
dispose = "{dispose}"
"#,
            listen = self.listen,
            admin = self.admin,
        );
        std::fs::write(self.dir.path().join("vault.key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
            .expect("the key file");
        std::fs::create_dir_all(self.path("archive")).expect("the archive");
        std::fs::write(self.config(), text).expect("the config");
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("aftersign.toml")
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn serve(&mut self) {
        self.serve_by(Command::new(BINARY).arg("serve"));
    }

    /// The same through a command that runs the server, such as a tracer.
    pub(crate) fn serve_by(&mut self, command: &mut Command) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("server.log"))
            .expect("the log");
        let child = command
            .env("AFTERSIGN_CONFIG", self.config())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        self.wait_for("the server is ready", |site| {
            if let Some(status) = site.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                panic!("the server ended with {status}: {}", site.log());
            }
            let answer =
                exchange(&site.admin, b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            answer.is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
        });
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the server is killed");
            child.wait().expect("the server is gone");
        }
    }

    /// Asks the server to end and gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the signal");
        child.wait().expect("the server ends").code()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// Runs a command of the binary on this site's config.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        Command::new(BINARY)
            .args(args)
            .env("AFTERSIGN_CONFIG", self.config())
            .stdin(Stdio::null())
            .output()
            .expect("the command runs")
    }

    /// The JSON that a command prints.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// Waits until `happened`, looking often; fails loudly after [`PATIENCE`].
    pub(crate) fn wait_for(&mut self, what: &str, mut happened: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !happened(self) {
            assert!(began.elapsed() < PATIENCE, "in vain: {what}; the log: {}", self.log());
            std::thread::yield_now();
        }
    }

    /// Sends raw bytes to the front door and gives the whole answer.
    pub(crate) fn send(&self, request: &[u8]) -> String {
        let answer = exchange(&self.listen, request).expect("the front door answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Posts an authentic callback body to the account `hr`.
    pub(crate) fn post_dropbox(&self, json: &str) -> String {
        self.send(&dropbox_request(&self.listen, SECRET, json, true))
    }

    /// Posts a body to an account, with further header lines.
    pub(crate) fn post(&self, account: &str, headers: &str, body: &str) -> String {
        let head = format!(
            "POST /callbacks/{account}/{SECRET} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\
             Connection: close\r\n{headers}\r\n",
            self.listen,
            body.len()
        );
        self.send(format!("{head}{body}").as_bytes())
    }

    /// Sends an eSignAnyWhere callback to the account `sales`.
    pub(crate) fn get_esaw(&self, channel: &str, query: &str) -> String {
        let head = format!(
            "GET /callbacks/sales/{SECRET}/{channel}?{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.listen
        );
        self.send(head.as_bytes())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A world of both platforms with an account for each of the site's.
pub(crate) async fn world(config: SandboxConfig) -> Sandbox {
    Sandbox::start(SandboxConfig { time_scale: 3600.0, ..config }).await.expect("the sandbox starts")
}

/// Tells the world where the site's callbacks go.
pub(crate) fn connect(sandbox: &Sandbox, site: &Site) {
    for (vendor, id, key) in
        [(Vendor::DropboxSign, "hr", DROPBOX_KEY), (Vendor::ESignAnyWhere, "sales", ESAW_TOKEN)]
    {
        sandbox.open_account(AccountSpec {
            vendor,
            id: id.into(),
            api_key: key.into(),
            callback_url: format!("http://{}/callbacks/{id}/{SECRET}", site.listen),
            secrets: BTreeMap::new(),
            ..AccountSpec::default()
        });
    }
}

/// The body of a callback about one envelope.
pub(crate) fn dropbox_json(event_type: &str, event_time: &str, envelope: &str, key: &str) -> String {
    let hash = hex_hmac(key, &format!("{event_time}{event_type}"));
    format!(
        r#"{{"event":{{"event_time":"{event_time}","event_type":"{event_type}","event_hash":"{hash}","event_metadata":{{"related_signature_id":null,"reported_for_account_id":"acc","reported_for_app_id":null,"event_message":null}}}},"account_guid":"acc","client_id":null,"signature_request":{{"signature_request_id":"{envelope}","title":"Contract","requester_email_address":"anna@example.com","files_url":"https:\/\/api.hellosign.com\/v3\/signature_request\/files\/{envelope}"}}}}"#
    )
}

pub(crate) fn hex_hmac(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request as the platform's HTTP client sends it: libcurl's multipart with one field.
pub(crate) fn dropbox_request(host: &str, secret: &str, json: &str, close: bool) -> Vec<u8> {
    let boundary = "----------------------------cdbbc9813ec9";
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--{boundary}--\r\n"
    );
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!(
        "POST /callbacks/hr/{secret} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: HelloSign API\r\nAccept: */*\r\n\
         Content-Length: {}\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n{connection}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request and reads until the other side closes.
pub(crate) fn exchange(address: &str, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(answer)
}

/// Sends a head with `Expect: 100-continue`, waits for the go-ahead, then sends the body.
pub(crate) fn exchange_with_expect(address: &str, request: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(request)
        .replace("Accept: */*\r\n", "Accept: */*\r\nExpect: 100-continue\r\n");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(format!("{head}\r\n\r\n").as_bytes()).expect("the head");
    let mut reader = BufReader::new(stream.try_clone().expect("a reader"));
    let mut interim = String::new();
    reader.read_line(&mut interim).expect("an interim answer");
    let mut blank = String::new();
    reader.read_line(&mut blank).expect("its end");
    stream.write_all(body.as_bytes()).expect("the body");
    let mut answer = String::new();
    reader.read_to_string(&mut answer).expect("the answer");
    (interim, answer)
}

pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
