//! Time, passed in. Owns the only readings of the machine's clocks; everything else is handed a [`Clock`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

/// Where the time comes from: the machine, or a test that moves it by hand.
///
/// There are two times. The one on the wall is what tokens and checkpoints speak of, but somebody may set it. The steady one
/// only goes forward, but stands still while a machine sleeps. Whatever is too old by either of them is too old.
///
/// ```
/// use chrono::{DateTime, TimeDelta};
/// use countersign_client::Clock;
///
/// let clock = Clock::manual(DateTime::UNIX_EPOCH);
/// clock.advance(TimeDelta::seconds(90));
/// assert_eq!(clock.now().timestamp(), 90);
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Manual { wall: Arc<AtomicI64>, steady: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's own clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System { started: Instant::now() })
    }

    /// A clock that stands at `start` until it is moved. For tests.
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        let wall = Arc::new(AtomicI64::new(start.timestamp_micros()));
        Self(Source::Manual { wall, steady: Arc::default() })
    }

    /// The time on the wall, cut to microseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
            Source::System { .. } => {
                let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
            }
            Source::Manual { wall, .. } => wall.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Microseconds that have passed since some moment, whatever the wall says.
    pub(crate) fn steady(&self) -> i64 {
        match &self.0 {
            Source::System { started } => i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
            Source::Manual { steady, .. } => steady.load(Ordering::SeqCst),
        }
    }

    /// Lets time pass on a manual clock; the machine's clocks stay as they are.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual { steady, .. } = &self.0 {
            steady.fetch_add(micros(by), Ordering::SeqCst);
        }
        self.set_forward(by);
    }

    /// Sets a manual clock's wall time forward, or back, while no time passes.
    pub fn set_forward(&self, by: TimeDelta) {
        if let Source::Manual { wall, .. } = &self.0 {
            wall.fetch_add(micros(by), Ordering::SeqCst);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// A span as microseconds; what is longer than they can tell is as long as they can.
pub(crate) fn micros(span: TimeDelta) -> i64 {
    span.num_microseconds().unwrap_or(i64::MAX)
}

/// The same of a span that has no sign.
pub(crate) fn span(of: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(of).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_sets_is_not_time_that_passes() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        clock.advance(TimeDelta::seconds(2));
        clock.clone().set_forward(TimeDelta::seconds(-1));
        assert_eq!((clock.now().timestamp(), clock.steady()), (1, 2_000_000));
    }

    #[test]
    fn the_machines_clocks_go_forward() {
        let clock = Clock::system();
        let (wall, steady) = (clock.now(), clock.steady());
        assert!(clock.now() >= wall && clock.steady() >= steady);
        assert!(wall.timestamp() > 1_700_000_000);
    }
}
