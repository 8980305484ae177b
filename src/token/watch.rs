//! What has been taken back, told to whoever watches: all of it at first, then each change as it happens, and again what
//! somebody has missed who was away for a while.
//!
//! A watcher holds a place in one row of news that all share, so that thousands of them cost little more than one. Whoever
//! falls behind the end of that row is told so and has to begin again.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};

use super::Replica;
use crate::model::{LEEWAY_LIMIT, Revocation};

/// How far a watcher may be behind, in news. A burst must fit: a comparison with the database brings 10,000 at a time.
const ROW: usize = 16_384;
/// How many of the last changes are kept for those who come back.
const RECENT: usize = 65_536;
/// How many of these are copied for a watcher at a time: whoever reads slowly holds no more of them.
const MISSED_AT_A_TIME: usize = 256;
/// What a cursor begins with, so that another form can be told from this one.
const CURSOR_VERSION: u8 = 1;

/// The news of one node.
#[derive(Debug)]
pub(super) struct News {
    row: broadcast::Sender<Told>,
    recent: Arc<Mutex<Recent>>,
    watchers: Arc<AtomicUsize>,
    most_watchers: usize,
    leaving: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Revocation(Revocation),
    /// Everything up to here has been told.
    UpTo(DateTime<Utc>),
    /// The node stops.
    End,
}

/// The last changes, with when this node learnt of each. They are numbered in that order.
#[derive(Debug)]
struct Recent {
    changes: VecDeque<(DateTime<Utc>, Revocation)>,
    /// The number of the first that is kept.
    first: u64,
    /// Below this number some are gone that could still matter.
    lost_below: u64,
    /// Of what was learnt up to here, something may be missing.
    incomplete_up_to: DateTime<Utc>,
}

/// Up to when a watcher knows everything. It holds on every node: what was committed later, each node has learnt of later, as
/// far as their clocks agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(DateTime<Utc>);

/// A text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the cursor of a checkpoint")]
pub struct InvalidCursor;

/// The next thing that a watcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All that can still matter follows, up to the next checkpoint.
    SnapshotBegin,
    /// Something was taken back.
    Revocation(Revocation),
    /// Everything that was committed before this has been told.
    Checkpoint(DateTime<Utc>),
}

/// Why there is nothing to be told, or nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Nobody knows here what happened since.
    #[error("the cursor is older than what is remembered")]
    CursorTooOld,
    /// The watcher took in less than there was to tell.
    #[error("the watcher was left behind")]
    TooSlow,
    /// There are as many watchers as there may be.
    #[error("there are too many watchers")]
    TooMany,
    /// The node stops.
    #[error("the node is leaving")]
    Leaving,
}

/// One watcher.
#[derive(Debug)]
pub struct Watch {
    replica: Arc<Replica>,
    recent: Arc<Mutex<Recent>>,
    news: broadcast::Receiver<Told>,
    /// What has still to be told before the news.
    first: First,
    as_of: DateTime<Utc>,
    heartbeat: Interval,
    _counted: Counted,
}

#[derive(Debug)]
enum First {
    /// All that is known, part by part.
    Snapshot {
        begun: bool,
        part: usize,
        waiting: std::vec::IntoIter<Revocation>,
    },
    /// What was missed: what was learnt from a time on, up to a number.
    Missed {
        from: DateTime<Utc>,
        next: u64,
        end: u64,
        waiting: std::vec::IntoIter<Revocation>,
    },
    Nothing,
}

/// One of the watchers.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl News {
    /// For so many watchers at most.
    pub(super) fn new(most_watchers: usize) -> Self {
        let incomplete_up_to = DateTime::UNIX_EPOCH;
        let recent = Recent { changes: VecDeque::new(), first: 0, lost_below: 0, incomplete_up_to };
        Self {
            row: broadcast::Sender::new(ROW),
            recent: Arc::new(Mutex::new(recent)),
            watchers: Arc::default(),
            most_watchers,
            leaving: AtomicBool::new(false),
        }
    }

    /// Tells of a change, as soon as it counts here.
    pub(super) fn tell(&self, revocation: Revocation, now: DateTime<Utc>) {
        self.recent.lock().note(now, revocation);
        // Nobody may be listening.
        let _ = self.row.send(Told::Revocation(revocation));
    }

    /// Tells that everything up to a moment has been told.
    pub(super) fn tell_up_to(&self, as_of: DateTime<Utc>) {
        let _ = self.row.send(Told::UpTo(as_of));
    }

    /// Ends all watching, now and from now on.
    pub(super) fn end(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        let _ = self.row.send(Told::End);
    }

    /// Forgets changes that no token can need any more.
    pub(super) fn forget_expired(&self, now: DateTime<Utc>) {
        let mut recent = self.recent.lock();
        while recent.changes.front().is_some_and(|(_, revocation)| revocation.expires_at <= now) {
            recent.changes.pop_front();
            recent.first += 1;
        }
    }

    /// The clock was set back: what was learnt when cannot be told any more.
    pub(super) fn forget_times(&self, now: DateTime<Utc>) {
        let mut recent = self.recent.lock();
        recent.first += recent.changes.len() as u64;
        recent.lost_below = recent.first;
        recent.changes.clear();
        // A cursor of the time before can lie in what is to come, as far as clocks may differ.
        recent.incomplete_up_to = now + LEEWAY_LIMIT;
    }

    /// How many watch.
    pub(super) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Begins to tell: from a cursor, or everything.
    pub(super) fn watch(
        &self,
        replica: &Arc<Replica>,
        since: Option<Cursor>,
        heartbeat: Duration,
        now: DateTime<Utc>,
    ) -> Result<Watch, WatchError> {
        let counted = Counted(Arc::clone(&self.watchers));
        if self.watchers.fetch_add(1, Ordering::Relaxed) >= self.most_watchers {
            return Err(WatchError::TooMany);
        }
        // The place in the row first, then how much is known, then what: nothing falls between them, and nothing is promised
        // that has not been told.
        let news = self.row.subscribe();
        if self.leaving.load(Ordering::SeqCst) {
            return Err(WatchError::Leaving);
        }
        let as_of = replica.as_of();
        let first = match since {
            None => First::Snapshot { begun: false, part: 0, waiting: Vec::new().into_iter() },
            Some(cursor) => self.recent.lock().since(cursor, now)?,
        };
        let mut heartbeat = tokio::time::interval(heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        let (replica, recent) = (Arc::clone(replica), Arc::clone(&self.recent));
        Ok(Watch { replica, recent, news, first, as_of, heartbeat, _counted: counted })
    }
}

impl Recent {
    fn note(&mut self, now: DateTime<Utc>, revocation: Revocation) {
        if self.changes.len() == RECENT
            && let Some((learnt, _)) = self.changes.pop_front()
        {
            self.first += 1;
            self.lost_below = self.first;
            self.incomplete_up_to = self.incomplete_up_to.max(learnt);
        }
        self.changes.push_back((now, revocation));
    }

    /// What was learnt since then. By another node's clock it may have been a little later than by this one's.
    fn since(&self, Cursor(then): Cursor, now: DateTime<Utc>) -> Result<First, WatchError> {
        let from = then - LEEWAY_LIMIT;
        // A cursor out of the future is none to trust: the clock has been set back since.
        if from <= self.incomplete_up_to || then > now + LEEWAY_LIMIT {
            return Err(WatchError::CursorTooOld);
        }
        let end = self.first + self.changes.len() as u64;
        Ok(First::Missed { from, next: self.first, end, waiting: Vec::new().into_iter() })
    }

    /// Some of what was learnt from a time on, from one number up to another, and the number to go on with.
    fn read(&self, from: DateTime<Utc>, next: u64, end: u64) -> Result<(Vec<Revocation>, u64), WatchError> {
        if next < self.lost_below {
            return Err(WatchError::CursorTooOld);
        }
        let mut found = Vec::new();
        let mut number = next.max(self.first);
        let begin = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        for (learnt, revocation) in self.changes.iter().skip(begin) {
            if number >= end || found.len() == MISSED_AT_A_TIME {
                break;
            }
            if *learnt >= from {
                found.push(*revocation);
            }
            number += 1;
        }
        Ok((found, number))
    }
}

impl Watch {
    /// Waits for the next thing to tell. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Event, WatchError> {
        if let Some(event) = self.first()? {
            return Ok(event);
        }
        loop {
            tokio::select! {
                biased;
                // First, so that a flood of news holds back no checkpoint.
                _ = self.heartbeat.tick() => return Ok(Event::Checkpoint(self.as_of)),
                told = self.news.recv() => match told {
                    Ok(Told::Revocation(revocation)) => return Ok(Event::Revocation(revocation)),
                    Ok(Told::UpTo(as_of)) => self.as_of = as_of,
                    Ok(Told::End) | Err(RecvError::Closed) => return Err(WatchError::Leaving),
                    Err(RecvError::Lagged(_)) => return Err(WatchError::TooSlow),
                },
            }
        }
    }

    /// What comes before the news, and the checkpoint after it.
    fn first(&mut self) -> Result<Option<Event>, WatchError> {
        loop {
            match &mut self.first {
                First::Nothing => return Ok(None),
                First::Snapshot { begun: begun @ false, .. } => {
                    *begun = true;
                    return Ok(Some(Event::SnapshotBegin));
                }
                First::Snapshot { part, waiting, .. } => {
                    if let Some(revocation) = waiting.next() {
                        return Ok(Some(Event::Revocation(revocation)));
                    }
                    if *part == Replica::PARTS {
                        break;
                    }
                    *waiting = self.replica.part(*part).into_iter();
                    *part += 1;
                }
                First::Missed { from, next, end, waiting } => {
                    if let Some(revocation) = waiting.next() {
                        return Ok(Some(Event::Revocation(revocation)));
                    }
                    if *next >= *end {
                        break;
                    }
                    let (some, behind) = self.recent.lock().read(*from, *next, *end)?;
                    // Those that have expired meanwhile are gone, and wanted by nobody.
                    *next = if some.is_empty() { *end } else { behind };
                    *waiting = some.into_iter();
                }
            }
        }
        self.first = First::Nothing;
        Ok(Some(Event::Checkpoint(self.as_of)))
    }
}

impl Cursor {
    /// The cursor of a checkpoint.
    #[must_use]
    pub const fn at(as_of: DateTime<Utc>) -> Self {
        Self(as_of)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [CURSOR_VERSION; 9];
        bytes[1..].copy_from_slice(&self.0.timestamp_micros().to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let micros = bytes.strip_prefix(&[CURSOR_VERSION]).and_then(|micros| micros.try_into().ok());
        let time = micros.and_then(|micros| DateTime::from_timestamp_micros(i64::from_be_bytes(micros)));
        // Earlier times are nobody's, and the bound leaves room to reckon with.
        time.filter(|time| *time >= DateTime::UNIX_EPOCH && time.timestamp() < LAST_SECOND)
            .map(Self)
            .ok_or(InvalidCursor)
    }
}

/// The last second of the year 9999, past which no calendar here goes.
const LAST_SECOND: i64 = 253_402_300_799;

#[cfg(test)]
mod tests;
