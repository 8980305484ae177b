//! Tokens: what is issued, refreshed and asked about.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::Metrics;

#[derive(Clone, Debug)]
pub(super) struct Figures {
    claims_left_out: Counter,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let claims_left_out = Counter::default();
        let help = "Custom claims for which an access token had no room";
        registry.register("claims_left_out", help, claims_left_out.clone());
        Self { claims_left_out }
    }
}

impl Metrics {
    /// An access token had no room for a custom claim.
    pub fn claim_left_out(&self) {
        self.token.claims_left_out.inc();
    }
}
