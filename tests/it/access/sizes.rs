//! What is too large or no message at all is refused with a reason, and goes no further than the door.

use countersign::proto::v1;
use tonic::{Code, Request};

use super::raw;
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends, phone_number};

on_both_backends!(
    large_messages_are_refused_before_the_database,
    large_metadata_is_refused,
    what_is_no_message_is_refused,
);

/// The database is shut, so that a call that wanted something from it would have to say so.
async fn without_database(backend: Backend) -> TestApp {
    let app = TestApp::new(backend).await;
    app.node().shut_database().await;
    app
}

async fn large_messages_are_refused_before_the_database(backend: Backend) {
    let app = without_database(backend).await;
    let large = "1".repeat(1024 * 1024);
    let request = v1::RequestOtpRequest { identifier: Some(phone_number(&large)), ..Default::default() };
    let refused = details(&app.node().auth().request_otp(request).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_LARGE"));

    let request = v1::LogoutRequest { refresh_token: large.clone() };
    let refused = details(&app.node().auth().logout(request).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_LARGE"));

    // The token service reads more, but for its batches only.
    let request = v1::RefreshRequest { refresh_token: "csr_".to_owned() + &large, ..Default::default() };
    let refused = details(&app.node().tokens().refresh(request).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_LARGE"));
    let request = bearer(v1::IntrospectRequest { token: large.clone(), ..Default::default() }, &app.api_key);
    let refused = details(&app.node().tokens().introspect(request).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_LARGE"));
    // What fits into a message and is too long for what it claims to be goes no further, either.
    let request = v1::RefreshRequest { refresh_token: "csr_".to_owned() + &large[..32 * 1024], ..Default::default() };
    let refused = details(&app.node().tokens().refresh(request).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unauthenticated, "REFRESH_TOKEN_INVALID"));
    let request =
        bearer(v1::IntrospectRequest { token: large[..32 * 1024].to_owned(), ..Default::default() }, &app.api_key);
    assert_eq!(details(&app.node().tokens().introspect(request).await.unwrap_err()).fields, ["token"]);
    let request = v1::BatchIntrospectRequest { tokens: vec![large; 5], ..Default::default() };
    let refused = app.node().tokens().batch_introspect(bearer(request, &app.api_key)).await.unwrap_err();
    let refused = details(&refused);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_LARGE"));
    app.stop().await;
}

/// The HTTP/2 implementation answers by itself here, before there is a call.
async fn large_metadata_is_refused(backend: Backend) {
    let app = without_database(backend).await;
    let channel = app.node().connect().await;
    for (name, value) in [("x-large", "a".repeat(9 * 1024)), ("authorization", "a".repeat(64 * 1024))] {
        let mut request = Request::new(Vec::new());
        request.metadata_mut().insert(name, value.parse().unwrap());
        let refused = raw::call(&channel, "/countersign.v1.TokenService/GetJwks", request).await;
        assert!(refused.is_err(), "{name}");
    }
    let mut many = Request::new(Vec::new());
    for number in 0..500 {
        let name: tonic::metadata::AsciiMetadataKey = format!("x-{number}").parse().unwrap();
        many.metadata_mut().insert(name, "a".parse().unwrap());
    }
    assert!(raw::call(&channel, "/countersign.v1.TokenService/GetJwks", many).await.is_err());
    // The same connection goes on for whoever keeps to the limit.
    raw::call(&channel, "/countersign.v1.TokenService/GetJwks", Request::new(Vec::new())).await.unwrap();
    app.stop().await;
}

async fn what_is_no_message_is_refused(backend: Backend) {
    let app = without_database(backend).await;
    let bodies: [&[u8]; 8] = [
        b"\xff",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x02\xff\xfe",
        b"\x00\x00",
        b"\x0b\x0b\x0b\x0b",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"{\"token\":\"a\"}",
    ];
    for path in [
        "/countersign.v1.TokenService/Verify",
        "/countersign.v1.TokenService/Refresh",
        "/countersign.v1.TokenService/Introspect",
        "/countersign.v1.AuthService/RequestOtp",
        "/countersign.v1.AuthService/Login",
        "/countersign.v1.AdminService/CreateCaller",
        "/countersign.v1.TokenService/Blacklist",
    ] {
        for body in bodies {
            let request = bearer(body.to_vec(), &app.api_key);
            let refused = raw::call(&app.node().channel, path, request).await.unwrap_err();
            let refused = details(&refused);
            let outcome = (refused.code, refused.reason.as_str());
            assert_eq!(outcome, (Code::InvalidArgument, "MALFORMED_REQUEST"), "{path} {body:x?}");
        }
    }
    app.stop().await;
}
