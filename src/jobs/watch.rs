//! A node's view of its own health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::app::App;
use crate::rpc::{Health, Part};
use crate::shutdown::Shutdown;

const EVERY: Duration = Duration::from_millis(500);

/// How things stood when they were last looked at.
#[derive(Debug, Default)]
pub struct State {
    store: AtomicBool,
    cache: AtomicBool,
    fresh: AtomicBool,
    leaving: AtomicBool,
}

impl State {
    /// Whether a part of the service works.
    #[must_use]
    pub fn works(&self, part: Part) -> bool {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if is(&self.leaving) {
            return false;
        }
        match part {
            Part::SignIn => is(&self.store) && is(&self.cache),
            Part::Tokens => is(&self.fresh) || is(&self.store),
            Part::Records => is(&self.store),
        }
    }

    /// Says from now on that nothing works, so that no more work is sent here.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Looks at everything once.
    pub async fn look(&self, app: &App) {
        let (store, cache) = tokio::join!(app.store.ping(), app.cache.ping());
        self.store.store(store.is_ok(), Ordering::Relaxed);
        self.cache.store(cache.is_ok(), Ordering::Relaxed);
        let fresh = app.replica.is_fresh(app.clock.now(), app.config.revocation.bound);
        self.fresh.store(fresh, Ordering::Relaxed);
    }
}

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
