//! Ending sessions and taking tokens back: by their owner, or at a service's request. What was ended has stopped to count on
//! this node before anybody is told so.

use chrono::{DateTime, Utc};

use super::{MAX_REFRESH_TOKEN_BYTES, REFRESH_TOKEN_PREFIX, Sessions};
use crate::model::{AccountId, Actor, Cause, ClientContext, EndReason, LEEWAY_LIMIT, Revocation, SessionId, Target};
use crate::store::{EndedSession, StoreError, to_its_end};
use crate::token::{AccessError, Known};

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The refresh token is none of ours.
    #[error("the refresh token is not valid")]
    InvalidToken,
    /// There is no such session.
    #[error("there is no such session")]
    NotFound,
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    /// Ends the session of a refresh token, whichever generation it is of; where an owner is named, only theirs. Ending
    /// what has ended succeeds.
    pub async fn end_by_refresh_token(
        &self,
        token: &str,
        owner: Option<AccountId>,
        actor: Actor,
        client: &ClientContext,
    ) -> Result<(), EndError> {
        let (id, _) = self.refresh_tokens.open(token).ok_or(EndError::InvalidToken)?;
        self.end_one(id, owner, EndReason::Logout, &self.cause(actor, client)).await.map(drop)
    }

    /// Ends the session that an access token belongs to; a token without a session is taken back by itself.
    pub async fn end_by_access_token(&self, token: &Known, client: &ClientContext) -> Result<(), EndError> {
        let owner = token.claims.sub;
        let cause = self.cause(Actor::Account(owner), client);
        match token.claims.sid {
            Some(session) => self.end_one(session, Some(owner), EndReason::Logout, &cause).await.map(drop),
            None => self.revoke_access_token(token, Actor::Account(owner), client).await,
        }
    }

    /// Ends one of the owner's sessions.
    pub async fn end_own(&self, id: SessionId, owner: AccountId, client: &ClientContext) -> Result<(), EndError> {
        let cause = self.cause(Actor::Account(owner), client);
        let ended = self.end_one(id, Some(owner), EndReason::EndedByOwner, &cause).await?;
        if ended { Ok(()) } else { Err(EndError::NotFound) }
    }

    /// Ends all of the owner's sessions, or all but one. Tells how many there were.
    pub async fn end_all(
        &self,
        owner: AccountId,
        keep: Option<SessionId>,
        client: &ClientContext,
    ) -> Result<usize, EndError> {
        let cause = self.cause(Actor::Account(owner), client);
        self.end_every(owner, keep, EndReason::EndedByOwner, cause).await
    }

    /// Ends one of a person's sessions at an operator's word, or all of them. Tells how many there were.
    pub async fn end_for_operator(
        &self,
        owner: AccountId,
        one: Option<SessionId>,
        cause: &Cause,
    ) -> Result<usize, EndError> {
        match one {
            Some(session) => {
                let ended = self.end_one(session, Some(owner), EndReason::EndedByOperator, cause).await?;
                if ended { Ok(1) } else { Err(EndError::NotFound) }
            }
            None => self.end_every(owner, None, EndReason::EndedByOperator, cause.clone()).await,
        }
    }

    /// Takes a token back, whichever kind it is of: with a refresh token its session ends. Where an owner is named, only what is
    /// theirs. What is unknown, foreign or over already is passed by in silence (RFC 7009 §2.2).
    pub async fn revoke(
        &self,
        token: &str,
        owner: Option<AccountId>,
        actor: Actor,
        client: &ClientContext,
    ) -> Result<(), AccessError> {
        let outcome = if token.starts_with(REFRESH_TOKEN_PREFIX) && token.len() <= MAX_REFRESH_TOKEN_BYTES {
            self.end_by_refresh_token(token, owner, actor, client).await
        } else if let Ok(known) = self.access.recognise(token).await?
            && owner.is_none_or(|owner| owner == known.claims.sub)
        {
            self.revoke_access_token(&known, actor, client).await
        } else {
            Ok(())
        };
        match outcome {
            Ok(()) | Err(EndError::InvalidToken | EndError::NotFound) => Ok(()),
            Err(EndError::Store(error)) => Err(error.into()),
        }
    }

    /// Takes one access token back.
    pub async fn revoke_access_token(
        &self,
        token: &Known,
        actor: Actor,
        client: &ClientContext,
    ) -> Result<(), EndError> {
        let cause = self.cause(actor, client);
        let expires_at = DateTime::from_timestamp(token.claims.exp, 0).unwrap_or(cause.at) + LEEWAY_LIMIT;
        if expires_at > cause.at {
            let (this, jti, sub) = (self.clone(), token.claims.jti, token.claims.sub);
            to_its_end(async move {
                let revoked = this.store.revoke_token(jti, Some(sub), expires_at, &cause).await?;
                this.revocations.apply(&[revoked]);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Takes back by identifier, at a service's request. Tells from when it counts.
    pub async fn blacklist(
        &self,
        target: Target,
        until: Option<DateTime<Utc>>,
        cause: &Cause,
    ) -> Result<DateTime<Utc>, EndError> {
        // No token that still verifies can be around for longer.
        let last = cause.at + self.access.keyring.keys().longest_token + LEEWAY_LIMIT;
        let expires_at = until.map_or(last, |until| until.min(last));
        if let Target::Session(session) = target {
            self.end_one(session, None, EndReason::Blacklisted, cause).await?;
            return Ok(cause.at);
        }
        let (this, at, cause) = (self.clone(), cause.at, cause.clone());
        let outcome = to_its_end(async move {
            match target {
                Target::Token(token) => {
                    this.revocations.apply(&[this.store.revoke_token(token, None, expires_at, &cause).await?]);
                }
                Target::Account(account) => {
                    this.revocations.apply(&this.store.revoke_account(account, expires_at, &cause).await?);
                    this.take_back(&this.store.ended_sessions_of(account, cause.at).await?, &cause);
                }
                Target::Session(_) => {}
            }
            Ok(at)
        })
        .await?;
        Ok(outcome)
    }

    async fn end_every(
        &self,
        owner: AccountId,
        keep: Option<SessionId>,
        reason: EndReason,
        cause: Cause,
    ) -> Result<usize, EndError> {
        let this = self.clone();
        let count = to_its_end(async move {
            let ended = this.store.end_sessions_of(owner, keep, reason, &cause).await?;
            this.take_back(&ended, &cause);
            this.take_back(&this.store.ended_sessions_of(owner, cause.at).await?, &cause);
            Ok(ended.len())
        })
        .await?;
        Ok(count)
    }

    /// Tells whether the session was live.
    async fn end_one(
        &self,
        id: SessionId,
        owner: Option<AccountId>,
        reason: EndReason,
        cause: &Cause,
    ) -> Result<bool, EndError> {
        let (this, cause) = (self.clone(), cause.clone());
        let outcome = to_its_end(async move {
            if let Some(ended) = this.store.end_session(id, owner, reason, &cause).await? {
                this.take_back(&[ended], &cause);
                return Ok(true);
            }
            // It may have been ended by an earlier try whose answer was lost, on a node that did not come to tell the others.
            let earlier = this.store.ended_session(id, owner).await?;
            this.take_back(earlier.as_slice(), &cause);
            Ok(false)
        })
        .await?;
        Ok(outcome)
    }

    pub(super) fn take_back(&self, ended: &[EndedSession], cause: &Cause) {
        let revocations: Vec<Revocation> = ended.iter().map(|session| session.revocation(cause.at)).collect();
        self.revocations.apply(&revocations);
    }
}
