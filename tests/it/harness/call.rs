//! Small pieces of calls and of what comes back.

use chrono::DateTime;
use countersign::proto::v1;
use countersign::random::Random;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// A phone number as an identifier.
pub(crate) fn phone_number(phone: &str) -> v1::Identifier {
    v1::Identifier { kind: Some(v1::identifier::Kind::Phone(phone.to_owned())) }
}

/// A mail address as an identifier.
pub(crate) fn mail_address(email: &str) -> v1::Identifier {
    v1::Identifier { kind: Some(v1::identifier::Kind::Email(email.to_owned())) }
}

/// A name for an intent.
pub(crate) fn request_id() -> String {
    Random.id(DateTime::UNIX_EPOCH).to_string()
}

/// An exchange of a code for a session.
pub(crate) fn login(challenge_id: &str, code: &str) -> v1::LoginRequest {
    let otp = v1::OtpCredential { challenge_id: challenge_id.to_owned(), code: code.to_owned() };
    v1::LoginRequest { credential: Some(v1::login_request::Credential::Otp(otp)), ..Default::default() }
}

/// A request with an access token or an API key.
pub(crate) fn bearer<T>(message: T, credential: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
    request
}

/// What a program reads from an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    pub code: Code,
    /// The name of the reason, without its prefix.
    pub reason: String,
    /// The fields that are wrong.
    pub fields: Vec<String>,
    pub retry_seconds: Option<u64>,
}

/// Reads an error, which must carry what the contract promises.
pub(crate) fn details(status: &Status) -> Details {
    let all = status.get_error_details();
    let info = all.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "countersign");
    assert!(v1::ErrorReason::from_str_name(&info.reason).is_some(), "unknown reason {}", info.reason);
    Details {
        code: status.code(),
        reason: info.reason.trim_start_matches("ERROR_REASON_").to_owned(),
        fields: all
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|field| field.field.clone()).collect())
            .unwrap_or_default(),
        retry_seconds: all.retry_info().and_then(|info| info.retry_delay).map(|delay| delay.as_secs()),
    }
}
