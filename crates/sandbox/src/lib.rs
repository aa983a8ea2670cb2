//! A stateful world of e-signature platforms, for rehearsals and tests.
//!
//! Whoever archives signed documents has to cope with what platforms really do: callbacks that come late, twice, too early
//! or never, files that are not ready yet, answers that break off, envelopes that are gone. This crate is such a world over
//! real HTTP: the platforms' APIs, the lives of envelopes, callbacks with each platform's own schedule of retries, and
//! faults on purpose, all decided by a seed and running on a scaled clock. People have users there: they grant access in a
//! browser, take it back, and leave drafts that are sent by API. A receiver of e-mail stands beside it. The world keeps
//! its own ledger of what it promised, served and lost, so that a rehearsal can be judged by somebody other than the product.
//!
//! It is written from the platforms' documentation and deliberately shares no code with the product's adapters: a wrong
//! reading there must not meet the same wrong reading here.
#![forbid(unsafe_code)]

mod archive;
mod clock;
mod config;
mod content;
mod control;
mod dropbox_sign;
mod esignanywhere;
mod exchange;
mod faults;
mod ledger;
mod life;
mod mail_sink;
mod onespan;
mod people;
mod rng;
mod sandbox;
mod script;
mod scrive;
mod sender;
mod server;
mod world;

pub use config::{
    AccountSpec, DisposalWitness, FaultProfile, OauthApp, SandboxConfig, SandboxError, UnknownName, Vendor,
};
pub use esignanywhere::{DraftSpec, SendTrouble};
pub use ledger::{
    ArtifactRecord, CallbackTally, DeletedBy, Deletion, DraftRecord, EnvelopeRecord, Ledger, Mail, Outcome,
    Progress, TokenRecord, UserRecord,
};
pub use mail_sink::{MailSink, ReceivedMail};
pub use people::{TokenTrouble, UserSpec};
pub use sandbox::Sandbox;
pub use script::{
    ApiVersion, AuditTrail, DOCUMENT_BYTES_MAX, EnvelopeScript, FileScript, SignerScript, Trouble, batch,
};
