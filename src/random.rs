//! Randomness, passed in. Owns the only use of the random generator: secrets, codes and identifiers are drawn here.

use chrono::{DateTime, Utc};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::{Rng, RngExt};
use uuid::Uuid;

/// The operating system's cryptographic generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Random {
    /// `N` unpredictable bytes.
    #[must_use]
    pub fn bytes<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        generator().fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `bound`, each equally likely.
    #[must_use]
    pub fn below(self, bound: u32) -> u32 {
        generator().random_range(0..bound)
    }

    /// A time-ordered identifier (UUIDv7) for something that comes into being at `now`.
    #[must_use]
    pub fn id(self, now: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}

fn generator() -> impl Rng {
    UnwrapErr(SysRng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_version_7_and_carry_their_time() {
        let now = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let id = Random.id(now);
        assert_eq!(id.get_version_num(), 7);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos), (1_700_000_000, 123_000_000));
        assert_ne!(id, Random.id(now));
    }
}
