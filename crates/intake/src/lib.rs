//! The front door: takes callbacks in and answers them.
//!
//! A platform sends a callback again only if our answer allows it, so this crate answers with the platform's
//! exact acknowledgement only after the callback is durable, and with anything else only if it is not. The way
//! is short on purpose: path secret, authentication, interpretation (just enough for the idempotency key), one
//! durable note, acknowledgement. It calls no platform, sees no vault, and does no work that grows with what is
//! stored: of the store it knows the [`Inbox`](aftersign_store::Inbox) alone. What else is to be answered on the same
//! listener is handed to a [`Fallback`], which cannot take places from callbacks.
//!
//! What is noted holds no secret of ours: the path secret is not part of it, and headers and query parameters
//! that carry secrets are redacted first.
#![forbid(unsafe_code)]

mod account;
mod answer;
mod body;
mod door;
mod draft;
mod fallback;
pub mod limits;
mod metrics;
mod record;
mod redact;
mod route;
mod serve;

pub use account::IntakeAccount;
pub use door::Intake;
pub use fallback::Fallback;
pub use limits::{IntakeConfig, IntakeLimits};
pub use metrics::IntakeMetrics;
pub use record::Recorder;
