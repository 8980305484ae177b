//! Keeping a node's memory in step with the others': by listening to what they announce, and by comparing with the database.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::app::App;
use crate::cache::Signal;
use crate::store::StoreError;
use crate::token::{Change, TOPIC};

/// How often expired revocations are dropped from memory.
const FORGET_EVERY: Duration = Duration::from_secs(30);

/// Compares with the database, for as long as the node lives.
pub(super) async fn compare(app: Arc<App>) {
    let every = app.config.revocation.reconcile_every.to_std().unwrap_or(Duration::from_secs(1));
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_forgot = tokio::time::Instant::now();
    let mut in_step = true;
    loop {
        tick.tick().await;
        let outcome = compare_once(&app).await;
        if let Err(cause) = &outcome
            && in_step
        {
            warn!(cause, "this node's memory cannot be compared with the database; it asks per call past the bound");
        } else if outcome.is_ok() && !in_step {
            info!("this node's memory is in step with the database again");
        }
        in_step = outcome.is_ok();
        if last_forgot.elapsed() >= FORGET_EVERY {
            app.revocations.forget_expired();
            last_forgot = tokio::time::Instant::now();
        }
    }
}

async fn compare_once(app: &App) -> Result<(), String> {
    // Each by itself: one that fails must not keep the others from going on. Nor does one that waits keep the first.
    let (time, revocations) = tokio::join!(keep_time(app), app.revocations.reconcile());
    let (time, revocations) = (time.map_err(|error| error.to_string()), revocations.map_err(|error| error.to_string()));
    let callers = app.callers.reload().await.map_err(|error| error.to_string());
    let keys = app.keyring.reload().await.map_err(|error| error.to_string());
    time.and(revocations).and(callers).and(keys)
}

/// Holds the node's time against the database's.
async fn keep_time(app: &App) -> Result<(), StoreError> {
    let Some(asked) = app.clock.asks() else { return Ok(()) };
    if let Some(told) = app.vital.time().await?
        && let Some(off) = asked.told(told)
    {
        warn!(%off, "this node's time was not the database's, and is now");
    }
    Ok(())
}

/// Listens to the other nodes, for as long as the node lives.
pub(super) async fn listen(app: Arc<App>) {
    let mut announcements = app.cache.subscribe(TOPIC);
    announcements.ready().await;
    loop {
        let outcome = match announcements.next().await {
            Signal::Message(payload) => match app.revocations.hear(&payload) {
                Some(Change::Callers) => app.callers.reload().await.map_err(|error| error.to_string()),
                Some(Change::SigningKeys) => app.keyring.reload().await.map_err(|error| error.to_string()),
                Some(Change::Revocation { .. }) | None => Ok(()),
            },
            // Something may have been missed: the database knows it.
            Signal::Gap => compare_once(&app).await,
        };
        if let Err(cause) = outcome {
            warn!(cause, "an announcement could not be followed; the next comparison makes up for it");
        }
    }
}
