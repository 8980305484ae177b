//! Events on their way out: those that wait in the outbox, and what is still to be delivered where.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Event, KindFilter, Webhook};

/// How many rows one statement inserts. SQLite takes 32,766 parameters, and a row has five.
const CHUNK: usize = 1_000;
/// How many events of one account are told of as due at a time. They are delivered one after the other: the others would wait.
const MOST_OF_AN_ACCOUNT: usize = 8;
/// How many of those that wait behind a refused event are noted to do so: without that they are looked at again and again.
const NOTED: i64 = 1_000;
/// How far rows are counted for the figures: beyond it there are "at least so many".
const COUNTED: i64 = 10_000;

/// A destination, and which kinds of events it wants.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// Its name in `deliveries`.
    pub destination: &'a str,
    /// What it wants.
    pub kinds: &'a KindFilter,
}

/// An event that is due to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub event: Event,
    /// Its place in the order.
    pub seq: i64,
    /// How often it was refused already.
    pub attempts: i64,
}

/// What became of an attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has arrived.
    Delivered,
    /// It was refused, and is due again later.
    Refused {
        /// When.
        due_at: DateTime<Utc>,
        /// Why it was refused, without secrets.
        error: String,
    },
    /// It is given up, until an operator has it replayed.
    Dead {
        /// Why, without secrets.
        error: String,
    },
}

/// An attempt and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which event.
    pub event_id: Uuid,
    /// What became of it.
    pub outcome: Outcome,
}

/// How much waits, counted up to a bound so that looking stays cheap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many are still to go out.
    pub pending: i64,
    /// How many were given up.
    pub dead: i64,
    /// When the oldest of those that are still to go out happened.
    pub oldest: Option<DateTime<Utc>>,
}

/// One that waits in the outbox.
type Waiting = (Uuid, String, Option<Uuid>, i64);

impl Store {
    /// Takes the oldest events out of the outbox and notes where they are to go: by these routes, and to the endpoints that
    /// events are posted to. What nobody wants has no further use for it. Yields how many were taken. Of two that collect at
    /// once, one gets nothing.
    pub async fn collect_events(&self, routes: &[Route<'_>], limit: i64) -> Result<usize, StoreError> {
        in_transaction!(self, tx => {
            let waiting: Vec<Waiting> = sqlx::query_as(
                "SELECT id, kind, account_id, outbox_seq FROM events WHERE outbox_seq IS NOT NULL
                 ORDER BY outbox_seq LIMIT $1")
                .bind(limit)
                .fetch_all(&mut *tx).await?;
            if waiting.is_empty() {
                return Ok(0);
            }
            let mut take = QueryBuilder::new(
                "UPDATE events SET outbox_seq = NULL WHERE outbox_seq IS NOT NULL AND id IN (");
            let mut list = take.separated(", ");
            for (id, ..) in &waiting {
                list.push_bind(*id);
            }
            take.push(")");
            let taken = take.build().persistent(false).execute(&mut *tx).await?.rows_affected();
            if taken != waiting.len() as u64 {
                // Another node took some of them in the meantime, and with them what follows for these.
                return Ok(0);
            }
            // Read behind the events, so that whatever happened after an endpoint had been created finds it here. Each is written as
            // it is, which locks it: whoever deletes one waits for this and meets what it brings, or has come first.
            let webhooks: Vec<Webhook> = sqlx::query_as(
                "UPDATE webhooks SET url = url WHERE disabled_at IS NULL RETURNING *")
                .fetch_all(&mut *tx).await?;
            let webhooks: Vec<_> = webhooks.into_iter().map(|webhook| (webhook.destination(), webhook.kinds)).collect();
            let webhooks = webhooks.iter().map(|(destination, kinds)| Route { destination, kinds });
            let deliveries: Vec<_> = routes.iter().copied().chain(webhooks).flat_map(|route| {
                let wanted = waiting.iter().filter(|(_, kind, ..)| route.kinds.lets_through(kind));
                wanted.map(move |(id, _, account, seq)| (route.destination, *id, *seq, account.unwrap_or_default()))
            }).collect();
            for chunk in deliveries.chunks(CHUNK) {
                let mut insert = QueryBuilder::new("INSERT INTO deliveries (destination, event_id, seq, account_id, due_at) ");
                insert.push_values(chunk, |mut values, (destination, event, seq, account)| {
                    // Due at once, whichever node's clock looks at it.
                    values.push_bind((*destination).to_owned()).push_bind(*event).push_bind(*seq).push_bind(*account)
                        .push_bind(DateTime::UNIX_EPOCH);
                });
                insert.push(" ON CONFLICT DO NOTHING");
                insert.build().persistent(false).execute(&mut *tx).await?;
            }
            Ok(waiting.len())
        })
    }

    /// What is due for a destination, oldest first. An event waits for all of its account that came before it: where one of
    /// those is not due yet, it is not told either. Of one account there are only a few, so that others have their turn.
    pub async fn due_deliveries(
        &self,
        destination: &str,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<Due>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(0);
        let (mut due, mut behind, mut accounts) = (Vec::new(), i64::MIN, HashMap::<Uuid, usize>::new());
        // What is behind those that there are enough of is looked for in the next round, as long as there is room.
        while due.len() < limit {
            let room = limit - due.len();
            let enough =
                accounts.iter().filter(|(_, count)| **count >= MOST_OF_AN_ACCOUNT).map(|(id, _)| *id).collect();
            let found = self.due_behind(destination, now, behind, enough, room).await?;
            let is_all = found.len() < room;
            for one in found {
                behind = one.seq;
                let count = accounts.entry(one.event.account_id.map(|id| id.0).unwrap_or_default()).or_default();
                *count += 1;
                if *count <= MOST_OF_AN_ACCOUNT {
                    due.push(one);
                }
            }
            if is_all {
                break;
            }
        }
        Ok(due)
    }

    /// What is due from behind a place in the order, but for some accounts.
    async fn due_behind(
        &self,
        destination: &str,
        now: DateTime<Utc>,
        behind: i64,
        without: Vec<Uuid>,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = on_pool!(self, pool => {
            let mut look = QueryBuilder::new(
                "SELECT events.*, waiting.seq, waiting.attempts
                 FROM deliveries AS waiting JOIN events ON events.id = waiting.event_id
                 WHERE waiting.state = 'pending' AND waiting.destination = ");
            look.push_bind(destination.to_owned());
            look.push(" AND waiting.seq > ").push_bind(behind);
            look.push(" AND waiting.due_at <= ").push_bind(now);
            if !without.is_empty() {
                look.push(" AND waiting.account_id NOT IN (");
                let mut list = look.separated(", ");
                for account in &without {
                    list.push_bind(*account);
                }
                look.push(")");
            }
            look.push(
                " AND NOT EXISTS (
                     SELECT 1 FROM deliveries AS earlier
                     WHERE earlier.destination = waiting.destination AND earlier.state = 'pending'
                         AND earlier.account_id = waiting.account_id AND earlier.seq < waiting.seq AND earlier.due_at > ");
            look.push_bind(now).push(") ORDER BY waiting.seq LIMIT ").push_bind(limit);
            // Planned by what waits now, which is very different while nothing is due.
            look.build_query_as().persistent(false).fetch_all(pool).await
        })?;
        Ok(due)
    }

    /// Writes down what became of attempts: what was delivered is done with.
    pub async fn settle_deliveries(&self, destination: &str, settled: &[Settled]) -> Result<(), StoreError> {
        if settled.is_empty() {
            return Ok(());
        }
        in_transaction!(self, tx => {
            let delivered = settled.iter().filter(|settled| settled.outcome == Outcome::Delivered);
            let delivered: Vec<_> = delivered.map(|settled| settled.event_id).collect();
            if !delivered.is_empty() {
                let mut done = QueryBuilder::new("DELETE FROM deliveries WHERE destination = ");
                done.push_bind(destination.to_owned()).push(" AND event_id IN (");
                let mut list = done.separated(", ");
                for id in delivered {
                    list.push_bind(id);
                }
                done.push(")");
                done.build().persistent(false).execute(&mut *tx).await?;
            }
            for Settled { event_id, outcome } in settled {
                let (state, due_at, error) = match outcome {
                    Outcome::Delivered => continue,
                    Outcome::Refused { due_at, error } => ("pending", Some(*due_at), error),
                    Outcome::Dead { error } => ("dead", None, error),
                };
                sqlx::query(
                    "UPDATE deliveries SET attempts = attempts + 1, state = $3, due_at = COALESCE($4, due_at), last_error = $5
                     WHERE destination = $1 AND event_id = $2 AND state = 'pending'")
                    .bind(destination).bind(event_id).bind(state).bind(due_at).bind(error)
                    .execute(&mut *tx).await?;
                if let Some(due_at) = due_at {
                    // What waits for it is not due before it either.
                    sqlx::query(
                        "UPDATE deliveries SET due_at = $3 WHERE destination = $1 AND event_id IN (
                             SELECT behind.event_id FROM deliveries AS refused JOIN deliveries AS behind
                                 ON behind.destination = refused.destination AND behind.account_id = refused.account_id
                             WHERE refused.destination = $1 AND refused.event_id = $2 AND refused.state = 'pending'
                                 AND behind.state = 'pending' AND behind.seq > refused.seq AND behind.due_at < $3
                             ORDER BY behind.seq LIMIT $4)")
                        .bind(destination).bind(event_id).bind(due_at).bind(NOTED)
                        .execute(&mut *tx).await?;
                }
            }
            Ok(())
        })
    }

    /// How much waits in the outbox.
    pub async fn outbox_backlog(&self) -> Result<Backlog, StoreError> {
        let (pending, oldest): (i64, Option<DateTime<Utc>>) = on_pool!(self, pool => sqlx::query_as(
                "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE outbox_seq IS NOT NULL LIMIT $1) AS counted),
                     (SELECT at FROM events WHERE outbox_seq IS NOT NULL ORDER BY outbox_seq LIMIT 1)")
            .bind(COUNTED)
            .fetch_one(pool).await)?;
        Ok(Backlog { pending, dead: 0, oldest })
    }

    /// How much each of some destinations has still to get.
    pub async fn delivery_backlogs(&self, destinations: &[&str]) -> Result<Vec<(String, Backlog)>, StoreError> {
        if destinations.is_empty() {
            return Ok(Vec::new());
        }
        let backlogs: Vec<(String, i64, i64, Option<DateTime<Utc>>)> = on_pool!(self, pool => {
            let mut look = QueryBuilder::new("SELECT name, ");
            for state in ["pending", "dead"] {
                look.push("(SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE destination = name AND state = '");
                look.push(state).push("' LIMIT ").push_bind(COUNTED).push(") AS counted), ");
            }
            look.push(
                "(SELECT events.at FROM deliveries JOIN events ON events.id = deliveries.event_id
                  WHERE destination = name AND state = 'pending' ORDER BY seq LIMIT 1) FROM (");
            let mut names = look.separated(" UNION ALL ");
            for destination in destinations {
                names.push("SELECT ").push_bind_unseparated((*destination).to_owned()).push_unseparated(" AS name");
            }
            look.push(") AS destinations");
            look.build_query_as().persistent(false).fetch_all(pool).await
        })?;
        let told = |(name, pending, dead, oldest)| (name, Backlog { pending, dead, oldest });
        Ok(backlogs.into_iter().map(told).collect())
    }
}
