//! Revocations as a stream of messages, for as long as somebody takes them in.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use tonic::Status;

use super::{convert, status};
use crate::app::App;
use crate::model::{Caller, Permission};
use crate::proto::v1;
use crate::token::{Event, Watch};

/// How often a checkpoint is sent where nothing is said of it, and what may be said.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
pub(super) const HEARTBEATS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);

/// What a watcher is told, and in the end why there is no more.
pub(super) type Told = Pin<Box<dyn Stream<Item = Result<v1::WatchRevocationsResponse, Status>> + Send>>;

/// Tells it message by message, each when the one before has found room on its way: who takes nothing in costs nothing more.
/// Whoever takes nothing in for long loses the connection (`server/conversation.rs`).
/// With each checkpoint it is asked whether the caller may still watch.
pub(super) fn told(app: Arc<App>, caller: Arc<Caller>, watch: Watch) -> Told {
    Box::pin(unfold(Some(watch), move |watch| {
        let (app, caller) = (Arc::clone(&app), Arc::clone(&caller));
        async move {
            let mut watch = watch?;
            let event = match watch.next().await {
                Ok(event @ Event::Checkpoint(_)) => may_watch(&app, &caller).map(|()| event),
                other => other.map_err(Status::from),
            };
            Some(match event {
                Ok(event) => (Ok(convert::told(event)), Some(watch)),
                Err(status) => (Err(status), None),
            })
        }
    }))
}

/// The caller may have been deleted since, or its key replaced because somebody else has it.
fn may_watch(app: &App, caller: &Caller) -> Result<(), Status> {
    match app.callers.now(caller) {
        None => Err(status::api_key_invalid()),
        Some(caller) if caller.permissions.contains(Permission::Watch) => Ok(()),
        Some(_) => Err(status::permission_denied()),
    }
}
