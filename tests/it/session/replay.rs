//! One token in many hands: refreshed in parallel by its owner (R1), two steps back (R3), replayed by a thief (R4).

use std::collections::HashSet;

use futures_util::future::join_all;

use super::{newcomer, reason, refresh, refresh_on, session_of};
use crate::harness::database::{events_about, number};
use crate::harness::{Backend, TestApp, details, figure, has_services, on_both_backends, request_id};

on_both_backends!(
    parallel_refreshes_have_one_successor,
    r3_grace_reaches_back_one_step_only,
    r4_a_replay_ends_the_session
);

/// Refreshes one token many times at once, spread over the nodes; tells the one successor.
async fn storm(app: &TestApp, token: &str, calls: usize, intent: &str) -> String {
    let nodes = app.nodes.len();
    let calls = (0..calls).map(|call| refresh_on(&app.nodes[call % nodes], token, intent));
    let (mut successors, mut shed) = (HashSet::new(), 0);
    for outcome in join_all(calls).await {
        match outcome {
            Ok(tokens) => drop(successors.insert(tokens.refresh_token)),
            // More at once than there are connections: those may try again, and nobody is signed out.
            Err(status) => {
                assert_eq!(details(&status).reason, "DEPENDENCY_UNAVAILABLE");
                shed += 1;
            }
        }
    }
    if shed > 0 {
        eprintln!("{shed} calls were asked to come again");
    }
    assert_eq!(successors.len(), 1);
    let successor = successors.into_iter().next().unwrap();
    assert_eq!(refresh_on(app.node(), token, intent).await.unwrap().refresh_token, successor);
    successor
}

async fn parallel_refreshes_have_one_successor(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut token = newcomer(&app).await.refresh_token;
    for intent in [String::new(), request_id(), String::new()] {
        token = storm(&app, &token, 50, &intent).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_parallel_refreshes_on_three_nodes_have_one_successor() {
    if !has_services() {
        return;
    }
    let app = TestApp::cluster(Backend::Shared, 3, &[]).await;
    let (rounds, parallel) = (figure(200, 4), figure(500, 150));
    let person = newcomer(&app).await;
    let mut token = person.refresh_token.clone();
    for _ in 0..rounds {
        token = storm(&app, &token, parallel, "").await;
        app.advance(1);
    }
    let session = session_of(&app, &person.access_token);
    let store = &app.node().app().store;
    let generation = number(store, "SELECT generation FROM sessions WHERE id = $1", &[session.0]).await;
    eprintln!("R1: {rounds} rounds of {parallel} on 3 nodes, {generation} generations");
    assert_eq!(usize::try_from(generation).unwrap(), rounds + 1);
    assert_eq!(events_about(store, session, "session.refresh_token_reused").await, 0);
    app.stop().await;
}

async fn r3_grace_reaches_back_one_step_only(backend: Backend) {
    let app = TestApp::new(backend).await;
    let rounds = figure(1_000, 50);
    let mut dead = 0;
    for _ in 0..rounds {
        let first = newcomer(&app).await.refresh_token;
        let second = refresh(&app, &first).await.unwrap().refresh_token;
        let third = refresh(&app, &second).await.unwrap();
        assert_eq!(reason(refresh(&app, &first).await), "REFRESH_TOKEN_REUSED");
        let gone = reason(refresh(&app, &third.refresh_token).await) == "SESSION_ENDED";
        dead += usize::from(gone && !app.is_active(&third.access_token).await);
    }
    eprintln!("R3: {dead} of {rounds} sessions dead");
    assert_eq!(dead, rounds);
    app.stop().await;
}

async fn r4_a_replay_ends_the_session(backend: Backend) {
    const EACH: usize = 10;
    let app = TestApp::new(backend).await;
    let store = &app.node().app().store;
    let sessions = figure(10_000, 300) / EACH;
    for _ in 0..sessions {
        let stolen = newcomer(&app).await;
        let session = session_of(&app, &stolen.access_token);
        let second = refresh(&app, &stolen.refresh_token).await.unwrap();
        let third = refresh(&app, &second.refresh_token).await.unwrap();
        let outcomes = join_all((0..EACH).map(|_| refresh(&app, &stolen.refresh_token))).await;
        let mut reasons: Vec<String> = outcomes.into_iter().map(reason).collect();
        reasons.sort();
        assert_eq!(reasons[0], "REFRESH_TOKEN_REUSED");
        assert!(reasons[1..].iter().all(|reason| reason == "SESSION_ENDED"), "{reasons:?}");
        for token in [&stolen.access_token, &second.access_token, &third.access_token] {
            assert!(!app.is_active(token).await);
        }
        assert_eq!(events_about(store, session, "session.refresh_token_reused").await, 1);
        assert_eq!(events_about(store, session, "session.ended").await, 0);
        let revocations = number(store, "SELECT COUNT(*) FROM revocations WHERE target = $1", &[session.0]).await;
        assert_eq!(revocations, 1);
    }
    eprintln!("R4: {} replays, {sessions} sessions dead, 1 event each", sessions * EACH);
    app.stop().await;
}
