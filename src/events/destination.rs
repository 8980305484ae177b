//! Who gets events, and how a delivery can fail.

use super::deliver::Limits;
use super::{Broker, Envelope};
use crate::model::KindFilter;

/// One that gets events.
#[derive(Debug)]
pub enum Destination {
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
    /// This one will never be taken.
    #[error("will never take it: {0}")]
    Hopeless(String),
}

impl Destination {
    /// What it is called in `deliveries`, in the log and in commands.
    #[must_use]
    pub const fn name(&self) -> &str {
        match self {
            Self::Broker(_) => "rabbitmq",
        }
    }

    /// What it is called in figures.
    #[must_use]
    pub const fn label(&self) -> &str {
        match self {
            Self::Broker(_) => "rabbitmq",
        }
    }

    /// Which kinds of events it wants.
    #[must_use]
    pub const fn kinds(&self) -> &KindFilter {
        match self {
            Self::Broker(broker) => broker.kinds(),
        }
    }

    /// How it is to be treated.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        match self {
            Self::Broker(_) => Broker::limits(),
        }
    }

    /// Delivers one event. Returns once the destination has taken it over, within a bounded time.
    pub async fn deliver(&self, event: &Envelope) -> Result<(), Failure> {
        match self {
            Self::Broker(broker) => broker.deliver(event).await,
        }
    }
}
