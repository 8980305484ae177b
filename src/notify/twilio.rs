//! Text messages by Twilio's Messages resource.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;

use super::http::{ask, form};
use super::verdict::{Verdict, undocumented};
use crate::config;
use crate::model::Message;

#[derive(Debug)]
pub(super) struct Twilio {
    client: Client,
    url: String,
    config: config::Twilio,
    timeout: Duration,
}

/// What a refusal says.
#[derive(Deserialize)]
struct Refusal {
    code: u32,
}

impl Twilio {
    pub(super) fn new(config: &config::Twilio, client: Client) -> Self {
        let base = config.url.trim_end_matches('/');
        let url = format!("{base}/2010-04-01/Accounts/{}/Messages.json", config.account_sid);
        Self { client, url, config: config.clone(), timeout: config.timeout.to_std().unwrap_or_default() }
    }

    pub(super) async fn send(&self, message: &Message, text: &str) -> Verdict {
        let config = &self.config;
        let from = match config.messaging_service_sid.as_str() {
            "" => ("From", config.from.as_str()),
            service => ("MessagingServiceSid", service),
        };
        let user = if config.api_key_sid.is_empty() { &config.account_sid } else { &config.api_key_sid };
        let request = self.client.post(&self.url).basic_auth(user, Some(config.auth_token.expose()));
        let request = form(request, &[("To", message.to.as_str()), from, ("Body", text)]);
        match ask(request, self.timeout).await {
            Ok((status, body)) => judge(status, &body),
            Err(verdict) => verdict,
        }
    }
}

fn judge(status: StatusCode, body: &[u8]) -> Verdict {
    if status == StatusCode::CREATED {
        return Verdict::Sent;
    }
    let Some(Refusal { code }) = serde_json::from_slice(body).ok().filter(|_| status.is_client_error()) else {
        return match status {
            StatusCode::TOO_MANY_REQUESTS => Verdict::Failed("429: too many requests".to_owned()),
            _ => undocumented(status),
        };
    };
    let reason = format!("{}: error {code}", status.as_u16());
    match code {
        // Not a number, not reachable, opted out, not a mobile.
        21211 | 21214 | 21610 | 21614 => Verdict::Refused(reason),
        // Any other refusal came before a message was made: a wrong token, a number that is not ours, a region not allowed.
        _ => Verdict::Failed(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_silence() {
        let refusal = |code: u32| format!(r#"{{"code":{code},"message":"x","more_info":"y","status":400}}"#);
        for (status, body, outcome) in [
            (201, r#"{"sid":"SM1","status":"queued"}"#.to_owned(), "sent"),
            (400, refusal(21211), "refused"),
            (400, refusal(21610), "refused"),
            (401, refusal(20003), "failed"),
            (400, refusal(21606), "failed"),
            (403, refusal(21408), "failed"),
            (429, refusal(20429), "failed"),
            (429, String::new(), "failed"),
            (200, "<html>".to_owned(), "unknown"),
            (302, String::new(), "unknown"),
            (400, "<html>".to_owned(), "unknown"),
            (500, refusal(20500), "unknown"),
            (503, String::new(), "unknown"),
        ] {
            assert_eq!(
                judge(StatusCode::from_u16(status).unwrap(), body.as_bytes()).as_str(),
                outcome,
                "{status} {body}"
            );
        }
    }
}
