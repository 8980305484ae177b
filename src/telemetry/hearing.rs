//! Whether a collector takes what it is sent. Where it does not, that is said once, and once more when it does again.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::{info, warn};

/// How a collector takes one kind of thing.
#[derive(Debug)]
pub(super) struct Hearing {
    /// Of what.
    signal: &'static str,
    is_deaf: AtomicBool,
}

impl Hearing {
    pub(super) const fn of(signal: &'static str) -> Self {
        Self { signal, is_deaf: AtomicBool::new(false) }
    }

    /// Something was sent, and this became of it.
    pub(super) fn note<C: Debug>(&self, outcome: &Result<(), C>) {
        let was_deaf = self.is_deaf.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(cause) if !was_deaf => {
                warn!(
                    signal = self.signal,
                    ?cause,
                    "the collector does not take what it is sent; it is lost until it does"
                );
            }
            Ok(()) if was_deaf => info!(signal = self.signal, "the collector takes what it is sent again"),
            Ok(()) | Err(_) => {}
        }
    }
}

/// An exporter of whose success is told.
#[derive(Debug)]
pub(super) struct Heard<E> {
    exporter: E,
    hearing: Hearing,
}

impl<E> Heard<E> {
    pub(super) const fn by(exporter: E, signal: &'static str) -> Self {
        Self { exporter, hearing: Hearing::of(signal) }
    }
}

impl<E: SpanExporter> SpanExporter for Heard<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        self.hearing.note(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Heard<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        self.hearing.note(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
