//! One question over HTTP and its answer, with bounds on how long it takes and how much comes back.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, redirect};

use crate::telemetry::Context;

/// No answer that makes sense is longer.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Why an outside system cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("the client of an outside system cannot be set up: {0}")]
pub struct SetupError(#[from] reqwest::Error);

/// What came back, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    /// When to ask again, where the other side says so in seconds.
    pub(super) retry_after: Option<TimeDelta>,
    pub(super) body: Vec<u8>,
}

/// Why nothing useful came back. Says nothing of what was asked, nor of where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Late,
    Unreachable,
    Broken,
    TooLong,
}

impl Lost {
    /// What the other side did, for a sentence about it.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Late => "did not answer in time",
            Self::Unreachable => "cannot be connected to",
            Self::Broken => "broke off",
            Self::TooLong => "gave an answer that is too long",
        }
    }
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Late
        } else if error.is_connect() {
            Self::Unreachable
        } else {
            Self::Broken
        }
    }
}

/// A client for one system.
#[derive(Clone, Debug)]
pub(super) struct Exchange(Client);

impl Exchange {
    pub(super) fn new(timeout: Duration) -> Result<Self, SetupError> {
        Self::trusting(timeout, &[])
    }

    /// One that believes certificates of these authorities beside the system's.
    pub(super) fn trusting(timeout: Duration, authorities: &[Certificate]) -> Result<Self, SetupError> {
        let client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .tls_certs_merge(authorities.iter().cloned())
            // A redirect would carry a national id or a password to a place that nobody has configured.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self(client))
    }

    /// Posts a JSON body.
    pub(super) async fn post(&self, url: &str, mut headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Lost> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.send(Method::POST, url, headers, body).await
    }

    /// Asks one question. A connection that was refused is tried once more; what may have arrived is not, because each
    /// question may cost money.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, Lost> {
        Context::current().write(&mut headers);
        let body = Bytes::from(body);
        let send = || self.0.request(method.clone(), url).headers(headers.clone()).body(body.clone()).send();
        let mut response = match send().await {
            Err(error) if is_refused(&error) => send().await?,
            outcome => outcome?,
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Lost::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after: retry_after.and_then(TimeDelta::try_seconds), body })
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
