//! The figures over OTLP. They are those of `/metrics`, read from the same registry and put into the other form, so that both
//! ways show the same names and the same numbers, and nothing is counted twice.

use std::fmt;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Text;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use super::hearing::Hearing;
use crate::clock::Clock;
use crate::metrics::Snapshot;
use crate::metrics::snapshot::{self, LabelPair, MetricFamily, MetricType};

/// Sends figures to a collector.
pub(super) struct Sender {
    client: MetricsServiceClient<Channel>,
    metadata: MetadataMap,
    resource: Resource,
    timeout: Duration,
    /// When counting began, in nanoseconds since the epoch.
    began: u64,
}

impl Sender {
    pub(super) fn new(
        channel: Channel,
        metadata: MetadataMap,
        resource: &opentelemetry_sdk::Resource,
        timeout: Duration,
    ) -> Self {
        let attributes =
            resource.iter().map(|(name, value)| text(name.as_str(), value.as_str().into_owned())).collect();
        let resource = Resource { attributes, ..Resource::default() };
        Self { client: MetricsServiceClient::new(channel), metadata, resource, timeout, began: now() }
    }

    /// Sends figures every so often, and once more at the end.
    pub(super) async fn send_every(
        mut self,
        every: Duration,
        mut ended: oneshot::Receiver<()>,
        look: impl Fn() -> Result<Snapshot, fmt::Error> + Send + Sync,
    ) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hearing = Hearing::of("figures");
        loop {
            let is_last = tokio::select! {
                _ = tick.tick() => false,
                _ = &mut ended => true,
            };
            if let Ok(figures) = look() {
                hearing.note(&self.send(&figures).await.map_err(|status| status.code()));
            }
            if is_last {
                return;
            }
        }
    }

    async fn send(&mut self, figures: &[MetricFamily]) -> Result<(), tonic::Status> {
        let span = Span { began: self.began, at: now() };
        let scope = InstrumentationScope { name: "countersign".to_owned(), ..InstrumentationScope::default() };
        let metrics = figures.iter().filter_map(|family| span.metric(family)).collect();
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let resource = Some(self.resource.clone());
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let mut request = tonic::Request::new(ExportMetricsServiceRequest { resource_metrics });
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        self.client.export(request).await.map(drop)
    }
}

/// From when to when was counted.
struct Span {
    began: u64,
    at: u64,
}

impl Span {
    fn metric(&self, family: &MetricFamily) -> Option<Metric> {
        let (cumulative, metrics) = (AggregationTemporality::Cumulative.into(), family.metric.iter());
        let data = match family.r#type() {
            MetricType::Counter => Data::Sum(Sum {
                data_points: metrics.filter_map(|one| self.number(one, one.counter.as_ref()?.value)).collect(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            MetricType::Gauge => Data::Gauge(Gauge {
                data_points: metrics.filter_map(|one| self.number(one, one.gauge.as_ref()?.value)).collect(),
            }),
            MetricType::Histogram => Data::Histogram(Histogram {
                data_points: metrics.filter_map(|one| self.histogram(one)).collect(),
                aggregation_temporality: cumulative,
            }),
            MetricType::Summary | MetricType::Untyped | MetricType::GaugeHistogram => return None,
        };
        Some(Metric {
            name: family.name.clone(),
            description: family.help.clone(),
            unit: if family.name.ends_with("_seconds") { "s" } else { "" }.to_owned(),
            data: Some(data),
            metadata: Vec::new(),
        })
    }

    #[expect(clippy::unnecessary_wraps, reason = "where there is no value, there is no point")]
    fn number(&self, metric: &snapshot::Metric, value: f64) -> Option<NumberDataPoint> {
        Some(NumberDataPoint {
            attributes: attributes(&metric.label),
            start_time_unix_nano: self.began,
            time_unix_nano: self.at,
            value: Some(Number::AsDouble(value)),
            ..NumberDataPoint::default()
        })
    }

    /// Prometheus counts what is below each end, OTLP what is between two, and names no end of the last part.
    fn histogram(&self, metric: &snapshot::Metric) -> Option<HistogramDataPoint> {
        let histogram = metric.histogram.as_ref()?;
        let parts = &histogram.bucket;
        let below = std::iter::once(0).chain(parts.iter().map(|part| part.cumulative_count));
        let between = parts.iter().zip(below).map(|(part, below)| part.cumulative_count.saturating_sub(below));
        let ends = parts.iter().map(|part| part.upper_bound).filter(|end| *end < f64::MAX);
        Some(HistogramDataPoint {
            attributes: attributes(&metric.label),
            start_time_unix_nano: self.began,
            time_unix_nano: self.at,
            count: histogram.sample_count,
            sum: Some(histogram.sample_sum),
            bucket_counts: between.collect(),
            explicit_bounds: ends.collect(),
            ..HistogramDataPoint::default()
        })
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    labels.iter().map(|label| text(&label.name, label.value.clone())).collect()
}

fn text(name: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Text::StringValue(value)) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

fn now() -> u64 {
    Clock::System.now().timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Introspected, Metrics};

    #[test]
    fn figures_keep_their_names_and_numbers() {
        let metrics = Metrics::new();
        metrics.introspected(Introspected::Active);
        metrics.replica(7, 0.5);
        let counts = metrics.calls_of_a_worker([("s", "m")].into_iter());
        counts.ended(0, 0, Some(Duration::from_micros(60)));
        let figures = metrics.snapshot().unwrap();
        let span = Span { began: 1, at: 2 };
        let named = |name: &str| {
            let family = figures.iter().find(|family| family.name == name).unwrap();
            span.metric(family).unwrap().data.unwrap()
        };
        let Data::Sum(sum) = named("countersign_introspections_total") else { panic!() };
        assert_eq!(sum.data_points[0].value, Some(Number::AsDouble(1.0)));
        assert_eq!(sum.data_points[0].attributes, [text("outcome", "active".to_owned())]);
        let Data::Gauge(gauge) = named("countersign_replica_age_seconds") else { panic!() };
        assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(0.5)));
        let Data::Histogram(histogram) = named("countersign_rpc_duration_seconds") else { panic!() };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.bucket_counts.len(), point.explicit_bounds.len()), (1, 17, 16));
        assert_eq!((point.bucket_counts[0], point.bucket_counts[1]), (0, 1));
    }
}
