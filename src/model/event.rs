//! Facts worth keeping: who did what, when, from where. One row serves as the audit trail and as the source of events.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{AccountId, SessionId};

/// Something that has happened, written in the transaction that made it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its identifier; consumers recognise a repetition by it.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub kind: EventKind,
    /// Whose account it concerns.
    pub account_id: Option<AccountId>,
    /// Which session it concerns.
    pub session_id: Option<SessionId>,
    /// Who did it: `account:…`, `caller:…`, or `system`.
    pub actor: String,
    /// From which address, or empty.
    pub ip: String,
    /// A word on it, or empty.
    pub detail: String,
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind {
            $($(#[$doc])* $variant,)*
        }

        impl EventKind {
            /// The name the database keeps.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

event_kinds! {
    /// An account came into being.
    AccountCreated = "account.created",
    /// A person signed in.
    SessionCreated = "session.created",
    /// A session was ended before its time.
    SessionEnded = "session.ended",
    /// A replaced refresh token came back, and its session was ended.
    RefreshTokenReused = "session.refresh_token_reused",
    /// One access token was taken back.
    TokenRevoked = "token.revoked",
    /// Everything that an account had been issued was taken back.
    AccountTokensRevoked = "account.tokens_revoked",
    /// A caller was created.
    CallerCreated = "caller.created",
    /// A caller's key was replaced.
    CallerKeyRotated = "caller.key_rotated",
    /// A caller was deleted.
    CallerDeleted = "caller.deleted",
    /// A signing key was created, began to sign, or stopped.
    SigningKeyChanged = "signing_key.changed",
}
