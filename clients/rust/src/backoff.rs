//! How long to wait before trying again. Owns that waits grow, end somewhere, and differ from client to client.

use std::time::Duration;

use crate::random;

/// Waits that double from a first one to a longest one.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Begins again with the shortest wait, because something worked.
    pub(crate) const fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next wait: between half and all of its length, so that many who failed at one moment do not come back at one.
    /// At least `asked`, where the service has named a time, but never more than ten times the longest: no answer may send
    /// a client away for good.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let own = self.next.mul_f64(random::fraction().mul_add(0.5, 0.5));
        self.next = (self.next * 2).min(self.longest);
        match asked {
            Some(asked) if asked > own => asked.min(self.longest * 10) + self.first.mul_f64(random::fraction()),
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);

    #[test]
    fn waits_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        for whole in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let whole = Duration::from_millis(whole);
            let pause = backoff.pause(None);
            assert!(whole / 2 <= pause && pause <= whole, "{pause:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.pause(None) <= FIRST);
    }

    #[test]
    fn what_the_service_asks_for_counts_within_reason() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let asked = Duration::from_secs(3);
        let pause = backoff.pause(Some(asked));
        assert!(asked <= pause && pause <= asked + FIRST, "{pause:?}");
        assert!(backoff.pause(Some(Duration::from_hours(24))) <= LONGEST * 10 + FIRST);
    }

    #[test]
    fn two_clients_do_not_wait_alike() {
        let pauses: Vec<_> = (0..20).map(|_| Backoff::new(LONGEST, LONGEST).pause(None)).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
