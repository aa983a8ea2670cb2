//! Adapters to archives: the places where signed documents and their evidence are kept.
//!
//! One folder per kind of destination, each an implementation of
//! [`Destination`](aftersign_core::seams::Destination), and one suite (`conformance`) that all of them pass.
//! Nothing here knows a platform or the store. Nothing here can delete, or replace one set of bytes by
//! another: a changed artifact becomes a new version beside the old one.
#![forbid(unsafe_code)]

pub mod filesystem;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use filesystem::Filesystem;
