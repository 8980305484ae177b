//! The HTTP port: connections in plain text or in TLS, none of which waits for another's handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::Request;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::ACCEPT_PAUSE;
use super::admission::{Admission, Admitted};
use super::calls::{Calls, Counting};
use super::connection::Connection;
use super::conversation::{Terms, converse, old_at};
use super::limits;
use super::tls::{Port, Tls};
use crate::config;
use crate::http::Remote;
use crate::shutdown::Shutdown;

/// What every connection is served with.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) router: Router,
    pub(super) settings: config::Load,
    pub(super) shutdown: Shutdown,
}

/// Serves until it is asked to stop, and until all connections have ended then.
pub(super) async fn serve(listener: TcpListener, admission: Arc<Admission>, mut served: Served) {
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES));
    let shared = served.clone();
    let mut open = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&handshakes).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        tokio::select! {
            () = served.shutdown.requested() => break,
            Some(_) = open.join_next(), if !open.is_empty() => {}
            (accepted, place) = next => match accepted {
                Ok((stream, address)) => {
                    if let Some(admitted) = admission.admit(address.ip()) {
                        open.spawn(Arrived { stream, admitted, place }.serve(shared.clone()));
                    }
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
    admitted: Admitted,
    /// Its place among those that shake hands.
    place: Option<OwnedSemaphorePermit>,
}

impl Arrived {
    /// Shakes hands where there is TLS, and answers what is asked.
    async fn serve(self, served: Served) {
        let Self { stream, admitted, place } = self;
        let Served { tls, router, settings, mut shutdown } = served;
        let opened = tokio::select! {
            opened = Connection::open(Port::Http, stream, admitted, tls.as_deref()) => opened,
            () = shutdown.requested() => return,
        };
        drop(place);
        let (connection, peer) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return,
            Err(cause) => return debug!(%cause, "an HTTP connection could not be taken over"),
        };
        let remote = Remote { address: peer.address, names: peer.names };
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let service = router.map_request(move |mut request: Request<_>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(remote.clone());
            request
        });
        let calls = Calls::default();
        let service = TowerToHyperService::new(Counting::of(calls.clone(), service));
        let age = settings.connection_age.and_then(|age| age.to_std().ok());
        let terms = Terms {
            old_at: age.map(old_at),
            expires_at: peer.expires_at,
            has_asked: Some(has_asked),
            calls,
            ..Terms::default()
        };
        let builder = limits::http();
        converse(builder.serve_connection(TokioIo::new(connection), service), terms, shutdown).await;
    }
}
