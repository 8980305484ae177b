//! Changing a password that is known.

use countersign::model::Content;
use countersign::proto::v1;
use tonic::Status;

use super::{OTHER, PASSWORD, is_usable, log_in, reason, register, registration, somebody};
use crate::harness::{Backend, TestApp, bearer, details, mail_address, on_both_backends};

on_both_backends!(
    the_old_password_and_its_sessions_are_dead,
    the_session_that_asks_can_be_kept,
    the_owner_is_told,
    what_is_wrong_changes_nothing,
    wrong_ones_count_as_at_a_sign_in,
);

async fn change(app: &TestApp, token: &str, current: &str, new: &str, keep: bool) -> Result<(), Status> {
    let request = v1::ChangePasswordRequest {
        current_password: current.to_owned(),
        new_password: new.to_owned(),
        keep_current_session: keep,
    };
    app.node().auth().change_password(bearer(request, token)).await.map(drop)
}

async fn the_old_password_and_its_sessions_are_dead(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap();
    let second = log_in(&app, "09121234567", PASSWORD).await.unwrap().tokens.unwrap();
    change(&app, &second.access_token, PASSWORD, OTHER, false).await.unwrap();
    for tokens in [&first, &second] {
        assert!(!is_usable(&app, tokens).await);
    }
    assert_eq!(reason(log_in(&app, "09121234567", PASSWORD).await), "INVALID_CREDENTIALS");
    log_in(&app, "09121234567", OTHER).await.unwrap();
    assert_eq!(app.rows("events WHERE kind = 'account.password_changed'").await, 1);
    assert_eq!(app.rows("sessions WHERE end_reason = 'password_changed'").await, 2);
    app.stop().await;
}

async fn the_session_that_asks_can_be_kept(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap();
    let second = log_in(&app, "09121234567", PASSWORD).await.unwrap().tokens.unwrap();
    change(&app, &second.access_token, PASSWORD, OTHER, true).await.unwrap();
    assert!(!is_usable(&app, &first).await);
    assert!(app.is_active(&second.access_token).await && is_usable(&app, &second).await);
    app.stop().await;
}

async fn the_owner_is_told(backend: Backend) {
    let app = TestApp::new(backend).await;
    let by_phone = somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap();
    change(&app, &by_phone.access_token, PASSWORD, OTHER, true).await.unwrap();
    let notice = app.message_to("+989121234567", "password_changed").await;
    assert_eq!(notice.content, Content::PasswordChanged { at: app.now() });

    let request = registration(&app, mail_address("sara@example.org")).await;
    let second = Some(v1::register_request::Second::Phone("09121234568".to_owned()));
    let request = v1::RegisterRequest { password: PASSWORD.to_owned(), second, locale: "fa".to_owned(), ..request };
    let by_mail = register(&app, request).await.unwrap().tokens.unwrap();
    change(&app, &by_mail.access_token, PASSWORD, OTHER, true).await.unwrap();
    let notice = app.message_to("sara@example.org", "password_changed").await;
    assert_eq!(notice.locale.as_str(), "fa");
    // A number that nobody proved hears nothing.
    assert!(app.messages_to("+989121234568").is_empty());
    app.stop().await;
}

async fn what_is_wrong_changes_nothing(backend: Backend) {
    let app = TestApp::new(backend).await;
    let tokens = somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap();
    let without = app.sign_in("09121234568").await;
    let token = tokens.access_token.as_str();
    assert_eq!(reason(change(&app, token, OTHER, "three herons in a row", false).await), "INVALID_CREDENTIALS");
    assert_eq!(reason(change(&app, &without.access_token, PASSWORD, OTHER, false).await), "INVALID_CREDENTIALS");
    for (current, new, reason, field) in [
        ("", OTHER, "INVALID_FIELD", "current_password"),
        (&"x".repeat(1025), OTHER, "INVALID_FIELD", "current_password"),
        (PASSWORD, "", "PASSWORD_UNFIT", "new_password"),
        (PASSWORD, "password1", "PASSWORD_UNFIT", "new_password"),
        (PASSWORD, "09121234567", "PASSWORD_UNFIT", "new_password"),
    ] {
        let told = details(&change(&app, token, current, new, false).await.unwrap_err());
        assert_eq!((told.reason.as_str(), told.fields), (reason, vec![field.to_owned()]), "{new}");
    }
    assert!(app.is_active(token).await);
    log_in(&app, "09121234567", PASSWORD).await.unwrap();
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let outcome = change(&app, &visitor.into_inner().access_token, PASSWORD, OTHER, false).await;
    assert_eq!(reason(outcome), "PERMISSION_DENIED");
    app.stop().await;
}

async fn wrong_ones_count_as_at_a_sign_in(backend: Backend) {
    let app = TestApp::new(backend).await;
    let token = somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap().access_token;
    for _ in 0..2 {
        assert_eq!(reason(change(&app, &token, OTHER, OTHER, false).await), "INVALID_CREDENTIALS");
    }
    // A refused new password is no guess.
    assert_eq!(reason(change(&app, &token, PASSWORD, "password1", false).await), "PASSWORD_UNFIT");
    assert_eq!(reason(log_in(&app, "09121234567", OTHER).await), "INVALID_CREDENTIALS");
    assert_eq!(reason(change(&app, &token, PASSWORD, OTHER, false).await), "SIGN_IN_BLOCKED");
    // Codes are counted apart.
    let person = app.sign_in("09121234567").await;
    assert!(app.is_active(&person.access_token).await);
    app.stop().await;
}
