//! The log: to standard error, as text for people or as JSON for machines. Lines about a call carry its name and its trace.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::StartError;
use crate::config::Log;

/// What writes the log.
pub(super) fn layer<S>(config: &Log) -> Result<Box<dyn Layer<S> + Send + Sync>, StartError>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let log = fmt::layer().with_writer(std::io::stderr);
    Ok(if config.json {
        log.json().flatten_event(true).with_span_list(false).with_filter(filter(config)?).boxed()
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).with_filter(filter(config)?).boxed()
    })
}

/// Which messages are written.
pub(super) fn filter(config: &Log) -> Result<EnvFilter, StartError> {
    Ok(EnvFilter::builder().parse(&config.filter)?)
}
