//! The servers under load, each a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};

use super::callbacks::Callbacks;

/// Clock ticks per second in `/proc/<pid>/stat`; 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a server stands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ground {
    /// The front door over a SQLite store.
    Sqlite,
    /// The front door over an inbox that forgets.
    None,
    /// A bare HTTP service.
    Bare,
}

impl Ground {
    /// All, in the order in which they are loaded.
    pub(super) const ALL: [Self; 3] = [Self::Sqlite, Self::None, Self::Bare];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::None => "none",
            Self::Bare => "bare",
        }
    }
}

/// What a store holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) rows: u64,
    pub(super) callbacks: u64,
    pub(super) repeats: u64,
}

impl Held {
    fn read(said: &str) -> anyhow::Result<Self> {
        let said: serde_json::Value = serde_json::from_str(said)?;
        let count =
            |name: &str| said[name].as_u64().with_context(|| format!("no number of {name} in {said}"));
        Ok(Self { rows: count("rows")?, callbacks: count("callbacks")?, repeats: count("repeats")? })
    }
}

/// A running server; killed if it is dropped without being stopped.
pub(super) struct Server {
    pub(super) ground: Ground,
    pub(super) address: SocketAddr,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Server {
    pub(super) fn start(
        binary: &Path,
        ground: Ground,
        folder: &Path,
        callbacks: &Callbacks,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(binary)
            .args(["bench-server", "--store", ground.as_str(), "--listen", "127.0.0.1:0", "--dir"])
            .arg(folder)
            .args(["--platform", "dropbox-sign"])
            .args(["--path-secret", callbacks.path_secret, "--key", callbacks.key_text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().context("no output of the server")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| {
            format!("the {} server did not say where it listens, but {line:?}", ground.as_str())
        })?;
        Ok(Self { ground, address, child, input, output })
    }

    /// Processor time it has used so far; `None` where the system does not say.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th after it.
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().ok());
        Some(ticks.sum::<Option<f64>>()? / TICKS_PER_SECOND)
    }

    /// Lets it finish, and reads what it says that it holds.
    pub(super) fn stop(mut self) -> anyhow::Result<Option<Held>> {
        drop(self.input.take());
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the {} server failed: {status}", self.ground.as_str());
        let said = said.trim();
        if said.is_empty() { Ok(None) } else { Held::read(said).map(Some) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // It is beyond help; what it says no longer counts.
            let _: std::io::Result<()> = self.child.kill();
            let _: std::io::Result<std::process::ExitStatus> = self.child.wait();
        }
    }
}
