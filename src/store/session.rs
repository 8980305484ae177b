//! Sessions: refreshed, ended, listed. Every change is one conditional statement or one transaction around it.

use chrono::{DateTime, Utc};

use super::event::record_event;
use super::revocation::{end_sessions, insert_session_revocation};
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Account, AccountId, Cause, EndReason, EventKind, Facts, LEEWAY_LIMIT, Roles, Session, SessionId};

/// What a refresh writes.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    /// The session of the token.
    pub id: SessionId,
    /// The generation of the token.
    pub generation: i64,
    /// The digest of the client's `request_id`.
    pub intent: Option<&'a [u8]>,
    /// When.
    pub now: DateTime<Utc>,
    /// Since when a rotation counts as just made.
    pub grace_since: DateTime<Utc>,
    /// When the session ends unless it is refreshed again; its absolute end still holds.
    pub expires_at: DateTime<Utc>,
    /// When the new access token expires.
    pub access_expires_at: DateTime<Utc>,
    /// From where.
    pub ip: &'a str,
    /// What the request calls itself, for the audit trail.
    pub request_id: &'a str,
    /// Whether the token will tell more of the owner than the roles.
    pub with_facts: bool,
}

/// A session and what an access token says beyond it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session as it is now.
    pub session: Session,
    /// Its owner's roles.
    pub roles: Roles,
    /// What else is known of the owner, where it was asked for.
    pub facts: Option<Facts>,
}

impl Grant {
    /// A session that has just been opened for this account.
    #[must_use]
    pub fn of(session: Session, account: &Account) -> Self {
        Self { session, roles: account.roles.clone(), facts: Some(account.into()) }
    }
}

/// A grant that has been asked for with its facts.
pub(super) struct Detailed(pub(super) Grant);

/// How a refresh went.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// The session is on its next generation.
    Rotated(Grant),
    /// It already was, by an earlier try of the same client.
    Repeated(Grant),
    /// The token had been replaced before that: the session has been ended just now.
    Reused(EndedSession),
    /// There is no live session behind the token.
    Ended,
}

/// A session that has just been ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub account_id: AccountId,
    /// Until when an access token of it might be around.
    pub access_expires_at: DateTime<Utc>,
}

/// A session together with its owner's roles. They must be read by the statement that decides, so that a token never says
/// what was true only before.
macro_rules! grant {
    () => {
        concat!(" *, ", of_owner!("roles"), " AS roles")
    };
    (with facts) => {
        concat!(
            grant!(),
            ", ",
            of_owner!("phone"),
            " AS owner_phone, ",
            of_owner!("email"),
            " AS owner_email, ",
            of_owner!("claimed_phone"),
            " AS owner_claimed_phone, ",
            of_owner!("claimed_email"),
            " AS owner_claimed_email, ",
            of_owner!("first_name"),
            " AS owner_first_name, ",
            of_owner!("last_name"),
            " AS owner_last_name, ",
            of_owner!("locale"),
            " AS owner_locale, ",
            of_owner!("full_name"),
            " AS owner_full_name, ",
            of_owner!("identity_verified_at"),
            " AS owner_identity_verified_at, ",
            of_owner!("metadata"),
            " AS owner_metadata"
        )
    };
}

macro_rules! of_owner {
    ($column:literal) => {
        concat!("(SELECT ", $column, " FROM accounts WHERE accounts.id = sessions.account_id)")
    };
}

/// Runs a statement that keeps a session alive, in the form that tells what is asked for.
macro_rules! granted {
    ($store:expr, $rotation:expr, $statement:literal $(, $value:expr)* $(,)?) => {{
        const PLAIN: &str = concat!($statement, alive!(), " RETURNING", grant!());
        const DETAILED: &str = concat!($statement, alive!(), " RETURNING", grant!(with facts));
        if $rotation.with_facts {
            let grant: Option<Detailed> =
                on_pool!($store, pool => sqlx::query_as(DETAILED)$(.bind($value))*.fetch_optional(pool).await)?;
            grant.map(|Detailed(grant)| grant)
        } else {
            on_pool!($store, pool => sqlx::query_as(PLAIN)$(.bind($value))*.fetch_optional(pool).await)?
        }
    }};
}

/// What every statement that keeps a session alive demands of it at `$3`.
macro_rules! alive {
    () => {
        " ended_at IS NULL AND expires_at > $3
          AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = sessions.account_id AND (accounts.state = 'active'
              OR (accounts.state = 'blocked' AND accounts.blocked_until <= $3)))"
    };
}

pub(super) use alive;

impl Store {
    /// Moves a session to its next generation, or finds out why it does not move. The happy path is one statement.
    pub async fn refresh_session(&self, rotation: Rotation<'_>) -> Result<Refreshed, StoreError> {
        if let Some(grant) = self.rotate_session(rotation).await? {
            return Ok(Refreshed::Rotated(grant));
        }
        if let Some(grant) = self.repeat_rotation(rotation).await? {
            return Ok(Refreshed::Repeated(grant));
        }
        match self.end_reused_session(rotation).await? {
            Some(ended) => Ok(Refreshed::Reused(ended)),
            None => Ok(Refreshed::Ended),
        }
    }

    /// The token is the current one: one winner replaces it.
    async fn rotate_session(&self, rotation: Rotation<'_>) -> Result<Option<Grant>, StoreError> {
        Ok(granted!(
            self,
            rotation,
            "UPDATE sessions SET generation = generation + 1, rotated_at = $3, rotated_by = $4, last_used_at = $3, ip = $7,
                 expires_at = CASE WHEN $5 < absolute_expires_at THEN $5 ELSE absolute_expires_at END,
                 access_expires_at = CASE WHEN $6 < absolute_expires_at THEN $6 ELSE absolute_expires_at END
             WHERE id = $1 AND generation = $2 AND",
            rotation.id.0,
            rotation.generation,
            rotation.now,
            rotation.intent,
            rotation.expires_at,
            rotation.access_expires_at,
            rotation.ip,
        ))
    }

    /// The token is the one before, and this is the same intent again or has only just been replaced: nothing moves but
    /// the life of the access token that the answer will bring, within the session's own.
    async fn repeat_rotation(&self, rotation: Rotation<'_>) -> Result<Option<Grant>, StoreError> {
        Ok(granted!(
            self,
            rotation,
            "UPDATE sessions SET
                 access_expires_at = CASE WHEN $4 < expires_at THEN $4 ELSE expires_at END
             WHERE id = $1 AND generation = $2 + 1 AND (rotated_by = $5 OR rotated_at > $6) AND",
            rotation.id.0,
            rotation.generation,
            rotation.now,
            rotation.access_expires_at,
            rotation.intent,
            rotation.grace_since,
        ))
    }

    /// The token is older than that: somebody has a copy, and the session ends. One that is dead already tells nothing:
    /// its own owner may still be trying.
    async fn end_reused_session(&self, rotation: Rotation<'_>) -> Result<Option<EndedSession>, StoreError> {
        let (ip, request_id) = (rotation.ip.to_owned(), rotation.request_id.to_owned());
        let cause = Cause { ip, request_id, ..Cause::system(rotation.now) };
        in_transaction!(self, tx => {
            let ended: Option<EndedSession> = sqlx::query_as(concat!(
                "UPDATE sessions SET ended_at = $3, end_reason = $4 WHERE id = $1 AND generation > $2 AND",
                alive!(),
                " RETURNING id, account_id, access_expires_at"))
                .bind(rotation.id.0).bind(rotation.generation).bind(rotation.now).bind(EndReason::Reuse.as_str())
                .fetch_optional(&mut *tx).await?;
            if let Some(ended) = ended {
                insert_session_revocation!(tx, ended, &cause, EndReason::Reuse);
                record_event!(tx, EventKind::RefreshTokenReused, &cause, Some(ended.account_id), Some(ended.id));
            }
            Ok(ended)
        })
    }

    /// Ends one session, where it is live and, if an owner is named, theirs.
    pub async fn end_session(
        &self,
        id: SessionId,
        owner: Option<AccountId>,
        reason: EndReason,
        cause: &Cause,
    ) -> Result<Option<EndedSession>, StoreError> {
        in_transaction!(self, tx => {
            let ended: Option<EndedSession> = sqlx::query_as(
                "UPDATE sessions SET ended_at = $3, end_reason = $4
                 WHERE id = $1 AND ended_at IS NULL AND ($2 IS NULL OR account_id = $2)
                 RETURNING id, account_id, access_expires_at")
                .bind(id.0).bind(owner.map(|owner| owner.0)).bind(cause.at).bind(reason.as_str())
                .fetch_optional(&mut *tx).await?;
            if let Some(ended) = ended {
                insert_session_revocation!(tx, ended, cause, reason);
                record_event!(tx, EventKind::SessionEnded, cause, Some(ended.account_id), Some(ended.id));
            }
            Ok(ended)
        })
    }

    /// A session that was ended before, if it is the owner's and a token of it may still be around.
    pub async fn ended_session(
        &self,
        id: SessionId,
        owner: Option<AccountId>,
    ) -> Result<Option<EndedSession>, StoreError> {
        let ended = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, account_id, access_expires_at FROM sessions
                 WHERE id = $1 AND ended_at IS NOT NULL AND ($2 IS NULL OR account_id = $2)")
            .bind(id.0).bind(owner.map(|owner| owner.0))
            .fetch_optional(pool).await)?;
        Ok(ended)
    }

    /// The sessions of an account that were ended before, as far as a token of theirs may still be around.
    pub async fn ended_sessions_of(
        &self,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Vec<EndedSession>, StoreError> {
        let ended = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, account_id, access_expires_at FROM sessions
                 WHERE account_id = $1 AND ended_at IS NOT NULL AND access_expires_at > $2")
            .bind(account.0).bind(now - LEEWAY_LIMIT)
            .fetch_all(pool).await)?;
        Ok(ended)
    }

    /// Ends every live session of an account but one.
    pub async fn end_sessions_of(
        &self,
        account: AccountId,
        keep: Option<SessionId>,
        reason: EndReason,
        cause: &Cause,
    ) -> Result<Vec<EndedSession>, StoreError> {
        in_transaction!(self, tx => Ok(end_sessions!(tx, account, keep, reason, cause)))
    }

    /// An account's live sessions, newest first, from below a cursor.
    pub async fn sessions_of(
        &self,
        account: AccountId,
        below: Option<SessionId>,
        limit: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>, StoreError> {
        let sessions = on_pool!(self, pool => sqlx::query_as(
                "SELECT * FROM sessions
                 WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2 AND ($3 IS NULL OR id < $3)
                 ORDER BY id DESC LIMIT $4")
            .bind(account.0).bind(now).bind(below.map(|session| session.0)).bind(limit)
            .fetch_all(pool).await)?;
        Ok(sessions)
    }
}
