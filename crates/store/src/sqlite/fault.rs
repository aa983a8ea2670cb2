//! Failures inside the SQLite store, before they become the caller's branches.
//!
//! rusqlite's errors stay in here: a caller sees which operation failed and the text of the cause.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::StoreError;

/// What goes wrong while SQL runs.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite says so.
    Sql(rusqlite::Error),
    /// We say so.
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// Whether a row was there and cannot be read.
    pub(super) fn is_unreadable_row(&self) -> bool {
        matches!(self, Self::Sql(error) if Self::is_unreadable(error))
    }

    fn is_unreadable(error: &rusqlite::Error) -> bool {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        matches!(error, FromSqlConversionFailure(..) | InvalidColumnType(..) | IntegralValueOutOfRange(..))
    }

    /// The caller's branch.
    pub(super) fn into_store(self, operation: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) if Self::is_unreadable(&error) => {
                StoreError::Damaged { what: "row", reason: error.to_string() }
            }
            Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                StoreError::Damaged { what: "database page", reason: error.to_string() }
            }
            Self::Sql(error) => StoreError::Unavailable { operation, source: Box::new(error) },
        }
    }
}

/// One failure that many callers are told of.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Shared(Arc<str>);

impl Shared {
    /// With this text.
    pub(super) fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// As the failure of `operation`.
    pub(super) fn into_store(self, operation: &'static str) -> StoreError {
        StoreError::Unavailable { operation, source: Box::new(self) }
    }
}

impl From<rusqlite::Error> for Shared {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Fault> for Shared {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => error.into(),
            Fault::Store(error) => Self::new(error.to_string()),
        }
    }
}
