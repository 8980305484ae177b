//! What the service stands on fails, and so does the service itself: with real servers, real processes and wires that are cut.
//! `scripts/faults` runs each row in full.

mod clocks;
mod conflict;
mod crash;
mod crowd;
mod exhausted;
mod failover;
mod rollout;

use std::time::Duration;

/// How long anything may take that ought to be there soon, on a machine that runs many tests at once.
const SOON: Duration = Duration::from_secs(10);
