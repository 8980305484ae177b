//! What is served over plain HTTP: public keys, discovery, health and figures; introspection, revocation and a question for
//! gateways that speak nothing else.

mod check;
mod client;
mod discovery;
mod fault;
mod form;
mod introspect;
mod job;
mod revoke;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use crate::app::App;
use crate::cors::Cors;
use crate::gateway::Complaint;
use crate::health::{Part, State};
use crate::model::CertificateName;

/// Where tokens are asked about (RFC 7662), and taken back (RFC 7009).
const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";

/// The other end of a connection. Whoever accepts connections says it, as an extension of each request.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where it is.
    pub address: IpAddr,
    /// The names in its certificate, where it has one that is believed.
    pub names: Arc<[CertificateName]>,
}

/// What the handlers look at.
#[derive(Clone, Debug)]
struct View {
    app: Arc<App>,
    state: Arc<State>,
    /// About what routes need.
    complaint: Arc<Complaint>,
    wrong_keys: Arc<job::WrongKeys>,
}

/// Everything that is served.
pub fn router(app: Arc<App>, state: Arc<State>) -> Router {
    let cors = Cors::new(&app.config.web);
    // Pages may read what anyone may; the rest is for services.
    Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/.well-known/oauth-authorization-server", get(discovery::authorization_server))
        .route("/.well-known/openid-configuration", get(discovery::openid_configuration))
        .layer(from_fn_with_state(cors, admit))
        .route(INTROSPECT, post(introspect::introspect))
        .route(REVOKE, post(revoke::revoke))
        .route("/auth/check", any(check::check))
        .route("/jobs/{name}", post(job::run))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(View { app, state, complaint: Arc::default(), wrong_keys: Arc::default() })
}

/// Lets pages of listed web sites read an answer.
async fn admit(Shared(cors): Shared<Cors>, request: Request, next: Next) -> Response {
    let from = cors.origin(request.headers());
    let mut answer = next.run(request).await;
    cors.admit(&from, answer.headers_mut());
    answer
}

/// The public keys (RFC 7517), with how long they may be kept.
async fn jwks(Shared(view): Shared<View>) -> Response {
    let keyring = &view.app.keyring;
    let cache = format!("public, max-age={}", keyring.cache_lifetime().num_seconds());
    match serde_json::to_vec(&keyring.keys().set.to_jwks()) {
        Ok(body) => {
            let headers =
                [(header::CONTENT_TYPE, "application/jwk-set+json".to_owned()), (header::CACHE_CONTROL, cache)];
            (headers, body).into_response()
        }
        Err(cause) => {
            tracing::error!(%cause, "the public keys cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What this node has counted, as Prometheus reads it.
async fn metrics(Shared(view): Shared<View>) -> Response {
    match view.app.figures() {
        Ok(body) => {
            let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, form)], body).into_response()
        }
        Err(cause) => {
            tracing::error!(%cause, "the figures cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether requests should be sent here, and if not, what does not work.
async fn ready(Shared(view): Shared<View>) -> Response {
    let parts = [("sign_in", Part::SignIn), ("tokens", Part::Tokens), ("records", Part::Records)];
    let body = serde_json::Value::Object(
        parts.iter().map(|(name, part)| ((*name).to_owned(), view.state.works(*part).into())).collect(),
    );
    let status = if view.state.works(Part::Tokens) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(body)).into_response()
}
