//! Visitors without an account: told apart, counted, and allowed nothing that is for people.

use countersign::proto::v1;
use futures_util::future::join_all;

use super::{refusal, seconds};
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends, request_id};

on_both_backends!(
    a_visitor_gets_a_token_that_says_so,
    one_intent_is_one_visitor,
    a_network_gets_so_many_and_no_more,
    a_visitor_may_not_do_what_is_for_people,
);

async fn welcome(app: &TestApp, intent: &str) -> v1::IssueAnonymousTokenResponse {
    let request = v1::IssueAnonymousTokenRequest { request_id: intent.to_owned(), ..Default::default() };
    app.node().auth().issue_anonymous_token(request).await.unwrap().into_inner()
}

async fn introspect(app: &TestApp, token: &str) -> v1::IntrospectResponse {
    let request = v1::IntrospectRequest { token: token.to_owned(), ..Default::default() };
    app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap().into_inner()
}

async fn a_visitor_gets_a_token_that_says_so(backend: Backend) {
    let app = TestApp::with(backend, &[("token.anonymous_scopes", "browse,read")]).await;
    let visitor = welcome(&app, "").await;
    let now = app.now().timestamp();
    assert_eq!((visitor.expires_in, seconds(visitor.access_expires_at)), (86_400, now + 86_400));
    let seen = introspect(&app, &visitor.access_token).await;
    assert!(seen.active && seen.anonymous);
    assert_eq!((seen.sub.as_str(), seen.sid.as_str()), (visitor.anonymous_id.as_str(), ""));
    assert_eq!((seen.scope.as_str(), seen.expires_in), ("browse read", 86_400));
    assert!(seen.amr.is_empty() && seen.roles.is_empty());
    app.advance(86_400 + 6);
    assert!(!app.is_active(&visitor.access_token).await);
    assert_eq!((app.rows("accounts").await, app.rows("sessions").await), (0, 0));
    app.stop().await;
}

async fn one_intent_is_one_visitor(backend: Backend) {
    let app = TestApp::new(backend).await;
    let intent = request_id();
    let mut visitors = join_all((0..50).map(|_| welcome(&app, &intent))).await;
    app.advance(3_600);
    visitors.push(welcome(&app, &intent).await);
    for visitor in &visitors {
        assert_eq!(visitor.anonymous_id, visitors[0].anonymous_id);
        assert!(app.is_active(&visitor.access_token).await);
    }
    let others = [welcome(&app, "").await, welcome(&app, "").await, welcome(&app, &request_id()).await];
    for other in &others {
        assert_ne!(other.anonymous_id, visitors[0].anonymous_id);
    }
    assert_ne!(others[0].anonymous_id, others[1].anonymous_id);
    app.stop().await;
}

async fn a_network_gets_so_many_and_no_more(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.anonymous_per_network.count", "3")]).await;
    for _ in 0..3 {
        welcome(&app, "").await;
    }
    let request = v1::IssueAnonymousTokenRequest::default();
    let refused = refusal(app.node().auth().issue_anonymous_token(request.clone()).await);
    assert_eq!((refused.reason.as_str(), refused.retry_seconds), ("RATE_LIMITED", Some(3_600)));
    // Another network has its own; so does this one in an hour.
    let client = v1::ClientContext { ip: "192.0.2.1".to_owned(), ..Default::default() };
    let elsewhere = v1::IssueAnonymousTokenRequest { client: Some(client), ..request };
    app.node().auth().issue_anonymous_token(bearer(elsewhere, &app.api_key)).await.unwrap();
    app.advance(3_600);
    welcome(&app, "").await;
    app.stop().await;
}

async fn a_visitor_may_not_do_what_is_for_people(backend: Backend) {
    let app = TestApp::new(backend).await;
    let token = welcome(&app, "").await.access_token;
    let (mut accounts, mut auth) = (app.node().accounts(), app.node().auth());
    let session = v1::RevokeSessionRequest { session_id: request_id() };
    let refusals = [
        accounts.get_profile(bearer(v1::GetProfileRequest {}, &token)).await.unwrap_err(),
        accounts.list_sessions(bearer(v1::ListSessionsRequest::default(), &token)).await.unwrap_err(),
        accounts.revoke_session(bearer(session, &token)).await.unwrap_err(),
        auth.logout_all(bearer(v1::LogoutAllRequest::default(), &token)).await.unwrap_err(),
    ];
    for status in refusals {
        assert_eq!(details(&status).reason, "PERMISSION_DENIED");
    }
    auth.logout(bearer(v1::LogoutRequest::default(), &token)).await.unwrap();
    assert!(!app.is_active(&token).await);
    let ended = refusal(auth.logout(bearer(v1::LogoutRequest::default(), &token)).await);
    assert_eq!(ended.reason, "ACCESS_TOKEN_INVALID");
    app.stop().await;
}
