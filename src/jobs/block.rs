//! Telling that a block has come to its end by itself. The account is open without it: whoever asks compares the time.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error};

use crate::app::App;
use crate::model::Cause;

/// How often it is looked for blocks whose time is over.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How many are lifted in one transaction.
const BATCH: i64 = 100;

/// Lifts blocks whose time is over, so that an event tells of it. Nodes that do it at the same time lift each block once.
pub(super) async fn lift_regularly(app: Arc<App>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        loop {
            match app.background.lift_ended_blocks(BATCH, &Cause::system(app.clock.now())).await {
                Ok(lifted) if i64::try_from(lifted).is_ok_and(|lifted| lifted < BATCH) => break,
                Ok(_) => {}
                Err(cause) if cause.is_passing() => {
                    debug!(%cause, "blocks that are over cannot be lifted now");
                    break;
                }
                Err(cause) => {
                    error!(%cause, "blocks that are over cannot be lifted");
                    break;
                }
            }
        }
    }
}
