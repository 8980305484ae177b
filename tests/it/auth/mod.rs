//! Getting in: codes, what bounds them, what they are exchanged for, and the callers and keys that operators look after.

mod budgets;
mod callers;
mod closed;
mod codes;
mod cookies;
mod failover;
mod failures;
mod flow;
mod guesses;
mod intents;
mod keys;
mod limits;
pub(crate) mod mailbox;
mod malformed;
mod resend;
mod secrecy;
mod visitors;
mod webhook;

use countersign::proto::v1;
use tonic::{Response, Status};

use crate::harness::{Details, TestApp, details, login, phone_number};

/// What a refused call tells a program.
fn refusal<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> Details {
    details(&answer.expect_err("a refusal"))
}

/// Asks for a code for a phone number.
fn ask(phone: &str) -> v1::RequestOtpRequest {
    v1::RequestOtpRequest { identifier: Some(phone_number(phone)), ..Default::default() }
}

/// Exchanges a code for a session.
async fn enter(app: &TestApp, challenge_id: &str, code: &str) -> Result<v1::LoginResponse, Status> {
    app.node().auth().login(login(challenge_id, code)).await.map(Response::into_inner)
}

/// The reason why a code is not exchanged.
async fn entry_refused(app: &TestApp, challenge_id: &str, code: &str) -> String {
    details(&enter(app, challenge_id, code).await.expect_err("a refusal")).reason
}

/// Sends another code.
async fn resend(app: &TestApp, challenge_id: &str) -> Result<v1::OtpChallenge, Status> {
    let request = v1::ResendOtpRequest { challenge_id: challenge_id.to_owned(), ..Default::default() };
    app.node().auth().resend_otp(request).await.map(|answer| answer.into_inner().challenge.unwrap())
}

/// A code of the same length that is another: each step gives another one again.
pub(crate) fn other_code(code: &str, step: u64) -> String {
    let all = 10_u64.pow(u32::try_from(code.len()).unwrap());
    format!("{:0width$}", (code.parse::<u64>().unwrap() + step) % all, width = code.len())
}

/// Seconds since the epoch.
fn seconds(time: Option<prost_types::Timestamp>) -> i64 {
    time.expect("a time").seconds
}
