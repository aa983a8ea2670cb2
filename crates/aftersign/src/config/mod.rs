//! The configuration: one file, its defaults, the environment, and what they come to.
//!
//! The way is defaults (`config/default.toml`, compiled in) ◁ file ◁ environment, then the shape (unknown keys,
//! types, ranges, by the JSON Schema of [`model`]), then the meaning (ids, references, secrets), which gives
//! [`Settings`]. Every mistake is named with file, line, key and what to do. Nothing here opens a store or talks
//! to a platform; `aftersign check` does.

mod load;
mod model;
mod settings;

mod accounts;
mod check;
mod document;
mod overlay;
mod problem;
mod registry;
mod routes;
mod schema;
mod shape;
mod show;
#[cfg(test)]
mod tests;

pub(crate) use load::{DEFAULTS, Environment, file, json_schema, load, read};
pub(crate) use model::LogFormat;
pub(crate) use problem::Problems;
pub(crate) use registry::Registry;
pub(crate) use settings::{
    AccountSettings, DestinationSettings, DestinationSettingsKind, MailSettings, Settings, VaultKeySettings,
};
pub(crate) use show::toml as show_toml;
