//! Relaying events, on one node at a time, and looking how much waits, on each.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::app::App;
use crate::model::Job;
use crate::random::Random;
use crate::shutdown::Shutdown;
use crate::upkeep::{Lease, lease_of};

/// How often the figures are brought up to date.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts what relays, unless that is left to somebody outside.
pub(super) fn start(jobs: &mut JoinSet<()>, app: &Arc<App>, shutdown: &Shutdown) {
    if app.config.events.poll_every.is_some() {
        let lease = Lease::new(lease_of(Job::Relay), Random.id(app.clock.now()));
        // Not through the connections that deliveries take: it is lost where it has to wait for them.
        jobs.spawn(lease.clone().keep(app.vital.clone(), shutdown.clone()));
        let relaying = Arc::clone(&app.relay).run(move || lease.held());
        jobs.spawn(shutdown.clone().ends(relaying));
    }
    jobs.spawn(shutdown.clone().ends(look(Arc::clone(app))));
}

async fn look(app: Arc<App>) {
    loop {
        app.relay.look().await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
