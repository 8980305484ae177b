//! Revocations: written beside what they revoke, read by every node's replica.

use chrono::{DateTime, Utc};

use super::event::record_event;
use super::{EndedSession, Store, StoreError, in_transaction, on_pool};
use crate::model::{AccountId, Cause, EndReason, EventKind, LEEWAY_LIMIT, Revocation, SessionId, Target, TokenId};

/// A revocation and its place in the order of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequencedRevocation {
    /// Its place. A transaction may commit after one with a higher number, so that gaps can fill later.
    pub seq: i64,
    /// The revocation.
    pub revocation: Revocation,
}

/// Adds a revocation to a transaction.
macro_rules! insert_revocation {
    ($tx:expr, $revocation:expr, $reason:expr) => {{
        let revocation: &$crate::model::Revocation = $revocation;
        sqlx::query(
            "INSERT INTO revocations (kind, target, revoked_at, expires_at, reason) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(revocation.target.kind())
        .bind(revocation.target.id())
        .bind(revocation.revoked_at)
        .bind(revocation.expires_at)
        .bind($reason)
        .execute(&mut *$tx)
        .await?
    }};
}

/// Adds the revocation of a session that has just been ended.
macro_rules! insert_session_revocation {
    ($tx:expr, $ended:expr, $cause:expr, $reason:expr) => {
        $crate::store::revocation::insert_revocation!($tx, &$ended.revocation($cause.at), $reason.as_str())
    };
}

/// Ends every live session of an account but one, in a transaction. One that has only just expired is among them: by another
/// clock it, or an access token of it, may still count.
macro_rules! end_sessions {
    ($tx:expr, $account:expr, $keep:expr, $reason:expr, $cause:expr) => {{
        let account: $crate::model::AccountId = $account;
        let keep: Option<$crate::model::SessionId> = $keep;
        let ended: Vec<$crate::store::EndedSession> = sqlx::query_as(
            "UPDATE sessions SET ended_at = $3, end_reason = $4
             WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $5 AND ($2 IS NULL OR id <> $2)
             RETURNING id, account_id, access_expires_at",
        )
        .bind(account.0)
        .bind(keep.map(|session| session.0))
        .bind($cause.at)
        .bind($reason.as_str())
        .bind($cause.at - $crate::model::LEEWAY_LIMIT)
        .fetch_all(&mut *$tx)
        .await?;
        for session in &ended {
            $crate::store::revocation::insert_session_revocation!($tx, session, $cause, $reason);
            $crate::store::event::record_event!(
                $tx,
                $crate::model::EventKind::SessionEnded,
                $cause,
                Some(account),
                Some(session.id)
            );
        }
        ended
    }};
}

/// Ends every session of an account, and makes all tokens that it was issued up to now stop to count. The sessions are named
/// one by one, because a cut-off in time alone would let a token through that a node with a fast clock has issued; the
/// cut-off remains for tokens without a session. Yields the revocations.
macro_rules! cut_off {
    ($tx:expr, $account:expr, $expires_at:expr, $reason:expr, $why:expr, $cause:expr) => {{
        let ended = $crate::store::revocation::end_sessions!($tx, $account, None, $reason, $cause);
        let cut_off = $crate::model::Revocation {
            target: $crate::model::Target::Account($account),
            revoked_at: $cause.at,
            expires_at: $expires_at,
        };
        $crate::store::revocation::insert_revocation!($tx, &cut_off, $why);
        let revocations: Vec<$crate::model::Revocation> =
            ended.iter().map(|session| session.revocation($cause.at)).chain([cut_off]).collect();
        revocations
    }};
}

pub(super) use {cut_off, end_sessions, insert_revocation, insert_session_revocation};

impl EndedSession {
    /// What takes its access tokens back.
    #[must_use]
    pub fn revocation(&self, at: DateTime<Utc>) -> Revocation {
        let expires_at = self.access_expires_at + LEEWAY_LIMIT;
        Revocation { target: Target::Session(self.id), revoked_at: at, expires_at }
    }
}

impl Store {
    /// Takes back one token by its identifier.
    pub async fn revoke_token(
        &self,
        id: TokenId,
        owner: Option<AccountId>,
        expires_at: DateTime<Utc>,
        cause: &Cause,
    ) -> Result<Revocation, StoreError> {
        let revocation = Revocation { target: Target::Token(id), revoked_at: cause.at, expires_at };
        in_transaction!(self, tx => {
            insert_revocation!(tx, &revocation, cause.detail.as_str());
            record_event!(tx, EventKind::TokenRevoked, cause, owner, None);
            Ok(revocation)
        })
    }

    /// Takes back all that an account was issued: its sessions end, and tokens issued up to now no longer count.
    pub async fn revoke_account(
        &self,
        account: AccountId,
        expires_at: DateTime<Utc>,
        cause: &Cause,
    ) -> Result<Vec<Revocation>, StoreError> {
        in_transaction!(self, tx => {
            let revoked = cut_off!(tx, account, expires_at, EndReason::Blacklisted, cause.detail.as_str(), cause);
            record_event!(tx, EventKind::AccountTokensRevoked, cause, Some(account), None);
            Ok(revoked)
        })
    }

    /// Whether a revocation can no longer appear below one that was read: with one writer at a time, numbers are given out in
    /// the order of commits.
    #[must_use]
    pub const fn numbers_in_order(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Live revocations that were written after `seq`, in order of writing.
    pub async fn revocations_after(
        &self,
        seq: i64,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<SequencedRevocation>, StoreError> {
        let revocations = on_pool!(self, pool => sqlx::query_as(
                "SELECT seq, kind, target, revoked_at, expires_at FROM revocations
                 WHERE seq > $1 AND expires_at > $2 ORDER BY seq LIMIT $3")
            .bind(seq).bind(now).bind(limit)
            .fetch_all(pool).await)?;
        Ok(revocations)
    }

    /// The live revocations that could cover one token, for a node that does not trust its replica.
    pub async fn revocations_of(
        &self,
        token: TokenId,
        session: Option<SessionId>,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Vec<SequencedRevocation>, StoreError> {
        let session = session.map_or(token.0, |session| session.0);
        let revocations = on_pool!(self, pool => sqlx::query_as(
                "SELECT seq, kind, target, revoked_at, expires_at FROM revocations
                 WHERE target IN ($1, $2, $3) AND expires_at > $4")
            .bind(token.0).bind(session).bind(account.0).bind(now)
            .fetch_all(pool).await)?;
        Ok(revocations)
    }
}
