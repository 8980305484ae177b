//! A session: one sign-in on one device.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::{AccountId, SessionId};

/// What the database knows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its identifier, the `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub account_id: AccountId,
    /// How many refresh tokens it has had; only the latest counts.
    pub generation: i64,
    /// Which application signed in.
    pub client_id: String,
    /// How the person proved themself, as RFC 8176 names it, with spaces between.
    pub amr: String,
    /// The device, as the app names it, or empty.
    pub device_id: String,
    /// The device, as its owner names it, or empty.
    pub device_name: String,
    /// The program that signed in, or empty.
    pub user_agent: String,
    /// The address it was last used from.
    pub ip: String,
    /// When the person signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed.
    pub last_used_at: DateTime<Utc>,
    /// When it ends unless it is refreshed before.
    pub expires_at: DateTime<Utc>,
    /// When it ends however often it is refreshed.
    pub absolute_expires_at: DateTime<Utc>,
    /// When the last of its access tokens expires.
    pub access_expires_at: DateTime<Utc>,
    /// The anonymous visitor that the person was before.
    pub upgraded_from: Option<AccountId>,
}

/// Why a session was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its owner signed out.
    Logout,
    /// Its owner ended it from another session.
    EndedByOwner,
    /// Its owner's password was changed.
    PasswordChanged,
    /// Its account was shut.
    AccountBlocked,
    /// Its account was deleted.
    AccountDeleted,
    /// An operator signed the person out.
    EndedByOperator,
    /// A service took it back.
    Blacklisted,
    /// A refresh token came back that had long been replaced.
    Reuse,
}

impl EndReason {
    const ALL: [Self; 8] = [
        Self::Logout,
        Self::EndedByOwner,
        Self::PasswordChanged,
        Self::AccountBlocked,
        Self::AccountDeleted,
        Self::EndedByOperator,
        Self::Blacklisted,
        Self::Reuse,
    ];

    /// The name the database keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::EndedByOwner => "ended_by_owner",
            Self::PasswordChanged => "password_changed",
            Self::AccountBlocked => "account_blocked",
            Self::AccountDeleted => "account_deleted",
            Self::EndedByOperator => "ended_by_operator",
            Self::Blacklisted => "blacklisted",
            Self::Reuse => "reuse",
        }
    }
}

impl FromStr for EndReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| format!("unknown reason `{text}` for the end of a session"))
    }
}
