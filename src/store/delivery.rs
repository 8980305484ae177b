//! What has not arrived somewhere, for operators: listed, and tried once more. How it goes its way stands in `outbox.rs`.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::event::record_event;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Cause, Delivery, DeliveryState, EventKind};

/// How many rows one statement changes, so that none takes long.
const BATCH: i64 = 1_000;

/// Which deliveries. What is left out does not restrict.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Those to this destination.
    pub destination: Option<String>,
    /// Those in this state.
    pub state: Option<DeliveryState>,
}

/// The one statement, with a condition in front that an index answers.
macro_rules! deliveries_where {
    ($first:literal) => {
        concat!(
            "SELECT deliveries.*, events.kind, events.at FROM deliveries JOIN events ON events.id = deliveries.event_id
             WHERE ",
            $first,
            " ($1 IS NULL OR destination = $1) AND (destination, seq) > ($2, $3)
             ORDER BY destination, seq LIMIT $4"
        )
    };
}

impl Store {
    /// Deliveries that a filter lets through, by destination and in the order of events, from behind a cursor.
    pub async fn deliveries_where(
        &self,
        filter: &DeliveryFilter,
        (behind, seq): (&str, i64),
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let statement = match filter.state {
            Some(DeliveryState::Pending) => deliveries_where!("state = 'pending' AND"),
            Some(DeliveryState::Dead) => deliveries_where!("state = 'dead' AND"),
            None => deliveries_where!(""),
        };
        let deliveries = on_pool!(self, pool => sqlx::query_as(statement)
            .persistent(false)
            .bind(filter.destination.as_deref()).bind(behind).bind(seq).bind(limit)
            .fetch_all(pool).await)?;
        Ok(deliveries)
    }

    /// Makes what is dead at a destination wait for its turn again, with all attempts before it: these events, or all where
    /// none are named. Yields how many there were.
    pub async fn replay_deliveries(
        &self,
        destination: &str,
        events: &[Uuid],
        cause: &Cause,
    ) -> Result<i64, StoreError> {
        let cause = Cause { detail: destination.to_owned(), ..cause.clone() };
        let (mut total, mut behind) = (0, i64::MIN);
        // One after another in the order of events, so that what dies again in the meantime is not met again.
        loop {
            let replayed = self.replay_some(destination, events, behind, (total == 0).then_some(&cause)).await?;
            let Some(last) = replayed.last() else { return Ok(total) };
            (total, behind) = (total + i64::try_from(replayed.len()).unwrap_or(0), *last);
        }
    }

    /// The numbers of those that were made to wait, in order. The first of them are told of.
    async fn replay_some(
        &self,
        destination: &str,
        events: &[Uuid],
        behind: i64,
        cause: Option<&Cause>,
    ) -> Result<Vec<i64>, StoreError> {
        in_transaction!(self, tx => {
            let mut replay = QueryBuilder::new(
                "UPDATE deliveries SET state = 'pending', attempts = 0, due_at = ");
            replay.push_bind(DateTime::<Utc>::UNIX_EPOCH);
            replay.push(" WHERE state = 'dead' AND destination = ").push_bind(destination.to_owned());
            replay.push(" AND event_id IN (SELECT event_id FROM deliveries WHERE state = 'dead' AND destination = ");
            replay.push_bind(destination.to_owned()).push(" AND seq > ").push_bind(behind);
            if !events.is_empty() {
                replay.push(" AND event_id IN (");
                let mut list = replay.separated(", ");
                for event in events {
                    list.push_bind(*event);
                }
                replay.push(")");
            }
            replay.push(" ORDER BY seq LIMIT ").push_bind(BATCH).push(") RETURNING seq");
            let mut replayed: Vec<i64> = replay.build_query_scalar().persistent(false).fetch_all(&mut *tx).await?;
            replayed.sort_unstable();
            if let Some(cause) = cause.filter(|_| !replayed.is_empty()) {
                record_event!(tx, EventKind::DeliveriesReplayed, cause, None, None);
            }
            Ok(replayed)
        })
    }
}
