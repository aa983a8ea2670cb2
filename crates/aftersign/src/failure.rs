//! How a command fails: the exit code, and a message that says what, where, why and what to do next.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::config::Problems;

/// The command was understood and could not be done.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const USAGE: u8 = 2;

/// A failure with its advice.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: Option<String>,
    next: Option<String>,
}

impl Failure {
    /// What was asked for could not be done.
    pub(crate) fn new(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code: FAILED, message: Some(message.into()), next: Some(next.into()) }
    }

    /// The command line asks for something impossible.
    pub(crate) fn usage(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::new(message, next) }
    }

    /// It failed, and the command's own output says why.
    pub(crate) fn reported() -> Self {
        Self { code: FAILED, message: None, next: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("failed"))
    }
}

impl std::error::Error for Failure {}

/// Prints a failure once, on standard error, and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(is_broken_pipe) {
        // Whoever read our output has enough of it: `aftersign envelopes list | head`.
        return ExitCode::SUCCESS;
    }
    if let Some(problems) = error.downcast_ref::<Problems>() {
        eprintln!("aftersign: {problems}");
        return ExitCode::from(USAGE);
    }
    let failure = error.chain().find_map(|link| link.downcast_ref::<Failure>());
    if failure.is_none_or(|failure| failure.message.is_some()) {
        eprintln!("aftersign: {error:#}");
    }
    if let Some(next) = failure.and_then(|failure| failure.next.as_ref()) {
        eprintln!("  next: {next}");
    }
    ExitCode::from(failure.map_or(FAILED, |failure| failure.code))
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
