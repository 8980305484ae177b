//! Envoy asks about each request: what passes, as whom, and what those are told who do not pass.

use countersign::proto::v1;

use super::envoy::{Envoy, SETTINGS};
use super::exchange::{Answer, get, get_as};
use super::upstream::values;
use crate::admin::block;
use crate::harness::{Backend, Person, TestApp, bearer, on_both_backends};

on_both_backends!(
    whoever_counts_passes_as_who_they_are,
    what_does_not_count_is_refused,
    what_a_route_needs_is_demanded,
    visitors_pass_where_they_may,
    a_cookie_is_as_good_as_a_header,
    what_is_revoked_stops_at_once,
    nothing_passes_that_cannot_be_judged,
    what_a_route_needs_must_be_understood,
);

/// What is told of a refusal: the status, the challenge, and the reason.
fn refusal(answer: &Answer) -> (u16, Option<&str>, String) {
    let body = answer.json();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(body["error_description"].is_string());
    (answer.status, answer.header("www-authenticate"), body["error"].as_str().unwrap().to_owned())
}

const INVALID: Option<&str> = Some("Bearer error=\"invalid_token\"");

async fn whoever_counts_passes_as_who_they_are(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    let answer = get_as(envoy.judged, "/anything", &person.access_token).await;
    assert_eq!(values(&answer, "x-auth-subject"), [person.account_id.as_str()]);
    assert_eq!(values(&answer, "x-auth-session").len(), 1);
    assert_eq!(values(&answer, "x-auth-scopes"), ["orders.read profile"]);
    assert_eq!(values(&answer, "x-auth-anonymous"), ["false"]);
    assert!(values(&answer, "x-auth-roles").is_empty());
    // The scheme is written in any case.
    let answer = get(envoy.judged, "/", &[("Authorization", &format!("bEARER {}", person.access_token))]).await;
    assert_eq!(values(&answer, "x-auth-subject"), [person.account_id.as_str()]);
    app.stop().await;
}

async fn what_does_not_count_is_refused(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    let answer = get(envoy.judged, "/", &[]).await;
    assert_eq!(refusal(&answer), (401, Some("Bearer"), "token_missing".to_owned()));
    let good = format!("Bearer {}", person.access_token);
    let doubled = [("authorization", good.as_str()), ("authorization", good.as_str())];
    let answer = get(envoy.judged, "/", &doubled).await;
    assert_eq!(refusal(&answer), (401, INVALID, "invalid_token".to_owned()));
    for credential in ["Bearer a.b.c", "Bearer", "Basic YTpi", &format!("Bearer {}", app.api_key), &format!("{good}x")]
    {
        let answer = get(envoy.judged, "/", &[("authorization", credential)]).await;
        assert_eq!(refusal(&answer), (401, INVALID, "invalid_token".to_owned()), "{credential}");
    }
    let answer = get_as(envoy.judged, "/", &person.refresh_token).await;
    assert_eq!(refusal(&answer), (401, INVALID, "invalid_token".to_owned()));
    app.advance(303);
    let answer = get_as(envoy.judged, "/", &person.access_token).await;
    assert_eq!(refusal(&answer), (401, INVALID, "invalid_token".to_owned()));
    // Where nothing is judged by the gateway, nothing leads to the application.
    for path in ["/v1", "/v1/../orders/1", "/v1%2f..%2forders", "//v1/..//orders/1", "/countersign.v1.AuthService/.."] {
        let status = get(envoy.judged, path, &[]).await.status;
        assert!([400, 401, 404, 415].contains(&status), "{path}: {status}");
    }
    assert_eq!(envoy.application.reached(), 0);
    app.stop().await;
}

async fn what_a_route_needs_is_demanded(backend: Backend) {
    let app = TestApp::with(backend, &[("token.scopes", "profile")]).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    let refused = get_as(envoy.judged, "/orders/1", &person.access_token).await;
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"orders.read\"";
    assert_eq!(refusal(&refused), (403, Some(challenge), "insufficient_scope".to_owned()));
    let refused = get_as(envoy.judged, "/staff/1", &person.access_token).await;
    assert_eq!(refusal(&refused), (403, Some("Bearer error=\"insufficient_scope\""), "insufficient_scope".to_owned()));
    let refused = get_as(envoy.judged, "/partner/1", &person.access_token).await;
    assert_eq!(refusal(&refused), (401, INVALID, "invalid_token".to_owned()));
    assert_eq!(envoy.application.reached(), 0);

    let request = v1::UpdateAccountRequest {
        account: Some(v1::Account {
            account_id: person.account_id.clone(),
            roles: vec!["support".to_owned(), "teller".to_owned()],
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["roles".to_owned()] }),
    };
    app.node().admin().update_account(bearer(request, &app.api_key)).await.unwrap();
    let person = app.sign_in("09121234567").await;
    let answer = get_as(envoy.judged, "/staff/1", &person.access_token).await;
    assert_eq!(values(&answer, "x-auth-roles"), ["support,teller"]);
    app.stop().await;
}

async fn visitors_pass_where_they_may(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let visitor = visitor.into_inner();
    let answer = get_as(envoy.judged, "/catalogue/1", &visitor.access_token).await;
    assert_eq!(values(&answer, "x-auth-subject"), [visitor.anonymous_id.as_str()]);
    assert_eq!(values(&answer, "x-auth-anonymous"), ["true"]);
    assert!(values(&answer, "x-auth-session").is_empty());
    let refused = get_as(envoy.judged, "/", &visitor.access_token).await;
    assert_eq!((refused.status, refusal(&refused).2.as_str()), (403, "insufficient_scope"));
    assert_eq!(get(envoy.judged, "/catalogue/1", &[]).await.status, 401);
    // Where no token is needed, one that does not count is refused all the same.
    let answer = get(envoy.judged, "/public/1", &[]).await;
    for name in ["subject", "session", "roles", "scopes", "anonymous"] {
        assert!(values(&answer, &format!("x-auth-{name}")).is_empty());
    }
    assert_eq!(get_as(envoy.judged, "/public/1", "a.b.c").await.status, 401);
    let answer = get_as(envoy.judged, "/public/1", &visitor.access_token).await;
    assert_eq!(values(&answer, "x-auth-anonymous"), ["true"]);
    app.stop().await;
}

async fn a_cookie_is_as_good_as_a_header(backend: Backend) {
    let app = TestApp::with(backend, &[("cookies.set_cookies", "true")]).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let (person, other) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    let cookie = |person: &Person| format!("theme=dark; __Host-countersign-access={}", person.access_token);
    let answer = get(envoy.judged, "/", &[("cookie", &cookie(&person))]).await;
    assert_eq!(values(&answer, "x-auth-subject"), [person.account_id.as_str()]);
    // A header counts before it, also one that is worth nothing.
    let bearer = format!("Bearer {}", other.access_token);
    let answer = get(envoy.judged, "/", &[("cookie", &cookie(&person)), ("authorization", &bearer)]).await;
    assert_eq!(values(&answer, "x-auth-subject"), [other.account_id.as_str()]);
    let both = [("cookie", cookie(&person)), ("authorization", "Bearer a.b.c".to_owned())];
    let both = both.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(get(envoy.judged, "/", &both).await.status, 401);
    app.stop().await;
}

async fn what_is_revoked_stops_at_once(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    for way in 0..3 {
        let person = app.sign_in(&format!("0912123456{way}")).await;
        let passes = get_as(envoy.judged, "/", &person.access_token).await;
        assert_eq!(values(&passes, "x-auth-subject"), [person.account_id.as_str()]);
        match way {
            0 => {
                let request = v1::RevokeRequest { token: person.access_token.clone(), ..Default::default() };
                app.node().tokens().revoke(bearer(request, &app.api_key)).await.unwrap();
            }
            1 => {
                let request = bearer(v1::LogoutRequest::default(), &person.access_token);
                app.node().auth().logout(request).await.unwrap();
            }
            _ => drop(block(&app, &person.account_id, "abuse", None).await),
        }
        let refused = get_as(envoy.judged, "/", &person.access_token).await;
        assert_eq!(refusal(&refused), (401, INVALID, "invalid_token".to_owned()), "{way}");
    }
    app.stop().await;
}

async fn nothing_passes_that_cannot_be_judged(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    assert_eq!(get_as(envoy.judged, "/", &person.access_token).await.status, 200);
    app.node().shut_database().await;
    app.advance(30);
    let refused = get_as(envoy.judged, "/", &person.access_token).await;
    assert_eq!(refusal(&refused), (503, None, "temporarily_unavailable".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    // What does not count by itself needs no database.
    assert_eq!(get_as(envoy.judged, "/", "a.b.c").await.status, 401);
    assert_eq!(envoy.application.reached(), 1);
}

async fn what_a_route_needs_must_be_understood(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let person = app.sign_in("09121234567").await;
    for wrong in [
        "scope: \"orders.read\"",
        "scopes: \"\"",
        "scopes: \"orders.read\"\n                                  rolls: \"x\"",
    ] {
        let more = [("scopes: \"orders.read\"", wrong.to_owned())];
        let Some(envoy) = Envoy::start(app.node().grpc, app.node().http, &app.api_key, &more).await else { return };
        let refused = get_as(envoy.judged, "/orders/1", &person.access_token).await;
        assert_eq!(refusal(&refused), (500, None, "server_error".to_owned()));
        assert_eq!(envoy.application.reached(), 0);
    }
    // An Envoy that may not ask lets nobody through.
    let Some(envoy) = Envoy::start(app.node().grpc, app.node().http, "csk_wrong", &[]).await else { return };
    assert_eq!(get_as(envoy.judged, "/", &person.access_token).await.status, 503);
    assert_eq!(get(envoy.judged, "/public/1", &[]).await.status, 503);
    assert_eq!(envoy.application.reached(), 0);
    app.stop().await;
}
