//! One event to one endpoint of others: within a time, following no redirects, and reading nothing but the status.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, redirect};

use super::address::{PrivateOnly, Reach};
use super::post::Endpoint;
use super::signature::sign;
use crate::clock::Clock;
use crate::config;

/// How long to wait for a connection, within the time for all of it.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next event.
const IDLE: Duration = Duration::from_secs(30);

/// Posts events.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    clock: Clock,
    reach: Reach,
    longest_wait: TimeDelta,
}

/// Why an endpoint has not taken an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It will take none any more.
    Gone,
    /// Not this time; a word on why, and how long it wants to be left alone, if it said so.
    Later { why: String, after: Option<TimeDelta> },
}

impl Sender {
    pub(super) fn new(settings: &config::Webhooks, reach: Reach, clock: Clock) -> Result<Self, reqwest::Error> {
        let timeout = settings.timeout.to_std().unwrap_or_default();
        let client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(CONNECT))
            // A redirect would lead to a place that nobody has set up, inside the network perhaps.
            .redirect(redirect::Policy::none())
            // A proxy would resolve names by itself, and connect to what they lead to.
            .no_proxy()
            .dns_resolver(Arc::new(reach))
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, clock, reach, longest_wait: settings.longest_retry })
    }

    /// Posts one event. `id` is the same each time, so that the endpoint can tell what it has seen.
    pub(super) async fn post(&self, endpoint: &Endpoint, id: &str, body: Bytes) -> Result<(), Refusal> {
        // What was set up under other settings, or before its name was a number's.
        let url = self.reach.url(&endpoint.webhook.url).map_err(|fault| later(fault.to_string()))?;
        let timestamp = self.clock.now().timestamp();
        let request = self
            .client
            .post(url.as_url().clone())
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", sign(&endpoint.secrets, id, timestamp, &body))
            .body(body);
        // Of the answer only its head is read: whatever else there is goes with the connection.
        let answer = request.send().await.map_err(|error| later(told(&error).to_owned()))?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            410 => Err(Refusal::Gone),
            status => {
                let after = wait(answer.headers(), self.clock.now()).map(|wait| wait.min(self.longest_wait));
                Err(Refusal::Later { why: format!("the endpoint answered {status}"), after })
            }
        }
    }
}

fn later(why: String) -> Refusal {
    Refusal::Later { why, after: None }
}

/// What operators are told of a failure: nothing of the URL, in which a secret may stand.
fn told(error: &reqwest::Error) -> &'static str {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<PrivateOnly>().is_some() {
            return "the endpoint's name leads to private addresses only";
        }
        cause = error.source();
    }
    if error.is_timeout() {
        "the endpoint did not answer in time"
    } else if error.is_connect() {
        "the endpoint cannot be connected to"
    } else {
        "the endpoint broke off"
    }
}

/// How long an answer asks to wait: in seconds, or until a moment (RFC 9110 §10.2.3).
fn wait(headers: &HeaderMap, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u32>() {
        Ok(seconds) => TimeDelta::seconds(seconds.into()),
        Err(_) => DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now,
    };
    Some(wait).filter(|wait| *wait > TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_says_how_long_it_wants_to_be_left_alone() {
        let now = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            wait(&headers, now).map(|wait| wait.num_seconds())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 17 Mar 2030 17:47:40 GMT"), Some(60));
        for nothing in ["0", "-5", "1.5", "soon", "", "99999999999", "Sun, 17 Mar 2030 17:46:00 GMT"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        assert_eq!(wait(&HeaderMap::new(), now), None);
    }

    /// Past what `post` judges by the spelling: only the resolver stands between a name and what it leads to.
    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let settings = config::Config::load(None, std::iter::empty()).unwrap().webhooks;
        for allows_private in [false, true] {
            let reach = Reach { needs_tls: false, allows_private };
            let sender = Sender::new(&settings, reach, Clock::System).unwrap();
            let request = tokio::time::timeout(Duration::from_secs(1), sender.client.post(&url).send());
            let connected = tokio::time::timeout(Duration::from_secs(1), listener.accept());
            let (sent, connected) = tokio::join!(request, connected);
            assert_eq!(connected.is_ok(), allows_private);
            if !allows_private {
                let refused = sent.unwrap().unwrap_err();
                assert_eq!(told(&refused), "the endpoint's name leads to private addresses only");
            }
        }
    }
}
