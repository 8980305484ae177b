//! Taking back by identifier, at a service's request.

use countersign::proto::v1;
use countersign::proto::v1::blacklist_request::Target;
use prost_types::Timestamp;

use super::{introspect, newcomer, reason, refresh, session_of, token_id};
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends, request_id};

on_both_backends!(
    one_token_is_taken_back,
    a_session_ends_for_good,
    an_accounts_tokens_are_taken_back_and_it_may_sign_in_anew,
    a_visitors_tokens_are_taken_back,
    what_is_taken_back_for_a_time_comes_back,
    a_malformed_request_is_told_so,
    blacklisting_needs_the_right,
);

async fn blacklist(
    app: &TestApp,
    target: Option<Target>,
    until: Option<i64>,
    reason: &str,
) -> Result<v1::BlacklistResponse, tonic::Status> {
    let until = until.map(|seconds| Timestamp { seconds, nanos: 0 });
    let request = v1::BlacklistRequest { target, reason: reason.to_owned(), until };
    app.node().tokens().blacklist(bearer(request, &app.api_key)).await.map(tonic::Response::into_inner)
}

async fn visitor(app: &TestApp, request_id: &str) -> v1::IssueAnonymousTokenResponse {
    let request = v1::IssueAnonymousTokenRequest { request_id: request_id.to_owned(), ..Default::default() };
    app.node().auth().issue_anonymous_token(request).await.unwrap().into_inner()
}

async fn one_token_is_taken_back(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    let target = Target::TokenId(token_id(&app, &person.access_token).to_string());
    let answer = blacklist(&app, Some(target), None, "a word, و یک کلمه").await.unwrap();
    assert_eq!(answer.revoked_at.unwrap().seconds, app.now().timestamp());
    let seen = introspect(&app, &person.access_token).await;
    assert_eq!(seen, v1::IntrospectResponse { as_of: seen.as_of, ..Default::default() });
    assert!(app.is_active(&next.access_token).await);
    // Somebody else's, or nobody's: it is taken back all the same, should it ever turn up.
    blacklist(&app, Some(Target::TokenId(request_id())), None, "").await.unwrap();
    app.stop().await;
}

async fn a_session_ends_for_good(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let session = session_of(&app, &person.access_token).to_string();
    let soon = app.now().timestamp() + 10;
    for _ in 0..2 {
        blacklist(&app, Some(Target::SessionId(session.clone())), Some(soon), "").await.unwrap();
    }
    app.advance(20);
    assert!(!app.is_active(&person.access_token).await);
    assert_eq!(reason(refresh(&app, &person.refresh_token).await), "SESSION_ENDED");
    blacklist(&app, Some(Target::SessionId(request_id())), None, "").await.unwrap();
    app.stop().await;
}

async fn an_accounts_tokens_are_taken_back_and_it_may_sign_in_anew(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (first, second) = (app.sign_in("09121234567").await, app.sign_in("09121234567").await);
    let bystander = newcomer(&app).await;
    blacklist(&app, Some(Target::AccountId(first.account_id.clone())), None, "").await.unwrap();
    for session in [&first, &second] {
        assert!(!app.is_active(&session.access_token).await);
        assert_eq!(reason(refresh(&app, &session.refresh_token).await), "SESSION_ENDED");
    }
    assert!(app.is_active(&bystander.access_token).await);
    app.advance(1);
    let anew = app.sign_in("09121234567").await;
    assert_eq!(anew.account_id, first.account_id);
    assert!(app.is_active(&anew.access_token).await);
    refresh(&app, &anew.refresh_token).await.unwrap();
    app.stop().await;
}

async fn a_visitors_tokens_are_taken_back(backend: Backend) {
    let app = TestApp::new(backend).await;
    let name = request_id();
    let (first, second) = (visitor(&app, &name).await, visitor(&app, &name).await);
    let other = visitor(&app, &request_id()).await;
    blacklist(&app, Some(Target::AccountId(first.anonymous_id.clone())), None, "").await.unwrap();
    assert!(!app.is_active(&first.access_token).await);
    assert!(!app.is_active(&second.access_token).await);
    assert!(app.is_active(&other.access_token).await);
    // For as long as such a token lives.
    app.advance(86_399);
    assert!(!app.is_active(&first.access_token).await);
    assert!(app.is_active(&other.access_token).await);
    app.stop().await;
}

async fn what_is_taken_back_for_a_time_comes_back(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let visitor = visitor(&app, &request_id()).await;
    let until = app.now().timestamp() + 60;
    let token = Target::TokenId(token_id(&app, &person.access_token).to_string());
    let account = Target::AccountId(visitor.anonymous_id.clone());
    for target in [token, account] {
        blacklist(&app, Some(target), Some(until), "").await.unwrap();
    }
    for (seconds, counts) in [(0, false), (59, false), (1, true)] {
        app.advance(seconds);
        assert_eq!(app.is_active(&person.access_token).await, counts);
        assert_eq!(app.is_active(&visitor.access_token).await, counts);
    }
    app.stop().await;
}

async fn a_malformed_request_is_told_so(backend: Backend) {
    let app = TestApp::new(backend).await;
    let now = app.now().timestamp();
    let good = || Some(Target::TokenId(request_id()));
    let long = "é".repeat(129);
    for (target, until, word, field) in [
        (None, None, "", "target"),
        (Some(Target::TokenId("x".to_owned())), None, "", "token_id"),
        (Some(Target::SessionId(String::new())), None, "", "session_id"),
        (Some(Target::AccountId("'; --".to_owned())), None, "", "account_id"),
        (good(), Some(now), "", "until"),
        (good(), Some(now - 1), "", "until"),
        (good(), Some(i64::MAX), "", "until"),
        (good(), None, long.as_str(), "reason"),
        (good(), None, "a\0b", "reason"),
    ] {
        let refused = details(&blacklist(&app, target, until, word).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec![field.to_owned()]));
    }
    assert!(app.node().app().replica.is_empty());
    app.stop().await;
}

async fn blacklisting_needs_the_right(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let target = Some(Target::SessionId(session_of(&app, &person.access_token).to_string()));
    let request = v1::BlacklistRequest { target, ..Default::default() };
    let outcome = app.node().tokens().blacklist(bearer(request.clone(), &person.access_token)).await;
    assert_eq!(reason(outcome), "PERMISSION_DENIED");
    assert_eq!(reason(app.node().tokens().blacklist(request).await), "CREDENTIALS_MISSING");
    assert!(app.is_active(&person.access_token).await);
    app.stop().await;
}
