//! Revocations as a stream of messages, for as long as somebody takes them in.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use tonic::Status;

use super::convert;
use crate::proto::v1;
use crate::token::Watch;

/// How often a checkpoint is sent where nothing is said of it, and what may be said.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
pub(super) const HEARTBEATS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);

/// What a watcher is told, and in the end why there is no more.
pub(super) type Told = Pin<Box<dyn Stream<Item = Result<v1::WatchRevocationsResponse, Status>> + Send>>;

/// Tells it message by message, each when the one before has found room on its way: who takes nothing in costs nothing more.
pub(super) fn told(watch: Watch) -> Told {
    Box::pin(unfold(Some(watch), async |watch| {
        let mut watch = watch?;
        Some(match watch.next().await {
            Ok(event) => (Ok(convert::told(event)), Some(watch)),
            Err(error) => (Err(error.into()), None),
        })
    }))
}
