//! What becomes of what operators want of endpoints for events.

use tonic::{Code, Status};

use super::{intent_reused, internal, status};
use crate::events::webhooks::WebhookError;
use crate::proto::v1::ErrorReason;

impl From<WebhookError> for Status {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NameTaken => {
                let message = "another endpoint for events has this name";
                status(Code::AlreadyExists, ErrorReason::WebhookNameTaken, message)
            }
            WebhookError::NotFound => {
                status(Code::NotFound, ErrorReason::WebhookNotFound, "there is no such endpoint for events")
            }
            WebhookError::IntentReused => intent_reused(),
            WebhookError::Seal(error) => internal(error),
            WebhookError::Store(error) => error.into(),
        }
    }
}
