//! The gate: what may not pass goes no further, and what goes out wrong carries its details.
//!
//! It is a layer of its own behind the interceptor, because it may have to wait: where this node's knowledge of revocations is
//! out of date, the database has the last word on the holder's token.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::peer::{Peer, Refused};
use super::policy::{decide, rule};
use super::status;
use crate::app::App;

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
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(rule) = rule(request.uri().path()) else { return refuse(status::unknown_method()) };
        let Some(peer) = request.extensions().get::<Peer>() else {
            return refuse(status::internal("a request came in past the interceptor"));
        };
        if let Err(refusal) = decide(rule, peer) {
            return refuse(refusal);
        }
        if peer.holder.as_ref().is_some_and(|holder| !holder.sure) {
            let peer = peer.clone();
            let (app, mut inner) = (Arc::clone(&self.app), self.inner.clone());
            return Box::pin(async move {
                let peer = match make_sure(&app, peer).await {
                    Ok(peer) => peer,
                    Err(refusal) => return Ok(refusal.into_http()),
                };
                if let Err(refusal) = decide(rule, &peer) {
                    return Ok(refusal.into_http());
                }
                let mut request = request;
                request.extensions_mut().insert(peer);
                futures_util::future::poll_fn(|context| inner.poll_ready(context)).await?;
                inner.call(request).await.map(with_details)
            });
        }
        let response = self.inner.call(request);
        Box::pin(async move { response.await.map(with_details) })
    }
}

/// Asks the database about a holder's token that memory cannot vouch for.
async fn make_sure(app: &App, mut peer: Peer) -> Result<Peer, Status> {
    if let Some(mut holder) = peer.holder.take() {
        if app.access.is_revoked(&holder.token).await? {
            peer.refused = peer.refused.or(Some(Refused::AccessToken));
        } else {
            holder.sure = true;
            peer.holder = Some(holder);
        }
    }
    Ok(peer)
}

fn refuse<E: Send + 'static>(refusal: Status) -> BoxFuture<'static, Result<Response<Body>, E>> {
    Box::pin(std::future::ready(Ok(refusal.into_http())))
}

/// The libraries below answer some faults by themselves, without the details that this contract promises.
fn with_details(response: Response<Body>) -> Response<Body> {
    if !response.headers().contains_key("grpc-status") {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(bare) if bare.code() != Code::Ok && bare.details().is_empty() => status::with_details(&bare).into_http(),
        _ => response,
    }
}
