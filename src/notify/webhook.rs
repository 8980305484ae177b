//! Messages to an HTTP endpoint of the operator's own.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use serde::Serialize;

use super::http::ask;
use super::verdict::{Verdict, undocumented};
use crate::config;
use crate::model::{Content, Message};
use crate::signature::Signer;

/// The endpoint and the signature under what is sent there.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    url: String,
    signer: Option<Signer>,
    timeout: Duration,
}

/// What the endpoint receives.
#[derive(Serialize)]
struct Body<'a> {
    message_id: String,
    channel: &'static str,
    to: &'a str,
    kind: &'static str,
    locale: &'static str,
    #[serde(flatten)]
    said: Said<'a>,
}

/// What depends on the kind.
#[derive(Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Code { purpose: &'static str, code: &'a str, expires_at: String },
    PasswordReset { url: &'a str, expires_at: String },
    IdentifierChanged { at: String, new_masked: &'a str },
    News { at: String },
}

impl<'a> From<&'a Content> for Said<'a> {
    fn from(content: &'a Content) -> Self {
        match content {
            Content::Code { purpose, code, expires_at, .. } => {
                Self::Code { purpose: purpose.as_str(), code: code.expose(), expires_at: expires_at.to_rfc3339() }
            }
            Content::PasswordReset { url, expires_at } => {
                Self::PasswordReset { url: url.expose(), expires_at: expires_at.to_rfc3339() }
            }
            Content::IdentifierChanged { at, new_masked } => {
                Self::IdentifierChanged { at: at.to_rfc3339(), new_masked }
            }
            Content::PasswordChanged { at } | Content::AccountDeleted { at } => Self::News { at: at.to_rfc3339() },
        }
    }
}

impl Webhook {
    pub(super) fn new(config: &config::Webhook, client: Client) -> Self {
        let timeout = config.timeout.to_std().unwrap_or_default();
        Self { client, url: config.url.clone(), signer: Signer::new(&config.secret), timeout }
    }

    /// Hands one message over.
    pub(super) async fn send(&self, message: &Message) -> Verdict {
        let body = Body {
            message_id: message.id.to_string(),
            channel: message.channel.as_str(),
            to: message.to.as_str(),
            kind: message.content.kind(),
            locale: message.locale.as_str(),
            said: Said::from(&message.content),
        };
        let body = match serde_json::to_vec(&body) {
            Ok(body) => body,
            Err(error) => return Verdict::Failed(error.to_string()),
        };
        let mut request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", message.id.to_string());
        if let Some(signer) = &self.signer {
            request = request.header(Signer::HEADER, signer.sign(&body));
        }
        match ask(request.body(body), self.timeout).await {
            Ok((status, _)) => judge(status),
            Err(verdict) => verdict,
        }
    }
}

/// What the manual asks of an endpoint: 422 is about the recipient, any other refusal about the endpoint.
fn judge(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Sent,
        422 => Verdict::Refused("the endpoint answered 422".to_owned()),
        // It gave up waiting for what may have reached it.
        408 => undocumented(status),
        other @ (300..=499) => Verdict::Failed(format!("the endpoint answered {other}")),
        _ => undocumented(status),
    }
}
