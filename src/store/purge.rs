//! Deleting what has expired, in small batches, so that nobody waits for it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::event::record_event;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Cause, EventKind};

/// How many rows one statement deletes, or looks at where it has to look at all.
const BATCH: i64 = 1_000;

/// What expired less than this long ago is kept, for nodes whose clock is behind and for retries that come late.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// How many rows a purge has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Sessions that had ended or expired.
    pub sessions: i64,
    /// Revocations that no token could still need.
    pub revocations: i64,
    /// Signing keys whose last token had expired.
    pub signing_keys: i64,
    /// Events past their retention.
    pub events: i64,
}

impl fmt::Display for Purged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, revocations, signing_keys, events } = self;
        write!(f, "{sessions} sessions, {revocations} revocations, {signing_keys} signing keys, {events} events")
    }
}

impl Store {
    /// Deletes what has expired, and events older than their retention. That anything was deleted is an event itself.
    pub async fn purge(&self, event_retention: TimeDelta, cause: &Cause) -> Result<Purged, StoreError> {
        let before = cause.at - SLACK;
        let purged = Purged {
            sessions: self.purge_sessions(before).await?,
            revocations: self.purge_revocations(before).await?,
            signing_keys: self.delete_spent_keys(before).await?,
            events: self.purge_events(cause.at - event_retention).await?,
        };
        if purged != Purged::default() {
            let cause = Cause { detail: purged.to_string(), ..cause.clone() };
            in_transaction!(self, tx => {
                record_event!(tx, EventKind::Purged, &cause, None, None);
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(purged)
    }

    /// Walks the table once by its key, page by page, because an index on the expiry would have to be written by every
    /// refresh.
    async fn purge_sessions(&self, before: DateTime<Utc>) -> Result<i64, StoreError> {
        let mut total = 0;
        let mut behind = Uuid::nil();
        loop {
            let page_end: Option<(Uuid,)> = on_pool!(self, pool => sqlx::query_as(
                    "SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2")
                .bind(behind).bind(BATCH - 1)
                .fetch_optional(pool).await)?;
            let up_to = page_end.map_or(Uuid::max(), |(id,)| id);
            let deleted = on_pool!(self, pool => sqlx::query(
                    "DELETE FROM sessions WHERE id > $1 AND id <= $2 AND (expires_at <= $3 OR ended_at <= $3)")
                .bind(behind).bind(up_to).bind(before)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            total += i64::try_from(deleted).unwrap_or(0);
            if page_end.is_none() {
                return Ok(total);
            }
            behind = up_to;
        }
    }

    async fn purge_revocations(&self, before: DateTime<Utc>) -> Result<i64, StoreError> {
        let mut total = 0;
        loop {
            let deleted = on_pool!(self, pool => sqlx::query(
                    "DELETE FROM revocations WHERE seq IN (
                         SELECT seq FROM revocations WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)")
                .bind(before).bind(BATCH)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            total += i64::try_from(deleted).unwrap_or(0);
            if deleted == 0 {
                return Ok(total);
            }
        }
    }

    /// What still waits in the outbox stays, and what is still to be delivered, however old it is. What was given up goes
    /// with its event.
    async fn purge_events(&self, before: DateTime<Utc>) -> Result<i64, StoreError> {
        let mut total = 0;
        loop {
            let deleted = on_pool!(self, pool => sqlx::query(
                    "DELETE FROM events WHERE id IN (
                         SELECT id FROM events WHERE at <= $1 AND outbox_seq IS NULL AND NOT EXISTS (
                             SELECT 1 FROM deliveries WHERE event_id = events.id AND state = 'pending')
                         ORDER BY at LIMIT $2)")
                .bind(before).bind(BATCH)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            total += i64::try_from(deleted).unwrap_or(0);
            if deleted == 0 {
                return Ok(total);
            }
        }
    }
}
