//! Events that have not arrived at a destination.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::AccountId;

/// What has become of an event on its way to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for its turn, or for its next attempt.
    Pending,
    /// It is not tried any more until it is replayed.
    Dead,
}

/// A text that names no such state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `pending` or `dead`")]
pub struct UnknownDeliveryState;

impl DeliveryState {
    /// The name the database keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dead => "dead",
        }
    }
}

impl FromStr for DeliveryState {
    type Err = UnknownDeliveryState;

    fn from_str(text: &str) -> Result<Self, UnknownDeliveryState> {
        [Self::Pending, Self::Dead].into_iter().find(|state| state.as_str() == text).ok_or(UnknownDeliveryState)
    }
}

/// An event that has not arrived at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where to.
    pub destination: String,
    /// Which event.
    pub event_id: Uuid,
    /// Its number; later ones of the same account are greater.
    pub seq: i64,
    /// Its kind.
    pub kind: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The account that is concerned.
    pub account_id: Option<AccountId>,
    /// What has become of it.
    pub state: DeliveryState,
    /// How often it has been tried.
    pub attempts: i64,
    /// When it is tried next, at the earliest.
    pub due_at: DateTime<Utc>,
    /// Why it was not taken the last time, or empty.
    pub last_error: String,
}
