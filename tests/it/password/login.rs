//! Signing in with a password.

use std::time::Duration;

use countersign::proto::v1;
use tokio::time::{sleep, timeout};

use super::{OTHER, PASSWORD, bytes, log_in, reason, register, registration, somebody, with_password};
use crate::harness::database::block;
use crate::harness::{Backend, TestApp, details, mail_address, on_both_backends, phone_number, request_id};

on_both_backends!(
    a_password_opens_a_session,
    whoever_is_unknown_looks_like_whoever_errs,
    a_password_in_another_spelling_is_the_same,
    an_unproved_identifier_serves_while_only_one_says_it_is_theirs,
    proof_of_an_identifier_ends_what_others_say,
    a_blocked_account_shows_only_to_who_knows_its_password,
    one_intent_is_one_session,
    wrong_passwords_block_and_a_right_one_begins_anew,
    malformed_passwords_are_named,
    whoever_goes_away_before_the_answer_has_not_failed,
);

async fn a_password_opens_a_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    let registered = somebody(&app, "09121234567", PASSWORD).await.account.unwrap();
    let entered = log_in(&app, "+989121234567", PASSWORD).await.unwrap();
    assert!(!entered.created);
    let account = entered.account.unwrap();
    assert_eq!(account.account_id, registered.account_id);
    assert!(account.has_password && account.last_login_at.is_some());
    let token = entered.tokens.unwrap().access_token;
    assert!(app.is_active(&token).await);
    let known = app.node().app().access.known(&token).unwrap();
    assert_eq!(known.claims.amr, ["pwd"]);
    app.stop().await;
}

async fn whoever_is_unknown_looks_like_whoever_errs(backend: Backend) {
    let app = TestApp::new(backend).await;
    somebody(&app, "09121234567", PASSWORD).await;
    app.sign_in("09121234568").await;
    let mut refusals = Vec::new();
    // Wrong; without a password; unknown.
    for phone in ["09121234567", "09121234568", "09121234569"] {
        refusals.push(bytes(&log_in(&app, phone, OTHER).await.unwrap_err()));
    }
    assert_eq!(refusals[0], refusals[1]);
    assert_eq!(refusals[0], refusals[2]);
    assert_eq!(reason(log_in(&app, "09121234569", OTHER).await), "INVALID_CREDENTIALS");
    app.stop().await;
}

async fn a_password_in_another_spelling_is_the_same(backend: Backend) {
    let app = TestApp::new(backend).await;
    somebody(&app, "09121234567", "caf\u{e9} cr\u{e8}me br\u{fb}l\u{e9}e").await;
    log_in(&app, "09121234567", "cafe\u{301} cre\u{300}me\u{a0}bru\u{302}le\u{301}e").await.unwrap();
    assert_eq!(reason(log_in(&app, "09121234567", "cafe creme brulee").await), "INVALID_CREDENTIALS");
    app.stop().await;
}

/// Somebody with a phone number who says that a mail address is theirs.
async fn claimant(app: &TestApp, phone: &str, email: &str, password: &str) -> String {
    let request = registration(app, phone_number(phone)).await;
    let second = Some(v1::register_request::Second::Email(email.to_owned()));
    let request = v1::RegisterRequest { second, password: password.to_owned(), ..request };
    register(app, request).await.unwrap().account.unwrap().account_id
}

async fn enter_by_mail(app: &TestApp, email: &str, password: &str) -> Result<String, tonic::Status> {
    let answer = app.node().auth().login(with_password(mail_address(email), password)).await?;
    Ok(answer.into_inner().account.unwrap().account_id)
}

async fn an_unproved_identifier_serves_while_only_one_says_it_is_theirs(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = claimant(&app, "09121234567", "sara@example.org", PASSWORD).await;
    assert_eq!(enter_by_mail(&app, "Sara@Example.org", PASSWORD).await.unwrap(), first);
    claimant(&app, "09121234568", "sara@example.org", OTHER).await;
    for password in [PASSWORD, OTHER] {
        assert_eq!(reason(enter_by_mail(&app, "sara@example.org", password).await), "INVALID_CREDENTIALS");
    }
    app.stop().await;
}

async fn proof_of_an_identifier_ends_what_others_say(backend: Backend) {
    let app = TestApp::new(backend).await;
    let liar = claimant(&app, "09121234567", "sara@example.org", PASSWORD).await;
    assert_eq!(app.rows("accounts WHERE claimed_email = 'sara@example.org'").await, 1);
    let request = registration(&app, mail_address("sara@example.org")).await;
    let owner = register(&app, v1::RegisterRequest { password: OTHER.to_owned(), ..request }).await.unwrap();
    assert_ne!(owner.account.as_ref().unwrap().account_id, liar);
    assert_eq!(app.rows("accounts WHERE claimed_email IS NOT NULL").await, 0);
    assert_eq!(reason(enter_by_mail(&app, "sara@example.org", PASSWORD).await), "INVALID_CREDENTIALS");
    assert_eq!(enter_by_mail(&app, "sara@example.org", OTHER).await.unwrap(), owner.account.unwrap().account_id);
    // Said after that, it changes nothing: its owner still signs in.
    claimant(&app, "09121234568", "sara@example.org", PASSWORD).await;
    enter_by_mail(&app, "sara@example.org", OTHER).await.unwrap();
    assert_eq!(reason(enter_by_mail(&app, "sara@example.org", PASSWORD).await), "INVALID_CREDENTIALS");
    app.stop().await;
}

async fn a_blocked_account_shows_only_to_who_knows_its_password(backend: Backend) {
    let app = TestApp::new(backend).await;
    let account = somebody(&app, "09121234567", PASSWORD).await.account.unwrap();
    block(&app.node().app().store, account.account_id.parse().unwrap(), app.now()).await;
    assert_eq!(reason(log_in(&app, "09121234567", OTHER).await), "INVALID_CREDENTIALS");
    assert_eq!(reason(log_in(&app, "09121234567", PASSWORD).await), "ACCOUNT_BLOCKED");
    app.stop().await;
}

async fn one_intent_is_one_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    somebody(&app, "09121234567", PASSWORD).await;
    somebody(&app, "09121234568", PASSWORD).await;
    let named = |phone: &str, password: &str, id: &str| v1::LoginRequest {
        request_id: id.to_owned(),
        ..with_password(phone_number(phone), password)
    };
    let id = request_id();
    let (first, again) = tokio::join!(
        async { app.node().auth().login(named("09121234567", PASSWORD, &id)).await.unwrap().into_inner() },
        async { app.node().auth().login(named("+98 912 123 4567", PASSWORD, &id)).await.unwrap().into_inner() },
    );
    assert_eq!(first.tokens.unwrap().refresh_token, again.tokens.unwrap().refresh_token);
    let other = app.node().auth().login(named("09121234568", PASSWORD, &id)).await;
    assert_eq!(reason(other), "REQUEST_ID_REUSED");
    let wrong = app.node().auth().login(named("09121234567", OTHER, &id)).await;
    assert_eq!(reason(wrong), "INVALID_CREDENTIALS");
    // Two registrations and one sign-in.
    assert_eq!(app.rows("sessions").await, 3);
    app.stop().await;
}

async fn wrong_passwords_block_and_a_right_one_begins_anew(backend: Backend) {
    let app = TestApp::new(backend).await;
    somebody(&app, "09121234567", PASSWORD).await;
    for _ in 0..2 {
        for _ in 0..2 {
            assert_eq!(reason(log_in(&app, "09121234567", OTHER).await), "INVALID_CREDENTIALS");
        }
        log_in(&app, "09121234567", PASSWORD).await.unwrap();
    }
    for phone in ["09121234567", "09121234569"] {
        for _ in 0..3 {
            assert_eq!(reason(log_in(&app, phone, OTHER).await), "INVALID_CREDENTIALS");
        }
        app.advance(60);
        let refused = details(&log_in(&app, phone, PASSWORD).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.retry_seconds), ("SIGN_IN_BLOCKED", Some(3540)));
    }
    app.advance(3600);
    log_in(&app, "09121234567", PASSWORD).await.unwrap();
    app.stop().await;
}

async fn malformed_passwords_are_named(backend: Backend) {
    let app = TestApp::new(backend).await;
    for (identifier, password, field) in [
        (Some(phone_number("09121234567")), String::new(), "password.password"),
        (Some(phone_number("09121234567")), "x".repeat(1025), "password.password"),
        (Some(phone_number("12")), PASSWORD.to_owned(), "password.identifier.phone"),
        (Some(mail_address("nobody")), PASSWORD.to_owned(), "password.identifier.email"),
        (None, PASSWORD.to_owned(), "password.identifier"),
    ] {
        let password = v1::PasswordCredential { identifier, password };
        let credential = Some(v1::login_request::Credential::Password(password));
        let request = v1::LoginRequest { credential, ..Default::default() };
        let refused = details(&app.node().auth().login(request).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec![field.to_owned()]));
    }
    app.stop().await;
}

/// An app that waits less long than the service needs must not lock its person out.
async fn whoever_goes_away_before_the_answer_has_not_failed(backend: Backend) {
    // A hash that takes its time.
    let app = TestApp::with(backend, &[("password.memory_kib", "131072"), ("password.passes", "3")]).await;
    somebody(&app, "09121234567", PASSWORD).await;
    for _ in 0..8 {
        let hasty = timeout(Duration::from_millis(30), log_in(&app, "09121234567", PASSWORD)).await;
        assert!(hasty.is_err(), "it was answered");
    }
    // The last of them may not have been noticed yet.
    let mut outcome = log_in(&app, "09121234567", PASSWORD).await;
    for _ in 0..50 {
        if outcome.is_ok() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        outcome = log_in(&app, "09121234567", PASSWORD).await;
    }
    outcome.unwrap();
    app.stop().await;
}
