//! Adapters to e-signature platforms: what their callbacks mean and how their APIs are asked.
//!
//! Every platform is a folder with the same files: `mod.rs` (the [`Platform`] and its facts), `callback.rs`
//! (what comes in), `api.rs` (what goes out and how the answers are read), `wire.rs` (the vendor's JSON, the
//! only place with serde derives), `facts.rs` (what it does and how sure we are), `README.md`, `fixtures/` and
//! `tests.rs`. Nothing here sends, sleeps, reads
//! a clock or a file: bytes and `now` come in, values go out. One conformance suite runs over all of
//! them, and [`certificate`] shows what they passed.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod dropbox_sign;
pub mod esignanywhere;
pub mod onespan;
pub mod scrive;

mod exchange;
mod form;
mod lenient;
mod listing;
mod multipart;
mod oauth;
mod redaction;
mod wire;

#[cfg(test)]
mod capability_checks;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod consent_checks;
#[cfg(test)]
mod draft_checks;
#[cfg(test)]
mod specimens;
#[cfg(test)]
mod testing;

use aftersign_core::platform::Platform;

static ALL: [&dyn Platform; 4] =
    [&dropbox_sign::DropboxSign, &esignanywhere::ESignAnyWhere, &onespan::OneSpan, &scrive::Scrive];

/// Every platform, in the order in which they are named to people.
pub fn all() -> &'static [&'static dyn Platform] {
    &ALL
}

/// The platform of that name in config and records; `None` if there is none.
pub fn by_name(name: &str) -> Option<&'static dyn Platform> {
    ALL.iter().copied().find(|platform| platform.name() == name)
}
