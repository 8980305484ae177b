//! Every error and what becomes of it, on one page.

use std::collections::BTreeSet;
use std::fmt::Write;

use chrono::DateTime;

use super::*;
use crate::connect::{Input, ProviderError};
use crate::events::Batch;
use crate::events::webhooks::WebhookError;
use crate::identity::{OwnerError, VerificationError};
use crate::load::{Exceeded, Shed};
use crate::seal::SealError;
use crate::session::{DepartureError, EndError, RefreshError};
use crate::token::{AccessError, KeyringError, WatchError};
use crate::upkeep::{JobError, WorkError};

fn lost() -> sqlx::Error {
    sqlx::Error::PoolTimedOut
}

fn no_store() -> StoreError {
    StoreError::Unavailable(lost())
}

fn no_cache() -> CacheError {
    CacheError::Unavailable("gone".into())
}

fn wait() -> TimeDelta {
    TimeDelta::seconds(42)
}

fn limited() -> GuardError {
    GuardError::Limited { limit: "codes_per_network", retry_after: wait() }
}

/// Errors of the door and of what everything stands on, by name.
fn below() -> Vec<(&'static str, Status)> {
    let usable_at = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
    vec![
        (
            "invalid fields",
            invalid_fields(vec![FieldViolation::new("a", "must b"), FieldViolation::new("c", "must d")]),
        ),
        ("unknown method", unknown_method()),
        ("credentials missing", credentials_missing()),
        ("access token invalid", access_token_invalid()),
        ("API key invalid", api_key_invalid()),
        ("permission denied", permission_denied()),
        ("internal", internal("a secret cause")),
        ("bare UNIMPLEMENTED", with_details(&Status::unimplemented(""))),
        ("bare OUT_OF_RANGE", with_details(&Status::out_of_range("message length too large"))),
        ("bare RESOURCE_EXHAUSTED", with_details(&Status::resource_exhausted("metadata"))),
        ("bare INTERNAL", with_details(&Status::internal("failed to decode"))),
        ("bare INVALID_ARGUMENT", with_details(&Status::invalid_argument("protobuf"))),
        ("bare CANCELLED", with_details(&Status::cancelled("timeout"))),
        ("bare DEADLINE_EXCEEDED", with_details(&Status::deadline_exceeded("timeout"))),
        ("StoreError::Unavailable", no_store().into()),
        ("StoreError::Leaving", StoreError::Leaving.into()),
        ("StoreError::Internal", StoreError::Internal(sqlx::Error::RowNotFound).into()),
        ("CacheError::Unavailable", no_cache().into()),
        ("CacheError::NotACounter", CacheError::NotACounter.into()),
        ("KeyringError::Store", KeyringError::Store(no_store()).into()),
        ("KeyringError::TooEarly", KeyringError::TooEarly { usable_at }.into()),
        ("KeyringError::Sealed", KeyringError::Sealed { kid: "k".to_owned(), cause: "c".to_owned() }.into()),
        ("KeyringError::Broken", KeyringError::Broken("halves".to_owned()).into()),
        ("AccessError::Store", AccessError::Store(no_store()).into()),
        ("WatchError::CursorTooOld", WatchError::CursorTooOld.into()),
        ("WatchError::TooSlow", WatchError::TooSlow.into()),
        ("WatchError::TooMany", WatchError::TooMany.into()),
        ("WatchError::Leaving", WatchError::Leaving.into()),
        ("AccessError::Keyring", AccessError::Keyring(KeyringError::Broken("halves".to_owned())).into()),
    ]
}

/// Errors of people and callers, by name.
#[expect(clippy::too_many_lines, reason = "a list")]
fn above() -> Vec<(&'static str, Status)> {
    vec![
        ("GuardError::Limited", limited().into()),
        ("GuardError::Blocked", GuardError::Blocked { limit: "failed_codes", retry_after: wait() }.into()),
        ("GuardError::CountryNotServed", GuardError::CountryNotServed.into()),
        ("GuardError::Cache", GuardError::Cache(no_cache()).into()),
        ("Exceeded", Exceeded { limit: "calls_per_second", retry_after: 1_500_000 }.into()),
        ("Shed::Full", Shed::Full.into()),
        ("Shed::Late", Shed::Late.into()),
        ("PasswordError::Busy", PasswordError::Busy { retry_after: wait() }.into()),
        ("PasswordError::Failed", PasswordError::Failed.into()),
        ("Unfit::TooLong", password_unfit("new_password", Unfit::TooLong { most: 256 })),
        ("Unfit::Common", password_unfit("new_password", Unfit::Common)),
        ("Unfit::Personal", password_unfit("new_password", Unfit::Personal)),
        ("Unfit::ControlCharacter", password_unfit("new_password", Unfit::ControlCharacter)),
        ("CodeError::Wrong", CodeError::Wrong.into()),
        ("CodeError::NoChallenge", CodeError::NoChallenge.into()),
        ("CodeError::TooSoon", CodeError::TooSoon { retry_after: wait() }.into()),
        ("CodeError::RegistrationClosed", CodeError::RegistrationClosed.into()),
        ("CodeError::ChannelNotOffered", CodeError::ChannelNotOffered.into()),
        ("CodeError::IntentReused", CodeError::IntentReused.into()),
        ("CodeError::Guard", CodeError::Guard(limited()).into()),
        ("CodeError::Notify", CodeError::Notify(NotifyError::QueueFull).into()),
        ("CodeError::Cache", CodeError::Cache(no_cache()).into()),
        ("SetPasswordError::Refused", SetPasswordError::Refused.into()),
        ("SetPasswordError::Blocked", SetPasswordError::Blocked.into()),
        ("SetPasswordError::Unfit", SetPasswordError::Unfit(Unfit::Common).into()),
        ("SetPasswordError::Code", SetPasswordError::Code(CodeError::Guard(limited())).into()),
        ("SetPasswordError::Password", SetPasswordError::Password(PasswordError::Failed).into()),
        ("SetPasswordError::Guard", SetPasswordError::Guard(limited()).into()),
        ("SetPasswordError::Cache", SetPasswordError::Cache(no_cache()).into()),
        ("SetPasswordError::Store", SetPasswordError::Store(no_store()).into()),
        ("ResetError::NotOffered", ResetError::NotOffered.into()),
        ("ResetError::ChannelNotOffered", ResetError::ChannelNotOffered.into()),
        ("ResetError::IntentReused", ResetError::IntentReused.into()),
        ("ResetError::Guard", ResetError::Guard(limited()).into()),
        ("ResetError::Notify", ResetError::Notify(NotifyError::QueueFull).into()),
        ("ResetError::Cache", ResetError::Cache(no_cache()).into()),
        ("SignInError::Refused", SignInError::Refused.into()),
        ("SignInError::Blocked", SignInError::Blocked.into()),
        ("SignInError::IntentReused", SignInError::IntentReused.into()),
        ("SignInError::AlreadyRegistered", SignInError::AlreadyRegistered.into()),
        ("SignInError::SameKind", SignInError::SameKind { field: "phone" }.into()),
        ("SignInError::RegistrationClosed", SignInError::RegistrationClosed.into()),
        ("SignInError::Unfit", SignInError::Unfit(Unfit::TooShort { least: 8 }).into()),
        ("SignInError::Code", SignInError::Code(CodeError::Cache(no_cache())).into()),
        ("SignInError::Password", SignInError::Password(PasswordError::Failed).into()),
        ("SignInError::Guard", SignInError::Guard(limited()).into()),
        ("SignInError::Store", SignInError::Store(no_store()).into()),
        ("RefreshError::Invalid", RefreshError::Invalid.into()),
        ("RefreshError::Reused", RefreshError::Reused.into()),
        ("RefreshError::Ended", RefreshError::Ended.into()),
        ("RefreshError::Store", RefreshError::Store(no_store()).into()),
        ("EndError::InvalidToken", EndError::InvalidToken.into()),
        ("EndError::NotFound", EndError::NotFound.into()),
        ("EndError::Store", EndError::Store(no_store()).into()),
        ("AccountError::NotFound", AccountError::NotFound.into()),
        ("AccountError::IdentifierTaken", AccountError::IdentifierTaken.into()),
        ("AccountError::IntentReused", AccountError::IntentReused.into()),
        ("AccountError::Unfit", AccountError::Unfit(Unfit::TooShort { least: 8 }).into()),
        ("AccountError::Password", AccountError::Password(PasswordError::Busy { retry_after: wait() }).into()),
        ("AccountError::Store", AccountError::Store(no_store()).into()),
        ("DepartureError::Refused", DepartureError::Refused.into()),
        ("DepartureError::Code", DepartureError::Code(CodeError::Wrong).into()),
        ("DepartureError::Password", DepartureError::Password(PasswordError::Busy { retry_after: wait() }).into()),
        ("DepartureError::Guard", DepartureError::Guard(limited()).into()),
        ("DepartureError::Account", DepartureError::Account(AccountError::NotFound).into()),
        ("DepartureError::Store", DepartureError::Store(no_store()).into()),
        ("OwnerError::NotFound", OwnerError::NotFound.into()),
        ("OwnerError::IdentifierTaken", OwnerError::IdentifierTaken.into()),
        ("OwnerError::Code", OwnerError::Code(CodeError::Wrong).into()),
        ("OwnerError::Store", OwnerError::Store(no_store()).into()),
        ("ProviderError::Unavailable", ProviderError::Unavailable { retry_after: wait() }.into()),
        ("ProviderError::NotSupported", ProviderError::NotSupported.into()),
        ("ProviderError::NotConfigured", ProviderError::NotConfigured.into()),
        ("ProviderError::Refused", ProviderError::Refused(Input::BirthDate).into()),
        ("VerificationError::NotFound", VerificationError::NotFound.into()),
        ("VerificationError::PhoneMissing", VerificationError::PhoneMissing.into()),
        ("VerificationError::Mismatch", VerificationError::Mismatch.into()),
        ("VerificationError::Taken", VerificationError::Taken.into()),
        ("VerificationError::Guard", VerificationError::Guard(limited()).into()),
        ("VerificationError::Provider", VerificationError::Provider(ProviderError::NotConfigured).into()),
        ("VerificationError::Store", VerificationError::Store(no_store()).into()),
        ("job not found", job_not_found()),
        ("JobError::Running", JobError::Running.into()),
        ("JobError::Store", JobError::Store(no_store()).into()),
        ("WorkError::Store", WorkError::Store(no_store()).into()),
        ("WorkError::Away", WorkError::Away { batch: Batch::default(), away: "the broker".to_owned() }.into()),
        ("WorkError::Keyring", WorkError::Keyring(KeyringError::Store(no_store())).into()),
        ("CallerError::NameTaken", CallerError::NameTaken.into()),
        ("CallerError::CertificateTaken", CallerError::CertificateTaken.into()),
        ("CallerError::NotFound", CallerError::NotFound.into()),
        ("CallerError::IntentReused", CallerError::IntentReused.into()),
        ("CallerError::Store", CallerError::Store(no_store()).into()),
        ("FlowError::NotFound", FlowError::NotFound.into()),
        ("FlowError::WrongStep", FlowError::WrongStep { needed: Needed::SetPassword }.into()),
        ("FlowError::Missing", FlowError::Missing(ProfileField::LastName).into()),
        ("FlowError::IntentReused", FlowError::IntentReused.into()),
        ("FlowError::SignIn", FlowError::SignIn(SignInError::Refused).into()),
        ("FlowError::Code", FlowError::Code(CodeError::NoChallenge).into()),
        ("FlowError::Guard", FlowError::Guard(limited()).into()),
        ("FlowError::Cache", FlowError::Cache(no_cache()).into()),
        ("FlowError::Store", FlowError::Store(no_store()).into()),
        ("VisitorError::Guard", VisitorError::Guard(limited()).into()),
        ("VisitorError::Cache", VisitorError::Cache(no_cache()).into()),
    ]
}

/// Errors of endpoints for events, by name.
fn beside() -> Vec<(&'static str, Status)> {
    vec![
        ("WebhookError::NameTaken", WebhookError::NameTaken.into()),
        ("WebhookError::NotFound", WebhookError::NotFound.into()),
        ("WebhookError::IntentReused", WebhookError::IntentReused.into()),
        ("WebhookError::Seal", WebhookError::Seal(SealError::Failed).into()),
        ("WebhookError::Store", WebhookError::Store(no_store()).into()),
    ]
}

#[test]
fn each_error_becomes_one_status() {
    let mut page = String::new();
    let mut seen = BTreeSet::new();
    for (name, status) in below().into_iter().chain(above()).chain(beside()) {
        let details = status.get_error_details();
        let info = details.error_info().expect("an ErrorInfo");
        assert_eq!(info.domain, DOMAIN);
        assert!(ErrorReason::from_str_name(&info.reason).is_some(), "{}", info.reason);
        seen.insert(info.reason.clone());
        let reason = info.reason.trim_start_matches("ERROR_REASON_");
        writeln!(page, "{name}: {:?} {reason} {:?}", status.code(), status.message()).unwrap();
        for field in details.bad_request().iter().flat_map(|bad| &bad.field_violations) {
            writeln!(page, "    field {} {}", field.field, field.description).unwrap();
        }
        for limit in details.quota_failure().iter().flat_map(|quota| &quota.violations) {
            writeln!(page, "    limit {}", limit.subject).unwrap();
        }
        for condition in details.precondition_failure().iter().flat_map(|failure| &failure.violations) {
            let tonic_types::PreconditionViolation { r#type, subject, description } = condition;
            writeln!(page, "    condition {type} of {subject}: {description}").unwrap();
        }
        if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
            writeln!(page, "    retry after {delay:?}").unwrap();
        }
    }
    insta::assert_snapshot!(page);

    // Every reason of the contract has a cause here.
    let known = (1..200).filter_map(|number| ErrorReason::try_from(number).ok());
    let missing: Vec<_> = known.map(|reason| reason.as_str_name()).filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
