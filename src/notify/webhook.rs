//! Messages to an HTTP endpoint of the operator's own.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, redirect};
use serde::Serialize;

use crate::config;
use crate::model::{Content, Message};
use crate::signature::Signer;

/// The endpoint and the signature under what is sent there.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    url: String,
    signer: Option<Signer>,
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
    pub(super) fn new(config: &config::Webhook) -> Result<Self, reqwest::Error> {
        let timeout = config.timeout.to_std().unwrap_or_default();
        let client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            // A redirect would carry a code to a place that nobody has configured.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { client, url: config.url.clone(), signer: Signer::new(&config.secret) })
    }

    /// Hands one message over. A connection that was refused is tried once more; anything that may have arrived is not,
    /// because a code that comes twice confuses more than one that has to be asked for again.
    pub(super) async fn deliver(&self, message: &Message) -> Result<(), String> {
        let body = Body {
            message_id: message.id.to_string(),
            channel: message.channel.as_str(),
            to: message.to.as_str(),
            kind: message.content.kind(),
            locale: message.locale.as_str(),
            said: Said::from(&message.content),
        };
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        match self.post(&body, &message.id.to_string()).await {
            Err(error) if error.is_connect() => self.post(&body, &message.id.to_string()).await,
            outcome => outcome,
        }
        // The URL may hold a secret of the operator's.
        .map_err(|error| error.without_url().to_string())
    }

    async fn post(&self, body: &[u8], message_id: &str) -> Result<(), reqwest::Error> {
        let mut request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", message_id)
            .body(body.to_vec());
        if let Some(signer) = &self.signer {
            request = request.header(Signer::HEADER, signer.sign(body));
        }
        request.send().await?.error_for_status().map(drop)
    }
}
