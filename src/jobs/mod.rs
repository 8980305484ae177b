//! What a node does by itself: it keeps its memory in step, relays events, rotates keys, deletes what has expired, and
//! looks after its health.

mod block;
mod follow;
mod relay;
mod schedule;
mod secrets;
mod watch;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::app::App;
use crate::health::State;
use crate::model::Job;
use crate::rpc::Health;
use crate::shutdown::Shutdown;

/// Starts them all. They end with the service.
#[must_use]
pub fn start(app: &Arc<App>, health: &Health, state: &Arc<State>, shutdown: &Shutdown) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(shutdown.clone().ends(follow::compare(Arc::clone(app))));
    jobs.spawn(shutdown.clone().ends(follow::listen(Arc::clone(app))));
    relay::start(&mut jobs, app, shutdown);
    jobs.spawn(shutdown.clone().ends(block::lift_regularly(Arc::clone(app))));
    jobs.spawn(shutdown.clone().ends(secrets::follow(Arc::clone(app))));
    let at_times = |job: &Job| *job != Job::Relay || app.config.events.poll_every.is_none();
    for job in Job::ALL.into_iter().filter(at_times) {
        jobs.spawn(shutdown.clone().ends(schedule::keep(Arc::clone(app), job)));
    }
    let (upkeep, mut leaving) = (Arc::clone(&app.upkeep), shutdown.clone());
    jobs.spawn(async move {
        leaving.requested().await;
        upkeep.settle().await;
    });
    jobs.spawn(watch::watch(Arc::clone(app), health.clone(), Arc::clone(state), shutdown.clone()));
    jobs
}
