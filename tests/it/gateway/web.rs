//! Browsers speak gRPC-Web: with the service itself, and through Envoy.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::proto::v1;
use prost::Message;

use super::envoy::Envoy;
use super::exchange::{Answer, call, get, request, send};
use crate::harness::{Authority, Backend, TestApp, on_both_backends, phone_number};

on_both_backends!(
    a_call_is_answered,
    what_is_refused_is_refused_in_their_form,
    limits_hold_for_browsers_too,
    v10_no_origin_is_reflected,
    a_listed_site_is_admitted,
    without_the_setting_there_is_nothing,
    envoy_translates_or_passes_through,
    tls_changes_nothing,
);

pub(super) const SITE: &str = "https://app.example.com";
pub(super) const ON: &[(&str, &str)] = &[("web.grpc_web", "true"), ("web.allowed_origins", SITE)];
const JWKS: &str = "/countersign.v1.TokenService/GetJwks";
const OTP: &str = "/countersign.v1.AuthService/RequestOtp";
const PROFILE: &str = "/countersign.v1.AccountService/GetProfile";

pub(super) fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

/// The messages of an answer, and what stands behind them.
pub(super) fn unframed(mut body: &[u8]) -> (Vec<Vec<u8>>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let Some((head, rest)) = body.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let content = &rest[..length];
        if head[0] & 0x80 == 0 {
            messages.push(content.to_vec());
        } else {
            trailers.push_str(std::str::from_utf8(content).unwrap());
        }
        body = &rest[length..];
    }
    (messages, trailers)
}

/// What an answer ends with: in its headers where there is no message, else behind them.
pub(super) fn status(answer: &Answer) -> String {
    let (_, trailers) = unframed(&answer.body);
    let in_trailers = trailers.lines().find_map(|line| line.trim().strip_prefix("grpc-status:"));
    in_trailers
        .map(|status| status.trim().to_owned())
        .or_else(|| answer.header("grpc-status").map(str::to_owned))
        .unwrap()
}

pub(super) async fn web(to: SocketAddr, path: &str, headers: &[(&str, &str)], message: &impl Message) -> Answer {
    let headers = [&[("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")], headers].concat();
    call(to, "POST", path, &headers, &framed(message)).await
}

async fn a_call_is_answered(backend: Backend) {
    let app = TestApp::with(backend, ON).await;
    let answer = web(app.node().grpc, JWKS, &[], &v1::GetJwksRequest {}).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web+proto")));
    let (messages, _) = unframed(&answer.body);
    assert_eq!(v1::GetJwksResponse::decode(messages[0].as_slice()).unwrap().keys.len(), 1);
    assert_eq!(status(&answer), "0");
    // The same as text.
    let text = [("content-type", "application/grpc-web-text"), ("accept", "application/grpc-web-text")];
    let body = STANDARD.encode(framed(&v1::GetJwksRequest {}));
    let answer = call(app.node().grpc, "POST", JWKS, &text, body.as_bytes()).await;
    assert_eq!(answer.header("content-type"), Some("application/grpc-web-text+proto"));
    // A holder is known.
    let person = app.sign_in("09121234567").await;
    let authorization = format!("Bearer {}", person.access_token);
    let answer = web(app.node().grpc, PROFILE, &[("authorization", &authorization)], &v1::GetProfileRequest {}).await;
    let (messages, _) = unframed(&answer.body);
    let profile = v1::GetProfileResponse::decode(messages[0].as_slice()).unwrap();
    assert_eq!(profile.account.unwrap().account_id, person.account_id);
    // Native calls go on as they did.
    app.node().tokens().get_jwks(v1::GetJwksRequest {}).await.unwrap();
    app.stop().await;
}

async fn what_is_refused_is_refused_in_their_form(backend: Backend) {
    let app = TestApp::with(backend, ON).await;
    let at = app.node().grpc;
    for (path, credential, code) in [
        (PROFILE, None, "16"),
        (PROFILE, Some("Bearer a.b.c".to_owned()), "16"),
        ("/countersign.v1.TokenService/Introspect", None, "16"),
        ("/countersign.v1.AdminService/ListAccounts", Some("Bearer csk_wrong".to_owned()), "16"),
        ("/countersign.v1.TokenService/Nothing", None, "12"),
    ] {
        let headers: Vec<_> = credential.iter().map(|credential| ("authorization", credential.as_str())).collect();
        let answer = web(at, path, &headers, &v1::GetProfileRequest {}).await;
        assert_eq!((answer.status, status(&answer).as_str()), (200, code), "{path}");
        assert!(answer.header("content-type").unwrap().starts_with("application/grpc-web"), "{path}");
        let (_, trailers) = unframed(&answer.body);
        let has_details =
            answer.header("grpc-status-details-bin").is_some() || trailers.contains("grpc-status-details-bin");
        assert!(has_details, "{path}: {answer:?}");
    }
    let wrong = v1::RequestOtpRequest { identifier: Some(phone_number("12")), ..Default::default() };
    assert_eq!(status(&web(at, OTP, &[], &wrong).await), "3");
    // What is not gRPC-Web has no business on this port.
    let native = [("content-type", "application/grpc"), ("te", "trailers")];
    assert_eq!(call(at, "POST", JWKS, &native, &framed(&v1::GetJwksRequest {})).await.status, 415);
    assert_eq!(get(at, "/", &[]).await.status, 415);
    let wrong_method = [("content-type", "application/grpc-web+proto")];
    assert_eq!(get(at, JWKS, &wrong_method).await.status, 405);
    app.stop().await;
}

async fn limits_hold_for_browsers_too(backend: Backend) {
    let app = TestApp::with(backend, ON).await;
    let at = app.node().grpc;
    let long = "a".repeat(9 * 1024);
    let answer = web(at, JWKS, &[("x-long", &long)], &v1::GetJwksRequest {}).await;
    assert_eq!(status(&answer), "8");
    let large = v1::VerifyRequest { token: "a".repeat(65 * 1024) };
    let answer = web(at, "/countersign.v1.TokenService/Verify", &[], &large).await;
    assert_eq!(status(&answer), "8");
    app.stop().await;
}

/// A hundred sites that are not the one on the list.
fn strangers() -> Vec<String> {
    let mut origins: Vec<String> = [
        "null",
        "*",
        "",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "http://app.example.com",
        "https://app.example.com:443",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "https://app.example.com/",
        "https://app.example.co",
        "https://xapp.example.com",
        "https://app.example.com, https://evil.example",
        "https://app.example.com@evil.example",
        "https://app.example.com%00.evil.example",
        "https://example.com",
        "https://app.example.com ",
        "file://",
        "https://app_example.com",
        "https://app.example.com?x",
    ]
    .map(str::to_owned)
    .into();
    // A trailing space is not part of a header's value.
    origins.retain(|origin| origin.trim() != SITE);
    for number in origins.len()..100 {
        origins.push(format!("https://app{number}.example.com"));
    }
    origins
}

async fn v10_no_origin_is_reflected(backend: Backend) {
    let app = TestApp::with(backend, &[ON, &[("web.allow_credentials", "true")]].concat()).await;
    let origins = strangers();
    let mut reflected = 0;
    for origin in &origins {
        let headers = [("origin", origin.as_str()), ("access-control-request-method", "POST")];
        let mut answers = vec![
            call(app.node().grpc, "OPTIONS", JWKS, &headers, b"").await,
            web(app.node().grpc, JWKS, &[("origin", origin)], &v1::GetJwksRequest {}).await,
        ];
        assert!(answers.iter().all(|answer| answer.status == 403), "{origin}");
        for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/metrics", "/oauth2/introspect"] {
            answers.push(get(app.node().http, path, &[("origin", origin)]).await);
        }
        reflected += answers.iter().filter(|answer| says_anything(answer)).count();
    }
    eprintln!("V10: {} origins, {reflected} reflected", origins.len());
    assert_eq!(reflected, 0);
    app.stop().await;
}

fn says_anything(answer: &Answer) -> bool {
    answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"))
}

async fn a_listed_site_is_admitted(backend: Backend) {
    for credentials in ["true", "false"] {
        let app = TestApp::with(backend, &[ON, &[("web.allow_credentials", credentials)]].concat()).await;
        let origin = ("origin", SITE);
        let asked = [origin, ("access-control-request-method", "POST")];
        let beforehand = call(app.node().grpc, "OPTIONS", JWKS, &asked, b"").await;
        assert_eq!(beforehand.status, 204);
        assert_eq!(beforehand.header("access-control-allow-methods"), Some("POST"));
        let allowed = beforehand.header("access-control-allow-headers").unwrap();
        assert!(allowed.contains("authorization") && allowed.contains("x-grpc-web"));
        let answer = web(app.node().grpc, JWKS, &[origin], &v1::GetJwksRequest {}).await;
        assert_eq!(status(&answer), "0");
        let exposed = answer.header("access-control-expose-headers").unwrap().to_owned();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            assert!(exposed.split(", ").any(|own| own == name), "{name}");
        }
        let document = get(app.node().http, "/.well-known/jwks.json", &[origin]).await;
        let may = (credentials == "true").then_some("true");
        for answer in [&beforehand, &answer, &document] {
            assert_eq!(answer.header("access-control-allow-origin"), Some(SITE));
            assert_eq!(answer.header("access-control-allow-credentials"), may);
            assert_eq!(answer.header("vary"), Some("origin"));
        }
        // Refusals can be read too, or a page would only learn that something failed.
        let answer = web(app.node().grpc, PROFILE, &[origin], &v1::GetProfileRequest {}).await;
        assert_eq!((status(&answer).as_str(), answer.header("access-control-allow-origin")), ("16", Some(SITE)));
        assert!(!says_anything(&get(app.node().http, "/metrics", &[origin]).await));
        app.stop().await;
    }
}

async fn without_the_setting_there_is_nothing(backend: Backend) {
    let app = TestApp::new(backend).await;
    let headers = [("content-type", "application/grpc-web+proto")];
    let answer = send(app.node().grpc, &request("POST", JWKS, &headers, &framed(&v1::GetJwksRequest {}))).await;
    assert!(answer.is_err(), "HTTP/1.1 is answered: {answer:?}");
    let document = get(app.node().http, "/.well-known/jwks.json", &[("origin", SITE)]).await;
    assert!(!says_anything(&document) && document.header("vary").is_none());
    app.stop().await;
}

async fn envoy_translates_or_passes_through(backend: Backend) {
    let app = TestApp::with(backend, ON).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let asked = v1::RequestOtpRequest { identifier: Some(phone_number("09121234567")), ..Default::default() };
    for at in [envoy.judged, envoy.verified] {
        let answer = web(at, OTP, &[("origin", SITE)], &asked).await;
        assert_eq!((answer.status, status(&answer).as_str()), (200, "0"), "{answer:?}");
        let (messages, _) = unframed(&answer.body);
        let challenge = v1::RequestOtpResponse::decode(messages[0].as_slice()).unwrap().challenge.unwrap();
        assert_eq!(app.code(&challenge.challenge_id).await.len(), 6);
        assert_eq!(answer.header("access-control-allow-origin"), Some(SITE));
        let answer = web(at, PROFILE, &[("origin", SITE)], &v1::GetProfileRequest {}).await;
        assert_eq!(status(&answer), "16");
        let asked = [("origin", SITE), ("access-control-request-method", "POST")];
        let beforehand = call(at, "OPTIONS", OTP, &asked, b"").await;
        assert_eq!(beforehand.header("access-control-allow-origin"), Some(SITE));
        app.advance(120);
    }
    let stranger = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    for at in [envoy.judged, envoy.verified] {
        assert!(!says_anything(&call(at, "OPTIONS", OTP, &stranger, b"").await));
    }
    app.stop().await;
}

async fn tls_changes_nothing(backend: Backend) {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.certify(&["localhost"]).write(folder.path());
    let tls = [("tls.certificate_file", certificate.to_str().unwrap()), ("tls.key_file", key.to_str().unwrap())];
    let app = TestApp::with(backend, &[ON, &tls].concat()).await;
    let root = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_merge([root]).http1_only().build().unwrap();
    let post = |port: u16, path: &str, kind: &str, body: Vec<u8>| {
        let url = format!("https://localhost:{port}{path}");
        client.post(url).header("content-type", kind).bearer_auth(&app.api_key).body(body).send()
    };
    let call = framed(&v1::GetJwksRequest {});
    let answer = post(app.node().grpc.port(), JWKS, "application/grpc-web+proto", call).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
    let (messages, trailers) = unframed(&answer.bytes().await.unwrap());
    assert!(messages.len() == 1 && trailers.contains("grpc-status:0"));
    let form = "application/x-www-form-urlencoded";
    let answer = post(app.node().http.port(), "/oauth2/revoke", form, b"token=a".to_vec()).await.unwrap();
    assert_eq!(answer.status(), 200);
    app.stop().await;
}
