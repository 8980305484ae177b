//! An interceptor for tonic services.

use std::sync::Arc;

use tonic::service::Interceptor;
use tonic::{Request, Status};

use super::bearer;
use crate::require::Require;
use crate::verifier::Verifier;

/// Lets those calls through whose token counts and is good for what is required, and puts the
/// [`Identity`](crate::Identity) into their extensions.
///
/// It never waits. What only a call could tell is answered with `UNAVAILABLE`, so that the client comes back; where that
/// happens often, because [`WhenStale::Introspect`](crate::WhenStale::Introspect) was chosen, [`Verifier::protect`] is better.
#[derive(Clone, Debug)]
pub struct TokenInterceptor {
    verifier: Verifier,
    require: Arc<Require>,
}

impl Verifier {
    /// An interceptor for a tonic service.
    ///
    /// ```no_run
    /// # fn run(verifier: countersign_client::Verifier) {
    /// use countersign_client::{Identity, Require};
    ///
    /// let interceptor = verifier.interceptor(Require::new().scope("orders.read"));
    /// // OrderServiceServer::with_interceptor(orders, interceptor)
    ///
    /// fn who(request: &tonic::Request<()>) -> Option<&Identity> {
    ///     request.extensions().get::<Identity>()
    /// }
    /// # let _ = (interceptor, who);
    /// # }
    /// ```
    #[must_use]
    pub fn interceptor(&self, require: Require) -> TokenInterceptor {
        TokenInterceptor { verifier: self.clone(), require: Arc::new(require) }
    }
}

impl Interceptor for TokenInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let identity = {
            let metadata = request.metadata().as_ref();
            bearer(metadata).and_then(|token| self.verifier.verify(token, &self.require))
        };
        match identity {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
                Ok(request)
            }
            Err(refusal) => {
                tracing::debug!(%refusal, "a call is refused");
                Err(refusal.to_status())
            }
        }
    }
}
