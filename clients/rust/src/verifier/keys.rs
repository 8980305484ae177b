//! The service's public keys, as they are known here. Owns that they are fetched by one task alone, however many ask, and not
//! too often; and that they are not believed for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use countersign_token::{KeySet, PublicKey};
use serde_json::{Map, Value};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;

use super::Core;
use crate::backoff::Backoff;
use crate::clock::{self, Clock};
use crate::proto::v1;
use crate::random;
use crate::refusal::Unsure;
use crate::status::retry_after;

/// The least time between two fetches.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How many tokens may wait for news of their key. Whoever makes names of keys up makes others wait, but not without end.
const WAITING: usize = 1_000;

/// A set of keys, and when it was asked for. The first one is empty and as old as time.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) set: KeySet,
    wall: i64,
    steady: i64,
}

/// What became of the latest fetch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    number: u64,
    worked: bool,
}

/// What is known of keys.
#[derive(Debug)]
pub(super) struct Keys {
    current: ArcSwap<Fetched>,
    every: Duration,
    max_age: i64,
    wanted: Notify,
    /// How many fetches have begun.
    begun: AtomicU64,
    outcomes: watch::Sender<Outcome>,
    waiting: Semaphore,
}

/// Somebody who waits for the keys to be fetched.
pub(super) struct Waiter<'k> {
    outcomes: watch::Receiver<Outcome>,
    begun_before: u64,
    _place: SemaphorePermit<'k>,
}

/// What a waiter hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A fetch has ended that had begun before the waiter came.
    Older,
    /// The keys have been fetched since.
    Fetched,
    /// They cannot be fetched.
    Failed,
}

impl Keys {
    pub(super) fn new(every: Duration, max_age: Duration) -> Self {
        Self {
            current: ArcSwap::default(),
            every: every.max(PAUSE),
            max_age: clock::micros(clock::span(max_age)),
            wanted: Notify::new(),
            begun: AtomicU64::new(0),
            outcomes: watch::Sender::default(),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// The keys, if they are young enough to be believed.
    pub(super) fn usable(&self, clock: &Clock) -> Option<Guard<Arc<Fetched>>> {
        let current = self.current.load();
        (current.age(clock) <= self.max_age).then_some(current)
    }

    pub(super) fn fetched_within(&self, span: Duration, clock: &Clock) -> bool {
        self.current.load().age(clock) < clock::micros(clock::span(span))
    }

    /// Has the keys fetched soon.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Has the keys fetched, and waits for it.
    pub(super) fn news(&self) -> Result<Waiter<'_>, Unsure> {
        let place = self.waiting.try_acquire().map_err(|_| Unsure::Crowded)?;
        let outcomes = self.outcomes.subscribe();
        let begun_before = self.fetches();
        self.want();
        Ok(Waiter { outcomes, begun_before, _place: place })
    }

    pub(super) fn fetches(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    pub(super) fn outcomes(&self) -> watch::Receiver<Outcome> {
        self.outcomes.subscribe()
    }
}

impl Waiter<'_> {
    /// Waits for the next fetch to end, as long as a call may take beyond the pause before it.
    pub(super) async fn next(&mut self, call_timeout: Duration) -> News {
        if !matches!(timeout(PAUSE + call_timeout, self.outcomes.changed()).await, Ok(Ok(()))) {
            return News::Failed;
        }
        let outcome = *self.outcomes.borrow_and_update();
        match (outcome.number > self.begun_before, outcome.worked) {
            (false, _) => News::Older,
            (true, true) => News::Fetched,
            (true, false) => News::Failed,
        }
    }
}

impl Fetched {
    /// In microseconds, by whichever clock makes it older.
    fn age(&self, clock: &Clock) -> i64 {
        let by_wall = (clock.now().timestamp_micros() - self.wall).saturating_abs();
        by_wall.max(clock.steady() - self.steady)
    }
}

/// Fetches the keys as often as they may change, and when somebody has met one that is not known.
pub(super) async fn follow(core: Arc<Core>) {
    let keys = &core.keys;
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    let (mut due, mut earliest) = (Instant::now(), Instant::now());
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = keys.wanted.notified() => {}
        }
        sleep_until(earliest).await;
        earliest = Instant::now() + PAUSE;
        let number = keys.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let fetched = fetch(&core).await;
        let worked = fetched.is_ok();
        let pause = match fetched {
            Ok((fetched, lifetime)) => {
                backoff.reset();
                keys.current.store(Arc::new(fetched));
                // A little before they are old, and not all clients at once.
                let longest = lifetime.clamp(PAUSE, keys.every);
                longest.mul_f64(random::fraction().mul_add(-0.1, 1.0))
            }
            Err(status) => {
                tracing::warn!(code = ?status.code(), message = status.message(), "the keys cannot be fetched");
                backoff.pause(retry_after(&status))
            }
        };
        due = Instant::now() + pause;
        keys.outcomes.send_replace(Outcome { number, worked });
    }
}

async fn fetch(core: &Core) -> Result<(Fetched, Duration), Status> {
    let (wall, steady) = (core.clock.now().timestamp_micros(), core.clock.steady());
    let answer = core.connection.answer(core.connection.tokens().get_jwks(v1::GetJwksRequest {})).await?;
    let lifetime = answer.cache_ttl.and_then(|span| Duration::try_from(span).ok()).unwrap_or(PAUSE);
    // A kind of key that only later clients know must not take the others away.
    let fit = answer.keys.iter().filter_map(|jwk| match PublicKey::from_jwk(&members(jwk)) {
        Ok(key) => Some(key),
        Err(cause) => {
            tracing::warn!(kid = jwk.kid, %cause, "a key of the service is unfit; it is left out");
            None
        }
    });
    let set = KeySet::new(fit).map_err(|cause| Status::data_loss(format!("the service's keys: {cause}")))?;
    Ok((Fetched { set, wall, steady }, lifetime))
}

/// A key as its JWK says it, in JSON, so that it goes through the one strict reading that there is.
fn members(jwk: &v1::Jwk) -> String {
    let v1::Jwk { kty, kid, r#use, alg, crv, x, y, n, e } = jwk;
    let all = [
        ("kty", kty),
        ("kid", kid),
        ("use", r#use),
        ("alg", alg),
        ("crv", crv),
        ("x", x),
        ("y", y),
        ("n", n),
        ("e", e),
    ];
    let there = all.into_iter().filter(|(_, value)| !value.is_empty());
    let there: Map<_, _> = there.map(|(name, value)| (name.to_owned(), Value::from(value.as_str()))).collect();
    Value::Object(there).to_string()
}
