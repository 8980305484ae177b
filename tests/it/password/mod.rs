//! Passwords from outside: set, used, changed, forgotten, and attacked; and what is opened or upgraded by signing in.

mod change;
mod foreign;
mod login;
mod races;
mod register;
mod reset;
mod storm;
mod timing;
mod visitor;

use countersign::proto::v1;
use countersign::proto::v1::login_request::Credential;
use countersign::proto::v1::{OtpPurpose, RequestOtpRequest};
use tonic::{Response, Status};

use crate::harness::{TestApp, details, phone_number};

/// A password that may be one.
const PASSWORD: &str = "a heron on the roof";
/// Another.
const OTHER: &str = "two herons on a roof";

/// Settings under which failures block nobody, for tests that need many.
const UNLIMITED: [(&str, &str); 10] = [
    ("limits.failed_passwords.count", "1000000"),
    ("limits.failed_codes.count", "1000000"),
    ("limits.attempts_per_identifier.count", "1000000"),
    ("limits.attempts_per_network.count", "1000000"),
    ("limits.codes_per_network.count", "1000000"),
    ("limits.codes_per_identifier.count", "1000000"),
    ("limits.codes_per_identifier_and_network.count", "1000000"),
    ("limits.unused_codes.network", "1000000"),
    ("limits.unused_codes.prefix", "1000000"),
    ("limits.registrations_per_network.count", "1000000"),
];

/// Asks for a code for something.
async fn challenge(app: &TestApp, identifier: v1::Identifier, purpose: OtpPurpose) -> v1::OtpChallenge {
    let request = RequestOtpRequest { identifier: Some(identifier), purpose: purpose.into(), ..Default::default() };
    app.node().auth().request_otp(request).await.unwrap().into_inner().challenge.unwrap()
}

/// A registration that has its code, and nothing else.
async fn registration(app: &TestApp, identifier: v1::Identifier) -> v1::RegisterRequest {
    let id = challenge(app, identifier, OtpPurpose::Register).await.challenge_id;
    let code = app.code(&id).await;
    v1::RegisterRequest { challenge_id: id, code, ..Default::default() }
}

async fn register(app: &TestApp, request: v1::RegisterRequest) -> Result<v1::RegisterResponse, Status> {
    app.node().auth().register(request).await.map(Response::into_inner)
}

/// Somebody with a phone number and a password.
async fn somebody(app: &TestApp, phone: &str, password: &str) -> v1::RegisterResponse {
    let request = registration(app, phone_number(phone)).await;
    register(app, v1::RegisterRequest { password: password.to_owned(), ..request }).await.unwrap()
}

/// A sign-in with a password.
fn with_password(identifier: v1::Identifier, password: &str) -> v1::LoginRequest {
    let password = v1::PasswordCredential { identifier: Some(identifier), password: password.to_owned() };
    v1::LoginRequest { credential: Some(Credential::Password(password)), ..Default::default() }
}

async fn log_in(app: &TestApp, phone: &str, password: &str) -> Result<v1::LoginResponse, Status> {
    app.node().auth().login(with_password(phone_number(phone), password)).await.map(Response::into_inner)
}

/// Why an answer is none.
fn reason<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    details(&outcome.unwrap_err()).reason
}

/// Everything that a refusal says.
fn bytes(status: &Status) -> (tonic::Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

/// Whether an access token counts and its session can be carried on.
async fn is_usable(app: &TestApp, tokens: &v1::Tokens) -> bool {
    let request = v1::RefreshRequest { refresh_token: tokens.refresh_token.clone(), ..Default::default() };
    app.is_active(&tokens.access_token).await || app.node().tokens().refresh(request).await.is_ok()
}
