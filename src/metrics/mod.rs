//! What the service counts about itself, served in Prometheus' text form: a file for each area. Each figure has one method that
//! counts it, so that names and labels stand in this room alone. No label ever names a person.

mod event;
mod guard;
mod job;
mod load;
mod message;
mod node;
mod rpc;
mod sign_in;
mod stripe;
mod token;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::prometheus_protobuf;
use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use self::rpc::{CallCounts, MethodName};
pub use self::token::Introspected;
/// What figures look like as data.
pub use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as snapshot;

/// Labels whose values come from the code and are therefore few.
type Labels<const N: usize> = [(&'static str, &'static str); N];
/// A gauge that knows fractions.
type Fraction = Gauge<f64, AtomicU64>;

/// All figures at one moment.
pub type Snapshot = Vec<snapshot::MetricFamily>;

/// The figures of one node.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    event: event::Figures,
    guard: guard::Figures,
    job: job::Figures,
    load: load::Figures,
    message: message::Figures,
    node: node::Figures,
    rpc: rpc::Figures,
    sign_in: sign_in::Figures,
    token: token::Figures,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let event = event::Figures::register(&mut registry);
        let guard = guard::Figures::register(&mut registry);
        let job = job::Figures::register(&mut registry);
        let load = load::Figures::register(&mut registry);
        let message = message::Figures::register(&mut registry);
        let node = node::Figures::register(&mut registry);
        let rpc = rpc::Figures::register(&mut registry);
        let sign_in = sign_in::Figures::register(&mut registry);
        let token = token::Figures::register(&mut registry);
        Self { registry: Arc::new(registry), event, guard, job, load, message, node, rpc, sign_in, token }
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All figures, as Prometheus reads them.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// All figures, for those who want them in another form.
    pub fn snapshot(&self) -> Result<Snapshot, fmt::Error> {
        prometheus_protobuf::encode(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.refused("codes_per_network");
        metrics.refused("codes_per_network");
        metrics.message("sms", "kavenegar", "sent");
        let text = metrics.render().unwrap();
        assert!(text.contains("countersign_guard_refusals_total{limit=\"codes_per_network\"} 2\n"), "{text}");
        let sent = "countersign_messages_total{channel=\"sms\",provider=\"kavenegar\",outcome=\"sent\"} 1\n";
        assert!(text.contains(sent), "{text}");
    }
}
