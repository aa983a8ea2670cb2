//! The sandbox seen from outside: over HTTP, with a receiver of callbacks of our own.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is how a failure is reported")]

mod browser;
mod drafts;
mod dropbox_sign;
mod esignanywhere;
mod grants;
mod grants_elsewhere;
mod mail_sink;
mod onespan;
mod onespan_tokens;
mod scrive;
mod scrive_flow;
mod support;
mod whole;
