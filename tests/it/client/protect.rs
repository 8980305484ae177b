//! Services behind a verifier: what reaches them, and what everybody else is told, by gRPC and by HTTP.

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use countersign::proto::v1::IssueAnonymousTokenRequest;
use countersign_client::{Identity, Require, Verifier, WhenStale};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use tonic::service::Interceptor;
use tonic::{Code, Status};
use tower::{Layer, ServiceExt};

use super::{anybody, builder, clock_of, connect, ready, verifier};
use crate::harness::{Backend, TestApp, Wire, details, on_both_backends};
use crate::session::{log_out, newcomer};

on_both_backends!(
    an_http_service_is_reached_with_a_token_only,
    a_grpc_service_is_reached_with_a_token_only,
    an_interceptor_lets_the_same_through,
    what_cannot_be_judged_is_told_to_come_back,
);

async fn whoever(Extension(identity): Extension<Identity>) -> String {
    identity.account_id().to_string()
}

fn shop(verifier: &Verifier) -> Router {
    let staff = Require::new().scope("orders.read").role("staff");
    Router::new()
        .route("/me", get(whoever).layer(verifier.protect(Require::new())))
        .route("/shop", get(whoever).layer(verifier.protect(anybody())))
        .route("/staff", get(whoever).layer(verifier.protect(staff)))
        .route("/orders", get(whoever).layer(verifier.protect(Require::new().audience("orders"))))
}

async fn ask(router: &Router, path: &str, authorization: Option<&str>) -> (StatusCode, Option<String>, String) {
    let mut request = Request::builder().uri(path);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let told = head.headers.get(WWW_AUTHENTICATE).or_else(|| head.headers.get(RETRY_AFTER));
    let told = told.map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(body, 1_000).await.unwrap();
    (head.status, told, String::from_utf8(body.to_vec()).unwrap())
}

async fn an_http_service_is_reached_with_a_token_only(backend: Backend) {
    let app = TestApp::with(backend, &[("token.scopes", "orders.read")]).await;
    let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
    let router = shop(&verifier);
    let person = newcomer(&app).await;
    let token = format!("Bearer {}", person.access_token);
    assert_eq!(ask(&router, "/me", Some(&token)).await, (StatusCode::OK, None, person.account_id.clone()));
    assert_eq!(ask(&router, "/shop", Some(&token)).await.0, StatusCode::OK);

    let bearer = |rest: &str| Some(format!("Bearer{rest}"));
    let refused = |status, told| (status, told, String::new());
    for none in [None, Some("Basic YTpi"), Some("")] {
        assert_eq!(ask(&router, "/me", none).await, refused(StatusCode::UNAUTHORIZED, bearer("")));
    }
    let invalid = bearer(r#" error="invalid_token""#);
    assert_eq!(ask(&router, "/me", Some("Bearer a.b.c")).await, refused(StatusCode::UNAUTHORIZED, invalid.clone()));
    assert_eq!(ask(&router, "/orders", Some(&token)).await, refused(StatusCode::UNAUTHORIZED, invalid.clone()));
    let insufficient = bearer(r#" error="insufficient_scope""#);
    assert_eq!(ask(&router, "/staff", Some(&token)).await, refused(StatusCode::FORBIDDEN, insufficient.clone()));

    let visitor =
        app.node().auth().issue_anonymous_token(IssueAnonymousTokenRequest::default()).await.unwrap().into_inner();
    let visitor_token = format!("Bearer {}", visitor.access_token);
    assert_eq!(ask(&router, "/me", Some(&visitor_token)).await, refused(StatusCode::FORBIDDEN, insufficient));
    assert_eq!(ask(&router, "/shop", Some(&visitor_token)).await, (StatusCode::OK, None, visitor.anonymous_id));
    let lacking = bearer(r#" error="insufficient_scope", scope="orders.read""#);
    let router = router.route("/read", get(whoever).layer(verifier.protect(anybody().scope("orders.read"))));
    assert_eq!(ask(&router, "/read", Some(&visitor_token)).await, refused(StatusCode::FORBIDDEN, lacking));

    log_out(&app, &person.access_token).await;
    super::refused_after(&verifier, &person.access_token).await;
    assert_eq!(ask(&router, "/me", Some(&token)).await, refused(StatusCode::UNAUTHORIZED, invalid));
    app.stop().await;
}

/// What a gRPC client reads of an answer without a body.
fn status(response: &Response<String>) -> Status {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
    Status::from_header_map(response.headers()).unwrap()
}

async fn a_grpc_service_is_reached_with_a_token_only(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
    let person = newcomer(&app).await;
    let call = async |require: Require, token: &str| {
        let service = tower::service_fn(|request: Request<()>| async move {
            let who = request.extensions().get::<Identity>().unwrap().account_id();
            Ok::<_, std::convert::Infallible>(Response::new(who.to_string()))
        });
        let request = Request::post("/orders.v1.OrderService/ListOrders")
            .header(CONTENT_TYPE, "application/grpc+proto")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(())
            .unwrap();
        verifier.protect(require).layer(service).oneshot(request).await.unwrap()
    };
    assert_eq!(call(Require::new(), &person.access_token).await.into_body(), person.account_id);
    let refused = details(&status(&call(Require::new(), "a.b.c").await));
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unauthenticated, "ACCESS_TOKEN_INVALID"));
    let refused = details(&status(&call(Require::new().role("staff"), &person.access_token).await));
    assert_eq!((refused.code, refused.reason.as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    app.stop().await;
}

async fn an_interceptor_lets_the_same_through(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (verifier, _) = verifier(&app, WhenStale::Refuse).await;
    let person = newcomer(&app).await;
    let mut interceptor = verifier.interceptor(Require::new());
    let mut call = |authorization: Option<&str>| {
        let mut request = tonic::Request::new(());
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", value.parse().unwrap());
        }
        interceptor.call(request)
    };
    let request = call(Some(&format!("Bearer {}", person.access_token))).unwrap();
    assert_eq!(request.extensions().get::<Identity>().unwrap().account_id().to_string(), person.account_id);
    assert_eq!(details(&call(None).unwrap_err()).reason, "CREDENTIALS_MISSING");
    assert_eq!(details(&call(Some("Bearer a.b.c")).unwrap_err()).reason, "ACCESS_TOKEN_INVALID");
    app.stop().await;
}

async fn what_cannot_be_judged_is_told_to_come_back(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let verifier = builder(connect(wire.address, &app.api_key), &clock).when_stale(WhenStale::Introspect).start();
    ready(&verifier).await;
    let person = newcomer(&app).await;
    wire.cut();
    clock.advance(chrono::TimeDelta::seconds(6));
    let router = shop(&verifier);
    let token = format!("Bearer {}", person.access_token);
    let told = (StatusCode::SERVICE_UNAVAILABLE, Some("1".to_owned()), String::new());
    assert_eq!(ask(&router, "/me", Some(&token)).await, told);
    let mut request = tonic::Request::new(());
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    let refused = details(&verifier.interceptor(Require::new()).call(request).unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
    assert_eq!(refused.retry_seconds, Some(1));
    app.stop().await;
}
