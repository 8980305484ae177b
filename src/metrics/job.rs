//! Jobs: how their runs end, and when one last succeeded.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labels, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    runs: Family<Labels<2>, Counter>,
    last_success: Family<Labels<1>, Gauge<i64, AtomicI64>>,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let runs = Family::default();
        registry.register("job_runs", "Runs of jobs on this node, by how they ended", runs.clone());
        let last_success = Family::default();
        let help = "When a job last succeeded, on whichever node, in seconds since 1970";
        registry.register("job_last_success_timestamp_seconds", help, last_success.clone());
        Self { runs, last_success }
    }
}

impl Metrics {
    /// A run of a job is over.
    pub fn job_run(&self, job: &'static str, outcome: &'static str) {
        self.job.runs.get_or_create(&[("name", job), ("outcome", outcome)]).inc();
    }

    /// A job has succeeded at that time, in seconds since 1970.
    pub fn job_succeeded(&self, job: &'static str, at: i64) {
        self.job.last_success.get_or_create(&[("name", job)]).set(at);
    }
}
