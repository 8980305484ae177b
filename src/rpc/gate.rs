//! The gate: it asks who calls; what may not pass goes no further, and what goes out wrong carries its details.
//!
//! It is a layer and no interceptor, because it may have to wait: where this node's knowledge of revocations is out of date,
//! the database has the last word on the holder's token.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::{BoxFuture, Either, MapOk, poll_fn};
use http::header::HeaderName;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::codegen::Body as _;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Span;

use super::direct::Direct;
use super::ext_authz::Gateways;
use super::load::Held;
use super::peer::{Link, Peer, Refused, access_token};
use super::policy::{Rule, decide, rule};
use super::{deadline, load, status};
use crate::app::App;
use crate::load::{Class, Lateness};
use crate::model::CallId;

/// The most metadata that is read. The connection itself takes twice as much, so that whoever sends a little too much is
/// told so in this contract's terms.
const MAX_METADATA: usize = 8 * 1024;
/// How much of a refused call is read, and for how long.
const MAX_REFUSED: usize = 64 * 1024;
const REFUSED_PATIENCE: Duration = Duration::from_millis(500);

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What the gates of one worker look at.
#[derive(Debug)]
struct View {
    app: Arc<App>,
    lateness: Arc<Lateness>,
    gateways: Gateways,
}

/// Puts the gate in front of a service.
#[derive(Clone, Debug)]
pub struct GateLayer {
    view: Arc<View>,
}

impl GateLayer {
    /// Asks `app` where it cannot decide alone, and takes on as many calls as a loop that is so late can bear.
    #[must_use]
    pub fn new(app: Arc<App>, lateness: Arc<Lateness>) -> Self {
        Self { view: Arc::new(View { app, lateness, gateways: Gateways::default() }) }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { view: Arc::clone(&self.view), inner }
    }
}

/// An answer that has to be waited for, or a refusal.
type Waiting<E> = BoxFuture<'static, Result<Response<Body>, E>>;

/// A service behind the gate.
#[derive(Clone, Debug)]
pub struct Gate<S> {
    view: Arc<View>,
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
    // Whoever may pass and holds nothing meanwhile, passes without an allocation.
    type Future = Either<MapOk<S::Future, fn(Response<Body>) -> Response<Body>>, Waiting<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let View { app, lateness, .. } = &*self.view;
        let path = request.uri().path();
        let Some(rule) = rule(path) else { return refuse(status::unknown_method(), request) };
        if metadata_size(request.headers()) > MAX_METADATA {
            return refuse(status::too_large(), request);
        }
        let direct = Direct::of(path);
        let class = if direct.is_some() { Class::Tokens } else { load::class(path) };
        // Before anything is done for the call.
        if let Err(shed) = app.load.look(class, lateness) {
            return refuse(shed.into(), request);
        }
        let Some(link) = request.extensions().get::<Link>() else {
            return refuse(status::internal("a request came in past the acceptor"), request);
        };
        let peer = Peer::recognise(app, request.headers(), link);
        let deadline = deadline::of(request.headers());
        if rule == Rule::Anyone || is_sure(&peer) {
            let held = match load::hold(app, lateness, class, &peer).and_then(|held| decide(rule, &peer).map(|()| held))
            {
                Ok(held) => held,
                Err(refusal) => return refuse(refusal, request),
            };
            if let Some(direct) = direct {
                let view = Arc::clone(&self.view);
                let answer = async move {
                    let _held = held;
                    Ok(direct.answer(&view.app, &view.gateways, request).await)
                };
                return Either::Right(Box::pin(deadline::within(deadline, answer)));
            }
            admit(peer, &mut request);
            let answer =
                self.inner.call(bounded(app, class, held.as_ref(), request)).map_ok(with_details as fn(_) -> _);
            if held.is_none() && deadline.is_none() {
                return Either::Left(answer);
            }
            return Either::Right(Box::pin(deadline::within(deadline, async move {
                let _held = held;
                answer.await
            })));
        }
        let (view, mut inner) = (Arc::clone(&self.view), self.inner.clone());
        Either::Right(Box::pin(deadline::within(deadline, async move {
            let app = &view.app;
            let decided = make_sure(app, peer, request.headers(), request.extensions().get()).await.and_then(|peer| {
                let held = load::hold(app, &view.lateness, class, &peer)?;
                decide(rule, &peer)?;
                Ok((peer, held))
            });
            let (peer, held) = match decided {
                Ok(decided) => decided,
                Err(refusal) => return Ok(refused(refusal, request).await),
            };
            if let Some(direct) = direct {
                return Ok(direct.answer(app, &view.gateways, request).await);
            }
            admit(peer, &mut request);
            poll_fn(|context| inner.poll_ready(context)).await?;
            inner.call(bounded(app, class, held.as_ref(), request)).await.map(with_details)
        })))
    }
}

/// Lets a message be under way for as long as any may be, but for calls whose messages come as they will.
fn bounded(app: &Arc<App>, class: Class, held: Option<&Held>, request: Request<Body>) -> Request<Body> {
    if class == Class::OpenEnded {
        return request;
    }
    deadline::bounded(request, held.and_then(|held| held.at_end(app, class)))
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
