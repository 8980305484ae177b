//! How a revocation reaches the other nodes: soon while Redis is well (V4), and in time when it loses everything (V1).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::proto::v1;
use parking_lot::Mutex;

use super::{newcomer, refused_after};
use crate::harness::{Backend, OwnRedis, TestApp, bearer, figure, has_services};

/// Within which a revocation counts on every node: the default of `revocation.bound`.
const BOUND: Duration = Duration::from_secs(5);

async fn revoke(app: &TestApp, token: &str) {
    let request = v1::RevokeRequest { token: token.to_owned(), ..Default::default() };
    app.node().tokens().revoke(bearer(request, &app.api_key)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v4_a_revocation_counts_here_at_once_and_elsewhere_soon() {
    if !has_services() {
        return;
    }
    let app = TestApp::cluster(Backend::Shared, 3, &[]).await;
    let count = figure(1_000, 200);
    let mut took = Vec::new();
    for _ in 0..count {
        let person = newcomer(&app).await;
        revoke(&app, &person.access_token).await;
        let (here, second, third) = tokio::join!(
            app.is_active_on(0, &person.access_token),
            refused_after(&app, 1, &person.access_token),
            refused_after(&app, 2, &person.access_token),
        );
        assert!(!here);
        took.extend([second, third]);
    }
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    eprintln!("V4: {count} revocations, elsewhere after p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
    assert!(at(100) < BOUND);
    if std::env::var_os("COUNTERSIGN_TEST_FULL").is_some() {
        assert!(at(99) <= Duration::from_millis(50));
    }
    app.stop().await;
}

/// What was taken back so far, and what came of asking for it.
#[derive(Default)]
struct Watch {
    revoked: Mutex<Vec<(String, Instant)>>,
    done: AtomicBool,
    asked: AtomicUsize,
    accepted: AtomicUsize,
}

impl Watch {
    /// Asks one node about everything that was taken back, until told to stop.
    async fn ask(&self, app: &TestApp, node: usize) {
        let mut refused = HashSet::new();
        while !self.done.load(Ordering::SeqCst) {
            let revoked = self.revoked.lock().clone();
            for (token, since) in revoked {
                let late = since.elapsed() > BOUND;
                let active = app.is_active_on(node, &token).await;
                self.asked.fetch_add(1, Ordering::SeqCst);
                // The first node acknowledged it; the others may take their time, once.
                if active && (node == 0 || late || refused.contains(&token)) {
                    self.accepted.fetch_add(1, Ordering::SeqCst);
                }
                if !active {
                    refused.insert(token);
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v1_an_emptied_redis_brings_nothing_back() {
    if !has_services() {
        return;
    }
    let Some(redis) = OwnRedis::start().await else { return };
    let app = TestApp::cluster(Backend::Shared, 3, &[("cache.url", &redis.url())]).await;
    let (flushes, each) = (figure(50, 6), 10);
    let watch = Watch::default();
    let take_back = async {
        for _ in 0..flushes {
            for number in 0..each {
                let person = newcomer(&app).await;
                // Now and then it is emptied between the writing and the reading of an announcement.
                if number % 4 == 0 {
                    redis.tell("FLUSHALL");
                }
                revoke(&app, &person.access_token).await;
                watch.revoked.lock().push((person.access_token, Instant::now()));
            }
            redis.tell("FLUSHALL");
        }
        let revoked = watch.revoked.lock().clone();
        for (token, _) in &revoked {
            tokio::join!(refused_after(&app, 1, token), refused_after(&app, 2, token));
        }
        redis.tell("FLUSHALL");
        let asked = watch.asked.load(Ordering::SeqCst);
        while watch.asked.load(Ordering::SeqCst) < asked + revoked.len() * 6 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        watch.done.store(true, Ordering::SeqCst);
    };
    tokio::join!(take_back, watch.ask(&app, 0), watch.ask(&app, 1), watch.ask(&app, 2));
    let (asked, accepted) = (watch.asked.into_inner(), watch.accepted.into_inner());
    eprintln!("V1: {flushes} rounds of FLUSHALL under load, {asked} answers about revoked tokens, {accepted} accepted");
    assert_eq!(accepted, 0);
    app.stop().await;
}
