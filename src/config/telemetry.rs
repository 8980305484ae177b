//! `[telemetry]`: what goes to a collector over OTLP.

use std::time::Duration;

use super::read::{choice, span};
use super::source::Settings;
use super::{Config, url};
use crate::secret::Secret;

section! {
    /// `[telemetry]`
    Telemetry {
        traces: bool,
        metrics: bool,
        logs: bool,
        endpoint: String,
        ca_file: String,
        headers: Secret<String>,
        sampling_ratio: f64,
        resource: Vec<(String, String)>,
        metrics_every: Duration,
        queue: usize,
        timeout: Duration,
        flush: Duration,
    }
}

impl Telemetry {
    /// Whether anything is sent.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.traces || self.metrics || self.logs
    }
}

pub(super) fn read(s: &mut Settings) -> Option<Telemetry> {
    let _only = choice(s, "telemetry.protocol", &[("grpc", ())]);
    let headers = Secret::new(s.secret("telemetry.headers"));
    let mut parts = headers.expose().split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
    if !parts.all(|part| part.contains('=')) {
        s.fault("telemetry.headers", "must be name=value, with commas or on lines of their own".to_owned());
    }
    let ratio = s.text("telemetry.sampling_ratio").parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    if ratio.is_none() {
        s.fault("telemetry.sampling_ratio", "must be a fraction from 0 to 1, such as 0.05".to_owned());
    }
    let resource = s.list("telemetry.resource");
    let pairs: Option<Vec<_>> = resource.iter().map(|pair| pair.split_once('=')).collect();
    if pairs.is_none() {
        s.fault("telemetry.resource", "must be a list of name=value".to_owned());
    }
    let metrics_every = span(s, "telemetry.metrics_every", "100ms", "1h");
    let queue = s.number("telemetry.queue", 1..=1_000_000);
    let timeout = span(s, "telemetry.timeout", "100ms", "1m");
    let flush = span(s, "telemetry.flush", "0s", "1m");
    Some(Telemetry {
        traces: s.flag("telemetry.traces"),
        metrics: s.flag("telemetry.metrics"),
        logs: s.flag("telemetry.logs"),
        endpoint: s.text("telemetry.endpoint").to_owned(),
        ca_file: s.text("telemetry.ca_file").to_owned(),
        headers,
        sampling_ratio: ratio?,
        resource: pairs?.into_iter().map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect(),
        metrics_every: metrics_every?.to_std().ok()?,
        queue: queue?,
        timeout: timeout?.to_std().ok()?,
        flush: flush?.to_std().ok()?,
    })
}

/// What is sent tells who uses the service and when; where headers let it in, they are a secret.
pub(super) fn check(config: &Config, s: &mut Settings) {
    let telemetry = &config.telemetry;
    let setting = "telemetry.endpoint";
    let is_url = |url: http::Uri| url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https"));
    if telemetry.is_on() && !telemetry.endpoint.parse().is_ok_and(is_url) {
        s.fault(setting, "must be a URL, such as http://127.0.0.1:4317".to_owned());
    } else if telemetry.is_on() && !telemetry.headers.expose().is_empty() {
        // In a cluster, collectors listen beside the service, mostly without TLS: a secret is another matter.
        url::check(setting, &telemetry.endpoint, "the secrets of telemetry.headers", config.profile, s);
    }
}
