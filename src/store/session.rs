//! Sessions: opened, refreshed, ended. Every change is one conditional statement or one transaction around it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::event::record_event;
use super::revocation::insert_session_revocation;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{
    Account, AccountId, AccountState, Cause, EndReason, EventKind, Identifier, LEEWAY_LIMIT, RequestId, Roles, Session,
    SessionId,
};

/// A session about to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The identifier it will have.
    pub id: SessionId,
    /// Which application signs in.
    pub client_id: String,
    /// How the person proved themself.
    pub amr: String,
    /// The device's own name for itself.
    pub device_id: String,
    /// The owner's name for the device.
    pub device_name: String,
    /// The program that signs in.
    pub user_agent: String,
    /// When it ends unless it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// When it ends in any case.
    pub absolute_expires_at: DateTime<Utc>,
    /// When its first access token expires.
    pub access_expires_at: DateTime<Utc>,
}

/// What a client named its intent, and a digest of what it asked for under that name.
#[derive(Clone, Copy, Debug)]
pub struct Intent {
    /// The name.
    pub request_id: RequestId,
    /// The digest.
    pub digest: [u8; 32],
}

/// A sign-in whose proof has been checked.
#[derive(Clone, Debug)]
pub struct OpenSession<'a> {
    /// Who has proved to be there.
    pub identifier: &'a Identifier,
    /// The identifier that a new account would have; none where nobody may sign up.
    pub new_account: Option<AccountId>,
    /// The session to open.
    pub session: NewSession,
    /// What makes a repetition recognisable.
    pub intent: Option<Intent>,
    /// Under which circumstances.
    pub cause: &'a Cause,
}

/// How a sign-in went.
#[derive(Clone, Debug)]
pub enum Opened {
    /// There is a session; it is new, or the one that an earlier try of the same intent opened.
    Session {
        /// Whose.
        account: Box<Account>,
        /// Which.
        session: Box<Session>,
        /// Whether the account is new as well.
        created: bool,
    },
    /// Nobody is known by the identifier, and nobody may sign up.
    Unknown,
    /// The account may not sign in.
    Blocked,
    /// The intent's name was used for something else.
    IntentReused,
}

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
}

/// A session and what an access token says beyond it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session as it is now.
    pub session: Session,
    /// Its owner's roles.
    pub roles: Roles,
}

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
        " *, (SELECT roles FROM accounts WHERE accounts.id = sessions.account_id) AS roles"
    };
}

/// What every statement that keeps a session alive demands of it at `$3`.
macro_rules! alive {
    () => {
        " ended_at IS NULL AND expires_at > $3
          AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = sessions.account_id AND accounts.state = 'active')"
    };
}

impl Store {
    /// Opens a session for whoever has proved to own the identifier, and the account too where there is none.
    pub async fn open_session(&self, new: OpenSession<'_>) -> Result<Opened, StoreError> {
        let now = new.cause.at;
        let (phone, email) = match new.identifier {
            Identifier::Phone(phone) => (Some(phone.as_str()), None),
            Identifier::Email(email) => (None, Some(email.as_str())),
        };
        in_transaction!(self, tx => {
            let mut created = false;
            if let Some(id) = new.new_account {
                let inserted = sqlx::query(
                    "INSERT INTO accounts (id, phone, email, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
                    .bind(id.0).bind(phone).bind(email).bind(now)
                    .execute(&mut *tx).await?;
                created = inserted.rows_affected() == 1;
            }
            // Locks the account, so that whoever blocks it at this moment sees the session below, or this sees the block.
            let account: Option<Account> = sqlx::query_as(
                "UPDATE accounts SET last_login_at = $3 WHERE (phone = $1 OR email = $2) RETURNING *")
                .bind(phone).bind(email).bind(now)
                .fetch_optional(&mut *tx).await?;
            let Some(account) = account else { return Ok(Opened::Unknown) };
            if account.state != AccountState::Active {
                return Ok(Opened::Blocked);
            }
            let session: Option<Session> = sqlx::query_as(
                "INSERT INTO sessions (id, account_id, generation, rotated_at, opened_by, opened_with, client_id, amr,
                     device_id, device_name, user_agent, ip, created_at, last_used_at, expires_at, absolute_expires_at,
                     access_expires_at)
                 VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $3, $3, $12, $13, $14)
                 ON CONFLICT (opened_by) DO NOTHING RETURNING *")
                .bind(new.session.id.0).bind(account.id.0).bind(now)
                .bind(new.intent.map(|intent| intent.request_id.0))
                .bind(new.intent.map(|intent| intent.digest.to_vec()))
                .bind(&new.session.client_id).bind(&new.session.amr)
                .bind(&new.session.device_id).bind(&new.session.device_name).bind(&new.session.user_agent)
                .bind(&new.cause.ip)
                .bind(new.session.expires_at).bind(new.session.absolute_expires_at).bind(new.session.access_expires_at)
                .fetch_optional(&mut *tx).await?;
            let Some(session) = session else {
                drop(tx);
                return match new.intent {
                    Some(intent) => {
                        let opened = self.opened_before(intent, now, new.session.access_expires_at).await?;
                        Ok(opened.unwrap_or(Opened::IntentReused))
                    }
                    None => Ok(Opened::Unknown),
                };
            };
            if created {
                record_event!(tx, EventKind::AccountCreated, new.cause, Some(account.id), None);
            }
            record_event!(tx, EventKind::SessionCreated, new.cause, Some(account.id), Some(session.id));
            Ok(Opened::Session { account: account.into(), session: session.into(), created })
        })
    }

    /// The session that an earlier try of the same intent opened, while it still is as it was opened. As with a repeated
    /// refresh, nothing moves but the life of the access token that the answer will bring.
    pub async fn opened_before(
        &self,
        intent: Intent,
        now: DateTime<Utc>,
        access_expires_at: DateTime<Utc>,
    ) -> Result<Option<Opened>, StoreError> {
        // A session that has moved on was answered to, and one that has ended or expired must not come back to life.
        const STATEMENT: &str = concat!(
            "UPDATE sessions SET
                 access_expires_at = CASE WHEN $2 < expires_at THEN $2 ELSE expires_at END
             WHERE id = $1 AND generation = 1 AND",
            alive!(),
            " RETURNING *"
        );
        let found: Option<(Uuid, Vec<u8>, Uuid)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, opened_with, account_id FROM sessions WHERE opened_by = $1")
            .bind(intent.request_id.0)
            .fetch_optional(pool).await)?;
        let Some((id, opened_with, account_id)) = found else { return Ok(None) };
        if opened_with != intent.digest {
            return Ok(Some(Opened::IntentReused));
        }
        let Some(account) = self.account(AccountId(account_id)).await? else { return Ok(Some(Opened::Unknown)) };
        if account.state != AccountState::Active {
            return Ok(Some(Opened::Blocked));
        }
        let session: Option<Session> = on_pool!(self, pool => sqlx::query_as(STATEMENT)
            .bind(id).bind(access_expires_at).bind(now)
            .fetch_optional(pool).await)?;
        let Some(session) = session else { return Ok(Some(Opened::Unknown)) };
        let created = account.created_at == session.created_at;
        Ok(Some(Opened::Session { account: Box::new(account), session: Box::new(session), created }))
    }

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
        const STATEMENT: &str = concat!(
            "UPDATE sessions SET generation = generation + 1, rotated_at = $3, rotated_by = $4, last_used_at = $3, ip = $7,
                 expires_at = CASE WHEN $5 < absolute_expires_at THEN $5 ELSE absolute_expires_at END,
                 access_expires_at = CASE WHEN $6 < absolute_expires_at THEN $6 ELSE absolute_expires_at END
             WHERE id = $1 AND generation = $2 AND", alive!(), " RETURNING", grant!());
        let grant = on_pool!(self, pool => sqlx::query_as(STATEMENT)
            .bind(rotation.id.0).bind(rotation.generation).bind(rotation.now).bind(rotation.intent)
            .bind(rotation.expires_at).bind(rotation.access_expires_at).bind(rotation.ip)
            .fetch_optional(pool).await)?;
        Ok(grant)
    }

    /// The token is the one before, and this is the same intent again or has only just been replaced: nothing moves but
    /// the life of the access token that the answer will bring, within the session's own.
    async fn repeat_rotation(&self, rotation: Rotation<'_>) -> Result<Option<Grant>, StoreError> {
        const STATEMENT: &str = concat!(
            "UPDATE sessions SET
                 access_expires_at = CASE WHEN $4 < expires_at THEN $4 ELSE expires_at END
             WHERE id = $1 AND generation = $2 + 1 AND (rotated_by = $5 OR rotated_at > $6) AND",
            alive!(),
            " RETURNING",
            grant!()
        );
        let grant = on_pool!(self, pool => sqlx::query_as(STATEMENT)
            .bind(rotation.id.0).bind(rotation.generation).bind(rotation.now).bind(rotation.access_expires_at)
            .bind(rotation.intent).bind(rotation.grace_since)
            .fetch_optional(pool).await)?;
        Ok(grant)
    }

    /// The token is older than that: somebody has a copy, and the session ends. One that is dead already tells nothing:
    /// its own owner may still be trying.
    async fn end_reused_session(&self, rotation: Rotation<'_>) -> Result<Option<EndedSession>, StoreError> {
        let cause = Cause { ip: rotation.ip.to_owned(), ..Cause::system(rotation.now) };
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

    /// Ends every live session of an account but one. One that has only just expired is among them: by another clock it, or
    /// an access token of it, may still count.
    pub async fn end_sessions_of(
        &self,
        account: AccountId,
        keep: Option<SessionId>,
        reason: EndReason,
        cause: &Cause,
    ) -> Result<Vec<EndedSession>, StoreError> {
        in_transaction!(self, tx => {
            let ended: Vec<EndedSession> = sqlx::query_as(
                "UPDATE sessions SET ended_at = $3, end_reason = $4
                 WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $5 AND ($2 IS NULL OR id <> $2)
                 RETURNING id, account_id, access_expires_at")
                .bind(account.0).bind(keep.map(|session| session.0)).bind(cause.at).bind(reason.as_str())
                .bind(cause.at - LEEWAY_LIMIT)
                .fetch_all(&mut *tx).await?;
            for session in &ended {
                insert_session_revocation!(tx, session, cause, reason);
                record_event!(tx, EventKind::SessionEnded, cause, Some(account), Some(session.id));
            }
            Ok(ended)
        })
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
