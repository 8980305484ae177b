//! The cache in Redis. Owns how values are laid out there and what the scripts do; leaves connections to [`line`], topics
//! to [`follow`] and the promises to the module above.
//!
//! A value is stored as its deadline in twenty digits and then its bytes: digits of equal length compare as text the way
//! they compare as numbers, so a script needs no arithmetic that Lua's floating point could spoil.

mod follow;
mod line;
mod tally;
mod tls;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, KeysInterface, LuaInterface, StreamsInterface};
use fred::types::streams::XCapKind;
use fred::types::{Expiration, Value};
use tokio::runtime::Handle;

pub(super) use self::follow::Following;
use self::line::{Address, Supervised};
use super::{CacheError, Count, Counter, TOPIC_LENGTH, Tally, stamp, time};
use crate::clock::Clock;

/// Digits of a deadline in front of every value.
const STAMP_DIGITS: usize = 20;
/// How long Redis keeps a value beyond its deadline: enough for clocks that run apart a little.
const SLACK_MILLIS: i64 = 5_000;

/// Arguments: now, deadline, time to live, value.
static PUT_IF_ABSENT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kept = redis.call('GET', KEYS[1])
         if kept and string.sub(kept, 1, 20) > ARGV[1] then return string.sub(kept, 21) end
         redis.call('SET', KEYS[1], ARGV[2] .. ARGV[4], 'PX', ARGV[3])
         return false",
    )
});

/// Arguments: now, deadline, time to live. Answers the stored value, or nothing where that is no counter.
static INCREMENT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kept = redis.call('GET', KEYS[1])
         if kept and string.sub(kept, 1, 20) > ARGV[1] then
             local count = string.match(kept, '^%d+$', 21)
             if not count then return false end
             kept = string.sub(kept, 1, 20) .. string.format('%.0f', tonumber(count) + 1)
             redis.call('SET', KEYS[1], kept, 'KEEPTTL')
             return kept
         end
         redis.call('SET', KEYS[1], ARGV[2] .. '1', 'PX', ARGV[3])
         return ARGV[2] .. '1'",
    )
});

/// A cache in Redis. Clones share its connection.
#[derive(Clone)]
pub struct RedisCache(Arc<Shared>);

struct Shared {
    address: Address,
    prefix: String,
    clock: Clock,
    line: Supervised,
    /// Where connections live, whichever runtime a subscription is asked for from.
    runtime: Handle,
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisCache").field(&self.0.address.hosts()).finish()
    }
}

impl RedisCache {
    pub(super) async fn connect(
        url: &str,
        ca_file: &str,
        key_prefix: &str,
        patience: Duration,
        clock: Clock,
    ) -> Result<Self, CacheError> {
        let address = Address::parse(url, ca_file)?;
        let line = Supervised::connect(&address, patience).await?;
        Ok(Self(Arc::new(Shared { address, prefix: key_prefix.to_owned(), clock, line, runtime: Handle::current() })))
    }

    pub(super) async fn ping(&self) -> Result<(), CacheError> {
        self.ask(|client| async move { client.ping::<()>(None).await }).await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let stored = self.ask(|client| async move { client.get(self.key(key)).await }).await?;
        Ok(self.live(stored))
    }

    pub(super) async fn put(&self, key: &str, value: &[u8], deadline: i64) -> Result<(), CacheError> {
        let stored = Bytes::from([digits(deadline).as_bytes(), value].concat());
        let put = |client: Arc<Client>| {
            let (stored, expire) = (stored.clone(), Some(Expiration::PX(self.time_to_live(deadline))));
            async move { client.set::<(), _, _>(self.key(key), stored, expire, None, false).await }
        };
        self.ask(put).await
    }

    pub(super) async fn put_if_absent(
        &self,
        key: &str,
        value: &[u8],
        deadline: i64,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let there = self.run(&PUT_IF_ABSENT, key, deadline, Some(value)).await?;
        Ok(bytes(there).map(|value| value.to_vec()))
    }

    pub(super) async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let stored = self.ask(|client| async move { client.getdel(self.key(key)).await }).await?;
        Ok(self.live(stored))
    }

    pub(super) async fn increment(&self, key: &str, deadline: i64) -> Result<Count, CacheError> {
        let stored = self.run(&INCREMENT, key, deadline, None).await?;
        count(stored)
    }

    pub(super) async fn count_all(&self, counters: &[Counter]) -> Result<Tally, CacheError> {
        let now = stamp(self.0.clock.now());
        let keys = tally::keys(counters).map(|key| self.key(key)).collect();
        let arguments = tally::arguments(counters, now, |deadline| self.time_to_live(deadline));
        let answer = self.evaluate(&tally::COUNT_ALL, keys, arguments).await?;
        tally::answer(answer)
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.ask(|client| async move { client.del::<(), _>(self.key(key)).await }).await
    }

    pub(super) async fn publish(&self, topic: &str, payload: &[u8]) -> Result<(), CacheError> {
        let marked = follow::marked(payload);
        let add = |client: Arc<Client>| {
            let cap = (XCapKind::MaxLen, "~", TOPIC_LENGTH.to_string(), None);
            let entry = (follow::FIELD, marked.clone());
            async move { client.xadd::<(), _, _, _, _>(self.topic(topic), false, cap, "*", entry).await }
        };
        self.ask(add).await
    }

    pub(super) fn subscribe(&self, topic: &str) -> Following {
        let shared = &self.0;
        Following::start(&shared.runtime, shared.address.clone(), self.topic(topic), shared.line.closed())
    }

    pub(super) async fn close(&self) {
        self.0.line.close().await;
    }

    /// Runs a script that gives one key a value.
    async fn run(&self, script: &Script, key: &str, deadline: i64, value: Option<&[u8]>) -> Result<Value, CacheError> {
        let mut arguments = vec![
            Value::from(digits(stamp(self.0.clock.now()))),
            Value::from(digits(deadline)),
            Value::from(self.time_to_live(deadline)),
        ];
        arguments.extend(value.map(|value| Value::Bytes(Bytes::copy_from_slice(value))));
        self.evaluate(script, vec![self.key(key)], arguments).await
    }

    /// Runs a script by its digest, and once more with its text where the server does not know it yet: after a restart, a
    /// failover or on another node of a cluster. The refusal came before anything was done, so that is safe.
    async fn evaluate(&self, script: &Script, keys: Vec<String>, arguments: Vec<Value>) -> Result<Value, CacheError> {
        let run = |client: Arc<Client>| {
            let (keys, arguments) = (keys.clone(), arguments.clone());
            async move {
                match client.evalsha(script.digest.as_str(), keys.clone(), arguments.clone()).await {
                    Err(error) if error.details().starts_with("NOSCRIPT") => {
                        client.eval(script.text, keys, arguments).await
                    }
                    answer => answer,
                }
            }
        };
        self.ask(run).await
    }

    /// Sends a command, and once more where its slot of a cluster has moved.
    async fn ask<T, F>(&self, command: impl Fn(Arc<Client>) -> F) -> Result<T, CacheError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let client = self.0.line.client()?;
        let answer = match command(Arc::clone(&client)).await {
            Err(error) if line::moved(&error) => command(client).await,
            answer => answer,
        };
        answer.map_err(|error| self.0.address.unavailable(&error))
    }

    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.0.prefix)
    }

    /// Topics have a name space of their own, so that none can meet a value.
    fn topic(&self, topic: &str) -> String {
        format!("{}:topic:{topic}", self.0.prefix)
    }

    /// The value itself, if it is still to be seen.
    fn live(&self, stored: Option<Bytes>) -> Option<Vec<u8>> {
        let stored = stored?;
        let (deadline, value) = split(&stored)?;
        (deadline > stamp(self.0.clock.now())).then(|| value.to_vec())
    }

    fn time_to_live(&self, deadline: i64) -> i64 {
        (deadline - stamp(self.0.clock.now())).max(0) / 1_000 + SLACK_MILLIS
    }
}

/// A Lua script and the digest that Redis knows it by.
struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        // SHA-1 is Redis' name for a script, not a safeguard.
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let digest = digest.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Self { text, digest }
    }
}

fn digits(stamp: i64) -> String {
    format!("{stamp:0STAMP_DIGITS$}")
}

/// Deadline and value. What somebody else wrote under our key is no value.
fn split(stored: &[u8]) -> Option<(i64, &[u8])> {
    let (deadline, value) = stored.split_at_checked(STAMP_DIGITS)?;
    Some((std::str::from_utf8(deadline).ok()?.parse().ok()?, value))
}

/// A counter as it is stored.
fn count(stored: Value) -> Result<Count, CacheError> {
    let stored = bytes(stored).ok_or(CacheError::NotACounter)?;
    let (deadline, value) = split(&stored).ok_or(CacheError::NotACounter)?;
    let value = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    Ok(Count { value: value.ok_or(CacheError::NotACounter)?, deadline: time(deadline) })
}

/// The bytes of an answer, where an empty one is something other than none.
fn bytes(answer: Value) -> Option<Bytes> {
    match answer {
        Value::Null => None,
        answer => answer.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_value_splits_into_deadline_and_bytes() {
        let stored = [digits(1_700_000_000_000_123).as_bytes(), b"\0value"].concat();
        assert_eq!(split(&stored), Some((1_700_000_000_000_123, b"\0value".as_slice())));
        assert_eq!(split(digits(i64::MAX).as_bytes()), Some((i64::MAX, b"".as_slice())));
        assert_eq!(split(b"short"), None);
        assert_eq!(split(b"something that is not ours at all"), None);
    }

    #[test]
    fn a_script_is_known_by_its_sha1() {
        assert_eq!(Script::new("return ARGV[1]").digest, "098e0f0d1448c0a81dafe820f66d460eb09263da");
    }
}
