//! One's own account: what can be changed, with which proof, and what others are told of it.

mod claims;
mod departure;
mod identifier;
mod identity;
mod language;
mod profile;

use countersign::proto::v1;
use tonic::{Response, Status};

use crate::harness::{Person, TestApp, bearer, details};

/// Has a code sent for this purpose, and waits for it.
async fn code_for(app: &TestApp, identifier: v1::Identifier, purpose: v1::OtpPurpose) -> (String, String) {
    let request = v1::RequestOtpRequest { identifier: Some(identifier), purpose: purpose.into(), ..Default::default() };
    let challenge = app.node().auth().request_otp(request).await.unwrap().into_inner().challenge.unwrap();
    let code = app.code(&challenge.challenge_id).await;
    (challenge.challenge_id, code)
}

/// Who somebody is.
async fn profile(app: &TestApp, person: &Person) -> v1::Account {
    let request = bearer(v1::GetProfileRequest {}, &person.access_token);
    app.node().accounts().get_profile(request).await.unwrap().into_inner().account.unwrap()
}

/// Changes what a mask names.
async fn update(app: &TestApp, person: &Person, account: v1::Account, mask: &[&str]) -> Result<v1::Account, Status> {
    let update_mask = prost_types::FieldMask { paths: mask.iter().map(|path| (*path).to_owned()).collect() };
    let request = v1::UpdateProfileRequest { account: Some(account), update_mask: Some(update_mask) };
    let answer = app.node().accounts().update_profile(bearer(request, &person.access_token)).await;
    answer.map(|answer| answer.into_inner().account.unwrap())
}

/// Makes what a code was sent to somebody's own.
async fn change_identifier(app: &TestApp, person: &Person, proof: &(String, String)) -> Result<v1::Account, Status> {
    let request = v1::ChangeIdentifierRequest { challenge_id: proof.0.clone(), code: proof.1.clone() };
    let answer = app.node().accounts().change_identifier(bearer(request, &person.access_token)).await;
    answer.map(|answer| answer.into_inner().account.unwrap())
}

/// Why an answer is none.
fn reason<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    details(&outcome.unwrap_err()).reason
}

/// The answer itself.
fn inner<T>(answer: Response<T>) -> T {
    answer.into_inner()
}

/// A text as a value of metadata.
fn text(text: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text.to_owned())) }
}

/// Metadata with these members.
#[expect(clippy::unnecessary_wraps, reason = "as the message has it")]
fn metadata(members: &[(&str, prost_types::Value)]) -> Option<prost_types::Struct> {
    let fields = members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Some(prost_types::Struct { fields })
}
