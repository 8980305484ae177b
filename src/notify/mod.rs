//! Messages out. Owns the bounded queue before the senders, so that a slow provider never makes a caller wait. `delivery`
//! knows the ways out and what to do where one is closed; each provider has a file of its own; `template` knows the texts.

mod console;
mod delivery;
mod http;
mod kavenegar;
mod news;
mod smtp;
mod template;
mod twilio;
mod verdict;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{Mutex, Notify as Signal, Semaphore};
use tokio::task::JoinHandle;
use tracing::{Instrument, debug_span};

use self::delivery::Delivery;
pub use self::smtp::SmtpSetupError;
pub use self::template::TemplateError;
use crate::clock::Clock;
use crate::config::Notify;
use crate::metrics::Metrics;
use crate::model::{Channel, Locale, Message};
use crate::telemetry::Context;

/// Where messages are handed in.
#[derive(Clone, Debug)]
pub struct Notifier {
    queue: mpsc::Sender<Handed>,
    delivery: Arc<ArcSwap<Delivery>>,
    metrics: Metrics,
    clock: Clock,
    observer: Option<mpsc::UnboundedSender<Message>>,
    default_locale: Locale,
    /// That nothing more is to be taken in.
    closing: Arc<Signal>,
    worker: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// A message, and the call that it comes from.
type Handed = (Message, Context);

/// A place in the queue: what is sent through it will not be turned away.
#[derive(Debug)]
pub struct Place(OwnedPermit<Handed>, Context);

impl Place {
    /// Hands the message in.
    pub fn send(self, message: Message) {
        self.0.send((message, self.1));
    }
}

/// Why a message cannot be handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// More messages wait than may.
    #[error("too many messages are waiting to be sent")]
    QueueFull,
}

/// Why this cannot send at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The client of HTTP providers.
    #[error("the client of message providers cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// A text.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Mail.
    #[error(transparent)]
    Smtp(#[from] SmtpSetupError),
}

impl Notifier {
    /// Starts the senders on the current runtime. `observer`, where there is one, gets each message instead of the log.
    pub fn start(
        config: &Notify,
        clock: Clock,
        metrics: Metrics,
        observer: Option<&mpsc::UnboundedSender<Message>>,
    ) -> Result<Self, SetupError> {
        let (queue, mut waiting) = mpsc::channel::<Handed>(config.queue);
        let delivery = Delivery::new(config, clock.clone(), metrics.clone(), observer)?;
        let delivery = Arc::new(ArcSwap::from_pointee(delivery));
        let all = u32::try_from(config.senders).unwrap_or(u32::MAX);
        let senders = Arc::new(Semaphore::new(config.senders));
        let (out, closing) = (Arc::clone(&delivery), Arc::new(Signal::new()));
        let closed = Arc::clone(&closing);
        let worker = tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = waiting.recv() => message,
                    // What has a place already is still handed in and sent.
                    () = closed.notified() => {
                        waiting.close();
                        continue;
                    }
                };
                let Some((message, context)) = message else { break };
                let Ok(sender) = Arc::clone(&senders).acquire_owned().await else { return };
                let out = out.load_full();
                let span = debug_span!("message", otel.kind = "producer", channel = message.channel.as_str());
                context.adopt(&span);
                let delivery = async move {
                    out.deliver(message).await;
                    drop(sender);
                };
                tokio::spawn(delivery.instrument(span));
            }
            // Whoever closes waits for the last of them.
            let _ = tokio::time::timeout(Duration::from_mins(1), senders.acquire_many(all)).await;
        });
        let worker = Arc::new(Mutex::new(Some(worker)));
        let (observer, default_locale) = (observer.cloned(), config.default_locale);
        Ok(Self { queue, delivery, metrics, clock, observer, default_locale, closing, worker })
    }

    /// Whether messages can leave through this channel.
    #[must_use]
    pub fn offers(&self, channel: Channel) -> bool {
        self.delivery.load().offers(channel)
    }

    /// Sends through providers that are set up anew, because what they are asked with has changed. What is on its way goes on.
    pub fn renew(&self, config: &Notify) -> Result<(), SetupError> {
        let delivery = Delivery::new(config, self.clock.clone(), self.metrics.clone(), self.observer.as_ref())?;
        self.delivery.store(Arc::new(delivery));
        Ok(())
    }

    /// The language for people who have not chosen one.
    #[must_use]
    pub const fn default_locale(&self) -> Locale {
        self.default_locale
    }

    /// Takes a place in the queue, or says at once that there is none.
    pub fn reserve(&self) -> Result<Place, NotifyError> {
        self.queue.clone().try_reserve_owned().map(|permit| Place(permit, Context::current())).map_err(|_| {
            self.metrics.refused("notify.queue");
            NotifyError::QueueFull
        })
    }

    /// How many messages wait, and how many places are taken by such as are still being made.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Gives out no more places, and waits until whatever has one has left.
    pub async fn close(&self) {
        self.closing.notify_one();
        if let Some(worker) = self.worker.lock().await.take() {
            let _ = worker.await;
        }
    }
}
