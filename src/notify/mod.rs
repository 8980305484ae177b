//! Messages out. Owns the bounded queue before the senders, so that a slow provider never makes a caller wait, and the
//! ways out: the log, for development, and a webhook.

mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use self::webhook::Webhook;
use crate::config::{Notify, Route};
use crate::model::{Channel, Content, Locale, Message};

/// Where messages are handed in.
#[derive(Clone, Debug)]
pub struct Notifier {
    queue: mpsc::Sender<Message>,
    sms: Route,
    email: Route,
    default_locale: Locale,
    worker: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// A place in the queue: what is sent through it will not be turned away.
#[derive(Debug)]
pub struct Place(OwnedPermit<Message>);

impl Place {
    /// Hands the message in.
    pub fn send(self, message: Message) {
        self.0.send(message);
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
#[error("the webhook's client cannot be set up: {0}")]
pub struct SetupError(#[from] reqwest::Error);

impl Notifier {
    /// Starts the senders on the current runtime. `observer`, where there is one, gets each message instead of the log.
    pub fn start(config: &Notify, observer: Option<mpsc::UnboundedSender<Message>>) -> Result<Self, SetupError> {
        let (queue, mut waiting) = mpsc::channel::<Message>(config.queue);
        let (sms, email) = (config.sms, config.email);
        // A client holds the system's certificates, which are megabytes.
        let is_used = [sms, email].contains(&Route::Webhook);
        let webhook = is_used.then(|| Webhook::new(&config.webhook)).transpose()?.map(Arc::new);
        let all = u32::try_from(config.senders).unwrap_or(u32::MAX);
        let senders = Arc::new(Semaphore::new(config.senders));
        let worker = tokio::spawn(async move {
            while let Some(message) = waiting.recv().await {
                let Ok(sender) = Arc::clone(&senders).acquire_owned().await else { return };
                let (webhook, observer) = (webhook.clone(), observer.clone());
                tokio::spawn(async move {
                    match route(message.channel, sms, email) {
                        Route::None => {}
                        Route::Console => print(message, observer.as_ref()),
                        Route::Webhook => {
                            if let Some(webhook) = webhook {
                                deliver(&webhook, &message).await;
                            }
                        }
                    }
                    drop(sender);
                });
            }
            // Whoever flushes waits for the last of them.
            let _ = tokio::time::timeout(Duration::from_mins(1), senders.acquire_many(all)).await;
        });
        let worker = Arc::new(Mutex::new(Some(worker)));
        Ok(Self { queue, sms, email, default_locale: config.default_locale, worker })
    }

    /// Whether messages can leave through this channel.
    #[must_use]
    pub fn offers(&self, channel: Channel) -> bool {
        route(channel, self.sms, self.email) != Route::None
    }

    /// The language for people who have not chosen one.
    #[must_use]
    pub const fn default_locale(&self) -> Locale {
        self.default_locale
    }

    /// Takes a place in the queue, or says at once that there is none.
    pub fn reserve(&self) -> Result<Place, NotifyError> {
        self.queue.clone().try_reserve_owned().map(Place).map_err(|_| NotifyError::QueueFull)
    }

    /// Waits until what was handed in has left, when no more can be: the last other clone must be gone.
    pub async fn flush(self) {
        let Self { queue, worker, .. } = self;
        drop(queue);
        if let Some(worker) = worker.lock().await.take() {
            let _ = worker.await;
        }
    }
}

fn route(channel: Channel, sms: Route, email: Route) -> Route {
    match channel {
        Channel::Sms => sms,
        Channel::Email => email,
    }
}

/// For development: the code goes to whoever reads the log. Production refuses to start with this.
fn print(message: Message, observer: Option<&mpsc::UnboundedSender<Message>>) {
    match observer {
        Some(observer) => {
            // An observer that has left wants no more messages.
            let _ = observer.send(message);
        }
        None => show(&message),
    }
}

fn show(message: &Message) {
    let to = message.to.masked();
    match &message.content {
        Content::Code { challenge_id, code, .. } => {
            let code = code.expose();
            warn!(%challenge_id, %code, "FOR DEVELOPMENT ONLY: this code would have been sent to {to}");
        }
        Content::PasswordReset { url, .. } => {
            warn!(url = %url.expose(), "FOR DEVELOPMENT ONLY: this link would have been sent to {to}");
        }
        Content::PasswordChanged { .. } | Content::IdentifierChanged { .. } | Content::AccountDeleted { .. } => {
            let kind = message.content.kind();
            warn!(kind, "FOR DEVELOPMENT ONLY: this news would have been sent to {to}");
        }
    }
}

async fn deliver(webhook: &Webhook, message: &Message) {
    match webhook.deliver(message).await {
        Ok(()) => debug!(message_id = %message.id, channel = message.channel.as_str(), "message handed over"),
        Err(cause) => warn!(message_id = %message.id, channel = message.channel.as_str(), %cause, "message lost"),
    }
}
