//! Whose turn it is to do a job: one at a time, on one node of all.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::Lease;
use crate::model::Job;
use crate::random::Random;
use crate::shutdown::{self, Trigger};
use crate::store::{Store, StoreError};

/// The name of the lease that whoever does a job holds.
#[must_use]
pub const fn lease_of(job: Job) -> &'static str {
    match job {
        Job::Purge => "job.purge",
        Job::RotateKeys => "job.rotate-keys",
        Job::Relay => "relay",
    }
}

/// The right to do a job, until it ends.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) job: Job,
    lease: Lease,
    keeping: JoinHandle<()>,
    /// Gives the lease back when it goes.
    trigger: Trigger,
    _here: Here,
}

/// A job among those that are being done here.
#[derive(Debug)]
struct Here {
    at_work: Arc<Mutex<Vec<Job>>>,
    job: Job,
}

impl Here {
    fn begin(job: Job, at_work: &Arc<Mutex<Vec<Job>>>) -> Option<Self> {
        let mut jobs = at_work.lock();
        let is_free = !jobs.contains(&job);
        is_free.then(|| {
            jobs.push(job);
            Self { at_work: Arc::clone(at_work), job }
        })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.at_work.lock().retain(|job| *job != self.job);
    }
}

impl Turn {
    /// Takes it, unless it is somebody else's. That shows at once where they are on this node, and else within a few seconds.
    pub(super) async fn take(
        job: Job,
        at_work: &Arc<Mutex<Vec<Job>>>,
        store: &Store,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(here) = Here::begin(job, at_work) else { return Ok(None) };
        let lease = Lease::new(lease_of(job), Random.id(now));
        if !lease.take(store).await? {
            return Ok(None);
        }
        let (trigger, end) = shutdown::channel();
        let keeping = tokio::spawn(lease.clone().keep(store.clone(), end));
        Ok(Some(Self { job, lease, keeping, trigger, _here: here }))
    }

    /// Whether it still is. Another node takes over from one that is cut off from the database.
    pub(super) fn lasts(&self) -> bool {
        self.lease.held()
    }

    /// Gives it back.
    pub(super) async fn end(self) {
        self.trigger.pull();
        // It has been told to end, and waits for the database alone.
        let _ = self.keeping.await;
    }
}
