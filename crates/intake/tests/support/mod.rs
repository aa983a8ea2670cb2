//! A platform, an inbox and a raw HTTP client for tests of the front door: real sockets, nothing else.
#![expect(clippy::unwrap_used, reason = "test support")]

mod platform;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aftersign_core::Timestamp;
use aftersign_core::callback::CallbackSecrets;
use aftersign_core::ids::AccountId;
use aftersign_core::seams::{Clock, Entropy};
use aftersign_core::secret::Secret;
use aftersign_intake::{Fallback, Intake, IntakeAccount, IntakeConfig, IntakeMetrics};
use aftersign_store::{Inbox, NewCallback, Noted, StoreError};
use async_trait::async_trait;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use platform::{ACKNOWLEDGEMENT, BODY_BYTES_MAX, PLATFORM, WITH_DRAFTS};

pub(crate) const PATH_SECRET: &str = "old-path-secret-0123456789";
pub(crate) const NEXT_PATH_SECRET: &str = "new-path-secret-0123456789";
pub(crate) const KEY: &str = "callback-key-abcdef";
pub(crate) const PASSWORD: &str = "basic-password-xyz";
/// The URL of the account without Basic.
pub(crate) const PATH: &str = "/callbacks/hr/old-path-secret-0123456789";

/// How the inbox behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Willing,
    Overloaded,
    Unavailable,
}

/// Keeps callbacks in memory, once per account and key.
pub(crate) struct MemoryInbox {
    pub(crate) noted: Mutex<Vec<NewCallback>>,
    pub(crate) mood: Mutex<Mood>,
    /// Signalled for every callback that arrives.
    pub(crate) arrived: Notify,
    /// A callback is durable once it got a permit.
    pub(crate) gate: Semaphore,
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn note_down(&self, callback: NewCallback) -> Result<Noted, StoreError> {
        self.arrived.notify_one();
        self.gate.acquire().await.unwrap().forget();
        self.probe().await?;
        let mut noted = self.noted.lock().unwrap();
        if noted.iter().any(|known| known.account == callback.account && known.key == callback.key) {
            return Ok(Noted::Repeat);
        }
        noted.push(callback);
        Ok(Noted::First)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        match *self.mood.lock().unwrap() {
            Mood::Willing => Ok(()),
            Mood::Overloaded => Err(StoreError::Overloaded { waiting: 7 }),
            Mood::Unavailable => {
                Err(StoreError::Unavailable { operation: "commit", source: "disk full".into() })
            }
        }
    }
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }
}

struct Counting(Mutex<u8>);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let mut next = self.0.lock().unwrap();
        *next = next.wrapping_add(1);
        buffer.fill(*next);
    }
}

/// The account `hr`, and `finance` with Basic.
pub(crate) fn accounts() -> Vec<IntakeAccount> {
    let account = |id: &str, basic| IntakeAccount {
        id: AccountId::new(id),
        platform: &PLATFORM,
        path_secrets: vec![Secret::new(PATH_SECRET), Secret::new(NEXT_PATH_SECRET), Secret::new("")],
        secrets: CallbackSecrets { keys: vec![Secret::new(KEY)] },
        basic,
    };
    vec![account("hr", None), account("finance", Some(("user".to_owned(), Secret::new(PASSWORD))))]
}

/// A running front door.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) inbox: Arc<MemoryInbox>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
    registry: Registry,
}

impl Door {
    pub(crate) async fn open() -> Self {
        Self::open_with(IntakeConfig::default()).await
    }

    pub(crate) async fn open_with(config: IntakeConfig) -> Self {
        Self::open_as(config, |intake| intake).await
    }

    /// A door with this beside the callbacks.
    pub(crate) async fn open_beside(fallback: Fallback) -> Self {
        Self::open_as(IntakeConfig::default(), |intake| intake.with_fallback(fallback)).await
    }

    async fn open_as(config: IntakeConfig, finish: impl FnOnce(Intake) -> Intake) -> Self {
        let inbox = Arc::new(MemoryInbox {
            noted: Mutex::default(),
            mood: Mutex::new(Mood::Willing),
            arrived: Notify::new(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let mut registry = Registry::default();
        let metrics = IntakeMetrics::new(&mut registry);
        let entropy = Arc::new(Counting(Mutex::new(0)));
        let intake = Arc::new(finish(Intake::new(
            accounts(),
            Arc::clone(&inbox) as Arc<dyn Inbox>,
            Arc::new(FixedClock),
            entropy,
            metrics,
            config,
        )));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(Arc::clone(&intake).serve(listener, shutdown.clone()));
        Self { address, inbox, intake, shutdown, served, registry }
    }

    pub(crate) async fn client(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), buffer: Vec::new() }
    }

    /// Sends one request over a connection of its own.
    pub(crate) async fn send(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.client().await;
        client.write(request).await;
        client.response().await
    }

    /// The callbacks noted so far.
    pub(crate) fn noted(&self) -> Vec<NewCallback> {
        self.inbox.noted.lock().unwrap().clone()
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.inbox.mood.lock().unwrap() = mood;
    }

    /// From now on a callback waits in the inbox until it is let through.
    pub(crate) fn close_gate(&self) {
        self.inbox.gate.forget_permits(usize::MAX);
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// A raw HTTP/1.1 connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The head without its `Date`.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads one response.
    pub(crate) async fn response(&mut self) -> Response {
        let head_length = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill().await, "the connection ended: {}", String::from_utf8_lossy(&self.buffer));
        };
        let head: Vec<u8> = self.buffer.drain(..head_length).collect();
        let head = String::from_utf8(head).unwrap();
        let head: String =
            head.split_inclusive("\r\n").filter(|line| !line.to_lowercase().starts_with("date:")).collect();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            assert!(self.fill().await, "the body ended early");
        }
        response.body = self.buffer.drain(..length).collect();
        response
    }

    /// Status and challenge of a response to `HEAD`, after which the connection ends.
    pub(crate) async fn head(&mut self) -> (u16, Option<String>) {
        assert!(self.ended().await);
        let head = String::from_utf8(std::mem::take(&mut self.buffer)).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let response = Response { status, head, body: Vec::new() };
        (status, response.header("www-authenticate").map(str::to_owned))
    }

    /// Whether the server closed the connection, perhaps after other bytes.
    pub(crate) async fn ended(&mut self) -> bool {
        while self.fill().await {}
        true
    }

    async fn fill(&mut self) -> bool {
        // A reset is an end too.
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|bytes| bytes > 0)
    }
}

/// A POST to this path with this body and these further header lines.
pub(crate) fn post_to(path: &str, headers: &[&str], body: &str) -> String {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n", body.len());
    for line in headers {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request + "\r\n" + body
}

/// An authentic POST to the account `hr`.
pub(crate) fn post(body: &str) -> String {
    post_to(PATH, &[&format!("X-Signature: {KEY}")], body)
}
