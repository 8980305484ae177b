//! What is served over plain HTTP.

use serde_json::{Value, json};

use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(
    keys_say_how_long_they_keep,
    discovery_names_the_issuer_and_its_keys,
    health_is_told,
    nothing_else_is_there
);

async fn fetch(app: &TestApp, path: &str) -> reqwest::Response {
    reqwest::get(format!("http://{}{path}", app.node().http)).await.unwrap()
}

async fn keys_say_how_long_they_keep(backend: Backend) {
    let app = TestApp::with(backend, &[("keys.jwks_lifetime", "7m")]).await;
    let answer = fetch(&app, "/.well-known/jwks.json").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/jwk-set+json");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=420");
    let set: Value = answer.json().await.unwrap();
    assert!(set["keys"].as_array().is_some_and(|keys| !keys.is_empty()));
    app.stop().await;
}

async fn discovery_names_the_issuer_and_its_keys(backend: Backend) {
    let settings = [
        ("token.issuer", "https://login.example.com/tenant/"),
        ("token.scopes", "write,read"),
        ("token.anonymous_scopes", "browse,read"),
    ];
    let app = TestApp::with(backend, &settings).await;
    let oauth: Value = fetch(&app, "/.well-known/oauth-authorization-server").await.json().await.unwrap();
    assert_eq!(oauth["issuer"], "https://login.example.com/tenant/");
    assert_eq!(oauth["jwks_uri"], "https://login.example.com/tenant/.well-known/jwks.json");
    assert_eq!(oauth["scopes_supported"], json!(["browse", "read", "write"]));
    assert_eq!(oauth["response_types_supported"], json!([]));
    assert!(oauth.get("id_token_signing_alg_values_supported").is_none());

    let answer = fetch(&app, "/.well-known/openid-configuration").await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let openid: Value = answer.json().await.unwrap();
    assert_eq!((&openid["issuer"], &openid["jwks_uri"]), (&oauth["issuer"], &oauth["jwks_uri"]));
    assert_eq!(openid["id_token_signing_alg_values_supported"], json!(["ES256"]));
    assert_eq!(openid["subject_types_supported"], json!(["public"]));
    app.stop().await;
}

async fn health_is_told(backend: Backend) {
    let app = TestApp::new(backend).await;
    let answer = fetch(&app, "/healthz").await;
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "ok\n"));
    let answer = fetch(&app, "/readyz").await;
    assert_eq!(answer.status(), 200);
    let parts: Value = answer.json().await.unwrap();
    assert_eq!(parts, json!({ "sign_in": true, "tokens": true, "records": true }));
    app.stop().await;
}

async fn nothing_else_is_there(backend: Backend) {
    let app = TestApp::new(backend).await;
    for path in
        ["/", "/.well-known/", "/.well-known/jwks.json/..", "/metrics/../admin", "/countersign.v1.TokenService/Verify"]
    {
        assert_eq!(fetch(&app, path).await.status(), 404, "{path}");
    }
    let address = format!("http://{}/.well-known/jwks.json", app.node().http);
    assert_eq!(reqwest::Client::new().post(address).send().await.unwrap().status(), 405);
    app.stop().await;
}
