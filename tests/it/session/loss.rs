//! Answers that are lost on the way (R2).

use std::time::Duration;

use countersign::proto::v1;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use tonic::transport::Endpoint;

use super::{newcomer, refresh_on, session_of};
use crate::harness::database::{events_about, number};
use crate::harness::{Backend, TestApp, Wire, figure, on_both_backends, request_id};

on_both_backends!(r2_a_lost_answer_signs_nobody_out);

async fn r2_a_lost_answer_signs_nobody_out(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let store = &app.node().app().store;
    let person = newcomer(&app).await;
    let session = session_of(&app, &person.access_token);
    let generation = async || number(store, "SELECT generation FROM sessions WHERE id = $1", &[session.0]).await;

    let rounds = figure(1_000, 100);
    let mut token = person.refresh_token.clone();
    let (mut logouts, mut forks, mut committed) = (0, 0, 0);
    for round in 0..rounds {
        let before = generation().await;
        let intent = request_id();
        lose(&wire, &token, &intent, round % 2 == 0).await;
        committed += usize::from(generation().await > before);
        // Long after: the name of the intent is what counts, not the grace.
        app.advance(if round % 4 < 2 { 31 } else { 0 });
        match refresh_on(app.node(), &token, &intent).await {
            Ok(next) => {
                let again = refresh_on(app.node(), &token, &intent).await.unwrap();
                forks += usize::from(again.refresh_token != next.refresh_token || generation().await != before + 1);
                token = next.refresh_token;
            }
            Err(_) => {
                logouts += 1;
                break;
            }
        }
    }
    eprintln!("R2: {rounds} cut connections, {committed} after the commit, {logouts} logouts, {forks} forks");
    assert_eq!((logouts, forks), (0, 0));
    assert!(committed >= rounds / 2);
    assert_eq!(events_about(store, session, "session.refresh_token_reused").await, 0);
    app.stop().await;
}

/// Asks for the next pair over a connection that is cut: when the answer comes, or at any moment before.
async fn lose(wire: &Wire, token: &str, intent: &str, with_the_answer: bool) {
    wire.mend();
    let channel = Endpoint::from_shared(format!("http://{}", wire.address)).unwrap().connect().await.unwrap();
    let request =
        v1::RefreshRequest { refresh_token: token.to_owned(), request_id: intent.to_owned(), ..Default::default() };
    if with_the_answer {
        wire.lose_answers();
    }
    let mut client = TokenServiceClient::new(channel);
    let call = client.refresh(request);
    if with_the_answer {
        call.await.unwrap_err();
    } else {
        // A client that goes away is a cut as well.
        let _ = tokio::time::timeout(Duration::from_micros(300), call).await;
        wire.cut();
    }
}
