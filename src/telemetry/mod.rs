//! What a node tells of itself beside its figures: the log, and over OTLP, where that is configured, traces, figures and the log
//! once more. Nothing here ever makes a call wait: what a collector does not take in time is dropped.

mod collector;
mod figures;
mod hearing;
mod log;
mod trace;

use std::fmt;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use self::collector::Collector;
pub use self::trace::{Context, is_tracing};
use crate::config;
use crate::metrics::Snapshot;

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log's filter is none.
    #[error("log.filter cannot be read: {0}")]
    Filter(#[from] ParseError),
    /// Nobody can be told over OTLP.
    #[error("telemetry.endpoint: {0}")]
    Endpoint(String),
    /// A file cannot be read.
    #[error("telemetry.ca_file cannot be read: {0}")]
    Certificates(#[source] std::io::Error),
    /// The headers are none.
    #[error("telemetry.headers must be lines or a list of name=value: {0}")]
    Headers(&'static str),
}

/// What is being told, until it is ended.
#[derive(Debug)]
pub struct Telemetry(Option<Collector>);

/// Starts the log of this process, and what goes to a collector. Belongs on the runtime that lives as long as the process. A
/// second call leaves the log as it is.
pub fn start(log: &config::Log, telemetry: &config::Telemetry) -> Result<Telemetry, StartError> {
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![self::log::layer(log)?];
    let collector = Collector::connect(telemetry)?;
    if let Some(collector) = &collector {
        layers.extend(collector.traces());
        layers.extend(collector.logs(self::log::filter(log)?));
    }
    // Whoever started a log before, such as a test, keeps theirs.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(Telemetry(collector))
}

impl Telemetry {
    /// Sends the figures that `look` finds as often as is configured, and once more at the end.
    pub fn send_figures(&mut self, look: impl Fn() -> Result<Snapshot, fmt::Error> + Send + Sync + 'static) {
        if let Some(collector) = &mut self.0 {
            collector.send_figures(look);
        }
    }

    /// Sends what is left, for as long as is configured, and ends.
    pub async fn end(self) {
        if let Some(collector) = self.0 {
            collector.end().await;
        }
    }
}
