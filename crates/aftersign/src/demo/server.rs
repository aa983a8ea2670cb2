//! The server under test, as a process of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::stage::Stage;

/// How long the server may take to say that it is ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// How long it may take to end after it was asked to.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running server.
pub(super) struct Server {
    launch: Arc<Launch>,
    child: Arc<Mutex<Option<Child>>>,
}

struct Launch {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    ready_url: String,
}

impl Launch {
    fn spawn(&self) -> anyhow::Result<Child> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        Command::new(&self.program)
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            // A group of its own: Ctrl-C at the terminal is for the demo, which then stops the server.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))
    }
}

impl Server {
    /// Starts it and waits until it can durably note callbacks.
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let launch = Arc::new(Launch {
            program: std::env::current_exe()?,
            config: stage.config(),
            log: stage.log(),
            ready_url: format!("{}/readyz", stage.admin_url()),
        });
        let mut child = launch.spawn()?;
        let began = Instant::now();
        let client = reqwest::Client::new();
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("the server ended with {status}; see {}", launch.log.display());
            }
            let answer = client.get(&launch.ready_url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            if began.elapsed() > READY_MAX {
                bail!("the server is not ready after {READY_MAX:?}; see {}", launch.log.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { launch, child: Arc::new(Mutex::new(Some(child))) })
    }

    /// Kills it every so often, for real, and starts it again at once.
    pub(super) fn kill_every(&self, every: Duration) -> Killer {
        let rest = CancellationToken::new();
        let (child, launch, stop) = (Arc::clone(&self.child), Arc::clone(&self.launch), rest.clone());
        let task = tokio::spawn(async move {
            let mut kills = 0;
            while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
                let mut slot = child.lock().await;
                if let Some(mut running) = slot.take() {
                    running.kill().await?;
                    kills += 1;
                }
                *slot = Some(launch.spawn()?);
            }
            Ok(kills)
        });
        Killer { rest, task }
    }

    /// Asks it to end, and makes it end when it does not.
    pub(super) async fn stop(self) {
        let Some(mut child) = self.child.lock().await.take() else { return };
        let asked = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if asked && tokio::time::timeout(STOP_MAX, child.wait()).await.is_ok() {
            return;
        }
        if let Err(error) = child.kill().await {
            tracing::warn!(%error, "the server could not be stopped");
        }
    }
}

/// Who kills the server.
pub(super) struct Killer {
    rest: CancellationToken,
    task: JoinHandle<anyhow::Result<u64>>,
}

impl Killer {
    /// No more killing; the server that runs goes on.
    pub(super) fn rest(&self) {
        self.rest.cancel();
    }

    /// No more killing, and nothing half done. Gives how often it was killed.
    pub(super) async fn stop(self) -> u64 {
        self.rest();
        match self.task.await {
            Ok(Ok(kills)) => return kills,
            Ok(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "the server could not be restarted")
            }
            Err(error) => tracing::error!(%error, "the killer broke off"),
        }
        0
    }
}
