//! The one HTTP client towards platforms.
//!
//! Each account has its own quota: calls and downloads per minute and requests at once, as its platform asks.
//! Small answers are read into bounded memory; downloads stream into a file, digested on the way. Redirects are
//! never followed: a credential must not travel to another host.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::digest::Digester;
use aftersign_core::ids::AccountId;
use aftersign_core::platform::Quota;
use aftersign_core::seams::{Download, Downloaded, Transport};
use aftersign_core::{Error, ErrorKind, Remedy};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use governor::{DefaultDirectRateLimiter, RateLimiter};
use http::{Request, Response};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::limits::{
    ARTIFACT_BYTES_MAX, CONNECT_TIMEOUT, DOWNLOAD_TIMEOUT, EDGE_BYTES, EXCHANGE_BODY_BYTES_MAX,
    EXCHANGE_TIMEOUT, READ_TIMEOUT, REFUSAL_BODY_BYTES_MAX,
};
use crate::staging;

/// A [`Transport`] over HTTP/1.1 and HTTP/2 with TLS by rustls.
pub struct HttpTransport {
    client: reqwest::Client,
    lanes: HashMap<AccountId, Lane>,
}

/// What one account may use.
struct Lane {
    at_once: Semaphore,
    calls: DefaultDirectRateLimiter,
    downloads: DefaultDirectRateLimiter,
}

impl HttpTransport {
    /// A client for these accounts. `time_scale` divides the waits that the quotas ask for.
    ///
    /// # Errors
    /// [`ErrorKind::Misconfigured`] if TLS cannot be set up.
    pub fn new(
        accounts: impl IntoIterator<Item = (AccountId, Quota)>,
        time_scale: f64,
    ) -> Result<Arc<Self>, Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("Aftersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, "start", "cannot set up TLS")
                    .caused_by(error)
            })?;
        let lanes = accounts
            .into_iter()
            .map(|(account, quota)| {
                let lane = Lane {
                    at_once: Semaphore::new(quota.concurrency.max(1)),
                    calls: limiter(quota.calls_per_minute, time_scale),
                    downloads: limiter(quota.downloads_per_minute, time_scale),
                };
                (account, lane)
            })
            .collect();
        Ok(Arc::new(Self { client, lanes }))
    }

    fn lane(&self, account: &AccountId) -> Result<&Lane, Error> {
        self.lanes.get(account).ok_or_else(|| {
            Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, "call", "unknown account")
                .with("account", account)
        })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<reqwest::Response, Error> {
        let request = reqwest::Request::try_from(request).map_err(|error| {
            Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, "call", "the URL cannot be used")
                .caused_by(error.without_url())
        })?;
        self.client.execute(request).await.map_err(unreachable)
    }
}

/// Spread over the minute: a tenth of it may come at once.
fn limiter(per_minute: u32, time_scale: f64) -> DefaultDirectRateLimiter {
    let per_minute = f64::from(per_minute.max(1)) * time_scale.max(f64::MIN_POSITIVE);
    let period = Duration::try_from_secs_f64(60.0 / per_minute)
        .unwrap_or(Duration::from_secs(60))
        .clamp(Duration::from_nanos(1), Duration::from_secs(60));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of u32"
    )]
    let burst = (per_minute / 10.0).clamp(1.0, 1_000_000.0) as u32;
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = governor::Quota::with_period(period).unwrap_or(governor::Quota::per_second(NonZeroU32::MIN));
    RateLimiter::direct(quota.allow_burst(burst))
}

#[async_trait]
impl Transport for HttpTransport {
    async fn exchange(&self, account: &AccountId, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let lane = self.lane(account)?;
        lane.calls.until_ready().await;
        let _permit = lane.at_once.acquire().await.map_err(|_| closed())?;
        let exchange = async {
            let response = self.send(request).await?;
            read_bounded(response, EXCHANGE_BODY_BYTES_MAX).await
        };
        tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn download(
        &self,
        account: &AccountId,
        request: Request<Bytes>,
        into: &Path,
    ) -> Result<Download, Error> {
        let lane = self.lane(account)?;
        lane.downloads.until_ready().await;
        let _permit = lane.at_once.acquire().await.map_err(|_| closed())?;
        let download = async {
            let response = self.send(request).await?;
            if response.status().is_success() {
                return stream(response, into).await.map(Download::Staged);
            }
            read_bounded(response, REFUSAL_BODY_BYTES_MAX).await.map(Download::Refused)
        };
        let staged =
            tokio::time::timeout(DOWNLOAD_TIMEOUT, download).await.unwrap_or_else(|_| Err(timed_out()));
        if staged.is_err() {
            // What is left of a broken download is of no use; a failure to remove it is overwritten later.
            let _ = tokio::fs::remove_file(into).await;
        }
        staged
    }
}

async fn stream(mut response: reqwest::Response, into: &Path) -> Result<Downloaded, Error> {
    let headers = response.headers().clone();
    let file = tokio::fs::File::create(into).await.map_err(|error| staging::failed(into, error))?;
    let mut file = tokio::io::BufWriter::with_capacity(128 * 1024, file);
    let mut digester = Digester::default();
    let (mut bytes, mut head, mut tail) = (0u64, Vec::new(), Vec::new());
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        digester.update(&piece);
        bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if bytes > ARTIFACT_BYTES_MAX {
            return Err(too_large(ARTIFACT_BYTES_MAX));
        }
        head.extend_from_slice(&piece[..piece.len().min(EDGE_BYTES - head.len())]);
        keep_tail(&mut tail, &piece);
        file.write_all(&piece).await.map_err(|error| staging::failed(into, error))?;
    }
    file.flush().await.map_err(|error| staging::failed(into, error))?;
    Ok(Downloaded { digest: digester.finish(), bytes, head, tail, headers })
}

fn keep_tail(tail: &mut Vec<u8>, piece: &[u8]) {
    let piece = &piece[piece.len().saturating_sub(EDGE_BYTES)..];
    let surplus = (tail.len() + piece.len()).saturating_sub(EDGE_BYTES);
    tail.drain(..surplus.min(tail.len()));
    tail.extend_from_slice(piece);
}

async fn read_bounded(mut response: reqwest::Response, limit: usize) -> Result<Response<Bytes>, Error> {
    let status = response.status();
    let headers = response.headers().clone();
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > limit {
            return Err(too_large(u64::try_from(limit).unwrap_or(u64::MAX)));
        }
        body.extend_from_slice(&piece);
    }
    let mut answer = Response::new(body.freeze());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

fn unreachable(error: reqwest::Error) -> Error {
    let what = if error.is_timeout() {
        "the platform did not answer in time"
    } else if error.is_connect() {
        "the platform cannot be reached"
    } else {
        "the connection to the platform broke off"
    };
    // The URL may carry ids of persons; the operation and envelope stand in the log line already.
    Error::new(ErrorKind::Unreachable, Remedy::Retry(None), "call", what).caused_by(error.without_url())
}

fn timed_out() -> Error {
    Error::new(ErrorKind::Unreachable, Remedy::Retry(None), "call", "the platform did not answer in time")
}

fn too_large(limit: u64) -> Error {
    Error::new(
        ErrorKind::Unintelligible,
        Remedy::Retry(None),
        "call",
        format!("the answer is larger than {limit} bytes"),
    )
}

fn closed() -> Error {
    Error::new(ErrorKind::Unreachable, Remedy::Retry(None), "call", "the client is shutting down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_holds_the_last_bytes_however_they_come() {
        let whole: Vec<u8> = (0..5000u32).flat_map(u32::to_le_bytes).collect();
        for size in [1, 7, 1000, 1024, 4096, 20_000] {
            let mut tail = Vec::new();
            for piece in whole.chunks(size) {
                keep_tail(&mut tail, piece);
            }
            assert_eq!(tail, whole[whole.len() - EDGE_BYTES..], "{size}");
        }
    }
}
