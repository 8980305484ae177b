//! When a job is due by itself. Every node looks; the one that is there first does it.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tracing::{info, warn};

use crate::app::App;
use crate::model::Job;
use crate::random::Random;
use crate::upkeep::JobError;

/// How often the time is looked at, which a test moves by hand.
const LOOK: Duration = Duration::from_millis(500);
/// How often to look at what others have done of a job that is not done here by itself, and when to try again what failed.
const OTHERWISE: TimeDelta = TimeDelta::minutes(1);

/// Does a job whenever it is due, for as long as the node lives.
pub(super) async fn keep(app: Arc<App>, job: Job) {
    let mut is_well = true;
    loop {
        let next = match app.upkeep.run_if_due(job).await {
            Ok(next) => {
                if !is_well {
                    info!(%job, "the schedule is kept again");
                }
                is_well = true;
                next
            }
            Err(JobError::Running) => None,
            Err(JobError::Store(cause)) => {
                if is_well {
                    warn!(%job, %cause, "whether a job is due cannot be told; it is asked again within a minute or two");
                }
                is_well = false;
                None
            }
        };
        let now = app.clock.now();
        let next = next.unwrap_or(now + OTHERWISE);
        let due = next + jitter(app.upkeep.every(job).unwrap_or(OTHERWISE));
        loop {
            let left = (due - app.clock.now()).to_std().unwrap_or_default();
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }
}

/// Nodes that find the same thing due at the same time need not all ask at once: up to a tenth of the interval, and a minute.
fn jitter(every: TimeDelta) -> TimeDelta {
    let most = (every / 10).min(TimeDelta::minutes(1)).num_milliseconds().max(1);
    TimeDelta::milliseconds(Random.below(u32::try_from(most).unwrap_or(1)).into())
}
