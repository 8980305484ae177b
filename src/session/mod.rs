//! Sessions: opened with a proof, kept with refresh tokens, ended. Owns the rules; the database carries each of them out as
//! one conditional statement, and `token` makes what was ended stop to count.

mod end;
mod refresh_token;

use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use self::end::EndError;
pub use self::refresh_token::{MAX_REFRESH_TOKEN_BYTES, REFRESH_TOKEN_PREFIX, RefreshToken, RefreshTokens};
use crate::clock::Clock;
use crate::config::SessionConfig;
use crate::credential::{CodeError, Codes, Proof};
use crate::model::{
    Account, AccountId, Actor, Cause, ChallengeId, Channel, ClientContext, Purpose, RequestId, Session, SessionId,
};
use crate::random::Random;
use crate::root_key::MacKey;
use crate::store::{
    Grant, Intent, NewAccount, NewSession, OpenSession, Opened, Proved, Refreshed, Rotation, Store, StoreError,
};
use crate::token::{AccessError, AccessTokens, Issued, Revocations};

/// The sessions of this installation.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Where they are kept.
    pub store: Store,
    /// What proves who somebody is.
    pub codes: Codes,
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
    /// The code could not be judged.
    #[error(transparent)]
    Code(CodeError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No token can be issued.
    #[error(transparent)]
    Access(#[from] AccessError),
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
}

impl Sessions {
    /// Exchanges a code for a session. The same intent with the same code gets the same session, however often it asks.
    pub async fn sign_in_with_code(
        &self,
        challenge: ChallengeId,
        code: &str,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, SignInError> {
        let digest = self.intents.mac(&[b"login", challenge.0.as_bytes(), code.as_bytes()]);
        let intent = visitor.request_id.map(|request_id| Intent { request_id, digest });
        // Without a name of its own, each try is another one's.
        let user = match visitor.request_id {
            Some(id) => self.intents.mac(&[b"login-by", id.0.as_bytes(), &digest]),
            None => Random.bytes(),
        };
        let network = visitor.client.ip.into();
        let opened = match self.codes.redeem(challenge, code, Purpose::SignIn, &user, network).await {
            Ok(proof) => self.open(&proof, visitor, intent).await?,
            // A code that was used up may have been used by this very intent, whose answer was lost.
            Err(CodeError::Wrong) => match intent {
                Some(intent) => {
                    let redeemed = self.codes.was_redeemed_by(challenge, &user).await;
                    if !redeemed.map_err(|error| SignInError::Code(error.into()))? {
                        return Err(SignInError::Refused);
                    }
                    let now = self.clock.now();
                    let opened = self.store.opened_before(intent, now, now + self.access.lifetime()).await?;
                    opened.ok_or(SignInError::Refused)?
                }
                None => return Err(SignInError::Refused),
            },
            Err(error) => return Err(SignInError::Code(error)),
        };
        let signed_in = match opened {
            Opened::Session { account, session, created, revoked } => {
                self.revocations.apply(&revoked);
                let grant = Grant { session: *session, roles: account.roles.clone() };
                let upgraded_from = grant.session.upgraded_from;
                SignedIn { tokens: self.pair(&grant)?, account: *account, created, upgraded_from }
            }
            Opened::Unknown | Opened::Outdated | Opened::AlreadyRegistered => return Err(SignInError::Refused),
            Opened::Blocked => return Err(SignInError::Blocked),
            Opened::IntentReused => return Err(SignInError::IntentReused),
        };
        if let Err(error) = self.codes.discard(challenge).await {
            tracing::debug!(%error, "a used challenge stays in the cache until it expires");
        }
        Ok(signed_in)
    }

    async fn open(&self, proof: &Proof, visitor: Visitor<'_>, intent: Option<Intent>) -> Result<Opened, StoreError> {
        let cause = self.cause(Actor::Owner, visitor.client);
        let amr = match proof.channel {
            Channel::Sms => "otp sms",
            Channel::Email => "otp",
        };
        let new_account = self.open_registration.then(|| NewAccount::bare(AccountId(Random.id(cause.at))));
        let identifier = &proof.identifier;
        let new = OpenSession {
            proved: Proved::Owner { identifier, must_be_new: false },
            new_account,
            upgrade: None,
            session: self.new_session(cause.at, visitor, amr),
            intent,
            cause: &cause,
        };
        self.store.open_session(new).await
    }

    fn new_session(&self, now: DateTime<Utc>, visitor: Visitor<'_>, amr: &str) -> NewSession {
        let client = visitor.client;
        let absolute_expires_at = now + self.settings.absolute_lifetime;
        NewSession {
            id: SessionId(Random.id(now)),
            client_id: visitor.client_id.to_owned(),
            amr: amr.to_owned(),
            device_id: client.device_id.clone(),
            device_name: client.device_name.clone(),
            user_agent: client.user_agent.clone(),
            expires_at: (now + self.settings.idle_lifetime).min(absolute_expires_at),
            absolute_expires_at,
            access_expires_at: (now + self.access.lifetime()).min(absolute_expires_at),
        }
    }

    /// Carries a session on. What is not sealed by us never reaches the database.
    pub async fn refresh(
        &self,
        token: &str,
        client: &ClientContext,
        request_id: Option<RequestId>,
    ) -> Result<TokenPair, RefreshError> {
        let (id, generation) = self.refresh_tokens.open(token).ok_or(RefreshError::Invalid)?;
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
        };
        match self.store.refresh_session(rotation).await? {
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
