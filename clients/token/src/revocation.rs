//! What has been taken back.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{AccountId, SessionId, TokenId};

/// How far apart the clocks of two machines may be, and so how much longer than its own life a token may be accepted.
pub const LEEWAY_LIMIT: TimeDelta = TimeDelta::seconds(5);

/// One thing taken back, until the last token it covers has expired by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What it covers.
    pub target: Target,
    /// From when it counts. For an account: tokens issued up to this moment are taken back.
    pub revoked_at: DateTime<Utc>,
    /// When no token it covers can be unexpired any more.
    pub expires_at: DateTime<Utc>,
}

/// What a revocation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One access token.
    Token(TokenId),
    /// Every access token of a session.
    Session(SessionId),
    /// Every access token that an account was issued up to a moment.
    Account(AccountId),
}

impl Target {
    /// The name of its kind, as the database and the stream keep it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Session(_) => "session",
            Self::Account(_) => "account",
        }
    }

    /// The identifier alone.
    #[must_use]
    pub const fn id(self) -> Uuid {
        match self {
            Self::Token(TokenId(id)) | Self::Session(SessionId(id)) | Self::Account(AccountId(id)) => id,
        }
    }

    /// Puts a stored kind and identifier together again.
    #[must_use]
    pub fn from_parts(kind: &str, id: Uuid) -> Option<Self> {
        match kind {
            "token" => Some(Self::Token(TokenId(id))),
            "session" => Some(Self::Session(SessionId(id))),
            "account" => Some(Self::Account(AccountId(id))),
            _ => None,
        }
    }
}
