//! The running service: listeners, one event loop per core behind them, HTTP beside them, and an orderly end.
//!
//! Each worker is a thread with an event loop of its own, so that no call moves between cores. Connections are handed to the worker that has the fewest; `docs/decisions/` tells why.

mod admission;
mod calls;
mod connection;
mod conversation;
mod http;
mod limits;
mod tls;
mod validity;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tracing::{info, warn};

use self::admission::Admission;
use self::tls::Tls;
pub use self::tls::TlsError;
use self::worker::Worker;
use crate::app::App;
use crate::health::State;
use crate::jobs;
use crate::rpc::Health;
use crate::shutdown::{self, Shutdown};

/// How long to wait before accepting again when the process has run out of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The two sockets that are listened on.
#[derive(Debug)]
pub struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
}

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({setting}): {cause}; choose another port or stop what uses it")]
pub struct ListenError {
    address: SocketAddr,
    setting: &'static str,
    cause: io::Error,
}

impl Listeners {
    /// Takes both ports.
    pub async fn bind(grpc: SocketAddr, http: SocketAddr) -> Result<Self, ListenError> {
        let bind = async |address, setting| {
            TcpListener::bind(address).await.map_err(|cause| ListenError { address, setting, cause })
        };
        Ok(Self { grpc: bind(grpc, "grpc.listen").await?, http: bind(http, "http.listen").await? })
    }

    /// Where gRPC is served.
    pub fn grpc_address(&self) -> io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Where HTTP is served.
    pub fn http_address(&self) -> io::Result<SocketAddr> {
        self.http.local_addr()
    }
}

/// Why the service does not serve, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The ports cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The machine refuses something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves until it is asked to stop, and until what is in flight then is finished or has had its time.
pub async fn run(app: Arc<App>, listeners: Listeners, mut shutdown: Shutdown) -> Result<(), ServeError> {
    let Listeners { grpc, http } = listeners;
    let tls = app.config.tls.as_ref().map(|tls| Tls::open(tls, app.config.web.grpc_web)).transpose()?.map(Arc::new);
    let (health, state) = (Health::default(), Arc::new(State::default()));
    state.look(&app).await;
    health.report(|part| state.works(part)).await;

    // The way back from requests to the jobs, so that the jobs outlive the requests.
    let (end_of_jobs, jobs_shutdown) = shutdown::channel();
    let mut jobs = jobs::start(&app, &health, &state, &jobs_shutdown);
    if let Some(tls) = &tls {
        jobs.spawn(jobs_shutdown.clone().ends(Arc::clone(tls).follow_files(app.nudge.clone())));
    }
    let drain = app.config.grpc.drain.to_std().unwrap_or_default();
    // From then on no connection is accepted, and those that are open are told to go elsewhere.
    let (close_doors, closing) = shutdown::channel();
    let (end_of_workers, all_drained) = shutdown::channel();
    let start = |number| Worker::start(number, &app, &health, tls.as_ref(), &closing, all_drained.clone());
    let workers = (0..worker_count(&app)).map(start);
    let workers = workers.collect::<io::Result<Vec<_>>>()?;

    let router = crate::http::router(Arc::clone(&app), Arc::clone(&state));
    let load = app.config.load.clone();
    let admission = |port, most| Admission::new(port, most, load.connections_per_address, app.metrics.clone());
    let grpc_admission = admission("grpc", load.grpc_connections);
    let http_admission = admission("http", load.http_connections);
    let served = http::Served { tls, router, settings: load.clone(), shutdown: closing.clone() };
    let mut http = tokio::spawn(http::serve(http, http_admission, served));
    tokio::select! {
        () = accept(&grpc, &grpc_admission, &workers) => {}
        () = shutdown.requested() => info!("asked to stop"),
    }
    state.leave();
    health.report(|part| state.works(part)).await;
    app.upkeep.leave();
    // Whoever sends requests here learns of it by asking, and goes on sending until then.
    let notice = app.config.grpc.drain_delay.to_std().unwrap_or_default();
    let _ = tokio::time::timeout(notice, accept(&grpc, &grpc_admission, &workers)).await;
    info!("finishing what is in flight");
    app.revocations.end_watches();
    close_doors.pull();
    drop(grpc);
    let (threads, ()) = tokio::join!(join_all(workers.into_iter().map(Worker::drain)), health.end());
    // Before the workers' event loops end: some of what was promised is still being made there.
    if tokio::time::timeout(drain, app.notifier.close()).await.is_err() {
        warn!("messages were still waiting when the time was up");
    }
    end_of_workers.pull();
    let drained = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
    if drained.await.is_err() {
        warn!("a worker ended out of order");
    }
    // A client that keeps a connection open must not keep the process.
    if tokio::time::timeout(drain, &mut http).await.is_err() {
        warn!("an HTTP connection was still open when the time was up");
        http.abort();
    }
    end_of_jobs.pull();
    while jobs.join_next().await.is_some() {}
    close(&app).await;
    Ok(())
}

fn worker_count(app: &App) -> usize {
    match app.config.grpc.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

/// Hands each connection to the worker that has the fewest. A connection is rare beside the calls on it, so that one acceptor
/// is enough; several would share the port blindly, and some workers would idle while others queue.
async fn accept(listener: &TcpListener, admission: &Arc<Admission>, workers: &[Worker]) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let Some(admitted) = admission.admit(address.ip()) else { continue };
                if let Some(worker) =
                    workers.iter().filter(|worker| worker.is_alive()).min_by_key(|worker| worker.load())
                {
                    worker.hand(stream, admitted);
                }
            }
            Err(cause) => {
                warn!(%cause, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Lets go of the database and the cache.
async fn close(app: &App) {
    let closing = async {
        app.cache.close().await;
        app.store.close().await;
        app.vital.close().await;
        app.background.close().await;
    };
    if tokio::time::timeout(Duration::from_secs(5), closing).await.is_err() {
        warn!("connections could not be closed in time");
    }
}
