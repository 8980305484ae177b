//! Who gets events, and how a delivery can fail.

use chrono::TimeDelta;

use super::deliver::Limits;
use super::webhooks::Post;
use super::{Broker, Cloud, Envelope};
use crate::model::KindFilter;

/// One that gets events.
#[derive(Debug)]
pub enum Destination {
    /// An endpoint of others.
    Webhook(Post),
    /// A Nextcloud.
    Nextcloud(Box<Cloud>),
    /// A RabbitMQ.
    Broker(Broker),
}

/// Why an event did not arrive. The words go into the log and the database: they hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The destination as a whole cannot be reached. Everything waits, and this counts as no attempt.
    #[error("cannot be reached: {0}")]
    Away(String),
    /// This one was refused; it is tried again later, and the account's later ones wait for it.
    #[error("refused it: {0}")]
    Refused(String),
    /// The same, with the word that it is not to come again before so long.
    #[error("refused it: {reason}")]
    Postponed {
        /// Why.
        reason: String,
        /// How long.
        after: TimeDelta,
    },
    /// This one will never be taken.
    #[error("will never take it: {0}")]
    Hopeless(String),
}

impl Destination {
    /// What it is called in `deliveries`, in the log and in commands.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Webhook(post) => post.name(),
            Self::Nextcloud(_) => "nextcloud",
            Self::Broker(_) => "rabbitmq",
        }
    }

    /// What it is called in figures.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Webhook(post) => post.label(),
            Self::Nextcloud(_) => "nextcloud",
            Self::Broker(_) => "rabbitmq",
        }
    }

    /// Which kinds of events it wants.
    #[must_use]
    pub fn kinds(&self) -> &KindFilter {
        match self {
            Self::Webhook(post) => post.kinds(),
            Self::Nextcloud(cloud) => cloud.kinds(),
            Self::Broker(broker) => broker.kinds(),
        }
    }

    /// How it is to be treated.
    #[must_use]
    pub fn limits(&self) -> Limits {
        match self {
            Self::Webhook(post) => post.limits(),
            Self::Nextcloud(cloud) => cloud.limits(),
            Self::Broker(_) => Broker::limits(),
        }
    }

    /// Delivers one event. Returns once the destination has taken it over, within a bounded time.
    pub async fn deliver(&self, event: &Envelope) -> Result<(), Failure> {
        match self {
            Self::Webhook(post) => post.deliver(event).await,
            Self::Nextcloud(cloud) => cloud.deliver(event).await,
            Self::Broker(broker) => broker.deliver(event).await,
        }
    }
}
