//! How providers are asked over HTTP.

use std::fmt::Write;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};

use super::verdict::Verdict;
use crate::telemetry::Context;

/// How long to wait for a connection. What takes longer has surely not sent anything.
const CONNECT: Duration = Duration::from_secs(3);
/// No provider's answer is longer. What is, is not read to its end.
const LONGEST: usize = 64 * 1024;

/// One client for all providers: it holds the system's certificates, which are megabytes.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/json"));
    // A redirect would carry a code to a place that nobody has configured.
    Client::builder().connect_timeout(CONNECT).redirect(redirect::Policy::none()).default_headers(headers).build()
}

/// Fills in a form (`application/x-www-form-urlencoded`).
pub(super) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields.join("&"))
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 3), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// Makes a request, and once more where there was no connection. Anything that may have arrived is not repeated.
pub(super) async fn ask(request: RequestBuilder, timeout: Duration) -> Result<(StatusCode, Vec<u8>), Verdict> {
    let mut headers = HeaderMap::new();
    Context::current().write(&mut headers);
    let request = request.headers(headers).timeout(timeout);
    let again = request.try_clone();
    let mut response = match (request.send().await, again) {
        (Err(error), Some(again)) if error.is_connect() && !error.is_timeout() => again.send().await?,
        (outcome, _) => outcome?,
    };
    // What is cut off is no JSON, and judged as such; where the status says it all, it has been said.
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await
        && body.len() < LONGEST
    {
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}
