//! Randomness. Owns the only use of the cryptographic library's generator: names of intents, and how long to wait.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Unpredictable bytes. Where the machine has none to give they are zeros, which makes a wait the shortest there is.
fn bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok().map(|()| bytes)
}

/// A name for an intent that comes up at `now`.
pub(crate) fn request_id(now: DateTime<Utc>) -> Option<Uuid> {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    bytes().map(|random| uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// A number from 0 to 1.
pub(crate) fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(bytes().unwrap_or_default())) / f64::from(u32::MAX)
}
