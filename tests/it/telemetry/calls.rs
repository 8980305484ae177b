//! Calls are counted however they end, whoever ends them.

use std::time::Duration;

use countersign::proto::v1;
use prost::Message;
use tonic::Request;

use crate::access::raw;
use crate::harness::{Backend, TestApp, bearer, on_both_backends};

on_both_backends!(calls_are_counted_however_they_end, sign_ins_and_tokens_are_counted);

async fn figures(app: &TestApp) -> String {
    reqwest::get(format!("http://{}/metrics", app.node().http)).await.unwrap().text().await.unwrap()
}

/// The figure with this name and these labels, once it is so.
async fn expect(app: &TestApp, line: &str, value: u64) {
    let wanted = format!("countersign_{line} {value}\n");
    let mut seen = String::new();
    for _ in 0..500 {
        seen = figures(app).await;
        if seen.contains(&wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let name = line.split('{').next().unwrap();
    let alike: Vec<_> = seen.lines().filter(|line| line.contains(name) && !line.ends_with(" 0")).collect();
    panic!("no {wanted}but {alike:#?}");
}

fn call(service: &str, method: &str, code: &str) -> String {
    format!("rpc_requests_total{{rpc_service=\"{service}\",rpc_method=\"{method}\",code=\"{code}\"}}")
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
    expect(&app, &format!("rpc_duration_seconds_count{{rpc_service=\"{TOKENS}\",rpc_method=\"Introspect\"}}"), 2).await;

    // A stream counts when it ends: where its client has gone, and where it fails.
    let watch = bearer(v1::WatchRevocationsRequest::default(), &app.api_key);
    let stream = app.node().tokens().watch_revocations(watch).await.unwrap();
    expect(&app, &call(TOKENS, "WatchRevocations", "OK"), 0).await;
    drop(stream);
    expect(&app, &call(TOKENS, "WatchRevocations", "CANCELLED"), 1).await;
    // Calls whose clients give them less time than a password takes. A client looks at its clock as well, and may give up before
    // anything has left.
    let late = call("countersign.v1.AuthService", "Login", "DEADLINE_EXCEEDED");
    for number in 0..100 {
        let identifier = Some(crate::harness::phone_number(&format!("0912123{number:04}")));
        let sent = v1::PasswordCredential { identifier, password: "none of anybody's".to_owned() };
        let credential = Some(v1::login_request::Credential::Password(sent));
        let mut hasty = Request::new(v1::LoginRequest { credential, ..Default::default() });
        hasty.metadata_mut().insert("grpc-timeout", "3m".parse().unwrap());
        app.node().auth().login(hasty).await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(10)).await;
        if figures(&app).await.contains(&late) {
            return app.stop().await;
        }
    }
    panic!("no call was late");
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
