//! Signing keys step by step, and the deletion of what has expired.

use countersign::proto::v1::{self, SigningKeyState as State};
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::database::execute;
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends};

on_both_backends!(
    a_key_is_published_long_before_it_signs,
    a_forced_rotation_signs_at_once_and_breaks_no_token,
    a_purge_deletes_what_has_expired_and_nothing_else,
    keys_that_cannot_be_read_are_told_of,
);

async fn rotate(app: &TestApp, force: bool) -> Result<v1::SigningKey, Status> {
    let request = bearer(v1::RotateSigningKeyRequest { force, revoke: false }, &app.api_key);
    app.node().admin().rotate_signing_key(request).await.map(|answer| answer.into_inner().key.unwrap())
}

/// Each key's name and state, newest first.
async fn keys(app: &TestApp) -> Vec<(String, State)> {
    let request = bearer(v1::ListSigningKeysRequest {}, &app.api_key);
    let keys = app.node().admin().list_signing_keys(request).await.unwrap().into_inner().keys;
    keys.into_iter().map(|key| (key.kid.clone(), key.state())).collect()
}

async fn published(app: &TestApp) -> Vec<String> {
    let keys = app.node().tokens().get_jwks(v1::GetJwksRequest {}).await.unwrap().into_inner().keys;
    keys.into_iter().map(|key| key.kid).collect()
}

async fn purge(app: &TestApp) -> v1::PurgeExpiredResponse {
    let request = bearer(v1::PurgeExpiredRequest {}, &app.api_key);
    app.node().admin().purge_expired(request).await.unwrap().into_inner()
}

async fn a_key_is_published_long_before_it_signs(backend: Backend) {
    let app = TestApp::with(backend, &[("keys.jwks_lifetime", "5m")]).await;
    let first = keys(&app).await.remove(0).0;
    let person = app.sign_in("09121234567").await;
    app.advance(60);

    let next = rotate(&app, false).await.unwrap();
    let usable_at = app.now().timestamp() + 600;
    assert_eq!((next.state(), next.usable_at.unwrap().seconds), (State::Pending, usable_at));
    assert_eq!((next.algorithm.as_str(), next.activated_at), ("ES256", None));
    assert_eq!(keys(&app).await, [(next.kid.clone(), State::Pending), (first.clone(), State::Active)]);
    let mut set = published(&app).await;
    set.sort_unstable();
    let mut both = [next.kid.clone(), first.clone()];
    both.sort_unstable();
    assert_eq!(set, both);

    for step in [0, 599] {
        app.advance(step);
        let refused = rotate(&app, false).await.unwrap_err();
        assert_eq!(details(&refused).reason, "KEY_ROTATION_UNSAFE");
        let violation = refused.get_details_precondition_failure().unwrap().violations.remove(0);
        assert_eq!((violation.r#type.as_str(), violation.subject.as_str()), ("PUBLISHED_LONG_ENOUGH", "signing key"));
        let when = chrono::DateTime::from_timestamp(usable_at, 0).unwrap().to_rfc3339();
        assert!(violation.description.contains(&when), "{}", violation.description);
    }
    app.advance(1);
    let active = rotate(&app, false).await.unwrap();
    assert_eq!((active.kid.as_str(), active.state()), (next.kid.as_str(), State::Active));
    assert_eq!(active.activated_at.unwrap().seconds, usable_at);
    assert_eq!(keys(&app).await, [(next.kid.clone(), State::Active), (first.clone(), State::Retired)]);

    let request = v1::RefreshRequest { refresh_token: person.refresh_token, ..Default::default() };
    let tokens = app.node().tokens().refresh(request).await.unwrap().into_inner().tokens.unwrap();
    assert!(app.is_active(&tokens.access_token).await);
    app.stop().await;
}

async fn a_forced_rotation_signs_at_once_and_breaks_no_token(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut tokens = vec![app.sign_in("09121234567").await.access_token];
    let mut kids = vec![keys(&app).await.remove(0).0];
    rotate(&app, false).await.unwrap();
    for _ in 0..3 {
        app.advance(10);
        let key = rotate(&app, true).await.unwrap();
        assert_eq!((key.state(), key.activated_at.unwrap().seconds), (State::Active, app.now().timestamp()));
        assert!(!kids.contains(&key.kid));
        kids.push(key.kid);
        tokens.push(app.sign_in("09121234567").await.access_token);
        for token in &tokens {
            assert!(app.is_active(token).await);
        }
    }
    let states: Vec<_> = keys(&app).await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [State::Active, State::Retired, State::Retired, State::Retired]);
    app.stop().await;
}

async fn a_purge_deletes_what_has_expired_and_nothing_else(backend: Backend) {
    let settings = [("session.idle_lifetime", "2h"), ("purge.event_retention", "1d")];
    let app = TestApp::with(backend, &settings).await;
    assert_eq!(purge(&app).await, v1::PurgeExpiredResponse::default());
    let leaving = app.sign_in("09121234567").await;
    app.sign_in("09121234567").await;
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &leaving.access_token)).await.unwrap();
    rotate(&app, true).await.unwrap();

    // What has just ended is kept for an hour: nodes with a slow clock may still look at it.
    app.advance(3_599);
    assert_eq!(purge(&app).await, v1::PurgeExpiredResponse::default());
    app.advance(1);
    assert_eq!(purge(&app).await, v1::PurgeExpiredResponse { sessions: 1, ..Default::default() });
    app.advance(305);
    assert_eq!(purge(&app).await, v1::PurgeExpiredResponse { revocations: 1, ..Default::default() });
    app.advance(2 * 3_600);
    let staying = app.sign_in("09121234568").await;
    assert_eq!(purge(&app).await, v1::PurgeExpiredResponse { sessions: 1, ..Default::default() });
    // The first key may have signed an anonymous token, which lives a day. Events are kept for a day as well.
    app.advance(86_400 + 3_600 - 11_105 - 1);
    // What waits in the outbox is kept.
    app.collected().await;
    let events = app.rows("events").await;
    let purged = purge(&app).await;
    assert_eq!((purged.sessions, purged.revocations, purged.signing_keys), (1, 0, 0));
    // The last account and its session are younger, and so are four purges, this one included.
    assert_eq!((purged.events, app.rows("events").await), (events - 5, 6));
    assert!(!app.is_active(&staying.access_token).await);
    app.advance(1);
    app.collected().await;
    assert_eq!(purge(&app).await, v1::PurgeExpiredResponse { signing_keys: 1, events: 1, ..Default::default() });
    assert_eq!(keys(&app).await.len(), 1);
    assert_eq!(app.rows("accounts").await, 2);
    app.stop().await;
}

async fn keys_that_cannot_be_read_are_told_of(backend: Backend) {
    let app = TestApp::new(backend).await;
    let node = app.node().app();
    let unread = || -> f64 {
        let figures = node.figures().unwrap();
        let found = figures.lines().find_map(|line| line.strip_prefix("countersign_signing_keys_unread_seconds "));
        found.unwrap().parse().unwrap()
    };
    let broken = "UPDATE signing_keys SET state = 'retired' WHERE state = 'active'";
    assert_eq!(execute(&node.store, broken, &[]).await, 1);
    app.advance(300);
    node.keyring.reload().await.unwrap_err();
    assert!(unread() >= 300.0, "{}", unread());
    execute(&node.store, "UPDATE signing_keys SET state = 'active'", &[]).await;
    node.keyring.reload().await.unwrap();
    assert!(unread() < 1.0, "{}", unread());
    app.stop().await;
}
