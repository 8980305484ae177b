//! Text messages by Kavenegar: codes by the panel's templates (`verify/lookup`), anything else as plain text (`sms/send`).

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;

use super::http::{ask, form};
use super::verdict::{Verdict, undocumented};
use crate::config;
use crate::config::Lookups;
use crate::model::{Content, Message};
use crate::secret::Secret;

#[derive(Debug)]
pub(super) struct Kavenegar {
    client: Client,
    /// With the key in it: it must not be seen.
    base: Secret<String>,
    sender: String,
    templates: Lookups,
    timeout: Duration,
}

/// What it answers, whatever the HTTP status.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "return")]
    outcome: Outcome,
    #[serde(default)]
    entries: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Outcome {
    status: u16,
}

#[derive(Deserialize)]
struct Entry {
    status: u16,
}

impl Kavenegar {
    pub(super) fn new(config: &config::Kavenegar, client: Client) -> Self {
        let base = format!("{}/v1/{}", config.url.trim_end_matches('/'), config.api_key.expose());
        Self {
            client,
            base: Secret::new(base),
            sender: config.sender.clone(),
            templates: config.templates.clone(),
            timeout: config.timeout.to_std().unwrap_or_default(),
        }
    }

    /// The name of the panel's template that says this, where there is one.
    fn lookup<'a>(&'a self, content: &'a Content) -> Option<(&'a str, &'a str)> {
        match content {
            Content::Code { purpose, code, .. } => Some((self.templates.of(*purpose), code.expose().as_str())),
            Content::PasswordReset { .. }
            | Content::PasswordChanged { .. }
            | Content::IdentifierChanged { .. }
            | Content::AccountDeleted { .. } => None,
        }
        .filter(|(template, _)| !template.is_empty())
    }

    /// Whether the panel's own text is sent, and not ours.
    pub(super) fn has_text_for(&self, content: &Content) -> bool {
        self.lookup(content).is_some()
    }

    /// Sends a message; `text` is what it says where the panel has no template.
    pub(super) async fn send(&self, message: &Message, text: &str) -> Verdict {
        let receptor = receptor(message.to.as_str());
        let (method, mut fields) = match self.lookup(&message.content) {
            Some((template, code)) => ("verify/lookup.json", vec![("template", template), ("token", code)]),
            None => ("sms/send.json", vec![("message", text)]),
        };
        fields.push(("receptor", &receptor));
        if method == "sms/send.json" && !self.sender.is_empty() {
            fields.push(("sender", &self.sender));
        }
        let url = Secret::new(format!("{}/{method}", self.base.expose()));
        match ask(form(self.client.post(url.expose()), &fields), self.timeout).await {
            Ok((status, body)) => judge(status, &body),
            Err(verdict) => verdict,
        }
    }
}

/// Numbers as Kavenegar takes them: Iran's in their national form, others behind 00.
fn receptor(number: &str) -> String {
    match number.strip_prefix("+98") {
        Some(national) => format!("0{national}"),
        None => number.replacen('+', "00", 1),
    }
}

/// The outcome stands in the body; the HTTP status repeats it, or is 200 all the same.
fn judge(http_status: StatusCode, body: &[u8]) -> Verdict {
    let Ok(Answer { outcome: Outcome { status }, entries }) = serde_json::from_slice(body) else {
        return undocumented(http_status);
    };
    let reason = |what: &str| format!("{status}: {what}");
    let failed = |what: &str| Verdict::Failed(reason(what));
    match status {
        200 => match entries.unwrap_or_default().first().map(|entry| entry.status) {
            Some(6) => Verdict::Failed("200: the message failed at once (6)".to_owned()),
            Some(13) => Verdict::Failed("200: the message was cancelled (13)".to_owned()),
            Some(14) => Verdict::Refused("200: the recipient blocks such messages (14)".to_owned()),
            Some(_) => Verdict::Sent,
            None => Verdict::Unknown("200: no message in the answer".to_owned()),
        },
        411 => Verdict::Refused(reason("the recipient is not valid")),
        400 | 406 => failed("parameters are missing"),
        401 => failed("the account is disabled"),
        403 => failed("the API key is not valid"),
        404 | 405 => failed("the method is unknown"),
        407 => failed("access is denied; is this address allowed in the panel?"),
        412 => failed("the sender is not valid"),
        413 => failed("the text is empty or too long"),
        414 => failed("the request is too large"),
        416 => failed("the request comes from an address that is not registered"),
        418 => failed("the account's credit is used up"),
        422 => failed("a character cannot be processed"),
        424 => failed("the template was not found, or is not approved yet"),
        426 => failed("the method needs an advanced plan"),
        428 => failed("the code cannot be sent by a call"),
        430 => failed("the account's owner is not verified"),
        431 => failed("the form of the code is not allowed"),
        432 => failed("the template has no %token"),
        // 402 says that it did not work, 409 that the server is busy: neither, whether anything was sent.
        _ => Verdict::Unknown(format!("return.status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_kavenegar_takes_them() {
        assert_eq!(receptor("+989121234567"), "09121234567");
        assert_eq!(receptor("+447700900123"), "00447700900123");
    }

    #[test]
    fn the_body_tells_the_outcome_whatever_the_http_status() {
        let answer =
            |status: u16, entries: &str| format!(r#"{{"return":{{"status":{status},"message":"x"}}{entries}}}"#);
        let queued = r#","entries":[{"messageid":1,"status":5,"receptor":"0912"}]"#;
        for (http, body, outcome) in [
            (200, answer(200, queued), "sent"),
            (200, answer(200, r#","entries":[{"status":6}]"#), "failed"),
            (200, answer(200, r#","entries":[{"status":14}]"#), "refused"),
            (200, answer(200, ""), "unknown"),
            (200, answer(411, r#","entries":null"#), "refused"),
            (411, answer(411, ""), "refused"),
            (418, answer(418, ""), "failed"),
            (424, answer(424, ""), "failed"),
            (403, answer(403, ""), "failed"),
            (409, answer(409, ""), "unknown"),
            (402, answer(402, ""), "unknown"),
            (500, answer(999, ""), "unknown"),
            (200, String::new(), "unknown"),
            (200, "<html>".to_owned(), "unknown"),
            (403, "<html>forbidden</html>".to_owned(), "unknown"),
            (200, r#"{"return":{"status":"200"}}"#.to_owned(), "unknown"),
            (200, "[]".to_owned(), "unknown"),
        ] {
            assert_eq!(judge(StatusCode::from_u16(http).unwrap(), body.as_bytes()).as_str(), outcome, "{http} {body}");
        }
    }
}
