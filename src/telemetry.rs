//! The log: to standard error, as text for people or as JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::Log;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("log.filter cannot be read: {0}")]
pub struct FilterError(#[from] ParseError);

/// Starts the log of this process. A second call changes nothing.
pub fn start(config: &Log) -> Result<(), FilterError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Whoever started a log before, such as a test, keeps theirs.
    let _ = if config.json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    Ok(())
}
