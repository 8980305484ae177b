//! News about an account, to its owner.

use chrono::{DateTime, Utc};
use tracing::warn;

use super::Notifier;
use crate::model::{Channel, Content, Identifier, Message};
use crate::random::Random;

impl Notifier {
    /// Tells somebody what happened to their account, in their language where they have one. What happened has happened, so
    /// that nobody waits for this, and nothing fails where it cannot be told.
    pub fn tell(&self, to: Identifier, locale: &str, content: Content, at: DateTime<Utc>) {
        let channel = Channel::of(&to);
        if !self.offers(channel) {
            return;
        }
        let locale = locale.parse().unwrap_or(self.default_locale);
        match self.reserve() {
            Ok(place) => place.send(Message { id: Random.id(at), channel, to, locale, content }),
            Err(error) => warn!(%error, news = content.kind(), "somebody was not told what happened to their account"),
        }
    }
}
