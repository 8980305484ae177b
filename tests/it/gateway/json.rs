//! Apps speak JSON with Envoy, which speaks gRPC with the service.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::envoy::Envoy;
use super::exchange::{Answer, call, get_as};
use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(a_person_signs_in_with_json, errors_are_json);

async fn post(to: SocketAddr, path: &str, body: &Value) -> Answer {
    call(to, "POST", path, &[("content-type", "application/json")], body.to_string().as_bytes()).await
}

async fn a_person_signs_in_with_json(backend: Backend) {
    let app = TestApp::new(backend).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let at = envoy.judged;
    let answer = post(at, "/v1/auth/otp", &json!({ "identifier": { "phone": "09121234567" } })).await.json();
    let challenge = answer["challenge"]["challenge_id"].as_str().unwrap().to_owned();
    let code = app.code(&challenge).await;
    let answer =
        post(at, "/v1/auth/login", &json!({ "otp": { "challenge_id": challenge, "code": code } })).await.json();
    let token = answer["tokens"]["access_token"].as_str().unwrap();
    assert_eq!(answer["created"], true);
    let profile = get_as(at, "/v1/account", token).await.json();
    assert_eq!(profile["account"]["phone"], "+989121234567");
    assert_eq!(profile["account"]["account_id"], answer["account"]["account_id"]);
    // What the JSON signs in is what the gateway lets through.
    assert_eq!(get_as(at, "/anything", token).await.status, 200);
    let refresh_token = &answer["tokens"]["refresh_token"];
    let refreshed = post(at, "/v1/tokens:refresh", &json!({ "refresh_token": refresh_token })).await.json();
    let token = refreshed["tokens"]["access_token"].as_str().unwrap();
    let sessions = get_as(at, "/v1/account/sessions", token).await.json();
    let session = sessions["sessions"][0]["session_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/account/sessions/{session}");
    let ended = call(at, "DELETE", &path, &[("authorization", &format!("Bearer {token}"))], b"").await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert_eq!(get_as(at, "/anything", token).await.status, 401);
    app.stop().await;
}

/// The reason in an error's details.
fn reason(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let details = body["details"].as_array().unwrap_or_else(|| panic!("no details: {body}")).iter();
    let infos = details.filter(|detail| detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo");
    let info: Vec<_> = infos.collect();
    assert_eq!((info.len(), &info[0]["domain"]), (1, &json!("countersign")), "{body}");
    (answer.status, info[0]["reason"].as_str().unwrap().to_owned())
}

async fn errors_are_json(backend: Backend) {
    let app = TestApp::new(backend).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let at = envoy.judged;
    let wrong = post(at, "/v1/auth/otp", &json!({ "identifier": { "phone": "12" } })).await;
    assert_eq!(reason(&wrong), (400, "ERROR_REASON_INVALID_FIELD".to_owned()));
    assert!(wrong.text().contains("identifier.phone"));
    let wrong = post(at, "/v1/tokens:refresh", &json!({ "refresh_token": "csr_nothing" })).await;
    assert_eq!(reason(&wrong), (401, "ERROR_REASON_REFRESH_TOKEN_INVALID".to_owned()));
    let wrong = get_as(at, "/v1/account", "a.b.c").await;
    assert_eq!(reason(&wrong), (401, "ERROR_REASON_ACCESS_TOKEN_INVALID".to_owned()));
    // What is for services is not offered.
    for path in ["/countersign.v1.TokenService/Introspect", "/countersign.v1.AdminService/ListAccounts"] {
        let person = app.sign_in("09121234567").await;
        let answer = get_as(at, path, &person.access_token).await;
        assert_eq!(answer.json()["reached"], true, "{path} goes to the application");
        app.advance(120);
    }
    app.stop().await;
}
