//! Latencies, kept as counts in buckets that grow with the value: a fixed size, and an error of at most 3%.

use std::time::Duration;

/// Each power of two is cut into this many buckets.
const STEPS_BITS: u32 = 5;
const STEPS: u64 = 1 << STEPS_BITS;
/// Covers every 64-bit number of nanoseconds.
const BUCKETS: usize = ((64 - STEPS_BITS as usize) + 1) << STEPS_BITS;

/// How often each latency was seen.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Nothing seen yet.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    /// Counts one latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// Adds what another has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// How many were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The latency that `percent` of all stayed within; zero if there were none.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return Duration::from_nanos(upper_bound(index));
            }
        }
        Duration::ZERO
    }
}

/// Values below `STEPS` have a bucket each; above, a bucket is found by the highest bit and the five bits after it.
fn bucket(value: u64) -> usize {
    let exponent = (value | (STEPS - 1)).ilog2() + 1 - STEPS_BITS;
    let step = if exponent == 0 { value } else { (value >> (exponent - 1)) - STEPS };
    usize::try_from(u64::from(exponent) * STEPS + step).unwrap_or(BUCKETS - 1)
}

/// The largest value that falls into a bucket.
fn upper_bound(index: usize) -> u64 {
    let (exponent, step) = (index as u64 / STEPS, index as u64 % STEPS);
    if exponent == 0 { step } else { ((STEPS + step + 1) << (exponent - 1)).wrapping_sub(1) }
}
