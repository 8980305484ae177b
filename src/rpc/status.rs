//! From errors to statuses: each cause becomes one code, one reason and its details. What only operators may know is logged
//! here, once, and leaves as a fixed text.

mod job;
mod load;
mod owner;
mod token;
mod webhook;

use std::time::Duration;

use chrono::TimeDelta;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use tracing::{debug, error};

use crate::cache::CacheError;
use crate::config::ProfileField;
use crate::credential::{CodeError, PasswordError, ResetError, Unfit};
use crate::guard::GuardError;
use crate::identity::{AccountError, CallerError, VisitorError};
use crate::notify::NotifyError;
use crate::proto::v1::{ErrorReason, SignInNext};
use crate::session::{FlowError, Needed, SetPasswordError, SignInError};
use crate::store::StoreError;

pub(crate) use self::job::job_not_found;
pub(crate) use self::load::compressed;

const DOMAIN: &str = "countersign";
/// When to try again what failed because something else did not answer.
const SOON: Duration = Duration::from_secs(1);

fn status(code: Code, reason: ErrorReason, message: &str) -> Status {
    with(code, reason, message, |_| {})
}

fn with(code: Code, reason: ErrorReason, message: &str, add: impl FnOnce(&mut ErrorDetails)) -> Status {
    let mut details = ErrorDetails::with_error_info(reason.as_str_name(), DOMAIN, std::collections::HashMap::new());
    add(&mut details);
    Status::with_error_details(code, message, details)
}

/// Some fields are missing or malformed.
pub(crate) fn invalid_fields(violations: Vec<FieldViolation>) -> Status {
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let message = format!("malformed: {}", fields.join(", "));
    with(Code::InvalidArgument, ErrorReason::InvalidField, &message, |details| {
        details.set_bad_request(violations);
    })
}

pub(crate) fn unknown_method() -> Status {
    status(Code::Unimplemented, ErrorReason::UnknownMethod, "there is no such method")
}

pub(crate) fn too_large() -> Status {
    status(Code::ResourceExhausted, ErrorReason::TooLarge, "the message or its metadata is too large")
}

pub(crate) fn malformed() -> Status {
    let message = "the request is not a message of the expected type";
    status(Code::InvalidArgument, ErrorReason::MalformedRequest, message)
}

pub(crate) fn too_slow() -> Status {
    status(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, "the message took too long to arrive")
}

pub(crate) fn deadline_over() -> Status {
    status(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, "the client's time is over")
}

pub(crate) fn credentials_missing() -> Status {
    let message = "this needs an access token or an API key in `authorization`";
    status(Code::Unauthenticated, ErrorReason::CredentialsMissing, message)
}

pub(crate) fn access_token_invalid() -> Status {
    status(Code::Unauthenticated, ErrorReason::AccessTokenInvalid, "the access token does not count")
}

pub(crate) fn api_key_invalid() -> Status {
    status(Code::Unauthenticated, ErrorReason::ApiKeyInvalid, "the API key is unknown")
}

pub(crate) fn permission_denied() -> Status {
    status(Code::PermissionDenied, ErrorReason::PermissionDenied, "this caller may not do that")
}

/// A defect of ours. The cause goes to the log and not to the caller.
pub(crate) fn internal(cause: impl std::fmt::Display) -> Status {
    error!(%cause, "internal error");
    status(Code::Internal, ErrorReason::Internal, "internal error")
}

fn unavailable() -> Status {
    unavailable_for(SOON)
}

fn unavailable_for(retry_after: Duration) -> Status {
    let message = "something this answer depends on does not answer in time";
    with(Code::Unavailable, ErrorReason::DependencyUnavailable, message, |details| {
        details.set_retry_info(Some(retry_after));
    })
}

fn intent_reused() -> Status {
    let message = "this request_id was used for something else";
    status(Code::AlreadyExists, ErrorReason::RequestIdReused, message)
}

fn wait(reason: ErrorReason, message: &str, retry_after: TimeDelta) -> Status {
    with(Code::ResourceExhausted, reason, message, |details| {
        details.set_retry_info(Some(retry_after.to_std().unwrap_or(SOON)));
    })
}

/// Adds what a status lacks that a library below has made.
pub(crate) fn with_details(bare: &Status) -> Status {
    let (code, reason, message) = match bare.code() {
        // Methods are known by the table: what else is not implemented is a way to compress messages.
        Code::Unimplemented => return compressed(),
        Code::OutOfRange | Code::ResourceExhausted => return too_large(),
        Code::Internal | Code::InvalidArgument | Code::Unknown => return malformed(),
        Code::Cancelled | Code::DeadlineExceeded => return deadline_over(),
        code => (code, ErrorReason::Internal, bare.message()),
    };
    status(code, reason, message)
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                debug!(%cause, "the database does not answer");
                unavailable()
            }
            StoreError::Leaving => unavailable(),
            StoreError::Internal(cause) => internal(cause),
        }
    }
}

impl From<CacheError> for Status {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Unavailable(_) | CacheError::Unreachable { .. } => {
                debug!(%error, "the cache does not answer");
                unavailable()
            }
            CacheError::BadUrl(_) | CacheError::Certificates(_) | CacheError::NotACounter => internal(error),
        }
    }
}

impl From<GuardError> for Status {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Cache(error) => error.into(),
            GuardError::Limited { limit, retry_after } => {
                limited(ErrorReason::RateLimited, "too many requests of this kind", limit, retry_after)
            }
            GuardError::Blocked { limit, retry_after } => {
                limited(ErrorReason::SignInBlocked, "too many failures; nothing is looked at now", limit, retry_after)
            }
            GuardError::CountryNotServed => {
                let message = "no messages are sent to the country of this number";
                status(Code::FailedPrecondition, ErrorReason::CountryNotServed, message)
            }
        }
    }
}

fn limited(reason: ErrorReason, message: &str, limit: &str, retry_after: TimeDelta) -> Status {
    let metadata = std::collections::HashMap::from([("limit".to_owned(), limit.to_owned())]);
    let mut details = ErrorDetails::with_error_info(reason.as_str_name(), DOMAIN, metadata);
    details.set_retry_info(Some(retry_after.to_std().unwrap_or(SOON)));
    details.add_quota_failure_violation(limit, "this limit is reached");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

impl From<NotifyError> for Status {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::QueueFull => {
                let retry_after = TimeDelta::from_std(SOON).unwrap_or_default();
                wait(ErrorReason::Overloaded, "too many messages are waiting to be sent", retry_after)
            }
        }
    }
}

fn channel_not_offered() -> Status {
    invalid_fields(vec![FieldViolation::new("identifier", "codes are not sent by this channel here")])
}

impl From<CodeError> for Status {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::Wrong => invalid_credentials(),
            CodeError::NoChallenge => {
                let message = "the challenge is unknown, used up or expired";
                status(Code::NotFound, ErrorReason::ChallengeNotFound, message)
            }
            CodeError::TooSoon { retry_after } => {
                wait(ErrorReason::ResendTooSoon, "a code was sent a moment ago", retry_after)
            }
            CodeError::RegistrationClosed => registration_closed(),
            CodeError::ChannelNotOffered => channel_not_offered(),
            CodeError::IntentReused => intent_reused(),
            CodeError::Guard(error) => error.into(),
            CodeError::Notify(error) => error.into(),
            CodeError::Cache(error) => error.into(),
        }
    }
}

fn invalid_credentials() -> Status {
    status(Code::Unauthenticated, ErrorReason::InvalidCredentials, "the proof does not hold")
}

fn registration_closed() -> Status {
    let message = "accounts are opened by administrators here";
    status(Code::PermissionDenied, ErrorReason::RegistrationClosed, message)
}

/// A password that may not be one, in the field where it was sent.
pub(crate) fn password_unfit(field: &str, unfit: Unfit) -> Status {
    let rule = match unfit {
        Unfit::TooShort { .. } => "too_short",
        Unfit::TooLong { .. } => "too_long",
        Unfit::Common => "common",
        Unfit::Personal => "personal",
        Unfit::ControlCharacter => "control_character",
    };
    let metadata = std::collections::HashMap::from([("rule".to_owned(), rule.to_owned())]);
    let mut details = ErrorDetails::with_error_info(ErrorReason::PasswordUnfit.as_str_name(), DOMAIN, metadata);
    details.add_bad_request_violation(field, unfit.to_string());
    Status::with_error_details(Code::InvalidArgument, "the new password may not be one", details)
}

impl From<PasswordError> for Status {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { retry_after } => {
                wait(ErrorReason::Overloaded, "too many passwords are waiting to be judged", retry_after)
            }
            PasswordError::Failed => internal(error),
        }
    }
}

fn account_blocked() -> Status {
    status(Code::PermissionDenied, ErrorReason::AccountBlocked, "the account is blocked")
}

impl From<SetPasswordError> for Status {
    fn from(error: SetPasswordError) -> Self {
        match error {
            SetPasswordError::Refused => invalid_credentials(),
            SetPasswordError::Blocked => account_blocked(),
            SetPasswordError::Unfit(unfit) => password_unfit("new_password", unfit),
            SetPasswordError::Code(error) => error.into(),
            SetPasswordError::Password(error) => error.into(),
            SetPasswordError::Guard(error) => error.into(),
            SetPasswordError::Cache(error) => error.into(),
            SetPasswordError::Store(error) => error.into(),
        }
    }
}

impl From<ResetError> for Status {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::NotOffered => {
                let message = "links to set a new password are not sent here";
                status(Code::FailedPrecondition, ErrorReason::ResetNotOffered, message)
            }
            ResetError::ChannelNotOffered => channel_not_offered(),
            ResetError::IntentReused => intent_reused(),
            ResetError::Guard(error) => error.into(),
            ResetError::Notify(error) => error.into(),
            ResetError::Cache(error) => error.into(),
        }
    }
}

impl From<SignInError> for Status {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Refused => invalid_credentials(),
            SignInError::Blocked => account_blocked(),
            SignInError::IntentReused => intent_reused(),
            SignInError::AlreadyRegistered => {
                let message = "whoever owns this has an account already";
                status(Code::AlreadyExists, ErrorReason::AlreadyRegistered, message)
            }
            SignInError::SameKind { field } => invalid_fields(vec![FieldViolation::new(
                field,
                "must be of the other kind than what the code was sent to",
            )]),
            SignInError::RegistrationClosed => registration_closed(),
            SignInError::Unfit(unfit) => password_unfit("password", unfit),
            SignInError::Code(error) => error.into(),
            SignInError::Password(error) => error.into(),
            SignInError::Guard(error) => error.into(),
            SignInError::Store(error) => error.into(),
            SignInError::Access(error) => error.into(),
        }
    }
}

impl From<FlowError> for Status {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::NotFound => {
                let message = "the sign-in is unknown, expired, done or somebody else's";
                status(Code::NotFound, ErrorReason::FlowNotFound, message)
            }
            FlowError::WrongStep { needed } => {
                let needed = match needed {
                    Needed::Code => SignInNext::Code,
                    Needed::Password => SignInNext::Password,
                    Needed::SetPassword => SignInNext::SetPassword,
                    Needed::Profile => SignInNext::Profile,
                    Needed::Nothing => SignInNext::Done,
                };
                let message = "the sign-in needs something else next";
                with(Code::FailedPrecondition, ErrorReason::WrongStep, message, |details| {
                    details.add_precondition_failure_violation("SIGN_IN_STEP", needed.as_str_name(), message);
                })
            }
            FlowError::Missing(field) => {
                let field = match field {
                    ProfileField::FirstName => "profile.first_name",
                    ProfileField::LastName => "profile.last_name",
                };
                invalid_fields(vec![FieldViolation::new(field, "is required")])
            }
            FlowError::IntentReused => intent_reused(),
            // What `Register` calls `password` is `new_password` here.
            FlowError::SignIn(SignInError::Unfit(unfit)) => password_unfit("new_password", unfit),
            FlowError::SignIn(error) => error.into(),
            FlowError::Code(error) => error.into(),
            FlowError::Guard(error) => error.into(),
            FlowError::Cache(error) => error.into(),
            FlowError::Store(error) => error.into(),
        }
    }
}

impl From<AccountError> for Status {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NotFound => account_not_found(),
            AccountError::IdentifierTaken => identifier_taken(),
            AccountError::IntentReused => intent_reused(),
            AccountError::Unfit(fault) => password_unfit("password", fault),
            AccountError::Password(error) => error.into(),
            AccountError::Store(error) => error.into(),
        }
    }
}

fn account_not_found() -> Status {
    status(Code::NotFound, ErrorReason::AccountNotFound, "there is no such account")
}

fn identifier_taken() -> Status {
    let message = "another account has this phone number or mail address";
    status(Code::AlreadyExists, ErrorReason::IdentifierTaken, message)
}

impl From<CallerError> for Status {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::NameTaken => {
                status(Code::AlreadyExists, ErrorReason::CallerNameTaken, "another caller has this name")
            }
            CallerError::CertificateTaken => {
                let message = "another caller is known by this name in its certificate";
                status(Code::AlreadyExists, ErrorReason::CertificateNameTaken, message)
            }
            CallerError::NotFound => status(Code::NotFound, ErrorReason::CallerNotFound, "there is no such caller"),
            CallerError::IntentReused => intent_reused(),
            CallerError::Store(error) => error.into(),
        }
    }
}

impl From<VisitorError> for Status {
    fn from(error: VisitorError) -> Self {
        match error {
            VisitorError::Guard(error) => error.into(),
            VisitorError::Cache(error) => error.into(),
            VisitorError::Access(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
