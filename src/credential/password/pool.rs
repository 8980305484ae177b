//! Where passwords are hashed: a few threads of their own, a queue with an end, and the memory they work in.
//!
//! A place belongs to the work, not to whoever asked for it: somebody who goes away frees neither the thread that is at
//! it nor its memory. What has not been begun when they go is left undone.

use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::PasswordError;
use super::memory::{Ledger, Memory};

/// How long a thread without work keeps its memory.
const IDLE: Duration = Duration::from_mins(1);
/// The least and the most that somebody is told to wait.
const WAIT: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::seconds(30));

/// What a piece of work needs besides a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing, or the memory that the thread has anyway.
    Own,
    /// Other memory. Only one piece of work at a time gets it.
    Other,
}

/// The threads, as long as somebody holds them.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rings when there is something to begin, and at the end.
    bell: Condvar,
    ledger: Arc<Ledger>,
    threads: u32,
    queue: usize,
}

#[derive(Debug, Default)]
struct State {
    own: VecDeque<Job>,
    other: VecDeque<Job>,
    is_other_taken: bool,
    running: usize,
    /// How many have ever been queued.
    queued: u64,
    /// How long a piece of work takes, of late.
    pace: Duration,
    is_stopping: bool,
}

struct Job {
    number: u64,
    /// Whoever waits for it.
    caller: Weak<()>,
    work: Box<dyn FnOnce(&mut Memory) + Send>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts so many threads, each with so much memory of its own, and a queue for so many.
    pub(super) fn start(threads: usize, memory_kib: u32, queue: usize) -> io::Result<Self> {
        let ledger = Arc::new(Ledger::default());
        let count = u32::try_from(threads).unwrap_or(u32::MAX);
        let shared = Shared { state: Mutex::default(), bell: Condvar::new(), ledger, threads: count, queue };
        let mut pool = Self { shared: Arc::new(shared), threads: Vec::with_capacity(threads) };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            let memory = Memory::new(memory_kib, Arc::clone(&shared.ledger));
            let thread = thread::Builder::new().name(format!("password-{number}"));
            pool.threads.push(thread.spawn(move || {
                step_back();
                shared.work_off(memory);
            })?);
        }
        Ok(pool)
    }

    /// Has a thread do this, if there is still a place in the queue.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (reply, answer) = oneshot::channel();
        let presence = Arc::new(());
        let work = Box::new(move |memory: &mut Memory| {
            // Nobody may be left to hear it.
            let _ = reply.send(work(memory));
        });
        self.shared.queue(place, Arc::downgrade(&presence), work)?;
        let answer = answer.await;
        drop(presence);
        // Whoever waits here keeps the threads alive: there is no answer only where the work came to grief.
        answer.map_err(|_| PasswordError::Failed)
    }

    /// How many threads are at work.
    pub(super) fn running(&self) -> usize {
        self.shared.state.lock().running
    }

    /// How many there are.
    pub(super) const fn threads(&self) -> usize {
        self.threads.len()
    }

    /// How much waits for one.
    pub(super) fn waiting(&self) -> usize {
        self.shared.state.lock().waiting()
    }

    /// What is known of the memory.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }
}

impl Drop for Pool {
    /// Ends the threads. Each finishes what it is at, which takes as long as one hash. Nobody waits for anything by now.
    fn drop(&mut self) {
        self.shared.state.lock().is_stopping = true;
        self.shared.bell.notify_all();
        for thread in self.threads.drain(..) {
            // Work that panics is caught, so there is nothing to hear of the thread.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(
        &self,
        place: Place,
        caller: Weak<()>,
        work: Box<dyn FnOnce(&mut Memory) + Send>,
    ) -> Result<(), PasswordError> {
        let mut state = self.state.lock();
        if state.waiting() >= self.queue {
            // Those whose callers have gone do not count.
            state.own.retain(Job::is_wanted);
            state.other.retain(Job::is_wanted);
        }
        if state.waiting() >= self.queue {
            return Err(PasswordError::Busy { retry_after: self.wait(&state) });
        }
        let job = Job { number: state.queued, caller, work };
        state.queued += 1;
        match place {
            Place::Own => state.own.push_back(job),
            Place::Other => state.other.push_back(job),
        }
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// How long it takes until what waits now has been done.
    fn wait(&self, state: &State) -> TimeDelta {
        let ahead = u32::try_from(state.waiting()).unwrap_or(u32::MAX);
        let wait = TimeDelta::from_std(state.pace.saturating_mul(ahead) / self.threads.max(1)).unwrap_or(WAIT.1);
        wait.clamp(WAIT.0, WAIT.1)
    }

    /// What one thread does all its life.
    fn work_off(&self, mut memory: Memory) {
        while let Some((place, job)) = self.next(&mut memory) {
            let begun = Instant::now();
            // A fault in a library costs this caller an answer, not all others a thread.
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| (job.work)(&mut memory)));
            if outcome.is_err() {
                memory.release();
            }
            self.done(place, begun.elapsed());
        }
    }

    /// The next piece of work that somebody still waits for; nothing once the end has come.
    fn next(&self, memory: &mut Memory) -> Option<(Place, Job)> {
        let mut state = self.state.lock();
        loop {
            if state.is_stopping {
                return None;
            }
            match state.take() {
                Some((place, job)) if job.is_wanted() => {
                    state.running += 1;
                    state.is_other_taken |= place == Place::Other;
                    return Some((place, job));
                }
                Some(_) => {}
                None => {
                    if self.bell.wait_for(&mut state, IDLE).timed_out() {
                        memory.release();
                    }
                }
            }
        }
    }

    fn done(&self, place: Place, took: Duration) {
        let mut state = self.state.lock();
        state.running -= 1;
        state.pace = if state.pace.is_zero() { took } else { (state.pace * 7 + took) / 8 };
        if place == Place::Other {
            state.is_other_taken = false;
            drop(state);
            // Another thread may be asleep although something waits for this place.
            self.bell.notify_one();
        }
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.own.len() + self.other.len()
    }

    /// The oldest that can be begun: what needs other memory is passed over while that is taken.
    fn take(&mut self) -> Option<(Place, Job)> {
        let other = self.other.front().filter(|_| !self.is_other_taken).map(|job| job.number);
        match (self.own.front().map(|job| job.number), other) {
            (Some(own), Some(other)) if other < own => self.other.pop_front().map(|job| (Place::Other, job)),
            (None, Some(_)) => self.other.pop_front().map(|job| (Place::Other, job)),
            (Some(_), _) => self.own.pop_front().map(|job| (Place::Own, job)),
            (None, None) => None,
        }
    }
}

impl Job {
    fn is_wanted(&self) -> bool {
        self.caller.strong_count() > 0
    }
}

/// Lets everything else go first: introspection must stay fast while many people sign in.
#[cfg(target_os = "linux")]
fn step_back() {
    /// A tenth of the weight of other threads, so that hashing goes on even where there is no idle core.
    const NICENESS: i32 = 10;
    // On Linux this is about the calling thread alone (sched(7), "The nice value").
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "the threads that hash passwords could not be given a lower priority");
    }
}

/// Elsewhere priority belongs to the process.
#[cfg(not(target_os = "linux"))]
const fn step_back() {}

#[cfg(test)]
mod tests;
