//! What is wrong with a configuration: where, which key, why, and what to do.
//!
//! A problem never quotes a value of a key that may hold a secret, so a report can be pasted into a ticket.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In the config file; line and column from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// In this environment variable.
    Environment(String),
    /// The config file as a whole.
    Whole(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Whole(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    /// Where.
    pub(crate) place: Place,
    /// The key's path, such as `account[0].base_url`; empty if it is about the whole file.
    pub(crate) key: String,
    /// Why.
    pub(crate) message: String,
    /// What to do.
    pub(crate) next: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}\n  next: {}", self.message, self.next)
    }
}

/// Everything that is wrong, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let start = if index == 0 { "" } else { "\naftersign: " };
            write!(f, "{start}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The path of a member of the table at `parent`.
pub(crate) fn member(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.into() } else { format!("{parent}.{name}") }
}

/// The path of an element of the list at `parent`.
pub(crate) fn element(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// Where every key of the effective configuration was written.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    file: PathBuf,
    at: BTreeMap<String, Place>,
}

impl Origins {
    /// No keys yet.
    pub(crate) fn new(file: &Path) -> Self {
        Self { file: file.into(), at: BTreeMap::new() }
    }

    /// Notes where a key stands. What was known of keys below it no longer holds.
    pub(crate) fn note(&mut self, key: &str, place: Place) {
        let below = |other: &str| {
            other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
        };
        self.at.retain(|other, _| !below(other));
        self.at.insert(key.into(), place);
    }

    /// Where a key stands: its own place, else that of what it belongs to, else the file.
    pub(crate) fn of(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            if let Some(place) = self.at.get(key) {
                return place.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Place::Whole(self.file.clone()),
            }
        }
    }
}
