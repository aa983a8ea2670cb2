//! The pure vocabulary and decisions of Aftersign.
//!
//! Everything here takes bytes, values and `now`, and gives back values: no I/O, no clock, no environment, no
//! async runtime. What a transfer does next, when a failure is tried again, what proves that an artifact
//! arrived and what a safe file name is are decided here, so that they can be read and tested at a sitting.
//! The seams to the outside ([`Platform`](platform::Platform), [`Transport`](seams::Transport),
//! [`Destination`](seams::Destination), [`Mailer`](mail::Mailer), [`ConsentDesk`](consent::ConsentDesk),
//! [`Clock`](seams::Clock), [`Entropy`](seams::Entropy)) are traits.
#![forbid(unsafe_code)]

pub mod artifact;
pub mod backoff;
pub mod callback;
pub mod concern;
pub mod consent;
pub mod digest;
pub mod draft;
pub mod envelope;
pub mod error;
pub mod grant;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod mail;
pub mod names;
pub mod platform;
pub mod proof;
pub mod rule;
pub mod seams;
pub mod secret;
pub mod task;
pub mod transfer;

pub use error::{Error, ErrorKind, Remedy};
pub use jiff::Timestamp;
