//! What single callers, and addresses that show no caller's credential, may take of a node.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use super::Exceeded;
use crate::clock::Clock;
use crate::config::{Allowance, Callers};
use crate::model::{Caller, CallerId, Network};

const SECOND: i64 = 1_000_000_000;
/// When to come back if it depends on other calls' ends.
const SOON: i64 = 1_000_000;
/// How many counters there are for addresses. Addresses that fall together share one; which do, nobody outside can tell.
const CELLS: usize = 16_384;

/// The quotas of all callers that have been here.
#[derive(Debug)]
pub(super) struct Quotas {
    usual: Allowance,
    each: HashMap<String, Allowance>,
    by_caller: ArcSwap<HashMap<CallerId, Arc<Quota>>>,
    are_none: bool,
}

/// What one caller has taken.
#[derive(Debug)]
struct Quota {
    rate: Option<(Step, Rate)>,
    most_at_once: Option<u32>,
    at_once: AtomicU32,
}

/// A call of a caller, while it goes on.
#[derive(Debug)]
pub struct Turn(Arc<Quota>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Quotas {
    pub(super) fn new(settings: &Callers) -> Self {
        let are_none = settings.usual == Allowance::default() && settings.each.is_empty();
        let each = settings.each.iter().cloned().collect();
        Self { usual: settings.usual, each, by_caller: ArcSwap::default(), are_none }
    }

    /// Whether nobody has a limit.
    pub(super) const fn are_none(&self) -> bool {
        self.are_none
    }

    pub(super) fn turn_of(&self, caller: &Caller, clock: &Clock) -> Result<Option<Turn>, Exceeded> {
        let quota = match self.by_caller.load().get(&caller.id) {
            Some(quota) => Arc::clone(quota),
            None => self.begin(caller),
        };
        quota.turn(clock)
    }

    /// A caller that has not been here before. Of several of its calls at once, one begins.
    fn begin(&self, caller: &Caller) -> Arc<Quota> {
        let allowance = self.each.get(&caller.name).copied().unwrap_or(self.usual);
        let quota = Arc::new(Quota {
            rate: allowance.per_second.map(|count| (Step::of(count), Rate::default())),
            most_at_once: allowance.at_once,
            at_once: AtomicU32::new(0),
        });
        self.by_caller.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(caller.id).or_insert_with(|| Arc::clone(&quota));
            known
        });
        self.by_caller.load().get(&caller.id).map_or(quota, Arc::clone)
    }
}

impl Quota {
    fn turn(self: Arc<Self>, clock: &Clock) -> Result<Option<Turn>, Exceeded> {
        let turn = match self.most_at_once {
            None => None,
            Some(most) => {
                let one_more = |now: u32| (now < most).then_some(now + 1);
                let begun = self.at_once.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
                begun.map_err(|_| Exceeded { limit: "calls_at_once", retry_after: SOON })?;
                Some(Turn(Arc::clone(&self)))
            }
        };
        if let Some((step, rate)) = &self.rate {
            rate.count(*step, clock.now()).map_err(|wait| Exceeded { limit: "calls_per_second", retry_after: wait })?;
        }
        Ok(turn)
    }
}

/// Calls by address, in a table that does not grow.
#[derive(Debug)]
pub(super) struct Strangers {
    step: Step,
    cells: Box<[Rate]>,
    hasher: RandomState,
}

impl Strangers {
    pub(super) fn new(per_second: u32) -> Self {
        let cells = (0..CELLS).map(|_| Rate::default()).collect();
        Self { step: Step::of(per_second), cells, hasher: RandomState::new() }
    }

    pub(super) fn count(&self, address: IpAddr, now: DateTime<Utc>) -> Result<(), Exceeded> {
        let hash = self.hasher.hash_one(Network::from(address));
        let cell = usize::try_from(hash % CELLS as u64).unwrap_or_default();
        self.cells[cell]
            .count(self.step, now)
            .map_err(|wait| Exceeded { limit: "strangers_per_second", retry_after: wait })
    }
}

/// The time between two calls at a rate, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Step(i64);

impl Step {
    fn of(per_second: u32) -> Self {
        Self(SECOND / i64::from(per_second.max(1)))
    }
}

/// Up to when calls have been spent, in nanoseconds since the epoch. A second's worth may be spent ahead; one number suffices to
/// tell how much of it has been (the generic cell rate algorithm).
#[derive(Debug, Default)]
struct Rate(AtomicI64);

impl Rate {
    /// Counts a call, or says in how many microseconds there is room for it.
    fn count(&self, Step(step): Step, now: DateTime<Utc>) -> Result<(), i64> {
        let now = now.timestamp_micros().saturating_mul(1_000);
        let spend = |spent: i64| {
            // A clock that was set back must shut nobody out for as long as that. Others may have looked at it a little later.
            let from = if spent > now + 2 * SECOND { now } else { spent.max(now) };
            (from + step <= now + SECOND).then_some(from + step)
        };
        let counted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        counted.map(drop).map_err(|spent| (spent + step - now - SECOND).div_euclid(1_000) + 1)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::Permissions;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(1_900_000_000_000_000 + micros).unwrap()
    }

    fn caller(name: &str) -> Caller {
        Caller {
            id: CallerId(crate::random::Random.id(at(0))),
            name: name.to_owned(),
            permissions: Permissions::default(),
            created_at: at(0),
            rotated_at: None,
            certificate_name: None,
        }
    }

    #[test]
    fn a_second_has_as_many_calls_as_it_may() {
        let (rate, step) = (Rate::default(), Step::of(5));
        assert_eq!((0..8).filter(|_| rate.count(step, at(0)).is_ok()).count(), 5);
        let wait = rate.count(step, at(0)).unwrap_err();
        assert!((200_000..=200_001).contains(&wait), "{wait}");
        assert!(rate.count(step, at(199_999)).is_err());
        assert!(rate.count(step, at(wait)).is_ok());
        assert!(rate.count(step, at(wait)).is_err());
        // Ten seconds at twice the rate.
        let let_through = (0..100).filter(|tenth| rate.count(step, at(2_000_000 + tenth * 100_000)).is_ok()).count();
        assert!((54..=55).contains(&let_through), "{let_through}");
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let (rate, step) = (Rate::default(), Step::of(1));
        assert!(rate.count(step, at(3_600_000_000)).is_ok());
        assert!(rate.count(step, at(0)).is_ok());
        assert!(rate.count(step, at(0)).is_err());
    }

    #[test]
    fn each_caller_has_what_is_its_own() {
        let one = Allowance { per_second: None, at_once: Some(1) };
        let settings = Callers {
            usual: one,
            each: vec![("many".to_owned(), Allowance { per_second: Some(3), at_once: Some(9) })],
            strangers_per_second: None,
        };
        let (quotas, clock) = (Quotas::new(&settings), Clock::manual(at(0)));
        assert!(!quotas.are_none());
        let (few, other, many) = (caller("few"), caller("other"), caller("many"));
        let turn = quotas.turn_of(&few, &clock).unwrap();
        assert!(turn.is_some());
        assert_eq!(quotas.turn_of(&few, &clock).unwrap_err().limit, "calls_at_once");
        assert!(quotas.turn_of(&other, &clock).is_ok());
        drop(turn);
        assert!(quotas.turn_of(&few, &clock).is_ok());
        let turns: Vec<_> = (0..4).map(|_| quotas.turn_of(&many, &clock)).collect();
        assert_eq!(turns.iter().filter(|turn| turn.is_ok()).count(), 3);
        assert_eq!(turns[3].as_ref().unwrap_err().limit, "calls_per_second");
        clock.advance(TimeDelta::seconds(1));
        assert!(quotas.turn_of(&many, &clock).is_ok());
        // What was refused by its rate holds no turn.
        drop(turns);
        assert_eq!(quotas.by_caller.load()[&many.id].at_once.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn strangers_are_told_apart_by_their_networks() {
        let strangers = Strangers::new(2);
        let count = |address: &str| strangers.count(address.parse().unwrap(), at(0)).is_ok();
        assert_eq!([count("192.0.2.1"), count("192.0.2.1"), count("192.0.2.1")], [true, true, false]);
        let half = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(count);
        assert_eq!(half.iter().filter(|counted| **counted).count(), 2);
    }
}
