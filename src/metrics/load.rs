//! Load: connections and calls, and what of them is turned away.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labels, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    connections: Family<Labels<1>, Gauge>,
    calls: Gauge,
    shed: Family<Labels<1>, Counter>,
    caller_refusals: Family<Labels<1>, Counter>,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (connections, calls) = (Family::default(), Gauge::default());
        registry.register("connections", "Open connections, by port", connections.clone());
        let help = "Calls that are being worked on, but for those that are answered from memory";
        registry.register("calls_in_flight", help, calls.clone());
        let (shed, caller_refusals) = (Family::default(), Family::default());
        registry.register("shed", "Connections and calls that were turned away because of load", shed.clone());
        registry.register("caller_refusals", "Calls beyond what a caller may take", caller_refusals.clone());
        Self { connections, calls, shed, caller_refusals }
    }
}

impl Metrics {
    /// A port has a connection more, or none yet.
    pub fn connections_opened(&self, port: &'static str, count: u32) {
        self.load.connections.get_or_create(&[("port", port)]).inc_by(count.into());
    }

    /// A port has a connection less.
    pub fn connection_closed(&self, port: &'static str) {
        self.load.connections.get_or_create(&[("port", port)]).dec();
    }

    /// A call is being worked on.
    pub fn call_began(&self) {
        self.load.calls.inc();
    }

    /// It is answered, or nobody waits for it any more.
    pub fn call_ended(&self) {
        self.load.calls.dec();
    }

    /// A connection or a call was turned away.
    pub fn shed(&self, reason: &'static str) {
        self.load.shed.get_or_create(&[("reason", reason)]).inc();
    }

    /// A caller has taken more than it may.
    pub fn caller_refused(&self, reason: &'static str) {
        self.load.caller_refusals.get_or_create(&[("reason", reason)]).inc();
    }
}
