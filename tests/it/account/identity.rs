//! Who a person is, as a provider confirms it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use countersign::proto::v1;
use countersign::store::Store;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use super::{change_identifier, code_for, inner, profile, reason};
use crate::connect::registry::{Registry, Reply, TOKEN};
use crate::connect::{BORN, NATIONAL_ID};
use crate::harness::database::execute;
use crate::harness::{Backend, Person, TestApp, bearer, details, mail_address, on_both_backends, phone_number};

on_both_backends!(
    a_match_is_kept_and_of_the_national_id_only_a_hash,
    what_does_not_belong_together_is_refused,
    what_cannot_be_right_costs_nothing,
    one_person_is_one_account,
    another_phone_number_takes_the_confirmation_back,
    a_number_that_changes_meanwhile_is_not_confirmed,
    an_account_asks_five_times_a_day,
    a_provider_that_fails_makes_nobody_wait,
    where_nobody_is_asked_nothing_is_offered,
);

/// The national ids of two other people.
const OTHERS: [&str; 2] = ["2540201288", "0499370899"];

async fn app_with(backend: Backend, registry: &Registry) -> TestApp {
    let settings = [
        ("identity.provider", "zibal"),
        ("identity.zibal.url", registry.url.as_str()),
        ("identity.zibal.token", TOKEN),
        ("identity.zibal.timeout", "1s"),
    ];
    TestApp::with(backend, &settings).await
}

async fn verify(app: &TestApp, person: &Person, national_id: &str, birth_date: &str) -> Result<v1::Account, Status> {
    let request = v1::VerifyIdentityRequest { national_id: national_id.to_owned(), birth_date: birth_date.to_owned() };
    let answer = app.node().accounts().verify_identity(bearer(request, &person.access_token)).await;
    answer.map(|answer| answer.into_inner().account.unwrap())
}

/// What Zibal says of everybody, whatever the question.
fn everybody(alive: bool) -> Value {
    let person = json!({ "matched": true, "firstName": "مریم", "lastName": "میرزاخانی", "alive": alive });
    json!({ "result": 1, "message": "موفق", "data": person })
}

async fn a_match_is_kept_and_of_the_national_id_only_a_hash(backend: Backend) {
    let registry = Registry::start().await;
    let app = app_with(backend, &registry).await;
    let person = app.sign_in("09121234567").await;
    assert_eq!(profile(&app, &person).await.identity, None);
    // Persian digits, and no date of birth: number and id belong together.
    let account = verify(&app, &person, "۰۰۱۳۵۴۲۴۱۹", "").await.unwrap();
    let identity = account.identity.clone().unwrap();
    assert_eq!((identity.provider.as_str(), identity.full_name.as_str(), identity.alive), ("zibal", "", None));
    assert_eq!(identity.verified_at.unwrap().seconds, app.now().timestamp());
    registry.say(&everybody(true));
    app.advance(60);
    let identity = verify(&app, &person, NATIONAL_ID, BORN).await.unwrap().identity.unwrap();
    assert_eq!((identity.full_name.as_str(), identity.birth_date.as_str()), ("مریم میرزاخانی", "1991-04-20"));
    assert_eq!(identity.alive, Some(true));
    assert_eq!(profile(&app, &person).await.identity, Some(identity));
    assert_eq!(app.rows("accounts WHERE national_id_hash IS NOT NULL AND length(national_id_hash) = 32").await, 1);
    assert_eq!(app.rows("events WHERE kind = 'account.identity_verified' AND detail = 'zibal'").await, 2);
    app.stop().await;
}

async fn what_does_not_belong_together_is_refused(backend: Backend) {
    let registry = Registry::start().await;
    let app = app_with(backend, &registry).await;
    let person = app.sign_in("09121234567").await;
    let refused = details(&verify(&app, &person, OTHERS[0], "").await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "IDENTITY_MISMATCH"));
    assert_eq!(reason(verify(&app, &person, NATIONAL_ID, "1370/01/30").await), "IDENTITY_MISMATCH");
    // The registry says of this person that they have died.
    assert_eq!(reason(verify(&app, &person, NATIONAL_ID, BORN).await), "IDENTITY_MISMATCH");
    assert_eq!(profile(&app, &person).await.identity, None);
    let by_mail = code_for(&app, mail_address("ali@example.com"), v1::OtpPurpose::SignIn).await;
    let login = crate::harness::login(&by_mail.0, &by_mail.1);
    let tokens = inner(app.node().auth().login(login).await.unwrap()).tokens.unwrap();
    let nobody = Person { access_token: tokens.access_token, ..person };
    assert_eq!(reason(verify(&app, &nobody, NATIONAL_ID, "").await), "PHONE_MISSING");
    assert_eq!(app.rows("events WHERE kind = 'account.identity_verified'").await, 0);
    app.stop().await;
}

async fn what_cannot_be_right_costs_nothing(backend: Backend) {
    let registry = Registry::start().await;
    let app = app_with(backend, &registry).await;
    let person = app.sign_in("09121234567").await;
    let tomorrow = (app.now() + chrono::TimeDelta::days(2)).date_naive().to_string();
    for (national_id, birth_date, field) in [
        ("0013542418", "", "national_id"),
        ("1111111111", "", "national_id"),
        ("", "", "national_id"),
        ("001354241x", "", "national_id"),
        (NATIONAL_ID, "yesterday", "birth_date"),
        (NATIONAL_ID, "1370/13/01", "birth_date"),
        (NATIONAL_ID, tomorrow.as_str(), "birth_date"),
    ] {
        let refused = details(&verify(&app, &person, national_id, birth_date).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec![field.to_owned()]), "{field}");
    }
    assert!(registry.questions().is_empty());
    verify(&app, &person, NATIONAL_ID, "").await.unwrap();
    app.stop().await;
}

async fn one_person_is_one_account(backend: Backend) {
    let registry = Registry::start().await;
    registry.say(&everybody(true));
    let app = app_with(backend, &registry).await;
    let (one, two) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    verify(&app, &one, NATIONAL_ID, "").await.unwrap();
    let refused = details(&verify(&app, &two, NATIONAL_ID, "").await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::AlreadyExists, "IDENTITY_TAKEN"));
    assert_eq!(profile(&app, &two).await.identity, None);
    verify(&app, &two, OTHERS[0], "").await.unwrap();
    app.stop().await;
}

async fn another_phone_number_takes_the_confirmation_back(backend: Backend) {
    let registry = Registry::start().await;
    registry.say(&everybody(true));
    let app = app_with(backend, &registry).await;
    let person = app.sign_in("09121234567").await;
    let confirmed = verify(&app, &person, NATIONAL_ID, BORN).await.unwrap();
    let proof = code_for(&app, mail_address("ali@example.com"), v1::OtpPurpose::ChangeIdentifier).await;
    assert_eq!(change_identifier(&app, &person, &proof).await.unwrap().identity, confirmed.identity);
    let proof = code_for(&app, phone_number("09121234568"), v1::OtpPurpose::ChangeIdentifier).await;
    assert_eq!(change_identifier(&app, &person, &proof).await.unwrap().identity, None);
    // Whoever has the number now can be confirmed.
    let other = app.sign_in("09121234567").await;
    assert_ne!(other.account_id, person.account_id);
    verify(&app, &other, NATIONAL_ID, "").await.unwrap();
    app.stop().await;
}

async fn a_number_that_changes_meanwhile_is_not_confirmed(backend: Backend) {
    static DATABASE: [OnceLock<Store>; 2] = [OnceLock::new(), OnceLock::new()];
    async fn answer(State(store): State<&'static OnceLock<Store>>) -> Json<Value> {
        execute(store.get().unwrap(), "UPDATE accounts SET phone = '+989121234568'", &[]).await;
        Json(json!({ "matched": true, "alive": true }))
    }
    let database: &'static OnceLock<Store> = &DATABASE[usize::from(backend == Backend::Shared)];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer).with_state(database);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = [("identity.provider", "http"), ("identity.http.url", url.as_str())];
    let app = TestApp::with(backend, &settings).await;
    assert!(database.set(app.node().app().store.clone()).is_ok());
    let person = app.sign_in("09121234567").await;
    assert_eq!(reason(verify(&app, &person, NATIONAL_ID, "").await), "IDENTITY_MISMATCH");
    assert_eq!(profile(&app, &person).await.identity, None);
    // The new number stays, and is confirmed.
    verify(&app, &person, NATIONAL_ID, "").await.unwrap();
    app.stop().await;
}

async fn an_account_asks_five_times_a_day(backend: Backend) {
    let registry = Registry::start().await;
    let app = Arc::new(app_with(backend, &registry).await);
    let person = app.sign_in("09121234567").await;
    let asked = (0..20).map(|_| {
        let (app, person) = (Arc::clone(&app), person.clone());
        tokio::spawn(async move { verify(&app, &person, OTHERS[0], "").await })
    });
    let mut reasons = std::collections::BTreeMap::new();
    for asked in asked.collect::<Vec<_>>() {
        *reasons.entry(reason(asked.await.unwrap())).or_insert(0) += 1;
    }
    assert_eq!(
        reasons.into_iter().collect::<Vec<_>>(),
        [("IDENTITY_MISMATCH".to_owned(), 5), ("RATE_LIMITED".to_owned(), 15)]
    );
    assert_eq!(registry.questions().len(), 5);
    let refused = details(&verify(&app, &person, NATIONAL_ID, "").await.unwrap_err());
    assert_eq!((refused.code, refused.retry_seconds), (Code::ResourceExhausted, Some(86_400)));
    // It is counted by the account: somebody else is not in the way.
    let other = app.sign_in("09121234568").await;
    assert_eq!(reason(verify(&app, &other, NATIONAL_ID, "").await), "IDENTITY_MISMATCH");
    assert_eq!(registry.questions().len(), 1);
}

async fn a_provider_that_fails_makes_nobody_wait(backend: Backend) {
    let registry = Registry::start().await;
    let app = app_with(backend, &registry).await;
    let person = app.sign_in("09121234567").await;
    for reply in [Reply::Text(500, "{}".to_owned()), Reply::Text(200, "<html>".to_owned()), Reply::Silence] {
        registry.reply(Some(reply.clone()));
        let began = Instant::now();
        let refused = details(&verify(&app, &person, NATIONAL_ID, "").await.unwrap_err());
        assert_eq!((refused.code, refused.reason.as_str()), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"), "{reply:?}");
        assert!(refused.retry_seconds.is_some_and(|seconds| seconds > 0), "{refused:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{reply:?} took {:?}", began.elapsed());
    }
    registry.reply(None);
    assert_eq!(profile(&app, &person).await.identity, None);
    app.stop().await;
}

async fn where_nobody_is_asked_nothing_is_offered(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    for _ in 0..10 {
        let refused = details(&verify(&app, &person, NATIONAL_ID, "").await.unwrap_err());
        assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "IDENTITY_NOT_OFFERED"));
    }
    app.stop().await;
}
