//! Topics in Redis. Owns following a stream: the place in it, resuming after a loss, noticing what is missing. Leaves
//! publishing to the cache, and opening connections to [`line`](super::line).
//!
//! `XREAD` is only the bell. What was written is read by `XRANGE` from the last entry seen, that entry included: if it is
//! still there, nothing before the rest was lost; if it is gone, the stream was trimmed, emptied or rolled back. An entry
//! is known by its number and a random mark, because an emptied stream may give the same number again.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::StreamsInterface;
use fred::types::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::line::{Address, Backoff, Line, until_closed};
use crate::cache::Signal;
use crate::random::Random;

/// The field of a stream entry that holds the mark and then the message.
pub(super) const FIELD: &str = "m";
/// Length of the random mark in front of every message.
const MARK: usize = 8;

/// How long Redis holds a question for news. As often at least the place is checked, since no bell tells of a loss.
const BELL: Duration = Duration::from_secs(1);
/// How long an answer may take beyond that, before the connection counts as lost.
const BELL_SLACK: Duration = Duration::from_millis(500);
/// Entries read at a time.
const PAGE: usize = 256;

/// An entry as it is read: its number and its fields.
type Entry = (String, HashMap<String, Bytes>);

/// What is written for a message.
pub(super) fn marked(message: &[u8]) -> Bytes {
    [Random.bytes::<MARK>().as_slice(), message].concat().into()
}

/// A subscription's end of the task that follows a stream.
#[derive(Debug)]
pub(in crate::cache) struct Following {
    signals: mpsc::Receiver<Signal>,
    ready: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Following {
    pub(super) fn start(runtime: &Handle, address: Address, key: String, closed: watch::Receiver<bool>) -> Self {
        let (sender, signals) = mpsc::channel(PAGE);
        let (ready_sender, ready) = watch::channel(false);
        let follower = Follower { key, place: None, missed: false, signals: sender, ready: ready_sender };
        let task = runtime.spawn(until_closed(closed, async move { follower.run(&address).await }));
        Self { signals, ready, task: task.abort_handle() }
    }

    pub(in crate::cache) async fn ready(&mut self) {
        // An error means that the task has ended: there is nothing left to wait for.
        let _ = self.ready.wait_for(|ready| *ready).await;
    }

    pub(in crate::cache) async fn next(&mut self) -> Signal {
        match self.signals.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Up to where a stream has been seen.
enum Place {
    /// It was empty: whatever is in it now is new.
    Start,
    /// Up to the entry with this number and content.
    At(String, Bytes),
}

struct Follower {
    key: String,
    /// Unknown until the first connection.
    place: Option<Place>,
    /// A connection was lost or never came up, and that has not been reported yet.
    missed: bool,
    signals: mpsc::Sender<Signal>,
    ready: watch::Sender<bool>,
}

impl Follower {
    async fn run(mut self, address: &Address) {
        let mut backoff = Backoff::new();
        loop {
            let error = match Line::open(address, BELL + BELL_SLACK).await {
                Ok(line) => match self.follow(&line.client, &mut backoff).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            tracing::debug!(key = self.key, reason = %address.reason(&error), "lost the stream");
            self.missed = true;
            backoff.wait().await;
        }
    }

    /// Follows the stream over one connection, until that is lost. Ends well when nobody listens any more.
    async fn follow(&mut self, client: &Client, backoff: &mut Backoff) -> Result<(), Error> {
        if self.place.is_none() {
            self.place = Some(newest(client, &self.key).await?);
        }
        *backoff = Backoff::new();
        self.ready.send_replace(true);
        loop {
            let entries = self.read_on(client).await?;
            // Reported only now that the place is known, so that nothing published after the report can be missed.
            if std::mem::take(&mut self.missed) && self.signals.send(Signal::Gap).await.is_err() {
                return Ok(());
            }
            let more = entries.len() >= PAGE - 1;
            for (id, content) in entries {
                let message = content.get(MARK..).map(<[u8]>::to_vec);
                self.place = Some(Place::At(id, content));
                // What is too short was written by somebody else.
                let Some(message) = message else { continue };
                if self.signals.send(Signal::Message(message)).await.is_err() {
                    return Ok(());
                }
            }
            if !more {
                self.bell(client).await?;
            }
        }
    }

    /// What was written since the place, after checking that the place still exists.
    async fn read_on(&mut self, client: &Client) -> Result<Vec<(String, Bytes)>, Error> {
        let from = match &self.place {
            Some(Place::At(id, _)) => id.as_str(),
            Some(Place::Start) | None => "-",
        };
        let entries: Vec<Entry> = client.xrange_values(self.key.as_str(), from, "+", Some(PAGE as u64)).await?;
        let mut entries: Vec<_> = entries.into_iter().map(content).collect();
        let Some(Place::At(id, seen)) = &self.place else { return Ok(entries) };
        if entries.first().is_some_and(|first| first.0 == *id && first.1 == *seen) {
            entries.remove(0);
        } else {
            self.missed = true;
            // Nothing follows: a new or rolled-back stream may number its entries below our place, so go to its end.
            if entries.is_empty() {
                self.place = Some(newest(client, &self.key).await?);
            }
        }
        Ok(entries)
    }

    /// Waits for news, or until it is time to check the place.
    async fn bell(&self, client: &Client) -> Result<(), Error> {
        let from = match &self.place {
            Some(Place::At(id, _)) => id.as_str(),
            Some(Place::Start) | None => "0-0",
        };
        let millis = u64::try_from(BELL.as_millis()).unwrap_or(u64::MAX);
        client.xread::<Value, _, _>(Some(1), Some(millis), self.key.as_str(), from).await?;
        Ok(())
    }
}

/// The end of the stream as it is now.
async fn newest(client: &Client, key: &str) -> Result<Place, Error> {
    let last: Vec<Entry> = client.xrevrange_values(key, "+", "-", Some(1)).await?;
    let last = last.into_iter().next().map(content);
    Ok(last.map_or(Place::Start, |(id, content)| Place::At(id, content)))
}

/// An entry's number and content.
fn content((id, mut fields): Entry) -> (String, Bytes) {
    (id, fields.remove(FIELD).unwrap_or_default())
}
