//! The consent pages as a browser, or somebody who only plays one, sees them.

mod refusals;
mod routes;
mod scenes;
mod support;
