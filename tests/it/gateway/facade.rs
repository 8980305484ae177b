//! Introspection and revocation over HTTP, and the question of gateways that speak nothing else.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::proto::v1;
use serde_json::{Value, json};

use super::exchange::{Answer, call, get};
use crate::access::probing::probes;
use crate::harness::{Backend, TestApp, bearer, figure, on_both_backends};

on_both_backends!(
    a_token_is_introspected,
    v5_inactive_answers_are_the_same_to_the_byte,
    whoever_asks_must_be_known,
    a_form_is_read_strictly,
    a_token_is_revoked,
    v6_only_what_is_ones_own_is_revoked,
    what_cannot_be_known_is_not_answered,
    a_gateway_asks_about_a_request,
    discovery_leads_there,
);

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn post(app: &TestApp, path: &str, authorization: &str, body: &str) -> Answer {
    call(app.node().http, "POST", path, &[FORM, ("authorization", authorization)], body.as_bytes()).await
}

async fn introspect(app: &TestApp, token: &str) -> Answer {
    post(app, "/oauth2/introspect", &format!("Bearer {}", app.api_key), &format!("token={token}")).await
}

async fn a_token_is_introspected(backend: Backend) {
    let settings =
        [("token.scopes", "read,write"), ("token.claims", "phone = phone,cache_ttl = phone,anonymous = phone")];
    let app = TestApp::with(backend, &settings).await;
    let person = app.sign_in("09121234567").await;
    let claims = crate::access::claims(&person.access_token);
    for _ in 0..2 {
        let answer = introspect(&app, &person.access_token).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let mut expected = claims.clone();
        expected["active"] = json!(true);
        expected["token_type"] = json!("Bearer");
        expected["cache_ttl"] = json!(5);
        expected["anonymous"] = json!(false);
        assert_eq!(answer.json(), expected);
        assert_eq!((&expected["scope"], &expected["phone"]), (&json!("read write"), &json!("+989121234567")));
    }
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let answer = introspect(&app, &visitor.into_inner().access_token).await.json();
    assert_eq!((&answer["active"], &answer["anonymous"], &answer["anon"]), (&json!(true), &json!(true), &json!(true)));
    let authorization = basic("anything", &app.api_key);
    let body = format!("token_type_hint=access_token&token={}&audience=countersign", person.access_token);
    assert_eq!(post(&app, "/oauth2/introspect", &authorization, &body).await.json()["active"], true);
    let body = format!("token={}&audience=somebody-else", person.access_token);
    assert_eq!(post(&app, "/oauth2/introspect", &authorization, &body).await.text(), "{\"active\":false}");
    app.stop().await;
}

async fn v5_inactive_answers_are_the_same_to_the_byte(backend: Backend) {
    let app = TestApp::new(backend).await;
    let probes = probes(&app, figure(10_000, 400)).await;
    let mut answers = HashSet::new();
    for token in &probes {
        let answer = introspect(&app, token).await;
        let headers: Vec<_> = answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
        answers.insert((answer.status, headers, answer.body));
    }
    eprintln!("V5: {} probes over HTTP, {} different answers", probes.len(), answers.len());
    assert_eq!(answers.len(), 1);
    let (status, _, body) = answers.into_iter().next().unwrap();
    assert_eq!((status, body.as_slice()), (200, &b"{\"active\":false}"[..]));
    app.stop().await;
}

async fn whoever_asks_must_be_known(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let body = format!("token={}", person.access_token);
    let own = format!("Bearer {}", person.access_token);
    let mut answers = HashSet::new();
    for token in [person.access_token.as_str(), "a.b.c"] {
        for authorization in ["", "Basic", "Basic !!!", &basic("a", "csk_wrong"), "Bearer csk_wrong", &own] {
            let answer = post(&app, "/oauth2/introspect", authorization, &format!("token={token}")).await;
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"countersign\""));
            assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")), "{authorization}");
            answers.insert(answer.text());
        }
    }
    assert_eq!(answers.len(), 1);
    // A key with something behind it is another; of two credentials neither counts, not even where both are the same.
    let answer = post(&app, "/oauth2/introspect", &basic("a", &format!("{}&x", app.api_key)), &body).await;
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")));
    let right = basic("a", &app.api_key);
    let (key, right, own) =
        (("x-api-key", app.api_key.as_str()), ("authorization", right.as_str()), ("authorization", own.as_str()));
    for two in [[key, right], [key, own], [key, key], [right, right]] {
        for path in ["/oauth2/introspect", "/oauth2/revoke"] {
            let headers = [&[FORM], two.as_slice()].concat();
            let answer = call(app.node().http, "POST", path, &headers, body.as_bytes()).await;
            assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{two:?}");
        }
    }
    assert!(app.is_active(&person.access_token).await);
    let request = v1::CreateCallerRequest {
        name: "revoker".to_owned(),
        permissions: vec![v1::Permission::Revoke.into()],
        ..Default::default()
    };
    let created = app.node().admin().create_caller(bearer(request, &app.api_key)).await.unwrap().into_inner();
    let answer = post(&app, "/oauth2/introspect", &basic("revoker", &created.api_key), &body).await;
    assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("unauthorized_client")));
    assert_eq!(get(app.node().http, "/oauth2/introspect", &[]).await.status, 405);
    app.stop().await;
}

async fn a_form_is_read_strictly(backend: Backend) {
    let app = TestApp::new(backend).await;
    let authorization = basic("gateway", &app.api_key);
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let long = format!("token={}", "a".repeat(8193));
        for body in ["", "token=", "tokens=a", "token=a&token=b", "token_type_hint=a&token=b&token_type_hint=c", &long]
        {
            let answer = post(&app, path, &authorization, body).await;
            assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{path} {body}");
        }
        let huge = format!("token=a&padding={}", "a".repeat(16 * 1024));
        assert_eq!(post(&app, path, &authorization, &huge).await.status, 413);
        let json = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        let answer = call(app.node().http, "POST", path, &json, b"{\"token\":\"a\"}").await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")));
    }
    let answer = post(&app, "/oauth2/revoke", &authorization, &format!("token={}", app.api_key)).await;
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("unsupported_token_type")));
    app.stop().await;
}

async fn a_token_is_revoked(backend: Backend) {
    let app = TestApp::new(backend).await;
    let authorization = basic("gateway", &app.api_key);
    let (first, second) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    for (person, token) in [(&first, &first.access_token), (&second, &second.refresh_token)] {
        assert!(app.is_active(&person.access_token).await);
        for _ in 0..2 {
            let answer = post(&app, "/oauth2/revoke", &authorization, &format!("token={token}")).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, ""));
        }
        assert!(!app.is_active(&person.access_token).await);
        assert_eq!(introspect(&app, &person.access_token).await.text(), "{\"active\":false}");
    }
    for unknown in ["a", "a.b.c", "csr_nothing"] {
        let answer = post(&app, "/oauth2/revoke", &authorization, &format!("token={unknown}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }
    app.stop().await;
}

async fn v6_only_what_is_ones_own_is_revoked(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (owner, other) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    let as_other = format!("Bearer {}", other.access_token);
    let mut tried = 0;
    for _ in 0..figure(500, 25) {
        for token in [&owner.access_token, &owner.refresh_token] {
            let answer = post(&app, "/oauth2/revoke", &as_other, &format!("token={token}")).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, ""));
            tried += 1;
        }
    }
    assert!(app.is_active(&owner.access_token).await);
    eprintln!("V6: {tried} foreign tokens over HTTP, 0 revoked");
    let answer = post(&app, "/oauth2/revoke", &as_other, &format!("token={}", other.refresh_token)).await;
    assert_eq!(answer.status, 200);
    assert!(!app.is_active(&other.access_token).await);
    let answer = post(&app, "/oauth2/revoke", &as_other, &format!("token={}", other.refresh_token)).await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_token")));
    let answer = post(&app, "/oauth2/revoke", "", "token=a").await;
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")));
    app.stop().await;
}

async fn what_cannot_be_known_is_not_answered(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    app.node().shut_database().await;
    app.advance(30);
    let unavailable = |answer: &Answer| {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
    };
    unavailable(&introspect(&app, &person.access_token).await);
    let key = format!("Bearer {}", app.api_key);
    unavailable(&post(&app, "/oauth2/revoke", &key, &format!("token={}", person.access_token)).await);
    unavailable(&check(&app, "/auth/check", &person.access_token).await);
    assert_eq!(introspect(&app, "a.b.c").await.text(), "{\"active\":false}");
}

async fn check(app: &TestApp, path: &str, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    get(app.node().http, path, &[("x-api-key", &app.api_key), ("authorization", &authorization)]).await
}

async fn a_gateway_asks_about_a_request(backend: Backend) {
    let app = TestApp::with(backend, &[("token.scopes", "read,write"), ("cookies.set_cookies", "true")]).await;
    let person = app.sign_in("09121234567").await;
    let answer = check(&app, "/auth/check?scopes=read%20write&audience=countersign", &person.access_token).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(answer.header("x-auth-subject"), Some(person.account_id.as_str()));
    assert_eq!(answer.header("x-auth-scopes"), Some("read write"));
    assert_eq!((answer.header("x-auth-roles"), answer.header("x-auth-anonymous")), (None, Some("false")));
    let cookie = format!("__Host-countersign-access={}", person.access_token);
    let key = ("x-api-key", app.api_key.as_str());
    assert_eq!(get(app.node().http, "/auth/check", &[key, ("cookie", &cookie)]).await.status, 200);
    let posted = call(app.node().http, "POST", "/auth/check", &[key, ("cookie", &cookie)], b"anything").await;
    assert_eq!(posted.status, 200);
    for (path, status, error) in [
        ("/auth/check?scopes=read+delete", 403, "insufficient_scope"),
        ("/auth/check?roles=admin", 403, "insufficient_scope"),
        ("/auth/check?audience=other", 401, "invalid_token"),
        ("/auth/check?scope=read", 500, "server_error"),
        ("/auth/check?scopes=read&scopes=write", 500, "server_error"),
        ("/auth/check?optional=true&anything", 500, "server_error"),
    ] {
        let answer = check(&app, path, &person.access_token).await;
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{path}");
        assert_eq!(answer.header("x-auth-subject"), None);
    }
    let answer = get(app.node().http, "/auth/check", &[key]).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(get(app.node().http, "/auth/check?optional=true", &[key]).await.status, 200);
    // A gateway that is not known is told so, and whoever is behind it is not asked for another token.
    let authorization = format!("Bearer {}", app.api_key);
    for headers in [&[][..], &[("x-api-key", "csk_wrong")], &[("authorization", authorization.as_str())]] {
        let answer = get(app.node().http, "/auth/check?optional=true", headers).await;
        assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("invalid_client")));
    }
    app.stop().await;
}

async fn discovery_leads_there(backend: Backend) {
    let app = TestApp::with(backend, &[("token.issuer", "https://login.example.com/tenant/")]).await;
    let answer = get(app.node().http, "/.well-known/oauth-authorization-server", &[]).await;
    let document: Value = answer.json();
    assert_eq!(document["introspection_endpoint"], "https://login.example.com/tenant/oauth2/introspect");
    assert_eq!(document["revocation_endpoint"], "https://login.example.com/tenant/oauth2/revoke");
    assert_eq!(document["introspection_endpoint_auth_methods_supported"], json!(["client_secret_basic"]));
    assert_eq!(document["revocation_endpoint_auth_methods_supported"], json!(["client_secret_basic"]));
    app.stop().await;
}
