//! The collector that is told over OTLP: one connection, which is made when there is something to tell, and queues with an end
//! before it. What finds no place in a queue, or is not taken in time, is dropped.

use std::str::FromStr;
use std::time::Duration;

use opentelemetry::trace::{SpanKind, TraceContextExt, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{self, SdkLoggerProvider};
use opentelemetry_sdk::trace::{self, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{EnvFilter, Layer};

use super::hearing::Heard;
use super::{StartError, figures};
use crate::config::Telemetry;
use crate::metrics::Snapshot;
use crate::random::Random;

/// How long spans and lines wait for company before they are sent together.
const GATHER: Duration = Duration::from_secs(1);
/// How many are sent together.
const TOGETHER: usize = 512;

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The way to a collector.
#[derive(Debug)]
pub(super) struct Collector {
    settings: Telemetry,
    channel: Channel,
    metadata: MetadataMap,
    resource: Resource,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    figures: Option<Figures>,
}

/// Figures are being sent.
#[derive(Debug)]
struct Figures {
    task: JoinHandle<()>,
    /// Asks for the last time.
    ending: oneshot::Sender<()>,
}

impl Collector {
    /// None where nothing is to be sent. Nobody is called yet.
    pub(super) fn connect(settings: &Telemetry) -> Result<Option<Self>, StartError> {
        if !settings.is_on() {
            return Ok(None);
        }
        let mut collector = Self {
            settings: settings.clone(),
            channel: channel(settings)?,
            metadata: metadata(settings.headers.expose())?,
            resource: resource(settings),
            traces: None,
            logs: None,
            figures: None,
        };
        collector.traces = settings.traces.then(|| collector.tracer()).transpose()?;
        collector.logs = settings.logs.then(|| collector.logger()).transpose()?;
        Ok(Some(collector))
    }

    /// Whatever is sent goes the same way.
    fn on_the_way<B: WithTonicConfig + WithExportConfig>(&self, exporter: B) -> B {
        exporter
            .with_channel(self.channel.clone())
            .with_metadata(self.metadata.clone())
            .with_timeout(self.settings.timeout)
    }

    fn tracer(&self) -> Result<SdkTracerProvider, StartError> {
        let exporter = self.on_the_way(SpanExporter::builder().with_tonic()).build().map_err(unfit)?;
        let queue = trace::BatchConfigBuilder::default()
            .with_max_queue_size(self.settings.queue)
            .with_max_export_batch_size(TOGETHER.min(self.settings.queue))
            .with_scheduled_delay(GATHER)
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.settings.sampling_ratio)));
        Ok(SdkTracerProvider::builder()
            .with_span_processor(
                trace::BatchSpanProcessor::builder(Heard::by(exporter, "spans")).with_batch_config(queue).build(),
            )
            .with_sampler(OfCalls(sampler))
            .with_resource(self.resource.clone())
            .build())
    }

    fn logger(&self) -> Result<SdkLoggerProvider, StartError> {
        let exporter = self.on_the_way(LogExporter::builder().with_tonic()).build().map_err(unfit)?;
        let queue = logs::BatchConfigBuilder::default()
            .with_max_queue_size(self.settings.queue)
            .with_max_export_batch_size(TOGETHER.min(self.settings.queue))
            .with_scheduled_delay(GATHER)
            .build();
        Ok(SdkLoggerProvider::builder()
            .with_log_processor(
                logs::BatchLogProcessor::builder(Heard::by(exporter, "log")).with_batch_config(queue).build(),
            )
            .with_resource(self.resource.clone())
            .build())
    }

    /// What makes traces of our spans. Events are no part of them: they are the log.
    pub(super) fn traces(&self) -> Option<AnyLayer> {
        let tracer = self.traces.as_ref()?.tracer("countersign");
        super::trace::begin();
        let ours = filter_fn(|metadata| metadata.is_span() && is_ours(metadata.target()));
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(ours.with_max_level_hint(LevelFilter::DEBUG)).boxed())
    }

    /// What sends the log. What the libraries say through which it is sent would be sent again and again.
    pub(super) fn logs(&self, filter: EnvFilter) -> Option<AnyLayer> {
        let bridge = OpenTelemetryTracingBridge::new(self.logs.as_ref()?);
        let ours = filter_fn(|metadata| is_ours(metadata.target()) || metadata.is_span());
        Some(bridge.with_filter(filter.and(ours)).boxed())
    }

    /// Sends figures again and again, until the end.
    pub(super) fn send_figures(
        &mut self,
        look: impl Fn() -> Result<Snapshot, std::fmt::Error> + Send + Sync + 'static,
    ) {
        if self.settings.metrics {
            let sender = figures::Sender::new(
                self.channel.clone(),
                self.metadata.clone(),
                &self.resource,
                self.settings.timeout,
            );
            let (ending, ended) = oneshot::channel();
            let task = tokio::spawn(sender.send_every(self.settings.metrics_every, ended, look));
            self.figures = Some(Figures { task, ending });
        }
    }

    /// Sends what waits, within the time there is for it.
    pub(super) async fn end(self) {
        let Self { settings, traces, logs, figures, .. } = self;
        let patience = settings.flush;
        // The queues' own threads are waited for on threads that may wait.
        let flushing = tokio::task::spawn_blocking(move || {
            std::thread::scope(|scope| {
                scope.spawn(|| traces.map(|traces| traces.shutdown_with_timeout(patience)));
                scope.spawn(|| logs.map(|logs| logs.shutdown_with_timeout(patience)));
            });
        });
        let last = async {
            if let Some(Figures { task, ending }) = figures {
                let _ = ending.send(());
                let _ = task.await;
            }
        };
        // A thread, or a task, that does not come back is left behind.
        let _ = tokio::time::timeout(patience, async { tokio::join!(flushing, last) }).await;
    }
}

/// Only calls begin traces: what a node does by itself, such as comparing with the database every second, is none.
#[derive(Clone, Debug)]
struct OfCalls(Sampler);

impl ShouldSample for OfCalls {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        let is_part = parent.is_some_and(|parent| parent.span().span_context().is_valid());
        if is_part || *kind == SpanKind::Server {
            return self.0.should_sample(parent, trace, name, kind, attributes, links);
        }
        SamplingResult {
            decision: SamplingDecision::Drop,
            attributes: Vec::new(),
            trace_state: opentelemetry::trace::TraceState::default(),
        }
    }
}

fn is_ours(target: &str) -> bool {
    target.starts_with("countersign")
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn unfit(cause: impl ToString) -> StartError {
    StartError::Endpoint(cause.to_string())
}

fn channel(settings: &Telemetry) -> Result<Channel, StartError> {
    let endpoint = Endpoint::from_shared(settings.endpoint.clone()).map_err(unfit)?;
    let mut endpoint = endpoint.connect_timeout(settings.timeout).timeout(settings.timeout);
    if settings.endpoint.starts_with("https://") {
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if !settings.ca_file.is_empty() {
            let certificates = std::fs::read(&settings.ca_file).map_err(StartError::Certificates)?;
            tls = tls.ca_certificate(Certificate::from_pem(certificates));
        }
        endpoint = endpoint.tls_config(tls).map_err(unfit)?;
    }
    Ok(endpoint.connect_lazy())
}

fn metadata(headers: &str) -> Result<MetadataMap, StartError> {
    let mut metadata = MetadataMap::new();
    for header in headers.split([',', '\n']).map(str::trim).filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once('=').ok_or(StartError::Headers("there is no ="))?;
        let name = MetadataKey::from_str(name.trim()).map_err(|_| StartError::Headers("a name is none"))?;
        let mut value = MetadataValue::from_str(value.trim()).map_err(|_| StartError::Headers("a value is none"))?;
        value.set_sensitive(true);
        metadata.insert(name, value);
    }
    Ok(metadata)
}

/// What is said of this node with everything that is sent.
fn resource(settings: &Telemetry) -> Resource {
    let instance = uuid::Builder::from_random_bytes(Random.bytes()).into_uuid().to_string();
    let own = settings.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_service_name("countersign")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance))
        .with_attributes(own)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_from_lists_and_lines() {
        let read = metadata("authorization=Bearer a=b, x-team = one\nx-other=two\n").unwrap();
        assert_eq!(read.get("authorization").unwrap(), "Bearer a=b");
        assert_eq!(read.get("x-team").unwrap(), "one");
        assert_eq!(read.len(), 3);
        for bad in ["no value", "in valid=x", "name=li\u{7f}ne"] {
            assert!(metadata(bad).is_err(), "{bad}");
        }
    }
}
