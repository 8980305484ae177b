//! Registering: what it takes, what it gives, and what it never gives.

use std::collections::BTreeMap;

use countersign::proto::v1;
use countersign::proto::v1::OtpPurpose;
use countersign::proto::v1::register_request::Second;
use futures_util::future::join_all;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tonic_types::StatusExt;

use super::{OTHER, PASSWORD, challenge, log_in, reason, register, registration, somebody};
use crate::harness::{
    Backend, TestApp, bearer, details, figure, login, mail_address, on_both_backends, phone_number, request_id,
};

on_both_backends!(
    all_that_is_said_is_kept,
    an_unfit_password_costs_no_code,
    a_known_owner_is_told_so_after_the_proof,
    a_code_serves_for_its_purpose_alone,
    nobody_registers_where_registration_is_closed,
    one_intent_registers_once,
    o12_nobody_grants_themself_anything,
    o13_a_thousand_replays_open_one_account,
    what_is_too_much_is_named,
);

fn object(fields: &[(&str, Kind)]) -> Struct {
    let fields: BTreeMap<_, _> =
        fields.iter().map(|(name, kind)| ((*name).to_owned(), Value { kind: Some(kind.clone()) })).collect();
    Struct { fields: fields.into_iter().collect() }
}

async fn all_that_is_said_is_kept(backend: Backend) {
    let app = TestApp::new(backend).await;
    let metadata = object(&[("plan", Kind::StringValue("gold".to_owned())), ("age", Kind::NumberValue(7.0))]);
    let request = v1::RegisterRequest {
        password: PASSWORD.to_owned(),
        first_name: "Sara".to_owned(),
        last_name: "Rezaei".to_owned(),
        second: Some(Second::Email("Sara@Example.org".to_owned())),
        metadata: Some(metadata.clone()),
        locale: "fa-IR".to_owned(),
        ..registration(&app, phone_number("09121234567")).await
    };
    let answer = register(&app, request).await.unwrap();
    let account = answer.account.unwrap();
    let expected = v1::Account {
        account_id: account.account_id.clone(),
        phone: "+989121234567".to_owned(),
        phone_verified: true,
        email: "sara@example.org".to_owned(),
        email_verified: false,
        first_name: "Sara".to_owned(),
        last_name: "Rezaei".to_owned(),
        state: v1::AccountState::Active.into(),
        has_password: true,
        metadata: Some(metadata),
        locale: "fa".to_owned(),
        created_at: account.created_at,
        last_login_at: account.last_login_at,
        ..Default::default()
    };
    assert_eq!(account, expected);
    let tokens = answer.tokens.unwrap();
    assert_eq!(app.node().app().access.known(&tokens.access_token).unwrap().claims.amr, ["otp", "sms"]);
    let profile = bearer(v1::GetProfileRequest::default(), &tokens.access_token);
    assert_eq!(app.node().accounts().get_profile(profile).await.unwrap().into_inner().account.unwrap(), expected);
    assert_eq!(log_in(&app, "09121234567", PASSWORD).await.unwrap().account.unwrap().account_id, expected.account_id);
    app.stop().await;
}

async fn an_unfit_password_costs_no_code(backend: Backend) {
    let app = TestApp::new(backend).await;
    let bare = registration(&app, phone_number("09121234567")).await;
    let named = v1::RegisterRequest { first_name: "Sara".to_owned(), last_name: "Rezaei".to_owned(), ..bare };
    for (password, rule) in [
        ("short", "too_short"),
        ("password1", "common"),
        ("SaraRezaei12", "personal"),
        ("09121234567", "personal"),
        ("a\tb\tc\td\te", "control_character"),
        (&"long".repeat(100), "too_long"),
    ] {
        let request = v1::RegisterRequest { password: password.to_owned(), ..named.clone() };
        let status = register(&app, request).await.unwrap_err();
        let told = details(&status);
        assert_eq!((told.reason.as_str(), told.fields), ("PASSWORD_UNFIT", vec!["password".to_owned()]), "{password}");
        assert_eq!(status.get_error_details().error_info().unwrap().metadata["rule"], rule, "{password}");
    }
    assert_eq!(app.rows("accounts").await, 0);
    register(&app, v1::RegisterRequest { password: PASSWORD.to_owned(), ..named }).await.unwrap();
    app.stop().await;
}

async fn a_known_owner_is_told_so_after_the_proof(backend: Backend) {
    let app = TestApp::new(backend).await;
    somebody(&app, "09121234567", PASSWORD).await;
    let request = registration(&app, phone_number("09121234567")).await;
    let wrong = v1::RegisterRequest { code: "000000".to_owned(), ..request.clone() };
    if request.code != wrong.code {
        assert_eq!(reason(register(&app, wrong).await), "INVALID_CREDENTIALS");
    }
    let request = v1::RegisterRequest { password: OTHER.to_owned(), ..request };
    assert_eq!(reason(register(&app, request).await), "ALREADY_REGISTERED");
    // What was sent along has changed nothing.
    log_in(&app, "09121234567", PASSWORD).await.unwrap();
    app.stop().await;
}

async fn a_code_serves_for_its_purpose_alone(backend: Backend) {
    let app = TestApp::new(backend).await;
    somebody(&app, "09121234560", PASSWORD).await;
    for purpose in
        [OtpPurpose::SignIn, OtpPurpose::ChangeIdentifier, OtpPurpose::ResetPassword, OtpPurpose::DeleteAccount]
    {
        let id = challenge(&app, phone_number("09121234560"), purpose).await.challenge_id;
        let code = app.code(&id).await;
        let request = v1::RegisterRequest { challenge_id: id.clone(), code: code.clone(), ..Default::default() };
        assert_eq!(reason(register(&app, request).await), "INVALID_CREDENTIALS", "{purpose:?}");
        if purpose != OtpPurpose::SignIn {
            let outcome = app.node().auth().login(login(&id, &code)).await;
            assert_eq!(reason(outcome), "INVALID_CREDENTIALS", "{purpose:?}");
        }
    }
    let request = registration(&app, phone_number("09121234567")).await;
    let outcome = app.node().auth().login(login(&request.challenge_id, &request.code)).await;
    assert_eq!(reason(outcome), "INVALID_CREDENTIALS");
    register(&app, request).await.unwrap();
    app.stop().await;
}

async fn nobody_registers_where_registration_is_closed(backend: Backend) {
    let app = TestApp::with(backend, &[("accounts.open_registration", "false")]).await;
    let request = v1::RequestOtpRequest {
        identifier: Some(phone_number("09121234567")),
        purpose: OtpPurpose::Register.into(),
        ..Default::default()
    };
    assert_eq!(reason(app.node().auth().request_otp(request).await), "REGISTRATION_CLOSED");
    let request = v1::RegisterRequest { challenge_id: request_id(), code: "123456".to_owned(), ..Default::default() };
    assert_eq!(reason(register(&app, request).await), "REGISTRATION_CLOSED");
    app.stop().await;
}

async fn one_intent_registers_once(backend: Backend) {
    let app = TestApp::with(backend, &super::UNLIMITED).await;
    let request = registration(&app, mail_address("sara@example.org")).await;
    let request = v1::RegisterRequest { password: PASSWORD.to_owned(), request_id: request_id(), ..request };
    // Those that come while the first is still on its way to the database may be refused.
    let mut answers = join_all((0..8).map(|_| register(&app, request.clone()))).await;
    answers.push(Ok(register(&app, request.clone()).await.unwrap()));
    let mut sessions: Vec<_> =
        answers.into_iter().flatten().map(|answer| answer.tokens.unwrap().refresh_token).collect();
    sessions.dedup();
    assert_eq!(sessions.len(), 1);
    assert_eq!((app.rows("accounts").await, app.rows("sessions").await), (1, 1));
    let other = registration(&app, mail_address("ali@example.org")).await;
    let other = v1::RegisterRequest { request_id: request.request_id, ..other };
    assert_eq!(reason(register(&app, other).await), "REQUEST_ID_REUSED");
    assert_eq!(app.rows("accounts").await, 1);
    app.stop().await;
}

/// Threat O12: whatever a registration can say, only the server sets what counts as proved, what somebody may do, and whether
/// an account is open.
async fn o12_nobody_grants_themself_anything(backend: Backend) {
    let app = TestApp::new(backend).await;
    let flag = || Kind::BoolValue(true);
    let list = Kind::ListValue(prost_types::ListValue {
        values: vec![Value { kind: Some(Kind::StringValue("admin".to_owned())) }],
    });
    let metadata = object(&[
        ("roles", list),
        ("role", Kind::StringValue("admin".to_owned())),
        ("state", Kind::StringValue("active".to_owned())),
        ("email_verified", flag()),
        ("phone_verified", flag()),
        ("is_staff", flag()),
        ("identity", flag()),
        ("account_id", Kind::StringValue(request_id())),
    ]);
    let request = v1::RegisterRequest {
        first_name: "admin".to_owned(),
        last_name: "roles=admin".to_owned(),
        password: PASSWORD.to_owned(),
        second: Some(Second::Phone("09121234567".to_owned())),
        metadata: Some(metadata),
        locale: "en".to_owned(),
        ..registration(&app, mail_address("sara@example.org")).await
    };
    let answer = register(&app, request).await.unwrap();
    let account = answer.account.unwrap();
    assert_eq!((account.roles.len(), account.phone_verified, account.email_verified), (0, false, true));
    assert_eq!((account.state(), account.identity), (v1::AccountState::Active, None));
    let token = answer.tokens.unwrap().access_token;
    let claims = &app.node().app().access.known(&token).unwrap().claims;
    assert!(claims.roles.is_empty() && !claims.scope.contains("admin"));
    let admin = bearer(v1::ListCallersRequest::default(), &token);
    assert_eq!(reason(app.node().admin().list_callers(admin).await), "PERMISSION_DENIED");
    // A number that was only said is nobody's: its owner gets an account of their own.
    let owner = app.sign_in("09121234567").await;
    assert_ne!(owner.account_id, account.account_id);
    app.stop().await;
}

/// Threat O13.
async fn o13_a_thousand_replays_open_one_account(backend: Backend) {
    let app = TestApp::with(backend, &super::UNLIMITED).await;
    let request = registration(&app, phone_number("09121234567")).await;
    let mut opened = 0;
    for _ in 0..figure(20, 4) {
        let answers = join_all((0..50).map(|_| register(&app, request.clone()))).await;
        opened += answers.iter().filter(|answer| answer.is_ok()).count();
    }
    assert_eq!(opened, 1);
    assert_eq!((app.rows("accounts").await, app.rows("sessions").await), (1, 1));
    app.stop().await;
}

async fn what_is_too_much_is_named(backend: Backend) {
    let app = TestApp::new(backend).await;
    let bad = v1::RegisterRequest {
        challenge_id: "x".to_owned(),
        code: "12".to_owned(),
        first_name: "x".repeat(129),
        last_name: "a\u{0}b".to_owned(),
        second: Some(Second::Email("nobody".to_owned())),
        metadata: Some(object(&[("x", Kind::StringValue("x".repeat(5_000)))])),
        locale: "tlh".to_owned(),
        request_id: "x".to_owned(),
        ..Default::default()
    };
    let mut told = details(&register(&app, bad).await.unwrap_err()).fields;
    told.sort();
    let fields = ["challenge_id", "code", "email", "first_name", "last_name", "locale", "metadata", "request_id"];
    assert_eq!(told, fields);

    // Another of the kind that the code went to.
    let second = Some(Second::Phone("09121234568".to_owned()));
    let request = v1::RegisterRequest { second, ..registration(&app, phone_number("09121234567")).await };
    assert_eq!(details(&register(&app, request.clone()).await.unwrap_err()).fields, ["phone"]);
    register(&app, v1::RegisterRequest { second: None, ..request }).await.unwrap();
    app.stop().await;
}
