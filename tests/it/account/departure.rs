//! Leaving for good.

use countersign::proto::v1;
use countersign::proto::v1::delete_account_request::Proof;
use tonic::Status;

use super::{code_for, reason};
use crate::harness::{Backend, Person, TestApp, bearer, details, mail_address, on_both_backends, phone_number};

on_both_backends!(
    with_a_code_an_account_is_gone_at_once,
    with_a_password_too_and_wrong_ones_are_counted,
    no_other_code_will_do,
    without_a_proof_nothing_is_deleted,
);

const LEAVE: v1::OtpPurpose = v1::OtpPurpose::DeleteAccount;

async fn leave(app: &TestApp, person: &Person, proof: Option<Proof>) -> Result<(), Status> {
    let request = bearer(v1::DeleteAccountRequest { proof }, &person.access_token);
    app.node().accounts().delete_account(request).await.map(drop)
}

#[expect(clippy::unnecessary_wraps, reason = "as the message has it")]
fn code(proof: &(String, String)) -> Option<Proof> {
    Some(Proof::Otp(v1::OtpCredential { challenge_id: proof.0.clone(), code: proof.1.clone() }))
}

async fn with_a_code_an_account_is_gone_at_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let other_device = app.sign_in("09120000001").await;
    let proof = code_for(&app, phone_number("09120000001"), LEAVE).await;
    leave(&app, &person, code(&proof)).await.unwrap();
    for device in [&person, &other_device] {
        assert!(!app.is_active(&device.access_token).await);
        let request = v1::RefreshRequest { refresh_token: device.refresh_token.clone(), ..Default::default() };
        assert_eq!(reason(app.node().tokens().refresh(request).await), "SESSION_ENDED");
    }
    assert_eq!(app.rows("accounts WHERE state = 'deleted' AND phone IS NULL").await, 1);
    assert_eq!(app.rows("events WHERE kind = 'account.deleted' AND actor LIKE 'account:%'").await, 1);
    app.message_to("+989120000001", "account_deleted").await;
    assert_eq!(reason(leave(&app, &person, code(&proof)).await), "ACCESS_TOKEN_INVALID");
    // Whoever has the number signs up anew.
    app.advance(61);
    assert_ne!(app.sign_in("09120000001").await.account_id, person.account_id);
    app.stop().await;
}

async fn with_a_password_too_and_wrong_ones_are_counted(backend: Backend) {
    let app = TestApp::new(backend).await;
    let proof = code_for(&app, phone_number("09120000001"), v1::OtpPurpose::Register).await;
    let password = "correct horse battery";
    let request = v1::RegisterRequest {
        challenge_id: proof.0,
        code: proof.1,
        password: password.to_owned(),
        ..Default::default()
    };
    let answer = app.node().auth().register(request).await.unwrap().into_inner();
    let (tokens, account) = (answer.tokens.unwrap(), answer.account.unwrap());
    let person = Person {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        account_id: account.account_id,
    };
    let with = |text: &str| Some(Proof::Password(text.to_owned()));
    for _ in 0..3 {
        assert_eq!(reason(leave(&app, &person, with("wrong")).await), "INVALID_CREDENTIALS");
    }
    // Three failures block, also the right one.
    let refused = details(&leave(&app, &person, with(password)).await.unwrap_err());
    assert_eq!(refused.reason, "SIGN_IN_BLOCKED");
    assert!(refused.retry_seconds.is_some());
    assert!(app.is_active(&person.access_token).await);
    app.advance(3601);
    let request = v1::RefreshRequest { refresh_token: person.refresh_token.clone(), ..Default::default() };
    let tokens = app.node().tokens().refresh(request).await.unwrap().into_inner().tokens.unwrap();
    let person = Person { access_token: tokens.access_token, ..person };
    leave(&app, &person, with(password)).await.unwrap();
    assert!(!app.is_active(&person.access_token).await);
    app.stop().await;
}

async fn no_other_code_will_do(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let other = app.sign_in("09120000002").await;
    app.advance(61);
    // For something else.
    let sign_in = code_for(&app, phone_number("09120000001"), v1::OtpPurpose::SignIn).await;
    assert_eq!(reason(leave(&app, &person, code(&sign_in)).await), "INVALID_CREDENTIALS");
    // To somebody else, who can still use it.
    let others = code_for(&app, phone_number("09120000002"), LEAVE).await;
    assert_eq!(reason(leave(&app, &person, code(&others)).await), "INVALID_CREDENTIALS");
    leave(&app, &other, code(&others)).await.unwrap();
    assert!(app.is_active(&person.access_token).await);
    // To an address that was only claimed no code leaves, because nobody has proved that it is theirs.
    let statement = "UPDATE accounts SET claimed_email = 'ali@example.com' WHERE state = 'active'";
    crate::harness::database::execute(&app.node().app().store, statement, &[]).await;
    let request = v1::RequestOtpRequest {
        identifier: Some(mail_address("ali@example.com")),
        purpose: LEAVE.into(),
        ..Default::default()
    };
    app.node().auth().request_otp(request).await.unwrap();
    app.stop().await;
}

async fn without_a_proof_nothing_is_deleted(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    assert_eq!(details(&leave(&app, &person, None).await.unwrap_err()).fields, ["proof"]);
    let empty = Some(Proof::Password(String::new()));
    assert_eq!(details(&leave(&app, &person, empty).await.unwrap_err()).fields, ["password"]);
    // Somebody without a password has none to prove.
    let guess = Some(Proof::Password("anything at all".to_owned()));
    assert_eq!(reason(leave(&app, &person, guess).await), "INVALID_CREDENTIALS");
    assert_eq!(app.rows("accounts WHERE state = 'active'").await, 1);
    app.stop().await;
}
