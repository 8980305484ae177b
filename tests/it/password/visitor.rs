//! Anonymous visitors who become somebody.

use countersign::proto::v1;
use countersign::proto::v1::OtpPurpose;
use countersign::proto::v1::continue_sign_in_request::Input;
use futures_util::future::join_all;
use tonic::Request;

use super::{OTHER, PASSWORD, UNLIMITED, challenge, registration, somebody, with_password};
use crate::auth::other_code;
use crate::harness::{Backend, TestApp, bearer, figure, login, on_both_backends, phone_number, request_id, storm};

on_both_backends!(
    a_visitor_becomes_somebody_however_they_sign_in,
    only_a_visitors_living_token_links,
    o16_without_proof_no_visitor_becomes_anybody,
);

async fn visitor(app: &TestApp) -> (String, String) {
    let answer = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let answer = answer.into_inner();
    (answer.anonymous_id, answer.access_token)
}

async fn a_visitor_becomes_somebody_however_they_sign_in(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (registered, first) = visitor(&app).await;
    let request = registration(&app, phone_number("09121234567")).await;
    let request = v1::RegisterRequest { password: PASSWORD.to_owned(), ..request };
    let answer = app.node().auth().register(bearer(request, &first)).await.unwrap().into_inner();
    assert_eq!(answer.upgraded_from, registered);

    let (by_password, second) = visitor(&app).await;
    let request = v1::LoginRequest { request_id: request_id(), ..with_password(phone_number("09121234567"), PASSWORD) };
    let answer = app.node().auth().login(bearer(request.clone(), &second)).await.unwrap().into_inner();
    assert_eq!(answer.upgraded_from, by_password);
    // A repetition says the same, although the token has died.
    let again = app.node().auth().login(bearer(request, &second)).await.unwrap().into_inner();
    assert_eq!(again.upgraded_from, by_password);
    assert_eq!(again.tokens.unwrap().refresh_token, answer.tokens.unwrap().refresh_token);

    let (by_code, third) = visitor(&app).await;
    let id = app.challenge("09121234567").await.challenge_id;
    let request = login(&id, &app.code(&id).await);
    let answer = app.node().auth().login(bearer(request, &third)).await.unwrap().into_inner();
    assert_eq!(answer.upgraded_from, by_code);

    for (visitor, token) in [(registered, first), (by_password, second), (by_code, third)] {
        assert!(!app.is_active(&token).await);
        let told = format!("events WHERE kind = 'session.created' AND detail = 'upgraded_from={visitor}'");
        assert_eq!(app.rows(&told).await, 1);
    }
    app.stop().await;
}

async fn only_a_visitors_living_token_links(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap().access_token;
    let (_, dead) = visitor(&app).await;
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &dead)).await.unwrap();
    let (_, old) = visitor(&app).await;
    for token in [person.as_str(), dead.as_str(), "x.y.z", old.as_str()] {
        if token == old {
            app.advance(86_500);
        }
        let request = bearer(with_password(phone_number("09121234567"), PASSWORD), token);
        let answer = app.node().auth().login(request).await.unwrap().into_inner();
        assert_eq!(answer.upgraded_from, "", "{token}");
    }
    let bare = Request::new(with_password(phone_number("09121234567"), PASSWORD));
    assert_eq!(app.node().auth().login(bare).await.unwrap().into_inner().upgraded_from, "");
    app.stop().await;
}

/// Threat O16: proof first, by every way in; and the token that was upgraded is dead, however often it comes.
async fn o16_without_proof_no_visitor_becomes_anybody(backend: Backend) {
    let _storm = storm().await;
    let settings: Vec<_> = UNLIMITED.iter().copied().chain([("limits.codes_per_prefix.count", "1000000")]).collect();
    let app = TestApp::with(backend, &settings).await;
    somebody(&app, "09121234567", PASSWORD).await;
    let (id, token) = visitor(&app).await;
    let auth = || app.node().auth();
    let rounds = figure(250, 10);
    for round in 0..rounds {
        let phone = if round % 2 == 0 { "09121234567" } else { "09121234568" };
        auth().login(bearer(with_password(phone_number(phone), OTHER), &token)).await.unwrap_err();
        let wrong = challenge(&app, phone_number(phone), OtpPurpose::SignIn).await.challenge_id;
        let code = other_code(&app.code(&wrong).await, 1);
        auth().login(bearer(login(&wrong, &code), &token)).await.unwrap_err();
        let request = registration(&app, phone_number(phone)).await;
        let code = other_code(&request.code, 1);
        auth().register(bearer(v1::RegisterRequest { code, ..request }, &token)).await.unwrap_err();
        let begin = v1::BeginSignInRequest { identifier: Some(phone_number(phone)), ..Default::default() };
        let step = auth().begin_sign_in(begin).await.unwrap().into_inner().step.unwrap();
        let code = app.code(&step.challenge.unwrap().challenge_id).await;
        let input = Some(Input::Code(other_code(&code, 1)));
        let next = v1::ContinueSignInRequest { flow_id: step.flow_id, input, client: None };
        auth().continue_sign_in(bearer(next, &token)).await.unwrap_err();
    }
    assert_eq!(app.rows("sessions WHERE upgraded_from IS NOT NULL").await, 0);
    assert!(app.is_active(&token).await);

    // With a proof, once; the token is dead afterwards.
    let request = bearer(with_password(phone_number("09121234567"), PASSWORD), &token);
    assert_eq!(auth().login(request).await.unwrap().into_inner().upgraded_from, id);
    assert!(!app.is_active(&token).await);
    let replays = join_all((0..figure(1_000, 20)).map(|_| {
        let request = bearer(with_password(phone_number("09121234567"), PASSWORD), &token);
        let mut auth = auth();
        async move { auth.login(request).await.map(|answer| answer.into_inner().upgraded_from) }
    }))
    .await;
    assert!(replays.iter().flatten().all(String::is_empty));
    assert_eq!(app.rows("sessions WHERE upgraded_from IS NOT NULL").await, 1);
    eprintln!(
        "O16: {} sign-ins without proof, 0 upgrades; {} replays of a dead token, 0 upgrades",
        4 * rounds,
        replays.len()
    );
    app.stop().await;
}
