//! What gateways call for every request that they let through. So it is served right behind the gate, past the router and the
//! generated server.

use bytes::Bytes;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::ext_authz::Gateways;
use super::{introspect, unary};
use crate::app::App;

/// What is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    Introspect,
    BatchIntrospect,
    Check,
}

impl Direct {
    /// The one that is called by a path, if it is one of them.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/countersign.v1.TokenService/Introspect" => Some(Self::Introspect),
            "/countersign.v1.TokenService/BatchIntrospect" => Some(Self::BatchIntrospect),
            "/envoy.service.auth.v3.Authorization/Check" => Some(Self::Check),
            _ => None,
        }
    }

    /// Answers a call that has passed the gate.
    pub(super) async fn answer(self, app: &App, gateways: &Gateways, request: Request<Body>) -> Response<Body> {
        let answered: Result<Bytes, Status> = match self {
            Self::Introspect => introspect::introspect(app, request).await,
            Self::BatchIntrospect => introspect::batch_introspect(app, request).await,
            Self::Check => gateways.check(app, request).await,
        };
        answered.map_or_else(Status::into_http, unary::answer)
    }
}
