//! What of a node works, told from the real state of what it stands on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::app::App;

/// Who has not answered by then does not work.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a service stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The database and the cache: codes are in the one, sessions in the other.
    SignIn,
    /// Knowledge of revocations that is fresh, or a database to ask.
    Tokens,
    /// The database.
    Records,
}

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
        // By connections that neither jobs nor requests can take: who is busy is not gone.
        let (store, cache) = tokio::join!(timeout(PATIENCE, app.vital.ping()), timeout(PATIENCE, app.cache.ping()));
        note(&self.store, matches!(store, Ok(Ok(()))), "the database");
        note(&self.cache, matches!(cache, Ok(Ok(()))), "the cache");
        let fresh = app.replica.is_fresh(app.clock.now(), app.config.revocation.bound);
        self.fresh.store(fresh, Ordering::Relaxed);
    }
}

/// Notes whether something answers, and says so where that has changed: once, however many calls fail meanwhile.
fn note(flag: &AtomicBool, works: bool, what: &str) {
    match (flag.swap(works, Ordering::Relaxed), works) {
        (true, false) => tracing::warn!("{what} does not answer"),
        (false, true) => tracing::info!("{what} answers"),
        _ => {}
    }
}
