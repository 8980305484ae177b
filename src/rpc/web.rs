//! gRPC-Web: calls from browsers, which have no trailers and mostly HTTP/1.1. They are translated in front of
//! the gate, so that they meet the same one, and so are its refusals. Native calls pass by untouched.

use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service, ServiceExt};

use crate::config;
use crate::cors::{Cors, Site};

/// What the content types of gRPC-Web begin with.
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// Puts the translation in front of a service.
#[derive(Clone, Debug)]
pub struct WebLayer {
    /// None where gRPC-Web is not offered.
    cors: Option<Cors>,
}

impl WebLayer {
    /// Translates where that is configured.
    #[must_use]
    pub fn new(web: &config::Web) -> Self {
        Self { cors: web.grpc_web.then(|| Cors::new(web)) }
    }
}

impl<S: Clone> Layer<S> for WebLayer {
    type Service = Web<S>;

    fn layer(&self, inner: S) -> Web<S> {
        let web = self.cors.clone().map(|cors| (cors, GrpcWebLayer::new().layer(inner.clone())));
        Web { native: inner, web }
    }
}

/// A service that is called from browsers too.
#[derive(Clone, Debug)]
pub struct Web<S> {
    native: S,
    web: Option<(Cors, GrpcWebService<S>)>,
}

impl<S> Service<Request<Body>> for Web<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.native.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some((cors, web)) = &self.web else { return Either::Left(self.native.call(request)) };
        let is_web = is_web(request.headers());
        if !is_web && request.version() == Version::HTTP_2 && request.method() == Method::POST {
            return Either::Left(self.native.call(request));
        }
        let site = cors.origin(request.headers());
        let mut answer = None;
        if request.method() == Method::OPTIONS {
            let listed = matches!(site, Site::Listed(_));
            let mut beforehand = empty(if listed { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN });
            cors.admit_beforehand(&site, beforehand.headers_mut());
            answer = Some(beforehand);
        } else if is_web && site == Site::Stranger {
            answer = Some(empty(StatusCode::FORBIDDEN));
        } else if !is_web && request.version() != Version::HTTP_2 {
            // Without trailers, nobody could tell how a call has ended.
            answer = Some(empty(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let (cors, web) = (cors.clone(), web.clone());
        Either::Right(Box::pin(async move {
            if let Some(answer) = answer {
                return Ok(answer);
            }
            let mut response = web.oneshot(request).await?;
            cors.admit(&site, response.headers_mut());
            Ok(response)
        }))
    }
}

fn is_web(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(GRPC_WEB))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
