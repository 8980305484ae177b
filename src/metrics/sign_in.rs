//! Signing in: by which way, with what outcome, and the codes on their way.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Labels, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    sign_ins: Family<Labels<2>, Counter>,
    codes: Family<Labels<2>, Counter>,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (sign_ins, codes) = (Family::default(), Family::default());
        registry.register("sign_ins", "Attempts to sign in, by how and with what outcome", sign_ins.clone());
        registry.register("codes", "One-time codes that were sent, used and refused", codes.clone());
        Self { sign_ins, codes }
    }
}

impl Metrics {
    /// An attempt to sign in by this method has ended so.
    pub fn signed_in(&self, method: &'static str, outcome: &'static str) {
        self.sign_in.sign_ins.get_or_create(&[("method", method), ("outcome", outcome)]).inc();
    }

    /// A code of this channel was `sent`, `used` or `refused`.
    pub fn code(&self, channel: &'static str, event: &'static str) {
        self.sign_in.codes.get_or_create(&[("event", event), ("channel", channel)]).inc();
    }
}
