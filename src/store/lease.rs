//! Leases: which of several nodes does what only one may do. Here are the single steps; who waits how long before it takes
//! a lease from another is told by `upkeep/lease.rs`.

use uuid::Uuid;

use super::{Store, StoreError, on_pool};

/// Who holds a lease, and how far they have moved its beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// The holder.
    pub holder: Uuid,
    /// Moved by the holder, again and again, for as long as it lives.
    pub beat: i64,
}

impl Store {
    /// Who holds a lease; nobody, if it was never taken or has been released.
    pub async fn lease(&self, name: &str) -> Result<Option<LeaseRow>, StoreError> {
        let row: Option<(Uuid, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT holder, beat FROM leases WHERE name = $1")
            .bind(name)
            .fetch_optional(pool).await)?;
        Ok(row.map(|(holder, beat)| LeaseRow { holder, beat }))
    }

    /// Takes a lease that nobody holds, or that still is as it was seen before. Of several that try, one succeeds.
    pub async fn take_lease(&self, name: &str, holder: Uuid, seen: Option<LeaseRow>) -> Result<bool, StoreError> {
        let taken = match seen {
            None => on_pool!(self, pool => sqlx::query(
                    "INSERT INTO leases (name, holder, beat) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING")
                .bind(name).bind(holder)
                .execute(pool).await.map(|done| done.rows_affected()))?,
            Some(seen) => on_pool!(self, pool => sqlx::query(
                    "UPDATE leases SET holder = $2, beat = beat + 1 WHERE name = $1 AND holder = $3 AND beat = $4")
                .bind(name).bind(holder).bind(seen.holder).bind(seen.beat)
                .execute(pool).await.map(|done| done.rows_affected()))?,
        };
        Ok(taken == 1)
    }

    /// Moves the beat of a lease, if it still is the holder's.
    pub async fn renew_lease(&self, name: &str, holder: Uuid) -> Result<bool, StoreError> {
        let renewed = on_pool!(self, pool => sqlx::query(
                "UPDATE leases SET beat = beat + 1 WHERE name = $1 AND holder = $2")
            .bind(name).bind(holder)
            .execute(pool).await.map(|done| done.rows_affected()))?;
        Ok(renewed == 1)
    }

    /// Gives a lease back, so that the next node need not wait for it.
    pub async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError> {
        on_pool!(self, pool => sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(name).bind(holder)
            .execute(pool).await.map(drop))?;
        Ok(())
    }
}
