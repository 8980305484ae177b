//! Redis that loses everything, again and again (V1), or is replaced by one that never had it all (V2), under load: nothing
//! that was taken back comes back.

use super::vigil::Vigil;
use crate::harness::{Fall, OwnRedis, OwnSentinel, figure, has_services};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v1_an_emptied_redis_brings_nothing_back() {
    if !has_services() {
        return;
    }
    let Some(redis) = OwnRedis::start().await else { return };
    let vigil = Vigil::over(&[("cache.url", &redis.url())]).await;
    let (rounds, each) = (figure(50, 6), 10);
    let take_back = async {
        for _ in 0..rounds {
            for number in 0..each {
                // Now and then it is emptied between the writing and the reading of an announcement.
                if number % 4 == 0 {
                    redis.tell("FLUSHALL");
                }
                vigil.take_back().await;
            }
            redis.tell("FLUSHALL");
        }
    };
    vigil.during(Box::pin(take_back)).await.hold("V1", &format!("{rounds} rounds of FLUSHALL"));
    vigil.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v1_a_killed_redis_brings_nothing_back() {
    if !has_services() {
        return;
    }
    let Some(mut redis) = OwnRedis::start().await else { return };
    let vigil = Vigil::over(&[("cache.url", &redis.url())]).await;
    let rounds = figure(50, 4);
    let take_back = async {
        for _ in 0..rounds {
            vigil.take_back().await;
            redis.stop();
            for _ in 0..4 {
                vigil.take_back().await;
            }
            vigil.take_back_while(redis.start_again()).await;
        }
    };
    vigil.during(Box::pin(take_back)).await.hold("V1", &format!("killed {rounds} times"));
    vigil.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v1_an_evicting_redis_brings_nothing_back() {
    if !has_services() {
        return;
    }
    let Some(redis) = OwnRedis::start().await else { return };
    let vigil = Vigil::over(&[("cache.url", &redis.url())]).await;
    redis.tell("CONFIG SET maxmemory-policy allkeys-random");
    redis.tell("CONFIG SET maxmemory 3mb");
    let rounds = figure(500, 60);
    let take_back = async {
        for round in 0..rounds {
            // Others fill it, so that what is ours goes as well.
            for part in 0..8 {
                redis.tell(&format!("SETRANGE other:{}:{part} 100000 x", round % 64));
            }
            vigil.take_back().await;
        }
    };
    let figures = vigil.during(Box::pin(take_back)).await;
    let stats = redis.tell("INFO stats");
    let evicted = stats.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap().trim().to_owned();
    figures.hold("V1", &format!("{evicted} keys evicted"));
    assert!(evicted.parse::<usize>().unwrap() > rounds, "{evicted}");
    vigil.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v2_a_failover_brings_nothing_back() {
    if !has_services() {
        return;
    }
    let Some(mut servers) = OwnSentinel::start().await else { return };
    let vigil = Vigil::over(&[("cache.url", &servers.url())]).await;
    let rounds = figure(50, 3);
    let fail_over = async {
        for round in 0..rounds {
            let how = [Fall::Killed, Fall::Demoted, Fall::Hung][round % 3];
            vigil.take_back().await;
            let fallen = servers.fall(how);
            vigil.take_back_while(servers.replaced(fallen)).await;
            vigil.take_back_while(servers.restore(fallen)).await;
        }
    };
    vigil.during(Box::pin(fail_over)).await.hold("V2", &format!("{rounds} failovers"));
    vigil.app.stop().await;
}
