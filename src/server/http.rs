//! The HTTP port: connections in plain text or in TLS, none of which waits for another's handshake or may be silent for long.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::ACCEPT_PAUSE;
use super::calls::{Counting, farewell};
use super::tls::{self, Port, Tls};
use crate::http::Remote;
use crate::rpc::Calls;
use crate::shutdown::Shutdown;

/// How many may shake hands at a time. Others wait in the kernel's queue, so that there must be room for many who say nothing
/// until they have had their time.
const MOST_HANDSHAKES: usize = 8_192;
/// How long a connection may take until its first request is there, and over HTTP/1.1 until each further one is. Over HTTP/2, how
/// often a silent peer is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);

/// Serves until it is asked to stop, and until all connections have ended then.
pub(super) async fn serve(listener: TcpListener, tls: Option<Arc<Tls>>, router: Router, mut shutdown: Shutdown) {
    let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
    let mut open = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&handshakes).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        tokio::select! {
            () = shutdown.requested() => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            (accepted, place) = next => match accepted {
                Ok((stream, address)) => {
                    let arrived = Arrived { stream, address: address.ip(), place };
                    open.spawn(arrived.serve(tls.clone(), router.clone(), shutdown.clone()));
                }
                Err(cause) => {
                    warn!(%cause, "an HTTP connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// A connection that has just come about.
struct Arrived {
    stream: TcpStream,
    address: IpAddr,
    /// Its place among those that shake hands.
    place: Option<OwnedSemaphorePermit>,
}

impl Arrived {
    /// Shakes hands where there is TLS, and answers what is asked.
    async fn serve(self, tls: Option<Arc<Tls>>, router: Router, mut shutdown: Shutdown) {
        let Self { stream, address, place } = self;
        let Some(tls) = tls else {
            drop(place);
            return converse(stream, Remote { address, names: Arc::default() }, router, shutdown).await;
        };
        let stream = tokio::select! {
            stream = tls.accept(Port::Http, stream) => stream,
            () = shutdown.requested() => return,
        };
        drop(place);
        if let Some(stream) = stream {
            let names = tls::client_names(stream.get_ref().1);
            converse(stream, Remote { address, names }, router, shutdown).await;
        }
    }
}

/// Answers what is asked over a connection until it ends, or until what is in flight is answered once it is asked to stop.
async fn converse<S>(stream: S, remote: Remote, router: Router, mut shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(SILENCE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(SILENCE).keep_alive_timeout(KEEPALIVE_ANSWER);
    let has_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&has_asked);
    let service = router.map_request(move |mut request: Request<_>| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(remote.clone());
        request
    });
    let calls = Calls::default();
    let service = TowerToHyperService::new(Counting::of(calls.clone(), service));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut over = pin!(farewell(shutdown.clone(), calls));
    // Which version of HTTP is spoken is told by the first bytes, for which the library would wait for ever.
    let mut first_request = pin!(tokio::time::sleep(SILENCE));
    let mut is_leaving = false;
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                // Their fault, or that of the network between, and no news.
                if let Err(cause) = outcome {
                    debug!(cause, "an HTTP connection ended early");
                }
                return;
            }
            () = shutdown.requested(), if !is_leaving => {
                is_leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = over.as_mut() => return,
            () = first_request.as_mut(), if !first_request.is_elapsed() => {
                if !has_asked.load(Ordering::Relaxed) {
                    debug!("an HTTP connection was silent for too long");
                    return;
                }
            }
        }
    }
}
