//! Redis that is slow, silent or cut off from every node (V3): tokens are judged as ever, what ends a session ends it, and
//! whoever needs a code is told so at once. Without PostgreSQL as well nothing is vouched for past the bound.

use std::str::FromStr;
use std::time::{Duration, Instant};

use countersign::proto::v1;
use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tonic::{Code, Status};

use super::vigil::{BOUND, NODES, Vigil, part};
use super::{newcomer, refresh_on};
use crate::harness::{OwnRedis, TestApp, Wire, bearer, details, figure, has_services, new_database, phone_number};

/// How long an introspection may take, at the 99th percentile.
const PROMPT: Duration = Duration::from_millis(200);
/// How long anything else may, on a machine that runs many tests at once.
const SOON: Duration = Duration::from_secs(2);

/// What people do meanwhile, and how long it took them.
#[derive(Default)]
struct Meanwhile {
    ended: Mutex<Vec<Duration>>,
    refused: Mutex<Vec<Duration>>,
}

impl Meanwhile {
    /// Somebody refreshes their tokens and signs out; somebody else asks for a code, in vain.
    async fn live(&self, app: &TestApp, node: usize) {
        let began = Instant::now();
        let person = newcomer(app).await;
        let next = refresh_on(&app.nodes[node], &person.refresh_token, "").await.unwrap();
        let request = bearer(v1::LogoutRequest::default(), &next.access_token);
        app.nodes[node].auth().logout(request).await.unwrap();
        self.ended.lock().push(began.elapsed());
        assert!(!app.is_active_on(node, &next.access_token).await);
        assert!(!app.is_active_on(node, &person.access_token).await);

        let began = Instant::now();
        let identifier = Some(phone_number("09121234567"));
        let request = v1::RequestOtpRequest { identifier, ..Default::default() };
        let refused = details(&app.nodes[node].auth().request_otp(request).await.unwrap_err());
        self.refused.lock().push(began.elapsed());
        assert_eq!((refused.code, refused.retry_seconds), (Code::Unavailable, Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v3_a_redis_out_of_reach_makes_nothing_slow_and_brings_nothing_back() {
    if !has_services() {
        return;
    }
    let Some(redis) = OwnRedis::start().await else { return };
    let wire = Wire::to(([127, 0, 0, 1], redis.port).into()).await;
    let vigil = Vigil::over(&[("cache.url", &format!("redis://{}", wire.address))]).await;
    let rounds = figure(300, 15);
    for what in ["5 s away", "swallowed", "cut off"] {
        match what {
            "5 s away" => wire.delay(Duration::from_secs(5)),
            "swallowed" => wire.swallow(),
            _ => wire.cut(),
        }
        let meanwhile = Meanwhile::default();
        let lives = async {
            for round in 0..rounds {
                meanwhile.live(&vigil.app, round % NODES).await;
                vigil.take_back().await;
            }
        };
        let figures = vigil.during(Box::pin(lives)).await;
        figures.hold("V3", &format!("Redis {what}"));
        let [ended, refused] = [&meanwhile.ended, &meanwhile.refused].map(|durations| {
            let mut durations = std::mem::take(&mut *durations.lock());
            durations.sort();
            part(&durations, 100)
        });
        eprintln!("V3: Redis {what}: refreshed and signed out within {ended:?}; codes refused within {refused:?}");
        assert!(part(&figures.answered, 99) <= PROMPT, "{what}");
        assert!(ended <= SOON && refused <= SOON && part(&figures.acknowledged, 100) <= SOON, "{what}");
        wire.mend();
        works_again(&vigil.app).await;
    }
    vigil.app.stop().await;
}

/// Waits until every node gives codes again.
async fn works_again(app: &TestApp) {
    let began = Instant::now();
    for node in &app.nodes {
        while node.app().cache.ping().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(5), "Redis is back, and nobody notices");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v3_without_postgresql_as_well_nothing_is_vouched_for() {
    if !has_services() {
        return;
    }
    let Some(redis) = OwnRedis::start().await else { return };
    let cache = Wire::to(([127, 0, 0, 1], redis.port).into()).await;
    let url = new_database().await;
    let options = PgConnectOptions::from_str(&url).unwrap();
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let database = Wire::to(tokio::net::lookup_host(&place).await.unwrap().next().unwrap()).await;
    let url = url.replace(&place, &database.address.to_string());
    let vigil = Vigil::over(&[("cache.url", &format!("redis://{}", cache.address)), ("database.url", &url)]).await;
    let app = &vigil.app;
    for silent in [false, true] {
        let (kept, ended) = (newcomer(app).await, newcomer(app).await);
        vigil.app.node().auth().logout(bearer(v1::LogoutRequest::default(), &ended.access_token)).await.unwrap();
        let ended_at = app.now();
        let run = async {
            // Until each node knows of it by itself, without asking the database.
            for node in &app.nodes {
                let began = Instant::now();
                while node.app().replica.as_of() <= ended_at {
                    assert!(began.elapsed() < BOUND, "no comparison within the bound");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            if silent {
                cache.swallow();
                database.swallow();
            } else {
                cache.cut();
                database.cut();
            }
            without_both(app, &kept.access_token, &ended.access_token).await;
            cache.mend();
            database.mend();
            let began = Instant::now();
            for node in 0..NODES {
                while !app.ask(node, &kept.access_token).await.unwrap_or(false) {
                    assert!(began.elapsed() < Duration::from_secs(20), "both are back, and node {node} is not");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            eprintln!("V3: back {:?} after both were", began.elapsed());
        };
        tokio::select! {
            () = run => {}
            () = app.let_time_run() => {}
        }
    }
    vigil.app.stop().await;
}

/// Asks about a live token and one that was taken back, from the moment at which both dependencies went.
async fn without_both(app: &TestApp, kept: &str, ended: &str) {
    let (gone, mut slowest) = (Instant::now(), Duration::ZERO);
    let (mut from_memory, mut unknown, mut late) = (0, 0, 0);
    while gone.elapsed() < BOUND * 2 {
        let asked = gone.elapsed();
        let all = (0..NODES).map(|node| async move { (app.ask(node, kept).await, app.ask(node, ended).await) });
        for (kept, ended) in futures_util::future::join_all(all).await {
            assert!(!ended.unwrap(), "what is known to be taken back needs no database");
            match kept {
                Ok(active) => {
                    assert!(active);
                    from_memory += 1;
                    // A comparison that began just before they went vouches from its beginning.
                    late += usize::from(asked > BOUND + Duration::from_millis(100));
                }
                Err(status) => unknown += usize::from(is_unavailable(&status)),
            }
        }
        slowest = slowest.max(gone.elapsed().saturating_sub(asked));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!(
        "V3: without both: {from_memory} answers from memory, {late} of them past the bound, {unknown} UNAVAILABLE; \
         answered within {slowest:?}"
    );
    assert_eq!(late, 0);
    assert!(unknown > 0 && slowest < Duration::from_secs(6));
}

fn is_unavailable(status: &Status) -> bool {
    let told = details(status);
    assert_eq!((told.code, told.retry_seconds), (Code::Unavailable, Some(1)));
    true
}
