//! What becomes of tokens and sessions that cannot be kept, and of those who follow what is taken back.

use tonic::{Code, Status};

use super::{SOON, internal, status, with};
use crate::proto::v1::ErrorReason;
use crate::session::{EndError, RefreshError};
use crate::token::{AccessError, KeyringError, WatchError};

impl From<KeyringError> for Status {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => error.into(),
            KeyringError::TooEarly { usable_at } => {
                let message = "the next signing key has not been published for long enough";
                with(Code::FailedPrecondition, ErrorReason::KeyRotationUnsafe, message, |details| {
                    let until = format!("caches of the public keys may lack it until {}", usable_at.to_rfc3339());
                    details.add_precondition_failure_violation("PUBLISHED_LONG_ENOUGH", "signing key", until);
                })
            }
            KeyringError::Sealed { .. } | KeyringError::Broken(_) => internal(error),
        }
    }
}

impl From<AccessError> for Status {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => error.into(),
            AccessError::Keyring(error) => error.into(),
            AccessError::Signing(error) => internal(error),
        }
    }
}

impl From<WatchError> for Status {
    fn from(error: WatchError) -> Self {
        let soon = |code, reason, message| {
            with(code, reason, message, |details| {
                details.set_retry_info(Some(SOON));
            })
        };
        match error {
            WatchError::CursorTooOld => {
                let message = "what happened since this cursor is not remembered here; begin without one";
                status(Code::OutOfRange, ErrorReason::CursorTooOld, message)
            }
            WatchError::TooSlow => {
                let message = "this watcher was left behind; go on from its last checkpoint";
                soon(Code::ResourceExhausted, ErrorReason::WatcherTooSlow, message)
            }
            WatchError::TooMany => soon(Code::ResourceExhausted, ErrorReason::Overloaded, "too many watch this node"),
            WatchError::Leaving => {
                let message = "this node is stopping; go on elsewhere from the last checkpoint";
                soon(Code::Unavailable, ErrorReason::NodeLeaving, message)
            }
        }
    }
}

impl From<RefreshError> for Status {
    fn from(error: RefreshError) -> Self {
        let refused = |reason, message| status(Code::Unauthenticated, reason, message);
        match error {
            RefreshError::Invalid => refresh_token_invalid(),
            RefreshError::Reused => refused(
                ErrorReason::RefreshTokenReused,
                "this refresh token had been replaced; its session has been ended",
            ),
            RefreshError::Ended => refused(ErrorReason::SessionEnded, "the session has ended"),
            RefreshError::Store(error) => error.into(),
            RefreshError::Access(error) => error.into(),
        }
    }
}

impl From<EndError> for Status {
    fn from(error: EndError) -> Self {
        match error {
            EndError::InvalidToken => refresh_token_invalid(),
            EndError::NotFound => status(Code::NotFound, ErrorReason::SessionNotFound, "there is no such session"),
            EndError::Store(error) => error.into(),
        }
    }
}

fn refresh_token_invalid() -> Status {
    status(Code::Unauthenticated, ErrorReason::RefreshTokenInvalid, "the refresh token is not valid")
}
