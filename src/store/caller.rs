//! Callers and the hashes of their keys.

use super::event::record_event;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Caller, CallerId, Cause, CertificateName, EventKind};

/// A caller with the hash of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCaller {
    /// The caller.
    pub caller: Caller,
    /// SHA-256 of its key; of one that nobody was told where it is known by its certificate.
    pub key_hash: Vec<u8>,
}

/// Why a caller could not be written as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerConflict {
    /// Another caller has this name.
    NameTaken,
    /// Another caller has this name in its certificate.
    CertificateTaken,
    /// Another caller has this key, which only a repeated `request_id` can bring about.
    KeyTaken,
    /// There is no such caller.
    NotFound,
}

impl Store {
    /// Every caller with its key's hash.
    pub async fn callers(&self) -> Result<Vec<StoredCaller>, StoreError> {
        let callers = on_pool!(self, pool => sqlx::query_as("SELECT * FROM callers ORDER BY name")
            .fetch_all(pool).await)?;
        Ok(callers)
    }

    /// Callers by name, from behind a cursor.
    pub async fn callers_after(&self, name: &str, limit: i64) -> Result<Vec<Caller>, StoreError> {
        let callers: Vec<StoredCaller> = on_pool!(self, pool => sqlx::query_as(
                "SELECT * FROM callers WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(name).bind(limit)
            .fetch_all(pool).await)?;
        Ok(callers.into_iter().map(|stored| stored.caller).collect())
    }

    /// Adds a caller. Adding it again, with the same key and permissions, finds it there.
    pub async fn add_caller(
        &self,
        new: &StoredCaller,
        cause: &Cause,
    ) -> Result<Result<Caller, CallerConflict>, StoreError> {
        let cause = Cause { detail: new.caller.name.clone(), ..cause.clone() };
        in_transaction!(self, tx => {
            let added = sqlx::query(
                "INSERT INTO callers (id, name, key_hash, permissions, created_at, certificate_name)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
                .bind(new.caller.id.0).bind(&new.caller.name).bind(&new.key_hash)
                .bind(new.caller.permissions.to_string()).bind(new.caller.created_at)
                .bind(new.caller.certificate_name.as_ref().map(CertificateName::as_str))
                .execute(&mut *tx).await?;
            if added.rows_affected() == 1 {
                record_event!(tx, EventKind::CallerCreated, &cause, None, None);
                Ok(Ok(new.caller.clone()))
            } else {
                let in_the_way: Vec<StoredCaller> = sqlx::query_as(
                    "SELECT * FROM callers WHERE name = $1 OR key_hash = $2 OR certificate_name = $3")
                    .bind(&new.caller.name).bind(&new.key_hash)
                    .bind(new.caller.certificate_name.as_ref().map(CertificateName::as_str))
                    .fetch_all(&mut *tx).await?;
                Ok(same_or_conflict(new, in_the_way))
            }
        })
    }

    /// Gives a caller another key. Giving it the same one again changes nothing.
    pub async fn replace_caller_key(
        &self,
        id: CallerId,
        key_hash: &[u8],
        cause: &Cause,
    ) -> Result<Result<Caller, CallerConflict>, StoreError> {
        in_transaction!(self, tx => {
            let taken: Option<StoredCaller> = sqlx::query_as("SELECT * FROM callers WHERE key_hash = $1")
                .bind(key_hash)
                .fetch_optional(&mut *tx).await?;
            if let Some(holder) = taken {
                return Ok(if holder.caller.id == id { Ok(holder.caller) } else { Err(CallerConflict::KeyTaken) });
            }
            let changed: Option<StoredCaller> = sqlx::query_as(
                "UPDATE callers SET key_hash = $2, rotated_at = $3 WHERE id = $1 RETURNING *")
                .bind(id.0).bind(key_hash).bind(cause.at)
                .fetch_optional(&mut *tx).await?;
            let Some(StoredCaller { caller, .. }) = changed else { return Ok(Err(CallerConflict::NotFound)) };
            let cause = Cause { detail: caller.name.clone(), ..cause.clone() };
            record_event!(tx, EventKind::CallerKeyRotated, &cause, None, None);
            Ok(Ok(caller))
        })
    }

    /// Deletes a caller. Tells whether there was one.
    pub async fn delete_caller(&self, id: CallerId, cause: &Cause) -> Result<bool, StoreError> {
        in_transaction!(self, tx => {
            let deleted: Option<StoredCaller> = sqlx::query_as("DELETE FROM callers WHERE id = $1 RETURNING *")
                .bind(id.0)
                .fetch_optional(&mut *tx).await?;
            let Some(StoredCaller { caller, .. }) = deleted else { return Ok(false) };
            let cause = Cause { detail: caller.name, ..cause.clone() };
            record_event!(tx, EventKind::CallerDeleted, &cause, None, None);
            Ok(true)
        })
    }
}

/// Whether what stands in the way is the very caller that was to be added.
fn same_or_conflict(new: &StoredCaller, in_the_way: Vec<StoredCaller>) -> Result<Caller, CallerConflict> {
    let mut conflict = CallerConflict::CertificateTaken;
    for other in in_the_way {
        let (own, other_caller) = (&new.caller, &other.caller);
        if other.key_hash == new.key_hash {
            if other_caller.name == own.name
                && other_caller.permissions == own.permissions
                && other_caller.certificate_name == own.certificate_name
            {
                return Ok(other.caller);
            }
            return Err(CallerConflict::KeyTaken);
        }
        if other_caller.name == own.name {
            conflict = CallerConflict::NameTaken;
        }
    }
    Err(conflict)
}
