//! What goes to a collector: traces that go on where the caller began them, figures, and the log; and that a collector which is
//! away, or says nothing, is nobody's trouble.

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::proto::v1;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::net::TcpListener;
use tonic::{Code, Request};

use super::Running;
use super::sink::{Heard, Sink, attribute};
use crate::auth::mailbox::Mailbox;
use crate::harness::{Backend, bearer, figure, on_both_backends, phone_number};

on_both_backends!(
    a_trace_goes_on_where_the_caller_began_it,
    an_introspection_that_waits_begins_no_trace,
    what_is_counted_and_said_is_told_too,
    what_was_counted_last_is_told_at_the_end,
    a_collector_that_is_away_is_nobodys_trouble,
    a_collector_that_is_away_or_back_is_told_of
);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traced<T>(message: T, flags: &str, trace: &str) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", format!("00-{trace}-{PARENT}-{flags}").parse().unwrap());
    metadata.insert("tracestate", "vendor=note".parse().unwrap());
    request
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn named<'h>(heard: &'h Heard, trace: &str, name: &str) -> Option<&'h Span> {
    heard.spans.iter().find(|span| hex(&span.trace_id) == trace && span.name == name)
}

async fn a_trace_goes_on_where_the_caller_began_it(backend: Backend) {
    let (sink, mailbox) = (Sink::start().await, Mailbox::answering(StatusCode::OK).await);
    let settings = [
        ("telemetry.traces", "true"),
        ("telemetry.endpoint", sink.endpoint.as_str()),
        ("telemetry.sampling_ratio", "0"),
        ("telemetry.headers", "x-let-me-in=canary"),
        ("telemetry.resource", "deployment.environment.name=test"),
        ("notify.sms", "webhook"),
        ("notify.webhook.url", &mailbox.url),
    ];
    let running = Running::start(backend, &settings).await;
    let ask = v1::RequestOtpRequest { identifier: Some(phone_number("09121234567")), ..Default::default() };
    let mut request = traced(ask.clone(), "01", TRACE);
    request.metadata_mut().insert("x-request-id", "my-request".parse().unwrap());
    let answer = running.auth().request_otp(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "my-request");

    let call = "countersign.v1.AuthService/RequestOtp";
    let span = sink.once(call, |heard| named(heard, TRACE, call).cloned()).await;
    assert_eq!(hex(&span.parent_span_id), PARENT);
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(span.trace_state, "vendor=note");
    let told = |name: &str| attribute(&span.attributes, name);
    assert_eq!(told("rpc.system").as_deref(), Some("grpc"));
    assert_eq!(told("rpc.service").as_deref(), Some("countersign.v1.AuthService"));
    assert_eq!(told("rpc.method").as_deref(), Some("RequestOtp"));
    assert_eq!(told("rpc.grpc.status_code").as_deref(), Some("0"));
    assert_eq!(told("request_id").as_deref(), Some("my-request"));
    assert_eq!(told("peer").as_deref(), Some("unknown"));
    // What it did is part of it, also what was done behind its back: the message, and the look into the database.
    let message = sink.once("the message", |heard| named(heard, TRACE, "message").cloned()).await;
    assert_eq!(message.parent_span_id, span.span_id);
    if backend == Backend::Shared {
        let cache = sink.once("the cache", |heard| named(heard, TRACE, "put").cloned()).await;
        assert_eq!(cache.parent_span_id, span.span_id);
    }
    let carried = mailbox.deliveries(1).await[0].header("traceparent").to_owned();
    assert_eq!(carried, format!("00-{TRACE}-{}-01", hex(&message.span_id)));

    // Introspections are traced where their caller's trace is kept, and nowhere else.
    let probe = || v1::IntrospectRequest { token: "x".to_owned(), ..Default::default() };
    let with_key = |mut request: Request<v1::IntrospectRequest>| {
        request.metadata_mut().insert("authorization", format!("Bearer {}", running.api_key).parse().unwrap());
        request
    };
    let unkept = "1af7651916cd43dd8448eb211c80319c";
    running.tokens().introspect(with_key(Request::new(probe()))).await.unwrap();
    running.tokens().introspect(with_key(traced(probe(), "00", unkept))).await.unwrap();
    running.auth().request_otp(traced(ask.clone(), "00", unkept)).await.unwrap();
    running.auth().request_otp(ask).await.unwrap();
    let kept = "2af7651916cd43dd8448eb211c80319c";
    running.tokens().introspect(with_key(traced(probe(), "01", kept))).await.unwrap();
    // The last of them is told at the end, without being waited for.
    running.program.stopped().await;
    let heard = sink.so_far();
    let introspection = named(&heard, kept, "countersign.v1.TokenService/Introspect").unwrap();
    assert_eq!(hex(&introspection.parent_span_id), PARENT);
    let others: Vec<_> =
        heard.spans.iter().filter(|span| ![TRACE, kept].contains(&hex(&span.trace_id).as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(heard.metadata.iter().all(|metadata| metadata.get("x-let-me-in").unwrap() == "canary"));
    let resource = &heard.resources[0].attributes;
    assert_eq!(attribute(resource, "service.name").as_deref(), Some("countersign"));
    assert_eq!(attribute(resource, "deployment.environment.name").as_deref(), Some("test"));
}

/// A token whose key nobody knows, so that the keys are read again.
fn of_an_unknown_key() -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let header = part(r#"{"alg":"ES256","kid":"nobody","typ":"at+jwt"}"#);
    format!("{header}.{}.{}", part("{}"), URL_SAFE_NO_PAD.encode([0; 64]))
}

async fn an_introspection_that_waits_begins_no_trace(backend: Backend) {
    let sink = Sink::start().await;
    let settings = [
        ("telemetry.traces", "true"),
        ("telemetry.endpoint", sink.endpoint.as_str()),
        ("telemetry.sampling_ratio", "1"),
    ];
    let running = Running::start(backend, &settings).await;
    let unkept = "3af7651916cd43dd8448eb211c80319c";
    let kept = "4af7651916cd43dd8448eb211c80319c";
    for (flags, trace) in [(None, ""), (Some("00"), unkept), (Some("01"), kept)] {
        // The keys are read again once a second at most. One that has had to wait has a name.
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(30), "it never waits");
            let ask = v1::IntrospectRequest { token: of_an_unknown_key(), ..Default::default() };
            let mut request = match flags {
                Some(flags) => traced(ask, flags, trace),
                None => Request::new(ask),
            };
            request.metadata_mut().insert("authorization", format!("Bearer {}", running.api_key).parse().unwrap());
            let answer = running.tokens().introspect(request).await.unwrap();
            if answer.metadata().contains_key("x-request-id") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    running.program.stopped().await;
    let heard = sink.so_far();
    assert!(named(&heard, kept, "countersign.v1.TokenService/Introspect").is_some(), "{heard:?}");
    let others: Vec<_> = heard.spans.iter().filter(|span| hex(&span.trace_id) != kept).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// How many introspections have been refused, as a collector heard last, and whether that only ever grows.
fn refused_introspections(heard: &Heard) -> Option<(bool, Option<Value>)> {
    let metric = heard.metrics.iter().rev().find(|metric| metric.name == "countersign_rpc_requests_total")?;
    let Some(Data::Sum(sum)) = &metric.data else { return None };
    let is_it = |name: &str, value: &str, point: &[_]| attribute(point, name).as_deref() == Some(value);
    let point = sum.data_points.iter().find(|point| {
        is_it("rpc_method", "Introspect", &point.attributes) && is_it("code", "UNAUTHENTICATED", &point.attributes)
    })?;
    Some((sum.is_monotonic, point.value))
}

async fn what_is_counted_and_said_is_told_too(backend: Backend) {
    let sink = Sink::start().await;
    let settings = [
        ("telemetry.traces", "true"),
        ("telemetry.metrics", "true"),
        ("telemetry.logs", "true"),
        ("telemetry.sampling_ratio", "1"),
        ("telemetry.metrics_every", "200ms"),
        ("telemetry.endpoint", sink.endpoint.as_str()),
        ("log.filter", "debug"),
    ];
    let running = Running::start(backend, &settings).await;
    let refused = running.tokens().introspect(v1::IntrospectRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = running.auth().login(v1::LoginRequest::default()).await.unwrap_err();
    let id = refused.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();

    let count = sink.once("refused introspections", refused_introspections).await;
    assert_eq!(count, (true, Some(Value::AsDouble(1.0))));
    let line = sink
        .once("the line", |heard| {
            let call =
                heard.spans.iter().find(|span| attribute(&span.attributes, "request_id").as_ref() == Some(&id))?;
            heard.lines.iter().find(|line| line.trace_id == call.trace_id && !line.trace_id.is_empty()).cloned()
        })
        .await;
    assert_eq!(line.severity_text, "DEBUG");
    running.program.stopped().await;
}

async fn what_was_counted_last_is_told_at_the_end(backend: Backend) {
    let sink = Sink::start().await;
    let settings = [
        ("telemetry.metrics", "true"),
        ("telemetry.metrics_every", "1h"),
        ("telemetry.endpoint", sink.endpoint.as_str()),
    ];
    let running = Running::start(backend, &settings).await;
    sink.once("figures", |heard| heard.metrics.first().cloned()).await;
    running.tokens().introspect(v1::IntrospectRequest::default()).await.unwrap_err();
    running.program.stopped().await;
    assert_eq!(refused_introspections(&sink.so_far()), Some((true, Some(Value::AsDouble(1.0)))));
}

/// How long calls may take beside a collector that is away: much longer than they do, on a machine that does other things too.
const CALL: Duration = Duration::from_secs(5);

async fn a_collector_that_is_away_is_nobodys_trouble(backend: Backend) {
    // One that nobody listens for, and one that takes connections in and says nothing.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (kind, address) in [("closed", closed), ("silent", silent.local_addr().unwrap())] {
        let settings = [
            ("telemetry.traces", "true"),
            ("telemetry.metrics", "true"),
            ("telemetry.logs", "true"),
            ("telemetry.sampling_ratio", "1"),
            ("telemetry.metrics_every", "100ms"),
            ("telemetry.queue", "16"),
            ("telemetry.timeout", "500ms"),
            ("telemetry.flush", "1s"),
            ("telemetry.endpoint", &format!("http://{address}")),
            ("log.filter", "info,countersign=debug"),
        ];
        let running = Running::start(backend, &settings).await;
        let (calls, mut slowest) = (figure(20_000, 400), Duration::ZERO);
        for number in 0..calls {
            let began = Instant::now();
            let token = format!("token-{number}");
            let request = v1::IntrospectRequest { token, ..Default::default() };
            running.tokens().introspect(bearer(request, &running.api_key)).await.unwrap();
            running.tokens().verify(v1::VerifyRequest { token: "x".to_owned() }).await.unwrap();
            running.auth().login(v1::LoginRequest::default()).await.unwrap_err();
            slowest = slowest.max(began.elapsed());
        }
        let (ended, log) = running.program.stopped().await;
        eprintln!("collector {kind}: {calls} times three calls, the slowest {slowest:?}; ended within {ended:?}");
        assert!(slowest < CALL, "{slowest:?}");
        for signal in ["spans", "figures", "log"] {
            let of_signal = format!("signal=\"{signal}\"");
            let said = log.lines().filter(|line| line.contains(REFUSES) && line.contains(&of_signal)).count();
            assert_eq!(said, 1, "{signal}: {log}");
        }
        // grpc.drain is 2 s here, and there is 1 s for the collector; the rest is for a machine that does other things too.
        assert!(ended < Duration::from_secs(8), "{ended:?}");
    }
}

/// What is said of a collector that does not take what it is sent.
const REFUSES: &str = "the collector does not take what it is sent";

async fn a_collector_that_is_away_or_back_is_told_of(backend: Backend) {
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let endpoint = format!("http://{address}");
    let settings = [
        ("telemetry.metrics", "true"),
        ("telemetry.metrics_every", "100ms"),
        ("telemetry.timeout", "500ms"),
        ("telemetry.endpoint", endpoint.as_str()),
    ];
    let running = Running::start(backend, &settings).await;
    let said = async |text: &str| {
        for _ in 0..1_500 {
            if running.program.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never says that {text}: {}", running.program.log());
    };
    said(REFUSES).await;
    let _sink = Sink::start_on(TcpListener::bind(address).await.unwrap());
    said("the collector takes what it is sent again").await;
    let (_, log) = running.program.stopped().await;
    assert_eq!(log.matches(REFUSES).count(), 1, "{log}");
}
