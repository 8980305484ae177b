//! Discovery documents: what clients and gateways need to know of this issuer (RFC 8414, OpenID Connect Discovery 1.0).

use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;

use super::View;
use crate::model::Algorithm;

#[derive(Serialize)]
pub(super) struct Document {
    issuer: String,
    jwks_uri: String,
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 1],
    scopes_supported: Vec<String>,
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_types_supported: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token_signing_alg_values_supported: Option<Vec<Algorithm>>,
}

/// RFC 8414 §2. There is no authorization endpoint: sign-in goes through this service's own RPCs.
pub(super) async fn authorization_server(Shared(view): Shared<View>) -> Json<Document> {
    Json(document(&view))
}

/// OpenID Connect Discovery 1.0 §3, for gateways that look for keys there and nowhere else. No ID tokens are issued; the
/// algorithms are those of access tokens.
pub(super) async fn openid_configuration(Shared(view): Shared<View>) -> Json<Document> {
    let keys = view.app.keyring.keys();
    let mut algorithms: Vec<_> = keys.set.iter().map(crate::token::PublicKey::algorithm).collect();
    algorithms.sort_by_key(|algorithm| algorithm.as_str());
    algorithms.dedup();
    Json(Document {
        subject_types_supported: Some(["public"]),
        id_token_signing_alg_values_supported: Some(algorithms),
        ..document(&view)
    })
}

fn document(view: &View) -> Document {
    let token = &view.app.config.token;
    let mut scopes: Vec<_> = token.scopes.iter().chain(&token.anonymous_scopes).cloned().collect();
    scopes.sort();
    scopes.dedup();
    let at = |path: &str| format!("{}{path}", token.issuer.trim_end_matches('/'));
    Document {
        issuer: token.issuer.clone(),
        jwks_uri: at("/.well-known/jwks.json"),
        introspection_endpoint: at(super::INTROSPECT),
        introspection_endpoint_auth_methods_supported: ["client_secret_basic"],
        revocation_endpoint: at(super::REVOKE),
        revocation_endpoint_auth_methods_supported: ["client_secret_basic"],
        response_types_supported: [],
        grant_types_supported: ["refresh_token"],
        scopes_supported: scopes,
        subject_types_supported: None,
        id_token_signing_alg_values_supported: None,
    }
}
