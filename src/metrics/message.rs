//! Messages: what became of those that were handed to a provider.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Labels, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    messages: Family<Labels<3>, Counter>,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let messages = Family::default();
        registry.register("messages", "Messages handed to a provider, by what became of them", messages.clone());
        Self { messages }
    }
}

impl Metrics {
    /// A message has left through a provider, or not.
    pub fn message(&self, channel: &'static str, provider: &'static str, outcome: &'static str) {
        let labels = [("channel", channel), ("provider", provider), ("outcome", outcome)];
        self.message.messages.get_or_create(&labels).inc();
    }
}
