//! What becomes of what people want of their own accounts.

use tonic::{Code, Status};
use tonic_types::FieldViolation;

use super::{SOON, account_not_found, identifier_taken, invalid_credentials, invalid_fields, status, unavailable_for};
use crate::connect::ProviderError;
use crate::identity::{OwnerError, VerificationError};
use crate::proto::v1::ErrorReason;
use crate::session::DepartureError;

impl From<ProviderError> for Status {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Unavailable { retry_after } => unavailable_for(retry_after.to_std().unwrap_or(SOON)),
            ProviderError::NotSupported | ProviderError::NotConfigured => {
                let message = "identities cannot be confirmed here, or not for this phone number";
                status(Code::FailedPrecondition, ErrorReason::IdentityNotOffered, message)
            }
            ProviderError::Refused(input) => {
                invalid_fields(vec![FieldViolation::new(input.field(), "the provider says that it cannot be right")])
            }
        }
    }
}

impl From<VerificationError> for Status {
    fn from(error: VerificationError) -> Self {
        match error {
            VerificationError::NotFound => account_not_found(),
            VerificationError::PhoneMissing => {
                let message = "the account has no phone number that could be confirmed";
                status(Code::FailedPrecondition, ErrorReason::PhoneMissing, message)
            }
            VerificationError::Mismatch => {
                let message = "national identifier, phone number and date of birth do not belong together";
                status(Code::FailedPrecondition, ErrorReason::IdentityMismatch, message)
            }
            VerificationError::Taken => {
                let message = "another account has been confirmed to belong to this person";
                status(Code::AlreadyExists, ErrorReason::IdentityTaken, message)
            }
            VerificationError::Guard(error) => error.into(),
            VerificationError::Provider(error) => error.into(),
            VerificationError::Store(error) => error.into(),
        }
    }
}

impl From<DepartureError> for Status {
    fn from(error: DepartureError) -> Self {
        match error {
            DepartureError::Refused => invalid_credentials(),
            DepartureError::Code(error) => error.into(),
            DepartureError::Password(error) => error.into(),
            DepartureError::Guard(error) => error.into(),
            DepartureError::Account(error) => error.into(),
            DepartureError::Store(error) => error.into(),
        }
    }
}

impl From<OwnerError> for Status {
    fn from(error: OwnerError) -> Self {
        match error {
            OwnerError::NotFound => account_not_found(),
            OwnerError::IdentifierTaken => identifier_taken(),
            OwnerError::Code(error) => error.into(),
            OwnerError::Store(error) => error.into(),
        }
    }
}
