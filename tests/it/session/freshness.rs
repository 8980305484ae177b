//! What a node answers while it cannot know: from memory within the bound, from the database past it, and not at all when
//! that is gone too. Never `active` for what was taken back.

use std::str::FromStr;
use std::time::{Duration, Instant};

use countersign::model::Cause;
use countersign::proto::v1;
use sqlx::postgres::PgConnectOptions;

use super::{introspect, log_out, newcomer, reason, refused_after, token_id};
use crate::harness::{Backend, Person, TestApp, Wire, bearer, has_services, new_database, on_both_backends};

on_both_backends!(
    without_a_database_memory_answers_within_the_bound_only,
    past_the_bound_the_database_has_the_last_word,
    a_lost_announcement_is_made_up_for,
);

async fn without_a_database_memory_answers_within_the_bound_only(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (person, ended) = (newcomer(&app).await, newcomer(&app).await);
    log_out(&app, &ended.access_token).await;
    // Both have been seen, so that signatures are remembered; verdicts are not.
    assert!(app.is_active(&person.access_token).await);
    app.node().shut_database().await;
    app.advance(5);
    let seen = introspect(&app, &person.access_token).await;
    assert!(seen.active);
    assert_eq!(seen.as_of.unwrap().seconds, app.now().timestamp() - 5);

    app.advance(1);
    expect_unavailable(&app, &person).await;
    // What was known to be taken back, or is no token of ours, needs no database.
    for token in [&ended.access_token, "garbage"] {
        assert!(!app.ask(0, token).await.unwrap());
    }
}

/// What would count if nothing had happened gets no answer, whichever way one asks.
async fn expect_unavailable(app: &TestApp, person: &Person) {
    assert_eq!(reason(app.ask(0, &person.access_token).await), "DEPENDENCY_UNAVAILABLE");
    let request = v1::VerifyRequest { token: person.access_token.clone() };
    assert_eq!(reason(app.node().tokens().verify(request).await), "DEPENDENCY_UNAVAILABLE");
    let tokens = vec![person.access_token.clone()];
    let request = bearer(v1::BatchIntrospectRequest { tokens, ..Default::default() }, &app.api_key);
    assert_eq!(reason(app.node().tokens().batch_introspect(request).await), "DEPENDENCY_UNAVAILABLE");
    let request = bearer(v1::GetProfileRequest {}, &person.access_token);
    assert_eq!(reason(app.node().accounts().get_profile(request).await), "DEPENDENCY_UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_database_recovers_by_itself() {
    if !has_services() {
        return;
    }
    let url = new_database().await;
    let options = PgConnectOptions::from_str(&url).unwrap();
    let place = (options.get_host(), options.get_port());
    let wire = Wire::to(tokio::net::lookup_host(place).await.unwrap().next().unwrap()).await;
    let through_wire = url.replace(&format!("{}:{}", place.0, place.1), &wire.address.to_string());
    assert_ne!(through_wire, url);
    let app = TestApp::cluster(Backend::Shared, 1, &[("database.url", &through_wire)]).await;
    let person = newcomer(&app).await;
    assert!(app.is_active(&person.access_token).await);

    wire.cut();
    app.advance(5);
    assert!(app.is_active(&person.access_token).await);
    app.advance(1);
    let began = Instant::now();
    expect_unavailable(&app, &person).await;
    assert!(began.elapsed() < Duration::from_secs(6), "four refusals took {:?}", began.elapsed());

    wire.mend();
    let mended = Instant::now();
    while !app.ask(0, &person.access_token).await.unwrap_or(false) {
        assert!(mended.elapsed() < Duration::from_secs(10), "not back ten seconds after the database was");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("back {:?} after the database was", mended.elapsed());
    app.stop().await;
}

async fn past_the_bound_the_database_has_the_last_word(backend: Backend) {
    // The node compares itself once, and then not again while this test runs.
    let settings = [("revocation.reconcile_every", "30s"), ("revocation.bound", "1m")];
    let app = TestApp::with(backend, &settings).await;
    let (person, ended) = (newcomer(&app).await, newcomer(&app).await);
    take_back_unannounced(&app, &ended).await;
    app.advance(61);
    assert!(!app.ask(0, &ended.access_token).await.unwrap());
    let request = bearer(v1::GetProfileRequest {}, &ended.access_token);
    assert_eq!(reason(app.node().accounts().get_profile(request).await), "ACCESS_TOKEN_INVALID");
    let seen = introspect(&app, &person.access_token).await;
    assert!(seen.active);
    assert_eq!(seen.as_of.unwrap().seconds, app.now().timestamp());
    let request = bearer(v1::GetProfileRequest {}, &person.access_token);
    app.node().accounts().get_profile(request).await.unwrap();
    app.stop().await;
}

async fn a_lost_announcement_is_made_up_for(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (person, other) = (newcomer(&app).await, newcomer(&app).await);
    take_back_unannounced(&app, &person).await;
    let took = refused_after(&app, 0, &person.access_token).await;
    eprintln!("taken in by comparison after {took:?}");
    assert!(app.is_active(&other.access_token).await);
    app.stop().await;
}

/// Takes a token back in the database, and tells nobody.
async fn take_back_unannounced(app: &TestApp, person: &Person) {
    let token = token_id(app, &person.access_token);
    let expires_at = app.now() + chrono::TimeDelta::minutes(6);
    app.node().app().store.revoke_token(token, None, expires_at, &Cause::system(app.now())).await.unwrap();
}
