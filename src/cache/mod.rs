//! Shared short-lived state: raw atomic operations on values with deadlines, and topics that tell other nodes something.
//!
//! Owns what an operation promises, the same on both backends. Leaves to others what the values mean (limits, lockouts,
//! codes and hints are written once, above it) and anything that must survive: a cache may be emptied at any time.
//!
//! - Every value carries its own deadline, judged by our [`Clock`]. From its deadline on, a value is absent for every
//!   operation; the backend's own expiry only cleans up.
//! - Every operation is one atomic step on one key, or, where counters are counted together, on all of them. It ends quickly: a Redis that does not answer is an error after
//!   50 ms, one that is known to be away is an error at once. After such an error the step may or may not have happened.
//! - A topic delivers what is published from [`Subscription::ready`] on, in order. Where something may be missing it says
//!   so with [`Signal::Gap`], so whoever follows a topic must be able to learn the same things elsewhere.

mod memory;
mod redis;
mod tally;

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use thiserror::Error;
use tracing::{Instrument, debug_span};

pub use self::memory::MemoryCache;
pub use self::redis::RedisCache;
pub use self::tally::{Counter, Relief, Tally};
use crate::clock::Clock;

/// About how many messages a topic keeps for subscribers that are behind or away.
const TOPIC_LENGTH: usize = 10_000;

/// The shared short-lived state of an installation. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub enum Cache {
    /// Inside this process, for an installation of one node.
    Memory(MemoryCache),
    /// In a Redis (6.2 or newer) that all nodes share.
    Redis(RedisCache),
}

/// What went wrong with the cache. No text in here holds a password or a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CacheError {
    /// The address cannot be used; somebody has to write another one.
    #[error("the address of the cache cannot be used: {0}")]
    BadUrl(Cow<'static, str>),
    /// Nobody can be trusted by these certificates.
    #[error("the certificates that the cache is to be known by cannot be used: {0}")]
    Certificates(String),
    /// No connection at start; the address, the network or the server wants looking at.
    #[error("the cache at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Hosts and ports that were tried.
        address: String,
        /// Why it failed.
        reason: Cow<'static, str>,
    },
    /// It was there before and gives no answer now. Go on without it; it is reconnected by itself.
    #[error("the cache does not answer: {0}")]
    Unavailable(Cow<'static, str>),
    /// A live value that is no number was to be counted up: two uses share one key.
    #[error("the value to count up is not a counter")]
    NotACounter,
}

/// Where a counter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How often it was counted up in this window, this time included.
    pub value: u64,
    /// When the window ends and counting starts anew.
    pub deadline: DateTime<Utc>,
}

/// What a subscription has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The next message.
    Message(Vec<u8>),
    /// Messages may be missing here. Everything published after this was reported will arrive.
    Gap,
}

/// What follows a topic. Dropping it ends the following.
#[derive(Debug)]
pub struct Subscription(Source);

#[derive(Debug)]
enum Source {
    Memory(memory::Following),
    Redis(redis::Following),
}

// A command's future is 7 KiB in the Redis library. Boxed, it does not swell every handler that asks the cache something.
impl Cache {
    /// Connects to `memory:`, or to a `redis://`, `rediss://`, `redis-sentinel://`, `rediss-sentinel://`,
    /// `redis-cluster://` or `rediss-cluster://` address. The prefix keeps several installations in one Redis apart; it
    /// must hold no braces, or it would decide where a cluster keeps a key. Who does not answer within `patience` counts as
    /// away. Where `ca_file` is not empty, its certificates are trusted beside the system's.
    ///
    /// Redis connections live on the runtime that this is called from; commands may come from any other.
    pub async fn connect(
        url: &str,
        ca_file: &str,
        key_prefix: &str,
        patience: Duration,
        clock: Clock,
    ) -> Result<Self, CacheError> {
        if url == "memory:" {
            return Ok(Self::Memory(MemoryCache::new(clock)));
        }
        if key_prefix.contains(['{', '}']) {
            return Err(CacheError::BadUrl("the key prefix must not hold braces".into()));
        }
        RedisCache::connect(url, ca_file, key_prefix, patience, clock).await.map(Self::Redis)
    }

    /// Asks for a sign of life.
    pub async fn ping(&self) -> Result<(), CacheError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(cache) => asked("ping", cache.ping()).await,
        }
    }

    /// The live value. A counter reads as decimal digits.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, CacheError> {
        match self {
            Self::Memory(cache) => Ok(cache.get(key)),
            Self::Redis(cache) => asked("get", cache.get(key)).await,
        }
    }

    /// Stores a value, whatever was there.
    pub async fn put(&self, key: &str, value: &[u8], deadline: DateTime<Utc>) -> Result<(), CacheError> {
        match self {
            Self::Memory(cache) => {
                cache.put(key, value, stamp(deadline));
                Ok(())
            }
            Self::Redis(cache) => asked("put", cache.put(key, value, stamp(deadline))).await,
        }
    }

    /// Stores a value unless a live one is there. Tells what was there: `None` means it was stored.
    pub async fn put_if_absent(
        &self,
        key: &str,
        value: &[u8],
        deadline: DateTime<Utc>,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        match self {
            Self::Memory(cache) => Ok(cache.put_if_absent(key, value, stamp(deadline))),
            Self::Redis(cache) => asked("put_if_absent", cache.put_if_absent(key, value, stamp(deadline))).await,
        }
    }

    /// Removes the live value and tells it, to one caller only.
    pub async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, CacheError> {
        match self {
            Self::Memory(cache) => Ok(cache.take(key)),
            Self::Redis(cache) => asked("take", cache.take(key)).await,
        }
    }

    /// Counts one up. The first count of a window sets its deadline; later ones keep it.
    pub async fn increment(&self, key: &str, deadline: DateTime<Utc>) -> Result<Count, CacheError> {
        match self {
            Self::Memory(cache) => cache.increment(key, stamp(deadline)),
            Self::Redis(cache) => asked("increment", cache.increment(key, stamp(deadline))).await,
        }
    }

    /// Counts several up, each as far as its limit allows: all of them if all have room, else none.
    pub async fn count_all(&self, counters: &[Counter]) -> Result<Tally, CacheError> {
        match self {
            Self::Memory(cache) => cache.count_all(counters),
            Self::Redis(cache) => asked("count_all", cache.count_all(counters)).await,
        }
    }

    /// Removes the value, if there is one.
    pub async fn delete(&self, key: &str) -> Result<(), CacheError> {
        match self {
            Self::Memory(cache) => {
                cache.delete(key);
                Ok(())
            }
            Self::Redis(cache) => asked("delete", cache.delete(key)).await,
        }
    }

    /// Sends a message to all who follow the topic, on every node.
    pub async fn publish(&self, topic: &str, payload: &[u8]) -> Result<(), CacheError> {
        match self {
            Self::Memory(cache) => {
                cache.publish(topic, payload);
                Ok(())
            }
            Self::Redis(cache) => asked("publish", cache.publish(topic, payload)).await,
        }
    }

    /// Follows a topic. The following works in the background and reconnects by itself until it is dropped, the cache is
    /// closed or the last clone of the cache is gone.
    #[must_use]
    pub fn subscribe(&self, topic: &str) -> Subscription {
        Subscription(match self {
            Self::Memory(cache) => Source::Memory(cache.subscribe(topic)),
            Self::Redis(cache) => Source::Redis(cache.subscribe(topic)),
        })
    }

    /// Ends all connections and subscriptions. What is called afterwards fails (Redis) or works on (memory).
    pub async fn close(&self) {
        match self {
            Self::Memory(cache) => cache.close(),
            Self::Redis(cache) => cache.close().await,
        }
    }
}

impl Subscription {
    /// Waits until the subscription has its place in the topic: what is published from then on will arrive, so what is
    /// read elsewhere after this leaves no hole. Waits as long as Redis is away; ends at once when the cache is closed.
    pub async fn ready(&mut self) {
        match &mut self.0 {
            Source::Memory(_) => {}
            Source::Redis(following) => following.ready().await,
        }
    }

    /// The next thing to know. May be dropped while it waits without losing anything. After the cache is closed it waits
    /// for ever, so race it against the shutdown.
    pub async fn next(&mut self) -> Signal {
        match &mut self.0 {
            Source::Memory(following) => following.next().await,
            Source::Redis(following) => following.next().await,
        }
    }
}

/// A question to Redis, as a part of the trace that it belongs to.
fn asked<'q, T>(
    operation: &'static str,
    question: impl Future<Output = T> + Send + 'q,
) -> Pin<Box<dyn Future<Output = T> + Send + 'q>> {
    let span = debug_span!(
        "cache",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = "redis",
        db.operation.name = operation
    );
    Box::pin(question.instrument(span))
}

/// A time as both backends keep it: microseconds since the epoch, never negative, so that Redis can compare it as text.
fn stamp(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros().max(0)
}

/// The time that a stamp stands for.
fn time(stamp: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(stamp).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
