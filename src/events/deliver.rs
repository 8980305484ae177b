//! Delivering what is due for one destination: the accounts side by side, the events of an account one after the other.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Envelope, Failure};
use crate::clock::Clock;
use crate::random::Random;
use crate::store::{Due, Outcome, Settled, Store, StoreError};

/// How many outcomes are written down at a time.
const SETTLED_AT_ONCE: usize = 100;
/// How soon it is noticed that the right to deliver has ended.
const NOTICED: Duration = Duration::from_millis(100);
/// How much of a reason is kept.
const LONGEST_REASON: usize = 300;

/// How a destination is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many events are on their way at a time, each of another account.
    pub in_flight: usize,
    /// After how many refusals an event is given up; none where it never is.
    pub attempts: Option<i64>,
    /// How long an event waits after it was refused.
    pub waits: Waits,
}

/// How long an event waits after it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The first time. Each further wait is twice as long,
    pub first: TimeDelta,
    /// up to this.
    pub longest: TimeDelta,
}

impl Default for Waits {
    fn default() -> Self {
        Self { first: TimeDelta::seconds(2), longest: TimeDelta::hours(1) }
    }
}

impl Waits {
    /// After so many refusals: between half and all of a span that doubles.
    fn after(self, refusals: i64) -> TimeDelta {
        let doublings = u32::try_from(refusals.saturating_sub(1)).unwrap_or(0).min(20);
        let whole = (self.first * 2_i32.pow(doublings)).min(self.longest);
        whole / 2 + whole * i32::try_from(Random.below(1_001)).unwrap_or(0) / 2_000
    }
}

/// How it went with what was due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many have arrived.
    pub delivered: u64,
    /// How many were refused and will be tried again.
    pub refused: u64,
    /// How many were given up.
    pub dead: u64,
    /// Why the destination as a whole could not be reached, if it could not.
    pub away: Option<String>,
}

/// Delivers up to `batch` events that are due for a destination, through `send`, for as long as `may_go_on` says so: what is on
/// its way is dropped when the right ends, because the next holder may have come further by then. `may_begin` says whether another
/// one may be begun.
///
/// An event of which it is not yet written down that it has arrived is sent again: after a crash, or when the database is
/// away. It has the same identifier then.
pub(super) async fn deliver_batch<F>(
    ground: &Ground<'_>,
    limits: Limits,
    send: impl Fn(Envelope) -> F,
    may_begin: impl Fn() -> bool,
    may_go_on: impl Fn() -> bool,
) -> Result<Batch, StoreError>
where
    F: Future<Output = Result<(), Failure>>,
{
    let due = ground.store.due_deliveries(ground.destination, ground.clock.now(), ground.batch).await?;
    let away = Mutex::new(None);
    let (settled, mut settling) = mpsc::unbounded_channel();
    let (away_now, send, may_begin, may_go_on) = (&away, &send, &may_begin, &may_go_on);
    let delivering = async move {
        // Owned here, so that the other side ends when this one does.
        let settled = &settled;
        let accounts = stream::iter(by_account(due));
        let deliver = |account: Vec<Due>| async move {
            for due in account {
                if away_now.lock().is_some() || !may_go_on() || !may_begin() {
                    return;
                }
                let (event_id, attempts) = (due.event.id, due.attempts + 1);
                let arrival = tokio::select! {
                    arrival = send(Envelope::new(due.event, ground.source)) => arrival,
                    () = ends(may_go_on) => return,
                };
                let outcome = match arrival {
                    Ok(()) => Outcome::Delivered,
                    Err(Failure::Away(reason)) => {
                        away_now.lock().get_or_insert(reason);
                        return;
                    }
                    Err(Failure::Refused(reason)) if limits.attempts.is_none_or(|most| attempts < most) => {
                        let due_at = ground.clock.now() + limits.waits.after(attempts);
                        Outcome::Refused { due_at, error: short(reason) }
                    }
                    Err(Failure::Postponed { reason, after }) if limits.attempts.is_none_or(|most| attempts < most) => {
                        let due_at = ground.clock.now() + limits.waits.after(attempts).max(after);
                        Outcome::Refused { due_at, error: short(reason) }
                    }
                    Err(Failure::Refused(reason) | Failure::Postponed { reason, .. } | Failure::Hopeless(reason)) => {
                        Outcome::Dead { error: short(reason) }
                    }
                };
                let holds_up = matches!(outcome, Outcome::Refused { .. });
                if settled.send(Settled { event_id, outcome }).is_err() || holds_up {
                    return;
                }
            }
        };
        accounts.for_each_concurrent(limits.in_flight, deliver).await;
        Ok::<_, StoreError>(())
    };
    let writing = async {
        let (mut batch, mut next) = (Batch::default(), Vec::new());
        while settling.recv_many(&mut next, SETTLED_AT_ONCE).await > 0 {
            ground.store.settle_deliveries(ground.destination, &next).await?;
            for Settled { outcome, .. } in next.drain(..) {
                match outcome {
                    Outcome::Delivered => batch.delivered += 1,
                    Outcome::Refused { .. } => batch.refused += 1,
                    Outcome::Dead { .. } => batch.dead += 1,
                }
            }
        }
        Ok(batch)
    };
    let ((), batch) = tokio::try_join!(delivering, writing)?;
    Ok(Batch { away: away.into_inner(), ..batch })
}

/// Returns when it may no longer go on.
async fn ends(may_go_on: &impl Fn() -> bool) {
    while may_go_on() {
        tokio::time::sleep(NOTICED).await;
    }
}

/// What a batch stands on.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) store: &'a Store,
    pub(super) clock: &'a Clock,
    pub(super) source: &'a str,
    pub(super) destination: &'a str,
    pub(super) batch: i64,
}

/// The events of each account, in their order. Those that are about none have one order among themselves.
fn by_account(due: Vec<Due>) -> Vec<Vec<Due>> {
    let mut places: HashMap<Option<Uuid>, usize> = HashMap::new();
    let mut accounts: Vec<Vec<Due>> = Vec::new();
    for due in due {
        let place = *places.entry(due.event.account_id.map(|id| id.0)).or_insert(accounts.len());
        if place == accounts.len() {
            accounts.push(Vec::new());
        }
        accounts[place].push(due);
    }
    accounts
}

fn short(reason: String) -> String {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => reason[..end].to_owned(),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::model::{AccountId, Event};

    #[test]
    fn waits_double_and_end_somewhere() {
        for (refusals, whole) in [(1, 2), (2, 4), (3, 8), (11, 2_048), (12, 3_600), (1_000_000, 3_600)] {
            for _ in 0..50 {
                let (wait, whole) = (Waits::default().after(refusals), TimeDelta::seconds(whole));
                assert!(whole / 2 <= wait && wait <= whole, "{refusals}: {wait}");
            }
        }
    }

    #[test]
    fn the_events_of_an_account_stay_in_order() {
        let now = DateTime::UNIX_EPOCH;
        let (one, other) = (AccountId(Random.id(now)), AccountId(Random.id(now)));
        let due: Vec<_> = [Some(one), None, Some(other), Some(one), None].map(|account| due(account, now)).into();
        let grouped = by_account(due.clone());
        let expected = [vec![&due[0], &due[3]], vec![&due[1], &due[4]], vec![&due[2]]];
        assert_eq!(grouped.iter().map(|one| one.iter().collect::<Vec<_>>()).collect::<Vec<_>>(), expected);
    }

    fn due(account_id: Option<AccountId>, at: DateTime<Utc>) -> Due {
        let event = Event {
            id: Random.id(at),
            at,
            kind: "account.updated".to_owned(),
            account_id,
            session_id: None,
            actor: "system".to_owned(),
            ip: String::new(),
            request_id: String::new(),
            detail: String::new(),
        };
        Due { event, seq: 0, attempts: 0 }
    }
}
