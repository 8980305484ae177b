//! Tokens: what is issued, refreshed and asked about, what a node knows of what was taken back, and the keys that sign.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::stripe::Striped;
use super::{Fraction, Labels, Metrics};

/// What came of asking about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspected {
    /// It counts.
    Active,
    /// It does not.
    Inactive,
    /// Nobody can tell at present.
    Unavailable,
}

impl Introspected {
    const NAMES: [&'static str; 3] = ["active", "inactive", "unavailable"];
}

#[derive(Clone, Debug)]
pub(super) struct Figures {
    claims_left_out: Counter,
    refreshes: Family<Labels<1>, Counter>,
    introspections: Introspections,
    replica_entries: Gauge,
    replica_age: Fraction,
    replica_bound: Fraction,
    signing_keys: Family<Labels<1>, Gauge>,
    signing_key_age: Family<Labels<1>, Fraction>,
    signing_keys_unread: Fraction,
}

#[derive(Clone, Debug, Default)]
struct Introspections(Striped<3>);

impl Collector for Introspections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Tokens that were asked about, by what was answered";
        let mut family = encoder.encode_descriptor("introspections", help, None, MetricType::Counter)?;
        for (outcome, count) in Introspected::NAMES.iter().zip(self.0.sums()) {
            ConstCounter::new(count).encode(family.encode_family(&[("outcome", *outcome)])?)?;
        }
        Ok(())
    }
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            claims_left_out: Counter::default(),
            refreshes: Family::default(),
            introspections: Introspections::default(),
            replica_entries: Gauge::default(),
            replica_age: Fraction::default(),
            replica_bound: Fraction::default(),
            signing_keys: Family::default(),
            signing_key_age: Family::default(),
            signing_keys_unread: Fraction::default(),
        };
        let help = "Custom claims for which an access token had no room";
        registry.register("claims_left_out", help, figures.claims_left_out.clone());
        registry.register(
            "refreshes",
            "Refresh tokens that came in, by what became of them",
            figures.refreshes.clone(),
        );
        registry.register_collector(Box::new(figures.introspections.clone()));
        let help = "Revocations that this node knows of";
        registry.register("replica_entries", help, figures.replica_entries.clone());
        let help = "For how long this node has not compared its revocations with the database";
        registry.register("replica_age_seconds", help, figures.replica_age.clone());
        let help = "How long that may be before it asks the database about each token";
        registry.register("replica_bound_seconds", help, figures.replica_bound.clone());
        registry.register("signing_keys", "Keys that sign or verify", figures.signing_keys.clone());
        let help = "For how long the oldest key of a state has been in it";
        registry.register("signing_key_age_seconds", help, figures.signing_key_age.clone());
        let help = "For how long this node could not read the keys from the database";
        registry.register("signing_keys_unread_seconds", help, figures.signing_keys_unread.clone());
        figures
    }
}

impl Metrics {
    /// An access token had no room for a custom claim.
    pub fn claim_left_out(&self) {
        self.token.claims_left_out.inc();
    }

    /// A refresh token came in, and this became of it.
    pub fn refreshed(&self, outcome: &'static str) {
        self.token.refreshes.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A token was asked about. This is the figure that is counted most by far.
    pub fn introspected(&self, outcome: Introspected) {
        self.token.introspections.0.count(outcome as usize);
    }

    /// So many revocations are known here, compared with the database so many seconds ago.
    pub fn replica(&self, entries: usize, age_seconds: f64) {
        self.token.replica_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.token.replica_age.set(age_seconds);
    }

    /// That knowledge may be so many seconds old.
    pub fn replica_bound(&self, seconds: f64) {
        self.token.replica_bound.set(seconds);
    }

    /// There are so many keys in a state, the oldest for so many seconds.
    pub fn signing_keys(&self, state: &'static str, count: usize, age_seconds: f64) {
        let labels = [("state", state)];
        self.token.signing_keys.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        self.token.signing_key_age.get_or_create(&labels).set(age_seconds);
    }

    /// The keys were last read from the database so many seconds ago.
    pub fn signing_keys_read(&self, age_seconds: f64) {
        self.token.signing_keys_unread.set(age_seconds);
    }
}
