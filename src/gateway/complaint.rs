//! Whoever runs a gateway is told that a route's needs are not understood: in the log, but not with every request.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

use super::Needs;

/// How many seconds lie between two complaints.
const EVERY: i64 = 60;
/// How many characters of a need's name are repeated.
const MOST_SAID: usize = 64;

/// When this was complained about last.
#[derive(Debug)]
pub struct Complaint(AtomicI64);

impl Default for Complaint {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Complaint {
    /// Complains about a need, by its name and not its value, unless it did so a short while ago. Whether it did now.
    pub fn raise(&self, need: &str, now: DateTime<Utc>) -> bool {
        let (now, last) = (now.timestamp(), self.0.load(Ordering::Relaxed));
        // Of several at once, one complains.
        if now.saturating_sub(last) < EVERY
            || self.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return false;
        }
        let (need, known): (String, _) = (need.chars().take(MOST_SAID).collect(), Needs::NAMES.join(", "));
        tracing::warn!(?need, %known, "a gateway's route needs what is not understood; nothing passes there");
        true
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_once_a_minute() {
        let (complaint, start) = (Complaint::default(), DateTime::UNIX_EPOCH);
        let raised = |seconds| complaint.raise("scope", start + TimeDelta::seconds(seconds));
        assert_eq!([0, 1, 59, 60, 61, 119, 500].map(raised), [true, false, false, true, false, false, true]);
    }
}
