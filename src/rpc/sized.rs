//! Two sizes of one service: messages are small, but for those of one method.
//!
//! tonic bounds messages per service, and sets the announced length aside as soon as it is announced. A bound for batches on
//! methods that anyone may call would let anyone take memory.

use std::task::{Context, Poll};

use http::Request;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// A service that takes large messages for one path only.
#[derive(Clone, Debug)]
pub(super) struct Sized<S> {
    small: S,
    large: S,
    path: &'static str,
}

impl<S> Sized<S> {
    /// `large` takes what is sent to `path`, and `small` all the rest.
    pub(super) const fn new(small: S, large: S, path: &'static str) -> Self {
        Self { small, large, path }
    }
}

impl<S: NamedService> NamedService for Sized<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Sized<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    /// Generated services are always ready.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.small.poll_ready(context) {
            Poll::Ready(Ok(())) => self.large.poll_ready(context),
            other => other,
        }
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        if request.uri().path() == self.path { self.large.call(request) } else { self.small.call(request) }
    }
}
