//! Another phone number or mail address.

use std::sync::Arc;

use countersign::model::{Content, Locale};
use countersign::proto::v1;
use tonic::Code;

use super::{change_identifier, code_for, profile, reason, update};
use crate::harness::{Backend, TestApp, bearer, details, figure, mail_address, on_both_backends, phone_number};

on_both_backends!(
    a_proved_number_takes_the_place_of_the_old_one_and_the_old_one_is_told,
    a_mail_address_is_added_and_the_phone_is_told,
    the_same_code_gets_the_same_answer_while_it_counts,
    o13_a_code_changes_an_identifier_once,
    what_somebody_else_has_proved_is_not_to_be_had,
    a_claim_gives_way_to_a_proof,
    only_a_code_for_this_and_for_nobody_else_counts,
    of_two_at_once_one_gets_it,
);

const NEW: v1::OtpPurpose = v1::OtpPurpose::ChangeIdentifier;

async fn a_proved_number_takes_the_place_of_the_old_one_and_the_old_one_is_told(backend: Backend) {
    // Nobody may sign up, and a code goes to the new number all the same.
    let mut app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    app.restart_with("accounts.open_registration", "false").await;
    let persian = v1::Account { locale: "fa".to_owned(), ..Default::default() };
    update(&app, &person, persian, &["locale"]).await.unwrap();
    let proof = code_for(&app, phone_number("09120000002"), NEW).await;
    let account = change_identifier(&app, &person, &proof).await.unwrap();
    assert_eq!((account.phone.as_str(), account.phone_verified), ("+989120000002", true));
    assert_eq!(profile(&app, &person).await, account);
    let news = app.message_to("+989120000001", "identifier_changed").await;
    assert_eq!(news.locale, Locale::Fa);
    let Content::IdentifierChanged { new_masked, .. } = news.content else { panic!("{news:?}") };
    assert_eq!(new_masked, "+98*******02");
    assert_eq!(app.sign_in("09120000002").await.account_id, person.account_id);
    assert_eq!(app.rows("events WHERE kind = 'account.identifier_changed' AND detail = 'phone'").await, 1);
    app.stop().await;
}

async fn a_mail_address_is_added_and_the_phone_is_told(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let proof = code_for(&app, mail_address("Ali@Example.com"), NEW).await;
    let account = change_identifier(&app, &person, &proof).await.unwrap();
    assert_eq!((account.email.as_str(), account.email_verified), ("ali@example.com", true));
    assert_eq!(account.phone, "+989120000001");
    app.message_to("+989120000001", "identifier_changed").await;
    app.stop().await;
}

async fn the_same_code_gets_the_same_answer_while_it_counts(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let proof = code_for(&app, phone_number("09120000002"), NEW).await;
    let account = change_identifier(&app, &person, &proof).await.unwrap();
    for _ in 0..20 {
        assert_eq!(change_identifier(&app, &person, &proof).await.unwrap(), account);
    }
    assert_eq!(app.rows("events WHERE kind = 'account.identifier_changed'").await, 1);
    app.message_to("+989120000001", "identifier_changed").await;
    app.advance(121);
    assert_eq!(reason(change_identifier(&app, &person, &proof).await), "INVALID_CREDENTIALS");
    app.stop().await;
}

/// Threat O13: a replay does not bring back what has been replaced since.
async fn o13_a_code_changes_an_identifier_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let first = code_for(&app, phone_number("09120000002"), NEW).await;
    change_identifier(&app, &person, &first).await.unwrap();
    let second = code_for(&app, phone_number("09120000003"), NEW).await;
    let account = change_identifier(&app, &person, &second).await.unwrap();
    for _ in 0..figure(1_000, 50) {
        assert_eq!(change_identifier(&app, &person, &first).await.unwrap(), account);
    }
    assert_eq!(profile(&app, &person).await.phone, "+989120000003");
    assert_eq!(app.rows("events WHERE kind = 'account.identifier_changed'").await, 2);
    app.stop().await;
}

async fn what_somebody_else_has_proved_is_not_to_be_had(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let other = app.sign_in("09120000002").await;
    app.advance(61);
    let proof = code_for(&app, phone_number("09120000002"), NEW).await;
    let refused = details(&change_identifier(&app, &person, &proof).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::AlreadyExists, "IDENTIFIER_TAKEN"));
    assert_eq!(profile(&app, &person).await.phone, "+989120000001");
    assert_eq!(profile(&app, &other).await.phone, "+989120000002");
    app.stop().await;
}

async fn a_claim_gives_way_to_a_proof(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let other = app.sign_in("09120000002").await;
    let statement = "UPDATE accounts SET claimed_email = 'ali@example.com'";
    crate::harness::database::execute(&app.node().app().store, statement, &[]).await;
    let before = profile(&app, &other).await;
    assert_eq!((before.email.as_str(), before.email_verified), ("ali@example.com", false));
    let proof = code_for(&app, mail_address("ali@example.com"), NEW).await;
    let account = change_identifier(&app, &person, &proof).await.unwrap();
    assert_eq!((account.email.as_str(), account.email_verified), ("ali@example.com", true));
    let after = profile(&app, &other).await;
    assert_eq!((after.email.as_str(), after.email_verified), ("", false));
    assert_eq!(app.rows("accounts WHERE claimed_email IS NOT NULL").await, 0);
    app.stop().await;
}

async fn only_a_code_for_this_and_for_nobody_else_counts(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let other = app.sign_in("09120000003").await;
    app.advance(61);
    for purpose in [v1::OtpPurpose::SignIn, v1::OtpPurpose::Register] {
        let (identifier, at) = (phone_number("09120000004"), app.now());
        let proof = code_for(&app, identifier, purpose).await;
        assert_eq!(reason(change_identifier(&app, &person, &proof).await), "INVALID_CREDENTIALS", "{purpose:?} {at}");
    }
    // What one has used is nothing for another.
    let proof = code_for(&app, phone_number("09120000005"), NEW).await;
    change_identifier(&app, &person, &proof).await.unwrap();
    assert_eq!(reason(change_identifier(&app, &other, &proof).await), "INVALID_CREDENTIALS");
    // And it signs nobody in.
    let proof = code_for(&app, phone_number("09120000006"), NEW).await;
    let login = crate::harness::login(&proof.0, &proof.1);
    assert_eq!(reason(app.node().auth().login(login).await), "INVALID_CREDENTIALS");
    // Without a person there is nothing to change.
    let request = v1::ChangeIdentifierRequest { challenge_id: proof.0.clone(), code: proof.1.clone() };
    assert_eq!(reason(app.node().accounts().change_identifier(request).await), "CREDENTIALS_MISSING");
    let malformed = v1::ChangeIdentifierRequest { challenge_id: "x".to_owned(), code: "12".to_owned() };
    let refused = app.node().accounts().change_identifier(bearer(malformed, &person.access_token)).await;
    assert_eq!(details(&refused.unwrap_err()).fields, ["challenge_id", "code"]);
    app.stop().await;
}

async fn of_two_at_once_one_gets_it(backend: Backend) {
    let app = Arc::new(TestApp::new(backend).await);
    let (one, two) = (app.sign_in("09120000001").await, app.sign_in("09120000002").await);
    let address = || mail_address("ali@example.com");
    let first = code_for(&app, address(), NEW).await;
    app.advance(61);
    let second = code_for(&app, address(), NEW).await;
    let tasks = [(one, first), (two, second)].map(|(person, proof)| {
        let app = Arc::clone(&app);
        tokio::spawn(async move { change_identifier(&app, &person, &proof).await })
    });
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap().map_or_else(|status| details(&status).reason, |_| "changed".to_owned()));
    }
    outcomes.sort();
    assert_eq!(outcomes, ["IDENTIFIER_TAKEN", "changed"]);
    assert_eq!(app.rows("accounts WHERE email = 'ali@example.com'").await, 1);
}
