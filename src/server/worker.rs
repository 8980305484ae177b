//! One worker: a thread, an event loop, and the connections it was handed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tracing::{error, warn};

use super::calls::CountCalls;
use super::connection::Connection;
use super::tls::Tls;
use crate::app::App;
use crate::rpc::{self, Health};
use crate::shutdown::Shutdown;

/// What one connection may do. tonic switches the safe values of the HTTP/2 implementation off unless each is set.
mod limits {
    use std::time::Duration;

    /// Calls at a time.
    pub(super) const STREAMS: u32 = 1_024;
    /// Bytes of metadata, before the gate looks at them.
    pub(super) const HEADERS: u32 = 16 * 1024;
    /// Streams that were reset before they were looked at; more, and the connection is told to go away (CVE-2023-44487).
    pub(super) const PENDING_RESETS: usize = 20;
    /// Streams that we reset because of the peer's faults.
    pub(super) const LOCAL_RESETS: usize = 64;
    /// Flow control: as much as a batch, and several at a time.
    pub(super) const STREAM_WINDOW: u32 = 1024 * 1024;
    pub(super) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
    /// The largest frame. A batch that comes in one is read where it lies; but a frame is held until it is complete, whoever
    /// sends it.
    pub(super) const FRAME: u32 = 512 * 1024;
    /// How many clients may shake hands at a time. Others wait, so that there must be room for many who say nothing until they
    /// have had their time.
    pub(super) const HANDSHAKES: usize = 8_192;
    /// How often a silent peer is asked whether it is there, and how long it may take to answer.
    pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);
    pub(super) const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
}

/// A worker, seen from the acceptor.
#[derive(Debug)]
pub(super) struct Worker {
    connections: mpsc::UnboundedSender<std::net::TcpStream>,
    open: Arc<AtomicUsize>,
    drained: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(
        number: usize,
        app: &Arc<App>,
        health: &Health,
        tls: Option<&Arc<Tls>>,
        shutdown: &Shutdown,
        drain: Duration,
        mut all_drained: Shutdown,
    ) -> io::Result<Self> {
        let (connections, handed) = mpsc::unbounded_channel();
        let (is_drained, drained) = oneshot::channel();
        let open = Arc::new(AtomicUsize::new(0));
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let arriving = Arriving { handed, open: Arc::clone(&open), tls: tls.cloned(), closing: shutdown.clone() };
        let service = serve(Arc::clone(app), health.clone(), arriving, shutdown.clone(), drain);
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
        Ok(Self { connections, open, drained, thread })
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
    pub(super) fn hand(&self, stream: TcpStream) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let handed = stream.into_std().is_ok_and(|stream| self.connections.send(stream).is_ok());
        if !handed {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
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
    handed: mpsc::UnboundedReceiver<std::net::TcpStream>,
    open: Arc<AtomicUsize>,
    tls: Option<Arc<Tls>>,
    closing: Shutdown,
}

impl Arriving {
    /// Takes each over on this event loop. None waits for another's handshake.
    async fn open(mut self, ready: mpsc::UnboundedSender<Connection>) {
        let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES));
        while let Some(stream) = self.handed.recv().await {
            let place = Arc::clone(&handshakes).acquire_owned().await;
            let (open, tls, ready) = (Arc::clone(&self.open), self.tls.clone(), ready.clone());
            let closing = self.closing.clone();
            let opening = async move {
                let _place = place;
                match Connection::open(stream, open, tls.as_deref(), closing).await {
                    // A worker that is stopping takes no more.
                    Ok(Some(connection)) => drop(ready.send(connection)),
                    Ok(None) => {}
                    Err(cause) => warn!(%cause, "a connection could not be taken over"),
                }
            };
            if self.tls.is_some() { drop(tokio::spawn(opening)) } else { opening.await }
        }
    }
}

async fn serve(app: Arc<App>, health: Health, arriving: Arriving, mut shutdown: Shutdown, drain: Duration) {
    let (ready, connections) = mpsc::unbounded_channel();
    tokio::spawn(arriving.open(ready));
    let connections = UnboundedReceiverStream::new(connections).map(Ok::<_, io::Error>);
    let mut requested = shutdown.clone();
    let server = Server::builder()
        .max_concurrent_streams(limits::STREAMS)
        .http2_max_header_list_size(limits::HEADERS)
        .http2_max_pending_accept_reset_streams(Some(limits::PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(limits::LOCAL_RESETS))
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_frame_size(limits::FRAME)
        .http2_keepalive_interval(Some(limits::KEEPALIVE))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_ANSWER))
        .accept_http1(app.config.web.grpc_web)
        .layer(CountCalls)
        .layer(rpc::door(&app))
        .add_routes(rpc::routes(&app, &health))
        .serve_with_incoming_shutdown(connections, async move { requested.requested().await });
    drop((app, health));
    let deadline = async {
        shutdown.requested().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        outcome = server => if let Err(cause) = outcome {
            error!(%cause, "a worker stopped serving");
        },
        () = deadline => warn!("calls were still in flight when the time was up"),
    }
}
