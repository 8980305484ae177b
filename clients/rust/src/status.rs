//! What the service's errors say to programs.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt;

use crate::proto::v1::ErrorReason;
use crate::refusal::DOMAIN;

/// The reason that the service gives; none where something else has failed, such as the network or a proxy.
///
/// ```
/// use countersign_client::{Refusal, proto::v1::ErrorReason, reason};
///
/// assert_eq!(reason(&Refusal::Revoked.to_status()), Some(ErrorReason::AccessTokenInvalid));
/// assert_eq!(reason(&tonic::Status::unauthenticated("says a proxy")), None);
/// ```
#[must_use]
pub fn reason(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN)?;
    ErrorReason::from_str_name(&info.reason)
}

/// When to come back, where the service says so.
#[must_use]
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}
