//! What the cache promises while Redis is killed, frozen, emptied, locked or was never there. Each test runs a Redis of its
//! own, started here.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use countersign::cache::{Cache, CacheError, Signal};
use countersign::clock::Clock;
use tokio::time::sleep;

use super::{Fixture, message, next};
use crate::harness::OwnRedis;

/// Waits until commands go through again.
async fn serves_again(cache: &Cache) {
    for _ in 0..200 {
        if cache.ping().await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("not connected again within four seconds");
}

/// Every operation ends with an error, soon.
async fn fails_fast(fixture: &Fixture, limit: Duration) {
    let (cache, deadline) = (&fixture.cache, fixture.after(60));
    let began = Instant::now();
    let operations = tokio::join!(
        cache.ping(),
        cache.get("key"),
        cache.put("key", b"", deadline),
        cache.put_if_absent("key", b"", deadline),
        cache.take("key"),
        cache.increment("count", deadline),
        cache.delete("key"),
        cache.publish("topic", b""),
    );
    let took = began.elapsed();
    assert!(took < limit, "took {took:?}");
    assert!(matches!(operations.0, Err(CacheError::Unavailable(_))));
    assert!(operations.1.is_err() && operations.2.is_err() && operations.3.is_err() && operations.4.is_err());
    assert!(operations.5.is_err() && operations.6.is_err() && operations.7.is_err());
}

#[tokio::test]
async fn a_redis_that_is_killed_is_missed_briefly() {
    let Some(mut server) = OwnRedis::start().await else { return };
    let fixture = Fixture::connect(&server.url()).await;
    let mut subscription = fixture.subscribe("topic").await;
    fixture.cache.publish("topic", b"before").await.unwrap();
    assert_eq!(next(&mut subscription).await, message("before"));

    server.stop();
    fails_fast(&fixture, Duration::from_millis(500)).await;
    sleep(Duration::from_millis(300)).await;
    fails_fast(&fixture, Duration::from_millis(40)).await;

    server.start_again().await;
    serves_again(&fixture.cache).await;
    assert_eq!(next(&mut subscription).await, Signal::Gap);
    fixture.cache.publish("topic", b"after").await.unwrap();
    assert_eq!(next(&mut subscription).await, message("after"));
    assert_eq!(fixture.cache.increment("count", fixture.after(60)).await.map(|count| count.value), Ok(1));
}

#[tokio::test]
async fn a_redis_that_hangs_is_given_up_under_load() {
    let Some(server) = OwnRedis::start().await else { return };
    let fixture = Fixture::connect(&server.url()).await;
    let mut subscription = fixture.subscribe("topic").await;

    server.signal("-STOP");
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(3) {
        let each = Instant::now();
        assert!(fixture.cache.get("key").await.is_err());
        slowest = slowest.max(each.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    assert!(slowest < Duration::from_millis(200), "the slowest took {slowest:?}");
    fails_fast(&fixture, Duration::from_millis(40)).await;

    server.signal("-CONT");
    serves_again(&fixture.cache).await;
    assert_eq!(next(&mut subscription).await, Signal::Gap);
    fixture.cache.publish("topic", b"after").await.unwrap();
    assert_eq!(next(&mut subscription).await, message("after"));
}

#[tokio::test]
async fn an_emptied_redis_is_noticed() {
    let Some(server) = OwnRedis::start().await else { return };
    let fixture = Fixture::connect(&server.url()).await;
    let mut subscription = fixture.subscribe("topic").await;
    fixture.cache.publish("topic", b"before").await.unwrap();
    assert_eq!(next(&mut subscription).await, message("before"));

    // Nothing is published: the loss is noticed all the same.
    server.tell("FLUSHALL");
    assert_eq!(next(&mut subscription).await, Signal::Gap);
    fixture.cache.publish("topic", b"between").await.unwrap();
    assert_eq!(next(&mut subscription).await, message("between"));

    // Something is published at once.
    server.tell("FLUSHALL");
    fixture.cache.publish("topic", b"after").await.unwrap();
    assert_eq!(next(&mut subscription).await, Signal::Gap);
    fixture.cache.publish("topic", b"last").await.unwrap();
    loop {
        match next(&mut subscription).await {
            Signal::Message(text) if text == b"last" => break,
            signal => assert_eq!(signal, message("after")),
        }
    }

    // Both first messages may get the same number within a millisecond. They are told apart all the same. What came right after
    // the loss may belong to what is missing; what comes after it was told does not.
    for round in 0..5 {
        for first in ["one", "other"] {
            server.tell("FLUSHALL");
            fixture.cache.publish("topic", first.as_bytes()).await.unwrap();
        }
        while next(&mut subscription).await != Signal::Gap {}
        fixture.cache.publish("topic", format!("later {round}").as_bytes()).await.unwrap();
        while next(&mut subscription).await != message(&format!("later {round}")) {}
    }

    // Scripts are gone as well.
    server.tell("SCRIPT FLUSH");
    assert_eq!(fixture.cache.put_if_absent("key", b"value", fixture.after(60)).await, Ok(None));
}

#[tokio::test]
async fn a_stream_trimmed_past_its_reader_is_noticed() {
    let Some(server) = OwnRedis::start().await else { return };
    let fixture = Fixture::connect(&server.url()).await;
    let mut subscription = fixture.subscribe("topic").await;
    // Nobody reads meanwhile: what fits between here and Redis is delivered, the rest is trimmed away.
    for n in 0..15_000 {
        fixture.cache.publish("topic", n.to_string().as_bytes()).await.unwrap();
    }
    let (mut expected, mut gaps) = (0, 0);
    while expected < 15_000 {
        match next(&mut subscription).await {
            Signal::Gap => gaps += 1,
            Signal::Message(text) => {
                let n: usize = String::from_utf8(text).unwrap().parse().unwrap();
                assert!(n == expected || (n > expected && gaps == 1), "{n} came instead of {expected}");
                expected = n + 1;
            }
        }
    }
    assert_eq!(gaps, 1);
}

#[tokio::test]
async fn an_unreachable_redis_is_told_in_one_sentence() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        format!("redis://user:hunter2@127.0.0.1:{port}"),
        format!("rediss://user:hunter2@127.0.0.1:{port}"),
        format!("redis-sentinel://user:hunter2@127.0.0.1:{port}?sentinelServiceName=main"),
        format!("redis-cluster://user:hunter2@127.0.0.1:{port}"),
        // An address where nobody ever answers (RFC 5737).
        "redis://user:hunter2@192.0.2.1:6379".to_owned(),
    ] {
        let began = Instant::now();
        let error = Cache::connect(&url, "", "prefix", super::PATIENCE, Clock::System).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(3), "{url} took {:?}", began.elapsed());
        assert!(matches!(error, CacheError::Unreachable { .. }), "{error:?}");
        let told = format!("{error} {error:?}");
        assert!(told.contains("cannot be reached") && !told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let Some(server) = OwnRedis::start().await else { return };
    server.tell("CONFIG SET requirepass correct");
    for url in [server.url(), server.url().replace("//", "//:hunter2@")] {
        let error = Cache::connect(&url, "", "prefix", super::PATIENCE, Clock::System).await.unwrap_err().to_string();
        assert!(error.contains("password") && !error.contains("hunter2"), "{error}");
    }
    assert!(
        Cache::connect(&server.url().replace("//", "//:correct@"), "", "prefix", super::PATIENCE, Clock::System)
            .await
            .is_ok()
    );
}
