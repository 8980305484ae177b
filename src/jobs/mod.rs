//! What a node does by itself: it keeps its memory in step, relays events, rotates keys, deletes what has expired, and
//! looks after its health.

mod block;
mod follow;
mod lease;
mod relay;
mod watch;

pub use self::lease::Lease;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::{error, info};

use crate::app::App;
use crate::health::State;
use crate::model::Cause;
use crate::rpc::Health;
use crate::shutdown::Shutdown;
use crate::store::Purged;

/// How often a node looks whether a key is due.
const ROTATION_CHECK: Duration = Duration::from_mins(1);

/// Starts them all. They end with the service.
#[must_use]
pub fn start(app: &Arc<App>, health: &Health, state: &Arc<State>, shutdown: &Shutdown) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(shutdown.clone().ends(follow::compare(Arc::clone(app))));
    jobs.spawn(shutdown.clone().ends(follow::listen(Arc::clone(app))));
    jobs.spawn(shutdown.clone().ends(rotate(Arc::clone(app))));
    jobs.spawn(shutdown.clone().ends(purge_regularly(Arc::clone(app))));
    relay::start(&mut jobs, app, shutdown);
    jobs.spawn(shutdown.clone().ends(block::lift_regularly(Arc::clone(app))));
    jobs.spawn(watch::watch(Arc::clone(app), health.clone(), Arc::clone(state), shutdown.clone()));
    jobs
}

async fn rotate(app: Arc<App>) {
    let mut tick = tokio::time::interval(ROTATION_CHECK);
    loop {
        tick.tick().await;
        if let Err(cause) = app.keyring.rotate_if_due().await {
            error!(%cause, "the signing keys could not be looked after");
        }
    }
}

async fn purge_regularly(app: Arc<App>) {
    let every = app.config.purge.every.to_std().unwrap_or(Duration::from_hours(1));
    let mut tick = tokio::time::interval(every);
    // The first tick comes at once; nodes that start together need not all purge then.
    tick.tick().await;
    loop {
        tick.tick().await;
        match app.store.purge(app.config.purge.event_retention, &Cause::system(app.clock.now())).await {
            Ok(Purged { sessions: 0, revocations: 0, signing_keys: 0, events: 0 }) => {}
            Ok(purged) => info!(?purged, "deleted what had expired"),
            Err(cause) => error!(%cause, "what has expired could not be deleted"),
        }
    }
}
