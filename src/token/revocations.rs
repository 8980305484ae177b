//! Keeping a node's replica fresh: it follows what other nodes announce, and compares itself with the database every few
//! moments, so that a lost announcement delays nothing for long. Only the comparison vouches for freshness.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{debug, warn};
use uuid::Uuid;

use super::Replica;
use super::watch::{Cursor, News, Watch, WatchError};
use crate::cache::Cache;
use crate::clock::Clock;
use crate::model::{Revocation, Target};
use crate::store::{Store, StoreError};

/// Where changes are announced.
pub const TOPIC: &str = "changes";
/// How many rows one reading brings.
const PAGE: i64 = 10_000;
/// Numbers are given out in order, but transactions commit out of order. What was written this long ago is committed or never
/// will be: a statement is cut off after a few seconds, and so is a transaction that
/// idles.
const SETTLED_AFTER: Duration = Duration::from_secs(15);
/// The same for a node that has just started and has no past of its own: this many numbers below the highest may still appear.
const UNSETTLED_AT_START: i64 = 5_000;
/// How many announcements may wait for the cache. More are dropped: the comparison brings them.
const ANNOUNCEMENTS: usize = 10_000;

/// What one node tells the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Something was taken back.
    Revocation {
        /// Its kind.
        kind: String,
        /// Its identifier.
        id: Uuid,
        /// From when it counts.
        revoked_at: DateTime<Utc>,
        /// Until when.
        expires_at: DateTime<Utc>,
    },
    /// The callers are others than before.
    Callers,
    /// The signing keys are others than before.
    SigningKeys,
}

/// The way of changes to this node and from it.
#[derive(Debug)]
pub struct Revocations {
    replica: Arc<Replica>,
    store: Store,
    clock: Clock,
    announcements: mpsc::Sender<Change>,
    settled: Mutex<Settled>,
    news: News,
    telling: Mutex<()>,
    /// One comparison at a time, so that an older one never sets back what a newer one has vouched for.
    comparing: tokio::sync::Mutex<()>,
}

/// How far the database has been read, and since when.
#[derive(Debug, Default)]
struct Settled {
    /// Nothing at or below this number can appear any more.
    below: i64,
    /// The highest number seen at each reading since then.
    seen: VecDeque<(Instant, i64)>,
}

impl Revocations {
    /// Announces through `cache`, from a task of its own: the caller never waits for it. Tells at most so many watchers.
    #[must_use]
    pub fn new(replica: Arc<Replica>, store: Store, cache: Cache, clock: Clock, most_watchers: usize) -> Self {
        let (announcements, mut waiting) = mpsc::channel::<Change>(ANNOUNCEMENTS);
        tokio::spawn(async move {
            while let Some(change) = waiting.recv().await {
                let Ok(payload) = serde_json::to_vec(&change) else { continue };
                if let Err(error) = cache.publish(TOPIC, &payload).await {
                    debug!(%error, "an announcement was lost; other nodes learn of it from the database");
                }
            }
        });
        Self {
            replica,
            store,
            clock,
            announcements,
            settled: Mutex::default(),
            news: News::new(most_watchers),
            telling: Mutex::default(),
            comparing: tokio::sync::Mutex::default(),
        }
    }

    /// Makes committed revocations count: on this node now, on the others as soon as they hear of it.
    pub fn apply(&self, revocations: &[Revocation]) {
        for revocation in revocations {
            self.take_in(revocation);
            self.announce(Change::Revocation {
                kind: revocation.target.kind().to_owned(),
                id: revocation.target.id(),
                revoked_at: revocation.revoked_at,
                expires_at: revocation.expires_at,
            });
        }
    }

    /// Tells the other nodes of a change.
    pub fn announce(&self, change: Change) {
        if self.announcements.try_send(change).is_err() {
            warn!("too many changes to announce; other nodes learn of this one from the database");
        }
    }

    /// Takes in what another node announced. Tells what it was, where it is not a revocation.
    pub fn hear(&self, payload: &[u8]) -> Option<Change> {
        let change = serde_json::from_slice(payload).ok()?;
        let Change::Revocation { kind, id, revoked_at, expires_at } = &change else { return Some(change) };
        if let Some(target) = Target::from_parts(kind, *id) {
            self.take_in(&Revocation { target, revoked_at: *revoked_at, expires_at: *expires_at });
        }
        None
    }

    /// Compares the replica with the database. After this it knows everything that was committed when this began.
    pub async fn reconcile(&self) -> Result<(), StoreError> {
        let _alone = self.comparing.lock().await;
        let (began, began_at) = (Instant::now(), self.clock.now());
        if began_at < self.replica.as_of() {
            // The clock was set back: what seemed expired may have been dropped, and counts again.
            *self.settled.lock() = Settled::default();
            self.news.forget_times(began_at);
        }
        let mut behind = self.settled.lock().below;
        loop {
            let page = self.store.revocations_after(behind, began_at, PAGE).await?;
            for row in &page {
                self.take_in(&row.revocation);
                behind = behind.max(row.seq);
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                break;
            }
        }
        let mut settled = self.settled.lock();
        if self.store.numbers_in_order() {
            settled.below = behind;
        } else {
            settled.note(began, behind);
        }
        drop(settled);
        self.replica.set_as_of(began_at);
        self.news.tell_up_to(began_at);
        Ok(())
    }

    /// Forgets what has expired.
    pub fn forget_expired(&self) {
        let expired = self.clock.now() - TimeDelta::seconds(1);
        self.replica.forget_expired(expired);
        self.news.forget_expired(expired);
    }

    /// Begins to tell somebody what is taken back: from a cursor, or everything.
    pub fn watch(&self, since: Option<Cursor>, heartbeat: Duration) -> Result<Watch, WatchError> {
        self.news.watch(&self.replica, since, heartbeat, self.clock.now())
    }

    /// How many watch.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.news.watchers()
    }

    /// Ends all watching, now and from now on.
    pub fn end_watches(&self) {
        self.news.end();
    }

    /// What is known has been told: whoever finds a revocation known here comes after the one who told of it. Those who judge
    /// tokens wait for none of it.
    fn take_in(&self, revocation: &Revocation) {
        let _in_order = self.telling.lock();
        if self.replica.apply(revocation) {
            self.news.tell(*revocation, self.clock.now());
        }
    }
}

impl Settled {
    fn note(&mut self, at: Instant, highest: i64) {
        if self.seen.is_empty() {
            self.below = self.below.max(highest - UNSETTLED_AT_START);
        }
        self.seen.push_back((at, highest));
        while let Some((_, number)) = self.seen.front().filter(|(then, _)| at.duration_since(*then) > SETTLED_AFTER) {
            self.below = *number;
            self.seen.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_a_moment_ago_is_read_again() {
        let mut settled = Settled::default();
        let start = Instant::now();
        settled.note(start, 10_000);
        settled.note(start + Duration::from_secs(8), 10_020);
        assert_eq!(settled.below, 5_000);
        settled.note(start + Duration::from_secs(16), 10_030);
        assert_eq!(settled.below, 10_000);
        settled.note(start + Duration::from_secs(200), 10_040);
        assert_eq!(settled.below, 10_030);
    }
}
