//! Calls that are turned away because of load, or because somebody takes more than they may.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tonic::{Code, Status};

use super::{SOON, limited, status, with};
use crate::load::{Exceeded, Shed};
use crate::proto::v1::ErrorReason;

impl From<Shed> for Status {
    fn from(shed: Shed) -> Self {
        let message = match shed {
            Shed::Full => "too many calls are being worked on",
            Shed::Late => "calls are answered late; those that are less urgent are turned away",
        };
        with(Code::ResourceExhausted, ErrorReason::Overloaded, message, |details| {
            details.set_retry_info(Some(SOON + spread()));
        })
    }
}

/// Those who are turned away together are not to come back together: each is told another moment of the next second.
fn spread() -> Duration {
    static TURN: AtomicU64 = AtomicU64::new(0);
    Duration::from_millis(TURN.fetch_add(1, Ordering::Relaxed) * 389 % 1_000)
}

impl From<Exceeded> for Status {
    fn from(Exceeded { limit, retry_after }: Exceeded) -> Self {
        let message = "this caller takes more of the service than it may";
        limited(ErrorReason::CallerLimited, message, limit, TimeDelta::microseconds(retry_after))
    }
}

/// The message is compressed in a way that is not read here.
pub(crate) fn compressed() -> Status {
    let message = "messages are read as they are; send them without compression";
    let mut refusal = status(Code::Unimplemented, ErrorReason::CompressionUnsupported, message);
    refusal.metadata_mut().insert("grpc-accept-encoding", tonic::metadata::MetadataValue::from_static("identity"));
    refusal
}
