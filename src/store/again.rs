//! Which units of work are done again, and when.

use std::time::Duration;

use tokio::time::Instant;

use super::StoreError;
use crate::random::Random;

/// How often something is done again at most.
const TRIES: u32 = 3;
/// No new try is made later than this after the first one began.
const PATIENCE: Duration = Duration::from_secs(3);
/// A pause is at most this long, and with each try as much longer again.
const PAUSE: u32 = 20_000;

/// The tries that are left to one unit of work.
///
/// Only what the database says that it has undone is done again: transactions that met each other in a way that has no order
/// (40001), or that waited for each other (40P01). It says so of a commit as well. An answer that never came says nothing: the
/// work may have been done. Whoever asked for it asks again, under the same `request_id`.
pub(crate) struct Tries {
    began: Instant,
    made: u32,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), made: 0 }
    }

    /// How long to wait before doing it again; nothing where this is how it ended.
    pub(crate) fn pause_after<T, E: Failure>(&mut self, outcome: &Result<T, E>) -> Option<Duration> {
        let undone = outcome.as_ref().is_err_and(Failure::was_undone);
        if !undone || self.made == TRIES || self.began.elapsed() > PATIENCE {
            return None;
        }
        self.made += 1;
        // Those that met once do not meet again.
        Some(Duration::from_micros(Random.below(PAUSE * self.made).into()))
    }
}

/// What a unit of work may end with.
pub(crate) trait Failure {
    /// Whether the database has undone the work because of what others were doing at the same time.
    fn was_undone(&self) -> bool;
}

impl Failure for sqlx::Error {
    fn was_undone(&self) -> bool {
        let Self::Database(refusal) = self else { return false };
        refusal.code().is_some_and(|code| matches!(&*code, "40001" | "40P01"))
    }
}

impl Failure for StoreError {
    fn was_undone(&self) -> bool {
        match self {
            Self::Unavailable(error) | Self::Internal(error) => error.was_undone(),
            Self::Leaving => false,
        }
    }
}
