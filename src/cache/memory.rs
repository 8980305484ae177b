//! The cache inside this process. Owns the map, its sweeping and its topics; leaves the promises to the module above.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{CacheError, Count, Counter, Relief, Signal, TOPIC_LENGTH, Tally, stamp, time};
use crate::clock::Clock;

/// Parts with a lock each, so that cores rarely meet and a sweep stops only a small part.
const SHARDS: usize = 64;
/// A part with fewer entries than this is not swept.
const SWEEP_FLOOR: usize = 64;

/// A cache inside this process. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    topics: Mutex<HashMap<String, broadcast::Sender<Vec<u8>>>>,
}

#[derive(Debug)]
struct Shard {
    entries: HashMap<String, Entry>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    deadline: i64,
}

impl MemoryCache {
    pub(super) fn new(clock: Clock) -> Self {
        let shard = || Mutex::new(Shard { entries: HashMap::new(), sweep_at: SWEEP_FLOOR });
        Self(Arc::new(Shared {
            clock,
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            topics: Mutex::default(),
        }))
    }

    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.within(key, |shard, now| shard.live(key, now).map(|entry| entry.value.clone()))
    }

    pub(super) fn put(&self, key: &str, value: &[u8], deadline: i64) {
        self.within(key, |shard, now| shard.insert(key, value.to_vec(), deadline, now));
    }

    pub(super) fn put_if_absent(&self, key: &str, value: &[u8], deadline: i64) -> Option<Vec<u8>> {
        self.within(key, |shard, now| {
            let there = shard.live(key, now).map(|entry| entry.value.clone());
            if there.is_none() {
                shard.insert(key, value.to_vec(), deadline, now);
            }
            there
        })
    }

    pub(super) fn take(&self, key: &str) -> Option<Vec<u8>> {
        self.within(key, |shard, now| {
            shard.entries.remove(key).filter(|entry| entry.deadline > now).map(|entry| entry.value)
        })
    }

    pub(super) fn increment(&self, key: &str, deadline: i64) -> Result<Count, CacheError> {
        self.within(key, |shard, now| {
            let Some(entry) = shard.live(key, now) else {
                shard.insert(key, b"1".to_vec(), deadline, now);
                return Ok(Count { value: 1, deadline: time(deadline) });
            };
            let value = entry.count()?.saturating_add(1);
            entry.value = value.to_string().into_bytes();
            Ok(Count { value, deadline: time(entry.deadline) })
        })
    }

    /// Holds every part that is concerned, locked in their order, so that two of these never wait for each other.
    pub(super) fn count_all(&self, counters: &[Counter]) -> Result<Tally, CacheError> {
        let reliefs = counters.iter().filter_map(|counter| counter.relief.key());
        let keys = counters.iter().map(|counter| counter.key.as_str()).chain(reliefs);
        let mut parts: Vec<_> = keys.map(|key| self.part(key)).collect();
        parts.sort_unstable();
        parts.dedup();
        let mut locked: Vec<_> = parts.iter().map(|part| (*part, self.0.shards[*part].lock())).collect();
        let now = stamp(self.0.clock.now());
        let mut changes = Vec::with_capacity(counters.len());
        for (at, counter) in counters.iter().enumerate() {
            let relief = match counter.relief.key() {
                Some(key) => part_of(&mut locked, self.part(key)).and_then(|shard| shard.live(key, now)),
                None => None,
            };
            let (limit, waived) = match &counter.relief {
                Relief::None => (counter.limit, false),
                Relief::Waived { .. } => (counter.limit, relief.is_some()),
                Relief::Earned { each, .. } => {
                    let earned = relief.map_or(Ok(0), |entry| entry.count())?.saturating_mul(u64::from(*each));
                    (counter.limit.max(earned), false)
                }
            };
            let kept = part_of(&mut locked, self.part(&counter.key)).and_then(|shard| shard.live(&counter.key, now));
            let (before, since) = match kept {
                Some(entry) => (entry.count()?, Some(entry.deadline)),
                None => (0, None),
            };
            let given = stamp(counter.deadline);
            let after = before.saturating_add_signed(counter.add);
            if waived || (counter.add < 0 && since.is_none()) {
                changes.push((None, Count { value: before, deadline: time(since.unwrap_or(given)) }));
            } else if counter.add > 0 && after > limit {
                return Ok(Tally::Full { at, count: Count { value: before, deadline: time(since.unwrap_or(given)) } });
            } else {
                let deadline = since.filter(|_| !counter.renews).unwrap_or(given);
                changes.push((Some((counter, deadline)), Count { value: after, deadline: time(deadline) }));
            }
        }
        for (change, count) in &changes {
            let Some((counter, deadline)) = change else { continue };
            if let Some(shard) = part_of(&mut locked, self.part(&counter.key)) {
                shard.insert(&counter.key, count.value.to_string().into_bytes(), *deadline, now);
            }
        }
        Ok(Tally::Counted(changes.into_iter().map(|(_, count)| count).collect()))
    }

    pub(super) fn delete(&self, key: &str) {
        self.within(key, |shard, _| shard.entries.remove(key));
    }

    pub(super) fn publish(&self, topic: &str, payload: &[u8]) {
        let mut topics = self.0.topics.lock();
        // A topic that nobody follows any more is forgotten.
        if topics.get(topic).is_some_and(|sender| sender.send(payload.to_vec()).is_err()) {
            topics.remove(topic);
        }
    }

    pub(super) fn subscribe(&self, topic: &str) -> Following {
        let mut topics = self.0.topics.lock();
        let sender = topics.entry(topic.to_owned()).or_insert_with(|| broadcast::Sender::new(TOPIC_LENGTH));
        Following(sender.subscribe())
    }

    pub(super) fn close(&self) {
        self.0.topics.lock().clear();
    }

    /// Runs one step under the lock of the key's part. The clock is read inside, so that steps on a key see time in order.
    fn within<T>(&self, key: &str, step: impl FnOnce(&mut Shard, i64) -> T) -> T {
        let mut shard = self.0.shards[self.part(key)].lock();
        step(&mut shard, stamp(self.0.clock.now()))
    }

    fn part(&self, key: &str) -> usize {
        let hash = self.0.hasher.hash_one(key);
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose the part")]
        let part = hash as usize % SHARDS;
        part
    }
}

/// One of the parts that are locked.
fn part_of<'a>(locked: &'a mut [(usize, MutexGuard<'_, Shard>)], part: usize) -> Option<&'a mut Shard> {
    let at = locked.binary_search_by_key(&part, |(part, _)| *part).ok()?;
    Some(&mut *locked[at].1)
}

impl Entry {
    fn count(&self) -> Result<u64, CacheError> {
        let digits = std::str::from_utf8(&self.value).ok();
        digits.and_then(|digits| digits.parse().ok()).ok_or(CacheError::NotACounter)
    }
}

impl Shard {
    fn live(&mut self, key: &str, now: i64) -> Option<&mut Entry> {
        self.entries.get_mut(key).filter(|entry| entry.deadline > now)
    }

    /// Inserts, and sweeps each time the part has doubled since the last sweep: a constant cost per insert, and never more
    /// than about twice the memory of what was live at once.
    fn insert(&mut self, key: &str, value: Vec<u8>, deadline: i64, now: i64) {
        self.entries.insert(key.to_owned(), Entry { value, deadline });
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| entry.deadline > now);
            self.sweep_at = (self.entries.len() * 2).max(SWEEP_FLOOR);
            self.entries.shrink_to(self.sweep_at);
        }
    }
}

/// A place in a topic of this process.
#[derive(Debug)]
pub(super) struct Following(broadcast::Receiver<Vec<u8>>);

impl Following {
    pub(super) async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Ok(payload) => Signal::Message(payload),
            Err(RecvError::Lagged(_)) => Signal::Gap,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn expired_entries_are_swept() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let cache = MemoryCache::new(clock.clone());
        for n in 0..100_000 {
            cache.put(&format!("key {n}"), b"value", stamp(clock.now() + TimeDelta::seconds(1)));
            clock.advance(TimeDelta::milliseconds(10));
        }
        let kept: usize = cache.0.shards.iter().map(|shard| shard.lock().entries.len()).sum();
        assert!(kept <= SHARDS * SWEEP_FLOOR, "100 values are live at a time, {kept} were kept");
    }

    #[tokio::test]
    async fn a_follower_that_lags_learns_of_it() {
        let cache = MemoryCache::new(Clock::manual(DateTime::UNIX_EPOCH));
        let mut following = cache.subscribe("topic");
        for n in 0..TOPIC_LENGTH * 2 {
            cache.publish("topic", n.to_string().as_bytes());
        }
        assert_eq!(following.next().await, Signal::Gap);
        assert!(matches!(following.next().await, Signal::Message(_)));
    }

    #[test]
    fn a_topic_without_followers_is_forgotten() {
        let cache = MemoryCache::new(Clock::manual(DateTime::UNIX_EPOCH));
        drop(cache.subscribe("topic"));
        cache.publish("topic", b"to nobody");
        assert!(cache.0.topics.lock().is_empty());
    }
}
