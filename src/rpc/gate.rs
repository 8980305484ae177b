//! The gate: it asks who calls; what may not pass goes no further, and what goes out wrong carries its details.
//!
//! It is a layer and no interceptor, because it may have to wait: where this node's knowledge of revocations is out of date,
//! the database has the last word on the holder's token.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, MapOk, poll_fn};
use futures_util::{FutureExt, TryFutureExt};
use http::header::HeaderName;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::codegen::Body as _;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Span;

use super::introspect;
use super::peer::{Link, Peer, Refused, access_token};
use super::policy::{Rule, decide, rule};
use super::status;
use crate::app::App;
use crate::model::CallId;

/// The most metadata that is read. The connection itself takes twice as much, so that whoever sends a little too much is
/// told so in this contract's terms.
const MAX_METADATA: usize = 8 * 1024;
/// How much of a refused call is read, and for how long.
const MAX_REFUSED: usize = 64 * 1024;
const REFUSED_PATIENCE: Duration = Duration::from_millis(500);

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Puts the gate in front of a service.
#[derive(Clone, Debug)]
pub struct GateLayer {
    app: Arc<App>,
}

impl GateLayer {
    /// Asks `app` where it cannot decide alone.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { app: Arc::clone(&self.app), inner }
    }
}

/// An answer that has to be waited for, or a refusal.
type Waiting<E> = BoxFuture<'static, Result<Response<Body>, E>>;

/// A service behind the gate.
#[derive(Clone, Debug)]
pub struct Gate<S> {
    app: Arc<App>,
    inner: S,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    // Whoever may pass, passes without an allocation.
    type Future = Either<MapOk<S::Future, fn(Response<Body>) -> Response<Body>>, Waiting<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(rule) = rule(request.uri().path()) else { return refuse(status::unknown_method(), request) };
        if metadata_size(request.headers()) > MAX_METADATA {
            return refuse(status::too_large(), request);
        }
        let method = introspect::Method::of(request.uri().path());
        let Some(link) = request.extensions().get::<Link>() else {
            return refuse(status::internal("a request came in past the acceptor"), request);
        };
        let peer = Peer::recognise(&self.app, request.headers(), link);
        if rule == Rule::Anyone || is_sure(&peer) {
            if let Err(refusal) = decide(rule, &peer) {
                return refuse(refusal, request);
            }
            let Some(method) = method else {
                admit(peer, &mut request);
                return Either::Left(self.inner.call(request).map_ok(with_details));
            };
            return Either::Right(Box::pin(introspect::answer(Arc::clone(&self.app), method, request).map(Ok)));
        }
        let (app, mut inner) = (Arc::clone(&self.app), self.inner.clone());
        Either::Right(Box::pin(async move {
            let decided = make_sure(&app, peer, request.headers(), request.extensions().get()).await.and_then(|peer| {
                decide(rule, &peer)?;
                Ok(peer)
            });
            match (decided, method) {
                (Err(refusal), _) => return Ok(refused(refusal, request).await),
                (Ok(_), Some(method)) => return Ok(introspect::answer(app, method, request).await),
                (Ok(peer), None) => admit(peer, &mut request),
            }
            poll_fn(|context| inner.poll_ready(context)).await?;
            inner.call(request).await.map(with_details)
        }))
    }
}

/// Lets a peer's request go on, and says of it what kind of peer that is.
fn admit(mut peer: Peer, request: &mut Request<Body>) {
    Span::current().record("peer", peer.kind());
    if let Some(id) = request.extensions().get::<CallId>() {
        id.as_str().clone_into(&mut peer.request_id);
    }
    request.extensions_mut().insert(peer);
}

/// Whether memory alone could tell who calls.
fn is_sure(peer: &Peer) -> bool {
    peer.holder.as_ref().is_none_or(|holder| holder.sure) && peer.refused != Some(Refused::UnknownKey)
}

/// Asks the database what memory could not tell: the key of a token that this node has not heard of, and whether a token was
/// revoked when this node's knowledge is out of date.
async fn make_sure(app: &Arc<App>, mut peer: Peer, headers: &HeaderMap, link: Option<&Link>) -> Result<Peer, Status> {
    if let (Some(Refused::UnknownKey), Some(link)) = (peer.refused, link) {
        let token = access_token(headers, app);
        if app.access.recognise(token.unwrap_or_default()).await?.is_ok() {
            peer = Peer::recognise(app, headers, link);
        }
    }
    if let Some(holder) = &mut peer.holder
        && !holder.sure
    {
        if app.access.is_revoked(&holder.token).await? {
            peer.holder = None;
            peer.refused = peer.refused.or(Some(Refused::AccessToken));
        } else {
            holder.sure = true;
        }
    }
    Ok(peer)
}

/// The size of metadata as HTTP/2 counts it (RFC 9113 §6.5.2).
fn metadata_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

fn refuse<F, E: Send + 'static>(refusal: Status, request: Request<Body>) -> Either<F, Waiting<E>> {
    Either::Right(Box::pin(async move { Ok(refused(refusal, request).await) }))
}

async fn refused(refusal: Status, request: Request<Body>) -> Response<Body> {
    hear_out(request.into_body()).await;
    refusal.into_http()
}

/// Reads what a refused call sends along. An answer before its end would reset the stream; what is still under way would then
/// count as a fault of the connection, and after some dozens of those it would be closed, with everybody else's calls on it.
pub(super) async fn hear_out(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > MAX_REFUSED {
                break;
            }
        }
    };
    // Whoever has more to say than that, or takes longer, is answered all the same.
    let _ = tokio::time::timeout(REFUSED_PATIENCE, reading).await;
}

/// The libraries below answer some faults by themselves, without the details that this contract promises.
fn with_details(response: Response<Body>) -> Response<Body> {
    if !response.headers().contains_key(&GRPC_STATUS) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(bare) if bare.code() != Code::Ok && bare.details().is_empty() => status::with_details(&bare).into_http(),
        _ => response,
    }
}
