//! Deleting what has expired, in small batches, so that nobody waits for it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::event::record_event;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Cause, EventKind};

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
    /// Deleted accounts of which no session and no event speaks any more.
    pub accounts: i64,
}

impl fmt::Display for Purged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, revocations, signing_keys, events, accounts } = self;
        write!(
            f,
            "{sessions} sessions, {revocations} revocations, {signing_keys} signing keys, {events} events, \
             {accounts} deleted accounts"
        )
    }
}

/// How much is taken on at a time: as many rows as one statement deletes in `GOAL`, or looks at where it has to look at all.
/// Then whoever waits goes first, for as long as the statement took.
#[derive(Debug)]
struct Pace<G> {
    batch: i64,
    goes_on: G,
}

impl<G: Fn() -> bool> Pace<G> {
    const GOAL: Duration = Duration::from_millis(20);
    const FIRST: i64 = 500;
    const LEAST: i64 = 50;
    const MOST: i64 = 5_000;

    /// Lets others go first after a statement that began then. Whether there is to be another.
    async fn rest(&mut self, began: Instant) -> bool {
        let took = began.elapsed();
        if took > Self::GOAL {
            self.batch = (self.batch / 2).max(Self::LEAST);
        } else if took < Self::GOAL / 2 {
            self.batch = (self.batch * 2).min(Self::MOST);
        }
        tokio::time::sleep(took).await;
        (self.goes_on)()
    }
}

impl Store {
    /// Deletes what has expired, and events older than their retention. That anything was deleted is an event itself, also where
    /// not all could be.
    pub async fn purge(&self, event_retention: TimeDelta, cause: &Cause) -> Result<Purged, StoreError> {
        self.purge_while(event_retention, cause, || true).await
    }

    /// The same, for as long as it may go on. What is left then is left to the next purge.
    pub async fn purge_while(
        &self,
        event_retention: TimeDelta,
        cause: &Cause,
        goes_on: impl Fn() -> bool,
    ) -> Result<Purged, StoreError> {
        let mut purged = Purged::default();
        let outcome = self.purge_all(event_retention, cause, goes_on, &mut purged).await;
        if purged == Purged::default() {
            return outcome.map(|()| purged);
        }
        let cause = Cause { detail: purged.to_string(), ..cause.clone() };
        let told: Result<(), StoreError> = in_transaction!(self, tx => {
            record_event!(tx, EventKind::Purged, &cause, None, None);
            Ok::<_, StoreError>(())
        });
        // Why it stopped says more than that this could not be written down either.
        outcome.and(told)?;
        Ok(purged)
    }

    /// Fills in how much it has deleted, also where it comes to no good end.
    async fn purge_all(
        &self,
        event_retention: TimeDelta,
        cause: &Cause,
        goes_on: impl Fn() -> bool,
        purged: &mut Purged,
    ) -> Result<(), StoreError> {
        let before = cause.at - SLACK;
        let mut pace = Pace { batch: Pace::<fn() -> bool>::FIRST, goes_on };
        self.purge_sessions(before, &mut pace, &mut purged.sessions).await?;
        self.purge_revocations(before, &mut pace, &mut purged.revocations).await?;
        purged.signing_keys = self.delete_spent_keys(before).await?;
        self.purge_events(cause.at - event_retention, &mut pace, &mut purged.events).await?;
        self.purge_accounts(&mut pace, &mut purged.accounts).await
    }

    /// Walks the table once by its key, page by page, because an index on the expiry would have to be written by every
    /// refresh.
    async fn purge_sessions(
        &self,
        before: DateTime<Utc>,
        pace: &mut Pace<impl Fn() -> bool>,
        total: &mut i64,
    ) -> Result<(), StoreError> {
        let mut behind = Uuid::nil();
        loop {
            let began = Instant::now();
            let page_end: Option<(Uuid,)> = on_pool!(self, pool => sqlx::query_as(
                    "SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2")
                .bind(behind).bind(pace.batch - 1)
                .fetch_optional(pool).await)?;
            let up_to = page_end.map_or(Uuid::max(), |(id,)| id);
            let deleted = on_pool!(self, pool => sqlx::query(
                    "DELETE FROM sessions WHERE id > $1 AND id <= $2 AND (expires_at <= $3 OR ended_at <= $3)")
                .bind(behind).bind(up_to).bind(before)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            *total += i64::try_from(deleted).unwrap_or(0);
            if !pace.rest(began).await || page_end.is_none() {
                return Ok(());
            }
            behind = up_to;
        }
    }

    async fn purge_revocations(
        &self,
        before: DateTime<Utc>,
        pace: &mut Pace<impl Fn() -> bool>,
        total: &mut i64,
    ) -> Result<(), StoreError> {
        loop {
            let began = Instant::now();
            let deleted = on_pool!(self, pool => sqlx::query(
                    "DELETE FROM revocations WHERE seq IN (
                         SELECT seq FROM revocations WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)")
                .bind(before).bind(pace.batch)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            *total += i64::try_from(deleted).unwrap_or(0);
            if !pace.rest(began).await || deleted == 0 {
                return Ok(());
            }
        }
    }

    /// What still waits in the outbox stays, and what is still to be delivered, however old it is. What was given up goes
    /// with its event.
    async fn purge_events(
        &self,
        before: DateTime<Utc>,
        pace: &mut Pace<impl Fn() -> bool>,
        total: &mut i64,
    ) -> Result<(), StoreError> {
        loop {
            let began = Instant::now();
            let deleted = on_pool!(self, pool => sqlx::query(
                    "DELETE FROM events WHERE id IN (
                         SELECT id FROM events WHERE at <= $1 AND outbox_seq IS NULL AND NOT EXISTS (
                             SELECT 1 FROM deliveries WHERE event_id = events.id AND state = 'pending')
                         ORDER BY at LIMIT $2)")
                .bind(before).bind(pace.batch)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            *total += i64::try_from(deleted).unwrap_or(0);
            if !pace.rest(began).await || deleted == 0 {
                return Ok(());
            }
        }
    }

    /// What a deletion left of an account goes once nothing speaks of it: the event that told of the deletion is past its
    /// retention then, and every token of its time has expired.
    async fn purge_accounts(&self, pace: &mut Pace<impl Fn() -> bool>, total: &mut i64) -> Result<(), StoreError> {
        let mut behind = Uuid::nil();
        loop {
            let began = Instant::now();
            // The second condition on the state is the one that the index of those few is made with.
            let page_end: Option<(Uuid,)> = on_pool!(self, pool => sqlx::query_as(
                    "SELECT id FROM accounts WHERE id > $1 AND state <> 'active' ORDER BY id LIMIT 1 OFFSET $2")
                .bind(behind).bind(pace.batch - 1)
                .fetch_optional(pool).await)?;
            let up_to = page_end.map_or(Uuid::max(), |(id,)| id);
            let deleted = on_pool!(self, pool => sqlx::query(
                    "DELETE FROM accounts WHERE id > $1 AND id <= $2 AND state = 'deleted' AND state <> 'active'
                         AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.account_id = accounts.id)
                         AND NOT EXISTS (SELECT 1 FROM events WHERE events.account_id = accounts.id)")
                .bind(behind).bind(up_to)
                .execute(pool).await.map(|done| done.rows_affected()))?;
            *total += i64::try_from(deleted).unwrap_or(0);
            if !pace.rest(began).await || page_end.is_none() {
                return Ok(());
            }
            behind = up_to;
        }
    }
}
