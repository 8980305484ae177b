//! One call, one answer: how many a second, at which cost, how late.

use std::net::SocketAddr;
use std::sync::Arc;

use prost::Message;

use crate::Result;
use crate::child::Process;
use crate::client::{Measurement, Target};
use crate::echo::{self, Payload, Runtime};
use crate::figures::{Figure, Report};
use crate::request::{self, Load};
use crate::rounds::{self, Plan, Series};

/// What is measured here.
pub(crate) const FIGURES: &[&str] =
    &["echo", "echo_cpu", "echo_p99", "echo_default_runtime", "echo_default_runtime_cpu", "echo_default_runtime_p99"];

const CONNECTIONS: usize = 16;
const STREAMS: usize = 32;

/// Sizes of the messages that are sent to an echo and come back, where no real ones set the measure.
const QUESTION: usize = 400;
const ANSWER: usize = 150;

const RATE: fn(&Measurement) -> f64 = |seen| seen.rate;
const CPU: fn(&Measurement) -> f64 = |seen| seen.cpu;
const P50: fn(&Measurement) -> f64 = |seen| seen.p50;
const P99: fn(&Measurement) -> f64 = |seen| seen.p99;

/// Measures them all in turns. The default runtime's figures are compared with those of the echo on one thread.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let load = Arc::new(echo_load());
    let (lean, lean_address) = echo::start(core, Runtime::CurrentThread, ANSWER)?;
    let (default, default_address) = echo::start(core, Runtime::Default, ANSWER)?;
    let [lean, default] =
        rounds::interleaved([&target(&lean, lean_address, &load), &target(&default, default_address, &load)], plan)
            .await?;

    report.add(Figure::new("echo", lean.median(RATE), "calls/s").remark(lean.remark()));
    report.add(Figure::new("echo_cpu", lean.median(CPU), "us/call"));
    report.add(Figure::new("echo_p99", lean.median(P99), "us").remark(Some(p50(&lean))));
    let name = "echo_default_runtime";
    report.add(
        Figure::new(name, default.median(RATE), "calls/s").ratio(default.ratio(&lean, RATE)).remark(default.remark()),
    );
    report
        .add(Figure::new("echo_default_runtime_cpu", default.median(CPU), "us/call").ratio(default.ratio(&lean, CPU)));
    report.add(
        Figure::new("echo_default_runtime_p99", default.median(P99), "us")
            .ratio(default.ratio(&lean, P99))
            .remark(Some(p50(&default))),
    );
    Ok(())
}

fn p50(series: &Series) -> String {
    format!("p50 {:.0} us", series.median(P50))
}

fn target(process: &Process, address: SocketAddr, load: &Arc<Load>) -> Target {
    Target { address, pid: process.id(), load: Arc::clone(load) }
}

/// What an echo is asked.
fn echo_load() -> Load {
    Load {
        path: "/countersign.v1.TokenService/Introspect",
        bearer: format!("csk_{}", "0".repeat(43)),
        bodies: vec![request::framed(&Payload::of_size(QUESTION))],
        at_least: ANSWER,
        accept: |message| Payload::decode(message).is_ok_and(|answer| answer.content.iter().all(|byte| *byte == b'x')),
        connections: CONNECTIONS,
        streams: STREAMS,
    }
}
