//! A node's look at its own health, again and again.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::health::State;
use crate::rpc::Health;
use crate::shutdown::Shutdown;

const EVERY: Duration = Duration::from_millis(500);

/// Looks again and again, and reports; the last report is that the node leaves.
pub(super) async fn watch(app: Arc<App>, health: Health, state: Arc<State>, mut shutdown: Shutdown) {
    loop {
        state.look(&app).await;
        health.report(|part| state.works(part)).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.requested() => break,
        }
    }
    state.leave();
    health.report(|part| state.works(part)).await;
}
