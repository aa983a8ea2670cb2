//! A stateful world of e-signature platforms, for rehearsals and tests.
//!
//! Whoever archives signed documents has to cope with what platforms really do: callbacks that come late, twice, too early
//! or never, files that are not ready yet, answers that break off, envelopes that are gone. This crate is such a world over
//! real HTTP: the platforms' APIs, the lives of envelopes, callbacks with each platform's own schedule of retries, and
//! faults on purpose, all decided by a seed and running on a scaled clock. It keeps its own ledger of what it promised,
//! served and lost, so that a rehearsal can be judged by somebody other than the product.
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
mod onespan;
mod rng;
mod sandbox;
mod script;
mod scrive;
mod sender;
mod server;
mod world;

pub use config::{
    AccountSpec, DisposalWitness, FaultProfile, SandboxConfig, SandboxError, UnknownName, Vendor,
};
pub use ledger::{
    ArtifactRecord, CallbackTally, DeletedBy, Deletion, EnvelopeRecord, Ledger, Mail, Outcome, Progress,
};
pub use sandbox::Sandbox;
pub use script::{
    ApiVersion, AuditTrail, DOCUMENT_BYTES_MAX, EnvelopeScript, FileScript, SignerScript, Trouble, batch,
};
