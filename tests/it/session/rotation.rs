//! Signing keys that change while tokens are around.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use countersign::model::Cause;
use countersign::proto::v1;

use super::{newcomer, reason, refresh, refresh_on};
use crate::harness::{Backend, TestApp, bearer, figure, has_services, on_both_backends};

on_both_backends!(
    a_retired_key_verifies_what_it_signed,
    a_key_signs_once_everybody_can_know_it,
    a_leaked_key_takes_its_tokens_with_it_and_sessions_go_on,
);

async fn rotate(app: &TestApp, force: bool) -> Result<v1::SigningKey, tonic::Status> {
    let request = bearer(v1::RotateSigningKeyRequest { force, revoke: false }, &app.api_key);
    app.node().admin().rotate_signing_key(request).await.map(|answer| answer.into_inner().key.unwrap())
}

fn kid(app: &TestApp, token: &str) -> String {
    app.node().app().access.known(token).unwrap().kid.clone()
}

async fn a_retired_key_verifies_what_it_signed(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let mut tokens = vec![person.access_token.clone()];
    let mut refresh_token = person.refresh_token;
    for _ in 0..3 {
        let key = rotate(&app, true).await.unwrap();
        assert_eq!(key.state(), v1::SigningKeyState::Active);
        let next = refresh(&app, &refresh_token).await.unwrap();
        refresh_token = next.refresh_token;
        assert_eq!(kid(&app, &next.access_token), key.kid);
        tokens.push(next.access_token);
        for token in &tokens {
            assert!(app.is_active(token).await);
        }
    }
    let jwks = app.node().tokens().get_jwks(v1::GetJwksRequest {}).await.unwrap().into_inner();
    assert_eq!(jwks.keys.len(), 4);
    app.stop().await;
}

async fn a_key_signs_once_everybody_can_know_it(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = kid(&app, &newcomer(&app).await.access_token);
    let pending = rotate(&app, false).await.unwrap();
    assert_eq!(pending.state(), v1::SigningKeyState::Pending);
    assert_eq!(pending.usable_at.unwrap().seconds, app.now().timestamp() + 600);
    let jwks = app.node().tokens().get_jwks(v1::GetJwksRequest {}).await.unwrap().into_inner();
    assert!(jwks.keys.iter().any(|key| key.kid == pending.kid));
    app.advance(599);
    assert_eq!(reason(rotate(&app, false).await), "KEY_ROTATION_UNSAFE");
    assert_eq!(kid(&app, &newcomer(&app).await.access_token), first);
    app.advance(1);
    assert_eq!(rotate(&app, false).await.unwrap().kid, pending.kid);
    assert_eq!(kid(&app, &newcomer(&app).await.access_token), pending.kid);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_forced_elsewhere_is_known_when_its_token_arrives() {
    if !has_services() {
        return;
    }
    // No comparison comes to the node's help, and nothing is announced.
    let settings = [("revocation.reconcile_every", "30s"), ("revocation.bound", "1m")];
    let app = TestApp::cluster(Backend::Shared, 2, &settings).await;
    for _ in 0..3 {
        app.advance(2);
        let person = newcomer(&app).await;
        app.nodes[0].app().keyring.rotate(countersign::token::Haste::Forced, &Cause::system(app.now())).await.unwrap();
        let next = refresh_on(&app.nodes[0], &person.refresh_token, "").await.unwrap();
        assert!(app.is_active_on(1, &next.access_token).await);
        assert!(app.is_active_on(1, &person.access_token).await);

        // The same where the token is the credential itself.
        app.advance(2);
        app.nodes[0].app().keyring.rotate(countersign::token::Haste::Forced, &Cause::system(app.now())).await.unwrap();
        let next = refresh_on(&app.nodes[0], &next.refresh_token, "").await.unwrap();
        let request = bearer(v1::GetProfileRequest {}, &next.access_token);
        app.nodes[1].accounts().get_profile(request).await.unwrap();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t12_rotations_under_load_refuse_nobody() {
    if !has_services() {
        return;
    }
    let app = TestApp::cluster(Backend::Shared, 2, &[("token.access_lifetime", "2h")]).await;
    let (done, asked, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let first = newcomer(&app).await;
    let load = async |issuer: usize| {
        let mut refresh_token = newcomer(&app).await.refresh_token;
        while !done.load(Ordering::SeqCst) {
            let next = refresh_on(&app.nodes[issuer], &refresh_token, "").await.unwrap();
            refresh_token = next.refresh_token;
            for token in [&next.access_token, &first.access_token] {
                for node in 0..2 {
                    asked.fetch_add(1, Ordering::SeqCst);
                    refused.fetch_add(usize::from(!app.is_active_on(node, token).await), Ordering::SeqCst);
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
            rotate(&app, false).await.unwrap();
            wait_for(figure(1_000, 100)).await;
            app.advance(600);
            rotate(&app, false).await.unwrap();
            wait_for(figure(1_000, 100)).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(rotations, load(0), load(1));
    let (asked, refused) = (asked.into_inner(), refused.into_inner());
    eprintln!("T12: 5 rotations, {asked} answers, {refused} false refusals");
    assert_eq!(refused, 0);
    app.stop().await;
}

async fn a_leaked_key_takes_its_tokens_with_it_and_sessions_go_on(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    assert!(app.is_active(&person.access_token).await);
    let leaked = v1::RotateSigningKeyRequest { force: false, revoke: true };
    let answer = app.node().admin().rotate_signing_key(bearer(leaked, &app.api_key)).await.unwrap().into_inner();

    assert!(!app.is_active(&person.access_token).await);
    let jwks = app.node().tokens().get_jwks(v1::GetJwksRequest {}).await.unwrap().into_inner();
    let kids: Vec<_> = jwks.keys.into_iter().map(|key| key.kid).collect();
    assert_eq!(kids, [answer.key.unwrap().kid]);
    let request = v1::RefreshRequest { refresh_token: person.refresh_token, ..Default::default() };
    let next = app.node().tokens().refresh(request).await.unwrap().into_inner().tokens.unwrap();
    assert!(app.is_active(&next.access_token).await);
    app.stop().await;
}
