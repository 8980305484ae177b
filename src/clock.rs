//! Time, passed in. Owns the only reading of the system's clock; everything else is handed a [`Clock`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

/// How far a clock may be off before it is put right. Two machines may differ by `token.leeway`, which is more.
const TOLERANCE: TimeDelta = TimeDelta::milliseconds(500);

/// Where the time comes from: the system, the database that all nodes share, or a test that moves it by hand.
///
/// Times have microsecond precision, because that is what both databases keep: a value read back equals the one written.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's own clock.
    System,
    /// The time of the database, carried on between two questions by what neither jumps nor is set. So the nodes of an
    /// installation have one source of time, and one whose machine's clock is wrong believes nothing that others do not.
    Kept(Arc<Kept>),
    /// Microseconds since the epoch, moved only by [`Clock::advance`].
    Manual(Arc<AtomicI64>),
}

/// A time that has been told, and how long ago.
#[derive(Debug)]
pub struct Kept {
    since: Instant,
    /// What it was then, in microseconds since the epoch.
    micros: AtomicI64,
}

impl Clock {
    /// A clock that goes on from what it has been told just now.
    #[must_use]
    pub fn kept(now: DateTime<Utc>) -> Self {
        Self::Kept(Arc::new(Kept { since: Instant::now(), micros: AtomicI64::new(now.timestamp_micros()) }))
    }

    /// Puts a clock that is kept right by what was told between `asked` and now. Tells by how much, if it had to be.
    #[must_use]
    pub fn put_right(&self, asked: DateTime<Utc>, told: DateTime<Utc>) -> Option<TimeDelta> {
        let Self::Kept(kept) = self else { return None };
        // It may have been told at any moment in between.
        let half_way = (self.now() - asked) / 2;
        let off = told - (asked + half_way);
        if off.abs() <= TOLERANCE + half_way {
            return None;
        }
        kept.micros.fetch_add(off.num_microseconds().unwrap_or_default(), Ordering::SeqCst);
        Some(off)
    }

    /// A clock that stands at `start` until it is advanced.
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.timestamp_micros())))
    }

    /// The current time, cut to microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
            Self::System => {
                let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
            }
            Self::Kept(kept) => {
                let passed = i64::try_from(kept.since.elapsed().as_micros()).unwrap_or(i64::MAX);
                kept.micros.load(Ordering::SeqCst).saturating_add(passed)
            }
            Self::Manual(micros) => micros.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Moves a manual clock; others stay as they are.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Manual(micros) = self {
            micros.fetch_add(by.num_microseconds().unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let other = clock.clone();
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
        other.advance(TimeDelta::seconds(90));
        assert_eq!(clock.now().timestamp(), 90);
    }
}
