//! Signing out: one session, all of them, all but one.

use countersign::proto::v1;

use super::{log_out, newcomer, reason, refresh};
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends};

on_both_backends!(
    a_refresh_token_ends_its_session,
    an_access_token_ends_its_session,
    an_anonymous_token_is_taken_back_by_itself,
    signing_out_needs_a_token,
    all_devices_are_signed_out,
    all_other_devices_are_signed_out,
    signing_out_everywhere_leaves_no_access_token_behind,
);

fn by_refresh_token(token: &str) -> v1::LogoutRequest {
    v1::LogoutRequest { refresh_token: token.to_owned() }
}

async fn a_refresh_token_ends_its_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let bystander = newcomer(&app).await;
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    // Replaced or current, and again when it has ended.
    for token in [&person.refresh_token, &next.refresh_token, &next.refresh_token] {
        app.node().auth().logout(by_refresh_token(token)).await.unwrap();
        assert!(!app.is_active(&person.access_token).await);
        assert!(!app.is_active(&next.access_token).await);
        assert_eq!(reason(refresh(&app, &next.refresh_token).await), "SESSION_ENDED");
    }
    // The refresh token says whose session ends, not the access token beside it.
    let request = bearer(by_refresh_token(&next.refresh_token), &bystander.access_token);
    app.node().auth().logout(request).await.unwrap();
    assert!(app.is_active(&bystander.access_token).await);
    for token in ["csr_", "x", &bystander.access_token, &"x".repeat(600)] {
        let outcome = app.node().auth().logout(by_refresh_token(token)).await;
        assert_eq!(reason(outcome), "REFRESH_TOKEN_INVALID", "{token}");
    }
    app.stop().await;
}

async fn an_access_token_ends_its_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    log_out(&app, &person.access_token).await;
    assert!(!app.is_active(&next.access_token).await);
    assert_eq!(reason(refresh(&app, &next.refresh_token).await), "SESSION_ENDED");
    // The token proves nothing any more, not even that there was a session.
    let outcome = app.node().auth().logout(bearer(v1::LogoutRequest::default(), &person.access_token)).await;
    assert_eq!(reason(outcome), "ACCESS_TOKEN_INVALID");
    app.stop().await;
}

async fn an_anonymous_token_is_taken_back_by_itself(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = v1::IssueAnonymousTokenRequest { request_id: crate::harness::request_id(), ..Default::default() };
    let first = app.node().auth().issue_anonymous_token(request.clone()).await.unwrap().into_inner();
    let second = app.node().auth().issue_anonymous_token(request).await.unwrap().into_inner();
    assert_eq!(first.anonymous_id, second.anonymous_id);
    log_out(&app, &first.access_token).await;
    assert!(!app.is_active(&first.access_token).await);
    assert!(app.is_active(&second.access_token).await);
    let outcome = app.node().auth().logout_all(bearer(v1::LogoutAllRequest::default(), &second.access_token)).await;
    assert_eq!(reason(outcome), "PERMISSION_DENIED");
    app.stop().await;
}

async fn signing_out_needs_a_token(backend: Backend) {
    let app = TestApp::new(backend).await;
    assert_eq!(reason(app.node().auth().logout(v1::LogoutRequest::default()).await), "CREDENTIALS_MISSING");
    let request = bearer(v1::LogoutRequest::default(), &app.api_key);
    assert_eq!(reason(app.node().auth().logout(request).await), "CREDENTIALS_MISSING");
    assert_eq!(reason(app.node().auth().logout_all(v1::LogoutAllRequest::default()).await), "CREDENTIALS_MISSING");
    let outcome = app.node().auth().logout_all(bearer(v1::LogoutAllRequest::default(), "garbage")).await;
    assert_eq!(details(&outcome.unwrap_err()).reason, "ACCESS_TOKEN_INVALID");
    app.stop().await;
}

async fn all_devices_are_signed_out(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(app.sign_in("09121234567").await);
    }
    let other = app.sign_in("09127654321").await;
    let request = bearer(v1::LogoutAllRequest::default(), &devices[1].access_token);
    assert_eq!(app.node().auth().logout_all(request).await.unwrap().into_inner().ended, 3);
    for device in &devices {
        assert!(!app.is_active(&device.access_token).await);
        assert_eq!(reason(refresh(&app, &device.refresh_token).await), "SESSION_ENDED");
    }
    assert!(app.is_active(&other.access_token).await);
    // One may come back at once.
    assert!(app.is_active(&app.sign_in("09121234567").await.access_token).await);
    app.stop().await;
}

async fn all_other_devices_are_signed_out(backend: Backend) {
    let app = TestApp::new(backend).await;
    let this = app.sign_in("09121234567").await;
    let other = app.sign_in("09121234567").await;
    let request = bearer(v1::LogoutAllRequest { keep_current: true }, &this.access_token);
    assert_eq!(app.node().auth().logout_all(request).await.unwrap().into_inner().ended, 1);
    assert!(app.is_active(&this.access_token).await);
    assert!(!app.is_active(&other.access_token).await);
    assert_eq!(reason(refresh(&app, &other.refresh_token).await), "SESSION_ENDED");
    refresh(&app, &this.refresh_token).await.unwrap();
    app.stop().await;
}

async fn signing_out_everywhere_leaves_no_access_token_behind(backend: Backend) {
    let settings = [("session.idle_lifetime", "60s"), ("token.access_lifetime", "60s"), ("token.leeway", "5s")];
    let app = TestApp::with(backend, &settings).await;
    let early = app.sign_in("09121234567").await;
    app.advance(30);
    let late = app.sign_in("09121234567").await;
    // The first session has expired, but clocks may differ, and so its token is still let through.
    app.advance(32);
    assert!(app.is_active(&early.access_token).await);
    app.node().auth().logout_all(bearer(v1::LogoutAllRequest::default(), &late.access_token)).await.unwrap();
    assert!(!app.is_active(&early.access_token).await);
    app.stop().await;
}
