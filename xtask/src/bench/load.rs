//! The load: keep-alive HTTP/1.1 connections that send callbacks and check every answer to the byte.
//!
//! Closed loop: a connection sends its next callback when the last one is acknowledged. Open loop: callbacks
//! are due at fixed times whatever the server does, and one that had to wait for its connection counts from
//! when it was due, so that a stall is not left out of the latencies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::callbacks::Callbacks;

const ACKNOWLEDGEMENT: &[u8] = b"Hello API Event Received";
/// Longest answer that is read, in bytes: more is wrong in any case.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// One run.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) seconds: Duration,
    /// Callbacks per second of an open loop; `None` for as many as the server takes.
    pub(super) rate: Option<f64>,
    /// Callbacks to send over and over, instead of fresh ones.
    pub(super) storm: Option<Arc<[Vec<u8>]>>,
}

/// What one run gave.
pub(super) struct Measured {
    /// Microseconds of each, in ascending order.
    pub(super) latencies: Vec<u32>,
    /// From the first callback to the last acknowledgement.
    pub(super) elapsed: Duration,
    /// Processor time that the server used meanwhile.
    pub(super) cpu_seconds: Option<f64>,
}

impl Measured {
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.latencies.len()).unwrap_or(u64::MAX)
    }
}

/// Runs a load to its end; every callback that was sent is acknowledged when it returns.
pub(super) async fn run(
    address: SocketAddr,
    load: Load,
    callbacks: Arc<Callbacks>,
) -> anyhow::Result<Measured> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        let source = Source { load: load.clone(), callbacks: Arc::clone(&callbacks), index };
        tasks.spawn(drive(connection, source, begun));
    }
    let mut latencies = Vec::new();
    while let Some(driven) = tasks.join_next().await {
        latencies.extend(driven??);
    }
    let elapsed = begun.elapsed();
    ensure!(!latencies.is_empty(), "nothing was acknowledged in {elapsed:?}");
    latencies.sort_unstable();
    Ok(Measured { latencies, elapsed, cpu_seconds: None })
}

/// Sends each callback once.
pub(super) async fn send_each(address: SocketAddr, requests: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    for request in requests {
        connection.exchange(request).await?;
    }
    Ok(())
}

/// Where one connection's callbacks come from, and when each is due.
struct Source {
    load: Load,
    callbacks: Arc<Callbacks>,
    index: usize,
}

impl Source {
    /// When the connection's callback of this number is due, as a span from the beginning.
    fn due(&self, number: u32) -> Option<Duration> {
        let each = f64::from(u32::try_from(self.load.connections).ok()?) / self.load.rate?;
        let stagger = f64::from(u32::try_from(self.index).ok()?) / self.load.rate?;
        Some(Duration::from_secs_f64(stagger + each * f64::from(number)))
    }
}

async fn drive(mut connection: Connection, source: Source, begun: Instant) -> anyhow::Result<Vec<u32>> {
    let mut latencies = Vec::new();
    let storm = source.load.storm.clone();
    // Connections begin at different places of a storm.
    let mut place = source.index * 37;
    for number in 0u32.. {
        let mut counted_from = None;
        if let Some(due) = source.due(number) {
            if due >= source.load.seconds {
                break;
            }
            let due = begun + due;
            if Instant::now() < due {
                // A timer that fires late is the generator's fault, so the clock starts at the sending.
                tokio::time::sleep_until(due.into()).await;
            } else {
                counted_from = Some(due);
            }
        }
        if begun.elapsed() >= source.load.seconds {
            break;
        }
        let fresh;
        let request = match &storm {
            Some(storm) => {
                place += 1;
                &storm[place % storm.len()]
            }
            None => {
                fresh = source.callbacks.request();
                &fresh
            }
        };
        let counted_from = counted_from.unwrap_or_else(Instant::now);
        connection.exchange(request).await?;
        latencies.push(u32::try_from(counted_from.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies)
}

/// One keep-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(ANSWER_BYTES_MAX) })
    }

    /// Sends one callback and reads its acknowledgement.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            if is_acknowledgement(&self.buffer) {
                return Ok(());
            }
            if read == 0 || self.buffer.len() >= ANSWER_BYTES_MAX || is_refusal(&self.buffer) {
                bail!("no acknowledgement, but: {}", String::from_utf8_lossy(&self.buffer));
            }
        }
    }
}

/// Whether this is a whole 200 with the exact body and nothing after it.
fn is_acknowledgement(answer: &[u8]) -> bool {
    let Some(head) = answer.strip_suffix(ACKNOWLEDGEMENT) else { return false };
    head.starts_with(b"HTTP/1.1 200 OK\r\n")
        && head.ends_with(b"\r\n\r\n")
        && head.windows(20).any(|part| part.eq_ignore_ascii_case(b"content-length: 24\r\n"))
}

/// Whether this is the head of anything but a 200.
fn is_refusal(answer: &[u8]) -> bool {
    answer.len() >= 12 && !answer.starts_with(b"HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_acknowledgement_counts() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 24\r\n\r\n";
        assert!(is_acknowledgement(format!("{head}Hello API Event Received").as_bytes()));
        assert!(!is_acknowledgement(format!("{head}Hello API Event Received.").as_bytes()));
        assert!(!is_acknowledgement(format!("{head}hello API Event Received").as_bytes()));
        assert!(!is_acknowledgement(head.replace("200", "503").as_bytes()));
        assert!(is_refusal(b"HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(!is_refusal(head.as_bytes()));
    }
}
