//! Health as it is told by gRPC, reflection, and an end in good order.

use std::time::Duration;

use countersign::proto::v1;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Backend, TestApp, Wire, bearer, details, has_services, on_both_backends, phone_number};

on_both_backends!(
    every_service_serves,
    without_the_database_only_tokens_are_judged,
    leaving_is_told_and_calls_in_flight_are_finished,
    both_reflections_name_the_services,
);

const SERVICES: [&str; 5] = [
    "",
    "countersign.v1.AccountService",
    "countersign.v1.AdminService",
    "countersign.v1.AuthService",
    "countersign.v1.TokenService",
];

async fn status(channel: &Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner().status()
}

/// Waits until a service has the status; it is looked at twice a second.
async fn becomes(channel: &Channel, service: &str, expected: ServingStatus) {
    for _ in 0..500 {
        if status(channel, service).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{service} does not become {expected:?}");
}

async fn every_service_serves(backend: Backend) {
    let app = TestApp::new(backend).await;
    for service in SERVICES {
        assert_eq!(status(&app.node().channel, service).await, ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest { service: "countersign.v1.NoService".to_owned() };
    let unknown = HealthClient::new(app.node().channel.clone()).check(request).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    app.stop().await;
}

async fn without_the_database_only_tokens_are_judged(backend: Backend) {
    let app = TestApp::new(backend).await;
    let token = app.sign_in("09121234567").await.access_token;
    let channel = app.node().channel.clone();
    app.node().shut_database().await;
    for service in ["countersign.v1.AccountService", "countersign.v1.AdminService", "countersign.v1.AuthService"] {
        becomes(&channel, service, ServingStatus::NotServing).await;
    }
    // What is known of revocations is fresh still.
    assert_eq!(status(&channel, "countersign.v1.TokenService").await, ServingStatus::Serving);
    assert!(app.is_active(&token).await);
    let ready = reqwest::get(format!("http://{}/readyz", app.node().http)).await.unwrap();
    assert_eq!(ready.status(), 200);

    app.advance(10);
    becomes(&channel, "countersign.v1.TokenService", ServingStatus::NotServing).await;
    becomes(&channel, "", ServingStatus::NotServing).await;
    let request = bearer(v1::IntrospectRequest { token, ..Default::default() }, &app.api_key);
    let refused = details(&app.node().tokens().introspect(request).await.unwrap_err());
    assert_eq!((refused.code, refused.retry_seconds), (tonic::Code::Unavailable, Some(1)));
    let ready = reqwest::get(format!("http://{}/readyz", app.node().http)).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(reqwest::get(format!("http://{}/healthz", app.node().http)).await.unwrap().status(), 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_cache_nobody_signs_in_and_tokens_are_judged() {
    if !has_services() {
        return;
    }
    let redis = std::env::var("COUNTERSIGN_TEST_REDIS_URL").unwrap();
    let place = redis.trim_start_matches("redis://").trim_end_matches('/');
    let wire = Wire::to(tokio::net::lookup_host(place).await.unwrap().next().unwrap()).await;
    let url = format!("redis://{}", wire.address);
    let app = TestApp::with(Backend::Shared, &[("cache.url", &url)]).await;
    let person = app.sign_in("09121234567").await;
    let channel = app.node().channel.clone();
    becomes(&channel, "countersign.v1.AuthService", ServingStatus::Serving).await;
    wire.cut();
    becomes(&channel, "countersign.v1.AuthService", ServingStatus::NotServing).await;
    for service in ["", "countersign.v1.TokenService", "countersign.v1.AccountService", "countersign.v1.AdminService"] {
        assert_eq!(status(&channel, service).await, ServingStatus::Serving, "{service}");
    }
    assert!(app.is_active(&person.access_token).await);
    let request = v1::RequestOtpRequest { identifier: Some(phone_number("09121234567")), ..Default::default() };
    let refused = details(&app.node().auth().request_otp(request).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (tonic::Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
    // What is taken back is taken back.
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &person.access_token)).await.unwrap();
    assert!(!app.is_active(&person.access_token).await);
    app.stop().await;
}

async fn leaving_is_told_and_calls_in_flight_are_finished(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let mut health = HealthClient::new(app.node().connect().await);
    let request = HealthCheckRequest { service: "countersign.v1.AuthService".to_owned() };
    let mut told = health.watch(request).await.unwrap().into_inner();
    assert_eq!(told.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    // Batches of tokens that were never seen keep the only worker at work while it is asked to stop.
    let tokens = vec![person.access_token.clone(); 1_000];
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let mut client = app.node().tokens();
        let request = v1::BatchIntrospectRequest { tokens: tokens.clone(), ..Default::default() };
        let request = bearer(request, &app.api_key);
        calls.spawn(async move { client.batch_introspect(request).await.map(|answer| answer.into_inner().results) });
    }
    let first = calls.join_next().await.unwrap().unwrap().unwrap();
    let stopping = tokio::spawn(app.stop());
    assert!(first.iter().all(|result| result.active));
    let mut finished = 1;
    while let Some(call) = calls.join_next().await {
        finished += usize::from(call.unwrap().is_ok_and(|results| results.len() == 1_000));
    }
    assert_eq!(finished, 8);
    assert_eq!(told.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop((told, health));
    stopping.await.unwrap();
}

macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;

        let ask = |question| ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let questions = tokio_stream::iter([
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol("countersign.v1.TokenService.Introspect".to_owned())),
        ]);
        let mut client = ServerReflectionClient::new($channel.clone());
        let mut answers = client.server_reflection_info(questions).await.unwrap().into_inner();
        let first = answers.next().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = first else { panic!("{first:?}") };
        let second = answers.next().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::FileDescriptorResponse(file)) = second else { panic!("{second:?}") };
        assert!(!file.file_descriptor_proto.is_empty());
        list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
    }};
}

async fn both_reflections_name_the_services(backend: Backend) {
    let app = TestApp::new(backend).await;
    let channel = &app.node().channel;
    for names in [reflected!(v1, channel), reflected!(v1alpha, channel)] {
        for service in &SERVICES[1..] {
            assert!(names.iter().any(|name| name == service), "{service} is not in {names:?}");
        }
    }
    app.stop().await;
}
