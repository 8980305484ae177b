//! Guessing: counted before compared, however many come at once, and a right code opens one session.

use countersign::proto::v1;
use futures_util::{StreamExt, stream};

use super::{ask, enter, entry_refused, other_code};
use crate::harness::{Backend, TestApp, bearer, details, figure, login, on_both_backends, request_id, storm};

on_both_backends!(
    o1_no_more_than_five_guesses_are_compared,
    o1_all_codes_at_once_hardly_ever_hit,
    o2_a_right_code_opens_one_session_however_often_it_comes,
);

/// How many calls are under way at a time.
const AT_ONCE: usize = 200;

/// Sends all codes for a challenge at once, each as an intent of its own; tells how many were right.
async fn guess_all(app: &TestApp, challenge_id: &str, codes: impl IntoIterator<Item = String>) -> usize {
    let tries = codes.into_iter().map(|code| {
        let (mut auth, request) =
            (app.node().auth(), v1::LoginRequest { request_id: request_id(), ..login(challenge_id, &code) });
        async move {
            loop {
                match auth.login(request.clone()).await {
                    Ok(_) => return true,
                    // A machine that is busy with all of this may get no answer from Redis in time.
                    Err(status) if details(&status).reason == "DEPENDENCY_UNAVAILABLE" => {}
                    Err(status) => {
                        assert_eq!(details(&status).reason, "INVALID_CREDENTIALS");
                        return false;
                    }
                }
            }
        }
    });
    stream::iter(tries).buffer_unordered(AT_ONCE).filter(|right| std::future::ready(*right)).count().await
}

async fn o1_no_more_than_five_guesses_are_compared(backend: Backend) {
    let _storm = storm().await;
    let app = TestApp::with(backend, &[("limits.failed_codes.count", "100")]).await;
    let id = app.challenge("09121234567").await.challenge_id;
    let code = app.code(&id).await;
    for step in 1..=4 {
        assert_eq!(entry_refused(&app, &id, &other_code(&code, step)).await, "INVALID_CREDENTIALS");
    }
    enter(&app, &id, &code).await.expect("the fifth guess is compared");

    let id = app.challenge("09121234567").await.challenge_id;
    let code = app.code(&id).await;
    let guesses = figure(10_000, 1_000);
    let wrong = (1..=guesses).map(|step| other_code(&code, step as u64));
    assert_eq!(guess_all(&app, &id, wrong).await, 0);
    let counted = app.node().app().cache.get(&format!("{{otp:{id}}}:guesses")).await.unwrap().unwrap();
    let counted: usize = String::from_utf8(counted).unwrap().parse().unwrap();
    assert!(counted >= guesses, "{counted} of {guesses} were counted");
    assert_eq!(entry_refused(&app, &id, &code).await, "INVALID_CREDENTIALS");
    app.stop().await;
}

async fn o1_all_codes_at_once_hardly_ever_hit(backend: Backend) {
    let _storm = storm().await;
    let app = TestApp::with(backend, &[("otp.length", "4"), ("limits.failed_codes.count", "100")]).await;
    // The right code is among the five that are compared once in 2,000 challenges of 10,000 guesses each, or once in 200
    // of 1,000: three hits in four challenges mean that more were compared.
    let all = figure(10_000, 1_000);
    let mut hits = 0;
    for _ in 0..4 {
        let id = app.challenge("09121234567").await.challenge_id;
        let code = app.code(&id).await;
        // The right one comes in the middle.
        let codes = (0..all).map(|step| other_code(&code, (step + 10_000 - all / 2) as u64));
        hits += guess_all(&app, &id, codes).await;
    }
    assert!(hits < 3, "{hits} hits");
    app.stop().await;
}

async fn o2_a_right_code_opens_one_session_however_often_it_comes(backend: Backend) {
    let _storm = storm().await;
    let settings = [
        ("otp.guesses", "10"),
        ("limits.codes_per_identifier_and_network.count", "1000"),
        ("limits.failed_codes.count", "100"),
    ];
    let app = TestApp::with(backend, &settings).await;
    let rounds = figure(20, 5);
    let tries = figure(1_000, 200);
    for _ in 0..rounds {
        let challenge =
            app.node().auth().request_otp(ask("09121234567")).await.unwrap().into_inner().challenge.unwrap();
        let code = app.code(&challenge.challenge_id).await;
        let opened = guess_all(&app, &challenge.challenge_id, std::iter::repeat_n(code, tries)).await;
        assert_eq!(opened, 1);
    }
    assert_eq!(app.rows("sessions").await, i64::try_from(rounds).unwrap());
    assert_eq!(app.rows("accounts").await, 1);
    let person = app.sign_in("09121234567").await;
    let request = bearer(v1::ListSessionsRequest::default(), &person.access_token);
    let listed = app.node().accounts().list_sessions(request).await.unwrap().into_inner().sessions;
    assert_eq!(listed.len(), rounds + 1);
    app.stop().await;
}
