//! The cache's promises, held against both backends. What only Redis can do, being away, is in [`away`].
//!
//! Redis is the one in `COUNTERSIGN_TEST_REDIS_URL`. Without it that half is skipped with a line that says so, but fails
//! where `CI` is set.

mod away;
mod failover;
mod secured;
mod tally;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use countersign::cache::{Cache, CacheError, Count, Signal, Subscription};
use countersign::clock::Clock;
use countersign::random::Random;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// As by default.
const PATIENCE: Duration = Duration::from_millis(50);

/// A cache under a clock that the test moves.
struct Fixture {
    cache: Cache,
    clock: Clock,
    url: String,
    prefix: String,
}

impl Fixture {
    async fn memory() -> Option<Self> {
        Some(Self::connect("memory:").await)
    }

    async fn redis() -> Option<Self> {
        if let Ok(url) = std::env::var("COUNTERSIGN_TEST_REDIS_URL") {
            return Some(Self::connect(&url).await);
        }
        assert!(std::env::var_os("CI").is_none(), "COUNTERSIGN_TEST_REDIS_URL must name a Redis where CI is set");
        eprintln!("skipped: COUNTERSIGN_TEST_REDIS_URL names no Redis");
        None
    }

    async fn connect(url: &str) -> Self {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let prefix = prefix();
        let cache = Cache::connect(url, "", &prefix, PATIENCE, clock.clone()).await.unwrap();
        Self { cache, clock, url: url.to_owned(), prefix }
    }

    fn after(&self, seconds: i64) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::seconds(seconds)
    }

    /// The same with more patience: what is tested is not how quickly a busy machine answers.
    async fn patient(self) -> Self {
        let patience = Duration::from_secs(5);
        let cache = Cache::connect(&self.url, "", &self.prefix, patience, self.clock.clone()).await.unwrap();
        Self { cache, ..self }
    }

    async fn subscribe(&self, topic: &str) -> Subscription {
        let mut subscription = self.cache.subscribe(topic);
        timeout(Duration::from_secs(5), subscription.ready()).await.unwrap();
        subscription
    }
}

/// A name space of its own, so that tests share a Redis without meeting.
fn prefix() -> String {
    format!("test-{}", Random.id(DateTime::UNIX_EPOCH).simple())
}

async fn next(subscription: &mut Subscription) -> Signal {
    timeout(Duration::from_secs(10), subscription.next()).await.expect("a signal within ten seconds")
}

fn message(text: &str) -> Signal {
    Signal::Message(text.as_bytes().to_vec())
}

/// Makes each contract a test on both backends, and all together a test on Redis with Sentinels and one on a cluster.
macro_rules! on_both_backends {
    ($($contract:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $contract() {
                if let Some(fixture) = super::Fixture::memory().await { super::$contract(fixture).await }
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $contract() {
                if let Some(fixture) = super::Fixture::redis().await { super::$contract(fixture).await }
            })*

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn all_hold_behind_sentinels() {
                let Some(servers) = $crate::harness::OwnSentinel::start().await else { return };
                $(super::$contract(super::Fixture::connect(&servers.url()).await).await;)*
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn all_hold_in_a_cluster() {
                let Some(servers) = $crate::harness::OwnCluster::start().await else { return };
                $(super::$contract(super::Fixture::connect(&servers.url()).await).await;)*
            }
        }
    };
}

use on_both_backends;

on_both_backends!(
    a_value_is_there_until_its_deadline,
    a_value_past_its_deadline_is_absent_for_every_operation,
    any_bytes_come_back_as_they_were,
    put_replaces_and_delete_removes,
    put_if_absent_tells_what_is_there,
    one_of_many_puts_if_absent_wins,
    one_of_many_takes_wins,
    concurrent_counts_are_exact,
    a_window_keeps_its_deadline,
    a_counter_reads_as_digits_and_a_value_is_no_counter,
    two_installations_do_not_meet,
    messages_arrive_in_order_at_every_subscriber,
    a_subscription_begins_where_it_was_made,
    commands_come_from_any_runtime,
    closing_ends_waiting_quietly,
);

async fn a_value_is_there_until_its_deadline(fixture: Fixture) {
    let Fixture { cache, clock, .. } = &fixture;
    assert_eq!(cache.get("key").await, Ok(None));
    cache.put("key", b"value", fixture.after(3_600)).await.unwrap();
    clock.advance(TimeDelta::seconds(3_600) - TimeDelta::microseconds(1));
    assert_eq!(cache.get("key").await, Ok(Some(b"value".to_vec())));
    clock.advance(TimeDelta::microseconds(1));
    assert_eq!(cache.get("key").await, Ok(None));
    cache.ping().await.unwrap();
}

async fn a_value_past_its_deadline_is_absent_for_every_operation(fixture: Fixture) {
    let Fixture { cache, clock, .. } = &fixture;
    for key in ["take", "put", "count"] {
        cache.put(key, b"7", fixture.after(60)).await.unwrap();
    }
    clock.advance(TimeDelta::seconds(60));
    let deadline = fixture.after(60);
    assert_eq!(cache.take("take").await, Ok(None));
    assert_eq!(cache.put_if_absent("put", b"new", deadline).await, Ok(None));
    assert_eq!(cache.get("put").await, Ok(Some(b"new".to_vec())));
    assert_eq!(cache.increment("count", deadline).await, Ok(Count { value: 1, deadline }));

    let now = clock.now();
    cache.put("dead", b"on arrival", now).await.unwrap();
    assert_eq!(cache.get("dead").await, Ok(None));
    assert_eq!(cache.put_if_absent("dead", b"", now).await, Ok(None));
    assert_eq!(cache.put_if_absent("dead", b"", now).await, Ok(None));
    assert_eq!(cache.increment("dead", now).await, Ok(Count { value: 1, deadline: now }));
    assert_eq!(cache.increment("dead", now).await, Ok(Count { value: 1, deadline: now }));
}

async fn any_bytes_come_back_as_they_were(fixture: Fixture) {
    let cache = &fixture.cache;
    let all: Vec<u8> = (0..=255).collect();
    for value in [&all[..], b"", b"\0", b"\r\n$-1\r\n", "سلام".as_bytes()] {
        let deadline = fixture.after(60);
        cache.delete("key").await.unwrap();
        assert_eq!(cache.put_if_absent("key", value, deadline).await, Ok(None));
        assert_eq!(cache.put_if_absent("key", b"other", deadline).await, Ok(Some(value.to_vec())));
        assert_eq!(cache.get("key").await, Ok(Some(value.to_vec())));
        assert_eq!(cache.take("key").await, Ok(Some(value.to_vec())));
        cache.put("key", value, deadline).await.unwrap();
        assert_eq!(cache.take("key").await, Ok(Some(value.to_vec())));
    }
    let mut subscription = fixture.subscribe("bytes").await;
    cache.publish("bytes", &all).await.unwrap();
    cache.publish("bytes", b"").await.unwrap();
    assert_eq!(next(&mut subscription).await, Signal::Message(all));
    assert_eq!(next(&mut subscription).await, message(""));
}

async fn put_replaces_and_delete_removes(fixture: Fixture) {
    let Fixture { cache, clock, .. } = &fixture;
    cache.put("{tag}:key", b"first", fixture.after(1)).await.unwrap();
    cache.put("{tag}:key", b"second", fixture.after(60)).await.unwrap();
    clock.advance(TimeDelta::seconds(2));
    assert_eq!(cache.get("{tag}:key").await, Ok(Some(b"second".to_vec())));
    cache.delete("{tag}:key").await.unwrap();
    cache.delete("{tag}:key").await.unwrap();
    assert_eq!(cache.get("{tag}:key").await, Ok(None));
}

async fn put_if_absent_tells_what_is_there(fixture: Fixture) {
    let Fixture { cache, clock, .. } = &fixture;
    assert_eq!(cache.put_if_absent("key", b"first", fixture.after(60)).await, Ok(None));
    assert_eq!(cache.put_if_absent("key", b"second", fixture.after(600)).await, Ok(Some(b"first".to_vec())));
    clock.advance(TimeDelta::seconds(60));
    assert_eq!(cache.get("key").await, Ok(None), "a refused put must not move the deadline");
}

async fn one_of_many_puts_if_absent_wins(fixture: Fixture) {
    let deadline = fixture.after(60);
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let cache = fixture.cache.clone();
        tasks.spawn(async move { (n, cache.put_if_absent("key", n.to_string().as_bytes(), deadline).await.unwrap()) });
    }
    let (winners, losers): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(|(_, was)| was.is_none());
    assert_eq!(winners.len(), 1);
    let winner = winners[0].0.to_string().into_bytes();
    assert!(losers.iter().all(|(_, was)| was.as_ref() == Some(&winner)));
    assert_eq!(fixture.cache.get("key").await, Ok(Some(winner)));
}

async fn one_of_many_takes_wins(fixture: Fixture) {
    fixture.cache.put("key", b"value", fixture.after(60)).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let cache = fixture.cache.clone();
        tasks.spawn(async move { cache.take("key").await.unwrap() });
    }
    let taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken, [b"value".to_vec()]);
}

async fn concurrent_counts_are_exact(fixture: Fixture) {
    let fixture = fixture.patient().await;
    let deadline = fixture.after(60);
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let cache = fixture.cache.clone();
        tasks.spawn(async move { cache.increment("key", deadline).await.unwrap() });
    }
    let counts = tasks.join_all().await;
    assert!(counts.iter().all(|count| count.deadline == deadline));
    let values: HashSet<u64> = counts.iter().map(|count| count.value).collect();
    assert_eq!(values, (1..=1_000).collect(), "each count is told to exactly one caller");
}

async fn a_window_keeps_its_deadline(fixture: Fixture) {
    let Fixture { cache, clock, .. } = &fixture;
    let first = fixture.after(60);
    assert_eq!(cache.increment("key", first).await, Ok(Count { value: 1, deadline: first }));
    clock.advance(TimeDelta::seconds(30));
    assert_eq!(cache.increment("key", fixture.after(60)).await, Ok(Count { value: 2, deadline: first }));
    clock.advance(TimeDelta::seconds(30));
    let second = fixture.after(60);
    assert_eq!(cache.increment("key", second).await, Ok(Count { value: 1, deadline: second }));
}

async fn a_counter_reads_as_digits_and_a_value_is_no_counter(fixture: Fixture) {
    let cache = &fixture.cache;
    for _ in 0..12 {
        cache.increment("count", fixture.after(60)).await.unwrap();
    }
    assert_eq!(cache.get("count").await, Ok(Some(b"12".to_vec())));
    cache.put("value", b"text", fixture.after(60)).await.unwrap();
    assert_eq!(cache.increment("value", fixture.after(60)).await, Err(CacheError::NotACounter));
    assert_eq!(cache.get("value").await, Ok(Some(b"text".to_vec())));
}

async fn two_installations_do_not_meet(fixture: Fixture) {
    let other = Fixture::connect(&fixture.url).await;
    let (mut here, mut there) = (fixture.subscribe("topic").await, other.subscribe("topic").await);
    fixture.cache.put("key", b"here", fixture.after(60)).await.unwrap();
    assert_eq!(other.cache.take("key").await, Ok(None));
    other.cache.put("key", b"there", other.after(60)).await.unwrap();
    assert_eq!(fixture.cache.get("key").await, Ok(Some(b"here".to_vec())));
    fixture.cache.publish("topic", b"here").await.unwrap();
    other.cache.publish("topic", b"there").await.unwrap();
    assert_eq!(next(&mut here).await, message("here"));
    assert_eq!(next(&mut there).await, message("there"));
}

async fn messages_arrive_in_order_at_every_subscriber(fixture: Fixture) {
    let (mut one, mut two) = (fixture.subscribe("topic").await, fixture.subscribe("topic").await);
    let mut other = fixture.subscribe("other").await;
    for n in 0..1_000 {
        fixture.cache.publish("topic", n.to_string().as_bytes()).await.unwrap();
    }
    fixture.cache.publish("other", b"only this").await.unwrap();
    for n in 0..1_000 {
        assert_eq!(next(&mut one).await, message(&n.to_string()));
        assert_eq!(next(&mut two).await, message(&n.to_string()));
    }
    assert_eq!(next(&mut other).await, message("only this"));
}

async fn a_subscription_begins_where_it_was_made(fixture: Fixture) {
    let early = fixture.subscribe("topic").await;
    fixture.cache.publish("topic", b"before").await.unwrap();
    let mut late = fixture.subscribe("topic").await;
    drop(early);
    fixture.cache.publish("topic", b"after").await.unwrap();
    assert_eq!(next(&mut late).await, message("after"));
}

async fn commands_come_from_any_runtime(fixture: Fixture) {
    let deadline = fixture.after(60);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cache = fixture.cache.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut subscription = cache.subscribe("topic");
                    timeout(Duration::from_secs(5), subscription.ready()).await.unwrap();
                    for _ in 0..50 {
                        cache.increment("key", deadline).await.unwrap();
                        cache.get("key").await.unwrap();
                    }
                    cache.publish("topic", b"from another runtime").await.unwrap();
                    assert_eq!(next(&mut subscription).await, message("from another runtime"));
                });
            })
        })
        .collect();
    tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| thread.join().unwrap())).await.unwrap();
    assert_eq!(fixture.cache.get("key").await, Ok(Some(b"200".to_vec())), "the runtimes are gone, the cache is not");
}

async fn closing_ends_waiting_quietly(fixture: Fixture) {
    let mut subscription = fixture.subscribe("topic").await;
    let began = Instant::now();
    fixture.cache.close().await;
    assert!(began.elapsed() < Duration::from_millis(500));
    timeout(Duration::from_secs(1), subscription.ready()).await.unwrap();
    assert!(timeout(Duration::from_millis(50), subscription.next()).await.is_err());
    if matches!(fixture.cache, Cache::Redis(_)) {
        assert_eq!(fixture.cache.get("key").await, Err(CacheError::Unavailable("not connected".into())));
    }
}
