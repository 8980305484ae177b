//! How a verifier is to be. Owns the defaults.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use countersign_token::{MAX_LEEWAY_SECONDS, Remembered};

use super::keys::{self, Keys};
use super::view::Revocations;
use super::{Core, Running, Verifier, watch};
use crate::clock::{self, Clock};
use crate::connection::Connection;

/// What to do with a token that would count while what is known of revocations is older than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// Ask the service, where there is waiting; refuse if it gives no answer.
    Introspect,
    /// Refuse.
    Refuse,
}

/// How a verifier is to be.
#[derive(Clone, Debug)]
pub struct VerifierBuilder {
    connection: Connection,
    issuer: String,
    audience: String,
    leeway: Duration,
    bound: Duration,
    when_stale: WhenStale,
    heartbeat: Duration,
    keys_every: Duration,
    keys_max_age: Duration,
    remembered: usize,
    clock: Clock,
}

impl VerifierBuilder {
    pub(super) fn new(connection: Connection, issuer: String, audience: String) -> Self {
        Self {
            connection,
            issuer,
            audience,
            leeway: Duration::from_secs(2),
            bound: Duration::from_secs(5),
            when_stale: WhenStale::Introspect,
            heartbeat: Duration::from_secs(1),
            keys_every: Duration::from_secs(5),
            keys_max_age: Duration::from_hours(1),
            remembered: 100_000,
            clock: Clock::system(),
        }
    }

    /// How old the knowledge of revocations may be: 5 s, unless told otherwise. Clocks that are apart count towards it.
    #[must_use]
    pub const fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// What to do past the bound: ask the service, unless told otherwise.
    #[must_use]
    pub const fn when_stale(mut self, choice: WhenStale) -> Self {
        self.when_stale = choice;
        self
    }

    /// How far this clock and the service's may be apart: 2 s, unless told otherwise, and 5 s at most.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How often the service is to give a sign of life while nothing is revoked, from 100 ms to 60 s: each second, unless told
    /// otherwise. It should be well below the bound. After three that did not come the stream is begun anew.
    #[must_use]
    pub const fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// How often, at least, the keys are fetched: every 5 s, unless told otherwise, or as often as the service wants. A key that
    /// has leaked and was taken away verifies here for that long.
    #[must_use]
    pub const fn keys_every(mut self, every: Duration) -> Self {
        self.keys_every = every;
        self
    }

    /// How long keys are believed while they cannot be fetched: 1 h, unless told otherwise.
    #[must_use]
    pub const fn keys_max_age(mut self, age: Duration) -> Self {
        self.keys_max_age = age;
        self
    }

    /// How many tokens are remembered whose signature was found good: 100,000, unless told otherwise. Whether they count is
    /// judged anew each time.
    #[must_use]
    pub const fn remembered(mut self, tokens: usize) -> Self {
        self.remembered = tokens;
        self
    }

    /// Where the time comes from. For tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Begins to follow keys and revocations. To be called on a tokio runtime; what follows ends with the last clone of the
    /// verifier.
    #[must_use]
    pub fn start(self) -> Verifier {
        let core = Arc::new(Core {
            keys: Keys::new(self.keys_every, self.keys_max_age),
            revocations: Revocations::default(),
            barred: AtomicBool::new(false),
            remembered: Remembered::new(self.remembered),
            connection: self.connection,
            issuer: self.issuer,
            audience: self.audience,
            leeway_seconds: u8::try_from(self.leeway.as_secs()).unwrap_or(MAX_LEEWAY_SECONDS).min(MAX_LEEWAY_SECONDS),
            bound: clock::span(self.bound),
            when_stale: self.when_stale,
            heartbeat: self.heartbeat.clamp(Duration::from_millis(100), Duration::from_mins(1)),
            clock: self.clock,
        });
        let tasks = [tokio::spawn(keys::follow(Arc::clone(&core))), tokio::spawn(watch::follow(Arc::clone(&core)))];
        Verifier(Arc::new(Running { core, tasks }))
    }
}
