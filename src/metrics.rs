//! What the service counts about itself, served in Prometheus' text form. Each figure has one method that counts it, so that
//! names and labels stand in this file alone. No label ever names a person.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels whose values come from the code and are therefore few.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The figures of one node.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    refusals: Family<Labels<1>, Counter>,
    messages: Family<Labels<3>, Counter>,
    claims_left_out: Counter,
    spend: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let refusals = Family::default();
        registry.register("guard_refusals", "What a limit refused", refusals.clone());
        let messages = Family::default();
        registry.register("messages", "Messages handed to a provider, by what became of them", messages.clone());
        let spend = Gauge::default();
        registry.register(
            "guard_spend",
            "What this node last saw spent of the day's budget for messages",
            spend.clone(),
        );
        let claims_left_out = Counter::default();
        let help = "Custom claims for which an access token had no room";
        registry.register("claims_left_out", help, claims_left_out.clone());
        Self { registry: Arc::new(registry), claims_left_out, refusals, messages, spend }
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A limit of this name has refused something.
    pub fn refused(&self, limit: &'static str) {
        self.refusals.get_or_create(&[("limit", limit)]).inc();
    }

    /// A message has left through a provider, or not.
    pub fn message(&self, channel: &'static str, provider: &'static str, outcome: &'static str) {
        self.messages.get_or_create(&[("channel", channel), ("provider", provider), ("outcome", outcome)]).inc();
    }

    /// So much of the day's budget has been spent, by all nodes.
    pub fn spent_today(&self, units: u64) {
        self.spend.set(i64::try_from(units).unwrap_or(i64::MAX));
    }

    /// An access token had no room for a custom claim.
    pub fn claim_left_out(&self) {
        self.claims_left_out.inc();
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
