//! What the cache promises while another Redis takes the place of one that fell: behind Sentinels and in a cluster. Each test
//! runs servers of its own.

use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use countersign::cache::{CacheError, Signal, Subscription};
use tokio::time::sleep;

use super::{Fixture, message, next};
use crate::harness::{Fall, OwnCluster, OwnSentinel};

/// How long any operation may take on a machine that runs many tests at once: it has 50 ms to be answered.
const AT_MOST: Duration = Duration::from_secs(1);

impl Fixture {
    /// Asks in every way. Each question is answered soon, well or not.
    async fn all_work(&self, key: &str) -> bool {
        let counters = [self.up("one", 1_000_000), self.up("two", 1_000_000)];
        let began = Instant::now();
        let (got, counted, tallied, published) = tokio::join!(
            self.cache.get(key),
            self.cache.increment("{other}:count", self.after(60)),
            self.cache.count_all(&counters),
            self.cache.publish("topic", b"meanwhile"),
        );
        let took = began.elapsed();
        assert!(took < AT_MOST, "answered after {took:?}");
        let errors = [got.err(), counted.err(), tallied.err(), published.err()];
        let errors: Vec<_> = errors.into_iter().flatten().collect();
        assert!(errors.iter().all(|error| matches!(error, CacheError::Unavailable(_))), "{errors:?}");
        errors.is_empty()
    }

    /// Asks while something comes about, and then until everything works. Tells how long each took.
    async fn used_again(&self, comes_about: impl Future<Output = ()>) -> (Duration, Duration) {
        let (began, came) = (Instant::now(), AtomicBool::new(false));
        let comes = async {
            comes_about.await;
            came.store(true, Ordering::SeqCst);
            began.elapsed()
        };
        let asking = async {
            while !(self.all_work("key").await && came.load(Ordering::SeqCst)) {
                assert!(began.elapsed() < Duration::from_secs(30), "nothing works after {:?}", began.elapsed());
                sleep(Duration::from_millis(10)).await;
            }
            began.elapsed()
        };
        let (came, works) = tokio::join!(comes, asking);
        (came, works.saturating_sub(came))
    }
}

/// Waits for a gap, and then for a message that is published until it comes: what was published before may be lost.
async fn goes_on(fixture: &Fixture, subscription: &mut Subscription) {
    while next(subscription).await != Signal::Gap {}
    // Whoever made way cuts its connections only now, perhaps.
    while fixture.cache.publish("topic", b"last").await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    while next(subscription).await != message("last") {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_falls_is_replaced_by_sentinels() {
    let Some(mut servers) = OwnSentinel::start().await else { return };
    let fixture = Fixture::connect(&servers.url()).await;
    for how in [Fall::Killed, Fall::Hung, Fall::Demoted] {
        let mut subscription = fixture.subscribe("topic").await;
        fixture.cache.publish("topic", b"before").await.unwrap();
        assert_eq!(next(&mut subscription).await, message("before"));
        let fallen = servers.fall(how);
        let (replaced, again) = fixture.used_again(servers.replaced(fallen)).await;
        eprintln!("a master {how:?}: replaced after {replaced:?}, and used {again:?} later");
        assert!(again < Duration::from_secs(2), "{again:?}");
        goes_on(&fixture, &mut subscription).await;
        servers.restore(fallen).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_no_master_any_more_is_left() {
    let Some(servers) = OwnSentinel::start().await else { return };
    let fixture = Fixture::connect(&servers.url()).await;
    let mut subscription = fixture.subscribe("topic").await;
    // It keeps its connections and answers questions, but takes nothing in: as a replica, or because nobody follows it.
    let master = servers.master();
    let turns = [
        ("READONLY", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("NOREPLICAS", "CONFIG SET min-replicas-to-write 9", "CONFIG SET min-replicas-to-write 0"),
    ];
    for (told, turn, back) in turns {
        master.tell(turn);
        let refused = fixture.cache.put("key", b"value", fixture.after(60)).await.unwrap_err();
        assert_eq!(refused, CacheError::Unavailable(format!("Redis answered {told}").into()));
        let left = CacheError::Unavailable("not connected".into());
        let asked = Instant::now();
        while fixture.cache.get("key").await != Err(left.clone()) {
            assert!(asked.elapsed() < Duration::from_secs(5), "it is asked as before after {told}");
            fixture.cache.put("key", b"value", fixture.after(60)).await.unwrap_err();
        }
        master.tell(back);
        fixture.used_again(ready(())).await;
        while next(&mut subscription).await != message("meanwhile") {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_falls_is_replaced_in_a_cluster() {
    for hangs in [false, true] {
        let Some(mut servers) = OwnCluster::start().await else { return };
        let fixture = Fixture::connect(&servers.url()).await;
        let mut subscription = fixture.subscribe("topic").await;
        fixture.cache.publish("topic", b"before").await.unwrap();
        assert_eq!(next(&mut subscription).await, message("before"));
        // The one that has the topic.
        let (_, fallen) = servers.owner(&format!("{}:topic:topic", fixture.prefix));
        if hangs {
            servers.server(fallen).signal("-STOP");
        } else {
            servers.server(fallen).stop();
        }
        let (replaced, again) = fixture.used_again(servers.replaced(fallen)).await;
        let how = if hangs { "hung" } else { "killed" };
        eprintln!("a cluster's master {how}: replaced after {replaced:?}, and used {again:?} later");
        assert!(again < Duration::from_secs(3), "{again:?}");
        goes_on(&fixture, &mut subscription).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_is_followed() {
    let Some(servers) = OwnCluster::start().await else { return };
    let fixture = Fixture::connect(&servers.url()).await;
    let key = format!("{}:{{moving}}:here", fixture.prefix);
    fixture.cache.put("{moving}:here", b"value", fixture.after(60)).await.unwrap();
    let (slot, from) = servers.owner(&key);
    let to = (from + 1) % 3;

    servers.begin_to_move(slot, from, to);
    // What is there is found there. What would be elsewhere is refused, and the line stays.
    assert_eq!(fixture.cache.get("{moving}:here").await, Ok(Some(b"value".to_vec())));
    for _ in 0..20 {
        fixture.cache.get("{moving}:elsewhere").await.unwrap_err();
        fixture.cache.put("other", b"", fixture.after(60)).await.unwrap();
    }
    servers.end_to_move(slot, from, to, &[&key]);
    // The first question after the move learns of it, and is answered all the same.
    assert_eq!(fixture.cache.get("{moving}:here").await, Ok(Some(b"value".to_vec())));
    assert_eq!(fixture.cache.get("{moving}:elsewhere").await, Ok(None));

    servers.begin_to_move(slot, to, from);
    servers.end_to_move(slot, to, from, &[&key]);
    let counted = fixture.cache.increment("{moving}:count", fixture.after(60)).await;
    assert_eq!(counted.map(|count| count.value), Ok(1));
}
