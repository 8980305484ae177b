//! A tower layer for services that speak gRPC or HTTP: tonic's, axum's, and whatever else is made of `http` requests.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{Request, Response};
use tonic::server::NamedService;
use tower::{Layer, Service};

use super::bearer;
use crate::refusal::Refusal;
use crate::require::Require;
use crate::verifier::Verifier;

/// Protects the services that it is put around.
#[derive(Clone, Debug)]
pub struct ProtectLayer {
    verifier: Verifier,
    require: Arc<Require>,
}

/// A service that only those requests reach whose token counts and is good for what is required. They carry the
/// [`Identity`](crate::Identity) in their extensions; all others are answered as the protocol of the request has it.
#[derive(Clone, Debug)]
pub struct Protected<S> {
    inner: S,
    layer: ProtectLayer,
}

impl Verifier {
    /// A layer for tonic and HTTP services. It waits where that helps, as [`Verifier::check`] does.
    ///
    /// ```no_run
    /// # fn run(verifier: countersign_client::Verifier) {
    /// use axum::{Extension, Router, routing::get};
    /// use countersign_client::{Identity, Require};
    ///
    /// async fn hello(Extension(identity): Extension<Identity>) -> String {
    ///     format!("hello, {}", identity.account_id())
    /// }
    ///
    /// let app: Router = Router::new()
    ///     .route("/hello", get(hello))
    ///     .layer(verifier.protect(Require::new().scope("hello.read")));
    /// # drop(app);
    /// # }
    /// ```
    #[must_use]
    pub fn protect(&self, require: Require) -> ProtectLayer {
        ProtectLayer { verifier: self.clone(), require: Arc::new(require) }
    }
}

impl<S> Layer<S> for ProtectLayer {
    type Service = Protected<S>;

    fn layer(&self, inner: S) -> Protected<S> {
        Protected { inner, layer: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Protected<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was found ready is used up; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let ProtectLayer { verifier, require } = self.layer.clone();
        Box::pin(async move {
            let judged = match bearer(request.headers()) {
                Ok(token) => verifier.check(token, &require).await,
                Err(refusal) => Err(refusal),
            };
            match judged {
                Ok(identity) => {
                    request.extensions_mut().insert(identity);
                    inner.call(request).await
                }
                Err(refusal) => {
                    tracing::debug!(%refusal, "a request is refused");
                    Ok(answer(&refusal, &request))
                }
            }
        })
    }
}

/// gRPC tells of errors in its trailers, below a 200.
fn answer<B, R: Default>(refusal: &Refusal, request: &Request<B>) -> Response<R> {
    let content_type = request.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if content_type.starts_with(b"application/grpc") { refusal.to_status().into_http() } else { refusal.to_response() }
}

impl<S: NamedService> NamedService for Protected<S> {
    const NAME: &'static str = S::NAME;
}
