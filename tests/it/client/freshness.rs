//! What a verifier does while it cannot know: it judges from memory within the bound, and past it asks or refuses. It never
//! accepts.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use countersign::proto::v1;
use countersign_client::{Refusal, Require, Unsure, Verifier, WhenStale};

use super::{advance, anybody, builder, clock_of, connect, ready, refused_after, verifier};
use crate::harness::{Backend, TestApp, Wire, bearer, figure, on_both_backends};
use crate::session::{log_out, newcomer};

on_both_backends!(
    without_the_service_memory_judges_within_the_bound_only,
    past_the_bound_the_service_is_asked,
    whoever_may_not_ask_is_told_so_once,
    a_clock_that_is_set_back_makes_nothing_fresh,
    a_node_without_its_database_makes_verifiers_stale,
);

const STALE: Refusal = Refusal::Unsure(Unsure::Stale);

async fn without_the_service_memory_judges_within_the_bound_only(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let begin = |when| builder(connect(wire.address, &app.api_key), &clock).when_stale(when).start();
    let (asking, refusing) = (begin(WhenStale::Introspect), begin(WhenStale::Refuse));
    let (person, ended) = (newcomer(&app).await.access_token, newcomer(&app).await.access_token);
    log_out(&app, &ended).await;
    for verifier in [&asking, &refusing] {
        ready(verifier).await;
        refused_after(verifier, &ended).await;
    }

    wire.cut();
    advance(&app, &clock, 5);
    for verifier in [&asking, &refusing] {
        assert_eq!(verifier.staleness(), Duration::from_secs(5));
        verifier.verify(&person, &anybody()).unwrap();
        verifier.check(&person, &anybody()).await.unwrap();
    }
    clock.advance(TimeDelta::milliseconds(1));
    let rounds = figure(1_000, 50);
    let mut accepted = 0;
    let mut refuse = async |verifier: &Verifier, checked: Unsure| {
        for _ in 0..rounds {
            let verified = verifier.verify(&person, &anybody());
            accepted += usize::from(verified.is_ok());
            assert_eq!(verified.err(), Some(STALE));
            // What is known to be taken back, or is no token, needs nobody.
            assert_eq!(verifier.check(&ended, &anybody()).await.unwrap_err(), Refusal::Revoked);
            assert!(matches!(verifier.check("garbage", &anybody()).await.unwrap_err(), Refusal::Invalid(_)));
        }
        for _ in 0..rounds / 10 {
            let asked = verifier.check(&person, &anybody()).await;
            accepted += usize::from(asked.is_ok());
            assert_eq!(asked.err(), Some(Refusal::Unsure(checked)));
        }
    };
    refuse(&refusing, Unsure::Stale).await;
    refuse(&asking, Unsure::Away).await;
    eprintln!("without the service, past the bound: {} verdicts, {accepted} accepted", rounds * 6 + rounds / 5);
    assert_eq!(accepted, 0);

    wire.mend();
    let mended = Instant::now();
    for verifier in [&asking, &refusing] {
        ready(verifier).await;
        verifier.verify(&person, &anybody()).unwrap();
        assert_eq!(verifier.verify(&ended, &anybody()).unwrap_err(), Refusal::Revoked);
    }
    eprintln!("fresh again {:?} after the service was back", mended.elapsed());
    app.stop().await;
}

async fn past_the_bound_the_service_is_asked(backend: Backend) {
    // The service compares itself once, and then not again: its own knowledge is current all the same, as it is asked.
    let app = TestApp::with(backend, &[("revocation.reconcile_every", "30s"), ("revocation.bound", "1m")]).await;
    let (asking, clock) = verifier(&app, WhenStale::Introspect).await;
    let (person, ended) = (newcomer(&app).await.access_token, newcomer(&app).await.access_token);
    log_out(&app, &ended).await;
    clock.advance(TimeDelta::seconds(6));
    assert_eq!(asking.verify(&person, &anybody()).unwrap_err(), STALE);
    let identity = asking.check(&person, &Require::new()).await.unwrap();
    assert_eq!(identity.expires_at().timestamp(), app.now().timestamp() + 300);
    assert_eq!(asking.check(&ended, &anybody()).await.unwrap_err(), Refusal::Revoked);
    // What is required besides is held against it all the same.
    let lacking = Refusal::Scope("orders.read".to_owned());
    assert_eq!(asking.check(&person, &Require::new().scope("orders.read")).await.unwrap_err(), lacking);
    app.stop().await;
}

async fn whoever_may_not_ask_is_told_so_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let permissions = vec![v1::Permission::Watch.into()];
    let request = v1::CreateCallerRequest { name: "orders".to_owned(), permissions, ..Default::default() };
    let caller = app.node().admin().create_caller(bearer(request, &app.api_key)).await.unwrap().into_inner();
    let clock = clock_of(&app);
    let watching = connect(app.node().grpc, &caller.api_key);
    let verifier = builder(watching, &clock).when_stale(WhenStale::Introspect).start();
    ready(&verifier).await;
    let person = newcomer(&app).await.access_token;
    verifier.check(&person, &anybody()).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Arc::new(File::create(&path).unwrap());
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(log).finish();
    // With one subscriber alone, tracing lets whichever thread passes a line first decide whether it is of interest.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    clock.advance(TimeDelta::seconds(6));
    for _ in 0..3 {
        assert_eq!(verifier.check(&person, &anybody()).await.unwrap_err(), Refusal::Unsure(Unsure::Away));
    }
    let said = std::fs::read_to_string(path).unwrap();
    assert_eq!(said.matches("the caller needs the permission `introspect`").count(), 1, "{said}");
    app.stop().await;
}

async fn a_clock_that_is_set_back_makes_nothing_fresh(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let verifier = builder(connect(wire.address, &app.api_key), &clock).when_stale(WhenStale::Refuse).start();
    ready(&verifier).await;
    let person = newcomer(&app).await.access_token;
    verifier.verify(&person, &anybody()).unwrap();
    wire.cut();
    for step in [1, 3, 6, 60, 3_600] {
        clock.advance(TimeDelta::seconds(6));
        clock.set_forward(TimeDelta::seconds(-6));
        assert_eq!(verifier.verify(&person, &anybody()).unwrap_err(), STALE, "after {step}");
        clock.set_forward(TimeDelta::seconds(-step));
        assert!(verifier.verify(&person, &anybody()).is_err(), "{step} s back");
        clock.set_forward(TimeDelta::seconds(step));
    }
    app.stop().await;
}

async fn a_node_without_its_database_makes_verifiers_stale(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (verifier, clock) = verifier(&app, WhenStale::Introspect).await;
    let person = newcomer(&app).await.access_token;
    app.node().shut_database().await;
    // Checkpoints go on, and promise nothing new.
    advance(&app, &clock, 6);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(verifier.staleness(), Duration::from_secs(6));
    assert_eq!(verifier.verify(&person, &anybody()).unwrap_err(), STALE);
    assert_eq!(verifier.check(&person, &anybody()).await.unwrap_err(), Refusal::Unsure(Unsure::Away));
}
