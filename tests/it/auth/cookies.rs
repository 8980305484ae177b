//! Tokens in cookies: set and cleared where that is configured, read where nothing else is sent, and otherwise not there.

use countersign::proto::v1;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request};

use crate::harness::{Backend, Person, TestApp, bearer, details, login, on_both_backends};

on_both_backends!(
    signing_in_sets_cookies_and_signing_out_clears_them,
    a_cookie_stands_in_for_a_token_that_is_not_sent,
    what_is_sent_counts_before_what_comes_along,
    cookies_are_off_unless_asked_for,
);

const ON: &[(&str, &str)] = &[("cookies.set_cookies", "true"), ("cookies.same_site", "strict")];
const ATTRIBUTES: &str = "Secure; HttpOnly; SameSite=Strict";

/// What is set, by name: the value and the seconds it lasts.
fn cookies(metadata: &MetadataMap) -> Vec<(String, String, i64)> {
    let set = metadata.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    set.map(|cookie| {
        let (pair, attributes) = cookie.split_once("; Path=/; Max-Age=").unwrap();
        let (seconds, attributes) = attributes.split_once("; ").unwrap();
        assert_eq!(attributes, ATTRIBUTES);
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.to_owned(), seconds.parse().unwrap())
    })
    .collect()
}

fn cleared() -> Vec<(String, String, i64)> {
    ["access", "refresh"].map(|kind| (format!("__Host-countersign-{kind}"), String::new(), 0)).into()
}

fn with_cookies<T>(message: T, cookies: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().append("cookie", cookies.parse().unwrap());
    request
}

fn both(person: &Person) -> String {
    let Person { access_token, refresh_token, .. } = person;
    format!("__Host-countersign-access={access_token}; __Host-countersign-refresh={refresh_token}")
}

async fn signing_in_sets_cookies_and_signing_out_clears_them(backend: Backend) {
    let app = TestApp::with(backend, ON).await;
    let challenge = app.challenge("09121234567").await;
    let code = app.code(&challenge.challenge_id).await;
    let answer = app.node().auth().login(login(&challenge.challenge_id, &code)).await.unwrap();
    let set = cookies(answer.metadata());
    let tokens = answer.into_inner().tokens.unwrap();
    let expected = [
        ("__Host-countersign-access".to_owned(), tokens.access_token.clone(), tokens.expires_in),
        ("__Host-countersign-refresh".to_owned(), tokens.refresh_token.clone(), 30 * 24 * 60 * 60),
    ];
    assert_eq!(set, expected);
    let answer = app.node().auth().logout(bearer(v1::LogoutRequest::default(), &tokens.access_token)).await.unwrap();
    assert_eq!(cookies(answer.metadata()), cleared());
    assert!(!app.is_active(&tokens.access_token).await);
    // What they held is worth nothing, and the browser is told so.
    let request = v1::RefreshRequest { refresh_token: tokens.refresh_token, ..Default::default() };
    let refusal = app.node().tokens().refresh(request).await.unwrap_err();
    assert_eq!(details(&refusal).reason, "SESSION_ENDED");
    assert_eq!(cookies(refusal.metadata()), cleared());
}

async fn a_cookie_stands_in_for_a_token_that_is_not_sent(backend: Backend) {
    let app = TestApp::with(backend, ON).await;
    let person = app.sign_in("09121234567").await;
    let asked = with_cookies(v1::GetProfileRequest {}, &both(&person));
    let profile = app.node().accounts().get_profile(asked).await.unwrap().into_inner();
    assert_eq!(profile.account.unwrap().account_id, person.account_id);

    let asked = with_cookies(v1::RefreshRequest::default(), &both(&person));
    let answer = app.node().tokens().refresh(asked).await.unwrap();
    let set = cookies(answer.metadata());
    assert_eq!(set.len(), 2);
    assert!(set[1].1.starts_with("csr_") && set[1].1 != person.refresh_token);
    // A script in the page could read the answer.
    let tokens = answer.into_inner().tokens.unwrap();
    assert_eq!((tokens.access_token.as_str(), tokens.refresh_token.as_str()), ("", ""));
    assert!(tokens.expires_in > 0 && app.is_active(&set[0].1).await);

    let next = format!("theme=dark; __Host-countersign-refresh={}", set[1].1);
    app.node().auth().logout(with_cookies(v1::LogoutRequest::default(), &next)).await.unwrap();
    assert!(!app.is_active(&set[0].1).await);
}

async fn what_is_sent_counts_before_what_comes_along(backend: Backend) {
    let app = TestApp::with(backend, ON).await;
    let (one, other) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    let mut asked = with_cookies(v1::GetProfileRequest {}, &both(&one));
    asked.metadata_mut().insert("authorization", format!("Bearer {}", other.access_token).parse().unwrap());
    let profile = app.node().accounts().get_profile(asked).await.unwrap().into_inner();
    assert_eq!(profile.account.unwrap().account_id, other.account_id);
    let mut asked = with_cookies(v1::LogoutRequest::default(), &both(&one));
    asked.metadata_mut().insert("authorization", format!("Bearer {}", other.access_token).parse().unwrap());
    app.node().auth().logout(asked).await.unwrap();
    assert!(app.is_active(&one.access_token).await && !app.is_active(&other.access_token).await);
    // A credential that does not count is not made up for by a cookie.
    let mut asked = with_cookies(v1::GetProfileRequest {}, &both(&one));
    asked.metadata_mut().insert("authorization", "Bearer nonsense".parse().unwrap());
    let refusal = app.node().accounts().get_profile(asked).await.unwrap_err();
    assert_eq!(details(&refusal).reason, "ACCESS_TOKEN_INVALID");
}

async fn cookies_are_off_unless_asked_for(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let refusal =
        app.node().accounts().get_profile(with_cookies(v1::GetProfileRequest {}, &both(&person))).await.unwrap_err();
    assert_eq!(details(&refusal).reason, "CREDENTIALS_MISSING");
    let refusal =
        app.node().tokens().refresh(with_cookies(v1::RefreshRequest::default(), &both(&person))).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unauthenticated);
    assert!(refusal.metadata().get("set-cookie").is_none());
    let request = v1::RefreshRequest { refresh_token: person.refresh_token.clone(), ..Default::default() };
    assert!(app.node().tokens().refresh(request).await.unwrap().metadata().get("set-cookie").is_none());
}
