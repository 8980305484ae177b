//! Endpoints that events are posted to, as operators are shown them.

use super::timestamp;
use crate::model::Webhook;
use crate::proto::v1;

pub(in crate::rpc) fn webhook(webhook: &Webhook) -> v1::Webhook {
    let state = match webhook.disabled_at {
        None => v1::WebhookState::Active,
        Some(_) => v1::WebhookState::Disabled,
    };
    v1::Webhook {
        webhook_id: webhook.id.to_string(),
        name: webhook.name.clone(),
        url: webhook.url.clone(),
        kinds: webhook.kinds.names().to_vec(),
        state: state.into(),
        created_at: Some(timestamp(webhook.created_at)),
        rotated_at: webhook.rotated_at.map(timestamp),
        disabled_at: webhook.disabled_at.map(timestamp),
    }
}
