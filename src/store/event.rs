//! Writing down what happened, inside the transaction that makes it so, and reading it again.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Store, StoreError, on_pool};
use crate::model::{AccountId, Event, EventKind};

/// Adds an event to a transaction: what, under which circumstances, about which account and session.
macro_rules! record_event {
    ($tx:expr, $kind:expr, $cause:expr, $account:expr, $session:expr) => {{
        let kind: $crate::model::EventKind = $kind;
        let cause: &$crate::model::Cause = $cause;
        let account: Option<$crate::model::AccountId> = $account;
        let session: Option<$crate::model::SessionId> = $session;
        sqlx::query(
            "INSERT INTO events (id, at, kind, account_id, session_id, actor, ip, request_id, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind($crate::random::Random.id(cause.at))
        .bind(cause.at)
        .bind(kind.as_str())
        .bind(account.map(|id| id.0))
        .bind(session.map(|id| id.0))
        .bind(cause.actor.name(account))
        .bind(cause.ip.as_str())
        .bind(cause.request_id.as_str())
        .bind(cause.detail.as_str())
        .execute(&mut *$tx)
        .await?
    }};
}

pub(super) use record_event;

/// Which events. What is left out does not restrict.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Those about this account.
    pub account_id: Option<AccountId>,
    /// Those of this kind.
    pub kind: Option<EventKind>,
    /// Those by this actor, as the trail names it.
    pub actor: Option<String>,
    /// Those at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Those before this time.
    pub before: Option<DateTime<Utc>>,
}

/// The one statement, with a condition in front that an index answers.
macro_rules! events_where {
    ($first:literal) => {
        concat!(
            "SELECT * FROM events WHERE ",
            $first,
            " id < $1 AND id >= $2 AND ($3 IS NULL OR account_id = $3) AND ($4 IS NULL OR kind = $4)
              AND ($5 IS NULL OR actor = $5) AND ($6 IS NULL OR at >= $6) AND ($7 IS NULL OR at < $7)
              ORDER BY id DESC LIMIT $8"
        )
    };
}

impl Store {
    /// Events that a filter lets through, newest first, from below a cursor.
    pub async fn events_where(
        &self,
        filter: &EventFilter,
        below: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let statement = match filter {
            EventFilter { account_id: Some(_), .. } => events_where!("account_id = $3 AND"),
            EventFilter { actor: Some(_), .. } => events_where!("actor = $5 AND"),
            EventFilter { kind: Some(_), .. } => events_where!("kind = $4 AND"),
            _ => events_where!(""),
        };
        // An event's identifier begins with its time, so that a span of time is a span of the primary key.
        let ceiling = filter.before.map_or(Uuid::max(), |before| first_id(before + TimeDelta::milliseconds(1)));
        let below = below.map_or(ceiling, |below| below.min(ceiling));
        let events = on_pool!(self, pool => sqlx::query_as(statement)
            // Planned anew each time: no one plan is good for every filter.
            .persistent(false)
            .bind(below).bind(filter.from.map_or(Uuid::nil(), first_id))
            .bind(filter.account_id.map(|id| id.0)).bind(filter.kind.map(EventKind::as_str))
            .bind(filter.actor.as_deref()).bind(filter.from).bind(filter.before)
            .bind(limit)
            .fetch_all(pool).await)?;
        Ok(events)
    }
}

/// No identifier that was made in this millisecond or later is smaller.
pub(super) fn first_id(at: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}
