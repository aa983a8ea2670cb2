//! The SQLite store from outside: the conformance suite, and what is the file's own.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a failed test")]

mod file;
mod place;
mod secrets;

aftersign_store::conformance_tests!(crate::place::place);
