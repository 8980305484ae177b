//! Taking a token back (RFC 7009): by its holder, or by a service that may.

use countersign::proto::v1;

use super::{newcomer, reason, refresh, session_of};
use crate::harness::{Backend, Person, TestApp, bearer, details, figure, on_both_backends};

on_both_backends!(
    an_access_token_is_taken_back_by_itself,
    a_refresh_token_takes_its_session_along,
    what_is_unknown_changes_nothing_and_succeeds,
    a_service_takes_any_token_back,
    revoking_needs_a_right,
    v6_what_is_not_ones_own_stays,
);

async fn revoke(app: &TestApp, credential: &str, token: &str) -> Result<(), tonic::Status> {
    let request = v1::RevokeRequest { token: token.to_owned(), ..Default::default() };
    app.node().tokens().revoke(bearer(request, credential)).await.map(drop)
}

async fn an_access_token_is_taken_back_by_itself(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    revoke(&app, &next.access_token, &person.access_token).await.unwrap();
    assert!(!app.is_active(&person.access_token).await);
    assert!(app.is_active(&next.access_token).await);
    // Taken back, it is no credential either; the session goes on.
    assert_eq!(reason(revoke(&app, &person.access_token, &next.access_token).await), "ACCESS_TOKEN_INVALID");
    revoke(&app, &next.access_token, &person.access_token).await.unwrap();
    refresh(&app, &next.refresh_token).await.unwrap();
    app.stop().await;
}

async fn a_refresh_token_takes_its_session_along(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    // A wrong hint costs nothing.
    let hint = v1::TokenTypeHint::AccessToken.into();
    let request = v1::RevokeRequest { token: person.refresh_token.clone(), token_type_hint: hint };
    app.node().tokens().revoke(bearer(request, &next.access_token)).await.unwrap();
    assert!(!app.is_active(&person.access_token).await);
    assert!(!app.is_active(&next.access_token).await);
    assert_eq!(reason(refresh(&app, &next.refresh_token).await), "SESSION_ENDED");
    app.stop().await;
}

async fn what_is_unknown_changes_nothing_and_succeeds(backend: Backend) {
    let app = TestApp::new(backend).await;
    let other = TestApp::new(backend).await;
    let (person, foreign) = (newcomer(&app).await, newcomer(&other).await);
    let never_opened = app.node().app().sessions.refresh_tokens.seal(session_of(&other, &foreign.access_token), 1);
    for token in ["x", "csr_", "a.b.c", &"x".repeat(8_192), &foreign.access_token, &foreign.refresh_token] {
        revoke(&app, &person.access_token, token).await.unwrap();
        revoke(&app, &app.api_key, token).await.unwrap();
    }
    revoke(&app, &app.api_key, never_opened.expose()).await.unwrap();
    for token in ["", &"x".repeat(8_193)] {
        let refused = details(&revoke(&app, &app.api_key, token).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["token".to_owned()]));
    }
    assert!(app.is_active(&person.access_token).await);
    assert!(app.node().app().replica.is_empty());
    app.stop().await;
    other.stop().await;
}

async fn a_service_takes_any_token_back(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (first, second) = (newcomer(&app).await, newcomer(&app).await);
    revoke(&app, &app.api_key, &first.access_token).await.unwrap();
    assert!(!app.is_active(&first.access_token).await);
    refresh(&app, &first.refresh_token).await.unwrap();
    revoke(&app, &app.api_key, &second.refresh_token).await.unwrap();
    assert!(!app.is_active(&second.access_token).await);
    assert_eq!(reason(refresh(&app, &second.refresh_token).await), "SESSION_ENDED");
    // An expired token needs no row.
    app.advance(3_600);
    let late = newcomer(&app).await;
    app.advance(400);
    let before = app.node().app().replica.len();
    revoke(&app, &app.api_key, &late.access_token).await.unwrap();
    assert_eq!(app.node().app().replica.len(), before);
    app.stop().await;
}

async fn revoking_needs_a_right(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let request = v1::RevokeRequest { token: person.access_token.clone(), ..Default::default() };
    assert_eq!(reason(app.node().tokens().revoke(request).await), "CREDENTIALS_MISSING");
    let create = v1::CreateCallerRequest {
        name: "reader".to_owned(),
        permissions: vec![v1::Permission::Introspect.into()],
        ..Default::default()
    };
    let reader = app.node().admin().create_caller(bearer(create, &app.api_key)).await.unwrap().into_inner().api_key;
    assert_eq!(reason(revoke(&app, &reader, &person.access_token).await), "PERMISSION_DENIED");
    assert_eq!(reason(revoke(&app, "csk_unknown", &person.access_token).await), "API_KEY_INVALID");
    assert!(app.is_active(&person.access_token).await);
    app.stop().await;
}

async fn v6_what_is_not_ones_own_stays(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.anonymous_per_network.count", "100000")]).await;
    let attacker = newcomer(&app).await;
    let mut victims: Vec<Person> = Vec::new();
    for _ in 0..10 {
        victims.push(newcomer(&app).await);
    }
    let request = v1::IssueAnonymousTokenRequest::default();
    let visitor = app.node().auth().issue_anonymous_token(request).await.unwrap().into_inner().access_token;
    let rounds = figure(1_000, 200) / (victims.len() * 4);
    let mut tried = 0;
    for _ in 0..rounds {
        for victim in &victims {
            for credential in [&attacker.access_token, &visitor] {
                for token in [&victim.access_token, &victim.refresh_token] {
                    revoke(&app, credential, token).await.unwrap();
                    tried += 1;
                }
            }
        }
    }
    let mut revoked = 0;
    for victim in &victims {
        revoked += usize::from(!app.is_active(&victim.access_token).await);
        refresh(&app, &victim.refresh_token).await.unwrap();
    }
    eprintln!("V6: {tried} foreign revocations, {revoked} revoked");
    assert_eq!(revoked, 0);
    app.stop().await;
}
