//! Events on their way to other systems: what waits, how long, and what became of deliveries.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;

/// A destination's name is the operator's.
type Destination = [(&'static str, String); 1];

#[derive(Clone, Debug)]
pub(super) struct Figures {
    waiting: Gauge,
    lag: Gauge<f64, AtomicU64>,
    deliveries: Family<[(&'static str, String); 2], Counter>,
    pending: Family<Destination, Gauge>,
    dead: Family<Destination, Gauge>,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            waiting: Gauge::default(),
            lag: Gauge::default(),
            deliveries: Family::default(),
            pending: Family::default(),
            dead: Family::default(),
        };
        let help = "Events in the outbox, counted up to 10,000";
        registry.register("outbox_waiting", help, figures.waiting.clone());
        let help = "Age of the oldest event that has not been delivered everywhere";
        registry.register("outbox_lag_seconds", help, figures.lag.clone());
        let help = "Events handed to a destination, by what became of them";
        registry.register("deliveries", help, figures.deliveries.clone());
        let help = "Events that a destination has still to get, counted up to 10,000";
        registry.register("deliveries_pending", help, figures.pending.clone());
        let help = "Events that were given up, counted up to 10,000";
        registry.register("deliveries_dead", help, figures.dead.clone());
        figures
    }
}

impl Metrics {
    /// So many events were handed to a destination, with this outcome.
    pub fn deliveries(&self, destination: &str, outcome: &'static str, events: u64) {
        if events > 0 {
            let labels = [("destination", destination.to_owned()), ("outcome", outcome.to_owned())];
            self.event.deliveries.get_or_create(&labels).inc_by(events);
        }
    }

    /// So many events wait in the outbox, and the oldest that has not arrived everywhere is so many seconds old.
    pub fn outbox(&self, waiting: i64, lag: f64) {
        self.event.waiting.set(waiting);
        self.event.lag.set(lag);
    }

    /// A destination is gone, and nothing waits for it.
    pub fn forget_destination(&self, destination: &str) {
        let labels = [("destination", destination.to_owned())];
        self.event.pending.remove(&labels);
        self.event.dead.remove(&labels);
    }

    /// So many events has a destination still to get, and so many were given up.
    pub fn delivery_backlog(&self, destination: &str, pending: i64, dead: i64) {
        let labels = [("destination", destination.to_owned())];
        self.event.pending.get_or_create(&labels).set(pending);
        self.event.dead.get_or_create(&labels).set(dead);
    }
}
