//! What is malformed is refused with the names of its fields, all of them at once, and disturbs nothing.

use countersign::proto::v1;
use prost::Message;
use tonic::Request;

use super::{ask, enter};
use crate::harness::{
    Backend, TestApp, bearer, details, login, mail_address, on_both_backends, phone_number, request_id,
};

on_both_backends!(
    malformed_sign_ins_name_their_fields,
    malformed_administration_names_its_fields,
    malformed_questions_about_oneself_name_their_fields,
);

/// Calls a method by its path, with whatever bytes the message has.
async fn call<M: Message + Default + 'static>(
    app: &TestApp,
    method: &str,
    request: Request<M>,
) -> Result<(), tonic::Status> {
    let mut grpc = tonic::client::Grpc::new(app.node().channel.clone());
    grpc.ready().await.unwrap();
    let path = format!("/countersign.v1.{method}").parse().unwrap();
    let codec = tonic_prost::ProstCodec::<M, ()>::default();
    grpc.unary(request, path, codec).await.map(drop)
}

async fn refuses<M: Message + Default + std::fmt::Debug + 'static>(
    app: &TestApp,
    method: &str,
    message: M,
    fields: &[&str],
    credential: &str,
) {
    let shown = format!("{method} {message:?}");
    let request = if credential.is_empty() { Request::new(message) } else { bearer(message, credential) };
    let status = call(app, method, request).await.expect_err(&shown);
    let refused = details(&status);
    assert_eq!((refused.code, refused.reason.as_str()), (tonic::Code::InvalidArgument, "INVALID_FIELD"), "{shown}");
    assert_eq!(refused.fields, fields, "{shown}");
}

fn client(fill: impl FnOnce(&mut v1::ClientContext)) -> v1::ClientContext {
    let mut client = v1::ClientContext::default();
    fill(&mut client);
    client
}

/// Contexts that no request may have, with the field that is wrong.
fn bad_clients() -> Vec<(v1::ClientContext, &'static str)> {
    let long = |bytes| "x".repeat(bytes);
    let mut bad: Vec<_> =
        ["nonsense", "1.2.3", "1.2.3.4.5", "::g", "1.2.3.4\0", "fe80::1%eth0", "192.0.2.1:80", " ::1"]
            .into_iter()
            .map(|ip| (client(|client| client.ip = ip.to_owned()), "client.ip"))
            .collect();
    bad.push((client(|client| client.user_agent = long(513)), "client.user_agent"));
    bad.push((client(|client| client.user_agent = "a\r\nb".to_owned()), "client.user_agent"));
    bad.push((client(|client| client.device_id = long(129)), "client.device_id"));
    bad.push((client(|client| client.device_id = "\0".to_owned()), "client.device_id"));
    bad.push((client(|client| client.device_name = "ن".repeat(65)), "client.device_name"));
    bad.push((client(|client| client.device_name = "\u{1b}[2J".to_owned()), "client.device_name"));
    bad
}

const BAD_IDS: [&str; 6] = [
    "x",
    "0123456789abcdef0123456789abcdef",
    "{01234567-89ab-7def-8123-456789abcdef}",
    "01234567-89ab-7def-8123-456789abcdeg",
    "01234567-89ab-7def-8123-456789abcdef ",
    "'; DROP TABLE accounts; --          ",
];

async fn malformed_sign_ins_name_their_fields(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = "AuthService/RequestOtp";
    let long_number = "9".repeat(41);
    for phone in [
        "",
        " ",
        "0912",
        "0912123456789",
        "nobody",
        "+98912123456x",
        "09121234567\0",
        "09121234567\n",
        "٠",
        &long_number,
    ] {
        refuses(&app, request, ask(phone), &["identifier.phone"], "").await;
    }
    let long_address = format!("a@{}.com", "x".repeat(250));
    for email in [
        "",
        "@",
        "a@",
        "@b.com",
        "a@b@c.com",
        "a b@c.com",
        "a@b.com\r\nbcc: x@y.com",
        "a@b.com\0",
        "ا@b.com",
        &long_address,
    ] {
        let message = v1::RequestOtpRequest { identifier: Some(mail_address(email)), ..Default::default() };
        refuses(&app, request, message, &["identifier.email"], "").await;
    }
    let good = ask("09121234567");
    refuses(&app, request, v1::RequestOtpRequest::default(), &["identifier"], "").await;
    let empty = Some(v1::Identifier::default());
    refuses(&app, request, v1::RequestOtpRequest { identifier: empty, ..good.clone() }, &["identifier"], "").await;
    for unknown in [6, 99, -1, i32::MAX] {
        refuses(&app, request, v1::RequestOtpRequest { purpose: unknown, ..good.clone() }, &["purpose"], "").await;
    }
    for unknown in [3, -1, i32::MIN] {
        refuses(&app, request, v1::RequestOtpRequest { channel: unknown, ..good.clone() }, &["channel"], "").await;
    }
    let all = v1::RequestOtpRequest {
        identifier: Some(phone_number("x")),
        purpose: 9,
        channel: 9,
        client: Some(client(|client| client.ip = "x".to_owned())),
        request_id: "x".to_owned(),
    };
    refuses(&app, request, all, &["identifier.phone", "purpose", "channel", "client.ip", "request_id"], "").await;

    for (client, field) in bad_clients() {
        let client = Some(client);
        refuses(&app, request, v1::RequestOtpRequest { client: client.clone(), ..good.clone() }, &[field], "").await;
        let resend = v1::ResendOtpRequest { challenge_id: request_id(), client: client.clone(), ..Default::default() };
        refuses(&app, "AuthService/ResendOtp", resend, &[field], "").await;
        let enter = v1::LoginRequest { client: client.clone(), ..login(&request_id(), "123456") };
        refuses(&app, "AuthService/Login", enter, &[field], "").await;
        // The permission to speak for clients is none to speak nonsense.
        let anonymous = v1::IssueAnonymousTokenRequest { client, ..Default::default() };
        refuses(&app, "AuthService/IssueAnonymousToken", anonymous, &[field], &app.api_key).await;
    }
    for bad in BAD_IDS {
        refuses(
            &app,
            request,
            v1::RequestOtpRequest { request_id: bad.to_owned(), ..good.clone() },
            &["request_id"],
            "",
        )
        .await;
        let resend =
            v1::ResendOtpRequest { challenge_id: bad.to_owned(), request_id: bad.to_owned(), ..Default::default() };
        refuses(&app, "AuthService/ResendOtp", resend, &["challenge_id", "request_id"], "").await;
        refuses(&app, "AuthService/Login", login(bad, "123456"), &["otp.challenge_id"], "").await;
        let anonymous = v1::IssueAnonymousTokenRequest { request_id: bad.to_owned(), ..Default::default() };
        refuses(&app, "AuthService/IssueAnonymousToken", anonymous, &["request_id"], "").await;
    }
    refuses(&app, "AuthService/ResendOtp", v1::ResendOtpRequest::default(), &["challenge_id"], "").await;
    refuses(&app, "AuthService/Login", v1::LoginRequest::default(), &["credential"], "").await;
    for code in ["", "12345", "1234567", "12345x", "12 3456", "१२३४५६", "123456\0", "-12345", &"1".repeat(10_000)]
    {
        refuses(&app, "AuthService/Login", login(&request_id(), code), &["otp.code"], "").await;
    }

    // Nothing of this was counted, sent or remembered.
    assert_eq!(app.messages_so_far(), 0);
    let challenge = app.challenge("09121234567").await;
    let code = app.code(&challenge.challenge_id).await;
    enter(&app, &challenge.challenge_id, &code).await.unwrap();
    app.stop().await;
}

async fn malformed_administration_names_its_fields(backend: Backend) {
    let app = TestApp::new(backend).await;
    let key = app.api_key.as_str();
    let good = v1::CreateCallerRequest {
        name: "gateway".to_owned(),
        permissions: vec![v1::Permission::Introspect.into()],
        ..Default::default()
    };
    let create = "AdminService/CreateCaller";
    refuses(&app, create, v1::CreateCallerRequest::default(), &["name", "permissions"], key).await;
    for (permissions, fields) in [
        (vec![], vec!["permissions"]),
        (vec![0], vec!["permissions[0]"]),
        (vec![1, 77, 2, -1], vec!["permissions[1]", "permissions[3]"]),
    ] {
        refuses(&app, create, v1::CreateCallerRequest { permissions, ..good.clone() }, &fields, key).await;
    }
    for bad in BAD_IDS {
        let bad = bad.to_owned();
        refuses(
            &app,
            create,
            v1::CreateCallerRequest { request_id: bad.clone(), ..good.clone() },
            &["request_id"],
            key,
        )
        .await;
        let rotate = v1::RotateCallerKeyRequest { caller_id: bad.clone(), request_id: bad.clone() };
        refuses(&app, "AdminService/RotateCallerKey", rotate, &["caller_id", "request_id"], key).await;
        refuses(&app, "AdminService/DeleteCaller", v1::DeleteCallerRequest { caller_id: bad }, &["caller_id"], key)
            .await;
    }
    for page_size in [-1, i32::MIN] {
        let list = v1::ListCallersRequest { page_size, ..Default::default() };
        refuses(&app, "AdminService/ListCallers", list, &["page_size"], key).await;
    }
    // Not base64, with padding, not UTF-8, with a zero byte.
    for page_token in ["!", "YQ==", "_w", "AA"] {
        let list = v1::ListCallersRequest { page_token: page_token.to_owned(), page_size: -1 };
        refuses(&app, "AdminService/ListCallers", list, &["page_size", "page_token"], key).await;
    }
    assert_eq!(app.rows("callers").await, 1);
    app.stop().await;
}

async fn malformed_questions_about_oneself_name_their_fields(backend: Backend) {
    let app = TestApp::new(backend).await;
    let token = app.sign_in("09121234567").await.access_token;
    for bad in BAD_IDS {
        let revoke = v1::RevokeSessionRequest { session_id: bad.to_owned() };
        refuses(&app, "AccountService/RevokeSession", revoke, &["session_id"], &token).await;
    }
    refuses(&app, "AccountService/RevokeSession", v1::RevokeSessionRequest::default(), &["session_id"], &token).await;
    for (page_size, page_token, fields) in [
        (-1, "", vec!["page_size"]),
        (0, "!", vec!["page_token"]),
        (0, "AAAA", vec!["page_token"]),
        (-7, "YQ==", vec!["page_size", "page_token"]),
    ] {
        let list = v1::ListSessionsRequest { page_size, page_token: page_token.to_owned() };
        refuses(&app, "AccountService/ListSessions", list, &fields, &token).await;
    }
    assert!(app.is_active(&token).await);
    app.stop().await;
}
