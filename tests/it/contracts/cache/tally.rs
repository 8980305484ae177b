//! What the cache promises of counters that are counted together.

use chrono::TimeDelta;
use countersign::cache::{CacheError, Count, Counter, Relief, Tally};
use tokio::task::JoinSet;

use super::{Fixture, on_both_backends};

on_both_backends!(
    all_are_counted_or_none,
    of_many_at_once_exactly_as_many_as_there_is_room_for,
    a_window_is_kept_or_renewed,
    what_is_taken_away_leaves_nothing_below_zero,
    a_value_waives_a_limit,
    a_counter_raises_a_limit,
    two_that_share_counters_never_wait_for_each_other,
    a_value_that_is_no_counter_is_left_alone,
);

fn key(name: &str) -> String {
    format!("{{tag}}:{name}")
}

impl Fixture {
    pub(super) fn up(&self, name: &str, limit: u64) -> Counter {
        Counter::up(key(name), limit, self.after(60))
    }

    /// How far a counter has counted; 0 where there is none.
    async fn stands(&self, name: &str) -> u64 {
        let value = self.cache.get(&key(name)).await.unwrap();
        value.map_or(0, |digits| String::from_utf8(digits).unwrap().parse().unwrap())
    }

    async fn counts(&self, counters: &[Counter]) -> Vec<u64> {
        match self.cache.count_all(counters).await.unwrap() {
            Tally::Counted(counts) => counts.iter().map(|count| count.value).collect(),
            Tally::Full { at, .. } => panic!("the counter at {at} is full"),
        }
    }

    async fn full(&self, counters: &[Counter]) -> (usize, Count) {
        match self.cache.count_all(counters).await.unwrap() {
            Tally::Counted(counts) => panic!("counted: {counts:?}"),
            Tally::Full { at, count } => (at, count),
        }
    }
}

async fn all_are_counted_or_none(fixture: Fixture) {
    let counters = [fixture.up("wide", 10), fixture.up("narrow", 2), fixture.up("dear", 7).by(3)];
    assert_eq!(fixture.counts(&counters).await, [1, 1, 3]);
    assert_eq!(fixture.counts(&counters).await, [2, 2, 6]);
    let end = fixture.after(60);
    assert_eq!(fixture.full(&counters).await, (1, Count { value: 2, deadline: end }));
    assert_eq!(fixture.full(&counters[2..]).await, (0, Count { value: 6, deadline: end }));
    assert_eq!((fixture.stands("wide").await, fixture.stands("narrow").await, fixture.stands("dear").await), (2, 2, 6));
    // What has never been counted and never can be leaves nothing.
    assert_eq!(fixture.full(&[fixture.up("new", 2).by(3)]).await, (0, Count { value: 0, deadline: end }));
    assert_eq!(fixture.cache.get(&key("new")).await, Ok(None));
}

async fn of_many_at_once_exactly_as_many_as_there_is_room_for(fixture: Fixture) {
    let fixture = fixture.patient().await;
    let mut tasks = JoinSet::new();
    for n in 0..1_000 {
        let cache = fixture.cache.clone();
        let counters = [fixture.up(&format!("own {}", n % 10), 1_000), fixture.up("all", 100)];
        tasks.spawn(async move { cache.count_all(&counters).await.unwrap() });
    }
    let tallies = tasks.join_all().await;
    let counted = tallies.iter().filter(|tally| matches!(tally, Tally::Counted(_))).count();
    let mut own = 0;
    for n in 0..10 {
        own += fixture.stands(&format!("own {n}")).await;
    }
    assert_eq!((counted, fixture.stands("all").await, own), (100, 100, 100));
}

async fn a_window_is_kept_or_renewed(fixture: Fixture) {
    let counters = || [fixture.up("kept", 9), fixture.up("renewed", 9).renewing()];
    fixture.counts(&counters()).await;
    fixture.clock.advance(TimeDelta::seconds(40));
    let (first, second) = (fixture.after(20), fixture.after(60));
    let expected = vec![Count { value: 2, deadline: first }, Count { value: 2, deadline: second }];
    assert_eq!(fixture.cache.count_all(&counters()).await, Ok(Tally::Counted(expected)));
    fixture.clock.advance(TimeDelta::seconds(20));
    assert_eq!(fixture.counts(&counters()).await, [1, 3]);
}

async fn what_is_taken_away_leaves_nothing_below_zero(fixture: Fixture) {
    let end = fixture.after(60);
    let back = [Counter::back(key("count"), end), Counter::clear(key("other"), end)];
    assert_eq!(fixture.counts(&back).await, [0, 0]);
    assert_eq!(fixture.cache.get(&key("count")).await, Ok(None), "what is not there is not made");
    let up = [fixture.up("count", 2), fixture.up("other", 2)];
    fixture.counts(&up).await;
    fixture.counts(&up).await;
    assert_eq!(fixture.counts(&back).await, [1, 0]);
    assert_eq!(fixture.counts(&up).await, [2, 1]);
    fixture.counts(&back).await;
    fixture.counts(&back).await;
    assert_eq!(fixture.counts(&back).await, [0, 0]);
    // Taking away needs no room.
    assert_eq!(fixture.counts(&[Counter::endless(key("count"), end).by(1 << 52)]).await, [1 << 52]);
    assert_eq!(fixture.counts(&[Counter::back(key("count"), end)]).await, [(1 << 52) - 1]);
}

async fn a_value_waives_a_limit(fixture: Fixture) {
    let waived = [fixture.up("count", 1).relieved(Relief::Waived { by: key("known") }), fixture.up("other", 9)];
    assert_eq!(fixture.counts(&waived).await, [1, 1]);
    assert_eq!(fixture.full(&waived).await.0, 0);
    fixture.cache.put(&key("known"), b"any text", fixture.after(30)).await.unwrap();
    assert_eq!(fixture.counts(&waived).await, [1, 2], "neither judged nor counted");
    fixture.clock.advance(TimeDelta::seconds(30));
    assert_eq!(fixture.full(&waived).await.0, 0);
}

async fn a_counter_raises_a_limit(fixture: Fixture) {
    let raised = [fixture.up("count", 2).relieved(Relief::Earned { by: key("used"), each: 3 })];
    fixture.counts(&raised).await;
    fixture.counts(&raised).await;
    assert_eq!(fixture.full(&raised).await.0, 0);
    fixture.counts(&[fixture.up("used", 9)]).await;
    assert_eq!(fixture.counts(&raised).await, [3]);
    assert_eq!(fixture.full(&raised).await.0, 0);
    fixture.counts(&[fixture.up("used", 9)]).await;
    for count in 4..=6 {
        assert_eq!(fixture.counts(&raised).await, [count]);
    }
    assert_eq!(fixture.full(&raised).await.1.value, 6);
}

async fn two_that_share_counters_never_wait_for_each_other(fixture: Fixture) {
    let fixture = fixture.patient().await;
    let names: Vec<_> = (0..20).map(|n| format!("count {n}")).collect();
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let cache = fixture.cache.clone();
        let mut counters: Vec<_> = names.iter().map(|name| fixture.up(name, 1_000)).collect();
        counters.rotate_left(n % 20);
        if n % 2 == 0 {
            counters.reverse();
        }
        tasks.spawn(async move { cache.count_all(&counters).await.unwrap() });
    }
    tasks.join_all().await;
    for name in &names {
        assert_eq!(fixture.stands(name).await, 200, "{name}");
    }
}

async fn a_value_that_is_no_counter_is_left_alone(fixture: Fixture) {
    fixture.cache.put(&key("text"), b"text", fixture.after(60)).await.unwrap();
    let raised = fixture.up("count", 2).relieved(Relief::Earned { by: key("text"), each: 3 });
    for counters in [[fixture.up("other", 9), fixture.up("text", 9)], [fixture.up("other", 9), raised]] {
        assert_eq!(fixture.cache.count_all(&counters).await, Err(CacheError::NotACounter));
    }
    assert_eq!(fixture.cache.get(&key("text")).await, Ok(Some(b"text".to_vec())));
    assert_eq!(fixture.cache.get(&key("other")).await, Ok(None));
}
