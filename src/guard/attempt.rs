//! Attempts to prove something: counted before anything is compared, so that attempts at once are no more attempts than one
//! after the other. Whether there is such an account makes no difference here: only what was said is counted.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::runtime::Handle;

use super::{Guard, GuardError, key, known_key};
use crate::cache::{Cache, Counter, Relief};
use crate::config::Limit;
use crate::model::{Identifier, Network};

/// Longer than it takes to judge an attempt.
const IN_FLIGHT: TimeDelta = TimeDelta::seconds(2);

/// What is attempted. Each has counters of its own, so that one who forgot a password can still use a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factor {
    /// A one-time code.
    Code,
    /// A password.
    Password,
}

impl Factor {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Password => "password",
        }
    }

    /// The limit of failures for an identifier from a network.
    const fn failures(self) -> &'static str {
        match self {
            Self::Code => "failed_codes",
            Self::Password => "failed_passwords",
        }
    }
}

/// An attempt that may be judged. It counts as a failure unless something else is said of it, so that one that is cut off
/// is not one for free.
#[derive(Debug)]
#[must_use = "an attempt that nothing is said of is a failure"]
pub struct Attempt<'a> {
    guard: &'a Guard,
    factor: Factor,
    identifier: &'a Identifier,
    who: String,
    network: Network,
}

impl Guard {
    /// Whether another attempt by this identifier from this network may be judged. It is counted with this call.
    ///
    /// The failures of an identifier from one network block it there for a while. Before those from all networks block it,
    /// a network from which it has signed in lately goes free: else strangers could lock its owner out.
    pub async fn admit_attempt<'a>(
        &'a self,
        factor: Factor,
        identifier: &'a Identifier,
        network: Network,
    ) -> Result<Attempt<'a>, GuardError> {
        let attempt = Attempt { guard: self, factor, identifier, who: self.hidden(identifier), network };
        let limits = &self.limits;
        let failures = match factor {
            Factor::Code => limits.failed_codes,
            Factor::Password => limits.failed_passwords,
        };
        let now = self.clock.now();
        let up = |key: String, limit: Limit| Counter::up(key, limit.count, now + limit.per);
        let known = Relief::Waived { by: known_key(&attempt.who, network) };
        let [narrow, of_identifier, of_network] = attempt.keys();
        let steps = vec![
            (factor.failures(), up(narrow, failures).renewing()),
            ("attempts_per_identifier", up(of_identifier, limits.attempts_per_identifier).relieved(known)),
            ("attempts_per_network", up(of_network, limits.attempts_per_network)),
        ];
        match self.admit(steps).await {
            Ok(_) => Ok(attempt),
            // A network that tries many identifiers is one matter, an identifier that is tried often another.
            Err(GuardError::Limited { limit, retry_after }) if limit != "attempts_per_network" => {
                // The last was a moment ago and may still be found right: then nothing is blocked.
                let may_end_soon = limit == factor.failures() && retry_after > failures.per - IN_FLIGHT;
                let retry_after = if may_end_soon { IN_FLIGHT } else { retry_after };
                Err(GuardError::Blocked { limit, retry_after })
            }
            Err(error) => Err(error),
        }
    }
}

/// Takes an attempt back whose caller goes away before it is judged. Nothing is learned by such a one, and an app that waits
/// less long than we need must not lock its person out. It stays counted for the network, because it made us work.
#[derive(Debug)]
#[must_use = "dropped at once it takes the attempt back"]
pub struct Unheard {
    cache: Cache,
    counters: Vec<Counter>,
}

impl Unheard {
    /// The caller is still there: what becomes of the attempt is said elsewhere.
    pub fn heard(mut self) {
        self.counters.clear();
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let (cache, counters) = (self.cache.clone(), std::mem::take(&mut self.counters));
        if let (false, Ok(runtime)) = (counters.is_empty(), Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = cache.count_all(&counters).await {
                    tracing::debug!(%error, "an attempt that nobody waited for stays counted as a failure");
                }
            });
        }
    }
}

impl Attempt<'_> {
    /// What takes it back if the caller goes away from here on.
    pub fn unheard(&self) -> Unheard {
        let [narrow, of_identifier, _] = self.keys();
        let now = self.guard.clock.now();
        let counters = vec![Counter::back(narrow, now), self.unless_known(Counter::back(of_identifier, now))];
        Unheard { cache: self.guard.cache.clone(), counters }
    }

    /// It was right: the failures before it are forgotten, the wide limits get it back, and the network counts as one of
    /// the person's own from now on.
    pub async fn succeeded(self) {
        self.settle(self.success()).await;
    }

    /// It was right, and used up a code that somebody in `asked_from` had had sent.
    pub async fn succeeded_with_code(self, asked_from: Network) {
        let mut counters = self.success();
        counters.extend(self.guard.usage(self.identifier, asked_from));
        self.settle(counters).await;
    }

    /// Nothing was learned by it, right or wrong: it counts nowhere.
    pub async fn withdrawn(self) {
        let [narrow, of_identifier, of_network] = self.keys();
        let now = self.guard.clock.now();
        self.settle(vec![
            Counter::back(narrow, now),
            self.unless_known(Counter::back(of_identifier, now)),
            Counter::back(of_network, now),
        ])
        .await;
    }

    fn success(&self) -> Vec<Counter> {
        let [narrow, of_identifier, of_network] = self.keys();
        let now = self.guard.clock.now();
        let known_until: DateTime<Utc> = now + self.guard.limits.known_networks;
        vec![
            Counter::clear(narrow, now),
            // Judged before the network becomes known: it is taken back where it was counted.
            self.unless_known(Counter::back(of_identifier, now)),
            Counter::back(of_network, now),
            Counter::endless(known_key(&self.who, self.network), known_until).renewing(),
        ]
    }

    fn unless_known(&self, counter: Counter) -> Counter {
        counter.relieved(Relief::Waived { by: known_key(&self.who, self.network) })
    }

    /// The failures from this network, those of this identifier, those of this network.
    fn keys(&self) -> [String; 3] {
        let Self { factor, who, network, .. } = self;
        [
            key(factor.failures(), &format!("{who}:{network}")),
            key("attempts_per_identifier", &format!("{}:{who}", factor.as_str())),
            key("attempts_per_network", &network.to_string()),
        ]
    }

    /// What was proved stays proved where the cache has just gone: then the attempt counts as a failure, which is safe.
    async fn settle(&self, counters: Vec<Counter>) {
        if let Err(error) = self.guard.cache.count_all(&counters).await {
            tracing::debug!(%error, "a right attempt stays counted as a failure");
        }
    }
}
