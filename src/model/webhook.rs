//! Endpoints of others that events are posted to.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::{CallerName, InvalidCallerName, KindFilter, WebhookId};

/// Names of other destinations, which figures could not tell from an endpoint's.
const TAKEN: &[&str] = &["rabbitmq", "nextcloud"];

/// An endpoint's name: what may be a caller's, unless another destination of events is called so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookName(CallerName);

/// A text that is not an endpoint's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhookName {
    /// It cannot be written everywhere.
    #[error(transparent)]
    Malformed(#[from] InvalidCallerName),
    /// It means something else.
    #[error("must not be `rabbitmq` or `nextcloud`, which are other destinations of events")]
    Taken,
}

impl FromStr for WebhookName {
    type Err = InvalidWebhookName;

    fn from_str(text: &str) -> Result<Self, InvalidWebhookName> {
        let name = text.parse()?;
        if TAKEN.contains(&text) { Err(InvalidWebhookName::Taken) } else { Ok(Self(name)) }
    }
}

impl fmt::Display for WebhookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An endpoint that events are posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its identifier.
    pub id: WebhookId,
    /// What operators call it; unique.
    pub name: String,
    /// Where events are posted to.
    pub url: String,
    /// Of which kinds.
    pub kinds: KindFilter,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its secret was last replaced.
    pub rotated_at: Option<DateTime<Utc>>,
    /// Since when nothing is sent there, because it has said that it is gone.
    pub disabled_at: Option<DateTime<Utc>>,
}

impl Webhook {
    /// What the endpoint is called among all destinations of events.
    #[must_use]
    pub fn destination(&self) -> String {
        destination(self.id)
    }
}

/// What an endpoint is called among all destinations of events.
#[must_use]
pub fn destination(id: WebhookId) -> String {
    format!("webhook:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_not_called_as_other_destinations_are() {
        assert_eq!("crm.v2".parse::<WebhookName>().map(|name| name.to_string()), Ok("crm.v2".to_owned()));
        assert_eq!("rabbitmq".parse::<WebhookName>(), Err(InvalidWebhookName::Taken));
        assert_eq!("CRM".parse::<WebhookName>(), Err(InvalidWebhookName::Malformed(InvalidCallerName)));
    }
}
