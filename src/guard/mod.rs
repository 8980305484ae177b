//! How often things may happen. Owns the limits that stand before a message or a token leaves; counts in the cache, and lets
//! nothing through that it could not count.

use chrono::{DateTime, TimeDelta, Utc};

use crate::cache::{Cache, CacheError};
use crate::clock::Clock;
use crate::config::{Limit, Limits};
use crate::model::{Identifier, Network};
use crate::root_key::MacKey;

/// The limits of this installation.
#[derive(Clone, Debug)]
pub struct Guard {
    cache: Cache,
    clock: Clock,
    limits: Limits,
    /// Hides identifiers within cache keys.
    mac: MacKey,
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
    /// It could not be counted.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Guard {
    /// Counts in `cache`.
    #[must_use]
    pub const fn new(cache: Cache, clock: Clock, limits: Limits, mac: MacKey) -> Self {
        Self { cache, clock, limits, mac }
    }

    /// Whether another code may be sent to this identifier, on behalf of somebody in this network.
    ///
    /// The narrow limits come first, so that what they refuse does not use up the wide ones.
    pub async fn admit_code(&self, identifier: &Identifier, network: Network) -> Result<(), GuardError> {
        let limits = &self.limits;
        let who = self.hidden(identifier.as_str());
        self.count("codes_per_network", &network.to_string(), limits.codes_per_network).await?;
        self.count("codes_per_identifier", &who, limits.codes_per_identifier).await?;
        if let Identifier::Phone(phone) = identifier {
            self.count("codes_per_prefix", phone.prefix(), limits.codes_per_prefix).await?;
        }
        self.count("codes_in_all", "", limits.codes_in_all).await
    }

    /// Whether somebody in this network may have another anonymous token.
    pub async fn admit_anonymous(&self, network: Network) -> Result<(), GuardError> {
        self.count("anonymous_per_network", &network.to_string(), self.limits.anonymous_per_network).await
    }

    async fn count(&self, name: &'static str, bucket: &str, limit: Limit) -> Result<(), GuardError> {
        let now = self.clock.now();
        let count = self.cache.increment(&format!("{{limit:{name}:{bucket}}}"), now + limit.per).await?;
        if count.value > limit.count {
            return Err(GuardError::Limited { limit: name, retry_after: wait(now, count.deadline) });
        }
        Ok(())
    }

    fn hidden(&self, identifier: &str) -> String {
        uuid::Builder::from_slice(&self.mac.mac(&[b"limit", identifier.as_bytes()])[..16])
            .map(|builder| builder.into_uuid().to_string())
            .unwrap_or_default()
    }
}

/// How long to wait until a moment: at least a second, so that nobody is told to come back at once.
fn wait(now: DateTime<Utc>, until: DateTime<Utc>) -> TimeDelta {
    (until - now).max(TimeDelta::seconds(1))
}
