//! Sessions: opened with a proof, kept with refresh tokens, ended. Owns the rules; the database carries each of them out as
//! one conditional statement, and `token` makes what was ended stop to count.

mod departure;
mod end;
mod flow;
mod new_password;
mod password;
mod refresh_token;
mod sign_in;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::departure::{DepartureError, Departures, Farewell};
pub use self::end::EndError;
pub use self::flow::{FlowError, Flows, Input, Needed, Next, Profile, Step};
pub use self::new_password::{ResetBy, SetPasswordError};
pub use self::refresh_token::{MAX_REFRESH_TOKEN_BYTES, REFRESH_TOKEN_PREFIX, RefreshToken, RefreshTokens};
pub use self::sign_in::{Admission, Registration};
use crate::clock::Clock;
use crate::config::SessionConfig;
use crate::credential::{CodeError, Codes, PasswordError, Passwords, Resets, Unfit};
use crate::guard::{Guard, GuardError};
use crate::model::{Account, AccountId, Actor, Cause, ClientContext, RequestId, Session, SessionId};
use crate::notify::Notifier;
use crate::root_key::MacKey;
use crate::store::{Grant, Refreshed, Rotation, Store, StoreError, Upgrade};
use crate::token::{AccessError, AccessTokens, Issued, Revocations};

/// The sessions of this installation.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Where they are kept.
    pub store: Store,
    /// What proves that somebody owns a number or an address.
    pub codes: Codes,
    /// What proves that somebody is who they were.
    pub passwords: Passwords,
    /// What lets people in who forgot their password.
    pub resets: Resets,
    /// What bounds how often they may be wrong.
    pub guard: Guard,
    /// What tells them that their password is another.
    pub notifier: Notifier,
    /// What they yield.
    pub access: Arc<AccessTokens>,
    /// What makes ended ones stop to count.
    pub revocations: Arc<Revocations>,
    /// What carries them on.
    pub refresh_tokens: RefreshTokens,
    /// Digests intents.
    pub intents: MacKey,
    /// The time.
    pub clock: Clock,
    /// How long they live.
    pub settings: SessionConfig,
    /// Whether a sign-in may open an account.
    pub open_registration: bool,
}

/// What an app keeps.
#[derive(Clone, Debug)]
pub struct TokenPair {
    /// To be sent along.
    pub access: Issued,
    /// To be exchanged for the next pair.
    pub refresh_token: RefreshToken,
    /// When the session ends unless it is refreshed.
    pub refresh_expires_at: DateTime<Utc>,
}

/// Somebody has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What the app keeps.
    pub tokens: TokenPair,
    /// Who it is.
    pub account: Account,
    /// Whether the account is new.
    pub created: bool,
    /// The anonymous visitor that the person was until then.
    pub upgraded_from: Option<AccountId>,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The proof does not hold, or nobody is known by it: these look the same.
    #[error("the proof does not hold")]
    Refused,
    /// The account is blocked.
    #[error("the account is blocked")]
    Blocked,
    /// The name of the intent was used for something else.
    #[error("the request_id was used for something else")]
    IntentReused,
    /// Somebody who was to be new is known.
    #[error("there is such an account")]
    AlreadyRegistered,
    /// What was not proved is of the kind of what is.
    #[error("the second identifier must be of the other kind")]
    SameKind {
        /// Which that is.
        field: &'static str,
    },
    /// Nobody may sign up.
    #[error("accounts are opened by administrators")]
    RegistrationClosed,
    /// The password that was wanted may not be one.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The code could not be judged.
    #[error(transparent)]
    Code(CodeError),
    /// The password could not be judged.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There were too many failures or new accounts, or they could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token can be issued.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl SignInError {
    /// What kind of end this is, in one word.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Refused | Self::Code(CodeError::Wrong | CodeError::NoChallenge) => "refused",
            Self::Blocked => "blocked",
            Self::Guard(GuardError::Cache(_))
            | Self::Code(CodeError::Cache(_) | CodeError::Guard(GuardError::Cache(_))) => "unavailable",
            Self::Guard(_) | Self::Code(CodeError::Guard(_) | CodeError::TooSoon { .. }) => "limited",
            Self::Code(CodeError::Notify(_)) | Self::Password(PasswordError::Busy { .. }) => "overloaded",
            Self::Store(error) if error.is_passing() => "unavailable",
            Self::Access(error) if error.is_passing() => "unavailable",
            Self::Store(_) | Self::Access(_) | Self::Password(PasswordError::Failed) => "failed",
            Self::IntentReused
            | Self::AlreadyRegistered
            | Self::SameKind { .. }
            | Self::RegistrationClosed
            | Self::Unfit(_)
            | Self::Code(CodeError::RegistrationClosed | CodeError::ChannelNotOffered | CodeError::IntentReused) => {
                "not_admitted"
            }
        }
    }
}

/// Why a session was not carried on.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token is none of ours.
    #[error("the refresh token is not valid")]
    Invalid,
    /// The token had been replaced long ago; the session has been ended.
    #[error("the refresh token had been replaced")]
    Reused,
    /// The session has ended or expired.
    #[error("the session has ended")]
    Ended,
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token can be issued.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// Who signs in, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The device.
    pub client: &'a ClientContext,
    /// The application.
    pub client_id: &'a str,
    /// The client's name for this intent.
    pub request_id: Option<RequestId>,
    /// Who it was until now, where an anonymous token came along that counts.
    pub anonymous: Option<Upgrade>,
}

impl Sessions {
    /// Carries a session on. What is not sealed by us never reaches the database.
    pub async fn refresh(
        &self,
        token: &str,
        client: &ClientContext,
        request_id: Option<RequestId>,
    ) -> Result<TokenPair, RefreshError> {
        let metrics = self.guard.metrics();
        let Some((id, generation)) = self.refresh_tokens.open(token) else {
            metrics.refreshed("refused");
            return Err(RefreshError::Invalid);
        };
        let now = self.clock.now();
        let intent = request_id.map(|request_id| self.intents.mac(&[b"refresh", request_id.0.as_bytes()]));
        let rotation = Rotation {
            id,
            generation,
            intent: intent.as_ref().map(<[u8; 32]>::as_slice),
            now,
            grace_since: now - self.settings.grace,
            expires_at: now + self.settings.idle_lifetime,
            access_expires_at: now + self.access.lifetime(),
            ip: &client.ip.to_string(),
            request_id: &client.request_id,
            with_facts: self.access.tells_facts(),
        };
        let refreshed = self.store.refresh_session(rotation).await.inspect_err(|_| metrics.refreshed("unavailable"))?;
        metrics.refreshed(match &refreshed {
            Refreshed::Rotated(_) => "rotated",
            Refreshed::Repeated(_) => "retried",
            Refreshed::Reused(_) => "theft",
            Refreshed::Ended => "refused",
        });
        match refreshed {
            Refreshed::Rotated(grant) | Refreshed::Repeated(grant) => Ok(self.pair(&grant)?),
            Refreshed::Reused(ended) => {
                self.revocations.apply(&[ended.revocation(now)]);
                tracing::warn!(session = %ended.id, "a replaced refresh token came back; its session is ended");
                Err(RefreshError::Reused)
            }
            Refreshed::Ended => Err(RefreshError::Ended),
        }
    }

    /// The owner's live sessions, newest first, from below a cursor.
    pub async fn list(
        &self,
        owner: AccountId,
        below: Option<SessionId>,
        limit: i64,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.sessions_of(owner, below, limit, self.clock.now()).await
    }

    fn pair(&self, grant: &Grant) -> Result<TokenPair, AccessError> {
        Ok(TokenPair {
            access: self.access.issue(grant, self.clock.now())?,
            refresh_token: self.refresh_tokens.seal(grant.session.id, grant.session.generation),
            refresh_expires_at: grant.session.expires_at,
        })
    }

    fn cause(&self, actor: Actor, client: &ClientContext) -> Cause {
        Cause {
            at: self.clock.now(),
            actor,
            ip: client.ip.to_string(),
            request_id: client.request_id.clone(),
            detail: String::new(),
        }
    }
}
