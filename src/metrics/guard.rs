//! Limits: what they refuse, and what of the day's budget is spent.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labels, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    refusals: Family<Labels<1>, Counter>,
    spend: Gauge,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (refusals, spend) = (Family::default(), Gauge::default());
        registry.register("guard_refusals", "What a limit refused", refusals.clone());
        let help = "What this node last saw spent of the day's budget for messages";
        registry.register("guard_spend", help, spend.clone());
        Self { refusals, spend }
    }
}

impl Metrics {
    /// A limit of this name has refused something.
    pub fn refused(&self, limit: &'static str) {
        self.guard.refusals.get_or_create(&[("limit", limit)]).inc();
    }

    /// So much of the day's budget has been spent, by all nodes.
    pub fn spent_today(&self, units: u64) {
        self.guard.spend.set(i64::try_from(units).unwrap_or(i64::MAX));
    }
}
