//! The seams to the outside, one small trait each. The shell implements them; tests pass their own.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use jiff::Timestamp;

use crate::digest::Digest;
use crate::error::Error;
use crate::ids::{AccountId, DestinationId};

/// What time it is.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Where randomness comes from.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// A downloaded file in staging.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Downloaded {
    /// Digest of the whole body, taken on the way.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// The first bytes, at most 1,024.
    pub head: Vec<u8>,
    /// The last bytes, at most 1,024.
    pub tail: Vec<u8>,
    /// The response's headers.
    pub headers: HeaderMap,
}

/// How a download ended.
#[derive(Debug)]
pub enum Download {
    /// 2xx, the whole body is in the file.
    Staged(Downloaded),
    /// Any other status, with its (bounded) body; no file was left.
    Refused(Response<Bytes>),
}

/// The only HTTP client towards platforms. Obeys each account's rate and concurrency.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request and reads the bounded response, whatever its status.
    async fn exchange(&self, account: &AccountId, request: Request<Bytes>) -> Result<Response<Bytes>, Error>;
    /// Streams a response's body into the file `into`, which is complete when this returns. It need not be
    /// durable: a staged file that a crash tore does not fit its digest and is fetched again.
    async fn download(
        &self,
        account: &AccountId,
        request: Request<Bytes>,
        into: &Path,
    ) -> Result<Download, Error>;
}

/// Where an artifact belongs in a destination: a folder path of safe components and a safe file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ArchiveKey {
    /// Safe components joined by `/`, relative to the destination's root.
    pub folder: String,
    /// A safe file name.
    pub file_name: String,
}

/// A file in staging with the digest it must have.
#[derive(Clone, Copy, Debug)]
pub struct StagedFile<'a> {
    /// Where it lies.
    pub path: &'a Path,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// Facts that a destination may keep beside the bytes.
pub type Metadata = Vec<(&'static str, String)>;

/// The destination's word that it holds an artifact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Where it lies, in the destination's own terms (a path relative to the root, an object key).
    pub location: String,
    /// The version under this key, from 1.
    pub version: u32,
    /// Digest of the bytes as the destination took them.
    pub digest: Digest,
    /// Their number.
    pub bytes: u64,
    /// Whether the same bytes were there already.
    pub already_there: bool,
}

/// What our own check of a receipt found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verification {
    /// The bytes were read back (or the destination proved their digest): this is what lies there.
    Present {
        /// Digest of what lies there.
        digest: Digest,
        /// Its size.
        bytes: u64,
    },
    /// Nothing lies there.
    Missing,
}

/// One archive. There is no delete, and no overwrite of different bytes: they become a new version.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Its id in the config.
    fn id(&self) -> &DestinationId;
    /// Stores a file, durably, all or nothing. The same bytes again give the same location.
    async fn put(
        &self,
        key: &ArchiveKey,
        file: StagedFile<'_>,
        metadata: &Metadata,
    ) -> Result<Receipt, Error>;
    /// Reads back what a receipt promises.
    async fn verify(&self, receipt: &Receipt) -> Result<Verification, Error>;
    /// Whether it can be written to now; the error says what to mend.
    async fn probe(&self) -> Result<(), Error>;
}
