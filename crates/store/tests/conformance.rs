//! The conformance suite on SQLite.

mod common;

aftersign_store::conformance_tests!(crate::common::place);
