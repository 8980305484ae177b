//! Calls are counted however they end, whoever ends them.

use std::time::Duration;

use countersign::proto::v1;
use prost::Message;
use tonic::{Code, Request};

use crate::access::raw;
use crate::harness::{Backend, TestApp, bearer, on_both_backends};

on_both_backends!(calls_are_counted_however_they_end, sign_ins_and_tokens_are_counted);

/// The figure with this name and these labels, once it is so.
async fn expect(app: &TestApp, line: &str, value: u64) {
    let wanted = format!("countersign_{line} {value}\n");
    let mut figures = String::new();
    for _ in 0..500 {
        figures = reqwest::get(format!("http://{}/metrics", app.node().http)).await.unwrap().text().await.unwrap();
        if figures.contains(&wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let name = line.split('{').next().unwrap();
    let alike: Vec<_> = figures.lines().filter(|line| line.contains(name) && !line.ends_with(" 0")).collect();
    panic!("no {wanted}but {alike:#?}");
}

fn call(service: &str, method: &str, code: &str) -> String {
    format!("rpc_requests_total{{service=\"{service}\",method=\"{method}\",code=\"{code}\"}}")
}

async fn calls_are_counted_however_they_end(backend: Backend) {
    const TOKENS: &str = "countersign.v1.TokenService";
    let app = TestApp::new(backend).await;
    let channel = app.node().connect().await;
    let path = |method: &str| format!("/{TOKENS}/{method}");
    let probe = v1::IntrospectRequest { token: "x".to_owned(), ..Default::default() }.encode_to_vec();
    // Answered, refused at the gate, refused behind it.
    for _ in 0..70 {
        raw::call(&channel, &path("Introspect"), bearer(probe.clone(), &app.api_key)).await.unwrap();
    }
    raw::call(&channel, &path("Introspect"), Request::new(probe.clone())).await.unwrap_err();
    raw::call(&channel, &path("Introspect"), bearer(probe.clone(), "csk_unknown")).await.unwrap_err();
    raw::call(&channel, &path("Introspect"), bearer(Vec::new(), &app.api_key)).await.unwrap_err();
    raw::call(&channel, &path("Verify"), Request::new(Vec::new())).await.unwrap_err();
    // No such method, whatever it is called.
    raw::call(&channel, "/countersign.v1.TokenService/Nothing", Request::new(Vec::new())).await.unwrap_err();
    raw::call(&channel, "/09121234567/secret", Request::new(Vec::new())).await.unwrap_err();
    expect(&app, &call(TOKENS, "Introspect", "OK"), 70).await;
    expect(&app, &call(TOKENS, "Introspect", "UNAUTHENTICATED"), 2).await;
    expect(&app, &call(TOKENS, "Introspect", "INVALID_ARGUMENT"), 1).await;
    expect(&app, &call(TOKENS, "Verify", "INVALID_ARGUMENT"), 1).await;
    expect(&app, &call("unknown", "unknown", "UNIMPLEMENTED"), 2).await;
    expect(&app, "introspections_total{outcome=\"inactive\"}", 70).await;
    // Of 73 introspections the first is measured, and that with the 65th success behind it.
    expect(&app, &format!("rpc_duration_seconds_count{{service=\"{TOKENS}\",method=\"Introspect\"}}"), 2).await;

    // A stream counts when it ends: where its client has gone, and where it fails.
    let watch = bearer(v1::WatchRevocationsRequest::default(), &app.api_key);
    let stream = app.node().tokens().watch_revocations(watch).await.unwrap();
    expect(&app, &call(TOKENS, "WatchRevocations", "OK"), 0).await;
    drop(stream);
    expect(&app, &call(TOKENS, "WatchRevocations", "CANCELLED"), 1).await;
    // A call whose client gives it no time.
    let mut hasty = Request::new(v1::RequestOtpRequest {
        identifier: Some(crate::harness::phone_number("09121234567")),
        ..Default::default()
    });
    hasty.metadata_mut().insert("grpc-timeout", "1n".parse().unwrap());
    let late = app.node().auth().request_otp(hasty).await.unwrap_err();
    // The client looks at its clock as well, and may be the first to see it.
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    expect(&app, &call("countersign.v1.AuthService", "RequestOtp", "DEADLINE_EXCEEDED"), 1).await;
    app.stop().await;
}

async fn sign_ins_and_tokens_are_counted(backend: Backend) {
    let app = TestApp::with(backend, &[("session.grace", "10s")]).await;
    let person = app.sign_in("09121234567").await;
    let challenge = app.challenge("09121234568").await;
    let wrong = if app.code(&challenge.challenge_id).await == "000000" { "111111" } else { "000000" };
    app.node().auth().login(crate::harness::login(&challenge.challenge_id, wrong)).await.unwrap_err();
    let refresh = |token: &str| v1::RefreshRequest { refresh_token: token.to_owned(), ..Default::default() };
    let mut tokens = app.node().tokens();
    let next = tokens.refresh(refresh(&person.refresh_token)).await.unwrap().into_inner().tokens.unwrap();
    tokens.refresh(refresh(&person.refresh_token)).await.unwrap();
    tokens.refresh(refresh(&next.refresh_token)).await.unwrap();
    app.advance(60);
    tokens.refresh(refresh(&person.refresh_token)).await.unwrap_err();
    tokens.refresh(refresh("csr_nothing")).await.unwrap_err();
    for (line, value) in [
        ("sign_ins_total{method=\"code\",outcome=\"succeeded\"}", 1),
        ("sign_ins_total{method=\"code\",outcome=\"refused\"}", 1),
        ("codes_total{event=\"sent\",channel=\"sms\"}", 2),
        ("codes_total{event=\"used\",channel=\"sms\"}", 1),
        ("codes_total{event=\"refused\",channel=\"any\"}", 1),
        ("refreshes_total{outcome=\"rotated\"}", 2),
        ("refreshes_total{outcome=\"retried\"}", 1),
        ("refreshes_total{outcome=\"theft\"}", 1),
        ("refreshes_total{outcome=\"refused\"}", 1),
        ("replica_entries", 1),
        ("signing_keys{state=\"active\"}", 1),
        ("messages_queued", 0),
        ("password_queue", 0),
    ] {
        expect(&app, line, value).await;
    }
    app.stop().await;
}
