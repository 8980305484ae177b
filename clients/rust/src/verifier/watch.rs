//! Follows the revocations as the service tells of them. Owns what a stream's events mean, and when to begin another one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use countersign_token::{Revocation, Target};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status, Streaming};

use super::Core;
use super::view::View;
use crate::backoff::Backoff;
use crate::proto::v1::watch_revocations_response::Event;
use crate::proto::v1::{self, ErrorReason, revocation};
use crate::status::{reason, retry_after};

/// After so many heartbeats that did not come the stream is taken for dead.
const MISSED: u32 = 3;
/// A cursor that lies further ahead of this clock comes from a node whose clock is fast. What other nodes take back before that
/// moment would be left out if one went on from there.
const AHEAD: TimeDelta = TimeDelta::seconds(5);
/// How often what has expired is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(30);

/// Where a reader of the stream stands.
#[derive(Debug, Default)]
struct Reader {
    /// From where to go on.
    cursor: Option<String>,
    /// A snapshot that is not complete yet.
    snapshot: Option<View>,
    /// What was said last of why nothing can be followed, so that it is not said each second.
    complaint: Option<Complaint>,
}

/// What an operator has to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    /// The caller may not watch, or the service does not know how to be watched.
    MayNot(Code),
    /// What is told is old when it arrives.
    Old,
}

/// What an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The stream lives, and everything is known up to a moment.
    Checkpoint,
    /// Part of a snapshot, which is long in coming where much has been taken back.
    Part,
    /// Anything else.
    Other,
}

/// Follows until the task is ended.
pub(super) async fn follow(core: Arc<Core>) {
    let mut reader = Reader::default();
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        let status = read_stream(&core, &mut reader, &mut backoff).await;
        reader.snapshot = None;
        if status.code() == Code::OutOfRange && reason(&status) == Some(ErrorReason::CursorTooOld) {
            tracing::debug!("too much has happened since; a new snapshot is taken");
            reader.cursor = None;
        } else if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented) {
            reader.complain(Complaint::MayNot(status.code()));
        } else {
            tracing::debug!(code = ?status.code(), message = status.message(), "the stream of revocations has ended");
        }
        tokio::time::sleep(backoff.pause(retry_after(&status))).await;
    }
}

/// Reads one stream to its end, and tells what that was.
async fn read_stream(core: &Core, reader: &mut Reader, backoff: &mut Backoff) -> Status {
    let mut stream = match begin(core, reader).await {
        Ok(stream) => stream,
        Err(status) => return status,
    };
    let patience = core.heartbeat * MISSED;
    let mut deadline = Instant::now() + patience;
    let mut forget_at = Instant::now() + FORGET_EVERY;
    loop {
        let event = match timeout_at(deadline, stream.message()).await {
            Err(_) => return Status::deadline_exceeded("no checkpoint came in time"),
            Ok(Err(status)) => return status,
            Ok(Ok(None)) => return Status::unavailable("the stream was closed"),
            Ok(Ok(Some(message))) => message.event,
        };
        match event.map_or(Ok(Told::Other), |event| reader.take(core, event)) {
            Err(status) => return status,
            Ok(Told::Other) => {}
            Ok(Told::Part) => deadline = Instant::now() + patience,
            Ok(Told::Checkpoint) => {
                deadline = Instant::now() + patience;
                backoff.reset();
                core.revocations.tell();
                if core.revocations.view().age(&core.clock) > core.bound {
                    reader.complain(Complaint::Old);
                } else {
                    reader.complaint = None;
                }
                if Instant::now() >= forget_at {
                    core.revocations.view().forget_expired(&core.clock);
                    forget_at = Instant::now() + FORGET_EVERY;
                }
            }
        }
    }
}

async fn begin(core: &Core, reader: &Reader) -> Result<Streaming<v1::WatchRevocationsResponse>, Status> {
    let request = v1::WatchRevocationsRequest {
        cursor: reader.cursor.clone().unwrap_or_default(),
        heartbeat: prost_types::Duration::try_from(core.heartbeat).ok(),
    };
    let mut tokens = core.connection.tokens();
    match timeout(core.connection.call_timeout(), tokens.watch_revocations(request)).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no stream came in time")),
    }
}

impl Reader {
    fn complain(&mut self, complaint: Complaint) {
        if self.complaint.replace(complaint) == Some(complaint) {
            return;
        }
        match complaint {
            Complaint::MayNot(code) => {
                tracing::error!(?code, "revocations cannot be followed; the caller needs the permission `watch`");
            }
            Complaint::Old => tracing::warn!(
                "what is told of revocations is older than the bound: clocks are too far apart, or the service has lost its \
                 database"
            ),
        }
    }

    fn take(&mut self, core: &Core, event: Event) -> Result<Told, Status> {
        match event {
            Event::SnapshotBegin(_) => {
                self.snapshot = Some(View::default());
                Ok(Told::Part)
            }
            Event::Revocation(told) => {
                // What cannot be read cannot be held against a token. Without a checkpoint the knowledge goes stale.
                let revocation = read(&told).ok_or_else(|| Status::data_loss("a revocation cannot be read"))?;
                let current = core.revocations.view();
                let Some(snapshot) = &self.snapshot else {
                    current.apply(&revocation);
                    return Ok(Told::Other);
                };
                snapshot.apply(&revocation);
                // The former view goes on judging until the snapshot is complete, if it may judge at all.
                if current.age(&core.clock) <= core.bound {
                    current.apply(&revocation);
                }
                Ok(Told::Part)
            }
            Event::Checkpoint(checkpoint) => {
                let as_of = checkpoint.as_of.as_ref().and_then(moment);
                let as_of = as_of.ok_or_else(|| Status::data_loss("a checkpoint without a time"))?;
                if self.complete(core, as_of) {
                    self.cursor = (as_of - core.clock.now() <= AHEAD).then_some(checkpoint.cursor);
                }
                Ok(Told::Checkpoint)
            }
        }
    }

    /// Takes a checkpoint in. Returns whether the current view now has all that came before it.
    fn complete(&mut self, core: &Core, as_of: DateTime<Utc>) -> bool {
        let current = core.revocations.view();
        let Some(snapshot) = self.snapshot.take() else {
            current.complete(as_of, &core.clock);
            return true;
        };
        snapshot.complete(as_of, &core.clock);
        // A node that knows less than what is known here already has to catch up first: nothing that was refused may be
        // accepted again. But what is too old to be trusted is not worth waiting for.
        if as_of < current.as_of() && current.age(&core.clock) <= core.bound {
            self.snapshot = Some(snapshot);
            return false;
        }
        core.revocations.replace(snapshot);
        true
    }
}

fn read(told: &v1::Revocation) -> Option<Revocation> {
    let target = match told.target.as_ref()? {
        revocation::Target::TokenId(id) => Target::Token(id.parse().ok()?),
        revocation::Target::SessionId(id) => Target::Session(id.parse().ok()?),
        revocation::Target::AccountId(id) => Target::Account(id.parse().ok()?),
    };
    // Only an account's cut-off needs its time.
    let revoked_at = match (&told.revoked_at, target) {
        (Some(revoked_at), _) => moment(revoked_at)?,
        (None, Target::Account(_)) => return None,
        (None, Target::Token(_) | Target::Session(_)) => DateTime::UNIX_EPOCH,
    };
    Some(Revocation { target, revoked_at, expires_at: moment(told.expires_at.as_ref()?)? })
}

fn moment(timestamp: &prost_types::Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)
}

#[cfg(test)]
mod tests;
