//! How a revocation reaches the other nodes: soon while Redis is well, and in time whatever happens to it (V4).

use std::time::Duration;

use countersign::proto::v1;

use super::vigil::{BOUND, Vigil, part};
use super::{newcomer, refused_after};
use crate::harness::{Backend, OwnRedis, TestApp, Wire, bearer, figure, has_services};

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
    let (p50, p99, max) = (part(&took, 50), part(&took, 99), part(&took, 100));
    eprintln!("V4: {count} revocations, elsewhere after p50 {p50:?}, p99 {p99:?}, max {max:?}");
    assert!(max < BOUND);
    if std::env::var_os("COUNTERSIGN_TEST_FULL").is_some() {
        assert!(p99 <= Duration::from_millis(50));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v4_a_revocation_counts_in_time_whatever_happens_to_redis() {
    if !has_services() {
        return;
    }
    let Some(mut redis) = OwnRedis::start().await else { return };
    let wire = Wire::to(([127, 0, 0, 1], redis.port).into()).await;
    let vigil = Vigil::over(&[("cache.url", &format!("redis://{}", wire.address))]).await;
    let each = figure(200, 10);
    for what in ["emptied", "slow", "swallowed", "cut off", "killed"] {
        match what {
            "emptied" => {}
            "slow" => wire.delay(Duration::from_secs(5)),
            "swallowed" => wire.swallow(),
            "cut off" => wire.cut(),
            _ => redis.stop(),
        }
        let take_back = async {
            for _ in 0..each {
                vigil.take_back().await;
                if what == "emptied" {
                    redis.tell("FLUSHALL");
                }
            }
        };
        let figures = vigil.during(Box::pin(take_back)).await;
        figures.hold("V4", &format!("Redis {what}"));
        wire.mend();
    }
    vigil.app.stop().await;
}
