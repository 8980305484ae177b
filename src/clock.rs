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

/// A question what time it is, under way.
#[derive(Debug)]
pub struct Asked {
    kept: Arc<Kept>,
    /// What the clock began at when it was put, in microseconds since the epoch.
    began_at: i64,
    /// How long ago that was, in microseconds.
    passed: i64,
}

impl Kept {
    /// How long it has been kept, in microseconds.
    fn passed(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

impl Asked {
    /// Puts the clock right by what was told between the question and now. Tells by how much, if it had to be. Where another
    /// question has put it right meanwhile, this answer was about a clock that is gone.
    #[must_use]
    pub fn told(self, told: DateTime<Utc>) -> Option<TimeDelta> {
        // It may have been told at any moment in between.
        let half_way = (self.kept.passed() - self.passed) / 2;
        let supposed = self.began_at.saturating_add(self.passed).saturating_add(half_way);
        let off = told.timestamp_micros().saturating_sub(supposed);
        if TimeDelta::microseconds(off).abs() <= TOLERANCE + TimeDelta::microseconds(half_way) {
            return None;
        }
        let right = self.began_at.saturating_add(off);
        let put = self.kept.micros.compare_exchange(self.began_at, right, Ordering::SeqCst, Ordering::SeqCst);
        put.is_ok().then(|| TimeDelta::microseconds(off))
    }
}

impl Clock {
    /// A clock that goes on from what it has been told just now.
    #[must_use]
    pub fn kept(now: DateTime<Utc>) -> Self {
        Self::Kept(Arc::new(Kept { since: Instant::now(), micros: AtomicI64::new(now.timestamp_micros()) }))
    }

    /// Notes that somebody is about to be asked what time it is; nobody is where the clock is not kept.
    #[must_use]
    pub fn asks(&self) -> Option<Asked> {
        let Self::Kept(kept) = self else { return None };
        let began_at = kept.micros.load(Ordering::SeqCst);
        Some(Asked { kept: Arc::clone(kept), began_at, passed: kept.passed() })
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
            Self::Kept(kept) => kept.micros.load(Ordering::SeqCst).saturating_add(kept.passed()),
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

    #[test]
    fn a_kept_clock_is_put_right_once_however_many_ask() {
        let (hour, start) = (TimeDelta::hours(1), DateTime::UNIX_EPOCH + TimeDelta::days(1));
        let clock = Clock::kept(start);
        let (first, second) = (clock.asks().unwrap(), clock.asks().unwrap());
        let off = first.told(start + hour).unwrap();
        assert!((off - hour).abs() < TimeDelta::minutes(1), "{off}");
        assert_eq!(second.told(start + hour), None);
        assert!((clock.now() - start - hour).abs() < TimeDelta::minutes(1), "{}", clock.now());
        assert_eq!(clock.asks().unwrap().told(clock.now()), None);
        assert!(Clock::manual(start).asks().is_none());
    }
}
