//! One call, one answer, as fast as they go: what two echoes show, by themselves or beside a service.

use std::net::SocketAddr;
use std::sync::Arc;

use prost::Message;

use crate::Result;
use crate::child::Process;
use crate::client::{Measurement, Target};
use crate::echo::{self, Payload, Runtime};
use crate::figures::{Figure, Report};
use crate::request::{Load, framed};
use crate::rounds::{Plan, Series, interleaved};

/// What is measured here.
pub(crate) const FIGURES: &[&str] =
    &["echo", "echo_cpu", "echo_p99", "echo_default_runtime", "echo_default_runtime_cpu", "echo_default_runtime_p99"];

/// With so many calls under way, whoever answers them has always something to do.
pub(crate) const CONNECTIONS: usize = 16;
pub(crate) const STREAMS: usize = 32;

/// What the echoes answer to.
const PATH: &str = "/countersign.v1.TokenService/Introspect";

/// Sizes of the messages where no real ones set the measure.
const QUESTION: usize = 400;
const ANSWER: usize = 150;

pub(crate) const RATE: fn(&Measurement) -> f64 = |seen| seen.rate;
pub(crate) const CPU: fn(&Measurement) -> f64 = |seen| seen.cpu;
pub(crate) const P99: fn(&Measurement) -> f64 = |seen| seen.p99;

/// Measures the echoes by themselves.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let load = Load {
        path: PATH,
        bearer: format!("csk_{}", "0".repeat(43)),
        bodies: vec![framed(&Payload::of_size(QUESTION))],
        at_least: ANSWER,
        accept: is_echo,
        connections: CONNECTIONS,
        streams: STREAMS,
        every: None,
    };
    let echoes = Echoes::start(core, &load, ANSWER)?;
    let [lean, default] = echoes.targets();
    let [lean, default] = interleaved([&lean, &default], plan).await?;
    Echoes::report(&lean, &default, report);
    Ok(())
}

/// One echo on a single thread, one on tonic's default runtime.
pub(crate) struct Echoes {
    processes: [(Process, SocketAddr); 2],
    load: Arc<Load>,
}

impl Echoes {
    /// Starts them. They are sent what the service is sent, and answer with messages of its size.
    pub(crate) fn start(core: usize, like: &Load, answer: usize) -> Result<Self> {
        let load = Load {
            path: PATH,
            bearer: like.bearer.clone(),
            bodies: like.bodies.clone(),
            at_least: answer,
            accept: is_echo,
            connections: like.connections,
            streams: like.streams,
            every: None,
        };
        let lean = echo::start(core, Runtime::CurrentThread, answer)?;
        let default = echo::start(core, Runtime::Default, answer)?;
        Ok(Self { processes: [lean, default], load: Arc::new(load) })
    }

    pub(crate) fn targets(&self) -> [Target; 2] {
        self.processes.each_ref().map(|(process, address)| Target {
            address: *address,
            pid: process.id(),
            load: Arc::clone(&self.load),
        })
    }

    /// Prints what they showed. The default runtime is compared with the single thread.
    pub(crate) fn report(lean: &Series, default: &Series, report: &mut Report) {
        report.add(Figure::new("echo", lean.median(RATE), "calls/s").remark(lean.remark()));
        report.add(Figure::new("echo_cpu", lean.median(CPU), "us/call"));
        report.add(Figure::new("echo_p99", lean.median(P99), "us").remark(Some(lean.p50())));
        let figure = |name, of, unit| Figure::new(name, default.median(of), unit).ratio(default.ratio(lean, of));
        report.add(figure("echo_default_runtime", RATE, "calls/s").remark(default.remark()));
        report.add(figure("echo_default_runtime_cpu", CPU, "us/call"));
        report.add(figure("echo_default_runtime_p99", P99, "us").remark(Some(default.p50())));
    }
}

fn is_echo(message: &[u8]) -> bool {
    Payload::decode(message).is_ok_and(|answer| answer.content.iter().all(|byte| *byte == b'x'))
}
