//! Facts worth keeping: who did what, when, from where. One row serves as the audit trail and as the source of events.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{AccountId, CallerId, SessionId};

/// Who stands behind a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person.
    Account(AccountId),
    /// The person whose account is concerned, who is known only once it has been found.
    Owner,
    /// A service or gateway.
    Caller(CallerId),
    /// This service by itself: a scheduled job, or a rule that struck.
    System,
    /// Whoever sits at the command line.
    Operator,
    /// A schedule outside, with the key for jobs.
    Cron,
}

impl Actor {
    /// How the audit trail names it, beside the account that is concerned.
    #[must_use]
    pub fn name(self, concerned: Option<AccountId>) -> String {
        match (self, concerned) {
            (Self::Account(id), _) | (Self::Owner, Some(id)) => format!("account:{id}"),
            (Self::Caller(id), _) => format!("caller:{id}"),
            (Self::System, _) | (Self::Owner, None) => "system".to_owned(),
            (Self::Operator, _) => "operator".to_owned(),
            (Self::Cron, _) => "cron".to_owned(),
        }
    }
}

/// The circumstances of a change, kept beside it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// From which address, or empty.
    pub ip: String,
    /// The request that makes it, or empty.
    pub request_id: String,
    /// A word on it, or empty.
    pub detail: String,
}

impl Cause {
    /// A change that this service makes by itself.
    #[must_use]
    pub const fn system(at: DateTime<Utc>) -> Self {
        Self { at, actor: Actor::System, ip: String::new(), request_id: String::new(), detail: String::new() }
    }
}

/// What stands in the audit trail: a change and its circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its identifier; later ones are greater.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// What, by the name of its kind. A newer release may have written one that this one does not know.
    pub kind: String,
    /// The account that is concerned.
    pub account_id: Option<AccountId>,
    /// The session that is concerned.
    pub session_id: Option<SessionId>,
    /// Who.
    pub actor: String,
    /// From which address, or empty.
    pub ip: String,
    /// The request that made it, or empty.
    pub request_id: String,
    /// A word on it, or empty.
    pub detail: String,
}

/// A text that names no kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a kind of event")]
pub struct UnknownEventKind;

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind {
            $($(#[$doc])* $variant,)*
        }

        impl FromStr for EventKind {
            type Err = UnknownEventKind;

            fn from_str(name: &str) -> Result<Self, UnknownEventKind> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(UnknownEventKind),
                }
            }
        }

        impl EventKind {
            /// Everything there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

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
    /// An account's names, language, metadata or roles were changed.
    AccountUpdated = "account.updated",
    /// A phone number or mail address was proved and took another's place.
    IdentifierChanged = "account.identifier_changed",
    /// A password was set or replaced.
    PasswordChanged = "account.password_changed",
    /// A provider confirmed who a person is.
    IdentityVerified = "account.identity_verified",
    /// An account was shut.
    AccountBlocked = "account.blocked",
    /// A block was lifted.
    AccountUnblocked = "account.unblocked",
    /// An account was deleted, and what was known of the person erased.
    AccountDeleted = "account.deleted",
    /// An account was brought over from elsewhere.
    AccountImported = "account.imported",
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
    /// An endpoint was added that events are posted to.
    WebhookCreated = "webhook.created",
    /// Its secret was replaced.
    WebhookSecretRotated = "webhook.secret_rotated",
    /// It said that it is gone, and gets no more events.
    WebhookDisabled = "webhook.disabled",
    /// It gets events again.
    WebhookEnabled = "webhook.enabled",
    /// It was deleted.
    WebhookDeleted = "webhook.deleted",
    /// Events that had not arrived somewhere are tried once more.
    DeliveriesReplayed = "deliveries.replayed",
    /// A signing key was created, began to sign, or stopped.
    SigningKeyChanged = "signing_key.changed",
    /// What had expired was deleted.
    Purged = "storage.purged",
}
