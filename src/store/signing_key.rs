//! Signing keys and the steps of their life. Each step has one winner among the nodes.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::record_event;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Cause, EventKind, KeyState, SigningKey};

/// Which key is to sign from now on.
#[derive(Clone, Copy, Debug)]
pub enum Successor<'a> {
    /// The one that waits under this name.
    Pending(&'a str),
    /// A new one that nobody has seen.
    New(&'a SigningKey),
}

/// Inserts a key within a transaction and tells how many rows that made: none where its place is taken.
macro_rules! insert_key {
    ($tx:expr, $key:expr) => {{
        let key: &SigningKey = $key;
        sqlx::query(
            "INSERT INTO signing_keys (kid, algorithm, state, sealed_private, public_jwk, created_at, activated_at,
                 retired_at, longest_token_seconds)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(&key.kid)
        .bind(key.algorithm.as_str())
        .bind(key.state.as_str())
        .bind(&key.sealed_private)
        .bind(&key.public_jwk)
        .bind(key.created_at)
        .bind(key.activated_at)
        .bind(key.retired_at)
        .bind(key.longest_token_seconds)
        .execute(&mut *$tx)
        .await?
        .rows_affected()
    }};
}

impl Store {
    /// Every key, newest first.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        let keys = on_pool!(self, pool => sqlx::query_as("SELECT * FROM signing_keys ORDER BY created_at DESC, kid")
            .fetch_all(pool).await)?;
        Ok(keys)
    }

    /// Adds a key, unless another node has just put one in the same place. Tells whether it was added.
    pub async fn add_signing_key(&self, key: &SigningKey, cause: &Cause) -> Result<bool, StoreError> {
        let cause = Cause { detail: format!("{} {}", key.kid, key.state.as_str()), ..cause.clone() };
        in_transaction!(self, tx => {
            let added = insert_key!(tx, key) == 1;
            if added {
                record_event!(tx, EventKind::SigningKeyChanged, &cause, None, None);
            }
            Ok(added)
        })
    }

    /// Lets another key sign, and retires the one that did. Tells whether this call did it.
    pub async fn replace_signing_key(
        &self,
        current: &str,
        successor: Successor<'_>,
        cause: &Cause,
    ) -> Result<bool, StoreError> {
        let kid = match successor {
            Successor::Pending(kid) => kid,
            Successor::New(key) => &key.kid,
        };
        let cause = Cause { detail: format!("{kid} {}", KeyState::Active.as_str()), ..cause.clone() };
        in_transaction!(self, tx => {
            let retired = sqlx::query(
                "UPDATE signing_keys SET state = 'retired', retired_at = $2 WHERE kid = $1 AND state = 'active'")
                .bind(current).bind(cause.at)
                .execute(&mut *tx).await?;
            // Somebody was here before, and the place of the active key is taken.
            if retired.rows_affected() != 1 {
                return Ok(false);
            }
            let activated = match successor {
                Successor::Pending(kid) => sqlx::query(
                    "UPDATE signing_keys SET state = 'active', activated_at = $2 WHERE kid = $1 AND state = 'pending'")
                    .bind(kid).bind(cause.at)
                    .execute(&mut *tx).await?.rows_affected(),
                Successor::New(key) => {
                    insert_key!(tx, key)
                }
            };
            if activated != 1 {
                return Ok(false);
            }
            record_event!(tx, EventKind::SigningKeyChanged, &cause, None, None);
            Ok(true)
        })
    }

    /// Deletes every key but the one that signs, because they may be in the wrong hands. Tells how many there were.
    pub async fn delete_other_keys(&self, cause: &Cause) -> Result<u64, StoreError> {
        in_transaction!(self, tx => {
            let deleted = sqlx::query("DELETE FROM signing_keys WHERE state <> 'active'").execute(&mut *tx).await?;
            let cause = Cause { detail: format!("{} revoked", deleted.rows_affected()), ..cause.clone() };
            record_event!(tx, EventKind::SigningKeyChanged, &cause, None, None);
            Ok(deleted.rows_affected())
        })
    }

    /// Notes that tokens of this length are being signed, so that a shorter setting later cuts none of them off.
    pub async fn raise_longest_token(&self, seconds: i64) -> Result<(), StoreError> {
        on_pool!(self, pool => sqlx::query(
                "UPDATE signing_keys SET longest_token_seconds = $1 WHERE state <> 'retired' AND longest_token_seconds < $1")
            .bind(seconds)
            .execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Deletes retired keys whose last token had expired before a moment.
    pub(super) async fn delete_spent_keys(&self, before: DateTime<Utc>) -> Result<i64, StoreError> {
        let mut deleted = 0;
        for key in self.signing_keys().await? {
            let Some(retired_at) = key.retired_at.filter(|_| key.state == KeyState::Retired) else { continue };
            if retired_at + TimeDelta::seconds(key.longest_token_seconds) > before {
                continue;
            }
            let done = on_pool!(self, pool => sqlx::query("DELETE FROM signing_keys WHERE kid = $1 AND state = 'retired'")
                .bind(&key.kid)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            deleted += i64::try_from(done).unwrap_or(0);
        }
        Ok(deleted)
    }
}
