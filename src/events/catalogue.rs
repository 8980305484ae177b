//! The form of an event on its way: CloudEvents 1.0 in JSON, with a message of `events.proto` as its data.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::model::{Event, EventKind};

/// What the types of our events begin with.
const NAMESPACE: &str = "countersign.v1.";

/// An event, ready to be sent.
#[derive(Clone, Debug)]
pub struct Envelope {
    event: Event,
    event_type: String,
    json: Vec<u8>,
}

impl Envelope {
    /// Puts an event into its form. `source` is who tells it: the issuer of this installation's tokens.
    #[must_use]
    pub fn new(event: Event, source: &str) -> Self {
        let kind = event.kind.parse::<EventKind>().ok();
        let event_type = format!("{NAMESPACE}{}", event.kind);
        let mut told = json!({
            "specversion": "1.0",
            "id": event.id,
            "source": source,
            "type": event_type,
            "time": event.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "datacontenttype": "application/json",
            "data": data(kind, &event),
        });
        if let Some(account) = event.account_id {
            told["subject"] = json!(account.to_string());
        }
        // One that a newer release has written is told as far as it is understood, so that it keeps its place in the order.
        if let Some(kind) = kind {
            told["dataschema"] = json!(format!("proto:{NAMESPACE}{}", message(kind)));
        }
        Self { json: told.to_string().into_bytes(), event_type, event }
    }

    /// What is told.
    #[must_use]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// The type that it has as a CloudEvent.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The CloudEvent, as JSON.
    #[must_use]
    pub fn cloud_event(&self) -> &[u8] {
        &self.json
    }
}

/// The message of `events.proto` that tells of a kind: `account.created` is `AccountCreated`.
fn message(kind: EventKind) -> String {
    let words = kind.as_str().split(['.', '_']);
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// That message in proto3's JSON. An event's word of detail is told only where this service chose it: an operator's own
/// words, such as why an account was blocked, may name a person.
fn data(kind: Option<EventKind>, event: &Event) -> Value {
    let mut data = Map::new();
    let mut tell = |name: &str, value: String| {
        if !value.is_empty() {
            data.insert(name.to_owned(), Value::String(value));
        }
    };
    tell("accountId", event.account_id.map(|id| id.to_string()).unwrap_or_default());
    tell("actor", event.actor.clone());
    let session = event.session_id.map(|id| id.to_string()).unwrap_or_default();
    let detail = event.detail.clone();
    match kind {
        Some(EventKind::IdentifierChanged) => tell("identifier", detail),
        Some(EventKind::PasswordChanged) => tell("keptSessionId", session),
        Some(EventKind::IdentityVerified) => tell("provider", detail),
        Some(EventKind::SessionCreated) => {
            tell("sessionId", session);
            tell("upgradedFrom", detail.strip_prefix("upgraded_from=").unwrap_or_default().to_owned());
        }
        Some(EventKind::SessionEnded | EventKind::RefreshTokenReused) => tell("sessionId", session),
        Some(
            EventKind::CallerCreated
            | EventKind::CallerKeyRotated
            | EventKind::CallerDeleted
            | EventKind::WebhookCreated
            | EventKind::WebhookSecretRotated
            | EventKind::WebhookDisabled
            | EventKind::WebhookEnabled
            | EventKind::WebhookDeleted,
        ) => tell("name", detail),
        Some(EventKind::DeliveriesReplayed) => tell("destination", detail),
        Some(EventKind::SigningKeyChanged) => tell("change", detail),
        Some(EventKind::Purged) => tell("summary", detail),
        Some(EventKind::AccountUpdated) => {
            let changed: Vec<_> = detail.split(',').filter(|name| !name.is_empty()).map(Value::from).collect();
            if !changed.is_empty() {
                data.insert("changed".to_owned(), Value::Array(changed));
            }
        }
        Some(
            EventKind::AccountCreated
            | EventKind::AccountBlocked
            | EventKind::AccountUnblocked
            | EventKind::AccountDeleted
            | EventKind::AccountImported
            | EventKind::AccountTokensRevoked
            | EventKind::TokenRevoked,
        )
        | None => {}
    }
    Value::Object(data)
}
