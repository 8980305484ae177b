//! An answer that got lost costs nothing: the same intent is answered the same, and does nothing twice.

use std::net::{IpAddr, Ipv4Addr};

use countersign::model::{ChallengeId, Purpose};
use countersign::proto::v1;
use futures_util::future::join_all;

use super::{ask, refusal};
use crate::harness::{Backend, TestApp, bearer, details, login, mail_address, on_both_backends, request_id};

on_both_backends!(
    one_intent_sends_one_code,
    one_intent_opens_one_session,
    fifty_tries_at_once_open_one_session,
    a_name_serves_for_one_sign_in_only,
    an_intent_is_not_answered_once_its_session_has_moved_on_or_ended,
    a_repeated_answer_ends_with_its_session,
    an_intent_that_has_proved_itself_may_try_on,
);

async fn one_intent_sends_one_code(backend: Backend) {
    let app = TestApp::new(backend).await;
    let named = v1::RequestOtpRequest { request_id: request_id(), ..ask("09121234567") };
    let answers = join_all((0..8).map(|_| {
        let (mut auth, named) = (app.node().auth(), named.clone());
        async move { auth.request_otp(named).await.unwrap().into_inner().challenge.unwrap() }
    }));
    let mut answers = answers.await;
    app.advance(30);
    // Another spelling of the number is the same request.
    let respelled = v1::RequestOtpRequest { request_id: named.request_id.clone(), ..ask("+98 (912) 123-45-67") };
    answers.push(app.node().auth().request_otp(respelled).await.unwrap().into_inner().challenge.unwrap());
    answers.dedup();
    assert_eq!(answers.len(), 1);

    for identifier in [ask("09121234568").identifier, Some(mail_address("ali@example.com"))] {
        let other = v1::RequestOtpRequest { identifier, ..named.clone() };
        assert_eq!(refusal(app.node().auth().request_otp(other).await).reason, "REQUEST_ID_REUSED");
    }
    // What is sent after all of these comes after anything that they sent.
    let last = app.challenge("09121234569").await;
    app.code(&last.challenge_id).await;
    assert_eq!(app.messages_so_far(), 2);
    app.stop().await;
}

/// A challenge that has been answered, and the request that does it.
async fn answered(app: &TestApp, phone: &str) -> v1::LoginRequest {
    let id = app.challenge(phone).await.challenge_id;
    let code = app.code(&id).await;
    v1::LoginRequest { request_id: request_id(), ..login(&id, &code) }
}

async fn one_intent_opens_one_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = answered(&app, "09121234567").await;
    let first = app.node().auth().login(request.clone()).await.unwrap().into_inner();
    app.advance(200);
    let again = app.node().auth().login(request.clone()).await.unwrap().into_inner();
    assert!(first.created && again.created);
    let (first, again) = (first.tokens.unwrap(), again.tokens.unwrap());
    assert_eq!(first.refresh_token, again.refresh_token);
    assert_eq!(again.expires_in, 300);
    assert!(app.is_active(&first.access_token).await && app.is_active(&again.access_token).await);
    assert_eq!(app.rows("sessions").await, 1);
    // The code does not open the door under any other name.
    for request_id in [String::new(), request_id()] {
        let other = v1::LoginRequest { request_id, ..request.clone() };
        assert_eq!(refusal(app.node().auth().login(other).await).reason, "INVALID_CREDENTIALS");
    }
    assert_eq!((app.rows("sessions").await, app.rows("accounts").await), (1, 1));
    app.stop().await;
}

async fn fifty_tries_at_once_open_one_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = answered(&app, "09121234567").await;
    let answers = join_all((0..50).map(|_| {
        let (mut auth, request) = (app.node().auth(), request.clone());
        async move { auth.login(request).await.map(|answer| answer.into_inner().tokens.unwrap().refresh_token) }
    }));
    let mut tokens = Vec::new();
    for answer in answers.await {
        match answer {
            Ok(token) => tokens.push(token),
            // The limits on guesses hold even here; a try that they stopped is free to come again.
            Err(status) => {
                let told = details(&status);
                let soon = told.reason == "SIGN_IN_BLOCKED" && told.retry_seconds == Some(2);
                assert!(told.reason == "INVALID_CREDENTIALS" || soon, "{told:?}");
            }
        }
    }
    tokens.push(app.node().auth().login(request).await.unwrap().into_inner().tokens.unwrap().refresh_token);
    assert!(tokens.len() > 1);
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(app.rows("sessions").await, 1);
    app.stop().await;
}

async fn a_name_serves_for_one_sign_in_only(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = answered(&app, "09121234567").await;
    app.node().auth().login(first.clone()).await.unwrap();
    for phone in ["09121234567", "09121234568"] {
        let other = v1::LoginRequest { request_id: first.request_id.clone(), ..answered(&app, phone).await };
        assert_eq!(refusal(app.node().auth().login(other).await).reason, "REQUEST_ID_REUSED");
    }
    assert_eq!((app.rows("sessions").await, app.rows("accounts").await), (1, 1));
    app.stop().await;
}

async fn an_intent_is_not_answered_once_its_session_has_moved_on_or_ended(backend: Backend) {
    let app = TestApp::with(backend, &[("session.idle_lifetime", "1h")]).await;
    let moved = answered(&app, "09121234567").await;
    let tokens = app.node().auth().login(moved.clone()).await.unwrap().into_inner().tokens.unwrap();
    let refresh = v1::RefreshRequest { refresh_token: tokens.refresh_token, ..Default::default() };
    app.node().tokens().refresh(refresh).await.unwrap();

    let ended = answered(&app, "09121234568").await;
    let tokens = app.node().auth().login(ended.clone()).await.unwrap().into_inner().tokens.unwrap();
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &tokens.access_token)).await.unwrap();

    let expired = answered(&app, "09121234569").await;
    app.node().auth().login(expired.clone()).await.unwrap();
    for request in [moved, ended] {
        assert_eq!(refusal(app.node().auth().login(request).await).reason, "INVALID_CREDENTIALS");
    }
    app.advance(3599);
    app.node().auth().login(expired.clone()).await.unwrap();
    app.advance(1);
    assert_eq!(refusal(app.node().auth().login(expired).await).reason, "INVALID_CREDENTIALS");
    app.stop().await;
}

async fn a_repeated_answer_ends_with_its_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = answered(&app, "09121234567").await;
    app.node().auth().login(request.clone()).await.unwrap();
    app.advance(290);
    let late = app.node().auth().login(request).await.unwrap().into_inner().tokens.unwrap();
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &late.access_token)).await.unwrap();
    assert!(!app.is_active(&late.access_token).await);
    // Past the life of the first answer's access token, within that of the second's.
    app.advance(100);
    app.node().app().revocations.reconcile().await.unwrap();
    assert!(!app.is_active(&late.access_token).await);
    app.stop().await;
}

async fn an_intent_that_has_proved_itself_may_try_on(backend: Backend) {
    let app = TestApp::new(backend).await;
    let id = app.challenge("09121234567").await.challenge_id;
    let code = app.code(&id).await;
    let challenge: ChallengeId = id.parse().unwrap();
    let home = IpAddr::V4(Ipv4Addr::LOCALHOST).into();
    // Each of these was cut off before the database had answered.
    for _ in 0..20 {
        app.node().app().codes.redeem(challenge, &code, Purpose::SignIn, &[1; 32], home).await.unwrap();
    }
    app.node().app().codes.redeem(challenge, &code, Purpose::SignIn, &[2; 32], home).await.unwrap_err();
    app.stop().await;
}
