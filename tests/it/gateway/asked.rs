//! The question as Envoy puts it, put by hand.

use std::collections::HashMap;

use countersign::proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
use countersign::proto::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Asked};
use countersign::proto::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use countersign::proto::envoy::service::auth::v3::check_response::HttpResponse;
use countersign::proto::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use countersign::proto::v1;
use prost::Message;
use prost_types::value::Kind;
use tonic::{Code, Request};

use super::envoy::SETTINGS;
use crate::access::raw;
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends};

on_both_backends!(
    the_answer_says_who_it_is,
    headers_are_read_in_either_form,
    what_is_needed_is_read_strictly,
    only_a_caller_that_may_check_is_answered,
    what_is_no_question_is_refused,
);

pub(super) fn question(headers: &[(&str, &str)], needs: &[(&str, &str)]) -> CheckRequest {
    let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let http = HttpRequest { headers: map(headers), ..Default::default() };
    let request = Some(Asked { http: Some(http) });
    CheckRequest { attributes: Some(AttributeContext { request, context_extensions: map(needs) }) }
}

pub(super) async fn ask(app: &TestApp, question: CheckRequest) -> CheckResponse {
    let mut client = AuthorizationClient::new(app.node().channel.clone());
    client.check(bearer(question, &app.api_key)).await.unwrap().into_inner()
}

/// The code of a verdict, and that of HTTP where it is a refusal.
pub(super) fn verdict(answer: &CheckResponse) -> (Code, i32) {
    let http = match answer.http_response.as_ref().unwrap() {
        HttpResponse::DeniedResponse(denied) => denied.status.unwrap().code,
        HttpResponse::OkResponse(_) => 200,
    };
    (Code::from(answer.status.as_ref().unwrap().code), http)
}

async fn the_answer_says_who_it_is(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let person = app.sign_in("09121234567").await;
    let authorization = format!("Bearer {}", person.access_token);
    // Twice: the second answer was encoded before.
    for shadows in [&[][..], &[("x_auth_subject", "a"), ("x-auth.roles", "b")]] {
        let asked = [&[("authorization", authorization.as_str()), ("x-other", "c")], shadows].concat();
        let answer = ask(&app, question(&asked, &[("scopes", "profile orders.read")])).await;
        assert_eq!(verdict(&answer), (Code::Ok, 200));
        let metadata = answer.dynamic_metadata.unwrap().fields;
        assert_eq!(metadata["subject"].kind, Some(Kind::StringValue(person.account_id.clone())));
        assert_eq!(metadata["anonymous"].kind, Some(Kind::BoolValue(false)));
        let expires = metadata["expires_at"].kind.clone();
        #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are far from where that begins")]
        let expected = (app.now().timestamp() + 300) as f64;
        assert_eq!(expires, Some(Kind::NumberValue(expected)));
        let Some(HttpResponse::OkResponse(ok)) = answer.http_response else { panic!("it is refused") };
        assert_eq!(ok.headers.len(), 4);
        assert_eq!(ok.headers_to_remove[0], "x-auth-roles");
        let mut removed = ok.headers_to_remove[1..].to_vec();
        removed.sort();
        let mut expected: Vec<_> = shadows.iter().map(|(name, _)| (*name).to_owned()).collect();
        expected.sort();
        assert_eq!(removed, expected);
    }
    app.stop().await;
}

async fn headers_are_read_in_either_form(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let person = app.sign_in("09121234567").await;
    let authorization = format!("Bearer {}", person.access_token);
    let raw = |times: usize| {
        let header = HeaderValue {
            key: "authorization".to_owned(),
            raw_value: authorization.clone().into_bytes(),
            ..Default::default()
        };
        let map = HeaderMap { headers: vec![header; times] };
        let http = HttpRequest { header_map: Some(map), ..Default::default() };
        CheckRequest {
            attributes: Some(AttributeContext { request: Some(Asked { http: Some(http) }), ..Default::default() }),
        }
    };
    assert_eq!(verdict(&ask(&app, raw(1)).await), (Code::Ok, 200));
    assert_eq!(verdict(&ask(&app, raw(2)).await), (Code::Unauthenticated, 401));
    assert_eq!(verdict(&ask(&app, raw(0)).await), (Code::Unauthenticated, 401));
    assert_eq!(verdict(&ask(&app, CheckRequest::default()).await), (Code::Unauthenticated, 401));
    app.stop().await;
}

async fn what_is_needed_is_read_strictly(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let person = app.sign_in("09121234567").await;
    let authorization = format!("Bearer {}", person.access_token);
    let own = [("authorization", authorization.as_str())];
    for (needs, expected) in [
        (&[("scopes", "profile")][..], (Code::Ok, 200)),
        (&[("scopes", "profile nothing")], (Code::PermissionDenied, 403)),
        (&[("audience", "countersign")], (Code::Ok, 200)),
        (&[("audience", "other")], (Code::Unauthenticated, 401)),
        (&[("roles", "admin")], (Code::PermissionDenied, 403)),
        (&[("anonymous", "deny"), ("optional", "false")], (Code::Ok, 200)),
        (&[("anonymous", "perhaps")], (Code::Internal, 500)),
        (&[("optional", "1")], (Code::Internal, 500)),
        (&[("Scopes", "profile")], (Code::Internal, 500)),
        (&[("", "")], (Code::Internal, 500)),
        (&[("scopes", "profile"), ("x", "y")], (Code::Internal, 500)),
    ] {
        assert_eq!(verdict(&ask(&app, question(&own, needs)).await), expected, "{needs:?}");
    }
    // Where nothing is understood, nobody passes without a token either.
    let lax = question(&[], &[("optional", "true"), ("option", "true")]);
    assert_eq!(verdict(&ask(&app, lax).await), (Code::Internal, 500));
    assert_eq!(verdict(&ask(&app, question(&[], &[("optional", "true")])).await), (Code::Ok, 200));
    app.stop().await;
}

async fn only_a_caller_that_may_check_is_answered(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let person = app.sign_in("09121234567").await;
    let mut client = AuthorizationClient::new(app.node().channel.clone());
    let refused = client.check(CheckRequest::default()).await.unwrap_err();
    assert_eq!(details(&refused).reason, "CREDENTIALS_MISSING");
    let refused = client.check(bearer(CheckRequest::default(), &person.access_token)).await.unwrap_err();
    assert_eq!(details(&refused).reason, "PERMISSION_DENIED");
    for (permission, may) in [(v1::Permission::Check, true), (v1::Permission::Introspect, false)] {
        let request = v1::CreateCallerRequest {
            name: format!("gateway-{}", i32::from(permission)),
            permissions: vec![permission.into()],
            ..Default::default()
        };
        let created = app.node().admin().create_caller(bearer(request, &app.api_key)).await.unwrap().into_inner();
        let mut asked = Request::new(CheckRequest::default());
        asked.metadata_mut().insert("x-api-key", created.api_key.parse().unwrap());
        assert_eq!(client.check(asked).await.is_ok(), may);
    }
    app.stop().await;
}

async fn what_is_no_question_is_refused(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let path = "/envoy.service.auth.v3.Authorization/Check";
    // Attributes that end too early: whatever was said before, nobody passes.
    let whole = question(&[], &[("optional", "true")]).encode_to_vec();
    let mut attributes = whole[2..].to_vec();
    attributes.extend_from_slice(&[0x52, 0x40]);
    let length = u8::try_from(attributes.len()).unwrap();
    let broken = [&[0x0a, length], attributes.as_slice()].concat();
    let answer = raw::call(&app.node().channel, path, bearer(broken, &app.api_key)).await.unwrap();
    assert_eq!(verdict(&CheckResponse::decode(answer).unwrap()), (Code::Internal, 500));
    let refused = raw::call(&app.node().channel, path, bearer(vec![0x0a, 0x40], &app.api_key)).await.unwrap_err();
    assert_eq!(details(&refused).reason, "MALFORMED_REQUEST");
    app.stop().await;
}
