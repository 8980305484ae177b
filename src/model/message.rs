//! A message to a person: a code, a link, or news about their account.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ChallengeId, Identifier, Locale};
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
    /// To open an account.
    Register,
    /// To set a password in place of a forgotten one.
    ResetPassword,
    /// To show that another number or address is theirs.
    ChangeIdentifier,
    /// To delete an account.
    DeleteAccount,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::SignIn, Self::Register, Self::ResetPassword, Self::ChangeIdentifier, Self::DeleteAccount];

    /// Its name, for receivers of webhooks.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Register => "register",
            Self::ResetPassword => "reset_password",
            Self::ChangeIdentifier => "change_identifier",
            Self::DeleteAccount => "delete_account",
        }
    }
}

/// A message on its way to a person.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its identifier; a receiver recognises a repetition by it.
    pub id: Uuid,
    /// How it travels.
    pub channel: Channel,
    /// To whom.
    pub to: Identifier,
    /// In which language.
    pub locale: Locale,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A code.
    Code {
        /// The challenge that it answers.
        challenge_id: ChallengeId,
        /// What for.
        purpose: Purpose,
        /// The code.
        code: Secret<String>,
        /// Until when it counts.
        expires_at: DateTime<Utc>,
    },
    /// A link to where a new password is set.
    PasswordReset {
        /// The link; whoever has it may set the password.
        url: Secret<String>,
        /// Until when it counts.
        expires_at: DateTime<Utc>,
    },
    /// The password was changed.
    PasswordChanged {
        /// When.
        at: DateTime<Utc>,
    },
    /// The number or address that this goes to no longer signs in: another took its place.
    IdentifierChanged {
        /// When.
        at: DateTime<Utc>,
        /// The new one, with the middle left out.
        new_masked: String,
    },
    /// The account was deleted.
    AccountDeleted {
        /// When.
        at: DateTime<Utc>,
    },
}

impl Content {
    /// Its kind, for receivers of webhooks and the names of templates.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Code { .. } => "code",
            Self::PasswordReset { .. } => "password_reset",
            Self::PasswordChanged { .. } => "password_changed",
            Self::IdentifierChanged { .. } => "identifier_changed",
            Self::AccountDeleted { .. } => "account_deleted",
        }
    }
}
