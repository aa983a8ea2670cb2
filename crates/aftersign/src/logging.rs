//! The log: on standard error, for people or for machines.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::failure::Failure;

/// The level of commands that print their result themselves.
pub(crate) const QUIET: &str = "warn";

/// The variable that wins over the configured level.
const VARIABLE: &str = "AFTERSIGN_LOG";

/// Starts the log.
pub(crate) fn start(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let wanted = std::env::var(VARIABLE).ok().filter(|level| !level.is_empty());
    // The migrations' own steps are no news to an operator; whoever wants them names them.
    let level = format!("refinery_core=warn,{}", wanted.as_deref().unwrap_or(level));
    let filter = EnvFilter::try_new(&level).map_err(|error| {
        let next = "use error, warn, info, debug, trace, or directives such as info,aftersign_engine=debug";
        Failure::usage(format!("{VARIABLE}: this is no log level: {error}"), next)
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}
