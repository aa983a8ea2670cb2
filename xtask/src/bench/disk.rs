//! What one durable append costs on this disk: the yardstick for the latency of an acknowledgement.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of one append: a callback as it is noted.
const APPEND_BYTES: usize = 1_200;

/// Microseconds of appends with `fdatasync`, one after the other, for a while.
pub(super) fn sync_latencies(folder: &Path, span: Duration) -> std::io::Result<Vec<u32>> {
    let mut file = File::create(folder.join("appends"))?;
    let bytes = [7u8; APPEND_BYTES];
    let mut latencies = Vec::new();
    let end = Instant::now() + span;
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(latencies);
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}
