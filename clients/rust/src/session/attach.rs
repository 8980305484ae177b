//! The token sent along with calls to other services. Owns that the call waits for a token that lives.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Request;
use http::header::{AUTHORIZATION, HeaderValue};
use tonic::Status;
use tower::{BoxError, Layer, Service};

use super::Session;

/// Puts [`Attach`] around a channel, or around any client of `http` requests.
#[derive(Clone, Debug)]
pub struct AttachLayer {
    session: Session,
}

/// A client that sends the session's token with each request, as `authorization`.
///
/// Where there is no token, the call fails with what [`SessionError`](super::SessionError) becomes as a status.
///
/// ```no_run
/// # async fn run(session: countersign_client::Session) -> Result<(), Box<dyn std::error::Error>> {
/// use countersign_client::proto::v1::account_service_client::AccountServiceClient;
/// use tonic::transport::Endpoint;
/// use tower::Layer;
///
/// let channel = Endpoint::from_static("https://api.example.com").connect_lazy();
/// let mut accounts = AccountServiceClient::new(session.attach().layer(channel));
/// # let _ = accounts.get_profile(countersign_client::proto::v1::GetProfileRequest {}).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Attach<S> {
    inner: S,
    session: Session,
}

impl AttachLayer {
    pub(super) const fn new(session: Session) -> Self {
        Self { session }
    }
}

impl<S> Layer<S> for AttachLayer {
    type Service = Attach<S>;

    fn layer(&self, inner: S) -> Attach<S> {
        Attach { inner, session: self.session.clone() }
    }
}

impl<S, B> Service<Request<B>> for Attach<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was found ready is used up; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let session = self.session.clone();
        Box::pin(async move {
            let token = session.access_token().await.map_err(Status::from)?;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            inner.call(request).await.map_err(Into::into)
        })
    }
}
