//! The admin listener: whether the process lives, whether it can take callbacks, and its metrics.
//!
//! It is meant for the inside: it asks for no credentials and shows no secrets, no personal data and no bodies.
//! It works from the store's handles alone and never asks a platform or a destination, so that a scrape costs
//! the same whatever is wrong outside.
#![forbid(unsafe_code)]

mod admin;
pub mod limits;
mod overview;
mod readiness;

pub use admin::Admin;
