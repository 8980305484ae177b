//! An endpoint as a destination of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tracing::warn;

use super::sender::{Refusal, Sender};
use super::signature::SigningSecret;
use crate::clock::Clock;
use crate::config;
use crate::events::{Envelope, Failure, Limits, Waits};
use crate::model::{Cause, KindFilter, Webhook};
use crate::store::Store;

/// An endpoint with all that it takes to post to it.
#[derive(Debug)]
pub struct Post {
    name: String,
    endpoint: Endpoint,
    means: Arc<Means>,
    /// Whether it has said that it is gone. The relay may not have read yet that it is disabled.
    is_gone: AtomicBool,
}

/// An endpoint with what signs for it, the newest first. None where they were sealed under another root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) webhook: Webhook,
    pub(super) secrets: Vec<SigningSecret>,
}

/// What all endpoints share.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) sender: Sender,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) settings: config::Webhooks,
}

impl Post {
    pub(super) fn new(endpoint: Endpoint, means: Arc<Means>) -> Self {
        Self { name: endpoint.webhook.destination(), endpoint, means, is_gone: AtomicBool::new(false) }
    }

    /// Whether posting to this endpoint would be the same as before.
    pub(super) fn is_to(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == *endpoint
    }

    pub(in crate::events) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::events) fn label(&self) -> &str {
        &self.endpoint.webhook.name
    }

    pub(in crate::events) const fn kinds(&self) -> &KindFilter {
        &self.endpoint.webhook.kinds
    }

    pub(in crate::events) fn limits(&self) -> Limits {
        let settings = &self.means.settings;
        Limits {
            in_flight: settings.in_flight,
            attempts: Some(settings.attempts.into()),
            waits: Waits { first: settings.first_retry, longest: settings.longest_retry },
        }
    }

    /// Posts one event.
    pub(in crate::events) async fn deliver(&self, event: &Envelope) -> Result<(), Failure> {
        if self.endpoint.secrets.is_empty() {
            return Err(Failure::Away("its secret was sealed under another root key".to_owned()));
        }
        if self.is_gone.load(Ordering::Relaxed) && !self.is_back().await {
            return Err(Failure::Away("it is disabled".to_owned()));
        }
        let (id, body) = (event.event().id.to_string(), Bytes::copy_from_slice(event.cloud_event()));
        match self.means.sender.post(&self.endpoint, &id, body).await {
            Ok(()) => Ok(()),
            Err(Refusal::Later { why, after: None }) => Err(Failure::Refused(why)),
            Err(Refusal::Later { why, after: Some(after) }) => Err(Failure::Postponed { reason: why, after }),
            Err(Refusal::Gone) => Err(self.disable().await),
        }
    }

    /// Whether it has been enabled again since it said that it is gone.
    async fn is_back(&self) -> bool {
        let webhook = &self.endpoint.webhook;
        let now = self.means.store.webhook_called(&webhook.name).await;
        let is_back = now.is_ok_and(|now| now.is_some_and(|now| now.id == webhook.id && now.disabled_at.is_none()));
        self.is_gone.store(!is_back, Ordering::Relaxed);
        is_back
    }

    /// Sends nothing more there. What waits is not lost: it goes on from there when the endpoint is enabled again.
    async fn disable(&self) -> Failure {
        let webhook = &self.endpoint.webhook;
        match self.means.store.disable_webhook(webhook.id, &Cause::system(self.means.clock.now())).await {
            Ok(true) => warn!(webhook = webhook.name, "the endpoint says that it is gone (410) and is disabled"),
            Ok(false) => {}
            Err(error) => return Failure::Away(format!("it answered 410, which cannot be written down: {error}")),
        }
        self.is_gone.store(true, Ordering::Relaxed);
        Failure::Away("it answered 410 and is disabled".to_owned())
    }
}
