//! Reads a request's body within bounds: its own, and those of all bodies in memory together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::limits::{DISCARD_BYTES_MAX, DISCARD_TIMEOUT};

/// Bytes that all bodies together may take.
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max })
    }
}

/// A share of the budget, given back when dropped.
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    fn of(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let used = self.budget.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.bytes += bytes;
        if used > self.budget.max { Err(BodyError::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BodyError {
    /// It is, or says that it will be, larger than the platform's limit.
    TooLarge,
    /// All bodies together would be too large.
    NoRoom,
    /// The connection broke off or the framing is wrong.
    Broken,
}

/// Reads the whole body, at most `bytes_max`. A body that announces more is not begun, so that a client that
/// expects `100 Continue` is refused before it sends. A body in one piece is not copied.
pub(crate) async fn read(
    body: &mut Incoming,
    bytes_max: usize,
    budget: &Arc<Budget>,
) -> Result<(Bytes, Share), BodyError> {
    let mut share = Share::of(budget);
    let announced = body.size_hint().lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok((Bytes::new(), share));
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        share.grow(data.len())?;
        if share.bytes > bytes_max {
            return Err(BodyError::TooLarge);
        }
        if joined.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
    Ok((if joined.is_empty() { first } else { joined.freeze() }, share))
}

/// Reads on what nobody wants, within bounds, so that the answer arrives before the connection ends.
pub(crate) async fn discard(mut body: Incoming) {
    let drain = async {
        let mut bytes = 0usize;
        while let Some(Ok(frame)) = body.frame().await {
            bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Out of time is out of patience: the connection is closed then.
    let _: Result<(), tokio::time::error::Elapsed> = tokio::time::timeout(DISCARD_TIMEOUT, drain).await;
}
