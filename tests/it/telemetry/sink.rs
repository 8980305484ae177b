//! A collector that remembers what it is told over OTLP.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// A collector, seen from the test.
#[derive(Clone, Default)]
pub(crate) struct Sink {
    pub endpoint: String,
    heard: Arc<Mutex<Heard>>,
}

/// All that it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub spans: Vec<Span>,
    pub metrics: Vec<Metric>,
    pub lines: Vec<LogRecord>,
    pub resources: Vec<Resource>,
    pub metadata: Vec<MetadataMap>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn start_on(listener: TcpListener) -> Self {
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let sink = Self { endpoint, ..Self::default() };
        let server = Server::builder()
            .add_service(TraceServiceServer::new(sink.clone()))
            .add_service(MetricsServiceServer::new(sink.clone()))
            .add_service(LogsServiceServer::new(sink.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        sink
    }

    /// What it has been told so far.
    pub(crate) fn so_far(&self) -> Heard {
        self.heard.lock().clone()
    }

    /// The same as text, but for the times.
    pub(crate) fn text(&self) -> String {
        let mut heard = self.so_far();
        for span in &mut heard.spans {
            (span.start_time_unix_nano, span.end_time_unix_nano) = (0, 0);
        }
        for line in &mut heard.lines {
            (line.time_unix_nano, line.observed_time_unix_nano) = (0, 0);
        }
        // Of figures nothing but what they go by is text.
        let mut labels = Vec::new();
        for metric in std::mem::take(&mut heard.metrics) {
            labels.push((metric.name, metric.description));
            match metric.data {
                Some(Data::Sum(sum)) => labels.extend(said(sum.data_points.iter().map(|point| &point.attributes))),
                Some(Data::Gauge(gauge)) => {
                    labels.extend(said(gauge.data_points.iter().map(|point| &point.attributes)));
                }
                Some(Data::Histogram(of)) => labels.extend(said(of.data_points.iter().map(|point| &point.attributes))),
                _ => {}
            }
        }
        format!("{heard:?} {labels:?}")
    }

    /// What it has been told once something is among it.
    pub(crate) async fn once<T>(&self, what: &str, found: impl Fn(&Heard) -> Option<T>) -> T {
        for _ in 0..1_500 {
            if let Some(found) = found(&self.heard.lock()) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the collector never heard of {what}: {:?}", self.so_far());
    }
}

/// Names and values of the attributes of points.
fn said<'p>(points: impl Iterator<Item = &'p Vec<KeyValue>>) -> Vec<(String, String)> {
    points.flatten().map(|label| (label.key.clone(), format!("{:?}", label.value))).collect()
}

/// The value of an attribute as text.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut heard = self.heard.lock();
        heard.metadata.push(request.metadata().clone());
        for told in request.into_inner().resource_spans {
            heard.resources.extend(told.resource);
            heard.spans.extend(told.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut heard = self.heard.lock();
        heard.metadata.push(request.metadata().clone());
        for told in request.into_inner().resource_metrics {
            heard.resources.extend(told.resource);
            heard.metrics.extend(told.scope_metrics.into_iter().flat_map(|scope| scope.metrics));
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Sink {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut heard = self.heard.lock();
        heard.metadata.push(request.metadata().clone());
        for told in request.into_inner().resource_logs {
            heard.resources.extend(told.resource);
            heard.lines.extend(told.scope_logs.into_iter().flat_map(|scope| scope.log_records));
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
