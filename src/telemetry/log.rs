//! The log: to standard error, as text for people or as JSON for machines. Lines about a call carry its name and its trace.

use std::io::IsTerminal;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::StartError;
use crate::config::Log;

/// What writes the log.
pub(super) fn layer<S>(config: &Log) -> Result<Box<dyn Layer<S> + Send + Sync>, StartError>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    // A line is told by its call; the parts of a call, and what libraries are at, are for traces.
    let filter = filter(config)?.and(filter_fn(|told| !told.is_span() || *told.level() == Level::ERROR));
    let log = fmt::layer().with_writer(std::io::stderr);
    Ok(if config.json {
        log.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed()
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed()
    })
}

/// Which messages are written.
pub(super) fn filter(config: &Log) -> Result<EnvFilter, StartError> {
    Ok(EnvFilter::builder().parse(&config.filter)?)
}
