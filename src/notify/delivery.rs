//! By which way a message leaves, and what happens where that way is closed. At most one provider ever sends it.

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::http;
use super::kavenegar::Kavenegar;
use super::smtp::Smtp;
use super::template::Templates;
use super::twilio::Twilio;
use super::verdict::Verdict;
use super::webhook::Webhook;
use super::{SetupError, console};
use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::config::{Notify, Route};
use crate::metrics::Metrics;
use crate::model::{Channel, Content, Message};

/// Somebody who sends messages.
#[derive(Debug)]
enum Provider {
    Console(Option<mpsc::UnboundedSender<Message>>),
    Webhook(Box<Webhook>),
    Kavenegar(Kavenegar),
    Twilio(Twilio),
    Smtp(Box<Smtp>),
}

/// A provider, and whether it is worth asking.
#[derive(Debug)]
struct Way {
    name: &'static str,
    provider: Provider,
    breaker: Breaker,
}

/// All ways out.
#[derive(Debug)]
pub(super) struct Delivery {
    sms: Vec<Way>,
    email: Vec<Way>,
    templates: Templates,
    clock: Clock,
    metrics: Metrics,
}

impl Delivery {
    pub(super) fn new(
        config: &Notify,
        clock: Clock,
        metrics: Metrics,
        observer: Option<&mpsc::UnboundedSender<Message>>,
    ) -> Result<Self, SetupError> {
        let templates = Templates::load(&config.templates, &config.app_name, &config.autofill_domain)?;
        let routes = [config.sms, config.sms_fallback, config.email, config.email_fallback];
        let speaks_http = |route: &Route| matches!(route, Route::Webhook | Route::Kavenegar | Route::Twilio);
        let client = routes.iter().any(speaks_http).then(http::client).transpose()?;
        let way = |route: Route| -> Result<Option<Way>, SetupError> {
            let (name, provider) = match (route, client.clone()) {
                (Route::Console, _) => ("console", Provider::Console(observer.cloned())),
                (Route::Webhook, Some(client)) => {
                    ("webhook", Provider::Webhook(Box::new(Webhook::new(&config.webhook, client))))
                }
                (Route::Kavenegar, Some(client)) => {
                    ("kavenegar", Provider::Kavenegar(Kavenegar::new(&config.kavenegar, client)))
                }
                (Route::Twilio, Some(client)) => ("twilio", Provider::Twilio(Twilio::new(&config.twilio, client))),
                (Route::Smtp, _) => ("smtp", Provider::Smtp(Box::new(Smtp::new(&config.smtp, clock.clone())?))),
                (Route::None | Route::Webhook | Route::Kavenegar | Route::Twilio, _) => return Ok(None),
            };
            let breaker = Breaker::new(clock.clone(), config.failures, config.open_for);
            Ok(Some(Way { name, provider, breaker }))
        };
        let ways = |first, second| Ok::<_, SetupError>([way(first)?, way(second)?].into_iter().flatten().collect());
        let sms = ways(config.sms, config.sms_fallback)?;
        let email = ways(config.email, config.email_fallback)?;
        Ok(Self { sms, email, templates, clock, metrics })
    }

    fn ways(&self, channel: Channel) -> &[Way] {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        }
    }

    /// Whether messages can leave through a channel.
    pub(super) fn offers(&self, channel: Channel) -> bool {
        !self.ways(channel).is_empty()
    }

    /// Sends a message, by the second way only where the first surely did not.
    pub(super) async fn deliver(&self, message: Message) {
        let (id, channel) = (message.id, message.channel.as_str());
        for way in self.ways(message.channel) {
            // Asked before each: a first way may have taken its time to say no.
            let now = self.clock.now();
            if expires_at(&message.content).is_some_and(|end| end <= now) {
                self.metrics.message(channel, "none", "dropped");
                return warn!(message_id = %id, channel, "message dropped: it had expired before its turn came");
            }
            let Ok(permit) = way.breaker.admit() else {
                self.metrics.message(channel, way.name, "breaker_open");
                debug!(message_id = %id, channel, provider = way.name, "not asked, because it kept failing");
                continue;
            };
            let verdict = self.send(way, &message, now).await;
            let (outcome, cause) = (verdict.as_str(), verdict.reason());
            self.metrics.message(channel, way.name, outcome);
            if verdict.is_well() {
                if permit.succeeded() {
                    info!(channel, provider = way.name, "messages can be sent again");
                }
            } else if permit.failed() {
                warn!(channel, provider = way.name, "it kept failing, and is left alone for a while");
            }
            match verdict {
                Verdict::Sent => {
                    return debug!(message_id = %id, channel, provider = way.name, "message handed over");
                }
                Verdict::Refused(_) => {
                    return debug!(message_id = %id, channel, provider = way.name, outcome, cause, "message refused");
                }
                Verdict::Unknown(_) => {
                    return warn!(message_id = %id, channel, provider = way.name, outcome, cause, "message lost, perhaps");
                }
                Verdict::Failed(_) => {
                    warn!(message_id = %id, channel, provider = way.name, outcome, cause, "message not sent");
                }
            }
        }
        self.metrics.message(channel, "none", "dropped");
        warn!(message_id = %id, channel, "message lost: no way is left");
    }

    async fn send(&self, way: &Way, message: &Message, now: DateTime<Utc>) -> Verdict {
        let text = || self.templates.sms(message.locale, &message.content, now);
        match &way.provider {
            Provider::Console(observer) => {
                console::print(message, observer.as_ref());
                Verdict::Sent
            }
            Provider::Webhook(webhook) => webhook.send(message).await,
            Provider::Kavenegar(kavenegar) if kavenegar.has_text_for(&message.content) => {
                kavenegar.send(message, "").await
            }
            Provider::Kavenegar(kavenegar) => match text() {
                Ok(text) => kavenegar.send(message, text.expose()).await,
                Err(fault) => Verdict::Failed(fault),
            },
            Provider::Twilio(twilio) => match text() {
                Ok(text) => twilio.send(message, text.expose()).await,
                Err(fault) => Verdict::Failed(fault),
            },
            Provider::Smtp(smtp) => match self.templates.mail(message.locale, &message.content, now) {
                Ok(mail) => smtp.send(message, mail).await,
                Err(fault) => Verdict::Failed(fault),
            },
        }
    }
}

/// When a message is no longer worth sending.
fn expires_at(content: &Content) -> Option<DateTime<Utc>> {
    match content {
        Content::Code { expires_at, .. } | Content::PasswordReset { expires_at, .. } => Some(*expires_at),
        Content::PasswordChanged { .. } | Content::IdentifierChanged { .. } | Content::AccountDeleted { .. } => None,
    }
}
