//! What the service counts about itself, served in Prometheus' text form: a file for each area. Each figure has one method that
//! counts it, so that names and labels stand in this room alone. No label ever names a person.

mod event;
mod guard;
mod message;
mod token;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// Labels whose values come from the code and are therefore few.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The figures of one node.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    event: event::Figures,
    guard: guard::Figures,
    message: message::Figures,
    token: token::Figures,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let event = event::Figures::register(&mut registry);
        let guard = guard::Figures::register(&mut registry);
        let message = message::Figures::register(&mut registry);
        let token = token::Figures::register(&mut registry);
        Self { registry: Arc::new(registry), event, guard, message, token }
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
