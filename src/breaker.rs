//! A circuit breaker: stops asking something outside that keeps failing, and tries it again after a while. Owns when to ask;
//! what counts as a failure is for whoever asks to say.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::clock::Clock;

/// Lets calls through until so many in a row have failed; then none for a span; then one, whose outcome decides.
///
/// Clones share what they know.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    failures: u32,
    open_for: TimeDelta,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// How many phases there were. A verdict on a call that was admitted in an earlier one says nothing of this one.
    epoch: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Calls go through; so many have failed since the last that succeeded.
    Closed { failed: u32 },
    /// No call goes through.
    Open { since: DateTime<Utc> },
    /// One call is out.
    Trying,
}

/// No call for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not asked, because it kept failing")]
pub struct Open {
    /// When it may be worth another try.
    pub retry_after: TimeDelta,
}

/// One call that may be made. Dropped without a verdict it counts as failed: a call that was abandoned has not succeeded.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a failure"]
pub struct Permit {
    shared: Arc<Shared>,
    epoch: u64,
    is_judged: bool,
}

impl Breaker {
    /// One that opens after so many failures in a row, at least one, and stays open for so long.
    #[must_use]
    pub fn new(clock: Clock, failures: u32, open_for: TimeDelta) -> Self {
        let state = Mutex::new(State { phase: Phase::Closed { failed: 0 }, epoch: 0 });
        Self(Arc::new(Shared { clock, failures: failures.max(1), open_for, state }))
    }

    /// Asks whether a call may be made.
    pub fn admit(&self) -> Result<Permit, Open> {
        let mut state = self.0.state.lock();
        if let Some(retry_after) = self.0.wait(state.phase) {
            return Err(Open { retry_after });
        }
        if matches!(state.phase, Phase::Open { .. }) {
            state.enter(Phase::Trying);
        }
        Ok(Permit { shared: Arc::clone(&self.0), epoch: state.epoch, is_judged: false })
    }

    /// How long no call will be admitted; none if one would be.
    #[must_use]
    pub fn wait(&self) -> Option<TimeDelta> {
        let phase = self.0.state.lock().phase;
        self.0.wait(phase)
    }
}

impl Shared {
    /// How long to wait for the outcome of the one call that is out.
    const TRIAL: TimeDelta = TimeDelta::seconds(1);

    fn wait(&self, phase: Phase) -> Option<TimeDelta> {
        match phase {
            Phase::Closed { .. } => None,
            Phase::Open { since } => {
                let elapsed = self.clock.now() - since;
                // A clock that was set back must not keep it open for longer.
                (TimeDelta::zero()..self.open_for).contains(&elapsed).then(|| self.open_for - elapsed)
            }
            Phase::Trying => Some(Self::TRIAL.min(self.open_for)),
        }
    }
}

impl Permit {
    /// The call succeeded. Tells whether that ended a time of failures.
    #[expect(clippy::must_use_candidate, reason = "what it tells is for the log")]
    pub fn succeeded(mut self) -> bool {
        self.is_judged = true;
        let mut state = self.shared.state.lock();
        if state.epoch != self.epoch {
            return false;
        }
        match state.phase {
            Phase::Closed { ref mut failed } => {
                *failed = 0;
                false
            }
            Phase::Open { .. } | Phase::Trying => {
                state.enter(Phase::Closed { failed: 0 });
                true
            }
        }
    }

    /// The call failed. Tells whether that began a time of failures; a trial that failed only goes on with it.
    #[expect(clippy::must_use_candidate, reason = "what it tells is for the log")]
    pub fn failed(mut self) -> bool {
        self.is_judged = true;
        self.fail()
    }

    fn fail(&self) -> bool {
        let mut state = self.shared.state.lock();
        if state.epoch != self.epoch {
            return false;
        }
        let since = self.shared.clock.now();
        match state.phase {
            Phase::Closed { ref mut failed } => {
                *failed += 1;
                let opens = *failed >= self.shared.failures;
                if opens {
                    state.enter(Phase::Open { since });
                }
                opens
            }
            Phase::Open { .. } | Phase::Trying => {
                state.enter(Phase::Open { since });
                false
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_judged {
            self.fail();
        }
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: TimeDelta = TimeDelta::seconds(30);

    fn breaker(failures: u32) -> (Breaker, Clock) {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        (Breaker::new(clock.clone(), failures, OPEN_FOR), clock)
    }

    fn retry_after(breaker: &Breaker) -> i64 {
        assert_eq!(breaker.wait(), breaker.admit().err().map(|open| open.retry_after));
        breaker.admit().unwrap_err().retry_after.num_seconds()
    }

    #[test]
    fn so_many_failures_in_a_row_open_it_for_the_span() {
        let (breaker, clock) = breaker(3);
        assert!(!breaker.admit().unwrap().failed());
        assert!(!breaker.admit().unwrap().failed());
        assert!(!breaker.admit().unwrap().succeeded());
        assert!(!breaker.admit().unwrap().failed());
        assert!(!breaker.admit().unwrap().failed());
        assert!(breaker.admit().unwrap().failed(), "the third in a row");
        assert_eq!(retry_after(&breaker), 30);
        clock.advance(TimeDelta::seconds(29));
        assert_eq!(retry_after(&breaker), 1);
    }

    #[test]
    fn then_one_call_decides() {
        let (breaker, clock) = breaker(1);
        assert!(breaker.admit().unwrap().failed());
        clock.advance(OPEN_FOR);
        let trial = breaker.admit().unwrap();
        assert_eq!(retry_after(&breaker), 1, "only one at a time");
        assert!(!trial.failed());
        assert_eq!(retry_after(&breaker), 30);
        clock.advance(OPEN_FOR);
        assert!(breaker.admit().unwrap().succeeded());
        assert!(!breaker.admit().unwrap().succeeded());
    }

    #[test]
    fn a_permit_without_a_verdict_counts_as_failed() {
        let (breaker, clock) = breaker(1);
        drop(breaker.admit());
        assert_eq!(retry_after(&breaker), 30);
        clock.advance(OPEN_FOR);
        drop(breaker.admit());
        assert_eq!(retry_after(&breaker), 30);
    }

    #[test]
    fn what_was_asked_before_it_opened_says_nothing_later() {
        let (breaker, clock) = breaker(2);
        let (slow, slower, slowest) = (breaker.admit().unwrap(), breaker.admit().unwrap(), breaker.admit().unwrap());
        let _ = (breaker.admit().unwrap().failed(), breaker.admit().unwrap().failed());
        clock.advance(TimeDelta::seconds(10));
        assert!(!slow.failed());
        assert!(!slower.succeeded());
        assert_eq!(retry_after(&breaker), 20);
        clock.advance(TimeDelta::seconds(20));
        let trial = breaker.admit().unwrap();
        assert!(!slowest.succeeded());
        assert_eq!(retry_after(&breaker), 1, "the trial is still out");
        assert!(trial.succeeded());
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let (breaker, clock) = breaker(1);
        assert!(breaker.admit().unwrap().failed());
        clock.advance(-TimeDelta::days(1));
        assert!(breaker.admit().unwrap().succeeded());
    }
}
