//! Relaying events, on one node at a time, and looking how much waits, on each.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::lease::Lease;
use crate::app::App;
use crate::random::Random;
use crate::shutdown::Shutdown;

/// The name of the lease.
pub(super) const RELAY: &str = "relay";
/// How often the figures are brought up to date.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts what relays.
pub(super) fn start(jobs: &mut JoinSet<()>, app: &Arc<App>, shutdown: &Shutdown) {
    let lease = Lease::new(RELAY, Random.id(app.clock.now()));
    jobs.spawn(lease.clone().keep(app.store.clone(), shutdown.clone()));
    let relaying = Arc::clone(&app.relay).run(move || lease.held());
    jobs.spawn(shutdown.clone().ends(relaying));
    jobs.spawn(shutdown.clone().ends(look(Arc::clone(app))));
}

async fn look(app: Arc<App>) {
    loop {
        app.relay.look().await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
