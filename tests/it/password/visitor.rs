//! Anonymous visitors who become somebody.

use countersign::proto::v1;
use tonic::Request;

use super::{PASSWORD, registration, somebody, with_password};
use crate::harness::{Backend, TestApp, bearer, login, on_both_backends, phone_number, request_id};

on_both_backends!(a_visitor_becomes_somebody_however_they_sign_in, only_a_visitors_living_token_links);

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
