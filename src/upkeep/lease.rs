//! Which of several nodes does what only one may do at a time. No clock has to be right: whoever holds a lease moves its beat,
//! and another takes it only after it has itself watched a beat stand still for longer than any holder goes on without moving
//! it.

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
