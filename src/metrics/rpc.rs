//! Calls: how many, how they ended and how long they took. Each worker counts for itself, and what all of them have counted
//! is added up when somebody asks, so that no call waits for another core.

use std::array;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use super::Metrics;

/// The codes of gRPC, in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// Where the parts of the histogram end, in microseconds. An introspection takes some tens of them, a password some ten thousand.
const ENDS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// The service and the name of a method.
pub type MethodName = (&'static str, &'static str);

#[derive(Clone, Debug, Default)]
pub(super) struct Figures(Arc<Calls>);

#[derive(Debug, Default)]
struct Calls {
    methods: OnceLock<Vec<MethodName>>,
    workers: Mutex<Vec<Arc<CallCounts>>>,
}

/// What one worker counts.
#[derive(Debug)]
pub struct CallCounts(Box<[Method]>);

#[derive(Debug)]
#[repr(align(128))]
struct Method {
    codes: [AtomicU64; CODES.len()],
    /// The last is for what took longer than all ends.
    spans: [AtomicU64; ENDS.len() + 1],
    micros: AtomicU64,
}

impl Method {
    fn new() -> Self {
        let zero = |_| AtomicU64::default();
        Self { codes: array::from_fn(zero), spans: array::from_fn(zero), micros: AtomicU64::default() }
    }
}

impl CallCounts {
    /// A call of the method with this number has ended with this code. How long it took need not be known of each.
    pub fn ended(&self, method: usize, code: usize, took: Option<Duration>) {
        let Some(method) = self.0.get(method) else { return };
        if let Some(count) = method.codes.get(code) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(took) = took {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let part = ENDS.partition_point(|end| *end < micros);
            method.spans[part].fetch_add(1, Ordering::Relaxed);
            method.micros.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// How many calls of a method have ended well.
    #[must_use]
    pub fn well(&self, method: usize) -> u64 {
        self.0.get(method).map_or(0, |method| method.codes[0].load(Ordering::Relaxed))
    }
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        registry.register_collector(Box::new(Arc::clone(&figures.0)));
        figures
    }
}

impl Metrics {
    /// What a worker of its own counts. `methods` are named in the order of their numbers, the same for all workers.
    #[must_use]
    pub fn calls_of_a_worker(&self, methods: impl Iterator<Item = MethodName>) -> Arc<CallCounts> {
        let calls = &self.rpc.0;
        let methods = calls.methods.get_or_init(|| methods.collect());
        let counts = Arc::new(CallCounts(methods.iter().map(|_| Method::new()).collect()));
        calls.workers.lock().push(Arc::clone(&counts));
        counts
    }
}

impl Calls {
    /// The sum of what the workers have counted of something of a method.
    fn sum(&self, method: usize, of: impl Fn(&Method) -> &AtomicU64) -> u64 {
        let workers = self.workers.lock();
        workers.iter().filter_map(|worker| worker.0.get(method)).map(|method| of(method).load(Ordering::Relaxed)).sum()
    }

    fn encode_requests(&self, methods: &[MethodName], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls that have ended, by how";
        let mut family = encoder.encode_descriptor("rpc_requests", help, None, MetricType::Counter)?;
        for (number, (service, method)) in methods.iter().enumerate() {
            for (place, code) in CODES.iter().enumerate() {
                let count = self.sum(number, |method| &method.codes[place]);
                // That nobody has called yet is worth knowing; that nothing has ended in each of the other ways is not.
                if count > 0 || place == 0 {
                    let labels = [("rpc_service", *service), ("rpc_method", *method), ("code", *code)];
                    ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_durations(&self, methods: &[MethodName], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How long calls took; of introspections one in 64 is measured";
        let mut family = encoder.encode_descriptor("rpc_duration_seconds", help, None, MetricType::Histogram)?;
        for (number, (service, method)) in methods.iter().enumerate() {
            let ends = ENDS.iter().map(|end| seconds(*end)).chain([f64::INFINITY]);
            let parts: Vec<_> =
                ends.enumerate().map(|(part, end)| (end, self.sum(number, |method| &method.spans[part]))).collect();
            let count = parts.iter().map(|(_, count)| count).sum();
            if count > 0 {
                let sum = seconds(self.sum(number, |method| &method.micros));
                let labels = [("rpc_service", *service), ("rpc_method", *method)];
                family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &parts, None)?;
            }
        }
        Ok(())
    }
}

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(methods) = self.methods.get() else { return Ok(()) };
        self.encode_requests(methods, &mut encoder)?;
        self.encode_durations(methods, &mut encoder)
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_count_is_added_up() {
        let metrics = Metrics::new();
        let names = [("s.A", "One"), ("s.A", "Two")];
        let [first, second] = [0, 1].map(|_| metrics.calls_of_a_worker(names.into_iter()));
        first.ended(0, 0, Some(Duration::from_micros(60)));
        second.ended(0, 0, Some(Duration::from_micros(50)));
        second.ended(0, 16, None);
        second.ended(7, 0, None);
        let text = metrics.render().unwrap();
        let expected = "\
# HELP countersign_rpc_requests Calls that have ended, by how
# TYPE countersign_rpc_requests counter
countersign_rpc_requests_total{rpc_service=\"s.A\",rpc_method=\"One\",code=\"OK\"} 2
countersign_rpc_requests_total{rpc_service=\"s.A\",rpc_method=\"One\",code=\"UNAUTHENTICATED\"} 1
countersign_rpc_requests_total{rpc_service=\"s.A\",rpc_method=\"Two\",code=\"OK\"} 0
";
        assert!(text.contains(expected), "{text}");
        for line in [
            "rpc_duration_seconds_sum{rpc_service=\"s.A\",rpc_method=\"One\"} 0.00011\n",
            "rpc_duration_seconds_count{rpc_service=\"s.A\",rpc_method=\"One\"} 2\n",
            "rpc_duration_seconds_bucket{le=\"0.00005\",rpc_service=\"s.A\",rpc_method=\"One\"} 1\n",
            "rpc_duration_seconds_bucket{le=\"0.0001\",rpc_service=\"s.A\",rpc_method=\"One\"} 2\n",
            "rpc_duration_seconds_bucket{le=\"+Inf\",rpc_service=\"s.A\",rpc_method=\"One\"} 2\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
