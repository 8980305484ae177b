//! Which of several nodes does what only one may do at a time. No clock has to be right: whoever holds a lease moves its beat,
//! and another takes it only after it has itself watched a beat stand still for longer than any holder goes on without moving
//! it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

use crate::shutdown::Shutdown;
use crate::store::{LeaseRow, Store, StoreError};

/// How often a holder moves the beat, and another looks at it.
const BEAT: Duration = Duration::from_secs(2);
/// How often somebody looks who wants an answer.
const LOOK: Duration = Duration::from_millis(500);
/// For how long a holder goes on that could not move the beat.
const HOLDS: Duration = Duration::from_secs(6);
/// How long a beat must have stood still before somebody else takes the lease.
const PATIENCE: Duration = Duration::from_secs(10);

/// A view of whether this node holds a lease. Clones see the same.
#[derive(Clone, Debug)]
pub struct Lease {
    name: &'static str,
    holder: Uuid,
    /// Until when this node may act, if nothing else happens.
    held_until: Arc<Mutex<Option<Instant>>>,
}

impl Lease {
    /// A lease that this node does not hold yet. `holder` is a name of its own that no other process ever has.
    #[must_use]
    pub fn new(name: &'static str, holder: Uuid) -> Self {
        Self { name, holder, held_until: Arc::default() }
    }

    /// Whether this node may act at this moment. Asked before each step, because it can end at any time.
    #[must_use]
    pub fn held(&self) -> bool {
        self.held_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Takes the lease once: at once where nobody holds it, and where its holder is gone, once that is certain. Not where its
    /// holder lives, which shows within a few seconds. What is taken is to be kept.
    pub async fn take(&self, store: &Store) -> Result<bool, StoreError> {
        let mut seen: Option<(LeaseRow, Instant)> = None;
        loop {
            let asked = Instant::now();
            let before = seen.map(|(row, _)| row);
            if self.step(store, &mut seen).await? {
                *self.held_until.lock() = Some(asked + HOLDS);
                return Ok(true);
            }
            if before.is_some() && seen.map(|(row, _)| row) != before {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes the lease when it can be had and keeps it, until the service ends; then gives it back.
    pub async fn keep(self, store: Store, mut shutdown: Shutdown) {
        tokio::select! {
            () = self.go_on(&store) => {}
            () = shutdown.requested() => {}
        }
        if self.held_until.lock().take().is_some()
            && let Err(error) = store.release_lease(self.name, self.holder).await
        {
            warn!(lease = self.name, %error, "a lease could not be given back; another node takes it in a moment");
        }
    }

    async fn go_on(&self, store: &Store) {
        // What another holder's beat was, and since when it has been so.
        let mut seen: Option<(LeaseRow, Instant)> = None;
        loop {
            // From before the question: whatever the answer, the beat was moved no earlier than now.
            let asked = Instant::now();
            match self.step(store, &mut seen).await {
                Ok(true) => {
                    if self.held_until.lock().replace(asked + HOLDS).is_none() {
                        info!(lease = self.name, "this node does it from now on");
                    }
                }
                Ok(false) => {
                    if self.held_until.lock().take().is_some() {
                        warn!(lease = self.name, "another node has taken over");
                    }
                }
                // Whoever holds it goes on until its time is up.
                Err(error) => tracing::debug!(lease = self.name, %error, "a lease could not be looked at"),
            }
            tokio::time::sleep_until(asked + BEAT).await;
        }
    }

    /// Moves the beat, or takes a lease that nobody keeps. Tells whether this node holds it.
    async fn step(&self, store: &Store, seen: &mut Option<(LeaseRow, Instant)>) -> Result<bool, StoreError> {
        if store.renew_lease(self.name, self.holder).await? {
            return Ok(true);
        }
        let Some(row) = store.lease(self.name).await? else {
            return store.take_lease(self.name, self.holder, None).await;
        };
        match seen {
            Some((before, since)) if *before == row => {
                if since.elapsed() < PATIENCE {
                    return Ok(false);
                }
                store.take_lease(self.name, self.holder, Some(row)).await
            }
            _ => {
                *seen = Some((row, Instant::now()));
                Ok(false)
            }
        }
    }
}

/// What was seen last of the leases, which tells whether whoever holds one lives: the row of one that died stays.
#[derive(Debug, Default)]
pub(super) struct Beats(Mutex<HashMap<&'static str, Sight>>);

/// A lease as it has been for a while.
#[derive(Debug)]
struct Sight {
    row: LeaseRow,
    since: Instant,
    /// Whether it was something else a moment before.
    has_moved: bool,
}

impl Beats {
    /// Whether somebody holds a lease, and lives. Where that does not show at once, the beat is watched until it moves or has
    /// stood still for longer than a holder goes on.
    pub(super) async fn is_kept(&self, name: &'static str, store: &Store) -> Result<bool, StoreError> {
        loop {
            let Some(row) = store.lease(name).await? else { return Ok(false) };
            if let Some(is_kept) = self.judge(name, row, Instant::now()) {
                return Ok(is_kept);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn judge(&self, name: &'static str, row: LeaseRow, now: Instant) -> Option<bool> {
        let mut sights = self.0.lock();
        let before = sights.get(name);
        if let Some(sight) = before.filter(|sight| sight.row == row) {
            let stands_still = now.duration_since(sight.since) > HOLDS;
            return if stands_still { Some(false) } else { sight.has_moved.then_some(true) };
        }
        // What was long ago says nothing of whether it moves now.
        let has_moved = before.is_some_and(|sight| now.duration_since(sight.since) < PATIENCE);
        sights.insert(name, Sight { row, since: now, has_moved });
        has_moved.then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_lease_is_kept_while_its_beat_moves() {
        let (beats, start) = (Beats::default(), Instant::now());
        let holder = Random.id(chrono::DateTime::UNIX_EPOCH);
        let judge = |beat, millis| beats.judge("a", LeaseRow { holder, beat }, start + Duration::from_millis(millis));
        assert_eq!(judge(1, 0), None);
        assert_eq!(judge(1, 1_500), None);
        assert_eq!(judge(2, 2_000), Some(true));
        assert_eq!(judge(2, 8_000), Some(true));
        assert_eq!(judge(2, 8_001), Some(false));
        assert_eq!(judge(3, 11_000), Some(true));
        // It may have moved an hour ago, and no more since.
        assert_eq!(judge(4, 60_000), None);
        assert_eq!(judge(4, 66_001), Some(false));
        assert_eq!(beats.judge("b", LeaseRow { holder, beat: 5 }, start), None);
    }
}
