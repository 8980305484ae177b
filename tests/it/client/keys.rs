//! A verifier and keys that change, and names of keys that nobody has.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use chrono::TimeDelta;
use countersign::model::{Algorithm, Cause};
use countersign::proto::v1;
use countersign::token::{ACCESS_TOKEN_TYPE, Haste, SigningPair};
use countersign_client::{Refusal, Rejection, Unsure, WhenStale};
use futures_util::{StreamExt, stream};
use tonic::Code;

use super::{advance, anybody, builder, clock_of, connect, ready, verifier};
use crate::harness::{Backend, TestApp, Wire, bearer, figure, on_both_backends, request_id};
use crate::session::{newcomer, refresh};

on_both_backends!(
    t12_rotations_under_load_refuse_nobody_here_either,
    a_key_that_was_forced_is_fetched_when_its_token_arrives,
    names_of_keys_that_nobody_has_fetch_once_a_second_at_most,
    keys_are_not_believed_for_ever,
);

async fn rotate(app: &TestApp) {
    let request = bearer(v1::RotateSigningKeyRequest { force: false, revoke: false }, &app.api_key);
    app.node().admin().rotate_signing_key(request).await.unwrap();
}

/// The next pair, whatever else the machine is doing: whoever gets no answer asks again under the same name.
async fn refreshed(app: &TestApp, refresh_token: String) -> v1::Tokens {
    let request = v1::RefreshRequest { refresh_token, request_id: request_id(), ..Default::default() };
    for _ in 0..20 {
        match app.node().tokens().refresh(request.clone()).await {
            Ok(answer) => return answer.into_inner().tokens.unwrap(),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
        }
    }
    panic!("no refresh within twenty tries");
}

async fn t12_rotations_under_load_refuse_nobody_here_either(backend: Backend) {
    let app = TestApp::with(backend, &[("token.access_lifetime", "2h")]).await;
    let (verifier, clock) = verifier(&app, WhenStale::Introspect).await;
    let (done, asked, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let first = newcomer(&app).await;
    let load = async || {
        let mut refresh_token = newcomer(&app).await.refresh_token;
        while !done.load(Ordering::SeqCst) {
            let next = refreshed(&app, refresh_token).await;
            refresh_token = next.refresh_token;
            for token in [&next.access_token, &first.access_token] {
                asked.fetch_add(1, Ordering::SeqCst);
                if let Err(refusal) = verifier.check(token, &anybody()).await {
                    eprintln!("refused: {refusal}");
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    };
    let wait_for = async |more: usize| {
        let target = asked.load(Ordering::SeqCst) + more;
        while asked.load(Ordering::SeqCst) < target {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let rotations = async {
        for _ in 0..5 {
            rotate(&app).await;
            wait_for(figure(1_000, 60)).await;
            // Both clocks go on, one after the other as clocks do; nobody's is further off than the leeway.
            advance(&app, &clock, 600);
            rotate(&app).await;
            wait_for(figure(1_000, 60)).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(rotations, load(), load());
    let (asked, refused) = (asked.into_inner(), refused.into_inner());
    eprintln!(
        "T12: 5 rotations, {asked} verdicts of a client, {refused} false refusals, keys fetched {} times",
        verifier.key_fetches()
    );
    assert_eq!(refused, 0);
    app.stop().await;
}

async fn a_key_that_was_forced_is_fetched_when_its_token_arrives(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (verifier, clock) = verifier(&app, WhenStale::Refuse).await;
    let person = newcomer(&app).await;
    app.node().app().keyring.rotate(Haste::Forced, &Cause::system(app.now())).await.unwrap();
    let next = refresh(&app, &person.refresh_token).await.unwrap().access_token;
    // Where there is no waiting, it is asked for, and the client comes back.
    clock.advance(TimeDelta::seconds(2));
    clock.set_forward(TimeDelta::seconds(-2));
    let fetches = verifier.key_fetches();
    assert_eq!(verifier.verify(&next, &anybody()).unwrap_err(), Refusal::Unsure(Unsure::UnknownKey));
    // Everybody who waits waits for the same answer.
    let anybody = anybody();
    let storm = stream::iter(0..200).map(|_| verifier.check(&next, &anybody));
    assert!(storm.buffer_unordered(200).all(|outcome| async move { outcome.is_ok() }).await);
    assert!(verifier.key_fetches() <= fetches + 2, "{} fetches", verifier.key_fetches() - fetches);
    verifier.verify(&next, &anybody).unwrap();
    verifier.verify(&person.access_token, &anybody).unwrap();
    app.stop().await;
}

async fn names_of_keys_that_nobody_has_fetch_once_a_second_at_most(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
    let person = newcomer(&app).await.access_token;
    let claims = app.node().app().access.known(&person).unwrap().claims.to_json();
    let stranger = SigningPair::generate(Algorithm::EdDsa).unwrap();
    let forged: Vec<_> = (0..figure(20_000, 2_000))
        .scan(stranger, |stranger, number| {
            let renamed = SigningPair::from_pkcs8(Algorithm::EdDsa, stranger.pkcs8()).unwrap();
            Some(renamed.named(&format!("nobody-{number}")).unwrap().sign(ACCESS_TOKEN_TYPE, &claims).unwrap())
        })
        .collect();

    let (began, before, anybody) = (Instant::now(), verifier.key_fetches(), anybody());
    let (done, good) = (AtomicBool::new(false), AtomicUsize::new(0));
    let attack = async {
        let outcomes = stream::iter(&forged).map(|token| verifier.check(token, &anybody)).buffer_unordered(500);
        let outcomes: Vec<_> = outcomes.collect().await;
        done.store(true, Ordering::SeqCst);
        outcomes
    };
    // Whoever has a good token is judged meanwhile.
    let people = async {
        while !done.load(Ordering::SeqCst) {
            verifier.check(&person, &anybody).await.unwrap();
            good.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let (outcomes, ()) = tokio::join!(attack, people);
    let took = began.elapsed();
    let fetches = verifier.key_fetches() - before;
    let with = |wanted: Refusal| outcomes.iter().filter(|outcome| outcome.as_ref().err() == Some(&wanted)).count();
    let (unknown, unsure) = (with(Rejection::UnknownKey.into()), with(Unsure::UnknownKey.into()));
    let accepted = outcomes.len() - unknown - unsure;
    eprintln!(
        "{} unknown keys in {took:?}: {fetches} fetches, {accepted} accepted, {unsure} told to come back, {} good tokens judged \
         meanwhile",
        forged.len(),
        good.into_inner()
    );
    assert_eq!(accepted, 0);
    // A fetch that takes too long on a busy machine tells nothing of the keys.
    assert!(unknown > forged.len() / 2, "{unknown} are known to be unknown");
    assert!(fetches <= took.as_secs() + 2, "{fetches} fetches in {took:?}");
    app.stop().await;
}

async fn keys_are_not_believed_for_ever(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let connection = connect(wire.address, &app.api_key);
    let verifier = builder(connection, &clock)
        .keys_max_age(std::time::Duration::from_mins(1))
        .bound(std::time::Duration::from_hours(1))
        .when_stale(WhenStale::Refuse)
        .start();
    ready(&verifier).await;
    let person = newcomer(&app).await.access_token;
    wire.cut();
    clock.advance(TimeDelta::seconds(60));
    verifier.verify(&person, &anybody()).unwrap();
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(verifier.verify(&person, &anybody()).unwrap_err(), Refusal::Unsure(Unsure::NoKeys));
    assert_eq!(verifier.check(&person, &anybody()).await.unwrap_err(), Refusal::Unsure(Unsure::NoKeys));
    wire.mend();
    let mended = Instant::now();
    while verifier.check(&person, &anybody()).await.is_err() {
        assert!(mended.elapsed() < super::PATIENCE, "the keys are not back");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    app.stop().await;
}
