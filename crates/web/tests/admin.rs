//! The admin listener as a monitor sees it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::{AccountId, CallbackId, EnvelopeId, TaskId, TransferId};
use aftersign_core::transfer::{Phase, Transfer};
use aftersign_store::{
    Attempt, Board, CallbackFilter, CallbackRow, EnvelopeDetail, EnvelopeFilter, EnvelopeRow, Inbox, Listing,
    NewCallback, Noted, Overview, PageRequest, StoreError, StoredCallback, TaskRow, TransferFilter,
};
use aftersign_web::Admin;
use async_trait::async_trait;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const WILLING: u8 = 0;
const OVERLOADED: u8 = 1;
const UNAVAILABLE: u8 = 2;
const HANGING: u8 = 3;

#[derive(Default)]
struct World {
    mood: AtomicU8,
    probes: AtomicU32,
}

impl World {
    async fn ask(&self) -> Result<(), StoreError> {
        match self.mood.load(Ordering::Relaxed) {
            WILLING => Ok(()),
            OVERLOADED => Err(StoreError::Overloaded { waiting: 1 }),
            UNAVAILABLE => Err(unavailable()),
            _ => std::future::pending().await,
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { operation: "commit", source: "disk full".into() }
}

#[async_trait]
impl Inbox for World {
    async fn note_down(&self, _: NewCallback) -> Result<Noted, StoreError> {
        Err(unavailable())
    }
    async fn probe(&self) -> Result<(), StoreError> {
        self.probes.fetch_add(1, Ordering::Relaxed);
        self.ask().await
    }
}

#[async_trait]
impl Board for World {
    async fn overview(&self) -> Result<Overview, StoreError> {
        self.ask().await?;
        let hr = AccountId::new("hr");
        Ok(Overview {
            callbacks: 7,
            quarantined: 2,
            repeats: 3,
            envelopes: vec![(hr.clone(), EnvelopeStatus::Completed, 5)],
            transfers: vec![(hr, Phase::DeadLetter, 1)],
            open_tasks: 4,
            gaps: 6,
        })
    }
    async fn callbacks(
        &self,
        _: &CallbackFilter,
        _: &PageRequest,
    ) -> Result<Listing<CallbackRow>, StoreError> {
        Err(unavailable())
    }
    async fn callback(&self, _: CallbackId) -> Result<Option<StoredCallback>, StoreError> {
        Err(unavailable())
    }
    async fn envelopes(
        &self,
        _: &EnvelopeFilter,
        _: &PageRequest,
    ) -> Result<Listing<EnvelopeRow>, StoreError> {
        Err(unavailable())
    }
    async fn envelope(
        &self,
        _: Option<&AccountId>,
        _: &EnvelopeId,
    ) -> Result<Option<EnvelopeDetail>, StoreError> {
        Err(unavailable())
    }
    async fn transfers(&self, _: &TransferFilter, _: &PageRequest) -> Result<Listing<Transfer>, StoreError> {
        Err(unavailable())
    }
    async fn transfer(&self, _: TransferId) -> Result<Option<(Transfer, Vec<Attempt>)>, StoreError> {
        Err(unavailable())
    }
    async fn tasks(&self, _: Option<bool>, _: &PageRequest) -> Result<Listing<TaskRow>, StoreError> {
        Err(unavailable())
    }
    async fn task(&self, _: TaskId) -> Result<Option<TaskRow>, StoreError> {
        Err(unavailable())
    }
    async fn resolve_task(&self, _: TaskId, _: &str, _: &str, _: Timestamp) -> Result<bool, StoreError> {
        Err(unavailable())
    }
    fn watch(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

struct Running {
    address: SocketAddr,
    world: Arc<World>,
    shutdown: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start() -> Self {
        let world = Arc::new(World::default());
        let mut registry = Registry::default();
        let counter = Counter::<u64>::default();
        counter.inc_by(11);
        registry.register("aftersign_callbacks", "of another crate", counter);
        let admin = Admin::new(registry, Arc::clone(&world) as _, Arc::clone(&world) as _);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(admin.serve(listener, shutdown.clone()));
        Self { address, world, shutdown, served }
    }

    fn set(&self, mood: u8) {
        self.world.mood.store(mood, Ordering::Relaxed);
    }

    async fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }
}

#[tokio::test]
async fn the_process_lives_whatever_the_store_does() {
    let running = Running::start().await;
    running.set(UNAVAILABLE);
    let (status, head, body) = running.get("/healthz").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    for header in ["cache-control: no-store", "x-content-type-options: nosniff", "x-frame-options: DENY"] {
        assert!(head.contains(header), "{head}");
    }
    let (status, _, body) = running.get("/").await;
    assert_eq!(status, 200);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(body.contains(path));
    }
    let (status, head, _) = running.get("/nowhere").await;
    assert_eq!(status, 404);
    assert!(head.contains("nosniff"));
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_only_while_a_callback_can_be_noted() {
    let running = Running::start().await;
    let past_the_cache = || tokio::time::advance(Duration::from_millis(1_001));
    assert_eq!(running.get("/readyz").await.0, 200);
    for (mood, word) in [(OVERLOADED, "overloaded\n"), (UNAVAILABLE, "unavailable\n"), (HANGING, "timeout\n")]
    {
        running.set(mood);
        past_the_cache().await;
        let (status, _, body) = running.get("/readyz").await;
        assert_eq!((status, body.as_str()), (503, word));
    }
    running.set(WILLING);
    past_the_cache().await;
    assert_eq!(running.get("/readyz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_readiness_checks_is_one_probe() {
    let running = Running::start().await;
    for _ in 0..10 {
        assert_eq!(running.get("/readyz").await.0, 200);
    }
    assert_eq!(running.world.probes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn metrics_hold_the_registry_and_the_counts_of_the_store() {
    let running = Running::start().await;
    let (status, head, page) = running.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    for line in [
        "aftersign_callbacks_total 11",
        "aftersign_store_readable 1",
        "aftersign_callbacks_kept 7",
        "aftersign_callbacks_quarantined 2",
        "aftersign_callbacks_repeats 3",
        "aftersign_tasks_open 4",
        "aftersign_gaps 6",
        "aftersign_envelopes{account=\"hr\",status=\"completed\"} 5",
        "aftersign_transfers{account=\"hr\",phase=\"dead_letter\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
    assert!(page.ends_with("# EOF\n"));
    assert_eq!(page.matches("# EOF").count(), 1);

    running.set(UNAVAILABLE);
    let (status, _, page) = running.get("/metrics").await;
    assert_eq!(status, 200, "the metrics of the process are needed most when the store fails");
    assert!(page.contains("aftersign_store_readable 0\n") && page.contains("aftersign_callbacks_total 11"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_it_even_with_a_connection_left_open() {
    let running = Running::start().await;
    let _open = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(running.get("/healthz").await.0, 200);
    running.shutdown.cancel();
    running.served.await.unwrap().unwrap();
}
