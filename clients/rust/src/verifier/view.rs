//! What is known of revocations, and how old that is. Owns the two clocks that it is held against.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, TimeDelta, Utc};
use countersign_token::{Known, Replica, Revocation};
use tokio::sync::watch;

use crate::clock::Clock;

/// Everything that has been taken back, as far as is known.
#[derive(Debug, Default)]
pub(super) struct View {
    replica: Replica,
    /// The steady moment at which it was complete. Nothing has been heard before the first checkpoint.
    complete_at: AtomicI64,
}

/// The current view. A new snapshot takes its place as a whole.
#[derive(Debug)]
pub(super) struct Revocations {
    view: ArcSwap<View>,
    told: watch::Sender<()>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { view: ArcSwap::from_pointee(View::default()), told: watch::Sender::default() }
    }
}

impl Revocations {
    pub(super) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// Puts a view in the place of the current one.
    pub(super) fn replace(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    /// Wakes whoever waits for news.
    pub(super) fn tell(&self) {
        self.told.send_replace(());
    }

    pub(super) fn told(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }
}

impl View {
    pub(super) fn covers(&self, known: &Known<()>, now: DateTime<Utc>) -> bool {
        let claims = &known.claims;
        self.replica.covers(claims.jti, claims.sid, claims.sub, known.issued_at, now)
    }

    pub(super) fn apply(&self, revocation: &Revocation) {
        self.replica.apply(revocation);
    }

    /// Notes that everything up to a moment is known. A moment before one that was told already says nothing new.
    pub(super) fn complete(&self, as_of: DateTime<Utc>, clock: &Clock) {
        if as_of <= self.replica.as_of() {
            return;
        }
        let on_the_way = (clock.now() - as_of).max(TimeDelta::zero());
        // Readers in between take whichever is older.
        self.replica.set_as_of(as_of);
        self.complete_at.store(clock.steady() - crate::clock::micros(on_the_way), Ordering::Release);
    }

    pub(super) fn as_of(&self) -> DateTime<Utc> {
        self.replica.as_of()
    }

    /// How old it is, by whichever clock makes it older: one that somebody sets back cannot make it fresh, nor can one that
    /// stood still while the machine slept. What comes from the future is as far off as that: nobody knows how old it is.
    pub(super) fn age(&self, clock: &Clock) -> TimeDelta {
        let by_wall = (clock.now() - self.replica.as_of()).abs();
        let by_steady = TimeDelta::microseconds(clock.steady() - self.complete_at.load(Ordering::Acquire));
        by_wall.max(by_steady)
    }

    pub(super) fn len(&self) -> usize {
        self.replica.len()
    }

    /// Forgets what no token can need any more, by the service's clock as well as by ours.
    pub(super) fn forget_expired(&self, clock: &Clock) {
        self.replica.forget_expired(clock.now().min(self.replica.as_of()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_at_first() {
        let clock = Clock::manual(DateTime::from_timestamp(1_900_000_000, 0).unwrap());
        assert!(View::default().age(&clock) > TimeDelta::days(365));
    }

    #[test]
    fn no_clock_makes_it_younger_than_it_is() {
        let start = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        let view = View::default();
        view.complete(start - TimeDelta::seconds(1), &clock);
        assert_eq!(view.age(&clock), TimeDelta::seconds(1));
        clock.advance(TimeDelta::seconds(3));
        assert_eq!(view.age(&clock), TimeDelta::seconds(4));
        // Somebody sets the clock back.
        clock.set_forward(TimeDelta::seconds(-3));
        assert_eq!(view.age(&clock), TimeDelta::seconds(4));
        // The machine slept.
        clock.set_forward(TimeDelta::seconds(60));
        assert_eq!(view.age(&clock), TimeDelta::seconds(61));
        // An hour back: what was heard comes from a future, and nobody knows which.
        clock.set_forward(TimeDelta::hours(-1));
        assert_eq!(view.age(&clock), TimeDelta::hours(1) - TimeDelta::seconds(61));
    }

    #[test]
    fn the_same_moment_told_again_is_no_news() {
        let start = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        let view = View::default();
        view.complete(start, &clock);
        clock.advance(TimeDelta::seconds(7));
        clock.set_forward(TimeDelta::seconds(-7));
        view.complete(start, &clock);
        assert_eq!(view.age(&clock), TimeDelta::seconds(7));
    }
}
