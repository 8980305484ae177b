//! The relay: takes events out of the outbox, notes where they are to go, and keeps a task for each destination that brings
//! them there. Of several nodes one does this at a time; who, is for the caller to know.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::deliver::{Batch, Ground, deliver_batch};
use super::webhooks::Webhooks;
use super::{Broker, Destination, Envelope};
use crate::clock::Clock;
use crate::config;
use crate::metrics::Metrics;
use crate::random::Random;
use crate::store::{Route, Store, StoreError};

/// The first wait while a destination or the database is away. Each further one is twice as long,
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How many rows are written at a time when events are collected: there is one for each destination, and a bound on the time.
const ROWS_AT_ONCE: i64 = 20_000;

/// What brings events to where they are wanted.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    settings: config::Events,
    source: String,
    destinations: Vec<Arc<Destination>>,
    webhooks: Arc<Webhooks>,
    /// Those destinations that come and go while this runs.
    endpoints: ArcSwap<Vec<Arc<Destination>>>,
    /// Tells those who deliver that there is something new.
    collected: Notify,
}

impl Relay {
    /// A relay. `source` is who tells: the issuer of this installation's tokens.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        metrics: Metrics,
        settings: config::Events,
        source: String,
        webhooks: Arc<Webhooks>,
    ) -> Self {
        let broker = settings.rabbitmq.clone().map(|settings| Destination::Broker(Broker::new(settings)));
        let (destinations, endpoints) = (broker.into_iter().map(Arc::new).collect(), ArcSwap::default());
        Self { store, clock, metrics, settings, source, destinations, webhooks, endpoints, collected: Notify::new() }
    }

    /// The same with one more who gets events.
    #[must_use]
    pub fn with(mut self, destination: Destination) -> Self {
        self.destinations.push(Arc::new(destination));
        self
    }

    /// Everybody who gets events, as far as this node knows.
    #[must_use]
    pub fn destinations(&self) -> Vec<Arc<Destination>> {
        self.destinations.iter().chain(self.endpoints.load().iter()).map(Arc::clone).collect()
    }

    /// Reads which endpoints there are now.
    async fn refresh(&self) -> Result<(), StoreError> {
        let before = self.endpoints.load_full();
        let now = self.webhooks.destinations(&before).await?;
        self.endpoints.store(Arc::new(now));
        self.forget_those_gone(&before);
        Ok(())
    }

    /// Tells no figures any more of those that are not there now.
    fn forget_those_gone(&self, before: &[Arc<Destination>]) {
        let now = self.destinations();
        for gone in before.iter().filter(|before| !now.iter().any(|now| now.label() == before.label())) {
            self.metrics.forget_destination(gone.label());
        }
    }

    /// Whether a destination is there still, and what it was.
    fn is_current(&self, destination: &Arc<Destination>) -> bool {
        self.destinations().iter().any(|current| Arc::ptr_eq(current, destination))
    }

    /// Relays for as long as `may_go_on` says so, again and again, and looks how much waits. Does not end by itself.
    pub async fn run(self: Arc<Self>, may_go_on: impl Fn() -> bool + Clone + Send + Sync + 'static) {
        // Dropped with this, they all end.
        let mut deliveries = JoinSet::new();
        let mut running = HashMap::new();
        let mut course = Course::new("the outbox");
        loop {
            if may_go_on() {
                let refreshed = self.refresh().await;
                let collected = self.collect_all(&may_go_on).await;
                for destination in self.destinations() {
                    let task: &mut Option<tokio::task::AbortHandle> =
                        running.entry(destination.name().to_owned()).or_default();
                    if task.as_ref().is_none_or(tokio::task::AbortHandle::is_finished) {
                        let keep = Arc::clone(&self).keep_delivering(destination, may_go_on.clone());
                        *task = Some(deliveries.spawn(keep));
                    }
                }
                course.note(refreshed.and(collected.map(drop)).map_err(|error| error.to_string()));
            }
            while deliveries.try_join_next().is_some() {}
            tokio::time::sleep(course.pause.unwrap_or_else(|| self.poll_every())).await;
        }
    }

    /// One round of all of it: what waits is collected, and what is due is delivered once. For whoever relays at times of
    /// their own choosing.
    pub async fn pass(&self, may_go_on: impl Fn() -> bool) -> Result<Batch, StoreError> {
        self.refresh().await?;
        self.collect_all(&may_go_on).await?;
        let mut sum = Batch::default();
        for destination in self.destinations() {
            loop {
                let batch = self.deliver(&destination, &may_go_on).await?;
                sum.delivered += batch.delivered;
                sum.refused += batch.refused;
                sum.dead += batch.dead;
                let goes_on = batch.away.is_none() && batch.delivered + batch.dead > 0;
                sum.away = sum.away.or(batch.away);
                if !goes_on {
                    break;
                }
            }
        }
        Ok(sum)
    }

    /// Empties the outbox.
    async fn collect_all(&self, may_go_on: &impl Fn() -> bool) -> Result<usize, StoreError> {
        // The endpoints' are in the database.
        let routes: Vec<_> = self
            .destinations
            .iter()
            .map(|destination| Route { destination: destination.name(), kinds: destination.kinds() })
            .collect();
        let each = i64::try_from(self.destinations().len()).unwrap_or(i64::MAX).max(1);
        let limit = self.settings.batch.min(ROWS_AT_ONCE / each).max(1);
        let mut total = 0;
        while may_go_on() {
            let collected = self.store.collect_events(&routes, limit).await?;
            total += collected;
            if collected > 0 {
                self.collected.notify_waiters();
            }
            if i64::try_from(collected).unwrap_or(i64::MAX) < limit {
                break;
            }
        }
        Ok(total)
    }

    async fn deliver(&self, destination: &Arc<Destination>, may_go_on: impl Fn() -> bool) -> Result<Batch, StoreError> {
        let send = |event: Envelope| {
            let destination = Arc::clone(destination);
            async move { destination.deliver(&event).await }
        };
        let ground = Ground {
            store: &self.store,
            clock: &self.clock,
            source: &self.source,
            destination: destination.name(),
            batch: self.settings.batch,
        };
        let is_current = || self.is_current(destination);
        let batch = deliver_batch(&ground, destination.limits(), send, is_current, may_go_on).await?;
        let (label, metrics) = (destination.label(), &self.metrics);
        metrics.deliveries(label, "delivered", batch.delivered);
        metrics.deliveries(label, "refused", batch.refused);
        metrics.deliveries(label, "dead", batch.dead);
        metrics.deliveries(label, "away", batch.away.is_some().into());
        if batch.dead > 0 {
            warn!(destination = destination.name(), events = batch.dead, "events were given up; they can be replayed");
        }
        Ok(batch)
    }

    /// Delivers to one destination until it no longer may, or the destination is another than it was.
    async fn keep_delivering(self: Arc<Self>, destination: Arc<Destination>, may_go_on: impl Fn() -> bool) {
        let mut course = Course::new(destination.name());
        while may_go_on() && self.is_current(&destination) {
            // Before the look, so that nothing collected behind it is slept over.
            let collected = self.collected.notified();
            let batch = self.deliver(&destination, &may_go_on).await;
            let moved = batch.as_ref().is_ok_and(|batch| batch.delivered + batch.dead > 0);
            course.note(match batch {
                Ok(Batch { away: Some(reason), .. }) => Err(reason),
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            });
            match course.pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None if moved => {}
                None => drop(tokio::time::timeout(self.poll_every(), collected).await),
            }
        }
    }

    /// Brings the figures of what waits up to date.
    pub async fn look(&self) {
        if let Err(error) = self.look_at_backlogs().await {
            debug!(%error, "it cannot be told how many events wait");
        }
    }

    async fn look_at_backlogs(&self) -> Result<(), StoreError> {
        self.refresh().await?;
        let outbox = self.store.outbox_backlog().await?;
        let mut oldest = outbox.oldest;
        let destinations = self.destinations();
        let names: Vec<_> = destinations.iter().map(|destination| destination.name()).collect();
        for (name, backlog) in self.store.delivery_backlogs(&names).await? {
            if let Some(destination) = destinations.iter().find(|destination| destination.name() == name) {
                self.metrics.delivery_backlog(destination.label(), backlog.pending, backlog.dead);
            }
            oldest = oldest.into_iter().chain(backlog.oldest).min();
        }
        // One that went in the meantime.
        self.forget_those_gone(&destinations);
        let lag = oldest.map(|oldest| (self.clock.now() - oldest).max(TimeDelta::zero()));
        self.metrics.outbox(outbox.pending, lag.map_or(0.0, TimeDelta::as_seconds_f64));
        Ok(())
    }

    fn poll_every(&self) -> Duration {
        self.settings.poll_every.and_then(|every| every.to_std().ok()).unwrap_or(Duration::from_millis(500))
    }
}

/// Whether something goes well, told in the log when that changes; and how long to wait while it does not.
struct Course {
    of: String,
    failures: u32,
    pause: Option<Duration>,
}

impl Course {
    fn new(of: &str) -> Self {
        Self { of: of.to_owned(), failures: 0, pause: None }
    }

    fn note(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                if self.failures > 0 {
                    info!(destination = self.of, "events go out again");
                }
                (self.failures, self.pause) = (0, None);
            }
            Err(cause) => {
                if self.failures == 0 {
                    warn!(
                        destination = self.of,
                        cause, "events cannot go out; they wait, and are tried again and again"
                    );
                }
                let whole = (FIRST_PAUSE * 2_u32.pow(self.failures.min(10))).min(LONGEST_PAUSE);
                self.failures = self.failures.saturating_add(1);
                self.pause = Some(whole / 2 + whole * Random.below(1_001) / 2_000);
            }
        }
    }
}
