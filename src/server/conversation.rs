//! A connection from its first request to its end: it is told to go away when it is old, when the certificate behind it expires,
//! when what is sent over it is not read, and when the node stops.

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper_util::server::graceful::GracefulConnection;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::debug;

use super::calls::{Calls, farewell};
use super::limits::{GRACE, LOOK, SILENCE};
use crate::random::Random;
use crate::rpc::Readers;
use crate::shutdown::Shutdown;

/// Until when a connection may stay.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// When it is old.
    pub(super) old_at: Option<Instant>,
    /// When the client's certificate expires.
    pub(super) expires_at: Option<Instant>,
    /// Those that read long answers over it.
    pub(super) readers: Option<Arc<Readers>>,
    /// Whether something has been asked over it, where that is not told otherwise.
    pub(super) has_asked: Option<Arc<AtomicBool>>,
    /// Its calls that are at work.
    pub(super) calls: Calls,
}

/// What a node that stops means for a connection.
enum Stop {
    /// It is told to go away.
    Begins,
    /// It is cut off.
    Over,
}

/// When a connection that begins now is old: at about this age, so that those that began together do not end together.
pub(super) fn old_at(age: Duration) -> Instant {
    let percent = 90 + Random.below(21);
    Instant::now() + age / 100 * percent
}

/// Serves a connection until it ends by itself, or has to.
pub(super) async fn converse<C>(connection: C, terms: Terms, mut shutdown: Shutdown)
where
    C: GracefulConnection,
    C::Error: Display,
{
    let mut connection = pin!(connection);
    let began = Instant::now();
    let mut look = interval_at(began + LOOK, LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let over = farewell(shutdown.clone(), terms.calls.clone());
    let begins = async move { shutdown.requested().await };
    let stop: [BoxFuture<'_, Stop>; 2] = [begins.map(|()| Stop::Begins).boxed(), over.map(|()| Stop::Over).boxed()];
    // These are looked at when they say so themselves, and not with every frame: all workers would meet at one lock.
    let mut stop = FuturesUnordered::from_iter(stop);
    // It has been told to go away; some are cut off if they have not gone by then.
    let mut is_leaving = false;
    let mut cut_off_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                // Their fault, or that of the network between, and no news.
                if let Err(cause) = outcome {
                    debug!(%cause, "a connection ended early");
                }
                return;
            }
            Some(stop) = stop.next() => match stop {
                Stop::Over => return,
                Stop::Begins => {
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            },
            now = look.tick() => {
                if cut_off_at.is_some_and(|end| now >= end) {
                    debug!("a connection did not end in time");
                    return;
                }
                if now >= began + SILENCE && terms.has_asked.as_ref().is_some_and(|asked| !asked.load(Ordering::Relaxed)) {
                    debug!("a connection was silent for too long");
                    return;
                }
                let is_unread = terms.readers.as_ref().is_some_and(|readers| readers.have_stopped());
                let has_to_end = is_unread || terms.expires_at.is_some_and(|end| now >= end);
                if has_to_end && cut_off_at.is_none() {
                    debug!(is_unread, "a connection has to end");
                    cut_off_at = Some(now + GRACE);
                }
                if !is_leaving && (has_to_end || terms.old_at.is_some_and(|end| now >= end)) {
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
