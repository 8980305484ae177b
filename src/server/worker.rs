//! One worker: a thread, an event loop, and the connections it was handed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use axum::body::Bytes;
use axum::http::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::warn;

use super::admission::Admitted;
use super::calls::{Calls, Counting};
use super::connection::{Connection, Peer};
use super::conversation::{Terms, converse, old_at};
use super::limits;
use super::tls::{Port, Tls};
use crate::app::App;
use crate::load::Lateness;
use crate::rpc::{self, Health, Link};
use crate::shutdown::Shutdown;

/// A worker, seen from the acceptor.
#[derive(Debug)]
pub(super) struct Worker {
    connections: mpsc::UnboundedSender<Handed>,
    open: Arc<AtomicUsize>,
    drained: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

/// A connection on its way to its worker.
type Handed = (std::net::TcpStream, Admitted, Counted);

/// One of a worker's connections.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(
        number: usize,
        app: &Arc<App>,
        health: &Health,
        tls: Option<&Arc<Tls>>,
        shutdown: &Shutdown,
        mut all_drained: Shutdown,
    ) -> io::Result<Self> {
        let (connections, handed) = mpsc::unbounded_channel();
        let (is_drained, drained) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let arriving = Arriving { handed, tls: tls.cloned() };
        let service = serve(Arc::clone(app), health.clone(), arriving, shutdown.clone());
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            runtime.block_on(async {
                service.await;
                // Connections to the database live on the event loop that opened them, and others may be using them.
                let _ = is_drained.send(());
                all_drained.requested().await;
            });
            // What has had its time is cut off here; nothing waits for it.
            runtime.shutdown_background();
        })?;
        Ok(Self { connections, open: Arc::default(), drained, thread })
    }

    /// Whether it still takes connections.
    pub(super) fn is_alive(&self) -> bool {
        !self.connections.is_closed()
    }

    /// How many connections it has.
    pub(super) fn load(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Hands it another.
    pub(super) fn hand(&self, stream: TcpStream, admitted: Admitted) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.open));
        // Where it cannot be handed over, it is closed.
        let _ = stream.into_std().map(|stream| self.connections.send((stream, admitted, counted)));
    }

    /// Hands it no more, and waits until what it had is finished. The thread goes on until all are.
    pub(super) async fn drain(self) -> JoinHandle<()> {
        let Self { connections, drained, thread, .. } = self;
        drop(connections);
        // A worker that has ended has nothing left to finish.
        let _ = drained.await;
        thread
    }
}

/// The connections that a worker is handed.
struct Arriving {
    handed: mpsc::UnboundedReceiver<Handed>,
    tls: Option<Arc<Tls>>,
}

/// One that can be served.
type Opened = (Connection, Peer, Counted);

impl Arriving {
    /// Takes each over on this event loop. None waits for another's handshake.
    async fn open(mut self, ready: mpsc::UnboundedSender<Opened>) {
        let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES));
        while let Some((stream, admitted, counted)) = self.handed.recv().await {
            let place = Arc::clone(&handshakes).acquire_owned().await;
            let (tls, ready) = (self.tls.clone(), ready.clone());
            let opening = async move {
                let _place = place;
                let opened = match TcpStream::from_std(stream) {
                    Ok(stream) => Connection::open(Port::Grpc, stream, admitted, tls.as_deref()).await,
                    Err(cause) => Err(cause),
                };
                match opened {
                    // A worker that is stopping takes no more.
                    Ok(Some((connection, peer))) => drop(ready.send((connection, peer, counted))),
                    Ok(None) => {}
                    Err(cause) => warn!(%cause, "a connection could not be taken over"),
                }
            };
            if self.tls.is_some() { drop(tokio::spawn(opening)) } else { opening.await }
        }
    }
}

async fn serve(app: Arc<App>, health: Health, arriving: Arriving, mut shutdown: Shutdown) {
    let (ready, mut connections) = mpsc::unbounded_channel();
    tokio::spawn(arriving.open(ready));
    let lateness = Lateness::new(app.config.load.late.to_std().unwrap_or_default());
    tokio::spawn(Arc::clone(&lateness).follow());
    let service = rpc::door(&app, lateness).layer(rpc::routes(&app, &health));
    let (web, drain) = (app.config.web.grpc_web, app.config.grpc.drain.to_std().unwrap_or_default());
    let age = app.config.load.connection_age.and_then(|age| age.to_std().ok());
    let view = shutdown.clone();
    drop((app, health));
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            opened = connections.recv() => {
                let Some((connection, peer, counted)) = opened else { break };
                let link = Link { address: peer.address, names: peer.names, readers: Arc::default() };
                let readers = Some(Arc::clone(&link.readers));
                let old_at = age.map(old_at);
                let calls = Calls::default();
                let linked = Linked { inner: service.clone(), link };
                let service = TowerToHyperService::new(Counting::of(calls.clone(), linked));
                let terms = Terms { old_at, expires_at: peer.expires_at, readers, calls, ..Terms::default() };
                let shutdown = view.clone();
                open.spawn(async move {
                    let _counted = counted;
                    let builder = limits::grpc(web);
                    converse(builder.serve_connection(TokioIo::new(connection), service), terms, shutdown).await;
                });
            }
        }
    }
    drop(connections);
    shutdown.requested().await;
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, all).await.is_err() {
        warn!("calls were still in flight when the time was up");
    }
}

/// A service that is told with each request over which connection it comes.
#[derive(Clone)]
struct Linked<S> {
    inner: S,
    link: Link,
}

impl<S, B> Service<Request<B>> for Linked<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.link.clone());
        self.inner.call(request)
    }
}
