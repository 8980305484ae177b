//! What keeps an installation in order: jobs that one node does for all, when they are due or when somebody asks for them. Owns
//! that of several who would begin one does, and what is remembered of each run. When a job is due by itself is for `jobs`.

mod lease;
mod turn;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use self::lease::Beats;
pub use self::lease::Lease;
use self::turn::Turn;
pub use self::turn::lease_of;
pub use self::work::{Done, WorkError};
use crate::clock::Clock;
use crate::config::Config;
use crate::events::Relay;
use crate::metrics::Metrics;
use crate::model::{Cause, Job, JobRecord, Run, RunOutcome};
use crate::secret::Secret;
use crate::store::{Store, StoreError};
use crate::token::Keyring;

/// After a run that failed, or of whose end nothing is known, another is tried this soon, where the schedule would not be sooner.
const RETRY: TimeDelta = TimeDelta::minutes(1);
/// Whatever began longer than this in the future was begun by somebody whose clock was wrong.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// How long a node that leaves waits for what it is at: longer than the database takes over a statement.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often it looks meanwhile.
const SETTLE: Duration = Duration::from_millis(20);

/// The jobs of an installation, seen from one node.
#[derive(Debug)]
pub struct Upkeep {
    /// Where jobs are done: the event loop of whoever asks may end before they do, and connections live on the one that opened them.
    runtime: Handle,
    store: Store,
    keyring: Arc<Keyring>,
    relay: Arc<Relay>,
    clock: Clock,
    metrics: Metrics,
    event_retention: TimeDelta,
    purge_every: Option<TimeDelta>,
    rotate_keys_every: Option<TimeDelta>,
    relay_every: Option<TimeDelta>,
    /// What whoever asks over HTTP must bring.
    http_key: ArcSwapOption<Secret<String>>,
    /// Which are being done here.
    at_work: Arc<Mutex<Vec<Job>>>,
    beats: Beats,
    leaving: AtomicBool,
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It is being done already.
    #[error("the job is running already")]
    Running,
    /// Whether it may be done cannot be told.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// What is remembered of it.
    pub run: Run,
    /// What came of it.
    pub done: Result<Done, WorkError>,
}

/// How a job stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Which.
    pub job: Job,
    /// How often it is done by itself; none where it is left to somebody outside.
    pub every: Option<TimeDelta>,
    /// What is known of its past.
    pub record: JobRecord,
    /// When it is due by itself.
    pub next_at: Option<DateTime<Utc>>,
    /// Whether it is being done.
    pub is_running: bool,
}

impl Upkeep {
    /// The jobs, as they are configured. They are done on the event loop that this is called on.
    #[must_use]
    pub fn new(
        config: &Config,
        store: Store,
        keyring: Arc<Keyring>,
        relay: Arc<Relay>,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self {
            runtime: Handle::current(),
            store,
            keyring,
            relay,
            clock,
            metrics,
            event_retention: config.purge.event_retention,
            purge_every: config.purge.every,
            rotate_keys_every: config.jobs.rotate_keys_every,
            relay_every: config.events.poll_every,
            http_key: ArcSwapOption::new(config.jobs.http_key.clone().map(Arc::new)),
            at_work: Arc::default(),
            beats: Beats::default(),
            leaving: AtomicBool::new(false),
        }
    }

    /// How often a job is done by itself; none where it is left to somebody outside. The relay is always at it then.
    #[must_use]
    pub const fn every(&self, job: Job) -> Option<TimeDelta> {
        match job {
            Job::Purge => self.purge_every,
            Job::RotateKeys => self.rotate_keys_every,
            Job::Relay => self.relay_every,
        }
    }

    /// Whether jobs can be asked for over HTTP.
    #[must_use]
    pub fn has_http_key(&self) -> bool {
        self.http_key.load().is_some()
    }

    /// Whether this is the key for that. How long it takes to tell says nothing of where the two differ.
    #[must_use]
    pub fn is_http_key(&self, presented: &str) -> bool {
        let key = self.http_key.load();
        key.as_ref().is_some_and(|key| key.expose().as_bytes().ct_eq(presented.as_bytes()).into())
    }

    /// From now on this is the key, if there is one.
    pub fn renew_http_key(&self, key: Option<Secret<String>>) {
        self.http_key.store(key.map(Arc::new));
    }

    /// Lets go of whatever takes its time, because the node leaves. The next run goes on from there.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Does a job because somebody asks for it, to its end whether they wait for it or not.
    pub async fn run(self: &Arc<Self>, job: Job, cause: &Cause) -> Result<Finished, JobError> {
        let (this, cause) = (Arc::clone(self), cause.clone());
        let doing = self.runtime.spawn(async move {
            let turn = this.turn(job).await?;
            // What is written here is seen by nodes whose schedule says that it is due.
            let seen = this.store.job_record(job).await?;
            this.store.begin_job(job, &seen, cause.at).await?;
            let finished = this.work(&turn, &cause).await;
            turn.end().await;
            Ok(finished)
        });
        doing.await.unwrap_or(Err(JobError::Store(StoreError::Leaving)))
    }

    /// Does a job if it is due and no other node has begun. When it is due again.
    pub async fn run_if_due(self: &Arc<Self>, job: Job) -> Result<Option<DateTime<Utc>>, JobError> {
        let seen = self.store.job_record(job).await?;
        self.note_success(job, &seen.record);
        let Some(every) = self.every(job) else { return Ok(None) };
        let now = self.clock.now();
        let due = due_at(&seen.record, every, now);
        if let Some(due) = due.filter(|due| *due > now) {
            return Ok(Some(due));
        }
        let turn = self.turn(job).await?;
        let next = self.do_what_is_due(&turn, every).await;
        turn.end().await;
        next
    }

    /// Does what was due a moment ago, unless another node had its turn before this one.
    async fn do_what_is_due(&self, turn: &Turn, every: TimeDelta) -> Result<Option<DateTime<Utc>>, JobError> {
        let (seen, now) = (self.store.job_record(turn.job).await?, self.clock.now());
        if let Some(due) = due_at(&seen.record, every, now).filter(|due| *due > now) {
            return Ok(Some(due));
        }
        if !self.store.begin_job(turn.job, &seen, now).await? {
            return Ok(Some(now + every));
        }
        let finished = self.work(turn, &Cause::system(now)).await;
        let wait = if finished.done.is_ok() { every } else { every.min(RETRY) };
        Ok(Some(now + wait))
    }

    /// Waits until what is being done here is over, which it soon is after [`leave`](Self::leave).
    pub async fn settle(&self) {
        let over = async {
            while !self.at_work.lock().is_empty() {
                tokio::time::sleep(SETTLE).await;
            }
        };
        if tokio::time::timeout(PATIENCE, over).await.is_err() {
            warn!("a job was still being done when the time was up");
        }
    }

    /// How all jobs stand. Whether one is being done may take a few seconds to show.
    pub async fn standings(self: &Arc<Self>) -> Result<Vec<Standing>, StoreError> {
        let this = Arc::clone(self);
        self.runtime.spawn(async move { this.look().await }).await.unwrap_or(Err(StoreError::Leaving))
    }

    async fn look(&self) -> Result<Vec<Standing>, StoreError> {
        let mut standings = Vec::with_capacity(Job::ALL.len());
        let now = self.clock.now();
        // At once: each may have to be watched for a while.
        let kept = Job::ALL.map(|job| self.beats.is_kept(lease_of(job), &self.store));
        for (job, is_running) in Job::ALL.into_iter().zip(try_join_all(kept).await?) {
            let record = self.store.job_record(job).await?.record;
            self.note_success(job, &record);
            let every = self.every(job);
            // One that has never been done is due; what is always being done never is.
            let at_times = every.filter(|_| job != Job::Relay);
            let next_at = at_times.map(|every| due_at(&record, every, now).unwrap_or(now));
            standings.push(Standing { job, every, record, next_at, is_running });
        }
        Ok(standings)
    }

    async fn turn(&self, job: Job) -> Result<Turn, JobError> {
        let turn = Turn::take(job, &self.at_work, &self.store, self.clock.now()).await?;
        turn.ok_or(JobError::Running)
    }

    /// Does it, and remembers how it went.
    async fn work(&self, turn: &Turn, cause: &Cause) -> Finished {
        let job = turn.job;
        let goes_on = || !self.leaving.load(Ordering::Relaxed) && turn.lasts();
        let done = match job {
            Job::Purge => self.purge(cause, goes_on).await,
            Job::RotateKeys => self.rotate_keys(cause).await,
            Job::Relay => self.relay(goes_on).await,
        };
        let (outcome, detail) = match &done {
            Ok(done) if done.is_whole() => (RunOutcome::Succeeded, done.to_string()),
            Ok(done) => (RunOutcome::Interrupted, done.to_string()),
            Err(error) => (RunOutcome::Failed, error.to_string()),
        };
        match &done {
            Ok(done) if done.is_something() => info!(%job, outcome = outcome.as_str(), "{done}"),
            Ok(_) => {}
            Err(cause) => error!(%job, %cause, "a job could not be done"),
        }
        let finished_at = self.clock.now().max(cause.at);
        let run = Run { started_at: cause.at, finished_at, outcome, detail, actor: cause.actor.name(None) };
        self.metrics.job_run(job.as_str(), outcome.as_str());
        if outcome == RunOutcome::Succeeded {
            self.metrics.job_succeeded(job.as_str(), finished_at.timestamp());
        }
        if let Err(cause) = self.store.finish_job(job, &run).await {
            warn!(%job, %cause, "how a job went could not be written down");
        }
        Finished { run, done }
    }

    /// All nodes tell the same of the last success, whichever of them had it.
    fn note_success(&self, job: Job, record: &JobRecord) {
        if let Some(at) = record.succeeded_at {
            self.metrics.job_succeeded(job.as_str(), at.timestamp());
        }
    }
}

/// When a job is due by itself, if it has ever begun. What began in the future did not: nobody may be kept from it until then.
fn due_at(record: &JobRecord, every: TimeDelta, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let begun_at = record.begun_at.filter(|begun_at| *begun_at <= now + AHEAD)?;
    // One that is still at it is not disturbed: it holds the lease.
    let is_done =
        record.last.as_ref().is_some_and(|last| last.started_at >= begun_at && last.outcome == RunOutcome::Succeeded);
    Some(begun_at + if is_done { every } else { every.min(RETRY) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: TimeDelta = TimeDelta::hours(1);

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn record(begun_at: DateTime<Utc>, last: Option<(DateTime<Utc>, DateTime<Utc>, RunOutcome)>) -> JobRecord {
        let run = |(started_at, finished_at, outcome)| Run {
            started_at,
            finished_at,
            outcome,
            detail: String::new(),
            actor: "system".to_owned(),
        };
        JobRecord { begun_at: Some(begun_at), last: last.map(run), succeeded_at: None }
    }

    #[test]
    fn what_is_over_is_due_after_the_interval_and_sooner_where_it_failed() {
        assert_eq!(due_at(&JobRecord::default(), HOUR, at(0)), None);
        let over = |outcome| record(at(0), Some((at(0), at(3), outcome)));
        assert_eq!(due_at(&over(RunOutcome::Succeeded), HOUR, at(5)), Some(at(60)));
        assert_eq!(due_at(&over(RunOutcome::Failed), HOUR, at(5)), Some(at(1)));
        assert_eq!(due_at(&over(RunOutcome::Interrupted), HOUR, at(5)), Some(at(1)));
    }

    #[test]
    fn what_was_begun_and_never_ended_is_due_again_soon() {
        assert_eq!(due_at(&record(at(0), None), HOUR, at(5)), Some(at(1)));
        let later = record(at(60), Some((at(0), at(3), RunOutcome::Succeeded)));
        assert_eq!(due_at(&later, HOUR, at(60)), Some(at(61)));
        assert_eq!(due_at(&later, TimeDelta::seconds(10), at(60)), Some(at(60) + TimeDelta::seconds(10)));
    }

    #[test]
    fn what_somebody_with_a_wrong_clock_has_begun_keeps_nobody_from_it() {
        let ahead = record(at(600), Some((at(600), at(600), RunOutcome::Succeeded)));
        assert_eq!(due_at(&ahead, HOUR, at(0)), None);
        // Nodes need not agree on the second.
        let a_little = record(at(1), Some((at(1), at(1), RunOutcome::Succeeded)));
        assert_eq!(due_at(&a_little, HOUR, at(0)), Some(at(61)));
    }
}
