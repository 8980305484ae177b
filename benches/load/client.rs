//! The load generator: connections, their sockets and the window that is measured.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use crate::Result;
use crate::child::CpuTime;
use crate::connection::Connection;
use crate::histogram::Histogram;
use crate::request::Load;

/// Who is asked.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The process whose CPU time is counted.
    pub(crate) pid: u32,
    pub(crate) load: Arc<Load>,
}

/// How long.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// Before anything is counted.
    pub(crate) warm_up: Duration,
    /// While it is.
    pub(crate) measured: Duration,
}

/// What was seen in a window.
#[derive(Clone)]
pub(crate) struct Measurement {
    /// All answers, also those before and after the window.
    pub(crate) answers: u64,
    /// Answers in a second.
    pub(crate) rate: f64,
    /// The server's CPU time for one answer, in microseconds.
    pub(crate) cpu: f64,
    /// In microseconds.
    pub(crate) p50: f64,
    /// In microseconds.
    pub(crate) p99: f64,
    /// How much of one core the server used, from 0 to 1. Below 0.95 something else was the bottleneck.
    pub(crate) server_share: f64,
    /// The same for this process.
    pub(crate) client_share: f64,
}

/// Answers are buffered up to this size; it holds many frames of the largest kind that we accept.
const BUFFER: usize = 256 * 1024;
/// After the window, calls under way have this long to finish.
const DRAIN: Duration = Duration::from_secs(10);

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const DRAINING: u8 = 2;

/// Drives a target for a window.
pub(crate) async fn run(target: &Target, window: Window) -> Result<Measurement> {
    let phase = Arc::new(AtomicU8::new(WARMING));
    let mut connections = JoinSet::new();
    for place in 0..target.load.connections {
        connections.spawn(drive(target.address, Arc::clone(&target.load), place, Arc::clone(&phase)));
    }
    wait(&mut connections, window.warm_up).await?;
    phase.store(MEASURING, Ordering::Relaxed);
    let (started, server, client) = (Instant::now(), CpuTime::of(target.pid)?, CpuTime::of(std::process::id())?);
    wait(&mut connections, window.measured).await?;
    phase.store(DRAINING, Ordering::Relaxed);
    let server = CpuTime::of(target.pid)?.since(server);
    let client = CpuTime::of(std::process::id())?.since(client);
    let elapsed = started.elapsed().as_secs_f64();

    let (mut latencies, mut all) = (Histogram::new(), 0);
    let finished = timeout(DRAIN, connections.join_all()).await.map_err(|_| "the server has stopped answering")?;
    for connection in finished {
        let (seen, answers) = connection?;
        latencies.merge(&seen);
        all += answers;
    }
    let answers = f64::from(u32::try_from(latencies.total())?);
    if answers == 0.0 {
        return Err("the server answered nothing at all".into());
    }
    Ok(Measurement {
        answers: all,
        rate: answers / elapsed,
        cpu: server.as_secs_f64() * 1e6 / answers,
        p50: latencies.percentile(50).as_secs_f64() * 1e6,
        p99: latencies.percentile(99).as_secs_f64() * 1e6,
        server_share: server.as_secs_f64() / elapsed,
        client_share: client.as_secs_f64() / elapsed,
    })
}

/// Lets time pass, unless a connection ends: before the window is over, that is a failure.
async fn wait(connections: &mut JoinSet<Result<(Histogram, u64)>>, duration: Duration) -> Result<()> {
    tokio::select! {
        () = sleep(duration) => Ok(()),
        Some(ended) = connections.join_next() => match ended? {
            Ok(_) => Err("a connection ended early".into()),
            Err(error) => Err(error),
        },
    }
}

/// Keeps one connection busy until draining is over. Hands back the latencies of the window, and how many answers there were
/// in all.
async fn drive(address: SocketAddr, load: Arc<Load>, place: usize, phase: Arc<AtomicU8>) -> Result<(Histogram, u64)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut clock = load.every.map(interval);
    if let Some(clock) = &mut clock {
        // After a pause of this process, a burst would measure itself.
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    }
    let mut connection = Connection::new(load, &address.to_string(), place);
    let (mut latencies, mut answers) = (Histogram::new(), 0);
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        send(&stream, connection.out())?;
        let read = if connection.out().is_empty() {
            tokio::select! {
                biased;
                read = stream.read(&mut buffer[filled..]) => read?,
                () = due(&mut clock) => {
                    if phase.load(Ordering::Relaxed) != DRAINING {
                        connection.begin();
                    } else if connection.is_idle() {
                        return Ok((latencies, answers));
                    }
                    continue;
                }
            }
        } else {
            stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
            let Some(read) = would_block(stream.try_read(&mut buffer[filled..]))? else { continue };
            read
        };
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        filled += read;
        let now = phase.load(Ordering::Relaxed);
        let used = connection.receive(&buffer[..filled], now == DRAINING, |latency| {
            answers += 1;
            if now == MEASURING {
                latencies.record(latency);
            }
        })?;
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if now == DRAINING && connection.is_idle() {
            return Ok((latencies, answers));
        }
    }
}

/// Waits for the time of the next call, where calls begin by the clock.
async fn due(clock: &mut Option<Interval>) {
    match clock {
        Some(clock) => drop(clock.tick().await),
        None => pending().await,
    }
}

/// Sends what the socket takes.
fn send(stream: &TcpStream, out: &mut BytesMut) -> Result<()> {
    while !out.is_empty() {
        let Some(written) = would_block(stream.try_write(out))? else { break };
        out.advance(written);
    }
    Ok(())
}

fn would_block(outcome: io::Result<usize>) -> Result<Option<usize>> {
    match outcome {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
