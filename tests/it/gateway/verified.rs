//! Envoy verifies tokens by itself with the public keys, also while keys rotate (T12).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign::proto::v1;
use tokio::time::sleep;

use super::envoy::{Envoy, SETTINGS};
use super::exchange::{get, get_as};
use super::upstream::values;
use crate::harness::{Backend, TestApp, bearer, details, figure, on_both_backends, storm};

on_both_backends!(what_is_signed_by_our_keys_passes, a_visitor_is_nobody_there, t12_rotations_under_load_refuse_nobody);

/// Asks until Envoy has the keys.
async fn has_keys(envoy: &Envoy, token: &str) {
    for _ in 0..200 {
        if get_as(envoy.verified, "/", token).await.status == 200 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("Envoy has not got the keys: {:?}", get_as(envoy.verified, "/", token).await);
}

async fn what_is_signed_by_our_keys_passes(backend: Backend) {
    // Envoy has a clock of its own.
    let app = TestApp::today(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    has_keys(&envoy, &person.access_token).await;
    let bearer = format!("Bearer {}", person.access_token);
    let spoofed = [("authorization", bearer.as_str()), ("x-auth-subject", "somebody"), ("x-auth-roles", "admin")];
    let answer = get(envoy.verified, "/", &spoofed).await;
    assert_eq!(values(&answer, "x-auth-subject"), [person.account_id.as_str()]);
    assert!(values(&answer, "x-auth-roles").is_empty());
    let reached = envoy.application.reached();
    assert_eq!(get(envoy.verified, "/", &[("x-auth-subject", "somebody")]).await.status, 401);
    let (signed, signature) = person.access_token.rsplit_once('.').unwrap();
    let altered: String = signature.chars().rev().collect();
    for token in ["a.b.c", &format!("{signed}.{altered}"), &format!("{signed}."), &person.refresh_token] {
        assert_eq!(get_as(envoy.verified, "/", token).await.status, 401, "{token}");
    }
    // What is let through to the service must not lead to the application.
    for path in [
        "/countersign.v1.TokenService/Introspect",
        "/countersign.v1.AuthService",
        "/countersign.v1.AuthService/../orders",
        "/countersign.v1.AuthService%2f..%2forders",
        "//countersign.v1.AuthService/..//orders",
    ] {
        let status = get(envoy.verified, path, &[]).await.status;
        assert!([400, 401].contains(&status), "{path}: {status}");
    }
    assert_eq!(envoy.application.reached(), reached);
    app.stop().await;
}

async fn a_visitor_is_nobody_there(backend: Backend) {
    let app = TestApp::today(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    has_keys(&envoy, &person.access_token).await;
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let token = visitor.into_inner().access_token;
    let bearer = format!("Bearer {token}");
    let bearer = ("authorization", bearer.as_str());
    let reached = envoy.application.reached();
    for own in [&[][..], &[("x-auth-anonymous", "false")], &[("x-auth-subject", person.account_id.as_str())]] {
        for path in ["/", "/catalogue/1", "/countersign.v1.TokenService/Introspect"] {
            assert_eq!(get(envoy.verified, path, &[&[bearer], own].concat()).await.status, 403, "{path} {own:?}");
        }
    }
    assert_eq!(envoy.application.reached(), reached);
    let bearer = format!("Bearer {}", person.access_token);
    let spoofed = [("authorization", bearer.as_str()), ("x-auth-anonymous", "true")];
    let answer = get(envoy.verified, "/", &spoofed).await;
    assert_eq!(values(&answer, "x-auth-subject"), [person.account_id.as_str()]);
    assert!(values(&answer, "x-auth-anonymous").is_empty());
    app.stop().await;
}

/// How long the key set may be kept in this test. Envoy is told to keep it for less.
const LIFETIME: i64 = 4;

async fn t12_rotations_under_load_refuse_nobody(backend: Backend) {
    // Two Envoys that ask without a pause leave so little to the database that it does not answer in time.
    let _alone = storm().await;
    let lifetime = format!("{LIFETIME}s");
    let settings = [SETTINGS, &[("keys.jwks_lifetime", lifetime.as_str())]].concat();
    let app = Arc::new(TestApp::today(backend, &settings).await);
    let shorter = [("cache_duration: 60s", "cache_duration: 1s".to_owned())];
    let Some(envoy) = Envoy::start(app.node().grpc, app.node().http, &app.api_key, &shorter).await else { return };
    let token = Arc::new(parking_lot::Mutex::new(app.sign_in("09121234567").await));
    let first = token.lock().access_token.clone();
    has_keys(&envoy, &first).await;

    let (done, asked, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let load = async {
        while !done.load(Ordering::SeqCst) {
            let current = token.lock().access_token.clone();
            let status = get_as(envoy.verified, "/", &current).await.status;
            asked.fetch_add(1, Ordering::SeqCst);
            refused.fetch_add(usize::from(status != 200), Ordering::SeqCst);
        }
    };
    let rotations = figure(5, 2);
    let rotating = async {
        for number in 0..rotations {
            // The test's clock goes as the world's does, so that a key is published for as long as it should be.
            rotate(&app).await;
            for _ in 0..=2 * LIFETIME {
                sleep(Duration::from_secs(1)).await;
                app.advance(1);
            }
            rotate(&app).await;
            let next = app.sign_in(&format!("0912123457{number}")).await;
            *token.lock() = next;
            sleep(Duration::from_secs(1)).await;
            app.advance(1);
        }
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(load, load_more(&envoy, &token, &done, &refused), rotating);
    let (asked, refused) = (asked.into_inner(), refused.into_inner());
    eprintln!("T12: {rotations} rotations while Envoy verified {asked} valid tokens, {refused} refused");
    assert!(asked > 100);
    assert_eq!(refused, 0);
}

/// Old tokens go on counting beside new ones.
async fn load_more(
    envoy: &Envoy,
    token: &parking_lot::Mutex<crate::harness::Person>,
    done: &AtomicBool,
    refused: &AtomicUsize,
) {
    let first = token.lock().access_token.clone();
    while !done.load(Ordering::SeqCst) {
        let status = get_as(envoy.verified, "/", &first).await.status;
        refused.fetch_add(usize::from(status != 200), Ordering::SeqCst);
        sleep(Duration::from_millis(20)).await;
    }
}

/// Takes the next step of a key's life.
async fn rotate(app: &TestApp) {
    let request = bearer(v1::RotateSigningKeyRequest::default(), &app.api_key);
    if let Err(refused) = app.node().admin().rotate_signing_key(request).await {
        panic!("{:?}", details(&refused));
    }
}
