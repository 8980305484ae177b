//! A message that carries a code to a person.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ChallengeId, Identifier};
use crate::secret::Secret;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// As a text message.
    Sms,
    /// As a mail.
    Email,
}

impl Channel {
    /// The one that reaches an identifier.
    #[must_use]
    pub const fn of(identifier: &Identifier) -> Self {
        match identifier {
            Identifier::Phone(_) => Self::Sms,
            Identifier::Email(_) => Self::Email,
        }
    }

    /// Its name, for receivers of webhooks.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

/// What a code is for. It counts for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To sign in.
    SignIn,
}

impl Purpose {
    /// Its name, for receivers of webhooks.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
        }
    }
}

/// A code on its way to a person.
#[derive(Clone, Debug)]
pub struct CodeMessage {
    /// Its identifier; a receiver recognises a repetition by it.
    pub id: Uuid,
    /// The challenge that the code answers.
    pub challenge_id: ChallengeId,
    /// How it travels.
    pub channel: Channel,
    /// To whom.
    pub to: Identifier,
    /// What for.
    pub purpose: Purpose,
    /// The code.
    pub code: Secret<String>,
    /// Until when it counts.
    pub expires_at: DateTime<Utc>,
}
