//! How often things may happen. Owns the limits that stand before a message or a token leaves and before a secret is
//! compared; counts in the cache, and lets nothing through that it could not count.
//!
//! All limits that stand before one thing are counted in one step: if all have room, each counts it, else none does, and the
//! first that is full, from the narrowest on, is named. So what a narrow limit refuses never uses up a wide one, and
//! nothing is ever let through beyond any of them, however many nodes ask at once. The price is that in a cluster of
//! Redis all counters live on one node, since a step cannot reach over several.

mod attempt;
mod code;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

pub use self::attempt::{Attempt, Factor, Unheard};
use crate::cache::{Cache, CacheError, Count, Counter, Tally};
use crate::clock::Clock;
use crate::config::{Limit, Limits};
use crate::metrics::Metrics;
use crate::model::{AccountId, Identifier, Network};
use crate::root_key::MacKey;

/// The limits of this installation.
#[derive(Clone, Debug)]
pub struct Guard {
    cache: Cache,
    clock: Clock,
    limits: Arc<Limits>,
    /// Hides identifiers within cache keys.
    mac: MacKey,
    metrics: Metrics,
}

/// Why something may not happen now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// A limit is reached.
    #[error("the limit `{limit}` is reached")]
    Limited {
        /// Its name in the configuration.
        limit: &'static str,
        /// How long until there is room again.
        retry_after: TimeDelta,
    },
    /// There were too many failures; right or wrong, nothing is looked at now.
    #[error("too many failures, by the limit `{limit}`")]
    Blocked {
        /// The limit's name in the configuration.
        limit: &'static str,
        /// How long until it is looked at again.
        retry_after: TimeDelta,
    },
    /// No messages are sent to this number's country.
    #[error("no messages are sent to this country")]
    CountryNotServed,
    /// It could not be counted.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// One limit as it stands before something: its name in the configuration, and what counts it.
type Step = (&'static str, Counter);

impl Guard {
    /// Counts in `cache`, and counts its refusals in `metrics`.
    #[must_use]
    pub fn new(cache: Cache, clock: Clock, limits: Limits, mac: MacKey, metrics: Metrics) -> Self {
        Self { cache, clock, limits: Arc::new(limits), mac, metrics }
    }

    /// Where it counts, for those whom it guards.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether somebody in this network may have another anonymous token.
    pub async fn admit_anonymous(&self, network: Network) -> Result<(), GuardError> {
        self.admit_from(network, "anonymous_per_network", self.limits.anonymous_per_network).await
    }

    /// Whether somebody in this network may begin another guided sign-in.
    pub async fn admit_sign_in(&self, network: Network) -> Result<(), GuardError> {
        self.admit_from(network, "sign_ins_per_network", self.limits.sign_ins_per_network).await
    }

    /// Whether somebody in this network may open another account.
    pub async fn admit_registration(&self, network: Network) -> Result<(), GuardError> {
        self.admit_from(network, "registrations_per_network", self.limits.registrations_per_network).await
    }

    /// Whether somebody in this network may ask once more for a new password for this identifier, known or not. The
    /// message itself is admitted by [`Self::admit_code`].
    pub async fn admit_reset(&self, identifier: &Identifier, network: Network) -> Result<(), GuardError> {
        let bucket = format!("{}:{network}", self.hidden(identifier));
        let limit = self.limits.resets_per_identifier_and_network;
        self.admit(vec![self.step("resets_per_identifier_and_network", &bucket, limit)]).await.map(drop)
    }

    /// Whether this account may ask for another identity check.
    pub async fn admit_verification(&self, account: AccountId) -> Result<(), GuardError> {
        let limit = self.limits.verifications_per_account;
        self.admit(vec![self.step("verifications_per_account", &account.to_string(), limit)]).await.map(drop)
    }

    async fn admit_from(&self, network: Network, name: &'static str, limit: Limit) -> Result<(), GuardError> {
        self.admit(vec![self.step(name, &network.to_string(), limit)]).await.map(drop)
    }

    /// Counts all or none. Tells where they stand.
    async fn admit(&self, steps: Vec<Step>) -> Result<Vec<Count>, GuardError> {
        let (names, counters): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        match self.cache.count_all(&counters).await? {
            Tally::Counted(counts) => Ok(counts),
            Tally::Full { at, count } => {
                let limit = names.get(at).copied().unwrap_or_default();
                Err(self.refuse(limit, count.deadline))
            }
        }
    }

    /// Refuses by a limit that is counted elsewhere.
    #[must_use]
    pub fn refuse(&self, limit: &'static str, until: DateTime<Utc>) -> GuardError {
        self.metrics.refused(limit);
        GuardError::Limited { limit, retry_after: wait(self.clock.now(), until) }
    }

    fn step(&self, name: &'static str, bucket: &str, limit: Limit) -> Step {
        (name, Counter::up(key(name, bucket), limit.count, self.clock.now() + limit.per))
    }

    /// An identifier as it stands in keys.
    fn hidden(&self, identifier: &Identifier) -> String {
        uuid::Builder::from_slice(&self.mac.mac(&[b"limit", identifier.as_str().as_bytes()])[..16])
            .map(|builder| builder.into_uuid().to_string())
            .unwrap_or_default()
    }
}

/// All keys share a hash tag, so that they can be counted in one step.
fn key(name: &str, bucket: &str) -> String {
    format!("{{limits}}:{name}:{bucket}")
}

/// Where it is kept that somebody has signed in from a network.
fn known_key(who: &str, network: Network) -> String {
    key("known_networks", &format!("{who}:{network}"))
}

/// How long to wait until a moment: at least a second, so that nobody is told to come back at once.
fn wait(now: DateTime<Utc>, until: DateTime<Utc>) -> TimeDelta {
    (until - now).max(TimeDelta::seconds(1))
}

/// The end of the window that `now` lies in, where windows follow the clock.
fn window_end(now: DateTime<Utc>, per: TimeDelta) -> DateTime<Utc> {
    let (at, length) = (now.timestamp_micros(), per.num_microseconds().unwrap_or(i64::MAX).max(1));
    DateTime::from_timestamp_micros(at.saturating_sub(at.rem_euclid(length)).saturating_add(length))
        .unwrap_or(now + per)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_clock() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (now, per, end) in [
            ("2026-01-02T03:04:05Z", TimeDelta::days(1), "2026-01-03T00:00:00Z"),
            ("2026-01-03T00:00:00Z", TimeDelta::days(1), "2026-01-04T00:00:00Z"),
            ("2026-01-02T03:59:59.999999Z", TimeDelta::hours(1), "2026-01-02T04:00:00Z"),
        ] {
            assert_eq!(window_end(at(now), per), at(end), "{now}");
        }
    }

    #[test]
    fn nobody_is_told_to_come_back_at_once() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(wait(now, now), TimeDelta::seconds(1));
        assert_eq!(wait(now, now + TimeDelta::minutes(1)), TimeDelta::minutes(1));
    }
}
