//! How soon a verifier knows what was taken back, and that it misses nothing: over cuts, nodes that leave, and floods.

use std::time::{Duration, Instant};

use countersign::model::{Revocation, SessionId, Target};
use countersign::proto::v1;
use countersign_client::{Connection, Refusal, WhenStale};

use super::{PATIENCE, advance, anybody, builder, clock_of, connect, ready, refused_after, verifier};
use crate::harness::{Backend, TestApp, Wire, bearer, figure, has_services, on_both_backends};
use crate::session::{log_out, newcomer};

on_both_backends!(
    a_revocation_is_known_within_the_bound,
    a_cut_loses_nothing,
    whoever_was_left_behind_catches_up,
    what_ends_the_verifier_ends_its_stream,
);

/// The bound of a verifier where nothing is configured.
const BOUND: Duration = Duration::from_secs(5);

/// Says how long it took, and tells the same: at the middle, and for all but one in a hundred.
fn report(what: &str, took: &mut [Duration]) -> (Duration, Duration) {
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    eprintln!(
        "{what}: {} revocations, refused after p50 {:?}, p99 {:?}, max {:?}",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(at(100) < BOUND);
    (at(50), at(99))
}

async fn a_revocation_is_known_within_the_bound(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
    let mut took = Vec::new();
    for number in 0..figure(1_000, 100) {
        let person = newcomer(&app).await;
        verifier.verify(&person.access_token, &anybody()).unwrap();
        match number % 3 {
            0 => log_out(&app, &person.access_token).await,
            1 => {
                let request = v1::RevokeRequest { token: person.access_token.clone(), ..Default::default() };
                app.node().tokens().revoke(bearer(request, &app.api_key)).await.map(drop).unwrap();
            }
            _ => {
                let target = Some(v1::blacklist_request::Target::AccountId(person.account_id.clone()));
                let request = bearer(v1::BlacklistRequest { target, ..Default::default() }, &app.api_key);
                app.node().tokens().blacklist(request).await.map(drop).unwrap();
            }
        }
        // From the acknowledgement on.
        took.push(refused_after(&verifier, &person.access_token).await);
        assert_eq!(verifier.verify(&person.access_token, &anybody()).unwrap_err(), Refusal::Revoked);
    }
    report("V4: a client of the same node", &mut took);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_took_back_is_known_as_well_and_nodes_may_leave() {
    if !has_services() {
        return;
    }
    // Nodes compare themselves as seldom as they do where nothing is configured, so that it is the news that is measured.
    let mut app = TestApp::cluster(Backend::Shared, 3, &[("revocation.reconcile_every", "1s")]).await;
    let clock = clock_of(&app);
    let addresses = app.nodes.iter().map(|node| format!("http://{}", node.grpc));
    let connection = Connection::to_any(addresses).api_key(&app.api_key).connect().unwrap();
    let verifier = builder(connection, &clock).when_stale(WhenStale::Refuse).start();
    ready(&verifier).await;
    let (mut took, mut meanwhile) = (Vec::new(), Vec::new());
    let before = newcomer(&app).await.access_token;
    log_out(&app, &before).await;
    refused_after(&verifier, &before).await;
    for _ in 0..2 {
        let holder = holder_of_the_stream(&app).await;
        // People sign in and out at the first node, which is not to be the one that the verifier hears it from.
        let holder = if holder == 0 {
            app.nodes.swap(0, 1);
            1
        } else {
            holder
        };
        for _ in 0..figure(450, 45) {
            let person = newcomer(&app).await;
            verifier.verify(&person.access_token, &anybody()).unwrap();
            log_out(&app, &person.access_token).await;
            took.push(refused_after(&verifier, &person.access_token).await);
        }
        assert_eq!(holder_of_the_stream(&app).await, holder, "the verifier has changed nodes");
        // What is taken back while it has none reaches it as well.
        let person = newcomer(&app).await;
        app.nodes.remove(holder).stop().await;
        log_out(&app, &person.access_token).await;
        meanwhile.push(refused_after(&verifier, &person.access_token).await);
        assert_eq!(verifier.verify(&before, &anybody()).unwrap_err(), Refusal::Revoked);
    }
    let (middle, nearly_all) = report("V4: a client of another node", &mut took);
    report("V4: a client whose node has just left", &mut meanwhile);
    // Without news it would be half a second.
    assert!(middle <= Duration::from_millis(100), "{middle:?}");
    let limit = Duration::from_millis(u64::try_from(figure(50, 500)).unwrap());
    assert!(nearly_all <= limit, "{nearly_all:?}");
    app.stop().await;
}

/// At which place the node is that tells the one verifier there is.
async fn holder_of_the_stream(app: &TestApp) -> usize {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "the verifier follows no node");
        let told = |at: &usize| app.nodes[*at].app().revocations.watchers() > 0;
        match (0..app.nodes.len()).filter(told).collect::<Vec<_>>().as_slice() {
            [only] => return *only,
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn a_cut_loses_nothing(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let verifier = builder(connect(wire.address, &app.api_key), &clock).when_stale(WhenStale::Refuse).start();
    ready(&verifier).await;
    let old = newcomer(&app).await.access_token;
    log_out(&app, &old).await;
    refused_after(&verifier, &old).await;
    let rounds = figure(100, 10);
    let (mut accepted, mut longest) = (0, Duration::ZERO);
    for _ in 0..rounds {
        let missed = newcomer(&app).await.access_token;
        verifier.verify(&missed, &anybody()).unwrap();
        wire.cut();
        log_out(&app, &missed).await;
        // Longer than clocks may be apart, so that the cursor does not bring the old one as well.
        advance(&app, &clock, 11);
        assert!(verifier.verify(&missed, &anybody()).is_err(), "it is past the bound");
        wire.mend();
        let mended = Instant::now();
        while verifier.staleness() > BOUND {
            assert!(mended.elapsed() < PATIENCE, "the stream is not back");
            accepted += usize::from(verifier.verify(&missed, &anybody()).is_ok());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        longest = longest.max(mended.elapsed());
        accepted += [&missed, &old].into_iter().filter(|token| verifier.verify(token, &anybody()).is_ok()).count();
    }
    eprintln!(
        "{rounds} cuts while something was taken back: {accepted} accepted, fresh again after {longest:?} at most"
    );
    assert_eq!(accepted, 0);
    app.stop().await;
}

/// A stream that falls behind goes on from its cursor, and one that comes back too late begins with a snapshot.
async fn whoever_was_left_behind_catches_up(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let verifier = builder(connect(wire.address, &app.api_key), &clock).when_stale(WhenStale::Refuse).start();
    ready(&verifier).await;
    let flood = |count: usize| {
        let (now, expires_at) = (app.now(), app.now() + chrono::TimeDelta::minutes(5));
        let ended: Vec<_> = (0..count)
            .map(|_| Target::Session(SessionId(countersign::random::Random.id(now))))
            .map(|target| Revocation { target, revoked_at: now, expires_at })
            .collect();
        app.node().app().revocations.apply(&ended);
    };
    let known = async |count: usize| {
        let began = Instant::now();
        while verifier.revocations() < count {
            assert!(began.elapsed() < PATIENCE * 3, "{} of {count} are known", verifier.revocations());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        ready(&verifier).await;
        began.elapsed()
    };
    flood(40_000);
    eprintln!("40,000 at once are known after {:?}", known(40_000).await);
    wire.cut();
    // More than the node remembers of what has changed.
    flood(70_000);
    wire.mend();
    eprintln!("70,000 that were missed are known after {:?}", known(110_000).await);
    let person = newcomer(&app).await.access_token;
    verifier.verify(&person, &anybody()).unwrap();
    log_out(&app, &person).await;
    refused_after(&verifier, &person).await;
    app.stop().await;
}

async fn what_ends_the_verifier_ends_its_stream(backend: Backend) {
    let app = TestApp::with(backend, &[("revocation.watchers", "1")]).await;
    for _ in 0..3 {
        // There is one place; whoever comes next finds it free.
        let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
        let copy = verifier.clone();
        drop(verifier);
        copy.verify(&newcomer(&app).await.access_token, &anybody()).unwrap();
        drop(copy);
    }
    app.stop().await;
}
